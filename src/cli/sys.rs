//! `vmcoroner sys`: the machine at a glance.

use clap::Args;

use super::Outcome;
use super::looking::Looking;
use crate::{extract, look, report};

/// Arguments of `sys`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  vmcoroner sys vmcore\n  vmcoroner sys --format json vmcore | jq .command_line")]
pub struct Arguments {
    /// What to read, and how to print.
    #[command(flatten)]
    pub looking: Looking,
}

/// Runs it.
pub fn run(args: &Arguments) -> Outcome {
    args.looking.show(
        |kernel, opened| {
            // The log is read and judged while the tasks are read.
            let (reports, _) = rayon::join(|| extract::log_reports(kernel), || kernel.tasks());
            let (dump, gaps) = extract::outline(opened);
            Ok(look::system(kernel, dump, gaps, &reports))
        },
        report::looking::system,
    )
}
