//! USB host controllers that stopped: every device behind them is gone.

use facts::FieldType;

use super::words::{Word, anchors, driver_and_device, find, word};
use super::{Before, Family, From, Opened, field, kind, no_body, no_finish};
use crate::event::{Event, Severity};
use crate::{Line, class};

const HOSTS: &[&str] = &["xhci", "ehci", "ohci", "uhci", "dwc2"];

const WORDS: &[Word] = &[
    word(HOSTS, "HC died; cleaning up", "dead"),
    word(&["xhci"], "WARNING: Host System Error", "system-error"),
    word(&["xhci"], "WARNING: Host Controller Error", "system-error"),
    word(&["ehci", "ohci"], "fatal error", "system-error"),
];

static ANCHORS: [&str; WORDS.len()] = anchors(WORDS);

pub(super) static FAMILY: Family = Family {
    name: "usb_host_error",
    anchors: &ANCHORS,
    from: From::Kernel,
    open,
    body: no_body,
    finish: no_finish,
    kind: kind(
        "log.usb_host_error",
        "A USB host controller stopped; its devices are gone",
        &[
            field("driver", FieldType::Text, "", "driver"),
            field("device", FieldType::Text, "", "PCI address or name of the controller"),
            field("what", FieldType::Text, "", "dead, system-error"),
        ],
    ),
};

fn open(line: &Line<'_>, _: Before<'_>) -> Option<Opened> {
    let text = line.text();
    let found = find(WORDS, text)?;
    let (driver, device) = driver_and_device(text);
    Opened::line(
        Event::new(FAMILY.name, class::IO_ERROR, Severity::Failure)
            .titled(format!("USB host controller: {}", found.what))
            .with("driver", driver)
            .with_opt("device", device)
            .with("what", found.what),
    )
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
        for text in ["usb 1-1: device descriptor read/64, error -110", "usb usb3-port1: config error"] {
            assert!(events(&format!("[   52.261501] {text}")).is_empty(), "{text}");
        }
    }
}
