//! `Kernel panic - not syncing: reason`

use facts::FieldType;

use super::{Before, Family, Form, From, Opened, field, kind};
use crate::cursor::{after, between, has, split};
use crate::event::{Event, Severity};
use crate::report::{Report, Step};
use crate::{Line, class};

pub(super) static FAMILY: Family = Family {
    name: "panic",
    anchors: &["Kernel panic - not syncing"],
    from: From::Kernel,
    open,
    body,
    finish,
    kind: kind(
        "log.panic",
        "The kernel stopped the machine",
        &[
            field("reason", FieldType::Text, "", "reason as printed"),
            field(
                "group",
                FieldType::Text,
                "",
                "oops, policy, sysrq, init, root, oom, corruption, filesystem, fencing, hardware, watchdog, other",
            ),
            field("after", FieldType::Text, "", "title of the report that led to it, if it stands directly before"),
        ],
    ),
};

fn open(line: &Line<'_>, before: Before<'_>) -> Option<Opened> {
    let text = line.text();
    // The end of the report says the reason again: where the start is lost, that is all there is.
    let end = text.strip_prefix(END);
    if end.is_some() && (before.current.is_some() || before.panicked) {
        return None;
    }
    let (rest, lost) = match end {
        Some(end) => (split(end, " ]--").map_or(end, |(reason, _)| reason), true),
        None => (text.strip_prefix("Kernel panic - not syncing")?, false),
    };
    let reason = rest.trim_start_matches(':').trim();
    let mut event = Event::new(FAMILY.name, class::KERNEL_PANIC, Severity::Panic);
    set_reason(&mut event, reason);
    let (_, group) = class_of(reason);
    // Registers without a frame may be anybody's.
    let tells = |c: &Event| c.family != "headless" || c.stacks.iter().any(|s| !s.frames.is_empty());
    if let Some(current) = before.current.filter(|c| c.severity == Severity::Report && tells(c)) {
        event = event.with("after", current.title.as_str());
        // A policy (`panic_on_warn`) stops a report before its trace, which then follows the panic.
        if group != "oops" && !reason.is_empty() && current.stacks.iter().all(|s| s.frames.is_empty()) {
            return Some(Opened { event, form: Form::Line, inside: true, headless: false });
        }
    } else if let Some(last) = before.last {
        event = event.with("after", last);
    } else if lost {
        event.corrupted = Some(super::NO_HEAD.to_owned());
    } else if matches!(group, "oops" | "policy") {
        event.corrupted = Some("the report that led to the panic is not in the text".to_owned());
    }
    if lost { Opened::line(event) } else { Opened::trace(event) }
}

/// What stands before the reason in the last line of a panic.
pub(super) const END: &str = "---[ end Kernel panic - not syncing";

fn set_reason(event: &mut Event, reason: &str) {
    let (class, group) = class_of(reason);
    event.class = class;
    event.title = format!("kernel panic: {reason}");
    event.set("reason", reason);
    event.set("group", group);
}

/// Does the report lack the reason, and the line have it? Real-time kernels of 5.10 print it as a record of its own; the end
/// of the report says it again.
fn names_reason<'a>(report: &Report, text: &'a str) -> Option<&'a str> {
    const OTHERS: &[&str] =
        &["CPU: ", "Hardware name", "Call ", "Kernel Offset", "[<", "---[", "Rebooting in", "Dumping "];
    if report.event.fields.get("reason").and_then(|v| v.as_text()) != Some("") {
        return None;
    }
    let end = between(text, "---[ end Kernel panic - not syncing: ", " ]---");
    let first = report.event.last_line == report.event.first_line && OTHERS.iter().all(|head| !text.starts_with(head));
    end.or(Some(text).filter(|text| first && !text.is_empty() && text.len() <= 200))
}

/// Class and group of a reason.
pub(super) fn class_of(reason: &str) -> (&'static str, &'static str) {
    const TABLE: &[(&str, &str, &str)] = &[
        ("Fatal exception", class::KERNEL_PANIC, "oops"),
        ("sysrq triggered", class::KERNEL_PANIC, "sysrq"),
        ("softlockup:", class::SOFT_LOCKUP, "policy"),
        ("Hard LOCKUP", class::HARD_LOCKUP, "policy"),
        ("hard LOCKUP", class::HARD_LOCKUP, "policy"),
        ("hung_task:", class::HUNG_TASK, "policy"),
        ("RCU Stall", class::RCU_STALL, "policy"),
        ("panic_on_warn set", class::WARNING, "policy"),
        ("system warned too often", class::WARNING, "policy"),
        ("panic_on_taint", class::KERNEL_PANIC, "policy"),
        ("Oopsed too often", class::KERNEL_PANIC, "policy"),
        ("panic_on_oom", class::OOM, "oom"),
        ("Out of memory", class::OOM, "oom"),
        ("System is deadlocked on memory", class::OOM, "oom"),
        ("Attempted to kill init", class::INIT_KILLED, "init"),
        ("Attempted to kill the idle", class::INIT_KILLED, "init"),
        ("Unable to mount root", class::NO_ROOT, "root"),
        ("No working init", class::NO_ROOT, "root"),
        ("Requested init", class::NO_ROOT, "root"),
        ("list corruption", class::LIST_CORRUPTION, "corruption"),
        ("stack is corrupted", class::STACK_CORRUPTION, "corruption"),
        ("stack-protector", class::STACK_CORRUPTION, "corruption"),
        ("corrupted stack end", class::STACK_OVERFLOW, "corruption"),
        ("kernel stack overflow", class::STACK_OVERFLOW, "corruption"),
        ("machine check", class::HARDWARE_MCE, "hardware"),
        ("Machine check", class::HARDWARE_MCE, "hardware"),
        ("Not all CPUs entered broadcast", class::HARDWARE_MCE, "hardware"),
        ("MCA architectural", class::HARDWARE_MCE, "hardware"),
        ("Fatal hardware error", class::HARDWARE_MCE, "hardware"),
        // Somebody's access that nobody answered: a device without clock or power as often as a defect.
        ("SError", class::KERNEL_PANIC, "hardware"),
        ("Watchdog detected LOCKUP", class::HARD_LOCKUP, "policy"),
        ("panic forced after error", class::FS_CORRUPTION, "filesystem"),
        ("panic from previous error", class::FS_CORRUPTION, "filesystem"),
        ("-fs panic", class::FS_CORRUPTION, "filesystem"),
        ("dm-verity device", class::FS_CORRUPTION, "filesystem"),
        ("panic requested", class::FS_SHUTDOWN, "filesystem"),
        ("ocfs2 is very sorry", class::KERNEL_PANIC, "fencing"),
        ("sbd", class::KERNEL_PANIC, "fencing"),
        ("Machine halted", class::KERNEL_PANIC, "oops"),
        ("bad mode", class::TRAP, "oops"),
        ("killing interrupt handler", class::KERNEL_PANIC, "oops"),
        ("UE page", class::HARDWARE_MEMORY, "hardware"),
        ("Uncorrected Error", class::HARDWARE_MEMORY, "hardware"),
        ("NMI", class::KERNEL_PANIC, "hardware"),
        ("PCI Parity", class::HARDWARE_PCIE, "hardware"),
        ("pretimeout", class::KERNEL_PANIC, "watchdog"),
        ("pre-timeout", class::KERNEL_PANIC, "watchdog"),
        ("Watchdog Timer expired", class::KERNEL_PANIC, "watchdog"),
    ];
    TABLE
        .iter()
        .find(|(text, ..)| reason.contains(text))
        .map_or((class::KERNEL_PANIC, "other"), |(_, class, group)| (class, group))
}

fn body(report: &mut Report, line: &Line<'_>) -> Step {
    let text = line.text();
    if let Some(reason) = names_reason(report, text) {
        set_reason(&mut report.event, reason);
        return if text.starts_with("---[ end") { Step::End } else { Step::Take };
    }
    if text.starts_with("---[ end Kernel panic") || text.starts_with("Rebooting in") {
        return Step::End;
    }
    if text.starts_with("Kernel Offset:")
        || text.starts_with("Dumping ftrace buffer")
        || has(text, "stopping secondary CPUs")
    {
        return Step::Take;
    }
    if text.starts_with("Shutting down cpus with NMI") {
        return Step::Take;
    }
    if let Some(reason) = after(text, "Kernel panic - not syncing: ") {
        // Two consoles print each line twice.
        if report.event.fields.get("reason").and_then(|v| v.as_text()) == Some(reason) {
            return Step::Take;
        }
    }
    Step::Pass
}

fn finish(_: &mut Report) {}

#[cfg(test)]
mod tests {
    use super::super::tests::{events, fields};

    #[test]
    fn the_reason_may_be_a_record_of_its_own() {
        let cut = "[   39.894589] Kernel panic - not syncing:\n\
             [   39.941033] hung_task: blocked tasks\n\
             [   39.941484] CPU: 0 PID: 32 Comm: khungtaskd Tainted: G OE 5.10.0-43-rt-amd64 #1\n\
             [   39.941700] Call Trace:\n\
             [   39.941800]  dump_stack+0x6b/0x83\n\
             [   40.050934] ---[ end Kernel panic - not syncing: hung_task: blocked tasks ]---\n";
        let told = ["hung_task: blocked tasks", "hung-task", "policy"];
        assert_eq!(
            (events(cut).len(), fields(cut, &["reason", "class", "group"])),
            (1, told.map(str::to_owned).to_vec())
        );
        let at_end = "[   17.812569] Kernel panic - not syncing:\n\
             [   17.812570] Kernel Offset: disabled\n\
             [   17.812571] ---[ end Kernel panic - not syncing: Fatal exception in interrupt ]---\n";
        assert_eq!(fields(at_end, &["reason", "group"]), ["Fatal exception in interrupt", "oops"]);
    }
}
