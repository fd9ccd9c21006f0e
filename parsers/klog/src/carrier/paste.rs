//! Pasted text: mail quotes, ticket quotes, list bullets.

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_are_taken_off_and_frames_keep_their_blank() {
        assert_eq!(unquote("> > [ 1.0] x"), "[ 1.0] x");
        assert_eq!(unquote(">  dump_stack+0x1/0x2"), " dump_stack+0x1/0x2");
        assert_eq!(unquote("` EEH: x"), "EEH: x");
        assert_eq!(unquote(" dump_stack+0x1/0x2"), " dump_stack+0x1/0x2");
    }
}
