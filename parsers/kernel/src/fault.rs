//! What a faulting access was after: registers and code bytes of an oops, read with the types of the dump.

use std::collections::BTreeMap;

use facts::{Fact, FieldDef, FieldType, KindDef};
use iced_x86::{Decoder, DecoderOptions, Instruction, OpKind, Register};

use crate::flow::{Access, Held};
use crate::registers::LOWEST;
use crate::types::TypeRef;
use crate::what::What;
use crate::{Arch, Kernel, VirtAddr};

const CODE: KindDef = KindDef {
    kind: "mem.code",
    doc: "The bytes at the program counter of a report that does not print them, as memory has them.",
    fields: &[
        FieldDef { name: "function", ty: FieldType::Text, unit: "", doc: "function of the instruction" },
        FieldDef { name: "within", ty: FieldType::Int, unit: "bytes", doc: "offset in the function" },
        FieldDef {
            name: "code",
            ty: FieldType::Text,
            unit: "",
            doc: "as a `Code:` line from the mark on: `<f7> f7 48`",
        },
    ],
};

/// The longest instruction of x86 and one byte more, so that a cut one is not taken for a bad one.
const CODE_BYTES: usize = 16;

/// The kinds made here.
pub const KINDS: &[KindDef] = &[
    CODE,
    KindDef {
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
            FieldDef {
                name: "offset",
                ty: FieldType::Int,
                unit: "bytes",
                doc: "offset of the access from the register",
            },
            FieldDef {
                name: "member",
                ty: FieldType::Text,
                unit: "",
                doc: "structure member at that offset: by what the code shows the register to hold, else of the structures \
                  this function is known to walk",
            },
            FieldDef {
                name: "holds",
                ty: FieldType::Text,
                unit: "",
                doc: "what the register points into, inferred from the types of parameters, results and members, and from \
                  the code up to the access: `struct mr_table`",
            },
            FieldDef { name: "reading", ty: FieldType::Text, unit: "", doc: "member, way and type in words" },
            FieldDef {
                name: "path",
                ty: FieldType::Text,
                unit: "",
                doc: "how the code came by the pointer: `net->ipv6.mr6_tables.next`; inferred likewise",
            },
            FieldDef {
                name: "pointer",
                ty: FieldType::Address,
                unit: "",
                doc: "that pointer: the register less what the code had added to it",
            },
            FieldDef {
                name: "slot",
                ty: FieldType::Address,
                unit: "",
                doc: "where memory has that value: where the register had been read from, or where another one points",
            },
            FieldDef {
                name: "slot_section",
                ty: FieldType::Text,
                unit: "",
                doc: "text, rodata, data, ... of the kernel or a module",
            },
            FieldDef {
                name: "one_bit",
                ty: FieldType::Text,
                unit: "",
                doc: "the register is one bit off the start of an allocated object, in words",
            },
            FieldDef { name: "slot_module", ty: FieldType::Text, unit: "", doc: "module that it lies in" },
        ],
    },
];

/// Which structures a function walks, for kernels whose types do not tell what a function takes (3.10 with a pack):
/// function, then members it reads.
/// `mroute_sk` was `mroute6_sk` of `struct mr6_table` before b70432f7319e "mroute*: Make mr_table a common struct"
/// (v4.17), and of `struct mr_table` shortly after.
const WALKS: &[(&str, &[(&str, &str)])] =
    &[("ip6mr_sk_done", &[("mr_table", "mroute_sk"), ("mr_table", "mroute6_sk"), ("mr6_table", "mroute6_sk")])];

/// What an oops in the log says: names as printed, registers in capitals.
#[derive(Clone, Debug, Default)]
pub struct Oops<'a> {
    /// Function of the program counter.
    pub function: &'a str,
    /// Module of that function; `None` for the kernel itself.
    pub module: Option<&'a str>,
    /// Bytes from the function's start to the instruction.
    pub within: Option<u64>,
    /// The callers, innermost first: function, module, bytes from the function's start to where the call returns.
    pub callers: Vec<(&'a str, Option<&'a str>, u64)>,
    /// Fault address.
    pub address: Option<u64>,
    /// Registers.
    pub registers: BTreeMap<&'a str, u64>,
    /// The `Code:` line, the faulting byte in angle brackets.
    pub code: Option<&'a str>,
}

impl Oops<'_> {
    /// The value of a register.
    pub(crate) fn register(&self, name: &str) -> Option<u64> {
        let found = self.registers.iter().find(|(printed, _)| printed.eq_ignore_ascii_case(name));
        found.map(|(_, value)| *value)
    }
}

/// Callers looked at for where a parameter comes from.
const MAX_CALLERS: usize = 4;

/// What an instruction accesses.
struct Faulting {
    text: String,
    register: String,
    base: u64,
    offset: u64,
    indexed: bool,
}

/// What the types tell of the access.
#[derive(Default)]
struct Typed {
    /// `mr_table.mroute_sk`
    member: Option<String>,
    /// `struct mr_table`
    holds: Option<String>,
    path: Option<String>,
    repeated: bool,
    /// What the code had added to the pointer.
    plus: i64,
    /// The function that says so by what it takes.
    taken_by: Option<String>,
    /// Callers that handed the pointer down, innermost first: name, and how each came by it.
    handed: Vec<(String, String)>,
}

impl Typed {
    /// In words; `None` where nothing is known.
    fn reading(&self, register: &str, offset: u64, pointer: u64) -> Option<String> {
        let mut words = self.member.as_ref().map(|member| format!("offset {offset:#x} is {member}"));
        if self.path.is_none() && self.holds.is_none() {
            return words;
        }
        let mut text = words.take().map(|words| words + "; ").unwrap_or_default();
        text.push_str(&format!("{register} is "));
        if self.plus != 0 {
            let sign = if self.plus < 0 { '-' } else { '+' };
            text.push_str(&format!("{pointer:#x} {sign} {:#x}, the former ", self.plus.unsigned_abs()));
        }
        text.push_str(self.path.as_deref().unwrap_or("a pointer"));
        if self.repeated && self.path.is_some() {
            text.push_str(" or what follows it");
        }
        if let Some(holds) = &self.holds {
            text.push_str(&format!(", a {holds} *"));
        }
        for (caller, path) in &self.handed {
            text.push_str(&format!("; {caller} gave it {path}"));
        }
        text.push_str(" (inferred from the code");
        if let Some(function) = &self.taken_by {
            text.push_str(&format!(", which gives it to {function}"));
        }
        text.push(')');
        Some(text)
    }
}

impl Kernel<'_> {
    /// The `mem.fault` fact of an oops. `None` when registers are missing, when neither the log nor memory has the
    /// instruction, or when it accesses no memory through a register.
    pub fn fault_fact(&self, oops: &Oops<'_>) -> Option<Fact> {
        let at = self.faulting_address(oops);
        let access = at.and_then(|at| self.access_at(at));
        let faulting = self.faulting(oops, at, access.as_ref())?;
        let Faulting { text, register, base, offset, indexed } = faulting;
        let exact = !indexed && oops.address.is_some_and(|a| a == base.wrapping_add(offset));
        let mut typed = access.map(|access| self.typed(&access, oops, at)).unwrap_or_default();
        if typed.member.is_none() {
            typed.member = WALKS
                .iter()
                .filter(|(function, _)| *function == oops.function)
                .flat_map(|(_, members)| members.iter())
                .find(|(structure, member)| self.types().offset(structure, member) == Some(offset))
                .map(|(structure, member)| format!("{structure}.{member}"));
        }
        let pointer = base.wrapping_sub(typed.plus as u64);
        let reading = typed.reading(&register, offset, pointer);
        let from = at.and_then(|at| self.read_from(oops, at, &register, base));
        let held_by = from
            .as_ref()
            .filter(|(_, what)| what.kind() != "stack")
            .map(|(place, what)| format!("memory has that value at {place:#x}, {}", what.summary()));
        let reading = match (reading, held_by) {
            (Some(reading), Some(held)) => Some(format!("{reading}; {held}")),
            (reading, held) => reading.or(held),
        };
        let size = typed.holds.as_deref().and_then(|name| self.types().size_of(bare(name)));
        let one_bit = self.one_bit_off(pointer, size.unwrap_or(1));
        let quote = match &reading {
            Some(reading) => format!("`{text}`: {register} is {base:#x}, {reading}"),
            None => format!("`{text}`: {register} is {base:#x}, offset {}", distance(offset)),
        };
        let known = typed.path.is_some() || typed.holds.is_some();
        let origin =
            facts::Origin::derived(self.member(), "code bytes and registers of the oops, with the dump's types");
        Some(
            Fact::new("mem.fault", origin)
                .with("function", oops.function)
                .with("instruction", text)
                .with("register", register)
                .with("base", facts::Address(base))
                .with("null_pointer", exact && base == 0)
                .with("offset", offset)
                .with_opt("member", typed.member.clone())
                .with_opt("reading", reading)
                .with_opt("holds", typed.holds.clone())
                .with_opt("path", typed.path.clone())
                .with_opt("pointer", known.then_some(facts::Address(pointer)))
                .with_opt("slot", from.as_ref().map(|(place, _)| facts::Address(*place)))
                .with_opt("slot_section", from.as_ref().and_then(|(_, what)| what.section))
                .with_opt("one_bit", one_bit)
                .with_opt("slot_module", from.as_ref().and_then(|(_, what)| what.module.clone()))
                .quoting(quote)
                .recheck(format!("crash> dis -rl {}", oops.function))
                .recheck(match typed.member.as_deref().and_then(|m| m.split_once('.')) {
                    Some((structure, _)) => format!("crash> struct -o {structure}"),
                    None => "crash> bt -f".to_owned(),
                }),
        )
    }

    /// The `mem.code` fact of a report that lacks its code bytes: `Unable to access opcode bytes`, as kernels print whose
    /// probe of their own text fails. Only x86 has instructions that depend on what the CPU can do, or divide errors.
    pub fn code_fact(&self, oops: &Oops<'_>) -> Option<Fact> {
        let at = self.faulting_address(oops).filter(|_| oops.code.is_none() && self.arch() == Arch::X86_64)?;
        let bytes = self.bytes(at, CODE_BYTES).ok()?;
        let words: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let (first, rest) = words.split_first()?;
        let code = format!("<{first}> {}", rest.join(" "));
        let origin = facts::Origin::derived(self.member(), "memory at the program counter");
        Some(
            Fact::new("mem.code", origin)
                .with("function", oops.function)
                .with_opt("within", oops.within)
                .with("code", code.as_str())
                .quoting(code)
                .recheck(format!("crash> dis -rl {}", oops.function)),
        )
    }

    /// Says that an address that nothing is mapped at differs in one bit from the start of an allocated slab object of at
    /// least that many bytes, and of one only.
    fn one_bit_off(&self, at: u64, size: u64) -> Option<String> {
        let mapped = |at: u64| self.arch().is_kernel(VirtAddr(at)) && self.translate(VirtAddr(at)).is_ok();
        if at <= LOWEST || mapped(at) {
            return None;
        }
        let starts = (0..u64::BITS).filter_map(|bit| {
            let start = VirtAddr(at ^ (1 << bit));
            let object = self.slab_object(start).filter(|_| mapped(start.0))?;
            let holds = self.value(object.cache, "kmem_cache", "object_size").unwrap_or(0) & 0xffff_ffff;
            (object.start == start && object.allocated == Some(true) && holds >= size).then_some((bit, object))
        });
        let mut starts = starts.take(2);
        let (bit, object) = starts.next()?;
        starts.next().is_none().then(|| {
            let (start, cache) = (object.start.0, &object.cache_name);
            format!("{at:#018x} is {start:#018x}, an allocated object of {cache}, with bit {bit} flipped")
        })
    }

    /// Where the base register's value stands in memory, and what lies there: where the code had read it from, else where
    /// another register points, which loops leave at the place that they go on from.
    fn read_from(&self, oops: &Oops<'_>, at: VirtAddr, register: &str, base: u64) -> Option<(u64, What)> {
        let holds = |place: &u64| self.u64(VirtAddr(*place)).is_ok_and(|word| word == base);
        let slot = self.slot_of(at, register).and_then(|slot| self.slot_address(&slot, &|name| oops.register(name)));
        let pointed = || {
            // Small numbers stand in many places.
            let mut others = oops.registers.iter().filter(|(name, _)| base > LOWEST && **name != register);
            others.find(|(_, value)| self.arch().is_kernel(VirtAddr(**value)) && holds(value)).map(|(_, value)| *value)
        };
        let place = slot.filter(holds).or_else(pointed)?;
        Some((place, self.whereabouts().what(VirtAddr(place))))
    }

    /// Where the instruction lies: the function's place in memory plus the distance that the log tells, where the bytes
    /// there are those of the log's `Code:` line, if it has one.
    pub(crate) fn faulting_address(&self, oops: &Oops<'_>) -> Option<VirtAddr> {
        let within = oops.within?;
        let starts = self.starts(oops.function, oops.module);
        let wanted = oops.code.map(|code| marked_bytes(code, self.arch())).filter(|bytes| !bytes.is_empty());
        let fits = |at: &VirtAddr| match &wanted {
            Some(wanted) => self.bytes(*at, wanted.len()).is_ok_and(|found| found == *wanted),
            None => true,
        };
        let mut found = starts.into_iter().map(|start| start + within).filter(fits);
        let at = found.next()?;
        if found.next().is_some() { None } else { Some(at) }
    }

    /// Where functions of that name begin.
    pub(crate) fn starts(&self, function: &str, module: Option<&str>) -> Vec<VirtAddr> {
        match module {
            None => self.symbols(function).into_iter().map(VirtAddr).collect(),
            Some(module) => {
                let found = self.module_symbols(function).into_iter();
                found.filter(|(_, of)| *of == module).map(|(at, _)| at).collect()
            }
        }
    }

    /// The callers that handed a parameter down, as far as each only passed on what it was given, and what the last of
    /// them knows of it.
    fn handed(&self, oops: &Oops<'_>, at: VirtAddr, nth: usize) -> (Vec<(String, String)>, Option<Held>) {
        let (mut handed, mut last) = (Vec::new(), None);
        let Some(symbol) = self.symbolize(at) else { return (handed, last) };
        let (mut callee, mut nth) = (at - symbol.offset, nth);
        for (function, module, within) in oops.callers.iter().take(MAX_CALLERS) {
            let found = self.starts(function, *module).into_iter();
            let mut found = found.filter_map(|start| Some((start, self.argument_at(start + *within, callee, nth)?)));
            let Some((start, held)) = found.next() else { break };
            let Some(path) = held.path.clone().filter(|_| held.plus == 0) else { break };
            handed.push(((*function).to_owned(), path));
            let next = held.parameter;
            last = Some(held);
            match next {
                Some(parameter) => (callee, nth) = (start, parameter),
                None => break,
            }
        }
        (handed, last)
    }

    /// The instruction and the register it went through: by the log's bytes, else by those in memory.
    fn faulting(&self, oops: &Oops<'_>, at: Option<VirtAddr>, access: Option<&Access>) -> Option<Faulting> {
        let held = |name: &str| oops.register(name);
        if let Some(access) = access
            && let Some(base) = held(access.register)
        {
            let text = match self.arch() {
                Arch::X86_64 => instruction_text(&decoded(&self.bytes(at?, 15).ok()?)?),
                Arch::Aarch64 => self.disassemble(at?, at? + 4, 1).items.into_iter().next()?.text,
            };
            return Some(Faulting {
                text: text.split_whitespace().collect::<Vec<_>>().join(" "),
                register: access.register.to_owned(),
                base,
                offset: access.offset as u64,
                indexed: access.indexed,
            });
        }
        if self.arch() != Arch::X86_64 {
            return None;
        }
        let instruction = decoded(&marked_bytes(oops.code?, Arch::X86_64))?;
        let name = format!("{:?}", base_register(&instruction)?.full_register()).to_uppercase();
        let name = match name.as_str() {
            "R8" => "R08".to_owned(),
            "R9" => "R09".to_owned(),
            _ => name,
        };
        Some(Faulting {
            text: instruction_text(&instruction),
            base: held(&name)?,
            register: name,
            offset: instruction.memory_displacement64(),
            indexed: instruction.memory_index() != Register::None,
        })
    }

    /// The member that an access is after, and how the code came by the structure, as far as the types tell.
    pub(crate) fn member_of(&self, access: &Access, oops: &Oops<'_>, at: VirtAddr) -> (Option<String>, Option<String>) {
        let typed = self.typed(access, oops, Some(at));
        (typed.member, typed.path)
    }

    /// The member that an access was after.
    fn typed(&self, access: &Access, oops: &Oops<'_>, at: Option<VirtAddr>) -> Typed {
        let Some(held) = &access.held else { return Typed::default() };
        let types = self.types();
        let (handed, caller) = match (held.parameter, at) {
            (Some(nth), Some(at)) => self.handed(oops, at, nth),
            _ => (Vec::new(), None),
        };
        let mut typed =
            Typed { path: held.path.clone(), repeated: held.repeated, plus: held.plus, handed, ..Typed::default() };
        let member = |structure: TypeRef, at: i64| {
            let at = u64::try_from(at).ok().filter(|_| !access.indexed)?;
            let leaf = types.leaves(structure, at, access.size).into_iter().next()?;
            (!leaf.path.is_empty()).then(|| format!("{}.{}", bare(&types.type_name(structure)), leaf.path))
        };
        let distance = held.plus.saturating_add(access.offset);
        // A function without a prototype may be given something whose type is known.
        let own = held
            .to
            .or(caller.and_then(|held| held.to))
            .filter(|to| types.is_structure(*to) && types.type_name(*to).contains(' '));
        typed.member = own.and_then(|to| member(to, distance));
        typed.holds = own.map(|to| types.type_name(to));
        if typed.member.is_none()
            && let Some((around, plus, function)) = &held.around
            && let Some(found) = member(*around, distance.saturating_sub(*plus))
        {
            typed.member = Some(found);
            typed.holds = Some(types.type_name(*around));
            typed.taken_by = Some(function.clone());
            typed.plus = held.plus.saturating_sub(*plus);
        }
        typed
    }
}

fn bare(name: &str) -> &str {
    ["struct ", "union "].iter().find_map(|keyword| name.strip_prefix(keyword)).unwrap_or(name)
}

/// The bytes from the marked one on of a `Code:` line; of arm64's the marked word.
fn marked_bytes(code: &str, arch: Arch) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut started = false;
    for word in code.split_whitespace() {
        started |= word.starts_with('<') || word.starts_with('(');
        if !started {
            continue;
        }
        let hex = word.trim_matches(|c: char| !c.is_ascii_hexdigit());
        match arch {
            Arch::X86_64 => match u8::from_str_radix(hex, 16) {
                Ok(byte) => bytes.push(byte),
                Err(_) => break,
            },
            Arch::Aarch64 => {
                return u32::from_str_radix(hex, 16).map(|word| word.to_le_bytes().to_vec()).unwrap_or_default();
            }
        }
    }
    bytes
}

fn decoded(bytes: &[u8]) -> Option<Instruction> {
    let instruction = Decoder::new(64, bytes, DecoderOptions::NONE).decode();
    (!instruction.is_invalid()).then_some(instruction)
}

fn base_register(instruction: &Instruction) -> Option<Register> {
    let in_memory = (0..instruction.op_count()).any(|n| instruction.op_kind(n) == OpKind::Memory);
    let base = instruction.memory_base();
    (in_memory && base != Register::None && base != Register::RIP).then_some(base)
}

fn instruction_text(instruction: &Instruction) -> String {
    crate::disassemble::intel(instruction)
}

/// An offset, which may be below 0.
fn distance(offset: u64) -> String {
    match offset as i64 {
        below @ i64::MIN..0 => format!("-{:#x}", below.unsigned_abs()),
        _ => format!("{offset:#x}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_below_the_register_has_a_sign() {
        assert_eq!((distance(0xffff_ffff_ffff_fed0), distance(0x130)), ("-0x130".to_owned(), "0x130".to_owned()));
    }

    #[test]
    fn the_marked_instruction_is_the_faulting_one() {
        // As printed by a 3.10 kernel: cmp [r12+20h],rbx.
        let code = "49 8b 04 24 48 89 45 d8 4c 8b 65 d8 49 39 d4 74 5f <49> 39 5c 24 20 75 e8 48 c7 c7";
        let instruction = decoded(&marked_bytes(code, Arch::X86_64)).unwrap();
        assert_eq!(instruction_text(&instruction), "cmp [r12+20h],rbx");
        assert_eq!(base_register(&instruction), Some(Register::R12));
        assert_eq!(instruction.memory_displacement64(), 0x20);
    }

    #[test]
    fn damaged_code_lines_give_nothing() {
        for code in ["", "<", "<zz>", "no marks 00 11", "<0f> zz", "<0f>"] {
            assert!(decoded(&marked_bytes(code, Arch::X86_64)).is_none(), "{code}");
        }
    }
}
