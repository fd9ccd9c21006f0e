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
    /// Check every DIR/*/rule.yaml: form, expressions, and that each fact, value, capture, rule and commit it names exists. Exits 1 for problems.
    #[arg(long, value_name = "DIR")]
    pub check: Option<PathBuf>,
}

/// Runs it.
pub fn run(_cli: &Cli, args: &Arguments) -> Outcome {
    let mut rules = Rules::embedded()?;
    let mut out = String::new();
    if let Some(directory) = &args.check {
        let embedded = std::mem::take(&mut rules);
        rules.add_directory(directory)?;
        let problems = crate::engine::problems(&rules, &embedded, &crate::kinds::all());
        for problem in &problems {
            out.push_str(problem);
            out.push('\n');
        }
        let plural = |n: usize| if n == 1 { "" } else { "s" };
        let (count, wrong) = (rules.rules.len(), problems.len());
        out.push_str(&format!("{count} rule{} checked, {wrong} problem{}\n", plural(count), plural(wrong)));
        print(&out)?;
        return Ok(if problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(1) });
    }
    for rule in &rules.rules {
        out.push_str(&format!("{:32} {}\n", rule.id, rule.title));
    }
    print(&out)?;
    Ok(ExitCode::SUCCESS)
}
