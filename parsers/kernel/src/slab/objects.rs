//! Slabs and their objects: the object that holds an address, the allocated objects of a cache.

use facts::Gap;
use serde::Serialize;

use super::CpuLists;
use crate::{Kernel, VirtAddr, Walk};

/// Allocated objects of a cache that are listed.
const MAX_LISTED: usize = 8_000_000;

/// An address inside a slab.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SlabObject {
    /// The cache.
    pub cache: VirtAddr,
    /// Its name.
    pub cache_name: String,
    /// Start of the object.
    pub start: VirtAddr,
    /// Bytes from there.
    pub offset: u64,
    /// Whether it is allocated; `None` when the free lists cannot tell.
    pub allocated: Option<bool>,
    /// Of a free object: where the pointer to the next free one lies in it, and the word there, which may be hardened.
    #[serde(skip)]
    pub free_word: Option<(u64, u64)>,
    /// Where the free list of its slab breaks, and the word there: something was written over it.
    #[serde(skip)]
    pub broken: Option<(VirtAddr, u64)>,
}

impl Kernel<'_> {
    /// The slab object that holds an address; `None` when it is in no slab.
    pub fn slab_object(&self, at: VirtAddr) -> Option<SlabObject> {
        let (slab, mut slabs) = self.slab_at_page(self.head_page(at)?)?;
        // Addresses of slabs are direct-map addresses.
        let nth = at.0.checked_sub(slab.base.0)? / slab.size;
        let start = slab.base + nth * slab.size;
        let (bytes, _) = self.bytes_with_holes(slab.base, slab.len() as usize);
        let free = slabs.free(&slab, &bytes);
        let allocated = free.as_ref().map(|free| free.get(nth as usize) != Some(&true));
        let link = slabs.link_offset(&slab).filter(|_| allocated == Some(false));
        Some(SlabObject {
            free_word: link.and_then(|link| Some((link, self.u64(start + link).ok()?))),
            broken: if free.is_none() { slabs.broken(&slab, &bytes) } else { None },
            cache: slab.cache,
            cache_name: self
                .pointer(slab.cache, "kmem_cache", "name")
                .and_then(|p| self.cstr(p, 256).ok())
                .unwrap_or_default(),
            start,
            offset: at.0 - start.0,
            allocated,
        })
    }

    /// Free lists that CPUs keep: slab -> first free object. Objects in sheaves (since 2d517aa09bbc, v6.18) belong to
    /// no slab's list; they come under key 0.
    pub(super) fn cpu_free_lists(&self, cache: VirtAddr) -> CpuLists {
        let mut lists = CpuLists::new();
        let types = self.types();
        if let Some(variable) = self.pointer(cache, "kmem_cache", "cpu_slab") {
            for cpu in self.cpus_possible() {
                let Some(at) = self.per_cpu(variable, *cpu) else { continue };
                let slab = self.first_value(at, "kmem_cache_cpu", &["slab", "page"]).unwrap_or(0);
                let first = self.value(at, "kmem_cache_cpu", "freelist").unwrap_or(0);
                if slab != 0 && first != 0 {
                    lists.entry(slab).or_default().push(first);
                }
            }
        }
        if let Some(variable) = self.pointer(cache, "kmem_cache", "cpu_sheaves")
            && let Some(objects) = types.offset("slab_sheaf", "objects")
        {
            for cpu in self.cpus_possible() {
                let Some(at) = self.per_cpu(variable, *cpu) else { continue };
                for which in ["main", "spare"] {
                    let Some(sheaf) = self.pointer(at, "slub_percpu_sheaves", which) else { continue };
                    lists.entry(0).or_default().extend(self.sheaf_objects(sheaf, objects));
                }
            }
            for sheaf in (0..self.node_count()).flat_map(|nid| self.barn_sheaves(cache, nid)) {
                lists.entry(0).or_default().extend(self.sheaf_objects(sheaf, objects));
            }
        }
        lists
    }

    fn sheaf_objects(&self, sheaf: VirtAddr, objects: u64) -> Vec<u64> {
        let count = self.value(sheaf, "slab_sheaf", "size").unwrap_or(0).min(4096);
        (0..count).filter_map(|nth| self.u64(sheaf + objects + nth * 8).ok()).collect()
    }

    /// Allocated objects of a cache. The slabs are found by looking at every page structure of the dump's memory,
    /// at most `max_pages` of them: a bound that is hit is a gap.
    pub fn slab_objects(&self, cache: VirtAddr, max_pages: u64) -> Walk<VirtAddr> {
        let mut walk = Walk::default();
        if self.slab_descriptor().is_none() {
            return Walk::gap(Gap::new(
                "slab objects",
                format!("cache {cache}"),
                "the layout of slabs is not known",
                "",
            ));
        }
        if self.page_map().is_none() {
            return Walk::gap(Gap::new(
                "slab objects",
                format!("cache {cache}"),
                "neither the direct map nor the array of page structures was found",
                "",
            ));
        }
        let (frames, stopped) = self.frames_of_dump(max_pages);
        if let Some(frame) = stopped {
            walk.gaps.push(Gap::new(
                "slab objects",
                format!("cache {cache}, page frame {frame:#x}"),
                format!("the search stopped after {max_pages} pages"),
                "a larger budget",
            ));
        }
        let parts = self.sweep(&frames, |part: &mut (Vec<VirtAddr>, u64), slabs, _, _, slab| {
            let Some(slab) = slab.filter(|slab| slab.cache == cache) else { return };
            let (bytes, _) = self.bytes_with_holes(slab.base, slab.len() as usize);
            match slabs.free(&slab, &bytes) {
                Some(free) => {
                    let used = (0u64..).zip(free).filter(|(_, free)| !free);
                    part.0.extend(used.map(|(nth, _)| slab.base + nth * slab.size));
                }
                None => part.1 += 1,
            }
        });
        let broken: u64 = parts.iter().map(|(_, broken)| broken).sum();
        walk.items = parts.into_iter().flat_map(|(items, _)| items).collect();
        if walk.items.len() > MAX_LISTED {
            walk.items.truncate(MAX_LISTED);
            walk.gaps.push(Gap::new(
                "slab objects",
                format!("cache {cache}"),
                format!("the list stopped after {MAX_LISTED} objects"),
                "",
            ));
        }
        if broken > 0 {
            walk.gaps.push(Gap::new(
                format!("objects of {broken} slabs"),
                format!("cache {cache}"),
                "their free lists do not close",
                "",
            ));
        }
        walk
    }
}
