//! Register blocks of all architectures, and the places they name.

use super::{Report, Step, frame, location};
use crate::cursor::{Cursor, behind, head_of, hex_digits, split};
use crate::event::Location;
use crate::registers::MAX_NAME;

/// Reads a line of a register block.
pub(super) fn read(text: &str, report: &mut Report) -> Step {
    if let Some(rest) =
        text.strip_prefix("RIP: ").or_else(|| text.strip_prefix("RIP  ")).or_else(|| text.strip_prefix("EIP: "))
    {
        return instruction_pointer(rest, report);
    }
    if let Some(rest) = text.strip_prefix("IP: ") {
        if let Some(place) = double_bracket(rest).or_else(|| location(rest)) {
            report.set_place(place);
        }
        return Step::Take;
    }
    const COUNTERS: &[&str] = &[
        "EIP is at ",
        "PC is at ",
        "pc : ",
        "epc : ",
        "NIP [",
        "epc   : ",
        "Krnl PSW : ",
        "pc ",
        // loongarch, parisc, sparc
        "ERA: ",
        "IAOQ[0]: ",
        "TPC: <",
    ];
    if let Some(rest) = head_of(text, COUNTERS).and_then(|head| text.strip_prefix(head)) {
        if is_inlined(rest) {
            return Step::Take;
        }
        if let Some(place) = place_anywhere(rest).or_else(|| bare_name(rest)) {
            report.registers_seen += 1;
            report.set_place(place);
            return Step::Take;
        }
        if let Some(address) = rest.trim_start().strip_prefix("0x").and_then(|hex| Cursor::new(hex).hex())
            && report.event.place.is_none()
        {
            report.event.fields.entry("pc".into()).or_insert_with(|| facts::Address(address).into());
            return Step::Take;
        }
    }
    const LINKS: &[&str] = &["LR is at ", "lr : ", "LR [", "ra : ", "ra    : ", "ra: ", "RP(r2): ", "RPC: <"];
    if let Some(rest) = head_of(text, LINKS).and_then(|head| text.strip_prefix(head))
        && let Some(place) = place_anywhere(rest).filter(|_| !is_inlined(rest))
    {
        // The first one is the report's own.
        let fields = &mut report.event.fields;
        if !fields.contains_key("return_to") {
            let parts = [
                ("return_module", place.module.map(Into::into)),
                ("return_offset", place.offset.map(Into::into)),
                ("return_to", Some(place.function.into())),
            ];
            fields.extend(parts.into_iter().filter_map(|(name, value)| Some((name.into(), value?))));
        }
        return Step::Take;
    }
    if values(text, report) { Step::Take } else { Step::Pass }
}

/// In a symbolised log a register stands once for each inlined function, `RIP: 0010:f include/linux/y.h:12 [inline]`, and last
/// for the one that they are part of: that is in the trace of a log without symbols too.
fn is_inlined(place: &str) -> bool {
    place.trim_end().ends_with(" [inline]")
}

/// `0010:func+0x1/0x2 [module]`, `0010:[<..>]  [<..>] func+0x1/0x2`, `0033:0x7f..`
fn instruction_pointer(rest: &str, report: &mut Report) -> Step {
    let mut c = Cursor::new(rest);
    let mut segment = c;
    if segment.hex().is_some() && segment.take(":") {
        c = segment;
    }
    let selector = split(rest, ":").map_or(rest, |(selector, _)| selector).trim();
    // User space: selectors 0033, 0023 and 002b; what follows are its registers.
    let user = matches!(selector, "0033" | "0023" | "002b" | "0073" | "33" | "e033");
    report.set_user_registers(user);
    if user {
        return Step::Take;
    }
    let body = c.blanks().rest();
    if is_inlined(body) {
        return Step::Take;
    }
    let place = double_bracket(body).or_else(|| location(body)).or_else(|| bare_name(body));
    match place {
        Some(place) => {
            let unnamed = report.event.place.as_ref().is_none_or(|p| p.offset.is_none());
            let first = unnamed && report.event.stacks.iter().all(|s| s.frames.is_empty());
            if first {
                report.registers_seen += 1;
                report.set_place(place.clone());
            }
            if !report.counter(place.clone()) && !first {
                report.registers_seen += 1;
                report.set_place(place);
            }
        }
        None => {
            let mut c = Cursor::new(body.trim_start_matches("[<"));
            if let Some(address) = c.hex()
                && report.event.place.is_none()
            {
                report.event.fields.entry("pc".into()).or_insert_with(|| facts::Address(address).into());
            }
        }
    }
    Step::Take
}

/// `[<..>]  [<..>] func+0x1/0x2`, or one bracket
fn double_bracket(text: &str) -> Option<Location> {
    let mut rest = text.trim();
    loop {
        rest = match (rest.strip_prefix("[<"), frame::without_empty(rest)) {
            (Some(inside), _) => split(inside, ">]")?.1.trim_start(),
            (None, Some(behind)) => behind,
            (None, None) => break,
        };
    }
    if rest.len() == text.trim().len() {
        return None;
    }
    location(rest)
}

/// A function alone: its place in the source, which decode_stacktrace.sh puts behind it, stands in the next line.
fn bare_name(text: &str) -> Option<Location> {
    let (name, None, None, "") = frame::symbol(text.trim_end())? else { return None };
    let is_name = name.len() > 3 && name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_');
    (is_name && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.')))
        .then(|| Location { function: name.to_owned(), ..Location::default() })
}

fn place_anywhere(text: &str) -> Option<Location> {
    let Some((before, _)) = split(text, "+0x") else { return location(text) };
    let start = before.rfind([' ', '(', ']', ')', '<']).map_or(0, |i| i + 1);
    let (symbol, offset, size, rest) = frame::symbol(&text[start..])?;
    let module = rest.trim_start().strip_prefix('[').and_then(|m| m.split_once(']')).map(|(m, _)| m.to_owned());
    Some(Location { function: symbol.to_owned(), offset, size, module })
}

/// Reads a line of several registers and nothing else.
pub(super) fn row(text: &str, report: &mut Report) -> bool {
    // Most lines are told apart by their first letter.
    text.starts_with(['R', 'C', 'D', 'E', 'F', 'x', 'r', 'O'])
        && Values::of(text).is_some_and(|values| {
            let row = values.count > 1 && values.behind.trim_ascii_end().is_empty();
            if row {
                values.keep(report);
            }
            row
        })
}

/// Reads pairs of registers and their values.
fn values(text: &str, report: &mut Report) -> bool {
    Values::of(text).map(|values| values.keep(report)).is_some()
}

/// Pairs `NAME: hex` or `name : hex`, at least one, and what stands behind them.
struct Values<'a> {
    found: [(&'a str, u64); PAIRS],
    count: usize,
    behind: &'a str,
}

/// Pairs of one line; more are not kept.
const PAIRS: usize = 8;

impl<'a> Values<'a> {
    fn of(text: &'a str) -> Option<Self> {
        let mut values = Values { found: [("", 0); PAIRS], count: 0, behind: text };
        while let Some((name, number, behind)) = pair(values.behind) {
            values.behind = behind;
            let Some(number) = number else { break };
            if values.count == 0 && !is_register(name) {
                return None;
            }
            if let Some(slot) = values.found.get_mut(values.count) {
                *slot = (name, number);
            }
            values.count += 1;
        }
        (values.count > 0).then_some(values)
    }

    fn keep(&self, report: &mut Report) {
        if !report.user_registers() && !report.ended {
            for (name, value) in self.found.iter().take(self.count) {
                report.event.registers.add(name, *value);
            }
        }
    }
}

/// A name, its number if it fits, and what stands behind them: `RSP: 0018:ffff8801db707e38`, `r3 : 00000001`.
fn pair(text: &str) -> Option<(&str, Option<u64>, &str)> {
    let mut c = Cursor::new(text);
    let text = c.blanks().rest();
    let end = text.bytes().take(MAX_NAME + 1).position(|b| !(b.is_ascii_alphanumeric() || b == b'_'))?;
    let (name, rest) = text.split_at_checked(end).filter(|(name, _)| !name.is_empty())?;
    c = Cursor::new(rest);
    if !c.blanks().take(":") {
        return None;
    }
    let value = c.blanks().rest();
    let (mut number, mut rest) = hex_digits(value);
    if rest.len() == value.len() || rest.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric()) {
        return None;
    }
    // `RSP: 0018:ffff..` has a selector in front.
    if let Some(value) = behind(rest, ":") {
        let (second, tail) = hex_digits(value);
        (number, rest) = if tail.len() < value.len() { (second, tail) } else { (number, value) };
    }
    if let Some(name) = behind(rest, "(") {
        rest = split(name, ")").map_or(name, |(_, rest)| rest);
    }
    Some((name, number, rest))
}

fn is_register(name: &str) -> bool {
    matches!(
        name,
        "RAX"
            | "RDX"
            | "RBP"
            | "R10"
            | "R13"
            | "RSP"
            | "FS"
            | "CS"
            | "CR2"
            | "DR0"
            | "DR3"
            | "PKRU"
            | "ORIG_RAX"
            | "RBX"
            | "RCX"
            | "RSI"
            | "RDI"
            | "R08"
            | "R11"
            | "R14"
            | "EAX"
            | "ESI"
            | "DS"
            | "CR0"
            | "R09"
            | "R12"
            | "R15"
            | "pstate"
            | "sp"
            | "pmr_save"
            | "GPR00"
            | "GPR04"
            | "GPR08"
            | "GPR12"
            | "GPR16"
            | "GPR20"
            | "GPR24"
            | "GPR28"
            | "NIP"
            | "MSR"
            | "CFAR"
            | "REGS"
            | "ip"
            | "gp"
            | "t0"
            | "t2"
            | "t3"
            | "t5"
            | "status"
            | "epc"
            | "psr"
            | "a0"
            | "a1"
            | "a2"
            | "a3"
            | "a5"
            | "a6"
            | "s0"
            | "s1"
            | "s2"
            | "s5"
            | "s8"
            | "s11"
            | "tp"
            | "EFLAGS"
            | "GS"
            | "Control"
            | "Flags"
            | "fp"
            | "ra"
            | "lr"
            | "pc"
            | "ES"
            | "SS"
            | "DR6"
            | "CR3"
            | "CR4"
    ) || name.strip_prefix(['x', 'r']).is_some_and(|n| n.parse::<u8>().is_ok_and(|n| n < 32))
}
