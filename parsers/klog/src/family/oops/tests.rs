use super::super::tests::events;

#[test]
fn an_arm_oops_without_the_line_before_it_is_a_fault_of_access() {
    const FAULT: &str = "BUG: unable to handle kernel paging request in copy_page";
    for (head, class, title, access) in [
        ("Internal error: Oops: 0000000096000005 [#2] PREEMPT SMP", "paging-fault", FAULT, Some("read")),
        ("Internal error: Oops: 9600004f [#1] SMP", "paging-fault", FAULT, Some("write")),
        ("Internal error: Oops: 8600000f [#1] SMP", "paging-fault", FAULT, Some("execute")),
        ("Internal error: Oops: 817 [#1] SMP ARM", "paging-fault", FAULT, Some("write")),
        ("Internal error: Oops: 17 [#1] PREEMPT SMP ARM", "paging-fault", FAULT, Some("read")),
        ("Internal error: Oops - BTI: 0000000036000002 [#1] SMP", "trap", "Internal error in copy_page", None),
    ] {
        let text = format!("[  100.000000] {head}\n[  100.000002] pc : copy_page+0x1c0/0x230\n");
        let event = events(&text).remove(0);
        let told = (event.class, &*event.title, event.fields.get("access").and_then(|a| a.as_text()));
        assert_eq!(told, (class, title, access), "{head}");
    }
}

#[test]
fn a_warning_of_another_cpu_does_not_cut_a_fault_in_two() {
    let found = events(
        "[ 4377.967550] BUG: kernel NULL pointer dereference, address: 0000000000000008\n\
             [ 4377.971568] WARNING: CPU: 8 PID: 1694 at mm/filemap.c:979 filemap_add_folio+0x92/0xa0\n\
             [ 4377.978839] #PF: supervisor write access in kernel mode\n\
             [ 4377.978847] Oops: 0002 [#1] PREEMPT SMP NOPTI\n\
             [ 4377.978851] CPU: 56 PID: 3242 Comm: shim Not tainted 6.6.95 #1\n\
             [ 4377.978855] RIP: 0010:take_it+0x24c/0x6b0\n\
             [ 4377.978856] Call Trace:\n[ 4377.978857]  allocate+0x1/0x2\n",
    );
    let told: Vec<_> =
        found.iter().map(|e| (e.title.as_str(), e.cpu, e.fields.get("access").and_then(|a| a.as_text()))).collect();
    assert_eq!(
        told,
        [
            ("BUG: unable to handle kernel NULL pointer dereference in take_it", Some(56), Some("write")),
            ("WARNING in filemap_add_folio", Some(8), None)
        ]
    );
}

#[test]
fn every_architecture_names_the_function() {
    for (text, title, callers) in [
        (
            "[  100.000000] CPU 2 Unable to handle kernel paging request at virtual address 0000000000000018, era == 9000000000a51234, ra == 9000000000a51200\n\
                 [  100.000001] Oops[#1]:\n[  100.000002]    ra: 9000000000a51200 loongson_gem_prime_import+0x20/0x90 [loongson]\n\
                 [  100.000003]   ERA: 9000000000a51234 loongson_bo_pin+0x54/0x120 [loongson]\n",
            "BUG: unable to handle kernel NULL pointer dereference in loongson_bo_pin",
            "loongson_gem_prime_import",
        ),
        (
            "[  100.000000] Kernel Fault: Code=26 (Data memory access rights trap) at addr 0000000000000018\n\
                 [  100.000008]  IAOQ[0]: sym53c8xx_intr+0x24/0x140 [sym53c8xx]\n[  100.000009]  RP(r2): handle_irq_event+0x24/0x140\n",
            "Kernel Fault: Code in sym53c8xx_intr",
            "handle_irq_event",
        ),
        (
            "[  100.000000] Unable to handle kernel NULL pointer dereference\n[  100.000007] systemd(1): Oops [#1]\n\
                 [  100.000009] TSTATE: 0000004411001603 TPC: 0000000000712c44 TNPC: 0000000000712c48 Y: 00000000    Not tainted\n\
                 [  101.000000] TPC: <ext4_iget+0x24/0x140>\n[  101.000001] RPC: <ext4_lookup+0x24/0x140>\n",
            "BUG: unable to handle kernel NULL pointer dereference in ext4_iget",
            "ext4_lookup",
        ),
        (
            "[  100.000000] Bad mode in Error handler detected on CPU0, code 0xbf000002 -- SError\n\
                 [  100.000001] PC is at foo_read+0x10/0x40\n[  100.000002] LR is at foo_open+0x10/0x40\n",
            "Bad mode in foo_read",
            "foo_open",
        ),
        (
            "[  100.000000] Internal error: synchronous external abort: 0000000096000010 [#1] PREEMPT SMP\n\
                 [  100.000002] pc : rockchip_pcie_rd_conf+0x1c0/0x230\n[  100.000003] lr : f+0x1/0x2\n",
            "Internal error: synchronous external abort in rockchip_pcie_rd_conf",
            "f",
        ),
        (
            "[  100.000000] BUG: kernel NULL pointer dereference, address: 0000000000000008\n\
                 [  100.000003] RIP: 0010:crypto_dequeue_request\n(include/linux/list.h:112 crypto/algapi.c:957)\n",
            "BUG: unable to handle kernel NULL pointer dereference in crypto_dequeue_request",
            "",
        ),
    ] {
        let found = events(text);
        let back = found[0].fields.get("return_to").and_then(|f| f.as_text()).unwrap_or_default();
        assert_eq!((found.len(), found[0].title.as_str(), back), (1, title, callers), "{text}");
    }
}

#[test]
fn a_neighbour_s_name_is_not_relied_on_and_interrupts_of_ppc_are_told_apart() {
    let found = events(
        "[16846.426141] rcu: INFO: rcu_sched self-detected stall on CPU\n\
             [16846.426273] NMI backtrace for cpu 32\n[16846.426406] Call Trace:\n\
             [16846.426947] [c000200010823740] [c000000000029494] timer_interrupt+0x134/0x310\n\
             [16846.426989] [c0002000108237a0] [c000000000016c54] replay_soft_interrupts+0x124/0x2e0\n\
             [16846.427103] [c0002000108239c0] [c00000000017247c] mod_delayed_work_on+0x8c/0xe0\n\
             [16846.427149] [c000200010823a20] [c00800000819fe04] jiffies+0x0/0x80\n",
    );
    let frames: Vec<_> = found[0].stacks.iter().flat_map(|s| &s.frames).map(|f| (f.context, f.reliable)).collect();
    use facts::Context::{Irq, Task};
    assert_eq!(frames, [(Irq, true), (Irq, true), (Task, true), (Task, false)]);
}

const DOUBLED: &str = "[  467.167062] BUG: kernel NULL pointer dereference, address: 0000000000000020
[  467.167065] #PF: supervisor read access in kernel mode
[  467.167069] Oops: 0000 [#1] PREEMPT SMP PTI
[  467.167071] CPU: 5 PID: 2962 Comm: z_wr_iss Tainted: P           O      5.17.0-1013-oem #14-Ubuntu
[  467.167073] RIP: 0010:zap_leaf_lookup+0x4d/0x170 [zfs]
[  467.167075] Call Trace:
[  467.167076]  <TASK>
[  467.167077]  fzap_length+0x85/0xf0 [zfs]
[  467.167078]  zap_length_uint64+0xe2/0x1c0 [zfs]
[  467.167080]  </TASK>
[  467.167081] ---[ end trace 0000000000000000 ]---
";

#[test]
fn two_consoles_on_one_port_double_no_frame() {
    let text: String = DOUBLED.lines().map(|line| format!("{line}\n{line}\n")).collect();
    let (once, twice) = (events(DOUBLED), events(&text));
    let frames = |found: &[crate::Event]| found[0].stacks[0].functions().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!((once.len(), twice.len()), (1, 1));
    assert_eq!(frames(&once), frames(&twice));
    assert_eq!((&once[0].corrupted, &twice[0].corrupted), (&None, &None));
    // A function that calls itself stays.
    let recursion = DOUBLED
        .replace("fzap_length+0x85/0xf0", "walk+0x10/0x20")
        .replace("zap_length_uint64+0xe2/0x1c0", "walk+0x10/0x20");
    let deep =
        recursion.replace(" </TASK>", " walk+0x10/0x20\n[  467.167080]  walk+0x10/0x20\n[  467.167080]  </TASK>");
    assert_eq!(frames(&events(&deep)).len(), 4);
}

#[test]
fn registers_of_a_symbolised_log_name_the_function_that_others_are_part_of() {
    let text =
        "Oops: general protection fault, probably for non-canonical address 0xdffffc0000000000: 0000 [#1] SMP KASAN PTI
CPU: 1 UID: 0 PID: 5994 Comm: syz.0.17 Not tainted syzkaller #0 PREEMPT(full)
RIP: 0010:bitmap_subset include/linux/bitmap.h:433 [inline]
RIP: 0010:cpumask_subset include/linux/cpumask.h:836 [inline]
RIP: 0010:rebuild_sched_domains_locked+0x2aa/0x980 kernel/cgroup/cpuset.c:967
Call Trace:
 <TASK>
 rebuild_sched_domains_cpuslocked kernel/cgroup/cpuset.c:983 [inline]
 rebuild_sched_domains+0x21/0x40 kernel/cgroup/cpuset.c:990
";
    assert_eq!(events(text)[0].title, "general protection fault in rebuild_sched_domains_locked");
}

#[test]
fn a_frame_in_which_another_line_was_printed_is_put_together() {
    let text = "[1038750.293558] INFO: task nfsd:17206 blocked for more than 120 seconds.
[1038750.294283]       Tainted: P           OE   4.4.302+ #69057
[1038750.295745] nfsd            D ffff880170e47a08     0 17206      2 0x00000000
[1038750.299241] Call Trace:
[1038750.299528]  [<ffffffff81579620>] schedule+0x30/0x80
[1038750.300119]  [<ffffffff81579899>] sched[1043267.444164] serial8250: too much work for irq4
ule_preempt_disabled+0x9/0x10
[1038750.300784]  [<ffffffff8157af3f>] __mutex_lock_slowpath+0x8f/0xf0
";
    let found = events(text);
    let frames: Vec<&str> = found[0].stacks[0].functions().collect();
    assert_eq!(frames, ["schedule", "schedule_preempt_disabled", "__mutex_lock_slowpath"]);
}

#[test]
fn a_wrong_call_target_and_the_trap_of_it_are_one() {
    for trap in [
        "Oops: invalid opcode: 0000 [#1] PREEMPT SMP NOPTI",
        "Internal error: Oops - CFI: 00000000f2008228 [#1] PREEMPT SMP",
    ] {
        let text = format!(
            "[   52.100000] CFI failure at do_nothing+0x1c/0x28 [demo] (target: other_fn+0x0/0x10 [demo]; expected type: 0x12345678)\n\
             [   52.100001] {trap}\n[   52.100003] CPU: 1 PID: 99 Comm: cat Not tainted 6.12.0 #1\n\
             [   52.100004] RIP: 0010:do_nothing+0x1c/0x28 [demo]\n[   52.100005] Call Trace:\n\
             [   52.100006]  demo_write+0x20/0x40 [demo]\n[   52.100007]  vfs_write+0xb0/0x2a0\n"
        );
        let found = events(&text);
        assert_eq!(
            found.iter().map(|e| (&*e.title, e.class)).collect::<Vec<_>>(),
            [("CFI failure in do_nothing", "trap")],
            "{trap}"
        );
    }
}
