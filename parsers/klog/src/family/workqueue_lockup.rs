//! `BUG: workqueue lockup - pool cpus=0 node=0 flags=0x0 nice=0 stuck for 43s!`

use facts::{FieldType, Value};

use super::{Before, Family, From, Opened, field, kind, no_finish};
use crate::cursor::{Cursor, number_after};
use crate::event::{Event, Severity};
use crate::report::{Report, Step};
use crate::{Line, class};

pub(super) static FAMILY: Family = Family {
    name: "workqueue_lockup",
    anchors: &["BUG: workqueue lockup"],
    from: From::Kernel,
    open,
    body,
    finish: no_finish,
    kind: kind(
        "log.workqueue_lockup",
        "A pool of workers made no progress",
        &[
            field("seconds", FieldType::Int, "s", "time without progress"),
            field("pool", FieldType::Text, "", "the pool as printed"),
            field("in_flight", FieldType::List, "", "work functions that were running, as printed"),
            field("pending", FieldType::List, "", "work functions that waited, as printed"),
        ],
    ),
};

/// Work items kept of one list.
const MAX_ITEMS: usize = 256;

fn open(line: &Line<'_>, _: Before<'_>) -> Option<Opened> {
    let mut c = Cursor::new(line.text());
    if !c.take("BUG: workqueue lockup") {
        return None;
    }
    c.skip_past("pool ");
    let pool = c.until(" stuck for").unwrap_or("");
    let mut event = Event::new(FAMILY.name, class::WORKQUEUE_LOCKUP, Severity::Report)
        .titled("BUG: workqueue lockup")
        .with("pool", pool)
        .with_opt("seconds", c.blanks().number());
    event.cpu = number_after(pool, "cpus=").and_then(|n| u32::try_from(n).ok());
    Opened::trace(event)
}

fn body(report: &mut Report, line: &Line<'_>) -> Step {
    let text = line.text();
    for (head, name) in [("in-flight: ", "in_flight"), ("pending: ", "pending")] {
        if let Some(rest) = text.strip_prefix(head) {
            for item in rest.split(", ") {
                match report.event.fields.get_mut(name) {
                    Some(Value::List(items)) if items.len() < MAX_ITEMS => items.push(item.into()),
                    Some(_) => {}
                    None => report.event.set(name, vec![item]),
                }
            }
            return Step::Take;
        }
    }
    for head in [
        "Showing busy workqueues",
        "Showing backtraces of running workers",
        "workqueue ",
        "pwq ",
        "delayed: ",
        "inactive: ",
        "pool ",
    ] {
        if text.starts_with(head) {
            return Step::Take;
        }
    }
    if text.starts_with("BUG: workqueue lockup") { Step::Stop } else { Step::Pass }
}
