//! Fault injection: failures that somebody asked for (CONFIG_FAULT_INJECTION).

use facts::Fact;

use crate::Kernel;

/// Variables that start with a `struct fault_attr`.
const POINTS: [&str; 5] = ["failslab", "fail_page_alloc", "fail_make_request", "fail_io_timeout", "fail_futex"];

impl Kernel<'_> {
    /// One `mem.fault_injection` fact for each point that is armed: its probability is not zero and it may still fail.
    pub fn fault_injection_facts(&self) -> Vec<Fact> {
        let mut facts = Vec::new();
        for point in POINTS {
            let Some(at) = self.symbol_at(point) else { continue };
            let value = |path: &str| self.value(at, "fault_attr", path);
            let (Some(probability), Some(times)) =
                (value("probability"), value("times.counter").or_else(|| value("times")))
            else {
                continue;
            };
            // -1: without end.
            let times = i64::from(times as i32);
            if probability == 0 || times == 0 {
                continue;
            }
            let filtered = value("task_filter").unwrap_or(0) & 1 == 1;
            facts.push(
                Fact::new("mem.fault_injection", self.origin(at, "struct fault_attr"))
                    .with("point", point)
                    .with("probability", probability)
                    .with("times", times)
                    .with("task_filter", filtered)
                    .quoting(format!(
                        "fault injection {point} is armed: probability {probability} %, {}{}",
                        if times < 0 { "without end".to_owned() } else { format!("{times} more times") },
                        if filtered { ", for tasks with make_it_fail" } else { "" }
                    ))
                    .recheck(format!("crash> struct fault_attr {point}"))
                    .recheck(format!("drgn> Object(prog, 'struct fault_attr', address={:#x})", at.0)),
            );
        }
        facts
    }
}
