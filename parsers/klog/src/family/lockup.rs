//! Soft and hard lockups: `BUG: soft lockup - CPU#1 stuck for 22s! [comm:77]`, `Watchdog detected hard LOCKUP on cpu 1`.

use facts::FieldType;

use super::{Before, Family, From, Opened, field, kind, no_body};
use crate::cursor::{Cursor, after, has};
use crate::event::{Event, Severity};
use crate::line::Writer;
use crate::report::{Report, location};
use crate::{Line, class};

pub(super) static SOFT: Family = Family {
    name: "soft_lockup",
    anchors: &["BUG: soft lockup"],
    from: From::Kernel,
    open: open_soft,
    body: no_body,
    finish,
    kind: kind(
        "log.soft_lockup",
        "A CPU ran kernel code for longer than the watchdog allows without scheduling",
        &[field(
            "seconds",
            FieldType::Int,
            "s",
            "time since the watchdog task last ran; the first report comes at 20 to 23 s",
        )],
    ),
};

pub(super) static HARD: Family = Family {
    name: "hard_lockup",
    anchors: &["ard LOCKUP", "NMI Watchdog detected LOCKUP"],
    from: From::Kernel,
    open: open_hard,
    body: no_body,
    finish,
    kind: kind("log.hard_lockup", "A CPU did not take interrupts for longer than the watchdog allows", &[]),
};

fn open_soft(line: &Line<'_>, _: Before<'_>) -> Option<Opened> {
    let text = line.text();
    let text = text.strip_prefix("NMI ").unwrap_or(text);
    let text = text.strip_prefix("watchdog: ").unwrap_or(text);
    // Printed while another line was not ended yet: glued behind it.
    let glued = text.find("BUG: soft lockup - CPU#").filter(|_| line.writer == Writer::Kernel);
    let text = glued.map_or(text, |at| &text[at..]);
    let mut c = Cursor::new(text);
    if !c.take("BUG: soft lockup") {
        return None;
    }
    let mut event = Event::new(SOFT.name, class::SOFT_LOCKUP, Severity::Report).titled("BUG: soft lockup");
    if c.skip_past("CPU#") {
        event.cpu = c.number().and_then(|n| u32::try_from(n).ok());
    }
    if c.skip_past("stuck for ") {
        event = event.with_opt("seconds", c.number());
    }
    if c.skip_past("[")
        && let Some((comm, pid)) = c.rest().trim_end().trim_end_matches(']').rsplit_once(':')
    {
        event.comm = Some(comm.to_owned());
        event.pid = pid.parse().ok();
    }
    Opened::trace(event)
}

fn open_hard(line: &Line<'_>, _: Before<'_>) -> Option<Opened> {
    let text = line.text();
    let text = text.strip_prefix("NMI ").unwrap_or(text);
    let is_header = has(text, "Watchdog detected hard LOCKUP on cpu")
        || text.starts_with("watchdog: CPU ") && !has(text, "became unstuck")
        || text.starts_with("Watchdog CPU:")
        || text.starts_with("Watchdog detected LOCKUP on CPU");
    // The panic of the same name is its own event.
    if !is_header || text.starts_with("Kernel panic") {
        return None;
    }
    let mut event = Event::new(HARD.name, class::HARD_LOCKUP, Severity::Report).titled("hard LOCKUP");
    event.cpu = after(text, "on other CPUs ")
        .or_else(|| after(text, "LOCKUP on cpu "))
        .or_else(|| after(text, "CPU "))
        .or_else(|| after(text, "CPU:"))
        .and_then(|t| Cursor::new(t).number())
        .and_then(|n| u32::try_from(n).ok());
    // powerpc: `CPU 28 self-detected hard LOCKUP @ .do_raw_spin_lock+0x90/0x1d0`
    event.place = after(text, "LOCKUP @ ").and_then(|place| location(place.trim_start_matches('.')));
    Opened::trace(event)
}

fn finish(report: &mut Report) {
    let event = &mut report.event;
    if let Some(place) = &event.place {
        event.title = format!("{} in {}", event.title, place.function);
    }
}
