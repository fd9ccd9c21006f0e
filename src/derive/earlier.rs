//! Reports that follow an oops which the log does not show: the kernel counts its oopses, and is tainted by the first.

use facts::Fact;

/// An event that has a forerunner outside the log.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Follower {
    pub(super) event: usize,
    /// In a sentence.
    pub(super) text: String,
}

/// The flag that `oops_end()` and its like set, after the first report is printed.
const DIED: char = 'D';

/// The first of the reports before which the kernel had died already, where the log of the boot shows no death.
pub(super) fn follower(facts: &[Fact]) -> Option<Follower> {
    let grave = |fact: &Fact| matches!(fact.text("severity"), Some("report" | "panic"));
    let reports = facts.iter().enumerate().filter(|(_, fact)| fact.kind.starts_with("log.") && grave(fact));
    let mut first = None;
    for (event, fact) in reports {
        let died = fact.text("taint").is_some_and(|taint| taint.contains(DIED));
        let text = match fact.int("count").filter(|_| fact.kind == "log.oops") {
            Some(number @ 2..) => format!("oops number {number} of this boot, and none before it is in the log"),
            // The flag of the first report itself is not set yet; some architectures count nothing.
            None if died => "an oops came before, and is not in the log".to_owned(),
            _ if fact.kind == "log.oops" => return None,
            _ => continue,
        };
        first.get_or_insert(Follower { event, text });
    }
    first
}

#[cfg(test)]
mod tests {
    use facts::Origin;

    use super::*;

    fn report(kind: &'static str, taint: &str) -> Fact {
        Fact::new(kind, Origin::lines("dmesg", 1, 9)).with("severity", "report").with("taint", taint)
    }

    #[test]
    fn an_oops_that_is_not_the_first_says_that_one_is_missing() {
        let oops = |count: i64, taint| report("log.oops", taint).with("count", count);
        let event = |facts: &[Fact]| follower(facts).map(|f| f.event);
        assert_eq!(event(&[oops(2, "GD"), oops(3, "GD")]), Some(0));
        assert_eq!(event(&[report("log.warning", "GW"), oops(2, "GD")]), Some(1));
        assert_eq!(event(&[oops(1, "G"), oops(2, "GD")]), None);
        assert_eq!(event(&[report("log.warning", "GW")]), None);
        assert_eq!(event(&[report("log.kasan", "BD"), report("log.hung_task", "BD")]), Some(0));
        assert_eq!(event(&[report("log.oops", ""), report("log.hung_task", "D")]), None);
        assert!(follower(&[oops(8, "GD")]).is_some_and(|f| f.text.contains("number 8")));
    }
}
