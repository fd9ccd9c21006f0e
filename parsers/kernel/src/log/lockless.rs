//! The log buffer since 896fbe20b4e2 "printk: use the lockless ringbuffer" (v5.10).
//!
//! A ring of descriptors, each with an id that grows by one, and a ring of bytes. A descriptor's `begin` and
//! `next` are logical positions in the bytes; a block starts with the id of its descriptor, then comes the text.

use facts::Gap;

use super::{Caller, Log, Lost, Record};
use crate::{Kernel, ReadError, VirtAddr};

/// `log_buf_len=` takes at most 2 GiB.
const MAX_BITS: u32 = 31;
/// Newest records that are read; a ring of 64 MiB has two million descriptors.
const MAX_RECORDS: u64 = 4 << 20;
/// Bytes of text that are read.
const MAX_TEXT: usize = 256 << 20;

/// Where the structures keep what is read.
#[derive(Clone, Debug)]
struct Layout {
    desc_ring: u64,
    text_ring: u64,
    count_bits: u64,
    descs: u64,
    infos: u64,
    head_id: u64,
    tail_id: u64,
    desc_size: u64,
    state_var: u64,
    text_lpos: u64,
    begin: u64,
    next: u64,
    info_size: u64,
    seq: u64,
    ts_nsec: u64,
    text_len: u64,
    caller_id: Option<u64>,
    subsystem: Option<(u64, u64)>,
    device: Option<(u64, u64)>,
    size_bits: u64,
    data: u64,
}

impl Layout {
    fn from_vmcoreinfo(kernel: &Kernel<'_>) -> Option<Layout> {
        let info = kernel.vmcoreinfo();
        let dev = info.offset("printk_info.dev_info");
        let text = |member: &str, length: &str| {
            Some((dev? + info.offset(&format!("dev_printk_info.{member}"))?, info.length(length)?.min(256)))
        };
        Some(Layout {
            desc_ring: info.offset("printk_ringbuffer.desc_ring")?,
            text_ring: info.offset("printk_ringbuffer.text_data_ring")?,
            count_bits: info.offset("prb_desc_ring.count_bits")?,
            descs: info.offset("prb_desc_ring.descs")?,
            infos: info.offset("prb_desc_ring.infos")?,
            head_id: info.offset("prb_desc_ring.head_id")?,
            tail_id: info.offset("prb_desc_ring.tail_id")?,
            desc_size: info.size("prb_desc")?,
            state_var: info.offset("prb_desc.state_var")?,
            text_lpos: info.offset("prb_desc.text_blk_lpos")?,
            begin: info.offset("prb_data_blk_lpos.begin")?,
            next: info.offset("prb_data_blk_lpos.next")?,
            info_size: info.size("printk_info")?,
            seq: info.offset("printk_info.seq")?,
            ts_nsec: info.offset("printk_info.ts_nsec")?,
            text_len: info.offset("printk_info.text_len")?,
            caller_id: info.offset("printk_info.caller_id"),
            subsystem: text("subsystem", "printk_info_subsystem"),
            device: text("device", "printk_info_device"),
            size_bits: info.offset("prb_data_ring.size_bits")?,
            data: info.offset("prb_data_ring.data")?,
        })
    }
}

/// What the text of a record is.
#[derive(Debug, PartialEq, Eq)]
enum Block {
    /// Starts at this offset of the data ring, at most that many bytes.
    Text { at: u64, max: u64 },
    /// An empty line.
    Empty,
    /// The kernel found no room for it.
    Lost,
    /// Positions that the kernel never writes.
    Corrupt,
}

/// As the kernel's `get_data()`. A block wraps if its last byte lies one turn further than its first: since
/// 67e1b0052f6b "printk_ringbuffer: don't needlessly wrap data blocks around" (v6.18) a block that ends exactly at
/// the end of the ring stays there, and before that no such block exists, so one rule serves both.
fn block(begin: u64, next: u64, size_bits: u32) -> Block {
    let mask = (1u64 << size_bits) - 1;
    if begin & 1 == 1 && next & 1 == 1 {
        // FAILED_LPOS is 1: the text did not fit; NO_LPOS is 3: there is none.
        return if begin == 3 && next == 3 { Block::Empty } else { Block::Lost };
    }
    if begin & 7 != 0 || next & 7 != 0 {
        return Block::Corrupt;
    }
    let turns = (next.wrapping_sub(1) >> size_bits).wrapping_sub(begin >> size_bits);
    let (start, len) = if turns == 0 {
        (begin & mask, next.wrapping_sub(begin))
    } else if begin.wrapping_add(1 << size_bits) >> size_bits == next.wrapping_sub(1) >> size_bits {
        (0, next & mask)
    } else {
        return Block::Corrupt;
    };
    match len.checked_sub(8) {
        Some(max) if len <= mask + 1 => Block::Text { at: start + 8, max },
        _ => Block::Corrupt,
    }
}

/// `None` when the kernel has no such buffer.
pub(super) fn read(kernel: &Kernel<'_>) -> Option<Log> {
    let layout = Layout::from_vmcoreinfo(kernel)?;
    let variable = kernel.symbol_at("prb")?;
    let mut log = Log::default();
    // `prb` is a pointer: with log_buf_len= it leaves `printk_rb_static` for `printk_rb_dynamic`.
    let outcome = kernel.ptr(variable).and_then(|ring| walk(kernel, &layout, ring, &mut log));
    if let Err(error) = outcome {
        log.gaps.push(Gap::new("kernel log", format!("prb at {variable}"), error.to_string(), ""));
    }
    Some(log)
}

/// One descriptor with its info.
struct Slot {
    id: u64,
    state: u8,
    begin: u64,
    next: u64,
    info: Vec<u8>,
}

fn slot(kernel: &Kernel<'_>, layout: &Layout, descs: VirtAddr, infos: VirtAddr, index: u64) -> Result<Slot, ReadError> {
    let desc = descs + index.wrapping_mul(layout.desc_size);
    let state_var = kernel.u64(desc + layout.state_var)?;
    let begin = kernel.u64(desc + layout.text_lpos + layout.begin)?;
    let next = kernel.u64(desc + layout.text_lpos + layout.next)?;
    let info = kernel.bytes(infos + index.wrapping_mul(layout.info_size), layout.info_size.min(4096) as usize)?;
    Ok(Slot { id: state_var & ID_MASK, state: (state_var >> 62) as u8, begin, next, info })
}

const ID_MASK: u64 = !(3 << 62);
const RESERVED: u8 = 0;
const REUSABLE: u8 = 3;

fn walk(kernel: &Kernel<'_>, layout: &Layout, ring: VirtAddr, log: &mut Log) -> Result<(), ReadError> {
    let desc_ring = ring + layout.desc_ring;
    let text_ring = ring + layout.text_ring;
    let count_bits = kernel.u32(desc_ring + layout.count_bits)?;
    let descs = kernel.ptr(desc_ring + layout.descs)?;
    let infos = kernel.ptr(desc_ring + layout.infos)?;
    let head = kernel.u64(desc_ring + layout.head_id)? & ID_MASK;
    let tail = kernel.u64(desc_ring + layout.tail_id)? & ID_MASK;
    let size_bits = kernel.u32(text_ring + layout.size_bits)?;
    let data = kernel.ptr(text_ring + layout.data)?;
    if !(1..=MAX_BITS).contains(&count_bits) || !(4..=MAX_BITS).contains(&size_bits) {
        let why = format!("the ring says 2^{count_bits} descriptors and 2^{size_bits} bytes, which cannot be");
        log.gaps.push(Gap::new("kernel log", format!("printk_ringbuffer at {ring}"), why, ""));
        return Ok(());
    }
    let slots = 1u64 << count_bits;
    let mut first = tail;
    let mut count = head.wrapping_sub(tail) & ID_MASK;
    if count >= slots {
        let why = format!("tail id {tail:#x} and head id {head:#x} are further apart than the ring is long");
        log.gaps.push(Gap::new("oldest kernel log records", format!("printk_ringbuffer at {ring}"), why, ""));
        first = head.wrapping_sub(slots - 1) & ID_MASK;
        count = slots - 1;
    }
    if count >= MAX_RECORDS {
        let why = format!("only the newest {MAX_RECORDS} records are read");
        log.gaps.push(Gap::new("oldest kernel log records", format!("printk_ringbuffer at {ring}"), why, ""));
        first = head.wrapping_sub(MAX_RECORDS - 1) & ID_MASK;
        count = MAX_RECORDS - 1;
    }
    let mut text_bytes = 0usize;
    let (mut absent, mut corrupt, mut dropped, mut writing) =
        (Lost::default(), Lost::default(), Lost::default(), Lost::default());
    let mut why_absent = String::new();
    for nth in 0..=count {
        // Ids of 32-bit look (up to 6.x they start just below 2^32) are still added as unsigned long.
        let id = first.wrapping_add(nth) & ID_MASK;
        let slot = match slot(kernel, layout, descs, infos, id & (slots - 1)) {
            Ok(slot) => slot,
            Err(error) => {
                absent.add(|| format!("descriptor {id:#x}"));
                why_absent = error.to_string();
                continue;
            }
        };
        if slot.id != id {
            corrupt.add(|| format!("descriptor {id:#x}, which says {:#x}", slot.id));
            continue;
        }
        if slot.state == REUSABLE {
            continue;
        }
        let unfinished = slot.state == RESERVED;
        let mut record = record(layout, &slot.info);
        record.unfinished = unfinished;
        let text_len = u64::from(field16(&slot.info, layout.text_len));
        match block(slot.begin, slot.next, size_bits) {
            Block::Empty => log.records.push(record),
            Block::Lost if unfinished => writing.add(|| format!("seq {}", record.seq)),
            Block::Lost => dropped.add(|| format!("seq {}", record.seq)),
            Block::Corrupt => corrupt.add(|| format!("seq {}", record.seq)),
            Block::Text { at, max } => {
                // The kernel's reader takes a text longer than its block for lost.
                if text_len > max {
                    dropped.add(|| format!("seq {}", record.seq));
                    continue;
                }
                let owner = kernel.u64(data + (at - 8));
                if owner.is_ok_and(|owner| owner & ID_MASK != id) {
                    corrupt.add(|| format!("seq {}, whose text block belongs to another", record.seq));
                    continue;
                }
                match kernel.bytes(data + at, text_len as usize) {
                    Ok(text) => {
                        text_bytes += text.len();
                        if text_bytes > MAX_TEXT {
                            corrupt.add(|| format!("seq {}: more text than any ring holds", record.seq));
                            break;
                        }
                        record.text = text;
                        if unfinished {
                            writing.add(|| format!("seq {}", record.seq));
                        }
                        log.records.push(record);
                    }
                    Err(error) => {
                        absent.add(|| format!("seq {}", record.seq));
                        why_absent = error.to_string();
                    }
                }
            }
        }
    }
    absent.gap(&mut log.gaps, &why_absent, "");
    corrupt.gap(&mut log.gaps, "the ring is damaged there", "");
    dropped.gap(&mut log.gaps, "the kernel lost the text: no room in the ring", "a larger log_buf_len=");
    writing.gap(&mut log.gaps, "being written when the dump was made; the text may be half there", "");
    Ok(())
}

fn field16(info: &[u8], at: u64) -> u16 {
    bytes(info, at).map_or(0, u16::from_le_bytes)
}

fn bytes<const N: usize>(info: &[u8], at: u64) -> Option<[u8; N]> {
    info.get(usize::try_from(at).ok()?..)?.first_chunk::<N>().copied()
}

fn record(layout: &Layout, info: &[u8]) -> Record {
    let text = |place: Option<(u64, u64)>| {
        let bytes = place.and_then(|(at, len)| info.get(at as usize..(at + len) as usize)).unwrap_or_default();
        let end = memchr::memchr(0, bytes).unwrap_or(bytes.len());
        String::from_utf8_lossy(bytes.get(..end).unwrap_or_default()).into_owned()
    };
    // facility and the byte of flags and level follow text_len in every release.
    let [facility, flags] = bytes(info, layout.text_len + 2).unwrap_or_default();
    Record {
        seq: bytes(info, layout.seq).map_or(0, u64::from_le_bytes),
        ts_ns: bytes(info, layout.ts_nsec).map(u64::from_le_bytes),
        facility,
        level: flags >> 5,
        caller: layout.caller_id.and_then(|at| bytes(info, at)).map(|id| Caller::from_id(u32::from_le_bytes(id))),
        continues: false,
        open: false,
        text: Vec::new(),
        subsystem: text(layout.subsystem),
        device: text(layout.device),
        unfinished: false,
    }
}

#[cfg(test)]
mod tests;
