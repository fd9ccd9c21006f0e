//! `dis`: code as instructions.

use facts::{Address, Gap};
use kernel::{Kernel, VirtAddr};
use serde::Serialize;

use super::LineRow;

/// Instructions shown before and after an address in a function.
const BEFORE: usize = 20;
const AFTER: usize = 12;
/// The most instructions shown.
const MAX_INSTRUCTIONS: usize = 65_536;
/// Bytes from an address that no function holds.
const LONELY: u64 = 4096;

/// Which instructions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CodeRange {
    /// That many from the address on.
    pub count: Option<usize>,
    /// From the start of the function to the address.
    pub reverse: bool,
    /// From the address to the end of the function.
    pub forward: bool,
}

/// Instructions.
#[derive(Clone, Debug, Serialize)]
pub struct CodeView {
    /// The function; `null` where no symbol holds the address.
    pub function: Option<String>,
    /// Its module.
    pub module: Option<String>,
    /// The address that was asked for.
    pub address: Address,
    /// Instructions.
    pub instructions: Vec<CodeRow>,
    /// Instructions of the function before the first one shown, and after the last.
    pub before: usize,
    /// See `before`.
    pub after: usize,
    /// Whether the memory there cannot be run: the bytes are data, and the instructions mean nothing.
    pub data: bool,
    /// What could not be read.
    pub gaps: Vec<Gap>,
}

/// An instruction.
#[derive(Clone, Debug, Serialize)]
pub struct CodeRow {
    /// Its address.
    pub address: Address,
    /// Symbol and offset, `schedule+21`.
    pub symbol: Option<String>,
    /// Bytes in hex.
    pub bytes: String,
    /// Mnemonic and operands, AT&T form on x86-64.
    pub text: String,
    /// Where it branches to or what it addresses.
    pub target: Option<Address>,
    /// Symbol there.
    pub target_symbol: Option<String>,
    /// Whether it is the one that was asked for.
    pub marked: bool,
    /// Functions inlined here and lines, innermost first; empty without a vmlinux.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<LineRow>,
}

/// As crash prints it, with the offset in decimal.
fn named(kernel: &Kernel<'_>, at: VirtAddr) -> Option<String> {
    let found = kernel.symbolize(at)?;
    let module = found.module.map(|module| format!(" [{module}]")).unwrap_or_default();
    Some(if found.offset == 0 {
        format!("{}{module}", found.name)
    } else {
        format!("{}+{}{module}", found.name, found.offset)
    })
}

/// The instructions at an address: of a function's name all, of an address inside one those around it.
///
/// # Errors
/// A sentence when the word is no address, or its code is not in the dump.
pub fn code(kernel: &Kernel<'_>, word: &str, range: CodeRange, lines: bool) -> Result<CodeView, String> {
    let at = super::resolve(kernel, word)?;
    let found = kernel.symbolize(at);
    let start = found.as_ref().map_or(at, |found| at - found.offset);
    let size = found.as_ref().and_then(|found| found.size).unwrap_or(LONELY).max(1);
    let mut end = start + size;
    if let Some(count) = range.count {
        // crash goes on into the next function.
        let longest = 15;
        end = VirtAddr(end.0.max(at.0.saturating_add((count as u64).saturating_mul(longest))));
    }
    let walk = kernel.disassemble(start, end, MAX_INSTRUCTIONS);
    let total = walk.items.len();
    let place =
        walk.items.partition_point(|instruction| instruction.address.0 + (instruction.bytes.len() as u64) <= at.0);
    let (first, last) = match range {
        CodeRange { count: Some(count), .. } => (place, place.saturating_add(count)),
        CodeRange { reverse: true, .. } => (0, place + 1),
        CodeRange { forward: true, .. } => (place, total),
        _ if place == 0 => (0, total),
        _ => (place.saturating_sub(BEFORE), place.saturating_add(AFTER + 1)),
    };
    let last = last.min(total);
    let whole = walk.items.iter().filter(|instruction| instruction.address.0 < start.0 + size).count();
    let rows: Vec<CodeRow> = walk
        .items
        .iter()
        .enumerate()
        .take(last)
        .skip(first)
        .map(|(nth, instruction)| CodeRow {
            address: instruction.address.into(),
            symbol: named(kernel, instruction.address),
            bytes: instruction.bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" "),
            text: instruction.text.clone(),
            target: instruction.target.map(Into::into),
            target_symbol: instruction
                .target
                .and_then(|target| named(kernel, VirtAddr(kernel.behind_veneer(target.0)))),
            marked: nth == place && at != start,
            lines: match lines {
                true => super::backtrace::line_rows(kernel, instruction.address),
                false => Vec::new(),
            },
        })
        .collect();
    if rows.is_empty() {
        let why = walk.gaps.first().map_or_else(|| "no instruction there".to_owned(), |gap| gap.why.clone());
        return Err(format!("no code can be read at {at}: {why}"));
    }
    Ok(CodeView {
        function: found.as_ref().map(|found| found.name.clone()),
        module: found.and_then(|found| found.module),
        address: at.into(),
        data: kernel.is_executable(at) == Some(false),
        before: if range.count.is_some() { 0 } else { first },
        after: if range.count.is_some() || range.reverse { 0 } else { whole.saturating_sub(last) },
        instructions: rows,
        gaps: walk.gaps,
    })
}
