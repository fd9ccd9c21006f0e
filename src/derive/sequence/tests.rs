use facts::{Origin, Stamp};

use super::*;

fn event(kind: &'static str, class: &str, seconds: i64, line: u64) -> Fact {
    let severity = match kind {
        "log.panic" => "panic",
        "log.nvme_error" | "log.device_firmware" => "failure",
        _ => "report",
    };
    let mut fact = Fact::new(kind, Origin::lines("dmesg", line, line))
        .with("class", class)
        .with("severity", severity)
        .with("title", class);
    fact.time = Some(Stamp::since_boot(seconds * SECOND));
    fact
}

fn told(facts: &[Fact]) -> Vec<(usize, usize)> {
    follows(facts, &BTreeMap::new(), &BTreeSet::new()).into_iter().map(|f| (f.event, f.of)).collect()
}

#[test]
fn a_panic_ends_the_nearest_report_that_can_raise_it() {
    let refcount = event("log.warning", "refcount", 1, 10).with("pid", 1).with("cpu", 0);
    let oops = |cpu: i64, line| {
        event("log.oops", "null-deref", 9000, line).with("cpu", cpu).with("function", format!("f{cpu}"))
    };
    let panic = |reason: &str| event("log.panic", "kernel-panic", 9001, 90).with("reason", reason).with("cpu", 2);
    let fatal = panic("Fatal exception in interrupt");
    assert_eq!(told(&[refcount.clone(), oops(2, 50), oops(3, 60), fatal.clone()]), [(3, 1)]);
    assert!(told(&[refcount.clone(), fatal]).is_empty());
    assert!(told(&[refcount.clone(), panic("panic_on_warn set ...")]).is_empty(), "too long ago");
    let warning = event("log.warning", "warning", 9000, 70);
    assert_eq!(told(&[refcount, warning, panic("kernel: panic_on_warn set ...")]), [(2, 1)]);
    let init = oops(0, 50).with("pid", 1);
    let other = oops(1, 60).with("pid", 77);
    assert_eq!(told(&[init, other.clone(), panic("Attempted to kill init! exitcode=0x0000000b")]), [(2, 0)]);
    assert!(told(&[other, panic("Attempted to kill init! exitcode=0x00000100")]).is_empty());
    let asleep = |pid: i64| event("log.atomic_sleep", "atomic-sleep", 9000, 60).with("pid", pid);
    assert_eq!(told(&[asleep(1), panic("Attempted to kill init! exitcode=0x0000000b")]), [(1, 0)]);
    assert!(told(&[asleep(77), panic("Attempted to kill init! exitcode=0x0000000b")]).is_empty());
}

#[test]
fn a_task_without_a_trace_waits_for_what_the_one_beside_it_waits_for() {
    let abort = event("log.host_adapter", "io-error", 100, 10).with("what", "abort").with("driver", "sd 0:0:0:0");
    let hung = |comm: &str, seconds: i64, line: u64| {
        event("log.hung_task", "hung-task", seconds, line).with("comm", comm).with("pid", line).with("seconds", 120)
    };
    let mut journal = hung("jbd2/sda3-8", 103, 20);
    let mut stack = facts::Stack::printed("call trace");
    stack.frames.push(facts::Frame::printed("jbd2_journal_commit_transaction"));
    journal.stacks.push(std::sync::Arc::new(stack));
    assert_eq!(told(&[abort.clone(), journal.clone(), hung("systemd-journal", 103, 40)]), [(1, 0), (2, 0)]);
    assert_eq!(told(&[abort, journal, hung("systemd-journal", 223, 40)]), [(1, 0)]);
}

#[test]
fn a_controller_that_does_not_wake_up_is_dead_for_that() {
    let dead = event("log.usb_host_error", "io-error", 338, 3).with("what", "dead").with("device", "0000:08:00.0");
    let resume = |device: &str| event("log.power", "firmware", 338, 5).with("what", "resume").with("device", device);
    assert_eq!(told(&[dead.clone(), resume("0000:08:00.0")]), [(0, 1)]);
    assert!(told(&[dead, resume("0000:09:00.0")]).is_empty());
}

#[test]
fn a_drive_that_cannot_read_explains_the_commands_that_were_aborted() {
    let abort = event("log.host_adapter", "io-error", 10, 10).with("what", "abort").with("driver", "sd 2:0:0:0");
    let medium = |target: &str| {
        event("log.scsi_error", "io-error", 11, 11).with("title", "scsi: Medium Error").with("target", target)
    };
    assert_eq!(told(&[abort.clone(), medium("2:0:0:0")]), [(0, 1)]);
    assert!(told(&[abort, medium("3:0:0:0")]).is_empty());
}

#[test]
fn logs_of_one_folder_on_one_clock_are_one() {
    let at = |member: &str, kind: &'static str, seconds: i64| {
        let mut fact = event(kind, "io-error", seconds, 2).with("device", "nvme0").with("what", "timeout");
        fact.origin.member = member.to_owned();
        fact.time = Some(Stamp { wall_ns: Some(seconds * SECOND), ..Stamp::default() });
        fact
    };
    let pair = |first: &str, second: &str| {
        let late = at(second, "log.block_io_error", 11).with("device", "nvme0n1");
        told(&[at(first, "log.nvme_error", 10), late]).len()
    };
    assert_eq!(pair("log/kern.log", "log/messages"), 1);
    assert_eq!(pair("a/kern.log", "b/kern.log"), 0);
}

#[test]
fn the_parts_of_a_rotated_log_are_one() {
    let told_of = |first: &str, second: &str, seconds| {
        let mut early = event("log.nvme_error", "io-error", 10, 900).with("what", "timeout").with("device", "nvme0");
        let mut late = event("log.block_io_error", "io-error", seconds, 2).with("device", "nvme0n1");
        early.origin.member = first.to_owned();
        late.origin.member = second.to_owned();
        if seconds == 0 {
            (early.time, late.time) = (None, None);
        }
        told(&[early, late]).len()
    };
    assert_eq!(told_of("messages.1", "messages", 11), 1);
    assert_eq!(told_of("messages-20231001", "messages", 11), 1);
    assert_eq!(told_of("messages", "messages.1", 11), 0, "the older part stands before");
    assert_eq!(told_of("kern.log.1", "messages", 11), 0);
    assert_eq!(told_of("messages.1", "messages", 0), 0, "lines of two files are no distance");
}

#[test]
fn a_function_of_which_two_tasks_report_is_no_link_by_itself() {
    let report = |kind, class: &str, pid: i64, line| event(kind, class, line, line as u64).with("pid", pid);
    let blamed = BTreeMap::from([(0, "go"), (1, "go")]);
    let linked = |early: Fact, late: Fact| !follows(&[early, late], &blamed, &BTreeSet::new()).is_empty();
    let refcount = |pid| report("log.warning", "refcount", pid, 10);
    assert!(!linked(refcount(228), report("log.oops", "divide-error", 230, 20)));
    assert!(!linked(report("log.oops", "divide-error", 230, 20), report("log.oops", "usercopy", 234, 30)));
    // A freed object is met by any task.
    assert!(linked(refcount(228), report("log.oops", "gpf", 230, 40)));
    assert!(linked(refcount(228), report("log.oops", "divide-error", 228, 40)));
}

#[test]
fn a_device_that_died_explains_what_its_driver_meets() {
    let dead = event("log.device_firmware", "firmware", 100, 10).with("driver", "iwlwifi");
    let warning = |module: &str, at| event("log.warning", "warning", at, 50).with("module", module);
    assert_eq!(told(&[dead.clone(), warning("mac80211", 101)]), [(1, 0)]);
    assert!(told(&[dead.clone(), warning("mac80211", 1000)]).is_empty());
    assert!(told(&[dead, warning("ext4", 101)]).is_empty());
}

#[test]
fn what_stands_above_a_drive_follows_from_its_port() {
    let at = |kind: &'static str, device: &str, line, seconds| {
        let name = if kind == "log.ata_error" { "port" } else { "device" };
        event(kind, "io-error", seconds, line).with(name, device).with("severity", "failure")
    };
    let facts = [
        at("log.ata_error", "ata3.00", 1, 5),
        at("log.scsi_error", "sda", 5, 5),
        at("log.block_io_error", "dm-0", 6, 5),
        at("log.ata_error", "ata4.00", 10, 90),
        at("log.block_io_error", "sdb", 14, 90),
    ];
    assert_eq!(told(&facts), [(1, 0), (2, 1), (4, 3)]);
}

#[test]
fn warnings_in_one_breath_follow_from_the_first() {
    let warning =
        |pid: i64, title: &str, line| event("log.warning", "warning", 5, line).with("pid", pid).with("title", title);
    let facts = [warning(77, "a", 10), warning(77, "b", 20), warning(78, "c", 30), warning(77, "d", 40)];
    assert_eq!(told(&facts), [(1, 0), (3, 0)]);
    // One that is repeated in between keeps its place.
    let facts = [warning(77, "a", 10), warning(77, "b", 20), warning(77, "b", 30), warning(77, "c", 40)];
    assert_eq!(told(&facts), [(1, 0), (3, 0)]);
}

#[test]
fn what_the_kernel_meets_while_it_panics_follows_from_the_panic() {
    let panic = |line| event("log.panic", "init-killed", 10, line).with("reason", "Attempted to kill init!");
    let warning = |line| event("log.warning", "warning", 10, line).with("function", "native_smp_send_reschedule");
    assert_eq!(told(&[panic(10), warning(20)]), [(1, 0)]);
    assert!(told(&[warning(5), panic(10)]).is_empty(), "what was printed before is no consequence");
    let next_boot = event("log.boot", "clean", 0, 15);
    assert!(told(&[panic(10), next_boot, warning(20)]).is_empty());
    let oops = |frames: &[&str]| {
        let mut fact = event("log.oops", "null-deref", 10, 20).with("function", "dump_it");
        let mut stack = facts::Stack::printed("call trace");
        stack.frames = frames.iter().map(|f| facts::Frame::printed(*f)).collect();
        fact.stacks.push(std::sync::Arc::new(stack));
        fact
    };
    assert_eq!(told(&[panic(10), oops(&["dump_it", "kmsg_dump", "panic"])]), [(1, 0)]);
    assert!(told(&[panic(10), oops(&["dump_it", "vfs_write"])]).is_empty(), "another processor's own");
}

#[test]
fn a_block_device_of_ceph_fails_with_a_server_that_is_not_back() {
    let said = |filesystem: &str, what: &str, device: &str, line: u64| {
        Fact::new("log.other_filesystem", Origin::lines("dmesg", line, line))
            .with("class", "io-error")
            .with("severity", if what == "io-error" { "failure" } else { "notice" })
            .with("filesystem", filesystem)
            .with("what", what)
            .with("device", device)
    };
    let linked = |facts: &[Fact]| {
        let found = follows(facts, &BTreeMap::new(), &BTreeSet::new());
        found.iter().any(|f| f.of == 0 && f.event == facts.len() - 1)
    };
    let (down, failed) = (said("ceph", "server-down", "osd3", 1), said("rbd", "io-error", "rbd0", 9));
    assert!(linked(&[down.clone(), failed.clone()]));
    assert!(!linked(&[down, said("ceph", "ok", "osd3", 5), failed]));
}
