//! The heavy checks: every dump of the evidence folder beside the repository against the verdict expected of it, and a
//! machine of 50,000 tasks laid over one of them.
//!
//!     cargo test --bench full             # quietly does nothing when ../shared is not there

mod growth;
mod unnamed;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::Value;
use vmcoroner::engine::Rules;
use vmcoroner::examine::examine;
use vmcoroner::extract::{Options, gather};
use vmcoroner::verdict::{Finding, Role, Verdict};

fn grade_rank(word: &str) -> usize {
    ["exposed", "consistent", "probable", "confirmed"].iter().position(|g| *g == word).map_or(0, |n| n + 1)
}

fn rank(finding: &Finding) -> usize {
    finding.grade.map_or(0, |g| grade_rank(g.word()))
}

/// Whether a captured value is the expected one; lists compare as sets.
fn same(found: &Value, expected: &Value) -> bool {
    match (found, expected) {
        (Value::Array(a), Value::Array(b)) => b.iter().all(|x| a.contains(x)),
        _ => found == expected || found.to_string().trim_matches('"') == expected.to_string().trim_matches('"'),
    }
}

fn fits(finding: &Finding, expected: &Value) -> bool {
    let word = finding.grade.map(|g| g.word());
    finding.rule == expected["rule"].as_str().unwrap_or_default()
        && (expected["grade"] == "*" || expected["grade"].as_str() == word)
        && expected["role"].as_str().is_none_or(|r| finding.role.word() == r)
        && expected["captures"].as_object().is_none_or(|captures| {
            captures.iter().all(|(name, value)| {
                finding.captures.get(name).and_then(|v| serde_json::to_value(v).ok()).is_some_and(|v| same(&v, value))
            })
        })
}

fn check(name: &str, how: &str, verdict: &Verdict, expected: &Value, whole: &Value, failures: &mut Vec<String>) {
    for (at, want) in expected.as_array().into_iter().flatten().enumerate() {
        let place = verdict.findings.iter().position(|f| fits(f, want));
        let information = want["role"] == "information";
        match place {
            Some(place) if at == 0 && place != 0 && !information => {
                failures.push(format!("{name} {how}: {} stands at {place}, not first", want["rule"]));
            }
            Some(_) => {}
            None => failures.push(format!("{name} {how}: no {want}")),
        }
    }
    for forbidden in whole["must_not"].as_array().into_iter().flatten() {
        let limit = grade_rank(forbidden["grade"].as_str().unwrap_or_default());
        for f in &verdict.findings {
            let rule = forbidden["rule"] == "*" || forbidden["rule"].as_str() == Some(&f.rule);
            let captures = forbidden["captures"].as_object().is_none_or(|c| {
                c.iter().all(|(n, v)| {
                    f.captures.get(n).and_then(|x| serde_json::to_value(x).ok()).is_some_and(|x| same(&x, v))
                })
            });
            if rule && captures && rank(f) >= limit && f.role == Role::Cause {
                failures.push(format!("{name} {how}: {} at {:?} must not be", f.rule, f.grade));
            }
        }
    }
    if how == "memory" {
        for suspect in whole["suspects"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            if !verdict.findings.iter().flat_map(|f| &f.suspects).any(|s| s.module == suspect) {
                failures.push(format!("{name} {how}: {suspect} is no suspect"));
            }
        }
        for rule in whole["ruled_out"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            if !verdict.ruled_out.iter().any(|r| r.rule == rule) {
                failures.push(format!("{name} {how}: {rule} is not ruled out"));
            }
        }
        for (sha, status) in whole["fixes"].as_object().into_iter().flatten() {
            let found =
                verdict.findings.iter().flat_map(|f| &f.fixes).find(|f| f.sha == *sha).map(|f| f.status.as_str());
            if found != status.as_str() {
                failures.push(format!("{name} {how}: {sha} is {found:?}, not {status}"));
            }
        }
    }
}

/// An xz file unpacked into the temporary folder of this build.
fn unpacked(from: &Path) -> Option<PathBuf> {
    let to = Path::new(env!("CARGO_TARGET_TMPDIR")).join(from.file_stem()?);
    if !to.exists() {
        let mut reader = lzma_rust2::XzReader::new(std::fs::File::open(from).ok()?, true);
        let part = to.with_extension("part");
        std::io::copy(&mut reader, &mut std::fs::File::create(&part).ok()?).ok()?;
        std::fs::rename(part, &to).ok()?;
    }
    Some(to)
}

fn main() -> ExitCode {
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/vmcores");
    let Ok(text) = std::fs::read_to_string(shared.join("expected.json")) else {
        println!("../shared/vmcores is not there: nothing checked");
        return ExitCode::SUCCESS;
    };
    let expected: Value = serde_json::from_str(&text).expect("expected.json is JSON");
    let rules = Rules::embedded().expect("the rules load");
    let mut failures = Vec::new();
    let mut checked = 0;
    for (name, whole) in expected.as_object().into_iter().flatten().filter(|(name, _)| *name != "comment") {
        let path: PathBuf = shared.join(format!("{name}.kdump"));
        for (how, log_only) in [("log", true), ("memory", false)] {
            match gather(std::slice::from_ref(&path), &Options { log_only, ..Options::default() }) {
                Ok(cases) => check(name, how, &examine(&cases[0], &rules), &whole[how], whole, &mut failures),
                Err(error) => failures.push(format!("{name} {how}: {error}")),
            }
            checked += 1;
        }
    }
    // Healthy machines give no finding.
    let consoles = shared.join("../corpora/consoles");
    for entry in std::fs::read_dir(consoles).into_iter().flatten().flatten() {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with("README") || name.ends_with(".tsv") {
            continue;
        }
        if let Ok(cases) = gather(&[path], &Options::default()) {
            for finding in cases.iter().flat_map(|c| examine(c, &rules).findings) {
                failures.push(format!("{name}: {} {:?}", finding.rule, finding.evidence.first().map(|e| &e.text)));
            }
        }
        checked += 1;
    }
    // The kernel of a distribution, whose masks have room for 500 CPUs.
    let packed = shared.join("kernels/x86_64-6.1-sysrq.kdump.xz");
    match std::env::var_os("GROWN_DUMP").map(PathBuf::from).map_or_else(|| unpacked(&packed), Some) {
        Some(dump) => match growth::check(&dump) {
            Ok(told) => println!("grown: {told}"),
            Err(why) => failures.push(format!("grown: {why}")),
        },
        None => println!("grown: {} cannot be unpacked", packed.display()),
    }
    let packed = shared.join("kernels/aarch64-6.1-sysrq.kdump.xz");
    match unpacked(&packed) {
        Some(dump) => match unnamed::check(&dump) {
            Ok(told) => println!("without names of data: {told}"),
            Err(why) => failures.push(format!("without names of data: {why}")),
        },
        None => println!("without names of data: {} cannot be unpacked", packed.display()),
    }
    println!("{checked} inputs checked, {} failures", failures.len());
    for failure in &failures {
        println!("{failure}");
    }
    if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(1) }
}
