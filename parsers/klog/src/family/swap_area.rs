//! Swap that cannot be read or written, and page tables that name swap which is not there.

use facts::FieldType;

use super::{Before, Family, From, Opened, field, kind, no_body, no_finish};
use crate::cursor::{Cursor, between, has, split};
use crate::event::{Event, Severity};
use crate::{Line, class};

pub(super) static FAMILY: Family = Family {
    name: "swap_error",
    anchors: &["-error on swap-device (", "Bad swap file entry ", "Bad swap offset entry ", "Unused swap "],
    from: From::Kernel,
    open,
    body: no_body,
    finish: no_finish,
    kind: kind(
        "log.swap_error",
        "Swap cannot be read or written, or a page table names an entry of it that is not in use",
        &[
            field("what", FieldType::Text, "", "read-error, write-error, bad-entry"),
            field("device", FieldType::Text, "", "block device as major:minor"),
            field("sector", FieldType::Int, "sectors", "sector of 512 bytes"),
            field("entry", FieldType::Text, "", "entry of the page table, as printed"),
            field("in_function", FieldType::Text, "", "function that found it"),
        ],
    ),
};

fn open(line: &Line<'_>, _: Before<'_>) -> Option<Opened> {
    let text = line.text();
    let new = |what: &'static str, class| {
        Event::new(FAMILY.name, class, Severity::Failure)
            .titled(format!("swap: {}", what.replace('-', " ")))
            .with("what", what)
    };
    // mm/page_io.c: `Read-error on swap-device (253:1:12345)`
    if let Some((access, rest)) = split(text, "-error on swap-device (") {
        let what = match access {
            "Read" => "read-error",
            "Write" => "write-error",
            _ => return None,
        };
        let mut numbers = rest.split([':', ')']);
        let (major, minor) = (numbers.next()?, numbers.next()?);
        let sector = numbers.next().and_then(|n| Cursor::new(n).number());
        return Opened::line(
            new(what, class::IO_ERROR).with("device", format!("{major}:{minor}")).with_opt("sector", sector),
        );
    }
    // mm/swapfile.c: `get_swap_device: Bad swap file entry 1ffffffc0118a01`
    let (function, rest) = split(text, ": ")?;
    (has(function, "swap") && !has(function, " ") && has(rest, "entry ")).then_some(())?;
    let entry = between(rest, "entry ", " ").or_else(|| rest.rsplit(' ').next());
    Opened::line(new("bad-entry", class::BAD_PAGE).with("in_function", function).with_opt("entry", entry))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{events, fields};

    #[test]
    fn errors_of_swap_name_device_or_entry() {
        let read = "[ 5252.261501] Read-error on swap-device (253:1:12345)";
        assert_eq!(fields(read, &["what", "device", "sector", "class"]), ["read-error", "253:1", "12345", "io-error"]);
        for text in [
            "get_swap_device: Bad swap file entry 1ffffffc0118a01",
            "swap_info_get: Bad swap offset entry 1ffffffc0118a01",
            "_swap_info_get: Unused swap offset entry 00000001",
        ] {
            assert_eq!(
                fields(&format!("[ 5252.261501] {text}"), &["what", "class"]),
                ["bad-entry", "bad-page"],
                "{text}"
            );
        }
        assert!(
            events("[    5.261501] Adding 2097148k swap on /dev/vda2.  Priority:-2 extents:1 across:2097148k")
                .is_empty()
        );
    }
}
