//! What makers of phones and boards add behind the kernel's stamp: the CPU and the task that printed, the time of day.

use crate::cursor::{Cursor, has, split};

/// The text behind the addition, if there is one:
/// - Samsung: ` [2:      swapper/0:    1] text`, `I[7:  kworker/7:0:  123] text` in an interrupt;
/// - MediaTek: ` (1)[77:runc]text`, `-(1)[77:runc]text` with interrupts switched off;
/// - Huawei: `[2021:08:04 10:11:12][pid:77,cpu1,runc]text`, the time optional;
/// - Qualcomm: `@1 text`;
/// - Spreadtrum: ` c4   3226 text`;
/// - real-time kernels before 5.10: ` 003: text`.
pub(super) fn behind_stamp(text: &str) -> Option<&str> {
    // Nearly no line of another kernel begins like this.
    let inside = text.trim_start_matches(' ');
    match inside.as_bytes() {
        [b'[', b'0'..=b'9' | b'p', ..] => samsung(inside).or_else(|| huawei(inside)).or_else(|| dated(inside)),
        [b'I' | b'C' | b'-', b'[', b'0'..=b'9', ..] => samsung(inside.get(1..)?),
        [b'(', b'0'..=b'9', ..] => mediatek(inside),
        [b'(', b'C', b'P', b'U', b':', ..] => task_in_parentheses(inside),
        [b'-', b'(', b'0'..=b'9', ..] => mediatek(inside.get(1..)?),
        [b'@', b'0'..=b'9', ..] => qualcomm(inside),
        [b'c', b'0'..=b'9', ..] => spreadtrum(inside),
        [b'0'..=b'9', b'0'..=b'9', b'0'..=b'9', b':', b' ', ..] => inside.get(5..),
        _ => None,
    }
}

/// `[2:      swapper/0:    1] `: CPU, command name and pid.
fn samsung(text: &str) -> Option<&str> {
    let (inside, rest) = text.strip_prefix('[')?.split_once(']')?;
    let (cpu, task) = inside.split_once(':')?;
    let (comm, pid) = task.rsplit_once(':')?;
    (number(cpu) && cpu.len() <= 3 && number(pid.trim_start()) && comm.len() <= 20 && !comm.trim().is_empty())
        .then_some(())?;
    Some(rest.strip_prefix(' ').unwrap_or(rest))
}

/// `(1)[77:runc]`: CPU, pid and command name. The text follows at once.
fn mediatek(text: &str) -> Option<&str> {
    let (cpu, rest) = text.strip_prefix('(')?.split_once(')')?;
    let (task, rest) = rest.strip_prefix('[')?.split_once(']')?;
    let (pid, comm) = task.split_once(':')?;
    (number(cpu) && number(pid) && comm.len() <= 16).then_some(rest)
}

/// `[pid:77,cpu1,runc]`, perhaps behind `[2021:08:04 10:11:12]`.
fn huawei(text: &str) -> Option<&str> {
    let mut rest = text;
    if let Some((clock, behind)) = rest.strip_prefix('[').and_then(|t| split(t, "]["))
        && clock.len() == 19
        && clock.bytes().all(|b| b.is_ascii_digit() || matches!(b, b':' | b' '))
    {
        rest = text.get(text.len() - behind.len() - 1..)?;
    }
    let (task, behind) = rest.strip_prefix("[pid:")?.split_once(']')?;
    (has(task, ",cpu") && task.len() <= 48).then_some(behind)
}

/// LG and HTC: `(CPU:0-pid:1:swapper) `.
fn task_in_parentheses(text: &str) -> Option<&str> {
    let (task, rest) = split(text, ") ")?;
    (has(task, "pid:") && task.len() <= 48).then_some(rest)
}

/// `[01-01 00:00:00] `: month, day and time of day.
fn dated(text: &str) -> Option<&str> {
    let (clock, rest) = text.strip_prefix('[')?.split_once("] ")?;
    let form: Vec<usize> =
        clock.split(['-', ' ', ':', '.']).map(|part| if number(part) { part.len() } else { 0 }).collect();
    matches!(form[..], [2, 2, 2, 2, 2] | [2, 2, 2, 2, 2, 1..=9]).then_some(rest)
}

/// `@1 `: CPU.
fn qualcomm(text: &str) -> Option<&str> {
    let (cpu, rest) = text.strip_prefix('@')?.split_once(' ')?;
    (number(cpu) && cpu.len() <= 3).then_some(rest)
}

/// `c4   3226 `: CPU and pid.
fn spreadtrum(text: &str) -> Option<&str> {
    let (cpu, rest) = text.strip_prefix('c')?.split_once(' ')?;
    let (pid, rest) = rest.trim_start_matches(' ').split_once(' ')?;
    (number(cpu) && cpu.len() <= 2 && number(pid)).then_some(rest)
}

fn number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

/// A line of a log that was taken out of a memory dump: `0x000000000277bbfa |   1263.468579:   text`.
pub(super) fn memory_dump(text: &str) -> Option<&str> {
    let mut c = Cursor::new(text);
    if !c.take("0x") {
        return None;
    }
    c.run(|c| c.is_ascii_hexdigit());
    if !c.blanks().take("| ") {
        return None;
    }
    c.blanks().number()?;
    if !c.take(".") {
        return None;
    }
    c.number()?;
    c.take(": ").then(|| c.rest().trim_start_matches(' '))
}

/// Android's log with the kernel's lines in it: `02-12 10:00:00.123     0     0 W kernel  : text`. The text, and whether
/// it is the kernel's.
pub(super) fn logcat(text: &str) -> Option<(&str, bool)> {
    let stamp = text.get(..18)?.as_bytes();
    let digits = |range: std::ops::Range<usize>| stamp[range].iter().all(u8::is_ascii_digit);
    let fits = digits(0..2) && digits(3..5) && digits(6..8) && digits(9..11) && digits(12..14) && digits(15..18);
    if !fits || stamp[2] != b'-' || stamp[5] != b' ' || stamp[8] != b':' || stamp[11] != b':' || stamp[14] != b'.' {
        return None;
    }
    let mut c = Cursor::new(&text[18..]);
    c.blanks().number()?;
    c.blanks().number()?;
    let level = c.blanks().word();
    if level.len() != 1 {
        return None;
    }
    let tag = c.until(": ")?.trim();
    Some((c.rest(), tag.is_empty() || tag.eq_ignore_ascii_case("kernel")))
}

/// The same log in its short form: `E/kernel  (  0): text`. Only the kernel's lines.
pub(super) fn logcat_brief(text: &str) -> Option<&str> {
    if !matches!(text.as_bytes(), [b'V' | b'D' | b'I' | b'W' | b'E' | b'F', b'/', b'k' | b'K', ..]) {
        return None;
    }
    let (tag, rest) = text.get(2..)?.split_once('(')?;
    let (pid, rest) = rest.split_once("): ")?;
    (tag.trim().eq_ignore_ascii_case("kernel") && number(pid.trim())).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_maker_s_addition_is_taken_off() {
        for text in [
            " [2:      swapper/0:    1] body",
            "I[7:      swapper/0:    1] body",
            "[0:HwBinder:1151_3: 2082] body",
            " (1)[77:runc]body",
            "-(1)[77:kworker/0:1]body",
            "[pid:77,cpu1,runc]body",
            "[2021:08:04 10:11:12][pid:77,cpu1,runc]body",
            "@1 body",
            " (CPU:0-pid:1:swapper) body",
            "[01-01 00:00:00] body",
        ] {
            assert_eq!(behind_stamp(text), Some("body"), "{text}");
        }
        for text in
            ["[drm] x", "[00000020] *pgd=0, *pmd=0", "[14] CmpltTO", "(x)[1:a]b", "[<c0100000>] f+0x1/0x2", "@ x"]
        {
            assert_eq!(behind_stamp(text), None, "{text}");
        }
    }

    #[test]
    fn lines_of_dumps_and_of_android_s_log() {
        assert_eq!(memory_dump("0x000000000277BBFA |   1263.468579:   body"), Some("body"));
        assert_eq!(memory_dump("0x10 body"), None);
        assert_eq!(logcat("02-12 10:00:00.123     0     0 W kernel  : body"), Some(("body", true)));
        assert_eq!(logcat("02-12 10:00:00.123   710   710 I lowmemorykiller: Kill x"), Some(("Kill x", false)));
        assert_eq!(logcat("2023-02-12 10:00:00 x"), None);
        assert_eq!(logcat_brief("E/kernel  (  0): body"), Some("body"));
        assert_eq!(logcat_brief("E/keystore(  0): body"), None);
    }
}
