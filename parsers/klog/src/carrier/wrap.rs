//! Long lines that a mail program or a terminal of 80 columns broke: joined where the text around shows that it did.

use super::{Prefix, lossy, paste, printk, strip};
use crate::line::Writer;

/// Lines broken by a person's program are at most this long, without the quote marks.
const MAX_WIDTH: usize = 82;
/// A text whose longest line is shorter than this is short, not broken.
const MIN_WIDTH: usize = 66;
/// Lines after which the text around is looked at again, at first; where it was not broken, twice as many each time.
const REGION: u64 = 64;
/// Lines after which it is looked at again at the latest.
const MAX_REGION: u64 = 256;
/// How much of the text before and behind a line is looked at.
const AROUND: usize = 4096;
/// Lines of the kernel that must stand around.
const KERNEL_LINES: usize = 3;
/// Longest line that is put together.
const MAX_JOINED: usize = 4096;

/// Lines before and behind one that are looked at for its neighbours.
const NEAR: usize = 8;
/// A line is broken before a word that is at most this long: a function with its offset, a list of hexadecimal numbers.
const LONGEST_WORD: usize = 40;
/// Where one line alone was broken, it would have been longer than this; the widths that programs use are not smaller.
const ALONE: usize = 64;
/// A text of so few lines is nothing but the broken lines.
const FEW: usize = 6;
/// The width that most mail programs break at.
const USUAL: usize = 72;

/// How the lines around are broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Break {
    /// At a blank before this column.
    AtBlank(usize),
    /// At this column, wherever it falls.
    AtColumn(usize),
}

/// The run of lines at hand.
#[derive(Default)]
pub(super) struct Run {
    how: Option<Break>,
    /// Line from which on the text around is looked at again, and how many lines that were.
    next: Option<(u64, u64)>,
    held: String,
    first: u64,
    /// Length of the physical line that was held last.
    length: usize,
    /// Only the prefix of a line is held.
    empty: bool,
}

impl Run {
    pub(super) fn holding(&self) -> bool {
        !self.held.is_empty()
    }

    /// Are the lines around broken?
    pub(super) fn active(&self) -> bool {
        self.how.is_some()
    }

    /// What is held, and the number of its first line.
    pub(super) fn flush(&mut self) -> Option<(String, u64)> {
        self.holding().then(|| (std::mem::take(&mut self.held), self.first))
    }

    /// Should the text around line `number` be looked at?
    pub(super) fn is_due(&self, number: u64) -> bool {
        self.next.is_none_or(|(at, _)| number >= at)
    }

    /// Looks at the text around line `number`, unless that was done a few lines ago.
    pub(super) fn look(&mut self, before: &[u8], line: &[u8], behind: &[u8], number: u64) {
        if !self.is_due(number) {
            return;
        }
        let before = before.get(before.len().saturating_sub(AROUND)..).unwrap_or_default();
        let behind = behind.get(..AROUND.min(behind.len())).unwrap_or_default();
        self.how = measure(before, line, behind);
        let whole = self.how.is_some();
        self.how = self.how.or_else(|| measure_near(before, line, behind));
        let lines = match self.next {
            Some((_, lines)) if self.how.is_none() => (lines * 2).min(MAX_REGION),
            _ if whole => REGION,
            _ => 2 * NEAR as u64,
        };
        self.next = Some((number + lines, lines));
    }

    /// Does the line that is held go on in `text`?
    pub(super) fn goes_on(&self, text: &str) -> bool {
        let Some(how) = self.how else { return false };
        let plain = paste::unquote(text);
        if plain.trim().is_empty()
            || is_notice(plain)
            || self.held.len() + plain.len() > MAX_JOINED
            || strip(text).writer != Writer::Unknown
        {
            return false;
        }
        match how {
            // Nothing was left of the line but its prefix.
            Break::AtBlank(_) if self.empty => true,
            Break::AtBlank(width) => {
                let word = plain.split(' ').find(|w| !w.is_empty()).unwrap_or(plain);
                // The word would have fitted: the line ended by itself.
                !plain.starts_with(' ') && self.length + 1 + word.len() > width
            }
            Break::AtColumn(width) => self.length == width,
        }
    }

    /// Adds a line to the one that is held.
    pub(super) fn join(&mut self, text: &str) {
        let plain = paste::unquote(text);
        self.empty = false;
        if matches!(self.how, Some(Break::AtBlank(_))) && !self.held.ends_with(' ') && !ends_inside_a_word(&self.held) {
            self.held.push(' ');
        }
        self.held.push_str(plain);
        self.length = plain.len();
    }

    /// Holds a line that may go on in the next one.
    pub(super) fn hold(&mut self, text: &str, prefix: &Prefix<'_>, number: u64) -> bool {
        let Some(how) = self.how else { return false };
        let length = paste::unquote(text).len();
        let empty = prefix.rest.trim().is_empty() && length > prefix.rest.len();
        let long = match how {
            Break::AtBlank(width) => empty || length + LONGEST_WORD >= width && length <= width,
            Break::AtColumn(width) => length == width,
        };
        if !long || prefix.writer != Writer::Kernel {
            return false;
        }
        self.held.push_str(text);
        self.first = number;
        self.length = length;
        self.empty = empty;
        true
    }
}

/// Whether and how the lines are broken: none is long, and kernel lines are followed by lines without prefix that would
/// not have fitted behind them.
fn measure(before: &[u8], line: &[u8], behind: &[u8]) -> Option<Break> {
    // The first and the last piece may be parts of lines.
    let before = memchr::memchr(b'\n', before).map_or(&b""[..], |at| &before[at + 1..]);
    let whole = memchr::memrchr(b'\n', behind).map_or(&b""[..], |at| &behind[..at]);
    let lines = || lines_of(before).chain(std::iter::once(line)).chain(lines_of(whole));
    let newlines = |text: &[u8]| memchr::memchr_iter(b'\n', text).count();
    let count = newlines(before) + newlines(whole) + 3;
    let (mut longest, mut beyond) = (0, 0);
    for part in [before, line, whole] {
        let mut start = 0;
        for end in memchr::memchr_iter(b'\n', part).chain(std::iter::once(part.len())) {
            match quoted_length(&part[start..end]) {
                // A long word cannot be broken; more than a few long lines were not.
                plain if plain > MAX_WIDTH => beyond += 1,
                plain => longest = longest.max(plain),
            }
            start = end + 1;
        }
        if beyond > count / 16 {
            return None;
        }
    }
    if longest < MIN_WIDTH {
        return None;
    }
    // Pairs of a kernel line and one without prefix behind it.
    let (mut pairs, mut at_column): (Vec<(usize, usize)>, usize) = (Vec::new(), 0);
    let mut kernel: Vec<usize> = Vec::new();
    let mut previous: Option<usize> = None;
    for line in lines() {
        // Too short to have been broken, and behind none that was.
        if kernel.len() >= KERNEL_LINES && previous.is_none() && line.len() + 24 < longest {
            continue;
        }
        let text = lossy(line);
        let text = text.trim_end_matches('\r');
        let plain = paste::unquote(text);
        if begin(text).writer == Writer::Kernel {
            kernel.push(plain.len());
            previous = Some(plain.len()).filter(|length| length + 24 >= longest);
            continue;
        }
        if let Some(length) = previous.take()
            && !plain.trim().is_empty()
        {
            let word = plain.split(' ').find(|w| !w.is_empty()).map_or(0, str::len);
            if !plain.starts_with(' ') {
                pairs.push((length, word));
            }
            at_column += usize::from(length == longest);
        }
    }
    // What others wrote between the lines of the kernel may be wider: the width is the one at which most pairs were broken.
    let broken_at =
        |width: usize| pairs.iter().filter(|(length, word)| (*length..=length + word).contains(&width)).count();
    let beyond_of = |width: usize| kernel.iter().filter(|length| (width + 1..=MAX_WIDTH).contains(*length)).count();
    let candidates = pairs.iter().map(|(length, _)| *length).filter(|width| beyond_of(*width) * 8 <= kernel.len());
    let width = candidates.chain([longest]).max_by_key(|width| (broken_at(*width), *width)).unwrap_or(longest);
    let broken = broken_at(width);
    if kernel.len() < KERNEL_LINES || broken.max(at_column) < 1 + usize::from(beyond > 0) {
        return None;
    }
    Some(if at_column >= 2 && at_column >= broken { Break::AtColumn(longest) } else { Break::AtBlank(width) })
}

/// A kernel line, the one without prefix behind it, and how wide the text is if it was broken there.
struct Pair {
    length: usize,
    word: usize,
    /// Nothing stands behind the prefix.
    empty: bool,
}

/// The same for the lines nearby alone: where a part of a text is broken, and the rest is not; where its width is an
/// odd one. Lines of a syslog or a journal have their prefix always, so that one without it goes on with the line above.
fn measure_near(before: &[u8], line: &[u8], behind: &[u8]) -> Option<Break> {
    let whole = memchr::memrchr(b'\n', behind).map_or(behind, |at| &behind[..at]);
    let near = last_lines(before).chain(std::iter::once(line)).chain(lines_of(whole).take(2 * NEAR));
    let mut pairs: Vec<Pair> = Vec::new();
    let (mut prefixed, mut collected, mut count) = (0usize, 0usize, 0usize);
    let mut lengths: Vec<usize> = Vec::new();
    let mut previous: Option<(usize, bool)> = None;
    for line in near {
        let text = lossy(line);
        let plain = paste::unquote(text.trim_end_matches('\r'));
        if plain.trim().is_empty() {
            previous = None;
            continue;
        }
        count += 1;
        let prefix = begin(plain);
        if prefix.writer == Writer::Kernel {
            prefixed += 1;
            // The kernel's own stamp is at most 24 characters: what is longer came from a collector.
            collected += usize::from(prefix.host.is_some());
            lengths.push(plain.len());
            previous = Some((plain.len(), prefix.rest.trim().is_empty()));
            continue;
        }
        let Some((length, empty)) = previous.take() else { continue };
        if prefix.writer == Writer::Unknown
            && !is_notice(plain)
            && length <= MAX_WIDTH
            && (empty || !plain.starts_with(' '))
        {
            let word = plain.split(' ').find(|w| !w.is_empty()).map_or(0, str::len);
            pairs.push(Pair { length, word, empty });
        }
    }
    let fits = |width: usize| pairs.iter().filter(move |p| p.empty || p.length <= width && width <= p.length + p.word);
    let width = pairs.iter().filter(|p| !p.empty).map(|p| p.length).max_by_key(|width| (fits(*width).count(), *width));
    let width = width.or_else(|| pairs.iter().map(|p| p.length).max())?;
    let fitting = fits(width).count();
    let by_collector = collected * 2 >= prefixed && prefixed > 0;
    let enough = if by_collector {
        // One pair: the first word of the second line would have been too much for any width.
        let alone = || count <= FEW || pairs.iter().any(|p| p.empty || p.length + 1 + p.word > ALONE);
        fitting * 3 >= pairs.len() * 2 && (fitting >= 2 || alone())
    } else {
        fitting >= 3 && fitting * 5 >= pairs.len() * 4
    };
    let beyond = lengths.iter().filter(|length| **length > width).count();
    if !enough || beyond * 3 > lengths.len() * 2 {
        return None;
    }
    let most = fits(width).filter(|p| !p.empty).map(|p| p.length + p.word).min().unwrap_or(width);
    Some(Break::AtBlank(if (width..=most).contains(&USUAL) { USUAL } else { width }))
}

/// The first line of a broadcast to terminals, whose other lines have a prefix.
fn is_notice(text: &str) -> bool {
    text.trim_start().starts_with("Message from syslogd@") || text.trim_start().starts_with("Broadcast message from ")
}

/// Does a line end where a program breaks a long word: `journal_`, `x86/`?
fn ends_inside_a_word(held: &str) -> bool {
    let mut last = held.bytes().rev();
    let end = last.next();
    let inside = last.next().is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_');
    inside && matches!(end, Some(b'_' | b'/' | b'-'))
}

/// The prefix that a line begins with; of the kernel's usual one nothing more is asked.
fn begin(text: &str) -> Prefix<'_> {
    printk::start(text).unwrap_or_else(|| strip(text))
}

/// The last lines of a text that are looked at.
fn last_lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let start = memchr::memrchr_iter(b'\n', text).nth(NEAR - 1).map_or(0, |at| at + 1);
    lines_of(text.get(start..).unwrap_or_default())
}

/// The text divided at its newlines.
fn lines_of(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut start = 0;
    memchr::memchr_iter(b'\n', text).chain(std::iter::once(text.len())).map(move |end| {
        let line = text.get(start..end).unwrap_or_default();
        start = end + 1;
        line
    })
}

/// Length of a line without quote marks and line end.
fn quoted_length(line: &[u8]) -> usize {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if !matches!(line.first(), Some(b'>' | b' ')) {
        return line.len();
    }
    let quotes = line.iter().take(24).take_while(|b| matches!(b, b'>' | b' ')).count();
    if line.get(..quotes).is_some_and(|head| head.contains(&b'>')) { line.len() - quotes } else { line.len() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAIL: &str = "> [  467.167050] x\n> [  467.167055] y\n\
        > [  467.167062] BUG: unable to handle kernel NULL pointer dereference at\n> 0000000000000020\n\
        > [  467.167070] IP: ip6mr_sk_done+0x60/0xf0\n";

    #[test]
    fn a_broken_mail_is_recognised() {
        assert_eq!(measure(b"", b"", MAIL.as_bytes()), Some(Break::AtBlank(71)));
        // Prose between the lines of the kernel that is wider.
        let modules = format!("> [  467.167071] Modules linked in: {}\n> b\n", "a".repeat(36));
        let prose = format!("{MAIL}{}\n{modules}> [  467.167072] x\n", "w".repeat(80));
        assert_eq!(measure(b"", b"", prose.as_bytes()), Some(Break::AtBlank(71)));
        // Long lines around: nobody broke them.
        let long = format!("{MAIL}> [  467.2] {}\nx\n", "y".repeat(90));
        assert_eq!(measure(b"", b"", long.as_bytes()), None);
    }
}
