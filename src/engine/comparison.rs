//! Comparisons between bound facts: `wait.device = leak.name`, `b.time - a.time <= 60`, `it.owner in tasks`.

use facts::Value;
use serde::Deserialize;

use super::value_test::number;

/// A parsed comparison.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "String")]
pub struct Comparison {
    left: Operand,
    operator: Operator,
    right: Operand,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    In,
}

#[derive(Clone, Debug)]
enum Operand {
    Name(String),
    Difference(String, String),
    Product(String, f64),
    Number(f64),
    Text(String),
}

impl TryFrom<String> for Comparison {
    type Error = String;

    fn try_from(text: String) -> Result<Comparison, String> {
        Comparison::parse(&text)
    }
}

impl Comparison {
    /// Parses one comparison; the error says what was expected.
    pub fn parse(text: &str) -> Result<Comparison, String> {
        const OPERATORS: [(&str, Operator); 7] = [
            (" != ", Operator::NotEqual),
            (" <= ", Operator::LessOrEqual),
            (" >= ", Operator::GreaterOrEqual),
            (" = ", Operator::Equal),
            (" < ", Operator::Less),
            (" > ", Operator::Greater),
            (" in ", Operator::In),
        ];
        for (token, operator) in OPERATORS {
            if let Some((left, right)) = text.split_once(token) {
                return Ok(Comparison { left: Operand::parse(left)?, operator, right: Operand::parse(right)? });
            }
        }
        Err(format!("expected A = B, A != B, A < B, A <= B, A > B, A >= B or A in B, found `{text}`"))
    }

    /// The names it compares, as written: `wait.device`, `tasks`.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        [&self.left, &self.right]
            .into_iter()
            .flat_map(|operand| match operand {
                Operand::Name(a) | Operand::Product(a, _) => [Some(a.as_str()), None],
                Operand::Difference(a, b) => [Some(a.as_str()), Some(b.as_str())],
                Operand::Number(_) | Operand::Text(_) => [None, None],
            })
            .flatten()
    }

    /// Whether it holds; a value that is not there makes it false.
    pub fn holds(&self, look_up: &dyn Fn(&str) -> Option<Value>) -> bool {
        let (Some(a), Some(b)) = (self.left.value(look_up), self.right.value(look_up)) else { return false };
        match self.operator {
            Operator::Equal => same(&a, &b),
            Operator::NotEqual => !same(&a, &b),
            Operator::In => b.as_list().is_some_and(|items| items.iter().any(|item| same(&a, item))) || same(&a, &b),
            operator => match (a.as_float(), b.as_float()) {
                (Some(a), Some(b)) => match operator {
                    Operator::Less => a < b,
                    Operator::LessOrEqual => a <= b,
                    Operator::Greater => a > b,
                    _ => a >= b,
                },
                _ => false,
            },
        }
    }

    /// Where this holds only when `NAME.VALUE` equals something that is known already: that value's name and what it
    /// equals.
    pub fn equals(&self, name: &str, look_up: &dyn Fn(&str) -> Option<Value>) -> Option<(&str, Value)> {
        let of_name = |o: &'_ Operand| match o {
            Operand::Name(path) => path.split_once('.').filter(|(n, _)| *n == name).map(|(n, _)| n.len() + 1),
            _ => None,
        };
        let (own, at, other) = match (self.operator, of_name(&self.left), of_name(&self.right)) {
            (Operator::Equal, Some(at), None) => (&self.left, at, &self.right),
            (Operator::Equal, None, Some(at)) => (&self.right, at, &self.left),
            _ => return None,
        };
        let Operand::Name(path) = own else { return None };
        Some((path.get(at..)?, other.value(look_up)?))
    }
}

/// A whole number of any form. As floats, addresses of the kernel that lie within 2 KiB would be equal.
fn whole(value: &Value) -> Option<i128> {
    match value {
        Value::Int(n) => Some(i128::from(*n)),
        Value::Unsigned(n) => Some(i128::from(*n)),
        Value::Address(at) => Some(i128::from(at.0)),
        _ => None,
    }
}

fn same(a: &Value, b: &Value) -> bool {
    match (whole(a), whole(b)) {
        (Some(a), Some(b)) => a == b,
        _ => a == b || matches!((a.as_float(), b.as_float()), (Some(x), Some(y)) if x == y),
    }
}

/// Equal for values that compare as equal.
pub fn key(value: &Value) -> String {
    match (whole(value), value.as_float()) {
        (Some(n), _) => format!("{n}"),
        // There are two zeros.
        (None, Some(n)) if n.fract() == 0.0 && n.abs() < 1e18 => format!("{}", n as i128),
        (None, Some(n)) => format!("{n:?}"),
        (None, None) => format!("{value:?}"),
    }
}

impl Operand {
    fn parse(text: &str) -> Result<Operand, String> {
        let text = text.trim();
        if let Some((a, b)) = text.split_once(" - ") {
            return Ok(Operand::Difference(a.trim().to_owned(), b.trim().to_owned()));
        }
        if let Some((name, factor)) = text.split_once(" * ") {
            let factor = number(factor.trim()).ok_or_else(|| format!("expected NAME * NUMBER, found `{text}`"))?;
            return Ok(Operand::Product(name.trim().to_owned(), factor));
        }
        if let Some(n) = number(text) {
            return Ok(Operand::Number(n));
        }
        if let Some(quoted) = text.strip_prefix('\'').and_then(|t| t.strip_suffix('\'')) {
            return Ok(Operand::Text(quoted.to_owned()));
        }
        if text.is_empty() || !text.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '.' || c == '-') {
            return Err(format!("expected a name, a number or a 'text', found `{text}`"));
        }
        Ok(Operand::Name(text.to_owned()))
    }

    fn value(&self, look_up: &dyn Fn(&str) -> Option<Value>) -> Option<Value> {
        match self {
            Operand::Number(n) => Some(Value::Float(*n)),
            Operand::Text(t) => Some(Value::from(t.as_str())),
            Operand::Name(name) => look_up(name),
            Operand::Product(name, factor) => Some(Value::Float(look_up(name)?.as_float()? * factor)),
            Operand::Difference(a, b) => Some(Value::Float(look_up(a)?.as_float()? - look_up(b)?.as_float()?)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_next_to_each_other_are_two() {
        let (a, b) = (0xffff_ffff_c080_c200u64, 0xffff_ffff_c080_c260u64);
        let look_up = |name: &str| match name {
            "a.lock" => Some(Value::Address(facts::Address(a))),
            "b.lock" => Some(Value::Address(facts::Address(b))),
            "c.lock" => Some(Value::from(a)),
            _ => None,
        };
        for (text, expected) in [("a.lock = b.lock", false), ("a.lock = c.lock", true), ("a.lock = a.lock", true)] {
            assert_eq!(Comparison::parse(text).unwrap().holds(&look_up), expected, "{text}");
        }
        assert_ne!(key(&Value::Address(facts::Address(a))), key(&Value::Address(facts::Address(b))));
        assert_eq!(key(&Value::Float(-0.0)), key(&Value::Int(0)));
        assert_eq!(key(&Value::Float(5.0)), key(&Value::Int(5)));
        assert_ne!(key(&Value::Float(5.5)), key(&Value::Int(5)));
    }

    #[test]
    fn comparisons_hold_over_values_and_never_over_absent_ones() {
        let look_up = |name: &str| match name {
            "a.time" => Some(Value::Float(10.0)),
            "b.time" => Some(Value::Float(15.5)),
            "it.owner" => Some(Value::from("tikv-raft")),
            "tasks" => Some(Value::from(vec!["tikv-apply", "tikv-raft"])),
            _ => None,
        };
        for (text, expected) in [
            ("b.time - a.time <= 60", true),
            ("b.time < a.time", false),
            ("b.time < a.time * 2", true),
            ("it.owner in tasks", true),
            ("a.time != nothing.there", false),
            ("it.owner = 'tikv-raft'", true),
        ] {
            assert_eq!(Comparison::parse(text).unwrap().holds(&look_up), expected, "{text}");
        }
        assert!(Comparison::parse("a.time").is_err());
        assert!(Comparison::parse("a = (b)").is_err());
    }
}
