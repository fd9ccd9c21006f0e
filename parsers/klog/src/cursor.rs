//! Reading values from the text of one line, from left to right.

/// A position in the text of one line. Every method that fails leaves the position where it was.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cursor<'a> {
    rest: &'a str,
}

impl<'a> Cursor<'a> {
    #[inline]
    pub(crate) fn new(text: &'a str) -> Self {
        Cursor { rest: text }
    }

    /// What has not been read yet.
    #[inline]
    pub(crate) fn rest(&self) -> &'a str {
        self.rest
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Reads exactly this text.
    #[inline(always)]
    pub(crate) fn take(&mut self, literal: &str) -> bool {
        match behind(self.rest, literal) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// Passes over blanks and tabs.
    #[inline]
    pub(crate) fn blanks(&mut self) -> &mut Self {
        let end = self.rest.bytes().position(|b| !matches!(b, b' ' | b'\t')).unwrap_or(self.rest.len());
        self.rest = &self.rest[end..];
        self
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
    #[inline]
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
    #[inline]
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

/// The values of the hexadecimal digits; [`NO_DIGIT`] for all other bytes.
static HEX: [u8; 256] = {
    let mut table = [NO_DIGIT; 256];
    let mut byte = 0;
    while byte < 128 {
        table[byte] = match byte as u8 {
            b @ b'0'..=b'9' => b - b'0',
            b @ b'a'..=b'f' => b - b'a' + 10,
            b @ b'A'..=b'F' => b - b'A' + 10,
            _ => NO_DIGIT,
        };
        byte += 1;
    }
    table
};
const NO_DIGIT: u8 = 16;

/// The hexadecimal digits at the start as a number, `None` if there are none or too many, and what stands behind them.
#[inline]
pub(crate) fn hex_digits(text: &str) -> (Option<u64>, &str) {
    let mut number = 0u64;
    let mut end = 0;
    for byte in text.bytes() {
        let digit = HEX[usize::from(byte)];
        if digit == NO_DIGIT {
            break;
        }
        number = number << 4 | u64::from(digit);
        end += 1;
    }
    let (digits, rest) = text.split_at(end);
    // Sixteen digits fit, and zeros before them.
    let fits = end <= 16 || digits.bytes().take(end - 16).all(|b| b == b'0');
    ((fits && end > 0).then_some(number), rest)
}

/// Does the text begin with `head`? Compiled where it is asked: a few bytes that are known beforehand are compared at once.
#[inline(always)]
pub(crate) fn begins(text: &str, head: &str) -> bool {
    text.as_bytes().get(..head.len()).is_some_and(|start| start == head.as_bytes())
}

/// What stands behind `head`, if the text begins with it.
#[inline(always)]
pub(crate) fn behind<'a>(text: &'a str, head: &str) -> Option<&'a str> {
    if begins(text, head) { text.get(head.len()..) } else { None }
}

/// The letters with which the texts of a list begin: most lines begin with none of them.
#[derive(Clone, Copy)]
pub(crate) struct Letters([u64; 4]);

impl Letters {
    /// Those of `heads`, none of which is empty.
    pub(crate) const fn of(heads: &[&str]) -> Self {
        let mut letters = Letters([0; 4]);
        let mut at = 0;
        while at < heads.len() {
            letters = letters.with(heads[at]);
            at += 1;
        }
        letters
    }

    /// Those of texts with a value beside them.
    pub(crate) const fn of_table<T>(heads: &[(&str, T)]) -> Self {
        let mut letters = Letters([0; 4]);
        let mut at = 0;
        while at < heads.len() {
            letters = letters.with(heads[at].0);
            at += 1;
        }
        letters
    }

    const fn with(mut self, head: &str) -> Self {
        let letter = head.as_bytes()[0];
        self.0[(letter >> 6) as usize] |= 1 << (letter & 63);
        self
    }

    /// Does the text begin with one of the letters?
    #[inline]
    pub(crate) fn begin(&self, text: &str) -> bool {
        text.bytes().next().is_some_and(|b| self.0[usize::from(b >> 6)] >> (b & 63) & 1 != 0)
    }
}

/// The bytes of a text, to tell at once which of many texts cannot stand in it.
pub(crate) struct Bytes([bool; 256]);

impl Bytes {
    pub(crate) fn of(text: &str) -> Self {
        let mut bytes = Bytes([false; 256]);
        for byte in text.bytes() {
            bytes.0[usize::from(byte)] = true;
        }
        bytes
    }

    /// May `needle` stand in it?
    #[inline]
    pub(crate) fn may_hold(&self, needle: &str) -> bool {
        needle.bytes().all(|b| self.0[usize::from(b)])
    }
}

/// The first of `heads` that the text begins with. Lists of heads are long, and their first letters tell most apart.
#[inline]
pub(crate) fn head_of<'h>(text: &str, heads: &[&'h str]) -> Option<&'h str> {
    let first = text.bytes().next()?;
    heads.iter().find(|head| head.bytes().next() == Some(first) && begins(text, head)).copied()
}

/// The row of a table whose head the text begins with.
#[inline]
pub(crate) fn row_of<'h, T>(text: &str, table: &'h [(&'h str, T)]) -> Option<&'h (&'h str, T)> {
    let first = text.bytes().next()?;
    table.iter().find(|(head, _)| head.bytes().next() == Some(first) && begins(text, head))
}

/// Where `needle` stands first. Lines are short and needles rare: a search that prepares nothing is the fastest.
#[inline]
fn place_of(text: &str, needle: &str) -> Option<usize> {
    let (text, needle) = (text.as_bytes(), needle.as_bytes());
    // Blanks are in every line: the letter behind one is searched for.
    let skip = usize::from(needle.len() > 1 && needle.first() == Some(&b' '));
    let letter = *needle.get(skip)?;
    let mut from = skip;
    while let Some(found) = memchr::memchr(letter, text.get(from..)?) {
        let at = from + found - skip;
        if text.get(at..at + needle.len()).is_some_and(|part| part == needle) {
            return Some(at);
        }
        from += found + 1;
    }
    None
}

/// Does `needle` stand somewhere in the text?
#[inline]
pub(crate) fn has(text: &str, needle: &str) -> bool {
    place_of(text, needle).is_some()
}

/// Splits at the first `needle`.
#[inline]
pub(crate) fn split<'a>(text: &'a str, needle: &str) -> Option<(&'a str, &'a str)> {
    let at = place_of(text, needle)?;
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
