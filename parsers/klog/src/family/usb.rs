//! USB host controllers that stopped: every device behind them is gone.

use facts::FieldType;

use super::storage::scsi_head;
use super::words::{Word, anchors, driver_and_device, find, word};
use super::{Before, Family, From, Opened, field, kind};
use crate::cursor::{has, number_after, split};
use crate::event::{Event, Severity};
use crate::report::{Report, Step};
use crate::{Line, class};

const HOSTS: &[&str] = &["xhci", "ehci", "ohci", "uhci", "dwc2"];

const WORDS: &[Word] = &[
    word(HOSTS, "HC died; cleaning up", "dead"),
    word(HOSTS, "host controller not responding, assume dead", "dead"),
    word(&["usb ", "hub "], "over-current condition", "over-current"),
    word(&["xhci"], "WARNING: Host System Error", "system-error"),
    word(&["xhci"], "WARNING: Host Controller Error", "system-error"),
    word(&["ehci", "ohci"], "fatal error", "system-error"),
    word(&["xhci"], "xHC CMD_RUN timeout", "no-answer"),
    word(&["xhci"], "host not responding to stop endpoint command", "no-answer"),
    word(&["usb "], "unable to enumerate USB device", "not-enumerated"),
    word(&["usb "], "USB disconnect, ", "unplugged"),
];

static ANCHORS: [&str; WORDS.len()] = anchors(WORDS);

pub(super) static FAMILY: Family = Family {
    name: "usb_host_error",
    anchors: &ANCHORS,
    from: From::Kernel,
    open,
    body,
    finish,
    kind: kind(
        "log.usb_host_error",
        "A USB host controller stopped, and its devices are gone; or a port switched its power off",
        &[
            field("driver", FieldType::Text, "", "driver"),
            field("device", FieldType::Text, "", "PCI address or name of the controller"),
            field("port", FieldType::Int, "", "port of a hub"),
            field(
                "what",
                FieldType::Text,
                "",
                "dead, system-error, no-answer, over-current, not-enumerated, unplugged",
            ),
            field("disk", FieldType::Text, "", "disk that was in use when its device went"),
            field("target", FieldType::Text, "", "its address: host:channel:target:lun"),
        ],
    ),
};

/// Boards whose ports have no sense line report it at each start.
const BOOT_SECONDS: i64 = 60;

fn open(line: &Line<'_>, before: Before<'_>) -> Option<Opened> {
    let text = line.text();
    let found = find(WORDS, text)?;
    if found.what == "over-current" {
        // `usb usb1-port2: over-current condition`, `hub 1-0:1.0: over-current condition on port 2`
        let (head, rest) = split(text, ": ")?;
        let mut event = Event::new(FAMILY.name, class::IO_ERROR, Severity::Notice)
            .titled("USB port: over-current")
            .with("driver", "usb")
            .with("device", head.split(' ').next_back().unwrap_or(head))
            .with_opt("port", number_after(rest, "on port "))
            .with("what", found.what);
        if !line.is_of_boot(BOOT_SECONDS) {
            event.set(
                "consequence",
                "what is plugged in draws too much, or is short-circuited; the port is without power",
            );
        }
        return Opened::line(event);
    }
    if found.what == "not-enumerated" {
        let (head, _) = split(text, ": ")?;
        let mut event = Event::new(FAMILY.name, class::IO_ERROR, Severity::Notice)
            .titled("USB port: device does not answer")
            .with("driver", "usb")
            .with("device", head.split(' ').next_back().unwrap_or(head))
            .with("what", found.what);
        if !line.is_of_boot(BOOT_SECONDS) {
            event.set("consequence", "what is plugged in does not say what it is: device, cable, hub or supply");
        }
        return Opened::line(event);
    }
    // drivers/usb/core/hub.c: `usb 2-1: USB disconnect, device number 3`
    if found.what == "unplugged" {
        let (head, _) = split(text, ": ")?;
        return Opened::lines(
            Event::new(FAMILY.name, class::IO_ERROR, Severity::Failure)
                .titled("USB device: gone while its disk was in use")
                .with("driver", "usb")
                .with("device", head.split(' ').next_back().unwrap_or(head))
                .with("what", found.what),
        );
    }
    // `HC died` ends what `not responding, assume dead` began.
    if before.current.is_some_and(|e| e.family == FAMILY.name) {
        return None;
    }
    let (driver, device) = driver_and_device(text);
    Opened::lines(
        Event::new(FAMILY.name, class::IO_ERROR, Severity::Failure)
            .titled(format!("USB host controller: {}", found.what))
            .with("driver", driver)
            .with_opt("device", device)
            .with("what", found.what),
    )
}

fn body(report: &mut Report, line: &Line<'_>) -> Step {
    let text = line.text();
    if report.event.fields.get("what").and_then(|what| what.as_text()) == Some("unplugged") {
        // What the disk says is a report of its own. The cache of a disk that nobody used is not written either.
        let lost = has(text, "hostbyte=DID_NO_CONNECT") || has(text, "rejecting I/O to ");
        if let Some((target, disk, _)) = scsi_head(text).filter(|_| lost && !has(text, "ynchroniz")) {
            report.event.fields.entry("target".into()).or_insert_with(|| target.into());
            if let Some(disk) = disk {
                report.event.fields.entry("disk".into()).or_insert_with(|| disk.into());
            }
        }
        return Step::Pass;
    }
    if text.ends_with("HC died; cleaning up") { Step::End } else { Step::Pass }
}

fn finish(report: &mut Report) {
    let fields = &report.event.fields;
    let unplugged = fields.get("what").and_then(|what| what.as_text()) == Some("unplugged");
    report.discard = unplugged && !fields.contains_key("target");
}

#[cfg(test)]
mod tests {
    use super::super::tests::{events, fields};

    #[test]
    fn a_dead_controller_is_one_event() {
        let text = "[   52.261501] xhci_hcd 0000:06:00.0: Abort failed to stop command ring: -110\n\
             [   52.261502] xhci_hcd 0000:06:00.0: xHCI host controller not responding, assume dead\n\
             [   52.261503] xhci_hcd 0000:06:00.0: HC died; cleaning up\n\
             [   52.261504] usb 1-1: USB disconnect, device number 2\n";
        assert_eq!(events(text).len(), 1);
        assert_eq!(fields(text, &["what", "driver", "device"]), ["dead", "xhci_hcd", "0000:06:00.0"]);
        let port = "[ 5252.261501] usb usb1-port2: over-current condition";
        assert_eq!(fields(port, &["what", "device", "severity"]), ["over-current", "usb1-port2", "notice"]);
        let port = "[ 5252.261501] usb usb2-port1: unable to enumerate USB device";
        assert_eq!(fields(port, &["what", "device", "severity"]), ["not-enumerated", "usb2-port1", "notice"]);
        let run = "[ 5252.261501] xhci-hcd xhci-hcd.15.auto: WARN: xHC CMD_RUN timeout";
        assert_eq!(fields(run, &["what", "device", "severity"]), ["no-answer", "xhci-hcd.15.auto", "failure"]);
        let gone = "[ 5100.101001] usb 2-1: USB disconnect, device number 3\n\
             [ 5100.101002] sd 6:0:0:0: [sdb] tag#0 FAILED Result: hostbyte=DID_NO_CONNECT driverbyte=DRIVER_OK cmd_age=0s\n\
             [ 5100.101003] sd 6:0:0:0: [sdb] tag#0 CDB: Write(10) 2a 00 00 10 08 00 00 00 08 00\n";
        assert_eq!(events(gone).iter().map(|e| e.family).collect::<Vec<_>>(), ["usb_host_error", "scsi_error"]);
        assert_eq!(fields(gone, &["what", "device", "disk", "target"]), ["unplugged", "2-1", "sdb", "6:0:0:0"]);
        let unused = "[ 5100.101001] usb 2-1: USB disconnect, device number 3\n\
             [ 5100.101009] sd 6:0:0:0: [sdb] Synchronizing SCSI cache\n\
             [ 5100.101010] sd 6:0:0:0: [sdb] Synchronize Cache(10) failed: Result: hostbyte=DID_NO_CONNECT driverbyte=DRIVER_OK\n";
        assert!(events(unused).is_empty());
        for text in ["usb 1-1: device descriptor read/64, error -110", "usb usb3-port1: config error"] {
            assert!(events(&format!("[   52.261501] {text}")).is_empty(), "{text}");
        }
    }
}
