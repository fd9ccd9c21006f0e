//! The flattened format: a dump as a stream of "these bytes belong there" records.
//!
//! `makedumpfile -F` writes it so that a dump can go through a pipe, and the kdump output of
//! QEMU's `dump-guest-memory` is in this form. It is read in place, through an index of the
//! records; nothing is unpacked.

use crate::extents::{Extent, ExtentMap};
use crate::source::Source;

/// Signature at the start of the file.
pub(crate) const SIGNATURE: &[u8; 12] = b"makedumpfile";
const HEADER_SIZE: u64 = 4096;
const RECORD_HEADER_SIZE: u64 = 16;

/// Records that are indexed. At the usual 64 KiB a record this is a file of 786 GB, and the
/// index takes 24 bytes for each.
const MAX_RECORDS: usize = 12_000_000;

/// How the stream of records ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// With its end marker.
    Complete,
    /// The file ends at or inside a record; the position is that of the record.
    Cut(u64),
    /// A record header that makes no sense, at this position.
    Corrupt(u64),
    /// More records than are indexed; the position is that of the first one left out.
    TooMany(u64),
}

/// Index of a flattened file: positions in the unpacked dump to positions in the file.
pub(crate) struct Index {
    pub(crate) extents: ExtentMap,
    pub(crate) ending: Ending,
}

/// Whether a file starts as a flattened dump does.
pub(crate) fn is_flattened(start: &[u8]) -> bool {
    start.starts_with(SIGNATURE)
}

/// Reads all record headers. Later records override earlier ones.
pub(crate) fn index(file: &Source) -> Index {
    let mut list = Vec::new();
    let mut at = HEADER_SIZE;
    let ending = loop {
        let Some(header) = file.read(at, RECORD_HEADER_SIZE as usize) else {
            break Ending::Cut(at);
        };
        let word = |from: usize| {
            header.get(from..from + 8).and_then(|bytes| bytes.try_into().ok()).map_or(0, i64::from_be_bytes)
        };
        let (offset, size) = (word(0), word(8));
        if offset == -1 && size == -1 {
            break Ending::Complete;
        }
        let (Ok(start), Ok(size)) = (u64::try_from(offset), u64::try_from(size)) else {
            break Ending::Corrupt(at);
        };
        if size == 0 || start.checked_add(size).is_none_or(|end| end > i64::MAX as u64) {
            break Ending::Corrupt(at);
        }
        if list.len() == MAX_RECORDS {
            break Ending::TooMany(at);
        }
        let pos = at + RECORD_HEADER_SIZE;
        let here = size.min(file.len().saturating_sub(pos));
        list.push(Extent { start, len: here, pos });
        if here < size {
            break Ending::Cut(at);
        }
        at = pos + size;
    };
    Index { extents: ExtentMap::later_wins(list), ending }
}
