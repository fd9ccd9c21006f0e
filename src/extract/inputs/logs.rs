//! Members that are logs, or hold some.

use std::fmt::Write as _;
use std::io::{BufReader, Read};

use bundle::{ContentKind, Flow, Limits, Member, Source};
use facts::{Gap, Identity};

use super::Found;
use crate::extract::layouts::{self, Role};
use crate::extract::piece::Piece;
use crate::extract::{apport, hosts, log, sections};

impl Found {
    /// The logs among the sections of a text; false when it has no sections. Each is a log of its own: of this boot, of
    /// one that crashed, of the kernel that took its dump.
    pub(super) fn sections(&mut self, name: &str, bytes: &[u8], rest: &mut dyn Read) -> bool {
        let all = sections::split(bytes);
        let count = all.len();
        for (at, section) in all.into_iter().enumerate() {
            let Some((role, of_collection)) = sections::log(&section.target) else { continue };
            // Only the last one goes on behind what was read.
            let mut nothing = std::io::empty();
            let rest: &mut dyn Read = if at + 1 == count { &mut *rest } else { &mut nothing };
            let capture = role == Role::CaptureLog;
            let (mut pieces, mut lines) = log::read_stream(name, section.text, rest, self.streams + 1, capture);
            let there = |line: u64| line + section.before;
            hosts::renumber(&mut lines, &there);
            self.node().add_log(lines);
            if !capture {
                self.streams += 1;
                let root = self.root.clone();
                for piece in &mut pieces {
                    hosts::renumber(&mut piece.facts, &there);
                    piece.root.clone_from(&root);
                    piece.of_collection = of_collection;
                }
                self.pieces.extend(pieces);
            }
        }
        count > 0
    }

    /// A report of apport: what it says of the machine, and its packed dump and log as members of their own.
    pub(super) fn apport(&mut self, member: &mut Member<'_>, name: &str, path: &str) {
        // Values that are logs of the kernel.
        const LOGS: &[&str] = &["VmCoreDmesg", "OopsText", "CurrentDmesg", "BootDmesg", "KernLog", "CurrentDmesg.txt"];
        let mut source = BufReader::with_capacity(1 << 16, member.reader());
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder).to_owned();
        let damaged = apport::read(&mut source, &mut |key, value| match value {
            apport::Value::Text(text) if LOGS.contains(&key) => {
                self.log(&format!("{name}!{key}"), text, &mut std::io::empty(), false);
            }
            apport::Value::Text(text) => {
                let file = match key {
                    "Uname" => "kernel",
                    "ProcVersionSignature" => "proc/version_signature",
                    "ProcCmdline" | "ProcKernelCmdLine" => "proc/cmdline",
                    _ => return,
                };
                // `Linux 5.15.0-91-generic x86_64`: the line of uname without host and build.
                let release = text.split_ascii_whitespace().nth(1).filter(|_| key == "Uname").map(str::to_owned);
                let text = release.unwrap_or(text);
                self.node().add(&format!("{folder}/{file}"), name, text.as_bytes());
            }
            apport::Value::Packed(stream) => {
                let inner = format!("{name}!{key}");
                let root = self.root.clone();
                let walked = bundle::walk(Source::Reader(stream, &inner), &Limits::default(), &mut |mut packed| {
                    self.set_root(&root);
                    let content = packed.content();
                    if content.is_dump() {
                        self.dump(packed, &inner);
                    } else if matches!(content, ContentKind::Text | ContentKind::Binary) && LOGS.contains(&key) {
                        self.log(&inner, [], packed.reader(), false);
                    }
                    Flow::Skip
                });
                self.gaps.extend(walked.unwrap_or_default());
            }
        });
        for key in damaged {
            self.gaps.push(Gap::new(format!("value {key}"), name, "its lines are no base64", "an undamaged copy"));
        }
    }

    /// A log: kernel reports for the pieces of its boots, and the node-level lines. What the capture kernel printed
    /// is no report of the crash.
    pub(super) fn log(&mut self, name: &str, head: impl AsRef<[u8]>, rest: &mut dyn Read, capture: bool) {
        let (pieces, lines) = log::read_stream(name, head, rest, self.streams + 1, capture);
        self.node().add_log(lines);
        if !capture {
            self.keep(name, pieces);
        }
    }

    /// A log in a text that was understood as something else: kept when there are reports in it.
    pub(super) fn log_beside(&mut self, name: &str, head: &[u8], rest: &mut dyn Read) {
        let (pieces, lines) = log::read_stream(name, head, rest, self.streams + 1, false);
        let told = |fact: &facts::Fact| fact.kind != "log.boot" && fact.text("severity") != Some("notice");
        if pieces.iter().any(|piece| piece.facts.iter().any(told)) {
            self.node().add_log(lines);
            self.keep(name, pieces);
        }
    }

    /// Keeps the boots of one log.
    fn keep(&mut self, name: &str, pieces: Vec<Piece>) {
        self.streams += 1;
        let root = self.root.clone();
        let of_collection = layouts::is_of_collection(name);
        let of_crash = layouts::is_of_crash(name);
        self.pieces.extend(pieces.into_iter().map(|p| {
            let over = p.over || of_crash;
            Piece { root: root.clone(), of_collection, over, ..p }
        }));
    }

    /// A journal: the entries of each boot as one log, in the form of `journalctl -o short-monotonic`.
    pub(super) fn journal(&mut self, name: &str, bytes: &[u8]) {
        let mut boots: Vec<(Option<String>, Identity, String, u64)> = Vec::new();
        let gaps = bundle::journal::read(bytes, &mut |entry| {
            let at = match boots.iter().rposition(|(id, ..)| *id == entry.boot_id) {
                Some(at) => at,
                None => {
                    let identity = Identity {
                        boot_id: entry.boot_id.clone(),
                        host: entry.host.clone(),
                        machine_id: entry.machine_id.clone(),
                        ..Identity::default()
                    };
                    boots.push((entry.boot_id.clone(), identity, String::new(), 0));
                    boots.len() - 1
                }
            };
            if let Some((_, _, text, last_us)) = boots.get_mut(at) {
                *last_us = entry.realtime_us.unwrap_or(*last_us);
                let us = entry.source_monotonic_us.or(entry.monotonic_us).unwrap_or(0);
                let (host, tag) = (entry.host.as_deref().unwrap_or("-"), entry.identifier.as_deref().unwrap_or("-"));
                let pid = entry.pid.unwrap_or(0);
                for line in entry.message.lines() {
                    if entry.is_kernel() {
                        let _ = writeln!(text, "[{:5}.{:06}] {line}", us / 1_000_000, us % 1_000_000);
                    } else {
                        let _ =
                            writeln!(text, "[{:5}.{:06}] {host} {tag}[{pid}]: {line}", us / 1_000_000, us % 1_000_000);
                    }
                }
            }
            Flow::Continue
        });
        self.gaps.extend(gaps);
        self.streams += 1;
        let stream = self.streams;
        // One log for all boots: how one ended shows in what the next one says, and in its coming at all.
        let mut lines = snapshot::NodeLog::new(name);
        for (id, _, text, last_us) in &boots {
            lines.line(&format!("-- Boot {} --", id.as_deref().unwrap_or_default()));
            lines.clock(last_us / 1_000_000);
            text.lines().for_each(|line| lines.line(line));
        }
        self.node().add_log(lines.finish());
        let last = boots.len().saturating_sub(1);
        for (index, (_, identity, text, _)) in boots.into_iter().enumerate() {
            let (pieces, _) = log::read_stream(name, text.as_bytes(), &mut std::io::empty(), stream, false);
            for mut piece in pieces {
                let mut whole = identity.clone();
                whole.fill(&piece.identity);
                piece.identity = whole;
                piece.over = index < last;
                piece.root.clone_from(&self.root);
                self.pieces.push(piece);
            }
        }
    }
}
