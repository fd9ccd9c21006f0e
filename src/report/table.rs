//! Tables for a person, and the cells they are made of.

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

use super::printable;

/// What is said of an empty list: that there is nothing, unless something could not be read.
pub(super) fn none(nothing: &'static str, unknown: &'static str, gaps: &[facts::Gap]) -> &'static str {
    if gaps.is_empty() { nothing } else { unknown }
}

/// The least room that is worth wrapping text in.
const LEAST: usize = 20;
/// What stands before a text below its row.
const INDENT: &str = "      ";

/// A table without borders. Names of right-aligned columns begin with `>`. `width` is that of the terminal.
///
/// Where it does not fit, columns move closer, then names and texts are broken at blanks, then the last column goes below
/// its row: of single words only those that have no room. A word is never broken: addresses and names are there to be
/// copied.
pub(super) fn table(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>, width: Option<usize>) -> String {
    let rows: Vec<Vec<String>> = rows.into_iter().map(|row| row.iter().map(|cell| printable(cell)).collect()).collect();
    let mut page = Page {
        names: header.iter().map(|name| name.trim_start_matches('>').to_owned()).collect(),
        rows,
        padding: 2,
        below: Vec::new(),
    };
    if let Some(width) = width {
        page.fit(width, header.last().is_some_and(|name| !name.starts_with('>')));
    }
    page.print(header)
}

fn length(text: &str) -> usize {
    text.lines().map(|line| line.chars().count()).max().unwrap_or(0)
}

fn longest_word(text: &str) -> usize {
    text.split([' ', '\n']).map(|word| word.chars().count()).max().unwrap_or(0)
}

/// Text with its blanks turned into line ends where it is longer than `room`.
fn wrapped(text: &str, room: usize) -> String {
    let mut out = String::new();
    let mut column = 0;
    for word in text.split(' ') {
        let length = word.chars().count();
        if column > 0 && column + 1 + length > room {
            out.push('\n');
            column = 0;
        } else if column > 0 {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += length;
    }
    out
}

struct Page {
    names: Vec<String>,
    rows: Vec<Vec<String>>,
    padding: u16,
    /// Text below each row, where the last column has no room beside the others.
    below: Vec<String>,
}

impl Page {
    fn cells(&self, column: usize) -> usize {
        self.rows.iter().filter_map(|row| row.get(column)).map(|cell| length(cell)).max().unwrap_or(0)
    }

    fn words(&self, column: usize) -> usize {
        self.rows.iter().filter_map(|row| row.get(column)).map(|cell| longest_word(cell)).max().unwrap_or(0)
    }

    fn total(&self) -> usize {
        let columns = self.names.iter().enumerate().map(|(n, name)| self.cells(n).max(length(name)));
        columns.map(|width| width + usize::from(self.padding)).sum::<usize>().saturating_sub(usize::from(self.padding))
    }

    fn wrap(&mut self, column: usize, room: usize) {
        for cell in self.rows.iter_mut().filter_map(|row| row.get_mut(column)) {
            *cell = wrapped(cell, room);
        }
    }

    fn fit(&mut self, width: usize, last_is_text: bool) {
        if self.total() <= width {
            return;
        }
        self.padding = 1;
        if self.total() <= width {
            return;
        }
        let widths: Vec<usize> = (0..self.names.len()).map(|n| self.cells(n)).collect();
        for (name, room) in self.names.iter_mut().zip(widths) {
            *name = wrapped(name, room);
        }
        let last = self.names.len().saturating_sub(1);
        for column in 0..last {
            let (cells, words) = (self.cells(column), self.words(column));
            let over = self.total().saturating_sub(width);
            // Texts in the middle, if the last column cannot give way.
            if over > 0 && words < cells && !(last_is_text && self.words(last) < self.cells(last)) {
                self.wrap(column, words.max(cells.saturating_sub(over)));
            }
        }
        let over = self.total().saturating_sub(width);
        let (cells, words) = (self.cells(last), self.words(last));
        if over == 0 || !last_is_text {
            return;
        }
        let room = cells.max(self.names.get(last).map_or(0, |name| length(name))).saturating_sub(over);
        if words < cells && room >= words.max(LEAST) {
            self.wrap(last, room);
            return;
        }
        let below = width.saturating_sub(INDENT.len());
        self.below = vec![String::new(); self.rows.len()];
        for (row, place) in self.rows.iter_mut().zip(&mut self.below) {
            let Some(cell) = row.get_mut(last) else { continue };
            // A word that has no room there either stays where it is.
            if words < cells || (length(cell) > room && length(cell) <= below) {
                *place = wrapped(&std::mem::take(cell), below);
            }
        }
    }

    fn print(&self, header: &[&str]) -> String {
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        table.set_content_arrangement(ContentArrangement::Disabled);
        table.set_header(&self.names);
        for row in &self.rows {
            table.add_row(row);
        }
        for (n, name) in header.iter().enumerate() {
            if let Some(column) = table.column_mut(n) {
                column.set_padding((0, self.padding));
                if name.starts_with('>') {
                    column.set_cell_alignment(CellAlignment::Right);
                }
            }
        }
        let lines = |cells: &[String]| cells.iter().map(|cell| cell.lines().count()).max().unwrap_or(1).max(1);
        let mut out = String::new();
        let mut printed = table.lines();
        let mut take = |out: &mut String, count: usize| {
            for line in printed.by_ref().take(count) {
                out.push_str(line.trim_end());
                out.push('\n');
            }
        };
        take(&mut out, lines(&self.names));
        for (n, row) in self.rows.iter().enumerate() {
            take(&mut out, lines(row));
            for line in self.below.get(n).into_iter().flat_map(|text| text.lines()) {
                out.push_str(INDENT);
                out.push_str(line);
                out.push('\n');
            }
        }
        out
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn row(cells: &[&str]) -> Vec<String> {
        cells.iter().map(|cell| (*cell).to_owned()).collect()
    }

    #[test]
    fn no_address_is_broken_however_narrow_the_terminal_is() {
        let rows = || {
            [
                row(&["ffff88db0475a000", "lo", "12", "127.0.0.1/8, ::1/128"]),
                row(&["ffff88db04851000", "dummy0", "16", "10.9.0.1/24, fe80::6816:46ff:fe58:d851/64"]),
            ]
        };
        let header = ["NET_DEVICE", "NAME", ">REFERENCES HELD", ""];
        let wide = table(&header, rows(), None);
        assert!(wide.lines().count() == 3 && wide.contains("16  10.9.0.1/24, fe80::6816"), "{wide}");
        for width in [80, 60, 40] {
            let fitted = table(&header, rows(), Some(width));
            assert!(fitted.lines().all(|line| line.chars().count() <= width), "{width}:\n{fitted}");
            for word in ["ffff88db04851000", "dummy0", "fe80::6816:46ff:fe58:d851/64"] {
                assert!(fitted.contains(word), "{width}: {word}\n{fitted}");
            }
        }
        let narrow = table(&header, rows(), Some(40));
        assert_eq!(
            narrow,
            "NET_DEVICE       NAME   REFERENCES\n                              HELD\n\
             ffff88db0475a000 lo             12\n      127.0.0.1/8, ::1/128\n\
             ffff88db04851000 dummy0         16\n      10.9.0.1/24,\n      fe80::6816:46ff:fe58:d851/64\n"
        );
    }

    #[test]
    fn only_the_names_that_have_no_room_go_below_their_rows() {
        let rows = [row(&["ffff88db03dc4d00", "dentry"]), row(&["ffff88db03dc4e00", "hugetlbfs_inode_cache"])];
        let out = table(&["CACHE", "NAME"], rows, Some(30));
        assert_eq!(
            out,
            "CACHE            NAME\nffff88db03dc4d00 dentry\nffff88db03dc4e00\n      hugetlbfs_inode_cache\n"
        );
    }

    #[test]
    fn a_row_that_is_too_long_stays_whole() {
        let rows = [row(&["ffff88db03dc4d00", "a-name-of-a-slab-cache-without-an-end"])];
        let out = table(&["CACHE", "NAME"], rows, Some(40));
        assert!(out.contains("ffff88db03dc4d00 a-name-of-a-slab-cache-without-an-end\n"), "{out}");
    }
}
