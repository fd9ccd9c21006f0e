//! Magic SysRq: somebody asked for it.

use facts::FieldType;

use super::{Before, Family, From, Opened, field, hung_task, kind, no_finish};
use crate::event::{Event, Severity};
use crate::report::{Report, Step, task_line};
use crate::{Line, class};

pub(super) static FAMILY: Family = Family {
    name: "sysrq",
    anchors: &["sysrq: ", "SysRq : "],
    from: From::Kernel,
    open,
    body,
    finish: no_finish,
    kind: kind(
        "log.sysrq",
        "A magic SysRq key or a write to /proc/sysrq-trigger",
        &[field("what", FieldType::Text, "", "what was asked for, as printed: Trigger a crash, Show State, ...")],
    ),
};

fn open(line: &Line<'_>, _: Before<'_>) -> Option<Opened> {
    let text = line.text();
    let text = text.strip_prefix("sysrq: ").unwrap_or(text);
    let bare = text.len() == line.text().len();
    let what = match text.strip_prefix("SysRq : ") {
        Some(what) => what,
        None if bare => return None,
        None => text,
    };
    let event = Event::new(FAMILY.name, class::CLEAN, Severity::Notice)
        .titled(format!("sysrq: {what}"))
        .with("what", what.trim());
    // The dumps that were asked for hold frames.
    if what.starts_with("Show") { Opened::trace(event) } else { Opened::line(event) }
}

/// Blocked tasks of one list that are reports of their own.
const MAX_BLOCKED: usize = 2048;

fn body(report: &mut Report, line: &Line<'_>) -> Step {
    if let Some(task) = task_line(line.text()) {
        report.end_blocked();
        report.begin_task_stack(task);
        // In a list of all tasks (`t`) as in one of the blocked (`w`): each of them is a report.
        if task.state == Some('D') && report.blocked.len() < MAX_BLOCKED {
            report.blocked.push(hung_task::listed(task, line));
        }
        return Step::Take;
    }
    match (line.text().strip_prefix("Workqueue: "), report.awaits_blocked()) {
        (Some(work), Some(task)) => {
            task.set("workqueue", work.trim());
            Step::Take
        }
        _ => Step::Pass,
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::events;

    const BOOT: &str = "[   10.400000] usb 1-1: new high-speed USB device number 4 using xhci_hcd\n";

    #[test]
    fn blocked_tasks_are_told_wherever_the_list_stands() {
        let list = "[ 8123.401123] sysrq: Show Blocked State\n\
             [ 8123.401201] task:kworker/u8:1    state:D stack:    0 pid:  293 ppid:     2 flags:0x00004000\n\
             [ 8123.401210] Workqueue: netns cleanup_net\n[ 8123.401220] Call Trace:\n\
             [ 8123.401222]  __schedule+0x282/0x870\n[ 8123.401224]  schedule+0x46/0xb0\n\
             [ 8123.401226]  msleep+0x34/0x40\n[ 8123.401228]  netdev_run_todo+0xea/0x330\n\
             [ 8123.401301] task:java            state:D stack:    0 pid: 2345 ppid:     1 flags:0x00000000\n\
             [ 8123.401320] Call Trace:\n[ 8123.401322]  __schedule+0x282/0x870\n\
             [ 8123.401324]  rwsem_down_write_slowpath+0x246/0x4d0\n\
             [ 8123.401326]  ext4_file_write_iter+0x1c/0x320 [ext4]\n";
        for before in [0, 100] {
            let found = events(&format!("{}{list}", BOOT.repeat(before)));
            let told: Vec<_> = found.iter().filter(|e| e.family == "hung_task").collect();
            assert_eq!(told.iter().map(|e| e.pid).collect::<Vec<_>>(), [Some(293), Some(2345)], "{before}");
            assert!(told.iter().all(|e| e.fields.contains_key("listed") && e.corrupted.is_none()), "{told:#?}");
            assert_eq!(told[0].fields["workqueue"].as_text(), Some("netns cleanup_net"));
            let first = before as u64 + 2;
            assert_eq!((told[0].first_line, told[0].last_line), (first, first + 6));
            assert_eq!(told[1].title, "INFO: task hung in ext4_file_write_iter");
        }
    }

    #[test]
    fn of_a_list_of_all_tasks_the_blocked_ones_are_told() {
        let task = |name: &str, state: char, pid: u32, frame: &str| {
            format!(
                "[ 8123.401201] {name}            {state} ffff88085c1b0fd0     0  {pid}      2 0x00000080\n\
                 [ 8123.401210]  ffff88085c1afdc8 0000000000000046 ffff88085c1b0fd0 ffff88085c1affd8\n\
                 [ 8123.401220] Call Trace:\n[ 8123.401222]  [<ffffffff816ab8a9>] schedule+0x29/0x70\n\
                 [ 8123.401224]  [<ffffffff816ad1d5>] {frame}+0x225/0x3a0\n\
                 [ 8123.401236]  [<ffffffff810b270f>] kthread+0xcf/0xe0\n"
            )
        };
        let list = format!(
            "{}[ 8123.401123] SysRq : Show State\n[ 8123.401150]   task                        PC stack   pid father\n{}{}{}",
            BOOT.repeat(100),
            task("systemd", 'S', 1, "ep_poll"),
            task("nfsd", 'D', 2345, "xfs_ilock"),
            task("sshd", 'S', 2346, "do_select"),
        );
        let found = events(&list);
        let told: Vec<_> = found.iter().filter(|e| e.family == "hung_task").collect();
        assert_eq!(told.len(), 1, "{found:#?}");
        assert_eq!((told[0].comm.as_deref(), told[0].pid), (Some("nfsd"), Some(2345)));
        assert_eq!(told[0].title, "INFO: task hung in xfs_ilock");
        let list = found.iter().find(|e| e.family == "sysrq").unwrap();
        let pids: Vec<_> = list.stacks.iter().map(|s| s.pid).collect();
        assert_eq!(pids, [Some(1), Some(2346)], "the others stay with the list");
    }
}
