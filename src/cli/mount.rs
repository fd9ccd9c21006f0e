//! `vmcoroner mount`: mounts of the first process.

use clap::Args;

use super::Outcome;
use super::looking::Looking;
use crate::{look, report};

/// Arguments of `mount`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  vmcoroner mount vmcore")]
pub struct Arguments {
    /// What to read, and how to print.
    #[command(flatten)]
    pub looking: Looking,
}

/// Runs it.
pub fn run(args: &Arguments) -> Outcome {
    args.looking.show(|kernel, _| Ok(look::mounts(kernel)), report::looking::mounts)
}
