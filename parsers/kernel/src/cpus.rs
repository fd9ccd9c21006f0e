//! The CPUs of the dumped machine: which registers each had, which task was on it, which one crashed.

use facts::Gap;
use serde::Serialize;

use crate::unwind::{General, Registers, StackBounds};
use crate::{Arch, Kernel, VirtAddr, Walk};

/// Where the registers of a CPU come from, the most telling first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RegisterSource {
    /// The kernel's own `crash_notes` buffer of the CPU, written on the way into the kdump kernel.
    CrashNotes,
    /// An `NT_PRSTATUS` note of a kdump that no buffer in memory confirms.
    Note,
    /// The hypervisor's view when the dump was made: true, but after a panic the telling frames lie deeper.
    Hypervisor,
}

/// One CPU.
#[derive(Clone, Debug)]
pub struct Cpu {
    /// Its number.
    pub number: u32,
    /// Its current task.
    pub current: Option<VirtAddr>,
    /// Whether it is in the online mask. A CPU that a panic stopped is not, and exists all the same.
    pub online: bool,
    /// Its registers, and where they come from. `None` after a crash: it did not answer the request to stop.
    pub registers: Option<(Registers, RegisterSource)>,
}

/// The CPU that crashed, and the task it was running.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crashed {
    /// CPU.
    pub cpu: u32,
    /// Its current task.
    pub task: Option<VirtAddr>,
}

/// The register notes of a dump file.
#[derive(Clone, Debug, Default)]
pub struct CpuNotes {
    /// Descriptors of the `NT_PRSTATUS` notes in the order of the file.
    pub prstatus: Vec<Vec<u8>>,
    /// Whether a hypervisor wrote them: one for each CPU, in the order of the CPUs.
    pub hypervisor: bool,
}

impl CpuNotes {
    /// The notes of a dump.
    pub fn of(dump: &dump::Dump) -> CpuNotes {
        let notes = dump.notes();
        CpuNotes {
            prstatus: notes.prstatus.iter().map(|status| status.raw.clone()).collect(),
            hypervisor: notes.from_qemu(),
        }
    }
}

/// Where `pr_pid` and `pr_reg` lie in `struct elf_prstatus` of 64-bit machines.
const PR_PID: usize = 32;
const PR_REG: usize = 112;

fn word(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

/// Registers of an `elf_prstatus`.
fn from_prstatus(arch: Arch, bytes: &[u8]) -> Option<Registers> {
    let reg = |n: usize| word(bytes, PR_REG + 8 * n);
    Some(match arch {
        // user_regs_struct begins like pt_regs: r15 to rdi, orig_rax, rip, cs, rflags, rsp.
        Arch::X86_64 => {
            let mut general = [0; 15];
            for (n, value) in general.iter_mut().enumerate() {
                *value = reg(n)?;
            }
            Registers {
                pc: reg(16)?,
                sp: reg(19)?,
                fp: reg(4)?,
                user: reg(17)? & 3 == 3,
                general: Some(General::X86_64(general)),
            }
        }
        Arch::Aarch64 => {
            let mut general = [0; 31];
            for (n, value) in general.iter_mut().enumerate() {
                *value = reg(n)?;
            }
            Registers {
                pc: reg(32)?,
                sp: reg(31)?,
                fp: general[29],
                user: reg(33)? & 0xf == 0,
                general: Some(General::Arm64(general)),
            }
        }
    })
}

/// Whether these registers are those of a machine that ran: all zero in a buffer nobody wrote.
fn plausible(registers: &Registers) -> bool {
    registers.pc != 0 || registers.sp != 0
}

impl Kernel<'_> {
    /// The CPUs that are present, with their registers as far as they are known.
    ///
    /// A crash buffer in memory that was written is believed first; then the notes of the file: a hypervisor
    /// writes one for each CPU in their order, kdump leaves out the CPUs without, so its notes are given to CPUs
    /// by the process id they carry.
    pub fn cpus(&self) -> Walk<Cpu> {
        let mut walk = Walk::default();
        let buffers: Vec<_> = self.cpus_present().iter().map(|cpu| (*cpu, self.crash_note(*cpu))).collect();
        let crashed = buffers.iter().any(|(_, note)| note.is_some());
        let notes = &self.cpu_notes;
        let mut left: Vec<Option<&Vec<u8>>> = notes.prstatus.iter().map(Some).collect();
        for (number, buffer) in buffers {
            let current = self.current_task(number);
            let registers = if let Some(bytes) = buffer {
                from_prstatus(self.arch(), &bytes).map(|r| (r, RegisterSource::CrashNotes))
            } else if notes.hypervisor {
                let note = notes.prstatus.get(number as usize);
                note.and_then(|n| from_prstatus(self.arch(), n)).map(|r| (r, RegisterSource::Hypervisor))
            } else if crashed {
                None
            } else {
                let pid = current.and_then(|task| self.value(task, "task_struct", "pid")).map(|pid| pid as u32);
                let of_pid = |note: &&Vec<u8>| {
                    let raw = note.get(PR_PID..PR_PID + 4).and_then(|b| b.try_into().ok()).map(u32::from_le_bytes);
                    raw == pid
                };
                let slot = left.iter_mut().find(|slot| slot.as_ref().is_some_and(of_pid));
                let note = slot.and_then(Option::take);
                note.and_then(|n| from_prstatus(self.arch(), n)).map(|r| (r, RegisterSource::Note))
            };
            let registers = registers.filter(|(registers, _)| plausible(registers));
            if registers.is_none() {
                let why = match crashed {
                    true => "it left no registers: it did not answer the request to stop",
                    false => "the dump has no note with its registers",
                };
                walk.gaps.push(Gap::new("registers", format!("CPU {number}"), why, ""));
            }
            let online = self.cpus_online().contains(&number);
            walk.items.push(Cpu { number, current, online, registers });
        }
        walk
    }

    /// The `elf_prstatus` that a crashing CPU wrote into its `crash_notes`; `None` where it never did.
    fn crash_note(&self, cpu: u32) -> Option<Vec<u8>> {
        let variable = self.symbol_at("crash_notes")?;
        // A pointer to per-CPU memory, allocated at boot.
        let cookie = self.ptr(variable).ok().filter(|p| p.0 != 0)?;
        let buffer = self.per_cpu(cookie, cpu)?;
        let mut bytes = vec![0; 20 + 392];
        self.read(buffer, &mut bytes).ok()?;
        let half = |at: usize| bytes.get(at..at + 4).and_then(|b| b.try_into().ok()).map(u32::from_le_bytes);
        let valid = half(0) == Some(5)
            && matches!(half(4), Some(336..=392))
            && half(8) == Some(1)
            && bytes.get(12..16) == Some(b"CORE");
        valid.then(|| bytes.split_off(20))
    }

    /// The CPU that panicked, from `panic_cpu` (1717f2096b54 "panic, x86: Fix re-entrance problem due to panic on
    /// NMI", 4.5), or `crashing_cpu` before. `None` in a snapshot of a running machine.
    pub fn crashed(&self) -> Option<Crashed> {
        let number = |name| {
            let value = self.u32(self.symbol_at(name)?).ok()?;
            self.cpus_present().contains(&value).then_some(value)
        };
        let cpu = number("panic_cpu").or_else(|| number("crashing_cpu")).or_else(|| self.panicking_cpu())?;
        Some(Crashed { cpu, task: self.current_task(cpu) })
    }

    /// Without those symbols: the CPU whose stack goes through `panic` or into the kdump kernel.
    fn panicking_cpu(&self) -> Option<u32> {
        if ["panic_cpu", "crashing_cpu"].iter().any(|name| self.symbol_at(name).is_some()) {
            return None;
        }
        let telling = |name: &str| matches!(name, "panic" | "nmi_panic" | "__crash_kexec" | "crash_kexec" | "vpanic");
        self.cpus().items.iter().map(|cpu| cpu.number).find(|cpu| {
            let stack = self.cpu_stack(*cpu);
            stack.is_some_and(|s| s.frames.iter().any(|f| f.name.as_deref().is_some_and(telling)))
        })
    }

    /// Bytes of a task's kernel stack: `union thread_union` has that size in every kernel.
    pub(crate) fn stack_size(&self) -> u64 {
        let known =
            self.types().size_of("thread_union").filter(|n| n.is_power_of_two() && (4096..=1 << 18).contains(n));
        known.unwrap_or(16 * 1024)
    }

    /// The kernel stack that lies at `low`.
    pub(crate) fn stack_bounds(&self, low: VirtAddr) -> StackBounds {
        StackBounds { low: low.0, high: low.0.saturating_add(self.stack_size()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registers_of_a_note_are_at_their_places() {
        let mut note = vec![0u8; 336];
        note[240..248].copy_from_slice(&0xffff_ffff_8100_0000u64.to_le_bytes());
        note[248..256].copy_from_slice(&0x10u64.to_le_bytes());
        note[264..272].copy_from_slice(&0xffff_c900_0000_3f00u64.to_le_bytes());
        note[144..152].copy_from_slice(&7u64.to_le_bytes());
        let registers = from_prstatus(Arch::X86_64, &note).unwrap();
        assert_eq!((registers.pc, registers.sp), (0xffff_ffff_8100_0000, 0xffff_c900_0000_3f00));
        assert_eq!((registers.fp, registers.user), (7, false));
        note[248] = 0x33;
        assert!(from_prstatus(Arch::X86_64, &note).unwrap().user);
        assert!(from_prstatus(Arch::X86_64, &note[..200]).is_none());
    }
}
