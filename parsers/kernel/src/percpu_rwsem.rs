//! Reader-writer semaphores that count their readers per CPU: `cgroup_threadgroup_rwsem`, the writers of a file system.

use crate::locks::{Owner, StackWords, Stacks};
use crate::tasks::Task;
use crate::{Kernel, VirtAddr};

impl Kernel<'_> {
    /// A per-CPU rwsem and how many wait for it. Who comes while a writer has it stands in its queue; the writer itself
    /// waits in `writer` until the readers are gone (ac8dec420970 "locking/percpu-rwsem: Fold __percpu_up_read()" and
    /// its siblings, 5.7; before, those who wait stand in the rwsem inside it).
    pub(crate) fn percpu_rwsem(&self, task: &Task, words: &StackWords, stacks: &Stacks) -> Option<(VirtAddr, usize)> {
        let types = self.types();
        let head = types.first_member("percpu_rw_semaphore", &["waiters.head", "waiters.task_list"])?.offset;
        let queued = self.wait_entries(task, words, stacks).find_map(|entry| match entry.ring.elsewhere.as_slice() {
            [list] => Some((*list - head, entry.ring.on_stacks.len())),
            _ => None,
        });
        queued.or_else(|| {
            let to_writer = types.offset("percpu_rw_semaphore", "writer.task")?;
            let writes = |at: &VirtAddr| self.arch().is_kernel(*at) && self.ptr(*at + to_writer) == Ok(task.address);
            let mut saved = words.iter().filter(|at| at.is_multiple_of(8)).map(VirtAddr);
            saved.find(writes).map(|lock| (lock, 1))
        })
    }

    /// The writer that has taken the lock (`block`) and still waits until the readers are gone; later ones wait for it.
    /// Once they are gone the lock knows it no more.
    pub(crate) fn percpu_rwsem_writer(&self, lock: VirtAddr) -> Option<Owner> {
        let taken = self.value(lock, "percpu_rw_semaphore", "block.counter")?;
        let task =
            self.pointer(lock, "percpu_rw_semaphore", "writer.task").filter(|task| self.arch().is_kernel(*task))?;
        (taken != 0).then_some(Owner { task, certain: true })
    }

    /// Readers that hold the lock: each counts on the CPU where it came and where it went, only the sum means something.
    pub(crate) fn percpu_rwsem_readers(&self, lock: VirtAddr) -> Option<u64> {
        let variable = self.pointer(lock, "percpu_rw_semaphore", "read_count")?;
        let mut sum = 0u32;
        for cpu in self.cpus_possible() {
            sum = sum.wrapping_add(self.u32(self.per_cpu(variable, *cpu)?).ok()?);
        }
        u64::try_from(sum as i32).ok()
    }
}

#[cfg(test)]
mod tests {
    use crate::VirtAddr;
    use crate::synthetic::{BASE, Memory};

    #[test]
    fn the_writer_is_known_while_it_waits_for_readers() {
        let memory = Memory::new();
        let lock = BASE + 0x2_0000;
        memory.put64(lock, BASE + 0x3_0000);
        let members = [("percpu_rw_semaphore", "writer.task", 0, 8), ("percpu_rw_semaphore", "block.counter", 8, 4)];
        let kernel = memory.kernel_with("", &members);
        assert_eq!(kernel.percpu_rwsem_writer(VirtAddr(lock)), None);
        memory.put32(lock + 8, 1);
        let writer = kernel.percpu_rwsem_writer(VirtAddr(lock)).unwrap();
        assert_eq!((writer.task.0, writer.certain), (BASE + 0x3_0000, true));
    }
}
