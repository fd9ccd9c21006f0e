//! The faulting instruction from the `Code:` line, and the registers its memory access goes through.

use iced_x86::{CpuidFeature, Decoder, DecoderOptions, Instruction, Mnemonic, OpKind, Register};

/// A decoded instruction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Decoded {
    /// In assembler.
    pub(super) text: String,
    /// Register of the memory access that holds the pointer, in capitals, and what is added to it.
    pub(super) base: Option<(String, u64)>,
    /// The register whose value is scaled and added.
    pub(super) index: Option<(String, u32)>,
    /// The instruction is a trap on purpose: BUG, WARN, int3.
    pub(super) trap: bool,
    /// It accesses memory.
    pub(super) memory: bool,
    /// The register that a division divides by, in capitals.
    pub(super) divisor: Option<String>,
    /// What a CPU must have for it, as the vendors' manuals name it: `AVX512F`. Nothing for what every x86-64 has.
    pub(super) needs: Option<String>,
}

/// Bytes of one line; the kernel prints at most 64.
const MAX_BYTES: usize = 128;

/// Decodes the marked instruction of an x86 `Code:` line: bytes in hex, the first of the instruction in `<>`.
pub(super) fn x86(code: &str, bits: u32) -> Option<Decoded> {
    let mut bytes: Vec<u8> = Vec::new();
    let mut marked = false;
    for word in code.split_ascii_whitespace().take(MAX_BYTES) {
        let inner = word.strip_prefix('<').and_then(|w| w.strip_suffix('>'));
        marked |= inner.is_some();
        let hex = inner.unwrap_or(word);
        if hex.len() != 2 {
            break;
        }
        if marked {
            bytes.push(u8::from_str_radix(hex, 16).ok()?);
        }
    }
    if bytes.is_empty() {
        return None;
    }
    let instruction = Decoder::new(bits, &bytes, DecoderOptions::NONE).decode();
    if instruction.is_invalid() {
        return None;
    }
    let text = kernel::disassemble::intel(&instruction);
    let trap = bytes.starts_with(&[0x0f, 0x0b]) || bytes.starts_with(&[0xcc]) || bytes.starts_with(&[0x0f, 0xb9]);
    let (base, index, memory) = access(&instruction);
    let divides = matches!(instruction.mnemonic(), Mnemonic::Div | Mnemonic::Idiv);
    let divisor = (divides && instruction.op0_kind() == OpKind::Register)
        .then(|| format!("{:?}", instruction.op0_register().full_register()).to_uppercase());
    Some(Decoded { text, base, index, trap, memory, divisor, needs: needs(&instruction) })
}

/// Every x86-64 has these.
const ALWAYS: &[CpuidFeature] = &[
    CpuidFeature::INTEL8086,
    CpuidFeature::INTEL8086_ONLY,
    CpuidFeature::INTEL186,
    CpuidFeature::INTEL286,
    CpuidFeature::INTEL386,
    CpuidFeature::INTEL486,
    CpuidFeature::X64,
    CpuidFeature::CMOV,
    CpuidFeature::CPUID,
    CpuidFeature::CX8,
    CpuidFeature::FPU,
    CpuidFeature::FPU287,
    CpuidFeature::FPU387,
    CpuidFeature::FXSR,
    CpuidFeature::MMX,
    CpuidFeature::MSR,
    CpuidFeature::MULTIBYTENOP,
    CpuidFeature::PAUSE,
    CpuidFeature::SSE,
    CpuidFeature::SSE2,
    CpuidFeature::SYSCALL,
    CpuidFeature::TSC,
];

fn needs(instruction: &Instruction) -> Option<String> {
    let features = instruction.cpuid_features().iter().filter(|feature| !ALWAYS.contains(feature));
    let names: Vec<String> = features.map(|feature| format!("{feature:?}")).collect();
    (!names.is_empty()).then(|| names.join(" and "))
}

type Access = (Option<(String, u64)>, Option<(String, u32)>, bool);

fn access(instruction: &Instruction) -> Access {
    let name = |register: Register| format!("{register:?}").to_uppercase();
    let memory = (0..instruction.op_count()).map(|n| instruction.op_kind(n));
    for kind in memory {
        match kind {
            OpKind::Memory => {
                let register = instruction.memory_base();
                let index = instruction.memory_index();
                let index =
                    (index != Register::None).then(|| (name(index.full_register()), instruction.memory_index_scale()));
                if register == Register::None || register.is_ip() {
                    return (None, index, true);
                }
                return (Some((name(register.full_register()), instruction.memory_displacement64())), index, true);
            }
            OpKind::MemorySegRSI | OpKind::MemorySegESI => return (Some(("RSI".to_owned(), 0)), None, true),
            OpKind::MemoryESRDI | OpKind::MemoryESEDI => return (Some(("RDI".to_owned(), 0)), None, true),
            _ => {}
        }
    }
    (None, None, false)
}

/// The marked word of an arm64 `Code:` line, `(b9400020)`; a load or store with an offset from a register is read, as
/// that is what faults.
pub(super) fn arm64(code: &str) -> Option<Decoded> {
    let word = code.split_ascii_whitespace().find_map(|w| w.strip_prefix('(')?.strip_suffix(')'))?;
    let word = u32::from_str_radix(word, 16).ok().filter(|_| code.len() < 256)?;
    let register = |n: u32| if n == 31 { "sp".to_owned() } else { format!("x{n}") };
    let base = register(word >> 5 & 31);
    let trap = word & 0xffe0_001f == 0xd420_0000;
    // Load/store register, unsigned offset: size 111 V 01 opc imm12 Rn Rt.
    if word & 0x3b00_0000 == 0x3900_0000 {
        let vector = word >> 26 & 1 == 1;
        let load = word >> 22 & 3 != 0;
        let scale = word >> 30;
        let offset = u64::from(word >> 10 & 0xfff) << scale;
        let verb = if load { "ldr" } else { "str" };
        let target = if vector {
            "v"
        } else if scale == 3 {
            "x"
        } else {
            "w"
        };
        let text = format!("{verb} {target}{}, [{base}, #{offset:#x}]", word & 31);
        return Some(Decoded { text, base: Some((base.to_uppercase(), offset)), memory: true, ..Decoded::default() });
    }
    // Load/store pair: x0 101 V 0 ...
    if word & 0x3a00_0000 == 0x2800_0000 {
        let load = word >> 22 & 1 == 1;
        let scale = 2 + (word >> 31);
        let imm = i64::from((word >> 15 & 0x7f) << 25).wrapping_shl(32) >> 57;
        let offset = (imm << scale) as u64;
        let verb = if load { "ldp" } else { "stp" };
        let text = format!("{verb} x{}, x{}, [{base}, #{}]", word & 31, word >> 10 & 31, imm << scale);
        return Some(Decoded { text, base: Some((base.to_uppercase(), offset)), memory: true, ..Decoded::default() });
    }
    // Exclusive and ordered accesses: no offset.
    if word & 0x3f00_0000 == 0x0800_0000 {
        let text = format!("exclusive access [{base}]");
        return Some(Decoded { text, base: Some((base.to_uppercase(), 0)), memory: true, ..Decoded::default() });
    }
    trap.then(|| Decoded { text: "brk".to_owned(), trap: true, ..Decoded::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_marked_instruction_is_read() {
        let decoded = x86("00 00 48 8b 47 08 <48> 8b 40 20 c3", 64).unwrap();
        assert_eq!(decoded.text, "mov rax,[rax+20h]");
        assert_eq!(decoded.base, Some(("RAX".to_owned(), 0x20)));
        assert!(x86("<0f> 0b 48", 64).unwrap().trap);
        // div edi; mov rax,[rdi]; vpxord zmm0,zmm0,zmm0
        assert_eq!(x86("<f7> f7 48", 64).unwrap().divisor.as_deref(), Some("RDI"));
        assert_eq!(x86("<48> 8b 07", 64).unwrap().needs, None);
        assert_eq!(x86("<62> f1 7d 48 ef c0", 64).unwrap().needs.as_deref(), Some("AVX512F"));
        assert_eq!(x86("48 8b 40 20", 64), None);
        assert_eq!(x86("", 64), None);
    }

    #[test]
    fn an_arm64_load_is_read() {
        // ldr w0, [x1]: b9400020
        let decoded = arm64("f9400a61 f9402262 (b9400020)").unwrap();
        assert_eq!(decoded.base, Some(("X1".to_owned(), 0)));
        // ldr x1, [x19, #16]: f9400a61
        assert_eq!(arm64("(f9400a61)").unwrap().base, Some(("X19".to_owned(), 0x10)));
        assert!(arm64("(d4210000)").unwrap().trap);
    }
}
