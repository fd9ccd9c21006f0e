//! Tasks behind a task, as memory tells: who owns the lock that they wait for, along the owners to the one that waits for
//! no lock. The log of a machine that panics at its first hung task names one of them, by chance.

use std::collections::{BTreeMap, BTreeSet};

use facts::{Fact, Origin, Value};

use super::hang::{Hang, Sleepers};
use super::path;

/// Seconds that a task waits before it counts: locks are waited for all the time.
const LONG: i64 = 5;
/// A single task behind another counts from here on.
const VERY_LONG: i64 = 60;

/// The facts `derived.convoy`: one for each task that holds up others, but those that the log's hung tasks named already.
pub(super) fn convoys(facts: &[Fact], hangs: &[Hang]) -> Vec<Fact> {
    let sleepers = Sleepers::of(facts);
    let tasks: BTreeMap<i64, &Fact> =
        facts.iter().filter(|fact| fact.kind == "mem.task").filter_map(|task| Some((task.int("pid")?, task))).collect();
    let mut behind: BTreeMap<i64, BTreeSet<i64>> = BTreeMap::new();
    for pid in sleepers.owners.keys() {
        if let Some(root) = sleepers.root(*pid) {
            behind.entry(root).or_default().insert(*pid);
        }
    }
    let named = |pid: i64| hangs.iter().any(|hang| hang.title.is_some() && hang.holds_up(pid));
    let convoy = |(root, held_up): (i64, BTreeSet<i64>)| {
        let waited = |pid: &i64| tasks.get(pid)?.int("blocked_s");
        let long = held_up.iter().filter(|pid| waited(pid).is_some_and(|s| s >= LONG)).count();
        let longest = held_up.iter().filter_map(waited).max()?;
        if named(root) || (long < 2 && longest < VERY_LONG) {
            return None;
        }
        let holder = tasks.get(&root)?;
        let comm = holder.text("comm")?;
        let function = holder.text("waits_in");
        let way = path::main_stack(holder).map(path::hops).unwrap_or_default();
        let module = way.into_iter().find(|hop| Some(hop.function.as_str()) == function).and_then(|hop| hop.module);
        let place = function.map(|function| format!(" in {function}")).unwrap_or_default();
        let object = sleepers.objects.get(&root);
        let does = match object {
            Some(object) => format!("waits for {object}{place}"),
            None if holder.text("state") == Some("R") => "runs".to_owned(),
            None => format!("sleeps{place}"),
        };
        let others =
            if held_up.len() == 1 { "another task".to_owned() } else { format!("{} other tasks", held_up.len()) };
        let title = format!("{comm} holds up {others} and {does}");
        let names: Vec<String> =
            held_up.iter().filter_map(|pid| Some(format!("{} ({pid})", tasks.get(pid)?.text("comm")?))).collect();
        let quote = format!("{title}: {} wait for its locks or for those of others among them", names.join(", "));
        Some(
            Fact::new("derived.convoy", Origin::derived(&holder.origin.member, "who waits for whose lock in memory"))
                .with("holder_comm", comm)
                .with("holder_pid", root)
                .with("tasks", held_up.len())
                .with("held_up", names)
                .with("pids", held_up.iter().copied().chain([root]).collect::<Vec<i64>>())
                .with("longest_s", longest)
                .with_opt("object", object.cloned())
                .with_opt("function", function)
                .with_opt("module", module)
                .with("title", title)
                .quoting(quote),
        )
    };
    behind.into_iter().filter_map(convoy).collect()
}

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

    fn task(pid: i64, comm: &str, blocked: i64) -> Fact {
        Fact::new("mem.task", Origin::memory("dump", pid as u64, "struct task_struct"))
            .with("pid", pid)
            .with("comm", comm)
            .with("state", "D")
            .with("waits_in", "fw_load")
            .with("blocked_s", blocked)
    }

    fn waits(pid: i64, owner: i64) -> Fact {
        Fact::new("mem.lock_wait", Origin::memory("dump", 0, "struct mutex"))
            .with("pid", pid)
            .with("owner_pid", owner)
            .with("owner_comm", "x")
            .with("owner_certain", true)
    }

    #[test]
    fn a_lock_of_a_task_that_died_is_told_with_the_oops_that_killed_it() {
        let died = waits(2, 9).with("owner_died", true).with("kind", "mutex").with("symbol", "cfg").with("comm", "b");
        let oops = Fact::new("log.oops", Origin::lines("dmesg", 5, 9)).with("comm", "io");
        let found = lost_locks(&[oops.clone(), died.clone(), waits(3, 1)]);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].text("title"), Some("mutex cfg is held by a task that died: b (2) waits for it"));
        assert_eq!((found[0].int("event"), found[0].text("died")), (Some(0), Some("io")));
        // Which of two oopses it was nobody knows.
        assert_eq!(lost_locks(&[oops.clone(), oops, died])[0].int("event"), None);
    }

    #[test]
    fn the_task_at_the_end_of_the_owners_holds_up_all_behind_it() {
        let facts =
            |blocked| vec![task(1, "fw", 30), task(2, "b", blocked), task(3, "c", blocked), waits(2, 1), waits(3, 2)];
        let found = convoys(&facts(30), &[]);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].text("title"), Some("fw holds up 2 other tasks and sleeps in fw_load"));
        assert!(convoys(&facts(1), &[]).is_empty(), "locks are waited for all the time");
        // A circle has no end.
        let circle = vec![task(1, "a", 30), task(2, "b", 30), waits(1, 2), waits(2, 1)];
        assert!(convoys(&circle, &[]).is_empty());
    }
}
