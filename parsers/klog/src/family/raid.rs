//! Software RAID and mapped devices: disks, paths and pools that failed.

use facts::FieldType;

use super::{Before, Family, From, Opened, field, kind, no_body, no_finish};
use crate::cursor::{after, between, has, split};
use crate::event::{Event, Severity};
use crate::{Line, class};

pub(super) static RAID: Family = Family {
    name: "raid_error",
    anchors: &[
        "Disk failure on ",
        "read error not correctable",
        "Cannot continue operation (",
        "not enough operational devices",
        "kicking non-fresh ",
        "super_written gets error",
        ": Failing path ",
        "queue_if_no_path timeout",
        "switching pool to ",
        "metadata operation '",
        "no free data space available",
        "failed to run raid set",
        "cannot start dirty degraded array",
        "Split-Brain detected",
        "disk( UpToDate -> Failed )",
        "disk( UpToDate -> Diskless )",
        "disabling caching",
        "IO error on writing btree",
        "IO error on reading ",
        "node_check failed",
        "Invalidating snapshot: ",
        "Checksum failed at sector ",
        "INTEGRITY AEAD ERROR",
        "Decompression failed! err=",
    ],
    from: From::Kernel,
    open: open_raid,
    body: no_body,
    finish: no_finish,
    kind: kind(
        "log.raid_error",
        "A software RAID or a mapped device lost a disk, a path or its space",
        &[
            field("array", FieldType::Text, "", "array or mapped device"),
            field("device", FieldType::Text, "", "member that failed"),
            field(
                "what",
                FieldType::Text,
                "",
                "disk-failure, read-error, failed, non-fresh, superblock, path, pool, split-brain, cache, metadata, \
                 snapshot, integrity",
            ),
            field("detail", FieldType::Text, "", "the text"),
        ],
    ),
};

fn open_raid(line: &Line<'_>, _: Before<'_>) -> Option<Opened> {
    let text = line.text();
    let new = |what: &'static str, array: &str| {
        Event::new(RAID.name, class::IO_ERROR, Severity::Failure)
            .titled(format!("raid: {what}"))
            .with("what", what)
            .with("array", array)
            .with("detail", text)
    };
    if let Some(rest) = text.strip_prefix("md/") {
        let (head, rest) = split(rest, ": ")?;
        let array = head.rsplit(':').next().unwrap_or(head);
        let what = if rest.starts_with("Disk failure on ") {
            "disk-failure"
        } else if rest.starts_with("read error not correctable") {
            "read-error"
        } else if has(rest, "Cannot continue operation")
            || has(rest, "not enough operational devices")
            || rest.starts_with("failed to run raid set")
            || rest.starts_with("cannot start dirty degraded array")
        {
            "failed"
        } else {
            return None;
        };
        let device = between(rest, "failure on ", ",").or_else(|| between(rest, " on ", ")"));
        return Opened::line(new(what, array).with_opt("device", device));
    }
    if let Some(rest) = text.strip_prefix("md: ") {
        let what = if rest.starts_with("kicking non-fresh ") {
            "non-fresh"
        } else if rest.starts_with("super_written gets error") {
            "superblock"
        } else {
            return None;
        };
        let device = between(rest, "non-fresh ", " from");
        let array = after(rest, "from ").unwrap_or_default().trim_end_matches([' ', '!', '.']);
        return Opened::line(new(what, array.trim_end_matches(" array")).with_opt("device", device));
    }
    // Replicated and cached devices, compressed memory.
    if let Some(rest) = text.strip_prefix("drbd ").or_else(|| text.strip_prefix("block drbd")) {
        let array = rest.split([' ', ':']).next().unwrap_or(rest);
        let what = if has(rest, "Split-Brain detected") && !has(rest, "automatically solved") {
            "split-brain"
        } else if has(rest, "disk( UpToDate -> ") {
            "disk-failure"
        } else {
            return None;
        };
        return Opened::line(new(what, array));
    }
    if let Some(rest) = text.strip_prefix("bcache: ") {
        let failed = has(rest, "disabling caching") || has(rest, "IO error on ");
        return if failed { Opened::line(new("cache", "")) } else { None };
    }
    if text.starts_with("zram: Decompression failed!") {
        let mut event = new("integrity", "zram");
        event.class = class::HARDWARE_MEMORY;
        return Opened::line(event);
    }
    let rest = text.strip_prefix("device-mapper: ")?;
    let (target, rest) = split(rest, ": ")?;
    let array = rest.split(": ").next().unwrap_or_default();
    match target {
        "multipath" if has(rest, "Failing path ") => Opened::line(
            new("path", array).with_opt("device", after(rest, "Failing path ").map(|d| d.trim_end_matches('.'))),
        ),
        "multipath" if has(rest, "queue_if_no_path timeout") => Opened::line(new("path", array)),
        "thin" if has(rest, "switching pool to ") && !has(rest, "to write mode") => Opened::line(new("pool", array)),
        "btree spine" if has(rest, "node_check failed") => Opened::line(new("metadata", "")),
        "snapshots" if has(rest, "nvalidating snapshot: ") => Opened::line(new("snapshot", "")),
        "integrity" if has(rest, "Checksum failed at sector ") => Opened::line(new("integrity", array)),
        "crypt" if has(rest, "INTEGRITY AEAD ERROR") => Opened::line(new("integrity", array)),
        "thin" if has(rest, "metadata operation '") || has(rest, "no free data space available") => {
            Opened::line(new("pool", array))
        }
        _ => None,
    }
}
