//! What to collect next about an event that no rule knows, by what failed.

use facts::Fact;

use super::{blame, devices, headline, shortage, work};

/// What it would tell, and the command. A disk of a virtual machine counts nothing itself: its host does.
pub(super) fn next(fact: &Fact, guest: bool) -> (String, String) {
    let (datum, command) = of(fact);
    if guest { (datum, devices::of_guest(&command)) } else { (datum, command) }
}

fn of(fact: &Fact) -> (String, String) {
    let device = fact.text("device").or_else(|| fact.text("port")).filter(|d| !d.is_empty());
    let or = |placeholder: &str| device.unwrap_or(placeholder).to_owned();
    let pair = |datum: &str, command: String| (datum.to_owned(), command);
    if let Some(shortage) = shortage::shortage(fact) {
        return pair(shortage.next.0, shortage.next.1);
    }
    if let Some((datum, command)) = of_family(fact) {
        return pair(datum, command);
    }
    if fact.text("moment") == Some("write") {
        return pair(
            "what damaged the block in memory: its disk is innocent",
            "a memory test over night; journalctl -k | grep -E 'Bad page|corrupt|Poison|EDAC|mce' (other damaged memory of this machine)".to_owned(),
        );
    }
    if blame::victim_of_a_free_list(fact).is_some() {
        return pair(
            "who wrote to freed memory: the allocator only met what was left",
            "boot once with slub_debug=FZPU (or a KASAN kernel) and wait for its report; vmcoroner slab VMCORE"
                .to_owned(),
        );
    }
    const PATH: &[&str] =
        &["DID_ERROR", "DID_TRANSPORT", "DID_BUS_BUSY", "DID_NO_CONNECT", "DID_SOFT_ERROR", "DID_TIME_OUT"];
    if fact.kind == "log.scsi_error"
        && (fact.text("hostbyte").is_some_and(|byte| PATH.iter().any(|path| byte.starts_with(path)))
            || fact.text("sense_key") == Some("Aborted Command"))
    {
        return pair(
            "whether the way to the disk is bad (adapter, cable, switch, target) rather than the disk",
            format!(
                "lsscsi -t (what carries it); grep . /sys/class/fc_host/host*/port_state /sys/class/fc_host/host*/statistics/*; multipath -ll; journalctl -k | grep -iE 'qla|lpfc|mpt|megaraid|usb|iscsi'; then {}",
                devices::look_at(fact)
            ),
        );
    }
    if let Some(xid) = fact.int("xid").filter(|_| fact.text("driver") == Some("nvidia")) {
        return match xid {
            13 | 31 | 43 | 45 | 68 | 69 => pair(
                "what the program did on the processor: it is the first suspect, not the card",
                "the program's own log; compute-sanitizer PROGRAM; does another program on the same card fail too? nvidia-smi -q".to_owned(),
            ),
            48 | 63 | 64 | 92 | 94 | 95 => pair(
                "how many errors the processor's own memory has, and whether rows could be remapped",
                "nvidia-smi -q -d ECC,ROW_REMAPPER,PAGE_RETIREMENT; nvidia-smi -r (reset of the card)".to_owned(),
            ),
            _ => pair(
                "the state that the driver saved of the processor",
                "nvidia-bug-report.sh; nvidia-smi -q; lspci -vvv (LnkSta) of the card".to_owned(),
            ),
        };
    }
    if fact.get("gone").is_some() {
        return pair(
            "whether the controller is still on the bus, and why it left it",
            "lspci -vvv (rev ff is one that left); journalctl -k | grep -iE 'ahci|pcie|aer'; its slot, power and heat"
                .to_owned(),
        );
    }
    if fact.text("reason").is_some_and(|reason| reason.starts_with("An NMI occurred")) {
        return pair(
            "why the board raised the NMI; then what hung, from the dump",
            "the event log of the board (iLO: IML; ipmitool sel elist); vmcoroner waits VMCORE".to_owned(),
        );
    }
    match (&*fact.kind, fact.text("class").unwrap_or("")) {
        ("log.nvme_error", _) => {
            let device = device.filter(|d| d.starts_with("nvme"));
            let find = if device.is_none() { "nvme list -v (which drive it is); " } else { "" };
            let device = device.unwrap_or("nvmeN");
            if fact.text("action") == Some("completion polled") {
                return pair(
                    "why the drive's interrupt did not arrive: it had answered",
                    format!("grep nvme /proc/interrupts, twice; lspci -vvv (MSI-X) of {device}; irqbalance; the hypervisor's log"),
                );
            }
            if fact.text("what") == Some("no-path") {
                return pair(
                    "which paths to the namespace there are, and why each is lost",
                    "nvme list-subsys; cat /sys/class/nvme/nvme*/state; journalctl -k | grep nvme; the fabric and the target".to_owned(),
                );
            }
            if fact.text("what") == Some("down") {
                return pair(
                    "whether power saving or the link takes the drive away",
                    format!("{find}boot with nvme_core.default_ps_max_latency_us=0 pcie_aspm=off pcie_port_pm=off for a test; lspci -vvv (LnkSta); nvme smart-log /dev/{device}; its firmware"),
                );
            }
            pair(
                "what the drive counts and logged itself",
                format!("{find}nvme smart-log /dev/{device}; nvme error-log /dev/{device}; lspci -vvv"),
            )
        }
        ("log.memcg_oom", _) => {
            let cgroup = fact.text("cgroup").unwrap_or("GROUP");
            pair(
                "what the cgroup's memory is, and whether its limit fits what runs in it",
                format!(
                    "cat memory.stat memory.events memory.max (v1: memory.stat memory.limit_in_bytes memory.failcnt memory.kmem.usage_in_bytes) of {cgroup}"
                ),
            )
        }
        ("log.oom", _) if fact.int("gfp") == Some(0) => pair(
            "which memory cgroup refused the charge",
            "grep . /sys/fs/cgroup/*/memory.events (v1: memory.failcnt, memory.kmem.failcnt of the task's cgroup); kernel messages of slab and memory cgroup before it".to_owned(),
        ),
        ("log.gpu_error", _) => pair(
            "the state that the driver saved of the processor",
            "cat /sys/class/drm/card*/device/devcoredump/data /sys/class/drm/card*/error; nvidia-bug-report.sh for nvidia".to_owned(),
        ),
        ("log.host_adapter", _) if fact.text("driver").is_some_and(headline::is_iscsi) => pair(
            "whether the target and the network to it answer",
            "iscsiadm -m session -P 3; ss -tno '( dport = :3260 )'; ping of the portal; the target's own log of that minute".to_owned(),
        ),
        ("log.net_watchdog", _) => {
            let device = or("DEVICE");
            // Drivers that speak before the interface is there, or of the card, name the bus address alone.
            let (find, device) = match device.contains(':') {
                true => (format!("ls /sys/bus/pci/devices/{device}/net (its interface); "), "INTERFACE".to_owned()),
                false => (String::new(), device),
            };
            pair(
                "counters, link and firmware of the port",
                format!("{find}ethtool -S {device}; ethtool -i {device}; ethtool -d {device}; lspci -vvv"),
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
        ("log.ata_error", _) if fact.text("cause").is_some_and(|cause| cause.contains("bus error") || cause.contains("interface error")) => pair(
            "whether cable, backplane or port is bad rather than the medium",
            format!("{}; its UDMA_CRC_Error_Count; another cable and another port", devices::look_at(fact)),
        ),
        (_, "io-error") => pair("what the disk counts and logged itself, and the path to it", devices::look_at(fact)),
        (_, "fs-corruption" | "fs-shutdown") => {
            pair("whether the disk below is sound, then what is damaged", devices::check(fact))
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
        (_, "soft-lockup" | "hard-lockup") if work::is_idle(fact) => pair(
            "whether the host ran this virtual CPU",
            "the host's log of that minute: snapshots, migrations, overcommit; in the guest: steal in /proc/stat, sar -u; the clock in chronyc tracking".to_owned(),
        ),
        (_, "soft-lockup" | "hard-lockup" | "rcu-stall" | "workqueue-lockup") => pair(
            "what every CPU and task did",
            "vmcoroner examine /var/crash/*/vmcore; on the live machine: echo l > /proc/sysrq-trigger; for a dump next time: kernel.softlockup_panic=1".to_owned(),
        ),
        ("log.power", _) if fact.text("what") == Some("under-voltage") => pair(
            "how often and how far the supply fell",
            "vcgencmd get_throttled; vcgencmd pmic_read_adc; another supply and cable, fewer devices on USB".to_owned(),
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

/// Steps that only a family of messages tells, whatever their class.
fn of_family(fact: &Fact) -> Option<(&'static str, String)> {
    let what = fact.text("what").unwrap_or("");
    let owned = |datum, command: &str| Some((datum, command.to_owned()));
    if fact.kind == "log.limit_reached" {
        return match what {
            "conntrack" => owned(
                "how many connections are tracked, and which",
                "conntrack -S; conntrack -C; sysctl net.netfilter.nf_conntrack_count net.netfilter.nf_conntrack_max net.netfilter.nf_conntrack_buckets; conntrack -L | awk '{print $4}' | sort | uniq -c",
            ),
            "neighbour" => owned(
                "how many neighbours there are, and the limits",
                "ip -s neigh | wc -l; sysctl net.ipv4.neigh.default.gc_thresh1 net.ipv4.neigh.default.gc_thresh2 net.ipv4.neigh.default.gc_thresh3 (and net.ipv6)",
            ),
            "orphans" | "tcp-memory" => owned(
                "how much memory sockets hold, and the limits",
                "cat /proc/net/sockstat; sysctl net.ipv4.tcp_mem net.ipv4.tcp_max_orphans; ss -s; ss -tm",
            ),
            "pids" => owned(
                "who makes so many tasks",
                "cat pids.current pids.max pids.events of the cgroup; ps -eLo cgroup,comm | sort | uniq -c | sort -n | tail",
            ),
            "route-cache" => owned(
                "how many routes are cached, and the limit",
                "sysctl net.ipv6.route.max_size net.ipv4.route.max_size; cat /proc/net/rt6_stats; ip -6 route show cache | wc -l",
            ),
            "syn-backlog" => owned(
                "whether the program takes its connections, and its backlog",
                "ss -ltn (Recv-Q against Send-Q of the port); nstat -az TcpExtListenOverflows TcpExtTCPReqQFullDoCookies; sysctl net.core.somaxconn net.ipv4.tcp_max_syn_backlog",
            ),
            "audit-backlog" => owned(
                "which rules make the records, and whether the daemon keeps up",
                "auditctl -s; auditctl -l; aureport --summary; systemctl status auditd",
            ),
            "dma-bounce-buffer" => owned(
                "why the device needs bounce buffers, and how large they are",
                "cat /proc/cmdline (swiotlb=, iommu=); cat /sys/kernel/debug/swiotlb/io_tlb_used /sys/kernel/debug/swiotlb/io_tlb_nslabs; dmesg | grep -iE 'swiotlb|iommu'",
            ),
            "real-time" => owned(
                "which tasks run with real-time priority",
                "ps -eLo cls,rtprio,pid,tid,psr,pcpu,comm | grep -E 'FF|RR'; sysctl kernel.sched_rt_runtime_us",
            ),
            "ipset" => owned("what fills the set", "ipset list -t; ipset save | cut -d' ' -f2 | sort | uniq -c"),
            "zram-memory" => {
                owned("what the compressed device holds", "cat /sys/block/zram*/mm_stat; cat /proc/meminfo /proc/swaps")
            }
            "files" => owned(
                "who holds the open files",
                "cat /proc/sys/fs/file-nr; sysctl fs.file-max; ls /proc/[0-9]*/fd 2>/dev/null | wc -l; lsof | awk '{print $1}' | sort | uniq -c | sort -n | tail",
            ),
            _ => None,
        };
    }
    let device = fact.text("device").filter(|d| !d.is_empty()).unwrap_or("DEVICE");
    match &*fact.kind {
        "log.clocksource" => {
            return owned(
                "whether host or firmware stopped the processor, and which clock is read now",
                "grep . /sys/devices/system/clocksource/clocksource0/*_clocksource; chronyc tracking; dmesg | grep -iE 'tsc|clocksource'; steal in /proc/stat and the host's log of that minute; the firmware's version",
            );
        }
        "log.probe_failure" => {
            let driver = fact.text("driver").unwrap_or("DRIVER");
            return Some((
                "what the driver said before it gave up, and the firmware of the device",
                format!(
                    "dmesg | grep -E '{driver}|{device}'; lspci -nnvvv -s {device}; modinfo {driver}; the device's firmware against what the driver wants"
                ),
            ));
        }
        "log.drbd" => {
            return owned(
                "the state of the copies, and why the peer went",
                "drbdadm status; drbdsetup status --verbose --statistics; the other node's log of that minute; ping and ethtool -S on the link between them",
            );
        }
        "log.irq_nobody_cared" => {
            let irq = fact.int("irq").map_or_else(|| "N".to_owned(), |n| n.to_string());
            return Some((
                "which devices share the interrupt, and whether their drivers claim it",
                format!(
                    "grep -w '{irq}:' /proc/interrupts; lspci -vv | grep -B12 'IRQ {irq}'; boot with irqpoll for a test"
                ),
            ));
        }
        "log.link" => {
            let driver = fact.text("driver").unwrap_or("");
            let of = fact.text("of").unwrap_or("BOND");
            let step = if driver.starts_with("bond") {
                format!(
                    "cat /proc/net/bonding/{of}; ethtool {device}; ethtool -S {device}; the switch's log of that port"
                )
            } else if driver.starts_with("pcie") {
                format!("lspci -tv; lspci -vvv -s {device}; ipmitool sel elist; dmesg | grep {device}")
            } else {
                "grep . /sys/class/fc_host/host*/port_state /sys/class/fc_host/host*/speed /sys/class/fc_host/host*/statistics/*; the switch's log of that port; light of the transceiver".to_owned()
            };
            return Some(("whether cable, port or the other side is down", step));
        }
        "log.paravirtual" => {
            return owned(
                "what the host says of this device",
                "the host's log of that minute for this guest; its storage and network there",
            );
        }
        "log.raid_error" if fact.text("what") == Some("path") => {
            return owned(
                "which paths are left, and why one failed",
                "multipath -ll; multipathd show paths; journalctl -k | grep -iE 'sd |rport|link'",
            );
        }
        "log.raid_error" if matches!(what, "pool" | "metadata" | "cache") => {
            return owned(
                "how full the pool and its metadata are, and whether they are whole",
                "lvs -a -o+data_percent,metadata_percent; dmsetup status; dmesg | grep device-mapper",
            );
        }
        "log.raid_error" if fact.text("array").is_some_and(|a| a.starts_with("md")) => {
            let array = fact.text("array").unwrap_or("mdN");
            return Some((
                "which members are left, and what the failed one logged",
                format!("mdadm --detail /dev/{array}; cat /proc/mdstat; {}", devices::look_at(fact)),
            ));
        }
        "log.usb_host_error" if what == "over-current" => {
            return owned(
                "what is plugged into the port",
                "lsusb -t; unplug it and see whether the message stays away",
            );
        }
        _ => {}
    }
    let server = fact.text("device").filter(|d| !d.is_empty()).unwrap_or("SERVER");
    let cut_off = matches!(what, "not-responding" | "evicted" | "state-recovery" | "hung" | "mount" | "io-error");
    let step = match fact.text("filesystem")? {
        "nfs" if cut_off => format!("nfsstat -c; mountstats; rpcinfo -p {server}; ss -tnpi"),
        "cifs" if cut_off => {
            format!("cat /proc/fs/cifs/DebugData /proc/fs/cifs/Stats; ping {server}; ss -tnpi '( dport = :445 )'")
        }
        "lustre" if cut_off => {
            "lctl get_param *.*.import; lctl dl; lctl ping the NID in the message; lnetctl net show -v; the log of that server".to_owned()
        }
        "ceph" | "rbd" if cut_off => {
            "ceph -s; ceph health detail; cat /sys/kernel/debug/ceph/*/{monc,mdsc,osdc}".to_owned()
        }
        "ocfs2" if cut_off => "ping the other nodes on the cluster's network; o2cb cluster-status; the other nodes' logs".to_owned(),
        _ => {
            return match (what, fact.int("errno")) {
                ("no-memory", _) | (_, Some(12)) => owned(
                    "who holds the memory, and whether it is in pieces",
                    "cat /proc/buddyinfo /proc/meminfo; slabtop -o -s c; cat memory.stat memory.events of the cgroup",
                ),
                ("no-space", _) | (_, Some(28 | 122)) => owned(
                    "what is full: space, inodes, metadata or a quota",
                    "df -h; df -i; btrfs filesystem usage MOUNT; xfs_info MOUNT; repquota -a; lvs -a (thin pools)",
                ),
                _ => None,
            };
        }
    };
    Some(("whether the server and the way to it answer", step))
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
            (fact("io-error").with("port", "ata1.00"), "ls -l /sys/block | grep /ata1/"),
            (fact("fs-shutdown").with("filesystem", "jbd2").with("device", "sdk-8"), "e2fsck -n /dev/sdk"),
            (fact("io-error").with("filesystem", "cifs").with("what", "not-responding"), "/proc/fs/cifs"),
            (fact("resource-exhaustion").with("filesystem", "btrfs").with("errno", 28), "df -h"),
            (fact("null-deref"), "vmcore"),
        ] {
            assert!(next(&fact, false).1.contains(word));
        }
        let lost = Fact::new("log.host_adapter", Origin::lines("dmesg", 1, 1)).with("class", "io-error");
        assert!(next(&lost.clone().with("driver", "connection5:0"), false).1.contains("iscsiadm"));
        assert!(!next(&lost.with("driver", "mpt3sas_cm0"), false).1.contains("iscsiadm"));
        let disk = fact("io-error").with("device", "sda");
        assert!(next(&disk, false).1.contains("smartctl") && !next(&disk, true).1.contains("smartctl"));
        assert!(next(&disk, true).1.contains("the host's log of the virtual disk sda; "), "{}", next(&disk, true).1);
    }
}
