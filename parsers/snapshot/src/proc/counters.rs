//! `/proc/vmstat`, `/proc/stat`, `/proc/softirqs`, `/proc/interrupts`.

use facts::Fact;

use crate::node::{Input, Node};
use crate::text::pair;

/// The rows of `/proc/vmstat` that bear on memory trouble.
pub(crate) const VMSTAT: &[&str] = &[
    "nr_free_pages",
    "nr_slab_reclaimable",
    "nr_slab_unreclaimable",
    "nr_dirty",
    "nr_writeback",
    "allocstall",
    "allocstall_normal",
    "allocstall_movable",
    "pgscan_direct",
    "pgsteal_direct",
    "oom_kill",
    "compact_fail",
    "compact_stall",
    "drop_pagecache",
    "drop_slab",
    "slabs_scanned",
    "pgmajfault",
    "nr_unstable",
];

pub(crate) fn vmstat(node: &mut Node, input: &Input<'_>) -> bool {
    if !input.text.starts_with("nr_") {
        return false;
    }
    let mut fact = Fact::new("node.vmstat", input.whole());
    for line in input.text.lines() {
        if let Some((name, value)) = pair(line)
            && let Some(row) = VMSTAT.iter().find(|r| **r == name)
        {
            fact.set(*row, value);
        }
    }
    node.push_once(fact);
    true
}

/// `/proc/stat`: share of each kind of time since boot, and the boot time.
pub(crate) fn stat(node: &mut Node, input: &Input<'_>) -> bool {
    let Some(first) = input.text.lines().next().filter(|l| l.starts_with("cpu ")) else { return false };
    let ticks: Vec<i64> = first.split_ascii_whitespace().skip(1).filter_map(|w| w.parse().ok()).collect();
    let total: i64 = ticks.iter().take(8).fold(0i64, |a, b| a.saturating_add(*b));
    let share = |i: usize| ticks.get(i).filter(|_| total > 0).map(|t| *t as f64 * 100.0 / total as f64);
    let rows: std::collections::BTreeMap<&str, i64> = input.text.lines().filter_map(pair).collect();
    let booted = rows.get("btime").and_then(|t| u64::try_from(*t).ok()).and_then(crate::stamp::Stamp::of_unix);
    if let Some(booted) = booted {
        node.identity.boot_time.get_or_insert_with(|| format!("{}Z", booted.to_string().replace(' ', "T")));
    }
    let cpus = input.text.lines().filter(|l| l.starts_with("cpu") && !l.starts_with("cpu ")).count();
    node.push_once(
        Fact::new("node.stat", input.whole())
            .with("cpus", cpus)
            .with_opt("user_share", share(0))
            .with_opt("system_share", share(2))
            .with_opt("iowait_share", share(4))
            .with_opt("softirq_share", share(6))
            .with_opt("steal_share", share(7))
            .with_opt("boot_unix_s", rows.get("btime").copied())
            .with_opt("procs_blocked", rows.get("procs_blocked").copied())
            .with_opt("procs_running", rows.get("procs_running").copied())
            .quoting(crate::text::quote(first)),
    );
    true
}

/// Tables with a CPU header and `name: n n n` rows: the largest rows and the worst imbalance.
pub(crate) fn per_cpu(node: &mut Node, input: &Input<'_>) -> bool {
    let mut lines = input.text.lines();
    let Some(cpus) = lines.next().filter(|l| l.contains("CPU0")).map(|l| l.split_ascii_whitespace().count()) else {
        return false;
    };
    let kind = if input.text.contains("NET_RX:") { "softirq" } else { "interrupt" };
    let mut rows: Vec<(i64, i64, String)> = Vec::new();
    for line in lines {
        let Some((name, rest)) = line.split_once(':') else { continue };
        let counts: Vec<i64> = rest.split_ascii_whitespace().take(cpus).map_while(|w| w.parse().ok()).collect();
        let total = counts.iter().fold(0i64, |a, b| a.saturating_add(*b));
        let label: Vec<&str> = rest.split_ascii_whitespace().skip(cpus).collect();
        let name = name.trim();
        let name = if label.is_empty() { name.to_owned() } else { format!("{name} {}", label.join(" ")) };
        rows.push((total, counts.iter().copied().max().unwrap_or(0), name));
    }
    rows.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.2.cmp(&b.2)));
    for (total, largest, name) in rows.into_iter().take(8).filter(|r| r.0 > 0) {
        node.push(
            Fact::new("node.interrupts", input.whole())
                .with("what", kind)
                .with("name", name)
                .with("count", total)
                .with("busiest_cpu_share", largest as f64 * 100.0 / total as f64),
        );
    }
    true
}
