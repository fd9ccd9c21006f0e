//! `vmcoroner examine`: the verdict.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};

use super::progress::Progress;
use super::{Cli, KernelSources, Outcome, Unpacking, print, terminal_width};
use crate::engine::Rules;
use crate::extract::{self, Options};
use crate::report::{self, Style};
use crate::verdict::{Grade, Role, Verdict};

/// Arguments of `examine`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  vmcoroner examine /var/crash/2026-01-01-00:00/vmcore\n  vmcoroner examine part1 part2 part3        a split dump, in any order\n  vmcoroner examine vmcore sosreport.tar.xz  several inputs of one machine\n  dmesg | vmcoroner examine -\n  vmcoroner examine --format json vmcore | jq .findings[0]\n  vmcoroner examine --save-case case.json vmcore && vmcoroner examine case.json"
)]
pub struct Arguments {
    /// Dumps, logs, bundles, saved cases of one machine; `-` is standard input.
    #[arg(required = true, value_name = "INPUT")]
    pub inputs: Vec<PathBuf>,
    /// Judge a dump by its log alone.
    #[arg(long)]
    pub log_only: bool,
    /// Form of the output. `json` is the first case, `jsonl` one line for every case.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
    /// The same as --format json.
    #[arg(long, conflicts_with = "format")]
    pub json: bool,
    /// Write the facts to FILE; `examine FILE` evaluates them again without the inputs.
    #[arg(long, value_name = "FILE")]
    pub save_case: Option<PathBuf>,
    /// Exit with 1 when a cause has this grade or a higher one.
    #[arg(long, value_enum, value_name = "GRADE")]
    pub fail_on: Option<FailOn>,
    /// A directory of further rules (`*/rule.yaml`); a rule of the same id replaces the built-in one.
    #[arg(long, value_name = "DIR")]
    pub rules: Option<PathBuf>,
    /// Symbols and types from outside the dump.
    #[command(flatten)]
    pub kernel: KernelSources,
    /// Dumps inside archives.
    #[command(flatten)]
    pub unpacking: Unpacking,
}

/// Form of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For a terminal.
    Text,
    /// One object, see `vmcoroner schema`.
    Json,
    /// One object a line, one line a case.
    Jsonl,
    /// For a ticket.
    Markdown,
    /// One page.
    Html,
}

/// The lowest grade that makes `examine` fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FailOn {
    /// Only the precondition holds.
    Exposed,
    /// The symptom fits.
    Consistent,
    /// With a discriminator.
    Probable,
    /// Proved.
    Confirmed,
}

impl FailOn {
    fn grade(self) -> Grade {
        match self {
            FailOn::Exposed => Grade::Exposed,
            FailOn::Consistent => Grade::Consistent,
            FailOn::Probable => Grade::Probable,
            FailOn::Confirmed => Grade::Confirmed,
        }
    }
}

/// Runs it.
pub fn run(cli: &Cli, args: &Arguments) -> Outcome {
    let temp_dir = args.unpacking.temp_dir.clone();
    let options = Options { log_only: args.log_only, kernel: args.kernel.sources(), temp_dir };
    super::threads::start();
    let progress = Progress::start("reading");
    // Rules and fixes are parsed while the inputs are read.
    let (cases, rules) = rayon::join(
        || extract::gather(&args.inputs, &options),
        || {
            let _ = crate::fixes::catalogue();
            Rules::embedded()
        },
    );
    let mut rules = rules?;
    if let Some(directory) = &args.rules {
        rules.add_directory(directory)?;
    }
    let cases = cases?;
    // What the user named is no help: said before everything else, and once more among the gaps.
    for gap in cases.iter().flat_map(|case| &case.gaps).filter(|gap| gap.what == kernel::REFUSED) {
        eprintln!("vmcoroner: not used: {}", report::printable(&gap.why));
    }
    if let (Some(path), Some(case)) = (&args.save_case, cases.first()) {
        std::fs::write(path, case.to_json()?).map_err(|e| format!("{}: {e}", path.display()))?;
        if cases.len() > 1 {
            let rest = cases.len() - 1;
            eprintln!(
                "vmcoroner: saved the case that is reported first; {rest} of other boots or machines are left out"
            );
        }
    }
    let verdicts: Vec<Verdict> = cases.into_iter().map(|case| crate::examine::examine_last(case, &rules)).collect();
    drop(progress);
    let Some(first) = verdicts.first() else { return Ok(ExitCode::SUCCESS) };
    let style = Style { width: terminal_width().unwrap_or(80), colour: cli.colour() };
    let out = match if args.json { Format::Json } else { args.format } {
        Format::Text => report::text(first, style),
        Format::Json => format!("{}\n", serde_json::to_string_pretty(first)?),
        Format::Jsonl => {
            let mut out = String::new();
            for verdict in &verdicts {
                out.push_str(&serde_json::to_string(verdict)?);
                out.push('\n');
            }
            out
        }
        Format::Markdown => report::markdown(first),
        Format::Html => report::html(first),
    };
    print(&out)?;
    // The process ends here: what the rules take apart, piece by piece, goes with it.
    std::mem::forget(rules);
    let failed = args.fail_on.is_some_and(|limit| {
        verdicts
            .iter()
            .flat_map(|v| &v.findings)
            .any(|f| f.role != Role::Information && f.grade.is_some_and(|g| g >= limit.grade()))
    });
    Ok(if failed { ExitCode::from(1) } else { ExitCode::SUCCESS })
}
