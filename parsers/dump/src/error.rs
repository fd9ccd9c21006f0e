//! Why a dump cannot be opened, and why a page of an opened one is not there.

use std::fmt;

use crate::address::PhysAddr;
use crate::sniff::Format;

/// Nothing at all can be read from the input.
///
/// Damage that leaves something readable is not an error: the dump opens, and what is
/// lost is in [`gaps`](crate::Dump::gaps) and in each page's [`Absent`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file could not be opened or mapped.
    #[error("{path}: {error}")]
    Io {
        /// The file as it was named by the caller.
        path: String,
        /// What the system said.
        error: std::io::Error,
    },
    /// No input was given.
    #[error("no dump file was given")]
    NoInput,
    /// The format is known, but not read here.
    #[error("{name}: {format} is not read directly; {}", format.advice().unwrap_or("convert it to ELF or kdump"))]
    Unsupported {
        /// Name of the file.
        name: String,
        /// What it is.
        format: Format,
    },
    /// No format that is known here.
    #[error("{name}: not a dump: expected a kdump, flattened or ELF vmcore, found a file that starts with {found}")]
    NotADump {
        /// Name of the file.
        name: String,
        /// The first bytes, printable.
        found: String,
    },
    /// The signature is right, but the header leads nowhere.
    #[error(
        "{name}: {what} at byte {offset}: expected {expected}, found {found}; the file is damaged or cut too early"
    )]
    Header {
        /// Name of the file.
        name: String,
        /// Which header.
        what: &'static str,
        /// Where in the file it lies.
        offset: u64,
        /// What makes a header usable.
        expected: &'static str,
        /// What is there instead.
        found: String,
    },
    /// Several files that do not belong together.
    #[error("{name} does not belong to {first}: {why}; open it on its own")]
    NotOneDump {
        /// The file that does not fit.
        name: String,
        /// The file it was compared with.
        first: String,
        /// The difference.
        why: String,
    },
}

/// A page (or a byte) that cannot be given, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Absent {
    /// The first physical address that is not there.
    pub at: PhysAddr,
    /// The reason.
    pub why: Why,
}

/// Why memory is absent from a dump.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Why {
    /// It was RAM, and the program that wrote the dump left it out on purpose (user pages,
    /// free pages, page cache, pages of zeros, depending on the dump level).
    ExcludedByFilter,
    /// The dump was to have it, and the file does not: it is cut, or says of itself that it
    /// is incomplete, or a part of a split set was not given.
    MissingFromFile {
        /// Position in the file where the data, or the entry that leads to it, would be.
        /// In a flattened file this is the position in the unpacked dump.
        offset: u64,
    },
    /// No RAM at this address, as far as the dump knows.
    NotRam,
    /// The bytes are there and do not decode.
    Damaged {
        /// Position of the page's data, or of its descriptor, in the file.
        offset: u64,
        /// What is wrong.
        problem: Problem,
    },
}

/// What is wrong with the stored form of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Problem {
    /// The compressed stream is not valid.
    BadStream(Codec),
    /// The stream is valid and decodes to another size than a page.
    WrongSize {
        /// The codec.
        codec: Codec,
        /// Decoded bytes; no more than a page of them are counted.
        got: usize,
    },
    /// The descriptor's size field makes no sense: zero, above the page size, or not the
    /// page size for a stored page.
    BadDescriptorSize(u32),
    /// The descriptor names no codec that is known.
    UnknownCodec(u32),
}

/// How a page is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Codec {
    /// As it was in memory.
    Stored,
    /// zlib (RFC 1950).
    Zlib,
    /// LZO1X.
    Lzo,
    /// Raw snappy.
    Snappy,
    /// One zstd frame.
    Zstd,
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Codec::Stored => "stored",
            Codec::Zlib => "zlib",
            Codec::Lzo => "lzo",
            Codec::Snappy => "snappy",
            Codec::Zstd => "zstd",
        })
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Problem::BadStream(codec) => write!(f, "the {codec} data is corrupt"),
            Problem::WrongSize { codec, got } => {
                write!(f, "the {codec} data decodes to {got} bytes, not to a page")
            }
            Problem::BadDescriptorSize(size) => write!(f, "its descriptor has size {size}"),
            Problem::UnknownCodec(flags) => write!(f, "its descriptor has unknown flags {flags:#x}"),
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Why::ExcludedByFilter => f.write_str("excluded by the filter"),
            Why::MissingFromFile { offset } => {
                write!(f, "missing from an incomplete or cut file (byte {offset})")
            }
            Why::NotRam => f.write_str("not RAM"),
            Why::Damaged { offset, problem } => write!(f, "damaged at byte {offset}: {problem}"),
        }
    }
}

impl fmt::Display for Absent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.at, self.why)
    }
}

impl std::error::Error for Absent {}

/// A read that ended early.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Short {
    /// Bytes at the start of the buffer that are good.
    pub done: usize,
    /// What stopped the read.
    pub absent: Absent,
}

impl fmt::Display for Short {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} after {} bytes", self.absent, self.done)
    }
}

impl std::error::Error for Short {}

/// Something about the whole file that is lost or doubtful.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// What is missing.
    pub what: String,
    /// The file, as it was named by the caller.
    pub file: String,
    /// Where in the file, where that means something. In a flattened file this is the
    /// position in the unpacked dump, unless `what` speaks of records.
    pub offset: Option<u64>,
    /// Why it is missing.
    pub why: String,
    /// What would close the gap; empty when nothing would.
    pub closes: String,
}
