//! Writes types as BTF: what a pack holds.

use std::collections::{HashMap, VecDeque};

use super::{Source, Type, TypeId, strip};

const INT: u32 = 1;
const PTR: u32 = 2;
const ARRAY: u32 = 3;
const STRUCT: u32 = 4;
const UNION: u32 = 5;
const ENUM: u32 = 6;
const FWD: u32 = 7;
const TYPEDEF: u32 = 8;
const CONST: u32 = 10;
const FUNC_PROTO: u32 = 13;
const FLOAT: u32 = 16;
const ENUM64: u32 = 19;

struct Encoder<'s> {
    source: &'s dyn Source,
    roots: &'s [&'s str],
    numbers: HashMap<TypeId, u32>,
    forwards: HashMap<String, u32>,
    queue: VecDeque<Item>,
    next: u32,
    records: Vec<u8>,
    strings: Vec<u8>,
    known: HashMap<String, u32>,
}

enum Item {
    Type(TypeId),
    Forward(String, bool),
}

/// BTF of the structures named `roots` and of all that is embedded in them. What they only point at is declared
/// when it is not one of them.
pub fn btf(source: &dyn Source, roots: &[&str]) -> Vec<u8> {
    let mut encoder = Encoder {
        source,
        roots,
        numbers: HashMap::new(),
        forwards: HashMap::new(),
        queue: VecDeque::new(),
        next: 1,
        records: Vec::new(),
        strings: vec![0],
        known: HashMap::new(),
    };
    for root in roots {
        for id in source.find(root) {
            encoder.number(id);
        }
    }
    // Records are numbered in the order of the queue, so each is written when its turn comes.
    while let Some(item) = encoder.queue.pop_front() {
        match item {
            Item::Type(id) => encoder.write(id),
            Item::Forward(name, union) => {
                let name = encoder.string(&name);
                encoder.head(name, FWD, 0, union, 0);
            }
        }
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

    fn number(&mut self, id: TypeId) -> u32 {
        if id == 0 {
            return 0;
        }
        if let Some(number) = self.numbers.get(&id) {
            return *number;
        }
        let number = self.next;
        self.next += 1;
        self.numbers.insert(id, number);
        self.queue.push_back(Item::Type(id));
        number
    }

    /// What a pointer leads to: declared only, unless it is a root or small.
    fn pointee(&mut self, id: TypeId) -> u32 {
        let (name, union) = match self.source.get(strip(self.source, id)) {
            Type::Struct { name, union, .. } | Type::Forward { name, union } => (name.into_owned(), union),
            Type::Enum { .. } | Type::Function => return 0,
            Type::Pointer(_) | Type::Int { .. } => return self.number(id),
            _ => return 0,
        };
        if name.is_empty() {
            return 0;
        }
        if self.roots.contains(&name.as_str()) {
            return self.number(strip(self.source, id));
        }
        if let Some(number) = self.forwards.get(&name) {
            return *number;
        }
        let number = self.next;
        self.next += 1;
        self.forwards.insert(name.clone(), number);
        self.queue.push_back(Item::Forward(name, union));
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
            Type::Pointer(to) => {
                let to = self.pointee(to);
                self.head(0, PTR, 0, false, to);
            }
            Type::Array { element, count } => {
                let element = self.number(element);
                self.head(0, ARRAY, 0, false, 0);
                for word in [element, 0, u32::try_from(count).unwrap_or(0)] {
                    self.word(word);
                }
            }
            Type::Struct { name, union, size, fields } => {
                let name = self.string(&name);
                let flag = fields.iter().any(|f| f.bit_size.is_some());
                let kind = if union { UNION } else { STRUCT };
                let fields = fields.get(..fields.len().min(0xffff)).unwrap_or_default();
                self.head(name, kind, fields.len(), flag, u32::try_from(size).unwrap_or(0));
                for field in fields {
                    let (text, ty) = (self.string(&field.name), self.number(field.ty));
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
                let (name, target) = (self.string(&name), self.number(target));
                self.head(name, TYPEDEF, 0, false, target);
            }
            Type::Modifier(target) => {
                let target = self.number(target);
                self.head(0, CONST, 0, false, target);
            }
            Type::Void => self.head(0, CONST, 0, false, 0),
            Type::Function => self.head(0, FUNC_PROTO, 0, false, 0),
        }
    }
}
