//! Return addresses that a tracer took out of a stack, and where it keeps them.
//!
//! The function-graph tracer, kretprobes and rethooks put the address of a trampoline in place of a function's return
//! address. The real one is in a list of the task: what the kernel's own unwinder shows is that one, and so do we. A
//! trampoline whose list does not have the place stays in the trace under its own name.

use crate::{Kernel, VirtAddr};

/// Functions of one task that are traced at the same time. The kernel has room for 50 (a page of words since 6.11).
const MAX_TRACED: u64 = 512;

/// Who replaced a return address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tracer {
    /// The function-graph tracer.
    Graph,
    /// Kretprobes and fprobes by way of rethook (54ecbe6f1ed5 "rethook: Add a generic return hook", 5.18).
    Rethook,
    /// Kretprobes before.
    Kretprobe,
}

/// The trampolines of a kernel.
#[derive(Default)]
pub(crate) struct Trampolines(Vec<(u64, Tracer)>);

impl Trampolines {
    pub(crate) fn open(kernel: &Kernel<'_>) -> Trampolines {
        let names = [
            ("return_to_handler", Tracer::Graph),
            ("arch_rethook_trampoline", Tracer::Rethook),
            ("__kretprobe_trampoline", Tracer::Kretprobe),
            // Before 5.15: adf8a61a940c ("kprobes: treewide: Make it harder to refer kretprobe_trampoline directly").
            ("kretprobe_trampoline", Tracer::Kretprobe),
        ];
        Trampolines(names.into_iter().filter_map(|(name, tracer)| Some((kernel.symbol(name)?, tracer))).collect())
    }

    pub(crate) fn tracer(&self, pc: u64) -> Option<Tracer> {
        self.0.iter().find(|(address, _)| *address == pc).map(|(_, tracer)| *tracer)
    }
}

impl Kernel<'_> {
    /// The return address that `tracer` took from `place` of a task's stack (on arm64: from the record of the frame
    /// whose caller's x29 is `place`). `nth` counts those of the same tracer further in, for kernels that do not note
    /// the place.
    pub(crate) fn real_return(
        &self,
        trampolines: &Trampolines,
        tracer: Tracer,
        task: VirtAddr,
        place: u64,
        nth: usize,
    ) -> Option<u64> {
        let mut tracer = tracer;
        // One function may have several tracers: each took what the one before had put there.
        for _ in 0..4 {
            let address = match tracer {
                Tracer::Graph => self.graph_return(task, place, nth)?,
                Tracer::Rethook | Tracer::Kretprobe => self.probe_return(trampolines, tracer, task, place, nth)?,
            };
            match trampolines.tracer(address) {
                Some(next) => tracer = next,
                None => return Some(address),
            }
        }
        None
    }

    fn graph_return(&self, task: VirtAddr, place: u64, nth: usize) -> Option<u64> {
        let types = self.types();
        let stack = self.pointer(task, "task_struct", "ret_stack")?;
        let top = self.value(task, "task_struct", "curr_ret_stack")? as i64 as i32;
        let size = types.size_of("ftrace_ret_stack").filter(|n| (8..=256).contains(n))?;
        let to_ret = types.offset("ftrace_ret_stack", "ret")?;
        let pointer = types.member("task_struct", "ret_stack").and_then(|m| m.ty).and_then(|ty| types.target(ty));
        // Words of which some are entries, since 6.11 (91c46b0aa59d "function_graph: Add an array structure that will
        // allow multiple callbacks"); an array of entries before. `top` counts what is used of the one and is the
        // last entry of the other.
        let words = pointer.is_some_and(|ty| types.layout(ty).is_none());
        let used = match words {
            true => u64::try_from(top).ok()?.checked_mul(8)?,
            false => u64::try_from(top.checked_add(1)?).ok()?.checked_mul(size)?,
        };
        let mut bytes = vec![0; used.min(MAX_TRACED * size) as usize];
        self.read(stack, &mut bytes).ok()?;
        let word = |at: u64| {
            let raw = bytes.get(usize::try_from(at).ok()?..)?.get(..8)?;
            Some(u64::from_le_bytes(raw.try_into().ok()?))
        };
        match types.offset("ftrace_ret_stack", "retp") {
            Some(to_place) => {
                let step = if words { 8 } else { size };
                let starts = (bytes.len() as u64).checked_sub(size)? / step;
                let mut starts = (0..=starts).rev().map(|n| n * step);
                starts.find(|at| word(at + to_place) == Some(place)).and_then(|at| word(at + to_ret))
            }
            None if words => None,
            None => word(u64::try_from(top).ok()?.checked_sub(nth as u64)?.checked_mul(size)? + to_ret),
        }
    }

    /// By the task's list of probed functions, the latest first. A node that holds a trampoline belongs to a function
    /// with two probes; the last of its nodes has the address.
    fn probe_return(
        &self,
        trampolines: &Trampolines,
        tracer: Tracer,
        task: VirtAddr,
        place: u64,
        nth: usize,
    ) -> Option<u64> {
        let (structure, to_place) = match tracer {
            Tracer::Rethook => ("rethook_node", "frame"),
            _ => ("kretprobe_instance", "fp"),
        };
        let head = match tracer {
            Tracer::Rethook => "rethooks.first",
            _ => "kretprobe_instances.first",
        };
        let to_node = self.types().offset(structure, "llist")?;
        let mut node = self.pointer(task, "task_struct", head)?;
        let mut passed = 0;
        for _ in 0..MAX_TRACED {
            let at = node - to_node;
            let address = self.value(at, structure, "ret_addr")?;
            if trampolines.tracer(address) != Some(tracer) {
                match self.value(at, structure, to_place) {
                    Some(noted) if noted == place => return Some(address),
                    None if passed == nth => return Some(address),
                    _ => passed += 1,
                }
            }
            node = self.ptr(node).ok().filter(|next| next.0 != 0)?;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthetic::{BASE, Memory};
    use crate::types::{Shape, Types};

    const TRAMPOLINE: u64 = 0xffff_ffff_8100_1000;
    const REAL: u64 = 0xffff_ffff_8123_4567;

    #[test]
    fn the_latest_probe_of_a_place_that_is_no_trampoline_itself_has_the_address() {
        let memory = Memory::new();
        let (task, place) = (BASE + 0x10000, BASE + 0x20100);
        // rethook_node here: llist at 16, ret_addr at 32, frame at 40. Two probes of one function, one of another.
        let node = |n: u64| BASE + 0x30000 + n * 0x100 + 16;
        memory.put64(task + 8, node(0));
        for (n, frame, address) in [(0, place + 64, REAL + 1), (1, place, TRAMPOLINE), (2, place, REAL)] {
            memory.put64(node(n), if n < 2 { node(n + 1) } else { 0 });
            memory.put64(node(n) + 16, address);
            memory.put64(node(n) + 24, frame);
        }
        let kernel = memory.kernel("");
        let mut types = Types::none();
        types.infer("task_struct", "rethooks.first", 8, 8, Shape::Pointer);
        types.infer("rethook_node", "llist", 16, 8, Shape::Struct);
        types.infer("rethook_node", "ret_addr", 32, 8, Shape::Pointer);
        types.infer("rethook_node", "frame", 40, 8, Shape::Pointer);
        assert!(kernel.types.set(types).is_ok());
        let trampolines = Trampolines(vec![(TRAMPOLINE, Tracer::Rethook)]);
        let real = |place| kernel.real_return(&trampolines, Tracer::Rethook, VirtAddr(task), place, 0);
        assert_eq!(real(place), Some(REAL));
        assert_eq!(real(place + 64), Some(REAL + 1));
        assert_eq!(real(place + 8), None);
        assert_eq!(trampolines.tracer(TRAMPOLINE), Some(Tracer::Rethook));
        assert_eq!(trampolines.tracer(REAL), None);
    }
}
