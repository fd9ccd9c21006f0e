//! Quoted-printable text, as mails hold it: `=3D` for a byte, `=` at the end of a line that goes on.

use std::borrow::Cow;

/// Longest line of this encoding.
const MAX_ENCODED: usize = 78;
/// A soft line break as proof of the encoding: encoders fill their lines.
const MIN_SOFT: usize = 60;
/// More than this is not joined.
const MAX_JOINED: usize = super::MAX_LINE;

/// What became of a line.
pub(super) enum Decoded<'a> {
    /// It goes on in the next one.
    Held,
    /// A whole line, the number of its first physical line, and whether it differs from what came in.
    Line(Cow<'a, [u8]>, u64, bool),
}

/// A run of lines, encoded or not.
#[derive(Default)]
pub(super) struct Run {
    on: bool,
    held: Vec<u8>,
    first: u64,
}

/// What the equals signs of a line say.
#[derive(Default)]
struct Signs {
    escapes: bool,
    soft: bool,
    /// An escape that plain text hardly has.
    telling: bool,
    /// An equals sign that is neither an escape nor a soft break: the text is not encoded.
    other: bool,
}

impl Run {
    pub(super) fn holding(&self) -> bool {
        !self.held.is_empty()
    }

    /// Is the line not encoded, and no sign that those behind it are?
    pub(super) fn leaves(&self, line: &[u8]) -> bool {
        self.held.is_empty() && !self.is_on_at(line, &signs(line))
    }

    /// Are this line and those behind it encoded?
    fn is_on_at(&self, line: &[u8], signs: &Signs) -> bool {
        if signs.other || line.len() > MAX_ENCODED {
            return false;
        }
        self.on || signs.telling || signs.soft && line.len() >= MIN_SOFT
    }

    /// What is held, as it is, with the number of its first line.
    pub(super) fn flush(&mut self) -> Option<(Vec<u8>, u64)> {
        self.holding().then(|| (std::mem::take(&mut self.held), self.first))
    }

    pub(super) fn line<'a>(&mut self, raw: &'a [u8], number: u64) -> Decoded<'a> {
        if self.held.is_empty() && memchr::memchr(b'=', raw).is_none() {
            return Decoded::Line(Cow::Borrowed(raw), number, false);
        }
        let line = raw.strip_suffix(b"\r").unwrap_or(raw);
        let signs = signs(line);
        self.on = self.is_on_at(line, &signs);
        if self.held.is_empty() {
            if !self.on {
                return Decoded::Line(Cow::Borrowed(raw), number, false);
            }
            self.first = number;
        }
        let mut whole = std::mem::take(&mut self.held);
        if self.on {
            decode(line, &mut whole);
        } else {
            whole.extend_from_slice(line);
        }
        if self.on && signs.soft && whole.len() < MAX_JOINED {
            self.held = whole;
            // A soft break alone on its line holds nothing that could be lost.
            return if self.held.is_empty() { Decoded::Line(Cow::Borrowed(b""), number, true) } else { Decoded::Held };
        }
        Decoded::Line(Cow::Owned(whole), self.first, true)
    }
}

fn signs(line: &[u8]) -> Signs {
    let mut signs = Signs::default();
    for at in memchr::memchr_iter(b'=', line) {
        let Some(next) = line.get(at + 1) else {
            signs.soft = true;
            continue;
        };
        let value = hex(*next).zip(line.get(at + 2).and_then(|b| hex(*b))).map(|(high, low)| high << 4 | low);
        match value {
            Some(value) => {
                signs.escapes = true;
                // A blank at the end of a line must be written so; behind a word it may be a number (`order=20`).
                let ends = at + 3 == line.len();
                let word = at > 0 && line.get(at - 1).is_some_and(u8::is_ascii_alphanumeric);
                signs.telling |= value == b'=' || value >= 0xc2 || matches!(value, b' ' | b'\t') && ends && !word;
            }
            None => signs.other = true,
        }
    }
    signs
}

fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

fn decode(line: &[u8], out: &mut Vec<u8>) {
    let mut rest = line;
    while let Some(at) = memchr::memchr(b'=', rest) {
        out.extend_from_slice(&rest[..at]);
        let pair = rest.get(at + 1).and_then(|b| hex(*b)).zip(rest.get(at + 2).and_then(|b| hex(*b)));
        rest = match pair {
            Some((high, low)) => {
                out.push(high << 4 | low);
                &rest[at + 3..]
            }
            None => &rest[at + 1..],
        };
    }
    out.extend_from_slice(rest);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<(String, u64)> {
        let mut run = Run::default();
        let mut out = Vec::new();
        for (at, line) in text.split('\n').enumerate() {
            if let Decoded::Line(line, number, _) = run.line(line.as_bytes(), at as u64 + 1) {
                out.push((String::from_utf8_lossy(&line).into_owned(), number));
            }
        }
        out.extend(run.flush().map(|(line, number)| (String::from_utf8_lossy(&line).into_owned(), number)));
        out
    }

    #[test]
    fn soft_breaks_and_escapes_are_undone() {
        let text = "[  467.167062] BUG: unable to handle kernel NULL pointer dereference at 00=\r\n\
            00000000000020\r\n[  467.2] Call Trace:=20\r\n a=3Db=E2=80=99";
        let expected = [
            ("[  467.167062] BUG: unable to handle kernel NULL pointer dereference at 0000000000000020", 1),
            ("[  467.2] Call Trace: ", 3),
            (" a=b\u{2019}", 4),
        ];
        assert_eq!(lines(text), expected.map(|(line, n)| (line.to_owned(), n)));
    }

    #[test]
    fn equals_signs_of_plain_text_stay() {
        for text in ["x: order=20", "root=", "gfp_mask=0xd0, order=3D", "a=b\nc=3D"] {
            let kept: Vec<String> = lines(text).into_iter().map(|(line, _)| line).collect();
            if text.contains("c=3D") {
                assert_eq!(kept, ["a=b", "c="]);
            } else {
                assert_eq!(kept, [text]);
            }
        }
    }
}
