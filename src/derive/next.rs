//! What to collect next about an event that no rule knows, by what failed.

use facts::Fact;

/// What it would tell, and the command.
pub(super) fn next(fact: &Fact) -> (String, String) {
    let device = fact.text("device").or_else(|| fact.text("port")).filter(|d| !d.is_empty());
    let or = |placeholder: &str| device.unwrap_or(placeholder).to_owned();
    let pair = |datum: &str, command: String| (datum.to_owned(), command);
    match (&*fact.kind, fact.text("class").unwrap_or("")) {
        ("log.nvme_error", _) => {
            let device = or("NVME");
            pair(
                "what the drive counts and logged itself",
                format!("nvme smart-log /dev/{device}; nvme error-log /dev/{device}; lspci -vvv"),
            )
        }
        ("log.gpu_error", _) => pair(
            "the state that the driver saved of the processor",
            "cat /sys/class/drm/card*/device/devcoredump/data /sys/class/drm/card*/error; nvidia-bug-report.sh for nvidia".to_owned(),
        ),
        ("log.net_watchdog", _) => {
            let device = or("DEVICE");
            pair(
                "counters, link and firmware of the port",
                format!("ethtool -S {device}; ethtool -i {device}; ethtool -d {device}; lspci -vvv"),
            )
        }
        ("log.device_firmware", _) => pair(
            "the dump that the device's processor left, and its firmware version",
            "cat /sys/class/devcoredump/devcd*/data; ethtool -i DEVICE; dmesg | grep -i firmware".to_owned(),
        ),
        ("log.iommu_fault", _) => pair(
            "who maps memory for the device, and what the firmware reserves for it",
            format!(
                "lspci -nnks {}; dmesg | grep -iE 'DMAR|RMRR|AMD-Vi|iommu'; cat /proc/cmdline (iommu=pt, intel_iommu, a capture kernel after a crash?)",
                or("DEVICE")
            ),
        ),
        ("log.pcie_error", _) if fact.text("errors").is_some_and(|errors| errors.contains("ACSViol")) => pair(
            "which ACS settings the firmware and the passthrough chose",
            format!("lspci -vvv -s {} (ACSCap, ACSCtl); cat /proc/cmdline (pcie_acs_override); firmware settings", or("DEVICE")),
        ),
        ("log.pcie_error", _) | (_, "hardware-pcie") => {
            pair("state of the link and the error registers", format!("lspci -vvv -s {}; lspci -tv", or("DEVICE")))
        }
        (_, "io-error") if fact.get("filesystem").is_some() && fact.text("what") == Some("not-responding") => pair(
            "whether the server and the way to it answer",
            "nfsstat -c; mountstats; rpcinfo -p SERVER; ss -tnpi".to_owned(),
        ),
        (_, "io-error") => {
            let device = or("DISK");
            pair(
                "what the disk counts and logged itself, and the path to it",
                format!("smartctl -x /dev/{device}; journalctl -k | grep -iE 'ata|scsi|{device}'; lsblk -t"),
            )
        }
        (_, "fs-corruption" | "fs-shutdown") => {
            let device = or("DEVICE");
            pair(
                "whether the disk below is sound, then what is damaged",
                format!("smartctl -x /dev/DISK; unmounted and without repair: fsck -n /dev/{device} (xfs_repair -n, btrfs check --readonly)"),
            )
        }
        (_, "oom" | "memcg-oom" | "page-alloc-failure" | "slab-alloc-failure" | "resource-exhaustion") => pair(
            "who holds the memory",
            "cat /proc/meminfo /proc/slabinfo /proc/buddyinfo /proc/vmstat; cat memory.stat memory.events of the cgroup".to_owned(),
        ),
        (_, "no-root" | "init-killed") => pair(
            "what the boot loader passed and the initial file system holds",
            "cat /proc/cmdline of a boot that works; lsinitrd or lsinitramfs; blkid".to_owned(),
        ),
        (_, class) if class.starts_with("hardware") => pair(
            "what the board and the error collector recorded",
            "ipmitool sel elist; ras-mc-ctl --errors; mcelog --client".to_owned(),
        ),
        (_, "soft-lockup" | "hard-lockup" | "rcu-stall" | "workqueue-lockup") => pair(
            "what every CPU and task did",
            "vmcoroner examine /var/crash/*/vmcore; on the live machine: echo l > /proc/sysrq-trigger; for a dump next time: kernel.softlockup_panic=1".to_owned(),
        ),
        (_, "firmware") => pair("versions of the firmware and the driver", "dmidecode; fwupdmgr get-devices; modinfo DRIVER".to_owned()),
        (_, "unregister-netdevice") => pair(
            "who holds the device",
            "vmcoroner examine /var/crash/*/vmcore; on the live machine: ip netns; ss -e; cat /sys/kernel/debug/ref_tracker/*".to_owned(),
        ),
        _ => pair(
            "stacks of all tasks and the structures behind this report",
            "vmcoroner examine /var/crash/*/vmcore".to_owned(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use facts::Origin;

    use super::*;

    #[test]
    fn the_next_step_fits_what_failed() {
        let fact = |class: &str| Fact::new("log.x", Origin::lines("dmesg", 1, 1)).with("class", class);
        for (fact, word) in [
            (fact("io-error").with("device", "sda"), "smartctl -x /dev/sda"),
            (fact("oom"), "meminfo"),
            (fact("null-deref"), "vmcore"),
        ] {
            assert!(next(&fact).1.contains(word));
        }
    }
}
