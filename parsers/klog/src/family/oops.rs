//! Oopses: page faults, general protection faults, BUG, and the other exceptions, on all architectures.

use facts::FieldType;

use super::{Before, Family, From, Opened, field, kind, warning, xmon};
use crate::cursor::{Cursor, Letters, after, has, head_of, hex_after, row_of, split};
use crate::event::{Event, Severity};
use crate::report::{Report, Step};
use crate::{Line, class};

pub(super) static FAMILY: Family = Family {
    name: "oops",
    anchors: &[
        "BUG: unable to handle",
        "BUG: kernel NULL pointer dereference",
        "BUG: Unable to handle kernel",
        "BUG: Kernel NULL pointer",
        "Unable to handle kernel ",
        "general protection fault",
        "kernel BUG at ",
        "Kernel BUG at ",
        // The counter of every exception: `Oops: 0002 [#1]`, `divide error: 0000 [#1]`, `Oops[#1]:`
        "[#",
        "Oops: ",
        "Internal error: ",
        "KASAN: ",
        "stack guard page",
        "PANIC: double fault",
        "kernel stack overflow (",
        "Insufficient stack space",
        "Kernel Fault: Code=",
        "Unhandled fault: ",
        "Unhandled prefetch abort: ",
        "Data bus error, epc ==",
        "Instruction bus error, epc ==",
        "Corrupted page table at address ",
        "Alignment trap: ",
        "detected on CPU",
        "SError Interrupt on CPU",
        "Kernel attempted to ",
        "Bad mode in ",
        "panicked at ",
        "Got mcheck at ",
    ],
    from: From::Kernel,
    open,
    body,
    finish,
    kind: kind(
        "log.oops",
        "An exception in kernel code: page fault, protection fault, BUG, and the like",
        &[
            field("header", FieldType::Text, "", "first line of the report"),
            field("error_code", FieldType::Int, "", "error code of the exception"),
            field("count", FieldType::Int, "", "number of the oops since boot, from [#N]"),
            field("file", FieldType::Text, "", "source file of a BUG"),
            field("line", FieldType::Int, "", "line in it"),
            field("access", FieldType::Text, "", "read, write or execute, as printed"),
            field("kasan", FieldType::Text, "", "what KASAN says about the address"),
            field("return_to", FieldType::Text, "", "function in the link register"),
            field("return_module", FieldType::Text, "", "module of that function"),
            field("return_offset", FieldType::Int, "bytes", "from its start to where the call returns"),
            field("pc", FieldType::Address, "", "program counter that no symbol names"),
            field("panicked", FieldType::Bool, "", "the machine stopped because of it"),
        ],
    ),
};

/// What stands on the first line where a mail program broke the header before the address.
const BROKEN_GPF: &str = "general protection fault, probably for non-canonical address";

/// Below this a fault address is a NULL pointer and the offset of a member.
const NULL_PAGE: u64 = 4096;

fn open(line: &Line<'_>, before: Before<'_>) -> Option<Opened> {
    let text = line.text();
    let mut event = Event::new(FAMILY.name, class::PAGING_FAULT, Severity::Report);
    let text = glued(text).unwrap_or(text);
    if !(fault_header(text, &mut event)
        || overflow_header(text, &mut event)
        || other_header(text, &mut event)
        || bug_header(text, &mut event)
        || die_header(text, &mut event))
    {
        return None;
    }
    for message in before.messages {
        if let Some(class) = warning::class_of_message(message) {
            event.class = class;
        }
        event.fields.entry("message".into()).or_insert_with(|| message.trim().into());
    }
    event.set("header", text);
    Opened::trace(event)
}

/// A header glued to the text of another line: the counter `[#1]` makes it certain.
fn glued(text: &str) -> Option<&str> {
    let at = text.find("general protection fault").filter(|at| *at > 0)?;
    let rest = &text[at..];
    (has(rest, "[#") && !text.starts_with("Oops: ")).then_some(rest)
}

/// The headers of stack overflows.
fn overflow_header(text: &str, event: &mut Event) -> bool {
    let body = text.strip_prefix("BUG: ").unwrap_or(text);
    let guard = body.len() < text.len() && has(body, "stack guard page was hit at ");
    let known = guard
        || text.starts_with("PANIC: double fault")
        || text.starts_with("kernel stack overflow (")
        || text.starts_with("Insufficient stack space to handle exception");
    if known {
        event.class = class::STACK_OVERFLOW;
        event.title =
            if text.starts_with("PANIC") { "PANIC: double fault" } else { "BUG: stack guard page was hit" }.to_owned();
        // A hash of 32 bits since ad67b74d2469 "printk: hash addresses printed with %p" (v4.15); CR2 has the address.
        event.address = hex_after(body, " hit at ").filter(|at| at >> 32 != 0);
    }
    known
}

/// Exceptions of other architectures, and panics of Rust code.
fn other_header(text: &str, event: &mut Event) -> bool {
    const HEADS: &[(&str, &str)] = &[
        ("Unhandled fault: ", class::TRAP),
        ("Unhandled prefetch abort: ", class::TRAP),
        ("Data bus error, epc ==", class::TRAP),
        ("Instruction bus error, epc ==", class::TRAP),
        ("Alignment trap: ", class::TRAP),
        ("Bad mode", class::TRAP),
        // parisc
        ("Kernel Fault: Code=", class::TRAP),
        // A write or read that nobody answered, told later: of boards mostly a device without clock or power.
        ("SError Interrupt", class::TRAP),
    ];
    if let Some((head, class)) = HEADS.iter().find(|(head, _)| text.starts_with(head)) {
        event.class = class;
        event.title = head.trim_end_matches([':', ' ', '=']).trim_end_matches(", epc ").to_owned();
        event.address = hex_after(text, " at 0x");
        return true;
    }
    // `java: Corrupted page table at address 7f1234567000`
    if let Some((comm, address)) = split(text, ": Corrupted page table at address ") {
        if comm.len() > 63 {
            return false;
        }
        event.comm = Some(comm.to_owned());
        event.address = Cursor::new(address).hex();
        event.class = class::BAD_PAGE;
        event.title = "corrupted page table".to_owned();
        return true;
    }
    // mips: two entries of the TLB match, by the kernel's own doing more often than by the processor's.
    if let Some(address) = text.strip_prefix("Got mcheck at ") {
        if let Some(pc) = Cursor::new(address).hex() {
            event.set("pc", facts::Address(pc));
        }
        event.class = class::TRAP;
        event.title = "machine check exception".to_owned();
        return true;
    }
    if let Some(rest) = text.strip_prefix("Kernel attempted to ")
        && has(rest, "exploit attempt?")
    {
        event.address = hex_after(rest, "user page (");
        event.title = "BUG: unable to handle kernel paging request".to_owned();
        return true;
    }
    // sparc: `swapper(1): Kernel bad sw trap 5 [#1]`
    if let Some((who, what)) = split(text, "): Kernel bad sw trap ")
        && let Some((comm, pid)) = who.rsplit_once('(')
    {
        event.comm = Some(comm.to_owned());
        event.pid = pid.parse().ok();
        event.class = if what.starts_with("5 ") { class::BUG_ON } else { class::TRAP };
        event.title = "kernel trap".to_owned();
        return true;
    }
    if let Some((who, what)) = split(text, ": panicked at ")
        && who.starts_with("rust")
    {
        event.class = class::RUST_PANIC;
        event.title = "rust panic".to_owned();
        event.set("message", what);
        return true;
    }
    false
}

/// The line that names the faulting address.
fn fault_header(text: &str, event: &mut Event) -> bool {
    let body = text.strip_prefix("BUG: ").unwrap_or(text);
    // mips: `CPU 0 Unable to handle kernel paging request at virtual address 00000004, epc == 80123456`
    let body = match body.strip_prefix("CPU ").and_then(|t| t.split_once(' ')) {
        Some((cpu, rest)) if cpu.bytes().all(|b| b.is_ascii_digit()) => {
            event.cpu = cpu.parse().ok();
            rest
        }
        _ => body,
    };
    let lower = body.starts_with("unable to handle ");
    let is_fault = lower
        || body.starts_with("Unable to handle kernel ")
        || body.starts_with("kernel NULL pointer dereference")
        || body.starts_with("Kernel NULL pointer dereference");
    if !is_fault || lower && body.len() == text.len() {
        return false;
    }
    event.address = hex_after(body, " address ")
        .or_else(|| hex_after(body, "address: "))
        .or_else(|| hex_after(body, " at 0x"))
        .or_else(|| hex_after(body, " at "));
    // powerpc, where the counter itself is near 0: `BUG: Unable to handle kernel instruction fetch (NULL pointer?)`
    let fetched = body.ends_with("instruction fetch (NULL pointer?)");
    let null = fetched || has(body, "NULL pointer dereference") || body.ends_with(" NULL pointer");
    event.class =
        if null || event.address.is_some_and(|a| a < NULL_PAGE) { class::NULL_DEREF } else { class::PAGING_FAULT };
    if event.address.is_none() && (fetched || null && has(body, "(null)")) {
        event.address = Some(0);
    }
    for (words, access) in
        [("write", "write"), ("read", "read"), ("execute", "execute"), ("instruction fetch", "execute")]
    {
        if has(body, words) {
            event.set("access", access);
            break;
        }
    }
    event.title = if event.class == class::NULL_DEREF {
        "BUG: unable to handle kernel NULL pointer dereference".to_owned()
    } else {
        "BUG: unable to handle kernel paging request".to_owned()
    };
    true
}

/// A line of the fault of an access that another report speaks of: its header, its counter, its error code.
pub(super) fn same_access(text: &str, event: &mut Event) -> bool {
    if let Some(code) = after(text, "#PF: error_code(0x").and_then(|t| Cursor::new(t).hex()) {
        event.set("error_code", code);
        return true;
    }
    let mut fault = Event::new(FAMILY.name, class::PAGING_FAULT, Severity::Report);
    let same = text.starts_with("#PF: ") || fault_header(text, &mut fault) || die_header(text, &mut fault);
    event.address = event.address.or(fault.address);
    if let Some(count) = fault.fields.remove("count").filter(|_| same) {
        event.set("count", count);
    }
    same
}

/// `kernel BUG at fs/x.c:123!`
pub(super) fn bug_header(text: &str, event: &mut Event) -> bool {
    let mut c = Cursor::new(text);
    if !c.take("kernel BUG at ") && !c.take("Kernel BUG at ") {
        return false;
    }
    let place = c.word().trim_end_matches('!');
    if let Some((file, number)) = place.rsplit_once(':')
        && let Ok(number) = number.parse::<u32>()
    {
        event.set("file", file);
        event.set("line", number);
        if event.class == class::PAGING_FAULT || event.class == class::WARNING {
            event.class = class::BUG_ON;
        }
        event.title = format!("kernel BUG at {file}");
    } else {
        event.class = class::BUG_ON;
        event.title = "kernel BUG".to_owned();
    }
    true
}

/// What the code of `Internal error: Oops: ` says of the access, where the line with its address is not in the text: arm's
/// fault status (arch/arm/mm/fault.h), arm64's syndrome (arch/arm64/include/asm/esr.h).
fn arm_access(code: u64) -> Option<&'static str> {
    const WRITE: [&str; 2] = ["read", "write"];
    match code >> 26 {
        0 if code <= 0xffff && code != 0 => Some(WRITE[usize::from(code >> 11 & 1 == 1)]),
        0x24 | 0x25 => Some(WRITE[usize::from(code >> 6 & 1 == 1)]),
        0x20 | 0x21 => Some("execute"),
        _ => None,
    }
}

/// s390x: `fixpoint divide exception: 0009 ilc:2 [#1]SMP`, whatever the exception is called.
fn program_check(body: &str) -> Option<&'static (&'static str, &'static str)> {
    const KINDS: &[(&str, &str)] = &[("divide exception", class::DIVIDE_ERROR), ("program exception", class::TRAP)];
    let (name, rest) = split(body, " exception: ")?;
    let named = name.len() <= 40 && name.bytes().all(|b| b.is_ascii_alphabetic() || matches!(b, b' ' | b'-'));
    let ilc = rest.get(4..).is_some_and(|r| r.starts_with(" ilc:"));
    (named && ilc && rest.contains("[#")).then_some(if name.ends_with("divide") { &KINDS[0] } else { &KINDS[1] })
}

/// `Oops: 0002 [#1] SMP`, `general protection fault: 0000 [#1]`, `invalid opcode: 0000 [#1]`, `Internal error: ...`
pub(super) fn die_header(text: &str, event: &mut Event) -> bool {
    // 6.12 and later: `Oops: general protection fault`, `Oops: Oops: 0000`.
    let body = text.strip_prefix("Oops: ").unwrap_or(text);
    const KINDS: &[(&str, &str)] = &[
        ("general protection fault", class::GPF),
        ("invalid opcode: ", class::INVALID_OPCODE),
        ("divide error: ", class::DIVIDE_ERROR),
        ("divide_error: ", class::DIVIDE_ERROR),
        ("double fault: ", class::DOUBLE_FAULT),
        ("stack segment: ", class::TRAP),
        ("int3: ", class::INVALID_OPCODE),
        ("stack guard page: ", class::STACK_OVERFLOW),
        ("kernel stack overflow (", class::STACK_OVERFLOW),
        ("Internal error: Oops - BUG", class::BUG_ON),
        ("Internal error: Oops - undefined instruction", class::TRAP),
        ("Internal error: synchronous external abort", class::TRAP),
        // arm, arm64: bare for a fault of memory access alone, else what it is stands behind a dash.
        ("Internal error: Oops: ", class::PAGING_FAULT),
        ("Internal error: ", class::TRAP),
        ("Machine check", class::HARDWARE_MCE),
        ("bounds: ", class::TRAP),
        ("invalid TSS: ", class::TRAP),
        ("segment not present: ", class::TRAP),
        ("alignment check: ", class::TRAP),
        ("coprocessor segment overrun: ", class::TRAP),
        ("fpu exception: ", class::TRAP),
        ("simd exception: ", class::TRAP),
        ("iret exception: ", class::TRAP),
        ("overflow: ", class::TRAP),
        ("debug: ", class::TRAP),
        ("segment-related general protection fault: ", class::GPF),
        ("control protection fault", class::TRAP),
        ("Split lock detected", class::TRAP),
        ("Bad pagetable: ", class::PAGING_FAULT),
        // s390x: BUG() is an illegal operation, later a monitor event.
        ("illegal operation: ", class::INVALID_OPCODE),
        ("monitor event: ", class::BUG_ON),
        ("addressing exception: ", class::PAGING_FAULT),
        ("protection exception: ", class::PAGING_FAULT),
        ("specification exception: ", class::TRAP),
        ("Unknown program exception: ", class::TRAP),
        ("operand exception: ", class::TRAP),
        ("data exception: ", class::TRAP),
        ("translation exception: ", class::TRAP),
        ("privileged operation: ", class::TRAP),
        ("execute exception: ", class::TRAP),
        ("stack overflow: ", class::STACK_OVERFLOW),
        ("kernel stack overflow", class::STACK_OVERFLOW),
        // riscv, mips
        ("Kernel BUG [#", class::BUG_ON),
        ("Kernel bug detected[#", class::BUG_ON),
        ("Unhandled kernel unaligned access[#", class::TRAP),
        ("Kernel unaligned instruction access[#", class::TRAP),
        ("Reserved instruction in kernel code[#", class::INVALID_OPCODE),
    ];
    const LETTERS: Letters = Letters::of_table(KINDS);
    let kind = if LETTERS.begin(body) { row_of(body, KINDS) } else { None };
    let kind = kind.or_else(|| program_check(body));
    let Some((before, counter)) = split(text, "[#") else {
        // Without the counter only these are certain.
        if let Some((_, class)) = kind.filter(|(head, _)| *head == "general protection fault") {
            let wrapped = text.starts_with("Oops: ") && body.starts_with("general protection fault, ")
                || body.trim_end() == BROKEN_GPF;
            if !has(body, ": 0000") && !has(body, "address 0x") && !wrapped {
                return false;
            }
            event.class = class;
            event.title = "general protection fault".to_owned();
            return true;
        }
        return false;
    };
    let count = Cursor::new(counter).number();
    if !text.starts_with("Oops") && kind.is_none() && !body.starts_with("Oops") {
        return false;
    }
    if let Some(n) = count {
        event.set("count", n);
    }
    // s390x has the length of the instruction between them.
    let code = before.trim_end().rsplit(' ').find(|word| !word.starts_with("ilc:"));
    let code = code.and_then(|word| u64::from_str_radix(word, 16).ok());
    if let Some(code) = code {
        event.fields.entry("error_code".into()).or_insert_with(|| code.into());
    }
    // The first header has named the class already, but for a bare `Oops:`.
    if event.title.is_empty() {
        match kind {
            Some((head, class)) => {
                event.class = class;
                let access = code.filter(|_| *head == "Internal error: Oops: ").and_then(arm_access);
                let head = head.strip_suffix("Oops: ").unwrap_or(head);
                event.title = head.trim_end_matches([':', ' ', '[', '#', '(']).to_owned();
                if let Some(access) = access {
                    "BUG: unable to handle kernel paging request".clone_into(&mut event.title);
                    event.set("access", access);
                }
            }
            None => {
                event.title = "Oops".to_owned();
                let named = |words: &str| has(body, words);
                // ppc64: `Oops: Machine check, sig: 7`; riscv: `Oops - illegal instruction`
                if named("Machine check, sig") {
                    event.class = class::HARDWARE_MCE;
                } else if [
                    "Exception in kernel mode, sig: 5",
                    "Exception in kernel mode, sig: 4",
                    "- illegal instruction",
                ]
                .into_iter()
                .any(named)
                {
                    event.class = class::INVALID_OPCODE;
                } else if named("Exception in kernel mode, sig: 7") {
                    event.class = class::TRAP;
                } else if named("Bad kernel stack pointer") {
                    event.class = class::STACK_CORRUPTION;
                } else if named("Weird page fault") || named("Kernel access of bad area") {
                    event.class = class::PAGING_FAULT;
                } else if text.starts_with("Oops - ") && !named("page fault") {
                    event.class = class::TRAP;
                }
            }
        }
    }
    if event.class == class::GPF
        && let Some(address) = hex_after(body, "address ")
    {
        event.address = Some(address);
    }
    true
}

/// `0xdffffc0000000004: 0000 [#1] SMP KASAN`: what a mail program moved from the header to a line of its own.
fn rest_of_gpf(text: &str, event: &mut Event) -> bool {
    let header = event.fields.get("header").and_then(|h| h.as_text()).unwrap_or_default();
    let Some(rest) = text.strip_prefix("0x").filter(|_| header.ends_with(BROKEN_GPF)) else { return false };
    let mut c = Cursor::new(rest);
    let Some(address) = c.hex() else { return false };
    let whole = format!("{header} {text}");
    event.address = Some(address);
    if c.take(": ")
        && let Some(code) = c.hex()
    {
        event.set("error_code", code);
    }
    if let Some(count) = after(rest, "[#").and_then(|t| Cursor::new(t).number()) {
        event.set("count", count);
    }
    event.set("header", whole.as_str());
    event.quote = whole;
    true
}

/// `00000004, epc == 80123456`, `address 00000004`: the address that was moved from the header to a line of its own.
fn rest_of_fault(text: &str, event: &mut Event) -> bool {
    let header = event.fields.get("header").and_then(|h| h.as_text()).unwrap_or_default();
    const ENDS: &[&str] = &[" address", " virtual", " at", " address:", " NULL pointer", " dereference"];
    if event.address.is_some() || !ENDS.iter().any(|end| header.ends_with(end)) {
        return false;
    }
    let mut c = Cursor::new(text);
    c.take("dereference");
    c.take(",");
    c.blanks().take("at ");
    c.take("virtual ");
    c.take("address");
    c.take(":");
    let Some(address) = c.blanks().hex() else { return false };
    if !c.is_empty() && !c.take(",") {
        return false;
    }
    let whole = format!("{header} {text}");
    if address < NULL_PAGE && event.class == class::PAGING_FAULT {
        event.class = class::NULL_DEREF;
        event.title = "BUG: unable to handle kernel NULL pointer dereference".to_owned();
    }
    event.address = Some(address);
    event.set("header", whole.as_str());
    event.quote = whole;
    true
}

fn body(report: &mut Report, line: &Line<'_>) -> Step {
    let text = line.text();
    if report.ended {
        return ended(text);
    }
    let bare = !report.has_frames();
    let event = &mut report.event;
    // powerpc says first that a user's page was meant, then what it is.
    if bare
        && event.fields.get("header").and_then(|h| h.as_text()).is_some_and(|h| h.starts_with("Kernel attempted to "))
        && text.starts_with("BUG: ")
        && fault_header(text, event)
    {
        event.set("header", text);
        event.quote = text.to_owned();
        return Step::Take;
    }
    if bare && event.release.is_none() && rest_of_fault(text, event) {
        return Step::Take;
    }
    if bare && xmon::takes_over(report, line) {
        return Step::Take;
    }
    let event = &mut report.event;
    // The trap of BUG(), and the line above it, which another console printed later.
    if bare && event.release.is_none() && event.class == class::INVALID_OPCODE && bug_header(text, event) {
        event.class = class::BUG_ON;
        event.set("header", text);
        event.quote = text.to_owned();
        return Step::Take;
    }
    if !event.fields.contains_key("count") && (die_header(text, event) || bare && rest_of_gpf(text, event)) {
        return Step::Take;
    }
    if let Some(kasan) = text.strip_prefix("KASAN: ")
        && has(text, "in range")
    {
        event.fields.entry("kasan".into()).or_insert_with(|| kasan.into());
        return Step::Take;
    }
    if let Some(rest) = text.strip_prefix("#PF: ") {
        for (words, access) in [("write", "write"), ("read", "read"), ("instruction fetch", "execute")] {
            if has(rest, words) {
                event.set("access", access);
                break;
            }
        }
        if let Some(code) = after(rest, "error_code(0x").and_then(|t| Cursor::new(t).hex()) {
            event.set("error_code", code);
        }
        return Step::Take;
    }
    const HEADS: &[&str] = &[
        "PGD ",
        "pgd = ",
        "*pdpt",
        "Mem abort info",
        "Data abort info",
        "ESR = ",
        "EC = ",
        "SET = ",
        "EA = ",
        "FSC = ",
        "ISV = ",
        "CM = ",
        "GCS = ",
        "swapper pgtable",
        "user pgtable",
        "Faulting instruction address",
        "Stack:",
        "LE ",
        "BE ",
        "AS:",
        "Fault in ",
        "Failing address:",
        "Flags: ",
        "Process ",
        "Register ",
        "Call Trace",
        "Thread overran",
    ];
    const LETTERS: Letters = Letters::of(HEADS);
    match if LETTERS.begin(text) { head_of(text, HEADS) } else { None } {
        None | Some("Call Trace") => Step::Pass,
        Some(head) => {
            if head == "Process "
                && event.comm.is_none()
                && let Some((comm, rest)) = text.strip_prefix(head).and_then(|t| split(t, " (pid: "))
            {
                event.comm = Some(comm.to_owned());
                event.pid = Cursor::new(rest).number().and_then(|pid| i64::try_from(pid).ok());
            }
            if head == "Failing address:" {
                event.address = event.address.or_else(|| hex_after(text, head));
            }
            Step::Take
        }
    }
}

/// Lines that may follow the end marker without being news.
fn ended(text: &str) -> Step {
    if text.starts_with("note: ") || text.starts_with("Fixing recursive fault") {
        return Step::Take;
    }
    Step::Pass
}

fn finish(report: &mut Report) {
    let event = &mut report.event;
    if event.title == "Oops" && event.class == class::PAGING_FAULT && event.address.is_none() {
        // The header is lost: CR2 has the address.
        event.address = event.registers.get("CR2");
        if event.address.is_some_and(|a| a < NULL_PAGE) {
            event.class = class::NULL_DEREF;
        }
    }
    // s390: the page of the address stands below.
    if event.class == class::PAGING_FAULT
        && event.title == "BUG: unable to handle kernel paging request"
        && event.address.is_some_and(|a| a < NULL_PAGE)
    {
        event.class = class::NULL_DEREF;
        event.title = "BUG: unable to handle kernel NULL pointer dereference".to_owned();
    }
    // arm prints the same line for programs; only the kernel's own fault goes on.
    let of_arm = ["Unhandled fault", "Unhandled prefetch abort", "Alignment trap"].contains(&event.title.as_str());
    if of_arm && !report.has_frames() && report.event.release.is_none() && !report.event.fields.contains_key("count") {
        report.event.severity = Severity::Notice;
        report.event.class = class::USER_SPACE;
    }
    let event = &mut report.event;
    if let Some(place) = &event.place {
        event.title = format!("{} in {}", event.title, place.function);
    }
}

#[cfg(test)]
mod tests;
