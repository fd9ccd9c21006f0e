//! The scanner: bytes of a log in, events out, with flat memory.

mod beginning;
mod broken_head;
mod owner;
mod repeats;

use std::borrow::Cow;
use std::sync::Arc;

use facts::{Gap, Identity};

use crate::Line;
use crate::anchors::{Anchors, CUT, Hits, Place, WORD};
use crate::boot::BootBuilder;
use crate::carrier;
use crate::cursor::has;
use crate::event::{Event, Severity};
use crate::family::{self, Before, Form};
use crate::report::{MAX_FOREIGN, Report, Step};

use beginning::Beginning;
use broken_head::BrokenHead;
pub(crate) use owner::hosts_differ;
use repeats::Repeats;

/// What the scanner yields.
#[derive(Clone, Debug)]
pub enum Item {
    /// A boot begins: what follows belongs to it. The first item may be an event of a boot whose start is not in the text.
    Boot(Box<Identity>),
    /// A report.
    Event(Box<Event>),
    /// Lines that are missing or could not be read.
    Gap(Gap),
    /// A line with one of the words that were asked for, or the last line of the text.
    Seen(Box<Seen>),
}

/// A physical line with one of the words that [`Anchors::with_words`] was given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Its number, counted from 1.
    pub number: u64,
    /// Its bytes as text, at most 16 KiB.
    pub line: String,
    /// The last line before it that is not empty.
    pub previous: String,
    /// It is the last line of the text that is not empty, with or without a word in it; there is nothing more.
    pub last: bool,
}

/// Reports that may be open at once, one for each caller; more than this and the oldest is closed.
const MAX_OPEN: usize = 64;
/// The same as [`MAX_FOREIGN`] for a report whose trace must still come, as long as the lines are of the same moment.
const MAX_FOREIGN_AWAITED: u32 = 512;
/// The same for reports of a few lines.
const MAX_FOREIGN_LINES: u32 = 6;
/// Lines after which one of several open reports is taken to be over.
const MAX_SILENT: u64 = 400;
/// Lines that may stand between `cut here` and the header of its report.
const MAX_CUT: usize = 12;
/// A physical line longer than this is cut; a printk record has at most 1024 bytes.
const MAX_CARRY: usize = 1 << 20;
/// Bytes that are searched for anchors at once.
const PIECE: usize = 256 << 10;
/// Lines read one by one after which those behind them are taken to be read too.
const LINES_ALONE: u32 = 32;
/// A panic this many lines behind a report may be its consequence.
const MAX_LAST: u64 = 500;

pub(crate) const CUT_HERE: &str = "[ cut here ]";

/// Lines since `cut here`.
struct Cut {
    messages: Vec<String>,
    first_line: u64,
}

/// Reads a log piece by piece.
///
/// ```
/// let mut scanner = klog::Scanner::new();
/// let mut events = 0;
/// scanner.push(b"unregister_netdevice: waiting for eth0 to become free. Usage count = 1\n", &mut |item| {
///     events += matches!(item, klog::Item::Event(_)) as u32;
/// });
/// scanner.finish(&mut |_| {});
/// assert_eq!(events, 1);
/// ```
pub struct Scanner {
    carry: Vec<u8>,
    /// The carried line was too long: its rest is dropped.
    skipping: bool,
    wide: carrier::Wide,
    reader: carrier::Reader,
    state: State,
}

impl Default for Scanner {
    fn default() -> Self {
        Scanner::with_anchors(Anchors::shared())
    }
}

impl Scanner {
    /// A scanner at the start of a log.
    pub fn new() -> Self {
        Scanner::default()
    }

    /// A scanner that looks for words beside the reports, in the same pass.
    pub fn with_anchors(anchors: Arc<Anchors>) -> Self {
        Scanner {
            carry: Vec::new(),
            skipping: false,
            wide: carrier::Wide::default(),
            reader: carrier::Reader::default(),
            state: State::new(anchors),
        }
    }

    /// Reads a piece of text; it may end anywhere.
    pub fn push(&mut self, bytes: &[u8], sink: &mut dyn FnMut(Item)) {
        match self.wide.narrow(bytes) {
            Some(narrow) => self.push_bytes(&spaced(&narrow), sink),
            None => self.push_bytes(&spaced(bytes), sink),
        }
    }

    fn push_bytes(&mut self, mut bytes: &[u8], sink: &mut dyn FnMut(Item)) {
        if !self.carry.is_empty() || self.skipping {
            let (head, tail) = match memchr::memchr(b'\n', bytes) {
                Some(end) => (&bytes[..=end], &bytes[end + 1..]),
                None => (bytes, &bytes[bytes.len()..]),
            };
            let room = MAX_CARRY.saturating_sub(self.carry.len());
            self.carry.extend_from_slice(&head[..head.len().min(room)]);
            self.skipping = !head.ends_with(b"\n");
            if self.skipping {
                return;
            }
            let line = std::mem::take(&mut self.carry);
            self.state.block(&line, &mut self.reader, sink);
            bytes = tail;
        }
        match memchr::memrchr(b'\n', bytes) {
            Some(end) => {
                self.state.block(&bytes[..=end], &mut self.reader, sink);
                self.keep(&bytes[end + 1..]);
            }
            None => self.keep(bytes),
        }
    }

    fn keep(&mut self, rest: &[u8]) {
        self.carry.extend_from_slice(&rest[..rest.len().min(MAX_CARRY)]);
    }

    /// Reads one line that a carrier has already taken apart: a record of a dump's ring, of a journal.
    pub fn line(&mut self, line: &Line<'_>, sink: &mut dyn FnMut(Item)) {
        self.state.number = self.state.number.max(line.number);
        let hits = self.state.anchors.hits(line.body.as_bytes());
        self.state.logical(line, hits, sink);
        self.state.beginning.stands_below(line.body);
    }

    /// Ends the log: reports that are still open are yielded.
    pub fn finish(mut self, sink: &mut dyn FnMut(Item)) {
        if !self.carry.is_empty() {
            let line = std::mem::take(&mut self.carry);
            self.state.block(&line, &mut self.reader, sink);
        }
        let state = &mut self.state;
        self.reader.flush(&mut |line, changed| state.changed(line, changed, 0, sink));
        state.losses(&mut self.reader, sink);
        state.close_all(sink);
        state.boot.finish(sink);
        if state.anchors.has_words() {
            let line = String::from_utf8_lossy(&state.tail).into_owned();
            sink(Item::Seen(Box::new(Seen { number: state.number, line, last: true, ..Seen::default() })));
        }
    }
}

/// The bytes with plain blanks: text copied from a mail or a web page has no-break spaces where the kernel had blanks.
fn spaced(bytes: &[u8]) -> Cow<'_, [u8]> {
    const NO_BREAK_SPACE: &[u8] = b"\xc2\xa0";
    // What programs for letters make of ` - `: the dashes U+2010 to U+2015.
    const DASH: &[u8] = b" \xe2\x80";
    let mut rest = bytes;
    let mut plain = Vec::new();
    while let Some(at) = memchr::memmem::find(rest, NO_BREAK_SPACE) {
        plain.extend_from_slice(&rest[..at]);
        plain.push(b' ');
        rest = &rest[at + NO_BREAK_SPACE.len()..];
    }
    if memchr::memmem::find(bytes, DASH).is_some() {
        plain.extend_from_slice(rest);
        return Cow::Owned(dashed(&plain));
    }
    if plain.is_empty() {
        return Cow::Borrowed(bytes);
    }
    plain.extend_from_slice(rest);
    Cow::Owned(plain)
}

/// The text with plain dashes where a typographic one stands between words, in a name or a number.
fn dashed(text: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = memchr::memmem::find(rest, b"\xe2\x80") {
        plain.extend_from_slice(&rest[..at]);
        match rest.get(at + 2) {
            Some(0x90..=0x95) => plain.push(b'-'),
            _ => plain.extend_from_slice(rest.get(at..at + 3).unwrap_or(&rest[at..])),
        }
        rest = rest.get(at + 3..).unwrap_or_default();
    }
    plain.extend_from_slice(rest);
    plain
}

struct State {
    anchors: Arc<Anchors>,
    /// Number of the line before.
    number: u64,
    /// Where anchors stand in the piece at hand.
    places: Vec<Place>,
    /// The last line that is not empty.
    tail: Vec<u8>,
    open: Vec<Report>,
    cut: Option<Cut>,
    /// Title and last line of the report that ended last.
    last: Option<(String, u64)>,
    /// Line of the last panic.
    panicked: Option<u64>,
    repeats: Repeats,
    beginning: Beginning,
    broken: Option<BrokenHead>,
    boot: BootBuilder,
}

impl State {
    fn new(anchors: Arc<Anchors>) -> Self {
        State {
            anchors,
            number: 0,
            places: Vec::new(),
            tail: Vec::new(),
            open: Vec::new(),
            cut: None,
            last: None,
            panicked: None,
            repeats: Repeats::default(),
            beginning: Beginning::default(),
            broken: None,
            boot: BootBuilder::default(),
        }
    }

    /// Reads complete lines.
    fn block(&mut self, block: &[u8], reader: &mut carrier::Reader, sink: &mut dyn FnMut(Item)) {
        let mut from = 0;
        while from < block.len() {
            let most = (from + PIECE).min(block.len());
            let end = match memchr::memrchr(b'\n', &block[from..most]) {
                Some(at) if most < block.len() => from + at + 1,
                _ => memchr::memchr(b'\n', &block[most..]).map_or(block.len(), |at| most + at + 1),
            };
            self.piece(block, from, end, reader, sink);
            from = end;
        }
        if self.anchors.has_words()
            && let Some((_, line)) = last_line(block)
        {
            self.tail.clear();
            self.tail.extend_from_slice(line);
        }
    }

    /// Reads the lines between two offsets of the block.
    fn piece(
        &mut self,
        block: &[u8],
        from: usize,
        to: usize,
        reader: &mut carrier::Reader,
        sink: &mut dyn FnMut(Item),
    ) {
        let mut places = std::mem::take(&mut self.places);
        self.anchors.places(&block[from..to], &mut places);
        let mut next = places.iter().map(|place| (from + place.at, place.hits)).peekable();
        let mut at = from;
        // Whether the lines are text is asked line by line while few are read, then for all behind them at once.
        let mut alone = 0u32;
        let mut whole: (&str, usize) = ("", 0);
        while at < to {
            while next.next_if(|(place, _)| *place < at).is_some() {}
            if self.open.is_empty()
                && self.cut.is_none()
                && !reader.holding()
                && !self.beginning.lasts()
                && self.broken.is_none()
            {
                // Nothing to read before the next anchor.
                let Some((place, _)) = next.peek() else {
                    self.number += memchr::memchr_iter(b'\n', &block[at..to]).count() as u64;
                    self.number += u64::from(!block[at..to].ends_with(b"\n"));
                    break;
                };
                let line = memchr::memrchr(b'\n', &block[at..*place]).map_or(at, |n| at + n + 1);
                self.number += memchr::memchr_iter(b'\n', &block[at..line]).count() as u64;
                at = line;
            }
            let end = memchr::memchr(b'\n', &block[at..to]).map_or(to, |n| at + n);
            let raw = &block[at..end];
            self.number += 1;
            // Of a long line only the start is read.
            let short = &raw[..raw.len().min(carrier::MAX_LINE)];
            let mut hits = 0;
            while let Some((place, found)) = next.next_if(|(place, _)| *place < end) {
                if place + 1 < at + short.len() || short.len() == raw.len() {
                    hits |= found;
                }
            }
            if hits & WORD != 0 {
                hits &= !WORD;
                let previous = last_line(&block[..at]).map_or(self.tail.as_slice(), |(_, line)| line);
                sink(Item::Seen(Box::new(Seen {
                    number: self.number,
                    line: String::from_utf8_lossy(short).into_owned(),
                    previous: String::from_utf8_lossy(previous).into_owned(),
                    last: false,
                })));
            }
            if hits & family::HEADLESS != 0 && self.open.is_empty() {
                let (start, above) = last_line(&block[..at]).unwrap_or_default();
                // Between the line of a kernel thread and its stack stands what it works on.
                if memchr::memmem::find(above, b"Workqueue: ").is_some() {
                    let task = last_line(&block[..start]).unwrap_or_default().1;
                    self.beginning.stands_below(&String::from_utf8_lossy(task));
                }
                self.beginning.stands_below(&String::from_utf8_lossy(above));
            }
            let behind = block.get(end + 1..).unwrap_or_default();
            let text = at.checked_sub(whole.1).and_then(|start| whole.0.get(start..start + raw.len()));
            if text.is_none() {
                alone += 1;
                if alone.is_multiple_of(LINES_ALONE) {
                    whole = (text_at_start(&block[end..to]), end);
                }
            }
            if hits == 0 && text.is_some_and(|text| self.next_row(text, reader)) {
                at = end + 1;
                continue;
            }
            let around = carrier::Around { before: &block[..at], behind, telling: hits != 0, text };
            reader.line(raw, self.number, around, &mut |line, changed| {
                // What syslogd tells everybody before it has written it comes again, with stamp and host.
                if hits > 1 && carrier::is_broadcast(line) && carrier::is_written_below(line, behind) {
                    return;
                }
                self.changed(line, changed, hits, sink);
            });
            self.losses(reader, sink);
            at = end + 1;
        }
        self.places = places;
    }

    /// Reads the next frame or row of registers of an open report, as [`logical`](Self::logical) would: most lines of
    /// reports are that.
    fn next_row(&mut self, text: &str, reader: &mut carrier::Reader) -> bool {
        if self.open.is_empty() || self.broken.is_some() || self.beginning.lasts() {
            return false;
        }
        let Some(line) = reader.usual(text, self.number) else { return false };
        let Some(report) = self.report_of_row(&line) else { return false };
        let taken = report.next_row(&line);
        if taken {
            reader.pass();
            report.taken(&line);
        }
        taken
    }

    /// Reads a line whose text may differ from the bytes that were searched.
    fn changed(&mut self, line: &Line<'_>, changed: bool, hits: Hits, sink: &mut dyn FnMut(Item)) {
        let hits = if changed { self.anchors.hits(line.body.as_bytes()) } else { hits };
        self.logical(line, hits, sink);
    }

    /// Yields what the carriers found missing.
    fn losses(&mut self, reader: &mut carrier::Reader, sink: &mut dyn FnMut(Item)) {
        if reader.losses.is_empty() {
            return;
        }
        for loss in reader.losses.drain(..) {
            sink(Item::Gap(crate::boot::lost(loss.line, loss.why)));
        }
    }

    /// Reads one line without its prefix.
    fn logical(&mut self, line: &Line<'_>, hits: Hits, sink: &mut dyn FnMut(Item)) {
        if hits & 1 != 0 && self.own(line, sink) {
            return;
        }
        if self.broken.is_some() && self.mended(line, sink) {
            return;
        }
        let found = hits;
        let hits = self.headless(line, found);
        if hits > 1 && self.repeats.is_echo(line) {
            return;
        }
        while self.open.len() > 1
            && let Some(at) = self.open.iter().position(|r| r.taken_at + MAX_SILENT < line.number)
        {
            self.close(at, sink);
        }
        if let Some(at) = self.report_of(line) {
            // Two consoles on one line print each header twice, one below the other.
            if hits > 1
                && self.open[at].form == Form::Trace
                && self.repeats.is_last_again(line)
                && !self.open[at].has_frames()
            {
                return;
            }
            let report = &mut self.open[at];
            if hits == 0 && report.next_row(line) {
                return report.taken(line);
            }
            let mut step = (report.family.body)(report, line);
            if step == Step::Pass {
                if hits > 1 && self.try_open(line, hits, Some(at), sink) {
                    return;
                }
                let report = &mut self.open[at];
                if report.form == Form::Trace {
                    step = report.common(line);
                }
            }
            let report = &mut self.open[at];
            match step {
                Step::Take | Step::End => {
                    report.taken(line);
                    if step == Step::End {
                        self.close(at, sink);
                    }
                    return;
                }
                Step::Pass => {
                    report.foreign += 1;
                    let limit = match report.form {
                        Form::Trace if report.foreign <= MAX_FOREIGN => MAX_FOREIGN,
                        Form::Trace if report.awaits_frames_at(line) => MAX_FOREIGN_AWAITED,
                        Form::Trace => MAX_FOREIGN,
                        _ => MAX_FOREIGN_LINES,
                    };
                    if report.foreign > limit || report.ended {
                        self.close(at, sink);
                    }
                }
                Step::Stop => {
                    self.close(at, sink);
                    let hits = self.headless(line, found);
                    if hits > 1 && self.try_open(line, hits, None, sink) {
                        return;
                    }
                }
            }
        } else if hits > 1 {
            if self.try_open(line, hits, None, sink) {
                return;
            }
            if let Some(at) = broken_head::glued(line.body) {
                let behind = Line { body: &line.body[at..], ..*line };
                if self.try_open(&behind, hits & !family::HEADLESS, None, sink) {
                    return;
                }
            }
            if hits & !family::HEADLESS > 1 {
                self.broken = BrokenHead::of(line, hits & CUT != 0);
            }
        }
        if let Some(cut) = &mut self.cut {
            if cut.messages.len() < MAX_CUT {
                cut.messages.push(line.body.to_owned());
            } else {
                self.cut = None;
            }
        }
    }

    /// A report without its head begins only where none is open: at its marks, and at the start of a log that does not
    /// begin with a boot.
    fn headless(&mut self, line: &Line<'_>, hits: Hits) -> Hits {
        let first = self.beginning.lasts();
        if first {
            self.beginning.pass();
        } else if hits & family::HEADLESS == 0 {
            return hits;
        }
        if self.beginning.is_of_listed_task(line) {
            self.beginning.end();
            return hits & !family::HEADLESS;
        }
        if !self.open.is_empty() {
            return hits & !family::HEADLESS;
        }
        if first { hits | family::HEADLESS } else { hits }
    }

    /// Lines that mean something to the scanner itself.
    fn own(&mut self, line: &Line<'_>, sink: &mut dyn FnMut(Item)) -> bool {
        let text = line.text();
        if text.contains(CUT_HERE) {
            if let Some(at) = self.report_of(line) {
                let report = &mut self.open[at];
                let step = (report.family.body)(report, line);
                if step == Step::Take {
                    report.taken(line);
                    return true;
                }
                self.close(at, sink);
            }
            self.cut = Some(Cut { messages: Vec::new(), first_line: line.number });
            return true;
        }
        if self.boot.is_banner(line) {
            self.close_all(sink);
            self.repeats.forget();
            self.beginning.end();
            self.boot.begin(line, sink);
            return true;
        }
        self.boot.note(line);
        if has(text, "replaying previous printk message") {
            self.repeats.replaying = true;
            return true;
        }
        if let Some(gap) = crate::boot::loss(line) {
            // Lines are missing inside the report that is being printed, if it goes on.
            if has(text, "printk messages dropped")
                && let Some(at) = self.report_of(line)
            {
                self.open[at].loses();
            }
            sink(Item::Gap(gap));
        }
        false
    }

    /// Opens a report if a family recognises the line.
    fn try_open(&mut self, line: &Line<'_>, hits: Hits, current: Option<usize>, sink: &mut dyn FnMut(Item)) -> bool {
        let messages = self.cut.as_ref().map_or(&[][..], |c| &c.messages[..]);
        let last = self.last.as_ref().filter(|(_, at)| line.number < at + MAX_LAST).map(|(title, _)| title.as_str());
        let current_event = current.and_then(|at| self.open.get(at)).map(|r| &r.event);
        let before = Before {
            messages,
            current: current_event,
            last,
            task: (hits & family::HEADLESS != 0).then(|| self.beginning.task()).flatten(),
            work: self.beginning.work(),
            again: self.beginning.is_below_the_end(),
            panicked: self.panicked.is_some_and(|at| line.number < at + MAX_LAST),
        };
        let opened = family::of_hits(hits)
            .filter(|family| family.accepts(line))
            .find_map(|family| (family.open)(line, before).map(|opened| (family, opened)));
        let Some((family, opened)) = opened else { return false };
        if self.repeats.is_copy(line) {
            return true;
        }
        self.repeats.begin(line);
        let mut event = opened.event;
        event.first_line = self.cut.take().map_or(line.number, |c| c.first_line);
        event.last_line = line.number;
        event.time = line.time;
        event.caller = line.caller;
        event.host = line.host.map(str::to_owned);
        if event.quote.is_empty() {
            event.quote = line.text().to_owned();
        }
        self.boot.see(line);
        if event.severity == Severity::Panic {
            self.panicked = Some(line.number);
        }
        // A single line may come from another CPU while a report is printed: the report goes on.
        if let Some(at) = current
            && !opened.inside
        {
            let report = &mut self.open[at];
            // Another CPU began to report in the middle of it: its lines may still come.
            let cut = opened.form == Form::Trace
                && line.caller.is_none()
                && event.severity == Severity::Report
                && report.is_cut_by(line);
            if opened.form == Form::Line && report.form == Form::Trace && !report.ended {
                report.foreign += 1;
            } else if cut {
                report.parked = true;
            } else if report.forgets(line.caller) {
                // The CPU printed its stack for this report, and speaks of itself now.
            } else {
                self.close(at, sink);
            }
        }
        let mut report = Report::new(event, family, opened.form);
        if opened.form == Form::Line {
            report.ended = true;
            report.event.release = report.event.release.take().or_else(|| self.boot.take_release());
            sink_report(report, sink);
            return true;
        }
        if self.open.len() >= MAX_OPEN {
            self.close(0, sink);
        }
        if opened.headless && (family.body)(&mut report, line) == Step::Pass {
            report.common(line);
        }
        self.open.push(report);
        true
    }

    fn close(&mut self, at: usize, sink: &mut dyn FnMut(Item)) {
        if at < self.open.len() {
            let mut report = self.open.remove(at);
            report.event.release = report.event.release.take().or_else(|| self.boot.take_release());
            if report.guessed {
                sink(Item::Gap(crate::boot::mixed(&report.event)));
            }
            let line = report.event.last_line;
            let reported = report.event.severity == Severity::Report;
            let blocked = report.take_blocked();
            if let Some(title) = sink_report(report, sink)
                && reported
            {
                self.last = Some((title, line));
            }
            for task in blocked {
                sink_report(task, sink);
            }
        }
    }

    fn close_all(&mut self, sink: &mut dyn FnMut(Item)) {
        while !self.open.is_empty() {
            self.close(0, sink);
        }
        self.cut = None;
        self.last = None;
        self.panicked = None;
    }
}

/// Yields a report; its title, if it was one.
fn sink_report(report: Report, sink: &mut dyn FnMut(Item)) -> Option<String> {
    let event = report.finish()?;
    let title = event.title.clone();
    sink(Item::Event(Box::new(event)));
    Some(title)
}

/// The start of the bytes that is text.
fn text_at_start(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).or_else(|e| std::str::from_utf8(&bytes[..e.valid_up_to()])).unwrap_or_default()
}

/// The last line of a text of whole lines that is not empty, cut to the length that is read, and where it begins.
fn last_line(text: &[u8]) -> Option<(usize, &[u8])> {
    let mut end = text.len();
    // Blank lines in a row are few.
    for _ in 0..64 {
        let start = memchr::memrchr(b'\n', &text[..end]).map_or(0, |at| at + 1);
        let line = &text[start..end];
        if !line.trim_ascii().is_empty() {
            return Some((start, &line[..line.len().min(carrier::MAX_LINE)]));
        }
        end = start.checked_sub(1)?;
    }
    None
}
