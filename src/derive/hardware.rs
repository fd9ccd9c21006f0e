//! Signs of failing hardware: they are said before software is blamed.

use facts::Fact;

use super::{fault, pointer};

/// One sign of failing hardware.
pub(super) struct Sign {
    /// What part of the machine it speaks of.
    pub(super) kind: &'static str,
    /// Data or a bus transfer was lost, or a bit changed: not a corrected error, not mere heat.
    pub(super) uncorrected: bool,
    /// The sign, in words.
    pub(super) what: String,
}

/// What in an event speaks for hardware.
pub(super) fn hardware(fact: &Fact) -> Option<Sign> {
    if !matches!(fact.text("severity"), Some("failure" | "report" | "panic")) {
        return None;
    }
    let title = fact.text("title").unwrap_or("");
    let severe = match &*fact.kind {
        "log.mce" | "log.edac" => {
            fact.get("uncorrected").and_then(facts::Value::as_bool) == Some(true)
                || matches!(fact.text("what"), Some("exception" | "memory-failure" | "killed"))
        }
        "log.pcie_error" => {
            fact.text("error_severity") == Some("fatal") || fact.text("what") == Some("recovery-failed")
        }
        "log.firmware_error_record" => matches!(fact.text("event_severity"), Some("recoverable" | "fatal")),
        "log.thermal" => fact.text("what") == Some("critical"),
        "log.nmi" => matches!(fact.text("what"), Some("pci-serr" | "iock" | "memory-parity")),
        _ => fact.text("severity") == Some("panic"),
    };
    let sign = |kind, part: &str| {
        let what = if title.starts_with(part) { title.to_owned() } else { format!("{part}: {title}") };
        Some(Sign { kind, uncorrected: severe, what })
    };
    match fact.text("class")? {
        "hardware-mce" => return sign("machine-check", "machine check"),
        "hardware-memory" => return sign("memory", "memory error"),
        "hardware-pcie" => return sign("pcie", "PCI Express error"),
        "hardware-thermal" => return sign("thermal", "temperature"),
        _ => {}
    }
    let reason = fact.text("reason").unwrap_or("");
    if reason.contains("An NMI occurred") || reason.contains("hpwdt") || title.contains("hpwdt") {
        return Some(Sign {
            kind: "board",
            uncorrected: true,
            what: "the board's own watchdog or management processor raised an NMI".to_owned(),
        });
    }
    let flipped = |what| Some(Sign { kind: "bit-flip", uncorrected: true, what });
    let byte = |name| fault::number(fact.get(name));
    if let (Some(found), Some(expected)) = (byte("found_byte"), byte("expected_byte"))
        && matches!(fact.int("length"), None | Some(1))
        && pointer::byte_one_bit_off(found, expected)
    {
        return flipped(format!("one bit of the poison is flipped: {found:#04x} in place of {expected:#04x}"));
    }
    flipped(fault::fault(fact)?.flipped?)
}
