//! `irq`, `timer`, `work`, `mount` and `sysctl` as text.

use std::fmt::Write as _;

use kernel::{TimerQueue, WorkerPool};

use crate::look::{InterruptView, Listed, MountRow, SysctlView};
use crate::report::printable;
use crate::report::table::{address, gaps, none, or_dash, table};

/// Counts by CPU are shown for so many CPUs, fewer in a narrow terminal; TOTAL has all of them.
const MAX_CPUS: usize = 8;

/// Whether no line is longer than the terminal is wide.
fn fits(text: &str, width: Option<usize>) -> bool {
    width.is_none_or(|width| text.lines().all(|line| line.chars().count() <= width))
}

fn seconds(ns: Option<u64>) -> String {
    ns.map_or_else(|| "-".to_owned(), |ns| format!("{}.{:03}", ns / 1_000_000_000, ns / 1_000_000 % 1000))
}

/// Interrupts by CPU, then softirqs by CPU.
pub fn interrupts(view: &InterruptView, width: Option<usize>) -> String {
    let cpus: Vec<u32> = view.cpus.iter().map(|cpu| cpu.cpu).take(MAX_CPUS).collect();
    let counts =
        (0..=cpus.len()).rev().map(|shown| interrupt_counts(view, cpus.get(..shown).unwrap_or_default(), width));
    let mut out = match view.interrupts.is_empty() && view.machine.is_empty() {
        true => none("no interrupts\n", "interrupts: not known\n", &view.gaps).to_owned(),
        false => {
            counts.reduce(|wider, narrower| if fits(&wider, width) { wider } else { narrower }).unwrap_or_default()
        }
    };
    if view.cpus.first().is_some_and(|cpu| !cpu.softirqs.is_empty()) {
        out.push('\n');
        out.push_str(&softirqs(view, width));
    }
    gaps(&mut out, &view.gaps);
    out
}

/// Interrupts with their counts on some CPUs.
fn interrupt_counts(view: &InterruptView, cpus: &[u32], width: Option<usize>) -> String {
    let columns: Vec<String> = cpus.iter().map(|cpu| format!(">CPU{cpu}")).collect();
    let mut header = vec![">IRQ", ">TOTAL"];
    header.extend(columns.iter().map(String::as_str));
    header.extend(["CHIP", "ACTIONS", ""]);
    let rows = view.interrupts.iter().map(|irq| {
        let count = |cpu: &u32| irq.counts.iter().find(|(other, _)| other == cpu).map_or(0, |(_, n)| *n);
        let mut row = vec![irq.irq.to_string(), irq.total.to_string()];
        row.extend(cpus.iter().map(|cpu| count(cpu).to_string()));
        row.extend([or_dash(irq.chip.as_deref()), irq.actions.join(", ")]);
        row.push(if irq.switched_off { "SWITCHED OFF" } else { "" }.to_owned());
        row
    });
    let rows = rows.chain(view.machine.iter().map(|own| {
        let count = |cpu: &u32| own.counts.iter().find(|(other, _)| other == cpu).map_or(0, |(_, n)| *n);
        let mut row = vec![own.name.to_owned(), own.total.to_string()];
        row.extend(cpus.iter().map(|cpu| count(cpu).to_string()));
        row.extend([or_dash(None::<&str>), own.action.to_owned(), String::new()]);
        row
    }));
    table(&header, rows, width)
}

/// Softirqs by CPU, in as many tables as the terminal needs.
fn softirqs(view: &InterruptView, width: Option<usize>) -> String {
    let names = view.cpus.first().into_iter().flat_map(|cpu| &cpu.softirqs).map(|(name, _)| format!(">{name}"));
    let mut columns = vec![">INTERRUPTS".to_owned()];
    columns.extend(names);
    if width.is_none() || view.cpus.iter().any(|cpu| !cpu.pending.is_empty()) {
        columns.push("PENDING".to_owned());
    }
    let rows: Vec<Vec<String>> = view
        .cpus
        .iter()
        .map(|cpu| {
            let mut row = vec![or_dash(cpu.interrupts)];
            row.extend(cpu.softirqs.iter().map(|(_, n)| n.to_string()));
            row.push(cpu.pending.join(" "));
            row
        })
        .collect();
    let part = |of: std::ops::Range<usize>| {
        let mut header = vec![">CPU"];
        header.extend(columns.get(of.clone()).unwrap_or_default().iter().map(String::as_str));
        let rows = view.cpus.iter().zip(&rows).map(|(cpu, row)| {
            let cells = row.get(of.clone()).unwrap_or_default();
            std::iter::once(cpu.cpu.to_string()).chain(cells.iter().cloned()).collect()
        });
        table(&header, rows, width)
    };
    let (mut parts, mut start) = (Vec::new(), 0);
    while start < columns.len() {
        let ends = (start + 1..=columns.len()).rev();
        let (end, text) = ends
            .map(|end| (end, part(start..end)))
            .find(|(end, text)| *end == start + 1 || fits(text, width))
            .unwrap_or_default();
        parts.push(text);
        start = end.max(start + 1);
    }
    parts.join("\n")
}

/// Timers of each CPU, with the one due first.
pub fn timers(view: &Listed<TimerQueue>, width: Option<usize>) -> String {
    let rows = view.items.iter().map(|queue| {
        let first = queue.first.as_ref();
        vec![
            queue.cpu.to_string(),
            address(queue.address.into()),
            queue.kind.to_owned(),
            or_dash(queue.timers),
            or_dash(first.map(|timer| timer.expires)),
            seconds(queue.overdue_ns),
            or_dash(first.and_then(|timer| timer.function.as_deref())),
        ]
    });
    let header = [">CPU", "BASE", "KIND", ">TIMERS", ">FIRST EXPIRES", ">OVERDUE s", "FUNCTION"];
    let mut out = match view.items.is_empty() {
        true => none("no timers\n", "timers: not known\n", &view.gaps).to_owned(),
        false => table(&header, rows, width),
    };
    let storms = view.items.iter().filter_map(|queue| Some((queue.cpu, queue.interrupt?)));
    // Now and then it gives up in a guest that got no CPU.
    for (cpu, counts) in storms.filter(|(_, counts)| counts.hang_detected || counts.hangs > counts.events / 100) {
        let _ = writeln!(
            out,
            "CPU {cpu}: the interrupt of high-resolution timers came {} times and gave up {} times, because timers were due again as fast as they ran",
            counts.events, counts.hangs
        );
    }
    for queue in view.items.iter().filter(|queue| !queue.all.is_empty()) {
        let _ = writeln!(out, "\nCPU {} {}", queue.cpu, queue.kind);
        let rows = queue.all.iter().map(|timer| {
            vec![
                address(timer.address.into()),
                timer.expires.to_string(),
                or_dash(timer.function.as_deref()),
                timer.clock.unwrap_or("").to_owned(),
            ]
        });
        let name = if queue.kind == "high-resolution" { "HRTIMER" } else { "TIMER_LIST" };
        out.push_str(&table(&[name, ">EXPIRES", "FUNCTION", ""], rows, width));
    }
    gaps(&mut out, &view.gaps);
    out
}

/// Pools of workers, then the busy workers.
pub fn workers(view: &Listed<WorkerPool>, width: Option<usize>) -> String {
    let rows = view.items.iter().map(|pool| {
        vec![
            pool.id.to_string(),
            address(pool.address.into()),
            pool.cpu.map_or_else(|| "any".to_owned(), |cpu| cpu.to_string()),
            pool.workers.to_string(),
            pool.idle.to_string(),
            pool.pending.to_string(),
            seconds(pool.stalled_ns),
            or_dash(pool.first_pending.as_deref()),
        ]
    });
    let header = [">POOL", "WORKER_POOL", ">CPU", ">WORKERS", ">IDLE", ">PENDING", ">NOTHING BEGUN s", "FIRST PENDING"];
    let mut out = match view.items.is_empty() {
        true => none("no work queues\n", "work queues: not known\n", &view.gaps).to_owned(),
        false => table(&header, rows, width),
    };
    let busy: Vec<_> = view.items.iter().flat_map(|pool| &pool.busy).collect();
    if !busy.is_empty() {
        out.push('\n');
        let rows = busy.iter().map(|worker| {
            let module = worker.module.as_ref().map(|module| format!(" [{module}]")).unwrap_or_default();
            vec![
                or_dash(worker.pid),
                address(worker.task.into()),
                seconds(worker.busy_ns),
                or_dash(worker.comm.as_deref()),
                or_dash(worker.workqueue.as_deref()),
                format!("{}{module}", or_dash(worker.function.as_deref())),
            ]
        });
        let header = [">PID", "TASK", ">BUSY s", "COMM", "WORKQUEUE", "FUNCTION"];
        out.push_str(&table(&header, rows, width));
    }
    let mut told = Vec::new();
    for worker in busy.iter().filter(|worker| worker.inactive > 0) {
        let queue = or_dash(worker.workqueue.as_deref());
        // Workers of one pool that run work of one queue have the same behind them.
        let line = format!(
            "{} of {queue} may not begin, {} first: as much of it runs as may (max_active)",
            worker.inactive,
            or_dash(worker.first_inactive.as_deref())
        );
        if !told.contains(&line) {
            let _ = writeln!(out, "{line}");
            told.push(line);
        }
    }
    gaps(&mut out, &view.gaps);
    out
}

/// Mounts.
pub fn mounts(view: &Listed<MountRow>, width: Option<usize>) -> String {
    let rows = view.items.iter().map(|mount| {
        let mut marks = Vec::new();
        if mount.read_only == Some(true) {
            marks.push("read-only".to_owned());
        }
        if let Some(frozen) = mount.frozen.as_ref().filter(|state| *state != "no") {
            marks.push(format!("FROZEN ({frozen}), {} wait", mount.waiters));
        }
        vec![
            address(mount.mount),
            address(mount.super_block),
            mount.fs_type.clone(),
            mount.source.clone(),
            or_dash(mount.path.as_deref()),
            marks.join(", "),
        ]
    });
    let mut out = match view.items.is_empty() {
        true => none("no mounts\n", "mounts: not known\n", &view.gaps).to_owned(),
        false => table(&["MOUNT", "SUPERBLK", "TYPE", "DEVNAME", "DIRNAME", ""], rows, width),
    };
    gaps(&mut out, &view.gaps);
    out
}

/// Settings as `sysctl` prints them; behind those that a handler of its own may show otherwise its name.
pub fn sysctls(view: &SysctlView, _width: Option<usize>) -> String {
    let mut out = String::new();
    for sysctl in &view.items {
        let handler = printable(sysctl.handler.as_deref().unwrap_or("?"));
        let _ = match &sysctl.text {
            Some(text) => {
                let text = text.replace('\t', " ");
                let stored = if sysctl.stored { format!("   (stored; shown by {handler})") } else { String::new() };
                writeln!(out, "{} = {}{stored}", printable(&sysctl.name), printable(&text))
            }
            None => writeln!(out, "{}: not known (shown by {handler})", printable(&sysctl.name)),
        };
    }
    if let Some(registered) = view.registered {
        let _ = writeln!(out, "{} of {registered} settings", view.items.len());
    }
    gaps(&mut out, &view.gaps);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use kernel::{CpuInterrupts, Interrupt, VirtAddr};

    fn view(cpus: u32, pending: &[&'static str]) -> InterruptView {
        let names = ["HI", "TIMER", "NET_TX", "NET_RX", "BLOCK", "IRQ_POLL", "TASKLET", "SCHED", "HRTIMER", "RCU"];
        let cpu = |cpu| CpuInterrupts {
            cpu,
            interrupts: Some(4_000_000_000),
            softirqs: names.iter().map(|name| (*name, 3_000_000_000)).collect(),
            pending: pending.to_vec(),
        };
        let interrupt = Interrupt {
            irq: 24,
            address: VirtAddr(0xffff_8880_0000_0000),
            actions: vec!["virtio0-input.0".to_owned(), "a long name of an action".to_owned()],
            chip: Some("PCI-MSI".to_owned()),
            counts: (0..cpus).map(|cpu| (cpu, 123_456_789)).collect(),
            total: u64::from(cpus) * 123_456_789,
            disabled: 0,
            unhandled: 0,
            switched_off: false,
        };
        let counts = (0..cpus).map(|cpu| (cpu, 1_607_156)).collect();
        let own = kernel::MachineInterrupt { name: "LOC", action: "local timer", counts, total: 3_214_312 };
        let (interrupts, machine) = (vec![interrupt], vec![own]);
        InterruptView { cpus: (0..cpus).map(cpu).collect(), interrupts, machine, gaps: Vec::new() }
    }

    #[test]
    fn interrupts_and_softirqs_fit_any_terminal_and_none_is_left_out() {
        for width in [60, 80, 132] {
            let out = interrupts(&view(12, &["TIMER", "RCU"]), Some(width));
            assert!(out.lines().all(|line| line.chars().count() <= width), "{width}:\n{out}");
            for word in
                ["IRQ_POLL", "RCU", "INTERRUPTS", "TIMER RCU", "1481481468", "virtio0-input.0", "LOC", "local timer"]
            {
                assert!(out.contains(word), "{width}: {word}\n{out}");
            }
        }
        let piped = interrupts(&view(12, &[]), None);
        assert!(piped.lines().next().is_some_and(|header| header.contains("CPU7")), "{piped}");
        let columns =
            |out: &str| out.lines().filter(|line| line.starts_with("CPU")).map(str::to_owned).collect::<Vec<_>>();
        assert!(columns(&piped).concat().contains("PENDING") && columns(&piped).len() == 1, "{piped}");
        // Where nothing waits no room is spent on it.
        assert!(!interrupts(&view(2, &[]), Some(80)).contains("PENDING"));
    }
}
