//! `vmcoroner net`: network namespaces and devices.

use clap::Args;

use super::Outcome;
use super::looking::Looking;
use crate::{look, report};

/// Arguments of `net`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  vmcoroner net vmcore\n  vmcoroner net vmcore eth0   the devices of that name in every namespace"
)]
pub struct Arguments {
    /// What to read, and how to print.
    #[command(flatten)]
    pub looking: Looking,
    /// Only devices of this name, or at this address.
    #[arg(value_name = "NAME|ADDR")]
    pub name: Option<String>,
}

/// Runs it.
pub fn run(args: &Arguments) -> Outcome {
    args.looking.show(
        |kernel, _| match &args.name {
            Some(name) => look::only_device(kernel, name),
            None => Ok(look::net(kernel)),
        },
        report::looking::net,
    )
}
