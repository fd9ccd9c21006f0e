//! What is known of a value, of all places that hold values, and what is left of it where control joins.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::step::{REGISTERS, Register};
use crate::types::{TypeRef, Types};

/// Longest way that is told.
const MAX_PATH: usize = 160;

/// Where a value was made. One place in the code makes values of one type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Origin {
    Parameter(u8),
    /// The instruction at that address, in that register.
    Made(u64, Register),
    /// One of several, where control joins.
    Joined(u64, Spot),
}

/// A place that holds a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Spot {
    Register(Register),
    /// Bytes from the stack pointer at the function's start.
    Stack(i64),
}

/// A 64-bit value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    /// The stack pointer at the function's start, plus.
    Stack(i64),
    Constant(u64),
    Pointer(Pointer),
}

/// A value that may be a pointer.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Pointer {
    pub(super) origin: Origin,
    /// What it leads to.
    pub(super) to: Option<TypeRef>,
    /// Added since it was made.
    pub(super) plus: i64,
    /// How it was come by: `net->ipv6.mr6_tables.next`.
    pub(super) path: Option<Rc<str>>,
    /// It may also be what lies further on: an entry of a list that is walked.
    pub(super) repeated: bool,
}

impl Pointer {
    pub(super) fn made(origin: Origin) -> Pointer {
        Pointer { origin, to: None, plus: 0, path: None, repeated: false }
    }
}

/// The way to a member that was loaded, or to what it points at.
pub(super) fn path_to(parent: Option<&str>, member: &str) -> Option<Rc<str>> {
    let parent = parent?;
    (parent.len() + member.len() < MAX_PATH).then(|| Rc::from(format!("{parent}->{member}")))
}

/// What all the places hold.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct State {
    pub(super) registers: [Option<Value>; REGISTERS],
    pub(super) stack: BTreeMap<i64, Value>,
    /// From here up the stack may be written by others: an address on it was taken.
    pub(super) shared: i64,
}

impl State {
    pub(super) fn empty() -> State {
        State { registers: [const { None }; REGISTERS], stack: BTreeMap::new(), shared: i64::MAX }
    }

    pub(super) fn get(&self, register: Register) -> Option<&Value> {
        self.registers.get(usize::from(register))?.as_ref()
    }

    pub(super) fn set(&mut self, register: Register, value: Option<Value>) {
        if let Some(slot) = self.registers.get_mut(usize::from(register)) {
            *slot = value;
        }
    }

    /// What is left of this at `at`, where control comes from another place with `other`. Says whether it changed.
    pub(super) fn join(&mut self, other: &State, at: u64, types: &Types) -> bool {
        let before = self.clone();
        for (nth, slot) in self.registers.iter_mut().enumerate() {
            let theirs = other.registers.get(nth).and_then(Option::as_ref);
            *slot = slot.take().and_then(|ours| join(ours, theirs?, at, Spot::Register(nth as Register), types));
        }
        let ours = std::mem::take(&mut self.stack);
        self.stack = ours
            .into_iter()
            .filter_map(|(offset, value)| {
                Some((offset, join(value, other.stack.get(&offset)?, at, Spot::Stack(offset), types)?))
            })
            .collect();
        self.shared = self.shared.min(other.shared);
        *self != before
    }

    /// Forgets what the stack holds in `size` bytes at `offset`.
    pub(super) fn forget(&mut self, offset: i64, size: i64) {
        let touched: Vec<i64> =
            self.stack.range(offset.saturating_sub(7)..offset.saturating_add(size)).map(|(at, _)| *at).collect();
        for at in touched {
            self.stack.remove(&at);
        }
    }

    /// Others may have written where an address of the stack was taken.
    pub(super) fn forget_shared(&mut self) {
        if self.shared != i64::MAX {
            self.stack.split_off(&self.shared);
        }
    }
}

/// What holds of both values.
pub(super) fn join(ours: Value, theirs: &Value, at: u64, spot: Spot, types: &Types) -> Option<Value> {
    match (ours, theirs) {
        (ours, theirs) if ours == *theirs => Some(ours),
        // NULL is of every pointer's type.
        (Value::Constant(0), Value::Pointer(pointer)) => nullable(pointer.clone(), at, spot),
        (Value::Pointer(pointer), Value::Constant(0)) => nullable(pointer, at, spot),
        (Value::Pointer(ours), Value::Pointer(theirs)) => {
            let same = match (ours.to, theirs.to) {
                (Some(one), Some(other)) => types.same_structure(one, other),
                (None, None) => true,
                _ => false,
            };
            if !same || ours.plus != theirs.plus {
                return None;
            }
            let origin = if ours.origin == theirs.origin { ours.origin } else { Origin::Joined(at, spot) };
            let (path, repeated) = match (&ours.path, &theirs.path) {
                (Some(one), Some(other)) if one == other => (ours.path.clone(), ours.repeated || theirs.repeated),
                (Some(one), Some(other)) => {
                    // The shorter one is the way in; where neither is a part of the other nothing is told.
                    let (short, long) = if one.len() <= other.len() { (one, other) } else { (other, one) };
                    (long.starts_with(short.as_ref()).then(|| short.clone()), true)
                }
                _ => (None, false),
            };
            Some(Value::Pointer(Pointer { origin, to: ours.to.or(theirs.to), plus: ours.plus, path, repeated }))
        }
        _ => None,
    }
}

fn nullable(pointer: Pointer, at: u64, spot: Spot) -> Option<Value> {
    let typed = pointer.to.is_some() && pointer.plus == 0;
    typed.then_some(Value::Pointer(Pointer { origin: Origin::Joined(at, spot), ..pointer }))
}
