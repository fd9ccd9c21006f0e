//! `dis` as text, in the form of crash.

use std::fmt::Write as _;

use crate::look::CodeView;
use crate::report::printable;
use crate::report::table::gaps;

/// Instructions.
pub fn code(view: &CodeView, bytes: bool, width: Option<usize>) -> String {
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
    // A terminal gets the function's name once.
    let start = view.function.as_deref().filter(|_| width.is_some_and(|width| width < 120));
    let name = |symbol: &str| match start.and_then(|function| symbol.strip_prefix(function)) {
        Some(rest) if rest.is_empty() || rest.starts_with(" [") => "<+0>:".to_owned(),
        Some(rest) if rest.starts_with('+') => format!("<{}>:", rest.split(' ').next().unwrap_or(rest)),
        _ => format!("<{symbol}>:"),
    };
    let wide = view.instructions.iter().filter_map(|i| i.symbol.as_deref()).map(|s| name(s).len()).max().unwrap_or(0);
    if let Some(function) = start {
        let module = view.module.as_ref().map(|module| format!(" [{module}]")).unwrap_or_default();
        let _ = writeln!(out, "{}{}:", printable(function), printable(&module));
    }
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
        let symbol = instruction.symbol.as_deref().map(name).unwrap_or_default();
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

#[cfg(test)]
mod tests {
    use facts::Address;

    use super::*;
    use crate::look::CodeRow;

    #[test]
    fn a_narrow_terminal_gets_the_name_of_the_function_once() {
        let row = |at: u64, symbol: &str| CodeRow {
            address: Address(at),
            symbol: Some(symbol.to_owned()),
            bytes: "90".to_owned(),
            text: "nop".to_owned(),
            target: None,
            target_symbol: None,
            marked: false,
            lines: Vec::new(),
        };
        let view = CodeView {
            function: Some("rawv6_close".to_owned()),
            module: Some("ipv6".to_owned()),
            address: Address(0x1000),
            instructions: vec![row(0x1000, "rawv6_close [ipv6]"), row(0x1001, "rawv6_close+1 [ipv6]")],
            before: 0,
            after: 0,
            data: false,
            gaps: Vec::new(),
        };
        assert_eq!(code(&view, false, Some(80)), "rawv6_close [ipv6]:\n0x1000 <+0>: nop\n0x1001 <+1>: nop\n");
        let wide = code(&view, false, None);
        assert!(wide.contains("0x1001 <rawv6_close+1 [ipv6]>: nop"), "{wide}");
    }
}
