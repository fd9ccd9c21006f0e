//! syslogd's broadcasts to terminals: ` kernel:text` below `Message from syslogd@host at ...`.

use super::Prefix;
use crate::line::Writer;

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
