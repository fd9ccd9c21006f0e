//! perf-tools' funcslower, opensnoop, and sysstat's pidstat.

use std::collections::BTreeMap;

use facts::Fact;

use crate::node::{Input, Node};
use crate::text::quote;

/// ` 0) ! 8147.120 us |  } /* mem_cgroup_stat_show */` of perf-tools, with `-Pt` also time, task and pid in front, and the
/// table of bcc: `COMM  PID  LAT(ms)  RVAL FUNC`, then `kubelet 1545 9064.23 44b memcg_stat_show`.
pub(super) fn funcslower(node: &mut Node, input: &Input<'_>) {
    let mut slow: BTreeMap<&str, (i64, f64, usize, &str)> = BTreeMap::new();
    // Microseconds in the unit of bcc's table.
    let mut unit = None;
    for (i, line) in input.text.lines().enumerate() {
        if line.contains("COMM ") && line.contains(" RVAL FUNC") {
            unit = if line.contains(" LAT(ms)") { Some(1000.0) } else { Some(1.0) };
            continue;
        }
        let Some((name, us)) = of_ftrace(line).or_else(|| of_bcc(line, unit?)) else { continue };
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

fn of_ftrace(line: &str) -> Option<(&str, f64)> {
    let (head, tail) = line.split_once(" us ")?;
    let (name, _) = tail.split_once("/* ")?.1.split_once(" */")?;
    Some((name, head.split_ascii_whitespace().last()?.parse().ok()?))
}

/// Columns from the pid on: the name of a command may have blanks.
fn of_bcc(line: &str, unit: f64) -> Option<(&str, f64)> {
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    let at = (1..words.len().saturating_sub(3)).find(|at| {
        let word = |n: usize| words.get(at + n).copied().unwrap_or_default();
        word(0).bytes().all(|b| b.is_ascii_digit()) && word(1).contains('.') && word(1).parse::<f64>().is_ok()
    })?;
    u64::from_str_radix(words.get(at + 2)?, 16).ok()?;
    let latency: f64 = words.get(at + 1)?.parse().ok()?;
    Some((words.get(at + 3)?, latency * unit))
}

/// `COMM             PID      FD FILE` and bcc's `PID    COMM               FD ERR PATH`.
pub(super) fn opensnoop(node: &mut Node, input: &Input<'_>) {
    let mut columns: Option<(usize, usize)> = None;
    let mut opens: BTreeMap<(&str, &str), (i64, usize)> = BTreeMap::new();
    for (i, line) in input.text.lines().enumerate() {
        if columns.is_none() && !line.contains("COMM") {
            continue;
        }
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
        // With -h the header begins with `# Time`; clocks of twelve hours are two words.
        let of_clock = |(at, word): &(usize, &str)| *at < 2 && matches!(*word, "#" | "AM" | "PM");
        let words = line.split_ascii_whitespace().enumerate().filter(|word| !of_clock(word));
        let words: Vec<&str> = words.map(|(_, word)| word).collect();
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

#[cfg(test)]
mod tests {
    fn told(text: &str, kind: &str, name: &str) -> Vec<(String, f64)> {
        let (facts, _) = crate::read("paste.txt", text.as_bytes());
        let number = |f: &facts::Fact| match f.get(name) {
            Some(facts::Value::Float(n)) => *n,
            _ => f64::NAN,
        };
        let who = |f: &facts::Fact| f.text("function").or_else(|| f.text("command")).unwrap_or_default().to_owned();
        facts.iter().filter(|f| f.kind == kind).map(|f| (who(f), number(f))).collect()
    }

    #[test]
    fn both_funcslower_are_read() {
        let perf_tools = "# ./funcslower -Pt memcg_stat_show 200000\n\
            2678112.003180 |   0)  kubelet-1545   | ! 9064231.120 us |  } /* memcg_stat_show */\n";
        let bcc = "Tracing function calls slower than 200 ms... Ctrl+C to quit.\n\
            TIME       COMM           PID    LAT(ms)             RVAL FUNC\n\
            0.000000   kubelet        1545   9064.23              44b memcg_stat_show \n\
            9.100000   Web Content    15451  9011.00 ffffffffffffffff memcg_stat_show \n";
        assert_eq!(told(perf_tools, "node.latency", "max_us"), [("memcg_stat_show".to_owned(), 9_064_231.12)]);
        assert_eq!(told(bcc, "node.latency", "max_us"), [("memcg_stat_show".to_owned(), 9_064_230.0)]);
    }

    #[test]
    fn pidstat_is_read_with_every_header() {
        for text in [
            "20:51:09      UID       PID    %usr %system  %guest   %wait    %CPU   CPU  Command\n\
             20:51:10        0       346   42.57    0.00    0.00    0.00   42.57     1  kubelet\n",
            "# Time        UID       PID    %usr %system  %guest   %wait    %CPU   CPU  Command\n\
             20:51:10        0       346   42.57    0.00    0.00    0.00   42.57     1  kubelet\n",
            "08:51:09 PM   UID       PID    %usr %system  %guest    %CPU   CPU  Command\n\
             08:51:10 PM     0       346   42.57    0.00    0.00   42.57     1  kubelet\n",
        ] {
            assert_eq!(told(text, "node.cpu_use", "user_share"), [("kubelet".to_owned(), 42.57)], "{text}");
        }
    }
}
