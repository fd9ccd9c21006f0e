//! A PCI function that does not answer any more: what is read of it is all ones.

use facts::FieldType;

use super::words::driver_and_device;
use super::{Before, Family, From, Opened, field, kind, no_body, no_finish};
use crate::cursor::has;
use crate::event::{Event, Severity};
use crate::{Line, class};

pub(super) static FAMILY: Family = Family {
    name: "pci_function_lost",
    anchors: &["error updating (0x", "(config space inaccessible)"],
    from: From::Kernel,
    open,
    body: no_body,
    finish: no_finish,
    kind: kind(
        "log.pci_function_lost",
        "A PCI function does not answer: what is read of it is all ones",
        &[
            field("driver", FieldType::Text, "", "driver, or pci where none has it"),
            field("device", FieldType::Text, "", "PCI address"),
        ],
    ),
};

fn open(line: &Line<'_>, _: Before<'_>) -> Option<Opened> {
    let text = line.text();
    // `pci 0000:01:00.0: BAR 0: error updating (0xe0000004 != 0xffffffff)`
    let ones = has(text, "error updating (0x") && has(text, "!= 0xffffffff)");
    // A function that sleeps in D3cold answers so until it has power again.
    let asleep = has(text, "(config space inaccessible)");
    (ones || asleep).then_some(())?;
    let (driver, device) = driver_and_device(text);
    let device = device.filter(|device| device.contains(':'))?;
    let mut event = Event::new(FAMILY.name, class::HARDWARE_PCIE, Severity::Failure)
        .titled("PCI function does not answer")
        .with("driver", driver)
        .with("device", device);
    if asleep {
        event.severity = Severity::Notice;
        event.set("consequence", "what is read of it is all ones: it has no power, or it left the bus");
    }
    Opened::line(event)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{events, fields};

    #[test]
    fn all_ones_mean_that_nobody_is_there() {
        let text = "[    1.632709] pci 0000:01:00.0: BAR 0: error updating (0xe0000004 != 0xffffffff)";
        assert_eq!(fields(text, &["device", "severity"]), ["0000:01:00.0", "failure"]);
        let text = "[    3.548735] ath10k_pci 0000:02:00.0: can't change power state from D3hot to D0 (config space inaccessible)";
        assert_eq!(fields(text, &["driver", "device", "severity"]), ["ath10k_pci", "0000:02:00.0", "notice"]);
        let text = "[    1.632709] pci 0000:01:00.0: BAR 0: error updating (0xe0000004 != 0xe0000008)";
        assert!(events(text).is_empty());
    }
}
