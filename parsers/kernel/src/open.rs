//! Opening a kernel: VMCOREINFO, address space, and what is read lazily on top.

use std::path::PathBuf;
use std::sync::{Mutex, OnceLock};

use facts::Gap;

use crate::address::{Space, Tlb, aarch64, x86_64};
use crate::modules::Module;
use crate::pages::PageMap;
use crate::percpu::PerCpu;
use crate::symbols::{Symbols, Table};
use crate::types::Types;
use crate::types::vmlinux::Vmlinux;
use crate::{Arch, Physical, VirtAddr, Vmcoreinfo, Walk};

/// What is there besides the dump. All of it is optional.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// A vmlinux of exactly this kernel, with debug information or not, compressed or not.
    pub vmlinux: Option<PathBuf>,
    /// Folder of the dump: a vmlinux that lies there under one of the usual names is used when it is of this kernel, and
    /// none was given.
    pub beside: Option<PathBuf>,
    /// A System.map of exactly this kernel.
    pub system_map: Option<PathBuf>,
    /// Packs, or directories with packs.
    pub packs: Vec<PathBuf>,
    /// Go on when the build-id of a source is not that of the dump.
    pub force: bool,
}

/// Why no kernel can be read from a dump at all.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The architecture is none of those whose memory can be read.
    #[error("expected a dump of x86_64 or aarch64, found {0}; its kernel cannot be read, its notes can")]
    Architecture(String),
    /// Neither VMCOREINFO nor a kernel image was found.
    #[error(
        "expected VMCOREINFO or a kernel image in the dump's memory, found neither ({0}); \
         check that the dump is whole and not encrypted"
    )]
    NoKernel(String),
}

/// What the dump's file says of the machine.
#[derive(Clone, Debug)]
pub struct Found {
    /// Architecture.
    pub arch: Arch,
    /// Text of the VMCOREINFO note, if there is one.
    pub vmcoreinfo: Option<String>,
    /// `phys_base` of a kdump header (x86-64).
    pub phys_base: Option<u64>,
    /// Name of the dump, for the origin of facts.
    pub member: String,
}

/// A kernel inside a dump. Cheap to open; symbols, types and modules are read when first asked for. Safe to
/// share between threads.
pub struct Kernel<'d> {
    pub(crate) physical: &'d dyn Physical,
    pub(crate) arch: Arch,
    pub(crate) space: Option<Space>,
    pub(crate) tlb: Tlb,
    pub(crate) info: Vmcoreinfo,
    pub(crate) member: String,
    pub(crate) sources: Sources,
    pub(crate) vmlinux: OnceLock<Option<Vmlinux>>,
    pub(crate) symbols: OnceLock<Symbols>,
    pub(crate) types: OnceLock<Types>,
    pub(crate) percpu: OnceLock<PerCpu>,
    pub(crate) unwinder: OnceLock<crate::unwind::target::Unwinder>,
    pub(crate) names: crate::stacks::Names,
    pub(crate) cpu_notes: crate::cpus::CpuNotes,
    pub(crate) lines: OnceLock<Option<crate::lines::Lines>>,
    pub(crate) run_queues: OnceLock<Option<VirtAddr>>,
    pub(crate) found_variables: OnceLock<Vec<(&'static str, VirtAddr)>>,
    pub(crate) modules: OnceLock<Walk<Module>>,
    pub(crate) tasks: OnceLock<Walk<crate::Task>>,
    pub(crate) module_symbols: OnceLock<Vec<Option<Table>>>,
    pub(crate) page_map: OnceLock<Option<PageMap>>,
    pub(crate) generated: OnceLock<Vec<crate::generated_code::GeneratedCode>>,
    gaps: Mutex<Vec<Gap>>,
    refused: Mutex<Vec<Gap>>,
}

/// What a [`Gap`] is called of a file that the user gave and that cannot be used.
pub const REFUSED: &str = "a file that was given";

impl<'d> Kernel<'d> {
    /// Opens the kernel of a dump: by the VMCOREINFO note, or by the VMCOREINFO texts that lie in its memory (dumps
    /// of a hypervisor often lack the note).
    ///
    /// # Errors
    /// [`Error::Architecture`] and [`Error::NoKernel`]. A dump that is cut before its memory opens, as long as it has
    /// the note: every read then says why it fails.
    pub fn open(dump: &'d dump::Dump, sources: Sources) -> Result<Self, Error> {
        let found = |text: Option<String>| {
            let arch = match Arch::from_name(dump.machine().arch.name()) {
                Some(arch) => arch,
                None if dump.machine().arch == dump::Arch::Unknown => arch_by_vmcoreinfo(text.as_deref()?)?,
                None => return None,
            };
            // Only kernels before 4.10 need the header's phys_base.
            let phys_base = match &text {
                Some(text) if arch == Arch::X86_64 && !text.contains("NUMBER(phys_base)") => {
                    dump.outline().kdump.map(|header| header.phys_base as u64)
                }
                _ => None,
            };
            Some(Found { arch, vmcoreinfo: text, phys_base, member: "vmcore".to_owned() })
        };
        let unknown = || Error::Architecture(dump.machine().to_string());
        if let Some(text) = dump.vmcoreinfo() {
            let mut kernel = Kernel::over(dump, found(Some(text.to_owned())).ok_or_else(unknown)?, sources)?;
            kernel.cpu_notes = crate::cpus::CpuNotes::of(dump);
            return Ok(kernel);
        }
        let texts = dump.find_vmcoreinfo(16);
        // Several: the kernel's own buffer, the note made from it, or two kernels when the dump was taken while a
        // crash kernel ran. The one that can read itself counts, and of these the crashed one.
        let mut best = None;
        for text in texts {
            let Some(found) = found(Some(text.text)) else { continue };
            let Ok(kernel) = Kernel::over(dump, found, sources.clone()) else { continue };
            let rank = (kernel.reads_itself(), kernel.info.crash_time().is_some());
            if best.as_ref().is_none_or(|(other, _)| rank > *other) {
                best = Some((rank, kernel));
            }
        }
        match best {
            Some((_, mut kernel)) => {
                kernel.cpu_notes = crate::cpus::CpuNotes::of(dump);
                Ok(kernel)
            }
            None => Err(found(None).map_or_else(unknown, |_| {
                Error::NoKernel("no VMCOREINFO note, and no VMCOREINFO text in the memory that is there".into())
            })),
        }
    }

    /// Whether the page tables lead to the kernel's own name.
    fn reads_itself(&self) -> bool {
        let Some(uts) = self.info.symbol("init_uts_ns") else { return false };
        // 4 bytes of reference count come first before 9a56493f6942 (v5.11), which also made the offset known.
        let offsets = self.info.offset("uts_namespace.name").map_or(vec![0, 4], |offset| vec![offset]);
        offsets.iter().any(|offset| self.cstr(VirtAddr(uts) + *offset, 6).is_ok_and(|name| name == "Linux"))
    }

    /// The same kernel, with the dump's name for the origin of facts.
    #[must_use]
    pub fn named(mut self, member: impl Into<String>) -> Self {
        self.member = member.into();
        self
    }

    /// Opens the kernel over any physical memory.
    ///
    /// # Errors
    /// [`Error::NoKernel`] when nothing tells where the kernel is.
    pub fn over(physical: &'d dyn Physical, found: Found, sources: Sources) -> Result<Self, Error> {
        let info = Vmcoreinfo::parse(found.vmcoreinfo.as_deref().unwrap_or_default());
        let space = match found.arch {
            Arch::X86_64 => x86_64::space(&info, found.phys_base),
            Arch::Aarch64 => aarch64::space(&info),
        };
        let kernel = Kernel {
            physical,
            arch: found.arch,
            space,
            tlb: Tlb::new(),
            info,
            member: found.member,
            sources,
            vmlinux: OnceLock::new(),
            symbols: OnceLock::new(),
            types: OnceLock::new(),
            percpu: OnceLock::new(),
            unwinder: OnceLock::new(),
            names: crate::stacks::Names::default(),
            cpu_notes: crate::cpus::CpuNotes::default(),
            lines: OnceLock::new(),
            run_queues: OnceLock::new(),
            found_variables: OnceLock::new(),
            modules: OnceLock::new(),
            tasks: OnceLock::new(),
            module_symbols: OnceLock::new(),
            page_map: OnceLock::new(),
            generated: OnceLock::new(),
            gaps: Mutex::new(Vec::new()),
            refused: Mutex::new(Vec::new()),
        };
        if kernel.space.is_none() {
            if kernel.info.text().is_empty() {
                return Err(Error::NoKernel("no VMCOREINFO".into()));
            }
            kernel.gap(Gap::new(
                "kernel address space",
                &kernel.member,
                "VMCOREINFO lacks the page table's address, phys_base or VA_BITS",
                "a vmlinux of this kernel",
            ));
        }
        Ok(kernel)
    }

    /// Architecture of the dumped machine.
    pub fn arch(&self) -> Arch {
        self.arch
    }

    /// The dump's name, for origins.
    pub fn member(&self) -> &str {
        &self.member
    }

    /// What the kernel says of itself; empty when the dump has none.
    pub fn vmcoreinfo(&self) -> &Vmcoreinfo {
        &self.info
    }

    /// The kernel's types, from what the dump and the sources have.
    pub fn types(&self) -> &Types {
        self.types.get_or_init(|| Types::open(self, &self.sources))
    }

    /// Notes something that could not be read or decided; equal gaps are kept once.
    pub(crate) fn gap(&self, gap: Gap) {
        if let Ok(mut gaps) = self.gaps.lock()
            && !gaps.contains(&gap)
            && gaps.len() < 1000
        {
            gaps.push(gap);
        }
    }

    /// Notes that a file which the user gave is not used at all; `why` begins with its name.
    pub(crate) fn refuse(&self, why: String, closes: &str) {
        let gap = Gap::new(REFUSED, &self.member, why, closes);
        if let Ok(mut refused) = self.refused.lock()
            && !refused.contains(&gap)
        {
            refused.push(gap.clone());
        }
        self.gap(gap);
    }

    /// The files that were given (a vmlinux, packs, a System.map) and cannot be used: of another kernel, of another kind,
    /// or without what they were given for. Opens them.
    pub fn refused(&self) -> Vec<Gap> {
        let sources = &self.sources;
        if sources.vmlinux.is_some() || sources.system_map.is_some() {
            self.symbol_tables();
        }
        if !sources.packs.is_empty() {
            self.types();
        }
        self.refused.lock().map(|refused| refused.clone()).unwrap_or_default()
    }

    /// What could not be read or decided so far, sorted.
    pub fn gaps(&self) -> Vec<Gap> {
        let mut gaps = self.gaps.lock().map(|gaps| gaps.clone()).unwrap_or_default();
        gaps.sort();
        gaps
    }

    /// The origin of a structure's fact.
    pub fn origin(&self, at: VirtAddr, type_name: &str) -> facts::Origin {
        facts::Origin::memory(&self.member, at.0, type_name)
    }
}

/// For dumps whose header does not name the machine.
fn arch_by_vmcoreinfo(text: &str) -> Option<Arch> {
    if text.contains("NUMBER(kimage_voffset)=") {
        Some(Arch::Aarch64)
    } else if text.contains("SYMBOL(init_top_pgt)=") || text.contains("SYMBOL(init_level4_pgt)=") {
        Some(Arch::X86_64)
    } else {
        None
    }
}
