//! Replicated block devices (DRBD): peers that went away, disks that were detached, copies that differ.

use facts::FieldType;

use super::{Before, Family, From, Opened, field, kind, no_body, no_finish};
use crate::cursor::{has, number_after, split};
use crate::event::{Event, Severity};
use crate::{Line, class};

pub(super) static FAMILY: Family = Family {
    name: "drbd",
    anchors: &[
        "Split-Brain detected",
        "=split-brain",
        "drbdadm split-brain",
        "PingAck did not arrive in time",
        "-> NetworkFailure )",
        "-> Timeout )",
        "-> BrokenPipe )",
        "-> ProtocolError )",
        "Remote failed to finish a request within",
        "-> Connected )",
        "neither local nor remote data",
        "Local IO failed in ",
        "meta-data IO failed",
        "local READ IO error",
        "local WRITE IO error",
        "igest integrity check FAILED",
        "Unrelated data, aborting!",
        " sent=-",
        "error receiving ",
        "short read (expected",
        "We did not send a P_BARRIER for ",
        "Aborting cluster-wide state change",
    ],
    from: From::Kernel,
    open,
    body: no_body,
    finish: no_finish,
    kind: kind(
        "log.drbd",
        "A replicated block device lost its peer or its disk, or its copies differ",
        &[
            field("device", FieldType::Text, "", "resource; the device where no resource is named"),
            field("minor", FieldType::Text, "", "device of the resource"),
            field("peer", FieldType::Text, "", "the other machine, where it is named"),
            field(
                "what",
                FieldType::Text,
                "",
                "peer-lost, disk-failure, no-data, split-brain, damaged-packet, state-refused, ok",
            ),
            field("sector", FieldType::Int, "sectors", "sector that could not be served"),
            field("detail", FieldType::Text, "", "the text"),
        ],
    ),
};

/// The words, and what they mean. The peer goes away in several lines: each is enough.
const WORDS: &[(&str, &str)] = &[
    ("neither local nor remote data", "no-data"),
    ("Split-Brain detected", "split-brain"),
    // 9: how the copies compare, and the program that is to be told.
    ("uuid_compare()=split-brain", "split-brain"),
    ("helper command: /sbin/drbdadm split-brain", "split-brain"),
    ("Unrelated data, aborting!", "split-brain"),
    ("Local IO failed in ", "disk-failure"),
    ("meta-data IO failed", "disk-failure"),
    ("local READ IO error", "disk-failure"),
    ("local WRITE IO error", "disk-failure"),
    ("PingAck did not arrive in time", "peer-lost"),
    ("-> NetworkFailure )", "peer-lost"),
    ("-> Timeout )", "peer-lost"),
    ("-> BrokenPipe )", "peer-lost"),
    ("-> ProtocolError )", "peer-lost"),
    ("Remote failed to finish a request within", "peer-lost"),
    ("igest integrity check FAILED", "damaged-packet"),
    (" sent=-", "peer-lost"),
    ("error receiving ", "peer-lost"),
    ("short read (expected", "peer-lost"),
    ("We did not send a P_BARRIER for ", "peer-lost"),
    ("Aborting cluster-wide state change", "state-refused"),
    ("-> Connected )", "ok"),
];

fn open(line: &Line<'_>, _: Before<'_>) -> Option<Opened> {
    let text = line.text();
    // `block drbd0: text` up to 8.3, `drbd r0: text` in 8.4, `drbd r0/0 drbd854 nodeB: text` in 9
    let head = text.strip_prefix("block ").or_else(|| text.strip_prefix("drbd ")).filter(|_| text.len() < 400)?;
    let (names, said) = split(head, ": ")?;
    let is_minor =
        |name: &str| name.strip_prefix("drbd").is_some_and(|n| n.bytes().next().is_some_and(|b| b.is_ascii_digit()));
    let mut words = names.split(' ').filter(|word| !word.is_empty());
    let first = words.next()?;
    if text.starts_with("block ") && !is_minor(first) {
        return None;
    }
    let (_, what) = WORDS.iter().find(|(words, _)| has(said, words))?;
    // What it solves by itself, and a connection that this machine gives up or only tries, are no losses.
    if *what == "split-brain" && (has(said, "automatically solved") || has(said, "solved automatically")) {
        return None;
    }
    let tries = |from: &str| has(said, &format!("conn( {from} -> "));
    if *what == "peer-lost"
        && (tries("Connecting") || tries("WFConnection") || tries("Unconnected") || tries("Disconnecting"))
    {
        return None;
    }
    let resource = first.split('/').next().unwrap_or(first);
    let minor = words.clone().find(|word| is_minor(word));
    let peer = words.find(|word| !is_minor(word));
    let refused = *what == "state-refused";
    let settles = has(said, "split-brain-auto-recover");
    let severity = if *what == "ok" || refused || settles { Severity::Notice } else { Severity::Failure };
    let class = if *what == "ok" { class::CLEAN } else { class::IO_ERROR };
    Opened::line(
        Event::new(FAMILY.name, class, severity)
            .titled(format!("drbd: {}", what.replace('-', " ")))
            .with("what", *what)
            .with("device", resource)
            .with_opt("minor", minor)
            .with_opt("peer", peer)
            .with_opt(
                "consequence",
                refused
                    .then_some("the nodes did not agree on a change of state in time; it is tried again or left")
                    .or(settles.then_some(
                        "the copies differ, and it was told to settle that by itself: one of them loses what it wrote",
                    )),
            )
            .with_opt("sector", number_after(said, "sector ").filter(|_| *what == "no-data"))
            .with("detail", said),
    )
}

#[cfg(test)]
mod tests {
    use super::super::tests::{events, fields};

    #[test]
    fn a_split_brain_of_version_9_is_read() {
        for said in
            ["uuid_compare()=split-brain-auto-recover by rule=bitmap-both", "helper command: /sbin/drbdadm split-brain"]
        {
            let text = format!("[ 1142.904077] drbd pvc-b68/0 drbd43001 k8s-node1: {said}");
            assert_eq!(
                fields(&text, &["what", "device", "minor", "peer"]),
                ["split-brain", "pvc-b68", "drbd43001", "k8s-node1"]
            );
        }
        for said in ["uuid_compare()=no-sync by rule=lost-quorum", "helper command: /sbin/drbdadm before-resync-target"]
        {
            assert!(events(&format!("[ 1142.904077] drbd pvc-b68/0 drbd43001 k8s-node1: {said}")).is_empty());
        }
    }

    #[test]
    fn every_era_names_resource_and_peer() {
        for (text, what, device, peer) in [
            ("block drbd0: PingAck did not arrive in time.", "peer-lost", "drbd0", ""),
            ("drbd r0: conn( Connected -> NetworkFailure ) peer( Secondary -> Unknown )", "peer-lost", "r0", ""),
            ("drbd vm1/0 drbd854 nodeB: conn( Connected -> BrokenPipe )", "peer-lost", "vm1", "nodeB"),
            ("drbd vm1 nodeB: PingAck did not arrive in time.", "peer-lost", "vm1", "nodeB"),
            ("drbd u1/0 drbd854: IO ERROR: neither local nor remote data, sector 4721080+8", "no-data", "u1", ""),
            ("drbd drbd0: error receiving RSDataReply, e: -5 l: 4096!", "peer-lost", "drbd0", ""),
            ("drbd drbd0/0 drbd0: _drbd_send_page: size=4096 len=4096 sent=-5", "peer-lost", "drbd0", ""),
            ("block drbd0: Local IO failed in __req_mod. Detaching...", "disk-failure", "drbd0", ""),
            ("block drbd0: Split-Brain detected but unresolved, dropping connection!", "split-brain", "drbd0", ""),
        ] {
            let text = format!("[ 5252.261501] {text}");
            assert_eq!(
                fields(&text, &["what", "device", "peer", "class", "severity"]),
                [what, device, peer, "io-error", "failure"],
                "{text}"
            );
        }
        assert_eq!(
            fields(
                "[    9.100000] drbd vm1 nodeB: conn( Connecting -> Connected ) peer( Unknown -> Secondary )",
                &["what"]
            ),
            ["ok"]
        );
    }

    #[test]
    fn what_an_administrator_does_is_no_failure() {
        for text in [
            "drbd r0: conn( Connected -> Disconnecting )",
            "block drbd0: disk( UpToDate -> Failed )",
            "block drbd0: disk( Failed -> Diskless )",
            "drbd r0 nodeB: conn( Connecting -> Timeout )",
            "block drbd0: Split-Brain detected, 1 primaries, automatically solved. Sync from this node",
            "drbd r0: Starting worker thread (from drbdsetup [1234])",
        ] {
            assert!(events(&format!("[ 5252.261501] {text}")).is_empty(), "{text}");
        }
    }
}
