//! `mem`: where the memory is.

use facts::Gap;
use kernel::{Kernel, MemoryHolder, MemoryLine};
use serde::Serialize;

use super::CacheRow;

/// Slab caches shown, the largest ones.
const MAX_CACHES: usize = 10;

/// Where the memory is.
#[derive(Clone, Debug, Serialize)]
pub struct MemoryView {
    /// The total first, then its parts, then what parts contain.
    pub lines: Vec<MemoryLine>,
    /// Total less all parts, bytes. Negative when pages are counted twice.
    pub unaccounted: Option<i64>,
    /// The largest slab caches.
    pub largest_caches: Vec<CacheRow>,
    /// Who holds a hundredth or more of it: callers of vmalloc, files of tmpfs and shared memory.
    pub holders: Vec<MemoryHolder>,
    /// What could not be read.
    pub gaps: Vec<Gap>,
}

/// The memory overview.
pub fn memory(kernel: &Kernel<'_>) -> MemoryView {
    let overview = kernel.memory_overview();
    let mut gaps = overview.gaps;
    let mut largest_caches = Vec::new();
    if let Ok(mut slab) = super::slab(kernel, None) {
        slab.caches.truncate(MAX_CACHES);
        largest_caches = slab.caches;
        gaps.extend(slab.gaps);
    }
    let holders = kernel.memory_holders();
    gaps.extend(holders.gaps);
    let mut lines = overview.lines;
    lines.sort_by_key(|line| line.share as u8);
    MemoryView { lines, unaccounted: overview.unaccounted, largest_caches, holders: holders.items, gaps }
}
