//! Code that the kernel made while it ran: BPF programs, their trampolines and dispatchers, trampolines of ftrace. No
//! table of symbols has it, lists of the kernel do.

use crate::symbols::Resolved;
use crate::{Arch, Kernel, VirtAddr};

/// Pieces of code that are listed.
const MAX_PIECES: usize = 100_000;
/// A program of 1,000,000 instructions has some 8 MiB.
const MAX_SIZE: u64 = 64 << 20;
/// FTRACE_OPS_FL_SAVE_REGS
const SAVES_REGISTERS: u64 = 4;

/// One piece.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GeneratedCode {
    pub(crate) start: u64,
    pub(crate) end: u64,
    /// `bpf_prog_25ff6821d7875543_pkt_stamp`, as /proc/kallsyms has it.
    pub(crate) name: String,
    /// The code of the image that it is a copy of, and whose unwind entries are its own. Without one it keeps frame
    /// pointers.
    pub(crate) copy_of: Option<u64>,
}

impl Kernel<'_> {
    /// All pieces by ascending address.
    pub(crate) fn generated_code(&self) -> &[GeneratedCode] {
        self.generated.get_or_init(|| {
            let mut found = self.bpf_code();
            if self.arch() == Arch::X86_64 {
                found.extend(self.ftrace_trampolines());
            }
            found.retain(|code| code.end > code.start && code.end - code.start <= MAX_SIZE);
            found.sort_by_key(|code| code.start);
            found
        })
    }

    /// The piece that holds an address.
    pub(crate) fn generated_at(&self, at: u64) -> Option<&GeneratedCode> {
        let code = self.generated_code();
        let after = code.partition_point(|code| code.start <= at);
        after.checked_sub(1).and_then(|nth| code.get(nth)).filter(|code| at < code.end)
    }

    pub(crate) fn generated_symbol(&self, at: VirtAddr) -> Option<Resolved> {
        let code = self.generated_at(at.0)?;
        let (offset, size) = (at.0 - code.start, Some(code.end - code.start));
        Some(Resolved { name: code.name.clone(), offset, size, module: None })
    }

    /// The list of everything of BPF that has a name (bfea9a8574f3 "bpf: Add name to struct bpf_ksym", v5.7).
    fn bpf_code(&self) -> Vec<GeneratedCode> {
        let types = self.types();
        let members = ["lnode", "start", "end", "name"].map(|member| types.offset("bpf_ksym", member));
        let (Some(head), [Some(link), Some(start), Some(end), Some(name)]) = (self.symbol_at("bpf_kallsyms"), members)
        else {
            return Vec::new();
        };
        let nodes = self.list(head, MAX_PIECES, "code of BPF").items.into_iter().map(|node| node - link);
        let pieces = nodes.filter_map(|at| {
            let (start, end) = (self.u64(at + start).ok()?, self.u64(at + end).ok()?);
            let name = self.cstr(at + name, 256).ok().filter(|name| !name.is_empty())?;
            self.arch().is_kernel(VirtAddr(start)).then_some(GeneratedCode { start, end, name, copy_of: None })
        });
        pieces.collect()
    }

    /// Trampolines of ftrace, copies of ftrace_caller() or ftrace_regs_caller(): listed since fc0ea795f53c "ftrace: Add
    /// symbols for ftrace trampolines" (v5.9).
    fn ftrace_trampolines(&self) -> Vec<GeneratedCode> {
        let types = self.types();
        let members = ["list", "trampoline", "trampoline_size", "flags"];
        let members = members.map(|member| types.offset("ftrace_ops", member));
        let (Some(head), [Some(_), Some(start), Some(size), Some(flags)]) =
            (self.symbol_at("ftrace_ops_trampoline_list"), members)
        else {
            return Vec::new();
        };
        let Some(link) = members[0] else { return Vec::new() };
        let copies = [("ftrace_caller", 0), ("ftrace_regs_caller", SAVES_REGISTERS)];
        let copies = copies.map(|(name, flag)| (self.symbol(name), flag));
        let nodes = self.list(head, MAX_PIECES, "trampolines of ftrace").items.into_iter().map(|node| node - link);
        let pieces = nodes.filter_map(|at| {
            let start = self.u64(at + start).ok()?;
            let end = start.checked_add(self.u64(at + size).ok()?)?;
            let flags = self.u64(at + flags).ok()? & SAVES_REGISTERS;
            let copy_of = copies.iter().find(|(_, flag)| *flag == flags).and_then(|(from, _)| *from);
            let name = "ftrace_trampoline".to_owned();
            self.arch().is_kernel(VirtAddr(start)).then_some(GeneratedCode { start, end, name, copy_of })
        });
        pieces.collect()
    }
}

#[cfg(test)]
mod tests {
    use crate::VirtAddr;
    use crate::synthetic::{BASE, Memory};

    #[test]
    fn a_program_has_a_name_and_one_that_cannot_be_has_none() {
        let memory = Memory::new();
        let (head, one, two) = (BASE + 0x2_0000, BASE + 0x2_1000, BASE + 0x2_2000);
        for (at, next, prev) in [(head, one, two), (one, two, head), (two, head, one)] {
            memory.put64(at, next);
            memory.put64(at + 8, prev);
        }
        for (at, start, end) in [(one, BASE + 0x9000, BASE + 0x9100), (two, BASE + 0x7000, BASE + 0x6000)] {
            memory.put64(at + 16, start);
            memory.put64(at + 24, end);
            memory.put(at + 32, b"bpf_prog_01_main\0");
        }
        let members = [
            ("bpf_ksym", "lnode", 0, 16),
            ("bpf_ksym", "start", 16, 8),
            ("bpf_ksym", "end", 24, 8),
            ("bpf_ksym", "name", 32, 512),
        ];
        let kernel = memory.kernel_with(&format!("SYMBOL(bpf_kallsyms)={head:x}\n"), &members);
        let found = kernel.generated_symbol(VirtAddr(BASE + 0x9010)).unwrap();
        assert_eq!((found.name.as_str(), found.offset, found.size), ("bpf_prog_01_main", 0x10, Some(0x100)));
        assert_eq!(kernel.generated_symbol(VirtAddr(BASE + 0x9100)), None);
        assert_eq!(kernel.generated_symbol(VirtAddr(BASE + 0x7001)), None);
    }
}
