//! `ps`: the tasks.

use std::collections::{HashMap, HashSet};

use facts::{Address, Gap};
use kernel::{Kernel, Task};
use serde::Serialize;

/// The order of tasks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sort {
    /// As the kernel lists them.
    #[default]
    List,
    /// By thread id.
    Pid,
    /// By CPU.
    Cpu,
    /// Those that did not run for the longest time first.
    OffCpu,
    /// The youngest first.
    Start,
}

/// Which tasks.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Pids, addresses and command names; empty for all.
    pub words: Vec<String>,
    /// State letters, `DR`; empty for all.
    pub states: String,
    /// Kernel threads only, or user tasks only.
    pub kthreads: Option<bool>,
    /// Whether to order parents before their children.
    pub tree: bool,
    /// Tasks whose command name contains this.
    pub comm: Option<String>,
    /// Tasks that are or were on this CPU.
    pub cpu: Option<u32>,
    /// The order of the rows, where they are no tree.
    pub sort: Sort,
    /// Whether to look up the memory of each.
    pub detail: bool,
}

/// One task.
#[derive(Clone, Debug, Serialize)]
pub struct ProcessRow {
    /// Thread id.
    pub pid: i32,
    /// Process id.
    pub tgid: i32,
    /// Process id of the parent.
    pub ppid: i32,
    /// CPU it runs on or ran on last.
    pub cpu: Option<u32>,
    /// Address of its task_struct.
    pub task: Address,
    /// State letter.
    pub state: char,
    /// Whether it is current on its CPU.
    pub running: bool,
    /// Whether it is a kernel thread.
    pub kthread: bool,
    /// Command name.
    pub comm: String,
    /// Seconds since it last got a CPU, by that CPU's run-queue clock.
    pub off_cpu_s: Option<u64>,
    /// The same in nanoseconds.
    pub off_cpu_ns: Option<u64>,
    /// When it last got a CPU, nanoseconds of that CPU's run-queue clock.
    pub last_run_ns: Option<u64>,
    /// Nanoseconds since boot at its start.
    pub start_ns: Option<u64>,
    /// Path of its cgroup (version 2).
    pub cgroup: Option<String>,
    /// Inode number of its network namespace.
    pub net_ns: Option<u32>,
    /// Its namespaces, as `/proc/PID/ns` shows them.
    pub namespaces: Option<NamespaceRow>,
    /// Voluntary and forced context switches.
    pub switches: Option<Switches>,
    /// Bytes mapped (VSZ); looked up in detail only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub virtual_bytes: Option<u64>,
    /// Bytes resident (RSS); looked up in detail only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resident_bytes: Option<u64>,
    /// Bytes locked or pinned; looked up in detail only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub locked_bytes: Option<u64>,
    /// Depth in the tree; 0 without one.
    pub depth: usize,
}

/// Inode numbers of namespaces.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct NamespaceRow {
    /// Network.
    pub net: Option<u32>,
    /// Mounts.
    pub mnt: Option<u32>,
    /// Host name.
    pub uts: Option<u32>,
    /// System V IPC.
    pub ipc: Option<u32>,
    /// Processes, as children see it.
    pub pid: Option<u32>,
}

/// Context switches.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Switches {
    /// Voluntary.
    pub voluntary: u64,
    /// Forced.
    pub forced: u64,
}

/// The tasks chosen.
#[derive(Clone, Debug, Serialize)]
pub struct Processes {
    /// Rows in the order of the kernel's list, or of the tree.
    pub tasks: Vec<ProcessRow>,
    /// How many tasks there are of each state, of all the tasks.
    pub states: std::collections::BTreeMap<char, usize>,
    /// Whether the rows are a tree.
    pub tree: bool,
    /// What could not be read.
    pub gaps: Vec<Gap>,
    /// A sentence for each word that names no task.
    #[serde(skip)]
    pub missing: Vec<String>,
}

/// The tasks of a dump.
///
/// # Errors
/// A sentence when a word names no task, or a state letter is none.
pub fn processes(kernel: &Kernel<'_>, filter: &Filter) -> Result<Processes, String> {
    check_states(&filter.states)?;
    let walk = kernel.tasks();
    let mut states = std::collections::BTreeMap::new();
    for task in &walk.items {
        *states.entry(task.state).or_insert(0) += 1;
    }
    let missing = super::missing_tasks(kernel, &walk.items, &filter.words)?;
    let clocks: HashMap<u32, u64> = kernel.run_queues().iter().map(|q| (q.cpu, q.clock_ns)).collect();
    let off_cpu = |task: &Task| {
        let ran = task.last_run_ns.filter(|_| !task.running)?;
        clocks.get(&task.cpu?)?.checked_sub(ran)
    };
    let memory = |task: &Task| filter.detail.then(|| kernel.task_memory(task)).flatten();
    let row = |task: &Task, depth: usize| ProcessRow {
        pid: task.pid,
        tgid: task.tgid,
        ppid: task.ppid,
        cpu: task.cpu,
        task: task.address.into(),
        state: task.state,
        running: task.running,
        kthread: task.kthread,
        comm: task.comm.clone(),
        off_cpu_s: off_cpu(task).map(|ns| ns / 1_000_000_000),
        off_cpu_ns: off_cpu(task),
        last_run_ns: task.last_run_ns,
        start_ns: task.start_ns,
        cgroup: task.cgroup.clone(),
        net_ns: task.namespaces.as_ref().and_then(|n| n.net),
        namespaces: task.namespaces.as_ref().map(|n| NamespaceRow {
            net: n.net,
            mnt: n.mnt,
            uts: n.uts,
            ipc: n.ipc,
            pid: n.pid,
        }),
        virtual_bytes: memory(task).map(|memory| memory.virtual_bytes),
        resident_bytes: memory(task).and_then(|memory| memory.resident_bytes),
        locked_bytes: memory(task).and_then(|memory| memory.locked_bytes),
        switches: task.nvcsw.zip(task.nivcsw).map(|(voluntary, forced)| Switches { voluntary, forced }),
        depth,
    };
    let wanted = |task: &Task| {
        (filter.words.is_empty() || filter.words.iter().any(|word| super::is_chosen(task, word)))
            && (filter.states.is_empty() || filter.states.contains(task.state))
            && filter.comm.as_ref().is_none_or(|comm| task.comm.contains(comm.as_str()))
            && filter.cpu.is_none_or(|cpu| task.cpu == Some(cpu))
            && filter.kthreads.is_none_or(|kthread| task.kthread == kthread)
    };
    let order: Vec<(usize, usize)> = match filter.tree {
        true => tree(&walk.items),
        false => (0..walk.items.len()).map(|n| (n, 0)).collect(),
    };
    let tasks = order.iter().filter_map(|(n, depth)| Some((walk.items.get(*n)?, *depth)));
    let mut tasks: Vec<ProcessRow> =
        tasks.filter(|(task, _)| wanted(task)).map(|(task, depth)| row(task, depth)).collect();
    match filter.sort {
        Sort::List => {}
        Sort::Pid => tasks.sort_by_key(|row| row.pid),
        Sort::Cpu => tasks.sort_by_key(|row| row.cpu),
        Sort::OffCpu => tasks.sort_by_key(|row| std::cmp::Reverse(row.off_cpu_ns)),
        Sort::Start => tasks.sort_by_key(|row| std::cmp::Reverse(row.start_ns)),
    }
    Ok(Processes { tasks, states, tree: filter.tree, gaps: walk.gaps, missing })
}

/// State letters that any kernel has.
pub(super) fn check_states(states: &str) -> Result<(), String> {
    match states.chars().find(|c| !"RSDTtXZPIKWx".contains(*c)) {
        None => Ok(()),
        Some(bad) => Err(format!(
            "expected state letters as ps prints them (R S D T t X Z P I), found {bad:?}; --state D shows blocked tasks"
        )),
    }
}

/// Positions and depths with children after their parents, threads after their leader.
fn tree(tasks: &[Task]) -> Vec<(usize, usize)> {
    let leaders: HashSet<i32> = tasks.iter().filter(|t| t.pid == t.tgid).map(|t| t.pid).collect();
    let mut children: HashMap<i32, Vec<usize>> = HashMap::new();
    let mut roots = Vec::new();
    for (n, task) in tasks.iter().enumerate() {
        let parent = if task.pid == task.tgid { task.ppid } else { task.tgid };
        if task.pid == 0 || !leaders.contains(&parent) {
            roots.push(n);
        } else {
            children.entry(parent).or_default().push(n);
        }
    }
    let mut order = Vec::with_capacity(tasks.len());
    let mut stack: Vec<(usize, usize)> = roots.into_iter().rev().map(|n| (n, 0)).collect();
    let mut seen = HashSet::new();
    let mut zero_done = false;
    while let Some((n, depth)) = stack.pop() {
        let Some(task) = tasks.get(n).filter(|_| seen.insert(n)) else { continue };
        order.push((n, depth));
        // Every idle task has pid 0; the children of pid 0 hang below the first.
        let first = task.pid != 0 || !std::mem::replace(&mut zero_done, true);
        if task.pid == task.tgid
            && first
            && let Some(below) = children.get(&task.pid)
        {
            stack.extend(below.iter().rev().map(|child| (*child, depth + 1)));
        }
    }
    // What a damaged parent chain cut off from every root.
    order.extend((0..tasks.len()).filter(|n| !seen.contains(n)).map(|n| (n, 0)));
    order
}
