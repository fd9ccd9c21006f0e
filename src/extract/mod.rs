//! Decides which member of the input goes to which parser, and joins the facts of one machine and boot to a case.
//! The only module that calls parsers.

mod apport;
mod boots;
mod cluster;
mod describe;
mod dump;
mod hosts;
mod inputs;
mod join;
pub mod layouts;
mod log;
mod memory;
mod naming;
mod piece;
mod pstore;
mod recognise;
mod same_events;
mod sections;
mod temporary;

pub use describe::{Described, Outline, describe, outline};
pub use dump::{Rendered, dump_log, log_reports};
pub use inputs::{Error, Opened, dump_case, dump_members, gather, gather_facts, text_cases};

/// What to read and how far.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Judge a dump by its log alone.
    pub log_only: bool,
    /// Where a dump inside an archive may be unpacked to; without it such a dump is read into memory. The file is
    /// removed before the answer is there.
    pub temp_dir: Option<std::path::PathBuf>,
    /// Debugging data for dumps.
    pub kernel: kernel::Sources,
}
