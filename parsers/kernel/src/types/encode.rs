//! Writes types as BTF: what a pack holds.

use std::collections::{HashMap, HashSet, VecDeque};

use super::{Source, Type, TypeId, strip};

const INT: u32 = 1;
const PTR: u32 = 2;
const ARRAY: u32 = 3;
const STRUCT: u32 = 4;
const UNION: u32 = 5;
const ENUM: u32 = 6;
const FWD: u32 = 7;
const TYPEDEF: u32 = 8;
const FUNC: u32 = 12;
const FUNC_PROTO: u32 = 13;
const FLOAT: u32 = 16;
const ENUM64: u32 = 19;

/// Pointers to pointers, arrays of arrays and functions that take functions, inside one another.
const MAX_CHAIN: usize = 32;

struct Encoder<'s> {
    source: &'s dyn Source,
    /// Numbers of what has a name or members.
    numbers: HashMap<TypeId, u32>,
    /// Numbers of what is nothing but a way to refer to others: a source may have each of them a thousand times.
    derived: HashMap<Derived, u32>,
    queue: VecDeque<Item>,
    next: u32,
    records: Vec<u8>,
    strings: Vec<u8>,
    known: HashMap<String, u32>,
}

/// A type without a name of its own, by the numbers of those that it is made of.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Derived {
    Pointer(u32),
    Array(u32, u64),
    /// Result, and names and types of the parameters.
    Prototype(u32, Vec<(u32, u32)>),
}

enum Item {
    Type(TypeId),
    Derived(Derived),
}

/// BTF of the types named `roots`, of those of `functions` that take or give pointers to structures, and of all types that
/// these are made of or point at.
pub fn btf(source: &dyn Source, roots: &[&str], functions: &HashSet<String>) -> Vec<u8> {
    let mut encoder = Encoder {
        source,
        numbers: HashMap::new(),
        derived: HashMap::new(),
        queue: VecDeque::new(),
        next: 1,
        records: Vec::new(),
        strings: vec![0],
        known: HashMap::new(),
    };
    for root in roots {
        for id in source.find(root) {
            encoder.number(id, 0);
        }
    }
    let mut functions: Vec<&String> = functions.iter().collect();
    functions.sort_unstable();
    let mut known = Vec::new();
    for name in functions {
        let mut types = source.functions(name).into_iter();
        let Some(id) = types.next() else { continue };
        // Of several that differ nobody knows which one is meant.
        if types.all(|other| other == id) && encoder.tells(id) {
            let prototype = encoder.number(id, 0);
            known.push((encoder.string(name), prototype));
        }
    }
    // Records are numbered in the order of the queue, so each is written when its turn comes.
    while let Some(item) = encoder.queue.pop_front() {
        match item {
            Item::Type(id) => encoder.write(id),
            Item::Derived(derived) => encoder.write_derived(derived),
        }
    }
    // Nothing refers to functions; together they take less room when compressed.
    for (name, prototype) in known {
        encoder.head(name, FUNC, 0, false, prototype);
    }
    let (types, strings) = (encoder.records, encoder.strings);
    let mut out = Vec::with_capacity(24 + types.len() + strings.len());
    out.extend_from_slice(&super::btf::MAGIC.to_le_bytes());
    out.extend_from_slice(&[1, 0]);
    for word in [24, 0, types.len() as u32, types.len() as u32, strings.len() as u32] {
        out.extend_from_slice(&word.to_le_bytes());
    }
    out.extend(types);
    out.extend(strings);
    out
}

impl Encoder<'_> {
    fn string(&mut self, text: &str) -> u32 {
        if text.is_empty() {
            return 0;
        }
        if let Some(at) = self.known.get(text) {
            return *at;
        }
        let at = self.strings.len() as u32;
        self.strings.extend_from_slice(text.as_bytes());
        self.strings.push(0);
        self.known.insert(text.to_owned(), at);
        at
    }

    /// Whether a function takes or gives a pointer to a structure.
    fn tells(&self, function: TypeId) -> bool {
        let Some((result, parameters)) = self.source.prototype(function) else { return false };
        std::iter::once(result).chain(parameters).any(|ty| match self.source.get(strip(self.source, ty)) {
            Type::Pointer(to) => matches!(self.source.get(strip(self.source, to)), Type::Struct { .. }),
            _ => false,
        })
    }

    /// The only structure or union of that name.
    fn definition(&self, name: &str, union: bool) -> Option<TypeId> {
        let found = self.source.find(name).into_iter();
        let mut found =
            found.filter(|id| matches!(self.source.get(*id), Type::Struct { union: of, .. } if of == union));
        found.next().filter(|_| found.next().is_none())
    }

    /// The number that a type has here; one not seen before gets one and is queued to be written.
    fn number(&mut self, id: TypeId, depth: usize) -> u32 {
        if id == 0 || depth > MAX_CHAIN {
            return 0;
        }
        if let Some(number) = self.numbers.get(&id) {
            return *number;
        }
        let number = match self.source.get(id) {
            Type::Void => 0,
            // A unit that needs no more than a pointer to it has a declaration only.
            Type::Forward { name, union } if self.definition(&name, union).is_some() => {
                self.definition(&name, union).map_or(0, |id| self.number(id, depth + 1))
            }
            Type::Modifier(to) => self.number(to, depth + 1),
            Type::Pointer(to) => {
                let to = self.number(to, depth + 1);
                self.derived(Derived::Pointer(to))
            }
            Type::Array { element, count } => {
                let element = self.number(element, depth + 1);
                self.derived(Derived::Array(element, count))
            }
            Type::Function => {
                let (result, parameters) = self.source.prototype(id).unwrap_or_default();
                let names = self.source.parameter_names(id);
                let result = self.number(result, depth + 1);
                let parameters = parameters.iter().enumerate().map(|(nth, ty)| {
                    let name = names.get(nth).map_or("", String::as_str);
                    (self.string(name), self.number(*ty, depth + 1))
                });
                let parameters = parameters.collect();
                self.derived(Derived::Prototype(result, parameters))
            }
            _ => {
                self.next += 1;
                self.queue.push_back(Item::Type(id));
                self.next - 1
            }
        };
        self.numbers.insert(id, number);
        number
    }

    fn derived(&mut self, derived: Derived) -> u32 {
        if let Some(number) = self.derived.get(&derived) {
            return *number;
        }
        let number = self.next;
        self.next += 1;
        self.derived.insert(derived.clone(), number);
        self.queue.push_back(Item::Derived(derived));
        number
    }

    fn word(&mut self, word: u32) {
        self.records.extend_from_slice(&word.to_le_bytes());
    }

    fn head(&mut self, name: u32, kind: u32, parts: usize, flag: bool, size_or_type: u32) {
        let info = kind << 24 | parts as u32 & 0xffff | u32::from(flag) << 31;
        for word in [name, info, size_or_type] {
            self.word(word);
        }
    }

    fn write(&mut self, id: TypeId) {
        match self.source.get(id) {
            Type::Int { size, signed, name } => {
                let name = self.string(&name);
                self.head(name, INT, 0, false, size);
                self.word(u32::from(signed) << 24 | size.saturating_mul(8).min(255));
            }
            Type::Float { size } => self.head(0, FLOAT, 0, false, size),
            Type::Struct { name, union, size, fields } => {
                let name = self.string(&name);
                let flag = fields.iter().any(|f| f.bit_size.is_some());
                let kind = if union { UNION } else { STRUCT };
                let fields = fields.get(..fields.len().min(0xffff)).unwrap_or_default();
                self.head(name, kind, fields.len(), flag, u32::try_from(size).unwrap_or(0));
                for field in fields {
                    let (text, ty) = (self.string(&field.name), self.number(field.ty, 0));
                    let offset = u32::try_from(field.bit_offset).unwrap_or(0);
                    let offset = match flag {
                        true => offset & 0xff_ffff | field.bit_size.unwrap_or(0) << 24,
                        false => offset,
                    };
                    for word in [text, ty, offset] {
                        self.word(word);
                    }
                }
            }
            Type::Enum { name, size, values } => {
                let name = self.string(&name);
                let values = values.get(..values.len().min(0xffff)).unwrap_or_default();
                let narrow = values.iter().all(|(_, v)| i32::try_from(*v).is_ok());
                self.head(name, if narrow { ENUM } else { ENUM64 }, values.len(), false, size);
                for (text, value) in values {
                    let text = self.string(text);
                    self.word(text);
                    self.word(*value as u32);
                    if !narrow {
                        self.word((*value >> 32) as u32);
                    }
                }
            }
            Type::Forward { name, union } => {
                let name = self.string(&name);
                self.head(name, FWD, 0, union, 0);
            }
            Type::Typedef { name, target } => {
                let (name, target) = (self.string(&name), self.number(target, 0));
                self.head(name, TYPEDEF, 0, false, target);
            }
            // Have no record of their own, see number().
            Type::Void | Type::Modifier(_) | Type::Pointer(_) | Type::Array { .. } | Type::Function => {}
        }
    }

    fn write_derived(&mut self, derived: Derived) {
        match derived {
            Derived::Pointer(to) => self.head(0, PTR, 0, false, to),
            Derived::Array(element, count) => {
                self.head(0, ARRAY, 0, false, 0);
                for word in [element, 0, u32::try_from(count).unwrap_or(0)] {
                    self.word(word);
                }
            }
            Derived::Prototype(result, parameters) => {
                let parameters = parameters.get(..parameters.len().min(0xffff)).unwrap_or_default();
                self.head(0, FUNC_PROTO, parameters.len(), false, result);
                for (name, ty) in parameters {
                    self.word(*name);
                    self.word(*ty);
                }
            }
        }
    }
}
