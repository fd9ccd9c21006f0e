//! `ps`, `bt` and `waits` as text.

use std::fmt::Write as _;

use facts::{Ended, Found};

use crate::look::{Backtraces, Processes, Side, TaskName, Trace, WaitView};
use crate::report::printable;
use crate::report::table::{address, gaps, or_dash, table};

/// The task list.
pub fn processes(view: &Processes, width: Option<usize>) -> String {
    let rows = view.tasks.iter().map(|t| {
        // crash marks what runs with >, and kernel threads with brackets.
        let name = if t.kthread { format!("[{}]", t.comm) } else { t.comm.clone() };
        vec![
            format!("{}{}", if t.running { ">" } else { " " }, t.pid),
            t.ppid.to_string(),
            or_dash(t.cpu),
            address(t.task),
            t.state.to_string(),
            t.off_cpu_ns.map_or_else(|| "-".to_owned(), seconds),
            format!("{}{name}", "  ".repeat(t.depth.min(40))),
        ]
    });
    let mut out = table(&[">PID", ">PPID", ">CPU", "TASK", "ST", ">OFF-CPU s", "COMM"], rows, width);
    let states: Vec<String> = view.states.iter().map(|(state, n)| format!("{n} {state}")).collect();
    let _ = writeln!(out, "{} shown; of all tasks: {}", view.tasks.len(), states.join(", "));
    gaps(&mut out, &view.gaps);
    out
}

/// Seconds with three decimals.
fn seconds(ns: u64) -> String {
    format!("{}.{:03}", ns / 1_000_000_000, ns / 1_000_000 % 1000)
}

/// How a frame was found, in a word.
fn found(found: Found) -> &'static str {
    match found {
        Found::Registers => "registers",
        Found::Orc => "orc",
        Found::FramePointer => "frame pointer",
        Found::Cfi => "cfi",
        Found::Scan => "scan",
        Found::Printed => "printed",
    }
}

fn heading(task: &TaskName) -> String {
    format!(
        "PID: {}  TASK: {}  CPU: {}  ST: {}  COMMAND: \"{}\"{}{}\n",
        task.pid,
        address(task.task),
        or_dash(task.cpu),
        task.state,
        printable(&task.comm),
        if task.running { "  running" } else { "" },
        if task.crashed { "  CRASHED" } else { "" },
    )
}

/// Call stacks.
pub fn backtraces(view: &Backtraces, width: Option<usize>) -> String {
    let mut out = String::new();
    for (n, trace) in view.traces.iter().enumerate() {
        if n > 0 {
            out.push('\n');
        }
        one(&mut out, trace, width);
    }
    gaps(&mut out, &view.gaps);
    out
}

/// Tasks named before a group of equal stacks.
const MAX_NAMES: usize = 12;

fn one(out: &mut String, trace: &Trace, width: Option<usize>) {
    match trace.tasks.as_slice() {
        [task] => out.push_str(&heading(task)),
        tasks => {
            let mut names: Vec<String> =
                tasks.iter().take(MAX_NAMES).map(|t| format!("{} {}", t.pid, printable(&t.comm))).collect();
            if tasks.len() > MAX_NAMES {
                names.push(format!("and {} more", tasks.len() - MAX_NAMES));
            }
            let _ = writeln!(out, "{} TASKS: {}", tasks.len(), names.join(", "));
        }
    }
    if let Some(none) = &trace.none {
        let _ = writeln!(out, "    no frames: {none}");
        return;
    }
    for (n, frame) in trace.frames.iter().enumerate() {
        let mut name = match &frame.function {
            Some(function) => format!("{function}+{:#x}", frame.offset),
            None => "?".to_owned(),
        };
        if let Some(size) = frame.size.filter(|_| frame.function.is_some()) {
            let _ = write!(name, "/{size:#x}");
        }
        if let Some(module) = &frame.module {
            let _ = write!(name, " [{module}]");
        }
        let sp = frame.sp.map_or_else(String::new, |sp| format!("[{}] ", address(sp)));
        let mark = if frame.found == Found::Scan { "? " } else { "" };
        let line =
            format!(" #{n:<2} {sp}{mark}{} at {}  ({})", printable(&name), address(frame.pc), found(frame.found));
        let short = format!(" #{n:<2} {mark}{}  ({})", printable(&name), found(frame.found));
        out.push_str(if width.is_some_and(|width| line.len() > width) { &short } else { &line });
        out.push('\n');
        for (depth, (function, line)) in frame.lines.iter().enumerate() {
            let inlined = if depth + 1 < frame.lines.len() { format!("{function} (inlined) ") } else { String::new() };
            let _ = writeln!(out, "       {}", printable(&format!("{inlined}{line}")));
        }
        if frame.interrupted
            && let Some((_, registers)) = trace.registers.iter().find(|(at, _)| *at == n)
        {
            out.push_str("    --- interrupted here ---\n");
            for row in registers.chunks(4) {
                let row: Vec<String> = row.iter().map(|(name, v)| format!("{name:>4}: {}", address(*v))).collect();
                let _ = writeln!(out, "    {}", row.join(" "));
            }
        }
    }
    if let Ended::Broken(why) = &trace.ended {
        let _ = writeln!(out, "    torn off: {}", printable(why));
    }
    if let Some(joined) = &trace.joined {
        let quote = joined.quote.as_deref().unwrap_or(&joined.event);
        let _ = writeln!(out, "  joined with the log's report: {}", printable(quote));
        for frame in &joined.frames {
            let side = match frame.side {
                Side::Both => " ",
                Side::Memory => "+",
                Side::Log => "-",
            };
            let _ = writeln!(out, "   {side} {}", printable(&frame.function));
        }
        let _ = writeln!(
            out,
            "    {} of {} frames ran since the report; {} others differ (+ only in memory, - only in the log)",
            joined.since,
            joined.frames.len(),
            joined.differ
        );
    }
}

/// Who waits on whom.
pub fn waiting(view: &WaitView, width: Option<usize>) -> String {
    let mut out = String::new();
    for cycle in &view.cycles {
        let tasks: Vec<String> = cycle.tasks.iter().map(|(pid, comm)| format!("{pid} {comm}")).collect();
        let first = tasks.first().cloned().unwrap_or_default();
        let certain = if cycle.confirmed { "DEADLOCK" } else { "possible deadlock (readers hold a lock in it)" };
        let _ = writeln!(out, "{certain}: {} -> {}", printable(&tasks.join(" -> ")), printable(&first));
    }
    if !view.locks.is_empty() {
        let rows = view.locks.iter().map(|w| {
            let lock = match (&w.symbol, w.lock) {
                (Some(symbol), _) => symbol.clone(),
                (None, Some(lock)) => address(lock),
                _ => "?".to_owned(),
            };
            let owner = match (w.owner_pid, w.owner) {
                (Some(pid), _) => {
                    let comm = w.owner_comm.as_deref().unwrap_or_default();
                    format!("{pid} {comm}{}", if w.owner_certain { "" } else { " (last reader)" })
                }
                (None, Some(at)) => format!("no task at {}", address(at)),
                _ => "-".to_owned(),
            };
            let frozen = w.frozen.as_ref().map(|block| match &block.path {
                Some(path) => format!("frozen {} on {path}", block.device),
                None => format!("frozen {}", block.device),
            });
            let owner = frozen.unwrap_or(owner);
            let mode = w.mode.map(|m| format!(" {m}")).unwrap_or_default();
            vec![
                w.pid.to_string(),
                w.comm.clone(),
                w.state.to_string(),
                format!("{}{mode}", w.kind),
                lock,
                owner,
                or_dash(w.readers),
                w.waiters.to_string(),
            ]
        });
        let header = [">PID", "COMM", "ST", "WAITS FOR", "LOCK", "HELD BY", ">READERS", ">WAITERS"];
        out.push_str(&table(&header, rows, width));
    }
    if !view.others.is_empty() {
        if !out.is_empty() {
            out.push('\n');
        }
        let rows = view.others.iter().map(|w| {
            let object = w.symbol.clone().or_else(|| w.object.map(address));
            let object = match (object, &w.bit, &w.filesystem, w.inode) {
                (None, ..) => "-".to_owned(),
                (Some(_), Some(bit), Some(filesystem), Some(inode)) => {
                    format!("{bit}, inode {inode} on {filesystem}")
                }
                (Some(object), Some(bit), ..) => format!("{object}, {bit}"),
                (Some(object), None, ..) => object,
            };
            vec![
                w.pid.to_string(),
                w.comm.clone(),
                w.state.to_string(),
                w.kind.unwrap_or("not known").to_owned(),
                object,
                or_dash(w.waits_in.as_deref()),
                or_dash(w.waiters),
            ]
        });
        let header = [">PID", "COMM", "ST", "WAITS FOR", "OBJECT", "IN", ">WAITERS"];
        out.push_str(&table(&header, rows, width));
    }
    for pool in &view.pools {
        let name = pool.symbol.clone().unwrap_or_else(|| address(pool.pool));
        let sleepers: Vec<String> = pool.sleepers.iter().map(|(pid, comm)| format!("{pid} {comm}")).collect();
        let _ = writeln!(
            out,
            "memory pool {} ({}): {} of {} elements in reserve; waiting: {}",
            printable(&name),
            printable(pool.cache.as_deref().unwrap_or("no slab cache")),
            pool.curr_nr,
            pool.min_nr,
            printable(&sleepers.join(", "))
        );
    }
    if out.is_empty() {
        out.push_str(match view.gaps.is_empty() {
            true => "no task waits for a sleeping lock or a memory pool, and none sleeps in state D\n",
            false => "which tasks wait, and for what: not known\n",
        });
    }
    gaps(&mut out, &view.gaps);
    out
}
