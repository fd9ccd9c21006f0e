//! What came of what, among the reports of one boot: the panic of its report, the tasks that wait for a dead device, the
//! warnings that follow a warning. What comes later never explains what was earlier.

use std::collections::{BTreeMap, BTreeSet};

use facts::{Fact, Place};

use super::told_before::{is_medium_error, is_virtual_adapter};
use super::{clock, episode, functions, path, related, rotation, told_before};

/// An event that follows from an earlier one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Follows {
    /// Position of the consequence.
    pub(super) event: usize,
    /// Position of what it follows from.
    pub(super) of: usize,
    pub(super) why: &'static str,
}

pub(super) const SECOND: i64 = 1_000_000_000;

/// A panic is printed at once; other CPUs, a stop of all of them and slow consoles may come between.
const PANIC: Near = Near { ns: 120 * SECOND, lines: 600 };
/// What a task does next in code that has complained.
const SAME_CODE: Near = Near { ns: 300 * SECOND, lines: 2000 };
/// A driver whose device has just died.
const SAME_DEVICE: Near = Near { ns: 30 * SECOND, lines: 1000 };
/// What the layers above a drive say of the command that failed.
pub(super) const SAME_BREATH: Near = Near { ns: 2 * SECOND, lines: 12 };
/// What waits for a server gives up after some minutes.
const SAME_CLUSTER: Near = Near { ns: 600 * SECOND, lines: 2000 };
/// What is lost until somebody says otherwise.
const LASTING: Near = Near { ns: 86_400 * SECOND, lines: 1_000_000 };
/// What is printed in the same second.
pub(super) const AT_ONCE: Near = Near { ns: SECOND, lines: 100 };
/// The report that one task or CPU makes in the same breath.
const CASCADE: Near = Near { ns: SECOND - 1, lines: 3 };

/// How far apart two reports may be: in time, or where that is not known in lines.
pub(super) struct Near {
    pub(super) ns: i64,
    pub(super) lines: u64,
}

impl Near {
    pub(super) fn holds(&self, early: &Fact, late: &Fact) -> bool {
        match late.time.zip(early.time).and_then(|(late, early)| late.since(&early)) {
            Some(ns) => (0..=self.ns).contains(&ns),
            // Lines of two files are no distance.
            None if early.origin.member != late.origin.member => false,
            None => lines(early)
                .zip(lines(late))
                .is_some_and(|((_, end), (start, _))| start.saturating_sub(end) <= self.lines),
        }
    }
}

pub(super) fn lines(fact: &Fact) -> Option<(u64, u64)> {
    match fact.origin.place {
        Place::Lines { first, last } => Some((first, last)),
        _ => None,
    }
}

/// What follows from what, in the order of the facts. `blamed` holds the function blamed for an event, `ignored` the
/// events that are told twice.
pub(super) fn follows(facts: &[Fact], blamed: &BTreeMap<usize, &str>, ignored: &BTreeSet<usize>) -> Vec<Follows> {
    let mut found: Vec<Follows> = Vec::new();
    for boot in boots(facts) {
        let boot: Vec<usize> = boot.into_iter().filter(|at| !ignored.contains(at)).collect();
        // A finding holds all events with the same subject: the first of them decides.
        let mut subjects: BTreeMap<Subject, usize> = BTreeMap::new();
        let mut roots: BTreeMap<usize, usize> = BTreeMap::new();
        for (number, at) in boot.iter().enumerate() {
            let Some(late) = facts.get(*at) else { continue };
            let function = blamed.get(at).copied();
            let earlier = Earlier { facts, before: &boot[..number], blamed };
            if let Some(first) = subjects.get(&subject(late, function)) {
                let root = roots.get(first).copied().unwrap_or(*first);
                roots.insert(*at, root);
                continue;
            }
            subjects.insert(subject(late, function), *at);
            if let Some((of, why)) = earlier.cause(late, function) {
                let of = roots.get(&of).copied().filter(|_| why == IN_ONE_BREATH).unwrap_or(of);
                if why == IN_ONE_BREATH {
                    roots.insert(*at, of);
                }
                found.push(Follows { event: *at, of, why });
            }
        }
        told_before::follows(facts, &boot, &mut found);
    }
    found
}

/// What findings of one event are told apart by.
fn subject(fact: &Fact, function: Option<&str>) -> Subject {
    let text = |name: &str| fact.text(name).unwrap_or("");
    if fact.kind == "log.hung_task" {
        return (text("comm").to_owned(), fact.int("pid").unwrap_or(-1).to_string(), String::new());
    }
    // A finding of failures holds no notices, and the other way round.
    let class = format!("{}{}", if text("severity") == "notice" { "notice of " } else { "" }, text("class"));
    let function =
        function.or(fact.text("function")).unwrap_or(if text("class") == "warning" { text("title") } else { "" });
    let device = fact.text("device").or(fact.text("port")).filter(|_| text("class") != "warning").unwrap_or("");
    (class, function.to_owned(), device.to_owned())
}

/// Class, function and device, or task and pid.
type Subject = (String, String, String);

/// The events of each boot of each log, in order; logs on one clock, and the parts of one that was rotated, are one.
fn boots(facts: &[Fact]) -> Vec<Vec<usize>> {
    let clocks = clock::on_one_clock(facts);
    let together = |known: &str, member: &str| clocks.get(known).is_some_and(|group| clocks.get(member) == Some(group));
    let mut boots: Vec<(&str, Vec<usize>)> = Vec::new();
    for (at, fact) in facts.iter().enumerate().filter(|(_, f)| f.kind.starts_with("log.")) {
        let member = fact.origin.member.as_str();
        let known = boots
            .iter_mut()
            .rev()
            .find(|(known, _)| *known == member || together(known, member) || goes_on(known, member));
        match known.filter(|_| fact.kind != "log.boot") {
            Some((known, boot)) => {
                *known = member;
                boot.push(at);
            }
            None => boots.push((member, vec![at])),
        }
    }
    boots.into_iter().map(|(_, boot)| boot).collect()
}

/// Is `member` the next part of the log that `before` is a part of?
fn goes_on(before: &str, member: &str) -> bool {
    let ((series, age), (same, younger)) = (rotation(before), rotation(member));
    series == same && younger < age
}

/// What was reported before an event in the same boot.
struct Earlier<'a> {
    facts: &'a [Fact],
    before: &'a [usize],
    blamed: &'a BTreeMap<usize, &'a str>,
}

const IN_ONE_BREATH: &str = "reported by the same task in the same second, after it";

/// Events that are looked at before one: what lies further back is not near.
pub(super) const LOOK_BACK: usize = 400;

impl Earlier<'_> {
    /// The nearest earlier event that fits, from the last one backwards.
    fn nearest(&self, fits: impl Fn(usize, &Fact) -> bool) -> Option<usize> {
        let mut back = self.before.iter().rev().take(LOOK_BACK).copied();
        back.find(|at| self.facts.get(*at).is_some_and(|fact| fits(*at, fact)))
    }

    fn cause(&self, late: &Fact, function: Option<&str>) -> Option<(usize, &'static str)> {
        if late.text("what") == Some("ok") {
            return None;
        }
        if late.kind == "log.panic" {
            return self.panic(late);
        }
        if late.kind == "log.hung_task" {
            return self.hung(late);
        }
        let of = |at: Option<usize>, why| at.map(|at| (at, why));
        let class = late.text("class").unwrap_or("");
        if late.text("severity") == Some("report") && (!is_crash(late) || calls_panic(late)) {
            let panic = |_: usize, early: &Fact| early.kind == "log.panic" && PANIC.holds(early, late);
            if let Some(at) = self.nearest(panic) {
                return Some((at, "the kernel had panicked before: it met this while it stopped"));
            }
        }
        if let Some(found) = episode::cause(late, &|fits| self.nearest(|_, early| fits(early))) {
            return Some(found);
        }
        if let Some(found) = related::cause(late, &|fits| self.nearest(|_, early| fits(early))) {
            return Some(found);
        }
        // A block device of Ceph is what the servers behind it are.
        if late.text("filesystem") == Some("rbd") {
            let server = |at: usize, early: &Fact| {
                early.text("filesystem") == Some("ceph")
                    && early.text("what") == Some("server-down")
                    && !self.came_back(at, early)
                    && SAME_CLUSTER.holds(early, late)
            };
            return of(self.nearest(server), "a server of its cluster had gone down before, and was not back");
        }
        // The layers above a drive say in their words what its driver has said. Of its sectors only the drive knows.
        if matches!(&*late.kind, "log.scsi_error" | "log.block_io_error" | "log.raid_error") {
            let below = |_: usize, early: &Fact| {
                is_below(early, late)
                    && !((early.kind == "log.host_adapter" || is_virtual_adapter(early)) && is_medium_error(late))
                    && SAME_BREATH.holds(early, late)
            };
            return of(self.nearest(below), "the drive below had failed right before");
        }
        if late.text("severity") != Some("report") || !tells_of_code(class) {
            return None;
        }
        let device = |_: usize, early: &Fact| is_same_device(early, late) && SAME_DEVICE.holds(early, late);
        if let Some(at) = self.nearest(device) {
            return Some((at, "the driver's device had failed before"));
        }
        let code =
            |fact: &Fact| fact.text("severity") == Some("report") && tells_of_code(fact.text("class").unwrap_or(""));
        // A crash is no consequence of a mere warning that came with it: it is what the log is about.
        let worse =
            |early: &Fact| is_crash(late) && early.text("class") == Some("warning") && AT_ONCE.holds(early, late);
        let same_function = |at: usize, early: &Fact| {
            code(early)
                && !worse(early)
                && may_pass_on(early, late)
                && function.is_some()
                && self.blamed.get(&at).copied() == function
                && SAME_CODE.holds(early, late)
        };
        // Whoever slept in atomic context goes on with a wrong count: what befalls it next comes of that.
        let imbalance = |_: usize, early: &Fact| {
            is_crash(late)
                && is_imbalance(early)
                && early.get("pid").is_some()
                && early.int("pid") == late.int("pid")
                && PANIC.holds(early, late)
        };
        if let Some(at) = self.nearest(imbalance) {
            return Some((at, "the same task had slept in atomic context before"));
        }
        if let Some(at) = self.nearest(same_function) {
            return Some((at, "an earlier report blames the same function"));
        }
        let breath = |_: usize, early: &Fact| {
            code(early) && !worse(early) && same_task(early, late) && CASCADE.holds(early, late)
        };
        if let Some(at) = self.nearest(breath) {
            return Some((at, IN_ONE_BREATH));
        }
        // A driver that warns twice has two things to say. The first process runs everything at boot.
        let same_module = |_: usize, early: &Fact| {
            code(early)
                && !worse(early)
                && class != "warning"
                && late.int("pid").is_some_and(|pid| pid > 1 && early.int("pid") == Some(pid))
                && late.text("module").is_some_and(|module| early.text("module") == Some(module))
                && SAME_CODE.holds(early, late)
        };
        of(self.nearest(same_module), "the same task met an earlier report in the same module")
    }

    /// The report that a panic ends: the nearest one that can raise it, on the same CPU first.
    fn panic(&self, late: &Fact) -> Option<(usize, &'static str)> {
        let reason = late.text("reason").unwrap_or("").to_ascii_lowercase();
        let raises = RAISES.iter().find(|(words, _)| words.iter().any(|word| reason.contains(word)));
        let Some((_, raises)) = raises else { return self.panic_inside(late) };
        let near = |_: usize, early: &Fact| early.kind != "log.panic" && raises.fits(early) && PANIC.holds(early, late);
        let cpu = late.int("cpu");
        let same_cpu = |at: usize, early: &Fact| cpu.is_some() && early.int("cpu") == cpu && near(at, early);
        let at = self.nearest(same_cpu).or_else(|| self.nearest(near))?;
        Some((at, "the panic ends this report"))
    }

    /// A panic whose reason nobody else prints, within the lines of a report: the code that complained called it.
    fn panic_inside(&self, late: &Fact) -> Option<(usize, &'static str)> {
        let (first, _) = lines(late)?;
        let around = |_: usize, early: &Fact| {
            early.text("severity") == Some("report")
                && early.origin.member == late.origin.member
                && tells_of_code(early.text("class").unwrap_or(""))
                && lines(early).is_some_and(|(start, end)| start < first && first <= end)
        };
        self.nearest(around).map(|at| (at, "the panic ends this report"))
    }

    /// A task that waits for I/O below which a device or a server had failed before.
    fn hung(&self, late: &Fact) -> Option<(usize, &'static str)> {
        let way = path::main_stack(late).map(path::hops).unwrap_or_default();
        let has = |patterns: &[&str]| {
            way.iter().any(|h| {
                functions::any(patterns, h.function.trim_start_matches('_'))
                    || h.module.as_deref().is_some_and(|m| functions::any(patterns, m))
            })
        };
        // It began to wait up to two timeouts before the report, and the device may have been silent for its own before.
        let seconds = late.int("seconds").unwrap_or(120).clamp(0, 86_400);
        let waiting = Near { ns: (2 * seconds + 90) * SECOND, lines: 2000 };
        // A thread of a file system or an array, of which the log has no trace.
        let thread = way.is_empty() && late.text("comm").is_some_and(|comm| module_of_thread(comm).is_some());
        let (network, disk) = (has(NETWORK_WAITS), has(DISK_WAITS) || thread);
        let fits = |at: usize, early: &Fact| {
            // A trace that ends in the page cache names no file system.
            let server = (network || disk) && is_dead_server(early);
            let disk = disk && !network && is_dead_disk(early);
            let lasts = server && network && !self.came_back(at, early) || disk && is_given_up(early);
            (server || disk) && (waiting.holds(early, late) || lasts && LASTING.holds(early, late))
        };
        if let Some(at) = self.nearest(fits) {
            return Some((at, "the task waits for a device or server that had failed before"));
        }
        // The watchdog looks at all tasks in one go: of one whose trace is cut off the others tell.
        if way.is_empty() {
            let beside = |_: usize, early: &Fact| {
                early.kind == "log.hung_task" && path::main_stack(early).is_some() && AT_ONCE.holds(early, late)
            };
            let found = self.nearest(beside).and_then(|at| self.facts.get(at)).and_then(|early| self.hung(early));
            if let Some((at, _)) = found.filter(|(at, _)| self.facts.get(*at).is_some_and(is_dead_disk)) {
                return Some((at, "told in one go with a task that waits for a disk that had failed before"));
            }
        }
        // Code that stopped at an assertion, or died, keeps what it holds.
        let module = super::blame::sleeper(&way).and_then(|h| h.module.clone());
        let module = module
            .or_else(|| late.text("comm").filter(|_| way.is_empty()).and_then(module_of_thread).map(str::to_owned))?;
        let died = |_: usize, early: &Fact| {
            matches!(&*early.kind, "log.oops" | "log.assertion")
                && early.text("severity") == Some("report")
                && is_of_module(early, &module)
                && LASTING.holds(early, late)
        };
        self.nearest(died).map(|at| (at, "the module that the task waits in had failed before, with what it holds"))
    }

    /// Does the server say between its loss and now that it answers again?
    fn came_back(&self, at: usize, loss: &Fact) -> bool {
        let same = |word: &Fact, name: &str| loss.text(name).is_none() || loss.text(name) == word.text(name);
        self.before
            .iter()
            .rev()
            .take_while(|later| **later > at)
            .filter_map(|later| self.facts.get(*later))
            .any(|word| word.text("what") == Some("ok") && same(word, "filesystem") && same(word, "device"))
    }
}

/// What raises a panic.
enum Raises {
    Oops,
    Init,
    Report,
    Class(&'static [&'static str]),
}

impl Raises {
    fn fits(&self, early: &Fact) -> bool {
        let class = early.text("class").unwrap_or("");
        match self {
            // The fault of an access that KASAN reported may be part of its report.
            Raises::Oops => early.kind == "log.oops" || early.kind == "log.kasan" && early.get("count").is_some(),
            // The preempt count that stayed raised has the next page fault of the task refused, and kills it (SIGSEGV).
            Raises::Init => match early.int("pid") {
                pid if early.kind == "log.oops" => pid.is_none_or(|pid| pid <= 1),
                // init of the initial file system gives up.
                _ if early.kind == "log.initramfs" => true,
                pid => class == "atomic-sleep" && pid == Some(1),
            },
            Raises::Report => early.text("severity") == Some("report") && tells_of_code(class),
            Raises::Class(classes) => early.kind != "log.panic" && classes.contains(&class),
        }
    }
}

/// Words of a panic's reason, in lower case, and what raises it; the first line that fits counts.
const RAISES: &[(&[&str], Raises)] = &[
    (&["panic_on_warn", "system warned too often", "kasan.fault=panic", "kfence.fault=panic"], Raises::Report),
    (&["softlockup"], Raises::Class(&["soft-lockup"])),
    (&["hard lockup", "detected lockup", "nmi watchdog"], Raises::Class(&["hard-lockup"])),
    (&["hung_task", "hung task", "blocked tasks"], Raises::Class(&["hung-task"])),
    (&["rcu stall", "rcu_sched", "rcu_preempt"], Raises::Class(&["rcu-stall"])),
    (&["kernel stack overflow"], Raises::Class(&["stack-overflow"])),
    (
        &["fatal hardware error", "fatal machine check", "uncorrected hardware", "timeout synchronizing machine check"],
        Raises::Class(&["hardware-mce", "hardware-memory", "hardware-pcie"]),
    ),
    (&["out of memory", "deadlocked on memory", "panic_on_oom"], Raises::Class(&["oom", "memcg-oom"])),
    (&["not all cpus entered broadcast"], Raises::Class(&["hardware-mce"])),
    (&["serror"], Raises::Class(&["trap", "hardware-mce"])),
    (&["not continuing"], Raises::Class(&["hardware-mce"])),
    (&["panic forced after error"], Raises::Class(&["fs-corruption", "fs-shutdown", "io-error"])),
    (&["attempted to kill"], Raises::Init),
    (&["unable to mount root", "no working init", "no init found"], Raises::Class(&["no-root"])),
    // drivers/base/power/main.c
    (&[": unrecoverable failure"], Raises::Class(&["firmware"])),
    (
        &[
            "fatal exception",
            "panic_on_oops",
            "oops",
            "kernel mode fault",
            "killing interrupt handler",
            "machine halted",
            "bad mode",
            "exception in kernel",
        ],
        Raises::Oops,
    ),
];

/// Classes whose reports speak of the code that runs, not of what the machine as a whole waits for or lacks.
fn tells_of_code(class: &str) -> bool {
    !matches!(
        class,
        "hung-task"
            | "soft-lockup"
            | "hard-lockup"
            | "rcu-stall"
            | "workqueue-lockup"
            | "oom"
            | "memcg-oom"
            | "net-watchdog"
            | "page-alloc-failure"
            | "slab-alloc-failure"
            | "io-error"
            | "fs-corruption"
            | "fs-shutdown"
            | "unregister-netdevice"
            | "reboot"
            | ""
    ) && !class.starts_with("hardware-")
}

fn is_imbalance(fact: &Fact) -> bool {
    fact.kind == "log.atomic_sleep" && fact.text("what") == Some("scheduling")
}

/// Two reports that blame one function: the later one is the same fault again, or met what the earlier one left behind. One
/// of another task that has nothing to do with memory is a fault of its own.
fn may_pass_on(early: &Fact, late: &Fact) -> bool {
    let (Some(a), Some(b)) = (early.int("pid"), late.int("pid")) else { return true };
    let class = |fact: &Fact| fact.text("class").map(str::to_owned);
    a == b || class(early) == class(late) || damages(early) && meets_damage(late)
}

/// Is memory damaged, or used by two, after the report?
fn damages(fact: &Fact) -> bool {
    const CLASSES: &[&str] = &[
        "use-after-free",
        "out-of-bounds",
        "double-free",
        "invalid-free",
        "slab-corruption",
        "list-corruption",
        "bad-page",
        "refcount",
        "warning",
        "bug-on",
        "null-deref",
        "paging-fault",
        "gpf",
    ];
    fact.text("class").is_some_and(|class| CLASSES.contains(&class))
}

/// May the report come of damaged memory?
fn meets_damage(fact: &Fact) -> bool {
    !matches!(fact.text("class"), Some("divide-error" | "usercopy" | "atomic-sleep" | "preempt-check" | "lockdep"))
}

fn same_task(early: &Fact, late: &Fact) -> bool {
    match (early.int("pid"), late.int("pid")) {
        (Some(a), Some(b)) if a != b => false,
        // The idle task and the first process do everything: what they run must be the same.
        (Some(a), Some(_)) => a > 1 || share_code(early, late),
        _ => early.int("cpu").is_some() && early.int("cpu") == late.int("cpu") && share_code(early, late),
    }
}

/// Do both speak of one module, or come from one caller that is no part of the kernel's entry?
fn share_code(early: &Fact, late: &Fact) -> bool {
    if early.text("module").is_some_and(|module| late.text("module") == Some(module)) {
        return true;
    }
    let way = |fact: &Fact| path::main_stack(fact).map(path::hops).unwrap_or_default();
    let helper = |h: &path::Hop| {
        h.groups.hands_over() || h.helps(functions::Helper::Dispatch) || h.helps(functions::Helper::Reporting)
    };
    let theirs = way(early);
    way(late).iter().take(12).any(|h| !helper(h) && theirs.iter().take(12).any(|t| t.function == h.function))
}

/// Does an event speak of the drive, the port or the path that a later one needs? Of two block devices the mapped one
/// stands above.
fn is_below(early: &Fact, late: &Fact) -> bool {
    let mapped = |fact: &Fact| fact.text("device").is_some_and(|d| d.starts_with("dm-") || d.starts_with("md"));
    match &*early.kind {
        "log.ata_error" | "log.nvme_error" | "log.host_adapter" => is_dead_disk(early),
        "log.paravirtual" => is_virtual_adapter(early),
        "log.scsi_error" | "log.block_io_error" => is_dead_disk(early) && mapped(late) && !mapped(early),
        _ => false,
    }
}

/// Did the report come about in a panic?
fn calls_panic(fact: &Fact) -> bool {
    let way = path::main_stack(fact).map(path::hops).unwrap_or_default();
    way.iter().skip(1).any(|h| matches!(h.function.as_str(), "panic" | "vpanic" | "nmi_panic" | "crash_kexec"))
}

/// Does the kernel or the task end with it, or is memory that is not its own used?
fn is_crash(fact: &Fact) -> bool {
    matches!(&*fact.kind, "log.oops" | "log.kasan" | "log.kfence")
}

/// Drivers of disks speak: the device below a file system does not answer or is gone.
pub(super) fn is_dead_disk(early: &Fact) -> bool {
    match &*early.kind {
        "log.nvme_error" => !matches!(early.text("what"), Some("command-error" | "ok")),
        "log.ata_error" | "log.raid_error" | "log.host_adapter" => early.text("severity") != Some("notice"),
        "log.scsi_error" | "log.block_io_error" => early.text("severity") != Some("notice"),
        "log.usb_host_error" => early.text("severity") != Some("notice"),
        _ => false,
    }
}

/// Did the kernel give the device up for good?
fn is_given_up(early: &Fact) -> bool {
    matches!(early.text("what"), Some("disabled" | "removed" | "failed" | "no-path" | "dead"))
}

/// Does a report speak of a module, or are the innermost functions of its trace of it?
fn is_of_module(fact: &Fact, module: &str) -> bool {
    if let Some(named) = fact.text("module") {
        return named == module;
    }
    let way = path::main_stack(fact).map(path::hops).unwrap_or_default();
    way.iter().take(8).any(|h| h.module.as_deref() == Some(module))
}

/// The module whose thread a task is, by its name.
fn module_of_thread(comm: &str) -> Option<&'static str> {
    const THREADS: &[(&str, &str)] = &[
        ("txg_sync", "zfs"),
        ("txg_quiesce", "zfs"),
        ("z_", "zfs"),
        ("jbd2/", "jbd2"),
        ("xfsaild/", "xfs"),
        ("btrfs-", "btrfs"),
    ];
    THREADS.iter().find(|(head, _)| comm.starts_with(head)).map(|(_, module)| *module)
}

fn is_dead_server(early: &Fact) -> bool {
    early.kind == "log.network_filesystem" && early.text("what") == Some("not-responding")
        || matches!(early.text("filesystem"), Some("nfs" | "cifs" | "ceph" | "lustre"))
            && matches!(early.text("what"), Some("not-responding" | "evicted" | "hung" | "io-error"))
}

const NETWORK_WAITS: &[&str] =
    &["nfs*", "rpc_*", "sunrpc", "cifs*", "smb2_*", "ceph*", "libceph", "lustre", "ptlrpc*", "osc_*", "fuse*"];

const DISK_WAITS: &[&str] = &[
    "io_schedule*",
    "bit_wait_io*",
    "submit_bio_wait*",
    "blk_*",
    "blkdev_*",
    "wait_on_page*",
    "folio_wait*",
    "wait_on_buffer*",
    "sync_buffer",
    "jbd2*",
    "ext4*",
    "ext3*",
    "xfs*",
    "xlog_*",
    "btrfs*",
    "f2fs*",
    "md_*",
    "raid*",
    "dm_*",
    "nvme*",
    "scsi_*",
    "zio_*",
    "zfs",
    "mmc_*",
];

/// Modules that a wireless driver's reports may be made in.
const WIRELESS: &[&str] = &["mac80211", "cfg80211", "iwlmvm", "iwlwifi", "iwldvm"];

/// Did the device of the module fail that the later report speaks of?
fn is_same_device(early: &Fact, late: &Fact) -> bool {
    let dead = match &*early.kind {
        "log.device_firmware" => true,
        "log.net_watchdog" => matches!(early.text("what"), Some("lost" | "unit-hang")),
        "log.nvme_error" => !matches!(early.text("what"), Some("command-error" | "ok")),
        "log.gpu_error" | "log.host_adapter" => early.text("severity") != Some("notice"),
        _ => false,
    };
    let Some(driver) = early.text("driver").or((early.kind == "log.nvme_error").then_some("nvme")) else {
        return false;
    };
    if !dead || driver.len() < 2 {
        return false;
    }
    let driver = driver.replace('-', "_");
    let of = |module: &str| {
        let module = module.replace('-', "_");
        module == driver
            || module.strip_prefix(driver.as_str()).is_some_and(|rest| rest.starts_with('_'))
            || driver.strip_prefix(module.as_str()).is_some_and(|rest| rest.starts_with('_'))
            || (early.kind == "log.device_firmware"
                && WIRELESS.contains(&module.as_str())
                && functions::any(&["iwl*", "ath*", "mt7*", "rtw*", "brcm*"], &driver))
    };
    let stack = || path::main_stack(late).map(path::hops).unwrap_or_default();
    late.text("module").is_some_and(of) || stack().iter().take(6).any(|h| h.module.as_deref().is_some_and(of))
}

#[cfg(test)]
mod tests;
