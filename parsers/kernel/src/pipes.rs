//! Who has the other end of a pipe: what it has to read, or to write, for a task that waits on it.

use crate::wait_queues::{QueueWait, WaitKind};
use crate::waits::Scene;
use crate::{Kernel, VirtAddr};

const FMODE_READ: u64 = 1;
const FMODE_WRITE: u64 = 2;

/// Who writes to and reads from a pipe; a pipe without a name has functions of its own, which those of a fifo call, since
/// 262b2fa99cbe "pipe: introduce struct file_operations pipeanon_fops" (v6.15) and its successor.
const WRITERS: [&str; 4] = ["pipe_write", "anon_pipe_write", "pipe_wait_writable", "wakeup_pipe_writers"];
const READERS: [&str; 2] = ["pipe_read", "anon_pipe_read"];

impl Kernel<'_> {
    /// Fills in that tasks wait on a pipe, and who has its other end, where that is one process.
    pub(crate) fn pipe_waits(&self, scene: &Scene<'_>, waits: &mut [QueueWait]) {
        for wait in waits.iter_mut().filter(|wait| wait.kind == WaitKind::Queue && wait.waker.is_none()) {
            let of = |function: &str| scene.goes_through(wait.task, function);
            let opens = of("wait_for_partner");
            let writes = WRITERS.into_iter().any(of);
            if !(opens || writes || READERS.into_iter().any(of)) {
                continue;
            }
            let Some(pipe) = self.pipe_of(wait.object) else { continue };
            let count = |member: &str| self.value(pipe, "pipe_inode_info", member);
            let (readers, writers) = (count("readers"), count("writers"));
            let (what, other) = match (opens, writes) {
                (true, _) if writers == Some(0) => ("a fifo that nobody opened for writing", None),
                (true, _) if readers == Some(0) => ("a fifo that nobody opened for reading", None),
                (true, _) => continue,
                (false, true) if of("do_coredump") || of("vfs_coredump") => {
                    ("the full pipe of a core dump", Some(FMODE_READ))
                }
                (false, true) => ("a full pipe", Some(FMODE_READ)),
                (false, false) => ("an empty pipe", Some(FMODE_WRITE)),
            };
            (wait.kind, wait.object, wait.symbol) = (WaitKind::Pipe, pipe, Some(what.to_owned()));
            let Some(other) = other else { continue };
            let mut ends = scene.files(self).iter().copied().filter(|(task, file)| {
                let is_it = self.pointer(*file, "file", "private_data") == Some(pipe);
                *task != wait.task && is_it && self.value(*file, "file", "f_mode").is_some_and(|mode| mode & other != 0)
            });
            let first = ends.next().map(|(task, _)| task);
            if let Some(task) = first.filter(|first| ends.all(|(task, _)| task == *first)) {
                let by = if writes { "has the end that is read" } else { "has the end that is written to" };
                (wait.waker, wait.waker_by, wait.must_end) = (Some(task), Some(by.into()), true);
            }
        }
    }

    /// The pipe of a queue: two since 0ddad21d3e99 "pipe: use exclusive waits when reading or writing" (v5.6), one before.
    fn pipe_of(&self, queue: VirtAddr) -> Option<VirtAddr> {
        let offsets = ["rd_wait", "wr_wait", "wait"].map(|name| self.types().offset("pipe_inode_info", name));
        offsets.into_iter().flatten().map(|offset| queue - offset).find(|pipe| {
            // Its buffers lie in an array of a known length.
            let ring = self.first_value(*pipe, "pipe_inode_info", &["ring_size", "buffers"]);
            let buffers = self.pointer(*pipe, "pipe_inode_info", "bufs").filter(|at| self.arch().is_kernel(*at));
            let start = || self.slab_object(*pipe).is_none_or(|object| object.start == *pipe);
            buffers.is_some() && ring.is_some_and(|ring| ring.is_power_of_two() && ring <= 1 << 20) && start()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Task;
    use crate::stacks::CallStack;
    use crate::synthetic::{BASE, Memory};

    #[test]
    fn who_has_the_other_end_alone_is_told() {
        let memory = Memory::new();
        let pipe = BASE + 0x1_0000;
        let task = |nth: u64| VirtAddr(BASE + 0x2_0000 + nth * 0x1000);
        memory.put64(pipe + 0x38, BASE + 0x1_1000);
        memory.put32(pipe + 0x30, 16);
        memory.put32(pipe + 0x34, 1);
        memory.put32(pipe + 0x40, 1);
        // Each has one file: task 0 writes, 1 reads, 2 has something else.
        for (nth, mode) in [FMODE_WRITE, FMODE_READ, FMODE_READ].into_iter().enumerate() {
            let nth = nth as u64;
            let base = BASE + 0x3_0000 + nth * 0x1000;
            memory.put64(task(nth).0 + 8, base);
            memory.put64(base, base + 0x100);
            memory.put32(base + 0x100, 1);
            memory.put64(base + 0x108, base + 0x200);
            memory.put64(base + 0x200, base + 0x300);
            memory.put32(base + 0x300, mode as u32);
            memory.put64(base + 0x308, if nth == 2 { pipe + 0x1000 } else { pipe });
        }
        let members = [
            ("pipe_inode_info", "rd_wait", 0, 0x18),
            ("pipe_inode_info", "wr_wait", 0x18, 0x18),
            ("pipe_inode_info", "ring_size", 0x30, 4),
            ("pipe_inode_info", "readers", 0x34, 4),
            ("pipe_inode_info", "bufs", 0x38, 8),
            ("pipe_inode_info", "writers", 0x40, 4),
            ("task_struct", "files", 8, 8),
            ("files_struct", "fdt", 0, 8),
            ("fdtable", "max_fds", 0, 4),
            ("fdtable", "fd", 8, 8),
            ("file", "f_mode", 0, 4),
            ("file", "private_data", 8, 8),
        ];
        let kernel = memory.kernel_with("", &members);
        let tasks: Vec<Task> = (0..4).map(|nth| Task::of(task(nth), 10 + nth as i32, 10 + nth as i32, 'S')).collect();
        let stacks = [
            Some(CallStack::of(&["schedule", "pipe_write", "vfs_write"])),
            None,
            Some(CallStack::of(&["schedule", "ep_poll"])),
            Some(CallStack::of(&["schedule", "anon_pipe_write", "vfs_write"])),
        ];
        let scene = Scene::of(&tasks, &stacks);
        let wait = |nth: u64| {
            let mut waits = [QueueWait::of(task(nth), WaitKind::Queue, VirtAddr(pipe + 0x18))];
            kernel.pipe_waits(&scene, &mut waits);
            let [wait] = waits;
            (wait.kind, wait.symbol, wait.waker)
        };
        assert_eq!(wait(0), (WaitKind::Pipe, Some("a full pipe".to_owned()), Some(task(1))));
        assert_eq!(wait(3), (WaitKind::Pipe, Some("a full pipe".to_owned()), Some(task(1))));
        assert_eq!(wait(2).0, WaitKind::Queue, "who polls it waits for more than it");
    }
}
