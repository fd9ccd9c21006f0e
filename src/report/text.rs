//! The verdict as text: first the verdict, then evidence, then gaps. Readable without colour, 80 columns by default.

use std::collections::HashMap;
use std::fmt::Write as _;

use anstyle::{AnsiColor, Style as Ansi};
use facts::Gap;

use super::{boot_end, machine, printable, subject, trace_lines};
use crate::verdict::{Finding, Grade, Role, Verdict};

/// How text is laid out.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    /// Columns; at least 40 are used.
    pub width: usize,
    /// Whether escape sequences for colour are written.
    pub colour: bool,
}

impl Default for Style {
    fn default() -> Self {
        Style { width: 80, colour: false }
    }
}

struct Page {
    out: String,
    style: Style,
}

/// Findings without a known bug that are told in full; of the rest one line each.
const IN_FULL: usize = 8;

const BOLD: Ansi = Ansi::new().bold();

/// The whole report.
pub fn text(verdict: &Verdict, style: Style) -> String {
    let mut page = Page { out: String::new(), style: Style { width: style.width.max(40), ..style } };
    page.wrapped("", &subject(&verdict.identity));
    if let Some(machine) = machine(verdict) {
        page.wrapped("", &machine);
    }
    let mut shown = verdict.findings.iter();
    match verdict.findings.first() {
        None => {
            page.out.push('\n');
            page.line(&page.paint(BOLD, "No finding."));
        }
        Some(first) => {
            page.finding("VERDICT", first);
            shown.next();
        }
    }
    let mut told = 1;
    let mut rest: Vec<&Finding> = Vec::new();
    for finding in shown {
        // What is known stands in full; of the many that only say what happened, the first.
        let generic = finding.rule.starts_with("generic-");
        told += usize::from(generic);
        if generic && told > IN_FULL {
            rest.push(finding);
        } else {
            page.finding(&finding.role.word().to_uppercase(), finding);
        }
    }
    if !rest.is_empty() {
        page.heading(&format!("AND {} MORE", rest.len()));
        for finding in rest {
            let place = finding.evidence.first().map(|e| format!(" ({})", e.origin)).unwrap_or_default();
            page.wrapped("  ", &printable(&format!("{}: {}{place}", finding.role.word(), finding.title)));
        }
    }
    if !verdict.boots.is_empty() {
        page.heading("BOOTS");
        for boot in &verdict.boots {
            page.wrapped("  ", &boot_end(boot));
            page.wrapped("    ", &printable(&format!("{}  {}", boot.evidence.origin, boot.evidence.text)));
        }
    }
    if let Some(first) = verdict.registers.first() {
        page.heading(&printable(&format!("REGISTERS (in {})", first.function)));
        for register in &verdict.registers {
            page.wrapped("  ", &printable(&format!("{} {}: {}", register.register, register.value, register.what)));
        }
    }
    if !verdict.ruled_out.is_empty() {
        page.heading("RULED OUT");
        for item in &verdict.ruled_out {
            let sha = item.sha.as_deref().map(|s| format!(" {}", short(s))).unwrap_or_default();
            page.wrapped("  ", &format!("{}{sha}: {}", item.rule, printable(&item.why)));
        }
    }
    if !verdict.candidates.is_empty() {
        page.heading("CANDIDATES");
        for item in &verdict.candidates {
            page.wrapped("  ", &format!("{} {}: {}", short(&item.sha), item.rating, printable(&item.why)));
        }
    }
    if !verdict.gaps.is_empty() {
        page.heading("NOT KNOWN");
        for group in by_what_closes(&verdict.gaps) {
            let many = group.len();
            for (at, gap) in group.iter().enumerate() {
                let closes = match gap.closes.is_empty() || at + 1 < many || many >= SAID_ONCE {
                    true => String::new(),
                    false => format!(" Closed by: {}.", gap.closes),
                };
                page.wrapped("  ", &printable(&format!("{} ({}): {}.{closes}", gap.what, gap.place, gap.why)));
            }
            if let Some(gap) = group.first().filter(|gap| many >= SAID_ONCE && !gap.closes.is_empty()) {
                page.wrapped("  ", &printable(&format!("All {many} closed by: {}.", gap.closes)));
            }
        }
    }
    if !verdict.not_evaluated.is_empty() {
        page.heading("NOT EVALUATED");
        let mut by_missing: Vec<(&str, Vec<&str>)> = Vec::new();
        for item in &verdict.not_evaluated {
            let source = item.missing.split('.').next().unwrap_or(&item.missing);
            match by_missing.iter_mut().find(|(m, _)| *m == source) {
                Some((_, rules)) => rules.push(&item.rule),
                None => by_missing.push((source, vec![&item.rule])),
            }
        }
        for (source, rules) in by_missing {
            page.wrapped("  ", &format!("for want of {source} facts: {}", rules.join(", ")));
        }
    }
    if !verdict.next.is_empty() {
        page.heading("NEXT");
        for next in &verdict.next {
            page.wrapped("  ", &format!("to learn {}:", printable(&next.datum)));
            page.wrapped("    ", &printable(&next.command));
        }
    }
    page.out
}

/// From so many gaps on, wherever they stand, what closes them is said once behind all of them.
const SAID_ONCE: usize = 3;

/// The gaps that are closed by one thing together: neighbours of one kind, or many.
fn by_what_closes(gaps: &[Gap]) -> Vec<Vec<&Gap>> {
    let mut counts: HashMap<&str, usize> = HashMap::new();
    for gap in gaps.iter().filter(|gap| !gap.closes.is_empty()) {
        *counts.entry(gap.closes.as_str()).or_default() += 1;
    }
    let mut groups: Vec<Vec<&Gap>> = Vec::new();
    let mut places: HashMap<&str, usize> = HashMap::new();
    for gap in gaps {
        let many = counts.get(gap.closes.as_str()).is_some_and(|count| *count >= SAID_ONCE);
        let last = groups.last().and_then(|group| group.last());
        let goes_on = last.is_some_and(|last| last.what == gap.what && last.closes == gap.closes);
        let at = match places.get(gap.closes.as_str()) {
            Some(at) if many => Some(*at),
            _ if goes_on && !many => groups.len().checked_sub(1),
            _ => None,
        };
        match at.and_then(|at| groups.get_mut(at)) {
            Some(group) => group.push(gap),
            None => {
                places.insert(gap.closes.as_str(), groups.len());
                groups.push(vec![gap]);
            }
        }
    }
    groups
}

/// The first twelve digits of a commit id.
fn short(sha: &str) -> &str {
    sha.get(..12).unwrap_or(sha)
}

fn grade_style(grade: Option<Grade>) -> Ansi {
    match grade {
        Some(Grade::Confirmed) => Ansi::new().bold().fg_color(Some(AnsiColor::Red.into())),
        Some(Grade::Probable) => Ansi::new().bold().fg_color(Some(AnsiColor::Yellow.into())),
        Some(_) => Ansi::new().bold(),
        None => Ansi::new(),
    }
}

impl Page {
    fn paint(&self, ansi: Ansi, text: &str) -> String {
        if self.style.colour { format!("{ansi}{text}{ansi:#}") } else { text.to_owned() }
    }

    fn line(&mut self, text: &str) {
        self.out.push_str(text);
        self.out.push('\n');
    }

    fn heading(&mut self, text: &str) {
        self.out.push('\n');
        let text = self.paint(BOLD, text);
        self.line(&text);
    }

    /// A paragraph; continuation lines are indented two further.
    fn wrapped(&mut self, indent: &str, text: &str) {
        let mut column = 0usize;
        for word in text.split(' ').filter(|w| !w.is_empty()) {
            let length = word.chars().count();
            if column == 0 {
                self.out.push_str(indent);
                column = indent.len();
            } else if column + 1 + length > self.style.width {
                let _ = write!(self.out, "\n{indent}  ");
                column = indent.len() + 2;
            } else {
                self.out.push(' ');
                column += 1;
            }
            self.out.push_str(word);
            column += length;
        }
        self.out.push('\n');
    }

    fn finding(&mut self, heading: &str, finding: &Finding) {
        self.heading(heading);
        self.wrapped("  ", &printable(&finding.title));
        let grade = finding.grade.map_or_else(|| "information".to_owned(), |g| g.word().to_uppercase());
        let grade = self.paint(grade_style(finding.grade), &grade);
        let mut tail = format!("({}", printable(&finding.rule));
        if !finding.rule.ends_with(finding.class.as_str()) && finding.class != "none" {
            let _ = write!(tail, ", {}", printable(&finding.class));
        }
        if let Some(by) = &finding.explained_by {
            let _ = write!(tail, "; explained by {by}");
        } else if finding.role != Role::Information {
            let _ = write!(tail, "; {}", finding.role.word());
        }
        self.line(&format!("  {grade} {tail})"));
        for evidence in &finding.evidence {
            self.wrapped("    ", &printable(&format!("{}  {}", evidence.origin, evidence.text)));
        }
        if let Some(trace) = &finding.trace {
            // A consequence is told in short: its frames are those of a victim.
            let lines = trace_lines(trace);
            let shown = if finding.role == Role::Cause { lines.len() } else { trace.blamed.len().min(1) };
            for (indent, line) in lines.iter().take(shown) {
                self.wrapped(&" ".repeat(2 + indent * 2), &printable(line));
            }
        }
        // A fix that is there stands under RULED OUT.
        for fix in finding.fixes.iter().filter(|f| !matches!(f.status.as_str(), "present" | "not-needed")) {
            let status = match fix.status.as_str() {
                "missing" => self.paint(grade_style(Some(Grade::Probable)), "missing"),
                other => other.to_owned(),
            };
            self.wrapped("  ", &format!("fix {} {status}: {}", short(&fix.sha), printable(&fix.subject)));
            if !fix.why.is_empty() {
                self.wrapped("    ", &printable(&fix.why));
            }
        }
        for suspect in &finding.suspects {
            self.wrapped("  ", &printable(&format!("suspect {}: {}", suspect.module, suspect.why)));
        }
        for remedy in &finding.remedies {
            self.wrapped("  ", &format!("do: {}", remedy.action));
            self.wrapped("    ", &format!("verify: {}", remedy.verify));
        }
        for caveat in &finding.caveats {
            self.wrapped("  ", &printable(&format!("note: {caveat}")));
        }
        for command in &finding.recheck {
            self.wrapped("  ", &printable(&format!("recheck: {command}")));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paragraphs_keep_to_the_width_unless_a_word_is_longer() {
        let mut page = Page { out: String::new(), style: Style { width: 40, colour: false } };
        page.wrapped("  ", &"word ".repeat(30));
        assert!(page.out.lines().all(|line| line.len() <= 40), "{}", page.out);
    }

    #[test]
    fn what_closes_many_gaps_is_said_once() {
        let gap = |what: &str, closes: &str| Gap::new(what, "dump", "no layout", closes);
        let gaps = [
            gap("nets", "a pack"),
            gap("log", ""),
            gap("caches", "a pack"),
            gap("end", "all"),
            gap("cgroups", "a pack"),
        ];
        let text = super::text(&Verdict { gaps: gaps.to_vec(), ..Verdict::default() }, Style::default());
        let (_, told) = text.split_once("NOT KNOWN\n").unwrap();
        let lines: Vec<&str> = told.lines().map(str::trim).collect();
        let wanted = [
            "nets (dump): no layout.",
            "caches (dump): no layout.",
            "cgroups (dump): no layout.",
            "All 3 closed by: a pack.",
            "log (dump): no layout.",
            "end (dump): no layout. Closed by: all.",
        ];
        assert_eq!(lines, wanted);
    }
}
