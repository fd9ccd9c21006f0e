//! Network devices: transmit timeouts, references tracked to their holders, assertions about the RTNL lock.

use facts::FieldType;

use super::{Before, Family, From, Opened, field, kind, no_finish};
use crate::cursor::{Cursor, after, between, has, number_after, split};
use crate::event::{Event, Severity};
use crate::report::{Report, Step, location_at};
use crate::{Line, class};

pub(super) static WATCHDOG: Family = Family {
    name: "net_watchdog",
    anchors: &[
        "NETDEV WATCHDOG: ",
        "Detected Tx Unit Hang",
        "Detected Hardware Unit Hang",
        "lost tx completions is above the threshold",
        ": PCIe link lost",
        ": tx hang",
        "tx hang ",
        "ransmit timed out",
        "hw csum failure",
        "TX timeout",
        "tx timeout",
        "tx_timeout: ",
        "Reset adapter unexpectedly",
        "Dead loop on virtual device",
        "driver issue detected",
        "Malicious Driver Detection event",
        "lost link with pending Tx work",
        "DMA Status error.  Resetting chip",
        ": Adapter removed",
        "Received ECC Err, initiating reset",
        "Tx hang detected on VSI ",
        ": PF reset failed",
        ": Tx timeout",
    ],
    from: From::Kernel,
    open: open_watchdog,
    body: warn_body,
    finish: no_finish,
    kind: kind(
        "log.net_watchdog",
        "A network device did not send what it was given in time, or delivered damaged packets",
        &[
            field("device", FieldType::Text, "", "network device, else the bus address"),
            field("driver", FieldType::Text, "", "driver"),
            field("queue", FieldType::Int, "", "transmit queue"),
            field("timeout_ms", FieldType::Int, "ms", "time the queue had stood still"),
            field(
                "what",
                FieldType::Text,
                "",
                "timeout, unit-hang, lost-completions, lost, reset, reset-failed, malicious-driver, memory-error, loop, checksum",
            ),
        ],
    ),
};

pub(super) static REF_TRACKER: Family = Family {
    name: "ref_tracker",
    anchors: &["ref_tracker: "],
    from: From::Kernel,
    open: open_ref_tracker,
    body: ref_tracker_body,
    finish: no_finish,
    kind: kind(
        "log.ref_tracker",
        "A holder of references, with the stack that took them (CONFIG_NET_DEV_REFCNT_TRACKER)",
        &[
            field("device", FieldType::Text, "", "network device or directory of the tracker"),
            field("users", FieldType::Int, "", "references taken at this stack"),
            field("total", FieldType::Int, "", "references outstanding"),
            field("what", FieldType::Text, "", "held, leaked, already-released"),
        ],
    ),
};

pub(super) static RTNL: Family = Family {
    name: "rtnl_assertion",
    anchors: &["RTNL: assertion failed at "],
    from: From::Kernel,
    open: open_rtnl,
    body: warn_body,
    finish: rtnl_finish,
    kind: kind(
        "log.rtnl_assertion",
        "Code that needs the RTNL lock runs without it",
        &[field("file", FieldType::Text, "", "source file"), field("line", FieldType::Int, "", "line in it")],
    ),
};

fn open_watchdog(line: &Line<'_>, _: Before<'_>) -> Option<Opened> {
    let text = line.text();
    let mut event = Event::new(WATCHDOG.name, class::NET_WATCHDOG, Severity::Failure);
    if text.starts_with("NETDEV WATCHDOG: ") {
        return Opened::trace(timeout(text)?);
    }
    let what = if has(text, "Detected Hardware Unit Hang") {
        event = device(event, split(text, ": ")?.0);
        "unit-hang"
    } else if has(text, "lost tx completions is above the threshold") {
        event = device(event, split(text, ": ")?.0);
        "lost-completions"
    } else if has(text, ": PCIe link lost") {
        event = device(event, split(text, ": ")?.0);
        event.class = class::HARDWARE_PCIE;
        "lost"
    } else if let Some((head, rest)) = split(text, ": NETDEV WATCHDOG: ") {
        // `ixgbe 0000:01:00.0 eth0: NETDEV WATCHDOG: CPU: 3: transmit queue 3 timed out 5012 ms`
        has(rest, "timed out").then_some(())?;
        let mut words = head.split([' ', ':']).filter(|w| !w.is_empty());
        event = event.with_opt("driver", words.next()).with_opt("device", words.next_back());
        event.cpu = number_after(rest, "CPU: ").and_then(|n| u32::try_from(n).ok());
        event = event
            .with_opt("queue", number_after(rest, "queue "))
            .with_opt("timeout_ms", number_after(rest, "timed out "));
        "timeout"
    } else if has(text, "Detected Tx Unit Hang")
        || has(text, "tx hang ") && has(text, " detected on queue")
        || has(text, ": Tx hang detected on VSI ")
        || text.ends_with(": tx hang")
    {
        event = device(event, split(text, ": ")?.0).with_opt("queue", number_after(text, "on queue "));
        "unit-hang"
    } else if let Some(name) = text.strip_prefix("Dead loop on virtual device ") {
        event = event.with("device", name.split(',').next().unwrap_or(name));
        "loop"
    } else if has(text, "Malicious Driver Detection event") {
        event = device(event, split(text, ": ")?.0).with_opt("queue", number_after(text, "queue "));
        "malicious-driver"
    } else if has(text, "Received ECC Err, initiating reset") {
        // The memory inside the card.
        event = device(event, split(text, ": ")?.0);
        event.class = class::HARDWARE_MEMORY;
        "memory-error"
    } else if text.ends_with(": Adapter removed") {
        event = device(event, split(text, ": ")?.0);
        event.class = class::HARDWARE_PCIE;
        "lost"
    } else if has(text, "lost link with pending Tx work") {
        event = device(event, split(text, ": ")?.0);
        event.severity = Severity::Notice;
        "reset"
    } else if has(text, ": PF reset failed") && (text.starts_with("ice ") || text.starts_with("i40e ")) {
        event = device(event, split(text, ": ")?.0);
        event.class = class::FIRMWARE;
        "reset-failed"
    } else if text.ends_with(": Tx timeout") {
        event = device(event, split(text, ": ")?.0);
        "timeout"
    } else if has(text, "driver issue detected") || has(text, "DMA Status error.  Resetting chip") {
        // `i40e 0000:01:00.0: TX driver issue detected, PF reset issued`
        event = device(event, split(text, ": ")?.0);
        "reset"
    } else if has(text, "Reset adapter unexpectedly") {
        event = device(event, split(text, ": ")?.0);
        "reset"
    } else if let Some((head, rest)) = split(text, ": ").filter(|(head, rest)| is_timeout(head, rest)) {
        event =
            device(event, head).with_opt("queue", number_after(rest, "queue: ").or_else(|| number_after(rest, "Q ")));
        "timeout"
    } else if text.ends_with("transmit timed out") || has(text, "ransmit timed out, ") {
        event = device(event, split(text, ": ")?.0);
        "timeout"
    } else {
        let name = text.strip_suffix("hw csum failure").and_then(|t| t.trim_end().strip_suffix(':'))?;
        // A packet without a device is of `(NULL net_device)`.
        if name.contains(' ') && name != "(NULL net_device)" {
            return None;
        }
        event = event.with("device", name);
        "checksum"
    };
    Opened::line(event.titled(format!("network device: {what}")).with("what", what))
}

/// The message of a WARN up to 6.5: `NETDEV WATCHDOG: eth0 (ixgbe): transmit queue 3 timed out`
pub(super) fn timeout(text: &str) -> Option<Event> {
    let rest = text.strip_prefix("NETDEV WATCHDOG: ")?;
    let (name, tail) = split(rest, " (")?;
    let (driver, tail) = split(tail, "): ")?;
    has(tail, "timed out").then(|| {
        Event::new(WATCHDOG.name, class::NET_WATCHDOG, Severity::Report)
            .titled("network device: timeout")
            .with("what", "timeout")
            .with("device", name)
            .with("driver", driver)
            .with_opt("queue", number_after(tail, "queue "))
            .with_opt("timeout_ms", number_after(tail, "timed out "))
    })
}

/// What drivers say when the stack tells them of a timeout: `TX timeout on queue: 3`, `tx_timeout: VSI_seid: 390, Q 3`,
/// `initiating reset due to tx timeout`.
fn is_timeout(head: &str, rest: &str) -> bool {
    let start = rest.get(..10).unwrap_or(rest).to_ascii_lowercase();
    head.len() < 64
        && !has(rest, "timeout set")
        // A counter of the driver: `tx_timeout: 1`.
        && !rest.rsplit(' ').next().is_some_and(|n| n.bytes().all(|b| b.is_ascii_digit()) && start == "tx_timeout" && rest.len() < 24)
        && (start == "tx timeout" || start == "tx_timeout" || rest.ends_with("due to tx timeout"))
}

/// `e1000e 0000:00:19.0 eth0`
fn device(event: Event, head: &str) -> Event {
    let mut words = head.split(' ').filter(|w| !w.is_empty());
    let driver = words.next();
    event.with_opt("driver", driver).with_opt("device", words.next_back().or(driver))
}

fn open_ref_tracker(line: &Line<'_>, _: Before<'_>) -> Option<Opened> {
    let rest = line.text().strip_prefix("ref_tracker: ")?;
    let event = Event::new(REF_TRACKER.name, class::REFCOUNT, Severity::Report).titled("references held on a device");
    let event = if let Some((who, counts)) = split(rest, " has ") {
        let (users, total) = split(counts, " users at")?.0.split_once('/')?;
        let device = who.split('@').next().unwrap_or(who);
        event
            .with("what", "held")
            .with("device", device)
            .with_opt("users", users.parse::<u64>().ok())
            .with_opt("total", total.parse::<u64>().ok())
    } else if has(rest, "leaked reference") {
        event.with("what", "leaked")
    } else if has(rest, "reference already released") {
        event.with("what", "already-released")
    } else {
        return None;
    };
    Opened::trace(event)
}

fn ref_tracker_body(report: &mut Report, line: &Line<'_>) -> Step {
    let text = line.text();
    if text.starts_with("ref_tracker: ") {
        return Step::Stop;
    }
    for (head, name) in [("allocated in:", "taken by"), ("freed in:", "given back by")] {
        if text.starts_with(head) {
            report.begin_stack(name);
            return Step::Take;
        }
    }
    Step::Pass
}

fn open_rtnl(line: &Line<'_>, _: Before<'_>) -> Option<Opened> {
    let rest = line.text().strip_prefix("RTNL: assertion failed at ")?;
    let file = rest.split(' ').next()?;
    let number = between(rest, "(", ")").and_then(|n| n.parse::<u32>().ok());
    let mut event = Event::new(RTNL.name, class::WARNING, Severity::Report).titled("RTNL: assertion failed");
    event.set("file", file);
    Opened::trace(event.with_opt("line", number))
}

/// The header of the WARN whose message opened the report.
fn warn_body(report: &mut Report, line: &Line<'_>) -> Step {
    let text = line.text();
    if text.starts_with("WARNING: ") && !report.has_frames() && report.event.place.is_none() {
        report.event.cpu = number_after(text, "CPU: ").and_then(|n| u32::try_from(n).ok());
        report.event.place = after(text, " at ")
            .and_then(|t| t.split_once(' '))
            .and_then(|(_, place)| location_at(&mut Cursor::new(place)));
        return Step::Take;
    }
    Step::Pass
}

fn rtnl_finish(report: &mut Report) {
    if let Some(place) = &report.event.place {
        report.event.title = format!("{} in {}", report.event.title, place.function);
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{events, fields};

    #[test]
    fn drivers_tell_of_queues_that_hang_and_resets_that_fail() {
        for (text, what, device) in [
            ("ice 0000:31:00.0: Tx hang detected on VSI 16, queue 3", "unit-hang", "0000:31:00.0"),
            ("ice 0000:31:00.0: PF reset failed", "reset-failed", "0000:31:00.0"),
            ("r8152 2-1:1.0 eth0: Tx timeout", "timeout", "eth0"),
            ("igb 0000:03:00.0 enp3s0: PCIe link lost", "lost", "enp3s0"),
        ] {
            assert_eq!(fields(&format!("[ 5252.261501] {text}"), &["what", "device"]), [what, device], "{text}");
        }
    }

    #[test]
    fn a_timeout_without_trace_names_device_and_queue() {
        let text =
            "[   52.261501] ixgbe 0000:01:00.0: eth0: NETDEV WATCHDOG: CPU: 3: transmit queue 7 timed out 5012 ms";
        assert_eq!(
            fields(text, &["class", "driver", "device", "queue", "timeout_ms", "cpu"]),
            ["net-watchdog", "ixgbe", "eth0", "7", "5012", "3"]
        );
        let text = "[   52.261501] e1000e 0000:00:19.0 eth0: Detected Tx Unit Hang:";
        assert_eq!(fields(text, &["what", "driver", "device"]), ["unit-hang", "e1000e", "eth0"]);
        let text = "[   52.261501] e1000e 0000:00:19.0 eth0: Detected Hardware Unit Hang:";
        assert_eq!(fields(text, &["what", "driver", "device"]), ["unit-hang", "e1000e", "eth0"]);
        let text = "[   52.261501] ena 0000:00:03.0 eth0: The number of lost tx completions is above the threshold (156 > 128). Reset the device";
        assert_eq!(fields(text, &["what", "device"]), ["lost-completions", "eth0"]);
        let text = "[   52.261501] igc 0000:06:00.0 eno1: PCIe link lost, device now detached";
        assert_eq!(fields(text, &["what", "class"]), ["lost", "hardware-pcie"]);
        let text = "[   52.261501] i40e 0000:01:00.0: TX driver issue detected, PF reset issued";
        assert_eq!(fields(text, &["what", "driver", "device"]), ["reset", "i40e", "0000:01:00.0"]);
        let text = "[   52.261501] ixgbe 0000:01:00.0: Adapter removed";
        assert_eq!(fields(text, &["what", "class"]), ["lost", "hardware-pcie"]);
        assert!(events("[   52.261501] igb: enabling tx hang check").is_empty());
    }

    #[test]
    fn a_timeout_that_a_warn_carries_keeps_its_trace() {
        let text = "[   52.261501] ------------[ cut here ]------------\n\
             [   52.261501] NETDEV WATCHDOG: eth0 (igb): transmit queue 2 timed out\n\
             [   52.261501] WARNING: CPU: 1 PID: 0 at net/sched/sch_generic.c:442 dev_watchdog+0x4c7/0x4d0\n\
             [   52.261501] CPU: 1 PID: 0 Comm: swapper/1 Not tainted 5.10.0 #1\n\
             [   52.261501] RIP: 0010:dev_watchdog+0x4c7/0x4d0\n[   52.261501] Call Trace:\n\
             [   52.261501]  call_timer_fn+0x1/0x2\n";
        assert_eq!(events(text).len(), 1);
        assert_eq!(
            fields(text, &["class", "severity", "device", "driver", "queue", "function", "release"]),
            ["net-watchdog", "report", "eth0", "igb", "2", "dev_watchdog", "5.10.0"]
        );
    }

    #[test]
    fn every_holder_of_references_is_an_event() {
        let text = "[   52.261501] ref_tracker: eth0@ffff88810a2b0550 has 1/2 users at\n\
             [   52.261501]      netdev_get_by_index+0x10/0x20\n[   52.261501]      fib_create_info+0x10/0x20\n\
             [   52.261501] \n[   52.261502] ref_tracker: eth0@ffff88810a2b0550 has 1/2 users at\n\
             [   52.261502]      dst_init+0x10/0x20\n";
        let found = events(text);
        assert_eq!(found.len(), 2, "{found:#?}");
        assert_eq!(fields(text, &["device", "users", "total"]), ["eth0", "1", "2"]);
        assert_eq!(found[1].stacks[0].functions().next(), Some("dst_init"));
    }

    #[test]
    fn an_assertion_and_the_warning_that_carries_it_are_one() {
        let text = "[   52.261501] ------------[ cut here ]------------\n\
             [   52.261501] RTNL: assertion failed at net/core/dev.c (1871)\n\
             [   52.261501] WARNING: CPU: 1 PID: 9 at net/core/dev.c:1871 call_netdevice_notifiers_info+0x10/0x20\n\
             [   52.261501] Call Trace:\n[   52.261501]  f+0x1/0x2\n";
        assert_eq!(events(text).len(), 1);
        assert_eq!(
            fields(text, &["title", "file", "line"]),
            ["RTNL: assertion failed in call_netdevice_notifiers_info", "net/core/dev.c", "1871"]
        );
    }
}
