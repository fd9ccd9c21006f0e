//! Physical memory, as a dump or a test gives it.

use std::fmt;

/// Why bytes at a physical address cannot be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The dump's filter left the page out.
    Excluded,
    /// The page should be in the file, which is incomplete or cut.
    Lost,
    /// No RAM at this address.
    NotRam,
    /// The page is in the file but cannot be decoded.
    Damaged,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Why::Excluded => "excluded by the dump's filter",
            Why::Lost => "missing from an incomplete or cut file",
            Why::NotRam => "not RAM",
            Why::Damaged => "damaged in the file",
        })
    }
}

/// The first physical address that could not be read, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Missing {
    /// Physical address in bytes.
    pub at: u64,
    /// Reason.
    pub why: Why,
}

/// Something that holds the physical memory of a machine.
pub trait Physical: Send + Sync {
    /// Fills `buf` with the bytes at the physical address `at`, or says where the first absent byte is.
    fn read(&self, at: u64, buf: &mut [u8]) -> Result<(), Missing>;

    /// The same for bytes that nobody else will ask for: they need not be kept. After an error `buf` may hold anything.
    fn read_once(&self, at: u64, buf: &mut [u8]) -> Result<(), Missing> {
        self.read(at, buf)
    }

    /// Ranges of physical addresses that may hold RAM, ascending.
    fn ranges(&self) -> Vec<std::ops::Range<u64>>;
}

fn missing(short: dump::Short) -> Missing {
    Missing {
        at: short.absent.at.0,
        why: match short.absent.why {
            dump::Why::ExcludedByFilter => Why::Excluded,
            dump::Why::MissingFromFile { .. } => Why::Lost,
            dump::Why::Damaged { .. } => Why::Damaged,
            _ => Why::NotRam,
        },
    }
}

impl Physical for dump::Dump {
    fn read(&self, at: u64, buf: &mut [u8]) -> Result<(), Missing> {
        dump::Dump::read(self, dump::PhysAddr(at), buf).map_err(missing)
    }

    fn read_once(&self, at: u64, buf: &mut [u8]) -> Result<(), Missing> {
        dump::Dump::read_once(self, dump::PhysAddr(at), buf).map_err(missing)
    }

    fn ranges(&self) -> Vec<std::ops::Range<u64>> {
        let size = self.page_size() as u64;
        let bytes = |r: std::ops::Range<u64>| r.start.saturating_mul(size)..r.end.saturating_mul(size);
        dump::Dump::ranges(self).map(bytes).collect()
    }
}
