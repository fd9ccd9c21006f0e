//! The scanner: bytes of a log in, events out, with flat memory.

use std::borrow::Cow;
use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};
use facts::{Gap, Identity};

use crate::Line;
use crate::boot::BootBuilder;
use crate::carrier;
use crate::event::{Event, Severity};
use crate::family::{self, Before, Form};
use crate::report::{Report, Step};

/// What the scanner yields.
#[derive(Clone, Debug)]
pub enum Item {
    /// A boot begins: what follows belongs to it. The first item may be an event of a boot whose start is not in the text.
    Boot(Box<Identity>),
    /// A report.
    Event(Box<Event>),
    /// Lines that are missing or could not be read.
    Gap(Gap),
}

/// Reports that may be open at once, one for each caller; more than this and the oldest is closed.
const MAX_OPEN: usize = 64;
/// Lines of other output after which a report is taken to be over.
const MAX_FOREIGN: u32 = 48;
/// The same for reports of a few lines.
const MAX_FOREIGN_LINES: u32 = 6;
/// Lines that may stand between `cut here` and the header of its report.
const MAX_CUT: usize = 12;
/// A physical line longer than this is cut; a printk record has at most 1024 bytes.
const MAX_CARRY: usize = 1 << 20;

/// A panic this many lines behind a report may be its consequence.
const MAX_LAST: u64 = 500;

const CUT_HERE: &str = "[ cut here ]";

/// Anchors of the scanner itself.
const OWN_ANCHORS: &[&str] = &[
    CUT_HERE,
    "Linux version ",
    "ommand line: ",
    "printk messages dropped",
    "callbacks suppressed",
    "-- Boot ",
    "-- Reboot --",
    "DMI: ",
    "messages lost",
    "Missed ",
];

struct Anchors {
    /// One pass over raw bytes.
    search: AhoCorasick,
    /// Pattern number to family number; patterns of the scanner itself have none.
    families: Vec<Option<u8>>,
}

static ANCHORS: LazyLock<Anchors> = LazyLock::new(|| {
    let mut patterns: Vec<&str> = Vec::new();
    let mut families = Vec::new();
    for anchor in OWN_ANCHORS {
        patterns.push(anchor);
        families.push(None);
    }
    for (number, family) in family::ALL.iter().enumerate() {
        for anchor in family.anchors {
            patterns.push(anchor);
            families.push(u8::try_from(number).ok());
        }
    }
    let search = AhoCorasick::builder()
        .match_kind(MatchKind::Standard)
        .kind(Some(AhoCorasickKind::DFA))
        .build(&patterns)
        .expect("the anchors are few and constant");
    Anchors { search, families }
});

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
#[derive(Default)]
pub struct Scanner {
    carry: Vec<u8>,
    /// The carried line was too long: its rest is dropped.
    skipping: bool,
    wide: carrier::Wide,
    state: State,
}

impl Scanner {
    /// A scanner at the start of a log.
    pub fn new() -> Self {
        Scanner::default()
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
            self.state.block(&line, sink);
            bytes = tail;
        }
        match memchr::memrchr(b'\n', bytes) {
            Some(end) => {
                self.state.block(&bytes[..=end], sink);
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
        let hits = self.state.hits(line.body.as_bytes());
        self.state.logical(line, hits, sink);
    }

    /// Ends the log: reports that are still open are yielded.
    pub fn finish(mut self, sink: &mut dyn FnMut(Item)) {
        if !self.carry.is_empty() {
            let line = std::mem::take(&mut self.carry);
            self.state.block(&line, sink);
        }
        self.state.close_all(sink);
        self.state.boot.finish(sink);
    }
}

/// The bytes with plain blanks: text copied from a mail or a web page has no-break spaces where the kernel had blanks.
fn spaced(bytes: &[u8]) -> Cow<'_, [u8]> {
    const NO_BREAK_SPACE: &[u8] = b"\xc2\xa0";
    let mut rest = bytes;
    let mut plain = Vec::new();
    while let Some(at) = memchr::memmem::find(rest, NO_BREAK_SPACE) {
        plain.extend_from_slice(&rest[..at]);
        plain.push(b' ');
        rest = &rest[at + NO_BREAK_SPACE.len()..];
    }
    if plain.is_empty() {
        return Cow::Borrowed(bytes);
    }
    plain.extend_from_slice(rest);
    Cow::Owned(plain)
}

/// Which families a line may open, as a set of bits; the lowest stands for the scanner's own anchors.
type Hits = u128;

#[derive(Default)]
struct State {
    /// Number of the line before.
    number: u64,
    open: Vec<Report>,
    cut: Option<Cut>,
    /// Title and last line of the report that ended last.
    last: Option<(String, u64)>,
    boot: BootBuilder,
}

impl State {
    /// Reads complete lines.
    fn block(&mut self, block: &[u8], sink: &mut dyn FnMut(Item)) {
        let anchors = &*ANCHORS;
        let mut at = 0;
        let mut hit = anchors.search.find(block).map(|m| m.start());
        while at < block.len() {
            if let Some(start) = hit
                && start < at
            {
                hit = anchors.search.find(&block[at..]).map(|m| at + m.start());
            }
            if self.open.is_empty() && self.cut.is_none() {
                // Nothing to read before the next anchor.
                let Some(start) = hit else {
                    self.number += memchr::memchr_iter(b'\n', &block[at..]).count() as u64;
                    break;
                };
                let line = memchr::memrchr(b'\n', &block[at..start]).map_or(at, |n| at + n + 1);
                self.number += memchr::memchr_iter(b'\n', &block[at..line]).count() as u64;
                at = line;
            }
            let end = memchr::memchr(b'\n', &block[at..]).map_or(block.len(), |n| at + n);
            let raw = &block[at..end];
            self.number += 1;
            let hits = if hit.is_some_and(|start| start < end) { self.hits(raw) } else { 0 };
            self.physical(raw, hits, sink);
            at = end + 1;
        }
    }

    /// The families whose anchors stand in `raw`.
    fn hits(&self, raw: &[u8]) -> Hits {
        let anchors = &*ANCHORS;
        let raw = &raw[..raw.len().min(carrier::MAX_LINE)];
        let mut hits = 0;
        for found in anchors.search.find_overlapping_iter(raw) {
            hits |= match anchors.families.get(found.pattern().as_usize()) {
                Some(Some(family)) => 2 << *family,
                _ => 1,
            };
        }
        hits
    }

    fn physical(&mut self, raw: &[u8], hits: Hits, sink: &mut dyn FnMut(Item)) {
        let number = self.number;
        carrier::lines(raw, number, &mut |line| self.logical(line, hits, sink));
    }

    /// Reads one line without its prefix.
    fn logical(&mut self, line: &Line<'_>, hits: Hits, sink: &mut dyn FnMut(Item)) {
        if hits & 1 != 0 && self.own(line, sink) {
            return;
        }
        if let Some(at) = self.report_of(line) {
            let report = &mut self.open[at];
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
                    report.mixed += report.foreign;
                    report.foreign = 0;
                    report.event.last_line = line.number;
                    if step == Step::End {
                        self.close(at, sink);
                    }
                    return;
                }
                Step::Pass => {
                    report.foreign += 1;
                    let limit = if report.form == Form::Trace { MAX_FOREIGN } else { MAX_FOREIGN_LINES };
                    if report.foreign > limit || report.ended {
                        self.close(at, sink);
                    }
                }
                Step::Stop => {
                    self.close(at, sink);
                    if hits > 1 && self.try_open(line, hits, None, sink) {
                        return;
                    }
                }
            }
        } else if hits > 1 && self.try_open(line, hits, None, sink) {
            return;
        }
        if let Some(cut) = &mut self.cut {
            if cut.messages.len() < MAX_CUT {
                cut.messages.push(line.body.to_owned());
            } else {
                self.cut = None;
            }
        }
    }

    /// Lines that mean something to the scanner itself.
    fn own(&mut self, line: &Line<'_>, sink: &mut dyn FnMut(Item)) -> bool {
        let text = line.text();
        if text.contains(CUT_HERE) {
            if let Some(at) = self.report_of(line) {
                let report = &mut self.open[at];
                let step = (report.family.body)(report, line);
                if step == Step::Take {
                    report.event.last_line = line.number;
                    return true;
                }
                self.close(at, sink);
            }
            self.cut = Some(Cut { messages: Vec::new(), first_line: line.number });
            return true;
        }
        if self.boot.is_banner(line) {
            self.close_all(sink);
            self.boot.begin(line, sink);
            return true;
        }
        self.boot.note(line);
        if let Some(gap) = crate::boot::loss(line) {
            sink(Item::Gap(gap));
        }
        false
    }

    /// The open report that a line most likely belongs to.
    fn report_of(&self, line: &Line<'_>) -> Option<usize> {
        match line.caller {
            Some(caller) => self
                .open
                .iter()
                .rposition(|r| r.caller() == Some(caller))
                .or_else(|| self.open.iter().rposition(|r| r.caller().is_none())),
            None => self.open.len().checked_sub(1),
        }
    }

    /// Opens a report if a family recognises the line.
    fn try_open(&mut self, line: &Line<'_>, hits: Hits, current: Option<usize>, sink: &mut dyn FnMut(Item)) -> bool {
        let messages = self.cut.as_ref().map_or(&[][..], |c| &c.messages[..]);
        let last = self.last.as_ref().filter(|(_, at)| line.number < at + MAX_LAST).map(|(title, _)| title.as_str());
        let before = Before { messages, current: current.and_then(|at| self.open.get(at)).map(|r| &r.event), last };
        let opened = family::ALL
            .iter()
            .enumerate()
            .filter(|(number, family)| hits & (2 << number) != 0 && family.accepts(line))
            .find_map(|(_, family)| (family.open)(line, before).map(|opened| (*family, opened)));
        let Some((family, opened)) = opened else { return false };
        let mut event = opened.event;
        event.first_line = self.cut.take().map_or(line.number, |c| c.first_line);
        event.last_line = line.number;
        event.time = line.time;
        event.caller = line.caller;
        if event.quote.is_empty() {
            event.quote = line.text().to_owned();
        }
        self.boot.see(line);
        // A single line may come from another CPU while a report is printed: the report goes on.
        if let Some(at) = current
            && !opened.inside
        {
            let report = &mut self.open[at];
            if opened.form == Form::Line && report.form == Form::Trace && !report.ended {
                report.foreign += 1;
            } else {
                self.close(at, sink);
            }
        }
        let mut report = Report::new(event, family, opened.form);
        if opened.form == Form::Line {
            report.ended = true;
            sink_report(report, sink);
            return true;
        }
        if self.open.len() >= MAX_OPEN {
            self.close(0, sink);
        }
        self.open.push(report);
        true
    }

    fn close(&mut self, at: usize, sink: &mut dyn FnMut(Item)) {
        if at < self.open.len() {
            let report = self.open.remove(at);
            let line = report.event.last_line;
            let reported = report.event.severity == Severity::Report;
            if let Some(title) = sink_report(report, sink)
                && reported
            {
                self.last = Some((title, line));
            }
        }
    }

    fn close_all(&mut self, sink: &mut dyn FnMut(Item)) {
        while !self.open.is_empty() {
            self.close(0, sink);
        }
        self.cut = None;
        self.last = None;
    }
}

/// Yields a report; its title, if it was one.
fn sink_report(report: Report, sink: &mut dyn FnMut(Item)) -> Option<String> {
    let event = report.finish()?;
    let title = event.title.clone();
    sink(Item::Event(Box::new(event)));
    Some(title)
}
