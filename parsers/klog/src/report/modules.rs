//! The list `Modules linked in:`.

use crate::event::Event;

/// More modules than this are dropped; a loaded desktop has about 200.
const MAX_MODULES: usize = 1024;

/// What the list ends in, if a module was ever unloaded: its name, from 5.19 on with its flags.
const UNLOADED: &str = "[last unloaded:";

/// Reads names with their flags.
pub(super) fn read(text: &str, event: &mut Event) {
    let (list, unloaded) = text.split_once(UNLOADED).map_or((text, None), |(list, last)| (list, Some(last)));
    if let Some(name) = unloaded.and_then(|last| last.split([' ', '(', ']']).find(|word| !word.is_empty()))
        && is_module(name)
    {
        event.fields.insert("last_unloaded".into(), name.into());
    }
    for name in list.split_ascii_whitespace() {
        if is_module(name) && event.modules.len() < MAX_MODULES {
            event.modules.push(name.to_owned());
        }
    }
}

/// Is this the rest of a list that was printed in pieces?
pub(super) fn continues(text: &str) -> bool {
    text.split_ascii_whitespace().all(|w| is_module(w) && w.bytes().any(|b| b == b'_' || b.is_ascii_lowercase()))
        && text.split_ascii_whitespace().count() >= 2
        || text.starts_with(UNLOADED)
}

fn is_module(word: &str) -> bool {
    let name = word.split('(').next().unwrap_or(word);
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
}
