//! The page allocator's own checks: bad page state, bad page map, bad counters.

use facts::FieldType;

use super::object_history::page_dump;
use super::{Before, Family, From, Opened, field, kind, no_finish};
use crate::cursor::{Cursor, after, has, hex_after};
use crate::event::{Event, Severity};
use crate::report::{Report, Step};
use crate::{Line, class};

pub(super) static FAMILY: Family = Family {
    name: "bad_page",
    anchors: &["BUG: Bad page ", "BUG: Bad rss-counter ", "BUG: non-zero "],
    from: From::Kernel,
    open,
    body,
    finish: no_finish,
    kind: kind(
        "log.bad_page",
        "A page or the counters of an address space are not as they must be",
        &[
            field("what", FieldType::Text, "", "state, map, cache, rss-counter, page-tables"),
            field("pfn", FieldType::Int, "", "page frame number"),
            field("reason", FieldType::Text, "", "why the page is bad, as printed"),
            field("page_flags", FieldType::Text, "", "flags of the page"),
        ],
    ),
};

fn open(line: &Line<'_>, _: Before<'_>) -> Option<Opened> {
    let text = line.text();
    let rest = text.strip_prefix("BUG: ")?;
    let event = Event::new(FAMILY.name, class::BAD_PAGE, Severity::Report);
    if let Some(rest) = rest.strip_prefix("Bad page ") {
        let what = ["state", "map", "cache"].into_iter().find(|what| rest.starts_with(what))?;
        let mut event =
            event.titled(format!("BUG: Bad page {what}")).with("what", what).with_opt("pfn", hex_after(rest, "pfn:"));
        if let Some(comm) = after(rest, " in process ") {
            let end = comm.find("  ").unwrap_or(comm.len());
            event.comm = Some(comm[..end].trim().to_owned());
        }
        return Opened::trace(event);
    }
    if rest.starts_with("Bad rss-counter state") {
        return Opened::line(
            event.titled("BUG: Bad rss-counter state").with("what", "rss-counter").with("reason", rest),
        );
    }
    (rest.starts_with("non-zero ") && has(rest, " on freeing mm")).then_some(())?;
    let counter = Cursor::new(&rest["non-zero ".len()..]).word();
    Opened::line(
        event.titled(format!("BUG: non-zero {counter} on freeing mm")).with("what", "page-tables").with("reason", rest),
    )
}

fn body(report: &mut Report, line: &Line<'_>) -> Step {
    let text = line.text();
    if text.starts_with("BUG: Bad page ") {
        return Step::Stop;
    }
    if let Some(reason) = text.strip_prefix("page dumped because: ") {
        report.event.set("reason", reason);
        return Step::Take;
    }
    if let Some(flags) = text.strip_prefix("flags: ") {
        report.event.fields.entry("page_flags".into()).or_insert_with(|| flags.into());
        return Step::Take;
    }
    // A bad entry of a page table prints its page below the head.
    if !report.event.fields.contains_key("pfn")
        && (text.starts_with("page:") || text.starts_with("page: "))
        && let Some(pfn) = hex_after(text, " pfn:")
    {
        report.event.set("pfn", pfn);
        return Step::Take;
    }
    if page_dump(text) {
        return Step::Take;
    }
    Step::Pass
}

#[cfg(test)]
mod tests {
    use super::super::tests::{events, fields};

    #[test]
    fn a_bad_page_says_why() {
        let text = "[   1.000000] BUG: Bad page state in process syz executor  pfn:1a2b3\n\
             [   1.000000] page:ffffea0001a1ec40 refcount:0 mapcount:-128 mapping:0000000000000000 index:0x0 pfn:0x1a2b3\n\
             [   1.000000] flags: 0xfff00000000000(node=0|zone=1)\n[   1.000000] raw: 00fff00000000000 ffff888012c418c0\n\
             [   1.000000] page dumped because: nonzero mapcount\n[   1.000000] CPU: 0 PID: 7 Comm: syz Not tainted 6.1.0 #1\n\
             [   1.000000] Call Trace:\n[   1.000000]  dump_stack+0x1/0x2\n[   1.000000]  bad_page+0x1/0x2\n";
        assert_eq!(
            fields(text, &["class", "comm", "pfn", "reason", "release"]),
            ["bad-page", "syz executor", "107187", "nonzero mapcount", "6.1.0"]
        );
        assert_eq!(events(text).len(), 1);
    }

    #[test]
    fn a_bad_entry_of_a_page_table_names_its_page() {
        let text = "[   11.088059] BUG: Bad page map in process init  pte:800000000a82e867 pmd:02651067\n\
             [   11.088558] page:000000002198eee5 refcount:1 mapcount:-1 mapping:0000000000000000 index:0x1425c pfn:0xa82e\n\
             [   11.088560] flags: 0xfffffc0000000(node=0|zone=1|lastcpupid=0x1fffff)\n\
             [   11.088561] page dumped because: bad pte\n[   11.088562] addr:0000000000401000 vm_flags:00000075 anon_vma:0000000000000000\n";
        assert_eq!(fields(text, &["what", "comm", "pfn", "reason"]), ["map", "init", "43054", "bad pte"]);
    }

    #[test]
    fn counters_are_single_lines() {
        for text in [
            "[   1.000000] BUG: Bad rss-counter state mm:ffff8880 type:MM_ANONPAGES val:-1",
            "[   1.000000] BUG: non-zero pgtables_bytes on freeing mm: 4096",
        ] {
            assert_eq!(fields(text, &["class"]), ["bad-page"], "{text}");
        }
    }
}
