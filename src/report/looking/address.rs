//! `sym`, `what` and `read` as text.

use std::fmt::Write as _;

use crate::look::{SymbolRow, What, Words};
use crate::report::printable;
use crate::report::table::{address, table};

/// Symbols.
pub fn symbols(rows: &[SymbolRow], width: Option<usize>) -> String {
    let rows = rows.iter().map(|row| {
        let module = row.module.as_ref().map(|m| format!(" [{m}]")).unwrap_or_default();
        vec![address(row.address), format!("{}{module}", row.symbol), row.lines.join(" < ")]
    });
    table(&["ADDRESS", "SYMBOL", ""], rows, width)
}

/// What an address is.
pub fn what(what: &What) -> String {
    let mut out = String::new();
    let mut row = |name: &str, value: String| {
        let _ = writeln!(out, "{name:10}{}", printable(&value));
    };
    if let Some(at) = what.address {
        row("address", address(at));
    }
    if let Some(symbol) = &what.symbol {
        let module = what.module.as_ref().map(|m| format!(" [{m}]")).unwrap_or_default();
        row("symbol", format!("{symbol}{module}"));
    } else if let Some(module) = &what.module {
        row("module", module.clone());
    }
    if let Some(object) = &what.slab {
        let state = match object.allocated {
            Some(true) => "allocated",
            Some(false) => "free",
            None => "allocated or free, its lists cannot tell",
        };
        row("slab", format!("{}: object {} + {:#x}, {state}", object.cache, address(object.object), object.offset));
    }
    if let Some((pid, comm)) = &what.task {
        row("task", format!("{pid} {comm}"));
    }
    if let Some((pid, comm)) = &what.stack_of {
        row("stack", format!("of task {pid} {comm}"));
    }
    if let Some((cpu, variable)) = &what.per_cpu {
        row("per-CPU", format!("{variable} of CPU {cpu}"));
    }
    if let Some(physical) = what.physical {
        row("physical", format!("{:#x}", physical.0));
    }
    if let Some(page) = what.page {
        row("page", address(page));
    }
    if let Some(why) = &what.unreadable {
        row("not read", why.clone());
    }
    out
}

/// Words of memory, two a line.
pub fn words(view: &Words) -> String {
    let mut out = String::new();
    for pair in view.words.chunks(2) {
        let Some(first) = pair.first() else { continue };
        let values: Vec<String> = pair.iter().map(|word| address(word.value)).collect();
        let names: Vec<&str> = pair.iter().filter_map(|word| word.symbol.as_deref()).collect();
        let line = format!("{}:  {}   {}", address(first.address), values.join(" "), printable(&names.join(" ")));
        let _ = writeln!(out, "{}", line.trim_end());
    }
    if let Some(why) = &view.stopped {
        let _ = writeln!(out, "stopped: {}", printable(why));
    }
    out
}
