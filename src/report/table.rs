//! Tables that fit the terminal; a pipe gets full width.

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

use super::printable;

/// What is said of an empty list: that there is nothing, unless something could not be read.
pub(super) fn none(nothing: &'static str, unknown: &'static str, gaps: &[facts::Gap]) -> &'static str {
    if gaps.is_empty() { nothing } else { unknown }
}

/// A table without borders. Names of right-aligned columns begin with `>`. `width` is that of the terminal.
pub(super) fn table(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>, width: Option<usize>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(header.iter().map(|name| name.trim_start_matches('>').to_owned()).collect::<Vec<_>>());
    match width.and_then(|n| u16::try_from(n).ok()) {
        Some(width) => table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width),
        None => table.set_content_arrangement(ContentArrangement::Disabled),
    };
    for row in rows {
        table.add_row(row.iter().map(|cell| printable(cell)).collect::<Vec<_>>());
    }
    for (n, name) in header.iter().enumerate() {
        if let Some(column) = table.column_mut(n) {
            column.set_padding((0, 2));
            if name.starts_with('>') {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
    }
    let mut out = String::new();
    for line in table.lines() {
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

/// A value, or a dash.
pub(super) fn or_dash<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

/// An address as crash prints it: hex without `0x`.
pub(super) fn address(at: facts::Address) -> String {
    format!("{:016x}", at.0)
}

/// The gaps of a view, one a line.
pub(super) fn gaps(out: &mut String, gaps: &[facts::Gap]) {
    for gap in gaps {
        out.push_str(&super::gap(gap));
        out.push('\n');
    }
}
