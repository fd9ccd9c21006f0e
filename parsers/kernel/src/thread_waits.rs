//! Whom a task waits for that waits for others of its own process: the workers of its io_uring, the threads that an exec
//! ends, the thread that dumps core, and those that this one waits for.

use crate::stacks::CallStack;
use crate::tasks::Task;
use crate::wait_queues::{QueueWait, WaitKind};
use crate::waits::Scene;
use crate::{Kernel, VirtAddr};

/// Where a thread waits until its process has dumped core: since 92307383082d "coredump: Don't perform any cleanups before
/// dumping core" (v5.16), and before.
const DUMPED: [&str; 2] = ["coredump_task_exit", "exit_mm"];

impl Kernel<'_> {
    /// Fills in which thread those wait for that have a completion in what belongs to their process.
    pub(crate) fn thread_waits(&self, scene: &Scene<'_>, waits: &mut [QueueWait]) {
        for wait in waits.iter_mut().filter(|wait| wait.kind == WaitKind::Completion && wait.waker.is_none()) {
            let Some((task, _)) = scene.task(wait.task) else { continue };
            let found = self.worker_of(scene, wait.object, task).or_else(|| self.dumped_by(scene, wait.object, task));
            if let Some(found) = found {
                *wait = found;
            }
        }
    }

    /// A worker of the `io_wq` in which a completion lies: its task gives the workers up and waits for the last of them.
    fn worker_of(&self, scene: &Scene<'_>, completion: VirtAddr, task: &Task) -> Option<QueueWait> {
        let types = self.types();
        let queue = completion - types.offset("io_wq", "worker_done")?;
        // Its workers are threads of the process since v5.12.
        if self.pointer(queue, "io_wq", "task") != Some(task.address) {
            return None;
        }
        // e32cf5dfbe22 "kthread: Generalize pf_io_worker so it can point to struct kthread" (v5.17).
        let of_task =
            ["worker_private", "pf_io_worker"].into_iter().find(|m| types.member("task_struct", m).is_some())?;
        let works = |other: &Task| {
            let worker = self.pointer(other.address, "task_struct", of_task).filter(|at| self.arch().is_kernel(*at));
            let Some(worker) = worker else { return false };
            // The part of a node before eb47943f2238 "io-wq: Drop struct io_wqe" (v6.4).
            let of = self
                .pointer(worker, "io_worker", "wq")
                .or_else(|| self.pointer(self.pointer(worker, "io_worker", "wqe")?, "io_wqe", "wq"));
            of == Some(queue) && self.pointer(worker, "io_worker", "task") == Some(other.address)
        };
        let worker = scene.longest(|other| other.tgid == task.tgid && other.address != task.address && works(other))?;
        Some(threads(task, queue, worker, "is a worker of its io_uring"))
    }

    /// A thread that has not come to the place where it waits for the core dump of its process.
    fn dumped_by(&self, scene: &Scene<'_>, completion: VirtAddr, task: &Task) -> Option<QueueWait> {
        let core = self.core_state(task)?;
        if self.place(core, "core_state", "startup")? != completion {
            return None;
        }
        let late = |other: &Task| {
            let there = DUMPED.iter().any(|function| scene.goes_through(other.address, function));
            other.tgid == task.tgid && other.address != task.address && !there
        };
        let thread = scene.longest(late)?;
        Some(threads(task, core, thread, "is a thread that the core dump has to wait for"))
    }

    /// What a task waits for that sleeps without a queue: the end of the other threads of its process, or its core dump.
    pub(crate) fn threads_alone(&self, scene: &Scene<'_>, task: &Task, stack: &CallStack) -> Option<QueueWait> {
        if DUMPED.iter().any(|function| stack.goes_through(function)) {
            let core = self.core_state(task)?;
            let dumper = self.pointer(core, "core_state", "dumper.task")?;
            let (dumper, _) = scene.task(dumper).filter(|(dumper, _)| dumper.tgid == task.tgid)?;
            return Some(QueueWait {
                symbol: Some(format!("process {}", task.tgid)),
                waker: Some(dumper.address),
                waker_by: Some("dumps its core".into()),
                must_end: true,
                ..QueueWait::of(task.address, WaitKind::CoreDump, core)
            });
        }
        // 60700e38fb68 "signal: Rename group_exit_task group_exec_task" (v5.17).
        let signal = self.pointer(task.address, "task_struct", "signal")?;
        let execs = self.first_value(signal, "signal_struct", &["group_exec_task", "group_exit_task"]);
        if execs != Some(task.address.0) {
            return None;
        }
        let thread = scene.longest(|other| other.tgid == task.tgid && other.address != task.address)?;
        Some(threads(task, signal, thread, "is a thread that has to end before exec() goes on"))
    }

    /// Of a process that dumps core: in its signals since 0258b5fd7c71 "coredump: Limit coredumps to a single thread group"
    /// (v5.16), in its memory before.
    fn core_state(&self, task: &Task) -> Option<VirtAddr> {
        if self.types().member("signal_struct", "core_state").is_some() {
            let signal = self.pointer(task.address, "task_struct", "signal")?;
            return self.pointer(signal, "signal_struct", "core_state");
        }
        self.pointer(task.mm?, "mm_struct", "core_state")
    }
}

fn threads(task: &Task, object: VirtAddr, thread: &Task, by: &'static str) -> QueueWait {
    QueueWait {
        symbol: Some(format!("process {}", task.tgid)),
        waker: Some(thread.address),
        waker_by: Some(by.into()),
        must_end: true,
        ..QueueWait::of(task.address, WaitKind::Threads, object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthetic::{BASE, Memory};

    fn at(nth: u64) -> VirtAddr {
        VirtAddr(BASE + 0x2_0000 + nth * 0x1000)
    }

    #[test]
    fn who_gives_up_an_io_uring_waits_for_its_worker_that_sleeps() {
        let memory = Memory::new();
        let queue = BASE + 0x1_0000;
        memory.put64(queue + 0x40, at(0).0);
        // Tasks 1 and 2 are workers, 3 is one of another ring, 4 a thread.
        for nth in 1..=3 {
            let worker = BASE + 0x1_1000 + nth * 0x100;
            memory.put64(at(nth).0 + 0x10, worker);
            memory.put64(worker, at(nth).0);
            memory.put64(worker + 8, if nth == 3 { queue + 0x1000 } else { queue });
        }
        memory.put64(at(4).0 + 0x10, 0);
        let members = [
            ("io_wq", "worker_done", 0x20, 0x20),
            ("io_wq", "task", 0x40, 8),
            ("io_worker", "task", 0, 8),
            ("io_worker", "wq", 8, 8),
            ("task_struct", "worker_private", 0x10, 8),
        ];
        let kernel = memory.kernel_with("", &members);
        let states = ['D', 'S', 'D', 'D', 'D'];
        let tasks: Vec<Task> = (0..5).map(|nth| Task::of(at(nth), 10 + nth as i32, 10, states[nth as usize])).collect();
        let stacks = vec![None; 5];
        let scene = Scene::of(&tasks, &stacks);
        let wait = |completion: u64| {
            let mut waits = [QueueWait::of(at(0), WaitKind::Completion, VirtAddr(completion))];
            kernel.thread_waits(&scene, &mut waits);
            let [wait] = waits;
            (wait.kind, wait.waker, wait.symbol)
        };
        assert_eq!(wait(queue + 0x20), (WaitKind::Threads, Some(at(2)), Some("process 10".to_owned())));
        assert_eq!(wait(queue + 0x28), (WaitKind::Completion, None, None), "another completion");
    }

    #[test]
    fn threads_wait_for_the_one_that_dumps_core_and_it_for_those_that_are_late() {
        let memory = Memory::new();
        let (signal, core) = (BASE + 0x1_0000, BASE + 0x1_1000);
        for nth in 0..3 {
            memory.put64(at(nth).0 + 0x10, signal);
        }
        memory.put64(signal + 8, core);
        memory.put64(core + 8, at(0).0);
        let members = [
            ("task_struct", "signal", 0x10, 8),
            ("signal_struct", "core_state", 8, 8),
            ("signal_struct", "group_exec_task", 0x10, 8),
            ("core_state", "dumper.task", 8, 8),
            ("core_state", "startup", 0x18, 0x20),
        ];
        let kernel = memory.kernel_with("", &members);
        let tasks: Vec<Task> = (0..3).map(|nth| Task::of(at(nth), 10 + nth as i32, 10, 'D')).collect();
        let stacks = [&["wait_for_completion", "do_coredump"][..], &["coredump_task_exit", "do_exit"], &["read"]];
        let stacks: Vec<_> = stacks.iter().map(|stack| Some(CallStack::of(stack))).collect();
        let scene = Scene::of(&tasks, &stacks);
        let dumped = kernel.threads_alone(&scene, &tasks[1], stacks[1].as_ref().unwrap()).unwrap();
        assert_eq!((dumped.kind, dumped.waker), (WaitKind::CoreDump, Some(at(0))));
        let mut late = [QueueWait::of(at(0), WaitKind::Completion, VirtAddr(core + 0x18))];
        kernel.thread_waits(&scene, &mut late);
        assert_eq!((late[0].kind, late[0].waker), (WaitKind::Threads, Some(at(2))));
        // Nobody calls exec() until one does.
        let exec = |kernel: &Kernel<'_>| kernel.threads_alone(&scene, &tasks[2], stacks[2].as_ref().unwrap());
        assert!(exec(&kernel).is_none());
        memory.put64(signal + 0x10, at(2).0);
        assert_eq!(exec(&memory.kernel_with("", &members)).unwrap().waker, Some(at(0)));
    }
}
