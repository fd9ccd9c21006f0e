//! `vmcoroner what`: what lies at an address.

use clap::Args;

use super::Outcome;
use super::looking::Looking;
use crate::{look, report};

/// Arguments of `what`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  vmcoroner what vmcore task:1\n  vmcoroner what --format json vmcore init_task")]
pub struct Arguments {
    /// What to read, and how to print.
    #[command(flatten)]
    pub looking: Looking,
    /// An address or a symbol.
    #[arg(value_name = "ADDR")]
    pub address: String,
}

/// Runs it.
pub fn run(args: &Arguments) -> Outcome {
    args.looking.show(
        |kernel, _| Ok(look::what(kernel, look::resolve(kernel, &args.address)?)),
        |view, _| report::looking::what(view),
    )
}
