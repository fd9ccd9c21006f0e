//! `strace -c` tables and `strace -tt` lines.

use std::collections::BTreeMap;

use facts::Fact;
use memchr::memmem;

use crate::node::{Input, Node};
use crate::text::quote;

/// A whole file that is an `strace -c` table.
pub(crate) fn counts(node: &mut Node, input: &Input<'_>) -> bool {
    read(node, input);
    true
}

pub(super) fn read(node: &mut Node, input: &Input<'_>) {
    let mut in_table = false;
    let mut errors: BTreeMap<(String, String), (i64, usize, String)> = BTreeMap::new();
    let mut slowest: BTreeMap<String, (f64, usize, String)> = BTreeMap::new();
    let mut stat: Option<(f64, usize, &str)> = None;
    let any_failed = memmem::find(input.text.as_bytes(), b" = -1 E").is_some();
    for (i, line) in input.text.lines().enumerate() {
        if line.starts_with("% time ") && line.contains("usecs/call") {
            in_table = true;
            continue;
        }
        if in_table {
            if line.starts_with("------") {
                continue;
            }
            match row(line) {
                Some(fact) => node.push(fact(input.line(i)).quoting(quote(line))),
                None => in_table = false,
            }
            continue;
        }
        if any_failed
            && let Some((call, errno)) = failed(line)
            && errors.len() < 512
        {
            let entry = errors.entry((call, errno)).or_insert((0, i, quote(line)));
            entry.0 += 1;
        }
        if let Some((call, seconds)) = took(line)
            && slowest.len() < 512
        {
            if reads_memory_stat(&call, line) && stat.is_none_or(|(most, ..)| seconds > most) {
                stat = Some((seconds, i, line));
            }
            let entry = slowest.entry(call).or_insert((seconds, i, quote(line)));
            if seconds > entry.0 {
                *entry = (seconds, i, quote(line));
            }
        }
    }
    for ((call, errno), (count, line, text)) in errors {
        node.push(
            Fact::new("node.syscall_errors", input.line(line))
                .with("syscall", call)
                .with("errno", errno)
                .with("count", count)
                .quoting(text),
        );
    }
    if let Some((seconds, line, text)) = stat {
        let fact =
            Fact::new("node.timed_read", input.line(line)).with("file", "memory.stat").with("name", "memory.stat");
        node.push(fact.with("seconds", seconds).quoting(quote(text)));
    }
    for (call, (seconds, line, text)) in slowest {
        if seconds >= 0.1 {
            let fact = Fact::new("node.slow_syscall", input.line(line));
            node.push(fact.with("syscall", call).with("seconds", seconds).quoting(text));
        }
    }
}

/// ` 95.01   12.345678        1234     10005      4321 futex`
fn row(line: &str) -> Option<impl FnOnce(facts::Origin) -> Fact + use<>> {
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    let (share, seconds, per_call, calls, errors, name) = match words[..] {
        [share, seconds, per_call, calls, name] => (share, seconds, per_call, calls, "0", name),
        [share, seconds, per_call, calls, errors, name] => (share, seconds, per_call, calls, errors, name),
        _ => return None,
    };
    if name == "total" {
        return None;
    }
    let share: f64 = share.parse().ok()?;
    let seconds: f64 = seconds.parse().ok()?;
    let per_call: i64 = per_call.parse().ok()?;
    let calls: i64 = calls.parse().ok()?;
    let errors: i64 = errors.parse().ok()?;
    let name = name.to_owned();
    Some(move |origin| {
        Fact::new("node.syscalls", origin)
            .with("syscall", name)
            .with("share", share)
            .with("seconds", seconds)
            .with("us_per_call", per_call)
            .with("calls", calls)
            .with("errors", errors)
    })
}

/// `[pid 12] 10:22:33.123456 futex(...) = -1 ETIMEDOUT (Connection timed out)`: call and errno.
fn failed(line: &str) -> Option<(String, String)> {
    let (head, rest) = line.rsplit_once(" = -1 E")?;
    let errno: String = rest.chars().take_while(char::is_ascii_alphanumeric).collect();
    let call = match head.find("<... ").and_then(|at| head.get(at + 5..)?.split_once(" resumed")) {
        Some((call, _)) => call,
        None => {
            let before = head.split_once('(')?.0;
            before.rsplit([' ', '\t']).next()?
        }
    };
    let fits = !call.is_empty() && call.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    fits.then(|| (call.to_owned(), format!("E{errno}")))
}

/// `read(9</sys/fs/cgroup/memory/memory.stat>, "cache 5488640\\nrss 6"..., 4096) = 700`: by the name that `strace -y` gives, or
/// by how the file begins (v1, v2).
fn reads_memory_stat(call: &str, line: &str) -> bool {
    let begins = |first: &str, second: &str| {
        let text = line.split_once(first).map(|(_, rest)| rest.trim_start_matches(|c: char| c.is_ascii_digit()));
        text.is_some_and(|rest| rest.starts_with(second))
    };
    matches!(call, "read" | "pread64")
        && (line.contains("/memory.stat>") || begins("\"cache ", "\\nrss ") || begins("\"anon ", "\\nfile "))
}

/// `read(...) = 4096 <9.065000>`: call and seconds of `strace -T`.
fn took(line: &str) -> Option<(String, f64)> {
    let (head, rest) = line.trim_end().strip_suffix('>')?.rsplit_once(" <")?;
    let seconds: f64 = rest.parse().ok()?;
    let before = head.split_once('(')?.0;
    let call = before.rsplit([' ', '\t']).next()?;
    let fits = !call.is_empty() && call.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    (fits && head.contains(" = ")).then(|| (call.to_owned(), seconds))
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_slowest_read_of_memory_stat_is_a_timed_read() {
        let text = "[pid 21] 10:22:33.1 read(9</sys/fs/cgroup/memory/a/memory.stat>, \"cache 1\\nrss 2\\n\"..., 4096) = 699 <1.204001>\n\
            [pid 21] 10:22:35.1 read(11, \"cache 5488640\\nrss 6656\\nrss_h\"..., 4096) = 700 <9.065000>\n\
            [pid 21] 10:22:45.1 read(4, \"cache hit\", 4096) = 9 <0.300000>\n\
            [pid 22] 10:22:45.1 futex(0xc0, FUTEX_WAIT, 0, {tv_sec=1}) = -1 ETIMEDOUT (Connection timed out) <1.000143>\n";
        let (facts, _) = crate::read("kubelet-strace.txt", text.as_bytes());
        let timed: Vec<_> = facts.iter().filter(|f| f.kind == "node.timed_read").collect();
        assert_eq!(timed.len(), 1);
        assert_eq!((timed[0].get("seconds"), timed[0].text("name")), (Some(&9.065.into()), Some("memory.stat")));
    }
}
