//! `sys`: the machine at a glance.

use std::collections::BTreeMap;

use facts::{Address, Fact, Gap};
use kernel::{Kernel, Taint};
use serde::Serialize;

use crate::extract::Outline;

/// Load averages.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Load {
    /// Of one minute.
    pub one: f64,
    /// Of five minutes.
    pub five: f64,
    /// Of fifteen minutes.
    pub fifteen: f64,
}

/// CPUs.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct CpuCounts {
    /// Present.
    pub present: usize,
    /// In the online mask. A panic takes those out that it stopped.
    pub online: usize,
    /// Present and not online, in a machine that crashed: stopped by the panic, or taken off before.
    pub stopped: usize,
}

/// The task that was on the CPU that crashed.
#[derive(Clone, Debug, Serialize)]
pub struct CrashedTask {
    /// CPU.
    pub cpu: u32,
    /// Thread id.
    pub pid: Option<i32>,
    /// Command name.
    pub comm: Option<String>,
    /// Address of its task_struct.
    pub task: Option<Address>,
    /// State letter.
    pub state: Option<char>,
}

/// The machine at a glance. Every field may be absent.
#[derive(Clone, Debug, Serialize)]
pub struct SystemView {
    /// The dump.
    pub dump: Outline,
    /// Kernel release, `uname -r`.
    pub release: Option<String>,
    /// Number and date of the build, `uname -v`.
    pub version: Option<String>,
    /// The whole banner.
    pub banner: Option<String>,
    /// Build-id of the kernel.
    pub build_id: Option<String>,
    /// `uname -m`.
    pub machine: Option<String>,
    /// Bytes of a page.
    pub page_size: u64,
    /// Where structure layouts come from: `BTF`, `DWARF`, `pack`.
    pub types: Vec<String>,
    /// Host name; `(none)` where none was set.
    pub nodename: Option<String>,
    /// CPUs.
    pub cpus: CpuCounts,
    /// When it crashed or was dumped, RFC 3339, UTC.
    pub date: Option<String>,
    /// When it was booted, RFC 3339, UTC.
    pub booted: Option<String>,
    /// Nanoseconds of monotonic time since boot.
    pub uptime_ns: Option<u64>,
    /// Time of the last line of the log, where the uptime is not known, nanoseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_ends_ns: Option<u64>,
    /// Load averages.
    pub load: Option<Load>,
    /// Tasks.
    pub tasks: usize,
    /// Tasks by state.
    pub states: BTreeMap<char, usize>,
    /// Bytes of memory that the kernel manages.
    pub memory_bytes: Option<u64>,
    /// The command line.
    pub command_line: Option<String>,
    /// Taints; `null` where the mask cannot be read.
    pub taints: Option<Vec<Taint>>,
    /// Modules with a taint, and their letters.
    pub taint_modules: Vec<TaintModule>,
    /// Whether it crashed; `false` for a snapshot of a running machine.
    pub crashed: bool,
    /// Why it panicked, as the log has it.
    pub panic: Option<String>,
    /// The first oops of the log.
    pub oops: Option<String>,
    /// Who crashed.
    pub crashed_task: Option<CrashedTask>,
    /// What could not be read.
    pub gaps: Vec<Gap>,
}

/// A module with a taint.
#[derive(Clone, Debug, Serialize)]
pub struct TaintModule {
    /// Its name.
    pub name: String,
    /// Its letters.
    pub taints: String,
}

/// The machine at a glance. `reports` are those of the log.
pub fn system(kernel: &Kernel<'_>, dump: Outline, mut gaps: Vec<Gap>, reports: &[Fact]) -> SystemView {
    let walk = kernel.tasks();
    let mut states = BTreeMap::new();
    for task in &walk.items {
        *states.entry(task.state).or_insert(0) += 1;
    }
    let crashed = kernel.crashed();
    let uptime_ns = kernel.monotonic_ns();
    let of_crash = crashed.and_then(|c| walk.items.iter().find(|task| Some(task.address) == c.task));
    let first_line = |kind: &str| {
        let fact = reports.iter().find(|fact| fact.kind == kind)?;
        fact.quote.lines().next().map(str::to_owned).filter(|line| !line.is_empty())
    };
    let (present, online) = (kernel.cpus_present().len(), kernel.cpus_online().len());
    let tainted = kernel.modules().items.iter().filter(|module| module.taints.is_some_and(|bits| bits != 0));
    gaps.extend(walk.gaps.iter().cloned());
    SystemView {
        dump,
        release: kernel.release(),
        version: kernel.version(),
        banner: kernel.banner(),
        build_id: kernel.build_id(),
        machine: kernel.machine().or_else(|| Some(kernel.arch().name().to_owned())),
        page_size: kernel.page_bytes(),
        types: kernel.types().sources().filter(|name| !name.contains(" of ")).map(str::to_owned).collect(),
        nodename: kernel.nodename(),
        cpus: CpuCounts {
            present,
            online,
            stopped: if crashed.is_some() { present.saturating_sub(online) } else { 0 },
        },
        date: kernel.date(),
        booted: kernel.identity().boot_time,
        uptime_ns,
        log_ends_ns: match uptime_ns {
            Some(_) => None,
            None => kernel.log().records.iter().filter_map(|record| record.ts_ns).max(),
        },
        load: kernel.load_averages().map(|[one, five, fifteen]| Load { one, five, fifteen }),
        tasks: walk.items.len(),
        states,
        memory_bytes: kernel.memory_bytes(),
        command_line: kernel.command_line(),
        taints: kernel.taints(),
        taint_modules: tainted
            .map(|module| TaintModule { name: module.name.clone(), taints: module.taint_letters() })
            .collect(),
        crashed: crashed.is_some(),
        panic: first_line("log.panic"),
        oops: first_line("log.oops"),
        crashed_task: crashed.map(|c| CrashedTask {
            cpu: c.cpu,
            pid: of_crash.map(|task| task.pid),
            comm: of_crash.map(|task| task.comm.clone()),
            task: c.task.map(Into::into),
            state: of_crash.map(|task| task.state),
        }),
        gaps,
    }
}
