//! One pass over the page structures of memory, for what is to be found in slabs or by what a page is charged to.

use std::collections::HashMap;
use std::ops::Range;

use rayon::prelude::*;

use super::{CpuLists, Descriptor, FreeLink, MAX_OBJECTS};
use crate::{Kernel, VirtAddr};

/// Frames in a piece that one thread looks at.
const PIECE: u64 = 4096;
/// Page structures read at once: with 64 bytes each they fill a page.
const RUN: u64 = 64;
/// The largest block that the page allocator gives.
const MAX_SLAB: u64 = 8 << 20;

/// One slab of a cache.
pub(crate) struct Slab {
    pub(super) descriptor: VirtAddr,
    pub(crate) cache: VirtAddr,
    /// First object.
    pub(crate) base: VirtAddr,
    /// Bytes from one object to the next.
    pub(crate) size: u64,
    pub(crate) objects: u64,
    pub(super) freelist: u64,
}

impl Slab {
    /// Bytes of its objects.
    pub(crate) fn len(&self) -> u64 {
        self.size * self.objects
    }
}

/// How a page structure tells that its page is a slab's, by what VMCOREINFO says of it.
pub(super) enum Mark {
    /// 46df8e73a4a3 "mm: free up PG_slab" (v6.10): a page type; one type a page since 4ffca5a96678 (v6.12).
    Kind {
        offset: u64,
        kind: u32,
    },
    Flag {
        offset: u64,
        bit: u64,
    },
}

impl Mark {
    fn offset(&self) -> u64 {
        match self {
            Mark::Kind { offset, .. } | Mark::Flag { offset, .. } => *offset,
        }
    }

    fn fits(&self, word: u64) -> bool {
        match self {
            Mark::Kind { kind, .. } if kind & 0x00ff_ffff == 0 => word as u32 >> 24 == kind >> 24,
            Mark::Kind { kind, .. } => word as u32 == *kind,
            Mark::Flag { bit, .. } => word >> (bit & 63) & 1 == 1,
        }
    }
}

fn word(bytes: &[u8], offset: u64) -> Option<u64> {
    let rest = bytes.get(usize::try_from(offset).ok()?..)?;
    rest.first_chunk::<8>().map(|word| u64::from_le_bytes(*word))
}

/// What a slab's cache says of its objects.
struct Shape {
    size: u64,
    pad: u64,
    free: Option<(FreeLink, CpuLists)>,
}

/// Makes slabs of page structures, and remembers their caches.
pub(crate) struct Slabs<'k> {
    kernel: &'k Kernel<'k>,
    descriptor: Descriptor,
    mark: Mark,
    shapes: HashMap<u64, Option<Shape>>,
}

impl<'k> Slabs<'k> {
    fn new(kernel: &'k Kernel<'_>) -> Option<Slabs<'k>> {
        let (descriptor, mark) = (kernel.slab_descriptor()?, kernel.slab_mark()?);
        Some(Slabs { kernel, descriptor, mark, shapes: HashMap::new() })
    }

    fn shape(&mut self, cache: VirtAddr) -> Option<&mut Shape> {
        let kernel = self.kernel;
        let shape = self.shapes.entry(cache.0).or_insert_with(|| {
            let size = kernel.value(cache, "kmem_cache", "size").filter(|size| (8..1 << 24).contains(size))?;
            let pad = kernel.value(cache, "kmem_cache", "red_left_pad").unwrap_or(0);
            Some(Shape { size, pad, free: None })
        });
        shape.as_mut()
    }

    /// The slab whose first page has this structure.
    fn slab(&mut self, page: VirtAddr, bytes: &[u8]) -> Option<Slab> {
        // The cheapest test first: most pages are in no slab.
        let cache = word(bytes, self.descriptor.slab_cache).map(VirtAddr)?;
        if !self.kernel.arch.is_kernel(cache) || !self.mark.fits(word(bytes, self.mark.offset())?) {
            return None;
        }
        let member = &self.descriptor.objects;
        let from = usize::try_from(member.offset).ok()?;
        let objects = bytes.get(from..from.checked_add(usize::try_from(member.size).ok()?)?)?;
        let objects = member.decode(objects).filter(|n| *n <= MAX_OBJECTS)?;
        let freelist = word(bytes, self.descriptor.freelist)?;
        let start = self.kernel.page_address(page)?;
        let shape = self.shape(cache)?;
        let slab = Slab { descriptor: page, cache, base: start + shape.pad, size: shape.size, objects, freelist };
        Some(slab).filter(|slab| slab.len() <= MAX_SLAB)
    }

    /// Which objects of a slab are free; `bytes` are all of its objects. `None` when its lists do not close.
    pub(crate) fn free(&mut self, slab: &Slab, bytes: &[u8]) -> Option<Vec<bool>> {
        let (link, lists) = self.lists(slab)?;
        free_objects(slab, bytes, link, lists).ok()
    }

    /// Where in an object of a slab's cache the pointer to the next free one lies.
    pub(crate) fn link_offset(&mut self, slab: &Slab) -> Option<u64> {
        Some(self.lists(slab)?.0.offset)
    }

    /// Where the free lists of a slab break, and what stands there. `None` where they close, and where the first object of
    /// one is none of the slab's.
    pub(crate) fn broken(&mut self, slab: &Slab, bytes: &[u8]) -> Option<(VirtAddr, u64)> {
        let (link, lists) = self.lists(slab)?;
        free_objects(slab, bytes, link, lists).err()?
    }

    fn lists(&mut self, slab: &Slab) -> Option<&(FreeLink, CpuLists)> {
        let kernel = self.kernel;
        let shape = self.shape(slab.cache)?;
        if shape.free.is_none() {
            shape.free = Some((kernel.free_link(slab.cache)?, kernel.cpu_free_lists(slab.cache)));
        }
        shape.free.as_ref()
    }
}

/// Which objects are free, or where the lists break and what stands there.
fn free_objects(
    slab: &Slab,
    bytes: &[u8],
    link: &FreeLink,
    cpus: &CpuLists,
) -> Result<Vec<bool>, Option<(VirtAddr, u64)>> {
    let heads = std::iter::once(slab.freelist).chain(cpus.get(&slab.descriptor.0).into_iter().flatten().copied());
    let heads: Vec<u64> = heads.filter(|head| *head != 0).collect();
    let nth = |at: u64| {
        let within = at.checked_sub(slab.base.0).filter(|n| *n < slab.len() && n % slab.size == 0)?;
        usize::try_from(within / slab.size).ok()
    };
    // Of two ways to decode, the one that goes further is right.
    let mut broken: (usize, Option<(VirtAddr, u64)>) = (0, None);
    for swapped in [true, false] {
        let mut free = vec![false; usize::try_from(slab.objects).map_err(|_| None)?];
        let mut walked = 0;
        let whole = heads.iter().all(|head| {
            let (mut at, mut last) = (*head, None);
            while at != 0 {
                // An object that comes twice makes a ring.
                let Some(seen) = nth(at).and_then(|nth| free.get_mut(nth)).filter(|seen| !**seen) else {
                    if walked > broken.0 {
                        broken = (walked, last);
                    }
                    return false;
                };
                (*seen, walked) = (true, walked + 1);
                let slot = at.wrapping_add(link.offset);
                let Some(stored) = word(bytes, slot.wrapping_sub(slab.base.0)) else { return false };
                last = Some((VirtAddr(slot), stored));
                at = link.decode(stored, slot, swapped);
            }
            true
        });
        if whole {
            for at in cpus.get(&0).into_iter().flatten() {
                if let Some(seen) = nth(*at).and_then(|nth| free.get_mut(nth)) {
                    *seen = true;
                }
            }
            return Ok(free);
        }
        if link.random.is_none() {
            break;
        }
    }
    Err(broken.1)
}

impl Kernel<'_> {
    pub(super) fn slab_mark(&self) -> Option<Mark> {
        if let Some(kind) = self.info.number("PAGE_SLAB_MAPCOUNT_VALUE") {
            let member = self.types().first_member("page", &["page_type", "_mapcount.counter", "_mapcount"])?;
            return Some(Mark::Kind { offset: member.offset, kind: kind as u32 });
        }
        let bit = self.info.number("PG_slab").or_else(|| self.types().enumerator("PG_slab").map(|n| n as u64))?;
        let member = self.types().first_member("page", &["flags.f", "flags"])?;
        Some(Mark::Flag { offset: member.offset, bit })
    }

    /// The slab whose first page has this structure.
    pub(super) fn slab_at_page(&self, page: VirtAddr) -> Option<(Slab, Slabs<'_>)> {
        let mut slabs = Slabs::new(self)?;
        let bytes = self.bytes(page, usize::try_from(self.page_structure_size()?).ok()?).ok()?;
        Some((slabs.slab(page, &bytes)?, slabs))
    }

    /// Shows `visit` each page structure of these frames that is in the dump: the frame, the bytes, and the slab that
    /// begins there. Threads share the work, each piece with a `T` of its own; they come in the order of the frames.
    pub(crate) fn sweep<T: Default + Send>(
        &self,
        frames: &[Range<u64>],
        visit: impl Fn(&mut T, &mut Slabs<'_>, u64, &[u8], Option<Slab>) + Sync,
    ) -> Vec<T> {
        let pieces = frames.iter().flat_map(|range| {
            let end = range.end;
            range.clone().step_by(PIECE as usize).map(move |at| at..end.min(at + PIECE))
        });
        let pieces: Vec<Range<u64>> = pieces.collect();
        let one = |piece: &Range<u64>| {
            let mut found = T::default();
            self.sweep_piece(piece.clone(), |slabs, frame, bytes, slab| visit(&mut found, slabs, frame, bytes, slab));
            found
        };
        pieces.par_iter().map(one).collect()
    }

    fn sweep_piece(&self, frames: Range<u64>, mut visit: impl FnMut(&mut Slabs<'_>, u64, &[u8], Option<Slab>)) {
        let (Some(mut slabs), Some(size)) = (Slabs::new(self), self.page_structure_size()) else { return };
        let mut buffer = vec![0u8; (RUN * size) as usize];
        let mut look = |frame: u64, count: u64, buffer: &mut [u8]| {
            let Some(page) = self.page_of_frame(frame) else { return false };
            let Some(bytes) = buffer.get_mut(..(count * size) as usize) else { return false };
            if self.read(page, bytes).is_err() {
                return false;
            }
            for (nth, bytes) in (0u64..).zip(bytes.chunks_exact(size as usize)) {
                let slab = slabs.slab(page + nth * size, bytes);
                visit(&mut slabs, frame + nth, bytes, slab);
            }
            true
        };
        let mut frame = frames.start;
        while frame < frames.end {
            let end = frames.end.min(frame - frame % RUN + RUN);
            // A hole in memory: its page structures are missing as well. Where they do not fill a page, some may be there.
            if !look(frame, end - frame, &mut buffer) && size != 4096 / RUN {
                for frame in frame..end {
                    look(frame, 1, &mut buffer);
                }
            }
            frame = end;
        }
    }
}
