//! Texts that hold several files, a mark before each, as supportconfig writes them: `#==[ Log File ]====#`, then
//! `# /var/log/messages`, then its lines.

use super::layouts::{self, Role};

/// One file or one command's output.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Section<'t> {
    /// The path or the command line.
    pub(super) target: String,
    /// Lines of the whole text before its first one.
    pub(super) before: u64,
    pub(super) text: &'t [u8],
}

/// Takes a text apart; none when it has no marks.
pub(super) fn split(text: &[u8]) -> Vec<Section<'_>> {
    let mut sections: Vec<Section<'_>> = Vec::new();
    let mut open: Option<(String, u64, usize)> = None;
    let (mut at, mut marked) = (0, false);
    for (number, line) in text.split_inclusive(|b| *b == b'\n').enumerate() {
        let start = at;
        at += line.len();
        if line.starts_with(b"#==[") {
            close(&mut sections, open.take(), text, start);
            marked = true;
        } else if std::mem::take(&mut marked)
            && let Some(target) = line.strip_prefix(b"# ")
        {
            open = Some((String::from_utf8_lossy(target).trim().to_owned(), number as u64 + 1, at));
        }
    }
    close(&mut sections, open, text, text.len());
    sections
}

fn close<'t>(sections: &mut Vec<Section<'t>>, open: Option<(String, u64, usize)>, text: &'t [u8], end: usize) {
    let Some((target, before, start)) = open else { return };
    sections.push(Section { target, before, text: text.get(start..end).unwrap_or_default() });
}

/// Which log a section holds, if any: its role, and whether it is what `dmesg` printed when the report was made.
pub(super) fn log(target: &str) -> Option<(Role, bool)> {
    if target.ends_with("File not found") {
        return None;
    }
    // `/var/log/messages - Last 5000 Lines`
    let target = target.split(" - Last ").next()?;
    let mut words = target.split_ascii_whitespace();
    let first = words.next()?;
    match first.rsplit('/').next()? {
        "dmesg" => return Some((Role::KernelLog, true)),
        "journalctl" => {
            let about = ["--list-boot", "--disk-usage", "--header", "--verify", "--fields"];
            return (!about.iter().any(|option| target.contains(option))).then_some((Role::NodeLog, false));
        }
        _ => {}
    }
    if !first.starts_with('/') || words.next().is_some() {
        return None;
    }
    match layouts::role(first) {
        Some(role @ (Role::KernelLog | Role::NodeLog | Role::CaptureLog)) => Some((role, false)),
        _ => first.starts_with("/var/log/").then_some((Role::NodeLog, false)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_are_told_apart_with_their_lines() {
        let text = b"head\n#==[ Command ]====#\n# /bin/uname -a\nLinux n1\n\n#==[ Verification ]==#\nno target\n\
            #==[ Log File ]==#\n# /var/log/warn - Last 2 Lines\na\nb\n";
        let told: Vec<_> = split(text).into_iter().map(|s| (s.target, s.before, s.text)).collect();
        assert_eq!(
            told,
            [
                ("/bin/uname -a".to_owned(), 3, &b"Linux n1\n\n"[..]),
                ("/var/log/warn - Last 2 Lines".to_owned(), 9, &b"a\nb\n"[..]),
            ]
        );
        assert!(split(b"a log\nof lines\n").is_empty());
    }

    #[test]
    fn logs_are_told_from_other_sections() {
        for (target, role) in [
            ("/usr/bin/dmesg -T", Some((Role::KernelLog, true))),
            ("/usr/bin/journalctl --no-pager --boot=0 --output=short-iso", Some((Role::NodeLog, false))),
            ("/usr/bin/journalctl --no-pager --list-boot", None),
            ("/var/log/messages", Some((Role::NodeLog, false))),
            ("/var/log/localmessages - Last 500 Lines", Some((Role::NodeLog, false))),
            ("/var/crash/2024-01-05-10:11/vmcore-dmesg.txt", Some((Role::KernelLog, false))),
            ("/var/crash/2024-01-05-10:11/kexec-dmesg.log", Some((Role::CaptureLog, false))),
            ("/var/log/kdump.log", Some((Role::CaptureLog, false))),
            ("/var/log/boot.log - File not found", None),
            ("/etc/kdump.conf", None),
            ("/bin/find /var/crash/", None),
        ] {
            assert_eq!(log(target), role, "{target}");
        }
    }
}
