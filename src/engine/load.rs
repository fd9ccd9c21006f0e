//! Loads rules and checks them.

use std::path::{Path, PathBuf};

use super::condition::{Item, Test, regex};
use super::expression::Comparison;
use super::rule::{Caveat, Rule, Tie};

include!(concat!(env!("OUT_DIR"), "/embedded_rules.rs"));

/// A set of rules, in order of their ids.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// The rules.
    pub rules: Vec<Rule>,
}

/// Why a rule could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file could not be read.
    #[error("{path}: {error}")]
    Read {
        /// Its path.
        path: PathBuf,
        /// The cause.
        error: std::io::Error,
    },
    /// The YAML is wrong; the message has line and column.
    #[error("{path}: {message}")]
    Yaml {
        /// Its path.
        path: String,
        /// What is wrong and where.
        message: String,
    },
    /// The rule is well-formed YAML and makes no sense.
    #[error("{path}: rule {id}: {message}")]
    Rule {
        /// Its path.
        path: String,
        /// The rule's id.
        id: String,
        /// What is wrong.
        message: String,
    },
}

impl Rules {
    /// The rules that come with the program. Their sense was checked by the tests.
    pub fn embedded() -> Result<Rules, LoadError> {
        let read = |(path, json): &(&str, &str)| {
            serde_json::from_str(json).map_err(|e| LoadError::Yaml { path: (*path).to_owned(), message: e.to_string() })
        };
        let mut rules = Rules { rules: EMBEDDED.iter().map(read).collect::<Result<_, _>>()? };
        rules.sort();
        Ok(rules)
    }

    /// Adds every `*/rule.yaml` below a directory; a rule with a known id replaces it.
    pub fn add_directory(&mut self, directory: &Path) -> Result<(), LoadError> {
        let read = |path: &Path, error| LoadError::Read { path: path.to_owned(), error };
        let mut folders: Vec<PathBuf> = std::fs::read_dir(directory)
            .map_err(|e| read(directory, e))?
            .filter_map(|entry| Some(entry.ok()?.path().join("rule.yaml")))
            .filter(|path| path.is_file())
            .collect();
        folders.sort();
        for path in folders {
            let text = std::fs::read_to_string(&path).map_err(|e| read(&path, e))?;
            self.add(&path.display().to_string(), &text)?;
        }
        self.sort();
        Ok(())
    }

    /// Adds one rule from its text.
    pub fn add(&mut self, path: &str, text: &str) -> Result<(), LoadError> {
        let rule: Rule = serde_saphyr::from_str(text)
            .map_err(|e| LoadError::Yaml { path: path.to_owned(), message: e.to_string() })?;
        check(&rule).map_err(|message| LoadError::Rule { path: path.to_owned(), id: rule.id.clone(), message })?;
        self.rules.retain(|r| r.id != rule.id);
        self.rules.push(rule);
        Ok(())
    }

    fn sort(&mut self) {
        self.rules.sort_by(|a, b| a.id.cmp(&b.id));
    }

    /// Every commit that some rule names, each once.
    pub fn commits(&self) -> Vec<&str> {
        let mut shas: Vec<&str> = self
            .rules
            .iter()
            .flat_map(|r| {
                r.fixes
                    .iter()
                    .chain(r.variants.iter().flat_map(|v| &v.fixes))
                    .chain(r.ruled_out.iter().filter_map(|r| r.sha.as_ref()))
            })
            .map(String::as_str)
            .collect();
        shas.sort_unstable();
        shas.dedup();
        shas
    }
}

/// Every condition of a rule.
fn items(rule: &Rule) -> Vec<&Item> {
    let ties = rule.explains.iter().chain(&rule.conditions).filter_map(|tie| match tie {
        Tie::When(when) => when.with.as_ref(),
        Tie::Rule(_) => None,
    });
    let caveats = rule.caveats.iter().filter_map(|c| match c {
        Caveat::When(c) => Some(&c.when),
        Caveat::Always(_) => None,
    });
    rule.grades
        .values()
        .chain(&rule.when)
        .chain(&rule.claims)
        .chain(rule.variants.iter().filter_map(|v| v.when.as_ref()))
        .chain(rule.suspects.iter().map(|s| &s.when))
        .chain(rule.ruled_out.iter().map(|r| &r.when))
        .chain(ties)
        .chain(caveats)
        .collect()
}

fn check(rule: &Rule) -> Result<(), String> {
    if rule.grades.is_empty() && rule.when.is_none() {
        return Err("expected `grades` or `when`".to_owned());
    }
    for name in &rule.per {
        if !rule.captures.contains_key(name) {
            return Err(format!("`per` names the capture `{name}`, which `captures` does not define"));
        }
    }
    let mut wrong = None;
    let mut see = |text: Result<(), String>| {
        if let Err(message) = text {
            wrong.get_or_insert(message);
        }
    };
    for item in items(rule) {
        item.walk(&mut |item| {
            for join in &item.join {
                see(Comparison::parse(join).map(|_| ()));
            }
            for (name, test) in &item.tests {
                see(check_test(test).map_err(|e| format!("value `{name}`: {e}")));
            }
        });
    }
    for tie in rule.explains.iter().chain(&rule.conditions) {
        if let Tie::When(when) = tie {
            for join in &when.join {
                see(Comparison::parse(join).map(|_| ()));
            }
        }
    }
    wrong.map_or(Ok(()), Err)
}

fn check_test(test: &Test) -> Result<(), String> {
    match test {
        Test::Any(tests) => tests.iter().try_for_each(check_test),
        Test::Text(text) => match text.strip_prefix('~') {
            Some(pattern) if regex(pattern).is_none() => Err(format!("`{pattern}` is no regular expression")),
            _ => Ok(()),
        },
        _ => Ok(()),
    }
}

/// Names of fact kinds and values that rules use and no parser makes. `known` lists `(kind, field)`; a kind
/// pattern with `*` is checked for its prefix only.
pub fn unknown_names(rules: &Rules, known: &[facts::KindDef]) -> Vec<String> {
    let mut out = Vec::new();
    for rule in &rules.rules {
        for item in items(rule) {
            item.walk(&mut |item| {
                let Some(kind) = item.fact.as_deref() else { return };
                use super::condition::kind_matches;
                // `log.*` in the table stands for what every event may carry.
                let matching: Vec<_> =
                    known.iter().filter(|k| kind_matches(kind, k.kind) || kind_matches(k.kind, kind)).collect();
                if !matching.iter().any(|k| kind_matches(kind, k.kind)) {
                    out.push(format!("{}: no parser makes `{kind}`", rule.id));
                }
                for name in item.tests.keys().chain(&item.same) {
                    let head = name.split('.').next().unwrap_or(name);
                    let common = matches!(head, "fact" | "quote");
                    if !common && !matching.iter().any(|k| k.fields.iter().any(|f| f.name == head)) {
                        out.push(format!("{}: `{kind}` has no value `{head}`", rule.id));
                    }
                }
            });
        }
    }
    out.sort();
    out.dedup();
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_rules_say_what_their_files_say() {
        let mut from_files = Rules::default();
        from_files.add_directory(&Path::new(env!("CARGO_MANIFEST_DIR")).join("rules")).unwrap();
        assert!(!from_files.rules.is_empty());
        // A rule that differs has a number or truth value without quotation marks where text is meant.
        let embedded = Rules::embedded().unwrap();
        assert_eq!(embedded.rules.len(), from_files.rules.len());
        for (embedded, file) in embedded.rules.iter().zip(&from_files.rules) {
            assert_eq!(format!("{embedded:?}"), format!("{file:?}"));
        }
    }

    #[test]
    fn a_wrong_rule_is_refused_with_its_line_and_what_is_wrong() {
        let error = Rules::default().add("x.yaml", "id: x\ntitle: t\nclass: c\ngrade: {}\n").unwrap_err().to_string();
        assert!(error.contains("line 4"), "{error}");
        let rule = "id: x\ntitle: t\nclass: c\nwhen: {fact: log.a, where: {b: '~('}}\n";
        let error = Rules::default().add("x.yaml", rule).unwrap_err().to_string();
        assert!(error.contains("no regular expression"), "{error}");
    }
}
