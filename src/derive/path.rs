//! The way from the place of a failure outwards: one list of frames for each event, from its place and its stacks.

use std::borrow::Cow;

use facts::{Context, Fact, Frame, Place, Stack};

use super::functions::{self, Groups, Helper};
use super::names;

/// One function on the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hop {
    /// Name without what compilers append.
    pub(super) function: String,
    pub(super) module: Option<String>,
    pub(super) context: Context,
    /// From the registers or the header of the report rather than from a stack.
    pub(super) place: bool,
    /// What its source file says it helps with: the file that a symbolised log prints, else the one known to define it.
    pub(super) by_file: Option<Helper>,
    /// What its name says.
    pub(super) groups: Groups,
}

impl Hop {
    fn of(frame: &Frame) -> Option<Hop> {
        let printed = frame.function.as_deref()?;
        Some(Hop {
            function: names::plain(printed).to_owned(),
            module: frame.module.as_deref().map(str::to_owned),
            context: frame.context,
            place: false,
            by_file: by_file(frame.line.as_deref(), printed),
            groups: functions::groups(printed),
        })
    }

    /// A function that a report names without a trace.
    pub(super) fn named(function: &str) -> Hop {
        Hop {
            function: names::plain(function).to_owned(),
            module: None,
            context: Context::Task,
            place: false,
            by_file: functions::of_defining_file(function),
            groups: functions::groups(function),
        }
    }

    /// Is the function known to help in that way? The file alone decides for locks, counters and the library, whose
    /// functions are never the cause, but not against the report's own word.
    pub(super) fn helps(&self, helper: Helper) -> bool {
        let surely = matches!(helper, Helper::Locking | Helper::Counting | Helper::Library);
        (surely && !self.place && self.by_file == Some(helper)) || self.groups.has(helper)
    }

    /// Does the function, or the file that it is in, help in that way?
    pub(super) fn helps_by_file(&self, helper: Helper) -> bool {
        self.by_file == Some(helper) || self.helps(helper)
    }
}

fn by_file(line: Option<&str>, function: &str) -> Option<Helper> {
    match line {
        Some(line) => functions::of_file(line),
        None => functions::of_defining_file(function),
    }
}

/// Frames that are looked at in one stack: what decides is at the top.
const MAX_HOPS: usize = 256;

/// The function the report itself names. An address in its stead is looked up among the frames of the trace, and what is
/// no name of C is none.
pub(super) fn place(fact: &Fact) -> Option<Hop> {
    let named = fact.text("function")?;
    let digits = named.trim_start_matches('0').strip_prefix('x').filter(|hex| hex.len() >= 8);
    if let Some(address) = digits.and_then(|hex| u64::from_str_radix(hex, 16).ok()) {
        let mut frames = fact.stacks.iter().flat_map(|s| s.frames.iter());
        let hop = frames.find(|f| f.pc.is_some_and(|pc| pc.0 == address)).and_then(Hop::of)?;
        return Some(Hop { place: true, ..hop });
    }
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '$' | '-');
    if !named.chars().all(is_name) {
        return None;
    }
    let named = Hop::named(named);
    Some(Hop { module: fact.text("module").map(str::to_owned), place: true, ..named })
}

/// The reliable frames of a stack; all of them if none is reliable. Inlined functions are left out where the one they
/// are part of is there: another build has them elsewhere, and a log without symbols does not name them.
pub(super) fn hops(stack: &Stack) -> Vec<Hop> {
    // A return address at the very start of a function is behind a call that does not return, the last instruction of
    // the function before it in memory: the name says nothing.
    let first = stack.frames.first().map(std::ptr::from_ref);
    let named =
        |f: &&Frame| f.offset != Some(0) || f.size.is_none() || f.interrupted || Some(std::ptr::from_ref(*f)) == first;
    let take = |keep: fn(&Frame) -> bool| -> Vec<Hop> {
        stack.frames.iter().filter(named).filter(|f| keep(f)).filter_map(Hop::of).take(MAX_HOPS).collect()
    };
    let mut hops = take(|f| f.reliable && !f.inline);
    if hops.is_empty() {
        hops = take(|f| f.reliable);
    }
    if hops.is_empty() { guessed(take(|_| true)) } else { hops }
}

/// The frames of a stack behind the one at a place, sure or not.
pub(super) fn unsure(stack: &Stack, behind: usize) -> Vec<Hop> {
    guessed(stack.frames.iter().skip(behind + 1).filter_map(Hop::of).take(MAX_HOPS).collect())
}

/// Stubs through which compiled code returns or calls since Retpoline; they stand on the stack beside everything.
const THUNKS: &[&str] = &["*_return_thunk", "x86_indirect_*", "*_untrain_ret", "entry_ibpb"];

/// Words on the stack that look like return addresses: without those that are surely not of the way.
fn guessed(mut hops: Vec<Hop>) -> Vec<Hop> {
    hops.retain(|hop| !functions::any(THUNKS, hop.function.trim_start_matches('_')));
    hops.dedup_by(|next, hop| next.function == hop.function);
    hops
}

/// The stack that memory has of the task in a report, from the innermost frame on that the report's trace shows too, where
/// that trace is sure of no frame (`?` before each).
pub(crate) fn remembered(facts: &[Fact], report: &Fact, printed: &Stack) -> Option<Stack> {
    if printed.frames.is_empty() || printed.frames.iter().any(|frame| frame.reliable) {
        return None;
    }
    let is_of = |f: &&Fact| {
        f.kind == "mem.task"
            && f.origin.member == report.origin.member
            && f.int("pid").is_some()
            && f.int("pid") == report.int("pid")
    };
    let listed: Vec<&str> = printed.frames.iter().filter_map(|f| f.function.as_deref()).map(names::plain).collect();
    let shown = |frame: &Frame| {
        let known = frame.function.as_deref().map(names::plain);
        frame.reliable && known.is_some_and(|function| listed.contains(&function))
    };
    let from = |stack: &Stack| {
        let reports = |frame: &Frame| frame.function.as_deref().is_some_and(|f| functions::is(Helper::Reporting, f));
        // What handles the fault is in the dump and not in the report, or in both.
        let at = stack.frames.iter().position(|frame| shown(frame) && !reports(frame))?;
        Some(Stack { frames: stack.frames.get(at..)?.to_vec(), ..Stack::printed(printed.name.clone()) })
    };
    facts.iter().filter(is_of).flat_map(|task| &task.stacks).find_map(|stack| from(stack))
}

/// The first stack that tells how the kernel came to the place: not that of an allocation or of a free. A leak has
/// no other than that of the allocation.
pub(super) fn main_stack(fact: &Fact) -> Option<&Stack> {
    if fact.text("class") == Some("leak") {
        return fact.stacks.first().map(AsRef::as_ref);
    }
    let named = |s: &&Stack| s.frames.iter().any(|f| f.function.is_some());
    let mut present = fact.stacks.iter().map(AsRef::as_ref).filter(|s| !is_history(s)).filter(named);
    if fact.text("class") == Some("lockdep") {
        // The lock validator prints traces of earlier uses too; that of now begins with its own functions.
        let own = |s: &&Stack| s.functions().take(4).any(|f| f.starts_with("dump_") || f.starts_with("show_stack"));
        return present.clone().find(own).or_else(|| present.next());
    }
    present.next()
}

/// A stack of the past: where an object was allocated, freed, where a lock was taken. Or that of a CPU which a panic
/// stopped, whatever it ran.
pub(super) fn is_history(stack: &Stack) -> bool {
    let name = stack.name.to_ascii_lowercase();
    [
        "alloc",
        "freed",
        "free ",
        "creat",
        "stored",
        "last ",
        "took",
        "registered",
        "earlier",
        "kthread",
        "owner",
        "held",
        "stopped",
    ]
    .iter()
    .any(|word| name.contains(word))
}

/// Lines between a report and the panic that carries its trace.
const NEAR: u64 = 4;

/// The event with the trace of the report that follows it at once: with `panic_on_warn` the report itself prints none,
/// and a file system's assertion is followed by the BUG or warning that it ends in.
///
/// A trace that is sure of nothing gives way to the one of memory.
pub(super) fn joined<'a>(facts: &[Fact], fact: &'a Fact, next: Option<&Fact>) -> Cow<'a, Fact> {
    if let Some(printed) = main_stack(fact)
        && let Some(remembered) = remembered(facts, fact, printed)
    {
        let mut joined = fact.clone();
        let main = joined.stacks.iter_mut().find(|stack| std::ptr::eq(stack.as_ref(), printed));
        if let Some(main) = main {
            *main = remembered.into();
        }
        return Cow::Owned(joined);
    }
    let lines = |fact: &Fact| match fact.origin.place {
        Place::Lines { first, last } => Some((first, last)),
        _ => None,
    };
    if !main_stack(fact).is_some_and(has_reliable)
        && let Some(next) = next
        && (next.kind == "log.panic" || (asserts(fact) && matches!(next.kind.as_ref(), "log.oops" | "log.warning")))
        && next.origin.member == fact.origin.member
        && let (Some((_, last)), Some((first, _))) = (lines(fact), lines(next))
        && first.saturating_sub(last) <= NEAR
        && next.stacks.iter().any(|s| has_reliable(s))
    {
        let mut joined = fact.clone();
        // The panic's own trace is the one that begins with it; traces before it are torn off from the report.
        let own =
            next.stacks.iter().find(|s| s.functions().take(4).any(|f| f.starts_with("dump_") || f.ends_with("panic")));
        joined.stacks.retain(|s| is_history(s));
        joined.stacks.extend(own.or(next.stacks.first()).cloned());
        return Cow::Owned(joined);
    }
    Cow::Borrowed(fact)
}

/// Is it a line that says which assertion does not hold?
fn asserts(fact: &Fact) -> bool {
    fact.stacks.is_empty() && fact.quote.to_ascii_lowercase().contains("assertion fail")
}

/// Is the function called more than twice in the trace?
pub(super) fn repeats(fact: &Fact, function: &str) -> bool {
    let function = names::plain(function);
    main_stack(fact).is_some_and(|s| s.functions().filter(|f| names::plain(f) == function).count() > 2)
}

fn has_reliable(stack: &Stack) -> bool {
    stack.functions().next().is_some()
}

/// The way of an event: its place, then the callers.
pub(super) fn way(fact: &Fact) -> Vec<Hop> {
    let frames = main_stack(fact).map(hops).unwrap_or_default();
    let Some(place) = place(fact) else { return frames };
    let same = |hop: &Hop| hop.function == place.function;
    // The stack may begin in the report's own functions and reach the place below them.
    let rest = match frames.iter().position(same) {
        Some(at) => at + 1,
        // What stands above the exception's entry is the handling of it.
        None => frames.iter().rposition(|h| is_exception_entry(&h.function)).map_or(0, |at| at + 1),
    };
    let mut way = vec![place];
    way.extend(frames.into_iter().skip(rest));
    // Where the trace is cut off, the link register still names who called a function that only helps.
    const CALLED: [Helper; 4] = [Helper::Library, Helper::Locking, Helper::Counting, Helper::Container];
    if way.len() == 1
        && main_stack(fact).is_none()
        && CALLED.iter().any(|helper| way[0].helps(*helper))
        && let Some(caller) = fact.text("return_to")
        && caller != way[0].function
    {
        way.push(Hop::named(caller));
    }
    way
}

/// Entry of an exception: what stands below in the trace is what it interrupted.
fn is_exception_entry(function: &str) -> bool {
    let bare = function.trim_start_matches('_');
    [
        "asm_exc_*",
        "invalid_op",
        "page_fault",
        "async_page_fault",
        "general_protection",
        "el1_sync*",
        "el1h_64_sync*",
        "el1_dbg",
        "dabt_svc",
        "und_svc",
        "stack_segment",
        "divide_error",
        "error_entry",
        "program_check_common*",
    ]
    .iter()
    .any(|p| functions::matches(p, bare))
}

/// Entry of an interrupt.
pub(super) fn is_interrupt_entry(function: &str) -> bool {
    let bare = function.trim_start_matches('_');
    [
        "*apic_timer_interrupt*",
        "sysvec_*",
        "asm_sysvec_*",
        "asm_common_interrupt",
        "common_interrupt",
        "ret_from_intr",
        "el1_irq*",
        "el1h_64_irq*",
        "irq_svc",
        "reschedule_interrupt",
        "call_function_*interrupt",
        "timer_interrupt_entry",
        "nmi",
        "asm_exc_nmi",
        "do_nmi",
        "default_do_nmi",
        "exc_nmi",
        "end_repeat_nmi",
        "first_nmi",
        "asm_exc_machine_check",
        "exc_machine_check",
        "machine_check",
        "irq_work_interrupt",
        "ret_from_exception",
        "decrementer_common*",
        "hardware_interrupt_common*",
        "do_ext_irq",
        "do_io_irq",
        "ext_int_handler",
        "io_int_handler",
        "handle_riscv_irq",
        "plat_irq_dispatch",
        "handle_loongarch_irq",
    ]
    .iter()
    .any(|p| functions::matches(p, bare))
}

/// How many frames the innermost interrupt takes, when it is one that only looks at what goes on: a timer's tick, a
/// watchdog, an NMI. What follows is what it interrupted. A stack that was taken from the registers of the interrupted
/// code has no such frames; an interrupt further out in it is what the code itself runs in.
pub(super) fn interrupt_end(hops: &[Hop]) -> usize {
    let Some(first) = hops.iter().position(|h| is_interrupt_entry(&h.function)) else { return 0 };
    if !hops.iter().take(first + 1).any(|h| looks_on(&h.function)) {
        return 0;
    }
    first + hops.iter().skip(first).take_while(|h| is_interrupt_entry(&h.function)).count()
}

/// A function by which the kernel looks at a CPU that does not come on.
fn looks_on(function: &str) -> bool {
    functions::any(
        &[
            "hrtimer_interrupt",
            "tick_*",
            "update_process_times",
            "watchdog_*",
            "rcu_*_clock_irq*",
            "rcu_check_callbacks*",
            "rcu_pending*",
            "rcu_dump_cpu_stacks*",
            "print_cpu_stall*",
            "check_cpu_stall*",
            "nmi_*",
            "*_nmi",
            "nmi",
            "perf_event_nmi*",
            "dump_stack*",
            "dump_backtrace",
            "show_stack*",
            "show_regs*",
            "sched_show_task*",
            "dump_cpu_task",
            "handle_backtrace",
            "cpu_backtrace",
            "do_handle_IPI",
            "stop_this_cpu",
            "crash_nmi_callback",
            "kdump_nmi_callback",
            "ipi_cpu_stop",
            "local_cpu_stop",
            "ipi_cpu_crash_stop",
            "arch_timer_handler*",
        ],
        function.trim_start_matches('_'),
    )
}

/// The way of a CPU that did not come on: what the timer or the NMI interrupted.
pub(super) fn interrupted_way(fact: &Fact, stack: Option<&Stack>) -> Vec<Hop> {
    let frames = stack.map(hops).unwrap_or_default();
    let place = place(fact).filter(|p| !p.helps(Helper::Reporting));
    let end = interrupt_end(&frames);
    // Where the trace does not show the entry of the interrupt, what the registers name is below it.
    let below = |place: &Hop| frames.iter().rposition(|h| h.function == place.function);
    let unseen = || frames.first().is_some_and(|h| h.helps(Helper::Reporting) || looks_on(&h.function));
    let cut = match end {
        0 if unseen() => place.as_ref().and_then(below).unwrap_or(0),
        _ => end,
    };
    let mut way: Vec<Hop> = Vec::new();
    let rest: Vec<Hop> = frames.into_iter().skip(cut).collect();
    if let Some(place) = place
        && !rest.iter().any(|h| h.function == place.function)
    {
        way.push(place);
    }
    way.extend(rest);
    way
}
