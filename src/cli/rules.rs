//! `vmcoroner rules`: what the rules are, and whether rule files are right.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::{Cli, Outcome, print};
use crate::engine::Rules;

/// Arguments of `rules`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  vmcoroner rules\n  vmcoroner rules --check my-rules/")]
pub struct Arguments {
    /// Check every DIR/*/rule.yaml: form, expressions, and that each fact and value exists.
    #[arg(long, value_name = "DIR")]
    pub check: Option<PathBuf>,
}

/// Runs it.
pub fn run(_cli: &Cli, args: &Arguments) -> Outcome {
    let mut rules = Rules::embedded()?;
    let mut out = String::new();
    if let Some(directory) = &args.check {
        rules = Rules::default();
        rules.add_directory(directory)?;
        let unknown = crate::engine::unknown_names(&rules, &crate::kinds::all());
        for problem in &unknown {
            out.push_str(problem);
            out.push('\n');
        }
        out.push_str(&format!("{} rules checked, {} problems\n", rules.rules.len(), unknown.len()));
        print(&out)?;
        return Ok(if unknown.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(1) });
    }
    for rule in &rules.rules {
        out.push_str(&format!("{:32} {}\n", rule.id, rule.title));
    }
    print(&out)?;
    Ok(ExitCode::SUCCESS)
}
