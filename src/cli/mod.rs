//! The command line: one file per command, no logic beyond arguments and calls.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;

use clap::builder::TypedValueParser as _;
use clap::{Args, Parser, Subcommand, ValueEnum};

pub mod bt;
pub mod cgroup;
pub mod compare;
pub mod completions;
pub mod dev;
pub mod dis;
pub mod examine;
pub mod info;
pub mod irq;
pub mod log;
pub mod looking;
pub mod mem;
pub mod mods;
pub mod mount;
pub mod net;
pub mod pack;
mod progress;
pub mod ps;
pub mod read;
pub mod rules;
pub mod runq;
pub mod schema;
pub mod search;
pub mod slab;
pub mod structure;
pub mod sym;
pub mod sys;
pub mod sysctl;
mod threads;
pub mod timer;
pub mod waits;
pub mod what;
pub mod work;

/// What a command ends with: an exit code, or an error that becomes exit code 2.
pub type Outcome = Result<std::process::ExitCode, Box<dyn std::error::Error>>;

/// From a Linux crash dump, log or support bundle to its root cause and fix, offline and without debuginfo.
#[derive(Debug, Parser)]
#[command(
    name = "vmcoroner",
    version,
    max_term_width = 100,
    after_help = "Examples:\n  vmcoroner examine vmcore\n  dmesg | vmcoroner examine -\n  vmcoroner log vmcore | less\n\nExit codes: 0 analysed; 1 a finding at or above --fail-on; 2 nothing usable, or wrong usage."
)]
pub struct Cli {
    /// When to use colour. `auto` follows the terminal and NO_COLOR.
    #[arg(long, global = true, value_enum, default_value_t = Colour::Auto)]
    pub color: Colour,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// When to use colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Colour {
    /// On a terminal, unless NO_COLOR is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Say what happened, which bug it is, how sure that is, and what to do.
    Examine(examine::Arguments),
    /// Describe a dump file: format, compression, machine, pages by state, notes.
    Info(info::Arguments),
    /// Print the kernel log of a dump as dmesg would, or the events of any log.
    Log(log::Arguments),
    /// Compare two states of one node: what changed, and whether a remedy took.
    Compare(compare::Arguments),
    /// Show the machine of a dump at a glance: kernel, CPUs, date, uptime, load, memory, taint, panic.
    Sys(sys::Arguments),
    /// Show call stacks of a dump: of a task, of all tasks, of the blocked ones, equal ones as one.
    Bt(bt::Arguments),
    /// List the tasks of a dump.
    Ps(ps::Arguments),
    /// Show who waits on whom in a dump, and the deadlocks.
    Waits(waits::Arguments),
    /// List network namespaces and devices of a dump, with reference counts.
    Net(net::Arguments),
    /// List the loaded modules of a dump.
    Mods(mods::Arguments),
    /// List the slab caches of a dump, the largest first.
    Slab(slab::Arguments),
    /// List the memory cgroups of a dump, the dying ones among them.
    Cgroup(cgroup::Arguments),
    /// Show where the memory of a dump is, by the kernel's counters, ending in what none explains.
    Mem(mem::Arguments),
    /// List the block devices of a dump with their requests in flight, and the character devices.
    Dev(dev::Arguments),
    /// List the interrupts of a dump by CPU, and the softirqs that ran and wait.
    Irq(irq::Arguments),
    /// Show the timers of each CPU of a dump, and how long the first is overdue.
    Timer(timer::Arguments),
    /// Show what the workers of work queues do in a dump, and what waits for them.
    Work(work::Arguments),
    /// List the mounts of a dump, and which file systems are frozen.
    Mount(mount::Arguments),
    /// Print the settings of a dump that decide what happens when something goes wrong.
    Sysctl(sysctl::Arguments),
    /// Show what each CPU of a dump runs, and how far its clock lags.
    Runq(runq::Arguments),
    /// Say the symbol of an address, the address of a symbol.
    Sym(sym::Arguments),
    /// Say what lies at an address: symbol, slab object, stack, page, per-CPU variable.
    What(what::Arguments),
    /// Show code as instructions.
    Dis(dis::Arguments),
    /// Find a value in memory, and say what holds it.
    Search(search::Arguments),
    /// Show the layout of a type, or what memory holds of it.
    Struct(structure::Arguments),
    /// Print words of memory.
    Read(read::Arguments),
    /// Make a type pack for kernels without BTF.
    Pack(pack::Arguments),
    /// List the rules, or check rule files.
    Rules(rules::Arguments),
    /// Print the JSON schema of a verdict.
    #[command(after_help = "Example:\n  vmcoroner schema > verdict.schema.json")]
    Schema,
    /// Print completions for a shell.
    Completions(completions::Arguments),
}

/// Where symbols and types may come from besides the dump.
#[derive(Debug, Default, Args)]
pub struct KernelSources {
    /// The vmlinux of this kernel (also .debug, compressed, or a bzImage): adds types, lines and inlined frames. One that
    /// lies beside the dump is found.
    #[arg(long, value_name = "FILE", value_parser = existing())]
    pub vmlinux: Option<PathBuf>,
    /// A type pack of this kernel made by `pack make`, or a directory of packs.
    #[arg(long, value_name = "PATH", value_parser = existing())]
    pub pack: Vec<PathBuf>,
    /// The System.map of this kernel.
    #[arg(long, value_name = "FILE", value_parser = existing())]
    pub system_map: Option<PathBuf>,
    /// Go on when the build-id of --vmlinux or --pack is not that of the dump.
    #[arg(long)]
    pub force: bool,
}

/// What may be done with a dump that lies inside an archive.
#[derive(Debug, Default, Args)]
pub struct Unpacking {
    /// Unpack a dump of an archive to a file in DIR, which is removed again; else it is read into memory, 2 GiB at most.
    #[arg(long, value_name = "DIR")]
    pub temp_dir: Option<PathBuf>,
}

/// A path that leads to something: what the user named and is not there is an error at once, not a gap far below.
fn existing() -> impl clap::builder::TypedValueParser<Value = PathBuf> {
    clap::builder::PathBufValueParser::new().try_map(|path| std::fs::metadata(&path).map(|_| path))
}

impl KernelSources {
    /// As the kernel reader takes them.
    pub fn sources(&self) -> kernel::Sources {
        kernel::Sources {
            vmlinux: self.vmlinux.clone(),
            beside: None,
            system_map: self.system_map.clone(),
            packs: self.pack.clone(),
            force: self.force,
        }
    }
}

impl Cli {
    /// Whether to colour what goes to standard output.
    pub fn colour(&self) -> bool {
        match self.color {
            Colour::Always => true,
            Colour::Never => false,
            Colour::Auto => {
                std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty()) && std::io::stdout().is_terminal()
            }
        }
    }
}

/// Columns of the terminal; `None` when standard output is none: a pipe gets full width.
pub fn terminal_width() -> Option<usize> {
    if !std::io::stdout().is_terminal() {
        return None;
    }
    // comfy-table asks the terminal; it is already here for tables.
    comfy_table::Table::new().width().map(usize::from).or(Some(80))
}

/// Writes to standard output.
pub fn print(text: &str) -> std::io::Result<()> {
    print_bytes(text.as_bytes())
}

/// Writes bytes to standard output.
pub fn print_bytes(bytes: &[u8]) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(bytes)?;
    out.flush()
}
