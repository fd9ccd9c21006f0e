//! Which type each register and stack slot has at an instruction of a function, found by following its code.
//!
//! Debug information would tell; kernels in production have none. What they have is BTF: the types of a function's
//! parameters, of the results of what it calls, of per-CPU variables and of all members. From there on the code tells:
//! it copies registers, loads members, stores to the stack and reads back. All ways to an instruction are followed, and
//! where they join only that is kept on which they agree. What is loaded from something without a type has none, until
//! it is given to a function that says what it takes.

mod arm64;
mod effects;
mod graph;
mod step;
mod value;
mod x86_64;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;

use self::graph::Graph;
use self::step::{Convention, Effect, Next, Place, Register, Source};
use self::value::{Origin, Pointer, State, Value};
use crate::types::TypeRef;
use crate::types::functions::Prototype;
use crate::{Arch, Kernel, VirtAddr};

/// How often a place is gone through again before the function is given up; two or three times is usual.
const MAX_VISITS: usize = 64;
/// How often types learnt from calls are put back to where the values were made.
const MAX_ROUNDS: usize = 4;
/// Bytes at a function's start in which a tracer is called.
const ENTRY: u64 = 12;

/// What is known of the access of an instruction.
#[derive(Clone, Debug)]
pub struct Access {
    /// Name of the base register, as an oops prints it.
    pub register: &'static str,
    /// Added to the register.
    pub offset: i64,
    /// Another register is added too.
    pub indexed: bool,
    /// Bytes that are accessed, 0 where that is not known.
    pub size: u64,
    /// What the register holds.
    pub held: Option<Held>,
}

/// What a register holds.
#[derive(Clone, Debug)]
pub struct Held {
    /// What the pointer leads to.
    pub to: Option<TypeRef>,
    /// Distance of the register from the pointer.
    pub plus: i64,
    /// How the pointer was come by: `net->ipv6.mr6_tables.next`.
    pub path: Option<String>,
    /// It may also be an entry further on.
    pub repeated: bool,
    /// It is this parameter of the function as it was given, counted from 0.
    pub parameter: Option<usize>,
    /// The structure around it, by what the code gives to other functions: its type, what is added to the pointer to
    /// come to it, and the function that takes it.
    pub around: Option<(TypeRef, i64, String)>,
}

/// A call, and where the pointer came from that it went through.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Call {
    /// The function that is called, where the instruction names it.
    pub target: Option<VirtAddr>,
    /// The register that holds the pointer, as an oops prints its name.
    pub register: Option<&'static str>,
    /// The memory that the pointer was read from.
    pub slot: Option<Slot>,
}

/// Memory that a pointer was read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    /// The instruction that read it: the call itself, or a load before it.
    pub at: VirtAddr,
    /// Base register; none where the address is absolute.
    pub base: Option<&'static str>,
    /// Added to the base, or the address itself.
    pub offset: i64,
    /// Where the base had been read from, if its register holds something else now.
    pub from: Option<Box<Slot>>,
}

impl Slot {
    /// `[RDI + 0x60] + 0x18`
    pub fn text(&self) -> String {
        match (&self.from, self.base) {
            (Some(from), _) => format!("[{}] + {:#x}", from.text(), self.offset),
            (None, Some(base)) => format!("{base} + {:#x}", self.offset),
            (None, None) => format!("{:#x}", self.offset),
        }
    }
}

/// Pointers that were read one through the other.
const MAX_LEVELS: usize = 3;

/// Instructions before a call among which its pointer is looked for.
const MAX_BEFORE: usize = 32;

/// The function that an address lies in, and the place in it.
struct Followed<'k, 'd> {
    kernel: &'k Kernel<'d>,
    convention: Convention,
    graph: Graph,
    prototype: Option<Prototype>,
    callees: RefCell<HashMap<u64, Option<Callee>>>,
    /// Types learnt from calls, for values without one.
    learnt: HashMap<Origin, (TypeRef, i64)>,
}

/// Name of a function, and what it takes and gives.
type Callee = (String, Option<Prototype>);

/// What a function was given: the value, and the type and function that say what it is.
type Given = BTreeMap<Origin, BTreeSet<(String, i64)>>;

impl Kernel<'_> {
    /// What the instruction at `at` accesses, through which register, and what that holds. `None` where the instruction
    /// accesses no memory through a register, or cannot be reached from the start of its function.
    pub fn access_at(&self, at: VirtAddr) -> Option<Access> {
        self.accesses(at, Some(at)).into_iter().next().map(|(_, access)| access)
    }

    /// The accesses through registers of the function that `at` lies in, by their addresses; with `only`, that one.
    pub fn accesses(&self, at: VirtAddr, only: Option<VirtAddr>) -> Vec<(VirtAddr, Access)> {
        self.followed(at).and_then(|mut followed| followed.accesses(only)).unwrap_or_default()
    }

    /// What the call that returns to `back` gives to the function at `callee` as its parameter `nth`, counted from 0.
    /// `None` where no call of that function ends there, and where nothing is known of the value.
    pub fn argument_at(&self, back: VirtAddr, callee: VirtAddr, nth: usize) -> Option<Held> {
        self.followed(back - 1)?.argument(back, callee, nth)
    }

    /// The call that returns to `back`. `None` where none does.
    pub fn call_before(&self, back: VirtAddr) -> Option<Call> {
        let followed = self.followed(back - 1)?;
        let (site, step) = followed.graph.before(back.0).next()?;
        let Next::Calls(target, through) = step.next else { return None };
        let names = followed.convention.names;
        let name = |register: Register| names.get(usize::from(register)).copied();
        let through = through.or_else(|| target.and_then(|to| self.thunk(VirtAddr(to), names)));
        let mut call = Call { target: target.map(VirtAddr), register: through.and_then(name), slot: None };
        call.slot = match through {
            Some(register) => followed.slot(site, register, BTreeSet::new(), MAX_LEVELS),
            None => {
                let place = step.access.map(|(place, _)| place).filter(|place| target.is_none() && place.is_plain());
                place.map(|place| followed.slot_at(site, place))
            }
        };
        Some(call)
    }

    /// The memory from which the register that the instruction at `at` goes through was read, shortly before it.
    pub fn slot_of(&self, at: VirtAddr, register: &str) -> Option<Slot> {
        let followed = self.followed(at)?;
        let number = followed.convention.names.iter().position(|name| *name == register)?;
        followed.slot(at.0, Register::try_from(number).ok()?, BTreeSet::new(), MAX_LEVELS)
    }

    /// The register that a thunk jumps through (arch/x86/lib/retpoline.S: `__x86_indirect_thunk_rax`; from v5.17 on one
    /// array with an entry of 32 bytes for each register).
    fn thunk(&self, at: VirtAddr, names: &[&str]) -> Option<Register> {
        const ENTRY: u64 = 32;
        let symbol = self.symbolize(at)?;
        let last = symbol.name.strip_prefix("__x86_indirect_")?.rsplit_once("thunk_")?.1;
        let number = match last {
            "array" => usize::try_from(symbol.offset / ENTRY).ok()?,
            name => {
                // The kernel's oops says R08, its thunks r8.
                let bare = |name: &str| name.to_uppercase().replacen("R0", "", 1).replacen('R', "", 1);
                names.iter().position(|known| bare(known) == bare(name))?
            }
        };
        Register::try_from(number).ok().filter(|number| usize::from(*number) < names.len())
    }

    /// The function that an address lies in. What rarely runs begins where the function jumps to it.
    fn followed(&self, at: VirtAddr) -> Option<Followed<'_, '_>> {
        let mut symbol = self.symbolize(at)?;
        let mut start = at - symbol.offset;
        if let Some(end) = symbol.name.find(".cold") {
            let whole = symbol.name.get(..end)?.to_owned();
            start = match &symbol.module {
                None => self.only_symbol(&whole)?,
                Some(module) => self.module_symbols(&whole).into_iter().find(|(_, of)| of == module)?.0,
            };
            symbol = self.symbolize(start)?;
        }
        Some(Followed {
            kernel: self,
            convention: match self.arch() {
                Arch::X86_64 => x86_64::CONVENTION,
                Arch::Aarch64 => arm64::CONVENTION,
            },
            graph: Graph::read(self, &symbol.name, start, symbol.size?)?,
            prototype: self.prototype(&symbol.name, symbol.module.as_deref()),
            callees: RefCell::default(),
            learnt: HashMap::new(),
        })
    }

    /// The symbol of a name that only one function has.
    fn only_symbol(&self, name: &str) -> Option<VirtAddr> {
        match self.symbols(name).as_slice() {
            [at] => Some(VirtAddr(*at)),
            _ => None,
        }
    }

    /// The prototype of a function as it stands in the code: copies that the compiler made take other parameters, and of
    /// static functions of one name nobody knows which one is described.
    fn prototype(&self, name: &str, module: Option<&str>) -> Option<Prototype> {
        if name.contains('.') {
            return None;
        }
        let many = match module {
            None => self.symbols(name).len() > 1,
            Some(module) => self.module_symbols(name).iter().filter(|(_, of)| *of == module).count() > 1,
        };
        if many { None } else { self.types().function(name, module) }
    }
}

impl Followed<'_, '_> {
    /// The memory that the register's value at `site` was read from, if that is among the instructions before it and the
    /// base of that address still holds what it did, or was read from memory itself. `written` are the registers that
    /// another value is put into behind the site.
    fn slot(&self, site: u64, mut register: Register, mut written: BTreeSet<Register>, levels: usize) -> Option<Slot> {
        for (at, step) in self.graph.before(site).take(MAX_BEFORE) {
            if !matches!(step.next, Next::Falls | Next::Branches(_)) {
                return None;
            }
            let sets = |of: Register| {
                step.effects.iter().rev().find_map(|effect| match effect {
                    Effect::Set(to, source) if *to == of => Some(*source),
                    _ => None,
                })
            };
            match sets(register) {
                Some(Source::Register(from, 0)) if !written.contains(&from) => register = from,
                Some(Source::Load(place)) if place.is_plain() => {
                    let kept = |base: Register| !written.contains(&base) && sets(base).is_none();
                    return match place.base {
                        Some(base) if !kept(base) => match self.copy_of(base, at, &written) {
                            Some(copy) => Some(self.slot_at(at, Place { base: Some(copy), ..place })),
                            None => {
                                written.insert(register);
                                let from = (levels > 1).then(|| self.slot(at, base, written, levels - 1)).flatten()?;
                                Some(Slot { from: Some(Box::new(from)), ..self.slot_at(at, place) })
                            }
                        },
                        _ => Some(self.slot_at(at, place)),
                    };
                }
                Some(_) => return None,
                None => {}
            }
            written.extend(step.effects.iter().filter_map(|effect| match effect {
                Effect::Set(to, _) => Some(*to),
                _ => None,
            }));
        }
        None
    }

    /// A register into which the value of another was copied before `end`, and that keeps it.
    fn copy_of(&self, register: Register, end: u64, written: &BTreeSet<Register>) -> Option<Register> {
        let mut written = written.clone();
        for (_, step) in self.graph.before(end).take(MAX_BEFORE) {
            if !matches!(step.next, Next::Falls | Next::Branches(_)) {
                return None;
            }
            for effect in &step.effects {
                let Effect::Set(to, source) = effect else { continue };
                match source {
                    Source::Register(from, 0) if *from == register && !written.contains(to) => return Some(*to),
                    Source::Register(from, 0) if *to == register && !written.contains(from) => return Some(*from),
                    _ if *to == register => return None,
                    _ => {}
                }
            }
            written.extend(step.effects.iter().filter_map(|effect| match effect {
                Effect::Set(to, _) => Some(*to),
                _ => None,
            }));
        }
        None
    }

    fn slot_at(&self, at: u64, place: Place) -> Slot {
        let base = place.base.and_then(|base| self.convention.names.get(usize::from(base)).copied());
        Slot { at: VirtAddr(at), base, offset: place.offset, from: None }
    }

    fn accesses(&mut self, only: Option<VirtAddr>) -> Option<Vec<(VirtAddr, Access)>> {
        if only.is_some_and(|at| self.graph.steps.get(&at.0).is_none_or(|step| step.access.is_none())) {
            return None;
        }
        let mut given = Given::new();
        let mut found = Vec::new();
        for _ in 0..MAX_ROUNDS {
            let states = self.states()?;
            given.clear();
            found = self.finish(&states, only, &mut given);
            if !self.learn(&given) {
                break;
            }
        }
        let named = |(at, place, size, value): (u64, Place, u64, Option<Value>)| {
            let held = match value {
                Some(Value::Pointer(pointer)) => Some(self.told(&pointer, &given)),
                _ => None,
            };
            let register = self.convention.names.get(usize::from(place.base?)).copied()?;
            let access = Access { register, offset: place.offset, indexed: place.indexed, size, held };
            Some((VirtAddr(at), access))
        };
        Some(found.into_iter().filter_map(named).collect())
    }

    fn told(&self, pointer: &Pointer, given: &Given) -> Held {
        Held {
            around: given.get(&pointer.origin).and_then(|types| self.agreed(types)),
            to: pointer.to,
            plus: pointer.plus,
            path: pointer.path.as_deref().map(str::to_owned),
            repeated: pointer.repeated,
            parameter: match pointer.origin {
                Origin::Parameter(nth) => Some(nth.into()),
                _ => None,
            },
        }
    }

    /// What the call that returns to `back` gives to `callee` as its parameter `nth`.
    fn argument(&mut self, back: VirtAddr, callee: VirtAddr, nth: usize) -> Option<Held> {
        let register = *self.convention.parameters.get(nth)?;
        let (at, _) = self.graph.steps.range(..back.0).next_back().filter(|(at, step)| {
            **at + step.length == back.0 && matches!(step.next, Next::Calls(Some(to), _) if to == callee.0)
        })?;
        let at = *at;
        let mut given = Given::new();
        let mut found = None;
        for _ in 0..MAX_ROUNDS {
            let states = self.states()?;
            given.clear();
            for (leader, state) in &states {
                let seen = &mut |here: u64, state: &State| {
                    if here == at {
                        found = state.get(register).cloned();
                    }
                    self.note_arguments(here, state, &mut given);
                };
                self.run(*leader, state.clone(), seen, &mut |_, _| {});
            }
            if !self.learn(&given) {
                break;
            }
        }
        match found {
            Some(Value::Pointer(pointer)) => Some(self.told(&pointer, &given)),
            _ => None,
        }
    }

    /// The one structure that all calls agree on: the largest, where the others are parts of it.
    fn agreed(&self, types: &BTreeSet<(String, i64)>) -> Option<(TypeRef, i64, String)> {
        let callees = self.callees.borrow();
        let taken = types.iter().filter_map(|(function, plus)| {
            let (function, nth) = function.rsplit_once('#')?;
            let prototype = callees.values().flatten().find(|(name, _)| name == function)?.1.as_ref()?;
            let to = self.kernel.types().pointee(prototype.parameters.get(nth.parse::<usize>().ok()?)?.1)?;
            let size = i64::try_from(self.kernel.types().bytes_of(to)?).ok()?;
            Some((size, to, *plus, function))
        });
        let taken: Vec<_> = taken.collect();
        let (size, to, plus, function) = taken.iter().max_by_key(|(size, ..)| *size)?;
        let fits = |(part, other, at, _): &(i64, TypeRef, i64, &str)| {
            let within = at.saturating_sub(*plus);
            match part == size {
                true => within == 0 && self.kernel.types().same_structure(*other, *to),
                false => within >= 0 && within.saturating_add(*part) <= *size,
            }
        };
        taken.iter().all(fits).then(|| (*to, *plus, (*function).to_owned()))
    }

    /// Gives types to values that had none and were given to functions that say what they take.
    fn learn(&mut self, given: &Given) -> bool {
        let mut more = false;
        for (origin, types) in given {
            if !self.learnt.contains_key(origin)
                && let Some((to, plus, _)) = self.agreed(types)
            {
                self.learnt.insert(*origin, (to, plus));
                more = true;
            }
        }
        more
    }

    /// The state at each place where control joins, and at the start.
    fn states(&self) -> Option<BTreeMap<u64, State>> {
        let mut states = BTreeMap::from([(self.graph.start, self.begin())]);
        let mut visits: HashMap<u64, usize> = HashMap::new();
        let mut todo = BTreeSet::from([self.graph.start]);
        while let Some(leader) = todo.pop_first() {
            let count = visits.entry(leader).or_default();
            *count += 1;
            if *count > MAX_VISITS {
                return None;
            }
            let Some(state) = states.get(&leader).cloned() else { continue };
            self.run(leader, state, &mut |_, _| {}, &mut |to, state| {
                let changed = match states.get_mut(&to) {
                    Some(known) => known.join(state, to, self.kernel.types()),
                    None => {
                        states.insert(to, state.clone());
                        true
                    }
                };
                if changed {
                    todo.insert(to);
                }
            });
        }
        Some(states)
    }

    /// Goes through all the code once more with what is known everywhere: the accesses with the value of their base
    /// register, and what is given to functions.
    fn finish(
        &self,
        states: &BTreeMap<u64, State>,
        only: Option<VirtAddr>,
        given: &mut Given,
    ) -> Vec<(u64, Place, u64, Option<Value>)> {
        let mut found = Vec::new();
        for (leader, state) in states {
            self.run(
                *leader,
                state.clone(),
                &mut |here, state| {
                    if only.is_none_or(|at| at.0 == here)
                        && let Some((place, size)) = self.graph.steps.get(&here).and_then(|step| step.access)
                        && let Some(base) = place.base.filter(|_| !place.per_cpu)
                    {
                        found.push((here, place, size, state.get(base).cloned()));
                    }
                    self.note_arguments(here, state, given);
                },
                &mut |_, _| {},
            );
        }
        found
    }

    fn note_arguments(&self, here: u64, state: &State, given: &mut Given) {
        let Some(step) = self.graph.steps.get(&here) else { return };
        let target = match step.next {
            Next::Calls(Some(target), _) => target,
            // A call in place of the return.
            Next::Jumps(target) if !self.graph.steps.contains_key(&target) => target,
            _ => return,
        };
        let Some((name, Some(prototype))) = self.callee(target) else { return };
        for (nth, register) in self.parameters(&prototype) {
            let Some(Value::Pointer(pointer)) = state.get(register) else { continue };
            let types = self.kernel.types();
            let to = prototype.parameters.get(nth).and_then(|(_, ty)| types.pointee(*ty));
            let Some(to) = to.filter(|to| types.is_structure(*to)) else { continue };
            // What is known to be of that type, or to hold it there, teaches nothing.
            if let Some(known) = pointer.to {
                let end = u64::try_from(pointer.plus).ok().zip(types.bytes_of(to)).map(|(at, size)| at + size);
                if types.same_structure(known, to) || end.is_some_and(|end| types.bytes_of(known) >= Some(end)) {
                    continue;
                }
            }
            given.entry(pointer.origin).or_default().insert((format!("{name}#{nth}"), pointer.plus));
        }
    }

    /// Follows the code from `at` on to the next place where control joins. `seen` gets each instruction with the state
    /// before it, `goes` each place that control may go to with the state there.
    fn run(&self, at: u64, mut state: State, seen: &mut dyn FnMut(u64, &State), goes: &mut dyn FnMut(u64, &State)) {
        let mut at = at;
        let first = at;
        while let Some(step) = self.graph.steps.get(&at) {
            if at != first && self.graph.leaders.contains(&at) {
                goes(at, &state);
                return;
            }
            seen(at, &state);
            self.apply(at, &step.effects, &mut state);
            match step.next {
                Next::Falls => {}
                Next::Jumps(target) => {
                    if self.graph.steps.contains_key(&target) {
                        goes(target, &state);
                    }
                    return;
                }
                Next::Branches(target) => {
                    if self.graph.steps.contains_key(&target) {
                        goes(target, &state);
                    }
                }
                Next::Calls(target, through) => self.call(at, target, through, &mut state),
                Next::Leaves => return,
            }
            at = at.wrapping_add(step.length);
        }
    }

    /// What the places hold when the function begins.
    fn begin(&self) -> State {
        let mut state = State::empty();
        state.set(self.convention.stack_pointer, Some(Value::Stack(0)));
        let Some(prototype) = &self.prototype else {
            for (nth, register) in self.convention.parameters.iter().enumerate() {
                let mut pointer = Pointer::made(Origin::Parameter(nth as u8));
                pointer.path = Some(Rc::from(format!("argument {}", nth + 1)));
                state.set(*register, Some(Value::Pointer(self.with_learnt(pointer))));
            }
            return state;
        };
        for (nth, register) in self.parameters(prototype) {
            let Some((name, ty)) = prototype.parameters.get(nth) else { continue };
            let mut pointer = Pointer::made(Origin::Parameter(nth as u8));
            pointer.to = self.kernel.types().pointee(*ty);
            pointer.path = (!name.is_empty()).then(|| Rc::from(name.as_str()));
            state.set(register, Some(Value::Pointer(self.with_learnt(pointer))));
        }
        state
    }

    /// Parameters that one register holds: their number and the register.
    fn parameters(&self, prototype: &Prototype) -> Vec<(usize, Register)> {
        let mut found = Vec::new();
        let mut registers = self.convention.parameters.iter().copied();
        let types = self.kernel.types();
        for (nth, (_, ty)) in prototype.parameters.iter().enumerate() {
            let size = types.bytes_of(*ty);
            match size {
                Some(0..=8) => match registers.next() {
                    Some(register) => found.push((nth, register)),
                    None => break,
                },
                Some(9..=16) => {
                    // In two registers, or on the stack where only one is left.
                    if registers.len() >= 2 {
                        registers.nth(1);
                    } else if self.convention.large_by_address {
                        break;
                    }
                }
                Some(_) => {
                    if self.convention.large_by_address && registers.next().is_none() {
                        break;
                    }
                }
                // void is the dots of printf; what has no size is not understood.
                None => break,
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::step::Step;
    use super::*;

    fn x86(code: &[u8]) -> Step {
        x86_64::step(code, 0x1000).unwrap()
    }

    #[test]
    fn instructions_do_what_the_manuals_say() {
        let place = |base, offset| Place { base: Some(base), offset, ..Place::default() };
        // mov rbx,[rdi+0x7e0]
        assert_eq!(x86(&[0x48, 0x8b, 0x9f, 0xe0, 7, 0, 0]).effects, [Effect::Set(3, Source::Load(place(7, 0x7e0)))]);
        // push rbx: written below the stack pointer, which moves
        assert_eq!(x86(&[0x53]).effects, [Effect::Store(place(4, -8), 3), Effect::Set(4, Source::Register(4, -8))]);
        // cmpxchg [rdi],rsi: rax and memory are not known any more
        let exchange = x86(&[0xf0, 0x48, 0x0f, 0xb1, 0x37]).effects;
        assert!(exchange.contains(&Effect::Set(0, Source::Unknown)), "{exchange:?}");
        assert!(exchange.contains(&Effect::Overwrite(place(7, 0), 8)), "{exchange:?}");
        // mov eax,ebx: half of a pointer
        assert_eq!(x86(&[0x89, 0xd8]).effects, [Effect::Set(0, Source::Unknown)]);
        let arm = |word: u32| arm64::step(&word.to_le_bytes(), 0x1000).unwrap();
        // stp x29, x30, [sp, #-48]!
        assert_eq!(
            arm(0xa9bd_7bfd).effects,
            [
                Effect::Store(place(31, -48), 29),
                Effect::Store(place(31, -40), 30),
                Effect::Set(31, Source::Register(31, -48))
            ]
        );
        // ldr x1, [x19, #16]; mrs x0, sp_el0; mov x19, x0; bl .+8; cbz x0, .-4
        assert_eq!(arm(0xf940_0a61).effects, [Effect::Set(1, Source::Load(place(19, 16)))]);
        assert_eq!(arm(0xd538_4100).effects, [Effect::Set(0, Source::Current)]);
        assert_eq!(arm(0xaa00_03f3).effects, [Effect::Set(19, Source::Register(0, 0))]);
        assert_eq!(arm(0x9400_0002).next, Next::Calls(Some(0x1008), None));
        assert_eq!(arm(0xb4ff_ffe0).next, Next::Branches(0xffc));
    }

    #[test]
    fn no_bytes_make_it_panic() {
        let mut seed = 0x9e37_79b9_7f4a_7c15u64;
        for _ in 0..200_000 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let bytes = (seed >> 3).to_le_bytes();
            x86_64::step(&bytes, u64::MAX - 3);
            arm64::step(&bytes, u64::MAX - 3);
        }
    }
}
