//! apport's report files: `Key: value` lines, values that go on in lines with a blank, and `Key: base64` values that are
//! a gzip stream in pieces, one base64 line each.

use std::io::{self, BufRead, Read};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The longest line that is read; apport writes pieces of a megabyte.
const MAX_LINE: u64 = 16 << 20;

/// Whether a text is such a report.
pub(super) fn is_report(head: &[u8]) -> bool {
    head.starts_with(b"ProblemType: ")
}

/// One value of a report.
pub(super) enum Value<'v> {
    /// Plain text, its further lines joined.
    Text(String),
    /// Decoded bytes of a compressed value, as a stream.
    Packed(&'v mut dyn Read),
}

/// Reads a report value by value, in its order; `visit` need not read a packed one to its end. Returns the keys whose
/// value is no base64.
pub(super) fn read(source: &mut dyn BufRead, visit: &mut dyn FnMut(&str, Value<'_>)) -> Vec<String> {
    let mut damaged = Vec::new();
    let mut lines = Lines { source, next: None };
    while let Some(line) = lines.take() {
        let Some((key, value)) = line.split_once(':') else { continue };
        if key.starts_with(' ') || key.is_empty() {
            continue;
        }
        let value = value.trim();
        if value == "base64" {
            let mut packed = Packed { lines: &mut lines, piece: Vec::new(), at: 0, bad: false };
            visit(key, Value::Packed(&mut packed));
            while packed.step() {}
            if packed.bad {
                damaged.push(key.to_owned());
            }
            continue;
        }
        let mut text = value.to_owned();
        while let Some(more) = lines.continued() {
            if text.len() < 1 << 20 {
                text.push('\n');
                text.push_str(&more);
            }
        }
        visit(key, Value::Text(text));
    }
    damaged
}

/// Lines with one line of looking ahead.
struct Lines<'s> {
    source: &'s mut dyn BufRead,
    next: Option<String>,
}

impl Lines<'_> {
    fn take(&mut self) -> Option<String> {
        if let Some(line) = self.next.take() {
            return Some(line);
        }
        let mut bytes = Vec::new();
        // A longer line is cut into several: none of its pieces is base64 of a whole piece, which is then said.
        self.source.take(MAX_LINE).read_until(b'\n', &mut bytes).ok().filter(|n| *n > 0)?;
        Some(String::from_utf8_lossy(&bytes).trim_end_matches(['\n', '\r']).to_owned())
    }

    /// The next line if it continues a value, without its blank.
    fn continued(&mut self) -> Option<String> {
        let line = self.take()?;
        match line.strip_prefix(' ') {
            Some(rest) => Some(rest.to_owned()),
            None => {
                self.next = Some(line);
                None
            }
        }
    }
}

struct Packed<'l, 's> {
    lines: &'l mut Lines<'s>,
    piece: Vec<u8>,
    at: usize,
    bad: bool,
}

impl Packed<'_, '_> {
    /// Decodes the next line; false at the end of the value.
    fn step(&mut self) -> bool {
        let Some(line) = self.lines.continued() else { return false };
        self.at = 0;
        self.piece = STANDARD.decode(line.trim()).unwrap_or_else(|_| {
            self.bad = true;
            Vec::new()
        });
        true
    }
}

impl Read for Packed<'_, '_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        while self.at >= self.piece.len() {
            if !self.step() {
                return Ok(0);
            }
        }
        let rest = self.piece.get(self.at..).unwrap_or_default();
        let n = rest.len().min(buf.len());
        if let (Some(to), Some(from)) = (buf.get_mut(..n), rest.get(..n)) {
            to.copy_from_slice(from);
        }
        self.at += n;
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_one_after_the_other() {
        let report =
            "ProblemType: KernelCrash\nTags: a\n b\nVmCoreDmesg: base64\n aGVs\n bG8=\nBad: base64\n %%%\nUname: x\n";
        let mut told = Vec::new();
        let damaged = read(&mut report.as_bytes(), &mut |key, value| {
            let text = match value {
                Value::Text(text) => text,
                Value::Packed(stream) => {
                    let mut bytes = Vec::new();
                    stream.read_to_end(&mut bytes).unwrap();
                    String::from_utf8(bytes).unwrap()
                }
            };
            told.push(format!("{key}={text}"));
        });
        assert_eq!(told, ["ProblemType=KernelCrash", "Tags=a\nb", "VmCoreDmesg=hello", "Bad=", "Uname=x"]);
        assert_eq!(damaged, ["Bad"]);
    }
}
