//! Who holds the memory that a counter only sums up: callers of vmalloc, files of tmpfs and shared memory.

use std::collections::HashMap;

use facts::FieldType::{Int, Text};
use facts::field;
use facts::{Fact, Gap, KindDef};
use serde::Serialize;

use crate::{Kernel, VirtAddr, Walk};

/// Areas, and inodes, that are looked at in all.
const MAX_AREAS: usize = 200_000;
const MAX_INODES: usize = 200_000;
/// Holders that are told, each of at least a hundredth of the memory.
const MAX_TOLD: usize = 5;
const LEAST_SHARE: u64 = 100;
/// Depth of directories.
const MAX_DEPTH: usize = 64;

/// A holder.
#[derive(Clone, Debug, Serialize)]
pub struct MemoryHolder {
    /// `vmalloc`, `shared memory`.
    pub kind: &'static str,
    /// The function that asked for vmalloc memory; the path of a file, or its name where it is in no directory.
    pub name: String,
    /// Bytes.
    pub bytes: u64,
    /// Areas.
    pub count: usize,
}

/// The kinds of facts made here.
pub(crate) const KINDS: &[KindDef] = &[KindDef {
    kind: "mem.memory_holder",
    doc: "Who holds a hundredth of the memory or more, of what a counter only sums up.",
    fields: &[
        field("holds", Text, "", "vmalloc, shared memory"),
        field(
            "name",
            Text,
            "",
            "function that asked for vmalloc memory; path or name of a file of tmpfs or shared memory",
        ),
        field("bytes", Int, "bytes", "how much"),
        field("count", Int, "", "areas"),
    ],
}];

impl Kernel<'_> {
    /// Callers of vmalloc by the memory they got, and files of tmpfs and shared memory by their pages, the largest first.
    pub fn memory_holders(&self) -> Walk<MemoryHolder> {
        let mut found = Walk::default();
        let least = self.total_memory().map_or(u64::MAX, |(_, bytes)| bytes / LEAST_SHARE);
        for mut part in [self.vmalloc_callers(), self.shared_files(least)] {
            part.items.retain(|holder| holder.bytes >= least);
            part.items.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.name.cmp(&b.name)));
            part.items.truncate(MAX_TOLD);
            found.items.extend(part.items);
            found.gaps.extend(part.gaps);
        }
        found
    }

    pub(crate) fn vmalloc_callers(&self) -> Walk<MemoryHolder> {
        let types = self.types();
        let Some(node) = types.offset("vmap_area", "rb_node") else { return Walk::default() };
        let page = self.page_bytes();
        let mut sums: HashMap<u64, (u64, usize)> = HashMap::new();
        let (mut gaps, mut left) = (Vec::new(), MAX_AREAS);
        if self.vmap_trees().is_empty() {
            let why = "no symbol of the trees of its areas, and no code that leads to them";
            let closes = "a vmlinux or System.map of this kernel (--vmlinux, --system-map)";
            gaps.push(Gap::new("users of vmalloc", self.member(), why, closes));
        }
        for root in self.vmap_trees().into_iter().filter(|(_, freed)| !freed).map(|(root, _)| root) {
            let top = self.ptr(root).ok().filter(|top| top.0 != 0);
            let walk = self.rb_tree(top, left, "vmalloc areas");
            left = left.saturating_sub(walk.items.len());
            gaps.extend(walk.gaps);
            for area in walk.items.into_iter().map(|at| at - node) {
                // Free areas of vm_map_ram() have none, mappings of devices no pages.
                let Some(vm) = self.pointer(area, "vmap_area", "vm") else { continue };
                let pages = self.value(vm, "vm_struct", "nr_pages").unwrap_or(0) & 0xffff_ffff;
                let caller = self.value(vm, "vm_struct", "caller").filter(|_| pages > 0);
                if let Some(caller) = caller {
                    let sum = sums.entry(caller).or_default();
                    *sum = (sum.0.saturating_add(pages.saturating_mul(page)), sum.1 + 1);
                }
            }
        }
        let mut callers: HashMap<String, (u64, usize)> = HashMap::new();
        for (caller, (bytes, count)) in sums {
            let name = self.symbolize(VirtAddr(caller)).map(|symbol| match symbol.module {
                Some(module) => format!("{} [{module}]", symbol.name),
                None => symbol.name,
            });
            let sum = callers.entry(name.unwrap_or_else(|| format!("{caller:#x}"))).or_default();
            *sum = (sum.0.saturating_add(bytes), sum.1 + count);
        }
        let items =
            callers.into_iter().map(|(name, (bytes, count))| MemoryHolder { kind: "vmalloc", name, bytes, count });
        Walk { items: items.collect(), gaps }
    }

    /// Files of at least that many bytes, in all super blocks of tmpfs, which the first root file system is one of: shared
    /// memory of System V, memfd and shared anonymous memory are files of one that is mounted nowhere.
    fn shared_files(&self, least: u64) -> Walk<MemoryHolder> {
        let types = self.types();
        let mut found = Walk::default();
        let Some(link) = types.offset("inode", "i_sb_list") else { return found };
        let page = self.page_bytes();
        let mounts = self.mounts().items;
        let mut left = MAX_INODES;
        for sb in
            self.super_blocks().items.into_iter().filter(|sb| matches!(&*sb.fs_type, "tmpfs" | "devtmpfs" | "rootfs"))
        {
            let Some(head) = self.place(sb.address, "super_block", "s_inodes") else { continue };
            let walk = self.list(head, left, "inodes of tmpfs");
            left = left.saturating_sub(walk.items.len());
            found.gaps.extend(walk.gaps);
            for inode in walk.items.into_iter().map(|at| at - link) {
                let mapping = self.pointer(inode, "inode", "i_mapping");
                let pages = mapping.and_then(|mapping| self.value(mapping, "address_space", "nrpages")).unwrap_or(0);
                let bytes = pages.saturating_mul(page);
                if bytes < least {
                    continue;
                }
                let mounted = mounts.iter().find(|mount| mount.super_block == sb.address);
                let below = mounted.and_then(|mount| mount.path.as_deref());
                let name = self.name_of_inode(inode).unwrap_or_else(|| "a file without a name".to_owned());
                let name = match below {
                    Some(below) => format!("{}/{name}", below.trim_end_matches('/')),
                    None => name,
                };
                found.items.push(MemoryHolder { kind: "shared memory", name, bytes, count: 1 });
            }
        }
        found
    }

    /// The names from the root of its file system down.
    fn name_of_inode(&self, inode: VirtAddr) -> Option<String> {
        let types = self.types();
        let alias = types.first_member("dentry", &["d_u.d_alias", "d_alias"])?.offset;
        let mut dentry = self.pointer(inode, "inode", "i_dentry.first")? - alias;
        let mut parts = Vec::new();
        for _ in 0..MAX_DEPTH {
            let name = self.pointer(dentry, "dentry", "d_name.name").and_then(|at| self.cstr(at, 256).ok())?;
            let up = self.pointer(dentry, "dentry", "d_parent")?;
            if up == dentry {
                // Alone it is the name of a file without a directory: `SYSV00000000`, `memfd:x`, `dev/zero`.
                if parts.is_empty() {
                    parts.push(name);
                }
                break;
            }
            parts.push(name);
            dentry = up;
        }
        parts.reverse();
        Some(parts.join("/"))
    }

    /// `mem.memory_holder` facts.
    pub fn memory_holder_facts(&self) -> (Vec<Fact>, Vec<Gap>) {
        let walk = self.memory_holders();
        let fact = |holder: MemoryHolder| {
            let recheck = match holder.kind {
                "vmalloc" => "crash> kmem -v",
                _ => "crash> mount -f; files",
            };
            Fact::new("mem.memory_holder", facts::Origin::derived(self.member(), holder.kind))
                .with("holds", holder.kind)
                .with("name", holder.name.as_str())
                .with("bytes", holder.bytes)
                .with("count", holder.count)
                .quoting(format!("{} holds {} MiB of {}", holder.name, holder.bytes >> 20, holder.kind))
                .recheck(recheck)
        };
        (walk.items.into_iter().map(fact).collect(), walk.gaps)
    }
}

#[cfg(test)]
mod tests {
    use crate::synthetic::{BASE, Memory};

    #[test]
    fn pages_of_areas_are_summed_by_their_caller_and_mappings_of_devices_have_none() {
        let memory = Memory::new();
        let (root, area, vm) = (BASE + 0x1_0000, BASE + 0x1_1000, BASE + 0x1_2000);
        // Three areas in a row to the right; the last one maps a device.
        memory.put64(root, area + 0x10);
        for nth in 0..3u64 {
            let (at, of) = (area + nth * 0x100, vm + nth * 0x100);
            memory.put(at, &[0; 0x40]);
            memory.put64(at + 0x18, if nth < 2 { at + 0x110 } else { 0 });
            memory.put64(at + 0x30, of);
            memory.put64(of, 0xffff_ffff_8100_0010);
            memory.put32(of + 8, if nth < 2 { 5 } else { 0 });
        }
        let members = [
            ("vmap_area", "rb_node", 0x10, 24),
            ("vmap_area", "vm", 0x30, 8),
            ("vm_struct", "caller", 0, 8),
            ("vm_struct", "nr_pages", 8, 4),
            ("rb_node", "rb_right", 8, 8),
            ("rb_node", "rb_left", 16, 8),
        ];
        let kernel = memory
            .kernel_with(&format!("SYMBOL(vmap_area_root)={root:x}\nSYMBOL(load_module)=ffffffff81000000\n"), &members);
        let walk = kernel.vmalloc_callers();
        let [found] = walk.items.as_slice() else { panic!("{walk:?}") };
        assert_eq!((found.bytes, found.count), (10 * 4096, 2));
    }
}
