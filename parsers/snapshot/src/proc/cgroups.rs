//! `/proc/cgroups`: how many groups each controller counts, dying ones included.

use crate::node::{Input, Node};

pub(crate) fn read(node: &mut Node, input: &Input<'_>) -> bool {
    if !input.text.starts_with("#subsys_name") && !input.text.contains("\n#subsys_name") {
        return false;
    }
    for line in input.text.lines() {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let [name, hierarchy, count, enabled] = words[..] else { continue };
        let (Ok(hierarchy), Ok(count), Ok(enabled)) = (hierarchy.parse(), count.parse(), enabled.parse::<i64>()) else {
            continue;
        };
        let entry = (hierarchy, count, enabled != 0, input.member.to_owned());
        node.groups.controllers.entry(name.to_owned()).or_insert(entry);
    }
    true
}
