//! What the commands that look around in a dump share: which dump, with which sources, in which form.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use facts::Gap;
use kernel::Kernel;
use serde::Serialize;

use super::{KernelSources, Outcome, print, terminal_width};
use crate::extract::{self, Opened};

/// Arguments that every such command has.
#[derive(Debug, Args)]
pub struct Looking {
    /// The dump; a directory for the parts of a split one.
    #[arg(value_name = "DUMP")]
    pub dump: PathBuf,
    /// Form of the output.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
    /// Symbols and types from outside the dump.
    #[command(flatten)]
    pub kernel: KernelSources,
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
    pub fn show<V: Serialize>(
        &self,
        view: impl FnOnce(&Kernel<'_>, &Opened) -> Result<V, String>,
        text: impl FnOnce(&V, Option<usize>) -> String,
    ) -> Outcome {
        let dumps = extract::dump_members(std::slice::from_ref(&self.dump))?;
        let Some(opened) = dumps.first() else { return Ok(ExitCode::from(2)) };
        let kernel = Kernel::open(&opened.dump, self.kernel.sources())
            .map_err(|error| format!("{}: {error}", opened.member))?
            .named(opened.member.as_str());
        let value = view(&kernel, opened)?;
        match self.format {
            Format::Text => print(&text(&value, terminal_width()))?,
            Format::Json => print(&format!("{}\n", serde_json::to_string_pretty(&value)?))?,
        }
        complain(&kernel.gaps())?;
        Ok(ExitCode::SUCCESS)
    }
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
