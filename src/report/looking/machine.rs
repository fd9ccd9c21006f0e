//! `irq`, `timer`, `work`, `mount` and `sysctl` as text.

use std::fmt::Write as _;

use kernel::{Sysctl, TimerQueue, WorkerPool};

use crate::look::{InterruptView, Listed, MountRow};
use crate::report::printable;
use crate::report::table::{address, gaps, none, or_dash, table};

/// Counts by CPU are shown for so many CPUs; the rest are added up.
const MAX_CPUS: usize = 8;

fn seconds(ns: Option<u64>) -> String {
    ns.map_or_else(|| "-".to_owned(), |ns| format!("{}.{:03}", ns / 1_000_000_000, ns / 1_000_000 % 1000))
}

/// Interrupts by CPU, then softirqs by CPU.
pub fn interrupts(view: &InterruptView, width: Option<usize>) -> String {
    let cpus: Vec<u32> = view.cpus.iter().map(|cpu| cpu.cpu).take(MAX_CPUS).collect();
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
    let mut out = match view.interrupts.is_empty() {
        true => none("no interrupts\n", "interrupts: not known\n", &view.gaps).to_owned(),
        false => table(&header, rows, width),
    };
    if let Some(first) = view.cpus.first().filter(|cpu| !cpu.softirqs.is_empty()) {
        out.push('\n');
        let mut header = vec![">CPU", ">INTERRUPTS"];
        let names: Vec<String> = first.softirqs.iter().map(|(name, _)| format!(">{name}")).collect();
        header.extend(names.iter().map(String::as_str));
        header.push("PENDING");
        let rows = view.cpus.iter().map(|cpu| {
            let mut row = vec![cpu.cpu.to_string(), or_dash(cpu.interrupts)];
            row.extend(cpu.softirqs.iter().map(|(_, n)| n.to_string()));
            row.push(cpu.pending.join(" "));
            row
        });
        out.push_str(&table(&header, rows, width));
    }
    gaps(&mut out, &view.gaps);
    out
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
            or_dash(first.and_then(|timer| timer.function.as_deref())),
            seconds(queue.overdue_ns),
        ]
    });
    let header = [">CPU", "BASE", "KIND", ">TIMERS", ">FIRST EXPIRES", "FUNCTION", ">OVERDUE s"];
    let mut out = match view.items.is_empty() {
        true => none("no timers\n", "timers: not known\n", &view.gaps).to_owned(),
        false => table(&header, rows, width),
    };
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
            or_dash(pool.first_pending.as_deref()),
            seconds(pool.stalled_ns),
        ]
    });
    let header = [">POOL", "WORKER_POOL", ">CPU", ">WORKERS", ">IDLE", ">PENDING", "FIRST PENDING", ">NOTHING BEGUN s"];
    let mut out = match view.items.is_empty() {
        true => none("no work queues\n", "work queues: not known\n", &view.gaps).to_owned(),
        false => table(&header, rows, width),
    };
    let busy: Vec<_> = view.items.iter().flat_map(|pool| &pool.busy).collect();
    if !busy.is_empty() {
        out.push('\n');
        let rows = busy.iter().map(|worker| {
            vec![
                or_dash(worker.pid),
                address(worker.task.into()),
                or_dash(worker.comm.as_deref()),
                or_dash(worker.workqueue.as_deref()),
                or_dash(worker.function.as_deref()),
                or_dash(worker.module.as_deref()),
                seconds(worker.busy_ns),
            ]
        });
        let header = [">PID", "TASK", "COMM", "WORKQUEUE", "FUNCTION", "MODULE", ">BUSY s"];
        out.push_str(&table(&header, rows, width));
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

/// Settings.
pub fn sysctls(view: &Listed<Sysctl>, _width: Option<usize>) -> String {
    let mut out = String::new();
    for sysctl in &view.items {
        let _ = writeln!(out, "{} = {}", printable(sysctl.name), sysctl.value);
    }
    gaps(&mut out, &view.gaps);
    out
}
