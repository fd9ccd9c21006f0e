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
mod tests;
