//! Whole bundles: the same answer from an archive and from a directory, cases kept apart by machine and boot.

use std::io::Write;
use std::path::{Path, PathBuf};

use vmcoroner::engine::Rules;
use vmcoroner::examine::examine;
use vmcoroner::extract::{Options, gather};
use vmcoroner::verdict::{Role, Verdict};

/// A folder for one test, emptied first.
fn scratch(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bundles").join(name);
    let _ = std::fs::remove_dir_all(&path);
    std::fs::create_dir_all(&path).expect("a scratch folder");
    path
}

/// Files of a composed bundle: path and text.
type Files<'a> = [(&'a str, &'a str)];

fn write_tree(root: &Path, files: &Files<'_>) {
    for (path, text) in files {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("folders");
        std::fs::write(path, text).expect("a file");
    }
}

/// A gzipped tar with the files below `top`, the last one first: no order can be relied on.
fn write_archive(path: &Path, top: &str, files: &Files<'_>) {
    let mut builder = tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
    for (name, text) in files.iter().rev() {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        builder.append_data(&mut header, format!("{top}{name}"), text.as_bytes()).expect("an entry");
    }
    let bytes = builder.into_inner().and_then(flate2::write::GzEncoder::finish).expect("an archive");
    std::fs::File::create(path).and_then(|mut file| file.write_all(&bytes)).expect("the archive is written");
}

/// All saved cases and all verdicts of some inputs, as text.
fn answers(inputs: &[PathBuf]) -> (Vec<String>, Vec<Verdict>) {
    let rules = Rules::embedded().expect("rules");
    let cases = gather(inputs, &Options::default()).expect("cases");
    let saved = cases.iter().map(|case| case.to_json().expect("JSON")).collect();
    (saved, cases.iter().map(|case| examine(case, &rules)).collect())
}

fn same(one: &Path, other: &Path) {
    let (a, va) = answers(&[one.to_owned()]);
    let (b, vb) = answers(&[other.to_owned()]);
    let (one, other) = (one.display(), other.display());
    assert_eq!(a.len(), b.len(), "{one} {other}");
    for (a, b) in a.iter().zip(&b) {
        if a != b {
            let at = a.bytes().zip(b.bytes()).take_while(|(x, y)| x == y).count();
            let near = |text: &str| {
                let bytes = text.as_bytes();
                let part = bytes.get(at.saturating_sub(200)..(at + 200).min(bytes.len())).unwrap_or_default();
                String::from_utf8_lossy(part).into_owned()
            };
            panic!("the cases of {one} and {other} differ at byte {at}:\n{}\n{}", near(a), near(b));
        }
    }
    for (a, b) in va.iter().zip(&vb) {
        assert_eq!(serde_json::to_value(a).expect("JSON"), serde_json::to_value(b).expect("JSON"));
    }
}

const SOSREPORT: &Files<'_> = &[
    ("boot/config-5.14.0-70.el9.x86_64", "CONFIG_MEMCG=y\nCONFIG_HZ=1000\n"),
    ("date", "Thu Nov 26 08:12:01 UTC 2026\n"),
    ("etc/hostname", "node1\n"),
    ("etc/machine-id", "0123456789abcdef0123456789abcdef\n"),
    ("proc/meminfo", "MemTotal:       16384000 kB\nMemFree:         1000000 kB\nSlab:             500000 kB\n"),
    ("proc/sys/kernel/random/boot_id", "11111111-2222-3333-4444-555555555555\n"),
    (
        "sos_commands/kernel/dmesg",
        "[    0.000000] Linux version 5.14.0-70.el9.x86_64 (x@y) (gcc) #1 SMP\n[    0.500000] pci: probed\n",
    ),
    ("sos_commands/kernel/uname_-a", "Linux node1 5.14.0-70.el9.x86_64 #1 SMP x86_64 x86_64 x86_64 GNU/Linux\n"),
    ("uname", "Linux node1 5.14.0-70.el9.x86_64 #1 SMP x86_64 x86_64 x86_64 GNU/Linux\n"),
    (
        "var/log/messages",
        "Nov 26 03:00:00 node1 kernel: Linux version 5.14.0-70.el9.x86_64 (x@y) (gcc) #1 SMP\n\
         Nov 26 04:00:00 node1 kernel: INFO: task tar:77 blocked for more than 120 seconds.\n\
         Nov 26 04:01:00 node1 systemd[1]: Started Session 1.\n\
         Nov 26 08:00:00 node1 kernel: Linux version 5.14.0-70.el9.x86_64 (x@y) (gcc) #1 SMP\n\
         Nov 26 08:00:01 node1 kernel: kdump: No memory reserved for crash kernel\n",
    ),
    ("version.txt", "sos (version 4.5.1)\n"),
];

#[test]
fn an_archive_its_directory_a_renamed_one_and_the_folder_around_it_are_one_case() {
    let at = scratch("same");
    write_archive(&at.join("a.tar.gz"), "sosreport-node1-2026/", SOSREPORT);
    write_archive(&at.join("bare.tar.gz"), "", SOSREPORT);
    write_tree(&at.join("sosreport-node1-2026"), SOSREPORT);
    write_tree(&at.join("renamed"), SOSREPORT);
    write_tree(&at.join("around/sosreport-node1-2026"), SOSREPORT);
    let archive = at.join("a.tar.gz");
    for other in ["sosreport-node1-2026", "renamed", "around", "bare.tar.gz"] {
        same(&archive, &at.join(other));
    }
    let (cases, _) = answers(&[archive]);
    assert!(cases.iter().any(|case| case.contains("\"member\":\"var/log/messages\"")), "{cases:?}");
    assert!(cases.iter().all(|case| !case.contains("sosreport-node1")), "{cases:?}");
}

#[test]
fn with_several_inputs_each_name_begins_with_its_input() {
    let at = scratch("several");
    write_archive(&at.join("a.tar.gz"), "sosreport-node1-2026/", SOSREPORT);
    write_tree(
        &at.join("logs"),
        &[("kern.log", "[    1.000000] BUG: kernel NULL pointer dereference, address: 0000000000000008\n")],
    );
    let (cases, _) = answers(&[at.join("a.tar.gz"), at.join("logs")]);
    let all = cases.concat();
    assert!(all.contains("\"a.tar.gz!sosreport-node1-2026/var/log/messages\""), "{all}");
    assert!(all.contains("\"logs/kern.log\""), "{all}");
}

/// A real sosreport: as archive and unpacked, in a folder of its own name and of another.
#[test]
fn the_real_sosreport_is_one_case_however_it_is_packed() {
    let archive =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpora/sosreport/sosreport-juju-04f1e3-1-lxd-5.tar.xz");
    if !archive.exists() {
        return;
    }
    let at = scratch("real");
    let unpacked = std::process::Command::new("tar").arg("-xJf").arg(&archive).arg("-C").arg(&at).status();
    assert!(unpacked.expect("tar runs").success());
    let inner = std::fs::read_dir(&at).expect("files").next().expect("a folder").expect("a folder").path();
    same(&archive, &inner);
    same(&archive, &at);
    let (_, verdicts) = answers(&[archive]);
    for finding in verdicts.iter().flat_map(|v| &v.findings).filter(|f| f.role != Role::Information) {
        let grade = finding.grade.map(|g| g.word());
        assert!(matches!(grade, None | Some("exposed")), "{} is {grade:?}", finding.title);
    }
}

/// This morning's bundle of the machine whose dump was taken last night.
fn morning(host: &str) -> Vec<(&'static str, String)> {
    let banner = "Linux version 6.1.192-labs (lab@lab) (gcc (Debian 12.2.0-14+deb12u1) 12.2.0, GNU ld (GNU Binutils for \
                  Debian) 2.40) #1 SMP Sat Jan  3 00:00:00 UTC 2026";
    vec![
        ("etc/hostname", format!("{host}\n")),
        ("proc/sys/kernel/random/boot_id", "99999999-2222-3333-4444-555555555555\n".to_owned()),
        ("proc/stat", "cpu  10 0 10 100 0 0 0 0 0 0\ncpu0 10 0 10 100 0 0 0 0 0 0\nbtime 1795680000\n".to_owned()),
        ("proc/cgroups", "#subsys_name\thierarchy\tnum_cgroups\tenabled\nmemory\t4\t65534\t1\n".to_owned()),
        ("proc/version", format!("{banner}\n")),
        (
            "sos_commands/kernel/dmesg",
            format!(
                "[    0.000000] {banner}\n[  300.000000] INFO: task morning:77 blocked for more than 120 seconds.\n"
            ),
        ),
        ("sos_commands/kernel/uname_-a", format!("Linux {host} 6.1.192-labs #1 SMP x86_64 GNU/Linux\n")),
        (
            "var/log/messages",
            format!(
                "Nov 21 11:36:38 {host} kernel: {banner}\n\
                 Nov 21 11:36:50 {host} kernel: Kernel panic - not syncing: sysrq triggered crash\n\
                 Nov 27 08:00:00 {host} kernel: {banner}\n\
                 Nov 27 08:05:00 {host} kernel: INFO: task morning:77 blocked for more than 120 seconds.\n"
            ),
        ),
        ("version.txt", "sos (version 4.5.1)\n".to_owned()),
    ]
}

#[test]
fn last_nights_dump_and_this_mornings_bundle_are_two_boots() {
    let dump = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/vmcores/sysrq-crash.kdump");
    let at = scratch("morning");
    let files = morning("lab");
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (*path, text.as_str())).collect();
    write_archive(&at.join("sos.tar.gz"), "sosreport-lab/", &files);
    for inputs in [[dump.clone(), at.join("sos.tar.gz")], [at.join("sos.tar.gz"), dump.clone()]] {
        let cases = gather(&inputs, &Options::default()).expect("cases");
        let first = &cases[0];
        assert_eq!(first.identity.boot_time.as_deref(), Some("2026-11-21T11:36:38Z"));
        assert!(first.facts.iter().any(|f| f.kind == "dump.state"));
        // Nothing of this morning is evidence about last night ...
        let strange =
            |kind: &str| ["cgroup.", "node.stat", "node.identity", "log.hung_task"].iter().any(|k| kind.starts_with(k));
        let joined: Vec<_> = first.facts.iter().filter(|f| strange(&f.kind)).collect();
        assert!(joined.is_empty(), "{joined:?}");
        // ... but it is kept, and named with both identities.
        assert!(cases[1..].iter().any(|case| case.facts.iter().any(|f| f.kind == "cgroup.controllers")));
        let gap = first.gaps.iter().find(|g| g.what == "facts set aside" && g.place.contains("sosreport-lab"));
        let why = &gap.expect("a gap").why;
        assert!(why.contains("99999999222233334444555555555555") && why.contains("2026-11-21T11:36:38Z"), "{why}");
        // How that boot ended is told by the log of the machine, whichever boot kept it.
        let verdict = examine(first, &Rules::embedded().expect("rules"));
        let panics: Vec<_> = verdict.boots.iter().filter(|b| b.ended == "panic").collect();
        assert_eq!(panics.len(), 1, "{:?}", verdict.boots);
        assert_eq!(panics[0].dump.as_deref(), Some("given"));
    }
}

#[test]
fn a_bundle_of_another_machine_is_set_aside_with_both_identities() {
    let dump = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/vmcores/sysrq-crash.kdump");
    let at = scratch("other-machine");
    let files = morning("db7");
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (*path, text.as_str())).collect();
    write_tree(&at.join("sosreport-db7"), &files);
    let (_, verdicts) = answers(&[dump, at.join("sosreport-db7")]);
    let verdict = &verdicts[0];
    assert_eq!(verdict.identity.host.as_deref(), Some("lab"));
    assert!(verdict.boots.is_empty(), "{:?}", verdict.boots);
    let gaps: Vec<_> = verdict.gaps.iter().filter(|g| g.what == "facts set aside").collect();
    assert!(gaps.iter().any(|g| g.why.contains("db7") && g.why.contains("lab 6.1.192-labs")), "{gaps:?}");
    assert!(verdicts.iter().any(|v| v.identity.host.as_deref() == Some("db7")));
}

/// A value as apport writes it: a gzip stream, each piece of it a base64 line.
fn packed(key: &str, bytes: &[u8]) -> String {
    use base64::Engine as _;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("gzip");
    let stream = encoder.finish().expect("gzip");
    let mut text = format!("{key}: base64\n");
    for piece in stream.chunks(100_000) {
        text.push_str(&format!(" {}\n", base64::engine::general_purpose::STANDARD.encode(piece)));
    }
    text
}

#[test]
fn the_dump_and_the_log_inside_a_report_of_apport_are_read() {
    let at = scratch("apport");
    let dmesg = "[    1.000000] Linux version 5.15.0-91-generic (x@y) (gcc) #101-Ubuntu SMP\n\
                 [   77.000000] BUG: kernel NULL pointer dereference, address: 0000000000000008\n\
                 [   77.000001] RIP: 0010:lab_close+0x5/0x10 [lab]\n\
                 [   77.000002] Kernel panic - not syncing: Fatal exception\n";
    let head = "ProblemType: KernelCrash\nArchitecture: amd64\nUname: Linux 5.15.0-91-generic x86_64\n";
    let report = format!("{head}{}Tags: jammy\n", packed("VmCoreDmesg", dmesg.as_bytes()));
    std::fs::write(at.join("linux-image-5.15.0-91-generic-202611260320.crash"), report).expect("a file");
    let (_, verdicts) = answers(&[at.join("linux-image-5.15.0-91-generic-202611260320.crash")]);
    assert_eq!(verdicts[0].identity.kernel.as_deref(), Some("5.15.0-91-generic"));
    assert_eq!(verdicts[0].identity.host, None);
    let first = &verdicts[0].findings[0];
    assert_eq!(first.rule, "generic-null-deref", "{first:?}");
    assert!(first.evidence[0].origin.contains("!VmCoreDmesg:2"), "{:?}", first.evidence);

    let dump = std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/vmcores/sysrq-crash.kdump"));
    let report = format!("{head}{}", packed("VmCore", &dump.expect("the dump")));
    std::fs::write(at.join("b.crash"), report).expect("a file");
    let (_, verdicts) = answers(&[at.join("b.crash")]);
    assert_eq!(verdicts[0].findings[0].rule, "crash-by-sysrq");
    assert_eq!(verdicts[0].identity.kernel.as_deref(), Some("6.1.192-labs"));
}

#[test]
fn each_node_of_a_cluster_dump_is_a_case() {
    let at = scratch("cluster");
    let node = |name: &str, boot: &str, kernel: &str| {
        format!(
            r#"{{"metadata":{{"name":"{name}"}},"status":{{"nodeInfo":{{"kernelVersion":"{kernel}","bootID":"{boot}","machineID":"","architecture":"amd64"}},"conditions":[{{"type":"KernelDeadlock","status":"False","reason":"KernelHasNoDeadlock","message":"kernel has no deadlock"}}]}}}}"#
        )
    };
    let list = format!(
        r#"{{"kind":"NodeList","items":[{},{}]}}"#,
        node("w1", "11111111-2222-3333-4444-555555555555", "5.10.0-18-amd64"),
        node("w2", "21111111-2222-3333-4444-555555555555", "5.10.0-19-amd64")
    );
    let yaml = "kind: Node\nmetadata:\n  name: m1\nstatus:\n  nodeInfo:\n    kernelVersion: 5.14.0-284.el9.x86_64\n    \
                bootID: 31111111-2222-3333-4444-555555555555\n  conditions:\n  - type: Ready\n    status: \"False\"\n";
    write_tree(
        &at,
        &[
            ("dump/nodes.json", &list),
            ("dump/default/events.json", "{}"),
            ("must-gather.local.1/q/cluster-scoped-resources/core/nodes/m1.yaml", yaml),
        ],
    );
    let cases = gather(&[at], &Options::default()).expect("cases");
    let kernels: Vec<_> = cases.iter().map(|c| (c.identity.host.as_deref(), c.identity.kernel.as_deref())).collect();
    for expected in [("w1", "5.10.0-18-amd64"), ("w2", "5.10.0-19-amd64"), ("m1", "5.14.0-284.el9.x86_64")] {
        assert!(kernels.contains(&(Some(expected.0), Some(expected.1))), "{kernels:?}");
    }
    assert!(cases.iter().all(|case| case.facts.iter().any(|f| f.kind == "node.condition")));
}
