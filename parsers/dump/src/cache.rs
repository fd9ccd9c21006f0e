//! A bounded cache of decoded pages that threads share.

use std::sync::{Arc, Mutex, PoisonError};

/// Pages per set. Four keep collisions of hot pages rare and a look-up at four comparisons.
const WAYS: usize = 4;

type Slot = Option<(u64, Arc<[u8]>)>;

/// Set-associative: the key picks a set, each set has its own lock and drops the page that
/// was used longest ago. Threads meet only when they want pages of the same set.
pub(crate) struct PageCache {
    sets: Box<[Mutex<[Slot; WAYS]>]>,
}

impl PageCache {
    /// Room for `bytes` bytes of pages of `page_size` bytes each.
    pub(crate) fn new(bytes: usize, page_size: usize) -> PageCache {
        let sets = (bytes / page_size.max(1) / WAYS).max(1);
        PageCache { sets: (0..sets).map(|_| Mutex::default()).collect() }
    }

    fn set(&self, key: u64) -> Option<&Mutex<[Slot; WAYS]>> {
        // Fibonacci hashing: keys are page frames, of which neighbours are wanted together.
        let hash = key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        self.sets.get(hash as usize % self.sets.len())
    }

    pub(crate) fn get(&self, key: u64) -> Option<Arc<[u8]>> {
        let mut set = self.set(key)?.lock().unwrap_or_else(PoisonError::into_inner);
        let at = set.iter().position(|slot| slot.as_ref().is_some_and(|(k, _)| *k == key))?;
        if let Some(front) = set.get_mut(..=at) {
            front.rotate_right(1);
        }
        let [Some((_, page)), ..] = &*set else {
            return None;
        };
        Some(page.clone())
    }

    pub(crate) fn put(&self, key: u64, page: Arc<[u8]>) {
        if let Some(set) = self.set(key) {
            let mut set = set.lock().unwrap_or_else(PoisonError::into_inner);
            set.rotate_right(1);
            let [first, ..] = &mut *set;
            *first = Some((key, page));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_used_longest_ago_goes_first() {
        let cache = PageCache::new(0, 4096);
        for key in 0..4 {
            cache.put(key, Arc::from([key as u8]));
        }
        assert!(cache.get(0).is_some());
        cache.put(9, Arc::from([9]));
        assert!(cache.get(1).is_none(), "1 was the oldest");
        assert_eq!(&*cache.get(0).unwrap(), [0]);
        assert_eq!(&*cache.get(9).unwrap(), [9]);
    }

    #[test]
    fn memory_is_bounded() {
        let cache = PageCache::new(64 * 4096, 4096);
        for key in 0..10_000u64 {
            cache.put(key * 4096, Arc::from([0u8; 8]));
        }
        let kept = (0..10_000u64).filter(|key| cache.get(key * 4096).is_some()).count();
        assert!(kept <= 64, "{kept}");
    }
}
