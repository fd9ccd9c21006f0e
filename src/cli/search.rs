//! `vmcoroner search`: where a value stands in memory.

use clap::Args;

use super::Outcome;
use super::looking::Looking;
use super::progress::Progress;
use crate::{look, report};

/// Arguments of `search`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  vmcoroner search vmcore init_task                 who points there\n  vmcoroner search vmcore task:1 --limit 20\n  vmcoroner search --string vmcore 'net_device'\n  vmcoroner search --u32 vmcore 0xdead4ead --limit 5\n  vmcoroner search -m 0xfff vmcore init_task        pointers into the same page"
)]
pub struct Arguments {
    /// What to read, and how to print.
    #[command(flatten)]
    pub looking: Looking,
    /// A number, an address or a symbol; with --string a text.
    #[arg(value_name = "VALUE", allow_hyphen_values = true)]
    pub value: String,
    /// Look for a value of 32 bits.
    #[arg(long, conflicts_with = "string")]
    pub u32: bool,
    /// VALUE is a text.
    #[arg(short = 'c', long)]
    pub string: bool,
    /// Bits that may differ, in hex: `-m 0xfff`.
    #[arg(short, long, value_name = "BITS", default_value = "0x0", hide_default_value = true, value_parser = bits)]
    pub mask: u64,
    /// The most places shown.
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub limit: usize,
    /// The most seconds it may take.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub time: u64,
}

fn bits(text: &str) -> Result<u64, String> {
    look::hex(text).or_else(|| text.parse().ok()).ok_or_else(|| format!("expected bits as 0xfff, found {text}"))
}

/// Runs it.
pub fn run(args: &Arguments) -> Outcome {
    let ask = look::SearchAsk {
        value: args.value.clone(),
        half: args.u32,
        text: args.string,
        mask: args.mask,
        limit: args.limit,
        seconds: args.time,
    };
    let progress = Progress::start("searching");
    let outcome = args.looking.show(
        |kernel, _| {
            let view = look::search(kernel, &ask, &|done, total| progress.at(done, total))?;
            progress.end();
            Ok(view)
        },
        report::looking::search,
    );
    drop(progress);
    outcome
}
