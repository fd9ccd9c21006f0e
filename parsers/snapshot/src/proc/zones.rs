//! `/proc/buddyinfo` and `/proc/zoneinfo`.

use facts::Fact;

use crate::node::{Input, Node};

/// Tells the two apart: their first lines begin alike.
pub(crate) fn either(node: &mut Node, input: &Input<'_>) -> bool {
    buddyinfo(node, input) || zoneinfo(node, input)
}

/// Rows `Node 0, zone   Normal  123 45 ...`: free blocks of each order.
pub(crate) fn buddyinfo(node: &mut Node, input: &Input<'_>) -> bool {
    let mut found = false;
    for (i, line) in input.text.lines().enumerate().take(256) {
        let Some((numa, zone, rest)) = zone_line(line) else { continue };
        let counts: Vec<i64> = rest.filter_map(|w| w.parse().ok()).collect();
        if counts.len() < 4 {
            continue;
        }
        found = true;
        let pages: i64 = counts.iter().enumerate().map(|(order, n)| n.saturating_mul(1 << order.min(20))).sum();
        let highest = counts.iter().rposition(|n| *n > 0).and_then(|o| i64::try_from(o).ok());
        node.push(
            Fact::new("node.buddyinfo", input.line(i))
                .with("node", numa)
                .with("zone", zone)
                .with("free_pages", pages)
                .with_opt("highest_order", highest)
                .with("free_blocks", counts)
                .quoting(crate::text::quote(line)),
        );
    }
    found
}

/// Free pages against the watermarks of each zone.
pub(crate) fn zoneinfo(node: &mut Node, input: &Input<'_>) -> bool {
    let mut zone: Option<Fact> = None;
    let mut found = false;
    for (i, line) in input.text.lines().enumerate() {
        if let Some((numa, name, mut rest)) = zone_line(line) {
            if rest.next().is_some() {
                return found;
            }
            if let Some(done) = zone.take() {
                node.push(done);
            }
            zone = Some(Fact::new("node.zone", input.line(i)).with("node", numa).with("zone", name));
            found = true;
            continue;
        }
        let Some(fact) = zone.as_mut() else { continue };
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        match words[..] {
            ["pages", "free", n] => set(fact, "free_pages", n),
            [name @ ("min" | "low" | "high" | "present" | "managed"), n] => {
                let field = match name {
                    "min" => "min_pages",
                    "low" => "low_pages",
                    "high" => "high_pages",
                    "present" => "present_pages",
                    _ => "managed_pages",
                };
                set(fact, field, n);
            }
            _ => {}
        }
    }
    if let Some(done) = zone {
        node.push(done);
    }
    found
}

fn set(fact: &mut Fact, field: &'static str, text: &str) {
    if let Ok(value) = text.parse::<i64>()
        && fact.get(field).is_none()
    {
        fact.set(field, value);
    }
}

fn zone_line(line: &str) -> Option<(i64, &str, std::str::SplitAsciiWhitespace<'_>)> {
    let rest = line.trim_start().strip_prefix("Node ")?;
    let (numa, rest) = rest.split_once(',')?;
    let mut words = rest.trim_start().strip_prefix("zone")?.split_ascii_whitespace();
    let zone = words.next()?;
    Some((numa.trim().parse().ok()?, zone, words))
}
