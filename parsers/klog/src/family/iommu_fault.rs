//! A device reached for memory it was not given: DMAR, AMD-Vi, SMMU.

use facts::FieldType;

use super::{Before, Family, From, Opened, field, kind, no_body, no_finish};
use crate::cursor::{after, between, hex_after};
use crate::event::{Event, Severity};
use crate::{Line, class};

pub(super) static FAMILY: Family = Family {
    name: "iommu_fault",
    anchors: &["Request device [", "Event logged [", "Unhandled context fault"],
    from: From::Kernel,
    open,
    body: no_body,
    finish: no_finish,
    kind: kind(
        "log.iommu_fault",
        "The IOMMU stopped a device's access to memory: a defect of the driver, the firmware or the device",
        &[
            field("iommu", FieldType::Text, "", "dmar, amd-vi, smmu"),
            field("device", FieldType::Text, "", "PCI address of the device"),
            field("access", FieldType::Text, "", "read, write, or the event as printed"),
            field("reason", FieldType::Text, "", "why the access was refused"),
        ],
    ),
};

fn open(line: &Line<'_>, _: Before<'_>) -> Option<Opened> {
    let text = line.text();
    let event = |iommu: &str| {
        Event::new(FAMILY.name, class::HARDWARE_PCIE, Severity::Failure).titled("IOMMU fault").with("iommu", iommu)
    };
    let event = if text.starts_with("AMD-Vi: Event logged [") || text.contains(": AMD-Vi: Event logged [") {
        let inside = between(text, "Event logged [", "]")?;
        let what = inside.split(' ').next().unwrap_or(inside);
        let device = after(inside, "device=").map(|d| d.split(' ').next().unwrap_or(d));
        let mut event = event("amd-vi").with("access", what).with_opt("device", device);
        event.address = hex_after(inside, "address=");
        event
    } else if text.contains("Unhandled context fault") && text.starts_with("arm-smmu") {
        let mut event = event("smmu").with("reason", "context fault");
        event.address = hex_after(text, "iova=");
        event
    } else {
        // Up to 2.6.38 without a head: `DMAR:[DMA Write] Request device [03:00.0] fault addr ffffe000`
        let rest = text.strip_prefix("DMAR:")?.trim_start();
        let access = between(rest, "[", "]")?;
        let access = access.split(' ').find(|w| matches!(*w, "Read" | "Write")).map(str::to_ascii_lowercase);
        let reason = after(rest, "fault reason ").map(|r| r.split_once(']').map_or(r, |(_, words)| words).trim());
        let mut event = event("dmar")
            .with_opt("access", access)
            .with_opt("device", between(rest, "Request device [", "]"))
            .with_opt("reason", reason.filter(|r| !r.is_empty()));
        event.address = hex_after(rest, "fault addr ");
        event
    };
    Opened::line(event)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{events, fields};

    #[test]
    fn each_iommu_names_the_device_and_the_address() {
        for (text, iommu, device, address, access) in [
            (
                "DMAR: [DMA Read] Request device [00:02.0] fault addr 12345000 [fault reason 06] PTE Read access is not set",
                "dmar",
                "00:02.0",
                "0x0000000012345000",
                "read",
            ),
            (
                "DMAR: [DMA Write NO_PASID] Request device [03:00.0] fault addr 0xffee0000 [fault reason 0x05] PTE Write access is not set",
                "dmar",
                "03:00.0",
                "0x00000000ffee0000",
                "write",
            ),
            (
                "nvme 0000:01:00.0: AMD-Vi: Event logged [IO_PAGE_FAULT domain=0x000e address=0xfd000000 flags=0x0000]",
                "amd-vi",
                "",
                "0x00000000fd000000",
                "IO_PAGE_FAULT",
            ),
        ] {
            let text = format!("[   52.261501] {text}");
            assert_eq!(
                fields(&text, &["iommu", "device", "address", "access", "severity"]),
                [iommu, device, address, access, "failure"],
                "{text}"
            );
        }
        assert!(events("[    0.100000] DMAR: DRHD base: 0x000000fed90000 flags: 0x0").is_empty());
    }
}
