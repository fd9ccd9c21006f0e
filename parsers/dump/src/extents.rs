//! Which bytes of an address space lie where in a file.

/// `len` bytes of the address space from `start` on lie at `pos` in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extent {
    pub(crate) start: u64,
    pub(crate) len: u64,
    pub(crate) pos: u64,
}

impl Extent {
    pub(crate) fn end(&self) -> u64 {
        self.start.saturating_add(self.len)
    }
}

/// Extents sorted by start, without overlaps.
#[derive(Debug, Default)]
pub(crate) struct ExtentMap(Vec<Extent>);

impl ExtentMap {
    /// Builds the map; where extents overlap, **the later one in the list wins**.
    ///
    /// Runs in O(n log n) and yields at most 2n extents, whatever the overlaps.
    pub(crate) fn later_wins(mut list: Vec<Extent>) -> ExtentMap {
        list.retain(|extent| extent.len > 0);
        for extent in &mut list {
            extent.len = extent.end() - extent.start;
        }
        let disjoint_in_order = |list: &[Extent]| {
            list.is_sorted_by(|a, b| a.end() <= b.start) // is_sorted_by looks at neighbours only
        };
        if disjoint_in_order(&list) {
            return ExtentMap(list);
        }
        let mut order: Vec<u32> = (0..u32::try_from(list.len()).unwrap_or(u32::MAX)).collect();
        let at = |i: u32| list.get(i as usize).copied();
        order.sort_by_key(|&i| at(i).map_or(0, |extent| extent.start));
        // Sweep from low to high; `open` holds the extents that have begun, latest on top.
        let mut open = std::collections::BinaryHeap::<u32>::new();
        let mut out: Vec<Extent> = Vec::with_capacity(list.len());
        let mut next = order.iter().copied().peekable();
        let mut here = 0u64;
        loop {
            while let Some(&top) = open.peek()
                && at(top).is_none_or(|extent| extent.end() <= here)
            {
                open.pop();
            }
            let upcoming = next.peek().and_then(|&i| at(i)).map(|extent| extent.start);
            if let Some(start) = upcoming
                && start <= here
            {
                open.extend(next.next());
                continue;
            }
            let Some(extent) = open.peek().and_then(|&top| at(top)) else {
                match upcoming {
                    Some(start) => here = start,
                    None => break,
                }
                continue;
            };
            let to = upcoming.unwrap_or(u64::MAX).min(extent.end());
            let piece = Extent { start: here, len: to - here, pos: extent.pos.saturating_add(here - extent.start) };
            match out.last_mut() {
                Some(last) if last.end() == piece.start && last.pos.checked_add(last.len) == Some(piece.pos) => {
                    last.len += piece.len;
                }
                _ => out.push(piece),
            }
            here = to;
        }
        ExtentMap(out)
    }

    /// The extents that hold bytes at or after `start`, in order.
    pub(crate) fn from(&self, start: u64) -> &[Extent] {
        let first = self.0.partition_point(|extent| extent.end() <= start);
        self.0.get(first..).unwrap_or_default()
    }

    /// The extent that covers `at`.
    pub(crate) fn covering(&self, at: u64) -> Option<Extent> {
        self.from(at).first().copied().filter(|extent| extent.start <= at)
    }

    /// End of the last extent.
    pub(crate) fn end(&self) -> u64 {
        self.0.last().map_or(0, Extent::end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn extent(start: u64, len: u64, pos: u64) -> Extent {
        Extent { start, len, pos }
    }

    #[test]
    fn a_later_extent_splits_what_it_covers() {
        let map = ExtentMap::later_wins(vec![extent(0, 100, 1000), extent(40, 10, 5000)]);
        assert_eq!(map.0, [extent(0, 40, 1000), extent(40, 10, 5000), extent(50, 50, 1050)]);
    }

    proptest! {
        #[test]
        fn overlaps_resolve_as_if_written_byte_by_byte(
            list in proptest::collection::vec((0u64..64, 0u64..20), 0..12)
        ) {
            let list: Vec<Extent> = list.iter().enumerate()
                .map(|(i, &(start, len))| extent(start, len, 1000 * (i as u64 + 1))).collect();
            let mut model = [None; 96];
            for e in &list {
                for i in 0..e.len {
                    model[(e.start + i) as usize] = Some(e.pos + i);
                }
            }
            let map = ExtentMap::later_wins(list);
            for (at, want) in model.iter().enumerate() {
                let got = map.covering(at as u64).map(|e| e.pos + (at as u64 - e.start));
                prop_assert_eq!(got, *want);
            }
            prop_assert!(map.0.windows(2).all(|w| w[0].end() <= w[1].start));
        }
    }
}
