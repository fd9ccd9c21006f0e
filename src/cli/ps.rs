//! `vmcoroner ps`: the tasks of a dump.

use clap::{Args, ValueEnum};

use super::Outcome;
use super::looking::Looking;
use crate::{look, report};

/// Arguments of `ps`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  vmcoroner ps vmcore\n  vmcoroner ps --tree vmcore\n  vmcoroner ps --state D vmcore       blocked tasks\n  vmcoroner ps vmcore 1 kthreadd      by pid or command name\n  vmcoroner ps -v vmcore 1             start, last run, cgroup, namespaces, memory\n  vmcoroner ps --sort off-cpu --cpu 0 vmcore"
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
    /// Only tasks whose command name contains this.
    #[arg(long, value_name = "NAME")]
    pub comm: Option<String>,
    /// Only tasks that are on this CPU, or were last.
    #[arg(long, value_name = "CPU")]
    pub cpu: Option<u32>,
    /// The order.
    #[arg(long, value_enum, default_value_t = Order::List, conflicts_with = "tree")]
    pub sort: Order,
    /// Only kernel threads.
    #[arg(long, conflicts_with = "user")]
    pub kernel_threads: bool,
    /// Only user tasks.
    #[arg(long)]
    pub user: bool,
    /// All that is known of each: start, last run, switches, cgroup, namespaces, memory.
    #[arg(short, long, conflicts_with = "tree")]
    pub verbose: bool,
}

/// The order of tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Order {
    /// As the kernel lists them.
    List,
    /// By thread id.
    Pid,
    /// By CPU.
    Cpu,
    /// Those that did not run for the longest time first.
    OffCpu,
    /// The youngest first.
    Start,
}

impl From<Order> for look::Sort {
    fn from(order: Order) -> Self {
        match order {
            Order::List => look::Sort::List,
            Order::Pid => look::Sort::Pid,
            Order::Cpu => look::Sort::Cpu,
            Order::OffCpu => look::Sort::OffCpu,
            Order::Start => look::Sort::Start,
        }
    }
}

/// Runs it.
pub fn run(args: &Arguments) -> Outcome {
    let filter = look::Filter {
        words: args.tasks.clone(),
        states: args.state.clone(),
        kthreads: (args.kernel_threads || args.user).then_some(args.kernel_threads),
        tree: args.tree,
        comm: args.comm.clone(),
        cpu: args.cpu,
        sort: args.sort.into(),
        detail: args.verbose,
    };
    args.looking.show(
        |kernel, _| look::processes(kernel, &filter),
        |view, width| match args.verbose {
            true => report::looking::processes_in_detail(view, width),
            false => report::looking::processes(view, width),
        },
    )
}
