//! List walks that survive damaged memory.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};

use facts::Gap;

use crate::{Kernel, VirtAddr};

/// Nodes read from the end of a long list before the walk comes to them; each may have a page of its own.
const MAX_AHEAD: usize = 4096;

/// What a list reader found: the items that could be read, and what could not be.
#[derive(Clone, Debug)]
pub struct Walk<T> {
    /// Items in list order.
    pub items: Vec<T>,
    /// What is missing, and why.
    pub gaps: Vec<Gap>,
}

impl<T> Default for Walk<T> {
    fn default() -> Self {
        Walk { items: Vec::new(), gaps: Vec::new() }
    }
}

impl<T> Walk<T> {
    /// A walk that found nothing, for this reason.
    pub fn gap(gap: Gap) -> Self {
        Walk { items: Vec::new(), gaps: vec![gap] }
    }
}

impl Kernel<'_> {
    /// Addresses of the nodes of a `struct list_head` ring, the head left out, at most `limit` of them.
    ///
    /// A node that cannot be read, a null pointer, a cycle that does not close on the head and a list longer
    /// than `limit` each end the walk with a gap called `what`. When a node cannot be read the rest is read
    /// backwards from the head, so that only the nodes in the unreadable part are lost.
    pub fn list(&self, head: VirtAddr, limit: usize, what: &str) -> Walk<VirtAddr> {
        let mut walk = Walk::default();
        let mut seen = HashSet::new();
        let broken = self.follow(head, 0, limit, &mut seen, &mut walk.items);
        let Some(why) = broken else { return walk };
        let place = walk.items.last().copied().unwrap_or(head);
        walk.gaps.push(Gap::new(what, format!("list at {head}, after {place}"), why, ""));
        // The other direction: prev pointers.
        let mut back = Vec::new();
        let left = limit.saturating_sub(walk.items.len());
        if left > 0 && self.follow(head, 8, left, &mut seen, &mut back).is_none() {
            back.clear(); // it closed on the head, so everything was seen already
        }
        walk.items.extend(back.into_iter().rev());
        walk
    }

    /// The same for a list of nodes in many pages: another thread reads it from its end, so that half of the pages are
    /// decoded when the walk comes to them. Of a list with more pages than are kept it reads a part only.
    pub(crate) fn long_list(&self, head: VirtAddr, limit: usize, what: &str) -> Walk<VirtAddr> {
        let done = AtomicBool::new(false);
        let from_end = || {
            let mut at = head;
            for _ in 0..limit.min(MAX_AHEAD) {
                match self.ptr(at + 8) {
                    Ok(before) if before != head && before.0 != 0 && !done.load(Ordering::Relaxed) => at = before,
                    _ => break,
                }
            }
        };
        std::thread::scope(|scope| {
            // Without a thread more the walk does it all.
            let _ = std::thread::Builder::new().spawn_scoped(scope, from_end);
            let walk = self.list(head, limit, what);
            done.store(true, Ordering::Relaxed);
            walk
        })
    }

    fn follow(
        &self,
        head: VirtAddr,
        link: u64,
        limit: usize,
        seen: &mut HashSet<u64>,
        items: &mut Vec<VirtAddr>,
    ) -> Option<String> {
        let mut at = head;
        loop {
            let next = match self.ptr(at + link) {
                Ok(next) => next,
                Err(error) => {
                    if at != head && link == 0 {
                        // The node itself is unreadable: it is no item.
                        items.pop();
                    }
                    return Some(format!("node {at} cannot be read: {error}"));
                }
            };
            if next == head {
                return None;
            }
            if next.0 == 0 {
                return Some(format!("null pointer in node {at}"));
            }
            if !seen.insert(next.0) {
                return Some(format!("node {next} comes twice and the list does not close on its head"));
            }
            if items.len() >= limit {
                return Some(format!("more than {limit} nodes"));
            }
            items.push(next);
            at = next;
        }
    }

    /// Addresses of the nodes of a `struct hlist_head` chain, at most `limit`.
    pub fn hlist(&self, head: VirtAddr, limit: usize, what: &str) -> Walk<VirtAddr> {
        let mut walk = Walk::default();
        let mut seen = HashSet::new();
        let mut at = head;
        loop {
            let next = match self.ptr(at) {
                Ok(next) => next,
                Err(error) => {
                    walk.gaps.push(Gap::new(what, format!("node {at}"), error.to_string(), ""));
                    return walk;
                }
            };
            // hlist_nulls lists end with an odd value.
            if next.0 == 0 || next.0 & 1 == 1 {
                return walk;
            }
            if !seen.insert(next.0) || walk.items.len() >= limit {
                walk.gaps.push(Gap::new(
                    what,
                    format!("node {next}"),
                    format!("cycle, or more than {limit} nodes"),
                    "",
                ));
                return walk;
            }
            walk.items.push(next);
            at = next;
        }
    }
}
