//! File and line of code addresses, with the functions inlined there, from the DWARF of a vmlinux.

use std::sync::{Arc, Mutex};

use addr2line::Context;
use facts::{Found, Gap};

use crate::stacks::CallStack;
use crate::{Kernel, VirtAddr};

type Reader = gimli::EndianArcSlice<gimli::LittleEndian>;

/// The line tables of a vmlinux.
pub(crate) struct Lines {
    context: Mutex<Context<Reader>>,
    /// Run-time less link-time addresses.
    offset: u64,
    /// Folder of the kernel's tree, as its file names begin.
    root: String,
}

/// A place in the source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceLine {
    /// Function, as the source names it.
    pub function: Option<String>,
    /// File and line, `net/core/dev.c:10234`, without the folder the kernel was built in.
    pub line: Option<String>,
}

/// A path without the folder of the build: `/build/linux-6.1.176/debian/build/x/../net/core/dev.c` and the like.
fn in_tree(path: &str) -> &str {
    let mut path = path;
    let version = |rest: &str| rest.strip_prefix("source-").unwrap_or(rest).starts_with(|c: char| c.is_ascii_digit());
    while let Some(at) = path.find("linux-").filter(|at| version(&path[at + 6..])) {
        match path[at..].find('/') {
            Some(end) => path = &path[at + end + 1..],
            None => break,
        }
    }
    if let Some(rest) = path.strip_prefix("debian/build/")
        && let Some(end) = rest.find('/')
    {
        path = &rest[end + 1..];
    }
    path.trim_start_matches(['.', '/'])
}

/// What stands before `init/main.c`, which every kernel has, in the name of its compilation unit.
fn tree_root(dwarf: &gimli::Dwarf<Reader>) -> Option<String> {
    let mut units = dwarf.units();
    while let Ok(Some(header)) = units.next() {
        let Ok(unit) = dwarf.unit(header) else { continue };
        let name = unit.name.as_ref().and_then(|name| gimli::Reader::to_string_lossy(name).ok());
        if let Some(root) = name.as_deref().and_then(|name| name.strip_suffix("init/main.c")) {
            return Some(root.to_owned());
        }
    }
    None
}

impl Lines {
    fn open(kernel: &Kernel<'_>) -> Option<Lines> {
        let file = kernel.vmlinux()?;
        let opened = (|| {
            let stext = file.symbol("_stext").ok_or("the vmlinux is stripped: it has no symbol _stext")?;
            let here = kernel.symbol("_stext").ok_or("the dump's kernel has no symbol _stext")?;
            let dwarf = gimli::Dwarf::load(|id| {
                let bytes: Arc<[u8]> = file.section(id.name())?.into();
                Ok::<_, String>(Reader::new(bytes, gimli::LittleEndian))
            })?;
            let root = tree_root(&dwarf).unwrap_or_default();
            let context = Context::from_dwarf(dwarf).map_err(|e| e.to_string())?;
            Ok::<_, String>(Lines { context: Mutex::new(context), offset: here.wrapping_sub(stext), root })
        })();
        match opened {
            Ok(lines) => Some(lines),
            Err(why) => {
                kernel.gap(Gap::new("source lines", kernel.member(), why, "the vmlinux of this kernel with DWARF"));
                None
            }
        }
    }

    fn at(&self, address: u64) -> Vec<SourceLine> {
        let Ok(context) = self.context.lock() else { return Vec::new() };
        let Ok(mut frames) = context.find_frames(address.wrapping_sub(self.offset)).skip_all_loads() else {
            return Vec::new();
        };
        let mut found = Vec::new();
        while let Ok(Some(frame)) = frames.next() {
            let function = frame.function.and_then(|f| f.raw_name().ok().map(|name| name.into_owned()));
            let line = frame.location.and_then(|at| {
                let file = at.file?;
                let file = file.strip_prefix(self.root.as_str()).unwrap_or(file);
                Some(format!("{}:{}", in_tree(file), at.line.unwrap_or(0)))
            });
            found.push(SourceLine { function, line });
            if found.len() >= 64 {
                break;
            }
        }
        found
    }
}

impl Kernel<'_> {
    /// The source of an instruction: innermost inlined function first, the function itself last. Empty without a
    /// vmlinux that has DWARF. For a return address ask for the byte before it.
    pub fn source_lines(&self, at: VirtAddr) -> Vec<SourceLine> {
        match self.lines.get_or_init(|| Lines::open(self)) {
            Some(lines) => lines.at(at.0),
            None => Vec::new(),
        }
    }

    /// A stack in the vocabulary of facts, with lines and inlined functions where a vmlinux has them.
    pub fn fact_stack(&self, name: &str, stack: &CallStack) -> facts::Stack {
        let mut fact = stack.to_fact(name);
        if self.vmlinux().is_none() {
            return fact;
        }
        let mut frames = Vec::with_capacity(fact.frames.len() * 2);
        for (mut frame, own) in fact.frames.into_iter().zip(&stack.frames) {
            let at = if own.exact { own.pc } else { own.pc - 1 };
            let mut lines = self.source_lines(at);
            let last = lines.pop();
            for inlined in lines {
                let mut inner = frame.clone();
                inner.function = inlined.function.map(Into::into);
                inner.offset = None;
                inner.size = None;
                inner.inline = true;
                inner.reliable = own.found != Found::Scan;
                inner.line = inlined.line;
                frames.push(inner);
            }
            frame.line = last.and_then(|l| l.line);
            frames.push(frame);
        }
        fact.frames = frames;
        fact
    }
}

#[cfg(test)]
mod tests {
    use super::in_tree;

    #[test]
    fn paths_begin_at_the_kernel_s_tree() {
        assert_eq!(in_tree("/build/reproducible/linux-6.1.176/net/core/dev.c"), "net/core/dev.c");
        assert_eq!(in_tree("/usr/src/linux-source-6.1/kernel/fork.c"), "kernel/fork.c");
        assert_eq!(
            in_tree("debian/build/build_amd64/arch/x86/include/generated/asm/x.h"),
            "arch/x86/include/generated/asm/x.h"
        );
        assert_eq!(in_tree("./arch/x86/include/asm/irqflags.h"), "arch/x86/include/asm/irqflags.h");
        assert_eq!(in_tree("drivers/net/linux-firmware.c"), "drivers/net/linux-firmware.c");
    }
}
