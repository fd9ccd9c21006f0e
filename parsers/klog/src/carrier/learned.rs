//! Prefixes of carriers that are listed nowhere. Where the words with which only the kernel begins a line stand behind
//! something that looks like a time, and the lines around begin alike, that is what some collector puts before each line.

use super::table::{Row, Table};
use super::{lossy, strip};
use crate::line::Writer;

/// What a report begins with, so that nobody else would.
const HEADS: &[&str] = &[
    "BUG: ",
    "kernel BUG at ",
    "WARNING: CPU: ",
    "Kernel panic - not syncing",
    "general protection fault",
    "Oops: ",
    "Unable to handle kernel ",
    "Internal error: ",
    "INFO: task ",
    "INFO: rcu",
    "rcu: INFO: ",
    "watchdog: BUG: ",
    "UBSAN: ",
    "unregister_netdevice: waiting for ",
];
/// The last line that may name the columns of a table: `sep=;` may stand above it.
pub(super) const HEADER: u64 = 2;
/// Longest prefix.
const MAX_PREFIX: usize = 96;
/// Lines before and behind that are compared.
const LINES: usize = 3;
/// How many of them must begin alike.
const ALIKE: usize = 2;

/// A part of a prefix that may differ from line to line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Digits,
    /// Letters, or letters and digits.
    Word,
    /// The kernel's own tag.
    Kernel,
    Blanks,
    Byte(u8),
}

/// The form of the prefixes at hand.
#[derive(Default)]
pub(super) struct Learned {
    form: Vec<Part>,
    table: Option<Table>,
    /// One of them is known.
    active: bool,
}

impl Learned {
    pub(super) fn active(&self) -> bool {
        self.active
    }

    pub(super) fn is_table(&self) -> bool {
        self.table.is_some()
    }

    /// Looks at one of the first lines, which may name the columns of a table.
    pub(super) fn header(&mut self, text: &str) {
        self.table = self.table.take().or_else(|| Table::of_header(text));
        self.active |= self.table.is_some();
    }

    /// The row of a table that the line is.
    pub(super) fn row<'a>(&mut self, text: &'a str) -> Option<Row<'a>> {
        self.table.as_mut()?.row(text)
    }

    /// Looks at a line with an anchor and at those around it.
    pub(super) fn look(&mut self, before: &[u8], text: &str, behind: &[u8]) {
        // Nearly all lines have a prefix that is known, or none with a time.
        let start = text.as_bytes().get(..MAX_PREFIX).unwrap_or(text.as_bytes());
        let timed = start.windows(2).any(|w| matches!(w, [b'0'..=b'9', b':' | b'.']));
        if !timed {
            return;
        }
        let known = strip(text);
        if known.writer != Writer::Unknown || self.table.is_some() {
            return;
        }
        if known.time.is_none_or(|time| time.since_boot_ns.is_none())
            && let Some(table) = Table::of_rows(before, text, behind)
        {
            (self.table, self.active) = (Some(table), true);
            return;
        }
        let Some(at) = HEADS.iter().filter_map(|head| text.find(head)).min().filter(|at| (1..=MAX_PREFIX).contains(at))
        else {
            return;
        };
        let Some(head) = text.get(..at) else { return };
        if known.rest.len() + at <= text.len() || !has_time(head) {
            return;
        }
        let form = form_of(head);
        let begins = |line: &&[u8]| rest(&form, &lossy(&line[..line.len().min(MAX_PREFIX * 4)])).is_some();
        let filled = |line: &&[u8]| !line.trim_ascii().is_empty();
        let above = before.rsplit(|b| *b == b'\n').filter(filled).take(LINES).filter(begins).count();
        let below = behind.split(|b| *b == b'\n').filter(filled).take(LINES).filter(begins).count();
        if above + below >= ALIKE {
            (self.form, self.active) = (form, true);
        }
    }

    /// What stands behind the prefix, if the line has one of the form.
    pub(super) fn strip<'a>(&self, text: &'a str) -> Option<&'a str> {
        if self.form.is_empty() { None } else { rest(&self.form, text) }
    }
}

/// `12:34:56`, `12.345`: no number of a list, no address.
fn has_time(head: &str) -> bool {
    let bytes = head.as_bytes();
    let clock =
        bytes.windows(5).any(|w| matches!(w, [a, b, b':', c, d] if [a, b, c, d].iter().all(|b| b.is_ascii_digit())));
    let seconds =
        bytes.windows(5).any(|w| matches!(w, [a, b'.', b, c, d] if [a, b, c, d].iter().all(|b| b.is_ascii_digit())));
    clock || seconds
}

fn run(bytes: &[u8], of: impl Fn(&u8) -> bool) -> usize {
    bytes.iter().take_while(|b| of(b)).count()
}

fn form_of(head: &str) -> Vec<Part> {
    let bytes = head.as_bytes();
    let mut form = Vec::new();
    // Numbers are filled with blanks from the left.
    if !head.starts_with(' ') {
        form.push(Part::Blanks);
    }
    let mut at = 0;
    while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
        let (digits, word) = (run(rest, u8::is_ascii_digit), run(rest, u8::is_ascii_alphanumeric));
        let (part, length) = match rest[0] {
            b' ' | b'\t' => (Part::Blanks, run(rest, |b| matches!(b, b' ' | b'\t'))),
            _ if word > 0 && word == digits => (Part::Digits, digits),
            _ if word > 0 && rest.get(..word) == Some(b"kernel") => (Part::Kernel, word),
            _ if word > 0 => (Part::Word, word),
            byte => (Part::Byte(byte), 1),
        };
        form.push(part);
        at += length;
    }
    form
}

/// What stands behind a prefix of that form.
fn rest<'a>(form: &[Part], text: &'a str) -> Option<&'a str> {
    let bytes = text.as_bytes();
    let mut at = 0;
    for (number, part) in form.iter().enumerate() {
        let tail = bytes.get(at..)?;
        // The text behind the prefix may begin with blanks: only one of them is the prefix's.
        let last = number + 1 == form.len();
        let length = match part {
            Part::Digits => run(tail, u8::is_ascii_digit),
            Part::Word => run(tail, u8::is_ascii_alphanumeric),
            Part::Kernel => {
                if tail.starts_with(b"kernel") {
                    6
                } else {
                    0
                }
            }
            Part::Blanks if last => run(tail, |b| matches!(b, b' ' | b'\t')).min(1),
            Part::Blanks => run(tail, |b| matches!(b, b' ' | b'\t')),
            Part::Byte(byte) => usize::from(tail.first() == Some(byte)),
        };
        if length == 0 && !(number == 0 && *part == Part::Blanks) {
            return None;
        }
        at += length;
    }
    text.get(at..)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stands_before_several_lines_is_a_prefix() {
        let look = |before: &str, text: &str, behind: &str| {
            let mut learned = Learned::default();
            learned.look(before.as_bytes(), text, behind.as_bytes());
            learned.strip(text).map(str::to_owned)
        };
        let head = "2025-04-12 18:40:15,123 INFO console: BUG: kernel NULL pointer dereference, address: 20";
        let next = "2025-04-12 18:40:15,124 INFO console: #PF: x\n2025-04-12 18:40:15,200 INFO console:  y+0x1/0x2\n";
        assert_eq!(look("", head, next).as_deref(), head.split_once("console: ").map(|(_, body)| body));
        assert_eq!(look("", head, "and then\nnothing\nfollowed"), None);
        // A list, not a log.
        let item = "1. BUG: kernel NULL pointer dereference";
        assert_eq!(look("0. a\n", item, "2. BUG: x\n3. BUG: y\n"), None);
        assert_eq!(look("", "   12.345678: BUG: x", "   12.345680: y\n  112.345690: z\n").as_deref(), Some("BUG: x"));
    }
}
