//! `journalctl -o short-monotonic` and `-o short-delta`, and the lines journalctl itself adds.

use super::{Prefix, syslog};
use crate::line::Writer;

/// The part behind a monotonic stamp: `host kernel: text`. A kernel message is hardly of that form: the tag must be
/// `kernel` or carry a pid.
pub(super) fn monotonic(rest: &str) -> Option<Prefix<'_>> {
    // Frames, registers and most other lines do not even begin like a host.
    if !rest.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return None;
    }
    let mut prefix = Prefix::default();
    let space = memchr::memchr(b' ', rest.as_bytes())?;
    let (host, tail) = (rest.get(..space)?, rest.get(space + 1..)?);
    let end = tail.bytes().position(|b| matches!(b, b' ' | b':'))?;
    let word = tail.get(..end)?;
    if !word.ends_with(']') && word != "kernel" {
        return None;
    }
    // `{1}[Hardware Error]: text` is the kernel's: only a bracket with a number makes a tag.
    let pid =
        word.strip_suffix(']').and_then(|w| w.rsplit_once('[')).is_some_and(|(_, pid)| pid.parse::<u32>().is_ok());
    if host.ends_with(':') || !(word == "kernel" || pid) || !tail[end..].starts_with(':') {
        return None;
    }
    syslog::tagged(rest, &mut prefix)?;
    Some(prefix)
}

/// `-- Reboot --` and the other lines that journalctl writes itself: they are no program's and no kernel's text.
pub(super) fn strip(text: &str) -> Option<Prefix<'_>> {
    (text.starts_with("-- ") && text.ends_with(" --")).then_some(Prefix {
        writer: Writer::Program,
        tag: Some("journalctl"),
        rest: text,
        ..Prefix::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_behind_the_stamp_is_recognised() {
        assert_eq!(monotonic("node1 kernel: Call Trace:").unwrap().rest, "Call Trace:");
        assert!(monotonic("BUG: kernel NULL pointer dereference").is_none());
        assert!(monotonic("watchdog: BUG: soft lockup - CPU#1").is_none());
        assert!(monotonic("{1}[Hardware Error]: event severity: corrected").is_none());
        assert!(monotonic("node1 kubelet[77]: x").is_some());
    }
}
