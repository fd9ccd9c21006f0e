//! `kubectl describe node`, `docker info`, `hostnamectl`: the node in rows of `Name: value`.

use facts::Fact;

use crate::node::{Input, Node};
use crate::proc::version::arch;
use crate::text::quote;

/// Rows that are looked for behind the first one.
const REACH: usize = 200;

/// Reads the kernel, the ids and the versions out of a description. A row alone is no description: a line
/// `Kernel Version:` must have one of its usual neighbours.
pub(super) fn read(node: &mut Node, input: &Input<'_>) {
    if !input.text.contains("Kernel Version: ") {
        return;
    }
    let lines: Vec<(usize, &str)> = input.text.lines().enumerate().collect();
    let row =
        |line: &'_ str, name: &str| Some(line.trim().strip_prefix(name)?.trim().to_owned()).filter(|v| !v.is_empty());
    let Some(at) = lines.iter().position(|(_, line)| line.trim().starts_with("Kernel Version: ")) else { return };
    let around = lines.get(at.saturating_sub(REACH)..(at + REACH).min(lines.len())).unwrap_or_default();
    let first = |name: &str| around.iter().find_map(|(index, line)| Some((*index, row(line, name)?)));
    let neighbour = ["Kubelet Version:", "Server Version:", "Cgroup Driver:"].iter().any(|name| first(name).is_some());
    let Some((index, release)) = first("Kernel Version:").filter(|_| neighbour) else { return };
    if release.contains(char::is_whitespace) || !release.starts_with(|c: char| c.is_ascii_digit()) {
        return;
    }
    node.identity.kernel.get_or_insert_with(|| release.clone());
    node.push(
        Fact::new("node.uname", input.line(index))
            .with("release", release.as_str())
            .with_opt("arch", arch(&release))
            .quoting(quote(&format!("Kernel Version: {release}"))),
    );
    let id = |name: &str| first(name).and_then(|(_, value)| crate::system::identity::hex_id(&value));
    if let Some(id) = id("Machine ID:") {
        node.identity.machine_id.get_or_insert(id);
    }
    if let Some(id) = id("Boot ID:") {
        node.identity.boot_id.get_or_insert(id);
    }
    for (name, package) in [
        ("Kubelet Version:", "kubelet"),
        ("Container Runtime Version:", "container-runtime"),
        ("Server Version:", "docker"),
    ] {
        if let Some((index, version)) = first(name) {
            node.push(
                Fact::new("node.package", input.line(index))
                    .with("name", package)
                    .with("version", version.as_str())
                    .quoting(quote(&format!("{name} {version}"))),
            );
        }
    }
}
