//! The console of a machine under z/VM: the number of the CPU before each line (`00: `), lines cut at column 80.

use crate::cursor::behind;

/// Columns of the console; a blank in the last one may have been cut off.
const FULL: usize = 79;
const COLUMNS: usize = 80;
/// Longest line that is put together.
const MAX_JOINED: usize = 4096;

/// The line that may go on.
#[derive(Default)]
pub(super) struct Console {
    held: String,
    first: u64,
    /// The physical line that was added last is full.
    full: bool,
}

/// What became of a line.
pub(super) enum Place<'a> {
    /// It is of another carrier.
    Other,
    /// It is kept.
    Held,
    /// It is complete.
    Line(&'a str),
}

impl Console {
    pub(super) fn holding(&self) -> bool {
        !self.held.is_empty()
    }

    /// What is held, and the number of its first line.
    pub(super) fn flush(&mut self) -> Option<(String, u64)> {
        self.holding().then(|| (std::mem::take(&mut self.held), self.first))
    }

    /// Does the line that is held go on in `text`?
    pub(super) fn goes_on(&self, text: &str) -> bool {
        self.full && self.held.len() < MAX_JOINED && numbered(text).is_some_and(|rest| !is_stamped(rest))
    }

    pub(super) fn line<'a>(&mut self, text: &'a str, number: u64) -> Place<'a> {
        let Some(rest) = numbered(text) else { return Place::Other };
        let joins = self.holding();
        if !joins && !is_stamped(rest) {
            return Place::Other;
        }
        self.full = text.len() >= FULL;
        if !joins && !self.full {
            return Place::Line(rest);
        }
        if !joins {
            self.first = number;
        }
        self.held.push_str(rest);
        if self.full && text.len() < COLUMNS {
            self.held.push(' ');
        }
        Place::Held
    }
}

/// What stands behind `00: `.
fn numbered(text: &str) -> Option<&str> {
    let digits = text.as_bytes().get(..2)?.iter().all(u8::is_ascii_digit);
    if digits { behind(text.get(2..)?, ": ") } else { None }
}

fn is_stamped(rest: &str) -> bool {
    rest.strip_prefix('[').is_some_and(|r| r.trim_start().starts_with(|c: char| c.is_ascii_digit()))
}
