//! Turns matches into findings.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use facts::{Gap, Value};

use super::comparison::key;
use super::condition::Item;
use super::load::Rules;
use super::matcher::{Binding, Matcher};
use super::order;
use super::rule::{Capture, CaptureSpec, Rule};
use crate::case::Case;
use crate::verdict::{Evidence, Finding, Fix, Grade, Next, NotEvaluated, Remedy, Role, RuledOut, Suspect};

/// How many facts one finding cites; the rest repeats them.
const MAX_EVIDENCE: usize = 12;
/// Pieces of one kind that are shown where there are more than all that fit: a hundred killed tasks leave no room for the
/// panic that ended it.
const MAX_OF_KIND: usize = 4;

/// What the rules say of a case.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Findings in causal order.
    pub findings: Vec<Finding>,
    /// For each finding the places in the case of the facts it rests on.
    pub rests_on: Vec<Vec<usize>>,
    /// Bugs that cannot be.
    pub ruled_out: Vec<RuledOut>,
    /// Rules that lacked facts.
    pub not_evaluated: Vec<NotEvaluated>,
    /// What to collect.
    pub next: Vec<Next>,
    /// Limits of the engine that were hit.
    pub gaps: Vec<Gap>,
}

/// A finding in the making.
pub(super) struct Draft<'r> {
    pub rule: &'r Rule,
    pub grade: Option<Grade>,
    /// Ways in which the condition held, the highest grade first.
    pub ways: Vec<Binding>,
    pub captures: BTreeMap<String, Value>,
    /// Facts it rests on, in the order of the case.
    pub facts: Vec<usize>,
    pub role: Role,
    pub explained_by: Option<usize>,
}

impl Draft<'_> {
    pub fn id(&self) -> String {
        fill(&self.rule.id, &|name| self.captures.get(name).cloned())
    }
}

/// Evaluates all rules on a case. The case should hold a `fix.status` fact for each commit that a rule names.
pub fn evaluate(case: &Case, rules: &Rules) -> Outcome {
    let matcher = Matcher::new(case);
    let mut drafts: Vec<Draft> = Vec::new();
    let mut gaps: Vec<Gap> = Vec::new();
    for rule in rules.rules.iter().filter(|r| !r.unclaimed) {
        drafts.extend(drafts_of(rule, &matcher, &mut gaps));
    }
    let superseded: BTreeSet<&str> = drafts.iter().flat_map(|d| d.rule.supersedes.iter().map(String::as_str)).collect();
    drafts.retain(|d| !superseded.contains(d.rule.id.as_str()));

    let mut claimed = vec![false; case.facts.len()];
    for draft in &drafts {
        let extra = draft.rule.claims.iter().flat_map(|item| {
            draft.ways.iter().flat_map(|way| matcher.solve(item, way)).flat_map(|way| way.into_values().flatten())
        });
        for at in draft.facts.iter().copied().chain(extra) {
            if let Some(flag) = claimed.get_mut(at) {
                *flag = true;
            }
        }
    }
    let rest = matcher.without(claimed);
    for rule in rules.rules.iter().filter(|r| r.unclaimed) {
        drafts.extend(drafts_of(rule, &rest, &mut gaps));
    }

    gaps.extend(order::thin_out(&mut drafts, &matcher));
    order::tie(&mut drafts, &matcher);
    order::set_apart(&mut drafts, &matcher);
    let positions = order::causal(&drafts, &matcher);

    let mut outcome = Outcome { ruled_out: ruled_out(rules, &matcher), gaps, ..Outcome::default() };
    for at in positions {
        let Some(draft) = drafts.get(at) else { continue };
        let explained_by = draft.explained_by.and_then(|by| drafts.get(by)).map(Draft::id);
        let finding = finish(draft, explained_by, &matcher);
        for fix in finding.fixes.iter().filter(|f| f.status == "present" || f.status == "not-needed") {
            outcome.ruled_out.push(RuledOut {
                rule: finding.rule.clone(),
                sha: Some(fix.sha.clone()),
                why: format!("{}: {}", fix.status, fix.why),
            });
        }
        // What another finding of the rule explains is learned with that one.
        let learned = draft.explained_by.and_then(|by| drafts.get(by)).is_some_and(|by| by.rule.id == draft.rule.id);
        if finding.grade.is_some_and(|g| g < Grade::Confirmed) && !(learned && draft.rule.unclaimed) {
            for next in draft.rule.next.iter().filter(|n| !case.was_read(&n.needs)) {
                let look_up = |name: &str| draft.captures.get(name).cloned();
                outcome.next.push(Next { datum: fill(&next.datum, &look_up), command: fill(&next.command, &look_up) });
            }
        }
        outcome.findings.push(finding);
        outcome.rests_on.push(draft.facts.clone());
    }
    dedup(&mut outcome.ruled_out);
    dedup(&mut outcome.next);
    outcome.not_evaluated = not_evaluated(case, rules, &drafts, &outcome.ruled_out);
    outcome
}

fn dedup<T: PartialEq + Clone>(items: &mut Vec<T>) {
    let mut kept: Vec<T> = Vec::with_capacity(items.len());
    for item in items.drain(..) {
        if !kept.contains(&item) {
            kept.push(item);
        }
    }
    *items = kept;
}

/// The findings of one rule: one for each distinct subject, at its highest grade.
fn drafts_of<'r>(rule: &'r Rule, matcher: &Matcher, gaps: &mut Vec<Gap>) -> Vec<Draft<'r>> {
    let graded = Grade::DESCENDING.iter().filter_map(|g| Some((Some(*g), rule.grades.get(g)?)));
    let conditions: Vec<(Option<Grade>, &Item)> = graded.chain(rule.when.iter().map(|item| (None, item))).collect();
    let mut drafts: Vec<Draft> = Vec::new();
    let mut places: HashMap<Vec<Option<String>>, usize> = HashMap::new();
    for (grade, item) in conditions {
        let mut kinds = Vec::new();
        item.kinds(&mut kinds);
        if !kinds.is_empty() && !kinds.iter().any(|k| matcher.has_kind(k)) {
            continue;
        }
        for way in matcher.solve(item, &Binding::new()) {
            let of_way = |name: &String| capture(rule.captures.get(name)?, matcher, std::slice::from_ref(&way));
            let subject = rule.per.iter().map(|name| of_way(name).as_ref().map(key)).collect();
            let place = *places.entry(subject).or_insert(drafts.len());
            match drafts.get_mut(place) {
                Some(draft) => draft.ways.push(way),
                None => drafts.push(Draft {
                    rule,
                    grade,
                    ways: vec![way],
                    captures: BTreeMap::new(),
                    facts: Vec::new(),
                    role: rule.role,
                    explained_by: None,
                }),
            }
        }
    }
    if matcher.take_cut() {
        gaps.push(Gap::new(
            format!("evidence for {}", rule.id),
            "the case",
            "its facts fit together in too many ways; the first were followed",
            "vmcoroner log --events and the commands that look around show all facts",
        ));
    }
    for draft in &mut drafts {
        let captured = rule.captures.iter();
        draft.captures =
            captured.filter_map(|(name, c)| Some((name.clone(), capture(c, matcher, &draft.ways)?))).collect();
        let mut facts: Vec<usize> = draft.ways.iter().flat_map(|way| way.values().flatten().copied()).collect();
        facts.sort_unstable();
        facts.dedup();
        draft.facts = facts;
    }
    drafts
}

/// What a capture stands for over some ways in which the condition held.
fn capture(capture: &Capture, matcher: &Matcher, ways: &[Binding]) -> Option<Value> {
    let first = |path: &str| ways.iter().find_map(|way| matcher.look_up(way, path));
    let value = match capture {
        Capture::One(path) => first(path)?,
        Capture::First(paths) => paths.iter().find_map(|path| first(path))?,
        Capture::Spec(CaptureSpec { all: Some(path), .. }) => {
            let mut values: Vec<Value> = Vec::new();
            let mut seen: HashSet<String> = HashSet::new();
            for value in ways.iter().filter_map(|way| matcher.look_up(way, path)) {
                let new = match value {
                    Value::List(items) => items,
                    single => vec![single],
                };
                values.extend(new.into_iter().filter(|value| seen.insert(key(value))));
            }
            if values.is_empty() {
                return None;
            }
            Value::List(values)
        }
        Capture::Spec(CaptureSpec { count, .. }) => {
            let name = count.as_ref()?;
            let facts: BTreeSet<usize> = ways.iter().filter_map(|way| way.get(name)).flatten().copied().collect();
            if facts.is_empty() {
                return None;
            }
            Value::from(facts.len())
        }
    };
    Some(shorten(value))
}

/// An address in the first pages is an offset from NULL: `0x30` tells more than sixteen digits.
fn shorten(value: Value) -> Value {
    match value {
        Value::Address(a) if a.0 < 0x10000 => Value::Text(format!("{:#x}", a.0)),
        other => other,
    }
}

/// Replaces `{name}` by what it stands for; an unknown name becomes `?`. Braces of a shell command (`{}`, `{a,b}`) stay.
pub(super) fn fill(text: &str, look_up: &dyn Fn(&str) -> Option<Value>) -> String {
    let mut out = String::with_capacity(text.len());
    each_placeholder(text, &mut |before, name| {
        out.push_str(before);
        match name.map(look_up) {
            Some(Some(value)) => out.push_str(&value.to_string()),
            Some(None) => out.push('?'),
            None => {}
        }
    });
    out
}

/// The names that [`fill`] replaces in a text.
pub(super) fn placeholders(text: &str) -> Vec<&str> {
    let mut names = Vec::new();
    each_placeholder(text, &mut |_, name| names.extend(name));
    names
}

/// Calls back for each piece of text with the name behind it; the last piece has none.
fn each_placeholder<'t>(text: &'t str, piece: &mut dyn FnMut(&'t str, Option<&'t str>)) {
    let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '.');
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        match after.split_once('}') {
            Some((name, tail)) if !name.is_empty() && name.chars().all(is_name) => {
                piece(before, Some(name));
                rest = tail;
            }
            _ => {
                piece(before, None);
                piece("{", None);
                rest = after;
            }
        }
    }
    piece(rest, None);
}

/// Something observed, with how often it was.
struct Piece<'f> {
    evidence: Evidence,
    kind: &'f str,
    count: usize,
}

/// As many pieces as fit, and how many do not.
fn shown(mut pieces: Vec<Piece>) -> Vec<Evidence> {
    let all = pieces.len();
    if all > MAX_EVIDENCE {
        let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
        pieces.retain(|piece| {
            let of_kind = kinds.entry(piece.kind.to_owned()).or_default();
            *of_kind += 1;
            *of_kind <= MAX_OF_KIND
        });
        pieces.truncate(MAX_EVIDENCE);
    }
    let left_out = all - pieces.len();
    let mut evidence: Vec<Evidence> = pieces
        .into_iter()
        .map(|mut piece| {
            if piece.count > 1 {
                piece.evidence.text.push_str(&format!(" ({} times)", piece.count));
            }
            piece.evidence
        })
        .collect();
    if left_out > 0 {
        evidence.push(Evidence { origin: "case".to_owned(), text: format!("and {left_out} more") });
    }
    evidence
}

fn finish(draft: &Draft, explained_by: Option<String>, matcher: &Matcher) -> Finding {
    let rule = draft.rule;
    let look_up = |name: &str| draft.captures.get(name).cloned();
    let facts: Vec<&facts::Fact> = draft.facts.iter().filter_map(|at| matcher.fact(*at)).collect();
    let mut pieces: Vec<Piece> = Vec::new();
    // Where the piece is whose text differs in numbers only.
    let mut places: HashMap<String, usize> = HashMap::new();
    let mut recheck: Vec<String> = Vec::new();
    // Conclusions and statuses stand elsewhere in the verdict; evidence is what was observed. Who waits for whom was read
    // from memory, as one fact.
    let observed = facts
        .iter()
        .filter(|f| !f.kind.starts_with("fix.") && (!f.kind.starts_with("derived.") || f.kind == "derived.chain"));
    for fact in observed {
        for command in &fact.recheck {
            if !recheck.contains(command) && recheck.len() < MAX_EVIDENCE {
                recheck.push(command.clone());
            }
        }
        // Lines that differ in their numbers only are one piece of evidence.
        let text = describe(fact);
        let shape: String = text.chars().filter(|c| !c.is_ascii_digit()).collect();
        match places.get(&shape).and_then(|at: &usize| pieces.get_mut(*at)) {
            Some(piece) if fact.kind.starts_with("log.") => piece.count += 1,
            _ => {
                places.entry(shape).or_insert(pieces.len());
                let evidence = Evidence { origin: fact.origin.to_string(), text };
                pieces.push(Piece { evidence, kind: &fact.kind, count: 1 });
            }
        }
    }
    let evidence = shown(pieces);
    let named = rule.fixes_from.is_none_or(|from| draft.grade >= Some(from));
    let mut caveats: Vec<String> = Vec::new();
    let holds = |item: &Item| draft.ways.iter().take(64).find_map(|way| matcher.solve(item, way).into_iter().next());
    let another = rule.fixes_unless.as_ref().is_some_and(|item| holds(item).is_some());
    let mut shas: Vec<&String> = rule.fixes.iter().filter(|_| named && !another).collect();
    for variant in &rule.variants {
        if variant.when.as_ref().is_some_and(|item| holds(item).is_some()) {
            shas.extend(variant.fixes.iter().filter(|_| named));
            if let Some(says) = &variant.says {
                caveats.push(fill(says, &look_up));
            }
        }
    }
    let mut seen = BTreeSet::new();
    shas.retain(|sha| seen.insert(sha.as_str()));
    for caveat in &rule.caveats {
        if caveat.when().is_none_or(|when| holds(when).is_some()) {
            caveats.push(fill(caveat.says(), &look_up));
        }
    }
    let mut suspects: Vec<Suspect> = Vec::new();
    for def in &rule.suspects {
        for way in draft.ways.iter().take(64).flat_map(|way| matcher.solve(&def.when, way)) {
            let in_way = |name: &str| matcher.look_up(&way, name).or_else(|| look_up(name));
            if let Some(module) = in_way(&def.module).map(|m| m.to_string())
                && !suspects.iter().any(|s| s.module == module)
            {
                suspects.push(Suspect { module, why: fill(&def.why, &in_way) });
            }
        }
    }
    Finding {
        rule: draft.id(),
        title: fill(draft.grade.and_then(|g| rule.titles.get(&g)).unwrap_or(&rule.title), &look_up),
        class: fill(&rule.class, &look_up),
        grade: draft.grade,
        role: draft.role,
        captures: draft.captures.clone(),
        evidence,
        trace: None,
        recheck,
        fixes: shas.into_iter().map(|sha| fix(sha, matcher)).collect(),
        suspects,
        remedies: rule
            .remedies
            .iter()
            .filter(|r| r.fits(draft.grade) && r.unless.as_ref().is_none_or(|item| holds(item).is_none()))
            .map(|r| Remedy { action: fill(&r.action, &look_up), verify: fill(&r.verify, &look_up) })
            .collect(),
        caveats,
        explained_by,
    }
}

/// What a fact says, in one line.
fn describe(fact: &facts::Fact) -> String {
    if !fact.quote.is_empty() {
        return fact.quote.clone();
    }
    let values: Vec<String> = fact.values.iter().map(|(name, value)| format!("{name}={value}")).collect();
    format!("{} {}", fact.kind, values.join(" "))
}

fn fix(sha: &str, matcher: &Matcher) -> Fix {
    let item = Item { fact: Some("fix.status".to_owned()), name: Some("fix".to_owned()), ..Item::default() };
    let known = matcher
        .solve(&item, &Binding::new())
        .into_iter()
        .filter_map(|way| matcher.fact(*way.get("fix")?.first()?))
        .find(|f| f.text("sha") == Some(sha));
    let text = |name: &str| known.and_then(|f| f.text(name)).unwrap_or_default().to_owned();
    match known {
        Some(_) => Fix { sha: sha.to_owned(), subject: text("subject"), status: text("state"), why: text("why") },
        None => Fix {
            sha: sha.to_owned(),
            subject: String::new(),
            status: "unknown".to_owned(),
            why: "the kernel release of this case is not known".to_owned(),
        },
    }
}

fn ruled_out(rules: &Rules, matcher: &Matcher) -> Vec<RuledOut> {
    let mut out = Vec::new();
    for rule in &rules.rules {
        for def in &rule.ruled_out {
            if let Some(way) = matcher.solve(&def.when, &Binding::new()).first() {
                let look_up = |name: &str| matcher.look_up(way, name);
                out.push(RuledOut { rule: rule.id.clone(), sha: def.sha.clone(), why: fill(&def.why, &look_up) });
            }
        }
    }
    out
}

/// Rules none of whose grades could be tried, because a source they need was not read.
fn not_evaluated(case: &Case, rules: &Rules, drafts: &[Draft], ruled_out: &[RuledOut]) -> Vec<NotEvaluated> {
    let mut out = Vec::new();
    for rule in rules.rules.iter().filter(|r| !r.unclaimed) {
        // What was ruled out was evaluated.
        if drafts.iter().any(|d| std::ptr::eq(d.rule, rule)) || ruled_out.iter().any(|out| out.rule == rule.id) {
            continue;
        }
        let mut missing: Option<&str> = None;
        let mut tried = false;
        for item in rule.grades.values().chain(&rule.when) {
            let mut kinds = Vec::new();
            item.kinds(&mut kinds);
            let unread = kinds.iter().find(|k| {
                !matches!(k.split('.').next(), Some("fix" | "derived"))
                    && !case.was_read(k.trim_end_matches('*').trim_end_matches('.'))
            });
            match unread {
                Some(kind) => {
                    missing.get_or_insert(kind);
                }
                None => tried = true,
            }
        }
        if let (false, Some(kind)) = (tried, missing) {
            out.push(NotEvaluated { rule: rule.id.clone(), missing: kind.to_owned() });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use facts::{Fact, Origin};

    use super::*;

    /// A case of `n` unlike warnings and failures, and a panic behind them.
    fn crowded(n: usize) -> Case {
        let mut case = Case { sources: std::iter::once("log".to_owned()).collect(), ..Case::default() };
        for at in 0..n {
            let (kind, severity, class) = match at % 2 {
                0 => ("log.oops", "report", "null-deref"),
                _ => ("log.io_error", "failure", "io-error"),
            };
            case.facts.push(
                Fact::new(kind, Origin::derived("log", "made"))
                    .with("severity", severity)
                    .with("class", class)
                    .with("function", format!("f{at}"))
                    .with("title", format!("{class} {at}")),
            );
            let blamed = Fact::new("derived.blamed", Origin::derived("log", "made"));
            case.facts.push(blamed.with("event", case.facts.len() - 1).with("function", format!("g{at}")));
        }
        case.facts.push(
            Fact::new("log.panic", Origin::derived("log", "made"))
                .with("severity", "panic")
                .with("class", "kernel-panic")
                .with("title", "kernel panic: the last line")
                .with("reason", "hung_task: blocked tasks"),
        );
        case
    }

    #[test]
    fn of_very_many_findings_the_gravest_are_told_and_the_rest_is_a_gap() {
        let rules = Rules::embedded().unwrap();
        let outcome = evaluate(&crowded(6000), &rules);
        assert_eq!(outcome.findings.first().map(|f| f.rule.as_str()), Some("generic-kernel-panic"));
        assert_eq!(outcome.findings.len(), 256);
        let why: Vec<&str> = outcome.gaps.iter().map(|gap| gap.why.as_str()).collect();
        assert_eq!(why, ["256 of 6001 are told, the gravest first"]);
        // What was found out about an event goes with its finding.
        assert_eq!(outcome.findings.get(1).and_then(|f| f.captures.get("function")), Some(&Value::from("g0")));
    }

    #[test]
    fn the_time_grows_with_the_facts() {
        let rules = Rules::embedded().unwrap();
        let seconds = |n: usize| {
            let case = crowded(n);
            let least = (0..3).map(|_| {
                let start = std::time::Instant::now();
                std::hint::black_box(evaluate(&case, &rules));
                start.elapsed().as_secs_f64()
            });
            least.fold(f64::INFINITY, f64::min)
        };
        let (small, large) = (seconds(1500), seconds(12000));
        assert!(large < small * 8.0 * 4.0, "eight times the facts took {:.0} times as long", large / small);
    }

    #[test]
    fn what_there_is_much_of_leaves_room_for_the_rest() {
        let piece = |kind: &'static str, nth: usize| Piece {
            evidence: Evidence { origin: format!("log:{nth}"), text: kind.to_owned() },
            kind,
            count: 1 + nth % 2,
        };
        let few: Vec<Piece> = (0..MAX_EVIDENCE).map(|nth| piece("log.oom", nth)).collect();
        assert_eq!(shown(few).len(), MAX_EVIDENCE);
        let many = (0..40).map(|nth| piece("log.oom", nth)).chain([piece("log.panic", 40)]).collect();
        let texts: Vec<String> = shown(many).into_iter().map(|evidence| evidence.text).collect();
        assert_eq!(texts, ["log.oom", "log.oom (2 times)", "log.oom", "log.oom (2 times)", "log.panic", "and 36 more"]);
    }
}
