//! `search` as text.

use std::fmt::Write as _;

use crate::look::SearchView;
use crate::report::printable;
use crate::report::table::{address, gaps, or_dash, table};

/// Where a value stands.
pub fn search(view: &SearchView, width: Option<usize>) -> String {
    let mut out = String::new();
    if view.hits.is_empty() {
        let whole = if view.gaps.is_empty() { "" } else { ", the search did not come to its end" };
        let _ = writeln!(
            out,
            "{} stands nowhere: {} pages looked at, {} not in the dump{whole}",
            printable(&view.needle),
            view.pages,
            view.absent
        );
    } else {
        let differ = view.hits.iter().any(|hit| hit.value.is_some());
        let rows = view.hits.iter().map(|hit| {
            let mut row = vec![or_dash(hit.address.map(address)), format!("{:x}", hit.physical.0)];
            if differ {
                row.push(or_dash(hit.value.map(|v| format!("{:x}", v.0))));
            }
            row.push(hit.what.clone());
            row
        });
        let header: &[&str] =
            if differ { &["ADDRESS", ">PHYSICAL", "VALUE", "WHAT"] } else { &["ADDRESS", ">PHYSICAL", "WHAT"] };
        out.push_str(&table(header, rows, width));
        let _ = writeln!(
            out,
            "{} place{}; {} pages looked at, {} not in the dump",
            view.hits.len(),
            if view.hits.len() == 1 { "" } else { "s" },
            view.pages,
            view.absent
        );
    }
    gaps(&mut out, &view.gaps);
    out
}
