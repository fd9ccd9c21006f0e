//! `vmcoroner slab`: slab caches.

use clap::Args;

use super::Outcome;
use super::looking::Looking;
use crate::{look, report};

/// Arguments of `slab`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  vmcoroner slab vmcore\n  vmcoroner slab vmcore dentry")]
pub struct Arguments {
    /// What to read, and how to print.
    #[command(flatten)]
    pub looking: Looking,
    /// Only caches whose name contains this.
    #[arg(value_name = "NAME")]
    pub name: Option<String>,
}

/// Runs it.
pub fn run(args: &Arguments) -> Outcome {
    args.looking.show(|kernel, _| look::slab(kernel, args.name.as_deref()), report::looking::slab)
}
