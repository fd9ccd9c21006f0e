//! Live patches that are applied to, or taken from, the running kernel.

use facts::FieldType;

use super::{Before, Family, From, Opened, field, kind, no_body, no_finish};
use crate::cursor::{between, has};
use crate::event::{Event, Severity};
use crate::{Line, class};

pub(super) static FAMILY: Family = Family {
    name: "livepatch",
    anchors: &["livepatch: ", "kpatch: "],
    from: From::Kernel,
    open,
    body: no_body,
    finish: no_finish,
    kind: kind(
        "log.livepatch",
        "A live patch was applied or taken back",
        &[
            field("patch", FieldType::Text, "", "its name"),
            field("state", FieldType::Text, "", "enabling, enabled, disabling, disabled, failed"),
        ],
    ),
};

fn open(line: &Line<'_>, _: Before<'_>) -> Option<Opened> {
    let text = line.text();
    let rest = text.strip_prefix("livepatch: ").or_else(|| text.strip_prefix("kpatch: "))?;
    let patch = between(rest, "'", "'")?;
    let state = if has(rest, "patching complete") && !has(rest, "unpatching") || rest.starts_with("loaded patch") {
        "enabled"
    } else if has(rest, "unpatching complete") || rest.starts_with("unloaded patch") {
        "disabled"
    } else if rest.starts_with("enabling patch") || has(rest, "starting patching") {
        "enabling"
    } else if rest.starts_with("disabling patch") || has(rest, "starting unpatching") {
        "disabling"
    } else if rest.starts_with("failed to") {
        "failed"
    } else {
        return None;
    };
    Opened::line(
        Event::new(FAMILY.name, class::CLEAN, Severity::Notice)
            .titled(format!("live patch {state}"))
            .with("patch", patch)
            .with("state", state),
    )
}

#[cfg(test)]
mod tests {
    use super::super::tests::fields;

    #[test]
    fn a_patch_and_its_state() {
        for (text, state) in [
            ("livepatch: enabling patch 'livepatch_route'", "enabling"),
            ("livepatch: 'livepatch_route': patching complete", "enabled"),
            ("livepatch: 'livepatch_route': unpatching complete", "disabled"),
        ] {
            assert_eq!(
                fields(&format!("[   52.261501] {text}"), &["patch", "state"]),
                ["livepatch_route", state],
                "{text}"
            );
        }
    }
}
