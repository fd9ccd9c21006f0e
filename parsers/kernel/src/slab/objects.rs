//! Slabs and their objects: the object that holds an address, the allocated objects of a cache.

use std::collections::{HashMap, HashSet};

use facts::Gap;
use serde::Serialize;

use super::{Descriptor, MAX_OBJECTS};
use crate::{Kernel, VirtAddr, Walk};

/// The largest block that the page allocator gives.
const MAX_SLAB: u64 = 8 << 20;
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
}

/// One slab of a cache.
pub(crate) struct Slab {
    descriptor: VirtAddr,
    pub(crate) cache: VirtAddr,
    /// First object.
    pub(crate) base: VirtAddr,
    /// Bytes from one object to the next.
    pub(crate) size: u64,
    pub(crate) objects: u64,
}

impl Kernel<'_> {
    /// Whether a page structure is that of a slab, by what VMCOREINFO says of it.
    fn is_slab_page(&self, page: VirtAddr) -> Option<bool> {
        // 46df8e73a4a3 "mm: free up PG_slab" (v6.10): a page type; one type a page since 4ffca5a96678 (v6.12).
        if let Some(kind) = self.info.number("PAGE_SLAB_MAPCOUNT_VALUE") {
            let kind = kind as u32;
            let value = self.first_value(page, "page", &["page_type", "_mapcount.counter", "_mapcount"])? as u32;
            return Some(if kind & 0x00ff_ffff == 0 { value >> 24 == kind >> 24 } else { value == kind });
        }
        let bit = self.info.number("PG_slab").or_else(|| self.types().enumerator("PG_slab").map(|n| n as u64))?;
        let flags = self.first_value(page, "page", &["flags.f", "flags"])?;
        Some(flags >> (bit & 63) & 1 == 1)
    }

    /// The slab whose first page this is.
    pub(crate) fn slab_at_page(&self, page: VirtAddr) -> Option<Slab> {
        let descriptor = self.slab_descriptor()?;
        let cache = self.ptr(page + descriptor.slab_cache).ok().filter(|cache| self.arch.is_kernel(*cache))?;
        if !self.is_slab_page(page)? {
            return None;
        }
        Some(Slab {
            descriptor: page,
            cache,
            base: self.page_address(page)? + self.value(cache, "kmem_cache", "red_left_pad").unwrap_or(0),
            size: self.value(cache, "kmem_cache", "size").filter(|size| (8..1 << 24).contains(size))?,
            objects: self.bits(page, &descriptor.objects).filter(|n| *n <= MAX_OBJECTS)?,
        })
        .filter(|slab: &Slab| slab.size * slab.objects <= MAX_SLAB)
    }

    /// Free objects of a slab; empty when its lists do not close.
    pub(crate) fn free_in_slab(&self, slab: &Slab) -> HashSet<u64> {
        let Some(descriptor) = self.slab_descriptor() else { return HashSet::new() };
        let lists = self.cpu_free_lists(slab.cache);
        self.free_objects(slab.cache, slab.descriptor, &descriptor, &lists).unwrap_or_default()
    }

    /// The slab object that holds an address; `None` when it is in no slab.
    pub fn slab_object(&self, at: VirtAddr) -> Option<SlabObject> {
        let page = self.head_page(at)?;
        if !self.is_slab_page(page)? {
            return None;
        }
        let descriptor = self.slab_descriptor()?;
        let cache = self.ptr(page + descriptor.slab_cache).ok().filter(|cache| self.arch.is_kernel(*cache))?;
        let size = self.value(cache, "kmem_cache", "size").filter(|size| *size > 0)?;
        let base = self.page_address(page)? + self.value(cache, "kmem_cache", "red_left_pad").unwrap_or(0);
        // Addresses of slabs are direct-map addresses.
        let within = at.0.checked_sub(base.0)?;
        let start = base + within / size * size;
        let free = self.free_objects(cache, page, &descriptor, &self.cpu_free_lists(cache));
        Some(SlabObject {
            cache,
            cache_name: self
                .pointer(cache, "kmem_cache", "name")
                .and_then(|p| self.cstr(p, 256).ok())
                .unwrap_or_default(),
            start,
            offset: at.0 - start.0,
            allocated: free.map(|free| !free.contains(&start.0)),
        })
    }

    /// Free lists that CPUs keep: slab -> first free object. Objects in sheaves (since 2d517aa09bbc, v6.18) belong to
    /// no slab's list; they come under key 0.
    fn cpu_free_lists(&self, cache: VirtAddr) -> HashMap<u64, Vec<u64>> {
        let mut lists: HashMap<u64, Vec<u64>> = HashMap::new();
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

    /// Free objects of one slab; `None` when its lists do not close.
    fn free_objects(
        &self,
        cache: VirtAddr,
        slab: VirtAddr,
        descriptor: &Descriptor,
        cpus: &HashMap<u64, Vec<u64>>,
    ) -> Option<HashSet<u64>> {
        let link = self.free_link(cache)?;
        let size = self.value(cache, "kmem_cache", "size").filter(|size| *size > 0)?;
        let objects = self.bits(slab, &descriptor.objects).filter(|n| *n <= MAX_OBJECTS)?;
        let base =
            self.page_address(slab)?.0.wrapping_add(self.value(cache, "kmem_cache", "red_left_pad").unwrap_or(0));
        let own = self.u64(slab + descriptor.freelist).ok()?;
        let heads = std::iter::once(own).chain(cpus.get(&slab.0).into_iter().flatten().copied());
        let heads: Vec<u64> = heads.filter(|head| *head != 0).collect();
        let inside = |at: u64| at.checked_sub(base).is_some_and(|n| n < objects * size && n % size == 0);
        for swapped in [true, false] {
            let mut free = HashSet::new();
            let whole = heads.iter().all(|head| {
                let mut at = *head;
                for _ in 0..=objects {
                    if at == 0 {
                        return true;
                    }
                    if !inside(at) || !free.insert(at) {
                        return false;
                    }
                    let slot = at + link.offset;
                    let Ok(stored) = self.u64(VirtAddr(slot)) else { return false };
                    at = link.decode(stored, slot, swapped);
                }
                false
            });
            if whole {
                free.extend(cpus.get(&0).into_iter().flatten().copied().filter(|at| inside(*at)));
                return Some(free);
            }
            if link.random.is_none() {
                break;
            }
        }
        None
    }

    /// Allocated objects of a cache. The slabs are found by looking at every page structure of the dump's memory,
    /// at most `max_pages` of them: a bound that is hit is a gap.
    pub fn slab_objects(&self, cache: VirtAddr, max_pages: u64) -> Walk<VirtAddr> {
        let mut walk = Walk::default();
        let Some(descriptor) = self.slab_descriptor() else {
            return Walk::gap(Gap::new(
                "slab objects",
                format!("cache {cache}"),
                "the layout of slabs is not known",
                "",
            ));
        };
        if self.page_map().is_none() {
            return Walk::gap(Gap::new(
                "slab objects",
                format!("cache {cache}"),
                "neither the direct map nor the array of page structures was found",
                "",
            ));
        }
        let Some(size) = self.value(cache, "kmem_cache", "size").filter(|size| *size > 0) else { return walk };
        let pad = self.value(cache, "kmem_cache", "red_left_pad").unwrap_or(0);
        let cpus = self.cpu_free_lists(cache);
        let shift = self.page_shift();
        let (mut seen, mut broken) = (0u64, 0u64);
        for range in self.physical.ranges() {
            for frame in range.start >> shift..range.end >> shift {
                seen += 1;
                if seen > max_pages {
                    walk.gaps.push(Gap::new(
                        "slab objects",
                        format!("cache {cache}, page frame {frame:#x}"),
                        format!("the search stopped after {max_pages} pages"),
                        "a larger budget",
                    ));
                    return walk;
                }
                let Some(page) = self.page_of_frame(frame) else { return walk };
                // The cheapest test first: most pages are of other caches.
                if self.ptr(page + descriptor.slab_cache).ok() != Some(cache) || self.is_slab_page(page) != Some(true) {
                    continue;
                }
                let Some(objects) = self.bits(page, &descriptor.objects).filter(|n| *n <= MAX_OBJECTS) else {
                    continue;
                };
                let Some(base) = self.page_address(page) else { continue };
                match self.free_objects(cache, page, &descriptor, &cpus) {
                    Some(free) => {
                        let all = (0..objects).map(|nth| base + pad + nth * size);
                        walk.items.extend(all.filter(|at| !free.contains(&at.0)));
                        if walk.items.len() > MAX_LISTED {
                            walk.gaps.push(Gap::new(
                                "slab objects",
                                format!("cache {cache}, page frame {frame:#x}"),
                                format!("the list stopped after {MAX_LISTED} objects"),
                                "",
                            ));
                            return walk;
                        }
                    }
                    None => broken += 1,
                }
            }
        }
        if broken > 0 {
            walk.gaps.push(Gap::new(
                format!("objects of {broken} slabs"),
                format!("cache {cache}, {} descriptors", descriptor.structure),
                "their free lists do not close",
                "",
            ));
        }
        walk
    }
}
