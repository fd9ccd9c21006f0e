//! `vmcoroner sysctl`: settings.

use clap::Args;

use super::Outcome;
use super::looking::Looking;
use crate::{look, report};

/// Arguments of `sysctl`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  vmcoroner sysctl vmcore")]
pub struct Arguments {
    /// What to read, and how to print.
    #[command(flatten)]
    pub looking: Looking,
}

/// Runs it.
pub fn run(args: &Arguments) -> Outcome {
    args.looking.show(|kernel, _| Ok(look::sysctls(kernel)), report::looking::sysctls)
}
