//! Decompression that runs ahead of the walk: the decoder of an input file works in a thread of its own while the
//! caller reads what it yielded so far.
//!
//! Not a task of rayon's pool: the caller may itself be one, and a pool of one thread would wait for itself.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::sync::mpsc::{Receiver, Sender, channel, sync_channel};

use crate::ContentKind;
use crate::decode::{Counted, open};
use crate::limits::Account;

/// Bytes of one piece, and pieces that wait at most: 16 MiB may be decompressed before anybody asks for them, so that
/// decoding goes on while a log of megabytes is read.
const PIECE: usize = 128 << 10;
const WAITING: usize = 128;
/// A compressed file below this size is not worth a thread.
pub(crate) const WORTH: u64 = 128 << 10;

enum Piece {
    /// A buffer, how many decompressed bytes it begins with, and how many compressed ones were taken so far.
    Bytes(Vec<u8>, usize, u64),
    Failed(io::Error),
}

/// The decompressed bytes of a file.
pub(crate) struct Ahead<'a> {
    pieces: Receiver<Piece>,
    /// Where buffers go that were read to their end: new ones would cost more than what they take.
    spent: Sender<Vec<u8>>,
    piece: Vec<u8>,
    length: usize,
    at: usize,
    ended: bool,
    taken: u64,
    yielded: u64,
    account: &'a Account<'a>,
}

impl<'a> Ahead<'a> {
    /// Starts the decoder. An error when no thread can be had.
    pub(crate) fn start(kind: ContentKind, file: File, account: &'a Account<'a>) -> io::Result<Ahead<'a>> {
        let (sender, pieces) = sync_channel(WAITING);
        let (spent, spare) = channel();
        let memory = account.limits.decoder_memory;
        let work = move || {
            let counted = Counted::new(file);
            let taken = counted.count();
            let mut decoder = open(kind, BufReader::with_capacity(64 << 10, counted), memory);
            loop {
                let mut piece: Vec<u8> = spare.try_recv().unwrap_or_else(|_| vec![0; PIECE]);
                let (length, result) = fill(&mut decoder, &mut piece);
                let last = result.is_err() || length == 0;
                // An error here says that nobody reads any more.
                if sender.send(Piece::Bytes(piece, length, taken.get())).is_err() {
                    return;
                }
                if let Err(error) = result {
                    drop(sender.send(Piece::Failed(error)));
                }
                if last {
                    return;
                }
            }
        };
        std::thread::Builder::new().name("decompress".to_owned()).spawn(work)?;
        Ok(Ahead { pieces, spent, piece: Vec::new(), length: 0, at: 0, ended: false, taken: 0, yielded: 0, account })
    }

    /// Takes the next piece and judges what came out of what went in.
    fn next(&mut self) -> io::Result<()> {
        match self.pieces.recv() {
            Ok(Piece::Bytes(piece, length, taken)) => {
                self.account.take(taken.saturating_sub(self.taken));
                self.taken = taken;
                self.yielded += length as u64;
                self.ended = length == 0;
                // The decoder may have ended and want no more buffers.
                let before = std::mem::replace(&mut self.piece, piece);
                if !before.is_empty() {
                    let _ = self.spent.send(before);
                }
                self.length = length;
                self.at = 0;
                self.account.judge(self.yielded, self.taken)?;
                self.account.book(length as u64)
            }
            Ok(Piece::Failed(error)) => Err(error),
            Err(_) => Err(io::Error::other("the decoder gave up")),
        }
    }
}

/// Reads until the buffer is full, the stream ends or fails. Returns how many bytes it got.
fn fill(stream: &mut dyn Read, buffer: &mut [u8]) -> (usize, io::Result<()>) {
    let mut length = 0;
    while let Some(rest) = buffer.get_mut(length..).filter(|rest| !rest.is_empty()) {
        match stream.read(rest) {
            Ok(0) => break,
            Ok(n) => length += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (length, Err(error)),
        }
    }
    (length, Ok(()))
}

impl Read for Ahead<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.at >= self.length {
            if self.ended {
                return Ok(0);
            }
            self.next()?;
        }
        let rest = self.piece.get(self.at..self.length).unwrap_or_default();
        let n = rest.len().min(buf.len());
        if let (Some(to), Some(from)) = (buf.get_mut(..n), rest.get(..n)) {
            to.copy_from_slice(from);
        }
        self.at += n;
        Ok(n)
    }
}
