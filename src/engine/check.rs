//! What is wrong with a set of rules beyond their form: names that stand for nothing.

use std::collections::BTreeMap;

use facts::KindDef;

use super::comparison::Comparison;
use super::condition::{Item, kind_matches};
use super::evaluate::placeholders;
use super::load::Rules;
use super::matcher::OF_EVERY_NAME;
use super::order::GRAVITIES;
use super::rule::{Capture, Caveat, Rule, Tie};
use super::value_test::Test;

/// Everything in the rules that can never hold or say anything: fact kinds and values that no parser makes (`known` lists
/// those that are made), names that are not bound, captures that are not defined, rules and commits that are not there.
/// `others` are rules beside these that they may name. One line each, in the order of the rules.
pub fn problems(rules: &Rules, others: &Rules, known: &[KindDef]) -> Vec<String> {
    let mut out = Vec::new();
    for rule in &rules.rules {
        let mut check = Check { rule, known, names: BTreeMap::new(), found: Vec::new() };
        check.run(&|pattern| {
            let all = rules.rules.iter().chain(&others.rules);
            all.filter(|r| may_be(&r.id, pattern)).collect()
        });
        check.found.sort();
        check.found.dedup();
        out.extend(check.found.into_iter().map(|problem| format!("{}: {problem}", rule.id)));
    }
    out
}

/// Whether a finding of a rule may have a name that a pattern means. Ids of generic rules end in a capture.
fn may_be(id: &str, pattern: &str) -> bool {
    match (id.split_once('{'), pattern.strip_suffix('*')) {
        (None, _) => kind_matches(pattern, id),
        (Some((prefix, _)), None) => pattern.starts_with(prefix),
        (Some((prefix, _)), Some(start)) => start.starts_with(prefix) || prefix.starts_with(start),
    }
}

struct Check<'r> {
    rule: &'r Rule,
    known: &'r [KindDef],
    /// Names that the conditions of its grades bind, with the kinds of fact they may stand for.
    names: BTreeMap<&'r str, Vec<&'r str>>,
    found: Vec<String>,
}

impl<'r> Check<'r> {
    fn run(&mut self, named: &dyn Fn(&str) -> Vec<&'r Rule>) {
        let rule = self.rule;
        for item in rule.grades.values().chain(&rule.when) {
            bind(item, &mut self.names);
        }
        for item in rule.grades.values().chain(&rule.when) {
            self.item(item, &BTreeMap::new());
        }
        let conditions = rule.claims.iter().chain(rule.variants.iter().filter_map(|v| v.when.as_ref()));
        let conditions = conditions.chain(&rule.fixes_unless);
        for item in conditions.chain(rule.caveats.iter().filter_map(Caveat::when)) {
            self.item(item, &bound_in(item));
        }
        for def in &rule.suspects {
            let own = bound_in(&def.when);
            self.item(&def.when, &own);
            for path in placeholders(&def.why).into_iter().chain([def.module.as_str()]) {
                if !rule.captures.contains_key(path) {
                    self.path(path, &own);
                }
            }
        }
        for def in &rule.ruled_out {
            let own = bound_in(&def.when);
            self.item(&def.when, &own);
            for path in placeholders(&def.why) {
                self.path(path, &own);
            }
        }
        for capture in rule.captures.values() {
            self.capture(capture);
        }
        for tie in rule.explains.iter().chain(&rule.conditions) {
            self.tie(tie, named);
        }
        for name in &rule.supersedes {
            if named(name).is_empty() {
                self.found.push(format!("there is no rule `{name}`"));
            }
        }
        self.texts();
        self.words();
    }

    /// A condition: kinds, values, and what its joins compare. `own`: names bound beside those of the grades.
    fn item(&mut self, item: &'r Item, own: &BTreeMap<&'r str, Vec<&'r str>>) {
        let mut all = Vec::new();
        item.walk(&mut |item| all.push(item));
        for item in all {
            if let Some(kind) = item.fact.as_deref() {
                if !self.known.iter().any(|k| kind_matches(kind, k.kind)) {
                    self.found.push(format!("no parser makes `{kind}`"));
                }
                for name in item.tests.keys().chain(&item.same) {
                    self.value(kind, name);
                }
            }
            for (name, test) in &item.tests {
                if let Err(message) = test.check() {
                    self.found.push(format!("value `{name}`: {message}"));
                }
            }
            for (name, test) in [("count", &item.count), ("span", &item.span)] {
                if !matches!(test, None | Some(Test::Order(..) | Test::Number(_))) {
                    self.found.push(format!("`{name}` takes a number or `>=N`"));
                }
            }
            self.joins(&item.join, own);
        }
    }

    fn joins(&mut self, joins: &'r [Comparison], own: &BTreeMap<&'r str, Vec<&'r str>>) {
        for name in joins.iter().flat_map(Comparison::names) {
            self.path(name, own);
        }
    }

    /// `name.value`: a bound name and a value that its facts may have.
    fn path(&mut self, path: &str, own: &BTreeMap<&'r str, Vec<&'r str>>) {
        let Some((name, value)) = path.split_once('.') else {
            self.found.push(format!("expected NAME.VALUE, found `{path}`"));
            return;
        };
        let kinds: Vec<&str> = [own.get(name), self.names.get(name)].into_iter().flatten().flatten().copied().collect();
        if kinds.is_empty() {
            self.found.push(format!("`{path}`: nothing is bound to `{name}`"));
        } else if !OF_EVERY_NAME.contains(&value) && !kinds.iter().any(|kind| self.has_value(kind, value)) {
            self.found.push(format!("`{path}`: `{}` has no value `{value}`", kinds.join("`, `")));
        }
    }

    fn value(&mut self, kind: &str, name: &str) {
        if !self.has_value(kind, name) {
            self.found.push(format!("`{kind}` has no value `{name}`"));
        }
    }

    fn has_value(&self, kind: &str, name: &str) -> bool {
        let head = name.split('.').next().unwrap_or(name);
        // `log.*` in the table stands for what every event may carry.
        let mut matching = self.known.iter().filter(|k| kind_matches(kind, k.kind) || kind_matches(k.kind, kind));
        matches!(head, "fact" | "quote") || matching.any(|k| k.fields.iter().any(|f| f.name == head))
    }

    fn capture(&mut self, capture: &'r Capture) {
        let none = BTreeMap::new();
        match capture {
            Capture::One(path) => self.path(path, &none),
            Capture::First(paths) => paths.iter().for_each(|path| self.path(path, &none)),
            Capture::Spec(spec) => {
                if let Some(path) = &spec.all {
                    self.path(path, &none);
                }
                match &spec.count {
                    Some(name) if !self.names.contains_key(name.as_str()) => {
                        self.found.push(format!("`count: {name}`: nothing is bound to `{name}`"));
                    }
                    _ => {}
                }
            }
        }
    }

    fn tie(&mut self, tie: &'r Tie, named: &dyn Fn(&str) -> Vec<&'r Rule>) {
        let pattern = match tie {
            Tie::Rule(pattern) => pattern,
            Tie::When(when) => &when.finding,
        };
        let others = named(pattern);
        if others.is_empty() {
            self.found.push(format!("there is no rule `{pattern}`"));
        }
        let Tie::When(when) = tie else { return };
        if let Some(item) = &when.with {
            let mut own = bound_in(item);
            own.entry("it").or_default().push(item.fact.as_deref().unwrap_or("*"));
            self.item(item, &own);
        }
        for name in when.join.iter().flat_map(Comparison::names) {
            let defined = match name.strip_prefix("it.") {
                Some(capture) => others.is_empty() || others.iter().any(|other| other.captures.contains_key(capture)),
                None => self.rule.captures.contains_key(name),
            };
            if !defined {
                self.found.push(format!("a tie to `{pattern}` compares `{name}`, which is no capture"));
            }
        }
    }

    /// Texts with `{captures}`.
    fn texts(&mut self) {
        let rule = self.rule;
        let mut texts: Vec<&str> = vec![&rule.id, &rule.title, &rule.class];
        texts.extend(rule.titles.values().map(String::as_str));
        texts.extend(rule.remedies.iter().flat_map(|r| [r.action.as_str(), r.verify.as_str()]));
        texts.extend(rule.caveats.iter().map(Caveat::says));
        texts.extend(rule.variants.iter().filter_map(|v| v.says.as_deref()));
        texts.extend(rule.next.iter().flat_map(|n| [n.datum.as_str(), n.command.as_str()]));
        let names = rule.per.iter().map(String::as_str).chain(texts.into_iter().flat_map(placeholders));
        for name in names {
            if !rule.captures.contains_key(name) {
                self.found.push(format!("`{name}` is no capture"));
            }
        }
    }

    /// Severities, sources and commits.
    fn words(&mut self) {
        let rule = self.rule;
        match &rule.gravity {
            Some(word) if !GRAVITIES.contains(&word.as_str()) => {
                self.found.push(format!("`gravity` is one of {}, not `{word}`", GRAVITIES.join(", ")));
            }
            _ => {}
        }
        for next in &rule.next {
            let part = format!("{}.", next.needs);
            if !self.known.iter().any(|k| k.kind == next.needs || k.kind.starts_with(&part)) {
                self.found.push(format!("`needs: {}` is no source of facts", next.needs));
            }
        }
        let variants = rule.variants.iter().flat_map(|v| &v.fixes);
        let shas = rule.fixes.iter().chain(variants).chain(rule.ruled_out.iter().filter_map(|r| r.sha.as_ref()));
        for sha in shas {
            if crate::fixes::subject(sha).is_none() {
                self.found.push(format!("commit {sha} is not in data/curated.yaml: its status would stay unknown"));
            }
        }
    }
}

/// Adds the names that a condition binds.
fn bind<'r>(item: &'r Item, names: &mut BTreeMap<&'r str, Vec<&'r str>>) {
    item.walk(&mut |item| {
        if let (Some(name), Some(kind)) = (item.name.as_deref(), item.fact.as_deref()) {
            names.entry(name).or_default().push(kind);
        }
    });
}

fn bound_in(item: &Item) -> BTreeMap<&str, Vec<&str>> {
    let mut names = BTreeMap::new();
    bind(item, &mut names);
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_rule_names_and_nothing_makes_is_told() {
        let text = "
id: x
title: 'about {nope} and {dev}'
class: c
gravity: dreadful
captures: {dev: leak.nosuch, who: other.comm, n: {count: nobody}}
grades:
  consistent:
    all:
      - {as: leak, fact: mem.net_device, where: {nosuch: 1}, join: ['leak.at = gone.name'], count: lots}
      - {fact: log.nosuch_event}
explains: [no-such-rule, {finding: z-rule, join: ['it.dev = dev', 'it.none = none']}]
supersedes: [nope-rule]
fixes: [zzzz]
next: [{needs: memm, datum: d, command: c}]
";
        let mut rules = Rules::default();
        rules.add("x", text).unwrap();
        let mut others = Rules::default();
        others
            .add("z", "id: z-rule\ntitle: t\nclass: c\ncaptures: {dev: a.device}\nwhen: {as: a, fact: mem.net_device}")
            .unwrap();
        let found = problems(&rules, &others, &crate::kinds::all());
        let expected = [
            "`count: nobody`: nothing is bound to `nobody`",
            "`count` takes a number or `>=N`",
            "`gone.name`: nothing is bound to `gone`",
            "`gravity` is one of notice, failure, report, panic, not `dreadful`",
            "`leak.nosuch`: `mem.net_device` has no value `nosuch`",
            "`mem.net_device` has no value `nosuch`",
            "`needs: memm` is no source of facts",
            "`nope` is no capture",
            "`other.comm`: nothing is bound to `other`",
            "a tie to `z-rule` compares `it.none`, which is no capture",
            "a tie to `z-rule` compares `none`, which is no capture",
            "commit zzzz is not in data/curated.yaml: its status would stay unknown",
            "no parser makes `log.nosuch_event`",
            "there is no rule `no-such-rule`",
            "there is no rule `nope-rule`",
        ];
        assert_eq!(found, expected.map(|problem| format!("x: {problem}")));
        assert!(problems(&others, &rules, &crate::kinds::all()).is_empty());
    }

    #[test]
    fn a_generic_rule_answers_for_the_names_it_can_make() {
        assert!(may_be("generic-{class}", "generic-*"));
        assert!(may_be("generic-{class}", "generic-oom"));
        assert!(!may_be("generic-{class}", "lock-cycle"));
        assert!(may_be("lock-cycle", "lock-*"));
    }
}
