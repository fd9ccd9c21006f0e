//! From a Linux crash dump, log or support bundle to its root cause and the commit that fixes it, offline and
//! without debuginfo.
//!
//! The way of the data: parsers turn bytes into facts, facts of one machine and boot make a [`case::Case`],
//! [`engine`] matches rules to facts, and the [`verdict::Verdict`] is what every report prints.
#![forbid(unsafe_code)]

pub mod case;
pub mod cli;
pub mod compare;
pub mod derive;
pub mod engine;
pub mod examine;
pub mod extract;
pub mod fixes;
pub mod kinds;
pub mod look;
pub mod report;
pub mod trace;
pub mod verdict;
