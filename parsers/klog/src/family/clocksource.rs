//! The clock: its source ran at another speed than the one that watches it.

use facts::FieldType;

use super::{Before, Family, From, Opened, field, kind};
use crate::cursor::{Cursor, after, between, has, number_after};
use crate::event::{Event, Severity};
use crate::report::{Report, Step};
use crate::{Line, class};

pub(super) static FAMILY: Family = Family {
    name: "clocksource",
    anchors: &[
        "unstable because the skew is too large",
        "locksource tsc unstable (delta",
        "TSC unstable due to clocksource watchdog",
        "Losing too many ticks!",
        "many lost ticks.",
    ],
    from: From::Kernel,
    open,
    body,
    finish,
    kind: kind(
        "log.clocksource",
        "The kernel's clock ran at another speed than its watchdog; a slower source is read from then on",
        &[
            field("clock", FieldType::Text, "", "source that was given up: tsc, hpet, ..."),
            field("watchdog", FieldType::Text, "", "source it was compared with"),
            field("now", FieldType::Text, "", "source that is read from now on"),
            field("skew_ns", FieldType::Int, "ns", "how far they had gone apart"),
            field("what", FieldType::Text, "", "unstable, lost-ticks"),
        ],
    ),
};

/// While the processors come up nothing is measured yet: sources are tried and given up.
const BOOT_SECONDS: i64 = 60;

fn open(line: &Line<'_>, before: Before<'_>) -> Option<Opened> {
    if before.current.is_some_and(|e| e.family == FAMILY.name) {
        return None;
    }
    let text = line.text();
    // Of kernels before 4.2: `Clocksource tsc unstable (delta = 4398046510953 ns)`
    let said = text.strip_prefix("clocksource: ").unwrap_or(text);
    let lost = ["Losing too many ticks!", "warning: many lost ticks.", "many lost ticks."];
    let mut event = Event::new(FAMILY.name, class::TIMEKEEPING, Severity::Notice).with("what", "unstable");
    if said.starts_with("timekeeping watchdog") && has(said, " as unstable because the skew is too large") {
        event = event.with_opt("clock", between(said, "clocksource '", "'"));
        event.cpu = number_after(said, "watchdog on CPU").and_then(|n| u32::try_from(n).ok());
    } else if said.starts_with("Clocksource ") && has(said, " unstable (delta") {
        event = event
            .with_opt("clock", between(said, "Clocksource ", " "))
            .with_opt("skew_ns", number_after(said, "delta = "));
    } else if said.starts_with("tsc: Marking TSC unstable") || said.starts_with("Marking TSC unstable") {
        event = event.with("clock", "tsc");
    } else if lost.iter().any(|words| said.starts_with(words)) {
        event = event.with("clock", "tsc").with("what", "lost-ticks");
    } else {
        return None;
    }
    let early =
        line.is_of_boot(BOOT_SECONDS) || event.fields.get("clock").and_then(|c| c.as_text()) == Some("tsc-early");
    // `finish` says what it means, where it means something.
    event.set("consequence", if early { "" } else { "said" });
    Opened::lines(event)
}

fn body(report: &mut Report, line: &Line<'_>) -> Step {
    let text = line.text();
    let said = text.strip_prefix("clocksource: ").unwrap_or(text).trim_start();
    let event = &mut report.event;
    if let Some(now) =
        said.strip_prefix("Switched to clocksource ").or_else(|| said.strip_prefix("Switching to clocksource "))
    {
        event.set("now", now.trim());
        return Step::End;
    }
    if has(said, "wd_now:") || has(said, "wd_nsec:") {
        if let Some(name) = between(said, "'", "'") {
            event.set("watchdog", name);
        }
        return Step::Take;
    }
    // `Clocksource 'tsc' skewed -37452 ns (0 ms) over watchdog 'hpet' interval of 479984 ns (0 ms)`
    if let Some(skew) = after(said, "' skewed ").and_then(|rest| Cursor::new(rest).int()) {
        event.set("skew_ns", skew);
        return Step::Take;
    }
    const OWN: &[&str] = &[
        "tsc: Marking TSC unstable",
        "TSC found unstable after boot",
        "sched_clock: Marking unstable",
        "Checking clocksource ",
        "No current clocksource",
        "CPUs ",
        "CPU ",
    ];
    if has(said, "cs_now:") || has(said, "cs_nsec:") || has(said, "' is current clocksource") || has(said, "' (not '") {
        return Step::Take;
    }
    if OWN.iter().any(|head| said.starts_with(head)) { Step::Take } else { Step::Pass }
}

fn finish(report: &mut Report) {
    let event = &mut report.event;
    let text = |name: &str| event.fields.get(name).and_then(|v| v.as_text()).map(str::to_owned);
    let clock = text("clock").unwrap_or_else(|| "tsc".to_owned());
    event.title = format!("clock: {clock} is unstable");
    if text("consequence").is_some_and(|c| c.is_empty()) {
        event.fields.remove("consequence");
        return;
    }
    let now = text("now").map(|now| format!(" ({now})")).unwrap_or_default();
    event.set(
        "consequence",
        format!(
            "the time is read from a slower source from then on{now}; on a virtual machine the host did not run it in time, else it is the processor's or the firmware's"
        ),
    );
}

#[cfg(test)]
mod tests {
    use super::super::tests::{events, fields};

    #[test]
    fn a_clock_that_is_given_up_is_one_event() {
        let text = "[ 8996.144253] clocksource: timekeeping watchdog on CPU2: Marking clocksource 'tsc' as unstable because the skew is too large:\n\
             [ 8996.144260] clocksource:                       'hpet' wd_now: f4b7d wd_last: 6c50c5 mask: ffffff\n\
             [ 8996.144261] clocksource:                       'tsc' cs_now: 1ca324f62cac cs_last: 1ca0b7a50c00 mask: ffffffffffffffff\n\
             [ 8996.144262] clocksource:                       Clocksource 'tsc' skewed -37452 ns (0 ms) over watchdog 'hpet' interval of 479984 ns (0 ms)\n\
             [ 8996.144270] clocksource:                       'tsc' is current clocksource.\n\
             [ 8996.144274] tsc: Marking TSC unstable due to clocksource watchdog\n\
             [ 8996.144401] TSC found unstable after boot, most likely due to broken BIOS. Use 'tsc=unstable'.\n\
             [ 8996.144403] sched_clock: Marking unstable (8996101633485, 42749061)<-(8996259532949, -115136521)\n\
             [ 8996.145058] clocksource: Checking clocksource tsc synchronization from CPU 5.\n\
             [ 8996.146113] clocksource: Switched to clocksource hpet\n";
        assert_eq!(events(text).len(), 1);
        assert_eq!(
            fields(text, &["class", "severity", "clock", "watchdog", "now", "skew_ns", "cpu"]),
            ["timekeeping", "notice", "tsc", "hpet", "hpet", "-37452", "2"]
        );
        assert!(fields(text, &["consequence"])[0].contains("slower source"));
        let old = "Jun  3 10:00:00 host kernel: Clocksource tsc unstable (delta = 4398046510953 ns)";
        assert_eq!(fields(old, &["clock", "skew_ns"]), ["tsc", "4398046510953"]);
    }

    #[test]
    fn clocks_that_are_tried_at_boot_mean_nothing() {
        for text in [
            "[    0.000000] tsc: Marking TSC unstable due to TSCs unsynchronized",
            "[    1.100000] clocksource: Switched to clocksource tsc-early",
            "[   12.100000] hrtimer: interrupt took 11082175 ns",
            "[  412.100000] perf: interrupt took too long (2500 > 2495), lowering kernel.perf_event_max_sample_rate to 79750",
        ] {
            assert!(events(text).is_empty(), "{text}");
        }
        let early = "[    1.100000] clocksource: timekeeping watchdog on CPU1: Marking clocksource 'tsc-early' as unstable because the skew is too large:";
        assert_eq!(fields(early, &["severity", "consequence"]), ["notice", ""]);
    }
}
