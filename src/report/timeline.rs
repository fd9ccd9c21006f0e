//! The events of a case, one a line, equal ones grouped.

use std::collections::HashMap;
use std::fmt::Write as _;

use facts::{Fact, Stamp};

use super::{printable, subject};
use crate::case::Case;

/// Events that print the same title, in the order of their first.
struct Group {
    title: String,
    severity: String,
    class: String,
    count: u64,
    first: Option<Stamp>,
    /// Stamps of all, as seconds of one clock.
    seconds: Vec<f64>,
    origin: String,
    marks: Vec<String>,
}

/// Characters of a title that are printed.
const LONGEST: usize = 100;

/// A regular cadence is one of which nearly all intervals are this near to the middle one.
const REGULAR: std::ops::Range<f64> = 0.5..1.5;

/// The timeline: when (since boot, and by the wall clock where the log has one), how bad, which class, what, and where
/// it stands. Stamps that were printed without year or zone are printed without them.
pub fn timeline(case: &Case) -> String {
    let mut groups: Vec<Group> = Vec::new();
    // Where the group of a title and a severity is.
    let mut places: HashMap<(&str, &str), usize> = HashMap::new();
    let mut events: Vec<_> = case.facts.iter().filter(|f| f.kind.starts_with("log.")).collect();
    // Several logs of one boot: by the clock that all have; without one, in the order they were read.
    if events.iter().all(|f| f.time.is_some_and(|t| t.since_boot_ns.is_some())) {
        events.sort_by_key(|f| f.time.and_then(|t| t.since_boot_ns));
    }
    let titles = with_devices(&events, titles(case, &events));
    for (fact, title) in events.iter().zip(&titles) {
        let severity = fact.text("severity").unwrap_or("notice");
        let seconds = fact.time.and_then(|t| t.since_boot_ns.or(t.wall_ns)).map(|ns| ns as f64 / 1e9);
        let count = fact.int("repeats").and_then(|n| u64::try_from(n).ok()).unwrap_or(1);
        let at = *places.entry((title.as_str(), severity)).or_insert_with(|| {
            groups.push(Group {
                title: title.to_owned(),
                severity: severity.to_owned(),
                class: fact.text("class").unwrap_or_default().to_owned(),
                count: 0,
                first: fact.time,
                seconds: Vec::new(),
                origin: fact.origin.to_string(),
                marks: Vec::new(),
            });
            groups.len() - 1
        });
        let Some(group) = groups.get_mut(at) else { continue };
        group.count += count;
        group.seconds.extend(seconds);
        let torn = fact.text("corrupted").map(|why| format!("torn: {why}"));
        let mixed = fact.get("interleaved").map(|_| "mixed with another report".to_owned());
        for mark in torn.into_iter().chain(mixed) {
            if !group.marks.contains(&mark) {
                group.marks.push(mark);
            }
        }
    }
    let mut out = format!("{}\n", subject(&case.identity));
    if groups.is_empty() {
        out.push_str("no events\n");
        return out;
    }
    let boot = groups.iter().any(|g| g.first.is_some_and(|t| t.since_boot_ns.is_some()));
    let wall = groups.iter().any(|g| g.first.is_some_and(|t| t.wall_ns.is_some()));
    let wide = groups.iter().map(|g| g.class.len()).max().unwrap_or(0);
    for group in &groups {
        let _ = writeln!(out, "{}", line(group, boot, wall, wide));
    }
    out
}

/// Devices that are told apart under one title; a host of containers has thousands.
const MAX_DEVICES: usize = 8;

/// The titles with the device each event speaks of, where events of one title speak of several, but not of very many.
fn with_devices(events: &[&Fact], titles: Vec<String>) -> Vec<String> {
    let device = |fact: &Fact| fact.text("device").or(fact.text("port")).filter(|d| !d.is_empty()).map(str::to_owned);
    let mut of_title: HashMap<String, Vec<String>> = HashMap::new();
    for (fact, title) in events.iter().zip(&titles) {
        let Some(device) = device(fact) else { continue };
        let devices = of_title.entry(title.clone()).or_default();
        if devices.len() <= MAX_DEVICES && !devices.contains(&device) {
            devices.push(device);
        }
    }
    let told_apart = |title: &String| of_title.get(title).is_some_and(|d| (2..=MAX_DEVICES).contains(&d.len()));
    let named = events.iter().zip(titles).map(|(fact, title)| match device(fact) {
        Some(device) if told_apart(&title) => format!("{title} ({device})"),
        _ => title,
    });
    named.collect()
}

/// The title of each event, with the function that the verdict blames in place of the one the report names.
fn titles(case: &Case, events: &[&Fact]) -> Vec<String> {
    let mut blamed: HashMap<usize, &str> = HashMap::new();
    for fact in case.facts.iter().filter(|f| f.kind == "derived.blamed") {
        if let (Some(at), Some(function)) =
            (fact.int("event").and_then(|at| usize::try_from(at).ok()), fact.text("function"))
        {
            blamed.insert(at, function);
        }
    }
    let places: HashMap<*const Fact, usize> =
        case.facts.iter().enumerate().map(|(at, f)| (std::ptr::from_ref(f), at)).collect();
    events
        .iter()
        .map(|fact| {
            let title = fact.text("title").filter(|t| !t.is_empty()).unwrap_or(&fact.quote);
            let function = places.get(&std::ptr::from_ref(*fact)).and_then(|at| blamed.get(at));
            match (title.rsplit_once(" in "), function) {
                (Some((head, tail)), Some(function))
                    if tail.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.')) =>
                {
                    format!("{head} in {function}")
                }
                _ => title.to_owned(),
            }
        })
        .collect()
}

fn line(group: &Group, boot: bool, wall: bool, wide: usize) -> String {
    let mut out = String::new();
    if boot || !wall {
        let seconds = group.first.and_then(|t| t.since_boot_ns).map(|ns| format!("{:.6}", ns as f64 / 1e9));
        let _ = write!(out, "{:>14}  ", seconds.as_deref().unwrap_or("?"));
    }
    if wall {
        let _ = write!(out, "{:20}  ", group.first.and_then(wall_clock).unwrap_or_default());
    }
    let mut title: String = group.title.chars().take(LONGEST).collect();
    if title.len() < group.title.len() {
        title.push('…');
    }
    let _ = write!(out, "{:8} {:wide$} {}", group.severity, group.class, printable(&title));
    if group.count > 1 {
        let _ = write!(out, "  ({})", repetition(group));
    }
    if !group.marks.is_empty() {
        let _ = write!(out, "  ({})", printable(&group.marks.join("; ")));
    }
    let _ = write!(out, "  [{}]", printable(&group.origin));
    out
}

/// `12 times, to 567.123456, every 10.2 s`
fn repetition(group: &Group) -> String {
    let mut out = format!("{} times", group.count);
    let mut seconds = group.seconds.clone();
    seconds.sort_by(f64::total_cmp);
    let (Some(first), Some(last)) = (seconds.first(), seconds.last()) else { return out };
    if last <= first {
        return out;
    }
    if group.first.is_some_and(|t| t.since_boot_ns.is_some()) {
        let _ = write!(out, ", to {last:.6}");
    } else {
        let _ = write!(out, " in {}", span(last - first));
    }
    let mut intervals: Vec<f64> = seconds.iter().zip(seconds.iter().skip(1)).map(|(a, b)| b - a).collect();
    intervals.sort_by(f64::total_cmp);
    let middle = intervals.get(intervals.len() / 2).copied().unwrap_or_default();
    let near = intervals.iter().filter(|i| REGULAR.contains(&(**i / middle))).count();
    if seconds.len() as u64 == group.count && intervals.len() >= 2 && near * 10 >= intervals.len() * 9 {
        let _ = write!(out, ", every {}", span(middle));
    }
    out
}

/// A duration as a person says it.
fn span(seconds: f64) -> String {
    match seconds {
        s if s < 120.0 => format!("{s:.1} s"),
        s if s < 7200.0 => format!("{:.0} min", s / 60.0),
        s if s < 172_800.0 => format!("{:.1} h", s / 3600.0),
        s => format!("{:.1} days", s / 86_400.0),
    }
}

/// `2026-11-21 10:15:55Z`, without `Z` when the zone is not known, and `Nov 21 10:15:55` when the year is not.
fn wall_clock(time: Stamp) -> Option<String> {
    let at = jiff::Timestamp::from_nanosecond(i128::from(time.wall_ns?)).ok()?;
    let at = jiff::tz::Offset::UTC.to_datetime(at);
    let format = match at.year() {
        _ if time.wall_exact => "%Y-%m-%d %H:%M:%SZ",
        // A stamp without year stands in 1970.
        1970 => "%b %e %H:%M:%S",
        _ => "%Y-%m-%d %H:%M:%S",
    };
    Some(at.strftime(format).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(log: &str) -> String {
        crate::extract::text_cases("log", log.as_bytes()).iter().map(timeline).collect()
    }

    #[test]
    fn equal_events_are_one_line_with_their_cadence() {
        let wait = |at: u32| {
            format!("[{at:5}.000000] unregister_netdevice: waiting for eth0 to become free. Usage count = 1\n")
        };
        let text = of(&(wait(100) + &wait(110) + &wait(120) + &wait(130)));
        assert!(text.contains("    100.000000  "), "{text}");
        assert!(text.contains("(4 times, to 130.000000, every 10.0 s)"), "{text}");
        assert_eq!(text.lines().count(), 2, "{text}");
    }

    #[test]
    fn a_stamp_without_year_stays_so() {
        let text = of(
            "Nov 23 14:32:51 ci3 kernel: [387120.141130] unregister_netdevice: waiting for eth0 to become free. Usage count = 1\n",
        );
        assert!(text.contains("387120.141130  Nov 23 14:32:51 "), "{text}");
        let text =
            of("[Sat Nov 21 10:15:55 2026] unregister_netdevice: waiting for eth0 to become free. Usage count = 1\n");
        assert!(text.lines().nth(1).unwrap().starts_with("2026-11-21 10:15:55   "), "{text}");
    }
}
