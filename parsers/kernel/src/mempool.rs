//! Memory pools whose reserve is exhausted: a sleeper in `mempool_alloc` leads to its pool.

use std::collections::BTreeMap;

use crate::locks::{StackWords, Stacks};
use crate::stacks::CallStack;
use crate::tasks::Task;
use crate::{Kernel, VirtAddr};

/// A memory pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mempool {
    /// Address of its `mempool_t`.
    pub address: VirtAddr,
    /// Elements it keeps in reserve.
    pub min_nr: i32,
    /// Elements in reserve now.
    pub curr_nr: i32,
    /// Function that allocates its elements.
    pub alloc: Option<String>,
    /// Slab cache its elements come from.
    pub cache: Option<String>,
    /// Name of the variable that holds it.
    pub symbol: Option<String>,
    /// Module of that variable.
    pub module: Option<String>,
    /// Tasks that wait for an element.
    pub waiters: Vec<VirtAddr>,
}

impl Kernel<'_> {
    /// The pool a task waits for, when it sleeps in `mempool_alloc`.
    ///
    /// The sleeper's `wait_queue_entry` is on its own stack: its own task pointer, a function of the kernel, and a
    /// list entry whose ring closes on the pool's wait queue.
    /// `pools` are those already found, to which a new one is added.
    pub(crate) fn mempool_wait(
        &self,
        task: &Task,
        stack: &CallStack,
        stacks: &Stacks,
        pools: &mut BTreeMap<VirtAddr, Mempool>,
    ) -> Option<VirtAddr> {
        let types = self.types();
        let words = StackWords::read(self, task, stack)?;
        // mempool_s until 6.12, mempool after.
        let pool_type = if types.offset("mempool_s", "curr_nr").is_some() { "mempool_s" } else { "mempool" };
        let head = types.first_member(pool_type, &["wait.head", "wait.task_list"]).map_or(56, |m| m.offset);
        self.wait_entries(task, &words, stacks).find_map(|entry| {
            let ring = entry.ring;
            let [list] = ring.elsewhere.as_slice() else { return None };
            let address = *list - head;
            if pools.contains_key(&address) {
                return Some(address);
            }
            let number = |path, fallback: u64| {
                let at = address + types.offset(pool_type, path).unwrap_or(fallback);
                self.u32(at).ok().map(|n| n as i32)
            };
            let (min_nr, curr_nr) = (number("min_nr", 4)?, number("curr_nr", 8)?);
            let pointer = |path, fallback: u64| {
                self.ptr(address + types.offset(pool_type, path).unwrap_or(fallback)).ok().filter(|p| p.0 != 0)
            };
            let alloc = pointer("alloc", 32).and_then(|at| self.symbolize(at)).map(|s| s.name);
            if !(0..=1 << 24).contains(&min_nr) || !(0..=min_nr).contains(&curr_nr) || alloc.is_none() {
                return None;
            }
            let cache = match alloc.as_deref() {
                Some("mempool_alloc_slab") => pointer("pool_data", 24)
                    .and_then(|cache| self.pointer(cache, "kmem_cache", "name"))
                    .and_then(|name| self.cstr(name, 128).ok()),
                _ => None,
            };
            let symbol = self.symbolize(address);
            let mut waiters: Vec<_> = ring.on_stacks.iter().filter_map(|node| stacks.owner(*node)).collect();
            waiters.sort_unstable();
            waiters.dedup();
            let pool = Mempool {
                address,
                min_nr,
                curr_nr,
                alloc,
                cache,
                symbol: symbol.as_ref().map(|s| s.name.clone()),
                module: symbol.and_then(|s| s.module),
                waiters,
            };
            pools.insert(address, pool);
            Some(address)
        })
    }
}
