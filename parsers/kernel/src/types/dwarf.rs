//! Types from the DWARF of a vmlinux: the definitions at the top of each compilation unit, each taken once.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet, VecDeque};

use gimli::{
    AttributeValue, DebuggingInformationEntry, DwTag, EndianSlice, LittleEndian, UnitOffset, UnitRef, constants,
};

use super::graph::{Graph, Signature};
use super::{Field, MAX_BITS, Type, TypeId};

/// How gimli sees a section.
pub type Section<'a> = EndianSlice<'a, LittleEndian>;
type Unit<'a, 'u> = UnitRef<'u, Section<'a>>;
type Entry<'a> = DebuggingInformationEntry<Section<'a>>;

/// More types than any kernel has.
const MAX_TYPES: usize = 4_000_000;

/// What makes two definitions the same: kind, name, bytes.
type Key = (DwTag, String, u64);

struct Reader {
    types: Vec<Type<'static>>,
    known: HashMap<Key, TypeId>,
    functions: HashMap<String, Vec<TypeId>>,
    prototypes: HashMap<TypeId, Signature>,
    /// Functions met: an inline function of a header is described in every unit that uses it, at one line.
    met: HashSet<(String, u64)>,
}

/// The types of all compilation units.
///
/// # Errors
/// What gimli says where a unit cannot be read; units before it are lost too, since a vmlinux that cannot be read
/// whole is not to be trusted.
pub fn types(dwarf: &gimli::Dwarf<Section<'_>>) -> Result<Graph, gimli::Error> {
    let mut reader = Reader {
        types: vec![Type::Void],
        known: HashMap::new(),
        functions: HashMap::new(),
        prototypes: HashMap::new(),
        met: HashSet::new(),
    };
    let mut headers = dwarf.units();
    while let Some(header) = headers.next()? {
        let unit = dwarf.unit(header)?;
        let unit = unit.unit_ref(dwarf);
        let mut local = HashMap::new();
        let mut cursor = unit.entries();
        if cursor.next_dfs()?.is_none() || cursor.next_dfs()?.is_none() {
            continue;
        }
        // At the first child of the unit; the rest are its siblings.
        while let Some(entry) = cursor.current() {
            let named = entry.has_attr(constants::DW_AT_name) || entry.tag() == constants::DW_TAG_enumeration_type;
            let defines = matches!(
                entry.tag(),
                constants::DW_TAG_structure_type
                    | constants::DW_TAG_union_type
                    | constants::DW_TAG_enumeration_type
                    | constants::DW_TAG_typedef
            );
            if named && defines && !is_declaration(entry) {
                let offset = entry.offset();
                reader.take(unit, offset, &mut local)?;
            }
            if entry.tag() == constants::DW_TAG_subprogram && named && !is_declaration(entry) {
                let line = number(entry, constants::DW_AT_decl_line).unwrap_or(0);
                let (function, offset) = (name(unit, entry), entry.offset());
                if reader.met.insert((function.clone(), line)) {
                    let id = reader.take(unit, offset, &mut local)?;
                    reader.functions.entry(function).or_default().push(id);
                }
            }
            if reader.types.len() > MAX_TYPES || cursor.next_sibling()?.is_none() {
                break;
            }
        }
    }
    Ok(Graph::new("DWARF", reader.types).with_functions(reader.functions, reader.prototypes))
}

fn is_declaration(entry: &Entry<'_>) -> bool {
    matches!(entry.attr_value(constants::DW_AT_declaration), Some(AttributeValue::Flag(true)))
}

fn number(entry: &Entry<'_>, attribute: constants::DwAt) -> Option<u64> {
    let value = entry.attr_value(attribute)?;
    value.udata_value().or_else(|| value.sdata_value().map(|n| n as u64))
}

fn name<'a>(unit: Unit<'a, '_>, entry: &Entry<'a>) -> String {
    let text = entry.attr_value(constants::DW_AT_name).and_then(|value| unit.attr_string(value).ok());
    text.map(|s| String::from_utf8_lossy(s.slice()).into_owned()).unwrap_or_default()
}

fn type_of(entry: &Entry<'_>) -> Option<UnitOffset> {
    match entry.attr_value(constants::DW_AT_type)? {
        AttributeValue::UnitRef(offset) => Some(offset),
        _ => None,
    }
}

impl Reader {
    /// Decodes a type with everything it needs.
    fn take<'a>(
        &mut self,
        unit: Unit<'a, '_>,
        offset: UnitOffset,
        local: &mut HashMap<UnitOffset, TypeId>,
    ) -> Result<TypeId, gimli::Error> {
        let mut queue = VecDeque::new();
        let taken = self.number(unit, offset, local, &mut queue)?;
        while let Some((id, offset)) = queue.pop_front() {
            if self.types.len() > MAX_TYPES {
                break;
            }
            let ty = self.decode(unit, id, offset, local, &mut queue)?;
            if let Some(slot) = self.types.get_mut(id as usize) {
                *slot = ty;
            }
        }
        Ok(taken)
    }

    /// The number of the type at an offset; one not seen before gets one and is queued to be decoded.
    fn number<'a>(
        &mut self,
        unit: Unit<'a, '_>,
        offset: UnitOffset,
        local: &mut HashMap<UnitOffset, TypeId>,
        queue: &mut VecDeque<(TypeId, UnitOffset)>,
    ) -> Result<TypeId, gimli::Error> {
        if let Some(id) = local.get(&offset) {
            return Ok(*id);
        }
        let entry = unit.entry(offset)?;
        let text = name(unit, &entry);
        let size =
            if is_declaration(&entry) { u64::MAX } else { number(&entry, constants::DW_AT_byte_size).unwrap_or(0) };
        // Functions of one name may differ.
        let shared = !text.is_empty() && entry.tag() != constants::DW_TAG_subprogram;
        let key = shared.then(|| (entry.tag(), text, size));
        if let Some(id) = key.as_ref().and_then(|key| self.known.get(key)) {
            local.insert(offset, *id);
            return Ok(*id);
        }
        let id = self.types.len() as TypeId;
        self.types.push(Type::Void);
        local.insert(offset, id);
        if let Some(key) = key {
            self.known.insert(key, id);
        }
        queue.push_back((id, offset));
        Ok(id)
    }

    fn target<'a>(
        &mut self,
        unit: Unit<'a, '_>,
        entry: &Entry<'a>,
        local: &mut HashMap<UnitOffset, TypeId>,
        queue: &mut VecDeque<(TypeId, UnitOffset)>,
    ) -> Result<TypeId, gimli::Error> {
        match type_of(entry) {
            Some(offset) => self.number(unit, offset, local, queue),
            None => Ok(0),
        }
    }

    fn decode<'a>(
        &mut self,
        unit: Unit<'a, '_>,
        id: TypeId,
        offset: UnitOffset,
        local: &mut HashMap<UnitOffset, TypeId>,
        queue: &mut VecDeque<(TypeId, UnitOffset)>,
    ) -> Result<Type<'static>, gimli::Error> {
        let mut cursor = unit.entries_at_offset(offset)?;
        let Some(entry) = cursor.next_dfs()? else { return Ok(Type::Void) };
        let text: Cow<'static, str> = Cow::Owned(name(unit, entry));
        let size = number(entry, constants::DW_AT_byte_size).unwrap_or(0);
        let tag = entry.tag();
        let declaration = is_declaration(entry);
        let entry = entry.clone();
        Ok(match tag {
            constants::DW_TAG_base_type => {
                let encoding = match entry.attr_value(constants::DW_AT_encoding) {
                    Some(AttributeValue::Encoding(encoding)) => encoding,
                    _ => constants::DW_ATE_unsigned,
                };
                match encoding {
                    constants::DW_ATE_float => Type::Float { size: size as u32 },
                    _ => {
                        let signed = matches!(encoding, constants::DW_ATE_signed | constants::DW_ATE_signed_char);
                        Type::Int { size: size as u32, signed, name: text }
                    }
                }
            }
            constants::DW_TAG_pointer_type => Type::Pointer(self.target(unit, &entry, local, queue)?),
            constants::DW_TAG_typedef => Type::Typedef { name: text, target: self.target(unit, &entry, local, queue)? },
            constants::DW_TAG_const_type
            | constants::DW_TAG_volatile_type
            | constants::DW_TAG_restrict_type
            | constants::DW_TAG_atomic_type => Type::Modifier(self.target(unit, &entry, local, queue)?),
            constants::DW_TAG_subroutine_type | constants::DW_TAG_subprogram => {
                let mut signature =
                    Signature { result: self.target(unit, &entry, local, queue)?, parameters: Vec::new() };
                for parameter in children(&mut cursor, constants::DW_TAG_formal_parameter)? {
                    let ty = self.target(unit, &parameter, local, queue)?;
                    signature.parameters.push((name(unit, &parameter), ty));
                }
                self.prototypes.insert(id, signature);
                Type::Function
            }
            constants::DW_TAG_structure_type | constants::DW_TAG_union_type | constants::DW_TAG_class_type
                if declaration =>
            {
                Type::Forward { name: text, union: tag == constants::DW_TAG_union_type }
            }
            constants::DW_TAG_structure_type | constants::DW_TAG_union_type | constants::DW_TAG_class_type => {
                let mut fields = Vec::new();
                for member in children(&mut cursor, constants::DW_TAG_member)? {
                    let (bit_offset, bit_size) = bits(unit, &member)?;
                    if bit_size.is_some_and(|width| width == 0 || width > MAX_BITS) {
                        continue;
                    }
                    let ty = self.target(unit, &member, local, queue)?;
                    fields.push(Field { name: Cow::Owned(name(unit, &member)), ty, bit_offset, bit_size });
                }
                Type::Struct { name: text, union: tag == constants::DW_TAG_union_type, size, fields }
            }
            constants::DW_TAG_enumeration_type => {
                let mut values = Vec::new();
                for value in children(&mut cursor, constants::DW_TAG_enumerator)? {
                    let constant = value.attr_value(constants::DW_AT_const_value);
                    let constant = constant.and_then(|v| v.sdata_value().or_else(|| v.udata_value().map(|n| n as i64)));
                    values.push((Cow::Owned(name(unit, &value)), constant.unwrap_or(0)));
                }
                Type::Enum { name: text, size: size as u32, values }
            }
            constants::DW_TAG_array_type => {
                let mut counts = Vec::new();
                for range in children(&mut cursor, constants::DW_TAG_subrange_type)? {
                    let count = number(&range, constants::DW_AT_count);
                    let bound = number(&range, constants::DW_AT_upper_bound).map(|n| n.wrapping_add(1));
                    counts.push(count.or(bound).filter(|n| *n < 1 << 40).unwrap_or(0));
                }
                let element = self.target(unit, &entry, local, queue)?;
                self.array(element, &counts)
            }
            _ => Type::Void,
        })
    }

    /// An array of several dimensions is an array of arrays.
    fn array(&mut self, mut element: TypeId, counts: &[u64]) -> Type<'static> {
        for count in counts.iter().skip(1).rev() {
            self.types.push(Type::Array { element, count: *count });
            element = (self.types.len() - 1) as TypeId;
        }
        Type::Array { element, count: counts.first().copied().unwrap_or(0) }
    }
}

/// Children of the entry a cursor stands on, of one kind.
fn children<'a>(
    cursor: &mut gimli::EntriesCursor<'_, Section<'a>>,
    tag: DwTag,
) -> Result<Vec<Entry<'a>>, gimli::Error> {
    let mut found = Vec::new();
    let Some(parent) = cursor.current() else { return Ok(found) };
    if !parent.has_children() {
        return Ok(found);
    }
    let mut next = cursor.next_dfs()?;
    while let Some(entry) = next {
        if entry.tag() == tag {
            found.push(entry.clone());
        }
        next = cursor.next_sibling()?;
    }
    Ok(found)
}

/// Offset in bits and width of a member. Before DWARF 5 a bitfield counts its bits from the top of its storage.
fn bits<'a>(unit: Unit<'a, '_>, member: &Entry<'a>) -> Result<(u64, Option<u32>), gimli::Error> {
    let width = number(member, constants::DW_AT_bit_size);
    if let Some(offset) = number(member, constants::DW_AT_data_bit_offset) {
        return Ok((offset, width.map(narrow)));
    }
    let byte = match member.attr_value(constants::DW_AT_data_member_location) {
        Some(AttributeValue::Exprloc(expression)) => {
            let mut operations = expression.operations(unit.encoding());
            match operations.next()? {
                Some(gimli::Operation::PlusConstant { value }) => value,
                Some(gimli::Operation::UnsignedConstant { value }) => value,
                _ => 0,
            }
        }
        Some(value) => value.udata_value().unwrap_or(0),
        None => 0,
    };
    let Some(width) = width else { return Ok((byte.wrapping_mul(8), None)) };
    let storage = match number(member, constants::DW_AT_byte_size) {
        Some(size) => size,
        None => storage_size(unit, member)?,
    };
    let from_top = number(member, constants::DW_AT_bit_offset).unwrap_or(0);
    let within = storage.saturating_mul(8).saturating_sub(from_top).saturating_sub(width);
    Ok((byte.wrapping_mul(8).wrapping_add(within), Some(narrow(width))))
}

fn narrow(width: u64) -> u32 {
    u32::try_from(width).unwrap_or(u32::MAX)
}

fn storage_size(unit: Unit<'_, '_>, member: &Entry<'_>) -> Result<u64, gimli::Error> {
    let mut at = type_of(member);
    for _ in 0..16 {
        let Some(offset) = at else { break };
        let entry = unit.entry(offset)?;
        if let Some(size) = number(&entry, constants::DW_AT_byte_size) {
            return Ok(size);
        }
        at = type_of(&entry);
    }
    Ok(4)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::Types;

    /// Compile unit, base type, structure, pointer, function with a result, parameter: what each has stands behind it.
    const ABBREVIATIONS: &[u8] = &[
        1, 0x11, 1, 0, 0, //
        2, 0x24, 0, 0x03, 0x08, 0x0b, 0x0b, 0x3e, 0x0b, 0, 0, //
        3, 0x13, 0, 0x03, 0x08, 0x0b, 0x0b, 0, 0, //
        4, 0x0f, 0, 0x49, 0x13, 0, 0, //
        5, 0x2e, 1, 0x03, 0x08, 0x3b, 0x0b, 0x49, 0x13, 0, 0, //
        6, 0x05, 0, 0x03, 0x08, 0x49, 0x13, 0, 0, //
        0,
    ];

    /// An entry with a name, then bytes and references.
    fn entry(info: &mut Vec<u8>, code: u8, name: &str, bytes: &[u8], to: Option<u32>) -> u32 {
        let at = info.len() as u32;
        info.push(code);
        if !name.is_empty() {
            info.extend(name.as_bytes());
            info.push(0);
        }
        info.extend(bytes);
        info.extend(to.map(u32::to_le_bytes).into_iter().flatten());
        at
    }

    #[test]
    fn functions_are_known_with_their_parameters() {
        let mut info = vec![0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 8, 1];
        let int = entry(&mut info, 2, "int", &[4, 5], None);
        let sock = entry(&mut info, 3, "sock", &[16], None);
        let pointer = entry(&mut info, 4, "", &[], Some(sock));
        // The first twice at one line, as an inline function of a header; the other are two functions of one name.
        for (name, line, parameters) in [
            ("sk_done", 10, vec![("sk", pointer), ("flags", int)]),
            ("sk_done", 10, vec![("sk", pointer), ("flags", int)]),
            ("show", 1, vec![("a", int)]),
            ("show", 2, vec![("a", pointer)]),
        ] {
            entry(&mut info, 5, name, &[line], Some(int));
            for (name, ty) in parameters {
                entry(&mut info, 6, name, &[], Some(ty));
            }
            info.push(0);
        }
        info.push(0);
        let length = (info.len() as u32 - 4).to_le_bytes();
        info[..4].copy_from_slice(&length);
        let dwarf = gimli::Dwarf::load(|id| {
            let bytes = match id {
                gimli::SectionId::DebugAbbrev => ABBREVIATIONS,
                gimli::SectionId::DebugInfo => &info,
                _ => &[],
            };
            Ok::<_, gimli::Error>(Section::new(bytes, LittleEndian))
        });
        let mut types = Types::none();
        types.add(Arc::new(super::types(&dwarf.unwrap()).unwrap()));
        let prototype = types.function("sk_done", None).unwrap();
        let names: Vec<&str> = prototype.parameters.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!((types.type_name(prototype.result).as_str(), names.as_slice()), ("int", ["sk", "flags"].as_slice()));
        let taken = prototype.parameters.first().and_then(|(_, ty)| types.pointee(*ty)).unwrap();
        assert_eq!(types.type_name(taken), "struct sock");
        assert_eq!(types.function("show", None), None);
        assert_eq!(types.function("sk_done", Some("module")), None);
    }
}
