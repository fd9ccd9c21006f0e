//! Names of functions and modules, shared by the frames that have them.

use std::cell::RefCell;
use std::sync::Arc;

/// Names that are remembered.
const SLOTS: usize = 2048;

thread_local! {
    static RECENT: RefCell<Vec<Option<Arc<str>>>> = const { RefCell::new(Vec::new()) };
}

/// The name as a value that frames share. Logs print the same few hundred functions over and over: a name that was read
/// lately is not stored again.
pub(crate) fn shared(name: &str) -> Arc<str> {
    RECENT.with_borrow_mut(|recent| {
        if recent.is_empty() {
            recent.resize(SLOTS, None);
        }
        let Some(slot) = recent.get_mut(slot_of(name.as_bytes())) else { return name.into() };
        match slot {
            Some(known) if **known == *name => Arc::clone(known),
            _ => Arc::clone(slot.insert(name.into())),
        }
    })
}

/// The place of a name in the table: names differ in their length, at their start or at their end.
fn slot_of(name: &[u8]) -> usize {
    let word = |bytes: Option<&[u8; 8]>| bytes.map_or(0, |bytes| u64::from_le_bytes(*bytes));
    let (first, last) = match name.len() {
        0..8 => (name.iter().fold(0, |word, byte| word << 8 | u64::from(*byte)), 0),
        _ => (word(name.first_chunk()), word(name.last_chunk())),
    };
    let mixed = (first ^ last.rotate_left(29) ^ name.len() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> (u64::BITS - SLOTS.trailing_zeros())) as usize
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
