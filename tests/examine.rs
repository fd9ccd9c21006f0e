//! The program on real dumps: what it prints, and how it fails.

use assert_cmd::Command;
use serde_json::Value;

fn vmcoroner() -> Command {
    let mut command = Command::cargo_bin("vmcoroner").expect("the binary is built");
    command.current_dir(env!("CARGO_MANIFEST_DIR"));
    command
}

fn verdict(args: &[&str]) -> Value {
    let output = vmcoroner().args(["examine", "--format", "json"]).args(args).output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

fn finding<'a>(verdict: &'a Value, rule: &str) -> &'a Value {
    verdict["findings"]
        .as_array()
        .expect("findings")
        .iter()
        .find(|f| f["rule"] == rule)
        .unwrap_or_else(|| panic!("no {rule} in {:#}", verdict["findings"]))
}

#[test]
fn the_log_of_the_net_device_dump_gives_the_leak_and_rules_the_known_fix_out() {
    let verdict = verdict(&["--log-only", "testdata/vmcores/netdev-leak.kdump"]);
    let leak = &verdict["findings"][0];
    assert_eq!(leak["rule"], "netdev-reference-leak");
    assert_eq!(leak["grade"], "consistent");
    assert_eq!(leak["role"], "cause");
    assert_eq!(leak["captures"]["dev"], "eth0");
    assert_eq!(leak["captures"]["usage"], 2);
    let fix = leak["fixes"].as_array().expect("fixes").iter().find(|f| f["sha"] == "ee60ad219f5c").expect("the fix");
    assert_eq!(fix["status"], "present");
    assert!(verdict["ruled_out"].as_array().expect("ruled_out").iter().any(|r| r["sha"] == "ee60ad219f5c"));
    assert!(leak["suspects"].as_array().expect("suspects").iter().any(|s| s["module"] == "lab_netleak"));
    assert_eq!(finding(&verdict, "generic-hung-task")["explained_by"], "netdev-reference-leak");
    assert_eq!(verdict["identity"]["kernel"], "6.1.192-lab");
    assert!(!verdict["next"].as_array().expect("next").is_empty(), "the memory proof is named as the next step");
}

#[test]
fn the_log_of_the_ip6mr_dump_gives_the_crash_with_the_slab_failure_as_condition() {
    let verdict = verdict(&["--log-only", "testdata/vmcores/ip6mr-null.kdump"]);
    assert_eq!(verdict["findings"][0]["rule"], "ip6mr-sk-done-null-deref");
    assert_eq!(verdict["findings"][0]["grade"], "probable");
    assert_eq!(finding(&verdict, "generic-slab-alloc-failure")["role"], "condition");
    assert!(verdict["findings"].as_array().expect("findings").iter().all(|f| f["rule"] != "kmem-accounting-leak"));
    assert!(verdict["ruled_out"].as_array().expect("ruled_out").iter().any(|r| r["sha"] == "15e668070a64"));
}

#[test]
fn a_crash_by_sysrq_is_one_informational_finding() {
    let verdict = verdict(&["--log-only", "testdata/vmcores/sysrq-crash.kdump"]);
    let findings = verdict["findings"].as_array().expect("findings");
    assert_eq!(findings.len(), 1, "{findings:#?}");
    assert_eq!(findings[0]["rule"], "crash-by-sysrq");
    assert!(findings[0]["grade"].is_null());
}

#[test]
fn a_cut_dump_gives_no_finding_and_says_where_the_file_ends() {
    let verdict = verdict(&["testdata/vmcores/cut.kdump"]);
    let findings = verdict["findings"].as_array().expect("findings");
    assert!(findings.iter().all(|f| f["role"] == "information"), "{findings:#?}");
    let gaps = verdict["gaps"].to_string();
    assert!(gaps.contains("900000"), "{gaps}");
    assert_eq!(verdict["identity"]["kernel"], "6.1.192-labs");
}

#[test]
fn a_saved_case_gives_the_same_findings_without_its_input() {
    let dir = std::env::temp_dir().join(format!("vmcoroner-case-{}", std::process::id()));
    std::fs::create_dir_all(&dir).expect("a scratch directory");
    let case = dir.join("case.json");
    let case = case.to_str().expect("UTF-8");
    let first = verdict(&["--log-only", "--save-case", case, "testdata/vmcores/netdev-leak.kdump"]);
    let second = verdict(&[case]);
    std::fs::remove_dir_all(&dir).expect("the scratch directory goes");
    assert_eq!(first["findings"], second["findings"]);
}

#[test]
fn standard_input_is_read_and_the_exit_code_follows_fail_on() {
    let log = "[   10.000000] unregister_netdevice: waiting for lo to become free. Usage count = 3\n\
               [   20.100000] unregister_netdevice: waiting for lo to become free. Usage count = 3\n\
               [   30.200000] unregister_netdevice: waiting for lo to become free. Usage count = 3\n";
    let run = |grade: &str| {
        vmcoroner().args(["examine", "--fail-on", grade, "-"]).write_stdin(log).output().expect("it runs").status.code()
    };
    assert_eq!(run("consistent"), Some(1));
    assert_eq!(run("probable"), Some(0));
}

#[test]
fn what_cannot_be_read_is_an_error_that_says_what_to_do() {
    let output = vmcoroner().args(["examine", "/nonexistent/vmcore"]).output().expect("it runs");
    assert_eq!(output.status.code(), Some(2));
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("/nonexistent/vmcore") && text.contains("expected"), "{text}");
}

#[test]
fn text_output_fits_eighty_columns_and_has_no_colour_in_a_pipe() {
    let output = vmcoroner().args(["examine", "testdata/vmcores/netdev-leak.kdump"]).output().expect("it runs");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(text.contains("VERDICT") && text.contains("eth0"), "{text}");
    assert!(!text.contains('\x1b'));
}

#[test]
fn the_log_command_prints_as_dmesg_does() {
    let output = vmcoroner().args(["log", "testdata/vmcores/netdev-leak.kdump"]).output().expect("it runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        text.starts_with("[    0.000000] Linux version 6.1.192-lab"),
        "{}",
        text.lines().next().unwrap_or_default()
    );
    assert!(text.contains("unregister_netdevice: waiting for eth0 to become free. Usage count = 2"));
}

#[test]
fn help_of_every_command_has_an_example() {
    for command in ["examine", "info", "log", "compare", "rules", "schema", "completions"] {
        let output = vmcoroner().args([command, "--help"]).output().expect("it runs");
        assert!(String::from_utf8_lossy(&output.stdout).contains("Example"), "{command}");
    }
}

#[test]
fn an_assertion_and_the_warning_it_ends_in_both_show_the_trace() {
    let verdict = verdict(&["rules/generic/fires/assertion.log"]);
    let frames = |rule: &str| finding(&verdict, rule)["trace"]["frames"].as_array().cloned().unwrap_or_default();
    for rule in ["generic-bug-on", "generic-warning"] {
        let frames = frames(rule);
        let named = |f: &Value| f.as_str().is_some_and(|f| f.starts_with("xfs_iread_extents+0x1af"));
        assert!(frames.iter().any(named), "{rule}: {frames:?}");
    }
}
