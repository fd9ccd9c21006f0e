//! What each register of an oops points at.

use facts::{Address, Fact, Origin};

use crate::fault::Oops;
use crate::{Kernel, VirtAddr};

/// Registers of one oops; arm64 prints 34.
const MAX_REGISTERS: usize = 64;

/// User space has no page below this (`vm.mmap_min_addr`): what is less is a number.
pub(crate) const LOWEST: u64 = 0x1_0000;

/// Registers of the machine, not of the function: the fault address and the frames of the trace say the same.
fn is_general(name: &str) -> bool {
    !["CR", "DR", "CS", "DS", "ES", "SS", "FS", "GS", "EFLAGS", "RFLAGS", "RIP", "PC"]
        .iter()
        .any(|n| name.starts_with(n))
}

impl Kernel<'_> {
    /// A `mem.register` fact for the fault address and each register that points somewhere, or holds a value that
    /// `meaning` knows: a poison, an error number. Numbers are left out. Bounded: one look at the task list, and for
    /// each register what [`crate::what::Whereabouts::what`] takes.
    pub fn register_facts(&self, oops: &Oops<'_>, meaning: &dyn Fn(u64) -> Option<String>) -> Vec<Fact> {
        let whereabouts = self.whereabouts();
        let fault = oops.address.map(|address| ("fault address", address));
        let registers = oops.registers.iter().filter(|(name, _)| is_general(name));
        let registers = registers.map(|(name, value)| (*name, *value)).take(MAX_REGISTERS);
        let origin = || Origin::derived(self.member(), "registers of the report, looked up in memory");
        let mut facts = Vec::new();
        let registers: Vec<(&str, u64)> = fault.into_iter().chain(registers).collect();
        // A free object holds a pointer to the next one, often hardened. Who has that word in a register has read the object
        // after it was freed.
        let looked: Vec<_> = registers
            .iter()
            .map(|(_, value)| self.arch().is_kernel(VirtAddr(*value)).then(|| whereabouts.what(VirtAddr(*value))))
            .collect();
        let slabs: Vec<_> = looked.iter().flatten().filter_map(|what| what.slab.clone()).collect();
        let free_word = |value: u64| {
            let (object, (offset, _)) = slabs
                .iter()
                .find_map(|object| Some((object, object.free_word?)).filter(|(_, (_, word))| *word == value))?;
            Some(format!(
                "the free-list pointer at +{offset:#x} of the free object {:#x} of slab cache {}: it was read after it was freed",
                object.object.0, object.cache
            ))
        };
        for ((register, value), looked) in registers.into_iter().zip(looked) {
            // A register that holds NULL or a small number tells nothing by itself; the fault address does. A length of a
            // page or of some is a number too.
            let telling = self.arch().is_kernel(VirtAddr(value)) || register == "fault address";
            let freed = free_word(value).filter(|_| value >= LOWEST);
            let from_freed = freed.is_some();
            let known = freed.or_else(|| meaning(value).filter(|_| value >= LOWEST || register == "fault address"));
            if !telling && known.is_none() {
                continue;
            }
            let mut what = looked.unwrap_or_else(|| whereabouts.what(VirtAddr(value)));
            if known.is_some() {
                what.value = known;
            }
            // A poison that looks like an address of the kernel's half is no address.
            let text = match (&what.value, what.physical) {
                (Some(value), _) if from_freed => value.clone(),
                (Some(value), None) => value.clone(),
                _ => what.summary(),
            };
            let mut fact = Fact::new("mem.register", origin())
                .with("function", oops.function)
                .with("register", register)
                .with("value", Address(value))
                .with("kind", if from_freed { "free-pointer" } else { what.kind() })
                .with("what", text.as_str())
                .with_opt("symbol", what.symbol)
                .with_opt("module", what.module)
                .quoting(format!("{register} = {value:#018x}: {text}"));
            if let Some((pid, comm)) = what.stack_of.or(what.task) {
                fact = fact.with("pid", pid).with("comm", comm);
            }
            if let Some(object) = what.slab {
                let tracked = object.tracks.unwrap_or_default();
                fact = fact
                    .with("cache", object.cache)
                    .with("object", object.object)
                    .with("offset", object.offset)
                    .with_opt("allocated", object.allocated)
                    .with_opt("poisoned", Some(true).filter(|_| object.poisoned))
                    .with_opt("allocated_by", tracked.allocated.map(|track| track.text()))
                    .with_opt("freed_by", tracked.freed.map(|track| track.text()))
                    .recheck(format!("crash> kmem {value:#x}"));
            }
            facts.push(fact);
        }
        facts
    }
}
