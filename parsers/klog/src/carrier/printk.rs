//! The kernel's own prefix: `<4>[   12.345678][ T1234] `, each part optional.

use facts::Stamp;

use super::Prefix;
use crate::line::Writer;
use crate::{Caller, cursor::Cursor};

/// Recognises `<N>`, `[secs.usecs]` and `[caller]`; at least one of them must be there.
pub(super) fn strip(text: &str) -> Option<Prefix<'_>> {
    if !matches!(text.as_bytes().first(), Some(b'[' | b'<' | b' ' | b'\t')) {
        return None;
    }
    if let Some(prefix) = usual(text) {
        return Some(prefix);
    }
    let mut c = Cursor::new(text);
    let mut prefix = Prefix { writer: Writer::Kernel, ..Prefix::default() };
    let mut found = false;
    if let Some(priority) = priority(&mut c) {
        // `<3>1 2020-12-02T21:55:55+01:00 host kernel - - - text`: RFC 5424.
        if let Some(date) = c.rest().strip_prefix("1 ")
            && date.as_bytes().get(4) == Some(&b'-')
        {
            return None;
        }
        prefix.level = Some((priority & 7) as u8);
        prefix.facility = u8::try_from(priority >> 3).ok();
        found = true;
        if priority >> 3 != 0 {
            prefix.writer = Writer::Program;
        }
    }
    if let Some(ns) = stamp(&mut c) {
        prefix.time = Some(Stamp::since_boot(ns));
        found = true;
    }
    let mut ahead = c;
    if let Some(caller) = caller(ahead.blanks()) {
        prefix.caller = Some(caller);
        c = ahead;
        found = true;
    }
    if !found {
        return None;
    }
    if prefix.time.is_some()
        && let Some(rest) = super::vendor::behind_stamp(c.rest())
    {
        prefix.rest = rest;
        return Some(prefix);
    }
    c.take(" ");
    // `[    1.234567] kernel: text`: a log from which host and time were cut.
    if prefix.time.is_some() {
        c.take("kernel: ");
    }
    prefix.rest = c.rest();
    Some(prefix)
}

/// The prefix of nearly all lines: a stamp with six digits, perhaps a caller, and no maker's addition behind them.
#[inline]
fn usual(text: &str) -> Option<Prefix<'_>> {
    let prefix = start(text)?;
    let mut begin = prefix.rest.bytes().skip_while(|b| *b == b' ');
    let first = begin.next()?;
    // What these begin may be more of the prefix.
    if matches!(first, b'[' | b'I' | b'C' | b'-' | b'(' | b'@' | b'k' | b'\t')
        || matches!(first, b'c' | b'0'..=b'9') && begin.next().is_some_and(|b| b.is_ascii_digit())
    {
        return None;
    }
    let rest = prefix.rest.strip_prefix(' ').unwrap_or(prefix.rest);
    Some(Prefix { rest, ..prefix })
}

/// The stamp with six digits and the caller that the text begins with; what stands behind may be more of the prefix.
#[inline]
pub(super) fn start(text: &str) -> Option<Prefix<'_>> {
    let (ns, length) = usual_stamp(text.as_bytes())?;
    let mut rest = text.get(length..)?;
    let mut caller = None;
    if let Some((found, length)) = usual_caller(rest.as_bytes()) {
        caller = Some(found);
        rest = rest.get(length..)?;
    }
    Some(Prefix { time: Some(Stamp::since_boot(ns)), caller, rest, writer: Writer::Kernel, ..Prefix::default() })
}

/// Where in `text`, behind its start, the kernel's prefix stands with its stamp.
pub(super) fn inside(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    for at in memchr::memchr_iter(b'[', bytes) {
        if at == 0 || !matches!(bytes.get(at + 1), Some(b' ' | b'0'..=b'9')) {
            continue;
        }
        let mut c = Cursor::new(&text[at..]);
        if stamp(&mut c).is_none() || !(c.rest().starts_with([' ', '[']) || c.is_empty()) {
            continue;
        }
        // `<4>` directly before the stamp belongs to it.
        let before = &text[..at];
        if before.ends_with('>')
            && let Some(open) = before.rfind('<')
            && at - open <= 5
            && before[open + 1..at - 1].bytes().all(|b| b.is_ascii_digit())
            && open + 2 < at
        {
            if open == 0 {
                continue;
            }
            return Some(open);
        }
        return Some(at);
    }
    None
}

/// The end of a stamp whose first columns were not copied: `34.567890] text`, `7890] text`.
pub(super) fn cut(text: &str) -> Option<Prefix<'_>> {
    let text = text.trim_start_matches(' ');
    let bytes = text.as_bytes();
    if !matches!(bytes.first(), Some(b'0'..=b'9' | b'.')) {
        return None;
    }
    let end = bytes.iter().take(20).position(|b| !(b.is_ascii_digit() || *b == b'.'))?;
    let micros = text.get(..end)?.rsplit('.').next()?;
    let rest = text.get(end..)?.strip_prefix(']')?;
    let mut prefix = Prefix { writer: Writer::Kernel, ..Prefix::default() };
    let mut c = Cursor::new(rest);
    let mut ahead = c;
    if let Some(caller) = caller(&mut ahead) {
        prefix.caller = Some(caller);
        c = ahead;
    }
    prefix.rest = c.rest().strip_prefix(' ')?;
    (3..=9).contains(&micros.len()).then_some(prefix)
}

fn priority(c: &mut Cursor<'_>) -> Option<u64> {
    let mut ahead = *c;
    if !ahead.take("<") {
        return None;
    }
    let digits = ahead.run(|c| c.is_ascii_digit());
    if digits.is_empty() || digits.len() > 3 || !ahead.take(">") {
        return None;
    }
    *c = ahead;
    digits.parse().ok().filter(|n| *n < 192)
}

/// `[   12.345678]` as nearly all kernels print it, six digits behind the point: nanoseconds, and the length of the stamp.
#[inline]
fn usual_stamp(text: &[u8]) -> Option<(i64, usize)> {
    // Five columns of seconds are enough for a day, and nearly always there.
    if let Some([b'[', a, b, c, d, e, b'.', m, n, o, p, q, r, b']']) = text.first_chunk::<14>().copied()
        && let Some(seconds) = number([b' ', b' ', b' ', a, b, c, d, e])
        && let Some(micros) = number([b' ', b' ', m, n, o, p, q, r]).filter(|_| m != b' ')
    {
        return Some(((seconds * 1_000_000 + micros) * 1000, 14));
    }
    let inside = text.strip_prefix(b"[")?;
    let blanks = inside.iter().position(|b| *b != b' ')?;
    let digits = inside.get(blanks..)?.iter().take(MAX_USUAL).take_while(|b| b.is_ascii_digit()).count();
    let (seconds, behind) = inside.get(blanks..)?.split_at_checked(digits).filter(|_| digits > 0)?;
    let seconds = seconds.iter().fold(0, |number, byte| number * 10 + i64::from(byte - b'0'));
    let [b'.', m, n, o, p, q, r, b']'] = *behind.first_chunk()? else { return None };
    let micros = number([b' ', b' ', m, n, o, p, q, r]).filter(|_| m != b' ')?;
    Some(((seconds * 1_000_000 + micros) * 1000, 1 + blanks + digits + 8))
}

/// Digits of seconds since boot; more are of another clock.
const MAX_USUAL: usize = 9;

/// Decimal digits with blanks before them, at least one: eight bytes at once, as every line has them.
#[inline]
fn number(text: [u8; 8]) -> Option<i64> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let text = u64::from_le_bytes(text);
    // The bit in which a digit and a blank differ. The first bytes are the lowest: no blank may stand above a digit.
    let digits = (text >> 4) & ONES;
    let values = (text | (ONES << 4)) ^ (ONES * 0x30);
    let blanks = digits.trailing_zeros();
    let in_order = digits == ONES.checked_shl(blanks)?;
    // A byte above nine has its high bit set with this added, or carries into the next one.
    let large = (values | values.wrapping_add(ONES * 0x76)) & (ONES << 7);
    let unblank = values & !(digits * 0xff);
    if !in_order || large | unblank != 0 {
        return None;
    }
    // Pairs of digits, then of these, then of those.
    let pairs = (values * 10 + (values >> 8)) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs * 100 + (pairs >> 16)) & 0x0000_ffff_0000_ffff;
    Some(((fours * 10_000 + (fours >> 32)) & 0xffff_ffff) as i64)
}

/// `[ T1234]` directly behind the stamp, and its length.
fn usual_caller(text: &[u8]) -> Option<(Caller, usize)> {
    let inside = text.strip_prefix(b"[")?;
    let blanks = inside.iter().position(|b| *b != b' ')?;
    let (kind, id) = inside.get(blanks..)?.split_first()?;
    let digits = id.iter().take(9).take_while(|b| b.is_ascii_digit()).count();
    let id =
        id.get(..digits).filter(|digits| !digits.is_empty() && inside.get(blanks + 1 + digits.len()) == Some(&b']'))?;
    let id = id.iter().fold(0, |number, byte| number * 10 + u32::from(byte - b'0'));
    let caller = match kind {
        b'T' => Caller::Task(id),
        b'C' => Caller::Cpu(id),
        _ => return None,
    };
    Some((caller, 1 + blanks + 1 + digits + 1))
}

/// `[   12.345678]`: nanoseconds since boot. Between 3 and 9 digits behind the point.
pub(super) fn stamp(c: &mut Cursor<'_>) -> Option<i64> {
    if let Some((ns, length)) = usual_stamp(c.rest().as_bytes()) {
        *c = Cursor::new(c.rest().get(length..)?);
        return Some(ns);
    }
    let mut ahead = *c;
    if !ahead.take("[") {
        return None;
    }
    let before = ahead.blanks().rest().len();
    let seconds = i64::try_from(ahead.number()?).ok()?;
    if !ahead.take(".") {
        // `[12345678901] `, nanoseconds: a pid or an address in brackets has fewer digits.
        let digits = before - ahead.rest().len();
        // Milli- and microseconds since 1970 are a program's.
        let is_date = [1_000_000_000_000, 1_000_000_000_000_000].iter().any(|unit| seconds / unit == 1);
        if !NANOSECOND_DIGITS.contains(&digits) || is_date || !ahead.rest().starts_with("] ") {
            return None;
        }
        ahead.take("]");
        *c = ahead;
        return Some(seconds);
    }
    // `[  240.] `, of a kernel whose maker wanted no more.
    if ahead.rest().starts_with("] ") || ahead.rest() == "]" {
        ahead.take("]");
        *c = ahead;
        return seconds.checked_mul(1_000_000_000);
    }
    let start = ahead.rest().len();
    let mut fraction = i64::try_from(ahead.number()?).ok()?;
    let mut digits = start - ahead.rest().len();
    // Some boards print more digits than a nanosecond has.
    while (10..=12).contains(&digits) {
        fraction /= 10;
        digits -= 1;
    }
    if !(3..=9).contains(&digits) || !end_of_stamp(&mut ahead) {
        return None;
    }
    *c = ahead;
    // A clock that ran below zero prints 584 years: the line is the kernel's, the stamp says nothing.
    let seconds = if seconds > MAX_SECONDS { 0 } else { seconds };
    seconds.checked_mul(1_000_000_000)?.checked_add(fraction * 10i64.pow(9 - digits as u32))
}

/// Digits of a stamp that is a plain count of nanoseconds: from ten seconds behind the start of the machine to 30 years.
/// Ten digits may be a date.
const NANOSECOND_DIGITS: std::ops::RangeInclusive<usize> = 11..=18;

/// More seconds than this no machine has run: 285 years, what a signed count of nanoseconds holds.
const MAX_SECONDS: i64 = 9_000_000_000;

/// `]`; `s]` and ` / 01-22 09:26:14.131]` of makers of phones; `,3]` of OPAL.
fn end_of_stamp(c: &mut Cursor<'_>) -> bool {
    let mut ahead = *c;
    if ahead.take("s]") || ahead.blanks().take("]") {
        *c = ahead;
        return true;
    }
    // Boards of Amlogic: `[ 5000.123456@0] `, with the CPU.
    ahead = *c;
    if ahead.take("@") && ahead.number().is_some() && ahead.take("]") {
        *c = ahead;
        return true;
    }
    ahead = *c;
    // OPAL, the firmware of POWER machines: `[ 1005.489389250,3] `, with the level.
    if ahead.take(",") && ahead.number().is_some() && ahead.take("]") {
        *c = ahead;
        return true;
    }
    ahead = *c;
    ahead.blanks();
    if !ahead.take("/ ") {
        return false;
    }
    ahead.run(|c| c.is_ascii_digit() || matches!(c, '-' | ':' | '.' | ' '));
    if !ahead.take("]") {
        return false;
    }
    *c = ahead;
    true
}

/// `[ T1234]` or `[    C0]`.
pub(super) fn caller(c: &mut Cursor<'_>) -> Option<Caller> {
    let mut ahead = *c;
    if !ahead.take("[") {
        return None;
    }
    ahead.blanks();
    let task = if ahead.take("T") {
        true
    } else if ahead.take("C") {
        false
    } else {
        return None;
    };
    let id = u32::try_from(ahead.number()?).ok()?;
    // MediaTek: `[T1234@C3]`
    if ahead.take("@") {
        ahead.run(|c| c.is_ascii_alphanumeric());
    }
    if !ahead.blanks().take("]") {
        return None;
    }
    *c = ahead;
    Some(if task { Caller::Task(id) } else { Caller::Cpu(id) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn level_stamp_and_caller_are_read() {
        let p = strip("<4>[   12.345678][ T1234]  body").unwrap();
        assert_eq!(p.level, Some(4));
        assert_eq!(p.time.unwrap().since_boot_ns, Some(12_345_678_000));
        assert_eq!(p.caller, Some(Caller::Task(1234)));
        assert_eq!(p.rest, " body");
        assert_eq!(strip("[    0.043841 ][    T0 ] x").unwrap().rest, "x");
        assert_eq!(strip("[    C0] x").unwrap().caller, Some(Caller::Cpu(0)));
        // makedumpfile writes a blank between the two.
        assert_eq!(strip("[    1.000000] [    T1] x").unwrap().rest, "x");
    }

    #[test]
    fn eight_columns_are_a_number_where_digits_follow_blanks() {
        for (text, number) in [
            ("       0", Some(0)),
            ("      42", Some(42)),
            ("00000007", Some(7)),
            ("99999999", Some(99_999_999)),
            ("  123456", Some(123_456)),
            ("        ", None),
            ("   12 34", None),
            ("  12345 ", None),
            ("  12345(", None),
            ("     (34", None),
            ("   12:34", None),
            ("   12/34", None),
            ("  12a456", None),
            ("\t\t123456", None),
        ] {
            assert_eq!(super::number(*text.as_bytes().first_chunk().unwrap()), number, "{text}");
        }
        for byte in 0..=u8::MAX {
            let wanted = byte.is_ascii_digit().then(|| 1_000_000 + i64::from(byte - b'0') * 1000 + 21);
            assert_eq!(super::number([b' ', b'1', b'0', b'0', byte, b'0', b'2', b'1']), wanted, "{byte}");
        }
    }

    #[test]
    fn stamps_of_other_clocks_are_read() {
        fn at(text: &str) -> Option<(i64, &str)> {
            strip(text).map(|p| (p.time.unwrap().since_boot_ns.unwrap(), p.rest))
        }
        assert_eq!(at("[18446743966.478412] x"), Some((478_412_000, "x")));
        assert_eq!(at("[  467.16706212345] x"), Some((467_167_062_123, "x")));
        assert_eq!(at("[  467.167062s][pid:1,cpu0,swapper/0]x"), Some((467_167_062_000, "x")));
        assert_eq!(at("[  467.167062 / 01-22 09:26:14.131] x"), Some((467_167_062_000, "x")));
        assert_eq!(at("[  467.167062@0] x"), Some((467_167_062_000, "x")));
        assert_eq!(at("[  467.167062][T1234@C3] x"), Some((467_167_062_000, "x")));
        assert_eq!(at("[  467.] x"), Some((467_000_000_000, "x")));
        assert_eq!(at("[12345678901] x"), Some((12_345_678_901, "x")));
        for text in ["[1700000000] x", "[1700000000123] x", "[1700000000123456] x", "[12345678901]: x"] {
            assert!(strip(text).is_none(), "{text}");
        }
        assert_eq!(at("[  467.167062] kernel: x"), Some((467_167_062_000, "x")));
        assert_eq!(at("[  467.167062]  [2:  swapper/0:    1] x"), Some((467_167_062_000, "x")));
    }

    #[test]
    fn a_stamp_that_lost_its_first_columns_is_one_still() {
        for (text, rest) in [("34.567890] BUG: x", "BUG: x"), ("7890] BUG: x", "BUG: x"), (".5678][ T12] x", "x")] {
            assert_eq!(cut(text).map(|p| p.rest), Some(rest), "{text}");
        }
        for text in ["12] x", "123 x", "1.2.3 x", "0123456789012345678901] x", "404]x"] {
            assert!(cut(text).is_none(), "{text}");
        }
    }

    #[test]
    fn other_brackets_are_no_prefix() {
        assert!(strip("[<ffffffff81001234>] f+0x1/0x2").is_none());
        assert!(strip("[drm] ok").is_none());
        assert!(strip("<IRQ>").is_none());
        assert_eq!(inside("login: [  819.300000] BUG: x"), Some(7));
        assert_eq!(inside("x <4>[  819.300000] BUG: x"), Some(2));
    }
}
