//! Areas of vmalloc memory: those in use, and those that were given back and are not purged yet.

use facts::Address;
use serde::Serialize;

use crate::what::plus;
use crate::{Kernel, VirtAddr};

/// Depth of a red-black tree of all areas there can be.
const MAX_TREE: usize = 128;
/// Trees that the areas are spread over.
const MAX_NODES: u64 = 4096;

/// An area of vmalloc memory.
#[derive(Clone, Debug, Serialize)]
pub struct Area {
    /// First address.
    pub start: Address,
    /// Bytes, the guard page included.
    pub size: u64,
    /// The function that asked for it.
    pub caller: Option<String>,
    /// It was given back, and the kernel has not purged it yet: nothing is mapped there any more.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub freed: bool,
    /// The address lies in the unmapped page behind it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub guard: bool,
}

impl Kernel<'_> {
    /// The roots of the trees of areas, and whether those were given back.
    pub(crate) fn vmap_trees(&self) -> Vec<(VirtAddr, bool)> {
        let types = self.types();
        let mut roots = Vec::new();
        // d093602919ad "mm: vmalloc: remove global vmap_area_root rb-tree" (v6.9) spread the areas over nodes. Those given
        // back stood on a list before 96e2db456135 "mm/vmalloc: rework the drain logic" (v5.11) made it a tree, which
        // 282631cb2447 "mm: vmalloc: remove global purge_vmap_area_root rb-tree" (v6.9) spread over the nodes, too.
        let trees = [("vmap_area_root", false), ("purge_vmap_area_root", true)];
        roots.extend(trees.into_iter().filter_map(|(name, freed)| Some((self.symbol_at(name)?, freed))));
        if let (Some(nodes), Some(size)) =
            (self.symbol_at("vmap_nodes").and_then(|at| self.ptr(at).ok()), types.size_of("vmap_node"))
        {
            let count = self.symbol_at("nr_vmap_nodes").and_then(|at| self.u32(at).ok()).unwrap_or(1);
            let trees = [("busy.root", false), ("lazy.root", true)];
            for (offset, freed) in
                trees.into_iter().filter_map(|(tree, freed)| Some((types.offset("vmap_node", tree)?, freed)))
            {
                roots.extend((0..u64::from(count).clamp(1, MAX_NODES)).map(|nth| (nodes + nth * size + offset, freed)));
            }
        }
        if roots.is_empty() {
            // Without its name: what find_vmap_area() looks into, which some compilers put into its caller.
            let node = types.offset("vmap_area", "rb_node").unwrap_or(0);
            let area = |root: &VirtAddr| {
                let top = self.ptr(*root).ok().filter(|top| self.arch().is_kernel(*top))?;
                let start = self.value(top - node, "vmap_area", "va_start")?;
                let end = self.value(top - node, "vmap_area", "va_end")?;
                (start < end && start % 4096 == 0 && self.arch().is_kernel(VirtAddr(start))).then_some(())
            };
            let code = ["find_vmap_area", "find_vm_area"].into_iter().flat_map(|name| self.code_references(name));
            let found = code.into_iter().find(|root| area(root).is_some());
            roots.extend(found.map(|root| (root, false)));
        }
        roots
    }

    /// The area of vmalloc memory that holds an address, or held it and was not purged yet.
    pub fn vmalloc_area(&self, at: VirtAddr) -> Option<Area> {
        let types = self.types();
        let node = types.offset("vmap_area", "rb_node")?;
        self.vmap_trees().into_iter().find_map(|(root, freed)| {
            let mut next = self.ptr(root).ok()?;
            for _ in 0..MAX_TREE {
                if next.0 == 0 {
                    return None;
                }
                let area = next - node;
                let start = self.value(area, "vmap_area", "va_start")?;
                let end = self.value(area, "vmap_area", "va_end")?;
                next = if at.0 < start {
                    self.ptr(next + types.offset("rb_node", "rb_left")?).ok()?
                } else if at.0 >= end {
                    self.ptr(next + types.offset("rb_node", "rb_right")?).ok()?
                } else {
                    // One that was given back has no vm_struct any more, and other things in its place.
                    let vm = self.pointer(area, "vmap_area", "vm").filter(|_| !freed);
                    let caller = vm.and_then(|vm| self.pointer(vm, "vm_struct", "caller"));
                    let caller = caller.and_then(|at| self.symbolize(at)).map(|s| plus(&s.name, s.offset));
                    return Some(Area {
                        start: Address(start),
                        size: end.checked_sub(start)?,
                        caller,
                        freed,
                        guard: false,
                    });
                };
            }
            None
        })
    }
}
#[cfg(test)]
mod tests {
    use crate::VirtAddr;
    use crate::synthetic::{BASE, Memory};

    #[test]
    fn an_area_that_was_given_back_is_told_from_one_in_use() {
        let memory = Memory::new();
        let (busy, lazy, in_use, given_back) = (BASE + 0x10000, BASE + 0x10008, BASE + 0x11000, BASE + 0x12000);
        memory.put64(busy, in_use + 0x10);
        memory.put64(lazy, given_back + 0x10);
        for (area, start) in [(in_use, 0xffff_c900_0000_0000u64), (given_back, 0xffff_c900_0001_0000)] {
            memory.put64(area, start);
            memory.put64(area + 8, start + 0x3000);
            memory.put(area + 0x10, &[0; 0x20]);
        }
        let symbols = format!("SYMBOL(vmap_area_root)={busy:x}\nSYMBOL(purge_vmap_area_root)={lazy:x}\n");
        let members = [
            ("vmap_area", "va_start", 0, 8),
            ("vmap_area", "va_end", 8, 8),
            ("vmap_area", "rb_node", 0x10, 8),
            ("rb_node", "rb_right", 8, 8),
            ("rb_node", "rb_left", 0x10, 8),
        ];
        let kernel = memory.kernel_with(&symbols, &members);
        let found = |at: u64| kernel.vmalloc_area(VirtAddr(at)).map(|area| (area.start.0, area.size, area.freed));
        assert_eq!(found(0xffff_c900_0000_1000), Some((0xffff_c900_0000_0000, 0x3000, false)));
        assert_eq!(found(0xffff_c900_0001_0010), Some((0xffff_c900_0001_0000, 0x3000, true)));
        assert_eq!(found(0xffff_c900_0002_0000), None);
        let told = |at: u64| {
            let what = kernel.what(VirtAddr(at));
            (what.kind(), what.summary())
        };
        assert_eq!(told(0xffff_c900_0001_0010).0, "vmalloc-freed");
        let (kind, summary) = told(0xffff_c900_0000_2800);
        assert!(kind == "vmalloc-guard" && summary.contains("beyond its end"), "{kind} {summary}");
    }
}
