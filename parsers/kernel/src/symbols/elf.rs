//! The symbol table of a vmlinux.

use super::{Table, system_map};
use crate::Kernel;
use crate::types::vmlinux::Vmlinux;

fn int<const N: usize>(bytes: &[u8], at: usize) -> u64 {
    let mut word = [0u8; 8];
    if let (Some(from), Some(to)) = (bytes.get(at..at + N), word.get_mut(..N)) {
        to.copy_from_slice(from);
    }
    u64::from_le_bytes(word)
}

/// The symbols of a vmlinux where the kernel ran.
pub(super) fn read(kernel: &Kernel<'_>, file: &Vmlinux) -> Result<Table, String> {
    let name = |why: String| format!("{}: {why}", file.name());
    let (symbols, strings) = (file.section(".symtab").map_err(name)?, file.section(".strtab").map_err(name)?);
    if symbols.is_empty() {
        return Err(name("it has no symbol table; the vmlinux that has debug information would help".to_owned()));
    }
    let sections = file.places();
    let iter = symbols.chunks_exact(24).filter_map(|symbol| {
        let (name, info, section) = (int::<4>(symbol, 0), int::<1>(symbol, 4), int::<2>(symbol, 6));
        // Section and file symbols, and undefined ones.
        if matches!(info & 15, 3 | 4) || section == 0 {
            return None;
        }
        let rest = strings.get(name as usize..)?;
        let text = std::str::from_utf8(rest.get(..memchr::memchr(0, rest)?)?).ok()?;
        if text.is_empty() || text.starts_with('$') {
            return None;
        }
        let letter = match sections.get(section as usize).map(|s| s.flags) {
            Some(flags) if flags & 4 != 0 => b't',
            Some(flags) if flags & 1 == 0 => b'r',
            Some(_) => b'd',
            None => b'a',
        };
        let letter = match info >> 4 {
            0 => letter,
            2 => b'W',
            _ => letter.to_ascii_uppercase(),
        };
        Some((int::<8>(symbol, 8), int::<8>(symbol, 16), letter, text))
    });
    system_map::relocate(kernel, iter, std::path::Path::new(&file.name()))
}
