//! Links that went down and came back: members of a bond, ports of a Fibre Channel adapter, slots of hot-plug PCI Express.

use facts::FieldType;

use super::words::{Word, anchors, find, word};
use super::{Before, Family, From, Opened, field, kind, no_body, no_finish};
use crate::cursor::{after, between, split};
use crate::event::{Event, Severity};
use crate::{Line, class};

const BOND: &[&str] = &["bond", "team"];
const SLOT: &[&str] = &["pciehp", "pcieport"];

const WORDS: &[Word] = &[
    word(BOND, "link status definitely down", "down"),
    word(BOND, "link status definitely up", "ok"),
    word(BOND, "running without any active interface", "no-link"),
    word(BOND, "active interface up!", "ok"),
    word(BOND, "the new active one", "ok"),
    word(BOND, "No 802.3ad response from", "no-partner"),
    word(&[""], " with own address as source address", "loop"),
    word(&["lpfc"], ":1305 Link Down Event", "down"),
    word(&["lpfc"], ":1303 Link Up Event", "ok"),
    word(&["lpfc"], ":0203 Devloss timeout", "port-lost"),
    word(&["qla2xxx"], "LOOP DOWN detected", "down"),
    word(&["qla2xxx"], "LOOP UP detected", "ok"),
    word(SLOT, "Link Down", "slot-down"),
    word(SLOT, "Link Up", "ok"),
    word(SLOT, "Power fault", "power-fault"),
    word(SLOT, "annot train link", "no-training"),
];

static ANCHORS: [&str; WORDS.len()] = anchors(WORDS);

pub(super) static FAMILY: Family = Family {
    name: "link",
    anchors: &ANCHORS,
    from: From::Kernel,
    open,
    body: no_body,
    finish: no_finish,
    kind: kind(
        "log.link",
        "A link went down, or came up again",
        &[
            field("device", FieldType::Text, "", "network device, adapter or slot"),
            field("of", FieldType::Text, "", "bond or port it is part of"),
            field("driver", FieldType::Text, "", "driver"),
            field(
                "what",
                FieldType::Text,
                "",
                "down, no-link, no-partner, loop, port-lost, slot-down, power-fault, no-training, ok",
            ),
            field("detail", FieldType::Text, "", "the text"),
        ],
    ),
};

/// Links come up one after the other while a machine starts.
const BOOT_SECONDS: i64 = 180;

fn open(line: &Line<'_>, _: Before<'_>) -> Option<Opened> {
    let text = line.text();
    let found = find(WORDS, text)?;
    let mut what = found.what;
    let (head, rest) = split(text, ": ")?;
    let by = found.by.first().copied().unwrap_or_default();
    let (device, of) = if by == "bond" {
        // `bonding: bond0: text` up to 3.x
        let (bond, rest) = if head == "bonding" { split(rest, ": ")? } else { (head, rest) };
        if what == "no-partner" || !matches!(found.text, "link status definitely down" | "link status definitely up") {
            (bond, None)
        } else {
            // `(slave eth0): link status ...`, `link status ... for interface eth0, disabling it`
            let name = between(rest, "(slave ", ")").or_else(|| after(rest, "for interface "));
            (name?.split([',', ' ']).next()?, Some(bond))
        }
    } else if what == "loop" {
        // net/bridge/br_fdb.c: `br0: received packet on eth0 with own address as source address (addr:.., vlan:0)`
        let port = rest.strip_prefix("received packet on ")?;
        (port.split(' ').next()?, Some(head).filter(|head| !head.contains(' ')))
    } else if by == "lpfc" {
        (head.split(' ').nth(1)?, None)
    } else if by == "qla2xxx" {
        (between(text, "[", "]")?, None)
    } else {
        // `pcieport 0000:00:01.0: pciehp: Slot(1): Link Down`, `pciehp 0000:00:1c.0:pcie004: Slot(1): Link Down`
        let slot = after(text, "Slot(").and_then(|t| t.split(')').next())?;
        let port = head.split(' ').nth(1)?.split(":pcie").next()?;
        (port, Some(slot))
    };
    let driver = head.split([' ', ':']).next().unwrap_or(head);
    let early = line.is_of_boot(BOOT_SECONDS);
    let class = match what {
        "ok" => class::CLEAN,
        "power-fault" | "no-training" => class::HARDWARE_PCIE,
        _ => class::LINK_DOWN,
    };
    // A hand may have taken out what was in the slot.
    let severity = match what {
        "ok" | "slot-down" => Severity::Notice,
        // The bond is there for that.
        "down" if by == "bond" => Severity::Notice,
        "no-partner" | "loop" => Severity::Notice,
        _ if early => Severity::Notice,
        _ => Severity::Failure,
    };
    let consequence = match what {
        _ if early => None,
        "slot-down" => Some("the device in the slot is gone; where nobody took it out, it or the slot failed"),
        "down" if by == "bond" => Some("the bond runs on without this member"),
        "no-partner" => Some("the switch does not speak LACP on these ports: the bond has no more than one link"),
        "loop" => {
            Some("its own packets come back to the bridge: a loop in the network, or two machines with one address")
        }
        _ => None,
    };
    if what == "slot-down" {
        what = "down";
    }
    Opened::line(
        Event::new(FAMILY.name, class, severity)
            .titled(format!("link: {}", what.replace('-', " ")))
            .with("what", what)
            .with("device", device)
            .with_opt("of", of)
            .with("driver", driver)
            .with_opt("consequence", consequence)
            .with("detail", text),
    )
}

#[cfg(test)]
mod tests {
    use super::super::tests::{events, fields};

    #[test]
    fn each_driver_s_words_name_the_link() {
        for (text, what, device, of) in [
            ("bond0: link status definitely down for interface eth0, disabling it", "down", "eth0", "bond0"),
            ("bonding: bond0: link status definitely down for interface eth0, disabling it", "down", "eth0", "bond0"),
            ("bond0: (slave eth0): link status definitely down, disabling slave", "down", "eth0", "bond0"),
            ("bond0: now running without any active interface!", "no-link", "bond0", ""),
            (
                "lpfc 0000:0b:00.0: 0:1305 Link Down Event x2 received Data: x2 x20 x800010 x0 x0",
                "down",
                "0000:0b:00.0",
                "",
            ),
            ("qla2xxx [0000:05:00.0]-500b:1: LOOP DOWN detected (2 7 0 0).", "down", "0000:05:00.0", ""),
        ] {
            let text = format!("[ 5252.261501] {text}");
            assert_eq!(
                fields(&text, &["what", "device", "of", "class", "severity"]),
                [what, device, of, "link-down", if device == "eth0" { "notice" } else { "failure" }],
                "{text}"
            );
        }
        let slot = "[ 5252.261501] pcieport 0000:00:01.0: pciehp: Slot(1): Link Down";
        assert_eq!(fields(slot, &["what", "device", "of", "severity"]), ["down", "0000:00:01.0", "1", "notice"]);
        let up = "[ 5252.261501] bond0: (slave eth0): link status definitely up, 10000 Mbps full duplex";
        assert_eq!(fields(up, &["what", "device"]), ["ok", "eth0"]);
    }

    #[test]
    fn links_of_a_machine_that_starts_are_no_failure() {
        let early = "[   12.261501] bond0: link status definitely down for interface eth0, disabling it";
        assert_eq!(fields(early, &["severity"]), ["notice"]);
        for text in [
            "bonding: bond0: link status down for interface eth0, disabling it in 200 ms",
            "pcieport 0000:00:1c.0: pciehp: pciehp_check_link_active: lnk_status = 3011",
            "e1000e 0000:00:19.0 eth0: NIC Link is Down",
            "bond0: (slave eth0): Enslaving as a backup interface with a down link",
        ] {
            assert!(events(&format!("[ 5252.261501] {text}")).is_empty(), "{text}");
        }
    }

    #[test]
    fn a_switch_without_lacp_and_a_loop_are_notices() {
        for (text, what, device) in [
            (
                "bond0: Warning: No 802.3ad response from the link partner for any adapters in the bond",
                "no-partner",
                "bond0",
            ),
            (
                "bonding: bond0: Warning: No 802.3ad response from the link partner for any adapters in the bond",
                "no-partner",
                "bond0",
            ),
            (
                "br0: received packet on eth0 with own address as source address (addr:52:54:00:12:34:56, vlan:0)",
                "loop",
                "eth0",
            ),
        ] {
            let text = format!("[ 5252.261501] {text}");
            assert_eq!(fields(&text, &["what", "severity", "device"]), [what, "notice", device], "{text}");
            assert!(!fields(&text, &["consequence"])[0].is_empty(), "{text}");
        }
    }
}
