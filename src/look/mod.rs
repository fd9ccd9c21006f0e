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
mod processes;
mod searching;
mod structure;
mod subsystems;
mod waiting;

pub use address::{SymbolRow, WordRow, Words, read, resolve, symbols, what};
pub use backtrace::{Backtraces, FrameRow, TaskName, Trace, Which, backtraces, group};
pub use code::{CodeRange, CodeRow, CodeView, code};
pub use devices::{DiskRow, DiskView, MajorRow, disks};
pub use joined::{Joined, JoinedFrame, Side, join};
pub use machine::{InterruptView, Listed, MountRow, interrupts, mounts, sysctls, timers, workers};
pub use memory::{MemoryView, memory};
pub use processes::{Filter, ProcessRow, Processes, Sort, processes};
pub use searching::{HitRow, SearchAsk, SearchView, search};
pub use structure::{Ask, FieldRow, MemberValue, Number, ObjectRow, StructView, Value, Wide, structure};
pub use subsystems::{
    CacheRow, CgroupView, DeviceRow, ModuleRow, ModuleView, NetView, QueueRow, QueueView, SlabView, cgroups, modules,
    net, run_queues, slab,
};
pub use waiting::{CycleRow, LockRow, PoolRow, WaitView, waiting};

use kernel::{Kernel, Task};

/// A task chosen by a word: a number is a pid (thread id), `0x...` the address of a task_struct, anything else a
/// command name.
pub fn is_chosen(task: &Task, word: &str) -> bool {
    if let Some(address) = hex(word) {
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

/// The error for a word that names no task, with the next step.
fn no_such_task(kernel: &Kernel<'_>, word: &str) -> String {
    format!(
        "expected a pid, a task_struct address or a command name, and no task of {} is {word}; \
         `vmcoroner ps {}` lists them",
        kernel.member(),
        kernel.member()
    )
}
