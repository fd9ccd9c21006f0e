//! `vmcoroner completions`: completions for a shell.

use clap::{Args, CommandFactory};

use super::{Cli, Outcome, print_bytes};

/// Arguments of `completions`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  vmcoroner completions bash > /etc/bash_completion.d/vmcoroner")]
pub struct Arguments {
    /// The shell.
    pub shell: clap_complete::Shell,
}

/// Runs it.
pub fn run(args: &Arguments) -> Outcome {
    let mut out = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "vmcoroner", &mut out);
    print_bytes(&out)?;
    Ok(std::process::ExitCode::SUCCESS)
}
