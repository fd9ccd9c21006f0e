//! Small readings of text that all readers here share.

/// `name value` and `name: value kB` rows: the first word (without a colon) and the number behind it.
pub(crate) fn pair(line: &str) -> Option<(&str, i64)> {
    let mut words = line.split_ascii_whitespace();
    let name = words.next()?.trim_end_matches(':');
    Some((name, words.next()?.parse().ok()?))
}

/// A line that many words are searched for in.
#[derive(Clone, Copy)]
pub(crate) struct Searched<'a> {
    pub(crate) line: &'a str,
    /// Which pairs of bytes stand in it: hardly any other line has all those of a word.
    pairs: [u64; PAIRS / 64],
}

/// Pairs that are told apart.
const PAIRS: usize = 4096;

/// Where a pair of bytes is noted, and its bit.
fn place_of(two: &[u8]) -> (usize, u64) {
    let number = two.iter().fold(0, |number, byte| (number * 67) ^ usize::from(*byte)) % PAIRS;
    (number / 64, 1 << (number % 64))
}

impl<'a> Searched<'a> {
    pub(crate) fn new(line: &'a str) -> Self {
        let mut pairs = [0; PAIRS / 64];
        for two in line.as_bytes().windows(2) {
            let (at, bit) = place_of(two);
            pairs[at] |= bit;
        }
        Searched { line, pairs }
    }

    /// Does `needle` stand somewhere in the line? Lines are short and needles rare: nothing is prepared for the search.
    pub(crate) fn has(&self, needle: &str) -> bool {
        let (line, needle) = (self.line.as_bytes(), needle.as_bytes());
        let Some(letter) = needle.first() else { return true };
        let noted = |two: &[u8]| {
            let (at, bit) = place_of(two);
            self.pairs[at] & bit != 0
        };
        needle.windows(2).all(noted)
            && memchr::memchr_iter(*letter, line)
                .any(|at| line.get(at..at + needle.len()).is_some_and(|part| part == needle))
    }
}

/// The only number of a one-value file; `max` is `None`.
pub(crate) fn number(text: &str) -> Option<i64> {
    text.trim().parse().ok()
}

/// Whether a file holds the message of a tool that could not read it, and which errno text that is.
pub(crate) fn errno(text: &str) -> Option<&'static str> {
    const KNOWN: &[&str] = &[
        "Input/output error",
        "Permission denied",
        "No such file or directory",
        "Operation not supported",
        "Operation not permitted",
        "Invalid argument",
        "Cannot allocate memory",
        "Is a directory",
    ];
    let text = text.trim_end();
    // Most control files end in a digit.
    if !text.as_bytes().last().is_some_and(u8::is_ascii_alphabetic) {
        return None;
    }
    if text.len() > 400 || text.lines().count() > 2 {
        return None;
    }
    KNOWN.iter().copied().find(|e| text.ends_with(e) || text.to_ascii_lowercase().ends_with(&e.to_ascii_lowercase()))
}

/// Minutes and seconds as `time` prints them: `0m9.065s`, or plain seconds.
pub(crate) fn duration(text: &str) -> Option<f64> {
    let text = text.trim().trim_end_matches('s');
    match text.split_once('m') {
        Some((minutes, seconds)) => {
            let minutes: f64 = minutes.parse().ok()?;
            let seconds: f64 = seconds.replace(',', ".").parse().ok()?;
            Some(minutes * 60.0 + seconds)
        }
        None => text.replace(',', ".").parse().ok(),
    }
    .filter(|s: &f64| s.is_finite() && *s >= 0.0)
}

/// A line made fit to be quoted: one line, at most 200 characters.
pub(crate) fn quote(line: &str) -> String {
    line.trim().chars().take(200).collect()
}
