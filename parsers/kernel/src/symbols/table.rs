//! A compact symbol table: sorted by address, hashed by name.

use std::borrow::Cow;

use super::lookup::Lookup;

/// One symbol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Symbol<'a> {
    /// Value: an address, or for per-CPU symbols what [`crate::Kernel::per_cpu`] takes.
    pub address: u64,
    /// Size in bytes, 0 where the table has none.
    pub size: u32,
    /// Type letter as `nm` prints it; capitals are global.
    pub kind: u8,
    /// Name.
    pub name: Cow<'a, str>,
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

    fn name(&self, entry: &Entry) -> &str {
        let start = entry.name as usize;
        self.names.get(start..start + usize::from(entry.len)).unwrap_or_default()
    }
}

impl Lookup for Table {
    fn len(&self) -> usize {
        self.entries.len()
    }

    fn address(&self, nth: usize) -> Option<u64> {
        self.entries.get(nth).map(|e| e.address)
    }

    fn symbol(&self, nth: usize) -> Option<Symbol<'_>> {
        let entry = self.entries.get(nth)?;
        let name = Cow::Borrowed(self.name(entry));
        Some(Symbol { address: entry.address, size: entry.size, kind: entry.kind, name })
    }

    fn addresses(&self, name: &str) -> Vec<u64> {
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
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_names_the_one_of_the_function_is_told() {
        let mut table = Table::default();
        table.push(0x1000, 0, b'T', "__irqentry_text_start");
        table.push(0x1000, 0, b'T', "_stext");
        table.push(0x1000, 0, b't', "efi_header_end");
        table.push(0x1000, 0, b't', "gic_handle_irq");
        table.push(0x10b0, 0, b'T', "__irqentry_text_end");
        table.push(0x2000, 0, b'T', "__pi___x86_indirect_thunk_rax");
        table.push(0x2000, 0, b'T', "__x86_indirect_thunk_rax");
        table.push(0x2020, 0, b't', "__pi_memcmp");
        table.push(0x3000, 0, b't', "el0_irq");
        table.push(0x30e4, 0, b't', "el0_irq_naked");
        let table = table.finish();
        assert_eq!(table.containing(0x1040).unwrap().0.name, "gic_handle_irq");
        assert_eq!(table.containing(0x2001).unwrap().0.name, "__x86_indirect_thunk_rax");
        assert_eq!(table.containing(0x2020).unwrap().0.name, "__pi_memcmp");
        assert_eq!(table.containing(0x30f0).unwrap().0.name, "el0_irq");
    }

    #[test]
    fn names_and_addresses_find_each_other() {
        let mut table = Table::default();
        table.push(0x2000, 0, b't', "local");
        table.push(0x1000, 0, b'T', "_stext");
        table.push(0x1000, 0, b'T', "real");
        table.push(0x2000, 0, b'T', "global");
        table.push(0x3000, 0, b't', "local");
        let table = table.finish();
        assert_eq!(table.addresses("local"), [0x2000, 0x3000]);
        assert!(table.addresses("none").is_empty());
        let (symbol, size) = table.containing(0x1fff).unwrap();
        assert_eq!((symbol.name.as_ref(), size), ("real", Some(0x1000)));
        assert_eq!(table.containing(0x2001).unwrap().0.name, "global");
        assert!(table.containing(0xfff).is_none());
        assert!(Table::default().addresses("x").is_empty());
    }
}
