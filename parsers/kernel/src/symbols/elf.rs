//! The symbol table of a vmlinux. Only headers, symbols and strings are read: with debug information the file has
//! some hundred megabytes.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use super::{Table, system_map};
use crate::Kernel;
use crate::identity::build_id;

const MAX_SECTION: u64 = 1 << 30;

struct Section {
    kind: u32,
    offset: u64,
    size: u64,
    link: u32,
    flags: u64,
}

fn part(file: &mut File, at: u64, len: u64) -> Result<Vec<u8>, String> {
    if len > MAX_SECTION {
        return Err(format!("a section of {len} bytes"));
    }
    file.seek(SeekFrom::Start(at)).map_err(|e| e.to_string())?;
    let mut bytes = Vec::new();
    file.take(len).read_to_end(&mut bytes).map_err(|e| e.to_string())?;
    if (bytes.len() as u64) < len { Err(format!("it ends inside byte {at} + {len}")) } else { Ok(bytes) }
}

fn int<const N: usize>(bytes: &[u8], at: usize) -> u64 {
    let mut word = [0u8; 8];
    if let (Some(from), Some(to)) = (bytes.get(at..at + N), word.get_mut(..N)) {
        to.copy_from_slice(from);
    }
    u64::from_le_bytes(word)
}

/// The symbols, and the build-id.
pub(super) fn read(kernel: &Kernel<'_>, path: &Path) -> Result<(Table, Option<String>), String> {
    let name = |e: String| format!("{}: {e}", path.display());
    let mut file = File::open(path).map_err(|e| name(e.to_string()))?;
    let header = part(&mut file, 0, 64).map_err(name)?;
    if !header.starts_with(b"\x7fELF\x02\x01") {
        return Err(name("expected a 64-bit little-endian ELF file".into()));
    }
    let (at, size, count) = (int::<8>(&header, 40), int::<2>(&header, 58), int::<2>(&header, 60));
    if size < 64 {
        return Err(name("it has no sections".into()));
    }
    let table = part(&mut file, at, size * count).map_err(name)?;
    let sections: Vec<Section> = table
        .chunks_exact(size as usize)
        .map(|s| Section {
            kind: int::<4>(s, 4) as u32,
            flags: int::<8>(s, 8),
            offset: int::<8>(s, 24),
            size: int::<8>(s, 32),
            link: int::<4>(s, 40) as u32,
        })
        .collect();
    let symtab = sections.iter().find(|s| s.kind == 2).ok_or_else(|| name("it has no symbol table".into()))?;
    let strtab = sections.get(symtab.link as usize).ok_or_else(|| name("its symbols have no strings".into()))?;
    // SHT_NOTE; a vmlinux has one to three of them, a few hundred bytes each.
    let notes = sections.iter().filter(|s| s.kind == 7 && s.size < 1 << 16);
    let id = notes.filter_map(|s| part(&mut file, s.offset, s.size).ok()).find_map(|notes| build_id(&notes));
    let symbols = part(&mut file, symtab.offset, symtab.size).map_err(name)?;
    let strings = part(&mut file, strtab.offset, strtab.size).map_err(name)?;
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
    Ok((system_map::relocate(kernel, iter, path)?, id))
}
