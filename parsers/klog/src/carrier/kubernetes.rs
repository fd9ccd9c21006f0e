//! Kernel lines that a Kubernetes node reports: node-problem-detector's own log, and the events it makes of them.

use super::Prefix;
use crate::cursor::{Cursor, has, split};

/// Recognises what stands before the kernel's text.
pub(super) fn strip(text: &str) -> Option<Prefix<'_>> {
    let rest = watcher(text).or_else(|| event(text))?;
    Some(Prefix { rest, ..Prefix::default() })
}

/// `I1003 10:11:12.000000       1 kernel_watcher.go:123] text`, and the events that stand in such a line:
/// `... log_monitor.go:160] New status generated: &{Source:kernel-monitor Events:[{... Message:text}] Conditions:[]}`
fn watcher(text: &str) -> Option<&str> {
    if !matches!(text.as_bytes(), [b'I' | b'W' | b'E' | b'F', b'0'..=b'9', ..]) {
        return None;
    }
    let (head, rest) = split(text, "] ")?;
    let file = head.rsplit(' ').next()?;
    if !["kernel_watcher.go:", "log_monitor.go:", "kmsg_watcher", "log_watcher"].iter().any(|f| file.starts_with(f)) {
        return None;
    }
    match split(rest, " Message:") {
        Some((_, message)) => Some(split(message, "} {").or_else(|| split(message, "}]")).map_or(message, |(m, _)| m)),
        None => Some(rest),
    }
}

/// A row of `kubectl get events`: `5m  Warning  KernelOops  node/web01  text`, of `kubectl describe node`:
/// `  Warning  KernelOops  5m (x2 over 1h)  kernel-monitor, web01  text`.
fn event(text: &str) -> Option<&str> {
    let (head, rest) = split(text, " node/").or_else(|| split(text, " kernel-monitor"))?;
    let words = head.split_ascii_whitespace().count();
    if !(2..=9).contains(&words) || !(has(head, "Warning ") || has(head, "Normal ")) {
        return None;
    }
    let mut c = Cursor::new(rest);
    if c.take(", ") || !rest.starts_with(' ') {
        c.word();
    }
    let message = c.blanks().rest();
    (!message.is_empty()).then_some(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_node_reports_is_the_kernel_s_text() {
        for text in [
            "I1003 10:11:12.000000       1 kernel_watcher.go:123] body x",
            "W1003 10:11:12.000000       1 log_monitor.go:160] New status generated: &{Source:kernel-monitor \
             Events:[{Severity:warn Timestamp:2023-10-03 10:11:12 Reason:OOMKilling Message:body x}] Conditions:[]}",
            "5m          Warning   KernelOops   node/web01   body x",
            "  Warning  KernelOops  5m (x2 over 1h)  kernel-monitor, web01  body x",
            "  Warning  KernelOops  5m  kernel-monitor  body x",
        ] {
            assert_eq!(strip(text).map(|p| p.rest), Some("body x"), "{text}");
        }
        for text in ["E1114 22:13:20.000000 77 kubelet.go:1] body", "the kernel-monitor said x", "Warning node/web01"] {
            assert!(strip(text).is_none(), "{text}");
        }
    }
}
