//! Locks whose owner died with them held, as memory tells.

use std::collections::BTreeMap;

use facts::{Fact, Origin, Value};

/// System calls in which a process waits for its own sake, with no lock of the kernel held.
const OWN_WAITS: [&str; 14] = [
    "nanosleep",
    "clock_nanosleep",
    "futex",
    "poll",
    "ppoll",
    "select",
    "pselect6",
    "epoll_wait",
    "epoll_pwait",
    "wait4",
    "waitid",
    "pause",
    "rt_sigsuspend",
    "rt_sigtimedwait",
];

/// How a lock came to be held by nobody who will give it back.
#[derive(Clone, Copy, PartialEq, Eq)]
enum How {
    /// Its owner died, and another task has its task_struct.
    Died,
    /// Its owner exited.
    Exited,
    /// Its owner went on in user space.
    Returned,
    /// One of the two: took it twice, or had the task_struct of one that exited.
    Unclear,
}

impl How {
    fn name(self) -> &'static str {
        match self {
            How::Died => "died",
            How::Exited => "exited",
            How::Returned => "returned",
            How::Unclear => "unclear",
        }
    }

    fn of(facts: &[Fact], wait: &Fact) -> Option<How> {
        let is = |name: &str| wait.get(name).and_then(Value::as_bool) == Some(true);
        if is("owner_died") {
            return Some(How::Died);
        }
        if is("owner_exited") {
            return Some(How::Exited);
        }
        if is("owner_perhaps") {
            return Some(How::Unclear);
        }
        let owner = wait.int("owner_pid").filter(|_| is("owner_certain"))?;
        let of_owner =
            |f: &&Fact| f.kind == "mem.task" && f.origin.member == wait.origin.member && f.int("pid") == Some(owner);
        let task = facts.iter().find(of_owner)?;
        let stack = task.stacks.first().filter(|_| task.text("state") == Some("S"))?;
        stack.functions().any(own_wait).then_some(How::Returned)
    }

    fn words(self, owner: &str) -> String {
        match self {
            How::Died => "is held by a task that died".to_owned(),
            How::Exited => format!("is held by {owner}, which exited without giving it back"),
            How::Returned => format!("is held by {owner}, which returned to user space without giving it back"),
            How::Unclear => format!(
                "names {owner}, which waits for it itself: it took it twice, or a task that exited with it held had its task_struct before"
            ),
        }
    }
}

/// The function by which a process entered a system call for its own sake.
fn own_wait(function: &str) -> bool {
    const ENTRIES: [&str; 8] =
        ["__x64_sys_", "__ia32_sys_", "__arm64_sys_", "__se_sys_", "__do_sys_", "SyS_", "SYSC_", "sys_"];
    let call = ENTRIES.iter().find_map(|entry| function.strip_prefix(entry));
    call.is_some_and(|call| OWN_WAITS.contains(&call))
}

/// The facts `derived.lost_lock`: locks that nobody will give back, with who waits for them. The report of the oops that
/// killed the owner is named where there is one.
pub(super) fn lost_locks(facts: &[Fact]) -> Vec<Fact> {
    let mut by_lock: BTreeMap<String, (How, Vec<&Fact>)> = BTreeMap::new();
    for wait in facts.iter().filter(|fact| fact.kind == "mem.lock_wait") {
        if let Some(how) = How::of(facts, wait) {
            let lock = wait.get("lock").map(ToString::to_string).unwrap_or_default();
            by_lock.entry(lock).or_insert((how, Vec::new())).1.push(wait);
        }
    }
    if by_lock.is_empty() {
        return Vec::new();
    }
    let mut oopses = facts.iter().enumerate().filter(|(_, fact)| fact.kind == "log.oops");
    let killed = oopses.next().filter(|_| oopses.next().is_none());
    let lost = |(lock, (how, waits)): (String, (How, Vec<&Fact>))| {
        let first = waits.first()?;
        let kind = first.text("kind").unwrap_or("lock");
        let name = first.text("symbol").map_or(lock.clone(), str::to_owned);
        let names: Vec<String> =
            waits.iter().filter_map(|wait| Some(format!("{} ({})", wait.text("comm")?, wait.int("pid")?))).collect();
        let verb = if names.len() == 1 { "waits" } else { "wait" };
        let owner = first.text("owner_comm").zip(first.int("owner_pid"));
        let words = how.words(&owner.map_or("a task".to_owned(), |(comm, pid)| format!("{comm}:{pid}")));
        let title = format!("{kind} {name} {words}: {} {verb} for it", names.join(", "));
        let died = how == How::Died;
        let origin = Origin::derived(
            &first.origin.member,
            match how {
                How::Died => "start of the task that the lock names, against its waiter's sleep",
                _ => "the task that the lock names, and where that is",
            },
        );
        let fact = Fact::new("derived.lost_lock", origin)
            .with("lock", lock)
            .with("kind", kind)
            .with("how", how.name())
            .with_opt("symbol", first.text("symbol"))
            .with_opt("owner_pid", owner.map(|(_, pid)| pid).filter(|_| !died))
            .with_opt("owner_comm", owner.map(|(comm, _)| comm).filter(|_| !died))
            .with("tasks", names)
            .with("pids", waits.iter().filter_map(|wait| wait.int("pid")).collect::<Vec<i64>>())
            .with_opt("event", killed.filter(|_| died).map(|(at, _)| at))
            .with_opt("died", killed.filter(|_| died).and_then(|(_, oops)| oops.text("comm")))
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

    #[test]
    fn an_owner_that_went_on_or_exited_is_told_and_one_that_works_is_not() {
        let wait = || {
            Fact::new("mem.lock_wait", Origin::memory("dump", 0, "struct mutex"))
                .with("pid", 2)
                .with("comm", "b")
                .with("kind", "mutex")
                .with("symbol", "cfg")
                .with("owner_pid", 1)
                .with("owner_comm", "a")
                .with("owner_certain", true)
        };
        let owner = |functions: &[&str]| {
            let mut stack = facts::Stack::printed("task");
            stack.frames = functions.iter().map(|f| facts::Frame::printed(*f)).collect();
            let mut task = Fact::new("mem.task", Origin::memory("dump", 0, "struct task_struct"))
                .with("pid", 1)
                .with("state", "S");
            task.stacks.push(std::sync::Arc::new(stack));
            task
        };
        let found = lost_locks(&[owner(&["do_nanosleep", "__x64_sys_clock_nanosleep", "do_syscall_64"]), wait()]);
        assert_eq!(
            found[0].text("title"),
            Some("mutex cfg is held by a:1, which returned to user space without giving it back: b (2) waits for it")
        );
        // One that sleeps inside of what it locked gives it back when it is done.
        assert!(lost_locks(&[owner(&["msleep", "cfg_read", "vfs_read", "__x64_sys_read"]), wait()]).is_empty());
        let found = lost_locks(&[wait().with("owner_exited", true)]);
        assert_eq!(found[0].text("how"), Some("exited"));
    }
}
