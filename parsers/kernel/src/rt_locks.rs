//! Sleeping locks that are an rt_mutex underneath: rt_mutex itself, and with PREEMPT_RT every mutex, rwsem and spinlock.
//!
//! The waiters of an rt_mutex stand in a red-black tree of structures on the sleepers' stacks, each of which names the
//! lock (kernel/locking/rtmutex_common.h). A structure is believed when its tree ends in that lock.

use crate::locks::{LockKind, Owner, StackWords, Stacks};
use crate::tasks::Task;
use crate::{Kernel, VirtAddr};

/// Most waiters of one lock that are counted.
const MAX_WAITERS: usize = 65_536;
/// A red-black tree of 2^32 nodes is not deeper.
const MAX_DEPTH: usize = 64;

/// `WRITER_BIAS` of kernel/locking/rwbase_rt.c: a writer has the lock.
const WRITER_BIAS: u32 = 1 << 30;
/// `READER_BIAS`: no writer is there. Below both stands the number of readers.
const READER_BIAS: u32 = 1 << 31;

/// An rt_mutex that a task waits for.
pub(crate) struct RtWait {
    /// Address of the lock as its user knows it.
    pub(crate) lock: VirtAddr,
    /// Tasks in its tree.
    pub(crate) waiters: usize,
}

impl Kernel<'_> {
    /// The type of the lock: since 5.15 (830e6acc8a1c "locking/rtmutex: Split out the inner parts of 'struct
    /// rtmutex'") a part of `struct rt_mutex`, before that all of it.
    fn rt_mutex_type(&self) -> &'static str {
        if self.types().member("rt_mutex_base", "owner").is_some() { "rt_mutex_base" } else { "rt_mutex" }
    }

    /// The lock that a task waits for by the waiter on its own stack, or, for a writer of an rwsem that has the inner
    /// lock and waits for readers to leave, by the address its frames saved.
    pub(crate) fn rt_wait(&self, task: &Task, kind: LockKind, words: &StackWords, stacks: &Stacks) -> Option<RtWait> {
        let types = self.types();
        let (to_task, to_lock) = (types.offset("rt_mutex_waiter", "task")?, types.offset("rt_mutex_waiter", "lock")?);
        // 6.5 (f7853c342418 "locking/rtmutex: Fix task->pi_waiters integrity") and its stable releases.
        let to_node = types.first_member("rt_mutex_waiter", &["tree.entry", "tree_entry"])?.offset;
        let outer = if kind == LockKind::Rwsem { self.rt_rwsem_member("rtmutex")? } else { 0 };
        let queued = words.places(task.address.0).find_map(|at| {
            let waiter = at - to_task;
            let lock = self.ptr(waiter + to_lock).ok().filter(|lock| self.arch().is_kernel(*lock))?;
            let root = self.value(lock, self.rt_mutex_type(), "waiters.rb_root.rb_node")?;
            let in_tree = root != 0 && self.tree_root(waiter + to_node) == Some(VirtAddr(root));
            in_tree.then(|| {
                let count = || self.rb_tree(Some(VirtAddr(root)), MAX_WAITERS, "waiters of a lock").items.len();
                RtWait { lock: lock - outer, waiters: stacks.counted(lock, count) }
            })
        });
        queued.or_else(|| {
            let leads_here = |lock: &VirtAddr| {
                self.arch().is_kernel(*lock)
                    && self.rt_owner(*lock + outer).is_some_and(|owner| owner.task == task.address)
                    && self.rt_readers(*lock).is_some_and(|readers| readers > 0)
            };
            let mut saved = words.iter().filter(|at| at.is_multiple_of(8)).map(VirtAddr);
            let lock = (kind == LockKind::Rwsem).then(|| saved.find(leads_here)).flatten()?;
            Some(RtWait { lock, waiters: 1 })
        })
    }

    /// Who holds an rt_mutex: the word has a flag in its lowest bit.
    pub(crate) fn rt_owner(&self, lock: VirtAddr) -> Option<Owner> {
        let task = VirtAddr(self.value(lock, self.rt_mutex_type(), "owner")? & !1);
        self.arch().is_kernel(task).then_some(Owner { task, certain: true })
    }

    /// Whether rwsems are rt_mutexes with a count of readers, as with PREEMPT_RT.
    pub(crate) fn rwsem_is_rt(&self) -> bool {
        ["rwbase", "rtmutex"].iter().any(|member| self.types().member("rw_semaphore", member).is_some())
    }

    /// Where a member of such an rwsem lies: in its rwbase_rt, in itself with the patches of PREEMPT_RT before 5.15.
    fn rt_rwsem_member(&self, member: &str) -> Option<u64> {
        let types = self.types();
        types.offset("rwbase_rt", member).or_else(|| types.offset("rw_semaphore", member))
    }

    /// The writer that has such an rwsem, or waits in it for its readers to leave; it keeps everybody else out.
    pub(crate) fn rt_rwsem_owner(&self, lock: VirtAddr, waiter: VirtAddr) -> Option<Owner> {
        let inner = lock + self.rt_rwsem_member("rtmutex")?;
        self.rt_owner(inner).filter(|owner| owner.task != waiter)
    }

    /// Readers that hold such an rwsem.
    pub(crate) fn rt_readers(&self, lock: VirtAddr) -> Option<u64> {
        let count = self.u32(lock + self.rt_rwsem_member("readers.counter")?).ok()?;
        (count & WRITER_BIAS == 0).then_some(u64::from(count & !READER_BIAS))
    }

    /// The root of the red-black tree that a node is in: the way up over `__rb_parent_color`.
    fn tree_root(&self, node: VirtAddr) -> Option<VirtAddr> {
        let mut at = node;
        for _ in 0..MAX_DEPTH {
            let parent = VirtAddr(self.ptr(at).ok()?.0 & !3);
            if parent.0 == 0 {
                return Some(at);
            }
            if !self.arch().is_kernel(parent) || ![parent + 8, parent + 16].iter().any(|p| self.ptr(*p) == Ok(at)) {
                return None;
            }
            at = parent;
        }
        None
    }
}
