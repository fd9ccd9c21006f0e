//! The files of a cgroup directory.

use std::sync::LazyLock;

use rustc_hash::FxHashSet;

use super::{Group, KmemSlabinfo, Subject, is_unlimited, node_groups, tree};
use crate::node::{Input, Node};
use crate::slabinfo;
use crate::text::{errno, number, pair};

/// A cgroup control file, recognised by its path.
pub(crate) struct File {
    tree: String,
    path: String,
    name: &'static str,
}

/// Names of control files that are read. Longer ones stand before those that are endings of them.
const NAMES: &[&str] = &[
    "memory.kmem.tcp.usage_in_bytes",
    "memory.kmem.max_usage_in_bytes",
    "memory.kmem.usage_in_bytes",
    "memory.kmem.limit_in_bytes",
    "memory.kmem.slabinfo",
    "memory.kmem.failcnt",
    "memory.memsw.usage_in_bytes",
    "memory.memsw.failcnt",
    "memory.max_usage_in_bytes",
    "memory.usage_in_bytes",
    "memory.limit_in_bytes",
    "memory.failcnt",
    "memory.oom_control",
    "memory.swap.current",
    "memory.events",
    "memory.current",
    "memory.peak",
    "memory.max",
    "memory.stat",
    "memory.pressure",
    "cpu.pressure",
    "io.pressure",
    "cgroup.stat",
    "cpu.stat",
    "pids.current",
    "pids.max",
    "pids.events",
];

static BY_NAME: LazyLock<FxHashSet<&'static str>> = LazyLock::new(|| NAMES.iter().copied().collect());

impl File {
    /// Recognises `.../memory.stat`, and flattened names such as `node.pod-1.memory.stat.txt`.
    pub(crate) fn of(path: &str) -> Option<File> {
        let (directory, base) = path.rsplit_once('/').unwrap_or(("", path));
        let (group, name) = parse(directory, base)?;
        match group {
            None => {
                let (tree, path) = tree::split(directory).unwrap_or_else(|| loose(directory));
                Some(File { tree, path, name })
            }
            Some(group) => Some(File { tree: "loose".into(), path: join(directory, group), name }),
        }
    }

    /// Whether [`File::of`] knows the path.
    pub(crate) fn is(path: &str) -> bool {
        let (directory, base) = path.rsplit_once('/').unwrap_or(("", path));
        parse(directory, base).is_some()
    }
}

/// The group that a flattened name is of, if it is one, and the control file.
fn parse<'p>(directory: &str, base: &'p str) -> Option<(Option<&'p str>, &'static str)> {
    let plain = crate::paths::plain_base(base);
    // All names have one.
    if !plain.contains('.') {
        return None;
    }
    if let Some(name) = BY_NAME.get(plain) {
        return Some((None, name));
    }
    // All names hold one of these; the test spares the rest of the work for most paths.
    const STEMS: [&str; 5] = ["memory.", "cgroup.", "cpu.", "pids.", "io."];
    if tree::holds(directory) || !STEMS.iter().any(|stem| plain.contains(stem)) {
        return None;
    }
    let (before, name) = NAMES.iter().find_map(|name| Some((plain.strip_suffix(name)?, *name)))?;
    Some((Some(before.strip_suffix(['.', '-', '_'])?), name))
}

/// A directory that is not below `sys/fs/cgroup`: `cgroup/memory/a`, `memory/kubepods/…`, or anything.
fn loose(directory: &str) -> (String, String) {
    for tree in ["memory", "unified"] {
        if let Some(at) = directory.find(tree)
            && (at == 0 || directory.as_bytes().get(at - 1) == Some(&b'/'))
        {
            let rest = directory.get(at + tree.len()..).unwrap_or_default();
            if rest.is_empty() || rest.starts_with('/') {
                return (tree.to_owned(), format!("/{}", rest.trim_start_matches('/')));
            }
        }
    }
    ("loose".to_owned(), join("", directory))
}

fn join(directory: &str, leaf: &str) -> String {
    let path = format!("{directory}/{leaf}");
    if path.starts_with('/') { path } else { format!("/{path}") }
}

fn subject(name: &str) -> Subject {
    match name {
        _ if name.starts_with("memory.kmem.") => Subject::Kmem,
        _ if name.ends_with(".pressure") => Subject::Pressure,
        "cgroup.stat" => Subject::Dying,
        _ if name.starts_with("pids.") => Subject::Pids,
        _ if name.starts_with("cpu.") => Subject::Cpu,
        _ => Subject::Memory,
    }
}

/// Reads one control file into its group.
pub(crate) fn read(node: &mut Node, file: &File, input: &Input<'_>) -> bool {
    let text = input.text;
    let Some(group) = node_groups(node).group(&file.tree, &file.path, subject(file.name), input) else { return true };
    if file.name == "memory.kmem.slabinfo" {
        kmem_slabinfo(group, text);
        return true;
    }
    if text.trim().is_empty() {
        group.empty_files += 1;
        return true;
    }
    group.has_content = true;
    if errno(text).is_some() {
        return true;
    }
    match file.name {
        "memory.stat" => memory_stat(group, text),
        "memory.events" => events(group, text),
        "memory.oom_control" => oom_control(group, text),
        "cgroup.stat" => cgroup_stat(group, text),
        "cpu.stat" => cpu_stat(group, text),
        "memory.pressure" | "cpu.pressure" | "io.pressure" => pressure(group, file.name, text),
        // `max 12`: forks that the limit refused.
        "pids.events" => {
            if let Some(("max", value)) = text.lines().next().and_then(pair) {
                group.other.insert(("cgroup.pids", "refused"), value);
            }
        }
        name => single(group, name, text),
    }
    true
}

fn kmem_slabinfo(group: &mut Group, text: &str) {
    group.version = 1;
    group.slabinfo = match errno(text) {
        Some("Input/output error") => KmemSlabinfo::InputOutputError,
        Some(other) => KmemSlabinfo::Unreadable(other),
        None if text.trim().is_empty() => KmemSlabinfo::Empty,
        None if text.contains("slabinfo - version") || text.contains("<active_objs>") => KmemSlabinfo::Table,
        None => KmemSlabinfo::Unreadable("not a slabinfo table"),
    };
    if group.slabinfo == KmemSlabinfo::Table {
        group.slab = slabinfo::Totals::of(text);
    }
}

/// One-value files: which fact, which field.
fn single(group: &mut Group, name: &str, text: &str) {
    let text = text.lines().next().unwrap_or_default();
    let unlimited = text.trim() == "max";
    let value = number(text);
    let limit = |group: &mut Group, field: &'static str, kmem: bool| {
        group.unlimited.insert(field, unlimited || value.is_none_or(is_unlimited));
        if let Some(value) = value {
            let map = if kmem { &mut group.kmem } else { &mut group.memory };
            map.insert(if kmem { "limit_bytes" } else { field }, value);
        }
    };
    match name {
        "memory.limit_in_bytes" => limit(group, "limit_bytes", false),
        "memory.max" => limit(group, "limit_bytes", false),
        "memory.kmem.limit_in_bytes" => limit(group, "kmem_limit_bytes", true),
        _ => {}
    }
    let Some(value) = value else { return };
    let v1 = name.ends_with("_in_bytes") || name.ends_with("failcnt");
    if v1 || group.version == 0 && name.starts_with("memory.kmem") {
        group.version = 1;
    }
    match name {
        "memory.usage_in_bytes" => group.memory.insert("usage_bytes", value),
        "memory.max_usage_in_bytes" => group.memory.insert("max_usage_bytes", value),
        "memory.failcnt" => group.memory.insert("failcnt", value),
        "memory.memsw.usage_in_bytes" => group.memory.insert("memsw_usage_bytes", value),
        "memory.memsw.failcnt" => group.memory.insert("memsw_failcnt", value),
        "memory.kmem.usage_in_bytes" => group.kmem.insert("usage_bytes", value),
        "memory.kmem.max_usage_in_bytes" => group.kmem.insert("max_usage_bytes", value),
        "memory.kmem.failcnt" => group.kmem.insert("failcnt", value),
        "memory.kmem.tcp.usage_in_bytes" => group.kmem.insert("tcp_usage_bytes", value),
        "memory.current" => {
            group.version = 2;
            group.memory.insert("usage_bytes", value)
        }
        "memory.peak" => group.memory.insert("max_usage_bytes", value),
        "memory.swap.current" => group.memory.insert("swap_bytes", value),
        "pids.current" => group.other.insert(("cgroup.pids", "current"), value),
        "pids.max" => group.other.insert(("cgroup.pids", "limit"), value),
        _ => None,
    };
}

fn memory_stat(group: &mut Group, text: &str) {
    let mut total_inactive = None;
    let mut inactive = None;
    for line in text.lines() {
        let Some((name, value)) = pair(line) else { continue };
        let field = match name {
            "cache" => "cache_bytes",
            "rss" => "rss_bytes",
            "anon" => "anon_bytes",
            "file" => "file_bytes",
            "kernel" => "kernel_bytes",
            "slab" => "slab_bytes",
            "slab_reclaimable" => "slab_reclaimable_bytes",
            "slab_unreclaimable" => "slab_unreclaimable_bytes",
            "sock" => "sock_bytes",
            "kernel_stack" => "kernel_stack_bytes",
            "percpu" => "percpu_bytes",
            "shmem" => "shmem_bytes",
            "total_cache" => "total_cache_bytes",
            "total_rss" => "total_rss_bytes",
            "total_inactive_file" => {
                total_inactive = Some(value);
                continue;
            }
            "inactive_file" => {
                inactive = Some(value);
                continue;
            }
            _ => continue,
        };
        group.memory.insert(field, value);
        if group.version == 0 {
            group.version = if matches!(field, "anon_bytes" | "file_bytes") { 2 } else { 1 };
        }
    }
    if let Some(value) = total_inactive.or(inactive) {
        group.memory.insert("inactive_file_bytes", value);
    }
}

fn events(group: &mut Group, text: &str) {
    for line in text.lines() {
        let Some((name, value)) = pair(line) else { continue };
        let field = match name {
            "max" => "events_max",
            "high" => "events_high",
            "oom" => "events_oom",
            "oom_kill" => "oom_kill",
            _ => continue,
        };
        group.memory.insert(field, value);
    }
    group.version = 2;
}

fn oom_control(group: &mut Group, text: &str) {
    for line in text.lines() {
        match pair(line) {
            Some(("under_oom", value)) => drop(group.memory.insert("under_oom", value)),
            Some(("oom_kill", value)) => drop(group.memory.insert("oom_kill", value)),
            _ => {}
        }
    }
}

fn cgroup_stat(group: &mut Group, text: &str) {
    for line in text.lines() {
        let field = match pair(line) {
            Some(("nr_descendants", value)) => ("descendants", value),
            Some(("nr_dying_descendants", value)) => ("dying", value),
            Some(("nr_subsys_memory", value)) => ("memory_descendants", value),
            Some(("nr_dying_subsys_memory", value)) => ("memory_dying", value),
            _ => continue,
        };
        group.dying.insert(field.0, field.1);
    }
}

fn cpu_stat(group: &mut Group, text: &str) {
    for line in text.lines() {
        let (field, value) = match pair(line) {
            Some(("nr_periods", value)) => ("periods", value),
            Some(("nr_throttled", value)) => ("throttled", value),
            Some(("throttled_time", ns)) => ("throttled_us", ns / 1000),
            Some(("throttled_usec", us)) => ("throttled_us", us),
            _ => continue,
        };
        group.other.insert(("cgroup.cpu_throttling", field), value);
    }
}

/// `some avg10=0.00 avg60=0.00 avg300=0.00 total=0`
fn pressure(group: &mut Group, name: &str, text: &str) {
    for line in text.lines() {
        let mut words = line.split_ascii_whitespace();
        let Some(share @ ("some" | "full")) = words.next() else { continue };
        let value = |key: &str| line.split_ascii_whitespace().find_map(|w| w.strip_prefix(key)?.strip_prefix('='));
        let (Some(avg10), Some(avg300), Some(total)) = (value("avg10"), value("avg300"), value("total")) else {
            continue;
        };
        let (Ok(avg10), Ok(avg300), Ok(total)) = (avg10.parse(), avg300.parse(), total.parse()) else { continue };
        let resource = name.split('.').next().unwrap_or(name);
        group.pressure.push((format!("{resource} {share}"), avg10, avg300, total));
    }
}
