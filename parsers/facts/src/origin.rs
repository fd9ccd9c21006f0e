//! Where a fact comes from.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Address;

/// The place of a fact: a member of the input, and a place inside it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The member, named by its path through all nestings (`a.tar.xz!var/log/messages`), or the dump's file name.
    pub member: String,
    /// Where in it.
    pub place: Place,
}

/// A place inside a member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// The member as a whole.
    Whole,
    /// Lines, counted from 1, both ends included.
    Lines {
        /// First line.
        first: u64,
        /// Last line.
        last: u64,
    },
    /// A structure in the memory of a dump.
    Memory {
        /// Virtual address.
        address: Address,
        /// The kernel's type name, `struct net_device`.
        #[serde(rename = "type")]
        type_name: String,
    },
    /// Concluded from other facts, said in words.
    Derived(String),
}

impl Origin {
    /// A member as a whole.
    pub fn whole(member: impl Into<String>) -> Self {
        Origin { member: member.into(), place: Place::Whole }
    }

    /// Lines of a text member, counted from 1.
    pub fn lines(member: impl Into<String>, first: u64, last: u64) -> Self {
        Origin { member: member.into(), place: Place::Lines { first, last } }
    }

    /// A structure in a dump.
    pub fn memory(member: impl Into<String>, address: u64, type_name: impl Into<String>) -> Self {
        Origin {
            member: member.into(),
            place: Place::Memory { address: Address(address), type_name: type_name.into() },
        }
    }

    /// A conclusion from facts, with the reason in words.
    pub fn derived(member: impl Into<String>, how: impl Into<String>) -> Self {
        Origin { member: member.into(), place: Place::Derived(how.into()) }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.member)?;
        match &self.place {
            Place::Whole => Ok(()),
            Place::Lines { first, last } if first == last => write!(f, ":{first}"),
            Place::Lines { first, last } => write!(f, ":{first}-{last}"),
            Place::Memory { address, type_name } => write!(f, " {type_name} at {:#x}", address.0),
            Place::Derived(how) => write!(f, " ({how})"),
        }
    }
}
