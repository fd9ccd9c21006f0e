//! `java: page allocation failure: order:4, mode:0x2040d0`, vmalloc's form, and stalls of the allocator.

use facts::FieldType;

use super::{Before, Family, From, Opened, field, kind, memory_state};
use crate::cursor::{has, hex_after, number_after, split};
use crate::event::{Event, Severity};
use crate::report::{Report, Step};
use crate::{Line, class};

pub(super) static FAMILY: Family = Family {
    name: "page_alloc_failure",
    anchors: &[
        "page allocation failure",
        "page allocation stall",
        "vmalloc: allocation failure",
        "vmalloc error: size",
        "percpu: allocation failed",
        "vmap allocation for size ",
        "-order allocation failed (gfp=",
    ],
    from: From::Kernel,
    open,
    body,
    finish,
    kind: kind(
        "log.page_alloc_failure",
        "The page allocator could not serve a request",
        &[
            field("order", FieldType::Int, "", "order of the request: 2^order pages"),
            field("mode", FieldType::Int, "", "allocation flags"),
            field("bytes", FieldType::Int, "bytes", "size asked of vmalloc or the per-CPU allocator"),
            field("stall_ms", FieldType::Int, "ms", "time the request had waited, for a stall"),
            memory_state::FIELDS[0],
            memory_state::FIELDS[1],
            memory_state::FIELDS[3],
            memory_state::FIELDS[4],
            memory_state::FIELDS[5],
            memory_state::FIELDS[6],
            memory_state::FIELDS[7],
            memory_state::FIELDS[8],
        ],
    ),
};

fn open(line: &Line<'_>, _: Before<'_>) -> Option<Opened> {
    let text = line.text();
    // 2.4: `__alloc_pages: 0-order allocation failed (gfp=0x1d2/0)`
    if let Some(rest) = text.strip_prefix("__alloc_pages: ")
        && let Some((order, rest)) = split(rest, "-order allocation failed")
    {
        return Opened::line(
            Event::new(FAMILY.name, class::PAGE_ALLOC_FAILURE, Severity::Failure)
                .titled("page allocation failure")
                .with_opt("order", order.parse::<u32>().ok())
                .with_opt("mode", hex_after(rest, "gfp=")),
        );
    }
    // No room in the addresses for mappings, on 32-bit machines most of all.
    if let Some(rest) = text.strip_prefix("vmap allocation for size ")
        && has(rest, " failed")
    {
        return Opened::line(
            Event::new(FAMILY.name, class::PAGE_ALLOC_FAILURE, Severity::Failure)
                .titled("vmap allocation failure")
                .with_opt("bytes", number_after(text, "for size ")),
        );
    }
    let (who, _) = text
        .split_once(": page allocation failure")
        .or_else(|| split(text, ": page allocation stall"))
        .or_else(|| split(text, ": vmalloc: allocation failure"))
        .or_else(|| split(text, ": vmalloc error: size"))
        .or_else(|| text.starts_with("percpu: allocation failed").then_some(("", text)))?;
    // A command name has at most 15 characters; worker names up to 63.
    if who.len() > 63 {
        return None;
    }
    let mut event = Event::new(FAMILY.name, class::PAGE_ALLOC_FAILURE, Severity::Failure)
        .titled("page allocation failure")
        .with_opt("order", number_after(text, "order:").or_else(|| number_after(text, "page order ")))
        .with_opt("mode", hex_after(text, "mode:"))
        .with_opt(
            "bytes",
            number_after(text, "size ")
                .or_else(|| number_after(text, "size="))
                .or_else(|| number_after(text, "failure: ")),
        )
        .with_opt("stall_ms", number_after(text, "stalls for "));
    if !who.is_empty() {
        event.comm = Some(who.to_owned());
    }
    Opened::trace(event)
}

fn body(report: &mut Report, line: &Line<'_>) -> Step {
    let text = line.text();
    if report.has_frames() && memory_state::is_table_line(text) {
        memory_state::table(&mut report.event, text);
        return Step::Take;
    }
    Step::Pass
}

fn finish(report: &mut Report) {
    let event = &mut report.event;
    if let Some(order) = event.fields.get("order").and_then(|v| v.as_int()) {
        event.title = format!("page allocation failure: order:{order}");
    }
}
