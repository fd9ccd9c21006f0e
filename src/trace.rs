//! The report behind a finding, as an engineer wants to read it first: who, which function, what the access was
//! after, and the frames.

use std::collections::HashSet;

use facts::{Context, Fact, Frame, Stack, Value};

use crate::case::Case;
use crate::verdict::{Blamed, Trace};

/// The stack of the thread that drives RCU's grace periods: it runs on a CPU of its own.
const GRACE_PERIOD: &str = "grace-period kthread";

/// How many frames are shown.
const MAX_FRAMES: usize = 12;
/// How many functions to look at are named.
const MAX_BLAMED: usize = 3;
/// Frames shown above the blamed one when those further in are left out.
const SHOWN_ABOVE: usize = 2;

/// The trace of the gravest report among the facts of a finding; none when no report there holds frames.
pub fn trace(case: &Case, rests_on: &[usize]) -> Option<Trace> {
    let at = main_report(case, rests_on).or_else(|| root_task(case, rests_on))?;
    let fact = case.facts.get(at)?;
    let about = |kind: &str| case.facts.iter().find(|f| f.kind == kind && place(f) == Some(at));
    let blamed = about("derived.blamed");
    let mut candidates = blamed.map(candidates).unwrap_or_default();
    let mut shown = None;
    let lockup = case.facts.iter().find(|f| f.kind == "derived.lockup" && is_of(f, at));
    if let Some((lockup, (culprit, cpu))) = lockup.and_then(|lockup| Some((lockup, culprit(lockup, fact)?))) {
        shown = culprit_stack(case, lockup, cpu, &culprit.function);
        candidates.retain(|c| c.function != culprit.function);
        candidates.insert(0, culprit);
        candidates.truncate(MAX_BLAMED);
    }
    let first = candidates.first().map(|c| c.function.as_str());
    let none = Stack::printed("report");
    let (fact, stack) = match shown {
        Some(shown) => shown,
        // An assertion's trace is that of the BUG or warning that follows it.
        None => {
            let next = case.facts.get(at + 1).filter(|_| fact.stacks.is_empty()).filter(|next| holds(next, first));
            (fact, shown_stack(next.unwrap_or(fact), first).unwrap_or(&none))
        }
    };
    let remembered = crate::derive::remembered(&case.facts, fact, stack);
    let stack = remembered.as_ref().unwrap_or(stack);
    // Kernels without frame pointers or ORC are sure of no frame.
    let sure = stack.frames.iter().any(|f| f.reliable);
    let listed = stack.frames.iter().filter(|f| f.reliable || !sure);
    let mark = if sure { "" } else { "? " };
    let mut frames: Vec<String> = listed.filter_map(written).map(|frame| format!("{mark}{frame}")).collect();
    // The stack may be another CPU's, or another task's: the owner of a lock.
    let other = stack.name == GRACE_PERIOD;
    let is_own = !other && stack.cpu.is_none_or(|cpu| fact.int("cpu").is_none_or(|c| c == i64::from(cpu)));
    if is_own {
        frames.splice(0..0, stopped_at(fact, stack));
    }
    let above = report_frames(&frames, first);
    frames.drain(..above);
    let unloaded = about("derived.unloaded");
    if unloaded.is_some_and(|gone| gone.text("module").is_some()) {
        // The kernel's own functions only came upon what the module left behind.
        candidates.retain(|candidate| candidate.module.is_some());
    }
    // What the CPU ran when a part of the machine reported an error has no part in it.
    if about("derived.hardware").is_some_and(|sign| sign.text("sign") != Some("bit-flip")) {
        candidates.clear();
    }
    Some(Trace {
        origin: fact.origin.to_string(),
        name: stack.name.clone(),
        cpu: stack.cpu.map(i64::from).or_else(|| fact.int("cpu").filter(|_| !other)),
        pid: stack.pid.or_else(|| fact.int("pid").filter(|_| is_own)),
        comm: stack.comm.clone().or_else(|| fact.text("comm").filter(|_| is_own).map(str::to_owned)),
        blamed: candidates,
        fault: told(
            access(case, about("derived.fault"), fact),
            unloaded.and_then(|f| f.text("what")).map(str::to_owned).or_else(|| gone(case, fact)),
        ),
        above,
        left_out: frames.len().saturating_sub(MAX_FRAMES),
        frames: frames.into_iter().take(MAX_FRAMES).collect(),
    })
}

/// The CPU that holds up the one of the report, with what it runs.
fn culprit(lockup: &Fact, fact: &Fact) -> Option<(Blamed, i64)> {
    let cpu = lockup.int("culprit_cpu").filter(|cpu| Some(*cpu) != fact.int("cpu"))?;
    let blamed = Blamed {
        function: lockup.text("function")?.to_owned(),
        module: lockup.text("module").map(str::to_owned),
        reason: lockup.text("reason").unwrap_or_default().to_owned(),
    };
    Some((blamed, cpu))
}

/// Is the event one of those that the conclusion is about?
fn is_of(lockup: &Fact, at: usize) -> bool {
    let Some(Value::List(events)) = lockup.get("events") else { return false };
    events.iter().any(|event| event.as_int().and_then(|n| usize::try_from(n).ok()) == Some(at))
}

/// The stack of that CPU: from the reports that belong together, else from memory.
fn culprit_stack<'a>(case: &'a Case, lockup: &Fact, cpu: i64, function: &str) -> Option<(&'a Fact, &'a Stack)> {
    let printed = case.facts.iter().enumerate().filter(|(at, _)| is_of(lockup, *at)).map(|(_, fact)| fact);
    let running = case.facts.iter().filter(|f| f.kind == "mem.task" && f.int("cpu") == Some(cpu));
    let runs = |stack: &Stack| stack.functions().any(|f| bare(f) == bare(function));
    let of = |fact: &'a Fact| {
        let on_cpu = |s: &&Stack| s.cpu.map(i64::from).or_else(|| fact.int("cpu")) == Some(cpu);
        let stack = fact.stacks.iter().map(|s| &**s).filter(on_cpu).find(|s| runs(s))?;
        Some((fact, stack))
    };
    printed.chain(running).find_map(of)
}

/// How many frames at the top are of the report and the interrupt it was made in, when the blamed one stands so deep
/// that they would hide it.
fn report_frames(frames: &[String], blamed: Option<&str>) -> usize {
    let named = |frame: &String| frame.trim_start_matches("? ").split(['+', ' ']).next().map(bare) == blamed.map(bare);
    match frames.iter().position(named) {
        Some(at) if at >= MAX_FRAMES / 2 => at - SHOWN_ABOVE,
        _ => 0,
    }
}

/// The access, and what shows that it was after something that is gone.
fn told(access: Option<String>, gone: Option<String>) -> Option<String> {
    match (access, gone) {
        (Some(access), Some(gone)) => Some(format!("{access}; {gone}")),
        (access, gone) => access.or(gone),
    }
}

/// The area of vmalloc memory that was at the fault address, or before it, as memory has it.
fn gone(case: &Case, report: &Fact) -> Option<String> {
    let of = |fact: &&Fact| {
        fact.kind == "mem.register"
            && fact.origin.member == report.origin.member
            && fact.text("function") == report.text("function")
            && fact.text("register") == Some("fault address")
            && fact.get("value") == report.get("address")
    };
    let fact = case.facts.iter().find(of)?;
    let known = matches!(fact.text("kind"), Some("vmalloc-freed" | "vmalloc-guard"));
    fact.text("what").filter(|_| known).map(|what| format!("it is {what}"))
}

/// What the access was after: as registers and address tell, and as the dump's types do.
fn access(case: &Case, fault: Option<&Fact>, report: &Fact) -> Option<String> {
    let told = fault.and_then(|f| f.text("text"));
    let typed = crate::derive::access(&case.facts, report);
    let typed = typed.filter(|_| fault.and_then(|f| f.text("meaning")) != Some("overwritten-code"));
    match (told, typed) {
        // The log may lack the code bytes that the dump has.
        (Some(told), Some(typed)) if fault.is_some_and(|f| f.get("instruction").is_none()) => {
            Some(format!("{}; {told}", typed.quote))
        }
        (Some(told), Some(typed)) => match typed.text("reading") {
            Some(reading) => Some(format!("{told}; {reading}")),
            None => Some(told.to_owned()),
        },
        (Some(told), None) => Some(told.to_owned()),
        (None, Some(typed)) => Some(typed.quote.clone()),
        (None, None) => None,
    }
}

/// The gravest event with frames, the first of equals; before those of which no frame is sure, and those of which only the
/// function is known.
fn main_report(case: &Case, rests_on: &[usize]) -> Option<usize> {
    let rank = |f: &Fact| ["notice", "failure", "report", "panic"].iter().position(|s| f.text("severity") == Some(s));
    let blamed: HashSet<usize> = case.facts.iter().filter(|f| f.kind == "derived.blamed").filter_map(place).collect();
    let shown = rests_on.iter().copied().filter_map(|at| {
        let fact = case.facts.get(at).filter(|fact| fact.kind.starts_with("log."))?;
        let any =
            |keep: fn(&Frame) -> bool| fact.stacks.iter().filter(|s| !is_stopped(s)).any(|s| s.frames.iter().any(keep));
        let doubt = match (any(|f| f.reliable), any(|f| f.function.is_some())) {
            (true, _) => 0,
            (false, true) => 1,
            (false, false) if fact.text("function").is_some() || blamed.contains(&at) => 2,
            (false, false) => return None,
        };
        Some((rank(fact)?, doubt, at))
    });
    shown.min_by_key(|(rank, doubt, at)| (std::cmp::Reverse(*rank), *doubt, *at)).map(|(.., at)| at)
}

/// The task at the root of a chain of waiters that no report shows.
fn root_task(case: &Case, rests_on: &[usize]) -> Option<usize> {
    let mut facts = rests_on.iter().filter_map(|at| case.facts.get(*at));
    let at = facts.find(|f| f.kind == "derived.chain")?.int("task_at")?;
    let at = usize::try_from(at).ok()?;
    case.facts.get(at).filter(|task| !task.stacks.is_empty()).map(|_| at)
}

/// The fact that a conclusion is about.
fn place(fact: &Fact) -> Option<usize> {
    fact.int("event")?.try_into().ok()
}

fn candidates(blamed: &Fact) -> Vec<Blamed> {
    let Some(Value::List(items)) = blamed.get("candidates") else { return Vec::new() };
    items
        .iter()
        .filter_map(|item| {
            let Value::Record(record) = item else { return None };
            let text = |name: &str| record.get(name).and_then(Value::as_text).map(str::to_owned);
            Some(Blamed {
                function: text("function")?,
                module: text("module"),
                reason: text("reason").unwrap_or_default(),
            })
        })
        .collect()
}

/// Is the function in one of the report's stacks?
fn holds(fact: &Fact, function: Option<&str>) -> bool {
    fact.stacks.iter().any(|s| s.functions().any(|f| function.is_some_and(|wanted| bare(f) == bare(wanted))))
}

/// The stack that holds the blamed function, else the one with the most frames that are sure.
fn shown_stack<'a>(fact: &'a Fact, blamed: Option<&str>) -> Option<&'a Stack> {
    let holds = |s: &Stack| blamed.is_some_and(|b| s.functions().any(|f| bare(f) == bare(b)));
    let stacks = || fact.stacks.iter().map(|s| &**s);
    stacks().find(|s| holds(s)).or_else(|| stacks().filter(|s| !is_stopped(s)).max_by_key(|s| s.functions().count()))
}

/// Is it what a CPU ran that a panic stopped? It tells nothing of the panic.
fn is_stopped(stack: &Stack) -> bool {
    stack.name.starts_with("stopped CPU ")
}

/// The function the registers name, where the printed trace begins with its caller.
fn stopped_at(fact: &Fact, stack: &Stack) -> Option<String> {
    let function = fact.text("function")?;
    let offset = fact.int("offset")?;
    let listed = stack.frames.iter().filter_map(|f| f.function.as_deref()).any(|f| bare(f) == bare(function));
    let module = fact.text("module").map(|m| format!(" [{m}]")).unwrap_or_default();
    (!listed).then(|| format!("{function}+{offset:#x}{module} (program counter)"))
}

/// A function without the suffixes that compilers add.
fn bare(function: &str) -> &str {
    function.split('.').next().unwrap_or(function)
}

fn written(frame: &Frame) -> Option<String> {
    let mut out = frame.function.as_deref()?.to_owned();
    if let Some(offset) = frame.offset {
        out.push_str(&format!("+{offset:#x}"));
    }
    if let Some(module) = &frame.module {
        out.push_str(&format!(" [{module}]"));
    }
    if let Some(line) = &frame.line {
        out.push_str(&format!(" {line}"));
    }
    if frame.inline {
        out.push_str(" (inlined)");
    }
    match frame.context {
        Context::Task => {}
        Context::Irq => out.push_str(" <IRQ>"),
        Context::Softirq => out.push_str(" <SOFTIRQ>"),
        Context::Nmi => out.push_str(" <NMI>"),
        Context::Exception => out.push_str(" <exception>"),
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use facts::Origin;

    use super::*;

    #[test]
    fn the_gravest_report_with_frames_is_shown_with_what_is_concluded_about_it() {
        let stack = |names: &[&str]| {
            let mut stack = Stack::printed("call trace");
            stack.frames = names.iter().map(|n| Frame::printed(*n)).collect();
            Arc::new(stack)
        };
        let event = |severity: &str, names: &[&str]| {
            let mut fact = Fact::new("log.oops", Origin::lines("dmesg", 1, 2)).with("severity", severity);
            fact.stacks = vec![stack(names)];
            fact
        };
        let case = Case {
            facts: vec![
                event("failure", &["a", "b"]),
                event("report", &["c", "d"]).with("pid", 7).with("comm", "x"),
                Fact::new("derived.fault", Origin::derived("dmesg", "")).with("event", 1usize).with("text", "NULL"),
            ],
            ..Case::default()
        };
        let shown = trace(&case, &[0, 1]).expect("two reports hold frames");
        assert_eq!((shown.frames, shown.pid), (vec!["c".to_owned(), "d".to_owned()], Some(7)));
        assert_eq!(shown.fault.as_deref(), Some("NULL"));
        assert!(trace(&case, &[2]).is_none());
    }

    #[test]
    fn what_a_stopped_cpu_ran_is_no_trace_of_the_panic() {
        let panic = |name: &str| {
            let mut fact = Fact::new("log.panic", Origin::lines("dmesg", 1, 9)).with("severity", "panic");
            let mut stack = Stack::printed(name);
            stack.frames = ["handle_IPI", "tasklet_action"].map(Frame::printed).to_vec();
            fact.stacks = vec![Arc::new(stack)];
            Case { facts: vec![fact], ..Case::default() }
        };
        assert!(trace(&panic("call trace"), &[0]).is_some());
        assert!(trace(&panic("stopped CPU 3"), &[0]).is_none());
    }

    #[test]
    fn no_function_is_named_for_what_a_part_of_the_machine_reported() {
        let case = |sign: &str| {
            let mut event = Fact::new("log.machine_check", Origin::lines("dmesg", 1, 9)).with("severity", "panic");
            let mut stack = Stack::printed("call trace");
            stack.frames = ["panic", "do_machine_check", "delay_tsc"].map(Frame::printed).to_vec();
            event.stacks = vec![Arc::new(stack)];
            let of = |kind: &'static str| Fact::new(kind, Origin::derived("dmesg", "")).with("event", 0usize);
            let candidate = BTreeMap::from([("function".to_owned(), Value::from("delay_tsc"))]);
            let blamed = of("derived.blamed").with("candidates", vec![Value::from(candidate)]);
            Case { facts: vec![event, blamed, of("derived.hardware").with("sign", sign)], ..Case::default() }
        };
        assert_eq!(trace(&case("machine-check"), &[0]).unwrap().blamed.len(), 0);
        assert_eq!(trace(&case("bit-flip"), &[0]).unwrap().blamed.len(), 1);
    }
}
