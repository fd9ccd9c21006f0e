//! The container of xz around `lzma-rust2`'s LZMA2 decoder.
//!
//! That crate reads the container too, but sums its check byte by byte: on a sosreport CRC64 took longer than decoding.
//! Here the sums come from crates that use the processor's carry-less multiplication. Streams whose blocks have other
//! filters than LZMA2 alone, or SHA-256 for a check, are rare and left to the crate.
//!
//! Layout after the format's specification 1.2.0: stream header, blocks (header, LZMA2 data, padding, check), index,
//! footer, and padding of zeroes between streams. Each check is verified: an error says what was wrong, after the bytes
//! before it were given out.

use std::io::{self, BufRead, Chain, Cursor, Read};

use crc32fast::Hasher as Crc32;
use crc64fast::Digest as Crc64;
use lzma_rust2::{Lzma2Reader, XzReader};

const MAGIC: &[u8; 6] = b"\xfd7zXZ\0";
const FOOTER_MAGIC: &[u8; 2] = b"YZ";
/// Filter id of LZMA2.
const LZMA2: u64 = 0x21;

/// A reader of xz streams, one after the other.
pub(crate) struct Xz<R: BufRead> {
    state: State<R>,
    memory_kb: u32,
}

enum State<R: BufRead> {
    /// Nothing of the input was read yet.
    Start(R),
    /// Between blocks.
    Between(Box<Stream<R>>),
    /// In a block.
    Block(Box<Block<R>>),
    /// Whatever this reader does not read itself.
    Other(Box<XzReader<Chain<Cursor<Vec<u8>>, R>>>),
    Ended,
}

struct Stream<R> {
    input: R,
    check: Check,
    flags: [u8; 2],
    blocks: Sizes,
}

struct Block<R: BufRead> {
    stream: Stream<Nothing>,
    data: Lzma2Reader<Counted<R>>,
    header: Header,
    sum: Sum,
    given: u64,
}

/// In the place of an input that a decoder holds.
struct Nothing;

/// What an index repeats of the blocks before it, in constant memory.
#[derive(Default)]
struct Sizes {
    count: u64,
    sum: Crc32,
}

impl Sizes {
    fn add(&mut self, unpadded: u64, uncompressed: u64) {
        self.count += 1;
        self.sum.update(&unpadded.to_le_bytes());
        self.sum.update(&uncompressed.to_le_bytes());
    }
}

#[derive(Clone, Copy)]
enum Check {
    None,
    Crc32,
    Crc64,
}

impl Check {
    fn of(flags: [u8; 2]) -> Option<Check> {
        match flags {
            [0, 0] => Some(Check::None),
            [0, 1] => Some(Check::Crc32),
            [0, 4] => Some(Check::Crc64),
            _ => None,
        }
    }

    fn size(self) -> usize {
        match self {
            Check::None => 0,
            Check::Crc32 => 4,
            Check::Crc64 => 8,
        }
    }
}

enum Sum {
    None,
    Crc32(Crc32),
    Crc64(Crc64),
}

impl Sum {
    fn of(check: Check) -> Sum {
        match check {
            Check::None => Sum::None,
            Check::Crc32 => Sum::Crc32(Crc32::new()),
            Check::Crc64 => Sum::Crc64(Crc64::new()),
        }
    }

    fn update(&mut self, bytes: &[u8]) {
        match self {
            Sum::None => {}
            Sum::Crc32(sum) => sum.update(bytes),
            Sum::Crc64(sum) => sum.write(bytes),
        }
    }

    fn agrees(self, stored: [u8; 8]) -> bool {
        let stored = u64::from_le_bytes(stored);
        match self {
            Sum::None => true,
            Sum::Crc32(sum) => u64::from(sum.finalize()) == stored,
            Sum::Crc64(sum) => sum.sum64() == stored,
        }
    }
}

/// The header of a block with LZMA2 as its only filter.
struct Header {
    length: u64,
    compressed: Option<u64>,
    uncompressed: Option<u64>,
    dictionary: u32,
}

struct Counted<R> {
    inner: R,
    count: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buf)?;
        self.count += n as u64;
        Ok(n)
    }
}

fn damaged(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("damaged xz: {what}"))
}

impl<R: BufRead> Xz<R> {
    /// `memory_kb` bounds what a decoder may ask for, in KiB.
    pub(crate) fn new(input: R, memory_kb: u32) -> Self {
        Xz { state: State::Start(input), memory_kb }
    }

    /// Reads headers until there is a block to decode, or the end.
    fn advance(&mut self) -> io::Result<()> {
        loop {
            self.state = match std::mem::replace(&mut self.state, State::Ended) {
                State::Start(input) => self.first(input)?,
                State::Between(stream) => self.next(*stream)?,
                other => {
                    self.state = other;
                    return Ok(());
                }
            };
        }
    }

    /// Looks at the first headers: who reads this?
    fn first(&self, mut input: R) -> io::Result<State<R>> {
        let mut seen = vec![0; 12];
        input.read_exact(&mut seen)?;
        let flags = stream_header(&seen)?;
        let start = seen.len();
        let block = block_header(&mut input, &mut seen)?;
        match (Check::of(flags), block) {
            (Some(check), Some(Ok(header))) => {
                self.open(Stream { input, check, flags, blocks: Sizes::default() }, header)
            }
            // No block at all: the index follows, whose first byte was read.
            (Some(check), None) if seen.len() == start + 1 => {
                self.end(Stream { input, check, flags, blocks: Sizes::default() })
            }
            _ => {
                let whole = Cursor::new(seen).chain(input);
                Ok(State::Other(Box::new(XzReader::new_mem_limit(whole, true, self.memory_kb))))
            }
        }
    }

    fn next(&self, mut stream: Stream<R>) -> io::Result<State<R>> {
        match block_header(&mut stream.input, &mut Vec::new())? {
            Some(Ok(header)) => self.open(stream, header),
            Some(Err(why)) => Err(io::Error::new(io::ErrorKind::Unsupported, why)),
            None => self.end(stream),
        }
    }

    fn open(&self, stream: Stream<R>, header: Header) -> io::Result<State<R>> {
        let Stream { input, check, flags, blocks } = stream;
        let counted = Counted { inner: input, count: 0 };
        let data = Lzma2Reader::new_mem_limit(counted, header.dictionary, self.memory_kb, None)?;
        let stream = Stream { input: Nothing, check, flags, blocks };
        Ok(State::Block(Box::new(Block { stream, data, header, sum: Sum::of(check), given: 0 })))
    }

    /// The index, whose first byte was read, the footer, and what follows them.
    fn end(&self, stream: Stream<R>) -> io::Result<State<R>> {
        let Stream { mut input, flags, blocks, .. } = stream;
        let length = index(&mut input, blocks)?;
        footer(&mut input, flags, length)?;
        let mut padding = 0u64;
        loop {
            let rest = input.fill_buf()?;
            if rest.is_empty() {
                return if padding.is_multiple_of(4) {
                    Ok(State::Ended)
                } else {
                    Err(damaged("padding of the stream"))
                };
            }
            let zeroes = rest.iter().take_while(|b| **b == 0).count();
            let more = zeroes < rest.len();
            input.consume(zeroes);
            padding += zeroes as u64;
            if more {
                break;
            }
        }
        if !padding.is_multiple_of(4) {
            return Err(damaged("padding of the stream"));
        }
        let mut header = [0; 12];
        input.read_exact(&mut header)?;
        let flags = stream_header(&header).map_err(|_| damaged("no stream where one was due"))?;
        let Some(check) = Check::of(flags) else {
            return Err(io::Error::new(io::ErrorKind::Unsupported, "a second xz stream with another kind of check"));
        };
        Ok(State::Between(Box::new(Stream { input, check, flags, blocks: Sizes::default() })))
    }
}

impl<R: BufRead> Block<R> {
    /// What stands behind the data of a block.
    fn close(self) -> io::Result<Stream<R>> {
        let Block { stream, data, header, sum, given } = self;
        let Counted { inner: mut input, count } = data.into_inner();
        if header.compressed.is_some_and(|size| size != count) || header.uncompressed.is_some_and(|size| size != given)
        {
            return Err(damaged("the sizes in the header of a block"));
        }
        let mut padding = [0; 3];
        let padding = padding.get_mut(..usize::try_from((4 - count % 4) % 4).unwrap_or(0)).unwrap_or_default();
        input.read_exact(padding)?;
        if padding.iter().any(|b| *b != 0) {
            return Err(damaged("padding of a block"));
        }
        let mut stored = [0; 8];
        let check = stream.check.size();
        input.read_exact(stored.get_mut(..check).unwrap_or_default())?;
        if !sum.agrees(stored) {
            return Err(damaged("the check of a block does not fit its bytes"));
        }
        let Stream { check: kind, flags, mut blocks, .. } = stream;
        blocks.add(header.length + count + check as u64, given);
        Ok(Stream { input, check: kind, flags, blocks })
    }
}

impl<R: BufRead> Read for Xz<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        loop {
            self.advance()?;
            let n = match &mut self.state {
                State::Other(reader) => return reader.read(buf),
                State::Block(block) => {
                    let n = block.data.read(buf)?;
                    block.sum.update(buf.get(..n).unwrap_or_default());
                    block.given += n as u64;
                    n
                }
                _ => return Ok(0),
            };
            if n > 0 {
                return Ok(n);
            }
            if let State::Block(block) = std::mem::replace(&mut self.state, State::Ended) {
                self.state = State::Between(Box::new(block.close()?));
            }
        }
    }
}

fn crc32(bytes: &[u8]) -> u32 {
    crc32fast::hash(bytes)
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

/// The flags of a stream by its 12 bytes of header.
fn stream_header(bytes: &[u8]) -> io::Result<[u8; 2]> {
    let flags = bytes.get(6..8).filter(|_| bytes.starts_with(MAGIC)).ok_or_else(|| damaged("no stream header"))?;
    if number(bytes, 8) != Some(crc32(flags)) {
        return Err(damaged("the check of the stream header"));
    }
    flags.try_into().map_err(|_| damaged("no stream header"))
}

/// Reads the header of a block; `None` is the first byte of an index in its place. The inner error names a filter that
/// is not read here. What was read is added to `seen`.
fn block_header(input: &mut impl Read, seen: &mut Vec<u8>) -> io::Result<Option<Result<Header, &'static str>>> {
    let start = seen.len();
    input.by_ref().take(1).read_to_end(seen)?;
    let Some(first) = seen.get(start).copied() else { return Err(io::ErrorKind::UnexpectedEof.into()) };
    if first == 0 {
        return Ok(None);
    }
    let length = (usize::from(first) + 1) * 4;
    input.by_ref().take(length as u64 - 1).read_to_end(seen)?;
    let bytes = seen.get(start..).unwrap_or_default();
    if bytes.len() < length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let (head, _) = bytes.split_at_checked(length - 4).unwrap_or_default();
    if number(bytes, length - 4) != Some(crc32(head)) {
        return Err(damaged("the check of a block's header"));
    }
    let flags = head.get(1).copied().unwrap_or_default();
    let mut rest = head.get(2..).unwrap_or_default();
    if flags & 0x3c != 0 {
        return Err(damaged("unknown flags of a block"));
    }
    let mut size = |there: bool| if there { integer(&mut rest).map(Some) } else { Ok(None) };
    let compressed = size(flags & 0x40 != 0)?;
    let uncompressed = size(flags & 0x80 != 0)?;
    let filter = integer(&mut rest)?;
    if flags & 3 != 0 || filter != LZMA2 {
        return Ok(Some(Err("a filter before LZMA2 in a later block of xz")));
    }
    let properties = integer(&mut rest)?;
    let bits = rest.first().copied().filter(|bits| properties == 1 && *bits <= 40);
    let Some(bits) = bits else { return Err(damaged("the dictionary of a block")) };
    if rest.get(1..).unwrap_or_default().iter().any(|b| *b != 0) {
        return Err(damaged("padding of a block's header"));
    }
    let dictionary = if bits == 40 { u32::MAX } else { (2 | u32::from(bits & 1)) << (bits / 2 + 11) };
    Ok(Some(Ok(Header { length: length as u64, compressed, uncompressed, dictionary })))
}

/// An integer in groups of 7 bits, the lowest first.
fn integer(bytes: &mut &[u8]) -> io::Result<u64> {
    let mut value = 0;
    for shift in (0..63).step_by(7) {
        let Some((byte, rest)) = bytes.split_first() else { break };
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return if *byte == 0 && shift > 0 { Err(damaged("a number")) } else { Ok(value) };
        }
    }
    Err(damaged("a number"))
}

/// Bytes that are summed and counted while they are read.
struct Summed<'r, R> {
    input: &'r mut R,
    sum: Crc32,
    length: u64,
}

impl<R: Read> Summed<'_, R> {
    fn byte(&mut self) -> io::Result<u8> {
        let mut byte = [0];
        self.input.read_exact(&mut byte)?;
        self.sum.update(&byte);
        self.length += 1;
        Ok(byte[0])
    }

    fn integer(&mut self) -> io::Result<u64> {
        let mut bytes = Vec::with_capacity(9);
        while bytes.len() < 9 {
            let byte = self.byte()?;
            bytes.push(byte);
            if byte & 0x80 == 0 {
                break;
            }
        }
        integer(&mut bytes.as_slice())
    }
}

/// Reads the index behind its first byte and compares it with the blocks that were read. Returns its length.
fn index(input: &mut impl Read, blocks: Sizes) -> io::Result<u64> {
    let mut from = Summed { input, sum: Crc32::new(), length: 1 };
    from.sum.update(&[0]);
    let count = from.integer()?;
    let mut listed = Sizes::default();
    if count != blocks.count {
        return Err(damaged("the index counts other blocks than there are"));
    }
    for _ in 0..count {
        let (unpadded, uncompressed) = (from.integer()?, from.integer()?);
        listed.add(unpadded, uncompressed);
    }
    while !from.length.is_multiple_of(4) {
        if from.byte()? != 0 {
            return Err(damaged("padding of the index"));
        }
    }
    let (sum, length) = (from.sum.finalize(), from.length);
    let mut stored = [0; 4];
    input.read_exact(&mut stored)?;
    if u32::from_le_bytes(stored) != sum || listed.sum.finalize() != blocks.sum.finalize() {
        return Err(damaged("the index does not fit the blocks"));
    }
    Ok(length + 4)
}

fn footer(input: &mut impl Read, flags: [u8; 2], index: u64) -> io::Result<()> {
    let mut bytes = [0; 12];
    input.read_exact(&mut bytes)?;
    let summed = bytes.get(4..10).unwrap_or_default();
    let sound = number(&bytes, 0) == Some(crc32(summed)) && bytes.ends_with(FOOTER_MAGIC);
    let fits = number(&bytes, 4).is_some_and(|size| (u64::from(size) + 1) * 4 == index) && summed.ends_with(&flags);
    if sound && fits { Ok(()) } else { Err(damaged("the footer of a stream")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lzma_rust2::{CheckType, XzOptions, XzWriter};
    use std::io::Write;

    fn packed(data: &[u8], check: CheckType, block: Option<u64>) -> Vec<u8> {
        let mut options = XzOptions::with_preset(3);
        options.set_check_sum_type(check);
        options.set_block_size(block.and_then(std::num::NonZeroU64::new));
        let mut writer = XzWriter::new(Vec::new(), options).unwrap();
        writer.write_all(data).unwrap();
        writer.finish().unwrap()
    }

    fn unpacked(bytes: &[u8]) -> (Vec<u8>, Option<String>) {
        let mut data = Vec::new();
        let error = Xz::new(bytes, 64 << 10).read_to_end(&mut data).err().map(|e| e.to_string());
        (data, error)
    }

    fn text(length: usize) -> Vec<u8> {
        (0..length).map(|i| (i * i / 7 % 251) as u8).collect()
    }

    #[test]
    fn every_check_is_read_and_verified() {
        let data = text(100_000);
        for check in [CheckType::None, CheckType::Crc32, CheckType::Crc64, CheckType::Sha256] {
            let whole = packed(&data, check, None);
            assert_eq!(unpacked(&whole), (data.clone(), None), "{check:?}");
            if !matches!(check, CheckType::None) {
                // The last byte of the check stands before index, footer.
                let (_, index) = whole.split_at(whole.len() - 12);
                let index = (u32::from_le_bytes(index[4..8].try_into().unwrap()) as usize + 1) * 4;
                let mut bad = whole.clone();
                let at = whole.len() - 12 - index - 1;
                bad[at] ^= 1;
                let (read, error) = unpacked(&bad);
                assert_eq!(read, data, "{check:?}");
                assert!(error.unwrap().contains("check"), "{check:?}");
            }
        }
    }

    #[test]
    fn many_blocks_and_many_streams_are_one_text() {
        let data = text(300_000);
        let mut whole = packed(&data, CheckType::Crc64, Some(1 << 16));
        whole.extend([0; 8]);
        whole.extend(packed(&data, CheckType::Crc32, None));
        whole.extend(packed(b"", CheckType::Crc64, None));
        let twice = [data.clone(), data].concat();
        assert_eq!(unpacked(&whole), (twice.clone(), None));
        assert_eq!(unpacked(&packed(b"", CheckType::Crc64, None)), (Vec::new(), None));
        whole.extend([0; 3]);
        let (read, error) = unpacked(&whole);
        assert_eq!((read, error.unwrap().contains("padding")), (twice.clone(), true));
        whole.push(0);
        whole.extend(b"garbage behind");
        let (read, error) = unpacked(&whole);
        assert_eq!((read, error.unwrap().contains("no stream")), (twice, true));
    }

    #[test]
    fn each_changed_byte_of_header_index_and_footer_is_noticed() {
        let data = text(5_000);
        let whole = packed(&data, CheckType::Crc64, Some(4096));
        for at in (0..24).chain(whole.len() - 40..whole.len()) {
            let mut bad = whole.clone();
            bad[at] ^= 0x10;
            assert!(unpacked(&bad).1.is_some(), "byte {at} of {}", whole.len());
        }
        for end in 0..whole.len() {
            assert!(unpacked(&whole[..end]).1.is_some(), "cut at {end}");
        }
    }

    #[test]
    fn a_dictionary_above_the_limit_is_refused() {
        let mut whole = packed(b"x", CheckType::Crc64, None);
        // Block header: size, flags, id, size of properties, properties.
        whole[16] = 40;
        let sum = crc32fast::hash(&whole[12..20]);
        whole[20..24].copy_from_slice(&sum.to_le_bytes());
        assert!(unpacked(&whole).1.unwrap().contains("memory"));
    }
}
