//! `/etc/os-release`.

use facts::Fact;

use crate::node::{Input, Node};

pub(crate) fn read(node: &mut Node, input: &Input<'_>) -> bool {
    let value = |name: &str| {
        input
            .text
            .lines()
            .find_map(|l| l.strip_prefix(name)?.strip_prefix('='))
            .map(|v| v.trim_matches(['"', '\'', ' ']))
    };
    let Some(id) = value("ID") else { return false };
    node.push_once(
        Fact::new("node.os", input.whole())
            .with("id", id)
            .with_opt("version", value("VERSION_ID"))
            .with_opt("name", value("PRETTY_NAME"))
            .quoting(value("PRETTY_NAME").unwrap_or(id)),
    );
    true
}
