//! The verdict as one HTML page without scripts or outside resources.

use std::fmt::Write as _;

use super::{boot_end, machine, printable, subject, trace_lines};
use crate::verdict::Verdict;

fn escape(text: &str) -> String {
    let mut out = String::new();
    for c in printable(text).chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

fn list(out: &mut String, title: &str, items: Vec<String>) {
    if !items.is_empty() {
        let _ = writeln!(out, "<h3>{title}</h3>\n<ul>");
        for item in items {
            let _ = writeln!(out, "<li>{item}</li>");
        }
        out.push_str("</ul>\n");
    }
}

/// The whole report.
pub fn html(verdict: &Verdict) -> String {
    let title = escape(&subject(&verdict.identity));
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>{title}</title>\n<style>body{{font:15px/1.5 sans-serif;max-width:60em;margin:2em auto;padding:0 1em}}code{{background:#eee;padding:0 .2em;overflow-wrap:anywhere}}.grade{{font-weight:bold}}</style>\n<h1>{title}</h1>\n"
    );
    if let Some(machine) = machine(verdict) {
        let _ = writeln!(out, "<p>{}</p>", escape(&machine));
    }
    if verdict.findings.is_empty() {
        out.push_str("<p>No finding.</p>\n");
    }
    for f in &verdict.findings {
        let grade = f.grade.map_or("information", |g| g.word());
        let by =
            f.explained_by.as_deref().map(|b| format!(", explained by <code>{}</code>", escape(b))).unwrap_or_default();
        let _ = writeln!(
            out,
            "<h2>{}</h2>\n<p><span class=\"grade\">{grade}</span>, {}, rule <code>{}</code>{by}</p>",
            escape(&f.title),
            f.role.word(),
            escape(&f.rule)
        );
        list(
            &mut out,
            "Evidence",
            f.evidence.iter().map(|e| format!("{} <code>{}</code>", escape(&e.origin), escape(&e.text))).collect(),
        );
        if let Some(trace) = &f.trace {
            let lines: Vec<String> =
                trace_lines(trace).iter().map(|(i, line)| format!("{}{}", "  ".repeat(*i), escape(line))).collect();
            let _ = writeln!(out, "<h3>Trace</h3>\n<pre>{}</pre>", lines.join("\n"));
        }
        list(
            &mut out,
            "Fixes",
            f.fixes
                .iter()
                .map(|x| {
                    format!(
                        "<code>{}</code> <b>{}</b>: {} ({})",
                        escape(&x.sha),
                        escape(&x.status),
                        escape(&x.subject),
                        escape(&x.why)
                    )
                })
                .collect(),
        );
        list(
            &mut out,
            "Suspects",
            f.suspects.iter().map(|s| format!("<code>{}</code>: {}", escape(&s.module), escape(&s.why))).collect(),
        );
        list(
            &mut out,
            "Do",
            f.remedies.iter().map(|r| format!("{} <i>Verify: {}</i>", escape(&r.action), escape(&r.verify))).collect(),
        );
        list(&mut out, "Keep in mind", f.caveats.iter().map(|c| escape(c)).collect());
        list(&mut out, "Recheck", f.recheck.iter().map(|c| format!("<code>{}</code>", escape(c))).collect());
    }
    list(
        &mut out,
        "Boots",
        verdict
            .boots
            .iter()
            .map(|b| {
                let (origin, text) = (escape(&b.evidence.origin), escape(&b.evidence.text));
                format!("{} <i>{origin}</i> <code>{text}</code>", escape(&boot_end(b)))
            })
            .collect(),
    );
    let of = verdict.registers.first().map(|r| escape(&r.function)).unwrap_or_default();
    list(
        &mut out,
        &format!("Registers in <code>{of}</code>"),
        verdict
            .registers
            .iter()
            .map(|r| format!("{} <code>{}</code>: {}", escape(&r.register), escape(&r.value), escape(&r.what)))
            .collect(),
    );
    list(
        &mut out,
        "Ruled out",
        verdict
            .ruled_out
            .iter()
            .map(|r| format!("{} {}: {}", escape(&r.rule), escape(r.sha.as_deref().unwrap_or("")), escape(&r.why)))
            .collect(),
    );
    list(
        &mut out,
        "Not known",
        verdict
            .gaps
            .iter()
            .map(|g| format!("{} ({}): {}. {}", escape(&g.what), escape(&g.place), escape(&g.why), escape(&g.closes)))
            .collect(),
    );
    list(
        &mut out,
        "Next",
        verdict
            .next
            .iter()
            .map(|n| format!("to learn {}: <code>{}</code>", escape(&n.datum), escape(&n.command)))
            .collect(),
    );
    out.push_str("</html>\n");
    out
}
