//! `disk_dump_header` and `kdump_sub_header`, in every word size and byte order.
//!
//! Nothing in the file says which layout it has: each is tried, and the one whose numbers
//! fit together is taken. Versions, sizes and positions are only believed as far as they
//! stay inside the sub header and the file.

use crate::bytes::{Endian, c_text};
use crate::error::Error;
use crate::image::Image;
use crate::info::{KdumpHeader, Utsname};

/// Bytes of the fixed header that are looked at.
const HEADER_LEN: usize = 464;
/// makedumpfile refuses pages above 64 KiB; a little room is left for what may come.
const MAX_BLOCK: u32 = 1 << 20;
/// A bitmap this long covers 2^35 pages, 128 TiB of memory in 4 KiB pages.
const MAX_BITMAP_BYTES: u64 = 1 << 32;

/// Word size, and how the C compiler of a 32-bit machine aligns a 64-bit `off_t`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Abi {
    Lp64,
    /// i386, and QEMU for every 32-bit machine.
    Ilp32Packed,
    /// arm, ppc, mips.
    Ilp32Aligned,
}

/// Where the sub header's fields lie.
struct SubLayout {
    dump_level: usize,
    split: usize,
    start_pfn: usize,
    end_pfn: usize,
    vmcoreinfo: (usize, usize),
    note: (usize, usize),
    eraseinfo: (usize, usize),
    wide: usize,
}

impl Abi {
    fn sub_layout(self) -> SubLayout {
        match self {
            Abi::Lp64 => SubLayout {
                dump_level: 8,
                split: 12,
                start_pfn: 16,
                end_pfn: 24,
                vmcoreinfo: (32, 40),
                note: (48, 56),
                eraseinfo: (64, 72),
                wide: 80,
            },
            Abi::Ilp32Packed => SubLayout {
                dump_level: 4,
                split: 8,
                start_pfn: 12,
                end_pfn: 16,
                vmcoreinfo: (20, 28),
                note: (32, 40),
                eraseinfo: (44, 52),
                wide: 56,
            },
            Abi::Ilp32Aligned => SubLayout {
                dump_level: 4,
                split: 8,
                start_pfn: 12,
                end_pfn: 16,
                vmcoreinfo: (24, 32),
                note: (40, 48),
                eraseinfo: (56, 64),
                wide: 72,
            },
        }
    }
}

/// A header that holds together, with what follows from it.
pub(crate) struct Header {
    pub(crate) fields: KdumpHeader,
    pub(crate) endian: Endian,
    pub(crate) is_64bit: bool,
    /// Whether the signature is the old one, under which status bits mean something else.
    pub(crate) diskdump: bool,
    /// Where the notes, the VMCOREINFO text and ERASEINFO lie (position, length).
    pub(crate) notes: Option<(u64, u64)>,
    pub(crate) vmcoreinfo: Option<(u64, u64)>,
    pub(crate) eraseinfo: Option<(u64, u64)>,
    /// Position of the bitmap that says what is RAM, if there are two.
    pub(crate) ram_bitmap: Option<u64>,
    /// Position and length of the bitmap that says what is in the dump.
    pub(crate) dump_bitmap: (u64, u64),
    /// Position of the first page descriptor.
    pub(crate) descriptors: u64,
}

/// Reads the header of a kdump or diskdump file.
pub(crate) fn read(image: &Image) -> Result<Header, Error> {
    let start = image.read_some(0, HEADER_LEN);
    let diskdump = start.starts_with(b"DISKDUMP");
    let mut refused = String::new();
    for endian in [Endian::Little, Endian::Big] {
        for is_64bit in [true, false] {
            match main_header(&start, endian, is_64bit) {
                Ok(fields) => return Ok(finish(image, fields, endian, is_64bit, diskdump)),
                Err(why) if refused.is_empty() => refused = why,
                Err(_) => {}
            }
        }
    }
    Err(Error::Header {
        name: image.name.clone(),
        what: "the kdump header",
        offset: 0,
        expected: "a block size between 4 KiB and 1 MiB and bitmaps that cover max_mapnr",
        found: refused,
    })
}

/// The first header in one layout, or why it cannot be that one.
fn main_header(start: &[u8], endian: Endian, is_64bit: bool) -> Result<KdumpHeader, String> {
    let cut = || format!("the end of the file after {} bytes", start.len());
    let (timestamp, status) = if is_64bit { (408, 424) } else { (404, 412) };
    let u32 = |at: usize| endian.u32(start, at).ok_or_else(cut);
    let text = |at: usize| c_text(start.get(at..at + 65).unwrap_or_default());
    let (block_size, sub_hdr_size, bitmap_blocks) = (u32(status + 4)?, u32(status + 8)?, u32(status + 12)?);
    let (max_mapnr, header_version) = (u32(status + 16)?, u32(8)?);
    if !block_size.is_power_of_two() || !(4096..=MAX_BLOCK).contains(&block_size) {
        return Err(format!("block size {block_size}"));
    }
    if !(1..=4096).contains(&sub_hdr_size) {
        return Err(format!("a sub header of {sub_hdr_size} blocks"));
    }
    if header_version > 0xffff {
        return Err(format!("header version {header_version:#x}"));
    }
    let bitmap_bytes = u64::from(bitmap_blocks) * u64::from(block_size);
    if bitmap_bytes == 0 || bitmap_bytes > 2 * MAX_BITMAP_BYTES {
        return Err(format!("bitmaps of {bitmap_blocks} blocks"));
    }
    // Saturated when the true number is in the sub header.
    if max_mapnr != u32::MAX && u64::from(max_mapnr) > bitmap_bytes * 8 {
        return Err(format!("max_mapnr {max_mapnr} with bitmaps of {bitmap_bytes} bytes"));
    }
    Ok(KdumpHeader {
        header_version,
        utsname: Utsname {
            sysname: text(12),
            nodename: text(77),
            release: text(142),
            version: text(207),
            machine: text(272),
            domainname: text(337),
        },
        timestamp: match is_64bit {
            true => endian.u64(start, timestamp).ok_or_else(cut)?,
            false => u32(timestamp)?.into(),
        },
        status: u32(status)?,
        block_size,
        sub_hdr_size,
        bitmap_blocks,
        max_mapnr: max_mapnr.into(),
        header_max_mapnr: max_mapnr,
        current_cpu: u32(status + 32)?,
        nr_cpus: endian.i32(start, status + 36).ok_or_else(cut)?,
        ..KdumpHeader::default()
    })
}

/// The sub header, and the positions that follow from both.
fn finish(image: &Image, mut fields: KdumpHeader, endian: Endian, is_64bit: bool, diskdump: bool) -> Header {
    let block = u64::from(fields.block_size);
    let sub_len = u64::from(fields.sub_hdr_size) * block;
    let sub = image.read_some(block, sub_len.min(128) as usize);
    let mut header_positions = [None; 3];
    // The sub header of a diskdump is another structure.
    if !diskdump {
        let abis: &[Abi] = if is_64bit { &[Abi::Lp64] } else { &[Abi::Ilp32Packed, Abi::Ilp32Aligned] };
        let best = abis
            .iter()
            .map(|abi| (sub_header(image, &sub, &fields, endian, is_64bit, &abi.sub_layout()), abi))
            .max_by_key(|((_, positions), abi)| {
                // With equal evidence the packed layout wins, as QEMU and i386 have it.
                (positions.iter().flatten().count(), **abi != Abi::Ilp32Aligned)
            });
        if let Some(((with_sub, positions), _)) = best {
            fields = with_sub;
            header_positions = positions;
        }
    }
    let bitmap_bytes = u64::from(fields.bitmap_blocks) * block;
    let bitmaps = block.saturating_add(sub_len);
    // Two bitmaps when half of the area is enough (old diskdump has one).
    let two = fields.max_mapnr <= bitmap_bytes.saturating_mul(4);
    let one_len = if two { bitmap_bytes / 2 } else { bitmap_bytes };
    fields.max_mapnr = fields.max_mapnr.min(one_len.saturating_mul(8));
    let [vmcoreinfo, notes, eraseinfo] = header_positions;
    Header {
        endian,
        is_64bit,
        diskdump,
        notes,
        vmcoreinfo,
        eraseinfo,
        ram_bitmap: two.then_some(bitmaps),
        dump_bitmap: (if two { bitmaps + one_len } else { bitmaps }, one_len),
        descriptors: bitmaps + bitmap_bytes,
        fields,
    }
}

type Positions = [Option<(u64, u64)>; 3];

/// The sub header in one layout. The positions are those of VMCOREINFO, notes and ERASEINFO,
/// each only if it lies behind the first block and begins inside the file.
fn sub_header(
    image: &Image,
    sub: &[u8],
    fields: &KdumpHeader,
    endian: Endian,
    is_64bit: bool,
    at: &SubLayout,
) -> (KdumpHeader, Positions) {
    let mut fields = fields.clone();
    let version = fields.header_version;
    let word = |at: usize| match is_64bit {
        true => endian.u64(sub, at),
        false => endian.u32(sub, at).map(u64::from),
    };
    let place = |since: u32, (offset, size): (usize, usize)| {
        let (offset, size) = (endian.u64(sub, offset)?, word(size)?);
        (version >= since
            && size > 0
            && offset > u64::from(fields.block_size)
            && offset < image.len()
            && offset.checked_add(size).is_some())
        .then_some((offset, size))
    };
    let positions = [place(3, at.vmcoreinfo), place(4, at.note), place(5, at.eraseinfo)];
    fields.phys_base = match is_64bit {
        true => word(0).unwrap_or(0).cast_signed(),
        false => endian.i32(sub, 0).unwrap_or(0).into(),
    };
    if version >= 1 {
        fields.dump_level = endian.i32(sub, at.dump_level).unwrap_or(0);
    }
    if version >= 2 {
        fields.split = endian.i32(sub, at.split).unwrap_or(0) != 0;
        fields.start_pfn = word(at.start_pfn).unwrap_or(0);
        fields.end_pfn = word(at.end_pfn).unwrap_or(0);
    }
    if version >= 6 {
        let wide = |nth: usize| endian.u64(sub, at.wide + 8 * nth);
        if fields.split {
            fields.start_pfn = wide(0).unwrap_or(fields.start_pfn);
            fields.end_pfn = wide(1).unwrap_or(fields.end_pfn);
        }
        // A 64-bit count that contradicts the 32-bit one is not a count.
        let narrow = u64::from(fields.header_max_mapnr);
        if let Some(max) = wide(2)
            && (max == narrow || (narrow == u64::from(u32::MAX) && max > narrow))
        {
            fields.max_mapnr = max;
        }
    }
    (fields, positions)
}
