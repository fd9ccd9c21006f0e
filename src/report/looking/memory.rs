//! `mem` as text.

use kernel::Share;

use crate::look::MemoryView;
use crate::report::table::{gaps, table};

fn kib(bytes: u64) -> String {
    (bytes / 1024).to_string()
}

/// The memory overview: total, parts, what is unaccounted, then what parts contain, then the largest caches.
pub fn memory(view: &MemoryView, width: Option<usize>) -> String {
    let total = view.lines.iter().find(|line| line.share == Share::Total).map_or(0, |line| line.bytes);
    let percent = |bytes: i64| match total {
        0 => String::new(),
        _ => format!("{:.1} %", bytes as f64 * 100.0 / total as f64),
    };
    let row = |line: &kernel::MemoryLine| {
        vec![
            line.name.replace('_', " "),
            kib(line.bytes),
            percent(i64::try_from(line.bytes).unwrap_or(i64::MAX)),
            line.source.clone(),
        ]
    };
    let mut rows: Vec<_> = view.lines.iter().filter(|line| line.share != Share::Detail).map(row).collect();
    if let Some(left) = view.unaccounted {
        let source = "total less all lines above".to_owned();
        rows.push(vec!["unaccounted".to_owned(), (left / 1024).to_string(), percent(left), source]);
    }
    let mut out = table(&["MEMORY", ">KIB", ">SHARE", "SOURCE"], rows, width);
    let details: Vec<_> = view.lines.iter().filter(|line| line.share == Share::Detail).map(row).collect();
    if !details.is_empty() {
        out.push('\n');
        out.push_str(&table(&["OF WHICH, OR BESIDE IT", ">KIB", ">SHARE", "SOURCE"], details, width));
    }
    if !view.largest_caches.is_empty() {
        out.push('\n');
        let rows = view.largest_caches.iter().map(|c| {
            let bytes = c.bytes.unwrap_or(0);
            vec![c.name.clone(), kib(bytes), percent(i64::try_from(bytes).unwrap_or(i64::MAX))]
        });
        out.push_str(&table(&["LARGEST SLAB CACHES", ">KIB", ">SHARE"], rows, width));
    }
    for (kind, title) in
        [("vmalloc", "LARGEST USERS OF VMALLOC"), ("shared memory", "LARGEST FILES OF TMPFS AND SHARED MEMORY")]
    {
        let held = view.holders.iter().filter(|holder| holder.kind == kind);
        let rows: Vec<_> = held
            .map(|holder| {
                let share = percent(i64::try_from(holder.bytes).unwrap_or(i64::MAX));
                vec![holder.name.clone(), kib(holder.bytes), share]
            })
            .collect();
        if !rows.is_empty() {
            out.push('\n');
            out.push_str(&table(&[title, ">KIB", ">SHARE"], rows, width));
        }
    }
    gaps(&mut out, &view.gaps);
    out
}
