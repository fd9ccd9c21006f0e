//! `sym`, `what` and `read` as text.

use std::fmt::Write as _;

use kernel::what::What;

use crate::look::{SymbolList, WhatList, Words};
use crate::report::printable;
use crate::report::table::{address, table};

/// Symbols.
pub fn symbols(list: &SymbolList, width: Option<usize>) -> String {
    let rows = list.rows.iter().map(|row| {
        let module = row.module.as_ref().map(|m| format!(" [{m}]")).unwrap_or_default();
        vec![address(row.address), format!("{}{module}", row.symbol), row.lines.join(" < ")]
    });
    table(&["ADDRESS", "SYMBOL", ""], rows, width)
}

/// What addresses are.
pub fn whats(list: &WhatList) -> String {
    list.items.iter().map(what).collect::<Vec<_>>().join("\n")
}

/// What an address is.
fn what(what: &What) -> String {
    let mut out = String::new();
    let mut row = |name: &str, value: String| {
        let _ = writeln!(out, "{name:10}{}", printable(&value));
    };
    if let Some(at) = what.address {
        row("address", address(at));
    }
    row("it is", what.summary());
    if let Some(symbol) = &what.symbol {
        let module = what.module.as_ref().map(|m| format!(" [{m}]")).unwrap_or_default();
        row("symbol", format!("{symbol}{module}"));
    } else if let Some(module) = &what.module {
        row("module", module.clone());
    }
    if let Some(section) = what.section {
        row("section", section.to_owned());
    }
    if let Some(object) = &what.slab {
        let state = match object.allocated {
            Some(true) => "allocated",
            Some(false) => "free",
            None => "allocated or free, its lists cannot tell",
        };
        row("slab", format!("{}: object {} + {:#x}, {state}", object.cache, address(object.object), object.offset));
    }
    if let Some(tracks) = what.slab.as_ref().and_then(|object| object.tracks.as_ref()) {
        for (name, track) in [("made by", &tracks.allocated), ("freed by", &tracks.freed)] {
            if let Some(track) = track {
                row(name, track.text());
            }
        }
    }
    if let Some((pid, comm)) = &what.task {
        row("task", format!("{pid} {comm}"));
    }
    if let Some((pid, comm)) = &what.stack_of {
        row("stack", format!("of task {pid} {comm}"));
    }
    if let Some((cpu, kind)) = &what.cpu_stack {
        row("stack", format!("{kind} of CPU {cpu}"));
    }
    if let Some((cpu, variable)) = &what.per_cpu {
        row("per-CPU", format!("{variable} of CPU {cpu}"));
    }
    if let Some(area) = &what.vmalloc {
        let by = area.caller.as_ref().map(|caller| format!(", made by {caller}")).unwrap_or_default();
        let state = match (area.freed, area.guard) {
            (true, _) => ", given back",
            (false, true) => ", its guard page",
            (false, false) => "",
        };
        row("vmalloc", format!("{} bytes from {}{by}{state}", area.size, address(area.start)));
    }
    if let Some(value) = &what.value {
        row("value", value.clone());
    }
    if let Some(physical) = what.physical {
        row("physical", format!("{:#x}{}", physical.0, if what.direct_map { ", in the direct map" } else { "" }));
    }
    if let Some(page) = what.page {
        let mut text = address(page);
        if let Some(state) = &what.page_state {
            if state.free {
                text.push_str("  free");
            }
            if let Some(count) = state.references {
                let _ = write!(text, "  count {count}");
            }
            if !state.flags.is_empty() {
                let _ = write!(text, "  flags {}", state.flags.join(","));
            }
            match (&state.file, state.mapping) {
                (Some((inode, device)), _) => {
                    let _ = write!(text, "  of inode {inode} on {device}");
                }
                (None, Some(mapping)) => {
                    let _ = write!(text, "  {mapping}");
                }
                _ => {}
            }
        }
        row("page", text);
    }
    if let Some(why) = &what.unreadable {
        row("not read", why.clone());
    }
    out
}

/// Words of memory, two a line. Names that have no room beside them go below.
pub fn words(view: &Words, width: Option<usize>) -> String {
    let mut out = String::new();
    for pair in view.words.chunks(2) {
        let Some(first) = pair.first() else { continue };
        let values: Vec<String> = pair.iter().map(|word| address(word.value)).collect();
        let names: Vec<&str> = pair.iter().filter_map(|word| word.symbol.as_deref()).collect();
        let texts: String = pair.iter().map(|word| word.text.as_str()).collect();
        let (values, names) = (values.join(" "), printable(&names.join(" ")));
        let line = format!("{}:  {values:33}   {texts:16}  ", address(first.address));
        let below = width.is_some_and(|width| line.len() + names.chars().count() > width && !names.is_empty());
        let line = if below { format!("{}\n{:19}", line.trim_end(), "") } else { line };
        let _ = writeln!(out, "{}", format!("{line}{names}").trim_end());
    }
    if let Some(why) = &view.stopped {
        let _ = writeln!(out, "stopped: {}", printable(why));
    }
    out
}
