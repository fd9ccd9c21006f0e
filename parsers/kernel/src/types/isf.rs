//! Volatility 3's symbol files (ISF): JSON, plain or compressed with xz or gzip.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::Read;

use serde_json::{Map, Value};

use super::graph::Graph;
use super::{Field, MAX_BITS, Type, TypeId};

/// The JSON of a large kernel has some 60 MB.
const MAX_JSON: u64 = 256 << 20;
/// KiB that the decoder of xz may take: a file of `xz -9` needs 64 MiB.
const XZ_MEMORY: u32 = 128 << 10;
/// How deep types are nested at most: an array of arrays of pointers.
const MAX_DEPTH: usize = 32;

struct Reader<'j> {
    types: Vec<Type<'static>>,
    /// Numbers of structures and unions, of enumerations, of base types.
    users: HashMap<&'j str, TypeId>,
    enums: HashMap<&'j str, TypeId>,
    bases: HashMap<&'j str, TypeId>,
}

/// Whether bytes may be an ISF, by its first key or its compression.
pub fn looks_like(bytes: &[u8]) -> bool {
    bytes.starts_with(b"\xfd7zXZ\0") || bytes.starts_with(b"\x1f\x8b") || bytes.trim_ascii_start().starts_with(b"{")
}

fn unpack(bytes: &[u8]) -> Result<Cow<'_, [u8]>, String> {
    let mut out = Vec::new();
    if bytes.starts_with(b"\xfd7zXZ\0") {
        let reader = lzma_rust2::XzReader::new_mem_limit(bytes, true, XZ_MEMORY);
        reader.take(MAX_JSON + 1).read_to_end(&mut out).map_err(|e| e.to_string())?;
    } else if bytes.starts_with(b"\x1f\x8b") {
        flate2::read::MultiGzDecoder::new(bytes).take(MAX_JSON + 1).read_to_end(&mut out).map_err(|e| e.to_string())?;
    } else {
        return Ok(Cow::Borrowed(bytes));
    }
    match out.len() as u64 <= MAX_JSON {
        true => Ok(Cow::Owned(out)),
        false => Err(format!("its JSON has more than {} MiB", MAX_JSON >> 20)),
    }
}

/// An ISF, decompressed, with the banner of its kernel if it names one. Of the JSON nothing else is kept until
/// [`Opened::types`] asks for it.
pub struct Opened<'b> {
    json: Cow<'b, [u8]>,
    /// `Linux version ...`, without its line end.
    pub banner: Option<String>,
}

/// Decompresses an ISF and finds its banner.
///
/// # Errors
/// A sentence that says what was expected and found.
pub fn open(bytes: &[u8]) -> Result<Opened<'_>, String> {
    #[derive(serde::Deserialize)]
    struct Head {
        #[serde(default)]
        symbols: Symbols,
    }
    #[derive(Default, serde::Deserialize)]
    struct Symbols {
        linux_banner: Option<Banner>,
    }
    #[derive(serde::Deserialize)]
    struct Banner {
        constant_data: Option<String>,
    }
    let json = unpack(bytes)?;
    let head: Head = serde_json::from_slice(&json).map_err(|e| format!("the ISF's JSON: {e}"))?;
    let banner = head.symbols.linux_banner.and_then(|banner| base64(&banner.constant_data?));
    let banner = banner.map(|text| String::from_utf8_lossy(&text).trim_end_matches(['\0', '\n']).to_owned());
    Ok(Opened { json, banner })
}

impl Opened<'_> {
    /// Bytes of the decompressed JSON.
    pub fn size(&self) -> u64 {
        self.json.len() as u64
    }
}

impl Opened<'_> {
    /// The types of the ISF.
    ///
    /// # Errors
    /// A sentence that says what was expected and found.
    pub fn types(&self) -> Result<Graph, String> {
        let json: Value = serde_json::from_slice(&self.json).map_err(|e| format!("the ISF's JSON: {e}"))?;
        let empty = Map::new();
        let part = |name: &str| json.get(name).and_then(Value::as_object);
        let users = part("user_types").ok_or("expected an ISF with user_types")?;
        let (enums, bases) = (part("enums").unwrap_or(&empty), part("base_types").unwrap_or(&empty));
        let mut reader =
            Reader { types: vec![Type::Void], users: HashMap::new(), enums: HashMap::new(), bases: HashMap::new() };
        for (name, base) in bases {
            let size = base["size"].as_u64().unwrap_or(0) as u32;
            let signed = base["signed"].as_bool().unwrap_or(false);
            let ty = match base["kind"].as_str() {
                Some("void") => Type::Void,
                Some("float") => Type::Float { size },
                _ => Type::Int { size, signed, name: Cow::Owned(name.clone()) },
            };
            let id = reader.push(ty);
            reader.bases.insert(name, id);
        }
        for (name, value) in enums {
            let constants = value["constants"].as_object().unwrap_or(&empty);
            let values = constants.iter().map(|(n, v)| (Cow::Owned(n.clone()), v.as_i64().unwrap_or(0))).collect();
            let size = value["size"].as_u64().unwrap_or(4) as u32;
            let id = reader.push(Type::Enum { name: named(name), size, values });
            reader.enums.insert(name, id);
        }
        // Numbers first, since structures point at each other.
        for name in users.keys() {
            let id = reader.push(Type::Void);
            reader.users.insert(name, id);
        }
        for (name, value) in users {
            let fields = value["fields"].as_object().unwrap_or(&empty);
            let mut members: Vec<Field<'static>> = Vec::with_capacity(fields.len());
            for (name, field) in fields {
                let offset = field["offset"].as_u64().unwrap_or(0).saturating_mul(8);
                let (ty, bits) = reader.field(&field["type"], 0);
                // A wider one, or one that lies elsewhere than in its word, no compiler makes.
                if bits
                    .is_some_and(|(position, width)| width == 0 || width > MAX_BITS || position >= u64::from(MAX_BITS))
                {
                    continue;
                }
                let anonymous = field["anonymous"].as_bool().unwrap_or(false);
                members.push(Field {
                    name: if anonymous { Cow::Borrowed("") } else { Cow::Owned(name.clone()) },
                    ty,
                    bit_offset: offset.saturating_add(bits.map_or(0, |(position, _)| position)),
                    bit_size: bits.map(|(_, width)| width),
                });
            }
            members.sort_by_key(|f| f.bit_offset);
            let ty = Type::Struct {
                name: named(name),
                union: value["kind"] == "union",
                size: value["size"].as_u64().unwrap_or(0),
                fields: members,
            };
            if let Some(slot) = reader.users.get(name.as_str()).and_then(|id| reader.types.get_mut(*id as usize)) {
                *slot = ty;
            }
        }
        Ok(Graph::new("ISF", reader.types))
    }
}

/// dwarf2json calls what has no name `unnamed_` and a number.
fn named(name: &str) -> Cow<'static, str> {
    if name.starts_with("unnamed_") { Cow::Borrowed("") } else { Cow::Owned(name.to_owned()) }
}

impl<'j> Reader<'j> {
    fn push(&mut self, ty: Type<'static>) -> TypeId {
        self.types.push(ty);
        (self.types.len() - 1) as TypeId
    }

    /// The type of a member; of a bitfield also its first bit and width.
    fn field(&mut self, ty: &Value, depth: usize) -> (TypeId, Option<(u64, u32)>) {
        if depth > MAX_DEPTH {
            return (0, None);
        }
        let name = ty["name"].as_str().unwrap_or_default();
        let id = match ty["kind"].as_str() {
            Some("struct" | "union" | "class") => self.users.get(name).copied().unwrap_or(0),
            Some("enum") => self.enums.get(name).copied().unwrap_or(0),
            Some("base") => self.bases.get(name).copied().unwrap_or(0),
            Some("pointer") => {
                let (to, _) = self.field(&ty["subtype"], depth + 1);
                self.push(Type::Pointer(to))
            }
            Some("array") => {
                let (element, _) = self.field(&ty["subtype"], depth + 1);
                self.push(Type::Array { element, count: ty["count"].as_u64().unwrap_or(0) })
            }
            Some("function") => self.push(Type::Function),
            Some("bitfield") => {
                let (inner, _) = self.field(&ty["type"], depth + 1);
                let position = ty["bit_position"].as_u64().unwrap_or(0);
                return (
                    inner,
                    Some((position, ty["bit_length"].as_u64().and_then(|n| u32::try_from(n).ok()).unwrap_or(0))),
                );
            }
            _ => 0,
        };
        (id, None)
    }
}

/// Plain base64, as JSON carries bytes.
fn base64(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut count) = (0u32, 0);
    for byte in text.bytes().filter(|b| *b != b'=') {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push((bits >> count) as u8);
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::{Shape, Types};
    use super::*;

    const SAMPLE: &str = r#"{
        "metadata": {"format": "6.2.0"},
        "base_types": {
            "int": {"size": 4, "signed": true, "kind": "int", "endian": "little"},
            "char": {"size": 1, "signed": true, "kind": "char", "endian": "little"},
            "void": {"size": 0, "signed": false, "kind": "void", "endian": "little"}
        },
        "enums": {"node_states": {"size": 4, "base": "int", "constants": {"N_POSSIBLE": 0, "N_ONLINE": 1}}},
        "symbols": {"linux_banner": {"address": 1, "constant_data": "TGludXggdmVyc2lvbiAzLjEwLjAKAA=="}},
        "user_types": {
            "task_struct": {"size": 64, "kind": "struct", "fields": {
                "comm": {"offset": 16, "type": {"kind": "array", "count": 16, "subtype": {"kind": "base", "name": "char"}}},
                "parent": {"offset": 8, "type": {"kind": "pointer", "subtype": {"kind": "struct", "name": "task_struct"}}},
                "flag": {"offset": 4, "type": {"kind": "bitfield", "bit_length": 3, "bit_position": 2,
                    "type": {"kind": "base", "name": "int"}}},
                "unnamed_field_20": {"offset": 32, "anonymous": true, "type": {"kind": "union", "name": "unnamed_1"}},
                "pid": {"offset": 0, "type": {"kind": "base", "name": "int"}}}},
            "unnamed_1": {"size": 4, "kind": "union", "fields": {
                "inner": {"offset": 0, "type": {"kind": "base", "name": "int"}}}}
        }
    }"#;

    #[test]
    fn members_bitfields_and_anonymous_unions_are_found() {
        let isf = open(SAMPLE.as_bytes()).unwrap();
        assert_eq!(isf.banner.as_deref(), Some("Linux version 3.10.0"));
        let mut types = Types::none();
        types.add(Arc::new(isf.types().unwrap()));
        let member = |path| types.member("task_struct", path).unwrap();
        assert_eq!((member("pid").offset, member("pid").shape), (0, Shape::Int { signed: true }));
        assert_eq!(member("comm").shape, Shape::Array { stride: 1, count: 16 });
        assert_eq!((member("flag").offset, member("flag").bits), (4, Some((2, 3))));
        assert_eq!(member("inner").offset, 32);
        assert_eq!(types.type_name(member("parent").ty.unwrap()), "struct task_struct *");
        assert_eq!(types.enumerator("N_ONLINE"), Some(1));
    }

    #[test]
    fn what_is_no_isf_is_an_error() {
        assert!(open(b"{}").unwrap().types().is_err());
        assert!(open(b"\x1f\x8b\x00").is_err());
        assert!(open(b"[1").is_err());
    }

    #[test]
    fn bitfields_that_no_compiler_makes_are_left_out() {
        let wide = SAMPLE.replace("\"bit_length\": 3", "\"bit_length\": 4294967295");
        let mut types = Types::none();
        types.add(Arc::new(open(wide.as_bytes()).unwrap().types().unwrap()));
        assert!(types.member("task_struct", "pid").is_some());
        assert!(types.member("task_struct", "flag").is_none());
    }
}
