//! `vmcoroner compare`: two states of one node.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::info::Format;
use super::{Cli, Outcome, print};
use crate::compare::compare;
use crate::engine::Rules;
use crate::examine::examine;
use crate::extract::{Options, gather};
use crate::report;

/// Arguments of `compare`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  vmcoroner compare sosreport-monday.tar.xz sosreport-tuesday.tar.xz")]
pub struct Arguments {
    /// The earlier state: a bundle, a directory, a saved case.
    pub before: PathBuf,
    /// The later state.
    pub after: PathBuf,
    /// Form of the output: text, or one JSON object.
    #[arg(long, value_enum, default_value_t = Format::Text, hide_possible_values = true, value_name = "text|json")]
    pub format: Format,
}

/// Runs it.
pub fn run(_cli: &Cli, args: &Arguments) -> Outcome {
    let rules = Rules::embedded()?;
    let mut sides = Vec::new();
    for path in [&args.before, &args.after] {
        let cases = gather(std::slice::from_ref(path), &Options::default())?;
        if cases.len() > 1 {
            let rest = cases.len() - 1;
            let path = crate::report::printable(&path.display().to_string());
            eprintln!(
                "vmcoroner: {path}: compared is the case that is reported first; {rest} of other boots or machines are left out"
            );
        }
        let case = cases.into_iter().next().unwrap_or_default();
        let verdict = examine(&case, &rules);
        sides.push((case, verdict));
    }
    if let [(before, before_verdict), (after, after_verdict)] = sides.as_slice() {
        let result = compare((before, before_verdict), (after, after_verdict));
        match args.format {
            Format::Text => print(&report::comparison(&result))?,
            Format::Json => print(&format!("{}\n", serde_json::to_string_pretty(&result)?))?,
        }
    }
    Ok(ExitCode::SUCCESS)
}
