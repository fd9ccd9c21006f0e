//! "Did you mean": the names nearest to one that is not there.

use std::borrow::Cow;

/// Names that are told.
const SHOWN: usize = 3;
/// Letters of a word that is compared.
const LONGEST: usize = 64;

/// The names nearest to a word, as the end of a sentence: `; did you mean a, b?`. Empty where none is near.
pub(super) fn did_you_mean<'a>(word: &str, names: impl Iterator<Item = Cow<'a, str>>) -> String {
    match nearest(word, names).as_slice() {
        [] => String::new(),
        near => format!("; did you mean {}?", near.join(", ")),
    }
}

/// The names nearest to a word: other case first, then those it begins or that differ by few letters, the shortest first.
/// Takes one pass.
fn nearest<'a>(word: &str, names: impl Iterator<Item = Cow<'a, str>>) -> Vec<String> {
    let length = word.chars().count();
    if length == 0 || length > LONGEST {
        return Vec::new();
    }
    let limit = match length {
        0..=2 => 0,
        3..=5 => 1,
        6..=9 => 2,
        _ => 3,
    };
    let mut best: Vec<(usize, usize, String)> = Vec::new();
    for name in names {
        let distance = if name.eq_ignore_ascii_case(word) {
            0
        } else if length > 2 && name.starts_with(word) {
            1
        } else {
            // The instance of a thread is no part of its name: kworker/0:1.
            let heads = [Some(name.as_ref()), name.split_once('/').map(|(head, _)| head)];
            let near = heads.into_iter().flatten().filter(|head| head.len().abs_diff(word.len()) <= limit);
            match near.map(|head| strsim::osa_distance(word, head)).min() {
                Some(distance) if distance <= limit => distance,
                _ => continue,
            }
        };
        let entry = (distance, name.len(), name.into_owned());
        let near = best.len() < SHOWN || best.last().is_some_and(|last| entry < *last);
        if let Err(at) = best.binary_search(&entry)
            && near
        {
            best.insert(at, entry);
            best.truncate(SHOWN);
        }
    }
    best.into_iter().map(|(.., name)| name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_hand_finds_its_name_and_nonsense_finds_none() {
        let names = || ["schedule", "schedule_timeout", "kworker/0:1", "init", "MODULE_STATE_LIVE"].map(Cow::from);
        let near = |word: &str| nearest(word, names().into_iter());
        assert_eq!(near("schedul"), ["schedule", "schedule_timeout"]);
        assert_eq!(near("shcedule"), ["schedule"]);
        assert_eq!(near("kworkr"), ["kworker/0:1"]);
        assert_eq!(near("module_state_live"), ["MODULE_STATE_LIVE"]);
        assert!(near("nosuch").is_empty() && near("").is_empty());
        assert_eq!(did_you_mean("inti", names().into_iter()), "; did you mean init?");
    }
}
