//! `struct`: the layout of a type, and what memory holds of it.

use std::collections::HashSet;

use facts::{Address, Gap};
use kernel::types::{Member, Shape, TypeRef};
use kernel::{Kernel, VirtAddr};
use serde::Serialize;

use super::value::{ElementRow, MemberValue, Number, Value, Wide, is_absent};

/// Nodes of a list that are counted.
const MAX_COUNTED: usize = 10_000;
/// Elements of an array, and members in all, that are shown.
const MAX_ELEMENTS: u64 = 4096;
const MAX_ROWS: usize = 100_000;
/// Bytes of a text that a pointer leads to.
const MAX_TEXT: usize = 200;

/// What to show of a type.
#[derive(Clone, Debug, Default)]
pub struct Ask {
    /// Name, with or without `struct `; members may follow as in `task_struct.comm,pid`.
    pub name: String,
    /// Where it lies, as [`super::resolve`] takes it, one or several; none for the layout.
    pub addresses: Vec<String>,
    /// Members, `se.vruntime`; pointers on the way are followed.
    pub members: Vec<String>,
    /// How deep structures inside are shown.
    pub depth: usize,
    /// Follow the list through this member: a list_head, an hlist_node, a pointer to the same type.
    pub list: Option<String>,
    /// The address is the head of that list, not an element of it.
    pub head: bool,
    /// The most elements shown.
    pub limit: usize,
}

/// A type, or the structures of a type at some addresses.
#[derive(Clone, Debug, Serialize)]
pub struct StructView {
    /// Name as in C: `struct list_head`, `enum module_state`.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// Where the layout comes from: `BTF`, `DWARF`, `pack`.
    pub source: String,
    /// Definitions of that name; the first is shown.
    pub definitions: usize,
    /// The layout; empty where values are shown.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<FieldRow>,
    /// Enumerators of an enumeration.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub enumerators: Vec<EnumeratorRow>,
    /// Of a typedef that is no structure: what it stands for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub declaration: Option<String>,
    /// The structures, in the order of the list where one was followed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub objects: Vec<ObjectRow>,
    /// Whether members were chosen, instead of all.
    pub chosen: bool,
    /// Whether a list was followed, and how many elements it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listed: Option<usize>,
    /// What could not be read.
    pub gaps: Vec<Gap>,
}

/// Where a bit-field lies in its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Bits {
    /// First bit.
    pub first: u32,
    /// How many.
    pub width: u32,
}

/// A name of an enumeration.
#[derive(Clone, Debug, Serialize)]
pub struct EnumeratorRow {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: i64,
}

/// A structure in memory.
#[derive(Clone, Debug, Serialize)]
pub struct ObjectRow {
    /// Where it lies.
    pub address: Address,
    /// Its members.
    pub members: Vec<FieldRow>,
}

/// A member.
#[derive(Clone, Debug, Serialize)]
pub struct FieldRow {
    /// Name; empty for an anonymous structure or union. Of a member asked for by its path, the path.
    pub name: String,
    /// Type as in C.
    #[serde(rename = "type")]
    pub type_name: String,
    /// Declared as in C, without semicolon.
    pub declaration: String,
    /// Bytes from the start of the outermost structure; of a path through a pointer, from that pointer's target.
    pub offset: u64,
    /// Bytes; of a bit-field those it touches.
    pub size: u64,
    /// Of a bit-field: first bit at `offset`, and width.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bits: Option<Bits>,
    /// Members of an anonymous structure or union.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<FieldRow>,
    /// What memory holds; `null` in a layout.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<Value>,
    /// Of the node or head of a list: the other nodes in its ring, where it closes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nodes: Option<usize>,
}

/// The layout of a type, or its values at an address.
///
/// # Errors
/// A sentence when no such type or member is known, or nothing lies at the address.
pub fn structure(kernel: &Kernel<'_>, ask: &Ask) -> Result<StructView, String> {
    let mut ask = ask.clone();
    // As crash takes it: task_struct.comm,pid
    if let Some((name, members)) = ask.name.clone().split_once('.') {
        name.clone_into(&mut ask.name);
        ask.members.splice(0..0, members.split(',').map(str::to_owned));
    }
    let types = kernel.types();
    let found = types.find_all(&ask.name);
    let Some(ty) = found.first().copied() else { return Err(no_such_type(kernel, &ask.name)) };
    let mut view = StructView {
        name: types.base_name(ty),
        size: types.bytes_of(ty).unwrap_or(0),
        source: types.source_of(ty).to_owned(),
        definitions: found.len(),
        members: Vec::new(),
        enumerators: types.values_of(ty).into_iter().map(|(name, value)| EnumeratorRow { name, value }).collect(),
        declaration: None,
        objects: Vec::new(),
        chosen: !ask.members.is_empty(),
        listed: None,
        gaps: Vec::new(),
    };
    if types.layout(ty).is_none() {
        if view.enumerators.is_empty() {
            let name = types.type_name(ty);
            let stands_for = types.alias_of(ty).unwrap_or(ty);
            view.declaration = Some(format!("typedef {}", types.declaration(stands_for, &name, None)));
        }
        if ask.addresses.is_empty() {
            return Ok(view);
        }
    } else if !view.name.contains(' ') {
        // An anonymous structure behind a typedef.
        view.name = types.type_name(ty);
    }
    let mut reader = Reader { kernel, rows: 0, depth: ask.depth };
    let Some(word) = ask.addresses.first() else {
        view.members = match ask.members.is_empty() {
            true => reader.layout(ty, 0, 0),
            false => ask.members.iter().map(|path| reader.asked(ty, path, None)).collect::<Result<_, _>>()?,
        };
        return Ok(view);
    };
    let starts = ask.addresses.iter().map(|word| super::resolve(kernel, word)).collect::<Result<Vec<_>, _>>()?;
    let at = starts.first().copied().unwrap_or_default();
    let places = match &ask.list {
        None => starts,
        Some(_) if starts.len() > 1 => return Err("one list at a time: --list takes one address".to_owned()),
        Some(member) => {
            let (places, gaps) = follow(kernel, ty, at, member, ask.head)?;
            view.gaps = gaps;
            view.listed = Some(places.len());
            places
        }
    };
    for at in places.iter().take(ask.limit.max(1)) {
        let members = match ask.members.is_empty() {
            true => reader.values(ty, *at),
            false => ask.members.iter().map(|path| reader.asked(ty, path, Some(*at))).collect::<Result<Vec<_>, _>>()?,
        };
        view.objects.push(ObjectRow { address: (*at).into(), members });
    }
    let unread = |row: &FieldRow| row.value.as_ref().is_some_and(is_absent);
    if let [only] = view.objects.as_slice()
        && !only.members.is_empty()
        && only.members.iter().all(unread)
    {
        let why = kernel.u8(at).err().map_or_else(|| "its bytes are absent".to_owned(), |error| error.to_string());
        let advice = super::address::per_cpu_advice(kernel, word, at);
        let advice = advice.unwrap_or_else(|| "is it the structure's address?".to_owned());
        return Err(format!("no {} can be read at {at}: {why}; {advice}", view.name));
    }
    if reader.rows >= MAX_ROWS {
        view.gaps.push(Gap::new(
            "members",
            view.name.clone(),
            format!("more than {MAX_ROWS}; the rest is left out"),
            "-m",
        ));
    }
    Ok(view)
}

/// Types whose names hold the word, or what a pack does not hold.
fn no_such_type(kernel: &Kernel<'_>, name: &str) -> String {
    let sources: Vec<&str> = kernel.types().sources().collect();
    match sources.as_slice() {
        [] => format!(
            "no type {name}: {} has no BTF (kernels since 5.2 may), and neither a vmlinux nor a pack was given; \
             --vmlinux or --pack has the types",
            kernel.member()
        ),
        [only] if only.starts_with("pack") => format!(
            "no type {name} in the pack, which holds only the structures that the readers use; the vmlinux of this \
             kernel (--vmlinux) has all"
        ),
        sources => {
            let bare = ["struct ", "union ", "enum "].iter().find_map(|word| name.strip_prefix(word)).unwrap_or(name);
            let near = super::nearest::did_you_mean(bare, kernel.types().names());
            let modules = sources.iter().filter(|source| source.contains(" of ")).count();
            let mut own: Vec<String> =
                sources.iter().filter(|s| !s.contains(" of ")).map(|s| (*s).to_owned()).collect();
            if modules > 0 {
                own.push(format!("the BTF of {modules} modules"));
            }
            format!("no type {name} in {}; this kernel has none of that name{near}", own.join(" and "))
        }
    }
}

/// Addresses of the structures of a list: the element at `at` and those after it, or with `head` all of them.
fn follow(
    kernel: &Kernel<'_>,
    ty: TypeRef,
    at: VirtAddr,
    member: &str,
    head: bool,
) -> Result<(Vec<VirtAddr>, Vec<Gap>), String> {
    const MAX_FOLLOWED: usize = 1_000_000;
    let types = kernel.types();
    let place = types.member_of(ty, member).ok_or_else(|| no_such_member(kernel, ty, member))?;
    let kind = place.ty.map(|ty| types.base_name(ty)).unwrap_or_default();
    let what = format!("list through {member}");
    if place.shape == Shape::Pointer {
        let mut places = Vec::new();
        let mut gaps = Vec::new();
        let mut seen = HashSet::new();
        let mut next = if head { kernel.ptr(at).unwrap_or_default() } else { at };
        while next.0 != 0 && places.len() < MAX_FOLLOWED {
            if !seen.insert(next.0) {
                if places.first() != Some(&next) {
                    gaps.push(Gap::new(what.as_str(), next.to_string(), "it comes twice: the list has a loop", ""));
                }
                break;
            }
            match kernel.ptr(next + place.offset) {
                Ok(after) => {
                    places.push(next);
                    next = after;
                }
                Err(error) => {
                    gaps.push(Gap::new(what.as_str(), next.to_string(), error.to_string(), ""));
                    break;
                }
            }
        }
        return Ok((places, gaps));
    }
    let start = if head { at } else { at + place.offset };
    let walk = match kind.as_str() {
        "struct list_head" => kernel.list(start, MAX_FOLLOWED, &what),
        "struct hlist_node" | "struct hlist_head" | "struct hlist_nulls_node" | "struct llist_node" => {
            kernel.hlist(start, MAX_FOLLOWED, &what)
        }
        other => {
            return Err(format!(
                "expected a list_head, an hlist_node, an llist_node or a pointer, and {member} of {} is {other}",
                types.type_name(ty)
            ));
        }
    };
    let first = (!head).then_some(at);
    let places = first.into_iter().chain(walk.items.into_iter().map(|node| node - place.offset)).collect();
    Ok((places, walk.gaps))
}

fn no_such_member(kernel: &Kernel<'_>, ty: TypeRef, path: &str) -> String {
    let name = kernel.types().type_name(ty);
    let members = kernel.types().layout(ty).map(|layout| layout.members).unwrap_or_default();
    let first = path.split(['.', '[']).next().unwrap_or(path);
    let near = super::nearest::did_you_mean(first, members.iter().map(|(name, _)| name.as_str().into()));
    format!(
        "{name} of this kernel has no member {path}{near}; `vmcoroner struct {} '{name}'` shows it",
        kernel.member()
    )
}

struct Reader<'k, 'd> {
    kernel: &'k Kernel<'d>,
    rows: usize,
    depth: usize,
}

impl Reader<'_, '_> {
    fn row(&mut self, name: &str, place: &Member, base: u64) -> FieldRow {
        self.rows += 1;
        let types = self.kernel.types();
        let width = place.bits.map(|(_, width)| width);
        FieldRow {
            name: name.to_owned(),
            type_name: place.ty.map(|ty| types.type_name(ty)).unwrap_or_default(),
            declaration: place.ty.map(|ty| types.declaration(ty, name, width)).unwrap_or_default(),
            offset: base.saturating_add(place.offset),
            size: place.size,
            bits: place.bits.map(|(first, width)| Bits { first, width }),
            members: Vec::new(),
            value: None,
            nodes: None,
        }
    }

    /// Members of a type; those of anonymous structures inside theirs.
    fn layout(&mut self, ty: TypeRef, base: u64, depth: usize) -> Vec<FieldRow> {
        let Some(layout) = self.kernel.types().layout(ty).filter(|_| depth < 16) else { return Vec::new() };
        let mut rows = Vec::new();
        for (name, place) in &layout.members {
            if self.rows >= MAX_ROWS {
                break;
            }
            let mut row = self.row(name, place, base);
            if let Some(inner) = place.ty.filter(|inner| self.is_anonymous(*inner)) {
                row.members = self.layout(inner, row.offset, depth + 1);
            }
            rows.push(row);
        }
        rows
    }

    /// Whether the type is a structure or union without a name, or an array of those.
    fn is_anonymous(&self, ty: TypeRef) -> bool {
        matches!(self.kernel.types().type_name(ty).as_str(), "struct" | "union")
    }

    /// A member by its path, pointers on the way followed.
    fn asked(&mut self, ty: TypeRef, path: &str, at: Option<VirtAddr>) -> Result<FieldRow, String> {
        let types = self.kernel.types();
        let (mut ty, mut at, mut rest) = (ty, at, path);
        loop {
            if let Some(place) = types.member_of(ty, rest) {
                let mut row = self.row(path, &place, 0);
                if let Some(inner) = place.ty.filter(|inner| at.is_none() && self.is_anonymous(*inner)) {
                    row.members = self.layout(inner, place.offset, 0);
                }
                if let Some(at) = at {
                    row.value = Some(self.value(&place, at + place.offset, 0));
                    row.nodes = self.nodes(&place, at + place.offset);
                }
                return Ok(row);
            }
            // The longest beginning that is a pointer.
            let cut = rest.match_indices('.').map(|(at, _)| at).rev().find_map(|cut| {
                let (before, after) = (rest.get(..cut)?, rest.get(cut + 1..)?);
                let place = types.member_of(ty, before).filter(|place| place.shape == Shape::Pointer)?;
                Some((place, types.target(place.ty?)?, after))
            });
            let Some((place, target, after)) = cut else { return Err(no_such_member(self.kernel, ty, path)) };
            if let Some(here) = at {
                match self.kernel.ptr(here + place.offset) {
                    Ok(next) if next.0 != 0 => at = Some(next),
                    answer => {
                        let why = answer.err().map_or_else(|| "NULL on the way".to_owned(), |error| error.to_string());
                        let mut row = self.row(path, &place, 0);
                        row.value = Some(Value::Absent { absent: why });
                        return Ok(row);
                    }
                }
            }
            (ty, rest) = (target, after);
        }
    }

    /// Members of the structure at an address; of anything else the one value.
    fn values(&mut self, ty: TypeRef, at: VirtAddr) -> Vec<FieldRow> {
        let types = self.kernel.types();
        let Some(layout) = types.layout(ty) else {
            let Some(place) = types.describe(ty) else { return Vec::new() };
            let mut row = self.row("", &place, 0);
            row.value = Some(self.value(&place, at, 0));
            return vec![row];
        };
        let mut rows = Vec::new();
        for (name, place) in &layout.members {
            if self.rows >= MAX_ROWS {
                break;
            }
            let mut row = self.row(name, place, 0);
            row.value = Some(self.value(place, at + place.offset, 1));
            row.nodes = self.nodes(place, at + place.offset);
            rows.push(row);
        }
        rows
    }

    /// How many other nodes the ring of a list node has; `None` for anything else and for a ring that does not close.
    fn nodes(&self, place: &Member, at: VirtAddr) -> Option<usize> {
        let name = self.kernel.types().base_name(place.ty?);
        let walk = match name.as_str() {
            "struct list_head" => self.kernel.list(at, MAX_COUNTED, "list"),
            "struct hlist_head" => self.kernel.hlist(at, MAX_COUNTED, "list"),
            _ => return None,
        };
        walk.gaps.is_empty().then_some(walk.items.len())
    }

    fn value(&mut self, place: &Member, at: VirtAddr, depth: usize) -> Value {
        self.rows += 1;
        let types = self.kernel.types();
        let Some(ty) = place.ty else { return self.number(place, at) };
        match place.shape {
            Shape::Struct => {
                let Some(layout) = types.layout(ty) else { return Value::Members { members: Vec::new() } };
                // An anonymous member is part of its parent.
                let inner = if self.is_anonymous(ty) { depth } else { depth + 1 };
                if inner > self.depth || self.rows >= MAX_ROWS || depth > 64 {
                    return Value::Deeper { deeper: types.type_name(ty) };
                }
                let members = layout.members.iter().map(|(name, place)| MemberValue {
                    name: name.clone(),
                    value: self.value(place, at + place.offset, inner),
                });
                let members: Vec<MemberValue> = members.collect();
                match members.first().map(|member| &member.value) {
                    // One reason is enough for a structure of which nothing is there.
                    Some(Value::Absent { absent }) if members.iter().all(|m| is_absent(&m.value)) => {
                        Value::Absent { absent: absent.clone() }
                    }
                    _ => Value::Members { members },
                }
            }
            Shape::Array { stride, count } => self.array(ty, at, stride, count, depth),
            Shape::Pointer => match self.kernel.ptr(at) {
                Ok(to) => self.pointer(ty, to),
                Err(error) => Value::Absent { absent: error.to_string() },
            },
            Shape::Int { .. } => self.number(place, at),
            Shape::Other => match types.float_of(ty) {
                Some(_) => self.number(place, at),
                None => Value::Absent { absent: format!("{} has no value", types.type_name(ty)) },
            },
        }
    }

    fn number(&self, place: &Member, at: VirtAddr) -> Value {
        let types = self.kernel.types();
        // __int128 is shown by its low half's digits in crash; here by all of them.
        let mut bytes = [0u8; 16];
        let Some(part) = usize::try_from(place.size).ok().and_then(|size| bytes.get_mut(..size)) else {
            return Value::Absent { absent: format!("{} bytes are no number", place.size) };
        };
        if let Err(error) = self.kernel.read(at, part) {
            return Value::Absent { absent: error.to_string() };
        }
        let signed = place.shape == Shape::Int { signed: true };
        let number = match (place.size, place.bits) {
            (16, None) if !signed && i128::from_le_bytes(bytes) < 0 => {
                return Value::Wide(Wide(u128::from_le_bytes(bytes)));
            }
            (16, None) => i128::from_le_bytes(bytes),
            _ => match place.decode(&bytes) {
                Some(raw) if signed => i128::from(raw as i64),
                Some(raw) => i128::from(raw),
                None => return Value::Absent { absent: format!("{} bytes are no number", place.size) },
            },
        };
        let Some(ty) = place.ty else { return Value::Number(Number(number)) };
        if let Some(name) = i64::try_from(number).ok().and_then(|n| types.enum_name(ty, n)) {
            return Value::Enumerator { number: Number(number), enumerator: name };
        }
        match types.base_name(ty).as_str() {
            "_Bool" | "bool" if number < 2 => Value::Bool(number == 1),
            _ => Value::Number(Number(number)),
        }
    }

    fn pointer(&self, ty: TypeRef, to: VirtAddr) -> Value {
        let types = self.kernel.types();
        let found = self.kernel.symbolize(to);
        let symbol = found.map(|s| match s.offset {
            0 => s.name,
            offset if types.is_function_pointer(ty) => format!("{}+{offset:#x}", s.name),
            offset => format!("{}+{offset}", s.name),
        });
        let target = types.target(ty).map(|target| types.base_name(target));
        let text = match target.as_deref() {
            Some("char") if to.0 != 0 => self.kernel.cstr(to, MAX_TEXT).ok(),
            _ => None,
        };
        // A text has no name of its own: a symbol before it is another's.
        let symbol = symbol.filter(|symbol| text.is_none() || !symbol.contains('+'));
        Value::Pointer { pointer: to.into(), symbol, text }
    }

    fn array(&mut self, ty: TypeRef, at: VirtAddr, stride: u64, count: u64, depth: usize) -> Value {
        let types = self.kernel.types();
        let Some(element) = types.target(ty) else { return Value::Array { elements: Vec::new(), more: 0 } };
        let name = types.base_name(element);
        if count > 0 && matches!(name.as_str(), "char" | "unsigned char" | "signed char") {
            let mut bytes = vec![0u8; count.min(MAX_ELEMENTS) as usize];
            if let Err(error) = self.kernel.read(at, &mut bytes) {
                return Value::Absent { absent: error.to_string() };
            }
            let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
            let (text, rest) = bytes.split_at(end);
            let plain = text.iter().all(|b| (0x20..0x7f).contains(b) || matches!(b, b'\n' | b'\t'));
            // Text, if it is some; bytes of an address or a key are numbers.
            if name == "char" || (plain && !text.is_empty() && rest.iter().all(|b| *b == 0)) {
                return Value::Text { text: String::from_utf8_lossy(text).into_owned() };
            }
        }
        let Some(place) = types.describe(element) else { return Value::Array { elements: Vec::new(), more: count } };
        let mut elements: Vec<ElementRow> = Vec::new();
        let mut shown = 0;
        while shown < count.min(MAX_ELEMENTS) && self.rows < MAX_ROWS {
            let value = self.value(&place, at + shown.saturating_mul(stride), depth);
            shown += 1;
            match elements.last_mut() {
                Some(last) if last.value == value => last.times += 1,
                _ => elements.push(ElementRow { value, times: 1 }),
            }
        }
        match elements.first() {
            Some(ElementRow { value: Value::Absent { absent }, .. })
                if elements.iter().all(|element| is_absent(&element.value)) =>
            {
                Value::Absent { absent: absent.clone() }
            }
            _ => Value::Array { elements, more: count - shown },
        }
    }
}
