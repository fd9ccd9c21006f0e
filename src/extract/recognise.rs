//! What a member is, told from its name or its first bytes where no layout says it.

use std::sync::LazyLock;

use regex_automata::meta::Regex;

/// Whether text has lines with the kernel's time stamps.
pub(super) fn looks_like_kernel_text(head: &[u8]) -> bool {
    let stamped = |line: &[u8]| {
        let line =
            line.strip_prefix(b"<").map_or(line, |rest| rest.splitn(2, |b| *b == b'>').nth(1).unwrap_or_default());
        let Some(rest) = line.strip_prefix(b"[") else { return false };
        let stamp: Vec<u8> = rest.iter().copied().take_while(|b| *b != b']').take(24).collect();
        stamp.contains(&b'.') && stamp.iter().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b' '))
    };
    head.split(|b| *b == b'\n').filter(|line| stamped(line)).count() >= 3
}

/// Texts at which pasted files and tool outputs begin.
static PASTED: LazyLock<Option<Regex>> = LazyLock::new(|| {
    const WORDS: [&str; 22] = [
        "==> ",
        "#==\\[",
        "\n# [a-z/]",
        "\n\\$ ",
        "\\][#$] ",
        "~[#$] ",
        "/sys/fs/cgroup",
        "kubepods",
        "memory\\.[a-z]+[_.:]",
        "/proc/[0-9]+/stack",
        "/proc/(slabinfo|cgroups|meminfo|vmstat|modules)",
        "% time ",
        "OBJS ACTIVE",
        "\nreal\t",
        "# Overhead",
        "Samples:",
        "flat%",
        "COMMAND: \"",
        "PID +PPID",
        "OBJSIZE",
        "\n#0  ",
        "<... ",
    ];
    Regex::new(&WORDS.join("|")).ok()
});

/// Whether a long text is a log and nothing else: most lines have stamps from the start, and nothing of what people
/// paste stands in it. Readers of pasted output need not look at it then.
pub(super) fn is_plain_log(head: &[u8], bytes: &[u8]) -> bool {
    const LONG: usize = 32 << 10;
    if bytes.len() <= LONG {
        return false;
    }
    let stamped = |line: &&[u8]| {
        let digits = line.iter().take(40).filter(|b| b.is_ascii_digit()).count();
        let colons = line.iter().take(40).filter(|b| **b == b':').count();
        digits >= 6 && (colons >= 2 || line.starts_with(b"[") || line.starts_with(b"<"))
    };
    let end = head.iter().rposition(|b| *b == b'\n').unwrap_or(0);
    let lines = || head.get(..end).unwrap_or_default().split(|b| *b == b'\n').filter(|l| !l.is_empty());
    // Frames and registers of a console without stamps stand between those that have them.
    let with_stamps = lines().filter(stamped).count();
    with_stamps > 0 && 2 * with_stamps >= lines().count() && PASTED.as_ref().is_some_and(|words| !words.is_match(bytes))
}

/// Names under which kernel logs reach a support desk.
pub(super) fn looks_like_log(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path).to_ascii_lowercase();
    const WORDS: [&str; 14] = [
        "dmesg",
        "messages",
        "syslog",
        "kern.log",
        "kernel.log",
        "console",
        "journal",
        "oops",
        "panic",
        "crash",
        "netconsole",
        "boot.msg",
        "warn",
        ".log",
    ];
    WORDS.iter().any(|word| name.contains(word))
}

/// Names under which dumps lie.
pub(super) fn looks_like_dump(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path).to_ascii_lowercase();
    ["vmcore", "dump", ".elf", "core"].iter().any(|word| name.contains(word))
}
