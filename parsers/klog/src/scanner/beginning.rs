//! The first lines of a log that does not begin with a boot: cut logs begin in the middle of a report, whose lines have
//! no anchor.

use crate::Line;
use crate::report::task_line;

/// Lines at the start of a log that are read even where no anchor stands in them.
const LINES: u32 = 64;

/// How far the start of the log is read.
#[derive(Default)]
pub(super) struct Beginning {
    read: u32,
    /// The line above one with an anchor of a report without its head.
    above: String,
}

impl Beginning {
    /// Are the lines at hand among the first?
    pub(super) fn lasts(&self) -> bool {
        self.read < LINES
    }

    /// A line of the log was read.
    pub(super) fn pass(&mut self) {
        self.read = self.read.saturating_add(1);
    }

    /// A boot begins: nothing is cut off before it.
    pub(super) fn end(&mut self) {
        self.read = LINES;
    }

    /// The line above the next one.
    pub(super) fn stands_below(&mut self, above: &str) {
        self.above.clear();
        self.above.push_str(above);
    }

    /// Is what begins at this line the stack of a task that somebody asked for, not of one that failed?
    pub(super) fn is_of_listed_task(&self, line: &Line<'_>) -> bool {
        let above = self.above.trim_end();
        let task = above.find("task:").and_then(|at| above.get(at..)).or_else(|| above.rsplit("] ").next());
        task.is_some_and(|text| task_line(text.trim_start()).is_some()) && line.text().contains("race:")
    }
}
