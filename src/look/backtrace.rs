//! `bt`: call stacks.

use facts::{Address, Ended, Found, Gap};
use kernel::stacks::CallStack;
use kernel::{Kernel, Task};
use serde::Serialize;

use super::joined::Joined;

/// What makes two stacks equal: address, way found and reliability of each frame, and how the trace ended.
type StackKey = (Vec<(u64, u8, bool)>, Option<String>);

/// Which tasks' stacks.
#[derive(Clone, Debug, Default)]
pub struct Which {
    /// Pids, addresses, command names.
    pub words: Vec<String>,
    /// All tasks.
    pub all: bool,
    /// Tasks that are current on a CPU.
    pub active: bool,
    /// Tasks in these states.
    pub states: String,
    /// Tasks whose command name contains this.
    pub comm: Option<String>,
    /// Tasks that are or were on this CPU.
    pub cpu: Option<u32>,
}

/// Who a stack belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TaskName {
    /// Thread id.
    pub pid: i32,
    /// Command name.
    pub comm: String,
    /// Address of its task_struct.
    pub task: Address,
    /// CPU it runs on or ran on last.
    pub cpu: Option<u32>,
    /// State letter.
    pub state: char,
    /// Whether it is current on its CPU.
    pub running: bool,
    /// Whether its CPU is the one that panicked.
    pub crashed: bool,
}

/// One frame, innermost first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FrameRow {
    /// Stack pointer; left out where equal stacks of several tasks are shown once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sp: Option<Address>,
    /// Program counter.
    pub pc: Address,
    /// Function; `null` when nothing names the address.
    pub function: Option<String>,
    /// Offset in the function, bytes.
    pub offset: u64,
    /// Size of the function, bytes.
    pub size: Option<u64>,
    /// Module of the function.
    pub module: Option<String>,
    /// How the frame was found.
    pub found: Found,
    /// Whether an interrupt or exception came here.
    pub interrupted: bool,
    /// Source lines, innermost inlined function first: function and `file:line`. Empty without a vmlinux.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<LineRow>,
}

/// A source line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LineRow {
    /// Function, as the source names it.
    pub function: String,
    /// `file:line`.
    pub line: String,
}

/// The registers that an interrupt or exception left.
#[derive(Clone, Debug, Serialize)]
pub struct RegisterSet {
    /// Number of the frame.
    pub frame: usize,
    /// The registers.
    pub registers: Vec<RegisterRow>,
}

/// How a user task entered the kernel.
#[derive(Clone, Debug, Serialize)]
pub struct UserRow {
    /// Number of the system call; `null` where an interrupt or an exception interrupted user mode.
    pub system_call: Option<u64>,
    /// Its name.
    pub name: Option<String>,
    /// Registers of user mode.
    pub registers: Vec<RegisterRow>,
}

/// A register.
#[derive(Clone, Debug, Serialize)]
pub struct RegisterRow {
    /// Its name.
    pub name: String,
    /// What it held.
    pub value: Address,
}

/// One stack, and the tasks that have it.
#[derive(Clone, Debug, Serialize)]
pub struct Trace {
    /// The tasks.
    pub tasks: Vec<TaskName>,
    /// Frames; empty for a task in user mode or a zombie.
    pub frames: Vec<FrameRow>,
    /// How the trace ended.
    pub ended: Ended,
    /// Why there are no frames.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub none: Option<String>,
    /// Registers that interrupts and exceptions left.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub registers: Vec<RegisterSet>,
    /// How a user task entered the kernel; left out for kernel threads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<UserRow>,
    /// The trace that the log has of the same task or CPU, joined with this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub joined: Option<Joined>,
}

/// The stacks chosen.
#[derive(Clone, Debug, Serialize)]
pub struct Backtraces {
    /// Stacks.
    pub traces: Vec<Trace>,
    /// What could not be read.
    pub gaps: Vec<Gap>,
    /// A sentence for each word that names no task.
    #[serde(skip)]
    pub missing: Vec<String>,
}

/// The stacks of the chosen tasks; without a choice those of the task that crashed, or else of the running tasks.
///
/// # Errors
/// A sentence when a word names no task, or no task fits.
pub fn backtraces(kernel: &Kernel<'_>, which: &Which) -> Result<Backtraces, String> {
    super::processes::check_states(&which.states)?;
    let walk = kernel.tasks();
    let crashed = kernel.crashed();
    let missing = super::missing_tasks(kernel, &walk.items, &which.words)?;
    let filtered = !which.states.is_empty() || which.comm.is_some() || which.cpu.is_some();
    let wanted = |task: &Task| {
        if which.active && !task.running {
            return false;
        }
        if filtered || !which.words.is_empty() {
            return (which.words.is_empty() || which.words.iter().any(|word| super::is_chosen(task, word)))
                && (which.states.is_empty() || which.states.contains(task.state))
                && which.comm.as_ref().is_none_or(|comm| task.comm.contains(comm.as_str()))
                && which.cpu.is_none_or(|cpu| task.cpu == Some(cpu));
        }
        which.all
            || which.active
            || match crashed.and_then(|c| c.task) {
                Some(task_of_crash) => task.address == task_of_crash,
                None => task.running,
            }
    };
    let tasks: Vec<Task> = walk.items.into_iter().filter(wanted).collect();
    if filtered && tasks.is_empty() {
        return Err("no task is in that state, on that CPU and of that name; `vmcoroner ps` lists them all".to_owned());
    }
    let stacks = kernel.stacks(&tasks);
    let traces = tasks
        .iter()
        .zip(&stacks)
        .map(|(task, stack)| {
            let on_crashed = task.running && crashed.is_some_and(|c| Some(c.cpu) == task.cpu);
            trace(kernel, task, stack.as_ref(), on_crashed)
        })
        .collect();
    let mut gaps = walk.gaps;
    gaps.extend(kernel.cpus().gaps);
    Ok(Backtraces { traces, gaps, missing })
}

fn trace(kernel: &Kernel<'_>, task: &Task, stack: Option<&CallStack>, crashed: bool) -> Trace {
    let name = TaskName {
        pid: task.pid,
        comm: task.comm.clone(),
        task: task.address.into(),
        cpu: task.cpu,
        state: task.state,
        running: task.running,
        crashed,
    };
    let Some(stack) = stack else {
        let none = match (task.exit_state != 0, task.running) {
            (true, _) => "it has exited, its stack is freed",
            (_, true) => "the registers of its CPU are not known",
            _ => "its saved context or its stack is not in the dump",
        };
        return Trace {
            tasks: vec![name],
            frames: Vec::new(),
            ended: Ended::Unknown,
            none: Some(none.to_owned()),
            registers: Vec::new(),
            user: None,
            joined: None,
        };
    };
    let frames: Vec<FrameRow> = stack
        .frames
        .iter()
        .zip(stack.sps.iter().map(|sp| Some(Address(*sp))).chain(std::iter::repeat(None)))
        .map(|(frame, sp)| FrameRow {
            sp,
            pc: Address(frame.pc.0),
            function: frame.name.as_deref().map(str::to_owned),
            offset: frame.offset,
            size: frame.size,
            module: frame.module.as_deref().map(str::to_owned),
            found: frame.found,
            interrupted: frame.interrupted,
            lines: lines(kernel, frame),
        })
        .collect();
    let registers =
        stack.registers.iter().map(|(n, set)| RegisterSet { frame: *n, registers: register_rows(set.named()) });
    Trace {
        none: frames.is_empty().then(|| "it was in user mode".to_owned()),
        tasks: vec![name],
        frames,
        ended: stack.ended.clone(),
        registers: registers.collect(),
        user: kernel.user_registers(task).map(|user| UserRow {
            system_call: user.system_call,
            name: user.name,
            registers: register_rows(user.named),
        }),
        joined: None,
    }
}

fn register_rows(named: Vec<(String, u64)>) -> Vec<RegisterRow> {
    named.into_iter().map(|(name, value)| RegisterRow { name, value: Address(value) }).collect()
}

/// Source lines of a frame: of a return address those of the call before it.
fn lines(kernel: &Kernel<'_>, frame: &kernel::stacks::Frame) -> Vec<LineRow> {
    line_rows(kernel, if frame.exact { frame.pc } else { frame.pc - 1 })
}

/// Source lines of an instruction.
pub(super) fn line_rows(kernel: &Kernel<'_>, at: kernel::VirtAddr) -> Vec<LineRow> {
    let lines = kernel.source_lines(at).into_iter();
    lines.map(|l| LineRow { function: l.function.unwrap_or_default(), line: l.line.unwrap_or_default() }).collect()
}

/// Equal stacks as one, the most frequent first. Frames are compared, not stack pointers.
pub fn group(traces: Vec<Trace>) -> Vec<Trace> {
    let mut groups: Vec<Trace> = Vec::new();
    let mut known: std::collections::HashMap<StackKey, usize> = std::collections::HashMap::new();
    for mut trace in traces {
        let key: Vec<_> = trace.frames.iter().map(|f| (f.pc.0, f.found as u8, f.interrupted)).collect();
        match known.get(&(key.clone(), trace.none.clone())).and_then(|n| groups.get_mut(*n)) {
            Some(group) => group.tasks.append(&mut trace.tasks),
            None => {
                known.insert((key, trace.none.clone()), groups.len());
                groups.push(trace);
            }
        }
    }
    for group in groups.iter_mut().filter(|group| group.tasks.len() > 1) {
        group.frames.iter_mut().for_each(|frame| frame.sp = None);
        group.registers.clear();
        group.user = None;
    }
    groups.sort_by_key(|group| std::cmp::Reverse(group.tasks.len()));
    groups
}
