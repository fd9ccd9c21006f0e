//! Storage controllers that abort commands, reset themselves, or stop: one line each, in the words of the driver.

use facts::FieldType;

use super::{Before, Family, From, Opened, field, kind, no_body, no_finish};
use crate::cursor::has;
use crate::event::{Event, Severity};
use crate::{Line, class};

pub(super) static FAMILY: Family = Family {
    name: "host_adapter",
    anchors: &[
        "attempting task abort",
        "attempting device reset",
        "attempting host reset",
        "attempting target reset",
        "fault_state(0x",
        "SAS host is non-operational",
        "FW in FAULT state",
        "Host adapter abort request",
        "Host adapter reset request",
        "Host bus reset request",
        "DEVICE RESET ISSUED",
        "TARGET RESET ISSUED",
        "BUS RESET ISSUED",
        "ADAPTER RESET ISSUED",
        "Abort command issued nexus=",
        "SCSI layer issued ",
        ": resetting scsi ",
        ": resetting fusion adapter",
        "megasas: RESET ",
        "controller is offline",
        "Controller lockup detected",
        "uas_eh_abort_handler",
        "uas_eh_device_reset_handler start",
        "Timeout waiting for hardware ",
        "Card stuck in programming state",
        "ufshcd_abort: ",
        "ufshcd_eh_host_reset_handler",
        "link startup failed",
        "conn error (1",
        "recovery timed out after ",
        "ping timeout of ",
        "aborted all outstanding I/O",
        "Adapter heartbeat failure",
    ],
    from: From::Kernel,
    open,
    body: no_body,
    finish: no_finish,
    kind: kind(
        "log.host_adapter",
        "A storage controller aborts commands, is reset or has stopped",
        &[
            field("driver", FieldType::Text, "", "driver and instance, as printed"),
            field("what", FieldType::Text, "", "abort, reset, fault, timeout, connection-lost, dead"),
            field("detail", FieldType::Text, "", "the text"),
        ],
    ),
};

/// Words of the drivers, and what they mean.
const WORDS: &[(&str, &str)] = &[
    ("SAS host is non-operational", "dead"),
    ("controller is offline", "dead"),
    ("Controller lockup detected", "dead"),
    ("fault_state(0x", "fault"),
    ("FW in FAULT state", "fault"),
    ("attempting task abort", "abort"),
    ("Host adapter abort request", "abort"),
    ("attempting device reset", "reset"),
    ("attempting target reset", "reset"),
    ("attempting host reset", "reset"),
    ("Host adapter reset request", "reset"),
    ("Host bus reset request", "reset"),
    ("RESET ISSUED", "reset"),
    ("Abort command issued nexus=", "abort"),
    ("SCSI layer issued ", "reset"),
    (": resetting scsi ", "reset"),
    (": resetting fusion adapter", "reset"),
    ("megasas: RESET ", "reset"),
    ("uas_eh_abort_handler", "abort"),
    ("uas_eh_device_reset_handler start", "reset"),
    ("Timeout waiting for hardware ", "timeout"),
    ("Card stuck in programming state", "timeout"),
    ("ufshcd_abort: ", "abort"),
    ("ufshcd_eh_host_reset_handler", "reset"),
    ("link startup failed", "dead"),
    ("conn error (1", "connection-lost"),
    ("ping timeout of ", "connection-lost"),
    ("recovery timed out after ", "dead"),
    ("aborted all outstanding I/O", "abort"),
    ("Adapter heartbeat failure", "dead"),
];

/// The drivers that print them; the same words of others may mean less.
const DRIVERS: &[&str] = &[
    "mpt2sas",
    "mpt3sas",
    "megaraid_sas",
    "megasas",
    "aacraid",
    "qla2xxx",
    "lpfc",
    "hpsa",
    "smartpqi",
    "scsi",
    "sd",
    "mptscsih",
    "mptbase",
    "arcmsr",
    "3w-",
    "mmc",
    "ufshcd",
    "connection",
    "session",
];

fn open(line: &Line<'_>, _: Before<'_>) -> Option<Opened> {
    let text = line.text();
    DRIVERS.iter().any(|driver| text.starts_with(driver)).then_some(())?;
    let (_, what) = WORDS.iter().find(|(words, _)| has(text, words))?;
    let driver = text.split(": ").next().unwrap_or(text);
    // An empty slot does not answer when it is asked what lies in it.
    let empty = has(text, "hardware cmd interrupt");
    // The target closed the connection: at the first login and when it fails over. Where the session does not come back,
    // `recovery timed out` follows.
    let closed = text.ends_with("conn error (1020)");
    let severity = if empty || closed { Severity::Notice } else { Severity::Failure };
    Opened::line(
        Event::new(FAMILY.name, class::IO_ERROR, severity)
            .titled(format!("storage controller: {what}"))
            .with("driver", driver)
            .with("what", *what)
            .with("detail", text),
    )
}

#[cfg(test)]
mod tests {
    use super::super::tests::{events, fields};

    #[test]
    fn drivers_speak_differently_of_the_same() {
        for (text, what) in [
            ("mpt3sas_cm0: fault_state(0x265d)!", "fault"),
            ("mpt3sas_cm0: SAS host is non-operational !!!!", "dead"),
            ("sd 0:0:3:0: attempting task abort! scmd(ffff88103e0a8a80)", "abort"),
            ("sd 0:0:0:0: [sda] tag#0 uas_eh_abort_handler 0 uas-tag 1 inflight: CMD", "abort"),
            ("mmc0: Timeout waiting for hardware interrupt.", "timeout"),
            ("connection1:0: detected conn error (1020)", "connection-lost"),
            ("session1: session recovery timed out after 120 secs", "dead"),
            ("aacraid: Host adapter abort request (0,0,0,0)", "abort"),
            ("megaraid_sas 0000:18:00.0: resetting fusion adapter scsi2.", "reset"),
            ("sd 2:2:0:0: megasas: RESET cmd=2a retries=0", "reset"),
            ("qla2xxx [0000:05:00.0]-8009:2: DEVICE RESET ISSUED nexus=2:0:1 cmd=ffff88.", "reset"),
        ] {
            assert_eq!(fields(&format!("[   52.261501] {text}"), &["what", "class"]), [what, "io-error"], "{text}");
        }
        assert!(events("[    2.100000] mpt3sas_cm0: LSISAS3008: FWVersion(16.00.00.00)").is_empty());
    }
}
