//! Pieces of pstore records put into one text: each begins with `Panic#1 Part3`, and part 1 is the end of the log.

use std::collections::HashSet;

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

/// Does the text hold pieces of a record, and the newest first?
pub(crate) fn are_turned(text: &[u8]) -> bool {
    let mut places = memchr::memmem::find_iter(text, b" Part").map(|at| {
        let start = memchr::memrchr(b'\n', &text[..at]).map_or(0, |n| n + 1);
        let end = memchr::memchr(b'\n', &text[at..]).map_or(text.len(), |n| at + n);
        header(&text[start..end])
    });
    let Some(first) = places.by_ref().flatten().next() else { return false };
    places.flatten().next().is_some_and(|(record, number)| record == first.0 && number > first.1)
}

/// The numbers of the lines in the order in which the kernel printed them: the pieces of each record turned round, without
/// the lines that two neighbours share. What stands above the first header is the rest of a newer piece.
pub(crate) fn order(lines: &[&[u8]]) -> Vec<usize> {
    let mut pieces: Vec<(Option<&[u8]>, std::ops::Range<usize>)> = vec![(None, 0..0)];
    for (at, line) in lines.iter().enumerate() {
        if let Some((record, _)) = header(line) {
            pieces.push((Some(record), at..at));
        }
        if let Some((_, range)) = pieces.last_mut() {
            range.end = at + 1;
        }
    }
    if let [(above, _), (Some(record), _), ..] = &mut pieces[..] {
        *above = Some(record);
    }
    let mut order = Vec::with_capacity(lines.len());
    for record in pieces.chunk_by(|a, b| a.0 == b.0) {
        let mut older: HashSet<&[u8]> = HashSet::new();
        for (_, range) in record.iter().rev() {
            let piece = || range.clone().filter_map(|at| Some((at, *lines.get(at)?)));
            // Only a line with its stamp is sure to be the same one.
            let shared = |line: &[u8]| line.contains(&b'[') && older.contains(line);
            order.extend(piece().filter(|(_, line)| !shared(line)).map(|(at, _)| at));
            older = piece().map(|(_, line)| line).collect();
        }
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
}
