//! Opening a kernel: VMCOREINFO, address space, and what is read lazily on top.

use std::path::PathBuf;
use std::sync::{Mutex, OnceLock};

use facts::Gap;

use crate::address::{Space, Tlb, aarch64, x86_64};
use crate::modules::Module;
use crate::percpu::PerCpu;
use crate::symbols::{Symbols, Table};
use crate::types::Types;
use crate::{Arch, Physical, VirtAddr, Vmcoreinfo, Walk};

/// What is there besides the dump. All of it is optional.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// A vmlinux of exactly this kernel, with debug information or not, compressed or not.
    pub vmlinux: Option<PathBuf>,
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
    pub(crate) symbols: OnceLock<Symbols>,
    pub(crate) types: OnceLock<Types>,
    pub(crate) percpu: OnceLock<PerCpu>,
    pub(crate) modules: OnceLock<Walk<Module>>,
    pub(crate) module_symbols: OnceLock<Vec<Option<Table>>>,
    gaps: Mutex<Vec<Gap>>,
}

impl<'d> Kernel<'d> {
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
            symbols: OnceLock::new(),
            types: OnceLock::new(),
            percpu: OnceLock::new(),
            modules: OnceLock::new(),
            module_symbols: OnceLock::new(),
            gaps: Mutex::new(Vec::new()),
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
