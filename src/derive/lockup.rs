//! Lockups across CPUs: the CPUs that wait are victims, the one that does not wait holds them up.

use std::collections::BTreeMap;

use facts::{Fact, Place, Stack, Value};

use super::functions::{self, Helper};
use super::path::{self, Hop};

/// What one CPU did when it was looked at.
struct Cpu {
    waits: Option<&'static str>,
    function: Option<Hop>,
}

/// What is concluded about lockups that belong together.
pub(super) struct Lockup {
    pub(super) events: Vec<usize>,
    pub(super) culprit: Option<u32>,
    pub(super) waiting: Vec<u32>,
    pub(super) function: Option<Hop>,
    pub(super) reason: String,
}

const CLASSES: &[&str] = &["soft-lockup", "hard-lockup", "rcu-stall"];

/// Lockups further apart than this are different incidents; the soft-lockup watchdog repeats within it.
const INCIDENT_NS: i64 = 120_000_000_000;

/// Groups the lockups of the facts and judges each group.
pub(super) fn lockups(facts: &[Fact]) -> Vec<Lockup> {
    incidents(facts, INCIDENT_NS, is_lockup).into_iter().map(|group| judge(facts, group)).collect()
}

fn is_lockup(fact: &Fact) -> bool {
    fact.kind.starts_with("log.") && fact.text("class").is_some_and(|class| CLASSES.contains(&class))
}

/// Positions of the events that belong together: of one boot and member, none later than `apart` after the one before.
pub(super) fn incidents(facts: &[Fact], apart: i64, belongs: impl Fn(&Fact) -> bool) -> Vec<Vec<usize>> {
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for (at, fact) in facts.iter().enumerate() {
        if fact.kind == "log.boot" {
            groups.push(Vec::new());
        }
        if !belongs(fact) {
            continue;
        }
        let joins = groups.last().and_then(|g| g.last()).and_then(|last| facts.get(*last)).is_some_and(|last| {
            let between = fact.time.zip(last.time).and_then(|(now, then)| now.since(&then));
            last.origin.member == fact.origin.member && between.is_none_or(|ns| (0..=apart).contains(&ns))
        });
        match groups.last_mut() {
            Some(group) if joins || group.is_empty() => group.push(at),
            _ => groups.push(vec![at]),
        }
    }
    groups.retain(|g| !g.is_empty());
    groups
}

fn judge(facts: &[Fact], events: Vec<usize>) -> Lockup {
    let mut cpus: BTreeMap<u32, Cpu> = BTreeMap::new();
    for at in &events {
        let Some(fact) = facts.get(*at) else { continue };
        let reported = fact.int("cpu").and_then(|n| u32::try_from(n).ok());
        for (number, stack) in fact.stacks.iter().enumerate() {
            let Some(cpu) = stack.cpu.or(if number == 0 { reported } else { None }) else { continue };
            let way = if number == 0 && Some(cpu) == reported {
                path::interrupted_way(fact, Some(stack))
            } else {
                below_interrupt(stack)
            };
            note(&mut cpus, cpu, &way);
        }
        if fact.stacks.is_empty()
            && let Some(cpu) = reported
            && let Some(place) = path::place(fact)
        {
            note(&mut cpus, cpu, &[place]);
        }
    }
    in_memory(facts, &events, &mut cpus);
    let waiting: Vec<u32> =
        cpus.iter().filter(|(_, c)| c.waits.is_some_and(|w| w != "idle")).map(|(n, _)| *n).collect();
    let running: Vec<(u32, &Cpu)> = cpus.iter().filter(|(_, c)| c.waits.is_none()).map(|(n, c)| (*n, c)).collect();
    let why: Vec<String> = waiting
        .iter()
        .filter_map(|n| cpus.get(n).and_then(|c| c.waits).map(|w| format!("CPU {n} waits for {w}")))
        .take(4)
        .collect();
    let victims = if why.is_empty() { String::new() } else { format!("; {}", why.join(", ")) };
    let (culprit, function, reason) = match running.as_slice() {
        [(cpu, one)] => {
            let name = one.function.as_ref().map_or("code without a name", |h| h.function.as_str());
            let reason = format!("CPU {cpu} waits for nobody: it runs {name}{victims}");
            (Some(*cpu), one.function.clone(), reason)
        }
        [] if waiting.is_empty() => (None, None, "no trace of a CPU that runs kernel code".to_owned()),
        [] if let Some(cpu) = masked(facts, &events) => {
            let function = cpus.get(&cpu).and_then(|c| c.function.clone());
            let place = function.as_ref().map(|hop| format!(" in {}", hop.function)).unwrap_or_default();
            (Some(cpu), function, format!("CPU {cpu} has its interrupts off and waits{place}{victims}"))
        }
        [] => {
            (None, None, format!("every CPU with a trace waits{victims}; the one that holds them up printed no trace"))
        }
        several => {
            (None, None, format!("{}: the traces alone do not tell who holds the others up{victims}", busy(several)))
        }
    };
    Lockup { events, culprit, waiting, function, reason }
}

/// The one CPU of which the NMI watchdog says that its interrupts are off.
fn masked(facts: &[Fact], events: &[usize]) -> Option<u32> {
    let hard = events.iter().filter_map(|at| facts.get(*at)).filter(|fact| fact.text("class") == Some("hard-lockup"));
    let mut cpus = hard.map(|fact| fact.int("cpu").and_then(|n| u32::try_from(n).ok()));
    let first = cpus.next()??;
    cpus.all(|cpu| cpu == Some(first)).then_some(first)
}

/// The NMI watchdog looks for ten seconds, and others may have spoken before it.
const BEFORE_NMI_NS: i64 = 15_000_000_000;
/// Queues of network devices that time out because the CPU of their interrupt is locked up.
const AFTER_NMI_NS: i64 = 60_000_000_000;

/// What only suffers from a CPU with its interrupts off, whichever watchdog spoke first: event, hard lockup, reason.
pub(super) fn victims(facts: &[Fact]) -> Vec<(usize, usize, &'static str)> {
    let mut found = Vec::new();
    for group in incidents(facts, INCIDENT_NS, |fact| is_lockup(fact) || fact.kind == "log.net_watchdog") {
        let Some(cpu) = masked(facts, &group) else { continue };
        let is_hard = |at: &&usize| facts.get(**at).is_some_and(|f| f.text("class") == Some("hard-lockup"));
        let Some((at, hard)) = group.iter().find(is_hard).and_then(|at| Some((*at, facts.get(*at)?))) else { continue };
        let modules: Vec<&str> =
            hard.stacks.iter().flat_map(|stack| &stack.frames).filter_map(|frame| frame.module.as_deref()).collect();
        for event in group.into_iter().filter(|event| *event != at) {
            let Some(fact) = facts.get(event) else { continue };
            let late = fact.time.zip(hard.time).and_then(|(other, hard)| other.since(&hard));
            let why = match &*fact.kind {
                "log.rcu_stall" if is_only(fact, cpu) => "the CPU that stalls RCU has its interrupts off",
                "log.soft_lockup" if fact.int("cpu") != Some(i64::from(cpu)) && waits_for_answer(fact) => {
                    "it waits for the answer of a CPU that has its interrupts off"
                }
                "log.net_watchdog"
                    if late.is_some_and(|ns| (-BEFORE_NMI_NS..=AFTER_NMI_NS).contains(&ns))
                        && fact.text("what") == Some("timeout")
                        && fact.text("driver").is_none_or(|driver| !modules.contains(&driver)) =>
                {
                    "a CPU with its interrupts off answers no device"
                }
                _ => continue,
            };
            found.push((event, at, why));
        }
    }
    found
}

/// Does an RCU stall name that CPU and no other?
fn is_only(fact: &Fact, cpu: u32) -> bool {
    let listed = fact.get("cpus").and_then(Value::as_list).unwrap_or_default();
    match listed {
        [] => fact.int("cpu") == Some(i64::from(cpu)),
        listed => listed.iter().all(|named| named.as_int() == Some(i64::from(cpu))),
    }
}

fn waits_for_answer(fact: &Fact) -> bool {
    waits(&path::interrupted_way(fact, path::main_stack(fact))) == Some(ANSWER)
}

/// A CPU whose run-queue clock is that far behind takes no interrupts, whatever the log says about when.
const STALLED_NS: i64 = 10_000_000_000;

/// CPUs that printed no trace, as memory shows them: all of a machine that panicked because of the lockup, else those
/// that have taken no timer interrupt since.
fn in_memory(facts: &[Fact], events: &[usize], cpus: &mut BTreeMap<u32, Cpu>) {
    let mut of_group = events.iter().filter_map(|at| facts.get(*at));
    let Some(member) = of_group.clone().next().map(|fact| fact.origin.member.as_str()) else { return };
    let panicked = of_group.any(|fact| fact.kind == "log.panic");
    let stalled = |task: &Fact| task.int("cpu").is_some_and(|cpu| lag(facts, cpu) >= STALLED_NS);
    for task in running(facts).filter(|f| f.origin.member == member).filter(|task| panicked || stalled(task)) {
        let cpu = task.int("cpu").and_then(|n| u32::try_from(n).ok());
        if let (Some(cpu), Some(stack)) = (cpu, task.stacks.first()) {
            note(cpus, cpu, &below_interrupt(stack));
        }
    }
}

/// Tasks that memory shows on a CPU.
fn running(facts: &[Fact]) -> impl Iterator<Item = &Fact> {
    facts.iter().filter(|f| f.kind == "mem.task" && is_so(f, "running"))
}

fn is_so(fact: &Fact, name: &str) -> bool {
    fact.get(name) == Some(&Value::Bool(true))
}

/// How far the clock of a CPU that has something to do is behind, in nanoseconds.
fn lag(facts: &[Fact], cpu: i64) -> i64 {
    let of = |f: &&Fact| f.kind == "mem.runq" && f.int("cpu") == Some(cpu) && !is_so(f, "idle");
    facts.iter().find(of).and_then(|f| f.int("lag_ns")).unwrap_or(0)
}

/// A CPU that takes no interrupts, and what it runs.
pub(super) struct Stalled<'a> {
    pub(super) task: &'a Fact,
    pub(super) seconds: i64,
    pub(super) function: Hop,
}

/// CPUs that take no interrupts while they run the kernel for a task. One that was stopped because another panicked
/// does not count: its clock stands too.
pub(super) fn stalled(facts: &[Fact]) -> Vec<Stalled<'_>> {
    running(facts)
        .filter_map(|task| {
            let lag = task.int("cpu").map_or(0, |cpu| lag(facts, cpu));
            let hops = path::hops(task.stacks.first()?);
            if lag < STALLED_NS || path::interrupt_end(&hops) > 0 {
                return None;
            }
            let function = own_function(&hops)?;
            Some(Stalled { task, seconds: lag / 1_000_000_000, function })
        })
        .collect()
}

/// What several CPUs run that do not wait: the functions that most of them are in first.
fn busy(running: &[(u32, &Cpu)]) -> String {
    let mut by_function: Vec<(&str, Vec<u32>)> = Vec::new();
    for (cpu, one) in running {
        let name = one.function.as_ref().map_or("code without a name", |h| h.function.as_str());
        match by_function.iter_mut().find(|(known, _)| *known == name) {
            Some((_, cpus)) => cpus.push(*cpu),
            None => by_function.push((name, vec![*cpu])),
        }
    }
    by_function.sort_by_key(|(_, cpus)| std::cmp::Reverse(cpus.len()));
    let more = by_function.len().saturating_sub(4);
    let one = |(name, cpus): &(&str, Vec<u32>)| match cpus.as_slice() {
        [cpu] => format!("CPU {cpu} runs {name}"),
        cpus => {
            let list: Vec<String> = cpus.iter().take(8).map(u32::to_string).collect();
            let rest = if cpus.len() > 8 { ", ..." } else { "" };
            format!("CPUs {}{rest} run {name}", list.join(", "))
        }
    };
    let mut text = by_function.iter().take(4).map(one).collect::<Vec<_>>().join("; ");
    if more > 0 {
        text.push_str(&format!("; {more} more run other functions"));
    }
    text
}

fn below_interrupt(stack: &Stack) -> Vec<Hop> {
    let hops = path::hops(stack);
    let cut = path::interrupt_end(&hops);
    hops.into_iter().skip(cut).collect()
}

/// The first trace of a CPU counts: later ones are of the same state or of its end.
fn note(cpus: &mut BTreeMap<u32, Cpu>, cpu: u32, way: &[Hop]) {
    if way.is_empty() {
        return;
    }
    cpus.entry(cpu).or_insert_with(|| Cpu { waits: waits(way), function: own_function(way) });
}

/// The innermost function that is no helper of others.
fn own_function(way: &[Hop]) -> Option<Hop> {
    let quiet = [Helper::Reporting, Helper::Library, Helper::Locking, Helper::Counting, Helper::Dispatch];
    way.iter().find(|h| !quiet.iter().any(|group| h.helps(*group))).or(way.first()).cloned()
}

/// Frames in which a wait shows: those at the top.
const DEPTH: usize = 8;

const ANSWER: &str = "another CPU's answer to an interrupt";

/// What a CPU waits for; `None` when it runs.
pub(super) fn waits(way: &[Hop]) -> Option<&'static str> {
    const WAITS: &[(&str, &[&str])] = &[
        (
            ANSWER,
            &[
                "smp_call_function*",
                "csd_lock_wait*",
                "generic_exec_single",
                "on_each_cpu*",
                "native_flush_tlb_others",
                "flush_tlb_others*",
                "native_flush_tlb_multi",
                "text_poke_bp*",
                "multi_cpu_stop",
                "stop_machine*",
                "kick_all_cpus_sync",
            ],
        ),
        ("the RTNL lock", &["rtnl_lock*"]),
        ("an RCU grace period", &["synchronize_*", "wait_rcu_gp*", "rcu_barrier*"]),
        (
            "a lock",
            &[
                "native_queued_spin_lock*",
                "queued_spin_lock_slow*",
                "pv_queued_spin*",
                "*_raw_spin_lock*",
                "raw_spin_lock*",
                "do_raw_spin_lock*",
                "ticket_spin*",
                "queued_read_lock*",
                "queued_write_lock*",
                "raw_read_lock*",
                "raw_write_lock*",
                "mutex_spin_on_owner*",
                "osq_lock",
                "mutex_lock*",
                "rwsem_*",
                "kvm_wait",
                "pv_wait*",
                "arch_spin_lock*",
                "spin_lock*",
                // Before 3.10.
                "read_lock*",
                "write_lock*",
            ],
        ),
        (
            "idle",
            &[
                "intel_idle*",
                "mwait_idle*",
                "default_idle*",
                "native_safe_halt",
                "native_halt",
                "acpi_idle*",
                "cpuidle_*",
                "do_idle",
                "cpu_startup_entry",
                "poll_idle",
                "arch_cpu_idle*",
                "cpu_idle*",
                "pv_native_safe_halt",
                "acpi_safe_halt",
                "cpu_do_idle",
            ],
        ),
    ];
    // A lock's slow path must be at the very top; the others may have inner parts above.
    for (depth, hop) in way.iter().take(DEPTH).enumerate() {
        let bare = hop.function.trim_start_matches('_');
        for (what, patterns) in WAITS {
            let deep = *what == "a lock" && depth > 3;
            if !deep && patterns.iter().any(|p| functions::matches(p, bare)) {
                return Some(what);
            }
        }
        if !hop.helps(Helper::Locking)
            && !hop.helps(Helper::Waiting)
            && !hop.helps(Helper::Library)
            && !hop.helps(Helper::Dispatch)
            && !hop.helps(Helper::Reporting)
        {
            return None;
        }
    }
    None
}

/// First and last line of the events, for the origin.
pub(super) fn lines(facts: &[Fact], events: &[usize]) -> Option<(u64, u64)> {
    let mut range: Option<(u64, u64)> = None;
    for fact in events.iter().filter_map(|at| facts.get(*at)) {
        if let Place::Lines { first, last } = fact.origin.place {
            range = Some(range.map_or((first, last), |(a, b)| (a.min(first), b.max(last))));
        }
    }
    range
}

/// A lockup with what memory tells of the loop that its CPU is in.
pub(super) fn with_loop(facts: &[Fact], lockup: &Fact) -> Option<Fact> {
    if !matches!(&*lockup.kind, "log.soft_lockup" | "log.hard_lockup") || lockup.get("consequence").is_some() {
        return None;
    }
    // Of those that wait for another CPU the chain of waiters tells more.
    let function = lockup.text("function")?;
    if waits(&[Hop::named(function)]).is_some() {
        return None;
    }
    let of = |known: &&Fact| {
        known.kind == "mem.loop"
            && known.origin.member == lockup.origin.member
            && known.text("function") == Some(function)
            && known.int("within") == lockup.int("offset")
    };
    let what = facts.iter().find(of)?.text("what")?;
    Some(lockup.clone().with("consequence", what))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use facts::{Frame, Origin};

    use super::*;

    fn stuck(cpu: u32, functions: &[&str]) -> Fact {
        let mut stack = Stack::printed("call trace");
        stack.cpu = Some(cpu);
        stack.frames = functions.iter().map(|f| Frame::printed(*f)).collect();
        let mut fact =
            Fact::new("log.soft_lockup", Origin::lines("dmesg", 1, 9)).with("class", "soft-lockup").with("cpu", cpu);
        fact.stacks.push(Arc::new(stack));
        fact
    }

    #[test]
    fn the_cpu_that_does_not_wait_is_named_and_the_majority_are_victims() {
        let facts = [
            stuck(0, &["smp_call_function_many_cond", "on_each_cpu_cond_mask", "flush_tlb_mm_range"]),
            stuck(1, &["native_queued_spin_lock_slowpath", "_raw_spin_lock", "list_lru_del"]),
            stuck(3, &["mem_cgroup_iter", "shrink_node", "try_to_free_pages"]),
        ];
        let lockups = lockups(&facts);
        assert_eq!(lockups.len(), 1);
        assert_eq!((lockups[0].culprit, lockups[0].waiting.as_slice()), (Some(3), &[0, 1][..]));
        assert_eq!(lockups[0].function.as_ref().map(|h| h.function.as_str()), Some("mem_cgroup_iter"));
    }

    #[test]
    fn a_loop_that_memory_shows_to_be_endless_is_told() {
        let lockup = |function: &str| stuck(0, &[]).with("function", function).with("offset", 9);
        let known = |function: &str| {
            Fact::new("mem.loop", Origin::derived("dmesg", "code"))
                .with("function", function)
                .with("within", 9)
                .with("what", "it goes round until clk_seq changes")
        };
        let told = |function: &str| {
            let fact = with_loop(&[known(function)], &lockup(function))?;
            fact.text("consequence").map(str::to_owned)
        };
        assert!(told("clk_read").is_some_and(|told| told.contains("clk_seq")));
        assert_eq!(told("smp_call_function_many_cond"), None, "another CPU holds it up");
        assert!(with_loop(&[known("clk_read")], &lockup("clk_read").with("offset", 12)).is_none());
    }

    #[test]
    fn whoever_waits_for_a_cpu_with_its_interrupts_off_is_its_victim() {
        let mut hard = stuck(2, &["_raw_spin_lock_irqsave", "update_blocked_averages", "newidle_balance"])
            .with("class", "hard-lockup");
        hard.kind = "log.hard_lockup".into();
        let stall = |cpus: Vec<i64>| {
            Fact::new("log.rcu_stall", Origin::lines("dmesg", 1, 9)).with("class", "rcu-stall").with("cpus", cpus)
        };
        let facts = [
            stuck(1, &["smp_call_function_many", "native_flush_tlb_others", "flush_tlb_mm_range"]),
            stall(vec![2]),
            stall(vec![2, 3]),
            stuck(3, &["ebt_arp_mt"]),
            hard.clone(),
        ];
        let told: Vec<(usize, usize)> = victims(&facts).into_iter().map(|(event, of, _)| (event, of)).collect();
        assert_eq!(told, [(0, 4), (1, 4)]);
        // Two of them: which of the two holds the other up is not known.
        let other = hard.clone().with("cpu", 5);
        assert!(victims(&[facts[0].clone(), hard.clone(), other]).is_empty());
        let alone = lockups(&[facts[0].clone(), hard]);
        assert_eq!(alone[0].culprit, Some(2));
        assert!(alone[0].reason.contains("interrupts off"), "{}", alone[0].reason);
    }

    #[test]
    fn a_cpu_that_printed_no_trace_is_looked_up_in_the_memory_of_the_machine_that_panicked() {
        let mut facts =
            vec![stuck(0, &["native_queued_spin_lock_slowpath", "_raw_spin_lock", "list_lru_del"]), running(1)];
        assert_eq!(lockups(&facts)[0].culprit, None, "memory may be of a later time");
        facts.push(Fact::new("log.panic", Origin::lines("dmesg", 10, 12)).with("class", "soft-lockup").with("cpu", 0));
        let lockups = lockups(&facts);
        assert_eq!(lockups[0].culprit, Some(1));
        assert_eq!(lockups[0].function.as_ref().map(|h| h.function.as_str()), Some("mem_cgroup_iter"));
    }

    fn running(cpu: u32) -> Fact {
        let mut stack = Stack::printed("task 7");
        let functions = ["stop_this_cpu", "__sysvec_reboot", "sysvec_reboot", "asm_sysvec_reboot", "mem_cgroup_iter"];
        stack.frames = functions.iter().map(|f| Frame::printed(*f)).collect();
        let mut task = Fact::new("mem.task", Origin::memory("dmesg", 0, "struct task_struct"));
        task = task.with("running", true).with("cpu", cpu);
        task.stacks.push(Arc::new(stack));
        task
    }

    #[test]
    fn the_waits_of_old_kernels_are_known() {
        // 2.6.32: the answer to an IPI is waited for in generic_exec_single, tasklist_lock in __write_lock_failed.
        let facts = [
            stuck(1, &["generic_exec_single", "smp_call_function_single", "vcpu_load"]),
            stuck(5, &["__write_lock_failed", "_write_lock_irq", "do_exit"]),
            stuck(20, &["ebt_arp_mt", "ebt_do_table", "ebt_in_hook"]),
        ];
        let lockups = lockups(&facts);
        assert_eq!((lockups[0].culprit, lockups[0].waiting.as_slice()), (Some(20), &[1, 5][..]));
    }

    #[test]
    fn several_that_run_are_told_by_what_they_run() {
        let facts = [
            stuck(4, &["ebt_arp_mt"]),
            stuck(9, &["ebt_arp_mt"]),
            stuck(2, &["_raw_spin_lock"]),
            stuck(1, &["xfs_read"]),
        ];
        let reason = &lockups(&facts)[0].reason;
        assert!(reason.starts_with("CPUs 4, 9 run ebt_arp_mt; CPU 1 runs xfs_read: "), "{reason}");
    }

    #[test]
    fn nobody_is_named_when_all_wait() {
        let facts = [stuck(0, &["native_queued_spin_lock_slowpath", "_raw_spin_lock", "futex_wake"])];
        assert_eq!(lockups(&facts)[0].culprit, None);
    }
}
