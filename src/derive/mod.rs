//! What follows from facts without knowledge of any single bug: the blamed frame and the signature of each event.
//!
//! Works on facts only. Each conclusion names the fact it is about by `event`, its position in the input.

mod blame;
mod capture;
mod chain;
pub(crate) mod clock;
mod copies;
mod devices;
mod earlier;
mod endings;
mod episode;
mod fault;
mod folded;
pub mod functions;
mod hang;
mod hardware;
mod headline;
mod init;
mod instruction;
mod io;
mod kinds;
mod list;
mod lockup;
mod lost_lock;
pub mod names;
mod next;
mod passing;
mod path;
mod pointer;
mod recovery;
mod related;
mod rotation;
mod sequence;
mod shared;
mod shortage;
mod signature;
mod title;
mod told_before;
mod unloaded;
mod waiting;
mod work;

use std::collections::{BTreeMap, BTreeSet};

use facts::{Address, Fact, Origin, Value};

pub(crate) use copies::NO_HEAD;
pub(crate) use endings::Moment;
pub(crate) use fault::access;
pub use kinds::KINDS;
pub(crate) use list::words as list_words;
pub(crate) use path::remembered;
pub(crate) use pointer::meaning;
pub(crate) use rotation::rotation;

/// Concludes from the facts of one case. The result is in the order of the facts.
///
/// ```
/// use facts::{Fact, Origin};
/// let oops = Fact::new("log.oops", Origin::lines("dmesg", 5, 30))
///     .with("class", "null-deref")
///     .with("severity", "report")
///     .with("function", "ip6mr_sk_done");
/// let derived = vmcoroner::derive::derive(&[oops]);
/// let blamed = derived.iter().find(|f| f.kind == "derived.blamed");
/// assert_eq!(blamed.and_then(|f| f.text("function")), Some("ip6mr_sk_done"));
/// ```
pub fn derive(facts: &[Fact]) -> Vec<Fact> {
    let mut derived = Vec::new();
    let admitted = hardware::admits(facts);
    let detailed = facts.iter().any(|f| {
        matches!(&*f.kind, "log.mce" | "log.edac" | "log.firmware_error_record")
            && !matches!(f.text("what"), Some("logged" | "killed" | "memory-failure"))
    });
    let storms = hardware::storms(facts);
    let not_recovered = hardware::not_recovered(facts);
    let recoveries = recovery::recoveries(facts);
    let mut healed = recoveries.iter().peekable();
    let captured = capture::events(facts);
    let lasting = chain::lasting(facts);
    let passing = passing::passing(facts);
    let guest = facts.iter().any(work::is_guest);
    let remarks = |at: usize, fact: &Fact, healed: Option<&recovery::Recovery>, derived: &mut Vec<Fact>| {
        remarks(at, fact, healed, captured.binary_search(&at).is_ok(), guest, derived);
    };
    for (at, fact) in facts.iter().enumerate() {
        // A virtual machine has no button and no bus that could raise one.
        if guest && fact.kind == "log.nmi" {
            derived.push(Fact::new("derived.asked_nmi", origin(fact)).with("event", at).quoting(fact.quote.clone()));
            continue;
        }
        let healed = healed.next_if(|recovery| recovery.event == at);
        let access = fault::access(facts, fact);
        let excused = not_recovered.binary_search(&at).is_ok();
        if !excused
            && let Some(sign) =
                storms.get(&at).cloned().or_else(|| hardware::hardware(fact, access, admitted, detailed))
        {
            let (advice, verify) = hardware::advice(sign.kind, sign.uncorrected);
            derived.push(
                Fact::new("derived.hardware", origin(fact))
                    .with("event", at)
                    .with("sign", sign.kind)
                    .with("uncorrected", sign.uncorrected)
                    .with("what", sign.what.as_str())
                    .with("advice", advice)
                    .with("verify", verify)
                    .quoting(sign.what),
            );
        }
        if let Some(what) = hardware::bit(fact, access) {
            let one = Fact::new("derived.one_bit", origin(fact)).with("event", at);
            derived.push(one.with("what", what.as_str()).quoting(what));
        }
        let with_memory = shortage::with_memory(facts, fact)
            .or_else(|| init::with_fault(facts, at, fact))
            .or_else(|| fault::with_code(facts, fact))
            .or_else(|| lockup::with_loop(facts, fact))
            .or_else(|| list::with_meaning(facts, fact));
        let fact = with_memory.as_ref().unwrap_or(fact);
        if let Some((module, what)) = shortage::memory_owner(facts, fact) {
            let owner = Fact::new("derived.memory_owner", origin(fact)).with("event", at);
            derived.push(owner.with("module", module).with("what", what.as_str()).quoting(what));
        }
        match lasting.get(&at) {
            // The reports after it tell how long it lasted.
            Some(seconds) => {
                let fact = fact.clone().with("seconds", *seconds);
                remarks(at, &fact, healed, &mut derived);
            }
            None => remarks(at, fact, healed, &mut derived),
        }
        if passing.binary_search(&at).is_ok() {
            derived.push(
                Fact::new("derived.passing", origin(fact))
                    .with("event", at)
                    .with("why", passing::why(fact))
                    .quoting(passing::why(fact)),
            );
        }
        if speaks_of_code(fact) {
            let fact = path::joined(facts, fact, facts.get(at + 1));
            event(at, &fact, &Code { caller: fault::caller(facts, &fact), tails: tails(facts, &fact) }, &mut derived);
            if let Some(gone) = unloaded::unloaded(facts, &fact) {
                derived.push(
                    Fact::new("derived.unloaded", origin(&fact))
                        .with("event", at)
                        .with_opt("module", gone.module)
                        .with("what", gone.what.as_str())
                        .quoting(gone.what),
                );
            }
        }
    }
    if let Some(follower) = earlier::follower(facts) {
        mark(facts, follower, &mut derived);
    }
    derived.extend(waiting::waits(facts).into_iter().filter_map(|wait| {
        let fact = Fact::new("derived.netdev_wait", origin(facts.get(wait.first)?)).with("event", wait.first);
        Some(
            fact.with("device", wait.device)
                .with("usage", wait.usage)
                .with("lines", wait.lines)
                .with("seconds", wait.seconds)
                .quoting(format!("{} waited for {} s at least", wait.device, wait.seconds)),
        )
    }));
    from_memory(facts, &mut derived);
    derived.extend(order(facts, &derived));
    let explained = derived.iter().filter(|d| d.kind == "derived.follows").filter_map(|d| d.int("event"));
    let explained: BTreeSet<usize> = explained.filter_map(|at| usize::try_from(at).ok()).collect();
    derived.extend(shared::shared(facts, &explained).into_iter().map(|shared| {
        let first = shared.events.first().and_then(|at| facts.get(*at)).map_or("", |f| f.origin.member.as_str());
        Fact::new("derived.shared_fault", Origin::derived(first, "losses at one moment"))
            .with("events", shared.events)
            .with("drives", shared.drives)
            .with("text", shared.text.as_str())
            .quoting(shared.text)
    }));
    folded::fold(facts, &mut derived);
    chains(facts, &mut derived);
    derived.extend(lost_lock::lost_locks(facts));
    derived.extend(hang::hangs(facts).into_iter().map(|hang| hang_fact(facts, hang)));
    derived.extend(lockup::lockups(facts).into_iter().map(|lockup| lockup_fact(facts, lockup)));
    derived.extend(lockup::stalled(facts).into_iter().map(stalled_fact));
    derived
}

/// Says of an event in its title, too, that something came before it.
fn mark(facts: &[Fact], follower: earlier::Follower, derived: &mut Vec<Fact>) {
    let Some(fact) = facts.get(follower.event) else { return };
    let is_it = |d: &&mut Fact| d.int("event") == i64::try_from(follower.event).ok();
    match derived.iter_mut().filter(|d| d.kind == "derived.headline").find(is_it) {
        Some(headline) => {
            let title = format!("{}; {}", headline.text("title").unwrap_or_default(), follower.text);
            headline.values.insert("title".into(), title.into());
        }
        None => {
            let title = format!("{}; {}", fact.text("title").unwrap_or_default(), follower.text);
            derived
                .push(Fact::new("derived.headline", origin(fact)).with("event", follower.event).with("title", title));
        }
    }
    derived.push(
        Fact::new("derived.earlier_oops", origin(fact))
            .with("event", follower.event)
            .with("text", follower.text.as_str())
            .quoting(follower.text),
    );
}

/// What an event says beyond its title: of which device, that one bit differs, whose memory was written to.
fn remarks(
    at: usize,
    fact: &Fact,
    healed: Option<&recovery::Recovery>,
    captured: bool,
    guest: bool,
    derived: &mut Vec<Fact>,
) {
    let grave = matches!(fact.text("severity"), Some("failure" | "report" | "panic"));
    if !fact.kind.starts_with("log.") || !grave && fact.text("consequence").is_none() {
        return;
    }
    let mut title = headline::headline(fact);
    if let Some(recovery) = healed {
        let said = title.or_else(|| fact.text("title").map(str::to_owned)).unwrap_or_default();
        title = Some(format!("{said}; {}", recovery.text()));
        derived.push(
            Fact::new("derived.recovered", origin(fact))
                .with("event", at)
                .with("by", recovery.by)
                .with("worth", recovery.worth)
                .with_opt("seconds", recovery.seconds)
                .quoting(recovery.text()),
        );
    }
    if captured {
        title = title.or(fact.text("title").map(str::to_owned)).map(|title| capture::title(&title));
    }
    if let Some(title) = title {
        derived.push(Fact::new("derived.headline", origin(fact)).with("event", at).with("title", title));
    }
    let (datum, command) = next::next(fact, guest);
    derived
        .push(Fact::new("derived.next", origin(fact)).with("event", at).with("datum", datum).with("command", command));
    if fact.kind == "log.slab_corruption"
        && let (Some(cache), Some(problem)) = (fact.text("cache"), fact.text("problem"))
    {
        let (class, title) = match problem.starts_with("Poison overwritten") {
            true => ("use-after-free", format!("Write to freed memory in {cache}: {problem}")),
            false => ("slab-corruption", format!("Slab corruption in {cache}: {problem}")),
        };
        derived
            .push(Fact::new("derived.slab", origin(fact)).with("event", at).with("class", class).with("title", title));
    }
}

/// Which events are told twice, and which follow from others.
fn order(facts: &[Fact], derived: &[Fact]) -> Vec<Fact> {
    let at = |fact: &Fact| fact.int("event").and_then(|at| usize::try_from(at).ok());
    let named = derived.iter().filter(|f| f.kind == "derived.blamed");
    let blamed: BTreeMap<usize, &str> = named.filter_map(|f| Some((at(f)?, f.text("function")?))).collect();
    let copies = copies::copies(facts);
    let ignored: BTreeSet<usize> = copies.iter().map(|copy| copy.event).collect();
    let place = |event: usize, how: &str| {
        let member = facts.get(event).map_or("", |f| f.origin.member.as_str());
        Origin::derived(member, how)
    };
    let mut out: Vec<Fact> = copies
        .iter()
        .map(|copy| {
            Fact::new("derived.copy", place(copy.event, "other reports of the same"))
                .with("event", copy.event)
                .with("what", if copy.of.is_some() { "copy" } else { "mention" })
                .with_opt("of", copy.of)
                .with_opt("line", facts.get(copy.event).and_then(sequence::lines).map(|(first, _)| first))
        })
        .collect();
    let mut follows = sequence::follows(facts, &blamed, &ignored);
    // A watchdog that waits longer than others may report last what came first.
    let masked = lockup::victims(facts);
    follows.retain(|follows| !masked.iter().any(|(event, of, _)| follows.event == *event || follows.event == *of));
    follows.extend(masked.into_iter().map(|(event, of, why)| sequence::Follows { event, of, why }));
    let known: BTreeSet<usize> = follows.iter().map(|follows| follows.event).collect();
    let victims = hang::victims(facts).into_iter().filter(|(event, _, _)| !known.contains(event));
    follows.extend(victims.map(|(event, of, why)| sequence::Follows { event, of, why }));
    out.extend(follows.into_iter().map(|follows| {
        Fact::new("derived.follows", place(follows.event, "order of the reports"))
            .with("event", follows.event)
            .with("of", follows.of)
            .with("why", follows.why)
            .quoting(follows.why)
    }));
    out
}

/// What a log without a trace leaves open, the stack of the task that crashed tells.
fn from_memory(facts: &[Fact], derived: &mut Vec<Fact>) {
    let grave =
        |fact: &Fact| matches!(fact.text("severity"), Some("report" | "panic")) && fact.kind.starts_with("log.");
    let named = |d: &Fact| {
        let at = d.int("event").and_then(|at| usize::try_from(at).ok());
        d.kind == "derived.blamed" && at.and_then(|at| facts.get(at)).is_some_and(grave)
    };
    let traced = facts.iter().any(|f| grave(f) && path::main_stack(f).is_some());
    if traced || derived.iter().any(named) {
        return;
    }
    let Some(cpu) = facts.iter().find(|f| f.kind == "dump.state").and_then(|state| state.int("cpu")) else { return };
    let on_cpu = |f: &Fact| {
        f.kind == "mem.task" && f.int("cpu") == Some(cpu) && f.get("running").and_then(Value::as_bool) == Some(true)
    };
    let Some(task) = facts.iter().position(|f| on_cpu(f) && !f.stacks.is_empty()) else { return };
    let Some(stacks) = facts.get(task).map(|t| t.stacks.clone()) else { return };
    if stacks.iter().any(|s| s.functions().any(|f| f.starts_with("sysrq_handle_crash"))) {
        return;
    }
    let at = facts.iter().position(grave).unwrap_or(task);
    let Some(fact) = facts.get(at) else { return };
    let mut fact = fact.clone();
    if fact.text("class").is_none() {
        fact.set("class", "kernel-panic");
    }
    fact.stacks = stacks;
    event(at, &fact, &Code::default(), derived);
}

/// Who waits for whom in memory. The stack of a root that no report shows is judged as if one did.
fn chains(facts: &[Fact], derived: &mut Vec<Fact>) {
    for chain in chain::chains(facts) {
        let unreported = chain.kind == "derived.chain" && chain.get("event").is_none();
        // What was stopped or gets no CPU is where it is by chance.
        let unreported = unreported && chain.get("halted").is_none() && chain.get("cpu").is_none();
        let task = chain.int("task_at").and_then(|at| usize::try_from(at).ok()).filter(|_| unreported);
        if let Some((at, task)) = task.and_then(|at| Some((at, facts.get(at)?))) {
            event(at, &task.clone().with("class", "hung-task"), &Code::default(), derived);
        }
        derived.push(chain);
    }
    derived.extend(chain::self_deadlocks(facts));
}

fn hang_fact(facts: &[Fact], hang: hang::Hang) -> Fact {
    let member = hang.events.first().and_then(|at| facts.get(*at)).map_or("", |f| f.origin.member.as_str());
    let how = match lockup::lines(facts, &hang.events) {
        Some((first, last)) => format!("from {} reports at {first}-{last}", hang.events.len()),
        None => format!("from {} reports", hang.events.len()),
    };
    let mut fact = Fact::new("derived.hang", Origin::derived(member, how))
        .with_opt("event", hang.events.first().copied())
        .with("events", hang.events)
        .with("tasks", hang.tasks)
        .with("waits", hang.waits)
        .with("reason", hang.reason.as_str())
        .quoting(hang.reason.as_str());
    if let Some(holder) = hang.holder {
        fact = fact
            .with("holder_comm", holder.comm)
            .with_opt("holder_pid", holder.pid)
            .with_opt("function", holder.function)
            .with_opt("module", holder.module);
    }
    fact
}

/// How each boot of the machine ended, and why a dump that was due is not there. `identity` says whose boots.
pub fn endings(facts: &[Fact], identity: &facts::Identity) -> Vec<Fact> {
    endings::endings(facts, identity)
}

fn lockup_fact(facts: &[Fact], lockup: lockup::Lockup) -> Fact {
    let member = lockup.events.first().and_then(|at| facts.get(*at)).map_or("", |f| f.origin.member.as_str());
    let how = match lockup::lines(facts, &lockup.events) {
        Some((first, last)) => format!("from {} lockups at {first}-{last}", lockup.events.len()),
        None => format!("from {} lockups", lockup.events.len()),
    };
    let mut fact = Fact::new("derived.lockup", Origin::derived(member, how))
        .with_opt("event", lockup.events.first().copied())
        .with("events", lockup.events)
        .with_opt("culprit_cpu", lockup.culprit)
        .with("waiting_cpus", lockup.waiting)
        .with("reason", lockup.reason.as_str())
        .quoting(lockup.reason.as_str());
    if let Some(hop) = lockup.function {
        fact = fact.with("function", hop.function).with_opt("module", hop.module);
    }
    fact
}

fn stalled_fact(stalled: lockup::Stalled<'_>) -> Fact {
    let task = stalled.task;
    let (comm, function) = (task.text("comm").unwrap_or("?"), stalled.function.function);
    let cpu = task.int("cpu").unwrap_or(0);
    let quote = format!("CPU {cpu} has taken no interrupt for {} s: it runs {function} for {comm}", stalled.seconds);
    Fact::new("derived.stalled_cpu", Origin::derived(task.origin.member.as_str(), "clock and stack of the CPU"))
        .with("cpu", cpu)
        .with("seconds", stalled.seconds)
        .with_opt("pid", task.int("pid"))
        .with("comm", comm)
        .with("function", function)
        .with_opt("module", stalled.function.module)
        .quoting(quote)
}

/// Does a function only report what another met?
pub(crate) fn reports(function: &str) -> bool {
    functions::is(functions::Helper::Reporting, function)
}

/// What a report's program counter was, where it is the bad address itself: a function pointer was called.
pub(crate) fn jump(fact: &Fact) -> Option<u64> {
    fault::jump(fact).map(|jump| jump.address)
}

/// Events whose frames mean something: reports, panics, and failures that print a trace.
fn speaks_of_code(fact: &Fact) -> bool {
    fact.kind.starts_with("log.")
        && match fact.text("severity") {
            Some("report" | "panic") => true,
            Some("failure") => !fact.stacks.is_empty(),
            _ => false,
        }
}

/// What the code in memory tells of a report: who made a call to no code, and which functions left no frame.
#[derive(Default)]
struct Code<'f> {
    caller: Option<&'f Fact>,
    tails: Vec<&'f Fact>,
}

/// The functions that left no frame between two of a report's.
fn tails<'f>(facts: &'f [Fact], report: &Fact) -> Vec<&'f Fact> {
    let frames = || report.stacks.first().into_iter().flat_map(|stack| &stack.frames);
    let own = report.text("function");
    let has = |name: Option<&str>| {
        name.is_some_and(|name| own == Some(name) || frames().any(|frame| frame.function.as_deref() == Some(name)))
    };
    let of = |tail: &&Fact| {
        tail.kind == "mem.tail_call"
            && tail.origin.member == report.origin.member
            && has(tail.text("function"))
            && has(tail.text("caller"))
    };
    facts.iter().filter(of).collect()
}

/// What one event tells; `caller` is what memory knows of a call that went wrong.
fn event(at: usize, fact: &Fact, code: &Code<'_>, derived: &mut Vec<Fact>) {
    let caller = code.caller;
    if let Some(fault) = fault::fault(fact, caller) {
        if let Some(title) = fault.title {
            derived.push(Fact::new("derived.headline", origin(fact)).with("event", at).with("title", title));
        }
        derived.push(
            Fact::new("derived.fault", origin(fact))
                .with("event", at)
                .with("meaning", fault.meaning)
                .with("text", fault.text.as_str())
                .with_opt("register", fault.register)
                .with_opt("value", fault.value.map(Address))
                .with_opt("instruction", fault.instruction)
                .with_opt("offset", fault.offset)
                .quoting(fault.text),
        );
    }
    let class = fact.text("class").unwrap_or("");
    let mut blame = blame::blame(fact).unwrap_or_default();
    through_link_register(fact, &mut blame);
    if let Some(caller) = caller {
        blame::called_by(caller, &mut blame);
    }
    for tail in &code.tails {
        blame::jumped_on(tail, &mut blame);
    }
    if let Some(called) = fault::jump(fact) {
        let by = blame.candidates.first().map(|c| format!(" by {}", c.function)).unwrap_or_default();
        let title = fact.text("title").unwrap_or("jump to a bad address");
        derived.push(
            Fact::new("derived.headline", origin(fact))
                .with("event", at)
                .with("title", format!("{title}: {} was called{by}", called.what)),
        );
    }
    if let Some(printed) = fact.text("title") {
        let function = blame.candidates.first().map(|c| c.function.as_str());
        derived.push(
            Fact::new("derived.title", origin(fact)).with("event", at).with("title", title::title(printed, function)),
        );
    }
    let signature = signature::signature(class, &blame, fact.text("file"));
    // A class alone tells no two failures apart, but for those that are nobody's.
    if !blame.frames.is_empty() || matches!(class, "oom" | "memcg-oom") {
        derived.push(
            Fact::new("derived.signature", origin(fact))
                .with("event", at)
                .with("class", class)
                .with("signature", signature.key)
                .with("frames", signature.frames)
                .with_opt("module", signature.module)
                .with("alternatives", signature.alternatives),
        );
    }
    let Some(first) = blame.candidates.first() else { return };
    if let Some(title) = headline::on_behalf(fact, first) {
        let told = |d: &Fact| d.kind == "derived.headline" && d.int("event") == i64::try_from(at).ok();
        if !derived.iter().any(told) {
            derived.push(Fact::new("derived.headline", origin(fact)).with("event", at).with("title", title));
        }
    }
    let candidates: Vec<Value> = blame
        .candidates
        .iter()
        .map(|c| {
            let mut record: BTreeMap<String, Value> = BTreeMap::new();
            record.insert("function".to_owned(), c.function.as_str().into());
            if let Some(module) = &c.module {
                record.insert("module".to_owned(), module.as_str().into());
            }
            record.insert("reason".to_owned(), c.reason.as_str().into());
            Value::Record(record)
        })
        .collect();
    let callers: BTreeSet<&str> = blame.candidates.iter().skip(1).filter_map(|c| c.module.as_deref()).collect();
    derived.push(
        Fact::new("derived.blamed", origin(fact))
            .with("event", at)
            .with("class", class)
            .with("function", first.function.as_str())
            .with_opt("module", first.module.as_deref())
            .with("reason", first.reason.as_str())
            .with("candidates", candidates)
            .with("callers", callers.into_iter().map(Value::from).collect::<Vec<_>>())
            .with("alternatives", blame.alternatives.clone())
            .with_opt("freed_by", blame.freed_by.as_deref())
            .with_opt("allocated_by", blame.allocated_by.as_deref())
            .quoting(format!("{}: {}", first.function, first.reason)),
    );
}

/// A trace by frame pointers has no frame for who called a function without one, and a log may end before its trace: the
/// link register names the caller.
fn through_link_register(fact: &Fact, blame: &mut blame::Blame) {
    if let Some(caller) = fact.text("return_to").map(names::plain)
        && fault::jump(fact).is_some()
    {
        // No frame was pushed yet: the first of the trace is the caller of the caller.
        let hop = path::Hop::named(caller);
        blame.candidates.retain(|c| c.function != caller);
        blame.candidates.insert(
            0,
            blame::Candidate {
                function: caller.to_owned(),
                module: fact.text("return_module").map(str::to_owned),
                reason: "called the function pointer: the link register".to_owned(),
            },
        );
        if let Some(outer) = blame.candidates.get_mut(1).filter(|c| c.reason.starts_with("called the function pointer"))
        {
            outer.reason = format!("calls {caller}");
        }
        blame.candidates.truncate(blame::MAX_CANDIDATES);
        if blame.frames.first().is_none_or(|first| first.function != caller) {
            blame.frames.insert(0, hop);
            blame.frames.truncate(3);
        }
        return;
    }
    let (Some(place), Some(caller)) = (fact.text("function"), fact.text("return_to")) else { return };
    let (place, caller) = (names::plain(place), names::plain(caller));
    let calls = format!("calls {place}");
    if place == caller || !matches!(&*fact.kind, "log.oops" | "log.kasan" | "log.panic") {
        return;
    }
    for candidate in blame.candidates.iter_mut().filter(|c| c.reason == calls && c.function != caller) {
        candidate.reason = format!("calls {caller}, which calls {place}");
    }
    let frames = path::main_stack(fact).map(path::hops).unwrap_or_default();
    let cut = frames.iter().all(|hop| hop.function == place);
    let known = blame.candidates.iter().any(|c| c.function == caller);
    let helps = !cut && blame::is_helper(caller);
    if known || helps || frames.iter().any(|hop| hop.function == caller) {
        return;
    }
    let Some(at) = blame.candidates.iter().position(|c| c.function == place) else { return };
    let why = match cut {
        true => "the link register: it called, or has just been returned to; the log has no trace",
        false => "the link register: it called, and the trace has no frame for it",
    };
    blame.candidates.insert(
        at + 1,
        blame::Candidate {
            function: caller.to_owned(),
            module: fact.text("return_module").map(str::to_owned),
            reason: why.to_owned(),
        },
    );
    blame.candidates.truncate(blame::MAX_CANDIDATES);
}

/// The origin of what is concluded from a fact.
fn origin(fact: &Fact) -> Origin {
    let place = fact.origin.to_string();
    let place = place.strip_prefix(fact.origin.member.as_str()).unwrap_or(&place).trim_start_matches([':', ' ']);
    Origin::derived(fact.origin.member.clone(), format!("from {} at {}", fact.kind, place))
}
