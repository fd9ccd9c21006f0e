//! One report while its lines come in: the parts that all families have in common.

mod cpu_line;
pub(crate) mod frame;
mod lines;
mod memory_rows;
mod modules;
mod registers;
mod spare;
mod task_line;

use facts::{Context, Ended, Found, Frame, Stack, Stamp};

use crate::cursor::{Cursor, has, split};
use crate::event::{Event, Location, Severity};
use crate::family::{Family, Form, hung_task};
use crate::{Caller, Line};

pub(crate) use lines::{goes_on_with_fault, is_frame, is_trace_head, location, location_at, speaks_of, stopped_cpu};
pub(crate) use task_line::{Task, read as task_line};

/// More frames than this in one stack are dropped; a recursion prints at most a few hundred.
const MAX_FRAMES: usize = 512;
/// Name of a stack that nothing else names.
const TRACE: &str = "call trace";
/// Name of the stack that holds the last branch before the report.
const LAST_BRANCH: &str = "last branch";
/// More stacks than this in one report are dropped: `sysrq-t` prints one for each task.
const MAX_STACKS: usize = 2048;

/// Lines of other output after which a report is taken to be over.
pub(crate) const MAX_FOREIGN: u32 = 48;

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
    pub(crate) form: Form,
    /// Lines passed over since the last one that belonged to the report.
    pub(crate) foreign: u32,
    /// The line that was taken last.
    pub(crate) taken_at: u64,
    taken_time: Option<Stamp>,
    /// Which lines are its own was guessed.
    pub(crate) guessed: bool,
    /// Another report began in the middle of it.
    pub(crate) parked: bool,
    /// It went on behind that one.
    resumed: bool,
    /// CPU lines of two tasks stand in it.
    two_tasks: bool,
    /// Traces that were announced by a line of their own.
    heads: u32,
    /// Messages were dropped behind its last line.
    losing: bool,
    /// Messages were dropped between its lines.
    lost: bool,
    /// Very many lines of others stand between its lines.
    scattered: bool,
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
    /// `stack backtrace:` was the last head of a trace.
    backtrace: bool,
    /// Traces that were announced and got no frame.
    hollow: u32,
    /// Stacks beyond the limit; the frames that follow are theirs.
    stacks_dropped: u32,
    /// What is wrong with the report, found by its family.
    pub(crate) torn: Option<String>,
    /// It was no report after all.
    pub(crate) discard: bool,
    /// The register block that is being printed belongs to a frame inside the trace.
    nested: bool,
    /// The stack that was begun last takes the next program counter as its innermost frame.
    wants_counter: bool,
    /// The next program counter is the place of the report.
    places: bool,
    /// Other CPUs were asked to print their stacks.
    asks: bool,
    /// Who called the last frame, where its line names both.
    caller_of_last: Option<Frame>,
    /// Callers of the CPUs that answered.
    answers: Vec<Caller>,
    /// Of a list of tasks, those that are blocked; the last one has no stack while it is being printed.
    pub(crate) blocked: Vec<Event>,
}

/// The stack of the kernel thread that waits for the grace period, in the report of a stall.
pub(crate) const GRACE_PERIOD: &str = "grace-period kthread";
/// Head of a CPU's stack that another CPU asked for.
const NMI_BACKTRACE: &str = "NMI backtrace for cpu ";
/// The stack of a CPU that a panic stops: what it ran is no part of the report.
pub(crate) const STOPPED: &str = "stopped CPU ";
/// CPUs whose answers are told apart by their callers.
const MAX_ANSWERS: usize = 1024;

impl Report {
    pub(crate) fn new(event: Event, family: &'static Family, form: Form) -> Self {
        let (taken_at, taken_time) = (event.last_line, event.time);
        Report {
            event,
            family,
            form,
            foreign: 0,
            taken_at,
            taken_time,
            guessed: false,
            parked: false,
            resumed: false,
            two_tasks: false,
            heads: 0,
            losing: false,
            lost: false,
            scattered: false,
            ended: false,
            in_trace: false,
            context: Context::Task,
            user_registers: false,
            modules_open: false,
            registers_seen: 0,
            backtrace: false,
            hollow: 0,
            stacks_dropped: 0,
            torn: None,
            discard: false,
            nested: false,
            wants_counter: false,
            places: false,
            asks: false,
            answers: Vec::new(),
            caller_of_last: None,
            blocked: Vec::new(),
        }
    }

    pub(crate) fn caller(&self) -> Option<Caller> {
        self.event.caller
    }

    /// Does the caller print the report, or a CPU's answer within it?
    pub(crate) fn is_by(&self, caller: Caller) -> bool {
        self.event.caller == Some(caller) || self.answers.contains(&caller)
    }

    /// Takes a CPU's stack that this report asked for; the CPU prints it itself (lib/nmi_backtrace.c).
    pub(crate) fn takes_answer(&mut self, caller: Caller, text: &str) -> bool {
        let takes = self.asks && text.starts_with(NMI_BACKTRACE) && self.answers.len() < MAX_ANSWERS;
        if takes {
            self.answers.push(caller);
        }
        takes
    }

    /// The caller has begun a report of its own. Was it only answering here?
    pub(crate) fn forgets(&mut self, caller: Option<Caller>) -> bool {
        let Some(caller) = caller.filter(|c| self.event.caller != Some(*c)) else { return false };
        let before = self.answers.len();
        self.answers.retain(|c| *c != caller);
        self.answers.len() < before
    }

    /// A line of the report was read.
    pub(crate) fn taken(&mut self, line: &Line<'_>) {
        self.scattered |= self.foreign > MAX_FOREIGN;
        self.foreign = 0;
        self.event.last_line = line.number;
        self.taken_at = line.number;
        self.taken_time = line.time.or(self.taken_time);
        self.resumed |= self.parked;
        self.lost |= std::mem::take(&mut self.losing);
    }

    /// Messages were dropped here; the report is torn if it goes on.
    pub(crate) fn loses(&mut self) {
        self.losing = true;
    }

    /// Is the report of this CPU and task? Nothing if it does not say.
    pub(crate) fn is_of(&self, (cpu, pid): (u32, i64)) -> Option<bool> {
        match (self.event.cpu, self.event.pid) {
            (Some(own), Some(task)) => Some(own == cpu && task == pid),
            (Some(own), None) => Some(own == cpu),
            (None, Some(task)) => Some(task == pid),
            (None, None) => None,
        }
    }

    /// Was the last line a frame, or the head of a trace?
    pub(crate) fn in_trace(&self) -> bool {
        self.in_trace && !self.ended
    }

    /// Is it a fault of which the address alone has been printed?
    pub(crate) fn awaits_fault(&self) -> bool {
        self.family.name == "oops"
            && self.event.address.is_some()
            && !self.event.fields.contains_key("count")
            && self.awaits_trace()
    }

    /// Has neither a CPU line nor a trace come yet?
    pub(crate) fn awaits_trace(&self) -> bool {
        self.event.stacks.is_empty() && self.event.release.is_none() && self.event.registers.is_empty()
    }

    /// Does the header of another report at this line cut the report in two? Only where the report is surely not
    /// complete, and the two were printed at the same time.
    pub(crate) fn is_cut_by(&self, line: &Line<'_>) -> bool {
        const TOGETHER_NS: i64 = 20_000_000;
        let near = |now: Stamp| now.since(&self.taken_time?).map(|ns| (0..TOGETHER_NS).contains(&ns));
        let together = line.time.and_then(near).unwrap_or(false);
        together
            && !self.ended
            && self.form == Form::Trace
            && self.event.severity == Severity::Report
            && !self.has_frames()
    }

    /// Must a trace still come: its registers are printed, and the line is of the same moment?
    pub(crate) fn awaits_frames_at(&self, line: &Line<'_>) -> bool {
        const TOGETHER_NS: i64 = 2_000_000_000;
        let near = |now: Stamp| now.since(&self.taken_time?).map(|ns| (0..TOGETHER_NS).contains(&ns));
        let begun = self.event.release.is_some() || !self.event.registers.is_empty();
        begun && !self.ended && !self.has_frames() && line.time.and_then(near).unwrap_or(false)
    }

    /// Starts a stack of that name; frames that follow belong to it.
    pub(crate) fn begin_stack(&mut self, name: impl Into<String>) {
        self.end_stack();
        if let Some(last) = self.event.stacks.last_mut() {
            spare::give_back(&mut last.frames);
        }
        if let Some(last) = self.event.stacks.last()
            && last.frames.is_empty()
        {
            // Behind a whole trace, an empty one belongs to what was dumped beside the report.
            let first = self.event.stacks.len() == 1;
            self.hollow += u32::from(last.name == TRACE && first);
            self.event.stacks.pop();
        }
        if self.event.stacks.len() < MAX_STACKS {
            self.event.stacks.push(Stack::printed(name));
        } else {
            self.stacks_dropped += 1;
        }
        self.context = Context::Task;
        self.in_trace = true;
    }

    /// The stack is over: who called its last frame is its outermost function.
    fn end_stack(&mut self) {
        if let Some(caller) = self.caller_of_last.take()
            && let Some(stack) = self.event.stacks.last_mut()
            && stack.frames.len() < MAX_FRAMES
        {
            let context = self.context;
            stack.frames.push(Frame { context, ..caller });
        }
    }

    /// Starts the stack of a CPU, which its registers head.
    pub(crate) fn begin_cpu_stack(&mut self, cpu: u32) {
        self.begin_stack(format!("CPU {cpu}"));
        self.wants_counter = true;
        if let Some(stack) = self.event.stacks.last_mut() {
            stack.cpu = Some(cpu);
        }
    }

    /// Starts the stack of a task.
    pub(crate) fn begin_task_stack(&mut self, task: Task<'_>) {
        self.begin_stack("task");
        self.wants_counter = false;
        if let Some(stack) = self.event.stacks.last_mut() {
            stack.comm = Some(task.comm.to_owned());
            stack.pid = task.pid;
        }
    }

    /// The blocked task whose stack is being printed.
    pub(crate) fn awaits_blocked(&mut self) -> Option<&mut Event> {
        self.blocked.last_mut().filter(|task| task.stacks.is_empty())
    }

    /// The stack of a blocked task is over: it goes to the report of that task.
    pub(crate) fn end_blocked(&mut self) {
        self.end_stack();
        let last_line = self.event.last_line;
        if self.awaits_blocked().is_some()
            && let Some(stack) = self.event.stacks.pop()
            && let Some(task) = self.blocked.last_mut()
        {
            task.stacks.push(stack);
            task.last_line = last_line;
        }
    }

    /// The reports of the blocked tasks of a list that is over.
    pub(crate) fn take_blocked(&mut self) -> Vec<Report> {
        self.end_blocked();
        let tasks = std::mem::take(&mut self.blocked);
        tasks.into_iter().map(|task| Report::new(task, &hung_task::FAMILY, Form::Trace)).collect()
    }

    /// A program counter inside a trace, or at the head of a CPU's stack, is a frame.
    pub(crate) fn counter(&mut self, place: Location) -> bool {
        let nested = self.in_trace && self.has_frames_here();
        if self.ended || !nested && !self.wants_counter {
            return false;
        }
        self.wants_counter = false;
        self.nested = nested;
        if std::mem::take(&mut self.places) {
            self.set_place(place.clone());
        }
        let context = self.context;
        let Some(stack) = self.event.stacks.last_mut() else { return false };
        if stack.frames.len() < MAX_FRAMES {
            let mut frame = Frame::printed(place.function);
            frame.offset = place.offset;
            frame.size = place.size;
            frame.module = place.module.map(Into::into);
            frame.found = Found::Registers;
            frame.interrupted = true;
            frame.context = context;
            stack.frames.push(frame);
        }
        true
    }

    /// Has its last stack got any frame?
    pub(crate) fn has_frames_here(&self) -> bool {
        self.event.stacks.last().is_some_and(|s| !s.frames.is_empty())
    }

    /// Has the report got any frame?
    pub(crate) fn has_frames(&self) -> bool {
        self.event.stacks.iter().any(|s| !s.frames.is_empty())
    }

    /// Reads a frame in the middle of a trace, or a row of registers: lines that are nothing else to any family.
    pub(crate) fn next_row(&mut self, line: &Line<'_>) -> bool {
        if self.form != Form::Trace {
            return false;
        }
        let text = line.text();
        if !self.in_trace || !self.has_frames_here() {
            return registers::row(text, self);
        }
        let Some(frame) = frame::plain(text) else { return registers::row(text, self) };
        self.add_frame(|| frame.into_frame());
        self.modules_open = false;
        if self.caller_of_last.is_some() {
            self.caller_of_last = None;
        }
        true
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
        if self.in_trace || text.starts_with("[<") || frame::has_offset(text) {
            let step = self.trace_line(text);
            if step != Step::Pass {
                self.modules_open = false;
                return step;
            }
        }
        if text.starts_with("CPU: ")
            && self.event.release.is_some()
            && self.is_of_one_task()
            && let Some(who) = speaks_of(text)
        {
            self.two_tasks |= self.is_of(who) == Some(false);
        }
        let first = self.event.release.is_none() && self.event.taint.is_none();
        if cpu_line::read(text, &mut self.event) {
            // Behind the stack of another task: what follows is the stack of the CPU that reports.
            if first
                && self.event.stacks.last().is_some_and(|s| s.name == GRACE_PERIOD && !s.frames.is_empty())
                && let Some(cpu) = self.event.cpu
            {
                self.begin_cpu_stack(cpu);
                self.places = true;
            }
            return Step::Take;
        }
        if self.event.release.is_none() && self.event.pid.is_some() && cpu_line::read_rest(text, &mut self.event) {
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
            // The list is printed again with a nested or a repeated report.
            self.modules_open = self.event.modules.is_empty();
            if self.modules_open {
                modules::read(rest, &mut self.event);
            }
            self.in_trace = false;
            return Step::Take;
        }
        if self.modules_open && modules::continues(text) {
            modules::read(text, &mut self.event);
            return Step::Take;
        }
        if text.starts_with("Unloaded tainted modules:") {
            return Step::Take;
        }
        if let Some(rest) = text.strip_prefix(NMI_BACKTRACE).or_else(|| text.strip_prefix("Task dump for CPU ")) {
            if let Some(cpu) = Cursor::new(rest).number().and_then(|n| u32::try_from(n).ok()) {
                self.begin_cpu_stack(cpu);
            }
            return Step::Take;
        }
        if let Some(cpu) = stopped_cpu(text) {
            self.begin_stack(format!("{STOPPED}{cpu}"));
            if let Some(stack) = self.event.stacks.last_mut() {
                stack.cpu = Some(cpu);
            }
            return Step::Take;
        }
        if text.starts_with("Last Breaking-Event-Address:") {
            // What s390x prints below the trace: the last branch that was taken, no caller.
            self.begin_stack(LAST_BRANCH);
            self.in_trace = true;
            return Step::Take;
        }
        if text.starts_with("Sending NMI") || text.starts_with("sending NMI") {
            self.asks = true;
            return Step::Take;
        }
        if let Some(step) = self.code_line(text) {
            return step;
        }
        if is_trace_head(text) {
            self.heads += 1;
            // The trace of a CPU's or a task's stack that has been announced.
            // `stack backtrace:` of the lock validator stands before the CPU line and announces `Call Trace:`.
            let backtrace = std::mem::replace(&mut self.backtrace, text.starts_with("stack backtrace:"));
            let announced = self.event.stacks.last().is_some_and(|s| {
                (s.name != TRACE || backtrace) && (s.frames.is_empty() || s.frames.iter().all(|f| f.interrupted))
            });
            if announced {
                self.in_trace = true;
                self.wants_counter = false;
            } else {
                self.begin_stack(TRACE);
            }
            if let Some((_, rest)) = split(text, "race:").filter(|(_, rest)| !rest.trim().is_empty()) {
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
        if !self.ended && memory_rows::is_one(text) { Step::Take } else { Step::Pass }
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
        match frame::read(text) {
            Some(frame) => {
                self.add_frame(|| frame);
                self.caller_of_last = frame::caller(text);
                Step::Take
            }
            None => Step::Pass,
        }
    }

    /// Adds a frame to the stack that is being printed; frames that come after other lines of the report still belong to it.
    fn add_frame(&mut self, frame: impl FnOnce() -> Frame) {
        let context = self.context;
        if self.event.stacks.is_empty() {
            self.begin_stack(TRACE);
        }
        self.in_trace = true;
        self.nested = false;
        if let Some(stack) = self.event.stacks.last_mut()
            && stack.frames.len() < MAX_FRAMES
            && self.stacks_dropped == 0
        {
            if stack.frames.is_empty() {
                spare::borrow(&mut stack.frames);
            }
            let frame = frame();
            match stack.frames.last_mut().filter(|last| frame::is_torn(last)) {
                Some(last) if frame::is_rest(&frame) => frame::mend(last, frame),
                _ => stack.frames.push(Frame { context, ..frame }),
            }
        }
    }

    fn code_line(&mut self, text: &str) -> Option<Step> {
        let rest = text.strip_prefix("Code:").or_else(|| text.strip_prefix("Instruction dump:"))?;
        if !self.user_registers && self.event.code.is_none() && !has(rest, "Bad RIP") && !has(rest, "Unable") {
            self.event.code = Some(rest.trim().to_owned());
        }
        if !self.nested {
            self.in_trace = false;
        }
        Some(Step::Take)
    }

    /// A place from a register block or a header; the first one stays, unless its line was cut inside the name.
    pub(crate) fn set_place(&mut self, place: Location) {
        let stays = self.event.place.as_ref().is_some_and(|first| first.offset.is_some() || !is_start(first, &place));
        if !stays {
            self.event.place = Some(place);
        }
    }

    pub(crate) fn set_user_registers(&mut self, user: bool) {
        self.user_registers = user;
    }

    pub(crate) fn user_registers(&self) -> bool {
        self.user_registers
    }

    /// Closes the report; nothing if it was none.
    pub(crate) fn finish(mut self) -> Option<Event> {
        self.end_stack();
        let hollow = |s: &Stack| s.frames.is_empty() && s.name == TRACE;
        self.hollow += u32::from(self.event.stacks.len() == 1 && self.event.stacks.last().is_some_and(hollow));
        self.event.stacks.retain(|s| !s.frames.is_empty());
        for stack in &mut self.event.stacks {
            if frame::halve(&mut stack.frames) {
                // Their heads were printed twice, too.
                self.hollow = 0;
            }
            frame::judge(&mut stack.frames);
            stack.cpu = stack.cpu.or(self.event.cpu);
            stack.ended = Ended::Unknown;
            spare::give_back(&mut stack.frames);
        }
        (self.family.finish)(&mut self);
        if self.discard {
            return None;
        }
        if self.stacks_dropped > 0 {
            self.event.set("stacks_dropped", self.stacks_dropped);
        }
        if self.guessed || self.resumed {
            self.event.set("interleaved", "told apart from another report by CPU, pid and shape: a guess");
        }
        if self.event.corrupted.is_none() {
            self.event.corrupted = self.corruption();
        }
        Some(self.event)
    }

    /// Reports that speak of one task: another one's CPU line is another report's.
    fn is_of_one_task(&self) -> bool {
        matches!(self.family.name, "kasan" | "kmsan" | "kfence" | "ubsan" | "lockdep" | "oops" | "warning" | "bad_page")
    }

    /// Reports that the kernel prints without a trace.
    fn prints_no_trace(&self) -> bool {
        matches!(self.family.name, "workqueue_lockup" | "vfs_leftover" | "xmon")
            || self.event.title.starts_with("WARNING: lock held when returning to user space")
    }

    /// Why the report cannot be trusted, if so.
    fn corruption(&mut self) -> Option<String> {
        if self.form != Form::Trace || self.event.severity != Severity::Report {
            return None;
        }
        if let Some(torn) = self.torn.take() {
            return Some(torn);
        }
        if self.lost {
            return Some("messages were dropped between its lines".to_owned());
        }
        if self.scattered {
            return Some("many lines of others stand between its lines".to_owned());
        }
        if self.resumed {
            return Some("another report stands between its lines".to_owned());
        }
        if self.two_tasks {
            return Some("CPU lines of two tasks stand in it".to_owned());
        }
        let frames: usize = self.event.stacks.iter().map(|s| s.frames.len()).sum();
        if frames == 0 && !self.prints_no_trace() {
            return Some("no frame follows its header".to_owned());
        }
        // `... is trying to release lock at:` and a place, and nothing below.
        if frames == 1 && self.heads == 0 {
            return Some("no trace follows its header".to_owned());
        }
        if frames == 0 {
            return None;
        }
        let mut reliable = self.event.stacks.iter().flat_map(Stack::functions).peekable();
        if reliable.peek().is_none() {
            return Some("no frame of its traces is reliable".to_owned());
        }
        if reliable.take(4).any(|f| f.starts_with("should_fail")) {
            return Some("the trace of an injected fault is mixed in".to_owned());
        }
        (self.hollow > 0).then(|| "a trace was announced and no frame follows".to_owned())
    }
}

/// Is what a head names, without an offset, the start of the name that the registers give? The last letter may be one that
/// the terminal put there.
fn is_start(head: &Location, registers: &Location) -> bool {
    let cut = head.function.char_indices().last().map_or(0, |(at, _)| at);
    registers.offset.is_some() && cut >= 3 && registers.function.starts_with(&head.function[..cut])
}
