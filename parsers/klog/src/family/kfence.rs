//! KFENCE: `BUG: KFENCE: use-after-free read in f+0x1/0x2`, caught by sampling on production kernels.

use facts::{Address, FieldType};

use super::object_history::{is_rule, object_stack};
use super::{Before, Family, From, Opened, field, kind, no_finish};
use crate::cursor::{Cursor, after, hex_after, number_after, split};
use crate::event::{Event, Severity};
use crate::report::{Report, Step, location_at};
use crate::{Line, class};

pub(super) static FAMILY: Family = Family {
    name: "kfence",
    anchors: &["BUG: KFENCE: "],
    from: From::Kernel,
    open,
    body,
    finish: no_finish,
    kind: kind(
        "log.kfence",
        "KFENCE caught a memory error in one of its sampled objects",
        &[
            field(
                "bug",
                FieldType::Text,
                "",
                "out-of-bounds, use-after-free, invalid, memory corruption, invalid free",
            ),
            field("access", FieldType::Text, "", "read or write"),
            field("detail", FieldType::Text, "", "the line that says where in the object"),
            field("object", FieldType::Address, "", "object"),
            field("object_size", FieldType::Int, "bytes", "its size"),
            field("cache", FieldType::Text, "", "its cache"),
        ],
    ),
};

fn open(line: &Line<'_>, _: Before<'_>) -> Option<Opened> {
    let rest = line.text().strip_prefix("BUG: KFENCE: ")?;
    let (what, place) = rest.rsplit_once(" in ")?;
    let (bug, access) = match what.rsplit_once(' ') {
        Some((bug, access @ ("read" | "write"))) => (bug, Some(access)),
        _ => (what, None),
    };
    let class = match bug {
        "use-after-free" => class::USE_AFTER_FREE,
        "out-of-bounds" | "memory corruption" => class::OUT_OF_BOUNDS,
        "invalid free" => class::INVALID_FREE,
        _ => class::PAGING_FAULT,
    };
    let mut event = Event::new(FAMILY.name, class, Severity::Report).with("bug", bug).with_opt("access", access);
    event.place = location_at(&mut Cursor::new(place));
    event.title = match &event.place {
        Some(place) => format!("KFENCE: {what} in {}", place.function),
        None => format!("KFENCE: {what}"),
    };
    Opened::trace(event)
}

fn body(report: &mut Report, line: &Line<'_>) -> Step {
    let text = line.text();
    if is_rule(text) {
        return if report.has_frames() { Step::End } else { Step::Take };
    }
    if text.starts_with("kfence-#") {
        let event = &mut report.event;
        if let Some(object) = hex_after(text, "[").or_else(|| hex_after(text, ": ")) {
            event.set("object", Address(object));
        }
        if let Some(size) = number_after(text, "size=") {
            event.set("object_size", size);
        }
        if let Some(cache) = after(text, "cache=") {
            event.set("cache", cache.split([']', ' ', ',']).next().unwrap_or(cache));
        }
        // Up to 5.12 the head of the stack stands in the same line.
        if let Some((_, head)) = split(text, "] ") {
            object_stack(report, head);
        }
        return Step::Take;
    }
    if object_stack(report, text) {
        return Step::Take;
    }
    const DETAILS: &[&str] = &[
        "Out-of-bounds ",
        "Use-after-free ",
        "Corrupted memory at ",
        "Invalid free of ",
        "Invalid read at ",
        "Invalid write at ",
    ];
    if DETAILS.iter().any(|head| text.starts_with(head)) {
        report.event.address =
            report.event.address.or_else(|| hex_after(text, " at 0x")).or_else(|| hex_after(text, " of 0x"));
        report.event.set("detail", text.trim_end_matches(':'));
        report.begin_stack("call trace");
        return Step::Take;
    }
    Step::Pass
}

#[cfg(test)]
mod tests {
    use super::super::tests::{events, stack_names};

    #[test]
    fn both_forms_of_the_object_line_are_read() {
        let found = events(
            "[   3.100000] ==================================================================\n\
             [   3.200000] BUG: KFENCE: out-of-bounds write in test_out_of_bounds_write+0x8e/0x148\n[   3.200000] \n\
             [   3.300000] Out-of-bounds write at 0xffff8c2aae23bfff (1B left of kfence-#29):\n\
             [   3.400000]  test_out_of_bounds_write+0x8e/0x148\n[   3.500000]  kthread+0x166/0x1a0\n[   3.500000] \n\
             [   3.600000] kfence-#29 [0xffff8c2aae23c000-0xffff8c2aae23c01f, size=32, cache=kmalloc-32] allocated by task 112:\n\
             [   3.700000]  test_alloc+0xf0/0x6ff\n[   3.800000] freed by task 116:\n[   3.900000]  test_double_free+0xa8/0x171\n\
             [   3.900000] CPU: 5 PID: 112 Comm: kunit Tainted: G    B             5.11.0-rc2+ #1\n\
             [   4.000000] ==================================================================\n",
        );
        assert_eq!(found.len(), 1, "{found:#?}");
        let event = &found[0];
        assert_eq!(event.title, "KFENCE: out-of-bounds write in test_out_of_bounds_write");
        assert_eq!((event.class, event.address), ("out-of-bounds", Some(0xffff_8c2a_ae23_bfff)));
        assert_eq!(stack_names(event), ["call trace", "allocated by", "freed by"]);
        assert_eq!(event.fields.get("object_size").and_then(|n| n.as_int()), Some(32));
        assert_eq!(event.release.as_deref(), Some("5.11.0-rc2+"));
    }
}
