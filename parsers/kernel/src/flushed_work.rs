//! Whom a task waits for that flushes work: the worker that runs the piece of work, or what the queue still has to do.
//!
//! Who flushes has the completion on its own stack, inside a `struct wq_barrier` that stands behind the work, or a `struct
//! wq_flusher` that the queue knows.

use crate::wait_queues::{QueueWait, WaitKind};
use crate::{Kernel, VirtAddr, Walk, WorkerPool};

/// Work behind a barrier that is walked through.
const MAX_WORK: usize = 10_000;

impl Kernel<'_> {
    /// Fills in whom waits for flushed work wait for. A worker that flushes the queue whose work it runs waits for itself.
    pub(crate) fn flushes(&self, waits: &mut [QueueWait]) {
        let mut pools: Option<Walk<WorkerPool>> = None;
        for wait in waits.iter_mut().filter(|wait| wait.kind == WaitKind::Completion && wait.waker.is_none()) {
            let flushed = self.barrier_of(wait.object).map(Flushed::Work);
            let Some(flushed) = flushed.or_else(|| self.flushed_queue(wait.object).map(Flushed::Queue)) else {
                continue;
            };
            let pools = pools.get_or_insert_with(|| self.worker_pools());
            let busy = || pools.items.iter().flat_map(|pool| &pool.busy);
            wait.waker = match flushed {
                Flushed::Work(barrier) => {
                    let scheduled = self.types().offset("worker", "scheduled");
                    let node = self.types().offset("work_struct", "entry").map(|entry| barrier + entry);
                    let ring =
                        node.map(|node| self.list(node, MAX_WORK, "work that is flushed").items).unwrap_or_default();
                    let runs =
                        |worker: &&crate::Worker| scheduled.is_some_and(|at| ring.contains(&(worker.address + at)));
                    busy().find(runs).map(|worker| worker.task)
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
            if wait.waker.is_some() {
                wait.waker_by = Some(match flushed {
                    Flushed::Work(_) => "runs the work that is flushed",
                    Flushed::Queue(_) => "runs work of the queue that is flushed",
                });
            }
        }
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
