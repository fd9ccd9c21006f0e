//! Ties findings to one another, and puts them in causal order.

use facts::Value;

use super::condition::kind_matches;
use super::evaluate::Draft;
use super::expression::Comparison;
use super::matcher::{Binding, Matcher};
use super::rule::Tie;
use crate::verdict::Role;

/// Sets who explains whom. A finding explained by another is its consequence; one that made another possible is a
/// condition. Ties never form a circle: the first one found stands.
pub(super) fn tie(drafts: &mut [Draft], matcher: &Matcher) {
    let mut explained: Vec<(usize, usize)> = Vec::new();
    let mut conditions: Vec<usize> = Vec::new();
    for (at, draft) in drafts.iter().enumerate() {
        for (other_at, other) in drafts.iter().enumerate().filter(|(o, _)| *o != at) {
            if other.role == Role::Information {
                continue;
            }
            if draft.rule.explains.iter().any(|tie| holds(tie, draft, other, matcher)) {
                explained.push((at, other_at));
            }
            if draft.rule.conditions.iter().any(|tie| holds(tie, draft, other, matcher)) {
                conditions.push(other_at);
            }
        }
    }
    for at in conditions {
        if let Some(draft) = drafts.get_mut(at) {
            draft.role = Role::Condition;
        }
    }
    for (by, at) in explained {
        if reaches(drafts, by, at) {
            continue;
        }
        // The nearest explanation is the one that is itself explained.
        let nearer = match drafts.get(at).and_then(|d| d.explained_by) {
            None => true,
            Some(old) => drafts.get(by).is_some_and(|d| d.explained_by.is_some()) && reaches(drafts, by, old),
        };
        if let (true, Some(draft)) = (nearer, drafts.get_mut(at)) {
            draft.explained_by = Some(by);
            draft.role = Role::Consequence;
        }
    }
}

/// Whether following explanations from `from` leads to `to`.
fn reaches(drafts: &[Draft], from: usize, to: usize) -> bool {
    let mut at = Some(from);
    for _ in 0..=drafts.len() {
        match at {
            Some(here) if here == to => return true,
            Some(here) => at = drafts.get(here).and_then(|d| d.explained_by),
            None => return false,
        }
    }
    true
}

fn holds(tie: &Tie, draft: &Draft, other: &Draft, matcher: &Matcher) -> bool {
    let when = match tie {
        Tie::Rule(pattern) => return kind_matches(pattern, &other.id()),
        Tie::When(when) => when,
    };
    if !kind_matches(&when.finding, &other.id()) || when.from.is_some_and(|g| draft.grade < Some(g)) {
        return false;
    }
    let with = when.with.as_ref().is_none_or(|item| {
        other.facts.iter().filter_map(|at| matcher.fact(*at)).any(|fact| item.passes(fact))
            && (item.join.is_empty()
                || draft.ways.iter().take(64).any(|way| {
                    other.facts.iter().any(|at| {
                        let mut both: Binding = way.clone();
                        both.insert("it".to_owned(), vec![*at]);
                        matcher.fact(*at).is_some_and(|f| item.passes(f))
                            && item.join.iter().all(|text| {
                                Comparison::parse(text)
                                    .is_ok_and(|c| c.holds(&|name: &str| matcher.look_up(&both, name)))
                            })
                    })
                }))
    });
    with && when.join.iter().all(|text| {
        Comparison::parse(text).is_ok_and(|c| {
            c.holds(&|name: &str| -> Option<Value> {
                match name.strip_prefix("it.") {
                    Some(capture) => other.captures.get(capture).cloned(),
                    None => draft.captures.get(name).cloned(),
                }
            })
        })
    })
}

/// Indexes of the drafts in causal order: causes before what they explain, higher grades first, rules before generic
/// findings, graver reports first, then the order of the evidence; conditions after, information last.
pub(super) fn causal(drafts: &[Draft], matcher: &Matcher) -> Vec<usize> {
    let gravity = |draft: &Draft| {
        let facts = draft.facts.iter().filter_map(|at| matcher.fact(*at));
        let rank = |severity: &str| ["notice", "failure", "report", "panic"].iter().position(|s| *s == severity);
        match &draft.rule.gravity {
            Some(word) => rank(word),
            None => facts.filter_map(|f| rank(f.text("severity")?)).max(),
        }
    };
    let depth = |mut at: usize| {
        let mut depth = 0usize;
        while let Some(by) = drafts.get(at).and_then(|d| d.explained_by) {
            depth += 1;
            at = by;
            if depth > drafts.len() {
                break;
            }
        }
        depth
    };
    let mut order: Vec<usize> = (0..drafts.len()).collect();
    order.sort_by_key(|at| {
        let draft = drafts.get(*at);
        (
            draft.map(|d| d.role),
            depth(*at),
            std::cmp::Reverse(draft.and_then(|d| d.grade)),
            draft.is_some_and(|d| d.rule.unclaimed),
            std::cmp::Reverse(draft.and_then(gravity)),
            draft.and_then(|d| d.facts.first().copied()),
            draft.map(Draft::id),
        )
    });
    order
}
