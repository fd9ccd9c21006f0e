//! Call stacks.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::Address;

/// How a frame was found. Only `Scan` and unreliable `Printed` frames may be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Found {
    /// From saved registers.
    Registers,
    /// Through ORC unwind data.
    Orc,
    /// Through a frame pointer or frame record.
    FramePointer,
    /// Through DWARF call-frame information.
    Cfi,
    /// A word on the stack that looks like a return address.
    Scan,
    /// Printed in a log.
    Printed,
}

/// Which stack or context a frame ran on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Context {
    /// Process context.
    #[default]
    Task,
    /// Hard interrupt.
    Irq,
    /// Soft interrupt.
    Softirq,
    /// Non-maskable interrupt.
    Nmi,
    /// Exception stack other than NMI (#DF, #DB, #MC, entry trampoline).
    Exception,
}

/// One call-stack entry, innermost first in its stack.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frame {
    /// Function name as printed or resolved, shared by the frames that have it; `None` when nothing names the address.
    pub function: Option<Arc<str>>,
    /// Offset in the function.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub offset: Option<u64>,
    /// Size of the function.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub size: Option<u64>,
    /// Module of the function; `None` for the kernel itself.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub module: Option<Arc<str>>,
    /// Program counter.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub pc: Option<Address>,
    /// Stack pointer.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub sp: Option<Address>,
    /// How it was found.
    pub found: Found,
    /// False for a printed frame with `?`, and for a scanned one.
    pub reliable: bool,
    /// An inlined call, from a symbolised log or DWARF.
    #[serde(default)]
    pub inline: bool,
    /// The frame has a full register set: an interrupt or exception came here.
    #[serde(default)]
    pub interrupted: bool,
    /// Which context.
    #[serde(default)]
    pub context: Context,
    /// Source file and line, `net/core/dev.c:10234`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub line: Option<String>,
}

impl Frame {
    /// A frame printed in a log.
    pub fn printed(function: impl Into<Arc<str>>) -> Self {
        Frame {
            function: Some(function.into()),
            offset: None,
            size: None,
            module: None,
            pc: None,
            sp: None,
            found: Found::Printed,
            reliable: true,
            inline: false,
            interrupted: false,
            context: Context::Task,
            line: None,
        }
    }
}

/// How a trace ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// At the outermost frame or at user space.
    Properly,
    /// Torn off, for this reason.
    Broken(String),
    /// Not known: printed traces do not say.
    Unknown,
}

/// One call stack.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stack {
    /// What it is: `call trace`, `allocated by`, `freed by`, `CPU 3`, `task`.
    pub name: String,
    /// CPU it was taken on.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cpu: Option<u32>,
    /// Process it belongs to.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub pid: Option<i64>,
    /// Its command name.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub comm: Option<String>,
    /// Frames, innermost first.
    pub frames: Vec<Frame>,
    /// How it ended.
    pub ended: Ended,
}

impl Stack {
    /// A printed stack without frames yet.
    pub fn printed(name: impl Into<String>) -> Self {
        Stack { name: name.into(), cpu: None, pid: None, comm: None, frames: Vec::new(), ended: Ended::Unknown }
    }

    /// Names of the reliable frames, innermost first.
    pub fn functions(&self) -> impl Iterator<Item = &str> {
        self.frames.iter().filter(|f| f.reliable).filter_map(|f| f.function.as_deref())
    }
}
