//! What the scanner yields: one report of the kernel.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use facts::{Address, Fact, Frame, Origin, Stack, Stamp, Value};

use crate::{Caller, Registers};

/// How bad an event is. The order is the order of the words: a panic is the greatest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Worth knowing: taints, sysrq, notices.
    Notice,
    /// Something was refused or lost: allocation, I/O, OOM kill, filesystem, corrected hardware error.
    Failure,
    /// The kernel reports a defect in itself: oops, BUG, WARN, lockdep, lockup, hung task.
    Report,
    /// The machine stopped.
    Panic,
}

impl Severity {
    /// The word: `panic`, `report`, `failure`, `notice`.
    pub fn word(self) -> &'static str {
        match self {
            Severity::Notice => "notice",
            Severity::Failure => "failure",
            Severity::Report => "report",
            Severity::Panic => "panic",
        }
    }
}

/// A place in kernel text as it is printed: `func+0x12/0x34 [module]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Location {
    /// Function name.
    pub function: String,
    /// Offset in the function.
    pub offset: Option<u64>,
    /// Size of the function.
    pub size: Option<u64>,
    /// Module; `None` for the kernel itself.
    pub module: Option<String>,
}

/// What an entry of a map of values takes, with its share of the nodes.
const FIELD: usize = 96;

/// Bytes that the allocator gives for a text of this length.
fn allocated(length: usize) -> usize {
    if length == 0 { 0 } else { (length + 23) / 16 * 16 }
}

fn of_value(value: &Value) -> usize {
    match value {
        Value::Text(text) => allocated(text.len()),
        Value::List(list) => list.iter().map(|value| size_of::<Value>() + of_value(value)).sum(),
        Value::Record(map) => map.iter().map(|(name, value)| FIELD + allocated(name.len()) + of_value(value)).sum(),
        _ => 0,
    }
}

/// One report in a log.
#[derive(Clone, Debug)]
pub struct Event {
    /// Family; the fact's kind is `log.<family>`.
    pub family: &'static str,
    /// Event class, a word of [`class`](crate::class).
    pub class: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// Normalised title: what happened and where, without numbers that change from run to run.
    pub title: String,
    /// The one line a person would cite.
    pub quote: String,
    /// CPU the report speaks of.
    pub cpu: Option<u32>,
    /// Process the report speaks of.
    pub pid: Option<i64>,
    /// Its command name.
    pub comm: Option<String>,
    /// Taint letters without blanks (`GOE`), empty when the line says `Not tainted`.
    pub taint: Option<String>,
    /// Kernel release in the report's CPU line.
    pub release: Option<String>,
    /// Hardware name as printed.
    pub hardware: Option<String>,
    /// Where the report says it happened: RIP, PC, or the function in its header.
    pub place: Option<Location>,
    /// Faulting address of a memory fault.
    pub address: Option<u64>,
    /// Its registers.
    pub registers: Registers,
    /// The `Code:` bytes as printed.
    pub code: Option<String>,
    /// Modules linked in, as printed (`name(FLAGS)`).
    pub modules: Vec<String>,
    /// Values of the family.
    pub fields: BTreeMap<Cow<'static, str>, Value>,
    /// Call stacks, the most telling first.
    pub stacks: Vec<Stack>,
    /// First line of the report in the member, counted from 1.
    pub first_line: u64,
    /// Last line.
    pub last_line: u64,
    /// When it began.
    pub time: Option<Stamp>,
    /// Who printed it.
    pub caller: Option<Caller>,
    /// Host that the carrier names on its first line.
    pub host: Option<String>,
    /// Why the report is torn or mixed with other output, if it is.
    pub corrupted: Option<String>,
}

impl Event {
    /// An event without details yet.
    pub fn new(family: &'static str, class: &'static str, severity: Severity) -> Self {
        Event {
            family,
            class,
            severity,
            title: String::new(),
            quote: String::new(),
            cpu: None,
            pid: None,
            comm: None,
            taint: None,
            release: None,
            hardware: None,
            place: None,
            address: None,
            registers: Registers::default(),
            code: None,
            modules: Vec::new(),
            fields: BTreeMap::new(),
            stacks: Vec::new(),
            first_line: 0,
            last_line: 0,
            time: None,
            caller: None,
            host: None,
            corrupted: None,
        }
    }

    /// Adds a value of the family.
    #[must_use]
    pub fn with(mut self, name: impl Into<Cow<'static, str>>, value: impl Into<Value>) -> Self {
        self.set(name, value);
        self
    }

    /// Adds a value of the family if there is one.
    #[must_use]
    pub fn with_opt<V: Into<Value>>(mut self, name: impl Into<Cow<'static, str>>, value: Option<V>) -> Self {
        if let Some(value) = value {
            self.set(name, value);
        }
        self
    }

    /// Sets the title.
    #[must_use]
    pub fn titled(mut self, title: impl Into<String>) -> Self {
        self.title = title.into();
        self
    }

    /// Sets a value of the family.
    pub fn set(&mut self, name: impl Into<Cow<'static, str>>, value: impl Into<Value>) {
        self.fields.insert(name.into(), value.into());
    }

    /// About how many bytes it takes in memory.
    pub(crate) fn weight(&self) -> usize {
        let modules: usize = self.modules.iter().map(|m| size_of::<String>() + allocated(m.len())).sum();
        let fields: usize = self.fields.values().map(|value| FIELD + of_value(value)).sum();
        let frame = |f: &Frame| {
            // Names are shared with the frames of other events.
            size_of::<Frame>() + f.line.as_ref().map_or(0, |line| allocated(line.len()))
        };
        let stack =
            |s: &Stack| size_of::<Stack>() + allocated(s.name.len()) + s.frames.iter().map(frame).sum::<usize>();
        let stacks: usize = self.stacks.iter().map(stack).sum();
        let texts = [&self.comm, &self.taint, &self.release, &self.hardware, &self.code, &self.host];
        let texts: usize =
            texts.into_iter().flatten().chain([&self.title, &self.quote]).map(|t| allocated(t.len())).sum();
        size_of::<Event>() + self.registers.weight() + modules + fields + stacks + texts
    }

    /// Takes out what needs most room: stacks, registers, modules, and values that are lists.
    pub(crate) fn cut(&mut self) {
        self.stacks = Vec::new();
        self.modules = Vec::new();
        self.registers = Registers::default();
        self.code = None;
        self.fields.retain(|_, value| !matches!(value, Value::List(_) | Value::Record(_)));
    }

    /// The fact kind, `log.<family>`.
    pub fn kind(&self) -> String {
        format!("log.{}", self.family)
    }

    /// The event as a fact of the member it was found in.
    pub fn to_fact(&self, member: &str) -> Fact {
        self.clone().into_fact(member)
    }

    /// The event as a fact of the member it was found in, without a copy.
    pub fn into_fact(self, member: &str) -> Fact {
        let mut fact = Fact::new(self.kind(), Origin::lines(member, self.first_line, self.last_line))
            .with("class", self.class)
            .with("severity", self.severity.word())
            .with("title", self.title)
            .with_opt("cpu", self.cpu)
            .with_opt("pid", self.pid)
            .with_opt("comm", self.comm)
            .with_opt("taint", self.taint)
            .with_opt("release", self.release)
            .with_opt("hardware", self.hardware)
            .with_opt("address", self.address.map(Address))
            .with_opt("code", self.code)
            .with_opt("corrupted", self.corrupted)
            .quoting(self.quote);
        if let Some(place) = self.place {
            fact = fact
                .with("function", place.function)
                .with_opt("offset", place.offset)
                .with_opt("size", place.size)
                .with_opt("module", place.module);
        }
        if !self.registers.is_empty() {
            let registers: BTreeMap<String, Value> =
                self.registers.iter().map(|(name, n)| (name.to_owned(), Value::Address(Address(n)))).collect();
            fact.set("registers", registers);
        }
        if !self.modules.is_empty() {
            fact.set("modules", self.modules);
        }
        fact.values.extend(self.fields);
        fact.stacks = self.stacks.into_iter().map(Arc::new).collect();
        fact.time = self.time;
        fact
    }
}
