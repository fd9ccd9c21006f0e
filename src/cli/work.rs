//! `vmcoroner work`: pools of workers.

use clap::Args;

use super::Outcome;
use super::looking::Looking;
use crate::{look, report};

/// Arguments of `work`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  vmcoroner work vmcore")]
pub struct Arguments {
    /// What to read, and how to print.
    #[command(flatten)]
    pub looking: Looking,
}

/// Runs it.
pub fn run(args: &Arguments) -> Outcome {
    args.looking.show(|kernel, _| Ok(look::workers(kernel)), report::looking::workers)
}
