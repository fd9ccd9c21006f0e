//! Super blocks, the frozen ones with who waits for them, and the mounts of the first process.

use std::collections::{HashMap, HashSet};

use facts::FieldType::{Address as Addr, Bool, Int, List, Text};
use facts::plain_field as field;
use facts::{Address, Fact, Gap, KindDef};
use serde::Serialize;

use crate::{Kernel, VirtAddr, Walk};

const MAX_SUPER_BLOCKS: usize = 200_000;
const MAX_MOUNTS: usize = 200_000;
const MAX_WAITERS: usize = 200_000;
/// Directories above a mount point.
const MAX_DEPTH: usize = 128;

/// `SB_FREEZE_*` in the order of their numbers (include/linux/fs.h).
const FROZEN: [&str; 5] = ["no", "writes", "page-faults", "internal", "complete"];
/// What waits at each of the three levels of `s_writers.rw_sem`.
const LEVELS: [&str; 3] = ["write", "page-fault", "internal"];

/// A super block: one mounted file system.
#[derive(Clone, Debug, Serialize)]
pub struct SuperBlock {
    /// Address of its `struct super_block`.
    pub address: VirtAddr,
    /// `s_id`: name of the device, or of the type where there is none.
    pub id: String,
    /// Name of its type, `ext4`.
    pub fs_type: String,
    /// Major and minor number.
    pub device: (u32, u32),
    /// Whether it lies on a block device.
    pub on_block_device: bool,
    /// Whether it is read-only.
    pub read_only: bool,
    /// How far it is frozen: `no`, `writes`, `page-faults`, `internal`, `complete`; `None` when not known.
    pub frozen: Option<&'static str>,
    /// Freezes by the kernel (a snapshot of the block device, a suspend) and by a user, where the kernel counts.
    pub freezes: Option<(u64, u64)>,
    /// Tasks that wait for it to thaw.
    pub waiters: Vec<FreezeWaiter>,
}

impl SuperBlock {
    /// Whether writers must wait.
    pub fn is_frozen(&self) -> bool {
        self.frozen.is_some_and(|state| state != "no")
    }
}

/// A task that waits for a file system to thaw.
#[derive(Clone, Debug, Serialize)]
pub struct FreezeWaiter {
    /// Its `task_struct`.
    pub task: VirtAddr,
    /// Thread id.
    pub pid: i32,
    /// Command name.
    pub comm: String,
    /// What it wants: `write`, `page-fault`, `internal`.
    pub level: &'static str,
}

/// A mount.
#[derive(Clone, Debug, Serialize)]
pub struct Mount {
    /// Address of its `struct mount`.
    pub address: VirtAddr,
    /// Address of the super block.
    pub super_block: VirtAddr,
    /// Source as given to mount.
    pub source: String,
    /// Type of file system.
    pub fs_type: String,
    /// Where it is mounted.
    pub path: Option<String>,
}

/// The kinds of facts made here.
pub(crate) const KINDS: &[KindDef] = &[
    KindDef {
        kind: "mem.super_block",
        doc: "A mounted file system on a block device, or a frozen one.",
        fields: &[
            field("device", Text, "its device, s_id"),
            field("type", Text, "type of file system"),
            field("address", Addr, "its struct super_block"),
            field("dev", Text, "major:minor"),
            field("read_only", Bool, "mounted read-only"),
            field("frozen", Text, "no, writes, page-faults, internal, complete: how far it is frozen"),
            field("frozen_by_kernel", Int, "freezes by the kernel, where it counts them"),
            field("frozen_by_user", Int, "freezes by a user (fsfreeze), where the kernel counts them"),
            field("waiters", Int, "tasks that wait for it to thaw"),
            field("tasks", List, "their command names"),
            field("path", Text, "where the first process sees it mounted"),
        ],
    },
    KindDef {
        kind: "mem.freeze_wait",
        doc: "A task that waits for a frozen file system to thaw.",
        fields: &[
            field("task", Addr, "its task_struct"),
            field("pid", Int, "thread id"),
            field("comm", Text, "command name"),
            field("device", Text, "device of the file system"),
            field("super_block", Addr, "its struct super_block"),
            field("level", Text, "write, page-fault, internal"),
        ],
    },
];

impl Kernel<'_> {
    /// Head of the list of super blocks: by its symbol, or by the code that walks it.
    pub(crate) fn super_blocks_head(&self) -> Option<VirtAddr> {
        self.symbol_at("super_blocks").or_else(|| {
            let list = self.types().offset("super_block", "s_list")?;
            let users = ["iterate_supers", "user_get_super", "get_active_super", "iterate_supers_type", "sget_fc"];
            self.list_in_code(&users, |node| self.fs_type(node - list).is_some_and(|name| !name.is_empty()))
        })
    }

    fn fs_type(&self, sb: VirtAddr) -> Option<String> {
        let fs_type = self.pointer(sb, "super_block", "s_type")?;
        let name = self.pointer(fs_type, "file_system_type", "name")?;
        self.cstr(name, 64).ok().filter(|name| name.bytes().all(|b| b.is_ascii_graphic()))
    }

    /// All super blocks, with who waits for the frozen ones.
    pub fn super_blocks(&self) -> Walk<SuperBlock> {
        let Some(list) = self.types().offset("super_block", "s_list") else {
            return Walk::gap(Gap::new(
                "super blocks",
                self.member(),
                "the layout of struct super_block is not known",
                "a vmlinux or a pack of this kernel (--vmlinux, --pack)",
            ));
        };
        let Some(head) = self.super_blocks_head() else {
            return Walk::gap(Gap::new(
                "super blocks",
                self.member(),
                "no symbol super_blocks, and no code that leads to the list",
                "a vmlinux or System.map of this kernel (--vmlinux, --system-map)",
            ));
        };
        let walk = self.list(head, MAX_SUPER_BLOCKS, "super blocks");
        let mut found = Walk { items: Vec::new(), gaps: walk.gaps };
        for node in walk.items {
            let at = node - list;
            match self.super_block(at, &mut found.gaps) {
                Some(sb) => found.items.push(sb),
                None => {
                    found.gaps.push(Gap::new("super block", format!("struct super_block at {at}"), "it is absent", ""))
                }
            }
        }
        found
    }

    fn super_block(&self, at: VirtAddr, gaps: &mut Vec<Gap>) -> Option<SuperBlock> {
        let value = |path: &str| self.value(at, "super_block", path);
        let dev = value("s_dev")? as u32;
        // 5accdf82ba25 "fs: Improve filesystem freezing handling" (v3.6); `s_frozen` before.
        let frozen = self.first_value(at, "super_block", &["s_writers.frozen", "s_frozen"]);
        let frozen = frozen.and_then(|state| FROZEN.get(usize::try_from(state).ok()?)).copied();
        let waiters = match frozen {
            None | Some("no") => Vec::new(),
            Some(_) => self.freeze_waiters(at, gaps),
        };
        Some(SuperBlock {
            address: at,
            id: self.text(at, "super_block", "s_id").unwrap_or_default(),
            fs_type: self.fs_type(at).unwrap_or_else(|| "?".to_owned()),
            device: (dev >> 20, dev & 0xf_ffff),
            on_block_device: self.pointer(at, "super_block", "s_bdev").is_some(),
            read_only: value("s_flags").unwrap_or(0) & 1 == 1,
            frozen,
            // 880b9577855e "fs: distinguish between user initiated freeze and kernel initiated freeze" (v6.6).
            freezes: value("s_writers.freeze_kcount").zip(value("s_writers.freeze_ucount")),
            waiters,
        })
    }

    /// Who waits at the levels of a frozen super block.
    ///
    /// Since 7f26482a872c "locking/percpu-rwsem: Remove the embedded rwsem" (v5.7) each of the three `s_writers.rw_sem`
    /// has a wait queue of its own. Since 8129ed29644b "change sb_writers to use percpu_rw_semaphore" (v4.3) they hold
    /// a reader-writer semaphore; before, all levels share `wait_unfrozen`.
    fn freeze_waiters(&self, at: VirtAddr, gaps: &mut Vec<Gap>) -> Vec<FreezeWaiter> {
        let types = self.types();
        let mut found = Vec::new();
        let mut take = |task: VirtAddr, level: &'static str| {
            let name = self.text(task, "task_struct", "comm").filter(|name| !name.is_empty());
            if let (Some(pid), Some(comm)) = (self.value(task, "task_struct", "pid"), name) {
                found.push(FreezeWaiter { task, pid: pid as i32, comm, level });
            }
        };
        let Some(semaphores) = types.member("super_block", "s_writers.rw_sem") else {
            if let Some(queue) = self.place(at, "super_block", "s_writers.wait_unfrozen") {
                let walk = self.wait_queue(queue);
                gaps.extend(walk.gaps);
                walk.items.into_iter().for_each(|task| take(task, LEVELS[0]));
            }
            return found;
        };
        let size = types.size_of("percpu_rw_semaphore").unwrap_or(semaphores.size / 3);
        for (nth, level) in (0u64..).zip(LEVELS) {
            let semaphore = at + semaphores.offset + nth * size;
            if let Some(queue) = self.place(semaphore, "percpu_rw_semaphore", "waiters") {
                let walk = self.wait_queue(queue);
                gaps.extend(walk.gaps);
                walk.items.into_iter().for_each(|task| take(task, level));
            } else if let (Some(list), Some(link), Some(task)) = (
                self.place(semaphore, "percpu_rw_semaphore", "rw_sem.wait_list"),
                types.offset("rwsem_waiter", "list"),
                types.offset("rwsem_waiter", "task"),
            ) {
                let walk = self.list(list, MAX_WAITERS, "waiters of a super block");
                gaps.extend(walk.gaps);
                for node in walk.items {
                    if let Ok(task) = self.ptr(node - link + task) {
                        take(task, level);
                    }
                }
            }
        }
        found
    }

    /// Tasks on a wait queue: `private` of its entries, where that is a task.
    pub(crate) fn wait_queue(&self, queue: VirtAddr) -> Walk<VirtAddr> {
        let types = self.types();
        // wait_queue_t before 4.13 (ac6424b981bc "sched/wait: Rename wait_queue_t => wait_queue_entry_t").
        let layout = match types.offset("wait_queue_entry", "entry") {
            Some(entry) => types
                .offset("wait_queue_head", "head")
                .zip(types.offset("wait_queue_entry", "private"))
                .map(|(head, private)| (head, entry, private)),
            None => types.offset("__wait_queue", "task_list").and_then(|entry| {
                let head = types.offset("__wait_queue_head", "task_list")?;
                Some((head, entry, types.offset("__wait_queue", "private")?))
            }),
        };
        let Some((head, entry, private)) = layout else { return Walk::default() };
        let list = self.list(queue + head, MAX_WAITERS, "wait queue");
        let tasks = list.items.into_iter().filter_map(|node| self.ptr(node - entry + private).ok());
        Walk { items: tasks.filter(|task| self.arch.is_kernel(*task)).collect(), gaps: list.gaps }
    }

    /// The mounts that the first process sees.
    pub fn mounts(&self) -> Walk<Mount> {
        let types = self.types();
        let missing = |why: &str| {
            Walk::gap(Gap::new("mounts", self.member(), why, "a vmlinux or a pack of this kernel (--vmlinux, --pack)"))
        };
        let Some(namespace) = self
            .symbol_at("init_task")
            .and_then(|task| self.pointer(task, "task_struct", "nsproxy"))
            .and_then(|nsproxy| self.pointer(nsproxy, "nsproxy", "mnt_ns"))
        else {
            return missing("init_task leads to no mount namespace");
        };
        // 2eea9ce4310d "mounts: keep list of mounts in an rbtree" (v6.8): a tree; a list before.
        let nodes = match (types.member("mnt_namespace", "mounts.rb_node"), types.offset("mount", "mnt_node")) {
            (Some(_), Some(link)) => {
                let root = self.pointer(namespace, "mnt_namespace", "mounts.rb_node");
                let walk = self.rb_tree(root, MAX_MOUNTS, "mounts");
                Walk { items: walk.items.into_iter().map(|node| node - link).collect(), gaps: walk.gaps }
            }
            _ => {
                let (Some(list), Some(link)) =
                    (types.offset("mnt_namespace", "list"), types.offset("mount", "mnt_list"))
                else {
                    return missing("the layout of struct mnt_namespace is not known");
                };
                let walk = self.list(namespace + list, MAX_MOUNTS, "mounts");
                Walk { items: walk.items.into_iter().map(|node| node - link).collect(), gaps: walk.gaps }
            }
        };
        let mut found = Walk { items: Vec::new(), gaps: nodes.gaps };
        for at in nodes.items {
            // Since 5.8 (9f6c61f96f2d) readers of /proc/mounts put cursors on the list: mounts without a super block.
            let Some(super_block) = self.pointer(at, "mount", "mnt.mnt_sb") else { continue };
            let source = self.pointer(at, "mount", "mnt_devname").and_then(|p| self.cstr(p, 1024).ok());
            found.items.push(Mount {
                address: at,
                super_block,
                source: source.unwrap_or_default(),
                fs_type: self.fs_type(super_block).unwrap_or_else(|| "?".to_owned()),
                path: self.mount_path(at),
            });
        }
        found
    }

    /// Where a mount is, from the root of its namespace.
    fn mount_path(&self, mount: VirtAddr) -> Option<String> {
        let mut parts = Vec::new();
        let mut mount = mount;
        let mut seen = HashSet::new();
        loop {
            let parent = self.pointer(mount, "mount", "mnt_parent")?;
            if parent == mount {
                break;
            }
            if !seen.insert(mount.0) || parts.len() > MAX_DEPTH {
                return None;
            }
            let root = self.pointer(parent, "mount", "mnt.mnt_root")?;
            self.names_up(self.pointer(mount, "mount", "mnt_mountpoint")?, root, &mut parts)?;
            mount = parent;
        }
        parts.reverse();
        Some(format!("/{}", parts.join("/")))
    }

    /// The names from an entry up to a root, innermost first.
    fn names_up(&self, dentry: VirtAddr, root: VirtAddr, parts: &mut Vec<String>) -> Option<()> {
        let mut dentry = dentry;
        while dentry != root {
            let name = self.pointer(dentry, "dentry", "d_name.name")?;
            let up = self.pointer(dentry, "dentry", "d_parent")?;
            if up == dentry || parts.len() > MAX_DEPTH {
                break;
            }
            parts.push(self.cstr(name, 256).ok()?);
            dentry = up;
        }
        Some(())
    }

    /// The path of an open file, from the root of its mount's namespace.
    pub(crate) fn file_path(&self, file: VirtAddr) -> Option<String> {
        let mount = self.pointer(file, "file", "f_path.mnt")?;
        let mut parts = Vec::new();
        self.names_up(
            self.pointer(file, "file", "f_path.dentry")?,
            self.pointer(mount, "vfsmount", "mnt_root")?,
            &mut parts,
        )?;
        parts.reverse();
        let below = self.mount_path(mount - self.types().offset("mount", "mnt")?)?;
        Some(format!("{}/{}", below.trim_end_matches('/'), parts.join("/")))
    }

    /// `mem.super_block` facts of file systems on block devices and of frozen ones, `mem.freeze_wait` facts.
    pub fn super_block_facts(&self) -> (Vec<Fact>, Vec<Gap>) {
        let walk = self.super_blocks();
        let mut gaps = walk.gaps;
        let wanted: Vec<_> = walk.items.into_iter().filter(|sb| sb.on_block_device || sb.is_frozen()).collect();
        let mut paths: HashMap<u64, String> = HashMap::new();
        if !wanted.is_empty() {
            let mounts = self.mounts();
            gaps.extend(mounts.gaps);
            for mount in mounts.items {
                if let Some(path) = mount.path {
                    paths.entry(mount.super_block.0).or_insert(path);
                }
            }
        }
        let mut facts = Vec::new();
        for sb in wanted {
            let path = paths.get(&sb.address.0);
            let tasks: Vec<_> = sb.waiters.iter().map(|waiter| waiter.comm.clone()).collect();
            let state = match (sb.is_frozen(), sb.waiters.len()) {
                (false, _) => "not frozen".to_owned(),
                (true, n) => format!("frozen ({}), {n} tasks wait for it to thaw", sb.frozen.unwrap_or("?")),
            };
            let name = format!("{} on {}", sb.fs_type, sb.id);
            facts.push(
                Fact::new("mem.super_block", self.origin(sb.address, "struct super_block"))
                    .with("device", sb.id.as_str())
                    .with("type", sb.fs_type.as_str())
                    .with("address", Address::from(sb.address))
                    .with("dev", format!("{}:{}", sb.device.0, sb.device.1))
                    .with("read_only", sb.read_only)
                    .with_opt("frozen", sb.frozen)
                    .with_opt("frozen_by_kernel", sb.freezes.map(|(kernel, _)| kernel))
                    .with_opt("frozen_by_user", sb.freezes.map(|(_, user)| user))
                    .with("waiters", sb.waiters.len())
                    .with("tasks", tasks)
                    .with_opt("path", path.cloned())
                    .quoting(format!(
                        "{name}{} is {state}",
                        path.map_or(String::new(), |p| format!(", mounted at {p},"))
                    ))
                    .recheck(format!("crash> struct super_block.s_id,s_writers {:#x}", sb.address.0))
                    .recheck(format!(
                        "drgn> Object(prog, 'struct super_block', address={:#x}).s_writers",
                        sb.address.0
                    )),
            );
            for waiter in &sb.waiters {
                facts.push(
                    Fact::new("mem.freeze_wait", self.origin(waiter.task, "struct task_struct"))
                        .with("task", Address::from(waiter.task))
                        .with("pid", waiter.pid)
                        .with("comm", waiter.comm.as_str())
                        .with("device", sb.id.as_str())
                        .with("super_block", Address::from(sb.address))
                        .with("level", waiter.level)
                        .quoting(format!(
                            "task {} ({}) waits for {name} to thaw ({})",
                            waiter.pid, waiter.comm, waiter.level
                        ))
                        .recheck(format!("crash> bt {:x}", waiter.task.0))
                        .recheck(format!(
                            "drgn> prog.stack_trace(Object(prog, \"struct task_struct *\", {:#x}))",
                            waiter.task.0
                        )),
                );
            }
        }
        (facts, gaps)
    }
}
