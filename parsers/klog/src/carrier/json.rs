//! JSON: journal records, docker's json-file, exports of log collectors, `dmesg -J`, the console of a cloud machine.

use std::borrow::Cow;

use facts::Stamp;

use super::{Prefix, calendar, printk};
use crate::cursor::Cursor;
use crate::line::Writer;

/// Keys whose value is the message, the more telling first.
const KEYS: &[&str] = &[
    "\"MESSAGE\"",
    "\"log\"",
    "\"message\"",
    "\"stdout\"",
    "\"msg\"",
    "\"textPayload\"",
    "\"Output\"",
    "\"line\"",
    "\"original\"",
    "\"_raw\"",
    "\"@message\"",
];
/// Where `dmesg -J` ends one object and begins the next.
const NEXT_OBJECT: [&str; 2] = ["},{", "}, {"];
/// Lines above a message in which its other keys may stand, where each key has a line of its own.
const LINES_ABOVE: usize = 6;
/// Bytes of them that are looked at.
const MAX_ABOVE: usize = 2048;

/// Does the line begin like JSON?
pub(super) fn begins(text: &[u8]) -> bool {
    let text = text.trim_ascii_start();
    let text = text.strip_prefix(b"\x1e").or(text.strip_prefix(b"data: ")).unwrap_or(text);
    matches!(text.first(), Some(b'{' | b'"')) || text.starts_with(b"[{")
}

/// Calls `each` for every message in the line, with what its object says about it. `above` are the lines before.
/// Returns whether there was one.
pub(super) fn messages(text: &str, above: &[u8], each: &mut dyn FnMut(&str, Prefix<'_>)) -> bool {
    if !begins(text.as_bytes()) {
        return false;
    }
    // `json-pretty` and `dmesg -J` put each key on a line of its own.
    let alone = text.trim_start().starts_with('"');
    let mut found = false;
    let mut rest = text;
    loop {
        let end = NEXT_OBJECT.iter().filter_map(|next| rest.find(next)).min();
        let (object, tail) = end.map_or((rest, ""), |end| rest.split_at(end + 1));
        if let Some(message) = message(object) {
            found = true;
            let above = if alone { lines_above(above) } else { Cow::Borrowed("") };
            each(&message, said(if alone { &above } else { object }));
        }
        if tail.is_empty() {
            return found;
        }
        rest = tail;
    }
}

/// The message of one object.
fn message(object: &str) -> Option<Cow<'_, str>> {
    let said = |key: &&'static str| value(object, key).filter(|v| v.starts_with(['"', '['])).map(|v| (*key, v));
    let (key, value) = KEYS.iter().find_map(said)?;
    if let Some(string) = value.strip_prefix('"') {
        let mut message = unescape(string);
        // `dmesg -J -F` of util-linux 2.38 lets each message run on to the end of the file.
        if key == "\"msg\""
            && let Some(end) = message.find("\n<")
        {
            message.truncate(end);
        }
        return Some(Cow::Owned(message));
    }
    // Messages with control bytes are arrays of byte values.
    let bytes: Vec<u8> =
        value.strip_prefix('[')?.split(']').next()?.split(',').map_while(|n| n.trim().parse::<u8>().ok()).collect();
    Some(Cow::Owned(String::from_utf8_lossy(&bytes).into_owned()))
}

/// The text behind a key and its colon.
fn value<'a>(object: &'a str, key: &str) -> Option<&'a str> {
    let at = object.find(key)?;
    Some(object[at + key.len()..].trim_start().strip_prefix(':')?.trim_start())
}

/// The lines above, back to the one that opens the object.
fn lines_above(above: &[u8]) -> Cow<'_, str> {
    let above = above.get(above.len().saturating_sub(MAX_ABOVE)..).unwrap_or_default();
    let mut start = above.len();
    for _ in 0..LINES_ABOVE {
        let before = above.get(..start.saturating_sub(1)).unwrap_or_default();
        start = memchr::memrchr(b'\n', before).map_or(0, |at| at + 1);
        let line = above.get(start..).unwrap_or_default();
        if start == 0 || line.trim_ascii_start().starts_with(b"{") {
            break;
        }
    }
    String::from_utf8_lossy(above.get(start..).unwrap_or_default())
}

/// What the other keys of the object say.
fn said(object: &str) -> Prefix<'_> {
    let mut prefix = Prefix::default();
    let text = |key: &str| value(object, key)?.strip_prefix('"')?.split('"').next();
    let number = |key: &str| {
        let value = value(object, key)?;
        let value = value.strip_prefix('"').unwrap_or(value);
        let digits = value.find(|c: char| !c.is_ascii_digit()).unwrap_or(value.len());
        value[..digits].parse::<i64>().ok()
    };
    match text("\"_TRANSPORT\"") {
        Some("kernel") => prefix.writer = Writer::Kernel,
        Some(_) => {
            prefix.writer = Writer::Program;
            prefix.tag = text("\"SYSLOG_IDENTIFIER\"").or_else(|| text("\"_COMM\""));
        }
        None => {}
    }
    prefix.host = text("\"_HOSTNAME\"");
    let micros = |key: &str| number(key).and_then(|us| us.checked_mul(1000));
    let mut stamp = Stamp {
        since_boot_ns: micros("\"_SOURCE_MONOTONIC_TIMESTAMP\"").or_else(|| micros("\"__MONOTONIC_TIMESTAMP\"")),
        wall_ns: micros("\"__REALTIME_TIMESTAMP\""),
        wall_exact: false,
    };
    stamp.wall_exact = stamp.wall_ns.is_some();
    if let Some(time) = value(object, "\"time\"") {
        match time.strip_prefix('"') {
            Some(wall) => {
                if let Some(wall) = calendar::iso(&mut Cursor::new(wall)) {
                    stamp = wall;
                }
            }
            // `dmesg -J`: seconds since boot.
            None => {
                let end = time.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(time.len());
                stamp.since_boot_ns = printk::stamp(&mut Cursor::new(&format!("[{}]", &time[..end])));
            }
        }
    }
    if stamp != Stamp::default() {
        prefix.time = Some(stamp);
    }
    if let Some(priority) = number("\"pri\"") {
        prefix.level = Some((priority & 7) as u8);
        prefix.writer = if priority >> 3 == 0 { Writer::Kernel } else { Writer::Program };
    }
    if let Some(id) = text("\"caller\"") {
        prefix.caller = printk::caller(&mut Cursor::new(&format!("[{id}]")));
    }
    prefix
}

/// A JSON string up to its closing quote.
fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len().min(1024));
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => break,
            '\\' => match chars.next() {
                Some('n') => out.push('\n'),
                Some('t') => out.push('\t'),
                Some('r' | 'b' | 'f') => {}
                Some('u') => {
                    let hex: String = chars.by_ref().take(4).collect();
                    let c = u32::from_str_radix(&hex, 16).ok().and_then(char::from_u32);
                    out.push(c.unwrap_or(char::REPLACEMENT_CHARACTER));
                }
                Some(other) => out.push(other),
                None => break,
            },
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str, above: &str) -> Vec<(String, Option<Stamp>, Writer)> {
        let mut out = Vec::new();
        messages(text, above.as_bytes(), &mut |message, said| out.push((message.to_owned(), said.time, said.writer)));
        out
    }

    #[test]
    fn the_message_is_taken_in_every_form() {
        for text in [
            r#"{"__CURSOR":"x","MESSAGE":"a \"b\"","PRIORITY":"4"}"#,
            r#"{"log":"a \"b\"","stream":"stdout"}"#,
            r#"{"pri":1,"msg":"a \u0022b\u0022"}"#,
            r#"{"MESSAGE" : [97,32,34,98,34] }"#,
            r#"{"log":{"offset":1},"message":"a \"b\""}"#,
            r#"{"line":"a \"b\"","timestamp":"2023-01-01T12:00:00Z"}"#,
            r#"   "msg": "a \"b\"\n<6>[ 1.0] the rest of the file""#,
        ] {
            let found = all(text, "");
            assert_eq!(found.first().map(|(m, ..)| m.as_str()), Some("a \"b\""), "{text}");
        }
        assert!(all("[ 1.0] x", "").is_empty());
        assert!(all(r#"{"pattern": "BUG: x"}"#, "").is_empty());
    }

    #[test]
    fn keys_on_lines_of_their_own_belong_to_the_message_below() {
        let above = "      },{\n         \"pri\": 1,\n         \"time\":    467.167062,\n";
        let found = all("         \"msg\": \"BUG: x\"", above);
        assert_eq!(found[0].1.unwrap().since_boot_ns, Some(467_167_062_000));
        assert_eq!(found[0].2, Writer::Kernel);
    }

    #[test]
    fn objects_in_one_line_are_taken_apart() {
        let found = all(r#"{"dmesg":[{"pri":1,"time":1.5000,"msg":"a"},{"pri":30,"time":2.500,"msg":"b"}]}"#, "");
        let names: Vec<_> = found.iter().map(|(m, t, w)| (m.as_str(), t.unwrap().since_boot_ns, *w)).collect();
        assert_eq!(names, [("a", Some(1_500_000_000), Writer::Kernel), ("b", Some(2_500_000_000), Writer::Program)]);
    }
}
