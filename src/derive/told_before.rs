//! What is said before its cause. Commands that were aborted before the drive said which sector it cannot read: it had
//! tried all that time. These are the only events that a later one explains, because a drive that tries long says what is
//! wrong last.

use std::collections::BTreeSet;

use facts::Fact;

use super::folded::cpus;
use super::path;
use super::sequence::{AT_ONCE, Follows, LOOK_BACK, Near, SAME_BREATH, SECOND};

const ENOSPC: i64 = 28;

/// The CPU of a stall that is the only one and of which nothing is shown.
fn stalled_without_trace(fact: &Fact) -> Option<i64> {
    let bare = fact.kind == "log.rcu_stall" && fact.text("function").is_none() && path::main_stack(fact).is_none();
    cpus(fact).first().copied().filter(|_| bare && cpus(fact).len() == 1)
}

/// What a later event has to be in order to explain one.
struct Sought<'f> {
    why: &'static str,
    near: Near,
    /// So many events behind it are looked at.
    within: usize,
    is: Box<dyn Fn(&Fact) -> bool + 'f>,
}

impl<'f> Sought<'f> {
    fn new(why: &'static str, near: Near, is: impl Fn(&Fact) -> bool + 'f) -> Self {
        Sought { why, near, within: LOOK_BACK, is: Box::new(is) }
    }
}

/// The events of a boot that a later one explains.
pub(super) fn follows(facts: &[Fact], boot: &[usize], found: &mut Vec<Follows>) {
    let known: BTreeSet<usize> = found.iter().map(|follows| follows.event).collect();
    for (number, at) in boot.iter().enumerate() {
        let Some(early) = facts.get(*at).filter(|_| !known.contains(at)) else { continue };
        let Some(sought) = sought(early) else { continue };
        let later = boot.iter().skip(number + 1).take(sought.within).copied();
        let explains =
            |late: &usize| facts.get(*late).is_some_and(|late| (sought.is)(late) && sought.near.holds(early, late));
        if let Some(of) = later.into_iter().find(explains) {
            found.push(Follows { event: *at, of, why: sought.why });
        }
    }
}

/// What explains an event that may be told before its cause.
fn sought(early: &Fact) -> Option<Sought<'_>> {
    const AGAIN: Near = Near { ns: 120 * SECOND, lines: 500 };
    const FILLS: Near = Near { ns: 86_400 * SECOND, lines: 100_000 };
    const TRIED: Near = Near { ns: 3600 * SECOND, lines: 2000 };
    // The watchdog of the clock may speak before those of the processors.
    if early.kind == "log.clocksource" {
        let why = "the processor that reads the clock had stood still";
        return Some(Sought::new(why, AT_ONCE, |late| super::work::is_idle(late) || late.kind == "log.mce"));
    }
    if early.kind == "log.usb_host_error" && early.text("what") == Some("dead") {
        let why = "the controller did not come back from suspend";
        return Some(Sought::new(why, AT_ONCE, |late| {
            late.kind == "log.power"
                && late.text("what") == Some("resume")
                && late.text("device") == early.text("device")
        }));
    }
    if let Some(cpu) = stalled_without_trace(early) {
        return Some(Sought::new("the same CPU, told again with its trace", AGAIN, move |late| {
            late.kind == early.kind && cpus(late) == [cpu] && stalled_without_trace(late).is_none()
        }));
    }
    if early.kind == "log.raid_error" && early.text("severity") == Some("notice") {
        let array = early.text("array").filter(|array| !array.is_empty())?;
        return Some(Sought::new("the pool was full in the end", FILLS, move |late| {
            late.kind == early.kind && late.int("errno") == Some(ENOSPC) && late.text("array") == Some(array)
        }));
    }
    if is_virtual_adapter(early) {
        return Some(Sought::new("the drive says what its command failed of", SAME_BREATH, is_medium_error));
    }
    // The host's answer to a command, then what the disk says of the same one.
    if early.kind == "log.paravirtual" && early.text("what") == Some("command-error") {
        let why = "the disk says right after what was wrong with the command";
        return Some(Sought { within: 2, ..Sought::new(why, SAME_BREATH, |late| late.kind == "log.scsi_error") });
    }
    is_abort(early).then(|| {
        let why = "the drive says later that it cannot read a sector: it had tried, and was too slow";
        Sought::new(why, TRIED, |late| is_medium_error(late) && is_of_target(early, late))
    })
}

/// Do the lines of a controller speak of a drive by its address, or of its host: `sd 2:0:0:0`, `scsi host2`?
fn is_of_target(early: &Fact, late: &Fact) -> bool {
    let named = early.text("driver").and_then(|driver| driver.split(' ').next_back());
    let Some((named, target)) = named.zip(late.text("target")) else { return false };
    named == target || named.strip_prefix("host").is_some_and(|host| target.split(':').next() == Some(host))
}

/// Was a command aborted, or its device reset, because no answer came?
fn is_abort(fact: &Fact) -> bool {
    fact.kind == "log.host_adapter" && matches!(fact.text("what"), Some("abort" | "reset"))
}

/// Did a command fail in the adapter that a hypervisor gives its guests?
pub(super) fn is_virtual_adapter(fact: &Fact) -> bool {
    fact.kind == "log.paravirtual"
        && fact.text("driver") == Some("hv_storvsc")
        && fact.text("what") == Some("command-error")
        && fact.text("severity") == Some("failure")
}

/// Does the drive say that it cannot read one of its sectors?
pub(super) fn is_medium_error(fact: &Fact) -> bool {
    matches!(&*fact.kind, "log.scsi_error" | "log.block_io_error")
        && fact.text("title").is_some_and(|title| title.to_ascii_lowercase().contains("medium error"))
}

#[cfg(test)]
mod tests {
    use facts::Origin;

    use super::*;

    #[test]
    fn a_stall_that_is_told_again_with_its_trace_is_one() {
        let stall = |cpu: i64, line: u64, function: Option<&str>| {
            Fact::new("log.rcu_stall", Origin::lines("dmesg", line, line + 3))
                .with("class", "rcu-stall")
                .with("severity", "report")
                .with("cpus", vec![cpu])
                .with_opt("function", function)
        };
        let told = |facts: &[Fact]| {
            let mut found = Vec::new();
            follows(facts, &[0, 1], &mut found);
            found.iter().map(|follows| (follows.event, follows.of)).collect::<Vec<_>>()
        };
        assert_eq!(told(&[stall(14, 1, None), stall(14, 9, Some("kvm_s390_gisa_destroy"))]), [(0, 1)]);
        assert_eq!(told(&[stall(14, 1, None), stall(3, 9, Some("kvm_s390_gisa_destroy"))]), []);
        assert_eq!(told(&[stall(14, 1, None), stall(14, 9, None)]), []);
        let pool = |array: &str, severity: &str| {
            Fact::new("log.raid_error", Origin::lines("dmesg", 1, 1)).with("array", array).with("severity", severity)
        };
        let (low, full) = (pool("253:5", "notice"), pool("253:5", "failure").with("errno", 28));
        assert_eq!(told(&[low.clone(), full.clone()]), [(0, 1)]);
        assert_eq!(told(&[pool("253:4", "notice"), full]), []);
        assert_eq!(told(&[low, pool("253:5", "failure")]), []);
        assert_eq!(told(&[stall(14, 1, None), stall(14, 9000, Some("kvm_s390_gisa_destroy"))]), []);
    }
}
