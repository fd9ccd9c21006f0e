//! Variables that no table names, found by the code that uses them (arm64).

use crate::{Arch, Kernel, VirtAddr};

/// Bytes of a function that are looked at.
const MAX_FUNCTION: u64 = 2048;

impl Kernel<'_> {
    /// Addresses that a function forms with `adrp` and `add`, a load or a store, in their order. Only candidates: callers
    /// check what is there.
    pub(crate) fn code_references(&self, function: &str) -> Vec<VirtAddr> {
        let size = |start: u64| self.symbolize(VirtAddr(start)).and_then(|s| s.size).unwrap_or(256).min(MAX_FUNCTION);
        self.symbols(function).into_iter().flat_map(|start| self.addresses_in_code(start, size(start))).collect()
    }

    /// The same of code by its place.
    pub(crate) fn addresses_in_code(&self, start: u64, size: u64) -> Vec<VirtAddr> {
        let mut found = Vec::new();
        if self.arch != Arch::Aarch64 {
            return found;
        }
        let Ok(code) = self.bytes(VirtAddr(start), size as usize) else { return found };
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
        found
    }

    /// Where a call to an address ends: that of a module of arm64 goes through a veneer if the kernel is far away, of ADRP,
    /// ADD and BR of x16 since bdb85cd1d206 "arm64/module: switch to ADRP/ADD sequences for PLT entries" (v5.0).
    pub fn behind_veneer(&self, target: u64) -> u64 {
        const ADRP_X16: u32 = 0x9000_0010;
        const ADD_X16_X16: u32 = 0x9100_0210;
        const BR_X16: u32 = 0xd61f_0200;
        let words = || {
            let code = self.bytes(VirtAddr(target), 12).ok()?;
            let mut words = code.as_chunks::<4>().0.iter().map(|word| u32::from_le_bytes(*word));
            Some((words.next()?, words.next()?, words.next()?))
        };
        let is_one = |(adrp, add, br): &(u32, u32, u32)| {
            adrp & 0x9f00_001f == ADRP_X16 && add & 0xffc0_03ff == ADD_X16_X16 && *br == BR_X16
        };
        if self.arch != Arch::Aarch64 || words().filter(is_one).is_none() {
            return target;
        }
        self.addresses_in_code(target, 8).first().map_or(target, |at| at.0)
    }

    /// Heads of lists that a function uses and whose first entry passes `check`.
    pub(crate) fn list_in_code(&self, functions: &[&str], check: impl Fn(VirtAddr) -> bool) -> Option<VirtAddr> {
        functions.iter().flat_map(|name| self.code_references(name)).find(|head| {
            let next = self.ptr(*head).ok().filter(|next| self.arch.is_kernel(*next) && next != head);
            next.is_some_and(|next| self.ptr(next + 8).ok() == Some(*head) && check(next))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthetic::{BASE, Memory};

    /// `adrp` of a page that lies so many pages on, and `add` of an offset in it.
    fn forms(register: u32, pages: u32, offset: u32) -> [u32; 2] {
        let adrp = 0x9000_0000 | (pages & 3) << 29 | (pages >> 2) << 5 | register;
        [adrp, 0x9100_0000 | offset << 10 | register << 5 | register]
    }

    #[test]
    fn a_call_through_a_veneer_ends_where_that_jumps() {
        let memory = Memory::new();
        let (caller, veneer, callee, lock) = (BASE + 0x2_0000, BASE + 0x2_00c0, BASE + 0x4_5010, BASE + 0x2_2058);
        let put = |at: u64, words: &[u32]| {
            words.iter().enumerate().for_each(|(nth, word)| memory.put32(at + nth as u64 * 4, *word));
        };
        // complete(&reply), and the way to it.
        put(caller, &forms(0, 2, 0x18));
        put(caller + 8, &[0x9100_0000 | 0x40 << 10, 0x9400_0000 | ((0xc0 - 12) / 4)]);
        put(veneer, &forms(16, 0x25, 0x10));
        put(veneer + 8, &[0xd61f_0200]);
        let mut kernel = memory.kernel("");
        assert_eq!(kernel.behind_veneer(veneer), veneer, "x86 has none");
        kernel.arch = Arch::Aarch64;
        assert_eq!(kernel.behind_veneer(veneer), callee);
        assert_eq!(kernel.behind_veneer(caller), caller);
        assert!(kernel.calls(caller, 16, &[callee]) && !kernel.calls(caller, 16, &[callee + 4]));
        assert!(kernel.code_names(caller, 16, &|word| word == lock));
        assert!(!kernel.code_names(caller, 8, &|word| word == lock));
    }
}
