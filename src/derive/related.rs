//! One piece of hardware under several names: a controller and its disk, a disk and its partition, a port and its drive,
//! a PCI function and the instance of its driver. What the later name says follows from the earlier one.

use facts::Fact;

use super::sequence::{Near, SECOND, is_dead_disk};
use super::told_before::is_virtual_adapter;

/// A drive that is gone is gone for all that comes.
const EVER: Near = Near { ns: i64::MAX, lines: u64::MAX };
/// From a drive to what lies on it: write-back meets it within two minutes.
const DISK: Near = Near { ns: 120 * SECOND, lines: 2000 };
/// From a drive that was given up to the layers above it, where no name joins them.
const GIVEN_UP: Near = Near { ns: 600 * SECOND, lines: 2000 };
/// From an access that was refused to the driver whose commands are not answered.
const REFUSED: Near = Near { ns: 90 * SECOND, lines: 2000 };

/// From a network card to the drives that are reached through it, and from one path to the next.
const CARD: Near = Near { ns: 60 * SECOND, lines: 1000 };

/// From a link that went down to what was behind it: a remote port is waited for for half a minute or a whole one.
const FABRIC: Near = Near { ns: 180 * SECOND, lines: 2000 };

/// From a ring that stands still to what the driver does about it.
const GPU: Near = Near { ns: 60 * SECOND, lines: 1000 };

/// From the word that a device takes no commands to the command that was not taken.
const REJECTED: Near = Near { ns: SECOND / 10, lines: 2 };

/// From the reset of an engine that failed to the report of its hang.
const HANG: Near = Near { ns: 5 * SECOND, lines: 20 };

type Cause = Option<(usize, &'static str)>;
/// Finds the nearest earlier event that fits.
type Nearest<'a> = &'a dyn Fn(&dyn Fn(&Fact) -> bool) -> Option<usize>;

/// The earlier event of the same hardware under the name of a larger part of it.
pub(super) fn cause(late: &Fact, nearest: Nearest<'_>) -> Cause {
    if late.kind == "log.gpu_error" {
        // 154 announces what is to be done about the error before it.
        let announced = |early: &Fact| {
            late.int("xid") == Some(154)
                && early.kind == "log.gpu_error"
                && early.int("xid").is_some_and(|xid| xid != 154)
                && early.text("device") == late.text("device")
                && GPU.holds(early, late)
        };
        if let Some(at) = nearest(&announced) {
            return Some((at, "it announces what is to be done about the error before"));
        }
        // The controller of clocks and voltages, without which no ring goes on.
        let silent = |early: &Fact| {
            early.kind == "log.gpu_error"
                && early.text("what") == Some("not-responding")
                && early.quote.contains("not done with your previous command")
                && late.text("what") == Some("ring-timeout")
                && early.text("driver") == late.text("driver")
                && early.text("device").zip(late.text("device")).is_none_or(|(a, b)| a == b)
                && GPU.holds(early, late)
        };
        if let Some(at) = nearest(&silent) {
            return Some((at, "its power controller had stopped answering before"));
        }
        // i915 tries to reset an engine that hangs before it says that it does.
        let tried = |early: &Fact| {
            early.kind == "log.gpu_error"
                && early.text("what") == Some("reset-failed")
                && late.text("what") == Some("hang")
                && is_one_gpu(early, late)
                && HANG.holds(early, late)
        };
        if let Some(at) = nearest(&tried) {
            return Some((at, "the hang of which the engine was to be reset before"));
        }
        let stuck = |early: &Fact| is_same_gpu(early, late) && GPU.holds(early, late);
        return nearest(&stuck).map(|at| (at, "the driver resets the processor that had stood still before"));
    }
    if late.kind == "log.device_firmware"
        && matches!(late.text("what"), Some("stopped" | "no-answer" | "recovery-failed"))
    {
        let crashed = |early: &Fact| {
            early.kind == "log.device_firmware"
                && early.text("what") == Some("crash")
                && early.text("driver").is_some()
                && early.text("driver") == late.text("driver")
                && CARD.holds(early, late)
        };
        return nearest(&crashed).map(|at| (at, "its firmware had crashed before"));
    }
    let counted = |early: &Fact| {
        early.kind == late.kind
            && !matches!(early.text("what"), Some("recorded-errors" | "ok"))
            && early.text("device").is_some()
            && early.text("device") == late.text("device")
            && EVER.holds(early, late)
    };
    if late.text("what") == Some("recorded-errors") {
        return nearest(&counted).map(|at| (at, "the filesystem had met the errors before, as the log tells"));
    }
    if !matches!(
        &*late.kind,
        "log.ata_error"
            | "log.block_io_error"
            | "log.scsi_error"
            | "log.raid_error"
            | "log.nvme_error"
            | "log.host_adapter"
    ) {
        return None;
    }
    let command = |early: &Fact| is_same_command(early, late) && DISK.holds(early, late);
    if let Some(at) = nearest(&command) {
        return Some((at, "its port had told of the same command before"));
    }
    // `mmc1: error -22 whilst initialising SDIO card`
    let chip = |early: &Fact| {
        early.kind == "log.device_firmware"
            && early.text("driver").is_some_and(|driver| SDIO_CHIPS.iter().any(|chip| driver.starts_with(chip)))
            && CARD.holds(early, late)
    };
    if late.kind == "log.host_adapter" && late.text("class") == Some("firmware") {
        return nearest(&chip).map(|at| (at, "it is the wireless chip that had stopped before"));
    }
    let card = |early: &Fact| is_card_below(early, late) && CARD.holds(early, late);
    if let Some(at) = nearest(&card) {
        return Some((at, "the network card that leads to the drive had stopped before"));
    }
    let unplugged = |early: &Fact| is_unplugged(early, late) && EVER.holds(early, late);
    if let Some(at) = nearest(&unplugged) {
        return Some((at, "the USB device that the disk is was gone"));
    }
    let path = |early: &Fact| is_path_of_same_map(early, late) && CARD.holds(early, late);
    if let Some(at) = nearest(&path) {
        return Some((at, "another path of the same map had failed before"));
    }
    let port = |early: &Fact| is_port_below(early, late) && FABRIC.holds(early, late);
    if let Some(at) = nearest(&port) {
        return Some((at, "the remote port that leads there had been given up before"));
    }
    let mapped = |early: &Fact| is_way_below(early, late) && DISK.holds(early, late);
    if let Some(at) = nearest(&mapped) {
        return Some((at, "the way to the drives below had been lost before"));
    }
    let offline = |early: &Fact| is_same_drive(early, late) && DISK.holds(early, late);
    if let Some(at) = nearest(&offline) {
        return Some((at, "the drive's commands had failed before, and this is what the kernel does about it"));
    }
    // `sd 6:0:0:1: rejecting I/O to offline device`, then what was rejected, by the name of the disk.
    let rejected = |early: &Fact| {
        late.kind == "log.block_io_error"
            && early.kind == "log.scsi_error"
            && early.text("what") == Some("rejected")
            && early.text("device").is_none()
            && late.text("device").is_some_and(|disk| disk.starts_with("sd"))
            && REJECTED.holds(early, late)
    };
    if let Some(at) = nearest(&rejected) {
        return Some((at, "the device takes no commands any more, as was said just before"));
    }
    let answer = |early: &Fact| {
        is_virtual_adapter(early)
            && late.kind == "log.scsi_error"
            && matches!(late.text("what"), Some("offline" | "rejecting" | "rejected"))
            && DISK.holds(early, late)
    };
    if let Some(at) = nearest(&answer) {
        return Some((at, "the host had answered its commands with errors before"));
    }
    let link = |early: &Fact| is_link_below(early, late) && FABRIC.holds(early, late);
    if let Some(at) = nearest(&link) {
        return Some((at, "the link of the adapter that leads there had gone down before"));
    }
    let members = |early: &Fact| {
        late.kind == "log.raid_error"
            && late.text("what") == Some("failed")
            && is_dead_disk(early)
            && early.text("what") != Some("failed")
            && DISK.holds(early, late)
    };
    if let Some(at) = nearest(&members) {
        return Some((at, "members of the array had failed before"));
    }
    let part = |early: &Fact| is_part(early, late);
    if let Some(at) = nearest(&part) {
        return Some((at, "the device that it is a part of had failed before"));
    }
    let gone = |early: &Fact| {
        late.kind == "log.ata_error"
            && early.kind == "log.ata_error"
            && early.get("gone").is_some()
            && DISK.holds(early, late)
    };
    if let Some(at) = nearest(&gone) {
        return Some((at, "the controller of another port was gone from the bus before"));
    }
    let given_up = |early: &Fact| {
        early.kind == "log.ata_error"
            && early.text("what") == Some("disabled")
            && matches!(name_of(late), Some((name, _)) if name.starts_with("sd"))
            && GIVEN_UP.holds(early, late)
    };
    if late.kind != "log.ata_error"
        && let Some(at) = nearest(&given_up)
    {
        return Some((at, "a drive had been given up before"));
    }
    let refused = |early: &Fact| {
        early.kind == "log.iommu_fault"
            && early.text("driver").is_some_and(|driver| is_of_driver(driver, late))
            && REFUSED.holds(early, late)
    };
    nearest(&refused).map(|at| (at, "the IOMMU had refused an access of its driver's device before"))
}

/// Does the disk tell of the command that failed at a port of SATA? Their names are not joined where the log does not begin
/// at boot, but the sector is the same.
fn is_same_command(early: &Fact, late: &Fact) -> bool {
    if early.kind != "log.ata_error" || name_of(late).is_some_and(|(name, _)| !name.starts_with("sd")) {
        return false;
    }
    let sector = match &*late.kind {
        "log.block_io_error" => late.int("sector"),
        "log.scsi_error" => late.text("cdb").and_then(block_of_command),
        _ => None,
    };
    let sectors = early.get("sectors").and_then(facts::Value::as_list).unwrap_or_default();
    sector.filter(|sector| *sector > 0).is_some_and(|sector| {
        // The block layer counts 512 bytes each, the drive perhaps 4096.
        sectors.iter().filter_map(facts::Value::as_int).any(|at| at == sector || at.checked_mul(8) == Some(sector))
    })
}

/// The block at which `Read(10) 28 00 00 00 00 e0 00 01 00 00` begins.
fn block_of_command(cdb: &str) -> Option<i64> {
    let bytes: Vec<i64> =
        cdb.split(' ').filter(|word| word.len() == 2).map_while(|word| i64::from_str_radix(word, 16).ok()).collect();
    let address = match bytes.first()? {
        0x28 | 0x2a => bytes.get(2..6)?,
        0x88 | 0x8a => bytes.get(2..10)?,
        _ => return None,
    };
    address.iter().try_fold(0i64, |sum, byte| sum.checked_mul(256)?.checked_add(*byte))
}

/// Is the later event of a part of what the earlier one speaks of?
fn is_part(early: &Fact, late: &Fact) -> bool {
    if !is_dead_disk(early) {
        return false;
    }
    // A wording of a drive that answers: its sectors are another matter than its being there.
    let (Some((name, size)), Some((late_name, late_size))) = (name_of(early), name_of(late)) else { return false };
    let ports = size == 0 && late_size == 0 && early.text("port") != late.text("port");
    let same = name == late_name && (size < late_size || ports);
    let controller = name.starts_with("nvme") || name.starts_with("mmc");
    same && if controller && size == 0 { EVER.holds(early, late) } else { DISK.holds(early, late) }
}

/// The hardware that an event speaks of, by the name of its largest part, and how small the part is: 0 is a controller
/// or port, 1 a drive, 2 a partition, 3 what lies on one.
fn name_of(fact: &Fact) -> Option<(String, u8)> {
    if let Some(port) = fact.text("port") {
        return Some((port.split('.').next().unwrap_or(port).to_owned(), 0));
    }
    let name = fact.text("device").or_else(|| fact.text("driver"))?;
    let above = if fact.kind == "log.raid_error" { 3 } else { 0 };
    if let Some(disk) = disk_of_number(name).filter(|_| above > 0) {
        return Some((disk, above));
    }
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    for (head, whole) in [("nvme", "nvme"), ("mmcblk", "mmc"), ("mmc", "mmc")] {
        let Some(rest) = name.strip_prefix(head) else { continue };
        let count = digits(rest);
        let (number, rest) = rest.split_at_checked(count).filter(|(number, _)| !number.is_empty())?;
        let size = if rest.contains('p') {
            2
        } else if rest.is_empty() && head != "mmcblk" {
            0
        } else {
            1
        };
        return Some((format!("{whole}{number}"), size.max(above)));
    }
    for head in ["sd", "vd", "xvd", "hd"] {
        let Some(rest) = name.strip_prefix(head) else { continue };
        let letters = rest.bytes().take_while(u8::is_ascii_lowercase).count();
        let (disk, partition) = rest.split_at_checked(letters).filter(|(disk, _)| (1..4).contains(&disk.len()))?;
        if !partition.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        return Some((format!("{head}{disk}"), if partition.is_empty() { 1 } else { 2 }.max(above)));
    }
    None
}

/// Drivers of wireless chips on SDIO.
const SDIO_CHIPS: &[&str] = &["brcmfmac", "mwifiex", "ath10k_sdio", "ath6kl", "mt76", "mt79", "rtw", "wl1"];

/// Cards that carry NVMe over Fabrics with RDMA or an offload of their own.
const FABRIC_CARDS: &[&str] =
    &["mlx4", "mlx5", "bnxt", "qede", "irdma", "ice", "i40e", "cxgb4", "hfi1", "lpfc", "qla2xxx"];

/// Did a card stop through which a drive of a fabric was reached? Only fabrics lose their connection.
fn is_card_below(early: &Fact, late: &Fact) -> bool {
    const CONNECTION: &[&str] = &["starting error recovery", "reconnect", "keep_alive", "Connect command failed"];
    late.kind == "log.nvme_error"
        && matches!(&*early.kind, "log.device_firmware" | "log.net_watchdog")
        && early.text("severity") == Some("failure")
        && early.text("driver").is_some_and(|driver| FABRIC_CARDS.iter().any(|card| driver.starts_with(card)))
        && (late.text("what") == Some("connection-lost")
            || CONNECTION.iter().any(|word| late.quote.contains(word))
            || late.text("what") == Some("timeout") && late.text("action").is_none_or(str::is_empty))
}

/// Was the USB device unplugged that the disk is?
fn is_unplugged(early: &Fact, late: &Fact) -> bool {
    let disk = || name_of(late).is_some_and(|(name, _)| early.text("disk") == Some(name.as_str()));
    let target = || late.text("target").is_some() && early.text("target") == late.text("target");
    early.kind == "log.usb_host_error" && early.text("what") == Some("unplugged") && (disk() || target())
}

/// Did the link of a Fibre Channel adapter go down, behind which the later event may be? Where both name a SCSI host, it must
/// be the same.
fn is_link_below(early: &Fact, late: &Fact) -> bool {
    let down = early.kind == "log.link"
        && matches!(early.text("what"), Some("down" | "no-link" | "port-lost"))
        && early.text("driver").is_some_and(|driver| matches!(driver, "qla2xxx" | "lpfc"));
    // `qla2xxx [0000:05:00.0]-500b:7: LOOP DOWN detected`
    let host = early.quote.split_once("]-").and_then(|(_, rest)| rest.split(':').nth(1));
    let lost = late.text("what") == Some("remote-port") || is_unreachable(late);
    down && lost && host.zip(scsi_host(late)).is_none_or(|(a, b)| a == b)
}

/// Was the remote port of a fabric given up, behind which the later event may be?
fn is_port_below(early: &Fact, late: &Fact) -> bool {
    early.kind == "log.scsi_error"
        && early.text("what") == Some("remote-port")
        && is_unreachable(late)
        && scsi_host(early).zip(scsi_host(late)).is_none_or(|(a, b)| a == b)
}

/// Does a drive say that nothing leads to it, or a map that a path of it is gone?
fn is_unreachable(fact: &Fact) -> bool {
    match &*fact.kind {
        "log.scsi_error" => {
            matches!(fact.text("what"), Some("offline" | "rejecting" | "rejected"))
                || fact
                    .text("hostbyte")
                    .is_some_and(|byte| byte.starts_with("DID_TRANSPORT") || byte == "DID_NO_CONNECT")
        }
        "log.raid_error" => fact.text("what") == Some("path"),
        _ => false,
    }
}

/// The SCSI host in the name of a target or of a remote port.
fn scsi_host(fact: &Fact) -> Option<&str> {
    let target = fact.text("target")?;
    target.strip_prefix("rport-").unwrap_or(target).split(':').next()
}

/// Was the way to drives lost, over which a mapped device lies? No name joins them.
fn is_way_below(early: &Fact, late: &Fact) -> bool {
    let lost = match &*early.kind {
        "log.host_adapter" => early.text("what") == Some("dead"),
        "log.scsi_error" => early.text("what") == Some("remote-port"),
        "log.raid_error" => early.text("what") == Some("path"),
        _ => false,
    };
    lost && late.kind == "log.block_io_error" && late.text("device").is_some_and(|device| device.starts_with("dm-"))
}

/// Is a drive taken off line whose commands had failed?
fn is_same_drive(early: &Fact, late: &Fact) -> bool {
    early.kind == "log.scsi_error"
        && late.kind == "log.scsi_error"
        && matches!(late.text("what"), Some("offline" | "rejecting" | "rejected"))
        && matches!(early.text("severity"), Some("failure" | "report"))
        && early.text("target").is_some()
        && early.text("target") == late.text("target")
        && early.text("device").is_some()
}

/// Do both tell of a path of one map? It is the map that is in danger.
fn is_path_of_same_map(early: &Fact, late: &Fact) -> bool {
    let path = |fact: &Fact| fact.kind == "log.raid_error" && fact.text("what") == Some("path");
    let map = early.text("array").filter(|map| !map.is_empty());
    path(early)
        && path(late)
        && map.is_some()
        && map == late.text("array")
        && early.text("device") != late.text("device")
}

/// Does the later event tell what the driver of a graphics processor did when it had stood still? DRM's own lines name no
/// device.
fn is_same_gpu(early: &Fact, late: &Fact) -> bool {
    early.kind == "log.gpu_error"
        && matches!(early.text("what"), Some("ring-timeout" | "hang" | "page-fault"))
        && matches!(late.text("what"), Some("reset" | "reset-failed" | "flip-timeout" | "ring-test-failed"))
        && is_one_gpu(early, late)
}

fn is_one_gpu(early: &Fact, late: &Fact) -> bool {
    early.text("driver").is_some()
        && early.text("driver") == late.text("driver")
        && early.text("device").zip(late.text("device")).is_none_or(|(a, b)| a == b)
}

/// The disk of a device number: majors and sixteen minors each are those of Documentation/admin-guide/devices.txt.
fn disk_of_number(number: &str) -> Option<String> {
    const MAJORS: [u32; 16] = [8, 65, 66, 67, 68, 69, 70, 71, 128, 129, 130, 131, 132, 133, 134, 135];
    let (major, minor) = number.split_once(':')?;
    let (major, minor) = (major.parse::<u32>().ok()?, minor.parse::<u32>().ok().filter(|minor| *minor < 256)?);
    let block = u32::try_from(MAJORS.iter().position(|known| *known == major)?).ok()?;
    let mut index = block * 16 + minor / 16;
    let mut letters = Vec::new();
    loop {
        letters.push(char::from(b'a' + u8::try_from(index % 26).ok()?));
        if index < 26 {
            break;
        }
        index = index / 26 - 1;
    }
    Some(format!("sd{}", letters.into_iter().rev().collect::<String>()))
}

/// Is a failure one of a driver's devices? Instances bear its name: `mpt3sas_cm0`.
fn is_of_driver(driver: &str, late: &Fact) -> bool {
    match &*late.kind {
        "log.ata_error" => matches!(driver, "ahci" | "ata_piix") || driver.starts_with("sata_"),
        "log.nvme_error" => driver == "nvme",
        _ => late.text("driver").is_some_and(|name| driver.len() > 2 && name.starts_with(driver)),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use facts::{Origin, Stamp};

    use super::super::sequence::follows;
    use super::*;

    fn event(kind: &'static str, field: &'static str, name: &str, what: &str, seconds: i64) -> Fact {
        let line = u64::try_from(seconds).unwrap_or(1);
        let mut fact = Fact::new(kind, Origin::lines("dmesg", line, line))
            .with("class", "io-error")
            .with("severity", "failure")
            .with("title", "x")
            .with("what", what)
            .with(field, name);
        fact.time = Some(Stamp::since_boot(seconds * SECOND));
        fact
    }

    fn told(facts: &[Fact]) -> Vec<(usize, usize)> {
        follows(facts, &BTreeMap::new(), &BTreeSet::new()).into_iter().map(|f| (f.event, f.of)).collect()
    }

    #[test]
    fn a_part_follows_from_the_whole() {
        let block = |device: &str, seconds| event("log.block_io_error", "device", device, "I/O", seconds);
        assert_eq!(told(&[block("sda", 10), block("sda5", 11), block("sdb1", 12)]), [(1, 0)]);
        let nvme = event("log.nvme_error", "device", "nvme2", "not-ready", 10);
        let array = |device: &str| event("log.raid_error", "device", device, "disk-failure", 1500);
        assert_eq!(told(&[nvme.clone(), array("nvme2n1p4")]), [(1, 0)]);
        assert!(told(&[nvme, array("nvme3n1p4")]).is_empty());
        let card = event("log.host_adapter", "driver", "mmc0", "timeout", 10);
        assert_eq!(told(&[card, block("mmcblk0", 12)]), [(1, 0)]);
        let lost = event("log.nvme_error", "device", "nvme0n1", "no-path", 10);
        assert_eq!(told(&[lost, block("nvme0n1p2", 10)]), [(1, 0)]);
        let port = |port: &str, what: &str, seconds| event("log.ata_error", "port", port, what, seconds);
        assert_eq!(told(&[port("ata9", "reset-failed", 10), port("ata9.00", "disabled", 10)]), [(1, 0)]);
        assert!(told(&[port("ata9", "reset-failed", 10), port("ata8.00", "disabled", 10)]).is_empty());
    }

    #[test]
    fn a_disk_fails_when_its_usb_device_is_unplugged() {
        let gone =
            event("log.usb_host_error", "device", "2-1", "unplugged", 10).with("disk", "sdb").with("target", "6:0:0:0");
        let block = |device: &str, seconds| event("log.block_io_error", "device", device, "I/O", seconds);
        let rejected = event("log.scsi_error", "target", "6:0:0:0", "rejected", 500);
        assert_eq!(told(&[gone.clone(), block("sdb", 11), block("sda", 12), rejected]), [(1, 0), (3, 0)]);
    }

    #[test]
    fn a_path_is_a_disk_by_its_number() {
        for (number, disk) in [("8:32", "sdc"), ("8:241", "sdp"), ("65:0", "sdq"), ("65:160", "sdaa"), ("253:2", "")] {
            assert_eq!(disk_of_number(number).unwrap_or_default(), disk, "{number}");
        }
        let path = event("log.raid_error", "device", "8:32", "path", 12);
        let disk = |name: &str| event("log.scsi_error", "device", name, "failed", 10);
        assert_eq!(told(&[disk("sdc"), path.clone()]), [(1, 0)]);
        assert!(told(&[disk("sdd"), path]).is_empty());
    }

    #[test]
    fn paths_of_one_map_and_drives_behind_one_card_have_one_cause() {
        let path = |map: &str, number: &str, seconds| {
            event("log.raid_error", "device", number, "path", seconds).with("array", map)
        };
        assert_eq!(told(&[path("253:2", "8:32", 10), path("253:2", "8:64", 11)]), [(1, 0)]);
        assert!(told(&[path("253:2", "8:32", 10), path("253:3", "8:64", 11)]).is_empty());
        let lost = |host: u8| event("log.scsi_error", "target", &format!("rport-{host}:0-2"), "remote-port", 10);
        let disk = event("log.scsi_error", "device", "sdc", "failed", 10).with("target", "7:0:0:1");
        let disk = disk.with("hostbyte", "DID_NO_CONNECT");
        assert_eq!(told(&[lost(7), disk.clone()]), [(1, 0)]);
        assert!(told(&[lost(8), disk.clone()]).is_empty());
        let mut offline = event("log.scsi_error", "target", "7:0:0:1", "offline", 12);
        assert_eq!(told(&[disk.clone(), offline.clone()]), [(1, 0)]);
        offline.set("target", "7:0:0:2");
        assert!(told(&[disk, offline]).is_empty());
        let session = event("log.host_adapter", "driver", "session1", "dead", 10);
        let mapped = |device: &str| event("log.block_io_error", "device", device, "writeback", 70);
        assert_eq!(told(&[session.clone(), mapped("dm-4")]), [(1, 0)]);
        assert!(told(&[session, mapped("sdb")]).is_empty());
        let command = |driver: &str| event("log.paravirtual", "driver", driver, "command-error", 10);
        let read = event("log.block_io_error", "device", "sdb", "I/O", 11);
        let gone = event("log.scsi_error", "target", "1:0:0:0", "offline", 35).with("device", "sdb");
        assert_eq!(told(&[command("hv_storvsc"), gone.clone()]), [(1, 0)]);
        assert!(told(&[command("hv_netvsc"), gone]).is_empty());
        assert_eq!(told(&[command("hv_storvsc"), read.clone()]), [(1, 0)]);
        assert!(told(&[command("hv_netvsc"), read]).is_empty());
        let sector = event("log.scsi_error", "device", "sdb", "failed", 11).with("title", "sdb: Medium Error");
        assert_eq!(told(&[command("hv_storvsc"), sector]), [(0, 1)]);
        let card = event("log.device_firmware", "driver", "mlx5_core", "stopped", 10);
        let lost = event("log.nvme_error", "device", "nvme2", "connection-lost", 12);
        assert_eq!(told(&[card.clone(), lost]), [(1, 0)]);
        let local = event("log.nvme_error", "device", "nvme0", "timeout", 12).with("action", "reset controller");
        assert!(told(&[card, local]).is_empty());
    }

    #[test]
    fn what_is_behind_a_link_that_went_down_follows_from_it() {
        let link = event("log.link", "driver", "qla2xxx", "down", 10)
            .with("device", "0000:05:00.0")
            .quoting("qla2xxx [0000:05:00.0]-500b:7: LOOP DOWN detected");
        let port = |target: &str| event("log.scsi_error", "target", target, "remote-port", 40);
        assert_eq!(told(&[link.clone(), port("rport-7:0-1")]), [(1, 0)]);
        assert!(told(&[link, port("rport-8:0-1")]).is_empty());
    }

    #[test]
    fn a_chip_on_sdio_fails_with_its_firmware() {
        let chip = |driver: &str, what: &str, seconds| {
            event("log.device_firmware", "driver", driver, what, seconds).with("device", what)
        };
        let card = event("log.host_adapter", "driver", "mmc1", "not-usable", 12).with("class", "firmware");
        assert_eq!(
            told(&[chip("brcmfmac", "crash", 10), chip("brcmfmac", "stopped", 11), card.clone()]),
            [(1, 0), (2, 1)]
        );
        let disk = card.with("class", "io-error");
        assert!(told(&[chip("brcmfmac", "crash", 10), disk]).is_empty());
        assert!(told(&[chip("brcmfmac", "crash", 10), chip("mlx5_core", "stopped", 11)]).is_empty());
    }

    #[test]
    fn a_reset_follows_from_the_ring_that_stood_still() {
        let gpu = |device: &str, what: &str, seconds| {
            let fact = event("log.gpu_error", "driver", "amdgpu", what, seconds);
            if device.is_empty() { fact } else { fact.with("device", device) }
        };
        let silent = gpu("0000:0d:00.0", "not-responding", 1).quoting(
            "amdgpu 0000:0d:00.0: amdgpu: SMU: I'm not done with your previous command: SMN_C2PMSG_66:0x00000012",
        );
        assert_eq!(told(&[silent, gpu("", "ring-timeout", 10)]), [(1, 0)]);
        let failed = gpu("0000:00:02.0", "reset-failed", 1);
        assert_eq!(told(&[failed.clone(), gpu("", "hang", 2)]), [(1, 0)]);
        assert!(told(&[failed, gpu("0000:04:00.0", "hang", 2)]).is_empty());
        let reset = gpu("0000:03:00.0", "reset", 11);
        assert_eq!(told(&[gpu("", "ring-timeout", 10), reset.clone()]), [(1, 0)]);
        assert!(told(&[gpu("0000:04:00.0", "ring-timeout", 10), reset]).is_empty());
    }

    #[test]
    fn ports_of_a_controller_that_is_gone_have_one_cause() {
        let port = |port: &str, seconds| event("log.ata_error", "port", port, "exception", seconds);
        assert_eq!(told(&[port("ata7.00", 10).with("gone", true), port("ata8.00", 40)]), [(1, 0)]);
        assert!(told(&[port("ata7.00", 10), port("ata8.00", 40)]).is_empty());
    }

    #[test]
    fn a_disk_tells_of_the_command_that_failed_at_its_port() {
        let port = event("log.ata_error", "port", "ata5.00", "exception", 26).with("sectors", vec![224]);
        let block = |sector: i64| event("log.block_io_error", "device", "sda", "I/O", 60).with("sector", sector);
        assert_eq!(told(&[port.clone(), block(224)]), [(1, 0)]);
        assert_eq!(told(&[port.clone(), block(224 * 8)]), [(1, 0)]);
        assert!(told(&[port.clone(), block(4096)]).is_empty());
        let disk = |cdb: &str| event("log.scsi_error", "device", "sda", "failed", 60).with("cdb", cdb);
        assert_eq!(told(&[port.clone(), disk("Read(10) 28 00 00 00 00 e0 00 01 00 00")]), [(1, 0)]);
        assert!(told(&[port, disk("Read(16) 88 00 00 00 00 01 00 00 00 e0 00 00 00 08 00 00")]).is_empty());
    }

    #[test]
    fn errors_that_a_filesystem_counts_are_those_it_met() {
        let ext4 = |device: &str, what: &str, seconds| {
            let class = if what == "corruption" { "fs-corruption" } else { "io-error" };
            event("log.ext4", "device", device, what, seconds).with("class", class)
        };
        assert_eq!(told(&[ext4("sdb1", "corruption", 10), ext4("sdb1", "recorded-errors", 40)]), [(1, 0)]);
        assert!(told(&[ext4("sdb1", "corruption", 10), ext4("sdc1", "recorded-errors", 40)]).is_empty());
        assert!(told(&[ext4("sdb1", "recorded-errors", 10), ext4("sdb1", "recorded-errors", 40)]).is_empty());
    }

    #[test]
    fn a_device_that_takes_no_commands_explains_what_was_not_taken() {
        let refused = event("log.scsi_error", "target", "6:0:0:1", "rejected", 10);
        let block = |seconds| event("log.block_io_error", "device", "sde", "I/O", seconds);
        assert_eq!(told(&[refused.clone(), block(10)]), [(1, 0)]);
        assert!(told(&[refused, block(12)]).is_empty());
    }

    #[test]
    fn a_drive_that_was_given_up_explains_errors_for_long() {
        let port = |what: &str| event("log.ata_error", "port", "ata6.00", what, 10);
        let late = event("log.block_io_error", "device", "sdb", "I/O", 300);
        assert_eq!(told(&[port("disabled"), late.clone()]), [(1, 0)]);
        assert!(told(&[port("exception"), late]).is_empty());
    }

    #[test]
    fn a_refused_access_explains_its_driver() {
        let fault = |driver: &str| event("log.iommu_fault", "driver", driver, "", 10).with("class", "hardware-pcie");
        let late = event("log.host_adapter", "driver", "mpt3sas_cm0", "fault", 40);
        assert_eq!(told(&[fault("mpt3sas"), late.clone()]), [(1, 0)]);
        assert!(told(&[fault("megaraid_sas"), late]).is_empty());
    }
}
