//! A report that the rotation of its log cut: its head is the last event of one file, its rest the first of the next.

use std::sync::Arc;

use facts::{Fact, Place};

use crate::derive;

/// The rest of a report comes with the head, in one burst of the console.
const BURST_NS: i64 = 2_000_000_000;
/// Lines of the younger file before the rest: none but what a daemon says of the rotation.
const FIRST_LINES: u64 = 3;

/// Takes the first of `new`, the facts of one log, into the report that it is the rest of, where there is one.
pub(super) fn join(old: &mut [Fact], new: &mut Vec<Fact>) {
    let Some(rest) = new.iter().position(|fact| fact.kind.starts_with("log.")) else { return };
    let Some(part) = new.get(rest) else { return };
    let first = matches!(part.origin.place, Place::Lines { first, .. } if first <= FIRST_LINES);
    if !first || part.text("corrupted") != Some(derive::NO_HEAD) {
        return;
    }
    let (series, age) = derive::rotation(&part.origin.member);
    let goes_on = |fact: &Fact| {
        let (same, older) = derive::rotation(&fact.origin.member);
        fact.kind.starts_with("log.") && same == series && older > age
    };
    // The youngest of the older files is the one before it.
    let Some(head) = old.iter_mut().rev().find(|fact| goes_on(fact)) else { return };
    let apart = part.time.zip(head.time).and_then(|(part, head)| part.since(&head));
    if head.text("severity") != Some("report") || !apart.is_some_and(|ns| (0..=BURST_NS).contains(&ns)) {
        return;
    }
    let part = new.remove(rest);
    for (name, value) in part.values {
        if !matches!(&*name, "class" | "title" | "severity" | "corrupted" | "function" | "module" | "repeats") {
            head.values.entry(name).or_insert(value);
        }
    }
    for stack in part.stacks {
        // A trace that the end of the file cut goes on.
        match head.stacks.iter_mut().find(|known| known.name == stack.name) {
            Some(known) => Arc::make_mut(known).frames.extend(stack.frames.iter().cloned()),
            None => head.stacks.push(stack),
        }
    }
}

#[cfg(test)]
mod tests {
    use facts::{Frame, Origin, Stack, Stamp};

    use super::*;

    fn part(member: &str, line: u64, seconds: i64, frames: &[&str]) -> Fact {
        let mut fact = Fact::new("log.oops", Origin::lines(member, line, line + 9)).with("severity", "report");
        fact.time = Some(Stamp { wall_ns: Some(seconds * 1_000_000_000), ..Stamp::default() });
        let mut stack = Stack::printed("call trace");
        stack.frames = frames.iter().map(|f| Frame::printed(*f)).collect();
        fact.stacks.push(Arc::new(stack));
        fact
    }

    fn rest(member: &str, line: u64, seconds: i64) -> Fact {
        part(member, line, seconds, &["c", "d"]).with("corrupted", derive::NO_HEAD).with("pid", 7)
    }

    #[test]
    fn the_rest_of_a_report_joins_its_head() {
        let mut old = vec![part("messages.1", 90, 10, &["a", "b"])];
        let mut new = vec![rest("messages", 1, 11)];
        join(&mut old, &mut new);
        assert!(new.is_empty());
        assert_eq!(old[0].stacks[0].functions().collect::<Vec<_>>(), ["a", "b", "c", "d"]);
        assert_eq!(old[0].int("pid"), Some(7));
        assert!(old[0].text("corrupted").is_none());
    }

    #[test]
    fn what_only_stands_there_does_not() {
        for other in [rest("messages", 40, 11), rest("messages", 1, 90), rest("kern.log", 1, 11)] {
            let mut old = vec![part("messages.1", 90, 10, &["a"])];
            let mut new = vec![other];
            join(&mut old, &mut new);
            assert_eq!(new.len(), 1);
        }
    }
}
