//! Two states of one node, before and after: what changed, and whether a remedy took.

use std::collections::{BTreeMap, BTreeSet};

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
    /// For each finding of the earlier state that is to be remedied: whether it was.
    pub remedies: Vec<RemedyOutcome>,
    /// Findings that are new, gone or of another grade.
    pub findings: Vec<FindingChange>,
    /// Values of the node's state that changed, the largest relative change first.
    pub values: Vec<ValueChange>,
}

/// Whether what ailed the node before is gone after.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RemedyOutcome {
    /// The rule of the earlier finding.
    pub rule: String,
    /// `took`, `partly`, `did-not-take`, `cannot-tell`.
    pub outcome: &'static str,
    /// The values that show it, or what is missing.
    pub why: String,
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
        remedies: remedy_outcomes(before, after),
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

/// A value that fell by a tenth or more counts as relief.
const RELIEF: f64 = 0.9;

/// Judges by the facts on which each earlier finding rests: a finding that is gone only because the later state lacks
/// those facts is not cured.
fn remedy_outcomes(before: (&Case, &Verdict), after: (&Case, &Verdict)) -> Vec<RemedyOutcome> {
    let (old, new) = (states(before.0), states(after.0));
    let mut rules: Vec<&str> = Vec::new();
    for finding in before.1.findings.iter().filter(|f| !f.remedies.is_empty() && f.explained_by.is_none()) {
        if !rules.contains(&finding.rule.as_str()) {
            rules.push(&finding.rule);
        }
    }
    let mut out = Vec::new();
    for rule in rules {
        let earlier: Vec<_> = before.1.findings.iter().filter(|f| f.rule == rule).collect();
        let grade = |verdict: &Verdict| verdict.findings.iter().filter(|f| f.rule == rule).map(|f| f.grade).max();
        let rests_on: Vec<(&String, &&Fact)> = old
            .iter()
            .filter(|(_, fact)| {
                let origin = fact.origin.to_string();
                earlier.iter().any(|f| f.evidence.iter().any(|e| e.origin == origin && e.text == fact.quote))
            })
            .collect();
        let shared: Vec<(&String, &Fact, &Fact)> =
            rests_on.iter().filter_map(|(key, fact)| Some((*key, **fact, *new.get(*key)?))).collect();
        // A group may be gone with its container; facts of its kind must still be there to say so.
        let missing: BTreeSet<&str> = rests_on
            .iter()
            .map(|(_, fact)| &*fact.kind)
            .filter(|kind| !new.values().any(|f| f.kind == *kind && f.text("accounting") != Some("not-collected")))
            .collect();
        // What the finding itself counts; other values of the same files move all the time.
        let counted: Vec<f64> = earlier.iter().flat_map(|f| f.captures.values()).filter_map(Value::as_float).collect();
        let (changes, others): (Vec<_>, Vec<_>) =
            value_changes(&shared).into_iter().partition(|(_, was, _)| counted.contains(was));
        let relief = changes.iter().any(|(_, was, is)| *is < *was * RELIEF);
        let changes = if changes.is_empty() && grade(after.1).is_none() { others } else { changes };
        let (outcome, why) = match (grade(before.1), grade(after.1)) {
            (_, None) if rests_on.is_empty() => {
                ("cannot-tell", "it rests on log lines: their absence in the later files proves nothing".to_owned())
            }
            (_, None) if !missing.is_empty() => {
                ("cannot-tell", format!("the later state has no {}", Vec::from_iter(missing).join(", ")))
            }
            (_, None) => ("took", listed(&changes)),
            (was, is) if is < was => ("partly", listed(&changes)),
            (was, is) if is == was && relief => ("partly", listed(&changes)),
            _ => ("did-not-take", listed(&changes)),
        };
        out.push(RemedyOutcome { rule: rule.to_owned(), outcome, why });
    }
    out
}

/// Numbers that differ between two states of the same facts.
fn value_changes(shared: &[(&String, &Fact, &Fact)]) -> Vec<(String, f64, f64)> {
    let mut out = Vec::new();
    for (key, was, is) in shared {
        for (name, value) in &was.values {
            if let (Value::Int(_) | Value::Float(_), Some(was), Some(is)) =
                (value, value.as_float(), is.get(name).and_then(Value::as_float))
                && was != is
            {
                out.push((format!("{key} {name}"), was, is));
            }
        }
    }
    out
}

fn listed(changes: &[(String, f64, f64)]) -> String {
    if changes.is_empty() {
        return "the values on which it rests are the same".to_owned();
    }
    let mut parts: Vec<String> =
        changes.iter().take(4).map(|(what, was, is)| format!("{what} {was} -> {is}")).collect();
    if changes.len() > parts.len() {
        parts.push(format!("and {} more", changes.len() - parts.len()));
    }
    parts.join(", ")
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
        // The finding rests on no fact of the state here.
        assert_eq!(result.remedies, []);
        assert_eq!((result.values[0].before.as_str(), result.values[0].after.as_str()), ("60000", "120"));
    }
}
