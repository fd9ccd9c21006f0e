//! Filesystems on disks and on the network: ext4 with its journal, XFS, Btrfs, FAT, NFS and SMB clients.

use facts::{FieldDef, FieldType, KindDef};

use super::errno::{errno_in, judged};
use super::object_history::is_hex_row;
use super::{Before, Family, From, Opened, field, kind, no_body, no_finish};
use crate::cursor::{Cursor, after, between, has, number_after, split};
use crate::event::{Event, Severity};
use crate::report::{Report, Step, location_at};
use crate::{Line, class};

pub(super) const FIELDS: &[FieldDef] = &[
    field(
        "filesystem",
        FieldType::Text,
        "",
        "ext4, jbd2, xfs, btrfs, f2fs, fat, gfs2, nfs, cifs, ceph, lustre, zfs, verity, ...",
    ),
    field("device", FieldType::Text, "", "block device or server"),
    field(
        "what",
        FieldType::Text,
        "",
        "corruption, io-error, corrected, shutdown, read-only, abort, mount, not-responding, evicted, state-recovery, hung, ok, no-space, no-memory, error",
    ),
    field("detail", FieldType::Text, "", "what the filesystem says"),
    field("in_function", FieldType::Text, "", "function that found it"),
    field("line", FieldType::Int, "", "line in its source"),
    field("inode", FieldType::Int, "", "inode"),
    field("errno", FieldType::Int, "", "error number, positive"),
    field("moment", FieldType::Text, "", "write: the block was damaged before it was written"),
];

const fn filesystem(name: &'static str, doc: &'static str) -> KindDef {
    kind(name, doc, FIELDS)
}

pub(super) static EXT4: Family = Family {
    name: "ext4",
    anchors: &[
        "EXT4-fs error (device ",
        "EXT3-fs error (device ",
        "EXT2-fs error (device ",
        "LDISKFS-fs error (device ",
        "JBD2: I/O error ",
        "JBD2: recovery failed",
        "JBD2: Invalid checksum recovering",
        "journal block not found at offset",
        "EXT4-fs warning (device ",
        "Remounting filesystem read-only",
        "I/O error while writing superblock",
        "failed to convert unwritten extents",
        "Delayed block allocation failed",
        "This should not happen!!",
        "Aborting journal on device ",
        "JBD2: Error ",
        "JBD2: Detected IO errors",
        "Spotted dirty metadata buffer",
        "error count since last fsck: ",
        "warning: mounting fs with errors",
        "There are errors in the filesystem",
        "previous I/O error to superblock detected",
        "bad geometry: block count",
        "group descriptors corrupted!",
        "delayed block allocation failed",
        "because of unsupported optional features (",
        "): error loading journal",
        "): error: ext2_",
        "): error: ext3_",
    ],
    from: From::Kernel,
    open: open_ext4,
    body: no_body,
    finish: no_finish,
    kind: filesystem("log.ext4", "An ext filesystem or its journal reports damage or a failed write"),
};

pub(super) static XFS: Family = Family {
    name: "xfs",
    anchors: &[
        "XFS (",
        "XFS: Internal error",
        "XFS internal error",
        "possible memory allocation deadlock",
        "XFS: Assertion failed",
        "xfs_force_shutdown(",
        "Filesystem \"",
        "I/O error in filesystem (\"",
    ],
    from: From::Kernel,
    open: open_xfs,
    body: xfs_body,
    finish: no_finish,
    kind: filesystem("log.xfs", "XFS reports damage, a failed write, or shuts down"),
};

pub(super) static BTRFS: Family = Family {
    name: "btrfs",
    anchors: &[
        "BTRFS error (device ",
        "BTRFS critical (device ",
        "BTRFS: error (device ",
        "BTRFS warning (device ",
        "BTRFS info (device ",
        "BTRFS (device ",
    ],
    from: From::Kernel,
    open: open_btrfs,
    body: btrfs_body,
    finish: no_finish,
    kind: filesystem("log.btrfs", "Btrfs reports damage, a failed checksum or a failed write"),
};

pub(super) static NETWORK: Family = Family {
    name: "network_filesystem",
    anchors: &[
        "nfs: server ",
        "NFS: state manager",
        "FAT-fs (",
        "verity: ",
        "GFS2: fsid=",
        "gfs2: fsid=",
        "BTRFS: open_ctree failed",
        "F2FS-fs (",
        "cookie state change wait timed out",
    ],
    from: From::Kernel,
    open: open_other,
    body: no_body,
    finish: no_finish,
    kind: filesystem(
        "log.network_filesystem",
        "A file server does not answer, or a removable or verified device is damaged",
    ),
};

pub(super) fn event(family: &'static Family, name: &'static str, what: &'static str, device: &str) -> Event {
    let (class, severity) = match what {
        "corruption" => (class::FS_CORRUPTION, Severity::Failure),
        "shutdown" | "read-only" | "abort" => (class::FS_SHUTDOWN, Severity::Failure),
        "ok" => (class::CLEAN, Severity::Notice),
        "no-memory" | "no-space" => (class::RESOURCE_EXHAUSTION, Severity::Failure),
        _ => (class::IO_ERROR, Severity::Failure),
    };
    let event = Event::new(family.name, class, severity)
        .titled(format!("{name}: {what}"))
        .with("filesystem", name)
        .with("what", what);
    if device.is_empty() { event } else { event.with("device", device) }
}

/// `(sda1): text` or `(device sda1): text`, with a state after the device
fn device_and_text<'a>(text: &'a str, head: &str) -> Option<(&'a str, &'a str)> {
    let rest = text.strip_prefix(head)?.strip_prefix('(')?;
    let (device, rest) = rest.split_once(')')?;
    let device = device.strip_prefix("device ").unwrap_or(device);
    Some((device.split([':', ' ']).next().unwrap_or(device), rest.trim_start_matches(':').trim_start()))
}

fn open_ext4(line: &Line<'_>, _: Before<'_>) -> Option<Opened> {
    let text = line.text();
    let name = if text.starts_with("EXT3") {
        "ext3"
    } else if text.starts_with("EXT2") {
        "ext2"
    } else if text.starts_with("LDISKFS") {
        "ldiskfs"
    } else {
        "ext4"
    };
    for head in ["EXT4-fs error ", "EXT3-fs error ", "EXT2-fs error ", "LDISKFS-fs error "] {
        if let Some((device, rest)) = device_and_text(text, head) {
            // `ext4_lookup:1601: inode #2: comm ls: text`, or `in f:123: text`
            let rest = rest.strip_prefix("in ").unwrap_or(rest);
            let mut parts = rest.splitn(3, ':');
            let function = parts.next().unwrap_or_default().trim_end_matches("()");
            let number = parts.next().and_then(|n| n.trim().parse::<u32>().ok());
            let detail = if number.is_some() { parts.next().unwrap_or_default().trim() } else { rest };
            // Behind `in f:123:` stands the error's name, or its number where it has none.
            const NO_DAMAGE: &[&str] = &[
                "No space",
                // A block could not be read or written: what lies below failed, not what is on it.
                "Error while async write back metadata",
                "reading directory lblock",
                "unable to read itable block",
                "Cannot read inode bitmap",
                "Cannot read block bitmap",
                "mark_inode_dirty error",
                "previous I/O error",
            ];
            // Behind `inode #12: comm ls: ` or `comm ls: `.
            let said = after(detail, "comm ").and_then(|t| split(t, ": ")).map_or(detail, |(_, said)| said);
            const ABORTS: &[&str] =
                &["Detected aborted journal", "Journal has aborted", "Couldn't clean up the journal"];
            let what = if ABORTS.iter().any(|abort| said.ends_with(abort)) {
                "abort"
            } else if NO_DAMAGE.iter().any(|name| said.starts_with(name)) {
                "io-error"
            } else {
                "corruption"
            };
            let mut event = event(&EXT4, name, what, device)
                .with("in_function", function)
                .with_opt("line", number)
                .with("detail", detail)
                .with_opt("errno", errno_in(said))
                .with_opt("inode", number_after(rest, "inode #"));
            event.comm = between(rest, "comm ", ":").map(str::to_owned);
            return Opened::line(judged(event));
        }
    }
    if let Some((device, rest)) = device_and_text(text, "EXT4-fs warning ") {
        // fs/ext4/namei.c: `ext4_dx_add_entry:2513: inode #2: comm x: Directory (ino: 2) index full, reach max htree level :2`
        if has(rest, "Directory (ino: ") && has(rest, " index full, ") {
            let mut event = event(&EXT4, name, "no-space", device)
                .with("detail", rest)
                .with_opt("inode", number_after(rest, "(ino: "))
                .with(
                    "consequence",
                    "the directory takes no more names, though there is space; the feature large_dir raises the limit",
                );
            event.severity = Severity::Notice;
            return Opened::line(event);
        }
        // Only the failed write of data is a failure; the rest is advice.
        has(rest, "I/O error ").then_some(())?;
        return Opened::line(
            event(&EXT4, name, "io-error", device)
                .with("detail", rest)
                .with_opt("inode", number_after(rest, "to inode "))
                .with_opt("errno", number_after(rest, "I/O error ").map(i64::abs)),
        );
    }
    for head in ["EXT4-fs ", "EXT3-fs ", "EXT2-fs "] {
        if let Some((device, rest)) = device_and_text(text, head) {
            if rest.starts_with("warning: mounting fs with errors")
                || rest.starts_with("There are errors in the filesystem")
            {
                let mut event = event(&EXT4, name, "recorded-errors", device)
                    .with("detail", rest)
                    .with("consequence", "the filesystem is marked as damaged and was not checked since");
                event.severity = Severity::Notice;
                return Opened::line(event);
            }
            // Said at each mount and once a day until the filesystem is checked.
            if let Some(count) = rest.strip_prefix("error count since last fsck: ") {
                let mut event = event(&EXT4, name, "recorded-errors", device).with("detail", rest).with(
                    "consequence",
                    format!("{count} errors were met since the filesystem was last checked, maybe in an earlier boot; no check was made since"),
                );
                event.severity = Severity::Notice;
                return Opened::line(event);
            }
            // ext3 and ext2 say the same of every ext4 while the root is probed.
            let unknown = between(rest, "because of unsupported optional features (", ")").filter(|_| name == "ext4");
            let refused = match unknown {
                Some(bits) => Some(format!(
                    "it is not damaged: it has features ({bits}) that this kernel does not know, made by a newer system"
                )),
                None if rest == "error loading journal" => Some(
                    "its journal cannot be read, and it is not mounted: what JBD2 said before tells why".to_owned(),
                ),
                None => None,
            };
            if let Some(consequence) = refused {
                let mut event =
                    event(&EXT4, name, "mount", device).with("detail", rest).with("consequence", consequence);
                event.severity = Severity::Notice;
                return Opened::line(event);
            }
            let damaged = |rest: &str| rest.starts_with("error: ext2_") || rest.starts_with("error: ext3_");
            let what = if has(rest, "Remounting filesystem read-only") {
                "read-only"
            } else if has(rest, "I/O error while writing superblock")
                || has(rest, "previous I/O error to superblock detected")
                || has(rest, "failed to convert unwritten extents")
                || has(rest, "Delayed block allocation failed")
                || rest.starts_with("This should not happen!!")
                || rest.starts_with("delayed block allocation failed")
            {
                "io-error"
            } else if rest.starts_with("bad geometry: block count")
                || rest.starts_with("group descriptors corrupted!")
                || damaged(rest)
            {
                "corruption"
            } else {
                return None;
            };
            return Opened::line(judged(
                event(&EXT4, name, what, device)
                    .with("detail", rest)
                    .with_opt("inode", number_after(rest, "inode "))
                    .with_opt("errno", errno_in(rest)),
            ));
        }
    }
    if let Some(rest) = text.strip_prefix("Aborting journal on device ") {
        return Opened::line(event(&EXT4, "jbd2", "abort", rest.trim_end_matches('.')));
    }
    if let Some(rest) = text.strip_prefix("JBD2: Error ") {
        let device = after(rest, "superblock for ").unwrap_or_default().trim_end_matches('.');
        return Opened::line(
            event(&EXT4, "jbd2", "io-error", device)
                .with("detail", text)
                .with_opt("errno", Cursor::new(rest).int().map(i64::abs)),
        );
    }
    if text.starts_with("JBD2: I/O error ") || has(text, "journal block not found at offset") {
        let device = after(text, "superblock for ").or_else(|| after(text, " on ")).unwrap_or_default();
        return Opened::line(event(&EXT4, "jbd2", "io-error", device.trim_end_matches('.')).with("detail", text));
    }
    if text.starts_with("JBD2: recovery failed") || text.starts_with("JBD2: Invalid checksum recovering") {
        return Opened::line(event(&EXT4, "jbd2", "corruption", "").with("detail", text));
    }
    // `JBD2: Spotted dirty metadata buffer (dev = dm-1, blocknr = 0). There's a risk ...`
    if text.starts_with("JBD2: Spotted dirty metadata buffer") || text.starts_with("JBD: Spotted dirty metadata buffer")
    {
        let mut event = event(&EXT4, "jbd2", "written-around", between(text, "dev = ", ",").unwrap_or_default())
            .with("detail", text)
            .with(
                "consequence",
                "something wrote to the filesystem's blocks around its journal; a crash now may damage it",
            );
        event.severity = Severity::Notice;
        return Opened::line(event);
    }
    let device = after(text, "JBD2: Detected IO errors while flushing file data on ")?;
    Opened::line(event(&EXT4, "jbd2", "io-error", device).with("detail", text))
}

fn open_xfs(line: &Line<'_>, before: Before<'_>) -> Option<Opened> {
    let text = line.text();
    let (device, rest) = match device_and_text(text, "XFS ").or_else(|| old_xfs(text)) {
        Some(pair) => pair,
        None => ("", text.strip_prefix("XFS: ")?),
    };
    if rest.starts_with("Internal error") {
        let mut event = event(&XFS, "xfs", "corruption", device).with("detail", rest);
        event.severity = Severity::Report;
        // EL6 and EL7 print the address alone.
        let address = after(rest, "Caller 0x").map(|t| t.split([' ', '.', ',']).next().unwrap_or(t));
        if let Some(hex) = address.filter(|hex| hex.len() >= 8 && hex.bytes().all(|b| b.is_ascii_hexdigit())) {
            let function = format!("0x{hex}");
            event.place = Some(crate::event::Location { function, ..Default::default() });
        }
        event.place = event.place.or_else(|| {
            let t = after(rest, "Caller ")?;
            location_at(&mut Cursor::new(t.trim_start_matches(|c| "[<>] 0123456789abcdefx".contains(c) && c != 'x')))
        });
        event = event.with_opt("line", number_after(rest, "at line "));
        return Opened::trace(event);
    }
    if let Some(rest) = rest.strip_prefix("Assertion failed: ") {
        // What the code takes for granted about itself, of kernels for developers; nothing of it is known of the disk.
        let mut event = event(&XFS, "xfs", "assertion-failed", device)
            .with("detail", rest)
            .with_opt("line", number_after(rest, "line: "));
        event.class = class::BUG_ON;
        "xfs: assertion failed".clone_into(&mut event.title);
        event.severity = Severity::Report;
        return Opened::trace(event);
    }
    if rest.starts_with("Metadata corruption detected at ") || rest.starts_with("Metadata CRC error detected at ") {
        let mut event = event(&XFS, "xfs", "corruption", device).with("detail", rest);
        event.place = after(rest, "detected at ").and_then(|t| location_at(&mut Cursor::new(t)));
        return Opened::lines(event);
    }
    // Why the superblock is refused stands before the report of it.
    if rest.starts_with("SB ") && rest.ends_with("sanity check failed") {
        return Opened::lines(event(&XFS, "xfs", "corruption", device).with("detail", rest));
    }
    let what = if rest.starts_with("xlog_write: reservation ran out") {
        "abort"
    } else if has(rest, "xfs_trans_read_buf() returned error ") {
        // Which buffer it was, the verifier has said before.
        if before.current.is_some_and(|e| e.family == XFS.name) {
            return None;
        }
        "io-error"
    } else if has(rest, "metadata I/O error")
        || rest.starts_with("log I/O error")
        || rest.starts_with("log recovery write I/O error")
        || rest.starts_with("writeback error ")
        || rest.starts_with("page discard on page")
        || rest.starts_with("Failing async write on buffer")
    {
        "io-error"
    } else if rest.starts_with("Corruption of in-memory")
        || has(rest, "Shutting down filesystem")
        || rest.starts_with("Filesystem has been shut down")
        || rest.starts_with("xfs_do_force_shutdown")
        || rest.starts_with("User initiated shutdown")
    {
        // One shutdown prints two or three lines.
        "shutdown"
    } else if rest.starts_with("xfs_log_force: error") {
        "shutdown"
    } else if rest.starts_with("Corruption warning")
        || rest.starts_with("failed to locate log tail")
        || rest.starts_with("Log inconsistent")
    {
        "corruption"
    } else if rest.starts_with("log mount/recovery failed")
        || rest.starts_with("log mount failed")
        || rest.starts_with("Filesystem has duplicate UUID")
    {
        "mount"
    } else if has(rest, "possible memory allocation deadlock") {
        // It asks again and again: memory is short or in pieces.
        "no-memory"
    } else if rest.starts_with("Corruption detected") {
        if before.current.is_some_and(|e| e.family == XFS.name) {
            return None;
        }
        "corruption"
    } else {
        return None;
    };
    let mut event = event(&XFS, "xfs", what, device).with("detail", rest).with_opt("errno", errno_in(rest));
    if what == "mount" {
        event.class = class::FS_SHUTDOWN;
    }
    let below = has(rest, "metadata I/O error") && event.fields.get("errno").and_then(|n| n.as_int()) == Some(12);
    if !below {
        event = judged(event);
    }
    if rest.starts_with("User initiated") {
        event.severity = Severity::Notice;
    }
    if rest.starts_with("Filesystem has duplicate UUID") {
        event.severity = Severity::Notice;
        event.set(
            "consequence",
            "it is not mounted: a copy of it (a snapshot, another path to the disk) is mounted already",
        );
    }
    if let Some(function) = between(rest, "in \"", "\"") {
        event = event.with("in_function", function.split('+').next().unwrap_or(function));
    }
    Opened::line(event)
}

/// Up to 3.0: `Filesystem "dm-0": text`, `xfs_force_shutdown(dm-0,0x8) called from line 1`, `XFS internal error`.
fn old_xfs(text: &str) -> Option<(&str, &str)> {
    if let Some(rest) = text.strip_prefix("Filesystem \"") {
        let (device, rest) = split(rest, "\": ")?;
        let rest = rest.strip_prefix("XFS ").map_or(rest, |_| "Internal error");
        return Some((device, rest));
    }
    if let Some(rest) = text.strip_prefix("I/O error in filesystem (\"") {
        return Some((rest.split_once('"')?.0, "metadata I/O error"));
    }
    if let Some(rest) = text.strip_prefix("xfs_force_shutdown(") {
        return Some((rest.split_once(',')?.0, "xfs_do_force_shutdown"));
    }
    text.starts_with("XFS internal error ").then_some(("", "Internal error"))
}

fn xfs_body(report: &mut Report, line: &Line<'_>) -> Step {
    let text = line.text();
    let rest = device_and_text(text, "XFS ").map_or("", |(_, rest)| rest);
    if rest.starts_with("Metadata ")
        && report.event.place.is_none()
        && report.event.fields.get("detail").and_then(|d| d.as_text()).is_some_and(|d| d.starts_with("SB "))
        && let Some(place) = after(rest, "detected at ").and_then(|t| location_at(&mut Cursor::new(t)))
    {
        report.event.place = Some(place);
        return Step::Take;
    }
    if rest.starts_with("SB validate failed") {
        return Step::End;
    }
    if rest.starts_with("Unmount and run xfs_repair")
        || rest.starts_with("Corruption detected. Unmount")
        || rest.starts_with("First ")
        || is_hex_row(text)
        || is_hex_row(rest)
    {
        return Step::Take;
    }
    Step::Pass
}

fn open_btrfs(line: &Line<'_>, _: Before<'_>) -> Option<Opened> {
    let text = line.text();
    let (level, device, rest) =
        ["BTRFS error ", "BTRFS critical ", "BTRFS: error ", "BTRFS warning ", "BTRFS info ", "BTRFS "]
            .iter()
            .find_map(|head| device_and_text(text, head).map(|(device, rest)| (head.trim(), device, rest)))?;
    let damage = rest.starts_with("csum failed")
        || has(rest, "checksum verify failed")
        || rest.starts_with("corrupt leaf")
        || rest.starts_with("corrupt node")
        || has(rest, "parent transid verify failed")
        || rest.starts_with("bad tree block")
        || rest.starts_with("tree first key mismatch")
        || rest.starts_with("invalid tree")
        || rest.starts_with("unable to find logical");
    let what = match level {
        _ if rest.starts_with("forced readonly") => "read-only",
        _ if damage => "corruption",
        "BTRFS info" if rest.starts_with("read error corrected") => "corrected",
        "BTRFS info" | "BTRFS" => return None,
        "BTRFS warning" if has(rest, "failed setting block group ro: -28") => "no-space",
        "BTRFS warning" if rest.starts_with("lost page write") || rest.starts_with("i/o error") => "io-error",
        "BTRFS warning" => return None,
        "BTRFS: error" if has(rest, "Object already exists") || has(rest, "corrupted") => "corruption",
        "BTRFS: error" => "abort",
        // `bdev /dev/sda errs: wr 0, rd 0, flush 0, corrupt 1, gen 0`: counters since the device was made.
        _ if rest.starts_with("bdev ") && has(rest, "errs: wr 0, rd 0, flush 0,") => "corruption",
        _ if rest.starts_with("bdev ") => "io-error",
        _ if has(rest, "open_ctree failed") => "mount",
        _ if has(rest, "corrupt") || has(rest, "mismatch") || has(rest, "invalid") => "corruption",
        _ => "error",
    };
    let mut event = event(&BTRFS, "btrfs", what, device)
        .with("detail", rest)
        .with_opt("inode", number_after(rest, " ino "))
        .with_opt("errno", errno_in(rest));
    event = judged(event);
    let consequence = match what {
        "corrected" => Some("it was read from another copy and written anew: nothing is lost, a disk has bad sectors"),
        "no-space" if level == "BTRFS warning" => {
            Some("no room for metadata is left to work with: balance or add space")
        }
        _ => None,
    };
    if let Some(consequence) = consequence {
        event.severity = Severity::Notice;
        event.set("consequence", consequence);
    }
    if let Some(place) = rest.strip_prefix("in ")
        && let Some((function, number)) = place.split_once(':')
    {
        event = event.with("in_function", function).with_opt("line", Cursor::new(number).number());
    }
    // fs/btrfs/disk-io.c: btree_csum_one_bio() checks a block before it is written.
    if has(rest, WRITE_TIME) {
        event.set("moment", "write");
    }
    if rest.starts_with("corrupt ") { Opened::lines(event) } else { Opened::line(event) }
}

const WRITE_TIME: &str = "write time tree block corruption detected";

/// What the check says of a block, and below it when the block was checked.
fn btrfs_body(report: &mut Report, line: &Line<'_>) -> Step {
    if line.text().starts_with("BTRFS error ") && has(line.text(), WRITE_TIME) {
        report.event.set("moment", "write");
        return Step::End;
    }
    Step::Pass
}

fn open_other(line: &Line<'_>, _: Before<'_>) -> Option<Opened> {
    let text = line.text();
    if let Some(rest) = text.strip_prefix("nfs: server ") {
        let (server, rest) = rest.split_once(' ')?;
        let what = if rest.starts_with("not responding") {
            "not-responding"
        } else if rest.starts_with("OK") {
            "ok"
        } else {
            return None;
        };
        return Opened::line(event(&NETWORK, "nfs", what, server).with("detail", rest));
    }
    if has(text, "cookie state change wait timed out")
        && (text.starts_with("netfs: ") || text.starts_with("FS-Cache: "))
    {
        return Opened::line(event(&NETWORK, "fscache", "hung", "").with("detail", text));
    }
    if text.starts_with("NFS: state manager") && has(text, "failed on NFSv4 server") {
        let server = between(text, "server ", " with").unwrap_or_default();
        return Opened::line(
            event(&NETWORK, "nfs", "state-recovery", server)
                .with_opt("errno", number_after(text, "with error ").map(i64::abs)),
        );
    }
    if let Some((device, rest)) = device_and_text(text, "FAT-fs ") {
        let what = if rest.starts_with("error, ") {
            "corruption"
        } else if rest.starts_with("Filesystem has been set read-only") {
            "read-only"
        } else {
            return None;
        };
        // FAT lives on cards and sticks that are pulled while in use: worth knowing, no failure of the machine.
        let mut event = event(&NETWORK, "fat", what, device).with("detail", rest);
        event.severity = Severity::Notice;
        return Opened::line(event);
    }
    if let Some(rest) = text.strip_prefix("GFS2: fsid=").or_else(|| text.strip_prefix("gfs2: fsid=")) {
        let (device, rest) = split(rest, ": ")?;
        let what = if has(rest, "fatal: filesystem consistency error") || has(rest, "fatal: invalid metadata") {
            "corruption"
        } else if has(rest, "fatal: assertion ") {
            "assertion"
        } else if has(rest, "fatal: I/O error") || has(rest, "Error ") && has(rest, " writing to journal") {
            "io-error"
        } else if has(rest, "withdrawn") || has(rest, "about to withdraw") || has(rest, "withdrawing from cluster") {
            "shutdown"
        } else {
            return None;
        };
        return Opened::line(event(&NETWORK, "gfs2", what, device).with("detail", rest));
    }
    if text.starts_with("BTRFS: open_ctree failed") {
        return Opened::line(event(&NETWORK, "btrfs", "mount", "").with("detail", text));
    }
    if let Some((device, rest)) = device_and_text(text, "F2FS-fs ") {
        let what = if rest.starts_with("Stopped filesystem due to") {
            "shutdown"
        } else if rest.to_ascii_lowercase().starts_with("inconsistent ")
            || has(rest, "corrupt")
            || rest.starts_with("Failed to get valid F2FS checkpoint")
            || rest.starts_with("access invalid blkaddr")
        {
            "corruption"
        } else {
            return None;
        };
        return Opened::line(event(&NETWORK, "f2fs", what, device).with("detail", rest));
    }
    let rest = text.strip_prefix("device-mapper: verity: ")?;
    (has(rest, " block ") && rest.ends_with(" is corrupted")).then_some(())?;
    Opened::line(
        event(&NETWORK, "verity", "corruption", rest.split(": ").next().unwrap_or_default()).with("detail", rest),
    )
}

#[cfg(test)]
mod tests;
