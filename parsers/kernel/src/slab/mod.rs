//! Slab caches (SLUB) and their numbers.

mod contents;
mod objects;
mod sweep;
mod tracks;

use std::collections::{HashMap, HashSet};

use facts::{Fact, Gap};
use serde::Serialize;

pub use contents::CommonPointer;
pub use objects::SlabObject;
pub use tracks::{Track, Tracks};

use crate::{Kernel, Member, VirtAddr, Walk};

/// More caches than any machine has; a leak of per-cgroup caches reaches some ten thousands.
const MAX_CACHES: usize = 400_000;
/// Slabs looked at on one node's partial list.
const MAX_PARTIAL: usize = 1_000_000;
const MAX_NODES: u64 = 1024;
/// Objects of one slab: 32,767 fit the counter.
const MAX_OBJECTS: u64 = 32_767;
/// A cache that has this part of the memory has a good one.
const LARGE_SHARE: u64 = 8;
/// Slabs, free objects and CPUs that are visited to count all caches.
const MAX_VISITS: u64 = 64_000_000;

/// What may still be visited.
struct Budget(u64);

impl Budget {
    fn take(&mut self, n: u64) -> Option<()> {
        self.0 = self.0.checked_sub(n)?;
        Some(())
    }
}

/// One slab cache.
#[derive(Clone, Debug, Serialize)]
pub struct SlabCache {
    /// Address of its `struct kmem_cache`.
    pub address: VirtAddr,
    /// Name.
    pub name: String,
    /// Bytes of an object that its user sees.
    pub object_size: u64,
    /// Bytes from one object to the next.
    pub size: u64,
    /// Objects in a slab of the usual order.
    pub objects_per_slab: u64,
    /// Slabs; `None` in kernels without CONFIG_SLUB_DEBUG, which do not count.
    pub slabs: Option<u64>,
    /// Objects, free ones included.
    pub total: Option<u64>,
    /// Objects that are free neither on a node's partial list nor on the lists of a CPU.
    pub active: Option<u64>,
    /// The same as drgn counts it, which looks at online CPUs only: a panic takes CPUs off the online mask, and what
    /// is free on their lists counts as active there.
    pub active_online: Option<u64>,
    /// The same as `/proc/slabinfo` counts: every object of a slab that is on no list is active there.
    pub active_slabinfo: Option<u64>,
    /// `flags`.
    pub flags: u64,
    /// Caches merged into this one, itself included.
    pub users: u64,
    /// The memory cgroup it belongs to, in kernels with a cache per cgroup (up to 5.8).
    pub memcg: Option<VirtAddr>,
    /// The cache it is a per-cgroup copy of.
    pub root: Option<VirtAddr>,
}

/// Layout of a slab's descriptor: `struct slab` since d122019bf061 "mm: Split slab into its own type" (v5.17), part
/// of `struct page` before.
struct Descriptor {
    structure: &'static str,
    list: u64,
    slab_cache: u64,
    freelist: u64,
    inuse: Member,
    objects: Member,
}

/// Free lists that CPUs keep: slab -> first free objects. Objects in sheaves come under key 0.
type CpuLists = HashMap<u64, Vec<u64>>;

/// How free objects point at the next one.
struct FreeLink {
    offset: u64,
    random: Option<u64>,
}

impl FreeLink {
    /// 2482ddec670f "mm: add SLUB free list pointer obfuscation" (v4.14); 1ad53d9fa3f6 "slub: improve bit diffusion
    /// for freelist ptr obfuscation" (v5.7) swaps the bytes of the address. `swapped` says which.
    fn decode(&self, stored: u64, at: u64, swapped: bool) -> u64 {
        match self.random {
            None => stored,
            Some(random) => stored ^ random ^ if swapped { at.swap_bytes() } else { at },
        }
    }
}

impl Kernel<'_> {
    fn slab_descriptor(&self) -> Option<Descriptor> {
        let types = self.types();
        ["slab", "page"].into_iter().find_map(|structure| {
            Some(Descriptor {
                structure,
                list: types.first_member(structure, &["slab_list", "lru"])?.offset,
                slab_cache: types.member(structure, "slab_cache")?.offset,
                freelist: types.member(structure, "freelist")?.offset,
                inuse: types.member(structure, "inuse")?,
                objects: types.member(structure, "objects")?,
            })
        })
    }

    fn bits(&self, at: VirtAddr, member: &Member) -> Option<u64> {
        let mut bytes = [0u8; 8];
        let bytes = bytes.get_mut(..usize::try_from(member.size).ok()?)?;
        self.read(at + member.offset, bytes).ok()?;
        member.decode(bytes)
    }

    pub(crate) fn slab_caches_head(&self) -> Option<VirtAddr> {
        self.symbol_at("slab_caches").or_else(|| {
            let list = self.types().offset("kmem_cache", "list")?;
            // Functions that walk the list, for kernels whose symbols have no data.
            let users =
                ["find_mergeable", "kmem_cache_destroy", "kmem_cache_create_usercopy", "slab_start", "cache_show"];
            self.list_in_code(&users, |node| {
                let cache = node - list;
                let name = self.pointer(cache, "kmem_cache", "name").and_then(|at| self.cstr(at, 128).ok());
                let sizes = (self.value(cache, "kmem_cache", "size"), self.value(cache, "kmem_cache", "object_size"));
                name.is_some_and(|name| !name.is_empty() && name.bytes().all(|b| b.is_ascii_graphic()))
                    && matches!(sizes, (Some(size), Some(object)) if object > 0 && object <= size && size < 1 << 24)
            })
        })
    }

    /// All slab caches, in the kernel's order (newest first).
    pub fn slab_caches(&self) -> Walk<SlabCache> {
        let types = self.types();
        let Some(list) = types.offset("kmem_cache", "list") else {
            return Walk::gap(Gap::new(
                "slab caches",
                self.member(),
                "the layout of struct kmem_cache is not known",
                "a vmlinux or a pack of this kernel (--vmlinux, --pack)",
            ));
        };
        let Some(head) = self.slab_caches_head() else {
            return Walk::gap(Gap::new(
                "slab caches",
                self.member(),
                "no symbol slab_caches, and no code that leads to the list",
                "a vmlinux or System.map of this kernel (--vmlinux, --system-map)",
            ));
        };
        let descriptor = self.slab_descriptor();
        let nodes = self.node_count();
        let mut budget = Budget(MAX_VISITS);
        let walk = self.list(head, MAX_CACHES, "slab caches");
        let mut caches = Walk { items: Vec::new(), gaps: walk.gaps };
        for node in walk.items {
            let at = node - list;
            match self.slab_cache(at, nodes, descriptor.as_ref(), &mut budget, &mut caches.gaps) {
                Some(cache) => caches.items.push(cache),
                None => {
                    caches.gaps.push(Gap::new("slab cache", format!("struct kmem_cache at {at}"), "it is absent", ""))
                }
            }
        }
        caches
    }

    fn slab_cache(
        &self,
        at: VirtAddr,
        nodes: u64,
        descriptor: Option<&Descriptor>,
        budget: &mut Budget,
        gaps: &mut Vec<Gap>,
    ) -> Option<SlabCache> {
        let value = |path: &str| self.value(at, "kmem_cache", path);
        let name = self.pointer(at, "kmem_cache", "name").and_then(|p| self.cstr(p, 256).ok());
        let (mut slabs, mut total, mut free) = (Some(0u64), Some(0u64), Some(0u64));
        for nid in 0..nodes {
            let Some(node) = self.cache_node(at, nid) else { continue };
            let add = |sum: &mut Option<u64>, n: Option<u64>| *sum = sum.zip(n).and_then(|(a, b)| a.checked_add(b));
            add(&mut slabs, self.value(node, "kmem_cache_node", "nr_slabs"));
            add(&mut total, self.value(node, "kmem_cache_node", "total_objects"));
            let counted = descriptor.and_then(|d| self.free_on_partial(node, d, budget, gaps));
            add(&mut free, counted);
            let sheaves = self.barn_sheaves(at, nid);
            let in_barn = sheaves.iter().map(|sheaf| self.value(*sheaf, "slab_sheaf", "size").unwrap_or(0).min(4096));
            add(&mut free, Some(in_barn.sum()));
        }
        let mut on_cpus = |cpus: &[u32]| {
            let free = free.zip(descriptor.and_then(|d| self.free_on_cpus(at, d, cpus, budget))).map(|(a, b)| a + b);
            total.zip(free).map(|(total, free)| total.saturating_sub(free))
        };
        Some(SlabCache {
            address: at,
            name: name.unwrap_or_else(|| "?".to_owned()),
            object_size: value("object_size")?,
            size: value("size")?,
            // The low 16 bits; a plain structure member `oo.x`.
            objects_per_slab: value("oo.x").or_else(|| value("oo")).map_or(0, |oo| oo & 0xffff),
            slabs,
            total,
            active: on_cpus(self.cpus_possible()),
            active_online: on_cpus(self.cpus_online()),
            active_slabinfo: on_cpus(&[]),
            flags: value("flags").unwrap_or(0),
            users: value("refcount").unwrap_or(1),
            memcg: self.cache_memcg(at).0,
            root: self.cache_memcg(at).1,
        })
    }

    /// The memory cgroup and root of a per-cgroup cache. In 3.10 `memcg_params` is a pointer to a structure with
    /// `is_root_cache`; later (426589f571f7, v4.1) it is part of the cache; 9855609bde03 "mm: memcg/slab: use a single
    /// set of kmem_caches for all accounted allocations" (v5.9) ended it.
    fn cache_memcg(&self, at: VirtAddr) -> (Option<VirtAddr>, Option<VirtAddr>) {
        let types = self.types();
        if types.member("kmem_cache", "memcg_params.root_cache").is_some() {
            let root = self.pointer(at, "kmem_cache", "memcg_params.root_cache").filter(|root| *root != at);
            let memcg = self.pointer(at, "kmem_cache", "memcg_params.memcg").filter(|_| root.is_some());
            return (memcg, root);
        }
        if types.member("memcg_cache_params", "is_root_cache").is_none() {
            return (None, None);
        }
        let Some(params) = self.pointer(at, "kmem_cache", "memcg_params") else { return (None, None) };
        if self.value(params, "memcg_cache_params", "is_root_cache") != Some(0) {
            return (None, None);
        }
        (self.pointer(params, "memcg_cache_params", "memcg"), self.pointer(params, "memcg_cache_params", "root_cache"))
    }

    /// The `kmem_cache_node` of a node: `node[nid]`, since 5ba6bc27b1f9 (v7.1) `per_node[nid].node`.
    fn cache_node(&self, cache: VirtAddr, nid: u64) -> Option<VirtAddr> {
        let types = self.types();
        let at = if let Some(member) = types.member("kmem_cache", "per_node") {
            let stride = types.size_of("kmem_cache_per_node_ptrs").unwrap_or(16);
            let node = types.offset("kmem_cache_per_node_ptrs", "node").unwrap_or(8);
            cache + member.offset + nid * stride + node
        } else {
            cache + types.offset("kmem_cache", "node")? + nid * 8
        };
        self.ptr(at).ok().filter(|node| self.arch.is_kernel(*node))
    }

    /// Full sheaves that a node keeps for its CPUs: `kmem_cache_node.barn` since 2d517aa09bbc "slab: add opt-in caching
    /// layer of percpu sheaves" (v6.18), beside the node since 5ba6bc27b1f9 (v7.1).
    fn barn_sheaves(&self, cache: VirtAddr, nid: u64) -> Vec<VirtAddr> {
        let types = self.types();
        let barn = match types.member("kmem_cache", "per_node") {
            Some(member) => {
                let stride = types.size_of("kmem_cache_per_node_ptrs").unwrap_or(16);
                self.pointer(cache + member.offset + nid * stride, "kmem_cache_per_node_ptrs", "barn")
            }
            None => self.cache_node(cache, nid).and_then(|node| self.pointer(node, "kmem_cache_node", "barn")),
        };
        let (Some(barn), Some(full), Some(link)) =
            (barn, types.offset("node_barn", "sheaves_full"), types.offset("slab_sheaf", "barn_list"))
        else {
            return Vec::new();
        };
        self.list(barn + full, 10_000, "full sheaves").items.into_iter().map(|node| node - link).collect()
    }

    fn node_count(&self) -> u64 {
        self.symbol_at("nr_node_ids").and_then(|at| self.u32(at).ok()).map_or(1, u64::from).clamp(1, MAX_NODES)
    }

    fn free_on_partial(
        &self,
        node: VirtAddr,
        slab: &Descriptor,
        budget: &mut Budget,
        gaps: &mut Vec<Gap>,
    ) -> Option<u64> {
        let head = self.place(node, "kmem_cache_node", "partial")?;
        let walk = self.list(head, MAX_PARTIAL.min(budget.0 as usize), "partial slabs");
        budget.take(walk.items.len() as u64 + 1)?;
        let whole = walk.gaps.is_empty();
        gaps.extend(walk.gaps);
        let mut free = 0u64;
        for link in walk.items {
            let at = link - slab.list;
            let (inuse, objects) = (self.bits(at, &slab.inuse)?, self.bits(at, &slab.objects)?);
            free += objects.saturating_sub(inuse);
        }
        whole.then_some(free)
    }

    /// Free objects on the lists of CPUs: the CPU's own list, its partial slabs (`slabs`, before bb192ed9aa71
    /// (v5.17) `pages`), its sheaves.
    fn free_on_cpus(&self, cache: VirtAddr, slab: &Descriptor, cpus: &[u32], budget: &mut Budget) -> Option<u64> {
        let types = self.types();
        let mut free = 0u64;
        if let Some(variable) = self.pointer(cache, "kmem_cache", "cpu_slab") {
            let link = self.free_link(cache)?;
            for cpu in cpus {
                budget.take(1)?;
                let Some(at) = self.per_cpu(variable, *cpu) else { continue };
                let own = self.first_value(at, "kmem_cache_cpu", &["slab", "page"]).filter(|own| *own != 0);
                if own.is_some_and(|own| self.ptr(VirtAddr(own) + slab.slab_cache).ok() == Some(cache)) {
                    let count = self.count_free(self.value(at, "kmem_cache_cpu", "freelist").unwrap_or(0), &link);
                    budget.take(count)?;
                    free += count;
                }
                let next = types.first_member(slab.structure, &["next"]).map(|m| m.offset);
                let mut partial = self.pointer(at, "kmem_cache_cpu", "partial");
                for _ in 0..4096 {
                    let Some(at) = partial else { break };
                    budget.take(1)?;
                    let (inuse, objects) = (self.bits(at, &slab.inuse)?, self.bits(at, &slab.objects)?);
                    free += objects.saturating_sub(inuse);
                    partial = next.and_then(|next| self.ptr(at + next).ok()).filter(|p| p.0 != 0);
                }
            }
        }
        if let Some(variable) = self.pointer(cache, "kmem_cache", "cpu_sheaves") {
            for cpu in cpus {
                budget.take(1)?;
                let Some(at) = self.per_cpu(variable, *cpu) else { continue };
                for which in ["main", "spare"] {
                    let sheaf = self.pointer(at, "slub_percpu_sheaves", which);
                    free += sheaf.and_then(|sheaf| self.value(sheaf, "slab_sheaf", "size")).unwrap_or(0).min(4096);
                }
            }
        }
        Some(free)
    }

    fn free_link(&self, cache: VirtAddr) -> Option<FreeLink> {
        Some(FreeLink {
            offset: self.value(cache, "kmem_cache", "offset")?,
            random: self.value(cache, "kmem_cache", "random"),
        })
    }

    /// Length of a free list. A wrong decoding leads nowhere after the first object, so the one that goes on counts.
    fn count_free(&self, head: u64, link: &FreeLink) -> u64 {
        let length = |swapped: bool| {
            let (mut at, mut count) = (head, 0u64);
            while at != 0 && count <= MAX_OBJECTS {
                let slot = at.wrapping_add(link.offset);
                let Ok(stored) = self.u64(VirtAddr(slot)) else { break };
                count += 1;
                at = link.decode(stored, slot, swapped);
            }
            count
        };
        if head == 0 { 0 } else { length(true).max(if link.random.is_some() { length(false) } else { 0 }) }
    }

    /// The `count` largest slab caches by the memory of their objects, the largest first. Only these are counted in
    /// full: what is free on lists takes a visit of each slab on them.
    pub fn largest_slab_caches(&self, count: usize) -> Walk<SlabCache> {
        let (Some(list), Some(head)) = (self.types().offset("kmem_cache", "list"), self.slab_caches_head()) else {
            // The whole reader says what is missing.
            return self.slab_caches();
        };
        let nodes = self.node_count();
        let walk = self.list(head, MAX_CACHES, "slab caches");
        let mut found = Walk { items: Vec::new(), gaps: walk.gaps };
        let mut sizes: Vec<(u64, VirtAddr)> = walk
            .items
            .into_iter()
            .filter_map(|node| {
                let at = node - list;
                let size = self.value(at, "kmem_cache", "size")?;
                let objects = (0..nodes).filter_map(|nid| self.cache_node(at, nid));
                let objects = objects.filter_map(|node| self.value(node, "kmem_cache_node", "total_objects"));
                Some((objects.fold(0u64, u64::saturating_add).saturating_mul(size), at))
            })
            .collect();
        sizes.sort_by_key(|(bytes, at)| (std::cmp::Reverse(*bytes), *at));
        let descriptor = self.slab_descriptor();
        let mut budget = Budget(MAX_VISITS);
        for (_, at) in sizes.into_iter().take(count) {
            let cache = self.slab_cache(at, nodes, descriptor.as_ref(), &mut budget, &mut found.gaps);
            found.items.extend(cache);
        }
        found
    }

    /// `mem.slab_cache` facts of the `count` largest caches.
    pub fn slab_facts(&self, count: usize) -> (Vec<Fact>, Vec<Gap>) {
        let walk = self.largest_slab_caches(count);
        let addresses: HashSet<u64> = walk.items.iter().map(|cache| cache.address.0).collect();
        let owners = self.module_references(&addresses);
        // Whose objects they are is asked only of a cache that memory went into.
        let total = self.memory_bytes();
        let bytes = |cache: &SlabCache| cache.total.map(|total| total.saturating_mul(cache.size));
        let large = |cache: &SlabCache| bytes(cache).zip(total).is_some_and(|(bytes, all)| bytes >= all / LARGE_SHARE);
        let facts = walk.items.iter().enumerate().map(|(nth, cache)| {
            let common = if nth == 0 && large(cache) { self.common_pointer(cache.address) } else { None };
            let holds = common.as_ref().map(|common| format!("; {}", common.text())).unwrap_or_default();
            let owner = owners.iter().find(|reference| reference.target == cache.address);
            Fact::new("mem.slab_cache", self.origin(cache.address, "struct kmem_cache"))
                .with("cache", cache.name.as_str())
                .with("address", facts::Address::from(cache.address))
                .with("object_size", cache.object_size)
                .with("size", cache.size)
                .with_opt("bytes", bytes(cache))
                .with_opt("slabs", cache.slabs)
                .with_opt("total", cache.total)
                .with_opt("active", cache.active)
                .with("users", cache.users)
                .with_opt("memcg", cache.memcg.map(facts::Address::from))
                .with_opt("root_cache", cache.root.map(facts::Address::from))
                .with_opt("owner", owner.map(|o| o.module.clone()))
                .with_opt("owner_out_of_tree", owner.map(|o| o.out_of_tree))
                .with_opt("owner_symbol", owner.and_then(|o| o.symbol.clone()))
                .with_opt("objects_point_at", common.as_ref().map(|common| common.symbol.clone()))
                .with_opt("objects_module", common.and_then(|common| common.module))
                .quoting(format!(
                    "cache {}: {} of {} objects of {} bytes active in {} slabs{holds}",
                    cache.name,
                    cache.active.map_or("?".into(), |n| n.to_string()),
                    cache.total.map_or("?".into(), |n| n.to_string()),
                    cache.object_size,
                    cache.slabs.map_or("?".into(), |n| n.to_string()),
                ))
                .recheck(format!("crash> kmem -s {}", cache.name))
                .recheck(format!("drgn> slab_cache_usage(Object(prog, 'struct kmem_cache *', {:#x}))", cache.address.0))
        });
        (facts.collect(), walk.gaps.clone())
    }
}
