//! `vmcoroner sysctl`: settings.

use clap::Args;

use super::Outcome;
use super::looking::Looking;
use crate::{look, report};

/// Arguments of `sysctl`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  vmcoroner sysctl vmcore\n  vmcoroner sysctl vmcore kernel.panic net.core\n  vmcoroner sysctl --all vmcore"
)]
pub struct Arguments {
    /// What to read, and how to print.
    #[command(flatten)]
    pub looking: Looking,
    /// Registered settings whose names contain one of these; `/` is the same as `.`.
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,
    /// Every setting that this kernel has registered.
    #[arg(short, long)]
    pub all: bool,
}

/// Runs it.
pub fn run(args: &Arguments) -> Outcome {
    args.looking.show(|kernel, _| Ok(look::sysctls(kernel, &args.names, args.all)), report::looking::sysctls)
}
