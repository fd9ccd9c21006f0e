//! The few members that a task list and stacks need, concluded from `init_task` when nothing describes the types.
//!
//! `init_task` is called `swapper`, its list closes and leads to tasks with names, its pid is 0 and kthreadd's is 2.
//! Each member must hold for all tasks; one that more than one place could be is left out.

use std::collections::HashSet;

use super::{Shape, Types};
use crate::{Arch, Kernel, VirtAddr};

/// The largest `task_struct` seen has 9,792 bytes.
const MAX_TASK: usize = 12 * 1024;
/// Tasks looked at.
const MAX_TASKS: usize = 512;
const STACK: u64 = 16 * 1024;

/// A member that was concluded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inferred {
    /// Its path in `task_struct`.
    pub path: &'static str,
    /// Offset in bytes.
    pub offset: u64,
    /// Bytes.
    pub size: u64,
}

struct Tasks {
    /// Addresses and bytes; `init_task` first.
    all: Vec<(VirtAddr, Vec<u8>)>,
}

impl Tasks {
    fn word(&self, n: usize, at: usize) -> Option<u64> {
        Some(u64::from_le_bytes(self.all.get(n)?.1.get(at..at + 8)?.try_into().ok()?))
    }

    fn half(&self, n: usize, at: usize) -> Option<u32> {
        Some(u32::from_le_bytes(self.all.get(n)?.1.get(at..at + 4)?.try_into().ok()?))
    }

    fn words(&self, at: usize) -> Vec<u64> {
        (0..self.all.len()).filter_map(|n| self.word(n, at)).collect()
    }

    fn halves(&self, at: usize) -> Vec<u32> {
        (0..self.all.len()).filter_map(|n| self.half(n, at)).collect()
    }
}

fn bytes(kernel: &Kernel<'_>, at: VirtAddr) -> Vec<u8> {
    let mut all = vec![0; MAX_TASK];
    for (n, piece) in all.chunks_mut(512).enumerate() {
        let _ = kernel.read(at + 512 * n as u64, piece);
    }
    all
}

fn is_name(text: &[u8]) -> bool {
    let end = memchr::memchr(0, text).unwrap_or(0);
    end > 0 && text.get(..end).is_some_and(|name| name.iter().all(|b| (0x20..0x7f).contains(b)))
}

/// The ring of tasks through `offset`, when every one of them has a name.
fn ring(kernel: &Kernel<'_>, init: VirtAddr, offset: u64, comm: u64) -> Option<Vec<VirtAddr>> {
    let mut tasks = vec![init];
    let mut at = kernel.ptr(init + offset).ok()?;
    while at != init + offset {
        let task = at - offset;
        let mut name = [0; 16];
        if tasks.len() > 100_000 || !kernel.arch().is_kernel(at) || kernel.read(task + comm, &mut name).is_err() {
            return None;
        }
        if !is_name(&name) {
            return None;
        }
        tasks.push(task);
        at = kernel.ptr(at).ok()?;
    }
    (tasks.len() > 3).then_some(tasks)
}

/// What can be concluded; empty when not even the task list can.
pub fn members(kernel: &Kernel<'_>) -> Vec<Inferred> {
    find(kernel).unwrap_or_default()
}

fn find(kernel: &Kernel<'_>) -> Option<Vec<Inferred>> {
    let init = kernel.symbol_at("init_task")?;
    let first = bytes(kernel, init);
    let comm = memchr::memmem::find_iter(&first, b"swapper")
        .find(|at| first.get(at + 7..at + 10).is_some_and(|rest| rest.starts_with(b"\0") || rest == b"/0\0"))?;
    let (tasks, list) = (0..comm).step_by(8).find_map(|at| Some((ring(kernel, init, at as u64, comm as u64)?, at)))?;
    let all: Vec<_> = tasks.iter().take(MAX_TASKS).map(|at| (*at, bytes(kernel, *at))).collect();
    let set: HashSet<u64> = tasks.iter().map(|at| at.0).collect();
    let tasks = Tasks { all };
    let count = tasks.all.len();
    let named = |n: usize, name: &[u8]| tasks.all[n].1.get(comm..comm + 16).is_some_and(|c| c.starts_with(name));
    let kthreadd = (0..count).find(|n| named(*n, b"kthreadd\0"))?;
    let mut found = vec![
        Inferred { path: "comm", offset: comm as u64, size: 16 },
        Inferred { path: "tasks", offset: list as u64, size: 16 },
    ];
    // pid and tgid: 0 for init_task, 2 for kthreadd, all different, and the same once more right behind.
    let pid = (0..comm).step_by(4).find(|at| {
        let pids = tasks.halves(*at);
        let different = pids.iter().collect::<HashSet<_>>().len() == pids.len();
        tasks.half(0, *at) == Some(0)
            && tasks.half(kthreadd, *at) == Some(2)
            && different
            && pids.iter().all(|pid| *pid <= 1 << 22)
            && pids == tasks.halves(at + 4)
    })?;
    found.push(Inferred { path: "pid", offset: pid as u64, size: 4 });
    found.push(Inferred { path: "tgid", offset: pid as u64 + 4, size: 4 });
    let init_process = (0..count).find(|n| tasks.half(*n, pid) == Some(1));
    // The parent: a task for every task; kthreadd's is init_task. real_parent comes before parent.
    let parent = (pid.next_multiple_of(8)..comm).step_by(8).find(|at| {
        let all = tasks.words(*at);
        all.iter().all(|p| set.contains(p)) && tasks.word(kthreadd, *at) == Some(init.0)
    });
    found.extend(parent.map(|at| Inferred { path: "real_parent", offset: at as u64, size: 8 }));
    found.extend(exit_state(&tasks, list, pid, init_process));
    found.extend(thread_group(kernel, &tasks, pid, comm));
    // Flags: the kernel-thread bit in kthreadd and not in process 1; the stack: aligned, of its own, zero if freed.
    let flags = init_process.and_then(|one| {
        (0..128).step_by(4).find(|at| {
            let kthread = |n| tasks.half(n, *at).map(|f| f & 0x0020_0000 != 0);
            let small = tasks.halves(*at).iter().all(|f| *f < 0x8000_0000);
            kthread(kthreadd) == Some(true) && kthread(one) == Some(false) && kthread(0) == Some(true) && small
        })
    });
    found.extend(flags.map(|at| Inferred { path: "flags", offset: at as u64, size: 4 }));
    let stack = (0..128).step_by(8).find(|at| {
        let all: Vec<_> = tasks.words(*at).into_iter().filter(|w| *w != 0).collect();
        let own = all.iter().collect::<HashSet<_>>().len() == all.len();
        all.len() * 2 > count && own && all.iter().all(|w| w % 4096 == 0 && kernel.arch().is_kernel(VirtAddr(*w)))
    });
    if let Some(at) = stack {
        found.push(Inferred { path: "stack", offset: at as u64, size: 8 });
        // What was saved when a task was switched out points into its stack; the first such word behind the name that
        // does for nearly all. On arm64 it is the frame pointer, followed by sp and pc.
        let saved = (comm..MAX_TASK - 32).step_by(8).find(|saved| {
            let inside = (0..count).filter(|n| {
                let (low, sp) = (tasks.word(*n, at).unwrap_or(0), tasks.word(*n, *saved).unwrap_or(0));
                low != 0 && sp > low && sp < low.saturating_add(STACK)
            });
            inside.count() * 10 > count * 8
        });
        match (saved, kernel.arch()) {
            (Some(at), Arch::X86_64) => found.push(Inferred { path: "thread.sp", offset: at as u64, size: 8 }),
            (Some(at), Arch::Aarch64) => {
                let at = at as u64;
                found.push(Inferred { path: "thread.cpu_context.fp", offset: at, size: 8 });
                found.push(Inferred { path: "thread.cpu_context.sp", offset: at + 8, size: 8 });
                found.push(Inferred { path: "thread.cpu_context.pc", offset: at + 16, size: 8 });
            }
            (None, _) => {}
        }
        // The state is the word before the stack's: a long up to 5.13, 32 bits since (2f064a59a11f).
        let states = |at: usize| {
            let all = tasks.halves(at);
            let usual = all.iter().filter(|s| matches!(**s, 1 | 2 | 0x402)).count();
            all.iter().all(|s| *s < 0x1_0000) && usual * 2 > all.len()
        };
        let state = (0..at).rev().filter(|n| n % 8 == 0).find(|n| states(*n));
        found.extend(state.map(|at| Inferred { path: "__state", offset: at as u64, size: 4 }));
    }
    Some(found)
}

/// 16 or 32 for the dead, 0 for all others. The signal that a parent gets for its child lies two words behind; for
/// process 1 and most others it is SIGCHLD.
fn exit_state(tasks: &Tasks, list: usize, pid: usize, init_process: Option<usize>) -> Option<Inferred> {
    const SIGCHLD: u32 = 17;
    let one = init_process?;
    let fits = |at: &usize| {
        let signals = tasks.halves(at + 8);
        tasks.halves(*at).iter().all(|state| matches!(state, 0 | 16 | 32))
            && signals.iter().all(|signal| *signal <= 64 || *signal == u32::MAX)
            && tasks.half(one, at + 8) == Some(SIGCHLD)
            && tasks.half(0, at + 8) == Some(0)
    };
    let mut places = (list..pid).step_by(4).filter(fits);
    let place = places.next().filter(|_| places.next().is_none())?;
    Some(Inferred { path: "exit_state", offset: place as u64, size: 4 })
}

/// The ring of a process's threads (until 6.7, 8e1f385104ac): every task is alone in its ring, or with tasks that have
/// its pid as tgid; at least one process has several.
fn thread_group(kernel: &Kernel<'_>, tasks: &Tasks, pid: usize, comm: usize) -> Option<Inferred> {
    /// Threads followed of one process.
    const MAX_THREADS: usize = 4096;
    let threads = |n: usize, at: usize| {
        let (task, _) = tasks.all.get(n)?;
        let (head, own) = (*task + at as u64, tasks.half(n, pid)?);
        let (mut node, mut others) = (VirtAddr(tasks.word(n, at)?), 0);
        while node != head {
            let thread = node - at as u64;
            let ids = [pid as u64, pid as u64 + 4].map(|place| kernel.u32(thread + place));
            if others > MAX_THREADS || !kernel.arch().is_kernel(node) || ids[1] != Ok(own) || ids[0] == Ok(own) {
                return None;
            }
            others += 1;
            node = kernel.ptr(node).ok()?;
        }
        Some(others)
    };
    // Thread 0's children have nothing to do with it: the idle tasks are no threads of each other.
    let place = (pid.next_multiple_of(8)..comm).step_by(8).find(|at| {
        let mut several = false;
        let whole = (0..tasks.all.len()).all(|n| {
            threads(n, *at).is_some_and(|others| {
                several |= others > 0;
                true
            })
        });
        whole && several
    })?;
    Some(Inferred { path: "thread_group", offset: place as u64, size: 16 })
}

impl Types {
    /// Records concluded members.
    pub(crate) fn conclude(&mut self, members: &[Inferred]) {
        for member in members {
            let shape = match member.path {
                "comm" => Shape::Array { stride: 1, count: 16 },
                "tasks" | "thread_group" => Shape::Struct,
                "pid" | "tgid" => Shape::Int { signed: true },
                "flags" | "__state" | "exit_state" => Shape::Int { signed: false },
                _ => Shape::Pointer,
            };
            self.infer("task_struct", member.path, member.offset, member.size, shape);
        }
    }
}
