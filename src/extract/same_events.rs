//! The same event in several logs of one boot: `dmesg` with the time since boot, `messages` and the journal with the wall
//! clock, often without the kernel's own stamp. It is one event, told by equal words at one moment; where the clocks
//! differ, the pairs of equal words say how far they lie apart.

use std::collections::{BTreeMap, HashMap};

use facts::Fact;

use crate::derive::clock::{Clock, clock, reading};

/// Two clocks that count from one origin. Stamps of syslog are whole seconds, and a line may be received in the next.
const SAME_WALL: i64 = 1_500_000_000;
/// The same of the time since boot: one log prints microseconds, the ring holds nanoseconds.
const SAME_BOOT: i64 = 2_000_000;
/// How far the difference of two clocks may move: they run apart by less than a thousandth.
const DRIFT: i64 = 1000;
/// Equal words of one log that are tried against those of another, from the end.
const MAX_EQUAL: usize = 256;
/// Differences that are tried.
const MAX_TRIED: usize = 1 << 16;
/// Width of the differences that count as one.
const STEP: i64 = 2_000_000_000;

/// What two logs say of one event in the same way.
fn words(fact: &Fact) -> Option<(&str, &str)> {
    fact.kind.starts_with("log.").then(|| (fact.kind.as_ref(), fact.quote.as_str()))
}

/// The events of one log by a clock.
struct Side<'f> {
    clock: Clock,
    /// By their words: places and times, in the order of time.
    events: HashMap<(&'f str, &'f str), Vec<(usize, i64)>>,
    last: i64,
}

impl<'f> Side<'f> {
    fn of(facts: &[(usize, &'f Fact)], clock: Clock) -> Self {
        let mut side = Side { clock, events: HashMap::new(), last: i64::MIN };
        for (at, fact) in facts {
            let Some((words, ns)) = words(fact).zip(reading(fact, clock)) else { continue };
            side.events.entry(words).or_default().push((*at, ns));
            side.last = side.last.max(ns);
        }
        side.events.values_mut().for_each(|list| list.sort_by_key(|(_, ns)| *ns));
        side
    }
}

/// What the clock of most events is; the time since boot where there is any.
fn clock_of(facts: &[(usize, &Fact)]) -> Option<Clock> {
    let mut counts: BTreeMap<Clock, usize> = BTreeMap::new();
    for (_, fact) in facts.iter().filter(|(_, fact)| words(fact).is_some()) {
        if let Some((clock, _)) = fact.time.as_ref().and_then(clock) {
            *counts.entry(clock).or_default() += 1;
        }
    }
    counts.into_iter().rev().max_by_key(|(_, count)| *count).map(|(clock, _)| clock)
}

/// How far the clock of the old events is behind that of the new ones (new minus old), and the old time at which that
/// was seen.
fn difference(old: &Side<'_>, new: &Side<'_>) -> Option<(i64, i64)> {
    if old.clock == new.clock {
        return Some((0, 0));
    }
    // Where all agree equally well, both logs were taken at the same time: their ends fall together.
    let ends = new.last.checked_sub(old.last)?;
    let mut votes: HashMap<i64, usize> = HashMap::new();
    let mut tried: Vec<(i64, i64)> = Vec::new();
    for (words, news) in &new.events {
        let Some(olds) = old.events.get(words) else { continue };
        let tail =
            |list: &[(usize, i64)]| list.get(list.len().saturating_sub(MAX_EQUAL)..).unwrap_or_default().to_vec();
        for (_, new) in tail(news) {
            for (_, old) in tail(olds) {
                let Some(apart) = new.checked_sub(old) else { continue };
                if tried.len() >= MAX_TRIED {
                    break;
                }
                tried.push((apart, old));
                *votes.entry(apart.div_euclid(STEP)).or_default() += 1;
            }
        }
    }
    let votes_of = |apart: i64| {
        let step = apart.div_euclid(STEP);
        [step - 1, step, step + 1].iter().filter_map(|step| votes.get(step)).sum::<usize>()
    };
    tried.into_iter().max_by_key(|(apart, old)| {
        (votes_of(*apart), std::cmp::Reverse(apart.saturating_sub(ends).saturating_abs()), *old)
    })
}

/// How the events of a new log of a boot stand to those that are known of it.
#[derive(Debug, Default)]
pub(super) struct Same {
    /// New events that are known: place among the new ones, place among the old ones.
    pub(super) pairs: Vec<(usize, usize)>,
}

/// Finds the events of `new`, facts of one log, that stand in another log of the boot, too, and gives to the stamps of
/// both what the clock of the other one tells.
pub(super) fn find(old: &mut [Fact], new: &mut [Fact]) -> Same {
    let mut same = Same::default();
    let news: Vec<(usize, &Fact)> = new.iter().enumerate().filter(|(_, fact)| words(fact).is_some()).collect();
    let Some(new_clock) = clock_of(&news) else { return same };
    let mut members: Vec<(&str, Vec<(usize, &Fact)>)> = Vec::new();
    for (at, fact) in old.iter().enumerate().filter(|(_, fact)| words(fact).is_some()) {
        let member = fact.origin.member.as_str();
        match members.iter_mut().rev().take(8).find(|(known, _)| *known == member) {
            Some((_, list)) => list.push((at, fact)),
            None => members.push((member, vec![(at, fact)])),
        }
    }
    let mut paired = vec![false; new.len()];
    // Differences of a clock since boot and a wall clock: of old members and of the new one.
    let mut joined: Vec<(Vec<usize>, i64, bool)> = Vec::new();
    for (_, list) in members {
        let Some(old_clock) = clock_of(&list) else { continue };
        // A log with both clocks is compared by that of the other.
        let has = |facts: &[(usize, &Fact)], clock| facts.iter().any(|(_, fact)| reading(fact, clock).is_some());
        let (old_clock, new_clock) = if has(&list, new_clock) {
            (new_clock, new_clock)
        } else if has(&news, old_clock) {
            (old_clock, old_clock)
        } else {
            (old_clock, new_clock)
        };
        let open: Vec<(usize, &Fact)> =
            news.iter().filter(|(at, _)| !paired.get(*at).copied().unwrap_or(true)).copied().collect();
        let (olds, opens) = (Side::of(&list, old_clock), Side::of(&open, new_clock));
        let Some((apart, seen)) = difference(&olds, &opens) else { continue };
        let near = match (old_clock, new_clock) {
            (Clock::Boot, Clock::Boot) => SAME_BOOT,
            (old, new) if old == new => SAME_WALL,
            _ => STEP,
        };
        let drift = old_clock != new_clock;
        let before = same.pairs.len();
        for (words, news) in &opens.events {
            let Some(olds) = olds.events.get(words) else { continue };
            let mut olds = olds.iter().peekable();
            for (at, ns) in news {
                let there = ns.saturating_sub(apart);
                let near = if drift { near + there.saturating_sub(seen).saturating_abs() / DRIFT } else { near };
                while olds.next_if(|(_, old)| *old < there.saturating_sub(near)).is_some() {}
                if let Some((old, _)) = olds.next_if(|(_, old)| *old <= there.saturating_add(near)) {
                    if let Some(paired) = paired.get_mut(*at) {
                        *paired = true;
                    }
                    same.pairs.push((*at, *old));
                }
            }
        }
        if same.pairs.len() == before {
            continue;
        }
        let places = || list.iter().map(|(at, _)| *at).collect();
        match (old_clock, new_clock) {
            (Clock::Boot, wall) if wall != Clock::Boot => joined.push((places(), apart, wall == Clock::Exact)),
            (wall, Clock::Boot) if wall != Clock::Boot => joined.push((places(), -apart, wall == Clock::Exact)),
            _ => {}
        }
    }
    for (places, wall_minus_boot, exact) in joined {
        for at in places {
            if let Some(fact) = old.get_mut(at) {
                fill(fact, wall_minus_boot, exact);
            }
        }
        new.iter_mut().for_each(|fact| fill(fact, wall_minus_boot, exact));
    }
    same
}

/// Fills in the clock that a stamp lacks.
fn fill(fact: &mut Fact, wall_minus_boot: i64, exact: bool) {
    if !fact.kind.starts_with("log.") {
        return;
    }
    let Some(time) = fact.time.as_mut() else { return };
    match (time.since_boot_ns, time.wall_ns) {
        (Some(boot), None) => {
            time.wall_ns = boot.checked_add(wall_minus_boot);
            time.wall_exact = exact && time.wall_ns.is_some();
        }
        (None, Some(wall)) => time.since_boot_ns = wall.checked_sub(wall_minus_boot).filter(|ns| *ns >= 0),
        _ => {}
    }
}

/// Adds what a second log of an event tells beyond the first.
pub(super) fn complete(known: &mut Fact, other: Fact) {
    let frames = |fact: &Fact| fact.stacks.iter().map(|stack| stack.frames.len()).sum::<usize>();
    if frames(&other) > frames(known) {
        known.stacks = other.stacks;
        for (name, value) in other.values {
            known.values.entry(name).or_insert(value);
        }
    }
    if let (Some(time), Some(more)) = (known.time.as_mut(), other.time) {
        time.since_boot_ns = time.since_boot_ns.or(more.since_boot_ns);
        if time.wall_ns.is_none() {
            (time.wall_ns, time.wall_exact) = (more.wall_ns, more.wall_exact);
        }
    }
}

#[cfg(test)]
mod tests {
    use facts::{Origin, Stamp};

    use super::*;

    const S: i64 = 1_000_000_000;

    fn wait(member: &str, stamp: Stamp) -> Fact {
        let mut fact = Fact::new("log.unregister_netdevice", Origin::lines(member, 1, 1)).quoting("waiting for eth0");
        fact.time = Some(stamp);
        fact
    }

    fn wall(seconds: i64) -> Stamp {
        Stamp { wall_ns: Some(seconds * S), ..Stamp::default() }
    }

    #[test]
    fn two_clocks_are_joined_by_equal_words() {
        let mut old: Vec<Fact> = (0..60).map(|n| wait("dmesg", Stamp::since_boot((5000 + 10 * n) * S))).collect();
        let mut new: Vec<Fact> = (0..62).map(|n| wait("messages", wall(90_000 + 10 * n))).collect();
        let same = find(&mut old, &mut new);
        assert_eq!(same.pairs.len(), 60);
        // The ring had lost the first two: the ends fall together.
        let mut pairs = same.pairs.clone();
        pairs.sort_unstable();
        assert_eq!(pairs.first(), Some(&(2, 0)));
        assert_eq!(old[0].time.and_then(|t| t.wall_ns), Some(90_020 * S));
        assert_eq!(new[0].time.and_then(|t| t.since_boot_ns), Some(4980 * S));
    }

    #[test]
    fn equal_clocks_are_not_moved() {
        let mut old = vec![wait("messages.1", wall(100)), wait("messages.1", wall(110))];
        let mut new = vec![wait("messages", wall(110)), wait("messages", wall(120))];
        assert_eq!(find(&mut old, &mut new).pairs, [(0, 1)]);
        let boot = |seconds: i64| Stamp::since_boot(seconds * S);
        let mut old = vec![wait("a", boot(100))];
        let mut new = vec![wait("b", boot(101)), wait("b", Stamp::since_boot(100 * S + 999))];
        assert_eq!(find(&mut old, &mut new).pairs, [(1, 0)]);
    }

    #[test]
    fn clocks_that_run_apart_are_followed() {
        let mut old: Vec<Fact> = (0..30).map(|n| wait("dmesg", Stamp::since_boot(3600 * n * S))).collect();
        // A second an hour.
        let mut new: Vec<Fact> = (0..30).map(|n| wait("messages", wall(90_000 + 3601 * n))).collect();
        assert_eq!(find(&mut old, &mut new).pairs.len(), 30);
    }

    #[test]
    fn other_words_are_other_events() {
        let mut old = vec![wait("dmesg", Stamp::since_boot(S))];
        let mut new = vec![wait("messages", wall(100)).quoting("waiting for eth1")];
        assert!(find(&mut old, &mut new).pairs.is_empty());
        assert_eq!(new[0].time, Some(wall(100)));
    }
}
