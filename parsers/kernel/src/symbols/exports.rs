//! Exported symbols: the `__ksymtab` table, for kernels whose kallsyms has functions only (no
//! CONFIG_KALLSYMS_ALL), as Debian's for arm64 up to 6.1.
//!
//! Nothing tells where the table is, so it is found by one of its names: the text `init_task` in the image, the
//! place-relative word that points at it, and the run of entries around that word.

use std::ops::Range;

use super::{Table, scan};
use crate::{Kernel, VirtAddr};

/// Image bytes searched, from `_stext` on.
const IMAGE: u64 = 64 << 20;
/// More exports than any kernel has (13,248 in 7.3).
const MAX_ENTRIES: u64 = 100_000;
/// Value, name, namespace since cb9b55d21fe0 "modpost: add support for symbol namespaces" (v5.4); value and name
/// from 7290d5809571 "module: use relative references for __ksymtab entries" (v4.19) on.
const WIDTHS: [u64; 2] = [12, 8];
const SEEDS: [&str; 3] = ["init_task", "jiffies", "kfree"];

pub(super) fn read(kernel: &Kernel<'_>) -> Option<Table> {
    let start = kernel.vmcoreinfo().symbol("_stext")? & !4095;
    let parts = kernel.image_without_code(start, IMAGE);
    for seed in SEEDS {
        let mut texts = Vec::new();
        // Names are tail-merged, so what stands before the text says nothing.
        search_text(kernel, &parts, seed, &mut texts);
        for entry in references(kernel, &parts, &texts) {
            for width in WIDTHS {
                if let Some(table) = table(kernel, entry, width, seed) {
                    return Some(table);
                }
            }
        }
    }
    None
}

fn search_text(kernel: &Kernel<'_>, parts: &[Range<u64>], name: &str, found: &mut Vec<u64>) {
    let mut needle = name.as_bytes().to_vec();
    needle.push(0);
    scan::search(kernel, parts, &needle, |at| {
        found.push(at);
        found.len() < 64
    });
}

/// Entries whose second word points at one of the texts.
fn references(kernel: &Kernel<'_>, parts: &[Range<u64>], texts: &[u64]) -> Vec<u64> {
    let mut found = Vec::new();
    if texts.is_empty() {
        return found;
    }
    let mut page = vec![0u8; 4096];
    for at in parts.iter().cloned().flat_map(|part| part.step_by(4096)) {
        if found.len() >= 256 {
            break;
        }
        if kernel.read(VirtAddr(at), &mut page).is_ok() {
            for (nth, word) in page.as_chunks::<4>().0.iter().enumerate() {
                let here = at + nth as u64 * 4;
                let target = here.wrapping_add(i64::from(i32::from_le_bytes(*word)) as u64);
                if texts.contains(&target) {
                    found.push(here - 4);
                }
            }
        }
    }
    found
}

/// One entry: its value and name, if it can be one.
fn entry(kernel: &Kernel<'_>, at: u64) -> Option<(u64, String)> {
    let word = |at: u64| {
        let offset = kernel.u32(VirtAddr(at)).ok()? as i32;
        (offset != 0).then(|| at.wrapping_add(i64::from(offset) as u64))
    };
    let value = word(at)?;
    let name = kernel.cstr(VirtAddr(word(at + 4)?), 512).ok()?;
    let fits = name.len() > 1
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'.' || b == b'$')
        && !name.starts_with(|c: char| c.is_ascii_digit());
    fits.then_some((value, name))
}

fn table(kernel: &Kernel<'_>, seed: u64, width: u64, name: &str) -> Option<Table> {
    if entry(kernel, seed)?.1 != name {
        return None;
    }
    let mut entries = Vec::new();
    for (from, step) in [(seed, width), (seed.wrapping_sub(width), 0u64.wrapping_sub(width))] {
        let mut at = from;
        for _ in 0..MAX_ENTRIES {
            let Some(found) = entry(kernel, at) else { break };
            entries.push(found);
            at = at.wrapping_add(step);
        }
    }
    // A lone match is chance; the neighbours prove it.
    if entries.len() < 100 {
        return None;
    }
    let mut table = Table::default();
    for (value, name) in entries {
        table.push(value, 0, b'D', &name);
    }
    Some(table.finish())
}
