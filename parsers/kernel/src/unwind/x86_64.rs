//! Unwinding on x86-64: ORC where the kernel has it, else call-frame information of a vmlinux, else frame pointers,
//! else a scan.

use facts::{Ended, Found};

use super::cfi::{Cfi, Known};
use super::orc::{Entry, Kind, Orc, Reg};
use super::{
    General, MAX_FRAMES, MAX_STACK_SWITCHES, Passed, RawFrame, Registers, StackBounds, Target, Trace, frame_pointer,
    scan,
};

/// Bytes of `struct pt_regs`.
pub const PT_REGS: u64 = 168;
/// Farther than this from the stack pointer is another stack: 32 KiB, the largest kernel stack.
const ONE_STACK: u64 = 32 * 1024;

/// Reads a `pt_regs`. The words of cs and ss are masked: since 6.9 (ee63291aa848 "x86/ptrace: Cleanup the
/// definition of the pt_regs structure") they share theirs with FRED bits.
pub fn pt_regs(target: &dyn Target, address: u64) -> Option<Registers> {
    let mut bytes = [0; PT_REGS as usize];
    if !target.read(address, &mut bytes) {
        return None;
    }
    let word = |n: usize| {
        bytes.get(8 * n..8 * n + 8).and_then(|b| b.try_into().ok()).map(u64::from_le_bytes).unwrap_or_default()
    };
    let general = std::array::from_fn(word);
    Some(Registers {
        pc: word(16),
        sp: word(19),
        fp: word(4),
        user: word(17) & 3 == 3,
        general: Some(General::X86_64(general)),
    })
}

/// From what point to unwind.
#[derive(Clone, Debug)]
pub struct Start {
    /// Registers there.
    pub registers: Registers,
    /// Whether the program counter is the next instruction.
    pub exact: bool,
    /// The stack of the task.
    pub stack: Option<StackBounds>,
    /// The task whose stack it is.
    pub task: Option<u64>,
    /// r15, r14, r13, r12 and rbx of a task that sleeps.
    pub saved: [Option<u64>; 5],
}

/// The tables there are of a kernel's code.
#[derive(Clone, Copy, Default)]
pub struct Tables<'t> {
    /// The kernel's own.
    pub orc: Option<&'t Orc>,
    /// Those of a vmlinux, used when the kernel has none, and where it has none: objtool gives up on functions.
    pub cfi: Option<&'t Cfi>,
}

#[derive(Clone)]
struct State {
    pc: u64,
    sp: u64,
    bp: Option<u64>,
    exact: bool,
    /// All registers, known only at the start and right behind a `pt_regs`.
    registers: Option<Box<Registers>>,
    found: Found,
    switches: usize,
    passed: Passed,
    /// What call-frame information follows; absent where it is not used.
    known: Option<Box<Known>>,
}

impl State {
    fn register(&self, n: usize) -> Option<u64> {
        match &self.registers.as_ref()?.general {
            Some(General::X86_64(values)) => values.get(n).copied(),
            _ => None,
        }
    }

    fn frame(&self) -> RawFrame {
        let interrupted = self.registers.clone().filter(|r| r.general.is_some());
        RawFrame { pc: self.pc, sp: self.sp, found: self.found, exact: self.exact, interrupted }
    }
}

enum Next {
    Frame(State),
    End,
    Broken(String),
}

/// Unwinds from `start` to the end, or as far as it goes.
pub fn unwind(target: &dyn Target, tables: Tables<'_>, start: &Start) -> Trace {
    let Tables { orc, cfi } = tables;
    if start.registers.user {
        return Trace { frames: Vec::new(), ended: Ended::Properly };
    }
    let mut state = State {
        pc: start.registers.pc,
        sp: start.registers.sp,
        bp: Some(start.registers.fp),
        exact: start.exact,
        registers: Some(Box::new(start.registers.clone())),
        found: Found::Registers,
        switches: 0,
        passed: Passed::default(),
        known: cfi.filter(|_| orc.is_none()).map(|_| Box::new(Known::of(&start.registers).with(start.saved))),
    };
    let mut frames = vec![state.frame()];
    let mut broken = None;
    loop {
        if frames.len() >= MAX_FRAMES {
            return Trace { frames, ended: Ended::Broken(format!("more than {MAX_FRAMES} frames")) };
        }
        let next = match (orc, cfi) {
            (Some(orc), _) => orc_step(target, orc, start.task, &state),
            (None, Some(cfi)) => cfi_step(target, cfi, start, &state),
            (None, None) => Next::Broken("the kernel has no ORC tables".to_owned()),
        };
        let next = match (next, orc.and(cfi)) {
            (Next::Broken(why), Some(cfi)) => match cfi_step(target, cfi, start, &with_known(&state)) {
                Next::Broken(_) => Next::Broken(why),
                next => next,
            },
            (next, _) => next,
        };
        let next = match next {
            Next::Broken(why) => {
                let stack = start.stack.filter(|s| s.contains(state.sp)).or_else(|| target.stack_at(state.sp));
                match frame_pointer_step(target, start, &state, stack, orc.is_none()) {
                    Some(next) => {
                        if orc.is_some() && !target.keeps_frame_pointer(state.pc) {
                            broken.get_or_insert(why);
                        }
                        next
                    }
                    None => {
                        let ended = scan_on(target, orc, start.task, &state, stack, &mut frames, &why);
                        return Trace { frames, ended };
                    }
                }
            }
            next => next,
        };
        match next {
            Next::Frame(next) => {
                frames.push(next.frame());
                state = next;
            }
            Next::End => return Trace { frames, ended: broken.map_or(Ended::Properly, Ended::Broken) },
            Next::Broken(why) => return Trace { frames, ended: Ended::Broken(why) },
        }
    }
}

/// Registers that an interrupt or exception of a kernel without ORC left above the call of its handler: at the stack
/// pointer itself, or, when the handler runs on the interrupt stack, 32 bytes below where the word there points to.
/// Believed only with the segments and flags a processor pushes.
fn entry_registers(target: &dyn Target, sp: u64) -> Option<Registers> {
    let there = target.word(sp).map(|word| word.wrapping_sub(32));
    [Some(sp), there].into_iter().flatten().find_map(|at| {
        let word = |n: u64| target.word(at.wrapping_add(8 * n));
        let (pc, cs, flags, ss) = (word(16)?, word(17)?, word(18)?, word(20)?);
        let kernel = cs == 0x10 && matches!(ss, 0 | 0x18) && flags & 2 == 2 && target.is_text(pc);
        let user = matches!(cs, 0x33 | 0x23) && ss == 0x2b && flags & 0x202 == 0x202;
        (kernel || user).then(|| pt_regs(target, at)).flatten()
    })
}

fn frame_pointer_step(
    target: &dyn Target,
    start: &Start,
    state: &State,
    stack: Option<StackBounds>,
    alone: bool,
) -> Option<Next> {
    let mut passed = state.passed;
    if alone
        && !state.exact
        && let Some(registers) = entry_registers(target, state.sp)
    {
        return Some(match after_registers(state, registers) {
            Next::Frame(next) => Next::Frame(State { found: Found::FramePointer, ..next }),
            end => end,
        });
    }
    if alone
        && state.exact
        && let Some(place) = frame_pointer::unframed(target, state.pc, state.sp)
    {
        let pc = target.original_return(start.task, target.word(place)?, place, &mut passed);
        return Some(Next::Frame(State {
            pc,
            sp: place + 8,
            exact: false,
            registers: None,
            found: Found::FramePointer,
            passed,
            known: known_by(state, place + 8, state.bp),
            ..state.clone()
        }));
    }
    let bp = state.bp?;
    // 4.9 to 4.13 mark a pt_regs on the stack by an odd frame pointer (946c191161ce "x86/entry/unwind: Create
    // stack frames for saved interrupt registers").
    if bp & 1 == 1 {
        let registers = pt_regs(target, bp - 1)?;
        return Some(after_registers(state, registers));
    }
    let Some((pc, next, sp)) = frame_pointer::caller(target, bp, state.sp, stack) else {
        // Below the registers of the entry from user mode, or the start of a kernel thread: the outermost function
        // pushed whatever rbp was.
        return at_the_top(state, stack).then_some(Next::End);
    };
    let pc = target.original_return(start.task, pc, bp + 8, &mut passed);
    Some(Next::Frame(State {
        pc,
        sp,
        bp: Some(next),
        exact: false,
        registers: None,
        found: Found::FramePointer,
        switches: state.switches,
        passed,
        known: known_by(state, sp, Some(next)),
    }))
}

/// Whether nothing but the registers of the entry into the kernel can lie above a frame.
fn at_the_top(state: &State, stack: Option<StackBounds>) -> bool {
    stack.is_some_and(|s| s.high.saturating_sub(state.sp) <= PT_REGS + 64)
}

/// What call-frame information may count from behind a frame that was found without it.
fn known_by(state: &State, sp: u64, bp: Option<u64>) -> Option<Box<Known>> {
    let registers = Registers { pc: 0, sp, fp: bp?, user: false, general: None };
    state.known.as_ref().map(|_| Box::new(Known::of(&registers)))
}

/// Goes on at interrupted registers; user mode ends a trace.
fn after_registers(state: &State, registers: Registers) -> Next {
    if registers.user {
        return Next::End;
    }
    Next::Frame(State {
        pc: registers.pc,
        sp: registers.sp,
        bp: Some(registers.fp),
        exact: true,
        known: state.known.as_ref().map(|_| Box::new(Known::of(&registers))),
        registers: Some(Box::new(registers)),
        found: state.found,
        switches: state.switches,
        passed: state.passed,
    })
}

/// A call through a bad pointer, or into code that ORC does not describe, left nothing but its return address on the
/// stack.
fn bad_call(target: &dyn Target, state: &State, found: Found) -> Next {
    match target.word(state.sp) {
        Some(pc) if target.is_text(pc) && scan::follows_call(target, pc) => Next::Frame(State {
            pc,
            sp: state.sp.wrapping_add(8),
            bp: state.bp,
            exact: false,
            registers: None,
            found,
            switches: state.switches,
            passed: state.passed,
            known: known_by(state, state.sp.wrapping_add(8), state.bp),
        }),
        _ => Next::Broken(format!("{:#x} is no code of the kernel", state.pc)),
    }
}

/// A frame that ORC found, with the registers that call-frame information begins with.
fn with_known(state: &State) -> State {
    let registers = match &state.registers {
        Some(registers) => (**registers).clone(),
        None => Registers { pc: state.pc, sp: state.sp, fp: state.bp.unwrap_or(0), user: false, general: None },
    };
    State { known: Some(Box::new(Known::of(&registers))), ..state.clone() }
}

fn cfi_step(target: &dyn Target, cfi: &Cfi, start: &Start, state: &State) -> Next {
    if !target.is_text(state.pc) {
        return bad_call(target, state, Found::Cfi);
    }
    let known = match &state.known {
        Some(known) => known,
        None => return Next::Broken("no registers are known".to_owned()),
    };
    let at = if state.exact { state.pc } else { state.pc.wrapping_sub(1) };
    let caller = match cfi.caller(target, at, known) {
        Ok(caller) => caller,
        Err(why) => return Next::Broken(why),
    };
    let Some(pc) = caller.pc else { return Next::End };
    // Entry code describes the registers of user mode as those of its caller.
    if pc >> 63 == 0 {
        let ends = pc == 0 || caller.exact || at_the_top(state, start.stack);
        return if ends { Next::End } else { Next::Broken(format!("{pc:#x} is no code of the kernel")) };
    }
    let Some(sp) = caller.known.sp().filter(|sp| sp % 8 == 0) else {
        return Next::Broken(format!("the stack pointer behind {at:#x} is not known"));
    };
    let mut next = State {
        pc,
        sp,
        bp: caller.known.bp(),
        exact: caller.exact,
        registers: None,
        found: Found::Cfi,
        switches: state.switches,
        passed: state.passed,
        known: Some(Box::new(caller.known)),
    };
    if let Some(place) = caller.place.filter(|_| !caller.exact) {
        next.pc = target.original_return(start.task, pc, place, &mut next.passed);
    }
    if next.exact {
        next.registers = caller.known.registers(pc).map(Box::new);
    }
    switched(state, next)
}

/// A frame whose stack pointer went back, or far away, lies on another stack.
fn switched(state: &State, mut next: State) -> Next {
    if next.sp <= state.sp || next.sp - state.sp > ONE_STACK {
        next.switches += 1;
        if next.switches > MAX_STACK_SWITCHES {
            return Next::Broken("goes round between stacks".to_owned());
        }
    }
    Next::Frame(next)
}

fn orc_step(target: &dyn Target, orc: &Orc, task: Option<u64>, state: &State) -> Next {
    if !target.is_text(state.pc) {
        return match state.exact {
            true => bad_call(target, state, Found::Orc),
            false => Next::Broken(format!("{:#x} is no code of the kernel", state.pc)),
        };
    }
    let at = if state.exact { state.pc } else { state.pc.wrapping_sub(1) };
    let Some(entry) = orc.lookup(target, at) else {
        return Next::Broken(format!("no ORC entry for {at:#x}"));
    };
    match entry.kind {
        Kind::End => return Next::End,
        // The first instruction of a retpoline thunk: entered by a call or a jump, its caller's return address on top.
        Kind::Undefined if state.exact => {
            return match bad_call(target, state, Found::Orc) {
                Next::Broken(_) => Next::Broken(format!("ORC knows nothing of {at:#x}")),
                next => next,
            };
        }
        Kind::Undefined => return Next::Broken(format!("ORC knows nothing of {at:#x}")),
        _ => {}
    }
    let Some(base) = base(target, &entry, state) else {
        return Next::Broken(format!("the register ORC counts from at {at:#x} is not known, or its word is absent"));
    };
    // 15 registers before the part that the processor pushes.
    let regs_at = match entry.kind {
        Kind::RegsPartial => base.wrapping_sub(128),
        _ => base,
    };
    let mut next = match entry.kind {
        Kind::Regs => match pt_regs(target, regs_at) {
            Some(registers) => match after_registers(state, registers) {
                Next::Frame(next) => next,
                end => return end,
            },
            None => return Next::Broken(format!("the registers at {regs_at:#x} are not in the dump")),
        },
        Kind::RegsPartial => {
            let words = (target.word(base), target.word(base.wrapping_add(8)), target.word(base.wrapping_add(24)));
            let (Some(pc), Some(cs), Some(sp)) = words else {
                return Next::Broken(format!("the registers at {base:#x} are not in the dump"));
            };
            if cs & 3 == 3 {
                return Next::End;
            }
            let bp = caller_bp(target, &entry, base, state);
            State { pc, sp, bp, exact: true, registers: state.registers.clone(), ..state.clone() }
        }
        _ => {
            let Some(pc) = target.word(base.wrapping_sub(8)) else {
                return Next::Broken(format!("the return address at {:#x} is not in the dump", base.wrapping_sub(8)));
            };
            let mut passed = state.passed;
            let pc = target.original_return(task, pc, base.wrapping_sub(8), &mut passed);
            let bp = caller_bp(target, &entry, base, state);
            State { pc, sp: base, bp, exact: false, registers: None, passed, known: None, ..state.clone() }
        }
    };
    next.found = Found::Orc;
    next.exact = entry.signal;
    if next.sp % 8 != 0 {
        return Next::Broken(format!("the stack pointer {:#x} is not aligned", next.sp));
    }
    if next.pc == 0 && !next.exact {
        return Next::Broken("a return address is 0".to_owned());
    }
    switched(state, next)
}

fn base(target: &dyn Target, entry: &Entry, state: &State) -> Option<u64> {
    let offset = i64::from(entry.sp_offset);
    match entry.sp_reg {
        Reg::Sp => Some(state.sp.wrapping_add_signed(offset)),
        Reg::Bp => Some(state.bp?.wrapping_add_signed(offset)),
        Reg::SpIndirect => Some(target.word(state.sp)?.wrapping_add_signed(offset)),
        Reg::BpIndirect => target.word(state.bp?.wrapping_add_signed(offset)),
        Reg::R13 => state.register(2),
        Reg::R10 => state.register(7),
        Reg::Ax => state.register(10),
        Reg::Dx => state.register(12),
        Reg::Di => state.register(14),
        Reg::Undefined | Reg::PrevSp => None,
    }
}

fn caller_bp(target: &dyn Target, entry: &Entry, base: u64, state: &State) -> Option<u64> {
    match entry.bp_reg {
        Reg::PrevSp => target.word(base.wrapping_add_signed(entry.bp_offset.into())),
        Reg::Bp => target.word(state.bp?.wrapping_add_signed(entry.bp_offset.into())),
        _ => state.bp,
    }
}

/// Marks what looks like return addresses, up to the first from which ORC leads to a proper end: from there on
/// the frames are exact again. So they are behind registers that an interrupt or exception left on the way, from which
/// ORC leads to an end too.
fn scan_on(
    target: &dyn Target,
    orc: Option<&Orc>,
    task: Option<u64>,
    state: &State,
    stack: Option<StackBounds>,
    frames: &mut Vec<RawFrame>,
    why: &str,
) -> Ended {
    let broken = Ended::Broken(why.to_owned());
    let Some(stack) = stack else { return broken };
    let blank = State { registers: None, bp: None, exact: false, found: Found::Scan, known: None, ..state.clone() };
    let resume = |from: State| -> Option<Vec<RawFrame>> {
        let (orc, mut at, mut rest) = (orc?, from, Vec::new());
        rest.push(at.frame());
        while rest.len() < MAX_FRAMES {
            match orc_step(target, orc, task, &at) {
                Next::Frame(next) => {
                    rest.push(next.frame());
                    at = next;
                }
                Next::End => return Some(rest),
                Next::Broken(_) => return None,
            }
        }
        None
    };
    let mut saved = scan::saved_registers(target, state.sp, stack.high).into_iter().peekable();
    let behind_registers = |at: u64| {
        let registers = pt_regs(target, at).filter(|registers| !registers.user)?;
        let (pc, sp, fp) = (registers.pc, registers.sp, registers.fp);
        resume(State { pc, sp, bp: Some(fp), exact: true, registers: Some(Box::new(registers)), ..blank.clone() })
    };
    for (slot, pc) in scan::return_addresses(target, state.sp, stack.high) {
        while let Some(at) = saved.next_if(|at| at + PT_REGS <= slot) {
            if let Some(mut rest) = behind_registers(at) {
                frames.append(&mut rest);
                return broken;
            }
        }
        if frames.len() >= MAX_FRAMES {
            break;
        }
        let at = State { pc, sp: slot + 8, ..blank.clone() };
        match resume(at.clone()).filter(|rest| rest.len() > 1) {
            Some(mut rest) => {
                frames.append(&mut rest);
                return broken;
            }
            None => frames.push(at.frame()),
        }
    }
    if let Some(mut rest) = saved.find_map(behind_registers) {
        frames.append(&mut rest);
    }
    broken
}

/// The saved context of a task that is not running: `struct inactive_task_frame` at `thread.sp`, since 4.9
/// (0100301bfdf5 "sched/x86: Rewrite the switch_to() code"). Between 5.2 and 5.9 a flags word precedes it
/// (64604d54d311 "sched/x86_64: Don't save flags on context switch" removed it): the layout whose return address
/// is code is the right one.
///
/// Before 4.9 (`pushed` false) only rbp and flags are there, the code address is implied: the trace begins with the
/// caller of `__schedule`.
pub fn sleeping(
    target: &dyn Target,
    sp: u64,
    pushed: bool,
    stack: Option<StackBounds>,
    task: Option<u64>,
) -> Option<Start> {
    if stack.is_some_and(|s| !s.contains(sp)) {
        return None;
    }
    if !pushed {
        let (pc, fp, sp) = frame_pointer::caller(target, target.word(sp)?, sp, stack)?;
        let registers = Registers { pc, sp, fp, user: false, general: None };
        return Some(Start { registers, exact: false, stack, task, saved: [None; 5] });
    }
    for flags_word in [0, 8] {
        let frame = sp.wrapping_add(flags_word);
        let (bp, pc) = (target.word(frame.wrapping_add(40))?, target.word(frame.wrapping_add(48))?);
        if !target.is_text(pc) {
            continue;
        }
        let registers = Registers { pc, sp: frame.wrapping_add(56), fp: bp, user: false, general: None };
        let saved: [Option<u64>; 5] = std::array::from_fn(|n| target.word(frame.wrapping_add(8 * n as u64)));
        // A task that never ran starts at the first instruction of ret_from_fork.
        let exact = target.function_start(pc) == Some(pc);
        return Some(Start { registers, exact, stack, task, saved });
    }
    None
}
