//! Memory cgroups: the tree, the dying ones, their ids, and what keeps the dying ones.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};

use facts::{Fact, Gap};
use rayon::prelude::*;
use serde::Serialize;

use crate::references::Targets;
use crate::{Kernel, VirtAddr, Walk};

const MAX_MEMCGS: usize = 1_000_000;
/// `MEM_CGROUP_ID_MAX`
const MAX_IDS: usize = 70_000;
/// Below this number of dying cgroups nobody is hurt, and what keeps them is not searched for.
const SEARCH_FROM: usize = 50;
/// Memory of slabs and page structures looked at in that search.
const SEARCH_PAGES: u64 = 16 << 20;
const SEARCH_SLAB_BYTES: u64 = 2 << 30;

const CSS_ONLINE: u64 = 2;

/// What one piece of memory has that refers to dying cgroups.
#[derive(Default)]
struct Pinned {
    /// Pages charged, by cgroup.
    by_pages: HashMap<u64, u64>,
    /// Objects and the cgroups they refer to, by cache.
    by_cache: HashMap<u64, (u64, Vec<u64>)>,
    /// The first frame that was left out.
    stopped: Option<u64>,
}

/// A memory cgroup.
#[derive(Clone, Debug, Serialize)]
pub struct Memcg {
    /// Address of its `struct mem_cgroup`.
    pub address: VirtAddr,
    /// Path in its hierarchy; that of a removed one as it was.
    pub path: Option<String>,
    /// Id of its css.
    pub css_id: Option<u32>,
    /// Id among memory cgroups; 0 when it was given back.
    pub id: Option<u32>,
    /// Not removed yet.
    pub online: bool,
    /// References on its css once it is removed: what keeps it.
    pub css_refs: Option<i64>,
    /// Pages charged to it.
    pub pages: Option<u64>,
    /// The most pages that may be charged to it; `None` where there is no limit, or it is not known.
    pub limit_pages: Option<u64>,
    /// Above so many its tasks are slowed down (`memory.high`); `None` where there is no such limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub high_pages: Option<u64>,
    /// Pages of kernel memory charged to it.
    pub kmem_pages: Option<u64>,
    /// Whether kernel memory is accounted to it.
    pub kmem_active: Option<bool>,
}

/// What keeps dying memory cgroups.
#[derive(Clone, Debug, Serialize)]
pub struct Pin {
    /// `slab-object`, `page`; `cache` for the cgroups' own copies of a cache.
    pub kind: &'static str,
    /// The cache whose objects refer to them, or that the copies are of.
    pub cache: Option<(VirtAddr, String)>,
    /// Referring objects or pages.
    pub objects: u64,
    /// Dying cgroups that they refer to.
    pub dying: u64,
}

impl Kernel<'_> {
    /// The root memory cgroup: `root_mem_cgroup`, or the css of the memory controller's root.
    fn root_memcg(&self) -> Option<VirtAddr> {
        if let Some(root) = self.symbol_at("root_mem_cgroup") {
            return self.ptr(root).ok().filter(|root| self.arch.is_kernel(*root));
        }
        let subsystem = self.symbol_at("memory_cgrp_subsys")?;
        let root = self.pointer(subsystem, "cgroup_subsys", "root")?;
        let nth = self.value(subsystem, "cgroup_subsys", "id").filter(|n| *n < 64)?;
        let css = self
            .ptr(self.place(root, "cgroup_root", "cgrp")? + self.types().offset("cgroup", "subsys")? + nth * 8)
            .ok()?;
        // css is the first member of mem_cgroup; take the offset all the same.
        self.arch.is_kernel(css).then(|| self.types().offset("mem_cgroup", "css").map(|offset| css - offset)).flatten()
    }

    /// All memory cgroups, parents first.
    pub fn memcgs(&self) -> Walk<Memcg> {
        let types = self.types();
        let symbols = self.symbol_count() > 0;
        if symbols
            && self.symbol("root_mem_cgroup").is_none()
            && self.symbol("memory_cgrp_subsys").is_none()
            && self.symbols("mem_cgroup_css_alloc").is_empty()
        {
            return Walk::default(); // a kernel without memory cgroups
        }
        // Children of a css since 0cb51d71c114 "cgroup: link all cgroup_subsys_states in their sibling lists" (v3.16).
        if types.offset("mem_cgroup", "css").is_some() && types.offset("cgroup_subsys_state", "children").is_none() {
            return self.memcgs_by_cgroup();
        }
        let layout = (
            types.offset("mem_cgroup", "css"),
            types.offset("cgroup_subsys_state", "children"),
            types.offset("cgroup_subsys_state", "sibling"),
        );
        let (Some(css), Some(children), Some(sibling)) = layout else {
            return Walk::gap(Gap::new(
                "memory cgroups",
                self.member(),
                "the layout of struct mem_cgroup is not known",
                "a vmlinux or a pack of this kernel (--vmlinux, --pack)",
            ));
        };
        let Some(root) = self.root_memcg() else {
            return Walk::gap(Gap::new(
                "memory cgroups",
                self.member(),
                "neither root_mem_cgroup nor memory_cgrp_subsys leads to the root",
                "a vmlinux or System.map of this kernel (--vmlinux, --system-map)",
            ));
        };
        let (mut found, mut gaps) = (Vec::new(), Vec::new());
        let mut seen = HashSet::from([root.0]);
        let mut stack = vec![root];
        let mut left = MAX_MEMCGS;
        while let Some(at) = stack.pop() {
            if self.u64(at).is_err() {
                gaps.push(Gap::new("memory cgroup", format!("struct mem_cgroup at {at}"), "it is absent", ""));
                continue;
            }
            found.push(at);
            let list = self.list(at + css + children, left, "children of a memory cgroup");
            left = left.saturating_sub(list.items.len());
            gaps.extend(list.gaps);
            for node in list.items.into_iter().rev() {
                let child = node - sibling - css;
                if seen.insert(child.0) && seen.len() <= MAX_MEMCGS {
                    stack.push(child);
                }
            }
        }
        // Each lies on pages of its own.
        Walk { items: found.into_par_iter().with_min_len(16).map(|at| self.memcg(at, css)).collect(), gaps }
    }

    /// Before 3.16, and in RHEL 7: those that exist are in the tree of cgroups; the removed ones are in the idr of ids
    /// (where there is one), and own slab caches.
    fn memcgs_by_cgroup(&self) -> Walk<Memcg> {
        let types = self.types();
        let css = types.offset("mem_cgroup", "css").unwrap_or(0);
        let mut walk = Walk::default();
        let mut found = Vec::new();
        if let Some((root, nth)) = self.root_memcg().zip(self.memcg_subsystem_number()) {
            found.push(root);
            let cgroups = (
                types.offset("cgroup", "children"),
                types.offset("cgroup", "sibling"),
                types.offset("cgroup", "subsys"),
            );
            if let (Some(children), Some(sibling), Some(subsys)) = cgroups {
                let mut stack: Vec<_> = self.pointer(root + css, "cgroup_subsys_state", "cgroup").into_iter().collect();
                let mut seen = HashSet::new();
                let mut left = MAX_MEMCGS;
                while let Some(cgroup) = stack.pop() {
                    if !seen.insert(cgroup.0) || seen.len() > MAX_MEMCGS {
                        continue;
                    }
                    if let Ok(at) = self.ptr(cgroup + subsys + nth * 8)
                        && self.arch.is_kernel(at)
                    {
                        found.push(at - css);
                    }
                    let list = self.list(cgroup + children, left, "children of a cgroup");
                    left = left.saturating_sub(list.items.len());
                    walk.gaps.extend(list.gaps);
                    stack.extend(list.items.into_iter().rev().map(|node| node - sibling));
                }
            }
        }
        if let Some(idr) = self.symbol_at("mem_cgroup_idr") {
            let ids = self.xarray(idr, "idr", MAX_IDS, "ids of memory cgroups");
            walk.gaps.extend(ids.gaps);
            found.extend(ids.items.into_iter().map(|(_, at)| VirtAddr(at)));
        }
        found.extend(self.slab_caches().items.into_iter().filter_map(|cache| cache.memcg));
        let mut seen = HashSet::new();
        for at in found {
            if self.arch.is_kernel(at) && seen.insert(at.0) {
                walk.items.push(self.memcg(at, css));
            }
        }
        if walk.items.is_empty() {
            walk.gaps.push(Gap::new(
                "memory cgroups",
                self.member(),
                "neither the tree of cgroups nor the ids lead to one",
                "a vmlinux or System.map of this kernel (--vmlinux, --system-map)",
            ));
        }
        walk
    }

    fn memcg_subsystem_number(&self) -> Option<u64> {
        let at = self.symbol_at("mem_cgroup_subsys").or_else(|| self.symbol_at("memory_cgrp_subsys"))?;
        self.first_value(at, "cgroup_subsys", &["id", "subsys_id"]).filter(|n| *n < 64)
    }

    /// Path of a cgroup by its own names, in kernels whose cgroups are no kernfs nodes (before 2bd59d48ebfb "cgroup:
    /// convert to kernfs", v3.15).
    fn cgroup_name_path(&self, cgroup: VirtAddr) -> Option<String> {
        let mut names = Vec::new();
        let mut at = cgroup;
        for _ in 0..64 {
            let Some(parent) = self.pointer(at, "cgroup", "parent") else { break };
            let name = self.pointer(at, "cgroup", "name").and_then(|p| self.place(p, "cgroup_name", "name"));
            let name = name.or_else(|| {
                let dentry = self.pointer(at, "cgroup", "dentry")?;
                self.pointer(dentry, "dentry", "d_name.name")
            });
            names.push(self.cstr(name?, 256).ok()?);
            at = parent;
        }
        names.reverse();
        Some(format!("/{}", names.join("/")))
    }

    fn memcg(&self, at: VirtAddr, css: u64) -> Memcg {
        let types = self.types();
        let value = |paths: &[&str]| self.first_value(at, "mem_cgroup", paths);
        let state = |path: &str| self.value(at + css, "cgroup_subsys_state", path);
        let online = state("flags").unwrap_or(0) & CSS_ONLINE != 0;
        let kernfs = types.member("cgroup", "kn").is_some();
        // A removed cgroup without kernfs is freed while its css lives on.
        let cgroup = self.pointer(at + css, "cgroup_subsys_state", "cgroup").filter(|_| online || kernfs);
        // struct css_id before 3.15: a pointer, no number.
        let css_id = types.member("cgroup_subsys_state", "id").filter(|m| m.size == 4).and_then(|_| state("id"));
        Memcg {
            address: at,
            path: cgroup.and_then(|at| if kernfs { self.cgroup_node_path(at) } else { self.cgroup_name_path(at) }),
            css_id: css_id.and_then(|n| u32::try_from(n).ok()),
            // struct mem_cgroup_id since 73f576c04b94 "mm: memcontrol: fix cgroup creation failure after many small jobs"
            // (v4.7); a plain number in RHEL 7.
            id: value(&["id.id", "id"]).and_then(|n| u32::try_from(n).ok()),
            online,
            css_refs: if online { None } else { self.css_refs(at + css) },
            // struct page_counter has `usage` since bbec2e15170a (v4.18), `count` before.
            pages: value(&["memory.usage.counter", "memory.count.counter"]),
            // `max` since the same commit, `limit` before. PAGE_COUNTER_MAX is no limit.
            limit_pages: value(&["memory.max", "memory.limit"])
                .filter(|pages| *pages < i64::MAX as u64 / self.page_bytes()),
            // In the counter since d1663a907bbb "mm: memcg: Fold memory.high into struct page_counter" (v5.8).
            high_pages: value(&["memory.high", "high"]).filter(|pages| *pages < i64::MAX as u64 / self.page_bytes()),
            kmem_pages: value(&["kmem.usage.counter", "kmem.count.counter"]),
            kmem_active: self.memcg_accounts_kmem(at),
        }
    }

    /// Whether kernel memory is accounted to a memory cgroup: bit 0 of `kmem_account_flags` up to 4.1 and in RHEL 7,
    /// `kmem_state` from 4.5 (567e9ab2e614) to 5.15, then by its kmem id.
    fn memcg_accounts_kmem(&self, at: VirtAddr) -> Option<bool> {
        if let Some(flags) = self.value(at, "mem_cgroup", "kmem_account_flags") {
            return Some(flags & 1 == 1);
        }
        if let (Some(state), Some(online)) =
            (self.value(at, "mem_cgroup", "kmem_state"), self.types().enumerator("KMEM_ONLINE"))
        {
            return Some(state as i64 == online);
        }
        self.value(at, "mem_cgroup", "kmemcg_id").map(|id| id as i32 >= 0)
    }

    /// References on a removed css: `percpu_ref`, before 3.12 an `atomic_t` that starts from the lowest number.
    fn css_refs(&self, css: VirtAddr) -> Option<i64> {
        if self.types().member("cgroup_subsys_state", "refcnt.percpu_count_ptr").is_some() {
            return self.percpu_ref(css);
        }
        let count = self.value(css, "cgroup_subsys_state", "refcnt.counter")? as i32;
        Some(i64::from(if count < 0 { count.wrapping_sub(i32::MIN) } else { count }))
    }

    /// The count of a killed `percpu_ref`, which counts in one word; `None` while it counts per CPU. The word is in
    /// `data` since 2b0d3d3e4fcf "percpu_ref: reduce memory footprint of percpu_ref in fast path" (v5.10).
    fn percpu_ref(&self, css: VirtAddr) -> Option<i64> {
        let pointer = self.value(css, "cgroup_subsys_state", "refcnt.percpu_count_ptr")?;
        if pointer & 1 == 0 {
            return None;
        }
        let count = match self.pointer(css, "cgroup_subsys_state", "refcnt.data") {
            Some(data) => self.value(data, "percpu_ref_data", "count.counter")?,
            None => self.value(css, "cgroup_subsys_state", "refcnt.count.counter")?,
        };
        Some(count as i64)
    }

    /// The idr that `mem_cgroup_from_id()` looks into: each cgroup in it has its number.
    fn memcg_idr_in_code(&self) -> Option<VirtAddr> {
        self.code_references("mem_cgroup_from_id").into_iter().find(|at| {
            let ids = self.xarray(*at, "idr", MAX_IDS, "ids of memory cgroups");
            let own = |(id, at): &(u64, u64)| {
                self.value(VirtAddr(*at), "mem_cgroup", "id.id").map(|own| own & 0xffff_ffff) == Some(*id)
            };
            ids.gaps.is_empty() && !ids.items.is_empty() && ids.items.iter().all(own)
        })
    }

    /// Ids of memory cgroups in use: an idr, since 6.12 an xarray, renamed in 7.x.
    pub fn memcg_ids_used(&self) -> Option<u64> {
        let (at, structure) =
            [("mem_cgroup_private_ids", "xarray"), ("mem_cgroup_ids", "xarray"), ("mem_cgroup_idr", "idr")]
                .into_iter()
                .find_map(|(name, structure)| Some((self.symbol_at(name)?, structure)))
                .or_else(|| self.memcg_idr_in_code().map(|at| (at, "idr")))?;
        let walk = self.xarray(at, structure, MAX_IDS, "ids of memory cgroups");
        walk.gaps.is_empty().then_some(walk.items.len() as u64)
    }

    /// Slab objects and pages that refer to dying memory cgroups.
    pub fn memcg_pins(&self, memcgs: &[Memcg]) -> Walk<Pin> {
        let dying: HashSet<u64> = memcgs.iter().filter(|m| !m.online).map(|m| m.address.0).collect();
        let mut walk = Walk::default();
        if dying.is_empty() {
            return walk;
        }
        let targets = Targets::new(dying.iter().copied());
        let own = self.memcg_parts(memcgs);
        let types = self.types();
        // page.mem_cgroup, since bcfe06bf2622 "mm: memcontrol: Use helpers to read page's memcg data" (v5.11) memcg_data:
        // the cgroup, or with bit 0 set a slab's vector, with bit 1 set an obj_cgroup.
        let charge = types.first_member("page", &["memcg_data", "mem_cgroup"]).map(|member| member.offset as usize);
        let shift = self.page_shift();
        let ranges = self.physical.ranges();
        // Pages that the filter left out still have their page structures: to the end of the last section (128 MiB).
        let end = ranges.last().map_or(0, |r| r.end.next_multiple_of(128 << 20) >> shift);
        let present = |frame: u64| {
            let at = frame << shift;
            let nth = ranges.partition_point(|range| range.end <= at);
            ranges.get(nth).is_some_and(|range| range.contains(&at))
        };
        let searched = AtomicU64::new(0);
        let parts = self.sweep(
            std::slice::from_ref(&(0..end.min(SEARCH_PAGES))),
            |part: &mut Pinned, slabs, frame, page, slab| {
                let word =
                    charge.and_then(|at| page.get(at..)?.first_chunk::<8>()).map_or(0, |w| u64::from_le_bytes(*w));
                if word & 1 == 0 && targets.contains(word & !3) {
                    *part.by_pages.entry(word & !3).or_default() += 1;
                }
                let Some(slab) = slab.filter(|_| present(frame)) else { return };
                if searched.fetch_add(slab.len(), Ordering::Relaxed) > SEARCH_SLAB_BYTES {
                    part.stopped.get_or_insert(frame);
                    return;
                }
                let Ok(bytes) = self.bytes(slab.base, slab.len() as usize) else { return };
                let mut hits: Vec<(u64, u64)> =
                    targets.places(&bytes).map(|(at, word)| (at / slab.size, word)).collect();
                if hits.is_empty() {
                    return;
                }
                let free = slabs.free(&slab, &bytes).unwrap_or_default();
                hits.dedup();
                for (nth, memcg) in hits {
                    let object = slab.base.0 + nth * slab.size;
                    let range = object..object + slab.size;
                    let first = own.partition_point(|part| *part < range.start);
                    if free.get(nth as usize) == Some(&true) || own.get(first).is_some_and(|part| range.contains(part))
                    {
                        continue;
                    }
                    let (objects, memcgs) = part.by_cache.entry(slab.cache.0).or_default();
                    *objects += 1;
                    memcgs.push(memcg);
                }
            },
        );
        let mut by_pages: HashMap<u64, u64> = HashMap::new();
        let mut by_cache: HashMap<u64, (u64, HashSet<u64>)> = HashMap::new();
        let mut stopped = (end > SEARCH_PAGES).then_some(SEARCH_PAGES);
        for part in parts {
            stopped = part.stopped.or(stopped);
            for (memcg, pages) in part.by_pages {
                *by_pages.entry(memcg).or_default() += pages;
            }
            for (cache, (objects, memcgs)) in part.by_cache {
                let sum = by_cache.entry(cache).or_default();
                sum.0 += objects;
                sum.1.extend(memcgs);
            }
        }
        if let Some(frame) = stopped {
            walk.gaps.push(Gap::new(
                "what keeps dying memory cgroups",
                format!("page frames from {frame:#x} to {end:#x}"),
                "the search stopped at its bound",
                "a larger budget",
            ));
        }
        if !by_pages.is_empty() {
            walk.items.push(Pin {
                kind: "page",
                cache: None,
                objects: by_pages.values().sum(),
                dying: by_pages.len() as u64,
            });
        }
        for (cache, (objects, memcgs)) in by_cache {
            let cache = VirtAddr(cache);
            let name =
                self.pointer(cache, "kmem_cache", "name").and_then(|p| self.cstr(p, 256).ok()).unwrap_or_default();
            // Nodes of the idr of css ids: an index, which holds no reference.
            if matches!(name.as_str(), "radix_tree_node" | "idr_layer_cache") {
                continue;
            }
            walk.items.push(Pin {
                kind: "slab-object",
                cache: Some((cache, name)),
                objects,
                dying: memcgs.len() as u64,
            });
        }
        // A stray pointer keeps nobody: what matters keeps one in a hundred of them.
        walk.items.retain(|pin| pin.dying * 100 >= dying.len() as u64);
        walk.items.sort_by(|a, b| b.dying.cmp(&a.dying).then_with(|| a.cache.cmp(&b.cache)));
        walk
    }

    /// Structures that belong to memory cgroups themselves and refer to them by nature: the cgroup, the parts per
    /// node, the `obj_cgroup`s, and the memory cgroups (children refer to their parents).
    fn memcg_parts(&self, memcgs: &[Memcg]) -> Vec<u64> {
        let types = self.types();
        let mut parts = Vec::new();
        let nodes = self.symbol_at("nr_node_ids").and_then(|at| self.u32(at).ok()).map_or(1, u64::from).clamp(1, 1024);
        let css = types.offset("mem_cgroup", "css").unwrap_or(0);
        for memcg in memcgs {
            let at = memcg.address;
            parts.push(at.0);
            parts.extend(self.pointer(at + css, "cgroup_subsys_state", "cgroup").map(|p| p.0));
            let mut lists = Vec::new();
            if let Some(info) = types.first_member("mem_cgroup", &["nodeinfo", "info.nodeinfo"]).map(|m| m.offset) {
                for info in (0..nodes).filter_map(|n| self.ptr(at + info + n * 8).ok()).filter(|p| p.0 != 0) {
                    parts.push(info.0);
                    // 7.3 has the `obj_cgroup`s by node.
                    let own = ["objcg", "orig_objcg"].map(|name| self.pointer(info, "mem_cgroup_per_node", name));
                    parts.extend(own.into_iter().flatten().map(|p| p.0));
                    lists.extend(self.place(info, "mem_cgroup_per_node", "objcg_list"));
                }
            }
            parts.extend(self.pointer(at, "mem_cgroup", "objcg").map(|p| p.0));
            lists.extend(self.place(at, "mem_cgroup", "objcg_list"));
            // struct css_id of old kernels.
            parts.extend(self.pointer(at + css, "cgroup_subsys_state", "id").map(|p| p.0));
            // A removed cgroup gave its list to its parent, and its head still points into that one.
            if let Some(node) = types.offset("obj_cgroup", "list").filter(|_| memcg.online) {
                for list in lists {
                    parts.extend(self.list(list, 10_000, "obj_cgroups").items.into_iter().map(|p| (p - node).0));
                }
            }
        }
        // `memcg_cache_params` of the caches that a cgroup owns, up to 5.8: told by themselves.
        if types.member("memcg_cache_params", "is_root_cache").is_some() {
            let caches = self.slab_caches().items.into_iter().filter(|cache| cache.memcg.is_some());
            parts.extend(caches.filter_map(|c| self.pointer(c.address, "kmem_cache", "memcg_params")).map(|p| p.0));
        }
        parts.sort_unstable();
        parts.dedup();
        parts
    }

    /// `mem.memcg_summary`, `mem.memcg_pin` and `mem.dead_memcg_caches` facts.
    pub fn memcg_facts(&self) -> (Vec<Fact>, Vec<Gap>) {
        let walk = self.memcgs();
        let mut gaps = walk.gaps;
        let mut facts = Vec::new();
        let Some(root) = walk.items.first() else { return (facts, gaps) };
        let dying = walk.items.iter().filter(|m| !m.online).count();
        let online = walk.items.len() - dying;
        let ids = self.memcg_ids_used();
        if ids.is_none() {
            gaps.push(Gap::new("ids of memory cgroups in use", self.member(), "no symbol leads to them", ""));
        }
        let removed = || walk.items.iter().filter(|m| !m.online);
        let sum = |values: Vec<Option<u64>>| values.into_iter().try_fold(0u64, |sum, n| sum.checked_add(n?));
        facts.push(
            Fact::new("mem.memcg_summary", self.origin(root.address, "struct mem_cgroup"))
                .with("online", online)
                .with("dying", dying)
                .with("total", walk.items.len())
                .with_opt("ids_used", ids)
                .with_opt("dying_pages", sum(removed().map(|m| m.pages).collect()))
                .with_opt("dying_kmem_pages", sum(removed().map(|m| m.kmem_pages).collect()))
                .with_opt("dying_refs", removed().map(|m| m.css_refs).try_fold(0i64, |sum, n| sum.checked_add(n?)))
                .with("kmem_active", walk.items.iter().filter(|m| m.kmem_active == Some(true)).count())
                .quoting(format!(
                    "{} memory cgroups, {online} online, {dying} dying{}",
                    walk.items.len(),
                    ids.map_or(String::new(), |n| format!(", {n} ids in use"))
                ))
                .recheck(format!("crash> struct cgroup.nr_descendants,nr_dying_descendants cgrp_dfl_root (root mem_cgroup {:#x})", root.address.0))
                .recheck("drgn> sum(not c.flags & 2 for c in css_for_each_descendant_pre(prog['root_mem_cgroup'].css.address_of_()))"),
        );
        if dying >= SEARCH_FROM {
            let pins = self.memcg_pins(&walk.items);
            gaps.extend(pins.gaps);
            let caches: HashSet<u64> =
                pins.items.iter().filter_map(|pin| pin.cache.as_ref()).map(|(at, _)| at.0).collect();
            let owners = self.module_references(&caches);
            for pin in pins.items {
                let at = pin.cache.as_ref().map(|(at, _)| *at);
                let owner = owners.iter().find(|owner| Some(owner.target) == at);
                let name = pin.cache.as_ref().map(|(_, name)| name.clone());
                let origin = match at {
                    Some(at) => self.origin(at, "struct kmem_cache"),
                    None => self.origin(root.address, "struct page[]"),
                };
                facts.push(
                    Fact::new("mem.memcg_pin", origin)
                        .with("kind", pin.kind)
                        .with_opt("cache", name.clone())
                        .with_opt("cache_address", at.map(facts::Address::from))
                        .with("objects", pin.objects)
                        .with("dying", pin.dying)
                        .with_opt("module", owner.map(|o| o.module.clone()))
                        .with_opt("module_out_of_tree", owner.map(|o| o.out_of_tree))
                        .with_opt("module_symbol", owner.and_then(|o| o.symbol.clone()))
                        .quoting(match &name {
                            Some(name) => format!(
                                "{} objects of cache {name} refer to {} dying memory cgroups{}",
                                pin.objects,
                                pin.dying,
                                owner.map_or(String::new(), |o| format!("; the cache belongs to module {}", o.module))
                            ),
                            None => format!("{} pages are charged to {} dying memory cgroups", pin.objects, pin.dying),
                        })
                        .recheck(match &name {
                            Some(name) => format!("crash> kmem -S {name}"),
                            None => "crash> kmem -p".to_owned(),
                        })
                        .recheck(match at {
                            Some(at) => format!(
                                "drgn> list(slab_cache_for_each_allocated_object(Object(prog, 'struct kmem_cache *', {:#x}), 'void'))",
                                at.0
                            ),
                            None => "drgn> [p for p in for_each_page(prog) if p.memcg_data]".to_owned(),
                        }),
                );
            }
        }
        facts.extend(self.dead_memcg_caches(&walk.items));
        facts.extend(self.kmem_limit_facts(&walk.items));
        (facts, gaps)
    }
}
