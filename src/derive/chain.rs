//! Chains of waiters, as the memory of a dump shows them: who waits for whom, and which task or device stands at the root.
//!
//! An owner that a lock names is proven. A reader of a semaphore, or the thread of a journal, is followed as a candidate,
//! and only while it is blocked itself: then it can still hold what the others wait for.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use facts::{Fact, Origin, Value};

use super::io::io;
use super::{blame, io as io_hang, path};

/// Nobody waits that long for a lock on a healthy machine, whether the kernel reports it or not.
const LONG_S: i64 = 20;
/// The same beside hung tasks that the kernel did report: a panic at the first of them leaves the others untold.
const LONG_BESIDE_S: i64 = 5;
/// How many tasks are named, and how many of their waits are evidence.
pub(super) const MAX_NAMED: usize = 12;
const MAX_WAITS: usize = 6;
/// How far a way from owner to owner is followed.
const MAX_DEPTH: usize = 256;

/// What a task waits for.
pub(super) struct Wait {
    /// In words: `rwsem mmap_lock to read`.
    what: String,
    /// The same without the wish of who waits.
    object: String,
    /// Position of the fact that tells it.
    pub(super) at: usize,
    /// Module of the lock or completion.
    module: Option<String>,
    /// Who is waited for does not hold a lock but has to end the wait: it runs the work, serves the file system.
    ends: bool,
    /// Why it is that one.
    by: Option<String>,
    /// It is the lock of a file, which programs take.
    of_file: bool,
    leads: Leads,
}

/// Where the way along a wait leads.
#[derive(Clone)]
pub(super) enum Leads {
    /// To the task that holds it.
    Owner {
        pid: i64,
        certain: bool,
    },
    /// To what several tasks may wait for.
    Shared(String),
    Nowhere,
}

/// One task that waits or that others wait for.
pub(super) struct Task<'a> {
    at: usize,
    fact: &'a Fact,
    comm: &'a str,
    pub(super) wait: Option<Wait>,
    /// Its first hung-task report.
    event: Option<usize>,
    /// Where a list of blocked tasks that somebody asked for shows it.
    listed: Option<usize>,
    pub(super) seconds: Option<i64>,
}

impl Task<'_> {
    fn state(&self) -> &str {
        self.fact.text("state").unwrap_or("")
    }

    /// The function on whose behalf it sleeps, and its module.
    fn place(&self) -> (Option<String>, Option<String>) {
        let hops = self.fact.stacks.first().map(|stack| path::hops(stack)).unwrap_or_default();
        match blame::sleeper(&hops) {
            Some(hop) => (Some(hop.function.clone()), hop.module.clone()),
            None => (self.fact.text("waits_in").map(str::to_owned), None),
        }
    }
}

/// What is concluded: `derived.chain` for each root that others wait for, `derived.blocked` for each report of a hung task
/// whose wait memory shows.
pub(super) fn chains(facts: &[Fact]) -> Vec<Fact> {
    let mut members: BTreeMap<&str, ()> = BTreeMap::new();
    members.extend(facts.iter().filter(|f| f.kind == "mem.task").map(|f| (f.origin.member.as_str(), ())));
    let only = members.len() == 1;
    members.into_keys().flat_map(|member| of_dump(facts, member, only)).collect()
}

fn of_dump(facts: &[Fact], member: &str, only: bool) -> Vec<Fact> {
    let tasks = tasks(facts, member, only);
    let groups = groups(&tasks);
    let roots: BTreeMap<i64, (i64, bool)> =
        tasks.keys().filter_map(|pid| Some((*pid, root(*pid, &tasks, &groups)?))).collect();
    let mut held: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
    for (pid, (root, _)) in &roots {
        held.entry(*root).or_default().push(*pid);
    }
    let mut out = io_hang::hangs(facts, member, &tasks, &groups, &roots);
    let long = if tasks.values().any(|t| t.event.is_some()) { LONG_BESIDE_S } else { LONG_S };
    for (root, waiters) in &held {
        let Some(task) = tasks.get(root) else { continue };
        // A circle has no root: it is told as a deadlock.
        if roots.contains_key(root) {
            continue;
        }
        let all = || std::iter::once(task).chain(waiters.iter().filter_map(|pid| tasks.get(pid)));
        // Programs wait for the locks of files as long as they like, unless who holds one cannot go on.
        let halted = task.fact.get("halted").is_some();
        let counts = |t: &&Task| halted || !t.wait.as_ref().is_some_and(|wait| wait.of_file) || t.state() != "S";
        if all().filter(counts).any(|t| t.event.is_some() || t.seconds.is_some_and(|s| s >= long)) {
            out.push(chain(member, *root, task, waiters, &tasks, &groups));
        }
    }
    for (pid, task) in &tasks {
        if let (Some(event), Some(wait)) = (task.event.or(task.listed), &task.wait) {
            out.push(blocked(member, *pid, task, event, wait, roots.get(pid), &tasks));
        }
    }
    out
}

/// The tasks of a dump that matter here: who waits, who is waited for, who was reported.
fn tasks<'a>(facts: &'a [Fact], member: &str, only: bool) -> BTreeMap<i64, Task<'a>> {
    let here = |fact: &(usize, &'a Fact)| fact.1.origin.member == member;
    let lowest = io_hang::lowest(facts, member);
    let mut waits: HashMap<i64, Wait> = HashMap::new();
    let mut wanted: BTreeSet<i64> = BTreeSet::new();
    for (at, fact) in facts.iter().enumerate().filter(|f| f.1.kind.starts_with("mem.")).filter(here) {
        if let (Some(pid), Some(wait)) = (fact.int("pid"), wait(at, fact, &lowest)) {
            if let Leads::Owner { pid, .. } = wait.leads {
                wanted.insert(pid);
            }
            wanted.insert(pid);
            waits.entry(pid).or_insert(wait);
        }
    }
    let mut events: HashMap<i64, (usize, Option<i64>)> = HashMap::new();
    let mut lists: HashMap<i64, usize> = HashMap::new();
    let reported = |f: &(usize, &Fact)| f.1.kind == "log.hung_task" && (only || f.1.origin.member == member);
    for (at, fact) in facts.iter().enumerate().filter(reported) {
        let Some(pid) = fact.int("pid") else { continue };
        wanted.insert(pid);
        if fact.get("listed").is_some() {
            lists.entry(pid).or_insert(at);
            continue;
        }
        let entry = events.entry(pid).or_insert((at, None));
        entry.1 = entry.1.max(fact.int("seconds"));
    }
    let mut found: BTreeMap<i64, Task> = BTreeMap::new();
    let of_kind = |f: &(usize, &'a Fact)| f.1.kind == "mem.task";
    for (at, fact) in facts.iter().enumerate().filter(of_kind).filter(here) {
        let Some(pid) = fact.int("pid") else { continue };
        let comm = fact.text("comm").unwrap_or("?");
        let blocked = fact.text("state") == Some("D");
        if !(wanted.contains(&pid) || blocked && comm.starts_with("jbd2/")) {
            continue;
        }
        // A number that went to another task since is another task.
        let is_it = |at: &usize| facts.get(*at).is_some_and(|f| f.text("comm") == Some(comm));
        let event = events.get(&pid).filter(|(at, _)| is_it(at));
        let listed = lists.get(&pid).copied().filter(is_it);
        let wait = waits.remove(&pid).map(|mut wait| {
            let told = facts.get(wait.at).is_some_and(|fact| fact.text("io").is_some());
            if !told && let (Leads::Nowhere | Leads::Shared(_), Some(device)) = (&wait.leads, journal(comm)) {
                wait.leads = Leads::Shared(io(device));
                // In a queue it waits for tasks that still write to the transaction, which is no I/O by itself.
                let queue = facts.get(wait.at).and_then(|f| f.text("kind")) == Some("queue");
                wait.what = match queue {
                    true => format!("those who have the journal of {device} open"),
                    false => format!("I/O of {device}"),
                };
                wait.object.clone_from(&wait.what);
            }
            wait
        });
        found.insert(
            pid,
            Task {
                at,
                fact,
                comm,
                wait,
                event: event.map(|(at, _)| *at),
                listed,
                seconds: fact.int("blocked_s").or(event.and_then(|(_, seconds)| *seconds)),
            },
        );
    }
    journals(&mut found);
    found
}

/// The device whose journal a thread writes.
fn journal(comm: &str) -> Option<&str> {
    comm.strip_prefix("jbd2/")?.rsplit_once('-').map(|(device, _)| device)
}

/// Who waits for a commit waits for the journal's thread, where only one is blocked.
fn journals(tasks: &mut BTreeMap<i64, Task>) {
    let blocked: Vec<i64> =
        tasks.iter().filter(|(_, t)| t.comm.starts_with("jbd2/") && t.state() == "D").map(|(pid, _)| *pid).collect();
    let [thread] = blocked.as_slice() else { return };
    const COMMITS: [&str; 4] =
        ["jbd2_log_wait_commit", "wait_transaction_locked", "wait_transaction_switching", "jbd2_complete_transaction"];
    for (pid, task) in tasks.iter_mut() {
        let waits = |f: &str| COMMITS.contains(&f);
        if pid != thread
            && task.fact.stacks.first().is_some_and(|s| s.functions().any(waits))
            && let Some(wait) = &mut task.wait
            && !matches!(wait.leads, Leads::Owner { .. })
        {
            wait.what = "the commit of a journal".to_owned();
            wait.object.clone_from(&wait.what);
            wait.leads = Leads::Owner { pid: *thread, certain: false };
        }
    }
}

/// What a fact says that its task waits for.
fn wait(at: usize, fact: &Fact, lowest: &HashMap<&str, &str>) -> Option<Wait> {
    let text = |name: &str| fact.text(name).filter(|t| !t.is_empty());
    let address = |name: &str| fact.get(name).map(ToString::to_string);
    let module = text("module").map(str::to_owned);
    let mut wish = String::new();
    let mut ends = false;
    let (what, leads) = match &*fact.kind {
        "mem.lock_wait" => {
            let kind = text("kind").unwrap_or("lock");
            let name = text("symbol").map(str::to_owned).or_else(|| address("lock"));
            let mode = text("mode").map(|mode| format!(" to {mode}")).unwrap_or_default();
            let died = fact.get("owner_died").and_then(Value::as_bool) == Some(true);
            let what = match (text("frozen"), &name) {
                (None, Some(name)) if died => format!("{kind} {name}{mode}, whose owner died"),
                (Some(device), _) => format!("the frozen file system on {device} to thaw"),
                (None, Some(name)) => format!("{kind} {name}{mode}"),
                (None, None) => format!("a {kind}{mode}"),
            };
            wish = mode;
            let certain = fact.get("owner_certain").and_then(Value::as_bool) == Some(true);
            let owner = fact.int("owner_pid").filter(|owner| Some(*owner) != fact.int("pid"));
            let leads = match (text("frozen"), owner, address("lock")) {
                (Some(device), ..) => Leads::Shared(format!("frozen {device}")),
                _ if died => Leads::Nowhere,
                (None, Some(pid), _) => Leads::Owner { pid, certain },
                (None, None, Some(lock)) => Leads::Shared(format!("lock {lock}")),
                (None, None, None) => Leads::Nowhere,
            };
            (what, leads)
        }
        "mem.freeze_wait" => {
            let device = text("device")?;
            (format!("the frozen file system on {device} to thaw"), Leads::Shared(format!("frozen {device}")))
        }
        "mem.mempool_sleeper" => {
            let pool = address("pool")?;
            let of = text("cache").map(|cache| format!(" of {cache}")).unwrap_or_default();
            (format!("an element of a memory pool{of}"), Leads::Shared(format!("pool {pool}")))
        }
        "mem.wait" => {
            let kind = text("kind").unwrap_or("queue");
            let symbol = text("symbol");
            // What lies on somebody's stack has no name.
            let what = match (kind, symbol, text("filesystem"), text("bit")) {
                ("page", _, Some(device), Some("writeback")) => format!("a page of {device} to be written"),
                ("page", _, Some(device), _) => format!("a page of {device}"),
                ("threads", Some(process), ..) => format!("the threads of {process}"),
                ("core-dump", Some(process), ..) => format!("the core dump of {process}"),
                ("program", Some(path), ..) => format!("the program {path}"),
                ("grace-period", Some(of), ..) => format!("a grace period of {of}"),
                ("reference", Some(of), ..) => format!("the last reference to a {of}"),
                ("file-lock", Some(lock), ..) => format!("the {lock}"),
                ("pipe" | "cpu", Some(what), ..) => what.to_owned(),
                ("server", Some(server), ..) => format!("the answer of {server}"),
                // `queue of fanotify_fops`
                (_, Some(symbol), ..) if symbol.starts_with(kind) => format!("the {symbol}"),
                (_, Some(symbol), ..) => format!("{kind} {symbol}"),
                _ => format!("a {kind}"),
            };
            let of_disk = io_hang::wait(fact, lowest);
            // A parent waits for its child for as long as that likes.
            const FORKS: [&str; 4] = ["wait_for_vfork_done", "kernel_clone", "_do_fork", "do_fork"];
            let forks = fact.stacks.iter().any(|stack| stack.functions().any(|f| FORKS.contains(&f)));
            let waker = fact.int("waker_pid").filter(|waker| Some(*waker) != fact.int("pid") && !forks);
            let leads = match (kind, text("filesystem"), address("object")) {
                _ if let Some(pid) = waker => {
                    ends = !matches!(kind, "file-lock" | "cpu");
                    Leads::Owner { pid, certain: true }
                }
                _ if let Some((_, shared)) = &of_disk => Leads::Shared(shared.clone()),
                ("pipe", ..) => Leads::Nowhere,
                ("page", Some(device), _) => Leads::Shared(io(device)),
                (_, _, Some(object)) if symbol.is_some() || fact.int("waiters") > Some(1) => {
                    Leads::Shared(format!("{kind} {object}"))
                }
                _ => Leads::Nowhere,
            };
            (of_disk.map_or(what, |(what, _)| what), leads)
        }
        _ => return None,
    };
    let object = what.strip_suffix(wish.as_str()).unwrap_or(&what).to_owned();
    // That of a lock is that it holds it.
    let by = text("waker_by").filter(|_| text("kind") != Some("file-lock")).map(str::to_owned);
    let of_file = text("kind") == Some("file-lock");
    Some(Wait { what, object, at, module, ends, by, of_file, leads })
}

/// For what several tasks wait for: all of them, the one that stands for them first. That is who was reported first, else
/// who waits longest.
fn groups(tasks: &BTreeMap<i64, Task>) -> HashMap<String, Vec<i64>> {
    let mut groups: HashMap<String, Vec<i64>> = HashMap::new();
    for (pid, task) in tasks {
        if let Some(Wait { leads: Leads::Shared(name), .. }) = &task.wait {
            groups.entry(name.clone()).or_default().push(*pid);
        }
    }
    for group in groups.values_mut() {
        group.sort_by_key(|pid| {
            let task = tasks.get(pid);
            let event = task.and_then(|t| t.event);
            (event.is_none(), event, std::cmp::Reverse(task.and_then(|t| t.seconds)), *pid)
        });
    }
    groups
}

/// The task at the end of the way from another one, and whether every owner on it is proven. In a circle that is the one
/// where the way closes. None for a task that waits for nobody.
fn root(start: i64, tasks: &BTreeMap<i64, Task>, groups: &HashMap<String, Vec<i64>>) -> Option<(i64, bool)> {
    let walk = |candidates: bool| -> (i64, bool, bool) {
        let (mut now, mut proven) = (start, true);
        let mut seen = BTreeSet::from([start]);
        while seen.len() < MAX_DEPTH {
            let Some(wait) = tasks.get(&now).and_then(|t| t.wait.as_ref()) else { break };
            let next = match &wait.leads {
                Leads::Owner { pid, certain: true } => Some((*pid, true)),
                Leads::Owner { pid, certain: false } if candidates => {
                    // A reader that sleeps in the code whose lock it is, most likely holds it.
                    let of_lock = |task: &&Task| wait.module.is_some() && task.place().1 == wait.module;
                    tasks.get(pid).filter(|t| t.state() == "D" || of_lock(t)).map(|_| (*pid, false))
                }
                Leads::Shared(name) => groups.get(name).and_then(|g| g.first()).map(|pid| (*pid, false)),
                _ => None,
            };
            let Some((next, sure)) = next.filter(|(next, _)| *next != now && tasks.contains_key(next)) else { break };
            proven &= sure;
            now = next;
            if !seen.insert(now) {
                return (now, proven, true);
            }
        }
        (now, proven, false)
    };
    let (mut end, mut proven, circle) = walk(true);
    if circle && !proven {
        // A circle through candidates is none.
        (end, proven, _) = walk(false);
    }
    (end != start || circle && proven).then_some((end, proven))
}

/// `acme-fw:219`, each.
pub(super) fn named(pids: &[i64], tasks: &BTreeMap<i64, Task>) -> Vec<String> {
    pids.iter().filter_map(|pid| Some(format!("{}:{pid}", tasks.get(pid)?.comm))).collect()
}

fn chain(
    member: &str,
    pid: i64,
    task: &Task,
    waiters: &[i64],
    tasks: &BTreeMap<i64, Task>,
    groups: &HashMap<String, Vec<i64>>,
) -> Fact {
    // What the root itself holds, with how many wait for it.
    let mut holds: BTreeMap<(bool, &str), usize> = BTreeMap::new();
    let mut certain = true;
    let mut evidence: Vec<String> = Vec::new();
    for (waiter, task) in waiters.iter().filter_map(|pid| Some((pid, tasks.get(pid)?))) {
        let Some(wait) = &task.wait else { continue };
        if evidence.len() < MAX_WAITS {
            evidence.push(format!("{}:{waiter} waits for {}{}", task.comm, wait.what, held_by(wait, tasks)));
        }
        if let Leads::Owner { pid: owner, certain: sure } = wait.leads
            && owner == pid
        {
            *holds.entry((wait.ends, &wait.object)).or_default() += 1;
            certain &= sure;
        }
    }
    let (function, mut module) = task.place();
    let place = function.as_deref().map(|f| match &module {
        Some(module) => format!(" in {f} [{module}]"),
        None => format!(" in {f}"),
    });
    // Where a task was stopped or frozen has nothing to do with it, nor where one was that has a CPU for itself.
    let halted = task.fact.text("halted");
    let has_cpu = holds.keys().any(|(_, what)| what.starts_with("CPU "));
    let by_chance = has_cpu || halted.is_some_and(|halted| halted.starts_with("is "));
    let place = place.filter(|_| !by_chance).unwrap_or_default();
    let seconds = task.seconds.map(|s| format!(" {s} s")).unwrap_or_default();
    let wait = task.wait.as_ref();
    let group = wait.and_then(|wait| match &wait.leads {
        Leads::Shared(name) => groups.get(name).filter(|g| g.len() > 1).map(|g| (name, g)),
        _ => None,
    });
    let does = match (wait, task.state()) {
        (Some(wait), _) => format!("has waited{seconds} for {}{place}", wait.what),
        (None, _) if let Some(halted) = halted => format!("{halted}{place}"),
        (None, "D") => format!("has slept{seconds}{place}, and memory does not tell for what"),
        (None, _) if task.fact.get("running").and_then(Value::as_bool) == Some(true) => format!("runs{place}"),
        (None, state) => format!("is in state {state}{place}"),
    };
    let listed = |of: bool| -> Vec<String> {
        let of_kind = holds.iter().filter(|((ends, _), _)| *ends == of);
        of_kind.map(|((_, what), n)| format!("{what} ({n} wait)")).collect()
    };
    let (locks, ends) = (listed(false), listed(true));
    let who = format!("{}:{pid}", task.comm);
    let number = |n: usize| if n == 1 { "1 task".to_owned() } else { format!("{n} tasks") };
    let title = match (group, locks.as_slice(), ends.as_slice()) {
        (Some((name, group)), ..) => {
            let what = match name.strip_prefix("io ") {
                Some(device) => format!("I/O of {device}"),
                None => wait.map(|w| w.what.clone()).unwrap_or_default(),
            };
            let more = waiters.len() + 1 - group.len().min(waiters.len() + 1);
            let more = if more > 0 { format!("; {} for what these hold", number(more)) } else { String::new() };
            let names: Vec<&str> = group.iter().take(4).filter_map(|pid| Some(tasks.get(pid)?.comm)).collect();
            let dots = if group.len() > 4 { ", ..." } else { "" };
            format!("{} have waited{seconds} for {what} ({}{dots}){more}", number(group.len()), names.join(", "))
        }
        (None, [], []) => format!("{who} holds up {}; it {does}", number(waiters.len())),
        (None, locks, ends) => {
            let word = if certain { "holds" } else { "may hold" };
            let parts = [(word, locks), ("has to end the wait for", ends)];
            let parts = parts.iter().filter(|(_, what)| !what.is_empty());
            let parts: Vec<String> = parts.map(|(word, what)| format!("{word} {}", what.join(", "))).collect();
            format!("{who} holds up {}: it {} and {does}", number(waiters.len()), parts.join(", "))
        }
    };
    if let Some(of_lock) = wait.and_then(|w| w.module.clone()) {
        module = Some(of_lock);
    }
    // The module in which it does not go on is not why.
    let module = module.filter(|_| halted.is_none());
    let cpu = task.fact.int("cpu").filter(|_| has_cpu);
    let more = waiters.len().saturating_sub(evidence.len());
    let more = if more > 0 { format!("; and {more} more") } else { String::new() };
    let waiting: BTreeSet<i64> = waiters.iter().copied().collect();
    Fact::new("derived.chain", Origin::derived(member, format!("who waits for whom, from task {pid} on")))
        .with_opt("event", task.event)
        .with("task_at", task.at)
        .with("reported", task.event.is_some())
        .with("pid", pid)
        .with("comm", task.comm)
        .with("pids", waiting.iter().map(|pid| Value::from(*pid)).collect::<Vec<_>>())
        .with("tasks", waiters.len())
        .with("who", named(&waiters.iter().copied().take(MAX_NAMED).collect::<Vec<_>>(), tasks))
        .with("holds", locks)
        .with_opt("waits_for", wait.map(|w| w.what.clone()))
        .with_opt("device", group.and_then(|(name, _)| name.strip_prefix("io ")))
        .with_opt("function", function)
        .with_opt("module", module)
        .with_opt("seconds", task.seconds)
        .with_opt("cpu", cpu)
        .with_opt("halted", halted)
        .with("dump", member)
        .with("title", title)
        .quoting(format!("{}{more}", evidence.join("; ")))
}

/// `, held by acme-fw:219`.
fn held_by(wait: &Wait, tasks: &BTreeMap<i64, Task>) -> String {
    let Leads::Owner { pid, certain } = wait.leads else { return String::new() };
    let Some(owner) = tasks.get(&pid) else { return String::new() };
    let by = wait.by.as_deref().map(|by| format!(": it {by}")).unwrap_or_default();
    match (wait.ends, certain) {
        (true, _) => format!(", which {}:{pid} has to end{by}", owner.comm),
        (false, true) => format!(", held by {}:{pid}{by}", owner.comm),
        (false, false) => format!(", held perhaps by {}:{pid}", owner.comm),
    }
}

fn blocked(
    member: &str,
    pid: i64,
    task: &Task,
    event: usize,
    wait: &Wait,
    root: Option<&(i64, bool)>,
    tasks: &BTreeMap<i64, Task>,
) -> Fact {
    let (function, module) = task.place();
    let seconds = task.seconds.map(|s| format!(" {s} s")).unwrap_or_default();
    let title = format!("{} has waited{seconds} for {}{}", task.comm, wait.what, held_by(wait, tasks));
    let proven = matches!(wait.leads, Leads::Owner { pid, certain: true } if tasks.contains_key(&pid));
    Fact::new("derived.blocked", Origin::derived(member, format!("what task {pid} waits for")))
        .with("event", event)
        .with("pid", pid)
        .with("comm", task.comm)
        .with("proven", proven)
        .with_opt("root_pid", root.map(|(root, _)| *root))
        .with("waits_for", wait.what.as_str())
        .with_opt("function", function)
        .with_opt("module", wait.module.clone().or(module))
        .with_opt("seconds", task.seconds)
        .with("wait_at", wait.at)
        .with("title", title.as_str())
        .quoting(title)
}

/// Circles of one: a task that takes a lock which it holds, or waits for work that it has to do itself.
pub(super) fn self_deadlocks(facts: &[Fact]) -> Vec<Fact> {
    let of =
        |fact: &Fact, name: &str| fact.get(name).and_then(Value::as_list).map(<[Value]>::to_vec).unwrap_or_default();
    let circles = facts.iter().filter(|f| f.kind == "mem.lock_cycle" && of(f, "pids").len() == 1);
    let circles = circles.filter_map(|circle| {
        let text = |name: &str| of(circle, name).first().and_then(Value::as_text).map(str::to_owned);
        let lock = text("symbols");
        let what = format!("waits for {}, which it holds itself", lock.as_deref().unwrap_or("a lock"));
        let found = self_deadlock(facts, circle, of(circle, "pids").first()?.as_int()?);
        Some(found.with_opt("comm", text("tasks")).with_opt("lock", lock).with("what", what))
    });
    let own = facts.iter().filter(|f| f.kind == "mem.wait" && f.int("waker_pid").is_some());
    let own = own.filter(|f| f.int("waker_pid") == f.int("pid")).filter_map(|wait| {
        let object = wait.text("symbol").unwrap_or("its own work");
        // Work that is behind the task in a queue that runs no more at a time.
        let behind = wait.text("waker_by").filter(|by| by.contains("max_active"));
        let what = format!("waits for {object} to end, and {}", behind.unwrap_or("is what runs it"));
        let found = self_deadlock(facts, wait, wait.int("pid")?);
        let found = found.with_opt("comm", wait.text("comm")).with("lock", object);
        Some(found.with("by_work", true).with_opt("perhaps", behind.map(|_| true)).with("what", what))
    });
    circles.chain(own).collect()
}

/// The deadlock of one task that a fact tells of, with the place where it waits.
fn self_deadlock(facts: &[Fact], from: &Fact, pid: i64) -> Fact {
    let of_task = |f: &Fact| f.kind == "mem.task" && f.int("pid") == Some(pid) && f.origin.member == from.origin.member;
    let at = facts.iter().position(of_task);
    let hops = at.and_then(|at| facts.get(at)?.stacks.first()).map(|stack| path::hops(stack)).unwrap_or_default();
    let hop = hops.iter().find(|hop| !blame::waits(hop));
    // The function that is the work may have jumped on to where it sleeps, and left no frame.
    let is_its =
        |f: &&Fact| f.kind == "mem.worker" && f.int("pid") == Some(pid) && f.origin.member == from.origin.member;
    let work = hop.filter(|hop| hop.function == "process_one_work").and_then(|_| facts.iter().find(is_its));
    let (function, module) = match (work, hop) {
        (Some(work), _) => (work.text("function").map(str::to_owned), work.text("module").map(str::to_owned)),
        (None, hop) => (hop.map(|hop| hop.function.clone()), hop.and_then(|hop| hop.module.clone())),
    };
    Fact::new(
        "derived.self_deadlock",
        Origin::derived(from.origin.member.clone(), "a wait that only the sleeper can end"),
    )
    .with("pid", pid)
    .with_opt("function", function)
    .with_opt("module", module)
    .with_opt("task_at", at)
    .quoting(from.quote.clone())
}

/// For each report of a hung task the longest time that it and those after it tell, where that is longer than its own.
pub(super) fn lasting(facts: &[Fact]) -> BTreeMap<usize, i64> {
    let mut open: HashMap<(&str, i64), usize> = HashMap::new();
    let mut found: BTreeMap<usize, i64> = BTreeMap::new();
    for (at, fact) in facts.iter().enumerate().filter(|(_, f)| f.kind == "log.hung_task" && f.get("listed").is_none()) {
        let (Some(pid), Some(seconds), Some(comm)) = (fact.int("pid"), fact.int("seconds"), fact.text("comm")) else {
            continue;
        };
        let first = *open.entry((comm, pid)).or_insert(at);
        if facts.get(first).and_then(|f| f.int("seconds")).is_some_and(|told| seconds > told) {
            let longest = found.entry(first).or_insert(seconds);
            *longest = seconds.max(*longest);
        }
    }
    found
}

#[cfg(test)]
mod tests;
