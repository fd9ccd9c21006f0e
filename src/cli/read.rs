//! `vmcoroner read`: words of memory.

use clap::Args;

use super::Outcome;
use super::looking::Looking;
use crate::{look, report};

/// Arguments of `read`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  vmcoroner read vmcore task:1 16\n  vmcoroner read vmcore init_task")]
pub struct Arguments {
    /// What to read, and how to print.
    #[command(flatten)]
    pub looking: Looking,
    /// An address or a symbol.
    #[arg(value_name = "ADDR")]
    pub address: String,
    /// Words of 8 bytes.
    #[arg(value_name = "COUNT", default_value_t = 8)]
    pub count: u64,
}

/// Runs it.
pub fn run(args: &Arguments) -> Outcome {
    args.looking.show(|kernel, _| look::read(kernel, &args.address, args.count), report::looking::words)
}
