//! The CPU line: `CPU: 3 PID: 1835 Comm: x Tainted: G W 4.4.15 #1`, from 2.6 to 7.x.

use crate::cursor::Cursor;
use crate::event::Event;

/// Reads the line if it is one; the first of a report stays.
pub(super) fn read(text: &str, event: &mut Event) -> bool {
    let mut c = Cursor::new(text);
    let (cpu, pid, comm_and_rest);
    if c.take("CPU: ") {
        let Some(n) = c.blanks().number() else { return false };
        cpu = u32::try_from(n).ok();
        let mut uid = c;
        if uid.blanks().take("UID:") {
            uid.blanks().number();
            c = uid;
        }
        if !c.blanks().take("PID:") {
            return false;
        }
        pid = c.blanks().int();
        if !c.blanks().take("Comm: ") {
            return false;
        }
        comm_and_rest = c.rest();
    } else if c.take("Pid: ") {
        cpu = None;
        pid = c.blanks().int();
        if !c.take(", comm: ") {
            return false;
        }
        comm_and_rest = c.blanks().rest();
    } else {
        return false;
    }
    // The name is under its user's control: search from the right.
    let (comm, rest, tainted) = if let Some(at) = comm_and_rest.rfind("Not tainted") {
        (&comm_and_rest[..at], &comm_and_rest[at + "Not tainted".len()..], false)
    } else if let Some(at) = comm_and_rest.rfind("Tainted: ") {
        (&comm_and_rest[..at], &comm_and_rest[at + "Tainted: ".len()..], true)
    } else {
        (comm_and_rest, "", false)
    };
    let comm = comm.trim_end();
    // A line cut by its terminal: the name ends where the next word of the kernel begins.
    let cut = rest.is_empty() && comm.len() == comm_and_rest.trim_end().len();
    let end = [" Kdump:", " Tainted:", " pfn:"].iter().filter_map(|word| comm.find(word)).min();
    let comm = end.filter(|_| cut).map_or(comm, |at| &comm[..at]);
    let comm = comm.strip_suffix("Kdump: loaded").unwrap_or(comm).trim_end();
    if event.taint.is_some() {
        // Of another CPU that was asked for its stack.
        if let Some(stack) = event.stacks.last_mut()
            && stack.frames.is_empty()
            && stack.cpu.is_some()
            && stack.cpu == cpu
        {
            (stack.pid, stack.comm) = (pid, Some(comm.to_owned()).filter(|c| !c.is_empty()));
        }
        return true;
    }
    let comm = Some(comm.to_owned()).filter(|c| !c.is_empty());
    match event.stacks.last_mut().filter(|stack| stack.name.starts_with(super::STOPPED)) {
        Some(stack) => (stack.pid, stack.comm) = (pid, comm),
        None => {
            event.cpu = event.cpu.or(cpu);
            event.pid = event.pid.or(pid);
            event.comm = event.comm.take().or(comm);
        }
    }
    if rest.is_empty() {
        return true;
    }
    let mut release = rest.trim_start();
    let mut letters = String::new();
    if tainted {
        // Letters and dashes up to the release, which begins with a digit.
        let start = release
            .match_indices(|c: char| c.is_ascii_digit())
            .map(|(at, _)| at)
            .find(|at| *at == 0 || release.as_bytes()[at - 1].is_ascii_whitespace());
        let Some(start) = start else {
            event.taint = Some(release.chars().filter(|c| c.is_ascii_alphabetic()).collect());
            return true;
        };
        letters = release[..start].chars().filter(|c| c.is_ascii_alphabetic()).collect();
        release = &release[start..];
    } else {
        release = release.trim_start_matches(['-', ' ']);
    }
    event.taint = Some(letters);
    let mut c = Cursor::new(release);
    let name = c.word();
    if !name.is_empty() {
        event.release = Some(name.trim_start_matches('(').trim_end_matches(')').to_owned());
    }
    true
}

/// `     OE   4.14.154-esos.prod #1`: what a mail program moved from the CPU line to a line of its own.
pub(super) fn read_rest(text: &str, event: &mut Event) -> bool {
    let mut words =
        text.split_ascii_whitespace().skip_while(|w| w.bytes().all(|b| b.is_ascii_uppercase() || b == b'-'));
    let Some(release) = words.next() else { return false };
    let versioned = release.starts_with(|c: char| c.is_ascii_digit()) && release.contains('.');
    if !versioned || !words.next().is_some_and(|build| build.starts_with('#')) {
        return false;
    }
    let letters = text.split_ascii_whitespace().take_while(|w| *w != release).flat_map(str::chars);
    let letters: String = letters.filter(char::is_ascii_alphabetic).collect();
    event.release = Some(release.to_owned());
    event.taint.get_or_insert_default().push_str(&letters);
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Severity;

    #[test]
    fn every_era_is_read() {
        for (text, cpu, pid, comm, taint, release) in [
            (
                "CPU: 3 PID: 1835 Comm: start-stop-daem Not tainted 4.4.15-moby #1",
                Some(3),
                1835,
                "start-stop-daem",
                "",
                "4.4.15-moby",
            ),
            (
                "CPU: 9 PID: 14881 Comm: java Tainted: G    B          ------------ T 3.10.0-327.4.5.el7.x86_64 #1",
                Some(9),
                14881,
                "java",
                "GBT",
                "3.10.0-327.4.5.el7.x86_64",
            ),
            (
                "Pid: 1234, comm: java Not tainted 2.6.32-431.el6.x86_64 #1 v b",
                None,
                1234,
                "java",
                "",
                "2.6.32-431.el6.x86_64",
            ),
            (
                "CPU: 0 PID: 1 Comm: x Kdump: loaded Tainted: G           OE    --------- -  - 4.18.0-240.el8.x86_64 #1",
                Some(0),
                1,
                "x",
                "GOE",
                "4.18.0-240.el8.x86_64",
            ),
            (
                "CPU: 0 UID: 0 PID: 9 Comm: kworker/0:1 Kdump: loaded Tainted: G        W          6.12.0 #1 Debian",
                Some(0),
                9,
                "kworker/0:1",
                "GW",
                "6.12.0",
            ),
            (
                "CPU: 1 PID: 2 Comm: runc:[1:CHILD] Tainted: x Not tainted 4.1.0 #1",
                Some(1),
                2,
                "runc:[1:CHILD] Tainted: x",
                "",
                "4.1.0",
            ),
        ] {
            let mut event = Event::new("x", "warning", Severity::Report);
            assert!(read(text, &mut event), "{text}");
            assert_eq!((event.cpu, event.pid, event.comm.as_deref()), (cpu, Some(pid), Some(comm)), "{text}");
            assert_eq!((event.taint.as_deref(), event.release.as_deref()), (Some(taint), Some(release)), "{text}");
        }
    }
}
