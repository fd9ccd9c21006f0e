//! Virtual and physical addresses, and the page tables between them. One file per architecture; a level of a
//! page table is a row of a table, so that 2 to 5 levels and all granules share one walk.

pub(crate) mod aarch64;
mod tlb;
pub(crate) mod x86_64;

use std::fmt;
use std::ops::{Add, Sub};

use serde::{Serialize, Serializer};

pub(crate) use tlb::Tlb;

use crate::{Missing, Physical};

/// A virtual address of the kernel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VirtAddr(pub u64);

/// A physical address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PhysAddr(pub u64);

impl fmt::Display for VirtAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#018x}", self.0)
    }
}

impl fmt::Display for PhysAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

/// As text: JSON numbers above 2^53 lose digits in many readers.
impl Serialize for VirtAddr {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// As text, like [`VirtAddr`].
impl Serialize for PhysAddr {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Modulo 2^64, as the kernel's own pointer arithmetic.
impl Add<u64> for VirtAddr {
    type Output = VirtAddr;
    fn add(self, n: u64) -> VirtAddr {
        VirtAddr(self.0.wrapping_add(n))
    }
}

/// Modulo 2^64, as the kernel's own pointer arithmetic.
impl Sub<u64> for VirtAddr {
    type Output = VirtAddr;
    fn sub(self, n: u64) -> VirtAddr {
        VirtAddr(self.0.wrapping_sub(n))
    }
}

impl From<VirtAddr> for facts::Address {
    fn from(at: VirtAddr) -> Self {
        facts::Address(at.0)
    }
}

/// Architectures whose memory can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arch {
    /// x86-64
    X86_64,
    /// arm64
    Aarch64,
}

impl Arch {
    /// The name `uname -m` prints.
    pub fn name(self) -> &'static str {
        match self {
            Arch::X86_64 => "x86_64",
            Arch::Aarch64 => "aarch64",
        }
    }

    /// The architecture of that `uname -m` name or ELF machine name.
    pub fn from_name(name: &str) -> Option<Arch> {
        match name {
            "x86_64" | "x86-64" | "amd64" => Some(Arch::X86_64),
            "aarch64" | "arm64" => Some(Arch::Aarch64),
            _ => None,
        }
    }

    /// Whether an address lies in the kernel's half.
    pub fn is_kernel(self, at: VirtAddr) -> bool {
        at.0 >> 56 == 0xff
    }
}

/// One level of a page table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Level {
    /// Address bits below this level's index.
    pub(crate) shift: u32,
    /// Width of the index in bits.
    pub(crate) bits: u32,
    /// Whether an entry may map a block of memory directly.
    pub(crate) block: bool,
}

/// What a page-table entry says.
pub(crate) enum Entry {
    /// Maps nothing.
    None,
    /// Physical address of the next table.
    Table(u64),
    /// Physical address of a block or page, its offset bits not yet cleared.
    Block(u64),
}

/// Why an address has no translation.
pub(crate) enum Fault {
    /// The tables say it is not mapped.
    NotPresent,
    /// A page of the tables is absent.
    Missing(Missing),
}

/// A linear piece of the address space, for addresses whose page tables are not in the dump.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Linear {
    /// First virtual address.
    pub(crate) start: u64,
    /// Last virtual address.
    pub(crate) last: u64,
    /// Physical address = virtual address + this, modulo 2^64.
    pub(crate) add: u64,
}

/// The kernel's address space.
#[derive(Debug)]
pub(crate) struct Space {
    pub(crate) arch: Arch,
    /// Physical address of the top table.
    pub(crate) root: u64,
    /// From the top level to the last.
    pub(crate) levels: Vec<Level>,
    /// Bits to clear in every entry: the memory encryption bit of AMD SME and SEV.
    pub(crate) entry_clear: u64,
    /// arm64 with 52-bit addresses and 4 or 16 KiB granules: where an entry keeps the upper address bits.
    pub(crate) high_bits: aarch64::HighBits,
    /// Smallest page, as a power of two.
    pub(crate) page_shift: u32,
    /// Where page tables fail, these do.
    pub(crate) linear: Vec<Linear>,
}

impl Space {
    /// Walks the page tables; where one of their pages is absent the linear mappings answer.
    pub(crate) fn translate(&self, at: VirtAddr, physical: &dyn Physical) -> Result<crate::PhysAddr, Fault> {
        match self.walk(at, physical) {
            Err(Fault::Missing(missing)) => match self.linear.iter().find(|l| (l.start..=l.last).contains(&at.0)) {
                // Below the image the sum is no address.
                Some(linear) if at.0.wrapping_add(linear.add) >> 52 == 0 => Ok(PhysAddr(at.0.wrapping_add(linear.add))),
                _ => Err(Fault::Missing(missing)),
            },
            answer => answer,
        }
    }

    fn walk(&self, at: VirtAddr, physical: &dyn Physical) -> Result<PhysAddr, Fault> {
        let (_, base, shift) = self.leaf(at, physical)?;
        let offset = (1u64 << shift) - 1;
        Ok(PhysAddr((base & !offset) | (at.0 & offset)))
    }

    /// Whether the page tables let code be run at an address; `None` where they cannot be read.
    pub(crate) fn executable(&self, at: VirtAddr, physical: &dyn Physical) -> Option<bool> {
        // XD on x86-64, PXN on arm64.
        let never = match self.arch {
            Arch::X86_64 => 1 << 63,
            Arch::Aarch64 => 1 << 53,
        };
        match self.leaf(at, physical) {
            Ok((entry, ..)) => Some(entry & never == 0),
            Err(_) => None,
        }
    }

    /// Whether the bits that no level takes are all ones, as in every address of the kernel's half: the processor faults on
    /// others. On x86-64 the highest bit that the top level takes is a sign, on arm64 the choice of the table is not part
    /// of the index.
    fn is_canonical(&self, at: VirtAddr) -> bool {
        let Some(top) = self.levels.first() else { return false };
        let sign = match self.arch {
            Arch::X86_64 => top.shift + top.bits - 1,
            Arch::Aarch64 => top.shift + top.bits,
        };
        self.arch.is_kernel(at) && at.0.checked_shr(sign).is_none_or(|above| above == u64::MAX >> sign)
    }

    /// The entry that maps an address, the block's physical address, and the block's size as a power of two.
    fn leaf(&self, at: VirtAddr, physical: &dyn Physical) -> Result<(u64, u64, u32), Fault> {
        if !self.is_canonical(at) {
            return Err(Fault::NotPresent);
        }
        let mut table = self.root;
        for (depth, level) in self.levels.iter().enumerate() {
            let last = depth + 1 == self.levels.len();
            let index = (at.0 >> level.shift) & ((1u64 << level.bits) - 1);
            let mut entry = [0; 8];
            physical.read(table.wrapping_add(index * 8), &mut entry).map_err(Fault::Missing)?;
            let entry = u64::from_le_bytes(entry) & !self.entry_clear;
            let decoded = match self.arch {
                Arch::X86_64 => x86_64::entry(entry, level, last),
                Arch::Aarch64 => aarch64::entry(entry, level, last, self.page_shift, self.high_bits),
            };
            match decoded {
                Entry::None => return Err(Fault::NotPresent),
                Entry::Table(next) => table = next,
                Entry::Block(base) => return Ok((entry, base, level.shift)),
            }
        }
        Err(Fault::NotPresent)
    }
}
