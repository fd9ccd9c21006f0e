//! Carriers: the ways in which a kernel line travels, and how to free it from their prefixes.
//!
//! Prefixes are taken off from the outside in, line by line: support texts mix carriers freely. Each carrier is
//! one file with one function, which either recognises the start of a text and says what it learnt, or declines.

mod broadcast;
mod calendar;
mod container;
mod dmesg;
mod escape;
mod journal;
mod json;
mod kmsg;
mod paste;
mod printk;
mod syslog;
mod wide;

pub(crate) use wide::Wide;

use std::borrow::Cow;

use facts::Stamp;

use crate::{Line, line::Writer};

/// Lines are read up to this many bytes; a printk record is at most 1024.
pub(crate) const MAX_LINE: usize = 16 << 10;

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
    fn into_line(self, number: u64) -> Line<'a> {
        Line {
            number,
            time: self.time,
            caller: self.caller,
            level: self.level,
            facility: self.facility,
            host: self.host,
            tag: self.tag,
            writer: self.writer,
            body: self.rest.trim_end_matches([' ', '\t', '\r', '\n', '\0']),
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

type Strip = for<'a> fn(&'a str) -> Option<Prefix<'a>>;

/// Collectors' prefixes, which may stand before the kernel's own one. The first that recognises the text is taken.
const COLLECTORS: &[Strip] =
    &[syslog::strip, journal::strip, dmesg::strip, broadcast::strip, kmsg::strip, container::strip];

/// Calls `each` for every kernel line that stands in the physical line `raw` (several, where newlines were lost).
pub(crate) fn lines(raw: &[u8], number: u64, each: &mut dyn FnMut(&Line<'_>)) {
    let raw = &raw[..raw.len().min(MAX_LINE)];
    let lossy = match std::str::from_utf8(raw) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => String::from_utf8_lossy(raw),
    };
    let clean = escape::clean(&lossy);
    if let Some(message) = json::message(&clean) {
        let message = escape::clean(&message);
        for piece in message.split('\n') {
            pieces(piece, number, each);
        }
        return;
    }
    for piece in clean.split('\r') {
        if piece.is_empty() && clean.len() > piece.len() {
            continue;
        }
        pieces(piece, number, each);
    }
}

fn pieces(text: &str, number: u64, each: &mut dyn FnMut(&Line<'_>)) {
    let mut prefix = strip(text);
    loop {
        // A second kernel stamp inside the text: the newline before it was lost.
        let next = (prefix.writer == Writer::Kernel).then(|| printk::inside(prefix.rest)).flatten();
        match next {
            Some(at) => {
                let rest = prefix.rest;
                let mut first = prefix;
                first.rest = &rest[..at];
                if !first.rest.trim().is_empty() {
                    each(&first.into_line(number));
                }
                prefix = strip(&rest[at..]);
            }
            None => break each(&prefix.into_line(number)),
        }
    }
}

/// Takes all prefixes off `text`.
fn strip(text: &str) -> Prefix<'_> {
    if let Some(prefix) = printk::strip(text) {
        // `journalctl -o short-monotonic` looks like printk with a host behind the stamp.
        return match journal::monotonic(prefix.rest) {
            Some(inner) => prefix.with_inner(inner),
            None => prefix,
        };
    }
    let unquoted = paste::unquote(text);
    for collector in COLLECTORS {
        if let Some(outer) = collector(unquoted) {
            return match inner(outer.rest) {
                Some(inner) if outer.writer != Writer::Program => outer.with_inner(inner),
                _ => outer,
            };
        }
    }
    if unquoted.len() < text.len() {
        return inner(unquoted).unwrap_or(Prefix { rest: unquoted, ..Prefix::default() });
    }
    // A stamp in the middle: a console prompt, an unknown collector, a lost newline.
    match printk::inside(text) {
        Some(at) => printk::strip(&text[at..]).unwrap_or(Prefix { rest: text, ..Prefix::default() }),
        None => Prefix { rest: text, ..Prefix::default() },
    }
}

/// The kernel's own prefix inside a collector's one.
fn inner(text: &str) -> Option<Prefix<'_>> {
    let text = text.strip_prefix(' ').filter(|t| t.starts_with(['[', '<'])).unwrap_or(text);
    printk::strip(text).or_else(|| {
        let inner = dmesg::strip(text)?;
        Some(inner)
    })
}
