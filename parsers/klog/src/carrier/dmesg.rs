//! Forms of util-linux dmesg other than its default: `-x`, `-T` in any language, `-d`, `-e`, ISO.

use facts::Stamp;

use super::{Prefix, calendar, journal, printk, vendor};
use crate::cursor::{Cursor, Letters};
use crate::line::Writer;

const FACILITIES: &[&str] = &["kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news"];
const FACILITY_LETTERS: Letters = Letters::of(FACILITIES);
const LEVELS: &[&str] = &["emerg", "alert", "crit", "err", "warn", "notice", "info", "debug"];

/// Recognises a decoded level, a bracketed wall-clock stamp, a delta, or an ISO stamp.
pub(super) fn strip(text: &str) -> Option<Prefix<'_>> {
    let mut prefix = Prefix { writer: Writer::Kernel, rest: text, ..Prefix::default() };
    let named = FACILITY_LETTERS.begin(text);
    if named && talos(text, &mut prefix).is_some() {
        return Some(prefix);
    }
    let decoded = named && level(text, &mut prefix).is_some();
    let rest = prefix.rest;
    if let Some(inner) = printk::strip(rest) {
        if decoded {
            prefix.time = inner.time;
            prefix.caller = inner.caller;
            prefix.rest = inner.rest;
            return Some(prefix);
        }
        return None;
    }
    if rest.starts_with('[') {
        if let Some((time, rest)) = bracketed(rest) {
            prefix.time = time;
            prefix.rest = rest;
            // `journalctl -o short-delta` has a host behind the stamp.
            return Some(journal::monotonic(rest).map_or(prefix, |inner| prefix.with_inner(inner)));
        }
    } else if rest.starts_with(|c: char| c.is_ascii_digit()) {
        let mut c = Cursor::new(rest);
        if let Some(time) = calendar::iso(&mut c)
            && time.wall_exact
            && c.take(" ")
        {
            prefix.time = Some(time);
            prefix.rest = c.rest();
            return Some(prefix);
        }
    }
    decoded.then_some(prefix)
}

/// Takes facility and level, places in the tables of their names.
fn decoded<'a>(prefix: &mut Prefix<'a>, facility: usize, level: usize, rest: &'a str) {
    prefix.facility = Some(facility as u8);
    prefix.level = Some(level as u8);
    if facility != 0 {
        prefix.writer = Writer::Program;
    }
    prefix.rest = rest;
}

/// `kern  :alert : `
fn level<'a>(text: &'a str, prefix: &mut Prefix<'a>) -> Option<()> {
    let mut c = Cursor::new(text);
    let facility = FACILITIES.iter().position(|f| c.take(f))?;
    c.blanks();
    if !c.take(":") {
        return None;
    }
    let level = LEVELS.iter().position(|l| c.take(l))?;
    c.blanks();
    if !c.take(": ") {
        return None;
    }
    decoded(prefix, facility, level, c.rest());
    Some(())
}

/// `kern:     err: [2024-06-29T10:52:39.030745602Z]: `, as Talos prints it.
fn talos<'a>(text: &'a str, prefix: &mut Prefix<'a>) -> Option<()> {
    let mut c = Cursor::new(text);
    let facility = FACILITIES.iter().position(|f| c.take(f))?;
    if !c.take(": ") {
        return None;
    }
    let level = LEVELS.iter().position(|l| c.blanks().take(l))?;
    c.take("ing");
    if !c.take(": [") {
        return None;
    }
    prefix.time = calendar::iso(&mut c);
    if !c.take("]: ") {
        return None;
    }
    decoded(prefix, facility, level, c.rest());
    Some(())
}

/// Seconds and their fraction behind the decimal sign of the language.
fn is_delta(delta: &str) -> bool {
    delta.split_once(['.', ',']).is_some_and(|(seconds, micros)| digits(seconds) && digits(micros))
}

/// `467.167731`
fn since_boot(stamp: &str) -> Option<Stamp> {
    let (seconds, micros) = stamp.split_once('.')?;
    if !digits(seconds) || !digits(micros) || micros.len() > 9 {
        return None;
    }
    let ns = seconds.parse::<i64>().ok()?.checked_mul(1_000_000_000)?
        + micros.parse::<i64>().ok()? * 10i64.pow(9 - micros.len() as u32);
    Some(Stamp::since_boot(ns))
}

/// `[Sat Nov 21 10:15:55 2026] `, `[五 7月  3 00:00:50 2020] `, `[Nov21 10:15] `, `[  +0.000669] `, `[12.3 <    0.000669>] `
fn bracketed(text: &str) -> Option<(Option<Stamp>, &str)> {
    let inside = text.get(1..)?;
    // The longest of these stamps has fewer than 60 bytes in any language.
    let close = inside.bytes().take(64).position(|b| b == b']')?;
    let (stamp, rest) = (inside.get(..close)?, inside.get(close + 1..)?);
    let rest = rest.strip_prefix(' ').unwrap_or(rest);
    let trimmed = stamp.trim();
    if let Some(delta) = trimmed.strip_prefix('+') {
        return is_delta(delta).then_some((None, rest));
    }
    if trimmed.ends_with('>') {
        // `-d`: an absolute stamp, then the difference.
        let (absolute, _) = trimmed.split_once('<')?;
        let absolute = absolute.trim();
        let delta = trimmed.split_once('<').map_or("", |(_, d)| d).trim_end_matches('>').trim();
        if !is_delta(delta) {
            return None;
        }
        if absolute.is_empty() {
            return Some((None, rest));
        }
        return Some((Some(since_boot(absolute)?), rest));
    }
    // The first line of `journalctl -o short-delta` has blanks where the difference will be.
    if stamp.ends_with("    ") {
        return Some((Some(since_boot(trimmed)?), rest));
    }
    // The day is padded with a blank.
    if let Some((day, clock)) = trimmed.rsplit_once(' ')
        && clock.len() == 5
        && clock.as_bytes()[2] == b':'
        && day.ends_with(|c: char| c.is_ascii_digit())
        && calendar::month(day.trim_end_matches(|c: char| c.is_ascii_digit() || c == ' ')).is_some()
    {
        return Some((None, rest));
    }
    // Phones: `[20180812_18:10:10.424695]@0 text`, CPU behind it.
    if let Some((date, clock)) = trimmed.split_once('_')
        && date.len() == 8
        && digits(date)
    {
        let ns = calendar::clock(&mut Cursor::new(clock))?;
        let part = |range: std::ops::Range<usize>| date.get(range).and_then(|d| d.parse::<i64>().ok());
        let month = u8::try_from(part(4..6)?).ok()?;
        let time = calendar::stamp(part(0..4), month, u64::try_from(part(6..8)?).ok()?, ns, None)?;
        return Some((Some(time), vendor::behind_stamp(rest).unwrap_or(rest)));
    }
    wall(trimmed).map(|time| (Some(time), rest))
}

/// `[2025-04-12 18:40:15.554] `, `[2023-04-03T16:02:11.123Z] `, `[07:37:18] `: what programs put before each line that they
/// keep of a console. Programs stamp their own lines so too.
pub(super) fn kept(text: &str) -> Option<Prefix<'_>> {
    let inside = text.strip_prefix('[')?;
    let mut c = Cursor::new(inside);
    let time = match calendar::iso(&mut c) {
        Some(time) => Some(time),
        None => {
            calendar::clock(&mut c)?;
            None
        }
    };
    if !c.take("] ") {
        return None;
    }
    Some(Prefix { time, rest: c.rest(), ..Prefix::default() })
}

/// Words none of which is a number, a month word, a day, a time, a year: `Sat Nov 21 10:15:55 2026`.
fn wall(text: &str) -> Option<Stamp> {
    let mut words = text.split_ascii_whitespace().collect::<Vec<_>>();
    if words.len() < 4 || words.len() > 7 {
        return None;
    }
    let at = words.iter().position(|w| w.contains(':'))?;
    let ns = calendar::clock(&mut Cursor::new(words[at]))?;
    words.remove(at);
    let mut year = None;
    let mut day = None;
    let mut month = None;
    for word in words {
        let word = word.trim_end_matches(['.', ',', '日', '年', '일', '년']);
        match word.parse::<u64>() {
            Ok(n) if (1990..2200).contains(&n) => year = Some(n as i64),
            Ok(n) if n <= 31 => day = Some(n),
            Ok(_) => return None,
            // A weekday can look like a month (`mar.`): the last that fits is the month.
            Err(_) => month = calendar::month(word).or(month),
        }
    }
    let (year, day) = (year?, day?);
    match month {
        Some(month) => calendar::stamp(Some(year), month, day, ns, None),
        // A language we do not know: the form is plain, the time is not.
        None => Some(Stamp::default()),
    }
}

fn digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_stripped() {
        for text in [
            "kern  :alert : [  467.167062] body",
            "[Sat Nov 21 10:15:55 2026] body",
            "kern  :alert : [Sat Nov 21 10:15:55 2026] body",
            "[五 7月  3 00:00:50 2020] body",
            "[Пт июл  3 10:15:55 2020] body",
            "[Fr Jul  3 10:15:55 2020] body",
            "[ven. juil.  3 10:15:55 2020] body",
            "[  467.167731 <    0.000669>] body",
            "[<    0.000669>] body",
            "[  467.167731 <    0,000669>] body",
            "[  +0,000002] body",
            "[Nov21 10:15] body",
            "[Nov 1 10:15] body",
            "[20180812_18:10:10.424695]@0 body",
            "kern:     err: [2024-06-29T10:52:39.030745602Z]: body",
            "kern: warning: [2024-06-29T10:52:39.030745602Z]: body",
            "[  +0.000669] body",
            "2026-11-21T10:15:55,167062+00:00 body",
        ] {
            assert_eq!(strip(text).map(|p| p.rest), Some("body"), "{text}");
        }
        for text in [
            "[2025-04-12 18:40:15.554] body",
            "[2025-04-12 18:40:15] body",
            "[2023-04-03T16:02:11.123Z] body",
            "[07:37:18] body",
        ] {
            assert_eq!(kept(text).map(|p| p.rest), Some("body"), "{text}");
        }
        assert!(strip("[<ffffffff81001234>] f+0x1/0x2").is_none());
        assert!(strip("[drm:foo] x").is_none());
    }

    #[test]
    fn a_stamp_without_zone_is_not_exact() {
        let time = strip("[五 7月  3 00:00:50 2020] body").unwrap().time.unwrap();
        assert_eq!(time.wall_ns, Some(1_593_734_450_000_000_000));
        assert!(!time.wall_exact);
    }
}
