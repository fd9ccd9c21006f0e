//! Ties findings to one another, and puts them in causal order.

use std::collections::{BTreeMap, HashMap};

use facts::{Gap, Value};

use super::condition::kind_matches;
use super::evaluate::Draft;
use super::matcher::{Binding, Matcher};
use super::rule::Tie;
use crate::verdict::Role;

/// Sets who explains whom. A finding explained by another is its consequence; one that made another possible is a
/// condition. Ties never form a circle: the first one found stands.
pub(super) fn tie(drafts: &mut [Draft], matcher: &Matcher) {
    let mut explained: Vec<(usize, usize)> = Vec::new();
    let mut conditions: Vec<usize> = Vec::new();
    let mut by_id: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (at, draft) in drafts.iter().enumerate() {
        by_id.entry(draft.id()).or_default().push(at);
    }
    // What a tie may mean is the same for every finding of its rule.
    let mut meant: HashMap<*const Tie, Vec<usize>> = HashMap::new();
    for (at, draft) in drafts.iter().enumerate() {
        let mut tied = |ties: &[Tie], found: &mut dyn FnMut(usize)| {
            for tie in ties {
                let others =
                    meant.entry(std::ptr::from_ref(tie)).or_insert_with(|| candidates(tie, drafts, &by_id, matcher));
                let others = others.iter().filter(|other| **other != at);
                others
                    .filter(|other| drafts.get(**other).is_some_and(|other| holds(tie, draft, other, matcher)))
                    .for_each(|other| found(*other));
            }
        };
        tied(&draft.rule.explains, &mut |other| explained.push((at, other)));
        tied(&draft.rule.conditions, &mut |other| conditions.push(other));
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

/// Where the kernel panicked, states that the machine lived with and that explain nothing are information: they were there
/// before, and are no cause of it.
pub(super) fn set_apart(drafts: &mut [Draft], matcher: &Matcher) {
    let panic = GRAVITIES.iter().position(|severity| *severity == "panic");
    // A dump that was asked for is no crash.
    let crash =
        |draft: &Draft| !draft.rule.ambient && draft.role != Role::Information && gravity(draft, matcher) >= panic;
    if !drafts.iter().any(crash) {
        return;
    }
    let explains: Vec<usize> = drafts.iter().filter_map(|draft| draft.explained_by).collect();
    for (at, draft) in drafts.iter_mut().enumerate() {
        if draft.rule.ambient && draft.role == Role::Cause && !explains.contains(&at) {
            draft.role = Role::Information;
            draft.grade = None;
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

/// The findings that a tie may mean, whichever finding of its rule asks, in order.
fn candidates(tie: &Tie, drafts: &[Draft], by_id: &BTreeMap<String, Vec<usize>>, matcher: &Matcher) -> Vec<usize> {
    let (pattern, with) = match tie {
        Tie::Rule(pattern) => (pattern, None),
        Tie::When(when) => (&when.finding, when.with.as_ref()),
    };
    let passes = |at: &usize| {
        drafts.get(*at).is_some_and(|draft| {
            draft.role != Role::Information
                && with.is_none_or(|item| {
                    draft.facts.iter().filter_map(|at| matcher.fact(*at)).any(|fact| item.passes(fact))
                })
        })
    };
    let mut found: Vec<usize> = by_id
        .iter()
        .filter(|(id, _)| kind_matches(pattern, id))
        .flat_map(|(_, places)| places.iter().copied().filter(passes))
        .collect();
    found.sort_unstable();
    found
}

/// Whether a finding has a tie to another that the tie may mean.
fn holds(tie: &Tie, draft: &Draft, other: &Draft, matcher: &Matcher) -> bool {
    let Tie::When(when) = tie else { return true };
    if when.from.is_some_and(|g| draft.grade < Some(g)) {
        return false;
    }
    let with = when.with.as_ref().is_none_or(|item| {
        item.join.is_empty()
            || draft.ways.iter().take(64).any(|way| {
                other.facts.iter().any(|at| {
                    let mut both: Binding = way.clone();
                    both.insert("it".to_owned(), vec![*at]);
                    matcher.fact(*at).is_some_and(|f| item.passes(f))
                        && item.join.iter().all(|join| join.holds(&|name: &str| matcher.look_up(&both, name)))
                })
            })
    });
    with && when.join.iter().all(|join| {
        join.holds(&|name: &str| -> Option<Value> {
            match name.strip_prefix("it.") {
                Some(capture) => other.captures.get(capture).cloned(),
                None => draft.captures.get(name).cloned(),
            }
        })
    })
}

/// Severities from the least to the gravest.
pub(super) const GRAVITIES: [&str; 4] = ["notice", "failure", "report", "panic"];

/// How grave a finding is: what its rule says, else the gravest of its facts.
fn gravity(draft: &Draft, matcher: &Matcher) -> Option<usize> {
    let rank = |severity: &str| GRAVITIES.iter().position(|s| *s == severity);
    match &draft.rule.gravity {
        Some(word) => rank(word),
        None => {
            let facts = draft.facts.iter().filter_map(|at| matcher.fact(*at));
            facts.filter_map(|f| rank(f.text("severity")?)).max()
        }
    }
}

/// How many findings of one rule are told.
const MAX_FINDINGS: usize = 256;

/// Leaves out what one rule says too often: the findings of the highest grade stay, of those the gravest, of those the
/// first. A gap tells how many there were.
pub(super) fn thin_out(drafts: &mut Vec<Draft>, matcher: &Matcher) -> Vec<Gap> {
    let mut of_rule: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (at, draft) in drafts.iter().enumerate() {
        of_rule.entry(&draft.rule.id).or_default().push(at);
    }
    let mut dropped = vec![false; drafts.len()];
    let mut gaps = Vec::new();
    for (rule, mut places) in of_rule {
        if places.len() <= MAX_FINDINGS {
            continue;
        }
        places.sort_by_cached_key(|at| {
            let draft = drafts.get(*at);
            std::cmp::Reverse((
                draft.and_then(|d| d.grade),
                draft.and_then(|d| gravity(d, matcher)),
                std::cmp::Reverse(*at),
            ))
        });
        gaps.push(Gap::new(
            format!("findings of {rule}"),
            "the case",
            format!("{MAX_FINDINGS} of {} are told, the gravest first", places.len()),
            "vmcoroner log --events lists every event of a log",
        ));
        for at in places.into_iter().skip(MAX_FINDINGS) {
            if let Some(flag) = dropped.get_mut(at) {
                *flag = true;
            }
        }
    }
    let mut flags = dropped.into_iter();
    drafts.retain(|_| !flags.next().unwrap_or(false));
    gaps
}

/// Indexes of the drafts in causal order: causes before what they explain, higher grades first, rules before generic
/// findings, graver reports first, then the order of the evidence; conditions after, information last.
pub(super) fn causal(drafts: &[Draft], matcher: &Matcher) -> Vec<usize> {
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
    order.sort_by_cached_key(|at| {
        let draft = drafts.get(*at);
        (
            draft.map(|d| d.role),
            depth(*at),
            std::cmp::Reverse(draft.and_then(|d| d.grade)),
            draft.is_some_and(|d| d.rule.unclaimed),
            std::cmp::Reverse(draft.and_then(|d| gravity(d, matcher))),
            draft.and_then(|d| d.facts.first().copied()),
            draft.map(Draft::id),
        )
    });
    order
}
