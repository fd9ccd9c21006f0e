//! `waits`: who waits on whom.

use std::collections::{BTreeSet, HashMap};

use facts::{Address, Gap};
use kernel::stacks::CallStack;
use kernel::{Kernel, Task, VirtAddr};
use serde::{Serialize, Serializer};

/// A task that waits for a lock.
#[derive(Clone, Debug, Serialize)]
pub struct LockRow {
    /// Thread id of the sleeper.
    pub pid: i32,
    /// Its command name.
    pub comm: String,
    /// Its state letter.
    pub state: char,
    /// `mutex`, `rwsem`, `semaphore`, `rt-mutex`.
    pub kind: &'static str,
    /// For a reader-writer lock: `read` or `write`.
    pub mode: Option<&'static str>,
    /// The lock.
    pub lock: Option<Address>,
    /// Its name when it is a variable.
    pub symbol: Option<String>,
    /// Module of that variable.
    pub module: Option<String>,
    /// Thread id of who holds it.
    pub owner_pid: Option<i32>,
    /// Command name of who holds it.
    pub owner_comm: Option<String>,
    /// Address of the owner's task_struct.
    pub owner: Option<Address>,
    /// Address of the task_struct of an owner that died: another task has it since.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner_died: Option<Address>,
    /// `exited`: the owner exited without giving it back; `unclear`: it waits for the lock itself since shortly after its
    /// start, so one that exited may have had its task_struct.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner_left: Option<&'static str>,
    /// False when readers hold the lock: the owner is only the last reader that came.
    pub owner_certain: bool,
    /// Readers that hold it, where the lock counts them.
    pub readers: Option<u64>,
    /// Tasks waiting for it, this one among them.
    pub waiters: usize,
    /// The frozen file system whose writers it holds back.
    pub frozen: Option<FrozenRow>,
}

/// A frozen file system.
#[derive(Clone, Debug, Serialize)]
pub struct FrozenRow {
    /// Address of its super_block.
    pub super_block: Address,
    /// Name of its device, `s_id`.
    pub device: String,
    /// Where it is mounted.
    pub path: Option<String>,
}

/// A task in state D, or one that such a task waits for, that waits for something that is neither lock nor pool.
#[derive(Clone, Debug, Serialize)]
pub struct OtherRow {
    /// Thread id of the sleeper.
    pub pid: i32,
    /// Its command name.
    pub comm: String,
    /// Its state letter.
    pub state: char,
    /// `completion`, `bit`, `variable`, `page`, `queue`, `threads`, `core-dump`, `program`, `grace-period`, `time`; `null` where nothing on its stack tells.
    pub kind: Option<&'static str>,
    /// The completion, word, page or queue.
    pub object: Option<Address>,
    /// Variable it is, or lies in.
    pub symbol: Option<String>,
    /// Module of that variable.
    pub module: Option<String>,
    /// Number of the bit; of a page its name.
    pub bit: Option<String>,
    /// File system of a page, `s_id`.
    pub filesystem: Option<String>,
    /// Inode number of a page's file.
    pub inode: Option<u64>,
    /// The block device whose I/O ends the wait.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// Of that I/O `read`, `write`, ..., where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
    /// What of the device it waits for: `page`, `buffer`, `bio`, `tag`, `frozen`, ...
    #[serde(skip_serializing_if = "Option::is_none")]
    pub io: Option<&'static str>,
    /// Tasks in the same queue, this one among them.
    pub waiters: Option<usize>,
    /// The function on whose behalf it sleeps.
    pub waits_in: Option<String>,
    /// Thread id of the task that has to end the wait, where memory tells; the sleeper itself: it never ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waker_pid: Option<i32>,
    /// Its command name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waker_comm: Option<String>,
    /// Why it is that one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waker_by: Option<String>,
}

/// A memory pool that tasks wait for.
#[derive(Clone, Debug, Serialize)]
pub struct PoolRow {
    /// The `mempool_t`.
    pub pool: Address,
    /// Its variable.
    pub symbol: Option<String>,
    /// Slab cache of its elements.
    pub cache: Option<String>,
    /// Elements kept in reserve.
    pub min_nr: i32,
    /// Elements in reserve now.
    pub curr_nr: i32,
    /// Sleepers: thread id and command name.
    #[serde(serialize_with = "as_tasks")]
    pub sleepers: Vec<(i32, String)>,
}

/// A deadlock.
#[derive(Clone, Debug, Serialize)]
pub struct CycleRow {
    /// Thread id and command name; each waits for the next, the last for the first.
    #[serde(serialize_with = "as_tasks")]
    pub tasks: Vec<(i32, String)>,
    /// Whether every owner is certain.
    pub confirmed: bool,
}

fn as_tasks<S: Serializer>(tasks: &[(i32, String)], s: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Named<'a> {
        pid: i32,
        comm: &'a str,
    }
    s.collect_seq(tasks.iter().map(|(pid, comm)| Named { pid: *pid, comm }))
}

/// Who waits on whom.
#[derive(Clone, Debug, Serialize)]
pub struct WaitView {
    /// Deadlocks.
    pub cycles: Vec<CycleRow>,
    /// Waits for locks.
    pub locks: Vec<LockRow>,
    /// Waits for memory pools.
    pub pools: Vec<PoolRow>,
    /// The other tasks in state D.
    pub others: Vec<OtherRow>,
    /// Of those who are waited for what does not go on: stopped, traced, frozen, without a CPU.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub halted: Vec<HaltedRow>,
    /// What could not be decided.
    pub gaps: Vec<Gap>,
}

/// A task that others wait for and that does not go on, though it waits for nothing.
#[derive(Clone, Debug, Serialize)]
pub struct HaltedRow {
    /// Thread id.
    pub pid: i32,
    /// Command name.
    pub comm: String,
    /// Why, as the end of a sentence: `is stopped by SIGSTOP`.
    pub halted: String,
}

/// The waits of a dump.
pub fn waiting(kernel: &Kernel<'_>) -> WaitView {
    let walk = kernel.tasks();
    let stacks = kernel.stacks(&walk.items);
    let waits = kernel.waits(&walk.items, &stacks);
    let by_address: HashMap<u64, &Task> = walk.items.iter().map(|task| (task.address.0, task)).collect();
    let name = |at: VirtAddr| by_address.get(&at.0).map(|task| (task.pid, task.comm.clone()));
    let named = |at: VirtAddr| name(at).unwrap_or_else(|| (-1, format!("no task at {at}")));
    // Where a frozen file system is mounted is asked only when somebody waits for one.
    let frozen = waits.locks.iter().any(|wait| wait.frozen.is_some());
    let mounts = if frozen { kernel.mounts().items } else { Vec::new() };
    let path = |block: VirtAddr| mounts.iter().find(|m| m.super_block == block).and_then(|m| m.path.clone());
    let locks = waits.locks.iter().filter_map(|wait| {
        let task = by_address.get(&wait.task.0)?;
        let owner = wait.owner;
        Some(LockRow {
            pid: task.pid,
            comm: task.comm.clone(),
            state: task.state,
            kind: wait.kind.name(),
            mode: (wait.kind == kernel::locks::LockKind::Rwsem).then_some(if wait.read { "read" } else { "write" }),
            lock: wait.lock.map(Into::into),
            symbol: wait.symbol.clone(),
            module: wait.module.clone(),
            owner_pid: owner
                .and_then(|o| name(o.task))
                .map(|(pid, _)| pid)
                .or(wait.exited.as_ref().map(|(pid, _)| *pid)),
            owner_comm: owner
                .and_then(|o| name(o.task))
                .map(|(_, comm)| comm)
                .or(wait.exited.as_ref().map(|(_, comm)| comm.clone())),
            owner: owner.map(|o| o.task.into()),
            owner_died: wait.reused.map(Into::into),
            owner_left: match (&wait.exited, wait.perhaps_reused) {
                (Some(_), _) => Some("exited"),
                (None, true) => Some("unclear"),
                (None, false) => None,
            },
            owner_certain: owner.is_some_and(|o| o.certain),
            readers: wait.readers,
            waiters: wait.waiters,
            frozen: wait.frozen.as_ref().map(|frozen| FrozenRow {
                super_block: frozen.super_block.into(),
                device: frozen.name.clone(),
                path: path(frozen.super_block),
            }),
        })
    });
    let stack_of: HashMap<u64, &CallStack> =
        walk.items.iter().zip(&stacks).filter_map(|(task, stack)| Some((task.address.0, stack.as_ref()?))).collect();
    let queued = waits.others.iter().filter_map(|wait| {
        let task = by_address.get(&wait.task.0)?;
        let other = OtherRow {
            kind: Some(wait.kind.name()),
            object: Some(wait.object.into()),
            symbol: wait.symbol.clone(),
            module: wait.module.clone(),
            bit: wait.bit.clone(),
            filesystem: wait.file.as_ref().map(|file| file.filesystem.clone()),
            inode: wait.file.as_ref().and_then(|file| file.inode),
            device: wait.io.as_ref().map(|io| io.device.clone()),
            operation: wait.io.as_ref().and_then(|io| io.operation.clone()),
            io: wait.io.as_ref().map(|io| io.by),
            waiters: Some(wait.waiters),
            waits_in: stack_of.get(&wait.task.0).and_then(|stack| kernel::locks::waits_in(stack)),
            waker_pid: wait.waker.and_then(name).map(|(pid, _)| pid),
            waker_comm: wait.waker.and_then(name).map(|(_, comm)| comm),
            waker_by: wait.waker_by.as_ref().map(ToString::to_string),
            ..OtherRow::of(task)
        };
        Some(other)
    });
    let unexplained = waits.unexplained.iter().filter_map(|sleeper| {
        let kind = sleeper.timed.then_some("time");
        Some(OtherRow { kind, waits_in: sleeper.function.clone(), ..OtherRow::of(by_address.get(&sleeper.task.0)?) })
    });
    let mut others: Vec<OtherRow> = queued.chain(unexplained).collect();
    others.sort_by_key(|row| row.pid);
    let pools = waits.pools.iter().map(|pool| PoolRow {
        pool: pool.address.into(),
        symbol: pool.symbol.clone(),
        cache: pool.cache.clone(),
        min_nr: pool.min_nr,
        curr_nr: pool.curr_nr,
        sleepers: waits.sleepers.iter().filter(|(_, at)| *at == pool.address).map(|(task, _)| named(*task)).collect(),
    });
    let cycles = waits.cycles.iter().map(|cycle| CycleRow {
        tasks: cycle.tasks.iter().map(|task| named(*task)).collect(),
        confirmed: cycle.confirmed,
    });
    let mut gaps = walk.gaps;
    gaps.extend(waits.gaps.iter().chain(&waits.unreadable).cloned());
    // A list of waiters, or since 25500ba7e77c (v7.1) the first of them; an rt_mutex with PREEMPT_RT.
    let knows_mutex =
        ["wait_list", "first_waiter", "rtmutex"].iter().any(|way| kernel.types().member("mutex", way).is_some());
    if waits.locks.is_empty() && !knows_mutex {
        gaps.push(Gap::new(
            "waits for locks",
            kernel.member(),
            "the layout of struct mutex is not known",
            "a vmlinux or a pack of this kernel (--vmlinux, --pack)",
        ));
    }
    let owners = waits.locks.iter().filter_map(|wait| wait.owner).map(|owner| owner.task);
    let awaited: BTreeSet<u64> =
        owners.chain(waits.others.iter().filter_map(|wait| wait.waker)).map(|at| at.0).collect();
    let halted = awaited.into_iter().filter_map(|at| {
        let task = by_address.get(&at)?;
        let halted = kernel.halted(task, stack_of.get(&at).copied())?;
        Some(HaltedRow { pid: task.pid, comm: task.comm.clone(), halted })
    });
    let halted = halted.collect();
    WaitView { halted, cycles: cycles.collect(), locks: locks.collect(), pools: pools.collect(), others, gaps }
}

impl OtherRow {
    /// Of a task nothing else is known of.
    fn of(task: &Task) -> OtherRow {
        OtherRow {
            pid: task.pid,
            comm: task.comm.clone(),
            state: task.state,
            kind: None,
            object: None,
            symbol: None,
            module: None,
            bit: None,
            filesystem: None,
            inode: None,
            device: None,
            operation: None,
            io: None,
            waiters: None,
            waits_in: None,
            waker_pid: None,
            waker_comm: None,
            waker_by: None,
        }
    }
}
