//! Functions that left no frame, because they jumped on to another one as the last thing they did.

use facts::plain_field as field;
use facts::{Fact, FieldType, KindDef, Origin};

use crate::stacks::without_suffix;
use crate::{Arch, Kernel};

/// Of a function whose jumps are looked at.
const MAX_FUNCTION: u64 = 8192;
const MAX_INSTRUCTIONS: usize = 2048;

/// The kinds made here.
pub(crate) const KINDS: &[KindDef] = &[KindDef {
    kind: "mem.tail_call",
    doc: "A function between two frames of a printed trace that left none: the caller called it, and it jumped on.",
    fields: &[
        field("function", FieldType::Text, "function of the inner frame"),
        field("via", FieldType::Text, "the function without a frame"),
        field("via_module", FieldType::Text, "its module"),
        field("caller", FieldType::Text, "function of the outer frame"),
        field("offset", FieldType::Int, "from its start to where the call returns"),
    ],
}];

impl Kernel<'_> {
    /// The `mem.tail_call` fact of two frames that follow one another: name and module of the inner function, and of its
    /// caller with the bytes from its start to where the call returns. `None` where the call before that address is of the
    /// inner function itself, or of one that has no jump to it.
    pub fn tail_call_fact(&self, function: (&str, Option<&str>), caller: (&str, Option<&str>, u64)) -> Option<Fact> {
        let only = |name: &str, module: Option<&str>| {
            let mut starts = self.starts(name, module).into_iter();
            starts.next().filter(|_| starts.next().is_none())
        };
        let inner = only(function.0, function.1)?;
        let target = self.call_before(only(caller.0, caller.1)? + caller.2)?.target?;
        let via = self.symbolize(target).filter(|symbol| symbol.offset == 0)?;
        let same = without_suffix(&via.name) == without_suffix(function.0);
        // What a static call goes through is no function of its own.
        if target == inner || same || via.name.starts_with("__SC") {
            return None;
        }
        let end = target + via.size.filter(|size| *size <= MAX_FUNCTION)?;
        let code = self.disassemble(target, end, MAX_INSTRUCTIONS).items;
        code.iter().find(|instruction| instruction.target == Some(inner) && self.is_jump(&instruction.text))?;
        let named = |name: &str, module: Option<&str>| match module {
            Some(module) => format!("{name} [{module}]"),
            None => name.to_owned(),
        };
        let quote = format!(
            "{} called {}, which jumped on to {} and left no frame",
            named(caller.0, caller.1),
            named(&via.name, via.module.as_deref()),
            function.0
        );
        let origin = Origin::derived(self.member(), "the call before the return address, and the code that it goes to");
        Some(
            Fact::new("mem.tail_call", origin)
                .with("function", function.0)
                .with("via", via.name.as_str())
                .with_opt("via_module", via.module.as_deref())
                .with("caller", caller.0)
                .with("offset", caller.2)
                .quoting(quote)
                .recheck(format!("crash> dis -l {}+{:#x}", caller.0, caller.2))
                .recheck(format!("crash> dis {}", via.name)),
        )
    }

    fn is_jump(&self, text: &str) -> bool {
        match self.arch() {
            Arch::X86_64 => text.starts_with('j'),
            Arch::Aarch64 => text.starts_with("b ") || text.starts_with("b."),
        }
    }
}
