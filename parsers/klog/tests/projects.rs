//! Other projects' test logs against what those projects themselves expect of them. The result is docs/more-oops.md;
//! `UPDATE_DOCS=1 cargo test -p vmcoroner-klog --test projects` renews it where the collection is at hand.

mod more_oops;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use klog::{Event, Severity};
use more_oops::{collection, read};

/// Why we differ from a project's expectation, file by file.
const DIFFERENCES: &[(&str, &str)] = &[
    (
        "projects/abrt/not_oops2.test.template",
        "the log holds a whole oops; the project passes over it because of a line that says so",
    ),
    (
        "projects/abrt/no_oops.test",
        "begins inside a WARN whose head is cut off; abrt passes over it, we report it as torn",
    ),
    (
        "projects/abrt/not_oops_foreign_hostname.test",
        "the line is a real machine check; the project drops it because the host name is not that of the machine it runs on",
    ),
    (
        "projects/abrt/oops-non-fatal-mce.test.template",
        "a template: `:HOSTNAME:` stands where syslog has a host name, so the line has no syslog prefix",
    ),
    ("projects/abrt/oops_full_hostname.test.template", "a template, as above (`:FULL_HOSTNAME:`)"),
    ("projects/abrt/oops_no_reliable_frame.test.template", "a template, as above"),
    (
        "projects/abrt/mce1.test",
        "the machine check and the panic it led to are two events here; the project prints them as one text",
    ),
    (
        "projects/abrt/nmi_oops_hash.test",
        "the WARN that carries the hard lockup is a report of its own here; the project prints one text",
    ),
    (
        "projects/lkp/65",
        "the text begins behind the header of the first exception; the two reports and the panic that follow are found",
    ),
    (
        "projects/lkp/68",
        "stamps of 11 digits (a clock gone wild) are not read as stamps, so the lines below the header are not joined to it",
    ),
    ("projects/lkp/74", "the text begins behind the header: only the panic has a head"),
    (
        "projects/lkp/dmesg-009",
        "found; the project prints the WARN with the build machine's path cut off, the log has it in full",
    ),
    ("projects/lkp/02", "`BUG: kernel test crashed` is written by the project's own harness, not by a kernel"),
    (
        "projects/lkp/10",
        "`IP-Config: Auto-configuration of network failed` tells of the test network, not of the kernel",
    ),
    ("projects/lkp/22", "written by the harness: an early boot that hangs leaves no text of the kernel"),
    ("projects/lkp/26", "written by the harness"),
    ("projects/lkp/32", "written by the harness"),
    ("projects/lkp/33", "written by the harness"),
    ("projects/lkp/37", "written by the harness"),
    ("projects/lkp/61", "written by the harness"),
    ("projects/lkp/63", "written by the harness"),
    (
        "projects/lkp/82",
        "`sysctl could not get directory` is a refusal of a test's request; both CFI failures are found",
    ),
    (
        "projects/hotsos/qla2xxx.log",
        "`skipping scsi_scan_host() for non-initiator port` is a setting of the driver; whether it is wrong the log cannot tell",
    ),
];

struct Row {
    file: String,
    says: String,
    expect: String,
}

fn rows(collection: &Path) -> Vec<Row> {
    let text = std::fs::read_to_string(collection.join("index.tsv")).unwrap_or_default();
    text.lines()
        .skip(1)
        .map(|line| line.split('\t').collect::<Vec<_>>())
        .filter(|row| row.len() > 7 && row[0].starts_with("projects/"))
        .map(|row| Row {
            file: row[0].to_owned(),
            says: row[7].to_owned(),
            expect: row.get(10).map_or(String::new(), |e| (*e).to_owned()),
        })
        .collect()
}

/// What a project expects of a file, as far as it says so in a form that can be compared.
enum Expected {
    /// So many reports or failures.
    Count(usize),
    /// At least one.
    Some,
    /// Nothing.
    None,
    /// Texts of which each stands in the quote, the function or the stack of an event.
    Texts(Vec<String>),
    /// An event of one of these classes, `panic` for the severity.
    Class(&'static [&'static str]),
}

fn expected(row: &Row, collection: &Path) -> Option<Expected> {
    let (_, rest) = row.file.split_once('/')?;
    let (project, name) = rest.split_once('/')?;
    let text = || std::fs::read_to_string(collection.join(&row.expect)).unwrap_or_default();
    match project {
        "abrt" if !row.expect.is_empty() => text()
            .split_once("Found oopses: ")
            .and_then(|(_, n)| n.split_whitespace().next()?.parse().ok())
            .map(Expected::Count)
            .or(Some(Expected::None)),
        "abrt" if row.says.starts_with("no oops") => Some(Expected::None),
        "abrt" => Some(Expected::Some),
        "satyr" => Some(Expected::Some),
        "lkp" if row.expect.ends_with(".yaml") => {
            Some(Expected::Texts(text().lines().filter_map(|l| l.strip_prefix("# ")).map(str::to_owned).collect()))
        }
        "lkp" if !row.expect.is_empty() => {
            // The first line of the trace that the project cuts out of the log.
            let first = text().lines().find(|l| l.contains(": ") && !l.contains("cut here")).map(str::to_owned)?;
            let line = first.split_once("] ").map_or(first.as_str(), |(_, t)| t).trim().to_owned();
            Some(Expected::Texts(vec![line]))
        }
        "npd" => Some(match name {
            "aufs_umount_hung" => Expected::Class(&["hung-task"]),
            "null_pointer" => Expected::Class(&["null-deref"]),
            "oom_kill" => Expected::Class(&["memcg-oom", "oom"]),
            "readonly_filesystem" => Expected::Class(&["fs-shutdown"]),
            "unregister_netdevice" => Expected::Class(&["unregister-netdevice"]),
            _ => Expected::None,
        }),
        "hotsos" => Some(match name {
            "disk_failure_2.log" => Expected::Class(&["io-error"]),
            "kernlog_calltrace_bcache_deadlock.log" => Expected::Class(&["hung-task"]),
            "kernlog_calltrace_oom_killer.log" => Expected::Class(&["oom"]),
            _ => Expected::Class(&["resource-exhaustion"]),
        }),
        "squad" | "lava" => match name.split('.').next()? {
            "kasan" | "kernel-kasan" | "kfence" | "kernel-kfence" => {
                Some(Expected::Class(&["out-of-bounds", "use-after-free"]))
            }
            "kernelexceptiontrace" | "kernelexceptiontrace_without_squarebraces" => Some(Expected::Class(&["warning"])),
            "kernel-panic" | "kernel-panic-and-reset-overlapped" | "kernelpanic" => Some(Expected::Class(&["panic"])),
            "oops" | "kernel-oops" | "kernel-bug" => Some(Expected::Class(&["bug-on", "trap", "lockdep"])),
            _ => Some(Expected::Some),
        },
        _ => None,
    }
}

/// Does an event bear out one of the project's findings? Its form is a piece of text with `.*` for what changes.
fn bears_out(events: &[Event], finding: &str) -> bool {
    let finding = finding.trim_end_matches('.');
    let pieces: Vec<&str> = finding.split(".*").map(str::trim).filter(|p| p.len() > 1).collect();
    let in_order = |text: &str| {
        let mut rest = text;
        pieces.iter().all(|piece| match rest.find(piece) {
            Some(at) => {
                rest = &rest[at + piece.len()..];
                true
            }
            None => false,
        })
    };
    // `RIP: 0010:.* f+0x`, `EIP is at f+0x`, `f+0x`, `... lock: at: f+0x`
    let function = finding.split("+0x").next().unwrap_or("").rsplit([' ', ':']).next().unwrap_or("");
    // Words of the lines that belong to every exception, and to every OOM kill.
    let part = match finding.trim_end_matches([' ', ':']) {
        "Oops" | "invalid opcode" => Some("oops"),
        "Mem-Info" => Some("oom"),
        _ => None,
    };
    events.iter().any(|event| {
        in_order(&event.quote)
            || event.fields.values().filter_map(|v| v.as_text()).any(in_order)
            || event.place.as_ref().is_some_and(|p| p.function == function)
            || part.is_some_and(|family| event.family == family)
            || event.stacks.iter().flat_map(|s| &s.frames).any(|f| f.function.as_deref() == Some(function))
    })
}

fn agrees(expected: &Expected, events: &[Event]) -> bool {
    let serious: Vec<&Event> = events.iter().filter(|e| e.severity >= Severity::Failure).collect();
    match expected {
        Expected::Count(n) => serious.len() == *n,
        Expected::Some => !serious.is_empty(),
        Expected::None => serious.is_empty(),
        Expected::Texts(texts) => texts.iter().all(|text| bears_out(events, text)),
        Expected::Class(classes) => events
            .iter()
            .any(|e| classes.contains(&e.class) || classes.contains(&"panic") && e.severity == Severity::Panic),
    }
}

#[test]
fn projects_expectations_are_met_or_explained() {
    let Some(collection) = collection() else { return };
    let mut table: BTreeMap<String, [usize; 3]> = BTreeMap::new();
    let mut differing = Vec::new();
    for row in rows(&collection) {
        let project = row.file.split('/').nth(1).unwrap_or_default().to_owned();
        let Some(bytes) = read(&collection.join(&row.file)) else { continue };
        let counts = table.entry(project).or_default();
        counts[0] += 1;
        let Some(expected) = expected(&row, &collection) else { continue };
        counts[1] += 1;
        let events: Vec<Event> = klog::read(&row.file, &bytes).boots.into_iter().flat_map(|b| b.events).collect();
        if agrees(&expected, &events) {
            counts[2] += 1;
        } else {
            if let Expected::Texts(texts) = &expected {
                for text in texts.iter().filter(|t| !bears_out(&events, t)) {
                    println!("{}: {text}", row.file);
                }
            }
            differing.push(row.file);
        }
    }
    let mut page = String::from(
        "# Other projects' test logs\n\nMade by `UPDATE_DOCS=1 cargo test -p vmcoroner-klog --test projects`; do not edit.\n\n\
         Nine projects that read kernel logs keep logs for their own tests. Where such a project says what it expects, \
         the events found are compared with that: a count of reports, a class, or the lines and functions of its list of findings.\n\n\
         | project | logs | expectation stated | met | explained below |\n|---|---|---|---|---|\n",
    );
    for (project, [files, stated, met]) in &table {
        let _ = writeln!(page, "| {project} | {files} | {stated} | {met} | {} |", stated - met);
    }
    page.push_str("\n## Where we differ\n\n| log | why |\n|---|---|\n");
    let mut unexplained = Vec::new();
    for file in &differing {
        match DIFFERENCES.iter().find(|(name, _)| name == file) {
            Some((_, why)) => {
                let _ = writeln!(page, "| `{}` | {why} |", file.trim_start_matches("projects/"));
            }
            None => unexplained.push(file.clone()),
        }
    }
    assert!(unexplained.is_empty(), "not explained: {unexplained:#?}");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/more-oops.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &page).expect("docs/more-oops.md");
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap_or_default(), page, "run with UPDATE_DOCS=1");
}
