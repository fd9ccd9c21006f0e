//! Slab caches of memory cgroups that were removed, in kernels with a cache per cgroup (up to 5.8): each keeps its cgroup.

use std::collections::{HashMap, HashSet};

use facts::Fact;

use crate::{Kernel, Memcg, Pin, SlabCache, VirtAddr};

/// Facts of one kind of dead cache each, the largest.
const MAX_DEAD_KINDS: usize = 8;

/// Caches of removed cgroups that are copies of one cache.
#[derive(Default)]
struct Copies {
    /// The cache they are copies of.
    root: u64,
    caches: u64,
    pages: u64,
    /// Objects, free ones included.
    objects: u64,
    cgroups: HashSet<u64>,
}

impl Kernel<'_> {
    /// Whether this kernel gives each cgroup its own copy of a cache.
    pub(crate) fn has_cgroup_caches(&self) -> bool {
        self.types().member("kmem_cache", "memcg_params").is_some()
    }

    /// The caches that belong to removed cgroups.
    fn dead_caches(&self, memcgs: &[Memcg]) -> Vec<SlabCache> {
        if !self.has_cgroup_caches() {
            return Vec::new();
        }
        let offline: HashSet<u64> = memcgs.iter().filter(|m| !m.online).map(|m| m.address.0).collect();
        let dead = |cache: &SlabCache| cache.memcg.is_some_and(|memcg| offline.contains(&memcg.0));
        self.slab_caches().items.into_iter().filter(dead).collect()
    }

    /// Pages of a cache's slabs.
    fn cache_pages(&self, cache: &SlabCache) -> Option<u64> {
        let page = 1u64 << self.page_shift();
        let bytes = cache.objects_per_slab.checked_mul(cache.size)?;
        cache.slabs?.checked_mul(bytes.div_ceil(page).next_power_of_two())
    }

    /// The dead caches by the one they are copies of, those with the most pages first.
    fn dead_copies(&self, dead: &[SlabCache]) -> Vec<Copies> {
        let mut by_root: HashMap<u64, Copies> = HashMap::new();
        for cache in dead {
            let Some(root) = cache.root else { continue };
            let sum = by_root.entry(root.0).or_default();
            sum.root = root.0;
            sum.caches += 1;
            sum.pages = sum.pages.saturating_add(self.cache_pages(cache).unwrap_or(0));
            sum.objects = sum.objects.saturating_add(cache.total.unwrap_or(0));
            sum.cgroups.extend(cache.memcg.map(|memcg| memcg.0));
        }
        let mut sums: Vec<_> = by_root.into_values().collect();
        sums.sort_by_key(|sum| (std::cmp::Reverse(sum.pages), sum.root));
        sums
    }

    fn cache_name(&self, cache: VirtAddr) -> String {
        let name = self.pointer(cache, "kmem_cache", "name").and_then(|p| self.cstr(p, 128).ok());
        name.unwrap_or_else(|| "?".to_owned())
    }

    /// Dying cgroups that their own caches keep: one pin for each cache that these are copies of.
    pub fn memcg_cache_pins(&self, memcgs: &[Memcg]) -> Vec<Pin> {
        let copies = self.dead_copies(&self.dead_caches(memcgs));
        let pins = copies.into_iter().map(|sum| Pin {
            kind: "cache",
            cache: Some((VirtAddr(sum.root), self.cache_name(VirtAddr(sum.root)))),
            objects: sum.objects,
            dying: sum.cgroups.len() as u64,
        });
        pins.collect()
    }

    /// In kernels with a cache per cgroup: the caches of cgroups that are gone, and the pages they hold.
    pub(crate) fn dead_memcg_caches(&self, memcgs: &[Memcg]) -> Vec<Fact> {
        let dead = self.dead_caches(memcgs);
        let Some(first) = dead.first() else { return Vec::new() };
        let pages: u64 = dead.iter().filter_map(|cache| self.cache_pages(cache)).fold(0, u64::saturating_add);
        let mut facts = vec![
            Fact::new("mem.dead_memcg_caches", self.origin(first.address, "struct kmem_cache"))
                .with("caches", dead.len())
                .with("pages", pages)
                .with("cache", first.name.as_str())
                .quoting(format!(
                    "{} slab caches of removed memory cgroups hold {pages} pages, {} first",
                    dead.len(),
                    first.name
                ))
                .recheck("crash> kmem -s")
                .recheck("drgn> [c.name for c in for_each_slab_cache(prog)]"),
        ];
        // What each kind of object holds: the caches by the one they are copies of.
        for sum in self.dead_copies(&dead).into_iter().take(MAX_DEAD_KINDS) {
            let name = self.cache_name(VirtAddr(sum.root));
            facts.push(
                Fact::new("mem.dead_memcg_cache", self.origin(VirtAddr(sum.root), "struct kmem_cache"))
                    .with("cache", name.as_str())
                    .with("caches", sum.caches)
                    .with("cgroups", sum.cgroups.len())
                    .with("objects", sum.objects)
                    .with("pages", sum.pages)
                    .quoting(format!(
                        "{} copies of slab cache {name} belong to {} removed memory cgroups: {} pages",
                        sum.caches,
                        sum.cgroups.len(),
                        sum.pages
                    ))
                    .recheck("crash> kmem -s")
                    .recheck("drgn> [c.name for c in for_each_slab_cache(prog)]"),
            );
        }
        facts
    }
}
