//! Block devices, and the requests their drivers have not finished.

use std::collections::{HashMap, HashSet};

use facts::FieldType::{Address as Addr, Bool, Int, Text};
use facts::field;
use facts::{Address, Fact, Gap, KindDef};
use serde::Serialize;

use crate::{Kernel, VirtAddr, Walk};

const MAX_DEVICES: usize = 100_000;
/// Hardware queues of one device.
const MAX_QUEUES: u64 = 8192;
/// Tags of one set: BLK_MQ_MAX_DEPTH is 10,240.
const MAX_TAGS: u64 = 20_480;
/// Requests looked at in all.
const MAX_REQUESTS: u64 = 4_000_000;
/// Request facts of one device, the oldest first.
const MAX_FACTS: usize = 4;

/// A disk with its request queue.
#[derive(Clone, Debug, Serialize)]
pub struct Disk {
    /// Address of its `struct gendisk`.
    pub address: VirtAddr,
    /// Name, `sda`.
    pub name: String,
    /// Major and minor number.
    pub device: (u32, u32),
    /// Address of its `struct request_queue`.
    pub queue: Option<VirtAddr>,
    /// Whether the queue hands requests to hardware queues (blk-mq), rather than being bio-based or single-queue.
    pub multi_queue: bool,
    /// Size in bytes.
    pub bytes: Option<u64>,
    /// Reads and writes that its own counters say are in flight.
    pub counted: Option<(i64, i64)>,
    /// Whether the queue is frozen: nothing new enters.
    pub queue_frozen: bool,
    /// The super block of the file that a loop device lies in, and its `s_id`.
    pub backing: Option<(VirtAddr, String)>,
    /// Name that device mapper gives it, `vg-root`.
    pub label: Option<String>,
    /// Devices right below one of device mapper, members of an array: `sda2`.
    pub below: Vec<String>,
    /// Of a device of device mapper that is suspended (`dmsetup suspend`, a change of its table): how many bios wait
    /// until it is resumed.
    pub suspended: Option<usize>,
    /// Its driver, `virtio_blk`.
    pub driver: Option<String>,
    /// Of a device of device mapper its targets, `linear`, in the order of its table.
    pub targets: Vec<String>,
    /// Requests that the driver has, the oldest first.
    pub requests: Vec<Request>,
}

/// A request that a driver has.
#[derive(Clone, Debug, Serialize)]
pub struct Request {
    /// Address of its `struct request`.
    pub address: VirtAddr,
    /// Driver's tag.
    pub tag: Option<i32>,
    /// `in-flight`, `completed` (the driver is done, its end is still to be processed).
    pub state: &'static str,
    /// `read`, `write`, `flush`, ...
    pub operation: Option<String>,
    /// First sector, of 512 bytes.
    pub sector: Option<u64>,
    /// Bytes.
    pub bytes: Option<u64>,
    /// How long ago the driver got it (where nothing tells, how long ago it was made), nanoseconds.
    pub age_ns: Option<u64>,
    /// Its timeout, seconds.
    pub timeout_s: Option<u64>,
}

/// The kinds of facts made here.
pub(crate) const KINDS: &[KindDef] = &[
    KindDef {
        kind: "mem.block_device",
        doc: "A disk that has requests in flight, whose queue is frozen, or that is suspended.",
        fields: &[
            field("device", Text, "", "its name"),
            field("address", Addr, "", "its struct gendisk"),
            field("dev", Text, "", "major:minor"),
            field("multi_queue", Bool, "", "hands requests to hardware queues (blk-mq)"),
            field("queue_frozen", Bool, "", "nothing new enters its queue"),
            field("in_flight", Int, "", "requests that the driver has"),
            field("completed", Int, "", "requests that the driver is done with, their end not processed"),
            field("backing", Text, "", "device of the file system that the file of a loop device lies in"),
            field("label", Text, "", "name that device mapper gives it"),
            field("below", Text, "", "devices that it is made of, right below it"),
            field("bottom", Text, "", "devices at the end of that chain which have requests in flight"),
            field("suspended", Bool, "", "a device of device mapper that takes no I/O until it is resumed"),
            field("deferred", Int, "", "bios that wait for that"),
            field("oldest_s", Int, "s", "age of the oldest request that the driver has"),
            field("driver", Text, "", "its driver; of a SCSI disk with that of its host: `sd on virtio_scsi`"),
            field("targets", Text, "", "targets of one of device mapper: linear, crypt, ..."),
            field("counted_reads", Int, "", "reads in flight by the device's own counters"),
            field("counted_writes", Int, "", "writes in flight by the device's own counters"),
        ],
    },
    KindDef {
        kind: "mem.block_request",
        doc: "A request that a block driver has not finished; the oldest of each device.",
        fields: &[
            field("device", Text, "", "name of the disk"),
            field("address", Addr, "", "its struct request"),
            field("tag", Int, "", "driver's tag"),
            field("state", Text, "", "in-flight, completed"),
            field("operation", Text, "", "read, write, flush, ..."),
            field("sector", Int, "", "first sector of 512 bytes"),
            field("bytes", Int, "bytes", "its length"),
            field("age_s", Int, "s", "how long the driver has had it"),
            field("timeout_s", Int, "s", "after that time the driver is asked to give it up"),
        ],
    },
];

/// The clock against which requests are aged, read once.
struct Now {
    monotonic_ns: Option<u64>,
    jiffies: Option<u64>,
    hz: Option<u64>,
}

impl Kernel<'_> {
    pub(crate) fn block_class(&self) -> Option<VirtAddr> {
        self.symbol_at("block_class").or_else(|| {
            let users = ["disk_seqf_start", "device_add_disk", "__device_add_disk", "blk_lookup_devt", "add_partition"];
            users.iter().flat_map(|name| self.code_references(name)).find(|at| {
                let name = self.pointer(*at, "class", "name").and_then(|name| self.cstr(name, 8).ok());
                name.is_some_and(|name| name == "block")
            })
        })
    }

    /// Devices of a class. The private part hangs on the class; since 7b884b7f24b4 "driver core: class.c: convert to only
    /// use class_to_subsys" (v6.4) it is found among the sets in `class_kset`.
    fn class_devices(&self, class: VirtAddr) -> Walk<VirtAddr> {
        let types = self.types();
        let gap = |why: &str| Walk::gap(Gap::new("devices of a class", format!("struct class at {class}"), why, ""));
        let private = match types.member("class", "p") {
            Some(_) => self.pointer(class, "class", "p"),
            None => {
                let set = self.symbol_at("class_kset").and_then(|at| self.ptr(at).ok());
                let head = set.and_then(|set| self.place(set, "kset", "list"));
                let entry = types.offset("subsys_private", "subsys.kobj.entry");
                let (Some(head), Some(entry)) = (head, entry) else { return gap("class_kset cannot be read") };
                let sets = self.list(head, MAX_DEVICES, "classes").items;
                let mut sets = sets.into_iter().map(|node| node - entry);
                sets.find(|set| self.pointer(*set, "subsys_private", "class") == Some(class))
            }
        };
        let head = private.and_then(|private| self.place(private, "subsys_private", "klist_devices.k_list"));
        let Some(head) = head else { return gap("its private part or the layout is not known") };
        let walk = self.list(head, MAX_DEVICES, "devices of a class");
        // 570d0200123f "driver core: move device->knode_class to device_private" (v5.1).
        let devices = match types.offset("device", "knode_class.n_node") {
            Some(link) => walk.items.into_iter().map(|node| node - link).collect(),
            None => {
                let Some(link) = types.offset("device_private", "knode_class.n_node") else {
                    return gap("the layout of struct device_private is not known");
                };
                let private = walk.items.into_iter().map(|node| node - link);
                private.filter_map(|at| self.pointer(at, "device_private", "device")).collect()
            }
        };
        Walk { items: devices, gaps: walk.gaps }
    }

    /// Disks, in the order of their making, with the requests that their drivers have.
    pub fn disks(&self) -> Walk<Disk> {
        let mut found = self.disks_alone();
        let now = Now { monotonic_ns: self.monotonic_ns(), jiffies: self.jiffies(), hz: self.ticks_per_second() };
        let mut left = MAX_REQUESTS;
        let mut by_queue: HashMap<u64, Vec<Request>> = HashMap::new();
        let mut seen_tags = HashSet::new();
        for queue in found.items.iter().filter_map(|disk| disk.queue) {
            self.queue_requests(queue, &now, &mut left, &mut seen_tags, &mut by_queue, &mut found.gaps);
        }
        for disk in &mut found.items {
            let requests = disk.queue.and_then(|queue| by_queue.remove(&queue.0)).unwrap_or_default();
            disk.requests = requests;
            disk.requests.sort_by_key(|request| (std::cmp::Reverse(request.age_ns), request.address));
        }
        if left == 0 {
            found.gaps.push(Gap::new(
                "block requests in flight",
                self.member(),
                format!("more than {MAX_REQUESTS} requests to look at"),
                "",
            ));
        }
        found
    }

    /// Disks, in the order of their making, without what their drivers have.
    pub(crate) fn disks_alone(&self) -> Walk<Disk> {
        let types = self.types();
        if self.symbol_count() > 0 && self.symbols("submit_bio").is_empty() {
            return Walk::default(); // a kernel without block layer
        }
        let Some(class) = self.block_class() else {
            return Walk::gap(Gap::new(
                "block devices",
                self.member(),
                "no symbol block_class, and no code that leads to it",
                "a vmlinux or System.map of this kernel (--vmlinux, --system-map)",
            ));
        };
        // 0d02129e76ed "block: merge struct block_device and struct hd_struct" (v5.11): a disk's device is in the block
        // device of its part 0; in the gendisk's own part 0 before.
        let to_disk = match types.offset("block_device", "bd_device") {
            Some(offset) => types.offset("block_device", "bd_disk").map(|disk| (offset, Some(disk))),
            None => types.offset("gendisk", "part0.__dev").map(|offset| (offset, None)),
        };
        let Some((offset, pointer)) = to_disk else {
            return Walk::gap(Gap::new(
                "block devices",
                self.member(),
                "the layout of struct gendisk is not known",
                "a vmlinux or a pack of this kernel (--vmlinux, --pack)",
            ));
        };
        let devices = self.class_devices(class);
        let mut found = Walk { items: Vec::new(), gaps: devices.gaps };
        for device in devices.items {
            // Partitions are devices of this class too.
            let kind = self.pointer(device, "device", "type").and_then(|ty| self.pointer(ty, "device_type", "name"));
            if kind.and_then(|name| self.cstr(name, 16).ok()).as_deref() != Some("disk") {
                continue;
            }
            let disk = match pointer {
                Some(pointer) => self.ptr(device - offset + pointer).ok(),
                None => Some(device - offset),
            };
            let Some(disk) = disk.and_then(|disk| self.disk(disk, device)) else {
                found.gaps.push(Gap::new("block device", format!("struct device at {device}"), "it is absent", ""));
                continue;
            };
            found.items.push(disk);
        }
        found
    }

    /// The driver that a disk's parent is bound to, or whose operations the disk has.
    fn disk_driver(&self, disk: VirtAddr, device: VirtAddr) -> Option<String> {
        let parent = self.pointer(device, "device", "parent");
        let bound = parent.and_then(|parent| {
            let driver = self.pointer(parent, "device", "driver")?;
            self.cstr(self.pointer(driver, "device_driver", "name")?, 64).ok().filter(|name| !name.is_empty())
        });
        if let Some((name, parent)) = bound.zip(parent) {
            let host = (name == "sd" || name == "sr").then(|| {
                let device = parent - self.types().offset("scsi_device", "sdev_gendev")?;
                let host = self.pointer(device, "scsi_device", "host")?;
                let template = self.pointer(host, "Scsi_Host", "hostt")?;
                let named = ["proc_name", "name"].iter().find_map(|n| self.pointer(template, "scsi_host_template", n));
                self.cstr(named?, 64).ok().filter(|host| !host.is_empty())
            });
            return Some(host.flatten().map_or(name.clone(), |host| format!("{name} on {host}")));
        }
        let operations = self.pointer(disk, "gendisk", "fops")?;
        self.symbolize(operations)?.module
    }

    fn disk(&self, at: VirtAddr, device: VirtAddr) -> Option<Disk> {
        let types = self.types();
        let name = self.text(at, "gendisk", "disk_name").filter(|name| !name.is_empty())?;
        let devt = self.value(device, "device", "devt")? as u32;
        let queue = self.pointer(at, "gendisk", "queue");
        let part = match types.member("gendisk", "part0")?.shape {
            crate::types::Shape::Pointer => self.pointer(at, "gendisk", "part0")?,
            _ => self.place(at, "gendisk", "part0")?,
        };
        let part_type = if types.member("block_device", "bd_device").is_some() { "block_device" } else { "hd_struct" };
        let sectors = self.first_value(part, part_type, &["bd_nr_sectors", "nr_sects"]);
        // `mq_ops` is null in queues that are not blk-mq.
        let multi_queue = queue.is_some_and(|queue| self.pointer(queue, "request_queue", "mq_ops").is_some());
        let frozen = queue.and_then(|queue| {
            // A plain number since 7996a8b5511a "blk-mq: fix hang caused by freeze/unfreeze sequence" (v5.3).
            self.first_value(queue, "request_queue", &["mq_freeze_depth", "mq_freeze_depth.counter"])
        });
        let driver = self.disk_driver(at, device);
        let mut stacked = self.stacked_on(at);
        stacked.below.extend(self.loop_below(at));
        Some(Disk {
            address: at,
            name,
            device: (devt >> 20, devt & 0xf_ffff),
            queue,
            multi_queue,
            bytes: sectors.and_then(|n| n.checked_mul(512)),
            counted: self.counted_in_flight(part, part_type),
            queue_frozen: frozen.is_some_and(|depth| depth > 0),
            backing: self.loop_backing(at),
            label: stacked.label,
            below: stacked.below,
            suspended: stacked.suspended,
            driver,
            targets: stacked.targets,
            requests: Vec::new(),
        })
    }

    /// The file system below a loop device; its layout is that of the module `loop`.
    fn loop_backing(&self, disk: VirtAddr) -> Option<(VirtAddr, String)> {
        let device = self.pointer(disk, "gendisk", "private_data")?;
        // The driver's device points back at its disk: other drivers have other structures.
        if self.pointer(device, "loop_device", "lo_disk") != Some(disk) {
            return None;
        }
        let file = self.pointer(device, "loop_device", "lo_backing_file")?;
        if self.loop_below(disk).is_some() {
            return None;
        }
        let super_block = self.pointer(self.pointer(file, "file", "f_inode")?, "inode", "i_sb")?;
        Some((super_block, self.text(super_block, "super_block", "s_id")?))
    }

    /// The block device that a loop device was set up on: the pages of its node are those of the device.
    fn loop_below(&self, disk: VirtAddr) -> Option<String> {
        let device = self.pointer(disk, "gendisk", "private_data")?;
        if self.pointer(device, "loop_device", "lo_disk") != Some(disk) {
            return None;
        }
        let file = self.pointer(device, "loop_device", "lo_backing_file")?;
        self.device_of_inode(self.pointer(self.pointer(file, "file", "f_mapping")?, "address_space", "host")?)
    }

    /// What a device's own counters say is in flight. Per CPU since 1226b8dd0e91 "block: switch to per-cpu in-flight
    /// counters" (v5.0); two atomic numbers before.
    fn counted_in_flight(&self, part: VirtAddr, part_type: &str) -> Option<(i64, i64)> {
        let types = self.types();
        if let Some(in_flight) = types.member("disk_stats", "in_flight") {
            let variable = ["bd_stats", "dkstats"].into_iter().find_map(|path| self.pointer(part, part_type, path))?;
            let mut sums = [0i64; 2];
            for cpu in self.cpus_possible() {
                let at = self.per_cpu(variable, *cpu)? + in_flight.offset;
                for (nth, sum) in (0u64..).zip(&mut sums) {
                    *sum = sum.wrapping_add(self.u64(at + nth * 8).ok()? as i64);
                }
            }
            return Some((sums[0], sums[1]));
        }
        let at = self.place(part, part_type, "in_flight")?;
        Some((i64::from(self.u32(at).ok()? as i32), i64::from(self.u32(at + 4).ok()? as i32)))
    }

    /// The hardware queues of a request queue: an array of pointers, an xarray from 4e5cc99e1e48 "blk-mq: manage hctx map
    /// via xarray" (v5.18) on, an array again later.
    pub(crate) fn hardware_queues(&self, queue: VirtAddr, gaps: &mut Vec<Gap>) -> Vec<VirtAddr> {
        let types = self.types();
        if let Some(table) = self.place(queue, "request_queue", "hctx_table") {
            let walk = self.xarray(table, "xarray", MAX_QUEUES as usize, "hardware queues");
            gaps.extend(walk.gaps);
            return walk.items.into_iter().map(|(_, at)| VirtAddr(at)).collect();
        }
        let count = self.value(queue, "request_queue", "nr_hw_queues").unwrap_or(0) & 0xffff_ffff;
        match (types.member("request_queue", "queue_hw_ctx"), self.pointer(queue, "request_queue", "queue_hw_ctx")) {
            (Some(_), Some(array)) => {
                (0..count.min(MAX_QUEUES)).filter_map(|n| self.ptr(array + n * 8).ok()).filter(|p| p.0 != 0).collect()
            }
            _ => Vec::new(),
        }
    }

    /// Adds the requests that drivers have to `found`, by the queue they belong to: sets of tags are shared by the
    /// queues of one host.
    fn queue_requests(
        &self,
        queue: VirtAddr,
        now: &Now,
        left: &mut u64,
        seen_tags: &mut HashSet<u64>,
        found: &mut HashMap<u64, Vec<Request>>,
        gaps: &mut Vec<Gap>,
    ) {
        let operations = self.operations();
        for hardware in self.hardware_queues(queue, gaps) {
            // A scheduler has requests of its own, and lends them a driver's tag.
            for which in ["tags", "sched_tags"] {
                let Some(tags) = self.pointer(hardware, "blk_mq_hw_ctx", which) else { continue };
                if !seen_tags.insert(tags.0) {
                    continue;
                }
                let count = self.value(tags, "blk_mq_tags", "nr_tags").unwrap_or(0) & 0xffff_ffff;
                let Some(array) = self.first_pointer(tags, "blk_mq_tags", &["static_rqs", "rqs"]) else { continue };
                if count > MAX_TAGS {
                    gaps.push(Gap::new(
                        "block requests in flight",
                        format!("struct blk_mq_tags at {tags}"),
                        format!("it says it has {count} tags"),
                        "",
                    ));
                    continue;
                }
                let count = count.min(*left);
                *left -= count;
                let Ok(pointers) = self.bytes(array, (count * 8) as usize) else {
                    gaps.push(Gap::new("block requests in flight", format!("tags at {array}"), "they are absent", ""));
                    continue;
                };
                for word in pointers.as_chunks::<8>().0 {
                    let at = VirtAddr(u64::from_le_bytes(*word));
                    if !self.arch.is_kernel(at) {
                        continue;
                    }
                    if let Some((owner, request)) = self.request(at, now, &operations) {
                        found.entry(owner.0).or_default().push(request);
                    }
                }
            }
        }
    }

    fn first_pointer(&self, at: VirtAddr, structure: &str, paths: &[&str]) -> Option<VirtAddr> {
        self.first_value(at, structure, paths).filter(|value| *value != 0).map(VirtAddr)
    }

    /// Names of operations by number, `write`. `enum req_op` since ff07a02e9e8e (v6.0), `req_opf` before.
    pub(crate) fn operations(&self) -> HashMap<u64, String> {
        let types = self.types();
        let all = ["req_op", "req_opf"].iter().map(|name| types.enumerators(name)).find(|all| !all.is_empty());
        let named = all.unwrap_or_default().into_iter().filter_map(|(name, value)| {
            let short = name.strip_prefix("REQ_OP_")?.to_lowercase().replace('_', "-");
            Some((u64::try_from(value).ok()?, short))
        });
        named.collect()
    }

    /// A request that a driver has, and its queue.
    fn request(&self, at: VirtAddr, now: &Now, operations: &HashMap<u64, String>) -> Option<(VirtAddr, Request)> {
        let value = |path: &str| self.value(at, "request", path);
        // 12f5b9314545 "blk-mq: Remove generation seqeunce" (v4.18); bits of atomic_flags before 4.16, of which bit 1
        // says that it was started and bit 0 that it is complete.
        let state = match self.types().member("request", "state") {
            Some(_) => value("state")?,
            None => {
                let flags = value("atomic_flags")?;
                if flags & 2 == 0 { 0 } else { 1 + (flags & 1) }
            }
        };
        let state = match state {
            1 => "in-flight",
            2 => "completed",
            _ => return None,
        };
        let queue = self.pointer(at, "request", "q")?;
        let flags = value("cmd_flags").unwrap_or(0);
        let operation = match operations.is_empty() {
            false => operations.get(&(flags & 0xff)).cloned(),
            true => Some(if flags & 1 == 1 { "write" } else { "read" }.to_owned()),
        };
        let timeout = value("timeout").filter(|n| *n > 0).or_else(|| self.value(queue, "request_queue", "rq_timeout"));
        let timeout = timeout.map(|n| n & 0xffff_ffff).filter(|n| *n > 0);
        let by_clock = || {
            let started = ["io_start_time_ns", "start_time_ns"].iter().find_map(|path| value(path).filter(|n| *n > 0));
            now.monotonic_ns?.checked_sub(started?)
        };
        // The deadline is set when the driver gets the request, and again when its time is extended.
        let by_deadline = || {
            let started = self.first_value(at, "request", &["deadline", "__deadline"])?.checked_sub(timeout?)?;
            // Before 4.18 the lowest bit of __deadline is a flag; deadlines are jiffies, not jiffies_64.
            let ticks = now.jiffies?.checked_sub(started)?;
            ticks.checked_mul(1_000_000_000)?.checked_div(now.hz?)
        };
        Some((
            queue,
            Request {
                address: at,
                tag: value("tag").map(|tag| tag as i32),
                state,
                operation,
                sector: value("__sector"),
                bytes: value("__data_len").map(|n| n & 0xffff_ffff),
                age_ns: by_clock().or_else(by_deadline),
                timeout_s: timeout.zip(now.hz).map(|(ticks, hz)| ticks / hz),
            },
        ))
    }

    /// `mem.block_device` facts of disks with requests in flight, `mem.block_request` facts of the oldest ones.
    pub fn block_facts(&self) -> (Vec<Fact>, Vec<Gap>) {
        let walk = self.disks();
        let mut facts = Vec::new();
        let busy: Vec<&str> = walk.items.iter().filter(|d| !d.requests.is_empty()).map(|d| d.name.as_str()).collect();
        for disk in &walk.items {
            let counted = disk.counted.filter(|(reads, writes)| *reads > 0 || *writes > 0);
            if disk.requests.is_empty() && counted.is_none() && !disk.queue_frozen && disk.suspended.is_none() {
                continue;
            }
            let completed = disk.requests.iter().filter(|request| request.state == "completed").count();
            let in_flight = disk.requests.len() - completed;
            let oldest = disk.requests.iter().filter(|r| r.state == "in-flight").filter_map(|r| r.age_ns).max();
            let oldest = oldest.map(|ns| ns / 1_000_000_000);
            let bottom = bottom(disk, &walk.items).into_iter().filter(|name| busy.contains(&disk_of(name, &busy)));
            let bottom = bottom.collect::<Vec<_>>().join(", ");
            let joined = |names: &[String]| (!names.is_empty()).then(|| names.join(", "));
            facts.push(
                Fact::new("mem.block_device", self.origin(disk.address, "struct gendisk"))
                    .with("device", disk.name.as_str())
                    .with("address", Address::from(disk.address))
                    .with("dev", format!("{}:{}", disk.device.0, disk.device.1))
                    .with("multi_queue", disk.multi_queue)
                    .with("queue_frozen", disk.queue_frozen)
                    .with("in_flight", in_flight)
                    .with("completed", completed)
                    .with_opt("backing", disk.backing.as_ref().map(|(_, name)| name.clone()))
                    .with_opt("label", disk.label.clone())
                    .with_opt("below", joined(&disk.below))
                    .with_opt("bottom", Some(bottom.clone()).filter(|names| !names.is_empty()))
                    .with_opt("suspended", disk.suspended.map(|_| true))
                    .with_opt("deferred", disk.suspended)
                    .with_opt("oldest_s", oldest)
                    .with_opt("driver", disk.driver.clone())
                    .with_opt("targets", joined(&disk.targets))
                    .with_opt("counted_reads", disk.counted.map(|(reads, _)| reads))
                    .with_opt("counted_writes", disk.counted.map(|(_, writes)| writes))
                    .quoting(format!(
                        "{}{}: {} requests in flight{}{}{}{}",
                        disk.name,
                        disk.label.as_ref().map_or(String::new(), |label| format!(" ({label})")),
                        match counted.filter(|_| in_flight == 0 && !disk.below.is_empty()) {
                            Some((reads, writes)) => reads.max(0) + writes.max(0),
                            None => in_flight as i64,
                        },
                        match (disk.below.as_slice(), bottom.as_str()) {
                            ([], _) => String::new(),
                            (below, "") => format!(", made of {}", below.join(", ")),
                            (below, bottom) => format!(", made of {}; {bottom} has them", below.join(", ")),
                        },
                        oldest.map_or(String::new(), |s| format!(", the oldest for {s} s")),
                        if disk.queue_frozen { ", its queue is frozen" } else { "" },
                        disk.suspended.map_or(String::new(), |n| format!(", suspended, {n} bios wait")),
                    ))
                    .recheck("crash> dev -d")
                    .recheck(format!("drgn> Object(prog, 'struct gendisk', address={:#x}).queue", disk.address.0)),
            );
            for request in disk.requests.iter().take(MAX_FACTS) {
                let age = request.age_ns.map(|ns| ns / 1_000_000_000);
                facts.push(
                    Fact::new("mem.block_request", self.origin(request.address, "struct request"))
                        .with("device", disk.name.as_str())
                        .with("address", Address::from(request.address))
                        .with_opt("tag", request.tag)
                        .with("state", request.state)
                        .with_opt("operation", request.operation.clone())
                        .with_opt("sector", request.sector)
                        .with_opt("bytes", request.bytes)
                        .with_opt("age_s", age)
                        .with_opt("timeout_s", request.timeout_s)
                        .quoting(format!(
                            "{} of {} bytes on {} {}{}",
                            request.operation.as_deref().unwrap_or("request"),
                            request.bytes.unwrap_or(0),
                            disk.name,
                            request.state,
                            age.map_or(String::new(), |s| format!(" for {s} s"))
                        ))
                        .recheck(format!("crash> struct request {:#x}", request.address.0))
                        .recheck(format!("drgn> Object(prog, 'struct request', address={:#x})", request.address.0)),
                );
            }
        }
        (facts, walk.gaps)
    }
}

/// The disk of a name, which may be that of a partition.
pub(crate) fn disk_of<'n>(name: &'n str, disks: &[&'n str]) -> &'n str {
    let of = |disk: &&&'n str| {
        let Some(rest) = name.strip_prefix(**disk) else { return false };
        // A disk whose name ends with a digit has a `p` before the numbers of its partitions.
        let number = if disk.ends_with(|c: char| c.is_ascii_digit()) { rest.strip_prefix('p') } else { Some(rest) };
        rest.is_empty() || number.is_some_and(|number| number.bytes().all(|b| b.is_ascii_digit()))
    };
    disks.iter().filter(of).max_by_key(|disk| disk.len()).copied().unwrap_or(name)
}

/// The devices at the end of the chain below a disk.
fn bottom(disk: &Disk, disks: &[Disk]) -> Vec<String> {
    let (mut found, mut seen) = (Vec::new(), HashSet::new());
    let mut left: Vec<&String> = disk.below.iter().collect();
    while let Some(name) = left.pop() {
        if !seen.insert(name) {
            continue;
        }
        match disks.iter().find(|disk| disk.name == *name).filter(|disk| !disk.below.is_empty()) {
            Some(stacked) => left.extend(&stacked.below),
            None => found.push(name.clone()),
        }
    }
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use super::disk_of;

    #[test]
    fn partitions_belong_to_their_disk() {
        let disks = ["sda", "sdaa", "nvme0n1", "loop1", "md1"];
        for (name, disk) in [
            ("sda2", "sda"),
            ("sdaa2", "sdaa"),
            ("nvme0n1p3", "nvme0n1"),
            ("loop1", "loop1"),
            ("md127", "md127"),
            ("md1p2", "md1"),
            ("vda1", "vda1"),
        ] {
            assert_eq!(disk_of(name, &disks), disk, "{name}");
        }
    }
}
