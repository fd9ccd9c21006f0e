//! The way from the place of a failure outwards: one list of frames for each event, from its place and its stacks.

use std::borrow::Cow;

use facts::{Context, Fact, Frame, Place, Stack};

use super::helpers::{self, Helper};
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
}

impl Hop {
    fn of(frame: &Frame) -> Option<Hop> {
        Some(Hop {
            function: names::plain(frame.function.as_deref()?).to_owned(),
            module: frame.module.clone(),
            context: frame.context,
            place: false,
        })
    }
}

/// Frames that are looked at in one stack: what decides is at the top.
const MAX_HOPS: usize = 256;

/// The function the report itself names.
pub(super) fn place(fact: &Fact) -> Option<Hop> {
    Some(Hop {
        function: names::plain(fact.text("function")?).to_owned(),
        module: fact.text("module").map(str::to_owned),
        context: Context::Task,
        place: true,
    })
}

/// The reliable frames of a stack; all of them if none is reliable.
pub(super) fn hops(stack: &Stack) -> Vec<Hop> {
    let reliable: Vec<Hop> = stack.frames.iter().filter(|f| f.reliable).filter_map(Hop::of).take(MAX_HOPS).collect();
    if reliable.is_empty() { stack.frames.iter().filter_map(Hop::of).take(MAX_HOPS).collect() } else { reliable }
}

/// The first stack that tells how the kernel came to the place: not that of an allocation or of a free. A leak has
/// no other than that of the allocation.
pub(super) fn main_stack(fact: &Fact) -> Option<&Stack> {
    if fact.text("class") == Some("leak") {
        return fact.stacks.first().map(AsRef::as_ref);
    }
    let mut present = fact.stacks.iter().map(AsRef::as_ref).filter(|s| !is_history(s) && !s.frames.is_empty());
    if fact.text("class") == Some("lockdep") {
        // The lock validator prints traces of earlier uses too; that of now begins with its own functions.
        let own = |s: &&Stack| s.functions().take(4).any(|f| f.starts_with("dump_") || f.starts_with("show_stack"));
        return present.clone().find(own).or_else(|| present.next());
    }
    present.next()
}

/// A stack of the past: where an object was allocated, freed, where a lock was taken.
pub(super) fn is_history(stack: &Stack) -> bool {
    let name = stack.name.to_ascii_lowercase();
    ["alloc", "freed", "free ", "creat", "stored", "last ", "took", "registered", "earlier", "kthread", "owner", "held"]
        .iter()
        .any(|word| name.contains(word))
}

/// Lines between a report and the panic that carries its trace.
const NEAR: u64 = 4;

/// The event with the trace of the panic that follows it at once: with `panic_on_warn` the report itself prints none.
pub(super) fn joined<'a>(fact: &'a Fact, next: Option<&Fact>) -> Cow<'a, Fact> {
    let lines = |fact: &Fact| match fact.origin.place {
        Place::Lines { first, last } => Some((first, last)),
        _ => None,
    };
    if main_stack(fact).is_none()
        && let Some(next) = next
        && next.kind == "log.panic"
        && next.origin.member == fact.origin.member
        && let (Some((_, last)), Some((first, _))) = (lines(fact), lines(next))
        && first.saturating_sub(last) <= NEAR
        && main_stack(next).is_some()
    {
        let mut joined = fact.clone();
        joined.stacks.extend(next.stacks.iter().cloned());
        return Cow::Owned(joined);
    }
    Cow::Borrowed(fact)
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
    .any(|p| helpers::matches(p, bare))
}

/// Entry of an interrupt.
pub(super) fn is_interrupt_entry(function: &str) -> bool {
    let bare = function.trim_start_matches('_');
    [
        "*apic_timer_interrupt",
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
        "end_repeat_nmi",
        "first_nmi",
        "irq_work_interrupt",
        "ret_from_exception",
        "decrementer_common*",
        "hardware_interrupt_common*",
    ]
    .iter()
    .any(|p| helpers::matches(p, bare))
}

/// How many frames the innermost interrupt takes: what follows is what it interrupted.
pub(super) fn interrupt_end(hops: &[Hop]) -> usize {
    let Some(first) = hops.iter().position(|h| is_interrupt_entry(&h.function)) else { return 0 };
    first + hops.iter().skip(first).take_while(|h| is_interrupt_entry(&h.function)).count()
}

/// The way of a CPU that did not come on: what the timer or the NMI interrupted.
pub(super) fn interrupted_way(fact: &Fact, stack: Option<&Stack>) -> Vec<Hop> {
    let frames = stack.map(hops).unwrap_or_default();
    let place = place(fact).filter(|p| !helpers::is(Helper::Reporting, &p.function));
    let cut = interrupt_end(&frames);
    let mut way: Vec<Hop> = Vec::new();
    let rest: Vec<Hop> = frames.into_iter().skip(cut).collect();
    if let Some(place) = place
        && rest.first().is_none_or(|h| h.function != place.function)
        && !rest.iter().any(|h| h.function == place.function)
    {
        way.push(place);
    }
    way.extend(rest);
    way
}
