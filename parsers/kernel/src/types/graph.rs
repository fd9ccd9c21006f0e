//! Types that were decoded into memory: what DWARF and ISF become.

use std::borrow::Cow;
use std::collections::HashMap;

use super::{Field, Source, Type, TypeId};

/// A set of types by number.
pub struct Graph {
    label: String,
    types: Vec<Type<'static>>,
    names: HashMap<String, Vec<TypeId>>,
    enumerators: HashMap<String, i64>,
    /// Types of the functions of a name.
    functions: HashMap<String, Vec<TypeId>>,
    prototypes: HashMap<TypeId, Signature>,
}

/// What a function type takes and gives.
#[derive(Clone, Debug, Default)]
pub struct Signature {
    /// Type of the result.
    pub result: TypeId,
    /// Names and types of the parameters, in their order.
    pub parameters: Vec<(String, TypeId)>,
}

impl Graph {
    /// Types by their number; number 0 should be [`Type::Void`].
    pub fn new(label: &str, types: Vec<Type<'static>>) -> Graph {
        let mut names: HashMap<String, Vec<TypeId>> = HashMap::new();
        let mut enumerators = HashMap::new();
        for (id, ty) in types.iter().enumerate() {
            let name = match ty {
                Type::Struct { name, .. } | Type::Enum { name, .. } | Type::Typedef { name, .. } => name,
                _ => continue,
            };
            if !name.is_empty() {
                names.entry(name.clone().into_owned()).or_default().push(id as TypeId);
            }
            if let Type::Enum { values, .. } = ty {
                for (name, value) in values {
                    enumerators.entry(name.clone().into_owned()).or_insert(*value);
                }
            }
        }
        let (functions, prototypes) = (HashMap::new(), HashMap::new());
        Graph { label: label.to_owned(), types, names, enumerators, functions, prototypes }
    }

    /// With the types of functions by name, and what function types take and give.
    pub fn with_functions(
        self,
        functions: HashMap<String, Vec<TypeId>>,
        prototypes: HashMap<TypeId, Signature>,
    ) -> Graph {
        Graph { functions, prototypes, ..self }
    }
}

/// A type that borrows its names.
fn borrowed<'a>(ty: &'a Type<'static>) -> Type<'a> {
    let lend = |name: &'a Cow<'static, str>| Cow::Borrowed(name.as_ref());
    match ty {
        Type::Void => Type::Void,
        Type::Int { size, signed, name } => Type::Int { size: *size, signed: *signed, name: lend(name) },
        Type::Float { size } => Type::Float { size: *size },
        Type::Pointer(to) => Type::Pointer(*to),
        Type::Array { element, count } => Type::Array { element: *element, count: *count },
        Type::Struct { name, union, size, fields } => Type::Struct {
            name: lend(name),
            union: *union,
            size: *size,
            fields: fields
                .iter()
                .map(|f| Field { name: lend(&f.name), ty: f.ty, bit_offset: f.bit_offset, bit_size: f.bit_size })
                .collect(),
        },
        Type::Enum { name, size, values } => {
            Type::Enum { name: lend(name), size: *size, values: values.iter().map(|(n, v)| (lend(n), *v)).collect() }
        }
        Type::Forward { name, union } => Type::Forward { name: lend(name), union: *union },
        Type::Typedef { name, target } => Type::Typedef { name: lend(name), target: *target },
        Type::Modifier(to) => Type::Modifier(*to),
        Type::Function => Type::Function,
    }
}

impl Source for Graph {
    fn get(&self, id: TypeId) -> Type<'_> {
        self.types.get(id as usize).map_or(Type::Void, borrowed)
    }

    fn names(&self) -> Vec<Cow<'_, str>> {
        self.names.keys().map(|name| Cow::Borrowed(name.as_ref())).collect()
    }

    fn find(&self, name: &str) -> Vec<TypeId> {
        self.names.get(name).cloned().unwrap_or_default()
    }

    fn enumerator(&self, name: &str) -> Option<i64> {
        self.enumerators.get(name).copied()
    }

    fn name(&self) -> &str {
        &self.label
    }

    fn prototype(&self, id: TypeId) -> Option<(TypeId, Vec<TypeId>)> {
        let signature = self.prototypes.get(&id)?;
        Some((signature.result, signature.parameters.iter().map(|(_, ty)| *ty).collect()))
    }

    fn parameter_names(&self, id: TypeId) -> Vec<String> {
        let parameters = self.prototypes.get(&id).map(|signature| signature.parameters.as_slice());
        parameters.unwrap_or_default().iter().map(|(name, _)| name.clone()).collect()
    }

    fn functions(&self, name: &str) -> Vec<TypeId> {
        self.functions.get(name).cloned().unwrap_or_default()
    }
}
