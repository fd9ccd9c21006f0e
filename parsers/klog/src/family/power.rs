//! A machine that could not sleep or wake as it was asked, and a supply that is too weak.

use facts::FieldType;

use super::{Before, Family, From, Opened, field, kind};
use crate::cursor::{Cursor, after, has, number_after, split};
use crate::event::{Event, Severity};
use crate::report::{Report, Step, task_line};
use crate::{Line, class};

pub(super) static FAMILY: Family = Family {
    name: "power",
    anchors: &[
        "PM: failed to ",
        "PM: Device ",
        ": PM: dpm_run_callback(): ",
        "PM: Some devices failed to ",
        "nder-voltage detected",
        "ndervoltage detected",
        " tasks refusing to freeze",
        "**** DPM device timeout",
    ],
    from: From::Kernel,
    open,
    body,
    finish,
    kind: kind(
        "log.power",
        "A device could not be put to sleep or woken, or the supply of the board is too weak",
        &[
            field(
                "what",
                FieldType::Text,
                "",
                "suspend, resume, freeze, under-voltage, suspend-timeout, resume-timeout",
            ),
            field("driver", FieldType::Text, "", "driver"),
            field("device", FieldType::Text, "", "device as its bus names it"),
            field("errno", FieldType::Int, "", "error number, positive"),
            field("tasks", FieldType::Int, "", "tasks that could not be stopped"),
            field("seconds", FieldType::Float, "s", "how long that was tried"),
        ],
    ),
};

fn open(line: &Line<'_>, _: Before<'_>) -> Option<Opened> {
    let text = line.text();
    let new = |what: &'static str, consequence: &'static str| {
        Event::new(FAMILY.name, class::FIRMWARE, Severity::Notice)
            .titled(format!("power: {}", what.replace('-', " ")))
            .with("what", what)
            .with("consequence", consequence)
    };
    if has(text, "nder-voltage detected") || has(text, "ndervoltage detected") {
        let named = text.starts_with("hwmon ") || text.starts_with("Under") || has(text, "firmware");
        named.then_some(())?;
        let mut event = new(
            "under-voltage",
            "the supply of the board is too weak: errors of its card, its USB devices and its network may come of it",
        );
        event = event.with_opt("device", text.strip_prefix("hwmon ").and_then(|t| t.split([':', ' ']).next()));
        return Opened::line(event);
    }
    const LEFT_AWAKE: &str = "the machine did not go to sleep, or this device was lost on the way";
    const LEFT_ASLEEP: &str = "the device does not work until its driver takes it into use again";
    // kernel/power/process.c: `Freezing of tasks failed after 20.008 seconds (1 tasks refusing to freeze, wq_busy=0):`,
    // `Freezing user space processes failed after ...` since 5.13
    if let Some((_, counts)) = split(text.strip_prefix("PM: ").unwrap_or(text), "Freezing ")
        .filter(|(head, rest)| head.is_empty() && has(rest, " failed after "))
    {
        const TOLD: &str = "tasks could not be stopped; their stacks follow";
        let seconds =
            after(counts, " failed after ").and_then(|t| t.split(' ').next()).and_then(|t| t.parse::<f64>().ok());
        let tasks = after(counts, " seconds (").and_then(|t| Cursor::new(t).number());
        return Opened::line(new("freeze", TOLD).with_opt("tasks", tasks).with_opt("seconds", seconds));
    }
    if text.starts_with(SUMMARY) {
        return Opened::line(new("suspend", LEFT_AWAKE));
    }
    let slept = |what: &str| {
        let resume = ["resume", "restore", "thaw"].iter().any(|word| what.contains(word));
        if resume { new("resume", LEFT_ASLEEP) } else { new("suspend", LEFT_AWAKE) }
    };
    // Older kernels do not name the driver: `PM: Device 0002:01:00.0 failed to suspend async: error -16`
    if let Some((device, what)) = text.strip_prefix("PM: Device ").and_then(|rest| split(rest, " failed to ")) {
        let errno = number_after(what, ": error -")?;
        return Opened::lines(slept(what).with("device", device).with("errno", errno));
    }
    // drivers/base/power/main.c: `**** DPM device timeout ****`, since 6.13 `**** DPM device timeout after 60 seconds; 60
    // seconds until panic ****`; below it the stack of the task that works on the device.
    if let Some((head, rest)) = split(text, ": **** DPM device timeout") {
        let (driver, device) = head.split_once(' ')?;
        let mut event = new("suspend-timeout", LEFT_AWAKE)
            .with("driver", driver)
            .with("device", device)
            .with_opt("seconds", number_after(rest, " after ").and_then(|n| u32::try_from(n).ok()).map(f64::from));
        event.severity = Severity::Report;
        return Opened::trace(event);
    }
    // `spd5118 0-0050: PM: failed to resume async: error -6`
    let (head, rest) = split(text, ": PM: ")?;
    let (driver, device) = head.split_once(' ')?;
    if has(head, ": ") || device.contains(' ') {
        return None;
    }
    let (what, errno) = if let Some(rest) = rest.strip_prefix("failed to ") {
        (rest, number_after(rest, "error -"))
    } else {
        // The line before it, where the other is lost.
        (after(rest, "dpm_run_callback(): ")?, number_after(rest, " returns -"))
    };
    let errno = errno?;
    Opened::lines(slept(what).with("driver", driver).with("device", device).with("errno", errno))
}

const SUMMARY: &str = "PM: Some devices failed to ";

/// The line that sums up belongs to the device named before it.
fn body(report: &mut Report, line: &Line<'_>) -> Step {
    if line.text().starts_with(SUMMARY) {
        return Step::End;
    }
    let Some(task) = task_line(line.text()).filter(|_| !report.has_frames()) else { return Step::Pass };
    report.event.comm = Some(task.comm.to_owned());
    report.event.pid = task.pid;
    Step::Take
}

fn finish(report: &mut Report) {
    let event = &mut report.event;
    if event.severity != Severity::Report {
        return;
    }
    let resumes = |f: &str| ["device_resume", "dpm_resume", "async_resume"].iter().any(|part| f.contains(part));
    if event.stacks.iter().flat_map(|s| s.functions()).any(resumes) {
        event.set("what", "resume-timeout");
    }
    let what = event.fields.get("what").and_then(|what| what.as_text()).unwrap_or_default().replace('-', " ");
    event.title = format!("power: device {what}");
}

#[cfg(test)]
mod tests {
    use super::super::tests::{events, fields};

    #[test]
    fn a_device_that_does_not_sleep_or_wake_is_named() {
        for (text, what, device, errno) in [
            ("spd5118 0-0050: PM: failed to resume async: error -6", "resume", "0-0050", "6"),
            ("ahci 0000:00:17.0: PM: failed to restore async: error -5", "resume", "0000:00:17.0", "5"),
            ("nvme 0000:01:00.0: PM: failed to suspend async: error -110", "suspend", "0000:01:00.0", "110"),
            (
                "xhci-hcd xhci-hcd.15.auto: PM: dpm_run_callback(): platform_pm_suspend+0x0/0x5c returns -110",
                "suspend",
                "xhci-hcd.15.auto",
                "110",
            ),
        ] {
            let text = format!("[  122.261501] {text}");
            assert_eq!(
                fields(&text, &["what", "device", "errno", "severity"]),
                [what, device, errno, "notice"],
                "{text}"
            );
        }
        for text in ["Under-voltage detected! (0x00050005)", "hwmon hwmon1: Undervoltage detected!"] {
            assert_eq!(fields(&format!("[  122.261501] {text}"), &["what"]), ["under-voltage"], "{text}");
        }
        for (text, what, device, errno) in [
            ("PM: Device 0002:01:00.0 failed to suspend async: error -16", "suspend", "0002:01:00.0", "16"),
            ("PM: Device 2-1 failed to resume: error -19", "resume", "2-1", "19"),
        ] {
            assert_eq!(fields(&format!("[  447.324360] {text}"), &["what", "device", "errno"]), [what, device, errno]);
        }
        let summary = "[  447.324673] PM: Some devices failed to suspend, or early wake event detected\n";
        assert_eq!(events(summary).len(), 1, "alone it is all that is known");
        let device = "[  447.324360] PM: Device 0002:01:00.0 failed to suspend async: error -16\n";
        assert_eq!(events(&format!("{device}{summary}")).len(), 1, "it sums up the line before");
        let trace = "[  424.101001] acme-nic 0000:03:00.0: **** DPM device timeout ****\n\
             [  424.101004] Call Trace:\n[  424.101005]  <TASK>\n[  424.101006]  __schedule+0x2eb/0x8d0\n\
             [  424.101009]  wait_for_completion+0x90/0x170\n[  424.101010]  acme_fw_cmd+0x88/0xd0 [acme]\n\
             [  424.101011]  acme_resume+0x44/0x90 [acme]\n[  424.101013]  dpm_run_callback+0x4e/0x120\n\
             [  424.101014]  device_resume+0x110/0x4b0\n[  424.101020]  ret_from_fork+0x1f/0x30\n\
             [  424.101022] Kernel panic - not syncing: acme-nic 0000:03:00.0: unrecoverable failure\n";
        let told = fields(trace, &["what", "driver", "device", "severity", "title"]);
        assert_eq!(told, ["resume-timeout", "acme-nic", "0000:03:00.0", "report", "power: device resume timeout"]);
        assert_eq!(events(trace)[0].stacks[0].frames.len(), 7);
        let later = "[  424.100000] acme-nic 0000:03:00.0: **** DPM device timeout after 60 seconds; 60 seconds until panic ****";
        assert_eq!(fields(later, &["what", "seconds"]), ["suspend-timeout", "60"]);
        let freeze =
            "[ 8020.310000] Freezing of tasks failed after 20.008 seconds (1 tasks refusing to freeze, wq_busy=0):";
        assert_eq!(fields(freeze, &["what", "tasks", "seconds"]), ["freeze", "1", "20.008"]);
        for text in [
            "Freezing user space processes ... (elapsed 0.001 seconds) done.",
            "PM: suspend entry (deep)",
            "PM: Finishing wakeup.",
            "Voltage normalised (0x00000000)",
        ] {
            assert!(events(&format!("[  122.261501] {text}")).is_empty(), "{text}");
        }
    }
}
