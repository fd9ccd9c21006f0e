//! `vmcoroner struct`: the layout of a type, and what memory holds of it.

use clap::Args;

use super::Outcome;
use super::looking::Looking;
use crate::{look, report};

/// Arguments of `struct`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  vmcoroner struct vmcore list_head\n  vmcoroner struct -o vmcore dst_entry                          with offsets\n  vmcoroner struct vmcore task_struct.comm,pid,mm.owner init_task   pointers on the way are followed\n  vmcoroner struct vmcore task_struct task:1 --depth 1\n  vmcoroner struct vmcore rq runqueues:0 -m nr_running          a per-CPU variable of CPU 0\n  vmcoroner struct vmcore kmem_cache slab_caches --list list --head -m name"
)]
pub struct Arguments {
    /// What to read, and how to print.
    #[command(flatten)]
    pub looking: Looking,
    /// The type, with or without `struct`; a typedef; `task_struct.comm,pid` for some members. Then where it lies: one or several of an
    /// address, `symbol+off`, `task:PID`, `symbol:CPU`. Without that the layout is shown.
    #[arg(value_name = "TYPE [ADDR]...", required = true, num_args = 1..)]
    pub words: Vec<String>,
    /// Only this member; a path may lead through pointers.
    #[arg(short, long, value_name = "PATH")]
    pub member: Vec<String>,
    /// Show offsets in the layout.
    #[arg(short, long)]
    pub offsets: bool,
    /// How deep structures inside are shown.
    #[arg(short, long, value_name = "N", default_value_t = 16)]
    pub depth: usize,
    /// Follow the list through this member: a list_head, an hlist_node, a pointer to the same type.
    #[arg(short, long, value_name = "MEMBER")]
    pub list: Option<String>,
    /// ADDR is the head of that list, not an element of it.
    #[arg(long, requires = "list")]
    pub head: bool,
    /// The most elements of a list shown.
    #[arg(long, value_name = "N", default_value_t = 1000)]
    pub limit: usize,
    /// Print numbers in hex.
    #[arg(short = 'x', long)]
    pub hex: bool,
}

/// Runs it.
pub fn run(args: &Arguments) -> Outcome {
    let mut words = args.words.iter();
    let mut name = words.next().cloned().unwrap_or_default();
    if matches!(name.as_str(), "struct" | "union" | "enum")
        && let Some(next) = words.next()
    {
        name = format!("{name} {next}");
    }
    let ask = look::Ask {
        name,
        addresses: words.cloned().collect(),
        members: args.member.iter().flat_map(|list| list.split(',')).map(str::to_owned).collect(),
        depth: args.depth,
        list: args.list.clone(),
        head: args.head,
        limit: args.limit,
    };
    let style = report::looking::StructStyle { offsets: args.offsets, hex: args.hex };
    args.looking
        .show(|kernel, _| look::structure(kernel, &ask), |view, width| report::looking::structure(view, style, width))
}
