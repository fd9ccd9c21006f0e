//! Pasted text: mail quotes, ticket quotes, list bullets.

use crate::cursor::split;

/// Takes quote marks off the start.
pub(super) fn unquote(text: &str) -> &str {
    // Code marks of a ticket; the kernel prints none at the start of a line.
    let mut rest = text.strip_prefix('`').map_or(text, |inner| inner.trim_start_matches('`').trim_start_matches(' '));
    // Eight levels of quoting are more than any thread shows.
    for _ in 0..8 {
        let trimmed = rest.trim_start_matches([' ', '\t']);
        match trimmed.strip_prefix('>').or_else(|| trimmed.strip_prefix("| ")) {
            Some(inner) => rest = inner.strip_prefix(' ').unwrap_or(inner),
            None => break,
        }
    }
    rest
}

/// Text of which a forum made links, without them: `[[   12.345678](tel:12345678)] text`, `[12.345678](https://x) text`.
pub(super) fn without_links(text: &str) -> Option<String> {
    const SCHEMES: &[&str] = &["http://", "https://", "tel:", "mailto:", "callto:"];
    let mut out = String::new();
    let mut rest = text;
    let mut found = false;
    while let Some((label, link)) = split(rest, "](") {
        let end = link.find(')').filter(|_| SCHEMES.iter().any(|scheme| link.starts_with(scheme)));
        let Some((open, end)) = label.rfind('[').zip(end) else {
            out.push_str(label);
            out.push_str("](");
            rest = link;
            continue;
        };
        // The kernel's own brackets may stand around the link, or have become part of it.
        let bracketed = label[..open].ends_with('[');
        out.push_str(&label[..open]);
        if !bracketed {
            out.push('[');
        }
        out.push_str(&label[open + 1..]);
        if !bracketed {
            out.push(']');
        }
        rest = &link[end + 1..];
        found = true;
    }
    out.push_str(rest);
    found.then_some(out)
}

/// What stands in quotes behind `head`, up to the quote that ends it: a string of an array, a field of a table.
pub(super) fn before_closing_quote<'a>(head: &str, rest: &'a str) -> &'a str {
    let Some(quote) = head.chars().next_back().filter(|c| matches!(c, '"' | '\'')) else { return rest };
    let inside = rest.rfind(quote).and_then(|end| {
        let behind = rest.get(end + 1..)?;
        let last = behind.trim().is_empty() || behind.starts_with([',', ';', ']', '}', '\t', ')']);
        last.then(|| rest.get(..end)).flatten()
    });
    let inside = inside.unwrap_or(rest);
    inside.strip_suffix("\\n").unwrap_or(inside)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_taken_off() {
        let stamp = "[   12.345678] BUG: x";
        assert_eq!(without_links("[[   12.345678](tel:12345678)] BUG: x").as_deref(), Some(stamp));
        assert_eq!(without_links("[   12.345678](https://example.org/1) BUG: x").as_deref(), Some(stamp));
        assert_eq!(without_links("[drm](x) f+0x1/0x2 [a](b"), None);
    }

    #[test]
    fn quotes_are_taken_off_and_frames_keep_their_blank() {
        assert_eq!(unquote("> > [ 1.0] x"), "[ 1.0] x");
        assert_eq!(unquote(">  dump_stack+0x1/0x2"), " dump_stack+0x1/0x2");
        assert_eq!(unquote("` EEH: x"), "EEH: x");
        assert_eq!(unquote(" dump_stack+0x1/0x2"), " dump_stack+0x1/0x2");
    }
}
