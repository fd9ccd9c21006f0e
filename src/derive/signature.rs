//! Stable keys of failures.

use super::blame::Blame;
use super::names;

/// A key and the keys of near-equal reports.
pub(super) struct Signature {
    pub(super) key: String,
    pub(super) frames: Vec<String>,
    pub(super) module: Option<String>,
    pub(super) alternatives: Vec<String>,
}

/// The key of a blamed event: class, deciding frames, module. `file` is the source file of a check that failed.
pub(super) fn signature(class: &str, blame: &Blame, file: Option<&str>) -> Signature {
    let frames: Vec<String> = blame.frames.iter().map(|h| names::stable(&h.function)).collect();
    let module = blame.frames.first().and_then(|h| h.module.as_deref()).map(names::module);
    let key = key(class, &frames, module.as_deref());
    let mut alternatives = Vec::new();
    if let [first, rest @ ..] = frames.as_slice()
        && !rest.is_empty()
    {
        // Another compiler may have inlined the innermost function, or one further out; another kernel has other callers.
        alternatives.push(self::key(class, rest, module.as_deref()));
        alternatives
            .extend(rest.get(1).map(|third| self::key(class, &[first.clone(), third.clone()], module.as_deref())));
        alternatives.extend(frames.get(..2).map(|two| self::key(class, two, module.as_deref())));
        alternatives.push(self::key(class, std::slice::from_ref(first), module.as_deref()));
    }
    // Others stop at another function on the way.
    let others = blame.candidates.iter().skip(1).map(|c| names::stable(&c.function));
    alternatives.extend(others.map(|name| self::key(class, &[name], None)));
    if let Some(file) = file {
        alternatives.push(format!("{class}@{}", file.trim_start_matches("./")));
    }
    let mut seen = vec![key.clone()];
    alternatives.retain(|other| {
        let new = !seen.contains(other);
        seen.push(other.clone());
        new
    });
    Signature { key, frames, module, alternatives }
}

fn key(class: &str, frames: &[String], module: Option<&str>) -> String {
    let mut key = class.to_owned();
    for frame in frames {
        key.push(':');
        key.push_str(frame);
    }
    if let Some(module) = module {
        key.push_str(" [");
        key.push_str(module);
        key.push(']');
    }
    key
}

#[cfg(test)]
mod tests {
    use super::super::blame::Candidate;
    use super::super::path::Hop;
    use super::*;

    fn keys(functions: &[&str]) -> Signature {
        let blame = Blame {
            frames: functions.iter().map(|f| Hop::named(f)).collect(),
            candidates: vec![Candidate { function: functions[0].to_owned(), module: None, reason: String::new() }],
            ..Blame::default()
        };
        signature("null-deref", &blame, None)
    }

    #[test]
    fn a_report_of_another_compiler_shares_a_key() {
        let whole = keys(&["inner.isra.0", "middle", "outer"]);
        assert_eq!(whole.key, "null-deref:inner:middle:outer");
        for inlined in [keys(&["middle", "outer"]), keys(&["inner", "outer"]), keys(&["inner", "middle"])] {
            assert!(whole.alternatives.contains(&inlined.key), "{}", inlined.key);
        }
    }
}
