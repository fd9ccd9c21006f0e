//! What one instruction changes: the types of registers and stack slots after it.

use std::rc::Rc;

use super::step::{Effect, Place, Register, Source};
use super::value::{self, Origin, Pointer, State, Value, path_to};
use super::{Callee, ENTRY, Followed};
use crate::VirtAddr;
use crate::types::TypeRef;

impl Followed<'_, '_> {
    pub(super) fn with_learnt(&self, mut pointer: Pointer) -> Pointer {
        if let (None, Some((to, plus))) = (pointer.to, self.learnt.get(&pointer.origin)) {
            (pointer.to, pointer.plus) = (Some(*to), plus.saturating_neg());
        }
        pointer
    }

    pub(super) fn apply(&self, at: u64, effects: &[Effect], state: &mut State) {
        let values: Vec<Option<Value>> = effects
            .iter()
            .map(|effect| match effect {
                Effect::Set(to, source) => self.value(at, *to, *source, state),
                Effect::Store(_, from) => state.get(*from).cloned(),
                Effect::Overwrite(..) => None,
            })
            .collect();
        let before: Vec<Option<Value>> = effects
            .iter()
            .map(|effect| match effect {
                Effect::Store(place, _) | Effect::Overwrite(place, _) => {
                    place.base.filter(|_| !place.per_cpu).and_then(|base| state.get(base).cloned())
                }
                Effect::Set(..) => None,
            })
            .collect();
        for ((effect, value), base) in effects.iter().zip(values).zip(before) {
            match effect {
                Effect::Set(to, source) => {
                    let frame = *to == self.convention.stack_pointer
                        || (*to == self.convention.frame_pointer && matches!(source, Source::Register(_, 0)))
                        || self.convention.large_by_address && *to == self.convention.frame_pointer;
                    if let Some(Value::Stack(offset)) = value
                        && !frame
                    {
                        state.shared = state.shared.min(offset);
                    }
                    state.set(*to, value);
                }
                Effect::Store(place, _) => store(place, base, 8, value, state),
                Effect::Overwrite(place, size) => store(place, base, *size as i64, None, state),
            }
        }
    }

    fn value(&self, at: u64, to: Register, source: Source, state: &State) -> Option<Value> {
        match source {
            Source::Register(from, plus) => match state.get(from)? {
                Value::Stack(offset) => Some(Value::Stack(offset.checked_add(plus)?)),
                Value::Constant(value) => Some(Value::Constant(value.wrapping_add(plus as u64))),
                Value::Pointer(pointer) => {
                    Some(Value::Pointer(Pointer { plus: pointer.plus.checked_add(plus)?, ..pointer.clone() }))
                }
            },
            Source::Either(one, other) => {
                let spot = value::Spot::Register(to);
                value::join(state.get(one)?.clone(), state.get(other)?, at, spot, self.kernel.types())
            }
            Source::Constant(value) => Some(Value::Constant(value)),
            Source::Current => {
                let mut pointer = Pointer::made(Origin::Made(at, to));
                pointer.to = self.kernel.types().find("struct task_struct");
                pointer.path = Some(Rc::from("current"));
                Some(Value::Pointer(pointer))
            }
            Source::Load(place) => self.load(at, to, place, state),
            Source::Unknown => None,
        }
    }

    pub(super) fn load(&self, at: u64, to: Register, place: Place, state: &State) -> Option<Value> {
        let made = Pointer::made(Origin::Made(at, to));
        let unknown = |pointer: Pointer| Some(Value::Pointer(self.with_learnt(pointer)));
        if place.per_cpu {
            return match self.per_cpu(place).filter(|_| place.base.is_none() && !place.indexed) {
                Some((ty, path)) => unknown(Pointer { to: Some(ty), path: Some(path), ..made }),
                None => unknown(made),
            };
        }
        let Some(base) = place.base.filter(|_| !place.indexed) else { return unknown(made) };
        match state.get(base) {
            Some(Value::Stack(offset)) => match state.stack.get(&offset.checked_add(place.offset)?) {
                Some(value) => Some(value.clone()),
                None => unknown(made),
            },
            Some(Value::Pointer(pointer)) => {
                let member = self.member(pointer, place.offset);
                let (to, path) = match member {
                    Some((to, member)) => (to, path_to(pointer.path.as_deref(), &member)),
                    None if pointer.to.is_none() => {
                        let at = pointer.plus.saturating_add(place.offset);
                        let sign = if at < 0 { "-" } else { "" };
                        (None, path_to(pointer.path.as_deref(), &format!("[{sign}{:#x}]", at.unsigned_abs())))
                    }
                    None => (None, None),
                };
                unknown(Pointer { to, path, ..made })
            }
            _ => unknown(made),
        }
    }

    /// The pointer in a per-CPU variable: what it leads to, and its name.
    fn per_cpu(&self, place: Place) -> Option<(TypeRef, Rc<str>)> {
        let types = self.kernel.types();
        let (name, within) = self.kernel.per_cpu_symbol(place.offset as u64)?;
        let leaf = types.leaves(types.variable(&name)?, within, 8).into_iter().next()?;
        let to = types.pointee(leaf.ty).filter(|_| leaf.within == 0)?;
        let path = match (name.as_str(), leaf.path.as_str()) {
            ("current_task" | "const_current_task", "") | ("pcpu_hot", "current_task") => "current".to_owned(),
            (_, "") => name,
            (_, member) => format!("{name}.{member}"),
        };
        Some((to, Rc::from(path)))
    }

    /// The pointer that is a member at a distance from a register: what it leads to, if that is known, and its name.
    fn member(&self, pointer: &Pointer, offset: i64) -> Option<(Option<TypeRef>, String)> {
        let types = self.kernel.types();
        let at = u64::try_from(pointer.plus.checked_add(offset)?).ok()?;
        let leaves = types.leaves(pointer.to?, at, 8);
        let exact: Vec<_> = leaves.into_iter().filter(|leaf| leaf.within == 0 && leaf.size == 8).collect();
        let first = exact.first()?;
        let name = if first.path.is_empty() { "*".to_owned() } else { first.path.clone() };
        let to = types.pointee(first.ty);
        // Members of a union have one type only where they agree.
        let agree = |other: &crate::types::functions::Leaf| match (to, types.pointee(other.ty)) {
            (Some(one), Some(other)) => types.same_structure(one, other),
            _ => false,
        };
        Some((to.filter(|_| exact.iter().skip(1).all(agree)), name))
    }

    pub(super) fn callee(&self, target: u64) -> Option<Callee> {
        let mut callees = self.callees.borrow_mut();
        callees
            .entry(target)
            .or_insert_with(|| {
                let end = VirtAddr(self.kernel.behind_veneer(target));
                let symbol = self.kernel.symbolize(end).filter(|s| s.offset == 0)?;
                let prototype = self.kernel.prototype(&symbol.name, symbol.module.as_deref());
                Some((symbol.name, prototype))
            })
            .clone()
    }

    pub(super) fn call(&self, at: u64, target: Option<u64>, through: Option<Register>, state: &mut State) {
        let callee = target.and_then(|target| self.callee(target));
        // A tracer's entry keeps all registers: it is where the function begins, and ftrace or nobody has its symbol.
        let tracer = match &callee {
            Some((name, _)) => name.contains("fentry") || name.contains("mcount") || name.contains("ftrace"),
            None => target.is_some(),
        };
        if tracer && at.wrapping_sub(self.graph.start) < ENTRY {
            return;
        }
        // Through a register, or through the thunk that stands for it.
        let through = through.or_else(|| {
            let (name, _) = callee.as_ref()?;
            let register = name.strip_prefix("__x86_indirect_thunk_")?.to_uppercase();
            let padded = match register.as_str() {
                "R8" => "R08",
                "R9" => "R09",
                other => other,
            };
            self.convention.names.iter().position(|name| *name == padded).map(|nth| nth as Register)
        });
        let types = self.kernel.types();
        let (name, prototype) = match (callee, through) {
            (_, Some(register)) => match state.get(register) {
                Some(Value::Pointer(pointer)) if pointer.plus == 0 => {
                    (pointer.path.as_deref().map(str::to_owned), pointer.to.and_then(|to| types.prototype_of(to)))
                }
                _ => (None, None),
            },
            (Some((name, prototype)), None) => (Some(name), prototype),
            (None, None) => (None, None),
        };
        for register in self.convention.clobbered {
            state.set(*register, None);
        }
        state.forget_shared();
        if let Some(Value::Stack(top)) = state.get(self.convention.stack_pointer) {
            // Below the stack pointer nothing outlives a call.
            state.stack = state.stack.split_off(&top.clone());
        }
        let mut pointer = Pointer::made(Origin::Made(at, self.convention.result));
        pointer.to = prototype.and_then(|p| types.pointee(p.result));
        pointer.path = name.map(|name| Rc::from(format!("{}()", name.split('.').next().unwrap_or(&name))));
        state.set(self.convention.result, Some(Value::Pointer(self.with_learnt(pointer))));
    }
}

/// Writes to memory: to the stack, or somewhere else, which may be a part of the stack whose address was taken.
fn store(place: &Place, base: Option<Value>, size: i64, value: Option<Value>, state: &mut State) {
    match base {
        Some(Value::Stack(offset)) if !place.per_cpu => {
            let at = offset.saturating_add(place.offset);
            if place.indexed || size == 0 {
                // Somewhere from there on.
                state.stack.split_off(&offset.min(at));
                return;
            }
            state.forget(at, size);
            if size == 8
                && let Some(value) = value
            {
                state.stack.insert(at, value);
            }
        }
        _ if place.per_cpu => {}
        _ => state.forget_shared(),
    }
}
