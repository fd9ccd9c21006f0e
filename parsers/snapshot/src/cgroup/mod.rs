//! cgroup trees, versions 1 and 2.
//!
//! The files of one directory make one group; what the group's facts say comes from several of them.

mod emit;
mod files;
pub(crate) mod names;
pub(crate) mod tree;

use std::collections::BTreeMap;

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
    /// The member of the first file, for the origin.
    pub(crate) member: String,
    pub(crate) quote: String,
}

/// All groups of a node, by tree (v1 controller, or `unified`) and path in it.
#[derive(Default)]
pub(crate) struct Groups {
    pub(crate) by_path: BTreeMap<(String, String), Group>,
    pub(crate) trees: BTreeMap<String, tree::Tree>,
    /// The directory of the last member seen.
    pub(crate) last_directory: String,
    /// `/proc/cgroups`: controller -> (hierarchy, num_cgroups, enabled, member).
    pub(crate) controllers: BTreeMap<String, (i64, i64, bool, String)>,
}

impl Groups {
    fn group(&mut self, tree: &str, path: &str, input: &Input<'_>) -> Option<&mut Group> {
        const MOST: usize = 20_000;
        let key = (tree.to_owned(), path.to_owned());
        if self.by_path.len() >= MOST && !self.by_path.contains_key(&key) {
            return None;
        }
        let group = self.by_path.entry(key).or_default();
        if group.member.is_empty() || input.member < group.member.as_str() {
            group.member = input.member.to_owned();
        }
        Some(group)
    }
}

/// The value that means "no limit" in v1, in all page sizes and in the first 3.10 builds.
pub(crate) fn is_unlimited(bytes: i64) -> bool {
    bytes >= i64::MAX - (1 << 20)
}

fn node_groups(node: &mut Node) -> &mut Groups {
    &mut node.groups
}
