//! The `vmcoroner` command: parses the command line, calls one function per command, maps errors to exit codes.
#![forbid(unsafe_code)]

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

use vmcoroner::cli::{self, Cli, Command};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match &cli.command {
        Command::Examine(args) => cli::examine::run(&cli, args),
        Command::Info(args) => cli::info::run(&cli, args),
        Command::Log(args) => cli::log::run(&cli, args),
        Command::Compare(args) => cli::compare::run(&cli, args),
        Command::Pack(args) => cli::pack::run(args),
        Command::Rules(args) => cli::rules::run(&cli, args),
        Command::Sys(args) => cli::sys::run(args),
        Command::Bt(args) => cli::bt::run(&cli, args),
        Command::Ps(args) => cli::ps::run(args),
        Command::Waits(args) => cli::waits::run(args),
        Command::Net(args) => cli::net::run(args),
        Command::Mods(args) => cli::mods::run(args),
        Command::Slab(args) => cli::slab::run(args),
        Command::Cgroup(args) => cli::cgroup::run(args),
        Command::Mem(args) => cli::mem::run(args),
        Command::Dev(args) => cli::dev::run(args),
        Command::Irq(args) => cli::irq::run(args),
        Command::Timer(args) => cli::timer::run(args),
        Command::Work(args) => cli::work::run(args),
        Command::Mount(args) => cli::mount::run(args),
        Command::Sysctl(args) => cli::sysctl::run(args),
        Command::Runq(args) => cli::runq::run(args),
        Command::Sym(args) => cli::sym::run(args),
        Command::What(args) => cli::what::run(args),
        Command::Dis(args) => cli::dis::run(args),
        Command::Search(args) => cli::search::run(args),
        Command::Struct(args) => cli::structure::run(args),
        Command::Read(args) => cli::read::run(args),
        Command::Schema => cli::schema::run(),
        Command::Completions(args) => cli::completions::run(args),
    };
    match result {
        Ok(code) => code,
        // A reader that went away (`vmcoroner log dump | head`) is no failure of ours.
        Err(error) if broken_pipe(error.as_ref()) => ExitCode::SUCCESS,
        Err(error) => {
            // Names of files and pieces of inputs stand in it.
            let lines: Vec<String> = error.to_string().lines().map(vmcoroner::report::printable).collect();
            let _ = writeln!(std::io::stderr(), "vmcoroner: {}", lines.join("\n"));
            ExitCode::from(2)
        }
    }
}

fn broken_pipe(error: &(dyn std::error::Error + 'static)) -> bool {
    error.downcast_ref::<std::io::Error>().is_some_and(|e| e.kind() == std::io::ErrorKind::BrokenPipe)
}
