//! From what the stamps of a log count, and which logs of a machine count from one origin: their events are told in the
//! order of time, whichever file they stand in.

use std::collections::{BTreeMap, BTreeSet};

use facts::{Fact, Stamp};

/// From what a stamp counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Clock {
    /// The start of the kernel.
    Boot,
    /// With year and zone.
    Exact,
    /// With year, without zone.
    Dated,
    /// Without year.
    Yearless,
}

/// A wall clock without a year counts from the beginning of 1970.
const YEAR: i64 = 366 * 86_400 * 1_000_000_000;

/// The clock of a stamp, that of the boot where it has two, and its reading in nanoseconds.
pub(crate) fn clock(stamp: &Stamp) -> Option<(Clock, i64)> {
    if let Some(ns) = stamp.since_boot_ns {
        return Some((Clock::Boot, ns));
    }
    let ns = stamp.wall_ns?;
    Some(match (stamp.wall_exact, ns < YEAR) {
        (true, _) => (Clock::Exact, ns),
        (false, false) => (Clock::Dated, ns),
        (false, true) => (Clock::Yearless, ns),
    })
}

/// The wall clock of a stamp and its reading.
fn wall(stamp: &Stamp) -> Option<(Clock, i64)> {
    clock(&Stamp { since_boot_ns: None, ..*stamp })
}

/// The reading of one clock in a stamp.
pub(crate) fn reading(fact: &Fact, wanted: Clock) -> Option<i64> {
    let stamp = fact.time?;
    match wanted {
        Clock::Boot => stamp.since_boot_ns,
        _ => wall(&stamp).filter(|(clock, _)| *clock == wanted).map(|(_, ns)| ns),
    }
}

/// Logs of one folder whose events all tell the same sort of wall clock, as the files of `/var/log` do. Each log has the
/// number of its group; a log that is alone is in none.
pub(super) fn on_one_clock(facts: &[Fact]) -> BTreeMap<&str, usize> {
    let mut clocks: BTreeMap<&str, BTreeSet<Option<Clock>>> = BTreeMap::new();
    for fact in facts.iter().filter(|fact| fact.kind.starts_with("log.")) {
        let of = clocks.entry(fact.origin.member.as_str()).or_default();
        if let Some(stamp) = fact.time {
            of.insert(wall(&stamp).map(|(clock, _)| clock));
        }
    }
    let mut groups: BTreeMap<(&str, Clock), Vec<&str>> = BTreeMap::new();
    for (member, clocks) in clocks {
        let mut all = clocks.into_iter();
        if let (Some(Some(clock)), None) = (all.next(), all.next()) {
            let folder = member.rfind(['/', '!']).map_or("", |end| &member[..end]);
            groups.entry((folder, clock)).or_default().push(member);
        }
    }
    let several = groups.into_values().filter(|members| members.len() > 1);
    several.enumerate().flat_map(|(number, members)| members.into_iter().map(move |member| (member, number))).collect()
}

/// Brings the events of logs on one clock into the order of time. The order within each log stays; an event without a
/// stamp stays behind the one before it.
pub(crate) fn by_time(facts: &mut Vec<Fact>) {
    for order in [excerpts, order] {
        let Some(order) = order(facts) else { continue };
        let mut slots: Vec<Option<Fact>> = std::mem::take(facts).into_iter().map(Some).collect();
        facts.extend(order.into_iter().filter_map(|at| slots.get_mut(at)?.take()));
    }
}

/// Pieces of the log of one boot that a text shows out of order: "it still hangs", and then what came before. The time since
/// boot never runs backwards by itself.
fn excerpts(facts: &[Fact]) -> Option<Vec<usize>> {
    /// Processors print at the same time, and a console may come late.
    const STEP_BACK_NS: i64 = 2_000_000_000;
    let mut logs: BTreeMap<&str, Times> = BTreeMap::new();
    let mut banners: BTreeMap<&str, usize> = BTreeMap::new();
    for (at, fact) in facts.iter().enumerate().filter(|(_, fact)| fact.kind.starts_with("log.")) {
        let member = fact.origin.member.as_str();
        *banners.entry(member).or_default() += usize::from(fact.kind == "log.boot");
        let log = logs.entry(member).or_default();
        let before = log.last().map_or(0, |(_, ns)| *ns);
        log.push((at, fact.time.and_then(|stamp| stamp.since_boot_ns).unwrap_or(before)));
    }
    let mut order: Vec<usize> = (0..facts.len()).collect();
    for (member, log) in logs {
        let back = log.windows(2).any(|pair| matches!(pair, [(_, a), (_, b)] if a.saturating_sub(*b) > STEP_BACK_NS));
        if !back || banners.get(member).is_some_and(|count| *count > 0) {
            continue;
        }
        let mut sorted = log.clone();
        sorted.sort_by_key(|(_, ns)| *ns);
        for ((place, _), (at, _)) in log.into_iter().zip(sorted) {
            if let Some(slot) = order.get_mut(place) {
                *slot = at;
            }
        }
    }
    order.iter().enumerate().any(|(place, at)| place != *at).then_some(order)
}

/// Places of events and their times.
type Times = Vec<(usize, i64)>;

/// The new order of all facts; `None` where it stays.
fn order(facts: &[Fact]) -> Option<Vec<usize>> {
    let groups = on_one_clock(facts);
    if groups.is_empty() {
        return None;
    }
    // The events of each group by its logs: place and time.
    let mut logs: BTreeMap<usize, Vec<(&str, Times)>> = BTreeMap::new();
    for (at, fact) in facts.iter().enumerate().filter(|(_, fact)| fact.kind.starts_with("log.")) {
        let member = fact.origin.member.as_str();
        let Some(group) = groups.get(member) else { continue };
        let logs = logs.entry(*group).or_default();
        let log = match logs.iter().position(|(known, _)| *known == member) {
            Some(log) => log,
            None => {
                logs.push((member, Vec::new()));
                logs.len() - 1
            }
        };
        let Some((_, events)) = logs.get_mut(log) else { continue };
        let before = events.last().map_or(i64::MIN, |(_, ns)| *ns);
        let ns = fact.time.and_then(|stamp| wall(&stamp)).map_or(before, |(_, ns)| ns.max(before));
        events.push((at, ns));
    }
    let mut order: Vec<usize> = (0..facts.len()).collect();
    for logs in logs.into_values() {
        let mut events: Vec<(i64, usize, usize)> = Vec::new();
        for (log, (_, of)) in logs.into_iter().enumerate() {
            events.extend(of.into_iter().map(|(at, ns)| (ns, log, at)));
        }
        let mut places: Vec<usize> = events.iter().map(|(_, _, at)| *at).collect();
        places.sort_unstable();
        events.sort_unstable();
        for (place, (_, _, at)) in places.into_iter().zip(events) {
            if let Some(slot) = order.get_mut(place) {
                *slot = at;
            }
        }
    }
    order.iter().enumerate().any(|(place, at)| place != *at).then_some(order)
}

#[cfg(test)]
mod tests {
    use facts::Origin;

    use super::*;

    fn event(member: &str, seconds: Option<i64>) -> Fact {
        let mut fact = Fact::new("log.x", Origin::lines(member, 1, 1));
        fact.time = seconds.map(|s| Stamp { wall_ns: Some(s * 1_000_000_000), ..Stamp::default() });
        fact
    }

    fn told(facts: &[Fact]) -> Vec<usize> {
        order(facts).unwrap_or_else(|| (0..facts.len()).collect())
    }

    #[test]
    fn events_of_logs_on_one_clock_come_in_the_order_of_time() {
        let facts = [
            event("log/kern.log", Some(20)),
            event("log/kern.log", None),
            event("log/messages", Some(10)),
            event("log/messages", Some(30)),
        ];
        assert_eq!(told(&facts), [2, 0, 1, 3]);
        let mut sorted = facts.to_vec();
        by_time(&mut sorted);
        assert_eq!(sorted[0].origin.member, "log/messages");
    }

    #[test]
    fn other_folders_and_other_clocks_are_left_as_they_are() {
        let elsewhere = [event("a/kern.log", Some(20)), event("b/kern.log", Some(10))];
        assert_eq!(told(&elsewhere), [0, 1]);
        let mut boot = event("messages", None);
        boot.time = Some(Stamp::since_boot(5));
        assert_eq!(told(&[event("kern.log", Some(20)), boot]), [0, 1]);
    }

    #[test]
    fn excerpts_of_one_boot_are_put_in_order() {
        let at = |kind: &'static str, seconds: i64| {
            let mut fact = Fact::new(kind, Origin::lines("ticket", 1, 1));
            fact.time = Some(Stamp::since_boot(seconds * 1_000_000_000));
            fact
        };
        assert_eq!(excerpts(&[at("log.x", 8123), at("log.x", 7640), at("log.x", 7641)]), Some(vec![1, 2, 0]));
        assert_eq!(excerpts(&[at("log.x", 8123), at("log.x", 8122)]), None);
        assert_eq!(excerpts(&[at("log.x", 8123), at("log.boot", 0), at("log.x", 5)]), None);
    }

    #[test]
    fn the_order_within_a_log_stays() {
        // A clock that was set back.
        let facts = [event("kern.log", Some(50)), event("kern.log", Some(20)), event("messages", Some(30))];
        assert_eq!(told(&facts), [2, 0, 1]);
    }
}
