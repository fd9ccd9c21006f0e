//! Two states of one node, before and after: what changed, and whether a remedy took.

use std::collections::BTreeMap;

use facts::{Fact, Identity, Value};
use serde::Serialize;

use crate::case::Case;
use crate::verdict::{Grade, Verdict};

/// What changed between two cases.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// The earlier case.
    pub before: Identity,
    /// The later case.
    pub after: Identity,
    /// The field in which the two certainly differ, when they are not of one boot: changes then prove little.
    pub conflict: Option<String>,
    /// Findings that are new, gone or of another grade.
    pub findings: Vec<FindingChange>,
    /// Values of the node's state that changed, the largest relative change first.
    pub values: Vec<ValueChange>,
}

/// A finding that changed.
#[derive(Clone, Debug, Serialize)]
pub struct FindingChange {
    /// Its rule.
    pub rule: String,
    /// Its grade before; absent when it was not there or has none.
    pub before: Option<Grade>,
    /// Its grade after.
    pub after: Option<Grade>,
    /// `new`, `gone`, `stronger`, `weaker`.
    pub change: &'static str,
}

/// A value that changed.
#[derive(Clone, Debug, Serialize)]
pub struct ValueChange {
    /// What it is about: the fact's kind and the names in it.
    pub what: String,
    /// The value's name.
    pub name: String,
    /// Before.
    pub before: String,
    /// After.
    pub after: String,
}

/// Compares two cases and their verdicts.
pub fn compare(before: (&Case, &Verdict), after: (&Case, &Verdict)) -> Comparison {
    let mut values: Vec<(f64, ValueChange)> = Vec::new();
    let old = states(before.0);
    for (key, fact) in states(after.0) {
        let Some(earlier) = old.get(&key) else { continue };
        for (name, value) in &fact.values {
            let Some(was) = earlier.get(name).filter(|was| *was != value) else { continue };
            let weight = match (was.as_float(), value.as_float()) {
                (Some(a), Some(b)) => (b - a).abs() / a.abs().max(b.abs()).max(1.0),
                _ => 1.0,
            };
            let change = ValueChange {
                what: key.clone(),
                name: name.to_string(),
                before: was.to_string(),
                after: value.to_string(),
            };
            values.push((weight, change));
        }
    }
    values.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| (&a.1.what, &a.1.name).cmp(&(&b.1.what, &b.1.name))));
    Comparison {
        before: before.1.identity.clone(),
        after: after.1.identity.clone(),
        conflict: before.1.identity.conflict(&after.1.identity).map(str::to_owned),
        findings: finding_changes(before.1, after.1),
        values: values.into_iter().map(|(_, change)| change).collect(),
    }
}

/// Facts of the node's state by kind and the names in them. Facts that stand several times are no state.
fn states(case: &Case) -> BTreeMap<String, &Fact> {
    let mut out: BTreeMap<String, Option<&Fact>> = BTreeMap::new();
    for fact in case.facts.iter().filter(|f| f.kind.starts_with("cgroup.") || f.kind.starts_with("node.")) {
        let mut key = fact.kind.to_string();
        for name in ["path", "controller", "cache", "name", "file", "function", "device", "cpu", "syscall"] {
            if let Some(value @ (Value::Text(_) | Value::Int(_))) = fact.get(name) {
                key.push_str(&format!(" {value}"));
            }
        }
        out.entry(key).and_modify(|old| *old = None).or_insert(Some(fact));
    }
    out.into_iter().filter_map(|(key, fact)| Some((key, fact?))).collect()
}

fn finding_changes(before: &Verdict, after: &Verdict) -> Vec<FindingChange> {
    let best = |verdict: &Verdict| {
        let mut best: BTreeMap<String, Option<Grade>> = BTreeMap::new();
        for finding in &verdict.findings {
            let grade = best.entry(finding.rule.clone()).or_insert(finding.grade);
            *grade = (*grade).max(finding.grade);
        }
        best
    };
    let (old, new) = (best(before), best(after));
    let mut rules: Vec<&String> = old.keys().chain(new.keys()).collect();
    rules.sort();
    rules.dedup();
    rules
        .into_iter()
        .filter_map(|rule| {
            let change = match (old.get(rule), new.get(rule)) {
                (None, Some(_)) => "new",
                (Some(_), None) => "gone",
                (Some(a), Some(b)) if a < b => "stronger",
                (Some(a), Some(b)) if a > b => "weaker",
                _ => return None,
            };
            Some(FindingChange {
                rule: rule.clone(),
                before: old.get(rule).copied().flatten(),
                after: new.get(rule).copied().flatten(),
                change,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use facts::Origin;

    #[test]
    fn a_remedy_that_took_shows_as_gone_finding_and_falling_count() {
        let case = |count: u32| Case {
            facts: vec![
                Fact::new("cgroup.controllers", Origin::whole("proc/cgroups"))
                    .with("controller", "memory")
                    .with("num_cgroups", count),
            ],
            ..Case::default()
        };
        let finding: crate::verdict::Finding = serde_json::from_str(
            r#"{"rule":"memcg-pinned","title":"","class":"","grade":"exposed","role":"cause","captures":{},"evidence":[],
                "recheck":[],"fixes":[],"suspects":[],"remedies":[],"caveats":[],"explained_by":null}"#,
        )
        .unwrap();
        let sick = Verdict { findings: vec![finding], ..Verdict::default() };
        let result = compare((&case(60000), &sick), (&case(120), &Verdict::default()));
        assert_eq!(result.findings[0].change, "gone");
        assert_eq!((result.values[0].before.as_str(), result.values[0].after.as_str()), ("60000", "120"));
    }
}
