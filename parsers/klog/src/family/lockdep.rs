//! The lock validator: possible deadlocks, inconsistent states, suspicious RCU usage, locks held too long.

use std::collections::BTreeMap;

use facts::{FieldType, Value};

use super::object_history::is_rule;
use super::{Before, Family, From, Opened, field, kind};
use crate::cursor::{Bytes, Cursor, after, has, head_of, split};
use crate::event::{Event, Location, Severity};
use crate::report::{Report, Step, location_at};
use crate::{Line, class};

pub(super) static FAMILY: Family = Family {
    name: "lockdep",
    anchors: &[
        "possible circular locking dependency detected",
        "possible recursive locking detected",
        "possible irq lock inversion dependency detected",
        "lock order detected",
        "inconsistent lock state",
        "suspicious RCU usage",
        "suspicious rcu_dereference_check",
        "bad unlock balance detected",
        "bad contention detected",
        "held lock freed",
        "still has locks held",
        "ested lock was not taken",
        "lock held when returning to user space",
        "lock held at task exit time",
        "Invalid wait context",
        "trying to register non-static key",
        "workqueue leaked ",
        "circular locking deadlock detected",
        "BUG: MAX_LOCK",
        "BUG: key ",
        "BUG: looking up invalid subclass",
    ],
    from: From::Kernel,
    open,
    body,
    finish,
    kind: kind(
        "log.lockdep",
        "The lock validator found an order or a use of locks that can deadlock",
        &[
            field(
                "what",
                FieldType::Text,
                "",
                "circular, recursive, irq-inversion, irq-unsafe-order, inconsistent-state, rcu, bad-unlock, ...",
            ),
            field("wants", FieldType::Text, "", "class of the lock that is being taken"),
            field("wants_at", FieldType::Text, "", "function that takes it"),
            field("holds", FieldType::Text, "", "class of the lock already held"),
            field("holds_at", FieldType::Text, "", "function that took it"),
            field("usage", FieldType::Text, "", "states of an inconsistent lock: {IN-SOFTIRQ-W} -> {SOFTIRQ-ON-W}"),
            field("chain", FieldType::List, "", "the locks of the dependency chain, last taken first"),
            field("held", FieldType::List, "", "locks held: class, at"),
            field("file", FieldType::Text, "", "source file of a suspicious RCU use"),
            field("line", FieldType::Int, "", "line in it"),
            field("check", FieldType::Text, "", "the check that failed"),
            field("last_function", FieldType::Text, "", "work function that leaked a lock"),
        ],
    ),
};

/// Held locks kept; a task can hold at most 48.
const MAX_LOCKS: usize = 48;

/// Text of the title, word for the kind, normalised title.
const TITLES: &[(&str, &str, &str)] = &[
    ("possible circular locking dependency detected", "circular", "possible deadlock"),
    ("possible recursive locking detected", "recursive", "possible deadlock"),
    ("possible irq lock inversion dependency detected", "irq-inversion", "possible irq lock inversion dependency"),
    ("lock order detected", "irq-unsafe-order", "possible deadlock"),
    ("inconsistent lock state", "inconsistent-state", "inconsistent lock state"),
    ("suspicious RCU usage", "rcu", "WARNING: suspicious RCU usage"),
    ("bad unlock balance detected", "bad-unlock", "WARNING: bad unlock balance"),
    ("bad contention detected", "bad-contention", "WARNING: bad contention"),
    ("held lock freed", "held-lock-freed", "WARNING: held lock freed"),
    ("still has locks held", "held-at-exit", "WARNING: still has locks held"),
    ("ested lock was not taken", "nested-not-taken", "WARNING: nested lock was not taken"),
    ("lock held when returning to user space", "held-in-user", "WARNING: lock held when returning to user space"),
    ("lock held at task exit time", "held-at-exit", "WARNING: lock held at task exit time"),
    ("Invalid wait context", "wait-context", "BUG: Invalid wait context"),
    ("trying to register non-static key", "non-static-key", "INFO: trying to register non-static key"),
    ("circular locking deadlock detected", "rtmutex-deadlock", "rtmutex deadlock"),
];

fn open(line: &Line<'_>, before: Before<'_>) -> Option<Opened> {
    let text = line.text();
    // Up to 4.11 the titles stand in brackets.
    let bare = text.strip_prefix('[').map_or(text, str::trim_start);
    let bare = ["WARNING: ", "INFO: ", "BUG: "].iter().find_map(|head| bare.strip_prefix(head)).unwrap_or(bare);
    let headed = bare.len() < text.len();
    let mut event = Event::new(FAMILY.name, class::LOCKDEP, Severity::Report);
    if let Some(rest) = bare.strip_prefix("workqueue leaked ") {
        let atomic = rest.starts_with("atomic") && !has(rest, "lock");
        event.class = if atomic { class::ATOMIC_SLEEP } else { class::LOCKDEP };
        let (what, who) = split(rest, ": ")?;
        event.comm = who.split(['/', '[']).next().map(str::to_owned);
        event = event.with("what", "workqueue-leak").titled(format!("BUG: workqueue leaked {what}"));
        return headed.then(|| Opened::trace(event)).flatten();
    }
    if bare.starts_with("MAX_LOCK") && has(bare, " too low") {
        return Opened::line(
            Event::new(FAMILY.name, class::LOCKDEP, Severity::Notice)
                .titled("the lock validator ran out of room and is off")
                .with("what", "out-of-room"),
        );
    }
    if headed && bare.starts_with("looking up invalid subclass: ") {
        event = event.with("what", "invalid-subclass").titled("BUG: looking up invalid subclass");
        return Opened::trace(event);
    }
    if bare.starts_with("key ") {
        let key = has(bare, " not in .data") || has(bare, " has not been registered");
        event = event.with("what", "key").titled("BUG: lock key not in static memory");
        return (headed && key).then(|| Opened::trace(event)).flatten();
    }
    // The line of the check opens a report of its own only when the title is lost.
    // 2.6.34 to 3.1: `[ INFO: suspicious rcu_dereference_check() usage. ]`
    if headed && bare.starts_with("suspicious rcu_dereference_check() usage") {
        event = event.with("what", "rcu").titled("WARNING: suspicious RCU usage");
        return Opened::trace(event);
    }
    if has(bare, "suspicious rcu_dereference_check") {
        if before.current.is_some_and(|e| e.family == FAMILY.name) {
            return None;
        }
        rcu_check(bare, &mut event).then_some(())?;
        event = event.with("what", "rcu").titled("WARNING: suspicious RCU usage");
        return Opened::trace(event);
    }
    let (words, what, title) = TITLES.iter().find(|(words, ..)| has(bare, words))?;
    // The title is at the start of the line, but for a lock state or a task name before it.
    let at = bare.find(words)?;
    let before_words = &bare[..at];
    let allowed = match *what {
        "irq-unsafe-order" => has(before_words, "-safe -> ") && has(before_words, "-unsafe "),
        "held-at-exit" => before_words.is_empty() || before_words.contains('/') && before_words.len() < 32,
        "nested-not-taken" => before_words == "N",
        _ => before_words.is_empty(),
    };
    if !headed || !allowed || bare.len() > at + words.len() + 8 && *what != "non-static-key" {
        return None;
    }
    event = event.with("what", *what).titled(*title);
    Opened::trace(event)
}

/// `net/ipv4/x.c:12 suspicious rcu_dereference_check() usage!`
fn rcu_check(text: &str, event: &mut Event) -> bool {
    let Some((place, check)) = text.split_once(' ') else { return false };
    let Some((file, number)) = place.rsplit_once(':') else { return false };
    let Ok(number) = number.parse::<u32>() else { return false };
    event.set("file", file.trim_start_matches("./"));
    event.set("line", number);
    event.set("check", check);
    true
}

/// `5.15.1 #1 Tainted: G           O`, below the title: the kernel names itself in these reports before the CPU line.
fn identity(text: &str) -> Option<&str> {
    let (release, build) = split(text, " #")?;
    let versioned = release.starts_with(|c: char| c.is_ascii_digit()) && has(release, ".") && !has(release, " ");
    (versioned && (has(build, " Not tainted") || has(build, " Tainted: "))).then_some(release)
}

fn body(report: &mut Report, line: &Line<'_>) -> Step {
    let text = line.text();
    if is_rule(text) {
        return Step::Take;
    }
    if (text.ends_with("usage!") || text.ends_with("without protection!")) && rcu_check(text, &mut report.event) {
        return Step::Take;
    }
    if let Some(release) = identity(text) {
        report.event.release = Some(release.to_owned());
        return Step::Take;
    }
    if let Some((lock, at)) = lock_line(text) {
        return take_lock(report, text, lock, at);
    }
    // `-> #1 (&b){+.+.}-{0:0}:`
    if let Some(rest) = text.strip_prefix("-> #") {
        let lock = rest.split_once(' ').and_then(|(_, lock)| lock_class(lock)).unwrap_or_default().to_owned();
        push(&mut report.event, "chain", Value::Text(lock.clone()));
        report.begin_stack(format!("took {lock}"));
        return Step::Take;
    }
    if let Some(usage) = text.strip_prefix("inconsistent ").and_then(|t| t.strip_suffix(" usage.")) {
        report.event.set("usage", usage);
        return Step::Take;
    }
    if let Some(function) = text.strip_prefix("last function: ") {
        report.event.set("last_function", function);
        return Step::Take;
    }
    if let Some(function) = after(text, "workfn=") {
        report.event.set("last_function", function);
        return Step::Take;
    }
    if text.starts_with("{") && has(text, " state was registered at:") {
        report.begin_stack("state registered");
        return Step::Take;
    }
    if text.starts_with("...") && has(text, " at:") || text.ends_with("-irq-unsafe at:") || has(text, " at: {") {
        report.begin_stack("earlier use");
        return Step::Take;
    }
    if let Some(who) = intent(text) {
        set_task(&mut report.event, text);
        // Kept among the values while the report is read; `finish` takes it out.
        report.event.set("intent", who);
        return Step::Take;
    }
    if text.starts_with("stack backtrace:") || text.starts_with("Call Trace") {
        return Step::Pass;
    }
    if is_prose(text) {
        return Step::Take;
    }
    Step::Pass
}

/// `x/1 is trying to acquire lock:`: what the task does with the lock of the next line.
fn intent(text: &str) -> Option<&'static str> {
    let bytes = Bytes::of(text);
    for (words, intent) in [
        ("is trying to acquire", "wants"),
        ("is trying to lock", "wants"),
        ("just changed the state of lock", "wants"),
        ("is trying to release lock", "wants"),
        (" takes:", "wants"),
        ("is freeing memory", "held"),
        ("but task is already holding lock", "holds"),
        ("and this task is already holding", "holds"),
        ("but this lock took another", "holds"),
        ("but this lock was taken by another", "holds"),
        ("other info that might help", "held"),
        ("locks held by", "held"),
        ("lock held by", "held"),
        ("which would create a new lock dependency", "skip"),
        ("to a ", "skip"),
        ("but this new dependency connects", "skip"),
        ("the existing dependency chain", "skip"),
    ] {
        if bytes.may_hold(words) && has(text, words) && (words != "to a " || text.starts_with(words)) {
            return Some(intent);
        }
    }
    None
}

fn set_task(event: &mut Event, text: &str) {
    for tail in [" [HC", " is ", " just changed"] {
        if let Some((task, _)) = text.split_once(tail)
            && let Some((comm, pid)) = task.rsplit_once('/')
            && let Ok(pid) = pid.trim().parse::<i64>()
        {
            event.comm.get_or_insert_with(|| comm.to_owned());
            event.pid.get_or_insert(pid);
            return;
        }
    }
}

/// `p (&a){+.+.}-{3:3}, at: f+0x1/0x2`: the lock's class and the function behind `at:`.
fn lock_line(text: &str) -> Option<(&str, Option<Location>)> {
    let body = text.strip_prefix('#').map_or(text, |t| split(t, ": ").map_or(t, |(_, lock)| lock));
    let lock = lock_class(body.trim_start())?;
    let place = after(text, ", at: ").or_else(|| after(text, " at: ")).and_then(|t| {
        let t = t.trim_start();
        let t = if t.starts_with("[<") { after(t, ">]")?.trim_start() } else { t };
        location_at(&mut Cursor::new(t))
    });
    (place.is_some() || has(text, "){")).then_some((lock, place))
}

/// The class in `(&(&r->lock)->rlock){+.+...}`.
fn lock_class(text: &str) -> Option<&str> {
    let (before, inside) = split(text, "(")?;
    let before = before.trim();
    if !before.trim_start_matches("0x").bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    split(inside, "){").or_else(|| split(inside, ") at:")).map(|(class, _)| class)
}

fn take_lock(report: &mut Report, text: &str, lock: &str, at: Option<Location>) -> Step {
    let event = &mut report.event;
    let intent = event.fields.get("intent").and_then(Value::as_text).unwrap_or("wants").to_owned();
    let function = at.as_ref().map(|p| p.function.clone());
    match intent.as_str() {
        "wants" if !event.fields.contains_key("wants") => {
            event.set("wants", lock);
            if let Some(function) = function {
                event.set("wants_at", function);
            }
            if event.place.is_none() {
                event.place = at;
            }
        }
        "holds" if !event.fields.contains_key("holds") => {
            event.set("holds", lock);
            if let Some(function) = function {
                event.set("holds_at", function);
            }
        }
        _ if text.starts_with('#') => {
            let mut record = BTreeMap::from([("class".to_owned(), Value::from(lock))]);
            if let Some(function) = function {
                record.insert("at".to_owned(), function.into());
            }
            push(event, "held", Value::Record(record));
        }
        _ => {}
    }
    Step::Take
}

fn push(event: &mut Event, name: &'static str, value: Value) {
    match event.fields.get_mut(name) {
        Some(Value::List(list)) if list.len() < MAX_LOCKS => list.push(value),
        Some(_) => {}
        None => event.set(name, Value::List(vec![value])),
    }
}

/// Sentences of a report that carry no value.
fn is_prose(text: &str) -> bool {
    const HEADS: &[&str] = &[
        "but ",
        "and this task",
        "which lock already depends",
        "which would create",
        "which became",
        "the existing dependency chain",
        "the dependencies between",
        "the shortest dependencies",
        "the code is fine but needs",
        "the first lock found",
        "turning off the locking",
        "you didn't initialize",
        "maybe you didn't",
        "other info that",
        "Possible unsafe locking scenario",
        "Possible interrupt unsafe",
        "Chain exists of",
        "CPU0",
        "----",
        "lock(",
        "<Interrupt>",
        "*** DEADLOCK",
        "May be due to missing lock nesting",
        "rcu_scheduler_active",
        "irq event stamp",
        "hardirqs last",
        "softirqs last",
        "RCU used illegally",
        "no locks held by",
        "there are no more locks",
        "context-{",
        "to HARDIRQ-irq",
        "to SOFTIRQ-irq",
        "... acquired at",
        "{ ",
        "}",
        "preempt=0x",
        "no more locks",
        "--->",
        "other lock",
        "=",
    ];
    head_of(text, HEADS).is_some()
        || text.ends_with("Not tainted")
        || has(text, " Tainted: ") && text.starts_with(|c: char| c.is_ascii_digit())
        || has(text, " locks held by ")
        || has(text, " lock held by ")
        || has(text, "DEPMAP")
        || has(text, " ops: ")
        || has(text, "at: [<") && text.contains('}')
}

fn finish(report: &mut Report) {
    let event = &mut report.event;
    event.fields.remove("intent");
    // Without a lock that is taken the last one held tells the place.
    if event.place.is_none() {
        let held = match event.fields.get("held") {
            Some(Value::List(list)) => list.first().and_then(|v| match v {
                Value::Record(r) => r.get("at").and_then(Value::as_text).map(str::to_owned),
                _ => None,
            }),
            _ => None,
        };
        let what = event.fields.get("what").and_then(Value::as_text);
        if matches!(what, Some("held-in-user" | "held-at-exit")) {
            event.place = held.map(|function| Location { function, ..Location::default() });
        } else if let Some(function) = event.fields.get("last_function").and_then(Value::as_text) {
            // `func [module]`, up to 5.1 with an offset.
            event.place = location_at(&mut Cursor::new(function));
        }
    }
    if event.fields.get("what").and_then(Value::as_text) == Some("bad-unlock") && event.place.is_none() {
        let function = event.stacks.first().and_then(|s| s.functions().find(|f| !is_validator(f)).map(str::to_owned));
        event.place = function.map(|function| Location { function, ..Location::default() });
    }
    if let Some(place) = &event.place {
        event.title = format!("{} in {}", event.title, place.function);
    }
}

fn is_validator(function: &str) -> bool {
    ["dump_stack", "__dump_stack", "print_", "lock_", "__lock_", "show_stack", "dump_backtrace", "lockdep_"]
        .iter()
        .any(|head| function.starts_with(head))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{events, fields, stack_names};

    const CIRCULAR: &str = "\
[   12.100000] ======================================================
[   12.100000] WARNING: possible circular locking dependency detected
[   12.100000] 5.10.0-rc1 #1 Not tainted
[   12.100000] ------------------------------------------------------
[   12.100000] kworker/0:1/77 is trying to acquire lock:
[   12.100000] ffff888012345678 (&bdev->bd_mutex){+.+.}-{3:3}, at: blkdev_put+0x30/0x520
[   12.100000] 
[   12.100000] but task is already holding lock:
[   12.100000] ffff888012345680 (&lo->lo_mutex){+.+.}-{3:3}, at: lo_release+0x1a/0x1f0
[   12.100000] 
[   12.100000] which lock already depends on the new lock.
[   12.100000] 
[   12.100000] the existing dependency chain (in reverse order) is:
[   12.100000] 
[   12.100000] -> #1 (&lo->lo_mutex){+.+.}-{3:3}:
[   12.100000]        __mutex_lock+0x134/0x10e0
[   12.100000]        lo_open+0x19/0xd0
[   12.100000] 
[   12.100000] -> #0 (&bdev->bd_mutex){+.+.}-{3:3}:
[   12.100000]        __lock_acquire+0x2a3f/0x57d0
[   12.100000]        blkdev_put+0x30/0x520
[   12.100000] 
[   12.100000] other info that might help us debug this:
[   12.100000] 
[   12.100000]  Possible unsafe locking scenario:
[   12.100000] 
[   12.100000]        CPU0                    CPU1
[   12.100000]        ----                    ----
[   12.100000]   lock(&lo->lo_mutex);
[   12.100000]                                lock(&bdev->bd_mutex);
[   12.100000] 
[   12.100000]  *** DEADLOCK ***
[   12.100000] 
[   12.100000] 1 lock held by kworker/0:1/77:
[   12.100000]  #0: ffff888012345680 (&lo->lo_mutex){+.+.}-{3:3}, at: lo_release+0x1a/0x1f0
[   12.100000] 
[   12.100000] stack backtrace:
[   12.100000] CPU: 0 PID: 77 Comm: kworker/0:1 Not tainted 5.10.0-rc1 #1
[   12.100000] Call Trace:
[   12.100000]  dump_stack+0x1/0x2
[   12.100000]  blkdev_put+0x30/0x520
";

    #[test]
    fn the_release_stands_below_the_title() {
        let text = "[   12.100000] WARNING: possible circular locking dependency detected\n\
             [   12.100001] 5.15.1 #1 Tainted: G           O\n\
             [   12.100002] ------------------------------------------------------\n\
             [   12.100003] openssl/315 is trying to acquire lock:\n\
             [   12.100004] c426b840 (&pcr->fcrypt.sem){+.+.}-{3:3}, at: cryptodev_ioctl+0x1cc/0xe1c [cryptodev]\n";
        assert_eq!(fields(text, &["release", "cpu", "comm"]), ["5.15.1", "", "openssl"]);
        let whole =
            format!("{text}[   12.100005] CPU: 1 PID: 315 Comm: openssl Tainted: G           O      5.15.1 #1\n");
        assert_eq!(fields(&whole, &["release", "cpu", "taint"]), ["5.15.1", "1", "GO"]);
        assert_eq!(super::identity("5.15.1 #1 of the chain"), None);
    }

    #[test]
    fn a_circle_names_both_locks_and_their_takers() {
        let found = events(CIRCULAR);
        assert_eq!(found.len(), 1, "{found:#?}");
        assert_eq!(
            fields(
                CIRCULAR,
                &["title", "wants", "wants_at", "holds", "holds_at", "chain", "held", "comm", "pid", "release"]
            ),
            [
                "possible deadlock in blkdev_put",
                "&bdev->bd_mutex",
                "blkdev_put",
                "&lo->lo_mutex",
                "lo_release",
                "&lo->lo_mutex, &bdev->bd_mutex",
                "at=lo_release, class=&lo->lo_mutex",
                "kworker/0:1",
                "77",
                "5.10.0-rc1"
            ]
        );
        assert_eq!(stack_names(&found[0]), ["took &lo->lo_mutex", "took &bdev->bd_mutex", "call trace"]);
        assert_eq!(found[0].last_line, 41);
    }

    #[test]
    fn titles_in_brackets_are_of_the_first_eras() {
        let text = "[   52.261501] [ INFO: inconsistent lock state ]\n[   52.261501] 4.10.0+ #60 Not tainted\n\
             [   52.261501] ---------------------------------\n\
             [   52.261501] inconsistent {IN-SOFTIRQ-W} -> {SOFTIRQ-ON-W} usage.\n\
             [   52.261501] syz-executor3/5076 [HC0[0]:SC0[0]:HE1:SE1] takes:\n\
             [   52.261501]  (&(&hashinfo->ehash_locks[i])->rlock){+.?...}, at: [<ffffffff83a6a370>] inet_ehash_insert+0x240/0xad0\n";
        assert_eq!(
            fields(text, &["title", "usage", "wants", "pid"]),
            [
                "inconsistent lock state in inet_ehash_insert",
                "{IN-SOFTIRQ-W} -> {SOFTIRQ-ON-W}",
                "&(&hashinfo->ehash_locks[i])->rlock",
                "5076"
            ]
        );
    }

    #[test]
    fn suspicious_rcu_usage_names_its_line() {
        let text = "[   52.261501] WARNING: suspicious RCU usage\n[   52.261501] 4.19.0+ #60 Not tainted\n\
             [   52.261501] -----------------------------\n\
             [   52.261501] net/ipv4/x.c:12 suspicious rcu_dereference_check() usage!\n";
        assert_eq!(
            fields(text, &["title", "file", "line", "class"]),
            ["WARNING: suspicious RCU usage", "net/ipv4/x.c", "12", "lockdep"]
        );
        assert_eq!(events(text).len(), 1);
    }

    #[test]
    fn the_validators_own_lines_are_no_reports() {
        for text in [
            "[    0.000000] Lock dependency validator: Copyright (c) 2006 Red Hat, Inc., Ingo Molnar",
            "[    1.000000] INFO: lockdep is turned off.",
            "[    1.000000] Good, all 261 testcases passed! |",
            "[    1.000000] x: possible recursive locking detected by the driver",
        ] {
            assert!(events(text).is_empty(), "{text}");
        }
    }

    #[test]
    fn the_work_that_kept_a_lock_is_named_with_its_module() {
        let log = "\
[  123.100001] BUG: workqueue leaked lock or atomic: kworker/2:1/0x00000001/77
[  123.100011]      last function: mydrv_poll_work [mydrv]
[  123.100021] CPU: 2 PID: 77 Comm: kworker/2:1 Tainted: G           OE     5.15.0-91-generic #101-Ubuntu
";
        assert_eq!(fields(log, &["function", "module", "what"]), ["mydrv_poll_work", "mydrv", "workqueue-leak"]);
    }
}
