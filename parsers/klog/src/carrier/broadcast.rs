//! syslogd's broadcasts to terminals: ` kernel:text` below `Message from syslogd@host at ...`.

use super::Prefix;
use crate::{Line, line::Writer};

/// Is the line one of a broadcast? No other carrier names the kernel and neither a host nor a time of day.
pub(crate) fn is_broadcast(line: &Line<'_>) -> bool {
    line.tag == Some("kernel") && line.host.is_none() && line.time.is_none_or(|time| time.wall_ns.is_none())
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
