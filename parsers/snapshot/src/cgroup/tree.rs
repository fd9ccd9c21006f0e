//! Which directories a cgroup tree really has.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::LazyLock;

use memchr::memmem::Finder;

use super::Groups;

/// The directories of one tree, as far as members name them.
#[derive(Default)]
pub(crate) struct Tree {
    directories: HashSet<u64>,
    /// A file that only the root directory of a v1 hierarchy has was seen at the top.
    v1_root_file: bool,
    /// v2: `cgroup.procs` at the top, and `cgroup.events`, which the root lacks.
    v2_top_procs: bool,
    v2_top_events: bool,
    pub(crate) member: String,
}

impl Tree {
    /// Number of directories, the top included.
    pub(crate) fn count(&self) -> usize {
        self.directories.len()
    }

    /// Whether the top is the real root of the hierarchy. A container sees a subtree as `/`, and comparing that with
    /// `/proc/cgroups`, which counts the whole machine, would prove nothing. `None`: not to be told.
    pub(crate) fn is_from_root(&self, v2: bool) -> Option<bool> {
        if v2 {
            return self.v2_top_procs.then_some(!self.v2_top_events);
        }
        if self.v1_root_file { Some(true) } else { None }
    }
}

const CONTROLLERS: &[&str] = &[
    "blkio",
    "cpu",
    "cpuacct",
    "cpu,cpuacct",
    "cpuacct,cpu",
    "cpuset",
    "devices",
    "freezer",
    "hugetlb",
    "memory",
    "net_cls",
    "net_prio",
    "net_cls,net_prio",
    "net_prio,net_cls",
    "perf_event",
    "pids",
    "rdma",
    "misc",
    "systemd",
    "elogind",
    "unified",
];

/// Splits a path below `sys/fs/cgroup` into tree and path in it: `("memory", "/a/b")`, `("unified", "/a.slice")`.
pub(crate) fn split(directory: &str) -> Option<(String, String)> {
    let at =
        directory.find("sys/fs/cgroup").filter(|at| *at == 0 || directory.as_bytes().get(at - 1) == Some(&b'/'))?;
    let below = directory.get(at + "sys/fs/cgroup".len()..)?;
    let below = match below.strip_prefix('/') {
        Some(below) => below,
        None if below.is_empty() => "",
        None => return None,
    };
    let (first, rest) = below.split_once('/').unwrap_or((below, ""));
    if CONTROLLERS.contains(&first) {
        return Some((first.to_owned(), format!("/{rest}")));
    }
    Some(("unified".to_owned(), format!("/{below}")))
}

/// Whether a directory is one of a cgroup tree.
pub(crate) fn holds(directory: &str) -> bool {
    static TREE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("sys/fs/cgroup"));
    TREE.find(directory.as_bytes()).is_some()
}

/// Takes note of one member of such a directory.
pub(crate) fn seen(groups: &mut Groups, directory: &str, base: &str) {
    let top_file =
        matches!(base, "release_agent" | "cgroup.sane_behavior" | "cgroup.procs" | "cgroup.events" | "cgroup.type");
    // Members of one directory come one after the other.
    if groups.last_directory == directory && !top_file {
        return;
    }
    groups.last_directory.clear();
    groups.last_directory.push_str(directory);
    let Some((name, inside)) = split(directory) else { return };
    add_directory(groups, &name, &inside, directory);
    let Some(tree) = groups.trees.get_mut(&name) else { return };
    if inside == "/" {
        match base {
            "release_agent" | "cgroup.sane_behavior" => tree.v1_root_file = true,
            "cgroup.procs" => tree.v2_top_procs = true,
            "cgroup.events" | "cgroup.type" => tree.v2_top_events = true,
            _ => {}
        }
    }
}

/// Counts a directory and those above it.
pub(crate) fn add_directory(groups: &mut Groups, tree: &str, inside: &str, member: &str) {
    const MOST: usize = 1_000_000;
    let tree = groups.trees.entry(tree.to_owned()).or_default();
    if tree.member.is_empty() || member < tree.member.as_str() {
        tree.member = member.to_owned();
    }
    let inside = inside.trim_end_matches('/');
    let mut end = inside.len();
    while tree.directories.len() < MOST {
        let part = inside.get(..end).unwrap_or_default();
        if !tree.directories.insert(hash(part)) || end == 0 {
            break;
        }
        end = part.rfind('/').unwrap_or(0);
    }
}

pub(crate) fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trees_are_split_by_version() {
        assert_eq!(split("x/sys/fs/cgroup/memory/a/b"), Some(("memory".into(), "/a/b".into())));
        assert_eq!(split("sys/fs/cgroup/memory"), Some(("memory".into(), "/".into())));
        assert_eq!(split("sys/fs/cgroup/unified/a"), Some(("unified".into(), "/a".into())));
        assert_eq!(split("sys/fs/cgroup/system.slice/b"), Some(("unified".into(), "/system.slice/b".into())));
        assert_eq!(split("sys/fs/cgroup"), Some(("unified".into(), "/".into())));
        assert_eq!(split("asys/fs/cgroup/x"), None);
    }

    #[test]
    fn directories_are_counted_once_with_those_above() {
        let mut groups = Groups::default();
        for path in
            ["sys/fs/cgroup/memory/a/b/memory.stat", "sys/fs/cgroup/memory/a/b/tasks", "sys/fs/cgroup/memory/c/x"]
        {
            let (directory, base) = path.rsplit_once('/').unwrap();
            seen(&mut groups, directory, base);
        }
        assert_eq!(groups.trees["memory"].count(), 4);
        assert_eq!(groups.trees["memory"].is_from_root(false), None);
        seen(&mut groups, "sys/fs/cgroup/memory", "release_agent");
        assert_eq!(groups.trees["memory"].is_from_root(false), Some(true));
    }
}
