//! Which events of a member are kept, and how much of them: memory must not grow with the size of a log.
//!
//! The first ones and the newest ones are kept as they are. Between them, where a log says more than anybody reads, an
//! event is kept without its details, or only counted with an equal one.

use std::collections::{HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};

use facts::Gap;

use crate::event::{Event, Severity};

/// Events of one title that are listed one by one in a boot; the last one stands for those behind.
const MAX_EQUAL: u32 = 1000;
/// Titles that are told apart.
const MAX_TITLES: usize = 1 << 16;

/// How many bytes events may take.
#[derive(Clone, Copy, Default)]
struct Room {
    /// The first ones of a member.
    first: usize,
    /// Those between, without their details; panics may take as much again.
    between: usize,
    /// The newest ones.
    newest: usize,
}

const ROOM: Room = Room { first: 12 << 20, between: 4 << 20, newest: 12 << 20 };

/// An event of a boot, and its place in the order in which they came.
struct Slot {
    boot: usize,
    order: u64,
    weight: usize,
    event: Box<Event>,
}

/// The events of one title of a boot.
struct Equal {
    count: u32,
    first: u64,
    last: u64,
}

/// The events of one member.
pub(crate) struct Kept {
    room: Room,
    first: Vec<Slot>,
    between: Vec<Slot>,
    newest: VecDeque<Slot>,
    /// Bytes that they take.
    held: Room,
    /// No more events are among the first.
    full: bool,
    orders: u64,
    equal: HashMap<u64, Equal>,
    /// Events whose details were left out, events that are counted with an equal one, and events that are not.
    cut: u64,
    counted: u64,
    dropped: u64,
}

impl Default for Kept {
    fn default() -> Self {
        Kept::within(ROOM)
    }
}

impl Kept {
    fn within(room: Room) -> Self {
        Kept {
            room,
            first: Vec::new(),
            between: Vec::new(),
            newest: VecDeque::new(),
            held: Room::default(),
            full: false,
            orders: 0,
            equal: HashMap::new(),
            cut: 0,
            counted: 0,
            dropped: 0,
        }
    }

    /// Keeps an event of a boot. A log that says one thing a million times does not need a million of them: past a
    /// limit the newest takes the place of the one before and counts for both.
    pub(crate) fn add(&mut self, boot: usize, event: Box<Event>) {
        let title = title(boot, &event);
        if let Some(equal) = self.equal.get(&title)
            && equal.count >= MAX_EQUAL
        {
            let last = equal.last;
            return self.replace(last, event);
        }
        if self.equal.len() >= MAX_TITLES {
            self.equal.clear();
        }
        let order = self.orders;
        self.orders += 1;
        let equal = self.equal.entry(title).or_insert(Equal { count: 0, first: order, last: order });
        equal.count += 1;
        equal.last = order;
        let weight = event.weight();
        let slot = Slot { boot, order, weight, event };
        if !self.full && self.held.first + weight <= self.room.first {
            self.held.first += weight;
            self.first.push(slot);
            return;
        }
        self.full = true;
        self.held.newest += weight;
        self.newest.push_back(slot);
        self.trim();
    }

    /// Puts an event in the place of an equal one.
    fn replace(&mut self, order: u64, mut event: Box<Event>) {
        let between = self.between.last().is_some_and(|slot| slot.order >= order)
            && self.first.last().is_none_or(|slot| slot.order < order);
        if between {
            event.cut();
        }
        let weight = event.weight();
        let Some(slot) = self.slot(order) else {
            self.dropped += 1;
            return;
        };
        event.set("repeats", repeats(&slot.event).saturating_add(1));
        slot.event = event;
        let before = std::mem::replace(&mut slot.weight, weight);
        let held = if self.first.last().is_some_and(|slot| slot.order >= order) {
            &mut self.held.first
        } else if between {
            &mut self.held.between
        } else {
            &mut self.held.newest
        };
        *held = (*held + weight).saturating_sub(before);
        self.trim();
    }

    fn slot(&mut self, order: u64) -> Option<&mut Slot> {
        if let Ok(at) = self.first.binary_search_by_key(&order, |slot| slot.order) {
            return self.first.get_mut(at);
        }
        if let Ok(at) = self.between.binary_search_by_key(&order, |slot| slot.order) {
            return self.between.get_mut(at);
        }
        let at = self.newest.binary_search_by_key(&order, |slot| slot.order).ok()?;
        self.newest.get_mut(at)
    }

    /// Takes from the newest events those that are not among the newest any more.
    fn trim(&mut self) {
        while self.held.newest > self.room.newest && self.newest.len() > 1 {
            let Some(mut slot) = self.newest.pop_front() else { return };
            self.held.newest -= slot.weight.min(self.held.newest);
            slot.event.cut();
            slot.weight = slot.event.weight();
            // A panic tells how a boot ended: there is hardly more than one in each.
            let room = self.room.between * if slot.event.severity == Severity::Panic { 2 } else { 1 };
            if self.held.between + slot.weight <= room {
                self.held.between += slot.weight;
                self.between.push(slot);
                self.cut += 1;
            } else {
                self.count(slot);
            }
        }
    }

    /// Counts an event with an equal one that is kept.
    fn count(&mut self, gone: Slot) {
        let orders = self.equal.get(&title(gone.boot, &gone.event)).map(|equal| [equal.first, equal.last]);
        let more = repeats(&gone.event);
        for order in orders.into_iter().flatten() {
            if let Some(slot) = self.slot(order) {
                let all = repeats(&slot.event).saturating_add(more);
                slot.event.set("repeats", all);
                self.counted += 1;
                return;
            }
        }
        self.dropped += 1;
    }

    /// The events with their boots, in the order in which they came.
    pub(crate) fn into_events(self) -> impl Iterator<Item = (usize, Box<Event>)> {
        self.first.into_iter().chain(self.between).chain(self.newest).map(|slot| (slot.boot, slot.event))
    }

    /// What is not kept.
    pub(crate) fn gaps(&self, member: &str) -> Vec<Gap> {
        let closes = "a smaller piece of the log";
        let mut gaps = Vec::new();
        if self.cut > 0 {
            let why = format!(
                "{} events between the first and the newest ones are kept without stacks, registers, modules and lists",
                self.cut
            );
            gaps.push(Gap::new("the details of some events", member, why, closes));
        }
        if self.counted + self.dropped > 0 {
            let (counted, dropped) = (self.counted, self.dropped);
            let why = match dropped {
                0 => format!("{counted} further events are counted with an equal one, not kept"),
                _ => format!("{counted} further events are counted with an equal one, and {dropped} are not kept"),
            };
            gaps.push(Gap::new("the rest of the events", member, why, closes));
        }
        gaps
    }
}

/// How many reports an event stands for.
fn repeats(event: &Event) -> i64 {
    event.fields.get("repeats").and_then(|n| n.as_int()).unwrap_or(1)
}

fn title(boot: usize, event: &Event) -> u64 {
    let mut hasher = DefaultHasher::new();
    (boot, event.title.as_str()).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use facts::{Frame, Stack};

    use super::*;

    fn event(line: u64, title: &str) -> Event {
        let mut event = Event::new("x", "warning", Severity::Report).titled(title);
        event.first_line = line;
        let mut stack = Stack::printed("call trace");
        stack.frames = vec![Frame::printed("schedule"); 50];
        event.stacks.push(stack);
        event
    }

    #[test]
    fn the_first_and_the_newest_are_whole_and_all_are_counted() {
        let weight = event(1, "title 0").weight();
        let mut kept = Kept::within(Room { first: 10 * weight, between: 4 * weight, newest: 10 * weight });
        const ALL: u64 = 3000;
        for line in 0..ALL {
            kept.add(0, Box::new(event(line, &format!("title {}", line % 7))));
        }
        let why: Vec<String> = kept.gaps("log").into_iter().map(|gap| gap.why).collect();
        let all: Vec<Event> = kept.into_events().map(|(_, event)| *event).collect();
        assert_eq!(all.iter().map(repeats).sum::<i64>(), ALL as i64, "{why:?}");
        let whole: Vec<u64> = all.iter().filter(|e| !e.stacks.is_empty()).map(|e| e.first_line).collect();
        assert!(whole.starts_with(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]) && whole.ends_with(&[ALL - 1]), "{whole:?}");
        assert!(whole.len() >= 19 && all.len() < 200, "{} {}", whole.len(), all.len());
        assert_eq!(why.len(), 2, "{why:?}");
        assert!(all.is_sorted_by_key(|e| e.first_line));
    }

    #[test]
    fn of_a_thousand_equal_events_the_last_stands_for_those_behind() {
        let mut kept = Kept::default();
        for line in 0..1500 {
            kept.add(0, Box::new(event(line, "title")));
        }
        assert!(kept.gaps("log").is_empty());
        let all: Vec<Event> = kept.into_events().map(|(_, event)| *event).collect();
        let last = all.last().map(|e| (e.first_line, repeats(e)));
        assert_eq!((all.len(), last), (1000, Some((1499, 501))));
    }
}
