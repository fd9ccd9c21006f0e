//! Reading values from the text of one line, from left to right.

/// A position in the text of one line. Every method that fails leaves the position where it was.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cursor<'a> {
    rest: &'a str,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Cursor { rest: text }
    }

    /// What has not been read yet.
    pub(crate) fn rest(&self) -> &'a str {
        self.rest
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Reads exactly this text.
    #[inline]
    pub(crate) fn take(&mut self, literal: &str) -> bool {
        match self.rest.strip_prefix(literal) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// Passes over blanks and tabs.
    pub(crate) fn blanks(&mut self) -> &mut Self {
        self.ascii(|b| matches!(b, b' ' | b'\t'));
        self
    }

    /// Reads the bytes for which `accept` holds, which must be of ASCII.
    fn ascii(&mut self, accept: impl Fn(u8) -> bool) -> &'a str {
        let end = self.rest.bytes().position(|b| !b.is_ascii() || !accept(b)).unwrap_or(self.rest.len());
        let (run, rest) = self.rest.split_at(end);
        self.rest = rest;
        run
    }

    /// Reads up to `end`, and passes over it.
    pub(crate) fn until(&mut self, end: &str) -> Option<&'a str> {
        let (before, after) = split(self.rest, end)?;
        self.rest = after;
        Some(before)
    }

    /// Goes to behind the first `needle`.
    pub(crate) fn skip_past(&mut self, needle: &str) -> bool {
        self.until(needle).is_some()
    }

    /// Reads the characters for which `accept` holds, perhaps none.
    pub(crate) fn run(&mut self, accept: impl Fn(char) -> bool) -> &'a str {
        // Nearly all text is ASCII, of which a byte is a character.
        let ascii = self.rest.bytes().position(|b| !b.is_ascii() || !accept(char::from(b))).unwrap_or(self.rest.len());
        let tail = &self.rest[ascii..];
        let end = match tail.bytes().next() {
            Some(byte) if !byte.is_ascii() => ascii + tail.find(|c| !accept(c)).unwrap_or(tail.len()),
            _ => ascii,
        };
        let (run, rest) = self.rest.split_at(end);
        self.rest = rest;
        run
    }

    /// Reads up to the next blank.
    pub(crate) fn word(&mut self) -> &'a str {
        self.run(|c| !c.is_ascii_whitespace())
    }

    /// Reads a decimal number without sign.
    pub(crate) fn number(&mut self) -> Option<u64> {
        /// No number of so many digits is too large.
        const SAFE: usize = 19;
        let mut number = 0u64;
        let mut end = 0;
        for byte in self.rest.bytes().take_while(u8::is_ascii_digit) {
            number = number.wrapping_mul(10).wrapping_add(u64::from(byte - b'0'));
            end += 1;
        }
        let (digits, rest) = self.rest.split_at(end);
        if !(1..=SAFE).contains(&end) {
            number = digits.parse().ok()?;
        }
        self.rest = rest;
        Some(number)
    }

    /// Reads a decimal number with an optional minus.
    pub(crate) fn int(&mut self) -> Option<i64> {
        let mut ahead = *self;
        let negative = ahead.take("-");
        let number = i64::try_from(ahead.number()?).ok()?;
        *self = ahead;
        Some(if negative { -number } else { number })
    }

    /// Reads a hexadecimal number, with or without `0x`.
    pub(crate) fn hex(&mut self) -> Option<u64> {
        let mut ahead = *self;
        ahead.take("0x");
        let (number, rest) = hex_digits(ahead.rest);
        self.rest = number.and(Some(rest)).unwrap_or(self.rest);
        number
    }
}

/// The hexadecimal digits at the start as a number, `None` if there are none or too many, and what stands behind them.
pub(crate) fn hex_digits(text: &str) -> (Option<u64>, &str) {
    let mut number = 0u64;
    let mut fits = true;
    let mut end = 0;
    for byte in text.bytes() {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            b'A'..=b'F' => byte - b'A' + 10,
            _ => break,
        };
        fits &= number >> 60 == 0;
        number = number << 4 | u64::from(digit);
        end += 1;
    }
    ((fits && end > 0).then_some(number), &text[end..])
}

/// The first of `heads` that the text begins with. Lists of heads are long, and their first letters tell most apart.
pub(crate) fn head_of<'h>(text: &str, heads: &[&'h str]) -> Option<&'h str> {
    let first = text.bytes().next()?;
    heads.iter().find(|head| head.bytes().next() == Some(first) && text.starts_with(**head)).copied()
}

/// Splits at the first `needle`. Lines are short and needles rare: a search that prepares nothing is the fastest.
pub(crate) fn split<'a>(text: &'a str, needle: &str) -> Option<(&'a str, &'a str)> {
    let first = *needle.as_bytes().first()?;
    let at =
        memchr::memchr_iter(first, text.as_bytes()).find(|at| text.as_bytes()[*at..].starts_with(needle.as_bytes()))?;
    Some((text.get(..at)?, text.get(at + needle.len()..)?))
}

/// The text behind the first `needle`.
pub(crate) fn after<'a>(text: &'a str, needle: &str) -> Option<&'a str> {
    split(text, needle).map(|(_, rest)| rest)
}

/// The text between the first `start` and the next `end`.
pub(crate) fn between<'a>(text: &'a str, start: &str, end: &str) -> Option<&'a str> {
    split(after(text, start)?, end).map(|(inside, _)| inside)
}

/// The decimal number, perhaps negative, behind the first `needle`.
pub(crate) fn number_after(text: &str, needle: &str) -> Option<i64> {
    Cursor::new(after(text, needle)?).blanks().int()
}

/// The hexadecimal number behind the first `needle`.
pub(crate) fn hex_after(text: &str, needle: &str) -> Option<u64> {
    Cursor::new(after(text, needle)?).blanks().hex()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_from_left_to_right() {
        let mut c = Cursor::new("CPU: 12 PID: -3 at 0xff");
        assert!(c.take("CPU:"));
        assert_eq!(c.blanks().number(), Some(12));
        assert_eq!(c.until("PID: "), Some(" "));
        assert_eq!(c.int(), Some(-3));
        assert!(c.skip_past("at "));
        assert_eq!(c.hex(), Some(255));
        assert!(c.is_empty());
    }

    #[test]
    fn runs_end_at_the_first_character_that_does_not_belong() {
        for (text, run) in [("ab1", "ab"), ("äb1", "äb"), ("aä", "aä"), ("a\u{3000}", "a"), ("", "")] {
            assert_eq!(Cursor::new(text).run(char::is_alphabetic), run);
        }
    }

    #[test]
    fn hexadecimal_numbers_end_with_their_digits() {
        assert_eq!(hex_digits("1ffff8880deadbeef0/0x2"), (None, "/0x2"));
        assert_eq!(hex_digits("0000000000000000000001a ["), (Some(0x1a), " ["));
        assert_eq!(hex_digits("ffffffffffffffff"), (Some(u64::MAX), ""));
        assert_eq!(hex_digits("x"), (None, "x"));
        let mut c = Cursor::new("0xg");
        assert_eq!((c.hex(), c.rest()), (None, "0xg"));
    }

    #[test]
    fn heads_are_found_at_the_start_alone() {
        assert_eq!(head_of("Call Trace:", &["CPU", "Call", "Trace"]), Some("Call"));
        assert_eq!(head_of("", &["a"]), None);
        assert_eq!(head_of("xa", &["a"]), None);
    }

    #[test]
    fn a_number_too_large_is_no_number() {
        let mut c = Cursor::new("99999999999999999999999999 x");
        assert_eq!(c.number(), None);
        assert_eq!(c.word(), "99999999999999999999999999");
    }
}
