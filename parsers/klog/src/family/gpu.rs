//! Graphics processors that stopped answering: NVIDIA's Xid numbers, hangs of i915 and xe, timeouts and page faults of
//! amdgpu, radeon, nouveau and the processors of phones.

use facts::{FieldType, Value};

use super::words::{Word, anchors, find, word};
use super::{Before, Family, From, Opened, field, kind};
use crate::cursor::{Cursor, after, between, has, number_after, split};
use crate::event::{Event, Severity};
use crate::report::{Report, Step};
use crate::{Line, class};

const AMD: &[&str] = &["amdgpu", "[drm:amdgpu", "radeon", "[drm:radeon"];
const DRM: &[&str] =
    &["[drm", "amdgpu", "radeon", "i915", "xe ", "nouveau", "ast", "mgag200", "vmwgfx", "qxl", "virtio", "vc4"];

/// What drivers say in one line. NVIDIA's numbers and the hang of i915 have forms of their own.
const WORDS: &[Word] = &[
    word(AMD, " page fault (src_id:", "page-fault"),
    word(AMD, "GPU fault detected:", "page-fault"),
    word(AMD, " timeout, signaled seq=", "ring-timeout"),
    word(AMD, " timeout, but soft recovered", "ring-timeout"),
    word(AMD, " stalled for more than ", "ring-timeout"),
    word(AMD, "not done with your previous command", "not-responding"),
    word(AMD, "GPU reset begin!", "reset"),
    word(AMD, "GPU Recovery Failed", "reset-failed"),
    word(AMD, ") succeeded!", "ok"),
    word(AMD, "GPU lockup (", "hang"),
    word(AMD, "Fatal error during GPU init", "not-initialised"),
    word(AMD, " test failed (", "ring-test-failed"),
    word(AMD, "MES failed to respond to msg=", "not-responding"),
    word(&["xe "], "Timedout job:", "ring-timeout"),
    word(&["xe "], "Engine reset: engine_class=", "hang"),
    word(&["nouveau"], "fifo: fault ", "page-fault"),
    word(&["nouveau"], "SCHED_ERROR", "hang"),
    word(&["nouveau", "[drm] nouveau"], "ailed to idle channel", "hang"),
    word(&["msm", "adreno", "[drm:", "dpu"], "hangcheck detected gpu lockup", "hang"),
    word(&["panfrost", "panthor"], "gpu sched timeout", "ring-timeout"),
    word(&["v3d", "[drm:v3d"], "Resetting GPU for hang", "hang"),
    word(&["etnaviv"], "recover hung GPU", "hang"),
    word(&["mali"], "Unhandled Page fault in AS", "page-fault"),
    word(&["kgsl"], "GPU PAGE FAULT: ", "page-fault"),
    word(&["kgsl"], "fault ctx ", "hang"),
    word(DRM, "flip_done timed out", "flip-timeout"),
    word(&["i915"], "Resetting rcs0 for ", "reset"),
    word(&["i915"], "Resetting chip for ", "reset"),
    word(&["[drm", "i915"], " reset request timed out: {request", "reset-failed"),
    word(&["i915"], "GPU recovery timed out", "reset-failed"),
    word(&["[drm:i915", "i915"], "*ERROR* GPU recovery failed", "reset-failed"),
    word(&["i915", "[drm"], "GUC: Engine reset failed", "reset-failed"),
];

const OTHER: &[&str] = &[
    "NVRM: Xid (",
    "SXid (PCI:",
    "GPU HANG: ecode",
    "fallen off the bus",
    "NVRM: The NVIDIA GPU ",
    "RmInitAdapter failed!",
    "imeout waiting for RPC from GSP",
    "imed out waiting for core channel",
    "rpcSendMessage failed with status 0x",
    "Failed to query display engine channel state",
    "NVRM: API mismatch",
];

static ANCHORS: [&str; WORDS.len() + OTHER.len()] = both();

const fn both() -> [&'static str; WORDS.len() + OTHER.len()] {
    let words: [&str; WORDS.len()] = anchors(WORDS);
    let mut out = [""; WORDS.len() + OTHER.len()];
    let mut at = 0;
    while at < out.len() {
        out[at] = if at < WORDS.len() { words[at] } else { OTHER[at - WORDS.len()] };
        at += 1;
    }
    out
}

pub(super) static FAMILY: Family = Family {
    name: "gpu_error",
    anchors: &ANCHORS,
    from: From::Kernel,
    open,
    body,
    finish,
    kind: kind(
        "log.gpu_error",
        "A graphics processor reports an error or does not answer",
        &[
            field("driver", FieldType::Text, "", "nvidia, nvswitch, i915, amdgpu, ..."),
            field("device", FieldType::Text, "", "PCI address"),
            field(
                "xid",
                FieldType::Int,
                "",
                "NVIDIA's error number; 79: fallen off the bus; 48, 63, 64, 94, 95: memory",
            ),
            field(
                "what",
                FieldType::Text,
                "",
                "hang, ring-timeout, page-fault, not-initialised, reset, reset-failed, not-responding, flip-timeout, ...",
            ),
            field("ring", FieldType::Text, "", "ring or queue that stood still"),
            field("fault", FieldType::Text, "", "what the processor found wrong in the program's commands"),
            field("outcome", FieldType::List, "", "what the driver did about it and what came of that"),
            field("detail", FieldType::Text, "", "the text"),
        ],
    ),
};

/// Xid numbers of errors in the processor's own memory.
const MEMORY: &[i64] = &[48, 63, 64, 92, 94, 95];

const LOST: &str = "GPU: fallen off the bus";

fn open(line: &Line<'_>, _: Before<'_>) -> Option<Opened> {
    let text = line.text();
    let new = |driver: &str, class: &'static str, title: &str| {
        Event::new(FAMILY.name, class, Severity::Failure).titled(title).with("driver", driver).with("detail", text)
    };
    if let Some(rest) = text.strip_prefix("NVRM: Xid (") {
        let (device, rest) = split(rest, "): ")?;
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
    // `nvidia-nvswitch0: SXid (PCI:0000:ca:00.0): 20034, Fatal, Link 30 LTSSM Fault Up`
    if text.starts_with("nvidia-nvswitch") {
        let rest = after(text, "SXid (PCI:")?;
        let (device, rest) = split(rest, "): ")?;
        let xid = Cursor::new(rest).int()?;
        let event = new("nvswitch", class::IO_ERROR, &format!("NVSwitch: SXid {xid}")).with("device", device);
        let mut event = event.with("xid", xid);
        if has(rest, "Non-fatal") {
            event.severity = Severity::Notice;
        }
        return Opened::line(event);
    }
    // One message of several lines: `NVRM: The NVIDIA GPU 0000:b3:00.0`, `NVRM: (PCI ID: ..) installed in this system has`,
    // `NVRM: fallen off the bus and is not responding to commands.`
    if let Some(rest) = text.strip_prefix("NVRM: The NVIDIA GPU ")
        && !has(text, "fallen off the bus")
    {
        let mut event =
            new("nvidia", class::HARDWARE_PCIE, LOST).with("device", rest.split(' ').next().unwrap_or(rest));
        event.severity = Severity::Notice;
        return Opened::lines(event);
    }
    if text.starts_with("NVRM: ") && has(text, "fallen off the bus") {
        return Opened::line(new("nvidia", class::HARDWARE_PCIE, LOST));
    }
    if text.starts_with("NVRM: API mismatch") {
        let mut event = new("nvidia", class::FIRMWARE, "GPU: versions differ").with("what", "versions-differ").with(
            "consequence",
            "the kernel module and the libraries of the driver are of different versions: no program can use the GPU until the module is loaded anew",
        );
        event.severity = Severity::Notice;
        return Opened::line(event);
    }
    if text.starts_with("NVRM: ") && has(text, "RmInitAdapter failed!") {
        return Opened::line(new("nvidia", class::IO_ERROR, "GPU: not initialised").with("what", "not-responding"));
    }
    if text.starts_with("NVRM: ") && has(text, "imeout waiting for RPC from GSP")
        || text.starts_with("NVRM: ") && has(text, "rpcSendMessage failed with status 0x")
        || text.starts_with("nvidia-modeset: ERROR: ")
            && (has(text, "imed out waiting for core channel")
                || has(text, "Failed to query display engine channel state"))
    {
        return Opened::line(new("nvidia", class::IO_ERROR, "GPU: not responding").with("what", "not-responding"));
    }
    if let Some(rest) = after(text, "GPU HANG: ecode") {
        (has(text, "[drm]") || text.starts_with("i915 ")).then_some(())?;
        let mut event =
            new("i915", class::IO_ERROR, "GPU: hang").with("what", "hang").with_opt("device", device_of(text));
        event.comm = between(rest, ", in ", " [").map(str::to_owned);
        return Opened::line(event);
    }
    // `[drm:amdgpu_job_timedout [amdgpu]] *ERROR* ring gfx timeout, signaled seq=1, emitted seq=3`
    let found = find(WORDS, text)?;
    let driver = text.strip_prefix("[drm:").unwrap_or(text);
    let driver = driver.split([' ', '_', ':', ']']).next().unwrap_or(driver).trim_start_matches('[');
    let ring = after(text, "ring ").or_else(|| after(text, "Ring ")).and_then(|r| r.split([' ', ',']).next());
    let mut event = new(driver, class::IO_ERROR, &format!("GPU: {}", found.what.replace('-', " ")))
        .with("what", found.what)
        .with_opt("device", device_of(text))
        .with_opt("ring", ring.filter(|_| found.what.starts_with("ring")));
    event.comm = between(text, "for process ", " pid").map(str::to_owned);
    event.pid = number_after(text, " pid ").filter(|_| event.comm.is_some());
    event.address = after(text, "at 0x").and_then(|a| Cursor::new(a).hex());
    if has(text, "but soft recovered") || found.what == "ok" {
        event.severity = Severity::Notice;
    }
    if found.what == "ok" {
        event.class = class::CLEAN;
    }
    if matches!(driver, "amdgpu" | "radeon") && matches!(found.what, "ring-timeout" | "reset" | "not-responding") {
        return Opened::lines(event);
    }
    Opened::line(event)
}

/// The PCI address of `i915 0000:00:02.0: text`.
fn device_of(text: &str) -> Option<&str> {
    let (_, device) = text.split(": ").next()?.split_once(' ')?;
    (device.contains(':') && !device.contains(' ')).then_some(device)
}

/// What amdgpu says below a ring that stood still, and below the start of a reset: whose job it was, what was wrong with it,
/// what was reset (drivers/gpu/drm/amd/amdgpu: amdgpu_job.c, amdgpu_device.c, gfx_v*.c).
fn amd(report: &mut Report, text: &str) -> Step {
    const OUTCOMES: &[(&str, &str)] =
        &[("reset failed", "ring reset failed"), ("reset succeeded", "ring reset"), ("reset success", "ring reset")];
    let event = &mut report.event;
    let rest = split(text, ": ").map_or(text, |(_, rest)| rest);
    let rest = rest.strip_prefix("amdgpu: ").unwrap_or(rest);
    // `Process information: process firefox pid 99 thread firefox:cs0 pid 101`, since 6.12 `Process firefox pid 99 thread ..`
    let process =
        between(text, "Process information: process ", " pid ").or_else(|| between(rest, "Process ", " pid "));
    if let Some(comm) = process {
        event.comm.get_or_insert_with(|| comm.to_owned());
        event.pid = event.pid.or_else(|| number_after(text, " pid "));
        return Step::Take;
    }
    if let Some(fault) = after(text, "*ERROR* ").filter(|fault| {
        fault.starts_with("Illegal opcode in command stream")
            || fault.starts_with("Illegal register access in command stream")
            || fault.starts_with("Illegal instruction in command stream")
    }) {
        event.set("fault", fault.trim_end_matches(" in command stream").to_lowercase());
        return Step::Take;
    }
    let outcome = if let Some(how) = rest.strip_prefix("Ring ") {
        OUTCOMES.iter().find(|(words, _)| has(how, words)).map(|(_, outcome)| *outcome)
    } else if rest.starts_with("VRAM is lost due to GPU reset") {
        Some("video memory lost")
    } else {
        ["MODE1 reset", "MODE2 reset", "BACO reset", "PCI CONFIG reset", "PSP mode1 reset"]
            .into_iter()
            .find(|kind| rest == *kind)
    };
    let Some(outcome) = outcome else {
        return if rest.starts_with("GPU reset succeeded, trying to resume") { Step::Take } else { Step::Pass };
    };
    match event.fields.get_mut("outcome") {
        Some(Value::List(outcomes)) if outcomes.len() < 8 => outcomes.push(outcome.into()),
        Some(_) => {}
        None => event.set("outcome", vec![outcome]),
    }
    Step::Take
}

fn body(report: &mut Report, line: &Line<'_>) -> Step {
    let text = line.text();
    let Some(rest) = text.strip_prefix("NVRM: ") else {
        return if report.event.title == LOST { Step::Pass } else { amd(report, text) };
    };
    if has(rest, "fallen off the bus") {
        report.event.severity = Severity::Failure;
        return Step::End;
    }
    if rest.starts_with("(PCI ID:") { Step::Take } else { Step::Pass }
}

/// A card is also named before other complaints.
fn finish(report: &mut Report) {
    let event = &report.event;
    report.discard = event.title == LOST && event.severity == Severity::Notice;
}

#[cfg(test)]
mod tests {
    use super::super::tests::{events, fields};

    #[test]
    fn a_lost_card_is_hardware_and_a_program_error_is_not() {
        let text = "[   52.261501] NVRM: Xid (PCI:0000:3b:00): 79, pid=1234, name=python3, GPU has fallen off the bus.";
        assert_eq!(fields(text, &["xid", "device", "class", "comm"]), ["79", "0000:3b:00", "hardware-pcie", "python3"]);
        let lost = "[ 1843.308145] NVRM: The NVIDIA GPU 0000:b3:00.0\n               NVRM: (PCI ID: 10de:26b5) installed in this system has\n\
             \x20              NVRM: fallen off the bus and is not responding to commands.\n";
        assert_eq!(fields(lost, &["title", "device", "severity"]), [super::LOST, "0000:b3:00.0", "failure"]);
        assert!(events("[ 1843.308145] NVRM: The NVIDIA GPU 0000:b3:00.0 (PCI ID: 10de:26b5)\n").is_empty());
        let text = "[   52.261501] NVRM: Xid (PCI:0000:3b:00): 13, Graphics SM Warp Exception";
        assert_eq!(fields(text, &["class", "severity"]), ["io-error", "failure"]);
        assert!(events("[    1.000000] NVRM: loading NVIDIA UNIX x86_64 Kernel Module  535.129.03").is_empty());
    }

    #[test]
    fn each_driver_has_its_words() {
        for (text, driver, what) in [
            (
                "[drm:amdgpu_job_timedout [amdgpu]] *ERROR* ring gfx timeout, signaled seq=1, emitted seq=3",
                "amdgpu",
                "ring-timeout",
            ),
            (
                "amdgpu 0000:03:00.0: amdgpu: ring gfx_0.0.0 timeout, signaled seq=7, emitted seq=9",
                "amdgpu",
                "ring-timeout",
            ),
            ("amdgpu 0000:0d:00.0: [gfxhub] page fault (src_id:0 ring:24 vmid:4 pasid:10)", "amdgpu", "page-fault"),
            ("amdgpu 0000:08:00.0: amdgpu: GPU reset begin!", "amdgpu", "reset"),
            ("[drm:amdgpu_job_timedout [amdgpu]] *ERROR* GPU Recovery Failed: -110", "amdgpu", "reset-failed"),
            ("radeon 0000:01:00.0: GPU lockup (current fence id 0x1 last fence id 0x2 on ring 0)", "radeon", "hang"),
            ("i915 0000:00:02.0: [drm] GPU HANG: ecode 12:1:85dffffb, in Xorg [1234]", "i915", "hang"),
            ("[drm:i915_reset [i915]] *ERROR* GPU recovery failed", "i915", "reset-failed"),
            ("i915 0000:00:02.0: GPU HANG: ecode 9:1:0xfffffffe, in mpv [77], hang on rcs0", "i915", "hang"),
            ("xe 0000:03:00.0: [drm] GT0: Engine reset: engine_class=rcs, logical_mask: 0x1", "xe", "hang"),
            ("i915 0000:00:02.0: [drm] *ERROR* flip_done timed out", "i915", "flip-timeout"),
        ] {
            let text = format!("[   52.261501] {text}");
            assert_eq!(fields(&text, &["driver", "what", "class"]), [driver, what, "io-error"], "{text}");
        }
        for text in [
            "amdgpu 0000:44:00.0: amdgpu: ring gfx_0.0.0 uses VM inv eng 0 on hub 0",
            "amdgpu 0000:08:00.0: amdgpu: GPU reset succeeded, trying to resume",
            "[drm] VCN decode and encode initialized successfully(under DPG Mode).",
        ] {
            assert!(events(&format!("[   52.261501] {text}")).is_empty(), "{text}");
        }
    }

    #[test]
    fn whose_job_it_was_and_what_came_of_the_reset_is_read() {
        let text = "[   10.100000] amdgpu 0000:2d:00.0: ring gfx_0.0.0 timeout, signaled seq=6715782, emitted seq=6715785\n\
             [   10.100001] amdgpu 0000:2d:00.0: Process wayvr pid 41460 thread wayvr pid 41461\n\
             [   10.100002] [drm:gfx_v11_0_bad_op_irq [amdgpu]] *ERROR* Illegal opcode in command stream\n\
             [   10.100003] amdgpu 0000:2d:00.0: MES failed to respond to msg=RESET\n\
             [   10.100003] amdgpu 0000:2d:00.0: failed to reset legacy queue\n\
             [   10.100003] amdgpu 0000:2d:00.0: Ring gfx_0.0.0 reset failed\n\
             [   10.100004] amdgpu 0000:2d:00.0: GPU reset begin!. Source: 1\n\
             [   10.100005] amdgpu 0000:2d:00.0: MODE1 reset\n\
             [   10.100006] amdgpu 0000:2d:00.0: GPU reset succeeded, trying to resume\n\
             [   10.100007] amdgpu 0000:2d:00.0: VRAM is lost due to GPU reset!\n";
        assert_eq!(
            fields(text, &["what", "comm", "pid", "fault"]),
            ["ring-timeout", "wayvr", "41460", "illegal opcode"]
        );
        let outcomes: Vec<String> = events(text)
            .iter()
            .map(|e| e.to_fact("t").get("outcome").map(ToString::to_string).unwrap_or_default())
            .collect();
        assert_eq!(outcomes, ["", "ring reset failed", "MODE1 reset, video memory lost"]);
        let old = "[   10.100000] [drm:amdgpu_job_timedout [amdgpu]] *ERROR* ring gfx timeout, signaled seq=1, emitted seq=3\n\
             [   10.100001] [drm:amdgpu_job_timedout [amdgpu]] *ERROR* Process information: process firefox pid 99 thread firefox:cs0 pid 101\n";
        assert_eq!(fields(old, &["comm", "pid", "outcome"]), ["firefox", "99", ""]);
        let rpc = "[   10.100000] NVRM: _issueRpcAndWait: rpcSendMessage failed with status 0x00000011 for fn 76!";
        assert_eq!(fields(rpc, &["driver", "what"]), ["nvidia", "not-responding"]);
    }

    #[test]
    fn a_module_and_libraries_that_differ_are_a_notice() {
        let text = "[ 5252.261501] NVRM: API mismatch: the client has the version 535.161.07, but\n\
            NVRM: this kernel module has the version 535.129.03.  Please\n";
        assert_eq!(fields(text, &["what", "severity", "driver"]), ["versions-differ", "notice", "nvidia"]);
    }
}
