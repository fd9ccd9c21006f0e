//! Pieces of pstore records put into one text: each begins with `Panic#1 Part3`, and part 1 is the end of the log.

use std::collections::{HashMap, HashSet};

/// `Oops#1 Part6`: the record, and the number of the piece.
fn header(line: &[u8]) -> Option<(&[u8], u32)> {
    let line = line.trim_ascii();
    let at = memchr::memmem::find(line, b" Part")?;
    let (record, number) = (line.get(..at)?, line.get(at + 5..)?);
    let (reason, count) = record.split_at_checked(memchr::memchr(b'#', record)?)?;
    let plain = !reason.is_empty() && reason.iter().all(u8::is_ascii_alphabetic);
    let counted = count.len() > 1 && count.iter().skip(1).all(u8::is_ascii_digit);
    let number = std::str::from_utf8(number).ok()?.parse().ok()?;
    (plain && counted).then_some((record, number))
}

/// Where a header stands, which record it is of, and the number of the piece.
type Head<'a> = (usize, &'a [u8], u32);

/// Do the pieces in the text stand in another order than that of the kernel: the newest first, or those of two records mixed?
pub(crate) fn are_turned(text: &[u8]) -> bool {
    let heads: Vec<Head<'_>> = memchr::memmem::find_iter(text, b" Part")
        .filter_map(|at| {
            let start = memchr::memrchr(b'\n', &text[..at]).map_or(0, |n| n + 1);
            let end = memchr::memchr(b'\n', &text[at..]).map_or(text.len(), |n| at + n);
            header(&text[start..end]).map(|(record, number)| (start, record, number))
        })
        .collect();
    let mut sorted = heads.clone();
    sort(&mut sorted);
    let joins = sorted.windows(2).any(|pair| pair[0].1 == pair[1].1);
    joins && sorted != heads
}

/// The records in the order in which they begin, each from its highest piece to the first.
fn sort(heads: &mut [Head<'_>]) {
    let mut records: Vec<&[u8]> = Vec::new();
    for (_, record, _) in heads.iter() {
        if !records.contains(record) && records.len() < MAX_RECORDS {
            records.push(record);
        }
    }
    heads.sort_by_key(|(at, record, number)| {
        (records.iter().position(|known| known == record).unwrap_or(MAX_RECORDS), std::cmp::Reverse(*number), *at)
    });
}

/// A machine that dies many times in one boot keeps the first and the last report.
const MAX_RECORDS: usize = 16;

/// The numbers of the lines in the order in which the kernel printed them. A line with its stamp that stands in several
/// pieces or records is taken once. What stands above the first header is a part of some piece: what of it stands nowhere
/// else comes first, or last where the pieces are newest first.
pub(crate) fn order(lines: &[&[u8]]) -> Vec<usize> {
    let named =
        lines.iter().enumerate().filter_map(|(at, line)| header(line).map(|(record, number)| (at, record, number)));
    let mut heads: Vec<Head<'_>> = named.collect();
    let ends: Vec<usize> = heads.iter().skip(1).map(|head| head.0).chain([lines.len()]).collect();
    let end_of: HashMap<usize, usize> = heads.iter().map(|head| head.0).zip(ends).collect();
    let above = heads.first().map_or(lines.len(), |head| head.0);
    let newest_first = heads.iter().skip(1).find(|head| head.1 == heads[0].1).is_some_and(|head| head.2 > heads[0].2);
    sort(&mut heads);
    let mut seen: HashSet<&[u8]> = HashSet::new();
    let mut fresh = |at: usize| {
        let line = lines.get(at).copied().unwrap_or_default();
        // Only a line with its stamp is sure to be the same one.
        !line.contains(&b'[') || seen.insert(line.trim_ascii_end())
    };
    let pieces = heads.iter().filter_map(|(at, ..)| Some(*at..*end_of.get(at)?));
    let mut order: Vec<usize> = pieces.flatten().filter(|at| fresh(*at)).collect();
    let above: Vec<usize> = (0..above).filter(|at| fresh(*at)).collect();
    match newest_first {
        true => order.extend(above),
        false => order.splice(0..0, above).for_each(drop),
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ordered(text: &str) -> String {
        let lines: Vec<&[u8]> = text.as_bytes().split_inclusive(|b| *b == b'\n').collect();
        order(&lines).into_iter().map(|at| String::from_utf8_lossy(lines[at]).into_owned()).collect()
    }

    #[test]
    fn pieces_are_turned_and_what_they_share_stands_once() {
        let text = "<4>[ 3.0] e\ndmesg-efi-2:\nOops#1 Part2\n<4>[ 2.0] c\n<4>[ 2.5] d\n<4>[ 3.0] e\n\
                    Oops#1 Part3\n<4>[ 1.0] a\n<4>[ 2.0] b\n<4>[ 2.0] c\n";
        assert!(are_turned(text.as_bytes()));
        let back = ordered(text);
        let stamped: Vec<&str> = back.lines().filter(|line| line.starts_with('<')).collect();
        assert_eq!(stamped, ["<4>[ 1.0] a", "<4>[ 2.0] b", "<4>[ 2.0] c", "<4>[ 2.5] d", "<4>[ 3.0] e"]);
    }

    #[test]
    fn other_texts_stay_as_they_are() {
        for text in [
            "Oops#1 Part2\n<4>[ 1.0] a\nOops#1 Part1\n<4>[ 2.0] b\n",
            "Oops#1 Part1\n<4>[ 1.0] a\nPanic#2 Part2\n<4>[ 2.0] b\n",
            "see Part1\nand Part2\n",
            "Panic#1 Part1\n",
        ] {
            assert!(!are_turned(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn pieces_of_two_records_are_told_apart() {
        let text = "<4>[ 2.0] cut\nOops#1 Part2\n<4>[ 1.0] a\nPanic#2 Part2\n<4>[ 1.0] a\n<4>[ 2.0] cut\n\
                    Oops#1 Part1\n<4>[ 2.0] cut\n<4>[ 2.1] b\nPanic#2 Part1\n<4>[ 2.1] b\n<4>[ 3.0] panic\n";
        assert!(are_turned(text.as_bytes()));
        let back = ordered(text);
        let stamped: Vec<&str> = back.lines().filter(|line| line.starts_with('<')).collect();
        assert_eq!(stamped, ["<4>[ 1.0] a", "<4>[ 2.0] cut", "<4>[ 2.1] b", "<4>[ 3.0] panic"]);
    }
}
