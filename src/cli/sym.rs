//! `vmcoroner sym`: addresses to symbols, symbols to addresses.

use clap::Args;

use super::Outcome;
use super::looking::Looking;
use crate::{look, report};

/// Arguments of `sym`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  vmcoroner sym vmcore schedule init_task\n  vmcoroner sym vmcore schedule+0x10")]
pub struct Arguments {
    /// What to read, and how to print.
    #[command(flatten)]
    pub looking: Looking,
    /// Addresses or symbols.
    #[arg(value_name = "ADDR|SYMBOL", required = true)]
    pub words: Vec<String>,
}

/// Runs it.
pub fn run(args: &Arguments) -> Outcome {
    args.looking.show(|kernel, _| look::symbols(kernel, &args.words), report::looking::symbols)
}
