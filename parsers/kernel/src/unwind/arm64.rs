//! Unwinding on arm64: the chain of frame records that every kernel function but leaf ones builds.
//!
//! A record is two words at x29: the caller's x29 and the return address. Exceptions link their `pt_regs` into the
//! chain through a record inside it; where the chain ends differs by era, see [`Layout`].

use facts::{Ended, Found};

use super::{General, MAX_FRAMES, MAX_STACK_SWITCHES, Passed, RawFrame, Registers, StackBounds, Target, Trace};

/// Farther than this is another stack: 64 KiB, the largest kernel stack.
const ONE_STACK: u64 = 64 * 1024;
/// Instructions looked at for a function's prologue.
const MAX_CODE: u64 = 4096;

/// Where `struct pt_regs` keeps its frame record, and how records end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Bytes of `pt_regs`.
    pub size: u64,
    /// Offset of `pt_regs.stackframe`.
    pub record: u64,
    /// Whether the record has a third word with its type: since 6.13, c2c6b27b5aa1 ("arm64: stacktrace: unwind
    /// exception boundaries"). 1 is the final record, 2 one inside `pt_regs`.
    pub typed: bool,
    /// Bits to set in a signed return address (`KERNELPACMASK`).
    pub pac_mask: u64,
}

impl Layout {
    /// A kernel address without its signature.
    fn strip(&self, address: u64) -> u64 {
        if address >> 55 & 1 == 1 { address | self.pac_mask } else { address }
    }
}

/// Reads a `pt_regs`.
pub fn pt_regs(target: &dyn Target, address: u64) -> Option<Registers> {
    let mut bytes = [0; 272];
    if !target.read(address, &mut bytes) {
        return None;
    }
    let word = |n: usize| {
        bytes.get(8 * n..8 * n + 8).and_then(|b| b.try_into().ok()).map(u64::from_le_bytes).unwrap_or_default()
    };
    let general: [u64; 31] = std::array::from_fn(word);
    Some(Registers {
        pc: word(32),
        sp: word(31),
        fp: general[29],
        user: word(33) & 0xf == 0,
        general: Some(General::Arm64(general)),
    })
}

/// Bytes of the instructions that set up a frame record: landing pad, tracing, signing, storing, moving.
const PROLOGUE: u64 = 6 * 4;

/// Where the return address of the innermost function is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Link {
    /// In x30: the function has no frame record, or not yet, or not any more.
    Register,
    /// In the record at x29.
    Record,
}

/// Decides by the function's instructions up to `pc` whether its frame record is set up: the record counts from
/// `mov x29, sp` on, up to the `ldp x29, x30` before a return.
fn link(target: &dyn Target, pc: u64) -> Link {
    let Some(start) = target.function_start(pc) else { return Link::Record };
    if pc < start || pc - start > MAX_CODE * 4 {
        return Link::Record;
    }
    let instruction = |at: u64| {
        let mut raw = [0; 4];
        target.read(at, &mut raw).then(|| u32::from_le_bytes(raw))
    };
    // ldp x29, x30 with any addressing mode, right before: already taken down.
    let restores = |word: u32| word & 0xfe40_7fff == 0xa840_7bfd;
    // mov x29, sp or add x29, sp, #imm.
    let sets = |word: u32| word & 0xffc0_03ff == 0x9100_03fd;
    for back in 1..=3 {
        if let Some(word) = pc.checked_sub(4 * back).filter(|at| *at >= start).and_then(instruction)
            && restores(word)
        {
            return Link::Register;
        }
    }
    let mut at = start;
    while at < pc {
        match instruction(at) {
            Some(word) if sets(word) => return Link::Record,
            Some(_) => at += 4,
            None => return Link::Record,
        }
    }
    Link::Register
}

/// Unwinds from `start` to the end, or as far as the records go. `exact` says that the program counter is the
/// next instruction, as it is for a processor's registers and not for a task that sleeps. `task` is the one whose
/// stack it is.
pub fn unwind(
    target: &dyn Target,
    layout: Layout,
    start: &Registers,
    exact: bool,
    stack: Option<StackBounds>,
    task: Option<u64>,
) -> Trace {
    if start.user {
        return Trace { frames: Vec::new(), ended: Ended::Properly };
    }
    let first = RawFrame {
        pc: layout.strip(start.pc),
        sp: start.sp,
        found: Found::Registers,
        exact,
        interrupted: exact.then(|| Box::new(start.clone())),
    };
    let mut frames = vec![first];
    let (mut fp, mut switches, mut passed) = (start.fp, 0, Passed::default());
    let ended = loop {
        if frames.len() >= MAX_FRAMES {
            break Ended::Broken(format!("more than {MAX_FRAMES} frames"));
        }
        // A function interrupted before its record stands, or a leaf, returns through x30.
        if let Some(RawFrame { pc, sp, exact: true, interrupted: Some(registers), .. }) = frames.last()
            && let Some(General::Arm64(general)) = &registers.general
            && !target.is_entry(*pc)
            && (!target.is_text(*pc) || link(target, *pc) == Link::Register)
        {
            let (lr, sp) = (layout.strip(general[30]), *sp);
            // Behind its first instructions a function whose record has the same return address has set it up, however
            // the code goes; one that calls itself is caught in them.
            let behind = target.function_start(*pc).is_some_and(|start| pc.saturating_sub(start) > PROLOGUE);
            let own = behind && target.word(fp.wrapping_add(8)).is_some_and(|record| layout.strip(record) == lr);
            if target.is_text(lr) && lr != *pc && !own {
                frames.push(RawFrame { pc: lr, sp, found: Found::Registers, exact: false, interrupted: None });
            }
        }
        let (Some(next), Some(lr)) = (target.word(fp), target.word(fp.wrapping_add(8))) else {
            break Ended::Broken(format!("the frame record at {fp:#x} is not in the dump"));
        };
        if next == 0 && lr == 0 {
            if layout.typed {
                match target.word(fp.wrapping_add(16)) {
                    Some(1) => break Ended::Properly,
                    Some(2) => {}
                    other => break Ended::Broken(format!("the record at {fp:#x} has type {other:x?}")),
                }
            } else {
                let expected = stack.map(|s| s.high.wrapping_sub(layout.size).wrapping_add(layout.record));
                break match expected {
                    Some(at) if at != fp => Ended::Broken(format!("an empty record at {fp:#x}, not at the end")),
                    _ => Ended::Properly,
                };
            }
        }
        let regs = pt_regs(target, fp.wrapping_sub(layout.record));
        let linked = |r: &Registers| layout.typed && next == 0 || !layout.typed && r.pc == lr && r.fp == next;
        match regs.filter(linked) {
            Some(registers) if registers.user => break Ended::Properly,
            Some(registers) => {
                let frame_fp = registers.fp;
                frames.push(RawFrame {
                    pc: registers.pc,
                    sp: registers.sp,
                    found: Found::FramePointer,
                    exact: true,
                    interrupted: Some(Box::new(registers)),
                });
                if !forward(fp, frame_fp) {
                    switches += 1;
                }
                fp = frame_fp;
            }
            None => {
                let pc = target.original_return(task, layout.strip(lr), next, &mut passed);
                if !target.is_text(pc) {
                    // Before 5.10 the outermost record is followed by whatever x29 was at entry: zero.
                    break match next {
                        0 if lr == 0 => Ended::Properly,
                        _ => Ended::Broken(format!("{pc:#x} is no code of the kernel")),
                    };
                }
                frames.push(RawFrame {
                    pc,
                    sp: fp.wrapping_add(16),
                    found: Found::FramePointer,
                    exact: false,
                    interrupted: None,
                });
                if !forward(fp, next) {
                    switches += 1;
                }
                fp = next;
            }
        }
        if switches > MAX_STACK_SWITCHES {
            break Ended::Broken("goes round between stacks".to_owned());
        }
        if fp == 0 {
            break Ended::Properly;
        }
    };
    Trace { frames, ended }
}

fn forward(from: u64, to: u64) -> bool {
    to > from && to - from <= ONE_STACK
}
