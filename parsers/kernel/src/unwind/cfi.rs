//! DWARF call-frame information of a vmlinux, for x86-64 kernels without ORC tables (before 4.14).
//!
//! `.debug_frame` describes every function of C code, and in kernels of that time the assembler's entry code too. All
//! sixteen registers are followed, since a rule may count from any of them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, RwLock};

use gimli::{
    BaseAddresses, CfaRule, CieOrFde, DebugFrame, EvaluationResult, Location, Register, RegisterRule, UnwindContext,
    UnwindExpression, UnwindSection, Value,
};

use super::{General, Registers, Target};
use crate::types::vmlinux::Vmlinux;

type Reader = gimli::EndianArcSlice<gimli::LittleEndian>;
type Row = gimli::UnwindTableRow<usize>;

/// Numbers that DWARF gives the registers.
const RBP: usize = 6;
const RSP: usize = 7;
const RETURN: usize = 16;
/// Of each register in the order of `pt_regs` (r15 to rdi), its number in DWARF.
const PT_REGS_ORDER: [usize; 15] = [15, 14, 13, 12, RBP, 3, 11, 10, 9, 8, 0, 2, 1, 4, 5];
/// Reads of memory and registers in one expression. The longest in a kernel has two.
const MAX_STEPS: usize = 64;
/// A kernel has some 60,000 functions.
const MAX_FDES: usize = 4_000_000;

/// The registers of one frame, by DWARF's numbers; `None` where a call may have changed one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Known([Option<u64>; 17]);

impl Known {
    /// What a full or partial register set tells.
    pub(crate) fn of(registers: &Registers) -> Known {
        let mut known = Known::default();
        if let Some(General::X86_64(general)) = &registers.general {
            for (number, value) in PT_REGS_ORDER.iter().zip(general) {
                known.set(*number, Some(*value));
            }
        }
        known.set(RBP, Some(registers.fp));
        known.set(RSP, Some(registers.sp));
        known
    }

    /// With r15, r14, r13, r12 and rbx as a sleeper left them.
    pub(crate) fn with(mut self, saved: [Option<u64>; 5]) -> Known {
        for (number, value) in [15, 14, 13, 12, 3].into_iter().zip(saved) {
            if value.is_some() {
                self.set(number, value);
            }
        }
        self
    }

    /// As a register set of code at `pc`; what is not known reads as 0. `None` without a stack pointer.
    pub(crate) fn registers(&self, pc: u64) -> Option<Registers> {
        let general = PT_REGS_ORDER.map(|number| self.get(number).unwrap_or(0));
        let (sp, fp) = (self.sp()?, self.bp().unwrap_or(0));
        Some(Registers { pc, sp, fp, user: false, general: Some(General::X86_64(general)) })
    }

    fn set(&mut self, number: usize, value: Option<u64>) {
        if let Some(place) = self.0.get_mut(number) {
            *place = value;
        }
    }

    fn get(&self, number: usize) -> Option<u64> {
        self.0.get(number).copied().flatten()
    }

    pub(crate) fn bp(&self) -> Option<u64> {
        self.get(RBP)
    }

    pub(crate) fn sp(&self) -> Option<u64> {
        self.get(RSP)
    }
}

/// The caller of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Caller {
    /// `None`: the frame is the outermost.
    pub(crate) pc: Option<u64>,
    /// Whether `pc` is the next instruction, as behind an interrupt.
    pub(crate) exact: bool,
    /// Where the return address lies in memory, if it does.
    pub(crate) place: Option<u64>,
    pub(crate) known: Known,
}

/// The call-frame information of a kernel.
pub struct Cfi {
    section: DebugFrame<Reader>,
    bases: BaseAddresses,
    /// First address, end and place of each function's entry, by link address.
    functions: Vec<(u64, u64, usize)>,
    /// Run-time less link-time addresses.
    slide: u64,
    context: Mutex<UnwindContext<usize>>,
    rows: RwLock<HashMap<u64, Option<(Row, bool)>>>,
}

impl Cfi {
    /// From the `.debug_frame` of a vmlinux.
    ///
    /// # Errors
    /// A sentence when it has none, or it cannot be read.
    pub(crate) fn open(file: &Vmlinux, slide: u64) -> Result<Cfi, String> {
        let bytes: Arc<[u8]> = file.section(".debug_frame")?.into();
        if bytes.is_empty() {
            return Err("it has no .debug_frame".into());
        }
        let mut section = DebugFrame::from(Reader::new(bytes, gimli::LittleEndian));
        section.set_address_size(8);
        let bases = BaseAddresses::default();
        let mut functions = Vec::new();
        let mut cies = HashMap::new();
        let mut entries = section.entries(&bases);
        while let Ok(Some(entry)) = entries.next() {
            let CieOrFde::Fde(partial) = entry else { continue };
            let fde = partial.parse(|section, bases, offset| match cies.get(&offset.0) {
                Some(cie) => Ok(gimli::CommonInformationEntry::clone(cie)),
                None => {
                    let cie = section.cie_from_offset(bases, offset)?;
                    cies.insert(offset.0, cie.clone());
                    Ok(cie)
                }
            });
            if let Ok(fde) = fde
                && functions.len() < MAX_FDES
            {
                functions.push((fde.initial_address(), fde.end_address(), fde.offset()));
            }
        }
        functions.sort_unstable();
        Ok(Cfi { section, bases, functions, slide, context: Mutex::new(UnwindContext::new()), rows: RwLock::default() })
    }

    /// The rules at an address, and whether what it returns to was interrupted there.
    fn row(&self, at: u64) -> Option<(Row, bool)> {
        if let Ok(rows) = self.rows.read()
            && let Some(row) = rows.get(&at)
        {
            return row.clone();
        }
        let row = self.find_row(at);
        if let Ok(mut rows) = self.rows.write() {
            rows.insert(at, row.clone());
        }
        row
    }

    fn find_row(&self, at: u64) -> Option<(Row, bool)> {
        let at = at.wrapping_sub(self.slide);
        let after = self.functions.partition_point(|(start, ..)| *start <= at);
        let (_, end, offset) = *self.functions.get(after.checked_sub(1)?)?;
        if at >= end {
            return None;
        }
        let fde = self.section.fde_from_offset(&self.bases, offset.into(), UnwindSection::cie_from_offset).ok()?;
        let mut context = self.context.lock().ok()?;
        let row = fde.unwind_info_for_address(&self.section, &self.bases, &mut context, at).ok()?;
        Some((row.clone(), fde.is_signal_trampoline()))
    }

    /// The caller of the frame whose instruction `at` describes.
    ///
    /// # Errors
    /// A sentence that says what is missing.
    pub(crate) fn caller(&self, target: &dyn Target, at: u64, known: &Known) -> Result<Caller, String> {
        let (row, interrupted) = self.row(at).ok_or_else(|| format!("no call-frame information for {at:#x}"))?;
        let absent = || format!("what call-frame information counts from at {at:#x} is not known");
        let cfa = match row.cfa() {
            CfaRule::RegisterAndOffset { register, offset } => {
                known.get(register.0.into()).ok_or_else(absent)?.wrapping_add_signed(*offset)
            }
            CfaRule::Expression(expression) => self.evaluate(target, expression, known, None).ok_or_else(absent)?,
        };
        let mut caller = Known::default();
        let mut place = None;
        for number in 0..=RETURN {
            let rule = row.register(Register(number as u16));
            let value = match &rule {
                // The callee keeps rbx, rbp and r12 to r15; the stack pointer is the frame's own address.
                None | Some(RegisterRule::SameValue) => match number {
                    RSP => Some(cfa),
                    3 | RBP | 12..=15 => known.get(number),
                    _ => None,
                },
                Some(RegisterRule::Offset(offset)) => {
                    let at = cfa.wrapping_add_signed(*offset);
                    place = if number == RETURN { Some(at) } else { place };
                    target.word(at)
                }
                Some(RegisterRule::ValOffset(offset)) => Some(cfa.wrapping_add_signed(*offset)),
                Some(RegisterRule::Register(other)) => known.get(other.0.into()),
                Some(RegisterRule::Expression(expression)) => {
                    let at = self.evaluate(target, expression, known, Some(cfa));
                    place = if number == RETURN { at } else { place };
                    at.and_then(|at| target.word(at))
                }
                Some(RegisterRule::ValExpression(expression)) => self.evaluate(target, expression, known, Some(cfa)),
                Some(RegisterRule::Constant(value)) => Some(*value),
                Some(_) => None,
            };
            if number == RETURN && value.is_none() {
                return match rule {
                    None | Some(RegisterRule::Undefined) => {
                        Ok(Caller { pc: None, exact: false, place: None, known: caller })
                    }
                    _ => Err(format!("the return address of {at:#x} is not in the dump")),
                };
            }
            caller.set(number, value);
        }
        let pc = caller.get(RETURN);
        Ok(Caller { pc, exact: interrupted, place, known: caller })
    }

    fn evaluate(
        &self,
        target: &dyn Target,
        expression: &UnwindExpression<usize>,
        known: &Known,
        cfa: Option<u64>,
    ) -> Option<u64> {
        let expression = expression.get(&self.section).ok()?;
        let encoding = gimli::Encoding { address_size: 8, format: gimli::Format::Dwarf32, version: 4 };
        let mut evaluation = expression.evaluation(encoding);
        evaluation.set_max_iterations(1024);
        if let Some(cfa) = cfa {
            evaluation.set_initial_value(cfa);
        }
        let mut state = evaluation.evaluate().ok()?;
        for _ in 0..MAX_STEPS {
            state = match state {
                EvaluationResult::RequiresMemory { address, size, .. } => {
                    let word = target.word(address)?;
                    let word = if size >= 8 { word } else { word & ((1 << (8 * size)) - 1) };
                    evaluation.resume_with_memory(Value::Generic(word)).ok()?
                }
                EvaluationResult::RequiresRegister { register, .. } => {
                    evaluation.resume_with_register(Value::Generic(known.get(register.0.into())?)).ok()?
                }
                EvaluationResult::RequiresCallFrameCfa => evaluation.resume_with_call_frame_cfa(cfa?).ok()?,
                EvaluationResult::Complete => {
                    return match evaluation.as_result() {
                        [piece] => match &piece.location {
                            Location::Address { address } => Some(*address),
                            Location::Value { value } => value.to_u64(u64::MAX).ok(),
                            _ => None,
                        },
                        _ => None,
                    };
                }
                _ => return None,
            };
        }
        None
    }
}
