//! Finds the facts that satisfy a condition.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};

use facts::{Fact, Value};

use super::comparison::{Comparison, key};
use super::condition::{Item, field, kind_matches};
use crate::case::Case;

/// Facts by name, for one way in which a condition holds: each name stands for one fact or a group.
pub type Binding = BTreeMap<String, Vec<usize>>;

/// How many ways of satisfying one condition are followed where a part of it multiplies them: one for each fact is
/// always followed.
const MAX_WAYS: usize = 2048;

/// Values that every bound name has beside those of its fact.
pub const OF_EVERY_NAME: [&str; 5] = ["count", "span", "time", "first_time", "at"];

/// Facts by the key of one of their values.
type Index = HashMap<String, Vec<usize>>;

/// Facts of a case, indexed by kind.
pub struct Matcher<'a> {
    case: &'a Case,
    by_kind: BTreeMap<&'a str, Vec<usize>>,
    /// Facts that may not be matched (claimed by other findings).
    hidden: Vec<bool>,
    /// By kind and name of a value, made when a join first asks for them.
    by_value: RefCell<HashMap<(String, String), Index>>,
    /// Whether ways were left out.
    cut: Cell<bool>,
}

impl<'a> Matcher<'a> {
    /// Indexes the facts of a case.
    pub fn new(case: &'a Case) -> Self {
        let mut by_kind: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (at, fact) in case.facts.iter().enumerate() {
            by_kind.entry(fact.kind.as_ref()).or_default().push(at);
        }
        Self::hiding(case, by_kind, vec![false; case.facts.len()])
    }

    /// The same facts without some of them.
    pub fn without(&self, hidden: Vec<bool>) -> Matcher<'a> {
        Self::hiding(self.case, self.by_kind.clone(), hidden)
    }

    fn hiding(case: &'a Case, by_kind: BTreeMap<&'a str, Vec<usize>>, hidden: Vec<bool>) -> Self {
        Matcher { case, by_kind, hidden, by_value: RefCell::default(), cut: Cell::new(false) }
    }

    /// Whether ways were left out since this was last asked.
    pub fn take_cut(&self) -> bool {
        self.cut.take()
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

    /// Facts of a kind pattern whose value of a name equals another, in order.
    fn with_value(&self, pattern: &str, name: &str, value: &Value) -> Vec<usize> {
        let mut indexes = self.by_value.borrow_mut();
        let index = indexes.entry((pattern.to_owned(), name.to_owned())).or_insert_with(|| {
            let mut index = Index::new();
            for at in self.of_kind(pattern) {
                if let Some(value) = self.fact(at).and_then(|fact| field(fact, name)) {
                    index.entry(key(&value)).or_default().push(at);
                }
            }
            index
        });
        index.get(&key(value)).cloned().unwrap_or_default()
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
            ways = self.each(ways, |way| self.solve(part, &way));
        }
        if !item.any.is_empty() {
            ways = self.each(ways, |way| item.any.iter().flat_map(|part| self.solve(part, &way)).collect());
        }
        ways.retain(|way| item.none.iter().all(|part| self.absent(part, way)));
        ways.retain(|way| item.unless.iter().all(|part| self.solve(part, way).is_empty()));
        if item.fact.is_none() {
            ways.retain(|way| self.hold(&item.join, way));
        }
        for part in &item.optional {
            ways = self.each(ways, |way| {
                let more = self.solve(part, &way);
                if more.is_empty() { vec![way] } else { more }
            });
        }
        ways
    }

    /// What becomes of each way, in order, as far as the limit allows.
    fn each(&self, ways: Vec<Binding>, next: impl Fn(Binding) -> Vec<Binding>) -> Vec<Binding> {
        // From one way there is one for each fact.
        let most = if ways.len() > 1 { ways.len().max(MAX_WAYS) } else { usize::MAX };
        let mut all = Vec::with_capacity(ways.len());
        for way in ways {
            all.extend(next(way));
            if all.len() > most {
                all.truncate(most);
                self.cut.set(true);
                break;
            }
        }
        all
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
        let known = |path: &str| self.look_up(start, path);
        // `event.at = sign.event` names one fact, `blamed.event = event.at` few: no need to try all.
        let mut equals = item.join.iter().filter_map(|join| join.equals(&name, &known));
        let candidates = match equals.next() {
            Some(("at", place)) => {
                let place = place.as_int().and_then(|at| usize::try_from(at).ok());
                place.into_iter().filter(|at| self.is_open(*at, kind)).collect()
            }
            Some((value, equal)) if !item.grouped() && !OF_EVERY_NAME.contains(&value) => {
                self.with_value(kind, value, &equal)
            }
            _ => self.of_kind(kind),
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
            if self.hold(&item.join, &way) {
                ways.push(way);
            }
        }
        ways
    }

    fn groups(&self, item: &Item, passing: &[usize]) -> Vec<Vec<usize>> {
        let mut places: HashMap<Vec<Option<String>>, usize> = HashMap::new();
        let mut groups: Vec<Vec<usize>> = Vec::new();
        for at in passing {
            let Some(fact) = self.fact(*at) else { continue };
            let keys = item.same.iter().map(|name| field(fact, name).as_ref().map(key)).collect();
            let place = *places.entry(keys).or_insert(groups.len());
            match groups.get_mut(place) {
                Some(group) => group.push(*at),
                None => groups.push(vec![*at]),
            }
        }
        groups
            .into_iter()
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
        let ns = facts::span(group.iter().filter_map(|at| self.fact(*at)))?;
        Some(Value::Float(ns as f64 / 1e9))
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
