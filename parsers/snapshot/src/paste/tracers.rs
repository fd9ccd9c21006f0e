//! perf-tools' funcslower, opensnoop, and sysstat's pidstat.

use std::collections::BTreeMap;

use facts::Fact;

use crate::node::{Input, Node};
use crate::text::quote;

/// ` 0) ! 8147.120 us |  } /* mem_cgroup_stat_show */`, with `-Pt` also time, task and pid in front.
pub(super) fn funcslower(node: &mut Node, input: &Input<'_>) {
    let mut slow: BTreeMap<&str, (i64, f64, usize, &str)> = BTreeMap::new();
    for (i, line) in input.text.lines().enumerate() {
        let Some((head, tail)) = line.split_once(" us ") else { continue };
        let Some((_, name)) = tail.split_once("/* ") else { continue };
        let Some((name, _)) = name.split_once(" */") else { continue };
        let Some(us) = head.split_ascii_whitespace().last().and_then(|w| w.parse::<f64>().ok()) else { continue };
        if slow.len() >= 1000 && !slow.contains_key(name) {
            continue;
        }
        let entry = slow.entry(name).or_insert((0, 0.0, i, line));
        entry.0 += 1;
        if us > entry.1 {
            (entry.1, entry.2, entry.3) = (us, i, line);
        }
    }
    for (function, (count, us, line, text)) in slow {
        node.push(
            Fact::new("node.latency", input.line(line))
                .with("function", function)
                .with("count", count)
                .with("max_us", us)
                .quoting(quote(text)),
        );
    }
}

/// `COMM             PID      FD FILE` and bcc's `PID    COMM               FD ERR PATH`.
pub(super) fn opensnoop(node: &mut Node, input: &Input<'_>) {
    let mut columns: Option<(usize, usize)> = None;
    let mut opens: BTreeMap<(&str, &str), (i64, usize)> = BTreeMap::new();
    for (i, line) in input.text.lines().enumerate() {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        columns = match words[..] {
            ["COMM", "PID", "FD", "FILE"] => Some((0, 3)),
            ["PID", "COMM", "FD", "ERR", "PATH"] => Some((1, 4)),
            _ => columns,
        };
        let Some((comm, file)) = columns else { continue };
        let (Some(comm), Some(file)) = (words.get(comm), words.get(file)) else { continue };
        if file.starts_with('/') && opens.len() < 100_000 {
            opens.entry((comm, file)).or_insert((0, i)).0 += 1;
        }
    }
    let mut rows: Vec<_> = opens.into_iter().collect();
    rows.sort_by(|a, b| b.1.0.cmp(&a.1.0).then(a.0.cmp(&b.0)));
    for ((comm, file), (count, line)) in rows.into_iter().take(10) {
        let fact = Fact::new("node.opens", input.line(line)).with("comm", comm).with("file", file).with("count", count);
        node.push(fact.quoting(format!("{comm} opened {file} {count} times")));
    }
}

/// `HH:MM:SS   UID   PID    %usr %system  %guest  %wait  %CPU  CPU  Command`: the busiest tasks.
pub(super) fn pidstat(node: &mut Node, input: &Input<'_>) {
    let mut header: Option<Vec<&str>> = None;
    let mut best: BTreeMap<&str, (f64, Fact)> = BTreeMap::new();
    for (i, line) in input.text.lines().enumerate() {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        if words.contains(&"%usr") && words.contains(&"%system") && words.contains(&"PID") {
            header = Some(words);
            continue;
        }
        let Some(names) = &header else { continue };
        if words.len() < names.len() {
            continue;
        }
        let value = |name: &str| names.iter().position(|n| *n == name).and_then(|at| words.get(at)).copied();
        let (Some(usr), Some(system)) = (value("%usr"), value("%system")) else { continue };
        let (Ok(usr), Ok(system)) = (usr.replace(',', ".").parse::<f64>(), system.replace(',', ".").parse::<f64>())
        else {
            continue;
        };
        let (Some(pid), Some(command)) = (value("PID"), words.get(names.len() - 1)) else { continue };
        let sum = usr + system;
        if sum < 20.0 || best.len() >= 1000 {
            continue;
        }
        let fact = Fact::new("node.cpu_use", input.line(i))
            .with("command", *command)
            .with_opt("pid", pid.parse::<i64>().ok())
            .with("user_share", usr)
            .with("system_share", system)
            .quoting(quote(line));
        if best.get(command).is_none_or(|(s, _)| sum > *s) {
            best.insert(command, (sum, fact));
        }
    }
    for (_, (_, fact)) in best {
        node.push(fact);
    }
}
