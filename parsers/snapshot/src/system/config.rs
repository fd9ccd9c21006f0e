//! `/boot/config-*`: the settings that decide whether a bug can exist or show.

use facts::Fact;

use crate::node::{Input, Node};
use crate::text::quote;

const KEPT: &[&str] = &[
    "CONFIG_MEMCG",
    "CONFIG_MEMCG_KMEM",
    "CONFIG_MEMCG_V1",
    "CONFIG_SLUB",
    "CONFIG_SLAB",
    "CONFIG_SLUB_DEBUG",
    "CONFIG_SLUB_DEBUG_ON",
    "CONFIG_SLAB_FREELIST_HARDENED",
    "CONFIG_KASAN",
    "CONFIG_KFENCE",
    "CONFIG_NET_DEV_REFCNT_TRACKER",
    "CONFIG_PCPU_DEV_REFCNT",
    "CONFIG_DETECT_HUNG_TASK",
    "CONFIG_SOFTLOCKUP_DETECTOR",
    "CONFIG_HARDLOCKUP_DETECTOR",
    "CONFIG_LOCKDEP",
    "CONFIG_PROVE_LOCKING",
    "CONFIG_IPV6_MROUTE_MULTIPLE_TABLES",
    "CONFIG_PREEMPT",
    "CONFIG_PREEMPT_RT",
    "CONFIG_LIVEPATCH",
    "CONFIG_RANDSTRUCT",
    "CONFIG_DEBUG_INFO_BTF",
    "CONFIG_PAGE_TABLE_ISOLATION",
    "CONFIG_PRINTK_CALLER",
];

pub(crate) fn read(node: &mut Node, input: &Input<'_>) -> bool {
    if !input.text.contains("CONFIG_") {
        return false;
    }
    let file = input.path.rsplit('/').next().unwrap_or(input.path);
    let release = file.strip_prefix("config-").unwrap_or_default();
    for (i, line) in input.text.lines().enumerate() {
        let (name, value) = match line.strip_prefix("# ").and_then(|l| l.strip_suffix(" is not set")) {
            Some(name) => (name, "n"),
            None => match line.split_once('=') {
                Some(pair) => pair,
                None => continue,
            },
        };
        if KEPT.contains(&name) {
            node.push(
                Fact::new("node.config", input.line(i))
                    .with("release", release)
                    .with("name", name)
                    .with("value", value)
                    .quoting(quote(line)),
            );
        }
    }
    true
}
