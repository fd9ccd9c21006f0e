//! When each mainline version was released: a kernel built before a fix was written cannot have it.

use std::fmt;

use serde::{Serialize, Serializer};

/// A day, UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Date {
    /// Year.
    pub year: u16,
    /// Month, 1 to 12.
    pub month: u8,
    /// Day of the month, 1 to 31.
    pub day: u8,
}

impl Date {
    const fn new(year: u16, month: u8, day: u8) -> Self {
        Date { year, month, day }
    }

    /// Reads `YYYY-MM-DD` at the start of the text.
    pub fn parse(text: &str) -> Option<Self> {
        let field = |range: std::ops::Range<usize>| {
            let digits = text.get(range)?;
            digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse::<u16>().ok())?
        };
        if text.get(4..5)? != "-" || text.get(7..8)? != "-" {
            return None;
        }
        Date::checked(field(0..4)?, u8::try_from(field(5..7)?).ok()?, u8::try_from(field(8..10)?).ok()?)
    }

    /// A day that can be in a calendar.
    pub fn checked(year: u16, month: u8, day: u8) -> Option<Self> {
        ((1..=12).contains(&month) && (1..=31).contains(&day)).then_some(Date { year, month, day })
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

impl Serialize for Date {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

/// Release days of mainline versions, in order. Source: the tags of the mainline tree.
const RELEASED: &[((u32, u32), Date)] = &[
    ((3, 0), Date::new(2011, 7, 22)),
    ((3, 1), Date::new(2011, 10, 24)),
    ((3, 2), Date::new(2012, 1, 5)),
    ((3, 3), Date::new(2012, 3, 19)),
    ((3, 4), Date::new(2012, 5, 21)),
    ((3, 5), Date::new(2012, 7, 22)),
    ((3, 6), Date::new(2012, 10, 1)),
    ((3, 7), Date::new(2012, 12, 11)),
    ((3, 8), Date::new(2013, 2, 19)),
    ((3, 9), Date::new(2013, 4, 29)),
    ((3, 10), Date::new(2013, 6, 30)),
    ((3, 11), Date::new(2013, 9, 2)),
    ((3, 12), Date::new(2013, 11, 4)),
    ((3, 13), Date::new(2014, 1, 20)),
    ((3, 14), Date::new(2014, 3, 31)),
    ((3, 15), Date::new(2014, 6, 8)),
    ((3, 16), Date::new(2014, 8, 3)),
    ((3, 17), Date::new(2014, 10, 5)),
    ((3, 18), Date::new(2014, 12, 7)),
    ((3, 19), Date::new(2015, 2, 9)),
    ((4, 0), Date::new(2015, 4, 12)),
    ((4, 1), Date::new(2015, 6, 22)),
    ((4, 2), Date::new(2015, 8, 30)),
    ((4, 3), Date::new(2015, 11, 2)),
    ((4, 4), Date::new(2016, 1, 10)),
    ((4, 5), Date::new(2016, 3, 14)),
    ((4, 6), Date::new(2016, 5, 15)),
    ((4, 7), Date::new(2016, 7, 24)),
    ((4, 8), Date::new(2016, 10, 2)),
    ((4, 9), Date::new(2016, 12, 11)),
    ((4, 10), Date::new(2017, 2, 19)),
    ((4, 11), Date::new(2017, 4, 30)),
    ((4, 12), Date::new(2017, 7, 2)),
    ((4, 13), Date::new(2017, 9, 3)),
    ((4, 14), Date::new(2017, 11, 12)),
    ((4, 15), Date::new(2018, 1, 28)),
    ((4, 16), Date::new(2018, 4, 1)),
    ((4, 17), Date::new(2018, 6, 3)),
    ((4, 18), Date::new(2018, 8, 12)),
    ((4, 19), Date::new(2018, 10, 22)),
    ((4, 20), Date::new(2018, 12, 23)),
    ((5, 0), Date::new(2019, 3, 3)),
    ((5, 1), Date::new(2019, 5, 5)),
    ((5, 2), Date::new(2019, 7, 7)),
    ((5, 3), Date::new(2019, 9, 15)),
    ((5, 4), Date::new(2019, 11, 24)),
    ((5, 5), Date::new(2020, 1, 26)),
    ((5, 6), Date::new(2020, 3, 29)),
    ((5, 7), Date::new(2020, 5, 31)),
    ((5, 8), Date::new(2020, 8, 2)),
    ((5, 9), Date::new(2020, 10, 11)),
    ((5, 10), Date::new(2020, 12, 13)),
    ((5, 11), Date::new(2021, 2, 14)),
    ((5, 12), Date::new(2021, 4, 25)),
    ((5, 13), Date::new(2021, 6, 27)),
    ((5, 14), Date::new(2021, 8, 29)),
    ((5, 15), Date::new(2021, 10, 31)),
    ((5, 16), Date::new(2022, 1, 9)),
    ((5, 17), Date::new(2022, 3, 20)),
    ((5, 18), Date::new(2022, 5, 22)),
    ((5, 19), Date::new(2022, 7, 31)),
    ((6, 0), Date::new(2022, 10, 2)),
    ((6, 1), Date::new(2022, 12, 11)),
    ((6, 2), Date::new(2023, 2, 19)),
    ((6, 3), Date::new(2023, 4, 23)),
    ((6, 4), Date::new(2023, 6, 25)),
    ((6, 5), Date::new(2023, 8, 27)),
    ((6, 6), Date::new(2023, 10, 29)),
    ((6, 7), Date::new(2024, 1, 7)),
    ((6, 8), Date::new(2024, 3, 10)),
    ((6, 9), Date::new(2024, 5, 12)),
    ((6, 10), Date::new(2024, 7, 14)),
    ((6, 11), Date::new(2024, 9, 15)),
    ((6, 12), Date::new(2024, 11, 17)),
    ((6, 13), Date::new(2025, 1, 19)),
    ((6, 14), Date::new(2025, 3, 24)),
    ((6, 15), Date::new(2025, 5, 25)),
    ((6, 16), Date::new(2025, 7, 27)),
    ((6, 17), Date::new(2025, 9, 28)),
    ((6, 18), Date::new(2025, 11, 30)),
];

fn position(branch: (u32, u32)) -> Option<usize> {
    RELEASED.binary_search_by(|(known, _)| known.cmp(&branch)).ok()
}

/// The day before which a commit first released in this mainline version was certainly not written: the release of the
/// version two before it. One merge window would do for the merge; the second covers the time a patch waits on a list,
/// from where a vendor may take it.
pub(crate) fn not_written_before(branch: (u32, u32)) -> Option<Date> {
    RELEASED.get(position(branch)?.checked_sub(2)?).map(|(_, date)| *date)
}

/// Whether a build date can be true for a kernel of this branch: not older than the version two before. Reproducible
/// builds print 1970 or 1980 instead of the day of the build.
pub(crate) fn plausible(branch: (u32, u32), built: Date) -> bool {
    match not_written_before(branch) {
        Some(earliest) => built >= earliest,
        None => built.year >= 2008,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_order() {
        assert!(RELEASED.windows(2).all(|w| w[0].0 < w[1].0 && w[0].1 < w[1].1));
    }

    #[test]
    fn a_date_is_read_from_the_start_of_a_text() {
        assert_eq!(Date::parse("2018-08-13)"), Some(Date::new(2018, 8, 13)));
        for text in ["2018-13-01", "2018/08/13", "18-08-13", "", "2018-08-1é"] {
            assert_eq!(Date::parse(text), None, "{text}");
        }
    }
}
