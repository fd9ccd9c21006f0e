//! What members of structures hold, as `struct` shows it.

use facts::Address;
use serde::{Serialize, Serializer};

/// A whole number. In JSON a number up to 2^53, text beyond: many readers lose digits there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Number(pub i128);

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        match i64::try_from(self.0) {
            Ok(n) if n.unsigned_abs() <= 1 << 53 => s.serialize_i64(n),
            _ => s.collect_str(&self.0),
        }
    }
}

/// An `unsigned __int128` beyond what [`Number`] holds, as the vector registers of arm64 have them. Text in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wide(pub u128);

impl Serialize for Wide {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(&self.0)
    }
}

/// What a member holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Value {
    /// A truth value.
    Bool(bool),
    /// A number.
    Number(Number),
    /// A number of 128 bits without sign, the highest of them set.
    Wide(Wide),
    /// A number of an enumeration, with its name.
    Enumerator {
        /// Value.
        number: Number,
        /// Name.
        enumerator: String,
    },
    /// A pointer.
    Pointer {
        /// Where it leads; zero for NULL.
        pointer: Address,
        /// The symbol there.
        #[serde(skip_serializing_if = "Option::is_none")]
        symbol: Option<String>,
        /// The text there, of a `char *`.
        #[serde(skip_serializing_if = "Option::is_none")]
        text: Option<String>,
    },
    /// An array of characters, up to its first NUL.
    Text {
        /// The text.
        text: String,
    },
    /// Elements of an array; equal neighbours as one.
    Array {
        /// Elements with how often they repeat.
        elements: Vec<ElementRow>,
        /// Elements that were not shown.
        #[serde(skip_serializing_if = "is_zero")]
        more: u64,
    },
    /// Members of a structure or union.
    Members {
        /// The members.
        members: Vec<MemberValue>,
    },
    /// A structure below the depth that was asked for.
    Deeper {
        /// Its type.
        deeper: String,
    },
    /// Bytes that cannot be read.
    Absent {
        /// Why.
        absent: String,
    },
}

/// Equal neighbours of an array.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ElementRow {
    /// What they hold.
    pub value: Value,
    /// How many there are.
    pub times: u64,
}

pub(super) fn is_absent(value: &Value) -> bool {
    matches!(value, Value::Absent { .. })
}

fn is_zero(n: &u64) -> bool {
    *n == 0
}

/// A member of a structure inside another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MemberValue {
    /// Name; empty for an anonymous one.
    pub name: String,
    /// What it holds.
    pub value: Value,
}
