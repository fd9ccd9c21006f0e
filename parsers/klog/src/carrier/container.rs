//! Container runtimes and hypervisors: CRI lines, VMware guest logs.

use std::borrow::Cow;

use super::{Prefix, calendar};
use crate::cursor::{Cursor, has};

/// Recognises `STAMP stdout F text` and `STAMP In(05) vcpu-5 - Guest: text`.
pub(super) fn strip(text: &str) -> Option<Prefix<'_>> {
    let mut c = Cursor::new(text);
    let time = calendar::iso(&mut c);
    if time.is_some() {
        c.blanks();
        let mut cri = c;
        if (cri.take("stdout ") || cri.take("stderr ")) && (cri.take("F ") || cri.take("P ")) {
            return Some(Prefix { time, rest: cri.rest(), ..Prefix::default() });
        }
    }
    if has(c.rest(), "vcpu-") && c.skip_past(" Guest: ") {
        return Some(Prefix { time, rest: c.rest(), ..Prefix::default() });
    }
    None
}

/// Lines that the CRI log format cut: pieces with the tag `P`, up to one with `F`, for each of the two streams.
#[derive(Default)]
pub(super) struct Partial {
    streams: [Piece; 2],
}

#[derive(Default)]
struct Piece {
    text: String,
    first: u64,
}

impl Partial {
    pub(super) fn holding(&self) -> bool {
        self.streams.iter().any(|s| !s.text.is_empty())
    }

    /// What is held, with the number of its first line.
    pub(super) fn flush(&mut self) -> Option<(String, u64)> {
        let stream = self.streams.iter_mut().find(|s| !s.text.is_empty())?;
        Some((std::mem::take(&mut stream.text), stream.first))
    }

    /// The line, with what was held before it; `None` while it goes on.
    pub(super) fn line<'a>(&mut self, text: &'a str, number: u64) -> Option<(Cow<'a, str>, u64, bool)> {
        let Some((stream, full, at)) = tagged(text) else { return Some((Cow::Borrowed(text), number, false)) };
        let Some(piece) = self.streams.get_mut(stream) else { return Some((Cow::Borrowed(text), number, false)) };
        if full && piece.text.is_empty() {
            return Some((Cow::Borrowed(text), number, false));
        }
        if piece.text.is_empty() {
            piece.first = number;
            piece.text.push_str(text);
        } else if piece.text.len() < super::MAX_LINE {
            piece.text.push_str(text.get(at..).unwrap_or_default());
        }
        full.then(|| (Cow::Owned(std::mem::take(&mut piece.text)), piece.first, true))
    }
}

/// Stream, whether the line ends here, and where its text begins.
fn tagged(text: &str) -> Option<(usize, bool, usize)> {
    let bytes = text.as_bytes();
    if bytes.get(4) != Some(&b'-') || bytes.get(10) != Some(&b'T') {
        return None;
    }
    // The longest stamp has 35 bytes.
    let head = bytes.get(..bytes.len().min(48))?;
    let at = memchr::memmem::find(head, b" std")?;
    let stream = match bytes.get(at..at + 8)? {
        b" stdout " => 0,
        b" stderr " => 1,
        _ => return None,
    };
    match bytes.get(at + 8..at + 10)? {
        b"F " => Some((stream, true, at + 10)),
        b"P " => Some((stream, false, at + 10)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_joined_for_each_stream() {
        let mut partial = Partial::default();
        let stamp = "2023-11-14T22:13:20.002000000Z";
        assert!(partial.line(&format!("{stamp} stdout P [ 1.0] BUG: ker"), 1).is_none());
        let other = format!("{stamp} stderr F x");
        assert_eq!(partial.line(&other, 2).unwrap().0, other);
        let whole = format!("{stamp} stdout P [ 1.0] BUG: kernel NULL");
        let (text, first, joined) =
            partial.line(&format!("{stamp} stdout F nel NULL"), 3).map(|(t, f, j)| (t.into_owned(), f, j)).unwrap();
        assert_eq!((text, first, joined), (whole, 1, true));
        assert!(!partial.holding());
    }
}
