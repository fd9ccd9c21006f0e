//! The table of helper functions by name: what the kernel's source files define, reduced to the files that hold helpers.

use std::cmp::Ordering;
use std::sync::LazyLock;

use super::Helper;

/// Lines `name TAB letter`, sorted by name. `data/README.md` tells how it is made.
const TABLE: &str = include_str!("../../../data/kernel-functions.tsv");

/// Where each line begins, and where the next one would begin behind the last.
static STARTS: LazyLock<Vec<usize>> = LazyLock::new(|| {
    let behind = memchr::memchr_iter(b'\n', TABLE.as_bytes()).map(|at| at + 1);
    std::iter::once(0).chain(behind).collect()
});

/// The name in a line, and its letter.
fn entry(bounds: &[usize]) -> Option<(&'static str, &'static str)> {
    let [start, next] = bounds else { return None };
    let line = TABLE.get(*start..next.checked_sub(1)?)?;
    let (name, letter) = line.split_at_checked(line.len().checked_sub(1)?)?;
    Some((name.strip_suffix('\t')?, letter))
}

/// The group of a function; `None` when its file is not one of helpers, or several files define the name.
pub(super) fn group(name: &str) -> Option<Helper> {
    let (mut low, mut high) = (0, STARTS.len().checked_sub(1)?);
    while low < high {
        let middle = low + (high - low) / 2;
        let (known, letter) = entry(STARTS.get(middle..middle + 2)?)?;
        match known.cmp(name) {
            Ordering::Equal => return of_letter(letter),
            Ordering::Less => low = middle + 1,
            Ordering::Greater => high = middle,
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
