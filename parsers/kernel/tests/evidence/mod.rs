//! Dumps with what other tools say of them.

#![allow(dead_code)] // each test file uses its part

use std::path::{Path, PathBuf};

use serde_json::Value;

/// The evidence beside the repository, if it is there.
pub fn shared() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    root.ancestors().map(|dir| dir.join("shared/vmcores")).find(|dir| dir.is_dir())
}

pub fn oracle(path: &Path) -> Value {
    let file = std::fs::File::open(path).unwrap();
    serde_json::from_reader(std::io::BufReader::new(flate2::read::GzDecoder::new(file))).unwrap()
}

/// Dumps with oracles: the lab's, and the stock kernels' where somebody unpacked them
/// (`unpack.sh`, folder in `VMCORONER_KERNELS`).
pub fn dumps() -> Vec<(String, PathBuf, Value)> {
    let Some(shared) = shared() else { return Vec::new() };
    let mut found = Vec::new();
    for name in [
        "netdev-leak",
        "mempool-sleeper",
        "ip6mr-null",
        "memcg-zombies",
        "deadlock-abba",
        "healthy-live",
        "sysrq-crash",
    ] {
        let dump = shared.join(format!("{name}.kdump"));
        found.push((name.to_owned(), dump, oracle(&shared.join(format!("{name}.oracle.json.gz")))));
    }
    if let Some(folder) = std::env::var_os("VMCORONER_KERNELS") {
        for entry in std::fs::read_dir(shared.join("kernels")).unwrap().flatten() {
            let name = entry.file_name().into_string().unwrap();
            let Some(name) = name.strip_suffix(".oracle.json.gz") else { continue };
            let dump = Path::new(&folder).join(format!("{name}.kdump"));
            if dump.exists() {
                found.push((name.to_owned(), dump, oracle(&entry.path())));
            }
        }
    }
    found
}

pub fn hex(value: &Value) -> Option<u64> {
    u64::from_str_radix(value.as_str()?.trim_start_matches("0x"), 16).ok()
}
