//! The marks between pasted files.

/// A line that says which file follows, or which value a file has.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Mark<'t> {
    /// The file or command whose output follows.
    File(&'t str),
    /// The end of a section.
    End,
    /// `path:value` of `grep -r .`
    Value(&'t str, &'t str),
    /// A directory in a listing of directories.
    Directory(&'t str),
}

pub(super) fn of(line: &str) -> Option<Mark<'_>> {
    let trimmed = line.trim();
    // Nearly every line of a long text is none: its first byte settles that.
    let first = *trimmed.as_bytes().first()?;
    if first == b'='
        && let Some(path) = trimmed.strip_prefix("==> ").and_then(|l| l.strip_suffix(" <=="))
    {
        return Some(Mark::File(path));
    }
    // supportconfig: `#==[ Command ]======#`, then `# /bin/cat /proc/meminfo`.
    if line.starts_with("#==[") {
        return Some(Mark::End);
    }
    if let Some(mark) = refused(trimmed) {
        return Some(mark);
    }
    if let Some(mark) = prompt(line) {
        return Some(mark);
    }
    if trimmed.starts_with("/sys/fs/cgroup") || trimmed.starts_with("./") || trimmed.starts_with("/proc/") {
        return path_line(trimmed);
    }
    // grep -r . without a leading slash
    if matches!(first, b'm' | b'k' | b'd')
        && (trimmed.starts_with("memory.") || trimmed.starts_with("kubepods") || trimmed.starts_with("docker/"))
        && let Some(mark @ Mark::Value(..)) = path_line(trimmed)
    {
        return Some(mark);
    }
    // systemd and shells: `--- /proc/meminfo ---`, `### /proc/slabinfo`, `[/proc/cgroups]`, `/proc/meminfo:`
    let last = trimmed.as_bytes().last().copied().unwrap_or_default();
    if !b"-=#*[] :".contains(&first) && !b"-=#*[] :".contains(&last) {
        return None;
    }
    let framed = trimmed.trim_matches(['-', '=', '#', '*', '[', ']', ' ', ':']);
    if framed.len() < trimmed.len() && is_file(framed) && (framed.starts_with("/proc/") || framed.starts_with("/sys/"))
    {
        return Some(Mark::File(framed));
    }
    None
}

fn path_line(line: &str) -> Option<Mark<'_>> {
    let end = line.find([':', ' ', '\t']).unwrap_or(line.len());
    let path = line.get(..end)?;
    let rest = line.get(end..)?;
    match rest.strip_prefix(':') {
        Some("") => Some(Mark::File(path)),
        Some(value) if !path.is_empty() => Some(Mark::Value(path, value)),
        _ if rest.trim().is_empty() && is_control_file(path) => Some(Mark::File(path)),
        _ if rest.trim().is_empty() && path.contains("sys/fs/cgroup/") => Some(Mark::Directory(path)),
        _ => None,
    }
}

fn is_control_file(path: &str) -> bool {
    path.starts_with("/proc/") || crate::cgroup::File::is(path)
}

/// `[root@node1 ~]# cat /proc/meminfo`, `$ cat memory.stat`, `# /bin/cat /proc/slabinfo`, `root@node:~# time cat x`.
fn prompt(line: &str) -> Option<Mark<'_>> {
    let command = command(line)?;
    let mut words = command.split_ascii_whitespace().peekable();
    while let Some(word) = words.peek() {
        let word = word.rsplit('/').next().unwrap_or(word);
        if matches!(word, "sudo" | "time" | "timeout" | "nice") {
            words.next();
        } else {
            break;
        }
    }
    let program = words.next()?;
    let program = program.rsplit('/').next().unwrap_or(program);
    let argument =
        words.find(|w| !w.starts_with('-') && !w.starts_with('|') && !w.starts_with('>') && !w.starts_with('<'));
    match (program, argument) {
        ("cat" | "head" | "tail" | "less" | "more", Some(path)) => Some(Mark::File(path)),
        // `find /sys/fs/cgroup/memory -type d | wc -l`
        ("find", Some(path)) if path.contains("sys/fs/cgroup") && counts_directories(command) => {
            Some(Mark::File(match path.trim_end_matches('/').ends_with("memory") {
                true => "memory-cgroup-directories",
                false if path.trim_end_matches('/').ends_with("sys/fs/cgroup") => "cgroup-directories",
                false => return Some(Mark::End),
            }))
        }
        ("find", Some(path)) if path.contains("crash") && command.split_ascii_whitespace().count() == 2 => {
            Some(Mark::File("find-var-crash"))
        }
        ("grep" | "egrep" | "awk", _) if command.contains("/proc/cgroups") && !command.contains("print") => {
            Some(Mark::File("proc/cgroups"))
        }
        ("uname", _) if command.trim_end().ends_with("-r") => Some(Mark::File("proc/sys/kernel/osrelease")),
        ("uname", _) => Some(Mark::File("systeminfo/uname")),
        ("hostname", None) => Some(Mark::File("hostname")),
        ("slabtop", _) => Some(Mark::File("slabtop")),
        ("last", _) => Some(Mark::File("last")),
        ("dpkg", _) => Some(Mark::File("installed-debs")),
        ("rpm", _) => Some(Mark::File("installed-rpms")),
        ("sysctl", _) => Some(Mark::File("sysctl-a")),
        ("ls", Some(path)) if path.trim_end_matches('/').ends_with("sys/kernel/slab") && !command.contains("wc -l") => {
            Some(Mark::File("sys-slab-ls"))
        }
        ("ls", Some(path)) if path.trim_end_matches('/').ends_with("sys/kernel/slab") => Some(Mark::File("slab-count")),
        _ => Some(Mark::End),
    }
}

fn counts_directories(command: &str) -> bool {
    command.contains("-type d") && command.trim_end().ends_with("wc -l") && !command.contains("-maxdepth")
}

/// `grep: ./a/memory.kmem.slabinfo: Input/output error`: the answer of a file that could not be read.
fn refused(line: &str) -> Option<Mark<'_>> {
    let rest = line.strip_prefix("grep: ").or_else(|| line.strip_prefix("cat: "))?;
    let (path, error) = rest.split_once(": ")?;
    let path = path.trim_matches(['\'', '\u{2018}', '\u{2019}']);
    let fits = path.contains('/') && crate::text::errno(error).is_some() && crate::cgroup::File::is(path);
    fits.then_some(Mark::Value(path, error))
}

/// The command behind a shell prompt.
pub(super) fn command(line: &str) -> Option<&str> {
    let line = line.trim_end();
    if let Some(rest) = line.strip_prefix("# ").or_else(|| line.strip_prefix("$ ")) {
        // `# comment` in a configuration file is no command: a program or a path has to follow.
        const PROGRAMS: &[&str] = &[
            "cat", "time", "sudo", "uname", "hostname", "slabtop", "last", "dpkg", "rpm", "sysctl", "ls", "strace",
            "perf", "find", "grep", "head", "tail", "echo", "dmesg", "ps", "top", "crash", "awk", "docker", "kubectl",
        ];
        let first = rest.split_ascii_whitespace().next()?;
        let program = first.rsplit('/').next().unwrap_or(first);
        return PROGRAMS.contains(&program).then_some(rest);
    }
    let bytes = line.as_bytes();
    let end = memchr::memchr2(b'#', b'$', bytes.get(..100).unwrap_or(bytes)).filter(|end| *end > 0)?;
    let (head, rest) = (line.get(..end)?, line.get(end + 1..)?);
    let rest = rest.strip_prefix(' ')?;
    let prompt = head.starts_with('[') && head.trim_end().ends_with(']') && head.contains('@')
        || head.contains('@') && head.contains(':') && !head.contains(char::is_whitespace);
    prompt.then_some(rest)
}

fn is_file(path: &str) -> bool {
    !path.contains(char::is_whitespace) && path.len() > 6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_of_tools_and_people_are_known() {
        assert_eq!(of("==> ./memory.stat <=="), Some(Mark::File("./memory.stat")));
        assert_eq!(of("[root@node1 ~]# cat /proc/meminfo"), Some(Mark::File("/proc/meminfo")));
        assert_eq!(of("root@n:~# time cat memory.stat > /dev/null"), Some(Mark::File("memory.stat")));
        assert_eq!(of("# /bin/cat /proc/slabinfo"), Some(Mark::File("/proc/slabinfo")));
        assert_eq!(of("#==[ Command ]=====#"), Some(Mark::End));
        assert_eq!(of("./a/memory.failcnt:12"), Some(Mark::Value("./a/memory.failcnt", "12")));
        assert_eq!(
            of("grep: ./a/memory.kmem.slabinfo: Input/output error"),
            Some(Mark::Value("./a/memory.kmem.slabinfo", "Input/output error"))
        );
        assert_eq!(of("cat: memory.kmem.slabinfo: Input/output error"), None, "it names no place");
        assert_eq!(of("cat: ./notes: No such file or directory"), None);
        assert_eq!(
            of("[root@n ~]# find /sys/fs/cgroup/memory -type d | wc -l"),
            Some(Mark::File("memory-cgroup-directories"))
        );
        assert_eq!(of("[root@n ~]# find /sys/fs/cgroup/memory/kubepods -type d | wc -l"), Some(Mark::End));
        assert_eq!(of("[root@n ~]# grep memory /proc/cgroups"), Some(Mark::File("proc/cgroups")));
        assert_eq!(
            of("/sys/fs/cgroup/memory/a/memory.failcnt"),
            Some(Mark::File("/sys/fs/cgroup/memory/a/memory.failcnt"))
        );
        assert_eq!(of("/sys/fs/cgroup/memory/kubepods"), Some(Mark::Directory("/sys/fs/cgroup/memory/kubepods")));
        assert_eq!(of("--- /proc/cgroups ---"), Some(Mark::File("/proc/cgroups")));
        for line in
            ["# set this to 1", "cache 123", "[ 12.3] BUG: x", "", "a@b: # c", "# name            <active_objs>"]
        {
            assert_eq!(of(line), None, "{line}");
        }
    }
}
