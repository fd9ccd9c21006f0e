//! Where test inputs lie, and dumps rewritten in other layouts.
#![allow(dead_code, reason = "each test file uses a part")]

pub mod rewrite;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use dump::{Dump, Source};

/// A committed format sample.
pub fn formats(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/formats")).join(name)
}

/// The folder of large dumps beside the repository, where there is one.
pub fn shared_vmcores() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..");
    ["shared/vmcores", "../shared/vmcores"].map(|sub| root.join(sub)).into_iter().find(|path| path.is_dir())
}

/// A committed sample, held in memory.
pub fn source(name: &str) -> Source {
    Source::bytes(std::fs::read(formats(name)).unwrap())
}

/// Opens committed samples as one dump.
pub fn open(names: &[&str]) -> Dump {
    Dump::open(&names.iter().map(|name| formats(name)).collect::<Vec<_>>()).unwrap()
}

/// The first `len` bytes of a committed sample, as a dump.
pub fn open_cut(name: &str, len: u64) -> Result<Dump, dump::Error> {
    let cut = Source::overlay(&source(name), [], Some(len));
    Dump::from_sources(vec![(format!("{name} cut at {len}"), cut)])
}

/// Page frame numbers and the start of each page's SHA-256.
pub fn sums(dump: &Dump) -> BTreeMap<u64, String> {
    dump.ranges().flatten().filter_map(|pfn| Some((pfn, sha256_start(&dump.page(pfn).ok()?)))).collect()
}

/// What [`sums`] must give for every whole sample: found equal through libkdumpfile.
pub fn expected_sums() -> BTreeMap<u64, String> {
    let text = std::fs::read_to_string(formats("a.sha256.txt")).unwrap();
    let lines = text.lines().map(|line| line.split_once(' ').unwrap());
    lines.map(|(pfn, sum)| (pfn.parse().unwrap(), sum.to_owned())).collect()
}

/// The first 16 hex digits of the SHA-256 of some bytes.
pub fn sha256_start(bytes: &[u8]) -> String {
    use sha2::Digest;
    sha2::Sha256::digest(bytes).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}
