//! Decompression that runs ahead of the walk: the decoder of an input file works in a thread of its own while the
//! caller reads what it yielded so far.
//!
//! Not a task of rayon's pool: the caller may itself be one, and a pool of one thread would wait for itself.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::sync::mpsc::{Receiver, sync_channel};

use crate::ContentKind;
use crate::decode::{Counted, open};
use crate::limits::Account;

/// Bytes of one piece, and pieces that wait at most: what may be decompressed before anybody asks for it.
const PIECE: usize = 128 << 10;
const WAITING: usize = 8;
/// A compressed file below this size is not worth a thread.
pub(crate) const WORTH: u64 = 128 << 10;

enum Piece {
    /// Decompressed bytes, and how many compressed ones were taken so far.
    Bytes(Vec<u8>, u64),
    Failed(io::Error),
}

/// The decompressed bytes of a file.
pub(crate) struct Ahead<'a> {
    pieces: Receiver<Piece>,
    piece: Vec<u8>,
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
        let memory = account.limits.decoder_memory;
        let work = move || {
            let counted = Counted::new(file);
            let taken = counted.count();
            let mut decoder = open(kind, BufReader::with_capacity(64 << 10, counted), memory);
            loop {
                let mut piece = Vec::with_capacity(PIECE);
                let result = decoder.by_ref().take(PIECE as u64).read_to_end(&mut piece);
                let last = result.is_err() || piece.is_empty();
                // An error here says that nobody reads any more.
                if sender.send(Piece::Bytes(piece, taken.get())).is_err() {
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
        Ok(Ahead { pieces, piece: Vec::new(), at: 0, ended: false, taken: 0, yielded: 0, account })
    }

    /// Takes the next piece and judges what came out of what went in.
    fn next(&mut self) -> io::Result<()> {
        match self.pieces.recv() {
            Ok(Piece::Bytes(piece, taken)) => {
                self.account.take(taken.saturating_sub(self.taken));
                self.taken = taken;
                self.yielded += piece.len() as u64;
                self.ended = piece.is_empty();
                self.piece = piece;
                self.at = 0;
                self.account.judge(self.yielded, self.taken)?;
                self.account.book(self.piece.len() as u64)
            }
            Ok(Piece::Failed(error)) => Err(error),
            Err(_) => Err(io::Error::other("the decoder gave up")),
        }
    }
}

impl Read for Ahead<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.at >= self.piece.len() {
            if self.ended {
                return Ok(0);
            }
            self.next()?;
        }
        let rest = self.piece.get(self.at..).unwrap_or_default();
        let n = rest.len().min(buf.len());
        if let (Some(to), Some(from)) = (buf.get_mut(..n), rest.get(..n)) {
            to.copy_from_slice(from);
        }
        self.at += n;
        Ok(n)
    }
}
