//! Small readings of text that all readers here share.

/// `name value` and `name: value kB` rows: the first word (without a colon) and the number behind it.
pub(crate) fn pair(line: &str) -> Option<(&str, i64)> {
    let mut words = line.split_ascii_whitespace();
    let name = words.next()?.trim_end_matches(':');
    Some((name, words.next()?.parse().ok()?))
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
