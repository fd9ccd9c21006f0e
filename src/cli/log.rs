//! `vmcoroner log`: the kernel log of a dump, or the events of any log.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::{Cli, KernelSources, Outcome, Unpacking, print, print_bytes};
use crate::extract::{self, Options};
use crate::report;

/// Arguments of `log`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  vmcoroner log vmcore\n  vmcoroner log -T vmcore | tail\n  vmcoroner log --events /var/log/messages"
)]
pub struct Arguments {
    /// Dumps; with --events also logs and bundles; `-` is standard input.
    #[arg(required = true, value_name = "INPUT")]
    pub inputs: Vec<PathBuf>,
    /// Print wall-clock times, as dmesg -T does.
    #[arg(short = 'T', long)]
    pub ctime: bool,
    /// Show which task or CPU printed each line.
    #[arg(long)]
    pub caller: bool,
    /// Print one line an event instead of the text.
    #[arg(long)]
    pub events: bool,
    /// Symbols from outside the dump.
    #[command(flatten)]
    pub kernel: KernelSources,
    /// Dumps inside archives.
    #[command(flatten)]
    pub unpacking: Unpacking,
}

/// Runs it.
pub fn run(_cli: &Cli, args: &Arguments) -> Outcome {
    if args.events {
        let temp_dir = args.unpacking.temp_dir.clone();
        let options = Options { log_only: true, kernel: args.kernel.sources(), temp_dir };
        let cases = extract::gather_facts(&args.inputs, &options)?;
        for case in &cases {
            print(&report::timeline(case))?;
        }
        // The process ends: memory of thousands of reports need not be given back piece by piece.
        std::mem::forget(cases);
        return Ok(ExitCode::SUCCESS);
    }
    for opened in extract::dump_members(&args.inputs, args.unpacking.temp_dir.as_deref())? {
        let rendered = extract::dump_log(&opened, args.kernel.sources(), args.caller, args.ctime);
        for gap in &rendered.gaps {
            writeln!(std::io::stderr(), "vmcoroner: {}", report::gap(gap))?;
        }
        print_bytes(&rendered.text)?;
        if rendered.text.is_empty() {
            return Ok(ExitCode::from(2));
        }
    }
    Ok(ExitCode::SUCCESS)
}
