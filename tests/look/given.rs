//! What the user gives: files, parts and words that are right or wrong.

use serde_json::Value;

use super::{NETDEV, list, vmcoroner};

#[test]
fn what_is_no_dump_is_refused_with_exit_code_two() {
    for command in ["ps", "net", "mods", "slab", "cgroup", "runq", "waits", "mem", "dev", "irq", "work", "mount"] {
        let output = vmcoroner(&[command, "Cargo.toml"]);
        assert_eq!(output.status.code(), Some(2), "{command}");
        assert!(!output.stderr.is_empty());
    }
}

#[test]
fn a_file_that_was_given_and_cannot_be_used_is_an_error_and_the_only_thing_said() {
    let pack = "testdata/packs/3.10.0-1062.el7.lab.pack";
    for (option, file, word) in [
        ("--vmlinux", "Cargo.toml", "expected a 64-bit little-endian ELF file"),
        ("--pack", "Cargo.toml", ""),
        ("--pack", pack, "--force uses it all the same"),
        ("--system-map", "Cargo.toml", "found none named _stext"),
    ] {
        for command in ["ps", "sym"] {
            let output = vmcoroner(&[command, option, file, NETDEV, "1"]);
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(2), "{command} {option} {file}: {said}");
            assert!(output.stdout.is_empty() && said.lines().count() == 1, "{command} {option} {file}: {said}");
            assert!(
                said.starts_with(&format!("vmcoroner: {file}: ")) && said.contains(word),
                "{option} {file}: {said}"
            );
        }
        let output = vmcoroner(&["examine", option, file, "--format", "json", NETDEV]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(said.matches(file).count(), 1, "{option} {file}: {said}");
        let verdict: Value = serde_json::from_slice(&output.stdout).expect("a verdict");
        assert!(list(&verdict, "gaps")[0]["why"].as_str().is_some_and(|why| why.starts_with(file)), "{option} {file}");
    }
}

#[test]
fn a_name_that_is_not_there_is_said_with_its_neighbours_and_the_others_are_shown() {
    let output = vmcoroner(&["sym", NETDEV, "schedule", "schedul", "init_tsak", "init_task"]);
    let (out, said) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(out.lines().count(), 3, "two symbols below a header: {out}");
    assert!(said.contains("schedul; did you mean schedule"), "{said}");
    assert!(said.contains("init_tsak; did you mean init_task"), "{said}");
    for (args, near) in [
        (["struct", NETDEV, "task_struc"], "did you mean task_struct"),
        (["struct", NETDEV, "task_struct.com"], "did you mean comm"),
        (["slab", NETDEV, "dentri"], "did you mean dentry"),
        (["ps", NETDEV, "kworkr"], "did you mean kworker/"),
        (["bt", NETDEV, "insmodd"], "did you mean insmod"),
    ] {
        let output = vmcoroner(&args);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(2) && said.contains(near), "{args:?}: {said}");
    }
    let some = vmcoroner(&["ps", NETDEV, "insmod", "nosuch"]);
    assert!(String::from_utf8_lossy(&some.stdout).contains("insmod") && some.status.code() == Some(2));
}

#[test]
fn the_parts_of_a_split_dump_are_found_in_a_folder_whatever_their_names() {
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("parts");
    std::fs::create_dir_all(&folder).expect("a folder");
    for (from, to) in [("1", "one"), ("2", "second.bin"), ("3", "zz.3")] {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/formats");
        std::fs::copy(root.join(format!("a-split.{from}")), folder.join(to)).expect("a copy");
    }
    std::fs::write(folder.join("notes.png"), b"no dump").expect("a file");
    let output = vmcoroner(&["info", "--json", folder.to_str().expect("UTF-8")]);
    let info: Value = serde_json::from_slice(&output.stdout).expect("one dump");
    assert_eq!((&info["split"], list(&info, "files").len()), (&Value::from(true), 3));
}

#[test]
fn a_view_of_which_nothing_can_be_read_says_why_and_fails() {
    for command in ["ps", "mods", "slab", "net", "runq"] {
        let output = vmcoroner(&[command, "--format", "json", "testdata/formats/a-zlib.kdump"]);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let view: Value = serde_json::from_str(&said).unwrap_or_default();
        let empty = view.as_object().is_some_and(|v| {
            v.iter().filter_map(|(n, v)| Some((n, v.as_array()?))).all(|(n, v)| n == "gaps" || v.is_empty())
        });
        if empty {
            assert_eq!(output.status.code(), Some(2), "{command}: {said}");
            assert!(!list(&view, "gaps").is_empty(), "{command} says why: {said}");
        }
    }
}

#[test]
fn the_parts_of_a_split_dump_are_given_one_by_one() {
    let whole = vmcoroner(&["sym", "testdata/formats/a-zlib.kdump", "schedule"]);
    let parts = ["1", "2", "3"].map(|n| format!("testdata/formats/a-split.{n}"));
    let [a, b, c] = &parts;
    let split = vmcoroner(&["sym", b, "--part", a, "--part", c, "schedule"]);
    assert_eq!(whole.status.code(), split.status.code());
    assert_eq!(String::from_utf8_lossy(&whole.stdout), String::from_utf8_lossy(&split.stdout));
}
