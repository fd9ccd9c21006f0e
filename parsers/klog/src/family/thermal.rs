//! The machine is too hot.

use facts::FieldType;

use super::{Before, Family, From, Opened, field, kind, no_body, no_finish};
use crate::cursor::{Cursor, has, number_after, split};
use crate::event::{Event, Severity};
use crate::{Line, class};

pub(super) static THERMAL: Family = Family {
    name: "thermal",
    anchors: &["above threshold, cpu clock", "ritical temperature reached", "HARDWARE PROTECTION shutdown"],
    from: From::Kernel,
    open: open_thermal,
    body: no_body,
    finish: no_finish,
    kind: kind(
        "log.thermal",
        "The machine is too hot",
        &[
            field("what", FieldType::Text, "", "throttled, critical"),
            field("events", FieldType::Int, "", "times so far"),
        ],
    ),
};

/// A processor that is slowed down so often since the start is too hot for its work; a burst of load does it a few times.
const MANY: i64 = 1000;

fn open_thermal(line: &Line<'_>, _: Before<'_>) -> Option<Opened> {
    let text = line.text();
    let new = |what: &'static str, severity| {
        Event::new(THERMAL.name, class::HARDWARE_THERMAL, severity)
            .titled(format!("temperature: {what}"))
            .with("what", what)
    };
    if has(text, "above threshold, cpu clock") {
        let mut c = Cursor::new(text);
        // `mce: CPU0: Core temperature above threshold, cpu clock throttled (total events = 1)`
        c.take("mce: ");
        c.take("CPU").then_some(())?;
        let cpu = c.number()?;
        let events = number_after(text, "total events = ");
        let mut event = new("throttled", Severity::Notice).with_opt("events", events);
        if events.is_some_and(|events| events >= MANY) {
            event.set(
                "consequence",
                "the processor was slowed down again and again: cooling, its surroundings, or a power limit",
            );
        }
        event.cpu = u32::try_from(cpu).ok();
        return Opened::line(event);
    }
    let rest = split(text, ": ").map_or(text, |(_, rest)| rest);
    if text.starts_with("HARDWARE PROTECTION shutdown") || rest.starts_with("HARDWARE PROTECTION shutdown") {
        return Opened::line(new("critical", Severity::Report));
    }
    (has(text, "ritical temperature reached") && text.len() < 120).then_some(())?;
    Opened::line(new("critical", Severity::Report))
}

#[cfg(test)]
mod tests {
    use super::super::tests::fields;

    #[test]
    fn throttling_is_a_notice_and_a_shutdown_is_not() {
        let text = "[   52.261501] CPU0: Core temperature above threshold, cpu clock throttled (total events = 1)";
        assert_eq!(fields(text, &["severity", "cpu"]), ["notice", "0"]);
        let text = "[   52.261501] thermal thermal_zone0: critical temperature reached (105 C), shutting down";
        assert_eq!(fields(text, &["severity", "class"]), ["report", "hardware-thermal"]);
    }
}
