//! What a failure says of which device, in one line: the titles of events leave out what changes from machine to machine,
//! and whoever reads a verdict wants to know which disk it is.

use facts::{Fact, Value};

use super::blame::{self, Candidate};
use super::{folded, init, names, path, shortage, work};

/// A title that names device, driver and numbers, where the event has them.
pub(super) fn headline(fact: &Fact) -> Option<String> {
    let said = match work::queue(fact) {
        Some(queue) => {
            let title = named(fact).or_else(|| fact.text("title").map(str::to_owned))?;
            Some(format!("{title}; the work item is gone, it was of the work queue {queue}"))
        }
        None => named(fact),
    };
    let Some(consequence) = fact.text("consequence").filter(|c| !c.is_empty()) else { return said };
    let said = said.or_else(|| fact.text("title").map(str::to_owned))?;
    Some(format!("{said}: {consequence}"))
}

/// Is it a connection or a session of the iSCSI initiator: `connection5:0`, `session7`?
pub(super) fn is_iscsi(driver: &str) -> bool {
    let number = driver.strip_prefix("connection").or_else(|| driver.strip_prefix("session"));
    number.is_some_and(|n| n.starts_with(|c: char| c.is_ascii_digit()))
}

/// A title that names a helper says nothing of where to look: the caller that is to blame stands beside it.
pub(super) fn on_behalf(fact: &Fact, blamed: &Candidate) -> Option<String> {
    let (title, helps) = (fact.text("title")?, blamed.reason.starts_with("first caller that is no helper"));
    let Some(place) = fact.text("function") else {
        // The log does not say where; the trace does.
        let place = match helps {
            true => format!(", called for {}", blamed.function),
            false if blamed.reason == "innermost frame of the trace" => format!(" in {}", blamed.function),
            false => return None,
        };
        return (fact.kind == "log.oops" && !title.contains(" in ")).then(|| format!("{title}{place}"));
    };
    let helps = helps && names::plain(place) != blamed.function;
    let (head, tail) = title.split_once(&format!(" in {place}")).filter(|_| helps)?;
    // The name may go on.
    let ends = tail.is_empty() || tail.starts_with([':', ';', ',']);
    ends.then(|| format!("{head} in {place}, called for {}{tail}", blamed.function))
}

/// Names of the error numbers that drivers return when they cannot take a device.
fn name_of_error(number: i64) -> &'static str {
    match number {
        1 => ", not permitted",
        5 => ", I/O error",
        12 => ", no memory",
        16 => ", busy: another driver has it",
        19 => ", no such device",
        22 => ", invalid: a parameter, or firmware that the driver does not know",
        28 => ", no space",
        110 => ", the device did not answer in time",
        _ => "",
    }
}

fn named(fact: &Fact) -> Option<String> {
    let text = |name: &str| fact.text(name).filter(|t| !t.is_empty());
    let printed = text("title")?;
    let fixed = without_hook(fact, printed);
    let title = fixed.as_deref().unwrap_or(printed);
    let what = || text("what").unwrap_or("error").replace('-', " ");
    let device = text("device");
    match &*fact.kind {
        "log.ata_error" => {
            let port = text("port")?;
            let gone = fact.get("gone").is_some().then_some("its controller reads as all ones: gone from the bus");
            let details = list(&[text("cause"), text("error"), text("command"), gone]);
            Some(format!("{port}: ATA {}{details}", what()))
        }
        // A report without its head does not say for how long.
        "log.hung_task" => Some(match (text("comm"), fact.int("seconds")) {
            (Some(comm), Some(seconds)) => format!("{comm} did not run for {seconds} s"),
            (Some(comm), None) if fact.get("listed").is_some() => {
                format!("{comm} was blocked when its stack was asked for, nobody knows for how long")
            }
            (Some(comm), None) => format!("{comm} was blocked, the log does not say for how long"),
            (None, Some(seconds)) => format!("a task did not run for {seconds} s"),
            (None, None) => match fact.int("pid").filter(|_| fact.get("listed").is_some()) {
                Some(pid) => format!("task {pid} was blocked when its stack was asked for, nobody knows for how long"),
                None => format!("a task was blocked: {title}"),
            },
        }),
        "log.bad_page" => Some(format!("{title} (page frame {:#x})", fact.int("pfn")?)),
        "log.nvme_error" => {
            let device = device?;
            let gone = (fault_all_ones(fact)).then_some("gone from the bus");
            Some(format!("{device}: NVMe {}{}", what(), list(&[text("action"), gone])))
        }
        "log.scsi_error" if text("what") == Some("remote-port") => {
            Some(format!("{}: the remote port of the fabric did not come back in time", text("target")?))
        }
        "log.host_adapter" if fact.quote.contains("session recovery timed out") => {
            Some(format!("{}: the iSCSI session could not be recovered in time", text("driver")?))
        }
        "log.scsi_error" => {
            let target = text("target").map(|t| format!("SCSI {t}"));
            let name = match (device, target) {
                (Some(device), Some(target)) => format!("{device} ({target})"),
                (Some(device), None) => device.to_owned(),
                (None, target) => target?,
            };
            let worn = text("sense").is_some_and(|sense| sense.starts_with("No defect spare location"));
            let worn = if worn { "; no spare sectors are left: replace it" } else { "" };
            let bare = match title.strip_prefix("scsi: ").unwrap_or(title) {
                "rejected" if fact.quote.contains("offline device") => "offline, what is asked of it is rejected",
                "rejected" if fact.quote.contains("dead device") => "gone, what is asked of it is rejected",
                bare => bare,
            };
            Some(format!("{name}: {bare}{}{worn}", list(&[text("sense")])))
        }
        "log.initramfs" if text("what") == Some("no-device") => no_device(fact),
        "log.initramfs" => {
            let what = match text("what") {
                Some("no-root") => ("the root was not found", "a shell"),
                _ => ("a file system was not found", "emergency mode"),
            };
            Some(format!("{}{}: the boot ended in {}", what.0, list(&[device]), what.1))
        }
        "log.block_io_error" => Some(format!("{}: {}", device?, title.strip_prefix("block: ").unwrap_or(title))),
        "log.net_watchdog" => {
            let driver = text("driver").filter(|driver| device != Some(driver));
            let name = match driver {
                Some(driver) => format!("{} ({driver})", device?),
                None => device?.to_owned(),
            };
            let said = match (text("what"), fact.int("queue")) {
                (Some("timeout"), Some(queue)) => format!("transmit queue {queue} stalled"),
                (Some("timeout"), None) => "transmit queue stalled".to_owned(),
                (Some("lost"), _) => "PCI Express link lost".to_owned(),
                (Some("checksum"), _) => "packets with a wrong checksum of the hardware".to_owned(),
                _ => what(),
            };
            let ms = fact.int("timeout_ms").map(|ms| format!(" for {ms} ms")).unwrap_or_default();
            Some(format!("{name}: {said}{ms}"))
        }
        "log.gpu_error" => {
            let driver = text("driver")?;
            let name = device.map_or_else(|| driver.to_owned(), |device| format!("{driver} {device}"));
            let comm = text("comm").filter(|comm| !comm.starts_with('<')).map(|comm| format!("process {comm}"));
            let means = fact.int("xid").filter(|_| driver == "nvidia").and_then(meaning_of_xid);
            let outcome = fact.get("outcome").and_then(Value::as_list).unwrap_or_default();
            let outcome = outcome.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            let details = [means, text("ring"), comm.as_deref(), text("fault"), Some(outcome.as_str())];
            Some(format!("{name}: {title}{}", list(&details)))
        }
        "log.device_firmware" | "log.host_adapter" => {
            let driver = text("driver")?;
            let name = match device.filter(|d| *d != driver) {
                Some(device) => format!("{driver} {device}"),
                None => driver.to_owned(),
            };
            let bare = title.strip_prefix(driver).map_or(title, |t| t.trim_start_matches([':', ' ']));
            let bare = match bare.strip_prefix("storage controller") {
                Some(rest) if is_iscsi(driver) => &format!("iSCSI{rest}"),
                _ => bare,
            };
            Some(format!("{name}: {bare}{}", list(&[text("command"), text("syndrome")])))
        }
        "log.pcie_error" => Some(format!(
            "{}: {}{}",
            device?,
            title.replace("PCIe", "PCI Express"),
            list(&[text("errors"), text("layer")])
        )),
        "log.iommu_fault" => {
            let access = text("access").map_or_else(|| "access".to_owned(), |access| format!("DMA {access}"));
            let address = fault_number(fact.get("address")).map(|address| format!("to {address:#x}"));
            Some(format!("{}: {access} stopped by the IOMMU{}", device?, list(&[address.as_deref(), text("reason")])))
        }
        "log.edac" => {
            let place = text("where").map(|place| format!(" on {place}")).unwrap_or_default();
            let count = fact.int("count").unwrap_or(1);
            let sort = match fact.get("uncorrected").and_then(Value::as_bool) {
                Some(true) => "uncorrected ",
                Some(false) => "corrected ",
                None => "",
            };
            let plural = if count == 1 { "" } else { "s" };
            Some(format!("{count} {sort}memory error{plural}{place}"))
        }
        "log.mce" if text("what") != Some("no-rendezvous") => {
            let deferred = is_deferred(fact);
            let sort = match fact.get("uncorrected").and_then(Value::as_bool) {
                _ if deferred => "deferred error",
                Some(true) => "uncorrected error",
                Some(false) => "corrected error",
                None => return None,
            };
            let bank = fact.int("bank").map(|bank| format!("bank {bank}"));
            let cpu = fact.int("cpu").map(|cpu| format!("CPU {cpu}"));
            let status = fault_number(fact.get("status"));
            let corrupt = status.is_some_and(|s| s >> 57 & 1 == 1).then_some(match deferred {
                true => "context corrupt, which does not fit: the record itself may be wrong",
                false => "context corrupt",
            });
            let over = status.is_some_and(|s| s >> 62 & 1 == 1).then_some("errors before it were overwritten");
            Some(format!(
                "machine check: {sort}{}",
                list(&[bank.as_deref(), cpu.as_deref(), text("detail"), corrupt, over])
            ))
        }
        "log.unregister_netdevice" => {
            let device = device?;
            Some(match fact.int("usage") {
                Some(usage) if usage < 0 => {
                    format!("{device}: removal waits with usage count {usage}: a reference was given back too often")
                }
                Some(usage) => format!("{device}: removal waits for references (usage count {usage})"),
                None => format!("{device}: removal waits for references"),
            })
        }
        "log.panic" if fact.text("reason")?.starts_with("An NMI occurred") => Some(
            "kernel panic: the board raised an NMI: its watchdog ran out because the system hung, somebody pressed the NMI button, or a bus error"
                .to_owned(),
        ),
        "log.panic" if text("reason")?.contains("Not all CPUs entered broadcast") => Some(format!(
            "{title}: a machine check was signalled and not all CPUs came to handle it, so there is no record of it: hardware, or CPUs that the firmware or the hypervisor held"
        )),
        "log.mce" if text("what") == Some("no-rendezvous") => Some(format!(
            "{title}: hardware, or CPUs that the firmware or the hypervisor held; the list may hold some that did come"
        )),
        "log.firmware_error_record" => {
            let errors = fact.text("errors");
            Some(format!("{title}{}", list(&[device, text("fru"), text("location"), errors])))
        }
        "log.panic" => init::ended(fact).map(|how| format!("{title}: {how}")),
        "log.spinlock_bug" => spinlock(fact, title),
        "log.atomic_sleep" => {
            let disabled = |name: &str| text(name).filter(|function| !blame::is_helper(function));
            let took = disabled("lock_taken_at").map(|f| format!("{title}: {f} holds a spinlock that it took"));
            let off = || disabled("preemption_disabled_at").map(|f| format!("{title}: {f} had disabled preemption"));
            took.or_else(off).or_else(|| fixed.clone())
        }
        "log.rcu_stall" => stall(fact, title).or_else(|| fixed.clone()),
        "log.page_alloc_failure" if fact.get("stall_ms").is_some() => Some(format!(
            "a page was waited for during {} s: memory is short",
            fact.int("stall_ms")?.max(0) / 1000
        )),
        "log.oom" | "log.memcg_oom" | "log.page_alloc_failure" => shortage::headline(fact, title),
        "log.soft_lockup" | "log.hard_lockup" => {
            let grew = fact.get("longest").is_some();
            let seconds = fact.int("seconds").map(|s| format!("{}{s} s", if grew { "up to " } else { "" }));
            let named = title.contains(" in ");
            let comm = text("comm").filter(|_| !named);
            let details = list(&[cpu_names(&folded::cpus(fact)).as_deref(), seconds.as_deref(), comm]);
            // Without a function these are all there is; with one, what several reports differ in.
            let worth = !named || grew || fact.get("cpus").is_some();
            let bare = || (worth && !details.is_empty()).then(|| format!("{title}{details}"));
            work::idle(fact).map(|why| format!("{title}: {why}")).or_else(bare).or_else(|| fixed.clone())
        }
        "log.workqueue_lockup" => {
            let up_to = if fact.get("longest").is_some() { "up to " } else { "" };
            let seconds = fact.int("seconds").map(|s| format!(" for {up_to}{s} s")).unwrap_or_default();
            let runs = work::in_flight(fact).into_iter().next().map(|item| {
                let module = item.module.map(|m| format!(" [{m}]")).unwrap_or_default();
                format!(": its pool runs {}{module}", item.function)
            });
            (runs.is_some() || !up_to.is_empty()).then(|| format!("{title}{seconds}{}", runs.unwrap_or_default()))
        }
        "log.slab_alloc_failure" => Some(format!(
            "{title}: the cache of the memory cgroup {}, whose limit refused it, not the machine",
            text("memcg_name")?
        )),
        "log.slab_corruption" if text("class") == Some("leak") => Some(format!(
            "{}: objects were left in the slab cache when it was destroyed; the module that owns it leaks them",
            text("cache")?
        )),
        "log.raid_error" => {
            let array = text("array");
            let name = match (array, device) {
                (Some(array), Some(device)) => format!("{array} ({device})"),
                (one, other) => one.or(other)?.to_owned(),
            };
            Some(format!("{name}: {title}"))
        }
        "log.clocksource" | "log.limit_reached" => {
            let place =
                list(&[text("table"), text("cgroup"), fact.int("port").map(|p| format!("port {p}")).as_deref()]);
            let limit = fact.int("limit").map(|limit| format!(", limit {limit}")).unwrap_or_default();
            (!place.is_empty() || !limit.is_empty() || text("consequence").is_some())
                .then(|| format!("{title}{place}{limit}"))
        }
        "log.probe_failure" => {
            let errno = fact.int("errno").map(|n| format!(" (error {n}{})", name_of_error(n))).unwrap_or_default();
            Some(format!("{} {}: the driver could not take the device into use{errno}", text("driver")?, device?))
        }
        "log.swap_error" => {
            let on = device.map(|device| format!("on device {device}"));
            let entry = text("entry").map(|entry| format!("entry {entry}"));
            Some(format!("swap: {}{}", what(), list(&[on.as_deref(), entry.as_deref(), text("in_function")])))
        }
        "log.power" => {
            let errno = fact.int("errno").map(|n| format!(" (error {n}{})", name_of_error(n))).unwrap_or_default();
            let name = [text("driver"), device].into_iter().flatten().collect::<Vec<_>>().join(" ");
            Some(match text("what")? {
                "freeze" => "the machine could not be put to sleep".to_owned(),
                "under-voltage" => "the supply voltage fell below what the board needs".to_owned(),
                _ if name.is_empty() => "a device could not be put to sleep".to_owned(),
                "resume" => format!("{name}: could not be woken{errno}"),
                _ => format!("{name}: could not be put to sleep{errno}"),
            })
        }
        "log.pci_function_lost" => Some(format!("{}: {title}{}", device?, list(&[text("driver")]))),
        "log.object_model" => Some(format!("{title}: {}", short(text("name")?))),
        "log.drbd" => {
            let peer = text("peer").map(|peer| format!("peer {peer}"));
            let said = match text("what") {
                Some("no-data") => "neither this machine nor its peer has the data that was asked for".to_owned(),
                Some("peer-lost") => "the connection to the peer was lost".to_owned(),
                _ => what(),
            };
            Some(format!("drbd {}: {said}{}", device?, list(&[text("minor"), peer.as_deref()])))
        }
        "log.link" => {
            let of = text("of")
                .map(|of| if device.is_some_and(|d| d.contains(':')) { format!("slot {of}") } else { of.to_owned() });
            Some(format!("{}: link {}{}", device?, what(), list(&[of.as_deref(), text("driver")])))
        }
        "log.paravirtual" => {
            let command = fact.int("command").map(|c| format!("command {c:#x}"));
            let srb = fact.int("srb").map(|s| format!("request status {s:#x}"));
            let name = [text("driver"), device].into_iter().flatten().collect::<Vec<_>>().join(" ");
            Some(format!("{name}: {}{}", what(), list(&[command.as_deref(), srb.as_deref()])))
        }
        "log.irq_nobody_cared" => {
            let handlers = fact.get("handlers").and_then(Value::as_list).unwrap_or_default();
            let handlers: Vec<String> = handlers.iter().take(4).map(|h| format!("handler {h}")).collect();
            let handlers: Vec<Option<&str>> = handlers.iter().map(|h| Some(h.as_str())).collect();
            Some(format!("interrupt {}: nobody cared{}", fact.int("irq")?, list(&handlers)))
        }
        "log.usb_host_error" => {
            let port = fact.int("port").map(|p| format!("port {p}"));
            Some(format!("{}: {title}{}", device?, list(&[port.as_deref()])))
        }
        _ if text("filesystem").is_some() => {
            let name = text("filesystem")?;
            let on = device.map(|device| format!(" on {device}")).unwrap_or_default();
            let detail = text("detail").map(short);
            let early = match text("moment") {
                Some("write") => "; it was wrong in memory already when it was to be written: memory, or code that overwrites it, not the disk",
                _ => "",
            };
            Some(format!("{name}{on}: {}{}{early}", happened(fact)?, list(&[detail.as_deref()])))
        }
        // The kernel's own sentence says more than the place of the check.
        "log.warning" if text("class") == Some("warning") => {
            let message = text("message").filter(|m| !title.contains(m))?;
            Some(format!("{title}: {}", short(message)))
        }
        _ => fixed,
    }
}

/// The title with the function that called a hook of a sanitizer in the place of the hook: the compiler puts those into
/// all code.
fn without_hook(fact: &Fact, title: &str) -> Option<String> {
    const HOOKS: &[&str] = &[
        "__sanitizer_cov_",
        "__kasan_",
        "kasan_check_range",
        "__asan_",
        "__tsan_",
        "__kcsan_",
        "__msan_",
        "write_comp_data",
    ];
    let is_hook = |name: &str| HOOKS.iter().any(|hook| name.starts_with(hook));
    let (head, _) = title.rsplit_once(" in ").filter(|(_, function)| is_hook(function))?;
    let way = path::main_stack(fact).map(path::hops).unwrap_or_default();
    Some(match way.iter().find(|hop| !is_hook(&hop.function)) {
        Some(hop) => format!("{head} in {}", hop.function),
        None => head.to_owned(),
    })
}

/// Data that could not be corrected was marked, and nobody has used it yet (`MCI_STATUS_DEFERRED` of AMD).
pub(super) fn is_deferred(fact: &Fact) -> bool {
    fact.kind == "log.mce" && fact.quote.contains("Deferred error")
}

/// What NVIDIA's catalogue of Xid numbers says of the common ones.
fn meaning_of_xid(xid: i64) -> Option<&'static str> {
    Some(match xid {
        13 => "an engine's exception: the program's, as a rule",
        31 => "an access of the program to memory that is not its own",
        43 | 45 => "the work of one program was ended",
        48 => "an uncorrectable error in its own memory",
        63 => "a bad row or page of its own memory was recorded for remapping",
        64 => "a bad row or page of its own memory could not be remapped",
        74 => "an error of an NVLink",
        79 => "it has fallen off the bus",
        92 => "very many corrected errors in its own memory",
        94 | 95 => "an uncorrectable error in its own memory was contained or not",
        119 | 120 => "its own system processor does not answer",
        154 => "what is to be done about the error before",
        _ => return None,
    })
}

/// What befell a filesystem. Where it stops, the error number tells why.
fn happened(fact: &Fact) -> Option<String> {
    let what = fact.text("what")?;
    let why = match fact.int("errno") {
        Some(28 | 122) => ", no space left",
        Some(12) => ", no memory",
        Some(74 | 117) => ", damaged",
        Some(5 | 6 | 19 | 110 | 121) => ", I/O error",
        _ => "",
    };
    Some(match what {
        "abort" | "mount" => format!("{}{why}", if what == "mount" { "cannot be mounted" } else { what }),
        "no-memory" => "an allocation keeps failing for want of memory".to_owned(),
        "no-space" => "no space left".to_owned(),
        _ => what.replace('-', " "),
    })
}

/// What the line that shows a spinlock says of it (kernel/locking/spinlock_debug.c).
fn spinlock(fact: &Fact, title: &str) -> Option<String> {
    /// `SPINLOCK_MAGIC`, `RWLOCK_MAGIC`
    const MAGIC: [i64; 2] = [0xdead_4ead, 0xdeaf_1eed];
    let name = fact.text("lock_name").map(|name| format!("; lock {name}")).unwrap_or_default();
    let said = match fact.int("magic") {
        Some(0) => "the lock was never initialised, or was zeroed".to_owned(),
        Some(0x6b6b_6b6b) => "the lock lies in freed memory".to_owned(),
        Some(magic) if !MAGIC.contains(&magic) => {
            format!("the lock is overwritten: {magic:#010x} stands where its magic was")
        }
        _ => {
            let (comm, pid) = fact.text("owner")?.rsplit_once('/')?;
            let pid: i64 = pid.parse().ok()?;
            match fact.int("owner_cpu").filter(|cpu| *cpu >= 0) {
                _ if pid > 0 && fact.int("pid") == Some(pid) => "the task holds it already".to_owned(),
                Some(cpu) => format!("{comm} (pid {pid}) holds it on CPU {cpu}"),
                _ if pid < 0 => return (!name.is_empty()).then(|| format!("{title}{name}")),
                None => format!("{comm} (pid {pid}) holds it"),
            }
        }
    };
    Some(format!("{title}: {said}{name}"))
}

/// Which CPUs hold up a grace period, and for how long.
fn stall(fact: &Fact, title: &str) -> Option<String> {
    let mut parts: Vec<String> = Vec::new();
    parts.extend(fact.get("cpus").and_then(|_| cpu_names(&folded::cpus(fact))));
    match fact.get("blocked_tasks").and_then(Value::as_list).unwrap_or_default() {
        [] => {}
        [pid] => parts.push(format!("task {pid}, which was preempted within a read-side section")),
        several => parts.push(format!("{} preempted tasks", several.len())),
    }
    if let Some(jiffies) = fact.int("jiffies") {
        let up_to = if fact.get("longest").is_some() { "up to " } else { "" };
        parts.push(format!("{up_to}{jiffies} jiffies"));
    }
    if let Some(starved) = fact.int("kthread_starved") {
        parts.push(format!("its own thread did not run for {starved} jiffies"));
    }
    if let Some(late) = fact.int("timer_late") {
        parts.push(format!("a timer is {late} jiffies late"));
    }
    if let Some(cpu) = fact.int("timer_cpu") {
        parts.push(format!("CPU {cpu} may not handle its timers"));
    }
    if fact.int("ticks_max") == Some(0) && fact.get("idle").and_then(Value::as_bool) == Some(true) {
        parts.push(
            "no tick reached these CPUs and they idle: the virtual machine was stopped, or a timer was lost".to_owned(),
        );
    }
    (!parts.is_empty()).then(|| format!("{title}: {}", parts.join(", ")))
}

/// `CPU 3`, `CPUs 1, 3`, `CPUs 0-3, 8`.
fn cpu_names(cpus: &[i64]) -> Option<String> {
    let mut cpus = cpus.to_vec();
    cpus.sort_unstable();
    cpus.dedup();
    let mut runs: Vec<(i64, i64)> = Vec::new();
    for cpu in &cpus {
        match runs.last_mut().filter(|(_, last)| last.checked_add(1) == Some(*cpu)) {
            Some((_, last)) => *last = *cpu,
            None => runs.push((*cpu, *cpu)),
        }
    }
    let names = runs.iter().take(8).map(|(first, last)| match last - first {
        0 => first.to_string(),
        1 => format!("{first}, {last}"),
        _ => format!("{first}-{last}"),
    });
    let more = if runs.len() > 8 { ", ..." } else { "" };
    let word = if cpus.len() == 1 { "CPU" } else { "CPUs" };
    (!cpus.is_empty()).then(|| format!("{word} {}{more}", names.collect::<Vec<_>>().join(", ")))
}

/// Which root the kernel was asked for, and what it found in its place.
fn no_device(fact: &Fact) -> Option<String> {
    let device = fact.text("device").filter(|device| !device.is_empty());
    let asked = device.map(|device| format!(", {}", short(device))).unwrap_or_default();
    let why = match fact.int("errno") {
        Some(6) => ": no such device",
        Some(19) => ": no driver or no file system for it",
        Some(5) => ": it cannot be read, or its journal is damaged",
        Some(2) => ": it knows no such name",
        Some(30) => ": it can only be mounted read-only",
        Some(22) => ": it holds no file system that the kernel knows, or a damaged one",
        _ => "",
    };
    let present = fact.get("present").and_then(Value::as_list).unwrap_or_default();
    let names: Vec<String> = present.iter().take(12).map(ToString::to_string).collect();
    let saw = match names.as_slice() {
        [] => String::new(),
        names => format!("; it saw {}{}", names.join(", "), if present.len() > 12 { ", ..." } else { "" }),
    };
    // Names of file systems are for an initial file system to look up.
    let lookup =
        device.is_some_and(|d| d.starts_with("UUID=") || d.starts_with("LABEL=") || d.starts_with("/dev/disk/"));
    let lookup = if lookup { "; only an initial file system finds that name, and none was loaded" } else { "" };
    Some(format!("the kernel could not open its root{asked}{why}{lookup}{saw}"))
}

fn list(parts: &[Option<&str>]) -> String {
    let parts: Vec<&str> = parts.iter().flatten().copied().filter(|p| !p.is_empty()).collect();
    if parts.is_empty() { String::new() } else { format!(" ({})", parts.join("; ")) }
}

fn short(text: &str) -> String {
    match text.char_indices().nth(90) {
        Some((at, _)) => format!("{}...", text[..at].trim_end()),
        None => text.to_owned(),
    }
}

fn fault_number(value: Option<&Value>) -> Option<u64> {
    super::fault::number(value)
}

/// A controller whose status reads as all ones is not on the bus any more.
fn fault_all_ones(fact: &Fact) -> bool {
    fault_number(fact.get("csts")).is_some_and(|csts| csts & 0xffff_ffff == 0xffff_ffff)
}

#[cfg(test)]
mod tests {
    use facts::{Address, Origin};

    use super::*;

    #[test]
    fn a_failure_says_of_which_device_it_speaks() {
        let fact = |kind: &'static str, title: &str| Fact::new(kind, Origin::lines("dmesg", 1, 1)).with("title", title);
        for (fact, want) in [
            (
                fact("log.ata_error", "ata: exception")
                    .with("port", "ata1.00")
                    .with("what", "exception")
                    .with("cause", "timeout"),
                "ata1.00: ATA exception (timeout)",
            ),
            (
                fact("log.host_adapter", "storage controller: dead")
                    .with("driver", "session1")
                    .quoting("session1: session recovery timed out after 120 secs"),
                "session1: the iSCSI session could not be recovered in time",
            ),
            (
                fact("log.scsi_error", "scsi: remote-port")
                    .with("what", "remote-port")
                    .with("target", "rport-7:0-2")
                    .quoting("rport-7:0-2: blocked FC remote port time out: removing target and saving binding"),
                "rport-7:0-2: the remote port of the fabric did not come back in time",
            ),
            (
                fact("log.nvme_error", "nvme: down")
                    .with("device", "nvme0")
                    .with("what", "down")
                    .with("csts", Address(0xffff_ffff)),
                "nvme0: NVMe down (gone from the bus)",
            ),
            (
                fact("log.net_watchdog", "network device: timeout")
                    .with("what", "timeout")
                    .with("device", "eth1")
                    .with("driver", "ixgbe")
                    .with("queue", 2),
                "eth1 (ixgbe): transmit queue 2 stalled",
            ),
            (
                fact("log.mce", "machine check: exception")
                    .with("bank", 17)
                    .with("uncorrected", false)
                    .with("status", Address(0xdc20_0000_0002_010b)),
                "machine check: corrected error (bank 17; errors before it were overwritten)",
            ),
            (
                fact("log.panic", "kernel panic: Attempted to kill init!")
                    .with("reason", "Attempted to kill init! exitcode=0x00000100"),
                "kernel panic: Attempted to kill init!: it exited with 1 by itself, look at its own messages above",
            ),
            (
                fact("log.spinlock_bug", "BUG: spinlock lockup suspected")
                    .with("pid", 0)
                    .with("magic", 0xdead_4eadu64)
                    .with("owner", "mali-cmar-backe/801")
                    .with("owner_cpu", 2),
                "BUG: spinlock lockup suspected: mali-cmar-backe (pid 801) holds it on CPU 2",
            ),
            (
                fact("log.spinlock_bug", "BUG: spinlock recursion")
                    .with("pid", 77)
                    .with("magic", 0xdead_4eadu64)
                    .with("owner", "x/77")
                    .with("owner_cpu", 1),
                "BUG: spinlock recursion: the task holds it already",
            ),
            (
                fact("log.spinlock_bug", "BUG: spinlock bad magic").with("magic", 0).with("lock_name", "reboot_lock"),
                "BUG: spinlock bad magic: the lock was never initialised, or was zeroed; lock reboot_lock",
            ),
            (
                fact("log.spinlock_bug", "BUG: spinlock bad magic").with("magic", 0x40),
                "BUG: spinlock bad magic: the lock is overwritten: 0x00000040 stands where its magic was",
            ),
            (
                fact("log.atomic_sleep", "BUG: scheduling while atomic").with("preemption_disabled_at", "demo_send"),
                "BUG: scheduling while atomic: demo_send had disabled preemption",
            ),
            (
                fact("log.initramfs", "boot: the root was not found")
                    .with("what", "no-device")
                    .with("device", "UUID=96991ead")
                    .with("errno", 6)
                    .with("present", vec!["sr0"]),
                "the kernel could not open its root, UUID=96991ead: no such device; only an initial file system finds that name, and none was loaded; it saw sr0",
            ),
            (
                fact("log.rcu_stall", "INFO: rcu detected stall")
                    .with("cpus", vec![1, 3])
                    .with("jiffies", 21003)
                    .with("kthread_starved", 5252),
                "INFO: rcu detected stall: CPUs 1, 3, 21003 jiffies, its own thread did not run for 5252 jiffies",
            ),
        ] {
            assert_eq!(headline(&fact).as_deref(), Some(want));
        }
    }
}
