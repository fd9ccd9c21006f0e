//! Time stamps as logs, event logs and the folders of crash dumps write them, made comparable.

/// A moment on somebody's wall clock: no zone, and of syslog no year either.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    year: Option<u32>,
    month: u32,
    day: u32,
    second: u32,
}

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

impl Stamp {
    fn new(year: Option<u32>, month: u32, day: u32, second: u32) -> Option<Stamp> {
        let plausible = (1..=12).contains(&month)
            && (1..=31).contains(&day)
            && second < 86_401
            && year.is_none_or(|y| (1990..2100).contains(&y));
        plausible.then_some(Stamp { year, month, day, second })
    }

    /// The stamp at the head of a log line: ISO, syslog, or `[Thu Nov 26 03:00:00 2026]`.
    pub(crate) fn of_line(line: &str) -> Option<Stamp> {
        let line = line.strip_prefix('[').unwrap_or(line);
        // `Tue 2023-11-14 22:13:20 UTC node1 kernel: ...` of journalctl's short-full.
        let iso = line.get(4..).filter(|_| line.as_bytes().get(3) == Some(&b' ')).and_then(Self::iso);
        Self::iso(line).or(iso).or_else(|| Self::named(line))
    }

    /// `2026-11-26T03:00:00`, `2026-11-26 03:00:00`, `2026-11-26-03:00:00`.
    fn iso(text: &str) -> Option<Stamp> {
        let date = text.get(..10)?;
        let (year, rest) = date.split_once('-')?;
        let (month, day) = rest.split_once('-')?;
        let clock = text.get(11..).filter(|_| matches!(text.as_bytes().get(10), Some(b'T' | b' ' | b'-')))?;
        Self::new(Some(number(year)?), number(month)?, number(day)?, clock_of(clock)?)
    }

    /// `Nov 26 03:00:00`, with a weekday before it or a year behind it.
    fn named(line: &str) -> Option<Stamp> {
        let mut words = line.split_ascii_whitespace().take(5);
        let mut word = words.next()?;
        let month = |word: &str| MONTHS.iter().position(|m| *m == word);
        if month(word).is_none() {
            word = words.next()?;
        }
        let month = u32::try_from(month(word)?).ok()? + 1;
        let day = number(words.next()?)?;
        let clock = clock_of(words.next()?)?;
        let year = words.next().and_then(|y| number(y.trim_end_matches(']'))).filter(|y| (1990..2100).contains(y));
        Self::new(year, month, day, clock)
    }

    /// `11/23/2023` and `14:32:51` of an event log.
    pub(crate) fn american(date: &str, clock: &str) -> Option<Stamp> {
        let mut parts = date.split('/');
        let (month, day) = (number(parts.next()?)?, number(parts.next()?)?);
        let year = number(parts.next()?)?;
        let year = if year < 100 { year + 2000 } else { year };
        Self::new(Some(year), month, day, clock_of(clock)?)
    }

    /// The name of a crash folder: `127.0.0.1-2026-11-26-03:20:11`, `202611260320`, `2026-11-26-03:20`.
    pub(crate) fn of_folder(name: &str) -> Option<Stamp> {
        if name.len() >= 12 && name.bytes().all(|b| b.is_ascii_digit()) {
            let part = |from: usize, to: usize| name.get(from..to).and_then(number);
            let second = part(8, 10)? * 3600 + part(10, 12)? * 60;
            return Self::new(Some(part(0, 4)?), part(4, 6)?, part(6, 8)?, second);
        }
        let starts = name.match_indices("20").map(|(at, _)| at);
        starts.filter_map(|at| Self::iso(name.get(at..)?)).next()
    }

    /// Seconds since 1970 on a clock in UTC.
    pub(crate) fn of_unix(seconds: u64) -> Option<Stamp> {
        let days = i64::try_from(seconds / 86_400).ok()?;
        // Days to a date: the calendar repeats every 400 years; years begin in March.
        let z = days + 719_468;
        let era = z.div_euclid(146_097);
        let day_of_era = z.rem_euclid(146_097);
        let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * shifted + 2) / 5 + 1;
        let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        let as_u32 = |n: i64| u32::try_from(n).ok();
        Self::new(Some(as_u32(year)?), as_u32(month)?, as_u32(day)?, u32::try_from(seconds % 86_400).ok()?)
    }
}

impl std::fmt::Display for Stamp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(year) = self.year {
            write!(f, "{year}-")?;
        }
        let (hour, minute, second) = (self.second / 3600, self.second / 60 % 60, self.second % 60);
        write!(f, "{:02}-{:02} {hour:02}:{minute:02}:{second:02}", self.month, self.day)
    }
}

fn number(text: &str) -> Option<u32> {
    (!text.is_empty() && text.len() < 6 && text.bytes().all(|b| b.is_ascii_digit()))
        .then(|| text.parse().ok())
        .flatten()
}

/// `03:00:00` with anything behind it, or `03:00`.
fn clock_of(text: &str) -> Option<u32> {
    let hour = number(text.get(..2)?)?;
    let minute = number(text.get(3..5)?)?;
    let separators = text.as_bytes().get(2) == Some(&b':');
    let second = match text.as_bytes().get(5) {
        Some(b':') => number(text.get(6..8)?)?,
        _ => 0,
    };
    (separators && hour < 24 && minute < 60 && second < 61).then_some(hour * 3600 + minute * 60 + second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_are_read_in_every_form() {
        let line = |text: &str| Stamp::of_line(text).map(|s| s.to_string());
        let is = |text: &str| Some(text.to_owned());
        assert_eq!(line("2026-11-26T03:00:01.5+01:00 n kernel: x"), is("2026-11-26 03:00:01"));
        assert_eq!(line("Nov  6 03:00:01 n kernel: x"), is("11-06 03:00:01"));
        assert_eq!(line("[Thu Nov 26 03:00:00 2026] x"), is("2026-11-26 03:00:00"));
        assert_eq!(line("Tue 2023-11-14 22:13:20 UTC node1 kernel: x"), is("2023-11-14 22:13:20"));
        assert_eq!(line("[   12.345678] x"), None);
        assert_eq!(line("é—"), None);
        let folder = |text: &str| Stamp::of_folder(text).map(|s| s.to_string());
        assert_eq!(folder("127.0.0.1-2026-11-26-03:20:11"), is("2026-11-26 03:20:11"));
        assert_eq!(folder("202611260320"), is("2026-11-26 03:20:00"));
        assert_eq!(folder("2026-11-26-03:20"), is("2026-11-26 03:20:00"));
        assert_eq!(folder("crash"), None);
        assert_eq!(Stamp::american("11/23/2023", "14:32:51").map(|s| s.to_string()), is("2023-11-23 14:32:51"));
        assert_eq!(Stamp::of_unix(1_700_000_000).map(|s| s.to_string()), is("2023-11-14 22:13:20"));
        assert_eq!(Stamp::of_unix(951_782_400).map(|s| s.to_string()), is("2000-02-29 00:00:00"));
    }
}
