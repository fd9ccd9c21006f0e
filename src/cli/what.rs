//! `vmcoroner what`: what lies at an address.

use clap::Args;

use super::Outcome;
use super::looking::Looking;
use crate::{look, report};

/// Arguments of `what`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  vmcoroner what vmcore task:1\n  vmcoroner what vmcore schedule runqueues:0   several in turn\n  vmcoroner what --format json vmcore init_task"
)]
pub struct Arguments {
    /// What to read, and how to print.
    #[command(flatten)]
    pub looking: Looking,
    /// Addresses or symbols.
    #[arg(value_name = "ADDR", required = true)]
    pub words: Vec<String>,
}

/// Runs it.
pub fn run(args: &Arguments) -> Outcome {
    args.looking.show(|kernel, _| look::whats(kernel, &args.words), |list, _| report::looking::whats(list))
}
