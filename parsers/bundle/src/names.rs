//! Member names: made harmless, and judged by their endings.

/// A name as an archive gives it, made a plain relative path of printable text. The second value says whether it
/// tried to leave the archive (`..`).
pub(crate) fn clean(raw: &[u8], limit: usize) -> (String, bool) {
    let raw = raw.get(..limit).unwrap_or(raw);
    // Nearly all names are plain already.
    if let Ok(text) = std::str::from_utf8(raw)
        && raw.iter().all(|b| matches!(b, b'"'..=b'~' | b' '))
        && text.split('/').all(|part| !matches!(part, "" | "." | ".."))
    {
        return (text.to_owned(), false);
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
    (parts.join("/"), escapes)
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
    }

    #[test]
    fn endings_are_judged_without_regard_to_case() {
        assert_eq!(uncompressed("var/log/messages-2022.GZ"), "var/log/messages-2022");
        assert_eq!(uncompressed("dir/.gz"), "dir/.gz");
        assert!(is_archive("sosreport.tar.xz") && is_archive("x.TGZ") && is_archive("a.zip"));
        assert!(!is_archive("messages.gz") && !is_archive("tar"));
    }
}
