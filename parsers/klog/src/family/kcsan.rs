//! KCSAN: `BUG: KCSAN: data-race in f / g`, with the stacks of both accesses.

use facts::FieldType;

use super::object_history::is_rule;
use super::{Before, Family, From, Opened, field, kind, no_finish};
use crate::cursor::{has, hex_after, number_after, split};
use crate::event::{Event, Location, Severity};
use crate::report::{Report, Step};
use crate::{Line, class};

pub(super) static FAMILY: Family = Family {
    name: "kcsan",
    anchors: &["BUG: KCSAN: "],
    from: From::Kernel,
    open,
    body,
    finish: no_finish,
    kind: kind(
        "log.kcsan",
        "The concurrency sanitizer caught two accesses that race",
        &[
            field("bug", FieldType::Text, "", "data-race, assert: race"),
            field("functions", FieldType::List, "", "the two functions"),
            field("accesses", FieldType::List, "", "what each did: read, write, read-write, (marked)"),
            field("access_size", FieldType::Int, "bytes", "bytes accessed"),
            field("value_changed", FieldType::Text, "", "old and new value"),
        ],
    ),
};

fn open(line: &Line<'_>, _: Before<'_>) -> Option<Opened> {
    let rest = line.text().strip_prefix("BUG: KCSAN: ")?;
    let (bug, places) = split(rest, " in ")?;
    let functions: Vec<&str> =
        places.split(" / ").map(|f| f.split(['+', ' ']).next().unwrap_or(f)).filter(|f| !f.is_empty()).collect();
    let first = (*functions.first()?).to_owned();
    let mut event = Event::new(FAMILY.name, class::DATA_RACE, Severity::Report)
        .with("bug", bug)
        .titled(format!("KCSAN: {bug} in {}", functions.join(" / ")));
    event.set("functions", functions.iter().take(2).map(|f| (*f).to_owned()).collect::<Vec<_>>());
    event.place = Some(Location { function: first, ..Location::default() });
    Opened::trace(event)
}

fn body(report: &mut Report, line: &Line<'_>) -> Step {
    let text = line.text();
    if is_rule(text) {
        return if report.has_frames() { Step::End } else { Step::Take };
    }
    // `write (marked) to 0xffff.. of 8 bytes by task 1082 on cpu 7:`
    let access = ["read", "write", "assert no "].iter().any(|head| text.starts_with(head));
    let unknown = text.starts_with("race at unknown origin");
    if (access || unknown) && has(text, " bytes by ") {
        let what = text.split(" to 0x").next().unwrap_or(text).trim_start_matches("race at unknown origin, with ");
        let event = &mut report.event;
        event.address = event.address.or_else(|| hex_after(text, " to 0x"));
        if let Some(size) = number_after(text, " of ") {
            event.set("access_size", size);
        }
        match event.fields.get_mut("accesses") {
            Some(facts::Value::List(list)) if list.len() < 4 => list.push(what.into()),
            Some(_) => {}
            None => event.set("accesses", vec![what]),
        }
        report.begin_stack(what);
        if let Some(stack) = report.event.stacks.last_mut() {
            stack.pid = number_after(text, " by task ");
            stack.cpu = number_after(text, " on cpu ").and_then(|n| u32::try_from(n).ok());
        }
        return Step::Take;
    }
    if let Some(change) = text.strip_prefix("value changed: ") {
        report.event.set("value_changed", change);
        return Step::Take;
    }
    if text.starts_with("Reported by Kernel Concurrency Sanitizer") {
        return Step::Take;
    }
    Step::Pass
}

#[cfg(test)]
mod tests {
    use super::super::tests::{events, stack_names};

    #[test]
    fn both_sides_of_a_race_have_their_stack() {
        let found = events(
            "[   44.300000][    C4] BUG: KCSAN: data-race in find_next_bit / rcu_report_exp_cpu_mult\n[   44.300000][    C4] \n\
             [   44.300000][    C4] read to 0xffffffff85a7f140 of 8 bytes by task 1082 on cpu 7:\n\
             [   44.300000][    C4]  find_next_bit+0x57/0xe0\n[   44.300000][    C4] \n\
             [   44.300000][    C4] write to 0xffffffff85a7f140 of 8 bytes by interrupt on cpu 4:\n\
             [   44.300000][    C4]  rcu_report_exp_cpu_mult+0x4f/0xa0\n[   44.300000][    C4] value changed: 0x1 -> 0x2\n\
             [   44.300000][    C4] Reported by Kernel Concurrency Sanitizer on:\n\
             [   44.300000][    C4] CPU: 4 PID: 6252 Comm: syz-fuzzer Not tainted 5.3.0+ #3\n\
             [   44.300000][    C4] ==================================================================\n",
        );
        assert_eq!(found.len(), 1, "{found:#?}");
        assert_eq!(found[0].title, "KCSAN: data-race in find_next_bit / rcu_report_exp_cpu_mult");
        assert_eq!(stack_names(&found[0]), ["read", "write"]);
        assert_eq!((found[0].stacks[0].pid, found[0].stacks[1].cpu), (Some(1082), Some(4)));
    }
}
