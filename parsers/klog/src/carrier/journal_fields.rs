//! Entries of `journalctl -o verbose` and `-o export`, one field a line, wherever they stand in a text.

use facts::Stamp;

use super::{Prefix, calendar};
use crate::cursor::{Cursor, has};
use crate::line::Writer;

/// Longest message that is kept.
const MAX_MESSAGE: usize = super::MAX_LINE;

/// The entry at hand.
#[derive(Default)]
pub(super) struct Entry {
    open: bool,
    first: u64,
    message: String,
    /// The last field was the message: what follows without a name belongs to it.
    in_message: bool,
    /// `MESSAGE` alone: length and bytes of the value are in the next line.
    binary: bool,
    wall: Option<Stamp>,
    realtime_us: Option<i64>,
    monotonic_us: Option<i64>,
    source_us: Option<i64>,
    transport: String,
    tag: String,
    host: String,
    level: Option<u8>,
}

/// An entry that is complete.
pub(super) struct Whole {
    pub(super) message: String,
    pub(super) first: u64,
    time: Option<Stamp>,
    writer: Writer,
    tag: String,
    host: String,
    level: Option<u8>,
}

impl Whole {
    pub(super) fn prefix(&self) -> Prefix<'_> {
        Prefix {
            time: self.time,
            level: self.level,
            writer: self.writer,
            tag: Some(self.tag.as_str()).filter(|tag| !tag.is_empty()),
            host: Some(self.host.as_str()).filter(|host| !host.is_empty()),
            ..Prefix::default()
        }
    }
}

impl Entry {
    pub(super) fn holding(&self) -> bool {
        self.open
    }

    /// The entry, if one is open and has a message.
    pub(super) fn flush(&mut self) -> Option<Whole> {
        let entry = std::mem::take(self);
        if !entry.open || entry.message.is_empty() {
            return None;
        }
        let micros = |us: Option<i64>| us.and_then(|us| us.checked_mul(1000));
        let wall = micros(entry.realtime_us);
        let mut time = Stamp {
            since_boot_ns: micros(entry.source_us.or(entry.monotonic_us)),
            wall_ns: wall,
            wall_exact: wall.is_some(),
        };
        if let Some(header) = entry.wall.filter(|_| wall.is_none()) {
            time.wall_ns = header.wall_ns;
            time.wall_exact = header.wall_exact;
        }
        let kernel = entry.transport == "kernel" || entry.transport.is_empty() && entry.tag == "kernel";
        Some(Whole {
            message: entry.message,
            first: entry.first,
            time: Some(time).filter(|t| *t != Stamp::default()),
            writer: if kernel { Writer::Kernel } else { Writer::Program },
            tag: entry.tag,
            host: entry.host,
            level: entry.level,
        })
    }

    /// Takes a line. A complete entry comes back; the flag says whether the line itself was taken.
    pub(super) fn line(&mut self, text: &str, number: u64) -> (Option<Whole>, bool) {
        // Entries begin with a weekday or with `__CURSOR=`.
        if !self.open && !text.starts_with(|c: char| c.is_alphabetic() || c == '_') {
            return (None, false);
        }
        if let Some(wall) = header(text) {
            let before = self.flush();
            *self = Entry { open: true, first: number, wall, ..Entry::default() };
            return (before, true);
        }
        if !self.open {
            return (None, false);
        }
        if std::mem::take(&mut self.binary) {
            // Eight bytes of length stand before the value; control bytes among them may be gone already.
            self.append(text.trim_start_matches(|c: char| c.is_control() || c == char::REPLACEMENT_CHARACTER));
            return (None, true);
        }
        let trimmed = text.trim_start_matches([' ', '\t']);
        if let Some((name, value)) = trimmed.split_once('=').filter(|(name, _)| is_name(name)) {
            self.field(name, value);
            return (None, true);
        }
        if trimmed == "MESSAGE" {
            self.binary = true;
            return (None, true);
        }
        if self.in_message && !trimmed.is_empty() && (text.len() > trimmed.len()) {
            self.append("\n");
            self.append(trimmed);
            return (None, true);
        }
        // A blank line ends an entry of the export form; anything else is other text.
        let blank = trimmed.is_empty();
        (self.flush(), blank)
    }

    fn append(&mut self, text: &str) {
        if self.message.len() + text.len() <= MAX_MESSAGE {
            self.message.push_str(text);
        }
    }

    fn field(&mut self, name: &str, value: &str) {
        let value = value.trim_end();
        self.in_message = name == "MESSAGE";
        let micros = || value.parse().ok();
        match name {
            "MESSAGE" if self.message.is_empty() => self.append(value),
            "__REALTIME_TIMESTAMP" => self.realtime_us = micros(),
            "__MONOTONIC_TIMESTAMP" => self.monotonic_us = micros(),
            "_SOURCE_MONOTONIC_TIMESTAMP" => self.source_us = micros(),
            "_TRANSPORT" => self.transport = short(value),
            "SYSLOG_IDENTIFIER" => self.tag = short(value),
            "_COMM" if self.tag.is_empty() => self.tag = short(value),
            "_HOSTNAME" => self.host = short(value),
            "PRIORITY" => self.level = value.parse().ok().filter(|n| *n < 8),
            _ => {}
        }
    }
}

fn short(value: &str) -> String {
    value.chars().take(64).collect()
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
}

/// `Tue 2023-11-14 22:13:20.001000 UTC [s=..;i=2;b=..;m=..;t=..;x=..]` with its stamp, or `__CURSOR=..`.
fn header(text: &str) -> Option<Option<Stamp>> {
    if text.starts_with("__CURSOR=") {
        return Some(None);
    }
    let at = memchr::memmem::find(text.as_bytes().get(..64.min(text.len()))?, b" [s=")?;
    if !text.trim_end().ends_with(']') || !has(text, ";b=") {
        return None;
    }
    let mut c = Cursor::new(text.get(..at)?);
    c.word();
    c.blanks();
    Some(calendar::iso(&mut c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_of_both_forms_are_read() {
        let verbose = "Tue 2023-11-14 22:13:20.001000 UTC [s=0a;i=2;b=0b;m=f4628;t=60a24181e43e8;x=1]\n    _BOOT_ID=0b\n    \
            MESSAGE=BUG: a\n            b\n    _TRANSPORT=kernel\n    _SOURCE_MONOTONIC_TIMESTAMP=900002\n    _HOSTNAME=node1\nother";
        let export = "__CURSOR=s=0a;i=2\n__REALTIME_TIMESTAMP=1700000000001000\n_TRANSPORT=kernel\nMESSAGE=BUG: a\n\
            _SOURCE_MONOTONIC_TIMESTAMP=900002\n_HOSTNAME=node1\n\n";
        for (text, message) in [(verbose, "BUG: a\nb"), (export, "BUG: a")] {
            let mut entry = Entry::default();
            let whole = text.split('\n').enumerate().find_map(|(at, line)| entry.line(line, at as u64 + 1).0).unwrap();
            let prefix = whole.prefix();
            assert_eq!((whole.message.as_str(), prefix.writer, prefix.host), (message, Writer::Kernel, Some("node1")));
            let time = prefix.time.unwrap();
            assert_eq!((time.since_boot_ns, time.wall_ns), (Some(900_002_000), Some(1_700_000_000_001_000_000)));
        }
    }

    #[test]
    fn a_programs_entry_says_so() {
        let mut entry = Entry::default();
        for line in ["__CURSOR=x", "_TRANSPORT=syslog", "SYSLOG_IDENTIFIER=sshd", "MESSAGE=BUG: x"] {
            entry.line(line, 1);
        }
        let whole = entry.flush().unwrap();
        assert_eq!((whole.prefix().writer, whole.prefix().tag), (Writer::Program, Some("sshd")));
    }
}
