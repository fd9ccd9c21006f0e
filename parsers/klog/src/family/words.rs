//! Tables of the words in which drivers say one thing, and how a line of such a table is read.

/// One wording.
pub(super) struct Word {
    /// The line begins with one of these: a driver's name, perhaps with a blank or a bracket behind it.
    pub(super) by: &'static [&'static str],
    /// It holds this. The text is an anchor: it must be rare in other lines.
    pub(super) text: &'static str,
    /// What it means.
    pub(super) what: &'static str,
}

/// A row of a table.
pub(super) const fn word(by: &'static [&'static str], text: &'static str, what: &'static str) -> Word {
    Word { by, text, what }
}

/// The anchors of a table.
pub(super) const fn anchors<const N: usize>(table: &[Word]) -> [&'static str; N] {
    let mut out = [""; N];
    let mut at = 0;
    while at < N {
        out[at] = table[at].text;
        at += 1;
    }
    out
}

/// The first row that fits.
pub(super) fn find<'t>(table: &'t [Word], text: &str) -> Option<&'t Word> {
    table.iter().find(|word| word.by.iter().any(|by| text.starts_with(by)) && text.contains(word.text))
}

/// Driver and device of `driver 0000:3b:00.0 eth0: text`, as `dev_err` and its kin print them. The device is the last
/// word before the colon.
pub(super) fn driver_and_device(text: &str) -> (&str, Option<&str>) {
    // A PCI address holds colons: the head ends at the first colon with a blank behind it.
    let head = text.split(": ").next().unwrap_or(text).trim_end_matches(':');
    let mut words = head.split(' ').filter(|w| !w.is_empty());
    let driver = words.next().unwrap_or(head);
    (driver, words.next_back())
}
