//! Who waits for whom: locks, memory pools and whatever else a task sleeps for.

use std::cell::OnceCell;
use std::collections::{BTreeMap, HashMap, HashSet};

use facts::Gap;

use crate::locks::{self, LockCycle, LockWait, Stacks};
use crate::mempool::Mempool;
use crate::stacks::CallStack;
use crate::tasks::Task;
use crate::wait_queues::QueueWait;
use crate::{Kernel, VirtAddr, WorkerPool};

/// The tasks among which who has to end a wait is looked for, and what is read of them once the first wait asks for it.
pub(crate) struct Scene<'a> {
    pub(crate) tasks: &'a [Task],
    /// Those of `tasks`, in the same order.
    pub(crate) stacks: &'a [Option<CallStack>],
    by_address: HashMap<VirtAddr, usize>,
    pools: OnceCell<Vec<WorkerPool>>,
    files: OnceCell<Vec<(VirtAddr, VirtAddr)>>,
    blocked_readers: OnceCell<Vec<VirtAddr>>,
}

impl<'a> Scene<'a> {
    pub(crate) fn of(tasks: &'a [Task], stacks: &'a [Option<CallStack>]) -> Scene<'a> {
        let by_address = tasks.iter().enumerate().map(|(n, task)| (task.address, n)).collect();
        Scene {
            tasks,
            stacks,
            by_address,
            pools: OnceCell::new(),
            files: OnceCell::new(),
            blocked_readers: OnceCell::new(),
        }
    }

    /// The same with these workers.
    #[cfg(test)]
    pub(crate) fn with_pools(self, pools: Vec<WorkerPool>) -> Self {
        Scene { pools: OnceCell::from(pools), ..self }
    }

    /// A task with its stack.
    pub(crate) fn task(&self, at: VirtAddr) -> Option<(&'a Task, Option<&'a CallStack>)> {
        let nth = *self.by_address.get(&at)?;
        Some((self.tasks.get(nth)?, self.stacks.get(nth)?.as_ref()))
    }

    /// Of these tasks who has slept longest, one that is blocked before any other.
    pub(crate) fn longest(&self, of: impl Fn(&Task) -> bool) -> Option<&'a Task> {
        let tasks = self.tasks.iter().filter(|task| task.exit_state == 0 && of(task));
        tasks.min_by_key(|task| (!task.is_blocked(), task.last_run_ns, task.pid))
    }

    /// Whether a task sleeps, by its reliable frames, below this function.
    pub(crate) fn goes_through(&self, at: VirtAddr, function: &str) -> bool {
        self.task(at).and_then(|(_, stack)| stack).is_some_and(|stack| stack.goes_through(function))
    }

    /// The open files of all processes, each with the first task that has it.
    pub(crate) fn files(&self, kernel: &Kernel<'_>) -> &[(VirtAddr, VirtAddr)] {
        self.files.get_or_init(|| kernel.files_of(self.tasks))
    }

    /// The nodes of RCU that have readers which were switched away from.
    pub(crate) fn nodes_with_readers(&self, kernel: &Kernel<'_>) -> &[VirtAddr] {
        self.blocked_readers.get_or_init(|| kernel.nodes_with_readers(self.tasks))
    }

    /// The pools of workers.
    pub(crate) fn pools(&self, kernel: &Kernel<'_>) -> &[WorkerPool] {
        self.pools.get_or_init(|| kernel.worker_pools().items)
    }
}

/// Everything found about tasks that wait.
#[derive(Debug, Default)]
pub struct Waits {
    /// Tasks waiting for locks, in the order of the tasks.
    pub locks: Vec<LockWait>,
    /// Deadlocks among them.
    pub cycles: Vec<LockCycle>,
    /// Pools that tasks wait for, by address.
    pub pools: Vec<Mempool>,
    /// Sleepers in `mempool_alloc` and the address of their pool.
    pub sleepers: Vec<(VirtAddr, VirtAddr)>,
    /// Tasks in state D that wait for something else, and what those wait for that have to end these waits.
    pub others: Vec<QueueWait>,
    /// Tasks in state D of which nothing on their stacks tells what they wait for.
    pub unexplained: Vec<Unexplained>,
    /// What could not be decided.
    pub gaps: Vec<Gap>,
    /// Who ends a wait is told by a structure whose layout is not known, for each kind of wait.
    pub unreadable: Vec<Gap>,
}

/// A task in state D whose stack holds nothing that leads to what it waits for.
#[derive(Clone, Debug)]
pub struct Unexplained {
    /// The task.
    pub task: VirtAddr,
    /// The function on whose behalf it sleeps; `None` where its stack could not be read.
    pub function: Option<String>,
    /// Whether it sleeps until a time, as `msleep` does.
    pub timed: bool,
}

/// Whether it is asked what a task waits for though nobody is known to wait for it: it sleeps uninterruptibly, for the lock of
/// a file, or is dead and dumps core.
pub(crate) fn concerns(task: &Task, stack: &CallStack) -> bool {
    let dumps = || ["do_coredump", "vfs_coredump"].iter().any(|function| stack.goes_through(function));
    task.is_blocked() || task.state == 'S' && (crate::file_locks::waits_for_one(stack) || dumps())
}

/// Where a task waits, the structure that leads to who ends that, and who it is. Kernels before 5.11 have no types of their
/// modules.
const ENDED_BY: &[(&str, &str, &str)] = &[
    ("rpc_wait_bit_killable", "rpc_task", "the server that answers a call of SunRPC"),
    ("request_wait_answer", "fuse_req", "the server of a FUSE file system"),
    ("fanotify_get_response", "fanotify_perm_event", "the program that has to permit an access"),
    ("__synchronize_srcu", "srcu_struct", "the readers of an SRCU"),
    ("io_wq_put_and_exit", "io_wq", "the workers of an io_uring"),
    ("call_usermodehelper_exec", "subprocess_info", "the program that the kernel started"),
    ("async_synchronize_cookie_domain", "async_entry", "the asynchronous function that has to end"),
    ("__flush_work", "wq_barrier", "the worker that runs the work"),
    ("pipe_write", "pipe_inode_info", "the other end of a pipe"),
    ("pipe_read", "pipe_inode_info", "the other end of a pipe"),
    ("anon_pipe_write", "pipe_inode_info", "the other end of a pipe"),
    ("anon_pipe_read", "pipe_inode_info", "the other end of a pipe"),
];
/// How far the clocks of CPUs and the timekeeper may be apart, once their difference is known, and where it is not.
const CLOCK_SLACK_NS: i64 = 200_000_000;
const UNKNOWN_SLACK_NS: i64 = 5_000_000_000;
/// A process that waits for a lock sooner after its start may be another than the one that took it.
const YOUNG_NS: u64 = 2_000_000_000;

impl Kernel<'_> {
    /// What sleeping tasks wait for. `stacks` are those of `tasks`, in the same order.
    pub fn waits(&self, tasks: &[Task], stacks: &[Option<CallStack>]) -> Waits {
        let ranges = Stacks::of(self, tasks);
        let scene = Scene::of(tasks, stacks);
        let mut waits = Waits::default();
        let mut pools = BTreeMap::new();
        for (task, stack) in tasks.iter().zip(stacks) {
            if task.running || task.exit_state != 0 {
                continue;
            }
            let Some(stack) = stack else {
                if task.is_blocked() {
                    waits.unexplained.push(Unexplained { task: task.address, function: None, timed: false });
                }
                continue;
            };
            let waiting = locks::waiting(stack);
            let explained = (waits.locks.len(), waits.others.len(), waits.sleepers.len());
            if waiting.lock.is_some() {
                match self.lock_wait(task, stack, &ranges) {
                    Some(wait) => waits.locks.push(wait),
                    // It gave the CPU away at the door (might_sleep) and is runnable: it waits for no lock yet.
                    None if task.state == 'R' => {}
                    None => waits.gaps.push(Gap::new(
                        "lock of a sleeper",
                        format!("task {} ({})", task.pid, task.comm),
                        "no waiter that closes on a lock was found on its stack",
                        "",
                    )),
                }
            }
            let in_pool = waiting.function.as_deref().is_some_and(|f| f.starts_with("mempool_alloc"));
            if waiting.lock.is_none() && !in_pool && concerns(task, stack) {
                let wait = self.queue_wait(task, stack, &ranges).or_else(|| self.io_alone(task, stack));
                let wait = wait.or_else(|| self.threads_alone(&scene, task, stack));
                waits.others.extend(wait.or_else(|| self.grace_period(&scene, task, stack)));
            }
            if let Some(address) = in_pool.then(|| self.mempool_wait(task, stack, &ranges, &mut pools)).flatten() {
                waits.sleepers.push((task.address, address));
            } else if in_pool {
                waits.gaps.push(Gap::new(
                    "memory pool of a sleeper",
                    format!("task {} ({})", task.pid, task.comm),
                    "no wait entry that closes on a pool was found on its stack",
                    "",
                ));
            }
            if task.is_blocked() && explained == (waits.locks.len(), waits.others.len(), waits.sleepers.len()) {
                waits.unexplained.push(Unexplained {
                    task: task.address,
                    timed: waiting.timed && waiting.lock.is_none(),
                    function: waiting.function,
                });
            }
        }
        self.enders(&scene, &mut waits.others);
        waits.unreadable = self.unreadable(&scene, &waits.others);
        self.wakers(&scene, &ranges, &mut waits);
        self.owners_that_died(tasks, &mut waits.locks);
        self.owners_that_left(tasks, &mut waits.locks);
        waits.cycles = locks::cycles(&waits.locks, &waits.others);
        waits.pools = pools.into_values().collect();
        waits
    }

    /// Kinds of waits of which memory would tell who ends them, were the layout of a structure known.
    fn unreadable(&self, scene: &Scene<'_>, waits: &[QueueWait]) -> Vec<Gap> {
        let open: Vec<&CallStack> =
            waits.iter().filter(|wait| wait.waker.is_none()).filter_map(|wait| scene.task(wait.task)?.1).collect();
        let lacks = ENDED_BY.iter().filter(|(function, structure, _)| {
            self.types().size_of(structure).is_none() && open.iter().any(|stack| stack.goes_through(function))
        });
        let gap = |(function, structure, who): &(&str, &str, &str)| {
            Gap::new(
                format!("who ends a wait in {function}"),
                self.member(),
                format!("the layout of struct {structure}, which leads to {who}, is not known"),
                "a vmlinux or a pack of this kernel (--vmlinux, --pack)",
            )
        };
        lacks.map(gap).collect()
    }

    /// Fills in who has to end waits, and the I/O that ends them.
    fn enders(&self, scene: &Scene<'_>, waits: &mut [QueueWait]) {
        self.flushes(scene, waits);
        self.async_waits(scene, waits);
        self.thread_waits(scene, waits);
        self.program_waits(scene, waits);
        self.grace_periods(scene, waits);
        self.srcu_waits(scene, waits);
        self.file_lock_waits(scene, waits);
        self.pipe_waits(scene, waits);
        self.answers(scene.tasks, waits);
        self.io_waits(scene.tasks, scene.stacks, waits);
        self.reference_waits(waits);
        self.rpc_waits(waits);
        self.inactive_waits(scene, waits);
    }

    /// What those tasks wait for that have to end the waits of others, whatever their state: a parallel lookup waits for the
    /// one that asked first, and that one for a server.
    fn wakers(&self, scene: &Scene<'_>, ranges: &Stacks, waits: &mut Waits) {
        let mut known: HashSet<VirtAddr> = waits.others.iter().map(|wait| wait.task).collect();
        known.extend(waits.locks.iter().map(|wait| wait.task));
        let mut next: Vec<VirtAddr> = waits.others.iter().filter_map(|wait| wait.waker).collect();
        // Who holds a lock and is ready may not get a CPU.
        let ready = |at: &VirtAddr| scene.task(*at).is_some_and(|(task, _)| task.state == 'R');
        next.extend(waits.locks.iter().filter_map(|wait| wait.owner.map(|owner| owner.task)).filter(ready));
        while let Some(waker) = next.pop() {
            if !known.insert(waker) {
                continue;
            }
            let Some((task, Some(stack))) = scene.task(waker) else { continue };
            if let Some(wait) = self.starved(task) {
                waits.others.push(wait);
                continue;
            }
            if task.running || task.state == 'R' || self.halted(task, Some(stack)).is_some() {
                continue;
            }
            let Some(wait) = self.queue_wait(task, stack, ranges) else { continue };
            let mut wait = [wait];
            self.enders(scene, &mut wait);
            next.extend(wait.iter().filter_map(|wait| wait.waker));
            waits.others.extend(wait);
        }
    }

    /// Takes the owners away that started after their waiters fell asleep: the lock was held by a task that is gone.
    fn owners_that_died(&self, tasks: &[Task], waits: &mut [LockWait]) {
        if waits.iter().all(|wait| wait.owner.is_none()) {
            return;
        }
        // Tasks are stamped by the clock of their CPU when they sleep, by the timekeeper when they start.
        let newest = self.run_queues().iter().map(|queue| queue.clock_ns).max();
        let (slack, ahead) = match newest.zip(self.timekeeper_ns()) {
            Some((clock, monotonic)) => (CLOCK_SLACK_NS, clock as i64 - monotonic as i64),
            None => (UNKNOWN_SLACK_NS, 0),
        };
        let by_address: HashMap<VirtAddr, &Task> = tasks.iter().map(|task| (task.address, task)).collect();
        for wait in waits {
            let Some(owner) = wait.owner else { continue };
            let slept = by_address.get(&wait.task).and_then(|task| task.last_run_ns);
            let began = by_address.get(&owner.task).and_then(|task| task.start_ns);
            let later = slept.zip(began).is_some_and(|(slept, began)| began as i64 > slept as i64 - ahead + slack);
            if later {
                (wait.owner, wait.reused) = (None, Some(owner.task));
            }
        }
    }

    /// Tells the owners that exited with a lock held, and those of which memory cannot tell whether they took it: a process
    /// that waits for what it holds since shortly after its start may have the task_struct of one that exited.
    fn owners_that_left(&self, tasks: &[Task], waits: &mut [LockWait]) {
        let by_address: HashMap<VirtAddr, &Task> = tasks.iter().map(|task| (task.address, task)).collect();
        for wait in waits.iter_mut() {
            let Some(owner) = wait.owner.filter(|owner| owner.certain) else { continue };
            let known = by_address.get(&owner.task);
            // EXIT_ZOMBIE and EXIT_DEAD have been other bits before 3.15, never others than these.
            let state = |at| self.value(at, "task_struct", "exit_state").map(|state| state & 0xffff_ffff);
            let exited = match known {
                Some(task) => task.exit_state != 0,
                None => state(owner.task).is_some_and(|state| state & 0x30 != 0 && state & !0x30 == 0),
            };
            if exited {
                let pid = self.value(owner.task, "task_struct", "pid").map_or(0, |pid| pid as i32);
                wait.exited = self.text(owner.task, "task_struct", "comm").map(|comm| (pid, comm));
            }
        }
        let young = |wait: &LockWait| {
            let task = by_address.get(&wait.task).filter(|task| !task.kthread)?;
            let (slept, began) = (task.last_run_ns?, task.start_ns?);
            let itself = wait.owner.is_some_and(|owner| owner.certain && owner.task == wait.task);
            (itself && slept.saturating_sub(began) < YOUNG_NS).then_some((wait.lock?, wait.task))
        };
        let young: HashSet<(VirtAddr, VirtAddr)> = waits.iter().filter_map(young).collect();
        for wait in waits {
            if let (Some(lock), Some(owner)) = (wait.lock, &mut wait.owner)
                && young.contains(&(lock, owner.task))
            {
                (owner.certain, wait.perhaps_reused) = (false, true);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthetic::{BASE, Memory};
    use crate::wait_queues::WaitKind;

    #[test]
    fn a_wait_whose_structures_are_not_known_is_a_gap_and_one_that_is_told_is_none() {
        let memory = Memory::new();
        let tasks = [Task::of(VirtAddr(BASE), 10, 10, 'D')];
        let stacks = [Some(CallStack::of(&["schedule", "rpc_wait_bit_killable", "__rpc_execute"]))];
        let scene = Scene::of(&tasks, &stacks);
        let wait = QueueWait::of(VirtAddr(BASE), WaitKind::Bit, VirtAddr(BASE + 0x1000));
        let unreadable = |memory: &Memory, waits: &[QueueWait]| {
            memory.kernel_with_sizes("", &[], &[]).unreadable(&scene, waits).len()
        };
        assert_eq!(unreadable(&memory, std::slice::from_ref(&wait)), 1);
        assert_eq!(unreadable(&memory, &[QueueWait { waker: Some(VirtAddr(BASE)), ..wait.clone() }]), 0);
        let known = memory.kernel_with_sizes("", &[], &[("rpc_task", 256)]);
        assert!(known.unreadable(&scene, &[wait]).is_empty());
    }
}
