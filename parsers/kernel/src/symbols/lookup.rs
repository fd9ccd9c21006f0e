//! What every symbol table answers, whatever form its names have.

use super::Symbol;

/// Symbols of one image in ascending order of their addresses.
pub(crate) trait Lookup: Send + Sync {
    /// How many there are.
    fn len(&self) -> usize;

    /// The address of the nth.
    fn address(&self, nth: usize) -> Option<u64>;

    /// The nth.
    fn symbol(&self, nth: usize) -> Option<Symbol<'_>>;

    /// Values of all symbols of that name, ascending.
    fn addresses(&self, name: &str) -> Vec<u64>;

    /// The first of these.
    fn first(&self, name: &str) -> Option<u64> {
        self.addresses(name).first().copied()
    }

    /// The symbol that contains an address, and its size. Of several at one address the one a debugger names: a
    /// global before a weak before a local one, and a bare section mark (`_stext`, `__x_start`) last. A label inside
    /// an assembler function is passed over for the function.
    fn containing(&self, address: u64) -> Option<(Symbol<'_>, Option<u64>)> {
        let is_label = |nth: usize| self.symbol(nth).is_some_and(|s| INNER_LABELS.contains(&s.name.as_ref()));
        let mut after = self.up_to(address);
        let mut next = after;
        // Labels are few: no function has more than some in a row.
        for _ in 0..32 {
            let start = self.address(after.checked_sub(1)?)?;
            let first = start.checked_sub(1).map_or(0, |before| self.up_to(before));
            if (first..after).take(MAX_AT_ONE).all(is_label) {
                after = first;
                continue;
            }
            while is_label(next) {
                next += 1;
            }
            let symbol = (first..after).take(MAX_AT_ONE).filter_map(|nth| self.symbol(nth)).min_by_key(rank)?;
            // A mark or a compiler's label in data is no name for what lies behind it.
            let code = matches!(symbol.kind, b'T' | b't' | b'W' | b'w');
            if address > start && !code && symbol.size == 0 && is_mark(&symbol.name) {
                return None;
            }
            // Constants of the compiler have no names: what lies far behind a small one is not it.
            if symbol.size == 0 && matches!(symbol.kind, b'r' | b'R') && address - start >= FAR {
                return None;
            }
            let size = match symbol.size {
                0 => self.address(next).map(|at| at - start),
                size => Some(u64::from(size)),
            };
            let inside = symbol.size == 0 || address - start < u64::from(symbol.size);
            return inside.then_some((symbol, size));
        }
        None
    }

    /// How many symbols have no higher address.
    fn up_to(&self, address: u64) -> usize {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low + (high - low) / 2;
            match self.address(middle) {
                Some(at) if at <= address => low = middle + 1,
                _ => high = middle,
            }
        }
        low
    }
}

/// Bytes that a read-only variable of a table without sizes is believed to reach. Larger ones are tables of some drivers.
const FAR: u64 = 4096;

/// More symbols at one address than any kernel has.
const MAX_AT_ONE: usize = 256;

/// Labels inside functions of the entry and start code (SYM_INNER_LABEL), which kallsyms has and which have no
/// size in a vmlinux.
const INNER_LABELS: [&str; 47] = [
    "entry_SYSCALL_64_safe_stack",
    "entry_SYSCALL_64_after_hwframe",
    "entry_SYSRETQ_unsafe_stack",
    "entry_SYSRETQ_end",
    "entry_SYSCALL_compat_safe_stack",
    "entry_SYSCALL_compat_after_hwframe",
    "entry_SYSRETL_compat_unsafe_stack",
    "entry_SYSRETL_compat_end",
    "secondary_startup_64_no_verify",
    "swapgs_restore_regs_and_return_to_usermode",
    "nmi_restore",
    "common_startup_64",
    "first_nmi",
    "nested_nmi",
    "nested_nmi_out",
    "nmi_no_fsgsbase",
    "nmi_swapgs",
    "nmi_kernel",
    "repeat_nmi",
    "end_repeat_nmi",
    // 3.10
    "system_call_fastpath",
    "system_call_after_swapgs",
    "ret_from_sys_call",
    "sysret_check",
    "sysret_careful",
    "sysret_signal",
    "sysret_audit",
    "badsys",
    "auditsys",
    "tracesys",
    "int_ret_from_sys_call",
    "int_with_check",
    "int_check_syscall_exit_work",
    "int_careful",
    "int_very_careful",
    "int_signal",
    "int_restore_rest",
    "ret_from_fork_nospec_begin",
    "ret_from_fork_nospec_end",
    "restore_args",
    "irq_return",
    "retint_swapgs",
    "retint_check",
    // arm64
    "work_pending",
    "finish_ret_to_user",
    "el0_irq_naked",
    "el0_error_naked",
];

/// Whether a name marks a place, instead of what lies there: limits of sections, labels that the compiler made.
fn is_mark(name: &str) -> bool {
    // Where the EFI header of arm64 ends the text begins, with the first function of it.
    matches!(name, "_text" | "_stext" | "_sinittext" | "_etext" | "efi_header_end")
        || (name.starts_with("__") && (name.ends_with("_start") || name.ends_with("_begin") || name.ends_with("_end")))
        || name.starts_with("__pfx_")
        || name.starts_with('$')
        || ["__start_", "__stop_", "__end_", "__begin_", "__vvar_", ".L"].iter().any(|mark| name.starts_with(mark))
        || name.trim_start_matches(['<', '.']).starts_with("jumptable")
}

fn rank(symbol: &Symbol<'_>) -> u8 {
    let name = symbol.name.as_ref();
    let mark = is_mark(name);
    let binding = match symbol.kind {
        b'W' | b'w' | b'V' | b'v' => 1,
        kind if kind.is_ascii_uppercase() => 0,
        _ => 2,
    };
    // Identical functions share an address: the 64-bit system call is meant, not its compatibility twin.
    // So do functions that run before the kernel is at its place, too (SYM_PI_ALIAS).
    let twin = name.starts_with("__ia32_") || name.starts_with("__pi_") || name.contains("compat_");
    binding + if mark { 10 } else { 0 } + if twin { 5 } else { 0 }
}
