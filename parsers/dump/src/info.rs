//! What a dump says of itself.

use std::collections::BTreeMap;

use crate::error::Codec;
use crate::machine::Machine;
use crate::sniff::Format;

/// A summary of a dump, made by [`Dump::info`](crate::Dump::info).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Info {
    /// What the file is (what is inside, if it is flattened).
    pub format: Format,
    /// Whether it is (or one of its parts is) flattened.
    pub flattened: bool,
    /// The files, in the order of their pages, with their sizes in bytes.
    pub files: Vec<(String, u64)>,
    /// The machine that was dumped.
    pub machine: Machine,
    /// Bytes per page.
    pub page_size: usize,
    /// Whether the file says of itself that it is incomplete.
    pub says_incomplete: bool,
    /// Compression that the header names; each page's own descriptor decides.
    pub compression: Vec<Codec>,
    /// Header of a kdump file (that of the part with the notes, in a split set).
    pub kdump: Option<KdumpHeader>,
    /// Header of an ELF file.
    pub elf: Option<ElfHeader>,
    /// Pages by state.
    pub pages: PageCounts,
}

/// `struct new_utsname`: all empty in a dump made by QEMU, but for `machine`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Utsname {
    /// `uname -s`.
    pub sysname: String,
    /// `uname -n`.
    pub nodename: String,
    /// `uname -r`.
    pub release: String,
    /// `uname -v`.
    pub version: String,
    /// `uname -m`.
    pub machine: String,
    /// NIS domain name.
    pub domainname: String,
}

/// `disk_dump_header` and `kdump_sub_header`, by the names they have in makedumpfile.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct KdumpHeader {
    /// 1 to 6.
    pub header_version: u32,
    /// The system, where the writer knew it.
    pub utsname: Utsname,
    /// Seconds since 1970; mostly zero.
    pub timestamp: u64,
    /// Bit set: 1 zlib, 2 lzo, 4 snappy, 8 incomplete, 0x10 vmemmap excluded, 0x20 zstd. In an
    /// old diskdump 1 is incomplete and 8 compressed.
    pub status: u32,
    /// Bytes per block, which is the page size.
    pub block_size: u32,
    /// Blocks of the sub header.
    pub sub_hdr_size: u32,
    /// Blocks of all bitmaps.
    pub bitmap_blocks: u32,
    /// Page frames that the bitmaps cover.
    pub max_mapnr: u64,
    /// The same as the first header has it; saturated.
    pub header_max_mapnr: u32,
    /// Zero in practice: **not** the CPU that crashed.
    pub current_cpu: u32,
    /// Number of CPUs.
    pub nr_cpus: i32,
    /// Where the kernel lies, on x86-64; VMCOREINFO knows it better.
    pub phys_base: i64,
    /// What was left out: 1 zero pages, 2 and 4 page cache, 8 user pages, 16 free pages.
    pub dump_level: i32,
    /// Whether this is a part of a split dump.
    pub split: bool,
    /// First page frame of the part.
    pub start_pfn: u64,
    /// First page frame after the part.
    pub end_pfn: u64,
}

/// What matters of an ELF header and its program headers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ElfHeader {
    /// `e_machine`.
    pub machine: u16,
    /// `e_flags`; 1 is set by makedumpfile when the dump is incomplete.
    pub flags: u32,
    /// Program headers, counted through section header 0 when there are more than 65,534.
    pub phnum: u64,
    /// `PT_LOAD` headers.
    pub loads: u64,
    /// Pages that the loads have in the file, whether or not the file is long enough.
    pub pages_file: u64,
    /// Pages that the loads have in memory.
    pub pages_memory: u64,
    /// Whole pages that really are in the file.
    pub whole_pages_in_file: u64,
}

/// Page counts. Fields that a format cannot tell are `None` or zero.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PageCounts {
    /// Page frames that the dump speaks of.
    pub max_mapnr: u64,
    /// RAM, as the dump knows it.
    pub ram: Option<u64>,
    /// Pages that were to be dumped (bits of the second bitmap).
    pub dumpable: u64,
    /// RAM that was left out on purpose.
    pub excluded: Option<u64>,
    /// Page frames that are no RAM.
    pub not_ram: Option<u64>,
    /// Pages whose data is in the file.
    pub present: u64,
    /// Pages that an incomplete dump promises and does not have.
    pub zero_descriptor: u64,
    /// Pages whose descriptor or data lies beyond the end of the file.
    pub beyond_end_of_file: u64,
    /// Pages in a part of a split dump that was not given.
    pub in_missing_part: u64,
    /// Present pages by codec.
    pub by_codec: BTreeMap<Codec, u64>,
    /// Present pages whose descriptor names no known codec.
    pub unknown_codec: u64,
    /// Pages that share the stored page which the most pages share (that of zeros).
    pub sharing_the_most_shared_page: u64,
}
