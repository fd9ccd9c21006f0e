//! What a faulting access was after: the fault address, the registers and the instruction read together.

use std::collections::BTreeMap;

use facts::{Fact, Value};

use super::instruction::{self, Decoded};
use super::pointer;

/// What is concluded about a fault.
pub(super) struct Fault {
    pub(super) meaning: &'static str,
    pub(super) text: String,
    pub(super) register: Option<String>,
    pub(super) value: Option<u64>,
    pub(super) instruction: Option<String>,
    pub(super) offset: Option<u64>,
    /// A word in which one bit is wrong.
    pub(super) flipped: Option<String>,
    /// The title that tells more than the report's own.
    pub(super) title: Option<String>,
}

/// Classes whose cause is an address.
const CLASSES: &[&str] = &["null-deref", "paging-fault", "gpf", "wild-access", "trap"];

/// A jump to where no code is: a function pointer that is NULL, stale or overwritten was called.
pub(super) struct Jump {
    /// What was called, in words.
    pub(super) what: String,
    pub(super) address: u64,
}

/// What arm64 says of a jump to data.
const NOT_EXECUTABLE: &str = "execute from non-executable memory";

/// The byte of the instruction INT3.
const INT3: u8 = 0xcc;

/// Bits of an x86 page fault's error code (`arch/x86/include/asm/trap_pf.h`): the page is there, it was written to, an
/// entry of the tables has a bit set that must be clear, an instruction was fetched.
const PRESENT: i64 = 1;
const WRITE: i64 = 1 << 1;
const RESERVED: i64 = 1 << 3;
const FETCH: i64 = 1 << 4;
/// s390x: the page is there, and protected.
const PROTECTION: i64 = 4;

const NO_ANSWER: (&str, &str) =
    ("external-abort", "is mapped, and nothing answered: the device behind it, its bus, clock or power");

/// What the fault status of an Arm processor says where the address is mapped: by its name in the header, or by the code
/// of an arm64 data abort (ESR_EL1, Arm ARM D24.2.40).
fn arm_status(fact: &Fact) -> Option<(&'static str, &'static str)> {
    const ABORTS: [i64; 2] = [0x24, 0x25];
    if fact.text("header").is_some_and(|header| header.contains("external abort on ")) {
        return Some(NO_ANSWER);
    }
    let esr = fact.int("error_code").filter(|esr| ABORTS.contains(&(esr >> 26)))?;
    match esr & 0x3f {
        0x0c..=0x0f => Some(("permission", "is mapped, and that access to it is not allowed")),
        0x10 | 0x14..=0x17 => Some(NO_ANSWER),
        0x11 => Some(("tag-check", "has another memory tag than the pointer")),
        0x21 => Some(("alignment", "is not aligned as that access wants it")),
        _ => None,
    }
}

/// Only x86 begins the header so.
fn is_x86(header: &str) -> bool {
    header.starts_with("BUG: unable") || header.starts_with("BUG: kernel")
}

/// Is it a report of powerpc, by how its header begins?
fn is_powerpc(fact: &Fact) -> bool {
    let header = fact.text("header").unwrap_or(&fact.quote);
    header.starts_with("BUG: Unable to handle kernel ")
        || header.starts_with("Unable to handle kernel paging request for ")
        || header.contains(": Vector: ")
}

/// Are the highest bits of all addresses equal? Those of powerpc, MIPS and LoongArch, whose headers name `epc` and `era`, are
/// divided by their highest bits.
fn is_sign_extended(fact: &Fact) -> bool {
    let header = fact.text("header").unwrap_or(&fact.quote);
    !is_powerpc(fact) && !header.contains(", epc == ") && !header.contains(", era == ")
}

/// The error code of a page fault on x86, by how its header begins.
fn page_fault(fact: &Fact) -> Option<i64> {
    let ours = fact.text("header").is_some_and(|h| is_x86(h) || h.starts_with("Bad pagetable: "));
    fact.int("error_code").filter(|code| ours && (0..0x100).contains(code))
}

/// Reads a fault of which the program counter itself is the address; what stands there is no code, and is not decoded.
pub(super) fn jump(fact: &Fact) -> Option<Jump> {
    if let Some(jump) = jump_to_freed_text(fact) {
        return Some(jump);
    }
    if !CLASSES.contains(&fact.text("class")?) || fact.text("function").is_some() {
        return None;
    }
    let address = number(fact.get("address"));
    let counter = number(fact.get("pc"));
    let x86 = fact.text("header").is_some_and(is_x86);
    let fetched = fact.text("access") == Some("execute") || page_fault(fact).is_some_and(|code| code & FETCH != 0);
    let wide = !registers(fact).contains_key("EAX");
    // The processor goes to an address that cannot be one, and faults there.
    let nowhere = |counter: u64| wide && is_sign_extended(fact) && pointer::non_canonical(counter);
    let at = match (address, counter) {
        (Some(address), Some(counter)) if fetched || address == counter => counter,
        (Some(address), None) if fetched => address,
        (_, Some(counter)) if fetched || nowhere(counter) => counter,
        _ => return None,
    };
    let what = match pointer::read(at, wide) {
        Some(reading) if reading.meaning == "null-pointer" && at == 0 => "a function pointer that is NULL".to_owned(),
        Some(reading) if reading.meaning == "null-pointer" => {
            format!("a function pointer that holds {at:#x}, NULL plus an offset,")
        }
        Some(reading) => format!("a function pointer that holds {at:#x} ({})", reading.text),
        None if wide && is_sign_extended(fact) && pointer::non_canonical(at) => {
            format!("a function pointer that is overwritten ({at:#x})")
        }
        None if wide && x86 && at < 0x0000_8000_0000_0000 => format!("a function pointer into user space ({at:#x})"),
        None if wide
            && (page_fault(fact).is_some_and(|code| code & (PRESENT | FETCH) == PRESENT | FETCH)
                || fact.text("header").is_some_and(|header| header.contains(NOT_EXECUTABLE))) =>
        {
            format!(
                "a function pointer that is stale or overwritten ({at:#x} is data: its page is there and not executable)"
            )
        }
        None => format!("a function pointer that is stale or overwritten ({at:#x} holds no code)"),
    };
    Some(Jump { what, address: at })
}

/// A jump to where text of a module was: since 2e45474ab14f "execmem: add support for cache of large ROX pages" (v6.13)
/// module memory that was given back stays mapped and is filled with INT3, which has one byte.
fn jump_to_freed_text(fact: &Fact) -> Option<Jump> {
    let trapped = fact.text("header").is_some_and(|header| header.contains("int3: "));
    let filled = fact.text("code").and_then(overwritten) == Some(INT3);
    let counter = number(fact.get("pc")).filter(|_| trapped && filled && fact.text("function").is_none())?;
    let at = counter.checked_sub(1)?;
    let what = format!(
        "a function pointer that is stale ({at:#x} is filled with INT3, as text of modules is when its memory is given back)"
    );
    Some(Jump { what, address: at })
}

/// What memory tells of the call by which a report's program counter came to be a bad address.
pub(super) fn caller<'a>(facts: &'a [Fact], fact: &Fact) -> Option<&'a Fact> {
    let called = jump(fact)?.address;
    let of = |known: &&Fact| number(known.get("called")) == Some(called) && known.origin.member == fact.origin.member;
    facts.iter().filter(|known| known.kind == "mem.bad_call").find(of)
}

/// What memory tells of a report's access.
pub(crate) fn access<'a>(facts: &'a [Fact], report: &Fact) -> Option<&'a Fact> {
    // Nothing else has its registers and code bytes.
    let function = report.text("function").filter(|_| report.kind == "log.oops")?;
    let of = |known: &&Fact| known.text("function") == Some(function) && known.origin.member == report.origin.member;
    facts.iter().filter(|known| known.kind == "mem.fault").find(of)
}

/// Reads the fault of an event; `None` when it has no address and no instruction that accesses memory. `caller` is what
/// memory tells of a jump to no code.
pub(super) fn fault(fact: &Fact, caller: Option<&Fact>) -> Option<Fault> {
    let class = fact.text("class")?;
    if !CLASSES.contains(&class) && !matches!(class, "invalid-opcode" | "divide-error") {
        return None;
    }
    if let Some(jump) = jump(fact) {
        return Some(Fault {
            meaning: "bad-jump",
            text: match (caller, fact.text("return_to")) {
                (Some(caller), _) => format!("{} was called; {}", jump.what, caller.quote),
                (None, Some(caller)) => {
                    format!("{} was called; the caller is {caller}, by the link register", jump.what)
                }
                (None, None) => format!("{} was called; the caller is the first frame of the trace", jump.what),
            },
            register: None,
            value: Some(jump.address),
            instruction: None,
            offset: None,
            flipped: None,
            title: None,
        });
    }
    let registers = registers(fact);
    let address = number(fact.get("address"));
    if let Some(fill) = fact.text("code").and_then(overwritten) {
        let place = fact.text("function").unwrap_or("the function");
        let init = match fill {
            INT3 => ", or its init code was freed",
            _ => "",
        };
        let what = format!("the code of {place} is overwritten{init}");
        return Some(Fault {
            meaning: "overwritten-code",
            text: format!("{what}: the bytes at the program counter are all {fill:#04x}, which nothing compiles to"),
            register: None,
            value: None,
            instruction: None,
            offset: None,
            flipped: None,
            title: Some(what),
        });
    }
    if matches!(class, "invalid-opcode" | "divide-error") {
        return operation(fact, class, &registers);
    }
    let narrow = registers.contains_key("EAX") && !registers.contains_key("RAX");
    let arm64 = registers.contains_key("X0") || registers.contains_key("X1");
    let x86 = narrow || registers.contains_key("RAX") || registers.contains_key("RBX");
    let decoded = fact.text("code").and_then(|code| {
        if arm64 {
            instruction::arm64(code)
        } else if x86 {
            instruction::x86(code, if narrow { 32 } else { 64 })
        } else {
            None
        }
    });
    if decoded.as_ref().is_some_and(|d| d.trap) && address.is_none() {
        return None;
    }
    let wide = !narrow && !registers.contains_key("R0");
    let pointer = decoded.as_ref().and_then(|d| base(d, &registers, narrow));
    let address = address.or_else(|| {
        // A protection fault of old kernels does not print its address.
        let (_, value, offset) = pointer.as_ref()?;
        let exact = decoded.as_ref().is_some_and(|d| d.index.is_none());
        exact.then(|| value.wrapping_add(*offset))
    })?;
    let mut fault = Fault {
        meaning: "kernel-address",
        text: String::new(),
        register: pointer.as_ref().map(|(name, ..)| name.clone()),
        value: pointer.as_ref().map(|(_, value, _)| *value),
        instruction: decoded.as_ref().map(|d| d.text.clone()),
        offset: None,
        flipped: None,
        title: None,
    };
    let through = match (&pointer, &decoded) {
        (Some((name, value, _)), Some(decoded)) => format!("`{}` went through {name} = {value:#x}; ", decoded.text),
        (None, Some(decoded)) => format!("`{}`; ", decoded.text),
        _ => String::new(),
    };
    // The register tells more than the address: the offset of the access is not in it.
    let by_register = pointer.as_ref().and_then(|(_, value, _)| pointer::read(*value, wide));
    let by_address = pointer::read(address, wide);
    let top = if wide { u64::MAX } else { u64::from(u32::MAX) };
    let reaches = pointer.as_ref().is_some_and(|(_, value, offset)| value.wrapping_add(*offset) & top == address);
    let reading = match (by_register, by_address) {
        // NULL in an unrelated register of an indexed access proves nothing.
        (Some(register), Some(address)) if register.meaning == address.meaning => Some((register, true)),
        (Some(register), None) if register.meaning != "null-pointer" => Some((register, true)),
        // An error number plus a member's offset lies just above NULL, or is the error number still.
        (Some(register), _) if register.meaning == "error-pointer" && reaches => Some((register, true)),
        (_, Some(address)) => Some((address, false)),
        (Some(register), None) => reaches.then_some((register, true)),
        (None, None) => None,
    };
    let header = fact.text("header").unwrap_or_default();
    let present = page_fault(fact).filter(|code| code & PRESENT != 0);
    match reading {
        _ if page_fault(fact).is_some_and(|code| code & RESERVED != 0) => {
            let met = fact.text("function").map(|f| format!(", met in {f}")).unwrap_or_default();
            fault.meaning = "damaged-page-table";
            fault.text = format!(
                "{through}a reserved bit is set in the page tables' entry of {address:#x}: it was overwritten, or memory flips bits"
            );
            fault.title = Some(format!("a page table is damaged{met}"));
        }
        Some((reading, by_register)) => {
            fault.meaning = reading.meaning;
            if reading.meaning == "error-pointer" {
                let held = if by_register { fault.value } else { Some(address) };
                let place = fact.text("function").map(|f| format!(" in {f}")).unwrap_or_default();
                let error = held.and_then(|value| pointer::sure_error(value, wide));
                fault.title = error.map(|error| format!("error pointer {error} used as a pointer{place}"));
            }
            fault.offset = match (&pointer, reading.meaning, by_register) {
                (Some((_, value, offset)), "null-pointer", true) if *value < 4096 => Some(value.wrapping_add(*offset)),
                (Some((_, _, offset)), _, true) => Some(offset.wrapping_add(reading.offset.unwrap_or(0))),
                _ => reading.offset,
            };
            // The offset of the access counts too where the register holds NULL.
            let text = match (reading.meaning, fault.offset) {
                ("null-pointer", Some(offset)) => pointer::null_plus(offset),
                _ => reading.text,
            };
            fault.text = format!("{through}{text}");
        }
        // With four levels of page tables more addresses are none than any kernel shows by itself.
        None if wide
            && is_sign_extended(fact)
            && (pointer::non_canonical(address) || header.contains("probably for non-canonical address")) =>
        {
            fault.meaning = "non-canonical";
            fault.text =
                format!("{through}{address:#x} is no address the CPU can use: the pointer is overwritten or stale");
        }
        None if let Some((meaning, says)) = arm_status(fact) => {
            fault.meaning = meaning;
            fault.text = format!("{through}{address:#x} {says}");
        }
        None if fact.int("error_code") == Some(PROTECTION) && header.contains("in virtual kernel address space") => {
            fault.meaning = "read-only";
            fault.text = format!("{through}{address:#x} is mapped read-only, and was written to");
        }
        None if x86 && wide && address >> 56 == 0xff && present.is_some_and(|code| code & WRITE != 0) => {
            fault.meaning = "read-only";
            fault.text = format!("{through}{address:#x} is mapped read-only, and was written to");
        }
        // MIPS of 64 bits (xuseg) divides its addresses the same way; s390x has its kernel there.
        None if (wide && x86
            || address > u64::from(u32::MAX)
                && (fact.quote.contains(", epc == ") || registers.is_empty() && is_x86(header)))
            && address < 0x0000_8000_0000_0000 =>
        {
            fault.meaning = "user-address";
            let smap = match present.filter(|code| wide && x86 && code & FETCH == 0) {
                Some(code) if code & WRITE == 0 => {
                    ", and its page is there: the kernel used a pointer of user space by itself, without copy_from_user() or get_user(), which SMAP forbids"
                }
                Some(_) => {
                    ", and its page is there: the kernel wrote through a pointer of user space by itself, without copy_to_user() or put_user(), which SMAP forbids, or the page is read-only"
                }
                None => "",
            };
            fault.text = format!("{through}{address:#x} is an address of user space{smap}");
        }
        // Kernel addresses of powerpc begin with 0xc.
        None if is_powerpc(fact) && (address >> 60 < 0xc && address > u64::from(u32::MAX) || address < 0xc000_0000) => {
            fault.meaning = "user-address";
            fault.text =
                format!("{through}{address:#x} is no address of the kernel: the pointer is overwritten or was none");
        }
        // Without registers nothing tells a kernel of 32 bits from a stray pointer of 64.
        None if registers.is_empty() && address <= u64::from(u32::MAX) => {
            fault.meaning = "unmapped";
            fault.text = format!("{through}{address:#x} is not mapped");
        }
        None => fault.text = format!("{through}{address:#x} is a kernel address that is not mapped that way"),
    }
    if let Some(pc) = nameless(fact).filter(|_| x86 && wide && fault.title.is_none()) {
        let title = fact.text("title").unwrap_or("fault");
        fault.title = Some(format!(
            "{title} at {pc:#x}, where modules and BPF programs lie, in code without a name: {}",
            fault.text
        ));
    }
    // The sanitizer's check reads the shadow of a pointer: what is off there is no bit of the pointer. An address is a
    // poison plus a member's offset; only a register holds the poison itself.
    if wide && x86 && fact.text("kasan").is_none() {
        fault.flipped = fault
            .value
            .and_then(pointer::one_bit_off)
            .or_else(|| pointer::one_bit_off(address).filter(|_| pointer::read(address, true).is_none()));
    }
    Some(fault)
}

/// The program counter of a report that no symbol names, in x86-64's area for modules (from arch/x86/mm/dump_pagetables.c). Of a
/// report with a trace that one tells more.
fn nameless(fact: &Fact) -> Option<u64> {
    let pc = number(fact.get("pc")).filter(|_| fact.text("function").is_none() && fact.stacks.is_empty())?;
    (0xffff_ffff_a000_0000..0xffff_ffff_ff00_0000).contains(&pc).then_some(pc)
}

/// The report with the code bytes that it lacks and memory has.
pub(super) fn with_code(facts: &[Fact], fact: &Fact) -> Option<Fact> {
    let function = fact.text("function").filter(|_| fact.kind == "log.oops" && fact.get("code").is_none())?;
    let of = |known: &&Fact| {
        known.kind == "mem.code"
            && known.origin.member == fact.origin.member
            && known.text("function") == Some(function)
            && known.int("within") == fact.int("offset")
    };
    let code = facts.iter().find(of)?.text("code")?;
    Some(fact.clone().with("code", code))
}

/// What an instruction of x86 could not do that touches no memory: divide, or be carried out at all.
fn operation(fact: &Fact, class: &str, registers: &BTreeMap<String, u64>) -> Option<Fault> {
    let narrow = registers.contains_key("EAX") && !registers.contains_key("RAX");
    if !narrow && !registers.contains_key("RAX") {
        return None;
    }
    let code = fact.text("code")?;
    let told = |meaning: &'static str, text: String, instruction: Option<String>, register, value| {
        Some(Fault { meaning, text, register, value, instruction, offset: None, flipped: None, title: None })
    };
    let Some(decoded) = instruction::x86(code, if narrow { 32 } else { 64 }) else {
        // Only where all bytes of the longest instruction are there.
        let bytes = code.split_ascii_whitespace().skip_while(|word| !word.starts_with('<'));
        let text =
            "the bytes at the program counter are no instruction: the code is overwritten, or something jumped there";
        return match class == "invalid-opcode" && bytes.count() >= 15 {
            true => told("no-instruction", text.to_owned(), None, None, None),
            false => None,
        };
    };
    let text = decoded.text.as_str();
    match class {
        "divide-error" => {
            let held = decoded.divisor.as_ref().map(|register| printed(register, narrow));
            let held = held.and_then(|name| Some((registers.get(&name).copied()?, name)));
            let wide = narrow || text.split_ascii_whitespace().nth(1).is_some_and(|operand| operand.starts_with('r'));
            match held {
                Some((value, name)) if value == 0 || !wide && value as u32 == 0 => told(
                    "division-by-zero",
                    format!("`{text}`: {name} is 0, a division by zero"),
                    Some(text.to_owned()),
                    Some(name),
                    Some(value),
                ),
                // Of the narrower names only a part of the register counts.
                Some((value, name)) if wide || !text.ends_with(['h', 'l']) => told(
                    "quotient-overflow",
                    format!(
                        "`{text}`: {name} is {value:#x}, no division by zero: the quotient does not fit into its register"
                    ),
                    Some(text.to_owned()),
                    Some(name),
                    Some(value),
                ),
                _ => told(
                    "division",
                    format!("`{text}` divided by zero, or its quotient does not fit"),
                    Some(text.to_owned()),
                    None,
                    None,
                ),
            }
        }
        _ if decoded.trap => None,
        _ => {
            let needs =
                decoded.needs.as_ref().map(|needs| format!(" or does not enable ({needs})")).unwrap_or_default();
            told(
                "missing-instruction",
                format!(
                    "`{text}` is an instruction: one that this CPU does not have{needs}; it is no BUG() and the code is not damaged"
                ),
                Some(text.to_owned()),
                None,
                None,
            )
        }
    }
}

/// A register's name as the kernel prints it: iced says R8, the kernel R08; full registers of 32-bit code are E.
fn printed(name: &str, narrow: bool) -> String {
    match name.strip_prefix('R').filter(|n| n.len() == 1 && n.starts_with(['8', '9'])) {
        Some(digit) => format!("R0{digit}"),
        None if narrow => name.replacen('R', "E", 1),
        None => name.to_owned(),
    }
}

/// The byte that code is filled with from the program counter on: no compiler makes eight equal ones but of `nop`.
fn overwritten(code: &str) -> Option<u8> {
    const RUN: usize = 8;
    let mut words = code.split_ascii_whitespace().skip_while(|word| !word.starts_with(['<', '(']));
    let marked = words.next()?.trim_matches(['<', '>', '(', ')']);
    // arm64 prints whole words, the marked one as the last or the last but few.
    if marked.len() == 8 {
        let bytes = u32::from_str_radix(marked, 16).ok()?.to_le_bytes();
        return bytes.iter().all(|byte| *byte == bytes[0]).then_some(bytes[0]);
    }
    let fill = u8::from_str_radix(marked, 16).ok().filter(|byte| marked.len() == 2 && *byte != 0x90)?;
    let run = words.take(RUN - 1).filter(|word| u8::from_str_radix(word, 16) == Ok(fill)).count();
    (run == RUN - 1).then_some(fill)
}

/// The register of the access, its value, and what is added to it.
fn base(decoded: &Decoded, registers: &BTreeMap<String, u64>, narrow: bool) -> Option<(String, u64, u64)> {
    let (name, offset) = decoded.base.as_ref()?;
    let printed = printed(name, narrow);
    let value = *registers.get(&printed)?;
    Some((printed, value, *offset))
}

fn registers(fact: &Fact) -> BTreeMap<String, u64> {
    match fact.get("registers") {
        Some(Value::Record(record)) => {
            record.iter().filter_map(|(name, value)| Some((name.to_uppercase(), number(Some(value))?))).collect()
        }
        _ => BTreeMap::new(),
    }
}

pub(super) fn number(value: Option<&Value>) -> Option<u64> {
    match value? {
        Value::Address(address) => Some(address.0),
        Value::Unsigned(n) => Some(*n),
        value => value.as_int().and_then(|n| u64::try_from(n).ok()),
    }
}

#[cfg(test)]
mod tests {
    use facts::{Address, Origin};

    use super::*;

    #[test]
    fn code_without_a_name_is_told_by_its_place_and_its_access() {
        let oops = |pc: u64| {
            let mut registers = std::collections::BTreeMap::new();
            registers.insert("RAX".to_owned(), Address(0x8030_0000_0000_0000).into());
            Fact::new("log.oops", Origin::lines("dmesg", 1, 7))
                .with("class", "gpf")
                .with("title", "general protection fault")
                .with("address", Address(0x8030_0000_0000_0000))
                .with("pc", Address(pc))
                .with("code", "48 8b 00 <f6> 80 84 00 00 00 01 0f 84 aa 00 00 00 0f b7 43 32")
                .with("registers", Value::Record(registers))
        };
        let title = |fact: &Fact| fault(fact, None).and_then(|fault| fault.title).unwrap_or_default();
        let told = title(&oops(0xffff_ffff_c06b_4f00));
        assert!(told.contains("0xffffffffc06b4f00") && told.contains("RAX = 0x8030000000000000"), "{told}");
        assert!(title(&oops(0xffff_ffff_8123_4567)).is_empty());
        assert!(title(&oops(0xffff_ffff_c06b_4f00).with("function", "f")).is_empty());
    }

    #[test]
    fn what_stands_at_a_bad_jump_is_not_decoded() {
        let registers: BTreeMap<String, Value> = [("RAX".to_owned(), Value::Address(Address(1)))].into();
        let oops = |address: u64, pc: u64| {
            Fact::new("log.oops", Origin::lines("dmesg", 1, 2))
                .with("class", "paging-fault")
                .with("header", "BUG: unable to handle page fault for address: x")
                .with("address", Address(address))
                .with("pc", Address(pc))
                .with("registers", Value::Record(registers.clone()))
                .with("code", "ad de <00> 00 00 00")
        };
        let jumped = fault(&oops(0xffff_e82a_d972_5880, 0xffff_e82a_d972_5880), None).expect("a jump");
        assert_eq!((jumped.meaning, jumped.instruction), ("bad-jump", None));
        assert!(jumped.text.contains("stale or overwritten"), "{}", jumped.text);
        assert!(jump(&oops(0, 0)).is_some_and(|j| j.what.ends_with("NULL")));
        assert!(jump(&oops(0x20, 0xffff_ffff_c000_0000)).is_none());
        assert!(jump(&oops(0x20, 0xffff_ffff_c000_0000).with("error_code", 0x10)).is_some());
        assert!(jump(&oops(0, 0).with("function", "f")).is_none());
        let protection = |pc: u64| {
            let fact = Fact::new("log.oops", Origin::lines("dmesg", 1, 9)).with("class", "gpf").with("pc", Address(pc));
            jump(&fact).map(|j| j.address)
        };
        let header = "Unable to handle kernel execute from non-executable memory at virtual address x";
        let data = jump(&oops(0xffff_10c6_8317_2988, 0xffff_10c6_8317_2988).with("header", header));
        assert!(data.is_some_and(|j| j.what.contains("is data")));
        // A protection fault prints no address: the counter itself is none.
        assert_eq!(protection(0x4141_4141_4141_4141), Some(0x4141_4141_4141_4141));
        assert_eq!(protection(0xffff_ffff_c000_1234), None);
    }

    #[test]
    fn addresses_of_programs_on_mips_are_told_as_such() {
        let oops = |quote: &str| {
            let oops = Fact::new("log.oops", Origin::lines("dmesg", 1, 2))
                .with("class", "paging-fault")
                .with("severity", "report")
                .with("address", Address(0x5_5800_5801))
                .quoting(quote);
            fault(&oops, None).map(|fault| fault.meaning)
        };
        let mips =
            "CPU 3 Unable to handle kernel paging request at virtual address 0000000558005801, epc == ffffffff80232838";
        assert_eq!(oops(mips), Some("user-address"));
        assert_ne!(
            oops("Unable to handle kernel pointer dereference in virtual kernel address space"),
            Some("user-address")
        );
    }

    #[test]
    fn an_error_number_below_null_is_no_null_pointer() {
        let oops = |rdi: u64, address: u64| {
            let registers: BTreeMap<String, Value> = [("RAX", 1u64), ("RDI", rdi)]
                .map(|(name, value)| (name.to_owned(), Value::Address(Address(value))))
                .into();
            let oops = Fact::new("log.oops", Origin::lines("dmesg", 1, 2))
                .with("class", "null-deref")
                .with("function", "dev_write")
                .with("address", Address(address))
                .with("registers", Value::Record(registers))
                // mov rax,[rdi+20h]
                .with("code", "90 90 <48> 8b 47 20 48 85 c0 74 05");
            fault(&oops, None).expect("a fault address is there")
        };
        let error = oops(-19i64 as u64, 0xd);
        assert_eq!((error.meaning, error.offset), ("error-pointer", Some(0x20)));
        assert!(error.text.contains("RDI = 0xffffffffffffffed; -19 (ENODEV)"), "{}", error.text);
        assert_eq!(error.title.as_deref(), Some("error pointer -19 (ENODEV) used as a pointer in dev_write"));
        // What contains a member that is NULL gives such numbers too: not said for sure.
        assert_eq!(oops(-16i64 as u64, 0x10).title, None);
        assert_eq!(oops(0, 0x20).meaning, "null-pointer");
        // The register is not what was accessed through.
        assert_eq!(oops(-19i64 as u64, 0x20).meaning, "null-pointer");
    }

    #[test]
    fn what_an_instruction_could_not_do_is_told() {
        let oops = |class: &str, rdi: u64, code: &str| {
            let registers: BTreeMap<String, Value> = [("RAX", 0x10u64), ("RDI", rdi)]
                .map(|(name, value)| (name.to_owned(), Value::Address(Address(value))))
                .into();
            let oops = Fact::new("log.oops", Origin::lines("dmesg", 1, 2)).with("class", class).with("function", "f");
            let fault = fault(&oops.with("registers", Value::Record(registers)).with("code", code), None);
            fault.map(|fault| (fault.meaning, fault.text)).unwrap_or(("", String::new()))
        };
        // div edi; div byte [mem]; ud2; vpxord zmm0,zmm0,zmm0; no instruction of 64-bit code
        let zero = oops("divide-error", 0, "31 d2 <f7> f7 c3");
        assert!(zero.0 == "division-by-zero" && zero.1.contains("RDI is 0"), "{}", zero.1);
        // EDI alone divides.
        assert_eq!(oops("divide-error", 0xffff_ffff_0000_0000, "31 d2 <f7> f7 c3").0, "division-by-zero");
        assert_eq!(oops("divide-error", 0xffff_ffff_0000_0000, "31 d2 <48> f7 f7 c3").0, "quotient-overflow");
        assert_eq!(oops("divide-error", 0, "<f6> 37 c3").0, "division");
        assert_eq!(oops("invalid-opcode", 0, "<0f> 0b c3").0, "");
        let missing = oops("invalid-opcode", 0, "<62> f1 7d 48 ef c0 c3");
        assert!(missing.0 == "missing-instruction" && missing.1.contains("AVX512F"), "{}", missing.1);
        assert_eq!(oops("invalid-opcode", 0, &format!("<06>{}", " 48".repeat(15))).0, "no-instruction");
        assert_eq!(oops("invalid-opcode", 0, "<06> 48").0, "");
    }

    #[test]
    fn a_present_page_of_user_space_is_one_that_the_kernel_must_not_touch() {
        let oops = |code: i64| {
            let registers: BTreeMap<String, Value> = [("RAX".to_owned(), Value::Address(Address(1)))].into();
            let oops = Fact::new("log.oops", Origin::lines("dmesg", 1, 2))
                .with("class", "paging-fault")
                .with("function", "f")
                .with("header", "BUG: unable to handle page fault for address: x")
                .with("address", Address(0x7ffe_9688_0fb8))
                .with("registers", Value::Record(registers))
                .with("error_code", code);
            fault(&oops, None).map(|fault| fault.text).unwrap_or_default()
        };
        assert!(oops(1).contains("SMAP"), "{}", oops(1));
        assert!(oops(3).contains("read-only"), "{}", oops(3));
        assert!(!oops(0).contains("SMAP"), "{}", oops(0));
    }

    #[test]
    fn what_the_error_code_says_of_the_page_tables_is_told() {
        let oops = |header: &str, address: u64, code: i64| {
            let registers: BTreeMap<String, Value> = [("RAX".to_owned(), Value::Address(Address(1)))].into();
            let oops = Fact::new("log.oops", Origin::lines("dmesg", 1, 2))
                .with("class", "paging-fault")
                .with("function", "f")
                .with("header", header)
                .with("address", Address(address))
                .with("registers", Value::Record(registers))
                .with("error_code", code);
            fault(&oops, None).expect("a fault address is there")
        };
        let x86 =
            |code| oops("BUG: unable to handle page fault for address: ffff888058a67000", 0xffff_8880_58a6_7000, code);
        assert_eq!(x86(0xb).title.as_deref(), Some("a page table is damaged, met in f"));
        assert_eq!(x86(3).meaning, "read-only");
        assert_eq!(x86(2).meaning, "kernel-address");
        assert_eq!(x86(1).meaning, "kernel-address");
        let s390 = "Unable to handle kernel pointer dereference in virtual kernel address space";
        assert_eq!(oops(s390, 0x133_b000, 4).meaning, "read-only");
        assert_ne!(oops(s390, 0x133_b000, 0x11).meaning, "read-only");
        let gpf = "general protection fault, probably for non-canonical address 0xffff3993e44e4ab8: 0000 [#1]";
        assert_eq!(oops(gpf, 0xffff_3993_e44e_4ab8, 0).meaning, "non-canonical");
        let abort = "Unhandled fault: synchronous external abort (0x96000210) at 0xffffff80096c61b0";
        assert_eq!(oops(abort, 0xffff_ff80_096c_61b0, 0x9600_0210).meaning, "external-abort");
        let arm = "Unhandled fault: external abort on non-linefetch (0x1028) at 0xfa0b402c";
        assert_eq!(oops(arm, 0xfa0b_402c, 0x1028).meaning, "external-abort");
        let xmon = "cpu 0x2c: Vector: 300 (Data Access) at [c000001ff74d36d0]";
        assert_eq!(oops(xmon, 0x1f_fdbc_0004, 0).meaning, "user-address");
        let word = "BUG: Unable to handle kernel data access on read at 0x7c0802a6";
        assert_eq!(oops(word, 0x7c08_02a6, 0).meaning, "user-address");
        let power = "BUG: Unable to handle kernel data access on read at 0xc0080001c7cd0f20";
        assert_eq!(oops(power, 0xc008_0001_c7cd_0f20, 0).meaning, "kernel-address");
        let mips =
            "CPU 3 Unable to handle kernel paging request at virtual address 9800000001234568, epc == ffffffff80232838";
        assert_eq!(oops(mips, 0x9800_0000_0123_4568, 0).meaning, "kernel-address");
        let loongarch =
            "CPU 1 Unable to handle kernel paging request at virtual address 9000000121234568, era == 9000000000223d8";
        assert_eq!(oops(loongarch, 0x9000_0001_2123_4568, 0).meaning, "kernel-address");
        let arm64 = "Unable to handle kernel write to read-only memory at virtual address ffff800008a00000";
        assert_eq!(oops(arm64, 0xffff_8000_08a0_0000, 0x9600_004e).meaning, "permission");
        assert!(oops("CPU 2 Unable to handle kernel paging request", 0xaffa, 0).text.contains("no pointer"));
    }

    #[test]
    fn a_run_of_one_byte_is_no_code() {
        for (code, fill) in [
            ("5b c3 <00> 00 00 00 00 00 00 00 00", Some(0)),
            ("5b c3 <6b> 6b 6b 6b 6b 6b 6b 6b", Some(0x6b)),
            ("<00> 00 00 00 00 00 00", None),
            ("<00> 00 00 00 00 00 00 48 89", None),
            ("00 00 00 00 00 00 00 00 <48> 8b 47 20", None),
            ("<90> 90 90 90 90 90 90 90 90", None),
            ("aa0003e1 f9400000 (00000000)", Some(0)),
            ("00000000 00000000 (f9401000)", None),
            ("", None),
        ] {
            assert_eq!(overwritten(code), fill, "{code}");
        }
    }

    #[test]
    fn the_offset_of_the_access_counts_where_the_register_holds_null() {
        let registers: BTreeMap<String, Value> =
            [("RAX", 1u64), ("R12", 0)].map(|(name, value)| (name.to_owned(), Value::Address(Address(value)))).into();
        let oops = Fact::new("log.oops", Origin::lines("dmesg", 1, 2))
            .with("class", "null-deref")
            .with("severity", "report")
            .with("address", Address(0x20))
            .with("registers", Value::Record(registers))
            .with("code", "90 90 90 90 <49> 39 5c 24 20 0f 84 10 00 00 00 90");
        let fault = fault(&oops, None).expect("a fault address is there");
        assert_eq!((fault.meaning, fault.offset), ("null-pointer", Some(0x20)));
        assert!(fault.text.contains("R12 = 0x0; NULL plus offset 0x20"), "{}", fault.text);
    }
}
