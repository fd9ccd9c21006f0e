//! Reads a Linux kernel out of its crash dump, without debuginfo.
//!
//! [`Kernel::open`] takes a dump and finds what the kernel says of itself: VMCOREINFO, page tables, symbols
//! (kallsyms), types (BTF), modules. Everything else asks a few questions of it: bytes at a virtual address,
//! the address of a symbol, the symbol at an address, the place of a member in a structure, a per-CPU variable
//! of one CPU. Every list reader returns a [`Walk`]: what was read, and the gaps.
//!
//! ```no_run
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let dump = dump::Dump::open(&["vmcore"])?;
//! let kernel = kernel::Kernel::open(&dump, kernel::Sources::default())?;
//! for record in &kernel.log().records {
//!     println!("{}", record.text_lossy());
//! }
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

mod address;
mod answering;
mod async_waits;
mod bad_call;
mod block;
mod characters;
mod clock;
pub mod cpus;
pub mod disassemble;
pub mod fault;
mod fault_injection;
mod file_locks;
pub mod flow;
mod flushed_work;
mod generated_code;
mod grace_periods;
mod halted;
mod holder_types;
mod identity;
mod inactive_work;
pub mod io_waits;
mod ip6mr;
mod irq;
mod kinds;
mod kmem_limits;
pub mod lines;
pub mod locks;
mod log;
mod loops;
mod maple;
mod memcg;
mod memcg_caches;
mod memory;
mod memory_holders;
pub mod mempool;
mod modules;
mod mounts;
mod net;
mod net_addresses;
mod net_holders;
mod open;
mod overrun;
mod pages;
mod percpu;
mod percpu_refs;
mod percpu_rwsem;
mod physical;
mod pipes;
mod program_waits;
mod rbtree;
mod rcu_callbacks;
mod read;
mod references;
mod registers;
mod rpc_waits;
mod rt_locks;
pub mod runq;
mod runq_tasks;
pub mod search;
mod settings;
mod slab;
mod spins;
mod srcu;
mod stack_depot;
mod stacked;
pub mod stacks;
mod stale;
mod swap;
mod symbols;
#[cfg(test)]
mod synthetic;
mod sysctl_tables;
mod system;
mod tail_calls;
mod task_memory;
mod task_numbers;
pub mod tasks;
mod thread_waits;
mod timers;
pub mod types;
mod unloaded_modules;
pub mod unwind;
mod user_registers;
mod vmalloc;
mod vmcoreinfo;
mod wait_facts;
pub mod wait_queues;
pub mod waits;
mod walk;
pub mod what;
mod workqueue;
mod xarray;

pub use address::{Arch, PhysAddr, VirtAddr};
pub use block::{Disk, Request};
pub use characters::CharacterDevices;
pub use irq::{CpuInterrupts, Interrupt, MachineInterrupt};
pub use kinds::kinds;
pub use log::{Caller, Log, Record, Render};
pub use memcg::{Memcg, Pin};
pub use memory::{MemoryLine, MemoryOverview, Share};
pub use memory_holders::MemoryHolder;
pub use modules::{Module, ModuleState};
pub use mounts::{FreezeWaiter, Mount, SuperBlock};
pub use net::{Net, NetDevice};
pub use net_holders::{Holder, Neighbour};
pub use open::{Error, Found, Kernel, REFUSED, Sources};
pub use physical::{Missing, Physical, Why};
pub use read::ReadError;
pub use references::Reference;
pub use runq_tasks::Queued;
pub use settings::{LivePatch, Sysctl, Taint};
pub use slab::{CommonPointer, SlabCache, SlabObject, Track, Tracks};
pub use symbols::{Resolved, Symbol};
pub use task_memory::TaskMemory;
pub use tasks::Task;
pub use timers::{Timer, TimerInterrupt, TimerQueue};
pub use types::{Member, Types};
pub use unloaded_modules::UnloadedModule;
pub use user_registers::UserRegisters;
pub use vmcoreinfo::Vmcoreinfo;
pub use walk::Walk;
pub use workqueue::{Worker, WorkerPool};
