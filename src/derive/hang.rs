//! Hung tasks that belong together: the one that the others wait for, and the victims counted.

use std::collections::{BTreeMap, BTreeSet};

use facts::{Fact, Value};

use super::functions;
use super::path::{self, Hop};
use super::{blame, lockup};

/// What is concluded about hung tasks that belong together.
pub(super) struct Hang {
    pub(super) events: Vec<usize>,
    pub(super) tasks: usize,
    pub(super) waits: Vec<String>,
    pub(super) holder: Option<Holder>,
    pub(super) reason: String,
}

/// The task that holds the others up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Holder {
    pub(super) comm: String,
    pub(super) pid: Option<i64>,
    pub(super) function: Option<String>,
    pub(super) module: Option<String>,
}

/// The hung-task detector reports every `hung_task_timeout_secs`, 120 s as a rule; rounds further apart than this are
/// different incidents.
const INCIDENT_NS: i64 = 600_000_000_000;

/// One hung task.
struct Task {
    event: usize,
    comm: String,
    pid: Option<i64>,
    way: Vec<Hop>,
    waits: &'static str,
    owner: Option<(String, i64)>,
}

/// Groups the hung tasks of the facts and judges each group of two or more tasks.
pub(super) fn hangs(facts: &[Fact]) -> Vec<Hang> {
    lockup::incidents(facts, INCIDENT_NS, |fact| fact.kind == "log.hung_task")
        .into_iter()
        .filter_map(|events| judge(facts, events))
        .collect()
}

fn judge(facts: &[Fact], events: Vec<usize>) -> Option<Hang> {
    let mut tasks: Vec<Task> = Vec::new();
    for task in events.iter().filter_map(|at| task(facts, *at)) {
        if !tasks.iter().any(|t| t.comm == task.comm && t.pid == task.pid) {
            tasks.push(task);
        }
    }
    if tasks.len() < 2 {
        return None;
    }
    let mut count: BTreeMap<&str, usize> = BTreeMap::new();
    for task in &tasks {
        *count.entry(task.waits).or_default() += 1;
    }
    let mut counted: Vec<(&str, usize)> = count.into_iter().collect();
    counted.sort_by_key(|(what, n)| (std::cmp::Reverse(*n), *what));
    let waits: Vec<String> = counted.iter().map(|(what, n)| format!("{n} wait for {what}")).collect();
    let (holder, how) = owned(facts, &tasks)
        .or_else(|| locks(facts, &events, &tasks))
        .or_else(|| if named_by_memory(facts, &tasks) { by_memory() } else { odd(&tasks) })
        .unwrap_or((None, "the traces do not tell who holds the others up".to_owned()));
    let reason = format!("{} tasks hang ({}): {how}", tasks.len(), waits.join(", "));
    Some(Hang { events, tasks: tasks.len(), waits, holder, reason })
}

type Verdict = Option<(Option<Holder>, String)>;

/// The kernel names the owners of locks: the way along them ends at the task that holds the others up, or in a circle.
fn owned(facts: &[Fact], tasks: &[Task]) -> Verdict {
    let owners: BTreeMap<i64, &(String, i64)> =
        tasks.iter().filter_map(|t| Some((t.pid?, t.owner.as_ref()?))).collect();
    let mut votes: BTreeMap<i64, usize> = BTreeMap::new();
    for start in owners.keys() {
        let mut seen = BTreeSet::from([*start]);
        let mut now = *start;
        while let Some((_, next)) = owners.get(&now) {
            if !seen.insert(*next) {
                let circle: Vec<String> = seen
                    .iter()
                    .filter_map(|pid| tasks.iter().find(|t| t.pid == Some(*pid)))
                    .map(|t| t.comm.clone())
                    .collect();
                return Some((None, format!("each owns a lock that another one waits for: {}", circle.join(", "))));
            }
            now = *next;
        }
        *votes.entry(now).or_default() += 1;
    }
    let (pid, number) = votes.into_iter().max_by_key(|(pid, n)| (*n, std::cmp::Reverse(*pid)))?;
    let name = owners.values().find(|(_, p)| *p == pid).map(|(comm, _)| comm.clone());
    let hung = tasks.iter().find(|t| t.pid == Some(pid));
    let stack = tasks
        .iter()
        .filter(|t| t.owner.as_ref().is_some_and(|(_, p)| *p == pid))
        .filter_map(|t| facts.get(t.event)?.stacks.iter().find(|s| s.name.contains("owner")).cloned())
        .next();
    let way = stack.as_deref().map(path::hops).or_else(|| hung.map(|t| t.way.clone())).unwrap_or_default();
    let holder = holder(name.or(hung.map(|t| t.comm.clone()))?, Some(pid), &way);
    let does = hung.map_or(String::new(), |t| format!(", which waits for {}", t.waits));
    let how = format!("{}:{pid} owns what {number} of them wait for{does}", holder.comm);
    Some((Some(holder), how))
}

/// One task's locks as lockdep lists them: comm, pid, lock addresses in the order they were taken.
type Held = (String, i64, Vec<String>);

/// With lockdep the kernel lists all locks held; the lock a task waits for is the last of its list.
fn locks(facts: &[Fact], events: &[usize], tasks: &[Task]) -> Verdict {
    let lines =
        events.iter().rev().filter_map(|at| facts.get(*at)?.get("locks")?.as_list()).max_by_key(|lines| lines.len())?;
    let mut held: Vec<Held> = Vec::new();
    for line in lines.iter().filter_map(Value::as_text) {
        if let Some((_, who)) = line.split_once(" held by ") {
            if let Some((comm, pid)) = who.trim_end_matches([':', '.']).rsplit_once('/')
                && let Ok(pid) = pid.trim().parse()
            {
                held.push((comm.to_owned(), pid, Vec::new()));
            }
        } else if let Some((_, _, list)) = held.last_mut()
            && line.starts_with('#')
            && let Some(address) = line.split_ascii_whitespace().nth(1)
        {
            list.push(address.to_owned());
        }
    }
    let hangs = |pid: i64| tasks.iter().find(|t| t.pid == Some(pid));
    let mut waiters: BTreeMap<&str, Vec<i64>> = BTreeMap::new();
    for (_, pid, list) in &held {
        if let Some(task) = hangs(*pid)
            && matches!(task.waits, LOCK | RTNL)
            && let Some(last) = list.last()
        {
            waiters.entry(last.as_str()).or_default().push(*pid);
        }
    }
    let (lock, victims) = waiters.into_iter().max_by_key(|(_, pids)| pids.len())?;
    let (comm, pid, _) = held.iter().find(|(_, pid, list)| !victims.contains(pid) && list.iter().any(|l| l == lock))?;
    let task = hangs(*pid);
    let found = holder(comm.clone(), Some(*pid), task.map_or(&[][..], |t| &t.way));
    let does = task.map_or_else(|| "is not hung itself".to_owned(), |t| format!("waits for {}", t.waits));
    Some((Some(found), format!("{comm}:{pid} holds the lock that {} of them wait for, and {does}", victims.len())))
}

/// Whether the memory of a dump tells who owns a lock that one of the tasks waits for.
fn named_by_memory(facts: &[Fact], tasks: &[Task]) -> bool {
    facts.iter().filter(|fact| fact.kind == "mem.lock_wait" && fact.int("owner_pid").is_some()).any(|fact| {
        let pid = fact.int("pid");
        pid.is_some() && tasks.iter().any(|task| task.pid == pid)
    })
}

fn by_memory() -> Verdict {
    Some((None, "who holds the locks is in the dump's memory".to_owned()))
}

/// All but one wait for a lock: the one that waits for something else is likely the one that holds it.
fn odd(tasks: &[Task]) -> Verdict {
    let others: Vec<&Task> = tasks.iter().filter(|t| !FOR_OTHERS.contains(&t.waits)).collect();
    let [one] = others.as_slice() else { return None };
    if tasks.len() < 3 || one.way.is_empty() {
        return None;
    }
    let found = holder(one.comm.clone(), one.pid, &one.way);
    let journal = tasks.iter().any(|t| t.waits == JOURNAL);
    let (what, holds) = match journal && one.comm.starts_with("jbd2/") {
        true => ("the journal that it writes, or a lock", "holds them up"),
        false => ("a lock", "likely holds that lock"),
    };
    let how = format!("all but {} wait for {what}; it waits for {} and {holds}", one.comm, one.waits);
    Some((Some(found), how))
}

fn holder(comm: String, pid: Option<i64>, way: &[Hop]) -> Holder {
    let hop = way.iter().find(|h| !blame::waits(h)).or(way.first());
    Holder { comm, pid, function: hop.map(|h| h.function.clone()), module: hop.and_then(|h| h.module.clone()) }
}

const LOCK: &str = "a lock";
const RTNL: &str = "the RTNL lock";
const JOURNAL: &str = "the journal";

/// Waits for what another task holds or does.
const FOR_OTHERS: &[&str] = &[LOCK, RTNL, JOURNAL];

/// Which hung tasks only wait for another one of the log, with the reason. Where memory shows who waits for whom, that is
/// told instead.
pub(super) fn victims(facts: &[Fact]) -> Vec<(usize, usize, &'static str)> {
    if facts.iter().any(|fact| fact.kind == "mem.task") {
        return Vec::new();
    }
    let mut found = Vec::new();
    for hang in hangs(facts) {
        // The first report of each task.
        let mut tasks: Vec<Task> = Vec::new();
        for task in hang.events.iter().filter_map(|at| task(facts, *at)) {
            if !tasks.iter().any(|known| known.comm == task.comm && known.pid == task.pid) {
                tasks.push(task);
            }
        }
        let holder =
            hang.holder.as_ref().and_then(|holder| tasks.iter().find(|t| t.pid == holder.pid && t.comm == holder.comm));
        for (number, task) in tasks.iter().enumerate() {
            if let Some(holder) = holder {
                if holder.event != task.event && FOR_OTHERS.contains(&task.waits) {
                    found.push((
                        task.event,
                        holder.event,
                        "it waits for a lock or a journal that another hung task most likely holds",
                    ));
                }
                continue;
            }
            // Nobody is known to hold them up: who waits in the same place, or for the one RTNL lock, is told once.
            let place = blame::sleeper(&task.way).map(|hop| &hop.function);
            let same = tasks.iter().take(number).find(|first| {
                (task.waits == RTNL && first.waits == RTNL)
                    || place.is_some() && blame::sleeper(&first.way).map(|hop| &hop.function) == place
            });
            if let Some(first) = same {
                found.push((task.event, first.event, "it waits in the same place as a task that was reported before"));
            }
        }
    }
    found
}

fn task(facts: &[Fact], at: usize) -> Option<Task> {
    let fact = facts.get(at)?;
    let way = path::main_stack(fact).map(path::hops).unwrap_or_default();
    let waits = wait(&way);
    let owner = fact.text("owner_comm").map(str::to_owned).zip(fact.int("owner_pid"));
    Some(Task { event: at, comm: fact.text("comm").unwrap_or("?").to_owned(), pid: fact.int("pid"), way, waits, owner })
}

/// What a sleeping task waits for, by the functions at the top of its trace; the first line that fits counts.
const WAITS: &[(&str, &[&str])] = &[
    (RTNL, &["rtnl_lock*", "rtnl_net_lock*"]),
    (
        JOURNAL,
        &[
            "wait_transaction_*",
            "jbd2_log_wait_commit",
            "log_wait_commit",
            "jbd2_complete_transaction",
            "add_transaction_credits",
        ],
    ),
    (
        "an RCU grace period",
        &[
            "synchronize_rcu*",
            "synchronize_srcu*",
            "synchronize_sched*",
            "synchronize_net*",
            "wait_rcu_gp*",
            "rcu_barrier*",
        ],
    ),
    (
        "a work item or a thread",
        &[
            "flush_work*",
            "flush_delayed_work",
            "drain_workqueue",
            "cancel_work_sync*",
            "cancel_delayed_work_sync*",
            "kthread_stop*",
            "kthread_flush*",
        ],
    ),
    (
        LOCK,
        &[
            "*mutex_lock*",
            "rwsem_down_*",
            "call_rwsem_down*",
            "down_read*",
            "down_write*",
            "*rt_mutex*",
            "percpu_down*",
            "percpu_rwsem*",
            "down",
            "down_*",
            "lock_sock*",
        ],
    ),
    (
        "I/O",
        &[
            "io_schedule*",
            "bit_wait_io*",
            "submit_bio_wait*",
            "blk_execute_rq*",
            "wait_on_page*",
            "folio_wait*",
            "wait_on_buffer*",
            "rpc_wait_bit*",
            "lock_page*",
            "folio_lock*",
            "wait_on_bit_io*",
            "blk_mq_freeze_queue*",
            "xlog_*wait*",
            "md_*wait*",
            "raid*_*wait*",
        ],
    ),
    ("a completion", &["wait_for_completion*", "*wait_for_common*"]),
];

/// Frames in which a wait shows.
const DEPTH: usize = 12;

fn wait(way: &[Hop]) -> &'static str {
    let fits = |patterns: &[&str]| {
        way.iter().take(DEPTH).any(|h| functions::any(patterns, h.function.trim_start_matches('_')))
    };
    WAITS.iter().find(|(_, patterns)| fits(patterns)).map_or("an event", |(what, _)| what)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use facts::{Frame, Origin, Stack};

    use super::*;

    fn hung(comm: &str, pid: i64, functions: &[&str]) -> Fact {
        let mut stack = Stack::printed("call trace");
        stack.frames = functions.iter().map(|f| Frame::printed(*f)).collect();
        let mut fact = Fact::new("log.hung_task", Origin::lines("dmesg", 1, 9))
            .with("class", "hung-task")
            .with("comm", comm)
            .with("pid", pid);
        fact.stacks.push(Arc::new(stack));
        fact
    }

    const MUTEX: &[&str] = &["__schedule", "schedule", "__mutex_lock", "lab_write"];

    #[test]
    fn the_task_that_does_not_wait_for_a_lock_holds_it() {
        let facts = [
            hung("a", 1, MUTEX),
            hung("b", 2, MUTEX),
            hung("c", 3, &["__schedule", "schedule", "io_schedule", "bit_wait_io", "lab_flush", "lab_sync"]),
            hung("a", 1, MUTEX),
        ];
        let hangs = hangs(&facts);
        let holder = hangs[0].holder.as_ref().unwrap();
        assert_eq!((hangs.len(), hangs[0].tasks), (1, 3));
        assert_eq!((holder.comm.as_str(), holder.function.as_deref()), ("c", Some("lab_flush")));
    }

    #[test]
    fn who_waits_for_a_hung_task_follows_from_it() {
        let own =
            &["__schedule", "schedule", "schedule_timeout", "wait_for_completion_timeout", "card_open", "dev_open"];
        let facts = [hung("a", 1, MUTEX), hung("ip", 3, own), hung("b", 2, MUTEX), hung("a", 1, MUTEX)];
        let told = |facts: &[Fact]| victims(facts).into_iter().map(|(event, of, _)| (event, of)).collect::<Vec<_>>();
        assert_eq!(told(&facts), [(0, 1), (2, 1)]);
        let journal = &["__schedule", "schedule", "wait_transaction_locked", "start_this_handle", "ext4_create"];
        let disk = &["__schedule", "schedule", "io_schedule", "bit_wait_io", "jbd2_journal_commit_transaction"];
        let facts = [hung("x", 1, journal), hung("jbd2/sda1-8", 2, disk), hung("y", 3, journal)];
        assert_eq!(told(&facts), [(0, 1), (2, 1)]);
        let fuse = &["__schedule", "schedule", "request_wait_answer", "fuse_simple_request", "fuse_do_getattr"];
        assert_eq!(told(&[hung("ls", 1, fuse), hung("df", 2, fuse)]), [(1, 0)]);
        let other = &["__schedule", "schedule", "io_schedule", "bit_wait_io", "xfs_buf_read"];
        assert!(told(&[hung("ls", 1, fuse), hung("df", 2, other)]).is_empty());
        // Memory knows better.
        let task = Fact::new("mem.task", Origin::memory("dump", 0, "struct task_struct"));
        assert!(told(&[hung("ls", 1, fuse), hung("df", 2, fuse), task]).is_empty());
    }

    #[test]
    fn nobody_is_guessed_where_memory_names_an_owner() {
        let wait = Fact::new("mem.lock_wait", Origin::memory("dump", 0, "struct mutex"))
            .with("pid", 1)
            .with("owner_pid", 2)
            .with("owner_comm", "b");
        let odd = hung("c", 3, &["__schedule", "schedule", "lab_read"]);
        let facts = [hung("a", 1, MUTEX), hung("b", 2, MUTEX), odd, wait];
        let found = hangs(&facts).remove(0);
        assert!(found.holder.is_none() && !found.reason.contains("likely"), "{}", found.reason);
    }

    #[test]
    fn named_owners_lead_to_the_last_one_or_into_a_circle() {
        let owner = |fact: Fact, comm: &str, pid: i64| fact.with("owner_comm", comm).with("owner_pid", pid);
        let chain = [owner(hung("a", 1, MUTEX), "b", 2), owner(hung("b", 2, MUTEX), "c", 3)];
        let found = hangs(&chain).remove(0);
        assert_eq!(found.holder.map(|h| (h.comm, h.pid)), Some(("c".to_owned(), Some(3))));
        let circle = [owner(hung("a", 1, MUTEX), "b", 2), owner(hung("b", 2, MUTEX), "a", 1)];
        let found = hangs(&circle).remove(0);
        assert!(found.holder.is_none() && found.reason.contains("each owns a lock"), "{}", found.reason);
    }

    #[test]
    fn lockdep_lists_lead_to_the_holder() {
        let list = vec![
            "Showing all locks held in the system:",
            "1 lock held by a/1:",
            "#0: ffff888012340000 (&m){+.+.}-{3:3}, at: lab_write+0x10/0x40",
            "1 lock held by b/2:",
            "#0: ffff888012340000 (&m){+.+.}-{3:3}, at: lab_write+0x10/0x40",
            "1 lock held by c/7:",
            "#0: ffff888012340000 (&m){+.+.}-{3:3}, at: lab_scan+0x20/0x90",
        ];
        let facts = [hung("a", 1, MUTEX), hung("b", 2, MUTEX).with("locks", list)];
        let found = hangs(&facts).remove(0);
        assert_eq!(found.holder.map(|h| (h.comm, h.pid)), Some(("c".to_owned(), Some(7))));
    }

    #[test]
    fn one_hung_task_is_no_group_and_two_equal_ones_name_nobody() {
        assert!(hangs(&[hung("a", 1, MUTEX)]).is_empty());
        assert!(hangs(&[hung("a", 1, MUTEX), hung("b", 2, MUTEX)])[0].holder.is_none());
    }
}
