//! Walks what a support desk receives: a file, a directory, an archive, archives in archives, a stream.
//!
//! [`walk`] names every member before any of its bytes are decompressed; the caller decides which ones to read.
//! Nothing is ever unpacked to disk. Input is hostile: depth, count, name length, expansion and memory are bounded
//! by [`Limits`], and each limit that is hit, each broken checksum and each cut stream is a [`facts::Gap`].
//!
//! ```no_run
//! use bundle::{Flow, Limits, Source, walk};
//! # fn main() -> Result<(), bundle::Error> {
//! let gaps = walk(Source::Path("sosreport.tar.xz".as_ref()), &Limits::default(), &mut |mut member| {
//!     if member.path().ends_with("proc/meminfo") {
//!         let bytes = member.read(1 << 20);
//!         println!("{}: {} bytes", member.name(), bytes.data.len());
//!     }
//!     Flow::Continue
//! })?;
//! # drop(gaps); Ok(()) }
//! ```
#![forbid(unsafe_code)]

mod ahead;
mod archive;
mod content;
mod decode;
pub mod journal;
mod limits;
mod member;
mod names;
mod walk;
mod xz;

pub use content::{ContentKind, sniff};
pub use limits::Limits;
pub use member::{Bytes, Member};
pub use walk::{Error, Flow, Source, walk};
