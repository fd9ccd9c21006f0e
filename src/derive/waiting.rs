//! How long a network device waited for its references: the kernel says so at a steady pace for as long as it waits
//! (`netdev_wait_allrefs_any()` in net/core/dev.c: every ten seconds, or `netdev_unregister_timeout_secs`). A longer pause
//! between two lines is the end of one wait and the begin of another.

use std::collections::BTreeMap;

use facts::Fact;

/// Lines of one wait.
#[derive(Debug, PartialEq)]
pub(super) struct Wait<'a> {
    pub(super) first: usize,
    pub(super) device: &'a str,
    pub(super) usage: i64,
    pub(super) lines: i64,
    pub(super) seconds: i64,
}

const SECOND: i64 = 1_000_000_000;
/// So many times the shortest pause is a pause between two waits, but never less or more than this.
const TIMES: i64 = 3;
const SHORTEST: i64 = 30 * SECOND;
const LONGEST: i64 = 450 * SECOND;

/// The waits of each device with one number of references, as far as the lines have a time.
pub(super) fn waits(facts: &[Fact]) -> Vec<Wait<'_>> {
    let mut groups: BTreeMap<(&str, i64), Vec<usize>> = BTreeMap::new();
    for (at, fact) in facts.iter().enumerate().filter(|(_, fact)| fact.kind == "log.unregister_netdevice") {
        if let (Some(device), Some(usage)) = (fact.text("device"), fact.int("usage")) {
            groups.entry((device, usage)).or_default().push(at);
        }
    }
    let pause = |early: usize, late: usize| {
        let time = |at: usize| facts.get(at).and_then(|fact| fact.time);
        time(late)?.since(&time(early)?)
    };
    let mut found = Vec::new();
    for ((device, usage), events) in groups {
        let pauses = events.windows(2).filter_map(|pair| pause(*pair.first()?, *pair.last()?));
        // Two lines of one moment are two devices of a name, or one line in two files.
        let Some(shortest) = pauses.filter(|ns| *ns >= SECOND).min() else { continue };
        let limit = shortest.saturating_mul(TIMES).clamp(SHORTEST, LONGEST);
        for run in events.chunk_by(|early, late| pause(*early, *late).is_none_or(|ns| ns <= limit)) {
            let Some(first) = run.first() else { continue };
            // A line may stand for several.
            let repeats = |at: &usize| facts.get(*at).and_then(|fact| fact.int("repeats")).unwrap_or(1);
            found.push(Wait {
                first: *first,
                device,
                usage,
                lines: run.iter().map(repeats).sum(),
                seconds: facts::span(run.iter().filter_map(|at| facts.get(*at))).unwrap_or(0) / SECOND,
            });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use facts::{Origin, Stamp};

    use super::*;

    fn lines(seconds: &[i64]) -> Vec<Fact> {
        let line = |at: &i64| {
            let mut fact = Fact::new("log.unregister_netdevice", Origin::lines("dmesg", 1, 1))
                .with("device", "eth0")
                .with("usage", 1);
            fact.time = Some(Stamp::since_boot(at * SECOND));
            fact
        };
        seconds.iter().map(line).collect()
    }

    fn told(seconds: &[i64]) -> Vec<(i64, i64)> {
        waits(&lines(seconds)).iter().map(|wait| (wait.lines, wait.seconds)).collect()
    }

    #[test]
    fn a_pause_between_the_lines_ends_a_wait() {
        assert_eq!(told(&[100, 110, 120, 130]), [(4, 30)]);
        // As a kernel prints that is told to wait longer.
        assert_eq!(told(&[100, 240, 380]), [(3, 280)]);
        // A line may be lost.
        assert_eq!(told(&[100, 110, 130, 140]), [(4, 40)]);
        assert_eq!(told(&[100, 110, 989, 2820]), [(2, 10), (1, 0), (1, 0)]);
        assert_eq!(told(&[100, 979, 2810]), [(1, 0), (1, 0), (1, 0)]);
        assert_eq!(told(&[100]), []);
    }
}
