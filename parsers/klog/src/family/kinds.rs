//! Short forms to declare fact kinds, and the kinds that are no family's.

pub(crate) use facts::field;
use facts::{FieldDef, FieldType, KindDef};

/// A kind with the values its family adds to those every event has ([`COMMON`]).
pub(crate) const fn kind(kind: &'static str, doc: &'static str, fields: &'static [FieldDef]) -> KindDef {
    KindDef { kind, doc, fields }
}

/// A value of a kind.
/// The values that a fact of every `log.*` kind may carry beside those of its family.
pub const COMMON: &[FieldDef] = &[
    field("class", FieldType::Text, "", "event class"),
    field("severity", FieldType::Text, "", "panic, report, failure or notice"),
    field("title", FieldType::Text, "", "what happened and where, without numbers that change"),
    field("cpu", FieldType::Int, "", "CPU the report speaks of"),
    field("pid", FieldType::Int, "", "process the report speaks of"),
    field("comm", FieldType::Text, "", "its command name"),
    field("taint", FieldType::Text, "", "taint letters; empty when not tainted"),
    field("release", FieldType::Text, "", "kernel release in the report's CPU line"),
    field("hardware", FieldType::Text, "", "hardware name as printed"),
    field("workqueue", FieldType::Text, "", "work queue and work function"),
    field("last_unloaded", FieldType::Text, "", "module that was unloaded last before"),
    field("function", FieldType::Text, "", "function of RIP or PC, or the one the header names"),
    field("offset", FieldType::Int, "bytes", "offset in that function"),
    field("size", FieldType::Int, "bytes", "size of that function"),
    field("module", FieldType::Text, "", "module of that function"),
    field("address", FieldType::Address, "", "faulting address"),
    field("registers", FieldType::Record, "", "registers by name"),
    field("code", FieldType::Text, "", "code bytes as printed; the faulting one in brackets"),
    field("modules", FieldType::List, "", "modules linked in, with flags"),
    field("corrupted", FieldType::Text, "", "why the report is torn or mixed with other output"),
    field(
        "interleaved",
        FieldType::Text,
        "",
        "how its lines were told apart from those of another report, when that is a guess",
    ),
    field("message", FieldType::Text, "", "text of an assertion"),
    field("consequence", FieldType::Text, "", "what it means for the machine, of notices that are worth telling"),
    field("stacks_dropped", FieldType::Int, "", "stacks beyond the 2048 that are kept"),
    field(
        "repeats",
        FieldType::Int,
        "",
        "how many equal events this one stands for, where a log has too many to list each",
    ),
];

/// Made once for each boot by the scanner itself.
pub(super) const BOOT: KindDef = kind(
    "log.boot",
    "A boot of the kernel, from its banner",
    &[
        field("release", FieldType::Text, "", "kernel release"),
        field("banner", FieldType::Text, "", "the whole Linux version line"),
        field("arch", FieldType::Text, "", "architecture as uname -m says it, if the log tells"),
        field("cmdline", FieldType::Text, "", "kernel command line"),
        field("model", FieldType::Text, "", "hardware model"),
        field("capture", FieldType::Bool, "", "the boot is of a kdump capture kernel (elfcorehdr=)"),
    ],
);
