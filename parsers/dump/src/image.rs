//! A dump file as its format describes it: a source, unpacked if it is flattened.

use std::borrow::Cow;

use crate::error::Gap;
use crate::flattened::{self, Ending};
use crate::source::Source;

/// One file of a dump.
pub(crate) struct Image {
    pub(crate) name: String,
    source: Source,
    flat: Option<flattened::Index>,
}

impl Image {
    pub(crate) fn new(name: String, source: Source) -> Image {
        let start = source.read(0, flattened::SIGNATURE.len());
        let flat = start.is_some_and(|start| flattened::is_flattened(&start)).then(|| flattened::index(&source));
        Image { name, source, flat }
    }

    pub(crate) fn is_flattened(&self) -> bool {
        self.flat.is_some()
    }

    /// Bytes of the file itself.
    pub(crate) fn file_size(&self) -> u64 {
        self.source.len()
    }

    /// Length of the dump: of the file, or of what it unpacks to.
    pub(crate) fn len(&self) -> u64 {
        match &self.flat {
            None => self.source.len(),
            Some(flat) => flat.extents.end(),
        }
    }

    fn holes_are_zeros(&self) -> bool {
        // In a whole flattened file what no record covers is zero, as in a sparse file. In a
        // cut one it may be what was never written.
        self.flat.as_ref().is_none_or(|flat| flat.ending == Ending::Complete)
    }

    /// The bytes at `offset`, or `None` when not all of them are there.
    pub(crate) fn read(&self, offset: u64, len: usize) -> Option<Cow<'_, [u8]>> {
        let Some(flat) = &self.flat else {
            return self.source.read(offset, len);
        };
        let end = offset.checked_add(len as u64)?;
        if end > flat.extents.end() {
            return None;
        }
        let extents = flat.extents.from(offset);
        if let Some(first) = extents.first()
            && first.start <= offset
            && end <= first.end()
        {
            return self.source.read(first.pos + (offset - first.start), len);
        }
        let mut bytes = vec![0; len];
        let mut covered = 0;
        for extent in extents.iter().take_while(|extent| extent.start < end) {
            let from = extent.start.max(offset);
            let to = extent.end().min(end);
            let piece = self.source.read(extent.pos + (from - extent.start), (to - from) as usize)?;
            bytes.get_mut((from - offset) as usize..(to - offset) as usize)?.copy_from_slice(&piece);
            covered += to - from;
        }
        (covered == len as u64 || self.holes_are_zeros()).then_some(Cow::Owned(bytes))
    }

    /// As many of the `len` bytes at `offset` as there are.
    pub(crate) fn read_some(&self, offset: u64, len: usize) -> Cow<'_, [u8]> {
        let there = self.len().saturating_sub(offset).min(len as u64) as usize;
        self.read(offset, there).unwrap_or_default()
    }

    /// Whether the `len` bytes at `offset` are all zero for want of anything in the file, so
    /// that they need not be read.
    pub(crate) fn is_hole(&self, offset: u64, len: u64) -> bool {
        self.flat.as_ref().is_some_and(|flat| {
            let next = flat.extents.from(offset).first().map_or(u64::MAX, |extent| extent.start);
            offset.saturating_add(len) <= next
        })
    }

    /// What the flattened stream itself lost.
    pub(crate) fn gap(&self) -> Option<Gap> {
        let (what, at, why) = match self.flat.as_ref()?.ending {
            Ending::Complete => return None,
            Ending::Cut(at) => (
                "the records after this position in the flattened file",
                at,
                "the file ends before the end marker: it was cut, or its writer did not finish",
            ),
            Ending::Corrupt(at) => {
                ("the records after this position in the flattened file", at, "the record header there makes no sense")
            }
            Ending::TooMany(at) => (
                "the records after this position in the flattened file",
                at,
                "more records than are indexed (12 million)",
            ),
        };
        Some(Gap {
            what: what.into(),
            file: self.name.clone(),
            offset: Some(at),
            why: why.into(),
            closes: match self.flat.as_ref()?.ending {
                Ending::TooMany(_) => "unpack it with makedumpfile -R".into(),
                _ => "copy the file again from where it was written".into(),
            },
        })
    }
}
