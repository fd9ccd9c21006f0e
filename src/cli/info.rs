//! `vmcoroner info`: what a dump file is.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};

use super::{Cli, Outcome, Unpacking, print};
use crate::extract;
use crate::report;

/// Arguments of `info`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  vmcoroner info vmcore\n  vmcoroner info --format json part1 part2")]
pub struct Arguments {
    /// Dump files; the parts of a split dump in any order.
    #[arg(required = true, value_name = "DUMP")]
    pub inputs: Vec<PathBuf>,
    /// Form of the output.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
    /// The same as --format json.
    #[arg(long, conflicts_with = "format")]
    pub json: bool,
    /// Dumps inside archives.
    #[command(flatten)]
    pub unpacking: Unpacking,
}

/// Form of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For a terminal.
    Text,
    /// An object for each dump, one a line.
    Json,
}

/// Runs it.
pub fn run(_cli: &Cli, args: &Arguments) -> Outcome {
    let mut out = String::new();
    for opened in extract::dump_members(&args.inputs, args.unpacking.temp_dir.as_deref())? {
        let described = extract::describe(&opened);
        match if args.json { Format::Json } else { args.format } {
            Format::Text => out.push_str(&report::described(&described)),
            Format::Json => {
                out.push_str(&serde_json::to_string(&described)?);
                out.push('\n');
            }
        }
    }
    print(&out)?;
    Ok(ExitCode::SUCCESS)
}
