//! The tasks that stand in a run queue and wait for its CPU.

use facts::Gap;

use crate::runq::RunQueue;
use crate::{Kernel, VirtAddr, Walk};

/// Tasks of one run queue that are listed.
const MAX_QUEUED: usize = 100_000;
/// Groups of real-time tasks inside one another.
const MAX_DEPTH: u32 = 32;
/// More priorities than real-time tasks have (MAX_RT_PRIO is 100).
const MAX_PRIORITIES: u64 = 140;

/// A task in a run queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Queued {
    /// Its `task_struct`.
    pub task: VirtAddr,
    /// The scheduling class: `stop`, `deadline`, `rt`, `fair`, `ext`.
    pub class: &'static str,
    /// Its priority as the kernel counts: 100 to 139 for normal tasks, below for real-time ones, negative for deadlines.
    pub priority: Option<i32>,
    /// It sleeps already and only pays its debt: it is not among those that want to run (152e11f6df29 "sched/fair:
    /// Implement delayed dequeue", v6.12).
    pub delayed: bool,
    /// It may not run before its group's quota is refilled: of the group's CPU time (`cpu.max`) or of that of real-time
    /// tasks.
    pub throttled: bool,
}

impl Kernel<'_> {
    /// The tasks in a run queue, the current one left out: what stops the CPU, then by deadline, then by real-time priority, then the others in the
    /// order of the kernel's list, the newest first.
    pub fn queued_tasks(&self, queue: &RunQueue) -> Walk<Queued> {
        let mut walk = Walk::default();
        let rq = queue.address;
        let types = self.types();
        // migration/N, which every CPU has.
        let stop = self.pointer(rq, "rq", "stop").filter(|task| self.value(*task, "task_struct", "on_rq") == Some(1));
        walk.items.extend(stop.map(|task| self.queued(task, "stop")));
        self.deadline_tasks(rq, &mut walk);
        if let Some(active) = types.offset("rq", "rt.active.queue") {
            self.real_time_tasks(rq + active, 0, &mut walk);
        }
        // All fair tasks of a CPU, whatever their groups: of kernels for several processors (since 367456c756a6 "sched:
        // Ditch per cgroup task lists for load-balancing", v3.4).
        let mut known = false;
        let lists = [("cfs_tasks", "se.group_node", "fair"), ("scx.runnable_list", "scx.runnable_node", "ext")];
        for (list, node, class) in lists {
            let Some((list, node)) = types.offset("rq", list).zip(types.offset("task_struct", node)) else { continue };
            known |= class == "fair";
            let tasks = self.list(rq + list, MAX_QUEUED, "tasks of a run queue");
            walk.gaps.extend(tasks.gaps);
            walk.items.extend(tasks.items.into_iter().map(|at| self.queued(at - node, class)));
        }
        if !known {
            walk.gaps.push(Gap::new(
                format!("tasks in the run queue of CPU {}", queue.cpu),
                format!("struct rq at {rq}"),
                "the layout of its list of tasks is not known",
                "a vmlinux of this kernel (--vmlinux)",
            ));
        }
        walk.items.retain(|queued| Some(queued.task) != queue.current);
        walk
    }

    /// Class and priority of the task that a CPU runs, by its priority, which also counts what others lend it.
    pub fn running_class(&self, task: VirtAddr) -> Option<(&'static str, i32)> {
        let priority = self.value(task, "task_struct", "prio")? as i32;
        // MAX_DL_PRIO, MAX_RT_PRIO, SCHED_EXT
        let class = match priority {
            ..0 => "deadline",
            0..100 => "rt",
            _ if self.value(task, "task_struct", "policy") == Some(7) => "ext",
            _ => "fair",
        };
        Some((class, priority))
    }

    fn queued(&self, task: VirtAddr, class: &'static str) -> Queued {
        Queued {
            task,
            class,
            priority: self.value(task, "task_struct", "prio").map(|n| n as i32),
            delayed: self.value(task, "task_struct", "se.sched_delayed") == Some(1),
            throttled: match class {
                "fair" => self
                    .pointer(task, "task_struct", "se.cfs_rq")
                    .and_then(|of| self.value(of, "cfs_rq", "throttle_count")),
                "rt" => {
                    self.pointer(task, "task_struct", "rt.rt_rq").and_then(|of| self.value(of, "rt_rq", "rt_throttled"))
                }
                _ => None,
            }
            .is_some_and(|throttled| throttled != 0),
        }
    }

    fn deadline_tasks(&self, rq: VirtAddr, walk: &mut Walk<Queued>) {
        let types = self.types();
        // A cached root since 2161573ecd6f "sched/deadline: replace earliest dl and rq leftmost caching" (v4.14).
        let root = self.first_value(rq, "rq", &["dl.root.rb_root.rb_node", "dl.rb_root.rb_node"]);
        let Some(node) = types.offset("task_struct", "dl.rb_node") else { return };
        let own = types.offset("sched_dl_entity", "rb_node").unwrap_or(0);
        let tree = self.rb_tree(root.filter(|at| *at != 0).map(VirtAddr), MAX_QUEUED, "deadline tasks of a run queue");
        walk.gaps.extend(tree.gaps);
        // The server for fair tasks stands among them and is none (63ba8422f876 "sched/deadline: Introduce deadline servers", v6.8).
        let serves = |at: &VirtAddr| self.value(*at - own, "sched_dl_entity", "dl_server") == Some(1);
        walk.items.extend(tree.items.into_iter().filter(|at| !serves(at)).map(|at| self.queued(at - node, "deadline")));
    }

    /// The lists of a `struct rt_prio_array`; a group stands in them with a queue of its own.
    fn real_time_tasks(&self, lists: VirtAddr, depth: u32, walk: &mut Walk<Queued>) {
        let types = self.types();
        let Some(node) = types.offset("task_struct", "rt.run_list") else { return };
        let own = types.offset("sched_rt_entity", "run_list").unwrap_or(0);
        let count = types.member("rt_prio_array", "queue").map_or(0, |queue| queue.size / 16).min(MAX_PRIORITIES);
        for head in (0..count).map(|nth| lists + nth * 16) {
            // Most are empty.
            if self.ptr(head).ok() == Some(head) || walk.items.len() >= MAX_QUEUED {
                continue;
            }
            let tasks = self.list(head, MAX_QUEUED, "real-time tasks of a run queue");
            walk.gaps.extend(tasks.gaps);
            for at in tasks.items {
                let group = self.pointer(at - own, "sched_rt_entity", "my_q");
                match (group, types.offset("rt_rq", "active.queue")) {
                    (Some(group), Some(active)) if depth < MAX_DEPTH => {
                        self.real_time_tasks(group + active, depth + 1, walk);
                    }
                    (Some(_), _) => {}
                    (None, _) => walk.items.push(self.queued(at - node, "rt")),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthetic::{BASE, Memory};

    /// A list with these nodes.
    fn list(memory: &Memory, head: u64, nodes: &[u64]) {
        let ring: Vec<u64> = [head].iter().chain(nodes).copied().collect();
        for (nth, at) in ring.iter().enumerate() {
            let next = ring[(nth + 1) % ring.len()];
            memory.put64(*at, next);
            memory.put64(next + 8, *at);
        }
    }

    #[test]
    fn tasks_of_all_classes_are_listed_and_a_group_is_looked_into() {
        let memory = Memory::new();
        let (rq, group) = (BASE + 0x2_0000, BASE + 0x2_2000);
        let task = |nth: u64| BASE + 0x3_0000 + nth * 0x1000;
        for nth in 0..5 {
            memory.put32(task(nth), 120 + nth as u32);
        }
        // Fair tasks 0 (current) and 1, which sleeps already; a group of real-time tasks with task 2; deadline task 3 and the
        // server beside it.
        list(&memory, rq, &[task(0) + 8, task(1) + 8]);
        memory.put64(task(1) + 0x80, 1);
        let entity = BASE + 0x2_3000;
        list(&memory, rq + 0x100, &[entity]);
        list(&memory, rq + 0x110, &[]);
        memory.put64(entity + 0x10, group);
        list(&memory, group + 0x20, &[]);
        list(&memory, group + 0x30, &[task(2) + 0x20]);
        memory.put64(task(2) + 0x30, 0);
        let server = task(4) + 0x40;
        memory.put64(rq + 0x200, task(3) + 0x40);
        memory.put64(task(3) + 0x40 + 8, server);
        memory.put64(task(3) + 0x40 + 16, 0);
        memory.put64(server + 8, 0);
        memory.put64(server + 16, 0);
        memory.put64(server + 0x20, 1);
        let members = [
            ("rq", "cfs_tasks", 0, 16),
            ("rq", "rt.active.queue", 0x100, 32),
            ("rq", "dl.root.rb_root.rb_node", 0x200, 8),
            ("rt_rq", "active.queue", 0x20, 32),
            ("rt_prio_array", "queue", 0, 32),
            ("task_struct", "prio", 0, 4),
            ("task_struct", "se.group_node", 8, 16),
            ("task_struct", "se.sched_delayed", 0x80, 1),
            ("task_struct", "rt.run_list", 0x20, 16),
            ("task_struct", "dl.rb_node", 0x40, 24),
            ("sched_rt_entity", "run_list", 0, 16),
            ("sched_rt_entity", "my_q", 0x10, 8),
            ("sched_dl_entity", "rb_node", 0, 24),
            ("sched_dl_entity", "dl_server", 0x20, 1),
        ];
        let kernel = memory.kernel_with("", &members);
        let queue = RunQueue {
            cpu: 0,
            address: VirtAddr(rq),
            clock_ns: 0,
            lag_ns: 0,
            nr_running: 3,
            current: Some(VirtAddr(task(0))),
            idle: false,
        };
        let walk = kernel.queued_tasks(&queue);
        let found: Vec<_> = walk.items.iter().map(|q| (q.class, q.task.0, q.priority, q.delayed)).collect();
        let expected = [
            ("deadline", task(3), Some(123), false),
            ("rt", task(2), Some(122), false),
            ("fair", task(1), Some(121), true),
        ];
        assert_eq!((found.as_slice(), walk.gaps.len()), (expected.as_slice(), 0));
        // The group's queue leads back into itself.
        memory.put64(task(2) + 0x30, group);
        assert!(kernel.queued_tasks(&queue).items.len() <= 4);
    }
}
