//! WARN: `WARNING: CPU: 3 PID: 77 at net/core/dev.c:123 func+0x12/0x34 [mod]`, and the messages of known assertions,
//! which a WARN or a BUG follows.

use facts::FieldType;

use super::{Before, Family, Form, From, Opened, errno, field, filesystem, kind, net_device, oops};
use crate::cursor::{Bytes, Cursor, has, head_of, split};
use crate::event::{Event, Severity};
use crate::line::Writer;
use crate::report::{Report, Step, location, location_at};
use crate::{Line, class};

pub(super) static FAMILY: Family = Family {
    name: "warning",
    anchors: &[
        "WARNING: ",
        "list_add corruption",
        "list_del corruption",
        "list_add double add",
        "refcount_t: ",
        "usercopy: Kernel memory",
        "Bad or missing usercopy whitelist? ",
        "detected buffer overflow",
        "kernel memory exposure attempt",
        "kernel memory overwrite attempt",
        "VFS: Close: file count is ",
        "VFS: Busy inodes after unmount",
        "detected field-spanning write",
        "sysfs: cannot create duplicate filename",
        "unchecked MSR access error: ",
        "dst_release: dst:",
        "BUG: mempool element poison mismatch",
        ": stack overflow: ",
        "CFI failure ",
        "Missing ENDBR: ",
        "Assertion failure in ",
        "huh, entered softirq ",
        "Detected non-responsive CSD lock",
        " need_resched set for > ",
    ],
    from: From::Kernel,
    open,
    body,
    finish,
    kind: kind(
        "log.warning",
        "A WARN of the kernel",
        &[
            field("file", FieldType::Text, "", "source file of the WARN"),
            field("line", FieldType::Int, "", "line in it"),
        ],
    ),
};

/// Assertions whose message tells more than the place of the WARN or BUG.
const MESSAGES: &[(&str, &str)] = &[
    ("list_add corruption", class::LIST_CORRUPTION),
    ("list_del corruption", class::LIST_CORRUPTION),
    ("list_add double add", class::LIST_CORRUPTION),
    ("refcount_t: ", class::REFCOUNT),
    ("ODEBUG: ", class::ODEBUG),
    ("usercopy: Kernel memory", class::USERCOPY),
    ("usercopy: kernel memory", class::USERCOPY),
    ("kernel memory exposure attempt", class::USERCOPY),
    ("kernel memory overwrite attempt", class::USERCOPY),
    ("Bad or missing usercopy whitelist", class::USERCOPY),
    ("NETDEV WATCHDOG: ", class::NET_WATCHDOG),
    ("detected buffer overflow", class::OUT_OF_BOUNDS),
    ("VFS: Close: file count is ", class::USE_AFTER_FREE),
    ("VFS: Busy inodes after unmount", class::USE_AFTER_FREE),
    // The bounds are those that the structure declares, which is where the fault mostly lies.
    ("detected field-spanning write", class::WARNING),
    ("sysfs: cannot create duplicate filename", class::WARNING),
    ("unchecked MSR access error: ", class::WARNING),
    ("dst_release: dst:", class::REFCOUNT),
    ("BUG: mempool element poison mismatch", class::SLAB_CORRUPTION),
    ("do_IRQ: stack overflow: ", class::STACK_OVERFLOW),
    ("CFI failure ", class::TRAP),
    ("Missing ENDBR: ", class::TRAP),
    ("Assertion failure in ", class::BUG_ON),
    ("huh, entered softirq ", class::WARNING),
    ("csd: Detected non-responsive CSD lock", class::SOFT_LOCKUP),
    ("need_resched set for > ", class::SOFT_LOCKUP),
];

/// What a `WARNING:` without place says when the stack walker itself gives up: no trace need follow.
const WALKER: &[&str] = &[
    "kernel stack regs at ",
    "kernel stack frame pointer at ",
    "stack recursion on stack type ",
    "stack going in the wrong direction",
    "can't dereference ",
    "can't access registers at ",
    "unrecognized unwind stack type ",
];

/// Name under which a plain `WARNING: text` is kept until a trace proves it.
const PLAIN: &str = "WARNING";

/// The class a message stands for.
pub(super) fn class_of_message(text: &str) -> Option<&'static str> {
    let bytes = Bytes::of(text);
    let (message, class) = MESSAGES.iter().find(|(message, _)| bytes.may_hold(message) && has(text, message))?;
    // `selftest passed` and the like say that nothing is wrong.
    (text.starts_with(message) || split(text, message).is_some_and(|(before, _)| before.len() < 48))
        .then_some(*class)
        .filter(|_| !has(text, "selftest"))
}

fn open(line: &Line<'_>, before: Before<'_>) -> Option<Opened> {
    let text = line.text();
    let mut event = Event::new(FAMILY.name, class::WARNING, Severity::Report);
    if header(text, &mut event) {
        for message in before.messages {
            note_message(message, &mut event);
        }
        return Opened::trace(event);
    }
    if let Some(message) = text.strip_prefix("WARNING: ") {
        if is_notice(message) {
            return None;
        }
        if line.writer != Writer::Kernel {
            return None;
        }
        // A mail program wrapped the header behind the file: `WARNING: block/blk-mq.c:321 at`
        if let Some(file) = message.strip_suffix(" at")
            && set_file(file, &mut event)
        {
            for message in before.messages {
                note_message(message, &mut event);
            }
            return Opened::trace(event);
        }
        event.title = PLAIN.to_owned();
        // Drivers and firmware print sentences that begin so; `finish` makes it a report when a stack follows.
        if !WALKER.iter().any(|head| message.starts_with(head)) {
            event.severity = Severity::Notice;
        }
        for message in before.messages {
            note_message(message, &mut event);
        }
        if !message.starts_with("CPU: ") {
            event.fields.entry("message".into()).or_insert_with(|| message.into());
        }
        return Opened::trace(event);
    }
    let class = class_of_message(text)?;
    // `memcpy: detected buffer overflow: 8 byte write`
    const BEHIND_A_NAME: &[&str] =
        &["detected buffer overflow", "detected field-spanning write", "need_resched set for > "];
    let text = text.strip_prefix("smp: ").or_else(|| text.strip_prefix("traps: ")).unwrap_or(text);
    if !MESSAGES.iter().any(|(message, _)| text.starts_with(message))
        && !BEHIND_A_NAME.iter().any(|message| text.contains(message))
    {
        return None;
    }
    if text.starts_with("Assertion failure in ") && !has(text, "() at ") {
        return None;
    }
    event.class = class;
    // Complaints with a stack, short of a WARN; older kernels wrap the second in one.
    if text.starts_with("unchecked MSR access error") || text.starts_with("sysfs: cannot create duplicate") {
        event.severity = Severity::Failure;
    }
    event.set("message", text);
    Opened::trace(event)
}

/// Texts that say `WARNING:` and speak of settings, not of defects.
fn is_notice(message: &str) -> bool {
    const WORDS: &[&str] = &[
        "deprecated",
        "Spectre",
        "corrupted AGFL",
        "experimental",
        "will be removed",
        "no longer",
        "not recommended",
        "unsupported",
        "not supported",
        "vulnerable",
        "insecure",
        "incomplete",
        "workaround",
        "performance",
        "disabled",
        "enabled",
        "Adjusting",
    ];
    message.len() < 3 || WORDS.iter().any(|word| message.contains(word))
}

/// Reads the `WARNING:` line in every era's form.
fn header(text: &str, event: &mut Event) -> bool {
    let mut c = Cursor::new(text);
    if !c.take("WARNING: ") {
        return false;
    }
    if c.take("CPU: ") {
        event.cpu = c.number().and_then(|n| u32::try_from(n).ok());
        if c.blanks().take("PID: ") {
            event.pid = c.int();
        }
        c.blanks();
    }
    if c.take("at ") {
        return place(&mut c, event);
    }
    // 7.2: `WARNING: net/core/dev.c:123 at func+0x12/0x34 [mod], CPU#3: comm/77`
    if has(text, ", CPU#") && has(text, " at ") {
        if c.take("[") {
            c.skip_past("] ");
        }
        let mut ahead = c;
        let file = ahead.word();
        set_file(file, event);
        c = ahead;
        c.blanks();
        if !c.take("at ") {
            return false;
        }
        at_symbol(&mut c, event);
        return true;
    }
    false
}

/// `func+0x12/0x34 [mod], CPU#3: comm/77`
fn at_symbol(c: &mut Cursor<'_>, event: &mut Event) {
    event.place = location_at(c);
    if c.skip_past("CPU#") {
        event.cpu = c.number().and_then(|n| u32::try_from(n).ok());
        if c.take(": ")
            && let Some((comm, pid)) = c.rest().rsplit_once('/')
        {
            event.comm = Some(comm.to_owned());
            event.pid = pid.trim().parse().ok();
        }
    }
}

/// `net/core/dev.c:123 func+0x12/0x34 [mod]()`, or the function alone
fn place(c: &mut Cursor<'_>, event: &mut Event) -> bool {
    let rest = c.rest();
    let word = c.word();
    if set_file(word, event) {
        event.place = location(c.rest().trim().trim_end_matches("()")).or_else(|| {
            let name = c.blanks().word().trim_end_matches("()");
            let named = name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'$'));
            (named && !name.is_empty())
                .then(|| crate::event::Location { function: name.to_owned(), ..Default::default() })
        });
        return true;
    }
    event.place = location(rest.trim().trim_end_matches("()"));
    event.place.is_some()
}

fn set_file(word: &str, event: &mut Event) -> bool {
    let Some((file, number)) = word.rsplit_once(':') else { return false };
    let Ok(number) = number.parse::<u32>() else { return false };
    if !file.contains('.') && !file.contains('/') {
        return false;
    }
    if file.ends_with("locking/lockdep.c") || file.ends_with("kernel/lockdep.c") {
        event.class = class::LOCKDEP;
    }
    event.set("file", file);
    event.set("line", number);
    true
}

fn note_message(message: &str, event: &mut Event) {
    let message = message.trim();
    if message.is_empty() || is_header_line(message) {
        return;
    }
    if let Some(class) = class_of_message(message) {
        event.class = class;
    }
    tells_more(message, event);
    event.fields.entry("message".into()).or_insert_with(|| message.into());
}

/// Messages that make the WARN a report of another kind: of a network device, of a filesystem.
fn tells_more(message: &str, event: &mut Event) -> bool {
    if let Some(timeout) = net_device::timeout(message) {
        event.family = net_device::WATCHDOG.name;
        event.class = class::NET_WATCHDOG;
        event.title = timeout.title;
        event.fields.extend(timeout.fields);
        return true;
    }
    if let Some(number) = errno::of_abort(message) {
        let abort = errno::judged(filesystem::event(&filesystem::BTRFS, "btrfs", "abort", "").with("errno", number));
        event.family = filesystem::BTRFS.name;
        event.class = abort.class;
        event.title = abort.title;
        event.fields.extend(abort.fields);
        event.set("detail", message);
        return true;
    }
    false
}

/// Is there nothing in the line, or what people write where they left something out: `...`, `[snip]`?
fn is_left_out(text: &str) -> bool {
    let letters = || text.bytes().filter(u8::is_ascii_alphanumeric);
    letters().count() < 2 || letters().map(|b| b.to_ascii_lowercase()).eq(*b"snip")
}

/// Is it a line that every report has, and no message?
fn is_header_line(text: &str) -> bool {
    const HEADS: &[&str] = &[
        "WARNING",
        "BUG",
        "INFO",
        "Modules linked in",
        "CPU:",
        "CPU ",
        "Pid:",
        "PID:",
        "Comm:",
        "Hardware name",
        "Tainted",
        "Workqueue:",
        "Call Trace",
        "Call trace",
        "Backtrace",
        "Stack",
        "Code:",
        "RIP:",
        "EIP:",
        "RSP:",
        "NIP",
        "REGS:",
        "pc :",
        "PC is",
        "epc",
        "pstate",
        "task:",
        "Process ",
        "---[",
        "------------[",
        "Kernel panic",
        "Dumping ftrace",
        "[<",
        "<IRQ>",
        "<TASK>",
    ];
    // A program that writes to the kernel's log: `systemd[1]: Started x`.
    let tag = text.split(": ").next().unwrap_or(text);
    let program = tag.ends_with(']') && tag.contains('[') && !tag.contains(' ');
    program || head_of(text, HEADS).is_some() || has(text, "+0x") && text.split(' ').count() < 4
}

/// A symbolised header stands once for each inlined function and last for the one that they are part of.
fn is_physical_header(report: &mut Report, line: &Line<'_>) -> bool {
    let again = line.number == report.taken_at + 1
        && !report.has_frames()
        && report.event.quote.contains(" [inline]")
        && line.text().starts_with("WARNING: ");
    let mut physical = Event::new(FAMILY.name, class::WARNING, Severity::Report);
    if !again || !header(line.text(), &mut physical) || physical.place.is_none() {
        return false;
    }
    let event = &mut report.event;
    event.place = physical.place;
    event.cpu = event.cpu.or(physical.cpu);
    event.pid = event.pid.or(physical.pid);
    event.comm = event.comm.take().or(physical.comm);
    line.text().clone_into(&mut event.quote);
    true
}

fn body(report: &mut Report, line: &Line<'_>) -> Step {
    let text = line.text();
    if is_physical_header(report, line) {
        return Step::Take;
    }
    // The header of a WARN or BUG below its message.
    if report.event.place.is_none() && !report.has_frames() {
        if has(text, "[ cut here ]") {
            return Step::Take;
        }
        if header(text, &mut report.event) {
            report.event.severity = Severity::Report;
            return Step::Take;
        }
        // A mail program wrapped the header before the file's name.
        let first = text.split(' ').next().unwrap_or("");
        if report.event.family == "warning"
            && first.contains('/')
            && first.rsplit_once(':').is_some_and(|(_, n)| n.parse::<u32>().is_ok())
            && has(text, "+0x")
            && place(&mut Cursor::new(text), &mut report.event)
        {
            return Step::Take;
        }
        // Or behind it.
        if report.event.family == "warning"
            && report.event.fields.contains_key("file")
            && line.number == report.taken_at + 1
            && has(text, "+0x")
            && let Some(function) = location(text.trim())
        {
            report.event.place = Some(function);
            return Step::Take;
        }
        if report.event.fields.contains_key("file") && report.event.release.is_none() && has(text, ", CPU#") {
            at_symbol(&mut Cursor::new(text), &mut report.event);
            return Step::Take;
        }
        if oops::bug_header(text, &mut report.event) {
            report.event.family = "oops";
            return Step::Take;
        }
        // Control flow that went wrong traps like a BUG (kernel/cfi.c).
        let cfi =
            report.event.fields.get("message").and_then(|m| m.as_text()).is_some_and(|m| m.starts_with("CFI failure "));
        let class = report.event.class;
        if (cfi || report.event.family == "oops") && oops::die_header(text, &mut report.event) {
            if cfi {
                report.event.class = class;
            }
            return Step::Take;
        }
    }
    // Up to 4.11 the message stands below the header.
    if report.registers_seen == 0
        && !report.has_frames()
        && let Some(class) = class_of_message(text)
    {
        let known = |m: &str| m != text && class_of_message(m).is_some();
        if report.event.fields.get("message").and_then(|m| m.as_text()).is_some_and(known) {
            // The next one, of a kind that prints nothing else.
            return Step::Stop;
        }
        report.event.class = class;
        tells_more(text, &mut report.event);
        report.event.set("message", text);
        return Step::Take;
    }
    let event = &mut report.event;
    if event.fields.contains_key("file")
        && !event.fields.contains_key("message")
        && line.number == report.taken_at + 1
        && report.registers_seen == 0
        && event.release.is_none()
        && event.modules.is_empty()
        && event.stacks.is_empty()
        && !is_left_out(text)
        && !is_header_line(text)
    {
        event.set("message", text);
        // Of the other kinds of report, those that are no message of a WARN open their own.
        return if tells_more(text, event) { Step::Take } else { Step::Pass };
    }
    Step::Pass
}

/// The function behind those that warn.
fn warner(event: &Event) -> Option<String> {
    let mut functions = event.stacks.first()?.functions().peekable();
    functions.by_ref().find(|f| f.trim_start_matches('_').starts_with("warn"))?;
    functions.find(|f| !f.trim_start_matches('_').starts_with("warn")).map(str::to_owned)
}

fn finish(report: &mut Report) {
    let proved = report.event.release.is_some() && report.has_frames();
    let event = &mut report.event;
    if event.title == PLAIN && event.severity == Severity::Notice && (proved || event.place.is_some()) {
        event.severity = Severity::Report;
    }
    if event.place.is_none() && event.stacks.is_empty() {
        // A message without WARN or BUG is no torn report.
        report.form = Form::Lines;
    }
    // `CFI failure at f+0x3f0/0x1480 (target: ...)`, of which no WARN line follows.
    if event.place.is_none()
        && let Some(rest) = event.fields.get("message").and_then(|m| m.as_text()?.strip_prefix("CFI failure at "))
    {
        event.place = location_at(&mut Cursor::new(rest));
    }
    // What the watchdog of transmit queues says stands in a line that is not in the text.
    if event.class == class::WARNING && event.place.as_ref().is_some_and(|place| place.function == "dev_watchdog") {
        event.class = class::NET_WATCHDOG;
    }
    // A line cut at the edge of a terminal: the caller of what warns is the function it means.
    if let Some(cut) = event.place.as_ref().filter(|place| place.offset.is_none())
        && let Some(function) = warner(event)
        && function != cut.function
        && cut.function.len() > 3
        && function.get(..cut.function.len() - 1) == cut.function.get(..cut.function.len() - 1)
    {
        event.place = Some(crate::event::Location { function, ..Default::default() });
    }
    if event.family == net_device::WATCHDOG.name || event.family == filesystem::BTRFS.name {
        return;
    }
    let place = event.place.as_ref().map(|p| p.function.clone());
    // A message that no WARN carries names itself.
    let alone = (event.family == FAMILY.name && !event.fields.contains_key("file"))
        .then(|| event.fields.get("message").and_then(|m| m.as_text()).unwrap_or_default())
        .and_then(|text| MESSAGES.iter().find(|(message, _)| has(text, message)))
        .map(|(message, _)| message.trim_end_matches([':', ' ', '>']));
    let what = alone.unwrap_or(if event.family == "oops" { "kernel BUG" } else { "WARNING" });
    event.title = match place {
        Some(function) => format!("{what} in {function}"),
        None => what.to_owned(),
    };
    if event.class != class::WARNING && alone.is_none() {
        event.title = format!("{}: {}", event.title, event.class);
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{events, fields};

    const TRACE: &str = "[  438.150003] Modules linked in: igb\n\
         [  438.150004] CPU: 6 PID: 0 Comm: swapper/6 Not tainted 3.10.0-957.el7.x86_64 #1\n\
         [  438.150005] Call Trace:\n[  438.150006]  [<ffffffff8119b908>] __warn+0xd8/0x100\n\
         [  438.150009]  [<ffffffff8135b6bd>] dev_watchdog+0x242/0x250\n[  438.150011] ---[ end trace 1 ]---\n";

    #[test]
    fn the_header_of_an_inlined_function_is_that_of_the_one_it_is_part_of() {
        const BELOW: &str = "Modules linked in:\nCPU: 1 PID: 18925 Comm: syz.3 Not tainted 5.19.0 #0\n\
             RIP: 0010:folio_lruvec include/linux/memcontrol.h:800 [inline]\n\
             RIP: 0010:folio_lruvec_lock_irqsave+0x2fd/0x4f0 mm/memcontrol.c:1424\nCall Trace:\n \
             folio_batch_move_lru+0xf9/0x500 mm/swap.c:242\n folio_add_lru+0xd4/0x130 mm/swap.c:258\n";
        for head in [
            "WARNING: CPU: 1 PID: 18925 at include/linux/memcontrol.h:800 folio_lruvec include/linux/memcontrol.h:800 [inline]\n\
             WARNING: CPU: 1 PID: 18925 at include/linux/memcontrol.h:800 folio_lruvec_lock_irqsave+0x2fd/0x4f0 mm/memcontrol.c:1424\n",
            "WARNING: include/linux/memcontrol.h:800 at folio_lruvec include/linux/memcontrol.h:800 [inline], CPU#1: syz.3/18925\n\
             WARNING: include/linux/memcontrol.h:800 at folio_lruvec_lock_irqsave+0x2fd/0x4f0 mm/memcontrol.c:1424, CPU#1: syz.3/18925\n",
        ] {
            let found = events(&format!("------------[ cut here ]------------\n{head}{BELOW}"));
            let told: Vec<_> = found.iter().map(|e| (&*e.title, e.pid, e.corrupted.is_some())).collect();
            assert_eq!(told, [("WARNING in folio_lruvec_lock_irqsave", Some(18925), false)], "{head}");
        }
    }

    #[test]
    fn the_message_below_the_header_names_the_device() {
        let text = format!(
            "[  438.150000] ------------[ cut here ]------------\n\
             [  438.150001] WARNING: CPU: 6 PID: 0 at net/sched/sch_generic.c:300 dev_watchdog+0x242/0x250\n\
             [  438.150002] NETDEV WATCHDOG: eth2 (igb): transmit queue 5 timed out\n{TRACE}"
        );
        let found = events(&text);
        assert_eq!((found.len(), found[0].family, found[0].class), (1, "net_watchdog", "net-watchdog"));
        assert_eq!(
            fields(&text, &["title", "device", "driver", "queue", "function", "release"]),
            ["network device: timeout", "eth2", "igb", "5", "dev_watchdog", "3.10.0-957.el7.x86_64"]
        );
        // The sixth edition of RHEL prints the hardware between.
        let text = format!(
            "[  438.150001] WARNING: at net/sched/sch_generic.c:261 dev_watchdog+0x26b/0x280() (Not tainted)\n\
             [  438.150001] Hardware name: PowerEdge R610\n\
             [  438.150002] NETDEV WATCHDOG: eth0 (bnx2): transmit queue 0 timed out\n{TRACE}"
        );
        assert_eq!(fields(&text, &["device", "driver", "queue"]), ["eth0", "bnx2", "0"]);
    }

    #[test]
    fn a_message_is_kept_on_either_side_of_the_header() {
        let head = "[  438.150001] WARNING: CPU: 0 PID: 9 at drivers/x.c:103 resume_it+0x12d/0x160\n";
        let cut = "[  438.150000] ------------[ cut here ]------------\n";
        let message = "[  438.150001] Interrupts enabled after other_resume+0x0/0x40\n";
        for text in [format!("{cut}{head}{message}{TRACE}"), format!("{cut}{message}{head}{TRACE}")] {
            assert_eq!(
                fields(&text, &["message", "function", "class"]),
                ["Interrupts enabled after other_resume+0x0/0x40", "resume_it", "warning"],
                "{text}"
            );
            assert_eq!(events(&text).len(), 1);
        }
        assert_eq!(fields(&format!("{cut}{head}{TRACE}"), &["message"]), [""]);
    }

    #[test]
    fn an_aborted_transaction_says_why() {
        let text = "[   30.030442] ------------[ cut here ]------------\n\
             [   30.030449] BTRFS: Transaction aborted (error -28)\n\
             [   30.030618] WARNING: CPU: 4 PID: 35 at fs/btrfs/inode.c:2736 btrfs_finish_ordered_io+0x4d1/0x8b0 [btrfs]\n\
             [   30.030630] RIP: 0010:btrfs_finish_ordered_io+0x4d1/0x8b0 [btrfs]\n[   30.030631] Call Trace:\n\
             [   30.030632]  btrfs_work_helper+0xc2/0x2e0 [btrfs]\n[   30.030633] ---[ end trace 1 ]---\n";
        assert_eq!(events(text).len(), 1);
        assert_eq!(
            fields(text, &["filesystem", "what", "errno", "class", "function"]),
            ["btrfs", "abort", "28", "resource-exhaustion", "btrfs_finish_ordered_io"]
        );
    }

    #[test]
    fn a_header_that_a_mail_program_wrapped_before_the_function_is_whole() {
        let found = events(
            "[ cut here ]\nrefcount_t: addition on 0; use-after-free.\nWARNING: CPU: 7 PID: 822 at lib/refcount.c:25\n\
             refcount_warn_saturate+0xb1/0x120\nCPU: 7 UID: 0 PID: 822 Comm: cat Not tainted 6.12.0-rc3+ #1\n\
             Call Trace:\n <TASK>\n c_show+0x2fc/0x380 [sunrpc]\n seq_read_iter+0x589/0x770\n",
        );
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].stacks.len(), found[0].class), (1, "refcount"));
        assert_eq!(found[0].place.as_ref().map(|p| p.function.as_str()), Some("refcount_warn_saturate"));
        let found = events(
            "WARNING: CPU: 0 PID: 9647 at drivers/md/md.c:7169 md_ioctl+0x4017/0x5980\n...\n\
             CPU: 0 PID: 9647 Comm: x Not tainted 5.9.0 #1\nCall Trace:\n blkdev_ioctl+0xece/0x1c10\n",
        );
        assert_eq!(found[0].title, "WARNING in md_ioctl");
    }
}
