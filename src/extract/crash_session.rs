//! What a session with the crash utility says of the crash, where nobody kept the log: its banner has the last words of
//! the kernel, its `bt` the stack of the task that crashed, `foreach UN bt` the tasks that were blocked.

use std::collections::BTreeSet;
use std::sync::Arc;

use facts::{Fact, Frame, Stack};

use crate::derive;

/// Functions between the exception and the dump, and what they prove: kind of fact, class and title.
const HANDLERS: &[(&[&str], &str, &str, &str)] = &[
    (&["watchdog_overflow_callback", "watchdog_hardlockup_check"], "log.hard_lockup", "hard-lockup", "hard LOCKUP"),
    (&["watchdog_timer_fn"], "log.soft_lockup", "soft-lockup", "BUG: soft lockup"),
    (
        &["page_fault", "asm_exc_page_fault", "do_page_fault", "async_page_fault"],
        "log.oops",
        "paging-fault",
        "BUG: unable to handle kernel paging request",
    ),
    (&["invalid_op", "asm_exc_invalid_op"], "log.oops", "bug-on", "kernel BUG"),
    (&["general_protection", "asm_exc_general_protection"], "log.oops", "gpf", "general protection fault"),
    (&["divide_error", "asm_exc_divide_error"], "log.oops", "divide-error", "divide error"),
];
/// Functions that take the dump: the task whose stack has one of them is the one that crashed.
const CAPTURE: &[&str] = &["machine_kexec", "crash_kexec", "__crash_kexec", "panic", "oops_end"];

/// The crash as a report of the log would tell it, if no log does.
pub(super) fn crash(facts: &[Fact]) -> Option<Fact> {
    let reported = |fact: &Fact| {
        fact.kind.starts_with("log.") && matches!(fact.text("severity"), Some("report" | "panic"))
            || fact.kind == "dump.state"
    };
    if facts.iter().any(reported) {
        return None;
    }
    let banner = facts.iter().find_map(|fact| (fact.kind == "node.crash_banner").then(|| fact.text("panic")).flatten());
    let (fact, stack) = facts.iter().filter(|fact| fact.kind == "node.backtrace").find_map(|fact| {
        let stack = fact.stacks.first()?;
        stack.functions().take(8).any(|f| CAPTURE.contains(&f)).then_some((fact, stack))
    })?;
    // drgn marks no frame: what the exception interrupted stands below its entry.
    let entry = |frame: &Frame| {
        let name = frame.function.as_deref().unwrap_or_default();
        name.starts_with("asm_exc_") || HANDLERS.iter().any(|(names, ..)| names.contains(&name))
    };
    let at = stack.frames.iter().position(|frame| frame.interrupted).or_else(|| {
        let at = stack.frames.iter().rposition(entry)? + 1;
        (at < stack.frames.len()).then_some(at)
    });
    let (above, below) = stack.frames.split_at(at.unwrap_or(0));
    let above: Vec<&str> = above.iter().filter_map(|frame| frame.function.as_deref()).collect();
    let said = banner.and_then(|text| first_event(text, fact));
    let (_, kind, class, title) = HANDLERS
        .iter()
        .find(|(names, ..)| above.iter().any(|f| names.contains(f)))
        .or(at.is_some().then_some(&(&[][..], "log.oops", "trap", "Oops")))
        .copied()
        .unwrap_or((&[], "", "", ""));
    let mut crash = match said {
        Some(event) => event,
        None if kind.is_empty() => return None,
        None => {
            Fact::new(kind, fact.origin.clone()).with("class", class).with("severity", "report").with("title", title)
        }
    };
    crash.origin = fact.origin.clone();
    if let Some(place) = below.first().filter(|_| at.is_some()) {
        let function = place.function.as_deref().unwrap_or_default().to_owned();
        let title = crash.text("title").unwrap_or_default().to_owned();
        let title = if title.contains(" in ") { title } else { format!("{title} in {function}") };
        crash = crash.with("title", title);
        // The frame below the exception names its module.
        let module = below.iter().skip(1).find(|f| f.function == place.function).and_then(|f| f.module.as_deref());
        crash = crash.with_opt("module", module.map(str::to_owned)).with("function", function);
    }
    for name in ["pid", "comm"] {
        if let Some(value) = fact.get(name).cloned() {
            crash.values.entry(name.into()).or_insert(value);
        }
    }
    if let Some(cpu) = stack.cpu {
        crash.values.entry("cpu".into()).or_insert(i64::from(cpu).into());
    }
    let mut trace = Stack::clone(stack);
    trace.name = "call trace".into();
    trace.frames = below.iter().skip(usize::from(at.is_some())).cloned().collect();
    crash.stacks = vec![Arc::new(trace)];
    let quote = match (banner.filter(|text| !text.is_empty()), crash.text("function")) {
        (Some(text), _) => format!("PANIC: \"{text}\""),
        (None, Some(function)) => {
            let who = fact.text("comm").filter(|comm| !comm.is_empty()).unwrap_or("the task that crashed");
            format!("{who} in {function}")
        }
        (None, None) => fact.quote.clone(),
    };
    Some(crash.quoting(quote))
}

/// Blocked tasks that are told of, at most.
const MAX_BLOCKED: usize = 512;

/// Functions in which a task sleeps so that no signal but a deadly one wakes it.
const UNINTERRUPTIBLE: &[&str] = &[
    "io_schedule*",
    "bit_wait_io*",
    "rwsem_down_*",
    "down_read*",
    "down_write*",
    "rtnl_lock*",
    "rtnl_net_lock*",
    "sleep_on_page*",
    "sleep_on_buffer",
    "percpu_rwsem_wait*",
    "mutex_lock*",
    "down",
    "down_common",
    "lock_page*",
    "folio_lock",
    "folio_wait_*",
    "wait_on_page_*",
    "wait_on_buffer",
    "wait_rcu_gp",
    "synchronize_rcu*",
    "schedule_timeout_uninterruptible",
    "msleep",
    "wait_for_completion",
    "wait_for_completion_io",
    "flush_work",
    "flush_workqueue",
    "wait_transaction_locked",
    "jbd2_log_wait_commit",
    "rpc_wait_bit_killable",
    "nfs_wait_bit_killable",
];
/// Frames between the scheduler and these.
const MAX_SCHEDULER: usize = 6;

/// Does the task sleep uninterruptibly, by its stack?
fn sleeps_uninterruptibly(stack: &Stack) -> bool {
    let first = || stack.functions().take(MAX_SCHEDULER);
    let is = |f: &str| derive::functions::any(UNINTERRUPTIBLE, derive::names::plain(f).trim_start_matches('_'));
    first().any(is)
        && !first().any(|f| CAPTURE.contains(&f))
        && !first().any(|f| f.contains("interruptible") && f != "schedule_timeout_uninterruptible")
}

/// The tasks of which the crash utility's `bt` or `/proc/PID/stack` shows that they are blocked, as the list of blocked
/// tasks that sysrq w prints would have them: those that the log has no report of.
pub(super) fn blocked(facts: &[Fact]) -> Vec<Fact> {
    let reported: BTreeSet<i64> =
        facts.iter().filter(|f| f.kind == "log.hung_task").filter_map(|f| f.int("pid")).collect();
    let is_blocked = |fact: &Fact| match fact.text("state") {
        Some(state) => state == "D",
        None => fact.stacks.first().is_some_and(|stack| sleeps_uninterruptibly(stack)),
    };
    let asked = facts.iter().filter(|f| f.kind == "node.backtrace" && is_blocked(f));
    let asked = asked.filter(|f| f.int("pid").is_some_and(|pid| !reported.contains(&pid)));
    let told = asked.map(|fact| {
        let mut blocked = Fact::new("log.hung_task", fact.origin.clone())
            .with("class", "hung-task")
            .with("severity", "report")
            .with("title", "INFO: task hung")
            .with("state", "D")
            .with("listed", true)
            .quoting(fact.quote.clone());
        for name in ["pid", "comm"] {
            if let Some(value) = fact.get(name).filter(|value| value.as_text() != Some("")).cloned() {
                blocked.values.insert(name.into(), value);
            }
        }
        blocked.stacks.clone_from(&fact.stacks);
        blocked
    });
    told.take(MAX_BLOCKED).collect()
}

/// What the log's reader makes of the last words.
fn first_event(text: &str, fact: &Fact) -> Option<Fact> {
    let line = format!("[    1.000000] {text}\n");
    let mut events = klog::read(&fact.origin.member, line.as_bytes()).boots.into_iter().flat_map(|boot| boot.events);
    let event = events.find(|event| event.severity >= klog::Severity::Report)?;
    let mut told = event.to_fact(&fact.origin.member);
    (told.time, told.stacks) = (None, Vec::new());
    told.values.remove("corrupted");
    Some(told)
}

#[cfg(test)]
mod tests {
    use facts::Origin;

    use super::*;

    #[test]
    fn blocked_tasks_that_were_asked_for_are_listed_once() {
        let blocked_task = |pid: i64| {
            backtrace(&["__schedule", "schedule", "rwsem_down_write_slowpath", "ext4_file_write_iter"])
                .with("pid", pid)
                .with("state", "D")
        };
        let known = Fact::new("log.hung_task", Origin::lines("m", 1, 9)).with("pid", 8);
        let other = backtrace(&["__schedule", "schedule", "do_wait"]).with("pid", 9);
        let told = blocked(&[blocked_task(7), blocked_task(8), other, known]);
        assert_eq!(told.len(), 1);
        assert_eq!(told[0].int("pid"), Some(7));
        assert!(told[0].stacks[0].functions().any(|f| f == "ext4_file_write_iter"));
        assert!(told[0].get("listed").is_some());
    }

    #[test]
    fn what_a_task_sleeps_in_tells_whether_it_is_blocked() {
        for (functions, is) in [
            (&["__schedule", "schedule", "rwsem_down_write_slowpath", "ext4_file_write_iter"][..], true),
            (&["__mutex_lock.isra.5", "nfsd_dispatch"], true),
            (&["rtnl_lock", "unregister_netdevice_notifier", "bcm_release"], true),
            (&["down_write_killable", "vm_mmap_pgoff"], true),
            (&["down_read_interruptible", "f"], false),
            (&["msleep", "netdev_run_todo", "cleanup_net"], true),
            (&["__schedule", "schedule", "schedule_timeout", "io_schedule_timeout", "balance_dirty_pages"], true),
            (&["__schedule", "schedule", "ep_poll", "do_epoll_wait"], false),
            (&["__mutex_lock", "__mutex_lock_interruptible_slowpath", "uinput_write"], false),
            (&["__schedule", "schedule", "schedule_timeout", "wait_for_completion_interruptible"], false),
            (&["worker_thread", "kthread", "ret_from_fork"], false),
            (&["machine_kexec", "panic", "mutex_lock"], false),
        ] {
            assert_eq!(!blocked(&[backtrace(functions)]).is_empty(), is, "{functions:?}");
        }
        // Where somebody says so, what it sleeps in decides nothing.
        let said = backtrace(&["__schedule", "schedule", "msleep"]).with("state", "S");
        assert!(blocked(&[said]).is_empty());
    }

    fn backtrace(functions: &[&str]) -> Fact {
        let mut stack = Stack::printed("task");
        for name in functions {
            let mut frame = Frame::printed(name.trim_start_matches('!'));
            frame.interrupted = name.starts_with('!');
            stack.frames.push(frame);
        }
        let mut fact = Fact::new("node.backtrace", Origin::lines("s", 1, 9)).with("pid", 7).with("comm", "x");
        fact.stacks.push(Arc::new(stack));
        fact
    }

    #[test]
    fn the_last_words_and_the_stack_are_one_report() {
        let bt = backtrace(&["machine_kexec", "oops_end", "invalid_op", "!__fput", "____fput", "task_work_run"]);
        let banner = Fact::new("node.crash_banner", Origin::lines("s", 1, 1))
            .with("panic", "kernel BUG at include/linux/fs.h:2582!");
        let told = crash(&[banner, bt.clone()]).unwrap();
        assert_eq!(
            (&*told.kind, told.text("class"), told.text("title")),
            ("log.oops", Some("bug-on"), Some("kernel BUG at include/linux/fs.h in __fput"))
        );
        assert_eq!(told.stacks[0].functions().collect::<Vec<_>>(), ["____fput", "task_work_run"]);
        let alone = crash(std::slice::from_ref(&bt)).unwrap();
        assert_eq!((alone.text("class"), alone.text("function")), (Some("bug-on"), Some("__fput")));
    }

    #[test]
    fn below_the_entry_of_the_exception_stands_what_crashed() {
        let bt = backtrace(&["__crash_kexec", "panic", "oops_end", "page_fault_oops", "asm_exc_page_fault", "f", "g"]);
        let told = crash(std::slice::from_ref(&bt)).unwrap();
        assert_eq!((told.text("class"), told.text("function")), (Some("paging-fault"), Some("f")));
        assert_eq!(told.quote, "x in f");
        assert_eq!(told.stacks[0].functions().collect::<Vec<_>>(), ["g"]);
    }

    #[test]
    fn a_log_and_stacks_of_other_tasks_need_none() {
        let report = Fact::new("log.oops", Origin::lines("s", 1, 1)).with("severity", "report");
        let bt = backtrace(&["machine_kexec", "page_fault", "!f", "g"]);
        assert!(crash(&[report, bt]).is_none());
        assert!(crash(&[backtrace(&["__schedule", "schedule", "f"])]).is_none());
    }
}
