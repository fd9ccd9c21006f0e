//! Variables that no table names, found by the code that uses them (arm64).

use crate::{Arch, Kernel, VirtAddr};

/// Bytes of a function that are looked at.
const MAX_FUNCTION: u64 = 2048;

impl Kernel<'_> {
    /// Addresses that a function forms with `adrp` and `add`, a load or a store, in their order. Only candidates: callers
    /// check what is there.
    pub(crate) fn code_references(&self, function: &str) -> Vec<VirtAddr> {
        let mut found = Vec::new();
        if self.arch != Arch::Aarch64 {
            return found;
        }
        for start in self.symbols(function) {
            let size = self.symbolize(VirtAddr(start)).and_then(|s| s.size).unwrap_or(256).min(MAX_FUNCTION);
            let Ok(code) = self.bytes(VirtAddr(start), size as usize) else { continue };
            let mut pages = [None; 32];
            for (nth, word) in code.as_chunks::<4>().0.iter().enumerate() {
                let word = u32::from_le_bytes(*word);
                let pc = start + nth as u64 * 4;
                let (rd, rn) = ((word & 31) as usize, (word >> 5 & 31) as usize);
                if word & 0x9f00_0000 == 0x9000_0000 {
                    // adrp: 21-bit signed page number, high bits at 5, low bits at 29.
                    let imm = (word >> 5 & 0x7_ffff) << 2 | word >> 29 & 3;
                    let imm = i64::from((imm << 11) as i32 >> 11) << 12;
                    if let Some(page) = pages.get_mut(rd) {
                        *page = Some((pc & !4095).wrapping_add(imm as u64));
                    }
                    continue;
                }
                if word & 0xffe0_ffe0 == 0xaa00_03e0 {
                    // mov xd, xm
                    let from = pages.get((word >> 16 & 31) as usize).copied().flatten();
                    if let Some(page) = pages.get_mut(rd) {
                        *page = from;
                    }
                    continue;
                }
                let Some(base) = pages.get(rn).copied().flatten() else { continue };
                if word & 0xffa0_0000 == 0xf800_0000 {
                    // ldur, stur, and ldr, str with write-back, of xt: [xn, #imm9], before (11) or after (01)
                    let offset = i64::from((word << 11) as i32 >> 23) as u64;
                    let (at, back) = (base.wrapping_add(offset), word >> 10 & 3);
                    if back != 2 {
                        found.push(VirtAddr(if back == 1 { base } else { at }));
                    }
                    if let (1 | 3, Some(page)) = (back, pages.get_mut(rn)) {
                        *page = Some(at);
                    }
                    continue;
                }
                let imm = u64::from(word >> 10 & 0xfff);
                match word & 0xffc0_0000 {
                    // add xd, xn, #imm12
                    0x9100_0000 => {
                        let sum = base.wrapping_add(imm);
                        found.push(VirtAddr(sum));
                        if let Some(page) = pages.get_mut(rd) {
                            *page = Some(sum);
                        }
                    }
                    // ldr and str of xt and of wt, [xn, #imm12 * size]
                    0xf940_0000 | 0xf900_0000 => found.push(VirtAddr(base.wrapping_add(imm * 8))),
                    0xb940_0000 | 0xb900_0000 => found.push(VirtAddr(base.wrapping_add(imm * 4))),
                    _ => {}
                }
            }
        }
        found
    }

    /// Heads of lists that a function uses and whose first entry passes `check`.
    pub(crate) fn list_in_code(&self, functions: &[&str], check: impl Fn(VirtAddr) -> bool) -> Option<VirtAddr> {
        functions.iter().flat_map(|name| self.code_references(name)).find(|head| {
            let next = self.ptr(*head).ok().filter(|next| self.arch.is_kernel(*next) && next != head);
            next.is_some_and(|next| self.ptr(next + 8).ok() == Some(*head) && check(next))
        })
    }
}
