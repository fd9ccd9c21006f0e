//! Reports that are told twice: a poster cites the head of a report and then the whole log, and prose speaks of a report
//! in the words of the kernel.

use std::collections::{BTreeMap, BTreeSet};

use facts::Fact;

use super::episode::is_same_stall;
use super::sequence::lines;

/// An event that is no event of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Copy {
    pub(super) event: usize,
    /// The fuller report of the same, where there is one.
    pub(super) of: Option<usize>,
}

/// How many events of one member are compared with each other.
const MAX_EVENTS: usize = 400;

/// The events that only repeat others, in the order of the facts.
pub(super) fn copies(facts: &[Fact]) -> Vec<Copy> {
    let mut members: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (at, fact) in facts.iter().enumerate() {
        if fact.kind.starts_with("log.") && matches!(fact.text("severity"), Some("report" | "panic")) {
            members.entry(fact.origin.member.as_str()).or_default().push(at);
        }
    }
    let mut found: Vec<Copy> = Vec::new();
    let mut stamped_logs: BTreeSet<&str> = BTreeSet::new();
    stamped_logs.extend(
        facts.iter().filter(|f| f.kind.starts_with("log.") && f.time.is_some()).map(|f| f.origin.member.as_str()),
    );
    for (at, fact) in facts.iter().enumerate() {
        // A bare head among lines with stamps: prose that gives an example, or asks for one.
        let bare = fact.time.is_none() && frames(fact) == 0 && is_one_line(fact);
        if bare
            && matches!(&*fact.kind, "log.oops" | "log.warning" | "log.kasan")
            && fact.text("severity") == Some("report")
            && ["pid", "cpu", "comm"].iter().all(|name| fact.get(name).is_none())
            && stamped_logs.contains(fact.origin.member.as_str())
        {
            found.push(Copy { event: at, of: None });
        }
    }
    for events in members.values().filter(|e| e.len() > 1 && e.len() <= MAX_EVENTS) {
        let get = |at: &usize| facts.get(*at);
        let mut gone = BTreeSet::new();
        for at in events {
            let Some(fact) = get(at) else { continue };
            let fuller = events.iter().copied().find(|other| {
                let tells_more = |o: &Fact| is_same(fact, o) && is_fuller(o, fact, other < at) || is_excerpt(fact, o);
                other != at && !gone.contains(other) && get(other).is_some_and(tells_more)
            });
            if let Some(of) = fuller {
                gone.insert(*at);
                found.push(Copy { event: *at, of: Some(of) });
            }
        }
        // The log ends behind the head of yet another report of the same.
        if let Some(last) = events.last().filter(|at| !gone.contains(*at))
            && let Some(fact) = get(last).filter(|fact| frames(fact) == 0 && is_one_line(fact))
            && let Some(of) = events.iter().rev().skip(1).find(|at| {
                get(at).is_some_and(|other| other.kind == fact.kind && other.quote == fact.quote && frames(other) > 0)
            })
        {
            gone.insert(*last);
            found.push(Copy { event: *last, of: Some(*of) });
        }
        // Where the log's lines carry stamps, a head without one before them is a mention.
        let stamped = events.iter().filter(|at| !gone.contains(*at)).filter_map(get).filter(|f| f.time.is_some());
        let Some((first, _)) = stamped.filter_map(lines).min() else { continue };
        for at in events.iter().filter(|at| !gone.contains(*at)) {
            let Some(fact) = get(at) else { continue };
            if fact.time.is_none() && frames(fact) == 0 && lines(fact).is_some_and(|(line, _)| line < first) {
                found.push(Copy { event: *at, of: None });
            }
        }
    }
    found.sort_by_key(|copy| (copy.event, copy.of.is_none()));
    found.dedup_by_key(|copy| copy.event);
    found
}

fn is_one_line(fact: &Fact) -> bool {
    lines(fact).is_some_and(|(first, last)| first == last)
}

fn frames(fact: &Fact) -> usize {
    fact.stacks.iter().map(|s| s.functions().count()).sum()
}

/// Is it the same event by what it says: the same words with the same numbers, at the same time where both tell one?
fn is_same(a: &Fact, b: &Fact) -> bool {
    if a.kind != b.kind || a.text("class") != b.text("class") {
        return false;
    }
    if is_same_stall(a, b) {
        return a.stacks.is_empty() != b.stacks.is_empty();
    }
    if let Some((a, b)) = a.time.zip(b.time)
        && let Some(ns) = a.since(&b)
        && ns.abs() >= 1_000_000_000
    {
        return false;
    }
    let differ = |name: &str| {
        let both = a.get(name).zip(b.get(name));
        both.is_some_and(|(a, b)| a != b)
    };
    if ["pid", "cpu", "function", "address"].iter().any(|name| differ(name)) {
        return false;
    }
    // Both in full with clocks of their own are two events.
    if a.time.is_some() && b.time.is_some() && frames(a) > 0 && frames(b) > 0 {
        return false;
    }
    let words = |fact: &Fact| fact.quote.split_ascii_whitespace().collect::<Vec<_>>().join(" ");
    let numbered = a.quote.bytes().filter(u8::is_ascii_digit).count() >= 3;
    a.get("address").is_some() && a.get("address") == b.get("address") || numbered && words(a) == words(b)
}

/// How the log's reader marks a report that begins in its middle.
pub(crate) const NO_HEAD: &str = "its head is not in the text";

/// Is `part` a trace without a head that a report with one holds too: a poster shows what matters and then all?
fn is_excerpt(part: &Fact, whole: &Fact) -> bool {
    if part.text("corrupted") != Some(NO_HEAD) || whole.text("corrupted") == Some(NO_HEAD) {
        return false;
    }
    let names = |fact: &Fact| -> BTreeSet<String> {
        fact.stacks.iter().flat_map(|s| s.functions().map(str::to_owned)).collect()
    };
    let (part, whole) = (names(part), names(whole));
    part.len() >= 2 && part.len() <= whole.len() && part.iter().all(|name| whole.contains(name))
}

/// Does `one` tell more than `other`, or as much and stands before it?
fn is_fuller(one: &Fact, other: &Fact, before: bool) -> bool {
    let rank = |fact: &Fact| (frames(fact), !fact.stacks.is_empty(), fact.time.is_some());
    match rank(one).cmp(&rank(other)) {
        std::cmp::Ordering::Greater => true,
        std::cmp::Ordering::Equal => before && (one.time.is_none() || other.time.is_none()),
        std::cmp::Ordering::Less => false,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use facts::{Address, Frame, Origin, Stack, Stamp};

    use super::*;

    fn oops(line: u64, seconds: Option<i64>, frames: &[&str]) -> Fact {
        let mut fact = Fact::new("log.oops", Origin::lines("mail", line, line))
            .with("class", "paging-fault")
            .with("severity", "report")
            .with("address", Address(0xc030))
            .quoting("BUG: unable to handle page fault for address: 000000000000c030");
        fact.time = seconds.map(|s| Stamp::since_boot(s * 1_000_000_000));
        if !frames.is_empty() {
            let mut stack = Stack::printed("call trace");
            stack.frames = frames.iter().map(|f| Frame::printed(*f)).collect();
            fact.stacks.push(Arc::new(stack));
        }
        fact
    }

    #[test]
    fn a_stall_that_two_cpus_tell_of_is_one() {
        let stall = |line, seconds: i64, trace: bool| {
            let mut fact = oops(line, Some(seconds), if trace { &["f"] } else { &[] });
            fact.kind = "log.rcu_stall".into();
            fact
        };
        assert_eq!(told(&[stall(1, 9, false), stall(5, 9, true)]), [(0, Some(1))]);
        assert!(told(&[stall(1, 9, false), stall(5, 99, true)]).is_empty());
    }

    fn told(facts: &[Fact]) -> Vec<(usize, Option<usize>)> {
        copies(facts).into_iter().map(|c| (c.event, c.of)).collect()
    }

    #[test]
    fn a_head_that_is_cited_before_the_log_is_no_event_of_its_own() {
        assert_eq!(told(&[oops(1, None, &[]), oops(50, Some(9), &["f", "g"])]), [(0, Some(1))]);
        assert_eq!(told(&[oops(1, Some(9), &[]), oops(50, None, &["f", "g"])]), [(0, Some(1))]);
        // Hours later it happened again.
        assert!(told(&[oops(1, Some(9), &[]), oops(50, Some(9000), &["f"])]).is_empty());
        let other = oops(50, Some(9), &["f"]).with("pid", 7);
        assert!(told(&[oops(1, None, &[]).with("pid", 8), other.clone()]).iter().all(|(_, of)| of.is_none()));
    }

    #[test]
    fn a_log_that_ends_with_the_head_of_one_more_has_no_other_failure() {
        let idle = |line, seconds, frames: &[&str]| {
            let mut fact = oops(line, Some(seconds), frames).quoting("bad: scheduling from the idle thread!");
            (fact.kind, fact.values) = ("log.atomic_sleep".into(), Default::default());
            fact.with("severity", "report")
        };
        assert_eq!(told(&[idle(1, 9, &["f"]), idle(50, 99, &["f"]), idle(90, 200, &[])]), [(2, Some(1))]);
        assert!(told(&[idle(1, 9, &[]), idle(50, 99, &[])]).is_empty());
    }

    #[test]
    fn the_part_of_a_trace_that_is_shown_first_is_no_event_of_its_own() {
        let mut part = oops(1, None, &["g", "h"]).with("corrupted", NO_HEAD);
        part.kind = "log.headless".into();
        let whole = oops(50, Some(9), &["f", "g", "h", "i"]);
        assert_eq!(told(&[part.clone(), whole.clone()]), [(0, Some(1))]);
        let other = oops(50, Some(9), &["f", "g", "i"]);
        assert!(told(&[part, other]).iter().all(|(_, of)| of.is_none()));
    }

    #[test]
    fn a_report_without_stamp_before_a_log_with_stamps_is_a_mention() {
        let prose = oops(1, None, &[]).with("address", Address(0)).quoting("Kernel BUG at mm/vmalloc.c:3089! reported");
        assert_eq!(told(&[prose.clone(), oops(50, Some(9), &["f"])]), [(0, None)]);
        assert!(told(&[prose, oops(50, None, &["f"])]).is_empty());
    }
}
