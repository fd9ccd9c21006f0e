//! Error numbers in the texts of filesystems: the number tells what failed, whatever the sentence around it says.

use crate::class;
use crate::cursor::Cursor;
use crate::event::Event;

/// EIO and what transports return in its place.
const IO: &[i64] = &[5, 6, 19, 110, 121];
/// EUCLEAN, which filesystems call EFSCORRUPTED, and EBADMSG, which they call EFSBADCRC.
const DAMAGE: &[i64] = &[74, 117];
const NO_MEMORY: i64 = 12;
/// ENOSPC and EDQUOT.
const NO_SPACE: &[i64] = &[28, 122];
const READ_ONLY: i64 = 30;

/// What filesystems print in place of the number (`btrfs_decode_error`, `ext4_decode_error`).
const NAMES: &[(&str, i64)] = &[
    ("IO failure", 5),
    ("Filesystem corrupted", 117),
    ("Corrupt filesystem", 117),
    ("Out of memory", NO_MEMORY),
    ("No space left", 28),
    ("Readonly filesystem", READ_ONLY),
    ("Filesystem is readonly", READ_ONLY),
];

/// The error number of a text, positive: `error -5`, `Error -5`, `errno=-5`, `error 117`, a name, or `: -5` at the end.
pub(super) fn errno_in(text: &str) -> Option<i64> {
    numbered(text)
        .or_else(|| NAMES.iter().find(|(name, _)| text.starts_with(name)).map(|(_, n)| *n))
        .or_else(|| text.rsplit_once(": -").and_then(|(_, n)| n.parse::<i64>().ok()))
        .filter(|n| (1..4096).contains(n))
}

fn numbered(text: &str) -> Option<i64> {
    for (at, _) in text.match_indices("rr") {
        let rest = text.get(at + 2..).unwrap_or_default();
        let rest = rest.strip_prefix("or").or_else(|| rest.strip_prefix("no")).unwrap_or(rest);
        let rest = rest.trim_start_matches([' ', '=', ':', '(']);
        let word = rest.split([' ', ',', '.', ')', ';', ':']).next().unwrap_or(rest);
        // A positive number is one only where it can be: block and inode numbers stand behind `error` too.
        if let Ok(n) = word.parse::<i64>()
            && (n < 0 || (1..=133).contains(&n))
        {
            return Some(n.abs());
        }
    }
    None
}

/// Says by the error number what failed. A stop of the filesystem stays one, but its class is that of its cause.
pub(super) fn judged(mut event: Event) -> Event {
    let Some(errno) = event.fields.get("errno").and_then(|n| n.as_int()) else { return event };
    let (class, what) = if IO.contains(&errno) {
        (class::IO_ERROR, "io-error")
    } else if DAMAGE.contains(&errno) {
        (class::FS_CORRUPTION, "corruption")
    } else if NO_SPACE.contains(&errno) {
        (class::RESOURCE_EXHAUSTION, "no-space")
    } else if errno == NO_MEMORY {
        (class::RESOURCE_EXHAUSTION, "no-memory")
    } else if errno == READ_ONLY {
        (class::FS_SHUTDOWN, "read-only")
    } else {
        return event;
    };
    let said = event.fields.get("what").and_then(|w| w.as_text()).unwrap_or_default().to_owned();
    match said.as_str() {
        // What the filesystem does itself, not what it met.
        "shutdown" | "not-responding" | "evicted" | "state-recovery" => return event,
        "abort" | "mount" => event.class = class,
        _ => {
            event.class = class;
            if let Some(name) = event.fields.get("filesystem").and_then(|n| n.as_text()) {
                event.title = format!("{name}: {what}");
            }
            event.set("what", what);
        }
    }
    event
}

/// The number behind `Transaction aborted (error -28)`: the message of the WARN that Btrfs ends a transaction with.
pub(super) fn of_abort(message: &str) -> Option<i64> {
    let rest = message.strip_prefix("BTRFS: Transaction aborted (error ")?;
    Cursor::new(rest).int().map(i64::abs)
}

#[cfg(test)]
mod tests {
    use super::super::tests::fields;
    use super::errno_in;

    #[test]
    fn numbers_are_found_where_filesystems_print_them() {
        for (text, want) in [
            ("Error -5 reading block bitmap for 211", Some(5)),
            ("errno=-28 No space left", Some(28)),
            ("metadata I/O error in \"f\" at daddr 0x2 len 8 error 117", Some(117)),
            ("log mount/recovery failed: error -117", Some(117)),
            ("IO failure", Some(5)),
            ("open_ctree failed: -22", Some(22)),
            ("deleted inode referenced: 12", None),
            ("error reading block 12345", None),
            ("bdev /dev/sda errs: wr 0, rd 1, flush 0", None),
        ] {
            assert_eq!(errno_in(text), want, "{text}");
        }
    }

    #[test]
    fn the_number_tells_what_failed() {
        for (text, what, class) in [
            (
                "EXT4-fs error (device sdm): ext4_wait_block_bitmap:520: comm x: Error -5 reading block bitmap for 21",
                "io-error",
                "io-error",
            ),
            ("EXT4-fs error (device dm-0) in ext4_truncate:3932: Out of memory", "no-memory", "resource-exhaustion"),
            ("EXT4-fs error (device dm-0) in ext4_setattr:77: Readonly filesystem", "read-only", "fs-shutdown"),
            (
                "XFS (sda1): metadata I/O error in \"f+0x1/0x2\" at daddr 0x2 len 8 error 74",
                "corruption",
                "fs-corruption",
            ),
            ("XFS (dm-6): log mount/recovery failed: error -117", "mount", "fs-corruption"),
            ("BTRFS: error (device dm-3) in f:2736: errno=-28 No space left", "abort", "resource-exhaustion"),
            (
                "BTRFS error (device vda3): bdev /dev/vda3 errs: wr 0, rd 0, flush 0, corrupt 1, gen 0",
                "corruption",
                "fs-corruption",
            ),
            (
                "BTRFS error (device vda3): bdev /dev/vda3 errs: wr 2, rd 0, flush 0, corrupt 1, gen 0",
                "io-error",
                "io-error",
            ),
            ("BTRFS error (device sdc2): open_ctree failed: -22", "mount", "io-error"),
        ] {
            assert_eq!(fields(&format!("[   52.261501] {text}"), &["what", "class"]), [what, class], "{text}");
        }
    }
}
