//! A device reached for memory it was not given: DMAR, AMD-Vi, SMMU.

use facts::{FieldType, Value};

use super::{Before, Family, From, Opened, field, kind};
use crate::cursor::{Cursor, after, between, has, hex_after};
use crate::event::{Event, Severity};
use crate::report::{Report, Step};
use crate::{Line, class};

pub(super) static FAMILY: Family = Family {
    name: "iommu_fault",
    anchors: &[
        "Request device [",
        "Event logged [",
        "Unhandled context fault",
        "Completion-Wait loop timed out",
        "Invalidation Time-out Error",
        ": event 0x",
        ": event: F_",
        ": event: C_",
        " already set (to ",
        " fault type=0x",
        ": Page fault at 0x",
        "PAGE FAULT occurred at 0x",
    ],
    from: From::Kernel,
    open,
    body,
    finish,
    kind: kind(
        "log.iommu_fault",
        "The IOMMU stopped a device's access to memory: a defect of the driver, the firmware or the device",
        &[
            field("iommu", FieldType::Text, "", "dmar, amd-vi, smmu, or the driver"),
            field("device", FieldType::Text, "", "PCI address of the device"),
            field("driver", FieldType::Text, "", "driver of the device"),
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
    let event = if text.starts_with("AMD-Vi: Event logged [") || has(text, ": AMD-Vi: Event logged [") {
        let inside = between(text, "Event logged [", "]")?;
        let what = inside.split(' ').next().unwrap_or(inside);
        // `nvme 0000:01:00.0: AMD-Vi: Event logged [..]` where a driver has the device, `device=01:00.0` inside elsewhere.
        let inside_it = after(inside, "device=").map(|d| d.split(' ').next().unwrap_or(d));
        let device = inside_it.or_else(|| text.split_once(": AMD-Vi: ")?.0.rsplit(' ').next());
        let driver =
            text.split_once(": AMD-Vi: ").and_then(|(head, _)| head.rsplit_once(' ')).map(|(driver, _)| driver);
        let mut event = event("amd-vi").with("access", what).with_opt("device", device).with_opt("driver", driver);
        event.address = hex_after(inside, "address=");
        event
    } else if has(text, "Unhandled context fault") && text.starts_with("arm-smmu") {
        let mut event = event("smmu").with("reason", "context fault");
        event.address = hex_after(text, "iova=");
        event.with_opt("device", between(text, "cbfrsynra=", ",").map(|id| format!("stream {id}")))
    } else if text.starts_with("arm-smmu-v3") {
        return smmu_v3(text, event("smmu"));
    } else if has(text, "Completion-Wait loop timed out") && text.starts_with("AMD-Vi: ") {
        event("amd-vi").with("reason", "a command was not completed")
    } else if has(text, "Invalidation Time-out Error") && has(text, "DMAR: ") {
        event("dmar").with("reason", "invalidation timed out").with_opt("device", between(text, "SID ", "]"))
    } else if text.starts_with("DMAR: ") && has(text, "DMA PTE for vPFN 0x") {
        // drivers/iommu/intel/iommu.c: __domain_mapping()
        let mut event = event("dmar").with("reason", "an address was mapped twice");
        event.class = class::WARNING;
        event
    } else if let Some((driver, address)) = board(text) {
        let mut event = event(driver);
        event.address = Some(address);
        let read = text.to_ascii_lowercase();
        event.with_opt("access", ["read", "write"].into_iter().find(|word| read.contains(word)))
    } else {
        // Up to 2.6.38 without a head: `DMAR:[DMA Write] Request device [03:00.0] fault addr ffffe000`
        let rest = text.strip_prefix("DMAR:")?.trim_start();
        let access = between(rest, "[", "]")?;
        let access = access.split(' ').find(|w| matches!(*w, "Read" | "Write")).map(str::to_ascii_lowercase);
        let reason = after(rest, "fault reason ").map(|r| r.split_once(']').map_or(r, |(_, words)| words).trim());
        let mut event = event("dmar")
            .with_opt("access", access)
            // Of interrupts the device stands in two brackets.
            .with_opt("device", between(rest, "Request device [", "]").map(|d| d.trim_start_matches('[')))
            .with_opt("reason", reason.filter(|r| !r.is_empty()));
        event.address = hex_after(rest, "fault addr ");
        event
    };
    Opened::line(event)
}

/// Up to 6.14 `arm-smmu-v3 x.iommu: event 0x10 received:` and four rows of numbers; then
/// `event: F_TRANSLATION client: 0000:01:00.0 sid: 0x8 ssid: 0x0 iova: 0x1000 ipa: 0x0`.
fn smmu_v3(text: &str, event: Event) -> Option<Opened> {
    // Numbers of the architecture.
    const NAMES: &[(u64, &str)] = &[
        (0x02, "C_BAD_STREAMID"),
        (0x04, "C_BAD_STE"),
        (0x0a, "C_BAD_CD"),
        (0x10, "F_TRANSLATION"),
        (0x11, "F_ADDR_SIZE"),
        (0x12, "F_ACCESS"),
        (0x13, "F_PERMISSION"),
    ];
    // `arm-smmu-v3 2b400000.iommu: event`, `arm-smmu-v3 arm-smmu-v3.0.auto: event`
    let rest = after(text, ": event")?;
    if let Some(number) = hex_after(rest, " ").filter(|_| has(rest, " received")) {
        let name = NAMES.iter().find(|(n, _)| *n == number).map_or("", |(_, name)| name);
        let event = event.with("access", if name.is_empty() { format!("event {number:#x}") } else { name.to_owned() });
        return Opened::lines(event.with("reason", "stream fault"));
    }
    let name = rest.strip_prefix(": ")?.split(' ').next()?;
    let mut event = event
        .with("access", name)
        .with("reason", "stream fault")
        .with_opt("device", after(rest, "client: ").and_then(|c| c.split(' ').next()));
    event.address = hex_after(rest, "iova: ");
    Opened::line(event)
}

/// Rows of an event: stream and address stand in the first and third.
fn body(report: &mut Report, line: &Line<'_>) -> Step {
    let Some((_, row)) = line.text().split_once(": ").filter(|(head, _)| head.starts_with("arm-smmu-v3 ")) else {
        return Step::Pass;
    };
    let row = row.trim_start();
    let Some(value) = row.strip_prefix("0x").filter(|r| r.len() == 16).and_then(|r| u64::from_str_radix(r, 16).ok())
    else {
        return Step::Pass;
    };
    let rows = report.event.fields.get("rows").and_then(Value::as_int).unwrap_or(0);
    match rows {
        0 => report.event.set("device", format!("stream {:#x}", value >> 32)),
        2 => report.event.address = Some(value),
        _ => {}
    }
    report.event.set("rows", rows + 1);
    Step::Take
}

fn finish(report: &mut Report) {
    report.event.fields.remove("rows");
}

/// IOMMUs of boards: MediaTek, Rockchip, Allwinner, Exynos. Name and address.
fn board(text: &str) -> Option<(&'static str, u64)> {
    const DRIVERS: &[(&str, &str, &str)] = &[
        ("mtk-iommu", "fault type=0x", "iova=0x"),
        ("rk_iommu", ": Page fault at 0x", "fault at 0x"),
        ("sun50i-iommu", ": Page fault at 0x", "fault at 0x"),
        ("exynos-sysmmu", "PAGE FAULT occurred at 0x", "occurred at 0x"),
    ];
    let (driver, _, label) = DRIVERS.iter().find(|(driver, words, _)| text.starts_with(driver) && has(text, words))?;
    Some((driver, Cursor::new(after(text, label)?).hex()?))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{events, fields};

    #[test]
    fn an_event_of_the_third_smmu_names_stream_and_address() {
        let text = "[  345.100000] arm-smmu-v3 70c00000.iommu: event 0x10 received:\n\
             [  345.100010] arm-smmu-v3 70c00000.iommu: \t0x0000001c00000010\n\
             [  345.100020] arm-smmu-v3 70c00000.iommu: \t0x0000020000000000\n\
             [  345.100030] arm-smmu-v3 70c00000.iommu: \t0x00000000fffff000\n\
             [  345.100040] arm-smmu-v3 70c00000.iommu: \t0x0000000000000000\n";
        assert_eq!(events(text).len(), 1);
        assert_eq!(
            fields(text, &["iommu", "access", "device", "address", "rows"]),
            ["smmu", "F_TRANSLATION", "stream 0x1c", "0x00000000fffff000", ""]
        );
        let text = "[  345.1] arm-smmu-v3 arm-smmu-v3.0.auto: probing hardware configuration...";
        assert!(events(text).is_empty());
        let text = "[  345.100000] arm-smmu-v3 x.iommu: event: F_TRANSLATION client: 0000:01:00.0 sid: 0x8 ssid: 0x0 iova: 0x1000 ipa: 0x0";
        assert_eq!(
            fields(text, &["access", "device", "address"]),
            ["F_TRANSLATION", "0000:01:00.0", "0x0000000000001000"]
        );
        let text = "[  345.100000] rk_iommu ff8f3f00.iommu: Page fault at 0x00000000fd000000 of type read";
        assert_eq!(fields(text, &["iommu", "access", "address"]), ["rk_iommu", "read", "0x00000000fd000000"]);
    }

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
                "0000:01:00.0",
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

    #[test]
    fn an_smmu_of_any_name_and_an_address_that_is_mapped_twice() {
        let text = "[   52.261501] arm-smmu-v3 arm-smmu-v3.0.auto: event 0x10 received:\n\
            [   52.261501] arm-smmu-v3 arm-smmu-v3.0.auto: \t0x0000010000000010\n\
            [   52.261501] arm-smmu-v3 arm-smmu-v3.0.auto: \t0x0000020800000000\n\
            [   52.261501] arm-smmu-v3 arm-smmu-v3.0.auto: \t0x00000000fffff000\n";
        assert_eq!(fields(text, &["iommu", "access", "device"]), ["smmu", "F_TRANSLATION", "stream 0x100"]);
        let text = "[   52.261501] DMAR: ERROR: DMA PTE for vPFN 0xf1f7 already set (to f1f7003 not 123)";
        assert_eq!(fields(text, &["iommu", "class"]), ["dmar", "warning"]);
    }
}
