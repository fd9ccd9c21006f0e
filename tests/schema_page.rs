//! `docs/verdict.schema.json` is what `vmcoroner schema` prints. Renew it with `UPDATE_DOCS=1 cargo test --test schema_page`.

use std::path::Path;

#[test]
fn the_schema_in_the_docs_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/verdict.schema.json");
    let text = format!("{}\n", serde_json::to_string_pretty(&vmcoroner::verdict::schema()).expect("a schema is JSON"));
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &text).expect("docs/ is writable");
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(written == text, "docs/verdict.schema.json is stale: UPDATE_DOCS=1 cargo test --test schema_page");
}
