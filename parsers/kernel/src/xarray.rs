//! XArrays, IDRs and the radix trees they grew out of.

use std::collections::HashSet;

use facts::Gap;

use crate::{Kernel, VirtAddr, Walk};

/// 64-bit indexes take at most 16 levels of 4 bits.
const MAX_DEPTH: u32 = 22;
/// More nodes than the largest tree read here has.
const MAX_NODES: usize = 1 << 20;
/// What closes a gap of layouts.
const TYPES: &str = "a vmlinux or a pack of this kernel (--vmlinux, --pack)";

impl Kernel<'_> {
    /// The entries of an xarray or idr whose root structure (`struct xarray`, `struct idr`, `struct radix_tree_root`)
    /// lies at `root`, with their indexes, at most `limit`.
    ///
    /// Since 3159f943aafd "xarray: Replace exceptional entries" (v4.20) a node's pointer has the low bits 10 and the
    /// root is `xa_head`; before, a node's has the low bits 01 and the root is `rnode`.
    pub(crate) fn xarray(&self, root: VirtAddr, structure: &str, limit: usize, what: &str) -> Walk<(u64, u64)> {
        let types = self.types();
        // Before 0a835c4f090a "Reimplement IDR and IDA using the radix tree" (v4.11) an idr has layers of its own.
        if types.member(structure, "top").is_some() && types.member("idr_layer", "ary").is_some() {
            return self.idr_layers(root, limit, what);
        }
        let prefix = if types.member(structure, "idr_rt").is_some() { "idr_rt." } else { "" };
        let (head, node_type, mark) = if types.member(structure, &format!("{prefix}xa_head")).is_some() {
            (self.value(root, structure, &format!("{prefix}xa_head")), "xa_node", 2)
        } else {
            (self.value(root, structure, &format!("{prefix}rnode")), "radix_tree_node", 1)
        };
        let Some(head) = head else {
            return Walk::gap(Gap::new(what, format!("{structure} at {root}"), "its layout is not known", TYPES));
        };
        // Before c12e51b07b3a "radix-tree: replace node->height with node->shift" (v4.7) a node knows its height, and only the
        // root's pointer is marked.
        let by_height = ["height", "path"].into_iter().find(|name| types.member(node_type, name).is_some());
        if let Some(height) = by_height.filter(|_| types.member(node_type, "shift").is_none()) {
            return self.radix_by_height(head, height, limit, what);
        }
        let mut walk = Walk::default();
        let (slots, shift) = (types.member(node_type, "slots"), types.member(node_type, "shift"));
        let is_node = |entry: u64| entry & 3 == mark && entry > 4096;
        if !is_node(head) {
            if head != 0 {
                walk.items.push((0, head));
            }
            return walk;
        }
        let (Some(slots), Some(_)) = (slots, shift) else {
            return Walk::gap(Gap::new(
                what,
                format!("{structure} at {root}"),
                "the layout of its nodes is not known",
                TYPES,
            ));
        };
        let count = (slots.size / 8).clamp(1, 256);
        let mut seen = HashSet::new();
        let mut stack = vec![(head, 0u64, 0u32)];
        while let Some((entry, index, depth)) = stack.pop() {
            if !is_node(entry) {
                if entry != 0 && entry & 3 != 2 {
                    walk.items.push((index, entry));
                    if walk.items.len() >= limit {
                        walk.gaps.push(Gap::new(
                            what,
                            format!("{structure} at {root}"),
                            format!("more than {limit} entries"),
                            "",
                        ));
                        break;
                    }
                }
                continue;
            }
            let node = VirtAddr(entry & !3);
            if depth > MAX_DEPTH || seen.len() >= MAX_NODES || !seen.insert(node.0) {
                walk.gaps.push(Gap::new(what, format!("node {node}"), "the tree is damaged there", ""));
                continue;
            }
            let Some(shift) = self.value(node, node_type, "shift").filter(|shift| *shift < 64) else {
                walk.gaps.push(Gap::new(what, format!("node {node}"), "it is absent or damaged", ""));
                continue;
            };
            for nth in (0..count).rev() {
                match self.u64(node + slots.offset + nth * 8) {
                    Ok(0) => {}
                    Ok(entry) => stack.push((entry, index | nth.checked_shl(shift as u32).unwrap_or(0), depth + 1)),
                    Err(_) => {}
                }
            }
        }
        walk
    }

    /// A radix tree whose nodes know their height, in the low bits of `path` from 3.15 on.
    fn radix_by_height(&self, head: u64, height: &str, limit: usize, what: &str) -> Walk<(u64, u64)> {
        let mut walk = Walk::default();
        let Some(slots) = self.types().member("radix_tree_node", "slots") else { return walk };
        if head & 1 == 0 {
            walk.items.extend((head != 0).then_some((0, head)));
            return walk;
        }
        let count = (slots.size / 8).clamp(1, 256);
        let bits = u64::from(count.trailing_zeros());
        let mut seen = HashSet::new();
        // A child lies lower than its parent, so that nodes in a ring end.
        let mut stack = vec![(VirtAddr(head & !1), 0u64, 12)];
        while let Some((node, base, above)) = stack.pop() {
            let level = self.value(node, "radix_tree_node", height).map(|n| n & 15);
            let level = level.filter(|n| (1..above).contains(n));
            let (Some(level), true) = (level, seen.len() < MAX_NODES && seen.insert(node.0)) else {
                walk.gaps.push(Gap::new(what, format!("node {node}"), "it is absent or damaged", ""));
                continue;
            };
            for nth in (0..count).rev() {
                let Ok(entry) = self.u64(node + slots.offset + nth * 8) else { continue };
                let index = base | nth << ((level - 1) * bits).min(56);
                match (entry, level) {
                    (0, _) => {}
                    (entry, 1) if walk.items.len() < limit => walk.items.push((index, entry)),
                    (_, 1) => {}
                    (entry, level) => stack.push((VirtAddr(entry), index, level)),
                }
            }
        }
        walk.items.sort_unstable();
        walk
    }

    fn idr_layers(&self, root: VirtAddr, limit: usize, what: &str) -> Walk<(u64, u64)> {
        let mut walk = Walk::default();
        let Some(ary) = self.types().member("idr_layer", "ary") else { return walk };
        let count = (ary.size / 8).clamp(1, 256);
        let bits = u64::from(count.trailing_zeros());
        let mut seen = HashSet::new();
        let top = self.pointer(root, "idr", "top");
        let mut stack: Vec<(u64, u64, u64)> = top.map(|top| (top.0, 0, 8)).into_iter().collect();
        while let Some((node, base, above)) = stack.pop() {
            let layer = self.value(VirtAddr(node), "idr_layer", "layer").filter(|layer| *layer < above);
            let (Some(layer), true) = (layer, seen.len() < MAX_NODES && seen.insert(node)) else {
                walk.gaps.push(Gap::new(what, format!("layer {node:#x}"), "it is absent or damaged", ""));
                continue;
            };
            for nth in (0..count).rev() {
                let Ok(entry) = self.u64(VirtAddr(node) + ary.offset + nth * 8) else { continue };
                let index = base | nth << (layer * bits).min(56);
                if entry == 0 {
                    continue;
                }
                if layer > 0 {
                    stack.push((entry, index, layer));
                } else if walk.items.len() < limit {
                    walk.items.push((index, entry));
                }
            }
        }
        walk.items.sort_unstable();
        walk
    }
}

#[cfg(test)]
mod tests {
    use crate::VirtAddr;
    use crate::synthetic::{BASE, Memory};

    const ROOT: u64 = BASE + 0x2_0000;
    const NODE: u64 = BASE + 0x2_1000;
    const ENTRY: u64 = BASE + 0x5_0000;

    #[test]
    fn a_node_that_is_its_own_child_is_read_once() {
        let memory = Memory::new();
        memory.put64(ROOT, NODE | 2);
        memory.put32(NODE, 0);
        memory.put64(NODE + 8, ENTRY);
        memory.put64(NODE + 16, NODE | 2);
        let members = [("xarray", "xa_head", 0, 8), ("xa_node", "shift", 0, 1), ("xa_node", "slots", 8, 512)];
        let kernel = memory.kernel_with("", &members);
        let walk = kernel.xarray(VirtAddr(ROOT), "xarray", 100, "test");
        assert_eq!((walk.items, walk.gaps.len()), (vec![(0, ENTRY)], 1));
        // More entries than asked for end the walk with a gap.
        for nth in 0..64 {
            memory.put64(NODE + 8 + nth * 8, ENTRY);
        }
        let kernel = memory.kernel_with("", &members);
        let walk = kernel.xarray(VirtAddr(ROOT), "xarray", 10, "test");
        assert_eq!((walk.items.len(), walk.gaps.len()), (10, 1));
    }

    #[test]
    fn a_tree_whose_nodes_know_their_height_ends_where_a_child_is_no_lower() {
        let memory = Memory::new();
        memory.put64(ROOT, NODE | 1);
        memory.put32(NODE, 2);
        memory.put64(NODE + 8, NODE);
        let members = [
            ("radix_tree_root", "rnode", 0, 8),
            ("radix_tree_node", "height", 0, 4),
            ("radix_tree_node", "slots", 8, 512),
        ];
        let kernel = memory.kernel_with("", &members);
        let walk = kernel.xarray(VirtAddr(ROOT), "radix_tree_root", 100, "test");
        assert_eq!((walk.items.len(), walk.gaps.len()), (0, 1));
    }
}
