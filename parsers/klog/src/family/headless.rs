//! A report whose head is not in the text: a log that begins in the middle of one, lines that were lost. What it was is
//! told by the functions of its trace that report.

use super::{Before, Family, From, Opened, hung_task, kasan, kind, panic};
use crate::cursor::{Cursor, has, head_of, split};
use crate::event::{Event, Severity};
use crate::line::Writer;
use crate::report::{Report, STOPPED, Step, frame, is_frame, is_trace_head, speaks_of, task_line};
use crate::{Line, class};

pub(super) static FAMILY: Family = Family {
    name: "headless",
    anchors: &[
        "Call Trace:",
        "Call trace:",
        "Backtrace:",
        "RIP: 0010:",
        "RIP: e030:",
        "RIP  [<",
        "EIP is at ",
        "PC is at ",
        "pc : ",
        "epc : ",
        "epc   : ",
        "NIP [",
        "Krnl PSW : ",
        " Comm: ",
        "The buggy address belongs to ",
    ],
    from: From::Kernel,
    open,
    body,
    finish,
    kind: kind("log.headless", "A report whose head is not in the text, of a kind that nothing tells", &[]),
};

/// Frames that a trace must have where nothing but frames is there.
const ENOUGH: usize = 5;

/// Functions by which the kernel reports, without leading underscores: the family, the class and the title of the report.
/// Those of one kind of report stand before those that several share.
const TELLING: &[(&[&str], &str, &str, &str)] = &[
    (
        &["kasan_report", "kasan_report_error", "kasan_report_invalid_free", "kasan_end_report"],
        "kasan",
        class::OUT_OF_BOUNDS,
        "KASAN",
    ),
    (&["kfence_report_error"], "kfence", class::OUT_OF_BOUNDS, "KFENCE"),
    (&["kmsan_report"], "kmsan", class::UNINIT_VALUE, "KMSAN"),
    (&["ubsan_epilogue"], "ubsan", class::UBSAN, "UBSAN"),
    (&["watchdog_overflow_callback", "watchdog_hardlockup_check"], "hard_lockup", class::HARD_LOCKUP, "hard LOCKUP"),
    (
        &["rcu_dump_cpu_stacks", "print_cpu_stall", "print_other_cpu_stall"],
        "rcu_stall",
        class::RCU_STALL,
        "INFO: rcu detected stall",
    ),
    (&["oom_kill_process", "out_of_memory"], "oom", class::OOM, "out of memory"),
    (&["warn_alloc", "warn_alloc_failed"], "page_alloc_failure", class::PAGE_ALLOC_FAILURE, "page allocation failure"),
    (&["slab_out_of_memory"], "slab_alloc_failure", class::SLAB_ALLOC_FAILURE, "slab allocation failure"),
    (&["bad_page", "print_bad_pte"], "bad_page", class::BAD_PAGE, "BUG: Bad page state"),
    (
        &["might_sleep", "might_resched", "schedule_bug"],
        "atomic_sleep",
        class::ATOMIC_SLEEP,
        "BUG: sleeping function called from invalid context",
    ),
    (
        &["check_preemption_disabled"],
        "preempt_check",
        class::PREEMPT_CHECK,
        "BUG: using smp_processor_id() in preemptible code",
    ),
    (
        &[
            "print_circular_bug",
            "print_deadlock_bug",
            "print_usage_bug",
            "print_bad_irq_dependency",
            "print_lock_invalid_wait_context",
            "print_irq_inversion_bug",
            "lockdep_rcu_suspicious",
            "print_unlock_imbalance_bug",
        ],
        "lockdep",
        class::LOCKDEP,
        "lockdep",
    ),
    (
        &["object_err", "slab_err", "print_trailer", "slab_pad_check", "check_bytes_and_report"],
        "slab_corruption",
        class::SLAB_CORRUPTION,
        "slab corruption",
    ),
    (
        &["list_add_valid", "list_add_valid_or_report", "list_del_entry_valid", "list_del_entry_valid_or_report"],
        "warning",
        class::LIST_CORRUPTION,
        "list corruption",
    ),
    (&["usercopy_abort"], "warning", class::USERCOPY, "usercopy"),
    (&["refcount_warn_saturate"], "warning", class::REFCOUNT, "WARNING"),
    (
        &["warn", "warn_slowpath_common", "warn_slowpath_fmt", "warn_slowpath_null"],
        "warning",
        class::WARNING,
        "WARNING",
    ),
    (&["watchdog_timer_fn"], "soft_lockup", class::SOFT_LOCKUP, "BUG: soft lockup"),
    (
        &[
            "die_kernel_fault",
            "no_context",
            "page_fault_oops",
            "do_kernel_fault",
            "bad_area_nosemaphore",
            "bad_page_fault",
        ],
        "oops",
        class::PAGING_FAULT,
        "BUG: unable to handle kernel paging request",
    ),
    (&["do_general_protection", "exc_general_protection"], "oops", class::GPF, "general protection fault"),
    (&["do_invalid_op", "exc_invalid_op", "bug_handler"], "oops", class::BUG_ON, "kernel BUG"),
    (&["do_divide_error", "exc_divide_error"], "oops", class::DIVIDE_ERROR, "divide error"),
    (&["die", "oops_end", "oops_exit"], "oops", class::TRAP, "Oops"),
];

/// Functions in which a CPU does nothing: an interrupt that came upon them tells nothing.
const IDLE: &[&str] = &[
    "default_idle",
    "mwait_idle",
    "intel_idle",
    "acpi_idle",
    "native_safe_halt",
    "cpuidle_",
    "cpu_idle",
    "arch_cpu_idle",
    "pv_native_safe_halt",
    "acpi_safe_halt",
    "do_idle",
];

/// Functions with which the stack of a task begins that sleeps, or of which somebody asked for the stack.
const ASLEEP: &[&str] =
    &["schedule", "context_switch", "switch_to", "io_schedule", "do_nanosleep", "wait_", "poll_schedule"];

const SECOND: i64 = 1_000_000_000;

/// Below this a fault address is a NULL pointer and the offset of a member.
const NULL_PAGE: u64 = 4096;

fn open(line: &Line<'_>, before: Before<'_>) -> Option<Opened> {
    if before.current.is_some() {
        return None;
    }
    let text = line.text();
    // Where nothing says who wrote, only what the kernel alone prints is taken: tools print frames too.
    let kernel = line.writer == Writer::Kernel;
    let begins = is_place(text)
        || text.starts_with("The buggy address belongs to ")
        || is_trace_head(text)
        || kernel && (text.starts_with("CPU: ") || is_frame(text) && !text.starts_with("[<0>]") || is_registers(text));
    if let Some(task) = before.task.filter(|task| task.state == Some('D') && is_trace_head(text)) {
        let mut event =
            Event::new(hung_task::FAMILY.name, class::HUNG_TASK, Severity::Report).titled("INFO: task hung");
        event.comm = Some(task.comm.to_owned());
        event.pid = task.pid;
        event.set("state", "D");
        event = event.with_opt("workqueue", before.work);
        return Opened::headless(event);
    }
    let mut event = Event::new(FAMILY.name, class::CORRUPTED, Severity::Report);
    if before.again && is_place(text) {
        // The summary for the last screen: only an oops ends so.
        event.family = "oops";
    }
    begins.then(|| Opened::headless(event)).flatten()
}

/// A line that names the program counter in kernel code.
fn is_place(text: &str) -> bool {
    const HEADS: &[&str] = &["RIP: 0010:", "RIP: e030:", "RIP  [<", "EIP is at ", "PC is at ", "NIP [", "Krnl PSW : "];
    head_of(text, HEADS).is_some() || (text.starts_with("pc : ") || text.starts_with("epc ")) && frame::has_offset(text)
}

/// Lines of a register block as x86 prints it.
fn is_registers(text: &str) -> bool {
    const HEADS: &[&str] = &["CS:  0010 DS: ", "RAX: ", "RDX: ", "RBP: ", "R10: ", "R13: ", "RSP: 0018:", "CR2: 00"];
    head_of(text, HEADS).is_some()
}

fn body(report: &mut Report, line: &Line<'_>) -> Step {
    let text = line.text();
    if report.event.family == hung_task::FAMILY.name {
        // The next task of the list.
        return if report.has_frames() && task_line(text).is_some() { Step::Stop } else { Step::Pass };
    }
    if text.starts_with("The buggy address belongs to ") {
        report.event.family = "kasan";
    }
    if report.event.family == "kasan" {
        if text.starts_with("freed ") && has(text, "-byte region [") {
            report.event.class = class::USE_AFTER_FREE;
        }
        return kasan::body(report, line);
    }
    // Of a die() only: the address of the fault, below the trace.
    if let Some(rest) = text.strip_prefix("CR2: ")
        && report.has_frames()
        && !has(rest, "CR3")
    {
        report.event.family = "oops";
        report.event.address = Cursor::new(rest).hex();
        return Step::Take;
    }
    if text.starts_with("note: ") && has(text, " exited with ") {
        report.event.family = "oops";
        return Step::Take;
    }
    if let Some(end) = text.strip_prefix(panic::END) {
        let reason = split(end, " ]--").map_or(end, |(reason, _)| reason);
        report.event.set("reason", reason.trim_start_matches(':').trim());
        return Step::End;
    }
    // Every report prints its CPU line above its trace: this one begins the next report.
    if report.has_frames_here() && speaks_of(text).is_some() {
        return Step::Stop;
    }
    let modules = text.starts_with("Modules linked in:");
    let passed = line.time.zip(report.event.time).and_then(|(now, then)| now.since(&then));
    let later = passed.is_some_and(|ns| ns > SECOND);
    // It begins the next one.
    if modules && report.has_frames() && later {
        return Step::Stop;
    }
    // die() prints these below the trace, a WARN above it.
    if report.has_frames() && (modules || text.starts_with("Code: ") && has(text, "(")) {
        report.event.family = "oops";
    }
    Step::Pass
}

fn finish(report: &mut Report) {
    if report.event.family == hung_task::FAMILY.name {
        return (hung_task::FAMILY.finish)(report);
    }
    let functions = || report.event.stacks.iter().flat_map(|stack| &stack.frames).filter_map(|f| f.function.as_deref());
    let bare = |name: &'_ str| name.trim_start_matches('_').split('.').next().unwrap_or_default().to_owned();
    let place = report.event.place.as_ref().map(|place| place.function.as_str());
    let tells = |names: &[&str]| place.into_iter().chain(functions()).any(|f| names.contains(&bare(f).as_str()));
    let known = TELLING.iter().find(|(names, ..)| tells(names));
    let first = place.or_else(|| functions().next()).map(bare).unwrap_or_default();
    let begins = |heads: &[&str]| heads.iter().any(|head| first.starts_with(head));
    let placed = report.event.place.is_some() || report.registers_seen > 0;
    let ends = report.event.fields.get("reason").and_then(|r| r.as_text()).map(str::to_owned);
    let panics = ends.is_some() || functions().take(4).any(|f| matches!(f, "panic" | "vpanic" | "nmi_panic"));
    let frames = functions().count();
    let sanitized = report.event.family == "kasan";
    // A stack that was asked for, of a task that sleeps or of a CPU that does nothing, is no report.
    // The end of the dump of one CPU that a panic stopped, and the dump of the next.
    let stops = report.event.stacks.iter().any(|stack| stack.name.starts_with(STOPPED)) && !placed;
    let silent = stops
        || begins(&["dump_stack", "show_stack", "dump_backtrace", "unwind_backtrace"])
        || begins(ASLEEP)
        || begins(IDLE);
    let summary = report.event.family == "oops" && frames == 0 && placed && report.event.place.is_some();
    if known.is_none() && !panics && !sanitized && !summary && (silent || frames == 0 || frames < ENOUGH && !placed) {
        report.discard = true;
        return;
    }
    let event = &mut report.event;
    // `ud2` of x86, `brk #0x800` of arm64
    let undefined = event.code.as_deref().is_some_and(|code| has(code, "<0f> 0b") || has(code, "(d4210000)"));
    let mut what = "report without its head";
    if let Some((_, family, class, title)) = known {
        (event.family, event.class, what) = (family, class, title);
    } else if sanitized {
        what = "KASAN";
    } else if panics {
        (event.family, event.class, event.severity) = ("panic", class::KERNEL_PANIC, Severity::Panic);
        what = "kernel panic";
    } else if event.family == "oops" {
        (event.class, what) = match event.address {
            Some(_) => (class::PAGING_FAULT, "BUG: unable to handle kernel paging request"),
            None if undefined => (class::BUG_ON, "kernel BUG"),
            None => (class::TRAP, "Oops"),
        };
    } else if undefined {
        (event.family, event.class, what) = ("warning", class::WARNING, "WARNING");
    }
    if event.family == "oops" && event.class == class::PAGING_FAULT && event.address.is_some_and(|a| a < NULL_PAGE) {
        event.class = class::NULL_DEREF;
        what = "BUG: unable to handle kernel NULL pointer dereference";
    }
    if event.family == "kasan" {
        let freed = event.stacks.iter().any(|stack| stack.name == "freed by");
        let told = event.class == class::USE_AFTER_FREE;
        event.class = if freed || told { class::USE_AFTER_FREE } else { class::OUT_OF_BOUNDS };
    }
    if matches!(event.class, class::OOM | class::PAGE_ALLOC_FAILURE | class::SLAB_ALLOC_FAILURE) {
        event.severity = Severity::Failure;
    }
    if panics {
        event.severity = Severity::Panic;
    }
    if let Some(reason) = ends {
        event.family = "panic";
        let (class, group) = panic::class_of(&reason);
        event.class = class;
        event.title = format!("kernel panic: {reason}");
        event.set("group", group);
        return;
    }
    event.title = match &event.place {
        Some(place) => format!("{what} in {}", place.function),
        None => what.to_owned(),
    };
}

#[cfg(test)]
mod tests {
    use super::super::tests::events;

    fn one(text: &str) -> (&'static str, &'static str, String) {
        let found = events(text);
        assert_eq!(found.len(), 1, "{text}\n{found:#?}");
        assert_eq!(found[0].corrupted.as_deref(), Some("its head is not in the text"), "{text}");
        (found[0].family, found[0].class, found[0].title.clone())
    }

    #[test]
    fn what_it_was_is_told_by_the_functions_that_report() {
        for (frames, family, class, title) in [
            (
                &["watchdog_overflow_callback", "perf_event_overflow", "do_nmi", "_raw_spin_lock"][..],
                "hard_lockup",
                "hard-lockup",
                "hard LOCKUP",
            ),
            (&["dump_stack_lvl", "__warn", "foo_release", "__fput"], "warning", "warning", "WARNING"),
            (&["dump_stack_lvl", "print_report", "kasan_report", "foo_release"], "kasan", "out-of-bounds", "KASAN"),
            (
                &["oops_end", "no_context", "do_page_fault", "page_fault", "foo_read"],
                "oops",
                "paging-fault",
                "BUG: unable to handle kernel paging request",
            ),
            (&["dump_stack", "panic", "foo_fatal", "kthread"], "panic", "kernel-panic", "kernel panic"),
            (
                &["foo_confirm", "nf_hook_slow", "ip_rcv", "netif_receive_skb", "process_backlog"],
                "headless",
                "corrupted",
                "report without its head",
            ),
        ] {
            let mut text = String::new();
            for (at, frame) in frames.iter().enumerate() {
                text += &format!("[  852.48{at}181]  {frame}+0x358/0x870\n");
            }
            assert_eq!(one(&text), (family, class, title.to_owned()), "{text}");
            // Somewhere in a log only a mark tells that frames follow.
            let prose = "[    1.000000] usb 1-1: new device\n".repeat(80);
            assert!(events(&(prose.clone() + &text)).is_empty());
            let found = events(&format!(
                "{prose}[  852.000000] RIP: 0010:bar_poll+0x10/0x20 [bar]\n[  852.000001] Call Trace:\n{text}"
            ));
            assert_eq!(found.len(), 1);
            assert_eq!(found[0].class, class);
            assert_eq!(found[0].place.as_ref().map(|p| p.function.as_str()), Some("bar_poll"));
        }
    }

    #[test]
    fn the_address_below_the_trace_tells_what_kind_of_fault_it_was() {
        let text = "\
[   10.000001] RIP: 0010:foo_read+0x10/0x20 [foo]
[   10.000002] RSP: 0018:ffffc90000003fa0 EFLAGS: 00010097
[   10.000003] Call Trace:
[   10.000004]  vfs_read+0x10/0x20
[   10.000005] Modules linked in: foo(O)
[   10.000006] CR2: 0000000000000018
[   10.000007] ---[ end trace 0000000000000000 ]---
";
        let title = "BUG: unable to handle kernel NULL pointer dereference in foo_read";
        assert_eq!(one(text), ("oops", "null-deref", title.to_owned()));
    }

    #[test]
    fn the_cpu_line_of_another_report_ends_one() {
        let frames = |names: [&str; 5]| names.map(|n| format!("[    5.000002]  {n}+0x1/0x20\n")).concat();
        let first = frames(["foo_confirm", "nf_hook_slow", "ip_rcv", "netif_receive_skb", "process_backlog"]);
        let second = frames(["dump_stack_lvl", "__warn", "bar_release", "__fput", "task_work_run"]);
        let found = events(&format!(
            "{first}[    6.000000] a head that nobody knows\n[    6.000000] CPU: 1 PID: 77 Comm: x Not tainted 6.1.0 #1\n\
             [    6.000000] Call Trace:\n{second}"
        ));
        let said: Vec<_> = found.iter().map(|e| (e.class, e.comm.as_deref())).collect();
        assert_eq!(said, [("corrupted", None), ("warning", Some("x"))]);
    }

    #[test]
    fn tasks_that_are_blocked_when_the_log_begins_are_hung() {
        let task = |comm: &str, state: &str| {
            format!(
                "[    5.000001] {comm:<15} {state} ffffffff81a3d028     0 10743      1 0x00000084\n[    5.000002] Call Trace:\n\
                 [    5.000003]  [<ffffffff8168ca69>] schedule_preempt_disabled+0x29/0x70\n\
                 [    5.000004]  [<ffffffff81689b2f>] mutex_lock+0x1f/0x2f\n[    5.000005]  [<ffffffff811f3677>] {comm}_write+0x137/0x400\n"
            )
        };
        let found = events(&(task("foo", "D") + &task("bar", "D")));
        let said: Vec<_> = found.iter().map(|e| (e.comm.as_deref(), e.title.as_str(), e.pid)).collect();
        let hung = |comm: &'static str, title: &'static str| (Some(comm), title, Some(10743));
        assert_eq!(said, [hung("foo", "INFO: task hung in foo_write"), hung("bar", "INFO: task hung in bar_write")]);
        // A list of all tasks.
        assert!(events(&(task("foo", "S") + &task("bar", "D"))).is_empty());
    }

    #[test]
    fn stacks_that_somebody_asked_for_are_no_reports() {
        for text in [
            // A driver that wants to know who called it.
            "[    5.000001] CPU: 1 PID: 77 Comm: x Not tainted 6.1.0 #1\n[    5.000002] Call Trace:\n[    5.000003]  dump_stack_lvl+0x1/0x2\n\
             [    5.000004]  foo_probe+0x1/0x2\n[    5.000005]  really_probe+0x1/0x2\n[    5.000006]  driver_attach+0x1/0x2\n",
            // The middle of what sysrq-t prints.
            "[    5.000001] task:bash            state:R  running task     stack:    0 pid:  293 ppid:     2 flags:0x00004000\n\
             [    5.000002] Call Trace:\n[    5.000003]  foo+0x1/0x2\n[    5.000004]  bar+0x1/0x2\n[    5.000005]  baz+0x1/0x2\n",
            "[    5.000002] Call Trace:\n[    5.000003]  __schedule+0x1/0x2\n[    5.000004]  schedule+0x1/0x2\n[    5.000005]  kthread+0x1/0x2\n",
            // /proc/PID/stack, and frames of a tool.
            "[<0>] foo+0x1/0x2\n[<0>] bar+0x1/0x2\n[<0>] baz+0x1/0x2\n[<0>] qux+0x1/0x2\n",
            "foo+0x1/0x2\nbar+0x1/0x2\nbaz+0x1/0x2\nqux+0x1/0x2\n",
            // An idle CPU.
            "[    5.000001] RIP: 0010:native_safe_halt+0xe/0x20\n[    5.000002] Call Trace:\n[    5.000003]  default_idle+0x1/0x2\n\
             [    5.000004]  do_idle+0x1/0x2\n[    5.000005]  cpu_startup_entry+0x1/0x2\n",
        ] {
            let found = events(text);
            assert!(found.is_empty(), "{text}\n{found:#?}");
        }
    }
}
