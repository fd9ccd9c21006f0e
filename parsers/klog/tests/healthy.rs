//! Healthy machines raise nothing: whole logs where the material is at hand, and lines as production machines print
//! them, always.

use std::io::Read;
use std::path::{Path, PathBuf};

use klog::Severity;

/// The material that lies beside the repository; absent on most machines.
fn shared() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().ok()?;
    root.ancestors().map(|dir| dir.join("shared")).find(|dir| dir.join("corpora").is_dir())
}

/// Names and member names of `testdata/healthy.txt`.
fn listed() -> Vec<(String, String)> {
    let table = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/healthy.txt");
    std::fs::read_to_string(table)
        .expect("testdata/healthy.txt")
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
        .filter_map(|line| line.split_once("  ").map(|(sum, name)| (sum.to_owned(), name.to_owned())))
        .collect()
}

/// The bytes of a file, unpacked where its name says that it is packed.
fn bytes(path: &Path) -> Vec<u8> {
    let packed = std::fs::read(path).unwrap_or_default();
    let mut plain = Vec::new();
    if path.extension().is_some_and(|e| e == "gz")
        && flate2::read::MultiGzDecoder::new(packed.as_slice()).read_to_end(&mut plain).is_ok()
    {
        return plain;
    }
    packed
}

/// The members of an archive `x.tar.xz` whose names are wanted.
fn members(path: &Path, wanted: &[&str]) -> Vec<(String, Vec<u8>)> {
    let Ok(file) = std::fs::File::open(path) else { return Vec::new() };
    let mut archive = tar::Archive::new(lzma_rust2::XzReader::new(std::io::BufReader::new(file), true));
    let Ok(entries) = archive.entries() else { return Vec::new() };
    let mut found = Vec::new();
    for mut entry in entries.flatten() {
        let name = entry.path().map(|p| p.to_string_lossy().into_owned()).unwrap_or_default();
        let name = name.trim_start_matches("./").to_owned();
        let mut bytes = Vec::new();
        if wanted.contains(&name.as_str()) && entry.read_to_end(&mut bytes).is_ok() {
            found.push((name, bytes));
        }
    }
    found
}

fn raises_nothing(name: &str, bytes: &[u8]) {
    for event in klog::read(name, bytes).boots.into_iter().flat_map(|boot| boot.events) {
        assert!(event.severity < Severity::Failure, "{name}:{}: {}", event.first_line, event.quote);
    }
}

#[test]
fn healthy_logs_raise_nothing() {
    let list = listed();
    assert!(list.len() > 80, "the list is cut: {}", list.len());
    let Some(shared) = shared() else { return };
    let mut read = 0;
    for (_, name) in &list {
        let path = shared.join(name);
        if !path.is_file() {
            continue;
        }
        read += 1;
        raises_nothing(name, &bytes(&path));
    }
    let inside: Vec<(&str, &str)> = list.iter().filter_map(|(_, name)| name.split_once('!')).collect();
    let archives: std::collections::BTreeSet<&str> = inside.iter().map(|(archive, _)| *archive).collect();
    for archive in archives {
        let wanted: Vec<&str> = inside.iter().filter(|(a, _)| *a == archive).map(|(_, member)| *member).collect();
        for (name, bytes) in members(&shared.join(archive), &wanted) {
            read += 1;
            raises_nothing(&name, &bytes);
        }
    }
    assert!(read > 80, "only {read} of the listed files are there");
}

/// What healthy servers print, as their administrators see it every day. None is more than a notice.
const EVERY_DAY: &[&str] = &[
    "EXT4-fs (dm-0): mounted filesystem with ordered data mode. Opts: errors=remount-ro,user_xattr. Quota mode: none.",
    "EXT4-fs (sda1): mounted filesystem 0a1b2c3d-0000-0000-0000-000000000000 r/w with ordered data mode. Quota mode: none.",
    "EXT4-fs (sda1): re-mounted. Opts: errors=panic",
    "XFS (dm-2): Ending clean mount",
    "XFS (dm-2): Starting recovery (logdev: internal)",
    "XFS (sdb1): Unmounting Filesystem",
    "XFS (sdb1): Quotacheck needed: Please wait.",
    "BTRFS info (device sda2): enabling ssd optimizations",
    "BTRFS info (device sda2): bdev /dev/sda2 errs: wr 0, rd 0, flush 0, corrupt 4, gen 0",
    "JBD2: no valid journal superblock found",
    "systemd[1]: Failed to start Crash recovery kernel arming.",
    "systemd[1]: kdump.service: Failed with result 'exit-code'.",
    "systemd-journald[412]: Received SIGTERM from PID 1 (systemd).",
    "audit: type=1400 audit(1600000000.123:45): apparmor=\"DENIED\" operation=\"open\" profile=\"/usr/sbin/mysqld\" name=\"/proc/1/status\" pid=77 comm=\"mysqld\" requested_mask=\"r\" denied_mask=\"r\" fsuid=112 ouid=0",
    "audit: type=1400 audit(1600000000.1:2): avc:  denied  { read } for  pid=1 comm=\"x\" name=\"BUG: y\" dev=\"sda1\" ino=1",
    "audit: kauditd hold queue overflow",
    "audit: audit_backlog=65 > audit_backlog_limit=64",
    "audit: audit_lost=7 audit_rate_limit=0 audit_backlog_limit=64",
    "e1000e 0000:00:1f.6 eno1: NIC Link is Down",
    "e1000e 0000:00:1f.6 eno1: NIC Link is Up 1000 Mbps Full Duplex, Flow Control: Rx/Tx",
    "ixgbe 0000:01:00.0 ens1f0: NIC Link is Up 10 Gbps, Flow Control: RX/TX",
    "igb 0000:02:00.0 eth0: igb: eth0 NIC Link is Down",
    "mlx5_core 0000:03:00.0 ens2f0: Link up",
    "mlx5_core 0000:03:00.0: Port module event: module 0, Cable unplugged",
    "bnxt_en 0000:04:00.0 eno1np0: NIC Link is Up, 10000 Mbps full duplex, Flow control: none",
    "bond0: (slave eth1): link status definitely down, disabling slave",
    "bonding: bond0: link status definitely up for interface eth1, 10000 Mbps full duplex.",
    "bond0: link status down for active interface eth0, disabling it in 200 ms",
    "IPv6: ADDRCONF(NETDEV_CHANGE): veth0: link becomes ready",
    "cni0: port 3(vethf1a2b3c4) entered forwarding state",
    "eth0: renamed from veth1a2b3c4",
    "IPVS: rr: TCP 10.96.0.1:443 - no destination available",
    "IPVS: __ip_vs_del_service: enter",
    "martian source 10.0.0.1 from 10.0.0.2, on dev eth0",
    "TCP: eth0: Driver has suspect GRO implementation, TCP performance may be compromised.",
    "TCP: request_sock_TCP: Possible SYN flooding on port 443. Sending cookies.  Check SNMP counters.",
    "possible SYN flooding on port 80. Sending cookies.",
    "UDP: bad checksum. From 10.0.0.1:53 to 10.0.0.2:1234 ulen 40",
    "nf_conntrack: default automatic helper assignment has been turned off for security reasons and CT-based  firewall rule not found. Use the iptables CT target to attach helpers instead.",
    "xt_CT: No such helper \"ftp\"",
    "Bridge firewalling registered",
    "overlayfs: missing 'lowerdir'",
    "EDAC MC: Ver: 3.0.0",
    "EDAC MC0: Giving out device to module skx_edac controller Skylake Socket#0 IMC#0: DEV 0000:64:0a.0 (INTERRUPT)",
    "EDAC sbridge: Seeking for: PCI ID 8086:2fa0",
    "EDAC amd64: F17h detected (node 0).",
    "EDAC i10nm: No hbm memory",
    "mce: CPU supports 32 MCE banks",
    "mce: CPU0: Thermal monitoring enabled (TM1)",
    "mce: [Firmware Bug]: Ignoring request to disable invalid MCA bank 12.",
    "MCE: In-kernel MCE decoding enabled.",
    "RAS: Correctable Errors collector initialized.",
    "GHES: APEI firmware first mode is enabled by APEI bit and WHEA _OSC.",
    "ACPI: Thermal Zone [TZ00] (28 C)",
    "thermal LNXTHERM:00: registered as thermal_zone0",
    "thermal thermal_zone0: failed to read out thermal zone (-61)",
    "CPU0: Package temperature/speed normal",
    "CPU3: Core temperature/speed normal",
    "ACPI BIOS Error (bug): Could not resolve symbol [\\_SB.PCI0.LPCB.EC0._QXX], AE_NOT_FOUND (20210730/psargs-330)",
    "ACPI Error: Aborting method \\_SB.PMI0._GHL due to previous error (AE_NOT_EXIST) (20190816/psparse-529)",
    "ACPI Error: No handler for Region [SYSI] (00000000b3c9a3a6) [IPMI] (20190816/evregion-129)",
    "[Firmware Bug]: the BIOS has corrupted hw-PMU resources (MSR 38d is 330)",
    "[Firmware Warn]: GHES: Poll interval is 0 for generic hardware error source: 1, disabled.",
    "[Firmware Bug]: cpu 0, try to use APIC520 (LVT offset 2) for vector 0x10400, but the register is already in use",
    "DMAR: DRHD: handling fault status reg 2",
    "DMAR-IR: Enabled IRQ remapping in x2apic mode",
    "AMD-Vi: Interrupt remapping enabled",
    "AMD-Vi: AMD IOMMUv2 functionality not available on this system - This is not a bug.",
    "perf: interrupt took too long (3140 > 3128), lowering kernel.perf_event_max_sample_rate to 63000",
    "perfevents: enabled with armv8_pmuv3_0 PMU driver, 7 counters available",
    "clocksource: Switched to clocksource tsc",
    "tsc: Fast TSC calibration failed",
    "hrtimer: interrupt took 2345678 ns",
    "workqueue: blk_mq_run_work_fn hogged CPU for >10000us 32 times, consider switching to WQ_UNBOUND",
    "usb 1-1.4: reset high-speed USB device number 5 using xhci_hcd",
    "usb 2-3: USB disconnect, device number 4",
    "usb 5-1: WARNING: ath10k USB support is incomplete, don't expect anything to work!",
    "xhci_hcd 0000:00:14.0: WARN Successful completion on short TX: needs XHCI_TRUST_TX_LENGTH quirk?",
    "hub 1-0:1.0: over-current condition on port 3",
    "sd 2:0:0:0: [sdb] Attached SCSI disk",
    "sd 0:0:0:0: [sda] Assuming drive cache: write through",
    "sd 0:2:0:0: [sda] Cache data unavailable",
    "sd 0:0:0:0: Power-on or device reset occurred",
    "scsi host2: iSCSI Initiator over TCP/IP",
    "ata1: SATA link up 6.0 Gbps (SStatus 133 SControl 300)",
    "ata1.00: configured for UDMA/133",
    "ata5: SATA link down (SStatus 4 SControl 300)",
    "nvme nvme0: 64/0/0 default/read/poll queues",
    "nvme nvme0: Ignoring bogus Namespace Identifiers",
    "md: data-check of RAID array md0",
    "md: md0: data-check done.",
    "md/raid1:md0: active with 2 out of 2 mirrors",
    "md: resync of RAID array md127",
    "device-mapper: uevent: version 1.0.3",
    "device-mapper: multipath: 253:2: Reinstating path 8:16.",
    "device-mapper: multipath round-robin: version 1.2.0 loaded",
    "device-mapper: thin: Data device (dm-2) discard unsupported: Disabling discard passdown.",
    "nfs: server nas1 OK",
    "NFS: Registering the id_resolver key type",
    "RPC: Registered named UNIX socket transport module.",
    "nfsd: last server has exited, flushing export cache",
    "CIFS: Attempting to mount \\\\srv\\share",
    "oracleasm: module verification failed: signature and/or required key missing - tainting kernel",
    "oracleasm: loading out-of-tree module taints kernel.",
    "[Oracle ACFS] FCB hash size 131072",
    "ADVMK-0001: Module load succeeded. Build information: (LOW DEBUG)",
    "vmw_vmci 0000:00:07.7: Found VMCI PCI device at 0x11080, irq 16",
    "vmw_pvscsi: setting ring_pages to 8",
    "vmxnet3 0000:0b:00.0 ens192: NIC Link is Up 10000 Mbps",
    "hv_vmbus: Vmbus version:4.0",
    "hv_balloon: Max. dynamic memory size: 1048576 MB",
    "hv_utils: TimeSync IC version 4.0",
    "hv_storvsc fd1d2cbd-ce7c-535c-966b-eb5f811c95f0: tag#234 cmd 0x2a status: scsi 0x0 srb 0x20 hv 0xc0000001",
    "xen:balloon: Waiting for initial ballooning down having finished.",
    "xen_netfront: Initialising Xen virtual ethernet driver",
    "kvm: VM_EXIT_LOAD_IA32_PERF_GLOBAL_CTRL does not work properly. Using workaround",
    "kvm [2345]: vcpu1, guest rIP: 0xffffffffa1234567 disabled perfctr wrmsr: 0xc2 data 0xffff",
    "kvm: SMP vm created on host with unstable TSC; guest TSC will not be reliable",
    "L1TF CPU bug present and SMT on, data leak possible. See CVE-2018-3646 and https://www.kernel.org/doc/html/latest/admin-guide/hw-vuln/l1tf.html for details.",
    "MDS CPU bug present and SMT on, data leak possible. See https://www.kernel.org/doc/html/latest/admin-guide/hw-vuln/mds.html for more details.",
    "Spectre V2 : Kernel not compiled with retpoline; no mitigation available!",
    "x86/cpu: SGX disabled by BIOS.",
    "process 'docker/tmp/qemu-check123/check' started with executable stack",
    "python3[4711]: segfault at 10 ip 00007f1234567890 sp 00007ffc12345678 error 4 in libpython3.8.so[7f1234500000+200000]",
    "Code: 48 8b 47 08 48 85 c0 74 0a <48> 8b 40 10 c3",
    "show_signal_msg: 12 callbacks suppressed",
    "show_signal: 3 callbacks suppressed",
    "traps: node[77] trap invalid opcode ip:55d5b5a3a3a3 sp:7ffd7f7f7f78 error:0 in node[55d5b5000000+1000000]",
    "IPMI message handler: BMC returned incorrect response, expected netfn 2d cmd 1, got netfn 2d cmd 0",
    "ipmi_si IPI0001:00: IPMI kcs interface initialized",
    "IPMI Watchdog: driver initialized",
    "iTCO_wdt: initialized. heartbeat=30 sec (nowayout=0)",
    "hpwdt 0000:01:00.0: HPE Watchdog Timer Driver: NMI decoding initialized",
    "hpwdt 0000:01:00.0: HPE Watchdog Timer Driver: Version: 2.0.3",
    "watchdog: watchdog0: watchdog did not stop!",
    "NMI watchdog: Enabled. Permanently consumes one hw-PMU counter.",
    "systemd-shutdown[1]: Syncing filesystems and block devices.",
    "systemd[1]: Condition check resulted in Process error reports when automatic reporting is enabled being skipped.",
    "printk: systemd: 25 output lines suppressed due to ratelimiting",
    "cgroup: Unknown subsys name 'rdma'",
    "cgroup: runc (1234) created nested cgroup for controller \"memory\" which has incomplete hierarchy support. Nested cgroups may change behavior in the future.",
    "cgroup: \"memory\" requires setting use_hierarchy to 1 on the root",
    "memory: usage of deprecated knob, value is ignored",
    "kmem.limit_in_bytes is deprecated and will be removed. Please report your usecase to linux-mm@kvack.org if you depend on this functionality.",
    "Memory cgroup min protection overcommitted",
    "oom_reaper: reaped process 77 (java), now anon-rss:0kB, file-rss:0kB, shmem-rss:0kB",
    "zram0: detected capacity change from 0 to 1048576",
    "loop0: detected capacity change from 0 to 4096",
    "Adding 4194300k swap on /dev/sda2.  Priority:-2 extents:1 across:4194300k FS",
    "SELinux:  policy capability open_perms=1",
    "SELinux: security_context_str_to_sid(x) failed for (dev sda1, type ext4) errno=-22",
    "random: 7 urandom warning(s) missed due to ratelimiting",
    "livepatch: enabling patch 'kpatch_4_18_0_305_1_1'",
    "kexec: Unknown command line parameter crashkernel=auto",
    "crashkernel reservation failed - memory is in use.",
    "Kdump: loaded",
    "pstore: Using crash dump compression: deflate",
    "lpfc 0000:05:00.0: 0:1303 Link Up Event x1 received Data: x1 x0 x10 x0 x0 x0 0",
    "qla2xxx [0000:05:00.0]-500a:1: LOOP UP detected (16 Gbps).",
    "megaraid_sas 0000:03:00.0: 4213 (635241234s/0x0020/DEAD) - Patrol Read started",
    "hpsa 0000:03:00.0: scsi 0:1:0:0: updated Direct-Access     HP       LOGICAL VOLUME   RAID-1(+0) SSDSmartPathCap- En- Exp=1",
    "smartpqi 0000:5c:00.0: Online Firmware Activation: Enabled",
    "NVRM: loading NVIDIA UNIX x86_64 Kernel Module  535.129.03  Thu Oct 19 18:56:32 UTC 2023",
    "nvidia-modeset: WARNING: GPU:0: Unable to read EDID for display device DP-0",
    "ZFS: Loaded module v2.1.5-1ubuntu6, ZFS pool version 5000, ZFS filesystem version 5",
    "SPL: using hostid 0x00000000",
    "Lustre: Lustre: Build Version: 2.12.8",
    "LustreError: 11-0: x-OST0000-osc: operation ldlm_enqueue to node 10.0.0.1@tcp failed: rc = -107",
    "libceph: osd1 (1)10.0.0.1:6801 socket closed (con state OPEN)",
    "libceph: mon0 (1)10.0.0.1:6789 session lost, hunting for new mon",
    "drbd r0: conn( Unconnected -> Connecting )",
    "INFO: rcu_sched self-detected",
    "rcu: Hierarchical SRCU implementation.",
    "rcu: \tRCU restricting CPUs from NR_CPUS=8192 to nr_cpu_ids=8.",
    "sched_clock: Marking stable (1234567890, 12345)->(1234580235, -1)",
    "smpboot: CPU 3 is now offline",
    "Bluetooth: hci0: unexpected event for opcode 0xfc19",
    "iwlwifi 0000:00:14.3: Microcode SW error detected. Restarting 0x0.",
    "snd_hda_intel 0000:00:1f.3: CORB reset timeout#2, CORBRP = 0",
    "i915 0000:00:02.0: [drm] *ERROR* Failed to write source OUI",
    "amdgpu 0000:03:00.0: amdgpu: SMU is resumed successfully!",
    "amdgpu 0000:03:00.0: amdgpu: ring gfx_0.0.0 uses VM inv eng 0 on hub 0",
    "amdgpu 0000:03:00.0: amdgpu: GPU reset(2) succeeded!",
    "[drm] ring test on 0 succeeded in 1 usecs",
    "[drm] nouveau 0000:01:00.0: Allocating FIFO number 1",
    "nouveau 0000:01:00.0: fifo: channels: 4095",
    "nvidia-nvswitch0: SXid (PCI:0000:c5:00.0): 12028, Non-fatal, Link 32 egress non-posted PRIV error (First)",
    "arm-smmu-v3 arm-smmu-v3.0.auto: ias 44-bit, oas 44-bit (features 0x00001fff)",
    "arm-smmu-v3 arm-smmu-v3.0.auto: allocated 65536 entries for cmdq",
    "arm-smmu-v3 arm-smmu-v3.0.auto: msi_domain absent - falling back to wired irqs",
    "mlx5_core 0000:3b:00.0: firmware version: 16.35.2000",
    "mlx5_core 0000:3b:00.0: Port module event: module 0, Cable plugged",
    "mlx5_core 0000:3b:00.0 ens1f0: Link up",
    "mlx5_core 0000:3b:00.0: mlx5_pcie_event:296:(pid 1): PCIe slot advertised sufficient power (75W).",
    "mlx4_core 0000:08:00.0: command 0xc failed: fw status = 0x40",
    "remoteproc remoteproc0: remote processor 3000000.remoteproc is now up",
    "remoteproc remoteproc0: stopped remote processor 3000000.remoteproc",
    "subsys-pil-tz 4080000.qcom,mss: modem: Brought out of reset",
    "xhci_hcd 0000:00:14.0: xHCI Host Controller",
    "xhci_hcd 0000:00:14.0: hcc params 0x200077c1 hci version 0x100 quirks 0x0000000000009810",
    "usb 1-1: reset high-speed USB device number 2 using xhci_hcd",
    "Lustre: x-OST0001: Connection restored to 10.0.0.2@tcp (at 10.0.0.2@tcp)",
    "Lustre: 4711:0:(client.c:2289:ptlrpc_expire_one_request()) @@@ Request sent has timed out for slow reply",
    "Lustre: x-MDT0000: Will be in recovery for at least 5:00, or until 3 clients reconnect",
    "ocfs2: Mounting device (8,17) on (node 0, slot 1) with ordered data mode.",
    "o2dlm: Node 1 joins domain 0123456789ABCDEF ( 0 1 ) 2 nodes",
    "bcachefs (sda1): starting version 1.7: mi_btree_bitmap opts=metadata_replicas=2",
    "bcachefs (sda1): recovering from clean shutdown, journal seq 4711",
    "UBIFS (ubi0:1): recovery completed",
    "UBIFS (ubi0:0): FS size: 118222848 bytes (112 MiB, 931 LEBs)",
    "ubi0: attached mtd7 (name \"ubi\", size 122 MiB)",
    "FAT-fs (sdb1): Volume was not properly unmounted. Some data may be corrupt. Please run fsck.",
    "exFAT-fs (sdb1): Volume was not properly unmounted. Some data may be corrupt. Please run fsck.",
    "F2FS-fs (dm-5): Mounted with checkpoint version = 4711",
    "F2FS-fs (dm-5): recover fsync data on readonly fs",
    "CIFS: VFS: \\\\filer\\share Send error in SessSetup = -13",
    "CIFS: VFS: cifs_mount failed w/return code = -13",
    "lockd: server 10.0.0.1 OK",
    "ceph: mds0 caps renewed",
    "erofs: (device loop0): mounted with root inode @ nid 36.",
    "drbd r0/0 drbd0: Resync done (total 12 sec; paused 0 sec; 1234 K/sec)",
    "bcache: register_bdev() registered backing device sdb1",
    "bcache: bch_journal_replay() journal replay done, 0 keys in 1 entries, seq 4711",
    "device-mapper: crypt: using implementation xts-aes-aesni",
    "vmxnet3 0000:0b:00.0 ens192: NIC Link is Up 10000 Mbps",
    "ena 0000:00:05.0 eth0: Local page cache is disabled for less than 16 channels",
    "ena 0000:00:05.0: ENA device version: 0.10",
    "bnxt_en 0000:18:00.0 eno1np0: NIC Link is Up, 25000 Mbps full duplex, Flow control: none",
    "e1000e 0000:00:1f.6 eno1: NIC Link is Up 1000 Mbps Full Duplex, Flow Control: Rx/Tx",
    "mmc0: tuning execution failed: -5",
    "mmc1: card 0001 removed",
    "ufshcd-qcom 1d84000.ufshc: ufshcd_print_pwr_info:[RX, TX]: gear=[3, 3], lane[2, 2], pwr[FAST MODE, FAST MODE], rate = 2",
    "scsi host2: iSCSI Initiator over TCP/IP",
    "EEH: PCI Enhanced I/O Error Handling Enabled",
    "EEH: pSeries platform initialized",
    "U-Boot 2020.07 (Jul 06 2020 - 22:01:02 +0000)",
    "wireguard: WireGuard 1.0.0 loaded. See www.wireguard.com for information.",
    "Initializing XFRM netlink socket",
    "SCTP: Hash tables configured (bind 1024/1024)",
    "vhost-4711",
    "BUG_ON is enabled in this build",
    "A BUG in the application was found: see the log",
    "task: waiting for the kernel BUG at hand to be triaged!",
    "Kernel panic is not expected here",
    "0000000000000020 0000000000000000 ffffffff81234567 0000000000000001",
    "Traceback (most recent call last):",
    "  File \"/usr/lib/python3/dist-packages/x.py\", line 12, in <module>",
    "Exception in thread \"main\" java.lang.OutOfMemoryError: Java heap space",
    "\tat java.base/java.util.Arrays.copyOf(Arrays.java:3745)",
    "Caused by: java.lang.IllegalStateException: Oops",
    "E0705 19:33:29.402143    1545 kubelet.go:2040] skipping pod synchronization - PLEG is not healthy",
    "W0705 19:33:29.402143    1545 cni.go:239] Unable to update cni config: no networks found in /etc/cni/net.d",
    "time=\"2020-07-05T19:33:29Z\" level=warning msg=\"Your kernel does not support swap memory limit\"",
    "npm WARN deprecated request@2.88.2",
    "FATAL: Module x not found in directory /lib/modules/5.10.0",
];

#[test]
fn what_servers_print_every_day_raises_nothing() {
    let mut raised = Vec::new();
    for line in EVERY_DAY {
        for text in [
            format!("{line}\n"),
            format!("[12345.678901] {line}\n"),
            format!("<4>[12345.678901] {line}\n"),
            format!("[12345.678901][ T1234] {line}\n"),
            format!("Jul  5 19:33:34 host kernel: {line}\n"),
            format!("Jul  5 19:33:34 host kernel: [12345.678901] {line}\n"),
            format!("2023-08-26T06:39:24.123456+02:00 host kernel: {line}\n"),
            format!("kern  :warn  : [12345.678901] {line}\n"),
        ] {
            for event in klog::read("test", text.as_bytes()).boots.into_iter().flat_map(|b| b.events) {
                if event.severity >= Severity::Failure {
                    raised.push(format!("{text}: {} {}", event.family, event.title));
                }
            }
        }
    }
    assert!(raised.is_empty(), "{raised:#?}");
    // All together, as one log: no line may be drawn into a report by its neighbours.
    let all: String = EVERY_DAY.iter().map(|line| format!("[12345.678901] {line}\n")).collect();
    for event in klog::read("test", all.as_bytes()).boots.into_iter().flat_map(|b| b.events) {
        assert!(event.severity < Severity::Failure, "{}: {}", event.first_line, event.quote);
    }
}
