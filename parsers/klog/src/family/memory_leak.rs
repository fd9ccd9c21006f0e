//! kmemleak: its notice, and the objects of its file (`unreferenced object 0x... (size 64):`).

use facts::{Address, FieldType};

use super::object_history::is_hex_row;
use super::{Before, Family, From, Opened, field, kind};
use crate::cursor::{Cursor, hex_after, number_after, split};
use crate::event::{Event, Severity};
use crate::report::{Report, Step};
use crate::{Line, class};

pub(super) static FAMILY: Family = Family {
    name: "memory_leak",
    anchors: &["BUG: memory leak", "unreferenced object 0x", "new suspected memory leak"],
    from: From::Kernel,
    open,
    body,
    finish,
    kind: kind(
        "log.memory_leak",
        "kmemleak found memory that nothing points to",
        &[
            field("count", FieldType::Int, "", "objects, in the notice of the kernel"),
            field("object", FieldType::Address, "", "the object"),
            field("object_size", FieldType::Int, "bytes", "its size"),
            field("age_ms", FieldType::Int, "ms", "its age"),
        ],
    ),
};

fn open(line: &Line<'_>, _: Before<'_>) -> Option<Opened> {
    let text = line.text();
    if text.starts_with("kmemleak: ") {
        let count = number_after(text, "kmemleak: ")?;
        return Opened::line(
            Event::new(FAMILY.name, class::LEAK, Severity::Notice).titled("memory leak").with("count", count),
        );
    }
    let mut event = Event::new(FAMILY.name, class::LEAK, Severity::Report).titled("memory leak");
    // A fuzzer puts its own clock before the line.
    if text.ends_with("BUG: memory leak") && text.len() <= 40 {
        return Opened::trace(event);
    }
    object(text, &mut event).then_some(())?;
    event.severity = Severity::Failure;
    Opened::trace(event)
}

fn object(text: &str, event: &mut Event) -> bool {
    if !text.starts_with("unreferenced object 0x") {
        return false;
    }
    if let Some(address) = hex_after(text, "object ") {
        event.set("object", Address(address));
    }
    if let Some(size) = number_after(text, "(size ") {
        event.set("object_size", size);
    }
    true
}

fn body(report: &mut Report, line: &Line<'_>) -> Step {
    let text = line.text();
    if text.starts_with("unreferenced object ") {
        if report.event.fields.contains_key("object") {
            return Step::Stop;
        }
        object(text, &mut report.event);
        return Step::Take;
    }
    if let Some(rest) = text.strip_prefix("comm \"") {
        if let Some((comm, rest)) = split(rest, "\", ") {
            report.event.comm = Some(comm.to_owned());
            report.event.pid = number_after(rest, "pid ");
            let age = split(rest, "(age ").map(|(_, t)| t);
            if let Some((seconds, millis)) = age.and_then(|t| {
                let mut c = Cursor::new(t);
                let seconds = c.number()?;
                Some((seconds, if c.take(".") { c.number().unwrap_or(0) } else { 0 }))
            }) {
                report.event.set("age_ms", seconds.saturating_mul(1000).saturating_add(millis.min(999)));
            }
        }
        return Step::Take;
    }
    if text.starts_with("backtrace") {
        report.begin_stack("allocated by");
        return Step::Take;
    }
    if text.starts_with("hex dump (") || is_hex_row(text) || is_bare_hex_row(text) {
        return Step::Take;
    }
    Step::Pass
}

/// `00 00 0a 00  ....`: kmemleak prints no address.
fn is_bare_hex_row(text: &str) -> bool {
    text.split_ascii_whitespace().take(4).filter(|b| b.len() == 2 && b.bytes().all(|b| b.is_ascii_hexdigit())).count()
        == 4
}

fn finish(report: &mut Report) {
    let event = &mut report.event;
    let function = event.stacks.first().and_then(|s| {
        s.functions()
            .find(|f| {
                ![
                    "kmemleak_",
                    "kmem_cache_",
                    "kmalloc",
                    "__kmalloc",
                    "kzalloc",
                    "slab_",
                    "vmalloc",
                    "__vmalloc",
                    "kvmalloc",
                    "kstrdup",
                    "kmemdup",
                    "___kmalloc",
                    "__do_kmalloc",
                    "pcpu_alloc",
                    "sk_prot_alloc",
                    "sk_alloc",
                    "kasprintf",
                    "kvasprintf",
                ]
                .iter()
                .any(|head| f.starts_with(head))
            })
            .map(str::to_owned)
    });
    if let Some(function) = function {
        event.title = format!("memory leak in {function}");
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{events, fields, stack_names};

    #[test]
    fn each_object_of_kmemleaks_file_is_an_event() {
        let text = "unreferenced object 0xffff8800342540c0 (size 1864):\n  comm \"a.out\", pid 24109, jiffies 4299060398 (age 27.984s)\n\
             \x20 hex dump (first 32 bytes):\n    0a 00 07 40 00 00 00 00 00 00 00 00 00 00 00 00  ...@............\n  backtrace:\n\
             \x20   [<ffffffff85c73a22>] kmemleak_alloc+0x72/0xc0\n    [<ffffffff84b642c9>] sk_prot_alloc+0x69/0x340\n\
             \x20   [<ffffffff850c6d57>] inet6_create+0x2d7/0x1000\nunreferenced object 0xffff888109990000 (size 64):\n\
             \x20 comm \"b\", pid 1, jiffies 4299060398\n  backtrace (crc ab12):\n    [<000000006d5f6e26>] f+0x1/0x2\n";
        let found = events(text);
        assert_eq!(found.len(), 2, "{found:#?}");
        assert_eq!(found[0].title, "memory leak in inet6_create");
        assert_eq!(found[0].fields.get("age_ms").and_then(|n| n.as_int()), Some(27_984));
        assert_eq!((stack_names(&found[0]), found[1].pid), (vec!["allocated by"], Some(1)));
    }

    #[test]
    fn the_notice_is_no_report() {
        let text = "[   99.100000] kmemleak: 12 new suspected memory leaks (see /sys/kernel/debug/kmemleak)";
        assert_eq!(fields(text, &["severity", "count"]), ["notice", "12"]);
        assert!(
            events("[   0.100000] kmemleak: Kernel memory leak detector initialized (mem pool available: 15000)")
                .is_empty()
        );
    }
}
