//! Types and structure layouts: one question for every reader, [`Types::member`].
//!
//! Layouts come from BTF in the dump ([`btf`]), from a vmlinux, from a pack or from Volatility's ISF. All of them are seen through one small model, [`Type`], so that a reader asks
//! `member("net_device", "refcnt_tracker")` and never learns where the answer came from.
//!
//! ```
//! # use kernel::types::{Types, Member};
//! # fn pid_at(types: &Types) -> Option<Member> {
//! let pid = types.member("task_struct", "pid")?;
//! let counter = types.member("net", "ns.count.refs.counter")?; // nested and anonymous members are followed
//! # Some(pid) }
//! ```

pub mod btf;
mod check;
mod declare;
pub mod dwarf;
mod encode;
pub mod functions;
pub mod graph;
pub mod infer;
pub mod isf;
mod open;
pub mod pack;
mod value;
pub mod vmlinux;

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, RwLock};

use rustc_hash::{FxHashMap, FxHashSet};

pub use btf::Btf;
pub use graph::Graph;

/// How deep nested anonymous members, typedef chains and printed type names are followed.
const MAX_DEPTH: usize = 32;
/// Members looked at for one name: task_struct with all that it embeds has some thousand.
const MAX_FIELDS: usize = 1 << 20;
/// Widest bitfield that C has.
pub(crate) const MAX_BITS: u32 = 64;

/// Number of a type inside its source. 0 is `void`.
pub type TypeId = u32;

/// A type, as every source shows it.
#[derive(Clone, Debug, PartialEq)]
pub enum Type<'a> {
    /// `void`, or a type nobody describes.
    Void,
    /// An integer, character or boolean.
    Int {
        /// Bytes.
        size: u32,
        /// Whether it is signed.
        signed: bool,
        /// Name as in C.
        name: Cow<'a, str>,
    },
    /// A floating-point number of that many bytes.
    Float {
        /// Bytes.
        size: u32,
    },
    /// A pointer to a type.
    Pointer(TypeId),
    /// An array; flexible arrays have no elements.
    Array {
        /// Element type.
        element: TypeId,
        /// Number of elements.
        count: u64,
    },
    /// A structure or union.
    Struct {
        /// Name; empty when anonymous.
        name: Cow<'a, str>,
        /// Whether this is a union.
        union: bool,
        /// Bytes.
        size: u64,
        /// Members in their order.
        fields: Vec<Field<'a>>,
    },
    /// An enumeration.
    Enum {
        /// Name; empty when anonymous.
        name: Cow<'a, str>,
        /// Bytes.
        size: u32,
        /// Enumerators.
        values: Vec<(Cow<'a, str>, i64)>,
    },
    /// A structure or union that is only declared.
    Forward {
        /// Name.
        name: Cow<'a, str>,
        /// Whether it is a union.
        union: bool,
    },
    /// A typedef of a type.
    Typedef {
        /// Name.
        name: Cow<'a, str>,
        /// What it stands for.
        target: TypeId,
    },
    /// `const`, `volatile`, `restrict` or a tag on a type.
    Modifier(TypeId),
    /// A function or its prototype.
    Function,
}

/// One member of a structure.
#[derive(Clone, Debug, PartialEq)]
pub struct Field<'a> {
    /// Name; empty when anonymous.
    pub name: Cow<'a, str>,
    /// Type.
    pub ty: TypeId,
    /// Offset in bits from the start of the structure.
    pub bit_offset: u64,
    /// Width in bits if it is a bitfield.
    pub bit_size: Option<u32>,
}

/// Where types come from.
pub trait Source: Send + Sync {
    /// The type of that number; `Void` when there is none.
    fn get(&self, id: TypeId) -> Type<'_>;
    /// Structures, unions, typedefs and enumerations of that name, definitions only.
    fn find(&self, name: &str) -> Vec<TypeId>;
    /// Names that [`Source::find`] answers.
    fn names(&self) -> Vec<Cow<'_, str>> {
        Vec::new()
    }
    /// Value of an enumerator.
    fn enumerator(&self, name: &str) -> Option<i64>;
    /// What to call it: `BTF`, `BTF of veth`, `DWARF`, `pack`.
    fn name(&self) -> &str;
    /// Result and parameters of a function type, where the source keeps them.
    fn prototype(&self, _id: TypeId) -> Option<(TypeId, Vec<TypeId>)> {
        None
    }
    /// Names of the parameters of a function type, as many as are known.
    fn parameter_names(&self, _id: TypeId) -> Vec<String> {
        Vec::new()
    }
    /// The function types of all functions of that name.
    fn functions(&self, _name: &str) -> Vec<TypeId> {
        Vec::new()
    }
    /// The type of a variable.
    fn variable(&self, _name: &str) -> Option<TypeId> {
        None
    }
    /// The word that a [`Type::Modifier`] stands for: `const`, `volatile`, `restrict`; `None` for a tag, and where
    /// the source does not keep it.
    fn qualifier(&self, _id: TypeId) -> Option<&'static str> {
        None
    }
}

/// A type in one of the sources of [`Types`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TypeRef {
    source: u32,
    id: TypeId,
}

/// What kind of value a member holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A number; signed or not.
    Int {
        /// Whether to extend the sign.
        signed: bool,
    },
    /// A pointer.
    Pointer,
    /// An array.
    Array {
        /// Bytes of one element.
        stride: u64,
        /// Number of elements, 0 for a flexible array.
        count: u64,
    },
    /// A structure or union.
    Struct,
    /// Anything else.
    Other,
}

/// Where a member lies in its structure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// Offset in bytes; of a bitfield, of the first byte it touches.
    pub offset: u64,
    /// Size in bytes; of a bitfield, of the bytes it touches.
    pub size: u64,
    /// Of a bitfield: first bit in the little-endian word at `offset`, and width.
    pub bits: Option<(u32, u32)>,
    /// What it holds.
    pub shape: Shape,
    /// Its type; `None` for an inferred member.
    pub ty: Option<TypeRef>,
    /// True when the offset was concluded from memory instead of read from type information.
    pub inferred: bool,
}

impl Member {
    /// Takes the member's number out of the bytes at its offset.
    pub fn decode(&self, bytes: &[u8]) -> Option<u64> {
        let size = usize::try_from(self.size).ok().filter(|n| (1..=9).contains(n))?;
        let mut word = [0u8; 16];
        word.get_mut(..size)?.copy_from_slice(bytes.get(..size)?);
        let word = u128::from_le_bytes(word);
        let (shift, width) = self.bits.unwrap_or((0, (size as u32 * 8).min(64)));
        if width == 0 || width > 64 || shift > 63 {
            return None;
        }
        let value = (word >> shift) as u64 & (u64::MAX >> (64 - width));
        let negative = width < 64 && value >> (width - 1) & 1 == 1;
        Some(match self.shape {
            Shape::Int { signed: true } if negative => value | u64::MAX << width,
            _ => value,
        })
    }
}

/// A type's own name and size with its members, for printing structures.
#[derive(Clone, Debug)]
pub struct Layout {
    /// `struct net_device`.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// Members with their names (empty when anonymous).
    pub members: Vec<(String, Member)>,
}

/// Answers given, by structure and member. The names are those that readers ask for, not what a dump has.
type Asked = FxHashMap<String, FxHashMap<String, Option<Member>>>;

/// All the types known of one kernel. Answers are remembered; safe to share between threads.
#[derive(Default)]
pub struct Types {
    sources: Vec<Arc<dyn Source>>,
    inferred: HashMap<(String, String), Member>,
    asked: RwLock<Asked>,
    asked_enumerators: RwLock<FxHashMap<String, Option<i64>>>,
}

impl Types {
    /// No types at all.
    pub fn none() -> Self {
        Types::default()
    }

    /// Adds a source. Sources added first are asked first.
    pub fn add(&mut self, source: Arc<dyn Source>) {
        self.sources.push(source);
        self.forget();
    }

    /// Adds a source that is asked before all others, as types the user gave are.
    ///
    /// Type references handed out before are not valid any more.
    pub fn add_first(&mut self, source: Arc<dyn Source>) {
        self.sources.insert(0, source);
        self.forget();
    }

    /// Records the offset of a member that was concluded from memory. Asked only where no source knows the member.
    pub fn infer(&mut self, structure: &str, path: &str, offset: u64, size: u64, shape: Shape) {
        let member = Member { offset, size, bits: None, shape, ty: None, inferred: true };
        self.inferred.insert((structure.to_owned(), path.to_owned()), member);
        self.forget();
    }

    fn forget(&mut self) {
        self.asked.get_mut().map(FxHashMap::clear).unwrap_or(());
        self.asked_enumerators.get_mut().map(FxHashMap::clear).unwrap_or(());
    }

    /// Names of the sources, first asked first.
    pub fn sources(&self) -> impl Iterator<Item = &str> {
        self.sources.iter().map(|s| s.name())
    }

    /// Names of structures, unions, typedefs and enumerations of all sources; those of several come several times.
    pub fn names(&self) -> impl Iterator<Item = Cow<'_, str>> {
        self.sources.iter().flat_map(|source| source.names())
    }

    /// Whether nothing at all is known.
    pub fn is_empty(&self) -> bool {
        self.sources.is_empty() && self.inferred.is_empty()
    }

    /// Where a member lies: `member("task_struct", "thread.sp")`. Anonymous structures on the way are looked
    /// through, array elements are taken by `[n]`, a leading `struct ` or `union ` is allowed. Where several
    /// structures have the name, the first that has the member answers. `None`: this kernel has no such member.
    pub fn member(&self, structure: &str, path: &str) -> Option<Member> {
        let structure = bare(structure);
        if let Ok(asked) = self.asked.read()
            && let Some(answer) = asked.get(structure).and_then(|paths| paths.get(path))
        {
            return *answer;
        }
        let answer = self.look_up(structure, path);
        if let Ok(mut asked) = self.asked.write() {
            asked.entry(structure.to_owned()).or_default().insert(path.to_owned(), answer);
        }
        answer
    }

    fn look_up(&self, structure: &str, path: &str) -> Option<Member> {
        for (number, source) in self.sources.iter().enumerate() {
            for id in source.find(structure) {
                if let Some(member) = walk(source.as_ref(), number as u32, id, path) {
                    return Some(member);
                }
            }
        }
        self.inferred.get(&(structure.to_owned(), path.to_owned())).copied()
    }

    /// The first of several members that this kernel has: names newest first.
    pub fn first_member(&self, structure: &str, paths: &[&str]) -> Option<Member> {
        paths.iter().find_map(|path| self.member(structure, path))
    }

    /// Offset in bytes of a member.
    pub fn offset(&self, structure: &str, path: &str) -> Option<u64> {
        self.member(structure, path).map(|m| m.offset)
    }

    /// The structure, union, enumeration or typedef of that name.
    pub fn find(&self, name: &str) -> Option<TypeRef> {
        let name = bare(name);
        self.sources
            .iter()
            .enumerate()
            .find_map(|(n, s)| s.find(name).first().map(|id| TypeRef { source: n as u32, id: *id }))
    }

    /// Bytes of the structure, union, enumeration or typedef of that name.
    pub fn size_of(&self, name: &str) -> Option<u64> {
        self.bytes_of(self.find(name)?)
    }

    /// Bytes of a type.
    pub fn bytes_of(&self, ty: TypeRef) -> Option<u64> {
        size_of(self.sources.get(ty.source as usize)?.as_ref(), ty.id, 0)
    }

    /// Value of an enumerator, as `enumerator("NETREG_UNREGISTERED")`.
    pub fn enumerator(&self, name: &str) -> Option<i64> {
        if let Ok(asked) = self.asked_enumerators.read()
            && let Some(answer) = asked.get(name)
        {
            return *answer;
        }
        let answer = self.sources.iter().find_map(|s| s.enumerator(name));
        if let Ok(mut asked) = self.asked_enumerators.write() {
            asked.insert(name.to_owned(), answer);
        }
        answer
    }

    /// Enumerators of an enumeration by its name, in their order.
    pub fn enumerators(&self, name: &str) -> Vec<(String, i64)> {
        let Some(ty) = self.find(name) else { return Vec::new() };
        let Some(source) = self.sources.get(ty.source as usize) else { return Vec::new() };
        match source.get(strip(source.as_ref(), ty.id)) {
            Type::Enum { values, .. } => values.into_iter().map(|(n, v)| (n.into_owned(), v)).collect(),
            _ => Vec::new(),
        }
    }

    /// What a pointer or array of that type leads to.
    pub fn target(&self, ty: TypeRef) -> Option<TypeRef> {
        let source = self.sources.get(ty.source as usize)?;
        let id = match source.get(strip(source.as_ref(), ty.id)) {
            Type::Pointer(id) | Type::Array { element: id, .. } => id,
            _ => return None,
        };
        Some(TypeRef { source: ty.source, id })
    }

    /// Name of a type as in C, without the declared variable: `struct net_device *`, `char [16]`.
    pub fn type_name(&self, ty: TypeRef) -> String {
        match self.sources.get(ty.source as usize) {
            Some(source) => type_name(source.as_ref(), ty.id, 0),
            None => String::new(),
        }
    }

    /// Members of a structure or union, for printing it.
    pub fn layout(&self, ty: TypeRef) -> Option<Layout> {
        let source = self.sources.get(ty.source as usize)?.as_ref();
        let id = strip(source, ty.id);
        let Type::Struct { size, fields, .. } = source.get(id) else { return None };
        let members = fields
            .into_iter()
            .map(|f| (f.name.to_string(), place(source, ty.source, f.ty, f.bit_offset, f.bit_size)))
            .collect();
        Some(Layout { name: type_name(source, id, 0), size, members })
    }

    /// How a value of that type reads: its shape and size.
    pub fn describe(&self, ty: TypeRef) -> Option<Member> {
        let source = self.sources.get(ty.source as usize)?.as_ref();
        Some(place(source, ty.source, ty.id, 0, None))
    }

    /// The name of an enumerator of an enumeration type.
    pub fn enum_name(&self, ty: TypeRef, value: i64) -> Option<String> {
        let source = self.sources.get(ty.source as usize)?.as_ref();
        match source.get(strip(source, ty.id)) {
            Type::Enum { values, .. } => values.into_iter().find(|(_, v)| *v == value).map(|(n, _)| n.into_owned()),
            _ => None,
        }
    }
}

fn bare(name: &str) -> &str {
    let name = name.trim();
    ["struct ", "union ", "enum "].iter().find_map(|p| name.strip_prefix(p)).unwrap_or(name).trim_start()
}

/// Looks through typedefs, qualifiers and tags.
pub(crate) fn strip(source: &dyn Source, mut id: TypeId) -> TypeId {
    for _ in 0..MAX_DEPTH {
        match source.get(id) {
            Type::Typedef { target, .. } | Type::Modifier(target) => id = target,
            _ => break,
        }
    }
    id
}

pub(crate) fn size_of(source: &dyn Source, id: TypeId, depth: usize) -> Option<u64> {
    if depth > MAX_DEPTH {
        return None;
    }
    match source.get(id) {
        Type::Int { size, .. } | Type::Float { size } | Type::Enum { size, .. } => Some(size.into()),
        Type::Pointer(_) => Some(8),
        Type::Array { element, count } => size_of(source, element, depth + 1)?.checked_mul(count),
        Type::Struct { size, .. } => Some(size),
        Type::Typedef { target, .. } | Type::Modifier(target) => size_of(source, target, depth + 1),
        Type::Void | Type::Forward { .. } | Type::Function => None,
    }
}

fn type_name(source: &dyn Source, id: TypeId, depth: usize) -> String {
    if depth > MAX_DEPTH {
        return "...".to_owned();
    }
    match source.get(id) {
        Type::Void => "void".to_owned(),
        Type::Int { name, .. } => name.into_owned(),
        Type::Float { size } => if size == 4 { "float" } else { "double" }.to_owned(),
        Type::Pointer(target) => {
            let name = type_name(source, target, depth + 1);
            if name.ends_with('*') { name + "*" } else { name + " *" }
        }
        Type::Array { element, count } => format!("{} [{count}]", type_name(source, element, depth + 1)),
        Type::Struct { name, union, .. } | Type::Forward { name, union } => {
            let keyword = if union { "union" } else { "struct" };
            if name.is_empty() { keyword.to_owned() } else { format!("{keyword} {name}") }
        }
        Type::Enum { name, .. } if name.is_empty() => "enum".to_owned(),
        Type::Enum { name, .. } => format!("enum {name}"),
        Type::Typedef { name, .. } => name.into_owned(),
        Type::Modifier(target) => type_name(source, target, depth + 1),
        Type::Function => "void ()".to_owned(),
    }
}

fn shape_of(source: &dyn Source, id: TypeId) -> Shape {
    match source.get(strip(source, id)) {
        Type::Int { signed, .. } => Shape::Int { signed },
        Type::Enum { values, .. } => Shape::Int { signed: values.iter().any(|(_, v)| *v < 0) },
        Type::Pointer(_) => Shape::Pointer,
        Type::Array { element, count } => Shape::Array { stride: size_of(source, element, 0).unwrap_or(0), count },
        Type::Struct { .. } => Shape::Struct,
        _ => Shape::Other,
    }
}

fn place(source: &dyn Source, number: u32, ty: TypeId, bit_offset: u64, bit_size: Option<u32>) -> Member {
    let shape = shape_of(source, ty);
    let offset = bit_offset / 8;
    let shift = (bit_offset % 8) as u32;
    let (size, bits) = match bit_size {
        Some(width) => (u64::from(shift.saturating_add(width).div_ceil(8)), Some((shift, width))),
        None => (size_of(source, ty, 0).unwrap_or(0), None),
    };
    Member { offset, size, bits, shape, ty: Some(TypeRef { source: number, id: ty }), inferred: false }
}

/// The way to a member. A type that was looked through in vain is not looked at again, so that types which embed
/// each other, as only damaged ones do, cost no more than others.
#[derive(Default)]
struct Seeker {
    seen: FxHashSet<TypeId>,
    fields: usize,
}

impl Seeker {
    /// A named member, through anonymous structures and unions; offset in bits from the start of `id`.
    fn find(
        &mut self,
        source: &dyn Source,
        id: TypeId,
        name: &str,
        depth: usize,
    ) -> Option<(TypeId, u64, Option<u32>)> {
        if depth > MAX_DEPTH || self.fields > MAX_FIELDS || !self.seen.insert(id) {
            return None;
        }
        let stripped = strip(source, id);
        if stripped != id && !self.seen.insert(stripped) {
            return None;
        }
        let Type::Struct { fields, .. } = source.get(stripped) else { return None };
        self.fields = self.fields.saturating_add(fields.len());
        if let Some(f) = fields.iter().find(|f| f.name == name) {
            return Some((f.ty, f.bit_offset, f.bit_size));
        }
        fields.iter().filter(|f| f.name.is_empty()).find_map(|f| {
            let (ty, offset, size) = self.find(source, f.ty, name, depth + 1)?;
            Some((ty, f.bit_offset.checked_add(offset)?, size))
        })
    }
}

fn walk(source: &dyn Source, number: u32, id: TypeId, path: &str) -> Option<Member> {
    let (mut ty, mut offset, mut width) = (id, 0u64, None);
    for step in path.split('.') {
        let (name, mut indices) = match step.find('[') {
            Some(at) => (&step[..at], &step[at..]),
            None => (step, ""),
        };
        if !name.is_empty() {
            let (next, bits, size) = Seeker::default().find(source, ty, name, 0)?;
            (ty, offset, width) = (next, offset.checked_add(bits)?, size);
        }
        while let Some(rest) = indices.strip_prefix('[') {
            let (index, rest) = rest.split_once(']')?;
            let index: u64 = index.parse().ok()?;
            let Type::Array { element, .. } = source.get(strip(source, ty)) else { return None };
            let stride = size_of(source, element, 0)?;
            (ty, offset) = (element, offset.checked_add(stride.checked_mul(index)?.checked_mul(8)?)?);
            indices = rest;
        }
    }
    Some(place(source, number, ty, offset, width))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bitfields_decode_with_their_sign() {
        let member = |bits, signed| Member {
            offset: 0,
            size: 2,
            bits: Some(bits),
            shape: Shape::Int { signed },
            ty: None,
            inferred: false,
        };
        assert_eq!(member((3, 4), false).decode(&[0b0111_1000, 0]), Some(15));
        assert_eq!(member((3, 4), true).decode(&[0b0111_1000, 0]), Some(u64::MAX));
        assert_eq!(member((3, 4), true).decode(&[0b0011_1000, 0]), Some(7));
        assert_eq!(member((6, 6), false).decode(&[0b1100_0000, 0b0000_1111]), Some(63));
        assert_eq!(member((6, 6), false).decode(&[0]), None);
    }

    /// A union of two anonymous members of its own type, and a function that takes itself twice.
    struct Knot;

    impl Source for Knot {
        fn get(&self, id: TypeId) -> Type<'_> {
            let own = |bit_offset| Field { name: "".into(), ty: 1, bit_offset, bit_size: None };
            match id {
                1 => Type::Struct { name: "knot".into(), union: true, size: 8, fields: vec![own(0), own(0)] },
                2 => Type::Pointer(3),
                3 => Type::Function,
                _ => Type::Void,
            }
        }

        fn find(&self, name: &str) -> Vec<TypeId> {
            if name == "knot" { vec![1] } else { Vec::new() }
        }

        fn enumerator(&self, _: &str) -> Option<i64> {
            None
        }

        fn name(&self) -> &str {
            "test"
        }

        fn prototype(&self, _: TypeId) -> Option<(TypeId, Vec<TypeId>)> {
            Some((2, vec![2; 1000]))
        }
    }

    #[test]
    fn types_that_embed_themselves_are_looked_through_once() {
        let mut types = Types::none();
        types.add(Arc::new(Knot));
        assert!(types.member("knot", "absent").is_none());
        let text = types.declaration(TypeRef { source: 0, id: 2 }, "call", None);
        assert!(text.len() < 200_000, "{} bytes", text.len());
    }

    #[test]
    fn a_bitfield_of_any_width_has_a_place() {
        let member = place(&Knot, 0, 0, 7, Some(u32::MAX));
        assert_eq!(member.decode(&[0; 16]), None);
    }

    #[test]
    fn inferred_members_answer_only_where_no_source_does() {
        let mut types = Types::none();
        assert!(types.is_empty() && types.member("task_struct", "pid").is_none());
        types.infer("task_struct", "pid", 2416, 4, Shape::Int { signed: true });
        let pid = types.member("struct task_struct", "pid").unwrap();
        assert!(pid.inferred && pid.offset == 2416);
    }
}
