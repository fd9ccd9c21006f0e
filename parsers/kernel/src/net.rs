//! Network namespaces and devices, the ones being unregistered among them, and who holds a device.

use std::collections::HashSet;

use facts::{Fact, Gap};
use serde::Serialize;

use crate::{Holder, Kernel, VirtAddr, Walk};

const MAX_NETS: usize = 100_000;
const MAX_DEVICES: usize = 1_000_000;
/// IFNAMSIZ
const NAME_LEN: usize = 16;

/// A network namespace.
#[derive(Clone, Debug, Serialize)]
pub struct Net {
    /// Address of its `struct net`.
    pub address: VirtAddr,
    /// Inode number, what `ip netns` and `/proc/PID/ns/net` show.
    pub inum: Option<u32>,
    /// Devices on its list.
    pub devices: Vec<NetDevice>,
}

/// A network device.
#[derive(Clone, Debug, Serialize)]
pub struct NetDevice {
    /// Address of its `struct net_device`.
    pub address: VirtAddr,
    /// Interface name.
    pub name: String,
    /// `registered`, `unregistering`, `unregistered`, ...
    pub state: String,
    /// Reference count, summed over all possible CPUs.
    pub references: Option<i64>,
    /// Interface index.
    pub ifindex: Option<u32>,
    /// `IFF_*` flags.
    pub flags: Option<u32>,
    /// MTU.
    pub mtu: Option<u32>,
    /// Its namespace.
    pub net: VirtAddr,
    /// The namespace's inode number.
    pub net_inum: Option<u32>,
    /// Whether it is on its namespace's list.
    pub listed: bool,
    /// Its IPv4 part (`struct in_device`), null when it is gone.
    pub in_device: Option<VirtAddr>,
    /// Its IPv6 part (`struct inet6_dev`), null when it is gone.
    pub inet6_dev: Option<VirtAddr>,
    /// How a device that is on no list was found.
    pub found: Option<String>,
}

impl NetDevice {
    /// Whether it is being unregistered.
    pub fn leaving(&self) -> bool {
        matches!(self.state.as_str(), "unregistering" | "unregistered")
    }
}

const STATES: [&str; 6] = ["uninitialized", "registered", "unregistering", "unregistered", "released", "dummy"];

impl Kernel<'_> {
    /// The network namespaces with their devices, in the kernel's order.
    pub fn nets(&self) -> Walk<Net> {
        let types = self.types();
        let head = self.symbol_at("net_namespace_list");
        if head.is_none() && self.symbol_count() > 0 && self.symbol("register_netdevice").is_none() {
            return Walk::default(); // a kernel without network
        }
        let (Some(list), Some(dev_base), Some(dev_list)) =
            (types.offset("net", "list"), types.offset("net", "dev_base_head"), types.offset("net_device", "dev_list"))
        else {
            return Walk::gap(Gap::new(
                "network namespaces",
                self.member(),
                "the layout of struct net is not known",
                "a vmlinux or a pack of this kernel (--vmlinux, --pack)",
            ));
        };
        let Some(head) = head else {
            return Walk::gap(Gap::new(
                "network namespaces",
                self.member(),
                "no symbol net_namespace_list",
                "a vmlinux or System.map of this kernel (--vmlinux, --system-map)",
            ));
        };
        let walk = self.list(head, MAX_NETS, "network namespaces");
        let mut nets = Walk { items: Vec::new(), gaps: walk.gaps };
        let mut left = MAX_DEVICES;
        for node in walk.items {
            let net = node - list;
            let devices = self.list(net + dev_base, left, "network devices");
            left = left.saturating_sub(devices.items.len());
            nets.gaps.extend(devices.gaps);
            let mut found = Vec::new();
            for node in devices.items {
                match self.net_device(node - dev_list) {
                    Some(device) => found.push(NetDevice { listed: true, ..device }),
                    None => nets.gaps.push(Gap::new(
                        "network device",
                        format!("struct net_device at {}", node - dev_list),
                        "it is absent or no device",
                        "",
                    )),
                }
            }
            nets.items.push(Net { address: net, inum: self.net_inum(net), devices: found });
        }
        nets
    }

    fn net_inum(&self, net: VirtAddr) -> Option<u32> {
        // proc_inum before 435d5f4bb2cc "common object embedded into various struct ....ns" (v3.19).
        self.first_value(net, "net", &["ns.inum", "proc_inum"]).and_then(|n| u32::try_from(n).ok())
    }

    /// A device, if its name and state are possible.
    fn net_device(&self, at: VirtAddr) -> Option<NetDevice> {
        let name = self.place(at, "net_device", "name").and_then(|p| self.bytes(p, NAME_LEN).ok())?;
        let end = memchr::memchr(0, &name)?;
        let name = std::str::from_utf8(name.get(..end)?).ok()?;
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_graphic()) {
            return None;
        }
        let state = self.value(at, "net_device", "reg_state")?;
        let state = STATES.get(usize::try_from(state).ok()?)?;
        // possible_net_t nd_net {net} since 0c5c9fb55106 "net: Introduce possible_net_t" (v4.1).
        let net = self.first_value(at, "net_device", &["nd_net.net", "nd_net"]).map(VirtAddr)?;
        let value32 = |path: &str| self.value(at, "net_device", path).map(|n| n as u32);
        Some(NetDevice {
            address: at,
            name: name.to_owned(),
            state: (*state).to_owned(),
            references: self.net_device_references(at),
            ifindex: value32("ifindex"),
            flags: value32("flags"),
            mtu: value32("mtu"),
            net,
            net_inum: self.net_inum(net),
            listed: false,
            in_device: self.pointer(at, "net_device", "ip_ptr"),
            inet6_dev: self.pointer(at, "net_device", "ip6_ptr"),
            found: None,
        })
    }

    /// 919067cc845f "net: add CONFIG_PCPU_DEV_REFCNT" (v5.13): per-CPU counters, or one `dev_refcnt`; always per-CPU
    /// before.
    fn net_device_references(&self, at: VirtAddr) -> Option<i64> {
        if let Some(variable) = self.pointer(at, "net_device", "pcpu_refcnt") {
            return self.per_cpu_sum_i32(variable).ok();
        }
        self.first_value(at, "net_device", &["dev_refcnt.refs.counter", "dev_refcnt"]).map(|n| i64::from(n as i32))
    }

    /// The count of a device that nobody refers to: 1 since add2d7363107 "net: set initial device refcount to 1"
    /// (v5.13), of the same series as CONFIG_PCPU_DEV_REFCNT; 0 before.
    pub fn net_device_base(&self) -> Option<i64> {
        if self.types().member("net_device", "dev_refcnt").is_some() {
            return Some(1);
        }
        // This is behaviour, not layout: only the release tells.
        let release = self.release()?;
        let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map_while(|n| n.parse::<u32>().ok());
        Some(i64::from((numbers.next()?, numbers.next()?) >= (5, 13)))
    }

    /// Devices that are being unregistered and are on no namespace's list any more.
    ///
    /// `netdev_run_todo()` moves `net_todo_list` to a list head on its own stack: the ring of `todo_list` then closes
    /// through a word of that stack. So they are looked for on `net_todo_list` and on the stacks of the tasks that
    /// sleep below the functions which wait.
    pub fn net_devices_unlisted(&self, listed: &HashSet<u64>) -> Walk<NetDevice> {
        let mut walk = Walk::default();
        let types = self.types();
        let Some(todo) = types.offset("net_device", "todo_list") else { return walk };
        let mut seen = listed.clone();
        let mut take = |at: VirtAddr, how: &dyn Fn() -> String, items: &mut Vec<NetDevice>| {
            if seen.contains(&at.0) {
                return;
            }
            let Some(device) = self.net_device(at) else { return };
            let leaving = device.leaving();
            // A real device knows its namespace and its per-CPU counters.
            if leaving && self.arch.is_kernel(device.net) && device.references.is_some() {
                seen.insert(at.0);
                items.push(NetDevice { found: Some(how()), ..device });
            }
        };
        if let Some(head) = self.symbol_at("net_todo_list") {
            let list = self.list(head, 10_000, "devices being unregistered");
            walk.gaps.extend(list.gaps);
            for node in list.items {
                take(node - todo, &|| "net_todo_list".to_owned(), &mut walk.items);
            }
        }
        // Links of lists that hold a leaving device.
        let links: Vec<u64> = ["todo_list", "unreg_list", "close_list"]
            .iter()
            .filter_map(|member| types.offset("net_device", member))
            .chain([0])
            .collect();
        let waiters = self.code_ranges(&[
            "netdev_run_todo",
            "netdev_wait_allrefs",
            "netdev_wait_allrefs_any",
            "netdev_wait_allrefs.isra.0",
            "default_device_exit_batch",
            "unregister_netdevice_many",
            "unregister_netdevice_many_notify",
            "unregister_netdevice_queue",
            "rtnl_unlock",
            "rtnl_dellink",
        ]);
        for task in self.tasks().items {
            // Who waits for references sleeps in msleep(), uninterruptibly, or runs between two looks, or wants to.
            let waits = task.running || matches!(task.state, 'D' | 'R');
            let Some(stack) = task.stack.filter(|_| waits && !task.idle) else { continue };
            let words = self.stack_words(stack);
            if !words.iter().any(|(_, word)| waiters.iter().any(|range| range.contains(word))) {
                continue;
            }
            for (at, word) in words {
                if !self.arch.is_kernel(VirtAddr(word)) || word & 7 != 0 {
                    continue;
                }
                for link in &links {
                    let how = || format!("stack of {} (pid {}) at {at}", task.comm, task.pid);
                    take(VirtAddr(word) - *link, &how, &mut walk.items);
                }
            }
        }
        walk
    }

    /// Address ranges of functions.
    fn code_ranges(&self, names: &[&str]) -> Vec<std::ops::Range<u64>> {
        let sized = |at: u64| {
            let size = self.symbolize(VirtAddr(at)).and_then(|s| s.size).unwrap_or(1);
            at..at.saturating_add(size)
        };
        names.iter().flat_map(|name| self.symbols(name)).map(sized).collect()
    }

    /// The words of a task's stack, with their addresses; absent pages are left out.
    pub(crate) fn stack_words(&self, stack: VirtAddr) -> Vec<(VirtAddr, u64)> {
        let size = self.types().size_of("thread_union").filter(|n| (4096..=1 << 17).contains(n)).unwrap_or(16384);
        let mut words = Vec::new();
        for page in 0..size / 4096 {
            let at = stack + page * 4096;
            let mut bytes = [0u8; 4096];
            if self.read(at, &mut bytes).is_ok() {
                let page = bytes.as_chunks::<8>().0.iter().enumerate();
                words.extend(page.map(|(nth, word)| (at + nth as u64 * 8, u64::from_le_bytes(*word))));
            }
        }
        words
    }

    /// `mem.net_device` facts, and `mem.net_device_holder` facts for the devices that leak.
    pub fn net_facts(&self) -> (Vec<Fact>, Vec<Gap>) {
        let nets = self.nets();
        let mut gaps = nets.gaps;
        let namespaces = nets.items.len();
        let first = nets.items.first().map(|net| net.address);
        let mut devices: Vec<NetDevice> = nets.items.into_iter().flat_map(|net| net.devices).collect();
        if devices.is_empty() && self.types().offset("net_device", "name").is_none() {
            return (Vec::new(), gaps);
        }
        let listed = devices.iter().map(|device| device.address.0).collect();
        let unlisted = self.net_devices_unlisted(&listed);
        gaps.extend(unlisted.gaps);
        devices.extend(unlisted.items);
        let base = self.net_device_base();
        let mut facts = Vec::new();
        if let Some(first) = first {
            let leaving = devices.iter().filter(|device| !device.listed).count();
            facts.push(
                Fact::new("mem.net_summary", self.origin(first, "struct net"))
                    .with("namespaces", namespaces)
                    .with("devices", devices.len() - leaving)
                    .with("leaving", leaving)
                    .quoting(format!("{namespaces} network namespaces with {} devices", devices.len() - leaving))
                    .recheck("crash> net -n")
                    .recheck("drgn> list(for_each_net(prog))"),
            );
        }
        for device in &devices {
            // A registered device is referred to by many; only one on its way out should have none left.
            let leaving = device.leaving();
            let leaked = device.references.zip(base).map(|(count, base)| count - base);
            let at = device.address.0;
            facts.push(
                Fact::new("mem.net_device", self.origin(device.address, "struct net_device"))
                    .with("device", device.name.as_str())
                    .with("address", facts::Address(at))
                    .with("state", device.state.as_str())
                    .with_opt("references", device.references)
                    .with_opt("leaked", leaked.filter(|_| leaving))
                    .with_opt("base", base)
                    .with_opt("ifindex", device.ifindex)
                    .with("listed", device.listed)
                    .with("net", facts::Address::from(device.net))
                    .with_opt("net_inum", device.net_inum)
                    .with_opt("found", device.found.clone())
                    .quoting(format!(
                        "net device {} is {}, {} references{}",
                        device.name,
                        device.state,
                        device.references.map_or("?".into(), |n| n.to_string()),
                        match (leaving, leaked) {
                            (true, Some(n)) => format!(", {n} more than it should have"),
                            _ => String::new(),
                        }
                    ))
                    .recheck(format!("crash> struct net_device.name,reg_state,pcpu_refcnt,nd_net {at:#x}"))
                    .recheck(format!(
                        "drgn> d = Object(prog, 'struct net_device *', {at:#x}); d.reg_state, \
                         sum(per_cpu_ptr(d.pcpu_refcnt, c).value_() for c in for_each_possible_cpu(prog))"
                    )),
            );
            if !leaving || leaked.is_none_or(|n| n <= 0) {
                continue;
            }
            let holders = self.leaving_device_holders(device);
            gaps.extend(holders.gaps);
            facts.extend(holders.items.iter().map(|holder| self.holder_fact(device, holder)));
        }
        (facts, gaps)
    }

    fn holder_fact(&self, device: &NetDevice, holder: &Holder) -> Fact {
        let at = holder.address.0;
        let origin = match holder.kind {
            "module-data" => "module data".to_owned(),
            "slab-object" => "slab object".to_owned(),
            _ => format!("struct {}", holder.type_name),
        };
        let fact = Fact::new("mem.net_device_holder", self.origin(holder.address, &origin))
            .with("device", device.name.as_str())
            .with("device_address", facts::Address::from(device.address))
            .with("kind", holder.kind)
            .with("address", facts::Address(at))
            .with_opt("type", Some(holder.type_name).filter(|name| !name.is_empty()))
            .with_opt("references", holder.references)
            .with_opt("cache", holder.cache.clone())
            .with_opt("module", holder.module.clone())
            .with_opt("module_out_of_tree", holder.module_out_of_tree)
            .with_opt("module_symbol", holder.module_symbol.clone())
            .with_opt("taken_in", Some(holder.taken_in.clone()).filter(|path| !path.is_empty()))
            .quoting(holder.sentence(&device.name));
        match holder.kind {
            "module-data" | "slab-object" => {
                fact.recheck(format!("crash> rd {at:#x}")).recheck(format!("drgn> hex(prog.read_u64({at:#x}))"))
            }
            kind => fact
                .recheck(match kind {
                    "ipv4-route" | "ipv6-route" => format!("crash> struct dst_entry.dev {at:#x}"),
                    _ => format!("crash> struct {} {at:#x}", holder.type_name),
                })
                .recheck(format!("drgn> Object(prog, 'struct {} *', {at:#x})", holder.type_name)),
        }
    }
}
