//! Whom a task waits for that flushes work or stops a thread: the worker that runs the piece of work, or what the queue
//! still has to do; the thread itself.
//!
//! Who flushes has the completion on its own stack, inside a `struct wq_barrier` that stands behind the work, or a `struct
//! wq_flusher` that the queue knows.

use std::collections::HashMap;

use crate::tasks::Task;
use crate::wait_queues::{QueueWait, WaitKind};
use crate::waits::Scene;
use crate::{Kernel, VirtAddr};

/// Work behind a barrier that is walked through.
const MAX_WORK: usize = 10_000;

impl Kernel<'_> {
    /// Fills in whom waits for flushed work and for threads that are to end wait for. A worker that flushes the queue whose
    /// work it runs waits for itself.
    pub(crate) fn flushes(&self, scene: &Scene<'_>, waits: &mut [QueueWait]) {
        let mut ends: Option<HashMap<u64, (VirtAddr, &'static str)>> = None;
        for wait in waits.iter_mut().filter(|wait| wait.kind == WaitKind::Completion && wait.waker.is_none()) {
            let flushed = self.barrier_of(wait.object).map(Flushed::Work);
            let Some(flushed) = flushed.or_else(|| self.flushed_queue(wait.object).map(Flushed::Queue)) else {
                let ends = ends.get_or_insert_with(|| self.thread_ends(scene.tasks));
                if let Some((task, by)) = ends.get(&wait.object.0) {
                    (wait.waker, wait.waker_by, wait.must_end) = (Some(*task), Some((*by).into()), true);
                }
                continue;
            };
            let busy = || scene.pools(self).iter().flat_map(|pool| &pool.busy);
            wait.waker = match flushed {
                Flushed::Work(barrier) => {
                    let scheduled = self.types().offset("worker", "scheduled");
                    let node = self.types().offset("work_struct", "entry").map(|entry| barrier + entry);
                    let ring =
                        node.map(|node| self.list(node, MAX_WORK, "work that is flushed").items).unwrap_or_default();
                    let runs =
                        |worker: &&crate::Worker| scheduled.is_some_and(|at| ring.contains(&(worker.address + at)));
                    let worker = busy().find(runs);
                    let function = worker.and_then(|worker| worker.function.as_ref());
                    wait.symbol = function.map(|function| format!("work {function}")).or(wait.symbol.take());
                    if worker.is_none()
                        && let Some((task, what)) = self.worker_to_come(scene, &ring)
                    {
                        (wait.waker, wait.symbol) = (Some(task), what.or(wait.symbol.take()));
                        wait.waker_by = Some("is ready, to run the work that is flushed".into());
                        continue;
                    }
                    worker.map(|worker| worker.task)
                }
                Flushed::Queue(queue) => {
                    wait.symbol = self.text(queue, "workqueue_struct", "name").map(|name| format!("workqueue {name}"));
                    let mut of_queue = busy().filter(|worker| worker.queue == Some(queue)).map(|worker| worker.task);
                    // Itself, if it is one of them: it cannot be done before it is done.
                    let first = of_queue.next();
                    if first == Some(wait.task) || of_queue.any(|task| task == wait.task) {
                        Some(wait.task)
                    } else {
                        first
                    }
                }
            };
            wait.must_end = wait.waker.is_some();
            if wait.must_end {
                let by = match flushed {
                    Flushed::Work(_) => "runs the work that is flushed",
                    Flushed::Queue(_) => "runs work of the queue that is flushed",
                };
                wait.waker_by = Some(by.into());
            }
        }
    }

    /// The worker that is ready to run work which has not begun, with what that is: the work is in the list of its pool, and
    /// one of its workers was woken for it.
    fn worker_to_come(&self, scene: &Scene<'_>, ring: &[VirtAddr]) -> Option<(VirtAddr, Option<String>)> {
        let types = self.types();
        let [list, workers] = ["worklist", "workers"].map(|member| types.offset("worker_pool", member));
        let (list, workers, node) = (list?, workers?, types.offset("worker", "node")?);
        let pool = scene.pools(self).iter().find(|pool| ring.contains(&(pool.address + list)))?;
        let all = self.list(pool.address + workers, MAX_WORK, "workers of a pool").items;
        let tasks = all.into_iter().filter_map(|at| self.pointer(at - node, "worker", "task"));
        let ready = |at: &VirtAddr| scene.task(*at).is_some_and(|(task, _)| task.state == 'R' && !task.running);
        let what = pool.first_pending.as_ref().map(|function| format!("work behind {function}"));
        Some(({ tasks }.find(ready)?, what))
    }

    /// Completions that a thread has to end: that of its own end or parking, which kthread_stop() and kthread_park() wait for,
    /// and that of the parent which made it by vfork() and waits for its exec or exit.
    fn thread_ends(&self, tasks: &[Task]) -> HashMap<u64, (VirtAddr, &'static str)> {
        let types = self.types();
        let [exited, parked] = ["exited", "parked"].map(|member| types.offset("kthread", member));
        let vfork = types.offset("task_struct", "vfork_done");
        // A member of its own since e32cf5dfbe22 "kthread: Generalize pf_io_worker so it can point to struct kthread"
        // (v5.17), `set_child_tid` before.
        let kthread =
            types.first_member("task_struct", &["worker_private", "set_child_tid"]).map(|member| member.offset);
        let mut ends = HashMap::new();
        for task in tasks {
            if let Some(done) = vfork.and_then(|vfork| self.ptr(task.address + vfork).ok()).filter(|at| at.0 != 0) {
                ends.insert(done.0, (task.address, "was made by vfork() and neither ended nor called exec()"));
            }
            let Some(kthread) = kthread.filter(|_| task.kthread).and_then(|at| self.ptr(task.address + at).ok()) else {
                continue;
            };
            for offset in [exited, parked].into_iter().flatten().filter(|_| kthread.0 != 0) {
                ends.insert((kthread + offset).0, (task.address, "is the thread that is to end"));
            }
        }
        ends
    }

    /// The `wq_barrier` that a completion is part of, by the function of its work; its work stands first in it.
    fn barrier_of(&self, completion: VirtAddr) -> Option<VirtAddr> {
        let types = self.types();
        let barrier = completion - types.offset("wq_barrier", "done")?;
        let work = barrier + types.offset("wq_barrier", "work")?;
        let function = self.pointer(work, "work_struct", "func")?;
        (self.symbol_at("wq_barrier_func") == Some(function)).then_some(work)
    }

    /// The work queue that a completion in a `wq_flusher` is of: the queue's first flusher, or one that waits behind it.
    fn flushed_queue(&self, completion: VirtAddr) -> Option<VirtAddr> {
        let types = self.types();
        let flusher = completion - types.offset("wq_flusher", "done")?;
        let head = self.symbol_at("workqueues")?;
        let link = types.offset("workqueue_struct", "list")?;
        let queues = self.list(head, MAX_WORK, "work queues").items.into_iter().map(|node| node - link);
        let of_flusher = types.offset("wq_flusher", "list")?;
        let waits = |queue: &VirtAddr| {
            self.pointer(*queue, "workqueue_struct", "first_flusher") == Some(flusher)
                || ["flusher_queue", "flusher_overflow"].into_iter().any(|list| {
                    let head = self.place(*queue, "workqueue_struct", list);
                    // Most are empty.
                    let head = head.filter(|head| self.ptr(*head).is_ok_and(|first| first != *head));
                    head.is_some_and(|head| {
                        self.list(head, MAX_WORK, "flushers of a work queue").items.contains(&(flusher + of_flusher))
                    })
                })
        };
        { queues }.find(waits)
    }
}

enum Flushed {
    /// The work of a barrier.
    Work(VirtAddr),
    /// A work queue.
    Queue(VirtAddr),
}
