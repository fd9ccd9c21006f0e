//! zip: through its directory when it can be reached, else entry by entry.

use std::borrow::Cow;
use std::cell::Cell;
use std::fs::File;
use std::io::{self, BufReader, Cursor, Read, Seek};
use std::rc::Rc;

use zip::ZipArchive;
use zip::read::read_zipfile_from_stream;

use crate::archive::Namer;
use crate::limits::{Account, Metered, Taken};
use crate::member::{Lazy, Raw};
use crate::walk::{Flow, Visit, member};

/// Walks a zip file on disk.
pub(crate) fn walk_file<'x>(
    file: File,
    archive: &str,
    depth: u32,
    account: &'x Account<'x>,
    visit: &mut Visit<'_>,
) -> Flow {
    let again = file.try_clone();
    let reader = BufReader::new(Taken { inner: file, account });
    match ZipArchive::new(reader) {
        Ok(zip) => by_directory(zip, archive, depth, account, visit),
        Err(error) => {
            account.gap("directory of the zip file", archive, error.to_string(), "an undamaged copy");
            let Ok(mut file) = again else { return Flow::Continue };
            if file.rewind().is_err() {
                return Flow::Continue;
            }
            by_stream(Box::new(BufReader::new(Taken { inner: file, account })), archive, depth, account, visit)
        }
    }
}

/// Walks a zip archive that comes as a stream: in memory when it is small.
pub(crate) fn walk_stream<'x>(
    mut stream: Box<dyn Read + 'x>,
    archive: &str,
    depth: u32,
    account: &'x Account<'x>,
    visit: &mut Visit<'_>,
) -> Flow {
    let limit = account.limits.zip_memory;
    let mut bytes = Vec::new();
    if let Err(error) = stream.by_ref().take(limit).read_to_end(&mut bytes) {
        account.gap("rest of the archive", archive, error.to_string(), "an undamaged copy of the archive");
    }
    if (bytes.len() as u64) < limit {
        match ZipArchive::new(Cursor::new(bytes.as_slice())) {
            Ok(zip) => return by_directory(zip, archive, depth, account, visit),
            Err(error) => {
                account.gap("directory of the zip file", archive, error.to_string(), "an undamaged copy");
            }
        }
    }
    by_stream(Box::new(Cursor::new(bytes).chain(stream)), archive, depth, account, visit)
}

fn by_directory<R: Read + Seek>(
    mut zip: ZipArchive<R>,
    archive: &str,
    depth: u32,
    account: &Account<'_>,
    visit: &mut Visit<'_>,
) -> Flow {
    let mut namer = Namer::new(archive, account);
    for index in 0..zip.len() {
        let file = match zip.by_index(index) {
            Ok(file) => file,
            Err(error) => {
                account.gap("member", &format!("{archive}, entry {index}"), error.to_string(), "");
                continue;
            }
        };
        if !file.is_file() || file.is_symlink() {
            continue;
        }
        let raw = file.name_raw().to_vec();
        if one(file, &raw, &mut namer, depth, account, visit) == Flow::Stop {
            return Flow::Stop;
        }
    }
    namer.finish();
    Flow::Continue
}

fn by_stream(
    mut stream: Box<dyn Read + '_>,
    archive: &str,
    depth: u32,
    account: &Account<'_>,
    visit: &mut Visit<'_>,
) -> Flow {
    let mut namer = Namer::new(archive, account);
    loop {
        match read_zipfile_from_stream(&mut stream) {
            Ok(Some(mut file)) => {
                if file.is_file() {
                    let raw = file.name_raw().to_vec();
                    if one(&mut file, &raw, &mut namer, depth, account, visit) == Flow::Stop {
                        return Flow::Stop;
                    }
                }
                // The crate drains the entry when it is dropped, without a bound of ours.
                let drained = io::copy(&mut Drain { inner: &mut file, account }, &mut io::sink());
                if let Err(error) = drained {
                    account.gap("rest of the archive", archive, error.to_string(), "an undamaged copy of the archive");
                    std::mem::forget(file);
                    break;
                }
            }
            Ok(None) => break,
            Err(error) => {
                account.gap("rest of the archive", archive, error.to_string(), "an undamaged copy of the archive");
                break;
            }
        }
    }
    namer.finish();
    Flow::Continue
}

struct Drain<'a, R> {
    inner: R,
    account: &'a Account<'a>,
}

impl<R: Read> Read for Drain<'_, R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buf)?;
        self.account.book(n as u64)?;
        Ok(n)
    }
}

trait Stored: Read {
    fn sizes(&self) -> (u64, u64);
}

impl<R: Read + ?Sized> Stored for zip::read::ZipFile<'_, R> {
    fn sizes(&self) -> (u64, u64) {
        (self.size(), self.compressed_size())
    }
}

impl<S: Stored + ?Sized> Stored for &mut S {
    fn sizes(&self) -> (u64, u64) {
        (**self).sizes()
    }
}

/// Names as some programs of Windows write them, with backslashes throughout; elsewhere a backslash is a part of a name.
fn with_slashes(raw: &[u8]) -> Cow<'_, [u8]> {
    if raw.contains(&b'/') || !raw.contains(&b'\\') {
        return Cow::Borrowed(raw);
    }
    raw.iter().map(|byte| if *byte == b'\\' { b'/' } else { *byte }).collect()
}

fn one<S: Stored>(
    file: S,
    raw_name: &[u8],
    namer: &mut Namer<'_>,
    depth: u32,
    account: &Account<'_>,
    visit: &mut Visit<'_>,
) -> Flow {
    let (size, packed) = file.sizes();
    let metered = Metered { inner: Box::new(file), taken: Rc::new(Cell::new(packed)), yielded: 0, account };
    let lazy = Lazy::new(namer.name(&with_slashes(raw_name)), Some(size), account, Raw::Stream(Box::new(metered)));
    member(lazy, depth, account, visit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backslashes_part_folders_only_where_no_slash_does() {
        assert_eq!(&*with_slashes(b"case\\var\\log\\messages"), b"case/var/log/messages");
        assert_eq!(&*with_slashes(b"run/dev-disk-by\\x2duuid.swap"), b"run/dev-disk-by\\x2duuid.swap");
    }
}
