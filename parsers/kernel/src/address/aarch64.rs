//! arm64: 2 to 5 levels, granules of 4, 16 and 64 KiB, virtual addresses of 36 to 52 bits.

use super::{Arch, Entry, Level, Linear, Space};
use crate::Vmcoreinfo;

/// Where an entry keeps the physical address bits above 47.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HighBits {
    /// Nowhere.
    None,
    /// 64 KiB granule: bits 51:48 in 15:12.
    Granule64K,
    /// LPA2 (4 and 16 KiB granules, 52-bit virtual addresses): bits 49:48 in place, 51:50 in 9:8.
    Lpa2,
}

pub(crate) fn entry(entry: u64, level: &Level, last: bool, page_shift: u32, high: HighBits) -> Entry {
    let low = entry & ((1 << 48) - 1) & !((1u64 << page_shift) - 1);
    let address = match high {
        HighBits::None => low,
        HighBits::Granule64K => low | ((entry >> 12) & 0xf) << 48,
        HighBits::Lpa2 => low | (entry & (3 << 48)) | ((entry >> 8) & 3) << 50,
    };
    match entry & 3 {
        3 if last => Entry::Block(address),
        3 => Entry::Table(address),
        1 if !last && level.block => Entry::Block(address),
        _ => Entry::None,
    }
}

/// Levels of a table for these virtual address bits and granule, top first.
pub(crate) fn levels(va_bits: u32, page_shift: u32) -> Vec<Level> {
    let index = page_shift - 3;
    let count = (va_bits - page_shift).div_ceil(index);
    let top = (va_bits - page_shift - 1) % index + 1;
    (0..count)
        .map(|depth| {
            let below = count - 1 - depth;
            Level {
                shift: page_shift + below * index,
                bits: if depth == 0 { top } else { index },
                block: below > 0 && below <= 3,
            }
        })
        .collect()
}

/// The address space from VMCOREINFO.
///
/// `VA_BITS` is the configured size (20a166243328 "arm64: kdump: add VMCOREINFO's for user-space tools", v4.12);
/// `TCR_EL1_T1SZ` (bbdbc11804ff "arm64/crash_core: Export TCR_EL1.T1SZ in vmcoreinfo", v5.9) gives the size at run
/// time. With 64 KiB pages a 52-bit kernel on 48-bit hardware still uses a 52-bit-shaped table, so the configured
/// size counts there; with 4 and 16 KiB pages the fallback folds a level, so the run-time size counts.
pub(crate) fn space(info: &Vmcoreinfo) -> Option<Space> {
    let page_shift = match info.page_size()? {
        4096 => 12,
        16384 => 14,
        65536 => 16,
        _ => return None,
    };
    let configured = info.number("VA_BITS").and_then(|n| u32::try_from(n).ok()).filter(|n| (30..=52).contains(n))?;
    let at_run_time =
        info.number("TCR_EL1_T1SZ").and_then(|n| u32::try_from(n).ok()).and_then(|n| 64u32.checked_sub(n));
    let va_bits = if page_shift == 16 { configured } else { at_run_time.unwrap_or(configured) };
    if !(30..=52).contains(&va_bits) {
        return None;
    }
    let voffset = info.number("kimage_voffset")?;
    let root = info.symbol("swapper_pg_dir")?.wrapping_sub(voffset);
    let high_bits = match (page_shift, va_bits) {
        (16, _) => HighBits::Granule64K,
        (_, 52) => HighBits::Lpa2,
        _ => HighBits::None,
    };
    let mut linear = Vec::new();
    if let (Some(text), Some(phys)) = (info.symbol("_stext"), info.number("PHYS_OFFSET")) {
        // A window around the text for the image; the linear map above -(1 << va_bits) in kernels since
        // 14c127c957c1 "arm64: mm: Flip kernel VA space" (v5.4) starts at PAGE_OFFSET.
        linear.push(Linear {
            start: text.wrapping_sub(0x20_0000),
            last: text.wrapping_add(0x400_0000),
            add: 0u64.wrapping_sub(voffset),
        });
        if info.get("NUMBER(TCR_EL1_T1SZ)").is_some() {
            let page_offset = 0u64.wrapping_sub(1u64 << configured);
            linear.push(Linear {
                start: 0u64.wrapping_sub(1u64 << va_bits),
                last: 0u64.wrapping_sub(1u64 << (va_bits - 1)).wrapping_sub(1),
                add: phys.wrapping_sub(page_offset),
            });
        }
    }
    Some(Space {
        arch: Arch::Aarch64,
        root,
        levels: levels(va_bits, page_shift),
        entry_clear: 0,
        high_bits,
        page_shift,
        linear,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn level_tables_by_granule_and_address_bits() {
        // (va_bits, page_shift) -> (levels, index bits of the top level); ARM ARM D8.2.
        for (va_bits, page_shift, count, top) in [
            (52, 12, 5, 4),
            (48, 12, 4, 9),
            (39, 12, 3, 9),
            (47, 14, 3, 11),
            (48, 14, 4, 1),
            (42, 16, 2, 13),
            (48, 16, 3, 6),
            (52, 16, 3, 10),
        ] {
            let levels = levels(va_bits, page_shift);
            assert_eq!((levels.len(), levels[0].bits), (count, top), "{va_bits} bits, shift {page_shift}");
            assert_eq!(levels[0].shift + levels[0].bits, va_bits);
            assert_eq!(levels[levels.len() - 1].shift, page_shift);
        }
    }
}
