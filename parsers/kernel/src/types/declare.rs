//! Types as a person asks for and reads them: by name with or without keyword, and declared as in C.

use super::{MAX_DEPTH, Member, Source, Type, TypeId, TypeRef, Types, bare, strip, type_name, walk};

impl Types {
    /// All types of a name, those that a person most likely means first: structures and unions before enumerations
    /// before typedefs, definitions with members before empty ones. A leading `struct `, `union ` or `enum ` leaves
    /// only those.
    pub fn find_all(&self, name: &str) -> Vec<TypeRef> {
        let wanted = name.trim().split_once(char::is_whitespace).map(|(keyword, _)| keyword);
        let name = bare(name);
        let mut found = Vec::new();
        for (number, source) in self.sources.iter().enumerate() {
            for id in source.find(name) {
                let rank = match (source.get(id), wanted) {
                    (Type::Struct { union: false, fields, .. }, None | Some("struct")) => u8::from(fields.is_empty()),
                    (Type::Struct { union: true, fields, .. }, None | Some("union")) => u8::from(fields.is_empty()),
                    (Type::Enum { .. }, None | Some("enum")) => 2,
                    (Type::Typedef { .. }, None) => 3,
                    _ => continue,
                };
                found.push((rank, TypeRef { source: number as u32, id }));
            }
        }
        found.sort_by_key(|(rank, _)| *rank);
        found.into_iter().map(|(_, ty)| ty).collect()
    }

    /// A member of a type, as [`Types::member`] finds it.
    pub fn member_of(&self, ty: TypeRef, path: &str) -> Option<Member> {
        walk(self.sources.get(ty.source as usize)?.as_ref(), ty.source, ty.id, path)
    }

    /// Name of the source a type comes from: `BTF`, `BTF of veth`, `DWARF`, `pack`.
    pub fn source_of(&self, ty: TypeRef) -> &str {
        self.sources.get(ty.source as usize).map_or("", |source| source.name())
    }

    /// Name of a type behind its typedefs: `unsigned int` for `u32`.
    pub fn base_name(&self, ty: TypeRef) -> String {
        match self.sources.get(ty.source as usize) {
            Some(source) => type_name(source.as_ref(), strip(source.as_ref(), ty.id), 0),
            None => String::new(),
        }
    }

    /// Members of an enumeration type, in their order; empty for any other.
    pub fn values_of(&self, ty: TypeRef) -> Vec<(String, i64)> {
        let Some(source) = self.sources.get(ty.source as usize) else { return Vec::new() };
        match source.get(strip(source.as_ref(), ty.id)) {
            Type::Enum { values, .. } => values.into_iter().map(|(name, value)| (name.into_owned(), value)).collect(),
            _ => Vec::new(),
        }
    }

    /// Whether the type is a floating-point number, of how many bytes.
    pub fn float_of(&self, ty: TypeRef) -> Option<u32> {
        let source = self.sources.get(ty.source as usize)?;
        match source.get(strip(source.as_ref(), ty.id)) {
            Type::Float { size } => Some(size),
            _ => None,
        }
    }

    /// What a typedef stands for.
    pub fn alias_of(&self, ty: TypeRef) -> Option<TypeRef> {
        match self.sources.get(ty.source as usize)?.get(ty.id) {
            Type::Typedef { target, .. } => Some(TypeRef { source: ty.source, id: target }),
            _ => None,
        }
    }

    /// Whether the type is a pointer to a function.
    pub fn is_function_pointer(&self, ty: TypeRef) -> bool {
        let target = self.target(ty).and_then(|to| Some((self.sources.get(to.source as usize)?, to.id)));
        target.is_some_and(|(source, id)| matches!(source.get(strip(source.as_ref(), id)), Type::Function))
    }

    /// A variable of a type declared as in C, without the semicolon: `int (*input)(struct sk_buff *)`,
    /// `const char *name`, `unsigned int x : 3`. Of structures only the name stands there.
    pub fn declaration(&self, ty: TypeRef, name: &str, bits: Option<u32>) -> String {
        let Some(source) = self.sources.get(ty.source as usize) else { return name.to_owned() };
        let mut writer = Writer { source: source.as_ref(), steps: MAX_STEPS, left: MAX_TEXT };
        let mut text = writer.declare(ty.id, name.to_owned(), 0);
        if let Some(bits) = bits {
            text.push_str(&format!(" : {bits}"));
        }
        text
    }
}

fn is_compound(source: &dyn Source, mut id: TypeId) -> bool {
    for _ in 0..MAX_DEPTH {
        match source.get(id) {
            Type::Modifier(to) => id = to,
            Type::Array { .. } | Type::Function => return true,
            _ => return false,
        }
    }
    false
}

/// An integer type as it is written in the kernel: compilers record `long unsigned int`.
fn spoken(name: &str) -> String {
    let unsigned = name.split(' ').any(|word| word == "unsigned");
    let longs = name.split(' ').filter(|word| *word == "long").count();
    let base = match (name.split(' ').any(|word| word == "short"), longs) {
        (true, _) => "short",
        (false, 1) => "long",
        (false, 2) => "long long",
        _ => return name.to_owned(),
    };
    if unsigned { format!("unsigned {base}") } else { base.to_owned() }
}

/// Types named in one declaration, and bytes of their names: a prototype of the kernel has at most some 20 of them. Types
/// that lead to themselves, as only damaged ones do, have no end.
const MAX_STEPS: usize = 4096;
const MAX_TEXT: usize = 64 << 10;

struct Writer<'s> {
    source: &'s dyn Source,
    steps: usize,
    left: usize,
}

impl Writer<'_> {
    /// A name, while there is room.
    fn named(&mut self, name: String) -> String {
        match self.left.checked_sub(name.len()) {
            Some(left) => {
                self.left = left;
                name
            }
            None => "...".to_owned(),
        }
    }

    fn declare(&mut self, id: TypeId, inner: String, depth: usize) -> String {
        let Some(steps) = self.steps.checked_sub(1).filter(|_| depth <= MAX_DEPTH) else { return inner };
        self.steps = steps;
        let source = self.source;
        let after = |name: String, inner: String| if inner.is_empty() { name } else { format!("{name} {inner}") };
        match source.get(id) {
            Type::Pointer(to) => {
                let inner = if is_compound(source, to) { format!("(*{inner})") } else { format!("*{inner}") };
                self.declare(to, inner, depth + 1)
            }
            Type::Array { element, count } => {
                // BTF does not tell a flexible array from one of no elements.
                self.declare(element, format!("{inner}[{count}]"), depth + 1)
            }
            Type::Modifier(to) => {
                // A qualifier of a pointer stands behind its star, of anything else before the type.
                let word = source.qualifier(id).unwrap_or("");
                let pointer = matches!(source.get(to), Type::Pointer(_));
                match (word, pointer) {
                    ("", _) => self.declare(to, inner, depth + 1),
                    (word, true) => {
                        let inner = if inner.is_empty() { word.to_owned() } else { format!("{word} {inner}") };
                        self.declare(to, inner, depth + 1)
                    }
                    (word, false) => format!("{word} {}", self.declare(to, inner, depth + 1)),
                }
            }
            Type::Function => match source.prototype(id) {
                Some((result, parameters)) => {
                    let mut list = Vec::new();
                    for to in parameters {
                        if self.steps == 0 {
                            list.push("...".to_owned());
                            break;
                        }
                        list.push(self.declare(to, String::new(), depth + 1));
                    }
                    // A last parameter without a type is the dots of printf.
                    if let Some(last) = list.last_mut().filter(|last| *last == "void") {
                        "...".clone_into(last);
                    }
                    let list = if list.is_empty() { "void".to_owned() } else { list.join(", ") };
                    self.declare(result, format!("{inner}({list})"), depth + 1)
                }
                None => format!("void {inner}()"),
            },
            Type::Enum { name, values, .. } if name.is_empty() => {
                let mut names: Vec<&str> = values.iter().take(8).map(|(name, _)| name.as_ref()).collect();
                if values.len() > 8 {
                    names.push("...");
                }
                after(self.named(format!("enum {{{}}}", names.join(", "))), inner)
            }
            Type::Int { name, .. } => after(self.named(spoken(&name)), inner),
            _ => after(self.named(type_name(source, id, depth)), inner),
        }
    }
}
