//! `vmcoroner timer`: timers of each CPU.

use clap::Args;

use super::Outcome;
use super::looking::Looking;
use crate::{look, report};

/// Arguments of `timer`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  vmcoroner timer vmcore\n  vmcoroner timer --all vmcore   every timer of each CPU")]
pub struct Arguments {
    /// What to read, and how to print.
    #[command(flatten)]
    pub looking: Looking,
    /// Every timer, not only the first of each queue.
    #[arg(long)]
    pub all: bool,
}

/// Runs it.
pub fn run(args: &Arguments) -> Outcome {
    args.looking.show(|kernel, _| Ok(look::timers(kernel, args.all)), report::looking::timers)
}
