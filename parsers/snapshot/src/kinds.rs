//! The kinds of facts that this crate makes.

use facts::FieldType::{Bool, Float, Int, List, Text};
use facts::KindDef;
use facts::field;

macro_rules! kinds {
    ($($kind:literal, $doc:literal, [$($name:literal: $ty:ident $unit:literal $text:literal),* $(,)?];)*) => {
        &[$(KindDef {
            kind: $kind,
            doc: $doc,
            fields: &[$(field($name, $ty, $unit, $text)),*],
        }),*]
    };
}

/// All kinds, with their values, types and units. Each value may be absent.
pub const KINDS: &[KindDef] = kinds! {
    "cgroup.kmem", "Kernel-memory accounting of one memory cgroup (v1)", [
        "path": Text "" "path in the memory tree",
        "qos": Text "" "QoS class the path names: guaranteed, burstable, besteffort",
        "pod": Text "" "pod uid the path names",
        "container": Text "" "container id the path names",
        "runtime": Text "" "container runtime the path names",
        "unit": Text "" "systemd unit the path names",
        "name": Text "" "last component of the path: what the kernel puts into the names of its caches",
        "accounting": Text "" "on: memory.kmem.slabinfo is a table; off: Input/output error (3.10); empty: no bytes (kernels from 5.9, and those before as long as the cgroup has no cache); not-collected",
        "usage_bytes": Int "bytes" "memory.kmem.usage_in_bytes",
        "max_usage_bytes": Int "bytes" "memory.kmem.max_usage_in_bytes",
        "tcp_usage_bytes": Int "bytes" "memory.kmem.tcp.usage_in_bytes",
        "limit_bytes": Int "bytes" "memory.kmem.limit_in_bytes",
        "limit_unlimited": Bool "" "the kernel-memory limit means no limit",
        "limit_relation": Text "" "kernel-memory limit against memory limit: none, below-memory-limit, at-or-above-memory-limit",
        "failcnt": Int "" "memory.kmem.failcnt",
        "memory_failcnt": Int "" "memory.failcnt",
        "memory_usage_bytes": Int "bytes" "memory.usage_in_bytes",
        "memory_limit_bytes": Int "bytes" "memory.limit_in_bytes",
        "memory_limit_unlimited": Bool "" "the memory limit means no limit",
        "slab_caches": Int "" "rows of memory.kmem.slabinfo",
        "slab_bytes": Int "bytes" "objects times size over all rows",
        "slab_objs": Int "" "objects of all rows",
        "slab_active_objs": Int "" "active objects of all rows",
        "dead_caches": Int "" "rows whose name marks the cache as dead",
    ];
    "cgroup.memory", "Memory of one cgroup, v1 or v2", [
        "path": Text "" "path in its tree",
        "qos": Text "" "QoS class the path names",
        "pod": Text "" "pod uid the path names",
        "container": Text "" "container id the path names",
        "runtime": Text "" "container runtime the path names",
        "unit": Text "" "systemd unit the path names",
        "version": Int "" "1 or 2",
        "usage_bytes": Int "bytes" "memory.usage_in_bytes or memory.current",
        "max_usage_bytes": Int "bytes" "highest usage",
        "limit_bytes": Int "bytes" "memory.limit_in_bytes or memory.max",
        "limit_unlimited": Bool "" "the limit means no limit",
        "failcnt": Int "" "memory.failcnt",
        "memsw_usage_bytes": Int "bytes" "memory and swap",
        "memsw_failcnt": Int "" "memory.memsw.failcnt",
        "swap_bytes": Int "bytes" "memory.swap.current",
        "cache_bytes": Int "bytes" "memory.stat cache",
        "rss_bytes": Int "bytes" "memory.stat rss",
        "anon_bytes": Int "bytes" "memory.stat anon (v2)",
        "file_bytes": Int "bytes" "memory.stat file (v2)",
        "kernel_bytes": Int "bytes" "memory.stat kernel (v2)",
        "slab_bytes": Int "bytes" "memory.stat slab (v2)",
        "slab_reclaimable_bytes": Int "bytes" "memory.stat slab_reclaimable (v2)",
        "slab_unreclaimable_bytes": Int "bytes" "memory.stat slab_unreclaimable (v2)",
        "sock_bytes": Int "bytes" "memory.stat sock (v2)",
        "kernel_stack_bytes": Int "bytes" "memory.stat kernel_stack (v2)",
        "percpu_bytes": Int "bytes" "memory.stat percpu (v2)",
        "shmem_bytes": Int "bytes" "memory.stat shmem: pages of tmpfs, which keep a removed group until the file goes",
        "total_cache_bytes": Int "bytes" "memory.stat total_cache (v1)",
        "total_rss_bytes": Int "bytes" "memory.stat total_rss (v1)",
        "inactive_file_bytes": Int "bytes" "total_inactive_file (v1) or inactive_file",
        "working_set_bytes": Int "bytes" "usage less inactive file pages, as kubelet counts",
        "events_max": Int "" "memory.events max",
        "events_high": Int "" "memory.events high",
        "events_oom": Int "" "memory.events oom",
        "oom_kill": Int "" "tasks killed by the OOM killer",
        "under_oom": Int "" "memory.oom_control under_oom",
    ];
    "cgroup.slab_cache", "One of the largest caches of a memory cgroup", [
        "path": Text "" "path in the memory tree",
        "cache": Text "" "cache name",
        "active_objs": Int "" "active objects",
        "num_objs": Int "" "all objects",
        "object_bytes": Int "bytes" "size of one object",
        "bytes": Int "bytes" "all objects",
    ];
    "cgroup.dying", "Dying groups below a cgroup (cgroup.stat)", [
        "path": Text "" "path in its tree",
        "topmost": Bool "" "no group above it was collected: its figures hold those of the others",
        "mostly_below": Text "" "deepest group below which nine tenths of the dying ones were made; only for the root",
        "dying": Int "" "nr_dying_descendants",
        "descendants": Int "" "nr_descendants",
        "memory_dying": Int "" "nr_dying_subsys_memory",
        "memory_descendants": Int "" "nr_subsys_memory",
    ];
    "cgroup.controllers", "One row of /proc/cgroups", [
        "controller": Text "" "controller",
        "hierarchy": Int "" "0 is v2 or not mounted",
        "num_cgroups": Int "" "groups, dying ones included where the kernel counts them",
        "enabled": Bool "" "enabled",
    ];
    "cgroup.tree", "Directories that a cgroup tree really has", [
        "controller": Text "" "v1 controller, or unified",
        "version": Int "" "1 or 2",
        "directories": Int "" "directories that members name, the top included",
        "from_root": Bool "" "the top is the root of the machine's hierarchy; absent when that cannot be told",
        "num_cgroups": Int "" "the count in /proc/cgroups for it",
        "excess": Int "" "num_cgroups less directories, only when from_root: groups without a directory are dying",
    ];
    "cgroup.pids", "Process limit of a cgroup", [
        "path": Text "" "path in its tree",
        "qos": Text "" "QoS class the path names",
        "pod": Text "" "pod uid the path names",
        "container": Text "" "container id the path names",
        "runtime": Text "" "container runtime the path names",
        "unit": Text "" "systemd unit the path names",
        "current": Int "" "pids.current",
        "limit": Int "" "pids.max",
        "refused": Int "" "pids.events max: forks that the limit refused",
    ];
    "cgroup.cpu_throttling", "A cgroup that was throttled", [
        "path": Text "" "path in its tree",
        "qos": Text "" "QoS class the path names",
        "pod": Text "" "pod uid the path names",
        "container": Text "" "container id the path names",
        "runtime": Text "" "container runtime the path names",
        "unit": Text "" "systemd unit the path names",
        "periods": Int "" "nr_periods",
        "throttled": Int "" "nr_throttled",
        "throttled_us": Int "us" "time throttled",
    ];
    "cgroup.pressure", "A cgroup that waits for a resource", [
        "path": Text "" "path in its tree",
        "qos": Text "" "QoS class the path names",
        "pod": Text "" "pod uid the path names",
        "container": Text "" "container id the path names",
        "runtime": Text "" "container runtime the path names",
        "unit": Text "" "systemd unit the path names",
        "what": Text "" "memory some, io full, ...",
        "avg10": Float "%" "over 10 s",
        "avg300": Float "%" "over 300 s",
        "total_us": Int "us" "in all",
    ];
    "node.meminfo", "/proc/meminfo, under the kernel's names", [
        "MemTotal": Int "kB" "", "MemFree": Int "kB" "", "MemAvailable": Int "kB" "", "Buffers": Int "kB" "",
        "Cached": Int "kB" "", "SwapTotal": Int "kB" "", "SwapFree": Int "kB" "", "Dirty": Int "kB" "",
        "Writeback": Int "kB" "", "AnonPages": Int "kB" "", "Mapped": Int "kB" "", "Shmem": Int "kB" "",
        "KReclaimable": Int "kB" "", "Slab": Int "kB" "", "SReclaimable": Int "kB" "", "SUnreclaim": Int "kB" "",
        "KernelStack": Int "kB" "", "PageTables": Int "kB" "", "SecPageTables": Int "kB" "", "Percpu": Int "kB" "",
        "VmallocUsed": Int "kB" "", "CommitLimit": Int "kB" "", "Committed_AS": Int "kB" "",
        "HardwareCorrupted": Int "kB" "", "Balloon": Int "kB" "", "Zswap": Int "kB" "", "Hugetlb": Int "kB" "",
        "HugePages_Total": Int "" "", "HugePages_Free": Int "" "",
        "SUnreclaim_share": Float "%" "SUnreclaim of MemTotal",
    ];
    "node.slab_names", "Names below /sys/kernel/slab", [
        "total": Int "" "names",
        "per_memcg": Int "" "names that belong to a memory cgroup",
        "memcgs": Int "" "memory cgroups that these names tell apart (in a list of counts: at least as many)",
    ];
    "node.slab_totals", "Sums over /proc/slabinfo", [
        "caches": Int "" "rows",
        "per_memcg": Int "" "rows named cache(id:group)",
        "objs": Int "" "objects",
        "active_objs": Int "" "active objects",
        "bytes": Int "bytes" "objects times size",
    ];
    "node.slabinfo", "One of the largest caches of the node", [
        "cache": Text "" "cache name",
        "active_objs": Int "" "active objects",
        "num_objs": Int "" "all objects",
        "object_bytes": Int "bytes" "size of one object",
        "bytes": Int "bytes" "all objects",
    ];
    "node.memcg_caches", "RHEL 8's memcg_slabinfo", [
        "caches": Int "" "per-cgroup caches",
        "dead": Int "" "caches of dead cgroups",
        "taken_over": Int "" "caches of removed cgroups that their parents took over",
        "objs": Int "" "objects",
        "living_cgroups": Int "" "cgroups with caches that exist",
        "dead_cgroups": Int "" "cgroups with caches that were removed and live on",
    ];
    "node.cmdline", "The kernel's command line", [
        "text": Text "" "the whole line",
        "nokmem": Bool "" "cgroup.memory=nokmem is given; it proves nothing about its effect",
        "crashkernel": Text "" "value of crashkernel=",
        "slub_debug": Text "" "value of slub_debug= or slab_debug=",
        "capture_kernel": Bool "" "elfcorehdr= is given: the capture kernel's own line",
    ];
    "node.uname", "Kernel release", [
        "release": Text "" "uname -r",
        "banner": Text "" "the whole /proc/version line",
        "build": Text "" "uname -v and what follows",
        "host": Text "" "uname -n",
        "arch": Text "" "uname -m, or what the release ends in",
    ];
    "node.version_signature", "Ubuntu's build of the kernel", [
        "vendor": Text "" "Ubuntu", "build": Text "" "its version", "upstream": Text "" "the stable release it contains",
    ];
    "node.identity", "One identifying value and its source", [
        "host": Text "" "host name", "machine_id": Text "" "32 hex digits", "boot_id": Text "" "32 hex digits",
    ];
    "node.container", "The files were collected inside a container: its kernel is the host's", [
        "runtime": Text "" "lxc, docker, ...",
    ];
    "node.os", "Distribution", [
        "id": Text "" "ID", "version": Text "" "VERSION_ID", "name": Text "" "PRETTY_NAME",
    ];
    "node.package", "An installed package that bears on kernel trouble", [
        "name": Text "" "package", "version": Text "" "version and release as the package manager prints them",
    ];
    "node.config", "A setting of a kernel's build configuration", [
        "release": Text "" "kernel the file is named after", "name": Text "" "CONFIG_...", "value": Text "" "y, m, n or a value",
    ];
    "node.sysctl", "A kernel setting", [
        "name": Text "" "dotted name", "text": Text "" "value as printed", "value": Int "" "value when it is one number",
    ];
    "node.taint", "kernel.tainted", [
        "bits": Int "" "bit set", "letters": Text "" "letters of the bits set, as an oops prints them",
    ];
    "node.livepatch", "A livepatch below /sys/kernel/livepatch", [
        "name": Text "" "patch module", "enabled": Bool "" "enabled file says 1", "functions": List "" "patched functions, module: in front for modules",
    ];
    "node.module", "A loaded module that taints the kernel or is not live", [
        "name": Text "" "module", "size_bytes": Int "bytes" "size", "state": Text "" "Live, Loading, Unloading", "taint": Text "" "letters",
    ];
    "node.modules", "Loaded modules", [ "count": Int "" "how many", "names": List "" "their names" ];
    "node.mounts", "Mounts", [
        "count": Int "" "all", "overlay": Int "" "overlay", "nfs": Int "" "NFS", "cifs": Int "" "CIFS", "tmpfs": Int "" "tmpfs",
        "cgroup_v1": Bool "" "a v1 hierarchy is mounted", "cgroup_v2": Bool "" "the unified hierarchy is mounted",
    ];
    "node.interfaces", "Network interfaces", [ "count": Int "" "all", "veth": Int "" "veth and cali pairs", "names": List "" "names" ];
    "node.interface", "An interface with errors or drops", [
        "name": Text "" "interface", "rx_errors": Int "" "", "rx_drops": Int "" "", "tx_errors": Int "" "", "tx_drops": Int "" "",
    ];
    "node.sockstat", "Sockets", [
        "sockets_used": Int "" "", "tcp_inuse": Int "" "", "tcp_orphan": Int "" "", "tcp_time_wait": Int "" "", "tcp_alloc": Int "" "",
        "tcp_mem_pages": Int "pages" "", "udp_inuse": Int "" "",
    ];
    "node.buddyinfo", "Free blocks of one zone", [
        "node": Int "" "NUMA node", "zone": Text "" "zone", "free_pages": Int "pages" "sum", "highest_order": Int "" "largest order with a free block",
        "free_blocks": List "" "free blocks by order",
    ];
    "node.zone", "Free pages of one zone against its watermarks", [
        "node": Int "" "NUMA node", "zone": Text "" "zone", "free_pages": Int "pages" "", "min_pages": Int "pages" "", "low_pages": Int "pages" "",
        "high_pages": Int "pages" "", "present_pages": Int "pages" "", "managed_pages": Int "pages" "",
    ];
    "node.vmstat", "Counters of /proc/vmstat, under the kernel's names", [
        "nr_free_pages": Int "pages" "", "nr_slab_reclaimable": Int "pages" "", "nr_slab_unreclaimable": Int "pages" "", "nr_dirty": Int "pages" "",
        "nr_writeback": Int "pages" "", "allocstall": Int "" "", "allocstall_normal": Int "" "", "allocstall_movable": Int "" "",
        "pgscan_direct": Int "pages" "", "pgsteal_direct": Int "pages" "", "oom_kill": Int "" "", "compact_fail": Int "" "", "compact_stall": Int "" "",
        "drop_pagecache": Int "" "", "drop_slab": Int "" "", "slabs_scanned": Int "" "", "pgmajfault": Int "" "", "nr_unstable": Int "pages" "",
    ];
    "node.stat", "Times since boot (/proc/stat)", [
        "cpus": Int "" "CPUs", "user_share": Float "%" "", "system_share": Float "%" "", "iowait_share": Float "%" "", "softirq_share": Float "%" "",
        "steal_share": Float "%" "", "boot_unix_s": Int "s" "wall-clock time of the boot", "procs_blocked": Int "" "", "procs_running": Int "" "",
    ];
    "node.interrupts", "One of the busiest rows of softirqs or interrupts", [
        "what": Text "" "softirq or interrupt", "name": Text "" "row", "count": Int "" "over all CPUs", "busiest_cpu_share": Float "%" "share of the busiest CPU",
    ];
    "node.load", "Load average", [
        "load1": Float "" "", "load5": Float "" "", "load15": Float "" "", "running": Int "" "running tasks", "tasks": Int "" "all tasks",
    ];
    "node.uptime", "Time since boot", [ "seconds": Float "s" "" ];
    "node.tasks", "Task states as crash's ps prints them", [
        "total": Int "" "tasks", "running": Int "" "RU", "uninterruptible": Int "" "UN", "zombie": Int "" "ZO",
    ];
    "node.backtrace", "One task's stack: /proc/PID/stack, bt of crash, drgn", [
        "pid": Int "" "", "comm": Text "" "command", "top": Text "" "innermost function",
        "state": Text "" "state letter, where it is known: foreach UN bt, /proc/PID/status",
    ];
    "node.crash_banner", "Banner of the crash utility", [
        "dumpfile": Text "" "", "host": Text "" "", "release": Text "" "", "machine": Text "" "", "panic": Text "" "", "uptime": Text "" "", "date": Text "" "",
    ];
    "node.timed_read", "How long one read of a file took (time cat)", [
        "file": Text "" "as typed", "name": Text "" "last component", "seconds": Float "s" "real", "user_seconds": Float "s" "user",
        "sys_seconds": Float "s" "sys", "sys_share": Float "%" "sys of real: near 100 is CPU time in the kernel, not waiting",
    ];
    "node.profile", "A function's share in a profile", [
        "function": Text "" "function", "share": Float "%" "samples it takes part in", "own_share": Float "%" "samples it ends",
        "samples": Int "" "samples it takes part in", "tool": Text "" "folded stacks, pprof -raw, pprof -top, perf report",
    ];
    "node.syscalls", "One row of strace -c", [
        "syscall": Text "" "", "share": Float "%" "of the time", "seconds": Float "s" "", "us_per_call": Int "us" "", "calls": Int "" "", "errors": Int "" "",
    ];
    "node.syscall_errors", "Calls that failed in a strace", [ "syscall": Text "" "", "errno": Text "" "EAGAIN, ...", "count": Int "" "" ];
    "node.slow_syscall", "The slowest call of its name in a strace -T", [ "syscall": Text "" "", "seconds": Float "s" "" ];
    "node.latency", "A kernel function that funcslower caught", [ "function": Text "" "", "count": Int "" "", "max_us": Float "us" "" ];
    "node.opens", "A file that a program opens often (opensnoop)", [ "comm": Text "" "", "file": Text "" "", "count": Int "" "" ];
    "node.cpu_use", "A busy program (pidstat)", [
        "command": Text "" "", "pid": Int "" "", "user_share": Float "%" "", "system_share": Float "%" "",
    ];
    "node.boot_end", "How a boot ended", [
        "boot": Int "" "boot in this log, counted from 0",
        "boot_id": Text "" "32 hex digits",
        "kernel": Text "" "release",
        "how": Text "" "requested, panic, crash-requested, watchdog, fenced, hypervisor, thermal, power, hardware, kexec, reset-by-hand, hung, silent-reset; from last: clean, unclean",
        "sure": Bool "" "said by a line, not inferred from the lack of one",
        "user_space": Bool "" "user space wrote to the log too: what it does not say of a shutdown was not there",
        "capture_kernel": Bool "" "this boot is the capture kernel",
        "source": Text "" "log or last",
        "time": Text "" "wall clock of its last line, of an unknown zone: 2026-11-26 03:00:00, or 11-26 03:00:00 where the log has no year; from last: of the shutdown, or of the next boot",
        "started": Text "" "from last: wall clock at which the boot began",
        "evidence": Text "" "the line that says so",
        "last_line": Text "" "the boot's last line",
    ];
    "node.kdump", "Whether a dump could be or was taken", [
        "what": Text "" "loaded, not-loaded, reserved, not-reserved, reservation-failed, armed, not-armed, capture-failed, capture-oom, disk-full, incomplete, saved",
        "boot": Int "" "boot in this log, counted from 0", "capture_kernel": Bool "" "said by the kernel that takes the dump", "time": Text "" "wall clock of the line",
        "loaded": Bool "" "kexec_crash_loaded", "reserved_bytes": Int "bytes" "kexec_crash_size", "text": Text "" "the line", "count": Int "" "lines like it",
    ];
    "node.reset_by_others", "Somebody outside reset a machine: a cluster peer, a hypervisor, the board", [
        "how": Text "" "fenced, hypervisor, watchdog, power, thermal, hardware, panic",
        "source": Text "" "cluster, hypervisor, sel", "target": Text "" "the machine, where it is named; of sel the machine itself",
        "time": Text "" "wall clock of the line", "count": Int "" "lines", "text": Text "" "the line",
    ];
    "node.condition", "A condition of a Kubernetes node as its API object has it", [
        "type": Text "" "Ready, KernelDeadlock, ...", "status": Text "" "True, False, Unknown", "reason": Text "" "one word",
        "message": Text "" "in words", "since": Text "" "RFC 3339",
    ];
    "node.dump_file", "A file of a crash dump, or a crash folder without one", [
        "path": Text "" "the folder",
        "state": Text "" "whole: a dump by its name; incomplete; empty; absent: a crash folder with a log and no dump",
        "bytes": Int "bytes" "size where a listing tells", "time": Text "" "wall clock in the folder's name",
    ];
    "node.runtime_error", "What a container runtime or kubelet could not do", [
        "what": Text "" "cgroup-mkdir-enospc, cgroup-mkdir-enomem, cpuset-mkdir-enospc, kernel-memory-limit-used, kmem-limit-not-supported, kmem-accounting-off, fork-enomem, pleg-not-healthy, runtime-down",
        "path": Text "" "cgroup path down to the QoS class", "count": Int "" "lines", "text": Text "" "the first of them",
    ];
};

/// Whether a fact keeps to the table: its kind is there, and each value has the type the table says.
#[cfg(test)]
pub(crate) fn keeps_to_table(fact: &facts::Fact) -> Result<(), String> {
    use facts::Value;
    let kind =
        KINDS.iter().find(|k| k.kind == fact.kind).ok_or_else(|| format!("kind {} is in no table", fact.kind))?;
    for (name, value) in &fact.values {
        let field = kind
            .fields
            .iter()
            .find(|f| f.name == name)
            .ok_or_else(|| format!("{}.{name} is in no table", fact.kind))?;
        let fits = match field.ty {
            Bool => matches!(value, Value::Bool(_)),
            Int => matches!(value, Value::Int(_) | Value::Unsigned(_)),
            Float => matches!(value, Value::Float(_)),
            Text => matches!(value, Value::Text(_)),
            List => matches!(value, Value::List(_)),
            _ => false,
        };
        if !fits {
            return Err(format!("{}.{name} is {value:?}, the table says {:?}", fact.kind, field.ty));
        }
    }
    Ok(())
}
