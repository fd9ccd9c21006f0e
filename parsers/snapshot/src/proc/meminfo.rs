//! `/proc/meminfo`.

use facts::Fact;

use crate::node::{Input, Node};
use crate::text::pair;

/// The rows that are kept, under the kernel's own names.
pub(crate) const ROWS: &[&str] = &[
    "MemTotal",
    "MemFree",
    "MemAvailable",
    "Buffers",
    "Cached",
    "SwapTotal",
    "SwapFree",
    "Dirty",
    "Writeback",
    "AnonPages",
    "Mapped",
    "Shmem",
    "KReclaimable",
    "Slab",
    "SReclaimable",
    "SUnreclaim",
    "KernelStack",
    "PageTables",
    "SecPageTables",
    "Percpu",
    "VmallocUsed",
    "CommitLimit",
    "Committed_AS",
    "HardwareCorrupted",
    "Balloon",
    "Zswap",
    "Hugetlb",
];

pub(crate) fn read(node: &mut Node, input: &Input<'_>) -> bool {
    if !input.text.trim_start().starts_with("MemTotal:") {
        return false;
    }
    let mut fact = Fact::new("node.meminfo", input.whole());
    for line in input.text.lines() {
        let Some((name, value)) = pair(line) else { continue };
        if let Some(row) = ROWS.iter().find(|r| **r == name) {
            fact.set(*row, value);
        }
        let pages = match name {
            "HugePages_Total" => "HugePages_Total",
            "HugePages_Free" => "HugePages_Free",
            _ => continue,
        };
        fact.set(pages, value);
    }
    if let (Some(total), Some(slab)) = (fact.int("MemTotal"), fact.int("SUnreclaim"))
        && total > 0
    {
        fact.set("SUnreclaim_share", slab as f64 * 100.0 / total as f64);
    }
    let row = |name: &str| fact.int(name).map_or(String::new(), |v| format!("{name}: {v} kB"));
    fact.quote = ["MemTotal", "MemAvailable", "Slab", "SUnreclaim"].map(row).join(", ");
    node.push_once(fact);
    true
}
