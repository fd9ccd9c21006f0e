//! The verdict as Markdown, for tickets.

use std::fmt::Write as _;

use super::{boot_end, machine, printable, subject, trace_lines};
use crate::verdict::Verdict;

/// Text made safe inside Markdown.
fn plain(text: &str) -> String {
    let mut out = String::new();
    for c in printable(text).chars() {
        if matches!(c, '\\' | '`' | '*' | '_' | '<' | '>' | '[' | ']' | '#' | '|') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

/// Text in a code span; back-quotes inside become apostrophes.
fn code(text: &str) -> String {
    format!("`{}`", printable(text).replace('`', "'"))
}

/// The whole report.
pub fn markdown(verdict: &Verdict) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "# {}\n", plain(&subject(&verdict.identity)));
    if let Some(machine) = machine(verdict) {
        let _ = writeln!(out, "{}\n", plain(&machine));
    }
    if verdict.findings.is_empty() {
        out.push_str("No finding.\n");
    }
    for finding in &verdict.findings {
        let grade = finding.grade.map_or("information", |g| g.word());
        let _ = writeln!(out, "## {}\n", plain(&finding.title));
        let _ = writeln!(out, "**{grade}**, {}, rule {}\n", finding.role.word(), code(&finding.rule));
        if let Some(by) = &finding.explained_by {
            let _ = writeln!(out, "Explained by {}.\n", code(by));
        }
        for evidence in &finding.evidence {
            let _ = writeln!(out, "- {} {}", plain(&evidence.origin), code(&evidence.text));
        }
        if let Some(trace) = &finding.trace {
            for (indent, line) in trace_lines(trace) {
                let _ = writeln!(out, "{}- {}", "  ".repeat(indent), code(&line));
            }
        }
        for fix in &finding.fixes {
            let _ = writeln!(
                out,
                "- fix {} **{}**: {} ({})",
                code(&fix.sha),
                fix.status,
                plain(&fix.subject),
                plain(&fix.why)
            );
        }
        for suspect in &finding.suspects {
            let _ = writeln!(out, "- suspect {}: {}", code(&suspect.module), plain(&suspect.why));
        }
        for remedy in &finding.remedies {
            let _ = writeln!(out, "- do: {} (verify: {})", plain(&remedy.action), plain(&remedy.verify));
        }
        for caveat in &finding.caveats {
            let _ = writeln!(out, "- note: {}", plain(caveat));
        }
        for command in &finding.recheck {
            let _ = writeln!(out, "- recheck: {}", code(command));
        }
        out.push('\n');
    }
    if !verdict.boots.is_empty() {
        out.push_str("## Boots\n\n");
        for boot in &verdict.boots {
            let _ = writeln!(
                out,
                "- {} ({} {})",
                plain(&boot_end(boot)),
                plain(&boot.evidence.origin),
                code(&boot.evidence.text)
            );
        }
        out.push('\n');
    }
    if let Some(first) = verdict.registers.first() {
        let _ = writeln!(out, "## Registers in {}\n", code(&first.function));
        for register in &verdict.registers {
            let value = code(&register.value);
            let _ = writeln!(out, "- {} {value}: {}", plain(&register.register), plain(&register.what));
        }
        out.push('\n');
    }
    if !verdict.ruled_out.is_empty() {
        out.push_str("## Ruled out\n\n");
        for item in &verdict.ruled_out {
            let sha = item.sha.as_deref().map(|s| format!(" {}", code(s))).unwrap_or_default();
            let _ = writeln!(out, "- {}{sha}: {}", code(&item.rule), plain(&item.why));
        }
        out.push('\n');
    }
    if !verdict.gaps.is_empty() {
        out.push_str("## Not known\n\n");
        for gap in &verdict.gaps {
            let _ = writeln!(
                out,
                "- {} ({}): {}. {}",
                plain(&gap.what),
                plain(&gap.place),
                plain(&gap.why),
                plain(&gap.closes)
            );
        }
        out.push('\n');
    }
    if !verdict.next.is_empty() {
        out.push_str("## Next\n\n");
        for next in &verdict.next {
            let _ = writeln!(out, "- to learn {}: {}", plain(&next.datum), code(&next.command));
        }
    }
    out
}
