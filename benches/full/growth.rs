//! A machine of 50,000 tasks and 500 CPUs, laid over a real dump: reading it must take time in proportion to its size.
//!
//! Nothing is stored. Page tables of the dump get one more entry, behind which each task has copies of a real sleeper's
//! task_struct, signal_struct and stack, and each CPU a copy of the first one's per-CPU area, with the words changed
//! that make them their own.

use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;
use std::time::{Duration, Instant};

use dump::Dump;
use kernel::{Arch, Found, Kernel, Missing, PhysAddr, Physical, Sources, Task, VirtAddr};

const PAGE: u64 = 4096;
/// Physical address from which the copies lie; no machine of the dumps has memory there.
const NEW: u64 = 1 << 40;
/// Bytes for each task: 16 KiB of task_struct, a page of signal_struct, the stack.
const TASK: u64 = 64 * 1024;
const SIGNAL: u64 = 16 * 1024;
const STACK: u64 = 32 * 1024;
/// Bytes for each CPU: the static and the reserved part of its area.
const CPU: u64 = 1 << 20;

/// A dump with more tasks and CPUs.
struct Grown<'d> {
    dump: &'d Dump,
    tasks: u64,
    cpus: u64,
    /// Physical pages of the template by their place in a task's bytes.
    template: HashMap<u64, Vec<u8>>,
    /// Physical page of each page of the first CPU's area.
    area: Vec<Option<u64>>,
    /// Words of existing memory that are changed, by physical address.
    changed: HashMap<u64, u64>,
    places: Places,
}

/// Where things are in the template and in the new memory.
#[derive(Clone, Copy, Default)]
struct Places {
    /// Virtual address of the new memory.
    base: u64,
    /// Page offset of task_struct and signal_struct in their first page.
    task_in: u64,
    signal_in: u64,
    old_stack: u64,
    tasks: u64,
    pid: u64,
    tgid: u64,
    stack: u64,
    sp: u64,
    old_sp: u64,
    signal: u64,
    thread_node: u64,
    thread_head: u64,
    /// The list head, and the task that was last.
    head: u64,
    last: u64,
    rq: u64,
    curr: u64,
    idle: u64,
}

impl Places {
    fn task(&self, n: u64) -> u64 {
        self.base + n * TASK + self.task_in
    }

    /// The words in which a task differs from the template, by their place in its bytes.
    fn words(&self, n: u64, count: u64) -> Vec<(u64, u64)> {
        let at = |offset: u64| self.task_in + offset;
        let own = self.base + n * TASK;
        let node = |n: u64| self.task(n) + self.tasks;
        let next = if n + 1 < count { node(n + 1) } else { self.head };
        let previous = if n > 0 { node(n - 1) } else { self.last };
        let head = own + SIGNAL + self.signal_in + self.thread_head;
        let thread = self.task(n) + self.thread_node;
        vec![
            (at(self.tasks), next),
            (at(self.tasks) + 8, previous),
            (at(self.stack), own + STACK),
            (at(self.sp), own + STACK + (self.old_sp - self.old_stack)),
            (at(self.signal), own + SIGNAL + self.signal_in),
            (at(self.thread_node), head),
            (at(self.thread_node) + 8, head),
            (SIGNAL + self.signal_in + self.thread_head, thread),
            (SIGNAL + self.signal_in + self.thread_head + 8, thread),
        ]
    }
}

fn put(page: &mut [u8], at: u64, bytes: &[u8]) {
    let at = (at % PAGE) as usize;
    if let Some(place) = page.get_mut(at..at + bytes.len()) {
        place.copy_from_slice(bytes);
    }
}

impl Grown<'_> {
    fn new_page(&self, offset: u64) -> Option<Vec<u8>> {
        let cpus_at = (self.tasks + self.cpus) * TASK;
        let mut page = vec![0; PAGE as usize];
        if offset < cpus_at {
            let (n, within) = (offset / TASK, offset % TASK);
            page.copy_from_slice(self.template.get(&within)?);
            let here = within..within + PAGE;
            for (at, word) in self.places.words(n, self.tasks) {
                if here.contains(&at) {
                    put(&mut page, at, &word.to_le_bytes());
                }
            }
            let pid = (100_000 + n as u32).to_le_bytes();
            for at in [self.places.pid, self.places.tgid].map(|at| self.places.task_in + at) {
                if here.contains(&at) {
                    put(&mut page, at, &pid);
                }
            }
            // Saved frame pointers lead into the task's own stack.
            if within >= STACK {
                for raw in page.chunks_exact_mut(8) {
                    let word = u64::from_le_bytes(raw.try_into().unwrap());
                    if (self.places.old_stack..self.places.old_stack + 16384).contains(&word) {
                        let moved = word - self.places.old_stack + self.places.base + n * TASK + STACK;
                        raw.copy_from_slice(&moved.to_le_bytes());
                    }
                }
            }
            return Some(page);
        }
        let (cpu, within) = ((offset - cpus_at) / CPU, (offset - cpus_at) % CPU);
        if cpu >= self.cpus {
            return None;
        }
        let from = (*self.area.get((within / PAGE) as usize)?)?;
        self.dump.read(dump::PhysAddr(from), &mut page).ok()?;
        let idle = self.places.task(self.tasks + cpu);
        for at in [self.places.curr, self.places.idle].map(|at| self.places.rq + at) {
            if (within..within + PAGE).contains(&at) {
                put(&mut page, at, &idle.to_le_bytes());
            }
        }
        Some(page)
    }
}

impl Physical for Grown<'_> {
    fn read(&self, at: u64, buf: &mut [u8]) -> Result<(), Missing> {
        if at >= NEW {
            let missing = Missing { at, why: kernel::Why::NotRam };
            let page = self.new_page((at - NEW) & !(PAGE - 1)).ok_or(missing)?;
            let start = (at % PAGE) as usize;
            buf.copy_from_slice(page.get(start..start + buf.len()).ok_or(missing)?);
            return Ok(());
        }
        Physical::read(self.dump, at, buf)?;
        for word in (at & !7..at + buf.len() as u64).step_by(8) {
            for (n, byte) in self.changed.get(&word).into_iter().flat_map(|w| w.to_le_bytes()).enumerate() {
                let place = (word + n as u64).wrapping_sub(at);
                if let Some(place) = buf.get_mut(place as usize).filter(|_| word + n as u64 >= at) {
                    *place = byte;
                }
            }
        }
        Ok(())
    }

    fn ranges(&self) -> Vec<Range<u64>> {
        Physical::ranges(self.dump)
    }
}

/// A kernel thread that sleeps: every word of its stack is the kernel's own.
fn sleeper(tasks: &[Task]) -> Option<&Task> {
    tasks.iter().find(|t| t.kthread && !t.running && t.stack.is_some() && t.pid > 2)
}

fn grow<'d>(dump: &'d Dump, real: &Kernel<'_>, tasks: u64, cpus: u64) -> Option<Grown<'d>> {
    let walk = real.tasks();
    let model = sleeper(&walk.items)?;
    let offset = |structure: &str, path: &str| real.types().offset(structure, path);
    let task = |path: &str| offset("task_struct", path);
    let model_signal = real.pointer(model.address, "task_struct", "signal")?;
    let head = real.symbol_at("init_task")? + task("tasks")?;
    let offsets = real.symbol_at("__per_cpu_offset")?;
    let first = real.u64(offsets).ok()?;
    let rq = real.symbol("runqueues")?;
    let stack = model.stack?;
    let mut places = Places {
        task_in: model.address.0 % PAGE,
        signal_in: model_signal.0 % PAGE,
        old_stack: stack.0,
        tasks: task("tasks")?,
        pid: task("pid")?,
        tgid: task("tgid")?,
        stack: task("stack")?,
        sp: task("thread.sp")?,
        old_sp: real.value(model.address, "task_struct", "thread.sp")?,
        signal: task("signal")?,
        thread_node: task("thread_node")?,
        thread_head: offset("signal_struct", "thread_head")?,
        head: head.0,
        last: real.u64(head + 8).ok()?,
        rq,
        curr: offset("rq", "curr")?,
        idle: offset("rq", "idle")?,
        base: 0,
    };
    let mut changed = HashMap::new();
    // The first free entry of the top page table, one huge page per GiB behind it.
    let top = real.translate(VirtAddr(real.symbol("init_top_pgt").or_else(|| real.symbol("swapper_pg_dir"))?)).ok()?;
    let word = |at: PhysAddr| {
        let mut raw = [0; 8];
        Physical::read(dump, at.0, &mut raw).ok().map(|()| u64::from_le_bytes(raw))
    };
    let slot = (257..500).find(|n| word(PhysAddr(top.0 + 8 * n)) == Some(0))?;
    // A page of zeroes that nobody reads becomes the second table: the last page of a user's half is not used so.
    let table =
        Physical::ranges(dump).into_iter().flat_map(|r| (r.start..r.end).step_by(PAGE as usize)).find(|at| {
            let mut page = [1; PAGE as usize];
            Physical::read(dump, *at, &mut page).is_ok() && page == [0; PAGE as usize]
        })?;
    changed.insert(top.0 + 8 * slot, table | 0x63);
    for gib in 0..512 {
        changed.insert(table + 8 * gib, (NEW + (gib << 30)) | 0xe3);
    }
    places.base = 0xffff_0000_0000_0000 | slot << 39;
    let mut template = HashMap::new();
    let mut copy = |from: u64, to: u64, pages: u64| {
        for n in 0..pages {
            let bytes = real.bytes(VirtAddr((from & !(PAGE - 1)) + n * PAGE), PAGE as usize);
            template.insert(to + n * PAGE, bytes.unwrap_or_else(|_| vec![0; PAGE as usize]));
        }
    };
    copy(model.address.0, 0, 4);
    copy(model_signal.0, SIGNAL, 1);
    copy(stack.0, STACK, 4);
    let area = (0..CPU / PAGE).map(|n| real.translate(VirtAddr(first + n * PAGE)).ok().map(|at| at.0)).collect();
    let mut set = |at: VirtAddr, value: u64| real.translate(at).ok().map(|at| changed.insert(at.0, value));
    set(head + 8, places.task(tasks - 1) + places.tasks)?;
    set(VirtAddr(places.last), places.task(0) + places.tasks)?;
    for cpu in 0..cpus {
        set(offsets + 8 * cpu, places.base + (tasks + cpus) * TASK + cpu * CPU)?;
    }
    for mask in ["__cpu_possible_mask", "__cpu_present_mask", "__cpu_online_mask"] {
        let mask = real.symbol_at(mask)?;
        for n in 0..cpus.div_ceil(64) {
            let bits = (cpus - n * 64).min(64);
            set(mask + 8 * n, u64::MAX >> (64 - bits))?;
        }
    }
    let ids = real.symbol_at("nr_cpu_ids")?;
    let shift = (ids.0 & 4) * 8;
    let old = real.u64(VirtAddr(ids.0 & !7)).ok()?;
    set(VirtAddr(ids.0 & !7), old & !(0xffff_ffff << shift) | cpus << shift)?;
    Some(Grown { dump, tasks, cpus, template, area, changed, places })
}

/// Time for all facts about tasks, and how many tasks and stacks were read.
fn read(dump: &Dump, tasks: u64, cpus: u64) -> Result<(Duration, usize, usize), String> {
    let text = dump.vmcoreinfo().map(str::to_owned);
    let found = || Found { arch: Arch::X86_64, vmcoreinfo: text.clone(), phys_base: None, member: "vmcore".into() };
    let real = Kernel::over(dump, found(), Sources::default()).map_err(|e| e.to_string())?;
    let grown = grow(dump, &real, tasks, cpus).ok_or("the dump cannot be grown")?;
    let kernel = Kernel::over(&grown, found(), Sources::default()).map_err(|e| e.to_string())?;
    // Symbols and types cost the same for any number of tasks.
    kernel.types().find("task_struct");
    kernel.modules();
    let start = Instant::now();
    let (facts, gaps) = kernel.task_facts();
    let time = start.elapsed();
    for gap in gaps.iter().filter(|gap| gap.what != "registers").take(3) {
        println!("{}: {} ({})", gap.what, gap.why, gap.place);
    }
    let of_tasks = facts.iter().filter(|f| f.kind == "mem.task");
    let whole = of_tasks.clone().filter(|f| {
        let deep = |s: &facts::Stack| s.ended == facts::Ended::Properly && s.frames.len() > 2;
        let new = matches!(f.get("pid"), Some(facts::Value::Int(pid)) if *pid >= 100_000);
        new && f.stacks.iter().any(|s| deep(s))
    });
    Ok((time, of_tasks.clone().count(), whole.count()))
}

/// Grows a dump tenfold and compares the times.
///
/// # Errors
/// What is wrong: tasks or stacks not read, or more than twice the time that the size accounts for.
pub(crate) fn check(path: &Path) -> Result<String, String> {
    let dump = Dump::open(&[path]).map_err(|e| e.to_string())?;
    let (small, ..) = read(&dump, 5_000, 50)?;
    let (large, tasks, stacks) = read(&dump, 50_000, 500)?;
    let ratio = large.as_secs_f64() / small.as_secs_f64();
    let told = format!("{tasks} tasks, {stacks} whole stacks in {large:.2?}; a tenth of it in {small:.2?}: {ratio:.1}");
    if tasks < 50_500 || stacks < 50_000 {
        return Err(format!("tasks or stacks are missing: {told}"));
    }
    if ratio > 20.0 {
        return Err(format!("more than linear: {told}"));
    }
    Ok(told)
}
