//! `vmcoroner ps`: the tasks of a dump.

use clap::Args;

use super::Outcome;
use super::looking::Looking;
use crate::{look, report};

/// Arguments of `ps`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  vmcoroner ps vmcore\n  vmcoroner ps --tree vmcore\n  vmcoroner ps --state D vmcore       blocked tasks\n  vmcoroner ps vmcore 1 kworker/0:1   by pid or command name"
)]
pub struct Arguments {
    /// What to read, and how to print.
    #[command(flatten)]
    pub looking: Looking,
    /// Pids, task_struct addresses or command names.
    #[arg(value_name = "TASK")]
    pub tasks: Vec<String>,
    /// Children below their parents, threads below their leader.
    #[arg(long)]
    pub tree: bool,
    /// Only tasks in these states: `D`, `RD`.
    #[arg(long, value_name = "LETTERS", default_value = "", hide_default_value = true)]
    pub state: String,
    /// Only kernel threads.
    #[arg(long, conflicts_with = "user")]
    pub kernel_threads: bool,
    /// Only user tasks.
    #[arg(long)]
    pub user: bool,
}

/// Runs it.
pub fn run(args: &Arguments) -> Outcome {
    let filter = look::Filter {
        words: args.tasks.clone(),
        states: args.state.clone(),
        kthreads: (args.kernel_threads || args.user).then_some(args.kernel_threads),
        tree: args.tree,
    };
    args.looking.show(|kernel, _| look::processes(kernel, &filter), report::looking::processes)
}
