//! One typed observation.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{Origin, Stack, Stamp, Value};

/// One typed observation with its origin.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fact {
    /// Dotted name: `log.unregister_netdevice`, `mem.net_device`, `cgroup.kmem`.
    pub kind: Cow<'static, str>,
    /// Named values; the names and types stand in the parser's table of kinds.
    pub values: BTreeMap<Cow<'static, str>, Value>,
    /// Call stacks that belong to it, the most telling first.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub stacks: Vec<Arc<Stack>>,
    /// Where it comes from.
    pub origin: Origin,
    /// When, as far as known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub time: Option<Stamp>,
    /// The text lines or a sentence that a person would quote as evidence; one line.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub quote: String,
    /// Commands of crash and drgn that show the same, for facts from memory.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub recheck: Vec<String>,
}

impl Fact {
    /// A fact without values yet.
    pub fn new(kind: impl Into<Cow<'static, str>>, origin: Origin) -> Self {
        Fact {
            kind: kind.into(),
            values: BTreeMap::new(),
            stacks: Vec::new(),
            origin,
            time: None,
            quote: String::new(),
            recheck: Vec::new(),
        }
    }

    /// Adds a value.
    #[must_use]
    pub fn with(mut self, name: impl Into<Cow<'static, str>>, value: impl Into<Value>) -> Self {
        self.set(name, value);
        self
    }

    /// Adds a value if there is one.
    #[must_use]
    pub fn with_opt<V: Into<Value>>(mut self, name: impl Into<Cow<'static, str>>, value: Option<V>) -> Self {
        if let Some(value) = value {
            self.set(name, value);
        }
        self
    }

    /// Adds the sentence to quote as evidence.
    #[must_use]
    pub fn quoting(mut self, quote: impl Into<String>) -> Self {
        self.quote = quote.into();
        self
    }

    /// Adds a command that shows the same.
    #[must_use]
    pub fn recheck(mut self, command: impl Into<String>) -> Self {
        self.recheck.push(command.into());
        self
    }

    /// Sets a value.
    pub fn set(&mut self, name: impl Into<Cow<'static, str>>, value: impl Into<Value>) {
        self.values.insert(name.into(), value.into());
    }

    /// The value of that name.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.values.get(name)
    }

    /// The text value of that name.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name)?.as_text()
    }

    /// The whole number of that name.
    pub fn int(&self, name: &str) -> Option<i64> {
        self.get(name)?.as_int()
    }
}
