//! Work queues: what workers do, what waits, which pools do not get on.

use std::collections::HashMap;

use facts::FieldType::{Address as Addr, Int, Text};
use facts::field;
use facts::{Address, Fact, Gap, KindDef};
use serde::Serialize;

use crate::{Kernel, VirtAddr, Walk};

const MAX_POOLS: usize = 20_000;
const MAX_PENDING: usize = 100_000;
const MAX_WORKERS: usize = 100_000;
/// Facts of busy workers.
const MAX_FACTS: usize = 64;
/// What the kernel's own watchdog takes for a stall.
const STALLED_FROM_S: u64 = 15;

/// A pool of workers.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(Default))]
pub struct WorkerPool {
    /// Address of its `struct worker_pool`.
    pub address: VirtAddr,
    /// Its number.
    pub id: i32,
    /// The CPU it belongs to; `None` for an unbound one.
    pub cpu: Option<u32>,
    /// Workers.
    pub workers: u64,
    /// Those that are idle.
    pub idle: u64,
    /// Work that waits for a worker.
    pub pending: usize,
    /// Function of the work that waits first.
    pub first_pending: Option<String>,
    /// How long the pool did not begin anything, nanoseconds; only where work waits.
    pub stalled_ns: Option<u64>,
    /// What its busy workers do.
    pub busy: Vec<Worker>,
}

/// A busy worker.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Worker {
    /// Its `task_struct`.
    pub task: VirtAddr,
    /// Thread id.
    pub pid: Option<i32>,
    /// Command name.
    pub comm: Option<String>,
    /// Function it runs.
    pub function: Option<String>,
    /// Module of that function.
    pub module: Option<String>,
    /// Work queue.
    pub workqueue: Option<String>,
    /// What it says of its work, `flush-8:0`.
    pub description: Option<String>,
    /// How long it has been at it, nanoseconds, where the kernel notes it.
    pub busy_ns: Option<u64>,
    /// Work of its queue that may not begin while as much runs as may (`max_active`).
    pub inactive: usize,
    /// Function of the first of it.
    pub first_inactive: Option<String>,
    /// Its `struct worker`.
    #[serde(skip)]
    pub(crate) address: VirtAddr,
    /// The `struct workqueue_struct` that its work is of.
    #[serde(skip)]
    pub(crate) queue: Option<VirtAddr>,
    /// The `struct work_struct` that it runs.
    #[serde(skip)]
    pub(crate) work: Option<VirtAddr>,
}

/// The kinds of facts made here.
pub(crate) const KINDS: &[KindDef] = &[
    KindDef {
        kind: "mem.worker",
        doc: "A worker of a work queue that is busy.",
        fields: &[
            field("task", Addr, "", "its task_struct"),
            field("pid", Int, "", "thread id"),
            field("comm", Text, "", "command name"),
            field("function", Text, "", "function it runs"),
            field("module", Text, "", "module of that function"),
            field("workqueue", Text, "", "work queue"),
            field("description", Text, "", "what it says of its work"),
            field("busy_s", Int, "s", "how long it has been at it, where the kernel notes it"),
            field("cpu", Int, "", "CPU of its pool, absent for an unbound one"),
        ],
    },
    KindDef {
        kind: "mem.worker_pool_stalled",
        doc: "A pool of workers in which work waits and nothing was begun for 15 s or more.",
        fields: &[
            field("pool", Int, "", "its number"),
            field("address", Addr, "", "its struct worker_pool"),
            field("cpu", Int, "", "its CPU, absent for an unbound one"),
            field("pending", Int, "", "work that waits"),
            field("function", Text, "", "function of the work that waits first"),
            field("stalled_s", Int, "s", "how long nothing was begun"),
            field("workers", Int, "", "workers"),
            field("idle", Int, "", "idle ones"),
        ],
    },
];

impl Kernel<'_> {
    /// All pools of workers (since 29c91e9912be "workqueue: implement worker_pool_idr", v3.9).
    pub fn worker_pools(&self) -> Walk<WorkerPool> {
        let missing = |why: &str, closes: &str| Walk::gap(Gap::new("work queues", self.member(), why, closes));
        let Some(idr) = self.worker_pool_ids() else {
            return missing(
                "no symbol worker_pool_idr, and no code that leads to it",
                "a vmlinux or System.map of this kernel (--vmlinux, --system-map)",
            );
        };
        if self.types().offset("worker_pool", "worklist").is_none() {
            return missing(
                "the layout of struct worker_pool is not known",
                "a vmlinux or a pack of this kernel (--vmlinux, --pack)",
            );
        }
        let ids = self.xarray(idr, "idr", MAX_POOLS, "pools of workers");
        let mut walk = Walk { items: Vec::new(), gaps: ids.gaps };
        let clock = self.jiffies().zip(self.ticks_per_second());
        let mut left = MAX_WORKERS;
        for (_, at) in ids.items {
            let pool = self.worker_pool(VirtAddr(at), clock, &mut left, &mut walk.gaps);
            walk.items.extend(pool);
        }
        walk
    }

    /// `worker_pool_idr`: by its symbol, or as what code mentions and where every pool knows its own number.
    pub(crate) fn worker_pool_ids(&self) -> Option<VirtAddr> {
        self.symbol_at("worker_pool_idr").or_else(|| {
            let users =
                ["work_busy", "start_flush_work", "flush_work", "__queue_work", "wq_worker_sleeping", "get_work_pool"];
            users.iter().flat_map(|name| self.code_references(name)).find(|at| {
                let pools = self.xarray(*at, "idr", MAX_POOLS, "pools of workers");
                let sound = |(id, pool): &(u64, u64)| self.value(VirtAddr(*pool), "worker_pool", "id") == Some(*id);
                pools.gaps.is_empty() && pools.items.len() > 1 && pools.items.iter().all(sound)
            })
        })
    }

    fn worker_pool(
        &self,
        at: VirtAddr,
        clock: Option<(u64, u64)>,
        left: &mut usize,
        gaps: &mut Vec<Gap>,
    ) -> Option<WorkerPool> {
        let types = self.types();
        let value = |path: &str| self.value(at, "worker_pool", path);
        let since = |jiffies: u64| {
            let (now, hz) = clock?;
            now.checked_sub(jiffies)?.checked_mul(1_000_000_000)?.checked_div(hz)
        };
        let pending = self.list(self.place(at, "worker_pool", "worklist")?, MAX_PENDING, "pending work");
        gaps.extend(pending.gaps);
        let entry = types.offset("work_struct", "entry").unwrap_or(8);
        let first = pending.items.first().and_then(|node| self.pointer(*node - entry, "work_struct", "func"));
        // 82607adcf9cd "workqueue: implement lockup detector" (v4.5); renamed in newer kernels.
        let begun = self.first_value(at, "worker_pool", &["watchdog_ts", "last_progress_ts"]);
        let mut pool = WorkerPool {
            address: at,
            id: value("id")? as i32,
            cpu: value("cpu").and_then(|cpu| u32::try_from(cpu).ok()),
            workers: value("nr_workers").unwrap_or(0),
            idle: value("nr_idle").unwrap_or(0),
            pending: pending.items.len(),
            first_pending: first.and_then(|at| self.symbolize(at)).map(|symbol| symbol.name),
            stalled_ns: begun.filter(|_| !pending.items.is_empty()).and_then(since),
            busy: Vec::new(),
        };
        let Some(table) = types.member("worker_pool", "busy_hash") else { return Some(pool) };
        let link = types.offset("worker", "hentry").unwrap_or(0);
        for nth in 0..(table.size / 8).min(1024) {
            let bucket = self.hlist(at + table.offset + nth * 8, *left, "busy workers");
            *left = left.saturating_sub(bucket.items.len());
            gaps.extend(bucket.gaps);
            for worker in bucket.items.into_iter().map(|node| node - link) {
                let value = |path: &str| self.pointer(worker, "worker", path);
                let Some(task) = value("task") else { continue };
                let function = value("current_func").and_then(|at| self.symbolize(at));
                let of_pool = value("current_pwq");
                let queue = of_pool.and_then(|pwq| self.pointer(pwq, "pool_workqueue", "wq"));
                let inactive = of_pool.map(|of_pool| self.inactive_work(of_pool)).unwrap_or_default();
                let first = inactive.first().and_then(|work| self.pointer(*work, "work_struct", "func"));
                let started = self.value(worker, "worker", "current_start");
                pool.busy.push(Worker {
                    task,
                    pid: self.value(task, "task_struct", "pid").map(|pid| pid as i32),
                    comm: self.text(task, "task_struct", "comm"),
                    module: function.as_ref().and_then(|symbol| symbol.module.clone()),
                    function: function.map(|symbol| symbol.name),
                    workqueue: queue.and_then(|queue| self.text(queue, "workqueue_struct", "name")),
                    description: self.text(worker, "worker", "desc").filter(|text| !text.is_empty()),
                    address: worker,
                    queue,
                    work: value("current_work"),
                    busy_ns: started.filter(|ticks| *ticks != 0).and_then(since),
                    inactive: inactive.len(),
                    first_inactive: first.and_then(|at| self.symbolize(at)).map(|symbol| symbol.name),
                });
            }
        }
        Some(pool)
    }

    /// `mem.worker` and `mem.worker_pool_stalled` facts.
    pub fn workqueue_facts(&self) -> (Vec<Fact>, Vec<Gap>) {
        let walk = self.worker_pools();
        let mut facts = Vec::new();
        let mut by_function: HashMap<Option<String>, usize> = HashMap::new();
        for pool in &walk.items {
            let stalled = pool.stalled_ns.map(|ns| ns / 1_000_000_000).filter(|s| *s >= STALLED_FROM_S);
            if let Some(seconds) = stalled {
                facts.push(
                    Fact::new("mem.worker_pool_stalled", self.origin(pool.address, "struct worker_pool"))
                        .with("pool", pool.id)
                        .with("address", Address::from(pool.address))
                        .with_opt("cpu", pool.cpu)
                        .with("pending", pool.pending)
                        .with_opt("function", pool.first_pending.clone())
                        .with("stalled_s", seconds)
                        .with("workers", pool.workers)
                        .with("idle", pool.idle)
                        .quoting(format!(
                            "pool {} of workers ({}) has begun nothing for {seconds} s, {} pieces of work wait, {} first",
                            pool.id,
                            pool.cpu.map_or_else(|| "unbound".to_owned(), |cpu| format!("CPU {cpu}")),
                            pool.pending,
                            pool.first_pending.as_deref().unwrap_or("?")
                        ))
                        .recheck(format!("crash> struct worker_pool {:#x}", pool.address.0))
                        .recheck(format!("drgn> Object(prog, 'struct worker_pool', address={:#x})", pool.address.0)),
                );
            }
            for worker in &pool.busy {
                // Hundreds of workers may run the same function; some of each suffice.
                let same = by_function.entry(worker.function.clone()).or_default();
                *same += 1;
                if facts.len() >= MAX_FACTS || *same > 8 {
                    continue;
                }
                let comm = worker.comm.as_deref().unwrap_or("?");
                let busy = worker.busy_ns.map(|ns| ns / 1_000_000_000);
                facts.push(
                    Fact::new("mem.worker", self.origin(worker.task, "struct task_struct"))
                        .with("task", Address::from(worker.task))
                        .with_opt("pid", worker.pid)
                        .with("comm", comm)
                        .with_opt("function", worker.function.clone())
                        .with_opt("module", worker.module.clone())
                        .with_opt("workqueue", worker.workqueue.clone())
                        .with_opt("description", worker.description.clone())
                        .with_opt("busy_s", busy)
                        .with_opt("cpu", pool.cpu)
                        .quoting(format!(
                            "worker {comm} runs {} of work queue {}{}",
                            worker.function.as_deref().unwrap_or("?"),
                            worker.workqueue.as_deref().unwrap_or("?"),
                            busy.map_or(String::new(), |s| format!(", for {s} s"))
                        ))
                        .recheck(format!("crash> bt {:x}", worker.task.0))
                        .recheck(format!(
                            "drgn> prog.stack_trace(Object(prog, \"struct task_struct *\", {:#x}))",
                            worker.task.0
                        )),
                );
            }
        }
        (facts, walk.gaps)
    }
}
