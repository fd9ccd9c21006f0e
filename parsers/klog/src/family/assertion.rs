//! Assertions of filesystems outside the kernel tree, which do not use its BUG: Lustre's LBUG, the VERIFY of ZFS and its
//! porting layer. The thread that found it stays where it is, or the machine panics.

use facts::FieldType;

use super::{Before, Family, From, Opened, field, kind};
use crate::cursor::{Cursor, after, has, split};
use crate::event::{Event, Location, Severity};
use crate::report::{Report, Step};
use crate::{Line, class};

pub(super) static FAMILY: Family = Family {
    name: "assertion",
    anchors: &[
        "ASSERTION(",
        ") LBUG",
        "VERIFY(",
        "VERIFY3",
        "VERIFY0",
        "SPL PANIC",
        "PANIC at ",
        "PANIC: zfs: ",
        "PANIC: blkptr at ",
    ],
    from: From::Kernel,
    open,
    body,
    finish,
    kind: kind(
        "log.assertion",
        "An assertion of Lustre or ZFS failed; the thread stops there, what waits for it hangs",
        &[
            field("filesystem", FieldType::Text, "", "lustre or zfs"),
            field("condition", FieldType::Text, "", "what should have held, with the values where printed"),
            field("file", FieldType::Text, "", "source file"),
            field("line", FieldType::Int, "", "line in it"),
        ],
    ),
};

fn open(line: &Line<'_>, before: Before<'_>) -> Option<Opened> {
    let text = line.text();
    let same = before.current.is_some_and(|e| e.family == FAMILY.name);
    let mut event = Event::new(FAMILY.name, class::BUG_ON, Severity::Report);
    if let Some((who, rest)) = located(text) {
        // `LBUG` ends what `ASSERTION` began.
        if same || !(rest.starts_with("ASSERTION(") || rest.starts_with("LBUG") || rest.starts_with("SPL PANIC")) {
            return None;
        }
        event.set("filesystem", if who == "SPLError" { "zfs" } else { "lustre" });
        event.pid = split(text, ": ").and_then(|(_, t)| Cursor::new(t).int());
        place(text, &mut event);
        if let Some(condition) = rest.strip_prefix("ASSERTION(") {
            event.set("condition", condition.split(") failed").next().unwrap_or(condition).trim());
        }
        return Opened::trace(event);
    }
    event.set("filesystem", "zfs");
    if let Some(message) = text.strip_prefix("PANIC: ") {
        event.set("condition", message);
        return Opened::trace(event);
    }
    if same {
        return None;
    }
    if text.starts_with("PANIC at ") && place(text, &mut event) {
        return Opened::trace(event);
    }
    // `VERIFY3(0 == x) failed (0 == 5)`
    if !text.starts_with("VERIFY") || !has(text, ") failed") {
        return None;
    }
    event.set("condition", text);
    Opened::trace(event)
}

/// `LustreError: 102742:0:(statahead.c:478:ll_sai_put()) text`: who says it, and the text.
fn located(text: &str) -> Option<(&str, &str)> {
    let (who, rest) = split(text, ": ")?;
    matches!(who, "LustreError" | "LNetError" | "SPLError" | "Lustre" | "LNet").then_some(())?;
    let (head, rest) = split(rest, "()) ")?;
    has(head, ":(").then_some((who, rest))
}

/// File, line and function of `(statahead.c:478:ll_sai_put())` or `PANIC at avl.c:624:avl_add()`.
fn place(text: &str, event: &mut Event) -> bool {
    let inside = after(text, "PANIC at ").or_else(|| after(text, ":(")).and_then(|t| split(t, "()"));
    let Some((inside, _)) = inside else { return false };
    let mut parts = inside.splitn(3, ':');
    let (Some(file), Some(line), Some(function)) = (parts.next(), parts.next(), parts.next()) else { return false };
    let Ok(line) = line.parse::<u32>() else { return false };
    event.set("file", file);
    event.set("line", line);
    event.place = Some(Location { function: function.to_owned(), ..Location::default() });
    true
}

fn body(report: &mut Report, line: &Line<'_>) -> Step {
    let text = line.text();
    if report.has_frames() {
        // The next thread's.
        return if text.starts_with("VERIFY") && has(text, ") failed") { Step::Stop } else { Step::Pass };
    }
    if let Some((_, rest)) = located(text) {
        if report.event.place.is_none() {
            place(text, &mut report.event);
        }
        return if rest.starts_with("LBUG") || rest.starts_with("SPL PANIC") { Step::Take } else { Step::Pass };
    }
    if text.starts_with("PANIC at ") {
        place(text, &mut report.event);
        return Step::Take;
    }
    if text.starts_with("Showing stack for process ") || text.starts_with("SPL: Showing stack for process ") {
        report.event.pid = report.event.pid.or_else(|| Cursor::new(after(text, "process ").unwrap_or("")).int());
        return Step::Take;
    }
    if text.starts_with("Call Trace") {
        report.begin_stack("call trace");
        return Step::Take;
    }
    Step::Pass
}

fn finish(report: &mut Report) {
    let event = &mut report.event;
    let name = event.fields.get("filesystem").and_then(|v| v.as_text()).unwrap_or_default();
    event.title = match &event.place {
        Some(place) => format!("{name}: assertion failed in {}", place.function),
        None => format!("{name}: assertion failed"),
    };
    // A thread that has no stack to show is no torn report.
    if event.stacks.iter().all(|s| s.frames.is_empty()) {
        report.form = super::Form::Lines;
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{events, fields};

    #[test]
    fn lustre_and_its_panic_are_two_events() {
        let text = "[   52.261501] LustreError: 1246:0:(dcache.c:136:ll_ddelete()) ASSERTION( d_count(de) == 1 ) failed: \n\
             [   52.261502] LustreError: 1246:0:(dcache.c:136:ll_ddelete()) LBUG\n\
             [   52.261503] Pid: 1246, comm: su 5.14.0 #1 SMP\n[   52.261504] Call Trace TBD:\n\
             [   52.261505] Kernel panic - not syncing: LBUG\n[   52.261506] Call Trace:\n[   52.261507]  panic+0x1/0x2\n";
        let found = events(text);
        assert_eq!(found.iter().map(|e| e.family).collect::<Vec<_>>(), ["assertion", "panic"]);
        assert_eq!(
            fields(text, &["title", "condition", "file", "line", "pid", "class"]),
            ["lustre: assertion failed in ll_ddelete", "d_count(de) == 1", "dcache.c", "136", "1246", "bug-on"]
        );
    }

    #[test]
    fn zfs_says_it_in_two_lines_and_shows_the_stack() {
        let text = "[   52.261501] VERIFY3(sa.sa_magic == 0x2F505A) failed (1429611505 == 3100762)\n\
             [   52.261502] PANIC at zfs_vfsops.c:400:zfs_space_delta_cb()\n[   52.261503] Showing stack for process 664\n\
             [   52.261504] CPU: 0 PID: 664 Comm: txg_sync Tainted: P           O  3.16.0 #1\n[   52.261505] Call Trace:\n\
             [   52.261506]  spl_panic+0xc2/0x100 [spl]\n[   52.261507]  zfs_space_delta_cb+0x1/0x2 [zfs]\n";
        let found = events(text);
        assert_eq!((found.len(), found[0].stacks[0].frames.len()), (1, 2));
        assert_eq!(fields(text, &["filesystem", "function", "comm"]), ["zfs", "zfs_space_delta_cb", "txg_sync"]);
        for text in [
            "Lustre: DEBUG MARKER: == sanity test 39p: remote directory",
            "LustreError: 11-0: fs-OST0001: operation ost_connect to node 10.0.0.1@tcp failed: rc = -16",
            "VERIFY of the backup is complete",
        ] {
            assert!(events(&format!("[   52.261501] {text}")).is_empty(), "{text}");
        }
    }
}
