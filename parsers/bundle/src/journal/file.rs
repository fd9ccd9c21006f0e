//! The journal file: header, objects, the chain of entry arrays. Names are those of systemd's `journal-def.h`.

use std::cell::Cell;
use std::collections::HashMap;
use std::io::Read;

use facts::Gap;

use super::{Entry, WANTED};
use crate::Flow;

const HEADER: u64 = 208;
const OBJECT_HEADER: u64 = 16;
const TYPE_DATA: u8 = 1;
const TYPE_ENTRY: u8 = 3;
const TYPE_ENTRY_ARRAY: u8 = 6;
const INCOMPATIBLE_KNOWN: u32 = 1 | 2 | 4 | 8 | 16;
const INCOMPATIBLE_COMPACT: u32 = 16;
/// Most data objects that one entry may name; journald's own limit.
const MOST_ITEMS: u64 = 1024;
/// A value larger than this is cut: no kernel or syslog line comes near.
const MOST_VALUE: u64 = 1 << 20;

struct File<'b> {
    bytes: &'b [u8],
    compact: bool,
    header_size: u64,
    /// Bytes that decompression may still yield: a hostile file names one small compressed object a million times.
    budget: Cell<u64>,
}

pub(super) fn read(bytes: &[u8], visit: &mut dyn FnMut(Entry) -> Flow) -> Vec<Gap> {
    let mut gaps = Vec::new();
    match open(bytes) {
        Ok(file) => file.walk(visit, &mut gaps),
        Err(why) => gaps.push(Gap::new("journal", "header", why, "an undamaged copy of the journal file")),
    }
    gaps
}

fn open(bytes: &[u8]) -> Result<File<'_>, String> {
    if !bytes.starts_with(b"LPKSHHRH") {
        return Err("no journal file header".into());
    }
    let fields = (u32_at(bytes, 12), u64_at(bytes, 88));
    let (Some(incompatible), Some(header_size), true) = (fields.0, fields.1, bytes.len() as u64 >= HEADER) else {
        return Err(format!("a header of {HEADER} bytes was expected, the file has {}", bytes.len()));
    };
    let unknown = incompatible & !INCOMPATIBLE_KNOWN;
    if unknown != 0 {
        return Err(format!("unknown incompatible flags {unknown:#x}: written by a newer systemd"));
    }
    if header_size < HEADER || header_size > bytes.len() as u64 || header_size % 8 != 0 {
        return Err(format!("a header size of {header_size} bytes"));
    }
    let budget = (256u64 << 20).saturating_add((bytes.len() as u64).saturating_mul(20));
    Ok(File { bytes, compact: incompatible & INCOMPATIBLE_COMPACT != 0, header_size, budget: Cell::new(budget) })
}

fn u32_at(bytes: &[u8], at: u64) -> Option<u32> {
    let at = usize::try_from(at).ok()?;
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u64_at(bytes: &[u8], at: u64) -> Option<u64> {
    let at = usize::try_from(at).ok()?;
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

struct Object<'b> {
    kind: u8,
    flags: u8,
    /// The whole object, header included.
    bytes: &'b [u8],
}

impl<'b> File<'b> {
    fn object(&self, at: u64) -> Option<Object<'b>> {
        if !at.is_multiple_of(8) || at < self.header_size {
            return None;
        }
        let size = u64_at(self.bytes, at.checked_add(8)?)?;
        if size < OBJECT_HEADER {
            return None;
        }
        let start = usize::try_from(at).ok()?;
        let end = usize::try_from(at.checked_add(size)?).ok()?;
        let bytes = self.bytes.get(start..end)?;
        Some(Object { kind: *bytes.first()?, flags: *bytes.get(1)?, bytes })
    }

    fn walk(&self, visit: &mut dyn FnMut(Entry) -> Flow, gaps: &mut Vec<Gap>) {
        let mut cache = HashMap::new();
        let mut last = 0;
        let mut count = 0u64;
        let mut torn = 0u64;
        let mut array = u64_at(self.bytes, 176).unwrap_or_default();
        let mut last_array = 0;
        let width = if self.compact { 4 } else { 8 };
        let mut broken = None;
        while array != 0 {
            let Some(object) = self.object(array).filter(|o| o.kind == TYPE_ENTRY_ARRAY && array > last_array) else {
                broken = Some(format!("the chain of entries is broken at byte {array}"));
                break;
            };
            last_array = array;
            let mut at = 24u64;
            while at + width <= object.bytes.len() as u64 {
                let offset =
                    if self.compact { u32_at(object.bytes, at).map(u64::from) } else { u64_at(object.bytes, at) };
                at += width;
                let Some(offset) = offset.filter(|o| *o != 0) else { continue };
                // journald appends: entries that do not come in rising order are no entries.
                let Some(entry) = (offset > last).then(|| self.entry(offset, &mut cache, &mut torn)).flatten() else {
                    broken = broken.or(Some(format!("no entry at byte {offset}")));
                    continue;
                };
                last = offset;
                count += 1;
                if visit(entry) == Flow::Stop {
                    return;
                }
            }
            array = u64_at(object.bytes, 16).unwrap_or_default();
        }
        let promised = u64_at(self.bytes, 152).unwrap_or_default();
        if broken.is_some() || count < promised {
            let more = self.scan(last, visit, &mut cache, &mut torn);
            let why =
                broken.unwrap_or_else(|| format!("the header promises {promised} entries, the chain has {count}"));
            let what = format!("journal entries ({} of {promised} found, {more} by search)", count + more);
            gaps.push(Gap::new(what, "journal file", why, "an undamaged copy of the journal file"));
        }
        if torn > 0 {
            let why = format!("{torn} fields point outside the file or do not decompress");
            gaps.push(Gap::new("journal fields", "journal file", why, "an undamaged copy of the journal file"));
        }
        if self.budget.get() == 0 {
            let why = "compressed fields expand beyond the limit";
            gaps.push(Gap::new("journal fields", "journal file", why, ""));
        }
    }

    /// Looks for entries behind `last` one object after the other, past what is damaged.
    fn scan(
        &self,
        last: u64,
        visit: &mut dyn FnMut(Entry) -> Flow,
        cache: &mut HashMap<u64, Option<Vec<u8>>>,
        torn: &mut u64,
    ) -> u64 {
        let mut at = self.header_size.next_multiple_of(8);
        let mut found = 0;
        while at + OBJECT_HEADER <= self.bytes.len() as u64 {
            let Some(object) = self.object(at).filter(|o| (1..=7).contains(&o.kind)) else {
                at += 8;
                continue;
            };
            if object.kind == TYPE_ENTRY && at > last && self.plausible(&object) {
                if let Some(entry) = self.entry(at, cache, torn) {
                    found += 1;
                    if visit(entry) == Flow::Stop {
                        return found;
                    }
                }
            } else if object.kind == TYPE_ENTRY && !self.plausible(&object) {
                at += 8;
                continue;
            }
            at = (at + object.bytes.len() as u64).next_multiple_of(8);
        }
        found
    }

    fn plausible(&self, object: &Object<'_>) -> bool {
        let width = if self.compact { 4 } else { 16 };
        let items = (object.bytes.len() as u64).checked_sub(64);
        let realtime = u64_at(object.bytes, 24).unwrap_or_default();
        // 2000 to 2100.
        items.is_some_and(|i| i % width == 0 && i / width <= MOST_ITEMS)
            && (946_684_800_000_000..4_102_444_800_000_000).contains(&realtime)
    }

    fn entry(&self, at: u64, cache: &mut HashMap<u64, Option<Vec<u8>>>, torn: &mut u64) -> Option<Entry> {
        let object = self.object(at).filter(|o| o.kind == TYPE_ENTRY)?;
        let boot: String = object.bytes.get(40..56)?.iter().map(|b| format!("{b:02x}")).collect();
        let mut entry = Entry {
            realtime_us: u64_at(object.bytes, 24),
            monotonic_us: u64_at(object.bytes, 32),
            boot_id: Some(boot),
            ..Entry::default()
        };
        let width = if self.compact { 4 } else { 16 };
        let items = ((object.bytes.len() as u64).saturating_sub(64) / width).min(MOST_ITEMS);
        for i in 0..items {
            let place = 64 + i * width;
            let offset =
                if self.compact { u32_at(object.bytes, place).map(u64::from) } else { u64_at(object.bytes, place) };
            if offset.is_none_or(|offset| self.data(offset, &mut entry, cache).is_none()) {
                *torn += 1;
            }
        }
        Some(entry)
    }

    /// Takes the field of one data object into the entry. `None` when the object is damaged.
    fn data(&self, at: u64, entry: &mut Entry, cache: &mut HashMap<u64, Option<Vec<u8>>>) -> Option<()> {
        let object = self.object(at).filter(|o| o.kind == TYPE_DATA)?;
        let payload = object.bytes.get(if self.compact { 72 } else { 64 }..)?;
        if object.flags & 7 == 0 {
            take(entry, payload);
            return Some(());
        }
        if cache.len() > 64 {
            cache.clear();
        }
        let value = cache.entry(at).or_insert_with(|| self.decompress(object.flags, payload));
        take(entry, value.as_deref()?);
        Some(())
    }

    fn decompress(&self, flags: u8, payload: &[u8]) -> Option<Vec<u8>> {
        let limit = MOST_VALUE.min(self.budget.get());
        let mut out = Vec::new();
        let read = |reader: &mut dyn Read, out: &mut Vec<u8>| reader.take(limit).read_to_end(out).map(drop).ok();
        let done = match flags & 7 {
            1 => read(&mut lzma_rust2::XzReader::new_mem_limit(payload, true, 128 << 10), &mut out),
            2 => {
                let size = u64_at(payload, 0)?;
                if size > limit {
                    None
                } else {
                    out = vec![0; usize::try_from(size).ok()?];
                    let n = lz4_flex::block::decompress_into(payload.get(8..)?, &mut out).ok();
                    n.map(|n| out.truncate(n))
                }
            }
            4 => {
                let mut decoder = ruzstd::decoding::FrameDecoder::new();
                decoder.set_max_window_size(16 << 20);
                ruzstd::decoding::StreamingDecoder::new_with_decoder(payload, decoder)
                    .ok()
                    .and_then(|mut reader| read(&mut reader, &mut out))
            }
            _ => None,
        };
        // A cut or broken stream still counts: what it cost has to be paid.
        self.budget.set(self.budget.get().saturating_sub((out.len() as u64).max(64)));
        done.map(|()| out)
    }
}

fn take(entry: &mut Entry, field: &[u8]) {
    let Some(equals) = field.iter().take(65).position(|b| *b == b'=') else { return };
    let (name, value) = (field.get(..equals).unwrap_or_default(), field.get(equals + 1..).unwrap_or_default());
    if let Some(name) = std::str::from_utf8(name).ok().filter(|n| WANTED.contains(n)) {
        let cut = usize::try_from(MOST_VALUE).unwrap_or(usize::MAX);
        entry.take(name, value.get(..cut).unwrap_or(value));
    }
}
