//! Which file is which: by path, by flattened path, by first line.

use std::sync::LazyLock;

use rustc_hash::FxHashMap;

use crate::cgroup;
use crate::node::{Input, Node};
use crate::{paste, proc, slabinfo, system};

/// Reads a file; false when its content is not what the name promised.
pub(crate) type Reader = fn(&mut Node, &Input<'_>) -> bool;

/// The way a path leads.
pub(crate) enum Route {
    Cgroup(cgroup::File),
    File(Reader),
}

impl Route {
    pub(crate) fn read(&self, node: &mut Node, input: &Input<'_>) -> bool {
        match self {
            Route::Cgroup(file) => cgroup::read(node, file, input),
            Route::File(reader) => reader(node, input),
        }
    }
}

/// Path endings at a component boundary, and their readers. The first match wins.
const TABLE: &[(&str, Reader)] = &[
    ("proc/cgroups", proc::cgroups::read),
    ("proc/meminfo", proc::meminfo::read),
    ("proc/slabinfo", slabinfo::read),
    ("proc/cmdline", proc::cmdline::read),
    ("proc/version", proc::version::read),
    ("proc/version_signature", proc::version::signature),
    ("proc/buddyinfo", proc::zones::buddyinfo),
    ("proc/zoneinfo", proc::zones::zoneinfo),
    ("proc/vmstat", proc::counters::vmstat),
    ("proc/stat", proc::counters::stat),
    ("proc/softirqs", proc::counters::per_cpu),
    ("proc/interrupts", proc::counters::per_cpu),
    ("proc/loadavg", proc::load::loadavg),
    ("proc/uptime", proc::load::uptime),
    ("proc/modules", proc::modules::read),
    ("proc/mounts", proc::mounts::read),
    ("proc/self/mountinfo", proc::mounts::mountinfo),
    ("proc/net/dev", proc::net::dev),
    ("proc/net/sockstat", proc::net::sockstat),
    ("proc/sys/kernel/random/boot_id", system::identity::boot_id),
    ("proc/sys/kernel/hostname", system::identity::hostname),
    ("proc/sys/kernel/osrelease", system::identity::osrelease),
    ("proc/sys/kernel/tainted", system::sysctl::tainted),
    ("proc/sys/kernel/panic_on_oops", system::sysctl::one),
    ("proc/sys/kernel/hung_task_timeout_secs", system::sysctl::one),
    ("proc/sys/kernel/softlockup_panic", system::sysctl::one),
    ("proc/sys/vm/min_free_kbytes", system::sysctl::one),
    ("proc/sys/vm/panic_on_oom", system::sysctl::one),
    ("proc/1/environ", system::identity::container),
    ("sys/kernel/kexec_crash_loaded", system::kdump::loaded),
    ("sys/kernel/kexec_crash_size", system::kdump::size),
    ("etc/machine-id", system::identity::machine_id),
    ("etc/hostname", system::identity::hostname),
    ("etc/os-release", system::os_release::read),
    ("usr/lib/os-release", system::os_release::read),
    ("sos_commands/host/hostname", system::identity::hostname),
    ("sos_commands/kernel/uname_-a", system::identity::uname),
    ("sos_commands/kernel/sysctl_-a", system::sysctl::all),
    ("sos_commands/dpkg/dpkg_-l", system::packages::dpkg),
    ("sos_commands/login/last", system::last::read),
    ("sos_commands/login/last_-F", system::last::read),
    ("sos_commands/host/hostnamectl_status", system::identity::hostnamectl),
    ("environment", system::identity::container),
    ("systeminfo/hostname", system::identity::hostname),
    ("systeminfo/uname", system::identity::uname),
    ("systeminfo/osrelease", system::os_release::read),
    ("systeminfo/packages-rpm", system::packages::rpm),
    ("systeminfo/packages-dpkg", system::packages::dpkg),
    ("systeminfo/sysctla", system::sysctl::all),
    ("installed-rpms", system::packages::rpm),
    ("installed-debs", system::packages::dpkg),
    ("var/lib/dpkg/status", system::packages::dpkg_status),
    ("memory/slabtop_-o", paste::slabtop::read),
    ("proc/sysvipc/shm", ignore),
];

/// Names that stand alone, in a folder of any name, with or without `.txt`: their content must agree.
const BARE: &[(&str, Reader)] = &[
    ("cgroups", proc::cgroups::read),
    ("memory-cgroup-directories", proc::cgroups::counted),
    ("cgroup-directories", proc::cgroups::counted),
    ("meminfo", proc::meminfo::read),
    ("slabinfo", slabinfo::read),
    ("memcg_slabinfo", slabinfo::memcg_slabinfo),
    ("cmdline", proc::cmdline::read),
    ("buddyinfo", proc::zones::buddyinfo),
    ("zoneinfo", proc::zones::zoneinfo),
    ("vmstat", proc::counters::vmstat),
    ("softirqs", proc::counters::per_cpu),
    ("interrupts", proc::counters::per_cpu),
    ("loadavg", proc::load::loadavg),
    ("uptime", proc::load::uptime_command),
    ("uname", system::identity::uname),
    ("hostname", system::identity::hostname),
    ("kernel", system::identity::osrelease),
    ("machine-id", system::identity::machine_id),
    ("boot_id", system::identity::boot_id),
    ("os-release", system::os_release::read),
    ("slabtop", paste::slabtop::read),
    ("last", system::last::read),
    ("last-x", system::last::read),
    ("modules", proc::modules::read),
    ("mounts", proc::mounts::read),
    ("sockstat", proc::net::sockstat),
    ("slab-count", system::slab_names::counted),
    ("sys-slab-ls", system::slab_names::listing),
    ("rpm-qa", system::packages::rpm),
    ("dpkg-l", system::packages::dpkg),
    ("sysctl-a", system::sysctl::all),
    ("kdump.conf", ignore),
    ("sel", system::sel::read),
    ("sel-list", system::sel::read),
    ("sel-elist", system::sel::read),
    ("ls-var-crash", system::kdump::listing),
    ("find-var-crash", system::kdump::found),
];

/// Files below `/proc/PID`.
const OF_TASK: &[(&str, Reader)] = &[("stack", proc::task::stack), ("status", proc::task::status)];

/// Prefixes of a file name (`sos` writes a command with `_` for blanks and `.` for slashes).
const COMMANDS: &[(&str, Reader)] = &[
    ("ls_-lt_.sys.kernel.slab", system::slab_names::listing),
    ("ls_.sys.kernel.slab", system::slab_names::listing),
    ("config-", system::config::read),
    ("last_-x", system::last::read),
    ("last_reboot", system::last::read),
    ("rpm_-qa", system::packages::rpm),
    ("sh_-c_rpm", system::packages::rpm),
    ("package-data", system::packages::rpm),
    ("dpkg_-l", system::packages::dpkg),
    ("systemctl_status_kdump", system::kdump::status),
    ("kdumpctl_status", system::kdump::status),
    ("kdump-config_status", system::kdump::status),
    ("crictl_", ignore),
    ("ls_-alhR_.var.crash", system::kdump::listing),
    ("ls_-laR_.var.crash", system::kdump::listing),
    ("ls_-lR_.var.crash", system::kdump::listing),
    ("ls_-alZR_.var.crash", system::kdump::listing),
    ("ls_-lanR_.var.crash", system::kdump::listing),
    ("ipmitool_sel", system::sel::read),
    ("ipmitool_-I_", system::sel::read),
    ("sel_", system::sel::read),
];

/// Words in a file's name that promise a pasted tool output: `kubelet-strace.txt`, `node1.kmem_-s.log`.
const TOOLS: &[&str] = &[
    "strace",
    "pprof",
    "folded",
    "flamegraph",
    "funcslower",
    "opensnoop",
    "pidstat",
    "slabtop",
    "kmem",
    "cgroup",
    "cgroups",
    "memcg",
];
/// The same, of two words.
const TOOLS_OF_TWO: &[(&str, &str)] = &[("perf", "report"), ("time", "cat")];

/// Whether the words of a name hold those of a tool.
fn promises_output(name: &str) -> bool {
    let mut before = "";
    name.split(SEPARATORS).any(|word| {
        let pair = (std::mem::replace(&mut before, word), word);
        TOOLS.contains(&word) || TOOLS_OF_TWO.contains(&pair)
    })
}

fn pasted(node: &mut Node, input: &Input<'_>) -> bool {
    input.before == 0 && paste::read(node, input)
}

fn ignore(_: &mut Node, _: &Input<'_>) -> bool {
    true
}

/// The tables by the last component of a path: a walk asks for tens of thousands of names.
struct Index {
    endings: FxHashMap<&'static str, Vec<(&'static str, Reader)>>,
    bare: FxHashMap<&'static str, Reader>,
    /// Flattened endings, by their last word.
    flat: FxHashMap<String, Vec<(String, Reader)>>,
}

static INDEX: LazyLock<Index> = LazyLock::new(|| {
    let mut index = Index { endings: FxHashMap::default(), bare: FxHashMap::default(), flat: FxHashMap::default() };
    let last = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
    for (ending, reader) in TABLE {
        let base = ending.rsplit('/').next().unwrap_or(ending);
        index.endings.entry(base).or_default().push((ending, *reader));
        if ending.starts_with("proc/") || ending.starts_with("sys/") {
            let flat = flatten(ending);
            index.flat.entry(last(&flat)).or_default().push((flat, *reader));
        }
    }
    for (name, reader) in BARE {
        index.bare.insert(name, *reader);
        if name.contains('-') {
            let flat = flatten(name);
            index.flat.entry(last(&flat)).or_default().push((flat, *reader));
        }
    }
    index
});

/// Where a path leads, or `None` when it says nothing.
pub(crate) fn route(path: &str) -> Option<Route> {
    cgroup::File::of(path).map(Route::Cgroup).or_else(|| file_reader(path).map(Route::File))
}

/// Whether a path leads anywhere.
pub(crate) fn is_routed(path: &str) -> bool {
    cgroup::File::is(path) || file_reader(path).is_some()
}

/// The reader of a file that is no cgroup's.
fn file_reader(path: &str) -> Option<Reader> {
    let (directory, base) = path.rsplit_once('/').unwrap_or(("", path));
    // What else lies in a cgroup tree is never read, whatever its name reminds of.
    if base.is_empty() || cgroup::tree::holds(directory) {
        return None;
    }
    let index = &*INDEX;
    if let Some(endings) = index.endings.get(base)
        && let Some((_, reader)) = endings.iter().find(|(ending, _)| ends_at_component(path, ending))
    {
        return Some(*reader);
    }
    if let Some((_, reader)) = OF_TASK.iter().find(|(name, _)| *name == base)
        && proc::task::pid_of(directory).is_some()
    {
        return Some(*reader);
    }
    if base == "enabled" && (path.contains("sys/kernel/livepatch/") || path.starts_with("livepatch/")) {
        return Some(system::livepatch::enabled);
    }
    let plain = plain_base(base);
    if let Some(reader) = index.bare.get(plain) {
        return Some(*reader);
    }
    let first = base.as_bytes().first();
    let begins = |prefix: &str| prefix.as_bytes().first() == first && base.starts_with(prefix);
    if let Some((_, reader)) = COMMANDS.iter().find(|(prefix, _)| begins(prefix)) {
        return Some(*reader);
    }
    // `node1.proc-meminfo.txt`, `proc_meminfo`, `cat_.proc.cmdline`
    let word = plain.rsplit(SEPARATORS).next().filter(|word| word.len() < plain.len());
    if let Some(candidates) = word.and_then(|word| index.flat.get(word)) {
        let flat = flatten(plain);
        if let Some((_, reader)) = candidates.iter().find(|(ending, _)| ends_at_component(&flat, ending)) {
            return Some(*reader);
        }
    }
    (!is_virtual(directory) && promises_output(plain)).then_some(pasted)
}

/// Whether a directory is below `/proc` or `/sys`.
pub(crate) fn is_virtual(directory: &str) -> bool {
    directory.split('/').any(|folder| matches!(folder, "proc" | "sys"))
}

/// First lines that betray a file of unknown name.
const FIRST_LINES: &[(&str, Reader)] = &[
    ("slabinfo - version", slabinfo::read),
    ("# <name> <css_id", slabinfo::memcg_slabinfo),
    ("#subsys_name", proc::cgroups::read),
    ("MemTotal: ", proc::meminfo::read),
    ("Linux version ", proc::version::read),
    ("Inter-|   Receive", proc::net::dev),
    ("sockets: used ", proc::net::sockstat),
    ("nr_free_pages ", proc::counters::vmstat),
    ("Node 0, zone ", proc::zones::either),
    ("BOOT_IMAGE=", proc::cmdline::read),
    (" Active / Total Objects", paste::slabtop::read),
    ("% time     seconds", paste::strace::counts),
    ("PeriodType:", paste::profile::pprof_raw),
];

/// The reader for a text of unknown name.
pub(crate) fn by_content(text: &str) -> Option<Reader> {
    let first = text.lines().map(str::trim_end).find(|l| !l.is_empty())?;
    // `grep -r . /sys/fs/cgroup`, `head $(find ...)`: any of the first lines names a control file.
    if first.starts_with(['.', '/', '=', 'g', 'c']) && text.lines().take(60).any(paste::names_control_file) {
        return Some(pasted);
    }
    let known = FIRST_LINES.iter().find(|(start, _)| first.starts_with(start)).map(|(_, reader)| *reader);
    known.or_else(|| system::sel::is_row(first).then_some(system::sel::read as Reader))
}

/// Whether `path` ends with `ending` and a component begins there.
pub(crate) fn ends_at_component(path: &str, ending: &str) -> bool {
    path.strip_suffix(ending).is_some_and(|head| head.is_empty() || head.ends_with('/'))
}

/// A base name without `.txt`, `.log`, `.out`.
pub(crate) fn plain_base(base: &str) -> &str {
    for end in [".txt", ".log", ".out"] {
        if let Some(stem) = base.strip_suffix(end) {
            return stem;
        }
    }
    base
}

const SEPARATORS: [char; 5] = ['-', '_', '.', ' ', '/'];

/// All separators made slashes.
fn flatten(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for c in name.chars() {
        let c = if SEPARATORS.contains(&c) { '/' } else { c };
        if c != '/' || (!out.ends_with('/') && !out.is_empty()) {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_known_in_every_collectors_spelling() {
        for path in [
            "proc/meminfo",
            "sosreport-x/proc/meminfo",
            "healthy.proc-meminfo.txt",
            "case/proc_meminfo",
            "meminfo.txt",
            "sys/fs/cgroup/memory/a/memory.stat",
            "node.pod.memory.kmem.failcnt.txt",
            "boot/config-5.4.0-97-generic",
            "cat_.proc.cmdline",
            "x/sys/kernel/livepatch/kpatch_1/enabled",
            "sosreport-x/proc/1234/stack",
            "proc/1/status",
            "case/kubelet-strace.txt",
            "kmem_-s.txt",
        ] {
            assert!(route(path).is_some(), "{path}");
        }
        for path in [
            "proc/kallsyms",
            "etc/passwd",
            "var/log/messages",
            "proc/12/stat",
            "usr/share/doc/memory.txt",
            "etc/cgconfig.d/mycgroupfile",
            "",
        ] {
            assert!(route(path).is_none(), "{path}");
        }
    }
}
