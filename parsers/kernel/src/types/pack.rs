//! Packs: the structure layouts of one kernel build in a small file.
//!
//! A pack stands in for a debug package. The file is the 8 bytes `vmcpack\0`, a version (u32, little-endian, 2),
//! the length of a JSON header (u32), that header, and zlib-compressed BTF of the structures in [`ROOTS`], of the
//! functions that take or give pointers to structures, and of all that these lead to. Version 1 had only the structures in
//! [`ROOTS`] and what is embedded in them; it is still read. The
//! header names the kernel: `build_id` (hex, when the kernel has one), `banner` (the exact `Linux version ...`
//! line), `arch`, and `made_from`. A pack fits a dump when the build-ids are equal, or, where one side has none,
//! when the banners are.

use std::collections::HashSet;
use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::btf::Btf;
use super::vmlinux::Vmlinux;
use super::{Source, encode};
use crate::identity::Build;

const MAGIC: &[u8; 8] = b"vmcpack\0";
const VERSION: u32 = 2;
/// The oldest that is read.
const OLDEST: u32 = 1;
/// No pack comes near it: that of a 3.10 kernel has 3 MB.
const MAX_BTF: u64 = 64 << 20;
const MAX_HEADER: usize = 1 << 16;

/// Structures that the readers use, and enumerations that name their values.
pub const ROOTS: &[&str] = &[
    "address_space",
    "backing_dev_info",
    "bdi_writeback",
    "bio",
    "bio_set",
    "blk_mq_hw_ctx",
    "blk_mq_tag_set",
    "blk_mq_tags",
    "block_device",
    "cgroup",
    "cgroup_name",
    "cgroup_root",
    "cgroup_subsys",
    "cgroup_subsys_state",
    "cgroupfs_root",
    "char_device_struct",
    "class",
    "completion",
    "cpu_workqueue_struct",
    "cred",
    "css_id",
    "css_set",
    "ctl_dir",
    "ctl_node",
    "ctl_table",
    "ctl_table_header",
    "ctl_table_root",
    "ctl_table_set",
    "dentry",
    "device",
    "device_private",
    "device_type",
    "disk_stats",
    "dst_entry",
    "dst_ops",
    "elf_prstatus",
    "fault_attr",
    "fib_info",
    "fib_nh",
    "fib_nh_common",
    "fib_nh_exception",
    "file",
    "file_system_type",
    "gendisk",
    "hd_struct",
    "hrtimer",
    "hrtimer_clock_base",
    "hrtimer_cpu_base",
    "hstate",
    "idr",
    "idr_layer",
    "in_device",
    "in_ifaddr",
    "inactive_task_frame",
    "inet6_dev",
    "inet6_ifaddr",
    "inode",
    "ipc_namespace",
    "irq_chip",
    "irq_common_data",
    "irq_cpustat_t",
    "irq_data",
    "irq_desc",
    "irqaction",
    "irqstat",
    "kernel_stat",
    "kernfs_node",
    "klist",
    "klist_node",
    "klp_func",
    "klp_object",
    "klp_patch",
    "kmem_cache",
    "kmem_cache_cpu",
    "kmem_cache_node",
    "kmem_cache_per_node_ptrs",
    "kobject",
    "kset",
    "kthread",
    "list_head",
    "lruvec",
    "maple_node",
    "maple_tree",
    "mem_cgroup",
    "mem_cgroup_per_node",
    "mem_section",
    "memcg_cache_params",
    "mempool",
    "mempool_s",
    "mapped_device",
    "mm_struct",
    "mnt_namespace",
    "mod_kallsyms",
    "module",
    "module_layout",
    "module_memory",
    "mount",
    "mr6_table",
    "mr_table",
    "mutex",
    "mutex_waiter",
    "neigh_hash_table",
    "neigh_table",
    "neighbour",
    "net",
    "net_device",
    "netdev_adjacent",
    "netns_ipv4",
    "netns_ipv6",
    "node_stat_item",
    "nsproxy",
    "obj_cgroup",
    "orc_entry",
    "packet_sock",
    "page",
    "page_counter",
    "pageflags",
    "pcpu_chunk",
    "per_cpu_nodestat",
    "per_cpu_pages",
    "per_cpu_pageset",
    "per_cpu_zonestat",
    "percpu_ref",
    "percpu_ref_data",
    "percpu_rw_semaphore",
    "pglist_data",
    "pid",
    "pid_namespace",
    "pool_workqueue",
    "printk_info",
    "printk_log",
    "printk_ringbuffer",
    "proto",
    "pt_regs",
    "Qdisc",
    "radix_tree_node",
    "radix_tree_root",
    "rb_node",
    "rb_root",
    "req_op",
    "req_opf",
    "request",
    "request_queue",
    "res_counter",
    "restart_block",
    "rq",
    "rt6_info",
    "rt_mutex",
    "rt_mutex_base",
    "rt_mutex_waiter",
    "rtable",
    "rw_semaphore",
    "rwbase_rt",
    "rwsem_waiter",
    "sbitmap",
    "sbitmap_word",
    "sched_entity",
    "semaphore",
    "semaphore_waiter",
    "signal_struct",
    "slab",
    "slab_sheaf",
    "slub_percpu_sheaves",
    "sock",
    "socket",
    "subsys_private",
    "super_block",
    "swait_queue_head",
    "task_struct",
    "thread_info",
    "thread_union",
    "timekeeper",
    "timer_base",
    "timer_list",
    "timerqueue_head",
    "timerqueue_node",
    "tk_data",
    "tvec",
    "tvec_base",
    "tvec_root",
    "uts_namespace",
    "vfsmount",
    "vm_event_item",
    "vm_struct",
    "__wait_queue",
    "wait_queue_entry",
    "__wait_queue_head",
    "wait_queue_head",
    "work_struct",
    "worker",
    "worker_pool",
    "workqueue_struct",
    "xa_node",
    "xarray",
    "zone",
    "zone_stat_item",
];

/// Which kernel a pack is of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// GNU build-id in hex.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub build_id: Option<String>,
    /// The exact banner, without its line end.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub banner: Option<String>,
    /// `x86_64`, `aarch64`.
    pub arch: String,
    /// What it was made from: `BTF of vmlinux`, `DWARF`.
    pub made_from: String,
}

impl Header {
    /// Whether it is of that build; the reason when it is not.
    ///
    /// # Errors
    /// A sentence with both identities.
    pub fn fits(&self, build: &Build) -> Result<(), String> {
        let unknown = "unknown";
        match (self.build_id.as_deref(), build.id.as_deref(), self.banner.as_deref(), build.banner.as_deref()) {
            (Some(ours), Some(theirs), ..) if ours == theirs => Ok(()),
            (Some(ours), Some(theirs), ..) => Err(format!("it is of build {ours}, the dump's kernel is {theirs}")),
            (_, _, Some(ours), Some(theirs)) if ours == theirs => Ok(()),
            (_, _, ours, theirs) => Err(format!(
                "it is of \"{}\", the dump's kernel is \"{}\"",
                ours.unwrap_or(unknown),
                theirs.unwrap_or(unknown)
            )),
        }
    }
}

/// A pack in memory.
pub struct Pack {
    /// Which kernel it is of.
    pub header: Header,
    types: Arc<Btf>,
}

/// Makes the bytes of a pack from a vmlinux.
///
/// # Errors
/// A sentence when the vmlinux has no types or no identity.
pub fn make(vmlinux: &Path) -> Result<Vec<u8>, String> {
    let file = Vmlinux::open(vmlinux)?;
    let types = file.types()?;
    let header = Header {
        build_id: file.build_id(),
        banner: file.banner(),
        arch: file.arch().map_or_else(String::new, |a| a.name().to_owned()),
        made_from: types.name().to_owned(),
    };
    if header.build_id.is_none() && header.banner.is_none() {
        return Err(format!("{}: it has neither build-id nor banner, so no dump can be matched", vmlinux.display()));
    }
    encode(&header, types.as_ref(), &file.functions())
}

/// The bytes of a pack of these types and of these functions, as far as the types tell what they take.
///
/// # Errors
/// A sentence when compression fails.
pub fn encode(header: &Header, types: &dyn Source, functions: &HashSet<String>) -> Result<Vec<u8>, String> {
    let text = serde_json::to_vec(header).map_err(|e| e.to_string())?;
    let mut out = Vec::from(*MAGIC);
    out.extend_from_slice(&VERSION.to_le_bytes());
    out.extend_from_slice(&(text.len() as u32).to_le_bytes());
    out.extend_from_slice(&text);
    let mut compressed = flate2::write::ZlibEncoder::new(out, flate2::Compression::best());
    compressed.write_all(&encode::btf(types, ROOTS, functions)).map_err(|e| e.to_string())?;
    compressed.finish().map_err(|e| e.to_string())
}

/// The header of a pack, and where its types start.
fn split(bytes: &[u8]) -> Result<(Header, &[u8]), String> {
    if !bytes.starts_with(MAGIC) {
        return Err("expected a pack (it begins with \"vmcpack\")".into());
    }
    let word = |at: usize| {
        let raw: Option<[u8; 4]> = bytes.get(at..at + 4).and_then(|b| b.try_into().ok());
        raw.map(u32::from_le_bytes).ok_or("the pack is cut")
    };
    let version = word(8)?;
    if !(OLDEST..=VERSION).contains(&version) {
        return Err(format!("expected version {OLDEST} to {VERSION} of packs, found {version}: make it anew"));
    }
    let length = word(12)? as usize;
    let text = bytes.get(16..16 + length.min(MAX_HEADER)).ok_or("the pack is cut")?;
    let header: Header = serde_json::from_slice(text).map_err(|e| format!("the pack's header: {e}"))?;
    let body = bytes.get(16 + length..).ok_or("the pack is cut")?;
    Ok((header, body))
}

/// Reads which kernel a pack is of, and nothing else.
///
/// # Errors
/// A sentence that says what was expected and found.
pub fn header(bytes: &[u8]) -> Result<Header, String> {
    Ok(split(bytes)?.0)
}

impl Pack {
    /// Reads a pack.
    ///
    /// # Errors
    /// A sentence that says what was expected and found.
    pub fn parse(bytes: &[u8]) -> Result<Pack, String> {
        let (header, body) = split(bytes)?;
        let mut raw = Vec::new();
        flate2::read::ZlibDecoder::new(body)
            .take(MAX_BTF)
            .read_to_end(&mut raw)
            .map_err(|e| format!("the pack's types: {e}"))?;
        let types = Btf::parse("pack", raw, None).map_err(|e| format!("the pack's types: {e}"))?;
        Ok(Pack { header, types: Arc::new(types) })
    }

    /// Its types, for `Types::add`.
    pub fn types(&self) -> Arc<dyn Source> {
        self.types.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::super::{Field, Graph, Type, Types};
    use super::*;

    fn graph() -> Graph {
        let field = |name: &'static str, ty, bit_offset, bit_size| Field {
            name: Cow::Borrowed(name),
            ty,
            bit_offset,
            bit_size,
        };
        Graph::new(
            "test",
            vec![
                Type::Void,
                Type::Int { size: 4, signed: true, name: Cow::Borrowed("int") },
                Type::Struct {
                    name: Cow::Borrowed("task_struct"),
                    union: false,
                    size: 64,
                    fields: vec![
                        field("pid", 1, 0, None),
                        field("tasks", 3, 64, None),
                        field("comm", 5, 192, None),
                        field("", 6, 320, None),
                        field("next", 7, 384, None),
                        field("mm", 9, 448, None),
                    ],
                },
                Type::Struct { name: Cow::Borrowed("list_head"), union: false, size: 16, fields: vec![] },
                Type::Int { size: 1, signed: true, name: Cow::Borrowed("char") },
                Type::Array { element: 4, count: 16 },
                Type::Struct {
                    name: Cow::Borrowed(""),
                    union: true,
                    size: 4,
                    fields: vec![field("low", 1, 0, Some(3)), field("high", 1, 3, Some(29))],
                },
                Type::Pointer(2),
                Type::Struct {
                    name: Cow::Borrowed("other"),
                    union: false,
                    size: 8,
                    fields: vec![field("x", 1, 0, None)],
                },
                Type::Pointer(8),
            ],
        )
    }

    #[test]
    fn a_pack_answers_as_its_source_does() {
        let header = Header {
            build_id: None,
            banner: Some("Linux version 3.10.0".into()),
            arch: "x86_64".into(),
            made_from: "test".into(),
        };
        let bytes = encode(&header, &graph(), &HashSet::new()).unwrap();
        let pack = Pack::parse(&bytes).unwrap();
        assert_eq!(pack.header, header);
        let (mut ours, mut theirs) = (Types::none(), Types::none());
        ours.add(pack.types());
        theirs.add(Arc::new(graph()));
        for path in ["pid", "tasks", "comm", "comm[3]", "low", "high", "next", "mm"] {
            let strip = |t: &Types| {
                let m = t.member("task_struct", path).unwrap();
                (m.offset, m.size, m.bits, m.shape)
            };
            assert_eq!(strip(&ours), strip(&theirs), "{path}");
        }
        assert_eq!(ours.member("other", "x").unwrap().size, 4, "what is pointed at is described");
        let mm = ours.member("task_struct", "mm").unwrap();
        assert_eq!(ours.type_name(mm.ty.unwrap()), "struct other *");
    }

    #[test]
    fn another_kernel_s_pack_is_refused_with_both_names() {
        let header = Header { build_id: Some("aa".into()), banner: Some("Linux 1".into()), ..Header::default() };
        let fits = |id: Option<&str>, banner: Option<&str>| {
            header.fits(&Build { id: id.map(str::to_owned), banner: banner.map(str::to_owned) })
        };
        assert_eq!(fits(Some("aa"), None), Ok(()));
        assert!(fits(Some("bb"), Some("Linux 1")).unwrap_err().contains("bb"));
        assert_eq!(fits(None, Some("Linux 1")), Ok(()));
        assert!(fits(None, Some("Linux 2")).unwrap_err().contains("Linux 2"));
        assert!(fits(None, None).is_err());
    }

    #[test]
    fn cut_packs_are_errors() {
        let bytes =
            encode(&Header { banner: Some("x".into()), ..Header::default() }, &graph(), &HashSet::new()).unwrap();
        for length in 0..bytes.len().min(200) {
            assert!(Pack::parse(bytes.get(..length).unwrap()).is_err());
        }
    }
}
