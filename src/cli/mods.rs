//! `vmcoroner mods`: loaded modules.

use clap::Args;

use super::Outcome;
use super::looking::Looking;
use crate::{look, report};

/// Arguments of `mods`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  vmcoroner mods vmcore\n  vmcoroner mods vmcore lab_netleak   one in detail")]
pub struct Arguments {
    /// What to read, and how to print.
    #[command(flatten)]
    pub looking: Looking,
    /// Show this one in detail: a name, or an address in it.
    #[arg(value_name = "NAME|ADDR")]
    pub name: Option<String>,
}

/// Runs it.
pub fn run(args: &Arguments) -> Outcome {
    if let Some(name) = &args.name {
        return args
            .looking
            .show(|kernel, _| look::module_detail(kernel, name), |view, _| report::looking::module(view));
    }
    args.looking.show(|kernel, _| Ok(look::modules(kernel)), report::looking::modules)
}
