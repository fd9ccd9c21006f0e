//! `vmcoroner pack make`: a type pack from a vmlinux.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::progress::Progress;
use super::{Outcome, print};

/// Arguments of `pack`.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  vmcoroner pack make /usr/lib/debug/lib/modules/3.10.0-1160.el7.x86_64/vmlinux -o 1160.pack\n  vmcoroner examine --pack 1160.pack vmcore"
)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub what: What,
}

/// What to do with packs.
#[derive(Debug, Subcommand)]
pub enum What {
    /// Make a pack, a small file with the types the readers need, from a vmlinux with DWARF or BTF.
    #[command(after_help = "Example:\n  vmcoroner pack make vmlinux -o kernel.pack")]
    Make {
        /// The vmlinux (also .debug).
        vmlinux: PathBuf,
        /// The file to write.
        #[arg(short, long, value_name = "FILE")]
        output: PathBuf,
    },
}

/// Runs it.
pub fn run(args: &Arguments) -> Outcome {
    let What::Make { vmlinux, output } = &args.what;
    let progress = Progress::start("reading types");
    let bytes = kernel::types::pack::make(vmlinux).map_err(|e| format!("{}: {e}", vmlinux.display()))?;
    drop(progress);
    std::fs::write(output, &bytes).map_err(|e| format!("{}: {e}", output.display()))?;
    print(&format!("{}: {} bytes\n", output.display(), bytes.len()))?;
    Ok(ExitCode::SUCCESS)
}
