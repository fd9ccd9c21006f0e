//! Software RAID and mapped devices: disks, paths and pools that failed.

use facts::FieldType;

use super::{Before, Family, From, Opened, field, kind, no_body, no_finish};
use crate::cursor::{Cursor, after, between, has, number_after, split};
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
        "unrecoverable I/O read error for block",
        "exceeded read_error threshold",
        "Failing raid device",
        "marking faulty!",
        "Failed to read superblock of device",
        "alidator check failed for block",
        "switching cache to ",
        "Aborting current metadata transaction",
        "aborting current metadata transaction",
        " is corrupted",
        "low water mark for ",
        " until repaired",
        "mismatch sector in range",
        "read error corrected",
        "Reinstating path ",
        " active with ",
        "disabling caching",
        "too many IO errors on ",
        "IO error on writing btree",
        "IO error on reading ",
        "node_check failed",
        "Invalidating snapshot: ",
        "Checksum failed at sector ",
        "INTEGRITY AEAD ERROR",
        "Decompression failed! err=",
        ": recovery done.",
        ": resync done.",
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
                "disk-failure, read-error, failed, non-fresh, superblock, path, pool, cache, metadata, \
                 snapshot, integrity, mismatch, corrected, degraded, ok",
            ),
            field("errno", FieldType::Int, "", "error number"),
            field("detail", FieldType::Text, "", "the text"),
        ],
    ),
};

fn open_raid(line: &Line<'_>, _: Before<'_>) -> Option<Opened> {
    let text = line.text();
    let sort = if text.starts_with("device-mapper: ") { "mapped device" } else { "raid" };
    let new = |what: &'static str, array: &str| {
        Event::new(RAID.name, class::IO_ERROR, Severity::Failure)
            .titled(format!("{sort}: {what}"))
            .with("what", what)
            .with("array", array)
            .with("detail", text)
    };
    let notice = |what: &'static str, array: &str, consequence: &'static str| {
        let mut event = new(what, array).with("consequence", consequence);
        event.severity = Severity::Notice;
        event
    };
    // drivers/md/raid5.c: `md0: mismatch sector in range 8-16`
    if let Some((array, _)) = split(text, ": mismatch sector in range ") {
        const MEANS: &str = "a check found copies or parity that differ; on mirrors with swap on them that is usual";
        return if array.contains(' ') { None } else { Opened::line(notice("mismatch", array, MEANS)) };
    }
    if let Some(rest) = text.strip_prefix("md/") {
        let (head, rest) = split(rest, ": ")?;
        let array = head.rsplit(':').next().unwrap_or(head);
        // `md/raid:md5: read error corrected (8 sectors at 1234 on sdb1)`
        if rest.starts_with("read error corrected") {
            const MEANS: &str =
                "the array wrote anew what the disk could not read: nothing is lost, the disk has bad sectors";
            let device = between(rest, " on ", ")");
            return Opened::line(notice("corrected", array, MEANS).with_opt("device", device));
        }
        // `raid level 5 active with 3 out of 4 devices, algorithm 2`, `active with 1 out of 2 mirrors`
        if let Some(counts) = after(rest, "active with ") {
            let (present, of) = (Cursor::new(counts).int()?, number_after(counts, "out of ")?);
            let missing = of - present;
            // Some makers give their system partition a mirror for each bay.
            if !(1..=64).contains(&missing) || head.starts_with("raid1:") && of > 4 {
                return None;
            }
            let mut event = new("degraded", array).with(
                "consequence",
                format!("{missing} of {of} members are missing: nothing is lost yet, the next disk that fails may take the data along"),
            );
            event.severity = Severity::Notice;
            return Opened::line(event);
        }
        let what = if rest.starts_with("Disk failure on ") {
            "disk-failure"
        } else if rest.starts_with("read error not correctable")
            || has(rest, "unrecoverable I/O read error for block")
            || has(rest, "exceeded read_error threshold")
            || has(rest, "Failing raid device")
        {
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
        // `md/raid10:md0: sdc1: Raid device exceeded read_error threshold [cur 21:max 20]`
        let leading = || split(rest, ": ").map(|(name, _)| name).filter(|name| !name.contains(' '));
        let device = between(rest, "failure on ", ",").or_else(|| between(rest, " on ", ")")).or_else(leading);
        return Opened::line(new(what, array).with_opt("device", device));
    }
    if let Some(rest) = text.strip_prefix("md: ") {
        // drivers/md/md.c: the array is whole again.
        if let Some(array) = rest.strip_suffix(": recovery done.").or_else(|| rest.strip_suffix(": resync done.")) {
            let mut event = new("ok", array);
            (event.class, event.severity) = (class::CLEAN, Severity::Notice);
            return Opened::line(event);
        }
        let what = if rest.starts_with("kicking non-fresh ") {
            "non-fresh"
        } else if rest.starts_with("super_written gets error") {
            "superblock"
        } else if rest.ends_with("marking faulty!") {
            "disk-failure"
        } else {
            return None;
        };
        let device = between(rest, "non-fresh ", " from");
        let array = after(rest, "from ").unwrap_or_default().trim_end_matches([' ', '!', '.']);
        return Opened::line(new(what, array.trim_end_matches(" array")).with_opt("device", device));
    }
    // Cached devices, compressed memory.
    if let Some(rest) = text.strip_prefix("bcache: ") {
        let failed = has(rest, "disabling caching") || has(rest, "too many IO errors on ") || has(rest, "IO error on ");
        return if failed { Opened::line(new("cache", "")) } else { None };
    }
    if text.starts_with("zram: Decompression failed!") {
        let mut event = new("integrity", "zram");
        event.class = class::HARDWARE_MEMORY;
        return Opened::line(event);
    }
    let rest = text.strip_prefix("device-mapper: ")?;
    let (target, rest) = split(rest, ": ")?;
    // `multipath: Failing path 8:16.` up to 5.x does not say whose path it is.
    let array = split(rest, ": ").map(|(name, _)| name).filter(|name| !name.contains(' ')).unwrap_or_default();
    match target {
        "multipath" if has(rest, "Failing path ") => Opened::line(
            new("path", array).with_opt("device", after(rest, "Failing path ").map(|d| d.trim_end_matches('.'))),
        ),
        "multipath" if has(rest, "Reinstating path ") => {
            let device = after(rest, "Reinstating path ").map(|d| d.trim_end_matches('.'));
            let mut event = new("ok", array).with_opt("device", device);
            (event.class, event.severity) = (class::CLEAN, Severity::Notice);
            Opened::line(event)
        }
        "multipath" if has(rest, "queue_if_no_path timeout") => Opened::line(new("path", array)),
        "thin" if has(rest, "switching pool to ") && !has(rest, "to write mode") => Opened::line(new("pool", array)),
        "thin" if has(rest, "low water mark for metadata") => {
            Opened::line(notice("pool", array, "the pool's metadata is nearly full; it becomes read-only when it is"))
        }
        "thin" if has(rest, "low water mark for data") => {
            Opened::line(notice("pool", array, "the pool is nearly full; writes wait, and then fail, when it is"))
        }
        // `unable to switch cache to write mode until repaired.`
        "thin" | "cache" if has(rest, "unable to switch ") && has(rest, " until repaired") => {
            Opened::line(new("metadata", array))
        }
        "raid" if rest.starts_with("Failed to read superblock of device") => Opened::line(new("superblock", "")),
        "block manager" | "array" if has(rest, "alidator check failed for block") => Opened::line(new("metadata", "")),
        "cache" | "thin" | "era" | "clone" if has(rest, "borting current metadata transaction") => {
            Opened::line(new("metadata", array))
        }
        "cache" if has(rest, "switching cache to ") && !has(rest, "write mode") => Opened::line(new("cache", array)),
        "verity" if rest.ends_with(" is corrupted") => {
            let mut event = new("integrity", array);
            event.class = class::FS_CORRUPTION;
            Opened::line(event)
        }
        "btree spine" if has(rest, "node_check failed") => Opened::line(new("metadata", "")),
        "snapshots" if has(rest, "nvalidating snapshot: ") => Opened::line(new("snapshot", "")),
        "integrity" if has(rest, "Checksum failed at sector ") => Opened::line(new("integrity", array)),
        "crypt" if has(rest, "INTEGRITY AEAD ERROR") => Opened::line(new("integrity", array)),
        "thin" | "cache" if has(rest, "metadata operation '") => {
            // drivers/md/dm-thin.c, dm-cache-target.c: the error is that of the B-tree below.
            let errno = number_after(rest, "error = -");
            let says = match errno {
                Some(28) => {
                    Some("its metadata is full; it becomes read-only, and thin_check and thin_repair may be due")
                }
                Some(5) => Some("its metadata could not be read or written: look at the disk below"),
                Some(15 | 61 | 74 | 84 | 117) => Some("its metadata is damaged"),
                _ => None,
            };
            Opened::line(new("pool", array).with_opt("errno", errno).with_opt("consequence", says))
        }
        "thin" if has(rest, "no free data space available") => Opened::line(new("pool", array)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{events, fields};

    #[test]
    fn an_array_that_starts_without_a_member_is_worth_telling() {
        for text in [
            "md/raid:md0: raid level 5 active with 3 out of 4 devices, algorithm 2",
            "md/raid1:md0: active with 1 out of 2 mirrors",
            "md/raid10:md0: active with 3 out of 4 devices",
        ] {
            let text = format!("[    5.123456] {text}");
            assert_eq!(fields(&text, &["what", "severity", "array"]), ["degraded", "notice", "md0"], "{text}");
        }
        for text in ["md/raid1:md0: active with 2 out of 2 mirrors", "md/raid1:md0: active with 1 out of 16 mirrors"] {
            assert!(events(&format!("[    5.123456] {text}")).is_empty(), "{text}");
        }
    }

    #[test]
    fn read_errors_and_paths_name_array_and_member() {
        for (text, what, array, device) in [
            (
                "md/raid10:md0: sdc1: Raid device exceeded read_error threshold [cur 21:max 20]",
                "read-error",
                "md0",
                "sdc1",
            ),
            ("md/raid1:md0: sda1: unrecoverable I/O read error for block 8", "read-error", "md0", "sda1"),
            ("device-mapper: multipath: Failing path 8:16.", "path", "", "8:16"),
            ("device-mapper: multipath: 253:2: Failing path 8:16.", "path", "253:2", "8:16"),
            ("device-mapper: multipath: 253:2: Reinstating path 8:16.", "ok", "253:2", "8:16"),
        ] {
            let text = format!("[ 5252.261501] {text}");
            assert_eq!(fields(&text, &["what", "array", "device"]), [what, array, device], "{text}");
        }
    }

    #[test]
    fn a_pool_says_by_its_error_what_it_lacks() {
        let of = |errno: u8| {
            let text = format!(
                "[   31.994000] device-mapper: thin: 253:5: metadata operation 'dm_thin_insert_block' failed: error = -{errno}"
            );
            fields(&text, &["title", "array", "errno", "consequence"])
        };
        assert_eq!(of(28)[..3], ["mapped device: pool", "253:5", "28"]);
        assert!(of(28)[3].contains("full") && of(61)[3].contains("damaged") && of(22)[3].is_empty());
    }

    #[test]
    fn what_a_disk_or_a_pool_announces_is_a_notice() {
        for (text, what, array) in [
            ("md0: mismatch sector in range 123-131", "mismatch", "md0"),
            ("md/raid:md5: read error corrected (8 sectors at 1234 on sdb1)", "corrected", "md5"),
            ("md/raid10:md1: read error corrected (8 sectors at 1234 on sdb1)", "corrected", "md1"),
            ("device-mapper: thin: 253:4: reached low water mark for data device: sending event.", "pool", "253:4"),
        ] {
            let text = format!("[ 5252.261501] {text}");
            assert_eq!(fields(&text, &["what", "severity", "array"]), [what, "notice", array], "{text}");
            assert!(!fields(&text, &["consequence"])[0].is_empty(), "{text}");
        }
        let text = "[ 5252.261501] device-mapper: cache: 253:5: unable to switch cache to write mode until repaired.";
        assert_eq!(fields(text, &["what", "severity"]), ["metadata", "failure"]);
        for text in
            ["btrfs: read error corrected: ino 1", "a mismatch sector in range of b", "repair: wait until repaired"]
        {
            assert!(events(&format!("[ 5252.261501] {text}")).is_empty(), "{text}");
        }
    }
}
