//! The stacks of a processor besides those of its tasks: interrupts, NMI and other exceptions.

use facts::Context;

use super::StackBounds;
use crate::{Arch, Kernel, VirtAddr};

const PAGE: u64 = 4096;
/// `IRQ_STACK_SIZE` of both architectures; larger only with KASAN or 64 KiB pages.
const IRQ_STACK: u64 = 16 * 1024;
/// `OVERFLOW_STACK_SIZE` of arm64 and `EXCEPTION_STKSZ` of x86-64 before 5.1.
const SMALL_STACK: u64 = 4096;

/// All such stacks of a machine.
#[derive(Default)]
pub(crate) struct CpuStacks {
    /// Bounds and what runs there, by address; they do not overlap.
    stacks: Vec<(StackBounds, Context)>,
}

impl CpuStacks {
    pub(crate) fn open(kernel: &Kernel<'_>) -> CpuStacks {
        let mut stacks = Vec::new();
        for cpu in kernel.cpus_present() {
            match kernel.arch() {
                Arch::X86_64 => x86_64(kernel, *cpu, &mut stacks),
                Arch::Aarch64 => arm64(kernel, *cpu, &mut stacks),
            }
        }
        stacks.retain(|(stack, _)| stack.low < stack.high && kernel.arch().is_kernel(VirtAddr(stack.low)));
        stacks.sort_unstable_by_key(|(stack, _)| stack.low);
        stacks.dedup_by_key(|(stack, _)| stack.low);
        CpuStacks { stacks }
    }

    /// The stack that holds an address.
    pub(crate) fn find(&self, address: u64) -> Option<(StackBounds, Context)> {
        let after = self.stacks.partition_point(|(stack, _)| stack.low <= address);
        let found = after.checked_sub(1).and_then(|n| self.stacks.get(n)).copied();
        found.filter(|(stack, _)| stack.contains(address))
    }
}

fn below(top: u64, size: u64) -> StackBounds {
    StackBounds { low: top.saturating_sub(size), high: top }
}

fn x86_64(kernel: &Kernel<'_>, cpu: u32, stacks: &mut Vec<(StackBounds, Context)>) {
    let types = kernel.types();
    let variable = |name: &str| kernel.per_cpu(kernel.symbol_at(name)?, cpu);
    let pointer = |name: &str| kernel.u64(variable(name)?).ok().filter(|p| *p != 0);
    // hardirq_stack_ptr since 5.2 (758a2e312228 "x86/irq/64: Rename irq_stack_ptr to hardirq_stack_ptr"), inside
    // pcpu_hot from 6.2 to 6.14. The pointer is 64, 8 or 0 bytes below the top.
    let hot = |member: &str| {
        let to = types.offset("pcpu_hot", member)?;
        kernel.u64(variable("pcpu_hot")? + to).ok()
    };
    let hard = pointer("hardirq_stack_ptr").or_else(|| pointer("irq_stack_ptr")).or_else(|| hot("hardirq_stack_ptr"));
    for (top, context) in [(hard, Context::Irq), (pointer("softirq_stack_ptr"), Context::Softirq)] {
        if let Some(top) = top {
            stacks.push((below(top.next_multiple_of(PAGE), IRQ_STACK), context));
        }
    }
    // All in one structure since 5.1 (019b17b3ffe4 "x86/exceptions: Add structs for exception stacks").
    if let Some(base) = pointer("cea_exception_stacks") {
        let named = [
            ("NMI_stack", Context::Nmi),
            ("DF_stack", Context::Exception),
            ("DB_stack", Context::Exception),
            ("MCE_stack", Context::Exception),
            ("VC_stack", Context::Exception),
            ("VC2_stack", Context::Exception),
        ];
        for (name, context) in named {
            if let Some(member) = types.member("cea_exception_stacks", name).filter(|m| m.size > 0) {
                let low = base.wrapping_add(member.offset);
                stacks.push((StackBounds { low, high: low.saturating_add(member.size) }, context));
            }
        }
    } else if let Some(array) = variable("orig_ist") {
        // Tops by the number of the interrupt stack. #SS had the first one until 3.18 (6f442be2fb22 "x86_64, traps:
        // Stop using IST for #SS"), so the NMI has the second or the third.
        let tops: Vec<u64> = (0..7).map_while(|n| kernel.u64(array + 8 * n).ok().filter(|top| *top != 0)).collect();
        let nmi = if tops.len() > 4 { 2 } else { 1 };
        for (n, top) in tops.iter().enumerate() {
            // The debug stack, behind the NMI's, is twice as large.
            let size = if n == nmi + 1 { 2 * SMALL_STACK } else { SMALL_STACK };
            stacks.push((below(*top, size), if n == nmi { Context::Nmi } else { Context::Exception }));
        }
    }
    // The entry trampoline, in the CPU's entry area since 4.15 (7fb983b4dd56 "x86/entry: Fix assumptions that the HW
    // TSS is at the beginning of cpu_tss").
    let top = types.offset("tss_struct", "x86_tss.sp0").zip(variable("cpu_tss_rw"));
    if let Some(top) = top.and_then(|(to, tss)| kernel.u64(tss + to).ok()).filter(|top| top >> 40 == 0xff_fffe) {
        stacks.push((below(top.next_multiple_of(PAGE), PAGE), Context::Exception));
    }
}

fn arm64(kernel: &Kernel<'_>, cpu: u32, stacks: &mut Vec<(StackBounds, Context)>) {
    let variable = |name: &str| kernel.per_cpu(kernel.symbol_at(name)?, cpu);
    let pointer = |name: &str| kernel.u64(variable(name)?).ok().filter(|p| *p != 0);
    let size = kernel.stack_size().max(IRQ_STACK);
    let from = |low: u64, size| StackBounds { low, high: low.saturating_add(size) };
    if let Some(low) = pointer("irq_stack_ptr") {
        stacks.push((from(low, size), Context::Irq));
    }
    for name in ["sdei_stack_normal_ptr", "sdei_stack_critical_ptr"] {
        if let Some(low) = pointer(name) {
            stacks.push((from(low, size), Context::Nmi));
        }
    }
    if let Some(low) = variable("overflow_stack") {
        stacks.push((from(low.0, SMALL_STACK), Context::Exception));
    }
}
