//! Devices that a hypervisor makes: Xen's front ends, Hyper-V's channels, virtio.

use facts::FieldType;

use super::words::{Word, anchors, driver_and_device, find, word};
use super::{Before, Family, From, Opened, field, kind, no_body, no_finish};
use crate::cursor::{after, has, hex_after};
use crate::event::{Event, Severity};
use crate::{Line, class};

const WORDS: &[Word] = &[
    word(&["xenbus", "XENBUS"], "imeout connecting to device: ", "not-connected"),
    word(&["xen_netfront", "xennet", "net ", "vif "], "skb rides the rocket", "packet-dropped"),
    word(&["vif", "xen-netback", "xen_netback", "xenvif"], "atal error; disabling device", "stopped"),
    word(&["vif"], "Guest Rx stalled", "guest-stalled"),
    word(&["hv_storvsc", "storvsc"], " srb 0x", "command-error"),
    word(&["hv_storvsc", "storvsc"], " srb status 0x", "command-error"),
    word(&["hv_vmbus"], "Unable to send packet via vmbus", "channel-error"),
    word(&["hv_balloon"], "Balloon request will be partially fulfilled", "memory-short"),
    word(&["hv_balloon"], "hot_add memory failed error", "memory-not-added"),
    word(&["hv_pci"], "Request for interrupt failed", "no-interrupt"),
    word(&["virtio_balloon"], "Out of puff! ", "memory-short"),
];

static ANCHORS: [&str; WORDS.len()] = anchors(WORDS);

pub(super) static FAMILY: Family = Family {
    name: "paravirtual",
    anchors: &ANCHORS,
    from: From::Kernel,
    open,
    body: no_body,
    finish: no_finish,
    kind: kind(
        "log.paravirtual",
        "A device that the hypervisor makes does not do what its driver asks",
        &[
            field("driver", FieldType::Text, "", "driver"),
            field("device", FieldType::Text, "", "device as its bus names it"),
            field(
                "what",
                FieldType::Text,
                "",
                "not-connected, stopped, command-error, channel-error, packet-dropped, guest-stalled, memory-short, memory-not-added, no-interrupt",
            ),
            field("command", FieldType::Int, "", "SCSI command"),
            field("srb", FieldType::Int, "", "status of the request as Hyper-V gives it"),
            field("detail", FieldType::Text, "", "the text"),
        ],
    ),
};

/// SCSI commands that move data or make it last; a host refuses many of those that only ask.
const DATA: &[u64] = &[0x08, 0x0a, 0x28, 0x2a, 0x35, 0x88, 0x8a, 0x91, 0xa8, 0xaa];

fn open(line: &Line<'_>, _: Before<'_>) -> Option<Opened> {
    let text = line.text();
    let found = find(WORDS, text)?;
    let (mut driver, mut device) = driver_and_device(text);
    let command = hex_after(text, "cmd 0x").filter(|_| found.what == "command-error");
    let srb = hex_after(text, " srb 0x").or_else(|| hex_after(text, " srb status 0x")).filter(|_| command.is_some());
    if found.what == "command-error" {
        // A disk that the host took away answers so (SRB_STATUS_INVALID_LUN).
        (DATA.contains(&command?) && srb != Some(0x20)).then_some(())?;
    }
    if found.what == "not-connected" {
        driver = "xenbus";
        device = after(text, "to device: ").and_then(|t| t.split([' ', '(']).next());
        // Keyboard and frame buffer of a guest that nobody looks at.
        if device.is_some_and(|d| has(d, "vkbd") || has(d, "vfb") || has(d, "console")) {
            return None;
        }
    }
    if matches!(found.what, "packet-dropped") {
        driver = "xen_netfront";
        device = text.split([' ', ':']).find(|w| w.starts_with("eth"));
    }
    let consequence = match found.what {
        "memory-short" => {
            Some("the host wants memory back that this machine cannot give: it is short of memory itself")
        }
        "memory-not-added" => Some("memory that the host gave could not be taken into use"),
        "packet-dropped" => Some(
            "a packet in too many pieces was dropped: connections over this device stall (tso and sg off avoids it)",
        ),
        // drivers/net/xen-netback/rx.c
        "guest-stalled" => Some("the guest does not take its packets: they are dropped until it does"),
        _ => None,
    };
    let severity = if consequence.is_some() { Severity::Notice } else { Severity::Failure };
    let class = match found.what {
        "memory-short" | "memory-not-added" => class::RESOURCE_EXHAUSTION,
        _ => class::IO_ERROR,
    };
    Opened::line(
        Event::new(FAMILY.name, class, severity)
            .titled(format!("virtual device: {}", found.what.replace('-', " ")))
            .with("what", found.what)
            .with("driver", driver.trim_end_matches(':'))
            .with_opt("device", device)
            .with_opt("command", command)
            .with_opt("srb", srb)
            .with_opt("consequence", consequence)
            .with("detail", text),
    )
}

#[cfg(test)]
mod tests {
    use super::super::tests::{events, fields};

    #[test]
    fn what_a_host_refuses_is_told_by_command() {
        let write = "[ 5252.261501] hv_storvsc f8b3781a-1e82-4818-a1c3-63d806ec15bb: tag#92 cmd 0x2a status: scsi 0x2 srb 0x86 hv 0xc0000001";
        assert_eq!(
            fields(write, &["what", "severity", "driver", "device", "command", "srb"]),
            ["command-error", "failure", "hv_storvsc", "f8b3781a-1e82-4818-a1c3-63d806ec15bb", "42", "134"]
        );
        let xen = "[ 5252.261501] XENBUS: Timeout connecting to device: device/vbd/768 (local state 3, remote state 1)";
        assert_eq!(fields(xen, &["what", "device", "severity"]), ["not-connected", "device/vbd/768", "failure"]);
        let puff = "[ 5252.261501] virtio_balloon virtio2: Out of puff! Can't get 256 pages";
        assert_eq!(fields(puff, &["class", "severity"]), ["resource-exhaustion", "notice"]);
    }

    #[test]
    fn everyday_lines_of_guests_say_nothing() {
        for text in [
            "hv_storvsc f8b3781a-1e82-4818-a1c3-63d806ec15bb: tag#9 cmd 0x85 status: scsi 0x2 srb 0x6 hv 0xc0000001",
            "storvsc: Sense Key : Illegal Request [current]",
            "XENBUS: Timeout connecting to device: device/vkbd/0 (local state 3, remote state 1)",
            "hv_netvsc 00155d00 eth0: Data path switched from VF: eth1",
            "hv_utils: TimeSync IC version 4.0",
            "virtio_blk virtio1: [vda] new size: 100 512-byte logical blocks",
        ] {
            assert!(events(&format!("[ 5252.261501] {text}")).is_empty(), "{text}");
        }
    }

    #[test]
    fn a_guest_that_takes_no_packets_is_a_notice() {
        let text = "[ 5252.261501] vif vif-1-0 vif1.0: Guest Rx stalled";
        assert_eq!(fields(text, &["what", "device", "severity"]), ["guest-stalled", "vif1.0", "notice"]);
        assert!(events("[ 5252.261501] vif vif-1-0 vif1.0: Guest Rx ready").is_empty());
    }
}
