//! Prints a verdict: text for a terminal, JSON, Markdown, HTML. Computes no conclusion.

mod comparison;
mod described;
mod html;
pub mod looking;
mod markdown;
mod table;
mod text;
mod timeline;

pub use comparison::comparison;
pub use described::described;
pub use html::html;
pub use markdown::markdown;
pub use text::{Style, text};
pub use timeline::timeline;

use crate::verdict::Trace;

/// Text from an input made safe to print: control characters and bidirectional overrides become `\x1b` or `\u{202e}`.
pub fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\t' => out.push(' '),
            c if c.is_control() => out.push_str(&format!("\\x{:02x}", c as u32)),
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}' => {
                out.push_str(&format!("\\u{{{:04x}}}", c as u32));
            }
            c => out.push(c),
        }
    }
    out
}

/// A gap as one line.
pub fn gap(gap: &facts::Gap) -> String {
    let closes = if gap.closes.is_empty() { String::new() } else { format!("; {} would help", gap.closes) };
    printable(&format!("not known: {} ({}): {}{closes}", gap.what, gap.place, gap.why))
}

/// A trace as lines with their depth: who is blamed and why, what the access was after, the frames.
fn trace_lines(trace: &Trace) -> Vec<(usize, String)> {
    let mut lines = Vec::new();
    for (at, b) in trace.blamed.iter().enumerate() {
        let module = b.module.as_ref().map(|m| format!(" [{m}]")).unwrap_or_default();
        let word = if at == 0 { "look at" } else { "or at" };
        lines.push((0, format!("{word} {}{module}: {}", b.function, b.reason)));
    }
    if let Some(fault) = &trace.fault {
        lines.push((0, format!("access: {fault}")));
    }
    let mut who = format!("{} ({})", trace.name, trace.origin);
    if let Some(cpu) = trace.cpu {
        who.push_str(&format!(", CPU {cpu}"));
    }
    if let Some(pid) = trace.pid {
        who.push_str(&format!(", pid {pid}"));
    }
    if let Some(comm) = &trace.comm {
        who.push_str(&format!(" {comm}"));
    }
    lines.push((0, who));
    if trace.above > 0 {
        lines.push((1, format!("... {} of the report and its interrupt", trace.above)));
    }
    lines.extend(trace.frames.iter().map(|frame| (1, frame.clone())));
    if trace.left_out > 0 {
        lines.push((1, format!("... {} more", trace.left_out)));
    }
    lines
}

/// How a boot ended, in a line.
fn boot_end(boot: &crate::verdict::BootEnd) -> String {
    let mut line = match &boot.kernel {
        Some(kernel) => kernel.clone(),
        None => "a boot".to_owned(),
    };
    if let Some(time) = &boot.time {
        line.push_str(&format!(" until {time}"));
    }
    let how = match boot.ended.as_str() {
        "requested" => "shut down or restarted as asked",
        "crash-requested" => "crashed as asked",
        "panic" => "panicked",
        "watchdog" => "reset by a watchdog",
        "fenced" => "fenced by its cluster",
        "hypervisor" => "ended by the hypervisor",
        "power" => "lost power",
        "thermal" => "too hot",
        "hardware" => "hardware error",
        "kexec" => "went on into another kernel by kexec",
        "reset-by-hand" => "reset by hand",
        "hung" => "hung, then reset",
        "silent-reset" => "reset without a word",
        "clean" => "shut down",
        "unclean" => "not shut down",
        other => other,
    };
    line.push_str(&format!(": {how}"));
    if !boot.sure {
        line.push_str(" (inferred)");
    }
    match (boot.dump.as_deref(), &boot.dump_why) {
        (Some("partial"), Some(why)) => line.push_str(&format!("; its vmcore is not whole: {why}")),
        (Some("absent"), Some(why)) => line.push_str(&format!("; no vmcore: {why}")),
        (Some("saved"), _) => line.push_str("; its vmcore was saved"),
        (Some("given"), _) => line.push_str("; its vmcore is here"),
        _ => {}
    }
    printable(&line)
}

/// The sentence that says which machine a verdict is about.
fn subject(identity: &facts::Identity) -> String {
    let mut parts = Vec::new();
    if let Some(host) = &identity.host {
        parts.push(format!("host {host}"));
    }
    match &identity.kernel {
        Some(kernel) => parts.push(format!("kernel {kernel}")),
        None => parts.push("kernel release unknown".to_owned()),
    }
    if let Some(arch) = &identity.arch {
        parts.push(arch.clone());
    }
    if let Some(time) = &identity.boot_time {
        parts.push(format!("booted {time}"));
    }
    printable(&parts.join(", "))
}

/// How the kernel of a dump was started and how it stands, in a line.
fn machine(verdict: &crate::verdict::Verdict) -> Option<String> {
    let machine = verdict.machine.as_ref()?;
    let mut parts = Vec::new();
    if let Some(seconds) = machine.uptime_s.and_then(|s| u64::try_from(s).ok()) {
        parts.push(format!("up {}", uptime(seconds)));
    }
    if let Some(cpus) = machine.cpus {
        parts.push(format!("{cpus} CPUs"));
    }
    match machine.taint.as_deref() {
        Some("") => parts.push("not tainted".to_owned()),
        Some(letters) => parts.push(format!("tainted {letters}")),
        None => {}
    }
    if let Some(line) = &machine.command_line {
        parts.push(format!("started with: {line}"));
    }
    (!parts.is_empty()).then(|| printable(&parts.join(", ")))
}

/// `3 days, 04:05:06`, as crash has it.
fn uptime(seconds: u64) -> String {
    let days = match seconds / 86_400 {
        0 => String::new(),
        1 => "1 day, ".to_owned(),
        n => format!("{n} days, "),
    };
    format!("{days}{:02}:{:02}:{:02}", seconds / 3600 % 24, seconds / 60 % 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_uptime_is_told_in_days_and_hours() {
        assert_eq!(uptime(31), "00:00:31");
        assert_eq!(uptime(90_061), "1 day, 01:01:01");
        assert_eq!(uptime(2 * 86_400), "2 days, 00:00:00");
    }

    #[test]
    fn terminal_escapes_in_a_log_are_shown_not_sent() {
        assert_eq!(printable("a\x1b[31mb\u{202e}c"), "a\\x1b[31mb\\u{202e}c");
    }
}
