//! What a sleeper waits for: the waiter it left on its own stack leads to the lock, the lock to its owner.
//!
//! Sleeping locks keep their waiters in structures on the sleepers' stacks. A word equal to the sleeper's own
//! `task_struct`, with list pointers before it that close on each other, is such a waiter; the one element of its
//! ring that lies on no stack is the list head inside the lock. From 7.1 on (25500ba7e77c "locking/mutex: Remove
//! the list_head from struct mutex") the ring holds waiters only, and the lock is found by its pointer into the
//! ring, among what the sleeper's frames saved, or in `task.blocker`.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use serde::Serialize;

use crate::stacks::CallStack;
use crate::tasks::Task;
use crate::wait_queues::QueueWait;
use crate::{Kernel, VirtAddr};

/// Most waiters of one lock that are followed.
const MAX_WAITERS: usize = 65_536;

/// A kind of sleeping lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LockKind {
    /// `struct mutex`
    Mutex,
    /// `struct rw_semaphore`
    Rwsem,
    /// `struct semaphore`; it records no owner.
    Semaphore,
    /// `struct rt_mutex_base`
    RtMutex,
    /// `struct percpu_rw_semaphore`; of its owners it knows the writer alone, and that only while it waits for readers.
    PercpuRwsem,
}

impl LockKind {
    /// As facts name it.
    pub fn name(self) -> &'static str {
        match self {
            LockKind::Mutex => "mutex",
            LockKind::Rwsem => "rwsem",
            LockKind::Semaphore => "semaphore",
            LockKind::RtMutex => "rt-mutex",
            LockKind::PercpuRwsem => "percpu-rwsem",
        }
    }

    /// The kernel's type.
    pub fn type_name(self) -> &'static str {
        match self {
            LockKind::Mutex => "mutex",
            LockKind::Rwsem => "rw_semaphore",
            LockKind::Semaphore => "semaphore",
            LockKind::RtMutex => "rt_mutex_base",
            LockKind::PercpuRwsem => "percpu_rw_semaphore",
        }
    }

    fn waiter(self) -> &'static str {
        match self {
            LockKind::Mutex => "mutex_waiter",
            LockKind::Rwsem => "rwsem_waiter",
            LockKind::Semaphore => "semaphore_waiter",
            LockKind::RtMutex => "rt_mutex_waiter",
            LockKind::PercpuRwsem => "wait_queue_entry",
        }
    }
}

/// Who holds a lock, as far as the lock says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Its task.
    pub task: VirtAddr,
    /// False for a lock held by readers: the word names the last reader that came, which may be gone.
    pub certain: bool,
}

/// A task that waits for a lock.
#[derive(Clone, Debug)]
pub struct LockWait {
    /// The sleeper.
    pub task: VirtAddr,
    /// Kind of lock.
    pub kind: LockKind,
    /// For a reader-writer lock: whether it wants to read.
    pub read: bool,
    /// Address of the lock; `None` when only its waiters could be found.
    pub lock: Option<VirtAddr>,
    /// Name of the lock when it is a variable.
    pub symbol: Option<String>,
    /// Module of that variable.
    pub module: Option<String>,
    /// Who holds it.
    pub owner: Option<Owner>,
    /// Whom it names instead, when that is a task that started after this one fell asleep: the owner died with the lock
    /// held, and its task_struct was given to another.
    pub reused: Option<VirtAddr>,
    /// The owner that exited with the lock held, while its task_struct is nobody else's yet: thread id and command name.
    pub exited: Option<(i32, String)>,
    /// Whether the owner is the task itself or another that waits for the same lock, and is so young that a task which
    /// exited with the lock held may have had its task_struct just before.
    pub perhaps_reused: bool,
    /// Readers that hold it, where the lock counts them.
    pub readers: Option<u64>,
    /// Tasks waiting for the same lock, this one among them.
    pub waiters: usize,
    /// The frozen file system whose writers this per-CPU rwsem holds back.
    pub frozen: Option<Frozen>,
}

/// A file system that is frozen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frozen {
    /// Its `struct super_block`.
    pub super_block: VirtAddr,
    /// Its `s_id`: the name of a device.
    pub name: String,
}

/// Functions in which a task goes to sleep on behalf of its caller.
const SLEEP: [&str; 50] = [
    "__schedule",
    "schedule",
    "__switch_to",
    "context_switch",
    "schedule_timeout",
    "schedule_timeout_uninterruptible",
    "schedule_timeout_interruptible",
    "schedule_timeout_killable",
    "schedule_timeout_idle",
    "schedule_preempt_disabled",
    "schedule_hrtimeout",
    "schedule_hrtimeout_range",
    "schedule_hrtimeout_range_clock",
    "schedule_rtlock",
    "schedule_rtmutex",
    "rt_mutex_schedule",
    "preempt_schedule",
    "preempt_schedule_common",
    "__cond_resched",
    "io_schedule",
    "io_schedule_timeout",
    "io_schedule_prepare",
    "msleep",
    "msleep_interruptible",
    "usleep_range",
    "usleep_range_state",
    "wait_woken",
    "wait_for_completion",
    "wait_for_completion_timeout",
    "wait_for_common",
    "__wait_for_common",
    "do_wait_for_common",
    "wait_for_completion_killable",
    "wait_for_completion_interruptible",
    "wait_for_completion_io",
    "wait_for_completion_state",
    "wait_for_completion_io_timeout",
    "wait_for_completion_killable_timeout",
    "wait_for_completion_interruptible_timeout",
    "bit_wait",
    "bit_wait_io",
    "bit_wait_timeout",
    "bit_wait_io_timeout",
    "__wait_on_bit",
    "__wait_on_bit_lock",
    "out_of_line_wait_on_bit",
    "out_of_line_wait_on_bit_timeout",
    "out_of_line_wait_on_bit_lock",
    "percpu_rwsem_wait",
    "percpu_rwsem_wait_reader",
];

/// How a task waits, by the functions innermost in its stack.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Waiting {
    /// The lock it is about to get, and whether for reading.
    pub(crate) lock: Option<(LockKind, bool)>,
    /// The function on whose behalf it sleeps, past scheduling and locking.
    pub(crate) function: Option<String>,
    /// Whether it sleeps until a time: none of the functions passed over waits for an event.
    pub(crate) timed: bool,
}

fn lock_function(name: &str) -> Option<(LockKind, bool)> {
    let read = name.contains("read");
    Some(match name {
        _ if name.starts_with("__mutex_lock") || name.starts_with("mutex_lock") || name.contains("ww_mutex_lock") => {
            (LockKind::Mutex, false)
        }
        _ if name.starts_with("rwsem_down_") || name.starts_with("call_rwsem_down_") => (LockKind::Rwsem, read),
        "down_read" | "__down_read" | "down_read_killable" | "down_read_interruptible" | "__down_read_common" => {
            (LockKind::Rwsem, true)
        }
        "down_write" | "__down_write" | "down_write_killable" | "__down_write_common" => (LockKind::Rwsem, false),
        "__down" | "__down_common" | "___down_common" | "__down_interruptible" | "__down_killable" => {
            (LockKind::Semaphore, false)
        }
        // PREEMPT_RT: kernel/locking/rwbase_rt.c, spinlock_rt.c
        "rwbase_write_lock" | "rwbase_read_lock" | "__rwbase_read_lock" | "rt_write_lock" | "rt_read_lock" => {
            (LockKind::Rwsem, read)
        }
        "percpu_down_read" | "__percpu_down_read" => (LockKind::PercpuRwsem, true),
        "percpu_down_write" => (LockKind::PercpuRwsem, false),
        "__down_timeout" | "down" | "down_interruptible" | "down_killable" | "down_timeout" => {
            (LockKind::Semaphore, false)
        }
        _ if name.contains("rt_mutex_slowlock") || name.starts_with("rtlock_slowlock") => (LockKind::RtMutex, false),
        "rt_mutex_lock" | "rt_mutex_lock_interruptible" | "__rt_mutex_lock" | "rt_spin_lock" => {
            (LockKind::RtMutex, false)
        }
        _ => return None,
    })
}

/// How the owner of a stack waits. Scanned frames do not count.
pub(crate) fn waiting(stack: &CallStack) -> Waiting {
    let mut result = Waiting::default();
    for frame in stack.frames.iter().filter(|f| f.found != facts::Found::Scan) {
        let Some(name) = frame.function() else { return result };
        if let Some(lock) = lock_function(name) {
            // The rt_mutex inside an rwsem is not what the task asked for.
            match &mut result.lock {
                Some((LockKind::RtMutex, _)) if lock.0 == LockKind::Rwsem => result.lock = Some(lock),
                Some(_) => {}
                none => *none = Some(lock),
            }
        } else if !SLEEP.contains(&name) {
            result.function = Some(name.to_owned());
            return result;
        } else if name.starts_with("wait_") || name.contains("wait_for_") || name.contains("wait_on_bit") {
            result.timed = false;
        } else if ["msleep", "usleep_", "schedule_timeout", "schedule_hrtimeout"].iter().any(|n| name.starts_with(n)) {
            result.timed = true;
        }
    }
    result
}

/// The function on whose behalf the owner of a stack sleeps, past scheduling and locking.
pub fn waits_in(stack: &CallStack) -> Option<String> {
    waiting(stack).function
}

/// The stack of a sleeper as bytes, from its stack pointer up.
pub(crate) struct StackWords {
    start: u64,
    words: Vec<u64>,
}

impl StackWords {
    pub(crate) fn read(kernel: &Kernel<'_>, task: &Task, stack: &CallStack) -> Option<StackWords> {
        let bounds = kernel.stack_bounds(task.stack?);
        let start = *stack.sps.first()? & !7;
        if !bounds.contains(start) {
            return None;
        }
        let mut bytes = vec![0; (bounds.high - start) as usize];
        // Kernel stacks are whole pages; a missing one leaves zeroes, which are no addresses.
        for (n, page) in bytes.chunks_mut(512).enumerate() {
            let _ = kernel.read(VirtAddr(start + 512 * n as u64), page);
        }
        let words = bytes.chunks_exact(8).map(|b| u64::from_le_bytes(b.try_into().unwrap_or_default())).collect();
        Some(StackWords { start, words })
    }

    /// A stack that holds these words.
    #[cfg(test)]
    pub(crate) fn of(start: u64, words: Vec<u64>) -> StackWords {
        StackWords { start, words }
    }

    /// Where the stack holds a word, lowest first.
    pub(crate) fn places(&self, word: u64) -> impl Iterator<Item = VirtAddr> {
        let hits = self.words.iter().enumerate().filter(move |(_, w)| **w == word);
        hits.map(|(n, _)| VirtAddr(self.start + 8 * n as u64))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = u64> {
        self.words.iter().copied()
    }
}

/// Stacks of all tasks, to tell a waiter on a stack from a list head in a lock.
pub(crate) struct Stacks {
    ranges: Vec<(u64, u64, VirtAddr)>,
    /// Rings already walked, by each of their nodes on a stack: many tasks wait for one lock.
    rings: Mutex<HashMap<VirtAddr, Arc<Ring>>>,
    /// Waiters of locks whose waiters stand in a tree.
    counts: Mutex<HashMap<VirtAddr, usize>>,
    tasks: HashSet<VirtAddr>,
}

impl Stacks {
    pub(crate) fn of(kernel: &Kernel<'_>, tasks: &[Task]) -> Stacks {
        let mut ranges: Vec<_> = tasks
            .iter()
            .filter_map(|t| {
                let bounds = kernel.stack_bounds(t.stack?);
                Some((bounds.low, bounds.high, t.address))
            })
            .collect();
        ranges.sort_unstable();
        Stacks {
            ranges,
            rings: Mutex::default(),
            counts: Mutex::default(),
            tasks: tasks.iter().map(|t| t.address).collect(),
        }
    }

    /// How many wait for a lock, counted once.
    pub(crate) fn counted(&self, lock: VirtAddr, count: impl FnOnce() -> usize) -> usize {
        match self.counts.lock() {
            Ok(mut counts) => *counts.entry(lock).or_insert_with(count),
            Err(_) => count(),
        }
    }

    /// Whether a task is at this address.
    pub(crate) fn has(&self, task: VirtAddr) -> bool {
        self.tasks.contains(&task)
    }

    /// The task on whose stack an address lies.
    pub(crate) fn owner(&self, at: VirtAddr) -> Option<VirtAddr> {
        let after = self.ranges.partition_point(|(low, ..)| *low <= at.0);
        let (_, high, task) = after.checked_sub(1).and_then(|n| self.ranges.get(n))?;
        (at.0 < *high).then_some(*task)
    }
}

/// A ring of list nodes: those on stacks, and the others.
pub(crate) struct Ring {
    pub(crate) on_stacks: HashSet<VirtAddr>,
    pub(crate) elsewhere: Vec<VirtAddr>,
}

impl Kernel<'_> {
    /// Whether `node` is an element of a list whose neighbours point back at it.
    pub(crate) fn is_linked(&self, node: VirtAddr) -> bool {
        let (Ok(next), Ok(prev)) = (self.ptr(node), self.ptr(node + 8)) else { return false };
        self.arch().is_kernel(next)
            && self.arch().is_kernel(prev)
            && self.ptr(next + 8) == Ok(node)
            && self.ptr(prev) == Ok(node)
    }

    /// The ring that goes through a linked node.
    pub(crate) fn ring(&self, node: VirtAddr, stacks: &Stacks) -> Arc<Ring> {
        if let Some(known) = stacks.rings.lock().ok().and_then(|rings| rings.get(&node).cloned()) {
            return known;
        }
        let mut ring = Ring { on_stacks: HashSet::from([node]), elsewhere: Vec::new() };
        for other in self.list(node, MAX_WAITERS, "waiters of a lock").items {
            match stacks.owner(other) {
                Some(_) => _ = ring.on_stacks.insert(other),
                None => ring.elsewhere.push(other),
            }
        }
        let ring = Arc::new(ring);
        if let Ok(mut rings) = stacks.rings.lock() {
            rings.extend(ring.on_stacks.iter().map(|node| (*node, ring.clone())));
        }
        ring
    }

    /// The lock a task waits for, if the innermost functions of its stack say that it waits for one.
    pub(crate) fn lock_wait(&self, task: &Task, stack: &CallStack, stacks: &Stacks) -> Option<LockWait> {
        let (kind, read) = waiting(stack).lock?;
        let words = StackWords::read(self, task, stack)?;
        let waiter_type = kind.waiter();
        let to_task = self.types().offset(waiter_type, "task").unwrap_or(16);
        let mut wait = LockWait {
            task: task.address,
            kind,
            read,
            lock: None,
            symbol: None,
            module: None,
            owner: None,
            reused: None,
            exited: None,
            perhaps_reused: false,
            readers: None,
            waiters: 1,
            frozen: None,
        };
        if kind == LockKind::PercpuRwsem {
            let (lock, waiters) = self.percpu_rwsem(task, &words, stacks)?;
            (wait.lock, wait.waiters) = (Some(lock), waiters);
            wait.frozen = self.frozen_by(lock);
        } else if kind == LockKind::RtMutex || (kind == LockKind::Rwsem && self.rwsem_is_rt()) {
            let found = self.rt_wait(task, kind, &words, stacks)?;
            (wait.lock, wait.waiters) = (Some(found.lock), found.waiters);
        } else {
            let to_list = self.types().offset(waiter_type, "list").unwrap_or(0);
            let node = words.places(task.address.0).map(|at| at - to_task + to_list).find(|n| self.is_linked(*n))?;
            let ring = self.ring(node, stacks);
            wait.waiters = ring.on_stacks.len();
            wait.lock = self.lock_of_ring(task, kind, &ring, &words, stacks);
        }
        if let Some(lock) = wait.lock {
            wait.owner = self.lock_owner(kind, lock, task.address, stacks);
            wait.readers = self.rwsem_readers(kind, lock);
            if let Some(symbol) = self.symbolize(lock) {
                wait.symbol = (symbol.offset == 0).then(|| symbol.name.clone());
                wait.module = symbol.module;
            }
        }
        Some(wait)
    }

    fn lock_of_ring(
        &self,
        task: &Task,
        kind: LockKind,
        ring: &Ring,
        words: &StackWords,
        stacks: &Stacks,
    ) -> Option<VirtAddr> {
        let types = self.types();
        // A ring of the waiters alone, to whose first the lock points; so has the rwsem of RHEL 7, by a head of one word.
        let one_word =
            || types.member(kind.type_name(), "wait_list").filter(|list| list.size == 8).map(|list| list.offset);
        if let Some(to_first) = types.offset(kind.type_name(), "first_waiter").or_else(one_word) {
            let leads_here =
                |lock: VirtAddr| self.ptr(lock + to_first).is_ok_and(|first| ring.on_stacks.contains(&first));
            // 6.16 on with hung-task detection: the lock, its kind in the two low bits (e711faaafbe5 "hung_task:
            // replace blocker_mutex with encoded blocker").
            let blocker = self.value(task.address, "task_struct", "blocker").map(|b| VirtAddr(b & !3));
            let blocked_on = self.pointer(task.address, "task_struct", "blocked_on");
            let told = [blocker, blocked_on].into_iter().flatten();
            let saved = words.iter().map(VirtAddr).filter(|at| self.arch().is_kernel(*at) && at.0.is_multiple_of(8));
            return told.chain(saved).find(|lock| leads_here(*lock));
        }
        let [head] = ring.elsewhere.as_slice() else { return None };
        if kind == LockKind::Mutex && types.offset("mutex", "wait_list").is_none() {
            // Not known: the list has the owner 16 bytes before it since 4.10, 16 bytes behind it before, when a count
            // stood 8 bytes before it, which is -1 while somebody waits; now that is a spinlock.
            let counts = self.u32(*head - 8) == Ok(u32::MAX);
            let (lock, owner) = if counts { (*head - 8, *head + 16) } else { (*head - 16, *head - 16) };
            let owner = self.ptr(owner).ok().map(|owner| VirtAddr(owner.0 & !7));
            return owner.is_some_and(|task| stacks.has(task)).then_some(lock);
        }
        let fallback = match kind {
            LockKind::Mutex => 16,
            LockKind::Rwsem => 24,
            _ => 8,
        };
        Some(*head - types.offset(kind.type_name(), "wait_list").unwrap_or(fallback))
    }

    /// Who holds a lock.
    fn lock_owner(&self, kind: LockKind, lock: VirtAddr, waiter: VirtAddr, stacks: &Stacks) -> Option<Owner> {
        let types = self.types();
        let name = kind.type_name();
        if kind == LockKind::Mutex && types.offset("mutex", "owner").is_none() {
            let places = [lock, lock + 24].map(|at| self.ptr(at).ok().map(|owner| VirtAddr(owner.0 & !7)));
            let task = places.into_iter().flatten().find(|task| stacks.has(*task))?;
            return Some(Owner { task, certain: true });
        }
        match kind {
            LockKind::RtMutex => return self.rt_owner(lock),
            LockKind::Rwsem if self.rwsem_is_rt() => return self.rt_rwsem_owner(lock, waiter),
            LockKind::PercpuRwsem => return self.percpu_rwsem_writer(lock).filter(|owner| owner.task != waiter),
            _ => {}
        }
        // An atomic word with flags in its low bits since 4.10 (mutex: 3ca0ff571b09 "locking/mutex: Rework mutex::
        // owner") and 5.3 (rwsem: 94a9717b3c40); a plain pointer before.
        let word = match types.member(name, "owner.counter") {
            Some(_) => self.value(lock, name, "owner.counter")?,
            None => self.value(lock, name, "owner")?,
        };
        let (mask, certain) = match kind {
            LockKind::Mutex => (7, true),
            LockKind::Rwsem => (7, word & 1 == 0),
            LockKind::RtMutex | LockKind::Semaphore | LockKind::PercpuRwsem => return None,
        };
        let task = VirtAddr(word & !mask);
        self.arch().is_kernel(task).then_some(Owner { task, certain })
    }

    /// Readers holding an rwsem: from bit 8 of its count since 5.3 (64489e78004c).
    fn rwsem_readers(&self, kind: LockKind, lock: VirtAddr) -> Option<u64> {
        if kind == LockKind::Rwsem && self.rwsem_is_rt() {
            return self.rt_readers(lock);
        }
        if kind == LockKind::PercpuRwsem {
            return self.percpu_rwsem_readers(lock);
        }
        if kind != LockKind::Rwsem {
            return None;
        }
        let count = self.first_value(lock, "rw_semaphore", &["count.counter", "count"])?;
        if self.types().member("rw_semaphore", "owner.counter").is_some() {
            return (count >> 63 == 0).then_some(count >> 8);
        }
        // Before 64489e78004c "locking/rwsem: Implement a new locking scheme" (v5.3): those that have it, or try to, in
        // the low half; the high half is one less where somebody waits, and one less for a writer.
        matches!((count >> 32) as i32, 0 | -1).then_some(count & 0xffff_ffff)
    }
}

/// A ring of tasks each of which waits for a lock that the next one holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockCycle {
    /// The tasks, starting with the lowest address; each waits for the next, the last for the first.
    pub tasks: Vec<VirtAddr>,
    /// Whether every owner is certain. A cycle through a lock held by readers never is.
    pub confirmed: bool,
}

/// Cycles among waits, each reported once: for locks, and for work that is flushed and threads that are to end, where
/// memory tells who has to do that. Who waits for itself without a lock is in none.
pub fn cycles(waits: &[LockWait], others: &[QueueWait]) -> Vec<LockCycle> {
    let ends = others.iter().filter(|wait| wait.must_end && wait.waker != Some(wait.task));
    let ends = ends.filter_map(|wait| Some((wait.task.0, Owner { task: wait.waker?, certain: true })));
    let mut edges: HashMap<u64, Owner> = ends.collect();
    edges.extend(waits.iter().filter_map(|w| Some((w.task.0, w.owner?))));
    let mut found: Vec<LockCycle> = Vec::new();
    let mut done: HashMap<u64, usize> = HashMap::new();
    for (walk, start) in waits.iter().enumerate() {
        let mut path: Vec<(VirtAddr, bool)> = Vec::new();
        let mut at = start.task;
        while let Some(owner) = edges.get(&at.0) {
            if let Some(earlier) = done.get(&at.0) {
                if *earlier == walk
                    && let Some(from) = path.iter().position(|(task, _)| *task == at)
                {
                    let ring = path.get(from..).unwrap_or_default();
                    let lowest = ring.iter().enumerate().min_by_key(|(_, (task, _))| task.0).map_or(0, |(n, _)| n);
                    let mut tasks: Vec<_> = ring.iter().map(|(task, _)| *task).collect();
                    tasks.rotate_left(lowest);
                    found.push(LockCycle { tasks, confirmed: ring.iter().all(|(_, certain)| *certain) });
                }
                break;
            }
            done.insert(at.0, walk);
            path.push((at, owner.certain));
            at = owner.task;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(task: u64, owner: u64, certain: bool) -> LockWait {
        LockWait {
            task: VirtAddr(task),
            kind: LockKind::Mutex,
            read: false,
            lock: Some(VirtAddr(task + 0x1000)),
            symbol: None,
            module: None,
            owner: Some(Owner { task: VirtAddr(owner), certain }),
            reused: None,
            exited: None,
            perhaps_reused: false,
            readers: None,
            waiters: 1,
            frozen: None,
        }
    }

    #[test]
    fn a_cycle_is_found_once_and_a_bystander_is_not_in_it() {
        let waits = [wait(3, 1, true), wait(1, 2, true), wait(2, 1, true)];
        let expected = LockCycle { tasks: vec![VirtAddr(1), VirtAddr(2)], confirmed: true };
        assert_eq!(cycles(&waits, &[]), [expected]);
    }

    #[test]
    fn a_cycle_through_readers_is_never_confirmed() {
        let waits = [wait(1, 2, true), wait(2, 1, false)];
        assert_eq!(cycles(&waits, &[]).len(), 1);
        assert!(!cycles(&waits, &[])[0].confirmed);
    }

    #[test]
    fn a_chain_without_an_end_in_itself_is_no_cycle() {
        assert!(cycles(&[wait(1, 2, true), wait(2, 3, true)], &[]).is_empty());
        assert_eq!(cycles(&[wait(1, 1, true)], &[]).len(), 1);
    }

    #[test]
    fn locking_functions_are_told_apart() {
        assert_eq!(lock_function("__mutex_lock"), Some((LockKind::Mutex, false)));
        assert_eq!(lock_function("rwsem_down_read_slowpath"), Some((LockKind::Rwsem, true)));
        assert_eq!(lock_function("rwsem_down_write_failed"), Some((LockKind::Rwsem, false)));
        assert_eq!(lock_function("__down_common"), Some((LockKind::Semaphore, false)));
        assert_eq!(lock_function("__percpu_down_read"), Some((LockKind::PercpuRwsem, true)));
        assert_eq!(lock_function("rtlock_slowlock_locked"), Some((LockKind::RtMutex, false)));
        assert_eq!(lock_function("__rwbase_read_lock"), Some((LockKind::Rwsem, true)));
        assert_eq!(lock_function("register_pernet_subsys"), None);
    }

    /// The rwsem of RHEL 7: the head of its waiters is one word, and not in their ring.
    #[test]
    fn a_lock_with_a_head_of_one_word_is_among_what_the_sleeper_saved() {
        let memory = crate::synthetic::Memory::new();
        let (lock, node) = (crate::synthetic::BASE + 0x1_0100, crate::synthetic::BASE + 0x1_2000);
        // Two readers hold it, and a writer waits.
        memory.put64(lock, 0xffff_ffff_0000_0002);
        memory.put64(lock + 16, node);
        memory.put64(node, node);
        memory.put64(node + 8, node);
        let kernel = memory.kernel_with("", &[("rw_semaphore", "count", 0, 8), ("rw_semaphore", "wait_list", 16, 8)]);
        let task = Task::of(VirtAddr(crate::synthetic::BASE + 0x4000), 7, 7, 'D');
        let ring = Ring { on_stacks: HashSet::from([VirtAddr(node)]), elsewhere: Vec::new() };
        let stacks = Stacks::of(&kernel, &[]);
        let found = |saved: u64| {
            let words = StackWords::of(node - 64, vec![1, saved, 0]);
            kernel.lock_of_ring(&task, LockKind::Rwsem, &ring, &words, &stacks)
        };
        assert_eq!((found(lock), found(lock + 8)), (Some(VirtAddr(lock)), None));
        assert_eq!(kernel.rwsem_readers(LockKind::Rwsem, VirtAddr(lock)), Some(2));
        memory.put64(lock, 0xffff_fffe_0000_0001);
        assert_eq!(kernel.rwsem_readers(LockKind::Rwsem, VirtAddr(lock)), None);
    }

    /// Before 4.10, without types: what lies before the lock may be another lock's owner.
    #[test]
    fn a_mutex_whose_layout_is_not_known_is_told_by_its_count() {
        let memory = crate::synthetic::Memory::new();
        let (lock, own, other) = (crate::synthetic::BASE + 0x108, 0x4000, 0x8000);
        let task = |offset: u64| Task::of(VirtAddr(crate::synthetic::BASE + offset), 7, 7, 'D');
        memory.put64(lock - 8, task(other).address.0);
        memory.put64(lock, 0xffff_ffff);
        memory.put64(lock + 24, task(own).address.0);
        let kernel = memory.kernel_with("", &[("task_struct", "pid", 0, 4)]);
        let ring = Ring { on_stacks: HashSet::new(), elsewhere: vec![VirtAddr(lock + 8)] };
        let stacks = Stacks::of(&kernel, &[task(own), task(other)]);
        let words = StackWords::of(0, Vec::new());
        let found = kernel.lock_of_ring(&task(0xc000), LockKind::Mutex, &ring, &words, &stacks);
        assert_eq!(found, Some(VirtAddr(lock)));
        let owner = kernel.lock_owner(LockKind::Mutex, VirtAddr(lock), VirtAddr(0), &stacks);
        assert_eq!(owner.map(|owner| owner.task), Some(task(own).address));
    }
}
