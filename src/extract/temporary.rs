//! Files for dumps that lie inside archives, made only when asked for.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// A file that is removed when this is dropped, whatever happened before. A dump that is open stays readable.
pub(super) struct Temporary {
    path: PathBuf,
}

impl Temporary {
    /// Copies a stream into a new file in `directory`, at most `limit` bytes. The second value is what went wrong on the
    /// way, or that there was more; what came before it is in the file.
    pub(super) fn of(source: &mut dyn Read, directory: &Path, limit: u64) -> io::Result<(Temporary, Option<String>)> {
        let (mut file, made) = create(directory)?;
        let mut chunk = vec![0; 1 << 20];
        let mut written = 0u64;
        loop {
            let n = match source.read(&mut chunk) {
                Ok(0) => return Ok((made, None)),
                Ok(n) => n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                // The walk that reads it says why.
                Err(_) => return Ok((made, Some(format!("reading stopped after {written} bytes")))),
            };
            if written + n as u64 > limit {
                return Ok((made, Some(format!("only the first {written} bytes are kept"))));
            }
            if let Err(error) = file.write_all(chunk.get(..n).unwrap_or_default()) {
                return Ok((made, Some(format!("writing stopped after {written} bytes: {error}"))));
            }
            written += n as u64;
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // Nobody can be told any more; the next one takes another name.
        let _ = fs::remove_file(&self.path);
    }
}

/// A file that nobody made before, readable by its owner alone: a dump holds secrets.
fn create(directory: &Path) -> io::Result<(File, Temporary)> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    for number in 0..1000 {
        let path = directory.join(format!("vmcoroner-{}-{number}.dump", std::process::id()));
        match options.open(&path) {
            Ok(file) => return Ok((file, Temporary { path })),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other("a thousand files of this name are there already"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_goes_with_its_owner_and_keeps_to_the_limit() {
        let directory = std::env::temp_dir().join(format!("vmcoroner-temporary-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let (kept, why) = Temporary::of(&mut &b"a dump"[..], &directory, 100).unwrap();
        assert_eq!((fs::read(kept.path()).unwrap().as_slice(), why), (&b"a dump"[..], None));
        let (cut, why) = Temporary::of(&mut &b"a dump"[..], &directory, 3).unwrap();
        assert!(why.unwrap().contains("only the first"));
        assert_ne!(cut.path(), kept.path());
        drop((kept, cut));
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 0);
        assert!(Temporary::of(&mut &b""[..], &directory.join("absent"), 1).is_err());
        fs::remove_dir(&directory).unwrap();
    }
}
