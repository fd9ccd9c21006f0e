//! Who points at an address: words in the data of modules, with the symbol that holds them, and in slab objects.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};

use facts::Gap;
use serde::Serialize;

use crate::{Kernel, ReadError, VirtAddr, Walk};

/// Bytes of module memory searched in all.
const MAX_BYTES: u64 = 256 << 20;
/// Page structures and bytes of slabs searched, and references listed.
const MAX_FRAMES: u64 = 16 << 20;
const MAX_SLAB_BYTES: u64 = 2 << 30;
const MAX_FOUND: usize = 10_000;

/// A word in a module's data that holds an address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reference {
    /// The address it holds.
    pub target: VirtAddr,
    /// Where the word lies.
    pub at: VirtAddr,
    /// The module.
    pub module: String,
    /// Whether the module was built outside the kernel's tree.
    pub out_of_tree: bool,
    /// The variable that the word is part of.
    pub symbol: Option<String>,
}

impl Kernel<'_> {
    /// Words in modules' memory that hold one of these addresses, out-of-tree modules first.
    pub fn module_references(&self, targets: &HashSet<u64>) -> Vec<Reference> {
        let mut found = Vec::new();
        if targets.is_empty() {
            return found;
        }
        let targets = Targets::new(targets.iter().copied());
        let mut modules: Vec<_> = self.modules().items.iter().collect();
        modules.sort_by_key(|module| !module.out_of_tree());
        let mut left = MAX_BYTES;
        for module in modules {
            for part in module.parts.iter().chain(&module.init) {
                let mut at = part.start & !4095;
                while at < part.end && left > 0 {
                    let mut page = [0u8; 4096];
                    if self.read(VirtAddr(at), &mut page).is_ok() {
                        for (offset, value) in targets.places(&page) {
                            let here = VirtAddr(at) + offset;
                            found.push(Reference {
                                target: VirtAddr(value),
                                at: here,
                                module: module.name.clone(),
                                out_of_tree: module.out_of_tree(),
                                symbol: self.symbolize_module(here).map(|s| match s.offset {
                                    0 => s.name,
                                    offset => format!("{}+{offset:#x}", s.name),
                                }),
                            });
                        }
                    }
                    at += 4096;
                    left = left.saturating_sub(4096);
                }
            }
        }
        found
    }

    /// Allocated slab objects that hold one of these addresses. Bounded: a bound that is hit is a gap.
    pub(crate) fn slab_references(&self, targets: &HashSet<u64>) -> Walk<SlabReference> {
        let mut walk = Walk::default();
        if targets.is_empty() {
            return walk;
        }
        let targets = Targets::new(targets.iter().copied());
        let stopped = |frame: u64| {
            Gap::new(
                "who refers to an address",
                format!("page frames from {frame:#x} on"),
                "the search stopped at its bound",
                "a larger budget",
            )
        };
        let (frames, cut) = self.frames_of_dump(MAX_FRAMES);
        walk.gaps.extend(cut.map(stopped));
        let (searched, seen, lost) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
        let parts = self.sweep(&frames, |part: &mut (Vec<SlabReference>, Option<u64>), slabs, frame, _, slab| {
            seen.fetch_add(1, Ordering::Relaxed);
            let Some(slab) = slab else { return };
            if searched.fetch_add(slab.len(), Ordering::Relaxed) > MAX_SLAB_BYTES || part.0.len() >= MAX_FOUND {
                part.1.get_or_insert(frame);
                return;
            }
            let Ok(bytes) = self.bytes(slab.base, slab.len() as usize) else {
                lost.fetch_add(1, Ordering::Relaxed);
                return;
            };
            let hits: Vec<(u64, u64)> = targets.places(&bytes).collect();
            if hits.is_empty() {
                return;
            }
            let free = slabs.free(&slab, &bytes);
            for (at, target) in hits {
                let nth = at / slab.size;
                if free.as_ref().is_none_or(|free| free.get(nth as usize) != Some(&true)) {
                    let (cache, size, object) = (slab.cache, slab.size, slab.base + nth * slab.size);
                    part.0.push(SlabReference { target, cache, size, object, offset: at % size });
                }
            }
        });
        for (found, cut) in parts {
            walk.items.extend(found);
            if walk.gaps.is_empty() {
                walk.gaps.extend(cut.map(stopped));
            }
        }
        walk.items.truncate(MAX_FOUND);
        let whole: u64 = frames.iter().map(|range| range.end.saturating_sub(range.start)).sum();
        let unknown = if seen.into_inner() < whole { self.frames_without_structure(&frames) } else { 0 };
        let lost = lost.into_inner();
        if unknown + lost > 0 {
            walk.gaps.push(Gap::new(
                "who refers to an address",
                format!("page structures of {unknown} page frames, memory of {lost} slabs"),
                "they are not in the dump, so nobody knows what lies there",
                "the whole dump",
            ));
        }
        walk
    }

    /// Page frames whose page structures ought to be there and are not. Memory that the page allocator never had, as that
    /// of firmware, has none.
    fn frames_without_structure(&self, frames: &[std::ops::Range<u64>]) -> u64 {
        let mut missing = 0u64;
        for range in frames {
            let mut frame = range.start;
            while frame < range.end {
                let end = range.end.min((frame | 63) + 1);
                let read = self.page_of_frame(frame).map(|page| self.u64(page));
                if let Some(Err(ReadError::Absent { .. } | ReadError::NoTable { .. })) = read {
                    missing += end - frame;
                }
                frame = end;
            }
        }
        missing
    }
}

/// A word in an allocated slab object that holds an address.
pub(crate) struct SlabReference {
    pub(crate) target: u64,
    pub(crate) cache: VirtAddr,
    /// Bytes of an object of that cache.
    pub(crate) size: u64,
    pub(crate) object: VirtAddr,
    /// Of the word in the object.
    pub(crate) offset: u64,
}

/// Addresses that are looked for in much memory: most words are told apart by two comparisons, the others by one place of
/// a table.
pub(crate) struct Targets {
    low: u64,
    high: u64,
    /// Open addressing; 0 is free.
    table: Vec<u64>,
}

impl Targets {
    /// 0 is no address.
    pub(crate) fn new(addresses: impl Iterator<Item = u64>) -> Targets {
        let mut addresses: Vec<u64> = addresses.filter(|at| *at != 0).collect();
        addresses.sort_unstable();
        addresses.dedup();
        let mut targets = Targets {
            low: addresses.first().copied().unwrap_or(u64::MAX),
            high: addresses.last().copied().unwrap_or(0),
            table: vec![0; (addresses.len() * 4).next_power_of_two().max(16)],
        };
        for at in addresses {
            let mut place = targets.place(at);
            while targets.table.get(place).is_some_and(|there| *there != 0) {
                place = (place + 1) % targets.table.len();
            }
            if let Some(free) = targets.table.get_mut(place) {
                *free = at;
            }
        }
        targets
    }

    fn place(&self, at: u64) -> usize {
        let bits = self.table.len().trailing_zeros();
        (at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - bits)) as usize
    }

    pub(crate) fn contains(&self, at: u64) -> bool {
        if at < self.low || at > self.high {
            return false;
        }
        let mut place = self.place(at);
        // A quarter of the table is taken at most, so this ends.
        while let Some(there) = self.table.get(place).filter(|there| **there != 0) {
            if *there == at {
                return true;
            }
            place = (place + 1) % self.table.len();
        }
        false
    }

    /// Offsets of the aligned words that hold one, with the word.
    pub(crate) fn places(&self, bytes: &[u8]) -> impl Iterator<Item = (u64, u64)> {
        let words = bytes.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word));
        (0u64..).zip(words).filter(|(_, word)| self.contains(*word)).map(|(nth, word)| (nth * 8, word))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_the_targets_are_found() {
        let addresses: HashSet<u64> = (1..5000u64).map(|n| 0xffff_8880_0000_0000 + n * n * 64).collect();
        let targets = Targets::new(addresses.iter().copied());
        for at in (0..5000u64).flat_map(|n| [n * n * 64, n * n * 64 + 8]).map(|n| 0xffff_8880_0000_0000 + n) {
            assert_eq!(targets.contains(at), addresses.contains(&at), "{at:#x}");
        }
        let bytes: Vec<u8> = [1, 0xffff_8880_0000_0040u64, 0, u64::MAX].iter().flat_map(|n| n.to_le_bytes()).collect();
        assert_eq!(targets.places(&bytes).collect::<Vec<_>>(), [(8, 0xffff_8880_0000_0040)]);
        assert!(!Targets::new(std::iter::empty()).contains(0));
    }
}
