//! `net`, `mods`, `slab`, `cgroup` and `runq` as text.

use std::fmt::Write as _;

use crate::look::{CgroupView, ModuleDetail, ModuleView, NetView, QueueView, SlabView};
use crate::report::printable;
use crate::report::table::{address, gaps, none, or_dash, table};

/// Network devices.
pub fn net(view: &NetView, width: Option<usize>) -> String {
    let mut out = String::new();
    if view.devices.is_empty() {
        out.push_str(none("no network devices\n", "network devices: not known\n", &view.gaps));
    } else {
        let rows = view.devices.iter().map(|d| {
            vec![
                or_dash(d.ifindex),
                d.name.clone(),
                address(d.address),
                d.state.clone(),
                or_dash(d.references),
                d.flags.map_or_else(|| "-".to_owned(), |f| format!("{f:#x}")),
                or_dash(d.mtu),
                or_dash(d.net_inum),
                if d.listed { d.addresses.join(", ") } else { "on no list".to_owned() },
            ]
        });
        let header = [">IFINDEX", "NAME", "NET_DEVICE", "STATE", ">REFCNT", ">FLAGS", ">MTU", ">NETNS", ""];
        out.push_str(&table(&header, rows, width));
    }
    for device in &view.devices {
        for holder in &device.holders {
            let cache = holder.cache.as_deref().map(|c| format!(", in slab cache {c}")).unwrap_or_default();
            let module = holder.module.as_deref().unwrap_or_default();
            let symbol = holder.module_symbol.as_deref().unwrap_or("its data");
            let what = match holder.kind {
                "module-data" => format!("module {module}, {symbol} at {}", holder.address),
                "slab-object" => format!("an object of unknown type at {}{cache}", holder.address),
                "tracker" if holder.taken_in.is_empty() => format!("a tracked reference at {}", holder.address),
                "tracker" => format!("a tracked reference, taken in {}", holder.taken_in.join(" < ")),
                kind => format!("{kind} ({}) at {}{cache}", holder.type_name, holder.address),
            };
            let kept = match (holder.kind, &holder.module) {
                ("module-data", _) | (_, None) => String::new(),
                _ => format!("; its address is in {symbol} of module {module}"),
            };
            let line = format!("{} is held by: {what}{kept}", device.name);
            let _ = writeln!(out, "{}", printable(&line));
        }
    }
    if let (Some(namespaces), Some(base)) = (view.namespaces, view.base_references) {
        let _ = writeln!(out, "{namespaces} namespaces; a device that nobody refers to has count {base}");
    }
    gaps(&mut out, &view.gaps);
    out
}

/// Modules.
pub fn modules(view: &ModuleView, width: Option<usize>) -> String {
    let rows = view.modules.iter().map(|m| {
        vec![
            address(m.module),
            m.name.clone(),
            address(m.base),
            m.size.to_string(),
            format!("{:?}", m.state).to_lowercase(),
            m.taints.clone().map_or_else(|| "?".to_owned(), |t| if t.is_empty() { "-".to_owned() } else { t }),
            or_dash(m.version.as_deref()),
        ]
    });
    let mut out = match view.modules.is_empty() {
        true => none("no modules\n", "modules: not known\n", &view.gaps).to_owned(),
        false => table(&["MODULE", "NAME", "BASE", ">SIZE", "STATE", "TAINT", "VERSION"], rows, width),
    };
    for patch in &view.live_patches {
        let _ = writeln!(out, "live patch {}: {}", printable(&patch.module), replaces(patch));
    }
    for module in &view.unloaded {
        let taints = module.taints.as_ref().map(|taints| format!(" ({taints})")).unwrap_or_default();
        let times = module.times.filter(|times| *times > 1).map(|times| format!(", {times} times")).unwrap_or_default();
        let last = if module.last { ", the last one" } else { "" };
        let _ = writeln!(out, "unloaded: {}{taints}{times}{last}", printable(&module.name));
    }
    gaps(&mut out, &view.gaps);
    out
}

/// What a live patch does.
fn replaces(patch: &kernel::LivePatch) -> String {
    printable(&format!("{}; replaces {}", patch.state(), patch.functions.join(", ")))
}

/// A module in detail.
pub fn module(view: &ModuleDetail) -> String {
    let mut out = String::new();
    let mut row = |name: &str, value: String| {
        let _ = writeln!(out, "{name:12}{}", printable(&value));
    };
    row("name", view.name.clone());
    row("module", address(view.module));
    row("state", format!("{:?}", view.state).to_lowercase());
    row("taint", view.taints.clone().map_or_else(|| "?".to_owned(), |t| if t.is_empty() { "-".to_owned() } else { t }));
    row("version", or_dash(view.version.as_deref()));
    row("srcversion", or_dash(view.srcversion.as_deref()));
    row("size", view.size.to_string());
    let init = view.init.iter().map(|part| ("init", part));
    let own = view.parts.iter().enumerate().map(|(nth, part)| match (view.parts.len(), nth) {
        (1, _) => ("memory", part),
        (_, 0) => ("text", part),
        _ => ("data", part),
    });
    for (name, part) in own.chain(init) {
        let end = address(facts::Address(part.start.0.saturating_add(part.size)));
        row(name, format!("{} to {end}, {}", address(part.start), part.size));
    }
    row("references", view.references.map_or_else(|| "?".to_owned(), |n| n.to_string()));
    row("used by", if view.users.is_empty() { "-".to_owned() } else { view.users.join(", ") });
    for patch in &view.live_patches {
        let of: Vec<&str> = patch.functions_of(&view.name).collect();
        match patch.module == view.name {
            true => row("live patch", replaces(patch)),
            false => row("patched by", format!("{} ({}): {}", patch.module, patch.state(), of.join(", "))),
        }
    }
    gaps(&mut out, &view.gaps);
    out
}

fn kib(bytes: Option<u64>) -> String {
    bytes.map_or_else(|| "?".to_owned(), |bytes| format!("{}k", bytes.div_ceil(1024)))
}

/// Slab caches.
pub fn slab(view: &SlabView, width: Option<usize>) -> String {
    let rows = view.caches.iter().map(|c| {
        vec![
            address(c.cache),
            c.object_size.to_string(),
            c.allocated.map_or_else(|| "?".to_owned(), |n| n.to_string()),
            c.total.map_or_else(|| "?".to_owned(), |n| n.to_string()),
            c.slabs.map_or_else(|| "?".to_owned(), |n| n.to_string()),
            kib(Some(c.slab_bytes)),
            kib(c.bytes),
            c.name.clone(),
        ]
    });
    let header = ["CACHE", ">OBJSIZE", ">ALLOCATED", ">TOTAL", ">SLABS", ">SSIZE", ">MEMORY", "NAME"];
    let mut out = if view.caches.is_empty() { String::new() } else { table(&header, rows, width) };
    match view.count {
        Some(count) => {
            let _ = writeln!(out, "{} of {count} caches, {}", view.caches.len(), kib(view.bytes));
            for (cache, common) in view.caches.iter().filter_map(|cache| Some((cache, cache.common.as_ref()?))) {
                let _ = writeln!(out, "objects of {}: {}", printable(&cache.name), printable(&common.text()));
            }
        }
        None => out.push_str("slab caches: not known\n"),
    }
    gaps(&mut out, &view.gaps);
    out
}

/// Column of `memory.high`, behind the limit.
const HIGH_AT: usize = 6;

/// Memory cgroups, at most `limit` of them.
pub fn cgroups(view: &CgroupView, limit: usize, width: Option<usize>) -> String {
    // Few machines use it.
    let high = view.cgroups.iter().any(|c| c.high_pages.is_some());
    let rows = view.cgroups.iter().take(limit).map(|c| {
        let mut row = vec![
            format!("{:016x}", c.address.0),
            or_dash(c.id),
            if c.online { "online" } else { "dying" }.to_owned(),
            or_dash(c.css_refs),
            or_dash(c.pages),
            or_dash(c.limit_pages),
            or_dash(c.kmem_pages),
            or_dash(c.path.as_deref()),
        ];
        if high {
            row.insert(HIGH_AT, or_dash(c.high_pages));
        }
        row
    });
    let mut header = vec!["MEM_CGROUP", ">ID", "STATE", ">REFS", ">PAGES", ">LIMIT", ">KMEM", "PATH"];
    if high {
        header.insert(HIGH_AT, ">HIGH");
    }
    let mut out = String::new();
    if view.cgroups.is_empty() && view.gaps.is_empty() {
        out.push_str("no memory cgroups: the kernel was built without them, or cgroup_disable=memory was given\n");
        return out;
    }
    if !view.cgroups.is_empty() {
        out.push_str(&table(&header, rows, width));
    }
    if let Some(more) = view.cgroups.len().checked_sub(limit).filter(|more| *more > 0) {
        let _ = writeln!(out, "and {more} more (--all)");
    }
    let ids = view.ids_used.map(|n| format!(", {n} ids used")).unwrap_or_default();
    match view.online.zip(view.dying) {
        Some((online, dying)) => {
            let _ = writeln!(out, "{online} online, {dying} dying{ids}");
        }
        None => out.push_str("memory cgroups: not known\n"),
    }
    for pin in &view.pins {
        let by = match &pin.cache {
            Some((_, name)) if pin.kind == "cache" => {
                format!("their own copies of slab cache {name}, {} objects in all", pin.objects)
            }
            Some((_, name)) => format!("{} objects of slab cache {name}", pin.objects),
            None => format!("{} pages", pin.objects),
        };
        let _ = writeln!(out, "{} dying cgroups are kept by {}", pin.dying, printable(&by));
    }
    gaps(&mut out, &view.gaps);
    out
}

/// Run queues.
pub fn run_queues(view: &QueueView, width: Option<usize>) -> String {
    let rows = view.queues.iter().map(|q| {
        let mut marks = Vec::new();
        if q.idle {
            marks.push("idle");
        }
        match (q.online, q.stopped) {
            (true, _) => {}
            (false, true) if q.panicked_too => marks.push("panicked too"),
            (false, true) => marks.push("stopped by the panic"),
            (false, false) => marks.push("offline"),
        }
        if q.crashed {
            marks.push("CRASHED");
        }
        // Ordinary tasks are what is expected.
        let class = q.class.filter(|class| *class != "fair").zip(q.priority);
        let class = class.map(|(class, priority)| format!("{class} [{priority}]"));
        marks.extend(class.as_deref());
        vec![
            q.cpu.to_string(),
            address(q.rq),
            or_dash(q.pid),
            or_dash(q.comm.as_deref()),
            q.nr_running.to_string(),
            format!("{}.{:06}", q.clock_ns / 1_000_000_000, q.clock_ns / 1000 % 1_000_000),
            format!("{}.{:03}", q.lag_ns / 1_000_000_000, q.lag_ns / 1_000_000 % 1000),
            marks.join(", "),
        ]
    });
    if view.queues.is_empty() {
        let mut out = none("no run queues\n", "run queues: not known\n", &view.gaps).to_owned();
        gaps(&mut out, &view.gaps);
        return out;
    }
    let mut out = table(&[">CPU", "RUNQUEUE", ">PID", "COMM", ">RUNNING", ">CLOCK s", ">LAG s", ""], rows, width);
    let queued = view.queues.iter().flat_map(|queue| {
        queue.queued.iter().map(|task| {
            vec![
                queue.cpu.to_string(),
                task.class.to_owned(),
                format!("[{}]", or_dash(task.priority)),
                or_dash(task.pid),
                address(task.task),
                or_dash(task.comm.as_deref()),
                match (task.delayed, task.throttled) {
                    (true, _) => "sleeps, leaves later",
                    (false, true) => "throttled: its quota is used up",
                    (false, false) => "",
                }
                .to_owned(),
            ]
        })
    });
    let queued: Vec<Vec<String>> = queued.collect();
    if !queued.is_empty() {
        out.push_str("\nwaiting for the CPU\n");
        out.push_str(&table(&[">CPU", "CLASS", ">PRIO", ">PID", "TASK", "COMM", ""], queued, width));
    }
    gaps(&mut out, &view.gaps);
    out
}
