//! What a walk may cost, and the state that keeps count.

use std::cell::{Cell, RefCell};
use std::io::{self, Read};

use facts::Gap;

/// Bounds of a walk. A limit that is hit is a gap; the rest of the input is still read where that is possible.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Archives inside archives, counted from the input itself.
    pub depth: u32,
    /// Members of the whole walk.
    pub members: u64,
    /// Bytes of one member's name.
    pub name_bytes: usize,
    /// Expansion of one compressed stream: output over input, judged only past [`Limits::stream_floor`].
    pub ratio: u64,
    /// Bytes that one compressed stream may yield before its ratio is judged.
    pub stream_floor: u64,
    /// Bytes that all streams of one input file may yield before their sum is judged by the same ratio.
    pub total_floor: u64,
    /// Memory a decoder may ask for (dictionary, window), in bytes.
    pub decoder_memory: u64,
    /// A zip archive that is not a file of its own is held in memory up to this many bytes, else read as a stream.
    pub zip_memory: u64,
    /// Gaps kept; further ones are only counted.
    pub gaps: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            depth: 8,
            members: 2_000_000,
            name_bytes: 8192,
            ratio: 400,
            stream_floor: 32 << 20,
            total_floor: 256 << 20,
            decoder_memory: 128 << 20,
            zip_memory: 64 << 20,
            gaps: 200,
        }
    }
}

/// The counters of one walk.
pub(crate) struct Account<'l> {
    pub(crate) limits: &'l Limits,
    /// Bytes taken from the input file now being read.
    taken: Cell<u64>,
    /// Bytes that decoders yielded from it.
    yielded: Cell<u64>,
    members: Cell<u64>,
    gaps: RefCell<Vec<Gap>>,
    more_gaps: Cell<u64>,
}

impl<'l> Account<'l> {
    pub(crate) fn new(limits: &'l Limits) -> Self {
        Account {
            limits,
            taken: Cell::new(0),
            yielded: Cell::new(0),
            members: Cell::new(0),
            gaps: RefCell::new(Vec::new()),
            more_gaps: Cell::new(0),
        }
    }

    pub(crate) fn gap(&self, what: &str, place: &str, why: impl Into<String>, closes: &str) {
        let mut gaps = self.gaps.borrow_mut();
        if gaps.len() < self.limits.gaps {
            gaps.push(Gap::new(what, place, why, closes));
        } else {
            self.more_gaps.set(self.more_gaps.get() + 1);
        }
    }

    pub(crate) fn into_gaps(self) -> Vec<Gap> {
        let mut gaps = self.gaps.into_inner();
        if self.more_gaps.get() > 0 {
            let why = format!("{} further gaps of this input are not listed", self.more_gaps.get());
            gaps.push(Gap::new("list of gaps", "input", why, ""));
        }
        gaps
    }

    /// Counts one member; false when there were too many.
    pub(crate) fn count_member(&self) -> bool {
        let n = self.members.get() + 1;
        self.members.set(n);
        n <= self.limits.members
    }

    /// A new input file begins: what an earlier one expanded to is no longer held against it.
    pub(crate) fn new_input(&self) {
        self.taken.set(0);
        self.yielded.set(0);
    }

    /// Counts bytes taken from the input file.
    pub(crate) fn take(&self, bytes: u64) {
        self.taken.set(self.taken.get().saturating_add(bytes));
    }

    /// Judges one stream by what came out of it and what went in.
    pub(crate) fn judge(&self, yielded: u64, taken: u64) -> io::Result<()> {
        if yielded > self.limits.stream_floor && yielded / self.limits.ratio.max(1) > taken {
            let why = format!("{yielded} bytes came out of {taken}: taken for a compression bomb");
            return Err(io::Error::other(why));
        }
        Ok(())
    }

    /// Books bytes that appear out of nothing (holes of sparse files, decoder output).
    pub(crate) fn book(&self, bytes: u64) -> io::Result<()> {
        let yielded = self.yielded.get().saturating_add(bytes);
        self.yielded.set(yielded);
        let allowed = self.limits.total_floor.saturating_add(self.taken.get().saturating_mul(self.limits.ratio));
        if yielded > allowed {
            return Err(io::Error::other(format!(
                "the input expands to more than {} bytes from {}: taken for an archive bomb",
                allowed,
                self.taken.get()
            )));
        }
        Ok(())
    }
}

/// Counts what is taken from an input file.
pub(crate) struct Taken<'a, R> {
    pub(crate) inner: R,
    pub(crate) account: &'a Account<'a>,
}

impl<R: Read> Read for Taken<'_, R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buf)?;
        self.account.take(n as u64);
        Ok(n)
    }
}

impl<R: io::Seek> io::Seek for Taken<'_, R> {
    fn seek(&mut self, pos: io::SeekFrom) -> io::Result<u64> {
        self.inner.seek(pos)
    }
}

/// Judges what a decoder yields.
pub(crate) struct Metered<'a> {
    pub(crate) inner: Box<dyn Read + 'a>,
    pub(crate) taken: std::rc::Rc<Cell<u64>>,
    pub(crate) yielded: u64,
    pub(crate) account: &'a Account<'a>,
}

impl Read for Metered<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buf)?;
        self.yielded += n as u64;
        self.account.judge(self.yielded, self.taken.get())?;
        self.account.book(n as u64)?;
        Ok(n)
    }
}
