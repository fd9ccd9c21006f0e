//! Lines and parts of lines that all reports have in common.

use std::sync::Arc;

use super::frame;
use crate::cursor::{Cursor, has, head_of};
use crate::event::Location;

/// `CPU3: stopping` of arm, arm64, csky and RISC-V.
pub(crate) fn stopped_cpu(text: &str) -> Option<u32> {
    text.strip_prefix("CPU")?.strip_suffix(": stopping")?.parse().ok()
}

/// `Call Trace:`, `Call trace:`, `Backtrace:`, `stack backtrace:`, `Stack:`
pub(crate) fn is_trace_head(text: &str) -> bool {
    let text = text.strip_prefix("kernel ").unwrap_or(text);
    const HEADS: &[&str] =
        &["Call Trace:", "Call trace:", "Backtrace:", "stack backtrace:", "call trace:", "Stack traceback"];
    head_of(text, HEADS).is_some()
}

/// The CPU and the pid that a CPU line names.
pub(crate) fn speaks_of(text: &str) -> Option<(u32, i64)> {
    let mut c = Cursor::new(text);
    if !c.take("CPU: ") {
        return None;
    }
    let cpu = u32::try_from(c.blanks().number()?).ok()?;
    let mut user = c;
    if user.blanks().take("UID:") {
        user.blanks().number();
        c = user;
    }
    c.blanks().take("PID:").then(|| c.blanks().int()).flatten().map(|pid| (cpu, pid))
}

/// Does the line follow the header of a fault: `#PF: ...`, `Oops: 0002 [#1] SMP`?
pub(crate) fn goes_on_with_fault(text: &str) -> bool {
    text.starts_with("#PF: ") || text.starts_with("Oops: ") && has(text, "[#")
}

/// Is the line a frame and nothing else?
pub(crate) fn is_frame(text: &str) -> bool {
    (text.starts_with("[<") || frame::has_offset(text)) && frame::read(text).is_some()
}

/// Reads `func+0x12/0x34 [module]` at the start of `text`.
pub(crate) fn location(text: &str) -> Option<Location> {
    let frame = frame::read(text.trim())?;
    let owned = |name: &Arc<str>| name.as_ref().to_owned();
    let function = frame.function.as_ref().map(owned)?;
    Some(Location { function, offset: frame.offset, size: frame.size, module: frame.module.as_ref().map(owned) })
}

/// Reads a symbol with offset at the cursor: `func+0x12/0x34`.
pub(crate) fn location_at<'a>(c: &mut Cursor<'a>) -> Option<Location> {
    let (symbol, offset, size, rest) = frame::symbol(c.rest())?;
    let mut ahead = Cursor::new(rest);
    let mut module = None;
    let mut bracket = ahead;
    if bracket.take(" [")
        && let Some(name) = bracket.until("]")
    {
        module = name.split(' ').next().map(str::to_owned);
        ahead = bracket;
    }
    *c = ahead;
    Some(Location { function: symbol.to_owned(), offset, size, module })
}
