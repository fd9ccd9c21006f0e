//! Who holds the lock of a file that a task waits for: flock(), fcntl(), those of an open file description. A request knows
//! the lock, or the request before it, that blocks it.

use crate::stacks::CallStack;
use crate::tasks::Task;
use crate::wait_queues::{QueueWait, WaitKind};
use crate::waits::Scene;
use crate::{Kernel, VirtAddr};

/// Requests behind one another.
const MAX_BLOCKERS: usize = 4096;
const FL_POSIX: u64 = 1;
const FL_FLOCK: u64 = 2;
const FL_OFDLCK: u64 = 1024;
/// Functions in which a task waits for one.
const WAITS: [&str; 5] =
    ["locks_lock_inode_wait", "flock_lock_inode_wait", "posix_lock_inode_wait", "do_lock_file_wait", "fcntl_setlk"];

/// Whether a task waits for the lock of a file, by its stack.
pub(crate) fn waits_for_one(stack: &CallStack) -> bool {
    let functions = stack.frames.iter().filter(|f| f.found != facts::Found::Scan).take(8);
    { functions }.any(|frame| frame.function().is_some_and(|name| WAITS.contains(&name)))
}

impl Kernel<'_> {
    /// Fills in the lock that tasks wait for, and who holds it.
    pub(crate) fn file_lock_waits(&self, scene: &Scene<'_>, waits: &mut [QueueWait]) {
        for wait in waits.iter_mut().filter(|wait| wait.kind == WaitKind::Queue && wait.waker.is_none()) {
            let Some((_, Some(stack))) = scene.task(wait.task) else { continue };
            let Some(lock) = waits_for_one(stack).then(|| self.blocking_lock(wait.object)).flatten() else { continue };
            (wait.kind, wait.object) = (WaitKind::FileLock, lock.address);
            wait.symbol = Some(lock.name);
            let of_process = |task: &&Task| task.exit_state == 0 && task.address != wait.task && !task.kthread;
            let holder = if lock.of_process {
                // The owner of a process's lock is its table of files; threads share it.
                let owns = |task: &&Task| self.pointer(task.address, "task_struct", "files") == lock.owner;
                scene.tasks.iter().filter(of_process).find(owns)
            } else {
                let file = lock.file;
                let files = scene.files(self).iter().filter(|(_, open)| Some(*open) == file);
                let open = files.filter_map(|(task, _)| scene.task(*task)).map(|(task, _)| task);
                let mut open = open.filter(of_process);
                // Who took it, or the one that inherited it.
                let first = open.next();
                let others: Vec<&Task> = open.collect();
                let took = first.iter().chain(&others).find(|task| lock.pid == Some(task.tgid)).copied();
                took.or(first.filter(|_| others.is_empty()))
            };
            if let Some(holder) = holder {
                (wait.waker, wait.waker_by, wait.must_end) = (Some(holder.address), Some("holds it".into()), true);
            }
        }
    }

    /// The lock at the end of the way from the queue of a request. What they have in common is a structure of its own since
    /// a69ce85ec9af "filelock: split common fields into struct file_lock_core" (v6.9).
    fn blocking_lock(&self, queue: VirtAddr) -> Option<FileLock> {
        let types = self.types();
        let (structure, prefix) = match types.member("file_lock_core", "flc_wait") {
            Some(_) => ("file_lock_core", "flc"),
            None => ("file_lock", "fl"),
        };
        let of = |member: &str| format!("{prefix}_{member}");
        let request = queue - types.offset(structure, &of("wait"))?;
        // It stands in the list of those that the other blocks: `fl_block` before v5.0, where `fl_next` leads to the other.
        let names = [of("blocked_member"), of("block")];
        let member = names.iter().find(|name| types.member(structure, name).is_some())?;
        if !self.is_linked(self.place(request, structure, member)?) {
            return None;
        }
        let names = [of("blocker"), of("next")];
        let blocker = names.iter().find(|name| types.member(structure, name).is_some())?;
        let mut lock = self.pointer(request, structure, blocker)?;
        for _ in 0..MAX_BLOCKERS {
            match self.pointer(lock, structure, blocker) {
                Some(next) if next != request => lock = next,
                _ => break,
            }
        }
        let flags = self.value(lock, structure, &of("flags"))?;
        let kind = match flags {
            _ if flags & FL_OFDLCK != 0 => "lock of an open file",
            _ if flags & FL_POSIX != 0 => "POSIX lock",
            _ if flags & FL_FLOCK != 0 => "flock",
            _ => return None,
        };
        let file = self.pointer(lock, structure, &of("file"));
        let path = file.and_then(|file| self.file_path(file));
        Some(FileLock {
            address: lock,
            name: path.map_or_else(|| kind.to_owned(), |path| format!("{kind} on {path}")),
            of_process: flags & (FL_POSIX | FL_OFDLCK) == FL_POSIX,
            owner: self.pointer(lock, structure, &of("owner")),
            pid: self.value(lock, structure, &of("pid")).map(|pid| pid as i32),
            file,
        })
    }
}

/// A lock of a file.
struct FileLock {
    address: VirtAddr,
    name: String,
    /// Of a process, not of an open file.
    of_process: bool,
    owner: Option<VirtAddr>,
    pid: Option<i32>,
    file: Option<VirtAddr>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthetic::{BASE, Memory};

    fn at(nth: u64) -> VirtAddr {
        VirtAddr(BASE + 0x2_0000 + nth * 0x1000)
    }

    #[test]
    fn the_holder_is_at_the_end_of_the_requests_behind_one_another() {
        let memory = Memory::new();
        let lock = |nth: u64| BASE + 0x1_0000 + nth * 0x100;
        // 2 waits for 1, which waits for 0; the queue lies at 0x40, the links at 0x10 and 0x20.
        for nth in 0..3 {
            memory.put64(lock(nth), if nth == 0 { 0 } else { lock(nth - 1) });
            memory.put32(lock(nth) + 0x30, FL_POSIX as u32);
            memory.put32(lock(nth) + 0x34, 100);
            memory.put64(lock(nth) + 0x38, BASE + 0x1_8000 + nth * 8);
            if nth > 0 {
                let (head, node) = (lock(nth - 1) + 0x10, lock(nth) + 0x20);
                for (a, b) in [(head, node), (node, head)] {
                    memory.put64(a, b);
                    memory.put64(b + 8, a);
                }
            }
        }
        for nth in 0..3 {
            memory.put64(at(nth).0 + 8, BASE + 0x1_8000 + nth * 8);
        }
        let members = [
            ("file_lock", "fl_blocker", 0, 8),
            ("file_lock", "fl_blocked_requests", 0x10, 16),
            ("file_lock", "fl_blocked_member", 0x20, 16),
            ("file_lock", "fl_flags", 0x30, 4),
            ("file_lock", "fl_pid", 0x34, 4),
            ("file_lock", "fl_owner", 0x38, 8),
            ("file_lock", "fl_wait", 0x40, 24),
            ("task_struct", "files", 8, 8),
        ];
        let kernel = memory.kernel_with("", &members);
        let tasks: Vec<Task> = (0..3).map(|nth| Task::of(at(nth), 10 + nth as i32, 10 + nth as i32, 'S')).collect();
        let waiting = CallStack::of(&["schedule", "locks_lock_inode_wait", "fcntl_setlk", "do_fcntl"]);
        let reading = CallStack::of(&["schedule", "pipe_read"]);
        let stacks = [Some(reading.clone()), Some(waiting.clone()), Some(waiting)];
        let scene = Scene::of(&tasks, &stacks);
        let holder = |task: u64, request: u64| {
            let mut waits = [QueueWait::of(at(task), WaitKind::Queue, VirtAddr(lock(request) + 0x40))];
            kernel.file_lock_waits(&scene, &mut waits);
            let [wait] = waits;
            (wait.kind, wait.waker, wait.symbol)
        };
        let held = (WaitKind::FileLock, Some(at(0)), Some("POSIX lock".to_owned()));
        assert_eq!(holder(2, 2), held);
        assert_eq!(holder(1, 1), held);
        assert_eq!(holder(1, 0).0, WaitKind::Queue, "what waits for nobody");
        assert_eq!(holder(0, 2).0, WaitKind::Queue, "a task that is elsewhere");
        assert!(waits_for_one(stacks[1].as_ref().unwrap()) && !waits_for_one(&reading));
    }
}
