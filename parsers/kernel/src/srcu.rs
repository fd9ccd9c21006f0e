//! Which readers of SRCU a task waits for (`synchronize_srcu()`): how many there are is counted; who they are is not written
//! down, but the code of a task that sleeps as one has called `srcu_read_lock()` with that structure.

use std::collections::HashMap;

use crate::locks::StackWords;
use crate::tasks::Task;
use crate::wait_queues::{QueueWait, WaitKind};
use crate::waits::Scene;
use crate::{Arch, Kernel, VirtAddr};

/// Bytes of a function that are looked at.
const MAX_CODE: u64 = 4096;
/// What takes the lock of a reader, out of line.
const READ_LOCKS: [&str; 2] = ["__srcu_read_lock", "__srcu_read_lock_nmisafe"];

impl Kernel<'_> {
    /// Fills in whose grace period it is, and the reader that keeps it.
    pub(crate) fn srcu_waits(&self, scene: &Scene<'_>, waits: &mut [QueueWait]) {
        let mut sleeping: HashMap<VirtAddr, Vec<VirtAddr>> = HashMap::new();
        for wait in waits.iter_mut().filter(|wait| wait.kind == WaitKind::Completion && wait.waker.is_none()) {
            let Some((task, Some(stack))) = scene.task(wait.task) else { continue };
            if !stack.goes_through("__synchronize_srcu") {
                continue;
            }
            let Some(words) = StackWords::read(self, task, stack) else { continue };
            let Some(srcu) = self.kernel_words(&words).find(|at| self.is_srcu(*at)) else { continue };
            let symbol = self.symbolize(srcu);
            (wait.kind, wait.object) = (WaitKind::GracePeriod, srcu);
            wait.symbol = Some(match &symbol {
                Some(symbol) if symbol.offset == 0 => format!("SRCU {}", symbol.name),
                Some(symbol) => format!("SRCU {}+{:#x}", symbol.name, symbol.offset),
                None => format!("SRCU {srcu}"),
            });
            wait.module = symbol.and_then(|symbol| symbol.module);
            let Some(readers) = self.srcu_readers(srcu).filter(|readers| *readers > 0) else { continue };
            let found = sleeping.entry(srcu).or_insert_with(|| self.sleeping_readers(scene, srcu));
            // More that look like readers than there are: not all of them are.
            if found.len() as u64 > readers {
                continue;
            }
            if let Some(reader) = scene.longest(|task| found.contains(&task.address)) {
                wait.waker = Some(reader.address);
                wait.waker_by = Some(
                    match readers {
                        1 => "sleeps as its only reader".to_owned(),
                        several => format!("sleeps as one of its {several} readers"),
                    }
                    .into(),
                );
                wait.must_end = true;
            }
        }
    }

    /// Whether a `struct srcu_struct` lies here: the parts of its CPUs know it.
    fn is_srcu(&self, at: VirtAddr) -> bool {
        let part = self.pointer(at, "srcu_struct", "sda").zip(self.cpus_possible().first());
        let part = part.and_then(|(parts, cpu)| self.per_cpu(parts, *cpu));
        part.and_then(|part| self.first_value(part, "srcu_data", &["ssp", "sp"])) == Some(at.0)
    }

    /// Readers in flight: what was locked less what was unlocked, by either index, over all CPUs. In pairs since 56eb8be144c2
    /// "srcu: Pull ->srcu_{un,}lock_count into a new srcu_ctr structure" (v6.15), atomic since v6.2, plain numbers before.
    fn srcu_readers(&self, srcu: VirtAddr) -> Option<u64> {
        let parts = self.pointer(srcu, "srcu_struct", "sda")?;
        let mut readers = 0i64;
        for cpu in self.cpus_possible() {
            let part = self.per_cpu(parts, *cpu)?;
            let count = |lock: &str, nth: usize| {
                let paths = [
                    format!("srcu_ctrs[{nth}].srcu_{lock}s.counter"),
                    format!("srcu_{lock}_count[{nth}].counter"),
                    format!("srcu_{lock}_count[{nth}]"),
                ];
                self.first_value(part, "srcu_data", &paths.each_ref().map(String::as_str))
            };
            for nth in 0..2 {
                let held = count("lock", nth)?.wrapping_sub(count("unlock", nth)?);
                readers = readers.wrapping_add(held as i64);
            }
        }
        u64::try_from(readers).ok()
    }

    /// Sleeping tasks that are in functions which took it for reading.
    fn sleeping_readers(&self, scene: &Scene<'_>, srcu: VirtAddr) -> Vec<VirtAddr> {
        let locks: Vec<u64> = READ_LOCKS.iter().filter_map(|name| self.symbol_at(name)).map(|at| at.0).collect();
        let mut known: HashMap<u64, (bool, bool)> = HashMap::new();
        let mut found = Vec::new();
        for (task, stack) in scene.tasks.iter().zip(scene.stacks) {
            let Some(stack) = stack.as_ref().filter(|_| !task.running) else { continue };
            let frames = stack.frames.iter().filter(|f| f.found != facts::Found::Scan && f.name.is_some());
            // Whether the way to the call inside leads by a lock, and whether the code names the structure.
            let mut of_code = frames.map(|frame| {
                *known.entry(frame.pc.0).or_insert_with(|| {
                    let start = frame.pc.0.wrapping_sub(frame.offset);
                    let locked = self.calls(start, frame.offset, &locks);
                    let names = || self.code_names(start, frame.offset, &|word| word == srcu.0);
                    (locked, locked && names())
                })
            });
            let (mut locked, mut names) = (false, false);
            of_code.by_ref().for_each(|(calls, named)| (locked, names) = (locked || calls, names || named));
            if locked && (names || self.has_on_stack(task, stack, srcu)) && !stack.goes_through("__synchronize_srcu") {
                found.push(task.address);
            }
        }
        found
    }

    fn has_on_stack(&self, task: &Task, stack: &crate::stacks::CallStack, word: VirtAddr) -> bool {
        StackWords::read(self, task, stack).is_some_and(|words| words.places(word.0).next().is_some())
    }

    /// Whether the first bytes of a function call one of these, or go on there as their last step.
    pub(crate) fn calls(&self, start: u64, size: u64, targets: &[u64]) -> bool {
        let Ok(code) = self.bytes(VirtAddr(start), size.min(MAX_CODE) as usize) else { return false };
        match self.arch() {
            Arch::X86_64 => code.windows(5).enumerate().any(|(nth, bytes)| {
                let [0xe8 | 0xe9, rest @ ..] = bytes else { return false };
                let Ok(distance) = rest.try_into().map(i32::from_le_bytes) else { return false };
                targets.contains(&start.wrapping_add(nth as u64 + 5).wrapping_add(i64::from(distance) as u64))
            }),
            Arch::Aarch64 => code.as_chunks::<4>().0.iter().enumerate().any(|(nth, word)| {
                let word = u32::from_le_bytes(*word);
                let distance = i64::from((word << 6) as i32 >> 4) as u64;
                matches!(word >> 26, 0x25 | 0x05)
                    && targets.contains(&self.behind_veneer(start.wrapping_add(nth as u64 * 4).wrapping_add(distance)))
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthetic::{BASE, Memory};

    #[test]
    fn what_is_waited_for_is_no_node_of_rcu() {
        let wait = |symbol: &str| crate::wait_queues::QueueWait {
            symbol: Some(symbol.to_owned()),
            ..crate::wait_queues::QueueWait::of(
                VirtAddr(BASE),
                crate::wait_queues::WaitKind::GracePeriod,
                VirtAddr(BASE),
            )
        };
        assert_eq!((wait("SRCU conf_srcu").type_name(), wait("RCU").type_name()), ("srcu_struct", "rcu_node"));
    }

    #[test]
    fn readers_are_counted_over_both_indexes_in_every_layout() {
        let memory = Memory::new();
        let (srcu, part) = (BASE + 0x1_0000, BASE + 0x1_1000);
        memory.put64(srcu + 8, part);
        // Index 0: 2 locked, 1 unlocked here; index 1: none left.
        for (nth, count) in [2u64, 7, 1, 7].into_iter().enumerate() {
            memory.put64(part + nth as u64 * 8, count);
        }
        memory.put64(part + 0x40, srcu);
        let common = [("srcu_struct", "sda", 8, 8), ("srcu_data", "ssp", 0x40, 8)];
        let old = [
            ("srcu_data", "srcu_lock_count[0]", 0, 8),
            ("srcu_data", "srcu_lock_count[1]", 8, 8),
            ("srcu_data", "srcu_unlock_count[0]", 16, 8),
            ("srcu_data", "srcu_unlock_count[1]", 24, 8),
        ];
        let pairs = [
            ("srcu_data", "srcu_ctrs[0].srcu_locks.counter", 0, 8),
            ("srcu_data", "srcu_ctrs[0].srcu_unlocks.counter", 16, 8),
            ("srcu_data", "srcu_ctrs[1].srcu_locks.counter", 8, 8),
            ("srcu_data", "srcu_ctrs[1].srcu_unlocks.counter", 24, 8),
        ];
        for layout in [old, pairs] {
            let members: Vec<_> = common.into_iter().chain(layout).collect();
            let kernel = memory.kernel_with("", &members);
            assert_eq!(kernel.srcu_readers(VirtAddr(srcu)), Some(1));
            assert!(kernel.is_srcu(VirtAddr(srcu)) && !kernel.is_srcu(VirtAddr(part)));
        }
        assert_eq!(memory.kernel_with("", &common).srcu_readers(VirtAddr(srcu)), None, "an unknown layout");
    }

    #[test]
    fn calls_before_a_place_are_told_from_others() {
        let memory = Memory::new();
        let (code, lock) = (BASE + 0x2_0000, BASE + 0x3_0000);
        memory.put(code, &[0x90, 0xe8]);
        memory.put32(code + 2, (lock - (code + 6)) as u32);
        let kernel = memory.kernel("");
        assert!(kernel.calls(code, 16, &[lock]));
        assert!(!kernel.calls(code, 16, &[lock + 16]));
        assert!(!kernel.calls(code, 5, &[lock]), "the call comes after the place");
    }
}
