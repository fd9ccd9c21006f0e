//! Whose objects a cache holds: a pointer to the same variable, at the same place in most of them, names who made them.

use std::collections::HashMap;

use serde::Serialize;

use crate::{Kernel, VirtAddr};

/// Slabs that are looked into in one stretch of memory, and objects of each.
const MAX_SLABS: usize = 2;
const MAX_OBJECTS: usize = 8;
/// Objects of the sample.
const MAX_SAMPLED: usize = 512;
/// Page structures looked at for them, those of 1 GiB: a cache that fills memory is everywhere.
const MAX_PAGES: u64 = 1 << 18;
/// Bytes of an object that are looked at.
const MAX_BYTES: usize = 512;
/// Fewer objects prove nothing.
const MIN_OBJECTS: usize = 16;

/// What most of the allocated objects of a cache have in common.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CommonPointer {
    /// Where in the object it lies, bytes.
    pub offset: u64,
    /// What it points at.
    pub symbol: String,
    /// Module of that.
    pub module: Option<String>,
    /// Objects of the sample that have it.
    pub with: usize,
    /// Objects of the sample.
    pub sampled: usize,
}

impl CommonPointer {
    /// `nvx_pci_ops [nvx] at +0x60 in 253 of 256 objects looked at`
    pub fn text(&self) -> String {
        let module = self.module.as_ref().map(|module| format!(" [{module}]")).unwrap_or_default();
        format!("{}{module} at +{:#x} in {} of {} objects looked at", self.symbol, self.offset, self.with, self.sampled)
    }
}

impl Kernel<'_> {
    /// The pointer into the code or the variables of the kernel or a module that most allocated objects of a cache have in
    /// one place, modules first. A sample of some hundred objects; `None` where they have nothing in common.
    pub fn common_pointer(&self, cache: VirtAddr) -> Option<CommonPointer> {
        let (frames, _) = self.frames_of_dump(MAX_PAGES);
        let parts = self.sweep(&frames, |(part, seen): &mut (Vec<Vec<u8>>, usize), slabs, _, _, slab| {
            let Some(slab) = slab.filter(|slab| slab.cache == cache && *seen < MAX_SLABS) else { return };
            *seen += 1;
            let (bytes, _) = self.bytes_with_holes(slab.base, slab.len() as usize);
            let Some(free) = slabs.free(&slab, &bytes) else { return };
            let objects = bytes.chunks(slab.size as usize).zip(free).filter(|(_, free)| !free);
            let starts =
                objects.map(|(object, _)| object.get(..object.len().min(MAX_BYTES)).unwrap_or_default().to_vec());
            part.extend(starts.take(MAX_OBJECTS));
        });
        let objects: Vec<Vec<u8>> = parts.into_iter().flat_map(|(part, _)| part).take(MAX_SAMPLED).collect();
        if objects.len() < MIN_OBJECTS {
            return None;
        }
        let mut counts: HashMap<(u64, u64), usize> = HashMap::new();
        for object in &objects {
            for (nth, word) in (0u64..).zip(object.as_chunks::<8>().0) {
                let word = u64::from_le_bytes(*word);
                if self.arch().is_kernel(VirtAddr(word)) {
                    *counts.entry((nth * 8, word)).or_default() += 1;
                }
            }
        }
        let common = counts.into_iter().filter(|(_, with)| with * 5 >= objects.len() * 3);
        let named = common.filter_map(|((offset, word), with)| {
            let symbol = self.symbolize(VirtAddr(word))?;
            let name = match symbol.offset {
                0 => symbol.name,
                within => format!("{}+{within:#x}", symbol.name),
            };
            Some(CommonPointer { offset, symbol: name, module: symbol.module, with, sampled: objects.len() })
        });
        named.min_by_key(|found| (found.module.is_none(), std::cmp::Reverse(found.with), found.offset))
    }
}
