//! How many bits of a bitmap are set below a position, without counting them each time.
//!
//! A page's descriptor is found by counting the pages of the dump before it. For 2 TB of
//! memory the bitmap has 64 MiB: it is counted once, in segments, and only as far as anybody
//! has asked for.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::OnceLock;

use crate::image::Image;

/// Bytes of bitmap whose bits are counted anew for each question.
const CHUNK: u64 = 128;
const CHUNKS_PER_SEGMENT: usize = 2048;
/// Bytes of bitmap that are looked at in one go.
const READ: u64 = 512;
const SEGMENT: u64 = CHUNK * CHUNKS_PER_SEGMENT as u64;

/// Counts for 256 KiB of bitmap (2^21 pages).
struct Segment {
    /// Set bits before this segment.
    before: u64,
    /// Set bits from the start of the segment to the end of each chunk.
    ends: Box<[u32; CHUNKS_PER_SEGMENT]>,
}

impl Segment {
    fn after(&self) -> u64 {
        self.before + u64::from(self.ends[CHUNKS_PER_SEGMENT - 1])
    }
}

/// One bitmap of a file, with its lazily built directory of counts.
pub(crate) struct Bitmap {
    position: u64,
    len: u64,
    segments: Box<[OnceLock<Segment>]>,
}

impl Bitmap {
    /// The bitmap at `position`, `len` bytes long if the file is whole. Takes 24 bytes for
    /// each 256 KiB of it.
    pub(crate) fn new(image: &Image, position: u64, len: u64) -> Bitmap {
        // What lies beyond the end of the file holds no bits.
        let there = image.len().saturating_sub(position).min(len);
        let count = usize::try_from(there.div_ceil(SEGMENT)).unwrap_or(0);
        Bitmap { position, len, segments: (0..count).map(|_| OnceLock::new()).collect() }
    }

    /// The bit of a page; `None` when the file ends before it. Bits beyond the bitmap are clear.
    pub(crate) fn bit(&self, image: &Image, pfn: u64) -> Option<bool> {
        if pfn / 8 >= self.len {
            return Some(false);
        }
        let byte = image.read(self.byte_position(pfn), 1)?;
        Some(byte.first()? >> (pfn % 8) & 1 == 1)
    }

    /// Where in the file the bit of a page lies.
    pub(crate) fn byte_position(&self, pfn: u64) -> u64 {
        self.position.saturating_add(pfn / 8)
    }

    /// Bytes `from..from + len` of the bitmap, as far as they are there.
    pub(crate) fn bytes<'a>(&self, image: &'a Image, from: u64, len: u64) -> Cow<'a, [u8]> {
        let len = len.min(self.len.saturating_sub(from));
        image.read_some(self.position.saturating_add(from), len as usize)
    }

    /// Whether this stretch of the bitmap is empty without a look at the file's bytes.
    pub(crate) fn is_hole(&self, image: &Image, from: u64, len: u64) -> bool {
        image.is_hole(self.position.saturating_add(from), len)
    }

    /// Number of set bits below `pfn`.
    pub(crate) fn rank(&self, image: &Image, pfn: u64) -> u64 {
        let byte = pfn / 8;
        let Some(segment) = self.segment(image, (byte / SEGMENT) as usize) else {
            return self.total(image);
        };
        let in_segment = byte % SEGMENT;
        let chunk = (in_segment / CHUNK) as usize;
        let before_chunk =
            chunk.checked_sub(1).and_then(|previous| segment.ends.get(previous)).map_or(0, |&end| u64::from(end));
        let chunk_start = byte - byte % CHUNK;
        let bytes = self.bytes(image, chunk_start, byte - chunk_start + 1);
        let whole = (byte - chunk_start) as usize;
        let full = bytes.get(..whole).unwrap_or(&bytes);
        let last = bytes.get(whole).map_or(0, |last| last & ((1u8 << (pfn % 8)) - 1));
        segment.before + before_chunk + ones(full) + u64::from(last.count_ones())
    }

    /// Number of set bits in all.
    pub(crate) fn total(&self, image: &Image) -> u64 {
        self.segments.len().checked_sub(1).and_then(|last| self.segment(image, last)).map_or(0, Segment::after)
    }

    fn segment(&self, image: &Image, wanted: usize) -> Option<&Segment> {
        let slot = self.segments.get(wanted)?;
        if let Some(segment) = slot.get() {
            return Some(segment);
        }
        let known = self.segments.get(..wanted)?.iter().rposition(|slot| slot.get().is_some());
        let first = known.map_or(0, |known| known + 1);
        for nth in first..=wanted {
            let before =
                nth.checked_sub(1).and_then(|previous| self.segments.get(previous)?.get()).map_or(0, Segment::after);
            self.segments.get(nth)?.get_or_init(|| self.count(image, nth as u64, before));
        }
        slot.get()
    }

    fn count(&self, image: &Image, nth: u64, before: u64) -> Segment {
        let mut ends = Box::new([0u32; CHUNKS_PER_SEGMENT]);
        let start = nth * SEGMENT;
        if !self.is_hole(image, start, SEGMENT) {
            let bytes = self.bytes(image, start, SEGMENT);
            let mut chunks = bytes.chunks(CHUNK as usize);
            let mut sum = 0;
            for end in ends.iter_mut() {
                sum += chunks.next().map_or(0, |chunk| ones(chunk) as u32);
                *end = sum;
            }
        }
        Segment { before, ends }
    }
}

/// Runs of set bits within a range of page frames, found as they are asked for.
pub(crate) struct SetRanges<'a> {
    bitmap: &'a Bitmap,
    image: &'a Image,
    next: u64,
    end: u64,
    /// The chunk of bitmap at hand and the number of its first byte.
    chunk: Cow<'a, [u8]>,
    chunk_start: u64,
}

impl<'a> SetRanges<'a> {
    pub(crate) fn new(bitmap: &'a Bitmap, image: &'a Image, pfns: Range<u64>) -> SetRanges<'a> {
        let there = image.len().saturating_sub(bitmap.position).min(bitmap.len);
        SetRanges {
            bitmap,
            image,
            next: pfns.start,
            end: pfns.end.min(there.saturating_mul(8)),
            chunk: Cow::Borrowed(&[]),
            chunk_start: 0,
        }
    }

    /// The next page at or after `self.next` whose bit is `wanted`, or the end.
    fn seek(&mut self, wanted: bool) -> u64 {
        let dull = if wanted { 0 } else { 0xff };
        while self.next < self.end {
            let byte = self.next / 8;
            let within = byte.checked_sub(self.chunk_start).filter(|&within| within < self.chunk.len() as u64);
            let Some(within) = within else {
                if byte.is_multiple_of(SEGMENT) && wanted && self.bitmap.is_hole(self.image, byte, SEGMENT) {
                    self.next += SEGMENT * 8;
                    continue;
                }
                self.chunk_start = byte;
                self.chunk = self.bitmap.bytes(self.image, byte, READ);
                if self.chunk.is_empty() {
                    break;
                }
                continue;
            };
            let rest = self.chunk.get(within as usize..).unwrap_or_default();
            if self.next.is_multiple_of(8) {
                let skip = rest.iter().take_while(|&&byte| byte == dull).count() as u64;
                if skip > 0 {
                    self.next += skip * 8;
                    continue;
                }
            }
            let value = rest.first().copied().unwrap_or_default();
            if (value >> (self.next % 8) & 1 == 1) == wanted {
                return self.next;
            }
            self.next += 1;
        }
        self.next = self.end;
        self.end
    }
}

impl Iterator for SetRanges<'_> {
    type Item = Range<u64>;

    fn next(&mut self) -> Option<Range<u64>> {
        let start = self.seek(true);
        if start >= self.end {
            return None;
        }
        Some(start..self.seek(false))
    }
}

/// Set bits in bytes.
pub(crate) fn ones(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let words: u64 = words.iter().map(|word| u64::from(u64::from_le_bytes(*word).count_ones())).sum();
    words + rest.iter().map(|byte| u64::from(byte.count_ones())).sum::<u64>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Source;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn rank_equals_counting(
            bytes in proptest::collection::vec(any::<u8>(), 1..3000), position in 0u64..9, pfns in proptest::collection::vec(0u64..30_000, 1..20)
        ) {
            let mut file = vec![0xff; position as usize];
            file.extend(&bytes);
            let image = Image::new("x".into(), Source::bytes(file));
            let bitmap = Bitmap::new(&image, position, bytes.len() as u64);
            for pfn in pfns {
                let model = (0..pfn.min(bytes.len() as u64 * 8)).filter(|p| bytes[(p / 8) as usize] >> (p % 8) & 1 == 1).count();
                prop_assert_eq!(bitmap.rank(&image, pfn), model as u64);
            }
        }
    }

    proptest! {
        #[test]
        fn ranges_are_the_runs_of_set_bits(
            bytes in proptest::collection::vec(prop_oneof![Just(0u8), Just(0xff), any::<u8>()], 1..2000), from in 0u64..4000, to in 0u64..17_000
        ) {
            let image = Image::new("x".into(), Source::bytes(bytes.clone()));
            let bitmap = Bitmap::new(&image, 0, bytes.len() as u64);
            let set: Vec<u64> = SetRanges::new(&bitmap, &image, from..to).flatten().collect();
            let model: Vec<u64> = (from..to.min(bytes.len() as u64 * 8)).filter(|p| bytes[(p / 8) as usize] >> (p % 8) & 1 == 1).collect();
            prop_assert_eq!(set, model);
        }
    }

    #[test]
    fn rank_crosses_segments() {
        let mut bytes = vec![0u8; 3 * SEGMENT as usize];
        bytes[0] = 1;
        bytes[SEGMENT as usize] = 3;
        let image = Image::new("x".into(), Source::bytes(bytes));
        let bitmap = Bitmap::new(&image, 0, 3 * SEGMENT);
        assert_eq!(bitmap.rank(&image, 16 * SEGMENT), 3);
        assert_eq!(bitmap.rank(&image, 8 * SEGMENT + 1), 2);
        assert_eq!(bitmap.rank(&image, 1), 1);
        assert_eq!(bitmap.total(&image), 3);
    }
}
