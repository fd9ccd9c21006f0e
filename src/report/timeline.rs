//! The events of a case, one a line, equal ones grouped.

use std::fmt::Write as _;

use super::{printable, subject};
use crate::case::Case;

/// Events that print the same title, in the order of their first.
struct Group {
    title: String,
    severity: String,
    class: String,
    count: u64,
    first: Option<f64>,
    last: Option<f64>,
    origin: String,
}

/// The timeline.
pub fn timeline(case: &Case) -> String {
    let mut groups: Vec<Group> = Vec::new();
    for fact in case.facts.iter().filter(|f| f.kind.starts_with("log.")) {
        let title = fact.text("title").filter(|t| !t.is_empty()).unwrap_or(&fact.quote).to_owned();
        let severity = fact.text("severity").unwrap_or("notice").to_owned();
        let time = fact.time.and_then(|t| t.since_boot_ns.or(t.wall_ns)).map(|ns| ns as f64 / 1e9);
        let count = fact.int("repeats").and_then(|n| u64::try_from(n).ok()).unwrap_or(1);
        match groups.iter_mut().find(|g| g.title == title && g.severity == severity) {
            Some(group) => {
                group.count += count;
                group.last = time.or(group.last);
            }
            None => groups.push(Group {
                title,
                severity,
                class: fact.text("class").unwrap_or_default().to_owned(),
                count,
                first: time,
                last: time,
                origin: fact.origin.to_string(),
            }),
        }
    }
    let mut out = format!("{}\n", subject(&case.identity));
    for group in &groups {
        let when = group.first.map_or_else(|| "           ?".to_owned(), |t| format!("{t:12.6}"));
        let _ = write!(out, "{when}  {:8} {:22} {}", group.severity, group.class, printable(&group.title));
        if group.count > 1 {
            let _ = write!(out, "  ({} times", group.count);
            if let (Some(first), Some(last)) = (group.first, group.last)
                && last > first
            {
                let _ = write!(
                    out,
                    " over {:.0} s, every {:.1} s",
                    last - first,
                    (last - first) / (group.count - 1) as f64
                );
            }
            out.push(')');
        }
        let _ = writeln!(out, "  [{}]", printable(&group.origin));
    }
    if groups.is_empty() {
        out.push_str("no events\n");
    }
    out
}
