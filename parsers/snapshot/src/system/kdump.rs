//! Whether a crash dump could have been taken.

use facts::Fact;

use crate::node::{Input, Node};
use crate::text::{number, quote};

/// `/sys/kernel/kexec_crash_loaded`
pub(crate) fn loaded(node: &mut Node, input: &Input<'_>) -> bool {
    let Some(value) = number(input.text) else { return false };
    node.push(
        Fact::new("node.kdump", input.whole())
            .with("what", if value == 1 { "loaded" } else { "not-loaded" })
            .with("loaded", value == 1)
            .quoting(format!("kexec_crash_loaded is {value}")),
    );
    true
}

/// `/sys/kernel/kexec_crash_size`
pub(crate) fn size(node: &mut Node, input: &Input<'_>) -> bool {
    let Some(bytes) = number(input.text) else { return false };
    node.push(
        Fact::new("node.kdump", input.whole())
            .with("what", if bytes > 0 { "reserved" } else { "not-reserved" })
            .with("reserved_bytes", bytes)
            .quoting(format!("kexec_crash_size is {bytes}")),
    );
    true
}

/// Status of the kdump service.
pub(crate) fn status(node: &mut Node, input: &Input<'_>) -> bool {
    let text = input.text;
    let line = |needle: &str| text.lines().enumerate().find(|(_, l)| l.contains(needle));
    const STATES: &[(&str, &str)] = &[
        ("Kdump is operational", "armed"),
        ("Kdump is not operational", "not-armed"),
        ("ready to kdump", "armed"),
        ("Not ready to kdump", "not-armed"),
        ("Active: failed", "not-armed"),
        ("Active: inactive", "not-armed"),
        ("Active: active", "armed"),
    ];
    // The negative form contains the positive one in lower case: it is asked first.
    let order = [3, 1, 0, 2, 4, 5, 6];
    for (needle, what) in order.iter().filter_map(|i| STATES.get(*i)) {
        if let Some((i, found)) = line(needle) {
            node.push(
                Fact::new("node.kdump", input.line(i))
                    .with("what", *what)
                    .with("text", quote(found))
                    .quoting(quote(found)),
            );
            return true;
        }
    }
    false
}
