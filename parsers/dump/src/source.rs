//! The raw bytes of one file: a memory map, bytes in memory, or either with a few bytes replaced.

use std::borrow::Cow;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use memmap2::Mmap;

use crate::error::Error;

/// The bytes of one dump file, wherever they lie.
///
/// Cloning is cheap: the bytes are shared.
#[derive(Clone)]
pub struct Source(Kind);

#[derive(Clone)]
enum Kind {
    Map(Arc<Mmap>),
    Bytes(Arc<[u8]>),
    /// `patches` are sorted by position and do not overlap; `len` is the length seen from outside.
    Overlay {
        base: Box<Source>,
        patches: Arc<[(u64, Vec<u8>)]>,
        len: u64,
    },
    /// Files laid end to end; the numbers are where each one ends.
    Concat(Arc<[(u64, Source)]>),
}

impl Source {
    /// Maps a file into memory.
    ///
    /// The file must not be truncated by others while it is mapped: reading a page that
    /// is gone ends the process with SIGBUS, as for every program that maps files.
    ///
    /// # Errors
    /// [`Error::Io`] when the file cannot be opened or mapped (pipes and devices cannot).
    pub fn map(path: &Path) -> Result<Source, Error> {
        let io = |error| Error::Io { path: path.display().to_string(), error };
        let file = File::open(path).map_err(io)?;
        if file.metadata().map_err(io)?.len() == 0 {
            return Ok(Source::bytes(Vec::new()));
        }
        // SAFETY: the map is private to this process and only read. Another process that
        // writes to the file changes the bytes under us; everything here treats them as
        // untrusted and reads each value once before it is checked and used. Truncation by
        // another process is documented above.
        let map = unsafe { Mmap::map(&file) }.map_err(io)?;
        Ok(Source(Kind::Map(Arc::new(map))))
    }

    /// Takes bytes that are in memory already, such as a member of an archive.
    pub fn bytes(bytes: impl Into<Arc<[u8]>>) -> Source {
        Source(Kind::Bytes(bytes.into()))
    }

    /// The same bytes with some of them replaced, and cut off at `len` when it is given.
    ///
    /// Nothing is copied but the patches, so thousands of damaged variants of one dump can
    /// be read at the cost of their differences. Where patches overlap the later one wins;
    /// what a patch has beyond the end is dropped.
    pub fn overlay(base: &Source, patches: impl IntoIterator<Item = (u64, Vec<u8>)>, len: Option<u64>) -> Source {
        let len = len.unwrap_or(base.len()).min(base.len());
        let mut single = std::collections::BTreeMap::new();
        for (at, bytes) in patches {
            for (position, byte) in (at..len).zip(bytes) {
                single.insert(position, byte);
            }
        }
        let mut patches: Vec<(u64, Vec<u8>)> = Vec::new();
        for (position, byte) in single {
            match patches.last_mut() {
                Some((at, run)) if *at + run.len() as u64 == position => run.push(byte),
                _ => patches.push((position, vec![byte])),
            }
        }
        Source(Kind::Overlay { base: Box::new(base.clone()), patches: patches.into(), len })
    }

    /// Files laid end to end, as `split -b` cut them.
    pub(crate) fn concat(parts: Vec<Source>) -> Source {
        let mut end = 0u64;
        let parts: Vec<_> = parts
            .into_iter()
            .map(|part| {
                end = end.saturating_add(part.len());
                (end, part)
            })
            .collect();
        Source(Kind::Concat(parts.into()))
    }

    /// Length in bytes.
    pub fn len(&self) -> u64 {
        match &self.0 {
            Kind::Map(map) => map.len() as u64,
            Kind::Bytes(bytes) => bytes.len() as u64,
            Kind::Overlay { len, .. } => *len,
            Kind::Concat(parts) => parts.last().map_or(0, |(end, _)| *end),
        }
    }

    /// Whether there are no bytes at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The `len` bytes at `offset`, or `None` when not all of them are there.
    pub(crate) fn read(&self, offset: u64, len: usize) -> Option<Cow<'_, [u8]>> {
        let end = offset.checked_add(len as u64)?;
        if end > self.len() {
            return None;
        }
        match &self.0 {
            Kind::Map(map) => Some(Cow::Borrowed(slice(map, offset, len)?)),
            Kind::Bytes(bytes) => Some(Cow::Borrowed(slice(bytes, offset, len)?)),
            Kind::Overlay { base, patches, .. } => {
                let bytes = base.read(offset, len)?;
                let first = patches.partition_point(|(at, run)| at + run.len() as u64 <= offset);
                let hit = patches.get(first..)?;
                if hit.first().is_none_or(|(at, _)| *at >= end) {
                    return Some(bytes);
                }
                let mut bytes = bytes.into_owned();
                for (at, run) in hit.iter().take_while(|(at, _)| *at < end) {
                    let from = (*at).max(offset);
                    let to = (at + run.len() as u64).min(end);
                    let target = bytes.get_mut((from - offset) as usize..(to - offset) as usize)?;
                    target.copy_from_slice(run.get((from - at) as usize..(to - at) as usize)?);
                }
                Some(Cow::Owned(bytes))
            }
            Kind::Concat(parts) => {
                let first = parts.partition_point(|(part_end, _)| *part_end <= offset);
                let start = |part: &(u64, Source)| part.0 - part.1.len();
                if let Some(part) = parts.get(first)
                    && end <= part.0
                {
                    return part.1.read(offset - start(part), len);
                }
                let mut bytes = Vec::with_capacity(len);
                for part in parts.get(first..)? {
                    let at = offset + bytes.len() as u64;
                    if at >= end {
                        break;
                    }
                    let here = (part.0.min(end) - at) as usize;
                    bytes.extend_from_slice(&part.1.read(at - start(part), here)?);
                }
                (bytes.len() == len).then_some(Cow::Owned(bytes))
            }
        }
    }
}

fn slice(bytes: &[u8], offset: u64, len: usize) -> Option<&[u8]> {
    let from = usize::try_from(offset).ok()?;
    bytes.get(from..from.checked_add(len)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digits() -> Source {
        Source::bytes(*b"0123456789")
    }

    #[test]
    fn a_read_past_the_end_is_refused_whole() {
        assert!(digits().read(8, 3).is_none());
        assert!(digits().read(u64::MAX, 2).is_none());
        assert_eq!(&*digits().read(8, 2).unwrap(), b"89");
    }

    #[test]
    fn an_overlay_replaces_bytes_and_cuts() {
        let over =
            Source::overlay(&digits(), [(2, b"ab".to_vec()), (3, b"X".to_vec()), (8, b"long".to_vec())], Some(9));
        assert_eq!(&*over.read(0, 9).unwrap(), b"01aX4567l");
        assert_eq!(&*over.read(3, 2).unwrap(), b"X4");
        assert!(over.read(0, 10).is_none());
    }

    #[test]
    fn files_cut_by_size_read_as_one() {
        let one = Source::concat(vec![digits(), Source::bytes([]), Source::bytes(*b"abc")]);
        assert_eq!(one.len(), 13);
        assert_eq!(&*one.read(8, 4).unwrap(), b"89ab");
        assert_eq!(&*one.read(10, 3).unwrap(), b"abc");
        assert!(one.read(10, 4).is_none());
    }
}
