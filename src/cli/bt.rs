//! `vmcoroner bt`: call stacks.

use clap::Args;

use super::looking::Looking;
use super::{Cli, Outcome};
use crate::{extract, look, report};

/// Arguments of `bt`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  vmcoroner bt vmcore                   the task that crashed, or what the CPUs run\n  vmcoroner bt vmcore 1 kthreadd        by pid or command name\n  vmcoroner bt -a vmcore                what every CPU runs\n  vmcoroner bt -r vmcore 1              with the registers of its system call\n  vmcoroner bt --state D --group vmcore  equal stacks of blocked tasks, with counts\n  vmcoroner bt --comm kworker --cpu 0 vmcore\n  vmcoroner bt --all --format json vmcore | jq '.traces[].frames[0].function'"
)]
pub struct Arguments {
    /// What to read, and how to print.
    #[command(flatten)]
    pub looking: Looking,
    /// Pids, task_struct addresses or command names.
    #[arg(value_name = "TASK")]
    pub tasks: Vec<String>,
    /// All tasks.
    #[arg(long, conflicts_with = "tasks")]
    pub all: bool,
    /// The task that each CPU runs, as crash's `bt -a`.
    #[arg(short, long, conflicts_with_all = ["tasks", "all"])]
    pub active: bool,
    /// Tasks in these states: `D`, `RD`.
    #[arg(long, value_name = "LETTERS", default_value = "", hide_default_value = true)]
    pub state: String,
    /// Tasks whose command name contains this.
    #[arg(long, value_name = "NAME")]
    pub comm: Option<String>,
    /// Tasks that are on this CPU, or were last.
    #[arg(long, value_name = "CPU")]
    pub cpu: Option<u32>,
    /// Show equal stacks once, with the tasks that have them, the most frequent first.
    #[arg(long)]
    pub group: bool,
    /// Show all registers with which a task came from user mode.
    #[arg(short, long)]
    pub registers: bool,
}

/// Runs it.
pub fn run(_cli: &Cli, args: &Arguments) -> Outcome {
    let which = look::Which {
        words: args.tasks.clone(),
        all: args.all,
        active: args.active,
        states: args.state.clone(),
        comm: args.comm.clone(),
        cpu: args.cpu,
    };
    args.looking.show(
        |kernel, _| {
            // The log is read and judged while the stacks are read.
            let (reports, view) = rayon::join(|| extract::log_reports(kernel), || look::backtraces(kernel, &which));
            let mut view = view?;
            for trace in &mut view.traces {
                look::join(kernel, trace, &reports);
            }
            if args.group {
                view.traces = look::group(view.traces);
            }
            Ok(view)
        },
        |view, width| report::looking::backtraces(view, args.registers, width),
    )
}
