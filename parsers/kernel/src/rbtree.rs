//! Red-black trees.

use std::collections::HashSet;

use facts::Gap;

use crate::{Kernel, VirtAddr, Walk};

/// `rb_right` and `rb_left` follow the parent's word, in all releases.
const RIGHT: u64 = 8;
const LEFT: u64 = 16;

impl Kernel<'_> {
    /// The nodes below `root` in their order, at most `limit`. A node that cannot be read, or comes twice, is a gap.
    pub(crate) fn rb_tree(&self, root: Option<VirtAddr>, limit: usize, what: &str) -> Walk<VirtAddr> {
        let mut walk = Walk::default();
        let mut seen = HashSet::new();
        let mut above: Vec<VirtAddr> = Vec::new();
        let mut next = root;
        loop {
            while let Some(node) = next {
                if !seen.insert(node.0) || seen.len() > limit {
                    let why = format!("the tree is damaged there, or has more than {limit} nodes");
                    walk.gaps.push(Gap::new(what, format!("node {node}"), why, ""));
                    return walk;
                }
                above.push(node);
                next = match self.ptr(node + LEFT) {
                    Ok(left) => Some(left).filter(|left| left.0 != 0),
                    Err(error) => {
                        walk.gaps.push(Gap::new(what, format!("node {node}"), error.to_string(), ""));
                        None
                    }
                };
            }
            let Some(node) = above.pop() else { return walk };
            let Ok(right) = self.ptr(node + RIGHT) else { continue };
            walk.items.push(node);
            next = Some(right).filter(|right| right.0 != 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::VirtAddr;
    use crate::synthetic::{BASE, Memory};

    #[test]
    fn nodes_come_in_order_and_a_cycle_ends_in_a_gap() {
        let memory = Memory::new();
        let (one, two, three) = (BASE + 0x10_0000, BASE + 0x10_0100, BASE + 0x10_0200);
        for (at, left, right) in [(two, one, three), (one, 0, 0), (three, 0, 0)] {
            memory.put64(at + 8, right);
            memory.put64(at + 16, left);
        }
        let kernel = memory.kernel("");
        let walk = kernel.rb_tree(Some(VirtAddr(two)), 10, "test");
        assert_eq!(walk.items, [VirtAddr(one), VirtAddr(two), VirtAddr(three)]);
        assert!(walk.gaps.is_empty());
        memory.put64(three + 8, two);
        let walk = kernel.rb_tree(Some(VirtAddr(two)), 10, "test");
        assert_eq!(walk.gaps.len(), 1);
    }
}
