//! Facts out of the groups, once all files are read.

use facts::{Fact, Origin};

use super::{Group, Groups, KmemSlabinfo, Subject, names};
use crate::node::Node;

/// Makes the facts of all groups and trees.
pub(crate) fn finish(node: &mut Node) {
    let groups = std::mem::take(&mut node.groups);
    let in_container = node.facts.iter().any(|f| f.kind == "node.container");
    hollow_groups(node, &groups);
    for ((tree, path), group) in &groups.by_path {
        dying_facts(node, &groups, tree, path, group);
        memory_facts(node, tree, path, group);
        other_facts(node, path, group);
    }
    for (controller, row) in &groups.controllers {
        let fact = Fact::new("cgroup.controllers", row.origin.clone())
            .with("controller", controller.as_str())
            .with("hierarchy", row.hierarchy)
            .with("num_cgroups", row.count)
            .with("enabled", row.enabled)
            .quoting(format!("/proc/cgroups counts {} {controller} groups", row.count));
        node.push(fact);
    }
    for (name, tree) in &groups.trees {
        // What was counted on the node stands above what was collected: a collection may be a part of the tree.
        if !groups.counted.contains_key(name) {
            let v2 = name == "unified";
            let origin = Origin::whole(tree.member.as_str());
            let from_root = tree.is_from_root(v2);
            tree_fact(node, &groups, name, i64::try_from(tree.count()).unwrap_or(i64::MAX), from_root, origin);
        }
    }
    for (name, (directories, origin)) in &groups.counted {
        let from_root = (!in_container).then_some(true);
        tree_fact(node, &groups, name, *directories, from_root, origin.clone());
    }
}

/// How many directories a tree has, against what `/proc/cgroups` counts.
fn tree_fact(node: &mut Node, groups: &Groups, name: &str, directories: i64, from_root: Option<bool>, origin: Origin) {
    // A hybrid node has v1 memory and an (empty) unified tree; the memory controller counts where it is mounted.
    let v2 = name == "unified";
    let controller = if v2 { "memory" } else { name };
    let count = groups.controllers.get(controller).filter(|row| v2 == (row.hierarchy == 0)).map(|row| row.count);
    let mut fact = Fact::new("cgroup.tree", origin)
        .with("controller", name)
        .with("version", if v2 { 2 } else { 1 })
        .with("directories", directories)
        .with_opt("from_root", from_root)
        .with_opt("num_cgroups", count);
    fact.quote = match (count, from_root) {
        (Some(count), Some(true)) => {
            let excess = count.saturating_sub(directories).max(0);
            fact.set("excess", excess);
            format!(
                "/proc/cgroups counts {count} {controller} groups, {directories} directories exist: {excess} live on \
                 without one"
            )
        }
        _ => format!("{directories} directories below the {name} tree"),
    };
    node.push(fact);
}

/// Says once that control files came without their content.
fn hollow_groups(node: &mut Node, groups: &Groups) {
    let hollow: Vec<&Group> = groups.by_path.values().filter(|g| g.is_hollow()).collect();
    if let Some(member) = hollow.iter().map(|g| g.origin(Subject::Memory).member).min() {
        let why =
            format!("the control files of {} cgroups are empty: an archiver believed their size of 0", hollow.len());
        node.gap("content of cgroup files", &member, &why, "cp -r /sys/fs/cgroup /tmp/cg && tar czf cg.tgz -C /tmp cg");
    }
}

fn named(kind: &'static str, path: &str, origin: Origin) -> Fact {
    let names = names::of(path);
    Fact::new(kind, origin)
        .with("path", path)
        .with_opt("qos", names.qos)
        .with_opt("pod", names.pod)
        .with_opt("container", names.container)
        .with_opt("runtime", names.runtime)
        .with_opt("unit", names.unit)
}

fn memory_facts(node: &mut Node, tree: &str, path: &str, group: &Group) {
    if !group.memory.is_empty() {
        let mut fact = named("cgroup.memory", path, group.origin(Subject::Memory));
        fact.set("version", i64::from(if group.version == 0 && tree == "unified" { 2 } else { group.version.max(1) }));
        for (field, value) in &group.memory {
            fact.set(*field, *value);
        }
        if let Some(unlimited) = group.unlimited.get("limit_bytes") {
            fact.set("limit_unlimited", *unlimited);
        }
        // What kubelet calls the working set.
        if let (Some(usage), Some(inactive)) =
            (group.memory.get("usage_bytes"), group.memory.get("inactive_file_bytes"))
        {
            fact.set("working_set_bytes", (usage - inactive).max(0));
        }
        fact.quote = memory_quote(path, group);
        node.push(fact);
    }
    let has_kmem = !group.kmem.is_empty() || group.slabinfo != KmemSlabinfo::NotCollected;
    if has_kmem {
        kmem_facts(node, path, group);
    }
}

/// Removed groups that live on: a group's figure holds those of all groups below it.
fn dying_facts(node: &mut Node, groups: &Groups, tree: &str, path: &str, group: &Group) {
    let Some(dying) = group.dying.get("dying").copied() else { return };
    let of = |path: &str| {
        groups.by_path.get(&(tree.to_owned(), path.to_owned())).and_then(|g| g.dying.get("dying").copied())
    };
    let topmost = path == "/" || !ancestors(path).any(|above| of(above).is_some());
    let mut fact = Fact::new("cgroup.dying", group.origin(Subject::Dying)).with("path", path).with("topmost", topmost);
    for (field, value) in &group.dying {
        fact.set(*field, *value);
    }
    let living = group.dying.get("descendants").copied().unwrap_or_default();
    fact.quote = format!("{path}: {dying} removed cgroups live on below it (nr_dying_descendants), {living} exist");
    // Where they were made tells whose they are.
    if topmost && dying > 0 && path == "/" {
        let most = dying.saturating_sub(dying / 10);
        let deepest = groups
            .by_path
            .iter()
            .filter(|((t, p), g)| t == tree && p != "/" && g.dying.get("dying").is_some_and(|n| *n >= most))
            .max_by_key(|((_, p), _)| p.len());
        if let Some(((_, below), _)) = deepest {
            fact.quote.push_str(&format!("; nearly all were made in {}", names::spoken(below)));
            fact.set("mostly_below", below.as_str());
        }
    }
    node.push(fact);
}

/// The directories above a path, the nearest first; a tree is not deeper than this in earnest.
fn ancestors(path: &str) -> impl Iterator<Item = &str> {
    const DEEPEST: usize = 64;
    std::iter::successors(path.rsplit_once('/').map(|(head, _)| head), |path| {
        path.rsplit_once('/').map(|(head, _)| head)
    })
    .map(|path| if path.is_empty() { "/" } else { path })
    .take(DEEPEST)
}

fn memory_quote(path: &str, group: &Group) -> String {
    let mut parts = Vec::new();
    for (field, word) in [
        ("usage_bytes", "usage"),
        ("limit_bytes", "limit"),
        ("kernel_bytes", "kernel"),
        ("slab_bytes", "slab"),
        ("failcnt", "failcnt"),
        ("events_max", "limit hits"),
        ("oom_kill", "OOM kills"),
    ] {
        match group.memory.get(field) {
            Some(_) if field == "limit_bytes" && group.unlimited.get("limit_bytes") == Some(&true) => {
                parts.push("no limit".to_owned());
            }
            Some(value) if field.ends_with("_bytes") => parts.push(format!("{word} {}", amount(*value))),
            Some(value) => parts.push(format!("{word} {value}")),
            None => {}
        }
    }
    format!("{}: {}", names::spoken(path), parts.join(", "))
}

/// The whole story in one line: which counter failed, against which limit.
fn kmem_quote(path: &str, accounting: &str, group: &Group) -> String {
    let mut quote = format!("{}: kernel-memory accounting {accounting}", names::spoken(path));
    let bytes = |map: &std::collections::BTreeMap<&'static str, i64>, field| map.get(field).copied().map(amount);
    let limited = |field, limit: Option<String>| match group.unlimited.get(field) {
        Some(true) => Some("no limit".to_owned()),
        _ => limit.map(|limit| format!("limit {limit}")),
    };
    for (what, usage, limit, failed) in [
        (
            "kmem",
            bytes(&group.kmem, "usage_bytes"),
            limited("kmem_limit_bytes", bytes(&group.kmem, "limit_bytes")),
            group.kmem.get("failcnt"),
        ),
        (
            "memory",
            bytes(&group.memory, "usage_bytes"),
            limited("limit_bytes", bytes(&group.memory, "limit_bytes")),
            group.memory.get("failcnt"),
        ),
    ] {
        let failed = failed.map(|n| format!("failcnt {n}"));
        let parts: Vec<String> = [usage, limit, failed].into_iter().flatten().collect();
        if !parts.is_empty() {
            quote.push_str(&format!("; {what} {}", parts.join(", ")));
        }
    }
    quote
}

/// Bytes as a person reads them, exact where they are few.
fn amount(bytes: i64) -> String {
    const UNITS: [(i64, &str); 3] = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    match UNITS.iter().find(|(unit, _)| bytes >= *unit) {
        Some((unit, name)) if bytes % unit == 0 => format!("{} {name}", bytes / unit),
        Some((unit, name)) => format!("{:.1} {name}", bytes as f64 / *unit as f64),
        None => format!("{bytes} bytes"),
    }
}

fn kmem_facts(node: &mut Node, path: &str, group: &Group) {
    let mut fact = named("cgroup.kmem", path, group.origin(Subject::Kmem));
    if let Some(name) = path.rsplit('/').next().filter(|name| !name.is_empty()) {
        fact.set("name", name);
    }
    let accounting = match &group.slabinfo {
        KmemSlabinfo::Table => "on",
        KmemSlabinfo::InputOutputError => "off",
        KmemSlabinfo::Empty if group.is_hollow() => "not-collected",
        KmemSlabinfo::Empty => "empty",
        KmemSlabinfo::NotCollected => "not-collected",
        KmemSlabinfo::Unreadable(error) => {
            let why = format!("the collector got: {error}");
            node.gap("kernel-memory accounting of a cgroup", path, &why, "cat memory.kmem.slabinfo as root");
            "not-collected"
        }
    };
    fact.set("accounting", accounting);
    for (field, value) in &group.kmem {
        fact.set(*field, *value);
    }
    if let Some(unlimited) = group.unlimited.get("kmem_limit_bytes") {
        fact.set("limit_unlimited", *unlimited);
    }
    let memory_limit = group.memory.get("limit_bytes").copied();
    if let Some(failcnt) = group.memory.get("failcnt") {
        fact.set("memory_failcnt", *failcnt);
    }
    if let Some(usage) = group.memory.get("usage_bytes") {
        fact.set("memory_usage_bytes", *usage);
    }
    if let Some(limit) = memory_limit {
        fact.set("memory_limit_bytes", limit);
        fact.set("memory_limit_unlimited", group.unlimited.get("limit_bytes") == Some(&true));
    }
    if let (Some(kmem), Some(memory)) = (group.kmem.get("limit_bytes"), memory_limit) {
        let relation = match (group.unlimited.get("kmem_limit_bytes"), kmem < &memory) {
            (Some(true), _) => "none",
            (_, true) => "below-memory-limit",
            _ => "at-or-above-memory-limit",
        };
        fact.set("limit_relation", relation);
    }
    if group.slabinfo == KmemSlabinfo::Table {
        let slab = &group.slab;
        fact.set("slab_caches", slab.caches);
        fact.set("slab_bytes", slab.bytes);
        fact.set("slab_objs", slab.objs);
        fact.set("slab_active_objs", slab.active_objs);
        fact.set("dead_caches", slab.dead);
    }
    fact.quote = kmem_quote(path, accounting, group);
    node.push(fact);
    for cache in &group.slab.largest {
        let fact = Fact::new("cgroup.slab_cache", group.origin(Subject::Kmem))
            .with("path", path)
            .with("cache", cache.name.as_str())
            .with("active_objs", cache.active)
            .with("num_objs", cache.total)
            .with("object_bytes", cache.size)
            .with("bytes", cache.total.saturating_mul(cache.size))
            .quoting(format!("{path}: {} {} of {} objects", cache.name, cache.active, cache.total));
        node.push(fact);
    }
}

fn other_facts(node: &mut Node, path: &str, group: &Group) {
    for kind in ["cgroup.pids", "cgroup.cpu_throttling"] {
        let values: Vec<_> = group.other.iter().filter(|((k, _), _)| *k == kind).collect();
        let telling = match kind {
            // Only a group with a limit can run into it, and only a throttled one explains a delay.
            "cgroup.pids" => values.iter().any(|((_, f), _)| *f == "limit"),
            _ => values.iter().any(|((_, f), v)| *f == "throttled" && **v > 0),
        };
        if !telling {
            continue;
        }
        let subject = if kind == "cgroup.pids" { Subject::Pids } else { Subject::Cpu };
        let mut fact = named(kind, path, group.origin(subject));
        for ((_, field), value) in values {
            fact.set(*field, *value);
        }
        node.push(fact);
    }
    for (what, avg10, avg300, total) in &group.pressure {
        // A group that never waited says nothing.
        if *avg10 < 1.0 && *avg300 < 1.0 {
            continue;
        }
        let fact = named("cgroup.pressure", path, group.origin(Subject::Pressure))
            .with("what", what.as_str())
            .with("avg10", *avg10)
            .with("avg300", *avg300)
            .with("total_us", *total);
        node.push(fact);
    }
}
