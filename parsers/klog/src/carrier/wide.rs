//! Text of which no byte can be searched as it stands: UTF-16, as Windows consoles save it, and pages whose blanks are all
//! written `&nbsp;`.

/// A blank as pages write it.
const BLANK: &[u8] = b"&nbsp;";
/// So many of them at the start of a text, and it has no others between its words.
const BLANKS: usize = 8;

/// Turns UTF-16 into bytes of UTF-8, and written blanks into blanks, piece by piece.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wide {
    form: Form,
    /// Bytes of which the rest is still to come.
    part: Vec<u8>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Form {
    /// Nothing read yet.
    #[default]
    Unknown,
    Bytes,
    Blanks,
    LittleEndian,
    BigEndian,
}

impl Wide {
    /// The piece as bytes of UTF-8 if the text is wide; `None` if it can be read as it is.
    pub(crate) fn narrow(&mut self, piece: &[u8]) -> Option<Vec<u8>> {
        if self.form == Form::Unknown {
            self.form = match piece {
                [] => return None,
                [0xff, 0xfe, ..] => Form::LittleEndian,
                [0xfe, 0xff, ..] => Form::BigEndian,
                _ => by_start(&piece[..piece.len().min(4096)]),
            };
        }
        if self.form == Form::Bytes {
            return None;
        }
        let mut bytes = Vec::with_capacity(piece.len() + 1);
        bytes.append(&mut self.part);
        bytes.extend_from_slice(piece);
        if self.form == Form::Blanks {
            let cut = memchr::memrchr(b'&', &bytes)
                .filter(|at| BLANK.starts_with(&bytes[*at..]) && bytes.len() - at < BLANK.len());
            self.part = cut.map(|at| bytes.split_off(at)).unwrap_or_default();
            return Some(with_blanks(&bytes));
        }
        if bytes.len() % 2 == 1 {
            self.part.extend(bytes.pop());
        }
        let units = bytes.chunks_exact(2).map(|pair| match self.form {
            Form::BigEndian => u16::from_be_bytes([pair[0], pair[1]]),
            _ => u16::from_le_bytes([pair[0], pair[1]]),
        });
        let text: String = char::decode_utf16(units)
            .map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER))
            .filter(|c| *c != '\u{feff}')
            .collect();
        Some(text.into_bytes())
    }
}

fn with_blanks(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some(at) = memchr::memmem::find(rest, BLANK) {
        out.extend_from_slice(&rest[..at]);
        out.push(b' ');
        rest = &rest[at + BLANK.len()..];
    }
    out.extend_from_slice(rest);
    out
}

fn by_start(head: &[u8]) -> Form {
    let blanks = memchr::memmem::find_iter(head, BLANK).count();
    if blanks >= BLANKS && blanks > 2 * memchr::memchr_iter(b' ', head).count() { Form::Blanks } else { by_zeros(head) }
}

/// Text without a mark is wide when nearly every second byte is zero.
fn by_zeros(head: &[u8]) -> Form {
    let zeros = |odd: usize| head.iter().skip(odd).step_by(2).filter(|b| **b == 0).count();
    let half = head.len() / 2;
    if half < 8 {
        Form::Bytes
    } else if zeros(1) * 10 > half * 9 && zeros(0) * 10 < half {
        Form::LittleEndian
    } else if zeros(0) * 10 > half * 9 && zeros(1) * 10 < half {
        Form::BigEndian
    } else {
        Form::Bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wide_text_is_read_even_when_cut_in_a_character() {
        let text = "BUG: x\n";
        let bytes: Vec<u8> = [0xff, 0xfe].into_iter().chain(text.encode_utf16().flat_map(u16::to_le_bytes)).collect();
        let mut wide = Wide::default();
        let mut out = wide.narrow(&bytes[..5]).unwrap();
        out.extend(wide.narrow(&bytes[5..]).unwrap());
        assert_eq!(out, text.as_bytes());
        assert_eq!(Wide::default().narrow(b"[ 1.0] plain text"), None);
        let page = "[&nbsp;&nbsp;1.0]&nbsp;BUG:&nbsp;a&nbsp;b&nbsp;c&nbsp;d&nbsp;e&nbsp;f&nbsp;g\n";
        let mut wide = Wide::default();
        let mut out = wide.narrow(&page.as_bytes()[..page.len() - 5]).unwrap();
        out.extend(wide.narrow(&page.as_bytes()[page.len() - 5..]).unwrap());
        assert_eq!(out, b"[  1.0] BUG: a b c d e f g\n");
        assert_eq!(Wide::default().narrow(b"a page that names &nbsp; once, and has blanks"), None);
    }
}
