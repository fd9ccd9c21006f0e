//! Loads rules and checks them.

use std::path::{Path, PathBuf};

use super::rule::Rule;

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
    /// No rule lies below the directory.
    #[error("{}: expected DIR/rule.yaml or DIR/*/rule.yaml, found none", directory.display())]
    None {
        /// The directory.
        directory: PathBuf,
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

    /// Adds every `*/rule.yaml` below a directory, or its own `rule.yaml` where it is the folder of one rule; a rule with a
    /// known id replaces it. A directory without any is an error.
    pub fn add_directory(&mut self, directory: &Path) -> Result<(), LoadError> {
        let read = |path: &Path, error| LoadError::Read { path: path.to_owned(), error };
        let mut folders: Vec<PathBuf> = std::fs::read_dir(directory)
            .map_err(|e| read(directory, e))?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .chain([directory.to_owned()])
            .filter(|folder| folder.join("rule.yaml").is_file())
            .collect();
        if folders.is_empty() {
            return Err(LoadError::None { directory: directory.to_owned() });
        }
        folders.sort();
        for folder in folders {
            let path = folder.join("rule.yaml");
            let text = std::fs::read_to_string(&path).map_err(|e| read(&path, e))?;
            let id = self.add(&path.display().to_string(), &text)?;
            let name = std::path::absolute(&folder).ok().and_then(|f| Some(f.file_name()?.to_str()?.to_owned()));
            if let Some(name) = name.filter(|name| *name != id && !id.contains('{')) {
                let message = format!("its folder is named `{name}`: both names must be the same");
                return Err(LoadError::Rule { path: path.display().to_string(), id, message });
            }
        }
        self.sort();
        Ok(())
    }

    /// Adds one rule from its text, and returns its id.
    pub fn add(&mut self, path: &str, text: &str) -> Result<String, LoadError> {
        let rule: Rule = serde_saphyr::from_str(text)
            .map_err(|e| LoadError::Yaml { path: path.to_owned(), message: e.to_string() })?;
        check(&rule).map_err(|message| LoadError::Rule { path: path.to_owned(), id: rule.id.clone(), message })?;
        self.rules.retain(|r| r.id != rule.id);
        let id = rule.id.clone();
        self.rules.push(rule);
        Ok(id)
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

/// What makes a rule unusable. [`problems`](super::problems) finds the rest.
fn check(rule: &Rule) -> Result<(), String> {
    if rule.grades.is_empty() && rule.when.is_none() {
        return Err("expected `grades` or `when`".to_owned());
    }
    match rule.per.iter().find(|name| !rule.captures.contains_key(*name)) {
        Some(name) => Err(format!("`per` names the capture `{name}`, which `captures` does not define")),
        None => Ok(()),
    }
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
        for (condition, expected) in [
            ("where: {b: '>many'}", "expected >NUMBER, found `>many`"),
            ("join: ['a = (b)']", "expected a name, a number or a 'text', found `(b)`"),
        ] {
            let rule = format!("id: x\ntitle: t\nclass: c\nwhen: {{fact: log.a, {condition}}}\n");
            let error = Rules::default().add("x.yaml", &rule).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
