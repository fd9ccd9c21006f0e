//! Member names: made harmless, and judged by their endings.

use std::borrow::Cow;

/// A name as an archive gives it, made a plain relative path of printable text. The second value says whether it
/// tried to leave the archive (`..`).
pub(crate) fn clean(raw: &[u8], limit: usize) -> (Cow<'_, str>, bool) {
    let raw = raw.get(..limit).unwrap_or(raw);
    if let Some(text) = plain(raw) {
        return (Cow::Borrowed(text), false);
    }
    let mut text = String::with_capacity(raw.len());
    for chunk in raw.utf8_chunks() {
        for c in chunk.valid().chars() {
            // `!` separates nestings, so a name that holds one must not pretend to be two members.
            if c.is_control() || c == '!' {
                text.push_str(&format!("\\x{:02x}", c as u32));
            } else {
                text.push(c);
            }
        }
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    let mut escapes = false;
    let mut parts: Vec<&str> = Vec::new();
    for part in text.split('/') {
        match part {
            "" | "." => {}
            ".." => escapes = true,
            part => parts.push(part),
        }
    }
    (Cow::Owned(parts.join("/")), escapes)
}

/// A name that is clean already, as nearly all are.
fn plain(raw: &[u8]) -> Option<&str> {
    // Parts of no bytes, `.` and `..` begin with a slash or a point, or are the end.
    let (mut printable, mut odd, mut begins) = (true, false, true);
    for byte in raw {
        printable &= matches!(byte, b'"'..=b'~' | b' ');
        odd |= begins && matches!(byte, b'/' | b'.');
        begins = *byte == b'/';
    }
    let text = std::str::from_utf8(raw).ok().filter(|_| printable)?;
    // `.config` is plain as well.
    (!odd && !begins || text.split('/').all(|part| !matches!(part, "" | "." | ".."))).then_some(text)
}

const COMPRESSED: &[&str] = &[".gz", ".xz", ".bz2", ".zst", ".lz4", ".lzma", ".gzip", ".zstd", ".bz"];
const ARCHIVES: &[&str] = &[".tar", ".tgz", ".txz", ".tbz", ".tbz2", ".tzst", ".tlz", ".zip", ".cpio"];

/// The name without the endings of compression: `messages.1.gz` is `messages.1`.
pub(crate) fn uncompressed(name: &str) -> &str {
    let mut name = name;
    for _ in 0..3 {
        let Some(shorter) = strip_ending(name, COMPRESSED) else { break };
        name = shorter;
    }
    name
}

/// Whether the name alone promises an archive.
pub(crate) fn is_archive(name: &str) -> bool {
    strip_ending(uncompressed(name), ARCHIVES).is_some()
}

/// Whether the name ends in `.lzma`: that format has no magic.
pub(crate) fn is_lzma(name: &str) -> bool {
    strip_ending(name, &[".lzma", ".tlz"]).is_some()
}

/// The name without one of these endings, each of which begins at its only dot.
fn strip_ending<'n>(name: &'n str, endings: &[&str]) -> Option<&'n str> {
    let (stem, tail) = name.split_at_checked(name.rfind('.')?)?;
    if !(3..=5).contains(&tail.len()) {
        return None;
    }
    let fits = endings.iter().any(|end| tail.eq_ignore_ascii_case(end));
    (fits && !stem.is_empty() && !stem.ends_with('/')).then_some(stem)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_names_become_plain_relative_paths() {
        assert_eq!(clean(b"/etc/passwd", 99), ("etc/passwd".into(), false));
        assert_eq!(clean(b"./a//b/./c", 99), ("a/b/c".into(), false));
        assert_eq!(clean(b"../../etc/shadow", 99), ("etc/shadow".into(), true));
        assert_eq!(clean(b"a\xffb\nc!d", 99), ("a\\xffb\\x0ac\\x21d".into(), false));
        assert_eq!(clean(b"long", 2), ("lo".into(), false));
        assert_eq!(clean(b"a/.config/..b/c.d", 99), ("a/.config/..b/c.d".into(), false));
        assert_eq!(clean(b"a/b/", 99), ("a/b".into(), false));
        assert_eq!(clean(b"", 99), ("".into(), false));
    }

    #[test]
    fn endings_are_judged_without_regard_to_case() {
        assert_eq!(uncompressed("var/log/messages-2022.GZ"), "var/log/messages-2022");
        assert_eq!(uncompressed("dir/.gz"), "dir/.gz");
        assert!(is_archive("sosreport.tar.xz") && is_archive("x.TGZ") && is_archive("a.zip"));
        assert!(!is_archive("messages.gz") && !is_archive("tar"));
    }
}
