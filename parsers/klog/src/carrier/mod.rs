//! Carriers: the ways in which a kernel line travels, and how to free it from their prefixes.
//!
//! Prefixes are taken off from the outside in, line by line: support texts mix carriers freely. Each carrier is
//! one file with one function, which either recognises the start of a text and says what it learnt, or declines.
//! Carriers that cut lines or records have a state beside it, and [`Reader`] joins what they cut.

mod broadcast;
mod calendar;
mod container;
mod dmesg;
mod escape;
mod journal;
mod journal_fields;
mod json;
mod kmsg;
mod kubernetes;
mod learned;
mod level_word;
mod netconsole;
mod paste;
mod printk;
mod quoted_printable;
mod syslog;
mod table;
mod vendor;
mod wide;
mod wrap;
mod zvm;

pub(crate) use broadcast::{is_broadcast, is_written_below};
pub(crate) use wide::Wide;

use std::borrow::Cow;

use facts::Stamp;

use crate::cursor::{has, split};
use crate::{Line, line::Writer};

/// Lines are read up to this many bytes; a printk record is at most 1024.
pub(crate) const MAX_LINE: usize = 16 << 10;
/// Lines of JSON may hold a whole log.
const MAX_JSON: usize = 1 << 20;

/// Texts at which a line must be seen though it opens no report: a carrier cuts lines or records there.
pub(crate) const MARKS: &[&str] =
    &["=\n", "=\r\n", " stdout P ", " stderr P ", ",ncfrag=", ",c;", ",c,caller=", " [s=", "__CURSOR="];

/// What a carrier learnt from its prefix.
#[derive(Clone, Copy, Default)]
pub(crate) struct Prefix<'a> {
    time: Option<Stamp>,
    caller: Option<crate::Caller>,
    level: Option<u8>,
    facility: Option<u8>,
    host: Option<&'a str>,
    tag: Option<&'a str>,
    writer: Writer,
    /// What stands behind the prefix.
    rest: &'a str,
}

impl<'a> Prefix<'a> {
    fn into_line(mut self, number: u64) -> Line<'a> {
        let word = (self.writer != Writer::Program).then(|| level_word::strip(self.rest, self.writer)).flatten();
        let level = word.map(|(level, rest)| {
            self.rest = rest;
            level
        });
        Line {
            number,
            time: self.time,
            caller: self.caller,
            level: self.level.or(level),
            facility: self.facility,
            host: self.host,
            tag: self.tag,
            writer: self.writer,
            body: trimmed(self.rest),
        }
    }

    /// Adds what an inner prefix says; the inner one is nearer to the kernel, so its words win.
    fn with_inner(self, inner: Prefix<'a>) -> Self {
        Prefix {
            time: match (self.time, inner.time) {
                (Some(outer), Some(inner)) => Some(Stamp {
                    since_boot_ns: inner.since_boot_ns.or(outer.since_boot_ns),
                    wall_ns: inner.wall_ns.or(outer.wall_ns),
                    wall_exact: if inner.wall_ns.is_some() { inner.wall_exact } else { outer.wall_exact },
                }),
                (outer, inner) => inner.or(outer),
            },
            caller: inner.caller.or(self.caller),
            level: inner.level.or(self.level),
            facility: inner.facility.or(self.facility),
            host: self.host.or(inner.host),
            tag: inner.tag.or(self.tag),
            writer: if inner.writer == Writer::Unknown { self.writer } else { inner.writer },
            rest: inner.rest,
        }
    }
}

/// Bytes as text; nearly all are.
fn lossy(raw: &[u8]) -> Cow<'_, str> {
    std::str::from_utf8(raw).map_or_else(|_| String::from_utf8_lossy(raw), Cow::Borrowed)
}

/// Without the blanks, line ends and NUL bytes at the end.
fn trimmed(text: &str) -> &str {
    let tail = text.bytes().rev().take_while(|b| matches!(b, b' ' | b'\t' | b'\r' | b'\n' | 0)).count();
    text.get(..text.len() - tail).unwrap_or_default()
}

type Strip = for<'a> fn(&'a str) -> Option<Prefix<'a>>;

/// Collectors' prefixes, which may stand before the kernel's own one. The first that recognises the text is taken.
const COLLECTORS: &[Strip] =
    &[container::strip, syslog::strip, journal::strip, dmesg::strip, dmesg::kept, broadcast::strip, kmsg::strip];

/// What stands around a physical line in the piece of text at hand.
#[derive(Clone, Copy, Default)]
pub(crate) struct Around<'a> {
    /// The lines before it.
    pub(crate) before: &'a [u8],
    /// The lines behind it.
    pub(crate) behind: &'a [u8],
    /// An anchor was found in the line: the text around it is worth a look.
    pub(crate) telling: bool,
    /// The line as text, if that is known already.
    pub(crate) text: Option<&'a str>,
}

/// Frees physical lines from their carriers and joins those that a carrier cut. Each run of lines by itself: what is
/// held is given back as soon as it is complete or something else follows.
#[derive(Default)]
pub(crate) struct Reader {
    quoted: quoted_printable::Run,
    entry: journal_fields::Entry,
    fragments: netconsole::Fragments,
    partial: container::Partial,
    kmsg: kmsg::Run,
    wrap: wrap::Run,
    console: zvm::Console,
    learned: learned::Learned,
    /// What was found missing since it was asked for last.
    pub(crate) losses: Vec<Loss>,
}

/// Something that a carrier lost.
pub(crate) struct Loss {
    pub(crate) line: u64,
    pub(crate) why: String,
}

/// More losses than this in one text are not listed.
const MAX_LOSSES: u32 = 64;

/// Takes a kernel line, and whether its text differs from the bytes it came from.
pub(crate) type Each<'e> = dyn FnMut(&Line<'_>, bool) + 'e;

impl Reader {
    /// Is a part of a line held, so that the next physical line must be seen?
    pub(crate) fn holding(&self) -> bool {
        self.quoted.holding()
            || self.entry.holding()
            || self.fragments.holding()
            || self.partial.holding()
            || self.kmsg.holding()
            || self.wrap.holding()
            || self.console.holding()
    }

    /// Is no line around read otherwise than its own text says?
    fn is_idle(&self) -> bool {
        !self.wrap.active() && !self.learned.active() && !self.holding()
    }

    /// A line with the kernel's usual stamp. Its text may begin with more of a prefix, and hold what other carriers would
    /// change: good for those who take it only if they know it whole.
    pub(crate) fn usual<'a>(&self, text: &'a str, number: u64) -> Option<Line<'a>> {
        let Prefix { time, caller, writer, rest, .. } = printk::start(text).filter(|_| self.is_idle())?;
        Some(Line { number, time, caller, writer, body: rest, ..Line::default() })
    }

    /// Are the lines rows of a table, whose first line names the columns?
    pub(crate) fn is_table(&self) -> bool {
        self.learned.is_table()
    }

    /// A line was read by [`usual`](Self::usual) alone.
    pub(crate) fn pass(&mut self) {
        self.kmsg.interrupt();
    }

    /// The line without its prefixes, if it is one of those that the carriers leave as they are. Nearly all lines are.
    fn untouched<'a>(&self, raw: &'a [u8], number: u64, around: Around<'a>) -> Option<Prefix<'a>> {
        // A digit begins records of `/dev/kmsg` and stamps of the CRI format; the first lines may name columns.
        if !self.is_idle()
            || raw.len() > MAX_LINE
            || raw.first().is_none_or(u8::is_ascii_digit)
            || number <= learned::HEADER
        {
            return None;
        }
        let text = || around.text.and_then(|t| t.get(..raw.len())).or_else(|| std::str::from_utf8(raw).ok());
        let special = special(raw);
        if special == 0 && !around.telling {
            return text().map(strip);
        }
        // Behind the kernel's own stamp, few of these bytes mean more than themselves.
        if special & CONTROL != 0
            || special & EQUALS != 0 && !self.quoted.leaves(raw)
            || around.telling && self.wrap.is_due(number)
        {
            return None;
        }
        let text = text()?;
        if special & ESCAPE != 0 && !escape::is_clean(text) || has(text, "](") { None } else { stamped(text) }
    }

    /// Calls `each` for every kernel line that is complete with the physical line `raw` (several, where newlines were
    /// lost; none, where it goes on).
    pub(crate) fn line(&mut self, raw: &[u8], number: u64, around: Around<'_>, each: &mut Each<'_>) {
        let bare = raw.strip_suffix(b"\r").unwrap_or(raw);
        if let Some(prefix) = self.untouched(bare, number, around) {
            self.kmsg.interrupt();
            return rows(prefix, number, None, false, each);
        }
        let raw = &raw[..raw.len().min(if json::begins(raw) { MAX_JSON } else { MAX_LINE })];
        match self.quoted.line(raw, number) {
            quoted_printable::Decoded::Held => {}
            quoted_printable::Decoded::Line(line, first, changed) => self.bytes(&line, first, changed, around, each),
        }
    }

    /// Gives back everything that is held.
    pub(crate) fn flush(&mut self, each: &mut Each<'_>) {
        if let Some((line, number)) = self.quoted.flush() {
            self.bytes(&line, number, true, Around::default(), each);
        }
        if let Some(whole) = self.entry.flush() {
            Self::whole(&whole, each);
        }
        while let Some((text, number)) = self.partial.flush() {
            self.text(&text, number, true, Around::default(), each);
        }
        if let Some((text, number)) = self.console.flush() {
            self.text(&text, number, true, Around::default(), each);
        }
        while let Some(joined) = self.fragments.flush() {
            self.joined(&joined, each);
        }
        if let Some((text, number)) = self.kmsg.flush() {
            record(&text, number, true, each);
        }
        if let Some((text, number)) = self.wrap.flush() {
            pieces(&text, number, None, true, each);
        }
    }

    fn bytes(&mut self, raw: &[u8], number: u64, changed: bool, around: Around<'_>, each: &mut Each<'_>) {
        let text = lossy(raw);
        let clean = escape::clean(&text);
        let many = json::messages(&clean, around.before, &mut |message, said| {
            // A machine that booted before the message ends is not ours: the outer stamp is of the collector.
            let message = escape::clean(message);
            for piece in message.split('\n') {
                pieces(piece, number, Some(&said), true, each);
            }
        });
        if many {
            return;
        }
        let (whole, taken) = self.entry.line(&clean, number);
        if let Some(whole) = whole {
            Self::whole(&whole, each);
        }
        if taken {
            return;
        }
        if let Some((text, number, joined)) = self.partial.line(&clean, number) {
            self.text(&text, number, changed || joined, around, each);
        }
    }

    /// A line whose pieces are together: records of `/dev/kmsg`, broken lines, lines with lost newlines.
    fn text(&mut self, text: &str, number: u64, changed: bool, around: Around<'_>, each: &mut Each<'_>) {
        if self.console.holding()
            && !self.console.goes_on(text)
            && let Some((held, first)) = self.console.flush()
        {
            self.text(&held, first, true, Around::default(), each);
        }
        if text.starts_with(['[', '<'])
            && let Some(plain) = paste::without_links(text)
        {
            return self.text(&plain, number, true, around, each);
        }
        let text = match self.console.line(text, number) {
            zvm::Place::Other => text,
            zvm::Place::Held => return,
            zvm::Place::Line(text) => text,
        };
        if text.starts_with(|c: char| c.is_ascii_digit()) || self.fragments.holding() {
            let mut complete = Vec::new();
            let taken = self.fragments.line(text, number, &mut complete);
            for joined in complete {
                self.joined(&joined, each);
            }
            if taken {
                return;
            }
        }
        if self.kmsg.holding()
            && !self.kmsg.goes_on(text)
            && let Some((held, first)) = self.kmsg.flush()
        {
            record(&held, first, true, each);
        }
        match self.kmsg.line(text, number) {
            kmsg::Place::Other => {}
            kmsg::Place::Taken => return,
            kmsg::Place::Record(text, number, missing) => {
                if missing > 0 {
                    self.lost(number, format!("{missing} records are missing by their numbers"));
                }
                return record(&text, number, changed, each);
            }
        }
        if self.wrap.holding() {
            if self.wrap.goes_on(text) {
                return self.wrap.join(text);
            }
            if let Some((held, first)) = self.wrap.flush() {
                pieces(&held, first, None, true, each);
            }
        }
        if number <= learned::HEADER {
            self.learned.header(text);
        }
        if around.telling {
            self.learned.look(around.before, text, around.behind);
        }
        if let Some(row) = self.learned.row(text) {
            for piece in row.message.split('\n') {
                pieces(piece, number, Some(&row.prefix), true, each);
            }
            return;
        }
        let text = self.learned.strip(text).unwrap_or(text);
        if around.telling {
            self.wrap.look(around.before, text.as_bytes(), around.behind, number);
        }
        for piece in text.split('\r') {
            if piece.is_empty() && text.len() > piece.len() {
                continue;
            }
            if self.wrap.active() && self.wrap.hold(piece, &strip(piece), number) {
                continue;
            }
            pieces(piece, number, None, changed, each);
        }
    }

    fn joined(&mut self, joined: &netconsole::Joined, each: &mut Each<'_>) {
        if joined.holed {
            self.lost(joined.first, "a fragment of a netconsole record never came".to_owned());
        }
        record(&joined.text, joined.first, true, each);
    }

    fn whole(whole: &journal_fields::Whole, each: &mut Each<'_>) {
        for piece in whole.message.split('\n') {
            pieces(piece, whole.first, Some(&whole.prefix()), true, each);
        }
    }

    fn lost(&mut self, line: u64, why: String) {
        if self.losses.len() < MAX_LOSSES as usize {
            self.losses.push(Loss { line, why });
        }
    }
}

/// A control byte, or one that is not ASCII.
const CONTROL: u8 = 1;
/// `=`, with which quoted-printable text and the fields of a journal are written.
const EQUALS: u8 = 2;
/// What begins an escape.
const ESCAPE: u8 = 4;
/// `"`, in JSON.
const QUOTE: u8 = 8;

/// The kinds of bytes in the line of which a carrier may make an escape, an encoding, JSON, or a field of the journal.
fn special(line: &[u8]) -> u8 {
    const WIDTH: usize = 16;
    // No table and no branch: the compiler compares many bytes at once. Some of the last ones are looked at twice.
    let kind = |byte: u8| {
        let control = (byte.wrapping_sub(b' ') > b'~' - b' ') & (byte != b'\t');
        let escape = (byte == b'#') | (byte == b'^') | (byte == b'&') | (byte == b'\\');
        let (equals, quote) = (byte == b'=', byte == b'"');
        (u8::from(control) * CONTROL)
            | (u8::from(equals) * EQUALS)
            | (u8::from(escape) * ESCAPE)
            | (u8::from(quote) * QUOTE)
    };
    let Some(last) = line.last_chunk::<WIDTH>() else { return line.iter().fold(0, |kinds, byte| kinds | kind(*byte)) };
    let mut found = [0; WIDTH];
    for block in line.as_chunks::<WIDTH>().0.iter().chain(std::iter::once(last)) {
        for (found, byte) in found.iter_mut().zip(block) {
            *found |= kind(*byte);
        }
    }
    found.iter().fold(0, |kinds, kind| kinds | kind)
}

/// A record of `/dev/kmsg`: its text may hold several lines.
fn record(text: &str, number: u64, changed: bool, each: &mut Each<'_>) {
    let Some(record) = kmsg::record(text) else {
        return pieces(text, number, None, changed, each);
    };
    let body = kmsg::unescape(record.prefix.rest);
    let changed = changed || matches!(body, Cow::Owned(_));
    for piece in body.split('\n') {
        pieces(piece, number, Some(&record.prefix), changed, each);
    }
}

/// Takes the prefixes off `text`, splits it where newlines were lost, and adds what an outer carrier said.
fn pieces<'a>(text: &'a str, number: u64, outer: Option<&Prefix<'a>>, changed: bool, each: &mut Each<'_>) {
    rows(stripped(text, outer), number, outer, changed, each);
}

/// Takes the prefixes off `text`. What a program wrote is its own, even where it quotes a kernel line.
fn stripped<'a>(text: &'a str, outer: Option<&Prefix<'a>>) -> Prefix<'a> {
    match outer {
        None => strip(text),
        Some(outer) if outer.writer == Writer::Program => Prefix { rest: text, ..*outer },
        Some(outer) => outer.with_inner(strip(text)),
    }
}

/// Splits what stands behind a prefix where newlines were lost.
fn rows<'a>(mut prefix: Prefix<'a>, number: u64, outer: Option<&Prefix<'a>>, changed: bool, each: &mut Each<'_>) {
    let long = prefix.rest.len() > LONG && outer.is_none();
    loop {
        // A second kernel stamp inside the text: the newline before it was lost.
        let next = (prefix.writer == Writer::Kernel).then(|| printk::inside(prefix.rest)).flatten();
        let next = match next {
            None if long && prefix.writer != Writer::Program => syslog::glued(prefix.rest),
            next => next,
        };
        match next {
            Some(at) => {
                let rest = prefix.rest;
                let mut first = prefix;
                first.rest = &rest[..at];
                if !first.rest.trim().is_empty() {
                    each(&first.into_line(number), changed);
                }
                prefix = stripped(&rest[at..], outer);
            }
            None => break each(&prefix.into_line(number), changed),
        }
    }
}

/// A line of syslog that is longer may be several.
const LONG: usize = 300;

/// Takes the kernel's own prefix off `text`.
fn stamped(text: &str) -> Option<Prefix<'_>> {
    let prefix = printk::strip(text)?;
    // RFC 3164 as it goes over the wire: `<4>Oct  3 10:11:12 web01 kernel: text`.
    if prefix.time.is_none()
        && prefix.level.is_some()
        && prefix.rest.starts_with(|first: char| first.is_ascii_uppercase())
        && let Some(outer) = syslog::strip(prefix.rest).filter(|outer| outer.tag.is_some() && outer.time.is_some())
    {
        let writer = outer.writer;
        let outer = Prefix { writer, ..prefix.with_inner(outer) };
        let behind = inner(outer.rest).filter(|_| writer == Writer::Kernel);
        return Some(behind.map_or(outer, |behind| outer.with_inner(behind)));
    }
    // `journalctl -o short-monotonic` looks like printk with a host behind the stamp.
    Some(journal::monotonic(prefix.rest).map_or(prefix, |inner| prefix.with_inner(inner)))
}

/// Takes all prefixes off `text`.
fn strip(text: &str) -> Prefix<'_> {
    if let Some(prefix) = stamped(text) {
        return prefix;
    }
    let unquoted = paste::unquote(text);
    for collector in COLLECTORS {
        if let Some(outer) = collector(unquoted) {
            // `[2023-10-03 10:11:12] web01 kernel: text`
            let outer = syslog::host_and_tag(outer);
            return match inner(outer.rest) {
                Some(inner) if outer.writer != Writer::Program => outer.with_inner(inner),
                None if outer.writer == Writer::Unknown => {
                    syslog::inside(outer.rest).map_or(outer, |inner| outer.with_inner(inner))
                }
                _ => outer,
            };
        }
    }
    if unquoted.len() < text.len() {
        let other = || {
            let outer = foreign(unquoted)?;
            Some(match inner(outer.rest) {
                Some(inner) if outer.writer == Writer::Kernel => outer.with_inner(inner),
                _ => outer,
            })
        };
        return inner(unquoted).or_else(other).unwrap_or(Prefix { rest: unquoted, ..Prefix::default() });
    }
    // A stamp in the middle: a console prompt, an unknown collector, a lost newline.
    let bare = Prefix { rest: text, ..Prefix::default() };
    if text.starts_with("(XEN) ") {
        // The hypervisor has stamps of its own: its lines are not the kernel's.
        return bare;
    }
    if let Some(at) = printk::inside(text) {
        let prefix = printk::strip(&text[at..]).unwrap_or(bare);
        // `web01: [  467.167062] text`, of a tool that asked several machines.
        let host = prefix.host.or_else(|| text[..at].strip_suffix(": ").filter(|name| is_node(name)));
        let prefix = Prefix { host, ..prefix };
        return Prefix { rest: paste::before_closing_quote(&text[..at], prefix.rest), ..prefix };
    }
    printk::cut(text).or_else(|| foreign(text)).unwrap_or(bare)
}

/// Is it the name of a machine among others? They are numbered; programs and devices that print before the kernel are
/// not, or name no letters and digits alone.
fn is_node(name: &str) -> bool {
    let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.'));
    let numbered = name.bytes().any(|b| b.is_ascii_digit()) && name.bytes().any(|b| b.is_ascii_alphabetic());
    plain && numbered && (3..64).contains(&name.len()) && !name.starts_with("tty")
}

/// Prefixes before a line that has no stamp of the kernel: those of phones and memory dumps, of Android's log, of a tool
/// that names the host or the file, of a collector before a line of syslog.
fn foreign(text: &str) -> Option<Prefix<'_>> {
    let first = text.as_bytes().first()?;
    if first.is_ascii_digit() {
        if let Some(rest) = vendor::memory_dump(text) {
            return Some(Prefix { writer: Writer::Kernel, rest, ..Prefix::default() });
        }
        if let Some(prefix) = syslog::counted(text) {
            return Some(prefix);
        }
        if let Some((rest, kernel)) = vendor::logcat(text) {
            let writer = if kernel { Writer::Kernel } else { Writer::Program };
            return Some(Prefix { writer, rest, ..Prefix::default() });
        }
    }
    if let Some(rest) = vendor::logcat_brief(text) {
        return Some(Prefix { writer: Writer::Kernel, rest, ..Prefix::default() });
    }
    if let Some(rest) = text.strip_prefix("MESSAGE=") {
        return Some(Prefix { rest, ..Prefix::default() });
    }
    // `node042: [Mon Feb 12 10:00:01 2024] text`, `10.0.0.1: kern: warning: [2026-04-22T21:27:51Z]: text`
    if let Some((host, rest)) = split(text, ": ")
        && memchr::memchr(b' ', host.as_bytes()).is_none()
        && let Some(prefix) = dmesg::strip(rest)
        && prefix.time.is_some()
    {
        return Some(Prefix { host: Some(host), ..prefix });
    }
    let tagged = kubernetes::strip(text).or_else(|| syslog::inside(text)).or_else(|| syslog::behind_any_stamp(text));
    tagged.or_else(|| syslog::clock_alone(text).filter(|_| first.is_ascii_digit()))
}

/// The kernel's own prefix inside a collector's one.
fn inner(text: &str) -> Option<Prefix<'_>> {
    // Any number of blanks may stand between two prefixes; those before a text are its own.
    let near = text.trim_start_matches([' ', '\t']);
    let text = if near.starts_with(['[', '<']) { near } else { text };
    if let Some(prefix) = printk::strip(text) {
        return Some(prefix);
    }
    let prefix = dmesg::strip(text)?;
    // The kernel's own stamp behind one of dmesg's: a console's log that was stamped twice.
    let more = if prefix.rest.starts_with('[') { printk::strip(prefix.rest) } else { None };
    Some(more.map_or(prefix, |more| prefix.with_inner(more)))
}
