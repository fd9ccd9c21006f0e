//! The question every reader asks: the member of a structure at an address.

use crate::{Kernel, VirtAddr};

impl Kernel<'_> {
    /// The number in a member of the structure at `at`: integers with their sign extended to 64 bits, pointers,
    /// enumerations, bitfields. `None` when this kernel has no such member or its bytes are absent.
    pub fn value(&self, at: VirtAddr, structure: &str, path: &str) -> Option<u64> {
        let member = self.types().member(structure, path)?;
        let size = usize::try_from(member.size).ok().filter(|n| *n <= 16)?;
        let mut bytes = [0; 16];
        let bytes = bytes.get_mut(..size)?;
        self.read(at + member.offset, bytes).ok()?;
        member.decode(bytes)
    }

    /// The number in the first of several members that this kernel has: names newest first.
    pub fn first_value(&self, at: VirtAddr, structure: &str, paths: &[&str]) -> Option<u64> {
        let path = paths.iter().find(|path| self.types().member(structure, path).is_some())?;
        self.value(at, structure, path)
    }

    /// The pointer in a member; `None` also when it is null.
    pub fn pointer(&self, at: VirtAddr, structure: &str, path: &str) -> Option<VirtAddr> {
        self.value(at, structure, path).filter(|value| *value != 0).map(VirtAddr)
    }

    /// Where a member of the structure at `at` lies.
    pub fn place(&self, at: VirtAddr, structure: &str, path: &str) -> Option<VirtAddr> {
        Some(at + self.types().offset(structure, path)?)
    }

    /// The text in a member that is an array of characters, up to its first NUL.
    pub fn text(&self, at: VirtAddr, structure: &str, path: &str) -> Option<String> {
        let member = self.types().member(structure, path)?;
        let mut bytes = vec![0; usize::try_from(member.size).ok().filter(|n| *n <= 4096)?];
        self.read(at + member.offset, &mut bytes).ok()?;
        let end = memchr::memchr(0, &bytes).unwrap_or(bytes.len());
        Some(String::from_utf8_lossy(bytes.get(..end)?).into_owned())
    }
}
