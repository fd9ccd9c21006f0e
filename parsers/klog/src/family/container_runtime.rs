//! What container runtimes and the kubelet say when the kernel refuses them a cgroup, memory or a process.

use facts::FieldType;

use super::{Before, Family, From, Opened, field, kind, no_body, no_finish};
use crate::cursor::has;
use crate::event::{Event, Severity};
use crate::{Line, class};

pub(super) static CGROUP_ENOSPC: Family = Family {
    name: "cgroup_enospc",
    anchors: CGROUP_DIRECTORY,
    from: From::Anybody,
    open: open_enospc,
    body: no_body,
    finish: no_finish,
    kind: kind(
        "log.cgroup_enospc",
        "A cgroup could not be made: no space left on device, that is, the ids of its controller are used up",
        &[
            field("path", FieldType::Text, "", "directory of the cgroup"),
            field("controller", FieldType::Text, "", "first directory below /sys/fs/cgroup: memory, cpuset, ..."),
            field("program", FieldType::Text, "", "who says so"),
        ],
    ),
};

pub(super) static RUNTIME_ERROR: Family = Family {
    name: "runtime_error",
    anchors: &[
        "annot allocate memory",
        "esource temporarily unavailable",
        "failed to create new OS thread",
        "kernel memory accounting disabled in this runc build",
        "memory.kmem.",
        "write /sys/fs/cgroup/",
    ],
    from: From::Anybody,
    open: open_runtime_error,
    body: no_body,
    finish: no_finish,
    kind: kind(
        "log.runtime_error",
        "A container runtime or the kubelet was refused something by the kernel",
        &[
            field("program", FieldType::Text, "", "who says so"),
            field("what", FieldType::Text, "", "mkdir, write, open, fork/exec, clone, kmem-accounting"),
            field("path", FieldType::Text, "", "file or directory"),
            field("errno", FieldType::Text, "", "ENOMEM, EAGAIN, ENOSPC, EBUSY, ENOENT, EINVAL, EIO"),
        ],
    ),
};

pub(super) static KMEM_LIMIT: Family = Family {
    name: "kmem_limit_warning",
    anchors: &["kernel memory limit on a kernel older than", "kmem.limit_in_bytes is deprecated"],
    from: From::Anybody,
    open: open_kmem_limit,
    body: no_body,
    finish: no_finish,
    kind: kind(
        "log.kmem_limit_warning",
        "Somebody sets a kernel-memory limit for a container, which switches the accounting on",
        &[
            field("program", FieldType::Text, "", "who says so"),
            field("what", FieldType::Text, "", "old-kernel (docker's warning) or deprecated (the kernel's)"),
        ],
    ),
};

const CGROUP_DIRECTORY: &[&str] = &[
    "mkdir /sys/fs/cgroup/",
    "mkdir /cgroup/",
    "directory '/sys/fs/cgroup/",
    "directory ‘/sys/fs/cgroup/",
    "directory /sys/fs/cgroup/",
];

/// Programs whose refusals belong to the kernel's bugs; a compiler that runs out of memory does not.
const PROGRAMS: &[&str] =
    &["kubelet", "containerd", "dockerd", "docker", "runc", "crio", "crun", "podman", "conmon", "hyperkube", "rkt"];

const ERRNOS: &[(&str, &str)] = &[
    ("no space left on device", "ENOSPC"),
    ("cannot allocate memory", "ENOMEM"),
    ("resource temporarily unavailable", "EAGAIN"),
    ("device or resource busy", "EBUSY"),
    ("no such file or directory", "ENOENT"),
    ("invalid argument", "EINVAL"),
    ("input/output error", "EIO"),
];

fn open_enospc(line: &Line<'_>, _: Before<'_>) -> Option<Opened> {
    let text = line.text();
    let (path, tail) = cgroup_directory(text)?;
    if errno(tail)? != "ENOSPC" {
        return None;
    }
    let controller = path.trim_start_matches("/sys/fs").trim_start_matches("/cgroup/").split('/').next().unwrap_or("");
    Opened::line(
        Event::new(CGROUP_ENOSPC.name, class::RESOURCE_EXHAUSTION, Severity::Failure)
            .titled(format!("no space left on device for a {controller} cgroup"))
            .with("path", path)
            .with("controller", controller)
            .with_opt("program", program(line)),
    )
}

fn open_runtime_error(line: &Line<'_>, _: Before<'_>) -> Option<Opened> {
    let text = line.text();
    let program = program(line);
    let event =
        |class, severity| Event::new(RUNTIME_ERROR.name, class, severity).with_opt("program", program.as_deref());
    if has(text, "kernel memory accounting disabled in this runc build") {
        return Opened::line(
            event(class::USER_SPACE, Severity::Notice)
                .titled("runc is built without kernel-memory accounting")
                .with("what", "kmem-accounting"),
        );
    }
    if has(text, "failed to create new OS thread") {
        return Opened::line(
            event(class::RESOURCE_EXHAUSTION, Severity::Failure)
                .titled("a program could not create a thread")
                .with("what", "clone")
                .with("errno", "EAGAIN"),
        );
    }
    let (what, path, tail) = operation(text)?;
    let errno = errno(tail)?;
    let cgroup = path.starts_with("/sys/fs/cgroup/") || path.starts_with("/cgroup/");
    if !cgroup && program.is_none() || what == "mkdir" && errno == "ENOSPC" {
        return None;
    }
    let (class, severity) = match errno {
        "ENOMEM" | "EAGAIN" | "ENOSPC" => (class::RESOURCE_EXHAUSTION, Severity::Failure),
        // Cgroups that vanish while a program looks at them are everyday life.
        "ENOENT" if !has(path, "memory.kmem.") => return None,
        _ => (class::USER_SPACE, Severity::Notice),
    };
    Opened::line(
        event(class, severity)
            .titled(format!("{what}: {errno}"))
            .with("what", what)
            .with("path", path)
            .with("errno", errno),
    )
}

fn open_kmem_limit(line: &Line<'_>, _: Before<'_>) -> Option<Opened> {
    let text = line.text();
    let what = if has(text, "You specified a kernel memory limit on a kernel older than") {
        "old-kernel"
    } else if has(text, "kmem.limit_in_bytes is deprecated and will be removed") {
        "deprecated"
    } else {
        return None;
    };
    Opened::line(
        Event::new(KMEM_LIMIT.name, class::CLEAN, Severity::Notice)
            .titled("a kernel-memory limit is set for a container")
            .with("what", what)
            .with_opt("program", program(line)),
    )
}

/// `mkdir /sys/fs/cgroup/memory/docker/x: no space left on device`: the directory, and what stands behind it.
fn cgroup_directory(text: &str) -> Option<(&str, &str)> {
    let at = CGROUP_DIRECTORY.iter().find_map(|anchor| text.find(anchor))?;
    let rest = &text[at..];
    path_and_tail(&rest[rest.find('/')?..])
}

/// The system call a message of a Go program names, its path, and what stands behind.
fn operation(text: &str) -> Option<(&'static str, &str, &str)> {
    for (needle, what) in [
        ("fork/exec /", "fork/exec"),
        ("mkdir /", "mkdir"),
        ("write /", "write"),
        ("open /", "open"),
        ("read /", "read"),
    ] {
        if let Some(at) = text.find(needle) {
            let (path, tail) = path_and_tail(&text[at + needle.len() - 1..])?;
            return Some((what, path, tail));
        }
    }
    None
}

/// A path ends at a colon with a blank, a quote, or a blank.
fn path_and_tail(text: &str) -> Option<(&str, &str)> {
    let end = text
        .char_indices()
        .find(|(at, c)| {
            matches!(c, '\'' | '"' | '’' | '\\') || c.is_whitespace() || *c == ':' && text[at + 1..].starts_with(' ')
        })
        .map_or(text.len(), |(at, _)| at);
    (end > 1).then(|| (&text[..end], &text[end..]))
}

/// The error word that directly follows a path.
fn errno(tail: &str) -> Option<&'static str> {
    let tail = tail.trim_start_matches(['\'', '"', '’', ':', ' ', '\\']);
    ERRNOS
        .iter()
        .find(|(words, _)| tail.get(..words.len()).is_some_and(|head| head.eq_ignore_ascii_case(words)))
        .map(|(_, name)| *name)
}

/// The program of the carrier's tag, or one that the message itself names.
fn program(line: &Line<'_>) -> Option<String> {
    if let Some(tag) = line.tag {
        return PROGRAMS.iter().any(|p| tag.contains(p)).then(|| tag.to_owned());
    }
    let text = line.text();
    PROGRAMS
        .iter()
        .filter_map(|name| text.find(name).map(|at| (at, *name)))
        .filter(|(at, name)| {
            let before = text[..*at].chars().next_back();
            let after = text[at + name.len()..].chars().next();
            before.is_none_or(|c| !c.is_alphanumeric() && c != '/') && after.is_none_or(|c| !c.is_alphanumeric())
        })
        .min()
        .map(|(_, name)| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::tests::{events, fields};

    #[test]
    fn cgroup_directories_without_space_are_read_from_every_program() {
        for (text, program, controller, path) in [
            (
                "Mar 21 04:17:55 node1 kubelet[1545]: E0321 04:17:55.123456    1545 pod_workers.go:190] failed to ensure \
                 that the pod: 42 cgroups exist and are correctly applied: failed to create container for [kubepods \
                 burstable pod42] : mkdir /sys/fs/cgroup/memory/kubepods/burstable/pod42: no space left on device",
                Some("kubelet"),
                "memory",
                "/sys/fs/cgroup/memory/kubepods/burstable/pod42",
            ),
            (
                "docker: Error response from daemon: oci runtime error: container_linux.go:265: starting container \
                 process caused \"process_linux.go:261: applying cgroup configuration for process caused \\\"mkdir \
                 /sys/fs/cgroup/memory/docker/0d5bb5: no space left on device\\\"\".",
                Some("docker"),
                "memory",
                "/sys/fs/cgroup/memory/docker/0d5bb5",
            ),
            (
                "mkdir: cannot create directory ‘/sys/fs/cgroup/memory/x’: No space left on device",
                None,
                "memory",
                "/sys/fs/cgroup/memory/x",
            ),
        ] {
            let found = events(text);
            assert_eq!(found.len(), 1, "{text}: {found:?}");
            assert_eq!((found[0].family, found[0].class), ("cgroup_enospc", "resource-exhaustion"));
            let value = |name| found[0].fields.get(name).and_then(|v| v.as_text());
            assert_eq!((value("program"), value("controller"), value("path")), (program, Some(controller), Some(path)));
        }
    }

    #[test]
    fn refusals_of_a_runtime_name_the_call_the_path_and_the_errno() {
        let text = "Jul  5 19:33:34 host dockerd[99]: time=\"2020-07-05T19:33:34Z\" level=error msg=\"mkdir \
                    /sys/fs/cgroup/memory/docker/77: cannot allocate memory\"";
        assert_eq!(
            fields(text, &["program", "what", "path", "errno"]),
            ["dockerd", "mkdir", "/sys/fs/cgroup/memory/docker/77", "ENOMEM"]
        );
        let text = "kubelet[7]: failed: write /sys/fs/cgroup/memory/kubepods/p/memory.kmem.limit_in_bytes: device or \
                    resource busy";
        assert_eq!(fields(text, &["what", "errno"]), ["write", "EBUSY"]);
    }

    #[test]
    fn a_kernel_memory_limit_is_a_notice() {
        let text = "time=\"x\" level=warning msg=\"You specified a kernel memory limit on a kernel older than 4.0. Kernel \
                    memory limits are experimental on older kernels, it won't work as expected and can cause your \
                    system to be unstable.\"";
        assert_eq!(fields(text, &["severity", "what"]), ["notice", "old-kernel"]);
    }

    #[test]
    fn other_programs_that_lack_memory_are_not_events() {
        for text in [
            "Jul  5 19:33:34 host sshd[99]: error: fork: Cannot allocate memory",
            "Jul  5 19:33:34 host cc1[99]: open /tmp/x: cannot allocate memory",
            "Jul  5 19:33:34 host kubelet[9]: mkdir /var/lib/x: file exists",
            "Jul  5 19:33:34 host kubelet[9]: stat /sys/fs/cgroup/memory/x/memory.kmem.slabinfo",
        ] {
            assert!(events(text).is_empty(), "{text}");
        }
    }
}
