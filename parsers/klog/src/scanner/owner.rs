//! Which of the open reports a line belongs to.

use super::{MAX_SILENT, State};
use crate::Line;
use crate::report::Report;

impl State {
    /// The report of a line that is a frame or a row of registers, if [`report_of`](Self::report_of) would neither have to
    /// read the line for it nor close another one first.
    pub(super) fn report_of_row(&mut self, line: &Line<'_>) -> Option<&mut Report> {
        match (&mut self.open[..], line.caller) {
            ([only], caller) => caller.is_none_or(|caller| only.is_by(caller)).then_some(only),
            (several, _) if several.iter().any(|r| r.taken_at + MAX_SILENT < line.number) => None,
            (several, Some(caller)) => several.iter_mut().rev().find(|r| r.is_by(caller)),
            (several, None) => several.iter_mut().max_by_key(|r| r.taken_at).filter(|speaker| !speaker.awaits_trace()),
        }
    }

    /// The open report that a line most likely belongs to. Callers tell reports apart for certain; without them the
    /// CPU, the pid and the shape of a line do, and the reports remember that it was a guess.
    pub(super) fn report_of(&mut self, line: &Line<'_>) -> Option<usize> {
        let ours = |r: &Report| !hosts_differ(r.event.host.as_deref(), line.host);
        // Nearly always one report is open, and the line is its own.
        match &self.open[..] {
            [] => return None,
            [only] if line.caller.is_none_or(|caller| only.is_by(caller)) => return ours(only).then_some(0),
            _ => {}
        }
        if let Some(caller) = line.caller {
            return (self.open.iter().rposition(|r| r.is_by(caller) && ours(r)))
                .or_else(|| {
                    (0..self.open.len())
                        .rev()
                        .find(|at| ours(&self.open[*at]) && self.open[*at].takes_answer(caller, line.text()))
                })
                .or_else(|| self.open.iter().rposition(|r| r.caller().is_none() && ours(r)));
        }
        // The report that took a line last goes on, unless the line says otherwise.
        let speaker =
            (0..self.open.len()).filter(|at| ours(&self.open[*at])).max_by_key(|at| self.open[*at].taken_at)?;
        let text = line.text();
        let other = |wanted: &dyn Fn(&Report) -> bool| {
            (0..self.open.len()).rev().find(|at| *at != speaker && ours(&self.open[*at]) && wanted(&self.open[*at]))
        };
        let found = if let Some(who) = crate::report::speaks_of(text) {
            match self.open[speaker].is_of(who) {
                Some(true) => None,
                Some(false) => other(&|r| r.is_of(who) == Some(true)).or_else(|| other(&|r| r.is_of(who).is_none())),
                None => other(&|r| r.is_of(who) == Some(true)),
            }
        } else if crate::report::goes_on_with_fault(text) && !self.open[speaker].awaits_fault() {
            other(&|r| r.awaits_fault())
        } else if self.open[speaker].awaits_trace() && crate::report::is_frame(text) {
            other(&|r| r.in_trace())
        } else {
            None
        };
        let Some(at) = found else { return Some(speaker) };
        self.open[speaker].guessed = true;
        self.open[at].guessed = true;
        Some(at)
    }
}

/// Are these certainly two machines? One may be named with its domain, and early lines of a boot have no name yet.
pub(crate) fn hosts_differ(a: Option<&str>, b: Option<&str>) -> bool {
    let (Some(a), Some(b)) = (a, b) else { return false };
    let unnamed = |h: &str| matches!(h, "" | "-" | "localhost" | "(none)" | "localhost.localdomain");
    let short = |h: &'_ str| h.split('.').next().unwrap_or(h).len();
    a != b && !unnamed(a) && !unnamed(b) && a[..short(a)] != b[..short(b)]
}
