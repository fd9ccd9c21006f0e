//! Disks and what lies between them and the filesystems: the block layer, SCSI, NVMe and ATA.

use facts::{Address, FieldType, Value};

use super::{Before, Family, From, Opened, field, kind, no_body, no_finish};
use crate::cursor::{Cursor, after, between, has, hex_after, number_after, split};
use crate::event::{Event, Severity};
use crate::report::{Report, Step};
use crate::{Line, class};

pub(super) static BLOCK: Family = Family {
    name: "block_io_error",
    anchors: &[
        " error, dev",
        "Buffer I/O error on dev",
        "lost page write due to I/O error on",
        "attempt to access beyond end of device",
        ": writeback error on inode ",
    ],
    from: From::Kernel,
    open: open_block,
    body: block_body,
    finish: no_finish,
    kind: kind(
        "log.block_io_error",
        "The block layer could not read or write a sector",
        &[
            field("device", FieldType::Text, "", "block device"),
            field("sector", FieldType::Int, "sectors", "sector of 512 bytes"),
            field("limit", FieldType::Int, "sectors", "size of the device, where more was asked for"),
            field("inode", FieldType::Int, "", "inode whose data could not be written"),
            field("block", FieldType::Int, "", "logical block of the buffer cache"),
            field("operation", FieldType::Text, "", "READ, WRITE, DISCARD, ..."),
            field(
                "what",
                FieldType::Text,
                "",
                "I/O, critical medium, critical target, timeout, buffer, writeback, lost write, beyond end, ...",
            ),
        ],
    ),
};

pub(super) static SCSI: Family = Family {
    name: "scsi_error",
    anchors: &[
        "Result: hostbyte=",
        "SCSI error: return code = 0x",
        "Sense Key : ",
        "rejecting I/O to offline device",
        "rejecting I/O to dead device",
        "Device offlined - not ready",
        "timing out command, waited",
        "Medium access timeout failure",
        "blocked FC remote port time out",
        "thin provisioning soft threshold",
        "reservation conflict",
    ],
    from: From::Kernel,
    open: open_scsi,
    body: scsi_body,
    finish: scsi_finish,
    kind: kind(
        "log.scsi_error",
        "A SCSI command failed, or a device went offline",
        &[
            field("target", FieldType::Text, "", "host:channel:target:lun, or the remote port"),
            field("device", FieldType::Text, "", "disk"),
            field(
                "what",
                FieldType::Text,
                "",
                "failed, offline, timeout, rejected, remote-port, nearly-full, reserved",
            ),
            field("hostbyte", FieldType::Text, "", "DID_OK, DID_NO_CONNECT, DID_TIME_OUT, ..."),
            field("driverbyte", FieldType::Text, "", "DRIVER_OK, DRIVER_SENSE, ..."),
            field("sense_key", FieldType::Text, "", "Medium Error, Not Ready, Illegal Request, ..."),
            field("sense", FieldType::Text, "", "additional sense"),
            field("cdb", FieldType::Text, "", "command"),
        ],
    ),
};

pub(super) static NVME: Family = Family {
    name: "nvme_error",
    anchors: &[
        " QID ",
        "controller is down; will reset",
        "Device not ready; aborting",
        "Removing after probe failure",
        "Device shutdown incomplete",
        "Disabling device after reset failure",
        "starting error recovery",
        "failed nvme_keep_alive_end_io",
        "Connect command failed, error",
        "Failed reconnect attempt",
        "Unable to change power state from D3cold to D0",
        ": timeout request 0x",
        "(sct 0x",
        "no available path - failing I/O",
        "no usable path - requeuing I/O",
        " default/read/poll queues",
        "Successfully reconnected (",
    ],
    from: From::Kernel,
    open: open_nvme,
    body: no_body,
    finish: no_finish,
    kind: kind(
        "log.nvme_error",
        "An NVMe controller or a command of it failed or timed out",
        &[
            field("device", FieldType::Text, "", "controller or namespace"),
            field(
                "what",
                FieldType::Text,
                "",
                "timeout, down, not-ready, removed, connection-lost, no-path, command-error; ok: the controller works (again)",
            ),
            field(
                "action",
                FieldType::Text,
                "",
                "what the driver does: aborting, reset controller, completion polled, ...",
            ),
            field("queue", FieldType::Int, "", "queue"),
            field("csts", FieldType::Address, "", "controller status; all ones: gone from the bus"),
            field("sct", FieldType::Int, "", "status code type"),
            field("sc", FieldType::Int, "", "status code"),
            field("detail", FieldType::Text, "", "the text"),
        ],
    ),
};

pub(super) static ATA: Family = Family {
    name: "ata_error",
    anchors: &[
        "exception Emask",
        "qc timeout (cmd 0x",
        ": qc timeout after ",
        ": failed command: ",
        "failed to IDENTIFY (",
        "reset failed, giving up",
        "COMRESET failed (errno=",
        "softreset failed (",
        ".00: disabled",
        "NCQ disabled due to excessive errors",
        "imiting SATA link speed to ",
        ": error: { ",
    ],
    from: From::Kernel,
    open: open_ata,
    body: ata_body,
    finish: ata_finish,
    kind: kind(
        "log.ata_error",
        "An ATA port or device raised an exception",
        &[
            field("port", FieldType::Text, "", "ata1, ata1.00"),
            field("what", FieldType::Text, "", "exception, timeout, reset-failed, not-identified, disabled, degraded"),
            field("emask", FieldType::Int, "", "error mask"),
            field("serror", FieldType::Int, "", "SError register"),
            field("frozen", FieldType::Bool, "", "the port was frozen"),
            field("command", FieldType::Text, "", "command that failed"),
            field("gone", FieldType::Bool, "", "the controller reads as all ones: it left the bus"),
            field(
                "link_back",
                FieldType::Bool,
                "",
                "the link was reset, came back, and the drive was taken into use again",
            ),
            field(
                "cause",
                FieldType::Text,
                "",
                "media error, timeout, ATA bus error, interface error of the link, ...",
            ),
            field(
                "sectors",
                FieldType::List,
                "sectors",
                "where the commands that failed begin, in sectors of the drive",
            ),
            field("status", FieldType::Text, "", "flags of the status register"),
            field("error", FieldType::Text, "", "flags of the error register; UNC is an unreadable sector"),
        ],
    ),
};

/// Drives that answer with an error as long as they are empty, and the partition of a flash card that only its owner
/// may read (RPMB).
fn removable(device: &str) -> bool {
    device.starts_with("fd") || device.starts_with("sr") || device.starts_with("mmcblk") && device.ends_with("rpmb")
}

/// `sdb1: rw=0, want=5798631936, limit=7372800`, `sdb1: rw=0, sector=8, nr_sectors = 8 limit=1`
fn block_body(report: &mut Report, line: &Line<'_>) -> Step {
    let Some((device, rest)) = split(line.text(), ": ") else { return Step::Pass };
    if !rest.starts_with("rw=") || !has(rest, "limit=") || device.contains(' ') {
        return Step::Pass;
    }
    let event = &mut report.event;
    event.set("device", device);
    if let Some(sector) = number_after(rest, "want=").or_else(|| number_after(rest, "sector=")) {
        event.set("sector", sector);
    }
    if let Some(limit) = number_after(rest, "limit=") {
        event.set("limit", limit);
    }
    Step::End
}

fn open_block(line: &Line<'_>, _: Before<'_>) -> Option<Opened> {
    let text = line.text();
    let new = |what: &str, device: &str| {
        Event::new(BLOCK.name, class::IO_ERROR, Severity::Failure)
            .titled(format!("block: {what} error"))
            .with("what", what)
            .with("device", device)
    };
    let body = ["blk_update_request: ", "end_request: ", "print_req_error: ", "blk_print_req_error: "]
        .iter()
        .find_map(|head| text.strip_prefix(head))
        .unwrap_or(text);
    if let Some((what, rest)) = split(body, " error, dev ") {
        // The words before it are the kind of error and nothing else.
        const KINDS: &[&str] = &[
            "I/O",
            "critical space allocation",
            "critical target",
            "critical nexus",
            "critical medium",
            "recoverable transport",
            "device offline",
            "timeout",
            "operation not supported",
            "protection",
            "device resource",
            "zone resource",
            "invalid",
            "dm internal retry",
            "resource",
            "transport",
        ];
        if !KINDS.contains(&what) {
            return None;
        }
        let device = rest.split([',', ' ']).next().unwrap_or(rest);
        if device.is_empty() || removable(device) {
            return None;
        }
        let mut event = new(what, device)
            .with_opt("sector", number_after(rest, "sector "))
            .with_opt("operation", between(rest, ":(", ")"));
        // The first block of a loop device whose file was taken away while somebody looked what it holds.
        let empty = device.starts_with("loop") && has(rest, "sector 0 ") && has(rest, ":(READ)");
        if what == "operation not supported" || empty {
            event.severity = Severity::Notice;
        }
        return Opened::line(event);
    }
    if let Some(rest) = text.strip_prefix("Buffer I/O error on dev") {
        let rest = rest.strip_prefix("ice").unwrap_or(rest).trim_start();
        let device = rest.split([',', ' ']).next().unwrap_or(rest);
        if device.is_empty() || removable(device) {
            return None;
        }
        return Opened::line(new("buffer", device).with_opt("block", number_after(rest, "logical block ")));
    }
    if let Some(device) = text.strip_prefix("lost page write due to I/O error on ") {
        return Opened::line(new("lost write", device.trim()));
    }
    // Filesystems on iomap: `dm-0: writeback error on inode 89598, offset 20430848, sector 78472`
    if let Some((device, rest)) = split(text, ": writeback error on inode ") {
        if device.contains(' ') {
            return None;
        }
        return Opened::line(
            new("writeback", device)
                .with_opt("inode", Cursor::new(rest).number())
                .with_opt("sector", number_after(rest, "sector ")),
        );
    }
    if text.ends_with("attempt to access beyond end of device") {
        // Before it stands the name of the task; the device begins the next line.
        let mut event = new("beyond end", "");
        event.fields.remove("device");
        return Opened::lines(event);
    }
    None
}

/// `sd 0:0:0:0: [sda] tag#12 rest`
pub(super) fn scsi_head(text: &str) -> Option<(&str, Option<&str>, &str)> {
    let (driver, rest) = text.split_once(' ')?;
    if !matches!(driver, "sd" | "sr" | "st" | "scsi" | "ses" | "sg" | "ch") {
        return None;
    }
    let (target, rest) = split(rest, ": ")?;
    if target.is_empty() || !target.bytes().all(|b| b.is_ascii_digit() || b == b':') {
        return None;
    }
    let rest = rest.trim_start();
    match rest.strip_prefix('[').and_then(|r| r.split_once(']')) {
        Some((device, rest)) => Some((target, Some(device), rest.trim_start())),
        None => Some((target, None, rest)),
    }
}

fn open_scsi(line: &Line<'_>, before: Before<'_>) -> Option<Opened> {
    let text = line.text();
    let new = |what: &'static str| {
        Event::new(SCSI.name, class::IO_ERROR, Severity::Failure).titled(format!("scsi: {what}")).with("what", what)
    };
    if has(text, "blocked FC remote port time out") {
        let port = text.split(": ").next().unwrap_or_default();
        return Opened::line(new("remote-port").with("target", port.trim()));
    }
    let (target, device, rest) = scsi_head(text)?;
    if device.is_some_and(removable) {
        return None;
    }
    let with = |event: Event| event.with("target", target).with_opt("device", device);
    if has(rest, "Result: hostbyte=") {
        // Probing asks for things a device may lack: `Read Capacity(16) failed: Result: ...`
        if has(rest, " failed: Result") || has(rest, "Synchronize Cache") || has(rest, "Start/Stop") {
            return None;
        }
        let mut event = with(new("failed"));
        scsi_values(rest, &mut event);
        return Opened::lines(event);
    }
    if let Some(code) = hex_after(rest, "SCSI error: return code = ") {
        // Up to 2.6.2x: driver, host, message and status byte of one word.
        const HOST: &[&str] = &[
            "DID_OK",
            "DID_NO_CONNECT",
            "DID_BUS_BUSY",
            "DID_TIME_OUT",
            "DID_BAD_TARGET",
            "DID_ABORT",
            "DID_PARITY",
            "DID_ERROR",
            "DID_RESET",
        ];
        let host = HOST.get((code >> 16 & 0xff) as usize).copied();
        return Opened::lines(with(new("failed")).with_opt("hostbyte", host));
    }
    if has(rest, "Sense Key : ") {
        if before.current.is_some_and(|e| e.family == SCSI.name) {
            return None;
        }
        let mut event = with(new("failed"));
        scsi_values(rest, &mut event);
        return Opened::lines(event);
    }
    // drivers/scsi/scsi_error.c
    let notice = |what: &'static str, consequence: &'static str| {
        let mut event = with(new(what)).with("consequence", consequence);
        event.severity = Severity::Notice;
        Opened::line(event)
    };
    if has(rest, "thin provisioning soft threshold") {
        return notice("nearly-full", "the storage behind the disk is nearly full; writes fail when it is");
    }
    if rest == "reservation conflict" {
        return notice("reserved", "another host has reserved the disk: this one's commands are refused");
    }
    if has(rest, "rejecting I/O to offline device") || has(rest, "rejecting I/O to dead device") {
        return Opened::line(with(new("rejected")));
    }
    if has(rest, "Device offlined - not ready") || has(rest, "Offlining disk") {
        return Opened::line(with(new("offline")));
    }
    has(rest, "timing out command, waited").then_some(())?;
    Opened::line(with(new("timeout")))
}

fn scsi_values(rest: &str, event: &mut Event) -> bool {
    let before = event.fields.len();
    for (name, label) in [("hostbyte", "hostbyte="), ("driverbyte", "driverbyte=")] {
        if let Some(value) = after(rest, label) {
            event.set(name, value.split([' ', ',']).next().unwrap_or(value));
        }
    }
    if let Some(key) = after(rest, "Sense Key : ") {
        let key = key.split('[').next().unwrap_or(key).trim();
        event.set("sense_key", sense_key_name(key));
    }
    if let Some(sense) = after(rest, "Add. Sense: ") {
        event.set("sense", sense.trim());
    }
    if let Some(cdb) = after(rest, "CDB: ") {
        event.set("cdb", cdb.trim());
    }
    event.fields.len() > before
}

/// Kernels without their table of names print the number.
fn sense_key_name(key: &str) -> &str {
    const NAMES: &[(&str, &str)] = &[
        ("0x0", "No Sense"),
        ("0x1", "Recovered Error"),
        ("0x2", "Not Ready"),
        ("0x3", "Medium Error"),
        ("0x4", "Hardware Error"),
        ("0x5", "Illegal Request"),
        ("0x6", "Unit Attention"),
        ("0x7", "Data Protect"),
        ("0x8", "Blank Check"),
        ("0xa", "Copy Aborted"),
        ("0xb", "Aborted Command"),
        ("0xd", "Volume Overflow"),
        ("0xe", "Miscompare"),
    ];
    NAMES.iter().find(|(number, _)| *number == key).map_or(key, |(_, name)| name)
}

fn scsi_body(report: &mut Report, line: &Line<'_>) -> Step {
    let text = line.text();
    let Some((target, _, rest)) = scsi_head(text) else { return Step::Pass };
    if report.event.fields.get("target").and_then(|t| t.as_text()) != Some(target) {
        return Step::Pass;
    }
    if has(rest, "Result: hostbyte=") {
        return Step::Stop;
    }
    if scsi_values(rest, &mut report.event) || has(rest, "Sense not available") {
        return Step::Take;
    }
    Step::Pass
}

fn scsi_finish(report: &mut Report) {
    let event = &mut report.event;
    let text = |name: &str| event.fields.get(name).and_then(|v| v.as_text()).map(str::to_owned);
    let reason = text("sense_key").or_else(|| text("hostbyte").filter(|h| h != "DID_OK"));
    // An unsupported command is no failure of the disk.
    if reason.as_deref() == Some("Illegal Request") || reason.as_deref() == Some("Unit Attention") {
        event.severity = Severity::Notice;
    }
    if reason.as_deref() == Some("Recovered Error") {
        event.severity = Severity::Notice;
        event.set(
            "consequence",
            "the drive read or wrote it after all, with retries or its error correction; many of them announce its end",
        );
    }
    if let Some(reason) = reason {
        event.title = format!("scsi: {reason}");
    }
}

fn open_nvme(line: &Line<'_>, _: Before<'_>) -> Option<Opened> {
    let text = line.text();
    let text = text.strip_prefix("block ").unwrap_or(text);
    if !text.starts_with("nvme") {
        return None;
    }
    let (head, rest) = split(text, ": ")?;
    let device = head.rsplit(' ').next().unwrap_or(head);
    let new = |what: &'static str| {
        Event::new(NVME.name, class::IO_ERROR, Severity::Failure)
            .titled(format!("nvme: {what}"))
            .with("what", what)
            .with("device", device)
            .with("detail", rest)
    };
    if let Some((command, action)) = split(rest, " timeout")
        && has(command, " QID ")
    {
        let action = action.split(" req_op").next().unwrap_or(action).trim_start_matches([',', ' ']);
        return Opened::line(new("timeout").with("action", action).with_opt("queue", number_after(command, " QID ")));
    }
    // drivers/nvme/host/multipath.c: no controller leads to the namespace.
    if rest.starts_with("no available path - failing I/O") {
        return Opened::line(new("no-path"));
    }
    if rest.starts_with("no usable path - requeuing I/O") {
        let mut event = new("no-path");
        event.severity = Severity::Notice;
        return Opened::line(event.with("consequence", "its requests wait until a path to it is there again"));
    }
    // The last words of a reset and of a reconnection that succeed; those of a start, too.
    if rest.ends_with(" default/read/poll queues") && !rest.starts_with("mapped ")
        || rest.starts_with("Successfully reconnected (")
    {
        let mut event = new("ok");
        (event.class, event.severity) = (class::CLEAN, Severity::Notice);
        return Opened::line(event);
    }
    if rest.starts_with("controller is down; will reset") {
        let csts = hex_after(rest, "CSTS=");
        return Opened::line(new("down").with_opt("csts", csts.map(Address)));
    }
    if rest.starts_with("Device not ready; aborting") || rest.starts_with("Device shutdown incomplete") {
        return Opened::line(new("not-ready").with_opt("csts", hex_after(rest, "CSTS=").map(Address)));
    }
    if rest.starts_with("Removing after probe failure") {
        return Opened::line(new("removed"));
    }
    if rest.starts_with("Disabling device after reset failure") {
        return Opened::line(new("removed"));
    }
    // Over TCP: `queue 5: timeout request 0x11 type 6`
    if let Some((queue, request)) = split(rest, ": timeout request ")
        && let Some(queue) = queue.strip_prefix("queue ").and_then(|q| q.parse::<u64>().ok())
    {
        return Opened::line(new("timeout").with("queue", queue).with("action", request));
    }
    if rest.starts_with("starting error recovery") || rest.starts_with("failed nvme_keep_alive_end_io") {
        return Opened::line(new("connection-lost"));
    }
    if rest.starts_with("Connect command failed") || rest.starts_with("Failed reconnect attempt") {
        return Opened::line(new("connection-lost"));
    }
    if rest.starts_with("Unable to change power state from D3cold to D0") {
        return Opened::line(new("removed"));
    }
    let sct = hex_after(rest, "(sct ")?;
    // A reset of the controller ends the commands that wait for something to happen.
    if rest.starts_with("Async Event(") || has(rest, "Host Aborted Command") {
        return None;
    }
    Opened::line(new("command-error").with("sct", sct).with_opt("sc", hex_after(rest, "/ sc ")))
}

/// `ata1.00: rest`, `ata1: rest`
fn ata_head(text: &str) -> Option<(&str, &str)> {
    let (port, rest) = split(text, ": ")?;
    let number = port.strip_prefix("ata")?;
    (!number.is_empty() && number.bytes().all(|b| b.is_ascii_digit() || b == b'.')).then_some((port, rest))
}

fn open_ata(line: &Line<'_>, _: Before<'_>) -> Option<Opened> {
    let (port, rest) = ata_head(line.text())?;
    let new = |what: &'static str| {
        Event::new(ATA.name, class::IO_ERROR, Severity::Failure)
            .titled(format!("ata: {what}"))
            .with("what", what)
            .with("port", port)
    };
    if rest.starts_with("exception Emask") {
        return Opened::lines(
            new("exception")
                .with_opt("emask", hex_after(rest, "Emask "))
                .with_opt("serror", hex_after(rest, "SErr "))
                .with("frozen", has(rest, "frozen")),
        );
    }
    // The line above is not in the text.
    if let Some(command) = rest.strip_prefix("failed command: ") {
        return Opened::lines(new("exception").with("command", command));
    }
    if rest.starts_with("qc timeout") {
        return Opened::line(new("timeout").with_opt("command", between(rest, "(", ")")));
    }
    // A port without a drive behind it says the same once while it is probed; with I/O error the drive was there.
    if rest.starts_with("failed to IDENTIFY (I/O error") {
        return Opened::line(new("not-identified"));
    }
    if rest.starts_with("reset failed, giving up") {
        return Opened::line(new("reset-failed"));
    }
    if rest == "disabled" {
        return Opened::line(new("disabled"));
    }
    // drivers/ata/libata-eh.c: what it does about a link that fails again and again.
    let slower = if rest.starts_with("limiting SATA link speed to ") {
        Some("the link failed so often that it runs slower now: cable, backplane, port or drive")
    } else if rest.starts_with("NCQ disabled due to excessive errors") {
        Some(
            "queued commands failed so often that the drive gets one at a time now: cable, port, drive or its firmware",
        )
    } else {
        None
    };
    if let Some(consequence) = slower {
        let mut event = new("degraded").with("consequence", consequence);
        event.severity = Severity::Notice;
        return Opened::line(event);
    }
    // The lines above are not in the text.
    if let Some(flags) = rest.strip_prefix("error: { ").filter(|flags| has(flags, "UNC")) {
        return Opened::lines(new("exception").with("error", flags.trim_matches(['{', '}', ' '])));
    }
    (rest.starts_with("COMRESET failed") || rest.starts_with("softreset failed")).then_some(())?;
    Opened::line(new("reset-failed"))
}

fn ata_body(report: &mut Report, line: &Line<'_>) -> Step {
    let text = line.text();
    // `res 41/40:08:.. Emask 0x409 (media error) <F>`
    if text.starts_with("res ") && has(text, "Emask ") {
        if let Some(cause) = between(text, "(", ")") {
            report.event.set("cause", cause);
        }
        return Step::Take;
    }
    let Some((_, rest)) = ata_head(text) else { return Step::Pass };
    // It is a report of its own: with it the drive is given up.
    if rest.starts_with("exception Emask ") || rest == "disabled" {
        return Step::Stop;
    }
    if rest.starts_with("EH complete") {
        if report.event.fields.contains_key("link_up") {
            report.event.set("link_back", true);
        }
        return Step::End;
    }
    // `hard resetting link`, then `SATA link up 6.0 Gbps (SStatus 133 SControl 300)`, then `configured for UDMA/133`
    if rest.starts_with("SATA link up") {
        report.event.set("link_up", true);
    } else if rest.starts_with("SATA link down") {
        report.event.fields.remove("link_up");
    }
    if rest.starts_with("irq_stat 0xffffffff") {
        report.event.set("gone", true);
        return Step::Take;
    }
    for (head, name) in [("failed command: ", "command"), ("status: ", "status"), ("error: ", "error")] {
        if let Some(value) = rest.strip_prefix(head) {
            report.event.fields.entry(name.into()).or_insert_with(|| value.trim_matches(['{', '}', ' ']).into());
            return Step::Take;
        }
    }
    if rest.starts_with("irq_stat ") && has(rest, "interface fatal error") {
        report.event.fields.entry("cause".into()).or_insert_with(|| LINK_ERROR.into());
    }
    if let Some(sector) = rest.strip_prefix("cmd ").and_then(sector_of_command) {
        match report.event.fields.get_mut("sectors") {
            Some(Value::List(sectors)) if sectors.len() < 32 => sectors.push(sector.into()),
            Some(_) => {}
            None => report.event.set("sectors", vec![sector]),
        }
    }
    if let Some((_, tail)) = split(rest, "res ")
        && let Some(cause) = between(tail, "(", ")")
    {
        report.event.set("cause", cause);
    }
    Step::Take
}

/// Of the port's SError register: decoding, disparity, checksum, handshake and link sequence errors. A drive that was
/// exchanged has some of them, too.
const SERROR_LINK: i64 = 0x00f8_0000;
const SERROR_EXCHANGED: i64 = 0x0400_0000;
const LINK_ERROR: &str = "interface error of the link: cable, backplane, power or port";

fn ata_finish(report: &mut Report) {
    let event = &mut report.event;
    event.fields.remove("link_up");
    let serror = event.fields.get("serror").and_then(Value::as_int).unwrap_or(0);
    if serror & SERROR_LINK != 0 && serror & SERROR_EXCHANGED == 0 {
        event.fields.entry("cause".into()).or_insert_with(|| LINK_ERROR.into());
    }
}

/// Where a command of `cmd 60/00:a8:e0:00:00/01:00:00:00:00/40 tag 21 ncq dma 131072 in` begins: command, feature, count
/// and the low bytes of the address, the same again with its high bytes, device.
fn sector_of_command(text: &str) -> Option<u64> {
    const LONG: &[u64] = &[0x24, 0x25, 0x29, 0x34, 0x35, 0x39, 0x3d, 0x60, 0x61];
    const SHORT: &[u64] = &[0x20, 0x30, 0xc4, 0xc5, 0xc8, 0xca];
    let registers: Vec<u64> = text
        .split(' ')
        .next()?
        .split(['/', ':'])
        .map(|byte| u64::from_str_radix(byte, 16).ok().filter(|byte| *byte < 256))
        .collect::<Option<_>>()?;
    let [command, _, _, low, mid, high, _, _, low2, mid2, high2, device] = registers[..] else { return None };
    let short = low | mid << 8 | high << 16;
    if LONG.contains(&command) {
        return Some(short | low2 << 24 | mid2 << 32 | high2 << 40);
    }
    SHORT.contains(&command).then_some(short | (device & 0xf) << 24)
}

#[cfg(test)]
mod tests;
