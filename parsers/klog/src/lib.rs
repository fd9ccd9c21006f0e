//! Reads every report a Linux kernel prints into typed events.
//!
//! A log reaches a support desk in many ways: `dmesg`, a serial console, syslog, the journal, a mail. [`read`] takes the
//! bytes as they are, frees each line from the prefix of its carrier, and yields one [`Event`] for each report: an oops,
//! a hung task, an OOM kill, an I/O error. [`Scanner`] does the same piece by piece, with memory that does not grow.
//!
//! ```
//! let log = b"[  467.1] x\n[  467.167062] BUG: kernel NULL pointer dereference, address: 0000000000000020\n\
//! [  467.167100] Oops: 0000 [#1] SMP PTI\n\
//! [  467.167110] CPU: 1 PID: 77 Comm: runc Not tainted 5.10.0 #1\n\
//! [  467.167120] RIP: 0010:ip6mr_sk_done+0x60/0xf0\n\
//! [  467.167130] Call Trace:\n\
//! [  467.167140]  rawv6_close+0x1e/0x30\n";
//! let reading = klog::read("dmesg", log);
//! let event = &reading.boots[0].events[0];
//! assert_eq!((event.family, event.class), ("oops", "null-deref"));
//! assert_eq!(event.place.as_ref().unwrap().function, "ip6mr_sk_done");
//! assert_eq!(event.stacks[0].functions().next(), Some("rawv6_close"));
//! ```
#![forbid(unsafe_code)]

mod anchors;
mod boot;
mod carrier;
pub mod class;
mod clock;
mod cursor;
mod event;
mod family;
mod kept;
mod line;
mod names;
mod newest_first;
mod parts;
mod reading;
mod registers;
mod report;
mod scanner;

pub use anchors::Anchors;
pub use event::{Event, Location, Severity};
pub use family::{COMMON_FIELDS, NO_HEAD};
pub use line::{Caller, Line, Writer};
pub use newest_first::Turned;
pub use reading::{Boot, Reading, ReadingBuilder, Record, read, read_records};
pub use registers::Registers;
pub use scanner::{Item, Scanner, Seen};

/// The table of the fact kinds this crate makes. Each may also carry the values of [`COMMON_FIELDS`].
pub fn kinds() -> Vec<facts::KindDef> {
    family::kinds()
}
