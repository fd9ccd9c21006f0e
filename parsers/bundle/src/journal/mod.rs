//! systemd journals: the binary file, the export format, and JSON.
//!
//! ```no_run
//! # let bytes = Vec::new();
//! let gaps = bundle::journal::read(&bytes, &mut |entry| {
//!     if entry.is_kernel() {
//!         println!("{}", entry.kernel_line());
//!     }
//!     bundle::Flow::Continue
//! });
//! # drop(gaps);
//! ```

mod export;
mod file;
mod json;

use std::borrow::Cow;

use facts::Gap;

use crate::Flow;

/// The forms a journal comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// The file that journald writes.
    File,
    /// `journalctl -o export`.
    Export,
    /// `journalctl -o json`, one object a line; also `json-seq` and `json-sse`.
    Json,
}

/// One journal entry, with the fields that matter for kernel trouble.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// Wall clock of its receipt, microseconds since 1970.
    pub realtime_us: Option<u64>,
    /// Clock since boot of its receipt, microseconds.
    pub monotonic_us: Option<u64>,
    /// 32 hex digits.
    pub boot_id: Option<String>,
    /// The kernel's own time stamp in microseconds since boot: when the line was printed.
    pub source_monotonic_us: Option<u64>,
    /// `MESSAGE`, bytes that are no UTF-8 replaced.
    pub message: String,
    /// `SYSLOG_IDENTIFIER`.
    pub identifier: Option<String>,
    /// `_TRANSPORT`: `kernel`, `journal`, `stdout`, `audit`, ...
    pub transport: Option<String>,
    /// `PRIORITY`, 0 to 7.
    pub priority: Option<u8>,
    /// `_HOSTNAME`.
    pub host: Option<String>,
    /// `_MACHINE_ID`.
    pub machine_id: Option<String>,
    /// `_PID`, or `SYSLOG_PID`.
    pub pid: Option<u64>,
}

/// Names of the fields that [`Entry`] keeps.
const WANTED: &[&str] = &[
    "MESSAGE",
    "SYSLOG_IDENTIFIER",
    "_TRANSPORT",
    "PRIORITY",
    "_HOSTNAME",
    "_MACHINE_ID",
    "_PID",
    "SYSLOG_PID",
    "_BOOT_ID",
    "_SOURCE_MONOTONIC_TIMESTAMP",
    "_COMM",
    "__REALTIME_TIMESTAMP",
    "__MONOTONIC_TIMESTAMP",
];

impl Entry {
    /// Whether the kernel printed it.
    pub fn is_kernel(&self) -> bool {
        self.transport.as_deref() == Some("kernel")
    }

    /// The lines as `dmesg` prints them: `[   12.345678] text`, each line of a message with the stamp.
    pub fn kernel_line(&self) -> String {
        let us = self.source_monotonic_us.or(self.monotonic_us).unwrap_or_default();
        let stamp = format!("[{:>5}.{:06}] ", us / 1_000_000, us % 1_000_000);
        let lines: Vec<String> = self.message.lines().map(|l| format!("{stamp}{l}")).collect();
        if lines.is_empty() { stamp } else { lines.join("\n") }
    }

    /// The line as syslog writes it without its time: `host identifier[pid]: text`.
    pub fn text_line(&self) -> String {
        let host = self.host.as_deref().unwrap_or("-");
        let identifier = self.identifier.as_deref().unwrap_or(if self.is_kernel() { "kernel" } else { "-" });
        match self.pid.filter(|_| !self.is_kernel()) {
            Some(pid) => format!("{host} {identifier}[{pid}]: {}", self.message),
            None => format!("{host} {identifier}: {}", self.message),
        }
    }

    /// Takes a field; the first value of a name wins.
    fn take(&mut self, name: &str, value: &[u8]) {
        let text = || String::from_utf8_lossy(value);
        let number = || text().trim().parse::<u64>().ok();
        let set = |slot: &mut Option<String>, text: Cow<'_, str>| {
            if slot.is_none() {
                *slot = Some(text.into_owned());
            }
        };
        match name {
            "MESSAGE" if self.message.is_empty() => self.message = text().into_owned(),
            "SYSLOG_IDENTIFIER" => set(&mut self.identifier, text()),
            // Programs that write to the journal themselves may leave the identifier out.
            "_COMM" if self.identifier.is_none() => self.identifier = Some(text().into_owned()),
            "_TRANSPORT" => set(&mut self.transport, text()),
            "_HOSTNAME" => set(&mut self.host, text()),
            "_MACHINE_ID" => set(&mut self.machine_id, text()),
            "_BOOT_ID" => set(&mut self.boot_id, text()),
            "PRIORITY" => self.priority = self.priority.or(number().and_then(|n| u8::try_from(n).ok())),
            "_PID" | "SYSLOG_PID" => self.pid = self.pid.or(number()),
            "_SOURCE_MONOTONIC_TIMESTAMP" => self.source_monotonic_us = self.source_monotonic_us.or(number()),
            "__REALTIME_TIMESTAMP" => self.realtime_us = self.realtime_us.or(number()),
            "__MONOTONIC_TIMESTAMP" => self.monotonic_us = self.monotonic_us.or(number()),
            _ => {}
        }
    }
}

/// Which form the first bytes show, if any.
pub fn sniff(head: &[u8]) -> Option<Form> {
    if head.starts_with(b"LPKSHHRH") {
        return Some(Form::File);
    }
    let text = head.get(..2048.min(head.len()))?;
    let text = text.trim_ascii_start();
    if text.starts_with(b"__CURSOR=") || text.starts_with(b"__REALTIME_TIMESTAMP=") {
        return Some(Form::Export);
    }
    let text = text.strip_prefix(b"data: ").or(text.strip_prefix(b"\x1e")).unwrap_or(text);
    let names: [&[u8]; 3] = [b"\"__REALTIME_TIMESTAMP\"", b"\"__CURSOR\"", b"\"_BOOT_ID\""];
    let json = text.starts_with(b"{") && names.iter().any(|n| text.windows(n.len()).any(|w| w == *n));
    json.then_some(Form::Json)
}

/// Reads a journal of any form; entries come in their stored order. Damage is a gap, and what is whole is read.
pub fn read(bytes: &[u8], visit: &mut dyn FnMut(Entry) -> Flow) -> Vec<Gap> {
    match sniff(bytes) {
        Some(Form::File) => file::read(bytes, visit),
        Some(Form::Export) => export::read(bytes, visit),
        Some(Form::Json) => json::read(bytes, visit),
        None => vec![Gap::new("journal", "journal", "neither a journal file nor its export or JSON form", "")],
    }
}
