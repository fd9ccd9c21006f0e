//! kallsyms: the kernel's own symbol table, compressed by tokens, as it lies in memory.

use facts::Gap;

use super::lookup::Lookup;
use super::packed::{Names, Packed};
use super::scan;
use crate::{Kernel, ReadError, VirtAddr};

/// More symbols than any kernel has (about 220,000 in a distribution's 7.3).
pub(super) const MAX_SYMBOLS: u32 = 4_000_000;
/// More bytes of compressed names than any kernel has (about 3 MB).
pub(super) const MAX_NAMES: u64 = 64 << 20;

/// Where the tables lie.
#[derive(Clone, Copy, Debug)]
pub(super) struct Places {
    pub(super) names: u64,
    pub(super) count: u32,
    pub(super) token_table: u64,
    pub(super) token_index: u64,
    pub(super) values: Values,
}

/// The table of addresses.
#[derive(Clone, Copy, Debug)]
pub(super) enum Values {
    /// `kallsyms_addresses`: one unsigned long per symbol.
    Absolute { at: u64 },
    /// `kallsyms_offsets`, and `kallsyms_relative_base` where the kernel has one (2213e9a66bb8 "kallsyms: add
    /// support for relative offsets in kallsyms address table", v4.6; gone with a081b5789255, v7.0).
    Offsets { at: u64, base: Option<u64> },
}

/// How an entry of `kallsyms_offsets` is turned into an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    Absolute,
    /// base + offset
    Base,
    /// offset where it is not negative (per-CPU symbols), base - 1 - offset otherwise
    BaseOrAbsolute,
    /// address of the entry + offset
    Place,
}

pub(super) fn read(kernel: &Kernel<'_>) -> Result<Box<dyn Lookup>, String> {
    match from_vmcoreinfo(kernel).and_then(|places| decode(kernel, &places)) {
        Ok(table) => Ok(table),
        Err(first) => {
            for places in scan::find(kernel) {
                if let Ok(table) = decode(kernel, &places) {
                    return Ok(table);
                }
            }
            Err(format!("{first}; no kallsyms tables were found by searching the image either"))
        }
    }
}

/// f09bddbd8661 "vmcoreinfo: add kallsyms_num_syms symbol" and 5fd8fea935a1 "vmcoreinfo: include kallsyms symbols"
/// (both v6.0).
fn from_vmcoreinfo(kernel: &Kernel<'_>) -> Result<Places, String> {
    let info = kernel.vmcoreinfo();
    let get = |name: &str| info.symbol(name).ok_or_else(|| format!("VMCOREINFO has no SYMBOL({name})"));
    let count = kernel.u32(VirtAddr(get("kallsyms_num_syms")?)).map_err(|e| format!("kallsyms_num_syms: {e}"))?;
    let base = match info.symbol("kallsyms_relative_base") {
        Some(at) => Some(kernel.u64(VirtAddr(at)).map_err(|e| format!("kallsyms_relative_base: {e}"))?),
        None => None,
    };
    Ok(Places {
        names: get("kallsyms_names")?,
        count,
        token_table: get("kallsyms_token_table")?,
        token_index: get("kallsyms_token_index")?,
        values: Values::Offsets { at: get("kallsyms_offsets")?, base },
    })
}

/// Reads as much of `len` bytes as there is, and says what stopped it. Stops at the first hole: a search through an
/// image full of holes comes here for each of them.
pub(super) fn read_some(kernel: &Kernel<'_>, at: u64, len: u64) -> (Vec<u8>, Option<ReadError>) {
    let mut bytes = Vec::new();
    while (bytes.len() as u64) < len {
        let here = VirtAddr(at) + bytes.len() as u64;
        let want = (4096 - (here.0 & 4095)).min(len - bytes.len() as u64) as usize;
        let before = bytes.len();
        bytes.resize(before + want, 0);
        if let Err(error) = kernel.read(here, bytes.get_mut(before..).unwrap_or_default()) {
            bytes.truncate(before);
            return (bytes, Some(error));
        }
    }
    (bytes, None)
}

/// The same for a large table that is expected to be whole: several threads decode it.
fn read_table(kernel: &Kernel<'_>, at: u64, len: u64) -> (Vec<u8>, Option<String>) {
    let (mut bytes, hole) = kernel.bytes_with_holes(VirtAddr(at), usize::try_from(len).unwrap_or(0));
    let stopped = hole.map(|(end, error)| {
        bytes.truncate(end);
        error.to_string()
    });
    (bytes, stopped)
}

fn decode(kernel: &Kernel<'_>, places: &Places) -> Result<Box<dyn Lookup>, String> {
    if places.count == 0 || places.count > MAX_SYMBOLS {
        return Err(format!("kallsyms_num_syms is {}, which cannot be", places.count));
    }
    let tokens = tokens(kernel, places)?;
    // In every order of the tables the names lie below the markers and those below the tokens.
    let span = places.token_table.checked_sub(places.names).filter(|n| *n <= MAX_NAMES);
    let span = span.ok_or("kallsyms_names does not lie before kallsyms_token_table")?;
    let (names, stopped) = read_table(kernel, places.names, span);
    let width = match places.values {
        Values::Absolute { .. } => 8,
        Values::Offsets { .. } => 4,
    };
    let (Values::Absolute { at } | Values::Offsets { at, .. }) = places.values;
    let (values, values_stopped) = read_table(kernel, at, u64::from(places.count) * width);

    let mut names = Names::new(names, places.count as usize, tokens);
    names.truncate(values.len() / width as usize);
    let encoding = choose(kernel, places, &names, &values)?;
    let got = names.len();
    if got < places.count as usize {
        let why = stopped.or(values_stopped).unwrap_or_else(|| "the name table is damaged".to_owned());
        kernel.gap(Gap::new(
            format!("{} of {} kernel symbols", places.count as usize - got, places.count),
            format!("kallsyms_names at {:#x}", places.names),
            why,
            "a vmlinux or System.map of this kernel",
        ));
    }
    let places = *places;
    Ok(Box::new(Packed::new(names, move |nth| value(&places, encoding, &values, nth))))
}

/// The 256 tokens.
fn tokens(kernel: &Kernel<'_>, places: &Places) -> Result<Vec<String>, String> {
    let index = kernel.bytes(VirtAddr(places.token_index), 512).map_err(|e| format!("kallsyms_token_index: {e}"))?;
    let offsets: Vec<u16> = index.as_chunks::<2>().0.iter().map(|b| u16::from_le_bytes(*b)).collect();
    let last = u64::from(offsets.last().copied().unwrap_or(0));
    let (table, _) = read_some(kernel, places.token_table, last + 128);
    offsets
        .iter()
        .map(|offset| {
            let rest = table.get(usize::from(*offset)..).unwrap_or_default();
            let end = memchr::memchr(0, rest).ok_or("kallsyms_token_table cannot be read")?;
            // Names are ASCII; anything else is damage that must not change the length.
            let plain = |byte: &u8| if byte.is_ascii() { char::from(*byte) } else { '?' };
            Ok(rest.get(..end).unwrap_or_default().iter().map(plain).collect())
        })
        .collect()
}

fn value(places: &Places, encoding: Encoding, values: &[u8], index: usize) -> Option<u64> {
    match (places.values, encoding) {
        (Values::Absolute { .. }, _) => values.as_chunks::<8>().0.get(index).map(|b| u64::from_le_bytes(*b)),
        (Values::Offsets { at, base }, encoding) => {
            let offset = i32::from_le_bytes(*values.as_chunks::<4>().0.get(index)?);
            let wide = i64::from(offset) as u64;
            Some(match encoding {
                Encoding::Place => at.wrapping_add(index as u64 * 4).wrapping_add(wide),
                Encoding::Base => base?.wrapping_add(u64::from(offset as u32)),
                Encoding::BaseOrAbsolute if offset >= 0 => wide,
                Encoding::BaseOrAbsolute => base?.wrapping_sub(1).wrapping_sub(wide),
                Encoding::Absolute => return None,
            })
        }
    }
}

/// The encoding in which the table agrees with what is known: every symbol that VMCOREINFO has, or that the dump
/// proves otherwise. Being sorted proves nothing: with a wrong encoding the table is often sorted too.
fn choose(kernel: &Kernel<'_>, places: &Places, names: &Names, values: &[u8]) -> Result<Encoding, String> {
    let candidates: &[Encoding] = match places.values {
        Values::Absolute { .. } => &[Encoding::Absolute],
        Values::Offsets { base: Some(_), .. } => &[Encoding::BaseOrAbsolute, Encoding::Base, Encoding::Place],
        Values::Offsets { base: None, .. } => &[Encoding::Place],
    };
    let mut agree = vec![(0usize, 0usize); candidates.len()];
    for (name, known) in kernel.vmcoreinfo().symbols() {
        for index in names.find(name) {
            // Static symbols may share a name with what VMCOREINFO means.
            let global = names.get(index).is_some_and(|(kind, _)| kind.is_ascii_uppercase());
            if !global && name != "_stext" {
                continue;
            }
            for (encoding, (yes, no)) in candidates.iter().zip(&mut agree) {
                if value(places, *encoding, values, index) == Some(known) {
                    *yes += 1;
                } else {
                    *no += 1;
                }
            }
        }
    }
    let best = candidates.iter().zip(&agree).filter(|(_, (yes, no))| yes > no).max_by_key(|(_, (yes, _))| *yes);
    if let Some((encoding, _)) = best {
        return Ok(*encoding);
    }
    Err(format!("no encoding of kallsyms' addresses agrees with VMCOREINFO's symbols (tried {candidates:?})"))
}
