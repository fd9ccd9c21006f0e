//! Where test inputs lie.

use std::path::PathBuf;

/// A committed format sample.
pub fn formats(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/formats")).join(name)
}

/// The first 16 hex digits of the SHA-256 of some bytes.
pub fn sha256_start(bytes: &[u8]) -> String {
    use sha2::Digest;
    sha2::Sha256::digest(bytes).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}
