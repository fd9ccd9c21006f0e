//! Names of functions and modules, shared by the frames that have them.

use std::cell::RefCell;
use std::sync::Arc;

/// Names that are remembered.
const SLOTS: usize = 8192;

thread_local! {
    static RECENT: RefCell<Vec<Option<Known>>> = const { RefCell::new(Vec::new()) };
}

/// A name that was read lately.
struct Known {
    ends: Ends,
    name: Arc<str>,
}

impl Known {
    fn is(&self, name: &str, ends: Ends) -> bool {
        let inside = |name: &'_ str| name.len().saturating_sub(8);
        self.ends == ends
            && self.name.len() == name.len()
            && (name.len() <= 16
                || self.name.as_bytes().get(8..inside(&self.name)) == name.as_bytes().get(8..inside(name)))
    }
}

/// The name as a value that frames share. Logs print the same few hundred functions over and over: a name that was read
/// lately is not stored again.
pub(crate) fn shared(name: &str) -> Arc<str> {
    let ends = Ends::of(name.as_bytes());
    RECENT.with_borrow_mut(|recent| {
        if recent.is_empty() {
            recent.resize_with(SLOTS, || None);
        }
        let Some(slot) = recent.get_mut(ends.slot(name.len())) else { return name.into() };
        match slot {
            Some(known) if known.is(name, ends) => Arc::clone(&known.name),
            _ => Arc::clone(&slot.insert(Known { ends, name: name.into() }).name),
        }
    })
}

/// The first and the last eight bytes of a name, which are most names whole; shorter ones are the first.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Ends(u64, u64);

impl Ends {
    fn of(name: &[u8]) -> Self {
        match (name.first_chunk(), name.last_chunk()) {
            (Some(first), Some(last)) => Ends(u64::from_le_bytes(*first), u64::from_le_bytes(*last)),
            _ => Ends(name.iter().fold(0, |word, byte| word << 8 | u64::from(*byte)), 0),
        }
    }

    /// The place of a name in the table: names differ in their length, at their start or at their end.
    fn slot(self, length: usize) -> usize {
        let mixed = (self.0 ^ self.1.rotate_left(29) ^ length as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed >> (u64::BITS - SLOTS.trailing_zeros())) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_stored_once() {
        let first = shared("schedule_timeout");
        for n in 0..20_000 {
            let name = format!("function_{n}");
            assert_eq!(&*shared(&name), name);
        }
        assert_eq!(&*shared(""), "");
        let again = shared("schedule_timeout");
        assert!(again == first && Arc::ptr_eq(&again, &shared("schedule_timeout")));
    }
}
