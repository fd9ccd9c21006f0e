//! Events of the kernel that kdump starts to write the dump: they are not of the kernel that crashed.

use std::collections::BTreeMap;

use facts::{Fact, Value};

/// Positions of the events that stand in the log of a capture kernel.
pub(super) fn events(facts: &[Fact]) -> Vec<usize> {
    let mut found = Vec::new();
    let mut captures: BTreeMap<&str, bool> = BTreeMap::new();
    for (at, fact) in facts.iter().enumerate().filter(|(_, f)| f.kind.starts_with("log.")) {
        let capture = captures.entry(fact.origin.member.as_str()).or_default();
        if fact.kind == "log.boot" {
            *capture = fact.get("capture").and_then(Value::as_bool) == Some(true);
        } else if *capture {
            found.push(at);
        }
    }
    found
}

/// The title of an event of the capture kernel.
pub(super) fn title(title: &str) -> String {
    format!("in the kdump capture kernel: {title}")
}

#[cfg(test)]
mod tests {
    use facts::Origin;

    use super::*;

    #[test]
    fn what_the_capture_kernel_meets_is_told_apart() {
        let fact =
            |kind: &'static str, line| Fact::new(kind, Origin::lines("dmesg", line, line)).with("severity", "report");
        let boot = |line, capture: bool| fact("log.boot", line).with("capture", capture).with("severity", "notice");
        let facts = [
            boot(1, false),
            fact("log.oops", 2),
            boot(3, true),
            fact("log.oom", 4),
            boot(5, false),
            fact("log.oops", 6),
        ];
        assert_eq!(events(&facts), [3]);
    }
}
