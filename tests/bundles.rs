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
