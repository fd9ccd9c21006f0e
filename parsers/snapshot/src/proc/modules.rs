//! `/proc/modules`: out-of-tree and other tainting modules.

use facts::Fact;

use crate::node::{Input, Node};
use crate::text::quote;

/// Rows `name size refs deps, Live 0x... (OE)`. Modules that taint are facts; the rest is counted.
pub(crate) fn read(node: &mut Node, input: &Input<'_>) -> bool {
    let mut count = 0i64;
    let mut all = Vec::new();
    for (i, line) in input.text.lines().enumerate() {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let [name, size, _refs, _deps, state @ ("Live" | "Loading" | "Unloading"), ..] = words[..] else {
            if count == 0 {
                return false;
            }
            continue;
        };
        count += 1;
        all.push(name);
        let flags = words.last().and_then(|w| w.strip_prefix('(')?.strip_suffix(')'));
        if flags.is_some() || state != "Live" {
            node.push(
                Fact::new("node.module", input.line(i))
                    .with("name", name)
                    .with_opt("size_bytes", size.parse::<i64>().ok())
                    .with("state", state)
                    .with("taint", flags.unwrap_or_default())
                    .quoting(quote(line)),
            );
        }
    }
    if count > 0 {
        node.push_once(Fact::new("node.modules", input.whole()).with("count", count).with("names", all));
    }
    count > 0
}
