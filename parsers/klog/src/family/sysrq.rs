//! Magic SysRq: somebody asked for it.

use facts::FieldType;

use super::{Before, Family, From, Opened, field, kind, no_finish};
use crate::event::{Event, Severity};
use crate::report::{Report, Step, task_line};
use crate::{Line, class};

pub(super) static FAMILY: Family = Family {
    name: "sysrq",
    anchors: &["sysrq: ", "SysRq : "],
    from: From::Kernel,
    open,
    body,
    finish: no_finish,
    kind: kind(
        "log.sysrq",
        "A magic SysRq key or a write to /proc/sysrq-trigger",
        &[field("what", FieldType::Text, "", "what was asked for, as printed: Trigger a crash, Show State, ...")],
    ),
};

fn open(line: &Line<'_>, _: Before<'_>) -> Option<Opened> {
    let text = line.text();
    let text = text.strip_prefix("sysrq: ").unwrap_or(text);
    let bare = text.len() == line.text().len();
    let what = match text.strip_prefix("SysRq : ") {
        Some(what) => what,
        None if bare => return None,
        None => text,
    };
    let event = Event::new(FAMILY.name, class::CLEAN, Severity::Notice)
        .titled(format!("sysrq: {what}"))
        .with("what", what.trim());
    // The dumps that were asked for hold frames.
    if what.starts_with("Show") { Opened::trace(event) } else { Opened::line(event) }
}

/// The dump was asked for to see who is blocked (`w`).
fn is_of_blocked(report: &Report) -> bool {
    report.event.fields.get("what").and_then(|what| what.as_text()) == Some(super::BLOCKED_TASKS)
}

fn body(report: &mut Report, line: &Line<'_>) -> Step {
    match task_line(line.text()) {
        // The list of blocked tasks: each of them is a report.
        Some(task) if task.state == Some('D') && is_of_blocked(report) => Step::Stop,
        Some(task) => {
            report.begin_task_stack(task);
            Step::Take
        }
        None => Step::Pass,
    }
}
