//! Whom a task waits for that has the kernel start a program (`call_usermodehelper_exec()`): a module to be loaded, a key to
//! be asked for, a core dump to be taken.

use crate::locks::StackWords;
use crate::wait_queues::{QueueWait, WaitKind};
use crate::waits::Scene;
use crate::{Kernel, VirtAddr};

impl Kernel<'_> {
    /// Fills in the program whose end, or start, completes what tasks wait for, and its process.
    pub(crate) fn program_waits(&self, scene: &Scene<'_>, waits: &mut [QueueWait]) {
        for wait in waits.iter_mut().filter(|wait| wait.kind == WaitKind::Completion && wait.waker.is_none()) {
            if !scene.goes_through(wait.task, "call_usermodehelper_exec") {
                continue;
            }
            let Some((program, worker)) = self.program_of(scene, wait.object) else { continue };
            let path = self.pointer(program, "subprocess_info", "path");
            (wait.kind, wait.object) = (WaitKind::Program, program);
            wait.symbol = path.and_then(|at| self.cstr(at, 256).ok()).filter(|path| !path.is_empty());
            // The worker waits for the program's end itself, and is its parent.
            let child = worker.and_then(|worker| {
                let (worker, _) = scene.task(worker)?;
                scene.tasks.iter().find(|task| !task.kthread && worker.pid != 0 && task.ppid == worker.pid)
            });
            // Until it is the program, its process is a thread that the kernel made.
            let starts = || {
                let begins = ["call_usermodehelper_exec_async", "____call_usermodehelper"];
                let of = |task: &&crate::Task| {
                    let Some((_, Some(stack))) = scene.task(task.address) else { return false };
                    let words = StackWords::read(self, task, stack);
                    begins.iter().any(|function| stack.goes_through(function))
                        && words.is_some_and(|words| words.places(program.0).next().is_some())
                };
                scene.tasks.iter().filter(|task| task.address != wait.task).find(of)
            };
            let by = match (child, worker) {
                (Some(child), _) => Some((child.address, "is the program")),
                (None, Some(worker)) => Some((worker, "starts the program")),
                (None, None) => starts().map(|task| (task.address, "is to become the program")),
            };
            if let Some((task, by)) = by {
                (wait.waker, wait.waker_by, wait.must_end) = (Some(task), Some(by.into()), true);
            }
        }
    }

    /// The program that completes this, and the worker that has it in hand: the work stands first in what describes it.
    fn program_of(&self, scene: &Scene<'_>, completion: VirtAddr) -> Option<(VirtAddr, Option<VirtAddr>)> {
        let to_work = self.types().offset("subprocess_info", "work")?;
        let completes = |program: &VirtAddr| self.pointer(*program, "subprocess_info", "complete") == Some(completion);
        let workers = scene.pools(self).iter().flat_map(|pool| &pool.busy);
        let runs = workers.filter(|worker| worker.function.as_deref() == Some("call_usermodehelper_exec_work"));
        let mut in_hand = runs.filter_map(|worker| Some((worker.work? - to_work, worker.task)));
        if let Some((program, worker)) = in_hand.find(|(program, _)| completes(program)) {
            return Some((program, Some(worker)));
        }
        // The worker has gone on: who started the program waits only until it is one.
        let (task, stack) = scene.tasks.iter().zip(scene.stacks).find_map(|(task, stack)| {
            let stack = stack.as_ref()?;
            stack.goes_through("call_usermodehelper_exec_async").then_some((task, stack))
        })?;
        let words = StackWords::read(self, task, stack)?;
        let program = words.iter().map(VirtAddr).filter(|at| self.arch().is_kernel(*at)).find(completes)?;
        Some((program, None))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stacks::CallStack;
    use crate::synthetic::{BASE, Memory};
    use crate::{Task, Worker, WorkerPool};

    #[test]
    fn who_starts_a_program_waits_for_the_child_of_the_worker_that_has_it_in_hand() {
        let memory = Memory::new();
        let (program, done) = (BASE + 0x1_0000, BASE + 0x1_1000);
        memory.put64(program + 0x20, done);
        memory.put64(program + 0x28, BASE + 0x1_2000);
        memory.put(BASE + 0x1_2000, b"/sbin/modprobe\0");
        let members = [
            ("subprocess_info", "work", 0, 0x20),
            ("subprocess_info", "complete", 0x20, 8),
            ("subprocess_info", "path", 0x28, 8),
        ];
        let kernel = memory.kernel_with("", &members);
        let [mount, kworker, modprobe, other] = [1, 2, 3, 4].map(|nth| VirtAddr(BASE + 0x2_0000 + nth * 0x1000));
        let tasks = [
            Task::of(mount, 10, 10, 'D'),
            Task { kthread: true, ..Task::of(kworker, 20, 20, 'S') },
            Task::of(other, 25, 25, 'S'),
            Task { ppid: 20, ..Task::of(modprobe, 30, 30, 'S') },
        ];
        let waits_in = CallStack::of(&["wait_for_completion", "call_usermodehelper_exec", "__request_module"]);
        let stacks = [Some(waits_in), None, None, None];
        let worker = |function: &str| Worker {
            task: kworker,
            pid: Some(20),
            function: Some(function.to_owned()),
            work: Some(VirtAddr(program)),
            ..Worker::default()
        };
        let of = |function: &str, completion: u64| {
            let pool = WorkerPool { busy: vec![worker(function)], ..WorkerPool::default() };
            let scene = Scene::of(&tasks, &stacks).with_pools(vec![pool]);
            let mut waits = [QueueWait::of(mount, WaitKind::Completion, VirtAddr(completion))];
            kernel.program_waits(&scene, &mut waits);
            let [wait] = waits;
            (wait.kind, wait.symbol, wait.waker)
        };
        let expected = (WaitKind::Program, Some("/sbin/modprobe".to_owned()), Some(modprobe));
        assert_eq!(of("call_usermodehelper_exec_work", done), expected);
        assert_eq!(of("call_usermodehelper_exec_work", done + 8), (WaitKind::Completion, None, None));
        assert_eq!(of("wb_workfn", done), (WaitKind::Completion, None, None));
    }
}
