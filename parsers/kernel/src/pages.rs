//! The direct map and the array of `struct page`.

use crate::{Arch, Kernel, VirtAddr};

/// How physical addresses, direct-map addresses and page structures relate.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PageMap {
    /// Direct-map address = physical address + this, modulo 2^64.
    direct: u64,
    /// `struct page` of frame 0 would lie here (it may wrap).
    vmemmap: u64,
    /// Bytes of a `struct page`.
    page_size: u64,
    shift: u32,
}

impl Kernel<'_> {
    pub(crate) fn page_map(&self) -> Option<&PageMap> {
        self.page_map.get_or_init(|| self.find_page_map()).as_ref()
    }

    fn find_page_map(&self) -> Option<PageMap> {
        let page_size = self.info.size("page").or_else(|| self.types().size_of("page"))?;
        let value = |name: &str| self.symbol_at(name).and_then(|at| self.u64(at).ok()).filter(|v| v >> 56 == 0xff);
        let la57 = self.info.number("pgtable_l5_enabled") == Some(1);
        match self.arch {
            Arch::X86_64 => {
                // Variables since 021182e52fe0 "x86/mm: Enable KASLR for physical mapping memory regions" (v4.8).
                // d52888aa2753 "x86/mm: Move LDT remap out of KASLR region on 5-level paging" (v4.20) moved the start.
                let starts: &[u64] = &[0xffff_8880_0000_0000, 0xffff_8800_0000_0000, 0xff11_0000_0000_0000];
                let direct = value("page_offset_base")
                    .into_iter()
                    .chain(starts.iter().copied())
                    .find(|start| self.direct_map_starts(*start))?;
                let vmemmap =
                    value("vmemmap_base").unwrap_or(if la57 { 0xffd4_0000_0000_0000 } else { 0xffff_ea00_0000_0000 });
                Some(PageMap { direct, vmemmap, page_size, shift: 12 })
            }
            Arch::Aarch64 => {
                let shift = self.info.page_size()?.trailing_zeros();
                let va_bits = self.info.number("VA_BITS").filter(|n| (30..=52).contains(n))?;
                let phys = self.info.number("PHYS_OFFSET")?;
                // The linear half is the lower one since 14c127c957c1 "arm64: mm: Flip kernel VA space" (v5.4).
                let direct = [0u64.wrapping_sub(1 << va_bits), 0u64.wrapping_sub(1 << (va_bits - 1))]
                    .into_iter()
                    .map(|page_offset| page_offset.wrapping_sub(phys))
                    .find(|direct| self.direct_map_starts(*direct))?;
                // vmemmap is VMEMMAP_START less the frames below memory. The start is exported since 2369f171d5c5 "arm64:
                // crash_core: Export MODULES, VMALLOC, and VMEMMAP ranges" (v5.19). Before: below 2 MiB under the top
                // since 5.4, below the linear map before (arch/arm64/include/asm/memory.h).
                let below = (phys as i64 >> shift) as u64;
                let size = 1u64.checked_shl((va_bits as u32 + 5).checked_sub(shift)?)?;
                let starts = [
                    self.info.number("VMEMMAP_START"),
                    Some(0u64.wrapping_sub(size).wrapping_sub(2 << 20)),
                    Some(0u64.wrapping_sub(size * 2)),
                    Some(0u64.wrapping_sub(1 << (va_bits - 1)).wrapping_sub(size)),
                ];
                starts
                    .into_iter()
                    .flatten()
                    .map(|start| {
                        let vmemmap = start.wrapping_sub(below.wrapping_mul(page_size));
                        PageMap { direct, vmemmap, page_size, shift }
                    })
                    .find(|map| self.page_structures_fit(map))
            }
        }
    }

    /// Whether the page of init_task, whose physical address is known, is mapped at its place in this direct map.
    fn direct_map_starts(&self, direct: u64) -> bool {
        let known = self.symbol_at("init_task").or_else(|| self.symbol_at("init_uts_ns"));
        let Some(phys) = known.and_then(|at| self.translate(at).ok()) else { return false };
        self.translate(VirtAddr(phys.0.wrapping_add(direct))).ok() == Some(phys)
    }

    /// Whether the page structure of the newest `struct kmem_cache` says that it lies in a slab of cache `kmem_cache`.
    fn page_structures_fit(&self, map: &PageMap) -> bool {
        let types = self.types();
        let first = self.slab_caches_head().and_then(|head| self.ptr(head).ok());
        let (Some(first), Some(list)) = (first, types.offset("kmem_cache", "list")) else { return false };
        let cache = ["slab", "page"].iter().find_map(|name| types.offset(name, "slab_cache"));
        let (Ok(phys), Some(cache)) = (self.translate(first - list), cache) else { return false };
        // The structure may lie in a later page of its slab: the head comes at most 7 pages earlier.
        (0..8).any(|back| {
            let frame = (phys.0 >> map.shift).wrapping_sub(back);
            let page = VirtAddr(map.vmemmap.wrapping_add(frame.wrapping_mul(map.page_size)));
            let name = self.ptr(page + cache).ok().and_then(|at| self.pointer(at, "kmem_cache", "name"));
            name.is_some_and(|at| self.cstr(at, 32).is_ok_and(|name| name == "kmem_cache"))
        })
    }

    /// The direct-map address of a physical one.
    pub fn phys_to_virt(&self, phys: u64) -> Option<VirtAddr> {
        Some(VirtAddr(phys.wrapping_add(self.page_map()?.direct)))
    }

    /// The `struct page` of a page frame.
    pub fn page_of_frame(&self, frame: u64) -> Option<VirtAddr> {
        let map = self.page_map()?;
        Some(VirtAddr(map.vmemmap.wrapping_add(frame.wrapping_mul(map.page_size))))
    }

    /// The page frame of a `struct page`.
    pub fn frame_of_page(&self, page: VirtAddr) -> Option<u64> {
        let map = self.page_map()?;
        page.0.wrapping_sub(map.vmemmap).checked_div(map.page_size)
    }

    /// The `struct page` behind a virtual address; of a compound page its head.
    pub fn head_page(&self, at: VirtAddr) -> Option<VirtAddr> {
        let map = self.page_map()?;
        let phys = self.translate(at).ok()?;
        let page = self.page_of_frame(phys.0 >> map.shift)?;
        // 1d798ca3f164 "mm: make compound_head() robust" (v4.4). `compound_info` since d50569612c29 (v7.1).
        let head = self.first_value(page, "page", &["compound_info", "compound_head"]);
        match head {
            Some(head) if head & 1 == 1 => {
                let head = VirtAddr(head - 1);
                if self.arch.is_kernel(head) && self.u64(head).is_ok() {
                    Some(head)
                } else {
                    // 8c846c879e22 (v7.1): a mask that leads from a tail to its head.
                    Some(VirtAddr(page.0 & (head.0 | 1)))
                }
            }
            Some(_) => Some(page),
            // Before 4.4 tail pages have PG_tail and `first_page`.
            None => {
                let tail = self.types().enumerator("PG_tail").zip(self.value(page, "page", "flags"));
                match tail {
                    Some((bit, flags)) if flags >> (bit & 63) & 1 == 1 => self.pointer(page, "page", "first_page"),
                    _ => Some(page),
                }
            }
        }
    }

    /// Direct-map address of a page structure's page.
    pub fn page_address(&self, page: VirtAddr) -> Option<VirtAddr> {
        let map = self.page_map()?;
        self.phys_to_virt(self.frame_of_page(page)?.checked_shl(map.shift)?)
    }

    /// Page frames of the dump, at most `most`, and the first that was left out.
    pub(crate) fn frames_of_dump(&self, most: u64) -> (Vec<std::ops::Range<u64>>, Option<u64>) {
        let shift = self.page_shift();
        let (mut frames, mut left) = (Vec::new(), most);
        for range in self.physical.ranges() {
            let (first, end) = (range.start >> shift, range.end >> shift);
            let cut = end.min(first.saturating_add(left));
            left -= cut.saturating_sub(first);
            frames.push(first..cut);
            if cut < end {
                return (frames, Some(cut));
            }
        }
        (frames, None)
    }

    /// Bytes of a page structure.
    pub(crate) fn page_structure_size(&self) -> Option<u64> {
        self.page_map().map(|map| map.page_size).filter(|size| (32..=512).contains(size))
    }

    pub(crate) fn page_shift(&self) -> u32 {
        self.page_map().map_or(12, |map| map.shift)
    }
}
