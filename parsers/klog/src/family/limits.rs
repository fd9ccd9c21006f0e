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
        "Route cache is full: ",
        "dst cache overflow",
        "Out of socket memory",
        "audit: backlog limit exceeded",
        "> audit_backlog_limit=",
        "swiotlb buffer is full",
        "Out of SW-IOMMU space for ",
        "RT throttling activated",
        " is full, maxelem ",
        "Error allocating memory for compressed page",
        "too many orphaned sockets",
        "out of memory -- consider tuning tcp_mem",
        "ossible SYN flooding on port",
        "fork rejected by pids controller",
        "file-max limit ",
        ": dropped over-mtu packet: ",
        "expectation table full",
        "too many open connections",
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
                "conntrack, neighbour, route-cache, orphans, tcp-memory, syn-backlog, pids, files, over-mtu, audit-backlog, dma-bounce-buffer, real-time, ipset, zram-memory, conntrack-expectations, time-wait, connections",
            ),
            field("limit_of", FieldType::Text, "", "the same, by which limits are told apart"),
            field("limit", FieldType::Int, "", "the limit, where printed"),
            field("table", FieldType::Text, "", "name of the neighbour table, the network namespace, or the device"),
            field("cgroup", FieldType::Text, "", "cgroup whose limit it is"),
            field("port", FieldType::Int, "", "port of a flooded socket"),
        ],
    ),
};

/// Until the daemons of the machine run.
const BOOT_SECONDS: i64 = 300;

/// The text behind the name of the address family.
fn bare(text: &str) -> &str {
    ["ipv4: ", "IPv4: ", "ipv6: ", "IPv6: ", "TCP: "].iter().find_map(|head| text.strip_prefix(head)).unwrap_or(text)
}

/// Worth knowing, and what it means.
fn notice(mut event: Event, consequence: Option<&str>) -> Event {
    event.severity = Severity::Notice;
    event.with_opt("consequence", consequence)
}

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
        if rest.ends_with("expectation table full") {
            const MEANS: &str =
                "helpers of connection tracking (FTP, SIP, ...) cannot note connections that they await";
            return Opened::line(notice(event("conntrack-expectations"), Some(MEANS)));
        }
        has(rest, "table full").then_some(())?;
        event("conntrack").with_opt("table", between(rest, "in netns ", ","))
    } else if text.starts_with("neighbour: ") && has(text, "table overflow") {
        let table = text.split(": ").nth(1)?;
        event("neighbour").with("table", table)
    } else if bare(text).to_ascii_lowercase().starts_with("neighbour table overflow") {
        event("neighbour")
    } else if text.starts_with("IPv6: ndisc: ") && has(text, "able overflow") {
        event("neighbour").with("table", "ndisc_cache")
    } else if bare(text).starts_with("time wait bucket table overflow") {
        // net/ipv4/inet_timewait_sock.c
        const MEANS: &str = "connections that ended are forgotten at once (net.ipv4.tcp_max_tw_buckets): a late packet of one may reach another";
        notice(event("time-wait"), Some(MEANS))
    } else if bare(text).starts_with("Route cache is full: ") || bare(text).starts_with("dst cache overflow") {
        event("route-cache")
    } else if matches!(bare(text), "Out of socket memory") {
        event("tcp-memory")
    } else if text.starts_with("audit: backlog limit exceeded")
        || text.starts_with("audit: audit_backlog=") && has(text, "> audit_backlog_limit=")
    {
        // Before the daemon runs the queue holds what the boot itself makes.
        let early = line.is_of_boot(BOOT_SECONDS);
        notice(event("audit-backlog"), (!early).then_some("audit records are lost, and tasks that write them wait"))
            .with_opt("limit", number_after(text, "audit_backlog_limit="))
    } else if has(text, "swiotlb buffer is full") || has(text, "Out of SW-IOMMU space for ") {
        let head = split(text, ": ").map(|(head, _)| head).filter(|head| head.len() < 48 && head.contains(':'));
        let device = after(text, " at device ").or(head).and_then(|t| t.rsplit(' ').next());
        event("dma-bounce-buffer").with_opt("table", device)
    } else if text.ends_with("sched: RT throttling activated") {
        notice(
            event("real-time"),
            Some(
                "real-time tasks took all of their share of a CPU (95 % as a rule) and were stopped for a while; what ran beside them had waited",
            ),
        )
    } else if let Some((set, limit)) = split(text, " is full, maxelem ").filter(|(head, _)| head.starts_with("Set ")) {
        event("ipset")
            .with("table", set.trim_start_matches("Set "))
            .with_opt("limit", crate::cursor::Cursor::new(limit).number())
    } else if text.starts_with("nfsd: too many open connections") {
        // net/sunrpc/svc_xprt.c
        notice(
            event("connections"),
            Some("the server closes connections of its clients: it has too few threads for them"),
        )
    } else if text.starts_with("zram: Error allocating memory for compressed page") {
        event("zram-memory")
    } else if text.starts_with("TCP: too many orphaned sockets")
        || text.starts_with("TCP: too many of orphaned sockets")
    {
        event("orphans")
    } else if text.starts_with("TCP: out of memory -- consider") {
        event("tcp-memory")
    } else if has(text, "ossible SYN flooding on port") && (text.starts_with("TCP: ") || text.starts_with("possible")) {
        let event = notice(
            event("syn-backlog"),
            Some("more connections came in than the program that listens took: its backlog was full"),
        );
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
            ("IPv4: Neighbour table overflow.", "neighbour"),
            ("Route cache is full: consider increasing sysctl net.ipv6.route.max_size.", "route-cache"),
            ("Out of socket memory", "tcp-memory"),
            (
                "nvme 0000:01:00.0: swiotlb buffer is full (sz: 65536 bytes), total 32768 (slots), used 32000 (slots)",
                "dma-bounce-buffer",
            ),
            ("DMA: Out of SW-IOMMU space for 65536 bytes at device 0000:01:00.0", "dma-bounce-buffer"),
            ("Set blocked is full, maxelem 65536 reached", "ipset"),
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
        let text = "[   52.261501] possible SYN flooding on port 443. Sending cookies.";
        assert_eq!(fields(text, &["severity", "port"]), ["notice", "443"]);
        for (text, what) in [
            ("audit: audit_backlog=321 > audit_backlog_limit=320", "audit-backlog"),
            ("[sched_delayed] sched: RT throttling activated", "real-time"),
        ] {
            let text = format!("[ 5252.261501] {text}");
            assert_eq!(fields(&text, &["severity", "what"]), ["notice", what], "{text}");
            assert!(!fields(&text, &["consequence"])[0].is_empty());
        }
        let early = "[    9.261501] audit: audit_backlog=321 > audit_backlog_limit=320";
        assert_eq!(fields(early, &["consequence"]), [""]);
        assert!(events("[    9.261501] audit: kauditd hold queue overflow").is_empty());
        assert!(events("[   52.261501] nf_conntrack version 0.5.0 (65536 buckets, 262144 max)").is_empty());
    }

    #[test]
    fn tables_whose_owners_do_without_are_notices() {
        for (text, what) in [
            ("nf_conntrack: nf_conntrack: expectation table full", "conntrack-expectations"),
            ("TCP: time wait bucket table overflow", "time-wait"),
            ("nfsd: too many open connections, consider increasing the number of threads", "connections"),
        ] {
            let text = format!("[ 5252.261501] {text}");
            assert_eq!(fields(&text, &["what", "severity"]), [what, "notice"], "{text}");
            assert!(!fields(&text, &["consequence"])[0].is_empty(), "{text}");
        }
        let text = "[   52.261501] IPv6: ndisc: neighbour table overflow";
        assert_eq!(fields(text, &["what", "severity"]), ["neighbour", "failure"]);
    }
}
