//! Work that may not begin because its queue runs as much as it may (`max_active`): it stands in a list of its own beside what
//! waits for a worker.

use crate::wait_queues::{QueueWait, WaitKind};
use crate::waits::Scene;
use crate::{Kernel, VirtAddr};

/// Work of one queue that is listed.
const MAX_WORK: usize = 100_000;
/// Different functions of it that are looked at.
const MAX_FUNCTIONS: usize = 64;
/// Functions that complete.
const COMPLETE: [&str; 4] = ["complete", "complete_all", "complete_on_current_cpu", "swake_up_one"];

impl Kernel<'_> {
    /// The work that may not begin in what a pool does for one queue: `inactive_works` since f97a4a1a3f87 "workqueue: Rename
    /// "delayed" (delayed by active management) to "inactive"" (v5.15).
    pub(crate) fn inactive_work(&self, of_pool: VirtAddr) -> Vec<VirtAddr> {
        let names = ["inactive_works", "delayed_works"];
        let list = self.types().first_member("pool_workqueue", &names).map(|member| of_pool + member.offset);
        let entry = self.types().offset("work_struct", "entry").unwrap_or(8);
        // Most are empty.
        let list = list.filter(|head| self.ptr(*head).is_ok_and(|first| first != *head));
        list.map(|head| self.list(head, MAX_WORK, "work that may not begin").items)
            .unwrap_or_default()
            .into_iter()
            .map(|node| node - entry)
            .collect()
    }

    /// Fills in that work waits for a completion which other work gives that may not begin before it has ended: the code of
    /// its function completes it.
    pub(crate) fn inactive_waits(&self, scene: &Scene<'_>, waits: &mut [QueueWait]) {
        for wait in waits.iter_mut().filter(|wait| wait.kind == WaitKind::Completion && wait.waker.is_none()) {
            // Only a variable has its address in code.
            if wait.symbol.is_none() {
                continue;
            }
            let workers = scene.pools(self).iter().flat_map(|pool| &pool.busy);
            let Some(worker) = { workers }.find(|worker| worker.task == wait.task) else { continue };
            let Some(of_pool) = self.pointer(worker.address, "worker", "current_pwq") else { continue };
            let mut functions: Vec<VirtAddr> = self
                .inactive_work(of_pool)
                .into_iter()
                .filter_map(|work| self.pointer(work, "work_struct", "func"))
                .collect();
            functions.sort_unstable();
            functions.dedup();
            let completes = |at: &VirtAddr| {
                let symbol = self.symbolize(*at).filter(|symbol| symbol.offset == 0)?;
                let size = symbol.size?;
                let targets: Vec<u64> =
                    COMPLETE.iter().filter_map(|name| self.symbol_at(name)).map(|at| at.0).collect();
                let gives = self.code_names(at.0, size, &|word| word == wait.object.0);
                (gives && self.calls(at.0, size, &targets)).then_some(symbol.name)
            };
            if let Some(function) = functions.iter().take(MAX_FUNCTIONS).find_map(completes) {
                let queue = worker.workqueue.as_deref().unwrap_or("a queue");
                let runs = worker.function.as_deref().unwrap_or("work");
                wait.symbol = Some(format!("work {function}"));
                wait.waker = Some(wait.task);
                wait.waker_by = Some(
                    format!("runs {runs} of {queue}, which may run no more at a time (max_active): {function} is behind that")
                        .into(),
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthetic::{BASE, Memory};

    #[test]
    fn work_that_may_not_begin_is_listed_under_either_name() {
        let memory = Memory::new();
        let (of_pool, work) = (BASE + 0x1_0000, BASE + 0x1_1000);
        for (a, b) in [(of_pool + 0x20, work + 8), (work + 8, of_pool + 0x20)] {
            memory.put64(a, b);
            memory.put64(b + 8, a);
        }
        let entry = ("work_struct", "entry", 8, 16);
        for name in ["inactive_works", "delayed_works"] {
            let kernel = memory.kernel_with("", &[("pool_workqueue", name, 0x20, 16), entry]);
            assert_eq!(kernel.inactive_work(VirtAddr(of_pool)), [VirtAddr(work)]);
        }
        assert!(memory.kernel_with("", &[entry]).inactive_work(VirtAddr(of_pool)).is_empty());
    }
}
