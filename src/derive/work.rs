//! What a worker was doing, and what an idle CPU was not.

use facts::{Fact, Value};

use super::functions;
use super::names;
use super::path::{self, Hop};

/// The work function that a report's `Workqueue:` line names, its module first: `events damage_work [drm_kms_helper]`.
pub(super) fn function(fact: &Fact) -> Option<Hop> {
    let words = fact.text("workqueue")?;
    let mut words = words.split_ascii_whitespace().skip(1);
    let function = words.next()?;
    named(function, words.next())
}

/// The functions that run on the pool which makes no progress: `3000:damage_work [drm_kms_helper] BAR(77)`.
pub(super) fn in_flight(fact: &Fact) -> Vec<Hop> {
    let items = fact.get("in_flight_of_pool").and_then(Value::as_list).unwrap_or_default();
    let item = |item: &Value| {
        let text = item.as_text()?;
        let text = text.split_once(':').map_or(text, |(_, rest)| rest);
        let mut words = text.split_ascii_whitespace();
        named(words.next()?, words.next())
    };
    items.iter().take(64).filter_map(item).collect()
}

/// The queue of a work item that is gone already: `Workqueue:  0x0 (iw_cm_wq)`. Its name is the one hint to its owner.
pub(super) fn queue(fact: &Fact) -> Option<&str> {
    let words = fact.text("workqueue")?;
    let (before, rest) = words.split_once('(')?;
    let name = rest.split_once(')')?.0;
    let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b':' | b'/'));
    (plain && !name.is_empty() && function(fact).is_none() && before.trim().starts_with("0x0")).then_some(name)
}

fn named(function: &str, module: Option<&str>) -> Option<Hop> {
    let plain = names::plain(function.split('+').next().unwrap_or(function));
    let first = plain.bytes().next()?;
    if !(first.is_ascii_alphabetic() || first == b'_') || !plain.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    {
        return None;
    }
    let module = module.and_then(|m| m.strip_prefix('[')?.strip_suffix(']')).map(str::to_owned);
    Some(Hop { module, ..Hop::named(plain) })
}

/// Functions in which a CPU waits for the next interrupt.
const IDLE: &[&str] = &[
    "*safe_halt",
    "native_halt",
    "default_idle*",
    "arch_cpu_idle*",
    "mwait_idle*",
    "intel_idle*",
    "acpi_idle*",
    "acpi_safe_halt",
    "acpi_processor_ffh_cstate*",
    "cpuidle_enter*",
    "cpu_do_idle",
    "poll_idle",
    "haltpoll*",
    "cpu_idle*",
    "do_idle",
];

/// Words in `Hardware name:` of virtual machines.
const GUESTS: &[&str] = &[
    "VMware",
    "QEMU",
    "KVM",
    "Standard PC",
    "VirtualBox",
    "innotek",
    "Xen",
    "HVM domU",
    "Virtual Machine",
    "Google Compute",
    "Amazon EC2",
    "OpenStack",
    "Bochs",
    "Alibaba Cloud",
    "Parallels",
    "Nutanix",
    "DigitalOcean",
    "oVirt",
];

/// Was the CPU idle when a lockup was reported of it? An idle CPU cannot lock up: it was not run.
pub(super) fn is_idle(fact: &Fact) -> bool {
    if !matches!(fact.text("class"), Some("soft-lockup" | "hard-lockup")) {
        return false;
    }
    let way = path::interrupted_way(fact, path::main_stack(fact));
    let mut own = way.iter().filter(|h| !h.helps(functions::Helper::Reporting));
    own.next().is_some_and(|h| functions::any(IDLE, h.function.trim_start_matches('_')))
}

/// What a lockup of an idle CPU means.
pub(super) fn idle(fact: &Fact) -> Option<String> {
    is_idle(fact).then(|| match is_guest(fact) {
        true => "the CPU was idle, and an idle CPU cannot lock up: the host did not run this virtual CPU (overcommitted, paused for a snapshot, migrated)".to_owned(),
        false => "the CPU was idle, and an idle CPU cannot lock up: it was stopped from outside (a hypervisor, the firmware, a suspend) or its clock jumped".to_owned(),
    })
}

/// Is the machine a guest by what its firmware calls it?
pub(super) fn is_guest(fact: &Fact) -> bool {
    fact.text("hardware").is_some_and(|name| GUESTS.iter().any(|guest| name.contains(guest)))
}

#[cfg(test)]
mod tests {
    use facts::Origin;

    use super::*;

    #[test]
    fn work_functions_are_read_where_they_stand() {
        let fact =
            |name: &str, value: Value| Fact::new("log.x", Origin::lines("dmesg", 1, 1)).with(name.to_owned(), value);
        let told = |hop: Option<Hop>| hop.map(|h| (h.function, h.module));
        let ksmbd = Some(("handle_it".to_owned(), Some("ksmbd".to_owned())));
        assert_eq!(told(function(&fact("workqueue", "ksmbd-io handle_it [ksmbd]".into()))), ksmbd);
        assert_eq!(told(function(&fact("workqueue", "events".into()))), None);
        assert_eq!(told(function(&fact("workqueue", "events 0xffffffff81000000".into()))), None);
        let items = vec!["3000:handle_it [ksmbd]", "12(RESCUER):other"];
        let found: Vec<String> =
            in_flight(&fact("in_flight_of_pool", items.into())).into_iter().map(|h| h.function).collect();
        assert_eq!(found, ["handle_it", "other"]);
    }

    #[test]
    fn the_queue_of_an_item_that_is_gone_is_named() {
        let fact = |words: &str| Fact::new("log.oops", Origin::lines("dmesg", 1, 1)).with("workqueue", words);
        assert_eq!(queue(&fact(" 0x0 (iw_cm_wq)")), Some("iw_cm_wq"));
        assert_eq!(queue(&fact("events handle_it [ksmbd]")), None);
        assert_eq!(queue(&fact("0x0")), None);
    }

    #[test]
    fn an_idle_cpu_of_a_guest_was_not_run() {
        let lockup = Fact::new("log.soft_lockup", Origin::lines("dmesg", 1, 9))
            .with("class", "soft-lockup")
            .with("function", "native_safe_halt");
        assert!(
            idle(&lockup.clone().with("hardware", "VMware, Inc. VMware Virtual Platform"))
                .is_some_and(|t| t.contains("host"))
        );
        assert!(idle(&lockup.clone()).is_some_and(|t| !t.contains("the host did not")));
        assert!(idle(&lockup.with("function", "xfs_iget")).is_none());
    }
}
