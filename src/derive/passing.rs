//! Failures that whoever meets them is made for: an allocation that may not wait is refused whenever free memory is short
//! for a moment, and the caller drops a packet or an event. A grace period that was late by a moment is no stall.

use facts::Fact;

use super::shortage;

/// An expedited grace period may be told after 20 ms where the kernel was built so
/// (`CONFIG_RCU_EXP_CPU_STALL_TIMEOUT`); so many jiffies are a second at most.
const MOMENT_JIFFIES: i64 = 100;

/// Why the event does no harm.
pub(super) fn why(fact: &Fact) -> &'static str {
    match &*fact.kind {
        "log.rcu_stall" => "the grace period was late by a moment, and nothing hung",
        _ => WHY,
    }
}

const WHY: &str = "the caller may not wait and is made for a refusal: it drops a packet or an event";

/// Positions of the events that pass by themselves. Where the machine ran out of memory, none does.
pub(super) fn passing(facts: &[Fact]) -> Vec<usize> {
    let short = facts.iter().any(|fact| fact.kind == "log.oom");
    let refused = |fact: &Fact| match &*fact.kind {
        // It took long and was served in the end.
        "log.page_alloc_failure" if fact.get("stall_ms").is_some() => true,
        "log.rcu_stall" => {
            fact.get("expedited").and_then(facts::Value::as_bool) == Some(true)
                && fact.int("jiffies").is_some_and(|jiffies| jiffies < MOMENT_JIFFIES)
        }
        _ if short => false,
        "log.page_alloc_failure" => shortage::may_not_wait(fact),
        "log.slab_alloc_failure" => ["(GFP_NOWAIT", "(GFP_ATOMIC"].iter().any(|mode| fact.quote.contains(mode)),
        _ => false,
    };
    facts.iter().enumerate().filter(|(_, fact)| refused(fact)).map(|(at, _)| at).collect()
}

#[cfg(test)]
mod tests {
    use facts::Origin;

    use super::*;

    #[test]
    fn a_refusal_that_nobody_waits_for_passes() {
        let failed = |mode: i64, names: &str| {
            let quote = format!("x: page allocation failure: order:0, mode:{mode:#x}({names}), nodemask=(null)");
            Fact::new("log.page_alloc_failure", Origin::lines("dmesg", 1, 3)).with("mode", mode).quoting(quote)
        };
        let (nowait, kernel) = (failed(0x800, "GFP_NOWAIT"), failed(0xcc0, "GFP_KERNEL"));
        assert_eq!(passing(&[nowait.clone(), kernel]), [0]);
        let stall = |jiffies: i64| {
            Fact::new("log.rcu_stall", Origin::lines("dmesg", 1, 3)).with("expedited", true).with("jiffies", jiffies)
        };
        assert_eq!(passing(&[stall(6), stall(2100), stall(6).with("expedited", false)]), [0]);
        assert!(passing(&[nowait, Fact::new("log.oom", Origin::lines("dmesg", 9, 9))]).is_empty());
    }
}
