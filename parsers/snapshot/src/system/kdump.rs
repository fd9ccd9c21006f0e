//! Whether a crash dump could have been taken.

use std::collections::BTreeMap;

use facts::{Fact, Origin};

use crate::node::{Input, Node};
use crate::stamp::Stamp;
use crate::text::{number, quote};

/// `/sys/kernel/kexec_crash_loaded`
pub(crate) fn loaded(node: &mut Node, input: &Input<'_>) -> bool {
    let Some(value) = number(input.text) else { return false };
    node.push(
        Fact::new("node.kdump", input.whole())
            .with("what", if value == 1 { "loaded" } else { "not-loaded" })
            .with("loaded", value == 1)
            .quoting(format!("kexec_crash_loaded is {value}")),
    );
    true
}

/// `/sys/kernel/kexec_crash_size`
pub(crate) fn size(node: &mut Node, input: &Input<'_>) -> bool {
    let Some(bytes) = number(input.text) else { return false };
    node.push(
        Fact::new("node.kdump", input.whole())
            .with("what", if bytes > 0 { "reserved" } else { "not-reserved" })
            .with("reserved_bytes", bytes)
            .quoting(format!("kexec_crash_size is {bytes}")),
    );
    true
}

/// Status of the kdump service.
pub(crate) fn status(node: &mut Node, input: &Input<'_>) -> bool {
    let text = input.text;
    let line = |needle: &str| text.lines().enumerate().find(|(_, l)| l.contains(needle));
    const STATES: &[(&str, &str)] = &[
        ("Kdump is operational", "armed"),
        ("Kdump is not operational", "not-armed"),
        ("ready to kdump", "armed"),
        ("Not ready to kdump", "not-armed"),
        ("Active: failed", "not-armed"),
        ("Active: inactive", "not-armed"),
        ("Active: active", "armed"),
    ];
    // The negative form contains the positive one in lower case: it is asked first.
    let order = [3, 1, 0, 2, 4, 5, 6];
    for (needle, what) in order.iter().filter_map(|i| STATES.get(*i)) {
        if let Some((i, found)) = line(needle) {
            node.push(
                Fact::new("node.kdump", input.line(i))
                    .with("what", *what)
                    .with("text", quote(found))
                    .quoting(quote(found)),
            );
            return true;
        }
    }
    false
}

/// What the names of a crash folder's files say.
#[derive(Default)]
pub(crate) struct Folder {
    whole: bool,
    incomplete: bool,
    member: String,
}

/// Takes note of a file of a crash dump by its name.
pub(crate) fn seen(node: &mut Node, path: &str, base: &str) {
    let Some(kind) = dump_name(base) else { return };
    let Some((directory, _)) = path.rsplit_once('/') else { return };
    let folder = directory.rsplit('/').next().unwrap_or(directory);
    if !directory.contains("crash") && Stamp::of_folder(folder).is_none() || node.crash_folders.len() > 1000 {
        return;
    }
    note(node, folder, path, kind);
}

fn note(node: &mut Node, folder: &str, member: &str, kind: File) {
    let entry = node.crash_folders.entry(folder.to_owned()).or_default();
    if entry.member.is_empty() || member < entry.member.as_str() {
        member.clone_into(&mut entry.member);
    }
    match kind {
        File::Whole => entry.whole = true,
        File::Incomplete => entry.incomplete = true,
        File::Log => {}
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum File {
    Whole,
    Incomplete,
    Log,
}

fn dump_name(base: &str) -> Option<File> {
    if !matches!(base.as_bytes().first(), Some(b'v' | b'd' | b'k')) {
        return None;
    }
    let stamped = |prefix: &str| base.strip_prefix(prefix).is_some_and(|rest| Stamp::of_folder(rest).is_some());
    match base {
        "vmcore-incomplete" => Some(File::Incomplete),
        "vmcore" | "vmcore.flat" => Some(File::Whole),
        "vmcore-dmesg.txt" | "vmcore-dmesg-incomplete.txt" | "kexec-dmesg.log" => Some(File::Log),
        _ if stamped("dump.") || stamped("vmcore.") => Some(File::Whole),
        _ if stamped("dmesg.") => Some(File::Log),
        _ => None,
    }
}

/// `ls -alhR /var/crash`: which folders have a dump, which have a log alone.
pub(crate) fn listing(node: &mut Node, input: &Input<'_>) -> bool {
    let mut folder = String::new();
    let mut known = false;
    let mut listed: Listed = BTreeMap::new();
    for (index, line) in input.text.lines().enumerate().take(10_000) {
        if let Some(name) = line.trim_end().strip_suffix(':').filter(|name| name.starts_with('/')) {
            name.rsplit('/').next().unwrap_or(name).clone_into(&mut folder);
            known = true;
            continue;
        }
        let mut words = line.split_ascii_whitespace();
        if !words.next().is_some_and(|mode| mode.len() >= 10 && mode.starts_with('-')) {
            continue;
        }
        let Some(base) = line.split_ascii_whitespace().next_back() else { continue };
        let (Some(kind), Some(size)) = (dump_name(base), words.nth(3)) else { continue };
        let slot = listed.entry(folder.clone()).or_insert((index, None));
        if kind != File::Log {
            *slot = (index, Some((kind, bytes(size))));
        }
    }
    listed_folders(node, input, listed);
    known
}

/// `find /var/crash/`: the same without sizes.
pub(crate) fn found(node: &mut Node, input: &Input<'_>) -> bool {
    let mut listed: Listed = BTreeMap::new();
    for (index, line) in input.text.lines().enumerate().take(10_000) {
        let Some((directory, base)) = line.trim().rsplit_once('/').filter(|(d, _)| d.starts_with('/')) else {
            continue;
        };
        let Some(kind) = dump_name(base) else { continue };
        let folder = directory.rsplit('/').next().unwrap_or(directory);
        let slot = listed.entry(folder.to_owned()).or_insert((index, None));
        if kind != File::Log {
            *slot = (index, Some((kind, -1)));
        }
    }
    listed_folders(node, input, listed);
    true
}

/// Folders of crashes: a line that names one of their files, and the dump with its bytes, below 0 when unknown.
type Listed = BTreeMap<String, (usize, Option<(File, i64)>)>;

fn listed_folders(node: &mut Node, input: &Input<'_>, listed: Listed) {
    for (folder, (index, dump)) in listed {
        let state = match dump {
            Some((_, 0)) => "empty",
            Some((File::Incomplete, _)) => "incomplete",
            Some(_) => "whole",
            None => "absent",
        };
        let line = input.text.lines().nth(index).unwrap_or_default();
        node.push(
            Fact::new("node.dump_file", input.line(index))
                .with("path", folder.as_str())
                .with("state", state)
                .with_opt("bytes", dump.map(|(_, bytes)| bytes).filter(|bytes| *bytes >= 0))
                .with_opt("time", Stamp::of_folder(&folder).map(|t| t.to_string()))
                .quoting(quote(&format!("{folder}: {}", line.trim()))),
        );
    }
}

/// A size as `ls` prints it, with or without `-h`.
fn bytes(text: &str) -> i64 {
    let (number, unit) = match text.char_indices().find(|(_, c)| c.is_ascii_alphabetic()) {
        Some((at, c)) => (text.get(..at).unwrap_or_default(), c),
        None => (text, ' '),
    };
    let scale = match unit {
        'K' => 1024.0,
        'M' => 1024.0 * 1024.0,
        'G' => 1024.0 * 1024.0 * 1024.0,
        'T' => 1024.0 * 1024.0 * 1024.0 * 1024.0,
        _ => 1.0,
    };
    number.replace(',', ".").parse::<f64>().map_or(-1, |n| (n * scale) as i64)
}

/// Emits what the names of crash folders told. A folder without a dump says nothing here: collectors leave dumps out.
pub(crate) fn finish(node: &mut Node) {
    for (folder, files) in std::mem::take(&mut node.crash_folders) {
        let state = match (files.whole, files.incomplete) {
            (true, _) => "whole",
            (_, true) => "incomplete",
            _ => continue,
        };
        node.push(
            Fact::new("node.dump_file", Origin::whole(files.member.as_str()))
                .with("path", folder.as_str())
                .with("state", state)
                .with_opt("time", Stamp::of_folder(&folder).map(|t| t.to_string()))
                .quoting(format!("{folder} has a dump, {state} by its name")),
        );
    }
}
