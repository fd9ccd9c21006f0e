//! Tables and limits that are full: connection tracking, neighbours, sockets, files, processes of a cgroup.

use facts::FieldType;

use super::{Before, Family, From, Opened, field, kind, no_body, no_finish};
use crate::cursor::{after, between, has, number_after, split};
use crate::event::{Event, Severity};
use crate::{Line, class};

pub(super) static FAMILY: Family = Family {
    name: "limit_reached",
    anchors: &[
        "conntrack: table full",
        "able overflow",
        "too many orphaned sockets",
        "out of memory -- consider tuning tcp_mem",
        "Possible SYN flooding on port",
        "fork rejected by pids controller",
        "file-max limit ",
        ": dropped over-mtu packet: ",
    ],
    from: From::Kernel,
    open,
    body: no_body,
    finish: no_finish,
    kind: kind(
        "log.limit_reached",
        "A table or a counter of the kernel is full and requests are refused",
        &[
            field(
                "what",
                FieldType::Text,
                "",
                "conntrack, neighbour, orphans, tcp-memory, syn-backlog, pids, files, over-mtu",
            ),
            field("limit_of", FieldType::Text, "", "the same, by which limits are told apart"),
            field("limit", FieldType::Int, "", "the limit, where printed"),
            field("table", FieldType::Text, "", "name of the neighbour table, the network namespace, or the device"),
            field("cgroup", FieldType::Text, "", "cgroup whose limit it is"),
            field("port", FieldType::Int, "", "port of a flooded socket"),
        ],
    ),
};

fn open(line: &Line<'_>, _: Before<'_>) -> Option<Opened> {
    let text = line.text();
    let event = |what: &str| {
        Event::new(FAMILY.name, class::RESOURCE_EXHAUSTION, Severity::Failure)
            .titled(format!("limit reached: {what}"))
            .with("what", what)
            .with("limit_of", what)
    };
    let head = text.split(": ").next().unwrap_or(text);
    let event = if head.ends_with("nf_conntrack") || head.ends_with("ip_conntrack") {
        let rest = after(text, "conntrack: ")?;
        // `nf_conntrack: nf_conntrack: table full` stands in older logs.
        has(rest, "table full").then_some(())?;
        event("conntrack").with_opt("table", between(rest, "in netns ", ","))
    } else if text.starts_with("neighbour: ") && has(text, "table overflow") {
        let table = text.split(": ").nth(1)?;
        event("neighbour").with("table", table)
    } else if text.strip_prefix("ipv4: ").unwrap_or(text).to_ascii_lowercase().starts_with("neighbour table overflow") {
        event("neighbour")
    } else if text.starts_with("TCP: too many orphaned sockets")
        || text.starts_with("TCP: too many of orphaned sockets")
    {
        event("orphans")
    } else if text.starts_with("TCP: out of memory -- consider") {
        event("tcp-memory")
    } else if has(text, "Possible SYN flooding on port") && (text.starts_with("TCP: ") || text.starts_with("possible"))
    {
        let mut event = event("syn-backlog");
        event.severity = Severity::Notice;
        let port = after(text, "on port ").map(|t| split(t, ". ").map_or(t, |(p, _)| p));
        event.with_opt(
            "port",
            port.and_then(|p| p.rsplit(':').next()).and_then(|p| p.trim_end_matches('.').parse::<u32>().ok()),
        )
    } else if text.starts_with("cgroup: fork rejected by pids controller in ") {
        event("pids").with_opt("cgroup", after(text, "controller in "))
    } else if let Some((device, sizes)) = split(text, ": dropped over-mtu packet: ") {
        let mut event = event("over-mtu");
        event.severity = Severity::Notice;
        event.with("table", device).with_opt("limit", number_after(sizes, "> "))
    } else if text.starts_with("VFS: file-max limit ") {
        event("files").with_opt("limit", number_after(text, "limit "))
    } else {
        return None;
    };
    Opened::line(event)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{events, fields};

    #[test]
    fn each_full_table_is_named() {
        for (text, what) in [
            ("nf_conntrack: table full, dropping packet", "conntrack"),
            ("nf_conntrack: nf_conntrack: table full, dropping packet", "conntrack"),
            ("nf_conntrack: nf_conntrack: table full in netns 4026531840, dropping packet", "conntrack"),
            ("neighbour: arp_cache: neighbor table overflow!", "neighbour"),
            ("Neighbour table overflow.", "neighbour"),
            ("cgroup: fork rejected by pids controller in /system.slice/docker.service", "pids"),
            ("TCP: too many orphaned sockets", "orphans"),
            ("VFS: file-max limit 65536 reached", "files"),
        ] {
            let text = format!("[   52.261501] {text}");
            assert_eq!(
                fields(&text, &["what", "severity", "class"]),
                [what, "failure", "resource-exhaustion"],
                "{text}"
            );
        }
    }

    #[test]
    fn a_flooded_port_is_a_notice() {
        let text = "[   52.261501] TCP: request_sock_TCP: Possible SYN flooding on port 10.0.0.1:80. Sending cookies.";
        assert_eq!(fields(text, &["severity", "port"]), ["notice", "80"]);
        assert!(events("[   52.261501] nf_conntrack version 0.5.0 (65536 buckets, 262144 max)").is_empty());
    }
}
