//! `/proc/PID/stack` and `/proc/PID/status`: where a task waits, and what it is called.

use std::collections::BTreeMap;

use facts::{Fact, Origin};

use crate::node::{Input, Node};
use crate::paste::stacks;

/// More tasks than this are only counted.
const MOST: usize = 100_000;

/// What files of `/proc/PID` tell of the tasks of a node.
#[derive(Default)]
pub(crate) struct Tasks {
    /// Name and state by pid.
    known: BTreeMap<i64, (String, char)>,
    member: String,
}

/// The pid that a path ending in `proc/PID/file` names.
pub(crate) fn pid_of(directory: &str) -> Option<i64> {
    let (above, pid) = directory.rsplit_once('/').unwrap_or(("", directory));
    let in_proc = above == "proc" || above.ends_with("/proc");
    (in_proc && pid.bytes().all(|b| b.is_ascii_digit())).then(|| pid.parse().ok()).flatten()
}

/// `[<0>] do_wait+0x1ba/0x220` lines.
pub(crate) fn stack(node: &mut Node, input: &Input<'_>) -> bool {
    // A paste is searched for stacks as a whole.
    if input.before == 0 {
        let pid = input.path.rsplit_once('/').and_then(|(directory, _)| pid_of(directory));
        stacks::of_task(node, input, pid);
    }
    true
}

/// `Name:`, `State:`.
pub(crate) fn status(node: &mut Node, input: &Input<'_>) -> bool {
    let Some(pid) = input.path.rsplit_once('/').and_then(|(directory, _)| pid_of(directory)) else { return false };
    let value = |name: &str| input.text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let (Some(comm), Some(state)) = (value("Name:"), value("State:").and_then(|s| s.chars().next())) else {
        return false;
    };
    let tasks = &mut node.tasks;
    if tasks.known.len() < MOST {
        tasks.known.insert(pid, (comm.chars().take(32).collect(), state));
    }
    if tasks.member.is_empty() || input.member < tasks.member.as_str() {
        input.member.clone_into(&mut tasks.member);
    }
    true
}

/// Counts the tasks by state, and puts names to the stacks that were found by pid alone.
pub(crate) fn finish(node: &mut Node) {
    let tasks = std::mem::take(&mut node.tasks);
    if tasks.known.is_empty() {
        return;
    }
    for fact in node.facts.iter_mut().filter(|f| f.kind == "node.backtrace" && f.text("comm") == Some("")) {
        let Some((pid, (comm, state))) = fact.int("pid").and_then(|pid| Some((pid, tasks.known.get(&pid)?))) else {
            continue;
        };
        let top = fact.text("top").unwrap_or_default();
        let quote = format!("{comm} (task {pid}, state {state}) in {top}");
        fact.quote = quote;
        fact.set("comm", comm.as_str());
        fact.set("state", state.to_string());
    }
    let of = |states: &str| tasks.known.values().filter(|(_, state)| states.contains(*state)).count() as i64;
    let total = tasks.known.len() as i64;
    node.push(
        Fact::new("node.tasks", Origin::whole(tasks.member))
            .with("total", total)
            .with("running", of("R"))
            .with("uninterruptible", of("D"))
            .with("zombie", of("Z"))
            .quoting(format!("/proc/PID/status: {total} tasks, {} uninterruptible", of("D"))),
    );
}

#[cfg(test)]
mod tests {
    use crate::Node;

    #[test]
    fn stack_and_status_of_a_task_are_one_report() {
        let mut node = Node::default();
        let frames =
            "[<0>] rwsem_down_read_slowpath+0x33/0x4a0\n[<0>] ext4_iget+0x1/0x2 [ext4]\n[<0>] 0xffffffffffffffff\n";
        node.add("sos/proc/812/stack", "sos/proc/812/stack", frames.as_bytes());
        node.add("sos/proc/812/status", "sos/proc/812/status", b"Name:\tjava\nUmask:\t0022\nState:\tD (disk sleep)\n");
        // 3.10 prints addresses.
        let old = "[<ffffffff810f5a1d>] do_wait+0x1d/0x30\n[<ffffffff81234567>] do_exit+0x1/0x2\n[<ffffffffffffffff>] 0xffffffffffffffff\n";
        node.add("proc/1/stack", "proc/1/stack", old.as_bytes());
        let (facts, gaps) = node.finish();
        assert!(gaps.is_empty());
        let stacks: Vec<_> = facts.iter().filter(|f| f.kind == "node.backtrace").collect();
        let told: Vec<_> = stacks.iter().map(|f| (f.int("pid"), f.text("comm"), f.text("top"))).collect();
        assert_eq!(
            told,
            [(Some(1), Some(""), Some("do_wait")), (Some(812), Some("java"), Some("rwsem_down_read_slowpath")),]
        );
        let states: Vec<_> = stacks.iter().map(|f| f.text("state")).collect();
        assert_eq!(states, [None, Some("D")]);
        let tasks = facts.iter().find(|f| f.kind == "node.tasks").unwrap();
        assert_eq!((tasks.int("total"), tasks.int("uninterruptible")), (Some(1), Some(1)));
    }
}
