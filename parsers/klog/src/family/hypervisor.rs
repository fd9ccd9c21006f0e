//! What a Xen hypervisor says on the console it shares with its guests.

use facts::FieldType;

use super::{Before, Family, From, Opened, field, kind, no_finish};
use crate::cursor::{after, has, number_after, split};
use crate::event::{Event, Severity};
use crate::report::{Report, Step, location};
use crate::{Line, class};

pub(super) static FAMILY: Family = Family {
    name: "hypervisor",
    anchors: &[
        ") Panic on CPU",
        "] Panic on CPU",
        "Xen BUG at",
        "Xen WARN at",
        "FATAL TRAP: vector",
        "FATAL PAGE FAULT",
        "crashed on cpu#",
    ],
    from: From::Kernel,
    open,
    body,
    finish: no_finish,
    kind: kind(
        "log.hypervisor",
        "Xen itself stopped, or a guest of it crashed",
        &[
            field("what", FieldType::Text, "", "panic, bug, warning, domain-crash"),
            field("domain", FieldType::Int, "", "domain that crashed"),
            field("detail", FieldType::Text, "", "the text"),
        ],
    ),
};

fn open(line: &Line<'_>, before: Before<'_>) -> Option<Opened> {
    let rest = speech(line.text())?;
    let new = |what: &'static str, class: &'static str, severity| {
        Event::new(FAMILY.name, class, severity).titled(format!("Xen: {what}")).with("what", what).with("detail", rest)
    };
    if rest.starts_with("Domain ") && has(rest, " crashed on cpu#") {
        let mut event = new("domain-crash", class::KERNEL_PANIC, Severity::Report)
            .with_opt("domain", number_after(rest, "Domain "));
        event.cpu = number_after(rest, " cpu#").and_then(|n| u32::try_from(n).ok());
        return Opened::lines(event);
    }
    // `Panic on CPU 0:` ends what `Xen BUG at` began.
    if before.current.is_some_and(|e| e.family == FAMILY.name) {
        return None;
    }
    let mut event = if rest.starts_with("Xen BUG at ") {
        new("bug", class::BUG_ON, Severity::Panic)
    } else if rest.starts_with("Xen WARN at ") {
        new("warning", class::WARNING, Severity::Report)
    } else if ["Panic on CPU", "FATAL TRAP", "FATAL PAGE FAULT"].iter().any(|head| rest.starts_with(head)) {
        new("panic", class::KERNEL_PANIC, Severity::Panic)
    } else {
        return None;
    };
    event.cpu = number_after(rest, "on CPU ").and_then(|n| u32::try_from(n).ok());
    Opened::lines(event)
}

/// What the hypervisor says, without its stamp: `(XEN) [ 3423.961389] Domain 24 (vcpu#1) crashed on cpu#5:`.
fn speech(text: &str) -> Option<&str> {
    let rest = text.strip_prefix("(XEN)")?.trim_start();
    let stamp = rest.strip_prefix('[').and_then(|r| split(r, "] "));
    let stamp =
        stamp.filter(|(stamp, _)| stamp.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b' ' | b'-' | b':')));
    Some(stamp.map_or(rest, |(_, rest)| rest.trim_start()))
}

fn body(report: &mut Report, line: &Line<'_>) -> Step {
    let Some(rest) = speech(line.text()) else { return Step::Pass };
    if rest.starts_with("Domain ") && has(rest, " crashed on cpu#") {
        return Step::Stop;
    }
    // `RIP:    e008:[<ffff82d080203b1c>] domain.c#f+0x1/0x2`
    if rest.starts_with("RIP:") && report.event.place.is_none() {
        report.event.place = after(rest, ">] ").and_then(location);
    }
    if rest.starts_with("FATAL TRAP") || rest.starts_with("FATAL PAGE FAULT") {
        report.event.set("detail", rest);
    }
    if rest.starts_with("Reboot in ") { Step::End } else { Step::Take }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{events, fields};

    #[test]
    fn a_panic_of_the_hypervisor_is_one_event() {
        let text = "(XEN) Xen BUG at domain.c:123\n(XEN) ----[ Xen-4.13  x86_64  debug=n ]----\n(XEN) CPU:    3\n\
             (XEN) RIP:    e008:[<ffff82d080203b1c>] schedule_tail+0x1c/0x40\n(XEN) Panic on CPU 3:\n\
             (XEN) FATAL TRAP: vector = 6 (invalid opcode)\n(XEN) Reboot in five seconds...\n";
        assert_eq!(events(text).len(), 1);
        assert_eq!(fields(text, &["severity", "class", "function"]), ["panic", "bug-on", "schedule_tail"]);
        let text = "(XEN) Xen WARN at msi.c:433\n(XEN) ----[ Xen-4.14.5  x86_64  debug=n   Not tainted ]----\n\
             (XEN) RIP:    e008:[<ffff82d0402eceb0>] unmask_msi_irq+0x20/0x30\n";
        assert_eq!(fields(text, &["severity", "class", "function"]), ["report", "warning", "unmask_msi_irq"]);
        let text = "(XEN) [ 3423.961388] domain_crash called from vmx.c:1\n(XEN) [ 3423.961389] Domain 24 (vcpu#1) crashed on cpu#5:\n\
             (XEN) [ 3423.961392] RIP:    0010:[<ffffffffc08eede5>]\n";
        assert_eq!(fields(text, &["domain", "cpu", "severity"]), ["24", "5", "report"]);
        let text = "(XEN) Domain 1 (vcpu#0) crashed on cpu#2:\n";
        assert_eq!(fields(text, &["domain", "cpu", "severity"]), ["1", "2", "report"]);
        assert!(events("(XEN) Xen version 4.13.1 (Debian)\n(XEN) Brought up 8 CPUs\n").is_empty());
    }
}
