//! A case: all facts and gaps of one identity. It can be saved and evaluated again with other rules.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;

use facts::{Fact, Gap, Identity, Stack};
use serde::{Deserialize, Serialize};

/// Version of `case.json`. Older ones load.
pub const SCHEMA: u32 = 1;

/// All facts and gaps of one machine and one boot.
#[derive(Clone, Debug, Default)]
pub struct Case {
    /// Which machine, which boot.
    pub identity: Identity,
    /// `/proc/version_signature` (Ubuntu), if it was there: it names the stable base.
    pub version_signature: Option<String>,
    /// Observations, in the order of their sources.
    pub facts: Vec<Fact>,
    /// What could not be read.
    pub gaps: Vec<Gap>,
    /// Which sources were really read: the first word of a fact kind (`log`, `mem`, `cgroup`, `node`), or a
    /// whole kind that was searched to its end. Absence counts as evidence only over these.
    pub sources: BTreeSet<String>,
}

/// What is written to a file: equal stacks stand once in a table, facts refer to them by index.
#[derive(Serialize, Deserialize)]
struct Saved {
    vmcoroner_case: u32,
    identity: Identity,
    #[serde(default)]
    version_signature: Option<String>,
    sources: BTreeSet<String>,
    stacks: Vec<Stack>,
    facts: Vec<SavedFact>,
    gaps: Vec<Gap>,
}

#[derive(Serialize, Deserialize)]
struct SavedFact {
    #[serde(flatten)]
    fact: Fact,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    stack: Vec<usize>,
}

/// Why a case file could not be read.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// Not JSON, or not a case.
    #[error("expected a case file written by --save-case, found {0}")]
    Json(#[from] serde_json::Error),
    /// Written by a newer version.
    #[error("the case has schema {found}, this vmcoroner reads up to {SCHEMA}: use a newer vmcoroner")]
    Newer {
        /// Its version.
        found: u32,
    },
    /// A fact refers to a stack that is not there.
    #[error("the case is damaged: a fact refers to stack {0}, which is not in the file")]
    Stack(usize),
}

impl Case {
    /// Whether a source that makes facts of `kind` was read; of a bare source (`mem`), whether any part of it was.
    pub fn was_read(&self, kind: &str) -> bool {
        let (source, part) = kind.split_once('.').unwrap_or((kind, ""));
        self.sources.contains(kind)
            || self.sources.contains(source)
            || (part.is_empty() && self.sources.iter().any(|s| s.split('.').next() == Some(source)))
    }

    /// The case as JSON text.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        let mut index: BTreeMap<String, usize> = BTreeMap::new();
        let mut stacks = Vec::new();
        let mut facts = Vec::with_capacity(self.facts.len());
        for fact in &self.facts {
            let mut refs = Vec::with_capacity(fact.stacks.len());
            for stack in &fact.stacks {
                let key = serde_json::to_string(stack.as_ref())?;
                let next = stacks.len();
                let at = *index.entry(key).or_insert(next);
                if at == next {
                    stacks.push(stack.as_ref().clone());
                }
                refs.push(at);
            }
            facts.push(SavedFact { fact: Fact { stacks: Vec::new(), ..fact.clone() }, stack: refs });
        }
        serde_json::to_string(&Saved {
            vmcoroner_case: SCHEMA,
            identity: self.identity.clone(),
            version_signature: self.version_signature.clone(),
            sources: self.sources.clone(),
            stacks,
            facts,
            gaps: self.gaps.clone(),
        })
    }

    /// Reads what [`Case::to_json`] wrote.
    pub fn from_json(text: &str) -> Result<Case, LoadError> {
        #[derive(Deserialize)]
        struct Version {
            vmcoroner_case: u32,
        }
        let Version { vmcoroner_case: found } = serde_json::from_str(text)?;
        if found > SCHEMA {
            return Err(LoadError::Newer { found });
        }
        let saved: Saved = serde_json::from_str(text)?;
        let stacks: Vec<Arc<Stack>> = saved.stacks.into_iter().map(Arc::new).collect();
        let mut facts = Vec::with_capacity(saved.facts.len());
        for SavedFact { mut fact, stack } in saved.facts {
            for at in stack {
                fact.stacks.push(stacks.get(at).cloned().ok_or(LoadError::Stack(at))?);
            }
            facts.push(fact);
        }
        Ok(Case {
            identity: saved.identity,
            version_signature: saved.version_signature,
            facts,
            gaps: saved.gaps,
            sources: saved.sources,
        })
    }

    /// Whether text looks like a saved case.
    pub fn is_saved(text: &[u8]) -> bool {
        let inside = text.trim_ascii_start().strip_prefix(b"{");
        inside.is_some_and(|inside| inside.trim_ascii_start().starts_with(b"\"vmcoroner_case\""))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use facts::{Frame, Origin};

    #[test]
    fn a_saved_case_is_known_however_it_is_laid_out() {
        for text in [&b"{\"vmcoroner_case\":1}"[..], b"{\n  \"vmcoroner_case\": 1\n}", b"\n{ \"vmcoroner_case\" : 1}"] {
            assert!(Case::is_saved(text), "{text:?}");
        }
        for text in [&b""[..], b"{", b"[{\"vmcoroner_case\":1}]", b"{\"message\":\"vmcoroner_case\"}"] {
            assert!(!Case::is_saved(text), "{text:?}");
        }
    }

    #[test]
    fn a_saved_case_keeps_equal_stacks_once_and_loads_back() {
        let mut stack = Stack::printed("call trace");
        stack.frames.push(Frame::printed("netdev_run_todo"));
        let mut case = Case::default();
        for line in 1..3 {
            let mut fact = Fact::new("log.hung_task", Origin::lines("dmesg", line, line)).with("pid", 7);
            fact.stacks.push(Arc::new(stack.clone()));
            case.facts.push(fact);
        }
        let text = case.to_json().unwrap();
        assert_eq!(text.matches("netdev_run_todo").count(), 1);
        assert!(Case::is_saved(text.as_bytes()));
        assert_eq!(Case::from_json(&text).unwrap().facts, case.facts);
    }

    #[test]
    fn a_newer_case_is_refused_with_both_versions() {
        let text = Case::default().to_json().unwrap().replace("case\":1", "case\":99");
        let error = Case::from_json(&text).unwrap_err().to_string();
        assert!(error.contains("99") && error.contains("newer"), "{error}");
    }
}
