//! Whole members at once.

use facts::{Gap, Identity, Stamp};

use crate::event::Event;
use crate::line::Writer;
use crate::scanner::{Item, Scanner};
use crate::{Caller, Line};

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
    let mut collector = Collector::new(member);
    let mut scanner = Scanner::new();
    scanner.push(bytes, &mut |item| collector.item(item));
    scanner.finish(&mut |item| collector.item(item));
    collector.finish()
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

struct Collector<'a> {
    member: &'a str,
    reading: Reading,
}

impl<'a> Collector<'a> {
    fn new(member: &'a str) -> Self {
        Collector { member, reading: Reading::default() }
    }

    fn item(&mut self, item: Item) {
        match item {
            Item::Boot(identity) => self.reading.boots.push(Boot { identity: *identity, events: Vec::new() }),
            Item::Event(event) => self.boot().events.push(*event),
            Item::Gap(mut gap) => {
                gap.place = format!("{} {}", self.member, gap.place);
                self.reading.gaps.push(gap);
            }
        }
    }

    fn boot(&mut self) -> &mut Boot {
        if self.reading.boots.is_empty() {
            self.reading.boots.push(Boot::default());
        }
        let last = self.reading.boots.len() - 1;
        &mut self.reading.boots[last]
    }

    fn finish(mut self) -> Reading {
        for boot in &mut self.reading.boots {
            boot.events.sort_by_key(|e| (e.first_line, e.last_line));
            for event in &boot.events {
                boot.identity.model = boot.identity.model.take().or_else(|| event.hardware.clone());
                boot.identity.kernel = boot.identity.kernel.take().or_else(|| event.release.clone());
            }
        }
        self.reading
    }
}
