//! Signs of failing hardware: they are said before software is blamed.

use facts::{Fact, Value};

use super::{fault, headline, pointer};

/// One sign of failing hardware.
pub(super) struct Sign {
    /// What part of the machine it speaks of.
    pub(super) kind: &'static str,
    /// Data or a bus transfer was lost, or a bit changed: not a corrected error, not mere heat.
    pub(super) uncorrected: bool,
    /// The sign, in words.
    pub(super) what: String,
}

/// Classes of events in which the hardware itself, or its firmware, says that it failed.
const OWN_WORDS: &[&str] = &["hardware-mce", "hardware-memory"];

/// Does the hardware of this machine say of itself that memory or processor failed?
pub(super) fn admits(facts: &[Fact]) -> bool {
    facts.iter().any(|f| {
        f.text("class").is_some_and(|class| OWN_WORDS.contains(&class))
            && matches!(&*f.kind, "log.mce" | "log.edac" | "log.firmware_error_record")
    })
}

/// What in an event speaks for hardware. One bit that differs does only where the hardware admits errors: a counter that
/// is decremented or a flag that is set in freed memory changes one bit too.
pub(super) fn hardware(fact: &Fact, admitted: bool, detailed: bool) -> Option<Sign> {
    if !matches!(fact.text("severity"), Some("failure" | "report" | "panic")) {
        return None;
    }
    // The announcement that something was logged says less than what was logged.
    if detailed && fact.kind == "log.mce" && fact.text("what") == Some("logged") {
        return None;
    }
    let mut title = headline::headline(fact).or_else(|| fact.text("title").map(str::to_owned)).unwrap_or_default();
    if fact.kind == "log.mce" && is_left_over(fact) {
        let cause = fact.get("uncorrected").and_then(Value::as_bool) == Some(true);
        title.push_str("; found at boot: it happened before the reset");
        title.push_str(if cause { ", and may be its cause" } else { "" });
    }
    let severe = match &*fact.kind {
        "log.mce" | "log.edac" => match fact.get("uncorrected").and_then(Value::as_bool) {
            Some(uncorrected) => uncorrected,
            None => matches!(fact.text("what"), Some("exception" | "memory-failure" | "killed")),
        },
        "log.pcie_error" => {
            fact.text("error_severity") == Some("fatal") || fact.text("what") == Some("recovery-failed")
        }
        "log.firmware_error_record" => matches!(fact.text("event_severity"), Some("recoverable" | "fatal")),
        "log.thermal" => fact.text("what") == Some("critical"),
        "log.nmi" => matches!(fact.text("what"), Some("pci-serr" | "iock" | "memory-parity")),
        "log.net_watchdog" => fact.text("what") == Some("lost"),
        // A machine check that killed what ran, and a graphics processor that is gone.
        "log.gpu_error" | "log.oops" => true,
        _ => fact.text("severity") == Some("panic"),
    };
    let sign = |kind, part: &str| {
        let what = if title.contains(part) { title.clone() } else { format!("{part}: {title}") };
        Some(Sign { kind, uncorrected: severe, what })
    };
    // A mapping that is missing or gone is a matter of the driver, the firmware or the passthrough, not of a broken part.
    if fact.kind == "log.iommu_fault" || fact.text("errors").is_some_and(|errors| errors.contains("ACSViol")) {
        return None;
    }
    match fact.text("class")? {
        "hardware-mce" => return sign("machine-check", "machine check"),
        "hardware-memory" => return sign("memory", "memory error"),
        "hardware-pcie" => return sign("pcie", "PCI"),
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
    bit(fact).filter(|_| admitted).map(|what| Sign { kind: "bit-flip", uncorrected: true, what })
}

/// Was it read from the banks at boot, when nothing has run yet that could raise it?
fn is_left_over(fact: &Fact) -> bool {
    const BOOT_NS: i64 = 1_500_000_000;
    let early = fact.time.and_then(|t| t.since_boot_ns).is_some_and(|ns| (0..BOOT_NS).contains(&ns));
    early && fact.text("severity") != Some("panic") && fact.text("what") != Some("killed")
}

/// A generation or address of Btrfs of which one bit is not what it should be, too high for two numbers that are near.
fn stored_bit(fact: &Fact) -> Option<String> {
    let detail = fact.text("detail").filter(|_| fact.text("filesystem") == Some("btrfs"))?;
    let number = |words: &[&str]| {
        let rest = words.iter().find_map(|word| detail.split_once(word).map(|(_, rest)| rest))?;
        rest.split([' ', ',']).next()?.parse::<u64>().ok()
    };
    let (wanted, found) = (number(&["wanted ", "want ", "want="])?, number(&["found ", "have ", "have="])?);
    let differ = wanted ^ found;
    (differ.count_ones() == 1 && differ >= 1 << 24 && wanted != 0 && found != 0).then(|| {
        let (bad, good) = (wanted.max(found), wanted.min(found));
        format!("one bit differs, {bad:#x} in place of {good:#x}: no stale block is that far off, but memory that flips a bit before it is written")
    })
}

/// Says that one bit differs from what must stand there.
pub(super) fn bit(fact: &Fact) -> Option<String> {
    let byte = |name| fault::number(fact.get(name));
    if let (Some(found), Some(expected)) = (byte("found_byte"), byte("expected_byte"))
        && matches!(fact.int("length"), None | Some(1))
        && pointer::byte_one_bit_off(found, expected)
    {
        let how = match (found, expected) {
            (0x6a, 0x6b) => "what a reference count or lock does to freed memory when it is decremented",
            _ if found & expected == expected => "what a flag does to freed memory when it is set",
            _ => "what a flag does to freed memory when it is cleared",
        };
        return Some(format!("one bit differs, {found:#04x} in place of {expected:#04x}: {how}"));
    }
    if let Some(what) = stored_bit(fact) {
        return Some(what);
    }
    fault::fault(fact)?.flipped
}

/// What to do about a sort of hardware, and how to see that it took.
pub(super) fn advice(kind: &str, uncorrected: bool) -> (&'static str, &'static str) {
    match (kind, uncorrected) {
        ("pcie", _) => (
            "Look at the device and the link to it: reseat card, riser and cable, try another slot, update the firmware of device and board, switch off link power management (pcie_aspm=off) for a test, check its power supply",
            "lspci -vvv -s DEVICE (LnkSta, DevSta, UESta, CESta): no new errors; journalctl -k | grep -i aer",
        ),
        ("thermal", _) => {
            ("Look at fans, air flow, heat sinks and power limits", "sensors; ipmitool sdr type Temperature; turbostat")
        }
        ("board", _) => ("Read the board's event log first: it says why it raised the NMI", "ipmitool sel elist"),
        ("memory", false) => (
            "Corrected: nothing was lost. Watch the count of this DIMM and replace it when it grows",
            "ras-mc-ctl --error-count; ras-mc-ctl --errors",
        ),
        ("machine-check", false) => (
            "Corrected: nothing was lost. Decode the record and watch whether the same bank repeats; update the firmware",
            "ras-mc-ctl --summary; mcelog --client",
        ),
        ("machine-check", true) => (
            "Decode the record to learn which part failed (processor cache, memory controller, interconnect); update microcode and firmware; replace the part when it repeats",
            "ras-mc-ctl --errors; ipmitool sel elist",
        ),
        ("bit-flip", _) => (
            "Compare with other crashes of the same machine: software bugs repeat at the same place, broken memory does not; test the memory over night",
            "ras-mc-ctl --errors; no second report from another place on the same machine",
        ),
        _ => (
            "Take the machine out of service and replace the DIMM named; test the memory over night where none is named",
            "ras-mc-ctl --errors; ipmitool sel elist",
        ),
    }
}

#[cfg(test)]
mod tests {
    use facts::Origin;

    use super::*;

    #[test]
    fn one_bit_alone_is_never_hardware() {
        let slab = Fact::new("log.slab_corruption", Origin::lines("dmesg", 1, 9))
            .with("class", "slab-corruption")
            .with("severity", "report")
            .with("found_byte", 0x6au64)
            .with("expected_byte", 0x6bu64);
        assert!(bit(&slab).is_some_and(|what| what.contains("decremented")));
        assert!(hardware(&slab, false, false).is_none());
        assert!(hardware(&slab, true, false).is_some());
        let edac = Fact::new("log.edac", Origin::lines("dmesg", 1, 9)).with("class", "hardware-memory");
        assert!(admits(&[edac]) && !admits(&[slab]));
    }

    #[test]
    fn corrected_errors_are_no_failures() {
        let mce = |uncorrected: bool| {
            Fact::new("log.mce", Origin::lines("dmesg", 1, 9))
                .with("class", "hardware-mce")
                .with("severity", "failure")
                .with("what", "exception")
                .with("uncorrected", uncorrected)
        };
        assert_eq!(hardware(&mce(false), true, true).map(|s| s.uncorrected), Some(false));
        assert_eq!(hardware(&mce(true), true, true).map(|s| s.uncorrected), Some(true));
    }
}
