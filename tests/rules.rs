//! Each rule folder holds inputs on which the rule must fire and inputs on which it must not: `cases.yaml`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use vmcoroner::engine::{Rules, problems};
use vmcoroner::extract::{Options, gather};
use vmcoroner::verdict::{Finding, Verdict};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    /// Files beside `cases.yaml`, or from the repository's root when they begin with `testdata/`.
    inputs: Vec<String>,
    /// What it shows, in words.
    shows: String,
    /// Read the memory of dumps too, not their logs alone.
    #[serde(default)]
    memory: bool,
    /// Findings in this order, each with what must be equal; others may stand between them.
    #[serde(default)]
    findings: Vec<Expected>,
    /// Rules that must not fire.
    #[serde(default)]
    not: Vec<String>,
    /// Fix statuses of the whole verdict: commit to status.
    #[serde(default)]
    fixes: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    rule: String,
    #[serde(default)]
    grade: Option<String>,
    #[serde(default)]
    role: Option<String>,
    #[serde(default)]
    explained_by: Option<String>,
    #[serde(default)]
    captures: BTreeMap<String, String>,
    /// Must be `findings[0]`.
    #[serde(default)]
    first: bool,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn verdict(folder: &Path, inputs: &[String], memory: bool) -> Verdict {
    let paths: Vec<PathBuf> =
        inputs.iter().map(|i| if i.starts_with("testdata/") { root().join(i) } else { folder.join(i) }).collect();
    let cases = gather(&paths, &Options { log_only: !memory, ..Options::default() })
        .unwrap_or_else(|e| panic!("{}: {inputs:?}: {e}", folder.display()));
    vmcoroner::examine::examine(&cases[0], &Rules::embedded().expect("the rules load"))
}

fn fits(finding: &Finding, expected: &Expected) -> bool {
    finding.rule == expected.rule
        && expected.grade.as_deref().is_none_or(|g| finding.grade.map_or("none", |x| x.word()) == g)
        && expected.role.as_deref().is_none_or(|r| finding.role.word() == r)
        && expected.explained_by.as_deref().is_none_or(|b| finding.explained_by.as_deref() == Some(b))
        && expected
            .captures
            .iter()
            .all(|(name, value)| finding.captures.get(name).is_some_and(|v| v.to_string() == *value))
}

#[test]
fn each_rule_fires_where_it_must_and_nowhere_else() {
    let mut failures = Vec::new();
    let mut count = 0;
    for entry in std::fs::read_dir(root().join("rules")).expect("rules/") {
        let folder = entry.expect("a folder").path();
        let Ok(text) = std::fs::read_to_string(folder.join("cases.yaml")) else { continue };
        let cases: Vec<Case> = serde_saphyr::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
        for case in cases {
            count += 1;
            let verdict = verdict(&folder, &case.inputs, case.memory);
            let told = || {
                let lines: Vec<String> = verdict
                    .findings
                    .iter()
                    .map(|f| format!("{} {:?} {:?} by {:?} {:?}", f.rule, f.grade, f.role, f.explained_by, f.captures))
                    .collect();
                format!("{} {:?} ({}):\n    {}", folder.display(), case.inputs, case.shows, lines.join("\n    "))
            };
            let mut rest = verdict.findings.iter().enumerate();
            for expected in &case.findings {
                match rest.by_ref().find(|(_, f)| fits(f, expected)) {
                    Some((at, _)) if expected.first && at != 0 => {
                        failures.push(format!("{} is not first in {}", expected.rule, told()));
                    }
                    Some(_) => {}
                    None => failures.push(format!("expected {} {:?} in {}", expected.rule, expected.grade, told())),
                }
            }
            for rule in &case.not {
                if verdict.findings.iter().any(|f| f.rule == *rule) {
                    failures.push(format!("{rule} fired in {}", told()));
                }
            }
            for (sha, status) in &case.fixes {
                let found = verdict.findings.iter().flat_map(|f| &f.fixes).find(|f| f.sha.starts_with(sha.as_str()));
                if found.map_or("unnamed", |f| f.status.as_str()) != status {
                    failures.push(format!("{sha} is {:?}, not {status}, in {}", found.map(|f| &f.status), told()));
                }
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(count >= 10, "only {count} cases were found");
}

#[test]
fn every_rule_has_a_case_where_it_fires_and_one_where_it_must_not() {
    for rule in Rules::embedded().expect("the rules load").rules {
        let (prefix, folder) = match rule.id.split_once('{') {
            Some((prefix, _)) => (prefix, prefix.trim_end_matches('-')),
            None => (rule.id.as_str(), rule.id.as_str()),
        };
        let path = root().join("rules").join(folder).join("cases.yaml");
        let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let cases: Vec<Case> = serde_saphyr::from_str(&text).expect("checked by the other test");
        let named = |name: &str| name == rule.id || rule.id != prefix && name.starts_with(prefix);
        assert!(cases.iter().any(|c| c.findings.iter().any(|f| named(&f.rule))), "{folder}: it fires in no case");
        assert!(
            cases.iter().any(|c| c.not.iter().any(|name| named(name))),
            "{folder}: no case says where it must not fire"
        );
    }
}

#[test]
fn rules_name_only_facts_and_values_that_parsers_make() {
    let unknown = problems(&Rules::embedded().expect("the rules load"), &Rules::default(), &vmcoroner::kinds::all());
    assert!(unknown.is_empty(), "{unknown:#?}");
}
