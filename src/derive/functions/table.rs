//! The table of helper functions by name: what the kernel's source files define, reduced to the files that hold helpers.

use std::cmp::Ordering;

use super::Helper;

/// Lines `name TAB letter`, sorted by name. `data/README.md` tells how it is made.
const TABLE: &str = include_str!("../../../data/kernel-functions.tsv");

/// The group of a function; `None` when its file is not one of helpers, or several files define the name.
pub(super) fn group(name: &str) -> Option<Helper> {
    let (mut low, mut high) = (0, TABLE.len());
    while low < high {
        let middle = low + (high - low) / 2;
        // Bytes are compared, so a middle inside a line is moved to its start.
        let start = TABLE.as_bytes().get(..middle)?.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
        let line = TABLE.get(start..)?.split('\n').next()?;
        let (known, letter) = line.split_once('\t')?;
        match known.cmp(name) {
            Ordering::Equal => return of_letter(letter),
            Ordering::Less => low = start + line.len() + 1,
            Ordering::Greater => high = start,
        }
    }
    None
}

fn of_letter(letter: &str) -> Option<Helper> {
    Some(match letter {
        "r" => Helper::Reporting,
        "a" => Helper::Allocator,
        "l" => Helper::Library,
        "k" => Helper::Locking,
        "c" => Helper::Counting,
        "t" => Helper::Container,
        "w" => Helper::Waiting,
        "d" => Helper::Dispatch,
        "o" => Helper::Core,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_every_line_is_found() {
        let names: Vec<&str> = TABLE.lines().filter_map(|line| line.split('\t').next()).collect();
        assert!(names.len() > 5000);
        assert!(names.windows(2).all(|pair| pair[0] < pair[1]));
        for name in names {
            assert!(group(name).is_some(), "{name}");
        }
        for name in ["", "a", "zzzzzz", "ext4_writepages", "__flush_wor"] {
            assert_eq!(group(name), None, "{name}");
        }
    }
}
