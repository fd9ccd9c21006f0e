//! Terminal controls and the escapes that collectors write for them.

use std::borrow::Cow;

/// Is there nothing to remove, and nothing that stands for something else?
pub(super) fn is_clean(text: &str) -> bool {
    !is_escaped(text) && !has_entity(text)
}

/// A tabulator as the journal and C print it.
const TAB: &str = "\\x09";

/// A carriage return at the end of a line, as `cat -v` and editors print it.
const RETURN: &str = "^M";

fn is_escaped(text: &str) -> bool {
    let bytes = text.as_bytes();
    memchr::memchr2(0x1b, 0, bytes).is_some()
        || memchr::memchr3_iter(b'#', b'^', b'\\', bytes).any(|at| {
            let rest = bytes.get(at..).unwrap_or_default();
            rest == RETURN.as_bytes()
                || [&b"#011"[..], b"#033", b"^[[", TAB.as_bytes()].iter().any(|escape| rest.starts_with(escape))
        })
}

/// Removes ANSI sequences and NUL bytes, and turns `#011` and `#033[..m` of rsyslog, `\x09` of the journal into what
/// they stand for.
pub(super) fn clean(text: &str) -> Cow<'_, str> {
    // Nearly every line ends here.
    if !is_escaped(text) {
        return entities(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['\u{1b}', '\0', '#', '^', '\\']) {
        out.push_str(&rest[..at]);
        let tail = &rest[at..];
        rest = if let Some(sequence) = tail
            .strip_prefix('\u{1b}')
            .or_else(|| tail.strip_prefix("#033"))
            .or_else(|| tail.strip_prefix("^[").filter(|t| t.starts_with('[')))
        {
            sequence_end(sequence)
        } else if let Some(tail) = tail.strip_prefix("#011").or_else(|| tail.strip_prefix(TAB)) {
            out.push('\t');
            tail
        } else if tail == RETURN {
            ""
        } else if let Some(tail) = tail.strip_prefix('\0') {
            tail
        } else {
            let mut chars = tail.chars();
            out.extend(chars.next());
            chars.as_str()
        };
    }
    out.push_str(rest);
    Cow::Owned(entities(&out).into_owned())
}

const ENTITIES: &[(&str, &str)] =
    &[("&amp;", "&"), ("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&nbsp;", " ")];

fn has_entity(text: &str) -> bool {
    let entity =
        |at: usize| text.get(at..).is_some_and(|text| ENTITIES.iter().any(|(entity, _)| text.starts_with(entity)));
    memchr::memchr_iter(b'&', text.as_bytes()).any(entity)
}

/// Resolves HTML entities, twice at most: pages quote pages.
fn entities(text: &str) -> Cow<'_, str> {
    if !has_entity(text) {
        return Cow::Borrowed(text);
    }
    let mut out = text.to_owned();
    for _ in 0..2 {
        for (entity, character) in ENTITIES {
            out = out.replace(entity, character);
        }
    }
    Cow::Owned(out)
}

/// What stands behind an escape sequence whose first byte has been read.
fn sequence_end(text: &str) -> &str {
    if let Some(parameters) = text.strip_prefix('[') {
        let end = parameters.find(|c: char| ('@'..='~').contains(&c));
        return end.and_then(|e| parameters.get(e + 1..)).unwrap_or("");
    }
    if let Some(title) = text.strip_prefix(']') {
        return title.split_once('\u{7}').map_or("", |(_, rest)| rest);
    }
    let mut chars = text.chars();
    chars.next();
    chars.as_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_removed_in_every_spelling() {
        assert_eq!(clean("\u{1b}[31mBUG\u{1b}[0m"), "BUG");
        assert_eq!(clean("#033[31mBUG"), "BUG");
        assert_eq!(clean("^[[31mBUG"), "BUG");
        assert_eq!(clean("#0111-...!: x"), "\t1-...!: x");
        assert_eq!(clean("\\x091-...!: x"), "\t1-...!: x");
        assert_eq!(clean("C:\\x0a"), "C:\\x0a");
        assert_eq!(
            clean("Kernel panic - not syncing: Fatal exception^M"),
            "Kernel panic - not syncing: Fatal exception"
        );
        assert_eq!(clean("press ^M now"), "press ^M now");
        assert_eq!(clean("Oops: 0002 [#1] SMP"), "Oops: 0002 [#1] SMP");
        assert_eq!(clean("\u{1b}]0;title\u{7}x\0y"), "xy");
    }
}
