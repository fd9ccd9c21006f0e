//! `vmcoroner cgroup`: memory cgroups.

use clap::Args;

use super::Outcome;
use super::looking::Looking;
use crate::{look, report};

/// Arguments of `cgroup`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  vmcoroner cgroup vmcore\n  vmcoroner cgroup --pins vmcore   what keeps the dying ones"
)]
pub struct Arguments {
    /// What to read, and how to print.
    #[command(flatten)]
    pub looking: Looking,
    /// Search memory for what keeps the dying ones.
    #[arg(long)]
    pub pins: bool,
}

/// Runs it.
pub fn run(args: &Arguments) -> Outcome {
    args.looking.show(|kernel, _| Ok(look::cgroups(kernel, args.pins)), report::looking::cgroups)
}
