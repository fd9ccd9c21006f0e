//! The blamed frame of an event.

use facts::Fact;

use super::helpers::{self, Helper};
use super::path::{self, Hop};

/// A function that may be to blame, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) function: String,
    pub(super) module: Option<String>,
    pub(super) reason: String,
}

impl Candidate {
    fn new(hop: &Hop, reason: impl Into<String>) -> Self {
        Candidate { function: hop.function.clone(), module: hop.module.clone(), reason: reason.into() }
    }
}

/// What is concluded about the frame.
#[derive(Clone, Debug, Default)]
pub(super) struct Blame {
    /// Best first.
    pub(super) candidates: Vec<Candidate>,
    /// Functions that others would name.
    pub(super) alternatives: Vec<String>,
    /// Deciding frames, innermost first.
    pub(super) frames: Vec<Hop>,
    pub(super) freed_by: Option<String>,
    pub(super) allocated_by: Option<String>,
}

/// Candidates that are named.
const MAX_CANDIDATES: usize = 3;

/// Groups that are passed over on the way from a fault outwards.
const FAULT: &[Helper] = &[
    Helper::Reporting,
    Helper::Allocator,
    Helper::Library,
    Helper::Locking,
    Helper::Counting,
    Helper::Container,
    Helper::Core,
];

/// Groups that are passed over on the way from a sleep that was not allowed.
const SLEEP: &[Helper] = &[
    Helper::Reporting,
    Helper::Allocator,
    Helper::Library,
    Helper::Locking,
    Helper::Counting,
    Helper::Container,
    Helper::Core,
    Helper::Waiting,
];

/// Groups that are passed over on the way from the place where a lock was taken in a wrong way.
const LOCKDEP: &[Helper] = &[Helper::Reporting, Helper::Locking, Helper::Library, Helper::Counting, Helper::Allocator];

/// Groups that are passed over on the way from the place where a task sleeps.
const HANG: &[Helper] = &[Helper::Reporting, Helper::Waiting, Helper::Locking, Helper::Library, Helper::Counting];

/// Groups that are passed over on the way from the place where a CPU spins.
const STALL: &[Helper] = &[
    Helper::Reporting,
    Helper::Library,
    Helper::Locking,
    Helper::Counting,
    Helper::Container,
    Helper::Dispatch,
    Helper::Allocator,
    Helper::Waiting,
];

/// The blamed frame of a log event or of a task; `None` when nothing names one.
pub(super) fn blame(fact: &Fact) -> Option<Blame> {
    let class = fact.text("class").unwrap_or("");
    let mut blame = match class {
        "hung-task" => hang(fact),
        "atomic-sleep" => fault(fact, SLEEP),
        // The report names the two accesses; a helper that was inlined or not is the same race.
        "data-race" => fault(fact, &[Helper::Reporting]),
        "lockdep" => fault(fact, LOCKDEP),
        "soft-lockup" | "hard-lockup" | "rcu-stall" => stall(fact),
        _ => fault(fact, FAULT),
    };
    blame.freed_by = history(fact, &["freed", "free "]);
    blame.allocated_by = history(fact, &["alloc"]);
    dedup(&mut blame);
    (!blame.candidates.is_empty()).then_some(blame)
}

fn dedup(blame: &mut Blame) {
    let mut seen: Vec<String> = Vec::new();
    blame.candidates.retain(|c| {
        let new = !seen.contains(&c.function);
        seen.push(c.function.clone());
        new
    });
    let rest = blame.candidates.split_off(blame.candidates.len().min(MAX_CANDIDATES));
    blame.alternatives.extend(rest.into_iter().map(|c| c.function));
    let mut seen: Vec<String> = blame.candidates.iter().map(|c| c.function.clone()).collect();
    blame.alternatives.retain(|name| {
        let new = !seen.contains(name);
        seen.push(name.clone());
        new
    });
}

/// The first deciding function of a stack of the past.
fn history(fact: &Fact, words: &[&str]) -> Option<String> {
    let stack = fact.stacks.iter().find(|s| {
        let name = s.name.to_ascii_lowercase();
        words.iter().any(|word| name.contains(word))
    })?;
    let hops = path::hops(stack);
    hops.iter().find(|h| !passed(FAULT, &h.function)).or(hops.first()).map(|h| h.function.clone())
}

fn passed(groups: &[Helper], function: &str) -> bool {
    groups.iter().any(|group| helpers::is(*group, function))
}

/// The group for which a function is passed over.
fn why(groups: &[Helper], function: &str) -> Option<Helper> {
    groups.iter().copied().find(|group| helpers::is(*group, function))
}

/// The deciding functions of a way, and how the first was reached in words.
fn deciding<'a>(way: &'a [Hop], groups: &[Helper]) -> Vec<&'a Hop> {
    way.iter().filter(|h| !passed(groups, &h.function)).collect()
}

fn fault(fact: &Fact, groups: &[Helper]) -> Blame {
    let way = path::way(fact);
    let mut found = deciding(&way, groups);
    if found.is_empty() {
        // Only helpers: the first that does not merely report.
        found = deciding(&way, &[Helper::Reporting]);
    }
    if found.is_empty() {
        found = way.iter().collect();
    }
    let mut candidates = Vec::new();
    for (at, hop) in found.iter().take(MAX_CANDIDATES).enumerate() {
        let reason = if at > 0 {
            format!("calls {}", found[at - 1].function)
        } else if hop.place {
            "the function the report names".to_owned()
        } else {
            match way.first().filter(|first| first.function != hop.function) {
                Some(first) => match why(groups, &first.function) {
                    Some(helper) => {
                        format!("first caller that is no helper; {} only {}", first.function, helper.word())
                    }
                    None => "first caller that is no helper".to_owned(),
                },
                None => "innermost frame of the trace".to_owned(),
            }
        };
        candidates.push(Candidate::new(hop, reason));
    }
    let alternatives = way.iter().take(3).map(|h| h.function.clone()).collect();
    Blame { candidates, alternatives, frames: found.into_iter().take(3).cloned().collect(), ..Blame::default() }
}

/// What a task waits for when that is shared by the whole kernel: such waits have one name, whoever waits.
const SHARED_WAITS: &[(&str, &str, &str)] = &[
    ("rtnl_lock", "rtnl_lock", "the RTNL lock"),
    ("rtnl_net_lock", "rtnl_lock", "the RTNL lock"),
    ("synchronize_rcu*", "synchronize_rcu", "an RCU grace period"),
    ("synchronize_srcu*", "synchronize_rcu", "an SRCU grace period"),
    ("synchronize_sched*", "synchronize_rcu", "an RCU grace period"),
    ("synchronize_net*", "synchronize_rcu", "an RCU grace period"),
];

fn hang(fact: &Fact) -> Blame {
    let way = path::main_stack(fact).map(path::hops).unwrap_or_default();
    let mut found = deciding(&way, HANG);
    if found.is_empty() {
        found = way.iter().collect();
    }
    let mut blame = Blame::default();
    let owner = fact
        .stacks
        .iter()
        .find(|s| s.name.contains("owner"))
        .and_then(|s| path::hops(s).into_iter().find(|h| !passed(HANG, &h.function)));
    if let Some(owner) = &owner {
        let comm = fact.text("owner_comm").unwrap_or("another task");
        blame.candidates.push(Candidate::new(owner, format!("{comm} owns the lock and is here")));
    }
    let shared = way.iter().find_map(|hop| {
        let bare = hop.function.trim_start_matches('_');
        SHARED_WAITS.iter().find(|(pattern, ..)| helpers::matches(pattern, bare)).map(|wait| (hop, wait))
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
    callers(&mut blame, &found, "the task waits here");
    blame.frames = match (owner, shared) {
        (Some(owner), _) => std::iter::once(owner).chain(found.into_iter().take(2).cloned()).collect(),
        (None, Some((hop, (_, name, _)))) => {
            let wait = Hop { function: (*name).to_owned(), module: None, ..hop.clone() };
            std::iter::once(wait).chain(found.into_iter().take(2).cloned()).collect()
        }
        (None, None) => found.into_iter().take(3).cloned().collect(),
    };
    blame
}

/// The innermost deciding function and its callers as candidates.
fn callers(blame: &mut Blame, found: &[&Hop], why: &str) {
    if let Some(first) = found.first() {
        blame.candidates.push(Candidate::new(first, why));
    }
    for pair in found.windows(2).take(MAX_CANDIDATES) {
        if let [inner, outer] = pair {
            blame.candidates.push(Candidate::new(outer, format!("calls {}", inner.function)));
        }
    }
}

fn stall(fact: &Fact) -> Blame {
    let way = path::interrupted_way(fact, path::main_stack(fact));
    let mut blame = Blame::default();
    let entry = way
        .iter()
        .position(|h| helpers::hands_over(&h.function))
        .and_then(|at| at.checked_sub(1))
        .and_then(|at| way.get(at));
    if let Some(ipi) = way.iter().find(|h| h.function.trim_start_matches('_').starts_with("smp_call_function")) {
        blame.candidates.push(Candidate {
            function: "smp_call_function".to_owned(),
            module: None,
            reason: format!("{} waits until other CPUs answer; they hold it up", ipi.function),
        });
        blame.alternatives.push(ipi.function.clone());
    }
    let mut found = deciding(&way, STALL);
    if found.is_empty() {
        found = way.iter().filter(|h| !helpers::is(Helper::Reporting, &h.function)).collect();
    }
    callers(&mut blame, &found, "the CPU was here when the watchdog looked");
    if let Some(entry) = entry {
        let at = blame.candidates.len().min(1);
        blame.candidates.insert(at, Candidate::new(entry, "what the CPU was asked to do; the loop is at or below it"));
    }
    blame.frames = found.into_iter().take(3).cloned().collect();
    if let Some(place) = path::place(fact)
        && passed(STALL, &place.function)
    {
        let at = blame.candidates.len().min(MAX_CANDIDATES - 1);
        blame.candidates.insert(at, Candidate::new(&place, "the program counter was in this helper"));
    }
    blame
}
