//! A small cache of translations that threads share without locks.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::{PhysAddr, VirtAddr};

const SLOTS: usize = 4096;

/// Direct-mapped, one slot per 4 KiB page. A slot holds the page's frame, and the page number exclusive-or the
/// frame: a slot torn between two writers fails the comparison and reads as a miss.
pub(crate) struct Tlb {
    slots: Vec<[AtomicU64; 2]>,
}

impl Tlb {
    pub(crate) fn new() -> Self {
        Tlb { slots: (0..SLOTS).map(|_| [AtomicU64::new(0), AtomicU64::new(0)]).collect() }
    }

    fn slot(&self, page: u64) -> Option<&[AtomicU64; 2]> {
        let mixed = page.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 52;
        self.slots.get(mixed as usize % SLOTS)
    }

    pub(crate) fn get(&self, at: VirtAddr) -> Option<PhysAddr> {
        let page = at.0 >> 12;
        let [check, frame] = self.slot(page)?;
        let frame = frame.load(Ordering::Relaxed);
        // Bit 0 of a frame marks a used slot: frames are multiples of 4096.
        (frame & 1 == 1 && check.load(Ordering::Relaxed) ^ frame == page)
            .then_some(PhysAddr((frame & !1) | (at.0 & 4095)))
    }

    pub(crate) fn put(&self, at: VirtAddr, phys: PhysAddr) {
        let page = at.0 >> 12;
        let value = (phys.0 & !4095) | 1;
        if let Some([check, frame]) = self.slot(page) {
            check.store(page ^ value, Ordering::Relaxed);
            frame.store(value, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_found_again_and_another_is_not() {
        let tlb = Tlb::new();
        tlb.put(VirtAddr(0xffff_8880_0000_1234), PhysAddr(0x5_6234));
        assert_eq!(tlb.get(VirtAddr(0xffff_8880_0000_1fff)), Some(PhysAddr(0x5_6fff)));
        assert_eq!(tlb.get(VirtAddr(0xffff_8880_0000_2000)), None);
        assert_eq!(tlb.get(VirtAddr(0)), None);
    }
}
