//! Finds the kallsyms tables in the kernel image of dumps whose VMCOREINFO does not tell where they are.
//!
//! Anchor is the token table: digits always stand for themselves in it, so `"0\0" "1\0" ... "9\0"` occurs there.
//! From it the index is found, then the markers, the names (whose lengths must hit every marker: that walk is the
//! proof), and the addresses.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use facts::Gap;

use super::kallsyms::{MAX_NAMES, MAX_SYMBOLS, Places, Values, read_some};
use super::packed::name_len;
use crate::{Kernel, VirtAddr};

/// Image bytes searched, from `_stext` on: the largest images have about 60 MiB.
const IMAGE: u64 = 96 << 20;
const SECTION: u64 = 64 << 10;
const CHUNK: u64 = 1 << 20;
/// Token tables have 900 to 1200 bytes.
const MAX_TABLE: u64 = 2048;
/// Bytes of names read and walked in search of their start: the names of the largest kernels have 3 MB.
const MAX_WALKED: u64 = 512 << 20;
/// Bytes of an image that are searched for others; the largest have some 100 MiB.
const MAX_SEARCHED: u64 = 128 << 20;
const DIGITS: &[u8] = b"0\x001\x002\x003\x004\x005\x006\x007\x008\x009\x00";

impl Kernel<'_> {
    /// The parts of the kernel image in which no code can be run: the tables of symbols lie there. The whole of it where
    /// the page tables do not tell them apart, as before they were made strict in boot.
    pub(crate) fn image_without_code(&self, start: u64, len: u64) -> Vec<Range<u64>> {
        let end = start.saturating_add(len);
        let Some(space) = &self.space else { return std::iter::once(start..end).collect() };
        let mut parts: Vec<Range<u64>> = Vec::new();
        let mut code = false;
        // Sections of different rights begin at multiples of 64 KiB on arm64, of 2 MiB on x86-64.
        for at in (start & !(SECTION - 1)..end).step_by(SECTION as usize) {
            if space.executable(VirtAddr(at), self.physical) == Some(true) {
                code = true;
                continue;
            }
            let part = at.max(start)..end.min(at + SECTION);
            match parts.last_mut().filter(|last| last.end == part.start) {
                Some(last) => last.end = part.end,
                None => parts.push(part),
            }
        }
        if code && !parts.is_empty() { parts } else { std::iter::once(start..end).collect() }
    }

    /// Whether these bytes lie in the data of the kernel image.
    pub(crate) fn image_holds(&self, needle: &[u8]) -> bool {
        let Some(start) = self.vmcoreinfo().symbol("_stext") else { return false };
        let mut there = false;
        search(self, &self.image_without_code(start & !4095, MAX_SEARCHED), needle, |_| {
            there = true;
            false
        });
        there
    }
}

/// Calls `found` with the address of every occurrence of `needle` in these parts of the kernel image.
pub(super) fn search(kernel: &Kernel<'_>, parts: &[Range<u64>], needle: &[u8], mut found: impl FnMut(u64) -> bool) {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        // Without a second thread the search does it all.
        let ahead = || parts.iter().for_each(|part| read_ahead(kernel, part.clone(), &over));
        let _ = std::thread::Builder::new().spawn_scoped(scope, ahead);
        for part in parts {
            if !search_pages(kernel, part.clone(), needle, &mut found) {
                break;
            }
        }
        over.store(true, Ordering::Relaxed);
    });
}

/// Has every other page of the image decoded ahead of a search, until there are no more or the search is over. Pages are
/// kept, so the search decodes only the others.
fn read_ahead(kernel: &Kernel<'_>, part: Range<u64>, over: &AtomicBool) {
    let mut misses = 0;
    for at in part.step_by(4096).skip(1).step_by(2) {
        misses = if kernel.u8(VirtAddr(at)).is_ok() { 0 } else { misses + 1 };
        if misses > 2048 || over.load(Ordering::Relaxed) {
            return;
        }
    }
}

/// `false` when `found` wanted no more.
fn search_pages(kernel: &Kernel<'_>, part: Range<u64>, needle: &[u8], found: &mut impl FnMut(u64) -> bool) -> bool {
    let finder = memchr::memmem::Finder::new(needle);
    let overlap = needle.len() as u64;
    let Range { start: mut at, end } = part;
    let mut misses = 0;
    while at < end {
        let (bytes, stopped) = read_some(kernel, at, (CHUNK + overlap).min(end - at));
        for hit in finder.find_iter(&bytes) {
            if !found(at + hit as u64) {
                return false;
            }
        }
        match stopped {
            None => {
                misses = 0;
                at = at.saturating_add(CHUNK);
            }
            // A hole: freed init memory, or the end of the image. 16 MiB without a page is the end.
            Some(_) => {
                misses = if bytes.is_empty() { misses + 1 } else { 0 };
                if misses > 4096 {
                    return true;
                }
                at = (at + bytes.len() as u64 + 4096) & !4095;
            }
        }
    }
    true
}

/// Where the tables may lie; several for the address table, which only a self-check can tell apart.
pub(super) fn find(kernel: &Kernel<'_>) -> Vec<Places> {
    let Some(start) = kernel.vmcoreinfo().symbol("_stext").or_else(|| kernel.vmcoreinfo().symbol("_text")) else {
        return Vec::new();
    };
    let start = start & !4095;
    let parts = kernel.image_without_code(start, IMAGE);
    let whole = start..start.saturating_add(IMAGE);
    match find_in(kernel, &parts) {
        found if found.is_empty() && parts != [whole.clone()] => find_in(kernel, std::slice::from_ref(&whole)),
        found => found,
    }
}

fn find_in(kernel: &Kernel<'_>, parts: &[Range<u64>]) -> Vec<Places> {
    let mut hits = Vec::new();
    search(kernel, parts, DIGITS, |at| {
        hits.push(at);
        hits.len() < 64
    });
    let mut left = MAX_WALKED;
    for hit in hits {
        if let Some((token_table, token_index)) = tokens(kernel, hit)
            && let Some((num_at, names, count)) = names(kernel, token_table, &mut left)
        {
            let values = values(kernel, num_at, count, token_index);
            return values
                .into_iter()
                .map(|values| Places { names, count, token_table, token_index, values })
                .collect();
        }
        if left == 0 {
            kernel.gap(Gap::new(
                "kernel symbols",
                format!("tables before {hit:#x}"),
                "the search for their start came to its bound",
                "a vmlinux or System.map of this kernel (--vmlinux, --system-map)",
            ));
            break;
        }
    }
    Vec::new()
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk::<2>().map(|b| u16::from_le_bytes(*b))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk::<4>().map(|b| u32::from_le_bytes(*b))
}

/// Addresses of the token table and its index around a run of digits.
fn tokens(kernel: &Kernel<'_>, hit: u64) -> Option<(u64, u64)> {
    let (bytes, _) = read_some(kernel, hit, MAX_TABLE + 512 + 1536);
    // The index is two-byte aligned; the hit may be odd.
    let first = (hit & 1) as usize;
    for at in (first..bytes.len().saturating_sub(511)).step_by(2) {
        if u16_at(&bytes, at) != Some(0) || u16_at(&bytes, at + 2).is_none_or(|n| n == 0 || n > 64) {
            continue;
        }
        let index: Vec<u16> = (0..256).filter_map(|n| u16_at(&bytes, at + 2 * n)).collect();
        let ascending = index.iter().zip(index.iter().skip(1)).all(|(a, b)| a < b);
        if index.len() != 256 || !ascending || index.last().is_some_and(|n| u64::from(*n) >= MAX_TABLE) {
            continue;
        }
        let token_table = hit.checked_sub(u64::from(*index.get(usize::from(b'0'))?))?;
        let token_index = hit + at as u64;
        // The last token ends right before the index, up to alignment.
        let last = token_table + u64::from(*index.last()?);
        if last < token_index && token_index - last < 128 {
            return Some((token_table, token_index));
        }
    }
    None
}

/// Address of `kallsyms_num_syms` and of the names, and the number of symbols. `left` is what may yet be read and walked.
fn names(kernel: &Kernel<'_>, token_table: u64, left: &mut u64) -> Option<(u64, u64, u32)> {
    // Markers go back from the token table to a 0. 80ffbaa5b1bd "kallsyms: reduce size a little on 64-bit" (v4.20)
    // made them 4 bytes wide.
    const BACK: u64 = 160 << 10;
    let end = token_table & !3;
    let before = read_back(kernel, end, BACK);
    for width in [4usize, 8] {
        let Some(markers) = markers(&before, width) else { continue };
        let at = end - markers.len() as u64 * width as u64 - markers.padding;
        let last = u64::from(*markers.values.last()?);
        let blocks = markers.values.len() as u32;
        // The last block has at most 256 names of at most 128 tokens, most far shorter.
        let low = at.checked_sub(last + 40 * 1024)? & !7;
        let Some(after) = left.checked_sub(at - low).filter(|_| last <= MAX_NAMES) else {
            *left = if last <= MAX_NAMES { 0 } else { *left };
            continue;
        };
        *left = after;
        let (bytes, _) = read_some(kernel, low, at - low);
        if bytes.len() as u64 != at - low {
            continue;
        }
        for pos in (0..bytes.len().saturating_sub(last as usize)).step_by(4) {
            let Some(count) = u32_at(&bytes, pos) else { break };
            if count.div_ceil(256) != blocks || count > MAX_SYMBOLS {
                continue;
            }
            for gap in [8usize, 4] {
                let names = bytes.get(pos + gap..).unwrap_or_default();
                if walks(names, count, &markers.values, left) {
                    return Some((low + pos as u64, low + (pos + gap) as u64, count));
                }
            }
        }
    }
    None
}

struct Markers {
    values: Vec<u32>,
    padding: u64,
}

impl Markers {
    fn len(&self) -> usize {
        self.values.len()
    }
}

/// The bytes before `end`, as many as there are without a hole.
fn read_back(kernel: &Kernel<'_>, end: u64, len: u64) -> Vec<u8> {
    let mut start = end.saturating_sub(len);
    loop {
        let (bytes, stopped) = read_some(kernel, start, end - start);
        if stopped.is_none() || start >= end {
            return bytes;
        }
        start = (start + bytes.len() as u64 + 4096) & !4095;
    }
}

fn markers(before: &[u8], width: usize) -> Option<Markers> {
    let mut values: Vec<u32> = Vec::new();
    let mut padding = 0u64;
    let mut at = before.len();
    loop {
        at = at.checked_sub(width)?;
        let value = match width {
            4 => u64::from(u32_at(before, at)?),
            _ => before.get(at..)?.first_chunk::<8>().map(|b| u64::from_le_bytes(*b))?,
        };
        let value = u32::try_from(value).ok()?;
        match values.last() {
            None if value == 0 => {
                // Alignment behind the last marker.
                padding += width as u64;
                if padding > 8 {
                    return None;
                }
                continue;
            }
            None => {}
            Some(later) if value < *later && later - value < 60_000 => {}
            Some(_) => return None,
        }
        values.push(value);
        if value == 0 {
            break;
        }
    }
    values.reverse();
    (values.len() > 8).then_some(Markers { values, padding })
}

/// Whether `count` names starting here hit every marker. What is walked is taken from `left`.
fn walks(names: &[u8], count: u32, markers: &[u32], left: &mut u64) -> bool {
    let mut rest = names;
    for index in 0..count {
        if index % 256 == 0 {
            let at = names.len() - rest.len();
            if markers.get(index as usize / 256).is_none_or(|marker| *marker as usize != at) {
                return false;
            }
        }
        let Some((len, after)) = name_len(rest) else { return false };
        if len == 0 {
            return false;
        }
        let Some(after) = after.get(len..) else { return false };
        let Some(less) = left.checked_sub((rest.len() - after.len()) as u64) else {
            *left = 0;
            return false;
        };
        *left = less;
        rest = after;
    }
    true
}

/// Address tables in every order that a release had.
fn values(kernel: &Kernel<'_>, num_at: u64, count: u32, token_index: u64) -> Vec<Values> {
    let align = |n: u64, to: u64| n.next_multiple_of(to);
    let offsets = u64::from(count) * 4;
    let mut candidates = Vec::new();
    // 4.6 to 6.3: offsets, relative_base, num_syms.
    let base_at = num_at.wrapping_sub(8);
    if let Ok(base) = kernel.u64(VirtAddr(base_at)) {
        candidates.push(Values::Offsets { at: base_at.wrapping_sub(align(offsets, 8)), base: Some(base) });
    }
    // Before 4.6: addresses, num_syms.
    candidates.push(Values::Absolute { at: num_at.wrapping_sub(u64::from(count) * 8) });
    // 404bad70fcf7 "kallsyms: change the output order of kallsyms tables", v6.4: behind the token index.
    let at = align(token_index + 512, 8);
    if let Ok(base) = kernel.u64(VirtAddr(at + align(offsets, 8))) {
        candidates.push(Values::Offsets { at, base: Some(base) });
    }
    // a081b5789255, v7.0: no base, four-byte alignment.
    candidates.push(Values::Offsets { at: align(token_index + 512, 4), base: None });
    candidates
}

#[cfg(test)]
mod tests {
    use super::walks;

    #[test]
    fn names_that_are_walked_are_taken_from_the_budget() {
        // 300 names of two bytes with their length before them.
        let names: Vec<u8> = (0..300).flat_map(|_| [2, 1, 1]).collect();
        let markers = [0, 256 * 3];
        let mut left = 900;
        assert!(walks(&names, 300, &markers, &mut left));
        assert_eq!(left, 0);
        // The next candidate finds nothing left.
        assert!(!walks(&names, 300, &markers, &mut left));
        let mut left = 899;
        assert!(!walks(&names, 300, &markers, &mut left));
        assert_eq!(left, 0);
        // A marker that names do not hit costs what was walked until then.
        let mut left = 900;
        assert!(!walks(&names, 300, &[0, 700], &mut left));
        assert_eq!(left, 900 - 256 * 3);
    }
}
