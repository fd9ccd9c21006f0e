//! The form of a rule file. `docs/rules.md` explains it with examples.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::comparison::Comparison;
use super::condition::Item;
use crate::verdict::{Grade, Role};

/// One rule, as written in `rules/ID/rule.yaml`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Stable name, the name of its folder; may hold `{captures}` in generic rules.
    pub id: String,
    /// One sentence with `{captures}`.
    pub title: String,
    /// The sentence at grades that say less (or more) than `title`.
    #[serde(default)]
    pub titles: BTreeMap<Grade, String>,
    /// Cause class, or event class in generic rules; may hold `{captures}`.
    pub class: String,
    /// What a match is to the failure when nothing else explains it.
    #[serde(default)]
    pub role: Role,
    /// Names of the captures that tell one finding of this rule from another.
    #[serde(default)]
    pub per: Vec<String>,
    /// Where each capture comes from.
    #[serde(default)]
    pub captures: BTreeMap<String, Capture>,
    /// The condition of each grade. Information has none and uses `when`.
    #[serde(default)]
    pub grades: BTreeMap<Grade, Item>,
    /// The condition of a rule without grades.
    #[serde(default)]
    pub when: Option<Item>,
    /// Rank among findings of the same grade, in place of the gravest severity of its facts: a severity word.
    #[serde(default)]
    pub gravity: Option<String>,
    /// A state that a machine lives with: beside a panic that it does not explain it is information.
    #[serde(default)]
    pub ambient: bool,
    /// Match only facts that no other finding rests on.
    #[serde(default)]
    pub unclaimed: bool,
    /// Facts this rule owns beyond its evidence: generic findings do not repeat them.
    #[serde(default)]
    pub claims: Vec<Item>,
    /// Findings that are consequences of this one.
    #[serde(default)]
    pub explains: Vec<Tie>,
    /// Findings that made this one possible.
    #[serde(default)]
    pub conditions: Vec<Tie>,
    /// Rules whose finding is dropped when this one matched.
    #[serde(default)]
    pub supersedes: Vec<String>,
    /// Commits that repair it.
    #[serde(default)]
    pub fixes: Vec<String>,
    /// The lowest grade at which commits are named, those of the variants too.
    #[serde(default)]
    pub fixes_from: Option<Grade>,
    /// What shows that it is none of the bugs that `fixes` repair; those of the variants are named all the same.
    #[serde(default)]
    pub fixes_unless: Option<Item>,
    /// One symptom, several bugs, told apart by a discriminator.
    #[serde(default)]
    pub variants: Vec<Variant>,
    /// Who may be guilty.
    #[serde(default)]
    pub suspects: Vec<SuspectDef>,
    /// When this bug is out of the question although the symptom fits.
    #[serde(default)]
    pub ruled_out: Vec<RuledOutDef>,
    /// What to do.
    #[serde(default)]
    pub remedies: Vec<RemedyDef>,
    /// What to keep in mind.
    #[serde(default)]
    pub caveats: Vec<Caveat>,
    /// What to collect to reach a higher grade.
    #[serde(default)]
    pub next: Vec<NextDef>,
}

/// Where a capture comes from.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum Capture {
    /// `name.field`.
    One(String),
    /// The first of several that is bound.
    First(Vec<String>),
    /// Something else than one value.
    Spec(CaptureSpec),
}

/// A capture over all matches of a subject.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaptureSpec {
    /// All distinct values of `name.field` over all matches, in order.
    #[serde(default)]
    pub all: Option<String>,
    /// How many facts are bound to this name over all matches.
    #[serde(default)]
    pub count: Option<String>,
}

/// A tie between findings.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum Tie {
    /// Any finding of that rule; `generic-*` is a prefix.
    Rule(String),
    /// Findings of that rule under a condition.
    When(Box<TieWhen>),
}

/// A conditional tie.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TieWhen {
    /// Name of the rule; a `*` at its end stands for any rest.
    pub finding: String,
    /// A test that one evidence fact of the other finding passes (`fact` may be left out).
    #[serde(default)]
    pub with: Option<Item>,
    /// Comparisons between captures: `it.owner in tasks`; `it` is the other finding.
    #[serde(default)]
    pub join: Vec<Comparison>,
    /// Lowest grade this finding must have.
    #[serde(default)]
    pub from: Option<Grade>,
}

/// A variant.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Variant {
    /// Its name.
    pub id: String,
    /// What tells it from the others.
    #[serde(default)]
    pub when: Option<Item>,
    /// One sentence added to the caveats when it applies.
    #[serde(default)]
    pub says: Option<String>,
    /// Its fixes.
    #[serde(default)]
    pub fixes: Vec<String>,
}

/// Who may be guilty.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SuspectDef {
    /// The condition that yields it.
    pub when: Item,
    /// `name.field` that names the module.
    pub module: String,
    /// Why, with `{name.field}`.
    pub why: String,
}

/// When a bug is out of the question.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuledOutDef {
    /// The condition.
    pub when: Item,
    /// The commit it hangs on.
    #[serde(default)]
    pub sha: Option<String>,
    /// Why, with `{name.field}`.
    pub why: String,
}

/// Something to do.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RemedyDef {
    /// What to do.
    #[serde(rename = "do")]
    pub action: String,
    /// How to verify that it took.
    pub verify: String,
    /// The lowest grade at which it is advised.
    #[serde(default)]
    pub from: Option<Grade>,
    /// The highest grade at which it is advised.
    #[serde(default)]
    pub to: Option<Grade>,
    /// When it is done already, or of no use.
    #[serde(default)]
    pub unless: Option<Item>,
}

impl RemedyDef {
    /// Whether it is advised at a grade; information has none.
    pub fn fits(&self, grade: Option<Grade>) -> bool {
        self.from.is_none_or(|from| grade >= Some(from)) && self.to.is_none_or(|to| grade <= Some(to))
    }
}

/// Something to keep in mind.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum Caveat {
    /// Always.
    Always(String),
    /// Under a condition.
    When(Box<CaveatWhen>),
}

impl Caveat {
    /// Its condition.
    pub fn when(&self) -> Option<&Item> {
        match self {
            Caveat::Always(_) => None,
            Caveat::When(c) => Some(&c.when),
        }
    }

    /// Its text.
    pub fn says(&self) -> &str {
        match self {
            Caveat::Always(text) => text,
            Caveat::When(c) => &c.says,
        }
    }
}

/// A conditional caveat.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaveatWhen {
    /// The condition.
    pub when: Item,
    /// What to say.
    pub says: String,
}

/// What to collect.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NextDef {
    /// The source (`mem`, `log`, `cgroup`, ...) that would supply it; said only when that source was not read.
    pub needs: String,
    /// What it would tell.
    pub datum: String,
    /// How to get it.
    pub command: String,
}
