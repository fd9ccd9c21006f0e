//! The registers with which a task came from user mode: the last words of its kernel stack.

use crate::unwind::X86_64_NAMES;
use crate::{Arch, Kernel, Task, VirtAddr};

/// Bytes of x86-64's `struct pt_regs`.
const X86_64_BYTES: u64 = 168;
/// Up to `pstate`, `orig_x0`, `syscallno` of arm64's.
const ARM64_BYTES: usize = 288;

/// What user mode left on the kernel stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserRegisters {
    /// Names and values, as crash prints them: program counter and stack pointer first, `orig_rax`, `cs`, `ss` or
    /// `pstate`, `orig_x0`, `syscallno` last.
    pub named: Vec<(String, u64)>,
    /// Number of the system call; `None` where an interrupt or an exception interrupted user mode.
    pub system_call: Option<u64>,
    /// Its name, by the kernel's own table: `wait4`.
    pub name: Option<String>,
}

/// What the kernel puts before and behind the name of a system call.
const PREFIXES: [&str; 8] =
    ["__x64_sys_", "__arm64_sys_", "__se_sys_", "__ia32_sys_", "stub_", "SyS_", "sys_", "ksys_"];

impl Kernel<'_> {
    /// The registers of a user task as it entered the kernel; `None` for kernel threads, idle and dead tasks, and where
    /// the stack cannot be read. Of a running task they are those of its last entry.
    pub fn user_registers(&self, task: &Task) -> Option<UserRegisters> {
        if task.kthread || task.idle || task.mm.is_none() {
            return None;
        }
        let top = task.stack? + self.stack_size();
        match self.arch() {
            // Two words are kept free above by kernels with FRED (since v6.9); a user's code segment tells.
            Arch::X86_64 => [0, 16].into_iter().find_map(|padding| self.x86_64_user(top - padding - X86_64_BYTES)),
            Arch::Aarch64 => self.arm64_user(top),
        }
    }

    fn words(&self, at: VirtAddr, count: usize) -> Option<Vec<u64>> {
        let bytes = self.bytes(at, count * 8).ok()?;
        Some(bytes.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word)).collect())
    }

    fn x86_64_user(&self, at: VirtAddr) -> Option<UserRegisters> {
        let words = self.words(at, 21)?;
        let word = |n: usize| words.get(n).copied();
        let (orig, rip, cs, flags, rsp, ss) = (word(15)?, word(16)?, word(17)?, word(18)?, word(19)?, word(20)?);
        // The words of cs and ss hold FRED bits above since 6.9.
        let (cs, ss) = (cs & 0xffff, ss & 0xffff);
        if cs & 3 != 3 || ss & 3 != 3 || rip >> 56 != 0 {
            return None;
        }
        let mut named = vec![("rip".to_owned(), rip), ("rsp".to_owned(), rsp), ("rflags".to_owned(), flags)];
        named.extend(X86_64_NAMES.iter().map(|name| (*name).to_owned()).zip(words.iter().copied()));
        named.extend([("orig_rax", orig), ("cs", cs), ("ss", ss)].map(|(name, value)| (name.to_owned(), value)));
        // A vector or -1 for anything but a system call. Compat calls have their own table.
        let system_call = (orig < 1 << 16).then_some(orig);
        let name = system_call.filter(|_| cs == 0x33).and_then(|number| self.system_call_name(number));
        Some(UserRegisters { named, system_call, name })
    }

    fn arm64_user(&self, top: VirtAddr) -> Option<UserRegisters> {
        let size = self.types().size_of("pt_regs").unwrap_or(336);
        let words = self.words(top - size, ARM64_BYTES / 8)?;
        let word = |n: usize| words.get(n).copied();
        let (sp, pc, pstate, orig, number) = (word(31)?, word(32)?, word(33)?, word(34)?, word(35)?);
        // EL0, 64-bit or 32-bit.
        if pstate & 0xf != 0 || pc >> 56 != 0 {
            return None;
        }
        let mut named = vec![("pc".to_owned(), pc), ("sp".to_owned(), sp)];
        named.extend(words.iter().take(31).enumerate().map(|(n, value)| (format!("x{n}"), *value)));
        let number = u64::from(number as u32);
        named.extend(
            [("pstate", pstate), ("orig_x0", orig), ("syscallno", number)]
                .map(|(name, value)| (name.to_owned(), value)),
        );
        // -1 is none.
        let system_call = (number < 1 << 16).then_some(number);
        let name = system_call.filter(|_| pstate & 0x10 == 0).and_then(|number| self.system_call_name(number));
        Some(UserRegisters { named, system_call, name })
    }

    fn system_call_name(&self, number: u64) -> Option<String> {
        let entry = self.ptr(self.symbol_at("sys_call_table")? + number.checked_mul(8)?).ok()?;
        let symbol = self.symbolize(entry).filter(|symbol| symbol.offset == 0)?.name;
        if symbol.ends_with("sys_ni_syscall") {
            return None;
        }
        let name = PREFIXES.iter().find_map(|prefix| symbol.strip_prefix(prefix)).unwrap_or(&symbol);
        Some(name.to_owned())
    }
}
