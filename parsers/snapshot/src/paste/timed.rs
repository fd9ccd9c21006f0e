//! `time cat memory.stat`: how long one read of a file took.

use facts::Fact;

use super::marks;
use crate::node::{Input, Node};
use crate::text::{duration, quote};

/// Lines between the command and its `real` line that are still believed to belong together.
const REACH: usize = 400;

pub(super) fn read(node: &mut Node, input: &Input<'_>) {
    let mut command: Option<(usize, String)> = None;
    let mut real: Option<(usize, f64, String)> = None;
    let mut user = None;
    let lines: Vec<&str> = input.text.lines().collect();
    for (i, line) in lines.iter().enumerate() {
        if let Some(text) = timed_command(line) {
            emit(node, input, command.as_ref(), real.take(), user.take(), None);
            command = Some((i, text.to_owned()));
            continue;
        }
        let near = command.as_ref().is_some_and(|(at, _)| i - at <= REACH);
        if near && let Some((seconds, user, sys)) = one_line(line) {
            let real = Some((i, seconds, quote(line)));
            emit(node, input, command.take().as_ref(), real, Some(user), Some(sys));
            continue;
        }
        let Some((what, value)) = row(line) else { continue };
        match what {
            "real" if near => real = Some((i, value, quote(line))),
            "user" if real.is_some() => user = Some(value),
            "sys" if real.is_some() => {
                emit(node, input, command.take().as_ref(), real.take(), user.take(), Some(value));
            }
            _ => {}
        }
    }
    emit(node, input, command.as_ref(), real, user, None);
}

/// `real\t0m9.065s` of bash, `real 9.06` of POSIX, `real\t0m 9.06s` of busybox.
fn row(line: &str) -> Option<(&str, f64)> {
    let (what, value) = line.trim().split_once(char::is_whitespace)?;
    if !matches!(what, "real" | "user" | "sys") {
        return None;
    }
    let value: String = value.split_ascii_whitespace().collect();
    Some((what, duration(&value)?))
}

/// Elapsed, user and system seconds in one line: `0.00user 9.06system 0:09.07elapsed 99%CPU` of GNU time, and zsh's
/// `cat memory.stat  0.00s user 9.06s system 99% cpu 9.071 total`.
fn one_line(line: &str) -> Option<(f64, f64, f64)> {
    let words: Vec<&str> = line.split_ascii_whitespace().take(32).collect();
    let clock = |text: &str| -> Option<f64> {
        text.split(':').try_fold(0.0, |sum, part| Some(sum * 60.0 + part.parse::<f64>().ok().filter(|n| *n >= 0.0)?))
    };
    if let [user, system, elapsed, ..] = words[..]
        && let (Some(user), Some(system), Some(elapsed)) =
            (user.strip_suffix("user"), system.strip_suffix("system"), elapsed.strip_suffix("elapsed"))
    {
        return Some((clock(elapsed)?, clock(user)?, clock(system)?));
    }
    if let [.., user, "user", system, "system", _, "cpu", total, "total"] = words[..] {
        return Some((clock(total)?, clock(user.strip_suffix('s')?)?, clock(system.strip_suffix('s')?)?));
    }
    None
}

/// The command of a line that measures it: behind a prompt, or bare.
fn timed_command(line: &str) -> Option<&str> {
    let command = marks::command(line).unwrap_or(line.trim());
    let rest = command.strip_prefix("sudo ").unwrap_or(command);
    let rest = rest.strip_prefix("time ").or_else(|| rest.strip_prefix("/usr/bin/time "))?;
    Some(rest.trim())
}

fn emit(
    node: &mut Node,
    input: &Input<'_>,
    command: Option<&(usize, String)>,
    real: Option<(usize, f64, String)>,
    user: Option<f64>,
    sys: Option<f64>,
) {
    let (Some((_, command)), Some((line, seconds, text))) = (command, real) else { return };
    let mut words = command.split_ascii_whitespace().skip_while(|w| *w == "sudo" || w.starts_with('-'));
    let program = words.next().unwrap_or_default();
    if !matches!(program.rsplit('/').next(), Some("cat" | "head" | "dd" | "grep" | "find" | "ls")) {
        return;
    }
    let Some(file) = words.find(|w| !w.starts_with('-') && !w.starts_with(['>', '<', '|'])) else { return };
    node.push(
        Fact::new("node.timed_read", input.line(line))
            .with("file", file)
            .with("name", file.rsplit('/').next().unwrap_or(file))
            .with("seconds", seconds)
            .with_opt("user_seconds", user)
            .with_opt("sys_seconds", sys)
            .with_opt("sys_share", sys.filter(|_| seconds > 0.0).map(|s| s * 100.0 / seconds))
            .quoting(format!("{command}: {text}")),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shells_time_is_read() {
        assert_eq!(row("real\t0m9.065s"), Some(("real", 9.065)));
        assert_eq!(row("sys\t0m 9.06s"), Some(("sys", 9.06)));
        assert_eq!(row("real 1m0,500s"), Some(("real", 60.5)));
        assert_eq!(row("real\t9.06"), Some(("real", 9.06)));
        assert_eq!(row("real estate 9"), None);
        assert_eq!(one_line("0.00user 9.06system 0:09.07elapsed 99%CPU (0avgtext+0avgdata"), Some((9.07, 0.0, 9.06)));
        assert_eq!(
            one_line("cat memory.stat > /dev/null  0.00s user 9.06s system 99% cpu 9.071 total"),
            Some((9.071, 0.0, 9.06))
        );
        assert_eq!(one_line("0user x 1elapsed"), None);
    }
}
