//! ELF notes of a dump: registers, VMCOREINFO, what makedumpfile erased.

use crate::image::Image;
use crate::machine::{Arch, Machine};
use crate::registers::{Aarch64Registers, QemuCpu, Registers, X86_64Registers};

/// Bytes of notes that are read: some thousand CPUs need 16 MiB.
const MAX_NOTES: u64 = 64 << 20;
/// VMCOREINFO and ERASEINFO beyond this are cut.
const MAX_TEXT: u64 = 1 << 20;

const NT_PRSTATUS: u32 = 1;

/// What the notes of a dump say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Notes {
    /// One for each CPU that has an `NT_PRSTATUS` note, in the order of the notes: the order
    /// of CPU numbers *among those CPUs*, so the n-th need not be CPU n.
    pub prstatus: Vec<PrStatus>,
    /// QEMU's state of each CPU (x86 only), in CPU order.
    pub qemu: Vec<QemuCpu>,
    /// The text of the VMCOREINFO note.
    pub vmcoreinfo: Option<String>,
    /// What makedumpfile erased from the dump; that memory reads as `X` bytes.
    pub eraseinfo: Option<String>,
    /// Whether there is a note of the Xen hypervisor.
    pub xen: bool,
    /// All other notes.
    pub other: Vec<Note>,
}

/// A note that has no field of its own in [`Notes`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// The name, such as `LINUX`.
    pub name: String,
    /// The type, a number of that name's own.
    pub kind: u32,
    /// Position of the descriptor in the dump.
    pub offset: u64,
    /// Length of the descriptor.
    pub len: u32,
}

/// An `NT_PRSTATUS` note.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrStatus {
    /// From a kdump: the process that was current on the CPU, 0 for the idle task. **From
    /// QEMU: the number of the CPU plus one.** [`Notes::from_qemu`] tells which.
    pub pid: i32,
    /// `pr_cursig`.
    pub signal: i16,
    /// The registers.
    pub registers: Registers,
    /// The whole descriptor.
    pub raw: Vec<u8>,
}

impl Notes {
    /// Whether a hypervisor took the registers: pids in [`prstatus`](Notes::prstatus) are CPU
    /// numbers plus one then. Seen by QEMU's own notes, or by pids that count 1, 2, 3.
    pub fn from_qemu(&self) -> bool {
        !self.qemu.is_empty()
            || (!self.prstatus.is_empty() && self.prstatus.iter().zip(1..).all(|(status, n)| status.pid == n))
    }

    /// Reads the notes in `areas` (position, length) of a dump.
    pub(crate) fn read<'a>(areas: impl Iterator<Item = (&'a Image, u64, u64)>, machine: &Machine) -> Notes {
        let mut notes = Notes::default();
        for (image, at, len) in areas {
            let bytes = image.read_some(at, len.min(MAX_NOTES) as usize);
            notes.add(&bytes, at, machine);
        }
        notes
    }

    fn add(&mut self, bytes: &[u8], position: u64, machine: &Machine) {
        let endian = machine.endian;
        let mut at = 0usize;
        while let (Some(name_len), Some(desc_len), Some(kind)) =
            (endian.u32(bytes, at), endian.u32(bytes, at + 4), endian.u32(bytes, at + 8))
        {
            if name_len == 0 && desc_len == 0 {
                break;
            }
            // Padded to 4 in 64-bit dumps too.
            let name_at = at + 12;
            let desc_at = name_at.saturating_add((name_len as usize).next_multiple_of(4));
            let Some(name) = bytes.get(name_at..name_at.saturating_add(name_len as usize)) else {
                break;
            };
            let Some(rest) = bytes.get(desc_at..) else { break };
            // The last note of a cut dump is taken as far as it goes where that is of use.
            let desc = rest.get(..desc_len as usize).unwrap_or(rest);
            let name = name.split(|&byte| byte == 0).next().unwrap_or_default();
            match (name, kind) {
                (b"CORE", NT_PRSTATUS) => self.prstatus.extend(prstatus(desc, machine)),
                (b"QEMU", 0) => self.qemu.extend(QemuCpu::from_note(desc)),
                (b"VMCOREINFO", _) if self.vmcoreinfo.is_none() => self.vmcoreinfo = text(desc),
                (b"ERASEINFO", _) => self.eraseinfo = text(desc),
                _ => {
                    self.xen |= name == b"Xen";
                    self.other.push(Note {
                        name: String::from_utf8_lossy(name).into_owned(),
                        kind,
                        offset: position.saturating_add(desc_at as u64),
                        len: desc_len,
                    });
                }
            }
            at = desc_at.saturating_add((desc_len as usize).next_multiple_of(4));
        }
    }

    /// Takes VMCOREINFO from its own place if the notes had none (header versions 3 and up name it).
    pub(crate) fn or_vmcoreinfo(&mut self, image: &Image, place: Option<(u64, u64)>) {
        if self.vmcoreinfo.is_none()
            && let Some((at, len)) = place
        {
            self.vmcoreinfo = text(&image.read_some(at, len.min(MAX_TEXT) as usize));
        }
    }

    /// Takes ERASEINFO from its own place if the notes had none.
    pub(crate) fn or_eraseinfo(&mut self, image: &Image, place: Option<(u64, u64)>) {
        if self.eraseinfo.is_none()
            && let Some((at, len)) = place
        {
            self.eraseinfo = text(&image.read_some(at, len.min(MAX_TEXT) as usize));
        }
    }
}

/// Text of a note, without the padding after it; `None` when there is none.
fn text(desc: &[u8]) -> Option<String> {
    let text = desc.split(|&byte| byte == 0).next().unwrap_or_default();
    (!text.is_empty()).then(|| String::from_utf8_lossy(text).into_owned())
}

fn prstatus(desc: &[u8], machine: &Machine) -> Option<PrStatus> {
    let endian = machine.endian;
    // By length where the dump does not name its machine.
    let registers = match (&machine.arch, desc.len()) {
        (Arch::X86_64, 336..) | (Arch::Unknown, 336) => {
            X86_64Registers::from_prstatus(desc).map_or(Registers::Other, Registers::X86_64)
        }
        (Arch::Aarch64, 392..) | (Arch::Unknown, 392) => {
            Aarch64Registers::from_prstatus(desc, endian).map_or(Registers::Other, Registers::Aarch64)
        }
        _ => Registers::Other,
    };
    let pid_at = if desc.len() > 200 { 32 } else { 24 };
    Some(PrStatus {
        pid: endian.i32(desc, pid_at)?,
        signal: endian.u16(desc, 12)?.cast_signed(),
        registers,
        raw: desc.to_vec(),
    })
}
