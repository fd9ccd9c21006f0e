//! Records of `/dev/kmsg` and of extended netconsole: `6,416,1758426,-,caller=T1;text`.

use facts::Stamp;

use super::{Prefix, printk};
use crate::cursor::Cursor;
use crate::line::Writer;

/// Recognises the header up to its semicolon.
pub(super) fn strip(text: &str) -> Option<Prefix<'_>> {
    let mut c = Cursor::new(text);
    // netconsole may put the release in front.
    if !text.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let mut ahead = c;
    let release = ahead.run(|c| c.is_ascii_graphic() && c != ',' && c != ';');
    if release.contains('.') && ahead.take(",") {
        c = ahead;
    }
    let priority = c.number()?;
    if !c.take(",") {
        return None;
    }
    c.number()?;
    if !c.take(",") {
        return None;
    }
    let micros = i64::try_from(c.number()?).ok()?;
    if !c.take(",") || !matches!(c.rest().as_bytes().first(), Some(b'-' | b'c' | b'+')) {
        return None;
    }
    let header = c.until(";")?;
    let caller = header
        .split(',')
        .find_map(|field| field.strip_prefix("caller="))
        .and_then(|id| printk::caller(&mut Cursor::new(&format!("[{id}]"))));
    Some(Prefix {
        time: micros.checked_mul(1000).map(Stamp::since_boot),
        caller,
        level: Some((priority & 7) as u8),
        facility: u8::try_from(priority >> 3).ok(),
        writer: if priority >> 3 == 0 { Writer::Kernel } else { Writer::Program },
        rest: c.rest(),
        ..Prefix::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_fields_are_read_and_unknown_ones_skipped() {
        let p = strip("6,416,1758426,-,caller=C2,new=1;the text").unwrap();
        assert_eq!((p.level, p.caller, p.rest), (Some(6), Some(crate::Caller::Cpu(2)), "the text"));
        assert_eq!(p.time.unwrap().since_boot_ns, Some(1_758_426_000));
        assert_eq!(strip("6.12.0-foo,6,416,1758426,-;x").unwrap().rest, "x");
    }
}
