//! The blamed frame of an event.
//!
//! Each class of report has its own way: which trace tells how the failure came about, from which end it is read, and
//! which functions are passed over on it. Two readings are kept apart: all helpers passed over, and only those passed over
//! that can never be the cause (reporting, locks, memory copies). Where they differ, the second is the second candidate.

use facts::Fact;

use super::functions::{self, Helper};
use super::path::{self, Hop};
use super::{fault as faults, names, work};

mod stuck;

use stuck::{hang, stall};
pub(super) use stuck::{sleeper, waits};

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
pub(super) const MAX_CANDIDATES: usize = 3;

/// Groups that are passed over on the way from a fault outwards.
const FAULT: &[Helper] = &[
    Helper::Reporting,
    Helper::Allocator,
    Helper::Library,
    Helper::Locking,
    Helper::Counting,
    Helper::Container,
    Helper::Core,
    Helper::Dispatch,
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
const LOCKDEP: &[Helper] =
    &[Helper::Reporting, Helper::Locking, Helper::Library, Helper::Counting, Helper::Allocator, Helper::Dispatch];

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

/// Groups that are never the cause.
const NEVER: &[Helper] = &[Helper::Reporting, Helper::Library, Helper::Locking, Helper::Counting];

/// Computations over data that the caller handed in: an uninitialised byte in it is the caller's.
const COMPUTATIONS: &[&str] =
    &["crypto_*", "cipher_*", "drbg_*", "rng_*", "*_encrypt*", "*_decrypt*", "aes*", "crc*", "*_csum", "csum_*"];

/// Groups that are never the cause of a failed allocation.
const ALLOCATION: &[Helper] = &[
    Helper::Reporting,
    Helper::Allocator,
    Helper::Library,
    Helper::Locking,
    Helper::Counting,
    Helper::Waiting,
    Helper::Dispatch,
];

/// Classes that are no function's fault: the memory is gone, whoever asks for the next page; the queue of a network
/// device stands still, and the watchdog that says so is not to blame.
const NOBODY: &[&str] = &["oom", "memcg-oom", "net-watchdog"];

/// Panics that end what was reported before; their own trace is that of the watchdog or of the one who asked for it.
const ENDINGS: &[&str] = &[
    "out of memory",
    "system is deadlocked on memory",
    "hung_task",
    "sysrq",
    "fatal exception",
    "an nmi occurred",
    "vfs: unable to mount root",
    "no working init",
    "no init found",
    "requested init",
    "fatal machine check",
    "fatal hardware error",
];

/// Is it a panic with which the code in its trace has nothing to do? Neither has it where the first process exits by itself.
fn is_ending(fact: &Fact) -> bool {
    let reason = fact.text("reason").unwrap_or("").to_ascii_lowercase();
    let exited = || {
        let code = reason.split_once("attempted to kill init! exitcode=0x")?.1;
        let digits: String = code.chars().take_while(char::is_ascii_hexdigit).collect();
        u32::from_str_radix(&digits, 16).ok().filter(|code| code & 0x7f == 0)
    };
    fact.kind == "log.panic" && (ENDINGS.iter().any(|ending| reason.starts_with(ending)) || exited().is_some())
}

/// How a process leaves: by itself, by a signal, or because the kernel died in it.
const WAY_OUT: &[&str] = &[
    "do_exit",
    "do_group_exit",
    "make_task_dead",
    "rewind_stack*",
    "get_signal*",
    "do_signal*",
    "arch_do_signal*",
    "do_notify_resume*",
    "exit_to_user_mode*",
    "syscall_exit_to_user_mode*",
    "irqentry_exit*",
    "prepare_exit_to_usermode",
    "asm_exc_*",
    "sys_exit*",
    "se_sys_exit*",
    "x64_sys_exit*",
    "arm64_sys_exit*",
];

fn is_exit_of_init(fact: &Fact) -> bool {
    fact.kind == "log.panic"
        && fact.text("reason").is_some_and(|reason| reason.to_ascii_lowercase().starts_with("attempted to kill init"))
}

/// The blamed frame of a log event or of a task; `None` when nothing names one.
pub(super) fn blame(fact: &Fact) -> Option<Blame> {
    let class = fact.text("class").unwrap_or("");
    if NOBODY.contains(&class) || is_ending(fact) || work::is_idle(fact) {
        return None;
    }
    let mut blame = match class {
        "hung-task" => hang(fact),
        // The task that puts a device to sleep or wakes it, and does not come back.
        "firmware" if fact.kind == "log.power" => hang(fact),
        // Who waits in a section in which nobody may: below the functions that wait.
        "warning" if fact.text("function") == Some("rcu_note_context_switch") => hang(fact),
        "atomic-sleep" => fault(path::way(fact), SLEEP),
        // Whoever allocates next meets what something else did to the page.
        "page-alloc-failure" | "slab-alloc-failure" | "bad-page" if all_help(fact) => Blame::default(),
        // The report names the two accesses; a helper that was inlined or not is the same race.
        "data-race" => fault(path::way(fact), &[Helper::Reporting]),
        "lockdep" => lockdep(fact),
        "hardware-mce" | "trap" if fact.text("title").is_some_and(|title| title.contains("SError")) => bus_error(fact),
        "kernel-panic" if fact.text("reason").is_some_and(|reason| reason.starts_with("Asynchronous SError")) => {
            bus_error(fact)
        }
        "soft-lockup" | "hard-lockup" | "rcu-stall" => stall(fact),
        "stack-overflow" | "stack-corruption" if ran_out(fact) => overflow(fact),
        "uninit-value" | "info-leak" => {
            let mut way = path::way(fact);
            let computes = |h: &Hop| functions::any(COMPUTATIONS, h.function.trim_start_matches('_'));
            let end = way.iter().take_while(|h| computes(h) || passed(FAULT, h)).count();
            if end < way.len() && way.first().is_some_and(computes) {
                way.drain(..end);
            }
            fault(way, FAULT)
        }
        "leak" if fact.kind == "log.slab_corruption" => {
            // Whose cache it was, the function that gave it up tells.
            let mut way = path::way(fact);
            way.retain(|h| !functions::any(&["*kmem_cache_*"], &h.function));
            fault(way, FAULT)
        }
        "workqueue-lockup" => {
            let mut blame = fault(path::way(fact), FAULT);
            for hop in work::in_flight(fact) {
                blame.candidates.push(Candidate::new(&hop, "runs on the pool that makes no progress"));
                if blame.frames.is_empty() {
                    blame.frames.push(hop);
                }
            }
            blame
        }
        _ => fault(with_work(fact, path::way(fact)), FAULT),
    };
    if faults::jump(fact).is_some()
        && let Some(first) = blame.candidates.first_mut()
        && first.reason.starts_with("innermost")
    {
        first.reason = "called the function pointer".to_owned();
    }
    if let Some(unsure) = unsure(fact, &blame) {
        blame.candidates.insert(0, unsure);
    }
    if fact.text("function").is_none()
        && fact.text("class") == Some("invalid-opcode")
        && let Some(last) = fact.stacks.iter().find(|s| s.name == "last branch").and_then(|s| path::hops(s).pop())
    {
        let reason = "the last branch that the CPU took was in it: it went to where no code is";
        blame.candidates.insert(0, Candidate::new(&last, reason));
        blame.frames.insert(0, last);
    }
    if let Some(first) = victim_of_a_free_list(fact)
        && let Some(candidate) = blame.candidates.first_mut()
    {
        candidate.reason = match candidate.function == first {
            false => format!(
                "asked for memory; {first} met a free list that something damaged before, so it is most likely a victim"
            ),
            true => {
                "met a free list that something damaged before: it is a victim, and so is whoever called it".to_owned()
            }
        };
    }
    if let Some(hop) = named_by_message(fact) {
        blame.candidates.insert(0, Candidate::new(&hop, "the message names it"));
        blame.frames.insert(0, hop);
    }
    blame.freed_by = history(fact, &["freed", "free "]);
    blame.allocated_by = history(fact, &["alloc"]);
    if class == "kernel-panic" {
        // What only reports the panic is no culprit.
        blame.candidates.retain(|c| !functions::is(Helper::Reporting, &c.function));
    }
    if is_exit_of_init(fact) {
        // The way out of the process: what killed it is not in the trace, unless it was a fault of the kernel.
        let way_out = |function: &str| functions::any(WAY_OUT, function.trim_start_matches('_'));
        blame.candidates.retain(|c| !way_out(&c.function));
        blame.frames.retain(|h| !way_out(&h.function));
    }
    dedup(&mut blame);
    tell_the_way(fact, &mut blame);
    blame.alternatives.retain(|name| !functions::is(Helper::Reporting, name));
    (!blame.candidates.is_empty()).then_some(blame)
}

/// Said of a helper whose caller is not in the log.
const FOR_WHOM: &str = ", and the log does not show for whom";

/// Where the frames that are sure are all of helpers, the first of the others that is none.
fn unsure(fact: &Fact, blame: &Blame) -> Option<Candidate> {
    let first = blame.candidates.first().filter(|first| first.reason.ends_with(FOR_WHOM))?;
    let helper = why(NEVER, &Hop::named(&first.function))?;
    let stack = path::main_stack(fact)?;
    let below = stack.frames.iter().position(|f| f.function.as_deref().map(names::plain) == Some(&first.function))?;
    let rest = path::unsure(stack, below).into_iter().find(|h| !passed(FAULT, h) && !h.groups.hands_over())?;
    let reason =
        format!("on the stack below {}, which only {}; the unwinder is not sure of it", first.function, helper.word());
    Some(Candidate::new(&rest, reason))
}

/// A bus error that arrives by itself: the access that it is of lies a little before what it interrupted, in code of a driver
/// as a rule.
fn bus_error(fact: &Fact) -> Blame {
    let way = path::way(fact);
    let entry = |h: &Hop| {
        path::is_interrupt_entry(&h.function)
            || functions::any(
                &["el1*", "el0*", "do_serror", "arm64_serror*", "bad_mode"],
                h.function.trim_start_matches('_'),
            )
    };
    // The registers of what it interrupted, where they are printed, stand before all entries.
    let known = way.first().is_some_and(|h| h.place && !entry(h) && !h.helps(Helper::Reporting));
    let start = way.iter().position(entry).filter(|_| !known).unwrap_or(0);
    let rest: Vec<Hop> = way.iter().skip(start).filter(|h| !entry(h)).cloned().collect();
    let mut blame = fault(if rest.is_empty() { way } else { rest }, FAULT);
    if let Some(driver) = blame.candidates.iter().position(|c| c.module.is_some()) {
        let driver = blame.candidates.remove(driver);
        blame.candidates.insert(0, driver);
    }
    if let Some(first) = blame.candidates.first_mut() {
        first.reason =
            "ran when the bus error arrived: look for an access to a device without clock or power".to_owned();
    }
    blame
}

/// The function that memory shows to have made a call that went wrong comes first.
pub(super) fn called_by(caller: &Fact, blame: &mut Blame) {
    let Some(function) = caller.text("function").map(names::plain) else { return };
    blame.candidates.retain(|candidate| candidate.function != function);
    let module = caller.text("module").map(str::to_owned);
    let reason = "called the function pointer, by the return address of the call".to_owned();
    blame.candidates.insert(0, Candidate { function: function.to_owned(), module: module.clone(), reason });
    blame.candidates.truncate(MAX_CANDIDATES);
    if blame.frames.is_empty() {
        blame.frames.push(Hop { module, ..Hop::named(function) });
    }
}

/// A function that jumped on as the last thing it did left no frame. Where the one that is blamed called it, it comes first.
pub(super) fn jumped_on(tail: &Fact, blame: &mut Blame) {
    let name = |field: &str| tail.text(field).map(names::plain);
    let (Some(via), Some(caller), Some(function)) = (name("via"), name("caller"), name("function")) else { return };
    let hop = Hop { module: tail.text("via_module").map(str::to_owned), ..Hop::named(via) };
    if passed(FAULT, &hop) || blame.candidates.first().is_none_or(|first| first.function != caller) {
        return;
    }
    let reason = format!("{caller} called it, and it jumped on to {function}: it left no frame");
    blame.candidates.insert(0, Candidate::new(&hop, reason));
    blame.candidates.truncate(MAX_CANDIDATES);
}

/// The way with the work function at its end where all else only helps others: the trace was cut, or holds core
/// functions alone.
fn with_work(fact: &Fact, mut way: Vec<Hop>) -> Vec<Hop> {
    // Where the dispatcher itself is at fault, the work has not begun or is done.
    if way.iter().all(|h| passed(FAULT, h))
        && way.first().is_none_or(|h| !h.helps(Helper::Dispatch))
        && let Some(work) = work::function(fact)
    {
        way.push(work);
    }
    way
}

/// What stands before and behind the function that a WARN's message calls guilty: the code that was run on behalf of
/// others and came back with the interrupts, the preemption count or a lock not as they were.
const GUILTY: &[(&str, &str)] = &[
    ("Interrupts enabled after ", ""),
    ("initcall ", " returned with "),
    (" handler ", " enabled interrupts"),
    ("timer: ", " preempt leak"),
    ("last function: ", ""),
    ("percpu ref (", ") <= 0"),
];

fn named_by_message(fact: &Fact) -> Option<Hop> {
    let message = fact.text("message")?;
    // `workqueue: WQ_MEM_RECLAIM wq1:flusher [test] is flushing !WQ_MEM_RECLAIM wq2:work [test]`
    if let Some((flusher, _)) = message.split_once(" is flushing !WQ_MEM_RECLAIM ")
        && let Some((_, function)) = flusher.strip_prefix("workqueue: WQ_MEM_RECLAIM ").and_then(|t| t.split_once(':'))
    {
        let (function, module) = function.split_once(" [").unwrap_or((function, ""));
        let module = module.strip_suffix(']').map(str::to_owned);
        return Some(Hop { module, ..Hop::named(function) });
    }
    let (before, _) = GUILTY.iter().find(|(before, behind)| message.contains(before) && message.contains(behind))?;
    let rest = message.split_once(before)?.1;
    let (function, _) = rest.split_once("+0x").or_else(|| rest.split_once(')'))?;
    let plain = function.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.'));
    let module = rest.split_once('[').and_then(|(_, m)| m.split_once(']')).map(|(module, _)| module.to_owned());
    (plain && !function.is_empty()).then(|| Hop { module, ..Hop::named(function) })
}

/// Functions that take memory off the allocator's own lists. A wild pointer in them is one of those lists.
const TAKES_FROM_LISTS: &[&str] = &[
    "kmalloc*",
    "kmem_cache_alloc*",
    "slab_alloc*",
    "get_freepointer*",
    "get_partial*",
    "deactivate_slab",
    "rmqueue*",
    "get_page_from_freelist",
];

/// The allocator's function in which an allocation met a wild pointer.
pub(super) fn victim_of_a_free_list(fact: &Fact) -> Option<String> {
    let wild = matches!(fact.text("class"), Some("gpf" | "paging-fault")) && fact.kind == "log.oops";
    let place = path::place(fact).filter(|_| wild)?;
    functions::any(TAKES_FROM_LISTS, place.function.trim_start_matches('_')).then_some(place.function)
}

/// Between two functions that decide stand helpers, and in a trace of several stacks perhaps nothing: what calls what is
/// said as the trace has it.
fn tell_the_way(fact: &Fact, blame: &mut Blame) {
    let way = path::way(fact);
    let frames = path::main_stack(fact).map(path::hops).unwrap_or_default();
    for candidate in &mut blame.candidates {
        let Some(inner) = candidate.reason.strip_prefix("calls ") else { continue };
        // A function may stand in the trace more than once.
        let calls = |pair: &[Hop]| matches!(pair, [below, outer] if outer.function == candidate.function && below.function == inner);
        if way.windows(2).any(calls) {
            continue;
        }
        let outer = way.iter().position(|h| h.function == candidate.function).filter(|at| *at > 0);
        if let Some((at, below)) = outer.and_then(|at| Some((at, way.get(at - 1)?))) {
            // A place that no frame of the trace is: what stands above the callers is the report's own.
            let inside = frames.iter().any(|h| h.function == inner) && way.iter().take(at).any(|h| h.function == inner);
            candidate.reason = match inside {
                true => format!("calls {}, which leads to {inner}", below.function),
                false => "further out in the trace".to_owned(),
            };
        }
    }
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
    hops.iter().find(|h| !passed(FAULT, h)).or(hops.first()).map(|h| h.function.clone())
}

fn passed(groups: &[Helper], hop: &Hop) -> bool {
    why(groups, hop).is_some()
}

/// Is a function passed over on the way from a fault outwards?
pub(super) fn is_helper(function: &str) -> bool {
    passed(FAULT, &Hop::named(function))
}

/// The group for which a function is passed over.
fn why(groups: &[Helper], hop: &Hop) -> Option<Helper> {
    groups.iter().copied().find(|group| hop.helps(*group))
}

/// The deciding functions of a way.
fn deciding<'a>(way: &'a [Hop], groups: &[Helper]) -> Vec<&'a Hop> {
    way.iter().filter(|h| !passed(groups, h)).collect()
}

fn fault(mut way: Vec<Hop>, groups: &[Helper]) -> Blame {
    // A trace that begins with the entry of an interrupt is that of what it came upon.
    let entries = way.iter().take_while(|h| !h.place && path::is_interrupt_entry(&h.function)).count();
    if entries < way.len() {
        way.drain(..entries);
    }
    // What an interrupt came upon did not call what runs in it.
    if let Some(interrupted) = way.iter().position(|h| path::is_interrupt_entry(&h.function)) {
        way.truncate(interrupted.max(1));
    }
    let mut found = deciding(&way, groups);
    for fewer in [NEVER, &[Helper::Reporting]] {
        if found.is_empty() {
            found = deciding(&way, fewer);
        }
    }
    // Where only the report's own functions are left, the log ends before a caller.
    let mut candidates = Vec::new();
    for (at, hop) in found.iter().take(MAX_CANDIDATES).enumerate() {
        let reason = if at > 0 {
            format!("calls {}", found[at - 1].function)
        } else if hop.place {
            match why(groups, hop) {
                Some(helper) if helper != Helper::Reporting => {
                    format!("the function the report names; it only {}{FOR_WHOM}", helper.word())
                }
                _ => "the function the report names".to_owned(),
            }
        } else {
            match way.first().filter(|first| first.function != hop.function) {
                Some(first) => match why(groups, first) {
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
    // Others stop earlier or later on the way.
    let first = candidates.first().map(|c| c.function.clone()).unwrap_or_default();
    let narrow = way
        .iter()
        .find(|h| !NEVER.iter().any(|group| h.groups.has(*group)))
        .filter(|h| h.function != first)
        .or_else(|| way.iter().find(|h| !h.helps(Helper::Reporting)));
    let broad = way.iter().find(|h| !groups.iter().any(|group| h.helps_by_file(*group)));
    let others = [
        narrow.map(|h| Candidate::new(h, "innermost of the trace")),
        broad.map(|h| Candidate::new(h, "first caller outside the files of helpers")),
    ];
    for other in others.into_iter().flatten().filter(|c| c.function != first).rev() {
        let at = candidates.len().min(1);
        candidates.insert(at, other);
    }
    // The report's own word stays among the first.
    if let Some(place) = way.first().filter(|h| h.place && !h.helps(Helper::Reporting))
        && candidates.iter().take(MAX_CANDIDATES).all(|c| c.function != place.function)
    {
        let at = candidates.len().min(MAX_CANDIDATES - 1);
        candidates.insert(at, Candidate::new(place, "the function the report names"));
    }
    let alternatives = way.iter().take(3).map(|h| h.function.clone()).collect();
    Blame { candidates, alternatives, frames: found.into_iter().take(3).cloned().collect(), ..Blame::default() }
}

/// Does the log of a failed allocation end before whoever asked for the memory?
fn all_help(fact: &Fact) -> bool {
    path::way(fact).iter().all(|h| passed(ALLOCATION, h))
}

/// Functions that take the locks which stand for work items.
const WORK_LOCKS: &[&str] = &[
    "process_one_work",
    "*flush_work*",
    "drain_workqueue",
    "destroy_workqueue",
    "cancel_work*",
    "cancel_delayed_work*",
];

/// A way of taking locks that can deadlock: the function that takes the lock now, else the one that took the other.
fn lockdep(fact: &Fact) -> Blame {
    let mut way = path::way(fact);
    // Functions of the place where the lock is held, and of the task that took the locks the other way round before.
    let mut elsewhere: Vec<(String, &str)> = Vec::new();
    let helps = |h: &Hop| passed(LOCKDEP, h) || functions::any(WORK_LOCKS, h.function.trim_start_matches('_'));
    if way.first().is_some_and(helps) && fact.text("what") == Some("circular") {
        // The lock is taken by a dispatcher or a helper of locks: the other end of the chain decides.
        let other = fact.stacks.iter().find(|s| s.name.starts_with("took ")).map(|s| path::hops(s)).unwrap_or_default();
        let holds = fact.text("holds_at").map(Hop::named);
        let rest = std::mem::take(&mut way);
        elsewhere.extend(holds.iter().map(|h| (h.function.clone(), "the task took there the lock that it holds")));
        let others = other.iter().filter(|h| rest.iter().all(|own| own.function != h.function));
        elsewhere.extend(others.map(|h| (h.function.clone(), "took the locks in the other order before")));
        way.extend(holds.into_iter().chain(other).filter(|h| !helps(h)));
        way.extend(rest);
    }
    let mut blame = fault(way, LOCKDEP);
    for candidate in &mut blame.candidates {
        // None of them calls the other: they were never in one trace.
        if let Some((_, why)) = elsewhere.iter().find(|(function, _)| *function == candidate.function) {
            candidate.reason = (*why).to_owned();
        } else if let Some(inner) = candidate.reason.strip_prefix("calls ")
            && elsewhere.iter().any(|(function, _)| function == inner)
        {
            "wants the other lock, in the trace of the report".clone_into(&mut candidate.reason);
        }
    }
    if fact.text("what") == Some("irq-unsafe-order")
        && let Some(earlier) = fact.stacks.iter().find(|s| s.name.starts_with("earlier"))
        && let Some(hop) = path::hops(earlier).iter().find(|h| !passed(LOCKDEP, h))
    {
        let at = blame.candidates.len().min(1);
        blame.candidates.insert(at, Candidate::new(hop, "took the other lock in an interrupt"));
    }
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

/// What the CPU was asked to do: the function that a dispatcher called last on the way to the place.
fn entry(way: &[Hop]) -> Option<&Hop> {
    let handed = way.iter().position(|h| h.groups.hands_over())?;
    way.get(..handed)?.iter().rev().find(|h| !h.helps(Helper::Reporting))
}

/// Is it a stack that ran out, and not only a double fault or a broken canary?
fn ran_out(fact: &Fact) -> bool {
    let title = fact.text("title").unwrap_or("");
    match fact.text("class") {
        Some("stack-corruption") => title.contains("stack end"),
        _ => !title.contains("double fault") || fact.text("function").is_some_and(|f| path::repeats(fact, f)),
    }
}

/// A stack that ran out: the calls that repeat are to blame, not the one that met the end.
fn overflow(fact: &Fact) -> Blame {
    let way = path::way(fact);
    let mut blame = Blame::default();
    let found = deciding(&way, FAULT);
    let entry = entry(&way).filter(|h| !passed(FAULT, h));
    let again = |h: &Hop| found.iter().filter(|o| o.function == h.function).count() > 2;
    let repeated = found.iter().find(|h| again(h));
    // Within one module its own code began it, whoever called that.
    let began = repeated
        .filter(|h| h.module.is_some())
        .and_then(|repeated| {
            found.get(found.iter().rposition(|h| again(h))? + 1).filter(|h| h.module == repeated.module)
        })
        .copied();
    let entry = began.or(entry);
    if let Some(entry) = entry {
        blame.candidates.push(Candidate::new(entry, "all the calls that filled the stack came from here"));
    }
    if let Some(repeated) = repeated {
        blame.candidates.push(Candidate::new(repeated, "called again and again"));
    }
    callers(&mut blame, &found, "the stack ended here");
    blame.frames = entry.into_iter().chain(repeated.copied()).chain(found.iter().copied().take(2)).cloned().collect();
    blame
}

#[cfg(test)]
mod tests;
