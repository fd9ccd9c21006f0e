//! Stacks that other tools print: `/proc/PID/stack`, and drgn's stack traces.

use std::sync::Arc;

use facts::{Address, Fact, Frame, Origin, Stack};

use crate::node::{Input, Node};

/// More stacks than this in one text are not read.
const MOST: usize = 2000;
/// More frames than this in one stack are dropped.
const MOST_FRAMES: usize = 512;

/// A stack whose lines are coming.
struct Open {
    stack: Stack,
    first: usize,
    last: usize,
    /// At least one frame that no other tool prints this way.
    sure: bool,
}

pub(super) fn read(node: &mut Node, input: &Input<'_>) {
    stacks(node, input, None, false);
}

/// The stack of one task, whose file this is.
pub(crate) fn of_task(node: &mut Node, input: &Input<'_>, pid: Option<i64>) {
    stacks(node, input, pid, true);
}

/// `pid` and `announced`: the task that the lines above name, and whether its file was named.
fn stacks(node: &mut Node, input: &Input<'_>, mut pid: Option<i64>, mut announced: bool) {
    let mut open: Option<Open> = None;
    let mut count = 0;
    for (i, line) in input.text.lines().enumerate() {
        let text = line.trim();
        let found = proc_frame(text, announced).map(|frame| (frame, true, false)).or_else(|| {
            let (number, frame, sure) = drgn_frame(text)?;
            Some((frame, sure, number == 0))
        });
        let Some((frame, sure, begins)) = found else {
            if count < MOST && close(node, input, open.take()) {
                count += 1;
            }
            if let Some(named) = task(text) {
                pid = Some(named);
                announced = text.contains("/stack");
            } else if !text.is_empty() {
                // A text between: the stack below it belongs to nobody that is known.
                (pid, announced) = (None, false);
            }
            continue;
        };
        if begins && count < MOST && close(node, input, open.take()) {
            count += 1;
        }
        let open = open.get_or_insert_with(|| {
            let mut stack = Stack::printed("task");
            stack.pid = pid;
            Open { stack, first: i, last: i, sure: false }
        });
        open.sure |= sure;
        open.last = i;
        if open.stack.frames.len() < MOST_FRAMES {
            open.stack.frames.extend(frame);
        }
    }
    if count < MOST {
        close(node, input, open);
    }
}

fn close(node: &mut Node, input: &Input<'_>, open: Option<Open>) -> bool {
    let Some(open) = open.filter(|o| o.sure && o.stack.frames.len() >= 2) else { return false };
    let origin = Origin::lines(input.member, input.before + open.first as u64 + 1, input.before + open.last as u64 + 1);
    let top = open.stack.functions().next().unwrap_or_default().to_owned();
    let who = open.stack.pid.map_or_else(|| "a task".to_owned(), |pid| format!("task {pid}"));
    let mut fact = Fact::new("node.backtrace", origin)
        .with_opt("pid", open.stack.pid)
        .with("comm", "")
        .with("top", top.as_str())
        .quoting(format!("{who} in {top}"));
    fact.stacks.push(Arc::new(open.stack));
    node.push(fact);
    true
}

/// The pid in `/proc/123/stack`, `prog.stack_trace(123)`, `PID: 123`.
fn task(text: &str) -> Option<i64> {
    let behind = |words: &str| {
        let rest = text.split_once(words)?.1.trim_start();
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        Some((rest.get(..digits)?.parse().ok()?, rest.get(digits..)?))
    };
    if let Some((pid, rest)) = behind("/proc/") {
        return rest.starts_with("/stack").then_some(pid);
    }
    behind("stack_trace(").or_else(|| behind("PID: ")).map(|(pid, _)| pid)
}

/// `[<0>] f+0x1/0x2 [module]`; with a full address only below a line that names the file, for old logs print frames so.
/// The last line, `[<ffffffffffffffff>] 0xffffffffffffffff`, is a line of the stack and no frame.
fn proc_frame(text: &str, announced: bool) -> Option<Option<Frame>> {
    let (address, rest) = text.strip_prefix("[<")?.split_once(">] ")?;
    if address != "0" && !announced {
        return None;
    }
    if rest.starts_with("0x") {
        return Some(None);
    }
    let mut frame = printed(rest)?;
    frame.pc = u64::from_str_radix(address, 16).ok().filter(|pc| *pc != 0).map(Address);
    Some(Some(frame))
}

/// `#0  context_switch (kernel/sched/core.c:5381:2)`, `#13 f+0x5e/0x63 (arch/x86/x.S:1)`, `#2  0xffffffff81234567`: number,
/// frame, and whether only drgn prints it so.
fn drgn_frame(text: &str) -> Option<(u32, Option<Frame>, bool)> {
    let rest = text.strip_prefix('#')?;
    let digits = rest.find(|c: char| !c.is_ascii_digit())?;
    let number = rest.get(..digits)?.parse().ok()?;
    let body = rest.get(digits..)?.strip_prefix(' ')?.trim_start();
    if let Some(hex) = body.strip_prefix("0x") {
        let pc = u64::from_str_radix(hex, 16).ok()?;
        let mut frame = Frame::printed("");
        frame.function = None;
        frame.pc = Some(Address(pc));
        return Some((number, Some(frame), false));
    }
    if body == "???" {
        return Some((number, None, false));
    }
    let (symbol, place) = match body.split_once(" (") {
        Some((symbol, place)) => (symbol, place.strip_suffix(')')?),
        None => (body, ""),
    };
    let mut frame = printed(symbol)?;
    // file:line:column
    let is_number = |n: &str| n.parse::<u32>().is_ok();
    let source = !place.is_empty() && place.rsplit(':').take(2).all(is_number);
    if !place.is_empty() && place.rsplit(':').next().is_none_or(|n| !is_number(n)) {
        return None;
    }
    if !place.is_empty() {
        frame.line = Some(place.to_owned());
    }
    let sure = source || frame.offset.is_some();
    Some((number, Some(frame), sure))
}

/// `f+0x1/0x2 [module]`, or a name alone.
fn printed(text: &str) -> Option<Frame> {
    let (symbol, module) = match text.split_once(" [") {
        Some((symbol, module)) => (symbol, Some(module.strip_suffix(']')?.split(' ').next()?.into())),
        None => (text, None),
    };
    let (name, place) = symbol.split_once("+0x").map_or((symbol, None), |(name, place)| (name, Some(place)));
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b':' | b'<' | b'>' | b'$' | b'~');
    if name.is_empty() || name.as_bytes().first().is_some_and(u8::is_ascii_digit) || !name.bytes().all(plain) {
        return None;
    }
    let mut frame = Frame::printed(name);
    frame.module = module;
    if let Some(place) = place {
        let (offset, size) = place.split_once("/0x").unwrap_or((place, ""));
        frame.offset = u64::from_str_radix(offset, 16).ok();
        frame.size = u64::from_str_radix(size, 16).ok();
    }
    Some(frame)
}

#[cfg(test)]
mod tests {
    fn stacks(text: &str) -> Vec<(Option<i64>, Vec<String>)> {
        let (facts, _) = crate::read("paste.txt", text.as_bytes());
        let facts = facts.iter().filter(|f| f.kind == "node.backtrace");
        facts.map(|f| (f.int("pid"), f.stacks[0].functions().map(str::to_owned).collect())).collect()
    }

    #[test]
    fn stacks_of_proc_are_read() {
        let text = "root@n:~# cat /proc/1234/stack\n[<0>] rwsem_down_read_slowpath+0x33/0x4a0\n\
            [<0>] ext4_iget+0x1/0x2 [ext4]\n\nroot@n:~# cat /proc/77/stack\n\
            [<ffffffff810f5a1d>] synchronize_net+0x1d/0x30\n[<ffffffff81234567>] do_exit+0x1/0x2\n\
            [<ffffffffffffffff>] 0xffffffffffffffff\n";
        let names = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
        assert_eq!(
            stacks(text),
            [
                (Some(1234), names(&["rwsem_down_read_slowpath", "ext4_iget"])),
                (Some(77), names(&["synchronize_net", "do_exit"]))
            ]
        );
    }

    #[test]
    fn stack_traces_of_drgn_are_read() {
        let text = ">>> prog.stack_trace(56)\n#0  context_switch (kernel/sched/core.c:5381:2)\n\
            #1  __schedule (kernel/sched/core.c:6695:8)\n#2  0xffffffff81234567\n#3  ret_from_fork_asm+0x11/0x30\n";
        let found = stacks(text);
        assert_eq!((found[0].0, found[0].1.len()), (Some(56), 3), "{found:?}");
    }

    #[test]
    fn stacks_of_programs_and_logs_are_left_alone() {
        for text in [
            "#0  0x00007f12 raise (libc.so.6 + 0x3c)\n#1  0x00007f13 abort (libc.so.6 + 0x3d)\n",
            "#0  __GI_raise (sig=6) at ../sysdeps/raise.c:50\n#1  main () at a.c:1\n",
            "Call Trace:\n [<ffffffff810f5a1d>] f+0x1/0x2\n [<ffffffff810f5a1d>] g+0x1/0x2\n",
            "#1 first point\n#2 second point\n",
        ] {
            assert!(stacks(text).is_empty(), "{text}");
        }
    }
}
