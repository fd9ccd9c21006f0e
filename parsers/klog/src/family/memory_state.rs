//! The tables of memory that OOM kills and failed page allocations print.

use crate::cursor::has;

/// Is this a line of the memory tables (`Mem-Info:` and what follows)?
pub(super) fn is_table_line(text: &str) -> bool {
    if text.is_empty() {
        return false;
    }
    if let Some(rest) = text.strip_prefix("Node ") {
        return rest.starts_with(|c: char| c.is_ascii_digit());
    }
    const HEADS: &[&str] = &[
        "Mem-Info:",
        "active_anon:",
        "active_file:",
        "unevictable:",
        "slab_reclaimable:",
        "mapped:",
        "kernel_misc_reclaimable:",
        "free:",
        "sec_pagetables:",
        "lowmem_reserve[]",
        "Free swap",
        "Total swap",
        "Swap cache stats",
        "DMA",
        "Normal",
        "HighMem",
        "Unreclaimable slab info",
        "Name   ",
        "CPU ",
        "active:",
        "Tasks state",
        "[ pid ]",
        "[  pid  ]",
        "Memory allocations:",
        "Mem-info:",
    ];
    if HEADS.iter().any(|head| text.starts_with(head)) {
        return !text.starts_with("CPU ") || has(text, "hi:");
    }
    const TAILS: &[&str] = &[
        "total pagecache pages",
        "pages in swap cache",
        "pages RAM",
        "pages reserved",
        "pages HighMem/MovableOnly",
        "pages cma reserved",
        "pages hwpoisoned",
        "pages in pagetable cache",
        "pages non-shared",
        "pages shared",
        "pages slab",
        "pages of RAM",
    ];
    text.starts_with(|c: char| c.is_ascii_digit()) && TAILS.iter().any(|tail| text.ends_with(tail))
}
