//! Where the memory is: totals of the kernel's own counters, ending in what no counter explains.

use std::collections::{HashMap, HashSet};

use facts::FieldType::Int;
use facts::{Fact, FieldDef, Gap, KindDef};
use serde::Serialize;

use crate::{Kernel, VirtAddr};

const MAX_NODES: u64 = 1024;
/// Of the first per-CPU chunk, from the variables of the kernel on.
const MAX_BOOT_AREA: u64 = 64 << 20;
/// Lines that a kernel without the names of its data may have but not give, with a function that tells that it has them.
const COUNTED_BY: &[(&str, &str)] = &[
    ("vmalloc", "vmalloc_nr_pages"),
    ("percpu", "pcpu_nr_pages"),
    ("hugetlb", "hugetlb_report_meminfo"),
    ("swap_total", "si_swapinfo"),
];
/// Counters of one table: no kernel has half as many.
const MAX_COUNTERS: u64 = 256;
/// CPUs times zones whose differences are read.
const MAX_DIFFERENCES: usize = 200_000;

/// How a part relates to the total.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Share {
    /// The memory the kernel manages.
    Total,
    /// A part of the total; parts do not overlap.
    Part,
    /// Contained in a part, or outside the total.
    Detail,
}

/// One line of the overview.
#[derive(Clone, Debug, Serialize)]
pub struct MemoryLine {
    /// Name, as the fact has it.
    pub name: &'static str,
    /// Bytes.
    pub bytes: u64,
    /// How it relates to the total.
    pub share: Share,
    /// The counters it was read from.
    pub source: String,
}

/// Where the memory is.
#[derive(Clone, Debug, Default, Serialize)]
pub struct MemoryOverview {
    /// The total first, then parts and details.
    pub lines: Vec<MemoryLine>,
    /// Total less all parts: what no counter explains. Negative when pages are counted twice.
    pub unaccounted: Option<i64>,
    /// What could not be read.
    pub gaps: Vec<Gap>,
}

impl MemoryOverview {
    /// Bytes of one line.
    pub fn bytes(&self, name: &str) -> Option<u64> {
        self.lines.iter().find(|line| line.name == name).map(|line| line.bytes)
    }
}

/// Lines that are counters of pages: name, share, counters newest first, of which those that exist are added up per
/// alternative.
type Row = (&'static str, Share, &'static [&'static str]);

const ROWS: &[Row] = &[
    ("free", Share::Part, &["NR_FREE_PAGES"]),
    ("page_cache", Share::Part, &["NR_FILE_PAGES"]),
    // NR_ANON_PAGES counted mapped ones before 4b9d0fab7166 "mm: rename NR_ANON_PAGES to NR_ANON_MAPPED" (v4.8).
    ("anonymous", Share::Part, &["NR_ANON_MAPPED", "NR_ANON_PAGES"]),
    // Of the node since 385386cff4c6 (v4.13); kept in bytes by name, in pages in the table, since d42f3245c7e2 (v5.9).
    ("slab_reclaimable", Share::Part, &["NR_SLAB_RECLAIMABLE_B", "NR_SLAB_RECLAIMABLE"]),
    ("slab_unreclaimable", Share::Part, &["NR_SLAB_UNRECLAIMABLE_B", "NR_SLAB_UNRECLAIMABLE"]),
    ("page_tables", Share::Part, &["NR_PAGETABLE"]),
    ("secondary_page_tables", Share::Part, &["NR_SECONDARY_PAGETABLE"]),
    ("iommu", Share::Part, &["NR_IOMMU_PAGES"]),
    ("zsmalloc", Share::Part, &["NR_ZSPAGES"]),
    ("bounce", Share::Part, &["NR_BOUNCE"]),
    ("kernel_reclaimable", Share::Part, &["NR_KERNEL_MISC_RECLAIMABLE"]),
    ("shmem", Share::Detail, &["NR_SHMEM"]),
    ("swap_cache", Share::Detail, &["NR_SWAPCACHE"]),
    ("mapped", Share::Detail, &["NR_FILE_MAPPED"]),
    ("dirty", Share::Detail, &["NR_FILE_DIRTY"]),
    ("writeback", Share::Detail, &["NR_WRITEBACK"]),
    ("unevictable", Share::Detail, &["NR_UNEVICTABLE"]),
    ("mlocked", Share::Detail, &["NR_MLOCK"]),
    ("cma_free", Share::Detail, &["NR_FREE_CMA_PAGES"]),
];

const fn field(name: &'static str, doc: &'static str) -> FieldDef {
    FieldDef { name, ty: Int, unit: "bytes", doc }
}

/// The kinds of facts made here.
pub(crate) const KINDS: &[KindDef] = &[KindDef {
    kind: "mem.memory",
    doc: "Where the memory is, by the kernel's counters. A value is absent when this kernel does not count it.",
    fields: &[
        field("total", "memory the kernel manages"),
        field("free", "free pages in the buddy lists"),
        field("free_on_cpus", "free pages on the lists of CPUs"),
        field("page_cache", "pages of files, tmpfs and swap cache among them"),
        field("anonymous", "anonymous pages of processes"),
        field("slab_reclaimable", "slab caches that can shrink"),
        field("slab_unreclaimable", "slab caches that cannot"),
        field("kernel_stacks", "stacks of tasks; part of vmalloc where they are mapped there"),
        field("page_tables", "page tables"),
        field("secondary_page_tables", "page tables of guests and IOMMUs"),
        field("iommu", "pages of IOMMU page tables"),
        field("zsmalloc", "compressed pages of zram and zswap"),
        field("bounce", "bounce buffers"),
        field("kernel_reclaimable", "pages that drivers can give back"),
        field("vmalloc", "vmalloc areas with pages of their own"),
        field("percpu", "per-CPU areas given out after boot"),
        field("percpu_boot", "per-CPU areas of the boot, outside the total"),
        field("hugetlb", "huge pages of hugetlbfs, used or not"),
        field("hugetlb_free", "those not used"),
        field("shmem", "tmpfs and shared memory, in page_cache"),
        field("swap_cache", "swap cache, in page_cache"),
        field("mapped", "page cache mapped by processes"),
        field("dirty", "page cache to be written"),
        field("writeback", "page cache being written"),
        field("unevictable", "pages that reclaim leaves alone"),
        field("mlocked", "pages locked by processes"),
        field("cma_free", "free pages in CMA areas, in free"),
        field("balloon", "pages in the balloon; most balloons take them out of the total"),
        field("swap_total", "swap space"),
        field("swap_free", "swap space not used"),
        field("unaccounted", "total less all parts: pages of drivers and of counters this kernel lacks"),
        field("min_free", "below this, only urgent requests get memory (watermark min, all zones)"),
    ],
}];

impl Kernel<'_> {
    /// Bytes of a page.
    pub fn page_bytes(&self) -> u64 {
        self.info.page_size().filter(|n| n.is_power_of_two() && (4096..=1 << 16).contains(n)).unwrap_or(4096)
    }

    /// The `struct pglist_data` of each memory node: `node_data[]`, or the only one.
    pub(crate) fn memory_nodes(&self) -> Vec<VirtAddr> {
        if let Some(table) = self.symbol_at("node_data") {
            let count = self.symbol_at("nr_node_ids").and_then(|at| self.u32(at).ok()).map_or(1, u64::from);
            let count = count.clamp(1, MAX_NODES);
            return (0..count)
                .filter_map(|n| self.ptr(table + n * 8).ok())
                .filter(|p| self.arch.is_kernel(*p))
                .collect();
        }
        self.symbol_at("contig_page_data").into_iter().collect()
    }

    /// The zones of all nodes.
    fn zones(&self) -> Vec<VirtAddr> {
        let types = self.types();
        let (Some(zones), Some(size)) = (types.member("pglist_data", "node_zones"), types.size_of("zone")) else {
            return Vec::new();
        };
        let count = zones.size.checked_div(size).unwrap_or(0).min(16);
        let each = |node: VirtAddr| (0..count).map(move |n| node + zones.offset + n * size);
        self.memory_nodes().into_iter().flat_map(each).collect()
    }

    /// The counters of `vm_node_stat` and `vm_zone_stat` (`vm_stat` before 75ef71840539 "mm, vmstat: add infrastructure
    /// for per-node vmstats", v4.8) by the kernel's names, the CPUs' differences added.
    fn page_counters(&self) -> HashMap<String, i64> {
        let types = self.types();
        let mut counters = HashMap::new();
        for (symbol, enumeration) in
            [("vm_node_stat", "node_stat_item"), ("vm_zone_stat", "zone_stat_item"), ("vm_stat", "zone_stat_item")]
        {
            let Some(table) = self.symbol_at(symbol) else { continue };
            let mut sums: Vec<(String, usize, i64)> = Vec::new();
            for (name, nth) in types.enumerators(enumeration) {
                let Some(nth) = u64::try_from(nth).ok().filter(|n| *n < MAX_COUNTERS) else { continue };
                // The last one counts the names.
                if let (false, Ok(value)) = (name.starts_with("NR_VM_"), self.u64(table + nth * 8)) {
                    sums.push((name, nth as usize, value as i64));
                }
            }
            for differences in self.counter_differences(symbol) {
                for (_, nth, sum) in &mut sums {
                    *sum += i64::from(differences.get(*nth).map_or(0, |byte| *byte as i8));
                }
            }
            counters.extend(sums.into_iter().map(|(name, _, sum)| (name, sum)));
        }
        counters
    }

    /// What CPUs have not yet added to the table: arrays of signed bytes.
    fn counter_differences(&self, table: &str) -> Vec<Vec<u8>> {
        let types = self.types();
        // 28f836b6777b "mm/page_alloc: split per cpu page lists and zone stats" (v5.14): per_cpu_zonestats; in the page
        // set before.
        let (owners, structure, pointer, holder, member) = match table {
            "vm_node_stat" => {
                (self.memory_nodes(), "pglist_data", "per_cpu_nodestats", "per_cpu_nodestat", "vm_node_stat_diff")
            }
            _ if types.member("zone", "per_cpu_zonestats").is_some() => {
                (self.zones(), "zone", "per_cpu_zonestats", "per_cpu_zonestat", "vm_stat_diff")
            }
            _ => (self.zones(), "zone", "pageset", "per_cpu_pageset", "vm_stat_diff"),
        };
        let Some(place) = types.member(holder, member) else { return Vec::new() };
        let mut found = Vec::new();
        for owner in owners {
            let Some(variable) = self.pointer(owner, structure, pointer) else { continue };
            for cpu in self.cpus_possible() {
                let at = self.per_cpu(variable, *cpu).map(|at| at + place.offset);
                let bytes = at.and_then(|at| self.bytes(at, place.size.min(MAX_COUNTERS) as usize).ok());
                found.extend(bytes);
                if found.len() >= MAX_DIFFERENCES {
                    return found;
                }
            }
        }
        found
    }

    /// Free pages on the lists of CPUs.
    fn pages_on_cpus(&self) -> Option<u64> {
        let types = self.types();
        let (pointer, structure, path) = match types.member("zone", "per_cpu_pageset") {
            Some(_) => ("per_cpu_pageset", "per_cpu_pages", "count"),
            None => ("pageset", "per_cpu_pageset", "pcp.count"),
        };
        let zones = self.zones();
        if zones.is_empty() {
            return None;
        }
        let mut sum = 0;
        for variable in zones.into_iter().filter_map(|zone| self.pointer(zone, "zone", pointer)) {
            for cpu in self.cpus_possible() {
                let at = self.per_cpu(variable, *cpu)?;
                sum += self.value(at, structure, path).filter(|n| *n < 1 << 24)?;
            }
        }
        Some(sum)
    }

    /// Huge pages of hugetlbfs: bytes, and of these unused.
    fn hugetlb_bytes(&self) -> Option<(u64, u64)> {
        let types = self.types();
        let stride = types.size_of("hstate")?;
        let named = |at: &VirtAddr| {
            let name = types.offset("hstate", "name").and_then(|offset| self.cstr(*at + offset, 32).ok());
            name.is_some_and(|name| name.starts_with("hugepages-"))
        };
        let table = self.symbol_at("hstates");
        let table = table.or_else(|| self.code_references("hugetlb_report_meminfo").into_iter().find(named))?;
        let count = self.symbol_at("hugetlb_max_hstate").and_then(|at| self.u32(at).ok()).map_or_else(
            || (0..8u64).take_while(|nth| named(&(table + *nth * stride))).count() as u32,
            |count| count.min(8),
        );
        let (mut all, mut free) = (0u64, 0u64);
        for nth in 0..u64::from(count) {
            let state = table + nth * stride;
            let order = self.value(state, "hstate", "order").filter(|order| *order < 40)? as u32;
            let bytes = |path: &str| {
                let pages = self.value(state, "hstate", path)?;
                pages.checked_mul(self.page_bytes().checked_shl(order)?)
            };
            all = all.saturating_add(bytes("nr_huge_pages")?);
            free = free.saturating_add(bytes("free_huge_pages")?);
        }
        Some((all, free))
    }

    /// Pages a CPU of the per-CPU areas that the boot laid out: the kernel's own variables, what is reserved for those
    /// of modules, and the rest of the first chunk.
    fn percpu_boot_pages(&self, page: u64) -> Option<u64> {
        let own = self.symbol("__per_cpu_end")?.checked_sub(self.symbol("__per_cpu_start")?)?.div_ceil(page);
        let chunks: HashSet<u64> = ["pcpu_first_chunk", "pcpu_reserved_chunk"]
            .iter()
            .filter_map(|name| self.symbol_at(name).and_then(|at| self.u64(at).ok()))
            .filter(|chunk| *chunk != 0)
            .collect();
        let populated = chunks.into_iter().filter_map(|at| self.value(VirtAddr(at), "pcpu_chunk", "nr_populated"));
        Some(populated.map(|n| n & 0xffff_ffff).fold(own, u64::saturating_add))
    }

    /// The same from the chunks that code leads to: the variables of the kernel stand before them, from `pcpu_base_addr` on.
    fn percpu_boot_pages_in_code(&self, page: u64) -> Option<u64> {
        let words: Vec<u64> =
            self.code_references("free_percpu").into_iter().filter_map(|at| self.u64(at).ok()).collect();
        let chunk = |at: &u64| {
            let at = Some(VirtAddr(*at)).filter(|at| self.arch.is_kernel(*at))?;
            let base = self.value(at, "pcpu_chunk", "base_addr").filter(|base| base % page == 0)?;
            let pages = self.value(at, "pcpu_chunk", "nr_pages").filter(|n| (1..1 << 14).contains(n))?;
            Some((base, base.checked_add(pages * page)?))
        };
        let chunks: Vec<(u64, u64)> = words.iter().filter_map(chunk).collect();
        let near = |start: &&u64| chunks.iter().all(|(base, _)| base.wrapping_sub(**start) < MAX_BOOT_AREA);
        let start = words.iter().filter(|word| *word % page == 0).find(near)?;
        chunks.iter().map(|(_, end)| end.wrapping_sub(*start) / page).max()
    }

    /// What a function that only returns a variable returns, or adds last.
    fn word_in_code(&self, function: &str) -> Option<u64> {
        self.code_references(function).last().and_then(|at| self.u64(*at).ok())
    }

    /// Bytes a CPU of the per-CPU areas that the boot laid out; `None` where the layout of its chunks is not known.
    pub(crate) fn percpu_first_bytes(&self) -> Option<u64> {
        let page = self.page_bytes();
        let first = self.symbol_at("pcpu_first_chunk").and_then(|at| self.ptr(at).ok())?;
        // 3.10 has the numbers of areas instead: `map` of what is allocated (negative) and free, in bytes.
        if self.types().member("pcpu_chunk", "nr_populated").is_none() {
            let map = self.pointer(first, "pcpu_chunk", "map")?;
            let used = self.value(first, "pcpu_chunk", "map_used").filter(|n| *n < 1 << 16)?;
            let areas = self.bytes(map, (used as usize + 1) * 4).ok()?;
            let areas = areas.as_chunks::<4>().0.iter().map(|word| i32::from_le_bytes(*word));
            let areas: Vec<u64> = areas.map(|area| u64::from(area.unsigned_abs())).collect();
            // Since 723ad1d90b56 "percpu: store offsets instead of lengths in ->map[]" (v3.15) it holds offsets from 0 on, with
            // a mark in bit 0; the last one is the end.
            return match areas.first() {
                Some(0 | 1) => areas.last().map(|last| last & !1),
                _ => Some(areas.iter().take(used as usize).sum()),
            };
        }
        self.percpu_boot_pages(page).and_then(|pages| pages.checked_mul(page))
    }

    /// An event counter, summed over the CPUs.
    fn vm_event(&self, name: &str) -> Option<u64> {
        let nth = u64::try_from(self.types().enumerator(name)?).ok().filter(|n| *n < 4096)?;
        let table = self.symbol_at("vm_event_states")?;
        let mut sum = 0u64;
        for cpu in self.cpus_possible() {
            sum = sum.wrapping_add(self.u64(self.per_cpu(table, *cpu)? + nth * 8).ok()?);
        }
        Some(sum)
    }

    /// Where the memory is.
    pub fn memory_overview(&self) -> MemoryOverview {
        let mut overview = MemoryOverview::default();
        let page = self.page_bytes();
        let word = |name: &str| self.symbol_at(name).and_then(|at| self.u64(at).ok());
        let mut add = |name, share, bytes: u64, source: &str| {
            overview.lines.push(MemoryLine { name, bytes, share, source: source.to_owned() });
        };
        let total = self.total_memory();
        if let Some((name, bytes)) = total {
            add("total", Share::Total, bytes, name);
        }
        let counters = self.page_counters();
        for (name, share, alternatives) in ROWS {
            let found = alternatives.iter().find_map(|counter| Some((*counter, *counters.get(*counter)?)));
            // A sum below zero means that a page was given back before the count of another CPU was read.
            if let Some((counter, pages)) = found {
                add(*name, *share, u64::try_from(pages).unwrap_or(0).saturating_mul(page), counter);
            }
        }
        if let Some(pages) = self.pages_on_cpus() {
            add("free_on_cpus", Share::Part, pages.saturating_mul(page), "per_cpu_pages.count");
        }
        // In kilobytes since d30dd8be06b2 "mm: track NR_KERNEL_STACK in KiB instead of number of stacks" (v4.9).
        let mapped = self.types().member("task_struct", "stack_vm_area").is_some();
        let share = if mapped { Share::Detail } else { Share::Part };
        if let Some(kib) = counters.get("NR_KERNEL_STACK_KB").and_then(|n| u64::try_from(*n).ok()) {
            add("kernel_stacks", share, kib.saturating_mul(1024), "NR_KERNEL_STACK_KB");
        } else if let Some(stacks) = counters.get("NR_KERNEL_STACK").and_then(|n| u64::try_from(*n).ok()) {
            add("kernel_stacks", share, stacks.saturating_mul(self.stack_size()), "NR_KERNEL_STACK");
        }
        // A variable since 97105f0ab7b8 "mm: vmalloc: show number of vmalloc pages in /proc/meminfo" (v5.3); a counter of
        // the node in newer kernels.
        let pages_in_all = total.map_or(0, |(_, bytes)| bytes / page);
        let in_code = |function: &str| self.word_in_code(function).filter(|pages| *pages <= pages_in_all);
        match (counters.get("NR_VMALLOC"), word("nr_vmalloc_pages").or_else(|| in_code("vmalloc_nr_pages"))) {
            (Some(pages), _) => {
                add("vmalloc", Share::Part, u64::try_from(*pages).unwrap_or(0).saturating_mul(page), "NR_VMALLOC");
            }
            (None, Some(pages)) => add("vmalloc", Share::Part, pages.saturating_mul(page), "nr_vmalloc_pages"),
            // Older kernels count nothing: what the areas have.
            (None, None) => {
                let callers = self.vmalloc_callers();
                let bytes = callers.items.iter().fold(0u64, |sum, caller| sum.saturating_add(caller.bytes));
                if callers.gaps.is_empty() && bytes > 0 && bytes / page <= pages_in_all {
                    add("vmalloc", Share::Part, bytes, "vmap_area_root");
                }
            }
        }
        // 7e8a6304d541 "/proc/meminfo: add percpu populated pages count" (v4.20). The first chunk is no managed memory.
        let populated = word("pcpu_nr_populated").map(|populated| (populated, self.percpu_boot_pages(page)));
        let populated = populated.or_else(|| {
            Some((in_code("pcpu_nr_pages").filter(|n| *n > 0)?, Some(self.percpu_boot_pages_in_code(page)?)))
        });
        if let Some((populated, first)) = populated {
            // Units are CPUs, of which groups may lack some.
            let units = self.symbol_at("pcpu_nr_units").and_then(|at| self.u32(at).ok()).map(u64::from);
            let units = units.unwrap_or(self.cpus_possible().len().max(1) as u64);
            let first = first.filter(|n| *n <= populated).unwrap_or(0);
            let bytes = |pages: u64| pages.saturating_mul(units).saturating_mul(page);
            add("percpu", Share::Part, bytes(populated - first), "pcpu_nr_populated");
            add("percpu_boot", Share::Detail, bytes(first), "pcpu_first_chunk");
        }
        if let Some((all, free)) = self.hugetlb_bytes() {
            add("hugetlb", Share::Part, all, "hstates");
            add("hugetlb_free", Share::Detail, free, "hstates");
        }
        let balloon = counters
            .get("NR_BALLOON_PAGES")
            .and_then(|n| u64::try_from(*n).ok())
            .or_else(|| self.vm_event("BALLOON_INFLATE")?.checked_sub(self.vm_event("BALLOON_DEFLATE")?));
        if let Some(pages) = balloon {
            add("balloon", Share::Detail, pages.saturating_mul(page), "BALLOON_INFLATE less BALLOON_DEFLATE");
        }
        let zones = self.zones();
        let known = !zones.is_empty();
        let low: Option<u64> = zones.into_iter().try_fold(0u64, |sum, zone| {
            // `watermark[]` before a921444382b4 "mm: move zone watermark accesses behind an accessor" (v5.0).
            sum.checked_add(self.first_value(zone, "zone", &["_watermark[0]", "watermark[0]"])?)
        });
        if let Some(pages) = low.filter(|_| known) {
            add("min_free", Share::Detail, pages.saturating_mul(page), "zone watermarks");
        }
        let swap = word("total_swap_pages").or_else(|| {
            let free = word("nr_swap_pages")?;
            self.word_in_code("vm_commit_limit").filter(|pages| (free..1 << 40).contains(pages))
        });
        if let Some(pages) = swap {
            add("swap_total", Share::Detail, pages.saturating_mul(page), "total_swap_pages");
        }
        if let Some(pages) = word("nr_swap_pages") {
            add("swap_free", Share::Detail, pages.saturating_mul(page), "nr_swap_pages");
        }
        let has = |line: &str| overview.lines.iter().any(|other| other.name == line);
        let missing = COUNTED_BY.iter().filter(|(line, function)| !has(line) && self.symbol(function).is_some());
        let missing: Vec<&str> = missing.map(|(line, _)| *line).collect();
        if !missing.is_empty() {
            overview.gaps.push(Gap::new(
                format!("memory overview: {}", missing.join(", ")),
                self.member(),
                "no symbol of their counters; what they count is among the unaccounted",
                "a vmlinux or System.map of this kernel (--vmlinux, --system-map)",
            ));
        }
        let counted = counters.contains_key("NR_FREE_PAGES") && counters.contains_key("NR_FILE_PAGES");
        match (total, counted) {
            (Some((_, total)), true) => {
                let parts = overview.lines.iter().filter(|line| line.share == Share::Part);
                let sum = parts.fold(0u64, |sum, line| sum.saturating_add(line.bytes));
                overview.unaccounted = i64::try_from(i128::from(total) - i128::from(sum)).ok();
            }
            (None, _) => overview.gaps.push(Gap::new(
                "memory overview",
                self.member(),
                "no symbol _totalram_pages or totalram_pages",
                "a vmlinux or System.map of this kernel (--vmlinux, --system-map)",
            )),
            (Some(_), false) => overview.gaps.push(Gap::new(
                "memory overview",
                self.member(),
                "the tables of page counters or the names of their entries are not known",
                "a vmlinux or a pack of this kernel (--vmlinux, --pack)",
            )),
        }
        overview
    }

    /// The `mem.memory` fact.
    pub fn memory_facts(&self) -> (Vec<Fact>, Vec<Gap>) {
        let overview = self.memory_overview();
        let at = ["_totalram_pages", "totalram_pages"].into_iter().find_map(|name| self.symbol_at(name));
        let (Some(at), Some(total)) = (at, overview.bytes("total")) else { return (Vec::new(), overview.gaps) };
        let mut fact = Fact::new("mem.memory", self.origin(at, "page counters"));
        for line in &overview.lines {
            fact.set(line.name, line.bytes);
        }
        let mib = |bytes: u64| bytes >> 20;
        let mut quote = format!("{} MiB of memory", mib(total));
        if let Some(free) = overview.bytes("free") {
            quote.push_str(&format!(", {} MiB free", mib(free)));
        }
        if let Some(unaccounted) = overview.unaccounted {
            fact.set("unaccounted", unaccounted);
            quote.push_str(&format!(", {} MiB unaccounted", unaccounted >> 20));
        }
        let fact =
            fact.quoting(quote).recheck("crash> kmem -i").recheck("drgn> prog['vm_node_stat'], prog['vm_zone_stat']");
        (vec![fact], overview.gaps)
    }
}
