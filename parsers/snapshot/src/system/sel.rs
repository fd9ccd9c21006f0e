//! `ipmitool sel list` and `sel elist`: what the board noted, with a clock of its own that may be off.

use facts::Fact;

use crate::node::{Input, Node};
use crate::stamp::Stamp;
use crate::text::quote;

/// `1a | 11/23/2023 | 14:32:51 | Watchdog2 #0xca | Hard reset | Asserted`
pub(crate) fn is_row(line: &str) -> bool {
    row(line).is_some()
}

struct Row<'a> {
    time: Option<Stamp>,
    sensor: &'a str,
    event: String,
}

fn row(line: &str) -> Option<Row<'_>> {
    let mut columns = line.split('|').map(str::trim);
    let id = columns.next()?;
    let (date, clock) = (columns.next()?, columns.next()?);
    let sensor = columns.next()?;
    let event: Vec<&str> = columns.collect();
    let known = !id.is_empty()
        && id.len() <= 5
        && id.bytes().all(|b| b.is_ascii_hexdigit())
        && (date.len() == 10 && date.as_bytes().get(2) == Some(&b'/') || date == "Pre-Init")
        && !event.is_empty();
    known.then(|| Row { time: Stamp::american(date, clock), sensor, event: event.join(" | ") })
}

/// What an entry says about the end of a boot.
fn how(row: &Row<'_>) -> Option<&'static str> {
    let (sensor, event) = (row.sensor.to_ascii_lowercase(), row.event.to_ascii_lowercase());
    let all = format!("{sensor} {event}");
    let has = |words: &[&str]| words.iter().any(|word| all.contains(word));
    if event.contains("deasserted") {
        return None;
    }
    if sensor.contains("watchdog") && has(&["hard reset", "power cycle", "power down", "timer expired"]) {
        Some("watchdog")
    } else if has(&["thermal trip"]) || sensor.contains("temp") && has(&["non-recoverable", "critical going high"]) {
        Some("thermal")
    } else if has(&["ierr", "caterr", "mcerr", "machine check", "uncorrectable ecc", "bus fatal", "pci serr"])
        || has(&["uncorrectable error", "uncorrectable machine check"])
    {
        Some("hardware")
    } else if sensor.contains("power") && has(&["ac lost", "power off/down", "failure detected", "power cycle"]) {
        Some("power")
    } else if has(&["run-time critical stop", "runtime critical stop", "os graceful"]) {
        has(&["critical stop"]).then_some("panic")
    } else {
        None
    }
}

pub(crate) fn read(node: &mut Node, input: &Input<'_>) -> bool {
    // The newest entries stand last.
    const MOST: usize = 64;
    let mut known = false;
    let mut told = Vec::new();
    for (index, line) in input.text.lines().enumerate() {
        let Some(row) = row(line) else { continue };
        known = true;
        let Some(how) = how(&row) else { continue };
        told.push(
            Fact::new("node.reset_by_others", input.line(index))
                .with("how", how)
                .with("source", "sel")
                .with_opt("time", row.time.map(|t| t.to_string()))
                .with("count", 1)
                .with("text", quote(line))
                .quoting(quote(line)),
        );
    }
    let skip = told.len().saturating_sub(MOST);
    told.into_iter().skip(skip).for_each(|fact| node.push(fact));
    known
}
