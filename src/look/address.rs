//! `what` and `sym`: what lies at an address.

use facts::Address;
use kernel::what::What;
use kernel::{Kernel, VirtAddr};
use serde::Serialize;

fn named(kernel: &Kernel<'_>, at: VirtAddr) -> Option<(String, Option<String>)> {
    let found = kernel.symbolize(at)?;
    let name = if found.offset == 0 { found.name } else { format!("{}+{:#x}", found.name, found.offset) };
    Some((name, found.module))
}

/// What an address is, or what a value that is no address may be.
pub fn what(kernel: &Kernel<'_>, at: VirtAddr) -> What {
    let mut found = kernel.what(at);
    if let Some(meaning) = crate::derive::meaning(at.0) {
        found.value = Some(meaning);
    }
    found
}

/// A symbol and its address.
#[derive(Clone, Debug, Serialize)]
pub struct SymbolRow {
    /// Address.
    pub address: Address,
    /// Name with an offset, `schedule+0x10`.
    pub symbol: String,
    /// Module.
    pub module: Option<String>,
    /// Source lines, where a vmlinux has them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<String>,
}

/// The address a word means: `0x...`, a bare kernel address in hex, a symbol with an optional `+offset`, `task:PID` for
/// a task_struct, `symbol:CPU` for a per-CPU variable of one CPU.
///
/// # Errors
/// A sentence when it is neither.
pub fn resolve(kernel: &Kernel<'_>, word: &str) -> Result<VirtAddr, String> {
    if let Some(at) = super::hex(word) {
        return Ok(VirtAddr(at));
    }
    // As crash prints addresses.
    if word.len() == 16
        && let Ok(at) = u64::from_str_radix(word, 16)
    {
        return Ok(VirtAddr(at));
    }
    if let Some((name, number)) = word.split_once(':') {
        return resolve_numbered(kernel, name, number);
    }
    let (name, offset) = match word.split_once('+') {
        Some((name, offset)) => {
            let number = super::hex(offset).or_else(|| offset.parse().ok());
            (name, number.ok_or_else(|| format!("expected an offset after +, 0x10 or 16, found {offset}"))?)
        }
        None => (word, 0),
    };
    if let Some(number) = word.parse::<u64>().ok().filter(|_| kernel.symbol_at(word).is_none()) {
        return Ok(VirtAddr(number));
    }
    let at = kernel.symbol_at(name).or_else(|| kernel.module_symbols(name).first().map(|(at, _)| *at));
    at.map(|at| at + offset).ok_or_else(|| {
        format!(
            "expected an address (0xffff...) or a symbol, and {} has no symbol {name}; \
             a vmlinux or System.map (--vmlinux, --system-map) may have it",
            kernel.member()
        )
    })
}

/// For a symbol that is a per-CPU variable: how one CPU's is named.
pub(super) fn per_cpu_advice(kernel: &Kernel<'_>, word: &str, at: VirtAddr) -> Option<String> {
    let (start, end) = (kernel.symbol("__per_cpu_start")?, kernel.symbol("__per_cpu_end")?);
    let name = word.split('+').next().unwrap_or(word);
    (kernel.symbol(name).is_some() && (start..end).contains(&at.0))
        .then(|| format!("{name} is a per-CPU variable: {name}:0 is that of CPU 0 (--cpu N where the command has it)"))
}

/// `task:1` and `runqueues:0`.
fn resolve_numbered(kernel: &Kernel<'_>, name: &str, number: &str) -> Result<VirtAddr, String> {
    if name == "task" {
        let walk = kernel.tasks();
        let task = walk.items.iter().find(|task| super::is_chosen(task, number));
        return task.map(|task| task.address).ok_or_else(|| super::no_such_task(kernel, number));
    }
    let cpu = number.parse::<u32>().map_err(|_| format!("expected a CPU after {name}:, 0 or 1, found {number}"))?;
    let variable = kernel.symbol_at(name).or_else(|| kernel.module_symbols(name).first().map(|(at, _)| *at));
    let variable = variable.ok_or_else(|| format!("{} has no symbol {name}", kernel.member()))?;
    if !kernel.cpus_possible().contains(&cpu) {
        let last = kernel.cpus_possible().last().copied().unwrap_or(0);
        return Err(format!("expected a CPU of this machine, 0 to {last}, found {cpu}"));
    }
    kernel.per_cpu(variable, cpu).ok_or_else(|| format!("where CPU {cpu} keeps its variables is not known"))
}

/// Addresses to symbols and symbols to addresses.
///
/// # Errors
/// A sentence for the first word that is neither, and for an address without a symbol.
pub fn symbols(kernel: &Kernel<'_>, words: &[String]) -> Result<Vec<SymbolRow>, String> {
    let mut rows = Vec::new();
    for word in words {
        let at = resolve(kernel, word)?;
        let exact = kernel.symbol_at(word) == Some(at);
        let (symbol, module) = match named(kernel, at) {
            // Several names for one address: the one that was asked for.
            Some((_, None)) if exact => (word.clone(), None),
            Some(found) => found,
            // Per-CPU variables and absolute symbols have values that are no addresses.
            None if super::hex(word).is_none() && word.len() != 16 => (word.clone(), None),
            None => {
                return Err(format!(
                    "no symbol contains {at}; `vmcoroner what {} {at}` says what else it may be",
                    kernel.member()
                ));
            }
        };
        let lines = kernel.source_lines(at).into_iter().filter_map(|l| l.line).collect();
        rows.push(SymbolRow { address: at.into(), symbol, module, lines });
    }
    Ok(rows)
}

/// Words of memory.
#[derive(Clone, Debug, Serialize)]
pub struct Words {
    /// Address and value of each word that could be read.
    pub words: Vec<WordRow>,
    /// Why reading stopped early.
    pub stopped: Option<String>,
}

/// One word of memory.
#[derive(Clone, Debug, Serialize)]
pub struct WordRow {
    /// Its address.
    pub address: Address,
    /// Its value.
    pub value: Address,
    /// The symbol it points at.
    pub symbol: Option<String>,
}

/// The most words `read` prints.
pub const MAX_WORDS: u64 = 65_536;

/// Words of 8 bytes from an address on.
///
/// # Errors
/// A sentence when not even the first can be read, or the word is no address.
pub fn read(kernel: &Kernel<'_>, word: &str, count: u64) -> Result<Words, String> {
    let at = resolve(kernel, word)?;
    let mut view = Words { words: Vec::new(), stopped: None };
    for n in 0..count.min(MAX_WORDS) {
        match kernel.u64(at + n * 8) {
            Ok(value) => view.words.push(WordRow {
                address: (at + n * 8).into(),
                value: Address(value),
                symbol: named(kernel, VirtAddr(value)).map(|(name, _)| name),
            }),
            Err(error) if n == 0 => {
                let advice = per_cpu_advice(kernel, word, at).unwrap_or_else(|| "is it a kernel address?".to_owned());
                return Err(format!("{at} cannot be read: {error}; {advice}"));
            }
            Err(error) => {
                view.stopped = Some(error.to_string());
                break;
            }
        }
    }
    Ok(view)
}
