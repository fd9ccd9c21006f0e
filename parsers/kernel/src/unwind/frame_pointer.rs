//! Frame pointers of x86-64 kernels built with them (3.10-era distributions, CONFIG_UNWINDER_FRAME_POINTER).
//!
//! Every function begins with `push %rbp; mov %rsp,%rbp`, so `[rbp]` is the caller's rbp and `[rbp + 8]` the return
//! address.

use super::{StackBounds, Target};

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
