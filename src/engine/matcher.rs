//! Finds the facts that satisfy a condition.

use std::collections::BTreeMap;

use facts::{Fact, Stamp, Value};

use super::condition::{Item, field, kind_matches};
use super::expression::Comparison;
use crate::case::Case;

/// Facts by name, for one way in which a condition holds: each name stands for one fact or a group.
pub type Binding = BTreeMap<String, Vec<usize>>;

/// How many ways of satisfying one condition are followed. A rule that needs more is badly written; the rest is
/// dropped, which can only lose repeated evidence of the same kind.
const MAX_BINDINGS: usize = 2048;

/// Facts of a case, indexed by kind.
pub struct Matcher<'a> {
    case: &'a Case,
    by_kind: BTreeMap<&'a str, Vec<usize>>,
    /// Facts that may not be matched (claimed by other findings).
    hidden: Vec<bool>,
}

impl<'a> Matcher<'a> {
    /// Indexes the facts of a case.
    pub fn new(case: &'a Case) -> Self {
        let mut by_kind: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (at, fact) in case.facts.iter().enumerate() {
            by_kind.entry(fact.kind.as_ref()).or_default().push(at);
        }
        Matcher { case, by_kind, hidden: vec![false; case.facts.len()] }
    }

    /// The same facts without some of them.
    pub fn without(&self, hidden: Vec<bool>) -> Matcher<'a> {
        Matcher { case: self.case, by_kind: self.by_kind.clone(), hidden }
    }

    /// The fact of an index.
    pub fn fact(&self, at: usize) -> Option<&'a Fact> {
        self.case.facts.get(at)
    }

    /// Whether any fact of such a kind is there.
    pub fn has_kind(&self, pattern: &str) -> bool {
        self.by_kind.keys().any(|kind| kind_matches(pattern, kind))
    }

    /// Whether the fact of an index is of a kind pattern and not hidden.
    fn is_open(&self, at: usize, pattern: &str) -> bool {
        !self.hidden.get(at).copied().unwrap_or(false)
            && self.fact(at).is_some_and(|fact| kind_matches(pattern, &fact.kind))
    }

    /// All facts of a kind pattern, in order.
    fn of_kind(&self, pattern: &str) -> Vec<usize> {
        let mut found: Vec<usize> = if pattern.ends_with('*') {
            self.by_kind.iter().filter(|(kind, _)| kind_matches(pattern, kind)).flat_map(|(_, v)| v.clone()).collect()
        } else {
            self.by_kind.get(pattern).cloned().unwrap_or_default()
        };
        found.retain(|at| !self.hidden.get(*at).copied().unwrap_or(false));
        found.sort_unstable();
        found
    }

    /// All ways in which a condition holds, starting from names bound already.
    pub fn solve(&self, item: &Item, start: &Binding) -> Vec<Binding> {
        let mut ways = match &item.fact {
            Some(kind) => self.find(item, kind, start),
            None => vec![start.clone()],
        };
        for part in &item.all {
            let mut next = Vec::new();
            for way in &ways {
                next.extend(self.solve(part, way));
                if next.len() >= MAX_BINDINGS {
                    next.truncate(MAX_BINDINGS);
                    break;
                }
            }
            ways = next;
        }
        if !item.any.is_empty() {
            let mut next = Vec::new();
            for way in &ways {
                for part in &item.any {
                    next.extend(self.solve(part, way));
                }
                if next.len() >= MAX_BINDINGS {
                    next.truncate(MAX_BINDINGS);
                    break;
                }
            }
            ways = next;
        }
        ways.retain(|way| item.none.iter().all(|part| self.absent(part, way)));
        ways.retain(|way| item.unless.iter().all(|part| self.solve(part, way).is_empty()));
        if item.fact.is_none() {
            match item.joins() {
                Some(joins) => ways.retain(|way| self.hold(&joins, way)),
                None => ways.clear(),
            }
        }
        for part in &item.optional {
            let mut next = Vec::new();
            for way in ways {
                let mut more = self.solve(part, &way);
                if more.is_empty() {
                    next.push(way);
                } else {
                    next.append(&mut more);
                }
                if next.len() >= MAX_BINDINGS {
                    next.truncate(MAX_BINDINGS);
                    break;
                }
            }
            ways = next;
        }
        ways
    }

    /// Whether nothing satisfies a condition although its sources were read.
    fn absent(&self, item: &Item, way: &Binding) -> bool {
        let mut kinds = Vec::new();
        item.kinds(&mut kinds);
        kinds.iter().all(|kind| self.case.was_read(kind.trim_end_matches('*').trim_end_matches('.')))
            && self.solve(item, way).is_empty()
    }

    fn find(&self, item: &Item, kind: &str, start: &Binding) -> Vec<Binding> {
        let name = item.name.clone().unwrap_or_default();
        let Some(joins) = item.joins() else { return Vec::new() };
        // `event.at = sign.event` names one fact: no need to try all.
        let place = joins.iter().find_map(|join| join.place(&name, &|path: &str| self.look_up(start, path)));
        let candidates = match place {
            Some(at) if self.is_open(at, kind) => vec![at],
            Some(_) => Vec::new(),
            None => self.of_kind(kind),
        };
        let passing: Vec<usize> =
            candidates.into_iter().filter(|at| self.fact(*at).is_some_and(|f| item.passes(f))).collect();
        let groups: Vec<Vec<usize>> =
            if item.grouped() { self.groups(item, &passing) } else { passing.into_iter().map(|at| vec![at]).collect() };
        let mut ways = Vec::new();
        for group in groups {
            let mut way = start.clone();
            if !name.is_empty() {
                way.insert(name.clone(), group);
            } else {
                // An unnamed fact is evidence too: it is kept under a name no rule can write.
                let key = format!("#{}", way.len());
                way.insert(key, group);
            }
            if self.hold(&joins, &way) {
                ways.push(way);
            }
            if ways.len() >= MAX_BINDINGS {
                break;
            }
        }
        ways
    }

    fn groups(&self, item: &Item, passing: &[usize]) -> Vec<Vec<usize>> {
        let mut by_key: Vec<(Vec<Option<Value>>, Vec<usize>)> = Vec::new();
        for at in passing {
            let Some(fact) = self.fact(*at) else { continue };
            let key: Vec<Option<Value>> = item.same.iter().map(|name| field(fact, name)).collect();
            match by_key.iter_mut().find(|(k, _)| *k == key) {
                Some((_, group)) => group.push(*at),
                None => by_key.push((key, vec![*at])),
            }
        }
        by_key
            .into_iter()
            .map(|(_, group)| group)
            .filter(|group| {
                item.count.as_ref().is_none_or(|test| test.passes(Some(&Value::from(self.count(group)))))
                    && item.span.as_ref().is_none_or(|test| test.passes(self.span(group).as_ref()))
            })
            .collect()
    }

    /// How many observations a group stands for: a fact may stand for several (`repeats`).
    fn count(&self, group: &[usize]) -> u64 {
        group
            .iter()
            .filter_map(|at| self.fact(*at))
            .map(|f| f.int("repeats").and_then(|n| u64::try_from(n).ok()).unwrap_or(1))
            .sum()
    }

    /// Seconds from the first to the last fact of a group.
    fn span(&self, group: &[usize]) -> Option<Value> {
        let stamps: Vec<&Stamp> = group.iter().filter_map(|at| self.fact(*at)?.time.as_ref()).collect();
        let (first, last) = (stamps.first()?, stamps.last()?);
        Some(Value::Float(last.since(first)? as f64 / 1e9))
    }

    fn hold(&self, joins: &[Comparison], way: &Binding) -> bool {
        joins.iter().all(|join| join.holds(&|name: &str| self.look_up(way, name)))
    }

    /// The value of `name.field` in a binding. `count`, `span`, `time` (seconds, of the last), `first_time` and
    /// `at` (place in the case) belong to every bound name.
    pub fn look_up(&self, way: &Binding, path: &str) -> Option<Value> {
        let (name, rest) = path.split_once('.')?;
        let group = way.get(name)?;
        let seconds = |at: usize| -> Option<Value> {
            let stamp = self.fact(at)?.time?;
            let ns = stamp.since_boot_ns.or(stamp.wall_ns)?;
            Some(Value::Float(ns as f64 / 1e9))
        };
        match rest {
            "count" => Some(Value::from(self.count(group))),
            "span" => self.span(group),
            "time" => seconds(*group.last()?),
            "first_time" => seconds(*group.first()?),
            "at" => Some(Value::from(*group.first()?)),
            _ => group.iter().rev().find_map(|at| field(self.fact(*at)?, rest)),
        }
    }
}
