//! How much memory a process has, as `ps` counts it.

use crate::{Kernel, Task, VirtAddr};

/// Memory of a process in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TaskMemory {
    /// Mapped: VSZ.
    pub virtual_bytes: u64,
    /// Resident: RSS.
    pub resident_bytes: Option<u64>,
    /// Locked by `mlock`, or pinned for devices.
    pub locked_bytes: Option<u64>,
}

impl Kernel<'_> {
    /// The memory of a task's address space; `None` for a kernel thread.
    pub fn task_memory(&self, task: &Task) -> Option<TaskMemory> {
        let mm = task.mm.filter(|_| !task.kthread)?;
        let page = self.page_bytes();
        let virtual_bytes = self.value(mm, "mm_struct", "total_vm")?.checked_mul(page)?;
        // Shared memory has a counter of its own since eca56ff906bd "mm, shmem: add internal shmem resident memory
        // accounting" (v4.5).
        let kinds: &[u64] = if self.types().enumerator("MM_SHMEMPAGES").is_some() { &[0, 1, 3] } else { &[0, 1] };
        let resident = kinds.iter().map(|kind| self.resident(mm, *kind)).sum::<Option<i64>>();
        let resident = resident.and_then(|pages| u64::try_from(pages.max(0)).ok()?.checked_mul(page));
        // An atomic number since 70f8a3ca68d3 "mm: make mm->pinned_vm an atomic64 counter" (v5.1).
        let pinned = self.first_value(mm, "mm_struct", &["pinned_vm.counter", "pinned_vm"]).unwrap_or(0);
        let locked =
            self.value(mm, "mm_struct", "locked_vm").and_then(|pages| pages.checked_add(pinned)?.checked_mul(page));
        Some(TaskMemory { virtual_bytes, resident_bytes: resident, locked_bytes: locked })
    }

    /// Pages of one kind. A counter with parts of the CPUs since f1a7941243c1 "mm: convert mm's rss stats into
    /// percpu_counter" (v6.2), an atomic before.
    fn resident(&self, mm: VirtAddr, kind: u64) -> Option<i64> {
        if let Some(atomic) = self.value(mm, "mm_struct", &format!("rss_stat.count[{kind}]")) {
            return Some(atomic as i64);
        }
        let path = |member: &str| format!("rss_stat[{kind}].{member}");
        let shared = self.value(mm, "mm_struct", &path("count"))? as i64;
        let parts = self.pointer(mm, "mm_struct", &path("counters")).filter(|at| at.0 != 0);
        let parts = parts.map_or(Some(0), |at| self.per_cpu_sum_i32(at).ok())?;
        shared.checked_add(parts)
    }
}
