//! CPUs that spin on a lock, and who holds it where the frames of a CPU prove it: a spinlock itself names no owner.

use facts::FieldType::{Address as Addr, Int, Text};
use facts::plain_field as field;
use facts::{Address, Fact, Found, KindDef};

use crate::stacks::CallStack;
use crate::tasks::Task;
use crate::{Arch, Kernel, VirtAddr};

/// The kinds of facts made here.
pub(crate) const KINDS: &[KindDef] = &[KindDef {
    kind: "mem.spin",
    doc: "A CPU that spins on a lock.",
    fields: &[
        field("cpu", Int, "the CPU"),
        field("pid", Int, "thread id of the task on it"),
        field("comm", Text, "its command name"),
        field("lock", Addr, "the lock"),
        field("symbol", Text, "variable that it is, or lies in"),
        field("module", Text, "module of that variable"),
        field("cache", Text, "slab cache of the object that it lies in"),
        field("function", Text, "the function that wants it"),
        field("function_module", Text, "its module"),
        field(
            "holder_cpu",
            Int,
            "the CPU that holds it, where frames prove it; its own: it took the lock below an interrupt",
        ),
        field("taken_by_cpu", Int, "the only other CPU that works with the lock, and does not spin on it"),
        field("knot", Text, "the CPUs that wait for each other, the same for all of them: `1,2`"),
        field("what", Text, "in a sentence"),
    ],
}];

/// Bytes of a function whose addresses are looked at.
const MAX_CODE: u64 = 4096;
/// Frames of one context that are looked at, past those of locking.
const MAX_FRAMES: usize = 6;

/// A CPU that spins.
struct Spin<'a> {
    task: &'a Task,
    stack: &'a CallStack,
    cpu: u32,
    lock: VirtAddr,
    /// Position of the frame that wants the lock.
    wants: usize,
}

/// Functions that spin, and those that call them.
fn spins(name: &str) -> bool {
    const HEADS: [&str; 7] = [
        "native_queued_spin_lock",
        "queued_spin_lock",
        "queued_read_lock",
        "queued_write_lock",
        "_raw_spin_lock",
        "_raw_read_lock",
        "_raw_write_lock",
    ];
    HEADS.iter().any(|head| name.starts_with(head)) || name.starts_with("__pv_queued_spin_lock")
}

impl Kernel<'_> {
    /// The `mem.spin` facts. `stacks` are those of `tasks`, in the same order.
    pub(crate) fn spin_facts(&self, tasks: &[Task], stacks: &[Option<CallStack>]) -> Vec<Fact> {
        let running = || tasks.iter().zip(stacks).filter(|(task, _)| task.running);
        let found: Vec<Spin> = running().filter_map(|(task, stack)| self.spin(task, stack.as_ref()?)).collect();
        // Another CPU that works with the lock may be the one that has it.
        let others = |lock: VirtAddr, cpus: [u32; 2]| {
            let others = running().filter(move |(task, _)| task.cpu.is_none_or(|cpu| !cpus.contains(&cpu)));
            let others = others.filter_map(|(task, stack)| Some((task, stack.as_ref()?)));
            others.filter(move |(task, stack)| self.works_with_in_any(task, stack, lock))
        };
        let nobody_else = |lock: VirtAddr, cpus: [u32; 2]| others(lock, cpus).next().is_none();
        let waits =
            |task: &Task, lock: VirtAddr| found.iter().any(|s| s.lock == lock && s.task.address == task.address);
        let fact = |spin: &Spin| {
            let name = |at: VirtAddr| self.spinlock_name(at);
            let knot = found.iter().find(|other| {
                other.cpu != spin.cpu
                    && other.lock != spin.lock
                    && self.took(spin, other.lock)
                    && self.took(other, spin.lock)
                    && [spin.lock, other.lock].into_iter().all(|lock| nobody_else(lock, [spin.cpu, other.cpu]))
            });
            let own = knot.is_none() && self.took_below(spin) && nobody_else(spin.lock, [spin.cpu; 2]);
            let mut holders = others(spin.lock, [spin.cpu; 2]).filter(|(task, _)| !waits(task, spin.lock));
            let taken_by = holders.next().filter(|_| knot.is_none() && !own && holders.next().is_none());
            let taken_by = taken_by.and_then(|(task, stack)| {
                // What it ran before it was stopped.
                let from = stack.frames.iter().rposition(|frame| frame.interrupted).unwrap_or(0);
                let mut names = stack.frames.iter().skip(from).filter_map(|frame| frame.function());
                Some((task.cpu?, names.find(|name| !busy(name))?))
            });
            let frame = spin.stack.frames.get(spin.wants);
            let function = frame.and_then(|frame| frame.function()).unwrap_or("code without a name");
            let (cpu, lock) = (spin.cpu, name(spin.lock));
            let what = match knot {
                Some(other) => format!(
                    "CPU {cpu} spins on {lock} in {function}, which CPU {} took; that spins on {}, which CPU {cpu} took",
                    other.cpu,
                    name(other.lock)
                ),
                None if own => {
                    let below = spin.stack.frames.iter().skip(spin.wants).find(|frame| frame.interrupted);
                    let at = spin.stack.frames.iter().skip(spin.wants).skip_while(|frame| !frame.interrupted);
                    let holder = at.filter_map(|frame| frame.function()).find(|name| !busy(name));
                    let holder = holder.or(below.and_then(|frame| frame.function())).unwrap_or("what it interrupted");
                    format!(
                        "CPU {cpu} spins on {lock} in {function}, in an interrupt of {holder}, which works with that lock"
                    )
                }
                None => match taken_by {
                    Some((at, runs)) => format!(
                        "CPU {cpu} spins on {lock} in {function}; CPU {at} works with that lock and runs {runs}"
                    ),
                    None => format!("CPU {cpu} spins on {lock} in {function}, holder not known"),
                },
            };
            let pair = knot.map(|other| format!("{},{}", cpu.min(other.cpu), cpu.max(other.cpu)));
            let symbol = self.symbolize(spin.lock);
            let mut fact = Fact::new("mem.spin", self.origin(spin.lock, "spinlock_t"))
                .with("cpu", cpu)
                .with("pid", spin.task.pid)
                .with("comm", spin.task.comm.as_str())
                .with("lock", Address::from(spin.lock))
                .with_opt("symbol", symbol.as_ref().map(|symbol| symbol.name.clone()))
                .with_opt("module", symbol.as_ref().and_then(|symbol| symbol.module.clone()))
                .with_opt("cache", self.slab_object(spin.lock).map(|object| object.cache_name))
                .with("function", function)
                .with_opt("function_module", frame.and_then(|frame| frame.module.as_deref()))
                .with_opt("holder_cpu", knot.map(|other| other.cpu).or(own.then_some(cpu)))
                .with_opt("taken_by_cpu", taken_by.map(|(cpu, _)| cpu))
                .with("knot", pair.unwrap_or_else(|| cpu.to_string()))
                .with("what", what.as_str())
                .quoting(what)
                .recheck(format!("crash> bt {:x}", spin.task.address.0));
            fact.stacks.push(std::sync::Arc::new(self.fact_stack("task", spin.stack)));
            fact
        };
        found.iter().map(fact).collect()
    }

    fn spinlock_name(&self, at: VirtAddr) -> String {
        if let Some(symbol) = self.symbolize(at) {
            return match symbol.offset {
                0 => symbol.name,
                offset => format!("{}+{offset:#x}", symbol.name),
            };
        }
        match self.slab_object(at) {
            Some(object) => format!("the lock {at} in an object of {}", object.cache_name),
            None => format!("the lock {at}"),
        }
    }

    /// The lock that a running task spins on: the first argument of the function that does, as its registers have it.
    fn spin<'a>(&self, task: &'a Task, stack: &'a CallStack) -> Option<Spin<'a>> {
        let certain = |frame: &crate::stacks::Frame| frame.found != Found::Scan;
        let of_spin = |frame: &crate::stacks::Frame| certain(frame) && frame.function().is_some_and(spins);
        let first = stack.frames.iter().position(of_spin)?;
        let wants = first + stack.frames.iter().skip(first).position(|frame| !of_spin(frame))?;
        let (_, registers) = stack.registers.iter().find(|(nth, _)| (first..wants).contains(nth))?;
        let named = registers.named();
        let of = |name: &str| named.iter().find(|(known, _)| known == name).map(|(_, value)| VirtAddr(*value));
        // The argument, then where the caller keeps it.
        let mut candidates = ["rdi", "rbx", "x0", "x19"].into_iter().filter_map(of);
        let lock = candidates
            .find(|at| self.arch().is_kernel(*at) && at.0 & 3 == 0 && self.u32(*at).is_ok_and(|word| word != 0))?;
        // A CPU that came to a free lock does not spin.
        Some(Spin { task, stack, cpu: task.cpu?, lock, wants })
    }

    /// Whether the frames of a CPU that spins on another lock work with this one.
    fn took(&self, spin: &Spin<'_>, lock: VirtAddr) -> bool {
        self.works_with(spin.task, spin.stack, spin.wants, lock)
    }

    /// Whether what an interrupt interrupted works with the lock that the interrupt spins on.
    fn took_below(&self, spin: &Spin<'_>) -> bool {
        let below = spin.stack.frames.iter().enumerate().skip(spin.wants).find(|(_, frame)| frame.interrupted);
        below.is_some_and(|(nth, _)| self.works_with(spin.task, spin.stack, nth, spin.lock))
    }

    /// The same of a CPU that may have been stopped since: in any of its contexts.
    fn works_with_in_any(&self, task: &Task, stack: &CallStack, lock: VirtAddr) -> bool {
        let interrupted = stack.frames.iter().enumerate().filter(|(_, frame)| frame.interrupted).map(|(nth, _)| nth);
        std::iter::once(0).chain(interrupted).any(|from| self.works_with(task, stack, from, lock))
    }

    /// Whether the frames from one on have a lock, or the object it lies in: on the stack, in registers, or in their code.
    fn works_with(&self, task: &Task, stack: &CallStack, from: usize, lock: VirtAddr) -> bool {
        let object = self.slab_object(lock).map(|object| object.start);
        let same = |word: u64| word == lock.0 || object.is_some_and(|object| object.0 == word);
        let frames = stack.frames.iter().enumerate().skip(from).filter(|(_, f)| f.found != Found::Scan);
        let frames: Vec<_> = frames.take(MAX_FRAMES).collect();
        let bounds = task.stack.map(|stack| self.stack_bounds(stack));
        let sp = |nth: usize| stack.sps.get(nth).copied().filter(|sp| bounds.as_ref().is_some_and(|b| b.contains(*sp)));
        let last = frames.last().map_or(from, |(nth, _)| *nth);
        if let (Some(low), Some(high)) = (sp(from), sp(last)) {
            let mut places = (low & !7..high).step_by(8).take(MAX_CODE as usize);
            if places.any(|at| self.u64(VirtAddr(at)).is_ok_and(same)) {
                return true;
            }
        }
        let mut registers = stack.registers.iter().filter(|(nth, _)| (from..=last).contains(nth));
        if registers.any(|(_, registers)| registers.named().iter().any(|(_, value)| same(*value))) {
            return true;
        }
        frames.iter().any(|(_, frame)| self.code_names(frame.pc.0 - frame.offset, frame.size.unwrap_or(0), &same))
    }

    /// Whether the code of a function has an address, or that of a variable which holds it: on x86-64 absolute in 32 bits, or
    /// relative to the next instruction.
    pub(crate) fn code_names(&self, start: u64, size: u64, same: &dyn Fn(u64) -> bool) -> bool {
        let known = |at: u64| self.arch().is_kernel(VirtAddr(at)) && at & 3 == 0;
        let names = |at: u64| known(at) && (same(at) || at & 7 == 0 && self.u64(VirtAddr(at)).is_ok_and(same));
        if self.arch() == Arch::Aarch64 {
            return self.addresses_in_code(start, size.min(MAX_CODE)).into_iter().any(|at| names(at.0));
        }
        let Ok(code) = self.bytes(VirtAddr(start), size.min(MAX_CODE) as usize) else { return false };
        code.windows(4).enumerate().any(|(nth, word)| {
            let number = i64::from(i32::from_le_bytes(word.try_into().unwrap_or_default())) as u64;
            let relative = start.wrapping_add(nth as u64 + 4).wrapping_add(number);
            [number, relative].into_iter().any(names)
        })
    }
}

/// Functions that pass the time.
fn busy(name: &str) -> bool {
    name.starts_with("asm_")
        || name.contains("delay")
        || name.starts_with("__const_udelay")
        || name.contains("_interrupt")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthetic::{BASE, Memory};

    #[test]
    fn locking_functions_spin_and_their_callers_do_not() {
        assert!(
            ["native_queued_spin_lock_slowpath", "_raw_spin_lock_irqsave", "queued_write_lock_slowpath"]
                .into_iter()
                .all(spins)
        );
        assert!(
            !["lab_take", "mutex_spin_on_owner", "_raw_spin_unlock_irqrestore", "rt_spin_lock"].into_iter().any(spins)
        );
    }

    #[test]
    fn code_names_what_it_addresses_and_what_a_variable_of_it_points_at() {
        let memory = Memory::new();
        let (code, variable, lock) = (BASE + 0x20000, BASE + 0x21000, BASE + 0x30040);
        // mov variable(%rip), %rbx at +0
        memory.put(code, &[0x48, 0x8b, 0x1d]);
        memory.put32(code + 3, (variable - (code + 7)) as u32);
        memory.put64(variable, lock);
        let kernel = memory.kernel("");
        assert!(kernel.code_names(code, 16, &|word| word == lock));
        assert!(kernel.code_names(code, 16, &|word| word == variable));
        assert!(!kernel.code_names(code, 16, &|word| word == lock + 8));
    }
}
