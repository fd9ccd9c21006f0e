//! Commands for the device that an event names. Messages name disks, partitions, ports, SCSI addresses, journals and
//! mapped devices; a command is printed only for a name that it takes, else the one that finds the disk.

use facts::Fact;

/// What a name is.
#[derive(Debug, PartialEq, Eq)]
enum Name<'a> {
    /// A disk that keeps a log of itself, or a partition of one: the name of the disk.
    Disk(&'a str),
    Nvme(&'a str),
    /// A disk of a hypervisor.
    Virtual(&'a str),
    /// `dm-3`
    Mapped(&'a str),
    /// `md0`
    Raid(&'a str),
    /// `mmcblk0p1`
    Card(&'a str),
    /// `mtdblock5`
    Flash(&'a str),
    /// `rbd0`, `nbd0`, `loop0`, `zram0`, `drbd0`
    Other(&'a str),
    /// `ata1.00`: the number of the port.
    Port(&'a str),
    /// `7:0:14:0`
    Address(&'a str),
    /// `0000:03:00.0`
    Bus(&'a str),
    Unknown,
}

/// The name of a journal is that of its device and the number of its inode.
fn without_journal<'a>(name: &'a str, fact: &Fact) -> &'a str {
    match fact.text("filesystem") {
        Some("jbd2" | "ext3" | "ext4") => name.strip_suffix("-8").filter(|head| *head != "dm").unwrap_or(name),
        _ => name,
    }
}

fn numbered(name: &str, head: &str) -> bool {
    name.strip_prefix(head).is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
}

fn lettered<'a>(name: &'a str, head: &str) -> Option<&'a str> {
    let rest = name.strip_prefix(head)?;
    let letters = rest.bytes().take_while(u8::is_ascii_lowercase).count();
    let number = rest.get(letters..)?;
    (letters > 0 && letters < 4 && number.bytes().all(|b| b.is_ascii_digit())).then(|| &name[..head.len() + letters])
}

fn name_of(name: &str) -> Name<'_> {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if let Some(disk) = lettered(name, "sd").or_else(|| lettered(name, "hd")) {
        return Name::Disk(disk);
    }
    if let Some(disk) = lettered(name, "vd").or_else(|| lettered(name, "xvd")) {
        return Name::Virtual(disk);
    }
    if let Some(rest) = name.strip_prefix("nvme")
        && rest.starts_with(|c: char| c.is_ascii_digit())
    {
        return Name::Nvme(name.split('p').next().unwrap_or(name));
    }
    if numbered(name, "dm-") {
        return Name::Mapped(name);
    }
    if numbered(name, "md") {
        return Name::Raid(name);
    }
    if name.starts_with("mmcblk") {
        return Name::Card(name.split('p').next().unwrap_or(name));
    }
    if name.starts_with("mtd") {
        return Name::Flash(name);
    }
    if ["rbd", "nbd", "loop", "zram", "drbd"].iter().any(|head| numbered(name, head)) {
        return Name::Other(name);
    }
    if let Some(port) = name.strip_prefix("ata").map(|n| n.split(['.', ':']).next().unwrap_or(n))
        && digits(port)
    {
        return Name::Port(port);
    }
    let parts: Vec<&str> = name.split(':').collect();
    match parts.as_slice() {
        [host, channel, target, lun] if [host, channel, target, lun].iter().all(|n| digits(n)) => Name::Address(name),
        [domain, _, function] if domain.len() == 4 && function.contains('.') => Name::Bus(name),
        _ => Name::Unknown,
    }
}

/// How to look at the disk that an event speaks of.
pub(super) fn look_at(fact: &Fact) -> String {
    let fields = ["device", "port", "target"];
    let names = || fields.iter().filter_map(|field| fact.text(field)).map(|name| without_journal(name, fact));
    let name = names().map(name_of).find(|name| *name != Name::Unknown).unwrap_or(Name::Unknown);
    look(&name)
}

fn look(name: &Name<'_>) -> String {
    match name {
        Name::Disk(disk) => format!("smartctl -x /dev/{disk}; journalctl -k | grep -iE 'ata|scsi|{disk}'; lsblk -t"),
        Name::Nvme(disk) => format!("smartctl -x /dev/{disk}; nvme error-log /dev/{disk}; journalctl -k | grep nvme; lspci -vvv"),
        Name::Virtual(disk) => {
            format!("the log of the host and of its storage for this virtual disk; lsblk -o NAME,SERIAL,SIZE /dev/{disk}")
        }
        Name::Mapped(device) => {
            format!("lsblk -s /dev/{device} (which disks are below); dmsetup table; dmsetup status; then smartctl -x of those disks")
        }
        Name::Raid(device) => format!("mdadm --detail /dev/{device}; cat /proc/mdstat; then smartctl -x of its members"),
        Name::Card(card) => {
            format!("cat /sys/block/{card}/device/{{name,life_time,pre_eol_info}}; journalctl -k | grep -E 'mmc|sdhci'")
        }
        Name::Flash(device) => format!("cat /proc/mtd; mtdinfo -a; nanddump of {device} for a copy"),
        Name::Other(device) => format!("lsblk -o NAME,TYPE,MOUNTPOINT /dev/{device}; the log of what serves it (server, backing file, peer)"),
        Name::Port(port) => {
            format!("ls -l /sys/block | grep /ata{port}/ (which disk it is), then smartctl -x of it; journalctl -k | grep -w ata{port}")
        }
        Name::Address(address) => {
            format!("lsscsi -t {address} (which disk it is); ls -l /dev/disk/by-path; then smartctl -x of it; journalctl -k | grep '{address}'")
        }
        Name::Bus(address) => format!("lspci -vvv -s {address}; journalctl -k | grep {address}"),
        Name::Unknown => "lsblk -o NAME,HCTL,MODEL,STATE; ls -l /dev/disk/by-path (which disk it is); then smartctl -x of it; journalctl -k | grep -iE 'ata|scsi|nvme'".to_owned(),
    }
}

/// The same command for a virtual machine: what its disks are made of, only the host can ask. Drives of NVMe answer also
/// where they are of a cloud.
pub(super) fn of_guest(command: &str) -> String {
    let mut rest = command;
    let mut out = String::new();
    while let Some((head, tail)) = rest.split_once("smartctl -x ") {
        let end = tail.find([';', ',']).unwrap_or(tail.len());
        let of = &tail[..end];
        if of.starts_with("/dev/nvme") {
            out += &command[command.len() - rest.len()..command.len() - tail.len()];
            rest = tail;
            continue;
        }
        out += head;
        out += "the host's log ";
        match of.strip_prefix("/dev/") {
            Some(disk) => out.extend(["of the virtual disk ", disk]),
            None => out += of,
        }
        rest = &tail[end..];
    }
    out + rest
}

/// How to check a filesystem without changing it, after the disk below.
pub(super) fn check(fact: &Fact) -> String {
    let device = fact.text("device").map(|name| without_journal(name, fact));
    let name = device.map_or(Name::Unknown, name_of);
    let path = match (&name, device) {
        (Name::Unknown | Name::Port(_) | Name::Address(_) | Name::Bus(_), _) | (_, None) => "DEVICE".to_owned(),
        (_, Some(device)) => format!("/dev/{device}"),
    };
    let find = if path == "DEVICE" { "findmnt -o SOURCE,FSTYPE,TARGET (which device it is); " } else { "" };
    let tool = match fact.text("filesystem").unwrap_or("") {
        "ext2" | "ext3" | "ext4" | "jbd2" | "ldiskfs" => format!("e2fsck -n {path} "),
        "xfs" if fact.text("detail").is_some_and(|d| d.starts_with("SB ")) => {
            return format!(
                "xfs_db -r -c 'sb 0' -c print {path}; whether the kernel that was used before mounts it: the check of the superblock refuses it, which a newer kernel may do with values that an older one wrote"
            );
        }
        "xfs" => format!("xfs_repair -n {path} "),
        "btrfs" => format!("btrfs check --readonly {path}; mounted: btrfs device stats, btrfs scrub "),
        "f2fs" => format!("fsck.f2fs --dry-run {path} "),
        "zfs" => return "zpool status -v; zpool events -v; smartctl -x of its disks".to_owned(),
        "gfs2" => format!("fsck.gfs2 -n {path}, unmounted on all nodes "),
        "ocfs2" => format!("fsck.ocfs2 -n {path}, unmounted on all nodes "),
        "ubifs" | "ubi" => return "ubinfo -a; mtdinfo -a; journalctl -k | grep -iE 'ubi|mtd|nand'".to_owned(),
        "squashfs" | "erofs" | "verity" => {
            return "checksum of the image against its source; the disk or card it lies on".to_owned();
        }
        "bcachefs" => format!("bcachefs fsck -n {path} "),
        "jfs" => format!("fsck.jfs -n {path} "),
        "reiserfs" => format!("reiserfsck --check {path} "),
        "nilfs2" | "" => format!("fsck -n {path} "),
        _ => format!("the filesystem's own check, read only, of {path} "),
    };
    format!("{find}{}; unmounted and without repair: {tool}", below(&name)).trim_end().to_owned()
}

/// The disk below a filesystem.
fn below(name: &Name<'_>) -> String {
    match name {
        Name::Disk(disk) | Name::Nvme(disk) => format!("smartctl -x /dev/{disk}"),
        Name::Mapped(device) => format!("lsblk -s /dev/{device}, then smartctl -x of the disks below"),
        Name::Raid(device) => format!("mdadm --detail /dev/{device}, then smartctl -x of its members"),
        Name::Virtual(_) => "the host's log of this virtual disk".to_owned(),
        Name::Card(card) => format!("journalctl -k | grep {card}"),
        _ => "smartctl -x of the disk below".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_apart() {
        for (name, want) in [
            ("sda1", Name::Disk("sda")),
            ("sdaa", Name::Disk("sdaa")),
            ("nvme0n1p2", Name::Nvme("nvme0n1")),
            ("vda3", Name::Virtual("vda")),
            ("dm-3", Name::Mapped("dm-3")),
            ("md127", Name::Raid("md127")),
            ("mtdblock5", Name::Flash("mtdblock5")),
            ("ata1.00", Name::Port("1")),
            ("7:0:14:0", Name::Address("7:0:14:0")),
            ("0000:b3:00.0", Name::Bus("0000:b3:00.0")),
            ("mycluster:gfs2.0", Name::Unknown),
            ("sdk-8", Name::Unknown),
            ("tank", Name::Unknown),
        ] {
            assert_eq!(name_of(name), want, "{name}");
        }
    }
}
