//! Dentries still in use when their filesystem is unmounted.

use facts::FieldType;

use super::{Before, Family, From, Opened, field, kind, no_body, no_finish};
use crate::cursor::{between, has};
use crate::event::{Event, Severity};
use crate::{Line, class};

pub(super) static FAMILY: Family = Family {
    name: "vfs_leftover",
    anchors: &["BUG: Dentry "],
    from: From::Kernel,
    open,
    body: no_body,
    finish: no_finish,
    kind: kind(
        "log.vfs_leftover",
        "A dentry outlives its filesystem",
        &[
            field("device", FieldType::Text, "", "filesystem type and device that was unmounted"),
            field("name", FieldType::Text, "", "name of the dentry"),
        ],
    ),
};

fn open(line: &Line<'_>, _: Before<'_>) -> Option<Opened> {
    let text = line.text();
    (text.starts_with("BUG: Dentry ") && has(text, "still in use")).then_some(())?;
    // A trace may follow.
    Opened::trace(
        Event::new(FAMILY.name, class::BUG_ON, Severity::Report)
            .titled("BUG: Dentry still in use")
            .with_opt("name", between(text, "n=", "}"))
            .with_opt("device", between(text, "[unmount of ", "]")),
    )
}

#[cfg(test)]
mod tests {
    use super::super::tests::fields;

    #[test]
    fn a_dentry_in_use_is_named() {
        let text = "[   52.261501] BUG: Dentry ffff888012345678{i=1,n=file}  still in use (1) [unmount of ext4 sda1]";
        assert_eq!(fields(text, &["class", "name", "device"]), ["bug-on", "file", "ext4 sda1"]);
    }
}
