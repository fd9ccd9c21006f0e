//! Where in memory a value stands: every page of the dump is looked at.

use std::time::{Duration, Instant};

use facts::Gap;
use memchr::memmem::Finder;
use rayon::prelude::*;

use crate::{Kernel, PhysAddr, Walk};

/// Frames in a piece that one thread searches, and pieces between two looks at the clock.
const PIECE: u64 = 256;
const WAVE: usize = 64;
/// A text longer than this is no text to look for.
const MAX_TEXT: usize = 1024;

/// What to look for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Needle {
    /// A 64-bit word at a multiple of 8; only the bits that the mask has not count, as crash's `-m`.
    Word {
        /// Value.
        value: u64,
        /// Bits that may differ.
        mask: u64,
    },
    /// A 32-bit word at a multiple of 4.
    Half {
        /// Value.
        value: u32,
        /// Bits that may differ.
        mask: u32,
    },
    /// Bytes at any place.
    Bytes(Vec<u8>),
}

/// How much to look at.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// The most places that are found.
    pub limit: usize,
    /// The most time it takes; looked at every 16,384 pages.
    pub time: Duration,
}

/// What a search found.
#[derive(Clone, Debug)]
pub struct Searched {
    /// Physical addresses, ascending; a gap when it stopped before the end.
    pub places: Walk<PhysAddr>,
    /// Pages looked at.
    pub pages: u64,
    /// Pages that are not in the dump.
    pub absent: u64,
}

impl Kernel<'_> {
    /// Looks for a value in all pages of the dump. `progress` is told the frames done and the frames in all, now and
    /// then. Threads share the work; what is found does not depend on them, but for a search that runs out of time.
    pub fn search(&self, needle: &Needle, bounds: Bounds, progress: &(dyn Fn(u64, u64) + Sync)) -> Searched {
        let begin = Instant::now();
        let mut found = Searched { places: Walk::default(), pages: 0, absent: 0 };
        let Some(seeker) = Seeker::new(needle) else {
            found.places.gaps.push(Gap::new("search", "", format!("expected 1 to {MAX_TEXT} bytes to look for"), ""));
            return found;
        };
        let shift = self.page_shift();
        let pieces: Vec<(u64, u64)> = self
            .physical
            .ranges()
            .into_iter()
            .flat_map(|range| {
                let (first, end) = (range.start >> shift, range.end >> shift);
                (first..end).step_by(PIECE as usize).map(move |at| (at, end.min(at + PIECE)))
            })
            .collect();
        let total: u64 = pieces.iter().map(|(first, end)| end - first).sum();
        let mut done = 0;
        for wave in pieces.chunks(WAVE) {
            let parts: Vec<Part> =
                wave.par_iter().map(|piece| self.search_piece(&seeker, *piece, shift, bounds.limit)).collect();
            for part in parts {
                found.pages += part.pages;
                found.absent += part.absent;
                found.places.items.extend(part.places);
            }
            done += wave.iter().map(|(first, end)| end - first).sum::<u64>();
            progress(done, total);
            let full = found.places.items.len() > bounds.limit;
            found.places.items.truncate(bounds.limit);
            let stopped = match (full, begin.elapsed() > bounds.time && done < total) {
                (true, _) => Some(format!("there are more than {}", bounds.limit)),
                (_, true) => Some(format!("the time of {} s was over", bounds.time.as_secs())),
                _ => None,
            };
            if let Some(why) = stopped {
                let place = match (full, found.places.items.last()) {
                    (true, Some(last)) => format!("physical memory after {last}"),
                    _ => {
                        let next = wave.last().map_or(0, |(_, end)| *end << shift);
                        format!("physical memory from {next:#x} on, {done} of {total} pages looked at")
                    }
                };
                found.places.gaps.push(Gap::new("further places", place, why, "a higher limit or more time"));
                break;
            }
        }
        found
    }

    fn search_piece(&self, seeker: &Seeker<'_>, (first, end): (u64, u64), shift: u32, limit: usize) -> Part {
        let mut part = Part::default();
        let page = 1usize << shift;
        let overlap = seeker.overlap();
        let mut buffer = vec![0u8; page + overlap];
        for frame in first..end {
            let at = frame << shift;
            let Some(body) = buffer.get_mut(..page) else { break };
            if self.physical.read(at, body).is_err() {
                part.absent += 1;
                continue;
            }
            part.pages += 1;
            // Texts may run on into the next page.
            let tail = buffer.get_mut(page..).unwrap_or_default();
            let whole = overlap > 0 && self.physical.read(at + page as u64, tail).is_ok();
            let bytes = buffer.get(..if whole { page + overlap } else { page }).unwrap_or_default();
            seeker.places(bytes, |offset| part.places.push(PhysAddr(at + offset as u64)));
            if part.places.len() > limit {
                break;
            }
        }
        part
    }

    /// The value that stands at a place, of a needle with a mask.
    pub fn found_value(&self, needle: &Needle, at: PhysAddr) -> Option<u64> {
        let size = match needle {
            Needle::Word { .. } => 8,
            Needle::Half { .. } => 4,
            Needle::Bytes(_) => return None,
        };
        let mut bytes = [0u8; 8];
        self.physical.read(at.0, bytes.get_mut(..size)?).ok()?;
        Some(u64::from_le_bytes(bytes))
    }
}

#[derive(Default)]
struct Part {
    places: Vec<PhysAddr>,
    pages: u64,
    absent: u64,
}

/// A needle made ready.
enum Seeker<'n> {
    /// Exactly these bytes, at multiples of the number.
    Exact(Box<Finder<'n>>, usize),
    Masked64(u64, u64),
    Masked32(u32, u32),
}

impl Seeker<'_> {
    fn new(needle: &Needle) -> Option<Seeker<'static>> {
        Some(match needle {
            Needle::Word { value, mask: 0 } => {
                Seeker::Exact(Box::new(Finder::new(&value.to_le_bytes()).into_owned()), 8)
            }
            Needle::Half { value, mask: 0 } => {
                Seeker::Exact(Box::new(Finder::new(&value.to_le_bytes()).into_owned()), 4)
            }
            Needle::Word { value, mask } => Seeker::Masked64(value & !mask, !mask),
            Needle::Half { value, mask } => Seeker::Masked32(value & !mask, !mask),
            Needle::Bytes(bytes) if (1..=MAX_TEXT).contains(&bytes.len()) => {
                Seeker::Exact(Box::new(Finder::new(bytes.as_slice()).into_owned()), 1)
            }
            Needle::Bytes(_) => return None,
        })
    }

    fn overlap(&self) -> usize {
        match self {
            Seeker::Exact(finder, 1) => finder.needle().len() - 1,
            _ => 0,
        }
    }

    fn places(&self, bytes: &[u8], mut found: impl FnMut(usize)) {
        match self {
            // An aligned word of one byte repeated would be found once for 8 of its places by find_iter.
            Seeker::Exact(finder, step) if *step > 1 => {
                let mut from = 0;
                while let Some(at) = bytes.get(from..).and_then(|rest| finder.find(rest)).map(|at| at + from) {
                    if at % step == 0 {
                        found(at);
                    }
                    from = (at + 1).next_multiple_of(*step);
                }
            }
            Seeker::Exact(finder, _) => finder.find_iter(bytes).for_each(found),
            Seeker::Masked64(value, mask) => {
                let words = bytes.as_chunks::<8>().0.iter().enumerate();
                words.filter(|(_, w)| u64::from_le_bytes(**w) & mask == *value).for_each(|(n, _)| found(n * 8));
            }
            Seeker::Masked32(value, mask) => {
                let words = bytes.as_chunks::<4>().0.iter().enumerate();
                words.filter(|(_, w)| u32::from_le_bytes(**w) & mask == *value).for_each(|(n, _)| found(n * 4));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(needle: &Needle, bytes: &[u8]) -> Vec<usize> {
        let mut found = Vec::new();
        Seeker::new(needle).unwrap().places(bytes, |at| found.push(at));
        found
    }

    #[test]
    fn words_are_found_at_their_alignment_only() {
        let mut bytes = vec![0u8; 64];
        bytes[3..11].copy_from_slice(&0x1122_3344_5566_7788u64.to_le_bytes());
        bytes[24..32].copy_from_slice(&0x1122_3344_5566_7788u64.to_le_bytes());
        assert_eq!(places(&Needle::Word { value: 0x1122_3344_5566_7788, mask: 0 }, &bytes), [24]);
        assert_eq!(places(&Needle::Word { value: 0x1122_3344_5566_7700, mask: 0xff }, &bytes), [24]);
        assert_eq!(places(&Needle::Half { value: 0x1122_3344, mask: 0 }, &bytes), [28]);
        assert_eq!(places(&Needle::Word { value: 0, mask: 0 }, &[0; 32]), [0, 8, 16, 24]);
        assert_eq!(places(&Needle::Bytes(vec![0x88, 0x77]), &bytes), [3, 24]);
        assert!(Seeker::new(&Needle::Bytes(Vec::new())).is_none());
    }
}
