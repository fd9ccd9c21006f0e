//! Decoders of compressed streams, each metered.

use std::cell::Cell;
use std::io::{self, BufRead, BufReader, Read};
use std::rc::Rc;

use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

use crate::ContentKind;
use crate::limits::{Account, Metered};
use crate::xz::Xz;

/// Wraps a compressed stream of that kind; a kind that is not compressed is passed through.
pub(crate) fn decoder<'a>(kind: ContentKind, raw: Box<dyn Read + 'a>, account: &'a Account<'a>) -> Box<dyn Read + 'a> {
    let counted = Counted::new(raw);
    let taken = counted.count();
    let inner = open(kind, BufReader::with_capacity(64 << 10, counted), account.limits.decoder_memory);
    // An archive in it is read in pieces of a few hundred bytes, which cost a decoder more than large ones.
    Box::new(BufReader::with_capacity(16 << 10, Metered { inner, taken, yielded: 0, account }))
}

/// The bare decoder: `memory` bounds dictionaries and windows, nothing bounds what comes out.
pub(crate) fn open<'a, R: BufRead + 'a>(kind: ContentKind, raw: R, memory: u64) -> Box<dyn Read + 'a> {
    let memory_kb = u32::try_from(memory >> 10).unwrap_or(u32::MAX);
    match kind {
        ContentKind::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(raw)),
        ContentKind::Xz => Box::new(Xz::new(raw, memory_kb)),
        ContentKind::Lzma => match lzma_rust2::LzmaReader::new_mem_limit(raw, memory_kb, None) {
            Ok(reader) => Box::new(reader),
            Err(error) => Box::new(Broken(Some(error))),
        },
        ContentKind::Bzip2 => Box::new(bzip2::bufread::MultiBzDecoder::new(raw)),
        ContentKind::Zstd => Box::new(Zstd::new(raw, memory)),
        ContentKind::Lz4 => Box::new(lz4_flex::frame::FrameDecoder::new(raw)),
        _ => Box::new(raw),
    }
}

/// Counts what a decoder takes, for the ratio of its stream.
pub(crate) struct Counted<R> {
    inner: R,
    count: Rc<Cell<u64>>,
}

impl<R> Counted<R> {
    pub(crate) fn new(inner: R) -> Self {
        Counted { inner, count: Rc::new(Cell::new(0)) }
    }

    pub(crate) fn count(&self) -> Rc<Cell<u64>> {
        self.count.clone()
    }
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buf)?;
        self.count.set(self.count.get() + n as u64);
        Ok(n)
    }
}

/// A stream that could not even be opened.
struct Broken(Option<io::Error>);

impl Read for Broken {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        match self.0.take() {
            Some(error) => Err(error),
            None => Ok(0),
        }
    }
}

/// Concatenated zstd frames and skippable frames, as `zstd` itself and `pzstd` write them.
struct Zstd<R> {
    source: R,
    decoder: FrameDecoder,
    in_frame: bool,
    frames: u64,
    done: bool,
}

impl<R: BufRead> Zstd<R> {
    fn new(source: R, window: u64) -> Self {
        let mut decoder = FrameDecoder::new();
        decoder.set_max_window_size(window);
        Zstd { source, decoder, in_frame: false, frames: 0, done: false }
    }

    /// Positions the decoder in the next frame; false at the end of the stream.
    fn next_frame(&mut self) -> io::Result<bool> {
        loop {
            if self.source.fill_buf()?.is_empty() {
                return Ok(false);
            }
            match self.decoder.reset(&mut self.source) {
                Ok(()) => {
                    self.frames += 1;
                    return Ok(true);
                }
                Err(ruzstd::decoding::errors::FrameDecoderError::ReadFrameHeaderError(
                    ruzstd::decoding::errors::ReadFrameHeaderError::SkipFrame { length, .. },
                )) => {
                    let want = u64::from(length);
                    if io::copy(&mut self.source.by_ref().take(want), &mut io::sink())? < want {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                }
                // zstd itself ignores garbage after a whole frame with a warning; padding is common on tapes.
                Err(_) if self.frames > 0 => return Ok(false),
                Err(error) => return Err(io::Error::other(error)),
            }
        }
    }
}

impl<R: BufRead> Read for Zstd<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        loop {
            if self.done {
                return Ok(0);
            }
            if !self.in_frame {
                if !self.next_frame()? {
                    self.done = true;
                    return Ok(0);
                }
                self.in_frame = true;
            }
            while self.decoder.can_collect() == 0 && !self.decoder.is_finished() {
                self.decoder
                    .decode_blocks(&mut self.source, BlockDecodingStrategy::UptoBlocks(1))
                    .map_err(io::Error::other)?;
            }
            let n = self.decoder.read(buf)?;
            if n > 0 {
                return Ok(n);
            }
            if let (Some(stored), Some(computed)) =
                (self.decoder.get_checksum_from_data(), self.decoder.get_calculated_checksum())
                && stored != computed
            {
                self.in_frame = false;
                return Err(io::Error::other("zstd checksum differs"));
            }
            self.in_frame = false;
        }
    }
}
