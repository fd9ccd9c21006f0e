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

/// The committed test data.
pub fn committed() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata")
}

/// Dumps with oracles: the committed ones of the lab's small kernels, more of them where the folder with the evidence
/// lies beside the repository, and every `NAME.kdump` in the folder that `VMCORONER_KERNELS` names whose oracle lies
/// beside it or among those of the stock kernels (`unpack.sh` of that folder makes the dumps).
pub fn dumps() -> Vec<(String, PathBuf, Value)> {
    let mut found: Vec<(String, PathBuf, Value)> = Vec::new();
    let mut add = |folder: &Path, oracles: &Path| {
        let Ok(entries) = std::fs::read_dir(folder) else { return };
        for path in entries.flatten().map(|entry| entry.path()) {
            let Some(name) = path.file_name().and_then(|n| n.to_str()?.strip_suffix(".kdump")) else { continue };
            if found.iter().any(|(other, ..)| other == name) {
                continue;
            }
            let beside = [folder, oracles].map(|dir| dir.join(format!("{name}.oracle.json.gz")));
            let Some(said) = beside.iter().find(|path| path.exists()).map(|path| oracle(path)) else { continue };
            // Nobody else reads the cut and the incomplete dump.
            if said["tasks"].is_array() {
                found.push((name.to_owned(), path.clone(), said));
            }
        }
    };
    let committed = committed().join("vmcores");
    add(&committed, &committed);
    let shared = shared().unwrap_or_default();
    add(&shared, &shared);
    if let Some(folder) = std::env::var_os("VMCORONER_KERNELS") {
        add(Path::new(&folder), &shared.join("kernels"));
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    found
}

pub fn hex(value: &Value) -> Option<u64> {
    u64::from_str_radix(value.as_str()?.trim_start_matches("0x"), 16).ok()
}

/// The vmlinux of a dump's kernel, `vmlinux-RELEASE` beside the dump, if somebody put it there.
pub fn sources(dump: &Path, oracle: &Value) -> kernel::Sources {
    let release = oracle["utsname"]["release"].as_str().unwrap_or_default();
    let vmlinux = dump.with_file_name(format!("vmlinux-{release}"));
    kernel::Sources { vmlinux: vmlinux.exists().then_some(vmlinux), ..kernel::Sources::default() }
}
