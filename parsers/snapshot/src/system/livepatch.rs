//! `/sys/kernel/livepatch`: which patches are enabled, and which functions they replace.

use facts::{Fact, Origin};

use crate::node::{Input, Node};

/// Takes note of `.../sys/kernel/livepatch/<patch>/<object>/<function>,<n>/...`.
pub(crate) fn seen(node: &mut Node, path: &str) {
    let Some((_, below)) = path.split_once("sys/kernel/livepatch/") else { return };
    let mut parts = below.split('/');
    let Some(patch) = parts.next().filter(|p| !p.is_empty()) else { return };
    node.livepatches.entry(patch.to_owned()).or_default();
    let (Some(object), Some(function)) = (parts.next(), parts.next()) else { return };
    if let Some((function, _)) = function.split_once(',') {
        let functions = node.livepatch_functions.entry(patch.to_owned()).or_default();
        if functions.len() < 4096 {
            functions.insert(if object == "vmlinux" { function.to_owned() } else { format!("{object}:{function}") });
        }
    }
}

pub(crate) fn enabled(node: &mut Node, input: &Input<'_>) -> bool {
    let Some(patch) = input.path.rsplit('/').nth(1) else { return false };
    let value = match input.text.trim() {
        "1" => true,
        "0" => false,
        _ => return false,
    };
    node.livepatches.insert(patch.to_owned(), Some(value));
    true
}

pub(crate) fn finish(node: &mut Node) {
    for (patch, enabled) in std::mem::take(&mut node.livepatches) {
        let functions = node.livepatch_functions.remove(&patch).unwrap_or_default();
        let list: Vec<String> = functions.into_iter().collect();
        let quote = format!("livepatch {patch}: {} functions", list.len());
        node.push(
            Fact::new("node.livepatch", Origin::whole(format!("sys/kernel/livepatch/{patch}")))
                .with("name", patch)
                .with_opt("enabled", enabled)
                .with("functions", list)
                .quoting(quote),
        );
    }
}
