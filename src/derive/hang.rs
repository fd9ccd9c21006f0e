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
    /// What the one that holds the others up does, where memory tells.
    pub(super) title: Option<String>,
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
    /// The same as memory tells it: `completion done`.
    object: Option<String>,
    owner: Option<(String, i64)>,
}

/// What the memory of a dump tells of sleepers, by their pids.
pub(super) struct Sleepers {
    /// Who owns the lock that it waits for.
    pub(super) owners: BTreeMap<i64, (String, i64)>,
    /// What else it waits for: `completion done`.
    pub(super) objects: BTreeMap<i64, String>,
}

impl Sleepers {
    pub(super) fn of(facts: &[Fact]) -> Sleepers {
        let mut sleepers = Sleepers { owners: BTreeMap::new(), objects: BTreeMap::new() };
        for fact in facts {
            let (Some(pid), flag) = (fact.int("pid"), |name| fact.get(name).and_then(Value::as_bool) == Some(true))
            else {
                continue;
            };
            match fact.kind.as_ref() {
                // Of several readers the last to come need not be the one that stays. A single one that sleeps itself
                // while it is waited for is taken to be it.
                "mem.lock_wait" if flag("owner_certain") || fact.int("readers") == Some(1) && flag("owner_waits") => {
                    if let (Some(comm), Some(owner)) = (fact.text("owner_comm"), fact.int("owner_pid")) {
                        sleepers.owners.insert(pid, (comm.to_owned(), owner));
                    }
                }
                "mem.wait" => {
                    let kind = fact.text("kind").unwrap_or("an event");
                    let name =
                        fact.text("symbol").map_or_else(|| format!("a {kind}"), |symbol| format!("{kind} {symbol}"));
                    sleepers.objects.insert(pid, name);
                }
                _ => {}
            }
        }
        sleepers
    }

    /// The last task on the way along owners, which waits for no lock; none in a circle.
    pub(super) fn root(&self, pid: i64) -> Option<i64> {
        let mut at = self.owners.get(&pid)?.1;
        for _ in 0..self.owners.len() {
            match self.owners.get(&at) {
                Some((_, next)) => at = *next,
                None => return Some(at),
            }
        }
        None
    }
}

impl Hang {
    /// Whether it is that task which holds the others up.
    pub(super) fn holds_up(&self, pid: i64) -> bool {
        self.holder.as_ref().is_some_and(|holder| holder.pid == Some(pid))
    }
}

/// Groups the hung tasks of the facts and judges each group of two or more tasks.
pub(super) fn hangs(facts: &[Fact]) -> Vec<Hang> {
    let incidents = lockup::incidents(facts, INCIDENT_NS, |fact| fact.kind == "log.hung_task");
    if incidents.is_empty() {
        return Vec::new();
    }
    let sleepers = Sleepers::of(facts);
    incidents.into_iter().filter_map(|events| judge(facts, events, &sleepers)).collect()
}

fn judge(facts: &[Fact], events: Vec<usize>, sleepers: &Sleepers) -> Option<Hang> {
    let mut tasks: Vec<Task> = Vec::new();
    for at in &events {
        let Some(fact) = facts.get(*at) else { continue };
        let comm = fact.text("comm").unwrap_or("?").to_owned();
        let pid = fact.int("pid");
        if tasks.iter().any(|t| t.comm == comm && t.pid == pid) {
            continue;
        }
        let way = path::main_stack(fact).map(path::hops).unwrap_or_default();
        let waits = wait(&way);
        let printed = fact.text("owner_comm").map(str::to_owned).zip(fact.int("owner_pid"));
        let owner = printed.or_else(|| sleepers.owners.get(&pid?).cloned());
        let object = pid.and_then(|pid| sleepers.objects.get(&pid).cloned());
        tasks.push(Task { event: *at, comm, pid, way, waits, object, owner });
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
    let title = holder.as_ref().and_then(|holder| title(holder, &tasks));
    Some(Hang { events, tasks: tasks.len(), waits, holder, reason, title })
}

/// The one that holds the others up in a sentence, where owners are named and memory tells what it waits for itself.
fn title(holder: &Holder, tasks: &[Task]) -> Option<String> {
    let held_up = tasks.iter().filter(|task| holder.pid.is_some() && root(task, tasks) == holder.pid).count();
    let object = tasks.iter().find(|task| task.pid == holder.pid)?.object.as_ref()?;
    let place = holder.function.as_ref().map(|function| format!(" in {function}")).unwrap_or_default();
    let others = if held_up == 1 { "another task".to_owned() } else { format!("{held_up} other tasks") };
    (held_up > 0).then(|| format!("{} holds up {others} and waits for {object}{place}", holder.comm))
}

/// The last task on the way along owners from one that waits for a lock.
fn root(task: &Task, tasks: &[Task]) -> Option<i64> {
    let mut at = task.owner.as_ref()?.1;
    for _ in 0..tasks.len() {
        match tasks.iter().find(|task| task.pid == Some(at)).and_then(|task| task.owner.as_ref()) {
            Some((_, next)) => at = *next,
            None => return Some(at),
        }
    }
    None
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
    let waits_for = |task: &Task| task.object.clone().unwrap_or_else(|| task.waits.to_owned());
    let does = hung.map_or(String::new(), |task| format!(", and waits for {} itself", waits_for(task)));
    let how = format!("{}:{pid} holds up {number} of them by the locks it owns{does}", holder.comm);
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
    let others: Vec<&Task> = tasks.iter().filter(|t| !matches!(t.waits, LOCK | RTNL)).collect();
    let [one] = others.as_slice() else { return None };
    if tasks.len() < 3 || one.way.is_empty() {
        return None;
    }
    let found = holder(one.comm.clone(), one.pid, &one.way);
    let how = format!("all but {} wait for a lock; it waits for {} and likely holds that lock", one.comm, one.waits);
    Some((Some(found), how))
}

fn holder(comm: String, pid: Option<i64>, way: &[Hop]) -> Holder {
    let hop = way.iter().find(|h| !blame::waits(h)).or(way.first());
    Holder { comm, pid, function: hop.map(|h| h.function.clone()), module: hop.and_then(|h| h.module.clone()) }
}

const LOCK: &str = "a lock";
const RTNL: &str = "the RTNL lock";

/// What a sleeping task waits for, by the functions at the top of its trace; the first line that fits counts.
const WAITS: &[(&str, &[&str])] = &[
    (RTNL, &["rtnl_lock*", "rtnl_net_lock*"]),
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
            "*_log_wait_commit*",
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
    fn owners_in_memory_lead_along_single_readers_to_the_one_that_waits_for_no_lock() {
        let waits = |pid: i64, owner: i64, certain: bool| {
            Fact::new("mem.lock_wait", Origin::memory("dump", 0, "struct mutex"))
                .with("pid", pid)
                .with("owner_pid", owner)
                .with("owner_comm", ["", "a", "b", "c", "d"][owner as usize])
                .with("owner_certain", certain)
                .with("owner_waits", true)
        };
        let done = Fact::new("mem.wait", Origin::memory("dump", 0, "struct completion"))
            .with("pid", 1)
            .with("kind", "completion")
            .with("symbol", "fw_done");
        let way = &["__schedule", "schedule", "wait_for_completion", "fw_load"];
        let hung = [hung("a", 1, way), hung("b", 2, MUTEX), hung("c", 3, MUTEX), hung("d", 4, MUTEX)];
        let case = |last: Fact| {
            [hung.clone().to_vec(), vec![waits(2, 1, true), waits(3, 2, true), last, done.clone()]].concat()
        };
        let found = hangs(&case(waits(4, 2, false).with("readers", 1))).remove(0);
        assert_eq!(found.holder.map(|h| h.comm).as_deref(), Some("a"));
        assert_eq!(
            found.title.as_deref(),
            Some("a holds up 3 other tasks and waits for completion fw_done in fw_load")
        );
        // Which of two readers stays nobody knows.
        let found = hangs(&case(waits(4, 2, false).with("readers", 2))).remove(0);
        assert_eq!(
            found.title.as_deref(),
            Some("a holds up 2 other tasks and waits for completion fw_done in fw_load")
        );
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
