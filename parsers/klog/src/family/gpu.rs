//! Graphics processors that stopped answering: NVIDIA's Xid numbers, hangs of i915, timeouts of amdgpu.

use facts::FieldType;

use super::{Before, Family, From, Opened, field, kind, no_body, no_finish};
use crate::cursor::{Cursor, after, between, number_after};
use crate::event::{Event, Severity};
use crate::{Line, class};

pub(super) static FAMILY: Family = Family {
    name: "gpu_error",
    anchors: &["NVRM: Xid (", "GPU HANG: ecode", "*ERROR* ring ", "GPU has fallen off the bus"],
    from: From::Kernel,
    open,
    body: no_body,
    finish: no_finish,
    kind: kind(
        "log.gpu_error",
        "A graphics processor reports an error or does not answer",
        &[
            field("driver", FieldType::Text, "", "nvidia, i915, amdgpu"),
            field("device", FieldType::Text, "", "PCI address"),
            field(
                "xid",
                FieldType::Int,
                "",
                "NVIDIA's error number; 79: fallen off the bus; 48, 63, 64, 94, 95: memory",
            ),
            field("detail", FieldType::Text, "", "the text"),
        ],
    ),
};

/// Xid numbers of errors in the processor's own memory.
const MEMORY: &[i64] = &[48, 63, 64, 92, 94, 95];

fn open(line: &Line<'_>, _: Before<'_>) -> Option<Opened> {
    let text = line.text();
    let new = |driver: &str, class: &'static str, title: &str| {
        Event::new(FAMILY.name, class, Severity::Failure).titled(title).with("driver", driver).with("detail", text)
    };
    if let Some(rest) = text.strip_prefix("NVRM: Xid (") {
        let (device, rest) = rest.split_once("): ")?;
        let xid = Cursor::new(rest).int()?;
        let class = match xid {
            79 => class::HARDWARE_PCIE,
            xid if MEMORY.contains(&xid) => class::HARDWARE_MEMORY,
            _ => class::IO_ERROR,
        };
        let mut event = new("nvidia", class, &format!("GPU: Xid {xid}"))
            .with("device", device.strip_prefix("PCI:").unwrap_or(device))
            .with("xid", xid);
        event.pid = number_after(rest, "pid=");
        event.comm = after(rest, "name=").map(|n| n.split(',').next().unwrap_or(n).to_owned());
        return Opened::line(event);
    }
    if text.starts_with("NVRM: ") && text.contains("GPU has fallen off the bus") {
        return Opened::line(new("nvidia", class::HARDWARE_PCIE, "GPU: fallen off the bus"));
    }
    if let Some(rest) = after(text, "GPU HANG: ecode") {
        text.contains("[drm]").then_some(())?;
        let mut event = new("i915", class::IO_ERROR, "GPU: hang");
        event.comm = between(rest, ", in ", " [").map(str::to_owned);
        return Opened::line(event);
    }
    // `[drm:amdgpu_job_timedout [amdgpu]] *ERROR* ring gfx timeout, signaled seq=1, emitted seq=3`
    let ring = after(text, "*ERROR* ring ")?;
    (text.contains("amdgpu") && ring.contains(" timeout")).then_some(())?;
    Opened::line(new("amdgpu", class::IO_ERROR, "GPU: ring timeout"))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{events, fields};

    #[test]
    fn a_lost_card_is_hardware_and_a_program_error_is_not() {
        let text = "[   52.261501] NVRM: Xid (PCI:0000:3b:00): 79, pid=1234, name=python3, GPU has fallen off the bus.";
        assert_eq!(fields(text, &["xid", "device", "class", "comm"]), ["79", "0000:3b:00", "hardware-pcie", "python3"]);
        let text = "[   52.261501] NVRM: Xid (PCI:0000:3b:00): 13, Graphics SM Warp Exception";
        assert_eq!(fields(text, &["class", "severity"]), ["io-error", "failure"]);
        assert!(events("[    1.000000] NVRM: loading NVIDIA UNIX x86_64 Kernel Module  535.129.03").is_empty());
    }
}
