//! Every dependency has a licence that the project may ship.

use std::process::Command;

/// Licences that may be part of an SPDX expression of ours.
const ALLOWED: [&str; 14] = [
    "MIT",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "0BSD",
    "ISC",
    "Zlib",
    "Unicode-3.0",
    "MPL-2.0",
    "Unlicense",
    "CC0-1.0",
    "BSL-1.0",
    "MIT-0",
    "bzip2-1.0.6",
];

/// Whether one side of an `OR` is made of allowed licences only.
fn allowed(expression: &str) -> bool {
    expression.replace('/', " OR ").replace(['(', ')'], " ").split(" OR ").any(|side| {
        side.split(" AND ").all(|one| {
            let one = one.trim();
            let one = one.strip_suffix(" WITH LLVM-exception").unwrap_or(one);
            ALLOWED.contains(&one)
        })
    })
}

/// The platform that the tests run on: crates of others need not be downloaded.
fn host() -> String {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).arg("-vV").output().expect("rustc runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().find_map(|line| line.strip_prefix("host: ")).expect("rustc names its host").to_owned()
}

#[test]
fn every_dependency_has_an_allowed_licence() {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked", "--offline", "--filter-platform", &host()])
        .output()
        .expect("cargo metadata runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).expect("cargo metadata prints JSON");
    let packages = metadata["packages"].as_array().expect("packages");
    assert!(packages.len() > 20);
    let refused: Vec<String> = packages
        .iter()
        .filter(|p| !p["license"].as_str().is_some_and(allowed))
        .map(|p| format!("{} {}: {}", p["name"], p["version"], p["license"]))
        .collect();
    assert!(refused.is_empty(), "{refused:#?}");
}

#[test]
fn a_licence_that_is_not_listed_is_refused() {
    assert!(allowed("MIT OR Apache-2.0") && allowed("(MIT OR GPL-2.0-only) AND Unicode-3.0"));
    assert!(!allowed("GPL-3.0-only") && !allowed("MIT AND GPL-2.0-only"));
}
