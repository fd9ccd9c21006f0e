//! One report while its lines come in: the parts that all families have in common.

mod cpu_line;
pub(crate) mod frame;
mod modules;
mod registers;

use facts::{Context, Ended, Stack};

use crate::cursor::Cursor;
use crate::event::{Event, Location};
use crate::family::Family;
use crate::{Caller, Line};

/// More frames than this in one stack are dropped; a recursion prints at most a few hundred.
const MAX_FRAMES: usize = 512;
/// More stacks than this in one report are dropped.
const MAX_STACKS: usize = 128;

/// What became of a line that was offered to a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// It belongs to the report.
    Take,
    /// It belongs to the report and ends it.
    End,
    /// It does not belong to the report.
    Pass,
    /// It does not belong to the report, which was complete before it.
    Stop,
}

/// A report whose lines are still coming.
pub(crate) struct Report {
    pub(crate) event: Event,
    pub(crate) family: &'static Family,
    /// Lines passed over since the last one that belonged to the report.
    pub(crate) foreign: u32,
    /// Lines of other output that stood between lines of the report.
    pub(crate) mixed: u32,
    /// The end marker was seen; only a repetition of the registers may follow.
    pub(crate) ended: bool,
    /// The last line that belonged was a frame or opened a trace.
    in_trace: bool,
    context: Context,
    /// In a register block of user space.
    user_registers: bool,
    /// The list of modules may go on in the next line.
    modules_open: bool,
    /// The function a register block names must not replace the first.
    pub(crate) registers_seen: u32,
    /// A trace was announced and has no frame yet.
    pub(crate) empty_traces: u32,
}

impl Report {
    pub(crate) fn new(event: Event, family: &'static Family) -> Self {
        Report {
            event,
            family,
            foreign: 0,
            mixed: 0,
            ended: false,
            in_trace: false,
            context: Context::Task,
            user_registers: false,
            modules_open: false,
            registers_seen: 0,
            empty_traces: 0,
        }
    }

    pub(crate) fn caller(&self) -> Option<Caller> {
        self.event.caller
    }

    /// Starts a stack of that name; frames that follow belong to it.
    pub(crate) fn begin_stack(&mut self, name: impl Into<String>) {
        if let Some(last) = self.event.stacks.last()
            && last.frames.is_empty()
        {
            self.event.stacks.pop();
        }
        if self.event.stacks.len() < MAX_STACKS {
            self.event.stacks.push(Stack::printed(name));
        }
        self.context = Context::Task;
        self.in_trace = true;
        self.empty_traces += 1;
    }

    /// Has the report got any frame?
    pub(crate) fn has_frames(&self) -> bool {
        self.event.stacks.iter().any(|s| !s.frames.is_empty())
    }

    /// Reads a line of the parts that all reports have: CPU line, registers, code, modules, traces, end markers.
    pub(crate) fn common(&mut self, line: &Line<'_>) -> Step {
        let text = line.text();
        let step = self.common_text(text);
        if step != Step::Pass {
            return step;
        }
        self.in_trace = self.in_trace && text.is_empty();
        self.modules_open = false;
        step
    }

    fn common_text(&mut self, text: &str) -> Step {
        if text.is_empty() {
            return Step::Pass;
        }
        if self.in_trace || text.starts_with("[<") || text.contains("+0x") {
            let step = self.trace_line(text);
            if step != Step::Pass {
                self.modules_open = false;
                return step;
            }
        }
        if cpu_line::read(text, &mut self.event) {
            return Step::Take;
        }
        if let Some(rest) = text.strip_prefix("Hardware name:") {
            self.event.hardware.get_or_insert_with(|| rest.trim().to_owned());
            return Step::Take;
        }
        if let Some(rest) = text.strip_prefix("Workqueue:") {
            self.event.fields.entry("workqueue".into()).or_insert_with(|| rest.trim().into());
            return Step::Take;
        }
        if text.starts_with("Tainted: [") || text.starts_with("task: ") || text.starts_with("Stopper: ") {
            return Step::Take;
        }
        if let Some(rest) = text.strip_prefix("Modules linked in:") {
            modules::read(rest, &mut self.event);
            self.modules_open = true;
            return Step::Take;
        }
        if self.modules_open && modules::continues(text) {
            modules::read(text, &mut self.event);
            return Step::Take;
        }
        if text.starts_with("Unloaded tainted modules:") {
            return Step::Take;
        }
        if let Some(step) = self.code_line(text) {
            return step;
        }
        if is_trace_head(text) {
            self.begin_stack("call trace");
            if let Some((_, rest)) = text.split_once("race:").filter(|(_, rest)| !rest.trim().is_empty()) {
                self.trace_line(rest.trim());
            }
            return Step::Take;
        }
        if text.starts_with("---[ end trace") || text.starts_with("--[ end trace") {
            self.ended = true;
            return Step::Take;
        }
        let step = registers::read(text, self);
        if step == Step::Take {
            return step;
        }
        Step::Pass
    }

    /// A line of a trace: a frame, a context mark, a register block inside.
    fn trace_line(&mut self, text: &str) -> Step {
        let mut text = text;
        // `<IRQ>  [<..>] f` of old kernels, and `<IRQ>` alone.
        while let Some((context, rest)) = frame::context_mark(text) {
            self.context = context;
            self.in_trace = true;
            text = rest.trim_start();
            if text.is_empty() {
                return Step::Take;
            }
        }
        if let Some(mut frame) = frame::read(text) {
            frame.context = self.context;
            if self.event.stacks.is_empty() || !self.in_trace && !self.last_stack_open() {
                self.begin_stack("call trace");
            }
            self.in_trace = true;
            self.empty_traces = 0;
            if let Some(stack) = self.event.stacks.last_mut()
                && stack.frames.len() < MAX_FRAMES
            {
                stack.frames.push(frame);
            }
            return Step::Take;
        }
        Step::Pass
    }

    /// Frames that come after other lines of the report still belong to the stack that is being printed.
    fn last_stack_open(&self) -> bool {
        self.event.stacks.last().is_some()
    }

    fn code_line(&mut self, text: &str) -> Option<Step> {
        let rest = text.strip_prefix("Code:").or_else(|| text.strip_prefix("Instruction dump:"))?;
        if !self.user_registers && self.event.code.is_none() && !rest.contains("Bad RIP") && !rest.contains("Unable") {
            self.event.code = Some(rest.trim().to_owned());
        }
        Some(Step::Take)
    }

    /// A place from a register block or a header; the first one stays.
    pub(crate) fn set_place(&mut self, place: Location) {
        if self.event.place.is_none() {
            self.event.place = Some(place);
        }
    }

    pub(crate) fn set_user_registers(&mut self, user: bool) {
        self.user_registers = user;
    }

    pub(crate) fn user_registers(&self) -> bool {
        self.user_registers
    }

    /// Closes the report.
    pub(crate) fn finish(mut self) -> Event {
        self.event.stacks.retain(|s| !s.frames.is_empty());
        for stack in &mut self.event.stacks {
            stack.cpu = stack.cpu.or(self.event.cpu);
            stack.ended = Ended::Unknown;
        }
        (self.family.finish)(&mut self);
        self.event
    }
}

/// `Call Trace:`, `Call trace:`, `Backtrace:`, `stack backtrace:`, `Stack:`
pub(crate) fn is_trace_head(text: &str) -> bool {
    let text = text.strip_prefix("kernel ").unwrap_or(text);
    ["Call Trace:", "Call trace:", "Backtrace:", "stack backtrace:", "call trace:", "Stack traceback"]
        .iter()
        .any(|head| text.starts_with(head))
}

/// Reads `func+0x12/0x34 [module]` at the start of `text`.
pub(crate) fn location(text: &str) -> Option<Location> {
    let frame = frame::read(text.trim())?;
    Some(Location { function: frame.function?, offset: frame.offset, size: frame.size, module: frame.module })
}

/// Reads a symbol with offset at the cursor: `func+0x12/0x34`.
pub(crate) fn location_at<'a>(c: &mut Cursor<'a>) -> Option<Location> {
    let (symbol, offset, size, rest) = frame::symbol(c.rest())?;
    let mut ahead = Cursor::new(rest);
    let mut module = None;
    let mut bracket = ahead;
    if bracket.take(" [")
        && let Some(name) = bracket.until("]")
    {
        module = name.split(' ').next().map(str::to_owned);
        ahead = bracket;
    }
    *c = ahead;
    Some(Location { function: symbol.to_owned(), offset, size, module })
}
