//! Loops that never end: the code at the program counter of a stuck CPU, carried out on the memory of the dump.
//!
//! Where registers and flags come back to what they were, and nothing was written meanwhile, the loop goes on until
//! another CPU changes one of the words that it reads. A loop that counts, calls, writes or reads a clock is none of these,
//! and nothing is said of it.

use std::collections::HashMap;

use facts::FieldType::{Address as Addr, Int, List, Text};
use facts::plain_field as field;
use facts::{Address, Fact, KindDef, Value};
use iced_x86::{ConditionCode, Decoder, DecoderOptions, Instruction, Mnemonic, OpKind, Register};

use crate::fault::Oops;
use crate::{Arch, Kernel, VirtAddr};

/// The kinds made here.
pub const KINDS: &[KindDef] = &[KindDef {
    kind: "mem.loop",
    doc: "A loop at the program counter of a lockup that never ends on the memory of the dump.",
    fields: &[
        field("function", Text, "function of the program counter"),
        field("within", Int, "offset in the function"),
        field("rounds", Int, "times that the program counter is passed until all is as it was"),
        field("word", Addr, "the only word that it reads, if it is one"),
        field("symbol", Text, "variable that the word is, or lies in"),
        field("ring", List, "for a chain of pointers that leads back to its start: its first entries"),
        field("what", Text, "in a sentence"),
    ],
}];

/// Instructions carried out at most.
const MAX_STEPS: usize = 400_000;
/// Words kept of one round.
const MAX_READS: usize = 1 << 16;
/// The longest instruction.
const LONGEST: usize = 15;
/// Entries of a ring that are named.
const MAX_NAMED: usize = 4;
/// Lowest address that is no small number.
const LOWEST: u64 = 0x1_0000;

/// Flags of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Flags {
    zero: bool,
    carry: bool,
    sign: bool,
    overflow: bool,
}

impl Flags {
    /// Bits of EFLAGS.
    fn of(eflags: u64) -> Flags {
        let bit = |n: u32| eflags >> n & 1 == 1;
        Flags { zero: bit(6), carry: bit(0), sign: bit(7), overflow: bit(11) }
    }

    fn of_logic(result: u64, bits: u32) -> Flags {
        Flags { zero: result == 0, carry: false, sign: result >> (bits - 1) & 1 == 1, overflow: false }
    }

    /// `None` for the conditions that need the parity.
    fn meet(self, condition: ConditionCode) -> Option<bool> {
        let Flags { zero, carry, sign, overflow } = self;
        Some(match condition {
            ConditionCode::e => zero,
            ConditionCode::ne => !zero,
            ConditionCode::b => carry,
            ConditionCode::ae => !carry,
            ConditionCode::be => carry || zero,
            ConditionCode::a => !carry && !zero,
            ConditionCode::s => sign,
            ConditionCode::ns => !sign,
            ConditionCode::l => sign != overflow,
            ConditionCode::ge => sign == overflow,
            ConditionCode::le => zero || sign != overflow,
            ConditionCode::g => !zero && sign == overflow,
            ConditionCode::o => overflow,
            ConditionCode::no => !overflow,
            _ => return None,
        })
    }
}

/// A word that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Read {
    at: u64,
    size: u64,
    value: u64,
}

/// A loop that never ends.
#[derive(Debug, PartialEq, Eq)]
struct Endless {
    rounds: usize,
    /// What is read in a round, in order.
    reads: Vec<Read>,
    /// The lowest bit alone decides: the count of a sequence lock.
    parity: bool,
}

/// What the code is carried out on.
struct Machine<'a> {
    registers: [u64; 16],
    /// `None`: not known.
    flags: Option<Flags>,
    counter: u64,
    memory: &'a dyn Fn(u64, u64) -> Option<u64>,
    reads: Vec<Read>,
    parity: bool,
}

fn mask(bits: u32) -> u64 {
    u64::MAX >> (64 - bits)
}

impl Machine<'_> {
    fn register(&self, register: Register) -> Option<u64> {
        if matches!(register, Register::AH | Register::BH | Register::CH | Register::DH) || !register.is_gpr() {
            return None;
        }
        let value = self.registers.get(register.full_register().number())?;
        Some(value & mask(u32::try_from(register.size()).ok()? * 8))
    }

    fn set_register(&mut self, register: Register, value: u64) -> Option<()> {
        if matches!(register, Register::AH | Register::BH | Register::CH | Register::DH) || !register.is_gpr() {
            return None;
        }
        let slot = self.registers.get_mut(register.full_register().number())?;
        *slot = match register.size() {
            8 => value,
            4 => value & mask(32),
            2 => *slot & !mask(16) | value & mask(16),
            1 => *slot & !mask(8) | value & mask(8),
            _ => return None,
        };
        Some(())
    }

    /// Where an operand in memory lies; nothing for per-CPU ones.
    fn place(&self, instruction: &Instruction, operand: u32) -> Option<u64> {
        if matches!(instruction.memory_segment(), Register::GS | Register::FS) {
            return None;
        }
        instruction.virtual_address(operand, 0, |register, _, _| match register {
            Register::DS | Register::ES | Register::SS | Register::CS => Some(0),
            register => self.register(register),
        })
    }

    /// Bits of an operand.
    fn width(instruction: &Instruction, operand: u32) -> Option<u32> {
        let bytes = match instruction.op_kind(operand) {
            OpKind::Register => instruction.op_register(operand).size(),
            OpKind::Memory => instruction.memory_size().size(),
            _ => return None,
        };
        u32::try_from(bytes).ok().filter(|bytes| matches!(bytes, 1 | 2 | 4 | 8)).map(|bytes| bytes * 8)
    }

    fn value(&mut self, instruction: &Instruction, operand: u32) -> Option<u64> {
        match instruction.op_kind(operand) {
            OpKind::Register => self.register(instruction.op_register(operand)),
            OpKind::Memory => {
                let at = self.place(instruction, operand)?;
                let size = u64::from(Self::width(instruction, operand)? / 8);
                let value = (self.memory)(at, size)?;
                if self.reads.len() < MAX_READS {
                    self.reads.push(Read { at, size, value });
                }
                Some(value)
            }
            OpKind::Immediate8
            | OpKind::Immediate16
            | OpKind::Immediate32
            | OpKind::Immediate64
            | OpKind::Immediate8to16
            | OpKind::Immediate8to32
            | OpKind::Immediate8to64
            | OpKind::Immediate32to64 => Some(instruction.immediate(operand)),
            _ => None,
        }
    }

    /// Only registers are written: a loop that writes to memory changes something in each round.
    fn store(&mut self, instruction: &Instruction, value: u64) -> Option<()> {
        match instruction.op_kind(0) {
            OpKind::Register => self.set_register(instruction.op_register(0), value),
            _ => None,
        }
    }

    /// Carries out one instruction; `None` for those that are not known, write, call or leave the function.
    fn step(&mut self, instruction: &Instruction) -> Option<()> {
        let mut next = instruction.next_ip();
        let bits = Self::width(instruction, 0);
        match instruction.mnemonic() {
            Mnemonic::Nop | Mnemonic::Pause | Mnemonic::Lfence | Mnemonic::Endbr64 => {}
            _ if instruction.has_lock_prefix() || instruction.has_rep_prefix() || instruction.has_repne_prefix() => {
                return None;
            }
            Mnemonic::Jmp => next = near(instruction)?,
            _ if instruction.is_jcc_short_or_near() => {
                if self.flags?.meet(instruction.condition_code())? {
                    next = near(instruction)?;
                }
            }
            Mnemonic::Mov => {
                let value = self.value(instruction, 1)?;
                self.store(instruction, value)?;
            }
            Mnemonic::Movzx => {
                let value = self.value(instruction, 1)?;
                self.store(instruction, value)?;
            }
            Mnemonic::Movsx | Mnemonic::Movsxd => {
                let from = Self::width(instruction, 1)?;
                let value = self.value(instruction, 1)?;
                self.store(instruction, ((value << (64 - from)) as i64 >> (64 - from)) as u64)?;
            }
            Mnemonic::Lea => {
                let at = self.place(instruction, 1)?;
                self.store(instruction, at)?;
            }
            Mnemonic::Cmp | Mnemonic::Sub => {
                let (bits, a, b) = (bits?, self.value(instruction, 0)?, self.value(instruction, 1)?);
                let (a, b) = (a & mask(bits), b & mask(bits));
                let result = a.wrapping_sub(b) & mask(bits);
                let sign = |value: u64| value >> (bits - 1) & 1 == 1;
                let overflow = sign(a) != sign(b) && sign(result) != sign(a);
                if instruction.mnemonic() == Mnemonic::Sub {
                    self.store(instruction, result)?;
                }
                self.flags = Some(Flags { zero: result == 0, carry: a < b, sign: sign(result), overflow });
            }
            Mnemonic::Add => {
                let (bits, a, b) = (bits?, self.value(instruction, 0)?, self.value(instruction, 1)?);
                let (a, b) = (a & mask(bits), b & mask(bits));
                let result = a.wrapping_add(b) & mask(bits);
                let sign = |value: u64| value >> (bits - 1) & 1 == 1;
                let overflow = sign(a) == sign(b) && sign(result) != sign(a);
                self.store(instruction, result)?;
                self.flags = Some(Flags { zero: result == 0, carry: result < a, sign: sign(result), overflow });
            }
            mnemonic @ (Mnemonic::And | Mnemonic::Test | Mnemonic::Or | Mnemonic::Xor) => {
                let (bits, a, b) = (bits?, self.value(instruction, 0)?, self.value(instruction, 1)?);
                let result = mask(bits)
                    & match mnemonic {
                        Mnemonic::Or => a | b,
                        Mnemonic::Xor => a ^ b,
                        _ => a & b,
                    };
                if mnemonic != Mnemonic::Test {
                    self.store(instruction, result)?;
                }
                self.parity |= matches!(mnemonic, Mnemonic::Test | Mnemonic::And) && b == 1;
                self.flags = Some(Flags::of_logic(result, bits));
            }
            Mnemonic::Bt => {
                let (bits, a, b) = (bits?, self.value(instruction, 0)?, self.value(instruction, 1)?);
                // A bit of memory may lie beyond the word.
                (instruction.op_kind(0) == OpKind::Register).then_some(())?;
                let flags = self.flags?;
                self.flags = Some(Flags { carry: a >> (b % u64::from(bits)) & 1 == 1, ..flags });
            }
            Mnemonic::Shl | Mnemonic::Shr | Mnemonic::Sar => {
                let (bits, a) = (bits?, self.value(instruction, 0)?);
                let by = u32::try_from(self.value(instruction, 1)? & if bits == 64 { 63 } else { 31 }).ok()?;
                let signed = ((a << (64 - bits)) as i64) >> (64 - bits);
                let result = match instruction.mnemonic() {
                    Mnemonic::Shl => a.checked_shl(by).unwrap_or(0),
                    Mnemonic::Shr => (a & mask(bits)).checked_shr(by).unwrap_or(0),
                    _ => (signed >> by.min(63)) as u64,
                };
                self.store(instruction, result & mask(bits))?;
                self.flags = None;
            }
            Mnemonic::Not => {
                let value = self.value(instruction, 0)?;
                self.store(instruction, !value)?;
            }
            _ if instruction.condition_code() != ConditionCode::None && instruction.op_count() == 2 => {
                // cmovcc reads its source in any case.
                let value = self.value(instruction, 1)?;
                let value =
                    if self.flags?.meet(instruction.condition_code())? { value } else { self.value(instruction, 0)? };
                self.store(instruction, value)?;
            }
            _ if instruction.condition_code() != ConditionCode::None && instruction.op_count() == 1 => {
                let set = self.flags?.meet(instruction.condition_code())?;
                self.store(instruction, u64::from(set))?;
            }
            _ => return None,
        }
        self.counter = next;
        Some(())
    }
}

/// Target of a jump within the code.
fn near(instruction: &Instruction) -> Option<u64> {
    matches!(instruction.op0_kind(), OpKind::NearBranch64).then(|| instruction.near_branch_target())
}

/// Carries the code out from `start` until all is as it was at an earlier passage of `start`.
fn endless(
    start: u64,
    registers: [u64; 16],
    flags: Option<Flags>,
    code: &dyn Fn(u64) -> Option<Vec<u8>>,
    memory: &dyn Fn(u64, u64) -> Option<u64>,
) -> Option<Endless> {
    let mut machine = Machine { registers, flags, counter: start, memory, reads: Vec::new(), parity: false };
    let mut decoded: HashMap<u64, Instruction> = HashMap::new();
    // Brent's way to find a cycle: the state is compared with one that is taken anew at each power of two.
    let (mut kept, mut passed, mut taken) = ((machine.registers, machine.flags), 0usize, 0usize);
    for _ in 0..MAX_STEPS {
        let counter = machine.counter;
        let instruction = match decoded.get(&counter) {
            Some(instruction) => *instruction,
            None => {
                let bytes = code(counter)?;
                let instruction = Decoder::with_ip(64, &bytes, counter, DecoderOptions::NONE).decode();
                decoded.insert(counter, instruction);
                instruction
            }
        };
        if instruction.is_invalid() {
            return None;
        }
        machine.step(&instruction)?;
        if machine.counter != start {
            continue;
        }
        passed += 1;
        let state = (machine.registers, machine.flags);
        if state == kept {
            let (rounds, parity) = (passed - taken, machine.parity);
            return Some(Endless { rounds, reads: machine.reads, parity });
        }
        if passed.is_power_of_two() {
            (kept, taken) = (state, passed);
            machine.reads.clear();
            machine.parity = false;
        }
    }
    None
}

/// Names of the general registers in the order of their numbers, as an oops prints them.
const NAMES: [&str; 16] =
    ["RAX", "RCX", "RDX", "RBX", "RSP", "RBP", "RSI", "RDI", "R08", "R09", "R10", "R11", "R12", "R13", "R14", "R15"];

impl Kernel<'_> {
    /// The `mem.loop` fact of a lockup whose registers the log has. `None` where the loop could end, or nobody knows.
    pub fn loop_fact(&self, lockup: &Oops<'_>) -> Option<Fact> {
        if self.arch() != Arch::X86_64 {
            return None;
        }
        let start = self.faulting_address(lockup)?;
        let mut registers = [0; 16];
        for (slot, name) in registers.iter_mut().zip(NAMES) {
            *slot = lockup.register(name)?;
        }
        let flags = lockup.register("EFLAGS").map(Flags::of);
        let code = |at: u64| self.bytes(VirtAddr(at), LONGEST).ok();
        let memory = |at: u64, size: u64| {
            let at = VirtAddr(at);
            self.arch().is_kernel(at).then(|| self.uint(at, size).ok()).flatten()
        };
        let found = endless(start.0, registers, flags, &code, &memory)?;
        let function = lockup.function.split('.').next().unwrap_or(lockup.function);
        let mut words = found.reads.clone();
        words.sort_by_key(|read| (read.at, read.size));
        words.dedup();
        let origin = facts::Origin::derived(self.member(), "code and registers of the lockup, carried out on memory");
        let fact = Fact::new("mem.loop", origin)
            .with("function", lockup.function)
            .with_opt("within", lockup.within)
            .with("rounds", found.rounds)
            .recheck(format!("crash> dis -rl {function}"));
        if let [word] = words[..] {
            let what = self.what(VirtAddr(word.at));
            let name = match &what.symbol {
                Some(symbol) => {
                    let module = what.module.as_ref().map(|module| format!(" [{module}]")).unwrap_or_default();
                    format!("{symbol}{module} ({:#x})", word.at)
                }
                None => format!("{:#x}, {}", word.at, what.summary()),
            };
            let odd = match found.parity && word.value & 1 == 1 {
                true => ": its lowest bit stays set, a sequence count whose writer did not end, or a lock",
                false => "",
            };
            let holds = match word.value == word.at {
                true => "points at itself: an empty list, or an entry that leads to itself".to_owned(),
                false => format!("holds {:#x}{odd}", word.value),
            };
            let text = format!("{function} goes round until {name} changes, which {holds}");
            return Some(
                fact.with("word", Address(word.at))
                    .with_opt("symbol", what.symbol)
                    .with("what", text.as_str())
                    .quoting(text),
            );
        }
        let ring = ring(&found.reads);
        let text = match &ring[..] {
            [] if words.is_empty() => format!("{function} goes round without reading memory: nothing can end it"),
            [] => {
                let named = words.iter().take(MAX_NAMED).map(|w| format!("{:#x} = {:#x}", w.at, w.value));
                let more = if words.len() > MAX_NAMED { ", ..." } else { "" };
                let named: Vec<String> = named.collect();
                format!("{function} goes round until one of {} words changes: {}{more}", words.len(), named.join(", "))
            }
            entries => {
                let named: Vec<String> = entries.iter().take(MAX_NAMED).map(|at| format!("{at:#x}")).collect();
                let more = if entries.len() > MAX_NAMED { ", ..." } else { "" };
                let first = entries.first().map(|at| self.what(VirtAddr(*at)).summary()).unwrap_or_default();
                format!(
                    "{function} walks a list that leads back into itself after {} entr{} ({}{more}; the first is {first}) and \
                     never comes to its end: the list is damaged, or an entry was added twice",
                    entries.len(),
                    if entries.len() == 1 { "y" } else { "ies" },
                    named.join(", "),
                )
            }
        };
        let ring: Vec<Value> = ring.into_iter().take(MAX_NAMED).map(|at| Address(at).into()).collect();
        let fact = if ring.is_empty() { fact } else { fact.with("ring", ring) };
        Some(fact.with("what", text.as_str()).quoting(text))
    }
}

/// The pointers that lead from one to the next and back to the first, where the words that are read hold such a ring: all
/// at the same distance from where they lead.
fn ring(reads: &[Read]) -> Vec<u64> {
    let pointers: HashMap<u64, u64> =
        reads.iter().filter(|r| r.size == 8 && r.value >= LOWEST).map(|r| (r.at, r.value)).collect();
    let Some(first) = reads.iter().find(|r| pointers.contains_key(&r.at)) else { return Vec::new() };
    // A pointer may lead to the start of an entry, and the next one lie within it.
    let distances = pointers.keys().map(|at| at.wrapping_sub(first.value)).filter(|distance| *distance < 1 << 16);
    let mut longest = Vec::new();
    for distance in distances {
        let (mut at, mut entries) = (first.at, Vec::new());
        while let Some(to) = pointers.get(&at)
            && entries.len() <= pointers.len()
        {
            entries.push(*to);
            at = to.wrapping_add(distance);
            if at == first.at {
                if entries.len() > longest.len() {
                    longest = std::mem::take(&mut entries);
                }
                break;
            }
        }
    }
    longest
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: u64 = 0xffff_ffff_c000_0000;

    /// Runs code on words of memory: address and value.
    fn run(code: &[u8], registers: &[(usize, u64)], words: &[(u64, u64)]) -> Option<Endless> {
        let mut all = [0u64; 16];
        for (number, value) in registers {
            all[*number] = *value;
        }
        let fetch = |at: u64| {
            let from = usize::try_from(at.checked_sub(START)?).ok()?;
            code.get(from..).filter(|rest| !rest.is_empty()).map(<[u8]>::to_vec)
        };
        let read = |at: u64, size: u64| {
            words.iter().find(|(place, _)| *place == at).map(|(_, value)| value & mask(size as u32 * 8))
        };
        endless(START, all, Some(Flags::of(0x246)), &fetch, &read)
    }

    const A: u64 = 0xffff_8880_0000_1000;
    const B: u64 = 0xffff_8880_0000_2000;
    const C: u64 = 0xffff_8880_0000_3000;

    #[test]
    fn a_count_that_stays_odd_is_waited_for_for_ever() {
        // mov eax,[rdi]; test al,1; jne start; ret
        let code = [0x8b, 0x07, 0xa8, 0x01, 0x75, 0xfa, 0xc3];
        let found = run(&code, &[(7, A)], &[(A, 1)]).expect("it never ends");
        assert_eq!((found.rounds, found.parity), (1, true));
        assert_eq!(found.reads.last(), Some(&Read { at: A, size: 4, value: 1 }));
        assert_eq!(run(&code, &[(7, A)], &[(A, 2)]), None);
        assert_eq!(run(&code, &[(7, A)], &[]), None, "the word is not in the dump");
    }

    #[test]
    fn a_list_that_is_a_ring_is_told_from_one_that_ends() {
        // mov rax,[rax]; test rax,rax; je end; cmp dword [rax+8],edx; jne start; end: ret
        let code = [0x48, 0x8b, 0x00, 0x48, 0x85, 0xc0, 0x74, 0x05, 0x39, 0x50, 0x08, 0x75, 0xf3, 0xc3];
        let keys = [(A + 8, 1), (B + 8, 2), (C + 8, 3)];
        let list = |next: [(u64, u64); 3]| [&next[..], &keys[..]].concat();
        let found = run(&code, &[(0, A), (2, 9)], &list([(A, B), (B, C), (C, B)])).expect("a ring of B and C");
        assert_eq!(found.rounds, 2);
        let mut entries = ring(&found.reads);
        entries.sort_unstable();
        assert_eq!(entries, [B, C]);
        assert_eq!(run(&code, &[(0, A), (2, 9)], &list([(A, B), (B, C), (C, 0)])), None, "it ends");
        assert_eq!(run(&code, &[(0, A), (2, 3)], &list([(A, B), (B, C), (C, B)])), None, "it finds its key");
        // An entry that leads to itself.
        let found = run(&code, &[(0, A), (2, 9)], &list([(A, A), (B, C), (C, B)])).expect("a ring of one");
        assert_eq!(ring(&found.reads), [A]);
    }

    #[test]
    fn a_loop_that_counts_writes_or_calls_is_none() {
        // inc rax is not known; add rax,1; jmp start
        assert_eq!(run(&[0x48, 0x83, 0xc0, 0x01, 0xeb, 0xfa], &[], &[]), None);
        // mov [rdi],rax; jmp start
        assert_eq!(run(&[0x48, 0x89, 0x07, 0xeb, 0xfb], &[(7, A)], &[(A, 0)]), None);
        // call start; lock add [rdi],eax; rdtsc
        for code in [&[0xe8, 0xfb, 0xff, 0xff, 0xff][..], &[0xf0, 0x01, 0x07, 0xeb, 0xfb], &[0x0f, 0x31, 0xeb, 0xfc]] {
            assert_eq!(run(code, &[(7, A)], &[(A, 0)]), None);
        }
        // pause; jmp start
        let found = run(&[0xf3, 0x90, 0xeb, 0xfc], &[], &[]).expect("nothing ends it");
        assert!(found.reads.is_empty());
    }

    #[test]
    fn no_bytes_make_it_panic() {
        let mut seed = 1u64;
        for _ in 0..20_000 {
            let mut code = [0u8; 24];
            for byte in &mut code {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                *byte = (seed >> 40) as u8;
            }
            let registers: Vec<(usize, u64)> = (0..16).map(|n| (n, seed.rotate_left(n as u32))).collect();
            let _ = run(&code, &registers, &[(A, 1)]);
        }
    }
}
