//! A comparison as text.

use std::fmt::Write as _;

use super::{printable, subject};
use crate::compare::Comparison;

/// How many changed values are shown; `--format json` has all.
const MAX_VALUES: usize = 40;

/// The whole comparison.
pub fn comparison(c: &Comparison) -> String {
    let mut out = format!("before  {}\nafter   {}\n", subject(&c.before), subject(&c.after));
    if let Some(field) = &c.conflict {
        let _ = writeln!(out, "note    the two differ in {}: changes may come from that", printable(field));
    }
    if !c.remedies.is_empty() {
        out.push_str("\nDID IT HELP\n");
    }
    for r in &c.remedies {
        let word = match r.outcome {
            "took" => "yes",
            "partly" => "partly",
            "did-not-take" => "no",
            _ => "unknown",
        };
        let _ = writeln!(out, "  {word:8} {}: {}", printable(&r.rule), printable(&r.why));
    }
    out.push_str("\nFINDINGS\n");
    if c.findings.is_empty() {
        out.push_str("  no change\n");
    }
    for f in &c.findings {
        let word = |g: Option<crate::verdict::Grade>| g.map_or("-", |g| g.word());
        let _ = writeln!(out, "  {:8} {} ({} -> {})", f.change, printable(&f.rule), word(f.before), word(f.after));
    }
    out.push_str("\nSTATE\n");
    if c.values.is_empty() {
        out.push_str("  no change\n");
    }
    for v in c.values.iter().take(MAX_VALUES) {
        let _ = writeln!(
            out,
            "  {} {}: {} -> {}",
            printable(&v.what),
            printable(&v.name),
            printable(&v.before),
            printable(&v.after)
        );
    }
    if c.values.len() > MAX_VALUES {
        let _ = writeln!(out, "  and {} more (--format json)", c.values.len() - MAX_VALUES);
    }
    out
}
