//! Patterns arranged so that a name is compared with the few that can match it: logs full of crashes ask for the same
//! groups thousands of times.

use std::collections::{BTreeMap, HashSet};

use super::matches;

/// One list of patterns.
pub(super) struct Index {
    exact: HashSet<&'static str>,
    /// Patterns that begin with a letter, by that letter.
    by_first: BTreeMap<u8, Vec<&'static str>>,
    /// Patterns that begin with a star.
    open: Vec<&'static str>,
}

impl Index {
    pub(super) fn of(patterns: &[&'static str]) -> Index {
        let mut index = Index { exact: HashSet::new(), by_first: BTreeMap::new(), open: Vec::new() };
        for pattern in patterns {
            match pattern.bytes().next() {
                _ if !pattern.contains('*') => {
                    index.exact.insert(pattern);
                }
                Some(first) if first != b'*' => index.by_first.entry(first).or_default().push(pattern),
                _ => index.open.push(pattern),
            }
        }
        index
    }

    /// Does one of the patterns match the name?
    pub(super) fn has(&self, name: &str) -> bool {
        let first = name.bytes().next().and_then(|first| self.by_first.get(&first));
        self.exact.contains(name) || first.into_iter().flatten().chain(&self.open).any(|pattern| matches(pattern, name))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{any, entries, reporting};
    use super::*;

    #[test]
    fn the_index_finds_what_a_search_through_all_patterns_finds() {
        for patterns in [entries::PATTERNS, reporting::PATTERNS] {
            let index = Index::of(patterns);
            // Each pattern with its stars filled, and shortened by a letter at either end.
            let filled = patterns.iter().map(|p| p.replace('*', "x"));
            for name in filled.chain(["".to_owned(), "tcp_ack".to_owned()]) {
                for part in
                    [name.as_str(), name.get(1..).unwrap_or(""), name.get(..name.len().saturating_sub(1)).unwrap_or("")]
                {
                    assert_eq!(index.has(part), any(patterns, part), "{part}");
                }
            }
        }
    }
}
