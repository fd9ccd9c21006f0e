//! The dump as a whole.

use std::ops::Range;
use std::path::Path;

use crate::address::PhysAddr;
use crate::elf::Elf;
use crate::error::{Absent, Error, Gap, Short, Why};
use crate::image::Image;
use crate::info::Info;
use crate::kdump::Kdump;
use crate::machine::{Arch, Machine};
use crate::notes::Notes;
use crate::page::Page;
use crate::registers::Registers;
use crate::sniff::{Format, SNIFF_LEN, sniff};
use crate::source::Source;
use crate::vmcoreinfo::{self, FoundVmcoreinfo};
use crate::{Codec, address};

/// Bytes of decoded pages that are kept. The whole tool is to run in 128 MB.
const CACHE_BYTES: usize = 32 << 20;

/// A crash dump, open for reading.
///
/// Opening reads headers and notes only, whatever the size of the memory. All methods take
/// `&self` and may be called from many threads at once; decoded pages are kept in a bounded
/// cache that they share.
pub struct Dump {
    body: Body,
    machine: Machine,
    notes: Notes,
    end_pfn: u64,
}

enum Body {
    Kdump(Kdump),
    Elf(Box<Elf>),
}

impl Dump {
    /// Opens a dump file, or all parts of a split dump in any order.
    ///
    /// The files are mapped into memory and must not be truncated while they are open (see
    /// [`Source::map`]). Files cut by size (`split -b`) are recognised by the first alone
    /// having a signature, and must be given in their order.
    ///
    /// # Errors
    /// When nothing can be read: no such file, no dump, a format that is only named (the
    /// message says how to convert it), a header that leads nowhere, or files that do not
    /// belong together. Damage that leaves something to read is not an error; see
    /// [`gaps`](Dump::gaps).
    pub fn open<P: AsRef<Path>>(paths: &[P]) -> Result<Dump, Error> {
        let sources = paths.iter().map(|path| {
            let path = path.as_ref();
            Ok((path.display().to_string(), Source::map(path)?))
        });
        Dump::from_sources(sources.collect::<Result<_, Error>>()?)
    }

    /// The same for files that are in memory, each with a name for messages.
    ///
    /// # Errors
    /// As [`open`](Dump::open).
    pub fn from_bytes(files: Vec<(String, Vec<u8>)>) -> Result<Dump, Error> {
        let sources = files.into_iter().map(|(name, bytes)| (name, Source::bytes(bytes)));
        Dump::from_sources(sources.collect())
    }

    /// The same for any sources, each with a name for messages.
    ///
    /// # Errors
    /// As [`open`](Dump::open).
    pub fn from_sources(files: Vec<(String, Source)>) -> Result<Dump, Error> {
        let mut images: Vec<Image> =
            join_pieces(files).into_iter().map(|(name, source)| Image::new(name, source)).collect();
        let mut formats = images.iter().map(|image| sniff(&image.read_some(0, SNIFF_LEN)));
        let format = formats.next().ok_or(Error::NoInput)?;
        let same = formats.position(|other| other != format);
        if let Some(nth) = same
            && let [first, rest @ ..] = &*images
            && let Some(other) = rest.get(nth)
        {
            return Err(Error::NotOneDump {
                name: other.name.clone(),
                first: first.name.clone(),
                why: "their formats differ".into(),
            });
        }
        match format {
            Format::Kdump | Format::Diskdump => Dump::from_kdump(Kdump::open(images, CACHE_BYTES)?),
            Format::Elf => {
                if let [first, second, ..] = &*images {
                    return Err(Error::NotOneDump {
                        name: second.name.clone(),
                        first: first.name.clone(),
                        why: "each is an ELF dump of its own".into(),
                    });
                }
                let image = images.pop().ok_or(Error::NoInput)?;
                Ok(Dump::from_elf(Elf::open(image)?))
            }
            Format::Unknown => Err(not_a_dump(images.first())),
            format => Err(Error::Unsupported {
                name: images.first().map(|image| image.name.clone()).unwrap_or_default(),
                format,
            }),
        }
    }

    fn from_kdump(kdump: Kdump) -> Result<Dump, Error> {
        let (header, image) = kdump.main().ok_or(Error::NoInput)?;
        let machine = Machine {
            arch: Arch::from_uname(&header.fields.utsname.machine),
            is_64bit: header.is_64bit,
            endian: header.endian,
        };
        let area = header.notes.map(|(at, len)| (image, at, len));
        let mut notes = Notes::read(area.into_iter(), &machine);
        for (header, image) in kdump.images() {
            notes.or_vmcoreinfo(image, header.vmcoreinfo);
            notes.or_eraseinfo(image, header.eraseinfo);
        }
        Ok(Dump { end_pfn: kdump.end_pfn(), machine: named(machine, &notes), notes, body: Body::Kdump(kdump) })
    }

    fn from_elf(mut elf: Elf) -> Dump {
        let areas = elf.notes().iter().map(|&(at, len)| (elf.image(), at, len));
        let notes = Notes::read(areas, &elf.machine);
        let page_size = notes
            .vmcoreinfo
            .as_deref()
            .and_then(|text| vmcoreinfo::value(text, "PAGESIZE")?.parse().ok())
            .filter(|size: &usize| size.is_power_of_two() && (4096..=1 << 20).contains(size));
        elf.set_page_size(page_size.unwrap_or(4096));
        Dump { end_pfn: elf.end_pfn(), machine: elf.machine.clone(), notes, body: Body::Elf(Box::new(elf)) }
    }

    /// Bytes per page: a kdump's block size, VMCOREINFO's `PAGESIZE` in an ELF dump, or 4096.
    pub fn page_size(&self) -> usize {
        match &self.body {
            Body::Kdump(kdump) => kdump.page_size(),
            Body::Elf(elf) => elf.page_size(),
        }
    }

    /// The machine that was dumped.
    pub fn machine(&self) -> &Machine {
        &self.machine
    }

    /// The first page frame number beyond all memory the dump speaks of.
    pub fn end_pfn(&self) -> u64 {
        self.end_pfn
    }

    /// The page with this frame number.
    ///
    /// # Errors
    /// [`Absent`] when not all of its bytes can be given, and why. It is never made up of zeros.
    pub fn page(&self, pfn: u64) -> Result<Page<'_>, Absent> {
        match &self.body {
            Body::Kdump(kdump) => kdump.page(pfn),
            Body::Elf(elf) => elf.page(pfn),
        }
    }

    /// Fills `buffer` with the memory from `start` on.
    ///
    /// # Errors
    /// [`Short`] when it ends early: how many bytes at the start of the buffer are good, and
    /// what is absent. The rest of the buffer is unspecified.
    pub fn read(&self, start: PhysAddr, buffer: &mut [u8]) -> Result<(), Short> {
        self.read_by(start, buffer, false)
    }

    /// The same for what is read once: whole pages are decoded where they are wanted and not kept for others.
    ///
    /// # Errors
    /// As [`read`](Dump::read); what lies behind the bytes that it counts as done is then undefined.
    pub fn read_once(&self, start: PhysAddr, buffer: &mut [u8]) -> Result<(), Short> {
        self.read_by(start, buffer, true)
    }

    fn read_by(&self, start: PhysAddr, buffer: &mut [u8], once: bool) -> Result<(), Short> {
        let kdump = match &self.body {
            Body::Elf(elf) => return elf.read(start, buffer).map_err(|(done, absent)| Short { done, absent }),
            Body::Kdump(kdump) => kdump,
        };
        let page_size = self.page_size() as u64;
        let mut done = 0;
        while let Some(rest) = buffer.get_mut(done..).filter(|rest| !rest.is_empty()) {
            let short = |absent| Short { done, absent };
            let Some(at) = start.checked_add(done as u64) else {
                return Err(short(Absent { at: PhysAddr(u64::MAX), why: Why::NotRam }));
            };
            let (pfn, within) = (at.0 / page_size, (at.0 % page_size) as usize);
            if once
                && within == 0
                && let Some(whole) = rest.get_mut(..page_size as usize)
            {
                kdump.page_into(pfn, whole).map_err(short)?;
                done += page_size as usize;
                continue;
            }
            let page = kdump.page(pfn).map_err(|mut absent| {
                absent.at = absent.at.max(at);
                short(absent)
            })?;
            let from = page.get(within..).unwrap_or_default();
            let n = from.len().min(rest.len());
            let (Some(to), Some(from)) = (rest.get_mut(..n), from.get(..n)) else {
                break;
            };
            to.copy_from_slice(from);
            done += n;
        }
        Ok(())
    }

    /// Ranges of page frames that the dump says it has, in order, found as they are asked for.
    ///
    /// For scans over memory. In a cut or incomplete file [`page`](Dump::page) may still
    /// answer that a page of a range is missing.
    pub fn ranges(&self) -> Box<dyn Iterator<Item = Range<u64>> + Send + '_> {
        match &self.body {
            Body::Kdump(kdump) => Box::new(kdump.ranges()),
            Body::Elf(elf) => Box::new(elf.ranges()),
        }
    }

    /// Registers, VMCOREINFO and whatever else the notes say.
    pub fn notes(&self) -> &Notes {
        &self.notes
    }

    /// The text of the VMCOREINFO note. See [`find_vmcoreinfo`](Dump::find_vmcoreinfo) for
    /// dumps without one.
    pub fn vmcoreinfo(&self) -> Option<&str> {
        self.notes.vmcoreinfo.as_deref()
    }

    /// Searches all memory for VMCOREINFO texts, in order of addresses, until `limit` are found
    /// (at most 16).
    ///
    /// Dumps taken by a hypervisor often lack the note. The kernel's buffer and the note made
    /// from it usually both turn up, with the same text; a dump taken while a crash kernel ran
    /// may have those of two kernels. Decodes every page that comes before the last hit.
    pub fn find_vmcoreinfo(&self, limit: usize) -> Vec<FoundVmcoreinfo> {
        vmcoreinfo::find(self, limit)
    }

    /// What is lost or doubtful in the file as a whole. Looks at the bitmaps and at the last
    /// 65,536 page descriptors of a kdump.
    pub fn gaps(&self) -> Vec<Gap> {
        let mut gaps: Vec<Gap> = self.images().filter_map(Image::gap).collect();
        gaps.extend(match &self.body {
            Body::Kdump(kdump) => kdump.gaps(),
            Body::Elf(elf) => elf.gaps(),
        });
        gaps
    }

    /// A summary with page counts. Reads all bitmaps and all page descriptors.
    pub fn info(&self) -> Info {
        self.summary(true)
    }

    /// The same without page counts, which are all zero: takes no time, however large the dump is.
    pub fn outline(&self) -> Info {
        self.summary(false)
    }

    fn summary(&self, counted: bool) -> Info {
        let (kdump, elf, pages, format) = match &self.body {
            Body::Kdump(kdump) => {
                let header = kdump.main().map(|(header, _)| header);
                let format = match header {
                    Some(header) if header.diskdump => Format::Diskdump,
                    _ => Format::Kdump,
                };
                let pages = if counted { kdump.counts() } else { crate::PageCounts::default() };
                (header.map(|header| header.fields.clone()), None, pages, format)
            }
            Body::Elf(elf) => {
                let (header, pages) = elf.info();
                (None, Some(header), pages, Format::Elf)
            }
        };
        let status = kdump.as_ref().map_or(0, |header| header.status);
        let flag = |bit: u32, codec| (status & bit != 0).then_some(codec);
        let (says_incomplete, compression) = match format {
            // In an old diskdump the bits mean something else.
            Format::Diskdump => (status & 1 != 0, Vec::from_iter(flag(8, Codec::Zlib))),
            Format::Elf => (elf.as_ref().is_some_and(|header| header.flags & 1 != 0), Vec::new()),
            _ => {
                let codecs =
                    [flag(0x1, Codec::Zlib), flag(0x2, Codec::Lzo), flag(0x4, Codec::Snappy), flag(0x20, Codec::Zstd)];
                (status & 8 != 0, codecs.into_iter().flatten().collect())
            }
        };
        Info {
            format,
            flattened: self.images().any(Image::is_flattened),
            files: self.images().map(|image| (image.name.clone(), image.file_size())).collect(),
            machine: self.machine.clone(),
            page_size: self.page_size(),
            says_incomplete,
            compression,
            kdump,
            elf,
            pages,
        }
    }

    fn images(&self) -> impl Iterator<Item = &Image> {
        let (many, one) = match &self.body {
            Body::Kdump(kdump) => (Some(kdump.images().map(|(_, image)| image)), None),
            Body::Elf(elf) => (None, Some(elf.image())),
        };
        many.into_iter().flatten().chain(one)
    }

    /// Where a page begins.
    pub fn address_of(&self, pfn: u64) -> PhysAddr {
        address::of_page(pfn, self.page_size())
    }
}

/// Names the machine by its registers where the header does not (QEMU leaves it empty at times).
fn named(mut machine: Machine, notes: &Notes) -> Machine {
    if machine.arch == Arch::Unknown {
        machine.arch = match notes.prstatus.first().map(|status| &status.registers) {
            Some(Registers::X86_64(_)) => Arch::X86_64,
            Some(Registers::Aarch64(_)) => Arch::Aarch64,
            _ => Arch::Unknown,
        };
    }
    machine
}

/// Puts the pieces of a file that `split -b` cut back together: pieces after the first have no
/// signature.
fn join_pieces(files: Vec<(String, Source)>) -> Vec<(String, Source)> {
    let is_dump = |source: &Source| {
        let start = source.read(0, 16);
        start.is_some_and(|start| sniff(&start) != Format::Unknown)
    };
    let first_alone =
        files.split_first().is_some_and(|(first, rest)| is_dump(&first.1) && !rest.iter().any(|file| is_dump(&file.1)));
    if files.len() < 2 || !first_alone {
        return files;
    }
    let name = files.first().map(|file| file.0.clone()).unwrap_or_default();
    vec![(name, Source::concat(files.into_iter().map(|file| file.1).collect()))]
}

fn not_a_dump(image: Option<&Image>) -> Error {
    let Some(image) = image else {
        return Error::NoInput;
    };
    let start = image.read_some(0, 16);
    let found = match start.is_empty() {
        true => "nothing: it is empty".to_owned(),
        false => format!("\"{}\"", start.escape_ascii()),
    };
    Error::NotADump { name: image.name.clone(), found }
}
