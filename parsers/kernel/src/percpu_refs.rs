//! References that a task waits for with a completion: a `percpu_ref` that was killed lies beside the completion which its
//! release function completes, and what it refers to knows it.

use crate::wait_queues::{QueueWait, WaitKind};
use crate::{Kernel, VirtAddr};

/// Bytes of an object that are looked at, and those around a variable.
const MAX_OBJECT: u64 = 8192;
const NEIGHBOURS: u64 = 256;
/// `__PERCPU_REF_DEAD`, the same since its beginning.
const DEAD: u64 = 2;
/// More references than anything has; a live one is biased beyond this.
const MAX_COUNT: i64 = 1 << 40;

impl Kernel<'_> {
    /// Fills in the references that have to be put before what a task waits for is completed.
    pub(crate) fn reference_waits(&self, waits: &mut [QueueWait]) {
        for wait in waits.iter_mut().filter(|wait| wait.kind == WaitKind::Completion && wait.waker.is_none()) {
            let Some((at, left, release)) = self.killed_reference(wait.object) else { continue };
            let name = release.map(|symbol| match &symbol.module {
                Some(module) => (format!("{} [{module}]", symbol.name), symbol.module.clone()),
                None => (symbol.name, None),
            });
            let (name, module) = name.unwrap_or_else(|| ("an unknown function".to_owned(), None));
            (wait.kind, wait.object) = (WaitKind::Reference, at);
            wait.symbol = Some(format!("percpu_ref that {name} releases, {left} left"));
            wait.module = module.or(wait.module.take());
        }
    }

    /// The one killed reference in the object of a completion: its address, how many are left, who releases the last. What
    /// it refers to is a structure of its own since 2b0d3d3e4fcf "percpu_ref: reduce memory footprint of percpu_ref in fast
    /// path" (v5.10), and leads back.
    fn killed_reference(&self, completion: VirtAddr) -> Option<(VirtAddr, i64, Option<crate::Resolved>)> {
        self.types().offset("percpu_ref_data", "ref")?;
        let (start, size) = match self.slab_object(completion) {
            Some(object) if object.allocated != Some(false) => {
                let names = ["object_size", "objsize"];
                let size = self.first_value(object.cache, "kmem_cache", &names)? & 0xffff_ffff;
                (object.start, size.min(MAX_OBJECT))
            }
            Some(_) => return None,
            // A variable, or part of one.
            None => {
                self.symbolize(completion)?;
                (completion - NEIGHBOURS, 2 * NEIGHBOURS)
            }
        };
        self.killed_reference_in(start, size)
    }

    fn killed_reference_in(&self, start: VirtAddr, size: u64) -> Option<(VirtAddr, i64, Option<crate::Resolved>)> {
        let types = self.types();
        let word = types.offset("percpu_ref", "percpu_count_ptr")?;
        let data = types.offset("percpu_ref", "data")?;
        let back = types.offset("percpu_ref_data", "ref")?;
        let (bytes, _) = self.bytes_with_holes(start, size as usize);
        let words = bytes.as_chunks::<8>().0;
        let killed = |nth: usize| {
            let at = start + nth as u64 * 8 - data;
            let target = VirtAddr(u64::from_le_bytes(*words.get(nth)?));
            if !self.arch().is_kernel(target) || self.ptr(target + back) != Ok(at) {
                return None;
            }
            let left = self.value(target, "percpu_ref_data", "count.counter")? as i64;
            let dead = self.u64(at + word).is_ok_and(|word| word & DEAD != 0);
            let release = self.pointer(target, "percpu_ref_data", "release").and_then(|at| self.symbolize(at));
            (dead && (1..MAX_COUNT).contains(&left)).then_some((at, left, release))
        };
        let mut found = (0..words.len()).filter_map(killed);
        let first = found.next();
        first.filter(|_| found.next().is_none())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthetic::{BASE, Memory};

    #[test]
    fn a_killed_reference_beside_a_variable_is_the_one_that_leads_back() {
        let memory = Memory::new();
        let (completion, reference, data) = (BASE + 0x1_0100, BASE + 0x1_00f0, BASE + 0x2_0000);
        memory.put64(reference, 3);
        memory.put64(reference + 8, data);
        memory.put64(data, 1);
        memory.put64(data + 0x10, reference);
        memory.put64(BASE + 0x1_0200, 0);
        let members = [
            ("percpu_ref", "percpu_count_ptr", 0, 8),
            ("percpu_ref", "data", 8, 8),
            ("percpu_ref_data", "count.counter", 0, 8),
            ("percpu_ref_data", "release", 8, 8),
            ("percpu_ref_data", "ref", 0x10, 8),
        ];
        let found = |memory: &Memory| {
            let kernel = memory.kernel_with("", &members);
            kernel
                .killed_reference_in(VirtAddr(completion - NEIGHBOURS), 2 * NEIGHBOURS)
                .map(|(at, left, _)| (at.0, left))
        };
        assert_eq!(found(&memory), Some((reference, 1)));
        memory.put64(reference, 1);
        assert_eq!(found(&memory), None, "it was not killed");
        memory.put64(reference, 3);
        memory.put64(data + 0x10, reference + 8);
        assert_eq!(found(&memory), None, "it does not lead back");
    }
}
