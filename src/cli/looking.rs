//! What the commands that look around in a dump share: which dump, with which sources, in which form.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use facts::Gap;
use kernel::Kernel;

use super::{KernelSources, Outcome, Unpacking, print, terminal_width};
use crate::extract::{self, Opened};
use crate::look::View;

/// Arguments that every such command has.
#[derive(Debug, Args)]
pub struct Looking {
    /// The dump; a directory for the parts of a split one.
    #[arg(value_name = "DUMP")]
    pub dump: PathBuf,
    /// A further part of a split dump; a directory as DUMP has them all.
    #[arg(long, value_name = "FILE")]
    pub part: Vec<PathBuf>,
    /// Form of the output.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
    /// The same as --format json.
    #[arg(long, conflicts_with = "format")]
    pub json: bool,
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
    /// For a terminal; a pipe gets full width.
    Text,
    /// One object.
    Json,
}

impl Looking {
    /// Opens the dump and the kernel in it, asks `view`, and prints the answer as `text` does or as JSON. What could
    /// not be read goes to standard error.
    pub fn show<V: View>(
        &self,
        view: impl FnOnce(&Kernel<'_>, &Opened) -> Result<V, String>,
        text: impl FnOnce(&V, Option<usize>) -> String,
    ) -> Outcome {
        super::threads::start();
        let inputs: Vec<PathBuf> = std::iter::once(&self.dump).chain(&self.part).cloned().collect();
        let dumps = extract::dump_members(&inputs, self.unpacking.temp_dir.as_deref())?;
        let Some(opened) = dumps.first() else { return Ok(ExitCode::from(2)) };
        if let Some(other) = dumps.get(1) {
            complain(&[Gap::new(
                "a second dump",
                other.member.as_str(),
                format!("only {} is looked at", opened.member),
                "one command for each",
            )])?;
        }
        let kernel = Kernel::open(&opened.dump, opened.sources(&self.kernel.sources()))
            .map_err(|error| format!("{}: {error}", opened.member))?
            .named(opened.member.as_str());
        refuse(&kernel)?;
        let mut value = view(&kernel, opened)?;
        let mut rest = kernel.gaps();
        let format = if self.json { Format::Json } else { self.format };
        let empty = match format {
            Format::Text => {
                let out = text(&value, terminal_width());
                print(&out)?;
                // What was read is longer: a list of 50,000 tasks need not be made twice.
                out.len() < MAX_EMPTY && found_nothing(&serde_json::to_value(&value)?)
            }
            Format::Json => {
                let empty = found_nothing(&serde_json::to_value(&value)?);
                if let Some(gaps) = value.gaps() {
                    rest.retain(|gap| !gaps.contains(gap));
                    gaps.append(&mut rest);
                }
                print(&format!("{}\n", serde_json::to_string_pretty(&value)?))?;
                empty
            }
        };
        complain(&rest)?;
        for word in value.missing() {
            writeln!(std::io::stderr(), "vmcoroner: {}", crate::report::printable(word))?;
        }
        Ok(if empty || !value.missing().is_empty() { ExitCode::from(2) } else { ExitCode::SUCCESS })
    }
}

/// A file that was given and cannot be used is wrong usage, and the one thing said.
fn refuse(kernel: &Kernel<'_>) -> Result<(), String> {
    let refused: Vec<String> = kernel.refused().into_iter().map(|gap| gap.why).collect();
    if refused.is_empty() { Ok(()) } else { Err(refused.join("\n")) }
}

/// Bytes of text that a view without anything in it stays below.
const MAX_EMPTY: usize = 16 << 10;

/// Whether a view has gaps and nothing else: nothing at all could be read.
fn found_nothing(view: &serde_json::Value) -> bool {
    let Some(view) = view.as_object() else { return false };
    let lists = || view.iter().filter_map(|(name, value)| Some((name.as_str(), value.as_array()?)));
    let gaps = lists().any(|(name, list)| name == "gaps" && !list.is_empty());
    gaps && lists().count() > 1 && lists().all(|(name, list)| name == "gaps" || list.is_empty())
}

/// The most gaps printed; JSON has all of a view's own.
const MAX_GAPS: usize = 20;

fn complain(gaps: &[Gap]) -> std::io::Result<()> {
    let mut err = std::io::stderr().lock();
    for gap in gaps.iter().take(MAX_GAPS) {
        writeln!(err, "vmcoroner: {}", crate::report::gap(gap))?;
    }
    if let Some(more) = gaps.len().checked_sub(MAX_GAPS).filter(|n| *n > 0) {
        writeln!(err, "vmcoroner: and {more} gaps more")?;
    }
    Ok(())
}
