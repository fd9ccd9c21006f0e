//! The facts about tasks, what they wait for, and run queues.

use std::cell::OnceCell;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use facts::FieldType::{Address as Addr, Bool, Int, List, Text};
use facts::field;
use facts::{Address, Fact, Gap, KindDef, Value};

use crate::locks::{self, LockCycle, LockWait};
use crate::mempool::Mempool;
use crate::stacks::CallStack;
use crate::tasks::Task;
use crate::wait_queues::{PageOwner, QueueWait, WaitKind};
use crate::waits::{self, Waits};
use crate::{Kernel, VirtAddr, WorkerPool};

/// The kinds of facts made here.
pub const KINDS: &[KindDef] = &[
    KindDef {
        kind: "mem.task",
        doc: "A task, with its stack.",
        fields: &[
            field("address", Addr, "", "its task_struct"),
            field("pid", Int, "", "thread id"),
            field("tgid", Int, "", "process id"),
            field("ppid", Int, "", "process id of the parent"),
            field("comm", Text, "", "command name"),
            field("state", Text, "", "state letter as ps prints it"),
            field("cpu", Int, "", "CPU it runs on or ran on last"),
            field("running", Bool, "", "current on its CPU"),
            field("kthread", Bool, "", "kernel thread"),
            field("idle", Bool, "", "idle task of a CPU"),
            field("waits_in", Text, "", "function on whose behalf it sleeps, past scheduling and locking"),
            field("cgroup", Text, "", "path in the version 2 hierarchy"),
            field("net_ns", Int, "", "inode number of its network namespace"),
            field("mnt_ns", Int, "", "inode number of its mount namespace"),
            field("uts_ns", Int, "", "inode number of its namespace of host names"),
            field("ipc_ns", Int, "", "inode number of its IPC namespace"),
            field("pid_ns", Int, "", "inode number of the pid namespace that its children get"),
            field("start_ns", Int, "ns", "monotonic time of its start"),
            field("last_run_ns", Int, "ns", "when it last got a CPU, on that CPU's run-queue clock"),
            field(
                "blocked_s",
                Int,
                "s",
                "how long ago it last ran, for a task in state D, one that waits for the lock of a file or dumps core; how long its call of SunRPC takes",
            ),
            field(
                "halted",
                Text,
                "",
                "what keeps a task from going on that waits for nothing: `is stopped by SIGSTOP`, `is frozen with its cgroup /a`, `may not run: ...`",
            ),
            field("make_it_fail", Bool, "", "faults are injected into its allocations"),
        ],
    },
    KindDef {
        kind: "mem.lock_wait",
        doc: "A task that sleeps until it gets a lock.",
        fields: &[
            field("task", Addr, "", "its task_struct"),
            field("pid", Int, "", "thread id"),
            field("comm", Text, "", "command name"),
            field("state", Text, "", "state letter"),
            field("lock", Addr, "", "the lock"),
            field("kind", Text, "", "mutex, rwsem, semaphore, rt-mutex, percpu-rwsem"),
            field("mode", Text, "", "read or write, for an rwsem"),
            field("symbol", Text, "", "name of the lock when it is a variable"),
            field("module", Text, "", "module of that variable"),
            field("owner", Addr, "", "task_struct of the owner, or of the last reader"),
            field("owner_pid", Int, "", "its thread id"),
            field("owner_comm", Text, "", "its command name"),
            field("owner_certain", Bool, "", "false when readers hold the lock: the owner is a candidate only"),
            field("owner_waits", Bool, "", "the owner waits for a lock itself"),
            field(
                "owner_died",
                Bool,
                "",
                "the owner died with it: the task that now has its task_struct started later",
            ),
            field(
                "owner_exited",
                Bool,
                "",
                "the owner exited without giving it back, and its task_struct is nobody else's",
            ),
            field(
                "owner_perhaps",
                Bool,
                "",
                "the owner waits for it itself since shortly after its start: a task that exited may have had its task_struct",
            ),
            field("readers", Int, "", "readers that hold the lock"),
            field("waiters", Int, "", "tasks waiting for the same lock"),
            field("frozen", Text, "", "frozen file system (s_id) whose writers the lock holds back"),
        ],
    },
    KindDef {
        kind: "mem.wait",
        doc: "A task in state D, one that waits for the lock of a file or dumps core, or one that these wait for, that sleeps for something that is neither lock nor pool.",
        fields: &[
            field("task", Addr, "", "its task_struct"),
            field("pid", Int, "", "thread id"),
            field("comm", Text, "", "command name"),
            field(
                "kind",
                Text,
                "",
                "completion, bit, variable, page, queue, direct-io; threads, core-dump, program, grace-period, file-lock, reference, pipe, cpu, server where memory tells what of",
            ),
            field("object", Addr, "", "the completion, word, page or queue"),
            field(
                "symbol",
                Text,
                "",
                "variable it is, or lies in; of threads their process, of a program its path, of a grace period RCU or the srcu_struct, of a lock its kind and file",
            ),
            field("module", Text, "", "module of that variable"),
            field("bit", Text, "", "number of the bit; of a page its name: locked, writeback"),
            field("filesystem", Text, "", "file system (s_id) of the page; bdev for a block device itself"),
            field("inode", Int, "", "inode number of the page's file"),
            field("device", Text, "", "the block device whose I/O ends the wait"),
            field("disk", Text, "", "the disk of that device"),
            field("operation", Text, "", "read, write, flush, ..., where what it waits on tells"),
            field(
                "io",
                Text,
                "",
                "what of the device it waits for: page, buffer, bio, direct-io, request, log, writeback; before I/O can begin tag, throttle, frozen; freeze: it freezes the queue",
            ),
            field("waiters", Int, "", "tasks in the same queue"),
            field(
                "waker",
                Addr,
                "",
                "the task that has to end the wait, where memory tells; the sleeper itself: it never ends",
            ),
            field("waker_pid", Int, "", "its thread id"),
            field("waker_comm", Text, "", "its command name"),
            field("waker_by", Text, "", "why it is that one: has it on its stack, runs the work that is flushed, ..."),
        ],
    },
    KindDef {
        kind: "mem.lock_cycle",
        doc: "Tasks each of which waits for a lock that the next one holds, or for work or a thread that it has to end: a deadlock.",
        fields: &[
            field("tasks", List, "", "command names"),
            field("pids", List, "", "thread ids"),
            field("who", List, "", "command names with thread ids"),
            field("locks", List, "", "addresses of the locks they wait for"),
            field("symbols", List, "", "names of the locks, address where there is none"),
            field("confirmed", Bool, "", "every owner is certain; false when the cycle goes through readers"),
        ],
    },
    KindDef {
        kind: "mem.mempool",
        doc: "A memory pool that tasks wait for.",
        fields: &[
            field("address", Addr, "", "the mempool_t"),
            field("min_nr", Int, "", "elements kept in reserve"),
            field("curr_nr", Int, "", "elements in reserve now"),
            field("alloc", Text, "", "function that allocates its elements"),
            field("cache", Text, "", "slab cache of its elements"),
            field("symbol", Text, "", "variable that holds it"),
            field("module", Text, "", "module of that variable"),
            field("waiters", Int, "", "tasks waiting for an element"),
            field("tasks", List, "", "their command names"),
        ],
    },
    KindDef {
        kind: "mem.mempool_sleeper",
        doc: "A task that sleeps in mempool_alloc until an element comes back.",
        fields: &[
            field("task", Addr, "", "its task_struct"),
            field("pid", Int, "", "thread id"),
            field("comm", Text, "", "command name"),
            field("state", Text, "", "state letter"),
            field("pool", Addr, "", "the mempool_t"),
            field("min_nr", Int, "", "elements the pool keeps in reserve"),
            field("curr_nr", Int, "", "elements in reserve now"),
            field("cache", Text, "", "slab cache of the pool"),
            field("make_it_fail", Bool, "", "faults are injected into its allocations"),
        ],
    },
    KindDef {
        kind: "mem.runq",
        doc: "The run queue of a CPU.",
        fields: &[
            field("cpu", Int, "", "CPU"),
            field("clock_ns", Int, "ns", "its clock"),
            field("lag_ns", Int, "ns", "how far it is behind the newest clock"),
            field("nr_running", Int, "", "tasks that want to run"),
            field("idle", Bool, "", "runs its idle task"),
            field("pid", Int, "", "thread id of the current task"),
            field("comm", Text, "", "its command name"),
        ],
    },
];

impl Kernel<'_> {
    /// All tasks with their stacks, run queues, lock and pool waits as facts, and what could not be read.
    pub fn task_facts(&self) -> (Vec<Fact>, Vec<Gap>) {
        let tasks = self.tasks();
        let stacks = self.stacks(&tasks.items);
        let waits = self.waits(&tasks.items, &stacks);
        let mut report = Report::new(self, &tasks.items, &stacks);
        report.tasks(&waits.others);
        report.queues();
        report.waits(&waits);
        let mut gaps = tasks.gaps;
        gaps.extend(waits.gaps);
        report.facts.extend(self.spin_facts(&tasks.items, &stacks));
        gaps.extend(self.cpus().gaps);
        (report.facts, gaps)
    }
}

struct Report<'a, 'd> {
    kernel: &'a Kernel<'d>,
    tasks: &'a [Task],
    stacks: &'a [Option<CallStack>],
    by_address: HashMap<u64, usize>,
    /// Equal stacks as one value.
    shared: HashMap<usize, Arc<facts::Stack>>,
    facts: Vec<Fact>,
}

/// The caller of work: it is the innermost where the function that is the work ends with the call that sleeps, as a jump.
const RUNS_WORK: &str = "process_one_work";

/// What the worker of a task runs.
fn work_of(task: VirtAddr, pools: &[WorkerPool]) -> Option<String> {
    let mut workers = pools.iter().flat_map(|pool| &pool.busy);
    workers.find(|worker| worker.task == task)?.function.clone()
}

impl<'a, 'd> Report<'a, 'd> {
    fn new(kernel: &'a Kernel<'d>, tasks: &'a [Task], stacks: &'a [Option<CallStack>]) -> Self {
        let by_address = tasks.iter().enumerate().map(|(n, t)| (t.address.0, n)).collect();
        Report { kernel, tasks, stacks, by_address, shared: HashMap::new(), facts: Vec::new() }
    }

    fn task(&self, address: VirtAddr) -> Option<&'a Task> {
        self.by_address.get(&address.0).and_then(|n| self.tasks.get(*n))
    }

    fn stack(&mut self, address: VirtAddr) -> Option<Arc<facts::Stack>> {
        let stack = self.by_address.get(&address.0).and_then(|n| self.stacks.get(*n))?.as_ref()?;
        let kernel = self.kernel;
        let new = || Arc::new(kernel.fact_stack("task", stack));
        Some(self.shared.entry(stack.identity()).or_insert_with(new).clone())
    }

    fn fact(&self, kind: &'static str, at: VirtAddr, type_name: &str) -> Fact {
        Fact::new(kind, self.kernel.origin(at, type_name))
    }

    fn tasks(&mut self, others: &[QueueWait]) {
        let now = self.kernel.monotonic_ns();
        let since = others.iter().filter_map(|wait| Some((wait.task, now?.checked_sub(wait.since_ns?)?)));
        let since: HashMap<VirtAddr, u64> = since.collect();
        let clocks: HashMap<u32, u64> = self.kernel.run_queues().iter().map(|q| (q.cpu, q.clock_ns)).collect();
        let pools = OnceCell::new();
        for (task, stack) in self.tasks.iter().zip(self.stacks) {
            let waits_in = stack.as_ref().filter(|_| !task.running).and_then(|s| locks::waiting(s).function);
            let waits_in = waits_in.map(|function| match function.as_str() {
                RUNS_WORK => {
                    let pools: &Vec<WorkerPool> = pools.get_or_init(|| self.kernel.worker_pools().items);
                    work_of(task.address, pools).unwrap_or(function)
                }
                _ => function,
            });
            let blocked = task
                .last_run_ns
                .filter(|_| stack.as_ref().map_or(task.is_blocked(), |stack| waits::concerns(task, stack)))
                .and_then(|ran| clocks.get(&task.cpu?)?.checked_sub(ran))
                .max(since.get(&task.address).copied())
                .map(|ns| ns / 1_000_000_000);
            let halted = self.kernel.halted(task, stack.as_ref());
            let mut fact = self
                .fact("mem.task", task.address, "struct task_struct")
                .with("address", Address::from(task.address))
                .with("pid", task.pid)
                .with("tgid", task.tgid)
                .with("ppid", task.ppid)
                .with("comm", task.comm.as_str())
                .with("state", task.state.to_string())
                .with_opt("cpu", task.cpu)
                .with("running", task.running)
                .with("kthread", task.kthread)
                .with("idle", task.idle)
                .with_opt("waits_in", waits_in.clone())
                .with_opt("cgroup", task.cgroup.clone())
                .with_opt("net_ns", task.namespaces.as_ref().and_then(|n| n.net))
                .with_opt("mnt_ns", task.namespaces.as_ref().and_then(|n| n.mnt))
                .with_opt("uts_ns", task.namespaces.as_ref().and_then(|n| n.uts))
                .with_opt("ipc_ns", task.namespaces.as_ref().and_then(|n| n.ipc))
                .with_opt("pid_ns", task.namespaces.as_ref().and_then(|n| n.pid))
                .with_opt("start_ns", task.start_ns)
                .with_opt("last_run_ns", task.last_run_ns)
                .with_opt("blocked_s", blocked)
                .with_opt("halted", halted.clone())
                .with("make_it_fail", task.make_it_fail);
            fact.quote = match (waits_in, task.running) {
                (_, true) => format!("task {} ({}) runs on CPU {}", task.pid, task.comm, task.cpu.unwrap_or(0)),
                _ if let Some(halted) = &halted => format!("task {} ({}) {halted}", task.pid, task.comm),
                (Some(function), _) => {
                    format!("task {} ({}) in state {} waits in {function}", task.pid, task.comm, task.state)
                }
                _ => format!("task {} ({}) in state {}", task.pid, task.comm, task.state),
            };
            fact.recheck = recheck_task(task);
            fact.stacks.extend(self.stack(task.address));
            self.facts.push(fact);
        }
    }

    fn queues(&mut self) {
        for queue in self.kernel.run_queues() {
            let current = queue.current.and_then(|at| self.task(at));
            let mut fact = self
                .fact("mem.runq", queue.address, "struct rq")
                .with("cpu", queue.cpu)
                .with("clock_ns", queue.clock_ns)
                .with("lag_ns", queue.lag_ns)
                .with("nr_running", queue.nr_running)
                .with("idle", queue.idle)
                .with_opt("pid", current.map(|t| t.pid))
                .with_opt("comm", current.map(|t| t.comm.as_str()));
            fact.quote = format!(
                "CPU {}: {} wants to run, clock {:.3} s behind",
                queue.cpu,
                queue.nr_running,
                queue.lag_ns as f64 / 1e9
            );
            fact.recheck = vec!["crash> runq -t".into(), format!("drgn> cpu_rq(prog, {}).clock", queue.cpu)];
            self.facts.push(fact);
        }
    }

    fn waits(&mut self, waits: &Waits) {
        let waiting: HashSet<VirtAddr> = waits.locks.iter().map(|wait| wait.task).collect();
        for wait in &waits.locks {
            self.lock_wait(wait, &waiting);
        }
        for cycle in &waits.cycles {
            self.cycle(cycle, waits);
        }
        for pool in &waits.pools {
            self.pool(pool);
        }
        for (sleeper, at) in &waits.sleepers {
            let pool = waits.pools.iter().find(|pool| pool.address == *at);
            if let (Some(task), Some(pool)) = (self.task(*sleeper), pool) {
                self.sleeper(task, pool);
            }
        }
        for wait in &waits.others {
            self.other(wait);
        }
    }

    fn other(&mut self, wait: &QueueWait) {
        let Some(task) = self.task(wait.task) else { return };
        let mut fact = self
            .fact("mem.wait", wait.object, wait.type_name())
            .with("task", Address::from(wait.task))
            .with("pid", task.pid)
            .with("comm", task.comm.as_str())
            .with("kind", wait.kind.name())
            .with("object", Address::from(wait.object))
            .with_opt("symbol", wait.symbol.clone())
            .with_opt("module", wait.module.clone())
            .with_opt("bit", wait.bit.clone())
            .with_opt("filesystem", wait.file.as_ref().map(|f| f.filesystem.clone()))
            .with_opt("inode", wait.file.as_ref().and_then(|f| f.inode))
            .with_opt("device", wait.io.as_ref().map(|io| io.device.as_str()))
            .with_opt("disk", wait.io.as_ref().map(|io| io.disk.as_str()))
            .with_opt("operation", wait.io.as_ref().and_then(|io| io.operation.as_deref()))
            .with_opt("io", wait.io.as_ref().map(|io| io.by))
            .with("waiters", wait.waiters);
        let waker = wait.waker.and_then(|at| self.task(at));
        if let Some(waker) = waker {
            fact.set("waker", Address::from(waker.address));
            fact.set("waker_pid", waker.pid);
            fact.set("waker_comm", waker.comm.as_str());
            if let Some(by) = &wait.waker_by {
                fact.set("waker_by", by.as_ref());
            }
        }
        let object = wait.symbol.clone().unwrap_or_else(|| wait.object.to_string());
        let what = match (wait.kind, &wait.bit, &wait.file) {
            (WaitKind::Page, Some(bit), Some(PageOwner { device: Some(device), .. })) => {
                format!("page {object} ({bit}) of block device {device}")
            }
            (WaitKind::Page, Some(bit), Some(PageOwner { filesystem, inode: Some(inode), .. })) => {
                format!("page {object} ({bit}) of inode {inode} on {filesystem}")
            }
            (WaitKind::Page, Some(bit), Some(file)) => format!("page {object} ({bit}) of {}", file.filesystem),
            (WaitKind::Page, Some(bit), None) => format!("page {object} ({bit})"),
            (WaitKind::Bit, Some(bit), _) => format!("bit {bit} of {object}"),
            (WaitKind::Threads, ..) => format!("the threads of {object}"),
            (WaitKind::CoreDump, ..) => format!("the core dump of {object}"),
            (WaitKind::Program, ..) => format!("the program {object}"),
            (WaitKind::GracePeriod, ..) => format!("a grace period of {object}"),
            (WaitKind::FileLock, ..) => format!("the {object}"),
            (WaitKind::Reference, ..) => format!("the last reference to a {object}"),
            (WaitKind::Server, ..) => format!("the answer of {object}"),
            (WaitKind::Pipe | WaitKind::Cpu, ..) => object,
            _ => format!("{} {object}", wait.kind.name()),
        };
        let what = match &wait.io {
            Some(io) => format!("{what}, {}", io.words()),
            None => what,
        };
        let of = waker.zip(wait.waker_by.as_ref()).map(|(waker, by)| match waker.address == wait.task {
            true => format!(", which it has to end itself: it {by}"),
            false => format!(", which {} ({}) has to end: it {by}", waker.pid, waker.comm),
        });
        let of = of.unwrap_or_default();
        fact.quote = format!("task {} ({}) in state {} waits for {what}{of}", task.pid, task.comm, task.state);
        fact.recheck = recheck_task(task);
        fact.stacks.extend(self.stack(wait.task));
        self.facts.push(fact);
    }

    fn lock_wait(&mut self, wait: &LockWait, waiting: &HashSet<VirtAddr>) {
        let Some(task) = self.task(wait.task) else { return };
        let owner = wait.owner.and_then(|o| self.task(o.task));
        let type_name = wait.kind.type_name();
        let at = wait.lock.unwrap_or(wait.task);
        let mode = (wait.kind == locks::LockKind::Rwsem).then_some(if wait.read { "read" } else { "write" });
        let mut fact = self
            .fact("mem.lock_wait", at, &format!("struct {type_name}"))
            .with("task", Address::from(wait.task))
            .with("pid", task.pid)
            .with("comm", task.comm.as_str())
            .with("state", task.state.to_string())
            .with_opt("lock", wait.lock.map(Address::from))
            .with("kind", wait.kind.name())
            .with_opt("mode", mode)
            .with_opt("symbol", wait.symbol.clone())
            .with_opt("module", wait.module.clone())
            .with_opt("owner", wait.owner.map(|o| Address::from(o.task)))
            .with_opt("owner_pid", owner.map(|t| t.pid).or(wait.exited.as_ref().map(|(pid, _)| *pid)))
            .with_opt(
                "owner_comm",
                owner.map(|t| t.comm.as_str()).or(wait.exited.as_ref().map(|(_, comm)| comm.as_str())),
            )
            .with_opt("owner_exited", wait.exited.as_ref().map(|_| true))
            .with_opt("owner_perhaps", wait.perhaps_reused.then_some(true))
            .with_opt("owner_certain", wait.owner.map(|o| o.certain && owner.is_some()))
            .with_opt("owner_waits", wait.owner.map(|o| waiting.contains(&o.task)))
            .with_opt("owner_died", wait.reused.map(|_| true))
            .with_opt("readers", wait.readers)
            .with("waiters", wait.waiters)
            .with_opt("frozen", wait.frozen.as_ref().map(|frozen| frozen.name.as_str()));
        let lock = lock_name(wait);
        let holder = match (&wait.frozen, owner, wait.owner) {
            (Some(frozen), ..) => format!("held while the file system on {} is frozen", frozen.name),
            _ if let Some((pid, comm)) = &wait.exited => {
                format!("held by {pid} ({comm}), which exited without giving it back")
            }
            (None, Some(owner), Some(_)) if wait.perhaps_reused => format!(
                "held by {} ({}), if not by a task that exited and had its task_struct before",
                owner.pid, owner.comm
            ),
            (None, Some(owner), Some(word)) if word.certain => format!("held by {} ({})", owner.pid, owner.comm),
            (None, Some(owner), Some(_)) => {
                format!("held by readers, the last to come was {} ({})", owner.pid, owner.comm)
            }
            (None, ..) if wait.reused.is_some() => {
                "held by a task that died: its task_struct belongs to one that started later".to_owned()
            }
            (None, None, Some(word)) if !word.certain => "held by readers, the last of which is gone".to_owned(),
            _ => "owner not known".to_owned(),
        };
        fact.quote = format!("task {} ({}) waits for {} {lock}, {holder}", task.pid, task.comm, wait.kind.name());
        fact.recheck = recheck_task(task);
        if let Some(lock) = wait.lock {
            fact.recheck.push(format!("crash> struct {type_name} {:x}", lock.0));
            fact.recheck.push(format!("drgn> Object(prog, \"struct {type_name}\", address={:#x})", lock.0));
        }
        fact.stacks.extend(self.stack(wait.task));
        if let Some(owner) = wait.owner.filter(|o| o.certain) {
            fact.stacks.extend(self.stack(owner.task));
        }
        self.facts.push(fact);
    }

    fn cycle(&mut self, cycle: &LockCycle, waits: &Waits) {
        let members: Vec<(&Task, Link<'_>)> = cycle
            .tasks
            .iter()
            .filter_map(|at| {
                let lock = waits.locks.iter().find(|w| w.task == *at && w.owner.is_some()).map(Link::Lock);
                let link = lock.or_else(|| waits.others.iter().find(|w| w.task == *at).map(Link::Other))?;
                Some((self.task(*at)?, link))
            })
            .collect();
        let (Some(first), true) = (cycle.tasks.first(), members.len() == cycle.tasks.len()) else { return };
        let names: Vec<_> = members.iter().map(|(task, _)| task.comm.clone()).collect();
        let mut fact = self
            .fact("mem.lock_cycle", *first, "struct task_struct")
            .with("tasks", names)
            .with("pids", members.iter().map(|(task, _)| Value::from(task.pid)).collect::<Vec<_>>())
            .with("locks", members.iter().filter_map(|(_, link)| link.address()).map(Address::from).collect::<Vec<_>>())
            .with("symbols", members.iter().map(|(_, link)| link.name()).collect::<Vec<_>>())
            .with("confirmed", cycle.confirmed);
        let who: Vec<_> = members.iter().map(|(task, _)| format!("{} ({})", task.comm, task.pid)).collect();
        let chain = who.iter().zip(&members).map(|(who, (_, link))| format!("{who} waits for {}", link.name()));
        let chain: Vec<_> = chain.collect();
        let holds = members.last().map_or("holds", |(_, link)| link.keeps());
        let certainty = if cycle.confirmed { "" } else { " (through readers: a candidate only)" };
        fact.quote = format!("{}, which {} {holds}{certainty}", chain.join(", "), who.first().map_or("", |n| n));
        fact = fact.with("who", who);
        fact.recheck = members.iter().flat_map(|(task, _)| recheck_task(task)).collect();
        for (_, link) in &members {
            if let Some(at) = link.address() {
                fact.recheck.push(format!("crash> struct {} {:x}", link.type_name(), at.0));
            }
        }
        for at in &cycle.tasks {
            fact.stacks.extend(self.stack(*at));
        }
        self.facts.push(fact);
    }

    fn pool(&mut self, pool: &Mempool) {
        let tasks: Vec<_> = pool.waiters.iter().filter_map(|at| self.task(*at)).map(|t| t.comm.clone()).collect();
        let mut fact = self
            .fact("mem.mempool", pool.address, "mempool_t")
            .with("address", Address::from(pool.address))
            .with("min_nr", pool.min_nr)
            .with("curr_nr", pool.curr_nr)
            .with_opt("alloc", pool.alloc.clone())
            .with_opt("cache", pool.cache.clone())
            .with_opt("symbol", pool.symbol.clone())
            .with_opt("module", pool.module.clone())
            .with("waiters", pool.waiters.len())
            .with("tasks", tasks.clone());
        fact.quote = format!(
            "memory pool of {}: {} of {} elements left, {} waiting ({})",
            pool.cache.as_deref().or(pool.alloc.as_deref()).unwrap_or("unknown elements"),
            pool.curr_nr,
            pool.min_nr,
            pool.waiters.len(),
            tasks.join(", ")
        );
        fact.recheck = recheck_pool(pool);
        self.facts.push(fact);
    }

    fn sleeper(&mut self, task: &Task, pool: &Mempool) {
        let mut fact = self
            .fact("mem.mempool_sleeper", task.address, "struct task_struct")
            .with("task", Address::from(task.address))
            .with("pid", task.pid)
            .with("comm", task.comm.as_str())
            .with("state", task.state.to_string())
            .with("pool", Address::from(pool.address))
            .with("min_nr", pool.min_nr)
            .with("curr_nr", pool.curr_nr)
            .with_opt("cache", pool.cache.clone())
            .with("make_it_fail", task.make_it_fail);
        fact.quote = format!(
            "task {} ({}) sleeps in mempool_alloc, its pool has {} of {} elements",
            task.pid, task.comm, pool.curr_nr, pool.min_nr
        );
        fact.recheck = recheck_task(task);
        fact.recheck.extend(recheck_pool(pool));
        fact.stacks.extend(self.stack(task.address));
        self.facts.push(fact);
    }
}

/// What one task of a cycle waits for.
enum Link<'w> {
    Lock(&'w LockWait),
    Other(&'w QueueWait),
}

impl Link<'_> {
    fn address(&self) -> Option<VirtAddr> {
        match self {
            Link::Lock(wait) => wait.lock,
            Link::Other(wait) => Some(wait.object),
        }
    }

    fn name(&self) -> String {
        match self {
            Link::Lock(wait) => lock_name(wait),
            Link::Other(wait) => wait.symbol.clone().unwrap_or_else(|| format!("{} {}", wait.kind.name(), wait.object)),
        }
    }

    fn type_name(&self) -> &'static str {
        match self {
            Link::Lock(wait) => wait.kind.type_name(),
            Link::Other(wait) => wait.type_name(),
        }
    }

    /// What the next task does with it.
    fn keeps(&self) -> &'static str {
        match self {
            Link::Lock(_) => "holds",
            Link::Other(_) => "has to end",
        }
    }
}

fn lock_name(wait: &LockWait) -> String {
    match (&wait.symbol, wait.lock) {
        (Some(symbol), _) => symbol.clone(),
        (None, Some(lock)) => format!("{lock}"),
        (None, None) => "at an unknown address".to_owned(),
    }
}

fn recheck_task(task: &Task) -> Vec<String> {
    vec![
        format!("crash> bt {:x}", task.address.0),
        format!("drgn> prog.stack_trace(Object(prog, \"struct task_struct *\", {:#x}))", task.address.0),
    ]
}

fn recheck_pool(pool: &Mempool) -> Vec<String> {
    vec![
        format!("crash> struct mempool_s {:x}", pool.address.0),
        format!("drgn> Object(prog, \"mempool_t\", address={:#x})", pool.address.0),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Worker;

    #[test]
    fn a_worker_is_in_the_work_that_left_no_frame() {
        let worker = Worker { task: VirtAddr(0x1000), function: Some("req_fn".to_owned()), ..Worker::default() };
        let pools = [WorkerPool::default(), WorkerPool { busy: vec![worker], ..WorkerPool::default() }];
        assert_eq!(work_of(VirtAddr(0x1000), &pools).as_deref(), Some("req_fn"));
        assert_eq!(work_of(VirtAddr(0x2000), &pools), None);
    }
}
