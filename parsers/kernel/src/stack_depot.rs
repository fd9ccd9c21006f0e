//! Stacks that the kernel stored by a number: what CONFIG_STACKDEPOT keeps for the records of allocations and references.

use crate::unwind::scan::follows_call;
use crate::{Arch, Kernel, VirtAddr};

/// Functions of a stored stack that are named.
const MAX_FUNCTIONS: u64 = 16;
/// Records begin at multiples of 1 << 4 bytes (DEPOT_STACK_ALIGN) in every kernel.
const ALIGN: u32 = 4;

impl Kernel<'_> {
    /// Functions of the stack that a `depot_stack_handle_t` stands for, innermost first. Empty when the record cannot be
    /// read, or is another's.
    pub(crate) fn depot_stack(&self, handle: u32) -> Vec<String> {
        let types = self.types();
        let part = |names: &[&str]| {
            let member = types.first_member("handle_parts", names)?;
            member.decode(handle.to_le_bytes().get(member.offset as usize..)?)
        };
        // pool_index_plus_1 since 6.9, pool_index since 6.3; slabindex before, with the table called stack_slabs.
        let from_one = types.member("handle_parts", "pool_index_plus_1").is_some();
        let index = part(&["pool_index_plus_1", "pool_index", "slabindex"]);
        let index = index.and_then(|index| index.checked_sub(u64::from(from_one)));
        let (Some(index), Some(offset)) = (index, part(&["offset"])) else { return Vec::new() };
        let Some(table) = ["stack_pools", "stack_slabs"].iter().find_map(|name| self.symbol_at(name)) else {
            return Vec::new();
        };
        // An array, in newer kernels a pointer to one; the record knows its own number.
        let own = |record: &VirtAddr| {
            let known = self.value(*record, "stack_record", "handle.handle").map(|n| n as u32);
            let extra = types.member("handle_parts", "extra").and_then(|m| m.bits).map_or(32, |(bit, _)| bit.min(32));
            let mask = (u64::from(u32::MAX) >> (32 - extra.max(1))) as u32;
            known.is_some_and(|known| known & mask == handle & mask)
        };
        let tables = [Some(table), self.ptr(table).ok()].into_iter().flatten();
        let records = tables.filter_map(|table| Some(self.ptr(table + index * 8).ok()? + (offset << ALIGN)));
        let Some(record) = { records }.find(own) else { return Vec::new() };
        let (Some(count), Some(entries)) =
            (self.value(record, "stack_record", "size"), types.offset("stack_record", "entries"))
        else {
            return Vec::new();
        };
        let addresses = (0..count.min(MAX_FUNCTIONS)).filter_map(|nth| self.ptr(record + entries + nth * 8).ok());
        addresses.filter_map(|back| self.stored_caller(back)).collect()
    }

    /// The function that a stored return address lies in: a call may be its last instruction. Of a module that is gone, or
    /// its init function, no name but the address remains: where another module lies now no call stands before it.
    pub(crate) fn stored_caller(&self, back: VirtAddr) -> Option<String> {
        let symbol = self.symbolize(back - 1)?;
        let calls = symbol.module.is_none() || self.stands_behind_call(back);
        Some(if calls { symbol.name } else { format!("{:#x}", back.0) })
    }

    fn stands_behind_call(&self, back: VirtAddr) -> bool {
        match self.arch() {
            Arch::X86_64 => follows_call(&self.code(), back.0),
            // bl, blr
            Arch::Aarch64 => self
                .u32(back - 4)
                .is_ok_and(|word| word & 0xfc00_0000 == 0x9400_0000 || word & 0xffff_fc1f == 0xd63f_0000),
        }
    }
}
