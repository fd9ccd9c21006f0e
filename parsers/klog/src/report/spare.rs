//! Room for the frames of the stack that is being printed, used again for the next one: stacks grow frame by frame, and
//! logs have thousands of them.

use std::cell::RefCell;

use facts::Frame;

/// Frames for which room is made at first.
const USUAL: usize = 64;

thread_local! {
    static ROOM: RefCell<Vec<Frame>> = const { RefCell::new(Vec::new()) };
}

/// Gives the room, if nobody has it, to a stack without frames.
pub(super) fn borrow(frames: &mut Vec<Frame>) {
    if frames.capacity() == 0 {
        *frames = ROOM.take();
        frames.reserve(USUAL);
    }
}

/// Takes it back from a stack that has all its frames, which are left in as much room as they need.
pub(super) fn give_back(frames: &mut Vec<Frame>) {
    if frames.capacity() >= USUAL && frames.len() < frames.capacity() {
        let mut room = std::mem::take(frames);
        frames.append(&mut room);
        ROOM.replace(room);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_stay_when_the_room_is_taken_back() {
        let mut frames = Vec::new();
        borrow(&mut frames);
        frames.extend((0..3).map(|n| Frame::printed(format!("f{n}"))));
        give_back(&mut frames);
        assert_eq!((frames.len(), frames.capacity() < USUAL), (3, true));
        let mut next = Vec::new();
        borrow(&mut next);
        assert!(next.is_empty() && next.capacity() >= USUAL);
        assert_eq!(frames[2].function.as_deref(), Some("f2"));
    }
}
