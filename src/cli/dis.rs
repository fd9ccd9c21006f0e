//! `vmcoroner dis`: code as instructions.

use clap::Args;

use super::Outcome;
use super::looking::Looking;
use crate::{look, report};

/// Arguments of `dis`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  vmcoroner dis vmcore schedule            a function\n  vmcoroner dis vmcore schedule+0x20       around an address, which is marked\n  vmcoroner dis -r vmcore schedule+0x20    from the start of the function to the address\n  vmcoroner dis vmcore schedule 8          8 instructions\n  vmcoroner dis -l --vmlinux vmlinux vmcore schedule 8"
)]
pub struct Arguments {
    /// What to read, and how to print.
    #[command(flatten)]
    pub looking: Looking,
    /// An address, a symbol, `symbol+0x20`; then how many instructions.
    #[arg(value_name = "ADDR [COUNT]", required = true, num_args = 1..=2)]
    pub words: Vec<String>,
    /// Show source lines, which only a vmlinux with DWARF has.
    #[arg(short, long)]
    pub lines: bool,
    /// From the start of the function to the address.
    #[arg(short, long, conflicts_with = "forward")]
    pub reverse: bool,
    /// From the address to the end of the function.
    #[arg(short, long)]
    pub forward: bool,
    /// Show the bytes of each instruction.
    #[arg(short, long)]
    pub bytes: bool,
}

/// Runs it.
pub fn run(args: &Arguments) -> Outcome {
    let word = args.words.first().cloned().unwrap_or_default();
    let count = match args.words.get(1) {
        None => None,
        Some(count) => {
            let number = count.parse::<usize>().ok().filter(|n| *n > 0);
            Some(number.ok_or_else(|| format!("expected a number of instructions, found {count}"))?)
        }
    };
    let range = look::CodeRange { count, reverse: args.reverse, forward: args.forward };
    args.looking.show(
        |kernel, _| look::code(kernel, &word, range, args.lines),
        |view, width| report::looking::code(view, args.bytes, width),
    )
}
