//! One printed frame: `[<ffffffff8163571c>] ? dump_stack+0x19/0x1b [module]`, in every era's form.

use facts::{Address, Context, Found, Frame};

use crate::cursor::{Cursor, behind, hex_digits, split};
use crate::names::shared;

/// A frame as it stands in the text.
#[derive(Clone, Copy)]
pub(crate) struct Printed<'a> {
    pc: Option<u64>,
    reliable: bool,
    name: &'a str,
    offset: Option<u64>,
    size: Option<u64>,
    module: Option<&'a str>,
}

impl Printed<'_> {
    pub(crate) fn into_frame(self) -> Frame {
        Frame {
            offset: self.offset,
            size: self.size,
            module: self.module.map(shared),
            pc: self.pc.map(Address),
            reliable: self.reliable,
            ..Frame::printed(shared(self.name))
        }
    }
}

/// Reads a frame in one of the forms that nearly all have: `[<ffffffff8163571c>] ? dump_stack+0x19/0x1b [module]`, with
/// or without the parts before and behind the symbol. What is not one of them may still be a frame, for [`read`].
pub(crate) fn plain(text: &str) -> Option<Printed<'_>> {
    let (pc, rest) = match behind(text, "[<") {
        Some(inside) => {
            let (pc, tail) = hex_digits(inside);
            let digits = inside.len() - tail.len();
            let tail = behind(tail, ">]").filter(|_| (8..=16).contains(&digits))?;
            (pc, Cursor::new(tail).blanks().rest())
        }
        None => (None, without_empty(text).unwrap_or(text)),
    };
    let (reliable, rest) = match behind(rest, "? ") {
        Some(rest) => (false, rest),
        None => (true, rest),
    };
    let (name, Some(offset), Some(size), rest) = symbol(rest)? else { return None };
    let module = match behind(rest, " [").and_then(|rest| rest.strip_suffix(']')) {
        Some(module) if !module.is_empty() && module.bytes().all(is_module_byte) => Some(module),
        None if rest.is_empty() => None,
        _ => return None,
    };
    Some(Printed { pc, reliable, name, offset: Some(offset), size: Some(size), module })
}

/// Who called the frame, where a line of ARM names both: `(callee) from [<..>] (caller+0x3c/0x5c)`, `callee from caller+0x3c/0x5c`.
/// The caller is the next line's frame, but for the last one.
pub(crate) fn caller(text: &str) -> Option<Frame> {
    let (_, caller) = split(text, " from ")?;
    let caller = match behind(caller, "[<") {
        Some(inside) => split(inside, ">] ")?.1,
        None => without_empty(caller).unwrap_or(caller),
    };
    let caller = caller.strip_prefix('(').map_or(caller, |c| c.strip_suffix(')').unwrap_or(c));
    let (_, Some(_), Some(_), _) = symbol(caller)? else { return None };
    symbol_frame(caller)
}

/// Reads a line that is one frame and nothing else.
pub(crate) fn read(text: &str) -> Option<Frame> {
    let mut rest = text.trim();
    // A web page took the address for a tag: `[] bar_ioctl+0x55/0xa0`, `[] (callee) from [] (caller+0x28/0x8c)`
    if let Some(behind) = rest.strip_prefix("[] ") {
        rest = behind.trim_start();
        if let Some((callee, from)) = rest.strip_prefix('(').and_then(|arm| split(arm, ") from ")) {
            return from.starts_with("[]").then(|| symbol_frame(callee)).flatten();
        }
    }
    if let Some(frame) = plain(rest) {
        return Some(frame.into_frame());
    }
    let mut pc = None;
    let mut reliable = true;
    // s390x: `([<..>] sym)` is unreliable.
    if let Some(inside) = rest.strip_prefix("([<") {
        reliable = false;
        rest = inside;
        let (hex, tail) = split(rest, ">]")?;
        pc = address(hex);
        rest = tail.trim_end_matches(')').trim();
    } else if let Some(inside) = rest.strip_prefix("[<") {
        let (hex, tail) = split(inside, ">]")?;
        pc = address(hex);
        if pc.is_none() && hex != "0" {
            return None;
        }
        rest = tail.trim_start();
        if let Some(mut frame) = arm(rest) {
            frame.pc = pc.map(Address);
            return Some(frame);
        }
    } else if let Some(behind) = without_empty(rest) {
        if let Some(frame) = arm(behind) {
            return Some(frame);
        }
        rest = behind;
    } else if is_address_pair(rest) {
        // ppc: `[sp] [ip] sym+0x/0x (unreliable)`, and from its debugger `[sp] ip sym+0x/0x`
        let (sp, tail) = rest.strip_prefix('[')?.split_once(']')?;
        let tail = tail.trim_start();
        let (ip, tail) = match tail.strip_prefix('[') {
            Some(tail) => tail.split_once(']')?,
            None => tail.split_once(' ')?,
        };
        let mut tail = tail.trim();
        if let Some(inner) = tail.strip_suffix("(unreliable)") {
            reliable = false;
            tail = inner.trim_end();
        }
        let mut frame = symbol_frame(tail)?;
        frame.pc = address(ip).map(Address);
        frame.sp = address(sp).map(Address);
        frame.reliable = reliable;
        return Some(frame);
    }
    if let Some(unreliable) = rest.strip_prefix("? ") {
        reliable = false;
        rest = unreliable.trim_start();
    }
    if rest.is_empty() {
        return pc.map(|pc| nameless(pc, reliable));
    }
    // 2.6.18: `[<ffffffff88034867>] :jbd:journal_commit_transaction+0x46e/0x1133`
    if let Some((module, named)) = rest.strip_prefix(':').and_then(|t| split(t, ":"))
        && !module.is_empty()
        && module.bytes().all(is_module_byte)
        && has_offset(named)
    {
        let frame = symbol_frame(named)?;
        return Some(Frame { module: Some(module.into()), pc: pc.map(Address), reliable, ..frame });
    }
    if pc.is_none()
        && let Some((_, Some(_), ..)) = symbol(rest)
    {
        let mut frame = symbol_frame(rest)?;
        frame.reliable = reliable;
        return Some(frame);
    }
    if pc.is_none()
        && is_decoded(rest)
        && let Some(mut frame) = symbol_frame(rest)
    {
        frame.reliable = reliable;
        return Some(frame);
    }
    if pc.is_none() && !has_offset(rest) && !rest.ends_with("[inline]") {
        // arm since 6.1: ` callee from caller+0x3c/0x5c`
        let (callee, caller) = split(rest, " from ")?;
        if has_offset(caller) && !callee.contains(' ') {
            return symbol_frame(callee);
        }
        return None;
    }
    if pc.is_none()
        && let Some((callee, caller)) = split(rest, " from ")
    {
        return (has_offset(caller) && !callee.contains(' ')).then(|| symbol_frame(callee)).flatten();
    }
    if let Some(hex) = rest.strip_prefix("0x")
        && hex.bytes().all(|b| b.is_ascii_hexdigit())
    {
        return Some(nameless(pc.or_else(|| address(hex))?, reliable));
    }
    let mut frame = symbol_frame(rest)?;
    if pc.is_none() && frame.offset.is_none() && !frame.inline {
        return None;
    }
    frame.pc = pc.map(Address);
    frame.reliable = reliable;
    Some(frame)
}

/// `(callee) from [<..>] (caller+0x3c/0x5c)`
fn arm(text: &str) -> Option<Frame> {
    let (callee, _) = split(text.strip_prefix('(')?, ") from ")?;
    let mut frame = symbol_frame(callee)?;
    frame.line = None;
    Some(frame)
}

/// What stands behind `[]`: where a page took `<ffffffff8163571c>` for a mark of its own, this is left of the address.
pub(crate) fn without_empty(text: &str) -> Option<&str> {
    let rest = behind(text, "[]").or_else(|| behind(text, "[ ]"))?;
    Some(rest.trim_start())
}

/// `[c0000000fe5d3a40] [c000000000a1b2c4] `
fn is_address_pair(text: &str) -> bool {
    let hex = |text: &str| {
        let digits = text.bytes().take_while(u8::is_ascii_hexdigit).count();
        (8..=16).contains(&digits).then_some(digits)
    };
    let first = text.strip_prefix('[').and_then(|t| t.get(hex(t)?..)).and_then(|t| t.strip_prefix("] "));
    let second = first.map(|t| t.strip_prefix('[').unwrap_or(t));
    second.and_then(|t| t.get(hex(t)?..)).is_some_and(|t| t.starts_with("] ") || t.starts_with(' '))
}

fn nameless(pc: u64, reliable: bool) -> Frame {
    let mut frame = Frame::printed("");
    frame.function = None;
    frame.pc = Some(Address(pc));
    frame.reliable = reliable;
    frame
}

fn address(hex: &str) -> Option<u64> {
    let hex = hex.trim();
    if hex.len() < 8 { None } else { u64::from_str_radix(hex.trim_start_matches("0x"), 16).ok() }
}

/// Was another line printed inside the name of the frame: `[<ffffffff81579899>] sched`, of which the rest is in the next one?
pub(super) fn is_torn(frame: &Frame) -> bool {
    frame.offset.is_none() && frame.pc.is_some() && frame.function.is_some() && !frame.inline && frame.line.is_none()
}

/// Can it be the rest of a torn frame: `ule_preempt_disabled+0x9/0x10`, in a trace of addresses without its own?
pub(super) fn is_rest(frame: &Frame) -> bool {
    frame.pc.is_none() && frame.offset.is_some() && frame.reliable
}

/// Puts a torn frame together.
pub(super) fn mend(torn: &mut Frame, rest: Frame) {
    let whole = [torn.function.as_deref().unwrap_or_default(), rest.function.as_deref().unwrap_or_default()].concat();
    *torn = Frame { function: Some(whole.into()), pc: torn.pc, reliable: torn.reliable, context: torn.context, ..rest };
}

/// Drops the second of each frame where two consoles on one port printed all of them twice. A function that calls itself
/// does so more often than twice, or from another place.
pub(super) fn halve(frames: &mut Vec<Frame>) -> bool {
    const FEWEST: usize = 4;
    let same = |pair: &[Frame]| matches!(pair, [a, b] if a.function == b.function && a.offset == b.offset && a.pc == b.pc && a.context == b.context);
    let twice = frames.len() >= FEWEST && frames.len().is_multiple_of(2) && frames.chunks(2).all(same);
    let differ = || frames.windows(3).any(|three| three[0].function != three[2].function);
    if !twice || !differ() {
        return false;
    }
    let mut second = true;
    frames.retain(|_| {
        second = !second;
        !second
    });
    true
}

/// Does `+0x` stand somewhere in the text?
pub(crate) fn has_offset(text: &str) -> bool {
    let bytes = text.as_bytes();
    memchr::memchr_iter(b'+', bytes).any(|at| bytes.get(at + 1..at + 3) == Some(b"0x"))
}

/// `sym+0x1/0x2 [module build-id] file:line [inline]`
fn symbol_frame(text: &str) -> Option<Frame> {
    let (name, offset, size, rest) = symbol(text)?;
    let mut frame = Frame::printed(name);
    frame.found = Found::Printed;
    frame.offset = offset;
    frame.size = size;
    let mut rest = rest.trim();
    if let Some(inner) = rest.strip_suffix("[inline]") {
        frame.inline = true;
        rest = inner.trim_end();
    }
    // decode_stacktrace.sh: `f (fs/ext4/inode.c:123 (discriminator 1)) mod`
    if let Some(inner) = rest.strip_prefix('(') {
        let (place, tail) = inner.split_once(')').unwrap_or((inner, ""));
        let place = place.split(" (").next().unwrap_or(place);
        if is_source(place) {
            frame.line = Some(place.to_owned());
        }
        rest = tail.trim_start_matches(')').trim();
        // The script leaves the brackets of the module out.
        if frame.line.is_some() && !rest.is_empty() && rest.bytes().all(is_module_byte) {
            frame.module = Some(shared(rest));
            rest = "";
        }
    }
    if let Some(inner) = rest.strip_prefix('[')
        && let Some((module, tail)) = inner.split_once(']')
    {
        let module = module.split([' ', '(']).next().unwrap_or(module);
        if !module.is_empty() && module.bytes().all(is_module_byte) {
            frame.module = Some(shared(module));
        }
        rest = tail.trim();
    }
    // arm64 since 7.2: ` (P)`; s390x: a closing bracket.
    rest = rest.trim_start_matches([')', '(']).trim();
    if let Some(place) = rest.split(' ').next()
        && is_source(place)
    {
        frame.line = Some(place.to_owned());
        return Some(frame);
    }
    // Anything long behind the symbol means that this is a sentence, or that two writers mixed.
    (rest.len() <= 24 || offset.is_some() && rest.len() <= 60).then_some(frame)
}

fn is_module_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
}

/// `schedule (kernel/sched/core.c:5865 (discriminator 1))`: the offset was resolved and left out.
fn is_decoded(text: &str) -> bool {
    let place = split(text, " (").filter(|(name, _)| !name.contains(' ')).map(|(_, place)| place);
    place.and_then(|p| p.split([' ', ')']).next()).is_some_and(|p| is_source(p) || p == "??:?")
}

fn is_source(text: &str) -> bool {
    text.rsplit_once(':')
        .is_some_and(|(file, line)| file.contains('.') && !line.is_empty() && line.bytes().all(|b| b.is_ascii_digit()))
}

/// Bytes of which the kernel's symbols are made, those of Rust code among them.
static IN_SYMBOL: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 128 {
        let b = byte as u8;
        table[byte] = b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'$' | b':' | b'<' | b'>' | b'~');
        byte += 1;
    }
    table
};

/// A symbol with its offset and size at the start of `text`, and what stands behind it.
pub(crate) fn symbol(text: &str) -> Option<(&str, Option<u64>, Option<u64>, &str)> {
    let bytes = text.as_bytes();
    if !matches!(bytes.first(), Some(b'a'..=b'z' | b'A'..=b'Z' | b'_' | b'.' | b'$')) {
        return None;
    }
    let end = bytes.iter().position(|b| !IN_SYMBOL[usize::from(*b)]).unwrap_or(bytes.len());
    let (name, rest) = text.split_at_checked(end)?;
    if name.ends_with(':') {
        return None;
    }
    let Some(tail) = behind(rest, "+0x") else {
        return Some((name, None, None, rest));
    };
    let (offset, tail) = hex_digits(tail);
    if let Some(size) = behind(tail, "/0x") {
        let (size, tail) = hex_digits(size);
        return Some((name, offset, size, tail));
    }
    Some((name, offset, None, tail))
}

/// Looks at a trace as a whole.
///
/// A return address at the start of a function is behind the last instruction of the one before it, which never returns:
/// the name is that of a neighbour. ppc64 marks no interrupts: their handlers stand above what they came upon.
pub(crate) fn judge(frames: &mut [Frame]) {
    // The innermost frame may be the program counter; where frames have a stack pointer, it is printed apart.
    for (at, frame) in frames.iter_mut().enumerate() {
        frame.reliable &= frame.offset != Some(0) || at == 0 && frame.sp.is_none();
    }
    if frames.first().is_some_and(|frame| frame.sp.is_some()) {
        const ENTRIES: &[&str] = &[
            "timer_interrupt",
            "do_IRQ",
            "__do_irq",
            "fast_exception_return",
            "replay_soft_interrupts",
            "arch_local_irq_restore",
            "decrementer_common_virt",
            "hardware_interrupt_common_virt",
        ];
        let entry = |frame: &Frame| frame.function.as_deref().is_some_and(|name| ENTRIES.contains(&name));
        if let Some(first) = frames.iter().position(entry) {
            let run = frames.iter().skip(first).take_while(|frame| entry(frame)).count();
            for frame in frames.iter_mut().take(first + run) {
                frame.context = Context::Irq;
            }
        }
    }
}

/// A context mark at the start: `<IRQ>`, `</TASK>`, `<EOI>`, `<<EOE>>`, `<#DF>`; the context that holds behind it.
pub(crate) fn context_mark(text: &str) -> Option<(Context, &str)> {
    let inside = text.strip_prefix('<')?;
    let (name, rest) = inside.split_once('>')?;
    let name = name.trim_start_matches('<').trim();
    let rest = rest.strip_prefix('>').unwrap_or(rest);
    let context = match name {
        "IRQ" => Context::Irq,
        "SOFTIRQ" => Context::Softirq,
        "NMI" => Context::Nmi,
        "TASK" | "/TASK" | "EOI" | "EOE" | "/IRQ" | "/NMI" | "/SOFTIRQ" => Context::Task,
        "ENTRY_TRAMPOLINE" => Context::Exception,
        _ if name.starts_with('#') => Context::Exception,
        _ if name.starts_with("/#") || name == "/ENTRY_TRAMPOLINE" => Context::Task,
        _ => return None,
    };
    Some((context, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_of_every_era_are_read() {
        for (text, function, offset, module, reliable) in [
            ("[<ffffffff8163571c>] dump_stack+0x19/0x1b", "dump_stack", Some(0x19), None, true),
            ("[<ffffffff8116ca56>] ? find_lock_task_mm+0x56/0xc0", "find_lock_task_mm", Some(0x56), None, false),
            ("[<ffffffffa019649b>] zfs_zget+0x17b/0x320 [zfs]", "zfs_zget", Some(0x17b), Some("zfs"), true),
            ("? mem_cgroup_scan_tasks+0x7a/0xc0", "mem_cgroup_scan_tasks", Some(0x7a), None, false),
            ("f+0x1/0x2 [ext4 0123456789012345678901234567890123456789]", "f", Some(1), Some("ext4"), true),
            ("[c000000ff] x", "", None, None, true),
            (
                "[c0000000fe5d3a40] [c000000000a1b2c4] schedule+0x44/0xc0 (unreliable)",
                "schedule",
                Some(0x44),
                None,
                false,
            ),
            ("[ec8d7d40] [c0037c48] __might_sleep+0xe8/0x10c", "__might_sleep", Some(0xe8), None, true),
            ("[] dump_stack+0x19/0x1b", "dump_stack", Some(0x19), None, true),
            ("[] ? zfs_zget+0x17b/0x320 [zfs]", "zfs_zget", Some(0x17b), Some("zfs"), false),
            ("[] (callee) from [] (caller+0x3c/0x5c)", "callee", None, None, true),
            ("([<00000000001143e6>] show_stack+0x56/0x80)", "show_stack", Some(0x56), None, false),
            ("[<c01f3200>] (callee) from [<c01f32a0>] (caller+0x3c/0x5c)", "callee", None, None, true),
            ("callee from caller+0x3c/0x5c", "callee", None, None, true),
            ("f+0x1/0x2 net/core/dev.c:123", "f", Some(1), None, true),
            ("g include/x.h:1 [inline]", "g", None, None, true),
            ("ext4_iget+0x10/0x20 (P)", "ext4_iget", Some(0x10), None, true),
            ("f+0x1/0x2 (fs/ext4/inode.c:123 (discriminator 1)) mod", "f", Some(1), Some("mod"), true),
            ("schedule (arch/x86/include/asm/preempt.h:26 kernel/sched/core.c:5865)", "schedule", None, None, true),
            ("? f (kernel/async.c:317 (discriminator 9))", "f", None, None, false),
            ("f (fs/xfs/xfs_icache.c:123) xfs", "f", None, Some("xfs"), true),
        ] {
            if function.is_empty() {
                assert!(read(text).is_none(), "{text}");
                continue;
            }
            let frame = read(text).unwrap_or_else(|| panic!("{text}"));
            assert_eq!(frame.function.as_deref(), Some(function), "{text}");
            assert_eq!((frame.offset, frame.module.as_deref(), frame.reliable), (offset, module, reliable), "{text}");
        }
    }

    #[test]
    fn other_lines_are_no_frames() {
        for text in [
            "CPU: 0 PID: 1 Comm: x Not tainted",
            "Code: 00 11",
            "RIP: 0010:f+0x1/0x2",
            "x: y",
            "",
            "Call Trace:",
            "see f (x)",
            "f (a b)",
        ] {
            assert!(read(text).is_none(), "{text}");
        }
    }
}
