//! The families: one file for each kind of report, one table entry each.
//!
//! A family says which texts announce it (its anchors), how its header is read (`open`), which further lines are its
//! own (`body`), and what is concluded at the end (`finish`). What all reports have in common (CPU line, registers,
//! code, modules, traces, end marker) is read by [`Report::common`]. To add a family: a file here, a line in [`ALL`].

mod assertion;
mod bad_page;
mod clocksource;
mod container_runtime;
mod device_firmware;
mod drbd;
mod errno;
mod filesystem;
mod firmware_fault;
mod gpu;
mod headless;
mod host_adapter;
pub(crate) mod hung_task;
mod hypervisor;
mod init_fault;
mod initramfs;
mod interrupts;
mod iommu_fault;
mod kasan;
mod kcsan;
mod kfence;
mod kinds;
mod kmsan;
mod limits;
mod link;
mod livepatch;
mod lock_debug;
mod lockdep;
mod lockup;
mod lost_function;
mod machine_check;
mod memory_leak;
mod memory_state;
mod module_taint;
mod net_device;
mod object_history;
mod object_model;
mod oom;
mod oops;
mod other_filesystem;
mod page_alloc_failure;
mod panic;
mod paravirtual;
mod pcie;
mod power;
mod probe_failure;
mod raid;
mod rcu_stall;
mod slab_alloc_failure;
mod slab_corruption;
mod sockets;
mod storage;
mod swap_area;
mod sysrq;
mod thermal;
mod ubsan;
mod unregister_netdevice;
mod usb;
mod vfs_leftover;
mod warning;
mod words;
mod workqueue_lockup;
mod xmon;

use facts::KindDef;

use crate::Line;
use crate::anchors::Hits;
use crate::event::Event;
use crate::line::Writer;
use crate::report::{Report, Step, Task};

pub use kinds::COMMON as COMMON_FIELDS;
pub(crate) use kinds::{field, kind};

/// How a report goes on after its header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// The header is all.
    Line,
    /// A few lines that only the family's `body` reads.
    Lines,
    /// A full report: what `body` passes over goes to the common parts.
    Trace,
}

/// Whose lines may open a report of a family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum From {
    /// The kernel's, and lines of which nothing says who wrote them.
    Kernel,
    /// Anybody's: lines of container runtimes and daemons.
    Anybody,
}

/// What `corrupted` says of a report that the text holds without its head.
pub const NO_HEAD: &str = "its head is not in the text";

/// A report that begins with a line.
pub(crate) struct Opened {
    pub(crate) event: Event,
    pub(crate) form: Form,
    /// The report that its caller is in goes on behind it.
    pub(crate) inside: bool,
    /// The line is no head: it is read as a part of the report too.
    pub(crate) headless: bool,
}

impl Opened {
    pub(crate) fn line(event: Event) -> Option<Self> {
        Some(Opened { event, form: Form::Line, inside: false, headless: false })
    }

    pub(crate) fn lines(event: Event) -> Option<Self> {
        Some(Opened { event, form: Form::Lines, inside: false, headless: false })
    }

    pub(crate) fn trace(event: Event) -> Option<Self> {
        Some(Opened { event, form: Form::Trace, inside: false, headless: false })
    }

    /// A report that begins in its middle.
    pub(crate) fn headless(mut event: Event) -> Option<Self> {
        event.corrupted = Some(NO_HEAD.to_owned());
        Some(Opened { event, form: Form::Trace, inside: false, headless: true })
    }
}

/// What stood before the line that may open a report.
#[derive(Clone, Copy, Default)]
pub(crate) struct Before<'a> {
    /// Lines since `------------[ cut here ]------------`, if one stands shortly before.
    pub(crate) messages: &'a [String],
    /// The report that the same caller is in.
    pub(crate) current: Option<&'a Event>,
    /// Title of the report that ended last, if that is not long ago.
    pub(crate) last: Option<&'a str>,
    /// The task whose stack begins here, from the line above; for a report without its head.
    pub(crate) task: Option<Task<'a>>,
    /// The line above is the mark at the end of a report: the registers stand behind it once more.
    pub(crate) again: bool,
    /// Work queue and work of that task.
    pub(crate) work: Option<&'a str>,
    /// A panic was reported not long ago.
    pub(crate) panicked: bool,
}

/// One family.
pub(crate) struct Family {
    /// The fact kind without `log.`.
    pub(crate) name: &'static str,
    /// One of these stands in every line that opens a report of the family. Rare texts make a fast scan.
    pub(crate) anchors: &'static [&'static str],
    /// Whose lines.
    pub(crate) from: From,
    /// Reads the header. The line holds one of the anchors, not necessarily at its start: anchor to the start of
    /// [`Line::text`], or a sentence about a crash becomes a crash.
    pub(crate) open: fn(&Line<'_>, Before<'_>) -> Option<Opened>,
    /// Reads a further line, before the common parts see it and before it may open another report. Frames in the middle
    /// of a trace are not among them, but for those with an anchor in them.
    pub(crate) body: fn(&mut Report, &Line<'_>) -> Step,
    /// Concludes: title, class, what is missing.
    pub(crate) finish: fn(&mut Report),
    /// The fact kind it makes.
    pub(crate) kind: KindDef,
}

/// A `body` for families without lines of their own.
pub(crate) fn no_body(_: &mut Report, _: &Line<'_>) -> Step {
    Step::Pass
}

/// A `finish` for families whose header says all.
pub(crate) fn no_finish(_: &mut Report) {}

/// All families. Where one line could open two, the first in the table has it.
pub(crate) static ALL: &[&Family] = &[
    &oops::FAMILY,
    // Before the WARNs: some of their titles begin like theirs.
    &object_model::FAMILY,
    &lockdep::FAMILY,
    &other_filesystem::FAMILY,
    &warning::FAMILY,
    &panic::FAMILY,
    &unregister_netdevice::FAMILY,
    &slab_alloc_failure::FAMILY,
    &lockup::SOFT,
    &lockup::HARD,
    &rcu_stall::FAMILY,
    &hung_task::FAMILY,
    &workqueue_lockup::FAMILY,
    &oom::FAMILY,
    &page_alloc_failure::FAMILY,
    &sockets::CONTROL,
    &sockets::NO_MORE,
    &sockets::DAD,
    &module_taint::FAMILY,
    &sysrq::FAMILY,
    &container_runtime::CGROUP_ENOSPC,
    &container_runtime::RUNTIME_ERROR,
    &container_runtime::KMEM_LIMIT,
    &kasan::FAMILY,
    &kfence::FAMILY,
    &kmsan::FAMILY,
    &kcsan::FAMILY,
    &ubsan::FAMILY,
    &memory_leak::FAMILY,
    &slab_corruption::FAMILY,
    &bad_page::FAMILY,
    &lock_debug::SPINLOCK,
    &lock_debug::ATOMIC_SLEEP,
    &lock_debug::PREEMPT_CHECK,
    &limits::FAMILY,
    &net_device::WATCHDOG,
    &net_device::REF_TRACKER,
    &net_device::RTNL,
    &filesystem::EXT4,
    &filesystem::XFS,
    &filesystem::BTRFS,
    &filesystem::NETWORK,
    &storage::BLOCK,
    &storage::SCSI,
    &storage::NVME,
    &storage::ATA,
    &raid::RAID,
    &machine_check::MCE,
    &machine_check::EDAC,
    &machine_check::FIRMWARE_RECORD,
    &pcie::PCIE,
    &thermal::THERMAL,
    &interrupts::NMI,
    &interrupts::IRQ,
    &interrupts::CONFLICT,
    &iommu_fault::FAMILY,
    &gpu::FAMILY,
    &host_adapter::FAMILY,
    &hypervisor::FAMILY,
    &firmware_fault::FAULT,
    &firmware_fault::WATCHDOG,
    &livepatch::FAMILY,
    &vfs_leftover::FAMILY,
    &assertion::FAMILY,
    &device_firmware::FAMILY,
    &usb::FAMILY,
    &clocksource::FAMILY,
    &probe_failure::FAMILY,
    &drbd::FAMILY,
    &link::FAMILY,
    &paravirtual::FAMILY,
    &swap_area::FAMILY,
    &power::FAMILY,
    &lost_function::FAMILY,
    &initramfs::FAMILY,
    &init_fault::FAMILY,
    &xmon::FAMILY,
    // Where nothing else begins a report.
    &headless::FAMILY,
];

/// The bit of the reports without head: the last in the table.
pub(crate) const HEADLESS: Hits = 1 << ALL.len();

/// The families whose anchors were found, in the order of the table.
pub(crate) fn of_hits(hits: Hits) -> impl Iterator<Item = &'static Family> {
    let mut left = hits >> 1;
    std::iter::from_fn(move || {
        let number = left.trailing_zeros();
        left &= left.wrapping_sub(1);
        ALL.get(number as usize).copied()
    })
}

impl Family {
    /// May this line open a report of the family?
    pub(crate) fn accepts(&self, line: &Line<'_>) -> bool {
        self.from == From::Anybody || line.writer != Writer::Program
    }
}

/// The fact kinds of all families.
pub(crate) fn kinds() -> Vec<KindDef> {
    let mut kinds: Vec<KindDef> = vec![kinds::BOOT, oom::MEMCG_KIND];
    for family in ALL {
        if !kinds.iter().any(|k| k.kind == family.kind.kind) {
            kinds.push(family.kind);
        }
    }
    kinds
}

#[cfg(test)]
mod tests {
    use crate::Event;

    /// The events of a text.
    pub(super) fn events(text: &str) -> Vec<Event> {
        crate::read("test", text.as_bytes()).boots.into_iter().flat_map(|boot| boot.events).collect()
    }

    /// Values of the fact of the first event of a text, as they are printed.
    pub(super) fn fields(text: &str, names: &[&str]) -> Vec<String> {
        let found = events(text);
        let fact = found.first().unwrap_or_else(|| panic!("no event in {text}")).to_fact("test");
        names.iter().map(|name| fact.get(name).map(ToString::to_string).unwrap_or_default()).collect()
    }

    /// Names of an event's stacks.
    pub(super) fn stack_names(event: &Event) -> Vec<&str> {
        event.stacks.iter().map(|stack| stack.name.as_str()).collect()
    }
}
