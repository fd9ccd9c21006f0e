//! `dis` as text, in the form of crash.

use std::fmt::Write as _;

use crate::look::CodeView;
use crate::report::printable;
use crate::report::table::gaps;

/// Instructions.
pub fn code(view: &CodeView, bytes: bool) -> String {
    let mut out = String::new();
    if view.data {
        let at = view.address.0;
        let _ = writeln!(out, "{at:#x} is data, no code: its page cannot be run, and what follows means nothing");
    }
    if view.before > 0 {
        let _ = writeln!(out, "   ... {} instructions before (-r)", view.before);
    }
    let mut line = None;
    let widest = view.instructions.iter().map(|i| i.bytes.len()).max().unwrap_or(0);
    let wide = view.instructions.iter().filter_map(|i| i.symbol.as_ref()).map(|s| s.len() + 3).max().unwrap_or(0);
    // A mark only where there is something to tell apart.
    let marks = view.instructions.iter().any(|i| i.marked);
    for instruction in &view.instructions {
        if !instruction.lines.is_empty() && line != Some(&instruction.lines) {
            let names: Vec<String> = instruction.lines.iter().map(|l| format!("{} ({})", l.line, l.function)).collect();
            let _ = writeln!(out, "{}", printable(&names.join(" < ")));
            line = Some(&instruction.lines);
        }
        let mark = match (marks, instruction.marked) {
            (false, _) => "",
            (true, true) => "=> ",
            (true, false) => "   ",
        };
        let symbol = instruction.symbol.as_ref().map(|s| format!("<{s}>:")).unwrap_or_default();
        let raw = if bytes { format!("{:widest$}  ", instruction.bytes) } else { String::new() };
        let mut text = instruction.text.clone();
        if let Some(at) = instruction.target {
            // A branch has its target in the text already.
            if !text.contains(&format!("{:#x}", at.0)) {
                let _ = write!(text, "        # {:#x}", at.0);
            }
            if let Some(target) = &instruction.target_symbol {
                let _ = write!(text, " <{target}>");
            }
        }
        let row = format!("{mark}{:#x} {symbol:wide$} {raw}{text}", instruction.address.0);
        let _ = writeln!(out, "{}", printable(row.trim_end()));
    }
    if view.after > 0 {
        let _ = writeln!(out, "   ... {} instructions after (-f)", view.after);
    }
    gaps(&mut out, &view.gaps);
    out
}
