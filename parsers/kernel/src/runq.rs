//! Run queues: what each CPU runs, and how far its clock lags behind.

use crate::{Kernel, VirtAddr};

/// The run queue of one CPU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunQueue {
    /// CPU.
    pub cpu: u32,
    /// Address of its `struct rq`.
    pub address: VirtAddr,
    /// Its clock, nanoseconds.
    pub clock_ns: u64,
    /// How far the clock is behind that of the CPU whose clock is newest. An idle CPU without a tick lags
    /// legitimately; a busy one is stalled.
    pub lag_ns: u64,
    /// Tasks that want to run, the current one among them.
    pub nr_running: u64,
    /// Its current task.
    pub current: Option<VirtAddr>,
    /// Whether the current task is its idle task.
    pub idle: bool,
}

/// Functions that go from a CPU's number to its run queue and do little else.
const READERS: [&str; 6] =
    ["idle_task", "idle_cpu", "available_idle_cpu", "nr_iowait_cpu", "nr_running", "sched_cpu_starting"];

impl Kernel<'_> {
    /// The run queue of a CPU.
    pub fn run_queue(&self, cpu: u32) -> Option<VirtAddr> {
        self.per_cpu(self.run_queue_variable()?, cpu)
    }

    pub(crate) fn run_queue_variable(&self) -> Option<VirtAddr> {
        *self.run_queues.get_or_init(|| self.find_run_queues())
    }

    /// The per-CPU variable `runqueues`: by its symbol, or where kallsyms lacks data, as the address that code of
    /// the scheduler mentions and at which every CPU's queue knows its own number and a task called `swapper`.
    fn find_run_queues(&self) -> Option<VirtAddr> {
        if let Some(at) = self.symbol_at("runqueues") {
            return Some(at);
        }
        let cpus = self.cpus_present();
        READERS.iter().flat_map(|name| self.code_references(name)).find(|at| {
            !cpus.is_empty()
                && cpus.iter().all(|cpu| {
                    let Some(queue) = self.per_cpu(*at, *cpu) else { return false };
                    let idle = self.pointer(queue, "rq", "idle").and_then(|t| self.text(t, "task_struct", "comm"));
                    self.value(queue, "rq", "cpu") == Some((*cpu).into())
                        && idle.is_some_and(|comm| comm.starts_with("swapper"))
                })
        })
    }

    /// The run queues of the CPUs that are present.
    pub fn run_queues(&self) -> Vec<RunQueue> {
        let mut queues: Vec<_> = self
            .cpus_present()
            .iter()
            .filter_map(|cpu| {
                let address = self.run_queue(*cpu)?;
                let current = self.current_task(*cpu);
                Some(RunQueue {
                    cpu: *cpu,
                    address,
                    clock_ns: self.value(address, "rq", "clock")?,
                    lag_ns: 0,
                    nr_running: self.value(address, "rq", "nr_running")?,
                    current,
                    idle: current.is_some() && current == self.idle_task(*cpu),
                })
            })
            .collect();
        let newest = queues.iter().map(|q| q.clock_ns).max().unwrap_or(0);
        for queue in &mut queues {
            queue.lag_ns = newest - queue.clock_ns;
        }
        queues
    }
}
