//! Bytes at virtual addresses.

use std::sync::Mutex;

use crate::address::Fault;
use crate::{Kernel, Missing, PhysAddr, VirtAddr};

/// Why bytes at a virtual address cannot be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The kernel's page tables do not map the address.
    #[error("{0} is not mapped")]
    NotMapped(VirtAddr),
    /// A page of the page tables is not in the dump.
    #[error("{at} cannot be translated: its page table at {table:#x} is {why}", why = .missing.why, table = .missing.at)]
    NoTable {
        /// The address asked for.
        at: VirtAddr,
        /// The page-table entry.
        missing: Missing,
    },
    /// The page itself is not in the dump.
    #[error("{at} (physical {phys:#x}) is {why}", phys = .missing.at, why = .missing.why)]
    Absent {
        /// The first address that could not be read.
        at: VirtAddr,
        /// Its physical address, and the reason.
        missing: Missing,
    },
    /// No page tables are known.
    #[error("{0} cannot be translated: the page tables were not found")]
    NoTranslation(VirtAddr),
}

/// From this size on a range is read by several threads.
const PARALLEL: usize = 64 * 1024;
/// More gain nothing: the ranges have some MB.
const MAX_THREADS: usize = 4;

/// One thread's part of a range.
struct Work<'w> {
    at: VirtAddr,
    /// Its place in the whole range.
    start: usize,
    part: &'w mut [u8],
    first: &'w Mutex<Option<(usize, ReadError)>>,
}

fn absent(at: VirtAddr, phys: PhysAddr, missing: Missing) -> ReadError {
    ReadError::Absent { at: VirtAddr(at.0.wrapping_add(missing.at.wrapping_sub(phys.0))), missing }
}

impl Kernel<'_> {
    /// The physical address behind a virtual one, by the kernel's own page tables.
    pub fn translate(&self, at: VirtAddr) -> Result<PhysAddr, ReadError> {
        if let Some(found) = self.tlb.get(at) {
            return Ok(found);
        }
        let Some(space) = &self.space else { return Err(ReadError::NoTranslation(at)) };
        match space.translate(at, self.physical) {
            Ok(found) => {
                self.tlb.put(at, found);
                Ok(found)
            }
            Err(Fault::NotPresent) => Err(ReadError::NotMapped(at)),
            Err(Fault::Missing(missing)) => Err(ReadError::NoTable { at, missing }),
        }
    }

    /// Whether the page tables let code be run at an address; `None` where they cannot be read.
    pub fn is_executable(&self, at: VirtAddr) -> Option<bool> {
        self.space.as_ref()?.executable(at, self.physical)
    }

    /// Fills `buf` from the virtual address `at`. On an error the bytes before the failing page are filled.
    pub fn read(&self, at: VirtAddr, buf: &mut [u8]) -> Result<(), ReadError> {
        let mut done = 0usize;
        while done < buf.len() {
            let here = at + done as u64;
            let room = (4096 - (here.0 & 4095)) as usize;
            let end = buf.len().min(done.saturating_add(room));
            let phys = self.translate(here)?;
            let part = buf.get_mut(done..end).unwrap_or_default();
            self.physical.read(phys.0, part).map_err(|missing| absent(here, phys, missing))?;
            done = end;
        }
        Ok(())
    }

    /// `len` bytes at `at`. Callers bound `len`.
    pub fn bytes(&self, at: VirtAddr, len: usize) -> Result<Vec<u8>, ReadError> {
        let mut buf = vec![0; len];
        self.read(at, &mut buf)?;
        Ok(buf)
    }

    /// `len` bytes at `at`, with what could not be read: absent pages are zeroes, and the first one is told by its place
    /// in the bytes and the reason. Of a large range the pages are decoded by several threads. Callers bound `len`.
    pub(crate) fn bytes_with_holes(&self, at: VirtAddr, len: usize) -> (Vec<u8>, Option<(usize, ReadError)>) {
        let mut bytes = vec![0; len];
        let threads = match len {
            0..PARALLEL => 1,
            _ => std::thread::available_parallelism().map_or(1, |n| n.get().min(MAX_THREADS)),
        };
        let size = len.div_ceil(threads).next_multiple_of(4096).max(4096);
        let first = Mutex::new(None::<(usize, ReadError)>);
        let parts = bytes.chunks_mut(size).enumerate().map(|(n, part)| {
            let start = n * size;
            Work { at: at + start as u64, start, part, first: &first }
        });
        let queue = Mutex::new(parts.collect::<Vec<_>>());
        let run = || {
            let next = || queue.lock().ok().and_then(|mut queue| queue.pop());
            while let Some(work) = next() {
                self.fill(work);
            }
        };
        // Threads of its own, not rayon's: this runs where others wait for its result, and may not take up their work.
        // Where no more can be had, this one does it all.
        std::thread::scope(|scope| {
            for _ in 1..threads {
                let _ = std::thread::Builder::new().spawn_scoped(scope, run);
            }
            run();
        });
        let first = first.into_inner().unwrap_or_default();
        (bytes, first)
    }

    fn fill(&self, work: Work<'_>) {
        let mut done = 0;
        while done < work.part.len() {
            let here = work.at + done as u64;
            let end = work.part.len().min(done + (4096 - (here.0 & 4095)) as usize);
            if let Some(piece) = work.part.get_mut(done..end)
                && let Err(error) = self.read_page_once(here, piece)
                && let Ok(mut first) = work.first.lock()
                && first.as_ref().is_none_or(|(at, _)| *at > work.start + done)
            {
                *first = Some((work.start + done, error));
            }
            done = end;
        }
    }

    /// Reads inside one page what is read once; what cannot be read becomes zeroes.
    fn read_page_once(&self, at: VirtAddr, piece: &mut [u8]) -> Result<(), ReadError> {
        let phys = self.translate(at)?;
        self.physical.read_once(phys.0, piece).map_err(|missing| {
            piece.fill(0);
            absent(at, phys, missing)
        })
    }

    /// The byte at `at`.
    pub fn u8(&self, at: VirtAddr) -> Result<u8, ReadError> {
        let mut buf = [0; 1];
        self.read(at, &mut buf)?;
        Ok(buf[0])
    }

    /// The little-endian 16-bit value at `at`.
    pub fn u16(&self, at: VirtAddr) -> Result<u16, ReadError> {
        let mut buf = [0; 2];
        self.read(at, &mut buf)?;
        Ok(u16::from_le_bytes(buf))
    }

    /// The little-endian 32-bit value at `at`.
    pub fn u32(&self, at: VirtAddr) -> Result<u32, ReadError> {
        let mut buf = [0; 4];
        self.read(at, &mut buf)?;
        Ok(u32::from_le_bytes(buf))
    }

    /// The little-endian 64-bit value at `at`.
    pub fn u64(&self, at: VirtAddr) -> Result<u64, ReadError> {
        let mut buf = [0; 8];
        self.read(at, &mut buf)?;
        Ok(u64::from_le_bytes(buf))
    }

    /// The pointer at `at`.
    pub fn ptr(&self, at: VirtAddr) -> Result<VirtAddr, ReadError> {
        self.u64(at).map(VirtAddr)
    }

    /// The unsigned value of `size` bytes (1, 2, 4 or 8; anything else reads as 8) at `at`.
    pub fn uint(&self, at: VirtAddr, size: u64) -> Result<u64, ReadError> {
        match size {
            1 => self.u8(at).map(u64::from),
            2 => self.u16(at).map(u64::from),
            4 => self.u32(at).map(u64::from),
            _ => self.u64(at),
        }
    }

    /// The NUL-terminated text at `at`, without the NUL, at most `max` bytes; bytes that are no UTF-8 are
    /// replaced. A string that runs into an absent page is an error.
    pub fn cstr(&self, at: VirtAddr, max: usize) -> Result<String, ReadError> {
        let bytes = self.cstr_bytes(at, max)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The bytes of the NUL-terminated text at `at`, without the NUL, at most `max`.
    pub fn cstr_bytes(&self, at: VirtAddr, max: usize) -> Result<Vec<u8>, ReadError> {
        let mut text = Vec::new();
        while text.len() < max {
            let here = at + text.len() as u64;
            let room = (256 - (here.0 & 255)) as usize;
            let want = room.min(max - text.len());
            let mut part = [0u8; 256];
            let part = part.get_mut(..want).unwrap_or_default();
            self.read(here, part)?;
            if let Some(end) = memchr::memchr(0, part) {
                text.extend_from_slice(part.get(..end).unwrap_or_default());
                return Ok(text);
            }
            text.extend_from_slice(part);
        }
        Ok(text)
    }
}
