//! Modules that taint the kernel while they are loaded.

use facts::FieldType;

use super::{Before, Family, From, Opened, field, kind, no_body, no_finish};
use crate::cursor::has;
use crate::event::{Event, Severity};
use crate::{Line, class};

pub(super) static FAMILY: Family = Family {
    name: "module_taint",
    anchors: &["taints kernel", "tainting kernel"],
    from: From::Kernel,
    open,
    body: no_body,
    finish: no_finish,
    kind: kind(
        "log.module_taint",
        "A module tainted the kernel when it was loaded",
        &[
            field("module", FieldType::Text, "", "its name"),
            field("reason", FieldType::Text, "", "out-of-tree, unsigned, license, staging or livepatch"),
        ],
    ),
};

fn open(line: &Line<'_>, _: Before<'_>) -> Option<Opened> {
    let (module, rest) = line.text().split_once(": ")?;
    if module.is_empty() || !module.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-')) {
        return None;
    }
    let reason = if rest.starts_with("loading out-of-tree module") {
        "out-of-tree"
    } else if rest.starts_with("module verification failed") {
        "unsigned"
    } else if rest.starts_with("module license") {
        "license"
    } else if has(rest, "staging directory") {
        "staging"
    } else if has(rest, "LIVEPATCH") {
        "livepatch"
    } else {
        return None;
    };
    Opened::line(
        Event::new(FAMILY.name, class::CLEAN, Severity::Notice)
            .titled(format!("module {module} taints the kernel"))
            .with("module", module)
            .with("reason", reason),
    )
}
