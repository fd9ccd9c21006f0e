//! Whom a task waits for that waits for a grace period of RCU: a reader that was switched away from, as the kernel lists it,
//! or what a CPU runs that did not pass a quiescent state.

use std::collections::BTreeSet;

use crate::stacks::CallStack;
use crate::tasks::Task;
use crate::wait_queues::{QueueWait, WaitKind};
use crate::waits::Scene;
use crate::{Kernel, VirtAddr};

/// Readers of one node.
const MAX_READERS: usize = 100_000;
/// A grace period younger than this waits for CPUs as every one does.
const OLD_S: u64 = 2;

/// Which kind of grace period a stack waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Period {
    Normal,
    Expedited,
}

/// RCU of tasks, and SRCU, have readers of their own.
fn period(stack: &CallStack) -> Option<Period> {
    let functions = || stack.frames.iter().filter(|f| f.found != facts::Found::Scan).filter_map(|f| f.function());
    if functions().any(|name| name.starts_with("synchronize_rcu_tasks")) {
        return None;
    }
    functions().find_map(|name| match name.trim_start_matches('_') {
        "synchronize_rcu_expedited" | "synchronize_sched_expedited" | "rcu_exp_sel_wait_wake" | "rcu_exp_wait_wake" => {
            Some(Period::Expedited)
        }
        name if name.starts_with("synchronize_rcu_expedited_wait") => Some(Period::Expedited),
        "wait_rcu_gp" | "synchronize_rcu_normal" | "synchronize_rcu" | "rcu_barrier" => Some(Period::Normal),
        _ => None,
    })
}

impl Kernel<'_> {
    /// Fills in who keeps the grace period that tasks wait for.
    pub(crate) fn grace_periods(&self, scene: &Scene<'_>, waits: &mut [QueueWait]) {
        let kinds = [WaitKind::Completion, WaitKind::Queue];
        for wait in waits.iter_mut().filter(|wait| kinds.contains(&wait.kind) && wait.waker.is_none()) {
            let Some((task, Some(stack))) = scene.task(wait.task) else { continue };
            if let Some(found) = self.grace_period(scene, task, stack) {
                *wait = QueueWait { waiters: wait.waiters, ..found };
            }
        }
    }

    /// The same for a task of which nothing else tells what it waits for: who drives a grace period looks again and again.
    pub(crate) fn grace_period(&self, scene: &Scene<'_>, task: &Task, stack: &CallStack) -> Option<QueueWait> {
        let period = period(stack)?;
        let (node, waker, by) = match self.reader(scene, task, period) {
            Some((node, reader)) => (node, reader, "is a reader of RCU that sleeps".to_owned()),
            None => {
                let (node, running, cpu) = self.busy_cpu(scene, task, period)?;
                (node, running, format!("runs on CPU {cpu}, which passes no quiescent state"))
            }
        };
        Some(QueueWait {
            symbol: Some("RCU".to_owned()),
            waker: Some(waker),
            waker_by: Some(by.into()),
            must_end: true,
            ..QueueWait::of(task.address, WaitKind::GracePeriod, node)
        })
    }

    /// Of the readers that a grace period waits for the one that has slept longest, with its node. A task that is switched
    /// away from while it reads stands in the list of its node (CONFIG_PREEMPT_RCU); from `gp_tasks` or `exp_tasks` on
    /// they block the grace period.
    fn reader(&self, scene: &Scene<'_>, waiter: &Task, period: Period) -> Option<(VirtAddr, VirtAddr)> {
        let types = self.types();
        let entry = types.offset("task_struct", "rcu_node_entry")?;
        let first = match period {
            Period::Normal => "gp_tasks",
            Period::Expedited => "exp_tasks",
        };
        let mut blocking: Vec<(VirtAddr, VirtAddr)> = Vec::new();
        for node in scene.nodes_with_readers(self).iter().copied() {
            let Some(first) = self.pointer(node, "rcu_node", first) else { continue };
            let Some(head) = self.place(node, "rcu_node", "blkd_tasks") else { continue };
            let readers = self.list(head, MAX_READERS, "readers of RCU").items;
            let readers = readers.into_iter().skip_while(|at| *at != first);
            blocking.extend(readers.map(|at| (node, at - entry)));
        }
        let blocks =
            |task: &Task| task.address != waiter.address && blocking.iter().any(|(_, reader)| *reader == task.address);
        let reader = scene.longest(blocks)?;
        blocking.into_iter().find(|(_, at)| *at == reader.address)
    }

    /// The nodes in whose lists tasks stand.
    pub(crate) fn nodes_with_readers(&self, tasks: &[Task]) -> Vec<VirtAddr> {
        let Some(node) = self.types().offset("task_struct", "rcu_blocked_node") else { return Vec::new() };
        let nodes: BTreeSet<VirtAddr> = tasks.iter().filter_map(|task| self.ptr(task.address + node).ok()).collect();
        nodes.into_iter().filter(|at| self.arch().is_kernel(*at)).collect()
    }

    /// A CPU that a grace period which is not young still waits for, with its node and what it runs.
    fn busy_cpu(&self, scene: &Scene<'_>, waiter: &Task, period: Period) -> Option<(VirtAddr, VirtAddr, u32)> {
        let old = match period {
            Period::Normal => {
                let state = self.symbol_at("rcu_state")?;
                let now = self.jiffies()?;
                let since = |member: &str| {
                    let ticks = now.checked_sub(self.value(state, "rcu_state", member)?)?;
                    Some(ticks / self.ticks_per_second()?.max(1))
                };
                // Where the thread of the grace periods does not run itself nobody looks at the CPUs.
                since("gp_start").filter(|_| since("gp_activity").is_some_and(|idle| idle < OLD_S))?
            }
            Period::Expedited => {
                let slept = waiter.last_run_ns?;
                let queue = self.run_queues().into_iter().find(|queue| Some(queue.cpu) == waiter.cpu)?;
                queue.clock_ns.checked_sub(slept)? / 1_000_000_000
            }
        };
        let mask = match period {
            Period::Normal => "qsmask",
            Period::Expedited => "expmask",
        };
        let data = self.symbol_at("rcu_data").filter(|_| old >= OLD_S)?;
        self.cpus_present().iter().find_map(|cpu| {
            let data = self.per_cpu(data, *cpu)?;
            let node = self.pointer(data, "rcu_data", "mynode")?;
            let own = self.value(data, "rcu_data", "grpmask")?;
            let running = self.current_task(*cpu).filter(|task| Some(*task) != self.idle_task(*cpu))?;
            let waits = self.value(node, "rcu_node", mask)? & own != 0 && running != waiter.address;
            (waits && scene.task(running).is_some()).then_some((node, running, *cpu))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthetic::{BASE, Memory};

    fn at(nth: u64) -> VirtAddr {
        VirtAddr(BASE + 0x2_0000 + nth * 0x1000)
    }

    #[test]
    fn grace_periods_are_told_apart_by_what_waits_for_them() {
        let of = |functions: &[&str]| period(&CallStack::of(functions));
        assert_eq!(of(&["wait_for_completion", "__wait_rcu_gp", "synchronize_rcu"]), Some(Period::Normal));
        assert_eq!(of(&["schedule", "synchronize_rcu_expedited"]), Some(Period::Expedited));
        assert_eq!(of(&["__wait_rcu_gp", "synchronize_rcu_tasks_generic"]), None);
        assert_eq!(of(&["wait_for_completion", "__synchronize_srcu"]), None);
    }

    #[test]
    fn readers_from_the_first_on_that_blocks_are_waited_for() {
        let memory = Memory::new();
        let node = BASE + 0x1_0000;
        // Tasks 1 to 3 were switched away from as readers; 1 came after the grace period had begun.
        let ring = [node + 0x10, at(1).0 + 8, at(2).0 + 8, at(3).0 + 8];
        for (nth, here) in ring.iter().enumerate() {
            let next = ring[(nth + 1) % ring.len()];
            memory.put64(*here, next);
            memory.put64(next + 8, *here);
        }
        for nth in 0..4 {
            memory.put64(at(nth).0 + 0x20, if nth == 0 { 0 } else { node });
        }
        memory.put64(node + 0x20, at(2).0 + 8);
        memory.put64(node + 0x28, 0);
        let members = [
            ("task_struct", "rcu_node_entry", 8, 16),
            ("task_struct", "rcu_blocked_node", 0x20, 8),
            ("rcu_node", "blkd_tasks", 0x10, 16),
            ("rcu_node", "gp_tasks", 0x20, 8),
            ("rcu_node", "exp_tasks", 0x28, 8),
        ];
        let kernel = memory.kernel_with("", &members);
        let tasks: Vec<Task> = (0..4)
            .map(|nth| Task {
                last_run_ns: Some(100 - nth),
                ..Task::of(at(nth), 10 + nth as i32, 10 + nth as i32, 'D')
            })
            .collect();
        let normal = CallStack::of(&["wait_for_completion", "__wait_rcu_gp", "synchronize_rcu"]);
        let stacks = vec![Some(normal.clone()), None, None, None];
        let scene = Scene::of(&tasks, &stacks);
        let mut waits = [QueueWait::of(at(0), WaitKind::Completion, at(0))];
        kernel.grace_periods(&scene, &mut waits);
        assert_eq!((waits[0].kind, waits[0].waker), (WaitKind::GracePeriod, Some(at(3))));
        assert_eq!(kernel.reader(&scene, &tasks[3], Period::Normal), Some((VirtAddr(node), at(2))));
        // No expedited grace period waits for anybody.
        let expedited = CallStack::of(&["schedule", "synchronize_rcu_expedited"]);
        assert!(kernel.grace_period(&scene, &tasks[0], &expedited).is_none());
    }
}
