//! Registers of a CPU as a note has them.

use crate::bytes::Endian;

/// General registers from an `NT_PRSTATUS` note.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Registers {
    /// x86-64.
    X86_64(X86_64Registers),
    /// 64-bit Arm.
    Aarch64(Aarch64Registers),
    /// Another machine: [`PrStatus::raw`](crate::PrStatus::raw) has the bytes.
    Other,
}

/// `struct user_regs_struct` of x86-64, by the kernel's names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct X86_64Registers {
    pub r15: u64,
    pub r14: u64,
    pub r13: u64,
    pub r12: u64,
    pub rbp: u64,
    pub rbx: u64,
    pub r11: u64,
    pub r10: u64,
    pub r9: u64,
    pub r8: u64,
    pub rax: u64,
    pub rcx: u64,
    pub rdx: u64,
    pub rsi: u64,
    pub rdi: u64,
    pub orig_rax: u64,
    pub rip: u64,
    pub cs: u64,
    pub rflags: u64,
    pub rsp: u64,
    pub ss: u64,
    pub fs_base: u64,
    pub gs_base: u64,
    pub ds: u64,
    pub es: u64,
    pub fs: u64,
    pub gs: u64,
}

/// `struct user_pt_regs` of arm64.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Aarch64Registers {
    /// x0 to x30; x29 is the frame pointer, x30 the return address.
    pub x: [u64; 31],
    /// Stack pointer.
    pub sp: u64,
    /// Program counter.
    pub pc: u64,
    /// Processor state.
    pub pstate: u64,
}

/// Where `pr_reg` begins in `elf_prstatus` of a 64-bit machine.
const PR_REG: usize = 112;

impl X86_64Registers {
    /// From the descriptor of an `NT_PRSTATUS` note.
    pub(crate) fn from_prstatus(desc: &[u8]) -> Option<X86_64Registers> {
        let word = |nth: usize| Endian::Little.u64(desc, PR_REG + 8 * nth);
        Some(X86_64Registers {
            r15: word(0)?,
            r14: word(1)?,
            r13: word(2)?,
            r12: word(3)?,
            rbp: word(4)?,
            rbx: word(5)?,
            r11: word(6)?,
            r10: word(7)?,
            r9: word(8)?,
            r8: word(9)?,
            rax: word(10)?,
            rcx: word(11)?,
            rdx: word(12)?,
            rsi: word(13)?,
            rdi: word(14)?,
            orig_rax: word(15)?,
            rip: word(16)?,
            cs: word(17)?,
            rflags: word(18)?,
            rsp: word(19)?,
            ss: word(20)?,
            fs_base: word(21)?,
            gs_base: word(22)?,
            ds: word(23)?,
            es: word(24)?,
            fs: word(25)?,
            gs: word(26)?,
        })
    }
}

impl Aarch64Registers {
    /// From the descriptor of an `NT_PRSTATUS` note.
    pub(crate) fn from_prstatus(desc: &[u8], endian: Endian) -> Option<Aarch64Registers> {
        let word = |nth: usize| endian.u64(desc, PR_REG + 8 * nth);
        let mut x = [0; 31];
        for (nth, register) in x.iter_mut().enumerate() {
            *register = word(nth)?;
        }
        Some(Aarch64Registers { x, sp: word(31)?, pc: word(32)?, pstate: word(33)? })
    }
}

/// What QEMU's own note knows of an x86 CPU beyond `NT_PRSTATUS` (`QEMUCPUState`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct QemuCpu {
    /// rax, rbx, rcx, rdx, rsi, rdi, rsp, rbp, r8 to r15.
    pub general: [u64; 16],
    /// Instruction pointer.
    pub rip: u64,
    /// Flags.
    pub rflags: u64,
    /// cs, ds, es, fs, gs, ss, ldt, tr, gdt, idt.
    pub segments: [QemuSegment; 10],
    /// cr0, unused, cr2 (address of the last page fault), cr3 (page table), cr4.
    pub cr: [u64; 5],
    /// The GS base that `swapgs` would load; not written by old versions of QEMU.
    pub kernel_gs_base: Option<u64>,
}

/// A segment register or descriptor table in QEMU's note.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QemuSegment {
    /// Selector.
    pub selector: u32,
    /// Limit.
    pub limit: u32,
    /// Flags of the descriptor.
    pub flags: u32,
    /// Linear base address.
    pub base: u64,
}

impl QemuCpu {
    /// Position of GS and IDT in [`segments`](QemuCpu::segments).
    const GS: usize = 4;
    const IDT: usize = 9;

    /// From the descriptor of a `QEMU` note.
    pub(crate) fn from_note(desc: &[u8]) -> Option<QemuCpu> {
        let endian = Endian::Little;
        let (version, size) = (endian.u32(desc, 0)?, endian.u32(desc, 4)?);
        if version != 1 || size < 432 {
            return None;
        }
        let word = |at: usize| endian.u64(desc, at);
        let mut cpu = QemuCpu {
            rip: word(136)?,
            rflags: word(144)?,
            kernel_gs_base: word(432).filter(|_| size >= 440),
            ..QemuCpu::default()
        };
        for (nth, register) in cpu.general.iter_mut().enumerate() {
            *register = word(8 + 8 * nth)?;
        }
        for (nth, segment) in cpu.segments.iter_mut().enumerate() {
            let at = 152 + 24 * nth;
            *segment = QemuSegment {
                selector: endian.u32(desc, at)?,
                limit: endian.u32(desc, at + 4)?,
                flags: endian.u32(desc, at + 8)?,
                base: word(at + 16)?,
            };
        }
        for (nth, register) in cpu.cr.iter_mut().enumerate() {
            *register = word(392 + 8 * nth)?;
        }
        Some(cpu)
    }

    /// Page table of the CPU (`cr3`), with its low flag bits.
    pub fn cr3(&self) -> u64 {
        self.cr[3]
    }

    /// Base of GS: the per-CPU area, when the CPU was in the kernel.
    pub fn gs_base(&self) -> u64 {
        self.segments[Self::GS].base
    }

    /// Linear address of the interrupt descriptor table.
    pub fn idt_base(&self) -> u64 {
        self.segments[Self::IDT].base
    }
}
