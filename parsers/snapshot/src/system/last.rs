//! `last -x`: which boots ended with a shutdown and which did not.

use facts::Fact;

use crate::node::{Input, Node};
use crate::stamp::Stamp;
use crate::text::quote;

/// When a row began: `reboot   system boot  5.10.0-30 Thu Feb 20 08:00:00 2025 - ...`; without `-F` there are neither
/// seconds nor a year.
fn began(row: &str) -> Option<Stamp> {
    const DAYS: [&str; 7] = ["Mon ", "Tue ", "Wed ", "Thu ", "Fri ", "Sat ", "Sun "];
    let at = row.match_indices(' ').map(|(at, _)| at + 1).find(|at| {
        let rest = row.get(*at..).unwrap_or_default();
        DAYS.iter().any(|day| rest.starts_with(day))
    })?;
    Stamp::of_line(row.get(at..)?)
}

/// Rows stand newest first: what stands above a `reboot` row happened after it.
pub(crate) fn read(node: &mut Node, input: &Input<'_>) -> bool {
    let rows: Vec<(usize, &str)> = input
        .text
        .lines()
        .enumerate()
        .filter(|(_, l)| l.starts_with("reboot ") || l.starts_with("shutdown ") || l.contains(" - crash "))
        .collect();
    if rows.is_empty() {
        return input.text.contains("wtmp begins");
    }
    let knows_shutdowns = rows.iter().any(|(_, l)| l.starts_with("shutdown "));
    let mut later: Option<&str> = None;
    for (index, (line, text)) in rows.iter().enumerate() {
        if !text.starts_with("reboot ") {
            later = Some(text);
            continue;
        }
        let ending = match later {
            // A login that "crash" closed belongs to the boot below it.
            _ if text.contains(" - crash ") => Some("unclean"),
            Some(l) if l.starts_with("shutdown ") => Some("clean"),
            Some(l) if l.contains(" - crash ") => Some("unclean"),
            Some(l) if l.starts_with("reboot ") && knows_shutdowns => Some("unclean"),
            _ => None,
        };
        // An orderly end is the shutdown's time; else the boot that follows is the latest that this one can have lived.
        let above = later.replace(text);
        let Some(how) = ending.filter(|_| index < 64) else { continue };
        let kernel = text.split_ascii_whitespace().nth(3);
        node.push(
            Fact::new("node.boot_end", input.line(*line))
                .with("how", how)
                .with("source", "last")
                .with_opt("time", above.and_then(began).map(|t| t.to_string()))
                .with_opt("started", began(text).map(|t| t.to_string()))
                .with_opt("kernel", kernel)
                .with("evidence", quote(text))
                .quoting(quote(text)),
        );
    }
    true
}
