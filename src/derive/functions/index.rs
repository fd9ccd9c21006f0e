//! Patterns arranged so that a name is compared with the few that can match it: logs full of crashes ask for the groups
//! of functions hundreds of thousands of times.

use std::collections::HashMap;

use super::{Groups, matches};

/// Bytes of a pattern by which it is found.
const HEAD: usize = 2;

/// Lists of patterns, one for each group.
#[derive(Default)]
pub(super) struct Index {
    exact: HashMap<&'static str, u16>,
    /// Patterns that begin with more than a star, by their first bytes.
    by_head: HashMap<[u8; HEAD], Vec<(&'static str, u16)>>,
    /// The others.
    open: Vec<(&'static str, u16)>,
}

impl Index {
    pub(super) fn of(lists: impl IntoIterator<Item = (&'static [&'static str], Groups)>) -> Index {
        let mut index = Index::default();
        for (patterns, Groups(bit)) in lists {
            for pattern in patterns {
                match pattern.as_bytes().first_chunk::<HEAD>() {
                    _ if !pattern.contains('*') => *index.exact.entry(pattern).or_default() |= bit,
                    Some(head) if !head.contains(&b'*') => index.by_head.entry(*head).or_default().push((pattern, bit)),
                    _ => index.open.push((pattern, bit)),
                }
            }
        }
        index
    }

    /// The groups of which a pattern matches the name.
    pub(super) fn groups(&self, name: &str) -> Groups {
        let headed = name.as_bytes().first_chunk::<HEAD>().and_then(|head| self.by_head.get(head));
        let mut bits = self.exact.get(name).copied().unwrap_or_default();
        for (pattern, bit) in headed.into_iter().flatten().chain(&self.open) {
            if bits & bit == 0 && matches(pattern, name) {
                bits |= bit;
            }
        }
        Groups(bits)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{any, entries, reporting};
    use super::*;

    #[test]
    fn the_index_finds_what_a_search_through_all_patterns_finds() {
        let lists = [(entries::PATTERNS, Groups(1)), (reporting::PATTERNS, Groups(2))];
        let index = Index::of(lists);
        for (patterns, _) in lists {
            // Each pattern with its stars filled, and shortened by a letter at either end.
            let filled = patterns.iter().map(|p| p.replace('*', "x"));
            for name in filled.chain(["".to_owned(), "tcp_ack".to_owned()]) {
                for part in
                    [name.as_str(), name.get(1..).unwrap_or(""), name.get(..name.len().saturating_sub(1)).unwrap_or("")]
                {
                    let found = lists.map(|(patterns, Groups(bit))| if any(patterns, part) { bit } else { 0 });
                    assert_eq!(index.groups(part).0, found[0] | found[1], "{part}");
                }
            }
        }
    }
}
