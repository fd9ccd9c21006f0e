//! Exported symbols: the `__ksymtab` table, for kernels whose kallsyms has functions only (no
//! CONFIG_KALLSYMS_ALL), as Debian's for arm64 up to 6.1.
//!
//! Nothing tells where the table is, so it is found by one of its names: the text `init_task` in the image, the
//! place-relative word that points at it, and the run of entries around that word.

use std::collections::HashMap;
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
/// Longest name.
const MAX_NAME: usize = 512;
/// Texts that are tried, and words that seem to point at one of them.
const MAX_TEXTS: usize = 64;
const MAX_CANDIDATES: usize = 256;
/// Bytes that are read at once; those of no table cross the end of a page.
const PAGE: u64 = 4096;
const SEEDS: [&str; 3] = ["init_task", "jiffies", "kfree"];

/// The names lie behind the entries (`__ksymtab_strings` in `RO_DATA`, include/asm-generic/vmlinux.lds.h), of which there
/// are at most some 200 KB.
const NEAR: u64 = 1 << 20;

pub(super) fn read(kernel: &Kernel<'_>) -> Option<Table> {
    let start = kernel.vmcoreinfo().symbol("_stext")? & !4095;
    let parts = kernel.image_without_code(start, IMAGE);
    SEEDS.iter().find_map(|seed| read_by(&mut Pages { kernel, kept: HashMap::new() }, &parts, seed))
}

/// The table that has an entry of this name.
fn read_by(pages: &mut Pages<'_>, parts: &[Range<u64>], seed: &str) -> Option<Table> {
    // Names are tail-merged, so what stands before the text says nothing.
    let needle = format!("{seed}\0");
    let mut texts = Vec::new();
    let mut found = None;
    scan::search(pages.kernel, parts, needle.as_bytes(), |at| {
        let below = at.saturating_sub(NEAR) & !4095;
        found = table_of(pages, below..at, &[at], seed);
        texts.push(at);
        found.is_none() && texts.len() < MAX_TEXTS
    });
    // Somewhere else, in an image whose parts lie otherwise.
    found.or_else(|| parts.iter().find_map(|part| table_of(pages, part.clone(), &texts, seed)))
}

/// The table around an entry in a part of the image that names one of the texts.
fn table_of(pages: &mut Pages<'_>, part: Range<u64>, texts: &[u64], seed: &str) -> Option<Table> {
    let mut candidates = 0;
    for at in part.step_by(PAGE as usize) {
        for entry in references(pages, at, texts) {
            candidates += 1;
            if candidates > MAX_CANDIDATES {
                return None;
            }
            if let Some(table) = WIDTHS.iter().find_map(|width| table(pages, entry, *width, seed)) {
                return Some(table);
            }
        }
    }
    None
}

/// Entries on a page whose second word points at one of the texts.
fn references(pages: &mut Pages<'_>, page: u64, texts: &[u64]) -> Vec<u64> {
    let mut found = Vec::new();
    let mut bytes = [0; PAGE as usize];
    // Pages of a whole image are not kept.
    if pages.kernel.read(VirtAddr(page), &mut bytes).is_err() {
        return found;
    }
    for text in texts {
        // What the first word of the page would have to be; the next one is less by its distance.
        let wanted = text.wrapping_sub(page) as u32;
        let words = || bytes.as_chunks::<4>().0.iter().zip((0u32..).step_by(4));
        let points = |(word, at): (&[u8; 4], u32)| u32::from_le_bytes(*word).wrapping_add(at) == wanted;
        // Without a branch the compiler compares many at once.
        if words().fold(false, |any, word| any | points(word)) {
            let near = |at: &u64| i32::try_from(text.wrapping_sub(*at) as i64).is_ok();
            let places = words().filter(|word| points(*word)).map(|(_, at)| page + u64::from(at));
            found.extend(places.filter(near).map(|at| at.wrapping_sub(4)));
        }
    }
    found
}

/// Pages of tables that are read word by word.
struct Pages<'k> {
    kernel: &'k Kernel<'k>,
    /// `None` for one that is not in the dump.
    kept: HashMap<u64, Option<Box<[u8]>>>,
}

impl Pages<'_> {
    /// The bytes from `at` to the end of its page.
    fn from(&mut self, at: u64) -> Option<&[u8]> {
        let kernel = self.kernel;
        let read = |page: u64| kernel.bytes(VirtAddr(page), PAGE as usize).ok().map(Vec::into_boxed_slice);
        let page = at & !(PAGE - 1);
        self.kept.entry(page).or_insert_with(|| read(page)).as_deref()?.get((at - page) as usize..)
    }

    /// Where a place-relative word points.
    fn target(&mut self, at: u64) -> Option<u64> {
        let offset = i32::from_le_bytes(*self.from(at)?.first_chunk()?);
        (offset != 0).then(|| at.wrapping_add(i64::from(offset) as u64))
    }

    fn name(&mut self, at: u64) -> Option<String> {
        let mut name = Vec::new();
        while name.len() <= MAX_NAME {
            let bytes = self.from(at.wrapping_add(name.len() as u64))?;
            let end = memchr::memchr(0, bytes);
            name.extend_from_slice(&bytes[..end.unwrap_or(bytes.len())]);
            if end.is_some() {
                return String::from_utf8(name).ok();
            }
        }
        None
    }
}

/// One entry: its value and name, if it can be one.
fn entry(pages: &mut Pages<'_>, at: u64) -> Option<(u64, String)> {
    let value = pages.target(at)?;
    let name = pages.target(at.wrapping_add(4))?;
    let name = pages.name(name)?;
    let fits = (2..=MAX_NAME).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'.' || b == b'$')
        && !name.starts_with(|c: char| c.is_ascii_digit());
    fits.then_some((value, name))
}

fn table(pages: &mut Pages<'_>, seed: u64, width: u64, name: &str) -> Option<Table> {
    if entry(pages, seed)?.1 != name {
        return None;
    }
    let mut entries = Vec::new();
    for (from, step) in [(seed, width), (seed.wrapping_sub(width), 0u64.wrapping_sub(width))] {
        let mut at = from;
        for _ in 0..MAX_ENTRIES {
            let Some(found) = entry(pages, at) else { break };
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
