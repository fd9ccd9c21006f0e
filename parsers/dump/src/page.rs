//! One page of memory.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// The bytes of one page.
///
/// Borrowed from the map when the dump stores the page as it is, shared with the cache when
/// it had to be decoded; never copied. Dereferences to the bytes.
#[derive(Clone)]
pub struct Page<'a>(Inner<'a>);

#[derive(Clone)]
enum Inner<'a> {
    Borrowed(&'a [u8]),
    Shared(Arc<[u8]>),
}

impl<'a> Page<'a> {
    pub(crate) fn borrowed(bytes: &'a [u8]) -> Page<'a> {
        Page(Inner::Borrowed(bytes))
    }

    pub(crate) fn shared(bytes: Arc<[u8]>) -> Page<'a> {
        Page(Inner::Shared(bytes))
    }
}

impl Deref for Page<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            Inner::Borrowed(bytes) => bytes,
            Inner::Shared(bytes) => bytes,
        }
    }
}

impl AsRef<[u8]> for Page<'_> {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl fmt::Debug for Page<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match &self.0 {
            Inner::Borrowed(_) => "borrowed",
            Inner::Shared(_) => "shared",
        };
        write!(f, "Page({kind}, {} bytes)", self.len())
    }
}
