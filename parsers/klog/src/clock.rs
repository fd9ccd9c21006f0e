//! One timeline: the wall clock and the clock of the boot are joined where any event has both.

use facts::Stamp;

use crate::event::Event;

/// Two clocks that agree to this are one: syslog stamps are whole seconds.
const AGREE_NS: i64 = 2_000_000_000;

/// Fills in the clock that an event's stamp lacks, by the median difference of those that have both. A year or zone that
/// nobody printed stays unknown. Returns how far the differences lie apart when that is too much to call it one clock.
pub(crate) fn join(events: &mut [Event]) -> Option<i64> {
    let mut offsets: Vec<(i64, bool)> = events
        .iter()
        .filter_map(|e| e.time)
        .filter_map(|t| Some((t.wall_ns?.checked_sub(t.since_boot_ns?)?, t.wall_exact)))
        .collect();
    // Stamps without year or zone count from another origin: the exact ones decide where there are any.
    if offsets.iter().any(|(_, exact)| *exact) {
        offsets.retain(|(_, exact)| *exact);
    }
    offsets.sort_unstable();
    let (offset, exact) = *offsets.get(offsets.len() / 2)?;
    for time in events.iter_mut().filter_map(|e| e.time.as_mut()) {
        fill(time, offset, exact);
    }
    let spread = offsets.last()?.0.checked_sub(offsets.first()?.0)?;
    (spread > AGREE_NS).then_some(spread)
}

fn fill(time: &mut Stamp, offset: i64, exact: bool) {
    match (time.since_boot_ns, time.wall_ns) {
        (Some(boot), None) => {
            time.wall_ns = boot.checked_add(offset);
            time.wall_exact = exact && time.wall_ns.is_some();
        }
        // A stamp of another origin says nothing about this boot.
        (None, Some(wall)) if time.wall_exact == exact => {
            time.since_boot_ns = wall.checked_sub(offset).filter(|ns| *ns >= 0);
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Severity;

    fn events(stamps: &[(Option<i64>, Option<i64>, bool)]) -> Vec<Event> {
        let event = |(boot, wall, exact): &(Option<i64>, Option<i64>, bool)| {
            let mut event = Event::new("x", "warning", Severity::Report);
            event.time = Some(Stamp { since_boot_ns: *boot, wall_ns: *wall, wall_exact: *exact });
            event
        };
        stamps.iter().map(event).collect()
    }

    #[test]
    fn the_missing_clock_is_filled_in() {
        let s = 1_000_000_000;
        let mut all =
            events(&[(Some(10 * s), Some(110 * s), false), (Some(12 * s), None, false), (None, Some(115 * s), false)]);
        assert_eq!(join(&mut all), None);
        let times: Vec<_> =
            all.iter().map(|e| e.time.unwrap()).map(|t| (t.since_boot_ns, t.wall_ns, t.wall_exact)).collect();
        let both = |boot, wall| (Some(boot * s), Some(wall * s), false);
        assert_eq!(times, [both(10, 110), both(12, 112), both(15, 115)]);
    }

    #[test]
    fn clocks_that_drift_are_said_to() {
        let s = 1_000_000_000;
        let mut all = events(&[(Some(10 * s), Some(110 * s), true), (Some(20 * s), Some(180 * s), true)]);
        assert_eq!(join(&mut all), Some(60 * s));
        assert_eq!(join(&mut events(&[(Some(1), None, false)])), None);
    }
}
