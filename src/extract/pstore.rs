//! Pieces of pstore records, newest first on disk, joined to the text they were.

/// One piece: `Panic#1 Part3`, then lines.
pub(super) struct Part {
    /// Directory of the member, and the reason and count of its header line: pieces of one record share it.
    record: String,
    number: u64,
    name: String,
    text: Vec<u8>,
}

impl Part {
    /// Reads a piece; one without a header line is a record of its own.
    pub fn read(name: &str, bytes: &[u8]) -> Part {
        let inflated = if name.ends_with(".enc.z") { inflate(bytes) } else { None };
        let bytes = inflated.as_deref().unwrap_or(bytes);
        let end = bytes.iter().position(|b| *b == b'\n').unwrap_or(bytes.len());
        let first = String::from_utf8_lossy(bytes.get(..end).unwrap_or_default()).trim().to_owned();
        let folder = name.rsplit_once('/').map_or("", |(folder, _)| folder);
        let header =
            first.split_once(" Part").and_then(|(reason, n)| Some((reason.to_owned(), n.trim().parse().ok()?)));
        match header {
            Some((reason, number)) => Part {
                record: format!("{folder}/{reason}"),
                number,
                name: name.to_owned(),
                text: bytes.get(end + 1..).unwrap_or_default().to_vec(),
            },
            None => Part { record: name.to_owned(), number: 1, name: name.to_owned(), text: bytes.to_vec() },
        }
    }
}

/// A piece that the kernel compressed and could not read back (`dmesg-ramoops-0.enc.z`): a bare deflate stream. What was
/// inflated before damage is kept.
fn inflate(bytes: &[u8]) -> Option<Vec<u8>> {
    use std::io::Read;
    let mut text = Vec::new();
    let read = flate2::read::DeflateDecoder::new(bytes).take(MAX_PIECE).read_to_end(&mut text);
    if read.is_err() && text.is_empty() {
        // With the header of zlib.
        text.clear();
        flate2::read::ZlibDecoder::new(bytes).take(MAX_PIECE).read_to_end(&mut text).ok()?;
    }
    (!text.is_empty()).then_some(text)
}

/// A piece is as large as the backend's buffer, some tens of kilobytes.
const MAX_PIECE: u64 = 4 << 20;

/// The records: name of the newest piece and the whole text. Part 1 is the end of the log.
pub(super) fn join(mut parts: Vec<Part>) -> Vec<(String, Vec<u8>)> {
    parts.sort_by(|a, b| a.record.cmp(&b.record).then(b.number.cmp(&a.number)));
    let mut out: Vec<(String, String, Vec<u8>)> = Vec::new();
    for part in parts {
        match out.last_mut() {
            // The seam cuts a line in two: nothing goes between the pieces.
            Some((record, name, text)) if *record == part.record => {
                text.extend(part.text);
                *name = part.name;
            }
            _ => out.push((part.record, part.name, part.text)),
        }
    }
    out.into_iter().map(|(_, name, text)| (name, text)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_that_is_still_compressed_is_inflated() {
        use std::io::Write;
        let mut packer = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
        packer.write_all(b"Panic#2 Part1\n<0>[ 1.0] Kernel panic - not syncing: x\n").unwrap();
        let packed = packer.finish().unwrap();
        let joined = join(vec![Part::read("pstore/dmesg-ramoops-0.enc.z", &packed)]);
        assert_eq!(joined[0].1, b"<0>[ 1.0] Kernel panic - not syncing: x\n");
        // What is no deflate stream stays as it is.
        assert_eq!(join(vec![Part::read("dmesg-ramoops-1.enc.z", b"\xff\xff\xff")])[0].1, b"\xff\xff\xff");
    }

    #[test]
    fn pieces_are_joined_from_the_highest_part_down() {
        let part = |name: &str, text: &str| Part::read(name, text.as_bytes());
        let joined = join(vec![
            part("p/dmesg-efi-1", "Panic#1 Part1\nof it\n"),
            part("p/dmesg-efi-2", "Panic#1 Part2\n<4>[ 1.0] the start "),
            part("p/dmesg-efi-3", "no header\n"),
        ]);
        assert_eq!(joined.len(), 2);
        assert_eq!(joined[0], ("p/dmesg-efi-1".to_owned(), b"<4>[ 1.0] the start of it\n".to_vec()));
    }
}
