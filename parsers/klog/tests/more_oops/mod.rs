//! Production reports and other projects' logs, read where they lie beside the repository.

use std::io::Read;
use std::path::{Path, PathBuf};

/// The folder, where it lies beside the repository.
pub fn collection() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().ok()?;
    root.ancestors().map(|dir| dir.join("shared/corpora/more-oops")).find(|dir| dir.is_dir())
}

/// A file of it, decompressed.
pub fn read(path: &Path) -> Option<Vec<u8>> {
    let bytes = std::fs::read(path).ok()?;
    if path.extension().is_none_or(|e| e != "gz") {
        return Some(bytes);
    }
    let mut plain = Vec::new();
    flate2::read::MultiGzDecoder::new(bytes.as_slice()).read_to_end(&mut plain).ok()?;
    Some(plain)
}
