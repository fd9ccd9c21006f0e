//! One member: its name at once, its bytes only when asked for.

use std::cell::OnceCell;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use crate::ahead::{self, Ahead};
use crate::archive::folder::Folder;
use crate::content::{self, ContentKind, HEAD, sniff};
use crate::decode::decoder;
use crate::limits::{Account, Taken};
use crate::names;

/// One file of the input. Nothing of it is opened or decompressed before one of the methods that need bytes.
pub struct Member<'m> {
    pub(crate) entry: &'m mut (dyn Entry + 'm),
}

/// Bytes of a member, as many as were asked for and could be read.
#[derive(Clone, Debug, Default)]
pub struct Bytes {
    /// The bytes from the beginning on, decompressed.
    pub data: Vec<u8>,
    /// False when the member goes on behind `data`: the caller's limit was reached, or reading failed (which is
    /// then a gap of the walk).
    pub whole: bool,
}

impl Member<'_> {
    /// The path through all nestings: `a.tar.xz!var/log/messages.1.gz`.
    pub fn name(&self) -> &str {
        self.entry.name()
    }

    /// The path inside the innermost archive without the endings of compression: `var/log/messages.1`.
    pub fn path(&self) -> &str {
        let name = self.entry.name();
        names::uncompressed(name.rsplit_once('!').map_or(name, |(_, path)| path))
    }

    /// Stored size in bytes where the container says it: of the compressed form when the member is compressed.
    pub fn size(&self) -> Option<u64> {
        self.entry.size()
    }

    /// The file on disk that holds exactly this member's bytes, when it is no part of an archive. It may still be
    /// compressed: see [`Member::is_compressed`].
    pub fn disk_path(&self) -> Option<&Path> {
        self.entry.disk_path()
    }

    /// What the member is, judged by its (decompressed) first bytes. Opens it.
    pub fn content(&mut self) -> ContentKind {
        self.entry.content()
    }

    /// Whether the member itself is a compressed stream. Opens it.
    pub fn is_compressed(&mut self) -> bool {
        self.entry.content();
        self.entry.layers() > 0
    }

    /// The first bytes, decompressed, at most 4096. Opens the member.
    pub fn head(&mut self) -> &[u8] {
        self.entry.head()
    }

    /// Reads from where reading stopped last, at most `limit` bytes, decompressed. A read error is a gap of the
    /// walk, and what was read before it is returned.
    pub fn read(&mut self, limit: usize) -> Bytes {
        let mut data = Vec::with_capacity(self.expected().min(limit).min(1 << 20).saturating_add(1));
        let stream = self.entry.stream();
        // One byte more than asked for tells a full answer from a cut one.
        let ended = stream.take((limit as u64).saturating_add(1)).read_to_end(&mut data).is_ok();
        let whole = ended && data.len() <= limit;
        data.truncate(limit);
        Bytes { data, whole }
    }

    /// A guess at the bytes to come, for the size of a buffer.
    fn expected(&mut self) -> usize {
        let head = self.entry.head().len();
        if head < HEAD { head } else { self.entry.size().map_or(0, |size| usize::try_from(size).unwrap_or(usize::MAX)) }
    }

    /// The decompressed bytes as a stream. An error it returns is also a gap of the walk.
    pub fn reader(&mut self) -> &mut dyn Read {
        self.entry.stream()
    }
}

/// What a container gives the walk for each of its files.
pub(crate) trait Entry: Read {
    fn name(&self) -> &str;
    fn size(&self) -> Option<u64>;
    fn disk_path(&self) -> Option<&Path>;
    fn content(&mut self) -> ContentKind;
    fn layers(&self) -> u32;
    fn head(&mut self) -> &[u8];
    fn stream(&mut self) -> &mut dyn Read;
}

/// Where the raw bytes come from.
pub(crate) enum Raw<'x> {
    File(Place),
    /// The input itself: decompressed ahead of the walk.
    Input(Place),
    Stream(Box<dyn Read + 'x>),
}

/// A file on disk. Its path is put together when it is opened, and most files of a report never are.
#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) folder: Rc<Folder>,
    pub(crate) file: OsString,
}

impl Place {
    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path_of(&self.file)
    }
}

/// An entry that is opened when its bytes are first needed.
pub(crate) struct Lazy<'x> {
    name: String,
    size: Option<u64>,
    account: &'x Account<'x>,
    raw: Option<Raw<'x>>,
    place: Option<Place>,
    path: OnceCell<PathBuf>,
    open: Option<Peeked<'x>>,
    kind: ContentKind,
    layers: u32,
    used: bool,
    failed: bool,
}

impl<'x> Lazy<'x> {
    pub(crate) fn new(name: String, size: Option<u64>, account: &'x Account<'x>, raw: Raw<'x>) -> Self {
        Lazy {
            name,
            size,
            account,
            raw: Some(raw),
            place: None,
            path: OnceCell::new(),
            open: None,
            kind: ContentKind::Empty,
            layers: 0,
            used: false,
            failed: false,
        }
    }

    /// Whether the caller took bytes out of it.
    pub(crate) fn was_read(&self) -> bool {
        self.used
    }

    /// Whether it has to be looked into as an archive: its name says so, or the caller saw its head.
    pub(crate) fn may_be_archive(&self) -> bool {
        if self.open.is_some() { self.kind.is_archive() } else { names::is_archive(&self.name) }
    }

    /// The opened stream, for a walk into it.
    pub(crate) fn into_stream(mut self) -> (String, ContentKind, u32, Box<dyn Read + 'x>) {
        self.ensure();
        let stream: Box<dyn Read + 'x> = match self.open.take() {
            Some(peeked) => Box::new(peeked),
            None => Box::new(io::empty()),
        };
        (self.name, self.kind, self.layers, stream)
    }

    fn ensure(&mut self) {
        let Some(raw) = self.raw.take() else { return };
        let is_input = matches!(raw, Raw::Input(_));
        let mut ahead = None;
        let stream: Box<dyn Read + 'x> = match raw {
            Raw::Stream(stream) => stream,
            Raw::File(place) | Raw::Input(place) => {
                let opened = place.folder.file(&place.file);
                ahead = is_input.then(|| place.path());
                self.place = Some(place);
                match opened {
                    Ok(file) => {
                        self.account.new_input();
                        Box::new(Taken { inner: file, account: self.account })
                    }
                    Err(error) => {
                        self.failed = true;
                        self.account.gap("file", &self.name, error.to_string(), "read permission, or another copy");
                        Box::new(io::empty())
                    }
                }
            }
        };
        let mut peeked = Peeked::new(stream);
        let mut kind = sniff(peeked.head());
        if names::is_lzma(&self.name) && peeked.head().first() == Some(&0x5d) {
            kind = ContentKind::Lzma;
        }
        while kind.is_compressed() && self.layers < 3 {
            self.layers += 1;
            let thread = ahead.take().filter(|_| self.size.is_some_and(|size| size >= ahead::WORTH));
            let thread = thread.and_then(|path| {
                let file = File::open(path).ok()?;
                Ahead::start(kind, file, self.account).ok()
            });
            let decoded: Box<dyn Read + 'x> = match thread {
                Some(thread) => {
                    // It counts for itself what it takes from the file.
                    self.account.new_input();
                    Box::new(thread)
                }
                None => decoder(kind, Box::new(peeked), self.account),
            };
            peeked = Peeked::new(decoded);
            kind = sniff(peeked.head());
        }
        self.kind = kind;
        self.open = Some(peeked);
    }
}

impl Read for Lazy<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.ensure();
        self.used = true;
        let Some(open) = self.open.as_mut() else { return Ok(0) };
        match open.read(buf) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                if !self.failed {
                    self.failed = true;
                    let why = format!("after {} bytes: {error}", open.given);
                    self.account.gap("rest of the file", &self.name, why, "an undamaged copy");
                }
                Err(error)
            }
            other => other,
        }
    }
}

impl Entry for Lazy<'_> {
    fn name(&self) -> &str {
        &self.name
    }
    fn size(&self) -> Option<u64> {
        self.size.or_else(|| Some(std::fs::metadata(self.disk_path()?).ok()?.len()))
    }
    fn disk_path(&self) -> Option<&Path> {
        let place = match (&self.place, &self.raw) {
            (Some(place), _) | (None, Some(Raw::File(place) | Raw::Input(place))) => place,
            _ => return None,
        };
        Some(self.path.get_or_init(|| place.path()))
    }
    fn content(&mut self) -> ContentKind {
        self.ensure();
        self.kind
    }
    fn layers(&self) -> u32 {
        self.layers
    }
    fn head(&mut self) -> &[u8] {
        self.ensure();
        self.open.as_ref().map(Peeked::head).unwrap_or_default()
    }
    fn stream(&mut self) -> &mut dyn Read {
        self
    }
}

/// A stream whose first bytes were looked at.
pub(crate) struct Peeked<'x> {
    head: Vec<u8>,
    at: usize,
    given: u64,
    error: Option<io::Error>,
    /// The end was seen: a small file is asked only once for what it does not have.
    ended: bool,
    inner: Box<dyn Read + 'x>,
}

impl<'x> Peeked<'x> {
    pub(crate) fn new(mut inner: Box<dyn Read + 'x>) -> Self {
        let mut head = [0; HEAD];
        let mut filled = 0;
        let mut error = None;
        let mut ended = false;
        while filled < head.len() {
            match inner.read(head.get_mut(filled..).unwrap_or_default()) {
                Ok(0) => {
                    ended = true;
                    break;
                }
                Ok(n) => filled += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => {
                    error = Some(e);
                    break;
                }
            }
        }
        let head = head.get(..filled).unwrap_or_default().to_vec();
        Peeked { head, at: 0, given: 0, error, ended, inner }
    }

    pub(crate) fn head(&self) -> &[u8] {
        &self.head
    }

    pub(crate) fn kind(&self) -> ContentKind {
        content::sniff(&self.head)
    }
}

impl Read for Peeked<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let rest = self.head.get(self.at..).unwrap_or_default();
        let n = if !rest.is_empty() {
            let n = rest.len().min(buf.len());
            if let (Some(to), Some(from)) = (buf.get_mut(..n), rest.get(..n)) {
                to.copy_from_slice(from);
            }
            self.at += n;
            n
        } else if let Some(error) = self.error.take() {
            return Err(error);
        } else if self.ended {
            0
        } else {
            self.inner.read(buf)?
        };
        self.given += n as u64;
        Ok(n)
    }
}
