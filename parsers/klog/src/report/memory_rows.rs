//! Rows of memory that some kernels print between the registers and the trace: the stack, what registers point to.

use crate::cursor::split;

/// Is the line a row of a dump of memory, or the head of one?
pub(super) fn is_one(text: &str) -> bool {
    let Some(first) = text.bytes().next() else { return false };
    // ARM: `1f40: c0101234 00000000 ...`; x86 up to 4.x: four words; Android: `f4c8  08008a4f f9001fe0 ...`
    if first.is_ascii_hexdigit() && is_row(text) {
        return true;
    }
    // MIPS: `Stack : 80123456 ...`; xtensa: `Stack:`
    if let Some(rest) = text.strip_prefix("Stack") {
        let rest = rest.trim_start().strip_prefix(':');
        return rest.is_some_and(|rest| rest.trim().is_empty() || is_row(rest.trim_start()));
    }
    // `SP: 0xc0801e48:`, `R3: 0xc0801dc8:`, `LR: 0xffffff8008:`, `Register r0 information: NULL pointer`
    if let Some(rest) = text.strip_prefix("Register ") {
        return split(rest, " information:").is_some_and(|(name, _)| name.len() <= 4 && !name.contains(' '));
    }
    split(text, ": 0x").is_some_and(|(name, address)| {
        name.len() <= 4
            && name.bytes().all(|b| b.is_ascii_alphanumeric())
            && address.strip_suffix(':').is_some_and(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()))
    })
}

/// An offset, perhaps, and at least three words of one length, all hexadecimal; text of the same bytes may follow.
fn is_row(text: &str) -> bool {
    let hex = |word: &str| matches!(word.len(), 4 | 8 | 16) && word.bytes().all(|b| b.is_ascii_hexdigit());
    let mut words = text.split_ascii_whitespace().peekable();
    let label = |word: &str| {
        let bare = word.strip_suffix(':').unwrap_or(word);
        (2..=16).contains(&bare.len()) && bare.bytes().all(|b| b.is_ascii_hexdigit())
    };
    if words.peek().is_some_and(|word| label(word) && (word.ends_with(':') || !hex(word) || word.len() == 4)) {
        words.next();
    }
    let Some(length) = words.peek().map(|word| word.len()) else { return false };
    words.take_while(|word| word.len() == length && hex(word)).count() >= 3
}

#[cfg(test)]
mod tests {
    use super::is_one;

    #[test]
    fn dumps_of_every_architecture_are_known_and_sentences_are_not() {
        for text in [
            "1e40:                   c0a01e6c c0124d58 c0a01e74 00000000",
            "1f60: c0a01e6c c0124d58 c0a01e74 00000000 c1234567 00000001 c0000000 ffffffff",
            "ffff88003fc03d88 0000000000000000 ffff88003fc03e00 ffffffff81001234",
            "f4c8  08008a4f f9001fe0 b9400e60 7100001f",
            "f4e0  35000080 f9400e60 *",
            "Stack : 80123456 00000000 83abcdef 801234ac",
            "Stack: (0xc0a01e40 to 0xc0a02000)",
            "Register r0 information: NULL pointer",
            "LR: 0xffffff8008089f48:",
            "R3: 0xc0801dc8:",
        ] {
            let wanted = !text.contains('*') && !text.contains('(');
            assert_eq!(is_one(text), wanted, "{text}");
        }
        for text in
            ["", "add 4 dead beef", "Stack trace of thread 1", "eth0: 0x12", "beef cafe", "deed that was done well"]
        {
            assert!(!is_one(text), "{text}");
        }
    }
}
