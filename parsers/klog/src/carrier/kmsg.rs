//! Records of `/dev/kmsg` and of extended netconsole: `6,416,1758426,-,caller=T1;text`.

use std::borrow::Cow;

use facts::Stamp;

use super::{Prefix, printk};
use crate::cursor::{Cursor, has, split};
use crate::line::Writer;

/// A record's header and text.
pub(super) struct Record<'a> {
    pub(super) prefix: Prefix<'a>,
    pub(super) seq: u64,
    /// `-`, or `c` for the first piece of a line and `+` for those behind it (3.10 to 4.9).
    pub(super) flag: char,
}

/// Recognises the header up to its semicolon.
pub(super) fn strip(text: &str) -> Option<Prefix<'_>> {
    record(text).map(|record| record.prefix)
}

pub(super) fn record(text: &str) -> Option<Record<'_>> {
    let mut c = Cursor::new(text);
    // netconsole may put the release in front.
    if !text.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let mut ahead = c;
    let release = ahead.run(|c| c.is_ascii_graphic() && c != ',' && c != ';');
    if release.contains('.') && ahead.take(",") {
        c = ahead;
    }
    let priority = c.number()?;
    if !c.take(",") {
        return None;
    }
    let seq = c.number()?;
    if !c.take(",") {
        return None;
    }
    let micros = i64::try_from(c.number()?).ok()?;
    if !c.take(",") || !matches!(c.rest().as_bytes().first(), Some(b'-' | b'c' | b'+')) {
        return None;
    }
    let header = c.until(";")?;
    let caller = header
        .split(',')
        .find_map(|field| field.strip_prefix("caller="))
        .and_then(|id| printk::caller(&mut Cursor::new(&format!("[{id}]"))));
    let prefix = Prefix {
        time: micros.checked_mul(1000).map(Stamp::since_boot),
        caller,
        level: Some((priority & 7) as u8),
        facility: u8::try_from(priority >> 3).ok(),
        writer: if priority >> 3 == 0 { Writer::Kernel } else { Writer::Program },
        rest: c.rest(),
        ..Prefix::default()
    };
    Some(Record { prefix, seq, flag: header.chars().next().unwrap_or('-') })
}

/// Is this a line of a record's dictionary: ` SUBSYSTEM=pci`, ` DEVICE=+pci:0000:00:1f.2`?
pub(super) fn is_dictionary(text: &str) -> bool {
    text.strip_prefix(' ').and_then(|t| t.split_once('=')).is_some_and(|(name, _)| {
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
    })
}

/// Undoes `\xNN`, in which these records hold newlines, blanks other than the plain one, and bytes beyond ASCII.
pub(super) fn unescape(text: &str) -> Cow<'_, str> {
    if !has(text, "\\x") {
        return Cow::Borrowed(text);
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, escape)) = split(rest, "\\x") {
        out.extend_from_slice(before.as_bytes());
        match escape.get(..2).and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                rest = escape.get(2..).unwrap_or_default();
            }
            None => {
                out.extend_from_slice(b"\\x");
                rest = escape;
            }
        }
    }
    out.extend_from_slice(rest.as_bytes());
    Cow::Owned(String::from_utf8_lossy(&out).into_owned())
}

/// A run of records: what only their order says.
#[derive(Default)]
pub(super) struct Run {
    /// Sequence number and line of the record before.
    last: Option<(u64, u64)>,
    /// The line before was a record, or a line of its dictionary.
    inside: bool,
    held: String,
    first: u64,
}

/// What a line is to a run of records.
pub(super) enum Place<'a> {
    /// No record.
    Other,
    /// Held, or a line of a dictionary.
    Taken,
    /// Complete: the text with its header, the number of its first line, and how many records are missing before it.
    Record(Cow<'a, str>, u64, u64),
}

impl Run {
    pub(super) fn holding(&self) -> bool {
        !self.held.is_empty()
    }

    /// A line that is no record and belongs to none was read.
    pub(super) fn interrupt(&mut self) {
        self.inside = false;
    }

    /// What is held, with the number of its first line.
    pub(super) fn flush(&mut self) -> Option<(String, u64)> {
        self.holding().then(|| (std::mem::take(&mut self.held), self.first))
    }

    /// Takes a line. What is held and does not go on must be taken with [`Run::flush`] before, see [`Run::goes_on`].
    pub(super) fn line<'a>(&mut self, text: &'a str, number: u64) -> Place<'a> {
        let Some(record) = record(text) else {
            self.inside = self.inside && is_dictionary(text);
            return if self.inside { Place::Taken } else { Place::Other };
        };
        self.inside = true;
        let missing = match self.last {
            // Each record has a line at least: what the numbers have more than the lines is lost.
            Some((seq, line)) if record.seq > seq => (record.seq - seq).saturating_sub(number.saturating_sub(line)),
            _ => 0,
        };
        self.last = Some((record.seq, number));
        match record.flag {
            'c' if self.held.is_empty() && missing == 0 => {
                self.held.push_str(text);
                self.first = number;
                Place::Taken
            }
            '+' if !self.held.is_empty() => {
                self.held.push_str(record.prefix.rest);
                Place::Taken
            }
            _ => Place::Record(Cow::Borrowed(text), number, missing),
        }
    }

    /// Does the line that is held go on in this one?
    pub(super) fn goes_on(&self, text: &str) -> bool {
        self.held.len() < super::MAX_LINE && (is_dictionary(text) || record(text).is_some_and(|r| r.flag == '+'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_fields_are_read_and_unknown_ones_skipped() {
        let p = strip("6,416,1758426,-,caller=C2,new=1;the text").unwrap();
        assert_eq!((p.level, p.caller, p.rest), (Some(6), Some(crate::Caller::Cpu(2)), "the text"));
        assert_eq!(p.time.unwrap().since_boot_ns, Some(1_758_426_000));
        assert_eq!(strip("6.12.0-foo,6,416,1758426,-;x").unwrap().rest, "x");
    }

    #[test]
    fn escapes_are_undone_and_other_backslashes_stay() {
        assert_eq!(unescape("a\\x0ab\\x5cx"), "a\nb\\x");
        assert_eq!(unescape("C:\\xyz"), "C:\\xyz");
    }

    #[test]
    fn the_order_of_records_says_what_is_lost() {
        let mut run = Run::default();
        assert!(matches!(run.line("6,10,5,-;a", 1), Place::Record(_, 1, 0)));
        assert!(matches!(run.line(" SUBSYSTEM=pci", 2), Place::Taken));
        assert!(matches!(run.line("6,11,5,-;a", 3), Place::Record(_, 3, 0)));
        assert!(matches!(run.line("6,15,5,-;a", 4), Place::Record(_, 4, 3)));
        assert!(matches!(run.line("no record", 5), Place::Other));
        assert!(matches!(run.line(" A=b", 6), Place::Other));
    }

    #[test]
    fn pieces_of_a_line_are_joined() {
        let mut run = Run::default();
        assert!(matches!(run.line("4,10,5,c;PGD 0 ", 1), Place::Taken));
        assert!(run.goes_on("4,11,5,+;PUD 0"));
        assert!(matches!(run.line("4,11,5,+;PUD 0", 2), Place::Taken));
        assert!(!run.goes_on("4,12,5,-;Oops"));
        assert_eq!(run.flush(), Some(("4,10,5,c;PGD 0 PUD 0".to_owned(), 1)));
    }
}
