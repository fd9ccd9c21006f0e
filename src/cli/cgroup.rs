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
    /// The most shown; all in a pipe, and some hundred on a terminal.
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,
    /// Show all on a terminal too.
    #[arg(long, conflicts_with = "limit")]
    pub all: bool,
}

/// Cgroups listed on a terminal before the rest is only counted.
const SHOWN: usize = 200;

/// Runs it.
pub fn run(args: &Arguments) -> Outcome {
    args.looking.show(
        |kernel, _| Ok(look::cgroups(kernel, args.pins)),
        |view, width| {
            let limit = args.limit.unwrap_or(if args.all || width.is_none() { usize::MAX } else { SHOWN });
            report::looking::cgroups(view, limit, width)
        },
    )
}
