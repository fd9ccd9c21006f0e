//! What the commands that look around print.

mod address;
mod code;
mod devices;
mod machine;
mod memory;
mod searching;
mod structure;
mod subsystems;
mod system;
mod tasks;

pub use address::{symbols, whats, words};
pub use code::code;
pub use devices::disks;
pub use machine::{interrupts, mounts, sysctls, timers, workers};
pub use memory::memory;
pub use searching::search;
pub use structure::{StructStyle, structure};
pub use subsystems::{cgroups, module, modules, net, run_queues, slab};
pub use system::system;
pub use tasks::{backtraces, processes, processes_in_detail, waiting};
