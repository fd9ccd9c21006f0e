//! IPv6 multicast routing tables of network namespaces, as `ip6mr_sk_done()` walks them.

use std::collections::HashSet;

use facts::{Fact, Gap};

use crate::{Kernel, VirtAddr, Walk};

/// Page structures looked at when namespaces on no list are searched: 64 GiB of memory.
const PAGES: u64 = 16 << 20;

impl Kernel<'_> {
    /// All allocated network namespaces: those on the list, and those being set up or torn down, which are on none
    /// and are found in their slab cache.
    pub(crate) fn net_namespaces(&self) -> Walk<VirtAddr> {
        let mut walk = Walk::default();
        let listed = self.nets();
        walk.gaps.extend(listed.gaps);
        walk.items.extend(listed.items.iter().map(|net| net.address));
        let mut seen: HashSet<u64> = walk.items.iter().map(|net| net.0).collect();
        let cache = self.symbol_at("net_cachep").and_then(|at| self.ptr(at).ok()).filter(|at| self.arch.is_kernel(*at));
        let Some(cache) = cache else { return walk };
        let objects = self.slab_objects(cache, PAGES);
        walk.gaps.extend(objects.gaps);
        walk.items.extend(objects.items.into_iter().filter(|at| seen.insert(at.0)));
        walk
    }

    /// One `mem.mr6_tables` fact for each namespace whose list of tables is no list: what `ip6mr_sk_done()` then walks
    /// begins with whatever lies there.
    pub fn ip6mr_facts(&self) -> (Vec<Fact>, Vec<Gap>) {
        let Some(head) = self.types().offset("net", "ipv6.mr6_tables") else { return (Vec::new(), Vec::new()) };
        let nets = self.net_namespaces();
        let mut facts = Vec::new();
        for net in nets.items {
            let at = net + head;
            let (Ok(next), Ok(prev)) = (self.ptr(at), self.ptr(at + 8)) else { continue };
            // A whole list comes back to its head.
            if self.arch.is_kernel(next) && self.ptr(next + 8).ok() == Some(at) {
                continue;
            }
            // Without an inode number its set-up has not begun: everything is zero, as it should be.
            if self.first_value(net, "net", &["ns.inum", "proc_inum"]) == Some(0) {
                continue;
            }
            let devconf = self.pointer(net, "net", "ipv6.devconf_all");
            // A guard reads mc_forwarding of devconf_all before the walk: in whose memory that lies tells who put it there.
            let module = devconf.and_then(|at| self.module_of(at));
            let symbol = devconf.and_then(|at| self.symbolize(at)).filter(|s| s.module.is_some()).map(|s| s.name);
            let reason = module.map(|module| {
                format!(
                    "net->ipv6.devconf_all points into the data of {} ({})",
                    module.name,
                    symbol.as_deref().unwrap_or("no symbol")
                )
            });
            facts.push(
                Fact::new("mem.mr6_tables", self.origin(at, "struct list_head"))
                    .with("net", facts::Address::from(net))
                    .with_opt("net_inum", self.first_value(net, "net", &["ns.inum", "proc_inum"]))
                    .with("next", next.0)
                    .with("prev", prev.0)
                    .with_opt("devconf_all", devconf.map(facts::Address::from))
                    .with_opt("module", module.map(|m| m.name.clone()))
                    .with_opt("module_out_of_tree", module.map(|m| m.out_of_tree()))
                    .with_opt("module_symbol", symbol)
                    .with_opt("module_reason", reason.clone())
                    .quoting(format!(
                        "net->ipv6.mr6_tables of namespace {net} is no list (next {:#x}){}",
                        next.0,
                        reason.map_or(String::new(), |reason| format!("; {reason}"))
                    ))
                    .recheck(format!("crash> struct net.ipv6.mr6_tables,ipv6.devconf_all {:#x}", net.0))
                    .recheck(format!("drgn> Object(prog, 'struct net *', {:#x}).ipv6.mr6_tables", net.0)),
            );
        }
        (facts, nets.gaps)
    }
}
