//! What a faulting access was after: registers and code bytes of an oops, read with the types of the dump.

use std::collections::BTreeMap;

use facts::{Fact, FieldDef, FieldType, KindDef};
use iced_x86::{Decoder, DecoderOptions, Instruction, OpKind, Register};

use crate::Kernel;

/// The kinds made here.
pub const KINDS: &[KindDef] = &[KindDef {
    kind: "mem.fault",
    doc: "The access of an oops: the register it went through, and the member at that offset.",
    fields: &[
        FieldDef { name: "function", ty: FieldType::Text, unit: "", doc: "function of the faulting instruction" },
        FieldDef { name: "instruction", ty: FieldType::Text, unit: "", doc: "the instruction" },
        FieldDef { name: "register", ty: FieldType::Text, unit: "", doc: "base register of the access" },
        FieldDef { name: "base", ty: FieldType::Address, unit: "", doc: "what the register held" },
        FieldDef {
            name: "null_pointer",
            ty: FieldType::Bool,
            unit: "",
            doc: "the register held zero, and base plus offset is the fault address",
        },
        FieldDef { name: "offset", ty: FieldType::Int, unit: "bytes", doc: "offset of the access from the register" },
        FieldDef {
            name: "member",
            ty: FieldType::Text,
            unit: "",
            doc: "structure member at that offset, of the structures this function walks",
        },
    ],
}];

/// Which structures a function walks, where the offset alone does not tell: function, then members it reads.
/// `mroute_sk` was `mroute6_sk` of `struct mr6_table` before b70432f7319e "mroute*: Make mr_table a common struct"
/// (v4.17), and of `struct mr_table` shortly after.
const WALKS: &[(&str, &[(&str, &str)])] =
    &[("ip6mr_sk_done", &[("mr_table", "mroute_sk"), ("mr_table", "mroute6_sk"), ("mr6_table", "mroute6_sk")])];

/// What an oops in the log says: names as printed, registers in capitals.
#[derive(Clone, Debug, Default)]
pub struct Oops<'a> {
    /// Function of the program counter.
    pub function: &'a str,
    /// Fault address.
    pub address: Option<u64>,
    /// Registers.
    pub registers: BTreeMap<&'a str, u64>,
    /// The `Code:` line, the faulting byte in angle brackets.
    pub code: Option<&'a str>,
}

impl Kernel<'_> {
    /// The `mem.fault` fact of an oops (x86-64). `None` when code bytes or registers are missing, or the instruction
    /// accesses no memory through a register.
    pub fn fault_fact(&self, oops: &Oops<'_>) -> Option<Fact> {
        let instruction = faulting_instruction(oops.code?)?;
        let register = base_register(&instruction)?;
        let name = format!("{:?}", register.full_register()).to_uppercase();
        let base = *oops.registers.get(name.as_str())?;
        let offset = instruction.memory_displacement64();
        let indexed = instruction.memory_index() != Register::None;
        let exact = !indexed && oops.address.is_some_and(|a| a == base.wrapping_add(offset));
        let member = WALKS
            .iter()
            .filter(|(function, _)| *function == oops.function)
            .flat_map(|(_, members)| members.iter())
            .find(|(structure, member)| self.types().offset(structure, member) == Some(offset))
            .map(|(structure, member)| format!("{structure}.{member}"));
        let text = instruction_text(&instruction);
        let quote = match &member {
            Some(member) => format!("`{text}`: {name} is {base:#x}, offset {offset:#x} is {member}"),
            None => format!("`{text}`: {name} is {base:#x}, offset {offset:#x}"),
        };
        let origin =
            facts::Origin::derived(self.member(), "code bytes and registers of the oops, with the dump's types");
        Some(
            Fact::new("mem.fault", origin)
                .with("function", oops.function)
                .with("instruction", text)
                .with("register", name)
                .with("base", facts::Address(base))
                .with("null_pointer", exact && base == 0)
                .with("offset", offset)
                .with_opt("member", member.clone())
                .quoting(quote)
                .recheck(format!("crash> dis -rl {}", oops.function))
                .recheck(match member.as_deref().and_then(|m| m.split_once('.')) {
                    Some((structure, _)) => format!("crash> struct -o {structure}"),
                    None => "crash> bt -f".to_owned(),
                }),
        )
    }
}

/// The instruction at the marked byte of a `Code:` line.
fn faulting_instruction(code: &str) -> Option<Instruction> {
    let mut bytes = Vec::new();
    let mut started = false;
    for word in code.split_whitespace() {
        let marked = word.starts_with('<') || word.starts_with('(');
        started |= marked;
        if started {
            let hex = word.trim_matches(|c: char| !c.is_ascii_hexdigit());
            match u8::from_str_radix(hex, 16) {
                Ok(byte) => bytes.push(byte),
                Err(_) => break,
            }
        }
    }
    let mut decoder = Decoder::new(64, &bytes, DecoderOptions::NONE);
    let instruction = decoder.decode();
    (!instruction.is_invalid()).then_some(instruction)
}

fn base_register(instruction: &Instruction) -> Option<Register> {
    let in_memory = (0..instruction.op_count()).any(|n| instruction.op_kind(n) == OpKind::Memory);
    let base = instruction.memory_base();
    (in_memory && base != Register::None && base != Register::RIP).then_some(base)
}

fn instruction_text(instruction: &Instruction) -> String {
    use iced_x86::Formatter;
    let mut text = String::new();
    iced_x86::NasmFormatter::new().format(instruction, &mut text);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_marked_instruction_is_the_faulting_one() {
        // As printed by a 3.10 kernel: cmp [r12+20h],rbx.
        let code = "49 8b 04 24 48 89 45 d8 4c 8b 65 d8 49 39 d4 74 5f <49> 39 5c 24 20 75 e8 48 c7 c7";
        let instruction = faulting_instruction(code).unwrap();
        assert_eq!(instruction_text(&instruction), "cmp [r12+20h],rbx");
        assert_eq!(base_register(&instruction), Some(Register::R12));
        assert_eq!(instruction.memory_displacement64(), 0x20);
    }

    #[test]
    fn damaged_code_lines_give_nothing() {
        for code in ["", "<", "<zz>", "no marks 00 11", "<0f> zz", "<0f>"] {
            assert!(faulting_instruction(code).is_none(), "{code}");
        }
    }
}
