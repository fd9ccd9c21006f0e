//! `net`, `mods`, `slab`, `cgroup`, `runq`: lists of one subsystem each.

use std::collections::{HashMap, HashSet};

use facts::{Address, Gap};
use kernel::Kernel;
use serde::Serialize;

/// A network device.
#[derive(Clone, Debug, Serialize)]
pub struct DeviceRow {
    /// Interface index.
    pub ifindex: Option<u32>,
    /// Name.
    pub name: String,
    /// Address of its net_device.
    pub address: Address,
    /// `registered`, `unregistering`, `unregistered`, ...
    pub state: String,
    /// Reference count, summed over CPUs.
    pub references: Option<i64>,
    /// IFF_ flags.
    pub flags: Option<u32>,
    /// MTU.
    pub mtu: Option<u32>,
    /// Inode number of its namespace.
    pub net_inum: Option<u32>,
    /// Whether it is on its namespace's list. One that is not, and is not freed, is being unregistered.
    pub listed: bool,
    /// How a device on no list was found.
    pub found: Option<String>,
    /// Its IP addresses with prefix lengths.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<String>,
    /// Who refers to it; searched for devices that are being unregistered.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub holders: Vec<kernel::Holder>,
}

/// The network devices.
#[derive(Clone, Debug, Serialize)]
pub struct NetView {
    /// Namespaces.
    pub namespaces: Option<usize>,
    /// The count of a device that nobody refers to, in this kernel.
    pub base_references: Option<i64>,
    /// Devices by namespace, those on no list last.
    pub devices: Vec<DeviceRow>,
    /// What could not be read.
    pub gaps: Vec<Gap>,
}

/// Network namespaces and devices.
pub fn net(kernel: &Kernel<'_>) -> NetView {
    let nets = kernel.nets();
    let mut gaps = nets.gaps;
    let mut devices: Vec<kernel::NetDevice> = nets.items.iter().flat_map(|net| net.devices.iter().cloned()).collect();
    let listed: HashSet<u64> = devices.iter().map(|device| device.address.0).collect();
    let unlisted = kernel.net_devices_unlisted(&listed);
    gaps.extend(unlisted.gaps);
    devices.extend(unlisted.items);
    let rows = devices.into_iter().map(|device| {
        let holders = match device.leaving() {
            true => {
                let walk = kernel.leaving_device_holders(&device);
                gaps.extend(walk.gaps);
                walk.items
            }
            false => Vec::new(),
        };
        let addresses = kernel.net_addresses(device.address);
        for gap in addresses.gaps {
            if !gaps.contains(&gap) {
                gaps.push(gap);
            }
        }
        let addresses = addresses.items;
        DeviceRow {
            ifindex: device.ifindex,
            name: device.name,
            address: device.address.into(),
            state: device.state,
            references: device.references,
            flags: device.flags,
            mtu: device.mtu,
            net_inum: device.net_inum,
            listed: device.listed,
            found: device.found,
            addresses,
            holders,
        }
    });
    let devices = rows.collect();
    // An empty list that could not be read says nothing.
    let known = !nets.items.is_empty() || gaps.is_empty();
    NetView {
        namespaces: known.then_some(nets.items.len()),
        base_references: kernel.net_device_base().filter(|_| known),
        devices,
        gaps,
    }
}

/// A module.
#[derive(Clone, Debug, Serialize)]
pub struct ModuleRow {
    /// Address of its struct module.
    pub module: Address,
    /// Name.
    pub name: String,
    /// Start of its text.
    pub base: Address,
    /// Bytes.
    pub size: u64,
    /// State.
    pub state: kernel::ModuleState,
    /// Taint letters; `null` when not known.
    pub taints: Option<String>,
    /// Version, if it carries one.
    pub version: Option<String>,
}

/// The modules.
#[derive(Clone, Debug, Serialize)]
pub struct ModuleView {
    /// Newest first.
    pub modules: Vec<ModuleRow>,
    /// Live patches.
    pub live_patches: Vec<kernel::LivePatch>,
    /// Modules that were unloaded, as far as the kernel remembers them.
    pub unloaded: Vec<kernel::UnloadedModule>,
    /// What could not be read.
    pub gaps: Vec<Gap>,
}

/// Loaded modules, and the live patches among them.
pub fn modules(kernel: &Kernel<'_>) -> ModuleView {
    let walk = kernel.modules();
    let modules = walk.items.iter().map(|module| ModuleRow {
        module: module.address.into(),
        name: module.name.clone(),
        base: Address(module.base),
        size: module.size,
        state: module.state,
        taints: module.taints.map(|_| module.taint_letters()),
        version: module.version.clone(),
    });
    let patches = kernel.live_patches();
    let gaps = walk.gaps.iter().cloned().chain(patches.gaps).collect();
    ModuleView { modules: modules.collect(), live_patches: patches.items, unloaded: kernel.unloaded_modules(), gaps }
}

/// A slab cache.
#[derive(Clone, Debug, Serialize)]
pub struct CacheRow {
    /// Address of its kmem_cache.
    pub cache: Address,
    /// Name.
    pub name: String,
    /// Bytes of an object.
    pub object_size: u64,
    /// Objects in use.
    pub allocated: Option<u64>,
    /// Objects in all.
    pub total: Option<u64>,
    /// Slabs.
    pub slabs: Option<u64>,
    /// Bytes of a slab of the usual order, as far as objects fill it.
    pub slab_bytes: u64,
    /// Bytes of all its slabs, as far as objects fill them.
    pub bytes: Option<u64>,
    /// Whether it is a memory cgroup's copy of another cache.
    pub per_cgroup: bool,
    /// What most of its objects point at; looked for in the largest of those that were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub common: Option<kernel::CommonPointer>,
}

/// The slab caches.
#[derive(Clone, Debug, Serialize)]
pub struct SlabView {
    /// Largest first.
    pub caches: Vec<CacheRow>,
    /// Caches in all; `null` where their list cannot be read.
    pub count: Option<usize>,
    /// Bytes of all of them.
    pub bytes: Option<u64>,
    /// What could not be read.
    pub gaps: Vec<Gap>,
}

/// Slab caches, those whose name contains `name`, the largest first.
///
/// # Errors
/// A sentence when no cache has such a name.
pub fn slab(kernel: &Kernel<'_>, name: Option<&str>) -> Result<SlabView, String> {
    let walk = kernel.slab_caches();
    let count = walk.items.len();
    let names: Vec<String> = name.iter().flat_map(|_| walk.items.iter().map(|cache| cache.name.clone())).collect();
    let mut caches: Vec<CacheRow> = walk
        .items
        .into_iter()
        .filter(|cache| name.is_none_or(|name| cache.name.contains(name)))
        .map(|cache| CacheRow {
            cache: cache.address.into(),
            object_size: cache.object_size,
            allocated: cache.active,
            total: cache.total,
            slabs: cache.slabs,
            slab_bytes: cache.size.saturating_mul(cache.objects_per_slab),
            bytes: cache.total.map(|total| total.saturating_mul(cache.size)),
            per_cgroup: cache.root.is_some(),
            common: None,
            name: cache.name,
        })
        .collect();
    if let Some(name) = name.filter(|_| caches.is_empty() && count > 0) {
        let near = super::nearest::did_you_mean(name, names.iter().map(|name| name.as_str().into()));
        return Err(format!(
            "expected part of a slab cache's name, and none of the {count} caches contains {name}{near}; \
             `vmcoroner slab {}` lists them",
            kernel.member()
        ));
    }
    caches.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.name.cmp(&b.name)));
    if let (Some(largest), Some(_)) = (caches.first_mut(), name) {
        largest.common = kernel.common_pointer(kernel::VirtAddr(largest.cache.0));
    }
    let bytes = caches.iter().filter_map(|cache| cache.bytes).fold(0u64, u64::saturating_add);
    let known = count > 0 || walk.gaps.is_empty();
    Ok(SlabView { caches, count: known.then_some(count), bytes: known.then_some(bytes), gaps: walk.gaps })
}

/// The memory cgroups.
#[derive(Clone, Debug, Serialize)]
pub struct CgroupView {
    /// Online ones; `null` where their tree cannot be read.
    pub online: Option<usize>,
    /// Removed ones that something keeps.
    pub dying: Option<usize>,
    /// Ids in use.
    pub ids_used: Option<u64>,
    /// What keeps the dying ones; empty when not searched for.
    pub pins: Vec<kernel::Pin>,
    /// The cgroups, parents first.
    pub cgroups: Vec<kernel::Memcg>,
    /// What could not be read.
    pub gaps: Vec<Gap>,
}

/// Memory cgroups; with `pins` also what keeps the dying ones, which takes a search of memory.
pub fn cgroups(kernel: &Kernel<'_>, pins: bool) -> CgroupView {
    let walk = kernel.memcgs();
    let mut gaps = walk.gaps;
    let online = walk.items.iter().filter(|cgroup| cgroup.online).count();
    let known = !walk.items.is_empty() || gaps.is_empty();
    let found = match pins {
        true => {
            let pins = kernel.memcg_pins(&walk.items);
            gaps.extend(pins.gaps);
            let mut found = pins.items;
            found.extend(kernel.memcg_cache_pins(&walk.items));
            let dying = walk.items.len() - online;
            if found.is_empty() && dying > 0 {
                gaps.push(Gap::new(
                    "what keeps dying memory cgroups",
                    kernel.member(),
                    format!(
                        "nothing that was searched refers to the {dying} of them: no page, slab object or slab cache"
                    ),
                    "vmcoroner search for the address of one",
                ));
            }
            found
        }
        false => Vec::new(),
    };
    CgroupView {
        online: known.then_some(online),
        dying: known.then_some(walk.items.len() - online),
        ids_used: kernel.memcg_ids_used(),
        pins: found,
        cgroups: walk.items,
        gaps,
    }
}

/// A run queue.
#[derive(Clone, Debug, Serialize)]
pub struct QueueRow {
    /// CPU.
    pub cpu: u32,
    /// Address of its `struct rq`.
    pub rq: Address,
    /// Thread id of the current task.
    pub pid: Option<i32>,
    /// Its command name.
    pub comm: Option<String>,
    /// Its scheduling class: `deadline`, `rt`, `fair`, `ext`.
    pub class: Option<&'static str>,
    /// Its priority as the kernel counts.
    pub priority: Option<i32>,
    /// Whether that is the idle task.
    pub idle: bool,
    /// Tasks that want to run.
    pub nr_running: u64,
    /// Its clock, nanoseconds.
    pub clock_ns: u64,
    /// How far the clock is behind the newest, nanoseconds.
    pub lag_ns: u64,
    /// Whether the CPU is in the online mask.
    pub online: bool,
    /// Whether the panic took it off that mask.
    pub stopped: bool,
    /// Whether this CPU panicked.
    pub crashed: bool,
    /// Whether it came to panic() too, where it waits for the one that came first.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub panicked_too: bool,
    /// Tasks that wait for the CPU.
    pub queued: Vec<QueuedRow>,
}

/// A task in a run queue that does not run.
#[derive(Clone, Debug, Serialize)]
pub struct QueuedRow {
    /// `stop`, `deadline`, `rt`, `fair`, `ext`.
    pub class: &'static str,
    /// Priority as the kernel counts.
    pub priority: Option<i32>,
    /// Thread id.
    pub pid: Option<i32>,
    /// Address of its task_struct.
    pub task: Address,
    /// Command name.
    pub comm: Option<String>,
    /// It sleeps already and only pays its debt.
    pub delayed: bool,
    /// It may not run before its group's quota is refilled.
    pub throttled: bool,
}

/// The run queues.
#[derive(Clone, Debug, Serialize)]
pub struct QueueView {
    /// One a CPU.
    pub queues: Vec<QueueRow>,
    /// What could not be read.
    pub gaps: Vec<Gap>,
}

/// Whether a CPU stands where those wait that came to panic() after another.
fn waits_in_panic(kernel: &Kernel<'_>, tasks: &[kernel::Task], current: Option<kernel::VirtAddr>) -> bool {
    let Some(task) = tasks.iter().find(|task| Some(task.address) == current) else { return false };
    let stacks = kernel.stacks(std::slice::from_ref(task));
    let frames = stacks.iter().flatten().flat_map(|stack| &stack.frames);
    frames
        .filter_map(|frame| frame.function())
        .any(|name| name.ends_with("panic_smp_self_stop") || name.ends_with("panic_self_stop"))
}

/// Run queues, with each CPU's clock lag.
pub fn run_queues(kernel: &Kernel<'_>) -> QueueView {
    let walk = kernel.tasks();
    let names: HashMap<u64, (i32, &str)> = walk.items.iter().map(|t| (t.address.0, (t.pid, t.comm.as_str()))).collect();
    let crashed = kernel.crashed();
    let mut gaps = Vec::new();
    let queues: Vec<QueueRow> = kernel
        .run_queues()
        .into_iter()
        .map(|queue| {
            let waiting = kernel.queued_tasks(&queue);
            gaps.extend(waiting.gaps);
            let queued = waiting.items.into_iter().map(|queued| {
                let task = names.get(&queued.task.0);
                QueuedRow {
                    class: queued.class,
                    priority: queued.priority,
                    pid: task.map(|(pid, _)| *pid),
                    task: queued.task.into(),
                    comm: task.map(|(_, comm)| (*comm).to_owned()),
                    delayed: queued.delayed,
                    throttled: queued.throttled,
                }
            });
            let task = queue.current.and_then(|at| names.get(&at.0));
            let running = queue.current.filter(|_| !queue.idle).and_then(|at| kernel.running_class(at));
            QueueRow {
                class: running.map(|(class, _)| class),
                priority: running.map(|(_, priority)| priority),
                cpu: queue.cpu,
                rq: queue.address.into(),
                pid: task.map(|(pid, _)| *pid),
                comm: task.map(|(_, comm)| (*comm).to_owned()),
                idle: queue.idle,
                nr_running: queue.nr_running,
                clock_ns: queue.clock_ns,
                lag_ns: queue.lag_ns,
                online: kernel.cpus_online().contains(&queue.cpu),
                stopped: kernel.is_stopped(queue.cpu),
                crashed: crashed.is_some_and(|c| c.cpu == queue.cpu),
                panicked_too: crashed.is_some_and(|c| c.cpu != queue.cpu)
                    && waits_in_panic(kernel, &walk.items, queue.current),
                queued: queued.collect(),
            }
        })
        .collect();
    if queues.len() < kernel.cpus_present().len() {
        let missing = kernel.cpus_present().len() - queues.len();
        gaps.push(Gap::new(
            format!("run queues of {missing} CPUs"),
            kernel.member(),
            "they or the layout of struct rq cannot be read",
            "a vmlinux or a pack of this kernel (--vmlinux, --pack)",
        ));
    }
    QueueView { queues, gaps }
}
