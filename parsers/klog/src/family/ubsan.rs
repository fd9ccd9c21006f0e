//! UBSAN: `UBSAN: shift-out-of-bounds in f.c:1:2`, up to 4.18 `UBSAN: Undefined behaviour in f.c:1:2`.

use facts::FieldType;

use super::object_history::is_rule;
use super::{Before, Family, From, Opened, field, kind};
use crate::cursor::{has, split};
use crate::event::{Event, Severity};
use crate::report::{Report, Step};
use crate::{Line, class};

pub(super) static FAMILY: Family = Family {
    name: "ubsan",
    anchors: &["UBSAN: "],
    from: From::Kernel,
    open,
    body,
    finish,
    kind: kind(
        "log.ubsan",
        "The undefined-behaviour sanitizer caught an operation the C language does not define",
        &[
            field(
                "bug",
                FieldType::Text,
                "",
                "array-index-out-of-bounds, shift-out-of-bounds, ...; undefined-behaviour where a kernel up to 4.18 tells no more",
            ),
            field("file", FieldType::Text, "", "source file"),
            field("line", FieldType::Int, "", "line in it"),
            field("detail", FieldType::Text, "", "index 5 is out of range for type ..."),
        ],
    ),
};

/// The kind that kernels up to 4.18 print of everything.
const OLD: &str = "undefined-behaviour";

/// What those kernels say on the next line, and the kind that later ones print for it (`lib/ubsan.c`).
const KINDS: &[(&str, &str)] = &[
    ("unsigned integer overflow", "unsigned-integer-overflow"),
    ("signed integer overflow", "signed-integer-overflow"),
    ("negation of ", "negation-overflow"),
    ("division", "division-overflow"),
    ("shift exponent ", "shift-out-of-bounds"),
    ("left shift of ", "shift-out-of-bounds"),
    ("is out of range for type ", "array-index-out-of-bounds"),
    ("load of value ", "invalid-load"),
    ("null pointer of type ", "null-ptr-deref"),
    ("misaligned address ", "misaligned-access"),
    ("with insufficient space", "object-size-mismatch"),
    ("calling __builtin_unreachable", "unreachable"),
];

fn open(line: &Line<'_>, _: Before<'_>) -> Option<Opened> {
    let rest = line.text().strip_prefix("UBSAN: ")?;
    let (bug, place) = split(rest, " in ")?;
    // Older kernels print two blanks, and `Undefined behaviour`.
    let bug = if bug.eq_ignore_ascii_case("undefined behaviour") { OLD } else { bug };
    if bug.contains(' ') {
        return None;
    }
    let mut parts = place.trim().split(':');
    let (file, number) = (parts.next()?, parts.next()?.parse::<u32>().ok()?);
    let class = if has(bug, "index-out-of-bounds") { class::OUT_OF_BOUNDS } else { class::UBSAN };
    let mut event = Event::new(FAMILY.name, class, Severity::Report).with("bug", bug).with("line", number);
    // A path of the build machine says nothing: `../` and absolute prefixes go.
    event.set("file", file.trim_start_matches("../").trim_start_matches("./"));
    event.title = format!("UBSAN: {bug}");
    Opened::trace(event)
}

fn body(report: &mut Report, line: &Line<'_>) -> Step {
    let text = line.text();
    if is_rule(text) {
        return if report.has_frames() { Step::End } else { Step::Take };
    }
    if !report.has_frames() && !report.event.fields.contains_key("detail") && report.event.release.is_none() {
        const DETAILS: &[&str] = &[
            "index ",
            "shift exponent ",
            "left shift of ",
            "signed integer overflow",
            "unsigned integer overflow",
            "division",
            "negation of ",
            "load of value",
            "member access",
            "load of ",
            "store to ",
            "implicit conversion",
            "calling __builtin_unreachable",
            "variable length array",
            "assumption of ",
            "null pointer passed",
            "misaligned",
        ];
        if report.event.title.ends_with(OLD)
            && let Some((_, bug)) = KINDS.iter().find(|(head, _)| has(text, head))
        {
            report.event.set("bug", *bug);
            report.event.title = format!("UBSAN: {bug}");
        }
        if DETAILS.iter().any(|head| text.starts_with(head)) || has(text, "cannot be represented in type") {
            report.event.set("detail", text);
            return Step::Take;
        }
    }
    Step::Pass
}

fn finish(report: &mut Report) {
    let event = &mut report.event;
    // The first frame behind the sanitizer's own.
    let function = event.stacks.first().and_then(|stack| {
        stack
            .functions()
            .find(|f| {
                !["dump_stack", "show_stack", "dump_backtrace", "ubsan", "__ubsan", "handle_overflow", "__dump_stack"]
                    .iter()
                    .any(|head| f.starts_with(head))
            })
            .map(str::to_owned)
    });
    if let Some(function) = function {
        event.title = format!("{} in {function}", event.title);
        if event.place.is_none() {
            event.place = Some(crate::Location { function, ..Default::default() });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{events, fields};

    #[test]
    fn the_function_is_the_first_behind_the_sanitizer() {
        let text = "[   4.500000] ================================================================================\n\
             [   4.500000] UBSAN: Undefined behaviour in drivers/usb/core/devio.c:1517:25\n\
             [   4.500000] shift exponent -1 is negative\n[   4.500000] CPU: 2 PID: 3624 Comm: usb Not tainted 4.5.0-rc1 #252\n\
             [   4.500000] Call Trace:\n[   4.500000]  [<ffffffff81b2e7d9>] dump_stack+0x45/0x6c\n\
             [   4.500000]  [<ffffffff81bcb87d>] ubsan_epilogue+0xd/0x40\n\
             [   4.500000]  [<ffffffff81bcc1c1>] __ubsan_handle_shift_out_of_bounds+0xf1/0x140\n\
             [   4.500000]  [<ffffffff822247af>] ? proc_do_submiturb+0x9af/0x2c30\n\
             [   4.500000]  [<ffffffff82226794>] proc_do_submiturb+0x2994/0x2c30\n\
             [   4.500000] ================================================================================\n";
        assert_eq!(
            fields(text, &["title", "file", "line", "detail", "class"]),
            [
                "UBSAN: shift-out-of-bounds in proc_do_submiturb",
                "drivers/usb/core/devio.c",
                "1517",
                "shift exponent -1 is negative",
                "ubsan"
            ]
        );
    }

    #[test]
    fn an_index_out_of_bounds_is_out_of_bounds() {
        let found = events(
            "[   1.000000] ------------[ cut here ]------------\n\
             [   1.000000] UBSAN: array-index-out-of-bounds in ../drivers/x.c:3:4\n\
             [   1.000000] index 5 is out of range for type 'int [4]'\n\
             [   1.000000] CPU: 2 UID: 0 PID: 3624 Comm: usb Not tainted 6.12.0 #1\n[   1.000000] Call Trace:\n\
             [   1.000000]  dump_stack_lvl+0x45/0x6c\n[   1.000000]  __ubsan_handle_out_of_bounds+0xd/0x40\n\
             [   1.000000]  f+0xf1/0x140\n[   1.000000] ---[ end trace ]---\n",
        );
        assert_eq!(found.len(), 1);
        assert_eq!(
            (found[0].class, found[0].title.as_str()),
            ("out-of-bounds", "UBSAN: array-index-out-of-bounds in f")
        );
    }

    #[test]
    fn what_kernels_up_to_4_18_say_on_the_next_line_is_the_kind() {
        for (detail, bug) in [
            ("signed integer overflow:", "signed-integer-overflow"),
            ("index 7 is out of range for type 'u8 [4]'", "array-index-out-of-bounds"),
            ("division by zero", "division-overflow"),
            ("load of value 7 is not a valid value for type '_Bool'", "invalid-load"),
            ("something new", "undefined-behaviour"),
        ] {
            let text = format!(
                "[    1.000000] UBSAN: Undefined behaviour in drivers/md/md.c:8175:15\n[    1.000000] {detail}\n[    1.000000] Call trace:\n\
                 [    1.000000]  dump_backtrace+0x0/0x310\n[    1.000000]  handle_overflow+0x14c/0x19c\n[    1.000000]  is_mddev_idle+0x338/0x3d8\n"
            );
            assert_eq!(fields(&text, &["title"]), [format!("UBSAN: {bug} in is_mddev_idle")]);
        }
    }
}
