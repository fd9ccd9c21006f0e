//! BTF, the compact type format that kernels since 5.2 carry in their image.
//!
//! A [`Btf`] is parsed once in a single pass that only notes where each type starts; types are decoded when asked
//! for. A module's split BTF continues the numbers and the strings of the kernel's.

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

use thiserror::Error;

use super::{Field, Source, Type, TypeId};

/// First two bytes of BTF, little-endian.
pub const MAGIC: u16 = 0xeb9f;
/// More than any kernel has (121,185 types in 7.3); a larger number is a damaged header.
const MAX_TYPES: usize = 8_000_000;

/// Why bytes are not BTF.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum Error {
    /// No BTF header where one was expected.
    #[error("expected a BTF header (magic 0xeb9f, version 1), found {0:02x?}")]
    Header(Vec<u8>),
    /// A section of the header lies outside the bytes.
    #[error("BTF section {section} at {offset:#x} with {length:#x} bytes lies outside the {have:#x} bytes there are")]
    Section {
        /// `types` or `strings`.
        section: &'static str,
        /// Start from the beginning of the bytes.
        offset: u64,
        /// Length that the header tells.
        length: u64,
        /// Bytes there are.
        have: u64,
    },
    /// A type record that cannot be.
    #[error("BTF type {id} at byte {offset:#x} of the type section has kind {kind}, which no kernel writes")]
    Record {
        /// Number of the type.
        id: u32,
        /// Byte in the type section.
        offset: usize,
        /// Its kind.
        kind: u32,
    },
}

/// Parsed BTF of a kernel or a module.
pub struct Btf {
    label: String,
    bytes: Vec<u8>,
    base: Option<Arc<Btf>>,
    /// Start of the type and string sections in `bytes`.
    types_at: usize,
    strings: (usize, usize),
    /// Number of the first type and offset of the first string here.
    first_id: u32,
    first_string: u32,
    /// Where each record starts in the type section.
    starts: Vec<u32>,
    /// Numbers of the enumerations.
    enums: Vec<TypeId>,
    /// Hash of the name and number of each structure, union, typedef and enumeration; sorted.
    names: Vec<(u32, TypeId)>,
    /// The same of functions and variables, made when the first is asked for.
    code: OnceLock<Vec<(u32, TypeId)>>,
}

mod kind {
    pub const INT: u32 = 1;
    pub const PTR: u32 = 2;
    pub const ARRAY: u32 = 3;
    pub const STRUCT: u32 = 4;
    pub const UNION: u32 = 5;
    pub const ENUM: u32 = 6;
    pub const FWD: u32 = 7;
    pub const TYPEDEF: u32 = 8;
    pub const VOLATILE: u32 = 9;
    pub const CONST: u32 = 10;
    pub const RESTRICT: u32 = 11;
    pub const FUNC: u32 = 12;
    pub const FUNC_PROTO: u32 = 13;
    pub const VAR: u32 = 14;
    pub const DATASEC: u32 = 15;
    pub const FLOAT: u32 = 16;
    pub const DECL_TAG: u32 = 17;
    pub const TYPE_TAG: u32 = 18;
    pub const ENUM64: u32 = 19;
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let raw = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_le_bytes(raw.try_into().ok()?))
}

/// Kind, number of parts and kind flag. 7.x widened kind to seven bits and the count to 24 ("btf: Refactor
/// btf_kind_operations infra" and its siblings); older kernels leave those bits zero, so the wide masks fit all.
fn info(raw: u32) -> (u32, usize, bool) {
    (raw >> 24 & 0x7f, (raw & 0xff_ffff) as usize, raw >> 31 == 1)
}

/// Bytes behind the 12-byte head of a record.
fn tail(kind: u32, parts: usize) -> Option<usize> {
    Some(match kind {
        kind::INT | kind::VAR | kind::DECL_TAG => 4,
        kind::ARRAY => 12,
        kind::STRUCT | kind::UNION | kind::DATASEC | kind::ENUM64 => parts * 12,
        kind::ENUM | kind::FUNC_PROTO => parts * 8,
        kind::PTR | kind::FWD | kind::TYPEDEF | kind::VOLATILE | kind::CONST | kind::RESTRICT => 0,
        kind::FUNC | kind::FLOAT | kind::TYPE_TAG => 0,
        _ => return None,
    })
}

/// FNV-1a.
fn hash(name: &[u8]) -> u32 {
    name.iter().fold(0x811c_9dc5, |h, b| (h ^ u32::from(*b)).wrapping_mul(0x0100_0193))
}

/// The header's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Bytes of the header.
    pub length: u32,
    /// Type section, from the end of the header, and its length.
    pub types: (u32, u32),
    /// String section, likewise.
    pub strings: (u32, u32),
}

impl Header {
    /// Reads a header and checks it by its own structure: sections in order, the first string empty where it is
    /// still inside `bytes`. `None` when this is no BTF.
    pub fn parse(bytes: &[u8]) -> Option<Header> {
        let head = bytes.get(..24)?;
        if u16::from_le_bytes([head[0], head[1]]) != MAGIC || head[2] != 1 {
            return None;
        }
        let at = |n| word(bytes, n);
        let header = Header { length: at(4)?, types: (at(8)?, at(12)?), strings: (at(16)?, at(20)?) };
        let plain = (24..=256).contains(&header.length)
            && header.types.0.is_multiple_of(4)
            && header.types.1.is_multiple_of(4)
            && u64::from(header.strings.0) >= u64::from(header.types.0) + u64::from(header.types.1)
            && header.strings.1 > 0;
        plain.then_some(header)
    }

    /// Bytes of the whole blob.
    pub fn total(&self) -> u64 {
        let types = u64::from(self.types.0) + u64::from(self.types.1);
        let strings = u64::from(self.strings.0) + u64::from(self.strings.1);
        u64::from(self.length) + types.max(strings)
    }
}

impl Btf {
    /// Bytes of it, without those of the kernel's that it continues.
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// Parses the BTF of a kernel, or with `base` the split BTF of a module. `label` is what it is called in output.
    pub fn parse(label: &str, bytes: Vec<u8>, base: Option<Arc<Btf>>) -> Result<Btf, Error> {
        let header = Header::parse(&bytes).ok_or_else(|| Error::Header(bytes.iter().take(24).copied().collect()))?;
        let section = |section, (offset, length): (u32, u32)| {
            let start = header.length as usize + offset as usize;
            let fits = start.checked_add(length as usize).is_some_and(|end| end <= bytes.len());
            fits.then_some((start, length as usize)).ok_or(Error::Section {
                section,
                offset: start as u64,
                length: length.into(),
                have: bytes.len() as u64,
            })
        };
        let (types_at, types_len) = section("types", header.types)?;
        let strings = section("strings", header.strings)?;
        let (first_id, first_string) = match &base {
            Some(base) => (base.next_id(), base.next_string()),
            None => (1, 0),
        };
        let mut btf = Btf {
            label: label.to_owned(),
            bytes,
            base,
            types_at,
            strings,
            first_id,
            first_string,
            starts: Vec::new(),
            enums: Vec::new(),
            names: Vec::new(),
            code: OnceLock::new(),
        };
        btf.index(types_len)?;
        Ok(btf)
    }

    fn index(&mut self, length: usize) -> Result<(), Error> {
        let mut at = 0;
        while at + 12 <= length && self.starts.len() < MAX_TYPES {
            let id = self.first_id + self.starts.len() as u32;
            let head = self.types_at + at;
            let (Some(name), Some(raw)) = (word(&self.bytes, head), word(&self.bytes, head + 4)) else { break };
            let (kind, parts, _) = info(raw);
            let Some(tail) = tail(kind, parts) else { return Err(Error::Record { id, offset: at, kind }) };
            if matches!(kind, kind::STRUCT | kind::UNION | kind::TYPEDEF | kind::ENUM | kind::ENUM64)
                && name != 0
                && let Some(text) = self.own_string(name)
            {
                self.names.push((hash(text), id));
            }
            if matches!(kind, kind::ENUM | kind::ENUM64) {
                self.enums.push(id);
            }
            self.starts.push(at as u32);
            at += 12 + tail;
        }
        self.names.sort_unstable();
        Ok(())
    }

    /// Functions and variables of a name: their kind, and the type that they refer to.
    fn named_code(&self, name: &str) -> Vec<(u32, TypeId)> {
        let code = self.code.get_or_init(|| {
            let mut code = Vec::new();
            for (nth, start) in self.starts.iter().enumerate() {
                let head = self.types_at + *start as usize;
                if let (Some(name), Some(raw)) = (word(&self.bytes, head), word(&self.bytes, head + 4))
                    && matches!(info(raw).0, kind::FUNC | kind::VAR)
                    && let Some(text) = self.own_string(name)
                {
                    code.push((hash(text), self.first_id + nth as u32));
                }
            }
            code.sort_unstable();
            code
        });
        let key = hash(name.as_bytes());
        let from = code.partition_point(|(h, _)| *h < key);
        let same = code.iter().skip(from).take_while(|(h, _)| *h == key);
        same.filter_map(|(_, id)| {
            let (btf, at) = self.record(*id)?;
            let own = word(&btf.bytes, at).and_then(|n| btf.own_string(n)) == Some(name.as_bytes());
            own.then_some((info(word(&btf.bytes, at + 4)?).0, word(&btf.bytes, at + 8)?))
        })
        .collect()
    }

    /// Number of the first type that split BTF on top of this would have.
    pub fn next_id(&self) -> u32 {
        self.first_id + self.starts.len() as u32
    }

    fn next_string(&self) -> u32 {
        self.first_string + self.strings.1 as u32
    }

    fn own_string(&self, offset: u32) -> Option<&[u8]> {
        if offset < self.first_string {
            return self.base.as_ref()?.own_string(offset);
        }
        let at = (offset - self.first_string) as usize;
        let section = self.bytes.get(self.strings.0..self.strings.0 + self.strings.1)?;
        let text = section.get(at..)?;
        text.get(..memchr::memchr(0, text)?)
    }

    /// Whether the string at an offset is this one; its end need not be searched for.
    fn string_is(&self, offset: u32, wanted: &[u8]) -> bool {
        let Some(at) = offset.checked_sub(self.first_string) else {
            return self.base.as_ref().is_some_and(|base| base.string_is(offset, wanted));
        };
        let section = self.bytes.get(self.strings.0..self.strings.0 + self.strings.1).unwrap_or_default();
        let text = section.get(at as usize..).unwrap_or_default();
        text.starts_with(wanted) && text.get(wanted.len()) == Some(&0)
    }

    fn string(&self, offset: u32) -> Cow<'_, str> {
        self.own_string(offset).map(String::from_utf8_lossy).unwrap_or_default()
    }

    /// The record of a type: its BTF and where its 12-byte head starts in the bytes.
    fn record(&self, id: TypeId) -> Option<(&Btf, usize)> {
        if id < self.first_id {
            return self.base.as_ref()?.record(id);
        }
        let start = self.starts.get((id - self.first_id) as usize)?;
        Some((self, self.types_at + *start as usize))
    }

    fn decode(&self, id: TypeId) -> Option<Type<'_>> {
        let (btf, at) = self.record(id)?;
        let at_word = |n: usize| word(&btf.bytes, at + 4 * n);
        let name = btf.string(at_word(0)?);
        let (kind, parts, flag) = info(at_word(1)?);
        let size_or_type = at_word(2)?;
        Some(match kind {
            kind::INT => {
                let encoding = at_word(3)?;
                Type::Int { size: size_or_type, signed: encoding >> 24 & 1 == 1, name }
            }
            kind::PTR => Type::Pointer(size_or_type),
            kind::ARRAY => Type::Array { element: at_word(3)?, count: at_word(5)?.into() },
            kind::STRUCT | kind::UNION => {
                let mut fields = Vec::with_capacity(parts.min(1024));
                for n in 0..parts {
                    let (ty, offset) = (at_word(4 + 3 * n)?, at_word(5 + 3 * n)?);
                    let (bit_offset, width) = match flag {
                        true => (offset & 0xff_ffff, Some(offset >> 24).filter(|w| *w > 0)),
                        false => (offset, None),
                    };
                    fields.push(btf.field(at_word(3 + 3 * n)?, ty, bit_offset, width));
                }
                Type::Struct { name, union: kind == kind::UNION, size: size_or_type.into(), fields }
            }
            kind::ENUM => {
                let mut values = Vec::with_capacity(parts.min(1024));
                for n in 0..parts {
                    let raw = at_word(4 + 2 * n)?;
                    // Without the flag (before 6.0) the sign is not known; all kernels read them as signed.
                    let value = i64::from(raw as i32);
                    values.push((btf.string(at_word(3 + 2 * n)?), value));
                }
                Type::Enum { name, size: size_or_type, values }
            }
            kind::ENUM64 => {
                let mut values = Vec::with_capacity(parts.min(1024));
                for n in 0..parts {
                    let (low, high) = (at_word(4 + 3 * n)?, at_word(5 + 3 * n)?);
                    let value = (u64::from(high) << 32 | u64::from(low)) as i64;
                    values.push((btf.string(at_word(3 + 3 * n)?), value));
                }
                Type::Enum { name, size: size_or_type, values }
            }
            kind::FWD => Type::Forward { name, union: flag },
            kind::TYPEDEF => Type::Typedef { name, target: size_or_type },
            kind::VOLATILE | kind::CONST | kind::RESTRICT | kind::TYPE_TAG => Type::Modifier(size_or_type),
            kind::VAR => Type::Modifier(size_or_type),
            kind::FLOAT => Type::Float { size: size_or_type },
            kind::FUNC | kind::FUNC_PROTO => Type::Function,
            _ => Type::Void,
        })
    }

    /// A member, with the old form of bitfields resolved: there an INT carries offset and width.
    fn field(&self, name: u32, ty: TypeId, bit_offset: u32, width: Option<u32>) -> Field<'_> {
        let mut field = Field { name: self.string(name), ty, bit_offset: bit_offset.into(), bit_size: width };
        if width.is_none()
            && let Some((btf, at)) = self.record(ty)
            && word(&btf.bytes, at + 4).is_some_and(|raw| info(raw).0 == kind::INT)
            && let (Some(size), Some(encoding)) = (word(&btf.bytes, at + 8), word(&btf.bytes, at + 12))
            && encoding & 0xff != size.saturating_mul(8)
            && encoding & 0xff != 0
        {
            field.bit_offset += u64::from(encoding >> 16 & 0xff);
            field.bit_size = Some(encoding & 0xff);
        }
        field
    }
}

impl Source for Btf {
    fn get(&self, id: TypeId) -> Type<'_> {
        self.decode(id).unwrap_or(Type::Void)
    }

    fn names(&self) -> Vec<Cow<'_, str>> {
        let records = self.names.iter().filter_map(|(_, id)| self.record(*id));
        records.filter_map(|(btf, at)| Some(btf.string(word(&btf.bytes, at)?))).collect()
    }

    fn find(&self, name: &str) -> Vec<TypeId> {
        let key = hash(name.as_bytes());
        let from = self.names.partition_point(|(h, _)| *h < key);
        let same = self.names.iter().skip(from).take_while(|(h, _)| *h == key);
        same.map(|(_, id)| *id)
            .filter(|id| {
                self.record(*id)
                    .is_some_and(|(btf, at)| word(&btf.bytes, at).is_some_and(|n| btf.string_is(n, name.as_bytes())))
            })
            .collect()
    }

    fn enumerator(&self, wanted: &str) -> Option<i64> {
        for id in &self.enums {
            let (_, at) = self.record(*id)?;
            let (kind, parts, _) = info(word(&self.bytes, at + 4)?);
            let step = if kind == kind::ENUM { 8 } else { 12 };
            for part in 0..parts {
                let name = word(&self.bytes, at + 12 + part * step)?;
                if self.string_is(name, wanted.as_bytes())
                    && let Type::Enum { values, .. } = self.get(*id)
                {
                    return values.get(part).map(|(_, v)| *v);
                }
            }
        }
        None
    }

    fn name(&self) -> &str {
        &self.label
    }

    fn prototype(&self, id: TypeId) -> Option<(TypeId, Vec<TypeId>)> {
        let (btf, at) = self.record(id)?;
        let (kind, parts, _) = info(word(&btf.bytes, at + 4)?);
        if kind != kind::FUNC_PROTO {
            return None;
        }
        let parameters = (0..parts).map(|n| word(&btf.bytes, at + 16 + 8 * n)).collect::<Option<Vec<_>>>()?;
        Some((word(&btf.bytes, at + 8)?, parameters))
    }

    fn parameter_names(&self, id: TypeId) -> Vec<String> {
        let Some((btf, at)) = self.record(id) else { return Vec::new() };
        let Some((kind::FUNC_PROTO, parts, _)) = word(&btf.bytes, at + 4).map(info) else { return Vec::new() };
        (0..parts).map_while(|n| Some(btf.string(word(&btf.bytes, at + 12 + 8 * n)?).into_owned())).collect()
    }

    fn functions(&self, name: &str) -> Vec<TypeId> {
        self.named_code(name).into_iter().filter(|(kind, _)| *kind == kind::FUNC).map(|(_, ty)| ty).collect()
    }

    fn variable(&self, name: &str) -> Option<TypeId> {
        self.named_code(name).into_iter().find(|(kind, _)| *kind == kind::VAR).map(|(_, ty)| ty)
    }

    fn qualifier(&self, id: TypeId) -> Option<&'static str> {
        let (btf, at) = self.record(id)?;
        match info(word(&btf.bytes, at + 4)?).0 {
            kind::CONST => Some("const"),
            kind::VOLATILE => Some("volatile"),
            _ => None,
        }
    }
}
