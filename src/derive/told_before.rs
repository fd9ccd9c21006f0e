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

/// The events of a boot that a later one explains.
pub(super) fn follows(facts: &[Fact], boot: &[usize], found: &mut Vec<Follows>) {
    const TRIED: Near = Near { ns: 3600 * SECOND, lines: 2000 };
    let known: BTreeSet<usize> = found.iter().map(|follows| follows.event).collect();
    for (number, at) in boot.iter().enumerate() {
        let Some(early) = facts.get(*at).filter(|_| !known.contains(at)) else { continue };
        let later = boot.iter().skip(number + 1).take(LOOK_BACK);
        // The watchdog of the clock may speak before those of the processors.
        if early.kind == "log.clocksource" {
            let stood = later.copied().find(|late| {
                facts.get(*late).is_some_and(|late| {
                    (super::work::is_idle(late) || late.kind == "log.mce") && AT_ONCE.holds(early, late)
                })
            });
            if let Some(of) = stood {
                found.push(Follows { event: *at, of, why: "the processor that reads the clock had stood still" });
            }
            continue;
        }
        if early.kind == "log.usb_host_error" && early.text("what") == Some("dead") {
            let asleep = later.copied().find(|late| {
                facts.get(*late).is_some_and(|late| {
                    late.kind == "log.power"
                        && late.text("what") == Some("resume")
                        && late.text("device") == early.text("device")
                        && AT_ONCE.holds(early, late)
                })
            });
            if let Some(of) = asleep {
                found.push(Follows { event: *at, of, why: "the controller did not come back from suspend" });
            }
            continue;
        }
        if let Some(cpu) = stalled_without_trace(early) {
            const AGAIN: Near = Near { ns: 120 * SECOND, lines: 500 };
            let shown = later.copied().find(|late| {
                facts.get(*late).is_some_and(|late| {
                    late.kind == early.kind
                        && cpus(late) == [cpu]
                        && stalled_without_trace(late).is_none()
                        && AGAIN.holds(early, late)
                })
            });
            if let Some(of) = shown {
                found.push(Follows { event: *at, of, why: "the same CPU, told again with its trace" });
            }
            continue;
        }
        if early.kind == "log.raid_error" && early.text("severity") == Some("notice") {
            const FILLS: Near = Near { ns: 86_400 * SECOND, lines: 100_000 };
            let full = later.copied().find(|late| {
                facts.get(*late).is_some_and(|late| {
                    late.kind == early.kind
                        && late.int("errno") == Some(ENOSPC)
                        && early
                            .text("array")
                            .is_some_and(|array| !array.is_empty() && late.text("array") == Some(array))
                        && FILLS.holds(early, late)
                })
            });
            if let Some(of) = full {
                found.push(Follows { event: *at, of, why: "the pool was full in the end" });
            }
            continue;
        }
        if is_virtual_adapter(early) {
            let said = later.copied().find(|late| {
                facts.get(*late).is_some_and(|late| is_medium_error(late) && SAME_BREATH.holds(early, late))
            });
            if let Some(of) = said {
                found.push(Follows { event: *at, of, why: "the drive says what its command failed of" });
            }
            continue;
        }
        // The host's answer to a command, then what the disk says of the same one.
        if early.kind == "log.paravirtual" && early.text("what") == Some("command-error") {
            let said = later.take(2).copied().find(|late| {
                facts.get(*late).is_some_and(|late| late.kind == "log.scsi_error" && SAME_BREATH.holds(early, late))
            });
            if let Some(of) = said {
                found.push(Follows {
                    event: *at,
                    of,
                    why: "the disk says right after what was wrong with the command",
                });
            }
            continue;
        }
        if !is_abort(early) {
            continue;
        }
        let medium = later.copied().find(|late| {
            facts
                .get(*late)
                .is_some_and(|late| is_medium_error(late) && is_of_target(early, late) && TRIED.holds(early, late))
        });
        if let Some(of) = medium {
            found.push(Follows {
                event: *at,
                of,
                why: "the drive says later that it cannot read a sector: it had tried, and was too slow",
            });
        }
    }
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
