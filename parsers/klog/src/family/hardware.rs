//! The hardware's own reports: machine checks, memory controllers, firmware records, PCIe, heat, NMIs.

use facts::{Address, FieldType, Value};

use super::{Before, Family, From, Opened, field, kind, no_body, no_finish};
use crate::cursor::{Cursor, after, between, hex_after, number_after};
use crate::event::{Event, Severity};
use crate::report::{Report, Step};
use crate::{Line, class};

pub(super) static MCE: Family = Family {
    name: "mce",
    anchors: &[
        "Machine check events logged",
        "Machine Check",
        "error, no action required",
        ": machine check (",
        "Memory failure: 0x",
        "hardware memory corruption",
    ],
    from: From::Kernel,
    open: open_mce,
    body: mce_body,
    finish: mce_finish,
    kind: kind(
        "log.mce",
        "A machine check, or a page taken out of use because of one",
        &[
            field("what", FieldType::Text, "", "logged, exception, decoded, memory-failure, killed"),
            field("bank", FieldType::Int, "", "bank of the machine-check registers"),
            field("status", FieldType::Address, "", "its status register"),
            field("uncorrected", FieldType::Bool, "", "the error was not corrected (bit 61)"),
            field("context_corrupt", FieldType::Bool, "", "the processor's context is corrupt (bit 57)"),
            field("mcacod", FieldType::Int, "", "error code, the low 16 bits"),
            field("physical_address", FieldType::Address, "", "address of the error"),
            field("processor", FieldType::Text, "", "vendor and CPUID"),
            field("socket", FieldType::Int, "", "socket"),
            field("detail", FieldType::Text, "", "what was decoded, or the outcome"),
        ],
    ),
};

pub(super) static EDAC: Family = Family {
    name: "edac",
    anchors: &["EDAC MC"],
    from: From::Kernel,
    open: open_edac,
    body: no_body,
    finish: no_finish,
    kind: kind(
        "log.edac",
        "A memory controller counted memory errors",
        &[
            field("controller", FieldType::Int, "", "number of the memory controller"),
            field("count", FieldType::Int, "", "errors"),
            field("uncorrected", FieldType::Bool, "", "UE: not corrected"),
            field("where", FieldType::Text, "", "DIMM as labelled"),
            field("page", FieldType::Int, "", "page frame"),
            field("detail", FieldType::Text, "", "the text"),
        ],
    ),
};

pub(super) static FIRMWARE_RECORD: Family = Family {
    name: "firmware_error_record",
    anchors: &["Hardware error from APEI", "BERT: Error records from previous boot"],
    from: From::Kernel,
    open: open_record,
    body: record_body,
    finish: record_finish,
    kind: kind(
        "log.firmware_error_record",
        "The firmware reports a hardware error (APEI GHES), or one of the previous boot (BERT)",
        &[
            field("source", FieldType::Int, "", "error source"),
            field("previous_boot", FieldType::Bool, "", "the record is of the boot before"),
            field("event_severity", FieldType::Text, "", "corrected, recoverable, fatal, info"),
            field("section", FieldType::Text, "", "memory error, PCIe error, general processor error, ..."),
            field("error_type", FieldType::Text, "", "single-bit ECC, ..."),
            field("physical_address", FieldType::Address, "", "address of the error"),
            field("fru", FieldType::Text, "", "part named by the firmware"),
            field("location", FieldType::Text, "", "node, card, module, ..."),
            field("device", FieldType::Text, "", "PCI device"),
        ],
    ),
};

pub(super) static PCIE: Family = Family {
    name: "pcie_error",
    anchors: &[
        "PCIe Bus Error: severity=",
        "DPC: containment event",
        "evice recovery failed",
        "AER: Correct",
        "AER: Uncorrect",
        "AER: Multiple ",
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
            field("what", FieldType::Text, "", "error, containment, recovery-failed"),
        ],
    ),
};

pub(super) static THERMAL: Family = Family {
    name: "thermal",
    anchors: &["above threshold, cpu clock", "ritical temperature reached", "HARDWARE PROTECTION shutdown"],
    from: From::Kernel,
    open: open_thermal,
    body: no_body,
    finish: no_finish,
    kind: kind(
        "log.thermal",
        "The machine is too hot",
        &[
            field("what", FieldType::Text, "", "throttled, critical"),
            field("events", FieldType::Int, "", "times so far"),
        ],
    ),
};

pub(super) static NMI: Family = Family {
    name: "nmi",
    anchors: &[
        "NMI received for unknown reason",
        "NMI: PCI system error",
        "NMI: IOCK error",
        "NMI: Memory parity error",
    ],
    from: From::Kernel,
    open: open_nmi,
    body: nmi_body,
    finish: no_finish,
    kind: kind(
        "log.nmi",
        "A non-maskable interrupt that the hardware raised",
        &[
            field("what", FieldType::Text, "", "unknown, pci-serr, iock, memory-parity"),
            field("reason", FieldType::Int, "", "reason byte of port 0x61"),
        ],
    ),
};

pub(super) static IRQ: Family = Family {
    name: "irq_nobody_cared",
    anchors: &[": nobody cared (try booting with"],
    from: From::Kernel,
    open: open_irq,
    body: irq_body,
    finish: no_finish,
    kind: kind(
        "log.irq_nobody_cared",
        "No handler claims an interrupt line that keeps firing; the line is switched off",
        &[
            field("irq", FieldType::Int, "", "interrupt number"),
            field("handlers", FieldType::List, "", "handlers that were asked"),
            field("disabled", FieldType::Bool, "", "the line was switched off"),
        ],
    ),
};

/// Behind `mce: `, `{1}` and the like: what a hardware-error line says.
fn hardware(text: &str) -> Option<&str> {
    let (head, rest) = text.split_once("[Hardware Error]: ")?;
    (head.len() <= 16 && !head.contains("AEST")).then_some(rest.trim_start())
}

fn open_mce(line: &Line<'_>, _: Before<'_>) -> Option<Opened> {
    let text = line.text();
    let new = |what: &'static str| {
        Event::new(MCE.name, class::HARDWARE_MCE, Severity::Failure)
            .titled(format!("machine check: {what}"))
            .with("what", what)
    };
    if let Some(rest) = text.strip_prefix("Memory failure: 0x") {
        let rest = rest.split_once(": ")?.1;
        let what = if rest.contains("hardware memory corruption") { "killed" } else { "memory-failure" };
        if what == "memory-failure" && !rest.starts_with("recovery action for ") {
            return None;
        }
        let pfn = hex_after(text, "failure: ")?;
        let mut event = new(what).with("detail", rest).with_opt("physical_address", pfn.checked_mul(4096).map(Address));
        event.class = class::HARDWARE_MEMORY;
        return Opened::line(event);
    }
    if text.starts_with("MCE 0x") && text.contains("hardware memory corruption") {
        let mut event = new("killed").with("detail", text);
        event.class = class::HARDWARE_MEMORY;
        return Opened::line(event);
    }
    // powerpc: `MCE: CPU0: machine check (Severe) Host UE Load/Store [Not recovered]`
    if let Some(rest) = text.strip_prefix("MCE: CPU")
        && let Some((cpu, detail)) = rest.split_once(": machine check (")
    {
        let recovered = text.contains("[Recovered]");
        let mut event = new("exception").with("detail", detail).with("uncorrected", !recovered);
        event.cpu = cpu.parse().ok();
        return Opened::line(event);
    }
    let rest = hardware(text)?;
    if rest.starts_with("Machine check events logged") {
        return Opened::line(new("logged"));
    }
    if let Some(rest) = rest.strip_prefix("CPU ") {
        // `CPU 3: Machine Check Exception: 5 Bank 5: be00000000800400`
        let mut event = new("exception");
        let mut c = Cursor::new(rest);
        event.cpu = c.number().and_then(|n| u32::try_from(n).ok());
        rest.contains(": Machine Check").then_some(())?;
        let bank = after(rest, " Bank ").or_else(|| after(rest, " BANK "));
        if let Some(bank) = bank {
            let mut c = Cursor::new(bank);
            event = event.with_opt("bank", c.number());
            c.take(":");
            if let Some(status) = c.blanks().hex() {
                set_status(&mut event, status);
            }
        }
        return Opened::lines(event);
    }
    if rest.ends_with("error, no action required.") {
        let mut event = new("decoded").with("detail", rest);
        event.set("uncorrected", rest.starts_with("Uncorrected"));
        return Opened::lines(event);
    }
    None
}

fn set_status(event: &mut Event, status: u64) {
    event.set("status", Address(status));
    event.set("uncorrected", status >> 61 & 1 == 1);
    event.set("context_corrupt", status >> 57 & 1 == 1);
    event.set("mcacod", status & 0xffff);
}

fn mce_body(report: &mut Report, line: &Line<'_>) -> Step {
    let Some(rest) = hardware(line.text()) else { return Step::Pass };
    let event = &mut report.event;
    if rest.starts_with("CPU ") && rest.contains(": Machine Check") || rest.ends_with("error, no action required.") {
        return Step::Stop;
    }
    if rest.starts_with("Hardware error from APEI") || line.text().contains("}[Hardware Error]") {
        return Step::Stop;
    }
    if rest.starts_with("TSC ") || rest.contains("ADDR ") || rest.starts_with("Error Addr") {
        if let Some(address) = hex_after(rest, "ADDR ").or_else(|| hex_after(rest, "Error Addr: ")) {
            event.set("physical_address", Address(address));
        }
    } else if let Some(processor) = rest.strip_prefix("PROCESSOR ") {
        event.set("processor", processor.split(' ').next().unwrap_or(processor));
        if let Some(socket) = number_after(rest, "SOCKET ") {
            event.set("socket", socket);
        }
    } else if let Some((head, status)) = rest.split_once("_STATUS[") {
        // `CPU:0 (17:31:0) MC17_STATUS[Over|CE|...]: 0x...`
        event.cpu = event.cpu.or_else(|| number_after(head, "CPU:").and_then(|n| u32::try_from(n).ok()));
        if let Some(bank) = head.rsplit("MC").next().and_then(|n| n.parse::<u64>().ok()) {
            event.set("bank", bank);
        }
        if let Some(value) = after(status, "]: ").and_then(|t| Cursor::new(t).hex()) {
            set_status(event, value);
        }
    } else if rest.contains("Error Code:") || rest.contains("ECC error") {
        event.set("detail", rest);
        if rest.contains("DRAM ECC") {
            event.class = class::HARDWARE_MEMORY;
        }
    } else if let Some(detail) = rest.strip_prefix("Machine check: ") {
        event.set("detail", detail);
    }
    Step::Take
}

fn mce_finish(report: &mut Report) {
    let event = &mut report.event;
    if event.fields.get("uncorrected").and_then(Value::as_bool) == Some(true) {
        event.severity = Severity::Report;
        event.title = "machine check: uncorrected error".to_owned();
    }
}

fn open_edac(line: &Line<'_>, _: Before<'_>) -> Option<Opened> {
    let text = line.text();
    let mut c = Cursor::new(text);
    if !c.take("EDAC MC") {
        return None;
    }
    let controller = c.number()?;
    c.take(":").then_some(())?;
    // Up to 3.4: `EDAC MC0: CE page 0x1, offset ..., label "x":`
    let count = c.blanks().number();
    let kind = c.blanks().word();
    let uncorrected = match kind {
        "UE" => true,
        "CE" => false,
        _ => return None,
    };
    let detail = c.rest().trim();
    let place =
        after(detail, " on ").map(|t| t.split(" (").next().unwrap_or(t)).or_else(|| between(detail, "label \"", "\""));
    let severity = if uncorrected { Severity::Report } else { Severity::Failure };
    Opened::line(
        Event::new(EDAC.name, class::HARDWARE_MEMORY, severity)
            .titled(if uncorrected { "memory error: uncorrected" } else { "memory error: corrected" })
            .with("controller", controller)
            .with("count", count.unwrap_or(1))
            .with("uncorrected", uncorrected)
            .with_opt("where", place)
            .with_opt("page", hex_after(detail, "page:").or_else(|| hex_after(detail, "page ")))
            .with("detail", detail),
    )
}

fn open_record(line: &Line<'_>, _: Before<'_>) -> Option<Opened> {
    let text = line.text();
    let event =
        Event::new(FIRMWARE_RECORD.name, class::HARDWARE_MCE, Severity::Failure).titled("firmware error record");
    if text.starts_with("BERT: Error records from previous boot") {
        return Opened::lines(event.with("previous_boot", true));
    }
    let rest = hardware(text)?;
    rest.starts_with("Hardware error from APEI").then_some(())?;
    Opened::lines(event.with("previous_boot", false).with_opt("source", number_after(rest, "Source: ")))
}

fn record_body(report: &mut Report, line: &Line<'_>) -> Step {
    let Some(rest) = hardware(line.text()) else { return Step::Pass };
    if rest.starts_with("Hardware error from APEI") || rest.starts_with("Machine check events logged") {
        return Step::Stop;
    }
    let event = &mut report.event;
    if let Some((name, value)) = rest.split_once(": ") {
        let (name, value) = (name.trim(), value.trim());
        match name {
            "event severity" => event.set("event_severity", value),
            "section_type" => {
                event.fields.entry("section".into()).or_insert_with(|| value.into());
            }
            "error_type" => {
                let text = value.split_once(", ").map_or(value, |(_, text)| text);
                event.fields.entry("error_type".into()).or_insert_with(|| text.into());
            }
            "physical_address" => {
                if let Some(address) = Cursor::new(value).hex() {
                    event.set("physical_address", Address(address));
                }
            }
            "fru_text" | "FRU text" => event.set("fru", value),
            "device_id" if value.contains(':') => event.set("device", value),
            "DIMM location" => event.set("location", value),
            "node" => {
                event.fields.entry("location".into()).or_insert_with(|| rest.into());
            }
            _ => {}
        }
    } else if rest.starts_with("node:") {
        event.fields.entry("location".into()).or_insert_with(|| rest.into());
    }
    Step::Take
}

fn record_finish(report: &mut Report) {
    let event = &mut report.event;
    let text = |name: &str| event.fields.get(name).and_then(Value::as_text).unwrap_or_default().to_owned();
    let (severity, section) = (text("event_severity"), text("section"));
    event.class = if section.contains("memory") {
        class::HARDWARE_MEMORY
    } else if section.contains("PCIe") {
        class::HARDWARE_PCIE
    } else {
        class::HARDWARE_MCE
    };
    event.severity = match severity.as_str() {
        "fatal" | "recoverable" => Severity::Report,
        "info" => Severity::Notice,
        _ => Severity::Failure,
    };
    if !section.is_empty() {
        event.title = format!("firmware error record: {severity} {section}");
    }
}

fn open_pcie(line: &Line<'_>, before: Before<'_>) -> Option<Opened> {
    let text = line.text();
    let (head, rest) = text.split_once(": ")?;
    let device = head.rsplit(' ').next().unwrap_or(head);
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
    if let Some(at) = rest.find(" error ").filter(|_| rest.contains("received") || rest.ends_with(" error message")) {
        let words = rest[..at].trim_start_matches("Multiple ");
        if !matches!(words.split(' ').next(), Some("Corrected" | "Correctable" | "Uncorrected" | "Uncorrectable")) {
            return None;
        }
        let mut event = event("error");
        severity_of(words, &mut event);
        return Opened::lines(event);
    }
    if rest.starts_with("DPC: containment event") {
        return Opened::line(event("containment").titled("PCIe: port contained"));
    }
    rest.to_ascii_lowercase().starts_with("device recovery failed").then_some(())?;
    Opened::line(event("recovery-failed").titled("PCIe: device recovery failed"))
}

/// A corrected error alone is everyday life; a fatal one took the device down.
fn severity_of(words: &str, event: &mut Event) {
    let (name, severity) = if words.contains("Non-Fatal") || words.contains("NonFatal") {
        ("non-fatal", Severity::Failure)
    } else if words.contains("Fatal") {
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
    let Some((head, rest)) = text.split_once(": ") else { return Step::Pass };
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
    if rest.starts_with("TLP Header:") || rest.starts_with("Error of this Agent") || rest.starts_with("broadcast ") {
        return Step::Take;
    }
    Step::Pass
}

fn open_thermal(line: &Line<'_>, _: Before<'_>) -> Option<Opened> {
    let text = line.text();
    let new = |what: &'static str, severity| {
        Event::new(THERMAL.name, class::HARDWARE_THERMAL, severity)
            .titled(format!("temperature: {what}"))
            .with("what", what)
    };
    if text.contains("above threshold, cpu clock") {
        let mut c = Cursor::new(text);
        // `mce: CPU0: Core temperature above threshold, cpu clock throttled (total events = 1)`
        c.take("mce: ");
        c.take("CPU").then_some(())?;
        let cpu = c.number()?;
        let mut event = new("throttled", Severity::Notice).with_opt("events", number_after(text, "total events = "));
        event.cpu = u32::try_from(cpu).ok();
        return Opened::line(event);
    }
    let rest = text.split_once(": ").map_or(text, |(_, rest)| rest);
    if text.starts_with("HARDWARE PROTECTION shutdown") || rest.starts_with("HARDWARE PROTECTION shutdown") {
        return Opened::line(new("critical", Severity::Report));
    }
    (text.contains("ritical temperature reached") && text.len() < 120).then_some(())?;
    Opened::line(new("critical", Severity::Report))
}

fn open_nmi(line: &Line<'_>, _: Before<'_>) -> Option<Opened> {
    let text = line.text();
    let (what, class) = if text.starts_with("Uhhuh. NMI received for unknown reason") {
        ("unknown", class::HARDWARE_MCE)
    } else if text.starts_with("NMI: PCI system error") {
        ("pci-serr", class::HARDWARE_PCIE)
    } else if text.starts_with("NMI: IOCK error") {
        ("iock", class::HARDWARE_MCE)
    } else if text.starts_with("NMI: Memory parity error") {
        ("memory-parity", class::HARDWARE_MEMORY)
    } else {
        return None;
    };
    let mut event = Event::new(NMI.name, class, Severity::Failure)
        .titled(format!("NMI: {what}"))
        .with("what", what)
        .with_opt("reason", hex_after(text, "reason "));
    event.cpu = number_after(text, "on CPU ").and_then(|n| u32::try_from(n).ok());
    Opened::lines(event)
}

fn nmi_body(_: &mut Report, line: &Line<'_>) -> Step {
    let text = line.text();
    if text.starts_with("Dazed and confused") {
        Step::End
    } else if text.starts_with("Do you have a strange power saving") {
        Step::Take
    } else {
        Step::Pass
    }
}

fn open_irq(line: &Line<'_>, _: Before<'_>) -> Option<Opened> {
    let mut c = Cursor::new(line.text());
    c.take("irq ").then_some(())?;
    let irq = c.number()?;
    c.take(": nobody cared").then_some(())?;
    Opened::trace(
        Event::new(IRQ.name, class::WARNING, Severity::Report)
            .titled("irq: nobody cared")
            .with("irq", irq)
            .with("disabled", false),
    )
}

fn irq_body(report: &mut Report, line: &Line<'_>) -> Step {
    let text = line.text();
    let event = &mut report.event;
    if text.starts_with("handlers:") {
        event.set("handlers", Value::List(Vec::new()));
        return Step::Take;
    }
    if text.starts_with("Disabling IRQ #") {
        event.set("disabled", true);
        return Step::End;
    }
    if let Some(Value::List(handlers)) = event.fields.get_mut("handlers")
        && text.starts_with('[')
    {
        let name = text.split_once("] ").map_or(text, |(_, rest)| rest);
        if handlers.len() < 32 {
            handlers.push(name.split(['+', ' ']).next().unwrap_or(name).into());
        }
        return Step::Take;
    }
    Step::Pass
}

#[cfg(test)]
mod tests {
    use super::super::tests::{events, fields};

    #[test]
    fn a_machine_check_is_taken_apart() {
        let text = "[   52.261501] mce: [Hardware Error]: CPU 3: Machine Check Exception: 5 Bank 5: be00000000800400\n\
             [   52.261501] mce: [Hardware Error]: RIP !INEXACT! 10:<ffffffff8162f1f2> {intel_idle+0xd2/0x1a0}\n\
             [   52.261501] mce: [Hardware Error]: TSC 2a91c4ad16 ADDR ffffffff8162f1f2 MISC 7880018086\n\
             [   52.261501] mce: [Hardware Error]: PROCESSOR 0:50654 TIME 1600000000 SOCKET 1 APIC 0 microcode 2006906\n";
        assert_eq!(events(text).len(), 1);
        assert_eq!(
            fields(
                text,
                &["severity", "cpu", "bank", "uncorrected", "context_corrupt", "mcacod", "socket", "physical_address"]
            ),
            ["report", "3", "5", "true", "true", "1024", "1", "0xffffffff8162f1f2"]
        );
    }

    #[test]
    fn memory_controllers_count_by_dimm() {
        let text = "[   52.261501] EDAC MC0: 1 CE memory read error on CPU_SrcID#0_Ha#0_Chan#0_DIMM#0 (channel:0 slot:0 page:0x1ff offset:0x0 grain:32 syndrome:0x0)";
        assert_eq!(
            fields(text, &["severity", "class", "where", "page", "uncorrected"]),
            ["failure", "hardware-memory", "CPU_SrcID#0_Ha#0_Chan#0_DIMM#0", "511", "false"]
        );
        assert!(events("[   52.261501] EDAC MC0: Giving out device to module sb_edac").is_empty());
    }

    #[test]
    fn a_firmware_record_is_one_event() {
        let text = "[   52.261501] {1}[Hardware Error]: Hardware error from APEI Generic Hardware Error Source: 1\n\
             [   52.261501] {1}[Hardware Error]: It has been corrected by h/w and requires no further action\n\
             [   52.261501] {1}[Hardware Error]: event severity: corrected\n\
             [   52.261501] {1}[Hardware Error]:  Error 0, type: corrected\n\
             [   52.261501] {1}[Hardware Error]:  fru_text: A1\n\
             [   52.261501] {1}[Hardware Error]:   section_type: memory error\n\
             [   52.261501] {1}[Hardware Error]:   physical_address: 0x00000000deadb000\n\
             [   52.261501] {1}[Hardware Error]:   node:0 card:1 module:0 \n\
             [   52.261501] {1}[Hardware Error]:   error_type: 2, single-bit ECC\n";
        assert_eq!(events(text).len(), 1);
        assert_eq!(
            fields(text, &["class", "severity", "event_severity", "fru", "error_type", "physical_address"]),
            ["hardware-memory", "failure", "corrected", "A1", "single-bit ECC", "0x00000000deadb000"]
        );
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
        assert!(events("[   52.261501] pcieport 0000:00:1c.0: AER: enabled with IRQ 24").is_empty());
        assert!(
            events("[   52.261501] pcieport 0000:00:1c.0: DPC: error containment capabilities: Int Msg #0").is_empty()
        );
    }

    #[test]
    fn heat_nmis_and_stray_interrupts() {
        let text = "[   52.261501] CPU0: Core temperature above threshold, cpu clock throttled (total events = 1)";
        assert_eq!(fields(text, &["severity", "cpu"]), ["notice", "0"]);
        let text = "[   52.261501] thermal thermal_zone0: critical temperature reached (105 C), shutting down";
        assert_eq!(fields(text, &["severity", "class"]), ["report", "hardware-thermal"]);
        let text = "[   52.261501] Uhhuh. NMI received for unknown reason 3d on CPU 1.\n\
             [   52.261501] Do you have a strange power saving mode enabled?\n\
             [   52.261501] Dazed and confused, but trying to continue\n";
        assert_eq!(fields(text, &["what", "reason", "cpu"]), ["unknown", "61", "1"]);
        let text = "[   52.261501] irq 16: nobody cared (try booting with the \"irqpoll\" option)\n\
             [   52.261501] CPU: 0 PID: 0 Comm: swapper/0 Not tainted 5.10.0 #1\n[   52.261501] Call Trace:\n\
             [   52.261501]  __report_bad_irq+0x30/0xa0\n[   52.261501] handlers:\n\
             [   52.261501] [<00000000a1b2c3d4>] usb_hcd_irq\n[   52.261501] Disabling IRQ #16\n";
        assert_eq!(fields(text, &["irq", "handlers", "disabled"]), ["16", "usb_hcd_irq", "true"]);
    }
}
