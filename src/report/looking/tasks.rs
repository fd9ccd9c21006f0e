//! `ps`, `bt` and `waits` as text.

use std::fmt::Write as _;

use facts::{Ended, Found};

use crate::look::{Backtraces, LineRow, Processes, RegisterRow, Side, TaskName, Trace, WaitView};
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

/// All that is known of each task.
pub fn processes_in_detail(view: &Processes, width: Option<usize>) -> String {
    let mut out = String::new();
    for t in &view.tasks {
        let _ = writeln!(
            out,
            "PID: {}  TASK: {}  CPU: {}  ST: {}  COMMAND: \"{}\"{}",
            t.pid,
            address(t.task),
            or_dash(t.cpu),
            t.state,
            printable(&t.comm),
            if t.running { "  running" } else { "" },
        );
        let mut row = |name: &str, value: String| {
            wrapped(&mut out, &format!("  {name:11}{}", printable(&value)), width);
        };
        let kind = if t.kthread { ", kernel thread" } else { "" };
        row("process", format!("{}, parent {}{kind}", t.tgid, t.ppid));
        let at = |ns: Option<u64>, of: &str| match ns {
            Some(ns) => format!("{} s {of}", nanoseconds(ns)),
            None => "not known".to_owned(),
        };
        row("started", at(t.start_ns, "after boot"));
        let since = t.off_cpu_ns.map(|ns| format!(", {} s ago", nanoseconds(ns))).unwrap_or_default();
        row("last ran", format!("{}{since}", at(t.last_run_ns, "by its CPU's clock")));
        if let Some(switches) = &t.switches {
            row("switches", format!("{} voluntary, {} forced", switches.voluntary, switches.forced));
        }
        row("cgroup", or_dash(t.cgroup.as_deref()));
        if let Some(n) = &t.namespaces {
            let all = [("net", n.net), ("mnt", n.mnt), ("uts", n.uts), ("ipc", n.ipc), ("pid", n.pid)];
            let all: Vec<String> = all.iter().map(|(name, inum)| format!("{name} {}", or_dash(*inum))).collect();
            row("namespaces", all.join(", "));
        }
        if let Some(mapped) = t.virtual_bytes {
            let kib = |bytes: u64| format!("{}k", bytes / 1024);
            let resident = t.resident_bytes.map_or_else(|| "?".to_owned(), kib);
            let locked = t.locked_bytes.filter(|bytes| *bytes > 0).map(|bytes| format!(", locked {}", kib(bytes)));
            row("memory", format!("VSZ {}, RSS {resident}{}", kib(mapped), locked.unwrap_or_default()));
        }
    }
    gaps(&mut out, &view.gaps);
    out
}

fn nanoseconds(ns: u64) -> String {
    format!("{}.{:09}", ns / 1_000_000_000, ns % 1_000_000_000)
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

fn heading(task: &TaskName, width: Option<usize>) -> String {
    let first =
        format!("PID: {}  TASK: {}  CPU: {}  ST: {}", task.pid, address(task.task), or_dash(task.cpu), task.state);
    let second = format!(
        "COMMAND: \"{}\"{}{}",
        printable(&task.comm),
        if task.running { "  running" } else { "" },
        if task.crashed { "  CRASHED" } else { "" },
    );
    let fits = width.is_none_or(|width| first.len() + 2 + second.chars().count() <= width);
    format!("{first}{}{second}\n", if fits { "  " } else { "\n  " })
}

/// Call stacks.
pub fn backtraces(view: &Backtraces, registers: bool, width: Option<usize>) -> String {
    let mut out = String::new();
    for (n, trace) in view.traces.iter().enumerate() {
        if n > 0 {
            out.push('\n');
        }
        one(&mut out, trace, registers, width);
    }
    gaps(&mut out, &view.gaps);
    out
}

/// A line, in a terminal broken at blanks; what follows is indented by four more than the line.
fn wrapped(out: &mut String, line: &str, width: Option<usize>) {
    let text = line.trim_start_matches(' ');
    let indent = line.len() - text.len();
    out.push_str(&" ".repeat(indent));
    let mut column = indent;
    for (nth, word) in text.split(' ').enumerate() {
        let length = word.chars().count();
        if nth > 0 && width.is_some_and(|width| column + 1 + length > width) {
            out.push('\n');
            out.push_str(&" ".repeat(indent + 4));
            column = indent + 4;
        } else if nth > 0 {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += length;
    }
    out.push('\n');
}

/// Tasks named before a group of equal stacks.
const MAX_NAMES: usize = 12;

/// Registers in rows that fit the terminal: four of 20 columns in a pipe.
fn register_rows(out: &mut String, registers: &[RegisterRow], width: Option<usize>) {
    let cells: Vec<String> = registers.iter().map(|r| format!("{:>4}: {}", r.name, address(r.value))).collect();
    let widest = cells.iter().map(String::len).max().unwrap_or(0) + 1;
    let fit = width.map_or(4, |width| (width.saturating_sub(4) / widest).clamp(1, 4));
    for row in cells.chunks(fit) {
        let _ = writeln!(out, "    {}", row.join(" "));
    }
}

fn one(out: &mut String, trace: &Trace, registers: bool, width: Option<usize>) {
    match trace.tasks.as_slice() {
        [task] => out.push_str(&heading(task, width)),
        tasks => {
            let mut names: Vec<String> =
                tasks.iter().take(MAX_NAMES).map(|t| format!("{} {}", t.pid, printable(&t.comm))).collect();
            if tasks.len() > MAX_NAMES {
                names.push(format!("and {} more", tasks.len() - MAX_NAMES));
            }
            wrapped(out, &format!("{} TASKS: {}", tasks.len(), names.join(", ")), width);
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
        for (depth, LineRow { function, line }) in frame.lines.iter().enumerate() {
            let inlined = if depth + 1 < frame.lines.len() { format!("{function} (inlined) ") } else { String::new() };
            let _ = writeln!(out, "       {}", printable(&format!("{inlined}{line}")));
        }
        if frame.interrupted
            && let Some(set) = trace.registers.iter().find(|set| set.frame == n)
        {
            out.push_str("    --- interrupted here ---\n");
            register_rows(out, &set.registers, width);
        }
    }
    if let Some(user) = &trace.user {
        let of = |name: &str| user.registers.iter().find(|r| r.name == name).map(|r| address(r.value));
        let (pc, sp) = (of("rip").or_else(|| of("pc")), of("rsp").or_else(|| of("sp")));
        let came = match (user.system_call, &user.name) {
            (Some(number), Some(name)) => format!("system call {number} ({name})"),
            (Some(number), None) => format!("system call {number}"),
            (None, _) => "an interrupt or exception".to_owned(),
        };
        let (pc, sp) = (pc.as_deref().unwrap_or("?"), sp.as_deref().unwrap_or("?"));
        wrapped(out, &format!("    {} from user mode at {pc}, stack {sp}", printable(&came)), width);
        if registers {
            register_rows(out, &user.registers, width);
        }
    }
    if let Ended::Broken(why) = &trace.ended {
        let _ = writeln!(out, "    torn off: {}", printable(why));
    }
    if let Some(joined) = &trace.joined {
        let quote = joined.quote.as_deref().unwrap_or(&joined.event);
        wrapped(out, &format!("  joined with the log's report: {}", printable(quote)), width);
        for frame in &joined.frames {
            let side = match frame.side {
                Side::Both => " ",
                Side::Memory => "+",
                Side::Log => "-",
            };
            let _ = writeln!(out, "   {side} {}", printable(&frame.function));
        }
        let (since, all, differ) = (joined.since, joined.frames.len(), joined.differ);
        let told = format!("    {since} of {all} frames ran since the report; {differ} others differ");
        wrapped(out, &format!("{told} (+ only in memory, - only in the log)"), width);
    }
}

/// Who waits on whom.
pub fn waiting(view: &WaitView, width: Option<usize>) -> String {
    let mut out = String::new();
    for cycle in &view.cycles {
        let tasks: Vec<String> = cycle.tasks.iter().map(|(pid, comm)| format!("{pid} {comm}")).collect();
        let first = tasks.first().cloned().unwrap_or_default();
        let certain = if cycle.confirmed { "DEADLOCK" } else { "possible deadlock (an owner in it is not certain)" };
        wrapped(&mut out, &printable(&format!("{certain}: {} -> {first}", tasks.join(" -> "))), width);
    }
    if !view.locks.is_empty() {
        let rows = view.locks.iter().map(|w| {
            let lock = match (&w.symbol, w.lock) {
                (Some(symbol), _) => symbol.clone(),
                (None, Some(lock)) => address(lock),
                _ => "?".to_owned(),
            };
            let owner = match (w.owner_pid, w.owner) {
                _ if w.owner_died.is_some() => "a task that died".to_owned(),
                (Some(pid), _) => {
                    let comm = w.owner_comm.as_deref().unwrap_or_default();
                    let doubt = match (w.owner_left, w.owner_certain) {
                        (Some("exited"), _) => " (exited)",
                        (Some(_), _) => " (or one that exited)",
                        (None, false) => " (last reader)",
                        (None, true) => "",
                    };
                    format!("{pid} {comm}{doubt}")
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
                (Some(_), Some(bit), Some(filesystem), Some(_)) if filesystem == "bdev" => {
                    format!("{bit}, block device {}", w.device.as_deref().unwrap_or_default())
                }
                (Some(_), Some(bit), Some(filesystem), Some(inode)) => {
                    format!("{bit}, inode {inode} on {filesystem}")
                }
                (Some(_), Some(bit), Some(filesystem), None) => format!("{bit}, {filesystem}"),
                (Some(object), Some(bit), ..) => format!("{object}, {bit}"),
                (Some(object), None, ..) => object,
            };
            let object = match (&w.device, w.io, &w.operation) {
                (None, ..) | (_, None | Some("page"), _) => object,
                (Some(device), _, Some(operation)) => format!("{object}, {operation} on {device}"),
                (Some(device), Some(io), None) => format!("{object}, {io} of {device}"),
            };
            let object = match (w.waker_pid, &w.waker_comm) {
                (Some(pid), _) if pid == w.pid => format!("{object}, waits for ITSELF"),
                (Some(pid), Some(comm)) => format!("{object}, waits for {pid} {comm}"),
                _ => object,
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
    for task in &view.halted {
        wrapped(&mut out, &printable(&format!("{} {} {}", task.pid, task.comm, task.halted)), width);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_keeps_its_indent_and_is_broken_at_blanks_in_a_terminal() {
        let mut out = String::new();
        wrapped(&mut out, "  last ran   one two", Some(18));
        wrapped(&mut out, "  last ran   one two", None);
        assert_eq!(out, "  last ran   one\n      two\n  last ran   one two\n");
    }
}
