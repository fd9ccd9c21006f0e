//! Upstream version numbers: A.B.C with an optional release candidate.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An upstream version. Ordered as released: `6.14-rc3` comes before `6.14`, `6.14.9` before `6.14.10`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Version {
    /// VERSION.
    pub a: u32,
    /// PATCHLEVEL.
    pub b: u32,
    /// SUBLEVEL; 0 when not written.
    pub c: u32,
    /// `N` of `-rcN`.
    pub rc: Option<u32>,
}

impl Version {
    /// A.B.C without a release candidate.
    pub const fn new(a: u32, b: u32, c: u32) -> Self {
        Version { a, b, c, rc: None }
    }

    /// The branch A.B this version belongs to.
    pub const fn branch(self) -> (u32, u32) {
        (self.a, self.b)
    }

    /// Reads `A.B`, `A.B.C`, each with an optional `-rcN`; nothing may follow.
    pub fn parse(text: &str) -> Option<Self> {
        let (numbers, rc) = match text.split_once("-rc") {
            Some((numbers, rc)) => (numbers, Some(rc.parse().ok()?)),
            None => (text, None),
        };
        let mut fields = numbers.split('.').map(|f| f.parse::<u32>().ok());
        let version = Version { a: fields.next()??, b: fields.next()??, c: fields.next().unwrap_or(Some(0))?, rc };
        fields.next().is_none().then_some(version)
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        let key = |v: &Version| (v.a, v.b, v.c, v.rc.unwrap_or(u32::MAX));
        key(self).cmp(&key(other))
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.a, self.b)?;
        if self.c != 0 {
            write!(f, ".{}", self.c)?;
        }
        if let Some(rc) = self.rc {
            write!(f, "-rc{rc}")?;
        }
        Ok(())
    }
}

impl Serialize for Version {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Version {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        Version::parse(&text).ok_or_else(|| {
            serde::de::Error::custom(format!(
                "expected a version such as \"5.4\", \"5.4.302\" or \"4.11-rc3\", found {text:?}"
            ))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_order_by_number_and_candidates_come_first() {
        let order = ["4.9", "4.9.110", "4.10", "6.14-rc3", "6.14-rc10", "6.14", "6.14.1", "7.0"];
        let parsed: Vec<_> = order.iter().map(|t| Version::parse(t).unwrap()).collect();
        assert!(parsed.windows(2).all(|w| w[0] < w[1]), "{parsed:?}");
    }

    #[test]
    fn text_that_is_no_version_is_refused() {
        for text in ["", "5", "5.", "5.4.1.2", "5.4-rc", "v5.4", "99999999999.1"] {
            assert_eq!(Version::parse(text), None, "{text}");
        }
    }
}
