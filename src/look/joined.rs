//! A trace from memory beside the one that the log printed of the same task or CPU.

use facts::{Fact, Stack};
use kernel::Kernel;
use kernel::stacks::without_suffix;
use serde::Serialize;

use super::backtrace::Trace;

/// Where a frame was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// In memory and in the log.
    Both,
    /// In memory only.
    Memory,
    /// In the log only.
    Log,
}

/// One frame of the joined trace, innermost first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct JoinedFrame {
    /// Where it was seen.
    pub side: Side,
    /// Function.
    pub function: String,
    /// Offset in the function, bytes, where known.
    pub offset: Option<u64>,
}

/// The two traces as one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Joined {
    /// What the log's report is: `log.oops`.
    pub event: String,
    /// Its first line.
    pub quote: Option<String>,
    /// Frames of memory on top of the report's: what ran since it was printed.
    pub since: usize,
    /// Other frames that only one side has.
    pub differ: usize,
    /// Frames.
    pub frames: Vec<JoinedFrame>,
}

/// Joins a trace with the first report of the log that names the same process or, for a running task, the same CPU.
/// Frames match by function, compiler suffixes left out, or by address, as a function may have several names and the
/// return address of a call that never returns lies in the next one. Printed frames with `?` are left out, and those of
/// the functions that printed the trace.
pub fn join(kernel: &Kernel<'_>, trace: &mut Trace, facts: &[Fact]) {
    let [task] = trace.tasks.as_slice() else { return };
    let same = |fact: &&Fact| {
        let number = |name| {
            fact.get(name).and_then(|v| match v {
                facts::Value::Int(n) => Some(*n),
                _ => None,
            })
        };
        fact.kind.starts_with("log.")
            && !fact.stacks.is_empty()
            && match number("pid") {
                Some(pid) => pid == i64::from(task.pid) && fact.text("comm").is_none_or(|comm| comm == task.comm),
                None => task.running && task.cpu.is_some() && number("cpu") == task.cpu.map(i64::from),
            }
    };
    // The first report is the failure; what follows are its consequences.
    let Some(fact) = facts.iter().find(|f| same(f) && f.kind == "log.oops").or_else(|| facts.iter().find(same)) else {
        return;
    };
    let Some(stack) = fact.stacks.first() else { return };
    let frames = merge(kernel, trace, fact.text("function"), stack);
    let since = match frames.iter().position(|frame| frame.side != Side::Memory) {
        // Traces that have nothing in common are of two times.
        Some(first) if frames.iter().any(|frame| frame.side == Side::Both) => first,
        _ => 0,
    };
    let differ = frames.iter().skip(since).filter(|frame| frame.side != Side::Both).count();
    trace.joined = Some(Joined {
        since,
        differ,
        event: fact.kind.to_string(),
        quote: fact.quote.lines().next().map(str::to_owned).filter(|line| !line.is_empty()),
        frames,
    });
}

/// A function's name without what the compiler appends. Printed traces name a label inside the system call's entry,
/// not the entry.
fn bare(name: &str) -> &str {
    let name = without_suffix(name);
    let name = name.strip_suffix("_after_hwframe").unwrap_or(name);
    // Before 4.17 a system call has three names at one address, of which the log prints SyS_.
    let name = name.strip_prefix("SyS_").or_else(|| name.strip_prefix("sys_")).unwrap_or(name);
    name.strip_suffix("_fastpath").unwrap_or(name)
}

/// Functions that print a trace, as they stand on top of it.
const PRINTERS: [&str; 8] = [
    "dump_backtrace",
    "show_stack",
    "show_stack_log_lvl",
    "show_trace_log_lvl",
    "show_regs",
    "__dump_stack",
    "dump_stack",
    "dump_stack_lvl",
];

/// A frame of one side.
struct Seen {
    function: String,
    offset: Option<u64>,
    /// Addresses it may stand for: of a printed name that several functions have, each.
    at: Vec<u64>,
}

fn merge(kernel: &Kernel<'_>, trace: &Trace, top: Option<&str>, stack: &Stack) -> Vec<JoinedFrame> {
    let memory: Vec<Seen> = trace
        .frames
        .iter()
        .filter_map(|f| Some(Seen { function: f.function.clone()?, offset: Some(f.offset), at: vec![f.pc.0] }))
        .collect();
    let addresses = |function: &str, offset: u64| -> Vec<u64> {
        let of_modules = kernel.module_symbols(function).into_iter().map(|(at, _)| at.0);
        kernel.symbols(function).into_iter().chain(of_modules).map(|at| at.wrapping_add(offset)).collect()
    };
    // A call that never returns stands at the end of its function: the address behind it is the start of the next one, which
    // is no sure frame by itself.
    let follows_call = |frame: &facts::Frame| {
        let name = frame.function.as_deref().filter(|_| frame.offset == Some(0));
        name.is_some_and(|name| {
            let starts: Vec<u64> = addresses(name, 0);
            memory.iter().any(|seen| seen.at.iter().any(|at| starts.contains(at)))
        })
    };
    let mut log: Vec<Seen> = stack
        .frames
        .iter()
        .filter(|f| !f.inline && (f.reliable || follows_call(f)))
        .filter_map(|f| {
            let function = f.function.as_deref()?.to_owned();
            let at = f.offset.map(|offset| addresses(&function, offset)).unwrap_or_default();
            Some(Seen { function, offset: f.offset, at })
        })
        .skip_while(|frame| PRINTERS.contains(&bare(&frame.function)))
        .collect();
    // An oops prints the innermost function as RIP, before the trace.
    if let Some(top) = top.filter(|top| log.first().is_none_or(|frame| frame.function != *top)) {
        log.insert(0, Seen { function: top.to_owned(), offset: None, at: Vec::new() });
    }
    let equal = |a: &Seen, b: &Seen| bare(&a.function) == bare(&b.function) || a.at.iter().any(|at| b.at.contains(at));
    // Longest common subsequence; both have at most some hundred frames.
    let (rows, columns) = (memory.len().min(512), log.len().min(512));
    let mut best = vec![vec![0u16; columns + 1]; rows + 1];
    let at = |best: &Vec<Vec<u16>>, r: usize, c: usize| best.get(r).and_then(|row| row.get(c)).copied().unwrap_or(0);
    for r in (0..rows).rev() {
        for c in (0..columns).rev() {
            let same = matches!((memory.get(r), log.get(c)), (Some(a), Some(b)) if equal(a, b));
            let value = match same {
                true => at(&best, r + 1, c + 1) + 1,
                false => at(&best, r + 1, c).max(at(&best, r, c + 1)),
            };
            if let Some(cell) = best.get_mut(r).and_then(|row| row.get_mut(c)) {
                *cell = value;
            }
        }
    }
    let (mut r, mut c) = (0, 0);
    let mut frames = Vec::new();
    let mut push = |side, frame: &Seen| {
        frames.push(JoinedFrame { side, function: frame.function.clone(), offset: frame.offset });
    };
    loop {
        match (memory.get(r).filter(|_| r < rows), log.get(c).filter(|_| c < columns)) {
            (Some(a), Some(b)) if equal(a, b) => {
                push(Side::Both, a);
                (r, c) = (r + 1, c + 1);
            }
            (Some(a), b) if b.is_none() || at(&best, r + 1, c) >= at(&best, r, c + 1) => {
                push(Side::Memory, a);
                r += 1;
            }
            (_, Some(b)) => {
                push(Side::Log, b);
                c += 1;
            }
            _ => return frames,
        }
    }
}
