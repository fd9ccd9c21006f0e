//! Which CPUs exist, and where their variables are.

use facts::Gap;

use crate::{Kernel, VirtAddr};

/// More CPUs than any kernel is configured for.
const MAX_CPUS: u32 = 8192;

pub(crate) struct PerCpu {
    /// `__per_cpu_offset`, one per CPU below `nr_cpu_ids`; empty on a kernel for one processor.
    offsets: Vec<u64>,
    possible: Vec<u32>,
    present: Vec<u32>,
    online: Vec<u32>,
    active: Vec<u32>,
}

impl Kernel<'_> {
    fn percpu(&self) -> &PerCpu {
        self.percpu.get_or_init(|| PerCpu::open(self))
    }

    /// CPUs that may ever exist, ascending. Counters summed over CPUs are summed over these.
    pub fn cpus_possible(&self) -> &[u32] {
        &self.percpu().possible
    }

    /// CPUs that exist, ascending. After a panic without kdump the stopped CPUs have taken themselves off the
    /// *online* mask; they are still present.
    pub fn cpus_present(&self) -> &[u32] {
        &self.percpu().present
    }

    /// The online mask as it stands in memory.
    pub fn cpus_online(&self) -> &[u32] {
        &self.percpu().online
    }

    /// Whether a panic stopped this CPU. `stop_this_cpu()` takes it off the online mask alone; one that was taken out of
    /// service before is off the active mask too, which it leaves first.
    pub fn is_stopped(&self, cpu: u32) -> bool {
        let percpu = self.percpu();
        !percpu.online.contains(&cpu) && percpu.active.contains(&cpu) && self.crashed().is_some()
    }

    /// A per-CPU variable (symbol value, or a dynamic per-CPU pointer) of one CPU.
    pub fn per_cpu(&self, variable: VirtAddr, cpu: u32) -> Option<VirtAddr> {
        let percpu = self.percpu();
        if percpu.offsets.is_empty() {
            return (cpu == 0).then_some(variable);
        }
        percpu.offsets.get(cpu as usize).map(|offset| variable + *offset)
    }

    /// The per-CPU variable that code means by a number beside the CPU's own segment register, and the bytes from its
    /// start.
    pub(crate) fn per_cpu_symbol(&self, at: u64) -> Option<(String, u64)> {
        let (symbol, _) = self.symbol_tables().kernel.containing(at)?;
        let within = at - symbol.address;
        Some((symbol.name.into_owned(), within))
    }

    /// The signed 32-bit counters of a dynamic per-CPU pointer, summed over the possible CPUs. One CPU's share may
    /// be negative; only the sum means something.
    pub fn per_cpu_sum_i32(&self, variable: VirtAddr) -> Result<i64, crate::ReadError> {
        let mut sum = 0i64;
        for cpu in self.cpus_possible() {
            if let Some(at) = self.per_cpu(variable, *cpu) {
                sum += i64::from(self.u32(at)? as i32);
            }
        }
        Ok(sum)
    }
}

impl PerCpu {
    fn open(kernel: &Kernel<'_>) -> PerCpu {
        let ids = kernel.symbol("nr_cpu_ids").and_then(|at| kernel.u32(VirtAddr(at)).ok());
        let ids = ids.filter(|n| (1..=MAX_CPUS).contains(n));
        // struct cpumask variables since 5aec01b83411 "kernel/cpu.c: change type of cpu_possible_bits and friends"
        // (v4.5); arrays of long named cpu_*_bits before.
        let mask = |new: &str, old: &str| {
            let at = kernel.symbol(new).or_else(|| kernel.symbol(old))?;
            let words = ids.unwrap_or(64).div_ceil(64);
            let mut cpus = Vec::new();
            for word in 0..words {
                let bits = kernel.u64(VirtAddr(at) + u64::from(word) * 8).ok()?;
                cpus.extend((0..64).filter(|bit| bits >> bit & 1 == 1).map(|bit| word * 64 + bit));
            }
            Some(cpus)
        };
        let possible = mask("__cpu_possible_mask", "cpu_possible_bits");
        let present = mask("__cpu_present_mask", "cpu_present_bits");
        let online = mask("__cpu_online_mask", "cpu_online_bits");
        let active = mask("__cpu_active_mask", "cpu_active_bits");
        let mut offsets = Vec::new();
        if let Some(table) = kernel.symbol("__per_cpu_offset") {
            // Entries at and beyond nr_cpu_ids hold values that look valid and lead to freed memory.
            let count = ids.or_else(|| possible.as_ref().and_then(|p| p.last().map(|n| n + 1))).unwrap_or(1);
            for cpu in 0..count {
                match kernel.u64(VirtAddr(table) + u64::from(cpu) * 8) {
                    Ok(offset) => offsets.push(offset),
                    Err(error) => {
                        kernel.gap(Gap::new(
                            "per-CPU variables",
                            format!("__per_cpu_offset[{cpu}]"),
                            error.to_string(),
                            "",
                        ));
                        break;
                    }
                }
            }
        } else if kernel.symbol("runqueues").is_none() && kernel.symbol("_stext").is_none() {
            kernel.gap(Gap::new("per-CPU variables", kernel.member(), "no symbols", "a vmlinux of this kernel"));
        }
        let possible = possible.unwrap_or_else(|| {
            kernel.gap(Gap::new(
                "possible CPUs",
                kernel.member(),
                "__cpu_possible_mask cannot be read",
                "a vmlinux of this kernel",
            ));
            (0..offsets.len().max(1) as u32).collect()
        });
        PerCpu {
            offsets,
            present: present.unwrap_or_else(|| possible.clone()),
            online: online.unwrap_or_default(),
            active: active.unwrap_or_default(),
            possible,
        }
    }
}
