//! How many caches `/sys/kernel/slab` names, and how many of them belong to memory cgroups.

use std::collections::HashSet;

use facts::{Fact, Origin};

use crate::cgroup::tree::hash;
use crate::node::{Input, Node};
use crate::slabinfo::Cache;

/// A child cache of a memory cgroup: `dentry(1234:name)`.
fn is_child(name: &str) -> bool {
    Cache { name: name.to_owned(), ..Cache::default() }.is_child()
}

/// Takes note of a member below `/sys/kernel/slab/<name>/`.
pub(crate) fn seen(node: &mut Node, path: &str) {
    let Some((_, below)) = path.split_once("sys/kernel/slab/") else { return };
    let mut parts = below.split('/');
    let (Some(name), Some(_)) = (parts.next(), parts.next()) else { return };
    // Since 3.15 the children have a folder of their own: `<cache>/cgroup/<child>/`.
    let child = path.split_once("/cgroup/").and_then(|(_, c)| c.split('/').next());
    let (key, child) = match child {
        Some(child) => (format!("{name}/cgroup/{child}"), true),
        None => (name.to_owned(), is_child(name)),
    };
    if node.slab_names.len() < 1_000_000 && node.slab_names.insert(hash(&key)) && child {
        node.slab_children += 1;
        if let Some(group) = group_of(&key) {
            node.slab_memcgs.insert(hash(group));
        }
    }
    if node.slab_member.is_empty() {
        node.slab_member =
            format!("{}sys/kernel/slab", path.split_once("sys/kernel/slab/").map_or("", |(head, _)| head));
    }
}

/// Emits what the members' names counted.
pub(crate) fn finish(node: &mut Node) {
    if node.slab_names.is_empty() {
        return;
    }
    let total = i64::try_from(node.slab_names.len()).unwrap_or(i64::MAX);
    let memcgs = i64::try_from(node.slab_memcgs.len()).unwrap_or(i64::MAX);
    let fact = fact(Origin::whole(node.slab_member.as_str()), total, node.slab_children, memcgs);
    node.push_once(fact);
}

fn fact(origin: Origin, total: i64, children: i64, memcgs: i64) -> Fact {
    Fact::new("node.slab_names", origin)
        .with("total", total)
        .with("per_memcg", children)
        .with("memcgs", memcgs)
        .quoting(format!("/sys/kernel/slab names {total} caches, {children} of them of {memcgs} memory cgroups"))
}

/// `12:0a1b` of `dentry(12:0a1b)`.
fn group_of(name: &str) -> Option<&str> {
    name.rsplit_once('(')?.1.strip_suffix(')')
}

/// A listing, `ls` in columns or `ls -l`.
pub(crate) fn listing(node: &mut Node, input: &Input<'_>) -> bool {
    let (mut total, mut children) = (0i64, 0i64);
    let mut memcgs = HashSet::new();
    let mut take = |name: &str| {
        total += 1;
        if is_child(name) {
            children += 1;
            memcgs.extend(group_of(name).map(hash));
        }
    };
    for line in input.text.lines() {
        let long = line.starts_with(['d', 'l', '-']) && line.split_ascii_whitespace().count() >= 8;
        if long {
            // `lrwxrwxrwx 1 root root 0 Feb 10 09:40 dentry -> :0000192`
            take(line.split(" -> ").next().and_then(|l| l.split_ascii_whitespace().last()).unwrap_or_default());
        } else if !line.starts_with("total ") {
            line.split_ascii_whitespace().for_each(&mut take);
        }
    }
    if total > 0 {
        let memcgs = i64::try_from(memcgs.len()).unwrap_or(i64::MAX);
        node.push_once(fact(input.whole(), total, children, memcgs));
    }
    total > 0
}

/// A count, and below it the caches that occur most often: `ls | wc -l`, `ls | sed 's/(.*//' | sort | uniq -c`.
pub(crate) fn counted(node: &mut Node, input: &Input<'_>) -> bool {
    let mut lines = input.text.lines().map(str::trim).filter(|l| !l.is_empty());
    let Some(total) = lines.next().and_then(|l| l.split_ascii_whitespace().next()?.parse::<i64>().ok()) else {
        return false;
    };
    let (mut children, mut memcgs) = (0i64, 0i64);
    for line in lines {
        let mut words = line.split_ascii_whitespace();
        if let (Some(Ok(n)), Some(_)) = (words.next().map(str::parse::<i64>), words.next())
            && n > 1
        {
            // Names are unlike each other: a name that occurs n times stands for n children of one cache, each of
            // another cgroup.
            children = children.saturating_add(n);
            memcgs = memcgs.max(n);
        }
    }
    node.push_once(fact(input.whole(), total, children, memcgs));
    true
}
