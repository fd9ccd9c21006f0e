//! `/proc/cmdline`.

use facts::Fact;

use crate::node::{Input, Node};
use crate::text::quote;

pub(crate) fn read(node: &mut Node, input: &Input<'_>) -> bool {
    let text = input.text.trim_matches(['\n', '\0', ' ']);
    // `/proc/<pid>/cmdline` separates with NUL, and other files of this name have several lines.
    if text.is_empty() || text.contains('\0') || text.lines().count() > 1 || !text.contains('=') {
        return false;
    }
    let value = |name: &str| text.split_ascii_whitespace().find_map(|w| w.strip_prefix(name)?.strip_prefix('='));
    let nokmem = text
        .split_ascii_whitespace()
        .filter_map(|w| w.strip_prefix("cgroup.memory="))
        .any(|v| v.split(',').any(|w| w == "nokmem"));
    let fact = Fact::new("node.cmdline", input.whole())
        .with("text", text)
        .with("nokmem", nokmem)
        .with_opt("crashkernel", value("crashkernel"))
        .with_opt("slub_debug", value("slub_debug").or_else(|| value("slab_debug")))
        .with("capture_kernel", text.contains("elfcorehdr="))
        .quoting(quote(text));
    node.push_once(fact);
    true
}
