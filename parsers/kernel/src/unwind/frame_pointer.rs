//! Frame pointers of x86-64 kernels built with them (3.10-era distributions, CONFIG_UNWINDER_FRAME_POINTER).
//!
//! Every function begins with `push %rbp; mov %rsp,%rbp`, so `[rbp]` is the caller's rbp and `[rbp + 8]` the return
//! address.

use super::{StackBounds, Target, scan};

/// The caller as the frame at `bp` describes it: return address, the caller's rbp, its stack pointer.
pub fn caller(target: &dyn Target, bp: u64, sp: u64, stack: Option<StackBounds>) -> Option<(u64, u64, u64)> {
    let inside = match stack {
        Some(stack) => stack.contains(bp) && stack.contains(bp.wrapping_add(15)),
        None => bp.checked_sub(sp).is_some_and(|d| d < 32 * 1024),
    };
    if !bp.is_multiple_of(8) || bp < sp || !inside {
        return None;
    }
    let (next, pc) = (target.word(bp)?, target.word(bp + 8)?);
    target.is_text(pc).then_some((pc, next, bp + 16))
}

/// Where the return address of an interrupted function is while rbp does not describe it: before and after its
/// frame stands, and in leaf functions that have none. `None` when rbp does.
pub fn unframed(target: &dyn Target, pc: u64, sp: u64) -> Option<u64> {
    let start = target.function_start(pc)?;
    let mut code = [0; 9];
    if !target.read(start, &mut code) {
        return None;
    }
    // Room for a tracing call: nopl 0(%rax,%rax,1), the older 66 66 66 66 90, or the call itself.
    let traced = matches!(code, [0x0f, 0x1f, 0x44, 0, 0, ..] | [0x66, 0x66, 0x66, 0x66, 0x90, ..] | [0xe8, ..]);
    let at = if traced { 5 } else { 0 };
    // push %rbp; mov %rsp,%rbp
    let frame = code.get(at..at + 4) == Some(&[0x55, 0x48, 0x89, 0xe5]);
    let done = pc.wrapping_sub(start.wrapping_add(at as u64));
    let mut next = [0];
    let returns = target.read(pc, &mut next) && next == [0xc3];
    let place = match (frame, done) {
        (true, 1) => sp.wrapping_add(8),
        (true, done) if (4..1 << 40).contains(&done) && !returns => return None,
        _ => sp,
    };
    let found = target.word(place).is_some_and(|pc| target.is_text(pc) && scan::follows_call(target, pc));
    found.then_some(place)
}
