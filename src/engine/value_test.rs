//! Tests on one value of a fact: `true`, `3`, `">=3"`, `"!=x"`, `"~regex"`, `"*"`, a list for any of them.

use std::sync::OnceLock;

use facts::Value;
use regex_automata::meta::Regex;
use serde::Deserialize;

/// A test on one value.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "Written")]
pub enum Test {
    /// Equal to this truth value.
    Bool(bool),
    /// Equal to this number.
    Number(f64),
    /// `*`: the value is there.
    Present,
    /// `!*`: it is not.
    Absent,
    /// Equal to this text, or to the number it writes.
    Equal(String, Option<f64>),
    /// `!=X`: there, and neither this text nor the number it writes.
    NotEqual(String, Option<f64>),
    /// `>=N`, `<=N`, `>N`, `<N`.
    Order(Order, f64),
    /// `~REGEX`: a text, or an element of a list, in which the pattern is found.
    Matches(Pattern),
    /// Any of these.
    Any(Vec<Test>),
}

/// How two numbers lie.
#[derive(Clone, Copy, Debug)]
pub enum Order {
    /// `>=`
    AtLeast,
    /// `<=`
    AtMost,
    /// `>`
    Above,
    /// `<`
    Below,
}

/// A regular expression, compiled when it is first needed: most are not in a run.
#[derive(Clone)]
pub struct Pattern {
    text: String,
    compiled: OnceLock<Option<Regex>>,
}

/// A test as a rule file writes it.
#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    Any(Vec<Test>),
}

impl TryFrom<Written> for Test {
    type Error = String;

    fn try_from(written: Written) -> Result<Test, String> {
        Ok(match written {
            Written::Bool(truth) => Test::Bool(truth),
            Written::Int(n) => Test::Number(n as f64),
            Written::Float(n) => Test::Number(n),
            Written::Any(tests) => Test::Any(tests),
            Written::Text(text) => Test::parse(&text)?,
        })
    }
}

impl Test {
    fn parse(text: &str) -> Result<Test, String> {
        match text {
            "*" => return Ok(Test::Present),
            "!*" => return Ok(Test::Absent),
            _ => {}
        }
        if let Some(pattern) = text.strip_prefix('~') {
            return Ok(Test::Matches(Pattern { text: pattern.to_owned(), compiled: OnceLock::new() }));
        }
        if let Some(other) = text.strip_prefix("!=") {
            return Ok(Test::NotEqual(other.trim().to_owned(), number(other.trim())));
        }
        for (operator, order) in
            [(">=", Order::AtLeast), ("<=", Order::AtMost), (">", Order::Above), ("<", Order::Below)]
        {
            if let Some(limit) = text.strip_prefix(operator) {
                let limit = number(limit.trim()).ok_or_else(|| format!("expected {operator}NUMBER, found `{text}`"))?;
                return Ok(Test::Order(order, limit));
            }
        }
        Ok(Test::Equal(text.to_owned(), number(text)))
    }

    /// Whether a value, or its absence, passes.
    pub fn passes(&self, value: Option<&Value>) -> bool {
        let value = match (self, value) {
            (Test::Any(tests), value) => return tests.iter().any(|t| t.passes(value)),
            (Test::Absent, value) => return value.is_none(),
            (_, None) => return false,
            (_, Some(value)) => value,
        };
        let equal = |text: &str, n: &Option<f64>| {
            any_text(value, &|t| t == text) || n.is_some_and(|n| value.as_float() == Some(n))
        };
        match self {
            Test::Any(_) | Test::Absent => false,
            Test::Present => true,
            Test::Bool(truth) => value.as_bool() == Some(*truth),
            Test::Number(n) => value.as_float() == Some(*n),
            Test::Equal(text, n) => equal(text, n),
            Test::NotEqual(text, n) => !equal(text, n),
            Test::Matches(pattern) => {
                pattern.regex().is_some_and(|regex| any_text(value, &|text| regex.is_match(text)))
            }
            Test::Order(order, limit) => value.as_float().is_some_and(|n| match order {
                Order::AtLeast => n >= *limit,
                Order::AtMost => n <= *limit,
                Order::Above => n > *limit,
                Order::Below => n < *limit,
            }),
        }
    }

    /// What is wrong with its regular expressions.
    pub fn check(&self) -> Result<(), String> {
        match self {
            Test::Any(tests) => tests.iter().try_for_each(Test::check),
            Test::Matches(pattern) if pattern.regex().is_none() => {
                Err(format!("`{}` is no regular expression", pattern.text))
            }
            _ => Ok(()),
        }
    }
}

impl Pattern {
    fn regex(&self) -> Option<&Regex> {
        self.compiled.get_or_init(|| Regex::new(&self.text).ok()).as_ref()
    }
}

impl std::fmt::Debug for Pattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Pattern").field(&self.text).finish()
    }
}

/// A text passes by itself, a list by any element.
fn any_text(value: &Value, test: &dyn Fn(&str) -> bool) -> bool {
    match value {
        Value::Text(t) => test(t),
        Value::List(items) => items.iter().any(|v| any_text(v, test)),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn text(t: &str) -> Test {
        Test::parse(t).unwrap()
    }

    #[test]
    fn tests_compare_numbers_texts_and_absence() {
        let n = Value::from(20u32);
        assert!(text(">=20").passes(Some(&n)));
        assert!(!text(">20").passes(Some(&n)));
        assert!(text("!*").passes(None));
        assert!(!text("*").passes(None));
        assert!(!text("!=x").passes(None), "absence is never evidence");
        assert!(text("~^veth").passes(Some(&Value::from("veth12"))));
        assert!(text("b").passes(Some(&Value::from(vec!["a", "b"]))));
        assert!(Test::Any(vec![text("a"), text("<0x30")]).passes(Some(&Value::from(facts::Address(0x20)))));
        assert!(Test::parse(">many").is_err());
    }
}
