//! Who holds a network device: its own protocol parts, routes and who keeps them, neighbours, packet sockets, devices
//! stacked on it, its queueing disciplines.

use std::collections::HashSet;

use facts::Gap;
use serde::Serialize;

use crate::{Kernel, NetDevice, VirtAddr, Walk};

/// Page structures looked at when the holders of a device are searched: 64 GiB of memory.
const HOLDER_PAGES: u64 = 16 << 20;
const MAX_NEIGHBOURS: usize = 1_000_000;
const MAX_SOCKETS: usize = 100_000;
const MAX_STACKED: usize = 100_000;
const MAX_BUCKETS: u64 = 1024;
const MAX_HOPS: usize = 1_000_000;
/// DEVINDEX_HASHSIZE, NH_DEV_HASHSIZE
const HOP_BUCKETS: u64 = 256;

/// Something that refers to a device.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Holder {
    /// `ipv4-route`, `ipv6-route`, `in-device`, `inet6-device`, `neighbour`, `packet-socket`, `upper-device`,
    /// `lower-device`, `queueing`, `fib-nexthop`, `ipv6-nexthop`, `nexthop`, `neighbour-parameters`; what keeps a route:
    /// `fib-nexthop-exception`, `socket`, `packet`; `tracker` for a record of who took a reference; `slab-object` for an
    /// object that holds the address and whose type is not known; `module-data` for a word in the data of a module.
    pub kind: &'static str,
    /// Address of the holder.
    pub address: VirtAddr,
    /// Its type; empty when it is not known.
    pub type_name: &'static str,
    /// Its own reference count.
    pub references: Option<i64>,
    /// The slab cache it lives in.
    pub cache: Option<String>,
    /// The module that keeps the holder's address in its data, or whose data the holder is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub module: Option<String>,
    /// Whether that module was built outside the kernel's tree.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub module_out_of_tree: Option<bool>,
    /// The variable of the module.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub module_symbol: Option<String>,
    /// Of a tracker: the functions through which the reference was taken, innermost first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub taken_in: Vec<String>,
}

impl Holder {
    /// What it is and how it refers to the device called `device`, as a sentence without its end.
    pub fn sentence(&self, device: &str) -> String {
        let module_data = || self.module_symbol.as_deref().unwrap_or("its data");
        let by = self.module.as_deref().unwrap_or_default();
        match self.kind {
            "module-data" => return format!("module {by} keeps the address of {device} in {}", module_data()),
            "tracker" => {
                let path = self.taken_in.join(" < ");
                let path = if path.is_empty() { "a place that is not recorded" } else { &path };
                return format!("a tracked reference on {device} was taken in {path}");
            }
            _ => {}
        }
        let who = match (&self.cache, self.kind) {
            (Some(cache), "slab-object") => format!("an object of slab cache {cache}"),
            (None, "slab-object") => "an object of a slab cache".to_owned(),
            _ => format!("struct {}", self.type_name),
        };
        let keeps_route = matches!(self.kind, "fib-nexthop-exception" | "socket" | "packet");
        let refers = if keeps_route { "keeps a route through" } else { "refers to" };
        let kept = match self.module {
            Some(_) => format!("; module {by} keeps its address in {}", module_data()),
            None => String::new(),
        };
        format!("{who} at {} {refers} {device}{kept}", self.address)
    }
}

/// An entry of a table of neighbours (ARP, neighbour discovery).
#[derive(Clone, Debug, Serialize)]
pub struct Neighbour {
    /// Address of its `struct neighbour`.
    pub address: VirtAddr,
    /// The table: `arp_tbl`, `nd_tbl`.
    pub table: &'static str,
    /// Its device.
    pub device: VirtAddr,
    /// Its reference count.
    pub references: Option<i64>,
}

impl Kernel<'_> {
    /// Who holds a device that is on its way out: everything that can be found out, in the order in which it tells. What
    /// is known by its place first; routes with who keeps them; only where none of that explains a count that is too high,
    /// all objects of slab caches; and the modules that keep an address of these in their data. A count that is too high
    /// and nobody found is a gap.
    pub fn leaving_device_holders(&self, device: &NetDevice) -> Walk<Holder> {
        let at = device.address;
        let mut walk = self.net_device_holders(at);
        let routes = walk.items.iter().filter(|holder| holder.kind.ends_with("-route"));
        let keepers = self.route_holders(&routes.map(|holder| holder.address.0).collect());
        walk.gaps.extend(keepers.gaps);
        walk.items.extend(keepers.items);
        let leaked = device.references.zip(self.net_device_base()).is_none_or(|(count, base)| count > base);
        let explains = |holder: &Holder| !matches!(holder.kind, "in-device" | "inet6-device" | "tracker");
        if leaked && !walk.items.iter().any(explains) {
            let others = self.slab_holders(device);
            walk.gaps.extend(others.gaps);
            let known: HashSet<u64> = walk.items.iter().map(|holder| holder.address.0).collect();
            walk.items.extend(others.items.into_iter().filter(|holder| !known.contains(&holder.address.0)));
        }
        let mut targets: HashSet<u64> = walk.items.iter().map(|holder| holder.address.0).collect();
        targets.insert(at.0);
        let references = self.module_references(&targets);
        for holder in &mut walk.items {
            if let Some(by) = references.iter().find(|r| r.target == holder.address) {
                holder.module = Some(by.module.clone());
                holder.module_out_of_tree = Some(by.out_of_tree);
                holder.module_symbol.clone_from(&by.symbol);
            }
        }
        walk.items.extend(references.into_iter().filter(|r| r.target == at).map(|reference| Holder {
            kind: "module-data",
            address: reference.at,
            module: Some(reference.module),
            module_out_of_tree: Some(reference.out_of_tree),
            module_symbol: reference.symbol,
            ..Holder::default()
        }));
        if leaked && walk.items.is_empty() {
            walk.gaps.push(Gap::new(
                format!("who holds {}", device.name),
                facts::Address::from(at).to_string(),
                "no route, socket, neighbour, device, slab object or module that could be read refers to it",
                "vmcoroner search for the address, over the whole dump",
            ));
        }
        walk
    }

    /// Who refers to a device: routes in the slab caches of IPv4 and IPv6, its own protocol parts. Bounded; a bound
    /// that is hit is a gap, so an empty answer with a gap does not mean that nobody does.
    pub fn net_device_holders(&self, device: VirtAddr) -> Walk<Holder> {
        let mut walk = self.direct_holders(device);
        for (member, kind, type_name) in
            [("ip_ptr", "in-device", "in_device"), ("ip6_ptr", "inet6-device", "inet6_dev")]
        {
            if let Some(at) = self.pointer(device, "net_device", member) {
                // refcount_t since 4.13, atomic_t before.
                let references = self.first_value(at, type_name, &["refcnt.refs.counter", "refcnt.counter"]);
                let references = references.map(|n| i64::from(n as i32));
                walk.items.push(Holder { kind, address: at, type_name, references, ..Holder::default() });
            }
        }
        // dst_entry is the first member of both; `dev` is its first (dev_rcu in a union since 6.12 stable).
        let Some(dev) = self.types().first_member("dst_entry", &["dev", "dev_rcu"]) else {
            walk.gaps.push(Gap::new(
                "routes that hold devices",
                self.member(),
                "the layout of struct dst_entry is not known",
                "a vmlinux or a pack of this kernel (--vmlinux, --pack)",
            ));
            return walk;
        };
        for (cache_name, ops, kind, type_name) in [
            ("ip_dst_cache", "ipv4_dst_ops", "ipv4-route", "rtable"),
            ("ip6_dst_cache", "ip6_dst_ops_template", "ipv6-route", "rt6_info"),
        ] {
            // The cache may be merged into one of another name: the operations know its address.
            let cache = self
                .symbol_at(ops)
                .and_then(|at| self.pointer(at, "dst_ops", "kmem_cachep"))
                .or_else(|| self.slab_caches().items.into_iter().find(|c| c.name == cache_name).map(|c| c.address));
            let Some(cache) = cache else { continue };
            let objects = self.slab_objects(cache, HOLDER_PAGES);
            walk.gaps.extend(objects.gaps);
            let name = self.pointer(cache, "kmem_cache", "name").and_then(|p| self.cstr(p, 128).ok());
            for at in objects.items {
                if self.ptr(at + dev.offset).ok() == Some(device) {
                    walk.items.push(Holder {
                        kind,
                        address: at,
                        type_name,
                        references: self.dst_references(at),
                        cache: name.clone(),
                        ..Holder::default()
                    });
                }
            }
        }
        walk
    }

    /// Who keeps these routes: next-hop exceptions of the forwarding table, sockets, packets. Told by the member of the
    /// holder's structure that the word is, in a slab whose objects can be of that structure.
    pub(crate) fn route_holders(&self, routes: &HashSet<u64>) -> Walk<Holder> {
        let types = self.types();
        // Structure, members, kind, and what the cache's name begins with where the structure has a cache of its own.
        type Row = (&'static str, &'static [&'static str], &'static str, &'static str);
        let rows: [Row; 3] = [
            (
                "fib_nh_exception",
                // One fnhe_rth in the first kernels that had exceptions (3.6).
                &["fnhe_rth_input", "fnhe_rth_output", "fnhe_rth"],
                "fib-nexthop-exception",
                "kmalloc",
            ),
            ("sock", &["sk_dst_cache", "sk_rx_dst"], "socket", ""),
            ("sk_buff", &["_skb_refdst"], "packet", "skbuff"),
        ];
        let references = self.slab_references(routes);
        let mut walk = Walk { items: Vec::new(), gaps: references.gaps };
        for reference in references.items {
            let name = self.pointer(reference.cache, "kmem_cache", "name").and_then(|p| self.cstr(p, 128).ok());
            let name = name.unwrap_or_default();
            for (structure, members, kind, prefix) in rows {
                let Some(size) = types.size_of(structure) else { continue };
                // kmalloc gives the next power of two (or 96, 192): a structure fills more than half of its object.
                let fits = match prefix {
                    "kmalloc" => size <= reference.size && reference.size < size * 2,
                    "" => size <= reference.size && !name.starts_with("kmalloc"),
                    _ => size <= reference.size,
                };
                let here = members.iter().any(|m| types.offset(structure, m) == Some(reference.offset));
                if fits && here && name.starts_with(prefix) && reference.object.0 != reference.target {
                    walk.items.push(Holder {
                        kind,
                        address: reference.object,
                        type_name: structure,
                        cache: Some(name.clone()),
                        ..Holder::default()
                    });
                    break;
                }
            }
        }
        walk
    }

    /// `__refcnt`, an atomic_t; since bc9d3a9f2afc "net: dst: Switch to rcuref_t reference counting" (v6.4) `__rcuref`,
    /// where 0 means one reference.
    pub(crate) fn dst_references(&self, dst: VirtAddr) -> Option<i64> {
        if let Some(count) = self.value(dst, "dst_entry", "__rcuref.refcnt.counter") {
            return Some(i64::from(count as i32) + 1);
        }
        self.first_value(dst, "dst_entry", &["__refcnt.counter", "__refcnt"]).map(|n| i64::from(n as i32))
    }

    /// The neighbours of IPv4 and IPv6. A gap for each table that cannot be read.
    pub fn neighbours(&self) -> Walk<Neighbour> {
        let types = self.types();
        let mut walk = Walk::default();
        for table in ["arp_tbl", "nd_tbl"] {
            // Without IPv6, or with IPv6 as a module, there is no nd_tbl.
            let Some(at) = self.symbol_at(table) else { continue };
            let missing = |why: &str| {
                Gap::new("neighbours", table, why, "a vmlinux or a pack of this kernel (--vmlinux, --pack)")
            };
            let hash = self.pointer(at, "neigh_table", "nht");
            let shift = hash.and_then(|hash| self.value(hash, "neigh_hash_table", "hash_shift")).filter(|n| *n <= 24);
            let (Some(hash), Some(shift)) = (hash, shift) else {
                walk.gaps.push(missing("its hash table cannot be read"));
                continue;
            };
            // f7f52738637f "neighbour: Create netdev->neighbour association"'s series (v6.13): lists with heads; chains of
            // `next` before.
            let heads = self.pointer(hash, "neigh_hash_table", "hash_heads").zip(types.offset("neighbour", "hash"));
            let buckets = self.pointer(hash, "neigh_hash_table", "hash_buckets").zip(types.offset("neighbour", "next"));
            let (Some((array, link)), chained) = (heads.or(buckets), heads.is_none()) else {
                walk.gaps.push(missing("the layout of struct neighbour is not known"));
                continue;
            };
            let (mut entries, mut seen, mut ring) = (Vec::new(), HashSet::new(), false);
            for nth in 0..1u64 << shift {
                if chained {
                    let mut next = self.ptr(array + nth * 8).ok().filter(|p| p.0 != 0);
                    while let Some(entry) = next.filter(|_| entries.len() < MAX_NEIGHBOURS) {
                        if !seen.insert(entry) {
                            ring = true;
                            break;
                        }
                        entries.push(entry);
                        next = self.ptr(entry + link).ok().filter(|p| p.0 != 0);
                    }
                } else {
                    let left = MAX_NEIGHBOURS.saturating_sub(entries.len());
                    let list = self.hlist(array + nth * 8, left, "neighbours");
                    walk.gaps.extend(list.gaps);
                    let fresh = list.items.into_iter().map(|node| node - link).filter(|entry| seen.insert(*entry));
                    entries.extend(fresh);
                }
            }
            if ring || entries.len() >= MAX_NEIGHBOURS {
                walk.gaps.push(missing("it has too many entries, or its chains lead into one another"));
            }
            for entry in entries {
                if let Some(device) = self.pointer(entry, "neighbour", "dev") {
                    let references = self.first_value(entry, "neighbour", &["refcnt.refs.counter", "refcnt.counter"]);
                    let references = references.map(|n| i64::from(n as i32));
                    walk.items.push(Neighbour { address: entry, table, device, references });
                }
            }
        }
        walk
    }

    /// Neighbours, packet sockets, stacked devices and a queueing discipline that refer to a device.
    fn direct_holders(&self, device: VirtAddr) -> Walk<Holder> {
        let types = self.types();
        let neighbours = self.neighbours();
        let mut walk = Walk { items: Vec::new(), gaps: neighbours.gaps };
        let holder =
            |kind, address, type_name, references| Holder { kind, address, type_name, references, ..Holder::default() };
        for neighbour in neighbours.items.into_iter().filter(|n| n.device == device) {
            walk.items.push(holder("neighbour", neighbour.address, "neighbour", neighbour.references));
        }
        // A socket that looks at one device; af_packet may be a module.
        if let (Some(list), Some(node), Some(hooked)) = (
            types.offset("net", "packet.sklist"),
            types.offset("sock", "__sk_common.skc_node"),
            types.offset("packet_sock", "prot_hook.dev"),
        ) {
            let nets = self.net_namespaces();
            walk.gaps.extend(nets.gaps);
            let mut left = MAX_SOCKETS;
            for net in nets.items {
                let sockets = self.hlist(net + list, left, "packet sockets");
                left = left.saturating_sub(sockets.items.len());
                walk.gaps.extend(sockets.gaps);
                for socket in sockets.items.into_iter().map(|at| at - node) {
                    if self.ptr(socket + hooked).ok() == Some(device) {
                        walk.items.push(holder("packet-socket", socket, "packet_sock", None));
                    }
                }
            }
        }
        // 2f268f129c2d "net: add adj_list to save only neighbours" (v3.13): each entry of the lists holds a reference on its device.
        for (path, kind) in [("adj_list.upper", "upper-device"), ("adj_list.lower", "lower-device")] {
            let layout = (types.offset("net_device", path), types.offset("netdev_adjacent", "list"));
            let (Some(list), Some(link)) = layout else { continue };
            let stacked = self.list(device + list, MAX_STACKED, "stacked devices");
            walk.gaps.extend(stacked.gaps);
            for entry in stacked.items.into_iter().map(|at| at - link) {
                if let Some(other) = self.pointer(entry, "netdev_adjacent", "dev") {
                    walk.items.push(holder(kind, other, "net_device", None));
                }
            }
        }
        // The root, the one of packets that come in, and the classes' own, which are in a hash table since 59cc1f61f09c "net:
        // sched: convert qdisc linked list to hashtable" (v4.10). Each holds a reference on its device.
        let ingress = self.pointer(device, "net_device", "ingress_queue");
        let mut disciplines: Vec<VirtAddr> = self.pointer(device, "net_device", "qdisc").into_iter().collect();
        disciplines.extend(ingress.and_then(|queue| self.pointer(queue, "netdev_queue", "qdisc_sleeping")));
        if let (Some(table), Some(link)) = (types.member("net_device", "qdisc_hash"), types.offset("Qdisc", "hash")) {
            for bucket in 0..(table.size / 8).min(MAX_BUCKETS) {
                let chain = self.hlist(device + table.offset + bucket * 8, MAX_STACKED, "queueing disciplines");
                walk.gaps.extend(chain.gaps);
                disciplines.extend(chain.items.into_iter().map(|at| at - link));
            }
        }
        self.hop_holders(device, &mut walk);
        self.trackers(device, &mut walk);
        disciplines.sort();
        disciplines.dedup();
        for at in disciplines.into_iter().filter(|at| self.symbol("noop_qdisc") != Some(at.0)) {
            let references = self.value(at, "Qdisc", "refcnt.refs.counter").map(|n| i64::from(n as i32));
            walk.items.push(holder("queueing", at, "Qdisc", references));
        }
        walk
    }

    /// Next hops of the IPv4 forwarding table and next-hop objects, by the tables the kernel keeps of them by device:
    /// `fib_info_devhash`, since 6.10 `net_device.fib_nh_head`; those of objects hang on each namespace since ab84be7e54fc "net: Initial nexthop code" (v5.3).
    fn hop_holders(&self, device: VirtAddr, walk: &mut Walk<Holder>) {
        let types = self.types();
        // nhc_dev in a part shared with IPv6 since 979e276ebebd "net: Use common nexthop init" (v5.2).
        let hop = types.offset("fib_nh", "nh_hash").zip(types.first_member("fib_nh", &["nh_common.nhc_dev", "nh_dev"]));
        let mut found = Vec::new();
        if let Some((link, dev)) = hop {
            let heads: Vec<VirtAddr> = match types.offset("net_device", "fib_nh_head") {
                Some(head) => vec![device + head],
                None => {
                    let table = self.symbol_at("fib_info_devhash");
                    table.into_iter().flat_map(|at| (0..HOP_BUCKETS).map(move |nth| at + nth * 8)).collect()
                }
            };
            for head in heads {
                let hops = self.hlist(head, MAX_HOPS, "next hops");
                walk.gaps.extend(hops.gaps);
                found.extend(hops.items.into_iter().map(|at| ("fib-nexthop", "fib_nh", at - link, dev.offset)));
            }
        }
        let object = types.offset("nh_info", "dev_hash").zip(types.offset("nh_info", "fib_nhc.nhc_dev"));
        if let (Some((link, dev)), Some(_)) = (object, types.offset("net", "nexthop.devhash")) {
            for net in self.net_namespaces().items {
                let Some(table) = self.pointer(net, "net", "nexthop.devhash") else { continue };
                for nth in 0..HOP_BUCKETS {
                    let hops = self.hlist(table + nth * 8, MAX_HOPS, "next-hop objects");
                    walk.gaps.extend(hops.gaps);
                    found.extend(hops.items.into_iter().map(|at| ("nexthop", "nh_info", at - link, dev)));
                }
            }
        }
        for (kind, type_name, address, dev) in found {
            if self.ptr(address + dev).ok() == Some(device) {
                walk.items.push(Holder { kind, address, type_name, ..Holder::default() });
            }
        }
    }

    /// The references that are recorded where CONFIG_NET_DEV_REFCNT_TRACKER is set (4d92b95ff2f9 "net: add net device
    /// refcount tracker infrastructure", v5.17), with the way each was taken.
    fn trackers(&self, device: VirtAddr, walk: &mut Walk<Holder>) {
        let types = self.types();
        let layout = types.offset("net_device", "refcnt_tracker.list").zip(types.offset("ref_tracker", "head"));
        let Some((list, link)) = layout else { return };
        let records = self.list(device + list, MAX_STACKED, "tracked references");
        walk.gaps.extend(records.gaps);
        for at in records.items.into_iter().map(|node| node - link) {
            let handle = self.value(at, "ref_tracker", "alloc_stack_handle").map(|n| n as u32);
            let taken_in = handle.map(|handle| self.depot_stack(handle)).unwrap_or_default();
            walk.items.push(Holder {
                kind: "tracker",
                address: at,
                type_name: "ref_tracker",
                taken_in,
                ..Holder::default()
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::VirtAddr;
    use crate::synthetic::{BASE, Memory};

    const TABLE: u64 = BASE + 0x2_0000;
    const HASH: u64 = BASE + 0x2_1000;
    const BUCKETS: u64 = BASE + 0x2_2000;

    #[test]
    fn neighbours_whose_chains_lead_into_one_another_are_listed_once_with_a_gap() {
        let memory = Memory::new();
        let (a, b, device) = (BASE + 0x3_0000, BASE + 0x3_1000, BASE + 0x4_0000);
        memory.put64(TABLE, HASH);
        memory.put64(HASH, BUCKETS);
        memory.put32(HASH + 8, 1);
        memory.put64(BUCKETS, a);
        memory.put64(BUCKETS + 8, b);
        for (entry, next) in [(a, b), (b, a)] {
            memory.put64(entry, next);
            memory.put64(entry + 8, device);
        }
        let members = [
            ("neigh_table", "nht", 0, 8),
            ("neigh_hash_table", "hash_buckets", 0, 8),
            ("neigh_hash_table", "hash_shift", 8, 4),
            ("neighbour", "next", 0, 8),
            ("neighbour", "dev", 8, 8),
        ];
        let info = format!("SYMBOL(arp_tbl)={TABLE:x}\n");
        let kernel = memory.kernel_with(&info, &members);
        let walk = kernel.neighbours();
        let found: Vec<VirtAddr> = walk.items.iter().map(|n| n.address).collect();
        assert_eq!(found, [VirtAddr(a), VirtAddr(b)]);
        assert_eq!(walk.gaps.len(), 1);
        // The same as lists with heads: two buckets share a list that turns in a circle.
        memory.put64(BUCKETS + 8, a);
        let members = [
            ("neigh_table", "nht", 0, 8),
            ("neigh_hash_table", "hash_heads", 0, 8),
            ("neigh_hash_table", "hash_shift", 8, 4),
            ("neighbour", "hash", 0, 8),
            ("neighbour", "dev", 8, 8),
        ];
        let kernel = memory.kernel_with(&info, &members);
        let walk = kernel.neighbours();
        assert_eq!((walk.items.len(), walk.gaps.is_empty()), (2, false));
    }
}
