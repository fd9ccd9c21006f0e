//! Reads every file of `DIR/report` as a kernel log and prints one JSON line for each: is there a crash, of which
//! class, and which functions are to blame. `score.py` of the label set judges them.
//!
//! `cargo run --release --example score-oops -- DIR > findings.jsonl`

use std::path::Path;
use std::process::ExitCode;

use facts::{Fact, Value};
use serde_json::json;

fn main() -> ExitCode {
    let Some(dir) = std::env::args_os().nth(1) else {
        eprintln!("usage: score-oops DIR");
        return ExitCode::from(2);
    };
    let dir = Path::new(&dir).join("report");
    let mut names: Vec<_> = match std::fs::read_dir(&dir) {
        Ok(entries) => entries.flatten().map(|entry| entry.path()).collect(),
        Err(error) => {
            eprintln!("{}: {error}", dir.display());
            return ExitCode::from(2);
        }
    };
    names.sort();
    for path in names {
        let Some(name) = path.file_name().map(|name| name.to_string_lossy().into_owned()) else { continue };
        match std::fs::read(&path) {
            Ok(bytes) => println!("{}", line(&name, &bytes)),
            Err(error) => eprintln!("{}: {error}", path.display()),
        }
    }
    ExitCode::SUCCESS
}

/// What the log of that name says, as `score.py` wants it.
fn line(name: &str, bytes: &[u8]) -> serde_json::Value {
    let reading = klog::read(name, bytes);
    let facts: Vec<Fact> =
        reading.boots.iter().flat_map(|boot| boot.events.iter().map(|event| event.to_fact(name))).collect();
    let derived = vmcoroner::derive::derive(&facts);
    // The label is that of the first report with a head: what stands before it is the end of another one.
    let crash = |f: &Fact| matches!(f.text("severity"), Some("report" | "panic"));
    let headed = |f: &Fact| crash(f) && f.text("corrupted") != Some(klog::NO_HEAD);
    let Some(at) = facts.iter().position(headed).or_else(|| facts.iter().position(crash)) else {
        return json!({ "file": name, "crash": false });
    };
    let of = |kind: &str| derived.iter().find(|d| d.kind == kind && d.int("event") == i64::try_from(at).ok());
    let fact = &facts[at];
    let mut frames: Vec<&str> = Vec::new();
    if let Some(blamed) = of("derived.blamed") {
        for candidate in blamed.get("candidates").and_then(Value::as_list).unwrap_or_default() {
            if let Value::Record(candidate) = candidate
                && let Some(function) = candidate.get("function").and_then(Value::as_text)
            {
                frames.push(function);
            }
        }
        frames.extend(
            blamed.get("alternatives").and_then(Value::as_list).unwrap_or_default().iter().filter_map(Value::as_text),
        );
    }
    let title = of("derived.title").and_then(|t| t.text("title")).or(fact.text("title")).unwrap_or("");
    json!({
        "file": name,
        "crash": true,
        "title": title,
        "class": fact.text("class"),
        "frames": frames,
        "corrupted": fact.text("corrupted").is_some(),
    })
}
