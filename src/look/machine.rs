//! `irq`, `timer`, `work`, `mount`, `sysctl`: lists of the whole machine.

use std::borrow::Cow;
use std::collections::HashMap;

use facts::{Address, Gap};
use kernel::{CpuInterrupts, Interrupt, Kernel, MachineInterrupt, Sysctl, TimerQueue, WorkerPool};
use serde::Serialize;

/// A list, and what is missing from it.
#[derive(Clone, Debug, Serialize)]
pub struct Listed<T> {
    /// The items.
    pub items: Vec<T>,
    /// What could not be read.
    pub gaps: Vec<Gap>,
}

impl<T> From<kernel::Walk<T>> for Listed<T> {
    fn from(walk: kernel::Walk<T>) -> Self {
        Listed { items: walk.items, gaps: walk.gaps }
    }
}

/// Interrupts and softirqs.
#[derive(Clone, Debug, Serialize)]
pub struct InterruptView {
    /// CPUs that are present.
    pub cpus: Vec<CpuInterrupts>,
    /// Interrupts by number.
    pub interrupts: Vec<Interrupt>,
    /// Those of the CPUs themselves, which have no number.
    pub machine: Vec<MachineInterrupt>,
    /// What could not be read.
    pub gaps: Vec<Gap>,
}

/// Interrupts by CPU, softirqs that ran and wait.
pub fn interrupts(kernel: &Kernel<'_>) -> InterruptView {
    let walk = kernel.interrupts();
    let machine = kernel.machine_interrupts();
    InterruptView { cpus: kernel.cpu_interrupts(), interrupts: walk.items, machine, gaps: walk.gaps }
}

/// Timers of each CPU; with `all` not only the first of each queue.
pub fn timers(kernel: &Kernel<'_>, all: bool) -> Listed<TimerQueue> {
    if all { kernel.all_timers().into() } else { kernel.timer_queues().into() }
}

/// Pools of workers.
pub fn workers(kernel: &Kernel<'_>) -> Listed<WorkerPool> {
    kernel.worker_pools().into()
}

/// A mount, with how its file system stands.
#[derive(Clone, Debug, Serialize)]
pub struct MountRow {
    /// Address of its struct mount.
    pub mount: Address,
    /// Address of its super_block.
    pub super_block: Address,
    /// Type of file system.
    pub fs_type: String,
    /// Source.
    pub source: String,
    /// Where it is mounted.
    pub path: Option<String>,
    /// Whether the file system is read-only.
    pub read_only: Option<bool>,
    /// How far it is frozen; `no` when it is not.
    pub frozen: Option<String>,
    /// Tasks that wait for it to thaw.
    pub waiters: usize,
}

/// Mounts of the first process.
pub fn mounts(kernel: &Kernel<'_>) -> Listed<MountRow> {
    let walk = kernel.mounts();
    let blocks = kernel.super_blocks();
    let known: HashMap<u64, _> = blocks.items.iter().map(|block| (block.address.0, block)).collect();
    let items = walk.items.into_iter().map(|mount| {
        let block = known.get(&mount.super_block.0);
        MountRow {
            mount: mount.address.into(),
            super_block: mount.super_block.into(),
            fs_type: mount.fs_type,
            source: mount.source,
            path: mount.path,
            read_only: block.map(|block| block.read_only),
            frozen: block.and_then(|block| block.frozen).map(str::to_owned),
            waiters: block.map_or(0, |block| block.waiters.len()),
        }
    });
    Listed { items: items.collect(), gaps: walk.gaps.into_iter().chain(blocks.gaps).collect() }
}

/// Settings.
#[derive(Clone, Debug, Serialize)]
pub struct SysctlView {
    /// By name.
    pub items: Vec<Sysctl>,
    /// How many settings this kernel has registered, where they were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub registered: Option<usize>,
    /// What could not be read.
    pub gaps: Vec<Gap>,
    /// A sentence for each word that no setting's name contains.
    #[serde(skip)]
    pub missing: Vec<String>,
}

/// The settings that matter to a crash; with `all` or with words every registered one, or those whose names contain a
/// word (`/` is the same as `.`).
pub fn sysctls(kernel: &Kernel<'_>, words: &[String], all: bool) -> SysctlView {
    if words.is_empty() && !all {
        let walk = kernel.sysctls();
        return SysctlView { items: walk.items, registered: None, gaps: walk.gaps, missing: Vec::new() };
    }
    let mut walk = kernel.registered_sysctls(&|_| true);
    let registered = Some(walk.items.len());
    let words: Vec<String> = words.iter().map(|word| word.trim_matches('/').replace('/', ".")).collect();
    let unknown = words.iter().filter(|word| walk.items.iter().all(|sysctl| !sysctl.name.contains(word.as_str())));
    let missing = unknown.map(|word| {
        let near = super::nearest::did_you_mean(word, walk.items.iter().map(|sysctl| last_part(&sysctl.name, word)));
        format!("no setting of {} has {word} in its name{near}", kernel.member())
    });
    // Where none could be read nobody knows what there is.
    let missing: Vec<String> = if walk.items.is_empty() { Vec::new() } else { missing.collect() };
    if !all {
        walk.items.retain(|sysctl| words.iter().any(|word| sysctl.name.contains(word.as_str())));
    }
    SysctlView { items: walk.items, registered, gaps: walk.gaps, missing }
}

/// A name to compare a word with: the whole, or its last part where the word has none before it.
fn last_part<'n>(name: &'n str, word: &str) -> Cow<'n, str> {
    match name.rsplit_once('.') {
        Some((_, last)) if !word.contains('.') => last.into(),
        _ => name.into(),
    }
}
