//! What is read from the memory of a dump: first what is cheap and always wanted, then probes.

use std::collections::BTreeMap;

use facts::{Fact, Gap, Origin, Value};
use kernel::Kernel;
use kernel::fault::Oops;
use rayon::prelude::*;

use super::piece::Piece;

/// Reports of the log whose registers are looked up: memory is as the first left it.
const MAX_LOOKED_UP: usize = 2;
/// Reports whose registers tell what a CPU was at: an access that failed, a lock it spins for.
const WITH_REGISTERS: [&str; 3] = ["log.oops", "log.soft_lockup", "log.hard_lockup"];
/// Reports whose traces are compared with the code, and frames of each.
const MAX_TRACES: usize = 4;
const MAX_PAIRS: usize = 4;
/// Slab caches that facts are made of, the largest ones.
const LARGEST_CACHES: usize = 10;

/// Adds the facts of a dump's memory to its piece. A source counts as read when its reader left no gap and found
/// something, or when nothing is missing from the task list: an empty list of modules or devices in a dump that was cut
/// says nothing.
pub(super) fn read(kernel: &Kernel<'_>, piece: &mut Piece) {
    // The readers share what they read: symbols, types, tasks. What the log asks for is searched beside them.
    let (read, found): (Vec<_>, _) =
        rayon::join(|| READERS.par_iter().map(|(_, reader)| reader(kernel)).collect(), || probes(kernel, &piece.facts));
    let whole = |(kinds, (facts, gaps)): (&[&str], &(Vec<Fact>, Vec<Gap>))| {
        kinds.contains(&"mem.task") && !facts.is_empty() && gaps.is_empty()
    };
    let whole = READERS.iter().zip(&read).any(|((kinds, _), found)| whole((kinds, found)));
    for ((kinds, _), found) in READERS.iter().zip(read) {
        add(piece, kinds, whole, found);
    }
    state(kernel, piece);
    piece.sources.insert("mem.register".to_owned());
    piece.facts.extend(found.0);
    piece.gaps.extend(found.1);
}

type Reader = fn(&Kernel<'_>) -> (Vec<Fact>, Vec<Gap>);

/// What is read of every dump, with the kinds of facts that count as read: short lists, and of long ones what stands
/// out. They run side by side; the facts come in this order.
const READERS: [(&[&str], Reader); 15] = [
    (&["mem.module"], |kernel| kernel.module_facts()),
    (
        &[
            "mem.task",
            "mem.lock_wait",
            "mem.lock_cycle",
            "mem.wait",
            "mem.mempool",
            "mem.mempool_sleeper",
            "mem.runq",
            "mem.spin",
        ],
        |kernel| kernel.task_facts(),
    ),
    (&["mem.net_device", "mem.net_device_holder", "mem.net_summary"], |kernel| kernel.net_facts()),
    (
        &["mem.memcg_summary", "mem.memcg_pin", "mem.dead_memcg_caches", "mem.dead_memcg_cache", "mem.kmem_limit"],
        |kernel| kernel.memcg_facts(),
    ),
    (&["mem.memory"], |kernel| kernel.memory_facts()),
    (&["mem.memory_holder"], |kernel| kernel.memory_holder_facts()),
    (&["mem.slab_cache"], |kernel| kernel.slab_facts(LARGEST_CACHES)),
    (&["mem.super_block", "mem.freeze_wait"], |kernel| kernel.super_block_facts()),
    (&["mem.block_device", "mem.block_request"], |kernel| kernel.block_facts()),
    (&["mem.irq_switched_off", "mem.softirq_pending"], |kernel| kernel.interrupt_facts()),
    (&["mem.timer_overdue", "mem.hrtimer_storm"], |kernel| kernel.timer_facts()),
    (&["mem.stale_handler"], |kernel| kernel.stale_facts()),
    (&["mem.rcu_callbacks"], |kernel| kernel.rcu_callback_facts()),
    (&["mem.worker", "mem.worker_pool_stalled"], |kernel| kernel.workqueue_facts()),
    (&["mem.kernel", "mem.sysctl", "mem.livepatch", "mem.task_numbers"], |kernel| kernel.settings_facts()),
];

fn add(piece: &mut Piece, sources: &[&str], whole: bool, (facts, gaps): (Vec<Fact>, Vec<Gap>)) {
    if gaps.is_empty() && (whole || !facts.is_empty()) {
        piece.sources.extend(sources.iter().map(|s| (*s).to_owned()));
    }
    piece.facts.extend(facts);
    piece.gaps.extend(gaps);
}

/// Whether the machine had crashed. Said only when the task list could be read: without it nobody knows.
fn state(kernel: &Kernel<'_>, piece: &mut Piece) {
    let crashed = kernel.crashed();
    let panicked = piece.facts.iter().any(|f| f.kind == "log.panic");
    let known = crashed.is_some() || panicked || piece.facts.iter().any(|f| f.kind == "mem.task");
    if !known {
        return;
    }
    let live = crashed.is_none() && !panicked;
    let quote = match (&crashed, live) {
        (Some(crashed), _) => format!("CPU {} panicked", crashed.cpu),
        (None, true) => "no CPU panicked: the dump is a snapshot of a running kernel".to_owned(),
        (None, false) => "the log has a panic".to_owned(),
    };
    let origin = Origin::derived(piece.member.as_str(), "panic_cpu and the log");
    piece.facts.push(
        Fact::new("dump.state", origin).with("live", live).with_opt("cpu", crashed.map(|c| c.cpu)).quoting(quote),
    );
}

/// A machine may live on for long after a report. Where the memory of the report's stack is another task's now, registers
/// that lead to tasks lead to those that came after.
fn forget_successors(report: &Fact, registers: &mut [Fact]) {
    let Some(pid) = report.int("pid") else { return };
    let other = |fact: &Fact| fact.int("pid").is_some_and(|of| of != pid);
    let stack = |fact: &Fact| matches!(fact.text("register"), Some("RSP" | "SP" | "sp" | "R1"));
    if !registers.iter().any(|fact| stack(fact) && other(fact)) {
        return;
    }
    for fact in registers.iter_mut().filter(|fact| other(fact)) {
        let text = "memory of the report's task, which is gone; another task has it now";
        fact.set("what", text);
        fact.values.remove("pid");
        fact.values.remove("comm");
        let register = fact.text("register").unwrap_or_default().to_owned();
        fact.quote = format!("{register}: {text}");
    }
}

/// Where the link register of a report leads, as the log names it.
fn back(fact: &Fact) -> Option<(&str, Option<&str>, u64)> {
    let within = u64::try_from(fact.int("return_offset")?).ok()?;
    Some((fact.text("return_to")?, fact.text("return_module"), within))
}

/// Functions that left no frame in a printed trace, between its innermost ones.
fn tail_calls(kernel: &Kernel<'_>, report: &Fact) -> Vec<Fact> {
    let frames = report.stacks.first().into_iter().flat_map(|stack| &stack.frames);
    let mut sure = frames
        .filter(|frame| frame.reliable && !frame.inline)
        .map_while(|frame| Some((frame.function.as_deref()?, frame.module.as_deref(), frame.offset?)))
        .peekable();
    // Where the program counter was told, the trace may begin with its caller.
    let own = report.text("function").filter(|own| sure.peek().is_some_and(|first| first.0 != *own));
    let own = own.map(|function| (function, report.text("module"), 0));
    let Some(mut inner) = own.or_else(|| sure.next()) else { return Vec::new() };
    let mut found = Vec::new();
    for outer in sure.take(MAX_PAIRS) {
        // What a function that reports calls is of the report.
        if crate::derive::reports(outer.0) {
            inner = outer;
            continue;
        }
        found.extend(kernel.tail_call_fact((inner.0, inner.1), outer));
        inner = outer;
    }
    found
}

/// Searches that the facts of the log ask for.
fn probes(kernel: &Kernel<'_>, log: &[Fact]) -> (Vec<Fact>, Vec<Gap>) {
    let (mut found, mut gaps) = (Vec::new(), Vec::new());
    let mut looked_up = 0;
    for fact in log {
        let words = crate::derive::list_words(fact);
        if !WITH_REGISTERS.contains(&fact.kind.as_ref()) && words.is_empty() {
            continue;
        }
        // A jump to nowhere has no function: whoever called it left the registers.
        let caller = || fact.stacks.first()?.frames.iter().find(|f| f.reliable && !f.inline)?.function.as_deref();
        let jumped = crate::derive::jump(fact);
        let Some(function) = fact.text("function").or_else(caller).or(jumped.map(|_| "")) else { continue };
        let registers = match fact.get("registers") {
            Some(Value::Record(map)) => Some(map.iter().filter_map(|(name, value)| match value {
                Value::Address(a) => Some((name.as_str(), a.0)),
                _ => None,
            })),
            _ if words.is_empty() => continue,
            _ => None,
        };
        let registers: BTreeMap<&str, u64> = registers.into_iter().flatten().chain(words).collect();
        let faulted = registers.get("CR2").filter(|_| fact.text("class") == Some("stack-overflow"));
        let address = match fact.get("address") {
            Some(Value::Address(a)) => Some(a.0),
            _ => faulted.copied(),
        };
        let sure = fact.stacks.first().into_iter().flat_map(|stack| &stack.frames);
        let sure = sure.filter(|frame| frame.reliable && !frame.inline && frame.function.as_deref() != Some(function));
        let callers =
            sure.map_while(|frame| Some((frame.function.as_deref()?, frame.module.as_deref(), frame.offset?)));
        let mut oops = Oops {
            function,
            callers: callers.take(8).collect(),
            module: fact.text("module"),
            within: fact.int("offset").and_then(|offset| u64::try_from(offset).ok()),
            address,
            registers,
            code: fact.text("code"),
        };
        if fact.kind == "log.oops" && fact.text("function").is_some() {
            found.extend(kernel.fault_fact(&oops));
            if matches!(fact.text("class"), Some("divide-error" | "invalid-opcode")) {
                found.extend(kernel.code_fact(&oops));
            }
        }
        if matches!(fact.kind.as_ref(), "log.soft_lockup" | "log.hard_lockup") && looked_up < MAX_LOOKED_UP {
            found.extend(kernel.loop_fact(&oops));
        }
        // Who called what is no code stands on the stack, whether or not the log's trace is sure of it.
        let called =
            jumped.filter(|_| looked_up < MAX_LOOKED_UP).and_then(|at| kernel.bad_call_fact(&oops, at, back(fact)));
        if let Some(function) = called.as_ref().and_then(|call| call.text("function")).filter(|_| function.is_empty()) {
            oops.function = function;
        }
        if looked_up < MAX_LOOKED_UP && !oops.function.is_empty() {
            looked_up += 1;
            let mut registers = kernel.register_facts(&oops, &crate::derive::meaning);
            forget_successors(fact, &mut registers);
            found.extend(registers);
        }
        found.extend(called);
    }
    for fact in log.iter().filter(|fact| matches!(fact.text("severity"), Some("report" | "panic"))).take(MAX_TRACES) {
        found.extend(tail_calls(kernel, fact));
    }
    if log.iter().any(|f| f.text("class") == Some("stack-corruption")) {
        found.extend(kernel.stack_text_fact());
    }
    if log.iter().any(|f| f.kind == "log.oops") {
        let (facts, missing) = kernel.ip6mr_facts();
        found.extend(facts);
        gaps.extend(missing);
    }
    found.extend(kernel.fault_injection_facts());
    (found, gaps)
}
