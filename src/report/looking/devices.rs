//! `dev` as text.

use std::fmt::Write as _;

use crate::look::DiskView;
use crate::report::table::{address, gaps, none, or_dash, table};

/// Requests shown of one disk.
const MAX_REQUESTS: usize = 8;

/// Seconds with three decimals.
fn seconds(ns: Option<u64>) -> String {
    ns.map_or_else(|| "-".to_owned(), |ns| format!("{}.{:03}", ns / 1_000_000_000, ns / 1_000_000 % 1000))
}

/// Bytes in the unit that leaves at most five digits; JSON has the number.
fn size(bytes: u64) -> String {
    let kib = bytes / 1024;
    match kib {
        0..=99_999 => format!("{kib}k"),
        100_000..=102_399_999 => format!("{}M", kib >> 10),
        _ => format!("{}G", kib >> 20),
    }
}

/// Block devices, their requests in flight, character devices.
pub fn disks(view: &DiskView, width: Option<usize>) -> String {
    let rows = view.disks.iter().map(|d| {
        let mut marks = Vec::new();
        if !d.multi_queue {
            marks.push("not blk-mq".to_owned());
        }
        if d.queue_frozen {
            marks.push("QUEUE FROZEN".to_owned());
        }
        if let Some(bios) = d.suspended {
            marks.push(format!("SUSPENDED, {bios} bios wait"));
        }
        if let Some(label) = &d.label {
            marks.push(label.clone());
        }
        if !d.below.is_empty() {
            marks.push(format!("on {}", d.below.join(" ")));
        }
        if let Some(backing) = &d.backing {
            marks.push(format!("in a file on {backing}"));
        }
        vec![
            format!("{}:{}", d.major, d.minor),
            address(d.gendisk),
            d.name.clone(),
            d.queue.map_or_else(|| "-".to_owned(), address),
            d.bytes.map_or_else(|| "-".to_owned(), size),
            d.in_flight.to_string(),
            or_dash(d.counted.map(|counted| counted.reads)),
            or_dash(d.counted.map(|counted| counted.writes)),
            seconds(d.oldest_ns),
            marks.join(", "),
        ]
    });
    let header =
        [">DEV", "GENDISK", "NAME", "REQUEST_QUEUE", ">SIZE", ">IN FLIGHT", ">READ", ">WRITE", ">OLDEST s", ""];
    let mut out = match view.disks.is_empty() {
        // What is not known of character devices says nothing of disks.
        true => {
            let of_disks: Vec<_> = view.gaps.iter().filter(|gap| gap.what != "character devices").cloned().collect();
            none("no block devices\n", "block devices: not known\n", &of_disks).to_owned()
        }
        false => table(&header, rows, width),
    };
    let requests: Vec<_> =
        view.disks.iter().flat_map(|d| d.requests.iter().take(MAX_REQUESTS).map(|r| (d.name.clone(), r))).collect();
    if !requests.is_empty() {
        out.push('\n');
        let rows = requests.iter().map(|(disk, r)| {
            vec![
                disk.clone(),
                address(r.address.into()),
                or_dash(r.tag),
                r.state.to_owned(),
                or_dash(r.operation.as_deref()),
                or_dash(r.sector),
                or_dash(r.bytes),
                seconds(r.age_ns),
                or_dash(r.timeout_s),
            ]
        });
        let header = ["DISK", "REQUEST", ">TAG", "STATE", "OPERATION", ">SECTOR", ">BYTES", ">AGE s", ">TIMEOUT s"];
        out.push_str(&table(&header, rows, width));
        let all: usize = view.disks.iter().map(|d| d.requests.len()).sum();
        if all > requests.len() {
            let _ = writeln!(out, "and {} requests more; --format json has all", all - requests.len());
        }
    }
    if !view.characters.is_empty() {
        out.push('\n');
        let rows = view.characters.iter().map(|c| {
            let last = c.first_minor.saturating_add(c.minors.saturating_sub(1));
            vec![c.major.to_string(), format!("{}-{last}", c.first_minor), c.name.clone()]
        });
        out.push_str(&table(&[">CHRDEV", "MINORS", "NAME"], rows, width));
    }
    gaps(&mut out, &view.gaps);
    out
}
