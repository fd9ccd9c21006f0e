//! `vmcoroner waits`: who waits on whom.

use clap::Args;

use super::Outcome;
use super::looking::Looking;
use crate::{look, report};

/// Arguments of `waits`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  vmcoroner waits vmcore\n  vmcoroner waits --format json vmcore | jq .cycles")]
pub struct Arguments {
    /// What to read, and how to print.
    #[command(flatten)]
    pub looking: Looking,
}

/// Runs it.
pub fn run(args: &Arguments) -> Outcome {
    args.looking.show(|kernel, _| Ok(look::waiting(kernel)), report::looking::waiting)
}
