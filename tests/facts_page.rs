//! `docs/facts.md` is what the parsers' tables say. Renew it with `UPDATE_DOCS=1 cargo test --test facts_page`.

use std::fmt::Write as _;
use std::path::Path;

fn page() -> String {
    let mut kinds = vmcoroner::kinds::all();
    kinds.sort_by_key(|k| k.kind);
    let mut out = String::from(
        "# Fact kinds\n\nMade from the tables of the parsers; `UPDATE_DOCS=1 cargo test --test facts_page` renews it.\n\
         Every value may be absent. Facts of `log.*` also carry the common values listed under `log.*`.\n",
    );
    for kind in kinds {
        let _ = write!(out, "\n## {}\n\n{}\n\n| value | type | unit | |\n|---|---|---|---|\n", kind.kind, kind.doc);
        for field in kind.fields {
            let _ = writeln!(
                out,
                "| {} | {} | {} | {} |",
                field.name,
                format!("{:?}", field.ty).to_lowercase(),
                field.unit,
                field.doc.replace('|', "\\|")
            );
        }
    }
    out
}

#[test]
fn the_page_of_fact_kinds_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/facts.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, page()).expect("docs/ is writable");
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(written == page(), "docs/facts.md is stale: UPDATE_DOCS=1 cargo test --test facts_page");
}
