//! Who holds a network device: its own protocol parts, routes and who keeps them, neighbours, packet sockets, devices
//! stacked on it, its queueing disciplines.

use std::collections::HashSet;

use facts::Gap;
use serde::Serialize;

use crate::{Kernel, VirtAddr, Walk};

/// Page structures looked at when the holders of a device are searched: 64 GiB of memory.
const HOLDER_PAGES: u64 = 16 << 20;
const MAX_NEIGHBOURS: usize = 1_000_000;
const MAX_SOCKETS: usize = 100_000;
const MAX_STACKED: usize = 100_000;
const MAX_BUCKETS: u64 = 1024;
/// Objects of unknown type that are named as holders.
const MAX_UNNAMED: usize = 8;

/// Something that refers to a device.
#[derive(Clone, Debug, Serialize)]
pub struct Holder {
    /// `ipv4-route`, `ipv6-route`, `in-device`, `inet6-device`, `neighbour`, `packet-socket`, `upper-device`,
    /// `lower-device`, `queueing`; what keeps a route: `fib-nexthop-exception`, `socket`, `packet`; `slab-object` for an
    /// object that holds the address and whose type is not known.
    pub kind: &'static str,
    /// Address of the holder.
    pub address: VirtAddr,
    /// Its type.
    pub type_name: &'static str,
    /// Its own reference count.
    pub references: Option<i64>,
    /// The slab cache it lives in.
    pub cache: Option<String>,
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
                walk.items.push(Holder { kind, address: at, type_name, references, cache: None });
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
                        references: None,
                        cache: Some(name.clone()),
                    });
                    break;
                }
            }
        }
        walk
    }

    /// Objects of slab caches that hold a device's address, its own allocation left out; for a device nothing else leads
    /// to the holder of. What type they are is not known, and not each of them holds a reference.
    pub(crate) fn unnamed_holders(&self, device: VirtAddr) -> Walk<Holder> {
        let references = self.slab_references(&HashSet::from([device.0]));
        let mut walk = Walk { items: Vec::new(), gaps: references.gaps };
        let own = |object: VirtAddr, size: u64| (object.0..object.0.saturating_add(size)).contains(&device.0);
        for reference in references.items.into_iter().filter(|r| !own(r.object, r.size)) {
            if walk.items.len() >= MAX_UNNAMED {
                break;
            }
            let name = self.pointer(reference.cache, "kmem_cache", "name").and_then(|p| self.cstr(p, 128).ok());
            walk.items.push(Holder {
                kind: "slab-object",
                address: reference.object,
                type_name: "unknown",
                references: None,
                cache: name,
            });
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
            |kind, address, type_name, references| Holder { kind, address, type_name, references, cache: None };
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
        disciplines.sort();
        disciplines.dedup();
        for at in disciplines.into_iter().filter(|at| self.symbol("noop_qdisc") != Some(at.0)) {
            let references = self.value(at, "Qdisc", "refcnt.refs.counter").map(|n| i64::from(n as i32));
            walk.items.push(holder("queueing", at, "Qdisc", references));
        }
        walk
    }
}
