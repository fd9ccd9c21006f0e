//! cgroup trees, versions 1 and 2.
//!
//! The files of one directory make one group; what the group's facts say comes from several of them.

mod emit;
mod files;
pub(crate) mod names;
pub(crate) mod tree;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use facts::Origin;

use crate::node::{Input, Node};

pub(crate) use emit::finish;
pub(crate) use files::{File, read};

/// What `memory.kmem.slabinfo` of a group answered.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) enum KmemSlabinfo {
    /// The file is not there, so nothing is known.
    #[default]
    NotCollected,
    /// `Input/output error`: the 3.10 kernel's answer while accounting is off.
    InputOutputError,
    /// No bytes: what kernels from 5.9 on answer, whatever the accounting is.
    Empty,
    /// Another error of the tool that read it.
    Unreadable(&'static str),
    /// A table, with or without rows.
    Table,
}

/// One directory of a tree.
#[derive(Debug, Default)]
pub(crate) struct Group {
    pub(crate) version: u8,
    /// Values of `memory.*` files, by the field name of the fact they go to.
    pub(crate) memory: BTreeMap<&'static str, i64>,
    /// Limits that were `max` or the largest number.
    pub(crate) unlimited: BTreeMap<&'static str, bool>,
    pub(crate) kmem: BTreeMap<&'static str, i64>,
    pub(crate) slabinfo: KmemSlabinfo,
    pub(crate) slab: crate::slabinfo::Totals,
    pub(crate) other: BTreeMap<(&'static str, &'static str), i64>,
    pub(crate) pressure: Vec<(String, f64, f64, i64)>,
    pub(crate) dying: BTreeMap<&'static str, i64>,
    /// Where the values of each kind of fact were read first.
    pub(crate) origins: BTreeMap<Subject, Origin>,
    /// A file with content was read; an archiver that trusts the size of control files (0) stores them all empty.
    pub(crate) has_content: bool,
    /// Files without content, `memory.kmem.slabinfo` aside.
    pub(crate) empty_files: usize,
}

/// Which fact a control file speaks to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Subject {
    Memory,
    Kmem,
    Dying,
    Pids,
    Cpu,
    Pressure,
}

impl Group {
    /// Whether files of the group were collected, but none of them has content.
    pub(crate) fn is_hollow(&self) -> bool {
        !self.has_content
            && self.empty_files > 0
            && matches!(self.slabinfo, KmemSlabinfo::NotCollected | KmemSlabinfo::Empty)
    }

    /// Where a fact on `subject` comes from.
    pub(crate) fn origin(&self, subject: Subject) -> Origin {
        self.origins
            .get(&subject)
            .or_else(|| self.origins.values().next())
            .cloned()
            .unwrap_or_else(|| Origin::whole(""))
    }
}

/// All groups of a node, by tree (v1 controller, or `unified`) and path in it.
#[derive(Default)]
pub(crate) struct Groups {
    pub(crate) by_path: BTreeMap<(String, String), Group>,
    pub(crate) trees: BTreeMap<String, tree::Tree>,
    /// The directory of the last member seen.
    pub(crate) last_directory: String,
    /// `/proc/cgroups`, by controller.
    pub(crate) controllers: BTreeMap<String, Controller>,
    /// Directories that somebody counted (`find -type d | wc -l`), by tree.
    pub(crate) counted: BTreeMap<String, (i64, Origin)>,
}

/// One row of `/proc/cgroups`.
pub(crate) struct Controller {
    pub(crate) hierarchy: i64,
    pub(crate) count: i64,
    pub(crate) enabled: bool,
    pub(crate) origin: Origin,
}

impl Groups {
    fn group(&mut self, tree: &str, path: &str, subject: Subject, input: &Input<'_>) -> Option<&mut Group> {
        const MOST: usize = 20_000;
        let key = (tree.to_owned(), path.to_owned());
        if self.by_path.len() >= MOST && !self.by_path.contains_key(&key) {
            return None;
        }
        let group = self.by_path.entry(key).or_default();
        let origin = input.whole();
        match group.origins.entry(subject) {
            Entry::Vacant(entry) => drop(entry.insert(origin)),
            // The order of the files must not show. The table of caches proves most, so it is named where it is there.
            Entry::Occupied(mut entry) if precedes(&origin, entry.get()) => drop(entry.insert(origin)),
            Entry::Occupied(_) => {}
        }
        Some(group)
    }
}

fn precedes(a: &Origin, b: &Origin) -> bool {
    let line = |origin: &Origin| match origin.place {
        facts::Place::Lines { first, .. } => first,
        _ => 0,
    };
    let is_table = |origin: &Origin| origin.member.ends_with("slabinfo");
    (!is_table(a), &a.member, line(a)) < (!is_table(b), &b.member, line(b))
}

/// The value that means "no limit" in v1, in all page sizes and in the first 3.10 builds.
pub(crate) fn is_unlimited(bytes: i64) -> bool {
    bytes >= i64::MAX - (1 << 20)
}

fn node_groups(node: &mut Node) -> &mut Groups {
    &mut node.groups
}
