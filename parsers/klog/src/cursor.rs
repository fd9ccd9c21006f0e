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
        let end = self.rest.find(|c| !accept(c)).unwrap_or(self.rest.len());
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
        let mut ahead = *self;
        let number = ahead.ascii(|b| b.is_ascii_digit()).parse().ok()?;
        *self = ahead;
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
        let digits = ahead.ascii(|b| b.is_ascii_hexdigit());
        let number = u64::from_str_radix(digits, 16).ok()?;
        *self = ahead;
        Some(number)
    }
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
    fn a_number_too_large_is_no_number() {
        let mut c = Cursor::new("99999999999999999999999999 x");
        assert_eq!(c.number(), None);
        assert_eq!(c.word(), "99999999999999999999999999");
    }
}
