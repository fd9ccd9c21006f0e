//! arm64 instructions as steps, read from their encodings (Arm Architecture Reference Manual, C4.1).

use super::step::{Convention, Effect, Next, Place, Register, Source, Step};

pub(super) const CONVENTION: Convention = Convention {
    parameters: &[0, 1, 2, 3, 4, 5, 6, 7],
    result: 0,
    stack_pointer: STACK,
    frame_pointer: 29,
    clobbered: &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 30],
    large_by_address: true,
    names: &[
        "X0", "X1", "X2", "X3", "X4", "X5", "X6", "X7", "X8", "X9", "X10", "X11", "X12", "X13", "X14", "X15", "X16",
        "X17", "X18", "X19", "X20", "X21", "X22", "X23", "X24", "X25", "X26", "X27", "X28", "X29", "LR", "SP",
    ],
};

const STACK: Register = 31;

fn bits(word: u32, from: u32, count: u32) -> u32 {
    word >> from & ((1 << count) - 1)
}

/// `count` bits from `from` on as a signed number.
fn signed(word: u32, from: u32, count: u32) -> i64 {
    i64::from(((word >> from) << (32 - count)) as i32 >> (32 - count))
}

/// The instruction in the first four bytes of `code`, which lie at `at`.
pub(super) fn step(code: &[u8], at: u64) -> Option<Step> {
    let word = u32::from_le_bytes(*code.first_chunk::<4>()?);
    let mut step = Step { length: 4, effects: Vec::new(), next: Next::Falls, access: None };
    if bits(word, 26, 3) == 0b101 {
        branch(word, at, &mut step);
    } else if word & 0x0a00_0000 == 0x0800_0000 {
        memory(word, at, &mut step);
    } else {
        arithmetic(word, at, &mut step);
    }
    Some(step)
}

/// Branches, exceptions and system registers.
fn branch(word: u32, at: u64, step: &mut Step) {
    let to = |distance: i64| at.wrapping_add((distance << 2) as u64);
    step.next = match word {
        _ if word & 0xfc00_0000 == 0x1400_0000 => Next::Jumps(to(signed(word, 0, 26))),
        _ if word & 0xfc00_0000 == 0x9400_0000 => Next::Calls(Some(to(signed(word, 0, 26))), None),
        // b.cond and bc.cond; the condition *always* does not occur.
        _ if word & 0xff00_0000 == 0x5400_0000 => Next::Branches(to(signed(word, 5, 19))),
        // cbz, cbnz
        _ if word & 0x7e00_0000 == 0x3400_0000 => Next::Branches(to(signed(word, 5, 19))),
        // tbz, tbnz
        _ if word & 0x7e00_0000 == 0x3600_0000 => Next::Branches(to(signed(word, 5, 14))),
        // br, blr, ret, eret and those that authenticate
        _ if word & 0xfe00_0000 == 0xd600_0000 => match bits(word, 21, 4) {
            0b0001 | 0b1001 => Next::Calls(None, Some(bits(word, 5, 5) as Register)),
            _ => Next::Leaves,
        },
        // brk of a warning goes on behind it; svc, hvc and smc come back.
        _ => Next::Falls,
    };
    // mrs: sp_el0 is the task that runs.
    if word & 0xfff0_0000 == 0xd530_0000 {
        let source = if bits(word, 5, 15) == 0x4208 { Source::Current } else { Source::Unknown };
        set(bits(word, 0, 5), source, step);
    }
    if matches!(step.next, Next::Falls) && word & 0xff00_0000 == 0xd400_0000 && bits(word, 0, 2) != 0 {
        // A call to the hypervisor or the firmware.
        for register in 0..18 {
            step.effects.push(Effect::Set(register, Source::Unknown));
        }
    }
}

/// A register that is written; 31 is the zero register here.
fn set(register: u32, source: Source, step: &mut Step) {
    if register != 31 {
        step.effects.push(Effect::Set(register as Register, source));
    }
}

/// Loads and stores.
fn memory(word: u32, at: u64, step: &mut Step) {
    let (to, base) = (bits(word, 0, 5), bits(word, 5, 5) as Register);
    let vector = bits(word, 26, 1) == 1;
    let place = |offset| Place { base: Some(base), offset, ..Place::default() };
    // ldp, stp and their kin: x010 1V0m mL
    if word & 0x3a00_0000 == 0x2800_0000 {
        let (class, mode, load) = (bits(word, 30, 2), bits(word, 23, 2), bits(word, 22, 1) == 1);
        let size: i64 = match (vector, class) {
            (true, class) => 4 << class,
            (false, 2) => 8,
            _ => 4,
        };
        let distance = signed(word, 15, 7) * size;
        let second = bits(word, 10, 5);
        let first_at = if mode == 0b01 { 0 } else { distance };
        for (register, offset) in [(to, first_at), (second, first_at + size)] {
            let wide = !vector && class == 2;
            match (load, wide) {
                (true, true) => set(register, Source::Load(place(offset)), step),
                (true, false) if !vector => set(register, Source::Unknown, step),
                (true, false) => {}
                (false, true) if register != 31 => {
                    step.effects.push(Effect::Store(place(offset), register as Register));
                }
                (false, _) => step.effects.push(Effect::Overwrite(place(offset), size as u64)),
            }
        }
        if mode & 1 == 1 {
            step.effects.push(Effect::Set(base, Source::Register(base, distance)));
        }
        step.access = Some((place(first_at), size as u64));
        return;
    }
    // ldr of a constant
    if word & 0x3b00_0000 == 0x1800_0000 {
        if !vector {
            let here = at.wrapping_add((signed(word, 5, 19) << 2) as u64) as i64;
            let source = match bits(word, 30, 2) {
                1 => Source::Load(Place { offset: here, ..Place::default() }),
                _ => Source::Unknown,
            };
            set(to, source, step);
        }
        return;
    }
    // One register: size 111 V 0x opc
    if word & 0x3a00_0000 == 0x3800_0000 {
        let (scale, opc) = (bits(word, 30, 2), bits(word, 22, 2));
        let size = match vector && opc & 0b10 != 0 {
            true => 16,
            false => 1u64 << scale,
        };
        let unscaled = signed(word, 12, 9);
        let mut writeback = None;
        let place = if bits(word, 24, 1) == 1 {
            place(i64::from(bits(word, 10, 12)) * size as i64)
        } else if bits(word, 21, 1) == 0 {
            match bits(word, 10, 2) {
                0b01 => {
                    writeback = Some(unscaled);
                    place(0)
                }
                0b11 => {
                    writeback = Some(unscaled);
                    place(unscaled)
                }
                _ => place(unscaled),
            }
        } else if bits(word, 10, 2) == 0b10 {
            Place { indexed: true, ..place(0) }
        } else if bits(word, 10, 2) == 0b00 {
            // Atomic operations: they read and write; the old value goes to the register.
            set(to, Source::Unknown, step);
            step.effects.push(Effect::Overwrite(place(0), size));
            step.access = Some((place(0), size));
            return;
        } else {
            // ldraa, ldrab
            set(to, Source::Unknown, step);
            step.effects.push(Effect::Set(base, Source::Unknown));
            return;
        };
        // prfm touches nothing.
        if scale == 3 && opc == 0b10 && !vector {
            return;
        }
        let load = opc != 0 && !(vector && opc == 0b10);
        match (load, vector) {
            (true, false) if scale == 3 => set(to, Source::Load(place), step),
            (true, false) => set(to, Source::Unknown, step),
            (true, true) => {}
            (false, false) if scale == 3 && to != 31 => step.effects.push(Effect::Store(place, to as Register)),
            (false, _) => step.effects.push(Effect::Overwrite(place, size)),
        }
        if let Some(distance) = writeback {
            step.effects.push(Effect::Set(base, Source::Register(base, distance)));
        }
        step.access = Some((place, size));
        return;
    }
    // Exclusive, ordered, compare-and-swap
    if word & 0x3f00_0000 == 0x0800_0000 {
        let size = 1u64 << bits(word, 30, 2);
        let (ordered, load) = (bits(word, 23, 1) == 1, bits(word, 22, 1) == 1);
        let (status, second) = (bits(word, 16, 5), bits(word, 10, 5));
        let compares = bits(word, 21, 1) == 1 && bits(word, 10, 5) == 31;
        if compares {
            set(status, Source::Unknown, step);
            set(status | 1, Source::Unknown, step);
            step.effects.push(Effect::Overwrite(place(0), size * 2));
        } else if load {
            let wide = size == 8 && bits(word, 21, 1) == 0;
            set(to, if wide { Source::Load(place(0)) } else { Source::Unknown }, step);
            if bits(word, 21, 1) == 1 {
                set(second, Source::Unknown, step);
            }
        } else {
            if !ordered {
                set(status, Source::Unknown, step);
            }
            step.effects.push(Effect::Overwrite(place(0), size * 2));
        }
        step.access = Some((place(0), size));
        return;
    }
    // ldapur, stlur, memory tags, vector structures: whatever they write is not known any more.
    set(to, Source::Unknown, step);
    step.effects.push(Effect::Set(base, Source::Unknown));
    step.effects.push(Effect::Overwrite(place(0), 0));
}

fn arithmetic(word: u32, at: u64, step: &mut Step) {
    let (to, from) = (bits(word, 0, 5), bits(word, 5, 5));
    // add and sub of a constant, 64 bits, without flags: register 31 is the stack pointer.
    if word & 0xbf80_0000 == 0x9100_0000 {
        let value = i64::from(bits(word, 10, 12)) << (12 * bits(word, 22, 1));
        let value = if bits(word, 30, 1) == 1 { -value } else { value };
        step.effects.push(Effect::Set(to as Register, Source::Register(from as Register, value)));
        return;
    }
    // adr, adrp
    if word & 0x1f00_0000 == 0x1000_0000 {
        let distance = signed(word, 5, 19) << 2 | i64::from(bits(word, 29, 2));
        let value = match bits(word, 31, 1) {
            1 => (at & !4095).wrapping_add((distance << 12) as u64),
            _ => at.wrapping_add(distance as u64),
        };
        set(to, Source::Constant(value), step);
        return;
    }
    // ccmp, ccmn: flags only
    if word & 0x3fe0_0000 == 0x3a40_0000 {
        return;
    }
    let source = match word {
        // mov of a register: orr with the zero register, not shifted
        _ if word & 0xffe0_ffe0 == 0xaa00_03e0 => match bits(word, 16, 5) {
            31 => Source::Constant(0),
            from => Source::Register(from as Register, 0),
        },
        // movz
        _ if word & 0xff80_0000 == 0xd280_0000 => {
            Source::Constant(u64::from(bits(word, 5, 16)) << (16 * bits(word, 21, 2)))
        }
        // csel
        _ if word & 0xffe0_0c00 == 0x9a80_0000 => match (from, bits(word, 16, 5)) {
            (31, 31) => Source::Constant(0),
            (31, other) | (other, 31) => Source::Register(other as Register, 0),
            (one, other) => Source::Either(one as Register, other as Register),
        },
        _ => Source::Unknown,
    };
    // Of all the others the lowest five bits are the register that is written, if one is.
    if word & 0x1f80_0000 == 0x1100_0000 && bits(word, 29, 1) == 0 && to == 31 {
        step.effects.push(Effect::Set(STACK, Source::Unknown));
    }
    // Arithmetic of vectors writes no register of this kind, but for a few that move one.
    set(to, source, step);
}
