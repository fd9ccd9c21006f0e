//! Tasks: every process and thread, and the idle task of each CPU.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use facts::Gap;
use rayon::prelude::*;

use crate::{Kernel, VirtAddr, Walk};

/// More tasks than a machine can have: pid_max is at most 4,194,304.
const MAX_TASKS: usize = 4_194_304;
/// `task_struct.flags` of a kernel thread.
const PF_KTHREAD: u64 = 0x0020_0000;

/// The namespaces of a task, by their inode numbers; what `/proc/PID/ns` shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Namespaces {
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
    /// Address of the `struct net`.
    pub net_address: Option<VirtAddr>,
}

/// One task.
#[derive(Clone, Debug)]
pub struct Task {
    /// Address of its `struct task_struct`.
    pub address: VirtAddr,
    /// Thread id.
    pub pid: i32,
    /// Process id.
    pub tgid: i32,
    /// Process id of the real parent.
    pub ppid: i32,
    /// Command name.
    pub comm: String,
    /// State letter as `ps` prints it.
    pub state: char,
    /// `__state` (`state` before 5.14) as it stands in memory.
    pub state_raw: u64,
    /// `exit_state`; not 0 for a zombie.
    pub exit_state: u32,
    /// `flags`.
    pub flags: u64,
    /// CPU it runs on or ran on last.
    pub cpu: Option<u32>,
    /// Whether it is current on its CPU.
    pub running: bool,
    /// Whether it is the idle task of a CPU.
    pub idle: bool,
    /// Whether it is a kernel thread.
    pub kthread: bool,
    /// Lowest address of its kernel stack; `None` when freed, as a zombie's is since 68f24b08ee89 "sched/core: Free the
    /// stack early if CONFIG_THREAD_INFO_IN_TASK" (v4.9).
    pub stack: Option<VirtAddr>,
    /// Its address space.
    pub mm: Option<VirtAddr>,
    /// When it was started, nanoseconds of monotonic time since boot.
    pub start_ns: Option<u64>,
    /// When it last got a CPU, nanoseconds of that CPU's run-queue clock.
    pub last_run_ns: Option<u64>,
    /// Voluntary context switches.
    pub nvcsw: Option<u64>,
    /// Forced context switches.
    pub nivcsw: Option<u64>,
    /// Path of its cgroup in the default hierarchy (version 2).
    pub cgroup: Option<String>,
    /// Address of its `struct css_set`.
    pub css_set: Option<VirtAddr>,
    /// Its namespaces; `None` for an exiting task.
    pub namespaces: Option<Arc<Namespaces>>,
    /// Whether faults are injected into its allocations (`make_it_fail`).
    pub make_it_fail: bool,
}

impl Task {
    /// A thread of a process of which no more is known.
    #[cfg(test)]
    pub(crate) fn of(address: VirtAddr, pid: i32, tgid: i32, state: char) -> Task {
        Task {
            address,
            pid,
            tgid,
            ppid: 1,
            comm: format!("task{pid}"),
            state,
            state_raw: 0,
            exit_state: 0,
            flags: 0,
            cpu: None,
            running: false,
            idle: false,
            kthread: false,
            stack: None,
            mm: None,
            start_ns: None,
            last_run_ns: None,
            nvcsw: None,
            nivcsw: None,
            cgroup: None,
            css_set: None,
            namespaces: None,
            make_it_fail: false,
        }
    }

    /// Whether it sleeps uninterruptibly, as hung tasks do.
    pub fn is_blocked(&self) -> bool {
        self.state == 'D'
    }
}

/// What a task's state says.
///
/// Letters are read from the kernel's own table of names where the dump has its symbol, since 3.14 swapped two of
/// them (ad86622b478e "wait: swap EXIT_ZOMBIE and EXIT_DEAD to hide EXIT_TRACE from user-space").
pub(crate) fn state_letter(letters: &[char], state: u64, exit_state: u32) -> char {
    const TASK_IDLE: u64 = 0x402;
    const TASK_RTLOCK_WAIT: u64 = 0x1000;
    const TASK_FROZEN: u64 = 0x8000;
    if state & TASK_IDLE == TASK_IDLE && exit_state == 0 && letters.contains(&'I') {
        return 'I';
    }
    if letters.contains(&'P') && letters.len() > 8 && (state == TASK_RTLOCK_WAIT || state & TASK_FROZEN != 0) {
        return 'D';
    }
    // Bit 6 is TASK_PARKED since 4.14 (8ef9925b02c2 "sched/debug: Add explicit TASK_PARKED printing"), and was
    // TASK_DEAD, which is not reported, before.
    let reported = if letters.get(7) == Some(&'P') { 0x7f } else { 0x3f };
    let report = (state | u64::from(exit_state)) & reported;
    let index = 64 - report.leading_zeros() as usize;
    letters.get(index).copied().unwrap_or('?')
}

/// `R S D T t X Z P I`, since 4.14.
pub(crate) const STATE_LETTERS: [char; 9] = ['R', 'S', 'D', 'T', 't', 'X', 'Z', 'P', 'I'];

/// Things many tasks share, read once (by two threads at a time at worst).
#[derive(Default)]
struct Shared {
    cgroups: Mutex<HashMap<u64, Option<String>>>,
    namespaces: Mutex<HashMap<u64, Arc<Namespaces>>>,
}

fn once<T: Clone>(known: &Mutex<HashMap<u64, T>>, key: VirtAddr, read: impl FnOnce() -> T) -> T {
    let found = known.lock().ok().and_then(|known| known.get(&key.0).cloned());
    found.unwrap_or_else(|| {
        let value = read();
        if let Ok(mut known) = known.lock() {
            known.insert(key.0, value.clone());
        }
        value
    })
}

impl Kernel<'_> {
    /// All tasks: the idle ones by CPU, then each process with its threads in the order of the task list. Read once.
    pub fn tasks(&self) -> Walk<Task> {
        if let Some(known) = self.tasks.get() {
            return known.clone();
        }
        // Not read inside the lock: a thread that waits for others there may take up work that wants the tasks.
        let walk = self.read_tasks();
        self.tasks.get_or_init(|| walk).clone()
    }

    fn read_tasks(&self) -> Walk<Task> {
        let mut walk = Walk::default();
        let letters = self.state_letters();
        let shared = Shared::default();
        let current: HashMap<u64, u32> =
            self.cpus_present().iter().filter_map(|cpu| Some((self.current_task(*cpu)?.0, *cpu))).collect();
        let mut seen = HashSet::new();
        for cpu in self.cpus_present() {
            match self.idle_task(*cpu) {
                Some(idle) if seen.insert(idle.0) => {
                    walk.items.extend(self.task(idle, &letters, &current, &shared));
                }
                Some(_) => {}
                None => walk.gaps.push(Gap::new(
                    "idle task",
                    format!("CPU {cpu}"),
                    "neither runqueues nor idle_threads can be read",
                    "",
                )),
            }
        }
        let Some(init) = self.symbol_at("init_task") else {
            walk.gaps.push(Gap::new(
                "task list",
                self.member(),
                "no symbol init_task",
                "a vmlinux or System.map of this kernel (--vmlinux, --system-map)",
            ));
            return walk;
        };
        let offsets = (self.types().offset("task_struct", "tasks"), self.types().offset("task_struct", "pid"));
        let (Some(tasks), Some(_)) = offsets else {
            walk.gaps.push(Gap::new(
                "task list",
                self.member(),
                "the layout of struct task_struct is not known",
                "a vmlinux or a pack of this kernel (--vmlinux, --pack)",
            ));
            return walk;
        };
        let leaders = self.long_list(init + tasks, MAX_TASKS, "task list");
        walk.gaps.extend(leaders.gaps);
        let threads: Vec<_> = leaders.items.par_iter().map(|node| self.threads(*node - tasks)).collect();
        let mut addresses = Vec::with_capacity(threads.len());
        for threads in threads {
            walk.gaps.extend(threads.gaps);
            let room = MAX_TASKS.saturating_sub(addresses.len());
            addresses.extend(threads.items.into_iter().filter(|at| seen.insert(at.0)).take(room));
        }
        let read = |at: &VirtAddr| self.task(*at, &letters, &current, &shared).ok_or(*at);
        for task in addresses.par_iter().map(read).collect::<Vec<_>>() {
            match task {
                Ok(task) => walk.items.push(task),
                Err(at) => walk.gaps.push(Gap::new("task", at.to_string(), "its task_struct is absent", "")),
            }
        }
        walk
    }

    /// Threads of a process, the leader among them.
    fn threads(&self, leader: VirtAddr) -> Walk<VirtAddr> {
        // signal->thread_head since 3.14 (0c740d0afc3b "introduce for_each_thread() to replace the buggy
        // while_each_thread()"), RHEL 7 has it; thread_group before, removed in 6.7 (8e1f385104ac).
        let head = self.types().offset("signal_struct", "thread_head");
        let node = self.types().offset("task_struct", "thread_node");
        if let (Some(head), Some(node)) = (head, node)
            && let Some(signal) = self.pointer(leader, "task_struct", "signal")
        {
            let mut walk = self.list(signal + head, MAX_TASKS, "thread list");
            walk.items.iter_mut().for_each(|at| *at = *at - node);
            if !walk.items.contains(&leader) {
                walk.items.insert(0, leader);
            }
            return walk;
        }
        let mut threads = Walk { items: vec![leader], gaps: Vec::new() };
        if let Some(group) = self.types().offset("task_struct", "thread_group") {
            let walk = self.list(leader + group, MAX_TASKS, "thread list");
            threads.gaps = walk.gaps;
            threads.items.extend(walk.items.into_iter().map(|n| n - group));
        }
        threads
    }

    fn task(&self, address: VirtAddr, letters: &[char], current: &HashMap<u64, u32>, shared: &Shared) -> Option<Task> {
        let value = |path| self.value(address, "task_struct", path);
        let pid = value("pid")? as i32;
        let flags = value("flags").unwrap_or(0);
        // __state, 32 bits, since 5.14 (2f064a59a11f "sched: Change task_struct::state").
        let state_raw = self.first_value(address, "task_struct", &["__state", "state"]).unwrap_or(u64::MAX);
        let exit_state = value("exit_state").unwrap_or(0) as u32;
        let css_set = self.pointer(address, "task_struct", "cgroups");
        let cgroup = css_set.and_then(|set| once(&shared.cgroups, set, || self.css_set_path(set)));
        let namespaces = self
            .pointer(address, "task_struct", "nsproxy")
            .map(|proxy| once(&shared.namespaces, proxy, || Arc::new(self.namespaces(proxy))));
        let parent = self.pointer(address, "task_struct", "real_parent");
        let stack = self.pointer(address, "task_struct", "stack");
        Some(Task {
            address,
            pid,
            tgid: value("tgid").unwrap_or(0) as i32,
            ppid: parent.and_then(|p| self.value(p, "task_struct", "tgid")).unwrap_or(0) as i32,
            comm: self.text(address, "task_struct", "comm").unwrap_or_default(),
            state: state_letter(letters, state_raw, exit_state),
            state_raw,
            exit_state,
            flags,
            cpu: current.get(&address.0).copied().or_else(|| self.task_cpu(address)),
            running: current.contains_key(&address.0),
            idle: pid == 0,
            kthread: flags & PF_KTHREAD != 0,
            stack,
            mm: self.pointer(address, "task_struct", "mm"),
            start_ns: self.task_start(address),
            last_run_ns: value("sched_info.last_arrival").filter(|n| *n != 0),
            nvcsw: value("nvcsw"),
            nivcsw: value("nivcsw"),
            cgroup,
            css_set,
            namespaces,
            make_it_fail: value("make_it_fail").unwrap_or(0) != 0,
        })
    }

    /// 3.16 made the time a plain number of nanoseconds (57e0be041d9e "sched: Make task->real_start_time
    /// nanoseconds based"); before it is a timespec.
    fn task_start(&self, task: VirtAddr) -> Option<u64> {
        if let Some(seconds) = self.value(task, "task_struct", "start_time.tv_sec") {
            let nanoseconds = self.value(task, "task_struct", "start_time.tv_nsec")?;
            return seconds.checked_mul(1_000_000_000)?.checked_add(nanoseconds);
        }
        self.value(task, "task_struct", "start_time")
    }

    /// The CPU a task is on: in thread_info inside the task since 5.16 (bcf9033e5449 "sched: move CPU field back
    /// into thread_info if THREAD_INFO_IN_TASK=y"), `task.cpu` from 4.9 on (c65eacbe290b), in the thread_info at
    /// the bottom of the stack before.
    fn task_cpu(&self, task: VirtAddr) -> Option<u32> {
        if let Some(cpu) = self.first_value(task, "task_struct", &["cpu", "thread_info.cpu"]) {
            return u32::try_from(cpu).ok();
        }
        let stack = self.pointer(task, "task_struct", "stack")?;
        u32::try_from(self.value(stack, "thread_info", "cpu")?).ok()
    }

    /// Names of task states by the position of their bit, from the kernel's `task_state_array`.
    fn state_letters(&self) -> Vec<char> {
        let Some(array) = self.symbol_at("task_state_array") else { return STATE_LETTERS.to_vec() };
        let mut letters = Vec::new();
        for n in 0..12u64 {
            let Ok(name) = self.ptr(array + 8 * n).and_then(|at| self.cstr(at, 32)) else { break };
            let mut chars = name.chars();
            match (chars.next(), chars.next(), chars.next()) {
                (Some(letter), Some(' '), Some('(')) if letter.is_ascii_alphabetic() => letters.push(letter),
                _ => break,
            }
        }
        if letters.first() == Some(&'R') && letters.len() >= 6 { letters } else { STATE_LETTERS.to_vec() }
    }

    /// The task that is current on a CPU: `curr` of its run queue.
    pub fn current_task(&self, cpu: u32) -> Option<VirtAddr> {
        let queue = self.run_queue(cpu);
        queue.and_then(|q| self.pointer(q, "rq", "curr")).or_else(|| {
            // Per-CPU `current_task`; first in pcpu_hot from 6.2 to 6.14.
            let variable = self.symbol_at("pcpu_hot").or_else(|| self.symbol_at("current_task"))?;
            self.ptr(self.per_cpu(variable, cpu)?).ok().filter(|at| at.0 != 0)
        })
    }

    /// The idle task of a CPU.
    pub fn idle_task(&self, cpu: u32) -> Option<VirtAddr> {
        let queue = self.run_queue(cpu);
        queue.and_then(|q| self.pointer(q, "rq", "idle")).or_else(|| {
            let threads = self.per_cpu(self.symbol_at("idle_threads")?, cpu)?;
            self.ptr(threads).ok().filter(|at| at.0 != 0)
        })
    }

    /// Path of the cgroup that a `css_set` names in the default hierarchy.
    fn css_set_path(&self, set: VirtAddr) -> Option<String> {
        self.cgroup_node_path(self.pointer(set, "css_set", "dfl_cgrp")?)
    }

    /// Path of a cgroup, by its kernfs nodes: `/` for a root. The parent's name is `__parent` since 6.15
    /// (633488947ef6 "kernfs: Use RCU to access kernfs_node::parent").
    pub(crate) fn cgroup_node_path(&self, cgroup: VirtAddr) -> Option<String> {
        let mut node = self.pointer(cgroup, "cgroup", "kn")?;
        let mut names = Vec::new();
        for _ in 0..64 {
            let parent = self.first_value(node, "kernfs_node", &["__parent", "parent"]).filter(|p| *p != 0);
            let Some(parent) = parent else { break };
            names.push(self.cstr(self.pointer(node, "kernfs_node", "name")?, 256).ok()?);
            node = VirtAddr(parent);
        }
        names.reverse();
        Some(format!("/{}", names.join("/")))
    }

    fn namespaces(&self, proxy: VirtAddr) -> Namespaces {
        let number = |member: &str, structure: &str| {
            let at = self.pointer(proxy, "nsproxy", member)?;
            // proc_inum before 3.19 (435d5f4bb2cc "common object embedded into various struct ....ns").
            self.first_value(at, structure, &["ns.inum", "proc_inum"]).map(|n| n as u32)
        };
        Namespaces {
            net: number("net_ns", "net"),
            mnt: number("mnt_ns", "mnt_namespace"),
            uts: number("uts_ns", "uts_namespace"),
            ipc: number("ipc_ns", "ipc_namespace"),
            // pid_ns until c2b1df2eb42 "Rename nsproxy.pid_ns to nsproxy.pid_ns_for_children" (v3.13).
            pid: number("pid_ns_for_children", "pid_namespace").or_else(|| number("pid_ns", "pid_namespace")),
            net_address: self.pointer(proxy, "nsproxy", "net_ns"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_those_of_ps() {
        let letter = |state, exit| state_letter(&STATE_LETTERS, state, exit);
        assert_eq!(letter(0, 0), 'R');
        assert_eq!(letter(1, 0), 'S');
        assert_eq!(letter(2, 0), 'D');
        assert_eq!(letter(0x402, 0), 'I');
        assert_eq!(letter(0x102, 0), 'D'); // killable
        assert_eq!(letter(8, 0), 't');
        assert_eq!(letter(0x80, 0x20), 'Z');
        assert_eq!(letter(0x80, 0x10), 'X');
        assert_eq!(letter(0x40, 0), 'P');
    }

    #[test]
    fn zombies_of_3_10_have_the_other_bit() {
        let el7 = ['R', 'S', 'D', 'T', 't', 'Z', 'X', 'x', 'K', 'W', 'P'];
        assert_eq!(state_letter(&el7, 64, 16), 'Z');
        assert_eq!(state_letter(&el7, 0, 16), 'Z');
    }

    /// Up to 4.8 a zombie keeps its stack, and a task that is exiting runs on it in any kernel.
    #[test]
    fn a_task_that_exited_has_the_stack_that_it_points_at() {
        let memory = crate::synthetic::Memory::new();
        let (at, low) = (crate::synthetic::BASE + 0x8000, crate::synthetic::BASE + 0x1_0000);
        memory.put64(at, low);
        memory.put32(at + 8, 7);
        memory.put32(at + 12, 32);
        let members =
            [("task_struct", "stack", 0, 8), ("task_struct", "pid", 8, 4), ("task_struct", "exit_state", 12, 4)];
        let kernel = memory.kernel_with("", &members);
        let read = || kernel.task(VirtAddr(at), &[], &HashMap::new(), &Shared::default()).unwrap();
        assert_eq!((read().exit_state, read().stack), (32, Some(VirtAddr(low))));
        memory.put64(at, 0);
        assert_eq!(read().stack, None);
    }
}
