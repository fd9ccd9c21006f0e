//! Unwinding: from registers to a call stack, without debug information.
//!
//! One file per method: [`orc`] tables of x86-64 kernels, [`arm64`] frame records, [`cfi`] of a vmlinux and
//! [`frame_pointer`] chains for older x86-64 kernels, [`scan`] as the last resort. Every frame says how it was found; a
//! trace says how it ended.
//! The methods ask for memory and text through [`Target`] and know nothing else of the kernel.

pub mod arm64;
pub mod cfi;
pub(crate) mod cpu_stacks;
pub mod frame_pointer;
pub mod orc;
mod returns;
pub mod scan;
pub(crate) mod target;
pub mod x86_64;

use facts::{Ended, Found};

/// The most frames of one trace. The deepest real one seen has 61; a longer chain is damaged.
pub const MAX_FRAMES: usize = 512;
/// The most changes of stack in one trace: task, soft interrupt, interrupt, NMI, debug, double fault.
pub const MAX_STACK_SWITCHES: usize = 8;

/// What unwinding needs of the kernel.
pub trait Target: Sync {
    /// Reads virtual memory; false when any byte of it is absent.
    fn read(&self, address: u64, into: &mut [u8]) -> bool;
    /// Whether kernel or module code may lie at this address.
    fn is_text(&self, address: u64) -> bool;
    /// Start of the function that holds this address.
    fn function_start(&self, address: u64) -> Option<u64>;

    /// Whether code at this address is entry code, which is no function and saves no return address.
    fn is_entry(&self, address: u64) -> bool {
        let _ = address;
        false
    }

    /// Whether the kernel made the code at this address while it ran, with frame pointers and without any tables.
    fn keeps_frame_pointer(&self, address: u64) -> bool {
        let _ = address;
        false
    }

    /// The return address that was at `place` of a task's stack before a tracer put `pc` there; `pc` itself when it
    /// is no trampoline, or the tracer's list does not have the place. On arm64 `place` is the caller's x29.
    fn original_return(&self, task: Option<u64>, pc: u64, place: u64, passed: &mut Passed) -> u64 {
        let _ = (task, place, passed);
        pc
    }

    /// The interrupt or exception stack that holds an address.
    fn stack_at(&self, address: u64) -> Option<StackBounds> {
        let _ = address;
        None
    }

    /// A word of virtual memory.
    fn word(&self, address: u64) -> Option<u64> {
        let mut bytes = [0; 8];
        self.read(address, &mut bytes).then(|| u64::from_le_bytes(bytes))
    }
}

/// Trampolines met in one trace, by the two kinds of lists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Passed {
    /// Of the function-graph tracer.
    pub graph: usize,
    /// Of kretprobes and rethooks.
    pub probe: usize,
}

/// General registers, when a full set is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum General {
    /// In the order of x86-64's `pt_regs`: r15 r14 r13 r12 bp bx r11 r10 r9 r8 ax cx dx si di.
    X86_64([u64; 15]),
    /// x0 to x30.
    Arm64([u64; 31]),
}

/// Names of [`General::X86_64`], in its order.
pub const X86_64_NAMES: [&str; 15] =
    ["r15", "r14", "r13", "r12", "rbp", "rbx", "r11", "r10", "r9", "r8", "rax", "rcx", "rdx", "rsi", "rdi"];

/// A processor's registers at one point of a stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registers {
    /// Program counter.
    pub pc: u64,
    /// Stack pointer.
    pub sp: u64,
    /// Frame pointer: rbp or x29.
    pub fp: u64,
    /// Whether the processor ran in user mode.
    pub user: bool,
    /// All general registers, when known.
    pub general: Option<General>,
}

impl Registers {
    /// Names and values of all registers known, program counter first.
    pub fn named(&self) -> Vec<(String, u64)> {
        let (pc, sp) = match &self.general {
            Some(General::Arm64(_)) => ("pc", "sp"),
            _ => ("rip", "rsp"),
        };
        let mut all = vec![(pc.to_owned(), self.pc), (sp.to_owned(), self.sp)];
        match &self.general {
            Some(General::X86_64(values)) => {
                all.extend(X86_64_NAMES.iter().map(|n| (*n).to_owned()).zip(values.iter().copied()));
            }
            Some(General::Arm64(values)) => {
                all.extend(values.iter().enumerate().map(|(n, v)| (format!("x{n}"), *v)));
            }
            None => all.push(("rbp".to_owned(), self.fp)),
        }
        all
    }
}

/// One frame as unwound, before symbols.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawFrame {
    /// Program counter.
    pub pc: u64,
    /// Stack pointer in that frame.
    pub sp: u64,
    /// How it was found.
    pub found: Found,
    /// Whether `pc` is the very next instruction; else it is a return address and the call lies before it.
    pub exact: bool,
    /// The full register set an interrupt or exception left here.
    pub interrupted: Option<Box<Registers>>,
}

/// One trace as unwound, innermost frame first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    /// Frames.
    pub frames: Vec<RawFrame>,
    /// How it ended.
    pub ended: Ended,
}

/// Where the stack that a trace starts on lies, as far as known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StackBounds {
    /// Lowest address.
    pub low: u64,
    /// First address above.
    pub high: u64,
}

impl StackBounds {
    /// Whether the address lies in the stack.
    pub fn contains(&self, address: u64) -> bool {
        (self.low..self.high).contains(&address)
    }
}
