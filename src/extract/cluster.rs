//! API objects of a cluster: each node is a machine of its own, and so is each host that its events name.

use facts::{Gap, Place};
use serde_json::Value;

use super::hosts;
use super::piece::Piece;

/// What a file of API objects tells.
pub(super) struct Told {
    pub(super) pieces: Vec<Piece>,
    pub(super) gaps: Vec<Gap>,
    /// How many logs there are among the pieces.
    pub(super) streams: usize,
}

/// Reads JSON, YAML, or several JSON objects one after the other, as `kubectl cluster-info dump` prints them; `stream`
/// numbers the first log.
pub(super) fn read(name: &str, bytes: &[u8], stream: usize) -> Told {
    let mut told = Told { pieces: Vec::new(), gaps: Vec::new(), streams: 0 };
    let text = String::from_utf8_lossy(bytes);
    let mut objects: Vec<Value> = Vec::new();
    let mut problem = None;
    if text.trim_start().starts_with('{') {
        let mut stream = serde_json::Deserializer::from_str(&text).into_iter::<Value>();
        for object in stream.by_ref() {
            match object {
                Ok(object) => objects.push(object),
                Err(error) => {
                    problem = Some(error.to_string());
                    break;
                }
            }
        }
        // Logs of containers follow the objects: `==== START logs for container c of pod ns/p ====`.
        let rest = text.get(stream.byte_offset()..).unwrap_or_default();
        if !objects.is_empty() && rest.trim_start().starts_with("====") {
            problem = None;
        }
    } else {
        match serde_saphyr::from_str::<Value>(&text) {
            Ok(object) => objects.push(object),
            Err(error) => problem = Some(error.to_string()),
        }
    }
    if let Some(problem) = problem {
        let why = format!("neither JSON nor YAML: {}", problem.lines().next().unwrap_or_default());
        told.gaps.push(Gap::new("objects of a cluster", name, why, "the whole file"));
    }
    for object in &objects {
        for (identity, facts) in snapshot::cluster_nodes(name, object) {
            let sources = std::iter::once("node.condition".to_owned()).collect();
            told.pieces.push(Piece { identity, facts, sources, member: name.to_owned(), ..Piece::default() });
        }
        let log = snapshot::cluster_events(object);
        let (mut pieces, machines) = hosts::read(name, &mut log.as_bytes(), stream + told.streams);
        told.streams += machines;
        // The lines of that log are none of the file.
        for fact in pieces.iter_mut().flat_map(|piece| &mut piece.facts) {
            fact.origin.place = Place::Whole;
        }
        told.pieces.extend(pieces);
    }
    told
}
