//! Fragments of extended netconsole: `6,416,1758426,-,ncfrag=0/33;the first chunk`, in any order, glued or a line each.

use std::collections::BTreeMap;

use crate::cursor::has;

/// Records that wait for their fragments.
const MAX_OPEN: usize = 64;
/// Fragments of other records after which a record is given up.
const MAX_AGE: u32 = 16;
/// A record has at most 1 KiB of text, and as much of dictionary.
const MAX_TOTAL: usize = 8 << 10;

/// A fragment holds about 900 bytes.
const MAX_PARTS: usize = 64;

const MARK: &str = ",ncfrag=";

/// A record whose fragments were put together.
pub(super) struct Joined {
    /// Header and text in the form of `/dev/kmsg`.
    pub(super) text: String,
    /// Line of its first fragment.
    pub(super) first: u64,
    /// A fragment never came.
    pub(super) holed: bool,
}

#[derive(Default)]
pub(super) struct Fragments {
    open: Vec<Record>,
}

struct Record {
    header: String,
    total: usize,
    parts: BTreeMap<usize, String>,
    first: u64,
    age: u32,
    /// Lines of its dictionary came: the text is complete behind the last part.
    ended: bool,
}

impl Record {
    /// How far the text goes without a hole.
    fn covered(&self) -> usize {
        self.parts.iter().fold(0, |end, (at, part)| if *at <= end { end.max(at + part.len()) } else { end })
    }

    fn join(self) -> Joined {
        let covered = self.covered();
        // Without the newline that closes a record.
        let holed = covered + 1 < self.total && !self.ended || self.parts.keys().any(|at| *at > covered);
        let mut text = self.header;
        text.push(';');
        let start = text.len();
        for (at, part) in &self.parts {
            let end = text.len() - start;
            // A part that came twice, or overlaps.
            text.push_str(part.get(end.saturating_sub(*at).min(part.len())..).unwrap_or_default());
        }
        Joined { text, first: self.first, holed }
    }
}

impl Fragments {
    pub(super) fn holding(&self) -> bool {
        !self.open.is_empty()
    }

    /// Gives up what is still open.
    pub(super) fn flush(&mut self) -> Option<Joined> {
        (!self.open.is_empty()).then(|| self.open.remove(0).join())
    }

    /// Takes a line with fragments in it; complete records go to `out`. Returns whether it was such a line.
    pub(super) fn line(&mut self, text: &str, number: u64, out: &mut Vec<Joined>) -> bool {
        if self.open.is_empty() && !has(text, MARK) {
            return false;
        }
        let Some(mark) = text.find(MARK) else {
            // ` key=value` lines of user data belong to the record before them.
            let dictionary = super::kmsg::is_dictionary(text);
            if dictionary && let Some(last) = self.open.last_mut() {
                last.ended = true;
            }
            self.ages(out);
            return dictionary;
        };
        let header = &text[..mark];
        let mut rest = text;
        while let Some(at) = rest.find(MARK) {
            let head = rest.get(..at).unwrap_or_default();
            let body = &rest[at + MARK.len()..];
            let Some((place, chunk)) = body.split_once(';') else { return false };
            let Some((offset, total)) = place.split_once('/') else { return false };
            let (Ok(offset), Ok(total)) = (offset.parse::<usize>(), total.parse::<usize>()) else { return false };
            if offset > MAX_TOTAL || total > MAX_TOTAL {
                return false;
            }
            // Several packets in one line: the next header is the same as this one, or looks like one.
            let end = match chunk.find(MARK) {
                Some(next) => {
                    let before = &chunk[..next];
                    before.strip_suffix(header).map_or_else(|| header_start(before), str::len)
                }
                None => chunk.len(),
            };
            let (piece, tail) = chunk.split_at(end);
            self.add(head, offset, total, piece, number, out);
            rest = tail;
        }
        true
    }

    fn add(&mut self, header: &str, offset: usize, total: usize, piece: &str, number: u64, out: &mut Vec<Joined>) {
        let at = match self.open.iter().position(|r| r.header == header) {
            Some(at) => at,
            None => {
                self.ages(out);
                if self.open.len() >= MAX_OPEN {
                    out.push(self.open.remove(0).join());
                }
                self.open.push(Record {
                    header: header.to_owned(),
                    total,
                    parts: BTreeMap::new(),
                    first: number,
                    age: 0,
                    ended: false,
                });
                self.open.len() - 1
            }
        };
        let Some(record) = self.open.get_mut(at) else { return };
        record.parts.entry(offset).or_insert_with(|| piece.to_owned());
        // The last byte is the newline, which ended the line.
        if record.parts.len() >= MAX_PARTS || record.covered() + 1 >= record.total {
            out.push(self.open.remove(at).join());
        }
    }

    fn ages(&mut self, out: &mut Vec<Joined>) {
        for record in &mut self.open {
            record.age += 1;
        }
        while self.open.first().is_some_and(|r| r.age > MAX_AGE) {
            out.push(self.open.remove(0).join());
        }
    }
}

/// Where the header at the end of `text` begins: `[release,]prio,seq,usec,flag[,caller=..]`.
fn header_start(text: &str) -> usize {
    let mut fields = text.rmatch_indices(',').map(|(at, _)| at);
    // From the right: an optional caller, the flag, the time, the sequence number; before them the priority.
    let has_caller = text.rsplit(',').next().is_some_and(|f| f.starts_with("caller="));
    let third = fields.nth(if has_caller { 3 } else { 2 });
    let Some(priority_end) = third else { return text.len() };
    let digits = text[..priority_end].bytes().rev().take_while(u8::is_ascii_digit).count().min(3);
    priority_end - digits
}

#[cfg(test)]
mod tests {
    use super::*;

    fn join(lines: &[&str]) -> Vec<(String, bool)> {
        let mut fragments = Fragments::default();
        let mut out = Vec::new();
        for (at, line) in lines.iter().enumerate() {
            fragments.line(line, at as u64 + 1, &mut out);
        }
        while let Some(joined) = fragments.flush() {
            out.push(joined);
        }
        out.into_iter().map(|j| (j.text, j.holed)).collect()
    }

    #[test]
    fn fragments_are_placed_by_their_offsets() {
        let whole = vec![("6,416,1758426,-;the first chunk, the 2nd chunk.".to_owned(), false)];
        let (first, second) =
            ("6,416,1758426,-,ncfrag=0/32;the first chunk,", "6,416,1758426,-,ncfrag=16/32; the 2nd chunk.");
        assert_eq!(join(&[first, second]), whole);
        assert_eq!(join(&[second, first]), whole);
        // A datagram logger that writes no newlines.
        assert_eq!(join(&[&format!("{first}{second}")]), whole);
        assert_eq!(join(&[first]), [("6,416,1758426,-;the first chunk,".to_owned(), true)]);
    }

    #[test]
    fn records_with_user_data_end_with_it() {
        let lines = ["6.12.0,4,7,9,-,caller=T1,ncfrag=0/60;BUG: x", " taskname=java", "6.12.0,4,8,9,-,ncfrag=0/9;a"];
        assert_eq!(join(&lines)[0], ("6.12.0,4,7,9,-,caller=T1;BUG: x".to_owned(), false));
    }

    #[test]
    fn other_lines_are_left_alone() {
        let mut out = Vec::new();
        assert!(!Fragments::default().line("a,ncfrag=x", 1, &mut out));
        assert!(!Fragments::default().line("plain", 1, &mut out));
    }
}
