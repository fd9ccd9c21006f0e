//! KASAN: `BUG: KASAN: use-after-free in f+0x1/0x2` with the stacks of the access, the allocation and the free.

use facts::{Address, FieldType};

use super::object_history::{self, is_hex_row, is_rule, object_stack, page_dump};
use super::{Before, Family, From, Opened, field, kind, oops};
use crate::cursor::{Cursor, after, has, hex_after, number_after, split};
use crate::event::{Event, Severity};
use crate::report::{Report, Step, location_at};
use crate::{Line, class};

pub(super) static FAMILY: Family = Family {
    name: "kasan",
    anchors: &["BUG: KASAN: ", "BUG: KASan: "],
    from: From::Kernel,
    open,
    body,
    finish,
    kind: kind(
        "log.kasan",
        "The address sanitizer caught an access to memory that is not the accessor's",
        &[
            field("bug", FieldType::Text, "", "slab-use-after-free, slab-out-of-bounds, double-free, ..."),
            field("access", FieldType::Text, "", "read, write or free"),
            field("access_size", FieldType::Int, "bytes", "bytes accessed"),
            field("object", FieldType::Address, "", "object the address belongs to"),
            field("cache", FieldType::Text, "", "slab cache of the object"),
            field("object_size", FieldType::Int, "bytes", "size of its objects"),
            field("position", FieldType::Text, "", "where the address lies: 8 bytes inside of, to the right of ..."),
            field("variable", FieldType::Text, "", "global or stack variable"),
        ],
    ),
};

fn open(line: &Line<'_>, _: Before<'_>) -> Option<Opened> {
    let text = line.text();
    let mut c = Cursor::new(text);
    if !c.take("BUG: KASAN: ") && !c.take("BUG: KASan: ") {
        return None;
    }
    let (bug, rest) = c.rest().split_once(" in ").or_else(|| c.rest().split_once(" on "))?;
    let bug = bug.trim().replace(' ', "-");
    if bug.is_empty() || bug.len() > 48 {
        return None;
    }
    let mut event = Event::new(FAMILY.name, class_of(&bug), Severity::Report).with("bug", bug.as_str());
    event.place = location_at(&mut Cursor::new(rest.trim_start()));
    event.address = hex_after(rest, " at addr ");
    event.title = format!("KASAN: {}", normalised(&bug));
    Opened::trace(event)
}

fn class_of(bug: &str) -> &'static str {
    if has(bug, "free") && !has(bug, "after-free") {
        class::INVALID_FREE
    } else if has(bug, "after-free") || has(bug, "use-after") {
        class::USE_AFTER_FREE
    } else if bug.starts_with("null-ptr") {
        class::NULL_DEREF
    } else if bug.starts_with("wild-memory") || bug.starts_with("user-memory") {
        class::WILD_ACCESS
    } else {
        class::OUT_OF_BOUNDS
    }
}

fn normalised(bug: &str) -> &str {
    if bug.starts_with("double-free-or-invalid-free") { "invalid-free" } else { bug }
}

pub(super) fn body(report: &mut Report, line: &Line<'_>) -> Step {
    let text = line.text();
    // The rule below the report.
    if is_rule(text) {
        return if report.has_frames() { Step::End } else { Step::Take };
    }
    if object_stack(report, text) || object_history::is_physical_head(report, line, FAMILY.anchors[0]) {
        return Step::Take;
    }
    // An access through NULL or a wild pointer faults at once: where the trace was lost, that of the fault is it.
    if !report.has_frames()
        && matches!(report.event.class, class::NULL_DEREF | class::WILD_ACCESS)
        && oops::same_access(text, &mut report.event)
    {
        return Step::Take;
    }
    let event = &mut report.event;
    for (head, access) in [("Read of size ", "read"), ("Write of size ", "write"), ("Free of addr ", "free")] {
        if let Some(rest) = text.strip_prefix(head) {
            event.set("access", access);
            if access == "free" {
                event.address = event.address.or_else(|| Cursor::new(rest).hex());
            } else {
                if let Some(size) = Cursor::new(rest).number() {
                    event.set("access_size", size);
                }
                event.address = event.address.or_else(|| hex_after(rest, "at addr "));
            }
            accessor(event, rest);
            return Step::Take;
        }
    }
    if let Some(rest) = text.strip_prefix("Read at addr ").or_else(|| text.strip_prefix("Write at addr ")) {
        event.set("access", if text.starts_with("Read") { "read" } else { "write" });
        event.address = event.address.or_else(|| Cursor::new(rest).hex());
        accessor(event, rest);
        return Step::Take;
    }
    if let Some(object) = after(text, "belongs to the object at ").and_then(|t| Cursor::new(t).hex()) {
        event.set("object", Address(object));
        return Step::Take;
    }
    if let Some(rest) = text.strip_prefix("which belongs to the cache ") {
        if let Some((cache, size)) = split(rest, " of size ") {
            event.set("cache", cache);
            if let Some(size) = Cursor::new(size).number() {
                event.set("object_size", size);
            }
        }
        return Step::Take;
    }
    if let Some(rest) = text.strip_prefix("Object at ") {
        // 4.4 to 4.12: `Object at ffff88006.., in cache kmalloc-64 size: 64`
        let Some((_, cache)) = split(rest, ", in cache ") else { return Step::Pass };
        event.set("cache", cache.split(' ').next().unwrap_or(cache));
        if let Some(object) = Cursor::new(rest).hex() {
            event.set("object", Address(object));
        }
        if let Some(size) = number_after(cache, "size: ") {
            event.set("object_size", size);
        }
        return Step::Take;
    }
    if let Some(rest) = text.strip_prefix("The buggy address is located ") {
        if has(rest, " bytes ") {
            event.set("position", rest.split(" of").next().unwrap_or(rest));
        }
        return Step::Take;
    }
    // ` [32, 40) 'v'` and `variable+0x0/0x40` below `belongs to the variable:`
    if text.starts_with('[')
        && let Some((_, name)) = split(text, ") '")
    {
        event.fields.entry("variable".into()).or_insert_with(|| name.trim_end_matches('\'').into());
        return Step::Take;
    }
    if page_dump(text)
        || is_hex_row(text)
        || text == "^"
        || ["The buggy address ", "Memory state around ", "this frame has ", "Kernel memory ", "addr ", "region ["]
            .iter()
            .any(|head| text.starts_with(head))
        || has(text, "-byte region [")
    {
        return Step::Take;
    }
    Step::Pass
}

/// `... by task x/77`
fn accessor(event: &mut Event, text: &str) {
    if let Some(task) = after(text, " by task ")
        && let Some((comm, pid)) = task.rsplit_once('/')
    {
        event.comm = Some(comm.to_owned());
        event.pid = pid.trim().parse().ok();
    }
}

fn finish(report: &mut Report) {
    let event = &mut report.event;
    let bug = event.fields.get("bug").and_then(|b| b.as_text()).unwrap_or_default();
    let access = match event.fields.get("access").and_then(|a| a.as_text()) {
        Some("read") => " Read",
        Some("write") => " Write",
        _ => "",
    };
    event.title = match &event.place {
        Some(place) => format!("KASAN: {}{access} in {}", normalised(bug), place.function),
        None => format!("KASAN: {}{access}", normalised(bug)),
    };
}

#[cfg(test)]
mod tests {
    use super::super::tests::{events, stack_names};

    const REPORT: &str = "\
[   80.100000] ==================================================================
[   80.200000] BUG: KASAN: slab-use-after-free in snd_seq_kernel_client_write_poll+0x58/0x79
[   80.300000] Read of size 8 at addr ffff8880687b1140 by task syz-executor/5161
[   80.400000] CPU: 0 PID: 5161 Comm: syz-executor Not tainted 6.6.0 #1
[   80.500000] Call Trace:
[   80.600000]  <TASK>
[   80.700000]  dump_stack_lvl+0xd9/0x1b0
[   80.800000]  kasan_report+0x10/0x20
[   80.900000]  snd_seq_kernel_client_write_poll+0x58/0x79
[   81.000000]  </TASK>
[   81.100000] Allocated by task 12:
[   81.200000]  kasan_save_stack+0x33/0x50
[   81.300000]  seq_create_client1+0x10/0x20
[   81.400000] Freed by task 13:
[   81.500000]  kasan_save_stack+0x33/0x50
[   81.600000]  kfree+0x10/0x20
[   81.700000]  seq_free_client+0x10/0x20
[   81.800000] The buggy address belongs to the object at ffff8880687b1100
[   81.900000]  which belongs to the cache kmalloc-128 of size 128
[   82.000000] The buggy address is located 64 bytes inside of
[   82.100000]  freed 128-byte region [ffff8880687b1100, ffff8880687b1180)
[   82.200000] The buggy address belongs to the physical page:
[   82.300000] page:ffffea0001a1ec40 refcount:1 mapcount:0 mapping:0000000000000000 index:0x0 pfn:0x687b1
[   82.400000] flags: 0xfff00000000800(slab|node=0|zone=1|lastcpupid=0x7ff)
[   82.500000] raw: 00fff00000000800 ffff888012c418c0 dead000000000122 0000000000000000
[   82.600000] page dumped because: kasan: bad access detected
[   82.700000] Memory state around the buggy address:
[   82.800000]  ffff8880687b1080: fc fc fc fc fc fc fc fc fc fc fc fc fc fc fc fc
[   82.900000] >ffff8880687b1100: fa fb fb fb fb fb fb fb fb fb fb fb fb fb fb fb
[   83.000000]                                                     ^
[   83.100000] ==================================================================
";

    #[test]
    fn access_allocation_and_free_are_told_apart() {
        let found = events(REPORT);
        assert_eq!(found.len(), 1, "{found:#?}");
        let event = &found[0];
        assert_eq!(event.title, "KASAN: slab-use-after-free Read in snd_seq_kernel_client_write_poll");
        assert_eq!((event.class, event.address), ("use-after-free", Some(0xffff_8880_687b_1140)));
        assert_eq!(stack_names(event), ["call trace", "allocated by", "freed by"]);
        assert_eq!(event.stacks[2].functions().last(), Some("seq_free_client"));
        assert_eq!(event.stacks[2].pid, Some(13));
        assert_eq!(event.fields.get("cache").and_then(|c| c.as_text()), Some("kmalloc-128"));
        assert_eq!(event.last_line, 31);
    }

    #[test]
    fn the_fault_of_the_same_access_is_the_same_report() {
        let found = events(
            "[  235.224878] BUG: KASAN: null-ptr-deref in drop_it+0x363/0x510\n\
             [  235.225674] Write of size 4 at addr 0000000000000198 by task swapper/3/0\n\
             [  235.226772] ==================================================================\n\
             [  235.227633] BUG: kernel NULL pointer dereference, address: 0000000000000198\n\
             [  235.228447] #PF: supervisor write access in kernel mode\n\
             [  235.229976] Oops: 0002 [#1] SMP KASAN PTI\n\
             [  235.230451] CPU: 3 PID: 0 Comm: swapper/3 Tainted: G    B             5.7.0-rc5+ #1\n\
             [  235.232692] RIP: 0010:drop_it+0x367/0x510\n[  235.244349] Call Trace:\n\
             [  235.244890]  complete_it+0x266/0x460\n",
        );
        assert_eq!(found.len(), 1, "{found:#?}");
        assert!(found[0].stacks.iter().any(|s| s.functions().any(|f| f == "complete_it")));
        assert!(!found[0].fields.contains_key("interleaved"));
    }

    #[test]
    fn the_first_era_has_the_address_in_the_header() {
        let found = events(
            "[   1.000000] BUG: KASAN: slab-out-of-bounds in ext4_xattr_get+0x10/0x20 at addr ffff88006bd9b6a8\n\
             [   1.100000] Write of size 4 by task syz-executor/12345\n[   1.200000] Call Trace:\n\
             [   1.300000]  [<ffffffff81b46894>] dump_stack+0x12a/0x1ba\n",
        );
        assert_eq!(found[0].title, "KASAN: slab-out-of-bounds Write in ext4_xattr_get");
        assert_eq!((found[0].class, found[0].address), ("out-of-bounds", Some(0xffff_8800_6bd9_b6a8)));
    }
}
