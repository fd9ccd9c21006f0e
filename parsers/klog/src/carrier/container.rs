//! Container runtimes and hypervisors: CRI lines, VMware guest logs.

use super::{Prefix, calendar};
use crate::cursor::Cursor;

/// Recognises `STAMP stdout F text` and `STAMP In(05) vcpu-5 - Guest: text`.
pub(super) fn strip(text: &str) -> Option<Prefix<'_>> {
    let mut c = Cursor::new(text);
    let time = calendar::iso(&mut c);
    if time.is_some() {
        c.blanks();
        let mut cri = c;
        if (cri.take("stdout ") || cri.take("stderr ")) && (cri.take("F ") || cri.take("P ")) {
            return Some(Prefix { time, rest: cri.rest(), ..Prefix::default() });
        }
    }
    if (text.starts_with("vcpu-") || c.rest().contains("vcpu-")) && c.skip_past(" Guest: ") {
        return Some(Prefix { time, rest: c.rest(), ..Prefix::default() });
    }
    None
}
