//! kdump-compressed dumps, one file or a split set.

mod counts;
mod header;
mod rank;

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use crate::address;
use crate::cache::PageCache;
use crate::codec;
use crate::error::{Absent, Codec, Error, Gap, Problem, Why};
use crate::image::Image;
use crate::info::KdumpHeader;
use crate::page::Page;
use rank::Bitmap;

pub(crate) use header::Header;

const DESCRIPTOR_LEN: usize = 24;

/// Descriptors that are looked at to describe what is lost (1.5 MiB of them).
const GAP_DESCRIPTORS: u64 = 65_536;

const MORE_SPACE: &str = "take the dump again with more space";
const COPY_AGAIN: &str = "copy the file again from where it was written";

/// `status` bit of a KDUMP header.
const STATUS_INCOMPLETE: u32 = 0x8;

/// One file.
struct Part {
    image: Image,
    header: Header,
    dumpable: Bitmap,
    ram: Option<Bitmap>,
    /// Page frames whose descriptors are in this part.
    pfns: Range<u64>,
}

/// A page descriptor.
struct Descriptor {
    /// Where the descriptor itself lies.
    at: u64,
    offset: u64,
    size: u32,
    flags: u32,
}

/// What the descriptor of a page says, as far as it can be told without decoding.
enum Stored {
    Present(Descriptor),
    Absent(Why),
}

/// Where a page can be had.
enum Place<'a> {
    Kept(Arc<[u8]>),
    Stored(&'a Part, Descriptor),
}

/// A kdump dump. The parts are sorted by their ranges, which do not overlap.
pub(crate) struct Kdump {
    parts: Vec<Part>,
    cache: PageCache,
    page_size: usize,
}

impl Kdump {
    /// Opens one file, or the parts of a split set in any order.
    pub(crate) fn open(images: Vec<Image>, cache_bytes: usize) -> Result<Kdump, Error> {
        let mut parts = Vec::with_capacity(images.len());
        for image in images {
            let header = header::read(&image)?;
            let (position, len) = header.dump_bitmap;
            let fields = &header.fields;
            parts.push(Part {
                dumpable: Bitmap::new(&image, position, len),
                ram: header.ram_bitmap.map(|position| Bitmap::new(&image, position, len)),
                pfns: if fields.split {
                    let end = fields.end_pfn.min(fields.max_mapnr);
                    fields.start_pfn.min(end)..end
                } else {
                    0..fields.max_mapnr
                },
                image,
                header,
            });
        }
        parts.sort_by_key(|part| (part.pfns.start, part.pfns.end));
        check_set(&parts)?;
        let page_size = parts.first().map_or(4096, |part| part.header.fields.block_size as usize);
        Ok(Kdump { parts, cache: PageCache::new(cache_bytes, page_size), page_size })
    }

    pub(crate) fn page_size(&self) -> usize {
        self.page_size
    }

    /// Header and image of the first part that has notes, else of the first.
    pub(crate) fn main(&self) -> Option<(&Header, &Image)> {
        self.parts
            .iter()
            .find(|part| part.header.notes.is_some())
            .or(self.parts.first())
            .map(|part| (&part.header, &part.image))
    }

    pub(crate) fn images(&self) -> impl Iterator<Item = (&Header, &Image)> {
        self.parts.iter().map(|part| (&part.header, &part.image))
    }

    pub(crate) fn end_pfn(&self) -> u64 {
        self.parts.iter().map(|part| part.header.fields.max_mapnr).max().unwrap_or(0)
    }

    /// The part that has the descriptor of a page.
    fn part_of(&self, pfn: u64) -> Option<&Part> {
        let nth = self.parts.partition_point(|part| part.pfns.end <= pfn);
        self.parts.get(nth).filter(|part| part.pfns.contains(&pfn))
    }

    pub(crate) fn page(&self, pfn: u64) -> Result<Page<'_>, Absent> {
        match self.find(pfn)? {
            Place::Kept(page) => Ok(Page::shared(page)),
            Place::Stored(part, descriptor) => self
                .decode(pfn, part, &descriptor)
                .map_err(|why| Absent { at: address::of_page(pfn, self.page_size), why }),
        }
    }

    /// Decodes a page into `to`, which has its size, and does not keep it.
    pub(crate) fn page_into(&self, pfn: u64, to: &mut [u8]) -> Result<(), Absent> {
        match self.find(pfn)? {
            Place::Kept(page) => {
                if to.len() == page.len() {
                    to.copy_from_slice(&page);
                }
                Ok(())
            }
            Place::Stored(part, descriptor) => part
                .data(&descriptor)
                .and_then(|(codec, data)| {
                    codec::decode(codec, &data, to)
                        .map_err(|problem| Why::Damaged { offset: descriptor.offset, problem })
                })
                .map_err(|why| Absent { at: address::of_page(pfn, self.page_size), why }),
        }
    }

    /// Where a page can be had.
    fn find(&self, pfn: u64) -> Result<Place<'_>, Absent> {
        let absent = |why| Absent { at: address::of_page(pfn, self.page_size), why };
        let Some(part) = self.part_of(pfn) else {
            return Err(absent(self.outside_all_parts(pfn)));
        };
        if let Some(page) = self.cache.get(pfn) {
            return Ok(Place::Kept(page));
        }
        match part.stored(pfn, self.page_size) {
            Stored::Present(descriptor) => Ok(Place::Stored(part, descriptor)),
            Stored::Absent(why) => Err(absent(why)),
        }
    }

    /// A page that no part is responsible for: not RAM, excluded, or in a part that was not given.
    fn outside_all_parts(&self, pfn: u64) -> Why {
        let Some(part) = self.parts.first().filter(|part| pfn < part.header.fields.max_mapnr) else {
            return Why::NotRam;
        };
        match part.dumpable.bit(&part.image, pfn) {
            Some(false) => part.not_dumped(pfn),
            _ => Why::MissingFromFile { offset: part.image.len() },
        }
    }

    fn decode<'a>(&'a self, pfn: u64, part: &'a Part, descriptor: &Descriptor) -> Result<Page<'a>, Why> {
        let damaged = |problem| Why::Damaged { offset: descriptor.offset, problem };
        let (codec, data) = part.data(descriptor)?;
        if codec == Codec::Stored {
            return Ok(match data {
                Cow::Borrowed(bytes) => Page::borrowed(bytes),
                Cow::Owned(bytes) => Page::shared(bytes.into()),
            });
        }
        // Made in place: a vector would be copied.
        let mut page: Arc<[u8]> = std::iter::repeat_n(0, self.page_size).collect();
        let buffer = Arc::get_mut(&mut page).ok_or(damaged(Problem::BadStream(codec)))?;
        codec::decode(codec, &data, buffer).map_err(damaged)?;
        self.cache.put(pfn, page.clone());
        Ok(Page::shared(page))
    }

    /// Ranges of page frames that the dump says it has, in order.
    pub(crate) fn ranges(&self) -> impl Iterator<Item = Range<u64>> {
        self.parts.iter().flat_map(|part| rank::SetRanges::new(&part.dumpable, &part.image, part.pfns.clone()))
    }

    /// What is lost in the file as a whole.
    pub(crate) fn gaps(&self) -> Vec<Gap> {
        let mut gaps = Vec::new();
        for part in &self.parts {
            part.gaps(&mut gaps);
        }
        self.missing_parts(&mut gaps);
        gaps
    }

    fn missing_parts(&self, gaps: &mut Vec<Gap>) {
        let Some(first) = self.parts.first().filter(|part| part.header.fields.split) else {
            return;
        };
        let ends = self.parts.iter().map(|part| part.pfns.end);
        let starts = self.parts.iter().skip(1).map(|part| part.pfns.start).chain([self.end_pfn()]);
        let holes = std::iter::once((0, first.pfns.start)).chain(ends.zip(starts));
        for (from, to) in holes.filter(|(from, to)| from < to) {
            gaps.push(Gap {
                what: format!("page frames {from:#x} to {:#x}", to - 1),
                file: first.image.name.clone(),
                offset: None,
                why: "the dump was split, and the part with these pages was not given".into(),
                closes: "give all parts of the split dump".into(),
            });
        }
    }
}

impl Part {
    /// What a page is that the dump does not have.
    fn not_dumped(&self, pfn: u64) -> Why {
        match &self.ram {
            Some(ram) => match ram.bit(&self.image, pfn) {
                Some(true) => Why::ExcludedByFilter,
                Some(false) => Why::NotRam,
                None => Why::MissingFromFile { offset: ram.byte_position(pfn) },
            },
            // With one bitmap the two cannot be told apart.
            None => Why::ExcludedByFilter,
        }
    }

    fn stored(&self, pfn: u64, page_size: usize) -> Stored {
        match self.dumpable.bit(&self.image, pfn) {
            None => {
                return Stored::Absent(Why::MissingFromFile { offset: self.dumpable.byte_position(pfn) });
            }
            Some(false) => return Stored::Absent(self.not_dumped(pfn)),
            Some(true) => {}
        }
        let before_part = match self.pfns.start {
            0 => 0,
            start => self.dumpable.rank(&self.image, start),
        };
        let index = self.dumpable.rank(&self.image, pfn).saturating_sub(before_part);
        self.descriptor(index, page_size)
    }

    fn descriptor(&self, index: u64, page_size: usize) -> Stored {
        let at = self.header.descriptors.saturating_add(index.saturating_mul(DESCRIPTOR_LEN as u64));
        let missing = |offset| Stored::Absent(Why::MissingFromFile { offset });
        let Some(bytes) = self.image.read(at, DESCRIPTOR_LEN) else {
            return missing(at);
        };
        let endian = self.header.endian;
        let (Some(offset), Some(size), Some(flags)) =
            (endian.u64(&bytes, 0), endian.u32(&bytes, 8), endian.u32(&bytes, 12))
        else {
            return missing(at);
        };
        if offset == 0 {
            return missing(at);
        }
        let sizes = if flags == 0 { page_size as u32..=page_size as u32 } else { 1..=page_size as u32 };
        if !sizes.contains(&size) {
            return Stored::Absent(Why::Damaged { offset: at, problem: Problem::BadDescriptorSize(size) });
        }
        if offset.checked_add(size.into()).is_none_or(|end| end > self.image.len()) {
            return missing(offset);
        }
        Stored::Present(Descriptor { at, offset, size, flags })
    }

    /// How a page is stored, and its bytes in the file.
    fn data(&self, descriptor: &Descriptor) -> Result<(Codec, Cow<'_, [u8]>), Why> {
        let codec = self
            .codec_of(descriptor.flags)
            .ok_or(Why::Damaged { offset: descriptor.at, problem: Problem::UnknownCodec(descriptor.flags) })?;
        let missing = Why::MissingFromFile { offset: descriptor.offset };
        Ok((codec, self.image.read(descriptor.offset, descriptor.size as usize).ok_or(missing)?))
    }

    fn codec_of(&self, flags: u32) -> Option<Codec> {
        Some(match flags {
            0 => Codec::Stored,
            0x1 => Codec::Zlib,
            0x2 => Codec::Lzo,
            0x4 => Codec::Snappy,
            0x20 => Codec::Zstd,
            _ => return None,
        })
    }

    fn says_incomplete(&self) -> bool {
        !self.header.diskdump && self.header.fields.status & STATUS_INCOMPLETE != 0
    }

    fn gap(&self, what: &str, offset: Option<u64>, why: &str, closes: &str) -> Gap {
        Gap { what: what.into(), file: self.image.name.clone(), offset, why: why.into(), closes: closes.into() }
    }

    fn gaps(&self, gaps: &mut Vec<Gap>) {
        let Header { fields, dump_bitmap, descriptors, .. } = &self.header;
        let len = self.image.len();
        let bitmap_end = dump_bitmap.0.saturating_add(fields.max_mapnr.div_ceil(8));
        let (what, why) = if len < u64::from(fields.block_size) * 2 {
            ("notes, bitmaps and all pages", "the file ends inside its headers")
        } else if len < bitmap_end {
            ("all pages", "the file ends inside the bitmaps")
        } else if len < *descriptors {
            ("all pages", "the file ends before the page descriptors")
        } else {
            return self.missing_pages(gaps);
        };
        gaps.push(self.gap(what, Some(len), why, COPY_AGAIN));
    }

    /// Looks at the last descriptors, in which a cut or an early end shows: data is written in
    /// page order. All of them are looked at unless there are many.
    fn missing_pages(&self, gaps: &mut Vec<Gap>) {
        let image = &self.image;
        let start = self.dumpable.rank(image, self.pfns.start);
        let count = self.dumpable.rank(image, self.pfns.end).saturating_sub(start);
        let block = self.header.fields.block_size as usize;
        let (mut zero, mut beyond) = (0u64, 0u64);
        let first = count.saturating_sub(GAP_DESCRIPTORS);
        for index in first..count {
            if let Stored::Absent(Why::MissingFromFile { offset }) = self.descriptor(index, block) {
                // A descriptor that is zero is missing at its own position, inside the file.
                let own = self.header.descriptors.saturating_add(index.saturating_mul(DESCRIPTOR_LEN as u64));
                if offset == own && own.saturating_add(DESCRIPTOR_LEN as u64) <= image.len() {
                    zero += 1;
                } else {
                    beyond += 1;
                }
            }
        }
        let of = if first == 0 { format!("of {count}") } else { format!("of the last {GAP_DESCRIPTORS}") };
        let why = match self.says_incomplete() {
            true => "the header says that the dump is incomplete: its writer ran out of space",
            false => "they were never written, though the header does not say so",
        };
        if zero > 0 {
            let what = format!("{zero} pages {of}: their descriptors are zero");
            gaps.push(self.gap(&what, None, why, MORE_SPACE));
        } else if self.says_incomplete() {
            gaps.push(self.gap("pages that were not written", None, why, MORE_SPACE));
        }
        if beyond > 0 {
            let what = format!("{beyond} pages {of}: they lie beyond the end of the file");
            gaps.push(self.gap(&what, Some(image.len()), "the file was cut", COPY_AGAIN));
        }
    }

    fn vmcoreinfo(&self) -> Option<Cow<'_, [u8]>> {
        let (at, len) = self.header.vmcoreinfo?;
        Some(self.image.read_some(at, usize::try_from(len).ok()?.min(1 << 16)))
    }
}

/// Whether the parts belong to one dump.
fn check_set(parts: &[Part]) -> Result<(), Error> {
    let Some((first, rest)) = parts.split_first() else {
        return Err(Error::NoInput);
    };
    let key = |part: &Part| {
        let KdumpHeader { utsname, timestamp, dump_level, block_size, max_mapnr, .. } = &part.header.fields;
        (
            utsname.clone(),
            *timestamp,
            *dump_level,
            *block_size,
            *max_mapnr,
            part.vmcoreinfo().map(|text| text.into_owned()),
        )
    };
    let refuse = |part: &Part, why: &str| {
        Err(Error::NotOneDump { name: part.image.name.clone(), first: first.image.name.clone(), why: why.into() })
    };
    for part in rest {
        if !part.header.fields.split || !first.header.fields.split {
            return refuse(part, "they are not parts of a split dump");
        }
        if key(part) != key(first) {
            return refuse(part, "release, time, size, dump level or VMCOREINFO differ");
        }
    }
    for pair in parts.windows(2) {
        if let [a, b] = pair
            && a.pfns.end > b.pfns.start
            && !b.pfns.is_empty()
        {
            return refuse(b, "their ranges of pages overlap");
        }
    }
    Ok(())
}
