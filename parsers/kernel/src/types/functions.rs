//! What a function takes and gives, what a variable is, and which member lies at an offset.

use super::{MAX_DEPTH, Source, Type, TypeId, TypeRef, Types, size_of, strip};

/// Result and parameters of a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prototype {
    /// Type of the result.
    pub result: TypeRef,
    /// Names and types of the parameters, in their order; a name may be empty.
    pub parameters: Vec<(String, TypeRef)>,
}

/// What lies at an offset in a type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaf {
    /// The way there, `ipv6.mr6_tables.next` or `queues[3].lock`; empty for the type itself.
    pub path: String,
    /// Type of what lies there.
    pub ty: TypeRef,
    /// Bytes from its start.
    pub within: u64,
    /// Its bytes.
    pub size: u64,
}

/// Members of unions that lie at one place; no structure of the kernel has more.
const MAX_LEAVES: usize = 64;
/// Enough for the deepest nesting with [`MAX_LEAVES`] alternatives at each level.
const MAX_STEPS: usize = 4096;

impl Types {
    /// The prototype of a function by its symbol's name, of a module's own where `module` is told. `None` where no
    /// source knows it, or knows two that differ: static functions of one name.
    pub fn function(&self, name: &str, module: Option<&str>) -> Option<Prototype> {
        let module = module.map(|module| format!("BTF of {module}"));
        // The dump's own first; of a kernel without, what the user gave.
        let wanted: &[&str] = match &module {
            Some(name) => &[name],
            None => &["BTF", "BTF of vmlinux", "DWARF", "pack"],
        };
        let known = |name: &&str| self.sources.iter().enumerate().find(|(_, source)| source.name() == *name);
        let (number, source) = wanted.iter().find_map(known)?;
        let mut found = source.functions(name).into_iter();
        let id = found.next()?;
        if found.any(|other| other != id) {
            return None;
        }
        self.prototype_of(TypeRef { source: number as u32, id })
    }

    /// Result and parameters of a function type, through typedefs and qualifiers.
    pub fn prototype_of(&self, ty: TypeRef) -> Option<Prototype> {
        let source = self.sources.get(ty.source as usize)?.as_ref();
        let id = strip(source, ty.id);
        let (result, parameters) = source.prototype(id)?;
        let names = source.parameter_names(id);
        let of = |id| TypeRef { source: ty.source, id };
        let parameters = parameters.into_iter().enumerate();
        let parameters = parameters.map(|(nth, id)| (names.get(nth).cloned().unwrap_or_default(), of(id))).collect();
        Some(Prototype { result: of(result), parameters })
    }

    /// The type of a per-CPU or global variable, where a source records it.
    pub fn variable(&self, name: &str) -> Option<TypeRef> {
        self.sources
            .iter()
            .enumerate()
            .find_map(|(number, source)| Some(TypeRef { source: number as u32, id: source.variable(name)? }))
    }

    /// What a pointer leads to, behind typedefs and qualifiers on both sides; `None` for anything but a pointer, and for
    /// one to nothing in particular: `void`, numbers and characters, structures without a definition.
    pub fn pointee(&self, ty: TypeRef) -> Option<TypeRef> {
        let source = self.sources.get(ty.source as usize)?.as_ref();
        match source.get(strip(source, ty.id)) {
            Type::Pointer(to) => {
                let id = strip(source, to);
                let telling = matches!(
                    source.get(id),
                    Type::Struct { .. } | Type::Pointer(_) | Type::Array { .. } | Type::Function
                );
                telling.then_some(TypeRef { source: ty.source, id })
            }
            _ => None,
        }
    }

    /// Whether a type is a structure or union that has a definition.
    pub fn is_structure(&self, ty: TypeRef) -> bool {
        let Some(source) = self.sources.get(ty.source as usize) else { return false };
        matches!(source.get(strip(source.as_ref(), ty.id)), Type::Struct { .. })
    }

    /// Whether two types are one, perhaps told by two sources: the kernel's BTF and a module's.
    pub fn same_structure(&self, one: TypeRef, other: TypeRef) -> bool {
        one == other || {
            let name = self.base_name(one);
            name != "struct" && name != "union" && name == self.base_name(other)
        }
    }

    /// What lies `offset` bytes into a type: numbers and pointers, all members of a union; those that begin there and
    /// have `size` bytes first, then those that begin there. Empty outside the type and in its padding.
    pub fn leaves(&self, ty: TypeRef, offset: u64, size: u64) -> Vec<Leaf> {
        let Some(source) = self.sources.get(ty.source as usize) else { return Vec::new() };
        let mut search = Search { source: source.as_ref(), number: ty.source, found: Vec::new(), steps: 0 };
        search.descend(ty.id, offset, String::new(), 0);
        let mut found = search.found;
        found.sort_by_key(|leaf| (leaf.within != 0, leaf.within != 0 || leaf.size != size));
        found
    }
}

struct Search<'a> {
    source: &'a dyn Source,
    number: u32,
    found: Vec<Leaf>,
    steps: usize,
}

impl Search<'_> {
    fn descend(&mut self, id: TypeId, offset: u64, path: String, depth: usize) {
        self.steps += 1;
        if depth > MAX_DEPTH || self.found.len() >= MAX_LEAVES || self.steps > MAX_STEPS {
            return;
        }
        let stripped = strip(self.source, id);
        match self.source.get(stripped) {
            Type::Struct { size, fields, .. } if offset < size => {
                for field in &fields {
                    let (at, bit) = (field.bit_offset / 8, field.bit_offset % 8);
                    let bytes = match field.bit_size {
                        Some(width) => (bit + u64::from(width)).div_ceil(8),
                        None => size_of(self.source, field.ty, 0).unwrap_or(0),
                    };
                    let Some(within) = offset.checked_sub(at).filter(|within| *within < bytes) else { continue };
                    let path = match (path.is_empty(), field.name.is_empty()) {
                        (_, true) => path.clone(),
                        (true, false) => field.name.to_string(),
                        (false, false) => format!("{path}.{}", field.name),
                    };
                    match field.bit_size {
                        Some(_) => self.leaf(path, field.ty, within, bytes),
                        None => self.descend(field.ty, within, path, depth + 1),
                    }
                }
            }
            Type::Array { element, .. } => {
                let stride = size_of(self.source, element, 0).unwrap_or(0);
                let whole = size_of(self.source, stripped, 0).unwrap_or(0);
                if stride > 0 && offset < whole {
                    self.descend(element, offset % stride, format!("{path}[{}]", offset / stride), depth + 1);
                }
            }
            Type::Int { size, .. } | Type::Float { size } | Type::Enum { size, .. } if offset < size.into() => {
                self.leaf(path, id, offset, size.into());
            }
            Type::Pointer(_) if offset < 8 => self.leaf(path, id, offset, 8),
            _ => {}
        }
    }

    fn leaf(&mut self, path: String, id: TypeId, within: u64, size: u64) {
        self.found.push(Leaf { path, ty: TypeRef { source: self.number, id }, within, size });
    }
}
