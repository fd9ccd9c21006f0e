//! Conditions: facts to find, and combinations of them.

use std::collections::BTreeMap;

use facts::{Fact, Value};
use serde::Deserialize;

use super::comparison::Comparison;
use super::value_test::Test;

/// One condition: a fact to find, or a combination of conditions.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Item {
    /// Kind of the fact to find; a `*` at its end stands for any rest.
    #[serde(default)]
    pub fact: Option<String>,
    /// Name by which captures and joins refer to it.
    #[serde(default, rename = "as")]
    pub name: Option<String>,
    /// Tests on its values.
    #[serde(default, rename = "where")]
    pub tests: BTreeMap<String, Test>,
    /// Tests on its call stacks.
    #[serde(default)]
    pub stack: Option<StackTest>,
    /// Values that must be equal within a group of facts; one match is then a group.
    #[serde(default)]
    pub same: Vec<String>,
    /// How many facts the group must have, `">=3"`.
    #[serde(default)]
    pub count: Option<Test>,
    /// Seconds from the first to the last of the group, `">=20"`.
    #[serde(default)]
    pub span: Option<Test>,
    /// Comparisons with facts bound before: `wait.device = leak.name`, `b.time - a.time <= 60`.
    #[serde(default)]
    pub join: Vec<Comparison>,
    /// All of these.
    #[serde(default)]
    pub all: Vec<Item>,
    /// At least one of these.
    #[serde(default)]
    pub any: Vec<Item>,
    /// None of these, over sources that were really read.
    #[serde(default)]
    pub none: Vec<Item>,
    /// Counter-evidence: the condition fails when one of these is there, whether or not their sources were read.
    #[serde(default)]
    pub unless: Vec<Item>,
    /// These bind more facts when they are there; they never make a condition fail.
    #[serde(default)]
    pub optional: Vec<Item>,
}

/// Tests on the call stacks of a fact. One stack must pass all of them.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StackTest {
    /// All of these functions are in it.
    #[serde(default)]
    pub all: Vec<String>,
    /// At least one of these.
    #[serde(default)]
    pub any: Vec<String>,
    /// None of these.
    #[serde(default)]
    pub none: Vec<String>,
}

impl Item {
    /// Every fact kind named in this condition, with whether it is only under `none` or `optional`.
    pub fn kinds<'a>(&'a self, out: &mut Vec<&'a str>) {
        if let Some(kind) = &self.fact {
            out.push(kind);
        }
        for item in self.all.iter().chain(&self.any) {
            item.kinds(out);
        }
    }

    /// Every item of this condition, itself first.
    pub fn walk<'a>(&'a self, visit: &mut dyn FnMut(&'a Item)) {
        visit(self);
        for item in self.all.iter().chain(&self.any).chain(&self.none).chain(&self.unless).chain(&self.optional) {
            item.walk(visit);
        }
    }

    /// Whether one match is a group of facts.
    pub fn grouped(&self) -> bool {
        !self.same.is_empty() || self.count.is_some() || self.span.is_some()
    }

    /// Whether a single fact passes the tests on kind, values and stacks.
    pub fn passes(&self, fact: &Fact) -> bool {
        self.fact.as_deref().is_none_or(|kind| kind_matches(kind, &fact.kind))
            && self.tests.iter().all(|(name, test)| test.passes(field(fact, name).as_ref()))
            && self.stack.as_ref().is_none_or(|test| test.passes(fact))
    }
}

/// Whether a pattern names a kind: equal, or a prefix before `*`.
pub fn kind_matches(pattern: &str, kind: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(prefix) => kind.starts_with(prefix),
        None => pattern == kind,
    }
}

/// The value of a dotted name in a fact. `fact` is the fact's kind, `quote` its evidence line.
pub fn field(fact: &Fact, name: &str) -> Option<Value> {
    match name {
        "fact" => return Some(Value::from(fact.kind.as_ref())),
        "quote" => return Some(Value::from(fact.quote.as_str())),
        _ => {}
    }
    if let Some(value) = fact.get(name) {
        return Some(value.clone());
    }
    let (head, rest) = name.split_once('.')?;
    let mut value = fact.get(head)?;
    for part in rest.split('.') {
        value = match value {
            Value::Record(map) => map.get(part)?,
            _ => return None,
        };
    }
    Some(value.clone())
}

impl StackTest {
    fn passes(&self, fact: &Fact) -> bool {
        fact.stacks.iter().any(|stack| {
            let has = |name: &String| {
                stack
                    .frames
                    .iter()
                    .filter(|f| f.reliable)
                    .any(|f| f.function.as_deref().is_some_and(|g| names(name, g)))
            };
            self.all.iter().all(has) && (self.any.is_empty() || self.any.iter().any(has)) && !self.none.iter().any(has)
        })
    }
}

/// Whether a rule's function name means this frame: equal up to compiler suffixes (`.isra.0`, `.part.3`, `.cold`);
/// a `*` at its end stands for any rest.
fn names(pattern: &str, function: &str) -> bool {
    let plain = function.split('.').next().unwrap_or(function);
    match pattern.strip_suffix('*') {
        Some(prefix) => plain.starts_with(prefix),
        None => pattern == plain || pattern == function,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compiler_suffixes_do_not_hide_a_function() {
        assert!(names("__slab_alloc", "__slab_alloc.isra.0"));
        assert!(names("mempool_*", "mempool_alloc"));
        assert!(!names("mempool", "mempool_alloc"));
    }
}
