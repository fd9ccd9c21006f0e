//! RCU stalls: `rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:` and all its relatives.

use facts::{FieldType, Value};

use super::{Before, Family, From, Opened, field, kind};
use crate::cursor::{Cursor, after, has, head_of, number_after, split};
use crate::event::{Event, Severity};
use crate::report::{Report, Step};
use crate::{Line, class};

pub(super) static FAMILY: Family = Family {
    name: "rcu_stall",
    anchors: &[
        "detected stall",
        "detected expedited stalls",
        "-detected stall",
        " kthread starved for ",
        "tasks_rcu_exit_srcu_stall: ",
    ],
    from: From::Kernel,
    open,
    body,
    finish,
    kind: kind(
        "log.rcu_stall",
        "A CPU or task did not pass through a quiescent state of RCU in time",
        &[
            field("flavour", FieldType::Text, "", "rcu_sched, rcu_preempt, rcu_tasks, ..."),
            field("expedited", FieldType::Bool, "", "an expedited grace period stalled"),
            field("jiffies", FieldType::Int, "jiffies", "time since the grace period began"),
            field("detected_by", FieldType::Int, "", "CPU that noticed"),
            field("cpus", FieldType::List, "", "CPUs that stall"),
            field("blocked_tasks", FieldType::List, "", "pids of preempted readers that hold the grace period up"),
            field(
                "ticks_max",
                FieldType::Int,
                "",
                "most timer ticks that one of the stalled CPUs took since the grace period began",
            ),
            field("idle", FieldType::Bool, "", "every stalled CPU was idle"),
            field(
                "kthread_starved",
                FieldType::Int,
                "jiffies",
                "the grace-period kthread itself did not run for so long",
            ),
            field(
                "timer_late",
                FieldType::Int,
                "jiffies",
                "the timer that wakes the grace-period kthread did not fire for so long",
            ),
            field("timer_cpu", FieldType::Int, "", "CPU whose timers the kernel suspects"),
        ],
    ),
};

fn open(line: &Line<'_>, before: Before<'_>) -> Option<Opened> {
    let text = line.text();
    let text = text.strip_prefix("rcu: ").unwrap_or(text);
    // `rcu_preempt kthread starved for 5252 jiffies! g12425 f0x0 RCU_GP_WAIT_FQS(5) ->state=0x402 ->cpu=0`
    if let Some((flavour, rest)) = split(text, " kthread starved for ") {
        if !flavour.starts_with("rcu") || before.current.is_some_and(|e| e.family == FAMILY.name) {
            return None;
        }
        let mut event = Event::new(FAMILY.name, class::RCU_STALL, Severity::Report)
            .titled("INFO: rcu detected stall")
            .with("flavour", flavour)
            .with("expedited", false)
            .with_opt("kthread_starved", Cursor::new(rest).number());
        event.cpu = number_after(rest, "->cpu=").and_then(|n| u32::try_from(n).ok());
        return Opened::trace(event);
    }
    // Since 6.4, without a list of tasks: `tasks_rcu_exit_srcu_stall: rcu_tasks grace period number 37 (since boot) gp_state:
    // RTGS_POST_SCAN_TASKLIST is 11222989 jiffies old.`
    if let Some(rest) = text.strip_prefix("tasks_rcu_exit_srcu_stall: ") {
        let (flavour, rest) = split(rest, " grace period number ")?;
        let event = Event::new(FAMILY.name, class::RCU_STALL, Severity::Report)
            .titled("INFO: rcu detected stall: tasks that exit")
            .with("flavour", flavour)
            .with("expedited", false)
            .with_opt("jiffies", split(rest, " is ").and_then(|(_, old)| Cursor::new(old).number()));
        return Opened::line(event);
    }
    let mut c = Cursor::new(text);
    if !c.take("INFO: rcu") {
        return None;
    }
    let flavour = format!("rcu{}", c.run(|c| c.is_ascii_alphanumeric() || c == '_'));
    if !c.rest().contains("stall") {
        return None;
    }
    let mut event = Event::new(FAMILY.name, class::RCU_STALL, Severity::Report)
        .titled("INFO: rcu detected stall")
        .with("flavour", flavour)
        .with("expedited", has(text, "expedited"));
    numbers(text, &mut event);
    // `{ 3-.... } 235 jiffies s: 2269`
    if let Some(jiffies) =
        after(text, "} ").and_then(|t| split(t, " jiffies s:")).and_then(|(n, _)| n.trim().parse::<u64>().ok())
    {
        event.fields.entry("jiffies".into()).or_insert(jiffies.into());
    }
    if let Some(on) = after(text, "on CPU ")
        && let Some(cpu) = Cursor::new(on.trim_start_matches(['{', ' '])).number()
    {
        add_cpu(cpu, &mut event);
    }
    if let Some((inside, _)) = after(text, "{").and_then(|t| t.split_once('}')) {
        for word in inside.split([' ', ',']) {
            if let Some(cpu) = Cursor::new(word).number() {
                add_cpu(cpu, &mut event);
            }
        }
        add_tasks(inside, &mut event);
    }
    Opened::trace(event)
}

fn add_cpu(cpu: u64, event: &mut Event) {
    match event.fields.get_mut("cpus") {
        // 8192 is the most CPUs a kernel can have.
        Some(Value::List(cpus)) if cpus.len() < 8192 && !cpus.contains(&cpu.into()) => cpus.push(cpu.into()),
        Some(_) => {}
        None => event.set("cpus", vec![cpu]),
    }
    event.cpu = event.cpu.or(u32::try_from(cpu).ok());
}

/// `P955/2:b..l P392`: tasks that were preempted within a read-side section.
fn add_tasks(words: &str, event: &mut Event) {
    for task in words.split(' ').filter_map(|t| t.strip_prefix('P')) {
        let Some(pid) = Cursor::new(task).number() else { continue };
        match event.fields.get_mut("blocked_tasks") {
            Some(Value::List(pids)) if pids.len() < 256 && !pids.contains(&pid.into()) => pids.push(pid.into()),
            Some(_) => {}
            None => event.set("blocked_tasks", vec![pid]),
        }
    }
}

fn numbers(text: &str, event: &mut Event) {
    if let Some(t) = number_after(text, "t=") {
        event.fields.entry("jiffies".into()).or_insert(t.into());
    }
    if let Some(cpu) = number_after(text, "detected by ") {
        event.fields.entry("detected_by".into()).or_insert(cpu.into());
    }
}

/// `...: (0 ticks this GP) idle=ae0/0/0x0`: the number behind the first stroke is not zero where the CPU is busy.
fn ticks(text: &str, event: &mut Event) {
    let Some(ticks) = number_after(text, ": (").filter(|_| text.contains(" ticks this GP)")) else { return };
    let known = event.fields.get("ticks_max").and_then(Value::as_int);
    event.set("ticks_max", known.map_or(ticks, |known| known.max(ticks)));
    let idle = after(text, "idle=").and_then(|t| t.split('/').nth(1)).is_some_and(|nesting| nesting == "0");
    let all = event.fields.get("idle").and_then(Value::as_bool).unwrap_or(true);
    event.set("idle", all && idle);
}

fn body(report: &mut Report, line: &Line<'_>) -> Step {
    let text = line.text();
    let text = text.strip_prefix("rcu:").unwrap_or(text).trim_start();
    let mut c = Cursor::new(text);
    // `1-...!: (0 ticks this GP) idle=..`
    if let Some(cpu) = c.number()
        && c.take("-")
        && c.rest().contains(": (")
    {
        add_cpu(cpu, &mut report.event);
        ticks(c.rest(), &mut report.event);
        return Step::Take;
    }
    if text.starts_with("(detected by") || text.starts_with("(t=") {
        numbers(text, &mut report.event);
        return Step::Take;
    }
    if has(text, "kthread timer wakeup didn't happen for ") {
        if let Some(n) = number_after(text, "happen for ") {
            report.event.set("timer_late", n);
        }
        return Step::Take;
    }
    if let Some(cpu) = number_after(text, "Possible timer handling issue on cpu=") {
        report.event.set("timer_cpu", cpu);
        return Step::Take;
    }
    if has(text, "kthread starved for") {
        if let Some(n) = number_after(text, "starved for ") {
            report.event.set("kthread_starved", n);
        }
        return Step::Take;
    }
    if let Some((_, tasks)) = split(text, "Tasks blocked on ").and_then(|(_, t)| split(t, ": ")) {
        add_tasks(tasks, &mut report.event);
        return Step::Take;
    }
    const HEADS: &[&str] = &[
        "Tasks blocked on",
        "Unless rcu",
        "INFO: Stall ended",
        "RCU grace-period kthread stack dump",
        "Stack dump where RCU",
        "hardirqs ",
        "number: ",
        "cputime: ",
        "All QSes seen",
        "blocking rcu_node",
        "offline",
    ];
    let Some(head) = head_of(text, HEADS) else { return Step::Pass };
    if head == "RCU grace-period kthread stack dump" {
        report.begin_stack(crate::report::GRACE_PERIOD);
    }
    Step::Take
}

fn finish(report: &mut Report) {
    let event = &mut report.event;
    if let Some(place) = &event.place {
        event.title = format!("{} in {}", event.title, place.function);
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn tasks_that_do_not_come_to_their_end_are_a_stall() {
        use super::super::tests::fields;
        let text = "[   52.261501] tasks_rcu_exit_srcu_stall: rcu_tasks grace period number 37 (since boot) gp_state: RTGS_POST_SCAN_TASKLIST is 11222989 jiffies old.\n\
             [   52.261502] Please check any exiting tasks stuck between calls to exit_tasks_rcu_start() and exit_tasks_rcu_finish()\n";
        assert_eq!(
            fields(text, &["class", "severity", "flavour", "jiffies"]),
            ["rcu-stall", "report", "rcu_tasks", "11222989"]
        );
    }

    #[test]
    fn the_cpu_behind_the_stack_of_the_grace_period_kthread_is_the_one_that_stalls() {
        let text = "\
[   39.031780] rcu: INFO: rcu_preempt self-detected stall on CPU
[   39.032516] rcu: \t1-...!: (547 ticks this GP) idle=47c4/1/0x4000000000000000 softirq=0/0 fqs=0
[   39.119135] rcu: rcu_preempt kthread starved for 5278 jiffies! g-143 f0x0 RCU_GP_WAIT_FQS(5) ->state=0x402 ->cpu=1
[   39.119894] rcu: RCU grace-period kthread stack dump:
[   39.120175] task:rcu_preempt     state:I stack:0     pid:19    tgid:19    ppid:2      flags:0x00004000
[   39.120885] Call Trace:
[   39.121318]  <TASK>
[   39.561963]  __schedule+0x4e0/0xbf0
[   39.563480]  rcu_gp_kthread+0xdb/0x1b0
[   39.564173]  </TASK>
[   39.564740] CPU: 1 UID: 0 PID: 295 Comm: spinner Tainted: G           OE      6.12.117 #1
[   40.390292] RIP: 0010:spins+0x40/0x70 [m]
[   40.391514] RSP: 0018:ffffd3200039fef8 EFLAGS: 00000202
[   41.425794] Call Trace:
[   41.426125]  <TASK>
[   41.426203]  kthread+0xd2/0x100
[   41.426808]  </TASK>
";
        let reading = crate::read("test", text.as_bytes());
        let event = &reading.boots[0].events[0];
        assert_eq!(event.title, "INFO: rcu detected stall in spins");
        let stacks: Vec<_> =
            event.stacks.iter().map(|s| (s.name.as_str(), s.functions().collect::<Vec<_>>())).collect();
        assert_eq!(
            stacks,
            [("grace-period kthread", vec!["__schedule", "rcu_gp_kthread"]), ("CPU 1", vec!["spins", "kthread"])]
        );
    }

    #[test]
    fn tasks_and_cpus_of_a_stall_are_read_wherever_they_stand() {
        use super::super::tests::fields;
        let text = "[   12.000000] rcu: INFO: rcu_preempt detected expedited stalls on CPUs/tasks: { P392 } 21382 jiffies s: 117 root: 0x0/T\n";
        assert_eq!(fields(text, &["blocked_tasks", "cpus", "jiffies"]), ["392", "", "21382"]);
        let text = "[   12.000000] rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:\n\
            [   12.000000] rcu: \tTasks blocked on level-0 rcu_node (CPUs 0-11): P955/2:b..l P955/2:b..l\n\
            [   12.000000] rcu: \t(detected by 6, t=21002 jiffies, g=12009, q=3846 ncpus=8)\n\
            [   12.000000] rcu: rcu_preempt kthread timer wakeup didn't happen for 20999 jiffies! g12009 f0x2 RCU_GP_WAIT_FQS(5) ->state=0x200\n\
            [   12.000000] rcu: \tPossible timer handling issue on cpu=4 timer-softirq=1303\n";
        assert_eq!(fields(text, &["blocked_tasks", "timer_late", "timer_cpu"]), ["955", "20999", "4"]);
        let text = "[ 5914.420208] INFO: rcu_sched_state detected stall on CPU 1 (t=60031 jiffies)\n";
        assert_eq!(fields(text, &["cpus", "cpu", "jiffies"]), ["1", "1", "60031"]);
        let text = "[ 5914.420208] INFO: rcu_sched self-detected stall on CPU { 3}  (t=15000 jiffies g=1 c=0 q=2)\n";
        assert_eq!(fields(text, &["cpus", "cpu", "jiffies"]), ["3", "3", "15000"]);
    }
}
