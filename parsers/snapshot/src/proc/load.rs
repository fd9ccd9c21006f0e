//! `/proc/loadavg`, `/proc/uptime` and the `uptime` command.

use facts::Fact;

use crate::node::{Input, Node};
use crate::text::quote;

/// `0.25 0.06 0.02 1/59 1234`
pub(crate) fn loadavg(node: &mut Node, input: &Input<'_>) -> bool {
    let words: Vec<&str> = input.text.split_ascii_whitespace().collect();
    let [one, five, fifteen, tasks, ..] = words[..] else { return false };
    let (Ok(one), Ok(five), Ok(fifteen)) = (one.parse::<f64>(), five.parse::<f64>(), fifteen.parse::<f64>()) else {
        return false;
    };
    let (running, total) = tasks.split_once('/').unwrap_or_default();
    node.push_once(
        Fact::new("node.load", input.whole())
            .with("load1", one)
            .with("load5", five)
            .with("load15", fifteen)
            .with_opt("running", running.parse::<i64>().ok())
            .with_opt("tasks", total.parse::<i64>().ok())
            .quoting(quote(input.text)),
    );
    true
}

/// `39660.12 150000.00`: seconds up and idle.
pub(crate) fn uptime(node: &mut Node, input: &Input<'_>) -> bool {
    let mut words = input.text.split_ascii_whitespace();
    let (Some(up), Some(_), None) = (words.next(), words.next(), words.next()) else { return false };
    let Ok(up) = up.parse::<f64>() else { return false };
    node.push_once(Fact::new("node.uptime", input.whole()).with("seconds", up).quoting(quote(input.text)));
    true
}

/// ` 09:39:55 up 11:01,  1 user,  load average: 2.00, 1.45, 1.28`
pub(crate) fn uptime_command(node: &mut Node, input: &Input<'_>) -> bool {
    if uptime(node, input) {
        return true;
    }
    let Some((_, loads)) = input.text.split_once("load average: ") else { return false };
    let loads: Vec<f64> = loads.trim().split(", ").filter_map(|w| w.trim().replace(',', ".").parse().ok()).collect();
    let [one, five, fifteen] = loads[..] else { return false };
    node.push_once(
        Fact::new("node.load", input.whole())
            .with("load1", one)
            .with("load5", five)
            .with("load15", fifteen)
            .quoting(quote(input.text)),
    );
    true
}
