//! The kinds of facts that are made from memory: names, types, units.

use facts::field;
use facts::{FieldType, KindDef};

use FieldType::{Address, Bool, Int, List, Text};

/// Every kind of fact that this crate makes.
pub fn kinds() -> impl Iterator<Item = &'static KindDef> {
    let tables = [
        KINDS,
        crate::wait_facts::KINDS,
        crate::bad_call::KINDS,
        crate::tail_calls::KINDS,
        crate::overrun::KINDS,
        crate::loops::KINDS,
        crate::fault::KINDS,
        crate::memory::KINDS,
        crate::memory_holders::KINDS,
        crate::mounts::KINDS,
        crate::block::KINDS,
        crate::spins::KINDS,
        crate::irq::KINDS,
        crate::timers::KINDS,
        crate::rcu_callbacks::KINDS,
        crate::task_numbers::KINDS,
        crate::kmem_limits::KINDS,
        crate::stale::KINDS,
        crate::workqueue::KINDS,
        crate::settings::KINDS,
    ];
    tables.into_iter().flatten()
}

/// Kinds of the subsystems that have no table of their own.
const KINDS: &[KindDef] = &[
    KindDef {
        kind: "mem.module",
        doc: "A loaded module.",
        fields: &[
            field("name", Text, "", "its name"),
            field("address", Address, "", "its struct module"),
            field("base", Address, "", "start of its text"),
            field("size", Int, "bytes", "memory it occupies, init parts left out"),
            field("state", Text, "", "live, coming, going, unformed"),
            field("taints", Text, "", "taint letters it set, OE"),
            field("out_of_tree", Bool, "", "built outside the kernel's tree (taint O)"),
            field("version", Text, "", "version it carries"),
            field("srcversion", Text, "", "checksum of its source"),
        ],
    },
    KindDef {
        kind: "mem.net_device",
        doc: "A network device, on its namespace's list or being unregistered.",
        fields: &[
            field("device", Text, "", "interface name"),
            field("address", Address, "", "its struct net_device"),
            field("state", Text, "", "registered, unregistering, unregistered, ..."),
            field("references", Int, "", "reference count summed over the possible CPUs"),
            field("leaked", Int, "", "references less the base of this kernel; only for a device being unregistered"),
            field("base", Int, "", "count of a device that nobody refers to in this kernel"),
            field("ifindex", Int, "", "interface index"),
            field("listed", Bool, "", "on its namespace's list"),
            field("net", Address, "", "its struct net"),
            field("net_inum", Int, "", "inode number of the namespace"),
            field("found", Text, "", "where a device on no list was found"),
        ],
    },
    KindDef {
        kind: "mem.net_summary",
        doc: "The network namespaces and devices of the machine, counted.",
        fields: &[
            field("namespaces", Int, "", "network namespaces on the kernel's list"),
            field("devices", Int, "", "their devices"),
            field("leaving", Int, "", "devices on no list, being unregistered"),
        ],
    },
    KindDef {
        kind: "mem.net_device_holder",
        doc: "Something that refers to a network device whose count is too high.",
        fields: &[
            field("device", Text, "", "interface name"),
            field("device_address", Address, "", "struct net_device"),
            field(
                "kind",
                Text,
                "",
                "ipv4-route, ipv6-route, in-device, inet6-device, neighbour, packet-socket, upper-device, lower-device, queueing, fib-nexthop, ipv6-nexthop, nexthop, neighbour-parameters, route, tracker (a record of who took a reference), module-data, slab-object (type not known); of a route: fib-nexthop-exception, socket, packet",
            ),
            field("address", Address, "", "the holder"),
            field("type", Text, "", "type of the holder"),
            field("references", Int, "", "the holder's own reference count"),
            field("cache", Text, "", "slab cache the holder lives in"),
            field("module", Text, "", "module whose data keeps the holder's address"),
            field("module_out_of_tree", Bool, "", "that module was built out of tree"),
            field("module_symbol", Text, "", "variable of the module that keeps it"),
            field(
                "taken_in",
                List,
                "",
                "of a tracker: functions through which the reference was taken, innermost first",
            ),
        ],
    },
    KindDef {
        kind: "mem.slab_cache",
        doc: "A slab cache.",
        fields: &[
            field("cache", Text, "", "its name"),
            field("address", Address, "", "its struct kmem_cache"),
            field("object_size", Int, "bytes", "what the user of an object sees"),
            field("size", Int, "bytes", "from one object to the next"),
            field("bytes", Int, "bytes", "memory of all its objects, free ones included"),
            field("slabs", Int, "", "slabs"),
            field("total", Int, "", "objects, free ones included"),
            field("active", Int, "", "objects that are not free"),
            field("users", Int, "", "caches merged into it, itself included"),
            field("memcg", Address, "", "memory cgroup of a per-cgroup cache"),
            field("root_cache", Address, "", "cache it is a per-cgroup copy of"),
            field("owner", Text, "", "module whose data keeps the cache's address"),
            field("owner_out_of_tree", Bool, "", "that module was built out of tree"),
            field("owner_symbol", Text, "", "variable of the module that keeps it"),
            field(
                "objects_point_at",
                Text,
                "",
                "of the largest cache, where it has a good part of the memory: variable that most of its objects point at",
            ),
            field("objects_module", Text, "", "module of that variable"),
        ],
    },
    KindDef {
        kind: "mem.memcg_summary",
        doc: "The memory cgroups of the machine, counted.",
        fields: &[
            field("online", Int, "", "memory cgroups that exist"),
            field("dying", Int, "", "removed ones that something still keeps"),
            field("total", Int, "", "both"),
            field("ids_used", Int, "", "ids of memory cgroups in use; 65535 is the end"),
            field("dying_pages", Int, "pages", "memory charged to the removed ones"),
            field("dying_kmem_pages", Int, "pages", "of it kernel memory, where it is counted apart"),
            field("dying_refs", Int, "", "references on the removed ones, where they are counted in one word"),
            field("kmem_active", Int, "", "memory cgroups to which kernel memory is accounted"),
        ],
    },
    KindDef {
        kind: "mem.memcg_pin",
        doc: "What keeps removed memory cgroups. Searched for when there are many.",
        fields: &[
            field("kind", Text, "", "slab-object, page"),
            field("cache", Text, "", "slab cache of the objects"),
            field("cache_address", Address, "", "its struct kmem_cache"),
            field("objects", Int, "", "objects or pages that refer to removed memory cgroups"),
            field("dying", Int, "", "removed memory cgroups that they refer to"),
            field("module", Text, "", "module whose data keeps the cache's address"),
            field("module_out_of_tree", Bool, "", "that module was built out of tree"),
            field("module_symbol", Text, "", "variable of the module that keeps it"),
        ],
    },
    KindDef {
        kind: "mem.dead_memcg_caches",
        doc: "Slab caches of removed memory cgroups, in kernels with a cache per cgroup (up to 5.8).",
        fields: &[
            field("caches", Int, "", "such caches"),
            field("pages", Int, "pages", "memory they hold"),
            field("cache", Text, "", "name of the first"),
        ],
    },
    KindDef {
        kind: "mem.dead_memcg_cache",
        doc: "The copies of one slab cache that belong to removed memory cgroups, in kernels with a cache per cgroup (up to 5.8).",
        fields: &[
            field("cache", Text, "", "the cache that they are copies of"),
            field("caches", Int, "", "copies"),
            field("cgroups", Int, "", "removed memory cgroups that own them"),
            field("objects", Int, "", "their objects, free ones included"),
            field("pages", Int, "pages", "memory they hold"),
        ],
    },
    KindDef {
        kind: "mem.mr6_tables",
        doc: "A network namespace whose list of IPv6 multicast routing tables is no list.",
        fields: &[
            field("net", Address, "", "its struct net"),
            field("net_inum", Int, "", "inode number of the namespace"),
            field("next", Int, "", "first pointer of the list head"),
            field("prev", Int, "", "second pointer of the list head"),
            field("devconf_all", Address, "", "its net->ipv6.devconf_all"),
            field("module", Text, "", "module in whose memory devconf_all lies"),
            field("module_out_of_tree", Bool, "", "that module was built out of tree"),
            field("module_symbol", Text, "", "variable of the module it is"),
            field("module_reason", Text, "", "the proof against the module, in words"),
        ],
    },
    KindDef {
        kind: "mem.register",
        doc: "What a register of an oops, or its fault address, points at.",
        fields: &[
            field("function", Text, "", "function of the oops"),
            field("register", Text, "", "name as printed, RAX or X0; `fault address`"),
            field("value", Address, "", "what it held"),
            field(
                "kind",
                Text,
                "",
                "slab-object, free-pointer (what a freed object holds), page-structure, stack, below-stack, cpu-stack, task, per-cpu, symbol, module, vmalloc, vmalloc-freed (given back), vmalloc-guard (behind an area), page, value, unmapped, mapped",
            ),
            field("what", Text, "", "the same in a sentence"),
            field("symbol", Text, "", "symbol it points at, name+0x10"),
            field("module", Text, "", "module it points into"),
            field("pid", Int, "", "task whose stack or task_struct it points into"),
            field("comm", Text, "", "its command name"),
            field("cache", Text, "", "slab cache of the object it points into"),
            field("object", Address, "", "start of that object"),
            field("offset", Int, "bytes", "from the start of that object"),
            field("allocated", Bool, "", "whether that object is allocated; absent when its lists cannot tell"),
            field("poisoned", Bool, "", "it is free and filled with the poison of freed objects"),
            field("allocated_by", Text, "", "who allocated it last, where its cache keeps that (slub_debug=U)"),
            field("freed_by", Text, "", "who freed it last, likewise"),
        ],
    },
    KindDef {
        kind: "mem.fault_injection",
        doc: "A fault-injection point that is armed: failures were asked for.",
        fields: &[
            field("point", Text, "", "failslab, fail_page_alloc, ..."),
            field("probability", Int, "percent", "chance of each failure"),
            field("times", Int, "", "failures left; negative is without end"),
            field("task_filter", Bool, "", "only tasks with make_it_fail set"),
        ],
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_named_once() {
        let mut names: Vec<_> = kinds().map(|kind| kind.kind).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), kinds().count());
        assert!(names.iter().all(|name| name.starts_with("mem.")));
    }
}
