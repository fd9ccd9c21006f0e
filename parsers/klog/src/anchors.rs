//! The texts that are searched for in the raw bytes of a log, all in one pass.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, OnceLock};

use aho_corasick::automaton::{Automaton, StateID};
use aho_corasick::dfa::DFA;
use aho_corasick::nfa::{contiguous, noncontiguous};
use aho_corasick::{Anchored, MatchKind};

use crate::{carrier, family};

/// Anchors of the scanner itself.
const OWN: &[&str] = &[
    crate::scanner::CUT_HERE,
    "Linux version ",
    "ommand line: ",
    "printk messages dropped",
    "callbacks suppressed",
    "output lines suppressed",
    "replaying previous printk message",
    "setting system clock to ",
    "type=2000 audit(",
    "-- Boot ",
    "-- Reboot --",
    "DMI: ",
    "messages lost",
    "imuxsock lost ",
    "Missed ",
    "recent printk recursion",
];

/// Which families a line may open, as a set of bits; the lowest stands for the scanner's own anchors.
pub(crate) type Hits = u128;

/// The texts a [`Scanner`](crate::Scanner) looks for: those of the families, and words of its user. Made once and shared.
pub struct Anchors {
    states: States,
    /// What each pattern stands for, as a bit; none for a mark of a carrier.
    bits: Vec<Hits>,
    /// Longest pattern.
    longest: usize,
}

/// The automaton in three forms. The table of all transitions is the fastest to search with, and making it takes as
/// long as searching a megabyte without it: most logs are smaller.
struct States {
    /// What the table is made from.
    source: noncontiguous::NFA,
    small: contiguous::NFA,
    table: OnceLock<DFA>,
    /// Bytes searched while there was no table.
    searched: AtomicUsize,
}

/// Bytes after whose search the table is made.
const WORTH_A_TABLE: usize = 1 << 20;

impl States {
    fn new(patterns: &[&str]) -> States {
        let source = noncontiguous::NFA::builder().match_kind(MatchKind::Standard).prefilter(false).build(patterns);
        let source = source.expect("the anchors are few and constant");
        let small = contiguous::NFA::builder().prefilter(false).build_from_noncontiguous(&source);
        let small = small.expect("the anchors are few and constant");
        States { source, small, table: OnceLock::new(), searched: AtomicUsize::new(0) }
    }

    /// The table, once enough was searched; `more` bytes are to be searched now.
    fn table(&self, more: usize) -> Option<&DFA> {
        if let Some(table) = self.table.get() {
            return Some(table);
        }
        let before = self.searched.fetch_add(more, Ordering::Relaxed);
        (before.saturating_add(more) >= WORTH_A_TABLE).then(|| {
            self.table.get_or_init(|| {
                let table = DFA::builder().prefilter(false).build_from_noncontiguous(&self.source);
                table.expect("the anchors are few and constant")
            })
        })
    }
}

/// The bit of the words that the user of the scanner asked for.
pub(crate) const WORD: Hits = 1 << 127;

/// The bit of lines that end in the first words of an anchor.
pub(crate) const CUT: Hits = 1 << 126;

/// First words of an anchor that are shorter, with the newline behind them, end other lines too.
const MIN_CUT: usize = 9;

/// The anchors of the families, broken at each of their blanks.
fn broken() -> Vec<String> {
    let anchors = family::ALL.iter().flat_map(|family| family.anchors);
    let heads = anchors.flat_map(|anchor| {
        let blanks = anchor.match_indices(' ').map(|(at, _)| at);
        blanks.filter_map(|at| anchor.get(..at)).map(|head| format!("{head}\n"))
    });
    let heads: BTreeSet<String> = heads.filter(|head| head.len() >= MIN_CUT && !head.starts_with(' ')).collect();
    heads.into_iter().collect()
}

/// Where a match ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Offset of its last byte but one.
    pub(crate) at: usize,
    /// What it stands for; nothing for a mark of a carrier.
    pub(crate) hits: Hits,
}

impl Default for Anchors {
    fn default() -> Self {
        Anchors::with_words([])
    }
}

impl Anchors {
    /// The anchors of all families, and `words`: a line that holds one of these is handed out as [`Item::Seen`](crate::Item::Seen).
    pub fn with_words<'w>(words: impl IntoIterator<Item = &'w str>) -> Self {
        let mut patterns: Vec<&str> = Vec::new();
        let mut bits = Vec::new();
        for anchor in OWN {
            patterns.push(anchor);
            bits.push(1);
        }
        for mark in carrier::MARKS {
            patterns.push(mark);
            bits.push(0);
        }
        for (number, family) in family::ALL.iter().enumerate() {
            for anchor in family.anchors {
                patterns.push(anchor);
                bits.push(2 << number);
            }
        }
        // Anchors that a mail program broke at one of their blanks.
        let cut = broken();
        for head in &cut {
            patterns.push(head);
            bits.push(CUT);
        }
        for word in words {
            // A match is attributed to the line of its last byte but one.
            if word.len() >= 2 {
                patterns.push(word);
                bits.push(WORD);
            }
        }
        let longest = patterns.iter().map(|p| p.len()).max().unwrap_or(0);
        Anchors { states: States::new(&patterns), bits, longest }
    }

    /// The anchors that everybody shares who has no words.
    pub(crate) fn shared() -> Arc<Anchors> {
        static SHARED: LazyLock<Arc<Anchors>> = LazyLock::new(Arc::default);
        Arc::clone(&SHARED)
    }

    /// The texts of the families and of the scanner, for measurements beside other searching programs.
    pub fn texts() -> Vec<&'static str> {
        OWN.iter().chain(family::ALL.iter().flat_map(|family| family.anchors)).copied().collect()
    }

    pub(crate) fn has_words(&self) -> bool {
        self.bits.last() == Some(&WORD)
    }

    /// Puts where matches end into `places`, in ascending order.
    pub(crate) fn places(&self, text: &[u8], places: &mut Vec<Place>) {
        places.clear();
        match self.states.table(text.len()) {
            Some(table) => self.places_by(table, text, places),
            None => self.places_by(&self.states.small, text, places),
        }
    }

    /// The families whose anchors stand in `line`.
    pub(crate) fn hits(&self, line: &[u8]) -> Hits {
        match self.states.table(line.len()) {
            Some(table) => self.hits_by(table, line),
            None => self.hits_by(&self.states.small, line),
        }
    }

    /// The automaton takes one step a byte, and each step waits for the one before. Four parts of the text are
    /// searched in turn, so that the steps of one part run while those of the others wait. A function of its own: the loop
    /// needs the registers of the processor for itself.
    #[inline(never)]
    fn places_by(&self, automaton: &impl Automaton, text: &[u8], places: &mut Vec<Place>) {
        let quarter = text.len() / 4;
        if quarter < 4 * self.longest {
            self.run(automaton, root(automaton), text, 0, places);
            return;
        }
        // Parts of one length, which the compiler knows to be that: no bounds are checked in the loop.
        let part = |number: usize| &text[number * quarter..][..quarter];
        let (a, b, c, d) = (part(0), part(1), part(2), part(3));
        let root = root(automaton);
        let (mut at_a, mut at_b, mut at_c, mut at_d) = (root, root, root, root);
        for i in 0..quarter {
            at_a = automaton.next_state(Anchored::No, at_a, a[i]);
            at_b = automaton.next_state(Anchored::No, at_b, b[i]);
            at_c = automaton.next_state(Anchored::No, at_c, c[i]);
            at_d = automaton.next_state(Anchored::No, at_d, d[i]);
            let special = automaton.is_special(at_a) | automaton.is_special(at_b);
            if special | automaton.is_special(at_c) | automaton.is_special(at_d) {
                for (part, state) in [at_a, at_b, at_c, at_d].into_iter().enumerate() {
                    self.note(automaton, state, part * quarter + i, places);
                }
            }
        }
        // A match may reach over the end of a part.
        for (part, state) in [at_a, at_b, at_c, at_d].into_iter().enumerate() {
            let start = (part + 1) * quarter;
            let end = if part == 3 { text.len() } else { start + self.longest };
            self.run(automaton, state, &text[start..end], start, places);
        }
        places.sort_unstable_by_key(|place| place.at);
        places.dedup_by(|next, kept| {
            let same = next.at == kept.at;
            kept.hits |= if same { next.hits } else { 0 };
            same
        });
    }

    fn run(&self, automaton: &impl Automaton, mut state: StateID, text: &[u8], before: usize, places: &mut Vec<Place>) {
        for (i, byte) in text.iter().enumerate() {
            state = automaton.next_state(Anchored::No, state, *byte);
            if automaton.is_special(state) {
                self.note(automaton, state, before + i, places);
            }
        }
    }

    /// Keeps the match whose last byte is at `last`, if the state is one.
    fn note(&self, automaton: &impl Automaton, state: StateID, last: usize, places: &mut Vec<Place>) {
        if automaton.is_match(state) {
            places.push(Place { at: last.saturating_sub(1), hits: self.hits_of(automaton, state) });
        }
    }

    fn hits_of(&self, automaton: &impl Automaton, state: StateID) -> Hits {
        (0..automaton.match_len(state))
            .filter_map(|index| self.bits.get(automaton.match_pattern(state, index).as_usize()))
            .fold(0, |hits, bit| hits | bit)
    }

    fn hits_by(&self, automaton: &impl Automaton, line: &[u8]) -> Hits {
        let mut state = root(automaton);
        let mut hits = 0;
        for byte in line {
            state = automaton.next_state(Anchored::No, state, *byte);
            if automaton.is_special(state) && automaton.is_match(state) {
                hits |= self.hits_of(automaton, state);
            }
        }
        hits & !WORD
    }
}

fn root(automaton: &impl Automaton) -> StateID {
    automaton.start_state(Anchored::No).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_matches_are_found_wherever_the_text_is_divided() {
        let anchors = Anchors::with_words(["a word"]);
        for length in [0usize, 10, 1000, 4096, 10_000] {
            for at in (0..length.saturating_sub(12)).step_by(if length > 4096 { 61 } else { 7 }) {
                let mut text = vec![b'.'; length];
                text[at..at + 11].copy_from_slice(b"INFO: task ");
                let mut places = Vec::new();
                anchors.places(&text, &mut places);
                assert_eq!(places, [Place { at: at + 9, hits: anchors.hits(b"INFO: task ") }], "{length} {at}");
            }
        }
        assert!(anchors.states.table.get().is_some(), "both forms were searched with");
        let mut places = Vec::new();
        anchors.places(b"a word", &mut places);
        assert_eq!((places, anchors.hits(b"a word")), (vec![Place { at: 4, hits: WORD }], 0));
        assert!(anchors.hits(b"x INFO: task y") > 1);
    }
}
