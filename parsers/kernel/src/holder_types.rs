//! What an object is that holds a device's address: told by the member of its structure that the word is, and by one thing
//! more that only such a structure has.

use std::collections::HashSet;

use crate::references::SlabReference;
use crate::{Holder, Kernel, NetDevice, VirtAddr, Walk};

/// Objects of unknown type that are named as holders.
const MAX_UNNAMED: usize = 8;
/// Next hops of one route.
const MAX_PATHS: u64 = 1024;
/// More references than such an object has.
const MAX_COUNT: i64 = 1 << 20;

/// A structure that holds a device, and how an object is known to be one.
struct Row {
    structure: &'static str,
    /// The pointer to the device, the newest name first.
    members: &'static [&'static str],
    kind: &'static str,
    counts: &'static [&'static str],
    proof: fn(&Kernel<'_>, VirtAddr, &NetDevice) -> bool,
}

/// The neighbour table that a structure points at is one of the two.
fn in_table(kernel: &Kernel<'_>, at: VirtAddr, structure: &str) -> bool {
    let Some(table) = kernel.pointer(at, structure, "tbl") else { return false };
    ["arp_tbl", "nd_tbl"].iter().any(|name| kernel.symbol_at(name) == Some(table))
}

/// A protocol part of a device that was taken off it and is still referred to.
fn dead(kernel: &Kernel<'_>, at: VirtAddr, structure: &str) -> bool {
    let count = count(kernel, at, structure, &["refcnt.refs.counter", "refcnt.counter"]);
    kernel.value(at, structure, "dead") == Some(1) && count.is_some_and(|n| (1..MAX_COUNT).contains(&n))
}

fn count(kernel: &Kernel<'_>, at: VirtAddr, structure: &str, members: &[&str]) -> Option<i64> {
    kernel.first_value(at, structure, members).map(|n| i64::from(n as i32))
}

const REFCNT: &[&str] = &["refcnt.refs.counter", "refcnt.counter"];

const ROWS: [Row; 9] = [
    Row {
        structure: "nh_info",
        members: &["fib_nhc.nhc_dev"],
        kind: "nexthop",
        counts: &[],
        proof: |kernel, at, _| {
            let parent = kernel.pointer(at, "nh_info", "nh_parent");
            parent.and_then(|parent| kernel.pointer(parent, "nexthop", "nh_info")) == Some(at)
        },
    },
    Row {
        structure: "fib_info",
        members: &["fib_nh[0].nh_common.nhc_dev", "fib_nh[0].nh_dev"],
        kind: "fib-nexthop",
        // refcount_t since 5.16, atomic_t before.
        counts: &["fib_clntref.refs.counter", "fib_clntref.counter"],
        proof: |kernel, at, device| kernel.pointer(at, "fib_info", "fib_net") == Some(device.net),
    },
    Row {
        structure: "fib6_info",
        members: &["fib6_nh[0].nh_common.nhc_dev", "fib6_nh.nh_common.nhc_dev", "fib6_nh.nh_dev"],
        kind: "ipv6-nexthop",
        counts: &["fib6_ref.refs.counter", "fib6_ref.counter"],
        proof: |kernel, at, _| {
            let table = kernel.pointer(at, "fib6_info", "fib6_table");
            // Its own lock and peers follow; the id of a table is small.
            let id = table.and_then(|table| kernel.value(table, "fib6_table", "tb6_id"));
            let known = count(kernel, at, "fib6_info", &["fib6_ref.refs.counter", "fib6_ref.counter"]);
            id.is_some_and(|id| (1..1 << 16).contains(&id)) && known.is_some_and(|n| (1..MAX_COUNT).contains(&n))
        },
    },
    Row {
        structure: "neighbour",
        members: &["dev"],
        kind: "neighbour",
        counts: REFCNT,
        proof: |kernel, at, _| in_table(kernel, at, "neighbour"),
    },
    Row {
        structure: "neigh_parms",
        members: &["dev"],
        kind: "neighbour-parameters",
        counts: REFCNT,
        // neigh_parms_release() gives the reference back and marks them dead; others may keep them after that.
        proof: |kernel, at, _| {
            in_table(kernel, at, "neigh_parms") && kernel.value(at, "neigh_parms", "dead") == Some(0)
        },
    },
    Row {
        structure: "dst_entry",
        members: &["dev", "dev_rcu"],
        kind: "route",
        counts: &["__refcnt.counter", "__refcnt"],
        proof: |kernel, at, _| {
            let operations = kernel.pointer(at, "dst_entry", "ops").and_then(|ops| kernel.symbolize(ops));
            operations.is_some_and(|symbol| symbol.offset == 0 && symbol.name.contains("dst_ops"))
        },
    },
    Row {
        structure: "packet_sock",
        members: &["prot_hook.dev"],
        kind: "packet-socket",
        counts: &[],
        // AF_PACKET
        proof: |kernel, at, _| kernel.value(at, "sock", "__sk_common.skc_family") == Some(17),
    },
    Row {
        structure: "in_device",
        members: &["dev"],
        kind: "in-device",
        counts: REFCNT,
        proof: |kernel, at, _| dead(kernel, at, "in_device"),
    },
    Row {
        structure: "inet6_dev",
        members: &["dev"],
        kind: "inet6-device",
        counts: REFCNT,
        proof: |kernel, at, _| dead(kernel, at, "inet6_dev"),
    },
];

impl Kernel<'_> {
    /// Objects of slab caches that hold a device's address, its own allocation left out; for a device nothing else leads
    /// to the holder of. Those whose type can be told; where there are none, some of the others: not each of them holds a
    /// reference.
    pub(crate) fn slab_holders(&self, device: &NetDevice) -> Walk<Holder> {
        let references = self.slab_references(&HashSet::from([device.address.0]));
        // The device's own memory, and its queues, which point back at it.
        let queues = ["_tx", "_rx", "ingress_queue"].map(|member| self.pointer(device.address, "net_device", member));
        let owned: Vec<u64> = [Some(device.address)].into_iter().chain(queues).flatten().map(|at| at.0).collect();
        let own =
            |r: &SlabReference| owned.iter().any(|at| (r.object.0..r.object.0.saturating_add(r.size)).contains(at));
        let (mut named, mut others) = (Vec::new(), Vec::new());
        let mut seen = HashSet::new();
        for reference in references.items.iter().filter(|r| !own(r)) {
            let row =
                ROWS.iter().find(|row| self.is_member(row, reference) && (row.proof)(self, reference.object, device));
            if row.is_none() && others.len() >= MAX_UNNAMED || !seen.insert(reference.object) {
                continue;
            }
            let name = self.pointer(reference.cache, "kmem_cache", "name").and_then(|p| self.cstr(p, 128).ok());
            let holder = Holder { kind: "slab-object", address: reference.object, cache: name, ..Holder::default() };
            match row {
                Some(row) => named.push(Holder {
                    kind: row.kind,
                    type_name: row.structure,
                    references: count(self, reference.object, row.structure, row.counts),
                    ..holder
                }),
                None => others.push(holder),
            }
        }
        Walk { items: if named.is_empty() { others } else { named }, gaps: references.gaps }
    }

    /// Whether the word is that member of such a structure, which fits into the object.
    fn is_member(&self, row: &Row, reference: &SlabReference) -> bool {
        let types = self.types();
        let Some(size) = types.size_of(row.structure).filter(|size| *size <= reference.size) else { return false };
        let Some(first) = types.first_member(row.structure, row.members) else { return false };
        // A route of several paths has its next hops behind one another.
        let stride = match row.structure {
            "fib_info" => types.size_of("fib_nh").unwrap_or(0),
            _ => 0,
        };
        let paths = reference.size.saturating_sub(size).checked_div(stride).map_or(1, |paths| paths.min(MAX_PATHS));
        (0..paths).any(|nth| first.offset + nth * stride == reference.offset)
    }
}
