//! `BUG: workqueue lockup - pool cpus=0 node=0 flags=0x0 nice=0 stuck for 43s!`

use facts::{FieldType, Value};

use super::{Before, Family, From, Opened, field, kind};
use crate::cursor::{Cursor, number_after, split};
use crate::event::{Event, Severity};
use crate::report::{Report, Step};
use crate::{Line, class};

pub(super) static FAMILY: Family = Family {
    name: "workqueue_lockup",
    anchors: &["BUG: workqueue lockup"],
    from: From::Kernel,
    open,
    body,
    finish,
    kind: kind(
        "log.workqueue_lockup",
        "A pool of workers made no progress",
        &[
            field("seconds", FieldType::Int, "s", "time without progress"),
            field("pool", FieldType::Text, "", "the pool as printed"),
            field("in_flight", FieldType::List, "", "work functions that were running, as printed"),
            field("in_flight_of_pool", FieldType::List, "", "those of the pool that made no progress"),
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

/// The lines that are being read are of the pool that made no progress.
const OF_POOL: &str = "of_pool";

fn add(event: &mut Event, name: &'static str, item: &str) {
    match event.fields.get_mut(name) {
        Some(Value::List(items)) if items.len() < MAX_ITEMS => items.push(item.into()),
        Some(_) => {}
        None => event.set(name, vec![item]),
    }
}

fn finish(report: &mut Report) {
    report.event.fields.remove(OF_POOL);
}

fn body(report: &mut Report, line: &Line<'_>) -> Step {
    let text = line.text();
    for (head, name) in [("in-flight: ", "in_flight"), ("pending: ", "pending")] {
        if let Some(rest) = text.strip_prefix(head) {
            let of_pool = name == "in_flight" && report.event.fields.contains_key(OF_POOL);
            for item in rest.split(", ") {
                add(&mut report.event, name, item);
                if of_pool {
                    add(&mut report.event, "in_flight_of_pool", item);
                }
            }
            return Step::Take;
        }
    }
    // `pwq 4: cpus=2 node=0 flags=0x0 nice=0 active=2/256 refcnt=3`
    if text.starts_with("pwq ") {
        let pool = report.event.fields.get("pool").and_then(Value::as_text).unwrap_or_default();
        let same = !pool.is_empty() && split(text, ": ").is_some_and(|(_, rest)| rest.starts_with(pool));
        report.event.fields.remove(OF_POOL);
        if same {
            report.event.set(OF_POOL, true);
        }
        return Step::Take;
    }
    for head in [
        "Showing busy workqueues",
        "Showing backtraces of running workers",
        "workqueue ",
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

#[cfg(test)]
mod tests {
    use super::super::tests::fields;

    #[test]
    fn the_work_of_the_pool_that_stands_still_is_told_apart() {
        let text = "[  100.000001] BUG: workqueue lockup - pool cpus=2 node=0 flags=0x0 nice=0 stuck for 31s!\n\
             [  100.000002] Showing busy workqueues and worker pools:\n[  100.000003] workqueue events: flags=0x0\n\
             [  100.000004]   pwq 4: cpus=2 node=0 flags=0x0 nice=0 active=2/256 refcnt=3\n\
             [  100.000005]     in-flight: 3000:damage_work [drm_kms_helper]\n\
             [  100.000006]   pwq 6: cpus=3 node=0 flags=0x0 nice=0 active=1/256 refcnt=2\n\
             [  100.000007]     in-flight: 77:other_work\n";
        let told = fields(text, &["in_flight_of_pool", "in_flight", "of_pool"]);
        assert!(told[0].contains("damage_work") && !told[0].contains("other_work"), "{told:?}");
        assert!(told[1].contains("other_work") && told[2].is_empty(), "{told:?}");
    }
}
