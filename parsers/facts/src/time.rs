//! When a fact was observed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Fact;

/// Nanoseconds from the first to the last of some facts, the longest by any clock: that of the boot is one, and each source
/// may have a wall clock of its own. `None` when none of them has a time.
pub fn span<'a>(facts: impl Iterator<Item = &'a Fact>) -> Option<i64> {
    let mut clocks: BTreeMap<Option<&str>, (i64, i64)> = BTreeMap::new();
    for fact in facts {
        let Some(time) = fact.time else { continue };
        let wall = time.wall_ns.map(|ns| (Some(fact.origin.member.as_str()), ns));
        for (clock, ns) in time.since_boot_ns.map(|ns| (None, ns)).into_iter().chain(wall) {
            let (first, last) = clocks.entry(clock).or_insert((ns, ns));
            (*first, *last) = (ns.min(*first), ns.max(*last));
        }
    }
    clocks.values().map(|(first, last)| last.saturating_sub(*first)).max()
}

/// Time stamps as the source gave them. Either may be absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// Nanoseconds since boot (printk's clock).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub since_boot_ns: Option<i64>,
    /// Nanoseconds since 1970-01-01T00:00:00Z. A stamp printed without a zone is read as UTC, one without a year
    /// as of 1970; `wall_exact` is false then.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub wall_ns: Option<i64>,
    /// The wall clock had its year and its zone.
    #[serde(default)]
    pub wall_exact: bool,
}

impl Stamp {
    /// A stamp of printk's clock.
    pub fn since_boot(ns: i64) -> Self {
        Stamp { since_boot_ns: Some(ns), ..Stamp::default() }
    }

    /// Nanoseconds from `earlier` to `self`, on the clock both have; boot time is preferred.
    pub fn since(&self, earlier: &Stamp) -> Option<i64> {
        match (self.since_boot_ns, earlier.since_boot_ns) {
            (Some(b), Some(a)) => b.checked_sub(a),
            _ => self.wall_ns?.checked_sub(earlier.wall_ns?),
        }
    }
}
