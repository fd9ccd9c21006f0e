//! Dumps: what the file says, then the kernel inside it.

use facts::Gap;
use kernel::Kernel;

use super::piece::Piece;
use super::{Opened, Options, log, memory};

/// The piece of a dump.
pub(super) fn read(opened: &Opened, options: &Options) -> Piece {
    let (dump, member) = (&opened.dump, opened.member.as_str());
    let mut piece = Piece { member: member.to_owned(), is_dump: true, ..Piece::default() };
    piece.sources.insert("dump".to_owned());
    piece.gaps.extend(dump.gaps().into_iter().map(|mut gap_of_file| {
        // The reader names the file on disk; here it has its member's name.
        let base = |name: &str| name.rsplit('/').next().unwrap_or_default().to_owned();
        if base(&gap_of_file.file) == base(member) {
            member.clone_into(&mut gap_of_file.file);
        }
        gap(gap_of_file)
    }));
    piece.identity.arch = Some(dump.machine().arch.name().to_owned());
    let kernel = match Kernel::open(dump, opened.sources(&options.kernel)) {
        Ok(kernel) => kernel.named(member),
        Err(error) => {
            piece.gaps.push(Gap::new(
                "the kernel inside the dump",
                member,
                error.to_string(),
                "the vmlinux of this kernel (--vmlinux), or a dump that is whole; meanwhile the log of that boot",
            ));
            // What the kernel says of itself is there on every architecture.
            let text = dump.vmcoreinfo().unwrap_or_default();
            piece.identity.kernel = text.lines().find_map(|line| line.strip_prefix("OSRELEASE=")).map(str::to_owned);
            return piece;
        }
    };
    // The log is read and judged while the tasks are read, which most readers of memory ask for.
    let ring = || {
        let ring = log::read_ring(member, &kernel.log());
        if ring.facts.iter().any(|fact| fact.kind == "log.oops") {
            // The code around it will be looked at.
            kernel::disassemble::prepare();
        }
        ring
    };
    let memory = || {
        let identity = kernel.identity();
        if !options.log_only {
            kernel.tasks();
        }
        identity
    };
    let (ring, identity) = rayon::join(ring, memory);
    piece.facts.extend(ring.facts);
    piece.gaps.extend(ring.gaps);
    piece.sources.extend(ring.sources);
    let mut whole = identity;
    whole.fill(&ring.identity);
    whole.fill(&piece.identity);
    piece.identity = whole;
    if !options.log_only {
        memory::read(&kernel, &mut piece);
    }
    piece.gaps.extend(kernel.gaps());
    piece
}

impl Opened {
    /// Symbols and types that were given, and those that lie beside the dump.
    pub fn sources(&self, given: &kernel::Sources) -> kernel::Sources {
        kernel::Sources { beside: self.folder.clone(), ..given.clone() }
    }
}

/// A gap of the dump reader, which has a type of its own.
pub(super) fn gap(gap: dump::Gap) -> Gap {
    let place = match gap.offset {
        Some(offset) => format!("{} at byte {offset}", gap.file),
        None => gap.file,
    };
    Gap::new(gap.what, place, gap.why, gap.closes)
}

/// The reports of a dump's log, of a kernel that is open already.
pub fn log_reports(kernel: &Kernel<'_>) -> Vec<facts::Fact> {
    log::read_ring(kernel.member(), &kernel.log()).facts
}

/// The kernel log of a dump as text.
#[derive(Clone, Debug, Default)]
pub struct Rendered {
    /// Bytes as `dmesg` prints them.
    pub text: Vec<u8>,
    /// What is missing.
    pub gaps: Vec<Gap>,
}

/// Renders the log of a dump.
pub fn dump_log(opened: &Opened, sources: kernel::Sources, caller: bool, ctime: bool) -> Rendered {
    let kernel = match Kernel::open(&opened.dump, opened.sources(&sources)) {
        Ok(kernel) => kernel.named(opened.member.as_str()),
        Err(error) => {
            let gap = Gap::new(
                "kernel log",
                opened.member.as_str(),
                error.to_string(),
                "vmcore-dmesg.txt beside the dump, or what a serial console or the journal kept of that boot",
            );
            return Rendered { text: Vec::new(), gaps: vec![gap] };
        }
    };
    let log = kernel.log();
    let boot_time_ns = if ctime { kernel.boot_time_ns() } else { None };
    let mut gaps = kernel.refused();
    gaps.extend(log.gaps.iter().cloned());
    Rendered { text: log.render(kernel::Render { caller, boot_time_ns }), gaps }
}
