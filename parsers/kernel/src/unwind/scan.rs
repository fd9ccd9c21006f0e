//! The last resort: words on a stack that look like return addresses.
//!
//! A word counts only if it is a code address with a call instruction right before it. What is found this way may
//! be left over from earlier calls, so it is always marked.

use super::Target;

/// Most words looked at: 32 KiB, the largest task stack.
const MAX_WORDS: u64 = 4096;

/// Whether a call instruction ends right before `address`: `e8 rel32`, or `ff /2` in any of its lengths.
pub fn follows_call(target: &dyn Target, address: u64) -> bool {
    let mut code = [0; 7];
    if !target.read(address.wrapping_sub(7), &mut code) {
        return false;
    }
    if code[2] == 0xe8 {
        return true;
    }
    // ff /2: opcode, ModRM with reg = 2, then SIB and displacement by mode.
    let indirect = |at: usize, length: usize| {
        let Some([0xff, modrm]) = code.get(at..at + 2).and_then(|b| <[u8; 2]>::try_from(b).ok()) else { return false };
        if modrm >> 3 & 7 != 2 {
            return false;
        }
        let sib = usize::from(modrm >> 6 != 3 && modrm & 7 == 4);
        let displacement = match (modrm >> 6, modrm & 7) {
            (0, 5) | (2, _) => 4,
            (1, _) => 1,
            _ => 0,
        };
        2 + sib + displacement == length
    };
    [(5, 2), (4, 3), (3, 4), (1, 6), (0, 7)].into_iter().any(|(at, length)| indirect(at, length))
}

/// Places in `[from, to)` where an x86-64 `pt_regs` of interrupted kernel code lies, lowest first: known by the
/// segments and flags that a processor pushes and a code address.
pub fn saved_registers(target: &dyn Target, from: u64, to: u64) -> Vec<u64> {
    let from = from & !7;
    let to = to.min(from.saturating_add(8 * MAX_WORDS));
    let mut found = Vec::new();
    let mut at = from;
    while at.saturating_add(super::x86_64::PT_REGS) <= to && found.len() < 16 {
        let word = |n: u64| target.word(at + 8 * n);
        let code = word(17).is_some_and(|cs| cs & 0xffff == 0x10)
            && word(20).is_some_and(|ss| matches!(ss & 0xffff, 0 | 0x18))
            && word(18).is_some_and(|flags| flags & 2 == 2 && flags >> 22 == 0)
            && word(16).is_some_and(|pc| target.is_text(pc));
        if code {
            found.push(at);
        }
        at += 8;
    }
    found
}

/// Places in `[from, to)` that hold a return address, lowest first: where, and the address.
pub fn return_addresses(target: &dyn Target, from: u64, to: u64) -> Vec<(u64, u64)> {
    let from = from & !7;
    let to = to.min(from.saturating_add(8 * MAX_WORDS));
    let mut found = Vec::new();
    let mut at = from;
    while at < to {
        // In pieces that never cross a page: a missing page hides only itself.
        let piece = (to - at).min(4096 - at % 4096).min(512);
        let mut bytes = [0u8; 512];
        let Some(buffer) = bytes.get_mut(..piece as usize) else { break };
        if target.read(at, buffer) {
            for (n, raw) in buffer.chunks_exact(8).enumerate() {
                let value = u64::from_le_bytes(raw.try_into().unwrap_or_default());
                if target.is_text(value) && follows_call(target, value) {
                    found.push((at + 8 * n as u64, value));
                }
            }
        }
        at += piece.max(8);
    }
    found
}
