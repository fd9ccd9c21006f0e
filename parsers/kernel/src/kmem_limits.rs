//! Memory cgroups whose limit of kernel memory refused charges (version 1, `memory.kmem.limit_in_bytes`).

use facts::FieldType::{Int, Text};
use facts::field;
use facts::{Fact, KindDef};

use crate::Kernel;
use crate::memcg::Memcg;

/// More are not told.
const MOST: usize = 20;

/// The kinds of facts made here.
pub(crate) const KINDS: &[KindDef] = &[KindDef {
    kind: "mem.kmem_limit",
    doc: "A memory cgroup with a limit of its kernel memory that refused charges.",
    fields: &[
        field("path", Text, "", "path in the memory hierarchy"),
        field("name", Text, "", "its last component: what the kernel puts into the names of its caches"),
        field("usage_bytes", Int, "bytes", "kernel memory charged to it"),
        field("limit_bytes", Int, "bytes", "its limit"),
        field("failures", Int, "", "charges that the limit refused since the cgroup was made"),
    ],
}];

impl Kernel<'_> {
    /// The `mem.kmem_limit` facts.
    pub(crate) fn kmem_limit_facts(&self, groups: &[Memcg]) -> Vec<Fact> {
        let page = self.page_bytes();
        let limited = groups.iter().filter(|group| group.online).filter_map(|group| {
            let value = |paths: &[&str]| self.first_value(group.address, "mem_cgroup", paths);
            // PAGE_COUNTER_MAX is no limit.
            let limit = value(&["kmem.max", "kmem.limit"]).filter(|pages| *pages < i64::MAX as u64 / page)?;
            let failures = value(&["kmem.failcnt"]).filter(|count| *count > 0)?;
            let path = group.path.as_deref()?;
            let usage = group.kmem_pages?;
            let quote = format!("kernel memory of {path}: {usage} of {limit} pages, {failures} charges refused");
            let fact = Fact::new("mem.kmem_limit", self.origin(group.address, "struct mem_cgroup"))
                .with("path", path)
                .with("name", path.rsplit('/').next().unwrap_or_default())
                .with("usage_bytes", usage.saturating_mul(page))
                .with("limit_bytes", limit.saturating_mul(page))
                .with("failures", failures);
            let at = group.address.0;
            let drgn = format!("drgn> Object(prog, 'struct mem_cgroup', address={at:#x}).kmem");
            Some(fact.quoting(quote).recheck(format!("crash> struct mem_cgroup.kmem {at:#x}")).recheck(drgn))
        });
        limited.take(MOST).collect()
    }
}

#[cfg(test)]
mod tests {
    use crate::VirtAddr;
    use crate::synthetic::{BASE, Memory};

    use super::*;

    #[test]
    fn a_limit_that_refused_is_told_and_none_that_is_not_set_or_never_met() {
        let memory = Memory::new();
        let members = [("mem_cgroup", "kmem.limit", 8, 8), ("mem_cgroup", "kmem.failcnt", 16, 8)];
        let group = |nth: u64, limit: u64, failures: u64| {
            let at = BASE + 0x1_0000 + nth * 0x100;
            memory.put64(at + 8, limit);
            memory.put64(at + 16, failures);
            Memcg {
                address: VirtAddr(at),
                path: Some(format!("/kubepods/pod{nth}")),
                css_id: None,
                id: None,
                online: true,
                css_refs: None,
                pages: None,
                limit_pages: None,
                high_pages: None,
                kmem_pages: Some(512),
                kmem_active: Some(true),
            }
        };
        let groups = [group(0, 512, 7), group(1, 512, 0), group(2, i64::MAX as u64 / 4096, 7)];
        let found = memory.kernel_with("", &members).kmem_limit_facts(&groups);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].text("name"), found[0].int("limit_bytes")), (Some("pod0"), Some(2 << 20)));
    }
}
