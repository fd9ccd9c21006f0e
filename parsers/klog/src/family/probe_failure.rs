//! A driver that could not take a device into use, or a module that is not for this kernel.

use facts::FieldType;

use super::{Before, Family, From, Opened, field, kind, no_body, no_finish};
use crate::cursor::{between, number_after, split};
use crate::event::{Event, Severity};
use crate::{Line, class};

pub(super) static FAMILY: Family = Family {
    name: "probe_failure",
    anchors: &[
        " failed with error -",
        " version magic '",
        "disagrees about version of symbol ",
        ": Unknown symbol ",
        "failed to validate module [",
    ],
    from: From::Kernel,
    open,
    body: no_body,
    finish: no_finish,
    kind: kind(
        "log.probe_failure",
        "A driver could not take a device into use, or its module is not for this kernel",
        &[
            field("driver", FieldType::Text, "", "driver"),
            field("module", FieldType::Text, "", "module that was not loaded"),
            field("symbol", FieldType::Text, "", "symbol that it wants and does not get"),
            field("device", FieldType::Text, "", "device as its bus names it"),
            field("errno", FieldType::Int, "", "error number, positive"),
        ],
    ),
};

/// Drivers without whose device a server lacks a disk, a network or an accelerator. Boards have dozens of small parts
/// whose drivers fail at each boot of a healthy machine: sensors, clocks, ports that another driver holds.
const WANTED: &[&str] = &[
    "mlx4_core",
    "mlx5_core",
    "bnxt_en",
    "bnx2x",
    "tg3",
    "i40e",
    "ice",
    "iavf",
    "ixgbe",
    "ixgbevf",
    "igb",
    "igbvf",
    "igc",
    "e1000",
    "e1000e",
    "qede",
    "qed",
    "qlcnic",
    "be2net",
    "enic",
    "cxgb4",
    "ena",
    "gve",
    "atlantic",
    "r8169",
    "hns3",
    "hinic",
    "sfc",
    "nfp",
    "ionic",
    "vmxnet3",
    "hv_netvsc",
    "netvsc",
    "virtio_net",
    "xen_netfront",
    "nvme",
    "ahci",
    "mpt2sas",
    "mpt3sas",
    "megaraid_sas",
    "aacraid",
    "hpsa",
    "smartpqi",
    "arcmsr",
    "lpfc",
    "qla2xxx",
    "qla4xxx",
    "bfa",
    "fnic",
    "pm80xx",
    "isci",
    "mvsas",
    "mpi3mr",
    "vmw_pvscsi",
    "hv_storvsc",
    "storvsc",
    "virtio_blk",
    "virtio_scsi",
    "xen-blkfront",
    "nvidia",
    "amdgpu",
    "i915",
    "xe",
    "habanalabs",
    "hfi1",
    "qib",
    "irdma",
    "i40iw",
    "ib_uverbs",
    "xhci_hcd",
    "vfio-pci",
    "virtio-pci",
    "hv_pci",
    "iwlwifi",
];

/// Drivers whose device somebody misses, though the machine runs: sound, graphics, radio, the module of keys.
const MISSED: &[&str] = &[
    "nouveau",
    "radeon",
    "ast",
    "snd_",
    "snd-",
    "ath10k",
    "ath11k",
    "ath12k",
    "ath9k",
    "brcmfmac",
    "mt76",
    "mt79",
    "rtw",
    "rtl8",
    "tpm_",
    "cdc_",
    "r8152",
    "ax88179",
    "megaraid",
    "mptsas",
    "usb-storage",
    "uas",
];

/// Error numbers with which a driver says that the device is not there or not its own, or that it must wait for another.
const NOT_MINE: &[i64] = &[6, 19, 517];

/// A module that the kernel refused.
fn not_loaded(module: &str, why: Option<String>) -> Event {
    Event::new(FAMILY.name, class::PROBE_FAILURE, Severity::Notice)
        .titled(format!("module {module}: not loaded"))
        .with("module", module)
        .with_opt("consequence", why)
}

/// Is the machine still starting, as far as the line tells?
fn is_booting(line: &Line<'_>) -> bool {
    const BOOT_NS: i64 = 120_000_000_000;
    line.time.and_then(|time| time.since_boot_ns).is_some_and(|ns| ns < BOOT_NS)
}

fn open(line: &Line<'_>, _: Before<'_>) -> Option<Opened> {
    let text = line.text();
    if let Some(module) = between(text, "failed to validate module [", "] BTF: ") {
        return Opened::line(not_loaded(
            module,
            Some("its type information is of another build of the kernel".to_owned()),
        ));
    }
    let (head, rest) = split(text, ": ")?;
    let plain = |name: &str| !name.is_empty() && !name.contains(' ');
    // kernel/module/version.c, kernel/module/main.c
    if rest.starts_with("version magic '") || rest.starts_with("disagrees about version of symbol ") {
        let why = "it was built for another kernel: what it drives does not work until it is built anew";
        return plain(head).then(|| not_loaded(head, Some(why.to_owned()))).and_then(Opened::line);
    }
    // `smith: Unknown symbol __check_object_size (err 0)`: kernel/module/main.c, resolve_symbol_wait() and simplify_symbols()
    if let Some((symbol, errno)) = rest.strip_prefix("Unknown symbol ").and_then(|rest| split(rest, " (err ")) {
        (plain(head) && plain(symbol)).then_some(())?;
        let why = match errno.trim_end_matches(')') {
            "-22" => Some(format!(
                "it wants {symbol}, which this kernel has in another version: it was built for another kernel"
            )),
            // Start-up scripts of boards load what does not fit together at each boot, and nobody misses it.
            _ if is_booting(line) => None,
            _ => Some(format!("it wants {symbol}, which neither this kernel nor a loaded module offers it")),
        };
        return Opened::line(not_loaded(head, why).with("symbol", symbol));
    }
    // `mlx5_core: probe of 0000:03:00.0 failed with error -22`; since 6.9
    // `mlx5_core 0000:03:00.0: probe with driver mlx5_core failed with error -22`
    let (driver, device) = if let Some(rest) = rest.strip_prefix("probe of ") {
        (head, split(rest, " failed with error -")?.0)
    } else {
        let driver = split(rest.strip_prefix("probe with driver ")?, " failed with error -")?.0;
        (driver, head.split_once(' ').map_or(head, |(_, device)| device))
    };
    (plain(driver) && plain(device)).then_some(())?;
    let errno = number_after(text, "failed with error -")?;
    // Whoever binds a device by hand to a driver, or has another driver for it, knows.
    let wanted = WANTED.contains(&driver) && !NOT_MINE.contains(&errno);
    let severity = if wanted { Severity::Failure } else { Severity::Notice };
    // A driver refuses with 22 what another one has, or what it does not know.
    let missed =
        !wanted && !NOT_MINE.contains(&errno) && errno != 22 && MISSED.iter().any(|name| driver.starts_with(name));
    Opened::line(
        Event::new(FAMILY.name, class::PROBE_FAILURE, severity)
            .titled(format!("{driver}: the driver could not take its device into use"))
            .with("driver", driver)
            .with("device", device)
            .with("errno", errno)
            .with_opt(
                "consequence",
                missed.then_some("the device does not work; what its driver said before tells why"),
            ),
    )
}

#[cfg(test)]
mod tests {
    use super::super::tests::{events, fields};

    #[test]
    fn driver_device_and_error_are_read_in_both_forms() {
        for text in [
            "[   14.059582] mlx5_core: probe of 0000:03:00.0 failed with error -22",
            "[   14.059582] mlx5_core 0000:03:00.0: probe with driver mlx5_core failed with error -22",
        ] {
            assert_eq!(
                fields(text, &["class", "severity", "driver", "device", "errno"]),
                ["probe-failure", "failure", "mlx5_core", "0000:03:00.0", "22"],
                "{text}"
            );
        }
    }

    #[test]
    fn small_parts_of_a_board_are_notices() {
        for text in [
            "amd64_edac: probe of 0000:00:18.2 failed with error -22",
            "clk-mt8186-wpe 14020000.clock-controller: probe with driver clk-mt8186-wpe failed with error -22",
            "nouveau: probe of 0000:0c:00.0 failed with error -22",
            "xen-blkfront: probe of vbd-5632 failed with error -19",
        ] {
            assert_eq!(fields(&format!("[    2.100000] {text}"), &["severity"]), ["notice"], "{text}");
        }
        assert!(
            events("[    2.100000] bluetooth hci0: Direct firmware load for a.bin failed with error -2").is_empty()
        );
    }

    #[test]
    fn a_module_for_another_kernel_is_a_notice() {
        for text in [
            "nvidia: disagrees about version of symbol module_layout",
            "zfs: version magic '5.4.0-42-generic SMP mod_unload ' should be '5.4.0-45-generic SMP mod_unload '",
            "smith: Unknown symbol __check_object_size (err 0)",
            "nvidia_uvm: Unknown symbol radix_tree_preloads (err -22)",
        ] {
            let text = format!("[   52.261501] {text}");
            let module = text.split("] ").nth(1).and_then(|t| t.split(':').next()).unwrap();
            assert_eq!(fields(&text, &["module", "severity", "class"]), [module, "notice", "probe-failure"], "{text}");
        }
        let of_boot = "[   13.584881] wl12xx_sdio: Unknown symbol wl1271_irq (err 0)";
        assert_eq!(fields(of_boot, &["consequence"]), [""]);
        let later = of_boot.replace("   13", " 1713");
        assert_ne!(fields(&later, &["consequence"]), [""]);
        let text = "[   13.584881] failed to validate module [tcp_htcp] BTF: -22";
        assert_eq!(fields(text, &["module", "severity"]), ["tcp_htcp", "notice"]);
        assert!(events("[   13.584881] gzip: Unknown symbol in the table (err 3) of x").is_empty());
    }
}
