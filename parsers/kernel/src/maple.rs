//! Maple trees: ranges of indexes, each with an entry (since d4af56c5c7c6 "mm: start tracking VMAs with maple tree",
//! v6.1).

use std::collections::HashSet;

use facts::Gap;

use crate::{Kernel, VirtAddr, Walk};

const MAX_NODES: usize = 1 << 20;
/// The kernel's own bound, `MAPLE_HEIGHT_MAX`.
const MAX_DEPTH: u32 = 31;
/// Types of nodes in bits 3 to 6 of the pointer (`enum maple_type`).
const LEAF_64: u64 = 1;
const RANGE_64: u64 = 2;
const ARANGE_64: u64 = 3;

impl Kernel<'_> {
    /// The first index and the entry of each range of a `struct maple_tree`, by index, at most `limit`.
    pub(crate) fn maple_tree(&self, tree: VirtAddr, limit: usize, what: &str) -> Walk<(u64, u64)> {
        let types = self.types();
        let gap = |why: &str| Gap::new(what, format!("struct maple_tree at {tree}"), why, "");
        let layout = |name: &str| types.member(name, "pivot").zip(types.member(name, "slot"));
        let (Some(root), Some(range), Some(arange)) =
            (self.value(tree, "maple_tree", "ma_root"), layout("maple_range_64"), layout("maple_arange_64"))
        else {
            return Walk::gap(gap("it or its layout cannot be read"));
        };
        let is_node = |entry: u64| entry & 3 == 2 && entry > 4096;
        let mut walk = Walk::default();
        if !is_node(root) {
            if root != 0 {
                walk.items.push((0, root));
            }
            return walk;
        }
        let mut seen = HashSet::new();
        let mut stack = vec![(root, 0u64, u64::MAX, 0u32)];
        while let Some((entry, min, max, depth)) = stack.pop() {
            let (node, kind) = (VirtAddr(entry & !0xff), entry >> 3 & 15);
            let (pivots, slots) = if kind == ARANGE_64 { &arange } else { &range };
            let known = matches!(kind, LEAF_64 | RANGE_64 | ARANGE_64);
            if !known || depth > MAX_DEPTH || seen.len() >= MAX_NODES || !seen.insert(node.0) {
                walk.gaps.push(Gap::new(what, format!("maple node {node}"), "the tree is damaged there", ""));
                continue;
            }
            let Ok(bytes) = self.bytes(node, 256) else {
                walk.gaps.push(Gap::new(what, format!("maple node {node}"), "it is absent", ""));
                continue;
            };
            let word = |offset: u64, nth: u64| {
                let at = usize::try_from(offset + nth * 8).ok()?;
                bytes.get(at..)?.first_chunk::<8>().map(|word| u64::from_le_bytes(*word))
            };
            let (mut low, mut children) = (min, Vec::new());
            for nth in 0..slots.size / 8 {
                // A pivot of zero behind the first ends the node.
                let pivot = (nth < pivots.size / 8).then(|| word(pivots.offset, nth)).flatten();
                let high = pivot.filter(|pivot| nth == 0 || *pivot != 0).unwrap_or(max).min(max);
                match word(slots.offset, nth).unwrap_or(0) {
                    0 => {}
                    child if kind != LEAF_64 => children.push((child, low, high, depth + 1)),
                    entry if entry & 3 == 0 => walk.items.push((low, entry)),
                    _ => {}
                }
                if high >= max || high < low {
                    break;
                }
                low = high + 1;
            }
            if walk.items.len() >= limit {
                walk.gaps.push(gap("it has too many entries"));
                break;
            }
            stack.extend(children.into_iter().rev());
        }
        walk
    }
}

#[cfg(test)]
mod tests {
    use super::{LEAF_64, RANGE_64};
    use crate::VirtAddr;
    use crate::synthetic::{BASE, Memory};

    #[test]
    fn a_node_that_is_its_own_child_is_read_once() {
        let memory = Memory::new();
        let (tree, node, leaf, entry) = (BASE + 0x2_0000, BASE + 0x2_1000, BASE + 0x2_2000, BASE + 0x5_0000);
        let pointer = |node: u64, kind: u64| node | kind << 3 | 2;
        memory.put64(tree, pointer(node, RANGE_64));
        // Pivots 9 and 19; the children are a leaf and the node itself.
        memory.put64(node + 8, 9);
        memory.put64(node + 16, 19);
        memory.put64(node + 128, pointer(leaf, LEAF_64));
        memory.put64(node + 136, pointer(node, RANGE_64));
        memory.put64(leaf + 128, entry);
        let layout = |name| [(name, "pivot", 8, 120), (name, "slot", 128, 128)];
        let [[a, b], [c, d]] = [layout("maple_range_64"), layout("maple_arange_64")];
        let kernel = memory.kernel_with("", &[("maple_tree", "ma_root", 0, 8), a, b, c, d]);
        let walk = kernel.maple_tree(VirtAddr(tree), 100, "test");
        assert_eq!((walk.items, walk.gaps.len()), (vec![(0, entry)], 1));
    }
}
