//! Signs of failing hardware: they are said before software is blamed.

use std::collections::BTreeMap;

use facts::{Fact, Value};

use super::sequence::{Near, SECOND};
use super::{fault, headline, pointer};

/// One sign of failing hardware.
#[derive(Clone)]
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
            && f.text("what") != Some("no-rendezvous")
    })
}

/// A machine check was signalled and not every CPU came: there is no record, and what kept them may be the firmware or the
/// hypervisor as well as a defect.
fn lacks_cpus(fact: &Fact) -> bool {
    fact.text("what") == Some("no-rendezvous")
        || fact.kind == "log.panic"
            && fact.text("reason").is_some_and(|reason| {
                reason.contains("Not all CPUs entered broadcast")
                    || reason.contains("Timeout synchronizing machine check")
            })
}

/// What in an event speaks for hardware. One bit that differs does only where the hardware admits errors: a counter that
/// is decremented or a flag that is set in freed memory changes one bit too.
pub(super) fn hardware(fact: &Fact, access: Option<&Fact>, admitted: bool, detailed: bool) -> Option<Sign> {
    if !matches!(fact.text("severity"), Some("failure" | "report" | "panic")) {
        return None;
    }
    // The announcement that something was logged says less than what was logged, and so does what the kernel does then.
    let after = matches!(fact.text("what"), Some("logged" | "killed" | "memory-failure"));
    if detailed && (fact.kind == "log.mce" && after || fact.kind == "log.panic") {
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
    let severe = severe && fact.get("recovered").and_then(Value::as_bool) != Some(true);
    // An asynchronous bus error of a board is nearly always a driver that reads a register without clock or power.
    if fact.text("title").is_some_and(|title| title.contains("SError")) && !admitted {
        return None;
    }
    let sign = |kind, part: &str| {
        let what = if title.contains(part) { title.clone() } else { format!("{part}: {title}") };
        Some(Sign { kind, uncorrected: severe, what })
    };
    // A mapping that is missing or gone is a matter of the driver, the firmware or the passthrough, not of a broken part.
    if lacks_cpus(fact)
        || fact.kind == "log.iommu_fault"
        || fact.text("errors").is_some_and(|errors| errors.contains("ACSViol"))
    {
        return None;
    }
    match fact.text("class")? {
        "hardware-mce" if fact.kind == "log.nmi" && fact.text("what") == Some("unknown") => return sign("nmi", "NMI"),
        "hardware-mce" if fact.text("what") == Some("logged") => return sign("logged", "machine check"),
        "hardware-mce" if headline::is_deferred(fact) => return sign("deferred", "machine check"),
        "hardware-mce" => return sign("machine-check", "machine check"),
        "hardware-memory" if fact.kind == "log.gpu_error" => {
            return sign("gpu-memory", "memory of a graphics processor");
        }
        "hardware-memory" => return sign("memory", "memory error"),
        "hardware-pcie" => return sign("pcie", "PCI"),
        "hardware-thermal" => return sign("thermal", "temperature"),
        _ => {}
    }
    bit(fact, access).filter(|_| admitted).map(|what| Sign { kind: "bit-flip", uncorrected: true, what })
}

/// Was it read from the banks at boot, when nothing has run yet that could raise it?
fn is_left_over(fact: &Fact) -> bool {
    const BOOT_NS: i64 = 1_500_000_000;
    let early = fact.time.and_then(|t| t.since_boot_ns).is_some_and(|ns| (0..BOOT_NS).contains(&ns));
    early && fact.text("severity") != Some("panic") && fact.text("what") != Some("killed")
}

/// Corrected errors of one link that are more than everyday life.
const MANY_ON_A_LINK: i64 = 20;

/// Corrected errors that are many, or come in several reports, at the first event of each part: one alone says little.
pub(super) fn storms(facts: &[Fact]) -> BTreeMap<usize, Sign> {
    // First event, reports, errors.
    let mut parts: BTreeMap<(&str, &str), (usize, i64, i64)> = BTreeMap::new();
    for (at, fact) in facts.iter().enumerate() {
        let (name, count) = match &*fact.kind {
            "log.edac" if fact.get("uncorrected").and_then(Value::as_bool) == Some(false) => {
                (fact.text("where").unwrap_or(""), fact.int("count").unwrap_or(1))
            }
            "log.pcie_error" if fact.text("error_severity") == Some("corrected") => {
                (fact.text("device").unwrap_or(""), 1)
            }
            _ => continue,
        };
        if fact.text("errors").is_some_and(|errors| errors.contains("ACSViol")) {
            continue;
        }
        let repeats = fact.int("repeats").unwrap_or(1).max(1);
        let part = parts.entry((&*fact.kind, name)).or_insert((at, 0, 0));
        part.1 = part.1.saturating_add(repeats);
        part.2 = part.2.saturating_add(count.max(1).saturating_mul(repeats));
    }
    let sign = |((kind, name), (at, reports, errors)): ((&str, &str), (usize, i64, i64))| {
        let on = if name.is_empty() { String::new() } else { format!(" on {name}") };
        let sign = if kind == "log.edac" {
            (reports > 1).then(|| Sign {
                kind: "memory",
                uncorrected: false,
                what: format!("{errors} corrected memory errors{on} in {reports} reports; it grows: replace the part before it fails"),
            })
        } else {
            let names = facts.get(at).and_then(|f| f.text("errors")).map(|e| format!(" ({e})")).unwrap_or_default();
            (errors >= MANY_ON_A_LINK).then(|| Sign {
                kind: "pcie",
                uncorrected: false,
                what: format!(
                    "{errors} corrected PCI Express errors{on}{names}: the link is bad, each costs a repetition"
                ),
            })
        };
        sign.map(|sign| (at, sign))
    };
    parts.into_iter().filter_map(sign).collect()
}

/// Recoveries that failed for another reason than a defect: a driver that has no part in them, or an access that was
/// refused by the bridges.
pub(super) fn not_recovered(facts: &[Fact]) -> Vec<usize> {
    let failed = |fact: &Fact| fact.kind == "log.pcie_error" && fact.text("what") == Some("recovery-failed");
    let innocent = |error: &Fact| {
        error.get("no_callback").is_some()
            || error.text("errors").is_some_and(|errors| errors.split(", ").all(|name| REFUSED.contains(&name)))
    };
    let excused = facts
        .iter()
        .enumerate()
        .filter(|(_, fact)| failed(fact) && error_of(facts, fact).is_some_and(|(_, error)| innocent(error)));
    excused.map(|(at, _)| at).collect()
}

/// The error of PCI Express that a recovery which failed was of: that of its device, else the first, beside it: before it or,
/// newest first, behind it.
pub(super) fn error_of<'a>(facts: &'a [Fact], failed: &Fact) -> Option<(usize, &'a Fact)> {
    let beside = |error: &Fact| {
        error.kind == "log.pcie_error"
            && error.text("what") == Some("error")
            && error.text("error_severity") != Some("corrected")
            && (RECOVERY.holds(error, failed) || RECOVERY.holds(failed, error))
    };
    let errors = || facts.iter().enumerate().filter(|(_, error)| beside(error));
    errors().find(|(_, error)| error.text("device") == failed.text("device")).or_else(|| errors().next())
}

/// Requests that were refused, and are nobody's defect.
const REFUSED: &[&str] = &["ACSViol", "UnsupReq"];
const RECOVERY: Near = Near { ns: 60 * SECOND, lines: 60 };

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
/// `access` is what memory tells of the access.
pub(super) fn bit(fact: &Fact, access: Option<&Fact>) -> Option<String> {
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
    let fault = fault::fault(fact, None)?;
    fault.flipped.or_else(|| access?.text("one_bit").map(str::to_owned))
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
        ("nmi", _) => (
            "No driver claims this NMI: somebody pressed the NMI button or asked the management processor for one, a watchdog ran out, or a bus error was raised. Read the board's event log; unknown_nmi_panic=1 makes a dump of the next one",
            "ipmitool sel elist; grep NMI /proc/interrupts",
        ),
        ("deferred", _) => (
            "Not corrected: the data was marked as bad, and nobody has used it yet. Decode the record; replace or watch the part it names, where it names an address",
            "ras-mc-ctl --errors; no report of the same part on later boots",
        ),
        ("gpu-memory", _) => (
            "It is the memory of the graphics processor itself: reset the card (nvidia-smi -r) or restart the machine, so that rows are remapped; replace the card when remapping fails (Xid 64) or the error comes again",
            "nvidia-smi -q -d ECC,ROW_REMAPPER: no pending and no failed remapping",
        ),
        ("memory", false) => (
            "Corrected: nothing was lost. Watch the count of this DIMM and replace it when it grows",
            "ras-mc-ctl --error-count; ras-mc-ctl --errors",
        ),
        ("logged", _) => (
            "Read the record: this log only says that there is one, not whether the error was corrected, or left over from before a reset",
            "ras-mc-ctl --errors; mcelog --client; journalctl -t mcelog -u rasdaemon",
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
        assert!(bit(&slab, None).is_some_and(|what| what.contains("decremented")));
        assert!(hardware(&slab, None, false, false).is_none());
        assert!(hardware(&slab, None, true, false).is_some());
        let edac = Fact::new("log.edac", Origin::lines("dmesg", 1, 9)).with("class", "hardware-memory");
        assert!(admits(&[edac]) && !admits(&[slab]));
    }

    #[test]
    fn corrected_errors_are_counted_by_part() {
        let edac = |at: u64, count: i64| {
            Fact::new("log.edac", Origin::lines("dmesg", at, at))
                .with("severity", "failure")
                .with("uncorrected", false)
                .with("where", "DIMM#1")
                .with("count", count)
        };
        assert!(storms(&[edac(1, 1)]).is_empty());
        let many = storms(&[edac(1, 1), edac(2, 5), edac(3, 1200)]);
        assert!(many.get(&0).is_some_and(|sign| sign.what.starts_with("1206 corrected memory errors on DIMM#1")));
        let aer = |at: u64| {
            Fact::new("log.pcie_error", Origin::lines("dmesg", at, at))
                .with("severity", "notice")
                .with("error_severity", "corrected")
                .with("device", "0000:01:00.0")
        };
        let few: Vec<Fact> = (1..19).map(aer).collect();
        assert!(storms(&few).is_empty());
        let flood: Vec<Fact> = (1..41).map(aer).collect();
        assert!(storms(&flood).get(&0).is_some_and(|sign| sign.what.contains("40 corrected")));
    }

    #[test]
    fn an_error_that_was_put_off_is_not_corrected() {
        let mce = Fact::new("log.mce", Origin::lines("dmesg", 1, 9))
            .with("class", "hardware-mce")
            .with("severity", "failure")
            .with("title", "machine check: exception")
            .with("uncorrected", false)
            .quoting("[Hardware Error]: Deferred error, no action required.");
        let sign = hardware(&mce, None, true, true).unwrap();
        assert_eq!((sign.kind, sign.uncorrected), ("deferred", false));
        assert!(sign.what.contains("deferred"), "{}", sign.what);
        let nmi = Fact::new("log.nmi", Origin::lines("dmesg", 1, 9))
            .with("class", "hardware-mce")
            .with("severity", "failure")
            .with("title", "NMI: unknown")
            .with("what", "unknown");
        assert_eq!(hardware(&nmi, None, true, false).map(|sign| sign.what), Some("NMI: unknown".to_owned()));
    }

    #[test]
    fn a_machine_check_to_which_not_all_came_is_no_proof() {
        let fact = |kind: &'static str| {
            Fact::new(kind, Origin::lines("dmesg", 1, 1)).with("class", "hardware-mce").with("severity", "panic")
        };
        let panic = |reason: &str| fact("log.panic").with("reason", reason);
        assert!(
            hardware(&panic("Timeout: Not all CPUs entered broadcast exception handler"), None, false, false).is_none()
        );
        assert!(hardware(&panic("Fatal machine check"), None, false, false).is_some());
        assert!(!admits(&[fact("log.mce").with("what", "no-rendezvous")]));
    }

    #[test]
    fn a_recovery_without_a_driver_that_takes_part_is_no_defect() {
        let fact = |line: u64, what: &str| {
            Fact::new("log.pcie_error", Origin::lines("dmesg", line, line))
                .with("what", what)
                .with("device", "0000:80:1b.4")
        };
        let error =
            |line: u64, errors: &str| fact(line, "error").with("errors", errors).with("error_severity", "non-fatal");
        let failed = fact(20, "recovery-failed");
        assert_eq!(not_recovered(&[error(10, "ACSViol"), failed.clone()]), [1]);
        assert_eq!(not_recovered(&[failed.clone(), error(22, "ACSViol")]), [0]);
        assert!(not_recovered(&[error(10, "CmpltTO, MalfTLP"), failed.clone()]).is_empty());
        assert_eq!(not_recovered(&[error(10, "CmpltTO").with("no_callback", true), failed.clone()]), [1]);
        // The error of its own device counts, whatever another one next to it says.
        let other = error(9, "ACSViol").with("device", "0000:00:01.0");
        assert!(not_recovered(&[other, error(10, "CmpltTO"), failed.clone()]).is_empty());
        assert!(not_recovered(&[failed]).is_empty());
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
        assert_eq!(hardware(&mce(false), None, true, true).map(|s| s.uncorrected), Some(false));
        assert_eq!(hardware(&mce(true), None, true, true).map(|s| s.uncorrected), Some(true));
    }
}
