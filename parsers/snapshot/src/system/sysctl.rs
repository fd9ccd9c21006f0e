//! Kernel settings.

use facts::Fact;

use crate::node::{Input, Node};
use crate::text::quote;

/// Settings that decide what a log can show, or what happens at a crash.
const KEPT: &[&str] = &[
    "kernel.panic",
    "kernel.panic_on_oops",
    "kernel.panic_on_warn",
    "kernel.softlockup_panic",
    "kernel.hardlockup_panic",
    "kernel.hung_task_panic",
    "kernel.hung_task_timeout_secs",
    "kernel.hung_task_warnings",
    "kernel.watchdog_thresh",
    "kernel.nmi_watchdog",
    "kernel.unknown_nmi_panic",
    "kernel.sysrq",
    "kernel.tainted",
    "kernel.pid_max",
    "kernel.threads-max",
    "kernel.printk",
    "vm.panic_on_oom",
    "vm.min_free_kbytes",
    "vm.overcommit_memory",
    "vm.vfs_cache_pressure",
    "vm.dirty_ratio",
    "net.ipv6.conf.all.accept_dad",
    "net.ipv6.conf.all.disable_ipv6",
    "net.netfilter.nf_conntrack_max",
    "net.netfilter.nf_conntrack_count",
];

fn push(node: &mut Node, input: &Input<'_>, line: usize, name: &str, value: &str) {
    let fact = Fact::new("node.sysctl", input.line(line))
        .with("name", name)
        .with("text", value)
        .with_opt("value", value.parse::<i64>().ok())
        .quoting(quote(&format!("{name} = {value}")));
    node.push(fact);
}

/// `sysctl -a`.
pub(crate) fn all(node: &mut Node, input: &Input<'_>) -> bool {
    let mut rows = 0;
    for (i, line) in input.text.lines().enumerate() {
        let Some((name, value)) = line.split_once('=') else { continue };
        let (name, value) = (name.trim(), value.trim());
        rows += usize::from(name.contains('.'));
        if KEPT.contains(&name) {
            push(node, input, i, name, value);
        }
    }
    rows > 0
}

/// One file below `/proc/sys`.
pub(crate) fn one(node: &mut Node, input: &Input<'_>) -> bool {
    let Some((_, name)) = input.path.rsplit_once("proc/sys/") else { return false };
    let value = input.text.trim();
    if value.is_empty() || value.lines().count() > 1 {
        return false;
    }
    push(node, input, 0, &name.replace('/', "."), value);
    true
}

/// `/proc/sys/kernel/tainted`, with the letters of its bits.
pub(crate) fn tainted(node: &mut Node, input: &Input<'_>) -> bool {
    let Ok(bits) = input.text.trim().parse::<u64>() else { return false };
    const LETTERS: &[u8] = b"PFSRMBUDAWCIOELKXTNJ";
    let letters: String =
        LETTERS.iter().enumerate().filter(|(i, _)| bits >> i & 1 == 1).map(|(_, l)| *l as char).collect();
    node.push_once(
        Fact::new("node.taint", input.whole())
            .with("bits", bits)
            .with("letters", letters.as_str())
            .quoting(format!("kernel.tainted = {bits} ({letters})")),
    );
    true
}
