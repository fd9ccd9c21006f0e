//! The kernel in a dump as a target of unwinding: its code, its ORC tables, its stacks.

use std::sync::OnceLock;

use facts::Context;

use super::cfi::Cfi;
use super::cpu_stacks::CpuStacks;
use super::orc::{Orc, Table, Version};
use super::returns::{Tracer, Trampolines};
use super::{Passed, StackBounds, Target, Trace, arm64, x86_64};
use crate::unwind::Registers;
use crate::{Arch, Kernel, VirtAddr};

/// More entries than any kernel has (510,758 in 7.3).
const MAX_ENTRIES: u64 = 8 << 20;
/// Where code ends when no symbol says so: the image is at most 1 GiB with KASLR.
const MAX_IMAGE: u64 = 1 << 30;
/// Entries looked at to recognise their layout.
const SAMPLES: u64 = 4096;

/// What unwinding knows of a kernel; made once.
pub(crate) struct Unwinder {
    /// Ranges of code, sorted.
    text: Vec<(u64, u64)>,
    /// `.entry.text`.
    entry: (u64, u64),
    orc: Option<Orc>,
    cfi: Option<Cfi>,
    records: arm64::Layout,
    trampolines: Trampolines,
    /// Asked only about frames off the task's stack.
    cpu_stacks: OnceLock<CpuStacks>,
}

/// A kernel with what unwinding knows of it.
pub(crate) struct Code<'k, 'd> {
    kernel: &'k Kernel<'d>,
    unwinder: &'k Unwinder,
}

impl Target for Code<'_, '_> {
    fn read(&self, address: u64, into: &mut [u8]) -> bool {
        self.kernel.read(VirtAddr(address), into).is_ok()
    }

    fn is_text(&self, address: u64) -> bool {
        let after = self.unwinder.text.partition_point(|(start, _)| *start <= address);
        after.checked_sub(1).and_then(|n| self.unwinder.text.get(n)).is_some_and(|(_, end)| address < *end)
    }

    fn is_entry(&self, address: u64) -> bool {
        (self.unwinder.entry.0..self.unwinder.entry.1).contains(&address)
    }

    fn keeps_frame_pointer(&self, address: u64) -> bool {
        self.kernel.generated_at(address).is_some_and(|code| code.copy_of.is_none())
    }

    fn original_return(&self, task: Option<u64>, pc: u64, place: u64, passed: &mut Passed) -> u64 {
        let trampolines = &self.unwinder.trampolines;
        let (Some(tracer), Some(task)) = (trampolines.tracer(pc), task) else { return pc };
        let count = match tracer {
            Tracer::Graph => &mut passed.graph,
            Tracer::Rethook | Tracer::Kretprobe => &mut passed.probe,
        };
        let real = self.kernel.real_return(trampolines, tracer, VirtAddr(task), place, *count);
        *count += 1;
        real.unwrap_or(pc)
    }

    fn stack_at(&self, address: u64) -> Option<StackBounds> {
        self.cpu_stacks().find(address).map(|(stack, _)| stack)
    }

    fn function_start(&self, address: u64) -> Option<u64> {
        let symbol = self.kernel.symbolize(VirtAddr(address))?;
        address.checked_sub(symbol.offset)
    }
}

impl Code<'_, '_> {
    fn cpu_stacks(&self) -> &CpuStacks {
        self.unwinder.cpu_stacks.get_or_init(|| CpuStacks::open(self.kernel))
    }

    fn tables(&self) -> x86_64::Tables<'_> {
        x86_64::Tables { orc: self.unwinder.orc.as_ref(), cfi: self.unwinder.cfi.as_ref() }
    }

    /// What ran on the stack that holds an address: the task itself on its own, which lies at `task`.
    pub(crate) fn context(&self, task: Option<StackBounds>, address: u64) -> Context {
        match task {
            Some(stack) if stack.contains(address) => Context::Task,
            _ => self.cpu_stacks().find(address).map_or(Context::Task, |(_, context)| context),
        }
    }
}

impl Unwinder {
    pub(crate) fn open(kernel: &Kernel<'_>) -> Unwinder {
        let symbol = |name| kernel.symbol(name);
        let mut text = Vec::new();
        let start = symbol("_stext").or_else(|| symbol("_text"));
        if let Some(start) = start {
            let end = symbol("_etext").or_else(|| symbol("_end")).filter(|end| *end > start);
            text.push((start, end.unwrap_or(start.saturating_add(MAX_IMAGE))));
        }
        // The idle task of the boot CPU still has the frames of start_kernel.
        if let (Some(start), Some(end)) = (symbol("_sinittext"), symbol("_einittext")) {
            text.push((start, end));
        }
        for module in &kernel.modules().items {
            text.extend(module.text().map(|part| (part.start, part.end)));
        }
        text.extend(kernel.generated_code().iter().map(|code| (code.start, code.end)));
        text.sort_unstable();
        let orc = match kernel.arch() {
            Arch::X86_64 => open_orc(kernel),
            Arch::Aarch64 => None,
        };
        let entry = (symbol("__entry_text_start"), symbol("__entry_text_end"));
        let entry = (entry.0.unwrap_or(0), entry.1.unwrap_or(0));
        let cfi = match kernel.arch() {
            Arch::X86_64 => open_cfi(kernel, orc.is_none()),
            Arch::Aarch64 => None,
        };
        Unwinder {
            text,
            entry,
            orc,
            cfi,
            records: record_layout(kernel),
            trampolines: Trampolines::open(kernel),
            cpu_stacks: OnceLock::new(),
        }
    }
}

fn record_layout(kernel: &Kernel<'_>) -> arm64::Layout {
    let types = kernel.types();
    let info = kernel.vmcoreinfo();
    let pac = info.get("KERNELPACMASK").or_else(|| info.get("NUMBER(KERNELPACMASK)"));
    let pac = pac.and_then(|text| u64::from_str_radix(text.trim_start_matches("0x"), 16).ok());
    // Without the mask: all bits above the address but bit 55, which tells the kernel's half.
    let bits = info.number("VA_BITS").filter(|n| (36..=52).contains(n)).unwrap_or(48);
    let member = types.member("pt_regs", "stackframe");
    arm64::Layout {
        size: types.size_of("pt_regs").unwrap_or(336),
        record: member.map_or(304, |m| m.offset),
        typed: types.member("pt_regs", "stackframe.type").is_some(),
        pac_mask: pac.unwrap_or(u64::MAX << bits),
    }
}

/// The call-frame information of the vmlinux; that there is none matters only when it `alone` could unwind.
fn open_cfi(kernel: &Kernel<'_>, alone: bool) -> Option<Cfi> {
    let file = kernel.vmlinux()?;
    let (link, here) = (file.symbol("_stext")?, kernel.symbol("_stext")?);
    match Cfi::open(file, here.wrapping_sub(link)) {
        Ok(cfi) => Some(cfi),
        Err(_) if !alone => None,
        Err(why) => {
            kernel.gap(facts::Gap::new(
                "call-frame information",
                kernel.member(),
                why,
                "the vmlinux of this kernel with DWARF",
            ));
            None
        }
    }
}

fn open_orc(kernel: &Kernel<'_>) -> Option<Orc> {
    let ips = kernel.symbol("__start_orc_unwind_ip")?;
    let entries = kernel.symbol("__start_orc_unwind")?;
    let end = kernel.symbol("__stop_orc_unwind_ip")?;
    let count = end.checked_sub(ips)? / 4;
    if count == 0 || count > MAX_ENTRIES {
        return None;
    }
    let code_start = kernel.symbol("_stext").or_else(|| kernel.symbol("_text"))?;
    let code_end = kernel.symbol("_einittext").or_else(|| kernel.symbol("_etext"))?;
    let version = orc_version(kernel, ips, entries, count)?;
    let mut tables = vec![Table { ips, entries, count, code: (code_start, code_end) }];
    for module in &kernel.modules().items {
        let value = |path| kernel.value(module.address, "module", path);
        let (Some(ips), Some(entries), Some(count)) =
            (value("arch.orc_unwind_ip"), value("arch.orc_unwind"), value("arch.num_orcs"))
        else {
            continue;
        };
        // One table for both: the code of init is in it.
        for text in module.text().filter(|_| count > 0 && count <= MAX_ENTRIES) {
            tables.push(Table { ips, entries, count, code: (text.start, text.end) });
        }
    }
    let copies = kernel.generated_code().iter();
    let copies = copies.filter_map(|code| Some((code.start, code.end, code.copy_of?))).collect();
    Some(Orc::new(version, tables).with_copies(copies))
}

fn orc_version(kernel: &Kernel<'_>, ips: u64, entries: u64, count: u64) -> Option<Version> {
    let mut header = [0; 20];
    let at = kernel.symbol("orc_header").unwrap_or(ips.wrapping_sub(20));
    if kernel.read(VirtAddr(at), &mut header).is_ok()
        && let Some(version) = Version::from_header(&header)
    {
        return Some(version);
    }
    // An unknown header, or none: the members of the entry tell the second layout from the first, the entries
    // themselves the others.
    let types = kernel.types();
    let has = |member| types.member("orc_entry", member).is_some();
    match (has("end"), has("signal")) {
        (true, false) => return Some(Version::V1),
        (true, true) => return Some(Version::V2),
        _ => {}
    }
    let mut samples = Vec::new();
    let step = (count / SAMPLES).max(1);
    for n in (0..count).step_by(step as usize) {
        let mut raw = [0; 6];
        if kernel.read(VirtAddr(entries.wrapping_add(6 * n)), &mut raw).is_ok() {
            samples.push(raw);
        }
    }
    Version::from_entries(&samples)
}

impl<'d> Kernel<'d> {
    pub(crate) fn code(&self) -> Code<'_, 'd> {
        Code { kernel: self, unwinder: self.unwinder.get_or_init(|| Unwinder::open(self)) }
    }

    /// Unwinds from a processor's registers. `task` is what it was running, with its stack.
    pub(crate) fn unwind_registers(
        &self,
        registers: &Registers,
        stack: Option<StackBounds>,
        task: Option<VirtAddr>,
    ) -> Trace {
        let code = self.code();
        let task = task.map(|at| at.0);
        match self.arch() {
            Arch::X86_64 => {
                let registers = registers.clone();
                let start = x86_64::Start { registers, exact: true, stack, task, saved: [None; 5] };
                x86_64::unwind(&code, code.tables(), &start)
            }
            Arch::Aarch64 => arm64::unwind(&code, code.unwinder.records, registers, true, stack, task),
        }
    }

    /// Unwinds a task that is not running, from where it was switched out; `None` when that cannot be read.
    pub(crate) fn unwind_sleeping(&self, task: VirtAddr, stack: Option<StackBounds>) -> Option<Trace> {
        let code = self.code();
        match self.arch() {
            Arch::X86_64 => {
                let sp = self.value(task, "task_struct", "thread.sp")?;
                let pushed = code.unwinder.orc.is_some() || self.types().find("inactive_task_frame").is_some();
                let start = x86_64::sleeping(&code, sp, pushed, stack, Some(task.0))?;
                Some(x86_64::unwind(&code, code.tables(), &start))
            }
            Arch::Aarch64 => {
                let saved = |path| self.value(task, "task_struct", path);
                let registers = Registers {
                    pc: saved("thread.cpu_context.pc")?,
                    sp: saved("thread.cpu_context.sp")?,
                    fp: saved("thread.cpu_context.fp")?,
                    user: false,
                    general: None,
                };
                Some(arm64::unwind(&code, code.unwinder.records, &registers, false, stack, Some(task.0)))
            }
        }
    }
}
