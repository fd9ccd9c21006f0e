//! Machine checks, the counts of memory controllers, and the error records of the firmware.

use facts::{Address, FieldType, Value};

use super::{Before, Family, From, Opened, field, kind, no_body, no_finish};
use crate::cursor::{Cursor, after, between, has, hex_after, number_after, split};
use crate::event::{Event, Severity};
use crate::report::{Report, Step};
use crate::{Line, class};

pub(super) static MCE: Family = Family {
    name: "mce",
    anchors: &[
        "Machine check events logged",
        "Machine Check",
        "CPUs not responding to MCE broadcast",
        "error, no action required",
        ": machine check (",
        "Memory failure: 0x",
        "hardware memory corruption",
        "[Hardware Error]: Corrected",
        "[Hardware Error]: Uncorrected",
        "[Hardware Error]: Deferred",
        "Uncorrected hardware memory error in ",
        "Hardware error from AEST",
        " Hypervisor Maintenance interrupt [",
    ],
    from: From::Kernel,
    open: open_mce,
    body: mce_body,
    finish: mce_finish,
    kind: kind(
        "log.mce",
        "A machine check, or a page taken out of use because of one",
        &[
            field(
                "what",
                FieldType::Text,
                "",
                "logged, exception, decoded, maintenance, memory-failure, killed, no-rendezvous",
            ),
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
    anchors: &["EDAC MC", "HANDLING IBECC MEMORY ERROR"],
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

/// Behind `mce: `, `{1}` and the like: what a hardware-error line says.
fn hardware(text: &str) -> Option<&str> {
    let (head, rest) = split(text, "[Hardware Error]: ")?;
    (head.len() <= 16 && !has(head, "AEST")).then_some(rest.trim_start())
}

fn open_mce(line: &Line<'_>, _: Before<'_>) -> Option<Opened> {
    let text = line.text();
    let new = |what: &'static str| {
        Event::new(MCE.name, class::HARDWARE_MCE, Severity::Failure)
            .titled(format!("machine check: {what}"))
            .with("what", what)
    };
    // arch/x86/kernel/cpu/mce/core.c, right before the panic: `mce: CPUs not responding to MCE broadcast (may include false
    // positives): 0-3,8-11`
    if let Some((_, cpus)) = split(text, "CPUs not responding to MCE broadcast").and_then(|(_, rest)| split(rest, ": "))
    {
        let event = new("no-rendezvous").with("detail", cpus);
        return Opened::line(event.titled(format!("machine check: CPUs {cpus} did not come to handle one")));
    }
    if let Some(rest) = text.strip_prefix("Memory failure: 0x") {
        let rest = split(rest, ": ")?.1;
        let what = if has(rest, "hardware memory corruption") { "killed" } else { "memory-failure" };
        if what == "memory-failure" && !rest.starts_with("recovery action for ") {
            return None;
        }
        let pfn = hex_after(text, "failure: ")?;
        let mut event = new(what).with("detail", rest).with_opt("physical_address", pfn.checked_mul(4096).map(Address));
        event.class = class::HARDWARE_MEMORY;
        return Opened::line(event);
    }
    if (text.starts_with("MCE 0x") || text.starts_with("MCE: Killing ")) && has(text, "hardware memory corruption")
        || text.starts_with("mce: Uncorrected hardware memory error in ")
        || text.starts_with("Uncorrected hardware memory error in ")
    {
        let mut event = new("killed").with("detail", text);
        event.class = class::HARDWARE_MEMORY;
        return Opened::line(event);
    }
    // powerpc: `MCE: CPU0: machine check (Severe) Host UE Load/Store [Not recovered]`
    if let Some(rest) = text.strip_prefix("MCE: CPU")
        && let Some((cpu, detail)) = split(rest, ": machine check (")
    {
        let recovered = has(text, "[Recovered]");
        let mut event = new("exception").with("detail", detail).with("uncorrected", !recovered);
        event.cpu = cpu.parse().ok();
        return Opened::line(event);
    }
    // powerpc: `Fatal Hypervisor Maintenance interrupt [Recovered]`, then ` Error detail: Malfunction Alert`
    if let Some((degree, outcome)) = split(text, " Hypervisor Maintenance interrupt [") {
        let mut event = new("maintenance").with("detail", degree);
        event.severity = match degree {
            "Fatal" | "Severe" => Severity::Report,
            "Harmless" => Severity::Notice,
            _ => Severity::Failure,
        };
        if outcome.starts_with("Not recovered") {
            event.set("uncorrected", true);
        }
        return Opened::lines(event);
    }
    // Arm's RAS registers: `AEST: {1}[Hardware Error]: Hardware error from AEST memory.90d0000`
    if text.starts_with("AEST: {") {
        let detail = after(text, "Hardware error from AEST ")?;
        let mut event = new("exception").with("detail", detail);
        if detail.starts_with("memory") {
            event.class = class::HARDWARE_MEMORY;
        }
        return Opened::lines(event);
    }
    // Up to 2.6.3x the lines have no head: `CPU 0: Machine Check Exception: 4 Bank 0: b200000000000115`
    let bare = text.starts_with("CPU ") && has(text, ": Machine Check Exception: ");
    let rest = if bare { text } else { hardware(text)? };
    if rest.starts_with("Machine check events logged") {
        return Opened::line(new("logged"));
    }
    if let Some(rest) = rest.strip_prefix("CPU ") {
        // `CPU 3: Machine Check Exception: 5 Bank 5: be00000000800400`
        let mut event = new("exception");
        let mut c = Cursor::new(rest);
        event.cpu = c.number().and_then(|n| u32::try_from(n).ok());
        has(rest, ": Machine Check").then_some(())?;
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
    let head = rest.split([' ', ',']).next().unwrap_or(rest);
    if matches!(head, "Corrected" | "Uncorrected" | "Deferred") && has(rest, "error") {
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
    if report.event.fields.get("what").and_then(Value::as_text) == Some("maintenance") {
        let text = line.text();
        if let Some(detail) = text.strip_prefix("Error detail: ") {
            report.event.set("detail", detail);
            return Step::Take;
        }
        let own = text.starts_with("HMER:") || text.ends_with("check stop.");
        return if own { Step::Take } else { Step::Pass };
    }
    // `Bank 3: b40000000000083b at 000000fdfc000cfc` below a header without head
    if let Some(rest) = line.text().strip_prefix("Bank ")
        && let Some((bank, status)) = split(rest, ": ")
        && let (Ok(bank), Some(status)) = (bank.parse::<u64>(), Cursor::new(status).hex())
    {
        if !report.event.fields.contains_key("status") {
            report.event.set("bank", bank);
            set_status(&mut report.event, status);
            if let Some(address) = hex_after(rest, " at ") {
                report.event.set("physical_address", Address(address));
            }
        }
        return Step::Take;
    }
    if line.text().starts_with("AEST: {") {
        return if line.text().contains("Hardware error from AEST") { Step::Stop } else { Step::Take };
    }
    let Some(rest) = hardware(line.text()) else { return Step::Pass };
    let event = &mut report.event;
    if rest.starts_with("CPU ") && has(rest, ": Machine Check") || rest.ends_with("error, no action required.") {
        return Step::Stop;
    }
    if rest.starts_with("Hardware error from APEI") || line.text().contains("}[Hardware Error]") {
        return Step::Stop;
    }
    if rest.starts_with("TSC ") || has(rest, "ADDR ") || rest.starts_with("Error Addr") {
        if let Some(address) = hex_after(rest, "ADDR ").or_else(|| hex_after(rest, "Error Addr: ")) {
            event.set("physical_address", Address(address));
        }
    } else if let Some(processor) = rest.strip_prefix("PROCESSOR ") {
        event.set("processor", processor.split(' ').next().unwrap_or(processor));
        if let Some(socket) = number_after(rest, "SOCKET ") {
            event.set("socket", socket);
        }
    } else if let Some((head, status)) = split(rest, "_STATUS[") {
        // `CPU:0 (17:31:0) MC17_STATUS[Over|CE|...]: 0x...`
        event.cpu = event.cpu.or_else(|| number_after(head, "CPU:").and_then(|n| u32::try_from(n).ok()));
        if let Some(bank) = head.rsplit("MC").next().and_then(|n| n.parse::<u64>().ok()) {
            event.set("bank", bank);
        }
        if let Some(value) = after(status, "]: ").and_then(|t| Cursor::new(t).hex()) {
            set_status(event, value);
        }
    } else if has(rest, "Error Code:") || has(rest, "ECC error") {
        event.set("detail", rest);
        if has(rest, "DRAM ECC") {
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
    } else if event.fields.contains_key("status") {
        event.title = "machine check: corrected error".to_owned();
    }
}

fn open_edac(line: &Line<'_>, _: Before<'_>) -> Option<Opened> {
    let text = line.text();
    // drivers/edac/igen6_edac.c says first that there is one, then where; what it was says the line of the controller.
    if let Some(controller) =
        between(text, "EDAC igen6 MC", ":").filter(|_| text.ends_with("HANDLING IBECC MEMORY ERROR"))
    {
        let number = Cursor::new(controller).number()?;
        return Opened::line(
            Event::new(EDAC.name, class::HARDWARE_MEMORY, Severity::Failure)
                .titled("memory error")
                .with("controller", number)
                .with("count", 1)
                .with("where", format!("igen6 MC{number}")),
        );
    }
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
    if let Some((name, value)) = split(rest, ": ") {
        let (name, value) = (name.trim(), value.trim());
        match name {
            "event severity" => event.set("event_severity", value),
            "section_type" => {
                event.fields.entry("section".into()).or_insert_with(|| value.into());
            }
            "error_type" => {
                let text = split(value, ", ").map_or(value, |(_, text)| text);
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
    event.class = if has(&section, "memory") {
        class::HARDWARE_MEMORY
    } else if has(&section, "PCIe") {
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

#[cfg(test)]
mod tests {
    use super::super::tests::{events, fields};

    #[test]
    fn cpus_that_do_not_come_to_a_machine_check_are_read() {
        let text = "[  431.118732] mce: CPUs not responding to MCE broadcast (may include false positives): 0-3,8-11";
        assert_eq!(fields(text, &["what", "detail", "uncorrected"]), ["no-rendezvous", "0-3,8-11", ""]);
    }

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
    fn a_maintenance_interrupt_is_as_bad_as_it_says() {
        let text = "[   52.261501] Fatal Hypervisor Maintenance interrupt [Recovered]\n\
             [   52.261501]  Error detail: Malfunction Alert\n[   52.261501] \tHMER: 8040000000000000\n\
             [   52.261501] Harmless Hypervisor Maintenance interrupt [Recovered]\n";
        assert_eq!(events(text).len(), 2);
        assert_eq!(fields(text, &["severity", "detail"]), ["report", "Malfunction Alert"]);
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
}
