//! `vmcoroner dev`: block devices with their requests in flight, and character devices.

use clap::Args;

use super::Outcome;
use super::looking::Looking;
use crate::{look, report};

/// Arguments of `dev`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  vmcoroner dev vmcore")]
pub struct Arguments {
    /// What to read, and how to print.
    #[command(flatten)]
    pub looking: Looking,
}

/// Runs it.
pub fn run(args: &Arguments) -> Outcome {
    args.looking.show(|kernel, _| Ok(look::disks(kernel)), report::looking::disks)
}
