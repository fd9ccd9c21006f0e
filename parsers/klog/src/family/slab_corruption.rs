//! Verdicts of the slab allocators' own checks: `BUG kmalloc-64 (Tainted: G B): Poison overwritten`.

use facts::{Address, FieldType, Value};

use super::object_history::{is_hex_row, is_rule, object_stack};
use super::{Before, Family, Form, From, Opened, field, kind};
use crate::cursor::{Cursor, after, has, hex_after, number_after, split};
use crate::event::{Event, Severity};
use crate::report::{Report, Step};
use crate::{Line, class};

pub(super) static FAMILY: Family = Family {
    name: "slab_corruption",
    anchors: &[
        " overwritten",
        "Freepointer corrupt",
        "Freechain corrupt",
        "Freelist Pointer check fails",
        "Object already free",
        "Object corrupt",
        "Invalid object pointer 0x",
        "Attempt to free object",
        "Not a valid slab page",
        "Wrong number of objects",
        "Wrong object count",
        "page slab pointer corrupt",
        "Objects remaining in ",
        "allocated objects but ",
        "INFO: Allocated in ",
        "INFO: Freed in ",
        "Slab corruption",
        "slab error in ",
        "Slab cache still has objects",
    ],
    from: From::Kernel,
    open,
    body,
    finish,
    kind: kind(
        "log.slab_corruption",
        "The slab allocator found its own marks destroyed",
        &[
            field("cache", FieldType::Text, "", "cache"),
            field("problem", FieldType::Text, "", "as printed: Poison overwritten, Object already free, ..."),
            field("first", FieldType::Address, "", "first damaged byte"),
            field("last", FieldType::Address, "", "last damaged byte"),
            field("length", FieldType::Int, "bytes", "damaged bytes, ends included"),
            field("found_byte", FieldType::Int, "", "first damaged byte's value"),
            field("expected_byte", FieldType::Int, "", "the value it should have: 0x6b freed, 0xbb or 0xcc red zone"),
            field(
                "flipped_bits",
                FieldType::Int,
                "",
                "bits in which the two differ; one bit and one byte speak for bad memory",
            ),
            field("object", FieldType::Address, "", "the object"),
            field("slab_flags", FieldType::Text, "", "flags of the slab"),
            field("allocated_in", FieldType::Text, "", "function that allocated the object"),
            field("freed_in", FieldType::Text, "", "function that freed it"),
            field("allocated_age", FieldType::Int, "jiffies", "time since the allocation"),
            field("freed_age", FieldType::Int, "jiffies", "time since the free"),
            field("bytes", FieldType::List, "", "rows of memory as printed, at most 16"),
            field("fix", FieldType::Text, "", "what the allocator did about it"),
        ],
    ),
};

/// Rows of bytes kept.
const MAX_ROWS: usize = 16;

fn open(line: &Line<'_>, before: Before<'_>) -> Option<Opened> {
    let text = line.text();
    let mut event = Event::new(FAMILY.name, class::SLAB_CORRUPTION, Severity::Report);
    if let Some(rest) = text.strip_prefix("BUG ") {
        // `kmalloc-64 (Tainted: G    B  ): Poison overwritten`; up to 3.x without the parenthesis.
        let (head, problem) = rest.rsplit_once("): ").or_else(|| split(rest, ": "))?;
        let (cache, taint) = match head.rsplit_once(" (") {
            Some((cache, taint)) => (cache, Some(taint)),
            None => (head, None),
        };
        if cache.is_empty() || cache.len() > 64 || has(cache, ": ") || !is_problem(problem) {
            return None;
        }
        // Without the parenthesis only the problem tells the line from a sentence.
        if taint.is_none() && !["Poison", "Redzone", "Object", "Padding", "Free"].iter().any(|w| problem.starts_with(w))
        {
            return None;
        }
        event.taint = taint
            .map(|t| t.trim_start_matches("Tainted:").chars().filter(char::is_ascii_uppercase).collect::<String>())
            .map(|t| if taint.is_some_and(|t| t.starts_with("Not")) { String::new() } else { t });
        event.set("cache", cache);
        event.set("problem", problem);
        event.class = if problem.starts_with("Object already free") {
            class::INVALID_FREE
        } else if problem.starts_with("Objects remaining") || has(problem, "allocated objects but") {
            class::LEAK
        } else {
            class::SLAB_CORRUPTION
        };
        event.title = format!("BUG: {}", title_of(problem));
        return Opened::trace(event);
    }
    if let Some(rest) = text.strip_prefix("slab error in ") {
        // ``slab error in f(): cache `x': double free detected``
        let (function, rest) = split(rest, "(): ")?;
        let cache = rest.split(['`', '\'']).nth(1)?;
        let problem = rest.rsplit_once("': ").map(|(_, p)| p)?;
        event.set("cache", cache);
        event.set("problem", problem);
        event.place = Some(crate::Location { function: function.to_owned(), ..Default::default() });
        if has(problem, "double free") {
            event.class = class::INVALID_FREE;
        }
        event.title = format!("slab error: {problem}");
        return Opened::trace(event);
    }
    if text.starts_with("Slab corruption") {
        event.set("problem", "Slab corruption");
        if let Some(cache) = after(text, ": ").map(|t| Cursor::new(t).word()).filter(|c| !c.contains('=')) {
            event.set("cache", cache);
        }
        if let Some(start) = hex_after(text, "start=") {
            event.set("object", Address(start));
        }
        event.title = "slab corruption".to_owned();
        return Opened::trace(event);
    }
    if let Some((head, _)) = split(text, ": Slab cache still has objects") {
        let cache = head.rsplit(' ').next().unwrap_or(head);
        if !head.starts_with("kmem_cache_destroy") {
            return None;
        }
        event.class = class::LEAK;
        event.set("cache", cache);
        event.set("problem", "Slab cache still has objects");
        event.title = "BUG: Objects remaining on cache shutdown".to_owned();
        return Opened::trace(event);
    }
    // The head of the report is lost; its lines are unmistakable.
    if before.current.is_none() && text.starts_with("INFO: ") && has(text, " age=") {
        let mut report = Report::new(event.titled("slab corruption"), &FAMILY, Form::Trace);
        object_stack(&mut report, text);
        report.event.corrupted = Some("the head of the report is missing".to_owned());
        return Opened::trace(report.event);
    }
    None
}

fn is_problem(problem: &str) -> bool {
    FAMILY.anchors.iter().any(|anchor| problem.contains(anchor.trim_start()))
}

/// The problem without addresses and numbers.
fn title_of(problem: &str) -> &str {
    if let Some(at) = problem.find(" 0x").or_else(|| problem.find("(0x")) {
        return &problem[..at];
    }
    if problem.starts_with("Objects remaining") {
        return "Objects remaining on cache shutdown";
    }
    problem.split(['.', '!']).next().unwrap_or(problem).trim_end()
}

fn body(report: &mut Report, line: &Line<'_>) -> Step {
    let text = line.text();
    if text.starts_with("BUG ") && report.has_frames() {
        return Step::Stop;
    }
    if is_rule(text) || text.starts_with(".........") {
        return Step::Take;
    }
    if object_stack(report, text) {
        return Step::Take;
    }
    let event = &mut report.event;
    let bare = text.strip_prefix("INFO: ").unwrap_or(text);
    // `0x..-0x.. @offset=64. First byte 0x6a instead of 0x6b`; since 6.12 behind `[Poison overwritten] `
    if has(bare, "First byte ") && has(bare, " instead of ") {
        let range = bare.rsplit_once("] ").map_or(bare, |(_, r)| r);
        let mut c = Cursor::new(range);
        let first = c.hex();
        c.take("-");
        let last = c.hex();
        if let (Some(first), Some(last)) = (first, last) {
            event.set("first", Address(first));
            event.set("last", Address(last));
            if let Some(length) = last.checked_sub(first).and_then(|n| n.checked_add(1)) {
                event.set("length", length);
            }
        }
        if let (Some(found), Some(expected)) = (hex_after(bare, "First byte "), hex_after(bare, "instead of ")) {
            event.set("found_byte", found);
            event.set("expected_byte", expected);
            event.set("flipped_bits", (found ^ expected).count_ones());
        }
        return Step::Take;
    }
    if bare.starts_with("Object 0x") {
        if let Some(object) = hex_after(bare, "Object ") {
            event.set("object", Address(object));
        }
        return Step::Take;
    }
    if bare.starts_with("Slab 0x") {
        if let Some(flags) = after(bare, "flags=") {
            event.set("slab_flags", flags);
        }
        return Step::Take;
    }
    if let Some(fix) = text.strip_prefix("FIX ") {
        event.fields.entry("fix".into()).or_insert_with(|| split(fix, ": ").map_or(fix, |(_, f)| f).into());
        return Step::Take;
    }
    if is_hex_row(text) {
        match event.fields.get_mut("bytes") {
            Some(Value::List(rows)) if rows.len() < MAX_ROWS => rows.push(text.into()),
            Some(_) => {}
            None => event.set("bytes", vec![text]),
        }
        return Step::Take;
    }
    if text.starts_with("Single bit error detected") {
        event.set("flipped_bits", 1u32);
        return Step::Take;
    }
    if number_after(text, "Redzone: 0x").is_some()
        || text.starts_with("Last user: ")
        || text.starts_with("Prev obj:")
        || text.starts_with("Next obj:")
    {
        return Step::Take;
    }
    Step::Pass
}

fn finish(report: &mut Report) {
    let event = &mut report.event;
    // SLUB names the callers in the heads of the histories: their frames begin there.
    if event.fields.get("flipped_bits").and_then(Value::as_int) == Some(1)
        && event.fields.get("length").and_then(Value::as_int).is_none_or(|n| n == 1)
    {
        event.title = format!("{} (one bit)", event.title);
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{events, stack_names};

    const REPORT: &str = "\
[   97.100000] =============================================================================
[   97.100000] BUG kmalloc-64 (Tainted: G    B      OE  ): Poison overwritten
[   97.100000] -----------------------------------------------------------------------------
[   97.100000] 
[   97.200000] INFO: 0x00000000b32f9f8d-0x00000000b32f9f8d @offset=64. First byte 0x6a instead of 0x6b
[   97.200000] INFO: Allocated in fasync_helper+0x29/0x90 age=12 cpu=1 pid=77
[   97.200000] \t__slab_alloc+0x1c/0x30
[   97.200000] \tfasync_helper+0x29/0x90
[   97.200000] INFO: Freed in fasync_free_rcu+0x14/0x20 age=4 cpu=0 pid=8
[   97.200000] \tkfree+0x10/0x20
[   97.200000] INFO: Slab 0x00000000e6b0 objects=32 used=32 fp=0x0 flags=0x100
[   97.200000] INFO: Object 0x00000000b32f9f80 @offset=64 fp=0x0
[   97.300000] Redzone 00000000b32f9f78: bb bb bb bb bb bb bb bb                          ........
[   97.300000] Object 00000000b32f9f80: 6b 6b 6b 6b 6b 6b 6b 6b 6b 6b 6b 6b 6b 6a 6b 6b  kkkkkkkkkkkkkjkk
[   97.400000] CPU: 1 PID: 77 Comm: x Tainted: G    B      OE     4.18.0 #1
[   97.400000] Call Trace:
[   97.400000]  dump_stack+0x5c/0x78
[   97.400000]  check_bytes_and_report+0x10/0x20
[   97.400000] FIX kmalloc-64: Restoring 0x00000000b32f9f8d-0x00000000b32f9f8d=0x6b
";

    #[test]
    fn a_verdict_carries_bytes_and_histories() {
        let found = events(REPORT);
        assert_eq!(found.len(), 1, "{found:#?}");
        let event = &found[0];
        assert_eq!((event.class, event.title.as_str()), ("slab-corruption", "BUG: Poison overwritten (one bit)"));
        let int = |name| event.fields.get(name).and_then(|v| v.as_int());
        assert_eq!((int("found_byte"), int("expected_byte"), int("flipped_bits")), (Some(0x6a), Some(0x6b), Some(1)));
        assert_eq!((int("length"), int("freed_age")), (Some(1), Some(4)));
        assert_eq!(stack_names(event), ["allocated by", "freed by", "call trace"]);
        assert_eq!(event.fields.get("freed_in").and_then(|v| v.as_text()), Some("fasync_free_rcu"));
        assert_eq!(event.taint.as_deref(), Some("GBOE"));
        assert_eq!(event.last_line, 19);
    }

    #[test]
    fn words_of_other_lines_do_not_open_a_verdict() {
        for text in [
            "[   1.000000] BUG reports: config overwritten",
            "[   1.000000] x: firmware settings overwritten",
            "[   1.000000] BUG: y overwritten",
        ] {
            assert!(events(text).is_empty(), "{text}");
        }
    }
}
