//! Looking around in a dump: what each command shows, as plain data computed from the kernel.
//!
//! One file per subject. Every view is a serde structure that JSON prints as it is and `report` prints as a table;
//! `gaps` in a view names what is missing from it.

mod address;
mod backtrace;
mod code;
mod devices;
mod joined;
mod machine;
mod memory;
mod named;
mod nearest;
mod processes;
mod searching;
mod structure;
mod subsystems;
mod system;
mod value;
mod view;
mod waiting;

pub use address::{SymbolList, SymbolRow, WhatList, WordRow, Words, read, resolve, symbols, whats};
pub use backtrace::{
    Backtraces, FrameRow, LineRow, RegisterRow, RegisterSet, TaskName, Trace, UserRow, Which, backtraces, group,
};
pub use code::{CodeRange, CodeRow, CodeView, code};
pub use devices::{Counted, DiskRow, DiskView, MajorRow, disks};
pub use joined::{Joined, JoinedFrame, Side, join};
pub use machine::{InterruptView, Listed, MountRow, SysctlView, interrupts, mounts, sysctls, timers, workers};
pub use memory::{MemoryView, memory};
pub use named::{ModuleDetail, PartRow, module_detail, only_device};
pub use processes::{Filter, NamespaceRow, ProcessRow, Processes, Sort, Switches, processes};
pub use searching::{HitRow, SearchAsk, SearchView, search};
pub use structure::{Ask, Bits, EnumeratorRow, FieldRow, ObjectRow, StructView, structure};
pub use subsystems::{
    CacheRow, CgroupView, DeviceRow, ModuleRow, ModuleView, NetView, QueueRow, QueueView, QueuedRow, SlabView, cgroups,
    modules, net, run_queues, slab,
};
pub use system::{CpuCounts, CrashedTask, Load, SystemView, TaintModule, system};
pub use value::{ElementRow, MemberValue, Number, Value, Wide};
pub use view::View;
pub use waiting::{CycleRow, FrozenRow, LockRow, OtherRow, PoolRow, WaitView, waiting};

use kernel::{Kernel, Task};

/// A task chosen by a word: a number is a pid (thread id), `0x...` or 16 digits the address of a task_struct, anything
/// else a command name.
pub fn is_chosen(task: &Task, word: &str) -> bool {
    if let Some(address) = address_word(word) {
        return task.address.0 == address;
    }
    match word.parse::<i32>() {
        Ok(pid) => task.pid == pid,
        Err(_) => task.comm == word,
    }
}

/// A number in hex with its `0x`.
pub fn hex(word: &str) -> Option<u64> {
    let digits = word.strip_prefix("0x").or_else(|| word.strip_prefix("0X"))?;
    u64::from_str_radix(&digits.replace('_', ""), 16).ok()
}

/// An address as it is written: `0x...`, or 16 digits as crash and these commands print it.
fn address_word(word: &str) -> Option<u64> {
    hex(word).or_else(|| u64::from_str_radix(word, 16).ok().filter(|_| word.len() == 16))
}

/// The error for a word that names no task, with the next step.
fn no_such_task(kernel: &Kernel<'_>, word: &str) -> String {
    let tasks = kernel.tasks().items;
    let near = nearest::did_you_mean(word, tasks.iter().map(|task| task.comm.as_str().into()));
    format!(
        "expected a pid, a task_struct address or a command name, and no task of {} is {word}{near}; \
         `vmcoroner ps {}` lists them",
        kernel.member(),
        kernel.member()
    )
}

/// A sentence for each word that names no task; an error when none does.
fn missing_tasks(kernel: &Kernel<'_>, tasks: &[Task], words: &[String]) -> Result<Vec<String>, String> {
    let unknown = |word: &&String| !tasks.iter().any(|task| is_chosen(task, word));
    let missing: Vec<String> = words.iter().filter(unknown).map(|word| no_such_task(kernel, word)).collect();
    if !words.is_empty() && missing.len() == words.len() { Err(missing.join("\n")) } else { Ok(missing) }
}
