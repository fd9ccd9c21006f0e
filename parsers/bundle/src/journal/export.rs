//! `journalctl -o export`: `FIELD=value` lines, binary fields with a length, an empty line after each entry.

use facts::Gap;

use super::{Entry, WANTED};
use crate::Flow;

pub(super) fn read(bytes: &[u8], visit: &mut dyn FnMut(Entry) -> Flow) -> Vec<Gap> {
    let mut rest = bytes;
    let mut entry = Entry::default();
    let mut filled = false;
    while !rest.is_empty() {
        let end = rest.iter().position(|b| *b == b'\n').unwrap_or(rest.len());
        let (line, after) = (rest.get(..end).unwrap_or_default(), rest.get(end + 1..).unwrap_or_default());
        rest = after;
        if line.is_empty() {
            if std::mem::take(&mut filled) && visit(std::mem::take(&mut entry)) == Flow::Stop {
                return Vec::new();
            }
            continue;
        }
        filled = true;
        if let Some(equals) = line.iter().position(|b| *b == b'=') {
            let (name, value) = (line.get(..equals).unwrap_or_default(), line.get(equals + 1..).unwrap_or_default());
            take(&mut entry, name, value);
            continue;
        }
        // A binary value: its length in eight bytes, the value, a newline.
        let value = rest.first_chunk::<8>().and_then(|length| {
            let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
            rest.get(8..8usize.checked_add(length)?)
        });
        let Some(value) = value else {
            let place = format!("byte {}", bytes.len() - rest.len());
            let why = "a binary field goes on behind the end of the text";
            return vec![Gap::new("rest of the journal", place, why, "the whole export")];
        };
        take(&mut entry, line, value);
        rest = rest.get(8 + value.len() + 1..).unwrap_or_default();
    }
    if filled {
        visit(entry);
    }
    Vec::new()
}

fn take(entry: &mut Entry, name: &[u8], value: &[u8]) {
    if let Some(name) = std::str::from_utf8(name).ok().filter(|n| WANTED.contains(n)) {
        entry.take(name, value);
    }
}
