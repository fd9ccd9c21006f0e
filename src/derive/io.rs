//! Tasks that are proved to wait for the I/O of one device, and what that device does: has it requests, is its queue frozen.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use facts::{Fact, Origin, Value};

use super::chain::{MAX_NAMED, Task, named};

/// A disk that is alive answers before that.
const LATE_S: i64 = 5;

/// Under what name a device stands whose I/O tasks wait for.
pub(super) fn io(device: &str) -> String {
    format!("io {device}")
}

/// Under what name a queue stands that nobody enters.
pub(super) fn frozen(device: &str) -> String {
    format!("frozen queue of {device}")
}

/// The device that has the requests of each one that is made of others: the one at the end of the chain below it, unless
/// it is suspended itself and passes nothing on.
pub(super) fn lowest<'a>(facts: &'a [Fact], member: &str) -> HashMap<&'a str, &'a str> {
    let disks = facts.iter().filter(|f| f.kind == "mem.block_device" && f.origin.member == member);
    let passes = disks.filter(|f| f.get("suspended").is_none());
    passes.filter_map(|f| Some((f.text("device")?, f.text("bottom").filter(|names| !names.contains(", "))?))).collect()
}

/// What a wait for I/O is for, in words, and under what name it is shared.
pub(super) fn wait(fact: &Fact, lowest: &HashMap<&str, &str>) -> Option<(String, String)> {
    let device = fact.text("device")?;
    let disk = fact.text("disk").unwrap_or(device);
    let operation = fact.text("operation");
    let what = match fact.text("io")? {
        "frozen" => return Some((format!("the frozen queue of {device} to be thawed"), frozen(disk))),
        "freeze" => format!("the requests of {device} to end, to freeze its queue"),
        "tag" => format!("a tag for a request to {device}"),
        "throttle" => format!("leave to write to {device}"),
        "writeback" => format!("what is dirty to be written to {device}"),
        "log" => format!("the log to be written to {device}"),
        by @ ("page" | "buffer") => match operation {
            Some("write") => format!("a {by} of {device} to be written"),
            Some("read") => format!("a {by} of {device} to be read"),
            _ => format!("a {by} of {device}"),
        },
        _ => format!("{} on {device} to end", operation.map_or("I/O".to_owned(), |operation| format!("a {operation}"))),
    };
    Some((what, io(lowest.get(disk).copied().unwrap_or(disk))))
}

/// `derived.io_hang` for each device that has had a request for long while tasks wait for it, or whose queue is frozen
/// while tasks wait to enter it. `roots` are the ends of the ways from each task.
pub(super) fn hangs(
    facts: &[Fact],
    member: &str,
    tasks: &BTreeMap<i64, Task>,
    groups: &HashMap<String, Vec<i64>>,
    roots: &BTreeMap<i64, (i64, bool)>,
) -> Vec<Fact> {
    let disks = facts.iter().filter(|f| f.kind == "mem.block_device" && f.origin.member == member);
    disks
        .filter_map(|disk| {
            let device = disk.text("device")?;
            let oldest = disk.int("oldest_s").filter(|age| *age >= LATE_S);
            let entering =
                groups.get(&frozen(device)).filter(|_| disk.get("queue_frozen").and_then(Value::as_bool) == Some(true));
            let waiting = groups.get(&io(device)).filter(|_| oldest.is_some());
            let proved = |pid: &&i64| {
                tasks.get(pid).is_some_and(|t| {
                    t.wait.as_ref().is_some_and(|w| facts.get(w.at).is_some_and(|f| f.text("io").is_some()))
                })
            };
            let first: Vec<i64> = [waiting, entering].into_iter().flatten().flatten().filter(proved).copied().collect();
            if first.is_empty() {
                return None;
            }
            let mut all: BTreeSet<i64> = first.iter().copied().collect();
            all.extend(roots.iter().filter(|(_, (root, _))| first.contains(root)).map(|(pid, _)| *pid));
            let waits = || first.iter().filter_map(|pid| facts.get(tasks.get(pid)?.wait.as_ref()?.at));
            let mut through: Vec<&str> =
                waits().filter_map(|f| f.text("disk")).filter(|disk| *disk != device).collect();
            through.sort_unstable();
            through.dedup();
            let longest = all.iter().filter_map(|pid| tasks.get(pid)?.seconds).max();
            // Late only if somebody has waited as long: the tasks may have come to a device that is slow.
            if longest.is_none_or(|seconds| seconds < LATE_S) {
                return None;
            }
            let of = |io: &'static str| {
                let of_disk = move |f: &&Fact| f.text("io") == Some(io) && f.text("disk") == Some(device);
                facts.iter().filter(|f| f.kind == "mem.wait" && f.origin.member == member).filter(of_disk)
            };
            let freezer = of("freeze").next().and_then(|f| Some((f.text("comm")?.to_owned(), f.int("pid")?)));
            let who: Vec<i64> = all.iter().copied().take(MAX_NAMED).collect();
            let count = |n: usize| if n == 1 { "1 task waits".to_owned() } else { format!("{n} tasks wait") };
            let driver = disk.text("driver").map(|driver| format!(" ({driver})")).unwrap_or_default();
            let title = match oldest {
                Some(seconds) => {
                    let over =
                        if through.is_empty() { String::new() } else { format!(", through {}", through.join(", ")) };
                    format!("{device}{driver} has had a request for {seconds} s; {} for it{over}", count(all.len()))
                }
                None => format!("the queue of {device}{driver} is frozen; {} to enter it", count(all.len())),
            };
            let evidence = waits().take(3).map(|f| f.quote.as_str()).collect::<Vec<_>>().join("; ");
            Some(
                Fact::new(
                    "derived.io_hang",
                    Origin::derived(member, format!("what tasks wait for, and what {device} has")),
                )
                .with("device", device)
                .with_opt("driver", disk.text("driver"))
                .with_opt("oldest_s", oldest)
                .with_opt("in_flight", disk.int("in_flight"))
                .with("tasks", all.len())
                .with("pids", all.iter().map(|pid| Value::from(*pid)).collect::<Vec<_>>())
                .with("who", named(&who, tasks))
                .with_opt("longest_s", longest)
                .with("entering", of("frozen").count())
                .with_opt("freezer", freezer.as_ref().map(|(comm, _)| comm.as_str()))
                .with_opt("freezer_pid", freezer.as_ref().map(|(_, pid)| *pid))
                .with_opt("through", (!through.is_empty()).then(|| through.join(", ")))
                .with("title", title)
                .quoting(evidence),
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::chain::chains;
    use facts::{Fact, Origin};

    fn at(kind: &'static str) -> Fact {
        Fact::new(kind, Origin::memory("dump", 0, "struct x"))
    }

    fn task(pid: i64, comm: &str, blocked: i64) -> [Fact; 1] {
        [at("mem.task").with("pid", pid).with("comm", comm).with("state", "D").with("blocked_s", blocked)]
    }

    fn waits(pid: i64, device: &str, io: &str) -> Fact {
        let fact = at("mem.wait").with("pid", pid).with("comm", "dd").with("kind", "completion");
        fact.with("device", device).with("disk", device).with("io", io)
    }

    fn disk(name: &str, oldest: Option<i64>) -> Fact {
        let fact = at("mem.block_device").with("device", name).with("driver", "virtio_blk").with("queue_frozen", false);
        fact.with_opt("oldest_s", oldest)
    }

    fn found(facts: &[Fact]) -> Vec<Fact> {
        chains(facts).into_iter().filter(|f| f.kind == "derived.io_hang").collect()
    }

    #[test]
    fn the_lowest_device_is_the_root_for_all_who_wait_above_it() {
        let above = disk("dm-1", None).with("below", "dm-0").with("bottom", "vda");
        let wants = at("mem.lock_wait").with("pid", 3).with("kind", "mutex").with("symbol", "m");
        let wants = wants.with("owner_pid", 2).with("owner_certain", true);
        let tasks = [task(1, "cat", 9), task(2, "dd", 9), task(3, "ls", 8)].concat();
        let mut facts = tasks;
        facts.extend([waits(1, "dm-1", "page"), waits(2, "vda", "bio"), wants, above, disk("vda", Some(9))]);
        let hangs = found(&facts);
        assert_eq!(
            hangs.iter().filter_map(|f| f.text("title")).collect::<Vec<_>>(),
            ["vda (virtio_blk) has had a request for 9 s; 3 tasks wait for it, through dm-1"]
        );
    }

    #[test]
    fn a_young_request_or_a_task_that_just_came_is_no_hang() {
        let of =
            |age, blocked| [&task(1, "dd", blocked)[..], &[waits(1, "vda", "bio"), disk("vda", Some(age))]].concat();
        assert_eq!(found(&of(4, 9)).len(), 0);
        assert_eq!(found(&of(9, 2)).len(), 0);
        assert_eq!(found(&of(9, 9)).len(), 1);
        // A page of a file system that no device is known of proves nothing.
        let page = at("mem.wait").with("pid", 1).with("kind", "page").with("filesystem", "vda");
        assert!(found(&[&task(1, "dd", 9)[..], &[page, disk("vda", Some(9))]].concat()).is_empty());
    }

    #[test]
    fn a_frozen_queue_is_told_with_who_freezes_it_or_without() {
        let frozen = |oldest| disk("nbd0", oldest).with("queue_frozen", true);
        let mut facts = [&task(1, "dd", 9)[..], &[waits(1, "nbd0", "frozen"), frozen(None)]].concat();
        let hangs = found(&facts);
        assert_eq!((hangs.len(), hangs[0].int("entering"), hangs[0].text("freezer")), (1, Some(1), None));
        facts.extend(task(2, "sh", 9));
        facts.push(waits(2, "nbd0", "freeze").with("comm", "sh"));
        assert_eq!(found(&facts)[0].text("freezer"), Some("sh"));
    }
}
