//! `/proc/cgroups`: how many groups each controller counts, dying ones included where the kernel counts them.

use crate::cgroup::Controller;
use crate::node::{Input, Node};

/// Controllers by which a row is known when the header was cut off (`grep memory /proc/cgroups`).
const CONTROLLERS: &[&str] = &[
    "cpuset",
    "cpu",
    "cpuacct",
    "blkio",
    "memory",
    "devices",
    "freezer",
    "net_cls",
    "net_prio",
    "perf_event",
    "hugetlb",
    "pids",
    "rdma",
    "misc",
    "debug",
    "ns",
];

pub(crate) fn read(node: &mut Node, input: &Input<'_>) -> bool {
    let headed = input.text.starts_with("#subsys_name") || input.text.contains("\n#subsys_name");
    let mut understood = headed;
    for (index, line) in input.text.lines().enumerate() {
        let mut words = line.split_ascii_whitespace();
        let (Some(name), Some(hierarchy), Some(count), Some(enabled), None) =
            (words.next(), words.next(), words.next(), words.next(), words.next())
        else {
            continue;
        };
        let (Ok(hierarchy), Ok(count), enabled @ ("0" | "1")) = (hierarchy.parse(), count.parse(), enabled) else {
            continue;
        };
        if !headed && !CONTROLLERS.contains(&name) {
            continue;
        }
        understood = true;
        let row = Controller { hierarchy, count, enabled: enabled == "1", origin: input.line(index) };
        node.groups.controllers.entry(name.to_owned()).or_insert(row);
    }
    understood
}

/// A number of directories, as `find /sys/fs/cgroup/memory -type d | wc -l` prints it below its command.
pub(crate) fn counted(node: &mut Node, input: &Input<'_>) -> bool {
    let mut lines = input.text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let Some((index, count)) = lines.next().and_then(|(i, line)| Some((i, line.trim().parse::<i64>().ok()?))) else {
        return false;
    };
    let tree = if input.path.contains("memory") { "memory" } else { "unified" };
    node.groups.counted.entry(tree.to_owned()).or_insert((count, input.line(index)));
    true
}
