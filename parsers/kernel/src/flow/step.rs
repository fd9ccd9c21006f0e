//! One instruction as what it does to the places that values are kept in: the form in which both architectures are
//! followed.

/// A general-purpose register by its number in the instruction set. arm64's `sp` is 31, its `xzr` is never one.
pub(crate) type Register = u8;

/// Room for the registers of both architectures.
pub(crate) const REGISTERS: usize = 32;

/// Memory that an instruction accesses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    /// Register that is added; none for an absolute address.
    pub(crate) base: Option<Register>,
    /// What is added to it.
    pub(crate) offset: i64,
    /// Another register is added too.
    pub(crate) indexed: bool,
    /// The address counts from this CPU's area (x86-64: `%gs`).
    pub(crate) per_cpu: bool,
}

impl Place {
    /// Is its address a register and a constant, or a constant alone?
    pub(crate) fn is_plain(&self) -> bool {
        !self.indexed && !self.per_cpu
    }
}

/// A value that an instruction makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// That of a register plus a constant.
    Register(Register, i64),
    /// One of two registers.
    Either(Register, Register),
    /// A constant.
    Constant(u64),
    /// 64 bits of memory.
    Load(Place),
    /// The task that runs (arm64: `sp_el0`).
    Current,
    /// Anything else.
    Unknown,
}

/// What an instruction does. All of its effects see the state before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// A register gets a value.
    Set(Register, Source),
    /// A register of 64 bits is written to memory.
    Store(Place, Register),
    /// Something else is written to memory: that many bytes, 0 where it is not known how many.
    Overwrite(Place, u64),
}

/// Where control goes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// To the next instruction.
    Falls,
    /// There.
    Jumps(u64),
    /// There or to the next instruction.
    Branches(u64),
    /// Into a function, and then to the next instruction: by address, or through a register.
    Calls(Option<u64>, Option<Register>),
    /// Out of the function, or nobody knows where.
    Leaves,
}

/// One instruction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    /// Bytes of the instruction.
    pub(crate) length: u64,
    pub(crate) effects: Vec<Effect>,
    pub(crate) next: Next,
    /// The memory that it accesses besides the stack of its own pushes, and how many bytes, 0 where that is not known.
    pub(crate) access: Option<(Place, u64)>,
}

/// What the calling convention of an architecture says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Convention {
    /// Registers of the first parameters.
    pub(crate) parameters: &'static [Register],
    pub(crate) result: Register,
    pub(crate) stack_pointer: Register,
    pub(crate) frame_pointer: Register,
    /// Registers that a call may change.
    pub(crate) clobbered: &'static [Register],
    /// Whether a structure of more than 16 bytes is given by its address, not on the stack.
    pub(crate) large_by_address: bool,
    /// Names of the registers, as an oops prints them in capitals.
    pub(crate) names: &'static [&'static str],
}
