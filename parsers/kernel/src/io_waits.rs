//! The block device whose I/O a task waits for. What the task waits on leads to it: a buffer, a page, a bio whose end the
//! task is to be told, a direct read or write, the tags of a driver, a queue that is frozen, a log.

use std::cell::LazyCell;
use std::collections::{HashMap, HashSet};

use crate::block::{Disk, disk_of};
use crate::locks::StackWords;
use crate::stacks::CallStack;
use crate::tasks::Task;
use crate::wait_queues::{QueueWait, WaitKind};
use crate::{Kernel, VirtAddr};

/// Words of a stack that are tried as addresses of what the task waits for.
const MAX_WORDS: usize = 2048;
/// Wait queues of a set of tags: SBQ_WAIT_QUEUES has been 8 in every kernel.
const TAG_QUEUES: u64 = 8;
/// `IOMAP_DIO_WRITE`, the same since 4.10.
const IOMAP_WRITE: u64 = 1 << 30;
/// Policies of one queue: `wbt`, `latency`, `cost`.
const MAX_POLICIES: usize = 16;

/// Functions that wait for I/O without an entry in a queue.
const DIRECT: [&str; 6] = [
    "__iomap_dio_rw",
    "iomap_dio_rw",
    "__blkdev_direct_IO",
    "__blkdev_direct_IO_simple",
    "do_blockdev_direct_IO",
    "dio_await_one",
];

/// The I/O that a task waits for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Io {
    /// Name of the disk or partition.
    pub device: String,
    /// Name of the disk; that of a partition is longer.
    pub disk: String,
    /// `read`, `write`, ..., where what it waits on says so.
    pub operation: Option<String>,
    /// What of the device it waits for: `buffer`, `page`, `bio`, `direct-io`, `request`, `log`, `writeback`; a `tag`, leave of
    /// a `throttle`, a `frozen` queue before the I/O can begin; `freeze`: it freezes the queue itself.
    pub by: &'static str,
}

impl Io {
    fn new(device: String, by: &'static str, write: Option<bool>) -> Io {
        let operation = write.map(|write| if write { "write" } else { "read" }.to_owned());
        Io { disk: device.clone(), device, operation, by }
    }

    /// `read of a page of vda1`.
    pub(crate) fn words(&self) -> String {
        let (device, by) = (&self.device, self.by);
        match by {
            "tag" => format!("a tag for a request to {device}"),
            "throttle" => format!("leave to write to {device}"),
            "frozen" => format!("the queue of {device} to be thawed"),
            "freeze" => format!("the requests of {device} to end: it freezes its queue"),
            _ => match &self.operation {
                Some(operation) => format!("{operation} ({by}) on {device}"),
                None => format!("I/O ({by}) of {device}"),
            },
        }
    }
}

impl Kernel<'_> {
    /// Fills in the I/O that tasks wait for by what they wait on, and who has to end the wait for a journal's commit or a
    /// frozen queue. `stacks` are those of `tasks`, in the same order.
    pub(crate) fn io_waits(&self, tasks: &[Task], stacks: &[Option<CallStack>], waits: &mut [QueueWait]) {
        let disks = LazyCell::new(|| self.disks_alone().items);
        let by_address: HashMap<VirtAddr, usize> = tasks.iter().enumerate().map(|(n, t)| (t.address, n)).collect();
        for wait in waits.iter_mut().filter(|wait| wait.io.is_none() && wait.waker.is_none()) {
            let nth = by_address.get(&wait.task);
            let Some((task, Some(stack))) = nth.and_then(|nth| Some((tasks.get(*nth)?, stacks.get(*nth)?.as_ref())))
            else {
                continue;
            };
            let Some(words) = StackWords::read(self, task, stack) else { continue };
            match wait.kind {
                WaitKind::Page => wait.io = self.io_of_page(wait),
                WaitKind::Bit => wait.io = self.io_of_buffer(wait.object),
                WaitKind::Completion => {
                    let own = self.io_of_buffer_cache(wait.object).or_else(|| self.io_of_bio(wait.object, &words));
                    wait.io = own.or_else(|| self.io_of_request(wait.object, &words, &disks));
                }
                WaitKind::Queue if wait.symbol.is_none() => {
                    if let Some(thread) = self.journal_thread(wait.object) {
                        (wait.waker, wait.waker_by) =
                            (Some(thread), Some("is the thread that commits the journal".into()));
                        continue;
                    }
                    let log = self.io_of_log(wait.object);
                    wait.io = log.or_else(|| self.io_of_queue(wait.object, stack, &words, &disks));
                }
                _ => {}
            }
        }
        for io in waits.iter_mut().filter_map(|wait| wait.io.as_mut()) {
            let names: Vec<&str> = disks.iter().map(|disk| disk.name.as_str()).collect();
            io.disk = disk_of(&io.device, &names).to_owned();
        }
        // Who freezes a queue is what those wait for that cannot enter it.
        let of = |by: &str, wait: &QueueWait| wait.io.as_ref().is_some_and(|io| io.by == by);
        let freezes = waits.iter().filter(|wait| of("freeze", wait)).map(|wait| (wait.object, wait.task));
        let freezes: Vec<(VirtAddr, VirtAddr)> = freezes.collect();
        for wait in waits.iter_mut().filter(|wait| of("frozen", wait)) {
            if let Some((_, task)) = freezes.iter().find(|(queue, _)| *queue == wait.object) {
                (wait.waker, wait.waker_by) = (Some(*task), Some("freezes the queue".into()));
            }
        }
    }

    /// What a task waits for that left no entry in a queue: a direct read or write, leave to begin.
    pub(crate) fn io_alone(&self, task: &Task, stack: &CallStack) -> Option<QueueWait> {
        let functions = stack.frames.iter().filter(|f| f.found != facts::Found::Scan).take(12);
        let wanted = { functions }.find_map(|frame| {
            let name = frame.function()?;
            (name == "rq_qos_wait" || DIRECT.contains(&name)).then_some(name)
        })?;
        let words = StackWords::read(self, task, stack)?;
        let (kind, object, io) = match wanted {
            "rq_qos_wait" => {
                let (object, io) = self.io_of_policy(task, &words)?;
                (WaitKind::Queue, object, io)
            }
            _ => {
                let (object, io) = self.io_of_direct(task, &words)?;
                (WaitKind::DirectIo, object, io)
            }
        };
        Some(QueueWait { io: Some(io), ..QueueWait::of(task.address, kind, object) })
    }

    /// Words of a stack that are addresses of the kernel, each once.
    pub(crate) fn kernel_words<'w>(&'w self, words: &'w StackWords) -> impl Iterator<Item = VirtAddr> + 'w {
        let mut seen = HashSet::new();
        let words = words.iter().take(MAX_WORDS).filter(|word| word & 7 == 0).map(VirtAddr);
        words.filter(move |at| self.arch().is_kernel(*at) && seen.insert(at.0))
    }

    /// A page that is written, or read for the first time.
    fn io_of_page(&self, wait: &QueueWait) -> Option<Io> {
        let device = self.swap_device(wait.object).or_else(|| {
            let mapping = self.pointer(wait.object, "page", "mapping").filter(|at| at.0 & 3 == 0)?;
            self.device_of_mapping(mapping)
        })?;
        let write = match wait.bit.as_deref() {
            Some("writeback") => Some(true),
            Some("locked") => {
                let number = self.types().enumerator("PG_uptodate")?;
                let flags = self.first_value(wait.object, "page", &["flags", "flags.f"])?;
                // Who has a page locked that was read already need not do I/O.
                let read = 1u64.checked_shl(u32::try_from(number).ok()?).is_some_and(|bit| flags & bit == 0);
                Some(false).filter(|_| read)
            }
            _ => None,
        };
        Some(Io::new(device, "page", write))
    }

    /// The device that a file's pages come from: the device itself, or that of its file system.
    fn device_of_mapping(&self, mapping: VirtAddr) -> Option<String> {
        let inode = self.pointer(mapping, "address_space", "host")?;
        self.device_of_inode(inode).or_else(|| {
            let block = self.pointer(inode, "inode", "i_sb")?;
            self.block_device_name(self.pointer(block, "super_block", "s_bdev")?)
        })
    }

    /// A buffer that is locked while it is read or written; its bits stand first in it.
    fn io_of_buffer(&self, word: VirtAddr) -> Option<Io> {
        let object = self.slab_object(word)?;
        if object.cache_name != "buffer_head" || object.start != word {
            return None;
        }
        let device = self.block_device_name(self.pointer(word, "buffer_head", "b_bdev")?)?;
        // BH_Uptodate is the first of them.
        let state = self.value(word, "buffer_head", "b_state")?;
        Some(Io::new(device, "buffer", Some(state & 1 == 1)))
    }

    /// A buffer of XFS, whose completion lies in it.
    fn io_of_buffer_cache(&self, completion: VirtAddr) -> Option<Io> {
        let buffer = completion - self.types().offset("xfs_buf", "b_iowait")?;
        let target = self.pointer(buffer, "xfs_buf", "b_target").filter(|at| self.arch().is_kernel(*at))?;
        let device = self.block_device_name(self.pointer(target, "xfs_buftarg", "bt_bdev")?)?;
        // XBF_READ and XBF_WRITE are the first two.
        let flags = self.value(buffer, "xfs_buf", "b_flags")? & 3;
        Some(Io::new(device, "buffer", Some(flags == 2).filter(|_| flags == 1 || flags == 2)))
    }

    /// A bio whose end completes what lies on the stack of who submitted it.
    fn io_of_bio(&self, completion: VirtAddr, words: &StackWords) -> Option<Io> {
        let private = self.types().offset("bio", "bi_private")?;
        let on_stack: Vec<VirtAddr> = words.places(completion.0).map(|place| place - private).collect();
        let told = |bio: &VirtAddr| self.ptr(*bio + private) == Ok(completion);
        let mut bios = on_stack.into_iter().chain(self.kernel_words(words)).filter(told);
        bios.find_map(|bio| {
            let operation = self.value(bio, "bio", "bi_opf").or_else(|| self.value(bio, "bio", "bi_rw"))?;
            let device = self.device_of_bio(bio)?;
            let operation = self.operations().get(&(operation & 0xff)).cloned();
            Some(Io { operation, ..Io::new(device, "bio", None) })
        })
    }

    /// A disk and the number of the partition from 74d46992e0d9 "block: replace bi_bdev with a gendisk pointer" (v4.14) to
    /// 309dca309fc3 "block: store a block_device pointer in struct bio" (v5.12), the device before and after.
    fn device_of_bio(&self, bio: VirtAddr) -> Option<String> {
        match self.pointer(bio, "bio", "bi_disk") {
            Some(disk) => self.text(disk, "gendisk", "disk_name").filter(|name| !name.is_empty()),
            None => self.block_device_name(self.pointer(bio, "bio", "bi_bdev")?),
        }
    }

    /// A request that was made for the caller alone (`blk_execute_rq`).
    fn io_of_request(&self, completion: VirtAddr, words: &StackWords, disks: &[Disk]) -> Option<Io> {
        let data = self.types().offset("request", "end_io_data")?;
        let mut requests = self.kernel_words(words).filter(|at| self.ptr(*at + data) == Ok(completion));
        requests.find_map(|request| {
            let queue = self.pointer(request, "request", "q")?;
            let disk = disks.iter().find(|disk| disk.queue == Some(queue))?;
            let operation = self.operations().get(&(self.value(request, "request", "cmd_flags")? & 0xff)).cloned();
            Some(Io { operation, ..Io::new(disk.name.clone(), "request", None) })
        })
    }

    /// A direct read or write that has its task to wake.
    fn io_of_direct(&self, task: &Task, words: &StackWords) -> Option<(VirtAddr, Io)> {
        // `submit.waiter` shares its place with what an asynchronous one has: the task is proof enough.
        let kinds = [("iomap_dio", "submit.waiter"), ("blkdev_dio", "waiter"), ("dio", "waiter")];
        for (structure, waiter) in kinds {
            let Some(waiter) = self.types().offset(structure, waiter) else { continue };
            let of_task = |at: &VirtAddr| self.ptr(*at + waiter) == Ok(task.address);
            let found = self.kernel_words(words).filter(of_task).find_map(|at| {
                let device = match self.pointer(at, structure, "iocb") {
                    Some(call) => {
                        let file = self.pointer(call, "kiocb", "ki_filp")?;
                        self.device_of_mapping(self.pointer(file, "file", "f_mapping")?)?
                    }
                    None => self.device_of_mapping(self.pointer(
                        self.pointer(at, structure, "inode")?,
                        "inode",
                        "i_mapping",
                    )?)?,
                };
                let write = match structure {
                    "iomap_dio" => self.value(at, structure, "flags").map(|flags| flags & IOMAP_WRITE != 0),
                    "dio" => self.first_value(at, structure, &["op", "opf", "rw"]).map(|op| op & 1 == 1),
                    _ => None,
                };
                Some((at, Io::new(device, "direct-io", write)))
            });
            if found.is_some() {
                return found;
            }
        }
        // One bio on the stack, whose end wakes the task itself.
        let private = self.types().offset("bio", "bi_private")?;
        let mut bios = words.places(task.address.0).map(|place| place - private);
        bios.find_map(|bio| Some((bio, Io::new(self.device_of_bio(bio)?, "bio", None))))
    }

    /// Leave of a policy that holds writers back (`rq_qos_wait`): its wait lies on the stack, `struct rq_qos_wait_data` with
    /// task and queue behind the entry; in 7.3 the entry has the task.
    fn io_of_policy(&self, task: &Task, words: &StackWords) -> Option<(VirtAddr, Io)> {
        let types = self.types();
        let task_at = types.first_member("rq_qos_wait_data", &["task", "wq.private"]).map(|member| member.offset);
        let to_queue = match (task_at, types.offset("rq_qos_wait_data", "rqw")) {
            (Some(task), Some(queue)) => queue.checked_sub(task)?,
            _ => 8,
        };
        let waits = words.places(task.address.0).filter_map(|place| self.ptr(place + to_queue).ok());
        let waits: Vec<VirtAddr> = waits.filter(|at| self.arch().is_kernel(*at)).collect();
        for disk in self.disks_alone().items {
            let Some(queue) = disk.queue else { continue };
            let mut policy = self.pointer(queue, "request_queue", "rq_qos");
            for _ in 0..MAX_POLICIES {
                let Some(at) = policy else { break };
                // Both lie in what the policy keeps for this queue, `struct rq_wb`.
                let of = self.slab_object(at).map(|object| object.start);
                let inside = |wait: &&VirtAddr| of.is_some() && self.slab_object(**wait).map(|o| o.start) == of;
                if let Some(wait) = waits.iter().find(inside) {
                    return Some((*wait, Io::new(disk.name, "throttle", None)));
                }
                policy = self.pointer(at, "rq_qos", "next");
            }
        }
        None
    }

    /// The thread of the journal that a queue lies in.
    fn journal_thread(&self, queue: VirtAddr) -> Option<VirtAddr> {
        let types = self.types();
        let queues = ["j_wait_done_commit", "j_wait_transaction_locked"];
        queues.into_iter().find_map(|name| {
            let journal = queue - types.offset("journal_s", name)?;
            let thread = self.pointer(journal, "journal_s", "j_task").filter(|at| self.arch().is_kernel(*at))?;
            let comm = self.text(thread, "task_struct", "comm")?;
            comm.starts_with("jbd2/").then_some(thread)
        })
    }

    /// The log of XFS, or the pages of a device that are to be written for a sync.
    fn io_of_log(&self, queue: VirtAddr) -> Option<Io> {
        let types = self.types();
        let log = ["ic_force_wait", "ic_write_wait"].into_iter().find_map(|name| {
            let part = queue - types.offset("xlog_in_core", name)?;
            let log = self.pointer(part, "xlog_in_core", "ic_log").filter(|at| self.arch().is_kernel(*at))?;
            let target = self.pointer(log, "xlog", "l_targ").filter(|at| self.arch().is_kernel(*at))?;
            self.block_device_name(self.pointer(target, "xfs_buftarg", "bt_bdev")?)
        });
        log.map(|device| Io::new(device, "log", Some(true)))
    }

    /// What of a disk a wait queue belongs to.
    fn io_of_queue(&self, object: VirtAddr, stack: &CallStack, words: &StackWords, disks: &[Disk]) -> Option<Io> {
        let types = self.types();
        let freezes = |name: &str| name.starts_with("blk_mq_freeze_queue_wait");
        let freezes = stack.frames.iter().take(8).any(|frame| frame.function().is_some_and(freezes));
        let frozen = types.offset("request_queue", "mq_freeze_wq");
        let writers = types.offset("backing_dev_info", "wb_waitq");
        let mut gaps = Vec::new();
        for disk in disks {
            let Some(queue) = disk.queue else { continue };
            if frozen.is_some_and(|frozen| queue + frozen == object) {
                return Some(Io::new(disk.name.clone(), if freezes { "freeze" } else { "frozen" }, None));
            }
            // edb0872f44ec "block: move the bdi from the request_queue to the gendisk" (v5.15).
            let info = self
                .pointer(disk.address, "gendisk", "bdi")
                .or_else(|| self.pointer(queue, "request_queue", "backing_dev_info"));
            if info.zip(writers).is_some_and(|(info, writers)| info + writers == object) {
                return Some(Io::new(disk.name.clone(), "writeback", Some(true)));
            }
        }
        // A set of tags may serve many disks: the queue that wants one is on the stack.
        let size = types.size_of("sbq_wait_state").filter(|size| *size > 0)?;
        let mut has_tags = |disk: &&Disk| {
            let hardware = disk.queue.map(|queue| self.hardware_queues(queue, &mut gaps)).unwrap_or_default();
            let tags =
                |at| ["tags", "sched_tags"].into_iter().filter_map(move |t| self.pointer(at, "blk_mq_hw_ctx", t));
            let sets = |at| ["bitmap_tags", "breserved_tags"].into_iter().filter_map(move |s| self.wait_states(at, s));
            let mut states = hardware.into_iter().flat_map(tags).flat_map(sets);
            states.any(|states| (states.0..states.0.saturating_add(TAG_QUEUES * size)).contains(&object.0))
        };
        let owners: Vec<&Disk> = disks.iter().filter(|disk| has_tags(disk)).collect();
        let disk = match owners.as_slice() {
            [disk] => disk,
            several => several.iter().find(|disk| disk.queue.is_some_and(|at| words.places(at.0).next().is_some()))?,
        };
        Some(Io::new(disk.name.clone(), "tag", None))
    }

    /// The wait queues of a set of tags: in `struct blk_mq_tags`, behind pointers from 222a5ae03cdd "blk-mq: Use pointers for
    /// blk_mq_tags bitmap tags" (v5.10) to ae0f1a732f4a "blk-mq: Stop using pointers for blk_mq_tags bitmap tags" (v5.16).
    fn wait_states(&self, tags: VirtAddr, set: &str) -> Option<VirtAddr> {
        match self.types().member("blk_mq_tags", set)?.shape {
            crate::types::Shape::Pointer => {
                self.pointer(self.pointer(tags, "blk_mq_tags", set)?, "sbitmap_queue", "ws")
            }
            _ => self.pointer(tags, "blk_mq_tags", &format!("{set}.ws")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthetic::{BASE, Memory};

    const MEMBERS: &[(&str, &str, u64, u64)] = &[
        ("bio", "bi_private", 0x40, 8),
        ("bio", "bi_bdev", 0x8, 8),
        ("bio", "bi_opf", 0x10, 4),
        ("block_device", "bd_device.kobj.name", 0x28, 8),
        ("xfs_buf", "b_iowait", 0x60, 8),
        ("xfs_buf", "b_target", 0x20, 8),
        ("xfs_buf", "b_flags", 0x18, 4),
        ("xfs_buftarg", "bt_bdev", 0x10, 8),
    ];

    /// A bio at 0x11000 of the device `vda1` at 0x12000, and a buffer of XFS at 0x14000 of the same.
    fn memory() -> Memory {
        let memory = Memory::new();
        memory.put(BASE + 0x13000, b"vda1\0");
        memory.put64(BASE + 0x12028, BASE + 0x13000);
        memory.put64(BASE + 0x11008, BASE + 0x12000);
        memory.put32(BASE + 0x11010, 1);
        memory.put64(BASE + 0x14020, BASE + 0x15000);
        memory.put32(BASE + 0x14018, 2);
        memory.put64(BASE + 0x15010, BASE + 0x12000);
        memory
    }

    #[test]
    fn a_bio_is_that_of_the_wait_only_if_its_end_completes_it() {
        let memory = memory();
        let (completion, bio) = (BASE + 0x30100, BASE + 0x11000);
        let words = StackWords::of(BASE + 0x30000, vec![7, bio, completion]);
        memory.put64(bio + 0x40, BASE + 0x31100);
        let kernel = memory.kernel_with("", MEMBERS);
        assert_eq!(kernel.io_of_bio(VirtAddr(completion), &words), None, "a bio of somebody else, left on the stack");
        memory.put64(bio + 0x40, completion);
        let io = kernel.io_of_bio(VirtAddr(completion), &words).unwrap();
        assert_eq!((io.device.as_str(), io.by), ("vda1", "bio"));
    }

    #[test]
    fn a_buffer_of_xfs_is_found_by_the_completion_in_it() {
        let memory = memory();
        let kernel = memory.kernel_with("", MEMBERS);
        let io = kernel.io_of_buffer_cache(VirtAddr(BASE + 0x14060)).unwrap();
        assert_eq!(io, Io::new("vda1".into(), "buffer", Some(true)));
        assert_eq!(io.words(), "write (buffer) on vda1");
        assert_eq!(kernel.io_of_buffer_cache(VirtAddr(BASE + 0x16060)), None);
    }
}
