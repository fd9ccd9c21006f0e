//! Embeds every `rules/*/rule.yaml` and `data/curated.yaml`, so that a new rule is a new folder and no code. They are
//! embedded as JSON: reading them is part of every run, and reading JSON takes a tenth of the time of YAML.

use std::fmt::Write as _;
use std::path::Path;

fn main() {
    println!("cargo::rerun-if-changed=rules");
    let root = std::env::var("CARGO_MANIFEST_DIR").expect("cargo sets it");
    let root = Path::new(&root);
    let mut names: Vec<String> = std::fs::read_dir(root.join("rules"))
        .map(|entries| entries.flatten().map(|e| e.file_name().to_string_lossy().into_owned()).collect())
        .unwrap_or_default();
    names.sort();
    let mut code = String::from(
        "/// Path and JSON of each rule that comes with the program.\nconst EMBEDDED: &[(&str, &str)] = &[\n",
    );
    for name in names {
        let path = root.join("rules").join(&name).join("rule.yaml");
        if path.is_file() {
            let _ = writeln!(code, "    ({:?}, {:?}),", format!("rules/{name}/rule.yaml"), json(&path));
        }
    }
    code.push_str("];\n");
    let out = std::env::var("OUT_DIR").expect("cargo sets it");
    let out = Path::new(&out);
    std::fs::write(out.join("embedded_rules.rs"), code).expect("the build directory is writable");
    std::fs::write(out.join("curated.json"), json(&root.join("data/curated.yaml")))
        .expect("the build directory is writable");
}

/// What a YAML file says, as JSON. A number or truth value that is meant as text must stand in quotation marks there:
/// the tests compare both forms.
fn json(path: &Path) -> String {
    println!("cargo::rerun-if-changed={}", path.display());
    let text = std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let value: serde_json::Value = serde_saphyr::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    value.to_string()
}
