//! x86-64 instructions as steps.

use iced_x86::{
    Decoder, DecoderOptions, Instruction, InstructionInfoFactory, MemorySize, Mnemonic, OpAccess, OpKind, Register as R,
};

use super::step::{Convention, Effect, Next, Place, Register, Source, Step};

pub(super) const CONVENTION: Convention = Convention {
    parameters: &[7, 6, 2, 1, 8, 9],
    result: 0,
    stack_pointer: 4,
    frame_pointer: 5,
    clobbered: &[0, 1, 2, 6, 7, 8, 9, 10, 11],
    large_by_address: false,
    names: &[
        "RAX", "RCX", "RDX", "RBX", "RSP", "RBP", "RSI", "RDI", "R08", "R09", "R10", "R11", "R12", "R13", "R14", "R15",
    ],
};

/// The instruction at the start of `code`, which lies at `at`. `None` where the bytes are none.
pub(super) fn step(code: &[u8], at: u64) -> Option<Step> {
    let instruction = Decoder::with_ip(64, code, at, DecoderOptions::NONE).decode();
    if instruction.is_invalid() {
        return None;
    }
    let mut step =
        Step { length: instruction.len() as u64, effects: Vec::new(), next: Next::Falls, access: access(&instruction) };
    step.next = next(&instruction);
    effects(&instruction, &mut step.effects);
    Some(step)
}

/// The number of a register of full width.
fn wide(register: R) -> Option<Register> {
    register.is_gpr64().then_some(register.number() as Register)
}

fn place(instruction: &Instruction) -> Place {
    let base = instruction.memory_base();
    let per_cpu = instruction.segment_prefix() == R::GS;
    // iced adds the program counter itself.
    let known = base == R::RIP || base == R::None || wide(base).is_some();
    let foreign = instruction.segment_prefix() == R::FS || !known;
    Place {
        base: wide(base),
        offset: instruction.memory_displacement64() as i64,
        indexed: foreign || instruction.memory_index() != R::None,
        per_cpu,
    }
}

fn access(instruction: &Instruction) -> Option<(Place, u64)> {
    let explicit = (0..instruction.op_count()).any(|n| instruction.op_kind(n) == OpKind::Memory);
    // lea and the nop with an operand access nothing.
    let address_only = matches!(instruction.mnemonic(), Mnemonic::Lea | Mnemonic::Nop)
        || instruction.memory_size() == MemorySize::Unknown;
    (explicit && !address_only).then(|| (place(instruction), instruction.memory_size().size() as u64))
}

fn next(instruction: &Instruction) -> Next {
    let near = matches!(instruction.op0_kind(), OpKind::NearBranch16 | OpKind::NearBranch32 | OpKind::NearBranch64);
    let target = instruction.near_branch_target();
    if instruction.is_call_near() || instruction.is_call_near_indirect() {
        let through = (instruction.op0_kind() == OpKind::Register).then(|| wide(instruction.op0_register())).flatten();
        return Next::Calls(near.then_some(target), through);
    }
    if instruction.is_jmp_short_or_near() && near {
        return Next::Jumps(target);
    }
    if (instruction.is_jcc_short_or_near()
        || instruction.is_loop()
        || instruction.is_loopcc()
        || instruction.is_jcx_short())
        && near
    {
        return Next::Branches(target);
    }
    match instruction.mnemonic() {
        Mnemonic::Jmp
        | Mnemonic::Ret
        | Mnemonic::Retf
        | Mnemonic::Iret
        | Mnemonic::Iretq
        | Mnemonic::Int3
        | Mnemonic::Hlt => Next::Leaves,
        // A warning goes on behind its ud2.
        _ => Next::Falls,
    }
}

fn effects(instruction: &Instruction, effects: &mut Vec<Effect>) {
    const STACK: Register = CONVENTION.stack_pointer;
    let kind = |n| if n < instruction.op_count() { Some(instruction.op_kind(n)) } else { None };
    let register = |n| (kind(n) == Some(OpKind::Register)).then(|| wide(instruction.op_register(n))).flatten();
    let immediate = |n| match kind(n)? {
        OpKind::Immediate8to64
        | OpKind::Immediate32to64
        | OpKind::Immediate64
        | OpKind::Immediate32
        | OpKind::Immediate8to32 => Some(instruction.immediate(n)),
        _ => None,
    };
    let memory = |n| kind(n) == Some(OpKind::Memory);
    let top = Place { base: Some(STACK), ..Place::default() };
    match instruction.mnemonic() {
        Mnemonic::Mov => {
            let narrow = || {
                let to = instruction.op0_register();
                (kind(0) == Some(OpKind::Register) && to.is_gpr32()).then(|| to.full_register().number() as Register)
            };
            let effect = match (register(0), register(1), immediate(1)) {
                (Some(to), Some(from), _) => Some(Effect::Set(to, Source::Register(from, 0))),
                (Some(to), _, Some(value)) => Some(Effect::Set(to, Source::Constant(value))),
                (Some(to), ..) if memory(1) => Some(Effect::Set(to, Source::Load(place(instruction)))),
                (None, Some(from), _) if memory(0) => Some(Effect::Store(place(instruction), from)),
                (None, _, Some(value)) => {
                    narrow().map(|to| Effect::Set(to, Source::Constant(value & u64::from(u32::MAX))))
                }
                _ => None,
            };
            if let Some(effect) = effect {
                effects.push(effect);
                return;
            }
        }
        Mnemonic::Lea => {
            if let Some(to) = register(0) {
                let place = place(instruction);
                let source = match place {
                    Place { base: Some(base), indexed: false, .. } => Source::Register(base, place.offset),
                    Place { base: None, indexed: false, .. } => Source::Constant(place.offset as u64),
                    _ => Source::Unknown,
                };
                effects.push(Effect::Set(to, source));
                return;
            }
        }
        Mnemonic::Add | Mnemonic::Sub => {
            if let (Some(to), Some(value)) = (register(0), immediate(1)) {
                let value = value as i64;
                let value = if instruction.mnemonic() == Mnemonic::Sub { value.wrapping_neg() } else { value };
                effects.push(Effect::Set(to, Source::Register(to, value)));
                return;
            }
        }
        Mnemonic::Xor if kind(0) == Some(OpKind::Register) && kind(1) == Some(OpKind::Register) => {
            let to = instruction.op0_register();
            if to == instruction.op1_register() && (to.is_gpr32() || to.is_gpr64()) {
                effects.push(Effect::Set(to.full_register().number() as Register, Source::Constant(0)));
                return;
            }
        }
        Mnemonic::Push => {
            let below = Place { offset: -8, ..top };
            effects.push(match register(0) {
                Some(from) => Effect::Store(below, from),
                None => Effect::Overwrite(below, 8),
            });
            effects.push(Effect::Set(STACK, Source::Register(STACK, -8)));
            return;
        }
        Mnemonic::Pop => {
            if let Some(to) = register(0) {
                effects.push(Effect::Set(STACK, Source::Register(STACK, 8)));
                effects.push(Effect::Set(to, Source::Load(top)));
                return;
            }
        }
        Mnemonic::Leave => {
            let frame = CONVENTION.frame_pointer;
            effects.push(Effect::Set(STACK, Source::Register(frame, 8)));
            effects.push(Effect::Set(frame, Source::Load(Place { base: Some(frame), ..Place::default() })));
            return;
        }
        Mnemonic::Call | Mnemonic::Ret => return,
        Mnemonic::Cmova
        | Mnemonic::Cmovae
        | Mnemonic::Cmovb
        | Mnemonic::Cmovbe
        | Mnemonic::Cmove
        | Mnemonic::Cmovg
        | Mnemonic::Cmovge
        | Mnemonic::Cmovl
        | Mnemonic::Cmovle
        | Mnemonic::Cmovne
        | Mnemonic::Cmovns
        | Mnemonic::Cmovs => {
            if let (Some(to), Some(from)) = (register(0), register(1)) {
                effects.push(Effect::Set(to, Source::Either(to, from)));
                return;
            }
        }
        _ => {}
    }
    // Whatever else it is: what it writes is not known any more.
    let writes = |access| {
        matches!(access, OpAccess::Write | OpAccess::CondWrite | OpAccess::ReadWrite | OpAccess::ReadCondWrite)
    };
    let mut factory = InstructionInfoFactory::new();
    let info = factory.info(instruction);
    for used in info.used_registers().iter().filter(|used| writes(used.access())) {
        let full = used.register().full_register();
        if let Some(to) = wide(full) {
            effects.push(Effect::Set(to, Source::Unknown));
        }
    }
    for used in info.used_memory().iter().filter(|used| writes(used.access())) {
        let written = Place {
            base: wide(used.base()),
            offset: used.displacement() as i64,
            indexed: used.index() != R::None || used.segment() == R::FS,
            per_cpu: used.segment() == R::GS,
        };
        // A repeated store has no size of its own.
        let repeated = instruction.has_rep_prefix() || instruction.has_repne_prefix();
        let size = if repeated { 0 } else { used.memory_size().size() as u64 };
        effects.push(Effect::Overwrite(written, size));
    }
}
