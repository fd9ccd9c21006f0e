//! The log buffer from 7ff9554bb578 "printk: convert byte-buffer to variable-length record buffer" (v3.5) to 5.9,
//! and in RHEL 7 and 8: records with a header each, one after the other in a ring of bytes.

use facts::Gap;

use super::{Caller, Log, Lost, Record};
use crate::{Kernel, ReadError, VirtAddr};

/// Largest buffer read: `log_buf_len=` of such kernels takes at most 2 GiB, real ones have at most 64 MiB.
const MAX_BUFFER: u64 = 1 << 31;
/// More records than a buffer of 64 MiB holds.
const MAX_RECORDS: u64 = 4 << 20;
/// Bytes of text that are read.
const MAX_TEXT: u64 = 256 << 20;

const LOG_NEWLINE: u8 = 2;
const LOG_PREFIX: u8 = 4;
const LOG_CONT: u8 = 8;

struct Layout {
    size: u64,
    ts_nsec: u64,
    len: u64,
    text_len: u64,
    dict_len: u64,
    caller_id: Option<u64>,
}

impl Layout {
    /// The structure is `printk_log` since 62e32ac3505a "printk: rename struct log to struct printk_log" (v3.11),
    /// `log` before and in RHEL 7.
    fn from_vmcoreinfo(kernel: &Kernel<'_>) -> Option<Layout> {
        let info = kernel.vmcoreinfo();
        let name = ["printk_log", "log"].into_iter().find(|name| info.size(name).is_some())?;
        let offset = |member: &str| info.offset(&format!("{name}.{member}"));
        let size = info.size(name)?;
        let text_len = offset("text_len")?;
        let layout = Layout {
            size,
            ts_nsec: offset("ts_nsec")?,
            len: offset("len")?,
            text_len,
            dict_len: offset("dict_len").unwrap_or(text_len + 2),
            // 15ff2069cb7f "printk: Add caller information to printk() output.", v5.1: the header grows by 4 bytes.
            caller_id: offset("caller_id").or((size > 16).then_some(16)),
        };
        (16..=64).contains(&size).then_some(layout)
    }
}

struct Buffer<'k, 'd> {
    kernel: &'k Kernel<'d>,
    layout: Layout,
    data: VirtAddr,
    size: u64,
}

struct Header {
    /// Bytes to the next header; 0 is the wrap marker.
    len: u64,
    flags: u8,
    record: Record,
    text_len: u64,
    dict_len: u64,
}

enum Bad {
    Read(ReadError),
    /// What is wrong at this index.
    Corrupt(u64, &'static str),
}

impl Buffer<'_, '_> {
    fn header(&self, at: u64) -> Result<Header, Bad> {
        let layout = &self.layout;
        if at.checked_add(layout.size).is_none_or(|end| end > self.size) {
            return Err(Bad::Corrupt(at, "a header beyond the end of the buffer"));
        }
        let bytes = self.kernel.bytes(self.data + at, layout.size as usize).map_err(Bad::Read)?;
        let u16_at = |at: u64| {
            bytes.get(at as usize..).and_then(|b| b.first_chunk::<2>()).map_or(0, |b| u64::from(u16::from_le_bytes(*b)))
        };
        let [facility, flags] =
            bytes.get(layout.dict_len as usize + 2..).and_then(|b| b.first_chunk::<2>()).copied().unwrap_or_default();
        let ts = bytes.get(layout.ts_nsec as usize..).and_then(|b| b.first_chunk::<8>()).copied();
        let caller = layout.caller_id.and_then(|at| bytes.get(at as usize..)).and_then(|b| b.first_chunk::<4>());
        Ok(Header {
            len: u16_at(layout.len),
            text_len: u16_at(layout.text_len),
            dict_len: u16_at(layout.dict_len),
            flags: flags & 0x1f,
            record: Record {
                seq: 0,
                ts_ns: ts.map(u64::from_le_bytes),
                facility,
                level: flags >> 5,
                caller: caller.map(|id| Caller::from_id(u32::from_le_bytes(*id))),
                continues: false,
                open: false,
                text: Vec::new(),
                subsystem: String::new(),
                device: String::new(),
                unfinished: false,
            },
        })
    }

    /// The record at `at`, checked; a wrap marker has `len` 0.
    fn record(&self, at: u64) -> Result<Header, Bad> {
        let mut header = self.header(at)?;
        if header.len == 0 {
            return Ok(header);
        }
        if header.len & 3 != 0 || header.len < self.layout.size {
            return Err(Bad::Corrupt(at, "a record length that cannot be"));
        }
        if self.layout.size + header.text_len + header.dict_len > header.len || at + header.len > self.size {
            return Err(Bad::Corrupt(at, "a text longer than its record"));
        }
        let text = self.data + at + self.layout.size;
        header.record.text = self.kernel.bytes(text, header.text_len as usize).map_err(Bad::Read)?;
        if header.dict_len > 0
            && let Ok(dict) = self.kernel.bytes(text + header.text_len, header.dict_len as usize)
        {
            for entry in dict.split(|byte| *byte == 0) {
                let entry = String::from_utf8_lossy(entry);
                if let Some(value) = entry.strip_prefix("SUBSYSTEM=") {
                    header.record.subsystem = value.to_owned();
                } else if let Some(value) = entry.strip_prefix("DEVICE=") {
                    header.record.device = value.to_owned();
                }
            }
        }
        Ok(header)
    }

    /// Records from `at` until `end`; at most one wrap is followed.
    fn chain(&self, mut at: u64, end: u64, mut wrapped: bool, out: &mut Vec<Header>) -> Result<(), Bad> {
        // Every record takes at least a header, so the buffer bounds the walk.
        let mut text = 0;
        for _ in 0..=(self.size / self.layout.size).min(MAX_RECORDS) {
            if at == end {
                return Ok(());
            }
            let record = self.record(at)?;
            if record.len == 0 {
                // The zero header is no record: the one at the start of the buffer takes its place.
                if wrapped || at == 0 {
                    return Err(Bad::Corrupt(at, "a second wrap marker"));
                }
                wrapped = true;
                at = 0;
                continue;
            }
            at += record.len;
            text += record.text_len;
            if text > MAX_TEXT {
                return Err(Bad::Corrupt(at, "more text than any buffer holds"));
            }
            out.push(record);
        }
        Err(Bad::Corrupt(at, "a chain of records that does not end"))
    }
}

pub(super) fn read(kernel: &Kernel<'_>) -> Option<Log> {
    let layout = Layout::from_vmcoreinfo(kernel)?;
    let mut log = Log::default();
    if let Err(error) = walk(kernel, layout, &mut log) {
        log.gaps.push(Gap::new("kernel log", "log_buf", error, ""));
    }
    Some(log)
}

fn walk(kernel: &Kernel<'_>, layout: Layout, log: &mut Log) -> Result<(), String> {
    // `log_buf` is also a variable of kernel/bpf/verifier.c in 3.18 to 4.14: VMCOREINFO's comes first.
    let u32_of = |name: &str| {
        let at = kernel.symbol_at(name).ok_or_else(|| format!("no symbol {name}"))?;
        kernel.u32(at).map_err(|e| format!("{name}: {e}"))
    };
    let pointer = kernel.symbol_at("log_buf").ok_or("no symbol log_buf")?;
    let data = kernel.ptr(pointer).map_err(|e| format!("log_buf: {e}"))?;
    let size = u64::from(u32_of("log_buf_len")?);
    let first = u64::from(u32_of("log_first_idx")?);
    let next = u64::from(u32_of("log_next_idx")?);
    let seq = kernel.symbol_at("log_first_seq").and_then(|at| kernel.u64(at).ok()).unwrap_or(0);
    if !(1024..=MAX_BUFFER).contains(&size) || first >= size || next >= size {
        return Err(format!("log_buf_len {size}, first index {first}, next index {next}: these cannot be"));
    }
    let buffer = Buffer { kernel, layout, data, size };
    let mut found = Vec::new();
    let mut lost = Lost::default();
    let mut why = String::new();
    if let Err(bad) = buffer.chain(first, next, false, &mut found) {
        let (place, text) = match bad {
            Bad::Read(error) => (format!("record {} of the ring", found.len()), error.to_string()),
            Bad::Corrupt(at, what) => (format!("byte {at} of log_buf"), what.to_owned()),
        };
        lost.add(|| place);
        why = text;
        // After a wrap the oldest boundary is unknown, but the chain from the start to next is whole.
        let mut rest = Vec::new();
        let resume = if first > next { Some(0) } else { None };
        if let Some(at) = resume
            && buffer.chain(at, next, true, &mut rest).is_ok()
        {
            found.extend(rest);
        }
    }
    let mut before = 0u8;
    for (nth, header) in found.into_iter().enumerate() {
        let mut record = header.record;
        record.seq = seq.wrapping_add(nth as u64);
        // Fragments of a line were separate records until 4.9. The kernel's rules for printing them, from
        // msg_print_text(): no prefix after an unfinished fragment unless this one asks for it.
        let cont = header.flags & LOG_CONT != 0;
        record.continues = (before & LOG_CONT != 0 && header.flags & LOG_PREFIX == 0)
            || (cont && before & LOG_CONT != 0 && before & LOG_NEWLINE == 0);
        record.open = cont && header.flags & LOG_NEWLINE == 0;
        before = header.flags;
        log.records.push(record);
    }
    lost.gap(&mut log.gaps, &why, "");
    if let Some(gap) = log.gaps.first_mut()
        && !why.is_empty()
    {
        gap.what = "kernel log records".to_owned();
    }
    Ok(())
}
