//! Whether two sources tell of the same boot of a machine, by when their boots began and ended.

use facts::{Fact, Identity};
use snapshot::Span;

use super::piece::Piece;
use crate::derive::Moment;

/// Seconds within which two logs write the banner of one boot.
const SAME: i64 = 300;
/// Without a year in a log, moments further apart than this may be of two years.
const HALF_A_YEAR: i64 = 180 * 86_400;

/// What is known of a case's boot, from all that was joined to it.
#[derive(Clone, Debug, Default)]
pub(super) struct Known {
    spans: Vec<Span>,
    /// Another boot came after it.
    over: bool,
    /// Its state was collected while it ran.
    collected: bool,
}

impl Known {
    pub(super) fn add(&mut self, piece: &Piece) {
        if piece.span != Span::default() {
            self.spans.push(piece.span.clone());
        }
        self.over |= piece.over;
        self.collected |= piece.of_collection;
    }

    /// Whether the clocks of two logs say that they are of one boot.
    pub(super) fn began_with(&self, piece: &Piece) -> bool {
        let began = |span: &Span| seconds(span.started.as_deref(), piece.span.started.as_deref());
        self.spans.iter().filter_map(began).any(|seconds| seconds.abs() <= SAME)
    }

    /// Whether they cannot be of one boot: one began when the other had begun already, or had ended; or one is over,
    /// and the other is the one in which the report was made.
    fn differs_from(&self, piece: &Piece) -> bool {
        let other = &piece.span;
        let apart = |span: &Span| {
            seconds(span.started.as_deref(), other.started.as_deref()).is_some_and(|s| s.abs() > SAME)
                || seconds(span.ended.as_deref(), other.started.as_deref()).is_some_and(|s| s > SAME)
                || seconds(other.ended.as_deref(), span.started.as_deref()).is_some_and(|s| s > SAME)
        };
        self.spans.iter().any(apart) || self.over && piece.of_collection || self.collected && piece.over
    }
}

/// Seconds from one moment to another.
fn seconds(from: Option<&str>, to: Option<&str>) -> Option<i64> {
    let (from, to) = (Moment::parse(from?)?, Moment::parse(to?)?);
    from.until(to).filter(|seconds| seconds.abs() < HALF_A_YEAR)
}

/// Whether something proves that a piece is of the boot of a case: its id, the time at which it began, a line that both
/// have.
pub(super) fn proven(known: &Known, identity: &Identity, facts: &[Fact], piece: &Piece) -> bool {
    let (a, b) = (identity, &piece.identity);
    a.boot_id.is_some() && a.boot_id == b.boot_id
        || a.booted().is_some() && b.booted().is_some()
        || known.began_with(piece)
        || began_at(a, piece)
        || share_a_line(facts, piece)
}

/// Whether one of the first reports of a log stands, with its time since boot, among the facts of a case, too.
pub(super) fn share_a_line(facts: &[Fact], piece: &Piece) -> bool {
    const ENOUGH: usize = 20;
    piece.facts.iter().filter(|fact| stamp(fact).is_some()).take(ENOUGH).any(|fact| {
        facts.iter().any(|old| old.kind == fact.kind && stamp(old) == stamp(fact) && old.quote == fact.quote)
    })
}

/// Whether the banner of a log stands at the time at which the boot began, as memory or `/proc/stat` tell it: that is in
/// UTC, and so are the logs of many servers. Those of others prove nothing.
pub(super) fn began_at(identity: &Identity, piece: &Piece) -> bool {
    let began =
        identity.boot_time.as_deref().and_then(|time| time.strip_suffix('Z')).map(|time| time.replace('T', " "));
    seconds(began.as_deref(), piece.span.started.as_deref()).is_some_and(|seconds| seconds.abs() <= SAME)
}

/// Whether a piece cannot be of the boot of a case, though its identity does not say so.
pub(super) fn differs(known: &Known, piece: &Piece) -> bool {
    known.differs_from(piece)
}

/// Nanoseconds since boot. What stands at zero stands there in every boot of that kernel: its banner, for one.
fn stamp(fact: &Fact) -> Option<i64> {
    let time = fact.time.filter(|_| fact.kind.starts_with("log."))?;
    time.since_boot_ns.filter(|since| *since > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(started: Option<&str>, ended: Option<&str>, over: bool) -> Piece {
        let span = Span { started: started.map(str::to_owned), ended: ended.map(str::to_owned), first_line: 1 };
        Piece { span, over, stream: Some(1), ..Piece::default() }
    }

    #[test]
    fn a_log_in_utc_is_of_the_boot_that_began_then() {
        let identity = Identity { boot_time: Some("2026-11-21T11:36:38Z".to_owned()), ..Identity::default() };
        assert!(began_at(&identity, &log(Some("11-21 11:36:40"), None, true)));
        assert!(!began_at(&identity, &log(Some("11-21 12:36:40"), None, true)), "another zone, or another boot");
        assert!(!began_at(&Identity::default(), &log(Some("11-21 11:36:40"), None, true)));
    }

    #[test]
    fn boots_are_told_apart_by_their_clocks() {
        let mut known = Known::default();
        known.add(&log(Some("01-05 08:00:00"), Some("01-05 10:11:12"), true));
        assert!(known.began_with(&log(Some("2024-01-05 08:00:02"), None, false)));
        assert!(known.differs_from(&log(Some("01-05 10:14:30"), None, false)), "the boot after it");
        assert!(known.differs_from(&log(None, Some("01-05 07:50:00"), true)), "the boot before it");
        assert!(!known.differs_from(&log(None, Some("01-05 10:11:00"), true)), "a log without its banner");
        assert!(known.differs_from(&Piece { of_collection: true, ..Piece::default() }), "a report made later");
        // No year, and the turn of one between them.
        known.add(&log(None, Some("01-05 10:11:12"), false));
        assert!(!known.began_with(&log(Some("12-30 08:00:00"), None, false)));
        let mut last = Known::default();
        last.add(&log(None, Some("01-05 10:11:12"), false));
        assert!(!last.differs_from(&log(Some("12-30 08:00:00"), None, false)));
    }
}
