//! What `info` shows of a dump.

use std::collections::BTreeMap;

use dump::{PageCounts, Registers};
use facts::{Gap, Identity};
use kernel::Kernel;
use serde::Serialize;

use super::Opened;
use super::dump::gap;

/// A dump file described.
#[derive(Clone, Debug, Serialize)]
pub struct Described {
    /// The files and their sizes in bytes.
    pub files: Vec<(String, u64)>,
    /// What they are.
    pub format: String,
    /// Whether one is flattened.
    pub flattened: bool,
    /// Whether this is a split set.
    pub split: bool,
    /// Whether the file says of itself that it is incomplete.
    pub says_incomplete: bool,
    /// Compression that the header names.
    pub compression: Vec<String>,
    /// Architecture, bytes per page, byte order.
    pub arch: String,
    /// Bytes per page.
    pub page_size: usize,
    /// Byte order.
    pub endian: String,
    /// Header fields by makedumpfile's names, of a kdump file.
    pub header: BTreeMap<&'static str, serde_json::Value>,
    /// Pages by state.
    pub pages: Pages,
    /// What the kernel inside says of itself.
    pub identity: Identity,
    /// KASLR offset in bytes, where VMCOREINFO tells.
    pub kaslr_offset: Option<String>,
    /// Build-id of the kernel.
    pub build_id: Option<String>,
    /// CPUs with an NT_PRSTATUS note: pid and program counter.
    pub prstatus: Vec<Prstatus>,
    /// CPUs with QEMU's state note.
    pub qemu_cpus: usize,
    /// Whether there is an ERASEINFO note.
    pub eraseinfo: bool,
    /// VMCOREINFO, as text.
    pub vmcoreinfo: Option<String>,
    /// Where VMCOREINFO was found in memory when no note has it: physical addresses.
    pub vmcoreinfo_in_memory: Vec<String>,
    /// What is missing.
    pub gaps: Vec<Gap>,
}

/// The dump file, as far as it is told without counting its pages.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Outline {
    /// The files.
    pub files: Vec<String>,
    /// What they are: `kdump-compressed`, `ELF vmcore`.
    pub format: String,
    /// Compression that the header names.
    pub compression: Vec<String>,
    /// Kinds of pages that the filter left out, by makedumpfile's dump level.
    pub left_out: Vec<&'static str>,
    /// Whether it says of itself that it is incomplete.
    pub incomplete: bool,
}

/// Pages that makedumpfile's dump levels leave out, by bit.
const LEVELS: [&str; 5] =
    ["zero pages", "page cache", "page cache with private data", "pages of user processes", "free pages"];

/// What a dump file is, and what is missing from it, without counting pages.
pub fn outline(opened: &Opened) -> (Outline, Vec<Gap>) {
    let info = opened.dump.outline();
    let level = info.kdump.as_ref().map_or(0, |header| header.dump_level);
    let left_out = (0..).zip(LEVELS).filter(|(bit, _)| level >> bit & 1 == 1).map(|(_, name)| name);
    let format = if info.flattened { format!("{}, flattened", info.format) } else { info.format.to_string() };
    let outline = Outline {
        files: info.files.into_iter().map(|(name, _)| name).collect(),
        format,
        compression: info.compression.iter().map(ToString::to_string).collect(),
        left_out: left_out.collect(),
        incomplete: info.says_incomplete,
    };
    (outline, opened.dump.gaps().into_iter().map(gap).collect())
}

/// Pages by state; `null` where the format does not tell.
#[derive(Clone, Debug, Serialize)]
pub struct Pages {
    /// Page frames that the dump speaks of.
    pub max_mapnr: u64,
    /// RAM.
    pub ram: Option<u64>,
    /// Pages that were to be dumped.
    pub in_bitmap2: u64,
    /// RAM left out by the filter.
    pub excluded: Option<u64>,
    /// Page frames that are no RAM.
    pub not_ram: Option<u64>,
    /// Pages with data in the file.
    pub present: u64,
    /// Pages an incomplete dump has no data for.
    pub zero_descriptor: u64,
    /// Pages beyond the end of a cut file.
    pub beyond_end_of_file: u64,
    /// Pages in a part of a split dump that was not given.
    pub in_missing_part: u64,
    /// Present pages by codec.
    pub by_compression: BTreeMap<String, u64>,
    /// Present pages that share one stored page.
    pub sharing_the_most_shared_page: u64,
}

/// One NT_PRSTATUS note.
#[derive(Clone, Debug, Serialize)]
pub struct Prstatus {
    /// `pr_pid`; QEMU writes CPU number plus one.
    pub pid: i32,
    /// Program counter.
    pub pc: Option<String>,
    /// Stack pointer.
    pub sp: Option<String>,
}

/// Describes a dump: reads header, notes, bitmaps, and asks the kernel for its name.
pub fn describe(opened: &Opened) -> Described {
    let dump = &opened.dump;
    let info = dump.info();
    let notes = dump.notes();
    let mut gaps: Vec<Gap> = dump.gaps().into_iter().map(gap).collect();
    let mut identity = Identity::default();
    let mut kaslr_offset = None;
    let mut build_id = None;
    match Kernel::open(dump, kernel::Sources::default()) {
        Ok(kernel) => {
            identity = kernel.identity();
            kaslr_offset = kernel.vmcoreinfo().kernel_offset().map(|n| format!("{n:#x}"));
            build_id = kernel.build_id();
        }
        Err(error) => gaps.push(Gap::new(
            "the kernel inside the dump",
            opened.member.as_str(),
            error.to_string(),
            "the vmlinux of this kernel (--vmlinux), or a dump that is whole",
        )),
    }
    let mut header = BTreeMap::new();
    if let Some(k) = &info.kdump {
        header.insert("header_version", k.header_version.into());
        header.insert("block_size", k.block_size.into());
        header.insert("sub_hdr_size", k.sub_hdr_size.into());
        header.insert("bitmap_blocks", k.bitmap_blocks.into());
        header.insert("max_mapnr", k.max_mapnr.into());
        header.insert("dump_level", k.dump_level.into());
        header.insert("status", k.status.into());
        header.insert("nr_cpus", k.nr_cpus.into());
        header.insert("split", k.split.into());
        header.insert("start_pfn", k.start_pfn.into());
        header.insert("end_pfn", k.end_pfn.into());
        header.insert("nodename", k.utsname.nodename.clone().into());
        header.insert("release", k.utsname.release.clone().into());
        header.insert("machine", k.utsname.machine.clone().into());
        let some = |text: &String| (!text.is_empty()).then(|| text.clone());
        identity.fill(&Identity {
            host: some(&k.utsname.nodename).filter(|h| h != "(none)"),
            kernel: some(&k.utsname.release),
            arch: some(&k.utsname.machine),
            ..Identity::default()
        });
    }
    if let Some(e) = &info.elf {
        header.insert("e_machine", e.machine.into());
        header.insert("e_flags", e.flags.into());
        header.insert("e_phnum", e.phnum.into());
        header.insert("pt_loads", e.loads.into());
    }
    let found = if notes.vmcoreinfo.is_none() { dump.find_vmcoreinfo(4) } else { Vec::new() };
    let registers = |p: &dump::PrStatus| match &p.registers {
        Registers::X86_64(r) => (Some(r.rip), Some(r.rsp)),
        Registers::Aarch64(r) => (Some(r.pc), Some(r.sp)),
        _ => (None, None),
    };
    Described {
        split: info.files.len() > 1,
        files: info.files.clone(),
        format: info.format.to_string(),
        flattened: info.flattened,
        says_incomplete: info.says_incomplete,
        compression: info.compression.iter().map(ToString::to_string).collect(),
        arch: info.machine.arch.name().to_owned(),
        page_size: info.page_size,
        endian: format!("{:?}", info.machine.endian).to_lowercase(),
        header,
        pages: pages(&info.pages),
        identity,
        kaslr_offset,
        build_id,
        prstatus: notes
            .prstatus
            .iter()
            .map(|p| {
                let (pc, sp) = registers(p);
                Prstatus { pid: p.pid, pc: pc.map(|n| format!("{n:#x}")), sp: sp.map(|n| format!("{n:#x}")) }
            })
            .collect(),
        qemu_cpus: notes.qemu.len(),
        eraseinfo: notes.eraseinfo.is_some(),
        vmcoreinfo: notes.vmcoreinfo.clone().or_else(|| found.first().map(|f| f.text.clone())),
        vmcoreinfo_in_memory: found.iter().map(|f| format!("{:#x}", f.at.0)).collect(),
        gaps,
    }
}

fn pages(counts: &PageCounts) -> Pages {
    Pages {
        max_mapnr: counts.max_mapnr,
        ram: counts.ram,
        in_bitmap2: counts.dumpable,
        excluded: counts.excluded,
        not_ram: counts.not_ram,
        present: counts.present,
        zero_descriptor: counts.zero_descriptor,
        beyond_end_of_file: counts.beyond_end_of_file,
        in_missing_part: counts.in_missing_part,
        by_compression: counts.by_codec.iter().map(|(codec, n)| (codec.to_string(), *n)).collect(),
        sharing_the_most_shared_page: counts.sharing_the_most_shared_page,
    }
}
