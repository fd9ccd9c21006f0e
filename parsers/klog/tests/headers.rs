//! One line for each form in which kernels of all eras and architectures announce a report: family, class, severity.

use klog::{Event, Severity};

/// Header, family, class, severity.
type Row = (&'static str, &'static str, &'static str, Severity);

const REPORT: Severity = Severity::Report;
const FAILURE: Severity = Severity::Failure;

const EXCEPTIONS: &[Row] = &[
    ("BUG: unable to handle kernel NULL pointer dereference at           (null)", "oops", "null-deref", REPORT),
    ("BUG: unable to handle kernel NULL pointer dereference at virtual address 00000004", "oops", "null-deref", REPORT),
    ("Unable to handle kernel NULL pointer dereference at 0000000000000010 RIP:", "oops", "null-deref", REPORT),
    ("Unable to handle kernel paging request at 00000000deadbeef RIP:", "oops", "paging-fault", REPORT),
    ("BUG: unable to handle kernel paging request at ffffeb0400000000", "oops", "paging-fault", REPORT),
    ("BUG: kernel NULL pointer dereference, address: 0000000000000010", "oops", "null-deref", REPORT),
    ("BUG: unable to handle page fault for address: ffff88812345f000", "oops", "paging-fault", REPORT),
    ("Oops: Oops: 0000 [#1] PREEMPT SMP NOPTI", "oops", "paging-fault", REPORT),
    ("java: Corrupted page table at address 7f1234567000", "oops", "bad-page", REPORT),
    ("Bad pagetable: 000f [#1] SMP", "oops", "paging-fault", REPORT),
    ("stack segment: 0000 [#1] SMP", "oops", "trap", REPORT),
    ("bounds: 0000 [#1] SMP", "oops", "trap", REPORT),
    ("invalid TSS: 0000 [#1] SMP", "oops", "trap", REPORT),
    ("segment not present: 0000 [#1] SMP", "oops", "trap", REPORT),
    ("alignment check: 0000 [#1] SMP", "oops", "trap", REPORT),
    ("coprocessor segment overrun: 0000 [#1] SMP", "oops", "trap", REPORT),
    ("simd exception: 0000 [#1] SMP", "oops", "trap", REPORT),
    ("iret exception: 0000 [#1] SMP", "oops", "trap", REPORT),
    ("control protection fault: 0000 [#1] SMP", "oops", "trap", REPORT),
    ("int3: 0000 [#1] SMP", "oops", "invalid-opcode", REPORT),
    ("Oops: int3: 0000 [#1] SMP", "oops", "invalid-opcode", REPORT),
    ("Oops: invalid opcode: 0000 [#1] SMP NOPTI", "oops", "invalid-opcode", REPORT),
    ("divide error: 0000 [#1] SMP", "oops", "divide-error", REPORT),
    ("Oops: divide error: 0000 [#1] SMP", "oops", "divide-error", REPORT),
    ("general protection fault: 0000 [#1] SMP", "oops", "gpf", REPORT),
    ("general protection fault, maybe for address 0x10: 0000 [#1] SMP", "oops", "gpf", REPORT),
    ("segment-related general protection fault: 0028 [#1] SMP", "oops", "gpf", REPORT),
    ("Oops: general protection fault, kernel NULL pointer dereference 0x8: 0000 [#1] SMP", "oops", "gpf", REPORT),
    ("kernel BUG at mm/slab.c:1!", "oops", "bug-on", REPORT),
    ("Kernel BUG at mm/slab.c:1", "oops", "bug-on", REPORT),
    ("kernel stack overflow (double-fault): 0000 [#1] SMP", "oops", "stack-overflow", REPORT),
    ("BUG: stack guard page was hit at ffffc900 (stack is ffffc900..ffffc901)", "oops", "stack-overflow", REPORT),
    ("BUG: TASK stack guard page was hit at ffffc900 (stack is ffffc900..ffffc901)", "oops", "stack-overflow", REPORT),
    ("PANIC: double fault, error_code: 0x0", "oops", "stack-overflow", REPORT),
    ("PANIC: double fault, gdt at c1234000 [255 bytes]", "oops", "stack-overflow", REPORT),
    ("rust_kernel: panicked at samples/rust/x.rs:1:2:", "oops", "rust-panic", REPORT),
    // arm64, arm
    (
        "Unable to handle kernel NULL pointer dereference at virtual address 0000000000000020",
        "oops",
        "null-deref",
        REPORT,
    ),
    (
        "Unable to handle kernel write to read-only memory at virtual address ffff800010000000",
        "oops",
        "paging-fault",
        REPORT,
    ),
    ("Internal error: Oops: 0000000096000005 [#1] PREEMPT SMP", "oops", "paging-fault", REPORT),
    ("Internal error: Oops - undefined instruction: 0 [#1] SMP ARM", "oops", "trap", REPORT),
    ("Internal error: synchronous external abort: 96000010 [#1] SMP", "oops", "trap", REPORT),
    ("Internal error: SP/PC alignment exception: 8a000000 [#1] SMP", "oops", "trap", REPORT),
    ("SError Interrupt on CPU2, code 0x00000000be000000 -- SError", "oops", "trap", REPORT),
    ("Bad mode in Synchronous Abort handler detected, code 0x84000005", "oops", "trap", REPORT),
    // s390x
    ("Unable to handle kernel pointer dereference in virtual kernel address space", "oops", "paging-fault", REPORT),
    ("Oops: 0004 ilc:2 [#1] SMP", "oops", "paging-fault", REPORT),
    ("illegal operation: 0001 ilc:1 [#1] SMP", "oops", "invalid-opcode", REPORT),
    ("monitor event: 0040 ilc:2 [#1] SMP", "oops", "bug-on", REPORT),
    ("addressing exception: 0005 ilc:3 [#1] SMP", "oops", "paging-fault", REPORT),
    ("specification exception: 0006 ilc:2 [#1] SMP", "oops", "trap", REPORT),
    // ppc64
    ("Unable to handle kernel paging request for data at address 0x00000010", "oops", "null-deref", REPORT),
    ("BUG: Unable to handle kernel data access on read at 0xc000000000000000", "oops", "paging-fault", REPORT),
    ("BUG: Kernel NULL pointer dereference on read at 0x00000010", "oops", "null-deref", REPORT),
    ("Oops: Kernel access of bad area, sig: 11 [#1]", "oops", "paging-fault", REPORT),
    ("Oops: Exception in kernel mode, sig: 5 [#1]", "oops", "invalid-opcode", REPORT),
    ("Oops: Machine check, sig: 7 [#1]", "oops", "hardware-mce", REPORT),
    // riscv, mips
    ("Oops [#1]", "oops", "paging-fault", REPORT),
    ("Oops - load access fault [#1]", "oops", "trap", REPORT),
    ("Oops - illegal instruction [#1]", "oops", "invalid-opcode", REPORT),
    ("Kernel BUG [#1]", "oops", "bug-on", REPORT),
    (
        "CPU 0 Unable to handle kernel paging request at virtual address 00000004, epc == 80123456, ra == 80123400",
        "oops",
        "null-deref",
        REPORT,
    ),
    ("Oops[#1]:", "oops", "paging-fault", REPORT),
    ("Kernel bug detected[#1]:", "oops", "bug-on", REPORT),
    ("Data bus error, epc == 80123456, ra == 80123400", "oops", "trap", REPORT),
];

const STALLS: &[Row] = &[
    ("BUG: soft lockup - CPU#0 stuck for 10s! [x:1]", "soft_lockup", "soft-lockup", REPORT),
    ("BUG: soft lockup detected on CPU#0!", "soft_lockup", "soft-lockup", REPORT),
    ("NMI watchdog: BUG: soft lockup - CPU#1 stuck for 22s! [java:77]", "soft_lockup", "soft-lockup", REPORT),
    ("NMI Watchdog detected LOCKUP on CPU 0", "hard_lockup", "hard-lockup", REPORT),
    ("NMI watchdog: Watchdog detected hard LOCKUP on cpu 3", "hard_lockup", "hard-lockup", REPORT),
    ("watchdog: CPU4: Watchdog detected hard LOCKUP on cpu 1", "hard_lockup", "hard-lockup", REPORT),
    ("watchdog: CPU 3 Hard LOCKUP", "hard_lockup", "hard-lockup", REPORT),
    ("watchdog: CPU 3 detected hard LOCKUP on other CPUs 5", "hard_lockup", "hard-lockup", REPORT),
    ("INFO: rcu_sched_state detected stall on CPU 0 (t=105060 jiffies)", "rcu_stall", "rcu-stall", REPORT),
    (
        "INFO: rcu_sched detected stalls on CPUs/tasks: { 3} (detected by 1, t=5252 jiffies, g=825, c=824, q=1)",
        "rcu_stall",
        "rcu-stall",
        REPORT,
    ),
    ("rcu: INFO: rcu_preempt self-detected stall on CPU", "rcu_stall", "rcu-stall", REPORT),
    (
        "rcu: INFO: rcu_preempt detected expedited stalls on CPUs/tasks: { 3-.... } 235 jiffies s: 2269 root: 0x8/.",
        "rcu_stall",
        "rcu-stall",
        REPORT,
    ),
    ("INFO: rcu_tasks detected stalls on tasks:", "rcu_stall", "rcu-stall", REPORT),
    (
        "rcu: rcu_preempt kthread starved for 5252 jiffies! g12425 f0x0 RCU_GP_WAIT_FQS(5) ->state=0x402 ->cpu=0",
        "rcu_stall",
        "rcu-stall",
        REPORT,
    ),
    ("INFO: task java:77 blocked for more than 120 seconds.", "hung_task", "hung-task", REPORT),
    ("INFO: task java:77 blocked in I/O wait for more than 122 seconds.", "hung_task", "hung-task", REPORT),
    (
        "BUG: workqueue lockup - pool cpus=0 node=0 flags=0x0 nice=0 stuck for 43s!",
        "workqueue_lockup",
        "workqueue-lockup",
        REPORT,
    ),
    ("BUG: workqueue leaked lock or atomic: kworker/0:1/0x00000001/12", "lockdep", "lockdep", REPORT),
    (
        "smp: csd: Detected non-responsive CSD lock (#1) on CPU#2, waiting 5000000003 ns for CPU#03 func(arg).",
        "warning",
        "soft-lockup",
        REPORT,
    ),
    ("BUG: scheduling while atomic: x/1/0x00000002", "atomic_sleep", "atomic-sleep", REPORT),
    (
        "BUG: sleeping function called from invalid context at kernel/locking/mutex.c:97",
        "atomic_sleep",
        "atomic-sleep",
        REPORT,
    ),
    ("BUG: using smp_processor_id() in preemptible [00000000] code: x/1", "preempt_check", "preempt-check", REPORT),
    ("BUG: spinlock bad magic on CPU#0, x/1", "spinlock_bug", "lockdep", REPORT),
    ("[ INFO: possible circular locking dependency detected ]", "lockdep", "lockdep", REPORT),
    ("WARNING: possible recursive locking detected", "lockdep", "lockdep", REPORT),
    ("WARNING: inconsistent lock state", "lockdep", "lockdep", REPORT),
    ("WARNING: HARDIRQ-safe -> HARDIRQ-unsafe lock order detected", "lockdep", "lockdep", REPORT),
    ("WARNING: suspicious RCU usage", "lockdep", "lockdep", REPORT),
    ("WARNING: bad unlock balance detected!", "lockdep", "lockdep", REPORT),
    ("[ BUG: Invalid wait context ]", "lockdep", "lockdep", REPORT),
    ("INFO: trying to register non-static key.", "lockdep", "lockdep", REPORT),
];

const MEMORY: &[Row] = &[
    (
        "java invoked oom-killer: gfp_mask=0x14200ca(GFP_HIGHUSER_MOVABLE), nodemask=(null),  order=0, oom_score_adj=0",
        "oom",
        "oom",
        FAILURE,
    ),
    ("tmux: server invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0", "oom", "oom", FAILURE),
    ("Out of memory: Kill process 77 (java) score 373 or sacrifice child", "oom", "oom", FAILURE),
    (
        "Out of memory: Killed process 1 (java) total-vm:1kB, anon-rss:1kB, file-rss:1kB, shmem-rss:0kB, UID:0 pgtables:4kB oom_score_adj:996",
        "oom",
        "oom",
        FAILURE,
    ),
    (
        "Memory cgroup out of memory: Kill process 1012 (heapster) score 1035 or sacrifice child",
        "memcg_oom",
        "memcg-oom",
        FAILURE,
    ),
    ("Killed process 28438 (java) total-vm:20255636kB, anon-rss:466160kB, file-rss:13684kB", "oom", "oom", FAILURE),
    ("Out of memory and no killable processes...", "oom", "oom", FAILURE),
    ("java: page allocation failure: order:4, mode:0x2040d0", "page_alloc_failure", "page-alloc-failure", FAILURE),
    (
        "java: page allocation stalls for 10001ms, order:0, mode:0x0",
        "page_alloc_failure",
        "page-alloc-failure",
        FAILURE,
    ),
    (
        "java: vmalloc error: size 4096, page order 0, failed to allocate pages, mode:0xcc0(GFP_KERNEL)",
        "page_alloc_failure",
        "page-alloc-failure",
        FAILURE,
    ),
    ("SLUB: Unable to allocate memory on node -1 (gfp=0x80d0)", "slab_alloc_failure", "slab-alloc-failure", FAILURE),
    (
        "SLUB: Unable to allocate memory on CPU 3 (of node 0) on node -1, gfp=0x820(GFP_ATOMIC)",
        "slab_alloc_failure",
        "slab-alloc-failure",
        FAILURE,
    ),
    ("BUG: Bad page state in process x  pfn:1a2b3", "bad_page", "bad-page", REPORT),
    ("BUG: Bad page map in process x  pte:80000001 pmd:1234", "bad_page", "bad-page", REPORT),
    ("BUG: Bad rss-counter state mm:ffff8880 type:MM_ANONPAGES val:-1", "bad_page", "bad-page", REPORT),
    ("BUG kmalloc-64 (Tainted: G    B): Poison overwritten", "slab_corruption", "slab-corruption", REPORT),
    ("BUG: KASAN: slab-use-after-free in f+0x1/0x2", "kasan", "use-after-free", REPORT),
    ("BUG: KFENCE: use-after-free read in f+0x1/0x2", "kfence", "use-after-free", REPORT),
    ("BUG: KMSAN: uninit-value in f+0x1/0x2", "kmsan", "uninit-value", REPORT),
    ("BUG: KCSAN: data-race in f / g", "kcsan", "data-race", REPORT),
    ("UBSAN: shift-out-of-bounds in f.c:1:2", "ubsan", "ubsan", REPORT),
    ("list_del corruption, ffff8880->next is LIST_POISON1 (dead000000000100)", "warning", "list-corruption", REPORT),
    ("refcount_t: underflow; use-after-free.", "warning", "refcount", REPORT),
    ("BUG: Unable to handle kernel instruction fetch (NULL pointer?)", "oops", "null-deref", REPORT),
    (
        "usercopy: Kernel memory exposure attempt detected from SLUB object 'x' (offset 8, size 64)!",
        "warning",
        "usercopy",
        REPORT,
    ),
    (
        "usercopy: kernel memory exposure attempt detected from ffff97d72e720000 (buffer_head) (4096 bytes)",
        "warning",
        "usercopy",
        REPORT,
    ),
    (
        "Bad or missing usercopy whitelist? Kernel memory exposure attempt detected from SLUB object 'simplefs_cache' (offset 4, size 4)!",
        "warning",
        "usercopy",
        REPORT,
    ),
    ("memcpy: detected buffer overflow: 8 byte write of buffer size 4", "warning", "out-of-bounds", REPORT),
    ("CFI failure at f+0x1/0x2 (target: g+0x0/0x1; expected type: 0x1234)", "warning", "trap", REPORT),
    ("do_IRQ: stack overflow: 1072", "warning", "stack-overflow", REPORT),
];

const DEVICES: &[Row] = &[
    (
        "unregister_netdevice: waiting for eth0 to become free. Usage count = -1",
        "unregister_netdevice",
        "unregister-netdevice",
        REPORT,
    ),
    ("NETDEV WATCHDOG: eth0 (ixgbe): transmit queue 3 timed out", "net_watchdog", "net-watchdog", REPORT),
    ("ixgbe 0000:01:00.0 eth0: initiating reset due to tx timeout", "net_watchdog", "net-watchdog", FAILURE),
    (
        "virtio_net virtio0 eth0: TX timeout on queue: 0, sq: output.0, vq: 0x1, name: output.0",
        "net_watchdog",
        "net-watchdog",
        FAILURE,
    ),
    (
        "EXT4-fs error (device sda1): ext4_lookup:1601: inode #2: comm ls: deleted inode referenced: 12",
        "ext4",
        "fs-corruption",
        FAILURE,
    ),
    ("EXT4-fs error (device dm-0) in ext4_setattr:5987: error 28", "ext4", "resource-exhaustion", FAILURE),
    (
        "XFS internal error XFS_WANT_CORRUPTED_GOTO at line 1 of file fs/xfs/xfs_alloc.c.  Caller 0xffff",
        "xfs",
        "fs-corruption",
        REPORT,
    ),
    (
        "xfs_force_shutdown(dm-0,0x8) called from line 1 of file fs/xfs/x.c.  Return address = 0xffff",
        "xfs",
        "fs-shutdown",
        FAILURE,
    ),
    ("XFS (sda1): writeback error -12 on sector 91827024", "xfs", "resource-exhaustion", FAILURE),
    ("XFS (dm-0): Filesystem has been shut down due to log error (0x2).", "xfs", "fs-shutdown", FAILURE),
    ("BTRFS: open_ctree failed", "network_filesystem", "io-error", FAILURE),
    ("GFS2: fsid=x:y.0: fatal: filesystem consistency error", "network_filesystem", "fs-corruption", FAILURE),
    ("dm-0: writeback error on inode 89598, offset 20430848, sector 78472", "block_io_error", "io-error", FAILURE),
    ("sd 0:0:0:0: SCSI error: return code = 0x08000002", "scsi_error", "io-error", FAILURE),
    ("nvme nvme0: queue 5: timeout request 0x11 type 6", "nvme_error", "io-error", FAILURE),
    ("nvme nvme0: controller is down; will reset: CSTS=0xffffffff, PCI_STATUS=0x10", "nvme_error", "io-error", FAILURE),
    ("ata1.00: disabled", "ata_error", "io-error", FAILURE),
    ("md/raid:md0: failed to run raid set.", "raid_error", "io-error", FAILURE),
    ("device-mapper: thin: 253:4: no free data space available.", "raid_error", "io-error", FAILURE),
    ("mpt3sas_cm0: fault_state(0x265d)!", "host_adapter", "io-error", FAILURE),
    ("mce: [Hardware Error]: CPU 3: Machine Check: 0 Bank 5: be00000000800400", "mce", "hardware-mce", REPORT),
    (
        "MCE: Killing mca-recover:84546 due to hardware memory corruption fault at 7fb8f7e410dc",
        "mce",
        "hardware-memory",
        FAILURE,
    ),
    (
        "EDAC MC0: 1 UE memory read error on DIMM#0 (channel:0 slot:0 page:0x1 offset:0x0 grain:32)",
        "edac",
        "hardware-memory",
        REPORT,
    ),
    (
        "{1}[Hardware Error]: Hardware error from APEI Generic Hardware Error Source: 1",
        "firmware_error_record",
        "hardware-mce",
        FAILURE,
    ),
    (
        "pcieport 0000:00:01.0: AER: Uncorrected (Fatal) error received: 0000:00:01.0",
        "pcie_error",
        "hardware-pcie",
        REPORT,
    ),
    (
        "pcieport 0000:00:1c.0: DPC: containment event, status:0x1f01 source:0x0000",
        "pcie_error",
        "hardware-pcie",
        FAILURE,
    ),
    ("EEH: Frozen PHB#0-PE#1 detected", "pcie_error", "hardware-pcie", FAILURE),
    (
        "DMAR: [DMA Read] Request device [00:02.0] fault addr 12345000 [fault reason 06] PTE Read access is not set",
        "iommu_fault",
        "hardware-pcie",
        FAILURE,
    ),
    ("NVRM: Xid (PCI:0000:3b:00): 79, GPU has fallen off the bus.", "gpu_error", "hardware-pcie", FAILURE),
    (
        "thermal thermal_zone0: acpitz: critical temperature reached, shutting down",
        "thermal",
        "hardware-thermal",
        REPORT,
    ),
    ("Uhhuh. NMI received for unknown reason 3d on CPU 1.", "nmi", "hardware-mce", FAILURE),
    ("irq 16: nobody cared (try booting with the \"irqpoll\" option)", "irq_nobody_cared", "warning", REPORT),
    ("softdog: Initiating system reboot", "watchdog_device", "reboot", REPORT),
    (
        "efi: [Firmware Bug]: Page fault caused by firmware at PA: 0xfffffffefb0000",
        "firmware_fault",
        "firmware",
        REPORT,
    ),
    ("ipv4: Neighbour table overflow.", "limit_reached", "resource-exhaustion", FAILURE),
    ("LustreError: 77:0:(x.c:12:f()) LBUG", "assertion", "bug-on", REPORT),
    ("(XEN) Panic on CPU 0:", "hypervisor", "kernel-panic", Severity::Panic),
];

fn events(text: &str) -> Vec<Event> {
    klog::read("test", text.as_bytes()).boots.into_iter().flat_map(|b| b.events).collect()
}

#[test]
fn every_form_of_a_header_is_one_event_of_its_class() {
    for (line, family, class, severity) in [EXCEPTIONS, STALLS, MEMORY, DEVICES].into_iter().flatten() {
        for text in [format!("[12345.678901] {line}\n"), format!("Jul  5 19:33:34 host kernel: {line}\n")] {
            let found = events(&text);
            assert_eq!(found.len(), 1, "{line}: {found:#?}");
            let event = &found[0];
            assert_eq!((event.family, event.class, event.severity), (*family, *class, *severity), "{line}");
        }
    }
}

#[test]
fn panics_are_sorted_by_what_led_to_them() {
    for (reason, class, group) in [
        ("Fatal exception in interrupt", "kernel-panic", "oops"),
        ("Oops: Fatal exception", "kernel-panic", "oops"),
        ("softlockup: hung tasks", "soft-lockup", "policy"),
        ("Hard LOCKUP", "hard-lockup", "policy"),
        ("Watchdog detected hard LOCKUP on cpu 3", "hard-lockup", "policy"),
        ("hung_task: blocked tasks", "hung-task", "policy"),
        ("RCU Stall", "rcu-stall", "policy"),
        ("kernel: panic_on_warn set ...", "warning", "policy"),
        ("Out of memory: system-wide panic_on_oom is enabled", "oom", "oom"),
        ("System is deadlocked on memory", "oom", "oom"),
        ("sysrq triggered crash", "kernel-panic", "sysrq"),
        ("Attempted to kill init! exitcode=0x0000000b", "init-killed", "init"),
        ("VFS: Unable to mount root fs on unknown-block(8,1)", "no-root", "root"),
        ("No working init found.  Try passing init= option to kernel.", "no-root", "root"),
        ("stack-protector: Kernel stack is corrupted in: f+0x1/0x2", "stack-corruption", "corruption"),
        ("corrupted stack end detected inside scheduler", "stack-overflow", "corruption"),
        ("Fatal machine check on current CPU", "hardware-mce", "hardware"),
        ("Timeout: Not all CPUs entered broadcast exception handler", "hardware-mce", "hardware"),
        ("Fatal hardware error!", "hardware-mce", "hardware"),
        ("Asynchronous SError Interrupt", "kernel-panic", "hardware"),
        ("NMI: Not continuing", "kernel-panic", "hardware"),
        ("Software Watchdog Timer expired", "kernel-panic", "watchdog"),
        ("EXT4-fs (device sda1): panic forced after error", "fs-corruption", "filesystem"),
        ("*** ocfs2 is very sorry to be fencing this system by panicing ***", "kernel-panic", "fencing"),
    ] {
        let found = events(&format!("[12345.678901] Kernel panic - not syncing: {reason}\n"));
        assert_eq!(found.len(), 1, "{reason}");
        let fact = found[0].to_fact("x");
        assert_eq!(
            (found[0].class, fact.text("group"), found[0].severity),
            (class, Some(group), Severity::Panic),
            "{reason}"
        );
    }
}

#[test]
fn a_fault_of_a_program_on_arm_is_a_notice_and_the_kernels_own_is_not() {
    let line = "[   12.300000] Unhandled fault: external abort on non-linefetch (0x1008) at 0xb6f11000\n";
    assert!(events(line).iter().all(|e| e.severity < FAILURE));
    let kernel = format!("{line}[   12.300001] Internal error: : 1008 [#1] SMP ARM\n");
    assert_eq!(events(&kernel).first().map(|e| (e.severity, e.class)), Some((REPORT, "trap")));
}

#[test]
fn powerpc_says_twice_what_happened_once() {
    let text = "[  123.806902] Kernel attempted to read user page (28) - exploit attempt? (uid: 0)\n\
         [  123.806937] BUG: Kernel NULL pointer dereference on read at 0x00000028\n\
         [  123.806952] Faulting instruction address: 0xc000000000165a60\n\
         [  123.806980] Oops: Kernel access of bad area, sig: 11 [#1]\n\
         [  123.806990] NIP [c000000000165a60] f+0x10/0x20\n";
    let found = events(text);
    assert_eq!(found.len(), 1, "{found:#?}");
    assert_eq!((found[0].class, found[0].address), ("null-deref", Some(0x28)));
    assert_eq!(found[0].place.as_ref().map(|p| p.function.as_str()), Some("f"));
}

#[test]
fn a_decoded_trace_keeps_its_functions_and_lines() {
    let text = "[  997.046615][   T25] INFO: task swapper:1 blocked for more than 491 seconds.\n\
         [  997.046615][   T25] task:swapper         state:D stack:0     pid:1     tgid:1     ppid:0      flags:0x00004000\n\
         [  997.046615][   T25] Call Trace:\n\
         [  997.046615][   T25] __schedule (kernel/sched/core.c:5372 kernel/sched/core.c:6756)\n\
         [  997.060058][   T25] ? do_wait_intr_irq (kernel/sched/wait.c:383)\n\
         [  997.109522][   T25] wait_for_initramfs (init/initramfs.c:767)\n";
    let found = events(text);
    let frames: Vec<_> = found[0].stacks[0].frames.iter().map(|f| (f.function.as_deref(), f.line.as_deref())).collect();
    assert_eq!(
        frames,
        [
            (Some("__schedule"), Some("kernel/sched/core.c:5372 kernel/sched/core.c:6756")),
            (Some("do_wait_intr_irq"), Some("kernel/sched/wait.c:383")),
            (Some("wait_for_initramfs"), Some("init/initramfs.c:767")),
        ]
    );
}

/// Whose limit was reached is told by the way in, where the lines that say so are cut off.
#[test]
fn an_oom_kill_without_its_words_is_of_the_cgroup_whose_charge_was_refused() {
    let kill = |frames: &[&str]| {
        let mut text = "[  100.000001] java invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0\n\
             [  100.000002] CPU: 1 PID: 77 Comm: java Not tainted 6.6.44 #1\n[  100.000003] Call Trace:\n"
            .to_owned();
        for frame in frames {
            text += &format!("[  100.000004]  {frame}+0x1/0x2\n");
        }
        text
    };
    for (text, class) in [
        (kill(&["dump_header", "out_of_memory", "try_charge_memcg", "charge_memcg", "handle_mm_fault"]), "memcg-oom"),
        (kill(&["dump_header", "out_of_memory", "__alloc_pages_slowpath", "alloc_pages", "handle_mm_fault"]), "oom"),
        (
            "[  100.000001] Task in /kubepods/pod1/c1 killed as a result of limit of /kubepods/pod1\n\
             [  100.000002] memory: usage 1048576kB, limit 1048576kB, failcnt 189\n"
                .to_owned(),
            "memcg-oom",
        ),
    ] {
        let found: Vec<klog::Event> =
            klog::read("test", text.as_bytes()).boots.into_iter().flat_map(|boot| boot.events).collect();
        assert_eq!(found.iter().map(|event| event.class).collect::<Vec<_>>(), [class], "{text}");
    }
}
