//! Lines that look like crashes and are not: alone, in every carrier, they raise no report and no panic.

use klog::{Event, Severity};

const NEGATIVE: &[&str] = &[
    "ODEBUG: selftest passed",
    "Locking API testsuite:",
    "                     A-A deadlock:  ok  |  ok  |  ok  |  ok  |  ok  |",
    "Good, all 261 testcases passed! |",
    "Testing tracer function: PASSED",
    "KTAP version 1",
    "    # Subtest: kasan",
    "    ok 1 - kmalloc_oob_right",
    "TAP version 13",
    "kselftest: Running tests in x",
    "not ok 3 selftests: x",
    "lkdtm: Crash point INT_HARDWARE_ENTRY of type PANIC registered",
    "lkdtm: Performing direct entry PANIC",
    "FAULT_INJECTION: forcing a failure.",
    "name failslab, interval 1, probability 0, space 0, times 0",
    "rcu-torture: rtc: 00000000 ver: 1 tfle: 0 rta: 1",
    "--- End of test: SUCCESS: nreaders=15",
    "test_bpf: #0 TAX jited:1 12 PASS",
    "alg: self-tests for aes passed",
    "x86/mm: Checked W+X mappings: passed, no W+X pages found.",
    "Kernel command line: ro panic=30 oops=panic softlockup_panic=1 crashkernel=256M nmi_watchdog=panic",
    "Unknown kernel command line parameters \"BOOT_IMAGE=/x oops=panic\", will be passed to user space.",
    "kernel.panic_on_oops = 1",
    "kernel.hung_task_timeout_secs = 120",
    "vm.panic_on_oom = 0",
    "CONFIG_DETECT_HUNG_TASK=y",
    "  501  echo c > /proc/sysrq-trigger",
    "  502  grep BUG: /var/log/messages",
    "\"pattern\": \"BUG: unable to handle kernel NULL pointer dereference at .*\"",
    "- fix a general protection fault in the nfs client (bz 12345)",
    "We saw a general protection fault yesterday and a soft lockup, see BUG: report",
    "DEBUG: unable to handle kernel paging request",
    "Boot_DEBUG: x",
    "rmt_storage:INFO: task done",
    "INVALID BTF_INFO:3",
    "xlog_status: oops",
    "Oops, something went wrong",
    "process 'x' launched '/dev/fd/5' with NULL argv: empty string added",
    "NMI watchdog: Enabled. Permanently consumes one hw-PMU counter.",
    "NMI watchdog: enabled on all CPUs, permanently consumes one hw-PMU counter.",
    "NMI watchdog: Perf NMI watchdog permanently disabled",
    "NMI watchdog: disabled (cpu0): hardware events not enabled",
    "watchdog: Disabling watchdog on nohz_full cores by default",
    "watchdog: Delayed init of the lockup detector failed: -22",
    "rcu: Adjusting geometry for rcu_fanout_leaf=16, nr_cpu_ids=8",
    "rcu: RCU calculated value of scheduler-enlistment delay is 25 jiffies.",
    "Tasks-RCU CPU stall warnings timeout set to 600000 (rcu_task_stall_timeout).",
    "Lock dependency validator: Copyright (c) 2006 Red Hat, Inc., Ingo Molnar",
    "... MAX_LOCKDEP_SUBCLASSES:  8",
    "INFO: lockdep is turned off.",
    "kmemleak: Kernel memory leak detector initialized (mem pool available: 15000)",
    "kasan: KernelAddressSanitizer initialized (generic)",
    "kfence: initialized - using 2097152 bytes for 255 objects at 0xffff88803f800000-0xffff88803fa00000",
    "**   This means that this kernel is a debug kernel        **",
    "softdog: initialized. soft_noboot=0 soft_margin=60 sec soft_panic=0 (nowayout=0)",
    "hpwdt: HPE Watchdog Timer Driver: NMI decoding initialized",
    "Using hardware watchdog 'iTCO_wdt', version 0, device /dev/watchdog",
    "mce: CPU supports 7 MCE banks",
    "mce: Using 20 MCE banks",
    "ERST: Error Record Serialization Table (ERST) support is initialized.",
    "HEST: Table parsing has been initialized.",
    "BERT: Boot Error Record Table support is disabled.",
    "EDAC MC0: Giving out device to module sb_edac controller x: DEV 0000:3f:14.0 (INTERRUPT)",
    "pcieport 0000:00:1c.0: AER: enabled with IRQ 24",
    "pcieport 0000:00:1c.0: DPC: error containment capabilities: Int Msg #0, RPExt+",
    "pstore: Registered efi as persistent store backend",
    "pstore: Using crash dump compression: deflate",
    "ramoops: using 0x100000@0x3f000000, ecc: 0",
    "crashkernel reserved: 0x000000002b000000 - 0x0000000035000000 (160 MB)",
    "Reserving 161MB of memory at 704MB for crashkernel (System RAM: 16382MB)",
    "kdump: kexec: loaded kdump kernel",
    "Starting kdump: [OK]",
    "sysrq: Show State",
    "SysRq : Show Blocked State",
    "sysrq: HELP : loglevel(0-9) reboot(b) crash(c) terminate-all-tasks(e)",
    "sysrq: This sysrq operation is disabled.",
    "sysrq: Manual OOM execution",
    "reboot: Restarting system",
    "reboot: Power down",
    "kexec_core: Starting new kernel",
    "watchdog: watchdog0: watchdog did not stop!",
    "perf: interrupt took too long (2503 > 2500), lowering kernel.perf_event_max_sample_rate to 79750",
    "INFO: NMI handler (perf_event_nmi_handler) took too long to run: 1.234 msecs",
    "hrtimer: interrupt took 12345 ns",
    "INFO: Stall ended before state dump start",
    "\"echo 0 > /proc/sys/kernel/hung_task_timeout_secs\" disables this message.",
    "tsc: Marking TSC unstable due to check_tsc_sync_source failed",
    "clocksource: timekeeping watchdog on CPU3: wd-wd read-back delay of 123456ns",
    "sched: RT throttling activated",
    "NOHZ: local_softirq_pending 08",
    "TCP: request_sock_TCP: Possible SYN flooding on port 80. Sending cookies.  Check SNMP counters.",
    "workqueue: drain_local_pages_wq hogged CPU for >10000us 4 times, consider switching to WQ_UNBOUND",
    "random: crng init done",
    "OOM killer disabled.",
    "OOM killer enabled.",
    "PM: suspend entry (deep)",
    "kvm [1]: vcpu0, guest rIP: 0xfff unhandled rdmsr: 0x140",
    "nf_conntrack: default automatic helper assignment has been turned off for security reasons",
    "docker0: port 1(veth1) entered disabled state",
    "device veth1 left promiscuous mode",
    "cgroup: cgroup: disabling cgroup2 socket matching due to net_prio or net_cls activation",
    "memory.kmem.limit_in_bytes is deprecated and will be removed. Please report your usecase",
    "overlayfs: upperdir is in-use as upperdir/workdir of another mount",
    "overlayfs: fs on '/var/lib/x' does not support file handles, falling back to index=off.",
    "nvidia: loading out-of-tree module taints kernel.",
    "nvidia: module verification failed: signature and/or required key missing - tainting kernel",
    "WARNING: the mand mount option is being deprecated and will be removed in v5.15!",
    "nvme nvme0: Shutdown timeout set to 8 seconds",
    "RCU-based detection of stalled CPUs is disabled.",
];

type Wrap = fn(&str) -> String;

const CARRIERS: &[(&str, Wrap)] = &[
    ("bare", |l| l.to_owned()),
    ("console", |l| format!("[  123.456789] {l}")),
    ("console with caller", |l| format!("[  123.456789][ T1234] {l}")),
    ("vmcore-dmesg with caller", |l| format!("[  123.456789] [ T1234] {l}")),
    ("raw level", |l| format!("<4>[  123.456789] {l}")),
    ("dmesg -x", |l| format!("kern  :warn  : [  123.456789] {l}")),
    ("dmesg -T", |l| format!("[Sat Nov 21 10:15:55 2026] {l}")),
    ("dmesg -T in Chinese", |l| format!("[五 7月  3 00:00:50 2020] {l}")),
    ("dmesg iso", |l| format!("2026-11-21T10:15:55,167062+00:00 {l}")),
    ("dmesg -d", |l| format!("[  467.167731 <    0.000669>] {l}")),
    ("dmesg -e", |l| format!("[  +0.000669] {l}")),
    ("syslog", |l| format!("Jul  5 19:33:34 host kernel: {l}")),
    ("syslog with stamp", |l| format!("Nov 23 14:32:51 ci3 kernel: [387120.141130] {l}")),
    ("syslog without host", |l| format!("May 17 18:48:11 kernel: [ 6141.921740] {l}")),
    ("syslog glued", |l| format!("Mar 22 21:40:42 host kernel:{l}")),
    ("syslog iso", |l| format!("2023-08-26T06:39:24.123456+02:00 host kernel: [  123.456789] {l}")),
    ("syslog 5424", |l| format!("<4>1 2023-08-26T06:39:24.123456+02:00 host kernel - - - [123.456789] {l}")),
    ("syslog facility", |l| format!("2016-07-31 16:26:53 +0000 UTC kern.alert kernel: {l}")),
    ("broadcast", |l| format!("Message from syslogd@h at Mar 22 21:40:42 ...\n kernel:{l}")),
    ("journal monotonic", |l| format!("[    0.900002] node1 kernel: {l}")),
    ("journal full", |l| format!("Tue 2023-11-14 22:13:20 UTC node1 kernel: {l}")),
    ("journal unix", |l| format!("1700000000.002000 node1 kernel: {l}")),
    ("journal json", |l| format!("{{\"_TRANSPORT\":\"kernel\",\"MESSAGE\":\"{}\"}}", l.replace('"', "\\\""))),
    ("kmsg", |l| format!("4,416,1758426,-,caller=T1;{l}")),
    ("netconsole extended", |l| format!("6.12.0-foo,4,416,1758426,-;{l}")),
    ("docker", |l| format!("{{\"log\":\"[  123.456789] {}\\n\",\"stream\":\"stdout\"}}", l.replace('"', "\\\""))),
    ("cri", |l| format!("2023-11-14T22:13:20.002000000Z stdout F [  123.456789] {l}")),
    ("vmware", |l| format!("2023-12-04T10:49:30.103Z In(05) vcpu-5 - Guest: <4>[39261021.091603] {l}")),
    ("mail quote", |l| format!("> > [  123.456789] {l}")),
    ("carriage return", |l| format!("[  123.456789] {l}\r")),
    ("terminal colours", |l| format!("\u{1b}[0;31m[  123.456789] {l}\u{1b}[0m")),
    ("rsyslog escapes", |l| format!("Jul  5 19:33:34 host kernel: #033[31m{l}")),
    ("html", |l| {
        format!(
            "[  123.456789] {}",
            l.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;").replace('>', "&gt;")
        )
    }),
    ("login prompt", |l| format!("host login: [  819.300000] {l}")),
];

fn events(text: &str) -> Vec<Event> {
    klog::read("test", text.as_bytes()).boots.into_iter().flat_map(|b| b.events).collect()
}

#[test]
fn negative_shapes_raise_nothing_in_any_carrier() {
    for (carrier, wrap) in CARRIERS {
        for line in NEGATIVE {
            let text = format!("{}\n", wrap(line));
            for event in events(&text) {
                assert!(event.severity < Severity::Failure, "{carrier}: {line}: {} {}", event.family, event.title);
            }
        }
    }
}

#[test]
fn a_program_that_speaks_of_a_crash_raises_nothing() {
    for tag in ["sshd[123]", "ripd[1]", "bird", "python3[77]", "kernel[123]"] {
        for line in [
            "BUG: unable to handle kernel NULL pointer dereference at 0000000000000020",
            "RIP: 0010:x",
            "Kernel panic - not syncing: x",
        ] {
            for text in [format!("Jul  5 19:33:34 host {tag}: {line}\n"), format!("[  12.300000] {tag}: {line}\n")] {
                let events = events(&text);
                assert!(events.iter().all(|e| e.severity < Severity::Report), "{text}: {events:?}");
            }
        }
    }
}

#[test]
fn headers_are_recognised_in_every_carrier() {
    const POSITIVE: &[(&str, &str)] = &[
        ("BUG: unable to handle kernel NULL pointer dereference at 0000000000000020", "null-deref"),
        ("BUG: kernel NULL pointer dereference, address: 0000000000000010", "null-deref"),
        ("BUG: unable to handle page fault for address: ffffeb0400000000", "paging-fault"),
        ("general protection fault, probably for non-canonical address 0xdead000000000108: 0000 [#1] SMP", "gpf"),
        ("Oops: general protection fault, probably for non-canonical address 0xdead000000000108: 0000 [#1] SMP", "gpf"),
        ("kernel BUG at fs/ext4/inode.c:123!", "bug-on"),
        ("WARNING: CPU: 3 PID: 77 at net/core/dev.c:123 func+0x12/0x34 [mod]", "warning"),
        ("WARNING: net/core/dev.c:123 at func+0x12/0x34 [mod], CPU#3: comm/77", "warning"),
        ("NMI watchdog: BUG: soft lockup - CPU#1 stuck for 22s! [java:77]", "soft-lockup"),
        ("watchdog: BUG: soft lockup - CPU#1 stuck for 22s! [java:77]", "soft-lockup"),
        ("NMI watchdog: Watchdog detected hard LOCKUP on cpu 3", "hard-lockup"),
        ("rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:", "rcu-stall"),
        ("INFO: rcu_sched self-detected stall on CPU { 1}  (t=60000 jiffies g=123 c=122 q=0)", "rcu-stall"),
        ("INFO: task java:77 blocked for more than 120 seconds.", "hung-task"),
        ("unregister_netdevice: waiting for eth0 to become free. Usage count = 1", "unregister-netdevice"),
        ("SLUB: Unable to allocate memory on node -1 (gfp=0x80d0)", "slab-alloc-failure"),
        ("java: page allocation failure: order:4, mode:0x2040d0", "page-alloc-failure"),
        ("java invoked oom-killer: gfp_mask=0xd0, order=0, oom_score_adj=996", "oom"),
        ("Kernel panic - not syncing: sysrq triggered crash", "kernel-panic"),
        ("Unable to handle kernel NULL pointer dereference at virtual address 0000000000000020", "null-deref"),
        ("BUG: workqueue lockup - pool cpus=0 node=0 flags=0x0 nice=0 stuck for 43s!", "workqueue-lockup"),
    ];
    for (carrier, wrap) in CARRIERS {
        for (line, class) in POSITIVE {
            let events = events(&format!("{}\n", wrap(line)));
            assert_eq!(events.first().map(|e| e.class), Some(*class), "{carrier}: {line}: {events:?}");
        }
    }
}

#[test]
fn wide_text_is_read() {
    let text = "[  1.000000] Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)\r\n";
    let wide: Vec<u8> = [0xff, 0xfe].into_iter().chain(text.encode_utf16().flat_map(u16::to_le_bytes)).collect();
    let reading = klog::read("test", &wide);
    assert_eq!(reading.boots[0].events[0].class, "no-root");
}
