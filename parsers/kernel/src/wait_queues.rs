//! What a task sleeps for besides locks and pools: completions, bits, pages, queues, a frozen file system.
//!
//! All of these leave an entry on the sleeper's own stack: its task pointer, and a list node whose ring closes on the
//! queue. What woke function the entry has tells what the queue belongs to.

use std::borrow::Cow;
use std::sync::Arc;

use serde::Serialize;

use crate::io_waits::Io;
use crate::locks::{Frozen, Ring, StackWords, Stacks};
use crate::stacks::CallStack;
use crate::tasks::Task;
use crate::{Kernel, VirtAddr};

/// More superblocks than a machine mounts.
const MAX_SUPERBLOCKS: usize = 65_536;

/// What kind of thing a task waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum WaitKind {
    /// `struct completion`
    Completion,
    /// A bit of a word, `wait_on_bit`.
    Bit,
    /// A variable, `wait_var_event`.
    Variable,
    /// A bit of a page or folio: locked, or under writeback.
    Page,
    /// A plain `wait_queue_head`.
    Queue,
    /// A direct read or write, which wakes its task without a queue.
    DirectIo,
    /// The end of other threads or workers of its process, `struct signal_struct` or `struct io_wq`.
    Threads,
    /// The core dump of its process, `struct core_state`.
    CoreDump,
    /// A program that the kernel starts, `struct subprocess_info`.
    Program,
    /// A grace period of RCU, `struct rcu_node` or `struct srcu_struct`.
    GracePeriod,
    /// The lock of a file, `struct file_lock`.
    FileLock,
    /// References that others have, `struct percpu_ref`.
    Reference,
    /// Room or data in a pipe, `struct pipe_inode_info`.
    Pipe,
    /// A CPU that a real-time task has, `struct rq`.
    Cpu,
    /// The answer of a server to a call of SunRPC, `struct rpc_xprt`.
    Server,
}

impl WaitKind {
    /// As facts name it.
    pub fn name(self) -> &'static str {
        match self {
            WaitKind::Completion => "completion",
            WaitKind::Bit => "bit",
            WaitKind::Variable => "variable",
            WaitKind::Page => "page",
            WaitKind::Queue => "queue",
            WaitKind::DirectIo => "direct-io",
            WaitKind::Threads => "threads",
            WaitKind::CoreDump => "core-dump",
            WaitKind::Program => "program",
            WaitKind::GracePeriod => "grace-period",
            WaitKind::FileLock => "file-lock",
            WaitKind::Reference => "reference",
            WaitKind::Pipe => "pipe",
            WaitKind::Cpu => "cpu",
            WaitKind::Server => "server",
        }
    }

    /// The kernel's type of the object.
    pub fn type_name(self) -> &'static str {
        match self {
            WaitKind::Completion => "completion",
            WaitKind::Bit | WaitKind::Variable => "unsigned long",
            WaitKind::Page => "page",
            WaitKind::Queue => "wait_queue_head",
            WaitKind::DirectIo => "iomap_dio",
            WaitKind::Threads => "signal_struct",
            WaitKind::CoreDump => "core_state",
            WaitKind::Program => "subprocess_info",
            WaitKind::GracePeriod => "rcu_node",
            WaitKind::FileLock => "file_lock",
            WaitKind::Reference => "percpu_ref",
            WaitKind::Pipe => "pipe_inode_info",
            WaitKind::Cpu => "rq",
            WaitKind::Server => "rpc_xprt",
        }
    }
}

/// The file whose page a task waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageOwner {
    /// `s_id` of the file system: a device name, or `bdev` for a block device read directly.
    pub filesystem: String,
    /// Inode number; none of a page of swap.
    pub inode: Option<u64>,
    /// Of a block device read directly its name, `sda1`.
    pub device: Option<String>,
}

/// A task that waits for something that is no lock.
#[derive(Clone, Debug)]
pub struct QueueWait {
    /// The sleeper.
    pub task: VirtAddr,
    /// What kind of thing it waits for.
    pub kind: WaitKind,
    /// The thing: completion, word, `struct page`, queue.
    pub object: VirtAddr,
    /// Name of the variable it is, or lies in.
    pub symbol: Option<String>,
    /// Module of that variable.
    pub module: Option<String>,
    /// The bit, by number; of a page by name.
    pub bit: Option<String>,
    /// Of a page.
    pub file: Option<PageOwner>,
    /// Tasks in the same queue, this one among them. Queues of bits and pages are shared by chance.
    pub waiters: usize,
    /// The task that has to end the wait, where memory tells.
    pub waker: Option<VirtAddr>,
    /// Why it is that one: `has it on its stack`, `runs the work that is flushed`.
    pub waker_by: Option<Cow<'static, str>>,
    /// Whether nobody else can end it: work that is flushed, a thread that is to end.
    pub must_end: bool,
    /// The I/O that ends it.
    pub io: Option<Io>,
    /// Monotonic time since when, nanoseconds, of one that is woken in between to look again.
    pub since_ns: Option<u64>,
}

impl QueueWait {
    /// The kernel's type of the object.
    pub fn type_name(&self) -> &'static str {
        match &self.symbol {
            Some(symbol) if self.kind == WaitKind::GracePeriod && symbol.starts_with("SRCU ") => "srcu_struct",
            _ => self.kind.type_name(),
        }
    }

    /// A wait of which no more is known than what the task waits for.
    pub(crate) fn of(task: VirtAddr, kind: WaitKind, object: VirtAddr) -> QueueWait {
        QueueWait {
            task,
            kind,
            object,
            symbol: None,
            module: None,
            bit: None,
            file: None,
            waiters: 1,
            waker: None,
            waker_by: None,
            since_ns: None,
            must_end: false,
            io: None,
        }
    }
}

/// A wait entry on a sleeper's stack.
pub(crate) struct Entry {
    /// Where its task pointer is.
    pub(crate) private: VirtAddr,
    /// Function that wakes it.
    pub(crate) function: VirtAddr,
    /// The ring it is in.
    pub(crate) ring: Arc<Ring>,
}

impl Kernel<'_> {
    /// The `wait_queue_entry`s of a sleeper (`wait_queue_t` before ac6424b981bc, 4.13), innermost first.
    pub(crate) fn wait_entries<'a>(
        &'a self,
        task: &Task,
        words: &'a StackWords,
        stacks: &'a Stacks,
    ) -> impl Iterator<Item = Entry> + 'a {
        let types = self.types();
        let to_function = types.offset("wait_queue_entry", "func").or_else(|| types.offset("__wait_queue", "func"));
        let to_function = to_function.unwrap_or(16);
        let (to_task, to_entry) = self.entry_layout();
        let code = self.code();
        words.places(task.address.0).filter_map(move |private| {
            let entry = private - to_task;
            let function = self.ptr(entry + to_function).ok()?;
            let known = crate::unwind::Target::is_text(&code, function.0) && self.is_linked(entry + to_entry);
            known.then(|| Entry { private, function, ring: self.ring(entry + to_entry, stacks) })
        })
    }

    /// Where task pointer and node lie in a `wait_queue_entry`.
    fn entry_layout(&self) -> (u64, u64) {
        let types = self.types();
        let offset = |path: &str, old: &str, fallback: u64| {
            let new = types.offset("wait_queue_entry", path);
            new.or_else(|| types.offset("__wait_queue", old)).unwrap_or(fallback)
        };
        (offset("private", "private", 8), offset("entry", "task_list", 24))
    }

    /// What a sleeper waits for, when it is no lock and no pool.
    pub(crate) fn queue_wait(&self, task: &Task, stack: &CallStack, stacks: &Stacks) -> Option<QueueWait> {
        let words = StackWords::read(self, task, stack)?;
        let mut wait = QueueWait::of(task.address, WaitKind::Queue, VirtAddr(0));
        let completes = |name: &str| name.starts_with("wait_for_completion") || name.contains("wait_for_common");
        let completion = stack.frames.iter().take(6).any(|f| f.function().is_some_and(completes));
        if let Some((object, waiters)) = completion.then(|| self.completion_of(task, &words, stacks)).flatten() {
            (wait.kind, wait.object, wait.waiters) = (WaitKind::Completion, object, waiters);
        } else {
            let entry = self.wait_entries(task, &words, stacks).next()?;
            let function = self.symbolize(entry.function)?.name;
            wait.waiters = entry.ring.on_stacks.len();
            match function.as_str() {
                // The key lies before the entry: address, number, timeout; behind a page's address and bit number.
                "wake_bit_function" | "var_wake_function" => {
                    wait.object = self.ptr(entry.private - 32).ok()?;
                    wait.kind = WaitKind::Variable;
                    if function == "wake_bit_function" {
                        wait.kind = WaitKind::Bit;
                        wait.bit = self.u32(entry.private - 24).ok().map(|n| n.to_string());
                    }
                }
                "wake_page_function" => {
                    wait.object = self.ptr(entry.private - 24).ok()?;
                    wait.kind = WaitKind::Page;
                    let number = self.u32(entry.private - 16).ok()?;
                    wait.bit = Some(self.page_bit(number));
                    wait.file = self.page_owner(wait.object);
                }
                _ => {
                    let (to_task, to_entry) = self.entry_layout();
                    let (head, waiters) = self.ring_head(&entry.ring, to_task, to_entry, stacks)?;
                    wait.waiters = waiters;
                    let names = ["wait_queue_head", "__wait_queue_head"];
                    let to_head = names.iter().find_map(|n| self.types().first_member(n, &["head", "task_list"]));
                    wait.object = head - to_head.map_or(8, |m| m.offset);
                }
            }
        }
        if !self.arch().is_kernel(wait.object) {
            return None;
        }
        // What lies on the sleeper's own stack others were given the address of.
        wait.waker = stacks.owner(wait.object).filter(|owner| *owner != task.address);
        wait.waker_by = wait.waker.map(|_| "has it on its stack".into());
        if let Some(symbol) = self.symbolize(wait.object) {
            wait.symbol = Some(match symbol.offset {
                0 => symbol.name,
                offset => format!("{}+{offset:#x}", symbol.name),
            });
            wait.module = symbol.module;
        }
        Some(wait)
    }

    /// The head of a ring of waiters with the number of these: what lies on no stack; where all of it does, as with a
    /// completion that is a local variable, the one node whose waiter would belong to no task. `to_task` and `to_node` are
    /// the places of task pointer and node in a waiter.
    fn ring_head(&self, ring: &Ring, to_task: u64, to_node: u64, stacks: &Stacks) -> Option<(VirtAddr, usize)> {
        let waits = |node: &&VirtAddr| self.ptr(**node - to_node + to_task).is_ok_and(|task| stacks.has(task));
        match ring.elsewhere.as_slice() {
            [head] => Some((*head, ring.on_stacks.len())),
            [] => {
                let mut heads = ring.on_stacks.iter().filter(|node| !waits(node));
                let head = heads.next().filter(|_| heads.next().is_none())?;
                Some((*head, ring.on_stacks.len() - 1))
            }
            _ => None,
        }
    }

    /// A completion with the number of its waiters: on a simple wait queue since 5.7 (a5c6234e1028 "completion: Use
    /// simple wait queues").
    fn completion_of(&self, task: &Task, words: &StackWords, stacks: &Stacks) -> Option<(VirtAddr, usize)> {
        let types = self.types();
        // RHEL 7 has simple wait queues, and does not use them here.
        let queue = types.member("completion", "wait").and_then(|wait| wait.ty).map(|ty| types.base_name(ty));
        let is_simple = queue.map_or(types.find("swait_queue").is_some(), |name| name.contains("swait_queue_head"));
        let simple = types.offset("completion", "wait.task_list").filter(|_| is_simple);
        let (head, to_task, to_node, ring) = match simple {
            Some(head) => {
                let to_task = types.offset("swait_queue", "task").unwrap_or(0);
                let to_node = types.offset("swait_queue", "task_list").unwrap_or(8);
                let mut nodes = words.places(task.address.0).map(|at| at - to_task + to_node);
                (head, to_task, to_node, self.ring(nodes.find(|node| self.is_linked(*node))?, stacks))
            }
            None => {
                let head = types.first_member("completion", &["wait.head", "wait.task_list"]).map_or(16, |m| m.offset);
                let (to_task, to_entry) = self.entry_layout();
                (head, to_task, to_entry, self.wait_entries(task, words, stacks).next()?.ring)
            }
        };
        let (list, waiters) = self.ring_head(&ring, to_task, to_node, stacks)?;
        Some((list - head, waiters))
    }

    fn page_bit(&self, number: u32) -> String {
        let names = self.types().enumerators("pageflags");
        let name = names.into_iter().find(|(_, value)| *value == i64::from(number)).map(|(name, _)| name);
        match name.as_deref().and_then(|name| name.strip_prefix("PG_")) {
            Some(name) => name.to_owned(),
            // The lock has been the first one in every kernel.
            None if number == 0 => "locked".to_owned(),
            None => number.to_string(),
        }
    }

    fn page_owner(&self, page: VirtAddr) -> Option<PageOwner> {
        if let Some(device) = self.swap_device(page) {
            return Some(PageOwner { filesystem: format!("swap on {device}"), inode: None, device: None });
        }
        // An anonymous page marks its mapping in the low bits.
        let mapping = self.pointer(page, "page", "mapping").filter(|at| at.0 & 3 == 0)?;
        let inode = self.pointer(mapping, "address_space", "host")?;
        let block = self.pointer(inode, "inode", "i_sb")?;
        Some(PageOwner {
            filesystem: self.text(block, "super_block", "s_id").filter(|name| !name.is_empty())?,
            inode: Some(self.value(inode, "inode", "i_ino")?),
            device: self.device_of_inode(inode),
        })
    }

    /// The block device whose inode this is, in the file system `bdev`: it lies beside it.
    pub(crate) fn device_of_inode(&self, inode: VirtAddr) -> Option<String> {
        let block = self.pointer(inode, "inode", "i_sb")?;
        if self.text(block, "super_block", "s_id")? != "bdev" {
            return None;
        }
        let types = self.types();
        let of_inode = types.offset("bdev_inode", "vfs_inode")?;
        self.block_device_name(inode - of_inode + types.offset("bdev_inode", "bdev")?)
    }

    /// The file system whose protection against writers while it is frozen this per-CPU rwsem is; `None` when it is
    /// another lock, or the file system is not frozen.
    pub(crate) fn frozen_by(&self, lock: VirtAddr) -> Option<Frozen> {
        let head = self.symbol_at("super_blocks")?;
        let to_list = self.types().offset("super_block", "s_list")?;
        let locks = self.types().member("super_block", "s_writers.rw_sem")?;
        let blocks = self.list(head, MAX_SUPERBLOCKS, "super blocks").items.into_iter().map(|node| node - to_list);
        let block = blocks.into_iter().find(|block| {
            let start = *block + locks.offset;
            (start.0..start.0.saturating_add(locks.size)).contains(&lock.0)
        })?;
        let frozen = self.value(block, "super_block", "s_writers.frozen")?;
        let name = self.text(block, "super_block", "s_id").filter(|name| !name.is_empty());
        name.filter(|_| frozen != 0).map(|name| Frozen { super_block: block, name })
    }
}
