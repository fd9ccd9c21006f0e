//! One JSON object a line: journal records, docker's json-file, exports of log collectors.

use std::borrow::Cow;

/// Keys whose value is the message.
const KEYS: &[&str] = &["\"MESSAGE\"", "\"log\"", "\"message\"", "\"msg\"", "\"textPayload\""];

/// The message of an object, if the text begins with one.
pub(super) fn message(text: &str) -> Option<Cow<'_, str>> {
    let trimmed = text.trim_start_matches([' ', '\t', '\u{1e}']);
    let trimmed = trimmed.strip_prefix("data: ").unwrap_or(trimmed);
    if !trimmed.starts_with('{') && !trimmed.starts_with('"') {
        return None;
    }
    // `json-pretty` puts each key on a line of its own.
    let (key, at) = KEYS.iter().find_map(|key| trimmed.find(key).map(|at| (key, at)))?;
    let value = trimmed[at + key.len()..].trim_start().strip_prefix(':')?.trim_start();
    if let Some(string) = value.strip_prefix('"') {
        return Some(Cow::Owned(unescape(string)));
    }
    // Messages with control bytes are arrays of byte values.
    let bytes: Vec<u8> =
        value.strip_prefix('[')?.split(']').next()?.split(',').map_while(|n| n.trim().parse::<u8>().ok()).collect();
    Some(Cow::Owned(String::from_utf8_lossy(&bytes).into_owned()))
}

/// A JSON string up to its closing quote.
fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len().min(1024));
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => break,
            '\\' => match chars.next() {
                Some('n') => out.push('\n'),
                Some('t') => out.push('\t'),
                Some('r' | 'b' | 'f') => {}
                Some('u') => {
                    let hex: String = chars.by_ref().take(4).collect();
                    let c = u32::from_str_radix(&hex, 16).ok().and_then(char::from_u32);
                    out.push(c.unwrap_or(char::REPLACEMENT_CHARACTER));
                }
                Some(other) => out.push(other),
                None => break,
            },
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_is_taken_in_every_form() {
        for text in [
            r#"{"__CURSOR":"x","MESSAGE":"a \"b\"","PRIORITY":"4"}"#,
            r#"{"log":"a \"b\"","stream":"stdout"}"#,
            r#"{"pri":1,"msg":"a \u0022b\u0022"}"#,
            r#"{"MESSAGE" : [97,32,34,98,34] }"#,
        ] {
            assert_eq!(message(text).as_deref(), Some("a \"b\""), "{text}");
        }
        assert_eq!(message("[ 1.0] x"), None);
        assert_eq!(message(r#"{"pattern": "BUG: x"}"#), None);
    }
}
