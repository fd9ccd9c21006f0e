//! The machine that was dumped.

use std::fmt;

use crate::bytes::Endian;

/// Architecture, word size and byte order of the dumped machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    /// The architecture.
    pub arch: Arch,
    /// Whether a word of the dump's own structures has 64 bits. A 32-bit machine with much
    /// memory may be dumped in the 64-bit form.
    pub is_64bit: bool,
    /// Byte order.
    pub endian: Endian,
}

/// An architecture, by the name `uname -m` gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Arch {
    /// x86-64.
    X86_64,
    /// 32-bit x86 (`i386` to `i686`).
    I386,
    /// 64-bit Arm.
    Aarch64,
    /// 32-bit Arm.
    Arm,
    /// 64-bit POWER, either byte order.
    Ppc64,
    /// IBM Z.
    S390x,
    /// 64-bit RISC-V.
    Riscv64,
    /// 64-bit LoongArch.
    Loongarch64,
    /// MIPS, 32 or 64 bits.
    Mips,
    /// Named in the dump, and not known here.
    Other(String),
    /// Not named in the dump.
    Unknown,
}

impl Arch {
    /// From `utsname.machine`.
    pub(crate) fn from_uname(machine: &str) -> Arch {
        match machine {
            "" => Arch::Unknown,
            "x86_64" => Arch::X86_64,
            "i386" | "i486" | "i586" | "i686" => Arch::I386,
            "aarch64" | "aarch64_be" => Arch::Aarch64,
            "ppc64" | "ppc64le" => Arch::Ppc64,
            "s390x" => Arch::S390x,
            "riscv64" => Arch::Riscv64,
            "loongarch64" => Arch::Loongarch64,
            "mips" | "mips64" => Arch::Mips,
            name if name.starts_with("arm") => Arch::Arm,
            name => Arch::Other(name.to_owned()),
        }
    }

    /// From the `e_machine` field of an ELF header.
    pub(crate) fn from_elf(machine: u16, is_64bit: bool) -> Arch {
        use goblin::elf::header;
        match machine {
            header::EM_X86_64 => Arch::X86_64,
            header::EM_386 => Arch::I386,
            header::EM_AARCH64 => Arch::Aarch64,
            header::EM_ARM => Arch::Arm,
            header::EM_PPC64 => Arch::Ppc64,
            header::EM_S390 => Arch::S390x,
            header::EM_RISCV if is_64bit => Arch::Riscv64,
            258 => Arch::Loongarch64,
            header::EM_MIPS => Arch::Mips,
            other => Arch::Other(format!("e_machine {other}")),
        }
    }

    /// The name `uname -m` prints.
    pub fn name(&self) -> &str {
        match self {
            Arch::X86_64 => "x86_64",
            Arch::I386 => "i686",
            Arch::Aarch64 => "aarch64",
            Arch::Arm => "arm",
            Arch::Ppc64 => "ppc64",
            Arch::S390x => "s390x",
            Arch::Riscv64 => "riscv64",
            Arch::Loongarch64 => "loongarch64",
            Arch::Mips => "mips",
            Arch::Other(name) => name,
            Arch::Unknown => "unknown",
        }
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.arch.name())?;
        match (&self.arch, self.endian) {
            (Arch::Ppc64, Endian::Little) => f.write_str("le"),
            _ => Ok(()),
        }
    }
}
