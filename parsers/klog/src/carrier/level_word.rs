//! The level as a word between the stamp and the text, as logs of XenServer and XCP-ng have it:
//! `[   12.345678] ALERT: BUG: unable to handle kernel paging request`.

use crate::cursor::Cursor;
use crate::cursor::{has, split};
use crate::line::Writer;

/// Words that no kernel line begins with, and their levels.
const WORDS: &[(&str, u8)] =
    &[("EMERG: ", 0), ("ALERT: ", 1), ("CRIT: ", 2), ("ERR: ", 3), ("WARN: ", 4), ("NOTICE: ", 5), ("DEBUG: ", 7)];

/// Words that are also the kernel's own headers.
const HEADERS: &[(&str, u8)] = &[("WARNING: ", 4), ("INFO: ", 6)];

/// The level and the text behind its word. Where nothing says that the kernel wrote the line, or where the word may be
/// the kernel's own, only a line of a report proves that it is a level.
pub(super) fn strip(text: &str, writer: Writer) -> Option<(u8, &str)> {
    let text = Cursor::new(text).blanks().rest();
    // Nearly no line begins with one of these.
    if !matches!(text.as_bytes(), [b'A' | b'C' | b'D' | b'E' | b'I' | b'N' | b'W', b'A'..=b'Z', b'A'..=b'Z', ..]) {
        return None;
    }
    let behind = |words: &[(&str, u8)]| {
        words.iter().find_map(|(word, level)| text.strip_prefix(word).map(|rest| (*level, rest)))
    };
    match behind(WORDS) {
        Some((level, rest)) => (writer == Writer::Kernel || is_of_a_report(rest)).then_some((level, rest)),
        None => behind(HEADERS).filter(|(_, rest)| is_of_a_report(rest)),
    }
}

/// Is this a line that stands in a report and nowhere else?
fn is_of_a_report(text: &str) -> bool {
    const STARTS: &[&str] = &[
        "BUG: ",
        "WARNING: ",
        "INFO: ",
        "Oops: ",
        "kernel BUG at ",
        "Kernel panic - ",
        "general protection fault",
        "invalid opcode: ",
        "divide error: ",
        "IP: ",
        "#PF: ",
        "task: ",
        "Process ",
        "PGD ",
        "RIP",
        "RSP",
        "EIP",
        "CR2: ",
        "CS: ",
        "FS: ",
        "Code: ",
        "Stack:",
        "Call Trace:",
        "Modules linked in:",
        "Hardware name: ",
        "Workqueue: ",
        "---[ end ",
        "[<",
        "<IRQ>",
        "</IRQ>",
        "<TASK>",
        "</TASK>",
    ];
    let text = text.trim_start_matches([' ', '\t']);
    // A header names the CPU too: `WARNING: CPU: 1 PID: 7 at fs/x.c:1`.
    let who = text.starts_with("CPU: ") && has(text, " Comm: ");
    who || STARTS.iter().any(|start| text.starts_with(start)) || is_frame(text) || is_register(text) || is_stack(text)
}

/// `? function+0x1/0x2 [module]`
fn is_frame(text: &str) -> bool {
    let text = text.strip_prefix("? ").unwrap_or(text);
    let (name, module) = text.split_once(' ').unwrap_or((text, ""));
    split(name, "+0x").is_some_and(|(_, offset)| has(offset, "/0x")) && (module.is_empty() || module.starts_with('['))
}

/// `RAX: 0000000000000001 RBX: ...`
fn is_register(text: &str) -> bool {
    let (name, value) = split(text, ": ").unwrap_or_default();
    let hex = value.split(' ').next().unwrap_or_default();
    (2..=3).contains(&name.len())
        && name.starts_with(['R', 'E'])
        && matches!(hex.len(), 8 | 16)
        && hex.bytes().all(|b| b.is_ascii_hexdigit())
}

/// `ffff880282d2ad58 ffff880282d2ab20 ...`
fn is_stack(text: &str) -> bool {
    text.split(' ').take(2).all(|word| word.len() == 16 && word.bytes().all(|b| b.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_word_is_taken_off_and_a_header_stays() {
        for (text, level, rest) in [
            (
                "ALERT: BUG: unable to handle kernel paging request at 10",
                1,
                "BUG: unable to handle kernel paging request at 10",
            ),
            ("WARN:  ? f+0x1/0x2 [m]", 4, " ? f+0x1/0x2 [m]"),
            ("CRIT: kernel BUG at fs/x.c:1!", 2, "kernel BUG at fs/x.c:1!"),
            (
                "ERR: INFO: task x:1 blocked for more than 120 seconds.",
                3,
                "INFO: task x:1 blocked for more than 120 seconds.",
            ),
            ("WARN: WARNING: CPU: 1 PID: 7 at fs/x.c:1 f+0x1/0x2", 4, "WARNING: CPU: 1 PID: 7 at fs/x.c:1 f+0x1/0x2"),
            (
                "WARNING: CPU: 1 PID: 7 Comm: x Not tainted 4.4.0+2 #1",
                4,
                "CPU: 1 PID: 7 Comm: x Not tainted 4.4.0+2 #1",
            ),
            ("WARNING: RAX: 00000000ffffffc3 RBX: 0", 4, "RAX: 00000000ffffffc3 RBX: 0"),
            ("  WARN: Call Trace:", 4, "Call Trace:"),
        ] {
            assert_eq!(strip(text, Writer::Unknown), Some((level, rest)), "{text}");
        }
        assert_eq!(strip("WARN: task: ffff8801", Writer::Kernel), Some((4, "task: ffff8801")));
        for text in [
            "WARNING: CPU: 1 PID: 7 at fs/x.c:1 f+0x1/0x2",
            "WARNING: at fs/x.c:1 f+0x1/0x2()",
            "WARNING: possible circular locking dependency detected",
            "INFO: task x:1 blocked for more than 120 seconds.",
            "INFO: rcu_sched self-detected stall on CPU",
            "WARNING: kmalloc+0x1 bug",
            "ERROR: x",
        ] {
            assert_eq!(strip(text, Writer::Kernel), None, "{text}");
        }
        assert_eq!(strip("WARN: the disk is slow", Writer::Unknown), None);
    }
}
