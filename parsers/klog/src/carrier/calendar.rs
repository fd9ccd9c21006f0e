//! Wall-clock stamps in their printed forms.

use facts::Stamp;

use crate::cursor::Cursor;

const MONTHS: &[&str] = &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];

/// Month names of the main locales that differ from English in their first letters.
const FOREIGN_MONTHS: &[(&str, u8)] = &[
    ("mär", 3),
    ("mai", 5),
    ("okt", 10),
    ("dez", 12),
    ("janv", 1),
    ("févr", 2),
    ("fév", 2),
    ("mars", 3),
    ("avr", 4),
    ("juin", 6),
    ("juil", 7),
    ("août", 8),
    ("déc", 12),
    ("ene", 1),
    ("abr", 4),
    ("ago", 8),
    ("dic", 12),
    ("gen", 1),
    ("mag", 5),
    ("giu", 6),
    ("lug", 7),
    ("set", 9),
    ("ott", 10),
    ("fev", 2),
    ("out", 10),
    ("янв", 1),
    ("фев", 2),
    ("мар", 3),
    ("апр", 4),
    ("мая", 5),
    ("май", 5),
    ("июн", 6),
    ("июл", 7),
    ("авг", 8),
    ("сен", 9),
    ("окт", 10),
    ("ноя", 11),
    ("дек", 12),
    ("sty", 1),
    ("lut", 2),
    ("kwi", 4),
    ("maj", 5),
    ("cze", 6),
    ("lip", 7),
    ("sie", 8),
    ("wrz", 9),
    ("paź", 10),
    ("lis", 11),
    ("gru", 12),
    ("úno", 2),
    ("oca", 1),
    ("şub", 2),
    ("nis", 4),
    ("haz", 6),
    ("tem", 7),
    ("ağu", 8),
    ("eyl", 9),
    ("eki", 10),
    ("ara", 12),
    ("січ", 1),
    ("лют", 2),
    ("бер", 3),
    ("кві", 4),
    ("тра", 5),
    ("чер", 6),
    ("лип", 7),
    ("сер", 8),
    ("вер", 9),
    ("жов", 10),
    ("гру", 12),
    ("ápr", 4),
    ("máj", 5),
    ("jún", 6),
    ("júl", 7),
    ("szept", 9),
];

/// The month a word names: English, `7月`, `7월`, or one of the main locales.
pub(super) fn month(word: &str) -> Option<u8> {
    let word = word.trim_end_matches(['.', ',']);
    if let Some(number) = word.strip_suffix('月').or_else(|| word.strip_suffix('월')) {
        return number.parse().ok().filter(|m| (1..=12).contains(m));
    }
    // Nearly all words that are asked about are no months, and of ASCII.
    if word.is_ascii() {
        let begins = |month: &str| {
            let head = word.as_bytes().get(..month.len());
            head.is_some_and(|head| head.eq_ignore_ascii_case(month.as_bytes()))
        };
        if (3..=9).contains(&word.len())
            && let Some(at) = MONTHS.iter().position(|month| begins(month))
        {
            return Some(at as u8 + 1);
        }
        return FOREIGN_MONTHS.iter().find(|(name, _)| begins(name)).map(|(_, month)| *month);
    }
    let lower = word.to_lowercase();
    FOREIGN_MONTHS.iter().find(|(name, _)| lower.starts_with(name)).map(|(_, month)| *month)
}

/// A time of day: `10:15:55` with an optional fraction behind `.` or `,`; nanoseconds since midnight.
pub(super) fn clock(c: &mut Cursor<'_>) -> Option<i64> {
    let mut ahead = *c;
    let two = |c: &mut Cursor<'_>, max: u64| {
        let before = c.rest().len();
        let n = c.number()?;
        (before - c.rest().len() == 2 && n <= max).then_some(n as i64)
    };
    let hours = two(&mut ahead, 23)?;
    if !ahead.take(":") {
        return None;
    }
    let minutes = two(&mut ahead, 59)?;
    if !ahead.take(":") {
        return None;
    }
    let seconds = two(&mut ahead, 60)?;
    let mut ns = ((hours * 60 + minutes) * 60 + seconds) * 1_000_000_000;
    let mut fraction = ahead;
    if fraction.take(".") || fraction.take(",") {
        let digits = fraction.run(|c| c.is_ascii_digit());
        if (1..=9).contains(&digits.len()) {
            ns += digits.parse::<i64>().ok()? * 10i64.pow(9 - digits.len() as u32);
            ahead = fraction;
        }
    }
    *c = ahead;
    Some(ns)
}

/// A zone: `Z`, `+02:00`, `+0200`, `UTC`; its offset in seconds. `None` when nothing or an unknown name stands there.
pub(super) fn zone(c: &mut Cursor<'_>) -> Option<i64> {
    let mut ahead = *c;
    if ahead.take("Z") || ahead.take("UTC") {
        *c = ahead;
        return Some(0);
    }
    let sign = if ahead.take("+") {
        1
    } else if ahead.take("-") {
        -1
    } else {
        return None;
    };
    let digits = ahead.run(|c| c.is_ascii_digit());
    let (hours, minutes) = match digits.len() {
        4 => (digits[..2].parse::<i64>().ok()?, digits[2..].parse::<i64>().ok()?),
        2 if ahead.take(":") => (digits.parse().ok()?, ahead.run(|c| c.is_ascii_digit()).parse().ok()?),
        2 => (digits.parse().ok()?, 0),
        _ => return None,
    };
    *c = ahead;
    (hours <= 14 && minutes < 60).then_some(sign * (hours * 3600 + minutes * 60))
}

/// A stamp from its parts. Without year it stands in 1970, without zone in UTC, and is not exact.
pub(super) fn stamp(year: Option<i64>, month: u8, day: u64, ns: i64, offset: Option<i64>) -> Option<Stamp> {
    if !(1..=31).contains(&day) || !(1..=12).contains(&month) {
        return None;
    }
    let days = days(year.unwrap_or(1970), i64::from(month), day as i64);
    let seconds = days.checked_mul(86_400)?.checked_sub(offset.unwrap_or(0))?;
    Some(Stamp {
        since_boot_ns: None,
        wall_ns: seconds.checked_mul(1_000_000_000)?.checked_add(ns),
        wall_exact: year.is_some() && offset.is_some(),
    })
}

/// Days since 1970-01-01 of a date of the Gregorian calendar.
fn days(year: i64, month: i64, day: i64) -> i64 {
    // Years begin in March, so that the leap day is the last one.
    let y = if month <= 2 { year - 1 } else { year };
    let era = y.div_euclid(400);
    let year_of_era = y.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// `2023-08-26T06:39:24.123456+02:00`, also with a blank for the `T`.
pub(super) fn iso(c: &mut Cursor<'_>) -> Option<Stamp> {
    let mut ahead = *c;
    let (year, month, day) = date(&mut ahead)?;
    if !ahead.take("T") && !ahead.take(" ") {
        return None;
    }
    let ns = clock(&mut ahead)?;
    let mut zoned = ahead;
    zoned.take(" ");
    let offset = zone(&mut zoned);
    if offset.is_some() {
        ahead = zoned;
    }
    *c = ahead;
    stamp(Some(year), month, day, ns, offset)
}

/// `2023-08-26`
pub(super) fn date(c: &mut Cursor<'_>) -> Option<(i64, u8, u64)> {
    let mut ahead = *c;
    let digits = ahead.run(|c| c.is_ascii_digit());
    if digits.len() != 4 || !ahead.take("-") {
        return None;
    }
    let year: i64 = digits.parse().ok()?;
    let month = u8::try_from(ahead.number()?).ok()?;
    if !ahead.take("-") {
        return None;
    }
    let day = ahead.number()?;
    *c = ahead;
    Some((year, month, day))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_count_from_1970() {
        assert_eq!(days(1970, 1, 1), 0);
        assert_eq!(days(2000, 3, 1), 11_017);
        assert_eq!(days(2026, 11, 21), 20_778);
    }

    #[test]
    fn a_zone_makes_a_stamp_exact() {
        let s = iso(&mut Cursor::new("2023-11-14T22:13:20.002000+0000 node1")).unwrap();
        assert_eq!(s.wall_ns, Some(1_700_000_000_002_000_000));
        assert!(s.wall_exact);
        assert!(!iso(&mut Cursor::new("2023-11-14T22:13:20 node1")).unwrap().wall_exact);
    }

    #[test]
    fn months_of_other_languages_are_known() {
        assert_eq!(month("7月"), Some(7));
        assert_eq!(month("июл"), Some(7));
        assert_eq!(month("juil."), Some(7));
        assert_eq!(month("12"), None);
    }
}
