//! The kernel log as it lies in memory, one file per generation of its buffer.
//!
//! | file | kernels |
//! |---|---|
//! | `text.rs` | up to 3.4: plain text in a ring |
//! | `headed.rs` | 3.5 to 5.9: records with a header each, one after the other |
//! | `lockless.rs` | 5.10 and later: a ring of descriptors, a ring of text |

mod headed;
mod lockless;
mod render;
mod text;

use facts::Gap;
use serde::Serialize;

pub use render::Render;
pub(crate) use render::calendar;

use crate::Kernel;

/// Who printed a record, where the kernel keeps that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Caller {
    /// A thread, by its id.
    Thread(u32),
    /// A CPU outside of process context.
    Cpu(u32),
}

impl Caller {
    /// Bit 31 set means a CPU number (15ff2069cb7f "printk: Add caller information to printk() output.", v5.1).
    fn from_id(id: u32) -> Caller {
        if id & 0x8000_0000 != 0 { Caller::Cpu(id & 0x7fff_ffff) } else { Caller::Thread(id) }
    }
}

impl std::fmt::Display for Caller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Caller::Thread(id) => write!(f, "T{id}"),
            Caller::Cpu(id) => write!(f, "C{id}"),
        }
    }
}

/// One record of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Record {
    /// Sequence number; in the oldest kernels, which keep none, the number of the line.
    pub seq: u64,
    /// Nanoseconds of the scheduler clock since boot; `None` for a line of the oldest kernels without a stamp.
    pub ts_ns: Option<u64>,
    /// Syslog facility; 0 is the kernel.
    pub facility: u8,
    /// Syslog level, 0 (emergency) to 7 (debug).
    pub level: u8,
    /// Who printed it.
    pub caller: Option<Caller>,
    /// The text continues the line of the record before: it has no prefix of its own.
    pub continues: bool,
    /// The line goes on in the next record: no line break at the end.
    pub open: bool,
    /// Bytes as printed, without the line break at the end. May hold line breaks.
    pub text: Vec<u8>,
    /// Subsystem of the device it is about (`pci`), or empty.
    pub subsystem: String,
    /// The device it is about (`+pci:0000:00:1f.2`), or empty.
    pub device: String,
    /// The printing CPU had committed the text but not finished the record, or was still writing it.
    pub unfinished: bool,
}

impl Record {
    /// The text, bytes that are no UTF-8 replaced.
    pub fn text_lossy(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(&self.text)
    }
}

/// The log of a dump.
#[derive(Clone, Debug, Default)]
pub struct Log {
    /// Records, oldest first.
    pub records: Vec<Record>,
    /// What could not be read.
    pub gaps: Vec<Gap>,
}

/// Numbers of records that were lost for one reason, told as one gap.
#[derive(Default)]
struct Lost {
    count: u64,
    first: String,
}

impl Lost {
    fn add(&mut self, place: impl FnOnce() -> String) {
        if self.count == 0 {
            self.first = place();
        }
        self.count += 1;
    }

    fn gap(self, gaps: &mut Vec<Gap>, why: &str, closes: &str) {
        if self.count > 0 {
            let what = format!("{} kernel log record{}", self.count, if self.count == 1 { "" } else { "s" });
            gaps.push(Gap::new(what, format!("first at {}", self.first), why, closes));
        }
    }
}

impl Kernel<'_> {
    /// The kernel log. Which generation of the buffer it is, VMCOREINFO or the symbols tell.
    pub fn log(&self) -> Log {
        // Each answers `None` when its variables do not exist.
        lockless::read(self).or_else(|| headed::read(self)).or_else(|| text::read(self)).unwrap_or_else(|| Log {
            records: Vec::new(),
            gaps: vec![Gap::new(
                "kernel log",
                self.member(),
                "neither VMCOREINFO nor the symbols tell where the log buffer is",
                "a vmlinux or System.map of this kernel",
            )],
        })
    }
}
