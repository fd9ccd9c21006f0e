//! Machines that cannot start a task any more: its numbers, or the tasks it may have, are used up.

use std::collections::BTreeMap;

use facts::FieldType::{Bool, Int, Text};
use facts::plain_field as field;
use facts::{Fact, KindDef, Origin};

use crate::Kernel;
use crate::settings::Sysctl;
use crate::tasks::Task;

/// `RESERVED_PIDS` (kernel/pid.c): lower numbers are given out once only.
const RESERVED: u64 = 300;
/// Percent of a limit from which on it is told.
const NEAR: u64 = 90;

/// The kinds of facts made here.
pub(crate) const KINDS: &[KindDef] = &[KindDef {
    kind: "mem.task_numbers",
    doc: "Nine tenths or more of the tasks that a limit allows are there.",
    fields: &[
        field("limit", Text, "kernel.pid_max, kernel.threads-max"),
        field("most", Int, "tasks that the limit allows"),
        field("tasks", Int, "threads and zombies"),
        field("full", Bool, "no task can be started"),
        field("zombies", Int, "of these exited, and nobody has waited for them"),
        field("holds", Text, "what most of them are: `zombies` or `threads`"),
        field("pid", Int, "process that does not wait for most of the zombies, or has most of the threads"),
        field("comm", Text, "its command name"),
        field("held", Int, "how many"),
    ],
}];

impl Kernel<'_> {
    /// The `mem.task_numbers` fact.
    pub(crate) fn task_number_fact(&self, settings: &[Sysctl]) -> Option<Fact> {
        let limit = |name: &'static str, spare: u64| {
            let value = settings.iter().find(|setting| setting.name == name)?.value?;
            Some((name, u64::try_from(value).ok()?, spare))
        };
        let limits = [limit("kernel.pid_max", RESERVED + 1), limit("kernel.threads-max", 0)];
        let limits: Vec<_> = limits.into_iter().flatten().collect();
        told(&self.tasks().items, &limits, Origin::derived(self.member(), "tasks"))
    }
}

/// `limits`: name, how many, and how many of these nobody gets.
fn told(tasks: &[Task], limits: &[(&str, u64, u64)], origin: Origin) -> Option<Fact> {
    let tasks: Vec<&Task> = tasks.iter().filter(|task| task.pid != 0).collect();
    let there = tasks.len() as u64;
    let reached =
        |(_, most, _): &&(&str, u64, u64)| *most > 0 && there.saturating_mul(100) >= most.saturating_mul(NEAR);
    let (limit, most, spare) =
        limits.iter().filter(reached).min_by_key(|(_, most, spare)| most.saturating_sub(*spare))?;
    let full = there.saturating_add(*spare) >= *most;
    let zombies: Vec<&&Task> = tasks.iter().filter(|task| task.exit_state != 0 && task.pid == task.tgid).collect();
    let of_zombies = zombies.len() as u64 * 2 >= there;
    let mut counts: BTreeMap<i32, u64> = BTreeMap::new();
    match of_zombies {
        true => zombies.iter().for_each(|task| *counts.entry(task.ppid).or_default() += 1),
        false => tasks.iter().for_each(|task| *counts.entry(task.tgid).or_default() += 1),
    }
    let (pid, count) = counts.into_iter().max_by_key(|(_, count)| *count)?;
    let comm = tasks.iter().find(|task| task.pid == pid).map_or("", |task| task.comm.as_str());
    let holds = if of_zombies { "zombies" } else { "threads" };
    let whose = if of_zombies { "zombies that {} does not wait for" } else { "threads of {}" };
    let whose = whose.replace("{}", &format!("{comm} ({pid})"));
    let quote = format!("{there} tasks of {limit} = {most}, {count} of them {whose}");
    let fact = Fact::new("mem.task_numbers", origin).with("limit", *limit).with("most", *most).with("tasks", there);
    let fact = fact.with("full", full).with("zombies", zombies.len()).with("holds", holds);
    Some(fact.with("pid", pid).with("comm", comm).with("held", count).quoting(quote))
}

#[cfg(test)]
mod tests {
    use crate::VirtAddr;

    use super::*;

    fn tasks(count: i32, zombies: i32) -> Vec<Task> {
        let task = |pid: i32| {
            let mut task = Task::of(VirtAddr(0xffff_8880_0000_0000 + pid as u64), pid, pid, 'S');
            if pid > count - zombies {
                task.exit_state = 32;
                task.ppid = 7;
            }
            task
        };
        (0..=count).map(task).collect()
    }

    fn fact(tasks: &[Task], limits: &[(&str, u64, u64)]) -> Option<Fact> {
        told(tasks, limits, Origin::derived("dump", "tasks"))
    }

    #[test]
    fn zombies_that_use_up_the_numbers_are_those_of_their_parent() {
        let limits = [("kernel.pid_max", 4096, RESERVED + 1), ("kernel.threads-max", 60_000, 0)];
        let found = fact(&tasks(3795, 3600), &limits).unwrap();
        let told = (found.text("limit"), found.get("full"), found.text("comm"), found.int("held"));
        assert_eq!(told, (Some("kernel.pid_max"), Some(&true.into()), Some("task7"), Some(3600)));
        assert_eq!(fact(&tasks(3794, 10), &limits).unwrap().get("full"), Some(&false.into()));
        assert_eq!(fact(&tasks(3600, 3500), &limits), None);
        assert_eq!(fact(&tasks(500, 0), &[]), None);
    }

    #[test]
    fn threads_of_one_process_are_its_own() {
        let mut all = tasks(1000, 0);
        all.iter_mut().skip(101).for_each(|task| task.tgid = 100);
        let found = fact(&all, &[("kernel.threads-max", 1000, 0)]).unwrap();
        assert_eq!((found.text("holds"), found.int("pid"), found.int("held")), (Some("threads"), Some(100), Some(901)));
    }
}
