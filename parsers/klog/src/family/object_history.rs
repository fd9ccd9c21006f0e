//! Lines that the memory debuggers share: who allocated and who freed an object, page dumps, rows of bytes.

use crate::Line;
use crate::cursor::{Cursor, after, head_of, number_after, row_of, split};
use crate::report::{Report, location_at};

/// A symbolised head stands once for each inlined function, `BUG: KASAN: x in f include/linux/y.h:12 [inline]`, and last for
/// the one that they are part of: that is in the trace of a log without symbols too.
pub(super) fn is_physical_head(report: &mut Report, line: &Line<'_>, head: &str) -> bool {
    let again = line.number == report.taken_at + 1
        && line.text().starts_with(head)
        && report.event.quote.ends_with("[inline]")
        && !report.has_frames();
    let Some((_, place)) = split(line.text(), " in ").filter(|_| again) else { return false };
    let Some(physical) = location_at(&mut Cursor::new(place)) else { return false };
    let event = &mut report.event;
    if let Some(inlined) = &event.place
        && let Some(stem) = event.title.strip_suffix(&inlined.function)
    {
        event.title = format!("{stem}{}", physical.function);
    }
    event.place = Some(physical);
    line.text().clone_into(&mut event.quote);
    true
}

/// A rule of `=` or `-` around a report.
pub(super) fn is_rule(text: &str) -> bool {
    text.len() >= 20 && (text.bytes().all(|b| b == b'=') || text.bytes().all(|b| b == b'-'))
}

/// A row of memory: `>ffff8880687b1100: fa fb fb`, `Object   00000000b32f9f8d: 6b 6b`.
pub(super) fn is_hex_row(text: &str) -> bool {
    let text = text.trim_start_matches('>').trim_start();
    let Some((head, bytes)) = split(text, ": ") else { return false };
    let address = head.rsplit(' ').next().unwrap_or(head);
    address.len() >= 8
        && address.bytes().all(|b| b.is_ascii_hexdigit())
        && bytes.split_ascii_whitespace().next().is_some_and(|b| {
            (b.len() == 2 || b.len() == 8 || b.len() == 16) && b.bytes().all(|b| b.is_ascii_hexdigit())
        })
}

/// A line of `dump_page()`.
pub(super) fn page_dump(text: &str) -> bool {
    const HEADS: &[&str] = &[
        "page:",
        "page: ",
        "flags: 0x",
        "raw: ",
        "head: ",
        "head:",
        "page dumped because",
        "page_owner ",
        "page_type: ",
        "page last free",
        "page allocated via",
        "page->mem_cgroup",
        "pages's memcg",
        "memcg:",
        "anon flags: ",
        "aops:",
        "ksm flags: ",
        "addr:",
        "file:",
        "bad because of flags",
    ];
    head_of(text, HEADS).is_some()
}

/// The head of a stack that tells an object's history; the frames that follow belong to it.
pub(super) fn object_stack(report: &mut Report, text: &str) -> bool {
    let body = text.strip_prefix("INFO: ").unwrap_or(text);
    const HEADS: &[(&str, &str)] = &[
        ("Allocated by task", "allocated by"),
        ("allocated by task", "allocated by"),
        ("Allocated:", "allocated by"),
        ("Freed by task", "freed by"),
        ("freed by task", "freed by"),
        ("Freed:", "freed by"),
        ("Allocated in ", "allocated by"),
        ("Freed in ", "freed by"),
        ("Last potentially related work creation", "queued by"),
        ("Second to last potentially related work creation", "queued before by"),
        ("Last call_rcu()", "queued by"),
        ("Second to last call_rcu()", "queued before by"),
        ("page last allocated via", "page allocated by"),
        ("page last free", "page freed by"),
        ("rcu_freed by", "freed by"),
    ];
    let Some((head, name)) = row_of(body, HEADS) else { return false };
    report.begin_stack(*name);
    let Some(stack) = report.event.stacks.last_mut() else { return true };
    let rest = &body[head.len()..];
    stack.pid = number_after(rest, "pid=").or_else(|| Cursor::new(rest).blanks().number().map(|n| n as i64));
    stack.pid = if head.ends_with(" in ") { number_after(rest, "pid=") } else { stack.pid };
    stack.cpu =
        number_after(rest, "on cpu ").or_else(|| number_after(rest, "cpu=")).and_then(|n| u32::try_from(n).ok());
    // SLUB names the caller in the head: it is the innermost frame when no others follow.
    if head.ends_with(" in ") {
        let mut c = Cursor::new(rest);
        if let Some(place) = location_at(&mut c) {
            let key = if *name == "freed by" { "freed_in" } else { "allocated_in" };
            report.event.fields.entry(key.into()).or_insert_with(|| place.function.into());
        }
        if let Some(age) = after(rest, "age=").and_then(|t| Cursor::new(t).number()) {
            let key = if *name == "freed by" { "freed_age" } else { "allocated_age" };
            report.event.fields.entry(key.into()).or_insert_with(|| age.into());
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::super::tests::events;

    #[test]
    fn a_symbolised_head_that_stands_for_inlined_functions_too_is_one() {
        for (head, title) in [
            ("KASAN: slab-out-of-bounds", "KASAN: slab-out-of-bounds Read in _raw_spin_lock_irqsave"),
            ("KMSAN: uninit-value", "KMSAN: uninit-value in _raw_spin_lock_irqsave"),
        ] {
            let found = events(&format!(
                "==================================================================\n\
                 BUG: {head} in __raw_spin_lock_irqsave include/linux/spinlock_api_smp.h:132 [inline]\n\
                 BUG: {head} in _raw_spin_lock_irqsave+0x40/0x60 kernel/locking/spinlock.c:166\n\
                 Read of size 1 at addr ffff888119c6e5b8 by task syz.0.17/5869\n\n\
                 CPU: 0 UID: 0 PID: 5869 Comm: syz.0.17 Not tainted 7.0.0 #0 PREEMPT(full) \nCall Trace:\n <TASK>\n \
                 dump_stack_lvl+0xe8/0x150 lib/dump_stack.c:120\n \
                 _raw_spin_lock_irqsave+0x40/0x60 kernel/locking/spinlock.c:166\n __dentry_kill+0x552/0x690 fs/dcache.c:733\n"
            ));
            assert_eq!(found.len(), 1, "{head}");
            assert_eq!(found[0].title, title);
        }
    }
}
