//! KMSAN: `BUG: KMSAN: uninit-value in f+0x1/0x2`, with the stacks that stored and that made the value.

use facts::FieldType;

use super::object_history::{is_physical_head, is_rule};
use super::{Before, Family, From, Opened, field, kind, no_finish};
use crate::cursor::{Cursor, has, hex_after, split};
use crate::event::{Event, Severity};
use crate::report::{Report, Step, location_at};
use crate::{Line, class};

pub(super) static FAMILY: Family = Family {
    name: "kmsan",
    anchors: &["BUG: KMSAN: "],
    from: From::Kernel,
    open,
    body,
    finish: no_finish,
    kind: kind(
        "log.kmsan",
        "The memory sanitizer caught a use of memory nobody had written",
        &[
            field("bug", FieldType::Text, "", "uninit-value, kernel-infoleak, use-after-free, ..."),
            field("bytes", FieldType::Text, "", "which bytes are uninitialised"),
            field("variable", FieldType::Text, "", "local variable the value comes from"),
        ],
    ),
};

fn open(line: &Line<'_>, _: Before<'_>) -> Option<Opened> {
    let rest = line.text().strip_prefix("BUG: KMSAN: ")?;
    let (bug, place) = split(rest, " in ")?;
    let class = if has(bug, "after-free") {
        class::USE_AFTER_FREE
    } else if has(bug, "infoleak") {
        class::INFO_LEAK
    } else {
        class::UNINIT_VALUE
    };
    let mut event = Event::new(FAMILY.name, class, Severity::Report).with("bug", bug);
    event.place = location_at(&mut Cursor::new(place));
    event.title = match &event.place {
        Some(place) => format!("KMSAN: {bug} in {}", place.function),
        None => format!("KMSAN: {bug}"),
    };
    Opened::trace(event)
}

fn body(report: &mut Report, line: &Line<'_>) -> Step {
    let text = line.text();
    if is_rule(text) {
        return if report.has_frames() { Step::End } else { Step::Take };
    }
    if is_physical_head(report, line, FAMILY.anchors[0]) {
        return Step::Take;
    }
    for (head, name) in [
        ("Uninit was stored to memory at", "stored by"),
        ("Uninit was created at", "created by"),
        ("Local variable ", "created by"),
    ] {
        if let Some(rest) = text.strip_prefix(head) {
            if head.starts_with("Local") {
                let variable = rest.trim_start_matches('-').split([' ', '@']).next().unwrap_or(rest);
                report.event.set("variable", variable);
            }
            report.begin_stack(name);
            return Step::Take;
        }
    }
    if text.starts_with("Bytes ") && has(text, "uninitialized") {
        report.event.set("bytes", text);
        return Step::Take;
    }
    if text.starts_with("Byte ") && has(text, "uninitialized") {
        report.event.set("bytes", text);
        return Step::Take;
    }
    if text.starts_with("Memory access of size ") || text.starts_with("Data copied to ") {
        report.event.address = report.event.address.or_else(|| hex_after(text, " starts at "));
        return Step::Take;
    }
    Step::Pass
}

#[cfg(test)]
mod tests {
    use super::super::tests::{events, stack_names};

    #[test]
    fn stores_and_creation_are_stacks_of_their_own() {
        let found = events(
            "[   231.700000][ T3795] BUG: KMSAN: uninit-value in nilfs_bmap_lookup_at_level+0x22e/0x4c0\n\
             [   231.700000][ T3795]  nilfs_bmap_lookup_at_level+0x22e/0x4c0\n[   231.700000][ T3795]  nilfs_iget+0x29e/0xcf0\n\
             [   231.800000][ T3795] \n[   231.800000][ T3795] Uninit was stored to memory at:\n\
             [   231.800000][ T3795]  memcpy+0x1/0x20\n[   231.800000][ T3795] Local variable key.i created at:\n\
             [   231.800000][ T3795]  nilfs_find+0x10/0x20\n[   231.800000][ T3795] Bytes 0-3 of 8 are uninitialized\n\
             [   231.800000][ T3795] =====================================================\n",
        );
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].title, "KMSAN: uninit-value in nilfs_bmap_lookup_at_level");
        assert_eq!(stack_names(&found[0]), ["call trace", "stored by", "created by"]);
        assert_eq!(found[0].fields.get("variable").and_then(|v| v.as_text()), Some("key.i"));
    }
}
