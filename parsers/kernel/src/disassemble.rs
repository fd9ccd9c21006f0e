//! Code as instructions: x86-64 in the AT&T form that crash and objdump print, arm64.

use facts::Gap;
use iced_x86::{Decoder, DecoderOptions, FastFormatter, Formatter, GasFormatter, OpKind};
use yaxpeax_arch::{Decoder as _, U8Reader};
use yaxpeax_arm::armv8::a64;

use crate::{Arch, Kernel, VirtAddr, Walk};

/// Bytes decoded at a time; longer functions are cut.
const MAX_BYTES: u64 = 1 << 20;
const PAGE: u64 = 4096;

/// One instruction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instruction {
    /// Its address.
    pub address: VirtAddr,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Mnemonic and operands; `(bad)` where the bytes are no instruction.
    pub text: String,
    /// The address that it branches to, or whose memory it reads or takes by a constant address.
    pub target: Option<VirtAddr>,
}

impl Kernel<'_> {
    /// The instructions from `start` to before `end`, at most `count` of them. Where bytes are absent a gap says why.
    pub fn disassemble(&self, start: VirtAddr, end: VirtAddr, count: usize) -> Walk<Instruction> {
        let mut walk = Walk::default();
        let wanted = end.0.saturating_sub(start.0).min(MAX_BYTES);
        let mut code = Vec::new();
        while (code.len() as u64) < wanted {
            let here = start + code.len() as u64;
            let room = (PAGE - here.0 % PAGE).min(wanted - code.len() as u64);
            match self.bytes(here, room as usize) {
                Ok(part) => code.extend(part),
                Err(error) => {
                    walk.gaps.push(Gap::new(
                        "code",
                        here.to_string(),
                        error.to_string(),
                        "the vmlinux or module file holds it too",
                    ));
                    break;
                }
            }
        }
        walk.items = match self.arch() {
            Arch::X86_64 => x86_64(&code, start, count),
            Arch::Aarch64 => arm64(&code, start, count),
        };
        walk
    }
}

/// An instruction in the Intel form, `cmp [r12+20h],rbx`. The formatter is the one whose tables are made fastest.
pub fn intel(instruction: &iced_x86::Instruction) -> String {
    let mut text = String::new();
    FastFormatter::new().format(instruction, &mut text);
    text.replace(" ptr ", " ")
}

/// Makes the tables of the decoder, which it else makes at the first instruction.
pub fn prepare() {
    let instruction = Decoder::new(64, &[0x90], DecoderOptions::NONE).decode();
    let _ = intel(&instruction);
}

fn x86_64(code: &[u8], start: VirtAddr, count: usize) -> Vec<Instruction> {
    let mut formatter = GasFormatter::new();
    let options = formatter.options_mut();
    options.set_uppercase_hex(false);
    options.set_first_operand_char_index(7);
    options.set_rip_relative_addresses(true);
    options.set_space_after_operand_separator(false);
    options.set_branch_leading_zeros(false);
    options.set_small_hex_numbers_in_decimal(false);
    let mut decoder = Decoder::with_ip(64, code, start.0, DecoderOptions::NONE);
    let mut found = Vec::new();
    while decoder.can_decode() && found.len() < count {
        let at = decoder.position();
        let instruction = decoder.decode();
        let bytes = code.get(at..at + instruction.len().max(1)).unwrap_or_default().to_vec();
        let mut text = String::new();
        if instruction.is_invalid() {
            text.push_str("(bad)");
        } else {
            formatter.format(&instruction, &mut text);
        }
        let kinds = || (0..instruction.op_count()).map(|n| instruction.op_kind(n));
        let target = if instruction.is_invalid() {
            None
        } else if kinds().any(|k| matches!(k, OpKind::NearBranch16 | OpKind::NearBranch32 | OpKind::NearBranch64)) {
            Some(instruction.near_branch_target())
        } else if instruction.is_ip_rel_memory_operand() {
            Some(instruction.ip_rel_memory_address())
        } else if kinds().any(|k| k == OpKind::Immediate32to64) {
            Some(instruction.immediate32to64() as u64).filter(|to| Arch::X86_64.is_kernel(VirtAddr(*to)))
        } else if kinds().any(|k| k == OpKind::Immediate64) {
            Some(instruction.immediate64()).filter(|to| Arch::X86_64.is_kernel(VirtAddr(*to)))
        } else {
            None
        };
        found.push(Instruction {
            address: VirtAddr(instruction.ip()),
            bytes,
            text: text.trim_end().to_owned(),
            target: target.map(VirtAddr),
        });
    }
    found
}

fn arm64(code: &[u8], start: VirtAddr, count: usize) -> Vec<Instruction> {
    let decoder = a64::InstDecoder::default();
    let words = code.as_chunks::<4>().0.iter().take(count);
    words
        .enumerate()
        .map(|(nth, bytes)| {
            let address = start + nth as u64 * 4;
            let (text, target) = match decoder.decode(&mut U8Reader::new(bytes)) {
                Ok(instruction) => {
                    let offset = instruction.operands.iter().find_map(|operand| match operand {
                        a64::Operand::PCOffset(offset) => Some(*offset),
                        _ => None,
                    });
                    // adrp counts from the page of the instruction.
                    let base = if instruction.opcode == a64::Opcode::ADRP { address.0 & !4095 } else { address.0 };
                    let target = offset.map(|offset| VirtAddr(base.wrapping_add(offset as u64)));
                    (spelt(&instruction.to_string(), target), target)
                }
                Err(_) => (format!(".inst  {:#010x}", u32::from_le_bytes(*bytes)), None),
            };
            Instruction { address, bytes: bytes.to_vec(), text, target }
        })
        .collect()
}

/// System registers that kernel code reads and writes, by the numbers the decoder gives them.
const SYSTEM_REGISTERS: &[(&str, &str)] = &[
    ("s3_0_c4_c1_0", "sp_el0"),
    ("s3_0_c13_c0_4", "tpidr_el1"),
    ("s3_4_c13_c0_2", "tpidr_el2"),
    ("s3_3_c4_c2_1", "daif"),
    ("s3_0_c5_c2_0", "esr_el1"),
    ("s3_0_c6_c0_0", "far_el1"),
    ("s3_0_c4_c0_0", "spsr_el1"),
    ("s3_0_c4_c0_1", "elr_el1"),
    ("s3_0_c4_c6_0", "icc_pmr_el1"),
    ("s3_0_c2_c0_0", "ttbr0_el1"),
    ("s3_3_c14_c0_2", "cntvct_el0"),
];

/// The text with its mnemonic in a column and the distance from the program counter as an address.
fn spelt(text: &str, target: Option<VirtAddr>) -> String {
    let (mnemonic, operands) = text.split_once(' ').unwrap_or((text, ""));
    let operands = match (target, operands.rfind('$')) {
        (Some(target), Some(at)) => format!("{}{:#x}", operands.get(..at).unwrap_or_default(), target.0),
        _ => operands.to_owned(),
    };
    let operands = match SYSTEM_REGISTERS.iter().find(|(number, _)| operands.split(", ").any(|word| word == *number)) {
        Some((number, name)) => operands.replace(number, name),
        None => operands,
    };
    format!("{mnemonic:6} {operands}").trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn x86_reads_as_crash_prints_it() {
        // crash 8.0.6, dis schedule, of a 6.1 kernel at another address.
        let code = [0x55, 0x48, 0x89, 0xe5, 0x65, 0x48, 0x8b, 0x1c, 0x25, 0, 0x62, 1, 0, 0x8b, 0x43, 0x18, 0x74, 0x29];
        let texts: Vec<String> =
            x86_64(&code, VirtAddr(0xffff_ffff_8100_0000), 99).into_iter().map(|i| i.text).collect();
        assert_eq!(
            texts,
            [
                "push   %rbp",
                "mov    %rsp,%rbp",
                "mov    %gs:0x16200,%rbx",
                "mov    0x18(%rbx),%eax",
                "je     0xffffffff8100003b"
            ]
        );
    }

    #[test]
    fn arm64_branches_name_their_target() {
        // bl .+0x10; adrp x0, .+0x1000; ret
        let code = [0x04, 0, 0, 0x94, 0x00, 0, 0, 0xb0, 0xc0, 0x03, 0x5f, 0xd6];
        let found = arm64(&code, VirtAddr(0xffff_8000_0001_0ff0), 99);
        assert_eq!(found[0].target, Some(VirtAddr(0xffff_8000_0001_1000)));
        assert_eq!(found[1].target, Some(VirtAddr(0xffff_8000_0001_1000)));
        assert_eq!(found[0].text, "bl     0xffff800000011000");
        assert_eq!(found[2].text.split_whitespace().next(), Some("ret"));
    }

    #[test]
    fn no_bytes_make_it_panic() {
        let mut seed = 0x9e37_79b9_7f4a_7c15u64;
        for _ in 0..200_000 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let bytes = (seed >> 16).to_le_bytes();
            arm64(&bytes, VirtAddr(0xffff_8000_0000_0000), 99);
            x86_64(&bytes, VirtAddr(0xffff_ffff_8100_0000), 99);
        }
    }
}
