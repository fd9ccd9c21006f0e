//! Faults in code of the firmware, and watchdog devices that ran out.

use facts::FieldType;

use super::{Before, Family, From, Opened, field, kind, no_body, no_finish};
use crate::cursor::{has, hex_after};
use crate::event::{Event, Severity};
use crate::{Line, class};

pub(super) static FAULT: Family = Family {
    name: "firmware_fault",
    anchors: &[
        "Page fault caused by firmware at PA",
        "exception occurred while calling EFI",
        "Abort\" handler, esr 0x",
        "Unhandled exception: ",
    ],

    from: From::Kernel,
    open: open_fault,
    body: no_body,
    finish: no_finish,
    kind: kind("log.firmware_fault", "A runtime service of the firmware faulted; it is not called any more", &[]),
};

pub(super) static WATCHDOG: Family = Family {
    name: "watchdog_device",
    anchors: &["softdog: Initiating ", "An NMI occurred. Depending on your system", "watchdog pretimeout event"],
    from: From::Kernel,
    open: open_watchdog,
    body: no_body,
    finish: no_finish,
    kind: kind(
        "log.watchdog_device",
        "A watchdog device ran out: nobody fed it for its whole timeout",
        &[field("what", FieldType::Text, "", "reboot, panic, nmi, pretimeout")],
    ),
};

/// What RISC-V's U-Boot calls its exceptions; programs print `Unhandled exception: ` too.
const TRAPS: &[&str] = &[
    "Instruction address misaligned",
    "Instruction access fault",
    "Illegal instruction",
    "Load address misaligned",
    "Load access fault",
    "Store/AMO address misaligned",
    "Store/AMO access fault",
    "Instruction page fault",
    "Load page fault",
    "Store/AMO page fault",
];

fn open_fault(line: &Line<'_>, _: Before<'_>) -> Option<Opened> {
    let text = line.text();
    // U-Boot: the boot loader itself took an exception, and the board resets.
    if text.starts_with('"') && has(text, "Abort\" handler, esr 0x") {
        let mut event = Event::new(FAULT.name, class::FIRMWARE, Severity::Report).titled("fault in the boot loader");
        event.address = hex_after(text, "far 0x");
        return Opened::trace(event);
    }
    // The same on RISC-V.
    if let Some(what) = text.strip_prefix("Unhandled exception: ") {
        TRAPS.contains(&what).then_some(())?;
        return Opened::trace(
            Event::new(FAULT.name, class::FIRMWARE, Severity::Report).titled("fault in the boot loader"),
        );
    }
    let text = text.strip_prefix("efi: ").unwrap_or(text);
    let text = text.strip_prefix("[Firmware Bug]: ").unwrap_or(text);
    (text.starts_with("Page fault caused by firmware at PA")
        || text.starts_with("Synchronous exception occurred while"))
    .then_some(())?;
    let mut event = Event::new(FAULT.name, class::FIRMWARE, Severity::Report).titled("fault in firmware");
    event.address = hex_after(text, "PA: ");
    Opened::trace(event)
}

fn open_watchdog(line: &Line<'_>, _: Before<'_>) -> Option<Opened> {
    let text = line.text();
    let what = if text.starts_with("softdog: Initiating system reboot") {
        "reboot"
    } else if text.starts_with("softdog: Initiating panic") {
        "panic"
    } else if text.starts_with("An NMI occurred. Depending on your system") {
        "nmi"
    } else if text.starts_with("watchdog: ") && text.ends_with("watchdog pretimeout event") {
        "pretimeout"
    } else {
        return None;
    };
    Opened::line(
        Event::new(WATCHDOG.name, class::REBOOT, Severity::Report)
            .titled(format!("watchdog device: {what}"))
            .with("what", what),
    )
}

#[cfg(test)]
mod tests {
    use super::super::tests::{events, fields};

    #[test]
    fn firmware_that_faults_is_not_the_kernel() {
        let text = "[   52.261501] [Firmware Bug]: Page fault caused by firmware at PA: 0xfffffffefb0000\n\
             [   52.261501] CPU: 1 PID: 77 Comm: kworker/u8:1 Not tainted 6.1.0 #1\n[   52.261501] Call Trace:\n\
             [   52.261501]  efi_crash_gracefully_on_page_fault+0x1/0x2\n";
        assert_eq!(fields(text, &["class", "address", "comm"]), ["firmware", "0x00fffffffefb0000", "kworker/u8:1"]);
    }

    #[test]
    fn a_boot_loader_that_faults_is_firmware() {
        let text =
            "\"Synchronous Abort\" handler, esr 0x96000004, far 0x40\nelr: 0000000000081234 lr : 0000000000081000\n";
        assert_eq!(fields(text, &["class", "severity", "address"]), ["firmware", "report", "0x0000000000000040"]);
    }

    #[test]
    fn an_exception_of_a_program_is_not_the_boot_loaders() {
        let text = "Unhandled exception: Illegal instruction\nEPC: 0000000080201234 RA: 0000000080200000 TVAL: 0000000000000000\n";
        assert_eq!(fields(text, &["class", "severity"]), ["firmware", "report"]);
        assert!(events("Unhandled exception: System.NullReferenceException: x\n").is_empty());
    }

    #[test]
    fn a_watchdog_that_is_set_up_says_nothing() {
        assert_eq!(
            fields("[    9.100000] softdog: Initiating system reboot", &["what", "severity"]),
            ["reboot", "report"]
        );
        for text in [
            "softdog: initialized. soft_noboot=0 soft_margin=60 sec soft_panic=0 (nowayout=0)",
            "hpwdt: Unexpected close, not stopping watchdog!",
            "watchdog: watchdog0: watchdog did not stop!",
        ] {
            assert!(events(&format!("[   52.261501] {text}")).is_empty(), "{text}");
        }
    }
}
