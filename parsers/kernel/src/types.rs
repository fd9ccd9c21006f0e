//! Where a member lies in a structure.

use crate::{Kernel, Sources};

/// One member of a structure or union.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Offset in bytes from the start of the outermost structure.
    pub offset: u64,
    /// Size in bytes.
    pub size: u64,
}

/// The kernel's types.
#[derive(Debug, Default)]
pub struct Types {}

impl Types {
    pub(crate) fn open(_kernel: &Kernel<'_>, _sources: &Sources) -> Types {
        Types {}
    }

    /// The member of a structure; `path` may be dotted (`thread.sp`) and looks through anonymous members.
    pub fn member(&self, _type_name: &str, _path: &str) -> Option<Member> {
        None
    }

    /// The size of a type in bytes.
    pub fn size_of(&self, _type_name: &str) -> Option<u64> {
        None
    }

    /// The value of an enumerator.
    pub fn enumerator(&self, _name: &str) -> Option<i64> {
        None
    }
}
