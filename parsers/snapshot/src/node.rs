//! Everything the files of one node say, joined.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use facts::{Fact, Gap, Identity, Origin};

use crate::cgroup::{self, Groups};
use crate::{paste, paths};

/// Collects the files of one node; facts come at the end.
#[derive(Default)]
pub struct Node {
    pub(crate) facts: Vec<Fact>,
    pub(crate) gaps: Vec<Gap>,
    /// What the file at hand says about the machine.
    pub(crate) identity: Identity,
    pub(crate) groups: Groups,
    /// Names below `/sys/kernel/slab`, as hashes, and how many of them belong to a memory cgroup.
    pub(crate) slab_names: HashSet<u64>,
    pub(crate) slab_children: i64,
    /// The cgroups that those children name, as hashes.
    pub(crate) slab_memcgs: HashSet<u64>,
    pub(crate) slab_member: String,
    /// Livepatches met by their directories: name -> enabled.
    pub(crate) livepatches: BTreeMap<String, Option<bool>>,
    pub(crate) livepatch_functions: BTreeMap<String, BTreeSet<String>>,
    /// Folders of crash dumps met by the names of their files.
    pub(crate) crash_folders: BTreeMap<String, crate::system::kdump::Folder>,
    pub(crate) tasks: crate::proc::task::Tasks,
    /// Kinds of which one fact per node is enough, and where it stands; the source first by name wins, whatever the
    /// order of an archive.
    once: HashMap<Cow<'static, str>, usize>,
    /// What each file said about the machine, by its name.
    identities: BTreeMap<String, Identity>,
    full: bool,
    /// The directory of the last member seen, and what the names in it tell.
    directory: String,
    told_by_names: Told,
}

/// What the names of a directory's files tell, whatever is in them.
#[derive(Clone, Copy, Default)]
enum Told {
    #[default]
    Nothing,
    /// Which cgroups there are.
    Cgroups,
    /// Which slab caches and livepatches there are.
    KernelObjects,
}

/// One file as the readers get it.
pub(crate) struct Input<'a> {
    /// Path in the node, without the bundle's own folders where they are known.
    pub(crate) path: &'a str,
    /// The member that facts name as their origin.
    pub(crate) member: &'a str,
    pub(crate) text: &'a str,
    /// Lines of the member before this text, when it is a piece of a paste.
    pub(crate) before: u64,
}

impl Input<'_> {
    pub(crate) fn whole(&self) -> Origin {
        if self.before == 0 {
            return Origin::whole(self.member);
        }
        Origin::lines(self.member, self.before + 1, self.before + self.text.lines().count().max(1) as u64)
    }

    /// The origin of a line of this text, counted from 0.
    pub(crate) fn line(&self, index: usize) -> Origin {
        let line = self.before + index as u64 + 1;
        Origin::lines(self.member, line, line)
    }
}

impl Node {
    /// Takes note of a member by its name alone: directories of cgroup trees and slab names are counted by it.
    /// Call it for every member, wanted or not.
    pub fn seen(&mut self, path_in_node: &str) {
        let Some((directory, base)) = path_in_node.rsplit_once('/') else { return };
        // Members of one directory come one after the other.
        if self.directory != directory {
            directory.clone_into(&mut self.directory);
            self.told_by_names = if cgroup::tree::holds(directory) {
                Told::Cgroups
            } else if directory.contains("sys/kernel/") {
                Told::KernelObjects
            } else {
                Told::Nothing
            };
        }
        match self.told_by_names {
            Told::Cgroups => cgroup::tree::seen(&mut self.groups, directory, base),
            Told::KernelObjects => {
                crate::system::slab_names::seen(self, path_in_node);
                crate::system::livepatch::seen(self, path_in_node);
            }
            Told::Nothing => {}
        }
        crate::system::kdump::seen(self, path_in_node, base);
    }

    /// Reads one file. `member` is the name that facts give as their origin. Returns whether it was understood.
    pub fn add(&mut self, path_in_node: &str, member: &str, bytes: &[u8]) -> bool {
        self.seen(path_in_node);
        let text = String::from_utf8_lossy(bytes);
        let input = Input { path: path_in_node, member, text: &text, before: 0 };
        let understood = self.take(&input);
        let said = std::mem::take(&mut self.identity);
        if said != Identity::default() {
            self.identities.entry(member.to_owned()).or_default().fill(&said);
        }
        understood
    }

    /// Reads a text or a piece of one.
    pub(crate) fn take(&mut self, input: &Input<'_>) -> bool {
        if let Some(route) = paths::route(input.path)
            && route.read(self, input)
        {
            return true;
        }
        if let Some(reader) = paths::by_content(input.text.get(..4096.min(input.text.len())).unwrap_or(input.text))
            && reader(self, input)
        {
            return true;
        }
        input.before == 0 && paste::read(self, input)
    }

    /// Which machine and which boot the files so far come from.
    pub fn identity(&self) -> Identity {
        let mut identity = Identity::default();
        self.identities.values().for_each(|said| identity.fill(said));
        identity
    }

    /// Adds a fact.
    pub(crate) fn push(&mut self, fact: Fact) {
        const MOST: usize = 50_000;
        if self.facts.len() < MOST {
            self.facts.push(fact);
        } else if !std::mem::replace(&mut self.full, true) {
            let why = format!("more than {MOST} facts; further ones are dropped");
            self.gaps.push(Gap::new("node state", &fact.origin.member, why, "a smaller selection of files"));
        }
    }

    /// Adds a fact of which the node has only one.
    pub(crate) fn push_once(&mut self, fact: Fact) {
        let end = self.facts.len();
        let at = *self.once.entry(fact.kind.clone()).or_insert(end);
        match self.facts.get_mut(at) {
            Some(old) if fact.origin.member < old.origin.member => *old = fact,
            Some(_) => {}
            None => self.push(fact),
        }
    }

    pub(crate) fn gap(&mut self, what: &str, place: &str, why: &str, closes: &str) {
        self.gaps.push(Gap::new(what, place, why, closes));
    }

    /// Adds what a [`NodeLog`](crate::NodeLog) told.
    pub fn add_log(&mut self, facts: Vec<Fact>) {
        facts.into_iter().for_each(|fact| self.push(fact));
    }

    /// The facts, in a fixed order that does not depend on the order of the files, and the gaps.
    pub fn finish(mut self) -> (Vec<Fact>, Vec<Gap>) {
        cgroup::finish(&mut self);
        crate::system::slab_names::finish(&mut self);
        crate::system::livepatch::finish(&mut self);
        crate::system::kdump::finish(&mut self);
        crate::proc::task::finish(&mut self);
        let mut facts = self.facts;
        facts.sort_by_cached_key(|f| (f.kind.clone(), f.text("path").map(str::to_owned), place(f)));
        self.gaps.sort();
        self.gaps.dedup();
        (facts, self.gaps)
    }
}

fn place(fact: &Fact) -> (String, u64) {
    let line = match fact.origin.place {
        facts::Place::Lines { first, .. } => first,
        _ => 0,
    };
    (fact.origin.member.clone(), line)
}
