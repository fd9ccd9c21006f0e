//! Errors that PCIe ports report: AER and DPC.

use facts::{FieldType, Value};

use super::{Before, Family, From, Opened, field, kind, no_finish};
use crate::cursor::{between, has, split};
use crate::event::{Event, Severity};
use crate::report::{Report, Step};
use crate::{Line, class};

pub(super) static PCIE: Family = Family {
    name: "pcie_error",
    anchors: &[
        "PCIe Bus Error:",
        "DPC: containment event",
        "evice recovery failed",
        "AER: Correct",
        "AER: Uncorrect",
        "AER: Multiple ",
        "EEH: ",
        "PHB Freeze/Fence detected",
        "state error detected, disable CXL.mem",
        "change power state from D3cold to D0",
        "; giving up",
    ],
    from: From::Kernel,
    open: open_pcie,
    body: pcie_body,
    finish: no_finish,
    kind: kind(
        "log.pcie_error",
        "A PCIe port reported an error (AER, DPC)",
        &[
            field(
                "device",
                FieldType::Text,
                "",
                "PCI address of the device that reports, or of the one named as its source",
            ),
            field("error_severity", FieldType::Text, "", "corrected, non-fatal, fatal"),
            field("layer", FieldType::Text, "", "Physical Layer, Data Link Layer, Transaction Layer"),
            field("errors", FieldType::Text, "", "names of the status bits"),
            field("no_callback", FieldType::Bool, "", "a driver below it does not take part in recoveries"),
            field("recovered", FieldType::Bool, "", "the driver took the device into use again"),
            field("what", FieldType::Text, "", "error, containment, frozen, recovery-failed, lost"),
        ],
    ),
};

fn open_pcie(line: &Line<'_>, before: Before<'_>) -> Option<Opened> {
    let text = line.text();
    // powerpc: `EEH: Frozen PHB#0-PE#1 detected`, `EEH: PHB#0 failure detected, location: N/A`
    if let Some(rest) = text.strip_prefix("EEH: ") {
        let (what, severity) = if rest.starts_with("Frozen PHB#")
            || rest.starts_with("Fenced PHB#")
            || has(rest, " failure detected") && rest.starts_with("PHB#")
        {
            ("frozen", Severity::Failure)
        } else if rest.starts_with("Unable to recover from failure") || has(rest, "has failed 6 times") {
            ("recovery-failed", Severity::Report)
        } else {
            return None;
        };
        let device = rest.split(' ').find(|w| w.starts_with("PHB#")).unwrap_or_default();
        return Opened::line(
            Event::new(PCIE.name, class::HARDWARE_PCIE, severity)
                .titled(format!("PCIe: {what}"))
                .with("what", what)
                .with("device", device),
        );
    }
    let (head, rest) = split(text, ": ")?;
    let device = head.rsplit(' ').next().unwrap_or(head);
    // The firmware of POWER machines: `PHB#006f[6:3]: PHB Freeze/Fence detected !`
    if rest.starts_with("PHB Freeze/Fence detected") && head.starts_with("PHB#") {
        let event = Event::new(PCIE.name, class::HARDWARE_PCIE, Severity::Failure);
        return Opened::line(event.titled("PCIe: frozen").with("what", "frozen").with("device", head));
    }
    // A PCI address: `0000:00:1c.0`.
    if !device.contains(':') || !device.contains('.') || head.len() > 40 {
        return None;
    }
    let rest = rest.strip_prefix("AER: ").unwrap_or(rest);
    let event = |what: &'static str| {
        Event::new(PCIE.name, class::HARDWARE_PCIE, Severity::Failure).with("what", what).with("device", device)
    };
    if rest.starts_with("PCIe Bus Error: severity=") {
        if before.current.is_some_and(|e| e.family == PCIE.name) {
            return None;
        }
        let mut event = event("error");
        bus_error(rest, &mut event);
        return Opened::lines(event);
    }
    if let Some(at) = rest.find(" error ").filter(|_| has(rest, "received") || rest.ends_with(" error message")) {
        let words = rest[..at].trim_start_matches("Multiple ");
        if !matches!(words.split(' ').next(), Some("Corrected" | "Correctable" | "Uncorrected" | "Uncorrectable")) {
            return None;
        }
        let mut event = event("error");
        severity_of(words, &mut event);
        return Opened::lines(event);
    }
    if rest.ends_with("state error detected, disable CXL.mem") {
        return Opened::line(event("frozen").titled("CXL: memory of the device disabled"));
    }
    // The device does not answer any more: `not ready 65535ms after FLR; giving up`
    if rest.starts_with("not ready ") && rest.ends_with("; giving up")
        || rest.starts_with("Unable to change power state from D3cold to D0")
        || rest.starts_with("can't change power state from D3cold to D0")
    {
        return Opened::line(event("lost").titled("PCIe: the device does not answer"));
    }
    if rest.starts_with("DPC: containment event") {
        return Opened::line(event("containment").titled("PCIe: port contained"));
    }
    rest.to_ascii_lowercase().starts_with("device recovery failed").then_some(())?;
    Opened::line(event("recovery-failed").titled("PCIe: device recovery failed"))
}

/// A corrected error alone is everyday life; a fatal one took the device down.
fn severity_of(words: &str, event: &mut Event) {
    let (name, severity) = if has(words, "Non-Fatal") || has(words, "NonFatal") {
        ("non-fatal", Severity::Failure)
    } else if has(words, "Fatal") {
        ("fatal", Severity::Report)
    } else if words.starts_with("Correct") {
        ("corrected", Severity::Notice)
    } else {
        ("non-fatal", Severity::Failure)
    };
    event.severity = severity;
    event.set("error_severity", name);
    event.title = format!("PCIe: {name} error");
}

fn bus_error(rest: &str, event: &mut Event) {
    if let Some(words) = between(rest, "severity=", ",") {
        severity_of(words, event);
    }
    if let Some(layer) = between(rest, "type=", ",") {
        event.set("layer", layer);
    }
}

fn pcie_body(report: &mut Report, line: &Line<'_>) -> Step {
    let text = line.text();
    let Some((head, rest)) = split(text, ": ") else { return Step::Pass };
    let device = head.rsplit(' ').next().unwrap_or(head);
    if !device.contains(':') || !device.contains('.') {
        return Step::Pass;
    }
    let rest = rest.trim_start().strip_prefix("AER: ").unwrap_or(rest).trim_start();
    let event = &mut report.event;
    if rest.starts_with("PCIe Bus Error: severity=") {
        if event.fields.contains_key("layer") {
            return Step::Stop;
        }
        // The port told of it; the device has it.
        event.set("device", device);
        bus_error(rest, event);
        return Step::Take;
    }
    if rest.starts_with("device [") {
        return Step::Take;
    }
    // `[ 0] RxErr                  (First)`
    if let Some(inside) = rest.strip_prefix('[')
        && let Some((bit, name)) = inside.split_once(']')
        && bit.trim().parse::<u8>().is_ok()
    {
        let name = name.trim().trim_end_matches("(First)").trim();
        let all = match event.fields.get("errors").and_then(Value::as_text) {
            Some(before) if before.len() < 200 => format!("{before}, {name}"),
            Some(before) => before.to_owned(),
            None => name.to_owned(),
        };
        event.set("errors", all);
        return Step::Take;
    }
    if rest.to_ascii_lowercase().starts_with("device recovery successful") {
        event.set("recovered", true);
        return Step::End;
    }
    // drivers/pci/pcie/err.c; up to 5.x `can't recover (no error_detected callback)` of the device alone.
    if rest.starts_with("can't recover (no error_detected callback)") {
        event.set("no_callback", true);
        return Step::Take;
    }
    if rest.starts_with("TLP Header:") || rest.starts_with("Error of this Agent") || rest.starts_with("broadcast ") {
        return Step::Take;
    }
    Step::Pass
}

#[cfg(test)]
mod tests {
    use super::super::tests::{events, fields};

    #[test]
    fn a_driver_that_takes_no_part_in_a_recovery_is_no_defect() {
        let text = "[   52.261501] pcieport 0000:80:1b.4: AER: Uncorrectable (Non-Fatal) error message received from 0000:80:1b.4\n\
             [   52.261501] pcieport 0000:80:1b.4: PCIe Bus Error: severity=Uncorrectable (Non-Fatal), type=Transaction Layer, (Receiver ID)\n\
             [   52.261501] pcieport 0000:80:1b.4:   device [8086:7f44] error status/mask=00200000/00000000\n\
             [   52.261501] pcieport 0000:80:1b.4:    [21] ACSViol                (First)\n\
             [   52.261501] thunderbolt 0000:84:00.0: AER: can't recover (no error_detected callback)\n\
             [   52.261501] pcieport 0000:80:1b.4: AER: device recovery failed\n";
        assert_eq!(fields(text, &["errors", "no_callback", "device"]), ["ACSViol", "true", "0000:80:1b.4"]);
        assert_eq!(events(text).len(), 2);
    }

    #[test]
    fn pcie_errors_by_severity() {
        let text = "[   52.261501] pcieport 0000:00:1c.0: AER: Corrected error message received from 0000:01:00.0\n\
             [   52.261501] nvme 0000:01:00.0: PCIe Bus Error: severity=Corrected, type=Physical Layer, (Receiver ID)\n\
             [   52.261501] nvme 0000:01:00.0:   device [8086:a115] error status/mask=00000001/00002000\n\
             [   52.261501] nvme 0000:01:00.0:    [ 0] RxErr                  (First)\n";
        assert_eq!(events(text).len(), 1);
        assert_eq!(
            fields(text, &["severity", "error_severity", "device", "layer", "errors"]),
            ["notice", "corrected", "0000:01:00.0", "Physical Layer", "RxErr"]
        );
        let text = "[   52.261501] pcieport 0000:00:1c.0: PCIe Bus Error: severity=Uncorrected (Fatal), type=Transaction Layer, (Requester ID)";
        assert_eq!(fields(text, &["severity"]), ["report"]);
        for text in [
            "[   52.261501] EEH: Fenced PHB#2 detected, location: N/A",
            "[ 1005.489389250,3] PHB#006f[6:3]: PHB Freeze/Fence detected !",
        ] {
            assert_eq!(fields(text, &["what", "severity"]), ["frozen", "failure"], "{text}");
        }
        let text =
            "[   52.261501] vfio-pci 0000:03:00.0: Unable to change power state from D3cold to D0, device inaccessible";
        assert_eq!(fields(text, &["what", "class", "device"]), ["lost", "hardware-pcie", "0000:03:00.0"]);
        assert!(events("[   52.261501] pci 0000:03:00.0: not ready 1023ms after FLR; waiting").is_empty());
        assert!(events("[   52.261501] pcieport 0000:00:1c.0: AER: enabled with IRQ 24").is_empty());
        assert!(
            events("[   52.261501] pcieport 0000:00:1c.0: DPC: error containment capabilities: Int Msg #0").is_empty()
        );
    }
}
