//! Storage controllers that abort commands, reset themselves, or stop: one line each, in the words of the driver.

use facts::FieldType;

use super::{Before, Family, From, Opened, field, kind, no_body, no_finish};
use crate::cursor::{has, split};
use crate::event::{Event, Severity};
use crate::line::Writer;
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
        "ontroller lockup detected",
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
        "task abort failed status",
        "pm8001_abort_task ",
        "task abort on host ",
        "SCSI device reset on scsi",
        "sas_scsi_recover_host busy: ",
        "Adapter is OFFLINE",
        "FAULT state",
        "illing adapter",
        "/CRIT) - ",
        "/FATAL) - ",
        "mpt3sas_dead_ioc thread success",
        "host reset: FAILED",
        "diag reset: FAILED",
        ": resetting logical ",
        "ISP System Error - ",
        "Performing ISP error recovery",
        "Mailbox cmd timeout occurred",
        "mailbox command timeout",
        "Adapter Hardware Error",
        "cache flush error -",
        "tried to HW reset card, got error",
        "Card stuck being busy",
        "recovery failed!",
        " sending status command",
        " sending stop command, ",
        " command, card status 0x",
        " transferring data, sector ",
        "AEN: ERROR (",
        "Host adapter dead",
        "Failed to init firmware",
        "request timed out",
        "FCP adapter is not operational",
        "ERP has run out of retries",
        "Partner adapter not ready",
        "ABORT_TASK: Found referenced ",
        "Dropped frame(s) detected",
        " whilst initialising ",
        "error occurred in the DASD device driver",
        " is operational after recovery",
    ],
    from: From::Anybody,
    open,
    body: no_body,
    finish: no_finish,
    kind: kind(
        "log.host_adapter",
        "A storage controller aborts commands, is reset or has stopped",
        &[
            field("driver", FieldType::Text, "", "driver and instance, as printed"),
            field(
                "what",
                FieldType::Text,
                "",
                "abort, abort-failed, gave-up, reset, fault, timeout, no-answer, transfer-error, connection-lost, frames-lost, not-usable, reported, dead, ok",
            ),
            field("detail", FieldType::Text, "", "the text"),
        ],
    ),
};

/// Words of the drivers, and what they mean.
const WORDS: &[(&str, &str)] = &[
    ("SAS host is non-operational", "dead"),
    ("controller is offline", "dead"),
    ("ontroller lockup detected", "dead"),
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
    ("task abort failed status", "abort-failed"),
    ("pm8001_abort_task ", "abort-failed"),
    ("task abort on host ", "abort"),
    ("SCSI device reset on scsi", "reset"),
    ("sas_scsi_recover_host busy: ", "abort"),
    ("Adapter is OFFLINE", "dead"),
    ("FAULT state", "fault"),
    ("illing adapter", "dead"),
    ("/CRIT) - ", "reported"),
    ("/FATAL) - ", "reported"),
    ("mpt3sas_dead_ioc thread success", "dead"),
    ("host reset: FAILED", "dead"),
    ("diag reset: FAILED", "dead"),
    (": resetting logical ", "reset"),
    ("ISP System Error - ", "fault"),
    ("Performing ISP error recovery", "reset"),
    ("Mailbox cmd timeout occurred", "timeout"),
    ("mailbox command timeout", "timeout"),
    ("Adapter Hardware Error", "fault"),
    ("cache flush error -", "timeout"),
    ("tried to HW reset card, got error", "reset"),
    ("Card stuck being busy", "timeout"),
    ("recovery failed!", "dead"),
    (" sending status command", "timeout"),
    // drivers/mmc/core/block.c up to 4.15
    (" sending stop command, ", "no-answer"),
    (" command, card status 0x", "no-answer"),
    (" transferring data, sector ", "transfer-error"),
    ("AEN: ERROR (", "reported"),
    ("Host adapter dead", "dead"),
    ("Failed to init firmware", "dead"),
    ("] request timed out", "timeout"),
    ("FCP adapter is not operational", "dead"),
    ("ERP has run out of retries", "dead"),
    ("Partner adapter not ready", "dead"),
    // drivers/target/target_core_tmr.c
    ("ABORT_TASK: Found referenced ", "gave-up"),
    // drivers/scsi/qla2xxx/qla_isr.c
    ("Dropped frame(s) detected", "frames-lost"),
    // drivers/mmc/core/sd.c, mmc.c, sdio.c
    (" whilst initialising ", "not-usable"),
    ("error occurred in the DASD device driver", "fault"),
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
    "pm80xx",
    "pm8001",
    "sas: ",
    "virtio_blk",
    "zfcp",
    "dasd",
    "s390/dasd",
    "ibmvscsi",
    "iscsi: ",
    "ABORT_TASK: ",
];

/// Empty sockets are asked while the machine starts.
const BOOT_SECONDS: i64 = 60;

fn open(line: &Line<'_>, _: Before<'_>) -> Option<Opened> {
    let text = line.text();
    // iscsid tells of it: `connection1:0 is operational after recovery (1 attempts)`
    if let Some((connection, _)) = split(text, " is operational after recovery") {
        let number = connection.strip_prefix("connection").or_else(|| connection.strip_prefix("Connection"))?;
        number.bytes().all(|b| b.is_ascii_digit() || b == b':').then_some(())?;
        let mut event = Event::new(FAMILY.name, class::CLEAN, Severity::Notice)
            .titled("storage controller: ok")
            .with("driver", format!("connection{number}"))
            .with("what", "ok");
        event.fields.insert("detail".into(), text.into());
        return Opened::line(event);
    }
    if line.writer == Writer::Program {
        return None;
    }
    DRIVERS.iter().any(|driver| text.starts_with(driver)).then_some(())?;
    let (_, what) = WORDS.iter().find(|(words, _)| has(text, words))?;
    // `pm80xx pm8001_abort_task 1231:rc= 5` has no head of its own.
    let driver = match split(text, ": ") {
        Some((head, _)) if head.len() <= 40 => head.trim_end_matches(':'),
        _ => text.split([' ', ':']).next().unwrap_or(text),
    };
    // Recovery that had nothing to recover ends each probe of a disk; `rc= 0` is an abort that worked.
    if has(text, "sas_scsi_recover_host") && (!has(text, "Enter ") || has(text, "failed: 0"))
        || has(text, "pm8001_abort_task ") && text.ends_with("rc= 0")
    {
        return None;
    }
    // What the controller logged while the machine was off, or says at each start.
    let logged = *what == "reported" && has(text, "(boot + ");
    let said = split(text, ") - ").map(|(_, said)| said).filter(|_| *what == "reported");
    // An empty slot does not answer when it is asked what lies in it.
    let empty = has(text, "hardware cmd interrupt");
    // The target closed the connection: at the first login and when it fails over. Where the session does not come back,
    // `recovery timed out` follows.
    let closed = text.ends_with("conn error (1020)");
    // A wireless chip, as a rule: no storage.
    let sdio = text.ends_with(" whilst initialising SDIO card");
    let consequence = match *what {
        "not-usable" if sdio && !line.is_of_boot(BOOT_SECONDS) => {
            Some("the SDIO device (a wireless chip, as a rule) does not answer and is not there")
        }
        "gave-up" => {
            Some("an initiator gave up a command: the storage behind this target had not completed it in time")
        }
        "frames-lost" => {
            Some("parts of an answer were lost on the way: module, cable or port of the link to the storage")
        }
        "not-usable" if !line.is_of_boot(BOOT_SECONDS) => {
            Some("the card does not answer as it should and is not there: card, socket or its supply")
        }
        _ => None,
    };
    let notice = matches!(*what, "gave-up" | "not-usable" | "frames-lost");
    let severity = if empty || closed || logged || notice { Severity::Notice } else { Severity::Failure };
    Opened::line(
        Event::new(FAMILY.name, if sdio { class::FIRMWARE } else { class::IO_ERROR }, severity)
            .titled(format!(
                "{}: {}",
                if sdio { "SDIO device" } else { "storage controller" },
                said.map_or_else(|| what.replace('-', " "), str::to_owned)
            ))
            .with("driver", driver)
            .with("what", *what)
            .with_opt("consequence", consequence)
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
        for (text, what) in [
            (
                "pm80xx pm8001_mpi_task_abort_resp 3742:task abort failed status 0x6 ,tag = 0x1, scp= 0x0",
                "abort-failed",
            ),
            ("pm80xx0:: pm8001_abort_task 1231:rc= 5", "abort-failed"),
            ("sas: Enter sas_scsi_recover_host busy: 1 failed: 1", "abort"),
            ("megaraid_sas 0000:03:00.0: 2761 (665346834s/0x0001/CRIT) - VD 00/0 is now DEGRADED", "reported"),
            ("sd 2:0:1:0: [sdb] task abort on host 2, 00000000d1c8a1f2", "abort"),
            ("qla2xxx [0000:05:00.0]-5003:1: ISP System Error - mbx1=1h mbx2=2h mbx3=3h mbx7=0h.", "fault"),
            ("mmc0: cache flush error -110", "timeout"),
            (
                "mmcblk1: error -110 sending stop command, original cmd response 0x900, card status 0x400e00",
                "no-answer",
            ),
            ("mmcblk0: timed out sending r/w cmd command, card status 0x400900", "no-answer"),
            (
                "mmcblk0: error -84 transferring data, sector 2048, nr 8, cmd response 0x900, card status 0xb00",
                "transfer-error",
            ),
            ("mmcblk0: recovery failed!", "dead"),
            ("virtio_blk virtio2: [vda] request timed out", "timeout"),
            ("zfcp: zfcp.1234: 0.0.1900: FCP adapter is not operational", "dead"),
            ("lpfc 0000:0b:00.0: 0:0457 Adapter Hardware Error Data: x1 x2 x3", "fault"),
        ] {
            assert_eq!(fields(&format!("[ 5252.261501] {text}"), &["what", "severity"]), [what, "failure"], "{text}");
        }
        let text = "[ 5252.261501] megaraid_sas 0000:03:00.0: 2761 (665346834s/0x0001/CRIT) - VD 00/0 is now DEGRADED";
        assert_eq!(fields(text, &["title"]), ["storage controller: VD 00/0 is now DEGRADED"]);
        assert!(events("[    2.100000] sas: Enter sas_scsi_recover_host busy: 0 failed: 0").is_empty());
        assert!(events("[    2.100000] pm80xx0:: pm8001_abort_task 1231:rc= 0").is_empty());
        assert!(events("[    2.100000] mpt3sas_cm0: LSISAS3008: FWVersion(16.00.00.00)").is_empty());
    }

    #[test]
    fn a_target_whose_initiator_gave_up_and_a_card_that_cannot_be_used_are_notices() {
        for (text, what) in [
            ("ABORT_TASK: Found referenced iSCSI task_tag: 123", "gave-up"),
            ("mmc0: error -110 whilst initialising SD card", "not-usable"),
        ] {
            let text = format!("[ 5252.261501] {text}");
            assert_eq!(fields(&text, &["what", "severity"]), [what, "notice"], "{text}");
            assert!(!fields(&text, &["consequence"])[0].is_empty(), "{text}");
        }
        let text = "[ 5252.261501] dasd-eckd 0.0.1234: An error occurred in the DASD device driver, reason=09";
        assert_eq!(fields(text, &["what", "severity"]), ["fault", "failure"]);
        assert_eq!(fields("[    2.261501] mmc0: error -110 whilst initialising SD card", &["consequence"]), [""]);
    }
}
