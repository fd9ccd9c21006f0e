//! ELF vmcores: copies of `/proc/vmcore`, `makedumpfile -E`, QEMU and libvirt memory dumps.
//!
//! Only `e_phoff`, `p_type`, `p_offset`, `p_paddr`, `p_filesz` and `p_memsz` can be trusted:
//! QEMU puts section headers in front of the program headers, writes an `e_ehsize` of 8 and a
//! physical `p_vaddr`. So goblin reads single headers here, at the places this module tells
//! it to; its parse of a whole file refuses dumps that are cut.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use goblin::container::{Container, Ctx};
use goblin::elf::program_header::{PT_LOAD, PT_NOTE, PT_NULL, ProgramHeader};
use goblin::elf::{Elf as GoblinElf, Header};

use crate::address::{self, PhysAddr};
use crate::bytes::Endian;
use crate::error::{Absent, Error, Gap, Why};
use crate::extents::{Extent, ExtentMap};
use crate::image::Image;
use crate::info::{ElfHeader, PageCounts};
use crate::machine::{Arch, Machine};
use crate::page::Page;
use crate::sniff::Format;

/// Program headers that are read. QEMU and the kernel write a few thousand at most.
const MAX_HEADERS: u64 = 1 << 20;
/// `e_phnum` that says "look into section header 0".
const PN_XNUM: u16 = 0xffff;
/// makedumpfile's `DUMP_ELF_INCOMPLETE`.
const FLAG_INCOMPLETE: u32 = 1;

/// An ELF vmcore.
pub(crate) struct Elf {
    image: Image,
    header: ElfHeader,
    pub(crate) machine: Machine,
    /// Physical addresses that the file has bytes for, as the headers promise it.
    in_file: ExtentMap,
    /// Physical addresses that the headers speak of; `pos` is that of the segment's data.
    in_memory: ExtentMap,
    notes: Vec<(u64, u64)>,
    /// Sums of `p_filesz` and `p_memsz`.
    bytes_promised: (u64, u64),
    /// Program headers that were promised and are not there, or are blank.
    unfilled: u64,
    page_size: usize,
}

impl Elf {
    pub(crate) fn open(image: Image) -> Result<Elf, Error> {
        let start = image.read_some(0, 64);
        let refuse = |expected, found: String| Error::Header {
            name: image.name.clone(),
            what: "the ELF header",
            offset: 0,
            expected,
            found,
        };
        let header: Header =
            GoblinElf::parse_header(&start).map_err(|error| refuse("a whole ELF header", error.to_string()))?;
        let is_64bit = start.get(4) == Some(&2);
        let big = start.get(5) == Some(&2);
        let endian = if big { Endian::Big } else { Endian::Little };
        let ctx = Ctx::new(
            if is_64bit { Container::Big } else { Container::Little },
            if big { goblin::container::Endian::Big } else { goblin::container::Endian::Little },
        );
        if header.e_type != goblin::elf::header::ET_CORE {
            return Err(refuse("a core (e_type 4)", format!("e_type {}", header.e_type)));
        }
        let phnum = count(&image, &header, endian, is_64bit);
        let size = ProgramHeader::size(ctx) as u64;
        // QEMU's `e_ehsize` is wrong, so its neighbour is not trusted either unless it fits.
        let step = u64::from(header.e_phentsize).max(size);
        let mut elf = Elf {
            header: ElfHeader { machine: header.e_machine, flags: header.e_flags, phnum, ..ElfHeader::default() },
            machine: Machine { arch: Arch::from_elf(header.e_machine, is_64bit), is_64bit, endian },
            in_file: ExtentMap::default(),
            in_memory: ExtentMap::default(),
            notes: Vec::new(),
            bytes_promised: (0, 0),
            unfilled: 0,
            page_size: 4096,
            image,
        };
        let mut file = Vec::new();
        let mut memory = Vec::new();
        for nth in 0..phnum.min(MAX_HEADERS) {
            let at = header.e_phoff.saturating_add(nth.saturating_mul(step));
            let one = elf.image.read(at, size as usize);
            let Some(one) = one.and_then(|bytes| ProgramHeader::parse(&bytes, 0, 1, ctx).ok()?.pop()) else {
                elf.unfilled += phnum - nth;
                break;
            };
            match one.p_type {
                PT_LOAD => {
                    elf.header.loads += 1;
                    // All ones: a segment of /proc/kcore that has no physical address.
                    if one.p_paddr == u64::MAX || one.p_paddr == u64::from(u32::MAX) && !is_64bit {
                        continue;
                    }
                    let extent = |len| Extent { start: one.p_paddr, len, pos: one.p_offset };
                    file.push(extent(one.p_filesz));
                    memory.push(extent(one.p_memsz.max(one.p_filesz)));
                }
                PT_NOTE => elf.notes.push((one.p_offset, one.p_filesz)),
                PT_NULL => elf.unfilled += 1,
                _ => {}
            }
        }
        let bytes = |list: &[Extent]| list.iter().fold(0u64, |sum, extent| sum.saturating_add(extent.len));
        elf.bytes_promised = (bytes(&file), bytes(&memory));
        if memory.is_empty() && has_xen_pages(&elf.image, &header, endian, is_64bit) {
            return Err(Error::Unsupported { name: elf.image.name.clone(), format: Format::XenDomain });
        }
        if memory.len() > 1 && memory.iter().all(|extent| extent.start == 0) {
            let found = format!("{} segments, all at physical address 0: the core of a process", memory.len());
            return Err(Error::Header {
                name: elf.image.name.clone(),
                what: "the program headers",
                offset: header.e_phoff,
                expected: "segments of physical memory",
                found,
            });
        }
        // Where segments overlap the first that has bytes in the file counts.
        file.reverse();
        memory.reverse();
        elf.in_file = ExtentMap::later_wins(file);
        elf.in_memory = ExtentMap::later_wins(memory);
        Ok(elf)
    }

    pub(crate) fn set_page_size(&mut self, page_size: usize) {
        self.page_size = page_size;
    }

    pub(crate) fn page_size(&self) -> usize {
        self.page_size
    }

    pub(crate) fn image(&self) -> &Image {
        &self.image
    }

    /// Position and length of the note segments.
    pub(crate) fn notes(&self) -> &[(u64, u64)] {
        &self.notes
    }

    pub(crate) fn end_pfn(&self) -> u64 {
        self.in_memory.end().div_ceil(self.page_size as u64)
    }

    pub(crate) fn says_incomplete(&self) -> bool {
        self.header.flags & FLAG_INCOMPLETE != 0
    }

    /// Why a byte is not there.
    fn why(&self, at: u64) -> Why {
        if let Some(extent) = self.in_file.covering(at) {
            let offset = extent.pos.saturating_add(at - extent.start);
            return Why::MissingFromFile { offset };
        }
        if self.in_memory.covering(at).is_some() {
            return Why::ExcludedByFilter;
        }
        if self.unfilled > 0 {
            // The header that would speak of it was never written.
            return Why::MissingFromFile { offset: self.image.len() };
        }
        Why::NotRam
    }

    /// The bytes at `at`, as many as one segment has in one piece, at most `len`.
    fn piece(&self, at: u64, len: usize) -> Result<Cow<'_, [u8]>, Absent> {
        let absent = || Absent { at: PhysAddr(at), why: self.why(at) };
        let extent = self.in_file.covering(at).ok_or_else(absent)?;
        let offset = extent.pos.checked_add(at - extent.start).ok_or_else(absent)?;
        let there = (extent.end() - at).min(self.image.len().saturating_sub(offset));
        let bytes = self.image.read(offset, there.min(len as u64) as usize);
        bytes.filter(|bytes| !bytes.is_empty()).ok_or_else(absent)
    }

    pub(crate) fn page(&self, pfn: u64) -> Result<Page<'_>, Absent> {
        let start = address::of_page(pfn, self.page_size);
        match self.piece(start.0, self.page_size)? {
            Cow::Borrowed(bytes) if bytes.len() == self.page_size => return Ok(Page::borrowed(bytes)),
            _ => {}
        }
        let mut page = vec![0; self.page_size];
        self.read(start, &mut page).map_err(|(_, absent)| absent)?;
        Ok(Page::shared(Arc::from(page)))
    }

    /// Byte by byte, for segments need not begin or end at a page.
    pub(crate) fn read(&self, start: PhysAddr, buffer: &mut [u8]) -> Result<(), (usize, Absent)> {
        let mut done = 0;
        while let Some(rest) = buffer.get_mut(done..).filter(|rest| !rest.is_empty()) {
            let Some(at) = start.checked_add(done as u64) else {
                return Err((done, Absent { at: PhysAddr(u64::MAX), why: Why::NotRam }));
            };
            let bytes = self.piece(at.0, rest.len()).map_err(|absent| (done, absent))?;
            let (Some(to), n) = (rest.get_mut(..bytes.len()), bytes.len()) else { break };
            to.copy_from_slice(&bytes);
            done += n;
        }
        Ok(())
    }

    /// Ranges of page frames that have bytes in the file, in order.
    pub(crate) fn ranges(&self) -> impl Iterator<Item = Range<u64>> {
        let size = self.page_size as u64;
        let mut last = 0;
        self.in_file.from(0).iter().filter_map(move |extent| {
            let there = extent.len.min(self.image.len().saturating_sub(extent.pos));
            let from = (extent.start / size).max(last);
            let to = extent.start.saturating_add(there).div_ceil(size);
            last = last.max(to);
            (there > 0 && from < to).then_some(from..to)
        })
    }

    pub(crate) fn info(&self) -> (ElfHeader, PageCounts) {
        let size = self.page_size as u64;
        let whole = |map: &ExtentMap, in_file: bool| {
            map.from(0)
                .iter()
                .map(|extent| {
                    let len = match in_file {
                        true => extent.len.min(self.image.len().saturating_sub(extent.pos)),
                        false => extent.len,
                    };
                    (extent.start.saturating_add(len) / size).saturating_sub(extent.start.div_ceil(size))
                })
                .fold(0, u64::saturating_add)
        };
        let present = whole(&self.in_file, true);
        let promised = whole(&self.in_file, false);
        let ram = whole(&self.in_memory, false);
        let mut header = self.header.clone();
        header.pages_file = self.bytes_promised.0 / size;
        header.pages_memory = self.bytes_promised.1 / size;
        header.whole_pages_in_file = present;
        let counts = PageCounts {
            max_mapnr: self.end_pfn(),
            ram: Some(ram),
            dumpable: promised,
            excluded: Some(ram.saturating_sub(promised)),
            not_ram: Some(self.end_pfn().saturating_sub(ram)),
            present,
            beyond_end_of_file: promised.saturating_sub(present),
            ..PageCounts::default()
        };
        (header, counts)
    }

    pub(crate) fn gaps(&self) -> Vec<Gap> {
        let mut gaps = Vec::new();
        let mut gap = |what: String, offset: Option<u64>, why: &str, closes: &str| {
            gaps.push(Gap { what, file: self.image.name.clone(), offset, why: why.into(), closes: closes.into() });
        };
        if self.says_incomplete() {
            gap(
                "pages that were not written".into(),
                None,
                "the header says that the dump is incomplete: its writer ran out of space",
                "take the dump again with more space",
            );
        }
        if self.header.phnum > MAX_HEADERS {
            gap(format!("the segments after the first {MAX_HEADERS}"), None, "more program headers than are read", "");
        } else if self.unfilled > 0 {
            gap(
                format!("{} of {} segments", self.unfilled, self.header.phnum),
                None,
                "their program headers are blank or beyond the end of the file",
                "take the dump again",
            );
        }
        let lost = self.info().1.beyond_end_of_file;
        let cut = |extent: &Extent| extent.pos.saturating_add(extent.len) > self.image.len();
        if self.in_file.from(0).iter().any(cut) {
            gap(
                format!("{lost} pages: they lie beyond the end of the file"),
                Some(self.image.len()),
                "the file was cut",
                "copy the file again from where it was written",
            );
        }
        gaps
    }
}

/// Whether the file has the sections of a Xen domain's core, which has no segments.
fn has_xen_pages(image: &Image, header: &Header, endian: Endian, is_64bit: bool) -> bool {
    let names = || {
        let index = u64::from(header.e_shstrndx).checked_mul(header.e_shentsize.into())?;
        let section = image.read(header.e_shoff.checked_add(index)?, if is_64bit { 64 } else { 40 })?;
        let (at, len) = match is_64bit {
            true => (endian.u64(&section, 24)?, endian.u64(&section, 32)?),
            false => (endian.u32(&section, 16)?.into(), endian.u32(&section, 20)?.into()),
        };
        Some(image.read_some(at, len.min(4096) as usize))
    };
    names().is_some_and(|names| names.split(|&byte| byte == 0).any(|name| matches!(name, b".xen_pages" | b".xen_p2m")))
}

/// The number of program headers.
fn count(image: &Image, header: &Header, endian: Endian, is_64bit: bool) -> u64 {
    if header.e_phnum != PN_XNUM {
        return header.e_phnum.into();
    }
    let sh_info = if is_64bit { 44 } else { 28 };
    header
        .e_shoff
        .checked_add(sh_info)
        .and_then(|at| endian.u32(&image.read(at, 4)?, 0))
        .filter(|&count| count != 0)
        .unwrap_or(PN_XNUM.into())
        .into()
}
