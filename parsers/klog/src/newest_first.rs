//! Logs that begin with their newest line: `journalctl -r`, most exports of log stores, pieces of pstore records.

use facts::Stamp;

use crate::carrier;
use crate::line::Writer;
use crate::parts;

/// Bytes at each end of a text whose stamps are compared.
const SAMPLE: usize = 64 << 10;
/// Steps backwards that are asked for.
const FALLS: u32 = 3;
/// Of so many steps backwards one may lead forwards: CPUs print at the same time.
const FALLS_PER_RISE: u32 = 20;

/// A text that was newest first, with its oldest line first.
pub struct Turned {
    /// The lines in the order of time.
    pub text: Vec<u8>,
    /// For each line its number in the text as it was.
    numbers: Vec<u32>,
}

impl Turned {
    /// Do the stamps of the kernel's lines fall steadily at the start and at the end of the text?
    ///
    /// ```
    /// let log = "[    9.500000] d\n[    9.000000] c\n[    8.000000] b\n[    7.000000] a\n";
    /// assert!(klog::Turned::is_newest_first(log.as_bytes()));
    /// ```
    pub fn is_newest_first(text: &[u8]) -> bool {
        let head = text.get(..SAMPLE).unwrap_or(text);
        if parts::are_turned(head) {
            return true;
        }
        if !falls(b"", head) {
            return false;
        }
        let columns = columns(head).unwrap_or_default();
        text.len() <= SAMPLE || text.get(text.len().saturating_sub(SAMPLE)..).is_some_and(|tail| falls(columns, tail))
    }

    /// The text in the order of time, if it is newest first.
    ///
    /// A line that is indented as the further lines of a message are stays below the one above it.
    pub fn of(text: &[u8]) -> Option<Turned> {
        if !Self::is_newest_first(text) {
            return None;
        }
        let lines: Vec<&[u8]> = text.split_inclusive(|b| *b == b'\n').collect();
        if parts::are_turned(text.get(..SAMPLE).unwrap_or(text)) {
            let mut turned =
                Turned { text: Vec::with_capacity(text.len() + 1), numbers: Vec::with_capacity(lines.len()) };
            parts::order(&lines).into_iter().for_each(|at| turned.add(&lines, at));
            return Some(turned);
        }
        // What a log store writes into one record, and the journal below the first line of a message, is indented.
        let goes_on = |line: &[u8]| line.starts_with(b"                ");
        let mut turned = Turned { text: Vec::with_capacity(text.len() + 1), numbers: Vec::with_capacity(lines.len()) };
        let mut end = lines.len();
        let columns = columns(text.get(..SAMPLE).unwrap_or(text));
        // The names of a table's columns stay above; a message in quotes may have several lines.
        let mut first = 0;
        let mut inside = Vec::new();
        if let Some(columns) = columns {
            first = columns.split(|b| *b == b'\n').count();
            for at in 0..first {
                turned.text.extend_from_slice(lines.get(at).copied().unwrap_or_default());
                turned.numbers.push(u32::try_from(at + 1).unwrap_or(u32::MAX));
            }
            let mut open = false;
            for line in &lines {
                inside.push(open);
                open ^= memchr::memchr_iter(b'"', line).count() % 2 == 1;
            }
        }
        while end > first {
            let mut start = end - 1;
            while start > first
                && (inside.get(start).is_some_and(|inside| *inside)
                    || lines.get(start).is_some_and(|line| goes_on(line)))
            {
                start -= 1;
            }
            for at in start..end {
                turned.add(&lines, at);
            }
            end = start;
        }
        Some(turned)
    }

    fn add(&mut self, lines: &[&[u8]], at: usize) {
        let Some(line) = lines.get(at) else { return };
        self.text.extend_from_slice(line);
        if !line.ends_with(b"\n") {
            self.text.push(b'\n');
        }
        self.numbers.push(u32::try_from(at + 1).unwrap_or(u32::MAX));
    }

    /// The number that a line of the turned text has in the text as it was.
    pub fn number(&self, line: u64) -> u64 {
        let at = usize::try_from(line).ok().and_then(|line| line.checked_sub(1));
        at.and_then(|at| self.numbers.get(at)).map_or(line, |number| u64::from(*number))
    }
}

/// The first lines, up to the one that names the columns of a table.
fn columns(head: &[u8]) -> Option<&[u8]> {
    let mut reader = carrier::Reader::default();
    let mut end = 0;
    for (number, raw) in head.split(|b| *b == b'\n').take(2).enumerate() {
        reader.line(raw, number as u64 + 1, carrier::Around::default(), &mut |_, _| {});
        end += raw.len();
        if reader.is_table() {
            return head.get(..end);
        }
        end += 1;
    }
    None
}

/// `columns` are the first lines of a table of which the sample is a part.
fn falls(columns: &[u8], sample: &[u8]) -> bool {
    let mut steps = Steps::default();
    let mut reader = carrier::Reader::default();
    for (number, raw) in columns.split(|b| *b == b'\n').enumerate() {
        reader.line(raw, number as u64 + 1, carrier::Around::default(), &mut |_, _| {});
    }
    for (number, raw) in sample.split(|b| *b == b'\n').enumerate() {
        reader.line(raw, number as u64 + 1, carrier::Around::default(), &mut |line, _| steps.see(line));
    }
    (steps.kernel || reader.is_table()) && steps.falls >= FALLS && steps.falls >= steps.rises * FALLS_PER_RISE
}

#[derive(Default)]
struct Steps {
    last: Option<Stamp>,
    falls: u32,
    rises: u32,
    /// A line of the kernel is among them.
    kernel: bool,
}

impl Steps {
    fn see(&mut self, line: &crate::Line<'_>) {
        let Some(time) = line.time else { return };
        self.kernel |= line.writer == Writer::Kernel;
        if let Some(last) = self.last.replace(time) {
            // Clocks of boots begin anew, that on the wall does not.
            let wall = time.wall_ns.zip(last.wall_ns).filter(|_| time.wall_exact == last.wall_exact);
            let step = wall.map(|(now, last)| now.saturating_sub(last)).filter(|step| *step != 0);
            let step = step.or_else(|| Some(time.since_boot_ns?.saturating_sub(last.since_boot_ns?))).unwrap_or(0);
            self.falls += u32::from(step < 0);
            self.rises += u32::from(step > 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turned(text: &str) -> Option<String> {
        Turned::of(text.as_bytes()).map(|turned| String::from_utf8_lossy(&turned.text).into_owned())
    }

    #[test]
    fn falling_stamps_are_turned_and_keep_their_numbers() {
        let text = "Oct 03 10:12:43 web01 kernel: d\nOct 03 10:12:42 web01 kernel: c\n\
            Oct 03 10:11:42 web01 kernel: b\nOct 03 10:11:12 web01 kernel: a\n";
        let back = turned(text).unwrap();
        assert!(back.starts_with("Oct 03 10:11:12 web01 kernel: a\nOct 03 10:11:42"), "{back}");
        let numbers = Turned::of(text.as_bytes()).unwrap();
        assert_eq!([1, 2, 3, 4, 5].map(|n| numbers.number(n)), [4, 3, 2, 1, 5]);
    }

    #[test]
    fn the_names_of_columns_stay_above_the_rows() {
        let rows = ["\"2023-10-03T10:12:42Z\",\"c\n  c\"\n", "\"2023-10-03T10:11:42Z\",\"b\"\n"];
        let more = ["\"2023-10-03T10:11:12Z\",\"a\"\n", "\"2023-10-03T10:10:12Z\",\"z\"\n"];
        let text = ["time,message\n", rows[0], rows[1], more[0], more[1]].concat();
        let back = ["time,message\n", more[1], more[0], rows[1], rows[0]].concat();
        assert_eq!(turned(&text), Some(back));
    }

    #[test]
    fn a_report_that_was_turned_is_whole_again() {
        let oops = "[    7.000000] BUG: kernel NULL pointer dereference, address: 0000000000000020\n\
            [    7.000010] Oops: 0000 [#1] SMP\n[    7.000020] RIP: 0010:foo_write+0x4c/0xa0\n\
            [    7.000030] Call Trace:\n[    7.000040]  foo_work+0x33/0x80\n[    7.000050]  kthread+0x12/0x80\n";
        let turned: Vec<&str> = oops.lines().rev().collect();
        let turned = Turned::of(turned.join("\n").as_bytes()).unwrap();
        assert_eq!(turned.text, oops.as_bytes());
    }

    #[test]
    fn other_orders_stay_as_they_are() {
        for text in [
            "[ 7.0] a\n[ 8.0] b\n[ 9.0] c\n[ 9.5] d\n",
            // Boots, each in its order.
            "[ 7.0] a\n[ 8.0] b\n[ 0.0] c\n[ 9.5] d\n[ 0.0] e\n[ 1.0] f\n[ 0.0] g\n",
            "[ 9.0] a\n[ 8.0] b\n",
            "a\nb\nc\nd\n",
            // A listing by time.
            "Oct 03 10:12 a\nOct 03 10:11 b\nOct 02 10:11 c\nOct 01 10:11 d\n",
        ] {
            assert_eq!(turned(text), None, "{text}");
        }
    }
}
