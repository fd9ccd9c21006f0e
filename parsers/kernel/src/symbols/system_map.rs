//! System.map: the poor man's symbol table, `ffffffff81000000 T _stext` a line, link-time addresses.

use std::io::{BufRead, BufReader};
use std::path::Path;

use super::Table;
use crate::Kernel;

const MAX_SYMBOLS: usize = 4_000_000;

pub(super) fn read(kernel: &Kernel<'_>, path: &Path) -> Result<Table, String> {
    let file = std::fs::File::open(path).map_err(|e| format!("{}: {e}", path.display()))?;
    let mut symbols = Vec::new();
    for line in BufReader::new(file).lines() {
        let line = line.map_err(|e| format!("{}: {e}", path.display()))?;
        let mut fields = line.split_ascii_whitespace();
        let (Some(value), Some(kind), Some(name)) = (fields.next(), fields.next(), fields.next()) else { continue };
        let (Ok(value), [kind]) = (u64::from_str_radix(value, 16), kind.as_bytes()) else { continue };
        if symbols.len() >= MAX_SYMBOLS {
            return Err(format!("{}: more than {MAX_SYMBOLS} symbols", path.display()));
        }
        symbols.push((value, *kind, name.to_owned()));
    }
    relocate(kernel, symbols.iter().map(|(value, kind, name)| (*value, 0, *kind, name.as_str())), path)
}

/// Link-time symbols moved to where the kernel ran. All that VMCOREINFO names must then agree.
pub(super) fn relocate<'a>(
    kernel: &Kernel<'_>,
    symbols: impl Iterator<Item = (u64, u64, u8, &'a str)> + Clone,
    path: &Path,
) -> Result<Table, String> {
    let info = kernel.vmcoreinfo();
    let stext = symbols.clone().find(|(_, _, _, name)| *name == "_stext").map(|(value, ..)| value);
    let stext =
        stext.ok_or_else(|| format!("{}: expected a table of symbols, found none named _stext", path.display()))?;
    let offset = match info.symbol("_stext") {
        Some(run) => run.wrapping_sub(stext),
        None => info.kernel_offset().unwrap_or(0),
    };
    let moved =
        |value: u64| if kernel.arch().is_kernel(crate::VirtAddr(value)) { value.wrapping_add(offset) } else { value };
    let (mut yes, mut no) = (0, Vec::new());
    let mut table = Table::default();
    for (value, size, kind, name) in symbols {
        let value = moved(value);
        match info.symbol(name) {
            Some(known) if known == value => yes += 1,
            Some(_) if kind.is_ascii_uppercase() => no.push(name),
            _ => {}
        }
        table.push(value, size, kind, name);
    }
    if no.len() > yes {
        return Err(format!(
            "{} is of another kernel: {} of {} symbols that the dump's VMCOREINFO has lie elsewhere, {} first",
            path.display(),
            no.len(),
            no.len() + yes,
            no.first().unwrap_or(&"")
        ));
    }
    Ok(table.finish())
}
