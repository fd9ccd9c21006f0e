//! Finding VMCOREINFO in memory, for dumps without its note.

use crate::address::{self, PhysAddr};
use crate::{Dump, Why};

/// The first key of the text in every kernel since 2.6.24.
const FIRST_KEY: &[u8] = b"OSRELEASE=";
/// The kernel's buffer is one page; makedumpfile's and QEMU's copies are no longer.
const MAX_TEXT: usize = 64 << 10;
/// Copies that are reported. Two are usual: the buffer and the note made from it.
const MAX_FOUND: usize = 16;
/// Places with the first key that are looked at. Real memory has a few dozen.
const MAX_CANDIDATES: usize = 4096;

/// A VMCOREINFO text found in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundVmcoreinfo {
    /// Where the text begins.
    pub at: PhysAddr,
    /// The text, as far as it is in the dump.
    pub text: String,
}

impl FoundVmcoreinfo {
    /// The value of a key such as `OSRELEASE`.
    pub fn get(&self, key: &str) -> Option<&str> {
        value(&self.text, key)
    }
}

/// The value of a key in a VMCOREINFO text.
pub(crate) fn value<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='))
}

/// Searches all pages, in order of addresses, and stops after `limit` texts.
pub(crate) fn find(dump: &Dump, limit: usize) -> Vec<FoundVmcoreinfo> {
    let finder = memchr::memmem::Finder::new(FIRST_KEY);
    let page_size = dump.page_size();
    let limit = limit.min(MAX_FOUND);
    let mut found = Vec::new();
    // The end of the page before, so that a key across two pages is seen.
    let mut window = Vec::with_capacity(page_size + FIRST_KEY.len());
    let mut next_pfn = None;
    let mut candidates = 0;
    for pfn in dump.ranges().flatten() {
        let Ok(page) = dump.page(pfn) else { continue };
        let start = address::of_page(pfn, page_size).0;
        let keep = match next_pfn {
            Some(next) if next == pfn => (FIRST_KEY.len() - 1).min(window.len()),
            _ => 0,
        };
        let tail = window.len() - keep;
        window.drain(..tail);
        window.extend_from_slice(&page);
        next_pfn = Some(pfn + 1);
        for hit in finder.find_iter(&window) {
            candidates += 1;
            if candidates > MAX_CANDIDATES {
                return found;
            }
            let at = PhysAddr((start + hit as u64).saturating_sub(keep as u64));
            if let Some(text) = text_at(dump, at) {
                found.push(FoundVmcoreinfo { at, text });
                if found.len() >= limit {
                    return found;
                }
            }
        }
    }
    found
}

/// The text at an address, if it is a VMCOREINFO.
fn text_at(dump: &Dump, at: PhysAddr) -> Option<String> {
    let mut buffer = vec![0; MAX_TEXT];
    let done = match dump.read(at, &mut buffer) {
        Ok(()) => MAX_TEXT,
        Err(short) => match short.absent.why {
            Why::Damaged { .. } => return None,
            _ => short.done,
        },
    };
    let bytes = buffer.get(..done)?;
    let end = bytes.iter().position(|&byte| byte != b'\n' && !(b' '..=b'~').contains(&byte)).unwrap_or(done);
    let text = std::str::from_utf8(bytes.get(..end)?).ok()?;
    // Other texts begin with this key too (os-release files, environments): this one has
    // the page size and symbols.
    let lines = text.lines().all(|line| line.contains('='));
    (lines && value(text, "PAGESIZE").is_some() && text.contains("\nSYMBOL(")).then(|| text.to_owned())
}
