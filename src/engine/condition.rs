//! Conditions: tests over facts.

use std::collections::BTreeMap;

use facts::{Fact, Value};
use serde::Deserialize;

use super::expression::Comparison;

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
    pub join: Vec<String>,
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

/// A test on one value.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum Test {
    /// Equal to this truth value.
    Bool(bool),
    /// Equal to this number.
    Int(i64),
    /// Equal to this number.
    Float(f64),
    /// Equal to this text, or one of `>=N`, `<=N`, `>N`, `<N`, `!=X`, `~REGEX`, `*` (present), `!*` (absent).
    Text(String),
    /// Any of these.
    Any(Vec<Test>),
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
    /// The comparisons of `join`, or nothing when one cannot be read: it then never holds.
    pub fn joins(&self) -> Option<Vec<Comparison>> {
        self.join.iter().map(|text| Comparison::parse(text).ok()).collect()
    }

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

impl Test {
    /// Whether a value, or its absence, passes.
    pub fn passes(&self, value: Option<&Value>) -> bool {
        match self {
            Test::Any(tests) => tests.iter().any(|t| t.passes(value)),
            Test::Bool(b) => value.and_then(Value::as_bool) == Some(*b),
            Test::Int(n) => value.and_then(Value::as_float) == Some(*n as f64),
            Test::Float(n) => value.and_then(Value::as_float) == Some(*n),
            Test::Text(text) => Self::text_passes(text, value),
        }
    }

    fn text_passes(text: &str, value: Option<&Value>) -> bool {
        match text {
            "*" => return value.is_some(),
            "!*" => return value.is_none(),
            _ => {}
        }
        let Some(value) = value else { return false };
        if let Some(pattern) = text.strip_prefix('~') {
            return match_any(value, &|t| regex(pattern).is_some_and(|r| r.is_match(t)));
        }
        if let Some(other) = text.strip_prefix("!=") {
            return !equal_text(value, other.trim());
        }
        for (operator, holds) in [
            (">=", (|a, b| a >= b) as fn(f64, f64) -> bool),
            ("<=", |a, b| a <= b),
            (">", |a, b| a > b),
            ("<", |a, b| a < b),
        ] {
            if let Some(limit) = text.strip_prefix(operator) {
                return match (value.as_float(), number(limit.trim())) {
                    (Some(a), Some(b)) => holds(a, b),
                    _ => false,
                };
            }
        }
        match_any(value, &|t| t == text) || value.as_float().is_some_and(|n| number(text) == Some(n))
    }
}

/// The compiled pattern; patterns are checked when rules load, so `None` does not occur for loaded rules.
pub fn regex(pattern: &str) -> Option<regex_automata::meta::Regex> {
    regex_automata::meta::Regex::new(pattern).ok()
}

fn equal_text(value: &Value, text: &str) -> bool {
    match_any(value, &|t| t == text) || value.as_float().is_some_and(|n| number(text) == Some(n))
}

/// A text passes by itself, a list by any element.
fn match_any(value: &Value, test: &dyn Fn(&str) -> bool) -> bool {
    match value {
        Value::Text(t) => test(t),
        Value::List(items) => items.iter().any(|v| match_any(v, test)),
        Value::Bool(b) => test(if *b { "true" } else { "false" }),
        _ => false,
    }
}

/// A decimal or `0x` number.
pub fn number(text: &str) -> Option<f64> {
    match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok().map(|n| n as f64),
        None => text.parse().ok(),
    }
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

    fn text(t: &str) -> Test {
        Test::Text(t.to_owned())
    }

    #[test]
    fn tests_compare_numbers_texts_and_absence() {
        let n = Value::from(20u32);
        assert!(text(">=20").passes(Some(&n)));
        assert!(!text(">20").passes(Some(&n)));
        assert!(text("!*").passes(None));
        assert!(!text("!=x").passes(None), "absence is never evidence");
        assert!(text("~^veth").passes(Some(&Value::from("veth12"))));
        assert!(text("b").passes(Some(&Value::from(vec!["a", "b"]))));
        assert!(Test::Any(vec![text("a"), text("<0x30")]).passes(Some(&Value::from(facts::Address(0x20)))));
    }

    #[test]
    fn compiler_suffixes_do_not_hide_a_function() {
        assert!(names("__slab_alloc", "__slab_alloc.isra.0"));
        assert!(names("mempool_*", "mempool_alloc"));
        assert!(!names("mempool", "mempool_alloc"));
    }
}
