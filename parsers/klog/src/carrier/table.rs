//! Tables: what log stores export as CSV or TSV, where the message is one field of many.

use std::borrow::Cow;

use facts::Stamp;

use super::{Prefix, calendar, syslog};
use crate::cursor::Cursor;
use crate::line::Writer;

/// Names of the column that holds the message, in lower case and without what stands before a dot.
const MESSAGE: &[&str] = &[
    "message",
    "_raw",
    "msg",
    "content",
    "syslogmessage",
    "rawmessage",
    "textpayload",
    "line",
    "log",
    "@message",
    "event",
    "text",
    "meldung",
    "nachricht",
    "mensaje",
];
const HOST: &[&str] =
    &["host", "host.name", "host.hostname", "hostname", "_hostname", "computer", "sourcehost", "source"];
const PROGRAM: &[&str] =
    &["program", "programm", "processname", "syslog_identifier", "appname", "app_name", "service", "tag"];
/// More columns than this has no table of messages.
const MAX_COLUMNS: usize = 64;
/// Lines before and behind that are compared where there is no header.
const LINES: usize = 3;
/// How many of them must have the same columns.
const ALIKE: usize = 2;

/// The columns of the table at hand.
pub(super) struct Table {
    separator: u8,
    columns: usize,
    message: usize,
    host: Option<usize>,
    program: Option<usize>,
    /// The message of the row before goes on in the next line: who wrote it, and when.
    open: Option<(Option<Stamp>, Writer)>,
}

/// A row: what its other fields say, and the message.
pub(super) struct Row<'a> {
    pub(super) prefix: Prefix<'a>,
    pub(super) message: Cow<'a, str>,
}

impl Table {
    /// Recognises the names of the columns.
    pub(super) fn of_header(text: &str) -> Option<Table> {
        let text = text.trim_start_matches('\u{feff}');
        [b',', b'\t', b';', b'|'].into_iter().find_map(|separator| {
            let (fields, open) = split(text, separator);
            let names: Vec<String> =
                fields.iter().map(|f| unquoted(f).trim().trim_start_matches("_source.").to_lowercase()).collect();
            let short = |name: &String| (1..40).contains(&name.len()) && !name.contains(':');
            if open || fields.len() < 2 || !names.iter().all(short) {
                return None;
            }
            let column = |list: &[&str]| list.iter().find_map(|wanted| names.iter().position(|name| name == wanted));
            Some(Table {
                separator,
                columns: fields.len(),
                message: column(MESSAGE)?,
                host: column(HOST),
                program: column(PROGRAM),
                open: None,
            })
        })
    }

    /// Recognises a row among others by a time in the same column of each; the message is the longest field of the row,
    /// which is a line that tells something.
    pub(super) fn of_rows(before: &[u8], text: &str, behind: &[u8]) -> Option<Table> {
        [b'\t', b';', b'|', b','].into_iter().find_map(|separator| {
            let (fields, open) = split(text, separator);
            if open || fields.len() < 3 {
                return None;
            }
            let clock = fields.iter().position(|field| when(&unquoted(field)).is_some())?;
            let alike = |line: &&[u8]| {
                let line = super::lossy(line.get(..super::MAX_LINE).unwrap_or(line));
                let (other, _) = split(line.trim_end(), separator);
                other.len() == fields.len() && other.get(clock).is_some_and(|field| when(&unquoted(field)).is_some())
            };
            let filled = |line: &&[u8]| !line.trim_ascii().is_empty();
            let above = before.rsplit(|b| *b == b'\n').filter(filled).take(LINES).filter(alike).count();
            let below = behind.split(|b| *b == b'\n').filter(filled).take(LINES).filter(alike).count();
            let message = (0..fields.len()).max_by_key(|at| fields.get(*at).map_or(0, |f| f.len()))?;
            let words = fields.get(message).is_some_and(|field| field.trim().contains(' '));
            let program = fields.iter().position(|field| matches!(&*unquoted(field), "kernel" | "kernel:"));
            (above + below >= ALIKE && words && message != clock).then_some(Table {
                separator,
                columns: fields.len(),
                message,
                host: None,
                program,
                open: None,
            })
        })
    }

    /// Reads a row, or a further line of the message of the row before.
    pub(super) fn row<'a>(&mut self, text: &'a str) -> Option<Row<'a>> {
        let (fields, open) = split(text, self.separator);
        let cut = open && fields.len() == self.message + 1;
        if fields.len() < self.columns && !cut {
            return self.further(text);
        }
        // A message that is not quoted may hold the separator.
        let more = fields.len().saturating_sub(self.columns);
        let at = |column: usize| if column > self.message { column + more } else { column };
        let value = |column: usize| fields.get(at(column)).map(|field| plain(field));
        let begin = |field: &str| field.as_ptr() as usize - text.as_ptr() as usize;
        let (first, last) =
            (fields.get(self.message)?, fields.get(if cut { self.message } else { self.message + more })?);
        let message = unquoted(text.get(begin(first)..begin(last) + last.len())?);
        let mut prefix = Prefix {
            time: (0..self.columns).filter(|c| *c != self.message).find_map(|c| when(value(c)?)),
            host: self.host.and_then(value).filter(|host| !host.is_empty()),
            tag: self.program.and_then(value).map(|tag| tag.trim_end_matches(':')).filter(|tag| !tag.is_empty()),
            ..Prefix::default()
        };
        match prefix.tag {
            Some("kernel") => prefix.writer = Writer::Kernel,
            // Collectors name themselves where they do not know.
            Some("syslog" | "rsyslog" | "journald" | "journal" | "linux" | "messages" | "dmesg") | None => {
                prefix.tag = None
            }
            Some(_) => prefix.writer = Writer::Program,
        }
        self.open = cut.then_some((prefix.time, prefix.writer));
        let mut tagged = Prefix::default();
        let message = match message {
            // `web01 kernel: text`
            Cow::Borrowed(text) if syslog::tagged(text, &mut tagged).is_some() && tagged.writer == Writer::Kernel => {
                prefix.writer = Writer::Kernel;
                prefix.host = prefix.host.or(tagged.host);
                Cow::Borrowed(tagged.rest)
            }
            message => message,
        };
        Some(Row { prefix, message })
    }

    fn further<'a>(&mut self, text: &'a str) -> Option<Row<'a>> {
        let (time, writer) = self.open?;
        let end = closing(text, self.separator);
        if end.is_some() {
            self.open = None;
        }
        let message = text.get(..end.unwrap_or(text.len()))?;
        let message = if message.contains("\"\"") { Cow::Owned(message.replace("\"\"", "\"")) } else { message.into() };
        Some(Row { prefix: Prefix { time, writer, ..Prefix::default() }, message })
    }
}

/// Where the quote stands that ends a field of which the text is the end or the middle.
fn closing(text: &str, separator: u8) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(quote) = memchr::memchr(b'"', bytes.get(at..)?).map(|n| at + n) {
        match bytes.get(quote + 1) {
            Some(b'"') => at = quote + 2,
            None | Some(b'\r') => return Some(quote),
            Some(byte) if *byte == separator => return Some(quote),
            _ => at = quote + 1,
        }
    }
    None
}

/// The fields as they stand there, and whether the last one has a quote that is not closed.
fn split(text: &str, separator: u8) -> (Vec<&str>, bool) {
    let text = text.trim_end_matches(['\r', '\n']);
    let mut fields = Vec::new();
    let mut rest = text;
    while fields.len() < MAX_COLUMNS {
        let quoted = rest.strip_prefix('"').map(|inside| closing(inside, separator).map(|at| at + 2));
        if quoted == Some(None) && separator != b'\t' {
            fields.push(rest);
            return (fields, true);
        }
        let end = quoted.flatten().or_else(|| memchr::memchr(separator, rest.as_bytes())).unwrap_or(rest.len());
        let (field, behind) = rest.split_at_checked(end).unwrap_or((rest, ""));
        fields.push(field);
        match behind.get(1..) {
            Some(next) => rest = next,
            None => break,
        }
    }
    (fields, false)
}

/// A field without its quotes, which a message may have inside too.
fn unquoted(field: &str) -> Cow<'_, str> {
    let Some(inside) = field.strip_prefix('"') else { return Cow::Borrowed(field) };
    let inside = inside.strip_suffix('"').unwrap_or(inside);
    if inside.contains("\"\"") { Cow::Owned(inside.replace("\"\"", "\"")) } else { Cow::Borrowed(inside) }
}

fn plain(field: &str) -> &str {
    field.trim_matches('"').trim()
}

/// The time in a field: an ISO stamp, seconds or milliseconds since 1970, a date with a time of day in any usual order.
fn when(field: &str) -> Option<Stamp> {
    let field = field.trim();
    if !(8..=48).contains(&field.len()) {
        return None;
    }
    if let Some(time) = calendar::iso(&mut Cursor::new(field)) {
        return Some(time);
    }
    if field.bytes().all(|b| b.is_ascii_digit()) && matches!(field.len(), 10 | 13 | 16 | 19) {
        let since = field.parse::<i64>().ok()?;
        let wall_ns = since.checked_mul(10i64.pow(19 - field.len() as u32))?;
        return Some(Stamp { since_boot_ns: None, wall_ns: Some(wall_ns), wall_exact: true });
    }
    // `Oct 3, 2023 @ 10:11:12.000`, `10/3/2023, 10:11:12.000 AM`, `03.10.2023 10:11:12`
    let colon = field.find(':')?;
    let hours = field.get(..colon)?.bytes().rev().take_while(u8::is_ascii_digit).count();
    let (date, clock) = field.split_at_checked(colon - hours)?;
    let padded = format!("{}{clock}", if hours == 1 { "0" } else { "" });
    let mut c = Cursor::new(&padded);
    let mut ns = calendar::clock(&mut c)?;
    const NOON: i64 = 12 * 3_600_000_000_000;
    match c.rest().trim().get(..2) {
        Some("PM" | "pm") if ns < NOON => ns += NOON,
        Some("AM" | "am") if ns >= NOON => ns -= NOON,
        _ => {}
    }
    let parts: Vec<&str> = date.split(|c: char| !c.is_alphanumeric()).filter(|part| !part.is_empty()).collect();
    let number = |part: &&str| part.parse::<u64>().ok();
    let year = parts.iter().filter(|part| part.len() == 4).find_map(number);
    let month = parts.iter().find_map(|part| calendar::month(part));
    let small: Vec<u64> = parts.iter().filter(|part| part.len() <= 2).filter_map(number).collect();
    let (month, day) = match (month, small.as_slice()) {
        (Some(month), [day]) => (month, *day),
        (None, [a, b]) => {
            let day_first = *a > 12 || (date.contains('.') && parts.first().is_none_or(|p| p.len() != 4));
            let (month, day) = if day_first { (b, a) } else { (a, b) };
            (u8::try_from(*month).ok()?, *day)
        }
        _ => return None,
    };
    calendar::stamp(year.and_then(|year| i64::try_from(year).ok()), month, day, ns, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_column_with_the_message_is_found_by_its_name() {
        for (header, row) in [
            (
                "\"@timestamp\",\"host.name\",message",
                "\"Oct 3, 2023 @ 10:11:12.000\",\"web01\",\"nvme0: a, \"\"b\"\"\"",
            ),
            ("@timestamp,host,message", "2023-10-03T10:11:12.000Z,web01,\"nvme0: a, \"\"b\"\"\""),
            ("timestamp,source,message", "2023-10-03T10:11:12.000Z,web01,nvme0: a, \"b\""),
            ("_raw,_time,host,sourcetype", "\"nvme0: a, \"\"b\"\"\",2023-10-03T10:11:12.000+0000,web01,x"),
            ("Zeit;Host;Programm;Meldung", "03.10.2023 10:11:12;web01;kernel;nvme0: a, \"b\""),
            (
                "\"TimeGenerated [UTC]\",Computer,ProcessName,SyslogMessage",
                "\"10/3/2023, 10:11:12.000 AM\",web01,kernel,\"nvme0: a, \"\"b\"\"\"",
            ),
            ("timestamp\thost\tmessage", "1696327872000\tweb01\tnvme0: a, \"b\""),
            ("timestamp,source,message", "2023-10-03T10:11:12.123Z,web01,web01 kernel: nvme0: a, \"b\""),
        ] {
            let mut table = Table::of_header(header).unwrap();
            let row = table.row(row).unwrap();
            let time = row.prefix.time.and_then(|time| time.wall_ns).map(|ns| ns / 1_000_000_000);
            assert_eq!((&*row.message, row.prefix.host, time), ("nvme0: a, \"b\"", Some("web01"), Some(1_696_327_872)));
        }
        for text in ["message", "a,b,c", "Jan  1 00:00:00 host kernel: message, log", "line\n"] {
            assert!(Table::of_header(text).is_none(), "{text}");
        }
    }

    #[test]
    fn a_message_of_several_lines_goes_on_to_its_quote() {
        let mut table = Table::of_header("time,message,host").unwrap();
        assert_eq!(table.row("2023-10-03T10:11:12Z,\"BUG: x").unwrap().message, "BUG: x");
        assert_eq!(table.row("IP: \"\"y\"\", z").unwrap().message, "IP: \"y\", z");
        assert_eq!(table.row("end\",web01").unwrap().message, "end");
        assert!(table.row("no row").is_none());
        assert_eq!(table.row("2023-10-03T10:11:13Z,other,web01").unwrap().message, "other");
    }

    #[test]
    fn without_header_a_time_in_each_row_is_asked_for() {
        let row = "1234\t2023-10-03T10:11:12Z\tweb01\tkernel\tnvme nvme0: I/O 123 QID 4 timeout, aborting";
        let rows = format!("{row}\n{row}\n");
        let mut table = Table::of_rows(rows.as_bytes(), row, b"").unwrap();
        let read = table.row(row).unwrap();
        assert_eq!(
            (&*read.message, read.prefix.writer),
            ("nvme nvme0: I/O 123 QID 4 timeout, aborting", Writer::Kernel)
        );
        assert!(Table::of_rows(b"a, b, c\na, b, c\n", "a, b, c d", b"").is_none());
        assert!(Table::of_rows(b"", row, b"").is_none());
    }
}
