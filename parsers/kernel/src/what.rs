//! What lies at an address: symbol, slab object, stack, task, per-CPU variable, module, vmalloc area, page.

use facts::Address;
use serde::{Serialize, Serializer};

pub use crate::vmalloc::Area;
use crate::{Arch, Kernel, VirtAddr};

/// More than the page allocator's largest order (10; 13 with pages of 64 KiB).
const MAX_BLOCK_ORDER: u64 = 14;

/// Everything known of an address. Every part may be absent.
#[derive(Clone, Debug, Default, Serialize)]
pub struct What {
    /// The address.
    pub address: Option<Address>,
    /// Physical address, where it is mapped.
    pub physical: Option<Address>,
    /// Why it cannot be read, if it cannot.
    pub unreadable: Option<String>,
    /// Symbol, `name+0x10`.
    pub symbol: Option<String>,
    /// Part of the kernel image or of the module: `text`, `rodata`, `data`, `bss`, `init`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub section: Option<&'static str>,
    /// Module that holds it.
    pub module: Option<String>,
    /// Slab object that holds it.
    pub slab: Option<SlabWhat>,
    /// Of a page structure: the page frame it is of, and what that page is used for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub page_structure: Option<PageStructure>,
    /// Task on whose kernel stack it lies: thread id, command name.
    #[serde(serialize_with = "as_task")]
    pub stack_of: Option<(i32, String)>,
    /// Stack of a CPU that it lies on: CPU, and `irq`, `nmi`, `double-fault`, `debug`, `machine-check`, `entry`, ...
    #[serde(skip_serializing_if = "Option::is_none")]
    #[serde(serialize_with = "as_cpu_stack")]
    pub cpu_stack: Option<(u32, &'static str)>,
    /// Task whose kernel stack begins above it, less than a page away: a push from there came to the guard page.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[serde(serialize_with = "as_task")]
    pub below_stack_of: Option<(i32, String)>,
    /// Bytes from the start of the stack or task_struct; below a stack bytes to its start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    /// Task in whose task_struct it lies: thread id, command name.
    #[serde(serialize_with = "as_task")]
    pub task: Option<(i32, String)>,
    /// CPU and per-CPU variable, `runqueues+0x8`.
    #[serde(serialize_with = "as_variable")]
    pub per_cpu: Option<(u32, String)>,
    /// Its `struct page`; of a compound page the head's.
    pub page: Option<Address>,
    /// What that page is used for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub page_state: Option<PageState>,
    /// The vmalloc or module area that holds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vmalloc: Option<Area>,
    /// Whether it lies in the area of modules, where none is loaded.
    #[serde(skip)]
    pub module_area: bool,
    /// Whether it is an address of the direct map of physical memory.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub direct_map: bool,
    /// Of a value that is no address of the kernel, or one in the memory of a module that is gone: what it is instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
}

/// A slab object.
#[derive(Clone, Debug, Serialize)]
pub struct SlabWhat {
    /// Name of the cache.
    pub cache: String,
    /// Start of the object.
    pub object: Address,
    /// Bytes from there.
    pub offset: u64,
    /// Whether it is allocated; `null` when the free lists cannot tell.
    pub allocated: Option<bool>,
    /// Whether it is filled with the poison of freed objects.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub poisoned: bool,
    /// Who allocated it and who freed it, where the cache keeps that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tracks: Option<crate::Tracks>,
    /// Where the free list of its slab breaks: a free object's pointer to the next one was written over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub damaged_at: Option<Address>,
    /// What stands there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub damage: Option<Address>,
    /// Of a free object: the word that its cache keeps in it, and where.
    #[serde(skip)]
    pub(crate) free_word: Option<(u64, u64)>,
}

/// A `struct page`, or what lies over one (`struct slab`, `struct folio`).
#[derive(Clone, Debug, Serialize)]
pub struct PageStructure {
    /// Number of the page frame.
    pub frame: u64,
    /// Bytes from the start of the structure.
    pub offset: u64,
    /// Slab cache that the page belongs to.
    pub cache: Option<String>,
}

/// The state of a page.
#[derive(Clone, Debug, Default, Serialize)]
pub struct PageState {
    /// Names of the flags that are set: `locked`, `uptodate`, `slab`.
    pub flags: Vec<String>,
    /// Reference count.
    pub references: Option<i32>,
    /// Whether the page allocator has it as free.
    pub free: bool,
    /// `anonymous`, or `file`.
    pub mapping: Option<&'static str>,
    /// Of a file's page: inode number and the name of its file system's device.
    #[serde(serialize_with = "as_file")]
    pub file: Option<(u64, String)>,
}

fn as_task<S: Serializer>(task: &Option<(i32, String)>, s: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Task<'a> {
        pid: i32,
        comm: &'a str,
    }
    task.as_ref().map(|(pid, comm)| Task { pid: *pid, comm }).serialize(s)
}

fn as_cpu_stack<S: Serializer>(stack: &Option<(u32, &'static str)>, s: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Stack {
        cpu: u32,
        kind: &'static str,
    }
    stack.map(|(cpu, kind)| Stack { cpu, kind }).serialize(s)
}

fn as_variable<S: Serializer>(variable: &Option<(u32, String)>, s: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Variable<'a> {
        cpu: u32,
        variable: &'a str,
    }
    variable.as_ref().map(|(cpu, variable)| Variable { cpu: *cpu, variable }).serialize(s)
}

fn as_file<S: Serializer>(file: &Option<(u64, String)>, s: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct File<'a> {
        inode: u64,
        device: &'a str,
    }
    file.as_ref().map(|(inode, device)| File { inode: *inode, device }).serialize(s)
}

impl What {
    /// The most telling of it in a sentence without a full stop.
    pub fn summary(&self) -> String {
        let plus = |offset: u64| if offset == 0 { String::new() } else { format!(" + {offset:#x}") };
        let task = |(pid, comm): &(i32, String)| format!("task {pid} ({comm})");
        if let Some(owner) = &self.task {
            return format!("task_struct of {}{}", task(owner), plus(self.offset.unwrap_or(0)));
        }
        if let Some(owner) = &self.stack_of {
            return format!("kernel stack of {}{}", task(owner), plus(self.offset.unwrap_or(0)));
        }
        if let Some(owner) = &self.below_stack_of {
            let below = self.offset.unwrap_or(0);
            return format!("{below:#x} bytes below the kernel stack of {}, in its guard page", task(owner));
        }
        if let Some((cpu, kind)) = self.cpu_stack {
            return format!("{kind} stack of CPU {cpu}{}", plus(self.offset.unwrap_or(0)));
        }
        if let Some(object) = &self.slab {
            let state = match object.allocated {
                Some(true) => "allocated",
                Some(false) => "free",
                None => "allocated or free",
            };
            let damage = object.damaged_at.zip(object.damage).map(|(at, word)| {
                let text: String = word.0.to_le_bytes().iter().map(|byte| char::from(*byte)).collect();
                let text = match text.chars().all(|c| c.is_ascii_graphic()) {
                    true => format!(" (\"{text}\")"),
                    false => String::new(),
                };
                format!("; the free list of its slab is overwritten at {:#x} with {:#x}{text}", at.0, word.0)
            });
            let damage = damage.unwrap_or_default();
            return format!(
                "slab {} object {:#x}{}, {state}{damage}",
                object.cache,
                object.object.0,
                plus(object.offset)
            );
        }
        if let Some(page) = &self.page_structure {
            let cache = page.cache.as_ref().map(|name| format!(", a slab of {name}")).unwrap_or_default();
            return format!("struct page of frame {:#x}{}{cache}", page.frame, plus(page.offset));
        }
        if let Some((cpu, variable)) = &self.per_cpu {
            return format!("per-CPU {variable} of CPU {cpu}");
        }
        if let Some(symbol) = &self.symbol {
            let section = self.section.map(|s| format!(" ({s})")).unwrap_or_default();
            let module = self.module.as_ref().map(|m| format!(" [{m}]")).unwrap_or_default();
            return format!("{symbol}{module}{section}");
        }
        if let Some(module) = &self.module {
            return format!("module {module} {}", self.section.unwrap_or("memory"));
        }
        if let Some(area) = &self.vmalloc {
            let by = area.caller.as_ref().map(|c| format!(", made by {c}")).unwrap_or_default();
            let offset = self.address.map_or(0, |at| at.0.wrapping_sub(area.start.0));
            if area.freed {
                return format!(
                    "in vmalloc area {:#x}{} of {} bytes, which was given back (vfree, vunmap, iounmap): used after that",
                    area.start.0,
                    plus(offset),
                    area.size
                );
            }
            if area.guard {
                return format!(
                    "the guard page behind vmalloc area {:#x} of {} bytes{by}: an access beyond its end",
                    area.start.0, area.size
                );
            }
            return format!("vmalloc area {:#x}{} of {} bytes{by}", area.start.0, plus(offset), area.size);
        }
        if let Some(value) = &self.value {
            return value.clone();
        }
        // Of the image nothing but its initial part is ever given back: the page says no more.
        if let Some(section @ ("text" | "rodata" | "data" | "bss")) = self.section {
            return format!("kernel {section}");
        }
        if let Some(page) = &self.page_state {
            let mut words = vec![if page.free { "free page" } else { "page" }.to_owned()];
            match (&page.file, page.mapping) {
                (Some((inode, device)), _) => words.push(format!("of inode {inode} on {device}")),
                (None, Some(mapping)) => words.push(format!("({mapping})")),
                _ => {}
            }
            if let Some(count) = page.references.filter(|_| !page.free) {
                words.push(format!("with {count} references"));
            }
            if !page.flags.is_empty() {
                words.push(format!("flags {}", page.flags.join(",")));
            }
            return words.join(" ");
        }
        match (&self.unreadable, self.section) {
            (_, Some(section)) => format!("kernel {section}"),
            (Some(why), _) => why.clone(),
            (None, None) => "mapped, and nothing names it".to_owned(),
        }
    }

    /// One word for the kind of thing: `slab-object`, `page-structure`, `stack`, `below-stack`, `task`, `cpu-stack`,
    /// `per-cpu`, `symbol`, `module`, `vmalloc`, `vmalloc-freed`, `vmalloc-guard`, `page`, `value`, `module-area`, `unmapped`, `mapped`.
    pub fn kind(&self) -> &'static str {
        match self {
            What { task: Some(_), .. } => "task",
            What { stack_of: Some(_), .. } => "stack",
            What { below_stack_of: Some(_), .. } => "below-stack",
            What { cpu_stack: Some(_), .. } => "cpu-stack",
            What { slab: Some(_), .. } => "slab-object",
            What { page_structure: Some(_), .. } => "page-structure",
            What { per_cpu: Some(_), .. } => "per-cpu",
            What { symbol: Some(_), .. } => "symbol",
            What { module: Some(_), .. } => "module",
            What { vmalloc: Some(Area { freed: true, .. }), .. } => "vmalloc-freed",
            What { vmalloc: Some(Area { guard: true, .. }), .. } => "vmalloc-guard",
            What { vmalloc: Some(_), .. } => "vmalloc",
            What { module_area: true, .. } => "module-area",
            What { value: Some(_), .. } => "value",
            What { page_state: Some(_), .. } => "page",
            What { physical: None, .. } => "unmapped",
            _ => "mapped",
        }
    }
}

/// Who a range of addresses belongs to.
enum Owner {
    Stack(usize),
    Task(usize),
    Cpu(u32, &'static str),
}

/// The stacks and task structures of a dump, to ask many addresses about.
pub struct Whereabouts<'k, 'd> {
    kernel: &'k Kernel<'d>,
    names: Vec<(i32, String)>,
    /// By first address; they do not overlap, but for a stack that holds its task's thread_info.
    ranges: Vec<(u64, u64, Owner)>,
}

impl<'d> Kernel<'d> {
    /// Reads the task list and the CPUs' stacks once.
    pub fn whereabouts(&self) -> Whereabouts<'_, 'd> {
        let tasks = self.tasks().items;
        let (stack, size) = (self.stack_size(), self.types().size_of("task_struct").unwrap_or(0));
        let mut ranges = Vec::with_capacity(tasks.len() * 2);
        for (nth, task) in tasks.iter().enumerate() {
            if let Some(low) = task.stack {
                ranges.push((low.0, low.0.saturating_add(stack), Owner::Stack(nth)));
            }
            ranges.push((task.address.0, task.address.0.saturating_add(size.max(1)), Owner::Task(nth)));
        }
        ranges.extend(self.cpu_stacks());
        ranges.sort_by_key(|(start, ..)| *start);
        let names = tasks.into_iter().map(|task| (task.pid, task.comm)).collect();
        Whereabouts { kernel: self, names, ranges }
    }

    /// Stacks that belong to CPUs.
    fn cpu_stacks(&self) -> Vec<(u64, u64, Owner)> {
        const PAGE: u64 = 4096;
        let mut found = Vec::new();
        for cpu in self.cpus_possible().iter().copied() {
            let pointer = |name: &str| {
                let at = self.per_cpu(self.symbol_at(name)?, cpu)?;
                self.ptr(at).ok().filter(|at| self.arch.is_kernel(*at))
            };
            if self.arch == Arch::Aarch64 {
                if let Some(low) = pointer("irq_stack_ptr") {
                    found.push((low.0, low.0.saturating_add(self.stack_size()), Owner::Cpu(cpu, "irq")));
                }
                if let Some(low) = self.symbol_at("overflow_stack").and_then(|at| self.per_cpu(at, cpu)) {
                    found.push((low.0, low.0.saturating_add(PAGE), Owner::Cpu(cpu, "overflow")));
                }
                continue;
            }
            // A pointer to the top word, to the top, or 64 bytes below it (up to 4.x). In pcpu_hot from 6.2 to 6.14.
            let hot = || {
                let hot = self.per_cpu(self.symbol_at("pcpu_hot")?, cpu)?;
                self.pointer(hot, "pcpu_hot", "hardirq_stack_ptr")
            };
            let top = pointer("hardirq_stack_ptr").or_else(|| pointer("irq_stack_ptr")).or_else(hot);
            if let Some(top) = top {
                let high = top.0.saturating_add(64) & !(PAGE - 1);
                found.push((high.saturating_sub(4 * PAGE), high, Owner::Cpu(cpu, "irq")));
            }
            // 019b17b3ffe4 "x86/exceptions: Add structs for exception stacks" (v5.2).
            if let Some(stacks) = pointer("cea_exception_stacks") {
                for (member, kind) in [
                    ("DF_stack", "double-fault"),
                    ("NMI_stack", "nmi"),
                    ("DB_stack", "debug"),
                    ("MCE_stack", "machine-check"),
                    ("VC_stack", "vc"),
                    ("VC2_stack", "vc"),
                ] {
                    let place = self.types().member("cea_exception_stacks", member);
                    if let Some(place) = place.filter(|place| place.size > 0) {
                        let low = stacks.0.saturating_add(place.offset);
                        found.push((low, low.saturating_add(place.size), Owner::Cpu(cpu, kind)));
                    }
                }
                let estacks = self.types().offset("cpu_entry_area", "estacks");
                if let (Some(back), Some(entry)) = (estacks, self.types().member("cpu_entry_area", "entry_stack_page"))
                {
                    let low = stacks.0.wrapping_sub(back).wrapping_add(entry.offset);
                    found.push((low, low.saturating_add(entry.size), Owner::Cpu(cpu, "entry")));
                }
                continue;
            }
            // Before: tops in orig_ist.
            if let Some(tops) = self.symbol_at("orig_ist").and_then(|at| self.per_cpu(at, cpu)) {
                for nth in 0..7u64 {
                    let top = self.ptr(tops + nth * 8).ok().filter(|top| self.arch.is_kernel(*top));
                    if let Some(top) = top {
                        found.push((top.0.saturating_sub(PAGE), top.0, Owner::Cpu(cpu, "exception")));
                    }
                }
            }
        }
        found
    }
}

impl Whereabouts<'_, '_> {
    /// What an address is. Bounded: a few walks of page tables and trees, and the free lists of one slab.
    pub fn what(&self, at: VirtAddr) -> What {
        let kernel = self.kernel;
        let mut found = What { address: Some(at.into()), ..What::default() };
        if !kernel.arch().is_kernel(at) {
            found.unreadable = Some("no address of the kernel's half; user memory is not read".to_owned());
            let user = at.0 >> 47 == 0 || (kernel.arch() == Arch::Aarch64 && at.0 >> 52 == 0);
            found.value = Some(match (at.0 < 4096, user) {
                (true, _) => format!("NULL + {:#x}", at.0),
                (false, true) if at.0 < 0x1_0000 => format!("the number {:#x}", at.0),
                (false, true) => "user-space address, or a number".to_owned(),
                (false, false) => "not canonical: no address at all".to_owned(),
            });
            return found;
        }
        match kernel.translate(at) {
            Ok(physical) => found.physical = Some(Address(physical.0)),
            Err(error) => found.unreadable = Some(error.to_string()),
        }
        if found.unreadable.is_none() {
            found.unreadable = kernel.u8(at).err().map(|error| error.to_string());
        }
        if let Some(symbol) = kernel.symbolize(at) {
            found.symbol = Some(plus(&symbol.name, symbol.offset));
            found.module = symbol.module;
        } else {
            found.symbol = kernel.found_variable_at(at).map(str::to_owned);
        }
        if let Some(module) = kernel.module_of(at) {
            found.module = Some(module.name.clone());
            found.section = kernel.module_section(module, at);
        }
        if found.module.is_none() {
            found.section = kernel.image_section(at);
            // Between the parts of the image there are no symbols, only the last one before.
            if found.section.is_none() && found.physical.is_none() {
                found.symbol = None;
            }
        }
        if let Some(object) = kernel.slab_object(at) {
            found.slab = Some(SlabWhat {
                cache: object.cache_name,
                object: object.start.into(),
                offset: object.offset,
                allocated: object.allocated,
                poisoned: object.allocated != Some(true) && kernel.slab_poisoned(object.cache, object.start),
                tracks: kernel.slab_tracks(object.cache, object.start),
                damaged_at: object.broken.map(|(at, _)| at.into()),
                damage: object.broken.map(|(_, word)| Address(word)),
                free_word: object.free_word,
            });
        }
        if let Some(physical) = found.physical {
            found.direct_map = kernel.phys_to_virt(physical.0) == Some(at);
            found.page = kernel.head_page(at).map(Into::into);
            found.page_state = found.page.and_then(|page| kernel.page_state(VirtAddr(page.0)));
        }
        if found.symbol.is_none() && found.slab.is_none() && found.physical.is_some() {
            found.page_structure = kernel.page_structure(at);
        }
        self.owner(at, &mut found);
        found.per_cpu = kernel.per_cpu_variable(at);
        if found.symbol.is_none() && found.slab.is_none() && !found.direct_map {
            // The last page of an area is its guard.
            let guards =
                |area: &Area| area.start.0.saturating_add(area.size).saturating_sub(at.0) <= kernel.page_bytes();
            found.vmalloc = kernel
                .vmalloc_area(at)
                .map(|area| Area { guard: found.physical.is_none() && guards(&area) && !area.freed, ..area });
        }
        // Stacks lie in such areas: the guard page below one is that behind its neighbour.
        if found.physical.is_none() && found.vmalloc.as_ref().is_none_or(|area| area.guard) && found.stack_of.is_none()
        {
            self.below_stack(at, &mut found);
        }
        if found.physical.is_none() && found.module.is_none() && found.below_stack_of.is_none() {
            found.value = kernel.memory_of_gone_module(at);
            found.module_area = found.value.is_some();
            found.vmalloc = found.vmalloc.filter(|_| !found.module_area);
        }
        found
    }

    fn below_stack(&self, at: VirtAddr, found: &mut What) {
        let next = self.ranges.get(self.ranges.partition_point(|(start, ..)| *start <= at.0));
        let Some((start, _, Owner::Stack(nth))) = next else { return };
        let below = start - at.0;
        if below <= self.kernel.page_bytes() {
            found.below_stack_of = self.names.get(*nth).cloned();
            found.offset = Some(below);
        }
    }

    fn owner(&self, at: VirtAddr, found: &mut What) {
        let end = self.ranges.partition_point(|(start, ..)| *start <= at.0);
        // A task_struct may begin inside a range that began before.
        for (start, _, owner) in self.ranges.iter().take(end).rev().take(2).filter(|(_, high, _)| at.0 < *high) {
            let name = |nth: &usize| self.names.get(*nth).cloned();
            match owner {
                Owner::Stack(nth) if found.stack_of.is_none() => found.stack_of = name(nth),
                Owner::Task(nth) if found.task.is_none() => found.task = name(nth),
                Owner::Cpu(cpu, kind) => found.cpu_stack = Some((*cpu, kind)),
                _ => continue,
            }
            found.offset.get_or_insert(at.0 - start);
        }
    }
}

pub(crate) fn plus(name: &str, offset: u64) -> String {
    if offset == 0 { name.to_owned() } else { format!("{name}+{offset:#x}") }
}

impl Kernel<'_> {
    /// What an address is; for many addresses ask [`Kernel::whereabouts`].
    pub fn what(&self, at: VirtAddr) -> What {
        self.whereabouts().what(at)
    }

    /// The page structure that holds an address: it lies in the array of them, and its page is mapped.
    fn page_structure(&self, at: VirtAddr) -> Option<PageStructure> {
        let size = self.page_structure_size()?;
        let start = self.page_of_frame(0)?;
        let offset = at.0.checked_sub(start.0)? % size;
        let page = VirtAddr(at.0 - offset);
        let (frame, address) = (self.frame_of_page(page)?, self.page_address(page)?);
        // What lies above the array leads to no page of the direct map.
        self.translate(address).ok().filter(|physical| physical.0 >> self.page_shift() == frame)?;
        let cache = self.slab_object(address).map(|object| object.cache_name);
        Some(PageStructure { frame, offset, cache })
    }

    fn module_section(&self, module: &crate::Module, at: VirtAddr) -> Option<&'static str> {
        if module.init.iter().any(|part| part.contains(&at.0)) {
            return Some("init");
        }
        let first = module.parts.first()?;
        if module.parts.len() == 1 {
            let text = self.first_value(module.address, "module", &["core_layout.text_size", "core_text_size"])?;
            return Some(if at.0 - first.start < text { "text" } else { "data" });
        }
        Some(if first.contains(&at.0) { "text" } else { "data" })
    }

    /// The part of the kernel image that holds an address.
    fn image_section(&self, at: VirtAddr) -> Option<&'static str> {
        [
            ("_stext", "_etext", "text"),
            ("__start_rodata", "__end_rodata", "rodata"),
            ("__init_begin", "__init_end", "init"),
            ("_sdata", "_edata", "data"),
            ("__bss_start", "__bss_stop", "bss"),
        ]
        .iter()
        .find(|(start, end, _)| {
            let range = self.symbol(start).zip(self.symbol(end));
            range.is_some_and(|(start, end)| (start..end).contains(&at.0))
        })
        .map(|(_, _, name)| *name)
    }

    /// The per-CPU variable at an address, of the CPU whose area it is; of memory given out at run time the offset.
    pub fn per_cpu_variable(&self, at: VirtAddr) -> Option<(u32, String)> {
        let (start, end) = (self.symbol("__per_cpu_start")?, self.symbol("__per_cpu_end")?);
        // The embedding allocator gave the tail of each unit back to the page allocator.
        let unit = self.symbol_at("pcpu_unit_size").and_then(|at| self.u32(at).ok()).map_or(0, u64::from);
        let unit = self.percpu_first_bytes().map_or(0, |bytes| bytes.min(unit));
        let fixed = end.wrapping_sub(start);
        for cpu in self.cpus_possible() {
            let first = self.per_cpu(VirtAddr(start), *cpu)?;
            let within = at.0.wrapping_sub(first.0);
            if within < fixed {
                let value = start.wrapping_add(within);
                let (symbol, _) = self.symbol_tables().kernel.containing(value)?;
                return Some((*cpu, plus(&symbol.name, value - symbol.address)));
            }
            if within < unit {
                return Some((*cpu, format!("memory given out at run time, {within:#x} into the area")));
            }
        }
        None
    }

    /// Whether the page allocator has a page as free: the mark of the first page of a free block.
    fn is_free_block(&self, page: VirtAddr) -> bool {
        let free = self.info.number("PAGE_BUDDY_MAPCOUNT_VALUE").map(|n| n as u32);
        let kind = self.first_value(page, "page", &["page_type", "_mapcount.counter"]).map(|n| n as u32);
        match (free, kind) {
            // One type a page since 4ffca5a96678 (v6.12); bits cleared from all ones before.
            (Some(free), Some(kind)) if free & 0x00ff_ffff == 0 => kind >> 24 == free >> 24,
            (Some(free), Some(kind)) => kind == free,
            _ => false,
        }
    }

    /// Whether a page lies in a free block. A block of 2^n pages begins at a multiple of that, and its first page has n in
    /// `private`.
    fn is_free_page(&self, page: VirtAddr) -> bool {
        if self.is_free_block(page) {
            return true;
        }
        let Some(frame) = self.frame_of_page(page) else { return false };
        (1..=MAX_BLOCK_ORDER).any(|order| {
            let first = frame & !((1 << order) - 1);
            let head = (first != frame).then(|| self.page_of_frame(first)).flatten();
            head.is_some_and(|head| {
                let fits =
                    || self.value(head, "page", "private").is_some_and(|n| (order..=MAX_BLOCK_ORDER).contains(&n));
                self.is_free_block(head) && fits()
            })
        })
    }

    fn page_state(&self, page: VirtAddr) -> Option<PageState> {
        let flags = self.first_value(page, "page", &["flags.f", "flags"])?;
        let references = self.first_value(page, "page", &["_refcount.counter", "_count.counter"]).map(|n| n as i32);
        let mut state = PageState { references, ..PageState::default() };
        let mut set: Vec<(String, i64)> = Vec::new();
        let limit = self.types().enumerator("__NR_PAGEFLAGS").unwrap_or(24).clamp(0, 63);
        for (name, bit) in self.types().enumerators("pageflags") {
            // Names of one bit twice or more: the first is the general one.
            let name = name.trim_start_matches("PG_").to_owned();
            if (0..limit).contains(&bit) && flags >> bit & 1 == 1 && !set.iter().any(|(_, b)| *b == bit) {
                set.push((name, bit));
            }
        }
        state.flags = set.into_iter().map(|(name, _)| name).collect();
        state.free = self.is_free_block(page) || references == Some(0) && self.is_free_page(page);
        let slab = state.flags.iter().any(|name| name == "slab");
        let mapping = self.value(page, "page", "mapping").filter(|m| *m != 0 && !slab && !state.free);
        match mapping {
            Some(mapping) if mapping & 3 == 1 => state.mapping = Some("anonymous"),
            Some(mapping) if mapping & 3 == 0 && self.arch.is_kernel(VirtAddr(mapping)) => {
                let inode = self.pointer(VirtAddr(mapping), "address_space", "host");
                let number = inode.and_then(|inode| self.value(inode, "inode", "i_ino"));
                let device = inode
                    .and_then(|inode| self.pointer(inode, "inode", "i_sb"))
                    .and_then(|sb| self.text(sb, "super_block", "s_id"));
                if let (Some(number), Some(device)) = (number, device) {
                    state.mapping = Some("file");
                    state.file = Some((number, device));
                }
            }
            _ => {}
        }
        Some(state)
    }
}
