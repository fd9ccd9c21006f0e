//! Whole members at once.

use std::collections::BTreeMap;
use std::sync::Arc;

use facts::{Gap, Identity, Stamp};

use crate::event::Event;
use crate::kept::Kept;
use crate::line::Writer;
use crate::scanner::{Item, Scanner, Seen, hosts_differ};
use crate::{Anchors, Caller, Line, clock};

/// What a member says, boot by boot.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    /// The boots in the order of the text. Text before the first banner is a boot of its own without banner.
    pub boots: Vec<Boot>,
    /// What is missing.
    pub gaps: Vec<Gap>,
}

/// One boot of the kernel, as far as the text covers it.
#[derive(Clone, Debug, Default)]
pub struct Boot {
    /// Host and kernel as the text names them.
    pub identity: Identity,
    /// Its reports by their first lines.
    pub events: Vec<Event>,
}

/// One record of a kernel's ring buffer.
#[derive(Clone, Copy, Debug, Default)]
pub struct Record<'a> {
    /// Sequence number.
    pub seq: u64,
    /// Nanoseconds since boot.
    pub ts_ns: u64,
    /// Level, 0 to 7.
    pub level: u8,
    /// Syslog facility; 0 is the kernel.
    pub facility: u8,
    /// Who printed it, if the ring says so.
    pub caller: Option<Caller>,
    /// The text, perhaps of several lines.
    pub text: &'a str,
}

/// Reads a text member. `member` names it in gaps and facts.
///
/// ```
/// let log = b"[    0.000000] Linux version 5.10.0 (x) #1\n\
///     [   99.000000] unregister_netdevice: waiting for lo to become free. Usage count = 3\n";
/// let reading = klog::read("dmesg", log);
/// assert_eq!(reading.boots.len(), 1);
/// assert_eq!(reading.boots[0].identity.kernel.as_deref(), Some("5.10.0"));
/// assert_eq!(reading.boots[0].events[1].family, "unregister_netdevice");
/// ```
pub fn read(member: &str, bytes: &[u8]) -> Reading {
    let mut builder = ReadingBuilder::new(member, Anchors::shared());
    builder.push(bytes, &mut |_| {});
    builder.finish(&mut |_| {})
}

/// Reads a text member that comes in pieces, with memory that grows only with its events.
///
/// ```
/// let mut builder = klog::ReadingBuilder::new("dmesg", Default::default());
/// for piece in ["unregister_netdevice: waiting for eth0 to ", "become free. Usage count = 1\n"] {
///     builder.push(piece.as_bytes(), &mut |_| {});
/// }
/// assert_eq!(builder.finish(&mut |_| {}).boots[0].events.len(), 1);
/// ```
pub struct ReadingBuilder<'a> {
    scanner: Scanner,
    collector: Collector<'a>,
}

impl<'a> ReadingBuilder<'a> {
    /// A member without text yet. Lines with one of the anchors' words are handed to the callers of
    /// [`push`](Self::push) and [`finish`](Self::finish).
    pub fn new(member: &'a str, anchors: Arc<Anchors>) -> Self {
        ReadingBuilder { scanner: Scanner::with_anchors(anchors), collector: Collector::new(member) }
    }

    /// Reads a piece of text; it may end anywhere.
    pub fn push(&mut self, bytes: &[u8], seen: &mut dyn FnMut(Seen)) {
        let collector = &mut self.collector;
        self.scanner.push(bytes, &mut |item| collector.sort(item, seen));
    }

    /// Ends the text.
    pub fn finish(self, seen: &mut dyn FnMut(Seen)) -> Reading {
        let mut collector = self.collector;
        self.scanner.finish(&mut |item| collector.sort(item, seen));
        collector.finish()
    }
}

/// Reads the records of a ring buffer. Line numbers of the events are positions in `records`, counted from 1.
pub fn read_records<'a>(member: &str, records: impl IntoIterator<Item = Record<'a>>) -> Reading {
    let mut collector = Collector::new(member);
    let mut scanner = Scanner::new();
    for (at, record) in records.into_iter().enumerate() {
        for body in record.text.split('\n') {
            let line = Line {
                number: at as u64 + 1,
                time: i64::try_from(record.ts_ns).ok().map(Stamp::since_boot),
                caller: record.caller,
                level: Some(record.level),
                facility: Some(record.facility),
                writer: if record.facility == 0 { Writer::Kernel } else { Writer::Program },
                body: body.trim_end(),
                ..Line::default()
            };
            scanner.line(&line, &mut |item| collector.item(item));
        }
    }
    scanner.finish(&mut |item| collector.item(item));
    collector.finish()
}

/// Boots of one member that are told apart.
const MAX_BOOTS: usize = 1000;
/// Kinds of gaps that are told apart.
const MAX_GAPS: usize = 1000;

struct Collector<'a> {
    member: &'a str,
    reading: Reading,
    kept: Kept,
    /// Boots beyond the limit.
    boots_dropped: u64,
    /// Gaps of the same kind by what they say without their numbers: place in the list, how many more, and the last one.
    gaps: BTreeMap<String, (usize, u64, String)>,
    /// Gaps beyond the limit.
    gaps_dropped: u64,
}

impl<'a> Collector<'a> {
    fn new(member: &'a str) -> Self {
        Collector {
            member,
            reading: Reading::default(),
            kept: Kept::default(),
            boots_dropped: 0,
            gaps: BTreeMap::new(),
            gaps_dropped: 0,
        }
    }

    fn sort(&mut self, item: Item, seen: &mut dyn FnMut(Seen)) {
        match item {
            Item::Seen(line) => seen(*line),
            item => self.item(item),
        }
    }

    fn item(&mut self, item: Item) {
        match item {
            Item::Boot(identity) if self.reading.boots.len() < MAX_BOOTS => {
                self.reading.boots.push(Boot { identity: *identity, events: Vec::new() });
            }
            Item::Boot(_) => self.boots_dropped += 1,
            Item::Event(event) => self.event(event),
            Item::Gap(gap) => self.gap(gap),
            Item::Seen(_) => {}
        }
    }

    fn event(&mut self, event: Box<Event>) {
        let at = self.boot(event.host.as_deref());
        self.kept.add(at, event);
    }

    /// A noisy console says thousands of times that messages were dropped: one gap for each kind.
    fn gap(&mut self, mut gap: Gap) {
        let kind: String = gap.why.chars().filter(|c| !c.is_ascii_digit()).collect();
        match self.gaps.get_mut(&kind) {
            Some((_, more, last)) => {
                *more += 1;
                *last = gap.place;
            }
            None if self.reading.gaps.len() >= MAX_GAPS => self.gaps_dropped += 1,
            None => {
                self.gaps.insert(kind, (self.reading.gaps.len(), 0, String::new()));
                gap.place = format!("{} {}", self.member, gap.place);
                self.reading.gaps.push(gap);
            }
        }
    }

    /// The boot that an event of that host belongs to: the last one of that host.
    fn boot(&mut self, host: Option<&str>) -> usize {
        let boots = &mut self.reading.boots;
        let at = boots.iter().rposition(|b| !hosts_differ(b.identity.host.as_deref(), host)).unwrap_or_else(|| {
            if boots.len() < MAX_BOOTS || boots.is_empty() {
                boots.push(Boot::default());
            }
            boots.len() - 1
        });
        if let Some(boot) = boots.get_mut(at).filter(|b| b.identity.host.is_none()) {
            boot.identity.host = host.map(str::to_owned);
        }
        at
    }

    fn finish(mut self) -> Reading {
        for (at, more, last) in self.gaps.into_values() {
            if let Some(gap) = self.reading.gaps.get_mut(at).filter(|_| more > 0) {
                gap.place = format!("{}, and {more} more to {last}", gap.place);
            }
        }
        if self.boots_dropped > 0 {
            let why = format!("{} more boots than the {MAX_BOOTS} that are told apart", self.boots_dropped);
            self.reading.gaps.push(Gap::new("the rest of the boots", self.member, why, "a smaller piece of the log"));
        }
        if self.gaps_dropped > 0 {
            let why = format!("{} more than the {MAX_GAPS} kinds that are told apart", self.gaps_dropped);
            self.reading.gaps.push(Gap::new("the rest of the gaps", self.member, why, "a smaller piece of the log"));
        }
        self.reading.gaps.extend(self.kept.gaps(self.member));
        for (at, event) in self.kept.into_events() {
            if let Some(boot) = self.reading.boots.get_mut(at) {
                boot.events.push(*event);
            }
        }
        for boot in &mut self.reading.boots {
            boot.events.sort_by_key(|e| (e.first_line, e.last_line));
            for event in &boot.events {
                boot.identity.model = boot.identity.model.take().or_else(|| event.hardware.clone());
                boot.identity.kernel = boot.identity.kernel.take().or_else(|| event.release.clone());
            }
            if let Some(spread) = clock::join(&mut boot.events) {
                self.reading.gaps.push(Gap::new(
                    "one clock for all events",
                    self.member,
                    format!("wall clock and time since boot drift apart by {:.0} s in this boot: a clock that was set, suspend, or lines received late", spread as f64 / 1e9),
                    "the journal's _SOURCE_MONOTONIC_TIMESTAMP",
                ));
            }
        }
        self.reading
    }
}
