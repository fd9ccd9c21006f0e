//! Tasks that sleep for long and CPUs that do not come on: what holds them up, not what waits.

use facts::Fact;

use super::super::functions::{self, Helper};
use super::super::path::{self, Hop};
use super::super::work;
use super::{Blame, Candidate, HANG, MAX_CANDIDATES, STALL, callers, deciding, entry, passed};

/// What a task waits for when that is shared by the whole kernel: such waits have one name, whoever waits.
const SHARED_WAITS: &[(&str, &str, &str)] = &[
    ("rtnl_lock", "rtnl_lock", "the RTNL lock"),
    ("rtnl_net_lock", "rtnl_lock", "the RTNL lock"),
    ("synchronize_rcu*", "synchronize_rcu", "an RCU grace period"),
    ("synchronize_srcu*", "synchronize_srcu", "an SRCU grace period"),
    ("synchronize_sched*", "synchronize_rcu", "an RCU grace period"),
    ("synchronize_net*", "synchronize_rcu", "an RCU grace period"),
];

/// The scheduler's own functions: they say that a task sleeps and not for what.
const SLEEPS: &[&str] =
    &["schedule*", "io_schedule*", "preempt_schedule*", "context_switch", "switch_to*", "bit_wait*", "sync_buffer"];

/// Names that say themselves that the function waits or takes a lock.
const WAITS_BY_NAME: &[&str] =
    &["*wait*", "*_lock", "*_lock_*", "*_slowlock*", "*rwsem*", "*completion*", "*synchronize*"];

/// The function on whose behalf a task sleeps: the first that does more than wait. A module may call its functions what it
/// likes: where nothing else is left before the thread's own beginning, its innermost one is meant, whatever it is called.
pub(in super::super) fn sleeper(way: &[Hop]) -> Option<&Hop> {
    let first = way.iter().find(|h| !waits(h));
    if first.is_some_and(|h| !is_beginning(h)) {
        return first;
    }
    way.iter().take_while(|h| !is_beginning(h)).find(|h| h.module.is_some() && !passed(HANG, h)).or(first)
}

/// Is it where a thread begins, below all that it does?
fn is_beginning(hop: &Hop) -> bool {
    hop.groups.hands_over()
        || functions::any(&["kthread", "ret_from_fork*", "worker_thread", "process_one_work"], &hop.function)
}

/// Is the function passed over on the way from a sleep?
pub(in super::super) fn waits(hop: &Hop) -> bool {
    passed(HANG, hop) || functions::any(WAITS_BY_NAME, hop.function.trim_start_matches('_'))
}

/// A task that sleeps: on whose behalf.
pub(super) fn hang(fact: &Fact) -> Blame {
    let way = path::main_stack(fact).map(path::hops).unwrap_or_default();
    // The check that complains is not what waits.
    let checks = |h: &Hop| h.function == "rcu_note_context_switch";
    let mut found: Vec<&Hop> = way.iter().filter(|h| !waits(h) && !checks(h)).collect();
    if let Some(own) = sleeper(&way).filter(|own| !found.iter().any(|h| h == own) && !checks(own)) {
        found.insert(0, own);
    }
    if path::main_stack(fact).is_some_and(|s| !s.frames.iter().any(|f| f.reliable)) {
        // No frame is sure: what lies on the stack from earlier is of the kernel itself more often than of a module.
        found.sort_by_key(|h| h.module.is_none());
    }
    if found.is_empty() {
        // The log ends before a caller that does more than wait: the outermost function tells most.
        let sleeps = |h: &Hop| functions::any(SLEEPS, h.function.trim_start_matches('_'));
        found = way.iter().rev().find(|h| !sleeps(h)).into_iter().collect();
    }
    let mut blame = Blame::default();
    let owner = fact
        .stacks
        .iter()
        .find(|s| s.name.contains("owner"))
        .and_then(|s| path::hops(s).into_iter().find(|h| !waits(h)));
    if let Some(owner) = &owner {
        let comm = fact.text("owner_comm").unwrap_or("another task");
        blame.candidates.push(Candidate::new(owner, format!("{comm} owns the lock and is here")));
    }
    let shared = way.iter().find_map(|hop| {
        let bare = hop.function.trim_start_matches('_');
        SHARED_WAITS.iter().find(|(pattern, ..)| functions::matches(pattern, bare)).map(|wait| (hop, wait))
    });
    if let Some((hop, (_, name, what))) = shared {
        blame.candidates.push(Candidate {
            function: (*name).to_owned(),
            module: None,
            reason: format!("the task waits for {what}; who keeps it is not in this trace"),
        });
        blame.alternatives.push(hop.function.clone());
        // Who waits for it is below the wait in the trace.
        found.retain(|h| h.function != hop.function);
    }
    const MEANINGS: &[(&[&str], &str)] = &[
        (
            &["wait_transaction_locked", "jbd2_log_wait_commit", "log_wait_commit"],
            "the task waits here for the commit of the journal: look for jbd2/DEVICE among the tasks in D",
        ),
        (
            &["netdev_run_todo", "netdev_wait_allrefs*"],
            "the task waits here until all references to a network device are given back",
        ),
    ];
    let means = MEANINGS.iter().find(|(names, _)| way.iter().any(|h| functions::any(names, &h.function)));
    callers(&mut blame, &found, means.map_or("the task waits here", |(_, meaning)| meaning));
    blame.alternatives.extend(way.iter().filter(|h| !passed(HANG, h)).take(1).map(|h| h.function.clone()));
    blame.frames = match (owner, shared) {
        (Some(owner), _) => std::iter::once(owner).chain(found.into_iter().take(2).cloned()).collect(),
        (None, Some((_, (_, name, _)))) => {
            let wait = Hop { module: None, ..Hop::named(name) };
            std::iter::once(wait).chain(found.into_iter().take(2).cloned()).collect()
        }
        (None, None) => found.into_iter().take(3).cloned().collect(),
    };
    blame
}

/// A CPU that does not come on. A soft or hard lockup is a loop without a pause: the function at its top that decides is in
/// it. A stalled grace period may take many seconds of much work, of which one moment is seen: what does not return is the
/// call that a dispatcher made, and that is the same at every moment.
pub(super) fn stall(fact: &Fact) -> Blame {
    let way = path::interrupted_way(fact, path::main_stack(fact));
    let mut blame = Blame::default();
    if let Some(ipi) = way.iter().find(|h| h.function.trim_start_matches('_').starts_with("smp_call_function")) {
        blame.candidates.push(Candidate {
            function: "smp_call_function".to_owned(),
            module: None,
            reason: format!("{} waits until other CPUs answer; they hold it up", ipi.function),
        });
        blame.alternatives.push(ipi.function.clone());
    }
    if let Some(stop) = way.iter().find(|h| h.function == "multi_cpu_stop") {
        blame.candidates.push(Candidate::new(stop, "waits until all other CPUs have stopped; they hold it up"));
    }
    let mut found = deciding(&way, STALL);
    // A CPU that spins on a lock: whoever takes it there is the one to look at, a list of the kernel's own or not.
    let spins = fact.text("class") != Some("rcu-stall")
        && way.first().is_some_and(|h| h.helps(Helper::Locking) && !h.function.contains("unlock"));
    if spins
        && let Some(taker) = way.iter().find(|h| !passed(&[Helper::Reporting, Helper::Locking, Helper::Counting], h))
        && found.first().is_none_or(|h| h.function != taker.function)
    {
        found.insert(0, taker);
    }
    let work = work::function(fact).filter(|_| found.is_empty());
    if let Some(work) = &work {
        found.push(work);
    }
    if found.is_empty() {
        // The dump of a task that runs on another CPU is what it left there when it was last switched away from.
        let switched = |h: &Hop| functions::any(SLEEPS, h.function.trim_start_matches('_'));
        found = way.iter().filter(|h| !h.helps(Helper::Reporting) && !switched(h)).collect();
    }
    // Without registers and with nothing but the scheduler on the stack, the CPU was idle or ran something else since.
    let registers = || fact.text("function").is_some();
    if found.is_empty()
        && blame.candidates.is_empty()
        && (way.iter().any(|h| h.function == "__switch_to") || !registers())
    {
        return blame;
    }
    let entry =
        entry(&way).filter(|h| work.is_none() && !passed(&[Helper::Locking, Helper::Library, Helper::Counting], h));
    let at = blame.candidates.len();
    let here = if spins { "the CPU spins on a lock here" } else { "the CPU was here when the watchdog looked" };
    callers(&mut blame, &found, here);
    let outermost_first = fact.text("class") == Some("rcu-stall");
    if let Some(entry) = entry {
        let at = if outermost_first { at } else { (at + 1).min(blame.candidates.len()) };
        let why = "does not return: the CPU was in it when the watchdog looked";
        blame.candidates.insert(at, Candidate::new(entry, why));
    }
    let first = entry.filter(|_| outermost_first);
    let rest = found.iter().copied().filter(|h| first.is_none_or(|f| f.function != h.function));
    blame.frames = first.into_iter().chain(rest).take(3).cloned().collect();
    if let Some(innermost) = way.first()
        && passed(STALL, innermost)
    {
        let at = blame.candidates.len().min(MAX_CANDIDATES - 1);
        blame.candidates.insert(at, Candidate::new(innermost, "the program counter was in this helper"));
    }
    blame
}
