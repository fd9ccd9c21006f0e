//! syslogd's broadcasts to terminals: ` kernel:text` below `Message from syslogd@host at ...`.

use super::Prefix;
use crate::{Line, line::Writer};

/// Is the line one of a broadcast? No other carrier names the kernel and neither a host nor a time of day.
pub(crate) fn is_broadcast(line: &Line<'_>) -> bool {
    line.tag == Some("kernel") && line.host.is_none() && line.time.is_none_or(|time| time.wall_ns.is_none())
}

/// Bytes in which the line of the log is looked for.
const NEAR: usize = 4096;

/// Does the text below hold the line of the log itself, of which this one is the broadcast?
pub(crate) fn is_written_below(line: &Line<'_>, behind: &[u8]) -> bool {
    let near = behind.get(..NEAR).unwrap_or(behind);
    if line.body.is_empty() {
        return false;
    }
    memchr::memmem::find_iter(near, line.body.as_bytes()).any(|at| {
        let start = memchr::memrchr(b'\n', &near[..at]).map_or(0, |end| end + 1);
        let head = near.get(start..at).unwrap_or_default().trim_ascii_start();
        !head.is_empty() && !head.starts_with(b"kernel:")
    })
}

/// Recognises `kernel:` at the start, with or without a blank around it.
pub(super) fn strip(text: &str) -> Option<Prefix<'_>> {
    let rest = text.trim_start_matches(' ').strip_prefix("kernel:")?;
    Some(Prefix {
        tag: Some("kernel"),
        writer: Writer::Kernel,
        rest: rest.strip_prefix(' ').unwrap_or(rest),
        ..Prefix::default()
    })
}
