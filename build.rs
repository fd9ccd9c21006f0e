//! Embeds every `rules/*/rule.yaml`, so that a new rule is a new folder and no code.

use std::fmt::Write as _;
use std::path::Path;

fn main() {
    println!("cargo::rerun-if-changed=rules");
    let root = std::env::var("CARGO_MANIFEST_DIR").expect("cargo sets it");
    let mut names: Vec<String> = std::fs::read_dir(Path::new(&root).join("rules"))
        .map(|entries| entries.flatten().map(|e| e.file_name().to_string_lossy().into_owned()).collect())
        .unwrap_or_default();
    names.sort();
    let mut code = String::from(
        "/// Path and text of each rule that comes with the program.\nconst EMBEDDED: &[(&str, &str)] = &[\n",
    );
    for name in names {
        let path = Path::new(&root).join("rules").join(&name).join("rule.yaml");
        if path.is_file() {
            println!("cargo::rerun-if-changed={}", path.display());
            let _ = writeln!(
                code,
                "    ({:?}, include_str!({:?})),",
                format!("rules/{name}/rule.yaml"),
                path.display().to_string()
            );
        }
    }
    code.push_str("];\n");
    let out = std::env::var("OUT_DIR").expect("cargo sets it");
    std::fs::write(Path::new(&out).join("embedded_rules.rs"), code).expect("the build directory is writable");
}
