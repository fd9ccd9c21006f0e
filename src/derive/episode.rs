//! What one filesystem, one device, one shortage says in several reports: the first of them is the cause, what the
//! kernel makes of it is not.

use facts::{Fact, Value};

use super::functions::Helper;
use super::path::{self, Hop};
use super::sequence::{Near, SECOND, is_dead_disk, lines};
use super::work;

/// File systems meet a dead disk with the next write-back or journal commit.
const DISK: Near = Near { ns: 120 * SECOND, lines: 2000 };
/// From an error to what the filesystem does about it: it stops at once, and refuses the next mount.
const FILESYSTEM: Near = Near { ns: 60 * SECOND, lines: 600 };
/// A filesystem that has stopped stays so until it is unmounted; write-back tries for long.
const STOPPED: Near = Near { ns: 3600 * SECOND, lines: 4000 };
/// Two errors of one filesystem that are one.
const AT_ONCE: Near = Near { ns: 5 * SECOND, lines: 20 };
/// From a refused charge to the task that cannot go on.
const SHORTAGE: Near = Near { ns: 10 * SECOND, lines: 200 };
/// From a machine that was not run to the commands that ran out of time meanwhile.
const PAUSE: Near = Near { ns: 60 * SECOND, lines: 400 };
/// What one allocation says in two layers.
const ONE_CALL: Near = Near { ns: SECOND, lines: 60 };
/// A driver that is told of a timeout.
const TIMEOUT: Near = Near { ns: 30 * SECOND, lines: 1000 };

type Cause = Option<(usize, &'static str)>;
/// The same, and says why.
type Named<'a> = dyn Fn(&dyn Fn(&Fact) -> bool, &'static str) -> Cause + 'a;
/// Finds the nearest earlier event that fits.
type Nearest<'a> = &'a dyn Fn(&dyn Fn(&Fact) -> bool) -> Option<usize>;

/// The earlier event that a later one only tells more of.
pub(super) fn cause(late: &Fact, nearest: Nearest<'_>) -> Cause {
    let of = |fits: &dyn Fn(&Fact) -> bool, why| nearest(fits).map(|at| (at, why));
    if late.kind == "log.clocksource" {
        // All processors stand in the handler of a machine check, and a stalled one reads no clock.
        let stood = |early: &Fact| {
            early.text("class").is_some_and(|class| {
                class.starts_with("hardware-") || matches!(class, "soft-lockup" | "hard-lockup" | "rcu-stall")
            }) && !early.kind.ends_with("clocksource")
                && ONE_CALL.holds(early, late)
        };
        return of(&stood, "the processor that reads the clock had stood still");
    }
    let virtual_disk = matches!(
        &*late.kind,
        "log.scsi_error"
            | "log.block_io_error"
            | "log.ata_error"
            | "log.nvme_error"
            | "log.host_adapter"
            | "log.paravirtual"
    );
    if virtual_disk {
        let paused = |early: &Fact| work::is_idle(early) && PAUSE.holds(early, late);
        if let Some(found) =
            of(&paused, "the host had not run this machine, and its commands ran out of time meanwhile")
        {
            return Some(found);
        }
    }
    if matches!(late.text("class"), Some("resource-exhaustion"))
        && (late.text("what") == Some("no-memory") || late.int("errno") == Some(12))
    {
        let refused = |early: &Fact| is_refused_charge(early) && SHORTAGE.holds(early, late);
        if let Some(found) = of(&refused, "memory had been refused right before") {
            return Some(found);
        }
    }
    if late.kind == "log.bad_page" {
        let page = |early: &Fact| {
            early.kind == late.kind
                && late.int("pfn").is_some()
                && early.int("pfn") == late.int("pfn")
                && SHORTAGE.holds(early, late)
        };
        if let Some(found) = of(&page, "the same page was bad before: it has been given back while it was in use") {
            return Some(found);
        }
    }
    if step(late).is_some() {
        let disk = |early: &Fact| is_dead_disk(early) && below(early, late) && DISK.holds(early, late);
        if let Some(found) = of(&disk, "the disk below the file system failed before") {
            return Some(found);
        }
        let stop = |early: &Fact| is_same_filesystem(early, late) && leads_to(early, late);
        if let Some(found) = of(&stop, "the filesystem had met an error before, and this is what it does about it") {
            return Some(found);
        }
        let refused = |early: &Fact| {
            is_refused(late) && is_same_filesystem(early, late) && is_stopped(early) && STOPPED.holds(early, late)
        };
        return of(&refused, AFTER_STOP);
    }
    // File systems on iomap say it of the device: `dm-0: writeback error on inode 89598`.
    if late.kind == "log.block_io_error" && late.text("what") == Some("writeback") {
        let refused = |early: &Fact| {
            is_stopped(early) && early.text("device") == late.text("device") && STOPPED.holds(early, late)
        };
        if let Some(found) = of(&refused, AFTER_STOP) {
            return Some(found);
        }
    }
    if late.kind == "log.oom" && late.int("gfp") == Some(0) {
        // pagefault_out_of_memory(): nobody asked for a page, the fault's handler was refused one.
        let refused = |early: &Fact| is_refused_charge(early) && SHORTAGE.holds(early, late);
        return of(&refused, "a page fault that could not be served, because memory had been refused before");
    }
    if late.kind == "log.page_alloc_failure" && late.quote.contains("ACCOUNT") {
        let full = |early: &Fact| early.kind == "log.memcg_oom" && SHORTAGE.holds(early, late);
        return of(&full, "the allocation is charged to a memory cgroup, and one had reached its limit before");
    }
    if late.kind == "log.slab_alloc_failure" {
        let pages = |early: &Fact| early.kind == "log.page_alloc_failure" && ONE_CALL.holds(early, late);
        return of(&pages, "the pages for it had been refused in the same call");
    }
    if late.kind == "log.mce" && matches!(late.text("what"), Some("killed" | "memory-failure")) {
        let poison = |early: &Fact| {
            matches!(&*early.kind, "log.mce" | "log.edac" | "log.firmware_error_record")
                && !matches!(early.text("what"), Some("killed" | "memory-failure" | "logged"))
                && SHORTAGE.holds(early, late)
        };
        return of(&poison, "the hardware had reported the error before, and this is what the kernel does about it");
    }
    if late.text("function") == Some("umount_check") {
        let dentry = |early: &Fact| early.kind == "log.vfs_leftover" && AT_ONCE.holds(early, late);
        return of(&dentry, "the dentry in use is what the warning is about");
    }
    if matches!(
        late.text("class"),
        Some("bug-on" | "null-deref" | "paging-fault" | "gpf" | "out-of-bounds" | "warning")
    ) && let Some(function) = late.text("function")
    {
        // Code that checks what it reads from the disk less well than it should.
        let damaged = |early: &Fact| {
            early.text("class") == Some("fs-corruption")
                && early.text("filesystem").is_some_and(|name| {
                    late.text("module") == Some(name) || function.trim_start_matches('_').starts_with(name)
                })
                && AT_ONCE.holds(early, late)
        };
        if let Some(found) = of(&damaged, "the filesystem had met damaged data right before") {
            return Some(found);
        }
    }
    // The B-trees of device mapper's targets check what they read, also while a transaction is given up.
    const MAPPED: &[&str] = &["dm_persistent_data", "dm_thin_pool", "dm_cache", "dm_era", "dm_clone"];
    if late.text("module").is_some_and(|module| MAPPED.contains(&module)) {
        let given_up = |early: &Fact| {
            early.kind == "log.raid_error" && early.text("what") != Some("ok") && AT_ONCE.holds(early, late)
        };
        if let Some(found) = of(&given_up, "a mapped device had failed to use its metadata right before") {
            return Some(found);
        }
    }
    if late.kind == "log.net_watchdog" {
        let same = |early: &Fact| is_same_timeout(early, late) && TIMEOUT.holds(early, late);
        return of(&same, "the driver tells of the same timeout");
    }
    if late.kind == "log.slab_alloc_failure" {
        let same = |early: &Fact| early.kind == "log.page_alloc_failure" && AT_ONCE.holds(early, late);
        return of(&same, "the slab allocator asked for the pages that were refused");
    }
    if matches!(late.text("class"), Some("soft-lockup" | "hard-lockup" | "rcu-stall")) {
        if let Some(found) = stuck_before(late, &of) {
            return Some(found);
        }
        // The driver waits for an answer that does not come, with the CPU to itself.
        const GPU: Near = Near { ns: 300 * SECOND, lines: 4000 };
        let modules = path::main_stack(late).map(path::hops).unwrap_or_default().into_iter().filter_map(|h| h.module);
        let nvidia = late.text("module").map(str::to_owned).into_iter().chain(modules).any(|m| m.starts_with("nvidia"));
        let silent = |early: &Fact| {
            early.kind == "log.gpu_error"
                && early.text("driver") == Some("nvidia")
                && early.text("severity") == Some("failure")
                && GPU.holds(early, late)
        };
        if nvidia && let Some(found) = of(&silent, "the graphics processor had stopped answering its driver before") {
            return Some(found);
        }
        const ENDLESS: Near = Near { ns: 300 * SECOND, lines: 2000 };
        let endless = |early: &Fact| {
            early.text("class") == Some("list-corruption")
                && early.int("pid").is_some()
                && early.int("pid") == late.int("pid")
                && ENDLESS.holds(early, late)
        };
        return of(&endless, "the task met a corrupted list before, which may have no end");
    }
    None
}

/// How far an event of a filesystem is from what happened to it: 0 is an error it met, then what it does about it.
fn step(fact: &Fact) -> Option<u8> {
    fact.text("filesystem")?;
    if !matches!(fact.text("class"), Some("io-error" | "fs-corruption" | "fs-shutdown" | "resource-exhaustion")) {
        return None;
    }
    match fact.text("what")? {
        "not-responding" | "evicted" | "state-recovery" | "hung" | "ok" => None,
        "abort" => Some(1),
        "shutdown" | "read-only" => Some(2),
        "mount" => Some(3),
        _ => Some(0),
    }
}

const AFTER_STOP: &str = "the filesystem had stopped before, and refuses what was still to be written";

/// Did the filesystem stop, so that it writes nothing any more?
fn is_stopped(fact: &Fact) -> bool {
    matches!(step(fact), Some(1 | 2))
}

/// Is it a write that fails? No damage is found by one.
fn is_refused(fact: &Fact) -> bool {
    step(fact) == Some(0) && fact.text("class") == Some("io-error") && matches!(fact.int("errno"), None | Some(5 | 30))
}

fn leads_to(early: &Fact, late: &Fact) -> bool {
    match (step(early), step(late)) {
        (Some(early_step), Some(late_step)) if early_step < late_step => FILESYSTEM.holds(early, late),
        (Some(0), Some(0)) => early.text("class") != late.text("class") && AT_ONCE.holds(early, late),
        // An abort that is reported by the code and by the filesystem.
        (Some(1), Some(1)) => AT_ONCE.holds(early, late),
        _ => false,
    }
}

/// Do both speak of one filesystem? Some messages do not say which.
fn is_same_filesystem(early: &Fact, late: &Fact) -> bool {
    let group = |fact: &Fact| match fact.text("filesystem") {
        Some("jbd2" | "ext2" | "ext3" | "ext4" | "ldiskfs") => Some("ext".to_owned()),
        name => name.map(str::to_owned),
    };
    // The journal of sda1 is sda1-8.
    let device = |fact: &Fact| {
        let name = fact.text("device").filter(|d| !d.is_empty())?;
        let journal = name.rsplit_once('-').filter(|(head, n)| !head.is_empty() && *n == "8" && *head != "dm");
        Some(journal.map_or(name, |(head, _)| head).to_owned())
    };
    let same = match (device(early), device(late)) {
        (Some(a), Some(b)) => a == b,
        _ => AT_ONCE.holds(early, late),
    };
    same && group(early) == group(late)
}

/// Names of whole disks: letters end them, or a namespace.
fn disk_of(device: &str) -> Option<&str> {
    const LETTERS: &[&str] = &["sd", "vd", "xvd", "hd"];
    if let Some(head) = LETTERS.iter().find(|head| device.starts_with(*head)) {
        let letters = device[head.len()..].bytes().take_while(u8::is_ascii_lowercase).count();
        return device.get(..head.len() + letters).filter(|_| letters > 0);
    }
    if device.starts_with("nvme") || device.starts_with("mmcblk") {
        return device.split('p').next();
    }
    None
}

/// May the device that failed lie below the filesystem? Where both are disks, they must be the same; mapped devices
/// and ports do not tell.
fn below(disk: &Fact, filesystem: &Fact) -> bool {
    let name = |fact: &Fact| fact.text("device").and_then(disk_of).map(str::to_owned);
    let same = match (name(disk), name(filesystem)) {
        // A controller is named without its namespace.
        (Some(a), Some(b)) => a == b || a.starts_with("nvme") && b.starts_with(a.as_str()),
        _ => filesystem.text("class") != Some("fs-corruption"),
    };
    same && filesystem.text("class") != Some("resource-exhaustion")
}

fn is_so(fact: &Fact, name: &str) -> bool {
    fact.get(name).and_then(Value::as_bool) == Some(true)
}

fn is_refused_charge(early: &Fact) -> bool {
    matches!(&*early.kind, "log.memcg_oom" | "log.slab_alloc_failure" | "log.page_alloc_failure")
}

/// Do both speak of the transmit queue of one device?
fn is_same_timeout(early: &Fact, late: &Fact) -> bool {
    let same = |name: &str| early.text(name).is_some() && early.text(name) == late.text(name);
    let bus = |fact: &Fact| fact.text("device").is_some_and(|d| d.contains(':'));
    early.kind == "log.net_watchdog"
        && (same("device") || same("driver") && (bus(early) || bus(late)))
        && matches!(late.text("what"), Some("timeout" | "reset" | "unit-hang" | "lost-completions"))
        && matches!(early.text("what"), Some("timeout" | "unit-hang" | "lost-completions" | "memory-error"))
}

/// A CPU that is stuck is reported by several watchdogs, and again and again; others run into it.
fn stuck_before(late: &Fact, of: &Named<'_>) -> Cause {
    const STUCK: Near = Near { ns: 180 * SECOND, lines: 4000 };
    const MOMENT: Near = Near { ns: 3 * SECOND, lines: 300 };
    /// Seconds that no watchdog lets pass in its first word: the threshold is 20 by default, 60 at most.
    const LONG: i64 = 130;
    let lockup =
        |fact: &Fact| matches!(fact.text("class"), Some("soft-lockup" | "hard-lockup")) && fact.kind != "log.panic";
    let cpus = |fact: &Fact| -> Vec<i64> {
        let listed = fact.get("cpus").and_then(Value::as_list).unwrap_or_default();
        if fact.kind == "log.rcu_stall" && !listed.is_empty() {
            listed.iter().filter_map(Value::as_int).collect()
        } else {
            fact.int("cpu").into_iter().collect()
        }
    };
    let same = |early: &Fact| {
        let (a, b) = (cpus(early), cpus(late));
        (lockup(early) || early.kind == "log.rcu_stall")
            && (lockup(early) || lockup(late))
            && !b.is_empty()
            && b.iter().all(|cpu| a.contains(cpu))
            && (early.int("pid").is_none() || late.int("pid").is_none() || early.int("pid") == late.int("pid"))
            && STUCK.holds(early, late)
    };
    if let Some(found) = of(&same, "the same CPU, which a watchdog had reported before, is stuck still") {
        return Some(found);
    }
    let stood_still = |early: &Fact| {
        lockup(early)
            && lockup(late)
            && early.int("seconds").is_some_and(|s| s > 22 && late.int("seconds") == Some(s))
            && MOMENT.holds(early, late)
    };
    if let Some(found) = of(&stood_still, "several CPUs stood still for the same time: the whole machine did") {
        return Some(found);
    }
    // Idle CPUs without a tick, and a CPU that was stuck for more than any watchdog lets pass.
    let paused = |fact: &Fact| {
        fact.kind == "log.rcu_stall" && fact.int("ticks_max") == Some(0) && is_so(fact, "idle")
            || lockup(fact) && fact.int("seconds").is_some_and(|s| s >= LONG)
    };
    let pause = |early: &Fact| {
        paused(early)
            && paused(late)
            && (early.kind == "log.rcu_stall") != (late.kind == "log.rcu_stall")
            && MOMENT.holds(early, late)
    };
    if let Some(found) = of(&pause, "idle CPUs had no tick at the same time: the whole machine stood still") {
        return Some(found);
    }
    let way = |fact: &Fact| path::interrupted_way(fact, path::main_stack(fact));
    let busy_with = |fact: &Fact| -> Option<Hop> {
        way(fact)
            .into_iter()
            .find(|h| !h.helps_by_file(Helper::Locking) && !h.helps(Helper::Reporting) && !h.groups.hands_over())
    };
    let spins = way(late).first().is_some_and(|h| h.helps_by_file(Helper::Locking));
    let mine = busy_with(late).filter(|_| spins);
    let waiter = |early: &Fact| {
        lockup(early)
            && lockup(late)
            && STUCK.holds(early, late)
            && mine.as_ref().zip(busy_with(early)).is_some_and(|(mine, theirs)| {
                mine.function == theirs.function || mine.module.is_some() && mine.module == theirs.module
            })
    };
    if let Some(found) = of(&waiter, "it spins for a lock in the code in which another CPU was stuck before") {
        return Some(found);
    }
    // A task that died keeps the spinlocks it held: whoever comes to the module next spins for ever.
    const DIED: Near = Near { ns: 3600 * SECOND, lines: 20_000 };
    let module = busy_with(late).and_then(|hop| hop.module).filter(|_| spins);
    let died = |early: &Fact| {
        early.kind == "log.oops"
            && early.text("severity") == Some("report")
            && early.text("module").is_some_and(|m| module.as_deref() == Some(m))
            && DIED.holds(early, late)
    };
    if let Some(found) = of(&died, "a task had died in the module before, and may have held the lock") {
        return Some(found);
    }
    let names: Vec<String> =
        path::main_stack(late).map(path::hops).unwrap_or_default().into_iter().map(|h| h.function).collect();
    const DAMAGE: &[&str] =
        &["use-after-free", "out-of-bounds", "slab-corruption", "null-deref", "paging-fault", "gpf"];
    let damaged = |early: &Fact| {
        early.text("class").is_some_and(|class| DAMAGE.contains(&class))
            && early.text("severity") == Some("report")
            && early.text("function").is_some_and(|f| names.iter().any(|n| n == f))
            && STUCK.holds(early, late)
    };
    of(&damaged, "an earlier report named a function that this CPU is in")
}

/// Two reports of one stall: the CPU that stalls tells of itself, and another one tells of it in the same second.
pub(super) fn is_same_stall(a: &Fact, b: &Fact) -> bool {
    if a.kind != "log.rcu_stall" || b.kind != "log.rcu_stall" {
        return false;
    }
    match a.time.zip(b.time).and_then(|(a, b)| a.since(&b)) {
        Some(ns) => ns.abs() <= SECOND,
        None => lines(a).zip(lines(b)).is_some_and(|((a, a_end), (b, b_end))| a <= b_end + 3 && b <= a_end + 3),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use facts::{Origin, Stamp};

    use super::super::sequence::follows;
    use super::*;

    fn event(kind: &'static str, class: &str, seconds: i64, line: u64) -> Fact {
        let mut fact = Fact::new(kind, Origin::lines("dmesg", line, line))
            .with("class", class)
            .with("severity", "failure")
            .with("title", class);
        fact.time = Some(Stamp::since_boot(seconds * SECOND));
        fact
    }

    fn of_fs(name: &str, device: &str, class: &str, what: &str, seconds: i64) -> Fact {
        let line = u64::try_from(seconds).unwrap_or(1);
        let fact = event("log.x", class, seconds, line).with("filesystem", name).with("what", what);
        if device.is_empty() { fact } else { fact.with("device", device) }
    }

    fn told(facts: &[Fact]) -> Vec<(usize, usize)> {
        follows(facts, &BTreeMap::new(), &BTreeSet::new()).into_iter().map(|f| (f.event, f.of)).collect()
    }

    #[test]
    fn what_a_filesystem_does_follows_from_what_it_met() {
        let facts = [
            of_fs("btrfs", "sda2", "fs-corruption", "corruption", 10),
            of_fs("btrfs", "sda2", "io-error", "abort", 11),
            of_fs("btrfs", "sda2", "fs-shutdown", "read-only", 11),
            of_fs("xfs", "sda3", "fs-shutdown", "shutdown", 12),
            of_fs("btrfs", "", "io-error", "mount", 13),
        ];
        assert_eq!(told(&facts), [(1, 0), (2, 1), (4, 2)]);
        let facts = [
            of_fs("ext4", "sda1", "io-error", "io-error", 10),
            of_fs("jbd2", "sda1-8", "fs-shutdown", "abort", 11),
            of_fs("xfs", "sdb1", "fs-corruption", "corruption", 300),
        ];
        assert_eq!(told(&facts), [(1, 0)]);
    }

    #[test]
    fn a_filesystem_that_has_stopped_refuses_writes() {
        let stop = of_fs("xfs", "dm-11", "fs-shutdown", "shutdown", 10);
        let write = |device: &str, class: &str| of_fs("xfs", device, class, "io-error", 400);
        assert_eq!(told(&[stop.clone(), write("dm-11", "io-error")]), [(1, 0)]);
        assert!(told(&[stop.clone(), write("dm-12", "io-error")]).is_empty());
        assert!(told(&[stop.clone(), write("dm-11", "fs-corruption")]).is_empty());
        assert!(told(&[write("dm-11", "io-error")]).is_empty());
        let inode = event("log.block_io_error", "io-error", 60, 60).with("what", "writeback").with("device", "dm-11");
        assert_eq!(told(&[stop, inode]), [(1, 0)]);
    }

    #[test]
    fn a_disk_explains_the_filesystems_on_it() {
        let disk = event("log.block_io_error", "io-error", 10, 1).with("device", "sdb");
        let on = |device: &str| of_fs("xfs", device, "fs-shutdown", "shutdown", 20);
        assert_eq!(told(&[disk.clone(), on("sdb1")]), [(1, 0)]);
        assert_eq!(told(&[disk.clone(), on("dm-0")]), [(1, 0)]);
        assert!(told(&[disk.clone(), on("sdc1")]).is_empty());
        let damaged = |device: &str| of_fs("xfs", device, "fs-corruption", "corruption", 20);
        assert_eq!(told(&[disk.clone(), damaged("sdb1")]), [(1, 0)]);
        assert!(told(&[disk, damaged("dm-0")]).is_empty());
        assert_eq!((disk_of("nvme0n1p2"), disk_of("sdaa12"), disk_of("dm-0")), (Some("nvme0n1"), Some("sdaa"), None));
    }

    #[test]
    fn a_cpu_that_is_stuck_is_told_of_once() {
        let stuck = |kind: &'static str, class: &str, cpu: i64, seconds: i64| {
            event(kind, class, seconds, u64::try_from(seconds).unwrap_or(1)).with("cpu", cpu).with("severity", "report")
        };
        let stall = stuck("log.rcu_stall", "rcu-stall", 5, 2020).with("cpus", vec![5]);
        let facts = [
            stuck("log.soft_lockup", "soft-lockup", 5, 2000).with("pid", 900).with("seconds", 22).with("function", "f"),
            stall.clone(),
            stuck("log.soft_lockup", "soft-lockup", 5, 2028).with("pid", 900).with("seconds", 49),
        ];
        let found = told(&facts);
        assert!(found.contains(&(1, 0)) && found.iter().any(|(at, _)| *at == 2), "{found:?}");
        // Another CPU, in other code, is another matter.
        let other = stuck("log.soft_lockup", "soft-lockup", 2, 2028).with("pid", 7).with("seconds", 23);
        assert!(told(&[facts[0].clone(), other]).is_empty());
        // All at once, for equally long.
        let paused = |cpu: i64| {
            let function = format!("f{cpu}");
            stuck("log.soft_lockup", "soft-lockup", cpu, 300)
                .with("seconds", 67)
                .with("pid", cpu)
                .with("function", function)
        };
        assert_eq!(told(&[paused(0), paused(3)]), [(1, 0)]);
    }

    #[test]
    fn a_page_that_two_processes_meet_is_one_matter() {
        let bad = |pfn: i64, function: &str, seconds: i64| {
            event("log.bad_page", "bad-page", seconds, 1).with("pfn", pfn).with("function", function)
        };
        assert_eq!(told(&[bad(0xa82e, "unmap_page_range", 11), bad(0xa82e, "release_pages", 11)]), [(1, 0)]);
        assert!(told(&[bad(0xa82e, "unmap_page_range", 11), bad(0xa82f, "release_pages", 11)]).is_empty());
    }

    #[test]
    fn a_check_of_a_pools_tree_follows_from_its_metadata() {
        let pool = event("log.raid_error", "io-error", 31, 3).with("what", "pool").with("array", "253:5");
        let bug = |module: &str| {
            event("log.oops", "bug-on", 32, 6)
                .with("severity", "report")
                .with("function", "node_check")
                .with("module", module)
        };
        assert_eq!(told(&[pool.clone(), bug("dm_persistent_data")]), [(1, 0)]);
        assert!(told(&[pool, bug("xfs")]).is_empty());
    }

    #[test]
    fn a_driver_that_waits_for_its_gpu_holds_a_cpu() {
        let gpu = event("log.gpu_error", "io-error", 100, 10).with("driver", "nvidia").with("what", "not-responding");
        let stuck = |module: &str| {
            event("log.soft_lockup", "soft-lockup", 160, 50)
                .with("severity", "report")
                .with("cpu", 2)
                .with("module", module)
        };
        assert_eq!(told(&[gpu.clone(), stuck("nvidia")]), [(1, 0)]);
        assert!(told(&[gpu, stuck("xfs")]).is_empty());
    }

    #[test]
    fn a_page_fault_without_memory_follows_from_the_refused_charge() {
        let refused = event("log.slab_alloc_failure", "slab-alloc-failure", 10, 1);
        let oom = |gfp: i64| event("log.oom", "oom", 11, 9).with("gfp", gfp);
        assert_eq!(told(&[refused.clone(), oom(0)]), [(1, 0)]);
        assert!(told(&[refused, oom(0xcc0)]).is_empty());
    }

    #[test]
    fn the_watchdog_and_the_driver_tell_of_one_timeout() {
        let watchdog = event("log.net_watchdog", "net-watchdog", 10, 1)
            .with("function", "dev_watchdog")
            .with("what", "timeout")
            .with("device", "eth0")
            .with("driver", "bnxt_en");
        let driver = |device: &str| {
            event("log.net_watchdog", "net-watchdog", 11, 30).with("what", "timeout").with("device", device)
        };
        assert_eq!(told(&[watchdog.clone(), driver("eth0")]), [(1, 0)]);
        assert!(told(&[watchdog, driver("eth1")]).is_empty());
    }
}
