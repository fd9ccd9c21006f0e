//! What could not be read or decided.

use serde::{Deserialize, Serialize};

/// Something that could not be read or decided. Every field is words for a person.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Gap {
    /// What is missing: "kernel log", "task list", "pages 0x10a0 and up".
    pub what: String,
    /// Where: member, address, file offset.
    #[serde(rename = "where")]
    pub place: String,
    /// Why it is missing.
    pub why: String,
    /// What would close the gap; empty when nothing can.
    pub closes: String,
}

impl Gap {
    /// A gap: what, where, why, and what would close it.
    pub fn new(
        what: impl Into<String>,
        place: impl Into<String>,
        why: impl Into<String>,
        closes: impl Into<String>,
    ) -> Self {
        Gap { what: what.into(), place: place.into(), why: why.into(), closes: closes.into() }
    }
}
