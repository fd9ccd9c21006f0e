//! Call stacks of tasks and CPUs, with names.

use std::collections::HashMap;
use std::sync::{Arc, RwLock};

use facts::{Address, Context, Ended, Found};
use rayon::prelude::*;

use crate::cpus::Cpu;
use crate::tasks::Task;
use crate::unwind::{Registers, StackBounds, Trace};
use crate::{Kernel, VirtAddr};

/// One frame, innermost first in its stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Function; `None` when no symbol names the address.
    pub name: Option<Arc<str>>,
    /// Bytes from the function's start.
    pub offset: u64,
    /// Bytes of the function.
    pub size: Option<u64>,
    /// Module of the function; `None` for the kernel itself.
    pub module: Option<Arc<str>>,
    /// Program counter: the next instruction, or a return address.
    pub pc: VirtAddr,
    /// How it was found.
    pub found: Found,
    /// Whether `pc` is the next instruction.
    pub exact: bool,
    /// Whether an interrupt or exception came here and left a full register set.
    pub interrupted: bool,
    /// The stack it lies on: the task's, or one of its CPU's.
    pub context: Context,
}

/// The frames of a stack without their places: equal stacks share one.
#[derive(Debug, PartialEq, Eq)]
pub struct Frames {
    /// Frames, innermost first.
    pub frames: Vec<Frame>,
    /// How the trace ended.
    pub ended: Ended,
}

/// The call stack of one task or CPU.
#[derive(Clone, Debug)]
pub struct CallStack {
    frames: Arc<Frames>,
    /// Stack pointer of each frame.
    pub sps: Vec<u64>,
    /// Registers an interrupt or exception left, with the number of their frame.
    pub registers: Vec<(usize, Registers)>,
}

impl std::ops::Deref for CallStack {
    type Target = Frames;

    fn deref(&self) -> &Frames {
        &self.frames
    }
}

impl CallStack {
    /// A stack with these functions, innermost first.
    #[cfg(test)]
    pub(crate) fn of(functions: &[&str]) -> CallStack {
        let frame = |name: &&str| Frame {
            name: Some((*name).into()),
            offset: 1,
            size: None,
            module: None,
            pc: VirtAddr(0),
            found: Found::Orc,
            exact: false,
            interrupted: false,
            context: Context::Task,
        };
        let frames = functions.iter().map(frame).collect();
        CallStack {
            frames: Arc::new(Frames { frames, ended: Ended::Properly }),
            sps: vec![0; functions.len()],
            registers: Vec::new(),
        }
    }

    /// Whether two stacks share their frames: same addresses, found alike, ended alike.
    pub fn same_as(&self, other: &CallStack) -> bool {
        Arc::ptr_eq(&self.frames, &other.frames)
    }

    /// Whether a function is in the stack, by its name without compiler suffixes; frames found by a scan do not
    /// count.
    pub fn goes_through(&self, function: &str) -> bool {
        self.frames.frames.iter().any(|f| f.found != Found::Scan && f.function() == Some(function))
    }

    /// The frames' own place in memory: the same for all stacks that share them.
    pub(crate) fn identity(&self) -> usize {
        Arc::as_ptr(&self.frames) as usize
    }

    /// As the vocabulary of facts has it. Equal stacks become equal values: neither task nor stack pointers are
    /// in it.
    pub fn to_fact(&self, name: &str) -> facts::Stack {
        let frames = self.frames.frames.iter().map(|f| facts::Frame {
            function: f.name.clone(),
            offset: f.name.as_ref().map(|_| f.offset),
            size: f.size,
            module: f.module.clone(),
            pc: Some(Address(f.pc.0)),
            sp: None,
            found: f.found,
            reliable: f.found != Found::Scan,
            inline: false,
            interrupted: f.interrupted,
            context: f.context,
            line: None,
        });
        facts::Stack {
            name: name.to_owned(),
            cpu: None,
            pid: None,
            comm: None,
            frames: frames.collect(),
            ended: self.frames.ended.clone(),
        }
    }
}

impl Frame {
    /// Name of the function without what the compiler appends: `.isra.0`, `.constprop.0`, `.part.0`, `.cold`.
    pub fn function(&self) -> Option<&str> {
        self.name.as_deref().map(without_suffix)
    }
}

/// A function's name without compiler suffixes.
pub fn without_suffix(name: &str) -> &str {
    match name.find('.') {
        Some(at) if at > 0 => name.get(..at).unwrap_or(name),
        _ => name,
    }
}

/// Names of addresses and shared stacks, filled while stacks are made.
#[derive(Default)]
pub(crate) struct Names {
    frames: RwLock<HashMap<(u64, bool), Named>>,
    stacks: RwLock<HashMap<Vec<Key>, Arc<Frames>>>,
}

type Key = (u64, u8, bool, bool, u8);

#[derive(Clone, Default)]
struct Named {
    name: Option<Arc<str>>,
    offset: u64,
    size: Option<u64>,
    module: Option<Arc<str>>,
}

impl Kernel<'_> {
    fn frame_name(&self, pc: u64, exact: bool) -> Named {
        let names = &self.names;
        if let Ok(frames) = names.frames.read()
            && let Some(named) = frames.get(&(pc, exact))
        {
            return named.clone();
        }
        // A call may be the last instruction of its function; the return address is then in the next one.
        let at = if exact { pc } else { pc.wrapping_sub(1) };
        let named = match self.symbolize(VirtAddr(at)) {
            Some(found) => Named {
                name: Some(found.name.into()),
                offset: found.offset + u64::from(!exact),
                size: found.size,
                module: found.module.map(Into::into),
            },
            None => Named::default(),
        };
        if let Ok(mut frames) = names.frames.write() {
            frames.insert((pc, exact), named.clone());
        }
        named
    }

    fn call_stack(&self, trace: Trace, stack: Option<StackBounds>) -> CallStack {
        let code = self.code();
        let contexts: Vec<Context> = trace.frames.iter().map(|f| code.context(stack, f.sp)).collect();
        let key: Vec<Key> = trace
            .frames
            .iter()
            .zip(&contexts)
            .map(|(f, context)| (f.pc, f.found as u8, f.exact, f.interrupted.is_some(), *context as u8))
            .chain([(0, u8::from(trace.ended == Ended::Properly), false, false, 0)])
            .collect();
        let sps = trace.frames.iter().map(|f| f.sp).collect();
        let registers = trace
            .frames
            .iter()
            .enumerate()
            .filter_map(|(n, f)| f.interrupted.as_deref().map(|r| (n, r.clone())))
            .collect();
        let names = &self.names;
        let known = names.stacks.read().ok().and_then(|stacks| stacks.get(&key).cloned());
        if let Some(frames) = known.filter(|known| known.ended == trace.ended) {
            return CallStack { frames, sps, registers };
        }
        let frames = trace.frames.iter().zip(contexts).map(|(f, context)| {
            let named = self.frame_name(f.pc, f.exact);
            Frame {
                name: named.name,
                offset: named.offset,
                size: named.size,
                module: named.module,
                pc: VirtAddr(f.pc),
                found: f.found,
                exact: f.exact,
                interrupted: f.interrupted.is_some(),
                context,
            }
        });
        let frames = Arc::new(Frames { frames: frames.collect(), ended: trace.ended });
        let frames = match names.stacks.write() {
            Ok(mut stacks) => stacks.entry(key).or_insert(frames).clone(),
            Err(_) => frames,
        };
        CallStack { frames, sps, registers }
    }

    /// The stack of a task that is not current on a CPU. `None` where the stack is freed (a zombie's, since 4.9) or
    /// the saved context is absent.
    pub fn sleeping_stack(&self, task: &Task) -> Option<CallStack> {
        let bounds = self.stack_bounds(task.stack?);
        self.unwind_sleeping(task.address, Some(bounds)).map(|trace| self.call_stack(trace, Some(bounds)))
    }

    /// What a CPU was doing: the stack from its registers. Without frames when it was in user mode; `None` when
    /// its registers are not known.
    pub fn cpu_stack(&self, cpu: u32) -> Option<CallStack> {
        let cpus = self.cpus().items;
        self.stack_of_cpu(cpus.iter().find(|c| c.number == cpu)?)
    }

    fn stack_of_cpu(&self, cpu: &Cpu) -> Option<CallStack> {
        let (registers, _) = cpu.registers.as_ref()?;
        let stack = cpu.current.and_then(|task| self.pointer(task, "task_struct", "stack"));
        let bounds = stack.map(|low| self.stack_bounds(low));
        Some(self.call_stack(self.unwind_registers(registers, bounds, cpu.current), bounds))
    }

    /// The stacks of these tasks, in their order: from its CPU's registers for a running task, from where it was
    /// switched out for any other.
    pub fn stacks(&self, tasks: &[Task]) -> Vec<Option<CallStack>> {
        let cpus = self.cpus().items;
        let running: HashMap<VirtAddr, &Cpu> = cpus.iter().filter_map(|cpu| Some((cpu.current?, cpu))).collect();
        let _ = self.code();
        let one = |task: &Task| match running.get(&task.address) {
            Some(cpu) => self.stack_of_cpu(cpu),
            None => self.sleeping_stack(task),
        };
        tasks.par_iter().map(one).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suffixes_of_the_compiler_are_no_part_of_a_name() {
        assert_eq!(without_suffix("nmi_panic.cold"), "nmi_panic");
        assert_eq!(without_suffix("netdev_run_todo.isra.0.constprop.1"), "netdev_run_todo");
        assert_eq!(without_suffix(".Lfoo"), ".Lfoo");
        assert_eq!(without_suffix("schedule"), "schedule");
    }
}
