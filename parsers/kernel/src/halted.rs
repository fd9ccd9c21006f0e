//! Why a task does not go on that waits for nothing itself: it is stopped, traced, frozen, or ready and gets no CPU.

use crate::stacks::CallStack;
use crate::tasks::Task;
use crate::wait_queues::{QueueWait, WaitKind};
use crate::{Kernel, VirtAddr};

/// `task_struct.jobctl`: the signal of a stop.
const JOBCTL_STOP_SIGMASK: u64 = 0xffff;
/// Groups inside one another.
const MAX_DEPTH: usize = 64;
/// A task that is ready for so long starves.
const STARVED_NS: u64 = 2_000_000_000;

impl Kernel<'_> {
    /// What keeps a task from going on, as the end of "it ...". `None` for one that runs, or sleeps for something.
    pub fn halted(&self, task: &Task, stack: Option<&CallStack>) -> Option<String> {
        if task.running || task.idle || task.exit_state != 0 {
            return None;
        }
        match task.state {
            't' | 'T' => self.stopped(task),
            'R' => self.off_cpu(task),
            _ => self.frozen(task, stack),
        }
    }

    fn stopped(&self, task: &Task) -> Option<String> {
        // The real parent is `real_parent`: a tracer takes the place of the parent.
        let traced = self.value(task.address, "task_struct", "ptrace").is_some_and(|flags| flags != 0);
        if let Some(tracer) = self.pointer(task.address, "task_struct", "parent").filter(|_| traced) {
            let pid = self.value(tracer, "task_struct", "pid")? as i32;
            let comm = self.text(tracer, "task_struct", "comm")?;
            return Some(format!("is stopped by its tracer {comm}:{pid}"));
        }
        let signal = self.value(task.address, "task_struct", "jobctl").map(|word| word & JOBCTL_STOP_SIGMASK);
        Some(match signal {
            Some(19) => "is stopped by SIGSTOP".to_owned(),
            Some(20) => "is stopped by SIGTSTP".to_owned(),
            Some(21) => "is stopped by SIGTTIN".to_owned(),
            Some(22) => "is stopped by SIGTTOU".to_owned(),
            _ => "is stopped".to_owned(),
        })
    }

    /// The freezer of version 2 has a bit of its own (76f969e8948d "cgroup: cgroup v2 freezer", v5.2); that of version 1
    /// and of suspend puts tasks into a function of its own.
    fn frozen(&self, task: &Task, stack: Option<&CallStack>) -> Option<String> {
        let goes_through = |function: &str| stack.is_some_and(|stack| stack.goes_through(function));
        if goes_through("do_freezer_trap")
            || task.state == 'S' && self.value(task.address, "task_struct", "frozen") == Some(1)
        {
            let cgroup = task.cgroup.as_deref().map(|path| format!(" {path}")).unwrap_or_default();
            return Some(format!("is frozen with its cgroup{cgroup}"));
        }
        goes_through("__refrigerator").then(|| "is frozen".to_owned())
    }

    /// Why a task that is ready does not run.
    fn off_cpu(&self, task: &Task) -> Option<String> {
        if self.value(task.address, "task_struct", "on_rq") != Some(1) {
            return None;
        }
        let cpu = task.cpu?;
        let fair = self.value(task.address, "task_struct", "prio").is_some_and(|priority| priority >= 100);
        if fair {
            let throttled = self
                .pointer(task.address, "task_struct", "se.cfs_rq")
                .filter(|at| self.value(*at, "cfs_rq", "throttle_count").is_some_and(|count| count != 0));
            if let Some(queue) = throttled {
                return Some(format!("may not run: {}", self.used_up(queue, cpu)));
            }
        } else {
            let queue = self.pointer(task.address, "task_struct", "rt.rt_rq");
            if queue.and_then(|at| self.value(at, "rt_rq", "rt_throttled")).is_some_and(|throttled| throttled != 0) {
                return Some(
                    "may not run: the share of real-time tasks is used up (kernel.sched_rt_runtime_us)".to_owned(),
                );
            }
        }
        let (runs, policy, _, seconds) = self.kept_off(task)?;
        let pid = self.value(runs, "task_struct", "pid")? as i32;
        let comm = self.text(runs, "task_struct", "comm")?;
        Some(format!("is ready and has not got CPU {cpu} for {seconds} s: {comm}:{pid}{policy} runs there"))
    }

    /// A task that is ready and starves because one of a higher class has its CPU.
    pub(crate) fn starved(&self, task: &Task) -> Option<QueueWait> {
        if task.state != 'R' || task.running || task.idle {
            return None;
        }
        let fair = self.value(task.address, "task_struct", "prio").is_some_and(|priority| priority >= 100);
        let (runs, policy, above, _) = self.kept_off(task).filter(|_| fair)?;
        let queue = self.run_queue(task.cpu?)?;
        // -1: real-time tasks may have a CPU wholly.
        let limit = self.symbol_at("sysctl_sched_rt_runtime").and_then(|at| self.u32(at).ok());
        let unlimited = if limit == Some(u32::MAX) { ", with kernel.sched_rt_runtime_us = -1" } else { "" };
        above.then(|| QueueWait {
            symbol: Some(format!("CPU {}", task.cpu.unwrap_or(0))),
            waker: Some(runs),
            waker_by: Some(format!("has it{policy}{unlimited}").into()),
            ..QueueWait::of(task.address, WaitKind::Cpu, queue)
        })
    }

    /// For a task that has been ready for long what its CPU runs instead: the task, its policy in words, whether that is
    /// of a class above all normal tasks, and for how many seconds.
    fn kept_off(&self, task: &Task) -> Option<(VirtAddr, String, bool, u64)> {
        let cpu = task.cpu?;
        let queue = self.run_queues().into_iter().find(|queue| queue.cpu == cpu)?;
        let since = self.value(task.address, "task_struct", "sched_info.last_queued").filter(|at| *at != 0);
        let waited = since.and_then(|since| queue.clock_ns.checked_sub(since)).filter(|ns| *ns >= STARVED_NS)?;
        let current = queue.current.filter(|current| *current != task.address && !queue.idle)?;
        let (class, _) = self.running_class(current)?;
        let policy = self.value(current, "task_struct", "policy");
        let policy = match policy.zip(self.value(current, "task_struct", "rt_priority")) {
            Some((1, priority)) => format!(" as SCHED_FIFO {priority}"),
            Some((2, priority)) => format!(" as SCHED_RR {priority}"),
            Some((6, _)) => " as SCHED_DEADLINE".to_owned(),
            _ if class == "rt" => " with a real-time priority".to_owned(),
            _ => String::new(),
        };
        let above = class == "rt" || class == "deadline";
        Some((current, policy, above, waited / 1_000_000_000))
    }

    /// Whose quota is used up: the nearest group above that is throttled itself.
    fn used_up(&self, queue: VirtAddr, cpu: u32) -> String {
        let mut queue = queue;
        for _ in 0..MAX_DEPTH {
            let Some(group) = self.pointer(queue, "cfs_rq", "tg") else { break };
            if self.value(queue, "cfs_rq", "throttled") == Some(1) {
                let of = |member: &str| self.value(group, "task_group", &format!("cfs_bandwidth.{member}"));
                let cgroup = self.pointer(group, "task_group", "css.cgroup").and_then(|at| self.cgroup_node_path(at));
                let name = cgroup.unwrap_or_else(|| "above it".to_owned());
                let limit = of("quota").zip(of("period"));
                let limit = limit.map(|(quota, period)| format!(" (cpu.max {} {}", quota / 1000, period / 1000));
                let often = of("nr_throttled").zip(of("nr_periods"));
                let often = often.map(|(times, periods)| format!(", throttled in {times} of {periods} periods"));
                let limit = limit.map(|limit| format!("{limit}{})", often.unwrap_or_default()));
                return format!("the CPU time of cgroup {name} is used up{}", limit.unwrap_or_default());
            }
            let up = self.pointer(group, "task_group", "parent");
            let queues = up.and_then(|up| self.pointer(up, "task_group", "cfs_rq"));
            match queues.and_then(|queues| self.ptr(queues + u64::from(cpu) * 8).ok()).filter(|at| at.0 != 0) {
                Some(next) => queue = next,
                None => break,
            }
        }
        "the CPU time of its cgroup is used up".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthetic::{BASE, Memory};

    const TASK: VirtAddr = VirtAddr(BASE + 0x2_0000);

    fn of(state: char) -> Task {
        Task { cpu: Some(0), cgroup: Some("/backup".to_owned()), ..Task::of(TASK, 10, 10, state) }
    }

    #[test]
    fn who_stopped_or_froze_a_task_is_told() {
        let memory = Memory::new();
        let tracer = BASE + 0x2_1000;
        memory.put32(TASK.0, 1);
        memory.put64(TASK.0 + 8, tracer);
        memory.put32(TASK.0 + 0x14, 0);
        memory.put64(TASK.0 + 0x18, 0x2_0013);
        memory.put32(tracer + 0x10, 176);
        memory.put(tracer + 0x20, b"strace\0");
        let members = [
            ("task_struct", "ptrace", 0, 4),
            ("task_struct", "parent", 8, 8),
            ("task_struct", "pid", 0x10, 4),
            ("task_struct", "frozen", 0x14, 4),
            ("task_struct", "jobctl", 0x18, 8),
            ("task_struct", "comm", 0x20, 16),
        ];
        let kernel = memory.kernel_with("", &members);
        assert_eq!(kernel.halted(&of('t'), None).as_deref(), Some("is stopped by its tracer strace:176"));
        memory.put32(TASK.0, 0);
        assert_eq!(kernel.halted(&of('T'), None).as_deref(), Some("is stopped by SIGSTOP"));
        assert_eq!(kernel.halted(&of('S'), Some(&CallStack::of(&["do_sys_poll"]))), None);
        let trap = CallStack::of(&["schedule", "do_freezer_trap", "get_signal"]);
        assert_eq!(kernel.halted(&of('S'), Some(&trap)).as_deref(), Some("is frozen with its cgroup /backup"));
        memory.put32(TASK.0 + 0x14, 1);
        assert_eq!(kernel.halted(&of('S'), None).as_deref(), Some("is frozen with its cgroup /backup"));
    }

    #[test]
    fn a_task_whose_cgroup_used_its_time_up_may_not_run() {
        let memory = Memory::new();
        let (queue, above, group, root) = (BASE + 0x1_0000, BASE + 0x1_1000, BASE + 0x1_2000, BASE + 0x1_3000);
        memory.put32(TASK.0, 1);
        memory.put32(TASK.0 + 4, 120);
        memory.put64(TASK.0 + 8, queue);
        // The group above is the one that is throttled.
        memory.put32(queue, 1);
        memory.put32(queue + 4, 0);
        memory.put64(queue + 8, root);
        memory.put64(root, group);
        memory.put64(group + 8, BASE + 0x1_4000);
        memory.put64(BASE + 0x1_4000, above);
        memory.put32(above + 4, 1);
        memory.put64(above + 8, group);
        memory.put64(group + 0x10, 2_000_000);
        memory.put64(group + 0x18, 1_000_000_000);
        memory.put32(group + 0x20, 10);
        memory.put32(group + 0x24, 9);
        let members = [
            ("task_struct", "on_rq", 0, 4),
            ("task_struct", "prio", 4, 4),
            ("task_struct", "se.cfs_rq", 8, 8),
            ("cfs_rq", "throttle_count", 0, 4),
            ("cfs_rq", "throttled", 4, 4),
            ("cfs_rq", "tg", 8, 8),
            ("task_group", "parent", 0, 8),
            ("task_group", "cfs_rq", 8, 8),
            ("task_group", "cfs_bandwidth.quota", 0x10, 8),
            ("task_group", "cfs_bandwidth.period", 0x18, 8),
            ("task_group", "cfs_bandwidth.nr_periods", 0x20, 4),
            ("task_group", "cfs_bandwidth.nr_throttled", 0x24, 4),
        ];
        let kernel = memory.kernel_with("", &members);
        assert_eq!(
            kernel.halted(&of('R'), None).as_deref(),
            Some(
                "may not run: the CPU time of cgroup above it is used up (cpu.max 2000 1000000, throttled in 9 of 10 periods)"
            )
        );
        assert_eq!(kernel.halted(&Task { running: true, ..of('R') }, None), None);
        memory.put32(queue, 0);
        assert_eq!(kernel.halted(&of('R'), None), None, "nothing keeps it");
    }
}
