//! x86-64: 4 or 5 levels, pages of 4 KiB, 2 MiB and 1 GiB.

use super::{Arch, Entry, Level, Linear, Space, aarch64};
use crate::Vmcoreinfo;

/// Where the kernel image is linked; physical address = virtual address - this + `phys_base`.
pub(crate) const START_KERNEL_MAP: u64 = 0xffff_ffff_8000_0000;

/// Bits 51 to 12 of an entry are its physical address.
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;
const PRESENT: u64 = 1;
/// Set by PROT_NONE and by page-table entries of protected kernel text: present for us, since it keeps the frame.
const LARGE: u64 = 1 << 7;

const LEVELS: [Level; 5] = [
    Level { shift: 48, bits: 9, block: false },
    Level { shift: 39, bits: 9, block: false },
    Level { shift: 30, bits: 9, block: true },
    Level { shift: 21, bits: 9, block: true },
    Level { shift: 12, bits: 9, block: false },
];

pub(crate) fn entry(entry: u64, level: &Level, last: bool) -> Entry {
    if entry & PRESENT == 0 {
        Entry::None
    } else if last || (level.block && entry & LARGE != 0) {
        Entry::Block(entry & ADDRESS)
    } else {
        Entry::Table(entry & ADDRESS)
    }
}

/// The address space from VMCOREINFO. `phys_base` of the dump's header serves kernels whose VMCOREINFO has it
/// only as a symbol (before 401721ecd1dc "kexec: export the value of phys_base instead of symbol address", v4.10).
pub(crate) fn space(info: &Vmcoreinfo, header_phys_base: Option<u64>) -> Option<Space> {
    let phys_base = info.number("phys_base").or(header_phys_base)?;
    let top = ["init_top_pgt", "init_level4_pgt", "swapper_pg_dir"].iter().find_map(|name| info.symbol(name))?;
    let la57 = info.number("pgtable_l5_enabled") == Some(1);
    Some(with_root(
        top.wrapping_sub(START_KERNEL_MAP).wrapping_add(phys_base),
        phys_base,
        la57,
        info.number("sme_mask").unwrap_or(0),
    ))
}

/// The address space of a known top table (physical) and `phys_base`.
pub(crate) fn with_root(root: u64, phys_base: u64, la57: bool, sme_mask: u64) -> Space {
    let levels = if la57 { LEVELS.to_vec() } else { LEVELS.iter().skip(1).copied().collect() };
    Space {
        arch: Arch::X86_64,
        root: root & !sme_mask,
        levels,
        entry_clear: sme_mask,
        high_bits: aarch64::HighBits::None,
        page_shift: 12,
        linear: vec![Linear {
            start: START_KERNEL_MAP,
            // The image's window; modules begin at 0xffffffffa0000000 without KASLR and at ..c0000000 with it.
            last: START_KERNEL_MAP + 0x1fff_ffff,
            add: phys_base.wrapping_sub(START_KERNEL_MAP),
        }],
    }
}
