//! The tables of memory that OOM kills and failed page allocations print.

use std::collections::BTreeMap;

use facts::{FieldDef, FieldType, Value};

use super::field;
use crate::cursor::{Cursor, after, between, has, number_after};
use crate::event::Event;

/// What the tables tell.
pub(super) const FIELDS: [FieldDef; 9] = [
    field("pages", FieldType::Record, "pages", "counters of Mem-Info by name"),
    field("zones", FieldType::List, "kB", "per zone: node, zone, free_kb, min_kb, low_kb, high_kb"),
    field("slabs", FieldType::List, "", "largest unreclaimable slab caches: cache, used_kb, total_kb"),
    field("free_swap_kb", FieldType::Int, "kB", "free swap"),
    field("total_swap_kb", FieldType::Int, "kB", "all swap"),
    field("pages_ram", FieldType::Int, "pages", "all memory"),
    field("blocks", FieldType::List, "", "per zone: node, zone, page_kb, counts of free blocks by order from 0"),
    field("pages_reserved", FieldType::Int, "pages", "of it, what the kernel never gave to the allocator"),
    field("hugepages", FieldType::List, "", "per node and size: node, hugepage_kb, total, free"),
];

/// Rows kept of the tables that may be long.
const MAX_ROWS: usize = 10;
/// Zones, and sizes of huge pages, kept.
const MAX_ZONES: usize = 256;

/// Is this a line of the memory tables (`Mem-Info:` and what follows)?
pub(super) fn is_table_line(text: &str) -> bool {
    if text.is_empty() {
        return false;
    }
    if let Some(rest) = text.strip_prefix("Node ") {
        return rest.starts_with(|c: char| c.is_ascii_digit());
    }
    const HEADS: &[&str] = &[
        "Mem-Info:",
        "active_anon:",
        "active_file:",
        "unevictable:",
        "slab_reclaimable:",
        "mapped:",
        "kernel_misc_reclaimable:",
        "free:",
        "sec_pagetables:",
        "lowmem_reserve[]",
        "Free swap",
        "Total swap",
        "Swap cache stats",
        "DMA",
        "Normal",
        "HighMem",
        "Unreclaimable slab info",
        "Name   ",
        "CPU ",
        "active:",
        "Tasks state",
        "[ pid ]",
        "[  pid  ]",
        "Memory allocations:",
        "Mem-info:",
    ];
    if HEADS.iter().any(|head| text.starts_with(head)) {
        return !text.starts_with("CPU ") || has(text, "hi:");
    }
    const TAILS: &[&str] = &[
        "total pagecache pages",
        "pages in swap cache",
        "pages RAM",
        "pages reserved",
        "pages HighMem/MovableOnly",
        "pages cma reserved",
        "pages hwpoisoned",
        "pages in pagetable cache",
        "pages non-shared",
        "pages shared",
        "pages slab",
        "pages of RAM",
    ];
    text.starts_with(|c: char| c.is_ascii_digit()) && TAILS.iter().any(|tail| text.ends_with(tail))
}

/// `kmalloc-64              123KB       456KB`
pub(super) fn slab_row(event: &mut Event, text: &str) -> bool {
    let mut words = text.split_ascii_whitespace();
    let (Some(cache), Some(used), Some(total), None) = (words.next(), words.next(), words.next(), words.next()) else {
        return false;
    };
    let kb = |word: &str| word.strip_suffix("KB").and_then(|n| n.parse::<u64>().ok());
    let (Some(used), Some(total)) = (kb(used), kb(total)) else { return false };
    let row = BTreeMap::from([
        ("cache".to_owned(), Value::from(cache)),
        ("used_kb".to_owned(), used.into()),
        ("total_kb".to_owned(), total.into()),
    ]);
    largest(event, "slabs", "total_kb", row);
    true
}

/// Keeps the rows of a table with the largest values in one column.
pub(super) fn largest(event: &mut Event, list: &'static str, column: &str, row: BTreeMap<String, Value>) {
    if !event.fields.contains_key(list) {
        event.set(list, Value::List(Vec::new()));
    }
    let of = |row: &BTreeMap<String, Value>| row.get(column).and_then(Value::as_int).unwrap_or(0);
    if let Some(Value::List(rows)) = event.fields.get_mut(list) {
        let at = rows.iter().position(|r| matches!(r, Value::Record(r) if of(r) < of(&row))).unwrap_or(rows.len());
        rows.insert(at, Value::Record(row));
        rows.truncate(MAX_ROWS);
    }
}

fn add(event: &mut Event, list: &'static str, row: BTreeMap<String, Value>) {
    match event.fields.get_mut(list) {
        Some(Value::List(rows)) if rows.len() < MAX_ZONES => rows.push(Value::Record(row)),
        Some(_) => {}
        None => event.set(list, vec![Value::Record(row)]),
    }
}

/// `Node 0 Normal `, the node left out where there is one alone
fn zone<'a>(c: &mut Cursor<'a>) -> Option<BTreeMap<String, Value>> {
    let mut node = 0;
    if c.take("Node ") {
        node = c.number()?;
        c.blanks();
    }
    let zone = c.word().trim_end_matches(':');
    let named = !zone.is_empty() && !zone.contains([':', '=']);
    named.then(|| BTreeMap::from([("node".to_owned(), Value::from(node)), ("zone".to_owned(), zone.into())]))
}

/// `Node 0 Normal free:15884kB boost:0kB min:64kB low:80kB high:96kB active_anon:0kB ...`
fn zone_row(event: &mut Event, text: &str) {
    let mut c = Cursor::new(text);
    let Some(mut row) = zone(&mut c) else { return };
    if !c.blanks().take("free:") {
        return;
    }
    for (name, label) in [("free_kb", " free:"), ("min_kb", " min:"), ("low_kb", " low:"), ("high_kb", " high:")] {
        if let Some(n) = number_after(text, label) {
            row.insert(name.to_owned(), n.into());
        }
    }
    add(event, "zones", row);
}

/// `Node 0 Normal: 12*4kB (UME) 3*8kB (U) ... 0*4096kB = 72kB`
fn buddy_row(event: &mut Event, text: &str) {
    let mut c = Cursor::new(text);
    let Some(mut row) = zone(&mut c) else { return };
    let mut counts: Vec<u64> = Vec::new();
    let mut page_kb = 0;
    for word in c.rest().split_ascii_whitespace().filter(|w| w.contains('*')).take(32) {
        let Some((count, size)) = word.split_once('*') else { continue };
        let (Ok(count), Some(kb)) = (count.parse::<u64>(), Cursor::new(size).number()) else { return };
        if counts.is_empty() {
            page_kb = kb;
        }
        counts.push(count);
    }
    if counts.is_empty() {
        return;
    }
    row.insert("page_kb".to_owned(), page_kb.into());
    row.insert("counts".to_owned(), Value::List(counts.into_iter().map(Value::from).collect()));
    add(event, "blocks", row);
}

/// `Node 0 hugepages_total=15000 hugepages_free=15000 hugepages_surp=0 hugepages_size=2048kB`
fn huge_row(event: &mut Event, text: &str) {
    let number = |label| number_after(text, label);
    let (Some(total), Some(free), Some(size)) =
        (number("hugepages_total="), number("hugepages_free="), number("hugepages_size="))
    else {
        return;
    };
    if total == 0 {
        return;
    }
    let node = between(text, "Node ", " ").and_then(|n| n.parse::<u64>().ok()).unwrap_or(0);
    let row =
        [("node", Value::from(node)), ("hugepage_kb", size.into()), ("total", total.into()), ("free", free.into())];
    add(event, "hugepages", row.into_iter().map(|(name, value)| (name.to_owned(), value)).collect());
}

/// Numbers of the memory tables.
pub(super) fn table(event: &mut Event, text: &str) {
    if let Some(kb) = after(text, "Free swap").and_then(|t| number_after(t, "=")) {
        event.set("free_swap_kb", kb);
    } else if let Some(kb) = after(text, "Total swap").and_then(|t| number_after(t, "=")) {
        event.set("total_swap_kb", kb);
    } else if let Some(pages) = text.strip_suffix(" pages RAM").and_then(|n| n.parse::<u64>().ok()) {
        event.set("pages_ram", pages);
    } else if let Some(pages) = text.strip_suffix(" pages reserved").and_then(|n| n.parse::<u64>().ok()) {
        event.set("pages_reserved", pages);
    } else if has(text, " free:") && has(text, " min:") {
        zone_row(event, text);
    } else if has(text, "hugepages_total=") {
        huge_row(event, text);
    } else if has(text, "kB ") && has(text, "*") {
        buddy_row(event, text);
    } else if !text.starts_with("Node ") && text.contains(':') {
        let mut pairs = BTreeMap::new();
        for word in text.split_ascii_whitespace() {
            if let Some((name, n)) = word.split_once(':')
                && let Ok(n) = n.parse::<u64>()
            {
                pairs.insert(name.to_owned(), Value::from(n));
            }
        }
        if pairs.is_empty() {
            return;
        }
        match event.fields.get_mut("pages") {
            // The first table is of the whole machine; a kernel prints about 30 counters.
            Some(Value::Record(all)) if all.len() < 64 => {
                for (name, n) in pairs {
                    all.entry(name).or_insert(n);
                }
            }
            Some(_) => {}
            None => event.set("pages", pairs),
        }
    }
}
