//! `slabtop -o`.

use facts::Fact;

use crate::node::{Input, Node};
use crate::text::quote;

/// A whole file.
pub(crate) fn read(node: &mut Node, input: &Input<'_>) -> bool {
    anywhere(node, input)
}

/// Tables wherever they stand in a text.
pub(super) fn in_text(node: &mut Node, input: &Input<'_>) {
    anywhere(node, input);
}

/// Reads tables somewhere in a text; true when there was one.
fn anywhere(node: &mut Node, input: &Input<'_>) -> bool {
    let mut in_table = false;
    let mut found = false;
    let mut rows = 0;
    for (i, line) in input.text.lines().enumerate() {
        if line.contains("OBJS ACTIVE") && line.contains("CACHE SIZE NAME") {
            (in_table, found, rows) = (true, true, 0);
            continue;
        }
        if !in_table || rows >= 12 {
            continue;
        }
        // `  OBJS ACTIVE  USE OBJ SIZE  SLABS OBJ/SLAB CACHE SIZE NAME`
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let [objs, active, _use, size, _slabs, _per_slab, cache_size, name] = words[..] else {
            in_table = false;
            continue;
        };
        let (Ok(objs), Ok(active)) = (objs.parse::<i64>(), active.parse::<i64>()) else { continue };
        let size = size.strip_suffix('K').and_then(|s| s.replace(',', ".").parse::<f64>().ok());
        let kb = cache_size.strip_suffix('K').and_then(|s| s.parse::<i64>().ok());
        rows += 1;
        node.push(
            Fact::new("node.slabinfo", input.line(i))
                .with("cache", name)
                .with("active_objs", active)
                .with("num_objs", objs)
                .with_opt("object_bytes", size.map(|k| (k * 1024.0) as i64))
                .with_opt("bytes", kb.map(|k| k.saturating_mul(1024)))
                .quoting(quote(line)),
        );
    }
    found
}
