//! `journalctl -o json`: one object a line, with the framings of `json-seq` and `json-sse`.

use facts::Gap;
use serde_json::Value;

use super::{Entry, WANTED};
use crate::Flow;

pub(super) fn read(bytes: &[u8], visit: &mut dyn FnMut(Entry) -> Flow) -> Vec<Gap> {
    let mut bad = 0u64;
    let mut first_bad = 0;
    // `json-pretty` writes objects over several lines: the reader takes values, not lines.
    let mut rest = bytes;
    while let Some(start) = rest.iter().position(|b| *b == b'{') {
        rest = rest.get(start..).unwrap_or_default();
        let mut values = serde_json::Deserializer::from_slice(rest).into_iter::<serde_json::Map<String, Value>>();
        match values.next() {
            Some(Ok(object)) => {
                let end = values.byte_offset();
                let mut entry = Entry::default();
                for (name, value) in &object {
                    if WANTED.contains(&name.as_str()) {
                        take(&mut entry, name, value);
                    }
                }
                if visit(entry) == Flow::Stop {
                    break;
                }
                rest = rest.get(end.max(1)..).unwrap_or_default();
            }
            _ => {
                bad += 1;
                if bad == 1 {
                    first_bad = bytes.len() - rest.len();
                }
                // On to the next line: a broken object must not cost the rest, nor be tried at each brace.
                match rest.iter().position(|b| *b == b'\n') {
                    Some(end) => rest = rest.get(end + 1..).unwrap_or_default(),
                    None => break,
                }
            }
        }
    }
    if bad == 0 {
        return Vec::new();
    }
    let why = format!("{bad} lines are no whole JSON objects");
    vec![Gap::new("journal entries", format!("byte {first_bad}"), why, "the whole file")]
}

fn take(entry: &mut Entry, name: &str, value: &Value) {
    match value {
        Value::String(text) => entry.take(name, text.as_bytes()),
        Value::Number(number) => entry.take(name, number.to_string().as_bytes()),
        // Text with unprintable bytes is an array of byte values; a field given twice is an array of strings.
        Value::Array(items) => {
            if let Some(Value::String(text)) = items.first() {
                entry.take(name, text.as_bytes());
            } else {
                let bytes: Vec<u8> =
                    items.iter().filter_map(|i| i.as_u64().and_then(|n| u8::try_from(n).ok())).collect();
                entry.take(name, &bytes);
            }
        }
        _ => {}
    }
}
