//! Locks whose owner died with them held, as memory tells.

use std::collections::BTreeMap;

use facts::{Fact, Origin, Value};

/// The facts `derived.lost_lock`: locks whose owner died, with who waits for them. The report of the oops that killed it is
/// named where there is one.
pub(super) fn lost_locks(facts: &[Fact]) -> Vec<Fact> {
    let mut by_lock: BTreeMap<String, Vec<&Fact>> = BTreeMap::new();
    for wait in facts.iter().filter(|fact| fact.kind == "mem.lock_wait") {
        if wait.get("owner_died").and_then(Value::as_bool) == Some(true) {
            by_lock.entry(wait.get("lock").map(ToString::to_string).unwrap_or_default()).or_default().push(wait);
        }
    }
    if by_lock.is_empty() {
        return Vec::new();
    }
    let mut oopses = facts.iter().enumerate().filter(|(_, fact)| fact.kind == "log.oops");
    let killed = oopses.next().filter(|_| oopses.next().is_none());
    let lost = |(lock, waits): (String, Vec<&Fact>)| {
        let first = waits.first()?;
        let kind = first.text("kind").unwrap_or("lock");
        let name = first.text("symbol").map_or(lock.clone(), str::to_owned);
        let names: Vec<String> =
            waits.iter().filter_map(|wait| Some(format!("{} ({})", wait.text("comm")?, wait.int("pid")?))).collect();
        let verb = if names.len() == 1 { "waits" } else { "wait" };
        let title = format!("{kind} {name} is held by a task that died: {} {verb} for it", names.join(", "));
        let origin =
            Origin::derived(&first.origin.member, "start of the task that the lock names, against its waiter's sleep");
        let fact = Fact::new("derived.lost_lock", origin)
            .with("lock", lock)
            .with("kind", kind)
            .with_opt("symbol", first.text("symbol"))
            .with("tasks", names)
            .with("pids", waits.iter().filter_map(|wait| wait.int("pid")).collect::<Vec<i64>>())
            .with_opt("event", killed.map(|(at, _)| at))
            .with_opt("died", killed.and_then(|(_, oops)| oops.text("comm")))
            .with("title", title.as_str());
        Some(fact.quoting(title))
    };
    by_lock.into_iter().filter_map(lost).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_of_a_task_that_died_is_told_with_the_oops_that_killed_it() {
        let wait = |pid: i64| Fact::new("mem.lock_wait", Origin::memory("dump", 0, "struct mutex")).with("pid", pid);
        let died = wait(2).with("owner_died", true).with("kind", "mutex").with("symbol", "cfg").with("comm", "b");
        let oops = Fact::new("log.oops", Origin::lines("dmesg", 5, 9)).with("comm", "io");
        let found = lost_locks(&[oops.clone(), died.clone(), wait(3)]);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].text("title"), Some("mutex cfg is held by a task that died: b (2) waits for it"));
        assert_eq!((found[0].int("event"), found[0].text("died")), (Some(0), Some("io")));
        // Which of two oopses it was nobody knows.
        assert_eq!(lost_locks(&[oops.clone(), oops, died])[0].int("event"), None);
    }
}
