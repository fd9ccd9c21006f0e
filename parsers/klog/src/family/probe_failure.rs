//! A driver that could not take a device into use.

use facts::FieldType;

use super::{Before, Family, From, Opened, field, kind, no_body, no_finish};
use crate::cursor::{number_after, split};
use crate::event::{Event, Severity};
use crate::{Line, class};

pub(super) static FAMILY: Family = Family {
    name: "probe_failure",
    anchors: &[" failed with error -"],
    from: From::Kernel,
    open,
    body: no_body,
    finish: no_finish,
    kind: kind(
        "log.probe_failure",
        "A driver could not take a device into use",
        &[
            field("driver", FieldType::Text, "", "driver"),
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

/// Error numbers with which a driver says that the device is not there or not its own, or that it must wait for another.
const NOT_MINE: &[i64] = &[6, 19, 517];

fn open(line: &Line<'_>, _: Before<'_>) -> Option<Opened> {
    let text = line.text();
    let (head, rest) = split(text, ": ")?;
    // `mlx5_core: probe of 0000:03:00.0 failed with error -22`; since 6.9
    // `mlx5_core 0000:03:00.0: probe with driver mlx5_core failed with error -22`
    let (driver, device) = if let Some(rest) = rest.strip_prefix("probe of ") {
        (head, split(rest, " failed with error -")?.0)
    } else {
        let driver = split(rest.strip_prefix("probe with driver ")?, " failed with error -")?.0;
        (driver, head.split_once(' ').map_or(head, |(_, device)| device))
    };
    let plain = |name: &str| !name.is_empty() && !name.contains(' ');
    (plain(driver) && plain(device)).then_some(())?;
    let errno = number_after(text, "failed with error -")?;
    // Whoever binds a device by hand to a driver, or has another driver for it, knows.
    let wanted = WANTED.contains(&driver) && !NOT_MINE.contains(&errno);
    let severity = if wanted { Severity::Failure } else { Severity::Notice };
    Opened::line(
        Event::new(FAMILY.name, class::PROBE_FAILURE, severity)
            .titled(format!("{driver}: the driver could not take its device into use"))
            .with("driver", driver)
            .with("device", device)
            .with("errno", errno),
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
}
