//! Lines that look like crashes and are not: alone, in every carrier, they raise no report and no panic.

use klog::{Event, Severity};

const NEGATIVE: &[&str] = &[
    "ODEBUG: selftest passed",
    // Cut by the kernel itself, which says so.
    "Modules linked in: xt_conntrack veth bridge stp llc <truncated>",
    "Code: 48 8b 45 00 48 85 c0 74 0d 48 8b 40 10 <truncated>",
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
    "WARNING: workqueue cpumask: online intersect > possible intersect",
    "WARNING: Unprivileged eBPF is enabled with eIBRS on, data leaks possible via Spectre v2 BHB attacks!",
    "Spectre V2 : WARNING: Unprivileged eBPF is enabled with eIBRS on",
    "WARNING: See https://www.kernel.org/doc/html/latest/admin-guide/hw-vuln/spectre.html for mitigation options.",
    "WARNING: kernel not compiled with CPU_SRSO",
    "WARNING: The mand mount option has been deprecated and",
    "WARNING: fbcon: Driver 'x' missed to adjust virtual screen size (8x16 vs. 80x25)",
    "Warning: unable to open an initial console.",
    "warning: process `x' used the deprecated sysctl system call with 1.40.6.",
    "EXT4-fs (sda1): warning: maximal mount count reached, running e2fsck is recommended",
    "XFS (sda1): WARNING: Reset corrupted AGFL on AG 2. 4 blocks leaked. Please unmount and run xfs_repair.",
    "[Firmware Bug]: TSC_DEADLINE disabled due to Errata; please update microcode to version: 0x52 (or later)",
    "ACPI BIOS Error (bug): Failure creating named object [\\_SB.PCI0.XHC.RHUB.HS01._UPC], AE_ALREADY_EXISTS (20200925/dswload2-326)",
    "ACPI Exception: AE_NOT_FOUND, Evaluating _DOD (20090903/video-1937)",
    "microcode: microcode updated early to revision 0xea, date = 2021-01-25",
    "bluetooth hci0: Direct firmware load for x.bin failed with error -2",
    "usb 1-1: device descriptor read/64, error -110",
    "snd_hda_intel: probe of 0000:00:1f.3 failed with error -19",
    "blk_update_request: I/O error, dev fd0, sector 0 op 0x0:(READ) flags 0x0 phys_seg 1 prio class 0",
    "blk_update_request: I/O error, dev sr0, sector 0",
    "Buffer I/O error on dev sr0, logical block 0, async page read",
    "Buffer I/O error on dev fd0, logical block 0, async page read",
    "ata2: SATA link down (SStatus 0 SControl 300)",
    "nvme nvme0: missing or invalid SUBNQN field.",
    "integrity: Problem loading X.509 certificate -65",
    "BPF: [123] FUNC x",
    "failed to validate module [x] BTF: -22",
    "pcieport 0000:00:1c.0: PCIe Bus Error: severity=Corrected, type=Physical Layer, (Receiver ID)",
    "x[123]: segfault at 8 ip 00007f0000000010 sp 00007ffe00000000 error 4 in libc.so.6[7f0000000000+1000]",
    "x[123]: segfault at 8 ip 00007f0000000010 sp 00007ffe00000000 error 4 in x[400000+1000] likely on CPU 1 (core 1, socket 0)",
    "traps: x[1] general protection fault ip:7f0000000010 sp:7ffe00000000 error:0 in libc-2.31.so[7f0000000000+178000]",
    "traps: x[1] trap invalid opcode ip:400123 sp:7ffe00000000 error:0 in x[400000+1000]",
    "traps: x[1] trap int3 ip:400123 sp:7ffe00000000 error:0",
    "traps: x[1] trap divide error ip:400123 sp:7ffe00000000 error:0 in x[400000+1000]",
    "traps: x[1] control protection ip:400123 sp:7ffe00000000 error:1(near ret) ssp:7f00 in x[400000+1000]",
    "x[1]: unhandled exception: DABT (lower EL), ESR 0x92000046, level 2 translation fault in x[400000+1000]",
    "User process fault: interruption code 003b ilc:3 in x[2aa00000000+1000]",
    "x[1]: bad frame in rt_sigreturn: 0000000000000000 nip 0000 lr 0000",
    "potentially unexpected fatal signal 11.",
    "audit: type=1701 audit(1600000000.123:456): auid=0 uid=0 gid=0 ses=1 pid=77 comm=\"x\" exe=\"/x\" sig=11 res=1",
    "EXT4-fs (sda1): error count since last fsck: 4",
    "EXT4-fs (sda1): last error at time 1600000000: ext4_journal_check_start:56",
    "Code: 48 8b 00 48 89 e5 <48> 8b 40 20",
    "CR2: 0000000000000020",
    "---[ end trace 0000000000000000 ]---",
    "Kernel Offset: disabled",
    "Modules linked in: ext4 xfs nf_conntrack(E)",
    "Hardware name: Dell Inc. PowerEdge R740/0923K0, BIOS 2.10.0 11/12/2020",
    "Call Trace:",
    "EXT4-fs (sda1): recovery complete",
    "EXT4-fs (sda1): orphan cleanup on readonly fs",
    "EXT4-fs (sda1): INFO: recovery required on readonly filesystem",
];

/// Lines that tell of a failure or of another report, and must stay below a report of their own.
const NO_REPORT: &[&str] = &[
    "INFO: task x blocked",
    "CPU: 0 PID: 1 Comm: x Not tainted 5.10.0 #1",
    "BERT: Error records from previous boot:",
    "page allocation failure: order:0",
    "nvme nvme0: I/O 12 QID 3 timeout, completion polled",
];

/// Lines of programs that speak of what the kernel said.
const ECHOES: &[(&str, &str)] = &[
    ("multipathd[1]", "sda: WARNING path is down"),
    ("lvm[1]", "  WARNING: PV /dev/sdb1 in VG vg0 is missing"),
    ("sshd[1]", "WARNING: /etc/ssh/moduli does not exist, using fixed modulus"),
    ("ripd[1]", "RIP: 0010:x"),
    ("bird", "RIP1: 10.0.0.1"),
    ("kubelet[1]", "I0705 19:33:29.402143 1545 oom_watcher.go:77] Got sys oom event: &{1 x OOMKilled}"),
    ("systemd[1]", "x.service: A process of this unit has been killed by the OOM killer."),
    ("systemd-oomd[1]", "Killed /system.slice/x.service due to memory pressure"),
    (
        "node-problem-detector[1]",
        "log_monitor.go:160] New status generated: &{Source:kernel-monitor Events:[{Severity:warn Timestamp:x Reason:UnregisterNetDevice Message:unregister_netdevice: waiting for eth0 to become free. Usage count = 1}]}",
    ),
    ("abrt-dump-journal-oops[1]", "abrt-dump-journal-oops: Found oopses: 1"),
    ("abrt-dump-journal-oops[1]", "Reported 1 kernel oopses to Abrt"),
    ("abrt-notification[1]", "System encountered a non-fatal error in ??()"),
    ("systemd-pstore[1]", "PStore dmesg-efi-1 moved to /var/lib/systemd/pstore/1/dmesg-efi-1"),
    ("systemd-coredump[1]", "Process 1 (x) of user 0 dumped core."),
    ("postgres[1]", "PANIC:  could not write to file \"pg_wal/xlogtemp.1\": No space left on device"),
    ("mysqld[1]", "InnoDB: Assertion failure in thread 1 in file x.cc line 1"),
    ("dockerd[1]", "panic: runtime error: invalid memory address or nil pointer dereference"),
    ("dockerd[1]", "[signal SIGSEGV: segmentation violation code=0x1 addr=0x20 pc=0x55]"),
    ("x[1]", "thread 'main' panicked at src/main.rs:1:5:"),
    ("java[1]", "java.lang.NullPointerException: Cannot invoke \"x\" because \"y\" is null"),
    ("java[1]", "WARNING: An illegal reflective access operation has occurred"),
    ("java[1]", "INFO: task scheduler:7 blocked for more than 120 seconds."),
    ("kdump[510]", "saving vmcore"),
    ("kdumpctl[510]", "kdump: kexec: loaded kdump kernel"),
    ("journal", "system.journal corrupted or uncleanly shut down, renaming and replacing."),
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
fn lines_of_failures_are_no_reports() {
    for (carrier, wrap) in CARRIERS {
        for line in NO_REPORT {
            for event in events(&format!("{}\n", wrap(line))) {
                assert!(event.severity < Severity::Report, "{carrier}: {line}: {} {}", event.family, event.title);
            }
        }
    }
}

#[test]
fn echoes_of_programs_are_not_counted_again() {
    for (tag, line) in ECHOES {
        for text in [format!("Jul  5 19:33:34 host {tag}: {line}\n"), format!("[   12.345678] {tag}: {line}\n")] {
            for event in events(&text) {
                assert!(event.severity < Severity::Failure, "{text}: {} {}", event.family, event.title);
            }
        }
    }
}

#[test]
fn traces_that_nobody_headed_are_no_reports() {
    for text in [
        // A fault that was injected on purpose.
        "[   12.300000] FAULT_INJECTION: forcing a failure.\n\
         [   12.300000] name failslab, interval 1, probability 0, space 0, times 0\n\
         [   12.300000] CPU: 0 PID: 77 Comm: x Not tainted 5.10.0 #1\n[   12.300000] Call Trace:\n\
         [   12.300000]  dump_stack+0x1/0x2\n[   12.300000]  should_fail+0x1/0x2\n[   12.300000]  kmalloc+0x1/0x2\n",
        // A driver's dump_stack().
        "[   12.300000] CPU: 0 PID: 1 Comm: x Not tainted 5.10.0 #1\n[   12.300000] Call Trace:\n\
         [   12.300000]  dump_stack+0x1/0x2\n[   12.300000]  probe+0x1/0x2 [drv]\n",
        // A dump of tasks that was asked for.
        "[   12.300000] sysrq: Show Blocked State\n[   12.300000] task:jbd2/sda1-8      state:D stack:    0 pid:  293 ppid:     2 flags:0x00004000\n\
         [   12.300000] Call Trace:\n[   12.300000]  __schedule+0x1/0x2\n[   12.300000]  io_schedule+0x1/0x2\n",
        // A user program that died, with its code.
        "[   12.300000] x[123]: segfault at 0 ip 0000000000400123 sp 00007ffe00000000 error 6 in x[400000+1000]\n\
         [   12.300000] Code: 00 00 00 48 89 e5 <c7> 00 01 00 00 00\n",
        // arm64: a user program, with its registers.
        "[   12.300000] x[77]: unhandled exception: SP Alignment, ESR 0x9a000000, in x[400000+1000]\n\
         [   12.300000] CPU: 1 PID: 77 Comm: x Not tainted 5.10.0 #1\n[   12.300000] pc : 0000000000400123\n\
         [   12.300000] sp : 0000fffff0000000\n",
        "x[1]: panic: runtime error: invalid memory address or nil pointer dereference\n\
         [signal SIGSEGV: segmentation violation code=0x1 addr=0x20 pc=0x55]\n\ngoroutine 1 [running]:\nmain.main()\n",
        "Process 1 (x) of user 0 dumped core.\n\nStack trace of thread 1:\n#0  0x00007f0000000010 raise (libc.so.6 + 0x3c)\n",
    ] {
        for event in events(text) {
            assert!(event.severity < Severity::Failure, "{text}: {} {}", event.family, event.title);
        }
    }
}

#[test]
fn a_plain_warning_is_a_report_only_with_a_trace() {
    let head = "[   12.300000] WARNING: something of the driver is odd\n";
    assert!(events(head).iter().all(|e| e.severity < Severity::Failure));
    let trace = "[   12.300000] CPU: 0 PID: 1 Comm: x Not tainted 5.10.0 #1\n[   12.300000] Call Trace:\n\
         [   12.300000]  dump_stack+0x1/0x2\n[   12.300000]  probe+0x1/0x2 [drv]\n";
    assert_eq!(events(&format!("{head}{trace}")).first().map(|e| e.severity), Some(Severity::Report));
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
