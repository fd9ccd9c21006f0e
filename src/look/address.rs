//! `what` and `sym`: what lies at an address.

use facts::Address;
use kernel::what::What;
use kernel::{Kernel, VirtAddr};
use serde::{Serialize, Serializer};

fn named(kernel: &Kernel<'_>, at: VirtAddr) -> Option<(String, Option<String>)> {
    let Some(found) = kernel.symbolize(at) else {
        return kernel.found_variable_at(at).map(|name| (name.to_owned(), None));
    };
    let name = if found.offset == 0 { found.name } else { format!("{}+{:#x}", found.name, found.offset) };
    Some((name, found.module))
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
    if let Some(at) = super::address_word(word) {
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
    let at = at.or_else(|| kernel.found_variable(name));
    // As crash takes a physical address or a small one: hex, where it can be nothing else.
    let digits = || word.len() > 4 && word.bytes().any(|b| b.is_ascii_digit());
    let at = at.or_else(|| u64::from_str_radix(word, 16).ok().filter(|_| digits()).map(VirtAddr));
    at.map(|at| at + offset).ok_or_else(|| no_such_symbol(kernel, name))
}

fn no_such_symbol(kernel: &Kernel<'_>, name: &str) -> String {
    let names = kernel.all_symbols().map(|symbol| symbol.name).chain(kernel.module_symbol_names());
    let names = names.filter(|name| !name.starts_with("__pfx_"));
    let near = super::nearest::did_you_mean(name, names);
    format!(
        "expected an address (0xffff...) or a symbol, and {} has no symbol {name}{near}; \
         a vmlinux or System.map (--vmlinux, --system-map) may have it",
        kernel.member()
    )
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
    let variable = variable.or_else(|| kernel.found_variable(name));
    let variable = variable.ok_or_else(|| no_such_symbol(kernel, name))?;
    if !kernel.cpus_possible().contains(&cpu) {
        let last = kernel.cpus_possible().last().copied().unwrap_or(0);
        return Err(format!("expected a CPU of this machine, 0 to {last}, found {cpu}"));
    }
    kernel.per_cpu(variable, cpu).ok_or_else(|| format!("where CPU {cpu} keeps its variables is not known"))
}

/// Symbols, in the order they were asked for. In JSON a list.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub struct SymbolList {
    /// The symbols.
    pub rows: Vec<SymbolRow>,
    /// A sentence for each word that is neither, and for each address without a symbol.
    #[serde(skip)]
    pub missing: Vec<String>,
}

/// Addresses to symbols and symbols to addresses.
///
/// # Errors
/// The sentences, when no word is either.
pub fn symbols(kernel: &Kernel<'_>, words: &[String]) -> Result<SymbolList, String> {
    let mut list = SymbolList { rows: Vec::new(), missing: Vec::new() };
    for word in words {
        match symbol(kernel, word) {
            Ok(row) => list.rows.push(row),
            Err(why) => list.missing.push(why),
        }
    }
    if list.rows.is_empty() { Err(list.missing.join("\n")) } else { Ok(list) }
}

fn symbol(kernel: &Kernel<'_>, word: &str) -> Result<SymbolRow, String> {
    let at = resolve(kernel, word)?;
    let exact = kernel.symbol_at(word) == Some(at);
    let (symbol, module) = match named(kernel, at) {
        // Several names for one address: the one that was asked for.
        Some((_, None)) if exact => (word.to_owned(), None),
        Some(found) => found,
        // Per-CPU variables and absolute symbols have values that are no addresses.
        None if super::address_word(word).is_none() && kernel.symbol_at(word).is_some() => (word.to_owned(), None),
        None if let Some((cpu, variable)) = kernel.per_cpu_variable(at) => (format!("{variable} of CPU {cpu}"), None),
        None => {
            return Err(format!(
                "no symbol contains {at}; `vmcoroner what {} {at}` says what else it may be",
                kernel.member()
            ));
        }
    };
    let lines = kernel.source_lines(at).into_iter().filter_map(|l| l.line).collect();
    Ok(SymbolRow { address: at.into(), symbol, module, lines })
}

/// What addresses are, in the order they were asked for. In JSON one is an object, several are a list.
#[derive(Clone, Debug)]
pub struct WhatList {
    /// One for each address.
    pub items: Vec<What>,
    /// A sentence for each word that is no address.
    pub missing: Vec<String>,
}

impl Serialize for WhatList {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        match self.items.as_slice() {
            [only] if self.missing.is_empty() => only.serialize(s),
            all => all.serialize(s),
        }
    }
}

/// What several addresses are.
///
/// # Errors
/// The sentences, when no word is an address.
pub fn whats(kernel: &Kernel<'_>, words: &[String]) -> Result<WhatList, String> {
    let mut list = WhatList { items: Vec::new(), missing: Vec::new() };
    let places = kernel.whereabouts();
    for word in words {
        match resolve(kernel, word) {
            Ok(at) => {
                let mut found = places.what(at);
                let meaning = per_cpu_advice(kernel, word, at).or_else(|| crate::derive::meaning(at.0));
                found.value = meaning.or(found.value);
                list.items.push(found);
            }
            Err(why) => list.missing.push(why),
        }
    }
    if list.items.is_empty() { Err(list.missing.join("\n")) } else { Ok(list) }
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
    /// Its bytes as text, a dot for each that is none.
    pub text: String,
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
                text: value
                    .to_le_bytes()
                    .map(|b| if b.is_ascii_graphic() || b == b' ' { char::from(b) } else { '.' })
                    .iter()
                    .collect(),
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
