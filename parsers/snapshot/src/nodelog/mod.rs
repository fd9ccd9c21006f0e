//! Lines of a node's logs that are no kernel reports: how each boot ended, why there is no dump, what the container
//! runtime could not do.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, AhoCorasickKind};
use facts::{Fact, Origin};

use crate::stamp::Stamp;
use crate::text::{Searched, quote};

mod words;
use words::{CAPTURE_MEMORY, ENDINGS, HINDSIGHT, KDUMP, OUTSIDE, RUNTIME, TROUBLE, USER_SPACE};

/// Reads log lines in their order, whatever their prefixes, with flat memory.
///
/// ```
/// let mut log = snapshot::NodeLog::new("messages");
/// for line in ["kernel: Linux version 5.10.0", "kernel: reboot: Restarting system", "kernel: Linux version 5.10.0"] {
///     log.line(line);
/// }
/// let facts = log.finish();
/// assert_eq!(facts[0].text("how"), Some("requested"));
/// ```
pub struct NodeLog {
    member: String,
    lines: u64,
    boots: Vec<Boot>,
    events: BTreeMap<Key, Event>,
    last: String,
    /// The wall clock of the last entry, where the carrier gives it apart from the line.
    clock: Option<Stamp>,
    /// The whole log is the capture kernel's.
    capture: bool,
    nul_tail: bool,
}

/// The time that one boot of a log covers, on the wall clock of an unknown zone: `2026-11-26 03:00:00`, or
/// `11-26 03:00:00` where the log has no year.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// The first line of the boot, counted from 1.
    pub first_line: u64,
    /// When the kernel printed its banner, where the log has it.
    pub started: Option<String>,
    /// When the last line was written.
    pub ended: Option<String>,
}

/// One boot of the log, counted from 0; the first one may have begun before the log.
#[derive(Default)]
struct Boot {
    id: Option<String>,
    kernel: Option<String>,
    capture: bool,
    /// User space wrote to this log: it would have said that it ends.
    user_space: bool,
    first: u64,
    last: u64,
    last_text: String,
    /// When its banner was written.
    started: Option<Stamp>,
    /// When its last line was written.
    time: Option<Stamp>,
    ending: Option<Ending>,
    trouble: Option<Ending>,
    /// What the next boot said about the end of this one.
    hindsight: Option<Ending>,
}

struct Ending {
    how: &'static str,
    rank: u8,
    line: u64,
    text: String,
}

/// Kind of fact, what it says, a path or a machine, the boot.
type Key = (&'static str, &'static str, String, usize);

struct Event {
    time: Option<Stamp>,
    count: i64,
    line: u64,
    text: String,
}

const REBOOT_MARK: &str = "-- Reboot --";
const BOOT_MARK: &str = "-- Boot ";
const BANNER: &str = "Linux version ";
const CAPTURE: &str = "elfcorehdr=";
/// `Command line: `, `Kernel command line: `.
const COMMAND_LINE: &str = "ommand line: ";
const CGROUP_MKDIR: &str = "mkdir /sys/fs/cgroup/";
const KMEM_LIMIT: &str = "memory.kmem.limit_in_bytes";

/// Every word above in one pass: nearly all lines of a log have none of them.
static WORDS: LazyLock<AhoCorasick> = LazyLock::new(|| {
    let search = AhoCorasick::builder().kind(Some(AhoCorasickKind::DFA)).build(NodeLog::words());
    search.expect("the words are few and constant")
});

impl NodeLog {
    /// An empty log; `member` is what the facts name as their origin.
    pub fn new(member: impl Into<String>) -> Self {
        NodeLog {
            member: member.into(),
            lines: 0,
            boots: vec![Boot { first: 1, ..Boot::default() }],
            events: BTreeMap::new(),
            last: String::new(),
            clock: None,
            capture: false,
            nul_tail: false,
        }
    }

    /// The words of which each telling line has one. A reader that searches for them itself hands such lines to
    /// [`NodeLog::telling`] and nothing else.
    pub fn words() -> impl Iterator<Item = &'static str> {
        const SINGLE: [&str; 7] = [REBOOT_MARK, BOOT_MARK, BANNER, CAPTURE, COMMAND_LINE, CGROUP_MKDIR, KMEM_LIMIT];
        (SINGLE.iter().chain(TROUBLE).chain(USER_SPACE).chain(CAPTURE_MEMORY).copied())
            .chain(OUTSIDE.iter().map(|(words, _)| *words))
            .chain(ENDINGS.iter().chain(HINDSIGHT).map(|(words, _, _)| *words))
            .chain(KDUMP.iter().chain(RUNTIME).map(|(words, _)| *words))
    }

    /// An empty log of the kernel that takes dumps: what it lacked explains a missing dump, and how it ended tells
    /// nothing about the node.
    pub fn of_capture_kernel(member: impl Into<String>) -> Self {
        NodeLog { capture: true, ..NodeLog::new(member) }
    }

    /// The wall clock of the next line, in seconds since 1970, where the line itself does not tell.
    pub fn clock(&mut self, seconds: u64) {
        self.clock = Stamp::of_unix(seconds);
    }

    /// Reads the next line.
    pub fn line(&mut self, raw: &str) {
        let number = self.lines + 1;
        if WORDS.is_match(raw) {
            let previous = std::mem::take(&mut self.last);
            self.telling(number, raw, &previous);
        } else if raw.trim_end().is_empty() {
            self.lines = number;
        } else {
            self.end(number, raw);
        }
    }

    /// Reads a line with one of the [`words`](NodeLog::words) in it; `previous` is the last line before it that is not
    /// empty. Lines between two calls need not be shown.
    pub fn telling(&mut self, number: u64, raw: &str, previous: &str) {
        if number > self.lines + 1
            && let Some(boot) = self.boots.last_mut()
        {
            boot.last = number - 1;
        }
        self.keep(previous);
        self.lines = number;
        self.nul_tail = false;
        let line = raw.trim_end();
        self.read(line);
        self.keep(line);
    }

    /// Takes note of the last line of the text that is not empty.
    pub fn end(&mut self, number: u64, raw: &str) {
        self.lines = number;
        let line = raw.trim_end_matches(['\r', '\n', ' ', '\t']);
        self.nul_tail = line.bytes().rev().take_while(|b| *b == 0).count() >= 16;
        if let Some(boot) = self.boots.last_mut() {
            boot.last = number;
        }
        self.keep(line);
    }

    fn keep(&mut self, line: &str) {
        let end = (0..=line.len().min(200)).rev().find(|end| line.is_char_boundary(*end)).unwrap_or(0);
        self.last.clear();
        self.last.push_str(line.get(..end).unwrap_or_default());
    }

    fn read(&mut self, line: &str) {
        let all = Searched::new(line);
        self.boundary(line);
        let Some(boot) = self.boots.last_mut() else { return };
        boot.last = self.lines;
        if all.has(CAPTURE) && all.has("ommand line") {
            boot.capture = true;
        }
        if let Some(found) = hit(&all, ENDINGS, self.lines) {
            replace(&mut boot.ending, found);
        }
        if TROUBLE.iter().any(|t| all.has(t)) {
            boot.trouble = Some(Ending { how: "hung", rank: 1, line: self.lines, text: quote(line) });
        }
        boot.user_space |= USER_SPACE.iter().any(|words| all.has(words));
        let previous = self.boots.len().checked_sub(2);
        if let Some(mut found) = hit(&all, HINDSIGHT, self.lines)
            && let Some(boot) = previous.and_then(|i| self.boots.get_mut(i))
        {
            if found.how.is_empty() {
                found.how = reset_reason(line);
            }
            replace(&mut boot.hindsight, found);
        }
        self.event(&all);
    }

    /// Keeps what stood last in the boot that ends here.
    fn close_boot(&mut self) {
        if let Some(boot) = self.boots.last_mut() {
            boot.last_text.clone_from(&self.last);
            boot.time = Stamp::of_line(&self.last).or(self.clock);
        }
    }

    /// Cuts boots at the banner and at journalctl's marks.
    fn boundary(&mut self, line: &str) {
        let mut start = false;
        let mut id = None;
        let mut kernel = None;
        if line == REBOOT_MARK {
            start = self.lines > 1;
        } else if let Some(hex) = line.strip_prefix(BOOT_MARK).and_then(|l| l.strip_suffix(" --")) {
            start = self.lines > 1;
            id = Some(hex.to_owned()).filter(|h| h.len() == 32);
        } else if let Some(at) = line.find(BANNER).filter(|at| kernel_body(line, *at)) {
            kernel = line.get(at + BANNER.len()..).and_then(|l| l.split_ascii_whitespace().next()).map(str::to_owned);
            // A mark and the banner a few lines below it are the same boot.
            let fresh = self
                .boots
                .last()
                .is_some_and(|b| b.kernel.is_none() && b.last.saturating_sub(b.first) < 8 && self.boots.len() > 1);
            start = !fresh && (self.lines > 1 || self.boots.is_empty());
        }
        if start {
            const MOST: usize = 4096;
            self.close_boot();
            if self.boots.len() < MOST {
                self.boots.push(Boot { first: self.lines, ..Boot::default() });
            }
        }
        let clock = self.clock;
        if let Some(boot) = self.boots.last_mut() {
            if kernel.is_some() {
                boot.started = boot.started.or_else(|| Stamp::of_line(line).or(clock));
            }
            boot.id = boot.id.take().or(id);
            boot.kernel = boot.kernel.take().or(kernel);
        }
    }

    fn event(&mut self, all: &Searched<'_>) {
        let line = all.line;
        let boot = self.boots.len() - 1;
        let in_capture = self.capture || self.boots.last().is_some_and(|b| b.capture);
        let Some(key) = kdump(all, in_capture)
            .map(|what| ("node.kdump", what, String::new(), boot))
            .or_else(|| outside(all).map(|(how, target)| ("node.reset_by_others", how, target, 0)))
            .or_else(|| runtime(all).map(|(what, path)| ("node.runtime_error", what, path, 0)))
        else {
            return;
        };
        if self.events.len() >= 1000 && !self.events.contains_key(&key) {
            return;
        }
        let (line_number, time) = (self.lines, Stamp::of_line(line).or(self.clock));
        let event =
            self.events.entry(key).or_insert_with(|| Event { time, count: 0, line: line_number, text: quote(line) });
        event.count += 1;
        // The newest fencing is the one that matters.
        event.time = time.or(event.time);
    }

    /// When each boot of the log began and when its last line was written.
    pub fn spans(&self) -> Vec<Span> {
        let text = |stamp: Option<Stamp>| stamp.map(|stamp| stamp.to_string());
        let open = self.boots.len().saturating_sub(1);
        let span = |(index, boot): (usize, &Boot)| {
            let last = if index == open { Stamp::of_line(&self.last).or(self.clock) } else { boot.time };
            Span { first_line: boot.first, started: text(boot.started), ended: text(last) }
        };
        self.boots.iter().enumerate().map(span).collect()
    }

    /// The facts: `node.boot_end` for each boot whose end the log shows, `node.kdump`, `node.reset_by_others`,
    /// `node.runtime_error`.
    pub fn finish(mut self) -> Vec<Fact> {
        let mut facts = Vec::new();
        self.close_boot();
        if !self.capture {
            facts.extend((0..self.boots.len()).filter_map(|index| self.boot_fact(index)));
        }
        for ((kind, what, object, boot), event) in &self.events {
            let mut fact = Fact::new(*kind, Origin::lines(self.member.as_str(), event.line, event.line))
                .with(if *kind == "node.reset_by_others" { "how" } else { "what" }, *what)
                .with("count", event.count)
                .with("text", event.text.as_str())
                .quoting(event.text.as_str());
            if *kind != "node.runtime_error" {
                fact = fact.with_opt("time", event.time.map(|t| t.to_string()));
            }
            match *kind {
                "node.kdump" => {
                    fact.set("boot", *boot);
                    fact.set("capture_kernel", self.capture || self.boots.get(*boot).is_some_and(|b| b.capture));
                }
                "node.reset_by_others" => {
                    fact.set("source", if *what == "fenced" { "cluster" } else { "hypervisor" });
                    if !object.is_empty() {
                        fact.set("target", object.as_str());
                    }
                }
                _ if !object.is_empty() => fact.set("path", object.as_str()),
                _ => {}
            }
            facts.push(fact);
        }
        facts
    }

    fn boot_fact(&self, index: usize) -> Option<Fact> {
        let boot = self.boots.get(index)?;
        let next = self.boots.get(index + 1);
        // The capture kernel is a boot of its own in the log, and proof of how the one before it ended.
        let captured = next.is_some_and(|n| n.capture).then(|| Ending {
            how: "panic",
            rank: 8,
            line: next.map_or(0, |n| n.first),
            text: "the capture kernel started".to_owned(),
        });
        // The log of one unit or one user stops long before the machine does: only where the kernel's banner is, what
        // is missing tells anything.
        // A few lines before the first banner are those of a logger that started before it read the kernel's log.
        let preamble = index == 0 && boot.kernel.is_none() && boot.last.saturating_sub(boot.first) < PREAMBLE;
        let whole = boot.kernel.is_some() || !preamble && next.is_some_and(|n| n.kernel.is_some());
        let silent = || Ending { how: "silent-reset", rank: 0, line: boot.last, text: boot.last_text.clone() };
        let trouble = boot.trouble.as_ref().filter(|t| boot.last.saturating_sub(t.line) < 400);
        let own = [boot.ending.as_ref(), captured.as_ref()].into_iter().flatten().max_by_key(|e| e.rank);
        let silent_ending;
        let ending = match (own, &boot.hindsight, trouble) {
            (Some(own), Some(hind), _) if hind.how == "hardware" && own.rank < 6 => hind,
            (Some(own), _, _) => own,
            (None, Some(hind), _) if hind.how != "silent-reset" => hind,
            (None, _, Some(trouble)) if whole && next.is_some() => trouble,
            (None, Some(hind), _) if whole => hind,
            (None, None, _) if whole && (next.is_some() || self.nul_tail) => {
                silent_ending = silent();
                &silent_ending
            }
            _ => return None,
        };
        // A cut log does not tell a clean end from an unclean one: without own text the end is only inferred.
        let sure = ending.rank >= 3;
        Some(
            Fact::new("node.boot_end", Origin::lines(self.member.as_str(), ending.line, ending.line))
                .with("boot", index)
                .with_opt("boot_id", boot.id.as_deref())
                .with_opt("kernel", boot.kernel.as_deref())
                .with("how", ending.how)
                .with("sure", sure)
                .with("user_space", boot.user_space)
                .with("capture_kernel", boot.capture)
                .with("source", "log")
                .with_opt("time", boot.time.map(|t| t.to_string()))
                .with("evidence", ending.text.as_str())
                .with("last_line", quote(&boot.last_text))
                .quoting(ending.text.as_str()),
        )
    }
}

/// Fewer lines than this before the first banner of a log are no boot whose end could be told from what is missing.
const PREAMBLE: u64 = 20;

/// Whether the text at `at` begins the body of a kernel line: nothing but prefixes stands before it.
fn kernel_body(line: &str, at: usize) -> bool {
    let head = line.get(..at).unwrap_or_default().trim_end();
    head.is_empty() || head.ends_with(']') || head.ends_with("kernel:") || head.ends_with('>') || head.ends_with(" -")
}

fn hit(all: &Searched<'_>, table: &[(&'static str, &'static str, u8)], number: u64) -> Option<Ending> {
    let (_, how, rank) = table.iter().filter(|(words, _, _)| all.has(words)).max_by_key(|(_, _, rank)| *rank)?;
    (*rank > 0).then(|| Ending { how, rank: *rank, line: number, text: quote(all.line) })
}

fn replace(slot: &mut Option<Ending>, found: Ending) {
    if slot.as_ref().is_none_or(|e| e.rank <= found.rank) {
        *slot = Some(found);
    }
}

/// `x86/amd: Previous system reset reason [0x...]: hardware watchdog timer expired`
fn reset_reason(line: &str) -> &'static str {
    let line = line.to_ascii_lowercase();
    if line.contains("watchdog") {
        "watchdog"
    } else if line.contains("thermal") {
        "thermal"
    } else if line.contains("power") {
        "power"
    } else if line.contains("software") {
        "requested"
    } else {
        "silent-reset"
    }
}

/// What a line says about crash dumps. Some of the words are common: they count only in lines that speak of dumps.
fn kdump(all: &Searched<'_>, in_capture: bool) -> Option<&'static str> {
    if in_capture && CAPTURE_MEMORY.iter().any(|words| all.has(words)) {
        return Some("capture-oom");
    }
    if let Some((_, parameters)) = all.line.split_once(COMMAND_LINE) {
        // A boot that asks for no memory gets none; firmware-assisted dumps need another word.
        let asks = ["crashkernel=", CAPTURE, "fadump="].iter().any(|word| parameters.contains(word));
        let whole = parameters.contains("root=") || parameters.contains("BOOT_IMAGE=");
        return (!asks && whole && !in_capture).then_some("not-reserved");
    }
    let (_, what) = KDUMP.iter().find(|(words, _)| {
        let common = matches!(
            *words,
            "is not mounted"
                | "Failed to mount rootfs"
                | "Cannot reserve"
                | "resulted in zero bytes"
                | "please try smaller size"
                | "No space left on device"
        );
        all.has(words)
            && (!common
                || in_capture
                || ["dump", "crashkernel", "crash kernel", "vmcore"].iter().any(|word| all.has(word)))
    })?;
    Some(*what)
}

/// How another machine reset this one or a third, and its name.
fn outside(all: &Searched<'_>) -> Option<(&'static str, String)> {
    let (words, how) = OUTSIDE.iter().find(|(words, _)| all.has(words))?;
    let line = all.line;
    let rest = line.get(line.find(words)? + words.len()..)?;
    let name = |text: &str| {
        let name: String = text
            .trim_start()
            .chars()
            .take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_'))
            .collect();
        name.trim_end_matches('.').to_owned()
    };
    match *how {
        // `Operation 'reboot' [12] targeting node2 using fence_ipmi for client@node1: OK`
        "fenced" if words.starts_with("Operation") => {
            let done = rest.contains("OK") || rest.contains("complete");
            let target = rest.split_once("targeting ").map_or(rest, |(_, target)| target);
            let target = target.split_once(" of ").filter(|_| words.contains('\'')).map_or(target, |(_, t)| t);
            done.then(|| (*how, name(target)))
        }
        // `fenced: fence node2 success`
        "fenced" if words.starts_with("fenced:") => rest.contains("success").then(|| (*how, name(rest))),
        "fenced" => Some((*how, name(rest))),
        _ => Some((*how, String::new())),
    }
}

/// What a container runtime or kubelet could not do.
fn runtime(all: &Searched<'_>) -> Option<(&'static str, String)> {
    let line = all.line;
    let lower = |words: &str| line.to_ascii_lowercase().contains(words);
    if let Some(at) = line.find(CGROUP_MKDIR) {
        let path = line.get(at + 6..)?.split([':', ' ', '"', '\\']).next()?.to_owned();
        let controller = path.strip_prefix("/sys/fs/cgroup/").and_then(|p| p.split('/').next()).unwrap_or_default();
        if lower("no space left on device") {
            let what = if controller == "memory" || !path.contains("cpuset") {
                "cgroup-mkdir-enospc"
            } else {
                "cpuset-mkdir-enospc"
            };
            return Some((what, first_levels(&path)));
        }
        if lower("cannot allocate memory") {
            return Some(("cgroup-mkdir-enomem", first_levels(&path)));
        }
    }
    if all.has(KMEM_LIMIT) && lower("operation not supported") {
        return Some(("kmem-limit-not-supported", String::new()));
    }
    RUNTIME.iter().find(|(words, _)| all.has(words)).map(|(_, what)| (*what, String::new()))
}

/// The path down to the QoS class: pods differ in each line.
fn first_levels(path: &str) -> String {
    path.split('/').take(7).filter(|p| !p.starts_with("pod")).collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(lines: &[&str]) -> Vec<(String, String, bool)> {
        let mut log = NodeLog::new("log");
        for line in lines {
            log.line(line);
        }
        log.finish()
            .iter()
            .filter(|f| f.kind == "node.boot_end")
            .map(|f| {
                let sure = f.get("sure").and_then(facts::Value::as_bool).unwrap();
                (f.int("boot").unwrap().to_string(), f.text("how").unwrap().to_owned(), sure)
            })
            .collect()
    }

    #[test]
    fn endings_are_told_apart() {
        let banner = "[    0.000000] Linux version 5.10.0-18-amd64 (x) #1";
        let is = |how: &str, sure| vec![("0".to_owned(), how.to_owned(), sure)];
        assert_eq!(ends(&[banner, "[ 9.0] reboot: Restarting system", banner]), is("requested", true));
        assert_eq!(ends(&[banner, "[ 9.0] Kernel panic - not syncing: Fatal exception"]), is("panic", true));
        assert_eq!(ends(&[banner, "[ 9.0] eth0: link up", banner]), is("silent-reset", false));
        assert_eq!(ends(&[banner, "[ 9.0] eth0: link up"]), []);
        assert_eq!(ends(&["Nov 26 03:00:00 n kernel: imklog 5.8.10, log source = /proc/kmsg started.", banner]), []);
        assert_eq!(
            ends(&[banner, "[ 9.0] INFO: task x:1 blocked for more than 120 seconds.", banner]),
            is("hung", false)
        );
        for (last, how) in [
            ("Jul  5 01:50:02 n sbd[1234]: emerg: do_exit: Rebooting system: reboot", "fenced"),
            ("[ 9.0] *** ocfs2 is very sorry to be fencing this system by restarting ***", "fenced"),
            (
                "Jul  5 01:50:02 n watchdog[608]: shutting down the system because of error 253 = 'load average too high'",
                "watchdog",
            ),
        ] {
            assert_eq!(ends(&[banner, last, "[ 9.5] reboot: Restarting system", banner]), is(how, true), "{last}");
        }
        // Words of an ordinary tool.
        let update = "Jul  5 01:50:02 n updater[7]: Rebooting system: new image";
        assert_eq!(ends(&[banner, update, "[ 9.5] reboot: Restarting system", banner]), is("requested", true));
        let capture = "[    0.000000] Command line: BOOT_IMAGE=x elfcorehdr=0x1000";
        assert_eq!(ends(&[banner, "[ 9.0] x", banner, capture]), is("panic", true));
        assert_eq!(
            ends(&[banner, "x", banner, "[ 0.1] BERT: Error records from previous boot:"]),
            is("hardware", true)
        );
        let reason = "[ 0.1] x86/amd: Previous system reset reason [0x00080800]: hardware watchdog timer expired";
        assert_eq!(ends(&[banner, "x", banner, reason]), is("watchdog", true));
        assert_eq!(
            ends(&["Nov 1 n systemd[1]: Shutting down.", "-- Boot 0123456789abcdef0123456789abcdef --", banner]),
            is("requested", true)
        );
    }

    #[test]
    fn shown_only_the_telling_lines_it_says_the_same() {
        let lines = [
            "[    0.000000] Linux version 5.10.0-18-amd64 (x) #1",
            "[    8.000000] eth0: link up",
            "[    9.000000] eth1: link up",
            "[    0.000000] Linux version 5.10.0-19-amd64 (x) #1",
            "[    1.000000] saving vmcore complete",
            "[    2.000000] the end",
        ];
        let (mut all, mut telling) = (NodeLog::new("log"), NodeLog::new("log"));
        for (at, line) in lines.iter().enumerate() {
            all.line(line);
            if NodeLog::words().any(|word| line.contains(word)) {
                telling.telling(at as u64 + 1, line, at.checked_sub(1).map_or("", |at| lines[at]));
            }
        }
        telling.end(6, lines[5]);
        assert_eq!(all.finish(), telling.finish());
    }

    #[test]
    fn runtime_errors_are_counted_by_kind() {
        let mut log = NodeLog::new("log");
        for pod in ["a", "b"] {
            log.line(&format!(
                "kubelet[1]: mkdir /sys/fs/cgroup/memory/kubepods/burstable/pod{pod}/c: no space left on device"
            ));
        }
        let facts = log.finish();
        assert_eq!(facts.len(), 1);
        assert_eq!(facts[0].text("what"), Some("cgroup-mkdir-enospc"));
        assert_eq!(facts[0].text("path"), Some("/sys/fs/cgroup/memory/kubepods/burstable"));
        assert_eq!(facts[0].int("count"), Some(2));
    }
}
