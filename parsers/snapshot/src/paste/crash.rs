//! Output of the crash utility: banner, `kmem -s`, `ps`, `bt`.

use std::collections::BTreeMap;
use std::sync::Arc;

use facts::{Address, Fact, Frame, Origin, Stack};

use crate::node::{Input, Node};
use crate::text::quote;

/// `     PANIC: "BUG: unable to handle ..."`, `   RELEASE: 3.10.0-...`
pub(super) fn banner(node: &mut Node, input: &Input<'_>) {
    let mut fact: Option<(Fact, usize)> = None;
    for (i, line) in input.text.lines().enumerate() {
        let Some((name, value)) = line.split_once(": ") else { continue };
        let field = match name.trim() {
            "DUMPFILE" => "dumpfile",
            "NODENAME" => "host",
            "RELEASE" => "release",
            "MACHINE" => "machine",
            "PANIC" => "panic",
            "UPTIME" => "uptime",
            "DATE" => "date",
            _ => continue,
        };
        // The rows are right-aligned: a log line `RELEASE: x` elsewhere is not one of them.
        if name.len() < 10 {
            continue;
        }
        let value = value.trim().trim_matches('"');
        let (fact, _) = fact.get_or_insert_with(|| (Fact::new("node.crash_banner", input.line(i)), i));
        if !value.is_empty() && fact.get(field).is_none() {
            fact.set(field, value);
        }
    }
    let Some((fact, _)) = fact.filter(|(f, _)| f.values.len() >= 4) else { return };
    if let Some(release) = fact.text("release") {
        node.identity.kernel.get_or_insert_with(|| release.to_owned());
    }
    if let Some(host) = fact.text("host").filter(|h| !h.starts_with('(')) {
        node.identity.host.get_or_insert_with(|| host.to_owned());
    }
    if let Some(arch) = fact.text("machine").and_then(|m| m.split(' ').next()) {
        node.identity.arch.get_or_insert_with(|| arch.to_owned());
    }
    let quote = fact.text("panic").map_or("crash banner".to_owned(), |p| format!("PANIC: \"{p}\""));
    node.push_once(fact.quoting(quote));
}

/// `CACHE             OBJSIZE  ALLOCATED     TOTAL  SLABS  SSIZE  NAME`; older versions print NAME second.
pub(super) fn kmem(node: &mut Node, input: &Input<'_>) {
    let mut name_second = None;
    let mut caches: Vec<(i64, usize, Fact)> = Vec::new();
    for (i, line) in input.text.lines().enumerate() {
        if line.starts_with("CACHE") && line.contains("OBJSIZE") && line.contains("ALLOCATED") {
            name_second = Some(line.split_ascii_whitespace().nth(1) == Some("NAME"));
            continue;
        }
        let Some(second) = name_second else { continue };
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let (name, size, active, total) = match (second, &words[..]) {
            (false, [_, size, active, total, _, _, name, ..]) => (*name, *size, *active, *total),
            (true, [_, name, size, active, total, _, _]) => (*name, *size, *active, *total),
            _ => continue,
        };
        let (Ok(size), Ok(active), Ok(total)) = (size.parse::<i64>(), active.parse::<i64>(), total.parse::<i64>())
        else {
            continue;
        };
        let bytes = total.saturating_mul(size);
        let fact = Fact::new("node.slabinfo", input.line(i))
            .with("cache", name)
            .with("active_objs", active)
            .with("num_objs", total)
            .with("object_bytes", size)
            .with("bytes", bytes)
            .quoting(quote(line));
        caches.push((bytes, i, fact));
    }
    caches.sort_by_key(|(bytes, i, _)| (std::cmp::Reverse(*bytes), *i));
    for (_, _, fact) in caches.into_iter().take(12) {
        node.push(fact);
    }
}

/// `   PID    PPID  CPU       TASK        ST  %MEM      VSZ      RSS  COMM`
pub(super) fn tasks(node: &mut Node, input: &Input<'_>) {
    let mut states: BTreeMap<&str, i64> = BTreeMap::new();
    let mut first = None;
    let mut in_table = false;
    for (i, line) in input.text.lines().enumerate() {
        let words: Vec<&str> = line.trim_start_matches(['>', ' ']).split_ascii_whitespace().collect();
        if words.starts_with(&["PID", "PPID", "CPU", "TASK", "ST"]) {
            in_table = true;
            first.get_or_insert(i);
            continue;
        }
        if !in_table {
            continue;
        }
        match words[..] {
            [pid, _, _, _, state, _, _, _, ..] if pid.parse::<i64>().is_ok() => {
                *states.entry(state).or_default() += 1;
            }
            _ => in_table = false,
        }
    }
    let Some(first) = first else { return };
    let of = |state: &str| states.get(state).copied().unwrap_or_default();
    node.push(
        Fact::new("node.tasks", input.line(first))
            .with("total", states.values().sum::<i64>())
            .with("running", of("RU"))
            .with("uninterruptible", of("UN"))
            .with("zombie", of("ZO"))
            .quoting(format!("crash ps: {} tasks, {} uninterruptible", states.values().sum::<i64>(), of("UN"))),
    );
}

/// `PID: 1234   TASK: ffff...  CPU: 3   COMMAND: "x"`, then ` #0 [ffff...] f at ffffffff...`.
pub(super) fn backtraces(node: &mut Node, input: &Input<'_>) {
    let mut open: Option<(Stack, usize, usize)> = None;
    let mut count = 0;
    let mut blocked = false;
    for (i, line) in input.text.lines().enumerate() {
        if let Some((_, command)) = line.split_once("crash> ") {
            close(node, input, open.take(), blocked);
            blocked = asks_for_blocked(command);
        } else if let Some(stack) = header(line) {
            close(node, input, open.take(), blocked);
            count += 1;
            if count > 2000 {
                return;
            }
            open = Some((stack, i, i));
        } else if let Some((stack, _, last)) = open.as_mut() {
            if let Some(frame) = frame(line) {
                stack.frames.push(frame);
                *last = i;
            } else if let Some(function) = line.trim().strip_prefix("[exception RIP: ") {
                let function = function.trim_end_matches(']').split('+').next().unwrap_or_default();
                let mut frame = Frame::printed(function);
                frame.interrupted = true;
                stack.frames.push(frame);
                *last = i;
            }
        }
    }
    close(node, input, open, blocked);
}

/// `foreach UN bt`: the stacks of all tasks in uninterruptible sleep.
fn asks_for_blocked(command: &str) -> bool {
    let mut words = command.split_ascii_whitespace();
    words.next() == Some("foreach") && words.next() == Some("UN") && words.next() == Some("bt")
}

fn close(node: &mut Node, input: &Input<'_>, open: Option<(Stack, usize, usize)>, blocked: bool) {
    let Some((stack, first, last)) = open.filter(|(s, _, _)| !s.frames.is_empty()) else { return };
    let origin = Origin::lines(input.member, input.before + first as u64 + 1, input.before + last as u64 + 1);
    let top = stack.functions().next().unwrap_or_default().to_owned();
    let comm = stack.comm.clone().unwrap_or_default();
    let mut fact = Fact::new("node.backtrace", origin)
        .with_opt("pid", stack.pid)
        .with("comm", comm.as_str())
        .with("top", top.as_str())
        .with_opt("state", blocked.then_some("D"))
        .quoting(format!("{comm} in {top}"));
    fact.stacks.push(Arc::new(stack));
    node.push(fact);
}

fn header(line: &str) -> Option<Stack> {
    let rest = line.strip_prefix("PID: ")?;
    let mut stack = Stack::printed("task");
    stack.pid = rest.split_ascii_whitespace().next()?.parse().ok();
    rest.find("TASK: ")?;
    stack.cpu = rest.split_once("CPU: ").and_then(|(_, r)| r.split_ascii_whitespace().next()?.parse().ok());
    stack.comm = rest.split_once("COMMAND: ").map(|(_, c)| c.trim().trim_matches('"').to_owned());
    Some(stack)
}

fn frame(line: &str) -> Option<Frame> {
    let rest = line.trim_start().strip_prefix('#')?;
    let digits = rest.find(|c: char| !c.is_ascii_digit()).filter(|n| *n > 0)?;
    let rest = rest.get(digits..)?.trim_start();
    let (sp, rest) = rest.strip_prefix('[')?.split_once("] ")?;
    let (function, rest) = rest.split_once(" at ")?;
    let mut words = rest.split_ascii_whitespace();
    let mut frame = Frame::printed(function.trim());
    frame.sp = u64::from_str_radix(sp, 16).ok().map(Address);
    frame.pc = words.next().and_then(|w| u64::from_str_radix(w, 16).ok()).map(Address);
    frame.module = words.next().and_then(|w| Some(w.strip_prefix('[')?.strip_suffix(']')?.into()));
    Some(frame)
}

#[cfg(test)]
mod tests {
    #[test]
    fn blocked_tasks_that_were_asked_for_are_known_as_such() {
        let task = |pid: u32| {
            format!(
                "PID: {pid}   TASK: ffff8e1b4a3c8000  CPU: 3   COMMAND: \"x\"\n #0 [ffffb1f3c0b7fc40] __schedule at ffffffff9a5a1f2d\n"
            )
        };
        let text = format!("crash> foreach UN bt\n{}{}crash> bt 3\n{}", task(1), task(2), task(3));
        let (facts, _) = crate::read("paste.txt", text.as_bytes());
        let told: Vec<_> =
            facts.iter().filter(|f| f.kind == "node.backtrace").map(|f| (f.int("pid"), f.text("state"))).collect();
        assert_eq!(told, [(Some(1), Some("D")), (Some(2), Some("D")), (Some(3), None)]);
    }
}
