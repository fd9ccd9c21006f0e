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

/// The key of a blamed event: class, deciding frames, module.
pub(super) fn signature(class: &str, blame: &Blame) -> Signature {
    let frames: Vec<String> = blame.frames.iter().map(|h| names::stable(&h.function)).collect();
    let module = blame.frames.first().and_then(|h| h.module.as_deref()).map(names::module);
    let key = key(class, &frames, module.as_deref());
    let mut alternatives = Vec::new();
    if frames.len() > 1 {
        // Another compiler may have inlined the innermost function, or one in the middle.
        alternatives.push(self::key(class, &frames[1..], module.as_deref()));
        alternatives.push(self::key(class, &frames[..1], module.as_deref()));
    }
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
