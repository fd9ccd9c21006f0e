//! Who points at an address: words in the data of modules, with the symbol that holds them, and in slab objects.

use std::collections::HashSet;

use facts::Gap;
use serde::Serialize;

use crate::{Kernel, VirtAddr, Walk};

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
        let mut modules: Vec<_> = self.modules().items.iter().collect();
        modules.sort_by_key(|module| !module.out_of_tree());
        let mut left = MAX_BYTES;
        for module in modules {
            for part in &module.parts {
                let mut at = part.start & !4095;
                while at < part.end && left > 0 {
                    let mut page = [0u8; 4096];
                    if self.read(VirtAddr(at), &mut page).is_ok() {
                        for (nth, word) in page.as_chunks::<8>().0.iter().enumerate() {
                            let value = u64::from_le_bytes(*word);
                            if !targets.contains(&value) {
                                continue;
                            }
                            let here = VirtAddr(at) + nth as u64 * 8;
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
        let (Some(low), Some(high)) = (targets.iter().min().copied(), targets.iter().max().copied()) else {
            return walk;
        };
        let shift = self.page_shift();
        let (mut frames, mut bytes_left) = (MAX_FRAMES, MAX_SLAB_BYTES);
        for range in self.physical.ranges() {
            for frame in range.start >> shift..range.end >> shift {
                let Some(page) = self.page_of_frame(frame) else { return walk };
                let slab = self.slab_at_page(page);
                let len = slab.as_ref().map_or(0, |slab| slab.size * slab.objects);
                if frames == 0 || len > bytes_left || walk.items.len() >= MAX_FOUND {
                    walk.gaps.push(Gap::new(
                        "who refers to an address",
                        format!("page frames from {frame:#x} on"),
                        "the search stopped at its bound",
                        "a larger budget",
                    ));
                    return walk;
                }
                frames -= 1;
                bytes_left -= len;
                let Some(slab) = slab else { continue };
                let Ok(bytes) = self.bytes(slab.base, len as usize) else { continue };
                let words = bytes.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word));
                let hits: Vec<(u64, u64)> = (0u64..)
                    .zip(words)
                    .filter(|(_, word)| (low..=high).contains(word) && targets.contains(word))
                    .map(|(nth, word)| (nth * 8, word))
                    .collect();
                if hits.is_empty() {
                    continue;
                }
                let free = self.free_in_slab(&slab);
                for (at, target) in hits {
                    let object = slab.base + at / slab.size * slab.size;
                    if !free.contains(&object.0) {
                        let (cache, size) = (slab.cache, slab.size);
                        walk.items.push(SlabReference { target, cache, size, object, offset: at % slab.size });
                    }
                }
            }
        }
        walk
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
