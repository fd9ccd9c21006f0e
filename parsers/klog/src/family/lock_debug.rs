//! What the debug checks of spinlocks, rwlocks and preemption say: one line each, and a trace.

use facts::FieldType;

use super::{Before, Family, From, Opened, field, kind};
use crate::cursor::{Cursor, after, between, has, hex_after, number_after, split};
use crate::event::{Event, Location, Severity};
use crate::report::{Report, Step, location_at};
use crate::{Line, class};

pub(super) static SPINLOCK: Family = Family {
    name: "spinlock_bug",
    anchors: &["BUG: spinlock ", "BUG: rwlock "],
    from: From::Kernel,
    open: open_spinlock,
    body,
    finish,
    kind: kind(
        "log.spinlock_bug",
        "A spinlock or rwlock is not as its user left it",
        &[
            field(
                "problem",
                FieldType::Text,
                "",
                "bad magic, recursion, lockup suspected, wrong owner, already unlocked, ...",
            ),
            field("lock", FieldType::Address, "", "the lock"),
            field("lock_name", FieldType::Text, "", "its symbol, where it is no part of an object"),
            field("magic", FieldType::Int, "", "its magic; 0xdead4ead unless the memory was freed or overwritten"),
            field("owner", FieldType::Text, "", "command name and pid of the owner"),
            field("owner_cpu", FieldType::Int, "", "CPU of the owner; -1 is none"),
        ],
    ),
};

pub(super) static ATOMIC_SLEEP: Family = Family {
    name: "atomic_sleep",
    anchors: &[
        "BUG: scheduling while atomic",
        "BUG: sleeping function called from invalid context",
        "BUG: assuming atomic context at",
        "BUG: assuming non migratable context at",
        IDLE_SLEEPS,
    ],
    from: From::Kernel,
    open: open_atomic_sleep,
    body,
    finish,
    kind: kind(
        "log.atomic_sleep",
        "Code that must not sleep slept or could have slept",
        &[
            field("what", FieldType::Text, "", "scheduling, idle, sleeping-function, assumption"),
            field("file", FieldType::Text, "", "source file of the sleeping function"),
            field("line", FieldType::Int, "", "line in it"),
            field("preempt_count", FieldType::Int, "", "preemption count"),
            field("in_atomic", FieldType::Int, "", "1 when in atomic context"),
            field("irqs_disabled", FieldType::Int, "", "1 when interrupts are off"),
            field("preemption_disabled_at", FieldType::Text, "", "function that disabled preemption"),
            field("lock_taken_at", FieldType::Text, "", "function that took the spinlock which is held"),
        ],
    ),
};

pub(super) static PREEMPT_CHECK: Family = Family {
    name: "preempt_check",
    anchors: &["BUG: using smp_processor_id() in preemptible", "BUG: using __this_cpu_", "BUG: using this_cpu_"],
    from: From::Kernel,
    open: open_preempt,
    body,
    finish,
    kind: kind(
        "log.preempt_check",
        "Per-CPU data is used where the task may move to another CPU",
        &[
            field("what", FieldType::Text, "", "smp_processor_id, __this_cpu_read, ..."),
            field("called_from", FieldType::Text, "", "function behind `caller is`"),
        ],
    ),
};

fn open_spinlock(line: &Line<'_>, _: Before<'_>) -> Option<Opened> {
    let rest = line.text().strip_prefix("BUG: ")?;
    let (lock, rest) = rest.split_once(' ')?;
    let (problem, rest) = split(rest, " on CPU#")?;
    if problem.len() > 40 {
        return None;
    }
    let mut event = Event::new(SPINLOCK.name, class::LOCKDEP, Severity::Report)
        .titled(format!("BUG: {lock} {problem}"))
        .with("problem", problem);
    let mut c = Cursor::new(rest);
    event.cpu = c.number().and_then(|n| u32::try_from(n).ok());
    if c.take(", ") {
        task(c.rest().split(',').next().unwrap_or_default(), &mut event);
    }
    Opened::trace(event)
}

/// The idle task called the scheduler itself: what interrupted it slept (dequeue_task_idle() of kernel/sched/idle.c).
const IDLE_SLEEPS: &str = "bad: scheduling from the idle thread!";

fn open_atomic_sleep(line: &Line<'_>, _: Before<'_>) -> Option<Opened> {
    if line.text() == IDLE_SLEEPS {
        let event = Event::new(ATOMIC_SLEEP.name, class::ATOMIC_SLEEP, Severity::Report);
        return Opened::trace(event.titled("BUG: scheduling from the idle thread").with("what", "idle"));
    }
    let rest = line.text().strip_prefix("BUG: ")?;
    let event = Event::new(ATOMIC_SLEEP.name, class::ATOMIC_SLEEP, Severity::Report);
    if let Some(rest) = rest.strip_prefix("scheduling while atomic") {
        let mut event = event.titled("BUG: scheduling while atomic").with("what", "scheduling");
        // `: comm/pid/0x00000002`; on some trees the trace alone follows.
        if let Some((who, count)) = rest.trim_start_matches(": ").rsplit_once('/') {
            task(who, &mut event);
            event = event.with_opt("preempt_count", Cursor::new(count).hex());
        }
        return Opened::trace(event);
    }
    let (what, rest) = if let Some(rest) = rest.strip_prefix("sleeping function called from invalid context") {
        ("sleeping-function", rest)
    } else {
        ("assumption", rest.strip_prefix("assuming ")?)
    };
    let title = if what == "assumption" {
        "BUG: assuming atomic context"
    } else {
        "BUG: sleeping function called from invalid context"
    };
    let mut event = event.titled(title).with("what", what);
    if let Some((file, number)) = after(rest, " at ").and_then(|t| t.rsplit_once(':'))
        && let Ok(number) = number.trim().parse::<u32>()
    {
        event = event.with("file", file).with("line", number);
    }
    Opened::trace(event)
}

fn open_preempt(line: &Line<'_>, _: Before<'_>) -> Option<Opened> {
    let rest = line.text().strip_prefix("BUG: using ")?;
    let (what, rest) = split(rest, "()").or_else(|| rest.split_once(' '))?;
    let (_, rest) = split(rest, "in preemptible ")?;
    let mut event = Event::new(PREEMPT_CHECK.name, class::PREEMPT_CHECK, Severity::Report)
        .titled(format!("BUG: using {what}() in preemptible code"))
        .with("what", what);
    if let Some(who) = after(rest, "code: ") {
        task(who, &mut event);
    }
    Opened::trace(event)
}

/// `comm/pid`
fn task(text: &str, event: &mut Event) {
    if let Some((comm, pid)) = text.trim().rsplit_once('/')
        && let Ok(pid) = pid.trim().parse::<i64>()
    {
        event.comm = Some(comm.to_owned());
        event.pid = Some(pid);
    }
}

fn body(report: &mut Report, line: &Line<'_>) -> Step {
    let text = line.text();
    let event = &mut report.event;
    if let Some(rest) = text.strip_prefix("in_atomic(): ") {
        if let Some(n) = Cursor::new(rest).number() {
            event.set("in_atomic", n);
        }
        if let Some(n) = number_after(text, "irqs_disabled(): ") {
            event.set("irqs_disabled", n);
        }
        event.pid = event.pid.or_else(|| number_after(text, "pid: "));
        if let Some(name) = after(text, "name: ") {
            event.comm.get_or_insert_with(|| name.to_owned());
        }
        return Step::Take;
    }
    if let Some(rest) = text.strip_prefix("preempt_count: ") {
        if let Some(n) = Cursor::new(rest).hex() {
            event.set("preempt_count", n);
        }
        return Step::Take;
    }
    if let Some(rest) = text.strip_prefix("caller is ") {
        if let Some(place) =
            location_at(&mut Cursor::new(rest.trim_start_matches(|c| "[<>] 0123456789abcdef".contains(c))))
        {
            event.set("called_from", place.function);
        }
        return Step::Take;
    }
    if text.starts_with("lock: ") && has(text, ".magic: ") {
        if let Some(lock) = hex_after(text, "lock: ") {
            event.set("lock", facts::Address(lock));
        } else if let Some((name, _)) = after(text, "lock: ").and_then(|t| t.split_once('+')) {
            event.set("lock_name", name);
        }
        if let Some(magic) = hex_after(text, ".magic: ") {
            event.set("magic", magic);
        }
        if let Some(owner) = between(text, ".owner: ", ",") {
            event.set("owner", owner);
        }
        if let Some(cpu) = number_after(text, ".owner_cpu: ") {
            event.set("owner_cpu", cpu);
        }
        return Step::Take;
    }
    if text.starts_with("Preemption disabled at:") {
        event.set("preemption_disabled_at", "");
        if let Some(place) = split(text, "at:").and_then(|(_, t)| function(t)) {
            event.set("preemption_disabled_at", place.function);
        }
        return Step::Take;
    }
    // The function stands in the next line.
    if event.fields.get("preemption_disabled_at").and_then(|v| v.as_text()) == Some("")
        && let Some(place) = function(text)
    {
        event.set("preemption_disabled_at", place.function);
        return Step::Take;
    }
    // `#0: (&(&x->lock)->rlock){+.+...}, at: [<..>] f+0x1/0x2`, since 5.7 `(&x->lock){+.+.}-{2:2}, at: f+0x1/0x2`: a spinlock by
    // the name of its member, or by the sort of its waiters.
    if text.starts_with('#')
        && let Some((lock, place)) = split(text, ", at: ")
        && (has(lock, "rlock)") || has(lock, "}-{2:2}"))
        && let Some(place) = function(place)
    {
        event.fields.entry("lock_taken_at".into()).or_insert_with(|| place.function.into());
        return Step::Take;
    }
    if has(text, " held by ") && has(text, "lock")
        || text.starts_with("#") && has(text, ", at: ")
        || [
            "RCU nest depth:",
            "no locks held by ",
            "INFO: lockdep is turned off",
            "irq event stamp",
            "hardirqs last",
            "softirqs last",
            "1 lock held",
            "other info",
        ]
        .iter()
        .any(|head| text.starts_with(head))
    {
        return Step::Take;
    }
    Step::Pass
}

fn function(text: &str) -> Option<Location> {
    let text = text.trim();
    let text = if text.starts_with("[<") { after(text, ">]")?.trim_start() } else { text };
    location_at(&mut Cursor::new(text)).filter(|place| place.offset.is_some())
}

fn finish(report: &mut Report) {
    let event = &mut report.event;
    if event.fields.get("preemption_disabled_at").and_then(|v| v.as_text()) == Some("") {
        event.fields.remove("preemption_disabled_at");
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{events, fields};

    #[test]
    fn a_sleep_in_atomic_context_names_place_and_context() {
        let text = "[   76.428565][    C0] BUG: sleeping function called from invalid context at kernel/locking/mutex.c:908\n\
             [   76.432834][    C0] in_atomic(): 1, irqs_disabled(): 0, pid: 464, name: kworker/0:2\n\
             [   76.434131][    C0] preempt_count: 101, expected: 0\n\
             [   76.434131][    C0] 5 locks held by kworker/0:2/464:\n\
             [   76.434877][    C0]  #0: 00000000fd931363 ((wq_completion)usb_hub_wq){+.+.}, at: process_one_work+0x81f/0x1580\n\
             [   76.434877][    C0] Preemption disabled at:\n[   76.434877][    C0] [<ffffffff81234567>] call_timer_fn+0xce/0x5f0\n\
             [   76.441933][    C0] CPU: 0 PID: 464 Comm: kworker/0:2 Not tainted 5.1.0 #282\n\
             [   76.445833][    C0] Call Trace:\n[   76.446734][    C0]  dump_stack+0xe8/0x16e\n";
        assert_eq!(
            fields(text, &["class", "file", "line", "in_atomic", "preempt_count", "pid", "preemption_disabled_at"]),
            ["atomic-sleep", "kernel/locking/mutex.c", "908", "1", "257", "464", "call_timer_fn"]
        );
        assert_eq!(events(text)[0].stacks[0].frames.len(), 1);
    }

    #[test]
    fn who_took_the_spinlock_is_read() {
        let head = "[  413.574879] BUG: sleeping function called from invalid context at kernel/locking/mutex.c:586\n\
             [  413.574901] in_atomic(): 1, irqs_disabled(): 0, pid: 889, name: rina-echo-time\n\
             [  413.574911] 1 lock held by rina-echo-time/889:\n";
        for (lock, function) in [
            (
                "(&(&instance->data->lock)->rlock){+.+...}, at: [<ffffffffa017df44>] normal_sdu_write+0x24/0xd0 [normal_ipcp]",
                "normal_sdu_write",
            ),
            ("ffff888123456789 (&dev->lock){+.+.}-{2:2}, at: dev_start+0x24/0xd0", "dev_start"),
            ("ffff888123456789 (&dev->mutex){+.+.}-{3:3}, at: dev_start+0x24/0xd0", ""),
        ] {
            let text = format!("{head}[  413.574918]  #0:  {lock}\n");
            assert_eq!(fields(&text, &["lock_taken_at"]), [function], "{lock}");
        }
        let named = "[    3.269287] BUG: spinlock bad magic on CPU#0, reboot/77\n\
             [    3.281506]  lock: reboot_lock+0x0/0x18, .magic: 00000000, .owner: <none>/-1, .owner_cpu: -1\n";
        assert_eq!(fields(named, &["lock_name", "magic", "owner"]), ["reboot_lock", "0", "<none>/-1"]);
    }

    #[test]
    fn a_spinlock_shows_its_owner() {
        let text = "[  213.269287] BUG: spinlock recursion on CPU#0, syz-executor7/5032\n\
             [  213.281506]  lock: 0xffff88006c122d00, .magic: dead4ead, .owner: syz-executor7/5032, .owner_cpu: -1\n";
        assert_eq!(
            fields(text, &["title", "magic", "owner", "owner_cpu", "pid"]),
            ["BUG: spinlock recursion", "3735899821", "syz-executor7/5032", "-1", "5032"]
        );
    }

    #[test]
    fn a_preempt_check_names_its_caller() {
        let text = "[   35.184476] BUG: using __this_cpu_read() in preemptible [00000000] code: syzkaller195313/3344\n\
             [   35.193222] caller is __this_cpu_preempt_check+0x1c/0x20\n";
        assert_eq!(
            fields(text, &["title", "called_from", "pid"]),
            ["BUG: using __this_cpu_read() in preemptible code", "__this_cpu_preempt_check", "3344"]
        );
        let text = "[   15.934981] bad: scheduling from the idle thread!\n\
             [   15.934981] CPU: 0 PID: 0 Comm: swapper/0 Tainted: G        W  OE      6.1.0-50-cloud-amd64 #1  Debian 6.1.176-1\n\
             [   15.934981] Call Trace:\n[   15.934981]  <IRQ>\n[   15.934981]  dump_stack_lvl+0x44/0x5c\n\
             [   15.934981]  dequeue_task_idle+0x25/0x40\n[   15.934981]  schedule+0x5a/0xd0\n[   15.934981]  msleep+0x29/0x40\n\
             [   15.934981]  hb_fn+0x1b/0x1000 [heartbt]\n[   15.934981]  call_timer_fn+0x27/0x130\n[   15.934981]  </IRQ>\n";
        // A ring that begins in the middle of the first of them.
        let tail = "[   15.934980]  handle_softirqs+0xd7/0x280\n[   15.934980]  __irq_exit_rcu+0xac/0xe0\n\
             [   15.934980]  sysvec_apic_timer_interrupt+0x6e/0x90\n[   15.934980]  </IRQ>\n[   15.934980]  <TASK>\n\
             [   15.934980]  default_idle+0xa/0x10\n[   15.934980]  do_idle+0x206/0x2b0\n[   15.934980]  </TASK>\n";
        let found = events(&format!("{tail}{}", text.repeat(3)));
        let whole: Vec<_> = found.iter().filter(|e| e.corrupted.is_none()).collect();
        assert_eq!((found.len(), whole.len()), (4, 3), "{found:#?}");
        assert!(whole.iter().all(|e| e.class == "atomic-sleep" && e.stacks[0].functions().any(|f| f == "hb_fn")));
        let text = "[   35.184476] BUG: scheduling while atomic: syz-executor.4/21395/0x00000201\n";
        assert_eq!(fields(text, &["comm", "preempt_count"]), ["syz-executor.4", "513"]);
    }
}
