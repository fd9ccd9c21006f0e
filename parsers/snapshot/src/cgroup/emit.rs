//! Facts out of the groups, once all files are read.

use facts::{Fact, Origin};

use super::{Group, KmemSlabinfo, names};
use crate::node::Node;

/// Makes the facts of all groups and trees.
pub(crate) fn finish(node: &mut Node) {
    let groups = std::mem::take(&mut node.groups);
    for ((tree, path), group) in &groups.by_path {
        memory_facts(node, tree, path, group);
        other_facts(node, path, group);
    }
    for (controller, (hierarchy, count, enabled, member)) in &groups.controllers {
        let fact = Fact::new("cgroup.controllers", Origin::whole(member.as_str()))
            .with("controller", controller.as_str())
            .with("hierarchy", *hierarchy)
            .with("num_cgroups", *count)
            .with("enabled", *enabled)
            .quoting(format!("{controller}\t{hierarchy}\t{count}\t{}", i32::from(*enabled)));
        node.push(fact);
    }
    for (name, tree) in &groups.trees {
        // A hybrid node has v1 memory and an (empty) unified tree; the memory controller counts where it is mounted.
        let v2 = name == "unified";
        let controller = if v2 { "memory" } else { name.as_str() };
        let directories = i64::try_from(tree.count()).unwrap_or(i64::MAX);
        let from_root = tree.is_from_root(v2);
        let count = groups.controllers.get(controller).filter(|c| v2 == (c.0 == 0)).map(|c| c.1);
        let mut fact = Fact::new("cgroup.tree", Origin::whole(tree.member.as_str()))
            .with("controller", name.as_str())
            .with("version", if v2 { 2 } else { 1 })
            .with("directories", directories)
            .with_opt("from_root", from_root)
            .with_opt("num_cgroups", count);
        if let (Some(count), Some(true)) = (count, from_root) {
            fact.set("excess", count.saturating_sub(directories).max(0));
            fact.quote = format!("/proc/cgroups counts {count} {controller} groups, {directories} directories exist");
        } else {
            fact.quote = format!("{directories} directories below the {name} tree");
        }
        node.push(fact);
    }
}

fn named(kind: &'static str, path: &str, group: &Group) -> Fact {
    let names = names::of(path);
    Fact::new(kind, Origin::whole(group.member.as_str()))
        .with("path", path)
        .with_opt("qos", names.qos)
        .with_opt("pod", names.pod)
        .with_opt("container", names.container)
        .with_opt("runtime", names.runtime)
        .with_opt("unit", names.unit)
}

fn memory_facts(node: &mut Node, tree: &str, path: &str, group: &Group) {
    if !group.memory.is_empty() {
        let mut fact = named("cgroup.memory", path, group);
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
    if !group.dying.is_empty() {
        let mut fact = Fact::new("cgroup.dying", Origin::whole(group.member.as_str())).with("path", path);
        for (field, value) in &group.dying {
            fact.set(*field, *value);
        }
        let dying = group.dying.get("dying").copied().unwrap_or_default();
        let living = group.dying.get("descendants").copied().unwrap_or_default();
        fact.quote = format!("{path}: nr_descendants {living}, nr_dying_descendants {dying}");
        node.push(fact);
    }
}

fn memory_quote(path: &str, group: &Group) -> String {
    let mut parts = Vec::new();
    for field in ["usage_bytes", "limit_bytes", "failcnt", "events_max", "oom_kill"] {
        match group.memory.get(field) {
            Some(_) if field == "limit_bytes" && group.unlimited.get("limit_bytes") == Some(&true) => {
                parts.push("no limit".to_owned());
            }
            Some(value) => parts.push(format!("{} {value}", field.trim_end_matches("_bytes"))),
            None => {}
        }
    }
    format!("{path}: {}", parts.join(", "))
}

fn kmem_facts(node: &mut Node, path: &str, group: &Group) {
    let mut fact = named("cgroup.kmem", path, group);
    let accounting = match &group.slabinfo {
        KmemSlabinfo::Table => "on",
        KmemSlabinfo::InputOutputError => "off",
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
    let usage = group.kmem.get("usage_bytes").map_or(String::new(), |u| format!(", usage {u}"));
    let failed = group.kmem.get("failcnt").map_or(String::new(), |n| format!(", kmem failcnt {n}"));
    let memory_failed = group.memory.get("failcnt").map_or(String::new(), |n| format!(", memory failcnt {n}"));
    fact.quote = format!("{path}: kmem accounting {accounting}{usage}{failed}{memory_failed}");
    node.push(fact);
    for cache in &group.slab.largest {
        let fact = Fact::new("cgroup.slab_cache", Origin::whole(group.member.as_str()))
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
        let mut fact = named(kind, path, group);
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
        let fact = named("cgroup.pressure", path, group)
            .with("what", what.as_str())
            .with("avg10", *avg10)
            .with("avg300", *avg300)
            .with("total_us", *total);
        node.push(fact);
    }
}
