//! Syslog files and `journalctl -o short` and kin: RFC 3164, RFC 5424, ISO stamps, BusyBox.

use facts::Stamp;

use super::{Prefix, calendar};
use crate::cursor::{Cursor, split};
use crate::line::Writer;

/// Recognises a wall-clock stamp, an optional host, and the tag with its colon.
pub(super) fn strip(text: &str) -> Option<Prefix<'_>> {
    let first = *text.as_bytes().first()?;
    if first == b'<' {
        return rfc5424(text);
    }
    // Months are words of any language.
    if !first.is_ascii_alphanumeric() && first.is_ascii() {
        return None;
    }
    // A comma before the fraction is dmesg's: no host and no tag follow.
    if text.as_bytes().get(19) == Some(&b',') {
        return None;
    }
    let mut c = Cursor::new(text);
    let Some(time) = short(&mut c).or_else(|| calendar::iso(&mut c)).or_else(|| unix(&mut c)).or_else(|| full(&mut c))
    else {
        return without_date(text);
    };
    if !c.take(" ") && !c.take(":") {
        return None;
    }
    let mut prefix = Prefix { time: Some(time), ..Prefix::default() };
    // `ts`, terminal programs and consoles put a stamp before the kernel's line and nothing else.
    let bare = c.rest();
    let rest = c.blanks().rest();
    // metalog: `Feb 14 01:11:04 [kernel] [19262.384853] text`
    if let Some(rest) = rest.strip_prefix("[kernel] ") {
        let time = Some(time).filter(|time| *time != Stamp::default());
        return Some(Prefix { time, tag: Some("kernel"), writer: Writer::Kernel, rest, ..Prefix::default() });
    }
    if is_kernel_text(rest) || tagged(rest, &mut prefix).is_none() {
        prefix = Prefix { time: Some(time), rest: bare, ..Prefix::default() };
    }
    if time == Stamp::default() {
        // A month of no language we know: only a tag proves that it was one.
        (prefix.writer == Writer::Kernel).then_some(())?;
        prefix.time = None;
    }
    Some(prefix)
}

/// `07:37:18 kernel: text`, `07:37:18 host kernel: text`: only the kernel's tag makes a stamp of the time.
fn without_date(text: &str) -> Option<Prefix<'_>> {
    if text.as_bytes().get(2) != Some(&b':') {
        return None;
    }
    let mut c = Cursor::new(text);
    calendar::clock(&mut c)?;
    let mut prefix = Prefix::default();
    c.take(" ").then_some(())?;
    tagged(c.rest(), &mut prefix)?;
    // The tag alone would make a broadcast of the line.
    prefix.tag = None;
    (prefix.writer == Writer::Kernel).then_some(prefix)
}

/// `16:35:14 text`: a time of day, from which date, host and tag were cut, or which a console's recorder put there.
pub(super) fn clock_alone(text: &str) -> Option<Prefix<'_>> {
    let mut c = Cursor::new(text);
    calendar::clock(&mut c)?;
    c.take(" ").then_some(())?;
    // The blanks before a frame are its own.
    Some(Prefix { rest: c.rest(), ..Prefix::default() }).filter(|prefix| !prefix.rest.trim().is_empty())
}

/// Does the kernel itself begin so? These texts look like a host and a tag.
fn is_kernel_text(text: &str) -> bool {
    const STARTS: &[&str] = &[
        "BUG:",
        "WARNING:",
        "INFO:",
        "Call Trace:",
        "Call trace:",
        "Hardware name:",
        "Modules linked in:",
        "Internal error:",
        "Oops:",
        "CPU:",
        "RIP:",
        "RSP:",
        "Code:",
        "Workqueue:",
        "invalid opcode:",
        "divide error:",
        "general protection fault:",
        "Kernel panic -",
    ];
    // A stamp or a level; `<redacted>` may be a host.
    let inside = text.strip_prefix(['[', '<']).is_some_and(|t| {
        let stamp = t.trim_start();
        // `[10.0.0.1]` is a host.
        let dots = stamp.bytes().take_while(|b| *b != b']').filter(|b| *b == b'.').count();
        stamp.starts_with(|c: char| c.is_ascii_digit()) && dots < 3
    });
    inside || STARTS.iter().any(|start| text.starts_with(start))
}

/// Where in `text` a line of syslog of the kernel begins, behind what a collector or `grep` put before it:
/// `messages-20230101:12:Jan  1 12:00:00 n kernel: text`, `host=n source=/x Jan  1 12:00:00 n kernel: text`.
pub(super) fn inside(text: &str) -> Option<Prefix<'_>> {
    let (head, _) = split(text, " kernel: ")?;
    let is_start = |b: u8| matches!(b, b' ' | b':' | b'\t' | b',' | b'"' | b';');
    // A stamp and a host have few words.
    let starts = head.bytes().enumerate().rev().filter(|(_, b)| is_start(*b)).map(|(at, _)| at + 1);
    let of_kernel = |p: &Prefix<'_>| p.writer == Writer::Kernel && p.time.is_some();
    starts.take(16).chain(std::iter::once(0)).find_map(|at| strip(text.get(at..)?).filter(of_kernel))
}

/// Takes host and tag of the kernel from behind a stamp in brackets.
pub(super) fn host_and_tag(outer: Prefix<'_>) -> Prefix<'_> {
    if outer.tag.is_some() || outer.time.is_none_or(|time| time.wall_ns.is_none()) {
        return outer;
    }
    match split(outer.rest.trim_start(), " kernel: ") {
        Some((host, rest)) if !host.is_empty() && host.len() < 64 && !host.contains([' ', '[', '(', ':']) => {
            Prefix { host: Some(host), tag: Some("kernel"), writer: Writer::Kernel, rest, ..outer }
        }
        _ => outer,
    }
}

/// How far into a line the kernel's tag is looked for.
const FAR: usize = 120;

/// The text behind `kernel:` where a collector that nobody lists put a time of day before it:
/// `[2023-10-03 10:11:12] web01 kernel: text`, `03.10.2023 10:11:12 web01 kernel: text`.
pub(super) fn behind_any_stamp(text: &str) -> Option<Prefix<'_>> {
    let (head, rest) = ["kernel: ", "kernel:\t"].iter().find_map(|tag| split(text, tag))?;
    // A blank or a tabulator stands before the tag, and the time somewhere before that.
    let clocked = head
        .as_bytes()
        .windows(8)
        .any(|w| w[2] == b':' && w[5] == b':' && [0, 1, 3, 4, 6, 7].iter().all(|at| w[*at].is_ascii_digit()));
    let epoch =
        head.split([' ', '.', '\t']).next().is_some_and(|n| n.len() == 10 && n.bytes().all(|b| b.is_ascii_digit()));
    let few = head.len() <= FAR && head.split_ascii_whitespace().count() <= 8;
    // `kern.warning kernel: text`, `web01 kernel: BUG: text`
    let mut words = head.split_ascii_whitespace();
    let alone = match (words.next(), words.next()) {
        (Some(word), None) => word.starts_with("kern.") || is_kernel_text(rest.trim_start()),
        _ => false,
    };
    (few && (clocked || epoch || alone) && head.ends_with([' ', '\t', ']', '"', ',', '.'])).then_some(())?;
    let rest = super::paste::before_closing_quote(if head.contains('"') { "\"" } else { "" }, rest);
    Some(Prefix { tag: Some("kernel"), writer: Writer::Kernel, rest, ..Prefix::default() })
}

/// Lines of syslog over TCP, each with its number of bytes: `120 <4>1 2023-10-03T10:11:12Z web01 kernel - - - text`.
pub(super) fn counted(text: &str) -> Option<Prefix<'_>> {
    let (count, rest) = text.split_once(' ')?;
    if count.len() > 5 || !rest.starts_with('<') || !count.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    rfc5424(rest).or_else(|| super::stamped(rest))
}

/// `Jul  5 19:33:34`, `Jul 05 19:33:34.123456`
pub(super) fn short(c: &mut Cursor<'_>) -> Option<Stamp> {
    let mut ahead = *c;
    // `2月`
    let numbered = ahead.run(|c| c.is_ascii_digit());
    if numbered.len() <= 2 && !numbered.is_empty() && ahead.rest().starts_with(' ') {
        return day_first(c);
    }
    let word =
        if numbered.is_empty() { ahead.run(|c| c.is_alphabetic()) } else { ahead.run(|c| matches!(c, '月' | '월')) };
    if word.len() < 3 || word.len() > 20 {
        return None;
    }
    let month = if numbered.is_empty() { calendar::month(word) } else { numbered.parse().ok() };
    ahead.take(".");
    let day = ahead.blanks().number()?;
    let mut year = None;
    let mut dated = ahead;
    // Some collectors put the year behind the day.
    if let Some(y) = dated.blanks().number()
        && (1990..2200).contains(&y)
    {
        year = Some(y as i64);
        ahead = dated;
    }
    let ns = calendar::clock(ahead.blanks())?;
    *c = ahead;
    match month {
        Some(month) => calendar::stamp(year, month, day, ns, None),
        None => Some(Stamp::default()),
    }
}

/// `12 Jun 18:40:15`
fn day_first(c: &mut Cursor<'_>) -> Option<Stamp> {
    let mut ahead = *c;
    let day = ahead.number()?;
    let month = calendar::month(ahead.blanks().run(|c| c.is_alphabetic()))?;
    let mut dated = ahead;
    let year = dated.blanks().number().filter(|year| (1990..2200).contains(year));
    if year.is_some() {
        ahead = dated;
    }
    let ns = calendar::clock(ahead.blanks())?;
    *c = ahead;
    calendar::stamp(year.map(|year| year as i64), month, day, ns, None)
}

/// `Tue 2023-11-14 22:13:20 UTC`
fn full(c: &mut Cursor<'_>) -> Option<Stamp> {
    let mut ahead = *c;
    if !(1..=12).contains(&ahead.run(|c| c.is_alphabetic()).chars().count()) || !ahead.take(" ") {
        return None;
    }
    let (year, month, day) = calendar::date(&mut ahead)?;
    let ns = calendar::clock(ahead.blanks())?;
    if !ahead.take(" ") {
        return None;
    }
    let offset = calendar::zone(&mut ahead);
    if offset.is_none() {
        ahead.word();
    }
    *c = ahead;
    calendar::stamp(Some(year), month, day, ns, offset)
}

/// `1700000000.002000`
fn unix(c: &mut Cursor<'_>) -> Option<Stamp> {
    let mut ahead = *c;
    let seconds = ahead.run(|c| c.is_ascii_digit());
    if seconds.len() != 10 || !ahead.take(".") {
        return None;
    }
    let micros = ahead.run(|c| c.is_ascii_digit());
    if micros.len() != 6 {
        return None;
    }
    *c = ahead;
    let ns =
        seconds.parse::<i64>().ok()?.checked_mul(1_000_000_000)?.checked_add(micros.parse::<i64>().ok()? * 1000)?;
    Some(Stamp { since_boot_ns: None, wall_ns: Some(ns), wall_exact: true })
}

fn numbered(text: &str) -> Option<&str> {
    let (facility, rest) = text.split_once(' ')?;
    let (severity, rest) = rest.split_once(' ')?;
    let facility = facility.parse::<u8>().ok().filter(|f| *f < 24).is_some();
    (facility && matches!(severity.as_bytes(), [b'0'..=b'7'])).then_some(rest)
}

/// Names of the levels.
const LEVELS: &[&str] = &["emerg", "alert", "crit", "err", "error", "warning", "warn", "notice", "info", "debug"];

/// `kern.warn`, `<kern.warn>`, `err`
fn is_priority(word: &str) -> bool {
    let word = word.strip_prefix('<').and_then(|w| w.strip_suffix('>')).unwrap_or(word);
    LEVELS.contains(&word.rsplit('.').next().unwrap_or(word)) && (word.starts_with("kern.") || !word.contains('.'))
}

fn is_ipv6(host: &str) -> bool {
    host.len() <= 45
        && host.bytes().filter(|b| *b == b':').count() >= 2
        && host.bytes().all(|b| b.is_ascii_hexdigit() || matches!(b, b':' | b'.'))
}

/// `host kernel: text`, `kernel: text`, `host comm[pid]: text`, `host kernel:text`
pub(super) fn tagged<'a>(text: &'a str, prefix: &mut Prefix<'a>) -> Option<()> {
    // Facility and severity as numbers before the host: `0 4 host kernel: text`.
    let mut rest = numbered(text).unwrap_or(text);
    // At most a host and a facility stand before the tag.
    for words in 0..3 {
        let mut end = rest.find([' ', ':']).unwrap_or(rest.len());
        // `fe80::1 kernel: text`
        if words == 0
            && end < 5
            && let Some(host) = rest.split(' ').next().filter(|host| is_ipv6(host))
        {
            end = host.len();
        }
        let word = &rest[..end];
        if word.is_empty() {
            return None;
        }
        if rest[end..].starts_with(':') {
            let tag = word.split(['[', '(']).next().unwrap_or(word);
            // Without a host only the kernel's lines and those of a process are known.
            let pid = word.ends_with([']', ')']);
            if words == 0 && !pid && !matches!(word, "kernel" | "vmunix") {
                return None;
            }
            // An IPv6 host or a port holds colons: a tag is followed by a blank, an opening bracket, or text after `kernel:`.
            let behind = &rest[end + 1..];
            let kernel = matches!(word, "kernel" | "kernel[0]" | "vmunix" | "klogd");
            if kernel || behind.starts_with(' ') || behind.is_empty() {
                prefix.tag = Some(tag);
                // Some collectors write the level where the tag should be.
                let level = LEVELS.contains(&word) && is_kernel_text(behind.trim_start());
                prefix.writer = if kernel || level { Writer::Kernel } else { Writer::Program };
                let mut behind = behind.strip_prefix(' ').unwrap_or(behind);
                if kernel {
                    // `kernel: kernel: text` comes from collectors that add the tag again.
                    behind = behind.strip_prefix("kernel: ").unwrap_or(behind);
                    // EL5 and EL6, where the record begins with a blank: `kernel: : text`
                    behind = behind.strip_prefix(": ").unwrap_or(behind);
                    // `kernel: kern.err: text`
                    let level = behind.strip_prefix("kern.").and_then(|t| t.split_once(": "));
                    behind = level.filter(|(level, _)| LEVELS.contains(level)).map_or(behind, |(_, text)| text);
                }
                prefix.rest = behind;
                return Some(());
            }
            return None;
        }
        // `host kernel - - - text`, of RFC 5424 without its priority; `host kernel [12.3] text`, `host kernel BUG: text`
        if words == 1 && word == "kernel" {
            let behind = &rest[end..];
            let body = behind
                .strip_prefix(" - - - ")
                .or_else(|| behind.strip_prefix(" - "))
                .or_else(|| behind.strip_prefix(' ').filter(|b| is_kernel_text(b)));
            if let Some(body) = body {
                (prefix.tag, prefix.writer, prefix.rest) = (Some(word), Writer::Kernel, body);
                return Some(());
            }
        }
        if words == 0 && !is_priority(word) {
            // syslog-ng: `source@host`, `name/address`
            let host = word.rsplit('@').next().unwrap_or(word);
            prefix.host = Some(host.split('/').next().filter(|host| !host.is_empty()).unwrap_or(host));
        } else if prefix.host.is_none() && words == 1 && word != "kernel" {
            prefix.host = Some(word);
        }
        rest = rest[end..].trim_start_matches(' ');
    }
    None
}

/// `<4>1 2023-08-26T06:39:24.123456+02:00 host kernel - - - text`
fn rfc5424(text: &str) -> Option<Prefix<'_>> {
    let mut c = Cursor::new(text);
    c.take("<");
    let priority = c.number()?;
    if !c.take(">1 ") {
        return None;
    }
    let time = calendar::iso(&mut c)?;
    let host = c.blanks().word();
    let tag = c.blanks().word();
    c.blanks().word();
    c.blanks().word();
    c.blanks();
    if c.take("[") {
        c.skip_past("] ");
    } else {
        c.word();
        c.take(" ");
    }
    let kernel = tag == "kernel";
    Some(Prefix {
        time: Some(time),
        level: Some((priority & 7) as u8),
        facility: u8::try_from(priority >> 3).ok(),
        host: Some(host),
        tag: Some(tag),
        writer: if kernel { Writer::Kernel } else { Writer::Program },
        rest: c.rest(),
        ..Prefix::default()
    })
}

/// Where the next line of a syslog begins inside `text`, of which the newlines were lost: `Aug 08 03:49:56 host kernel: `.
pub(super) fn glued(text: &str) -> Option<usize> {
    const TAG: &str = " kernel: ";
    const STAMP: usize = "Aug 08 03:49:56 ".len();
    memchr::memmem::find_iter(text.as_bytes(), TAG).find_map(|tag| {
        let host = text[..tag].rsplit(' ').next()?;
        let start = (tag - host.len()).checked_sub(STAMP).filter(|start| *start > 0)?;
        let line = super::strip(text.get(start..)?);
        (line.writer == Writer::Kernel && line.host == Some(host)).then_some(start)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tag_tells_who_wrote() {
        let p = strip("Jul  5 19:33:34 host kernel: unregister_netdevice: waiting").unwrap();
        assert_eq!((p.host, p.writer, p.rest), (Some("host"), Writer::Kernel, "unregister_netdevice: waiting"));
        let p = strip("Aug 29 04:11:47 loom warning: [6083976.304807] WARNING: x").unwrap();
        assert_eq!((p.host, p.writer, p.rest), (Some("loom"), Writer::Kernel, "[6083976.304807] WARNING: x"));
        let p = strip("Nov 14 22:13:20 node1 kubelet[77]: E1114 x").unwrap();
        assert_eq!((p.tag, p.writer, p.rest), (Some("kubelet"), Writer::Program, "E1114 x"));
        let p = strip("Jan  1 00:00:12 (none) kern.warn kernel: [12.3] x").unwrap();
        assert_eq!((p.writer, p.rest), (Writer::Kernel, "[12.3] x"));
        let p = strip("2016-07-31 16:26:53 +0000 UTC kern.alert kernel: BUG: x");
        assert_eq!(p.unwrap().rest, "BUG: x");
    }

    #[test]
    fn a_stamp_alone_before_the_kernel_s_line_makes_no_tag_of_it() {
        for rest in ["[  467.167062] BUG: x", "Hardware name: x", "Call Trace:", "BUG: kernel x", "CPU: 1 PID: 2"] {
            for stamp in ["Jan 01 12:00:00", "2023-01-01 12:00:00.123"] {
                let text = format!("{stamp} {rest}");
                assert_eq!(strip(&text).map(|p| (p.rest, p.writer)), Some((rest, Writer::Unknown)), "{text}");
            }
        }
        assert_eq!(strip("2023-01-01 12:00:00   f+0x1/0x2").unwrap().rest, "  f+0x1/0x2");
        for text in ["messages-2023:12:Jan  1 12:00:00 n kernel: body", "x host=n Jan  1 12:00:00 n kernel: body"] {
            assert_eq!(inside(text).map(|p| p.rest), Some("body"), "{text}");
        }
        assert!(inside("we saw the kernel: it was slow").is_none());
    }

    #[test]
    fn a_time_of_day_before_the_tag_is_enough() {
        for text in [
            "[2023-10-03 10:11:12] web01 kernel: body",
            "2023/10/03 10:11:12 web01 kernel: body",
            "03.10.2023 10:11:12 web01 kernel: body",
            "10/03/2023 10:11:12 AM web01 kernel: body",
            "1696327872.123 web01 kernel: body",
        ] {
            assert_eq!(behind_any_stamp(text).map(|p| (p.rest, p.writer)), Some(("body", Writer::Kernel)), "{text}");
        }
        assert!(behind_any_stamp("we saw in the kernel: it was slow").is_none());
    }

    #[test]
    fn every_form_of_stamp_is_read() {
        for text in [
            "<4>1 2023-08-26T06:39:24.123456+02:00 host kernel - - - body",
            "2023-08-26T06:39:24.123456+02:00 host kernel: body",
            "Tue 2023-11-14 22:13:20 UTC node1 kernel: body",
            "1700000000.002000 node1 kernel: body",
            "Nov 14 22:13:20.002000 node1 kernel: body",
            "May 17 18:48:11 kernel: body",
            "Jul 05 19:33:34 host kernel:body",
            "фев 12 10:00:01 host kernel: body",
            "2月 12 10:00:01 host kernel: body",
            "12月 12 10:00:01 host kernel: body",
            "Φεβ 12 10:00:01 host kernel: body",
            "févr. 12 10:00:01 host kernel: body",
            "2024-02-12 10:00:00 body",
            "10:00:01 kernel: body",
            "10:00:01.123 host kernel: body",
            "12 Jun 18:40:15 host kernel: body",
            "12 Jun 2024 18:40:15 host kernel: body",
            "May 29 01:38:43 host kernel[0]: body",
            "2025-04-12T18:40:15+00:00 host kernel - - - body",
        ] {
            assert_eq!(strip(text).map(|p| p.rest), Some("body"), "{text}");
        }
    }
}
