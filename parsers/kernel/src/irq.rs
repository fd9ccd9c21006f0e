//! Interrupts: how many of each came on each CPU, which were switched off, and what softirqs wait.

use facts::FieldType::{Int, List, Text};
use facts::plain_field as field;
use facts::{Fact, Gap, KindDef, Value};
use serde::{Serialize, Serializer};

use crate::{Kernel, VirtAddr, Walk};

const MAX_IRQS: usize = 100_000;
/// Actions of a shared interrupt.
const MAX_ACTIONS: usize = 64;
/// Interrupts times CPUs that are counted.
const MAX_COUNTS: usize = 4_000_000;
/// `IRQS_SPURIOUS_DISABLED` of `istate` (kernel/irq/internals.h).
const SPURIOUS_DISABLED: u64 = 2;
/// Softirqs in the order of their numbers (include/linux/interrupt.h).
const SOFTIRQS: [&str; 10] =
    ["HI", "TIMER", "NET_TX", "NET_RX", "BLOCK", "IRQ_POLL", "TASKLET", "SCHED", "HRTIMER", "RCU"];

/// An interrupt.
#[derive(Clone, Debug, Serialize)]
pub struct Interrupt {
    /// Number.
    pub irq: u64,
    /// Address of its `struct irq_desc`.
    pub address: VirtAddr,
    /// Who asked for it: names of its actions.
    pub actions: Vec<String>,
    /// Name of its chip.
    pub chip: Option<String>,
    /// Times it came, by CPU that it came on.
    #[serde(serialize_with = "as_counts")]
    pub counts: Vec<(u32, u64)>,
    /// All of them.
    pub total: u64,
    /// How often it was disabled more than enabled; 0 is enabled.
    pub disabled: u64,
    /// Times in a row that nobody handled it.
    pub unhandled: u64,
    /// Whether the kernel switched it off because nobody handled it ("nobody cared").
    pub switched_off: bool,
}

fn as_counts<S: Serializer>(counts: &[(u32, u64)], s: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Count {
        cpu: u32,
        count: u64,
    }
    s.collect_seq(counts.iter().map(|(cpu, count)| Count { cpu: *cpu, count: *count }))
}

fn as_softirqs<S: Serializer>(ran: &[(&'static str, u64)], s: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Softirq {
        name: &'static str,
        count: u64,
    }
    s.collect_seq(ran.iter().map(|(name, count)| Softirq { name, count: *count }))
}

/// An interrupt of the CPUs themselves, which has no number.
#[derive(Clone, Debug, Serialize)]
pub struct MachineInterrupt {
    /// Its name in /proc/interrupts.
    pub name: &'static str,
    /// What it is.
    pub action: &'static str,
    /// Times it came, by CPU that it came on.
    #[serde(serialize_with = "as_counts")]
    pub counts: Vec<(u32, u64)>,
    /// All of them.
    pub total: u64,
}

/// What x86 counts in `irq_stat` (arch/x86/kernel/irq.c): names of /proc/interrupts, members, their places in the one
/// array `counts` of newer kernels, words.
const MACHINE: [(&str, &str, &str, &str); 9] = [
    ("NMI", "__nmi_count", "IRQ_COUNT_NMI", "non-maskable interrupts"),
    ("LOC", "apic_timer_irqs", "IRQ_COUNT_APIC_TIMER", "local timer"),
    ("SPU", "irq_spurious_count", "IRQ_COUNT_SPURIOUS", "spurious interrupts"),
    ("PMI", "apic_perf_irqs", "IRQ_COUNT_APIC_PERF", "performance monitoring"),
    ("IWI", "apic_irq_work_irqs", "IRQ_COUNT_IRQ_WORK", "IRQ work"),
    ("RES", "irq_resched_count", "IRQ_COUNT_RESCHEDULE", "rescheduling"),
    ("CAL", "irq_call_count", "IRQ_COUNT_CALL_FUNCTION", "function calls"),
    ("TLB", "irq_tlb_count", "IRQ_COUNT_TLB", "TLB shootdowns"),
    ("HYP", "irq_hv_callback_count", "IRQ_COUNT_HYPERVISOR_CALLBACK", "hypervisor callbacks"),
];

/// Interrupts and softirqs of a CPU.
#[derive(Clone, Debug, Serialize)]
pub struct CpuInterrupts {
    /// CPU.
    pub cpu: u32,
    /// Interrupts that came on it.
    pub interrupts: Option<u64>,
    /// Softirqs that ran on it, by name.
    #[serde(serialize_with = "as_softirqs")]
    pub softirqs: Vec<(&'static str, u64)>,
    /// Softirqs that wait to run.
    pub pending: Vec<&'static str>,
}

/// The kinds of facts made here.
pub(crate) const KINDS: &[KindDef] = &[
    KindDef {
        kind: "mem.irq_switched_off",
        doc: "An interrupt that the kernel switched off because nobody handled it.",
        fields: &[
            field("irq", Int, "its number"),
            field("actions", List, "who asked for it"),
            field("chip", Text, "its chip"),
            field("total", Int, "times it came"),
            field("unhandled", Int, "times in a row that nobody handled it"),
        ],
    },
    KindDef {
        kind: "mem.softirq_pending",
        doc: "A CPU on which softirqs wait to run.",
        fields: &[
            field("cpu", Int, "the CPU"),
            field("pending", List, "names of the softirqs that wait"),
            field("interrupts", Int, "interrupts that came on it"),
        ],
    },
];

impl Kernel<'_> {
    /// Interrupt descriptors by number.
    ///
    /// Since 721255b9826b "genirq: Use a maple tree for interrupt descriptor management" (v6.5) a maple tree, a radix
    /// tree before. Where neither has a symbol, what `irq_to_desc()` refers to.
    fn interrupt_descriptors(&self) -> Walk<(u64, u64)> {
        let what = "interrupts";
        if let Some(tree) = self.symbol_at("sparse_irqs") {
            return self.maple_tree(tree, MAX_IRQS, what);
        }
        if let Some(tree) = self.symbol_at("irq_desc_tree") {
            return self.xarray(tree, self.radix_root(), MAX_IRQS, what);
        }
        let fits = |walk: &Walk<(u64, u64)>| {
            let sound = |(irq, at): &(u64, u64)| self.value(VirtAddr(*at), "irq_desc", "irq_data.irq") == Some(*irq);
            walk.gaps.is_empty() && walk.items.len() > 1 && walk.items.iter().all(sound)
        };
        let candidates = self.code_references("irq_to_desc");
        let trees = candidates.iter().map(|at| self.maple_tree(*at, MAX_IRQS, what));
        let radix = candidates.iter().map(|at| self.xarray(*at, self.radix_root(), MAX_IRQS, what));
        trees.chain(radix).find(fits).unwrap_or_else(|| {
            Walk::gap(Gap::new(
                what,
                self.member(),
                "no symbol sparse_irqs or irq_desc_tree",
                "a vmlinux or System.map of this kernel (--vmlinux, --system-map)",
            ))
        })
    }

    /// `struct radix_tree_root` became another name of `struct xarray` with f8d5d0cc145c "xarray: Add definition of
    /// struct xarray" (v4.20).
    fn radix_root(&self) -> &'static str {
        if self.types().member("radix_tree_root", "rnode").is_some() { "radix_tree_root" } else { "xarray" }
    }

    /// All interrupts that somebody asked for or that came.
    pub fn interrupts(&self) -> Walk<Interrupt> {
        let walk = self.interrupt_descriptors();
        let mut found = Walk { items: Vec::new(), gaps: walk.gaps };
        let mut left = MAX_COUNTS;
        for (irq, at) in walk.items {
            let at = VirtAddr(at);
            let counts = self.interrupt_counts(at, &mut left);
            let actions = self.interrupt_actions(at);
            let total = counts.iter().map(|(_, n)| *n).sum();
            if actions.is_empty() && total == 0 {
                continue;
            }
            // Where a chip makes its name when it is asked for it (`irq_print_chip`, as those of arm64 do), its variable.
            let chip = self.pointer(at, "irq_desc", "irq_data.chip").and_then(|chip| {
                let name = self.pointer(chip, "irq_chip", "name").and_then(|name| self.cstr(name, 64).ok());
                name.or_else(|| self.symbolize(chip).filter(|symbol| symbol.offset == 0).map(|symbol| symbol.name))
            });
            let state = ["istate", "core_internal_state__do_not_mess_with_it"];
            found.items.push(Interrupt {
                irq,
                address: at,
                actions,
                chip,
                counts,
                total,
                disabled: self.value(at, "irq_desc", "depth").unwrap_or(0),
                unhandled: self.value(at, "irq_desc", "irqs_unhandled").unwrap_or(0),
                switched_off: self.first_value(at, "irq_desc", &state).unwrap_or(0) & SPURIOUS_DISABLED != 0,
            });
        }
        if left == 0 {
            found.gaps.push(Gap::new("counts of interrupts", self.member(), "too many interrupts and CPUs", ""));
        }
        found
    }

    /// Counts by CPU: a per-CPU number; the first member of `struct irqstat` since 6.10.
    fn interrupt_counts(&self, desc: VirtAddr, left: &mut usize) -> Vec<(u32, u64)> {
        let Some(variable) = self.pointer(desc, "irq_desc", "kstat_irqs") else { return Vec::new() };
        let mut counts = Vec::new();
        for cpu in self.cpus_possible() {
            if *left == 0 {
                break;
            }
            *left -= 1;
            if let Some(Ok(count)) = self.per_cpu(variable, *cpu).map(|at| self.u32(at))
                && count > 0
            {
                counts.push((*cpu, u64::from(count)));
            }
        }
        counts
    }

    /// The actions of all interrupts, each with its number.
    pub(crate) fn interrupt_action_list(&self) -> Vec<(u64, VirtAddr)> {
        let mut found = Vec::new();
        for (irq, desc) in self.interrupt_descriptors().items {
            let first = self.pointer(VirtAddr(desc), "irq_desc", "action");
            let next = |at: &VirtAddr| self.pointer(*at, "irqaction", "next");
            found.extend(std::iter::successors(first, next).take(MAX_ACTIONS).map(|action| (irq, action)));
        }
        found
    }

    fn interrupt_actions(&self, desc: VirtAddr) -> Vec<String> {
        let mut names = Vec::new();
        let mut left = MAX_ACTIONS;
        let mut action = self.pointer(desc, "irq_desc", "action");
        while let Some(at) = action {
            // The one of a chained interrupt has no name.
            if let Some(name) = self.pointer(at, "irqaction", "name") {
                names.push(self.cstr(name, 64).unwrap_or_else(|_| "?".to_owned()));
            }
            left -= 1;
            action = self.pointer(at, "irqaction", "next").filter(|_| left > 0);
        }
        names
    }

    /// Interrupts of the CPUs themselves that came; x86. On arm64 they have numbers.
    pub fn machine_interrupts(&self) -> Vec<MachineInterrupt> {
        let Some(variable) = self.symbol_at("irq_stat") else { return Vec::new() };
        let array = self.types().member("irq_cpustat_t", "counts");
        let each = MACHINE.into_iter().map(|(name, member, place, action)| {
            let nth = || self.types().enumerator(place).and_then(|nth| u64::try_from(nth).ok());
            let offset = match &array {
                Some(array) => nth().map(|nth| array.offset + nth * 4).filter(|at| *at < array.offset + array.size),
                None => self.types().offset("irq_cpustat_t", member),
            };
            let count = |cpu: &u32| {
                let count = self.u32(self.per_cpu(variable, *cpu)? + offset?).ok()?;
                (count > 0).then_some((*cpu, u64::from(count)))
            };
            let counts: Vec<(u32, u64)> = self.cpus_present().iter().filter_map(count).collect();
            MachineInterrupt { name, action, total: counts.iter().map(|(_, n)| *n).sum(), counts }
        });
        each.filter(|interrupt| interrupt.total > 0).collect()
    }

    /// Interrupts and softirqs of each CPU that is present.
    pub fn cpu_interrupts(&self) -> Vec<CpuInterrupts> {
        let types = self.types();
        let statistics = self.symbol_at("kstat");
        let softirqs = types.member("kernel_stat", "softirqs");
        let each = |cpu: &u32| {
            let at = statistics.and_then(|variable| self.per_cpu(variable, *cpu));
            let ran = at.zip(softirqs).map(|(at, member)| {
                let count = |nth: u64| self.u32(at + member.offset + nth * 4).unwrap_or(0);
                (0u64..)
                    .zip(SOFTIRQS)
                    .take((member.size / 4) as usize)
                    .map(|(n, name)| (name, u64::from(count(n))))
                    .collect()
            });
            let pending = self.softirqs_pending(*cpu).unwrap_or(0);
            CpuInterrupts {
                cpu: *cpu,
                interrupts: at.and_then(|at| self.value(at, "kernel_stat", "irqs_sum")),
                softirqs: ran.unwrap_or_default(),
                pending: (0..).zip(SOFTIRQS).filter(|(bit, _)| pending >> bit & 1 == 1).map(|(_, name)| name).collect(),
            }
        };
        self.cpus_present().iter().map(each).collect()
    }

    /// Bits of softirqs that wait: in `irq_stat`; on x86-64 in `pcpu_hot` from 6.2 on, a variable of its own since 6.15.
    fn softirqs_pending(&self, cpu: u32) -> Option<u64> {
        let places: [(&str, Option<u64>); 3] = [
            ("__softirq_pending", Some(0)),
            ("pcpu_hot", self.types().offset("pcpu_hot", "softirq_pending")),
            ("irq_stat", self.types().offset("irq_cpustat_t", "__softirq_pending")),
        ];
        places.into_iter().find_map(|(name, offset)| {
            let at = self.per_cpu(self.symbol_at(name)?, cpu)? + offset?;
            self.u32(at).ok().map(u64::from).filter(|bits| *bits < 1 << 16)
        })
    }

    /// `mem.irq_switched_off` and `mem.softirq_pending` facts.
    pub fn interrupt_facts(&self) -> (Vec<Fact>, Vec<Gap>) {
        let walk = self.interrupts();
        let off = walk.items.iter().filter(|interrupt| interrupt.switched_off).map(|interrupt| {
            Fact::new("mem.irq_switched_off", self.origin(interrupt.address, "struct irq_desc"))
                .with("irq", interrupt.irq)
                .with("actions", interrupt.actions.clone())
                .with_opt("chip", interrupt.chip.clone())
                .with("total", interrupt.total)
                .with("unhandled", interrupt.unhandled)
                .quoting(format!(
                    "interrupt {} ({}) was switched off: nobody handled it",
                    interrupt.irq,
                    interrupt.actions.join(", ")
                ))
                .recheck(format!("crash> irq {}", interrupt.irq))
                .recheck(format!("drgn> irq_to_desc(prog, {})", interrupt.irq))
        });
        let mut facts: Vec<Fact> = off.collect();
        let place = ["kstat", "irq_stat"].into_iter().find_map(|name| self.symbol_at(name)).unwrap_or(VirtAddr(0));
        for cpu in self.cpu_interrupts().into_iter().filter(|cpu| !cpu.pending.is_empty()) {
            let pending: Vec<Value> = cpu.pending.iter().map(|name| Value::from(*name)).collect();
            facts.push(
                Fact::new("mem.softirq_pending", self.origin(place, "struct kernel_stat"))
                    .with("cpu", cpu.cpu)
                    .with("pending", pending)
                    .with_opt("interrupts", cpu.interrupts)
                    .quoting(format!("on CPU {} softirqs wait: {}", cpu.cpu, cpu.pending.join(", ")))
                    .recheck("crash> irq -s")
                    .recheck(format!("drgn> per_cpu(prog['kstat'], {})", cpu.cpu)),
            );
        }
        (facts, walk.gaps)
    }
}

#[cfg(test)]
mod tests {
    use crate::synthetic::{BASE, Memory};

    #[test]
    fn interrupts_of_the_cpus_are_members_or_an_array() {
        let variable = BASE + 0x2_0000;
        let memory = Memory::new();
        for (nth, count) in [7u32, 3448, 0, 9, 5, 0, 0, 105, 1233].into_iter().enumerate() {
            memory.put32(variable + 4 + nth as u64 * 4, count);
        }
        let symbols = format!("SYMBOL(irq_stat)={variable:x}\n");
        let members = [("irq_cpustat_t", "__nmi_count", 4, 4), ("irq_cpustat_t", "apic_timer_irqs", 8, 4)];
        let told = |kernel: crate::Kernel<'_>| {
            let found = kernel.machine_interrupts().into_iter();
            found.map(|interrupt| (interrupt.name, interrupt.total)).collect::<Vec<_>>()
        };
        assert_eq!(told(memory.kernel_with(&symbols, &members)), [("NMI", 7), ("LOC", 3448)]);
        let array = [("irq_cpustat_t", "counts", 4, 9 * 4)];
        let places = &[
            ("IRQ_COUNT_NMI", 0),
            ("IRQ_COUNT_APIC_TIMER", 1),
            ("IRQ_COUNT_RESCHEDULE", 7),
            ("IRQ_COUNT_CALL_FUNCTION", 8),
            // Behind the end of the array of this kernel.
            ("IRQ_COUNT_TLB", 9),
        ];
        let kernel = memory.kernel_with_sizes(&symbols, &array, places);
        assert_eq!(told(kernel), [("NMI", 7), ("LOC", 3448), ("RES", 105), ("CAL", 1233)]);
    }
}
