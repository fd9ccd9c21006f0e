//! Matches rules to facts. Knows no bug, no subsystem and no kernel symbol: those stand in `rules/`.
//!
//! A rule gives conditions over facts, one for each grade it can reach. [`evaluate`] finds the facts that satisfy
//! them, makes one finding for each distinct subject, ties findings by `explains`, and puts causes first. It is
//! deterministic and bounded, and reads no memory.

mod check;
mod comparison;
mod condition;
mod evaluate;
mod load;
mod matcher;
mod order;
mod rule;
mod value_test;

pub use check::problems;
pub use evaluate::{Outcome, evaluate};
pub use load::{LoadError, Rules};
pub use rule::Rule;
