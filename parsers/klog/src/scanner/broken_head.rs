//! A head that a mail program or a terminal broke: the line opens no report, with the next one behind it does.

use facts::Stamp;

use super::State;
use crate::cursor::split;
use crate::line::Writer;
use crate::{Caller, Item, Line};

/// Shorter lines end by themselves.
const MIN_LENGTH: usize = 16;
/// Longer ones were not broken.
const MAX_LENGTH: usize = 100;
/// Lines of this length may have been broken inside a word.
const FULL: usize = 72;

/// The line, as far as it is needed again.
pub(super) struct BrokenHead {
    number: u64,
    time: Option<Stamp>,
    caller: Option<Caller>,
    level: Option<u8>,
    host: Option<String>,
    body: String,
}

impl BrokenHead {
    /// Keeps a line of the kernel with an anchor that opens no report, or one that ends inside an anchor (`cut`).
    pub(super) fn of(line: &Line<'_>, cut: bool) -> Option<BrokenHead> {
        let length = line.body.len();
        let likely = line.writer == Writer::Kernel && length <= MAX_LENGTH && (cut || length >= MIN_LENGTH);
        likely.then(|| BrokenHead {
            number: line.number,
            time: line.time,
            caller: line.caller,
            level: line.level,
            host: line.host.map(str::to_owned),
            body: line.body.to_owned(),
        })
    }
}

/// Heads that a console may print behind another line that was not ended.
const GLUED: &[&str] = &[
    "BUG: unable to handle ",
    "BUG: kernel NULL pointer dereference",
    "BUG: soft lockup - CPU#",
    "Unable to handle kernel ",
    "kernel BUG at ",
    "Internal error: Oops",
    "general protection fault: ",
    "Kernel panic - not syncing: ",
    "INFO: rcu_",
];

/// Where a head begins that stands directly behind other text, without a blank between: what a person wrote has one.
pub(super) fn glued(text: &str) -> Option<usize> {
    GLUED.iter().find_map(|head| {
        let (before, _) = split(text, head)?;
        let at = before.len();
        // MIPS: `CPU 2 Unable to handle kernel paging request`
        let number = before.trim_end_matches(' ').trim_end_matches(|c: char| c.is_ascii_digit());
        let start = number.strip_suffix("CPU ").map_or(at, str::len);
        let last = text.get(..start)?.chars().next_back()?;
        (last.is_ascii_lowercase() || last.is_ascii_digit() || matches!(last, ')' | ']' | '%')).then_some(start)
    })
}

impl State {
    /// Puts the line behind the one that was kept, if it has no prefix of its own; is it the rest of a head?
    pub(super) fn mended(&mut self, line: &Line<'_>, sink: &mut dyn FnMut(Item)) -> bool {
        let Some(head) = self.broken.take() else { return false };
        let follows = line.number == head.number + 1 && line.writer == Writer::Unknown && line.time.is_none();
        if !follows || line.body.is_empty() || line.body.starts_with([' ', '\t']) || line.body.len() > MAX_LENGTH {
            return false;
        }
        let blanks: &[&str] = if head.body.len() >= FULL { &[" ", ""] } else { &[" "] };
        blanks.iter().any(|blank| {
            let body = format!("{}{blank}{}", head.body, line.body);
            let hits = self.anchors.hits(body.as_bytes());
            let whole = Line {
                number: head.number,
                time: head.time,
                caller: head.caller,
                level: head.level,
                host: head.host.as_deref(),
                writer: Writer::Kernel,
                body: &body,
                ..Line::default()
            };
            hits > 1 && self.try_open(&whole, hits & !crate::family::HEADLESS, None, sink)
        })
    }
}
