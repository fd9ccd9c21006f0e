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

    #[test]
    fn what_a_stopped_cpu_ran_is_no_part_of_the_panic() {
        let text = "[ 1990.430846] Kernel panic - not syncing: Fatal exception in interrupt\n\
             [ 1990.441248] CPU3: stopping\n\
             [ 1990.447787] CPU: 3 PID: 24 Comm: ksoftirqd/3 Tainted: G      D         4.14.37-v7 #1\n\
             [ 1990.466591] [<8010ffe0>] (unwind_backtrace) from [<8010c21c>] (show_stack+0x20/0x24)\n\
             [ 1990.478256] [<8010c21c>] (show_stack) from [<8078669c>] (dump_stack+0xc8/0x10c)\n\
             [ 1990.489500] [<8078669c>] (dump_stack) from [<8010e49c>] (handle_IPI+0x2b4/0x334)\n\
             [ 1990.567394] [<807a21fc>] (__irq_svc) from [<80123c34>] (tasklet_action+0xf4/0x108)\n";
        let event = &events(text)[0];
        assert_eq!((event.cpu, event.pid, event.comm.as_deref()), (None, None, None));
        assert_eq!(event.release.as_deref(), Some("4.14.37-v7"));
        let stack = &event.stacks[0];
        assert_eq!((stack.name.as_str(), stack.cpu, stack.pid), ("stopped CPU 3", Some(3), Some(24)));
        // The end of a dump whose head is not in the text, and the next one.
        let dumps = "[   48.238399] [<ffffff8008082fb4>] el1_irq+0xb4/0x140\n\
             [   48.238829] [<ffffff8008859358>] cpuidle_enter_state+0x140/0x318\n\
             [   48.239361] [<ffffff80088595a4>] cpuidle_enter+0x34/0x48\n\
             [   48.240818] [<ffffff800808e314>] secondary_start_kernel+0x164/0x1d0\n\
             [   48.241735] CPU5: stopping\n\
             [   48.241988] CPU: 5 PID: 0 Comm: swapper/5 Tainted: G      D         4.4.179 #6\n\
             [   48.243206] Call trace:\n\
             [   48.243434] [<ffffff8008089908>] dump_backtrace+0x0/0x238\n\
             [   48.243907] [<ffffff8008089b64>] show_stack+0x24/0x30\n\
             [   48.244358] [<ffffff80084241fc>] dump_stack+0x9c/0xc0\n\
             [   48.244809] [<ffffff800808ea70>] handle_IPI+0x290/0x2a0\n";
        assert!(events(dumps).is_empty());
    }
}
