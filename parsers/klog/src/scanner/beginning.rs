//! The first lines of a log that does not begin with a boot: cut logs begin in the middle of a report, whose lines have
//! no anchor.

use crate::Line;
use crate::cursor::{has, split};
use crate::report::{Task, task_line};

/// Lines at the start of a log that are read even where no anchor stands in them.
const LINES: u32 = 64;

/// How far the start of the log is read.
#[derive(Default)]
pub(super) struct Beginning {
    read: u32,
    /// The line above one with an anchor of a report without its head.
    above: String,
    /// Work queue and work of the task whose line that is.
    work: String,
    /// The first lines show a blocked task, and no other task came since.
    blocked: bool,
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

    /// The line above the next one. Between the line of a kernel thread and its stack stands what it works on.
    pub(super) fn stands_below(&mut self, above: &str) {
        self.work.clear();
        if let Some((_, work)) = above.split_once("Workqueue: ") {
            self.work.push_str(work.trim());
            return;
        }
        self.above.clear();
        self.above.push_str(above);
    }

    /// The task whose line stands above.
    pub(super) fn task(&self) -> Option<Task<'_>> {
        let above = self.above.trim_end();
        let text = split(above, "task:")
            .and_then(|(before, _)| above.get(before.len()..))
            .or_else(|| above.rsplit("] ").next())?;
        task_line(text.trim_start())
    }

    /// What that task works on.
    pub(super) fn work(&self) -> Option<&str> {
        (!self.work.is_empty()).then_some(self.work.as_str())
    }

    /// Is the line above the end of a report, which the registers stand behind once more?
    pub(super) fn is_below_the_end(&self) -> bool {
        self.above.contains("---[ end trace ")
    }

    /// Is what begins at this line the stack of a task that somebody asked for, not of one that is blocked? Lists of
    /// blocked tasks hold no others; a list of all begins with one that sleeps otherwise.
    pub(super) fn is_of_listed_task(&mut self, line: &Line<'_>) -> bool {
        if !has(line.text(), "race:") {
            return false;
        }
        let Some(task) = self.task() else { return false };
        let blocked = task.state == Some('D');
        self.blocked &= blocked;
        self.blocked |= blocked && self.lasts();
        !self.blocked
    }
}
