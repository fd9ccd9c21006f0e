//! Blamed frames of labelled crash logs: the committed ones, and the whole set where it lies beside the repository.

use std::path::{Path, PathBuf};

use facts::{Fact, Value};

/// The functions named for the first report or panic of a log, best first.
fn blamed(name: &str, bytes: &[u8]) -> Vec<String> {
    let reading = klog::read(name, bytes);
    let facts: Vec<Fact> =
        reading.boots.iter().flat_map(|boot| boot.events.iter().map(|event| event.to_fact(name))).collect();
    let Some(at) = facts.iter().position(|f| matches!(f.text("severity"), Some("report" | "panic"))) else {
        return Vec::new();
    };
    let at = i64::try_from(at).ok();
    vmcoroner::derive::derive(&facts)
        .iter()
        .find(|d| d.kind == "derived.blamed" && d.int("event") == at)
        .and_then(|d| d.get("candidates"))
        .and_then(Value::as_list)
        .unwrap_or_default()
        .iter()
        .filter_map(|c| match c {
            Value::Record(record) => Some(canon(record.get("function")?.as_text()?)),
            _ => None,
        })
        .collect()
}

/// System-call entry points have one name here, as in the script that judges the label set.
fn canon(name: &str) -> String {
    let stable = vmcoroner::derive::names::stable(name);
    let bare = ["____sys_", "___sys_", "__sys_", "ksys_", "sys_"].iter().find_map(|prefix| stable.strip_prefix(prefix));
    bare.unwrap_or(&stable).to_owned()
}

#[derive(Default, Debug)]
struct Score {
    labels: usize,
    first: usize,
    three: usize,
}

impl Score {
    fn add(&mut self, frames: &[String], want: &[String]) {
        self.labels += 1;
        self.first += usize::from(frames.first().is_some_and(|f| want.contains(f)));
        self.three += usize::from(frames.iter().take(3).any(|f| want.contains(f)));
    }
}

#[test]
fn committed_logs_blame_what_their_labels_say() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata");
    let labels = std::fs::read_to_string(root.join("derive/frames.tsv")).unwrap();
    let (mut plain, mut convention) = (Score::default(), Score::default());
    for line in labels.lines().filter(|l| !l.starts_with('#')) {
        let columns: Vec<&str> = line.split('\t').collect();
        let bytes = std::fs::read(root.join("klog/labelled").join(columns[0])).unwrap();
        let want: Vec<String> = columns[2].split(',').map(canon).collect();
        let frames = blamed(columns[0], &bytes);
        let score = if columns[1] == "plain" { &mut plain } else { &mut convention };
        score.add(&frames, &want);
    }
    assert!(plain.labels > 3 && plain.three == plain.labels, "{plain:?}");
    assert!(convention.labels > 5 && convention.three * 10 >= convention.labels * 9, "{convention:?}");
}

#[test]
fn the_whole_label_set_reaches_its_shares() {
    let folder: PathBuf = ["..", "../..", "../../.."]
        .iter()
        .map(|up| Path::new(env!("CARGO_MANIFEST_DIR")).join(up))
        .find_map(|up| {
            let folder = up.join("shared/corpora/labelled-oops");
            folder.is_dir().then_some(folder)
        })
        .unwrap_or_default();
    let Ok(labels) = std::fs::read_to_string(folder.join("labels.jsonl")) else { return };
    let (mut plain, mut convention) = (Score::default(), Score::default());
    for line in labels.lines() {
        let label: serde_json::Value = serde_json::from_str(line).unwrap();
        if label["frame_in_log"] != true {
            continue;
        }
        let name = label["file"].as_str().unwrap();
        let bytes = std::fs::read(folder.join("report").join(name)).unwrap();
        let want: Vec<String> =
            label["frames"].as_array().unwrap().iter().filter_map(|f| f.as_str()).map(canon).collect();
        let score = if label["frame_kind"] == "plain" { &mut plain } else { &mut convention };
        score.add(&blamed(name, &bytes), &want);
    }
    assert!(plain.labels - plain.first <= 4 && plain.labels - plain.three <= 1, "{plain:?}");
    assert!(convention.first * 100 >= convention.labels * 70, "{convention:?}");
    assert!(convention.three * 100 >= convention.labels * 88, "{convention:?}");
}
