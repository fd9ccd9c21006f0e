//! `/proc/mounts` and `mountinfo`: how many, of which kind.

use std::collections::BTreeMap;

use facts::Fact;

use crate::node::{Input, Node};

/// Rows `device point type options 0 0`.
pub(crate) fn read(node: &mut Node, input: &Input<'_>) -> bool {
    count(node, input, |words| words.get(2).copied().filter(|_| words.len() == 6))
}

/// Rows of `mountinfo`: the type stands behind ` - `.
pub(crate) fn mountinfo(node: &mut Node, input: &Input<'_>) -> bool {
    count(node, input, |words| {
        let dash = words.iter().position(|w| *w == "-")?;
        words.get(dash + 1).copied()
    })
}

fn count<'t>(node: &mut Node, input: &Input<'t>, kind: impl Fn(&[&'t str]) -> Option<&'t str>) -> bool {
    let mut kinds: BTreeMap<&str, i64> = BTreeMap::new();
    for line in input.text.lines() {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        if let Some(kind) = kind(&words) {
            *kinds.entry(kind).or_default() += 1;
        }
    }
    let total: i64 = kinds.values().sum();
    if total == 0 {
        return false;
    }
    let of = |kind: &str| kinds.get(kind).copied().unwrap_or_default();
    node.push_once(
        Fact::new("node.mounts", input.whole())
            .with("count", total)
            .with("overlay", of("overlay"))
            .with("nfs", of("nfs") + of("nfs4"))
            .with("cifs", of("cifs") + of("smb3"))
            .with("tmpfs", of("tmpfs"))
            .with("cgroup_v1", kinds.contains_key("cgroup"))
            .with("cgroup_v2", kinds.contains_key("cgroup2")),
    );
    true
}
