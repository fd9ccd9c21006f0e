//! `/proc/net/dev` and `/proc/net/sockstat`.

use facts::Fact;

use crate::node::{Input, Node};

/// Interfaces with errors or drops; all are counted.
pub(crate) fn dev(node: &mut Node, input: &Input<'_>) -> bool {
    if !input.text.contains("|bytes") {
        return false;
    }
    let mut names = Vec::new();
    for (i, line) in input.text.lines().enumerate().skip(2) {
        let Some((name, rest)) = line.split_once(':') else { continue };
        let n: Vec<i64> = rest.split_ascii_whitespace().filter_map(|w| w.parse().ok()).collect();
        let (Some(rx_errors), Some(rx_drops), Some(tx_errors), Some(tx_drops)) =
            (n.get(2), n.get(3), n.get(10), n.get(11))
        else {
            continue;
        };
        let name = name.trim();
        names.push(name);
        if rx_errors + rx_drops + tx_errors + tx_drops > 0 {
            node.push(
                Fact::new("node.interface", input.line(i))
                    .with("name", name)
                    .with("rx_errors", *rx_errors)
                    .with("rx_drops", *rx_drops)
                    .with("tx_errors", *tx_errors)
                    .with("tx_drops", *tx_drops),
            );
        }
    }
    let veths = names.iter().filter(|n| n.starts_with("veth") || n.starts_with("cali")).count();
    node.push_once(
        Fact::new("node.interfaces", input.whole()).with("count", names.len()).with("veth", veths).with("names", names),
    );
    true
}

/// `TCP: inuse 5 orphan 0 tw 0 alloc 9 mem 2`
pub(crate) fn sockstat(node: &mut Node, input: &Input<'_>) -> bool {
    let mut fact = Fact::new("node.sockstat", input.whole());
    for line in input.text.lines() {
        let Some((family, rest)) = line.split_once(':') else { continue };
        let words: Vec<&str> = rest.split_ascii_whitespace().collect();
        for pair in words.chunks(2) {
            let [name, value] = pair else { continue };
            let Ok(value) = value.parse::<i64>() else { continue };
            let field = match (family, *name) {
                ("sockets", "used") => "sockets_used",
                ("TCP", "inuse") => "tcp_inuse",
                ("TCP", "orphan") => "tcp_orphan",
                ("TCP", "tw") => "tcp_time_wait",
                ("TCP", "alloc") => "tcp_alloc",
                ("TCP", "mem") => "tcp_mem_pages",
                ("UDP", "inuse") => "udp_inuse",
                _ => continue,
            };
            fact.set(field, value);
        }
    }
    if fact.values.is_empty() {
        return false;
    }
    node.push_once(fact);
    true
}
