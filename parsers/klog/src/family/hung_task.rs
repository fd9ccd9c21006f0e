//! `INFO: task java:77 blocked for more than 120 seconds.`

use facts::FieldType;

use super::{Before, Family, From, Opened, field, kind};
use crate::cursor::{Cursor, has, number_after, split};
use crate::event::{Event, Severity};
use crate::report::{Report, Step, Task, task_line};
use crate::{Line, class};

pub(crate) static FAMILY: Family = Family {
    name: "hung_task",
    anchors: &["INFO: task ", "/hung_task_timeout_secs\" disables this message"],
    from: From::Kernel,
    open,
    body,
    finish,
    kind: kind(
        "log.hung_task",
        "A task slept uninterruptibly for longer than the hung-task timeout",
        &[
            field("seconds", FieldType::Int, "s", "the timeout that passed"),
            field("listed", FieldType::Bool, "", "of a list of tasks that somebody asked for (sysrq w or t)"),
            field("state", FieldType::Text, "", "state letter of the task line"),
            field("top", FieldType::Text, "", "first frame that is no part of the scheduler or of a wait primitive"),
            field(
                "owner_comm",
                FieldType::Text,
                "",
                "command name of the lock's owner, where the kernel names it (7.x)",
            ),
            field("owner_pid", FieldType::Int, "", "its pid"),
            field("locks", FieldType::List, "", "lines of the locks held in the system, with lockdep"),
        ],
    ),
};

/// Lines of held locks that are kept.
const MAX_LOCKS: usize = 256;

/// Functions in which a task waits for a disk for a moment.
const DISK_WAITS: &[&str] = &[
    "io_schedule",
    "bit_wait_io",
    "submit_bio_wait",
    "blk_",
    "blkdev_",
    "wait_on_page",
    "folio_wait",
    "wait_on_buffer",
    "__wait_on_buffer",
    "sync_buffer",
    "jbd2_",
    "xlog_",
    "xfs_buf_",
    "zio_wait",
];

/// The report of a blocked task in a list that somebody asked for.
pub(super) fn listed(task: Task<'_>, line: &Line<'_>) -> Event {
    let mut event = Event::new(FAMILY.name, class::HUNG_TASK, Severity::Report).titled("INFO: task hung");
    event.comm = Some(task.comm.to_owned());
    event.pid = task.pid;
    event.set("state", "D");
    event.set("listed", true);
    event.quote = line.text().to_owned();
    (event.first_line, event.last_line) = (line.number, line.number);
    (event.time, event.caller) = (line.time, line.caller);
    event.host = line.host.map(str::to_owned);
    event
}

fn open(line: &Line<'_>, before: Before<'_>) -> Option<Opened> {
    let mut c = Cursor::new(line.text());
    if c.take("\"echo 0 > /proc/sys/kernel/hung_task_timeout_secs") && before.current.is_none() {
        let event = Event::new(FAMILY.name, class::HUNG_TASK, Severity::Report).titled("INFO: task hung");
        return Opened::headless(event);
    }
    if !c.take("INFO: task ") {
        return None;
    }
    let rest = c.rest();
    if rest.contains('\u{fffd}') && !has(rest, " blocked ") {
        // The name was overwritten and holds a newline; the task's own line must follow.
        let event = Event::new(FAMILY.name, class::HUNG_TASK, Severity::Report).titled("INFO: task hung");
        return Opened::trace(event);
    }
    let (who, what) = split(rest, " blocked ").or_else(|| split(rest, " can't die "))?;
    if !has(what, " for more than ") && !what.starts_with("for more than ") && !has(what, "in more than ") {
        return None;
    }
    let (comm, pid) = who.rsplit_once(':')?;
    // Names and numbers are made unreadable before a log is shown to others.
    let hidden = !pid.is_empty() && pid.len() <= 16 && !pid.contains(' ') && what.starts_with("for more than ");
    let pid = pid.parse::<i64>().ok();
    (pid.is_some() || hidden).then_some(())?;
    let mut event = Event::new(FAMILY.name, class::HUNG_TASK, Severity::Report)
        .titled("INFO: task hung")
        .with_opt("seconds", number_after(what, "more than "));
    event.comm = Some(comm.to_owned());
    event.pid = pid;
    Opened::trace(event)
}

fn body(report: &mut Report, line: &Line<'_>) -> Step {
    let text = line.text();
    if text.starts_with("\"echo 0 > /proc/sys/kernel/hung_task") || text.starts_with("Blocked by coredump") {
        return Step::Take;
    }
    let event = &mut report.event;
    if event.taint.is_none()
        && !text.starts_with("CPU:")
        && (text.starts_with("Tainted: ") || text.starts_with("Not tainted "))
    {
        let tail = text.trim_start_matches("Not tainted");
        let release = tail.split_ascii_whitespace().find(|w| w.starts_with(|c: char| c.is_ascii_digit()));
        event.release = release.map(str::to_owned);
        event.taint = Some(
            tail.strip_prefix("Tainted: ")
                .map(|t| t.split(|c: char| c.is_ascii_digit()).next().unwrap_or(""))
                .unwrap_or("")
                .chars()
                .filter(char::is_ascii_alphabetic)
                .collect(),
        );
        return Step::Take;
    }
    if let Some(task) = task_line(text) {
        if task.pid == event.pid || event.pid.is_none() {
            // The head is lost, or names the task so that nobody can read it.
            if event.pid.is_none() && event.comm.is_none() {
                event.comm = Some(task.comm.to_owned());
                event.pid = task.pid;
            }
            if let Some(state) = task.state {
                event.set("state", state.to_string());
            }
            return Step::Take;
        }
        if task.pid.is_some() && event.fields.get("owner_pid").and_then(|v| v.as_int()) == task.pid {
            report.begin_stack("lock owner");
            return Step::Take;
        }
        return Step::Pass;
    }
    if text.starts_with("INFO: task ") && (has(text, "blocked on a") || has(text, "owned by")) {
        if let Some((_, owner)) = text.rsplit_once(" task ") {
            let owner = owner.split(" <").next().unwrap_or(owner).trim_end_matches('.');
            if let Some((comm, pid)) = owner.rsplit_once(':') {
                event.set("owner_comm", comm);
                if let Ok(pid) = pid.parse::<i64>() {
                    event.set("owner_pid", pid);
                }
            }
        }
        return Step::Take;
    }
    let lock_line = text.starts_with("Showing all locks held")
        || has(text, " held by ") && has(text, " lock")
        || text.starts_with('#') && has(text, "at: ");
    if lock_line {
        match event.fields.get_mut("locks") {
            Some(facts::Value::List(lines)) if lines.len() < MAX_LOCKS => lines.push(text.into()),
            Some(_) => {}
            None => event.set("locks", vec![text]),
        }
        return Step::Take;
    }
    Step::Pass
}

/// Is this function a part of the scheduler or of a primitive to wait with?
pub(crate) fn waits(function: &str) -> bool {
    const NAMES: &[&str] = &[
        "__schedule",
        "schedule",
        "context_switch",
        "io_schedule",
        "preempt_schedule",
        "__switch_to",
        "wait_for_completion",
        "wait_for_common",
        "do_wait_for_common",
        "__wait_for_common",
        "wait_on_",
        "__wait_on_",
        "out_of_line_wait_on",
        "bit_wait",
        "__mutex_lock",
        "mutex_lock",
        "mutex_",
        "rt_mutex",
        "rwsem_",
        "down",
        "__down",
        "call_rwsem",
        "percpu_down",
        "percpu_rwsem",
        "synchronize_",
        "__synchronize",
        "wait_rcu_gp",
        "__wait_rcu_gp",
        "_synchronize_rcu",
        "flush_work",
        "__flush_work",
        "flush_workqueue",
        "msleep",
        "usleep",
        "lock_page",
        "__lock_page",
        "folio_wait",
        "__folio_lock",
        "folio_lock",
        "rtnl_lock",
        "osq_lock",
        "prepare_to_wait",
        "wait_woken",
        "kthread_park",
        "autoremove_wake",
        "lock_sock_nested",
        "__lock_sock",
        "__wait_for_",
        "blk_wait_io",
        "rcu_barrier",
        "rcu_exp_",
        "exp_funnel_lock",
        "wait_event",
        "schedule_",
    ];
    NAMES.iter().any(|name| function.starts_with(name))
}

fn finish(report: &mut Report) {
    let event = &mut report.event;
    let listed = event.fields.contains_key("listed");
    if (event.pid.is_none() || listed) && event.stacks.is_empty() {
        report.discard = true;
        return;
    }
    let functions = event.stacks.iter().flat_map(|s| &s.frames).filter_map(|f| f.function.as_deref());
    let waits_for_disk = |f: &str| DISK_WAITS.iter().any(|head| f.starts_with(head));
    // One that waits for a disk may do so for a moment only.
    if listed && functions.take(10).any(waits_for_disk) {
        event.severity = Severity::Notice;
        event.set("consequence", "it waits for a disk");
    }
    // A trace of wait primitives alone still says for what: `rtnl_lock`, `synchronize_net`.
    let outermost = |s: &facts::Stack| {
        let plain = |f: &&str| !["schedul", "slow", "rwsem_down", "_common"].iter().any(|part| f.contains(part));
        s.functions().filter(plain).last().map(str::to_owned)
    };
    let top = event
        .stacks
        .first()
        .and_then(|s| s.functions().find(|f| !waits(f)).map(str::to_owned).or_else(|| outermost(s)));
    if top.is_none() && !event.stacks.is_empty() {
        report.torn = Some("its trace ends inside the scheduler".to_owned());
    }
    if let Some(top) = top {
        event.title = format!("INFO: task hung in {top}");
        event.set("top", top);
    }
}
