//! The bundles that support desks receive, as data: how each is recognised by names alone, and what its members are
//! good for.
//!
//! A pattern is matched against the end of a member's path, at a component boundary: `*` stands for any part of one
//! component, `**` for any number of components. A layout is recognised by two of its markers.

use std::sync::OnceLock;

/// What a member is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// The kernel's log of one or several boots: for `klog`.
    KernelLog,
    /// A log of the whole node, kernel lines among others: for `klog`, and for `snapshot::NodeLog`.
    NodeLog,
    /// A systemd journal file, its export or JSON: for `bundle::journal`.
    Journal,
    /// The log of the capture kernel: says why there is no dump, never what crashed.
    CaptureLog,
    /// A memory dump.
    Dump,
    /// A piece of a pstore record; the pieces of one record go together, highest part number first.
    Pstore,
    /// Several files in one text, with marks between them: for `snapshot`, and for `klog`.
    Sections,
    /// A log with lines of several machines between each other.
    ManyHosts,
    /// API objects of a cluster, nodes and events, JSON or YAML: for `snapshot::cluster_nodes` and `cluster_events`.
    ClusterObjects,
}

/// One kind of bundle.
pub struct Layout {
    /// Its name.
    pub name: &'static str,
    /// Who makes it.
    pub doc: &'static str,
    /// Names of which two make the layout certain.
    pub markers: &'static [&'static str],
    /// Members beyond those that `snapshot::wants`, and their role.
    pub members: &'static [(&'static str, Role)],
}

/// Logs that any Linux node has, whoever collected them.
const VAR_LOG: &[(&str, Role)] = &[
    ("var/log/kern.log*", Role::KernelLog),
    ("var/log/kernel*", Role::KernelLog),
    ("var/log/dmesg*", Role::KernelLog),
    ("var/log/messages*", Role::NodeLog),
    ("var/log/syslog*", Role::NodeLog),
    ("var/log/warn*", Role::NodeLog),
    ("var/log/boot.msg*", Role::KernelLog),
    ("var/log/kdump.log", Role::CaptureLog),
    ("var/log/journal/**/*.journal*", Role::Journal),
    ("run/log/journal/**/*.journal*", Role::Journal),
    ("*.journal", Role::Journal),
    ("*.journal~", Role::Journal),
    ("*.journal.zst", Role::Journal),
    ("*.journal.gz", Role::Journal),
];

/// All layouts that are known by name.
pub const LAYOUTS: &[Layout] = &[
    Layout {
        name: "sosreport",
        doc: "sos report (RHEL, Fedora, Debian, Ubuntu, SLES), also inside sos collect",
        markers: &[
            "version.txt",
            "sos_logs/sos.log",
            "sos_reports/*",
            "sos_commands/*/*",
            "installed-rpms",
            "installed-debs",
        ],
        members: &[
            ("sos_commands/kernel/dmesg*", Role::KernelLog),
            ("sos_commands/logs/journalctl_*", Role::NodeLog),
            ("sos_commands/logs/*", Role::NodeLog),
            ("sos_commands/kdump/*", Role::CaptureLog),
        ],
    },
    Layout {
        name: "supportconfig",
        doc: "supportconfig (SUSE)",
        markers: &[
            "basic-environment.txt",
            "basic-health-check.txt",
            "supportconfig.txt",
            "messages.txt",
            "summary.xml",
        ],
        members: &[
            ("boot.txt", Role::Sections),
            ("messages.txt", Role::Sections),
            ("messages_localwarn.txt", Role::Sections),
            ("crash.txt", Role::Sections),
            ("basic-environment.txt", Role::Sections),
            ("basic-health-check.txt", Role::Sections),
            ("memory.txt", Role::Sections),
            ("proc.txt", Role::Sections),
            ("sysfs.txt", Role::Sections),
            ("livepatch.txt", Role::Sections),
            ("rpm.txt", Role::Sections),
            ("docker.txt", Role::Sections),
        ],
    },
    Layout {
        name: "must-gather",
        doc: "OpenShift must-gather",
        markers: &[
            "cluster-scoped-resources/**",
            "host_service_logs/*/*_service.log",
            "namespaces/*/pods/**",
            "event-filter.html",
            "must-gather.logs",
        ],
        members: &[
            ("cluster-scoped-resources/core/nodes/*.yaml", Role::ClusterObjects),
            ("cluster-scoped-resources/core/nodes/*.json", Role::ClusterObjects),
            ("cluster-scoped-resources/core/nodes.yaml", Role::ClusterObjects),
            ("core/events.yaml", Role::ClusterObjects),
            ("core/events.json", Role::ClusterObjects),
            ("host_service_logs/*/*_service.log", Role::ManyHosts),
            ("nodes/*/*_logs_*", Role::NodeLog),
            ("nodes/*/dmesg*", Role::KernelLog),
        ],
    },
    Layout {
        name: "rancher",
        doc: "Rancher's log collector for RKE, RKE2 and K3s nodes",
        markers: &["systeminfo/*", "journald/*", "systemlogs/*", "networking/*", "rke2/**", "k3s/**", "rke/**"],
        members: &[
            ("systeminfo/dmesg", Role::KernelLog),
            ("systemlogs/*", Role::NodeLog),
            ("journald/*", Role::NodeLog),
        ],
    },
    Layout {
        name: "cluster-info",
        doc: "kubectl cluster-info dump",
        markers: &[
            "nodes.json",
            "nodes.yaml",
            "*/events.json",
            "*/events.yaml",
            "*/pods.json",
            "*/pods.yaml",
            "*/*/logs.txt",
        ],
        members: &[
            ("nodes.json", Role::ClusterObjects),
            ("nodes.yaml", Role::ClusterObjects),
            ("events.json", Role::ClusterObjects),
            ("events.yaml", Role::ClusterObjects),
        ],
    },
    Layout {
        name: "crash-directory",
        doc: "/var/crash of RHEL, Fedora, Debian, Ubuntu, SUSE",
        markers: &[
            "vmcore",
            "vmcore.*",
            "vmcore-*",
            "dump.*",
            "vmcore-dmesg*.txt",
            "dmesg.*",
            "kexec-dmesg.log",
            "kexec_cmd",
            "README.txt",
        ],
        members: &[
            ("vmcore", Role::Dump),
            ("vmcore.flat", Role::Dump),
            ("vmcore-incomplete", Role::Dump),
            ("vmcore.*", Role::Dump),
            ("dump.*", Role::Dump),
            ("vmcore-dmesg.txt", Role::KernelLog),
            ("vmcore-dmesg-incomplete.txt", Role::KernelLog),
            ("dmesg.*", Role::KernelLog),
            ("dmesg", Role::KernelLog),
            ("kexec-dmesg.log", Role::CaptureLog),
            ("kexec-kdump-howto.txt", Role::CaptureLog),
            ("README.txt", Role::CaptureLog),
        ],
    },
    Layout {
        name: "abrt",
        doc: "abrt problem directory",
        markers: &[
            "analyzer",
            "backtrace",
            "last_occurrence",
            "duphash",
            "kernel_tainted_long",
            "not-reportable",
            "component",
        ],
        members: &[("backtrace", Role::KernelLog), ("dmesg", Role::KernelLog), ("vmcore", Role::Dump)],
    },
    Layout {
        name: "pstore",
        doc: "/sys/fs/pstore, or what systemd-pstore moved away",
        markers: &[
            "dmesg-efi*",
            "dmesg-erst*",
            "dmesg-ramoops*",
            "dmesg-nvram*",
            "dmesg-hyperv*",
            "console-ramoops*",
            "pstore/**/dmesg.txt",
        ],
        members: &[
            ("dmesg-efi*", Role::Pstore),
            ("dmesg-erst*", Role::Pstore),
            ("dmesg-ramoops*", Role::Pstore),
            ("dmesg-nvram*", Role::Pstore),
            ("dmesg-pstore_*", Role::Pstore),
            ("dmesg-hyperv*", Role::Pstore),
            ("console-ramoops*", Role::KernelLog),
            ("pstore/**/dmesg.txt", Role::KernelLog),
        ],
    },
];

/// Patterns taken apart, in their order, and what they say.
type Patterns = Vec<(Vec<&'static str>, Role)>;

/// The patterns of all layouts, then those of any node, by the first byte of a member's last component: a walk asks for
/// tens of thousands of names, and that byte settles most of them. Made for a byte when a name has it.
static ROLES: [OnceLock<Patterns>; 256] = [const { OnceLock::new() }; 256];

fn patterns_of(first: u8) -> Patterns {
    let all = LAYOUTS.iter().flat_map(|layout| layout.members).chain(VAR_LOG);
    let fits = |pattern: &str| {
        let last = pattern.rsplit('/').next().and_then(|last| last.bytes().next());
        last.is_none_or(|byte| byte == b'*' || byte == first)
    };
    all.filter(|(pattern, _)| fits(pattern)).map(|(pattern, role)| (pattern.split('/').collect(), *role)).collect()
}

/// Archives inside a bundle that hold nothing that is read here: the addresses of a running kernel's symbols.
const UNREAD: &[&[&str]] = &[&["proc", "kallsyms.*"]];

/// Whether a member need not be entered though it is an archive.
pub fn is_unread(path: &str) -> bool {
    UNREAD.iter().any(|pattern| fits(pattern, path))
}

/// The role of a member by its path: of any layout, then of any node. `None` says that the name tells nothing.
pub fn role(path: &str) -> Option<Role> {
    let base = path.rsplit('/').next().unwrap_or(path);
    let first = base.bytes().next().unwrap_or_default();
    let patterns = ROLES.get(usize::from(first))?.get_or_init(|| patterns_of(first));
    patterns.iter().find(|(pattern, _)| fits(pattern, path)).map(|(_, role)| *role)
}

/// Whether a log is that of the boot in which the bundle was collected: what `dmesg` printed then.
pub fn is_of_collection(name: &str) -> bool {
    let path = name.rsplit('!').next().unwrap_or(name);
    ["sos_commands/kernel/dmesg*", "systeminfo/dmesg", "nodes/*/dmesg*"].iter().any(|pattern| matches(pattern, path))
}

/// Whether a log was kept because its boot ended with it.
pub fn is_of_crash(name: &str) -> bool {
    const RECORDS: [&str; 8] = [
        "vmcore-dmesg*.txt",
        "var/crash/*/dmesg*",
        "crash/*/dmesg.*",
        "pstore/**",
        "dmesg-efi*",
        "dmesg-erst*",
        "dmesg-ramoops*",
        "spool/abrt/*/dmesg",
    ];
    let path = name.rsplit('!').next().unwrap_or(name);
    RECORDS.iter().any(|pattern| matches(pattern, path))
}

/// Recognises layouts while the names of a walk go by.
#[derive(Default)]
pub struct Detector {
    hits: [u32; LAYOUTS.len()],
}

impl Detector {
    /// Takes note of a member's path.
    pub fn seen(&mut self, path: &str) {
        for (layout, hits) in LAYOUTS.iter().zip(&mut self.hits) {
            for (bit, marker) in layout.markers.iter().enumerate().take(32) {
                if *hits & 1 << bit == 0 && matches(marker, path) {
                    *hits |= 1 << bit;
                }
            }
        }
    }

    /// The layouts of which two different markers were seen, the best one first.
    pub fn layouts(&self) -> Vec<&'static Layout> {
        let mut found: Vec<_> = LAYOUTS.iter().zip(self.hits).filter(|(_, hits)| hits.count_ones() >= 2).collect();
        found.sort_by_key(|(_, hits)| std::cmp::Reverse(hits.count_ones()));
        found.into_iter().map(|(layout, _)| layout).collect()
    }
}

/// The part of a member's full name that says which node's files it is among: everything up to the last folder or
/// archive that is one node's report. Two members with different roots may come from different machines.
pub fn node_root(name: &str) -> &str {
    let mut end = 0;
    let mut at = 0;
    for part in name.split_inclusive(['/', '!']) {
        let plain = part.trim_end_matches(['/', '!']);
        let before = name.get(..at).unwrap_or_default();
        at += part.len();
        const REPORTS: &[&str] = &["sosreport-", "sos-collector-", "scc_", "nts_", "supportconfig-"];
        let report = REPORTS.iter().any(|r| plain.starts_with(r)) && part.ends_with(['/', '!']);
        // must-gather and node collectors keep one folder a node.
        let node = before.ends_with("/nodes/") || before == "nodes/";
        if report || node && part.ends_with('/') {
            end = at;
        }
    }
    name.get(..end).unwrap_or_default()
}

/// Whether the end of `path` fits the pattern.
fn matches(pattern: &str, path: &str) -> bool {
    let pattern: Vec<&str> = pattern.split('/').collect();
    fits(&pattern, path)
}

fn fits(pattern: &[&str], path: &str) -> bool {
    // From the end: the last component settles nearly all.
    let mut components = path.rsplit('/');
    for part in pattern.iter().rev() {
        if *part == "**" {
            let path: Vec<&str> = path.split('/').collect();
            return (0..path.len()).any(|start| parts(pattern, path.get(start..).unwrap_or_default()));
        }
        if !components.next().is_some_and(|component| component_fits(part, component)) {
            return false;
        }
    }
    true
}

fn parts(pattern: &[&str], path: &[&str]) -> bool {
    match (pattern.split_first(), path.split_first()) {
        (None, None) => true,
        (Some((&"**", rest)), _) => (0..=path.len()).any(|skip| parts(rest, path.get(skip..).unwrap_or_default())),
        (Some((first, rest)), Some((component, below))) => component_fits(first, component) && parts(rest, below),
        _ => false,
    }
}

/// One component against a pattern with at most a few `*`.
fn component_fits(pattern: &str, component: &str) -> bool {
    // A pattern that begins with its star is settled by its last byte.
    if let (Some(b'*'), Some(end)) = (pattern.as_bytes().first(), pattern.as_bytes().last())
        && *end != b'*'
        && component.as_bytes().last() != Some(end)
    {
        return false;
    }
    let mut pieces = pattern.split('*');
    let Some(mut rest) = pieces.next().and_then(|first| component.strip_prefix(first)) else { return false };
    let mut last: Option<&str> = None;
    for piece in pieces {
        if let Some(middle) = last.replace(piece).filter(|m| !m.is_empty()) {
            match rest.split_once(middle) {
                Some((_, behind)) => rest = behind,
                None => return false,
            }
        }
    }
    match last {
        Some(end) => rest.ends_with(end),
        None => rest.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_at_component_boundaries() {
        assert!(matches("var/log/messages*", "top/var/log/messages-2022.1"));
        assert!(!matches("var/log/messages*", "top/myvar/log/messages"));
        assert!(matches("var/log/journal/**/*.journal*", "x/var/log/journal/0a/system@1-2.journal~"));
        assert!(matches("dump.*", "202311/dump.202311"));
        assert!(!matches("dump.*", "a/coredump.1"));
        assert!(component_fits("a*b*c", "axxbyyc") && !component_fits("a*b*c", "axxc") && component_fits("*", ""));
    }

    #[test]
    fn layouts_need_two_markers() {
        let detect = |paths: &[&str]| {
            let mut detector = Detector::default();
            paths.iter().for_each(|p| detector.seen(p));
            detector.layouts().first().map(|l| l.name)
        };
        assert_eq!(detect(&["s/version.txt", "s/sos_commands/kernel/dmesg"]), Some("sosreport"));
        assert_eq!(detect(&["s/version.txt", "t/version.txt"]), None);
        assert_eq!(detect(&["scc_a/basic-environment.txt", "scc_a/messages.txt"]), Some("supportconfig"));
        assert_eq!(
            detect(&["127.0.0.1-2024-01-01-00:00:00/vmcore", "127.0.0.1-2024-01-01-00:00:00/vmcore-dmesg.txt"]),
            Some("crash-directory")
        );
        assert_eq!(detect(&["oops-1/analyzer", "oops-1/backtrace"]), Some("abrt"));
        assert_eq!(detect(&["systeminfo/dmesg", "journald/kubelet"]), Some("rancher"));
        assert_eq!(detect(&["a.txt", "b.txt"]), None);
    }

    #[test]
    fn roles_by_name() {
        assert_eq!(role("s/sos_commands/kernel/dmesg_-T"), Some(Role::KernelLog));
        assert_eq!(role("var/log/messages"), Some(Role::NodeLog));
        assert_eq!(role("var/crash/x/kexec-dmesg.log"), Some(Role::CaptureLog));
        assert_eq!(role("var/crash/202401/dump.202401"), Some(Role::Dump));
        assert_eq!(role("pstore/dmesg-efi-150989600313002"), Some(Role::Pstore));
        assert_eq!(role("etc/passwd"), None);
    }

    #[test]
    fn nodes_are_told_apart_by_their_folder() {
        assert_eq!(node_root("a.tar.xz!sosreport-n1-2024/sys.tgz!sys/x"), "a.tar.xz!sosreport-n1-2024/");
        assert_eq!(
            node_root("c.tar!sosreport-n2.tar.xz!sosreport-n2/proc/meminfo"),
            "c.tar!sosreport-n2.tar.xz!sosreport-n2/"
        );
        assert_eq!(
            node_root("must-gather.local.1/img/nodes/w1/w1_logs_kubelet.gz"),
            "must-gather.local.1/img/nodes/w1/"
        );
        assert_eq!(node_root("var/log/messages"), "");
    }
}
