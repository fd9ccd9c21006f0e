use super::super::tests::{events, fields};

#[test]
fn block_errors_of_every_era_name_device_and_sector() {
    for (text, device, sector, what) in [
        ("blk_update_request: I/O error, dev sda, sector 123", "sda", "123", "I/O"),
        ("end_request: I/O error, dev sdb, sector 7", "sdb", "7", "I/O"),
        ("print_req_error: critical medium error, dev sdc, sector 8 flags 0", "sdc", "8", "critical medium"),
        ("I/O error, dev vda, sector 9 op 0x1:(WRITE) flags 0x800 phys_seg 1 prio class 2", "vda", "9", "I/O"),
        ("Buffer I/O error on dev sda1, logical block 5, lost async page write", "sda1", "", "buffer"),
        ("Buffer I/O error on device sda1, logical block 5", "sda1", "", "buffer"),
    ] {
        let text = format!("[   52.261501] {text}");
        assert_eq!(fields(&text, &["device", "sector", "what", "class"]), [device, sector, what, "io-error"], "{text}");
    }
}

#[test]
fn empty_drives_are_no_failure() {
    for text in [
        "blk_update_request: I/O error, dev fd0, sector 0",
        "Buffer I/O error on dev sr0, logical block 0, async page read",
        "sd 0:0:0:0: [sda] Read Capacity(16) failed: Result: hostbyte=DID_ERROR driverbyte=DRIVER_OK",
        "nvme nvme0: Shutdown timeout set to 8 seconds",
        "ata2: SATA link down (SStatus 0 SControl 300)",
        "md/raid1:md0: active with 2 out of 2 mirrors",
    ] {
        assert!(events(&format!("[   52.261501] {text}")).is_empty(), "{text}");
    }
}

#[test]
fn a_scsi_command_is_one_event_with_its_sense() {
    let text = "[   52.261501] sd 0:0:0:0: [sda] tag#12 FAILED Result: hostbyte=DID_OK driverbyte=DRIVER_SENSE cmd_age=30s\n\
         [   52.261501] sd 0:0:0:0: [sda] tag#12 Sense Key : Medium Error [current] \n\
         [   52.261501] sd 0:0:0:0: [sda] tag#12 Add. Sense: Unrecovered read error\n\
         [   52.261501] sd 0:0:0:0: [sda] tag#12 CDB: Read(10) 28 00 00 00\n\
         [   52.261501] blk_update_request: critical medium error, dev sda, sector 8\n";
    let found = events(text);
    assert_eq!(found.iter().map(|e| e.family).collect::<Vec<_>>(), ["scsi_error", "block_io_error"]);
    assert_eq!(
        fields(text, &["title", "target", "device", "hostbyte", "sense", "cdb"]),
        ["scsi: Medium Error", "0:0:0:0", "sda", "DID_OK", "Unrecovered read error", "Read(10) 28 00 00 00"]
    );
}

#[test]
fn a_sense_key_without_name_gets_it() {
    let text = "[   52.261501] sd 5:0:0:0: [sdf] tag#5 Sense Key : 0x3 [current]";
    assert_eq!(fields(text, &["sense_key", "title"]), ["Medium Error", "scsi: Medium Error"]);
}

#[test]
fn an_ata_exception_gathers_its_lines() {
    let text = "[   52.261501] ata1.00: exception Emask 0x10 SAct 0x1 SErr 0x400100 action 0x6 frozen\n\
         [   52.261501] ata1.00: irq_stat 0x08000000\n[   52.261501] ata1: SError: { UnrecovData Handshk }\n\
         [   52.261501] ata1.00: failed command: READ FPDMA QUEUED\n\
         [   52.261501] ata1.00: cmd 60/08:00:00:00:00/00:00:00:00:00/40 tag 1 ncq dma 4096 in\n\
         [   52.261501]          res 41/40:08:00:00:00/00:00:00:00:00/40 Emask 0x409 (media error) <F>\n\
         [   52.261501] ata1.00: status: { DRDY ERR }\n[   52.261501] ata1.00: error: { UNC }\n\
         [   52.261501] ata1: hard resetting link\n[   52.261501] ata1: EH complete\n";
    assert_eq!(events(text).len(), 1);
    assert_eq!(
        fields(text, &["port", "command", "cause", "status", "error", "frozen"]),
        ["ata1.00", "READ FPDMA QUEUED", "media error", "DRDY ERR", "UNC", "true"]
    );
}

#[test]
fn no_break_spaces_of_a_mail_are_blanks() {
    let text = "[\u{a0}\u{a0} 52.261501] I/O\u{a0}error,\u{a0}dev vda, sector 9 op 0x1:(WRITE) flags 0x800";
    assert_eq!(fields(text, &["device", "sector"]), ["vda", "9"]);
}

#[test]
fn nvme_and_raid_failures_name_what_happened() {
    for (text, family, what) in [
        ("nvme nvme0: I/O 12 QID 3 timeout, aborting", "nvme_error", "timeout"),
        (
            "nvme nvme0: I/O tag 12 (100c) opcode 0x2 (I/O Cmd) QID 3 timeout, aborting req_op:READ(0) size:4096",
            "nvme_error",
            "timeout",
        ),
        ("nvme nvme0: controller is down; will reset: CSTS=0xffffffff, PCI_STATUS=0x10", "nvme_error", "down"),
        (
            "nvme0n1: Read(0x2) @ LBA 0, 8 blocks, Unrecovered Read Error (sct 0x2 / sc 0x81) DNR",
            "nvme_error",
            "command-error",
        ),
        ("block nvme0n1: no available path - failing I/O", "nvme_error", "no-path"),
        ("nvme nvme0: 16/0/0 default/read/poll queues", "nvme_error", "ok"),
        ("nvme nvme1: Successfully reconnected (1 attempt)", "nvme_error", "ok"),
        ("md/raid1:md0: Disk failure on sda1, disabling device.", "raid_error", "disk-failure"),
        ("md/raid:md0: read error not correctable (sector 8 on sde1).", "raid_error", "read-error"),
        ("device-mapper: multipath: 253:2: Failing path 8:16.", "raid_error", "path"),
    ] {
        let text = format!("[   52.261501] {text}");
        assert_eq!(events(&text)[0].family, family);
        assert_eq!(fields(&text, &["what"]), [what], "{text}");
    }
}

#[test]
fn links_that_fail_often_and_storage_that_fills_are_notices() {
    for (text, what) in [
        ("ata1.00: NCQ disabled due to excessive errors", "degraded"),
        ("ata2: limiting SATA link speed to 1.5 Gbps", "degraded"),
        (
            "sd 0:0:0:0: Warning! Received an indication that the LUN reached a thin provisioning soft threshold.",
            "nearly-full",
        ),
        ("sd 3:0:0:1: reservation conflict", "reserved"),
    ] {
        let text = format!("[ 5252.261501] {text}");
        assert_eq!(fields(&text, &["what", "severity"]), [what, "notice"], "{text}");
        assert!(!fields(&text, &["consequence"])[0].is_empty(), "{text}");
    }
    let text = "[ 5252.261501] ata1.00: error: { UNC }";
    assert_eq!(fields(text, &["what", "severity", "error"]), ["exception", "failure", "UNC"]);
    for text in ["ata1.00: NCQ (depth 32), AA", "ata1: SATA link up 6.0 Gbps", "ata1.00: error: { ABRT }"] {
        assert!(events(&format!("[ 5252.261501] {text}")).is_empty(), "{text}");
    }
}

#[test]
fn errors_of_a_sata_link_are_told_from_those_of_the_drive() {
    let text = "[  368.570000] ata1.00: exception Emask 0x12 SAct 0x2 SErr 0x1280500 action 0x6 frozen\n\
        [  368.580000] ata1.00: irq_stat 0x08000000, interface fatal error\n\
        [  368.590000] ata1: SError: { UnrecovData Proto 10B8B BadCRC TrStaTrns }\n";
    assert_eq!(fields(text, &["cause"]), [super::LINK_ERROR]);
    let text = "[   26.759285] ata5.00: exception Emask 0x10 SAct 0x200000 SErr 0xb00100 action 0x6\n\
        [   26.759309] ata5: SError: { UnrecovData Dispar BadCRC LinkSeq }\n\
        [   26.759320] ata5.00: failed command: READ FPDMA QUEUED\n\
        [   26.759326] ata5.00: cmd 60/00:a8:e0:00:00/01:00:00:00:00/40 tag 21 ncq dma 131072 in\n";
    assert_eq!(fields(text, &["cause", "sectors"]), [super::LINK_ERROR, "224"]);
    // A drive that was pulled out, and one that does not answer.
    for text in [
        "[   26.759285] ata5: exception Emask 0x10 SAct 0x0 SErr 0x4090000 action 0xe frozen\n",
        "[   26.759285] ata5.00: exception Emask 0x0 SAct 0x0 SErr 0x0 action 0x6 frozen\n",
    ] {
        assert_eq!(fields(text, &["cause"]), [""], "{text}");
    }
    for (command, sector) in [
        ("c8/00:08:10:20:30/00:00:00:00:00/e4 tag 0 dma 4096 in", Some(0x0430_2010)),
        ("25/00:08:10:20:30/00:00:01:02:00/e0 tag 0 dma 4096 in", Some(0x0002_0130_2010)),
        ("ea/00:00:00:00:00/00:00:00:00:00/a0 tag 30", None),
        ("60/00", None),
    ] {
        assert_eq!(super::sector_of_command(command), sector, "{command}");
    }
}
