//! How far what we read from a dump agrees with an oracle made by another tool with full debug information.
//!
//!     cargo run --release --example score-dump -- DUMP... ORACLE.json[.gz]
//!
//! Several dumps are the parts of a split one. Every difference is a line; the last line is one JSON object with the
//! figures. Exit status 1 when any figure is below what is demanded of a reader without debug information:
//! all tasks, modules, network devices, slab caches and memory cgroups equal; stacks by physical frames, as
//! 2*LCS/(ours+oracle), at least 0.995 over tasks that were not running and 0.98 over those that were, each of
//! these at least 0.9. Frames found by a scan never count as agreement and cost like any other.

use std::collections::{BTreeMap, HashMap};
use std::io::Read;
use std::path::PathBuf;
use std::process::ExitCode;

use facts::Found;
use kernel::stacks::{CallStack, without_suffix};
use kernel::{Kernel, Sources, Task};
use serde_json::{Value, json};

fn main() -> ExitCode {
    let mut dumps: Vec<PathBuf> = Vec::new();
    let mut sources = Sources::default();
    let mut args = std::env::args_os().skip(1);
    while let Some(arg) = args.next() {
        match arg.to_str() {
            Some("--vmlinux") => sources.vmlinux = args.next().map(PathBuf::from),
            Some("--pack") => sources.packs.extend(args.next().map(PathBuf::from)),
            _ => dumps.push(arg.into()),
        }
    }
    let Some(oracle) = dumps.pop().filter(|_| !dumps.is_empty()) else {
        eprintln!("usage: score-dump [--vmlinux FILE] [--pack FILE] DUMP... ORACLE.json[.gz]");
        return ExitCode::from(2);
    };
    match score(&dumps, &oracle, sources) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("score-dump: {error}");
            ExitCode::from(2)
        }
    }
}

fn read_oracle(path: &PathBuf) -> Result<Value, Box<dyn std::error::Error>> {
    let raw = std::fs::read(path)?;
    let mut text = Vec::new();
    match raw.starts_with(&[0x1f, 0x8b]) {
        true => drop(flate2::read::GzDecoder::new(raw.as_slice()).read_to_end(&mut text)?),
        false => text = raw,
    }
    Ok(serde_json::from_slice(&text)?)
}

/// One kind of thing compared: how many agree of how many, and the differences already printed.
#[derive(Default)]
struct Agreement {
    agree: usize,
    of: usize,
    /// Ours that the oracle does not have.
    invented: usize,
}

impl Agreement {
    fn whole(&self) -> bool {
        self.agree == self.of && self.invented == 0
    }

    fn json(&self) -> Value {
        json!({"agree": self.agree, "of": self.of, "invented": self.invented})
    }
}

/// Compares rows of named values by their key.
fn compare(
    kind: &str,
    ours: &BTreeMap<String, BTreeMap<&'static str, Value>>,
    oracle: &BTreeMap<String, BTreeMap<&'static str, Value>>,
) -> Agreement {
    let mut result = Agreement { of: oracle.len(), ..Agreement::default() };
    for (key, expected) in oracle {
        let Some(found) = ours.get(key) else {
            println!("{kind} {key}: not found");
            continue;
        };
        let mut equal = true;
        for (name, value) in expected {
            let got = found.get(name).unwrap_or(&Value::Null);
            if got != value {
                println!("{kind} {key}: {name} is {got}, the oracle has {value}");
                equal = false;
            }
        }
        result.agree += usize::from(equal);
    }
    for key in ours.keys().filter(|key| !oracle.contains_key(*key)) {
        println!("{kind} {key}: the oracle does not have it");
        result.invented += 1;
    }
    result
}

fn hex(value: &Value) -> Option<u64> {
    u64::from_str_radix(value.as_str()?.strip_prefix("0x")?, 16).ok()
}

fn list<'v>(oracle: &'v Value, name: &str) -> &'v [Value] {
    oracle.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn task_rows(tasks: &[Task], oracle: &Value) -> Agreement {
    let row = |t: &Task| {
        BTreeMap::from([
            ("pid", json!(t.pid)),
            ("tgid", json!(t.tgid)),
            ("ppid", json!(t.ppid)),
            ("comm", json!(t.comm)),
            ("state", json!(t.state.to_string())),
            ("cpu", json!(t.cpu)),
            ("kthread", json!(t.kthread)),
            ("running", json!(t.running)),
            ("idle", json!(t.idle)),
            ("start_ns", json!(t.start_ns)),
            ("nvcsw", json!(t.nvcsw)),
            ("nivcsw", json!(t.nivcsw)),
            ("cgroup", json!(t.cgroup)),
            ("net_ns", json!(t.namespaces.as_ref().and_then(|n| n.net))),
        ])
    };
    let ours = tasks.iter().map(|t| (format!("{:#x}", t.address.0), row(t))).collect();
    let names = row_names();
    let mut expected = BTreeMap::new();
    for task in list(oracle, "tasks") {
        let values = names.iter().filter_map(|name| Some((*name, task.get(name)?.clone())));
        expected.insert(task["address"].as_str().unwrap_or_default().to_owned(), values.collect());
    }
    compare("task", &ours, &expected)
}

fn row_names() -> [&'static str; 14] {
    [
        "pid", "tgid", "ppid", "comm", "state", "cpu", "kthread", "running", "idle", "start_ns", "nvcsw", "nivcsw",
        "cgroup", "net_ns",
    ]
}

/// A frame to compare: name and address; ours by a scan have no name to agree on.
struct Named {
    name: Option<String>,
    pc: u64,
    /// First address of ours' function.
    start: u64,
}

impl Named {
    /// Whether ours and the oracle's are one physical frame: by name, or at one address where the oracle's tool took
    /// another name of the same function (an alias, or a label inside it).
    fn is(&self, theirs: &Named, kernel: &Kernel<'_>) -> bool {
        let (Some(ours), Some(name)) = (&self.name, &theirs.name) else { return false };
        let alias = || kernel.symbols(name).iter().any(|at| (self.start..=self.pc).contains(at));
        ours == name || self.pc == theirs.pc && alias()
    }
}

/// Frames with a symbol of the kernel or of a module; programs of BPF and trampolines have none.
fn our_frames(stack: Option<&CallStack>, kernel: &Kernel<'_>) -> Vec<Named> {
    let Some(stack) = stack else { return Vec::new() };
    let known = |name: &str| !kernel.symbols(name).is_empty();
    let named = stack.frames.iter().filter(|f| f.module.is_some() || f.name.as_deref().is_some_and(known));
    named
        .map(|f| Named {
            name: f.function().filter(|_| f.found != Found::Scan).map(str::to_owned),
            pc: f.pc.0,
            start: f.pc.0.saturating_sub(f.offset),
        })
        .collect()
}

fn oracle_frames(task: &Value) -> Vec<Named> {
    let frames = task["stack"].as_array().map(Vec::as_slice).unwrap_or_default();
    let physical = frames.iter().filter(|f| f["inline"] != json!(true));
    physical
        .filter_map(|f| {
            let name = f["symbol"].as_str()?;
            Some(Named { name: Some(without_suffix(name).to_owned()), pc: hex(&f["pc"]).unwrap_or(0), start: 0 })
        })
        .collect()
}

fn longest_common(kernel: &Kernel<'_>, ours: &[Named], theirs: &[Named]) -> usize {
    let mut row = vec![0; theirs.len() + 1];
    for a in ours {
        let mut diagonal = 0;
        for (n, b) in theirs.iter().enumerate() {
            let above = row[n + 1];
            row[n + 1] = match a.is(b, kernel) {
                true => diagonal + 1,
                false => above.max(row[n]),
            };
            diagonal = above;
        }
    }
    row[theirs.len()]
}

#[derive(Default)]
struct Pool {
    common: usize,
    frames: usize,
    worst: f64,
    stacks: usize,
}

impl Pool {
    fn score(&self) -> f64 {
        if self.frames == 0 { 1.0 } else { 2.0 * self.common as f64 / self.frames as f64 }
    }
}

fn stacks(kernel: &Kernel<'_>, tasks: &[Task], oracle: &Value) -> (Pool, Pool) {
    let ours = kernel.stacks(tasks);
    let by_address: HashMap<u64, Option<&CallStack>> =
        tasks.iter().zip(&ours).map(|(t, s)| (t.address.0, s.as_ref())).collect();
    let (mut sleeping, mut running) = (Pool { worst: 1.0, ..Pool::default() }, Pool { worst: 1.0, ..Pool::default() });
    for task in list(oracle, "tasks") {
        let theirs = oracle_frames(task);
        let stack = hex(&task["address"]).and_then(|at| by_address.get(&at).copied().flatten());
        let mut mine = our_frames(stack, kernel);
        // Where the oracle's tool had no symbol (a module it had no file of) the frame does not count on either side.
        let unnamed: Vec<_> =
            list(task, "stack").iter().filter(|f| f["symbol"].is_null()).map(|f| hex(&f["pc"])).collect();
        mine.retain(|frame| !unnamed.contains(&Some(frame.pc)));
        let is_running = task["running"] == json!(true);
        // A dump taken inside a capture kernel: the oracle begins further out, at the exception.
        if is_running
            && let Some(first) = theirs.first()
            && let Some(skip) = mine.iter().position(|f| f.pc == first.pc)
        {
            mine.drain(..skip);
        }
        let common = longest_common(kernel, &mine, &theirs);
        let frames = mine.len() + theirs.len();
        let pool = if is_running { &mut running } else { &mut sleeping };
        pool.common += common;
        pool.frames += frames;
        pool.stacks += 1;
        let score = if frames == 0 { 1.0 } else { 2.0 * common as f64 / frames as f64 };
        pool.worst = pool.worst.min(score);
        if score < 1.0 {
            let names = |frames: &[Named]| {
                let all: Vec<_> = frames.iter().map(|f| f.name.as_deref().unwrap_or("?")).collect();
                all.join(" < ")
            };
            println!("stack of {} {}: {score:.3}", task["pid"], task["comm"]);
            println!("  ours:   {} ({:?})", names(&mine), stack.map(|s| &s.ended));
            println!("  oracle: {}", names(&theirs));
        }
    }
    (sleeping, running)
}

fn modules(kernel: &Kernel<'_>, oracle: &Value) -> Agreement {
    let row = |m: &kernel::Module| {
        BTreeMap::from([
            ("base", json!(format!("{:#x}", m.base))),
            ("size", json!(m.size)),
            ("taints", json!(m.taint_letters())),
        ])
    };
    let ours = kernel.modules().items.iter().map(|m| (m.name.clone(), row(m))).collect();
    let mut expected = BTreeMap::new();
    for module in list(oracle, "modules") {
        let names = ["base", "size", "taints"];
        let values = names.iter().filter_map(|name| Some((*name, module.get(name)?.clone())));
        expected.insert(module["name"].as_str().unwrap_or_default().to_owned(), values.collect());
    }
    compare("module", &ours, &expected)
}

/// Listed devices of every namespace, and the one being unregistered that a scenario is about.
fn net_devices(kernel: &Kernel<'_>, oracle: &Value) -> Agreement {
    let nets = kernel.nets();
    let listed = nets.items.iter().flat_map(|net| &net.devices);
    let seen = listed.clone().map(|d| d.address.0).collect();
    let unlisted = kernel.net_devices_unlisted(&seen);
    for gap in nets.gaps.iter().chain(&unlisted.gaps) {
        println!("gap: {} ({}): {}", gap.what, gap.place, gap.why);
    }
    let row = |d: &kernel::NetDevice| {
        let values = BTreeMap::from([
            ("name", json!(d.name)),
            ("refcount", json!(d.references)),
            ("reg_state", json!(d.state)),
            ("ifindex", json!(d.ifindex)),
            ("mtu", json!(d.mtu)),
            ("listed", json!(d.listed)),
            ("net_inum", json!(d.net_inum)),
        ]);
        (format!("{:#x}", d.address.0), values)
    };
    let mut ours: BTreeMap<_, _> = listed.map(row).collect();
    let names = ["name", "refcount", "reg_state", "ifindex", "mtu", "listed", "net_inum"];
    let mut expected = BTreeMap::new();
    let all = list(oracle, "net_namespaces").iter().flat_map(|net| list(net, "devices"));
    let leaked = oracle["asserted"].get("leaked_device");
    for device in all.chain(leaked) {
        let values = names.iter().filter_map(|name| Some((*name, device.get(name)?.clone())));
        expected.insert(device["address"].as_str().unwrap_or_default().to_owned(), values.collect());
    }
    // Of the devices off their lists the oracle has only the one its scenario is about.
    for (key, values) in unlisted.items.iter().map(row) {
        match expected.contains_key(&key) {
            true => drop(ours.insert(key, values)),
            false => println!("also a device off its list: {key} {values:?}"),
        }
    }
    compare("net device", &ours, &expected)
}

fn slab_caches(kernel: &Kernel<'_>, oracle: &Value) -> Agreement {
    let caches = kernel.slab_caches();
    for gap in &caches.gaps {
        println!("gap: {} ({}): {}", gap.what, gap.place, gap.why);
    }
    let mut expected: BTreeMap<String, BTreeMap<&'static str, Value>> = BTreeMap::new();
    let names = ["name", "object_size", "total", "slabs", "active"];
    for cache in list(oracle, "slab_caches") {
        // Null where the oracle's own tool failed, and says so in usage_error.
        let known = |name: &str| cache.get(name).filter(|value| !value.is_null()).cloned();
        let values = names.iter().filter_map(|name| Some((*name, known(name)?)));
        expected.insert(cache["address"].as_str().unwrap_or_default().to_owned(), values.collect());
    }
    let mut ours = BTreeMap::new();
    for cache in &caches.items {
        let key = format!("{:#x}", cache.address.0);
        let theirs = expected.get(&key).and_then(|values| values.get("active"));
        // Some oracles leave out the lists of CPUs that a panic took off the online mask, some count as slabinfo does.
        let active = [cache.active, cache.active_online, cache.active_slabinfo];
        let active = active.into_iter().find(|ours| theirs == Some(&json!(ours)));
        let values = BTreeMap::from([
            ("name", json!(cache.name)),
            ("object_size", json!(cache.object_size)),
            ("total", json!(cache.total)),
            ("slabs", json!(cache.slabs)),
            ("active", json!(active.unwrap_or(cache.active))),
        ]);
        ours.insert(key, values);
    }
    compare("slab cache", &ours, &expected)
}

/// The two numbers, where the oracle could count them.
fn memory_cgroups(kernel: &Kernel<'_>, oracle: &Value) -> Agreement {
    let theirs = &oracle["memory_cgroups"];
    let mut expected = BTreeMap::new();
    for name in ["online", "dying"] {
        if let Some(count) = theirs.get(name).filter(|value| value.is_u64()) {
            expected.insert(name.to_owned(), BTreeMap::from([("count", count.clone())]));
        }
    }
    let walk = kernel.memcgs();
    for gap in &walk.gaps {
        println!("gap: {} ({}): {}", gap.what, gap.place, gap.why);
    }
    let online = walk.items.iter().filter(|m| m.online).count();
    let counts = [("online", online), ("dying", walk.items.len() - online)];
    let known = counts.into_iter().filter(|(name, _)| expected.contains_key(*name));
    let ours = known.map(|(name, n)| (name.to_owned(), BTreeMap::from([("count", json!(n))]))).collect();
    compare("memory cgroups", &ours, &expected)
}

/// Source lines and inlined functions, with a vmlinux: each frame of the oracle's that has a source, at the same
/// place in our stack.
fn source_lines(kernel: &Kernel<'_>, tasks: &[Task], oracle: &Value) -> Agreement {
    let ours = kernel.stacks(tasks);
    let mut result = Agreement::default();
    for (task, stack) in tasks.iter().zip(&ours) {
        let Some(stack) = stack else { continue };
        let theirs = list(oracle, "tasks").iter().find(|t| hex(&t["address"]) == Some(task.address.0));
        let Some(theirs) = theirs.map(|t| list(t, "stack")) else { continue };
        let fact = kernel.fact_stack("task", stack);
        let mine: Vec<_> = fact
            .frames
            .iter()
            .map(|f| (f.pc.map(|pc| pc.0), f.inline.then_some(f.function.as_deref()).flatten(), f.line.as_deref()))
            .collect();
        for frame in theirs.iter().filter(|f| f["symbol"].is_string() && f["source"].is_string()) {
            let inlined = (frame["inline"] == json!(true)).then_some(frame["name"].as_str()).flatten();
            let source = frame["source"].as_str().map(|s| s.trim_start_matches("./"));
            result.of += 1;
            match mine.contains(&(hex(&frame["pc"]), inlined, source)) {
                true => result.agree += 1,
                false => {
                    let there: Vec<_> = mine.iter().filter(|m| m.0 == hex(&frame["pc"])).collect();
                    let (pc, name) = (&frame["pc"], &frame["name"]);
                    println!("source of {} {pc}: {name} {source:?} not found, ours: {there:?}", task.pid);
                }
            }
        }
    }
    result
}

/// What a scenario was made for, where the oracle says so: locks with their waiters and owners, memory pools.
fn asserted(kernel: &Kernel<'_>, tasks: &[Task], oracle: &Value) -> Agreement {
    let stacks = kernel.stacks(tasks);
    let waits = kernel.waits(tasks, &stacks);
    for gap in &waits.gaps {
        println!("gap: {} ({}): {}", gap.what, gap.place, gap.why);
    }
    let pid = |at| tasks.iter().find(|t| t.address == at).map(|t| t.pid);
    let mut ours = BTreeMap::new();
    for wait in &waits.locks {
        let Some(lock) = wait.lock else { continue };
        let row: &mut BTreeMap<&'static str, Value> = ours.entry(format!("{:#x}", lock.0)).or_default();
        let waiters = row.entry("waiters").or_insert_with(|| json!([]));
        if let Some(list) = waiters.as_array_mut() {
            list.push(json!(pid(wait.task)));
            list.sort_by_key(Value::as_i64);
        }
        row.insert("owner", json!(wait.owner.and_then(|o| pid(o.task))));
        let reader = wait.owner.map_or(wait.readers.is_some_and(|n| n > 0), |o| !o.certain);
        row.insert("reader", json!(reader));
    }
    for pool in &waits.pools {
        let mut waiters: Vec<_> = pool.waiters.iter().filter_map(|at| pid(*at)).collect();
        waiters.sort_unstable();
        let row = BTreeMap::from([
            ("min_nr", json!(pool.min_nr)),
            ("curr_nr", json!(pool.curr_nr)),
            ("cache", json!(pool.cache)),
            ("waiters", json!(waiters)),
        ]);
        ours.insert(format!("{:#x}", pool.address.0), row);
    }
    let mut expected = BTreeMap::new();
    let pids = |of: &Value| {
        let waiters = of["waiters"].as_array().map(Vec::as_slice).unwrap_or_default();
        let mut pids: Vec<_> = waiters.iter().filter_map(|w| w["pid"].as_i64()).collect();
        pids.sort_unstable();
        json!(pids)
    };
    for lock in oracle["asserted"]["locks"].as_array().into_iter().flatten() {
        let waiters = pids(lock);
        if waiters != json!([]) {
            let owner = lock.get("owner_pid").or_else(|| lock.get("recorded_owner_pid")).cloned();
            let row = BTreeMap::from([
                ("waiters", waiters),
                ("owner", owner.unwrap_or(Value::Null)),
                ("reader", json!(lock["owner_is_reader"] == json!(true))),
            ]);
            expected.insert(lock["address"].as_str().unwrap_or_default().to_owned(), row);
        }
    }
    let pools = oracle["asserted"]["mempools"].as_array().or_else(|| oracle["asserted"]["pools"].as_array());
    let one = oracle["asserted"].get("mempool").into_iter();
    for pool in pools.into_iter().flatten().chain(one) {
        let named = ["min_nr", "curr_nr", "cache"].into_iter();
        let row = named.filter_map(|name| Some((name, pool.get(name)?.clone())));
        let row = row.chain([("waiters", pids(pool))]).collect();
        expected.insert(pool["address"].as_str().unwrap_or_default().to_owned(), row);
    }
    // The oracle lists only what its scenario is about: others of ours are shown, not judged.
    ours.retain(|key, row| {
        let known = expected.contains_key(key);
        if !known {
            println!("also waited for: {key} {row:?}");
        }
        known
    });
    for wait in &waits.others {
        let (pid, kind, object) = (pid(wait.task), wait.kind.name(), wait.symbol.as_deref().unwrap_or(""));
        println!("also waits: {pid:?} for {kind} {} {object} {:?} {:?}", wait.object, wait.bit, wait.file);
    }
    for cycle in &waits.cycles {
        let pids: Vec<_> = cycle.tasks.iter().filter_map(|at| pid(*at)).collect();
        println!("cycle of {pids:?}, confirmed: {}", cycle.confirmed);
    }
    compare("wait", &ours, &expected)
}

fn score(dumps: &[PathBuf], oracle: &PathBuf, sources: Sources) -> Result<bool, Box<dyn std::error::Error>> {
    let oracle = read_oracle(oracle)?;
    let dump = dump::Dump::open(dumps)?;
    let sources_given = sources.vmlinux.is_some();
    let kernel = Kernel::open(&dump, sources)?;
    let tasks = kernel.tasks();
    let task_agreement = task_rows(&tasks.items, &oracle);
    let (sleeping, running) = stacks(&kernel, &tasks.items, &oracle);
    let modules = modules(&kernel, &oracle);
    let crashed = kernel.crashed();
    let pid = crashed.and_then(|c| c.task).and_then(|at| tasks.items.iter().find(|t| t.address == at)).map(|t| t.pid);
    let crash_agrees = match oracle.get("crashed") {
        None => true,
        Some(Value::Null) => crashed.is_none(),
        Some(theirs) => {
            let cpu = theirs["cpu"].as_u64();
            json!(pid) == theirs["pid"] && (cpu.is_none() || cpu == crashed.map(|c| u64::from(c.cpu)))
        }
    };
    if !crash_agrees {
        println!("crashed CPU: {crashed:?}, the oracle has {}", oracle["crashed"]);
    }
    for gap in kernel.gaps().iter().chain(&tasks.gaps) {
        println!("gap: {} ({}): {}", gap.what, gap.place, gap.why);
    }
    let devices = net_devices(&kernel, &oracle);
    let caches = slab_caches(&kernel, &oracle);
    let memcgs = memory_cgroups(&kernel, &oracle);
    let asserted = asserted(&kernel, &tasks.items, &oracle);
    let lines = sources_given.then(|| source_lines(&kernel, &tasks.items, &oracle));
    let pass = task_agreement.whole()
        && sleeping.score() >= 0.995
        && running.score() >= 0.98
        && running.worst >= 0.9
        && modules.whole()
        && devices.whole()
        && caches.whole()
        && memcgs.whole()
        && asserted.whole()
        && crash_agrees;
    let stack_json = |p: &Pool| json!({"score": p.score(), "worst": p.worst, "stacks": p.stacks, "frames": p.frames});
    let figures = json!({
        "dump": dumps,
        "types": kernel.types().sources().collect::<Vec<_>>(),
        "tasks": task_agreement.json(),
        "stacks_sleeping": stack_json(&sleeping),
        "stacks_running": stack_json(&running),
        "modules": modules.json(),
        "net_devices": devices.json(),
        "slab_caches": caches.json(),
        "memory_cgroups": memcgs.json(),
        "waits": asserted.json(),
        "source_lines": lines.as_ref().map(Agreement::json),
        "crashed": crash_agrees,
        "pass": pass,
    });
    println!("{figures}");
    Ok(pass)
}
