//! tar: v7, ustar, GNU (long names, sparse) and pax, read in one pass; damaged headers are passed over.

use std::cell::RefCell;
use std::io::{self, Read};
use std::rc::Rc;

use crate::archive::{Namer, Shared, Window};
use crate::limits::Account;
use crate::member::{Lazy, Raw};
use crate::walk::{Flow, Visit, member};

const BLOCK: usize = 512;

/// Whether the bytes begin with a tar header: its checksum is right.
pub(crate) fn is_header(head: &[u8]) -> bool {
    let Some(block) = head.get(..BLOCK) else { return false };
    block.iter().any(|b| *b != 0) && checksum_fits(block)
}

fn checksum_fits(block: &[u8]) -> bool {
    let Some(field) = block.get(148..156) else { return false };
    // Texts are asked, too: most are none by this field alone.
    if !field.iter().all(|b| matches!(b, b'0'..=b'7' | b' ' | 0)) {
        return false;
    }
    let mut stored = None;
    for digit in field.iter().filter(|b| (b'0'..=b'7').contains(b)) {
        stored = Some(stored.unwrap_or(0) * 8 + i64::from(digit - b'0'));
    }
    // The field itself counts as blanks.
    let blanks = 8 * i64::from(b' ');
    let sum = |bytes: &[u8]| i64::from(bytes.iter().map(|b| u32::from(*b)).sum::<u32>());
    let high = |bytes: &[u8]| i64::from(bytes.iter().map(|b| u32::from(*b >> 7)).sum::<u32>());
    let unsigned = sum(block) - sum(field) + blanks;
    // Old writers summed signed bytes.
    stored.is_some_and(|s| s == unsigned || s == unsigned - 256 * (high(block) - high(field)))
}

/// What extension headers said about the next entry.
#[derive(Default)]
struct Pending {
    name: Option<Vec<u8>>,
    size: Option<u64>,
    /// pax sparse 1.0: the map stands at the start of the data.
    sparse_in_data: bool,
    real_size: Option<u64>,
}

/// Walks a tar stream.
pub(crate) fn walk<'x>(
    stream: Box<dyn Read + 'x>,
    archive: &str,
    depth: u32,
    account: &'x Account<'x>,
    visit: &mut Visit<'_>,
) -> Flow {
    let mut namer = Namer::new(archive, account);
    let flow = match entries(stream, &mut namer, archive, depth, account, visit) {
        Ok(flow) => flow,
        Err(error) => {
            let why = match error.kind() {
                io::ErrorKind::UnexpectedEof => "the archive ends in the middle of a member".to_owned(),
                _ => error.to_string(),
            };
            account.gap("rest of the archive", archive, why, "an undamaged copy of the archive");
            Flow::Continue
        }
    };
    namer.finish();
    flow
}

fn entries<'x>(
    stream: Box<dyn Read + 'x>,
    namer: &mut Namer<'_>,
    archive: &str,
    depth: u32,
    account: &'x Account<'x>,
    visit: &mut Visit<'_>,
) -> io::Result<Flow> {
    let stream: Shared<'x> = Rc::new(RefCell::new(stream));
    let mut pending = Pending::default();
    let mut bad_blocks = 0u64;
    let mut zero_blocks = 0u32;
    let mut members = 0u64;
    let flow = loop {
        let mut block = [0u8; BLOCK];
        if !fill(&stream, &mut block)? {
            if zero_blocks == 0 && members > 0 {
                account.gap("end of the archive", archive, "no end mark: the archive may be cut", "");
            }
            break Flow::Continue;
        }
        if block.iter().all(|b| *b == 0) {
            // Two zero blocks end an archive; concatenated archives go on behind them.
            zero_blocks += 1;
            continue;
        }
        if !checksum_fits(&block) {
            bad_blocks += 1;
            continue;
        }
        zero_blocks = 0;
        let header = tar::Header::from_byte_slice(&block);
        let kind = header.entry_type();
        let Ok(mut length) = header.entry_size() else {
            bad_blocks += 1;
            continue;
        };
        if kind.is_gnu_longname() || kind.is_gnu_longlink() || kind.is_pax_local_extensions() {
            let text = extension(&stream, length, account, archive)?;
            if kind.is_gnu_longname() {
                let end = text.iter().position(|b| *b == 0).unwrap_or(text.len());
                // One that was passed over leaves the cut name of the header itself.
                pending.name = text.get(..end).filter(|name| !name.is_empty()).map(<[u8]>::to_vec);
            } else if kind.is_pax_local_extensions() {
                read_pax(&text, &mut pending);
            }
            continue;
        }
        if kind.is_pax_global_extensions() {
            Window::new(&stream, length).skip(padding(length))?;
            continue;
        }
        let now = std::mem::take(&mut pending);
        length = now.size.unwrap_or(length);
        let sparse = if kind.is_gnu_sparse() { Some(gnu_sparse(header, &stream)?) } else { None };
        let is_file = kind.is_file() || kind.is_contiguous() || kind.is_gnu_sparse() || block.get(156) == Some(&0);
        let raw_name = now.name.unwrap_or_else(|| header.path_bytes().into_owned());
        // Links, devices and directories have no bytes of their own, whatever their size field says.
        if !is_file || raw_name.ends_with(b"/") {
            if !(kind.is_hard_link() || kind.is_symlink() || kind.is_dir()) || raw_name.ends_with(b"/") {
                Window::new(&stream, if kind.is_dir() { 0 } else { length }).skip(padding(length))?;
            }
            continue;
        }
        members += 1;
        let window = Window::new(&stream, length);
        let map = match sparse {
            Some(map) => Some(map),
            None if now.sparse_in_data => Some(pax_sparse(&mut window.clone(), now.real_size)?),
            None => None,
        };
        let (size, data): (u64, Box<dyn Read + 'x>) = match map {
            Some(map) => (map.real_size, Box::new(Sparse::new(map, window.clone(), account))),
            None => (length, Box::new(window.clone())),
        };
        let lazy = Lazy::new(namer.name(&raw_name), Some(size), account, Raw::Stream(data));
        if member(lazy, depth, account, visit) == Flow::Stop {
            break Flow::Stop;
        }
        window.skip(padding(length))?;
    };
    if bad_blocks > 0 {
        let why = format!("{bad_blocks} blocks of 512 bytes where a header was due have no valid checksum");
        account.gap("members of the archive", archive, why, "an undamaged copy of the archive");
    }
    Ok(flow)
}

fn padding(length: u64) -> u64 {
    (BLOCK as u64 - length % BLOCK as u64) % BLOCK as u64
}

/// Reads one block; false at the end of the stream.
fn fill(stream: &Shared<'_>, block: &mut [u8; BLOCK]) -> io::Result<bool> {
    let mut filled = 0;
    let mut stream = stream.borrow_mut();
    while filled < BLOCK {
        match stream.read(block.get_mut(filled..).unwrap_or_default()) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(filled == BLOCK)
}

/// The text of an extension header, bounded: hostile ones claim gigabytes.
fn extension(stream: &Shared<'_>, length: u64, account: &Account<'_>, archive: &str) -> io::Result<Vec<u8>> {
    let window = Window::new(stream, length);
    let keep = 1 << 20;
    if length > keep {
        let why = format!("an extension header of {length} bytes is passed over");
        account.gap("member name", archive, why, "");
        window.skip(padding(length))?;
        return Ok(Vec::new());
    }
    let mut text = Vec::new();
    window.clone().take(keep).read_to_end(&mut text)?;
    window.skip(padding(length))?;
    Ok(text)
}

fn read_pax(text: &[u8], pending: &mut Pending) {
    for record in tar::PaxExtensions::new(text).flatten() {
        let number = || record.value().ok().and_then(|v| v.parse().ok());
        match record.key_bytes() {
            b"path" => pending.name = pending.name.take().or(Some(record.value_bytes().to_vec())),
            b"size" => pending.size = number(),
            b"GNU.sparse.major" => pending.sparse_in_data = record.value_bytes() == b"1",
            b"GNU.sparse.name" => pending.name = Some(record.value_bytes().to_vec()),
            b"GNU.sparse.realsize" => pending.real_size = number(),
            _ => {}
        }
    }
}

/// Where the stored pieces of a sparse file belong.
struct SparseMap {
    pieces: Vec<(u64, u64)>,
    real_size: u64,
}

const PIECES: usize = 1 << 20;

fn gnu_sparse(header: &tar::Header, stream: &Shared<'_>) -> io::Result<SparseMap> {
    let bad = || io::Error::other("damaged sparse header");
    let gnu = header.as_gnu().ok_or_else(bad)?;
    let mut map = SparseMap { pieces: Vec::new(), real_size: gnu.real_size()? };
    let add = |map: &mut SparseMap, piece: &tar::GnuSparseHeader| -> io::Result<()> {
        if !piece.is_empty() && map.pieces.len() < PIECES {
            map.pieces.push((piece.offset()?, piece.length()?));
        }
        Ok(())
    };
    for piece in &gnu.sparse {
        add(&mut map, piece)?;
    }
    let mut more = gnu.is_extended();
    while more {
        let mut ext = tar::GnuExtSparseHeader::new();
        stream.borrow_mut().read_exact(ext.as_mut_bytes())?;
        for piece in ext.sparse() {
            add(&mut map, piece)?;
        }
        more = ext.is_extended();
    }
    Ok(map)
}

/// pax sparse 1.0: decimal numbers, one a line, at the start of the data, padded to a block.
fn pax_sparse(window: &mut Window<'_>, real_size: Option<u64>) -> io::Result<SparseMap> {
    let mut read = 0u64;
    let mut number = || -> io::Result<u64> {
        let mut value = 0u64;
        let mut byte = [0u8];
        for _ in 0..21 {
            window.read_exact(&mut byte)?;
            read += 1;
            match byte[0] {
                b'\n' => return Ok(value),
                b @ b'0'..=b'9' => value = value.saturating_mul(10).saturating_add(u64::from(b - b'0')),
                _ => break,
            }
        }
        Err(io::Error::other("damaged sparse map"))
    };
    let count = number()?.min(PIECES as u64);
    let mut pieces = Vec::new();
    for _ in 0..count {
        pieces.push((number()?, number()?));
    }
    io::copy(&mut window.by_ref().take(padding(read)), &mut io::sink())?;
    let end = pieces.last().map_or(0, |(offset, length)| offset.saturating_add(*length));
    Ok(SparseMap { pieces, real_size: real_size.unwrap_or(end) })
}

/// A sparse file with its holes filled by zeroes; the zeroes count as expansion.
struct Sparse<'x> {
    map: SparseMap,
    next: usize,
    at: u64,
    data: Window<'x>,
    account: &'x Account<'x>,
}

impl<'x> Sparse<'x> {
    fn new(map: SparseMap, data: Window<'x>, account: &'x Account<'x>) -> Self {
        Sparse { map, next: 0, at: 0, data, account }
    }
}

impl Read for Sparse<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        while let Some((offset, length)) = self.map.pieces.get(self.next).copied() {
            let end = offset.saturating_add(length);
            if self.at < offset {
                return self.zeroes(buf, offset.min(self.map.real_size));
            }
            if self.at < end {
                let want = usize::try_from(end - self.at).unwrap_or(usize::MAX).min(buf.len());
                let n = self.data.read(buf.get_mut(..want).unwrap_or_default())?;
                if n == 0 && want > 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                self.at += n as u64;
                return Ok(n);
            }
            self.next += 1;
        }
        let end = self.map.real_size;
        self.zeroes(buf, end)
    }
}

impl Sparse<'_> {
    fn zeroes(&mut self, buf: &mut [u8], end: u64) -> io::Result<usize> {
        let want = usize::try_from(end.saturating_sub(self.at)).unwrap_or(usize::MAX).min(buf.len());
        if let Some(part) = buf.get_mut(..want) {
            part.fill(0);
        }
        self.at += want as u64;
        self.account.book(want as u64)?;
        Ok(want)
    }
}
