//! The line of a task in a dump of tasks: `task:runc state:D stack:0 pid:77 ppid:1`, `java  D ffff88.. 0 77 1 0x80`.

use crate::cursor::{Cursor, number_after, split};

/// A task as its line names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Task<'a> {
    pub(crate) comm: &'a str,
    pub(crate) pid: Option<i64>,
    /// State letter.
    pub(crate) state: Option<char>,
}

/// Reads the line if it is one.
pub(crate) fn read(text: &str) -> Option<Task<'_>> {
    if let Some(rest) = text.strip_prefix("task:") {
        let (comm, rest) = split(rest, " state:")?;
        return Some(Task { comm: comm.trim_end(), pid: number_after(rest, " pid:"), state: rest.chars().next() });
    }
    // comm, state, then a program counter or `running task`, free stack, pid, parent, flags
    let is_state = |three: &[u8]| three[0] == b' ' && three[2] == b' ' && b"RSDTtXZPIxKW".contains(&three[1]);
    let at = text.as_bytes().windows(3).position(is_state)?;
    let state = char::from(*text.as_bytes().get(at + 1)?);
    let comm = text[..at].trim_end();
    if comm.is_empty() || comm.len() > 64 || comm.ends_with(':') {
        return None;
    }
    let mut c = Cursor::new(&text[at + 2..]);
    c.blanks();
    if !c.take("running task") {
        let mut ahead = c;
        let word = ahead.word();
        if word.len() >= 8 && word.bytes().all(|b| b.is_ascii_hexdigit()) {
            c = ahead;
        }
    }
    // Free stack, pid, parent; then flags.
    c.blanks().number()?;
    let pid = i64::try_from(c.blanks().number()?).ok()?;
    c.blanks().number()?;
    c.blanks().take("0x").then_some(Task { comm, pid: Some(pid), state: Some(state) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_era_is_read() {
        for (text, comm, pid, state) in [
            ("docker          D ffff88203e6b3680     0 102958      1 0x00000080", "docker", 102_958, 'D'),
            ("java            D    0  2609   2606 0x00000000", "java", 2609, 'D'),
            (
                "task:kworker/u4:6    state:D stack:    0 pid:  293 ppid:     2 flags:0x00004000",
                "kworker/u4:6",
                293,
                'D',
            ),
            ("swapper/1       R  running task        0     0      1 0x00000000", "swapper/1", 0, 'R'),
        ] {
            assert_eq!(read(text), Some(Task { comm, pid: Some(pid), state: Some(state) }), "{text}");
        }
        assert_eq!(read("R10: 0000000000000000 R11: 0000000000000246"), None);
    }
}
