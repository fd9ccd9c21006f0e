//! The commits on record: `data/curated.yaml`, checked when it is loaded.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use super::mainline::Date;
use super::version::Version;

/// What `data/curated.yaml` says; the tests check it.
const EMBEDDED: &str = include_str!(concat!(env!("OUT_DIR"), "/curated.json"));

static CURATED: LazyLock<Curated> =
    LazyLock::new(|| Curated { fixes: serde_json::from_str(EMBEDDED).unwrap_or_default() });

/// All commits on record.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Curated {
    /// In the order of the file.
    pub fixes: Vec<Fix>,
}

/// One commit: where it came into mainline, stable branches and vendor builds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fix {
    /// At least 12 hex digits.
    pub sha: String,
    /// The subject line.
    pub subject: String,
    /// First mainline release with it; none if mainline never released it.
    pub first: Option<Version>,
    /// Per stable branch the first release with it, or none when it is on record that the branch never got it.
    #[serde(default)]
    pub stable: BTreeMap<String, Option<StableFirst>>,
    /// What silence about a branch means.
    pub elsewhere: Elsewhere,
    /// Oldest branch that the source of `stable` and `introduced` covers; silence about older ones says nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub records_from: Option<Version>,
    /// The commits that brought the bug; empty means as old as anything on record.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub introduced: Vec<Introduced>,
    /// Builds of RHEL, by major release.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub rhel: BTreeMap<u32, VendorLine>,
    /// Data in a kernel's memory that decide by themselves.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub proofs: Vec<Proof>,
    /// Functions that a live patch with this fix replaces.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub functions: Vec<String>,
    /// Day the commit was written, where known.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "written")]
    pub written: Option<Date>,
    /// What the commit is to the bug.
    #[serde(default)]
    pub role: Role,
    /// How sure the data are.
    pub confidence: Confidence,
    /// Where they come from, in own words.
    pub source: String,
}

/// First release of a stable branch with a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StableFirst {
    /// This release.
    At(Version),
    /// This release or an earlier one of the branch: written `<=4.4.113`.
    NotAfter(Version),
}

impl StableFirst {
    /// The release.
    pub fn version(self) -> Version {
        match self {
            StableFirst::At(v) | StableFirst::NotAfter(v) => v,
        }
    }
}

/// What it means that a stable branch is not listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Elsewhere {
    /// The list is complete: the branch never got the commit.
    Never,
    /// The list is not complete.
    Unknown,
}

/// A commit, or a change without a known commit, that brought the bug.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Introduced {
    /// The commit; none when only the change is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha: Option<String>,
    /// First release with it: `A.B` of mainline, `A.B.C` of a stable branch that got the bug by backport.
    pub release: Version,
    /// Builds of RHEL that have the bug, by major release.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub rhel: BTreeMap<u32, VendorLine>,
}

/// Where one commit is in the builds of one RHEL major release. Build numbers are text: `"1039"`, `"192.2"`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VendorLine {
    /// First main-line build with it; every earlier one lacks it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub main: Option<String>,
    /// A build seen to have it, when the first one is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<String>,
    /// The last main-line build on record without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub absent: Option<String>,
    /// First z-stream build with it, per stream: `{957: "22.1"}`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub z: BTreeMap<u32, String>,
    /// Last z-stream build on record without it, per stream; `"*"`: the whole stream.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub absent_z: BTreeMap<u32, String>,
    /// No build of this major release ever had it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub never: bool,
}

/// A symbol or a structure member whose presence or absence in a kernel decides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proof {
    /// Symbol name, or `type.member`.
    pub name: String,
    /// What it proves when it is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub there: Option<Proves>,
    /// What it proves when a complete table lacks it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_there: Option<Proves>,
}

/// The two things a direct proof can show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Proves {
    /// The fix is in.
    Present,
    /// The fix is not in.
    Missing,
}

/// What a commit is to a bug.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// It repairs or lessens it.
    #[default]
    Fix,
    /// It makes room for the repair and does nothing by itself.
    Preparation,
    /// It brought it.
    Cause,
}

/// How sure an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Confidence {
    /// Commit, subject and release each seen in a source.
    A,
    /// One of the three inferred.
    B,
}

/// Why the data could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum CuratedError {
    /// Not the YAML that is expected; the message has line and column.
    #[error("fix data: {0}")]
    Yaml(String),
    /// An entry contradicts itself.
    #[error("fix data, line {line}: {sha}: {what}")]
    Entry {
        /// Line of the entry in the file, from 1.
        line: usize,
        /// Its commit.
        sha: String,
        /// What was expected and what was found.
        what: String,
    },
}

impl Curated {
    /// The data built into the program.
    pub fn embedded() -> &'static Curated {
        &CURATED
    }

    /// Reads and checks the data.
    ///
    /// # Errors
    /// With the line, when the text is not the expected YAML or an entry contradicts itself.
    pub fn from_yaml(text: &str) -> Result<Curated, CuratedError> {
        let fixes: Vec<Fix> = serde_saphyr::from_str(text).map_err(|e| CuratedError::Yaml(e.to_string()))?;
        for (i, fix) in fixes.iter().enumerate() {
            let fault = fix.fault().or_else(|| {
                let earlier = fixes.get(..i)?;
                earlier
                    .iter()
                    .any(|other| same_commit(&other.sha, &fix.sha))
                    .then(|| "the commit stands twice".to_owned())
            });
            if let Some(what) = fault {
                return Err(CuratedError::Entry { line: line_of(text, i), sha: fix.sha.clone(), what });
            }
        }
        Ok(Curated { fixes })
    }

    /// The entry of a commit, by its id or a prefix of at least 8 hex digits.
    pub fn find(&self, sha: &str) -> Option<&Fix> {
        let sha = sha.trim().to_ascii_lowercase();
        self.fixes.iter().find(|fix| same_commit(&fix.sha, &sha))
    }
}

/// Line of the n-th list item at the left margin, from 1.
fn line_of(text: &str, n: usize) -> usize {
    text.lines().enumerate().filter(|(_, line)| line.starts_with("- ")).nth(n).map_or(0, |(at, _)| at + 1)
}

fn same_commit(a: &str, b: &str) -> bool {
    a.len() >= 8 && b.len() >= 8 && (a.starts_with(b) || b.starts_with(a))
}

impl Fix {
    /// What the record says about a stable branch, if it is listed.
    pub(crate) fn branch(&self, (a, b): (u32, u32)) -> Option<Option<StableFirst>> {
        self.stable.get(&format!("{a}.{b}")).copied()
    }

    fn fault(&self) -> Option<String> {
        let hex = |sha: &str| sha.len() >= 12 && sha.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if !hex(&self.sha) {
            return Some("expected at least 12 hex digits in lower case".to_owned());
        }
        for (branch, first) in &self.stable {
            let Some(version) = Version::parse(branch).filter(|v| v.to_string() == *branch && v.c == 0) else {
                return Some(format!("expected a branch such as \"5.4\", found {branch:?}"));
            };
            if let Some(first) = first
                && first.version().branch() != version.branch()
            {
                return Some(format!("{} is not a release of branch {branch}", first.version()));
            }
        }
        for introduced in &self.introduced {
            if introduced.sha.as_deref().is_some_and(|sha| !hex(sha)) {
                return Some("an introducing commit has fewer than 12 hex digits".to_owned());
            }
        }
        let lines = self.rhel.values().chain(self.introduced.iter().flat_map(|i| i.rhel.values()));
        lines
            .flat_map(VendorLine::builds)
            .find(|text| numbers(text).is_none() && text.as_str() != "*")
            .map(|text| format!("expected build numbers such as \"1039\" or \"22.1\", found {text:?}"))
    }
}

impl VendorLine {
    fn builds(&self) -> impl Iterator<Item = &String> {
        [&self.main, &self.seen, &self.absent]
            .into_iter()
            .flatten()
            .chain(self.z.values())
            .chain(self.absent_z.values())
    }
}

/// Build numbers written as text.
pub(crate) fn numbers(text: &str) -> Option<Vec<u32>> {
    text.split('.').map(|field| field.parse().ok()).collect()
}

fn written<'de, D: serde::Deserializer<'de>>(d: D) -> Result<Option<Date>, D::Error> {
    let text = String::deserialize(d)?;
    Date::parse(&text).map(Some).ok_or_else(|| serde::de::Error::custom(format!("expected YYYY-MM-DD, found {text:?}")))
}

impl Serialize for StableFirst {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        match self {
            StableFirst::At(v) => s.collect_str(v),
            StableFirst::NotAfter(v) => s.collect_str(&format_args!("<={v}")),
        }
    }
}

impl<'de> Deserialize<'de> for StableFirst {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        let (not_after, number) = match text.strip_prefix("<=") {
            Some(number) => (true, number),
            None => (false, text.as_str()),
        };
        let version = Version::parse(number).filter(|v| v.c > 0).ok_or_else(|| {
            serde::de::Error::custom(format!(
                "expected a stable release such as \"5.4.302\" or \"<=5.4.302\", found {text:?}"
            ))
        })?;
        Ok(if not_after { StableFirst::NotAfter(version) } else { StableFirst::At(version) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_data_load() {
        let text = include_str!("../../data/curated.yaml");
        let curated = Curated::from_yaml(text).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(&curated, Curated::embedded());
        assert!(curated.fixes.len() > 50);
    }

    #[test]
    fn an_error_names_the_line() {
        let text =
            "- sha: 0123456789ab\n  subject: x\n  first: \"5.x\"\n  elsewhere: never\n  confidence: A\n  source: x\n";
        let error = Curated::from_yaml(text).unwrap_err().to_string();
        assert!(error.contains("line 3") || error.contains(":3:"), "{error}");
        let twice =
            "- sha: 0123456789ab\n  subject: x\n  first: \"5.1\"\n  elsewhere: never\n  confidence: A\n  source: x\n"
                .repeat(2);
        let error = Curated::from_yaml(&twice).unwrap_err().to_string();
        assert!(error.contains("line 7") && error.contains("twice"), "{error}");
    }

    #[test]
    fn confidence_c_never_ships() {
        let text =
            "- sha: 0123456789ab\n  subject: x\n  first: \"5.1\"\n  elsewhere: never\n  confidence: C\n  source: x\n";
        assert!(Curated::from_yaml(text).is_err());
    }

    #[test]
    fn commits_are_found_by_prefix_and_by_full_id() {
        let curated = Curated::embedded();
        let by = |sha: &str| curated.find(sha).map(|fix| fix.subject.clone());
        assert!(by("ee60ad219f5c7c4fb2f047f88037770063ef785f").is_some());
        assert_eq!(by("ee60ad219f5c"), by("EE60AD21"));
        assert_eq!(by("ee60ad2"), None);
        assert_eq!(by(""), None);
    }
}
