//! What a log says twice: printed again from its start, replayed, sent to two consoles, broadcast by syslogd.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::{Line, carrier};

/// Reports of which stamp and text are kept, to know them again when a log is printed a second time.
const MAX_KNOWN: usize = 4096;
/// A stamp so much older than the newest one means that the log is printed again.
const REPLAY_NS: i64 = 1_000_000_000;

/// The reports of this boot, as far as they must be known again.
#[derive(Default)]
pub(super) struct Repeats {
    /// Stamp and text of the last line with an anchor, while a report is open.
    head: u64,
    /// Newest stamp of a report in this boot.
    newest_ns: i64,
    /// Stamps and texts of the reports of this boot.
    known: HashSet<u64>,
    /// Texts of the lines with an anchor, but for those that syslogd broadcast.
    said: HashSet<u64>,
    /// The log of this boot is printed again.
    again: bool,
    /// `replaying previous printk message` stands before this line: it may be a copy.
    pub(super) replaying: bool,
}

impl Repeats {
    /// Another boot begins.
    pub(super) fn forget(&mut self) {
        self.newest_ns = 0;
        self.again = false;
        self.known.clear();
        self.said.clear();
    }

    /// The line begins a report.
    pub(super) fn begin(&mut self, line: &Line<'_>) {
        self.head = key(line).unwrap_or(0);
    }

    /// Two consoles on one line print each header twice: is it the last one again?
    pub(super) fn is_last_again(&mut self, line: &Line<'_>) -> bool {
        key(line).is_some_and(|key| std::mem::replace(&mut self.head, key) == key)
    }

    /// Does syslogd repeat here, for everybody who is logged in, what the log has said?
    pub(super) fn is_echo(&mut self, line: &Line<'_>) -> bool {
        let mut hasher = DefaultHasher::new();
        line.text().hash(&mut hasher);
        let text = hasher.finish();
        if carrier::is_broadcast(line) {
            return self.said.contains(&text);
        }
        if self.said.len() < MAX_KNOWN {
            self.said.insert(text);
        }
        false
    }

    /// Is this the second print of a report that was read already?
    pub(super) fn is_copy(&mut self, line: &Line<'_>) -> bool {
        let replaying = std::mem::take(&mut self.replaying);
        let Some(ns) = line.time.and_then(|t| t.since_boot_ns) else { return false };
        let Some(key) = key(line) else { return false };
        self.again |= ns < self.newest_ns.saturating_sub(REPLAY_NS);
        let old = replaying || self.again && ns <= self.newest_ns;
        self.newest_ns = self.newest_ns.max(ns);
        if old && self.known.contains(&key) {
            return true;
        }
        if self.known.len() < MAX_KNOWN {
            self.known.insert(key);
        }
        false
    }
}

/// Stamp, text and host of a line as one number.
fn key(line: &Line<'_>) -> Option<u64> {
    let ns = line.time?.since_boot_ns?;
    let mut hasher = DefaultHasher::new();
    (ns, line.text(), line.host).hash(&mut hasher);
    Some(hasher.finish())
}
