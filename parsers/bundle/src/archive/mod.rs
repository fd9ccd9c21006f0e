//! Containers, one file each.

use std::cell::RefCell;
use std::hash::{Hash, Hasher};
use std::io::{self, Read};
use std::rc::Rc;

use rustc_hash::{FxHashSet, FxHasher};

use crate::limits::Account;
use crate::names;

pub(crate) mod cpio;
pub(crate) mod directory;
pub(crate) mod folder;
pub(crate) mod tar;
pub(crate) mod zip;

/// Makes the full names of an archive's members, unlike each other and harmless.
pub(crate) struct Namer<'a> {
    archive: &'a str,
    account: &'a Account<'a>,
    /// Hashes of the names so far.
    seen: FxHashSet<u64>,
    escapes: u64,
    repeats: u64,
}

impl<'a> Namer<'a> {
    pub(crate) fn new(archive: &'a str, account: &'a Account<'a>) -> Self {
        Namer { archive, account, seen: FxHashSet::default(), escapes: 0, repeats: 0 }
    }

    /// The full name; a name given before gets `#2`.
    pub(crate) fn name(&mut self, raw: &[u8]) -> String {
        let limit = self.account.limits.name_bytes;
        if raw.len() > limit {
            let why = format!("a name of {} bytes was cut to {limit}", raw.len());
            self.account.gap("member name", self.archive, why, "");
        }
        let (path, escapes) = names::clean(raw, limit);
        self.escapes += u64::from(escapes);
        let mut hasher = FxHasher::default();
        path.hash(&mut hasher);
        let twice = if self.seen.insert(hasher.finish()) { "" } else { "#2" };
        self.repeats += u64::from(!twice.is_empty());
        [self.archive, "!", &path, twice].concat()
    }

    /// Books what was odd about the names.
    pub(crate) fn finish(self) {
        if self.escapes > 0 {
            let why = format!("{} names lead out of the archive (`..`); read under their plain part", self.escapes);
            self.account.gap("member names", self.archive, why, "");
        }
        if self.repeats > 0 {
            let why = format!("{} names occur more than once; the later ones are marked #2", self.repeats);
            self.account.gap("member names", self.archive, why, "");
        }
    }
}

/// A stream that several entries read one after the other.
pub(crate) type Shared<'x> = Rc<RefCell<Box<dyn Read + 'x>>>;

/// The bytes of one entry of a shared stream; whatever the reader leaves is skipped by [`Window::skip`].
#[derive(Clone)]
pub(crate) struct Window<'x> {
    stream: Shared<'x>,
    left: Rc<std::cell::Cell<u64>>,
}

impl<'x> Window<'x> {
    pub(crate) fn new(stream: &Shared<'x>, length: u64) -> Self {
        Window { stream: stream.clone(), left: Rc::new(std::cell::Cell::new(length)) }
    }

    /// Passes over what was not read, and over `padding` behind it.
    pub(crate) fn skip(&self, padding: u64) -> io::Result<()> {
        let left = self.left.get();
        let want = left.saturating_add(padding);
        let mut stream = self.stream.borrow_mut();
        let got = io::copy(&mut stream.by_ref().take(want), &mut io::sink())?;
        self.left.set(0);
        if got < left { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    }
}

impl Read for Window<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let left = self.left.get();
        let want = usize::try_from(left).unwrap_or(usize::MAX).min(buf.len());
        if want == 0 {
            return Ok(0);
        }
        let n = self.stream.borrow_mut().read(buf.get_mut(..want).unwrap_or_default())?;
        if n == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, format!("{left} bytes are missing")));
        }
        self.left.set(left - n as u64);
        Ok(n)
    }
}
