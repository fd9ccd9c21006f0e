//! Who has to answer: a process that has the file open through which a file system or a watch is served (FUSE, fanotify,
//! userfaultfd), for those who wait on a queue of it.

use std::collections::HashSet;

use crate::tasks::Task;
use crate::wait_queues::{QueueWait, WaitKind};
use crate::{Kernel, VirtAddr};

/// Descriptors of one process that are looked at, and of all.
const MAX_FILES: u64 = 65_536;
const MAX_ALL_FILES: u64 = 400_000;
/// Files of which either end may be the one that waits: who has one open need not answer.
const NO_SERVERS: [&str; 5] = ["pipefifo_fops", "pipeanon_fops", "pipe_fops", "socket_file_ops", "eventpoll_fops"];

/// An open file.
struct Open {
    task: VirtAddr,
    operations: VirtAddr,
    private: VirtAddr,
}

impl Kernel<'_> {
    /// Fills in who has to answer those that wait on a queue which lies in what an open file belongs to.
    pub(crate) fn answers(&self, tasks: &[Task], waits: &mut [QueueWait]) {
        let mut files: Option<Vec<Open>> = None;
        for wait in waits.iter_mut().filter(|wait| wait.kind == WaitKind::Queue && wait.waker.is_none()) {
            if wait.symbol.is_some() {
                continue;
            }
            let connection = self.fuse_connection(wait.object);
            let object = match connection {
                Some(_) => None,
                None => self.slab_object(wait.object).map(|object| object.start),
            };
            if connection.is_none() && object.is_none() {
                continue;
            }
            let files = files.get_or_insert_with(|| self.open_files(tasks));
            let fits = |file: &&Open| match connection {
                Some(connection) => {
                    let members = ["fc", "chan"].into_iter();
                    members.filter_map(|name| self.pointer(file.private, "fuse_dev", name)).any(|at| at == connection)
                }
                None => Some(file.private) == object,
            };
            // Who has it open itself waits for nobody's answer.
            if files.iter().any(|file| file.task == wait.task && fits(&file)) {
                continue;
            }
            let name = |file: &Open| self.symbolize(file.operations).filter(|symbol| symbol.offset == 0);
            let served = |file: &&Open| {
                name(file).is_some_and(|symbol| match connection {
                    Some(_) => symbol.name == "fuse_dev_operations",
                    None => !NO_SERVERS.contains(&symbol.name.as_str()),
                })
            };
            let Some(file) = files.iter().find(|file| fits(file) && served(file)) else { continue };
            wait.symbol = name(file).map(|symbol| format!("queue of {}", symbol.name));
            (wait.waker, wait.waker_by) =
                (Some(file.task), Some("has the file open through which it is answered".into()));
        }
    }

    /// The connection of the request of FUSE whose queue this is. A request knows its mount and that its connection since
    /// fcee216beb9c "fuse: split fuse_mount off of fuse_conn" (v5.10), and in 7.3 knows the channel to its server instead;
    /// types are those of the module.
    fn fuse_connection(&self, queue: VirtAddr) -> Option<VirtAddr> {
        let types = self.types();
        let request = queue - types.offset("fuse_req", "waitq")?;
        if let Some(channel) = self.pointer(request, "fuse_req", "chan").filter(|at| self.arch().is_kernel(*at)) {
            let connection = self.pointer(channel, "fuse_chan", "conn").filter(|at| self.arch().is_kernel(*at))?;
            return (self.pointer(connection, "fuse_conn", "chan") == Some(channel)).then_some(channel);
        }
        let mount = self.pointer(request, "fuse_req", "fm").filter(|at| self.arch().is_kernel(*at))?;
        let connection = self.pointer(mount, "fuse_mount", "fc").filter(|at| self.arch().is_kernel(*at))?;
        // A mount stands on the list of its connection.
        let link = mount + types.offset("fuse_mount", "fc_entry")?;
        self.is_linked(link).then_some(connection)
    }

    /// The open files of all processes that belong to something.
    fn open_files(&self, tasks: &[Task]) -> Vec<Open> {
        let types = self.types();
        let members = (types.offset("file", "f_op"), types.offset("file", "private_data"));
        let (Some(operations), Some(private)) = members else { return Vec::new() };
        let open = |(task, file): (VirtAddr, VirtAddr)| {
            let (operations, private) = (self.ptr(file + operations).ok()?, self.ptr(file + private).ok()?);
            self.arch().is_kernel(private).then_some(Open { task, operations, private })
        };
        self.files_of(tasks).into_iter().filter_map(open).collect()
    }

    /// The open files of processes, each with the first task that has it.
    pub(crate) fn files_of(&self, tasks: &[Task]) -> Vec<(VirtAddr, VirtAddr)> {
        let (mut found, mut seen, mut left) = (Vec::new(), HashSet::new(), MAX_ALL_FILES);
        for task in tasks.iter().filter(|task| !task.kthread) {
            // Threads share them.
            let files = self.pointer(task.address, "task_struct", "files").filter(|files| seen.insert(files.0));
            let Some(table) = files.and_then(|files| self.pointer(files, "files_struct", "fdt")) else { continue };
            let count = self.value(table, "fdtable", "max_fds").unwrap_or(0).min(MAX_FILES).min(left);
            left -= count;
            let Some(array) = self.pointer(table, "fdtable", "fd") else { continue };
            let (bytes, _) = self.bytes_with_holes(array, (count * 8) as usize);
            let files = bytes.as_chunks::<8>().0.iter().map(|word| VirtAddr(u64::from_le_bytes(*word)));
            found.extend(files.filter(|file| self.arch().is_kernel(*file)).map(|file| (task.address, file)));
        }
        found
    }
}
