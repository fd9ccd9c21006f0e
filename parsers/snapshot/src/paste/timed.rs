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
        let mut words = line.split_ascii_whitespace();
        match (words.next(), words.next(), words.next()) {
            (Some("real"), Some(value), None) if command.as_ref().is_some_and(|(at, _)| i - at <= REACH) => {
                if let Some(seconds) = duration(value) {
                    real = Some((i, seconds, quote(line)));
                }
            }
            (Some("user"), Some(value), None) if real.is_some() => user = duration(value),
            (Some("sys"), Some(value), None) if real.is_some() => {
                emit(node, input, command.take().as_ref(), real.take(), user.take(), duration(value));
            }
            _ => {}
        }
    }
    emit(node, input, command.as_ref(), real, user, None);
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
