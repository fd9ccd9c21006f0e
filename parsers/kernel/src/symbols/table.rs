//! A compact symbol table: sorted by address, hashed by name.

/// One symbol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Symbol<'a> {
    /// Value: an address, or for per-CPU symbols what [`crate::Kernel::per_cpu`] takes.
    pub address: u64,
    /// Size in bytes, 0 where the table has none.
    pub size: u32,
    /// Type letter as `nm` prints it; capitals are global.
    pub kind: u8,
    /// Name.
    pub name: &'a str,
}

#[derive(Clone, Copy)]
struct Entry {
    address: u64,
    name: u32,
    size: u32,
    len: u16,
    kind: u8,
}

/// Symbols of one image.
#[derive(Default)]
pub(crate) struct Table {
    entries: Vec<Entry>,
    names: String,
    /// Open addressing: entry index + 1, or 0.
    by_name: Vec<u32>,
}

/// Eight bytes at a time, folded: names are short and the table is built on every open. Names come from the dump, and
/// equal hashes cost time only.
fn hash(name: &str) -> usize {
    let mix = |hash: u64, word: u64| {
        let product = u128::from(hash ^ word) * 0x9e37_79b9_7f4a_7c15_u128;
        (product as u64) ^ (product >> 64) as u64
    };
    let (words, rest) = name.as_bytes().as_chunks::<8>();
    let hash =
        words.iter().fold(name.len() as u64 ^ 0xcbf2_9ce4_8422_2325, |hash, w| mix(hash, u64::from_le_bytes(*w)));
    let mut last = [0; 8];
    if let Some(to) = last.get_mut(..rest.len()) {
        to.copy_from_slice(rest);
    }
    mix(hash, u64::from_le_bytes(last)) as usize
}

impl Table {
    pub(crate) fn push(&mut self, address: u64, size: u64, kind: u8, name: &str) {
        let (Ok(at), Ok(len)) = (u32::try_from(self.names.len()), u16::try_from(name.len())) else { return };
        self.names.push_str(name);
        self.entries.push(Entry { address, name: at, size: u32::try_from(size).unwrap_or(u32::MAX), len, kind });
    }

    /// Sorts and hashes after the last push. Symbols of one address keep their order.
    pub(crate) fn finish(mut self) -> Self {
        self.entries.sort_by_key(|e| e.address);
        let slots = (self.entries.len() * 2).next_power_of_two().max(2);
        self.by_name = vec![0; slots];
        for index in 0..self.entries.len() {
            let Some(name) = self.entries.get(index).map(|e| self.name(e)) else { break };
            let mut slot = hash(name) & (slots - 1);
            while self.by_name.get(slot).is_some_and(|e| *e != 0) {
                slot = (slot + 1) & (slots - 1);
            }
            if let Some(place) = self.by_name.get_mut(slot) {
                *place = index as u32 + 1;
            }
        }
        self
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    fn name(&self, entry: &Entry) -> &str {
        let start = entry.name as usize;
        self.names.get(start..start + usize::from(entry.len)).unwrap_or_default()
    }

    fn symbol(&self, entry: &Entry) -> Symbol<'_> {
        Symbol { address: entry.address, size: entry.size, kind: entry.kind, name: self.name(entry) }
    }

    /// All symbols by ascending address.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Symbol<'_>> {
        self.entries.iter().map(|e| self.symbol(e))
    }

    /// Values of all symbols of that name, ascending.
    pub(crate) fn addresses(&self, name: &str) -> impl Iterator<Item = u64> {
        let mask = self.by_name.len().wrapping_sub(1);
        let mut slot = hash(name) & mask;
        let mut left = self.by_name.len();
        let mut found = Vec::new();
        while let Some(index) = self.by_name.get(slot).and_then(|n| (*n as usize).checked_sub(1)) {
            if let Some(entry) = self.entries.get(index).filter(|e| self.name(e) == name) {
                found.push(entry.address);
            }
            slot = (slot + 1) & mask;
            left -= 1;
            if left == 0 {
                break;
            }
        }
        found.into_iter()
    }

    /// The symbol that contains an address, and its size. Of several at one address the one a debugger names: a
    /// global before a weak before a local one, and a bare section mark (`_stext`, `__x_start`) last. A label inside
    /// an assembler function is passed over for the function.
    pub(crate) fn containing(&self, address: u64) -> Option<(Symbol<'_>, Option<u64>)> {
        let mut after = self.entries.partition_point(|e| e.address <= address);
        let mut next = after;
        // Labels are few: no function has more than some in a row.
        for _ in 0..32 {
            let start = self.entries.get(after.checked_sub(1)?)?.address;
            let first = self.entries.partition_point(|e| e.address < start);
            let group = self.entries.get(first..after)?;
            if group.iter().all(|e| INNER_LABELS.contains(&self.name(e))) {
                after = first;
                continue;
            }
            while self.entries.get(next).is_some_and(|e| INNER_LABELS.contains(&self.name(e))) {
                next += 1;
            }
            let best = group.iter().min_by_key(|e| rank(&self.symbol(e)))?;
            let symbol = self.symbol(best);
            let size = match symbol.size {
                0 => self.entries.get(next).map(|e| e.address - start),
                size => Some(u64::from(size)),
            };
            let inside = symbol.size == 0 || address - start < u64::from(symbol.size);
            return inside.then_some((symbol, size));
        }
        None
    }
}

/// Labels inside functions of the entry and start code (SYM_INNER_LABEL), which kallsyms has and which have no
/// size in a vmlinux.
const INNER_LABELS: [&str; 45] = [
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
];

fn rank(symbol: &Symbol<'_>) -> u8 {
    let name = symbol.name;
    let mark = matches!(name, "_text" | "_stext" | "_sinittext" | "_etext")
        || (name.starts_with("__") && (name.ends_with("_start") || name.ends_with("_begin") || name.ends_with("_end")))
        || name.starts_with("__pfx_")
        || name.starts_with('$');
    let binding = match symbol.kind {
        b'W' | b'w' | b'V' | b'v' => 1,
        kind if kind.is_ascii_uppercase() => 0,
        _ => 2,
    };
    // Identical functions share an address: the 64-bit system call is meant, not its compatibility twin.
    let twin = name.starts_with("__ia32_") || name.contains("compat_");
    binding + if mark { 10 } else { 0 } + if twin { 5 } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_addresses_find_each_other() {
        let mut table = Table::default();
        table.push(0x2000, 0, b't', "local");
        table.push(0x1000, 0, b'T', "_stext");
        table.push(0x1000, 0, b'T', "real");
        table.push(0x2000, 0, b'T', "global");
        table.push(0x3000, 0, b't', "local");
        let table = table.finish();
        assert_eq!(table.addresses("local").collect::<Vec<_>>(), [0x2000, 0x3000]);
        assert_eq!(table.addresses("none").count(), 0);
        let (symbol, size) = table.containing(0x1fff).unwrap();
        assert_eq!((symbol.name, size), ("real", Some(0x1000)));
        assert_eq!(table.containing(0x2001).unwrap().0.name, "global");
        assert!(table.containing(0xfff).is_none());
        assert_eq!(Table::default().addresses("x").count(), 0);
    }
}
